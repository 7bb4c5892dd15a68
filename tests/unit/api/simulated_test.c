/* The public calls on the simulator, with transports that it supplies: what waits turns the virtual
 * clock, what a callback may not do it may not do here either, and a seed gives one run. */
#include "api/connection.h"

#include <rollcall/admin.h>
#include <rollcall/session.h>
#include <rollcall/watch.h>

#include "runtime/runtime_internal.h"
#include "support/fake_etcd.h"
#include "unit/actors/world.h"

enum { SEEDS = 20, PROCESSES = 2, TIMEOUT_MS = 5000 };

/* One simulated process: its two workers, its connection, what its callbacks were told. */
struct process {
    struct rollcall_etcd *etcd;
    struct rollcall_session *session;
    struct rollcall_watch *watch;
    uint32_t active, adds, updates, deletes, snapshot_ends;
    bool asks; /* of every call that waits, and some that do not, in the session's next callback */
    uint32_t refused;
    uint32_t answered; /* of those that do not wait */
    struct rollcall_error answer;
};

struct cluster {
    struct world world; /* must be first */
    struct fake_etcd *store;
    struct process processes[PROCESSES];
};

static void connect_process(struct cluster *cluster, uint32_t p)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const uint32_t control = 2 * p, data = 2 * p + 1;
    const struct rollcall__transports transports = {
        .control = fake_etcd_spawn(cluster->store, cluster->world.rt, control),
        .bulk = fake_etcd_spawn(cluster->store, cluster->world.rt, data),
        .control_worker = control,
        .data_worker = data,
        .call_timeout_ms = TIMEOUT_MS,
        .endpoints = "the simulation",
    };
    CHECK_INT(
        rollcall__etcd_adopt(cluster->world.rt, &transports, &cluster->processes[p].etcd, &error),
        ROLLCALL_OK);
}

static void open_cluster(struct cluster *cluster)
{
    *cluster = (struct cluster){.store = fake_etcd_create()};
    CHECK_INT(
        rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = world_seed, .workers = 2 * PROCESSES),
                            &cluster->world.sim, NULL),
        ROLLCALL_OK);
    cluster->world.rt = rollcall_sim_runtime(cluster->world.sim);
    for (uint32_t p = 0; p < PROCESSES; p++) {
        connect_process(cluster, p);
    }
}

/* Returns the run's hash. */
static uint64_t close_cluster(struct cluster *cluster)
{
    for (uint32_t p = 0; p < PROCESSES; p++) {
        CHECK_INT(rollcall_etcd_close(cluster->processes[p].etcd), ROLLCALL_OK);
    }
    world_settle(&cluster->world);
    const uint64_t hash = rollcall_sim_hash(cluster->world.sim);
    world_close(&cluster->world);
    fake_etcd_destroy(cluster->store);
    return hash;
}

/* ---- callbacks ---- */

static void count_answer(void *user, const struct rollcall_error *error)
{
    struct process *process = user;
    process->answered++;
    process->answer = *error;
}

static void ignore_event(void *user, const struct rollcall_watch_event *event)
{
    (void)user, (void)event;
}

/* Every call that waits, in a callback. */
static void ask_in_callback(struct process *process)
{
    const struct rollcall_target target = {.key = "root/session/nobody-1"};
    const struct rollcall_watch_options *once =
        ROLLCALL_WATCH_OPTIONS(.root = "root", .on_event = ignore_event);
    struct rollcall_session *session = NULL;
    struct rollcall_watch *watch = NULL;
    int64_t server_id;
    const enum rollcall_status statuses[] = {
        rollcall_session_wait(process->session, 1, NULL),
        rollcall_session_wait_over(process->session, 1, NULL),
        rollcall_session_mark_stopping(process->session, 1, NULL),
        rollcall_session_close(process->session, 1),
        rollcall_session_start(process->etcd,
                               ROLLCALL_SESSION_OPTIONS(.root = "root", .role = "other",
                                                        .address = "10.0.0.9:1", .server_id = 9),
                               &session, NULL),
        rollcall_watch_open(process->etcd, once, &watch, NULL),
        rollcall_list(process->etcd, once, 1, NULL),
        rollcall_mark_stopping(process->etcd, &target, 1, NULL),
        rollcall_revoke(process->etcd, &target, 1, NULL),
        rollcall_server_id(process->etcd, "root", false, 1, &server_id, NULL),
        rollcall_etcd_close(process->etcd),
    };
    process->refused = 0;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        CHECK_INT(statuses[i], ROLLCALL_E_BUSY);
        process->refused++;
    }
    CHECK_INT(rollcall_mark_stopping_async(process->etcd, &target, 0, count_answer, process, NULL),
              ROLLCALL_OK);
}

static void on_session(void *user, const struct rollcall_session_event *event)
{
    struct process *process = user;
    process->active += event->state == ROLLCALL_SESSION_ACTIVE;
    if (process->asks) {
        process->asks = false;
        ask_in_callback(process);
    }
}

static void on_watch(void *user, const struct rollcall_watch_event *event)
{
    struct process *process = user;
    process->adds += event->type == ROLLCALL_WATCH_ADD;
    process->updates += event->type == ROLLCALL_WATCH_UPDATE;
    process->deletes += event->type == ROLLCALL_WATCH_DELETE;
    process->snapshot_ends += event->type == ROLLCALL_WATCH_SNAPSHOT_END;
}

static void count_session(void *user, const struct rollcall_watch_event *event)
{
    *(uint32_t *)user += event->type == ROLLCALL_WATCH_SESSION;
}

/* ---- what the tests do ---- */

static void open_session(struct cluster *cluster, uint32_t p, int64_t server_id)
{
    struct process *process = &cluster->processes[p];
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_session_open(
                  process->etcd,
                  ROLLCALL_SESSION_OPTIONS(.root = "root", .role = "coord", .server_id = server_id,
                                           .address = "10.0.0.1:1", .host_name = "here",
                                           .on_event = on_session, .user = process),
                  &process->session, &error),
              ROLLCALL_OK);
}

static void open_watch(struct cluster *cluster, uint32_t p)
{
    struct process *process = &cluster->processes[p];
    CHECK_INT(rollcall_watch_open(process->etcd,
                                  ROLLCALL_WATCH_OPTIONS(.root = "root", .role = "coord",
                                                         .on_event = on_watch, .user = process),
                                  &process->watch, NULL),
              ROLLCALL_OK);
    world_run(&cluster->world, 1);
    CHECK_INT(process->snapshot_ends, 1);
}

static uint32_t list(struct cluster *cluster, uint32_t p)
{
    uint32_t count = 0;
    CHECK_INT(rollcall_list(
                  cluster->processes[p].etcd,
                  ROLLCALL_WATCH_OPTIONS(.root = "root", .on_event = count_session, .user = &count),
                  0, NULL),
              ROLLCALL_OK);
    return count;
}

static uint64_t live_through_it(void)
{
    struct cluster cluster;
    struct rollcall_session_info info;
    int64_t server_id = 0;
    open_cluster(&cluster);
    struct process *first = &cluster.processes[0], *second = &cluster.processes[1];

    open_watch(&cluster, 1);
    open_session(&cluster, 0, 0);
    open_session(&cluster, 1, 0);
    rollcall_session_get_info(second->session, &info);
    CHECK_INT(info.state, ROLLCALL_SESSION_ACTIVE);
    CHECK_INT(first->active, 1);
    CHECK_INT(list(&cluster, 0), 2);
    CHECK_INT(rollcall_server_id(first->etcd, "root", false, 0, &server_id, NULL), ROLLCALL_OK);
    CHECK(server_id > info.server_id);

    CHECK_INT(rollcall_session_mark_stopping(first->session, TIMEOUT_MS, NULL), ROLLCALL_OK);
    const struct rollcall_target target = {.key = info.key, .lease_id = info.lease_id};
    CHECK_INT(rollcall_mark_stopping(first->etcd, &target, 0, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_revoke(first->etcd, &target, 0, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait_over(second->session, 60000, NULL), ROLLCALL_E_LEASE_LOST);
    rollcall_session_get_info(second->session, &info);
    CHECK_INT(info.loss, ROLLCALL_LOSS_LEASE); /* the key's end is seen first, the cause is told */
    world_run(&cluster.world, 1);
    CHECK_INT(second->adds, 2);
    CHECK_INT(second->updates, 2);
    CHECK_INT(second->deletes, 1);

    CHECK_INT(rollcall_session_close(first->session, TIMEOUT_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(second->session, TIMEOUT_MS), ROLLCALL_OK);
    CHECK_INT(list(&cluster, 1), 0);
    CHECK_INT(rollcall_watch_close(second->watch), ROLLCALL_OK);
    CHECK_INT(fake_etcd_leases_alive(cluster.store), 0);
    return close_cluster(&cluster);
}

TEST(simulated, two_processes_open_list_mark_revoke_watch_and_close_and_a_seed_gives_one_run)
{
    uint64_t before = 0;
    while (world_next(SEEDS)) {
        const uint64_t hash = live_through_it();
        CHECK(live_through_it() == hash);
        CHECK(hash != before);
        before = hash;
    }
}

TEST(simulated, each_process_keeps_to_its_own_two_workers)
{
    while (world_next(SEEDS)) {
        struct cluster cluster;
        uint64_t before[2 * PROCESSES];
        open_cluster(&cluster);
        const struct rollcall__worker *workers = cluster.world.rt->workers;
        for (uint32_t i = 0; i < 2 * PROCESSES; i++) {
            before[i] = workers[i].stats.actors;
        }
        open_session(&cluster, 1, 0);
        open_watch(&cluster, 1);
        CHECK_INT(workers[0].stats.actors, before[0]);
        CHECK_INT(workers[1].stats.actors, before[1]);
        CHECK(workers[2].stats.actors > before[2] + 2); /* a session's actors, the allocator's */
        CHECK_INT(workers[3].stats.actors,
                  before[3] + 7); /* the session's application, a feed's five, and a watcher */
        CHECK_INT(rollcall_watch_close(cluster.processes[1].watch), ROLLCALL_OK);
        CHECK_INT(rollcall_session_close(cluster.processes[1].session, TIMEOUT_MS), ROLLCALL_OK);
        close_cluster(&cluster);
    }
}

TEST(simulated, what_waits_is_refused_in_a_callback_and_what_does_not_wait_is_done)
{
    while (world_next(SEEDS)) {
        struct cluster cluster;
        struct process *process = &cluster.processes[1];
        open_cluster(&cluster);
        open_session(&cluster, 1, 0);
        process->asks = true;
        rollcall_session_stop(process->session);
        CHECK_INT(rollcall_session_wait_over(process->session, TIMEOUT_MS, NULL), ROLLCALL_OK);
        world_run(&cluster.world, 1000);
        CHECK_INT(process->refused, 11);
        CHECK_INT(process->answered, 1);
        CHECK_INT(process->answer.status, ROLLCALL_E_KEY_LOST);
        CHECK_INT(rollcall_session_close(process->session, 0), ROLLCALL_OK);
        close_cluster(&cluster);
    }
}

/* ---- a list that a failure cuts in two ---- */

enum { LISTED = 300, TOLD_MAX = 512 }; /* more than may be on their way at once */

struct listed {
    char keys[TOLD_MAX][32], addresses[TOLD_MAX][8];
    size_t sessions;
    uint64_t begins, ends, others, count;
};

static void put_session(struct fake_etcd *store, int number, const char *address)
{
    char key[64], value[128];
    snprintf(key, sizeof key, "root/session/node-%d", number);
    snprintf(value, sizeof value, "{\"ServerID\":1,\"ServerName\":\"node\",\"Address\":\"%s\"}",
             address);
    fake_etcd_put(store, key, value, 0);
}

static void keep_session(void *user, const struct rollcall_watch_event *event)
{
    struct listed *listed = user;
    listed->begins += event->type == ROLLCALL_WATCH_SNAPSHOT_BEGIN;
    if (event->type == ROLLCALL_WATCH_SNAPSHOT_END) {
        listed->ends++;
        listed->count = event->count;
    } else if (event->type == ROLLCALL_WATCH_SESSION) {
        CHECK(listed->sessions < TOLD_MAX);
        snprintf(listed->keys[listed->sessions], sizeof listed->keys[0], "%s", event->key.data);
        snprintf(listed->addresses[listed->sessions++], sizeof listed->addresses[0], "%.*s",
                 (int)event->record->address.size_bytes, event->record->address.data);
    } else {
        listed->others += event->type != ROLLCALL_WATCH_SNAPSHOT_BEGIN;
    }
}

/* How often it was listed with this address. */
static size_t times_listed(const struct listed *listed, int number, const char *address)
{
    char key[64];
    size_t times = 0;
    snprintf(key, sizeof key, "root/session/node-%d", number);
    for (size_t i = 0; i < listed->sessions; i++) {
        times += strcmp(listed->keys[i], key) == 0 && strcmp(listed->addresses[i], address) == 0;
    }
    return times;
}

/* Two of those that were told change before the second list, which the failure brings about. */
static enum fake_etcd_fate change_before_second_list(struct fake_etcd *store,
                                                     const struct transport_request *request)
{
    bool *listed_before = store->user;
    if (request->kind == TRANSPORT_RANGE && *listed_before) {
        put_session(store, 1003, "new");
        fake_etcd_delete(store, "root/session/node-1004");
        store->decide = NULL;
    }
    *listed_before = true;
    return FAKE_ETCD_ANSWER;
}

/* Whether it is read again depends on who fails; it is told once, as it was at one revision. */
static void list_with_failure(const char *point, bool again)
{
    static struct listed listed;
    struct cluster cluster;
    struct rollcall_error error = {.text = ""};
    bool listed_before = false;
    open_cluster(&cluster);
    listed = (struct listed){.begins = 0};
    for (int i = 0; i < LISTED; i++) {
        put_session(cluster.store, 1000 + i, "old");
    }
    cluster.store->decide = change_before_second_list;
    cluster.store->user = &listed_before;
    CHECK_INT(rollcall_failpoints_arm(cluster.world.rt, point, &error), ROLLCALL_OK);
    CHECK_INT(rollcall_list(
                  cluster.processes[0].etcd,
                  ROLLCALL_WATCH_OPTIONS(.root = "root", .on_event = keep_session, .user = &listed),
                  0, &error),
              ROLLCALL_OK);
    CHECK((cluster.store->decide == NULL) == again);
    CHECK_INT(listed.begins, 1);
    CHECK_INT(listed.ends, 1);
    CHECK_INT(listed.others, 0);
    CHECK_INT(listed.sessions, LISTED - (again ? 1 : 0));
    CHECK_INT(listed.count, LISTED - (again ? 1 : 0));
    CHECK_INT(times_listed(&listed, 1003, again ? "new" : "old"), 1);
    CHECK_INT(times_listed(&listed, 1004, "old"), again ? 0 : 1);
    for (int i = 5; i < LISTED; i++) {
        CHECK_INT(times_listed(&listed, 1000 + i, "old"), 1);
    }
    close_cluster(&cluster);
}

TEST(simulated, a_list_that_a_failure_cuts_in_two_tells_each_session_once_of_one_revision)
{
    while (world_next(SEEDS)) {
        list_with_failure("reflector/REFLECTOR_PAGE=crash*1", true);
        list_with_failure("hub/HUB_LISTED=crash*1", true);
        list_with_failure("watcher/WATCHER_DIFFERENCE=crash*1", false);
        list_with_failure("watcher/WATCHER_GO_ON=crash*1", false);
    }
}

/* ---- an etcd that says nothing ---- */

static enum fake_etcd_fate say_nothing(struct fake_etcd *store,
                                       const struct transport_request *request)
{
    (void)store, (void)request;
    return FAKE_ETCD_SILENT;
}

TEST(simulated, with_a_silent_etcd_a_wait_takes_its_timeout_and_a_close_its_budget_of_virtual_time)
{
    while (world_next(SEEDS)) {
        struct cluster cluster;
        struct process *process = &cluster.processes[0];
        open_cluster(&cluster);
        open_session(&cluster, 0, 7);
        cluster.store->decide = say_nothing;
        int64_t begin_ms = rollcall_sim_now_ms(cluster.world.sim);
        CHECK_INT(rollcall_session_mark_stopping(process->session, 250, NULL), ROLLCALL_E_TIMEOUT);
        CHECK_INT(rollcall_sim_now_ms(cluster.world.sim) - begin_ms, 250);
        begin_ms = rollcall_sim_now_ms(cluster.world.sim);
        CHECK_INT(rollcall_session_close(process->session, 2000), ROLLCALL_E_TIMEOUT);
        CHECK_INT(rollcall_sim_now_ms(cluster.world.sim) - begin_ms, 2000);
        close_cluster(&cluster);
    }
}

TEST(simulated, open_with_a_silent_etcd_fails_in_time_and_leaves_nothing_open)
{
    while (world_next(SEEDS)) {
        struct cluster cluster;
        struct rollcall_session *session = NULL;
        struct rollcall_error error = {.status = ROLLCALL_OK};
        open_cluster(&cluster);
        cluster.store->decide = say_nothing;
        CHECK_INT(
            rollcall_session_open(cluster.processes[0].etcd,
                                  ROLLCALL_SESSION_OPTIONS(.root = "root", .role = "coord",
                                                           .address = "10.0.0.1:1", .server_id = 7,
                                                           .connect_timeout_ms = 700),
                                  &session, &error),
            ROLLCALL_E_UNAVAILABLE);
        CHECK(rollcall_sim_now_ms(cluster.world.sim) >= 700);
        CHECK(rollcall_sim_now_ms(cluster.world.sim) <= 700 + TIMEOUT_MS);
        CHECK(session == NULL);
        close_cluster(&cluster);
    }
}

TEST(simulated, a_real_etcd_is_refused_on_a_simulation)
{
    struct world world;
    struct rollcall_etcd *etcd = NULL;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    world_open(&world);
    CHECK_INT(rollcall_etcd_connect(world.rt, NULL, &etcd, &error), ROLLCALL_E_INVALID);
    CHECK(etcd == NULL);
    CHECK(strstr(error.text, "simulation") != NULL);
    world_close(&world);
}

/*
 * Many watches at once, and one that does not keep up.  Each test has the number of its scenario,
 * which the table in tests/README.md lists.  Of each watch only counts are kept: what each event
 * is, other tests look at.
 */
#include "support/gateway.h"
#include "support/numbered.h"
#include "support/outage.h"
#include "support/test.h"

#include <malloc.h>
#include <stdlib.h>

enum { ROLE_BYTES = 32, MS_PER_S = 1000, PAUSE_MS = 5, PATIENCE_MS = 6 * API_SOON_MS };
static const char WATCHERS[] = "etcd_debugging_mvcc_watcher_total";
static const char STREAMS[] = "etcd_debugging_mvcc_watch_stream_total";

/* ---- a crowd ---- */

struct crowd;
struct member {
    struct crowd *crowd;
    struct rollcall_watch *watch;
    size_t changes;       /* ADD, UPDATE, DELETE */
    int64_t mod_revision; /* of the last */
};

struct crowd {
    struct rollcall__monitor monitor; /* guards the rest, and what its members count */
    size_t snapshots, changes, resyncs, failures, disorder;
    struct member *members;
    size_t count;
};

static void count_event(void *user, const struct rollcall_watch_event *event)
{
    struct member *member = user;
    struct crowd *crowd = member->crowd;
    rollcall__monitor_lock(&crowd->monitor);
    crowd->snapshots += event->type == ROLLCALL_WATCH_SNAPSHOT_END;
    crowd->resyncs += event->type == ROLLCALL_WATCH_RESYNC_BEGIN;
    crowd->failures += event->type == ROLLCALL_WATCH_FAILED;
    if (event->type >= ROLLCALL_WATCH_ADD && event->type <= ROLLCALL_WATCH_DELETE) {
        crowd->disorder += event->mod_revision < member->mod_revision;
        member->mod_revision = event->mod_revision;
        member->changes++;
        crowd->changes++;
    }
    rollcall__monitor_notify(&crowd->monitor);
    rollcall__monitor_unlock(&crowd->monitor);
}

static void crowd_open(struct crowd *crowd, size_t count)
{
    *crowd = (struct crowd){.count = count};
    rollcall__monitor_init(&crowd->monitor);
    crowd->members = calloc(count, sizeof *crowd->members);
    CHECK(crowd->members != NULL);
}

static void crowd_watch(struct crowd *crowd, size_t index, const struct api_scene *scene,
                        const char *role)
{
    struct member *member = &crowd->members[index];
    *member = (struct member){.crowd = crowd};
    const enum rollcall_status status = rollcall_watch_open(
        scene->etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = role, .connect_timeout_ms = PATIENCE_MS,
                               .on_event = count_event, .user = member),
        &member->watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
}

/* Waits until a count of the crowd's has come to this. */
static bool crowd_await(struct crowd *crowd, const size_t *counter, size_t wanted,
                        int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&crowd->monitor);
    while (*counter < wanted && waiting) {
        waiting = rollcall__monitor_wait(&crowd->monitor, until_ns);
    }
    const bool reached = *counter >= wanted;
    rollcall__monitor_unlock(&crowd->monitor);
    return reached;
}

static void crowd_close(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++) {
        CHECK_INT(rollcall_watch_close(crowd->members[i].watch), ROLLCALL_OK);
    }
}

/* After close: each was told so many changes, in order, and nothing else. */
static void crowd_check(struct crowd *crowd, size_t changes)
{
    for (size_t i = 0; i < crowd->count; i++) {
        CHECK_INT(crowd->members[i].changes, changes);
    }
    CHECK_INT(crowd->resyncs + crowd->failures + crowd->disorder, 0);
    rollcall__monitor_fini(&crowd->monitor);
    free(crowd->members);
}

static bool await_metric(const char *endpoint, const char *name, int64_t least, int64_t most)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    int64_t value = gateway_metric(endpoint, name);
    while ((value < least || value > most) && process_now_ms() < until_ms) {
        process_sleep_ms(PAUSE_MS);
        value = gateway_metric(endpoint, name);
    }
    if (value < least || value > most) {
        fprintf(stderr, "%s is %" PRId64 "\n", name, value);
    }
    return value >= least && value <= most;
}

/* ---- one that does not keep up ---- */

/* KEYS records of VALUE_BYTES in one revision, again and again; each round has its number. */
enum { KEYS = 40, VALUE_BYTES = 4000 };
static void flood(const struct api_scene *scene, int64_t rounds)
{
    char script[1024];
    snprintf(script, sizeof script,
             "a=$(head -c %d /dev/zero | tr '\\0' a); j=0\n"
             "while [ $j -lt %" PRId64 " ]; do j=$((j+1)); { echo; i=0\n"
             "while [ $i -lt %d ]; do i=$((i+1)); echo \"put $ROOT/session/querynode-$i "
             "\\\"{\\\\\\\"ServerID\\\\\\\":$j,\\\\\\\"Address\\\\\\\":\\\\\\\"$a\\\\\\\"}\\\"\"\n"
             "done; echo; echo; } | etcdctl txn >/dev/null; done\n",
             VALUE_BYTES, rounds, KEYS);
    struct process process;
    api_etcdctl_start(scene, script, &process);
    CHECK(process_wait(&process, rounds * MS_PER_S + API_SOON_MS));
    CHECK_INT(process.exit_code, 0);
    process_destroy(&process);
}

static void check_is_listed(const struct api_scene *scene, struct api_watch_log *log)
{
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(scene, "querynode", &listed);
    api_watch_check_same(log, &listed);
    api_watch_log_fini(&listed);
}

/* C15: the callbacks of a connection share a thread, so its neighbour waits with it; whoever has a
 * connection of its own does not.  In the end each has been told what is, step by step or by the
 * difference. */
TEST(watch_crowd, who_stops_consuming_is_held_little_for_and_is_told_the_rest_when_it_goes_on)
{
    const int64_t rounds = outage_choose(150, 500);
    const size_t flooded_bytes = (size_t)rounds * KEYS * VALUE_BYTES;
    struct outage outage;
    struct api_scene beside;
    struct api_watch_log stuck, neighbour;
    struct crowd witness;
    outage_open_node(&outage, (const char *const[]){"--quota-backend-bytes=4294967296", NULL});
    const struct api_scene *scene = &outage.scene[0], direct = outage_beside(&outage, 0);
    api_scene_open_beside(&beside, scene);
    api_watch_log_init(&stuck);
    api_watch_log_init(&neighbour);
    struct rollcall_watch *watch = api_watch(scene, "querynode", 0, &stuck);
    struct rollcall_watch *next_watch = api_watch(scene, "querynode", 0, &neighbour);
    CHECK(api_watch_await(&stuck, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    CHECK(api_watch_await(&neighbour, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    crowd_open(&witness, 1);
    crowd_watch(&witness, 0, &beside, "querynode");
    CHECK(crowd_await(&witness, &witness.snapshots, 1, API_SOON_MS));
    api_watch_hold(&stuck);
    flood(&direct, 1);
    CHECK(api_watch_await_blocked(&stuck, API_SOON_MS));
    const size_t before_bytes = mallinfo2().uordblks; /* 0 under a sanitizer */
    flood(&direct, rounds);
    CHECK(crowd_await(&witness, &witness.changes, (size_t)(rounds + 1) * KEYS, API_SOON_MS));
    const size_t after_bytes = mallinfo2().uordblks;
    outage_say("C15: held, in bytes", (int64_t)after_bytes - (int64_t)before_bytes);
    CHECK(after_bytes < before_bytes + flooded_bytes);
    api_watch_let_go(&stuck);
    char key[128];
    snprintf(key, sizeof key, "%s/session/querynode-0", scene->root);
    api_store(&direct, key, "{\"ServerID\":1,\"ServerName\":\"querynode\",\"Address\":\"h:1\"}", 0);
    CHECK(api_watch_await_told(&stuck, KEYS + 1, PATIENCE_MS));
    CHECK(api_watch_await_told(&neighbour, KEYS + 1, PATIENCE_MS));
    check_is_listed(scene, &stuck);
    check_is_listed(scene, &neighbour);
    CHECK(crowd_await(&witness, &witness.changes, (size_t)(rounds + 1) * KEYS + 1, API_SOON_MS));
    crowd_close(&witness);
    crowd_check(&witness, (size_t)(rounds + 1) * KEYS + 1);
    api_watch_close(watch, &stuck);
    api_watch_close(next_watch, &neighbour);
    api_watch_check(&stuck);
    api_watch_check(&neighbour);
    api_watch_log_fini(&stuck);
    api_watch_log_fini(&neighbour);
    api_scene_close(&beside);
    outage_close(&outage);
}

/* ---- many ranges ---- */

static void role_of(size_t index, char *role)
{
    snprintf(role, ROLE_BYTES, "r%zux", index);
}

static void put_one_of_each(const char *endpoint, const char *root, size_t count, int64_t number)
{
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    char role[ROLE_BYTES];
    for (size_t i = 0; i < count; i++) {
        role_of(i, role);
        snprintf(key, sizeof key, "%s/session/%s-1", root, role);
        numbered_value(1, number, value);
        CHECK(gateway_put(endpoint, key, value, NULL));
    }
}

/* C17 */
TEST(watch_crowd, watches_of_thousands_of_ranges_are_all_begun_again_after_a_reset_and_miss_nothing)
{
    enum { PLAY_MS = API_SOON_MS, FULL_MS = 5000 };
    const size_t count = (size_t)outage_choose(300, 5000);
    struct outage outage;
    struct crowd crowd;
    char role[ROLE_BYTES];
    outage_open_node(&outage, NULL);
    const char *endpoint = etcd_fixture_endpoint(outage.etcd);
    const struct api_scene *scene = &outage.scene[0];
    crowd_open(&crowd, count);
    for (size_t i = 0; i < count; i++) {
        role_of(i, role);
        crowd_watch(&crowd, i, scene, role);
    }
    CHECK(crowd_await(&crowd, &crowd.snapshots, count, PATIENCE_MS));
    put_one_of_each(endpoint, scene->root, count, 1);
    CHECK(crowd_await(&crowd, &crowd.changes, count, PATIENCE_MS));
    CHECK(await_metric(endpoint, WATCHERS, (int64_t)count, (int64_t)count));
    const int64_t cut_ms = process_now_ms();
    proxy_set(outage.proxy[0], PROXY_REFUSE);
    CHECK(await_metric(endpoint, WATCHERS, 0, 0));
    put_one_of_each(endpoint, scene->root, count / 2, 2);
    proxy_set(outage.proxy[0], PROXY_FORWARD);
    const int64_t open_ms = process_now_ms();
    CHECK(await_metric(endpoint, WATCHERS, (int64_t)count, (int64_t)count));
    outage_say("C17: begun again after", process_now_ms() - open_ms);
    outage_say("C17: away for", open_ms - cut_ms);
    CHECK(process_now_ms() - open_ms <= outage_choose(PLAY_MS, FULL_MS));
    put_one_of_each(endpoint, scene->root, count, 3);
    CHECK(crowd_await(&crowd, &crowd.changes, 2 * count + count / 2, PATIENCE_MS));
    crowd_close(&crowd);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(crowd.members[i].changes, i < count / 2 ? 3 : 2);
    }
    CHECK_INT(crowd.resyncs + crowd.failures + crowd.disorder, 0);
    rollcall__monitor_fini(&crowd.monitor);
    free(crowd.members);
    outage_close(&outage);
}

/* ---- many of one range ---- */

/* C16: however many watch a range, etcd has one watch of it. */
TEST(watch_crowd, thousands_who_watch_one_range_are_one_watch_of_etcd_and_each_is_told_all)
{
    enum { CHANGES = 20 };
    const size_t count = (size_t)outage_choose(1000, 10000);
    struct outage outage;
    struct crowd crowd;
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    outage_open_node(&outage, NULL);
    const char *endpoint = etcd_fixture_endpoint(outage.etcd);
    crowd_open(&crowd, count);
    for (size_t i = 0; i < count; i++) {
        crowd_watch(&crowd, i, &outage.scene[0], "datanode");
    }
    CHECK(crowd_await(&crowd, &crowd.snapshots, count, PATIENCE_MS));
    for (int i = 1; i <= CHANGES; i++) {
        numbered_key(outage.scene[0].root, i % 3, key);
        numbered_value(i % 3, i, value);
        CHECK(gateway_put(endpoint, key, value, NULL));
    }
    CHECK(crowd_await(&crowd, &crowd.changes, CHANGES * count, PATIENCE_MS));
    CHECK_INT(gateway_metric(endpoint, WATCHERS), 1);
    crowd_close(&crowd);
    CHECK(await_metric(endpoint, WATCHERS, 0, 0));
    crowd_check(&crowd, CHANGES);
    outage_close(&outage);
}

/* ---- many that come and go ---- */

/* Opens so many, each of a range of its own or, every other, of one for all; half are closed before
 * they were told anything. */
static void come_and_go(const struct api_scene *scene, size_t count)
{
    struct crowd crowd;
    char role[ROLE_BYTES];
    crowd_open(&crowd, count);
    for (size_t i = 0; i < count; i++) {
        role_of(i % 2 == 0 ? 0 : i, role);
        crowd_watch(&crowd, i, scene, role);
        if (i % 4 < 2) {
            CHECK_INT(rollcall_watch_close(crowd.members[i].watch), ROLLCALL_OK);
            crowd.members[i].watch = NULL;
        }
    }
    CHECK(crowd_await(&crowd, &crowd.snapshots, count / 2, PATIENCE_MS));
    crowd_close(&crowd);
    crowd_check(&crowd, 0);
}

/* C18 */
TEST(watch_crowd, thousands_of_watches_that_come_and_go_leave_nothing_here_and_nothing_in_etcd)
{
    enum { AT_ONCE = 100, GROWTH_BYTES = 2 << 20 };
    const size_t rounds = (size_t)outage_choose(100, 1000);
    struct outage outage;
    size_t before_bytes = 0;
    outage_open_node(&outage, NULL);
    const char *endpoint = etcd_fixture_endpoint(outage.etcd);
    for (size_t round = 0; round < rounds; round++) {
        come_and_go(&outage.scene[0], AT_ONCE);
        before_bytes = round == rounds / 3 ? mallinfo2().uordblks : before_bytes;
    }
    CHECK(await_metric(endpoint, STREAMS, 0, 0));
    CHECK(await_metric(endpoint, WATCHERS, 0, 0));
    const size_t after_bytes = mallinfo2().uordblks; /* 0 under a sanitizer */
    outage_say("C18: grown by bytes", (int64_t)after_bytes - (int64_t)before_bytes);
    CHECK(after_bytes < before_bytes + GROWTH_BYTES);
    outage_close(&outage);
}

/*
 * Lives on real threads: actors that are spawned, fail, are restarted and stop all the time;
 * runtimes that come and go; and a runtime in which nothing happens, which must cost nothing.
 */
#include "support/stress.h"

#include <rollcall/runtime.h>

#include <dirent.h>
#include <string.h>

enum { CHURN_MS = 2000, BREEDERS = 4, CHILDREN_MAX = 20, CYCLES = 200, IDLE_ACTORS = 1000 };

#define LIFE_LIST(X)                                                                               \
    X(LIFE_TICK, 0)                /* a timer, of both */                                          \
    X(LIFE_HELLO, sizeof(int64_t)) /* breeder to child; object: counted */                         \
    X(LIFE_ANSWER, 0)              /* child to breeder */
ROLLCALL_MESSAGES(life_message, LIFE_LIST, LIFE_COUNT);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(LIFE_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(LIFE_LIST);
static const char *const STATES[] = {"ALIVE"};

static int64_t objects, lives; /* atomic: alive; inits minus finis */

static void destroy_object(struct rollcall_object *object)
{
    __atomic_fetch_sub(&objects, 1, __ATOMIC_RELAXED);
    free(object);
}

static struct rollcall_object *create_object(void)
{
    struct rollcall_object *object = malloc(sizeof *object);
    STRESS_CHECK(object != NULL);
    rollcall_object_init(object, destroy_object);
    __atomic_fetch_add(&objects, 1, __ATOMIC_RELAXED);
    return object;
}

/* ---- a child: lives until its luck runs out ---- */

struct child {
    struct rollcall_object *owned;
};

static int child_init(struct rollcall_context *cx, void *self, const void *options)
{
    struct child *child = self;
    (void)options;
    child->owned = create_object();
    __atomic_fetch_add(&lives, 1, __ATOMIC_RELAXED);
    stress_progress();
    rollcall_timer_set(cx, LIFE_TICK, rollcall_now_ms(cx) + (int64_t)(rollcall_random(cx) % 8));
    return rollcall_random(cx) % 16 == 0 ? rollcall_fail(cx, ROLLCALL_E_SYSTEM, "at birth") : 0;
}

static void child_fini(void *self)
{
    rollcall_object_drop(((struct child *)self)->owned);
    __atomic_fetch_sub(&lives, 1, __ATOMIC_RELAXED);
}

static int child_tick(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)self, (void)message;
    rollcall_timer_set(cx, LIFE_TICK, rollcall_now_ms(cx) + (int64_t)(rollcall_random(cx) % 8));
    switch (rollcall_random(cx) % 8) {
    case 0:
        return ROLLCALL_END;
    case 1:
        return ROLLCALL_FAIL;
    case 2:
        rollcall_stop(cx, rollcall_self(cx));
        return rollcall_fail(cx, ROLLCALL_E_ACTOR, "while stopping");
    default:
        return ROLLCALL_STAY;
    }
}

static int child_hello(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct child *child = self;
    rollcall_object_drop(child->owned);
    child->owned = rollcall_object_keep(message->object);
    ROLLCALL_DROP(rollcall_reply(cx, message->from, LIFE_ANSWER, NULL, 0, create_object()),
                  "a full breeder hears the next one");
    return rollcall_random(cx) % 32 == 0 ? ROLLCALL_FAIL : ROLLCALL_STAY;
}

static const struct rollcall_cell CHILD_TABLE[LIFE_COUNT] = {
    [LIFE_TICK] = {child_tick, 0}, [LIFE_HELLO] = {child_hello, 0}};
static const struct rollcall_actor_type CHILD = {
    .name = "child",
    .self_size_bytes = sizeof(struct child),
    .init = child_init,
    .fini = child_fini,
    .state_count = 1,
    .message_count = LIFE_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = CHILD_TABLE,
};

/* ---- a breeder: keeps its children busy, restarts some, stops some, forgets none ---- */

struct breeder {
    struct rollcall_ref children[CHILDREN_MAX];
};
static uint64_t strangers[BREEDERS]; /* atomic: a ref each breeder publishes for the others */

static int breeder_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    rollcall_timer_set(cx, LIFE_TICK, rollcall_now_ms(cx));
    return 0;
}

static void greet(struct rollcall_context *cx, struct rollcall_ref who)
{
    const int64_t number = 1;
    ROLLCALL_DROP(
        rollcall_send_object(cx, who, LIFE_HELLO, &number, sizeof number, create_object()),
        "full or gone: both are part of life");
}

static void breed(struct rollcall_context *cx, struct rollcall_ref *child)
{
    const enum rollcall_status status =
        rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &CHILD, .mailbox_messages = 8), child);
    STRESS_CHECK(status == ROLLCALL_OK);
    __atomic_store_n(&strangers[rollcall_random(cx) % BREEDERS], child->bits, __ATOMIC_RELAXED);
}

static bool is_mine(const struct breeder *breeder, struct rollcall_ref who)
{
    for (int i = 0; i < CHILDREN_MAX; i++) {
        if (rollcall_ref_equal(breeder->children[i], who)) {
            return true;
        }
    }
    return false;
}

static int breeder_tick(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct breeder *breeder = self;
    (void)message;
    for (int i = 0; i < 12; i++) {
        struct rollcall_ref *child = &breeder->children[rollcall_random(cx) % CHILDREN_MAX];
        const struct rollcall_ref stranger = {
            __atomic_load_n(&strangers[rollcall_random(cx) % BREEDERS], __ATOMIC_RELAXED)};
        switch (rollcall_random(cx) % 8) {
        case 0:
            rollcall_stop(cx, *child);
            break;
        case 1:
            rollcall_restart_child(cx, *child);
            break;
        case 2:
            if (!is_mine(breeder, stranger)) { /* a monitor hears of a restart as of an end */
                rollcall_monitor(cx, stranger);
            }
            break;
        case 3:
            rollcall_stop(cx, stranger);
            break;
        case 4:
            greet(cx, stranger);
            break;
        case 5:
            if (rollcall_ref_is_nobody(*child)) {
                breed(cx, child);
            }
            break;
        default:
            greet(cx, *child);
            break;
        }
    }
    rollcall_timer_set(cx, LIFE_TICK, rollcall_now_ms(cx));
    return ROLLCALL_STAY;
}

static int breeder_down(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct breeder *breeder = self;
    const struct rollcall_down *down = message->payload;
    for (int i = 0; i < CHILDREN_MAX; i++) {
        if (!rollcall_ref_equal(breeder->children[i], down->who)) {
            continue;
        }
        if (down->reason == ROLLCALL_DOWN_ENDED) {
            breeder->children[i].bits = 0;
        } else if (rollcall_random(cx) % 4 != 0) {
            rollcall_restart_child(cx, down->who);
        } else {
            rollcall_stop(cx, down->who);
        }
    }
    stress_progress();
    return ROLLCALL_STAY;
}

static const struct rollcall_cell BREEDER_TABLE[LIFE_COUNT] = {
    [ROLLCALL_DOWN] = {breeder_down, 0},
    [LIFE_TICK] = {breeder_tick, 0},
    [LIFE_ANSWER] = {rollcall_ignore, 0},
};
static const struct rollcall_actor_type BREEDER = {
    .name = "breeder",
    .self_size_bytes = sizeof(struct breeder),
    .init = breeder_init,
    .state_count = 1,
    .message_count = LIFE_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = BREEDER_TABLE,
};

static void ignore_record(void *user, enum rollcall_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static struct rollcall_runtime *create(uint32_t workers)
{
    struct rollcall_runtime *rt;
    struct rollcall_error error;
    if (rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = workers, .log = ignore_record),
                                &rt, &error) != ROLLCALL_OK) {
        stress_fail("create: %s", error.text);
    }
    return rt;
}

static void spawn(struct rollcall_runtime *rt, uint32_t worker,
                  const struct rollcall_actor_type *type)
{
    struct rollcall_ref ref;
    STRESS_CHECK(rollcall_runtime_spawn(rt, worker, ROLLCALL_SPAWN_OPTIONS(.type = type), &ref,
                                        NULL) == ROLLCALL_OK);
}

static struct rollcall_runtime_stats stats_of(struct rollcall_runtime *rt)
{
    struct rollcall_runtime_stats stats;
    STRESS_CHECK(rollcall_runtime_stats(rt, &stats) == ROLLCALL_OK);
    return stats;
}

static void run_churn(uint32_t workers)
{
    struct rollcall_runtime *rt = create(workers);
    for (uint32_t i = 0; i < BREEDERS; i++) {
        __atomic_store_n(&strangers[i], 0, __ATOMIC_RELAXED); /* refs of an earlier runtime */
    }
    for (uint32_t i = 0; i < BREEDERS; i++) {
        spawn(rt, i, &BREEDER);
    }
    usleep(CHURN_MS * 1000);
    const struct rollcall_runtime_stats stats = stats_of(rt);
    fprintf(stderr,
            "  %" PRIu64 " delivered, %" PRIu64 " failed, %" PRIu64 " restarted, %" PRIu64
            " timers, %" PRIu64 " stale, %" PRIu64 " bounced\n",
            stats.delivered, stats.failures, stats.restarts, stats.timers_fired, stats.stale,
            stats.bounced);
    STRESS_CHECK(stats.failures > 50 && stats.restarts > 50 && stats.impossible == 0);
    STRESS_CHECK(stats.actors <= BREEDERS * (1 + CHILDREN_MAX));
    STRESS_CHECK(rollcall_runtime_destroy(rt) == ROLLCALL_OK);
    STRESS_CHECK(__atomic_load_n(&objects, __ATOMIC_RELAXED) == 0);
    STRESS_CHECK(__atomic_load_n(&lives, __ATOMIC_RELAXED) == 0);
}

/* ---- what is left behind ---- */

static int count_entries(const char *path)
{
    DIR *folder = opendir(path);
    int count = 0;
    STRESS_CHECK(folder != NULL);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void run_cycles(void)
{
    int threads = 0, files = 0;
    for (int i = 0; i < CYCLES; i++) {
        struct rollcall_runtime *rt = create(1 + (uint32_t)i % 4);
        spawn(rt, (uint32_t)i, i % 2 == 0 ? &CHILD : &BREEDER);
        STRESS_CHECK(rollcall_runtime_destroy(rt) == ROLLCALL_OK);
        stress_progress();
        if (i == 0) { /* a sanitizer's own thread is there from now on */
            threads = count_entries("/proc/self/task");
            files = count_entries("/proc/self/fd");
        }
    }
    /* A joined thread may still be listed for an instant: the kernel is not done with it. */
    for (int i = 0; i < 1000 && count_entries("/proc/self/task") > threads; i++) {
        usleep(1000);
    }
    STRESS_CHECK(count_entries("/proc/self/task") <= threads);
    STRESS_CHECK(count_entries("/proc/self/fd") == files);
    STRESS_CHECK(__atomic_load_n(&objects, __ATOMIC_RELAXED) == 0);
}

/* ---- what idling costs ---- */

static int sleeper_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self, (void)options;
    return 0;
}

static const struct rollcall_cell SLEEPER_TABLE[LIFE_COUNT] = {[LIFE_HELLO] = {rollcall_ignore, 0}};
static const struct rollcall_actor_type SLEEPER = {
    .name = "sleeper",
    .self_size_bytes = 64,
    .init = sleeper_init,
    .state_count = 1,
    .message_count = LIFE_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = SLEEPER_TABLE,
};

struct cost {
    long switches, ticks;
    int workers;
};

/* Adds what the kernel says about one thread, if it is a worker. */
static void add_cost(struct cost *cost, const char *task)
{
    char path[300], line[512];
    long voluntary = 0, user = 0, system = 0;
    bool worker = false;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        worker |= strncmp(line, "Name:\trollcall-w", 16) == 0;
        (void)sscanf(line, "voluntary_ctxt_switches: %ld", &voluntary);
    }
    if (file != NULL) {
        fclose(file);
    }
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", task);
    file = fopen(path, "re");
    if (file != NULL && fgets(line, sizeof line, file) != NULL && strrchr(line, ')') != NULL) {
        (void)sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
                     &user, &system);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (worker) {
        cost->switches += voluntary;
        cost->ticks += user + system;
        cost->workers++;
    }
}

static struct cost measure(void)
{
    struct cost cost = {0};
    DIR *tasks = opendir("/proc/self/task");
    STRESS_CHECK(tasks != NULL);
    for (struct dirent *each; (each = readdir(tasks)) != NULL;) {
        if (each->d_name[0] != '.') {
            add_cost(&cost, each->d_name);
        }
    }
    closedir(tasks);
    return cost;
}

static void run_idle(void)
{
    struct rollcall_runtime *rt = create(2);
    for (uint32_t i = 0; i < IDLE_ACTORS; i++) {
        spawn(rt, i, &SLEEPER);
    }
    STRESS_CHECK(stats_of(rt).actors == IDLE_ACTORS);
    usleep(1500000); /* ck wakes a sleeper once, a second after it fell asleep, and then never */
    const struct cost before = measure();
    sleep(2);
    const struct cost after = measure();
    fprintf(stderr, "  %d workers, %ld switches, %ld ticks in 2 s\n", after.workers,
            after.switches - before.switches, after.ticks - before.ticks);
    STRESS_CHECK(before.workers == 2 && after.workers == 2);
    STRESS_CHECK(after.switches == before.switches);
    STRESS_CHECK(after.ticks == before.ticks);
    STRESS_CHECK(rollcall_runtime_destroy(rt) == ROLLCALL_OK);
}

int main(void)
{
    stress_begin(); /* the workers draw their own seeds: real threads do not repeat anyway */
    stress_enter("spawn, fail, restart and stop on one worker");
    run_churn(1);
    stress_enter("spawn, fail, restart and stop on two workers");
    run_churn(2);
    stress_enter("spawn, fail, restart and stop on four workers");
    run_churn(4);
    stress_enter("create and destroy");
    run_cycles();
    stress_enter("nothing");
    run_idle();
    return EXIT_SUCCESS;
}

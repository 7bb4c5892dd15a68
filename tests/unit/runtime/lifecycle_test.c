/*
 * An actor's life in the simulator.  The subject writes what happens to it into a journal, as
 * words: "a:init1" is the init of incarnation 1 of the one named a.
 */
#include "support/probe.h"
#include "support/test.h"

#include <rollcall/testing.h>

#include <stdarg.h>

#define SUBJECT_LIST(X)                                                                            \
    X(SUBJECT_ADD, 0) /* to self and to the handover, and says both */                             \
    X(SUBJECT_FAIL, 0)                                                                             \
    X(SUBJECT_END, 0)                                                                              \
    X(SUBJECT_ARM, sizeof(int64_t)) /* sets the timer */                                           \
    X(SUBJECT_TIMER, 0)                                                                            \
    X(SUBJECT_SPAWN, sizeof(struct spawn))                                                         \
    X(SUBJECT_RESTART_CHILD, 0)
enum kind { PLAIN, RESTARTER, LINGERER, STILLBORN, KIND_COUNT };
struct spawn {
    enum kind kind;
    char name[16];
};
ROLLCALL_MESSAGES(subject_message, SUBJECT_LIST, SUBJECT_COUNT);

struct subject_options {
    const char *name;
    enum kind kind;
    struct rollcall_object *object; /* moved; NULL: none */
};
struct subject {
    const struct subject_options *options;
    struct rollcall_ref child;
    uint16_t epoch;
    int sum;
};
struct handover {
    int sum;
    bool freed;
};

static const struct rollcall_actor_type TYPES[KIND_COUNT];
static char journal[4096];
static struct rollcall_ref last_child;

static void note(const char *format, ...) ROLLCALL_PRINTF(1, 2);
static void note(const char *format, ...)
{
    const size_t used = strlen(journal);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(journal + used, sizeof journal - used, format, arguments);
    va_end(arguments);
}

/* What was noted since the last look. */
static const char *noted(void)
{
    static char copy[sizeof journal];
    memcpy(copy, journal, sizeof copy);
    journal[0] = '\0';
    return copy;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct subject *subject = self;
    CHECK(subject->sum == 0 && subject->options == NULL); /* zeroed, also before a restart's */
    subject->options = options;
    subject->epoch = rollcall_epoch(cx);
    note("%s:init%u ", subject->options->name, subject->epoch);
    return subject->options->kind == STILLBORN
               ? rollcall_fail(cx, ROLLCALL_E_SYSTEM, "%s never lived", subject->options->name)
               : 0;
}

static void fini(void *self)
{
    const struct subject *subject = self;
    note("%s:fini%u ", subject->options->name, subject->epoch);
}

static void options_fini(void *options)
{
    const struct subject_options *o = options;
    note("%s:options ", o->name);
    rollcall_object_drop(o->object);
}

static void handover_fini(void *handover)
{
    struct handover *h = handover;
    CHECK(!h->freed);
    h->freed = true;
    note("handover%d ", h->sum);
}

static int on_add(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct subject *subject = self;
    struct handover *handover = rollcall_handover(cx);
    (void)message;
    subject->sum++;
    handover->sum++;
    note("%s:sum%d/%d ", subject->options->name, subject->sum, handover->sum);
    return ROLLCALL_STAY;
}

static int on_fail(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct subject *subject = self;
    (void)message;
    return rollcall_fail(cx, ROLLCALL_E_DENIED, "%s is tired", subject->options->name);
}

static int on_end(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return ROLLCALL_END;
}

static int on_arm(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const int64_t *at_ms = message->payload;
    (void)self;
    rollcall_timer_set(cx, SUBJECT_TIMER, *at_ms);
    return ROLLCALL_STAY;
}

static int on_timer(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct subject *subject = self;
    (void)message;
    note("%s:timer@%d ", subject->options->name, (int)rollcall_now_ms(cx));
    return ROLLCALL_STAY;
}

static int on_spawn(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    static char names[8][16]; /* outlive the message */
    static int used;
    const struct spawn *spawn = message->payload;
    struct subject *subject = self;
    char *name = names[used++ % 8];
    memcpy(name, spawn->name, sizeof spawn->name);
    const struct subject_options options = {.name = name, .kind = spawn->kind};
    CHECK_INT(
        rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &TYPES[spawn->kind], .options = &options),
                       &subject->child),
        ROLLCALL_OK);
    last_child = subject->child;
    return ROLLCALL_STAY;
}

static int on_restart_child(struct rollcall_context *cx, void *self,
                            const struct rollcall_message *message)
{
    (void)message;
    rollcall_restart_child(cx, ((const struct subject *)self)->child);
    return ROLLCALL_STAY;
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct subject *subject = self;
    const struct rollcall_down *down = message->payload;
    const bool failed = down->reason == ROLLCALL_DOWN_FAILED;
    note("%s:down-%s%u ", subject->options->name, failed ? "failed" : "ended", down->epoch);
    if (failed) {
        rollcall_restart_child(cx, down->who);
    }
    return ROLLCALL_STAY;
}

#define COMMON_CELLS                                                                               \
    [SUBJECT_ADD] = {on_add, 0}, [SUBJECT_FAIL] = {on_fail, 0}, [SUBJECT_END] = {on_end, 0},       \
    [SUBJECT_ARM] = {on_arm, 0}, [SUBJECT_TIMER] = {on_timer, 0}, [SUBJECT_SPAWN] = {on_spawn, 0}, \
    [SUBJECT_RESTART_CHILD] = {on_restart_child, 0}
static const struct rollcall_cell PLAIN_TABLE[SUBJECT_COUNT] = {COMMON_CELLS};
static const struct rollcall_cell RESTARTER_TABLE[SUBJECT_COUNT] = {
    COMMON_CELLS, [ROLLCALL_DOWN] = {on_down, 0}};
static const struct rollcall_cell LINGERER_TABLE[SUBJECT_COUNT] = {
    COMMON_CELLS, [ROLLCALL_STOP] = {rollcall_ignore, 0}};
static const char *const STATE_NAMES[] = {"LIVING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(SUBJECT_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SUBJECT_LIST);

#define SUBJECT_TYPE(table_)                                                                       \
    {                                                                                              \
        .name = "subject", .self_size_bytes = sizeof(struct subject),                              \
        .options_size_bytes = sizeof(struct subject_options),                                      \
        .handover_size_bytes = sizeof(struct handover), .init = init, .fini = fini,                \
        .options_fini = options_fini, .handover_fini = handover_fini, .state_count = 1,            \
        .message_count = SUBJECT_COUNT, .state_names = STATE_NAMES,                                \
        .message_names = MESSAGE_NAMES, .payload_sizes = PAYLOAD_SIZES, .table = table_            \
    }
static const struct rollcall_actor_type TYPES[KIND_COUNT] = {
    [PLAIN] = SUBJECT_TYPE(PLAIN_TABLE),
    [RESTARTER] = SUBJECT_TYPE(RESTARTER_TABLE),
    [LINGERER] = SUBJECT_TYPE(LINGERER_TABLE),
    [STILLBORN] = SUBJECT_TYPE(PLAIN_TABLE),
};

/* ---- what the tests say ---- */

static struct rollcall_sim *sim;
static struct rollcall_runtime *rt;
static struct probe *watcher; /* hears of ends, on the other worker */

static void quiet(void *user, const char *line)
{
    (void)user, (void)line;
}

static void begin(uint64_t seed)
{
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed), &sim, NULL), ROLLCALL_OK);
    rt = rollcall_sim_runtime(sim);
    watcher = probe_create("watcher", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    probe_spawn(watcher, rt, 1);
    CHECK(rollcall_sim_settle(sim, 1000));
    journal[0] = '\0';
}

static void finish(void)
{
    rollcall_sim_destroy(sim);
    probe_destroy(watcher);
}

static struct rollcall_ref spawn_with(const char *name, enum kind kind,
                                      struct rollcall_object *object)
{
    const struct subject_options options = {.name = name, .kind = kind, .object = object};
    struct rollcall_ref ref;
    CHECK_INT(
        rollcall_runtime_spawn(
            rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &TYPES[kind], .options = &options), &ref, NULL),
        ROLLCALL_OK);
    return ref;
}

static void settle(void)
{
    CHECK(rollcall_sim_settle(sim, 10000));
}

static void tell_only(struct rollcall_ref who, uint16_t type)
{
    CHECK_INT(rollcall_runtime_send(rt, who, type, NULL, 0, NULL), ROLLCALL_OK);
}

static void tell(struct rollcall_ref who, uint16_t type)
{
    tell_only(who, type);
    settle();
}

static struct rollcall_ref tell_to_spawn(struct rollcall_ref parent, const char *name,
                                         enum kind kind)
{
    struct spawn spawn = {.kind = kind};
    snprintf(spawn.name, sizeof spawn.name, "%s", name);
    CHECK_INT(rollcall_runtime_send(rt, parent, SUBJECT_SPAWN, &spawn, sizeof spawn, NULL),
              ROLLCALL_OK);
    settle();
    return last_child;
}

static void arm(struct rollcall_ref who, int64_t at_ms)
{
    CHECK_INT(rollcall_runtime_send(rt, who, SUBJECT_ARM, &at_ms, sizeof at_ms, NULL), ROLLCALL_OK);
}

static void monitor(struct rollcall_context *cx, void *who)
{
    rollcall_monitor(cx, *(struct rollcall_ref *)who);
}

static void watch(struct rollcall_ref who)
{
    probe_run(watcher, rt, monitor, &who);
    settle();
}

static struct rollcall_down heard(size_t nth)
{
    struct rollcall_down down;
    memcpy(&down, probe_payload(probe_find(watcher, ROLLCALL_DOWN, nth)), sizeof down);
    return down;
}

static struct rollcall_runtime_stats stats(void)
{
    struct rollcall_runtime_stats now;
    CHECK_INT(rollcall_runtime_stats(rt, &now), ROLLCALL_OK);
    return now;
}

/* ---- begin ---- */

TEST(lifecycle, init_runs_before_any_message_and_in_spawn_order)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed);
        const struct rollcall_ref a = spawn_with("a", PLAIN, NULL);
        tell_only(a, SUBJECT_ADD);
        CHECK_STR(rollcall_sim_state(sim, a), "NEW");
        settle();
        CHECK_STR(noted(), "a:init1 a:sum1/1 ");
        CHECK_STR(rollcall_sim_state(sim, a), "LIVING");
        finish();
    }
}

TEST(lifecycle, an_actor_that_cannot_begin_has_failed)
{
    begin(1);
    const struct rollcall_ref alone = spawn_with("a", STILLBORN, NULL);
    settle();
    CHECK_STR(noted(), "a:init1 a:fini1 handover0 a:options ");
    CHECK_STR(rollcall_sim_state(sim, alone), "ENDED");
    CHECK_INT(stats().failures, 1);
    finish();
}

/* ---- STOP, END and the family ---- */

TEST(lifecycle, an_unhandled_stop_ends_at_once_and_frees_everything_once)
{
    int alive = 0;
    begin(1);
    const struct rollcall_ref a = spawn_with("a", PLAIN, probe_object(&alive));
    tell(a, SUBJECT_ADD);
    noted();
    rollcall_runtime_stop(rt, a);
    settle();
    CHECK_STR(noted(), "a:fini1 handover1 a:options ");
    CHECK_STR(rollcall_sim_state(sim, a), "ENDED");
    CHECK_INT(alive, 0);
    finish();
    CHECK_STR(noted(), "");
}

TEST(lifecycle, a_parent_hears_of_its_childs_end_and_a_stranger_does_not)
{
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", RESTARTER, NULL);
    const struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
    noted();
    tell(child, SUBJECT_END);
    CHECK_STR(noted(), "c:fini1 handover0 c:options p:down-ended1 ");
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 0);
    finish();
}

TEST(lifecycle, an_ended_actors_slot_is_reused_under_another_ref)
{
    begin(1);
    struct rollcall_ref seen[200];
    for (int i = 0; i < 200; i++) {
        seen[i] = spawn_with("a", PLAIN, NULL);
        settle();
        for (int j = 0; j < i; j++) {
            CHECK(!rollcall_ref_equal(seen[i], seen[j]));
        }
        tell(seen[i], SUBJECT_END);
        CHECK_STR(rollcall_sim_state(sim, seen[i]), "ENDED");
    }
    CHECK_INT(stats().actors, 1);
    tell(seen[0], SUBJECT_ADD);
    CHECK_INT(stats().dead_letters, 1);
    noted();
    finish();
}

/* ---- failing and restarting ---- */

TEST(lifecycle, a_failure_goes_up_until_somebody_handles_down)
{
    begin(1);
    const struct rollcall_ref top = spawn_with("t", RESTARTER, NULL);
    const struct rollcall_ref middle = tell_to_spawn(top, "m", PLAIN);
    const struct rollcall_ref leaf = tell_to_spawn(middle, "l", PLAIN);
    watch(middle);
    noted();
    tell(leaf, SUBJECT_FAIL);
    CHECK_STR(noted(), "l:fini1 m:fini1 handover0 l:options t:down-failed1 m:init2 ");
    CHECK_STR(rollcall_sim_state(sim, leaf), "ENDED");
    CHECK_STR(rollcall_sim_state(sim, middle), "LIVING");
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 1);
    CHECK_INT(heard(0).reason, ROLLCALL_DOWN_FAILED);
    CHECK_INT(heard(0).status, ROLLCALL_E_DENIED);
    const struct rollcall_reason *reason =
        (const struct rollcall_reason *)probe_find(watcher, ROLLCALL_DOWN, 0)->object;
    CHECK_STR(reason->error.text, "l is tired"); /* the leaf's words, all the way up */
    finish();
}

TEST(lifecycle, a_root_that_fails_ends)
{
    begin(1);
    const struct rollcall_ref root = spawn_with("r", PLAIN, NULL);
    watch(root);
    noted();
    tell(root, SUBJECT_FAIL);
    CHECK_STR(noted(), "r:fini1 handover0 r:options ");
    CHECK_STR(rollcall_sim_state(sim, root), "ENDED");
    CHECK_INT(heard(0).reason, ROLLCALL_DOWN_FAILED);
    CHECK_INT(stats().failures, 1);
    finish();
}

TEST(lifecycle, a_restart_keeps_ref_options_handover_and_mailbox_and_drops_self_and_timers)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed);
        const struct rollcall_ref parent = spawn_with("p", RESTARTER, NULL);
        const struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
        arm(child, 50);
        tell(child, SUBJECT_ADD);
        noted();
        tell_only(child, SUBJECT_FAIL);
        tell_only(child, SUBJECT_ADD);
        tell_only(child, SUBJECT_ADD);
        settle();
        CHECK_STR(noted(), "c:fini1 p:down-failed1 c:init2 c:sum1/2 c:sum2/3 ");
        rollcall_sim_run_until(sim, 100);
        CHECK_STR(noted(), ""); /* the timer belonged to the first incarnation */
        CHECK_INT(stats().restarts, 1);
        finish();
    }
}

TEST(lifecycle, a_timer_that_fired_before_the_restart_is_not_delivered_after_it)
{
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", RESTARTER, NULL);
    const struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
    noted();
    arm(child, 0); /* fires before this settles; the crash comes first, whatever the order */
    while (strcmp(rollcall_sim_state(sim, child), "FAILED") != 0) {
        rollcall_sim_crash(sim, child, ROLLCALL_E_ACTOR);
        CHECK(rollcall_sim_step(sim));
    }
    settle();
    CHECK(strstr(noted(), "timer") == NULL);
    finish();
}

TEST(lifecycle, a_running_child_may_be_restarted_and_its_children_stop)
{
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", RESTARTER, NULL);
    const struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
    tell_to_spawn(child, "g", PLAIN);
    watch(child);
    noted();
    tell(parent, SUBJECT_RESTART_CHILD);
    const char *text = noted();
    CHECK(strstr(text, "c:fini1 ") == text && strstr(text, "c:init2 ") != NULL);
    CHECK(strstr(text, "g:fini1 ") != NULL && strstr(text, "down") == NULL);
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 1);
    CHECK_INT(heard(0).epoch, 1);
    finish();
}

static void restart_other(struct rollcall_context *cx, void *who)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)who);
}

TEST(lifecycle, only_a_parent_may_restart)
{
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", PLAIN, NULL);
    struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
    probe_spawn(watcher, rt, 0); /* on the child's worker, and a stranger all the same */
    settle();
    noted();
    probe_run(watcher, rt, restart_other, &child);
    settle();
    CHECK_STR(noted(), "");
    CHECK_STR(rollcall_sim_state(sim, child), "LIVING");
    CHECK_INT(stats().restarts, 0);
    finish();
}

TEST(lifecycle, a_child_that_fails_with_its_stop_still_unread_ends)
{
    begin(1);
    const struct rollcall_ref parent = probe_ref(watcher);
    const struct subject_options options = {.name = "c", .kind = PLAIN};
    struct rollcall_ref child;
    CHECK_INT(
        rollcall_runtime_spawn(rt, 1,
                               ROLLCALL_SPAWN_OPTIONS(.type = &TYPES[PLAIN], .options = &options,
                                                      .supervisor = parent),
                               &child, NULL),
        ROLLCALL_OK);
    settle();
    rollcall_sim_crash(sim, child, ROLLCALL_E_ACTOR);
    rollcall_runtime_stop(rt,
                          child); /* the crash takes the first STOP: as if it had failed on it */
    rollcall_runtime_stop(rt, child);
    settle();
    CHECK_STR(rollcall_sim_state(sim, child), "ENDED");
    finish();
    noted();
}

TEST(lifecycle, a_parent_that_ends_takes_its_failed_child_along)
{
    begin(1);
    struct probe *parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    const struct rollcall_ref parent_ref = probe_spawn(parent, rt, 0);
    const struct subject_options options = {.name = "c", .kind = PLAIN};
    struct rollcall_ref child;
    CHECK_INT(
        rollcall_runtime_spawn(rt, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &TYPES[PLAIN], .options = &options,
                                                      .supervisor = parent_ref),
                               &child, NULL),
        ROLLCALL_OK);
    settle();
    CHECK_INT(probe_count(parent, ROLLCALL_ADOPT), 1);
    tell(child, SUBJECT_FAIL);
    CHECK_STR(rollcall_sim_state(sim, child), "FAILED");
    CHECK_INT(probe_count(parent, ROLLCALL_DOWN), 1);
    tell(child, SUBJECT_ADD); /* kept for the next incarnation, which never comes */
    rollcall_runtime_stop(rt, parent_ref);
    settle();
    CHECK_STR(rollcall_sim_state(sim, child), "ENDED");
    CHECK_STR(noted(), "c:init1 c:fini1 handover0 c:options ");
    finish();
    probe_destroy(parent);
}

/* ---- monitors ---- */

TEST(lifecycle, a_monitor_on_another_worker_hears_each_incarnation_end_once)
{
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", RESTARTER, NULL);
    const struct rollcall_ref child = tell_to_spawn(parent, "c", PLAIN);
    watch(child);
    watch(child); /* asked twice, told once */
    tell(child, SUBJECT_FAIL);
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 1);
    tell(child, SUBJECT_END);
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 2);
    CHECK_INT(heard(0).epoch, 1);
    CHECK_INT(heard(1).epoch, 2);
    CHECK_INT(heard(1).reason, ROLLCALL_DOWN_ENDED);
    CHECK(rollcall_ref_equal(heard(1).who, child));
    watch(child); /* at once: it has ended already */
    CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), 3);
    finish();
}

TEST(lifecycle, a_monitor_of_nobody_is_told_at_once_on_every_worker)
{
    begin(1);
    for (uint32_t worker = 0; worker < 2; worker++) {
        probe_spawn(watcher, rt, worker);
        watch((struct rollcall_ref){0});
        CHECK_INT(probe_count(watcher, ROLLCALL_DOWN), worker + 1);
    }
    finish();
}

TEST(lifecycle, destroy_ends_everybody_however_they_are)
{
    int alive = 0;
    begin(1);
    const struct rollcall_ref parent = spawn_with("p", LINGERER, probe_object(&alive));
    tell_to_spawn(parent, "c", LINGERER);
    tell_to_spawn(last_child, "g", PLAIN);
    arm(last_child, 1000);
    settle();
    rollcall_sim_crash(sim, parent, ROLLCALL_E_ACTOR);
    spawn_with("new", PLAIN, probe_object(&alive)); /* its init never runs */
    CHECK_INT(rollcall_runtime_send(rt, parent, SUBJECT_ADD, NULL, 0, probe_object(&alive)),
              ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_trace(rt, quiet, NULL), ROLLCALL_OK);
    finish();
    CHECK_INT(alive, 0);
    CHECK(strstr(noted(), "new:fini") == NULL);
}

/* What the runtime says when a handler's memory fails: a status, and never another one. */
#include "sim/sim.h"

#include "support/probe.h"
#include "support/test.h"

static int begin_to_live(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    return rollcall_fail(cx, ROLLCALL_E_DENIED, "it never lived");
}

static const struct rollcall_cell TABLE[ROLLCALL_SIGNAL_COUNT];
static const char *const STATES[] = {"LIVING"};
#define NOTHING(X)
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(NOTHING);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(NOTHING);
static const struct rollcall_actor_type STILLBORN = {
    .name = "stillborn",
    .self_size_bytes = 8,
    .init = begin_to_live,
    .state_count = 1,
    .message_count = ROLLCALL_SIGNAL_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE,
};

struct bench {
    struct rollcall_sim *sim;
    struct probe *parent;
    enum rollcall_status spawned;
    struct rollcall_ref child;
};

static void spawn(struct rollcall_context *cx, void *user)
{
    struct bench *b = *(struct bench **)user;
    b->spawned = rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &STILLBORN), &b->child);
}

static void no_memory(struct bench *b, bool none)
{
    const struct rollcall__fault_plan plan = {.rates = {[ROLLCALL_FAULT_MEMORY] = none ? 1 : 0}};
    rollcall__faults_init(&b->sim->faults, 1, &plan);
    b->sim->faults.off = false;
}

static void open(struct bench *b)
{
    *b = (struct bench){.spawned = ROLLCALL_STATUS_COUNT};
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = 1), &b->sim, NULL), ROLLCALL_OK);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    probe_spawn(b->parent, rollcall_sim_runtime(b->sim), 0);
    CHECK(rollcall_sim_settle(b->sim, 1000));
}

static void close_bench(struct bench *b)
{
    rollcall_sim_destroy(b->sim);
    probe_destroy(b->parent);
}

static void spawn_one(struct bench *b)
{
    probe_run(b->parent, rollcall_sim_runtime(b->sim), spawn, &b);
    while (b->spawned == ROLLCALL_STATUS_COUNT) {
        CHECK(rollcall_sim_step(b->sim));
    }
}

TEST(memory, a_spawn_in_a_handler_says_that_there_was_none_and_leaves_nothing)
{
    struct rollcall_runtime_stats before, after;
    struct bench b;
    open(&b);
    CHECK_INT(rollcall_runtime_stats(rollcall_sim_runtime(b.sim), &before), ROLLCALL_OK);
    no_memory(&b, true);
    spawn_one(&b);
    CHECK_INT(b.spawned, ROLLCALL_E_NO_MEMORY);
    CHECK_INT(rollcall_runtime_stats(rollcall_sim_runtime(b.sim), &after), ROLLCALL_OK);
    CHECK_INT(after.actors, before.actors);
    close_bench(&b);
}

TEST(memory, a_failure_without_any_for_its_words_keeps_its_status)
{
    for (int none = 0; none < 2; none++) {
        struct bench b;
        struct rollcall_down down;
        open(&b);
        spawn_one(&b);
        CHECK_INT(b.spawned, ROLLCALL_OK);
        no_memory(&b, none == 1);
        CHECK(rollcall_sim_settle(b.sim, 1000));
        const struct probe_message *told = probe_find(b.parent, ROLLCALL_DOWN, 0);
        CHECK(told != NULL);
        memcpy(&down, probe_payload(told), sizeof down);
        CHECK_INT(down.reason, ROLLCALL_DOWN_FAILED);
        CHECK_INT(down.status, ROLLCALL_E_DENIED);
        CHECK_INT(told->object == NULL, none);
        close_bench(&b);
    }
}

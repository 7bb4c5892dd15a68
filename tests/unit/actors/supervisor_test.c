/* What a supervisor makes of failures: children are probes, time is virtual. */
#include "actors/supervisor.h"

#include "support/probe.h"
#include "unit/actors/world.h"

enum { SEEDS = 20, CHILDREN = 3 };

struct bench {
    struct world world;
    struct probe *parent, *child[CHILDREN];
    struct rollcall_ref supervisor, ref[CHILDREN];
};

static void spawn_supervisor(struct rollcall_context *cx, void *user)
{
    struct bench *b = ((void **)user)[0];
    CHECK_INT(rollcall_spawn(
                  cx,
                  ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = ((void **)user)[1]),
                  &b->supervisor),
              ROLLCALL_OK);
}

/* The parent is told when the supervisor fails. */
static void open(struct bench *b, struct supervisor_options options)
{
    void *user[] = {b, &options};
    world_open(&b->world);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    probe_spawn(b->parent, b->world.rt, 0);
    probe_run(b->parent, b->world.rt, spawn_supervisor, user);
    world_settle(&b->world);
    for (int i = 0; i < CHILDREN; i++) {
        b->child[i] = probe_create("child", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    }
}

static void adopt(struct bench *b, int index, enum rollcall_restart restart)
{
    const struct probe_options options = {b->child[index]};
    b->ref[index] =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->child[index]), .options = &options,
                                           .supervisor = b->supervisor, .restart = restart));
    world_settle(&b->world);
}

static void adopt_all(struct bench *b)
{
    for (int i = 0; i < CHILDREN; i++) {
        adopt(b, i, ROLLCALL_PERMANENT);
    }
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->parent);
    for (int i = 0; i < CHILDREN; i++) {
        probe_destroy(b->child[i]);
    }
}

/* Fails it now: ADOPT is a message it never gets otherwise. */
static void crash(struct bench *b, int index, enum rollcall_status status)
{
    const struct rollcall_adopt nobody = {.restart = ROLLCALL_PERMANENT};
    rollcall_sim_crash(b->world.sim, b->ref[index], status);
    world_send(&b->world, b->ref[index], ROLLCALL_ADOPT, &nobody, sizeof nobody, NULL);
    world_settle(&b->world);
}

static bool is_failed(const struct bench *b, int index)
{
    return strcmp(rollcall_sim_state(b->world.sim, b->ref[index]), "FAILED") == 0;
}

/* How long it stays failed. */
static int64_t crash_and_wait(struct bench *b, int index, enum rollcall_status status)
{
    const int64_t begin_ms = rollcall_sim_now_ms(b->world.sim);
    crash(b, index, status);
    while (is_failed(b, index) && rollcall_sim_now_ms(b->world.sim) - begin_ms < 10000) {
        world_run(&b->world, 1);
    }
    return rollcall_sim_now_ms(b->world.sim) - begin_ms;
}

/* The incarnation of a child, which it tells by what it records. */
static uint16_t epoch(struct bench *b, int index)
{
    const struct rollcall_adopt nobody = {.restart = ROLLCALL_PERMANENT};
    world_send(&b->world, b->ref[index], ROLLCALL_ADOPT, &nobody, sizeof nobody, NULL);
    world_settle(&b->world);
    return probe_last(b->child[index], ROLLCALL_ADOPT)->epoch;
}

/* ---- whom it restarts ---- */

TEST(supervisor, one_for_one_restarts_only_the_child_that_failed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        adopt_all(&b);
        CHECK_STATE(&b.world, b.supervisor, "WATCHING");
        crash(&b, 1, ROLLCALL_E_ACTOR);
        CHECK_STATE(&b.world, b.supervisor, "BACKING_OFF");
        world_run(&b.world, 100);
        CHECK_STATE(&b.world, b.supervisor, "WATCHING");
        CHECK_INT(epoch(&b, 0), 1);
        CHECK_INT(epoch(&b, 1), 2);
        CHECK_INT(epoch(&b, 2), 1);
        close_bench(&b);
    }
}

TEST(supervisor, rest_for_one_restarts_the_younger_ones_too)
{
    for (int failed = 0; failed < CHILDREN; failed++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, (struct supervisor_options){.strategy = SUPERVISOR_REST_FOR_ONE});
            adopt_all(&b);
            crash(&b, failed, ROLLCALL_E_ACTOR);
            world_run(&b.world, 100);
            for (int i = 0; i < CHILDREN; i++) {
                CHECK_INT(epoch(&b, i), i < failed ? 1 : 2);
            }
            close_bench(&b);
        }
    }
}

TEST(supervisor, children_that_fail_together_are_restarted_once_each)
{
    for (int strategy = SUPERVISOR_ONE_FOR_ONE; strategy <= SUPERVISOR_REST_FOR_ONE; strategy++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, (struct supervisor_options){.strategy = (enum supervisor_strategy)strategy});
            adopt_all(&b);
            crash(&b, 0, ROLLCALL_E_ACTOR);
            crash(&b, 2, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
            CHECK_STATE(&b.world, b.supervisor, "WATCHING");
            CHECK_INT(epoch(&b, 0), 2);
            CHECK(epoch(&b, 2) == 2 || (strategy == SUPERVISOR_REST_FOR_ONE && epoch(&b, 2) == 3));
            close_bench(&b);
        }
    }
}

TEST(supervisor, a_temporary_child_is_not_restarted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        adopt(&b, 0, ROLLCALL_TEMPORARY);
        crash(&b, 0, ROLLCALL_E_ACTOR);
        world_run(&b.world, 1000);
        CHECK_STATE(&b.world, b.ref[0], "ENDED");
        CHECK_STATE(&b.world, b.supervisor, "WATCHING");
        close_bench(&b);
    }
}

TEST(supervisor, a_child_that_ended_is_forgotten)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_REST_FOR_ONE});
        adopt_all(&b);
        rollcall_runtime_stop(b.world.rt, b.ref[1]);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.ref[1], "ENDED");
        crash(&b, 0, ROLLCALL_E_ACTOR);
        rollcall_runtime_stop(b.world.rt, b.ref[0]); /* while it waits for its restart */
        world_run(&b.world, 1000);
        CHECK_STATE(&b.world, b.ref[0], "ENDED");
        CHECK_STATE(&b.world, b.supervisor, "WATCHING");
        CHECK_INT(epoch(&b, 2), 1);
        close_bench(&b);
    }
}

TEST(supervisor, more_children_than_its_first_table_holds)
{
    while (world_next(3)) {
        struct bench b;
        struct rollcall_ref refs[40];
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
            adopt(&b, 0, ROLLCALL_PERMANENT);
            refs[i] = b.ref[0];
        }
        for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i += 39) {
            b.ref[0] = refs[i];
            CHECK(crash_and_wait(&b, 0, ROLLCALL_E_ACTOR) <= 100);
        }
        close_bench(&b);
    }
}

/* ---- when ---- */

TEST(supervisor, backoff_doubles_within_its_bounds)
{
    while (world_next(SEEDS)) {
        struct bench b;
        int64_t most_ms = 40;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE,
                                             .backoff_min_ms = 40,
                                             .backoff_max_ms = 500});
        adopt_all(&b);
        for (int i = 0; i < 40; i++) {
            const int64_t waited_ms = crash_and_wait(&b, 0, ROLLCALL_E_UNAVAILABLE);
            CHECK(waited_ms >= most_ms / 2 && waited_ms <= most_ms + 1);
            most_ms = 2 * most_ms > 500 ? 500 : 2 * most_ms;
        }
        close_bench(&b);
    }
}

TEST(supervisor, what_failed_together_does_not_return_together)
{
    bool at[101] = {false};
    int distinct = 0;
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        adopt_all(&b);
        at[crash_and_wait(&b, 0, ROLLCALL_E_ACTOR) % 101] = true;
        close_bench(&b);
    }
    for (int i = 0; i < 101; i++) {
        distinct += at[i];
    }
    CHECK(distinct >= 8);
}

TEST(supervisor, a_child_that_ran_for_long_starts_at_the_smallest_backoff_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        adopt_all(&b);
        for (int i = 0; i < 6; i++) {
            crash_and_wait(&b, 0, ROLLCALL_E_UNAVAILABLE);
        }
        CHECK(crash_and_wait(&b, 0, ROLLCALL_E_UNAVAILABLE) >= 500);
        world_run(&b.world, 9000);
        CHECK(crash_and_wait(&b, 0, ROLLCALL_E_UNAVAILABLE) >= 500);
        world_run(&b.world, 10001);
        CHECK(crash_and_wait(&b, 0, ROLLCALL_E_UNAVAILABLE) <= 101);
        close_bench(&b);
    }
}

/* ---- giving up ---- */

TEST(supervisor, failures_that_may_pass_never_escalate)
{
    while (world_next(3)) {
        struct bench b;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE, .intensity = 1});
        adopt_all(&b);
        for (int i = 0; i < 100; i++) {
            CHECK(crash_and_wait(&b, i % CHILDREN, ROLLCALL_E_UNAVAILABLE) <= 1001);
        }
        CHECK_INT(probe_count(b.parent, ROLLCALL_DOWN), 0);
        close_bench(&b);
    }
}

TEST(supervisor, its_own_failures_escalate_after_the_intensity)
{
    while (world_next(SEEDS)) {
        struct bench b;
        struct rollcall_down down;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE, .intensity = 3});
        adopt_all(&b);
        for (int i = 0; i < 3; i++) {
            crash_and_wait(&b, i, ROLLCALL_E_CORRUPT);
        }
        CHECK_INT(probe_count(b.parent, ROLLCALL_DOWN), 0);
        crash(&b, 0, ROLLCALL_E_CORRUPT);
        CHECK_INT(probe_count(b.parent, ROLLCALL_DOWN), 1);
        const struct probe_message *told = probe_find(b.parent, ROLLCALL_DOWN, 0);
        memcpy(&down, probe_payload(told), sizeof down);
        CHECK(rollcall_ref_equal(down.who, b.supervisor));
        CHECK_INT(down.reason, ROLLCALL_DOWN_FAILED);
        CHECK_INT(down.status, ROLLCALL_E_CORRUPT);
        const char *why = ((const struct rollcall_reason *)told->object)->error.text;
        CHECK(strstr(why, "4 failures within 30000 ms") != NULL);
        CHECK_STATE(&b.world, b.ref[2], "ENDED");
        close_bench(&b);
    }
}

TEST(supervisor, failures_further_apart_than_the_period_do_not_add_up)
{
    while (world_next(3)) {
        struct bench b;
        open(&b, (struct supervisor_options){
                     .strategy = SUPERVISOR_ONE_FOR_ONE, .intensity = 2, .period_ms = 5000});
        adopt_all(&b);
        for (int i = 0; i < 30; i++) {
            crash_and_wait(&b, i % CHILDREN, ROLLCALL_E_ACTOR);
            world_run(&b.world, 2600);
        }
        CHECK_INT(probe_count(b.parent, ROLLCALL_DOWN), 0);
        close_bench(&b);
    }
}

/* ---- a child that cannot even begin ---- */

static int refuse_to_begin(struct rollcall_context *cx, void *self, const void *options)
{
    int *tries = *(int *const *)options;
    (void)self;
    return ++*tries < 3 ? rollcall_fail(cx, ROLLCALL_E_ACTOR, "not yet") : 0;
}

TEST(supervisor, a_child_that_fails_in_init_is_tried_again)
{
    static const uint16_t SIZES[] = {ROLLCALL_SIGNALS(ROLLCALL_SIZE)};
    static const char *const NAMES[] = {ROLLCALL_SIGNALS(ROLLCALL_NAME)}, *const STATES[] = {
                                                                              "OPEN"};
    static const struct rollcall_cell TABLE[ROLLCALL_SIGNAL_COUNT] = {{NULL, 0}};
    static const struct rollcall_actor_type TYPE = {.name = "late",
                                                    .options_size_bytes = sizeof(int *),
                                                    .init = refuse_to_begin,
                                                    .state_count = 1,
                                                    .message_count = ROLLCALL_SIGNAL_COUNT,
                                                    .state_names = STATES,
                                                    .message_names = NAMES,
                                                    .payload_sizes = SIZES,
                                                    .table = TABLE};
    while (world_next(SEEDS)) {
        struct bench b;
        int tries = 0, *options = &tries;
        open(&b, (struct supervisor_options){.strategy = SUPERVISOR_ONE_FOR_ONE});
        const struct rollcall_ref late =
            world_spawn(&b.world, 0,
                        ROLLCALL_SPAWN_OPTIONS(.type = &TYPE, .options = (const void *)&options,
                                               .supervisor = b.supervisor));
        world_settle(&b.world);
        CHECK_STATE(&b.world, late, "FAILED");
        world_run(&b.world, 400);
        CHECK_STATE(&b.world, late, "OPEN");
        CHECK_INT(tries, 3);
        CHECK_STATE(&b.world, b.supervisor, "WATCHING");
        close_bench(&b);
    }
}

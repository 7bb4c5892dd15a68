/* A world with sessions in it: what a violation halts, and that a run is a function of its seed. */
#include <rollcall/session.h>
#include <rollcall/testing.h>
#include <rollcall/watch.h>

#include "sim/sim.h"
#include "support/test.h"

enum { SEEDS = 20, LONG_MS = 30000, CLOSE_MS = 5000 };

struct play {
    struct rollcall_etcd *etcd;
    struct rollcall_session *session;
    bool violated;
    uint32_t events, events_when_violated;
};
static uint32_t violations, ends; /* of all runs */

static void on_event(void *user, const struct rollcall_session_event *event)
{
    (void)event;
    ((struct play *)user)->events++;
}

static void ignore(void *user, const struct rollcall_watch_event *event)
{
    (void)user, (void)event;
}

static void begin(struct rollcall_world *world, void *state)
{
    struct play *play = state;
    CHECK_INT(rollcall_sim_connect(rollcall_world_sim(world), 0, &play->etcd, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_start(play->etcd,
                                     ROLLCALL_SESSION_OPTIONS(.role = "querynode",
                                                              .address = "10.0.0.1:1",
                                                              .on_event = on_event, .user = play),
                                     &play->session, NULL),
              ROLLCALL_OK);
}

/* The session is not ACTIVE yet, and will not be. */
static void violate_and_wait(struct rollcall_world *world, void *state)
{
    struct play *play = state;
    struct rollcall_sim *sim = rollcall_world_sim(world);
    const uint64_t hash = rollcall_sim_hash(sim);
    rollcall_world_violate(world, "planted", "number %d", 1);
    CHECK(rollcall_world_violated(world));
    play->violated = true;
    play->events_when_violated = play->events;
    violations++;
    CHECK_INT(rollcall_session_wait(play->session, LONG_MS, NULL), ROLLCALL_E_TIMEOUT);
    CHECK_INT(rollcall_session_wait_over(play->session, LONG_MS, NULL), ROLLCALL_E_TIMEOUT);
    CHECK_INT(rollcall_list(play->etcd, ROLLCALL_WATCH_OPTIONS(.on_event = ignore), LONG_MS, NULL),
              ROLLCALL_E_TIMEOUT);
    CHECK(!rollcall_sim_step(sim));
    CHECK(rollcall_sim_hash(sim) == hash);
    CHECK_INT(play->events, play->events_when_violated);
}

/* Everything can be closed, as after a run in which all held. */
static void end(struct rollcall_world *world, void *state)
{
    struct play *play = state;
    struct rollcall_runtime_stats stats;
    CHECK(rollcall_world_violated(world) == play->violated);
    CHECK_INT(rollcall_session_close(play->session, CLOSE_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(play->etcd), ROLLCALL_OK);
    CHECK(rollcall_sim_settle(rollcall_world_sim(world), 100000));
    CHECK_INT(rollcall_runtime_stats(rollcall_sim_runtime(rollcall_world_sim(world)), &stats),
              ROLLCALL_OK);
    CHECK_INT(stats.actors, 0);
    ends++;
}

static void print_nothing(void *user, const char *line)
{
    (void)user, (void)line;
}

TEST(world, a_violation_halts_everything_and_calls_that_wait_end_with_a_timeout)
{
    static const struct rollcall_scenario HALTED =
        ROLLCALL_SCENARIO(.name = "halted", .state_size_bytes = sizeof(struct play), .begin = begin,
                          .act = violate_and_wait, .end = end);
    struct rollcall_explore_result result;
    violations = ends = 0;
    CHECK_INT(rollcall_explore(&HALTED,
                               ROLLCALL_EXPLORE_OPTIONS(.seeds = SEEDS, .keep_going = true,
                                                        .faults = "none", .print = print_nothing),
                               &result, NULL),
              ROLLCALL_E_ACTOR);
    CHECK_INT(result.violations, SEEDS);
    CHECK_STR(result.invariant, "planted");
    CHECK_STR(result.text, "number 1");
    CHECK(violations >= SEEDS);
    CHECK_INT(ends, violations);
}

/* The first callback finds something wrong while a call waits for what comes after it. */
static void violate_in_callback(void *user, const struct rollcall_session_event *event)
{
    (void)event;
    rollcall_world_violate(user, "told", "a session was told something");
}

struct opening {
    struct rollcall_etcd *etcd;
    struct rollcall_session *session;
    enum rollcall_status waited;
};

static void open_and_wait(struct rollcall_world *world, void *state)
{
    struct opening *opening = state;
    CHECK_INT(rollcall_sim_connect(rollcall_world_sim(world), 0, &opening->etcd, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_session_start(
                  opening->etcd,
                  ROLLCALL_SESSION_OPTIONS(.role = "querynode", .address = "10.0.0.1:1",
                                           .on_event = violate_in_callback, .user = world),
                  &opening->session, NULL),
              ROLLCALL_OK);
    opening->waited = rollcall_session_wait_over(opening->session, LONG_MS, NULL);
}

static void end_opening(struct rollcall_world *world, void *state)
{
    struct opening *opening = state;
    (void)world;
    CHECK_INT(opening->waited, ROLLCALL_E_TIMEOUT);
    CHECK_INT(rollcall_session_close(opening->session, CLOSE_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(opening->etcd), ROLLCALL_OK);
}

TEST(world, a_violation_in_a_callback_ends_the_call_that_waits)
{
    static const struct rollcall_scenario WAITING =
        ROLLCALL_SCENARIO(.name = "waiting", .state_size_bytes = sizeof(struct opening),
                          .begin = open_and_wait, .end = end_opening);
    struct rollcall_explore_result result;
    CHECK_INT(rollcall_explore(&WAITING,
                               ROLLCALL_EXPLORE_OPTIONS(.seeds = SEEDS, .keep_going = true,
                                                        .print = print_nothing),
                               &result, NULL),
              ROLLCALL_E_ACTOR);
    CHECK_INT(result.violations, SEEDS);
    CHECK_STR(result.invariant, "told");
}

TEST(world, each_scenario_gives_the_same_run_for_the_same_seed)
{
    const struct rollcall_scenario *scenario;
    size_t count = 0;
    for (; (scenario = rollcall_scenario_at(count)) != NULL; count++) {
        struct rollcall_explore_result runs[2];
        for (int i = 0; i < 2; i++) {
            const enum rollcall_status status =
                rollcall_explore(scenario,
                                 ROLLCALL_EXPLORE_OPTIONS(.seeds = SEEDS, .keep_going = true,
                                                          .steps = 300, .print = print_nothing),
                                 &runs[i], NULL);
            CHECK(status == ROLLCALL_OK || status == ROLLCALL_E_ACTOR);
        }
        CHECK(runs[0].hash == runs[1].hash);
        CHECK_INT(runs[0].steps, runs[1].steps);
        CHECK_INT(runs[0].simulated_ms, runs[1].simulated_ms);
    }
    CHECK(count >= 5);
}

TEST(world, each_scenario_has_a_name_of_its_own_and_says_what_it_is_about)
{
    const struct rollcall_scenario *scenario;
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        CHECK(strlen(scenario->about) > 10);
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(rollcall_scenario_at(k)->name, scenario->name) != 0);
        }
    }
}

/* ---- connecting ---- */

static void count_session(void *user, const struct rollcall_watch_event *event)
{
    *(int *)user += event->type == ROLLCALL_WATCH_SESSION;
}

TEST(world, three_processes_see_each_other_s_sessions)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rollcall_sim *sim;
        struct rollcall_etcd *etcds[3];
        struct rollcall_session *sessions[3];
        CHECK_INT(rollcall_sim_create(
                      ROLLCALL_SIM_OPTIONS(.seed = seed, .workers = 6, .members = 3), &sim, NULL),
                  ROLLCALL_OK);
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_INT(rollcall_sim_connect(sim, i, &etcds[i], NULL), ROLLCALL_OK);
            CHECK_INT(rollcall_session_open(
                          etcds[i],
                          ROLLCALL_SESSION_OPTIONS(.role = "querynode", .address = "10.0.0.1:1"),
                          &sessions[i], NULL),
                      ROLLCALL_OK);
        }
        for (uint32_t i = 0; i < 3; i++) {
            int seen = 0;
            CHECK_INT(
                rollcall_list(etcds[i],
                              ROLLCALL_WATCH_OPTIONS(.on_event = count_session, .user = &seen), 0,
                              NULL),
                ROLLCALL_OK);
            CHECK_INT(seen, 3);
        }
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_INT(rollcall_session_close(sessions[i], CLOSE_MS), ROLLCALL_OK);
            CHECK_INT(rollcall_etcd_close(etcds[i]), ROLLCALL_OK);
        }
        rollcall_sim_destroy(sim);
    }
}

static int count_listed(struct rollcall_etcd *etcd)
{
    int seen = 0;
    CHECK_INT(rollcall_list(etcd, ROLLCALL_WATCH_OPTIONS(.on_event = count_session, .user = &seen),
                            0, NULL),
              ROLLCALL_OK);
    return seen;
}

TEST(world, a_process_that_is_killed_renews_nothing_until_it_is_raised)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rollcall_sim *sim;
        struct rollcall_etcd *etcds[2];
        struct rollcall_session *session;
        CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed, .workers = 4), &sim, NULL),
                  ROLLCALL_OK);
        for (uint32_t i = 0; i < 2; i++) {
            CHECK_INT(rollcall_sim_connect(sim, i, &etcds[i], NULL), ROLLCALL_OK);
        }
        CHECK_INT(rollcall_session_open(etcds[0],
                                        ROLLCALL_SESSION_OPTIONS(.role = "querynode", .ttl_s = 5,
                                                                 .address = "10.0.0.1:1"),
                                        &session, NULL),
                  ROLLCALL_OK);
        rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + LONG_MS);
        CHECK_INT(count_listed(etcds[1]), 1);
        rollcall__sim_kill(sim, 0);
        CHECK(rollcall__sim_is_dead(sim, 0) && !rollcall__sim_is_dead(sim, 1));
        CHECK_INT(count_listed(etcds[1]), 1); /* without a farewell */
        rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 6000);
        CHECK_INT(count_listed(etcds[1]), 0);
        rollcall__sim_raise(sim, 0);
        CHECK_INT(rollcall_session_close(session, CLOSE_MS), ROLLCALL_OK);
        CHECK_INT(rollcall_etcd_close(etcds[0]), ROLLCALL_OK);
        CHECK_INT(rollcall_etcd_close(etcds[1]), ROLLCALL_OK);
        rollcall_sim_destroy(sim);
    }
}

TEST(world, there_is_no_fifth_process)
{
    struct rollcall_sim *sim;
    struct rollcall_etcd *etcd = NULL;
    struct rollcall_error error;
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = 1, .workers = 8), &sim, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_sim_connect(sim, 4, &etcd, &error), ROLLCALL_E_INVALID);
    CHECK(etcd == NULL && strstr(error.text, "process 4") != NULL);
    CHECK_INT(rollcall_sim_connect(sim, 3, &etcd, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(etcd), ROLLCALL_OK);
    rollcall_sim_destroy(sim);
}

TEST(world, a_process_is_connected_once_and_has_two_workers)
{
    struct rollcall_sim *sim;
    struct rollcall_etcd *etcd, *other = NULL;
    struct rollcall_error error;
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = 1, .workers = 3), &sim, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_sim_connect(sim, 1, &other, &error), ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "workers") != NULL);
    CHECK_INT(rollcall_sim_connect(sim, 0, &etcd, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_sim_connect(sim, 0, &other, &error), ROLLCALL_E_BUSY);
    CHECK(other == NULL);
    CHECK_INT(rollcall_etcd_close(etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_sim_connect(sim, 0, &other, &error), ROLLCALL_E_BUSY);
    rollcall_sim_destroy(sim);
}

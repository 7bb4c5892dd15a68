/* The simulator itself: what it promises to every test that uses it. */
#include <rollcall/testing.h>

#include "base/thread.h"
#include "runtime/port.h"
#include "support/probe.h"
#include "support/test.h"

/* A little world in which order matters: peers on three workers, each told at random whom to write
 * to next, by timer or at once, so that a schedule leaves its mark on everything after it. */
#define PEER_LIST(X) X(PEER_TOKEN, sizeof(int64_t)) X(PEER_LATER, 0)
ROLLCALL_MESSAGES(peer_message, PEER_LIST, PEER_COUNT);
enum { PEERS = 9 };
static struct rollcall_ref peers[PEERS];

static void pass(struct rollcall_context *cx, int64_t hops)
{
    if (hops > 0) {
        const int64_t left = hops - 1;
        ROLLCALL_DROP(
            rollcall_send(cx, peers[rollcall_random(cx) % PEERS], PEER_TOKEN, &left, sizeof left),
            "a lost token is part of the schedule too");
    }
}

static int on_token(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const int64_t *hops = message->payload;
    *(int64_t *)self = *hops;
    if (*hops % 3 == 0) {
        rollcall_timer_set(cx, PEER_LATER,
                           rollcall_now_ms(cx) + (int64_t)(rollcall_random(cx) % 5));
    } else {
        pass(cx, *hops);
    }
    return ROLLCALL_STAY;
}

static int on_later(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    pass(cx, *(const int64_t *)self);
    return ROLLCALL_STAY;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self, (void)options;
    return 0;
}

static const struct rollcall_cell TABLE[PEER_COUNT] = {
    [PEER_TOKEN] = {on_token, 0}, [PEER_LATER] = {on_later, 0}};
static const char *const STATES[] = {"HERE"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(PEER_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(PEER_LIST);
static const struct rollcall_actor_type PEER = {
    .name = "peer",
    .self_size_bytes = sizeof(int64_t),
    .init = init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE,
};

static struct rollcall_sim *create(uint64_t seed, uint32_t workers)
{
    struct rollcall_sim *sim;
    CHECK_INT(
        rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed, .workers = workers), &sim, NULL),
        ROLLCALL_OK);
    return sim;
}

static uint64_t run_world(uint64_t seed)
{
    struct rollcall_sim *sim = create(seed, 3);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    for (uint32_t i = 0; i < PEERS; i++) {
        CHECK_INT(
            rollcall_runtime_spawn(rt, i, ROLLCALL_SPAWN_OPTIONS(.type = &PEER), &peers[i], NULL),
            ROLLCALL_OK);
    }
    for (int64_t hops = 50; hops < 60; hops++) {
        CHECK_INT(
            rollcall_runtime_send(rt, peers[hops % PEERS], PEER_TOKEN, &hops, sizeof hops, NULL),
            ROLLCALL_OK);
    }
    rollcall_sim_run_until(sim, 1000);
    const uint64_t hash = rollcall_sim_hash(sim);
    rollcall_sim_destroy(sim);
    return hash;
}

TEST(sim, the_same_seed_gives_the_same_trace_and_another_seed_another)
{
    uint64_t hashes[20];
    for (uint64_t seed = 0; seed < 20; seed++) {
        hashes[seed] = run_world(seed);
        for (uint64_t other = 0; other < seed; other++) {
            CHECK(hashes[other] != hashes[seed]);
        }
    }
    for (uint64_t seed = 0; seed < 20; seed++) {
        CHECK(run_world(seed) == hashes[seed]);
    }
}

/* No actor draws anything here: what differs is the simulator's own choice of steps. */
TEST(sim, the_seed_alone_chooses_who_runs_next)
{
    uint64_t hashes[20];
    int different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct rollcall_sim *sim = create(seed, 3);
        struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
        struct probe *probe[3];
        for (uint32_t i = 0; i < 3; i++) {
            probe[i] = probe_create("probe", SIZES, NAMES, PEER_COUNT);
            probe_spawn(probe[i], rt, i);
        }
        for (int64_t i = 0; i < 20; i++) {
            probe_send(probe[i % 2], rt, probe_ref(probe[2]), PEER_TOKEN, &i, sizeof i, NULL);
        }
        CHECK(rollcall_sim_settle(sim, 1000));
        CHECK_INT(probe_count(probe[2], PEER_TOKEN), 20);
        hashes[seed] = rollcall_sim_hash(sim);
        different += seed > 0 && hashes[seed] != hashes[0];
        rollcall_sim_destroy(sim);
        for (int i = 0; i < 3; i++) {
            probe_destroy(probe[i]);
        }
    }
    CHECK(different > 10);
}

/* ---- the clock ---- */

static void set_timer(struct rollcall_context *cx, void *at_ms)
{
    rollcall_timer_set(cx, PEER_LATER, *(const int64_t *)at_ms);
}

TEST(sim, the_clock_goes_from_timer_to_timer_and_never_back)
{
    struct rollcall_sim *sim = create(1, 2);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    struct probe *probe[3];
    int64_t at_ms[3] = {300, 100, 200};
    CHECK_INT(rollcall_sim_now_ms(sim), 0);
    for (uint32_t i = 0; i < 3; i++) {
        probe[i] = probe_create("probe", SIZES, NAMES, PEER_COUNT);
        probe_spawn(probe[i], rt, i);
        probe_run(probe[i], rt, set_timer, &at_ms[i]);
    }
    CHECK(rollcall_sim_settle(sim, 1000)); /* does not move the clock */
    CHECK_INT(rollcall_sim_now_ms(sim), 0);
    CHECK(!rollcall_sim_step(sim));
    rollcall_sim_run_until(sim, 199);
    CHECK_INT(probe_total(probe[2]), 0);
    CHECK_INT(rollcall_sim_now_ms(sim), 199);
    rollcall_sim_run_until(sim, 300);
    rollcall_sim_run_until(sim, 50); /* the past: nothing */
    CHECK_INT(rollcall_sim_now_ms(sim), 300);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(probe_total(probe[i]), 1);
        CHECK_INT(probe_last(probe[i], PEER_LATER)->at_ms, at_ms[i]);
    }
    rollcall_sim_destroy(sim);
    for (int i = 0; i < 3; i++) {
        probe_destroy(probe[i]);
    }
}

/* ---- faults and bounds ---- */

TEST(sim, a_crash_fails_the_actor_instead_of_its_next_message)
{
    int alive = 0;
    const int64_t hops = 0;
    struct rollcall_sim *sim = create(1, 2);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    struct probe *parent = probe_create("parent", SIZES, NAMES, PEER_COUNT);
    struct probe *child = probe_create("child", SIZES, NAMES, PEER_COUNT);
    const struct probe_options options = {child};
    struct rollcall_ref ref;
    CHECK_INT(rollcall_runtime_spawn(
                  rt, 0,
                  ROLLCALL_SPAWN_OPTIONS(.type = probe_type(child), .options = &options,
                                         .supervisor = probe_spawn(parent, rt, 0)),
                  &ref, NULL),
              ROLLCALL_OK);
    CHECK(rollcall_sim_settle(sim, 1000));
    rollcall_sim_crash(sim, ref, ROLLCALL_E_NO_SPACE);
    CHECK(rollcall_sim_settle(sim, 1000));
    CHECK_STR(rollcall_sim_state(sim, ref), "OPEN"); /* nothing came yet */
    CHECK_INT(rollcall_runtime_send(rt, ref, PEER_TOKEN, &hops, sizeof hops, probe_object(&alive)),
              ROLLCALL_OK);
    CHECK(rollcall_sim_settle(sim, 1000));
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    CHECK_INT(probe_total(child), 0);
    CHECK_INT(alive, 0);
    struct rollcall_down down;
    memcpy(&down, probe_payload(probe_find(parent, ROLLCALL_DOWN, 0)), sizeof down);
    CHECK_INT(down.status, ROLLCALL_E_NO_SPACE);
    rollcall_sim_crash(sim, (struct rollcall_ref){0}, ROLLCALL_E_ACTOR); /* nobody: nothing */
    rollcall_sim_destroy(sim);
    probe_destroy(parent);
    probe_destroy(child);
}

TEST(sim, settling_gives_up_after_the_steps_it_was_given)
{
    struct rollcall_sim *sim = create(1, 1);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(
            rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &PEER), &peers[i], NULL),
            ROLLCALL_OK);
    }
    CHECK(!rollcall_sim_settle(sim, 2));
    CHECK(rollcall_sim_settle(sim, 100));
    rollcall_sim_destroy(sim);
    rollcall_sim_destroy(NULL);
}

TEST(sim, options_out_of_range_are_refused_with_a_sentence)
{
    struct rollcall_sim *sim = NULL;
    struct rollcall_error error;
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.workers = 9), &sim, &error),
              ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "workers") != NULL);
    struct rollcall_sim_options options = {.size_bytes = 3};
    CHECK_INT(rollcall_sim_create(&options, &sim, &error), ROLLCALL_E_INVALID);
    CHECK(sim == NULL);
}

/* ---- what an application may call, and when ---- */

static void spawn_from_handler(struct rollcall_context *cx, void *rt)
{
    struct rollcall_runtime_stats stats;
    struct rollcall_ref ref;
    (void)cx;
    CHECK_INT(rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &PEER), &ref, NULL),
              ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_runtime_stats(rt, &stats), ROLLCALL_E_BUSY);
}

TEST(sim, a_call_from_a_handler_that_would_wait_is_busy_as_it_is_on_threads)
{
    struct rollcall_sim *sim = create(1, 2);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    probe_spawn(probe, rt, 1);
    probe_run(probe, rt, spawn_from_handler, rt);
    CHECK(rollcall_sim_settle(sim, 100));
    rollcall_sim_destroy(sim);
    probe_destroy(probe);
}

TEST(sim, a_wait_turns_the_clock_at_most_to_its_deadline_and_one_without_end_ends_with_the_timers)
{
    struct rollcall_sim *sim = create(1, 2);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    struct rollcall__monitor monitor;
    rollcall__monitor_init(&monitor);
    rollcall__monitor_lock(&monitor);
    CHECK(!rollcall__runtime_wait(rt, &monitor, rollcall__runtime_deadline_ns(rt, 0)));
    CHECK_INT(rollcall_sim_now_ms(sim), 0);
    const int64_t deadline_ns = rollcall__runtime_deadline_ns(rt, 30);
    while (rollcall__runtime_wait(rt, &monitor, deadline_ns)) {
    }
    CHECK_INT(rollcall_sim_now_ms(sim), 30);
    CHECK(!rollcall__runtime_wait(rt, &monitor, deadline_ns + 1)); /* whole milliseconds, later */
    CHECK_INT(rollcall_sim_now_ms(sim), 31);
    CHECK(rollcall__runtime_deadline_ns(rt, INT64_MAX) == INT64_MAX);
    CHECK(!rollcall__runtime_wait(rt, &monitor, INT64_MAX));
    CHECK_INT(rollcall_sim_now_ms(sim), 31);
    rollcall__monitor_unlock(&monitor);
    rollcall__monitor_fini(&monitor);
    rollcall_sim_destroy(sim);
}

enum { STOPPED = 100 }; /* more than a lane for signals holds */
struct stopper {
    struct rollcall_runtime *rt;
    struct rollcall_ref whom[STOPPED];
};

static void stop_all(void *options)
{
    const struct stopper *stopper = options;
    for (int i = 0; i < STOPPED; i++) {
        rollcall_runtime_stop(stopper->rt, stopper->whom[i]);
    }
}

/* What a worker does for the application, between steps, may have mail for another worker. */
TEST(sim, all_that_a_refused_spawn_stops_on_another_worker_are_stopped)
{
    struct rollcall_sim *sim = create(1, 2);
    struct stopper stopper = {.rt = rollcall_sim_runtime(sim)};
    struct rollcall_actor_type type = PEER;
    struct rollcall_ref nobody;
    type.options_size_bytes = sizeof stopper;
    type.options_fini = stop_all;
    for (int i = 0; i < STOPPED; i++) {
        CHECK_INT(rollcall_runtime_spawn(stopper.rt, 1, ROLLCALL_SPAWN_OPTIONS(.type = &PEER),
                                         &stopper.whom[i], NULL),
                  ROLLCALL_OK);
    }
    CHECK(rollcall_sim_settle(sim, 1000));
    CHECK_INT(rollcall_runtime_spawn(
                  stopper.rt, 0,
                  ROLLCALL_SPAWN_OPTIONS(.type = &type, .options = &stopper, .mailbox_messages = 3),
                  &nobody, NULL),
              ROLLCALL_E_INVALID);
    CHECK(rollcall_sim_settle(sim, 1000));
    for (int i = 0; i < STOPPED; i++) {
        CHECK_STR(rollcall_sim_state(sim, stopper.whom[i]), "ENDED");
    }
    rollcall_sim_destroy(sim);
}

TEST(sim, the_last_message_from_outside_waits_for_room_in_a_full_mailbox)
{
    enum { MAILBOX = 8 }; /* one fewer fit */
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct rollcall_sim *sim = create(seed, 1);
        struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
        struct rollcall_runtime_stats stats;
        const int64_t hops = -1; /* goes nowhere, at once */
        CHECK_INT(rollcall_runtime_spawn(
                      rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &PEER, .mailbox_messages = MAILBOX),
                      &peers[0], NULL),
                  ROLLCALL_OK);
        for (int i = 0; i < MAILBOX; i++) {
            CHECK_INT(rollcall_runtime_send(rt, peers[0], PEER_TOKEN, &hops, sizeof hops, NULL),
                      ROLLCALL_OK);
        }
        CHECK(rollcall_sim_settle(sim, 1000));
        CHECK_INT(rollcall_runtime_stats(rt, &stats), ROLLCALL_OK);
        CHECK_INT(stats.delivered, MAILBOX);
        rollcall_sim_destroy(sim);
    }
}

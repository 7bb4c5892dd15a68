/*
 * What becomes of a message, in the simulator: delivered, full, bounced, stale or a dead letter;
 * and its object, which is destroyed exactly once whatever happens.
 */
#include "support/probe.h"
#include "support/test.h"

#include <rollcall/testing.h>

#define PEER_LIST(X)                                                                               \
    X(PEER_NUMBER, sizeof(int64_t))                                                                \
    X(PEER_EMPTY, 0)                                                                               \
    X(PEER_FULL, 32)
ROLLCALL_MESSAGES(peer_message, PEER_LIST, PEER_COUNT);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(PEER_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(PEER_LIST);

static struct rollcall_sim *sim;
static struct rollcall_runtime *rt;
static struct probe *a, *b;

/* a on worker 0; b on `worker`. */
static void begin(uint64_t seed, uint32_t worker)
{
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed), &sim, NULL), ROLLCALL_OK);
    rt = rollcall_sim_runtime(sim);
    a = probe_create("a", SIZES, NAMES, PEER_COUNT);
    b = probe_create("b", SIZES, NAMES, PEER_COUNT);
    probe_spawn(a, rt, 0);
    probe_spawn(b, rt, worker);
    CHECK(rollcall_sim_settle(sim, 1000));
}

static void finish(void)
{
    rollcall_sim_destroy(sim);
    probe_destroy(a);
    probe_destroy(b);
}

static void settle(void)
{
    CHECK(rollcall_sim_settle(sim, 100000));
}

static struct rollcall_runtime_stats stats(void)
{
    struct rollcall_runtime_stats now;
    CHECK_INT(rollcall_runtime_stats(rt, &now), ROLLCALL_OK);
    return now;
}

/* ---- an actor with the smallest mailbox, which never empties: it is FAILED ---- */

static int fail_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    return rollcall_fail(cx, ROLLCALL_E_SYSTEM, "on purpose");
}

static const struct rollcall_cell DEAF_TABLE[PEER_COUNT] = {[PEER_NUMBER] = {rollcall_ignore, 0}};
static const char *const DEAF_STATES[] = {"DEAF"};
static const struct rollcall_actor_type DEAF = {
    .name = "deaf",
    .init = fail_init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = DEAF_STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = DEAF_TABLE,
};

static struct rollcall_ref spawn_deaf(uint32_t worker)
{
    struct rollcall_ref ref;
    CHECK_INT(rollcall_runtime_spawn(rt, worker,
                                     ROLLCALL_SPAWN_OPTIONS(.type = &DEAF, .mailbox_messages = 8,
                                                            .supervisor = probe_ref(b)),
                                     &ref, NULL),
              ROLLCALL_OK);
    settle();
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    return ref;
}

static void send_numbers(struct rollcall_ref to, int count, int *alive)
{
    for (int64_t i = 0; i < count; i++) {
        probe_send(a, rt, to, PEER_NUMBER, &i, sizeof i, probe_object(alive));
        settle();
    }
}

TEST(messages, a_full_mailbox_on_the_same_worker_is_told_to_the_sender_at_once)
{
    int alive = 0;
    begin(1, 0);
    const struct rollcall_ref deaf = spawn_deaf(0);
    send_numbers(deaf, 7, &alive);
    CHECK_INT(probe_send_failures(a), 0);
    CHECK_INT(alive, 7);
    send_numbers(deaf, 3, &alive);
    CHECK_INT(probe_send_failures(a), 3);
    CHECK_INT(probe_send_status(a), ROLLCALL_E_FULL);
    CHECK_INT(alive, 7); /* what was refused is destroyed */
    CHECK_INT(stats().full, 3);
    CHECK_INT(stats().bounced, 0);
    rollcall_runtime_stop(rt, deaf);
    settle();
    CHECK_INT(alive, 0); /* its mailbox was drained at its end */
    CHECK_INT(stats().dead_letters, 7);
    finish();
}

TEST(messages, a_full_mailbox_on_another_worker_bounces_to_the_sender)
{
    int alive = 0;
    begin(1, 1);
    const struct rollcall_ref deaf = spawn_deaf(1);
    send_numbers(deaf, 9, &alive);
    CHECK_INT(probe_send_failures(a), 0);
    CHECK_INT(probe_count(a, ROLLCALL_BOUNCED), 2);
    struct rollcall_bounced bounced;
    memcpy(&bounced, probe_payload(probe_last(a, ROLLCALL_BOUNCED)), sizeof bounced);
    CHECK(rollcall_ref_equal(bounced.to, deaf));
    CHECK_INT(bounced.type, PEER_NUMBER);
    CHECK_INT(stats().bounced, 2);
    CHECK_INT(alive, 7);
    finish();
    CHECK_INT(alive, 0); /* destroyed with the runtime */
}

TEST(messages, a_bounce_does_not_reach_the_senders_next_incarnation)
{
    int alive = 0;
    begin(1, 1);
    struct probe *child = probe_create("child", SIZES, NAMES, PEER_COUNT);
    const struct rollcall_ref deaf = spawn_deaf(1);
    send_numbers(deaf, 7, &alive);
    const int64_t number = 8;
    probe_spawn(child, rt, 0);
    settle();
    probe_send(child, rt, deaf, PEER_NUMBER, &number, sizeof number, probe_object(&alive));
    while (stats().bounced == 0) {
        CHECK(rollcall_sim_step(sim));
    }
    rollcall_sim_crash(sim, probe_ref(child), ROLLCALL_E_ACTOR); /* a root: it ends */
    settle();
    CHECK_INT(probe_count(child, ROLLCALL_BOUNCED), 0);
    CHECK_INT(alive, 7);
    finish();
    probe_destroy(child);
}

static void flood(struct rollcall_context *cx, void *user)
{
    int *accepted = user;
    for (int64_t i = 0; i < 3000; i++) {
        *accepted += rollcall_send(cx, probe_ref(b), PEER_NUMBER, &i, sizeof i) == ROLLCALL_OK;
    }
}

TEST(messages, a_full_lane_is_told_to_the_sender_and_what_was_accepted_arrives_in_order)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        int accepted = 0;
        begin(seed, 1);
        probe_run(a, rt, flood, &accepted);
        settle();
        CHECK_INT(accepted, 1023);
        CHECK_INT(stats().full, 3000 - 1023);
        CHECK_INT(probe_count(b, PEER_NUMBER), 1023);
        int64_t number = -1;
        memcpy(&number, probe_payload(probe_last(b, PEER_NUMBER)), sizeof number);
        CHECK_INT(number, 1022);
        finish();
    }
}

TEST(messages, the_largest_payload_and_the_object_arrive_as_they_were_sent)
{
    int alive = 0;
    for (uint32_t worker = 0; worker < 2; worker++) {
        begin(2, worker);
        char text[33] = "0123456789abcdef0123456789ABCDEF";
        struct rollcall_object *object = probe_object(&alive);
        probe_send(a, rt, probe_ref(b), PEER_FULL, text, 32, object);
        settle();
        const struct probe_message *got = probe_find(b, PEER_FULL, 0);
        CHECK(memcmp(probe_payload(got), text, 32) == 0);
        CHECK(got->object == object && got->size_bytes == 32);
        CHECK(rollcall_ref_equal(got->from.ref, probe_ref(a)));
        CHECK_INT(got->from.epoch, 1);
        CHECK_INT(alive, 1);
        probe_forget(b);
        CHECK_INT(alive, 0);
        finish();
    }
}

TEST(messages, to_an_ended_actor_they_are_counted_and_their_objects_destroyed)
{
    int alive = 0;
    for (uint32_t worker = 0; worker < 2; worker++) {
        begin(3, worker);
        rollcall_runtime_stop(rt, probe_ref(b));
        settle();
        probe_send(a, rt, probe_ref(b), PEER_EMPTY, NULL, 0, probe_object(&alive));
        probe_send(a, rt, (struct rollcall_ref){0}, PEER_EMPTY, NULL, 0, probe_object(&alive));
        probe_send(a, rt, (struct rollcall_ref){UINT64_C(99) << 32}, PEER_EMPTY, NULL, 0,
                   probe_object(&alive));
        settle();
        CHECK_INT(probe_send_failures(a), 0);
        CHECK_INT(stats().dead_letters, 3);
        CHECK_INT(alive, 0);
        finish();
    }
}

TEST(messages, from_outside_to_nobody_are_refused_and_their_objects_destroyed)
{
    int alive = 0;
    begin(1, 0);
    CHECK_INT(rollcall_runtime_send(rt, (struct rollcall_ref){0}, PEER_EMPTY, NULL, 0,
                                    probe_object(&alive)),
              ROLLCALL_E_INVALID);
    CHECK_INT(alive, 0);
    int refused = 0;
    for (int i = 0; i < 100; i++) {
        refused += rollcall_runtime_send(rt, probe_ref(a), PEER_EMPTY, NULL, 0,
                                         probe_object(&alive)) == ROLLCALL_E_FULL;
    }
    CHECK_INT(refused, 100 - 63); /* the application's lane */
    CHECK_INT(alive, 63);
    finish();
    CHECK_INT(alive, 0);
}

/* ---- answers ---- */

static void restart_child(struct rollcall_context *cx, void *child)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)child);
}

/* The asker is a child of b; it is restarted while the answer is in its mailbox, or on its way. */
static void check_stale_answer(uint32_t answerer_worker, bool answer_first)
{
    int alive = 0;
    begin(4, 0);
    struct probe *asker = probe_create("asker", SIZES, NAMES, PEER_COUNT);
    struct probe *answerer = probe_create("answerer", SIZES, NAMES, PEER_COUNT);
    const struct probe_options options = {asker};
    struct rollcall_ref child;
    probe_spawn(answerer, rt, answerer_worker);
    CHECK_INT(rollcall_runtime_spawn(rt, 0,
                                     ROLLCALL_SPAWN_OPTIONS(.type = probe_type(asker),
                                                            .options = &options,
                                                            .supervisor = probe_ref(b)),
                                     &child, NULL),
              ROLLCALL_OK);
    settle();
    const struct rollcall_caller caller = {.ref = child, .epoch = 1};
    if (answer_first) {
        probe_reply(answerer, rt, caller, PEER_EMPTY, NULL, 0, NULL);
        settle();
        CHECK_INT(probe_count(asker, PEER_EMPTY), 1);
    }
    probe_run(b, rt, restart_child, &child);
    settle();
    probe_reply(answerer, rt, caller, PEER_EMPTY, NULL, 0, probe_object(&alive));
    settle();
    CHECK_INT(probe_count(asker, PEER_EMPTY), answer_first ? 1 : 0);
    CHECK_INT(stats().stale, 1);
    CHECK_INT(alive, 0);
    probe_reply(answerer, rt, (struct rollcall_caller){child, 2}, PEER_EMPTY, NULL, 0, NULL);
    settle();
    CHECK_INT(probe_last(asker, PEER_EMPTY)->epoch, 2);
    finish();
    probe_destroy(asker);
    probe_destroy(answerer);
}

TEST(messages, an_answer_to_an_incarnation_that_was_restarted_is_stale)
{
    for (uint32_t worker = 0; worker < 2; worker++) {
        check_stale_answer(worker, true);
        check_stale_answer(worker, false);
    }
}

TEST(messages, an_answer_that_waits_in_the_mailbox_over_a_restart_is_stale)
{
    int alive = 0;
    begin(1, 0);
    struct probe *asker = probe_create("asker", SIZES, NAMES, PEER_COUNT);
    const struct probe_options options = {asker};
    struct rollcall_ref child;
    CHECK_INT(rollcall_runtime_spawn(rt, 0,
                                     ROLLCALL_SPAWN_OPTIONS(.type = probe_type(asker),
                                                            .options = &options,
                                                            .supervisor = probe_ref(b)),
                                     &child, NULL),
              ROLLCALL_OK);
    settle();
    probe_return(asker, PEER_NUMBER, ROLLCALL_FAIL);
    const int64_t number = 0;
    CHECK_INT(rollcall_runtime_send(rt, child, PEER_NUMBER, &number, sizeof number, NULL),
              ROLLCALL_OK);
    settle();
    CHECK_STR(rollcall_sim_state(sim, child), "FAILED");
    /* The epoch that failed is over, so this never enters the mailbox; that of the next does. */
    probe_reply(a, rt, (struct rollcall_caller){child, 1}, PEER_EMPTY, NULL, 0,
                probe_object(&alive));
    probe_reply(a, rt, (struct rollcall_caller){child, 2}, PEER_EMPTY, NULL, 0,
                probe_object(&alive));
    settle();
    CHECK_INT(alive, 1);
    probe_run(b, rt, restart_child, &child);
    settle();
    CHECK_INT(probe_count(asker, PEER_EMPTY), 1);
    CHECK_INT(stats().stale, 1);
    finish();
    probe_destroy(asker);
    CHECK_INT(alive, 0);
}

/* ---- timers ---- */

/* Two timers fire together; the handler of the first may still take the second back. */
#define ALARM_LIST(X) X(ALARM_FIRST, 0) X(ALARM_SECOND, 0)
ROLLCALL_MESSAGES(alarm_message, ALARM_LIST, ALARM_COUNT);
static struct {
    int64_t again_ms; /* when FIRST sets SECOND again; -1: it cancels it; -2: it leaves it alone */
    int64_t second_ms[4];
    int seconds;
} alarm_log;

static int alarm_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    rollcall_timer_set(cx, ALARM_FIRST, 10);
    rollcall_timer_set(cx, ALARM_SECOND, 5);
    rollcall_timer_set(cx, ALARM_SECOND, 10); /* replaces: 5 is forgotten */
    return 0;
}

static int alarm_first(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    (void)self, (void)message;
    if (alarm_log.again_ms >= 0) {
        rollcall_timer_set(cx, ALARM_SECOND, alarm_log.again_ms);
    } else if (alarm_log.again_ms == -1) {
        rollcall_timer_cancel(cx, ALARM_SECOND);
    }
    return ROLLCALL_STAY;
}

static int alarm_second(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    (void)self, (void)message;
    alarm_log.second_ms[alarm_log.seconds++ % 4] = rollcall_now_ms(cx);
    return ROLLCALL_STAY;
}

static const struct rollcall_cell ALARM_TABLE[ALARM_COUNT] = {
    [ALARM_FIRST] = {alarm_first, 0}, [ALARM_SECOND] = {alarm_second, 0}};
static const char *const ALARM_NAMES[] = ROLLCALL_MESSAGE_NAMES(ALARM_LIST);
static const uint16_t ALARM_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALARM_LIST);
static const char *const ALARM_STATES[] = {"SET"};
static const struct rollcall_actor_type ALARM = {
    .name = "alarm",
    .init = alarm_init,
    .state_count = 1,
    .message_count = ALARM_COUNT,
    .state_names = ALARM_STATES,
    .message_names = ALARM_NAMES,
    .payload_sizes = ALARM_SIZES,
    .table = ALARM_TABLE,
};

/* Runs one alarm until 100 ms; what SECOND saw is in alarm_log. */
static uint64_t run_alarm(int64_t again_ms)
{
    struct rollcall_ref ref;
    alarm_log.again_ms = again_ms;
    alarm_log.seconds = 0;
    begin(1, 0);
    CHECK_INT(rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &ALARM), &ref, NULL),
              ROLLCALL_OK);
    rollcall_sim_run_until(sim, 100);
    CHECK_INT(rollcall_sim_now_ms(sim), 100);
    const uint64_t stale = stats().stale;
    finish();
    return stale;
}

TEST(messages, a_timer_set_again_before_it_fires_fires_once_at_the_later_time)
{
    CHECK_INT(run_alarm(-2), 0);
    CHECK_INT(alarm_log.seconds, 1);
    CHECK_INT(alarm_log.second_ms[0], 10);
}

TEST(messages, a_timer_cancelled_after_it_fired_is_not_delivered)
{
    CHECK_INT(run_alarm(-1), 1);
    CHECK_INT(alarm_log.seconds, 0);
}

TEST(messages, a_timer_set_again_after_it_fired_is_delivered_once_at_the_new_time)
{
    CHECK_INT(run_alarm(70), 1);
    CHECK_INT(alarm_log.seconds, 1);
    CHECK_INT(alarm_log.second_ms[0], 70);
    CHECK_INT(run_alarm(0), 1); /* due already: at once, and still once */
    CHECK_INT(alarm_log.seconds, 1);
    CHECK_INT(alarm_log.second_ms[0], 10);
}

static void stop_self_after_sending(struct rollcall_context *cx, void *user)
{
    (void)user;
    const int64_t number = 1;
    for (int i = 0; i < 5; i++) {
        CHECK_INT(rollcall_send(cx, rollcall_self(cx), PEER_NUMBER, &number, sizeof number),
                  ROLLCALL_OK);
    }
    rollcall_stop(cx, rollcall_self(cx));
}

TEST(messages, a_stop_is_served_before_user_messages_queued_earlier)
{
    begin(1, 0);
    probe_run(a, rt, stop_self_after_sending, NULL);
    settle();
    CHECK_INT(probe_count(a, PEER_NUMBER), 0);
    CHECK_INT(probe_count(a, ROLLCALL_STOP), 1);
    CHECK_INT(stats().dead_letters, 5);
    finish();
}

/*
 * Fail points in the simulator: what each action does to a message, when each trigger fires, and
 * what the text allows.  A subject, child of a parent that restarts it when told to, is sent
 * numbers by a sender.
 */
#include "support/probe.h"
#include "support/test.h"

#include <rollcall/testing.h>

#define SUBJECT_LIST(X)                                                                            \
    X(SUBJECT_NUMBER, sizeof(int64_t))                                                             \
    X(SUBJECT_OTHER, sizeof(int64_t))                                                              \
    X(SUBJECT_TIMER, 0)                                                                            \
    X(SUBJECT_LATER, 0)
ROLLCALL_MESSAGES(subject_message, SUBJECT_LIST, SUBJECT_COUNT);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(SUBJECT_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(SUBJECT_LIST);

static struct rollcall_sim *sim;
static struct rollcall_runtime *rt;
static struct probe *parent, *subject, *sender;
static struct rollcall_ref ref; /* the subject's */

static void settle(void)
{
    CHECK(rollcall_sim_settle(sim, 100000));
}

/* The subject on worker 0, the sender on `worker`. */
static void begin(uint64_t seed, uint32_t worker)
{
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed), &sim, NULL), ROLLCALL_OK);
    rt = rollcall_sim_runtime(sim);
    parent = probe_create("parent", SIZES, NAMES, SUBJECT_COUNT);
    subject = probe_create("subject", SIZES, NAMES, SUBJECT_COUNT);
    sender = probe_create("sender", SIZES, NAMES, SUBJECT_COUNT);
    probe_spawn(sender, rt, worker);
    const struct probe_options options = {subject};
    CHECK_INT(rollcall_runtime_spawn(
                  rt, 0,
                  ROLLCALL_SPAWN_OPTIONS(.type = probe_type(subject), .options = &options,
                                         .supervisor = probe_spawn(parent, rt, 0)),
                  &ref, NULL),
              ROLLCALL_OK);
    probe_use(subject, ref);
    settle();
}

static void finish(void)
{
    rollcall_sim_destroy(sim);
    probe_destroy(parent);
    probe_destroy(subject);
    probe_destroy(sender);
}

static void arm(const char *text)
{
    struct rollcall_error error = {.text = ""};
    const enum rollcall_status status = rollcall_failpoints_arm(rt, text, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

static void send_as(uint16_t type, int64_t first, int64_t last, int *alive)
{
    for (int64_t i = first; i <= last; i++) {
        probe_send(sender, rt, ref, type, &i, sizeof i, alive == NULL ? NULL : probe_object(alive));
        settle();
    }
}

static void send_numbers(int64_t first, int64_t last)
{
    send_as(SUBJECT_NUMBER, first, last, NULL);
}

/* All the numbers the subject has handled, in order: "1 2 3 ". */
static const char *handled(void)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < probe_total(subject); i++) {
        const struct probe_message *message = probe_nth(subject, i);
        if (message->type == SUBJECT_NUMBER || message->type == SUBJECT_OTHER) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%d ",
                                     (int)*(const int64_t *)probe_payload(message));
        }
    }
    return text;
}

static struct rollcall_runtime_stats stats(void)
{
    struct rollcall_runtime_stats now;
    CHECK_INT(rollcall_runtime_stats(rt, &now), ROLLCALL_OK);
    return now;
}

static void restart(struct rollcall_context *cx, void *child)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)child);
}

/* ---- crash ---- */

TEST(failpoint, a_crash_is_told_to_the_parent_and_the_next_incarnation_goes_on)
{
    int alive = 0;
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=crash(E_NO_SPACE)@2");
    send_as(SUBJECT_NUMBER, 1, 4, &alive);
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    CHECK_INT(alive, 3); /* what crashed it is gone, two wait */
    const struct rollcall_down *down = probe_payload(probe_last(parent, ROLLCALL_DOWN));
    CHECK_INT(down->status, ROLLCALL_E_NO_SPACE);
    probe_run(parent, rt, restart, &ref);
    settle();
    CHECK_STR(handled(), "1 3 4 ");
    CHECK_INT(stats().failures, 1);
    finish();
    CHECK_INT(alive, 0);
}

TEST(failpoint, a_crash_without_a_status_is_the_actors_own_failure)
{
    begin(1, 0);
    arm("*/SUBJECT_OTHER=crash");
    send_as(SUBJECT_OTHER, 1, 1, NULL);
    const struct rollcall_down *down = probe_payload(probe_last(parent, ROLLCALL_DOWN));
    CHECK_INT(down->status, ROLLCALL_E_ACTOR);
    finish();
}

TEST(failpoint, a_signal_crashes_only_where_it_is_named)
{
    begin(1, 0);
    arm("subject/*=crash");
    arm("subject/ROLLCALL_STOP=crash(E_SYSTEM)*1");
    rollcall_runtime_stop(rt, ref);
    settle();
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    const struct rollcall_down *down = probe_payload(probe_last(parent, ROLLCALL_DOWN));
    CHECK_INT(down->status, ROLLCALL_E_SYSTEM);
    finish();
}

/* ---- drop ---- */

TEST(failpoint, what_is_dropped_is_counted_and_its_object_is_gone)
{
    int alive = 0;
    begin(1, 1);
    arm("subject/SUBJECT_NUMBER=drop@2+");
    send_as(SUBJECT_NUMBER, 1, 3, &alive);
    send_as(SUBJECT_OTHER, 9, 9, NULL);
    CHECK_STR(handled(), "1 9 ");
    CHECK_INT(stats().dropped, 2);
    CHECK_INT(stats().dead_letters, 0);
    CHECK_INT(alive, 1);
    finish();
}

/* ---- error ---- */

TEST(failpoint, an_error_is_a_full_mailbox_to_a_sender_beside_it)
{
    int alive = 0;
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=error*2");
    send_as(SUBJECT_NUMBER, 1, 3, &alive);
    CHECK_INT(probe_send_failures(sender), 2);
    CHECK_INT(stats().full, 2);
    CHECK_INT(stats().bounced, 0);
    CHECK_STR(handled(), "3 ");
    CHECK_INT(alive, 1);
    finish();
}

TEST(failpoint, an_error_bounces_to_a_sender_on_another_worker)
{
    begin(1, 1);
    arm("subject/SUBJECT_NUMBER=error@1");
    send_numbers(1, 2);
    CHECK_INT(probe_send_failures(sender), 0);
    CHECK_INT(probe_count(sender, ROLLCALL_BOUNCED), 1);
    CHECK_INT(stats().bounced, 1);
    CHECK_STR(handled(), "2 ");
    finish();
}

TEST(failpoint, an_error_does_not_refuse_what_comes_from_outside)
{
    const int64_t number = 5;
    begin(1, 0);
    arm("subject/*=error");
    CHECK_INT(rollcall_runtime_send(rt, ref, SUBJECT_NUMBER, &number, sizeof number, NULL),
              ROLLCALL_OK);
    settle();
    CHECK_STR(handled(), "5 ");
    finish();
}

/* ---- delay ---- */

TEST(failpoint, a_delay_keeps_the_order_and_lets_others_go_on)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        begin(seed, (uint32_t)(seed % 2));
        arm("subject/SUBJECT_NUMBER=delay(200ms)@2");
        send_numbers(1, 4);
        send_as(SUBJECT_OTHER, 5, 5, NULL);
        CHECK_STR(handled(), "1 ");
        const int64_t other = 7;
        probe_send(sender, rt, probe_ref(parent), SUBJECT_NUMBER, &other, sizeof other, NULL);
        settle();
        CHECK_INT(probe_count(parent, SUBJECT_NUMBER), 1);
        rollcall_sim_run_until(sim, 199);
        CHECK_STR(handled(), "1 ");
        rollcall_sim_run_until(sim, 200);
        CHECK_STR(handled(), "1 2 3 4 5 ");
        finish();
    }
}

TEST(failpoint, delays_of_one_mailbox_come_one_after_the_other)
{
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=delay(1s)");
    send_numbers(1, 3);
    for (int64_t i = 0; i < 3; i++) {
        rollcall_sim_run_until(sim, (i + 1) * 1000 - 1);
        CHECK_INT(probe_count(subject, SUBJECT_NUMBER), i);
        rollcall_sim_run_until(sim, (i + 1) * 1000);
        CHECK_INT(probe_count(subject, SUBJECT_NUMBER), i + 1);
    }
    finish();
}

static void set_timers(struct rollcall_context *cx, void *user)
{
    (void)user;
    rollcall_timer_set(cx, SUBJECT_TIMER, rollcall_now_ms(cx) + 10);
    rollcall_timer_set(cx, SUBJECT_LATER, rollcall_now_ms(cx) + 20);
}

static void set_timers_of_subject(void)
{
    probe_run(subject, rt, set_timers, NULL);
    settle();
}

TEST(failpoint, a_delayed_timer_holds_timers_behind_it_and_not_the_other_mailbox)
{
    begin(1, 0);
    arm("subject/SUBJECT_TIMER=delay(100ms)");
    set_timers_of_subject();
    rollcall_sim_run_until(sim, 50);
    send_numbers(1, 1);
    CHECK_STR(handled(), "1 ");
    CHECK_INT(probe_count(subject, SUBJECT_TIMER), 0);
    CHECK_INT(probe_count(subject, SUBJECT_LATER), 0);
    rollcall_sim_run_until(sim, 110);
    CHECK_INT(probe_last(subject, SUBJECT_TIMER)->at_ms, 110);
    CHECK_INT(probe_last(subject, SUBJECT_LATER)->at_ms, 110);
    CHECK_INT(probe_nth(subject, 1)->type, SUBJECT_TIMER);
    finish();
}

TEST(failpoint, a_delayed_actor_stops_at_once_and_what_waited_is_a_dead_letter)
{
    int alive = 0;
    begin(1, 0);
    probe_return(subject, ROLLCALL_STOP, ROLLCALL_END);
    arm("subject/SUBJECT_NUMBER=delay(1s); subject/SUBJECT_TIMER=delay(1s)");
    set_timers_of_subject();
    rollcall_sim_run_until(sim, 30);
    send_as(SUBJECT_NUMBER, 1, 3, &alive);
    CHECK_INT(alive, 3);
    rollcall_runtime_stop(rt, ref);
    settle();
    CHECK_STR(rollcall_sim_state(sim, ref), "ENDED");
    CHECK_INT(alive, 0);
    CHECK_INT(stats().dead_letters, 5); /* three numbers and two timers */
    rollcall_sim_run_until(sim, 5000);
    CHECK_STR(handled(), "");
    finish();
}

TEST(failpoint, what_is_delayed_survives_a_restart_but_an_old_timer_does_not)
{
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=delay(100ms)@1; subject/SUBJECT_TIMER=delay(100ms)");
    arm("subject/SUBJECT_OTHER=crash");
    send_as(SUBJECT_OTHER, 0, 0, NULL);
    probe_run(parent, rt, restart, &ref);
    settle();
    set_timers_of_subject();
    rollcall_sim_run_until(sim, 15);
    send_numbers(1, 2);
    probe_run(parent, rt, restart, &ref); /* of a child that runs */
    rollcall_sim_run_until(sim, 114);
    CHECK_STR(handled(), "");
    rollcall_sim_run_until(sim, 500);
    CHECK_STR(handled(), "1 2 ");
    CHECK_INT(probe_last(subject, SUBJECT_NUMBER)->epoch, 3);
    CHECK_INT(probe_count(subject, SUBJECT_TIMER), 0);
    CHECK_INT(probe_count(subject, SUBJECT_LATER), 0);
    CHECK_INT(stats().restarts, 2);
    finish();
}

TEST(failpoint, a_delay_that_ends_while_its_actor_has_failed_waits_for_the_restart)
{
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=delay(100ms); subject/SUBJECT_TIMER=crash");
    set_timers_of_subject();
    send_numbers(1, 2);
    rollcall_sim_run_until(sim, 1000);
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    CHECK_STR(handled(), "");
    probe_run(parent, rt, restart, &ref);
    rollcall_sim_run_until(sim, 1099);
    CHECK_STR(handled(), "1 ");
    rollcall_sim_run_until(sim, 1100);
    CHECK_STR(handled(), "1 2 ");
    finish();
}

TEST(failpoint, what_is_delayed_still_comes_after_a_clear)
{
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=delay(100ms)");
    send_numbers(1, 2);
    CHECK_INT(rollcall_failpoints_clear(rt), ROLLCALL_OK);
    send_numbers(3, 3);
    CHECK_STR(handled(), "");
    rollcall_sim_run_until(sim, 100);
    CHECK_STR(handled(), "1 2 3 ");
    send_numbers(4, 4);
    CHECK_STR(handled(), "1 2 3 4 ");
    finish();
}

TEST(failpoint, a_simulation_may_end_while_messages_are_delayed)
{
    int alive = 0;
    begin(1, 0);
    arm("subject/SUBJECT_NUMBER=delay(100ms)");
    send_as(SUBJECT_NUMBER, 1, 2, &alive);
    finish();
    CHECK_INT(alive, 0);
}

/* ---- triggers ---- */

static void check_dropped(const char *trigger, const char *left)
{
    char text[128];
    begin(1, 0);
    snprintf(text, sizeof text, "subject/SUBJECT_NUMBER=drop%s", trigger);
    arm(text);
    send_numbers(1, 6);
    CHECK_STR(handled(), left);
    finish();
}

TEST(failpoint, every_trigger_fires_when_it_says)
{
    check_dropped("", "");
    check_dropped("@3", "1 2 4 5 6 ");
    check_dropped("@3+", "1 2 ");
    check_dropped("*2", "3 4 5 6 ");
    check_dropped("@2+*3", "1 5 6 ");
    check_dropped("*3@2+", "1 5 6 ");
    check_dropped("%1", "");
    check_dropped("%1.000@4+", "1 2 3 ");
}

static uint64_t drop_some(uint64_t seed, uint64_t *hash)
{
    begin(seed, 0);
    arm("subject/SUBJECT_NUMBER=drop%0.25");
    send_numbers(1, 400);
    const uint64_t dropped = stats().dropped;
    *hash = rollcall_sim_hash(sim);
    finish();
    return dropped;
}

TEST(failpoint, a_chance_is_about_that_often_and_the_same_for_the_same_seed)
{
    uint64_t hashes[2], sum = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sum += drop_some(seed, &hashes[0]);
        drop_some(seed, &hashes[1]);
        CHECK(hashes[0] == hashes[1]);
    }
    CHECK(sum > 800 && sum < 1200); /* of 4,000: 1,000, give or take seven deviations */
}

TEST(failpoint, of_two_that_match_the_first_that_fires_is_taken)
{
    begin(1, 0);
    arm("subject/*=drop@2");
    arm("subject/SUBJECT_NUMBER=crash@2");
    send_numbers(1, 2);
    CHECK_STR(handled(), "1 ");
    CHECK_STR(rollcall_sim_state(sim, ref), "OPEN"); /* the second was hit once only */
    send_numbers(3, 3);
    CHECK_STR(rollcall_sim_state(sim, ref), "FAILED");
    finish();
}

TEST(failpoint, an_asterisk_is_any_actor_and_any_message_but_no_part_of_a_name)
{
    begin(1, 0);
    arm("subject/SUBJECT=drop; sub/*=drop; other/*=drop");
    send_numbers(1, 1);
    CHECK_STR(handled(), "1 ");
    arm("*/SUBJECT_NUMBER=drop");
    send_numbers(2, 2);
    send_as(SUBJECT_OTHER, 3, 3, NULL);
    CHECK_STR(handled(), "1 3 ");
    finish();
}

/* ---- list and clear ---- */

struct lines {
    char text[512];
};

static void print(void *user, const struct rollcall_failpoint *point)
{
    struct lines *lines = user;
    const size_t used = strlen(lines->text);
    snprintf(lines->text + used, sizeof lines->text - used, "%s hits=%d fired=%d\n", point->text,
             (int)point->hits, (int)point->fired);
}

static const char *listed(void)
{
    static struct lines lines;
    lines.text[0] = '\0';
    CHECK_INT(rollcall_failpoints_list(rt, print, &lines), ROLLCALL_OK);
    return lines.text;
}

TEST(failpoint, the_list_tells_hits_and_firings_of_all_workers)
{
    begin(1, 1);
    CHECK_STR(listed(), "");
    arm(" subject/SUBJECT_NUMBER=drop@2+ ;; */SUBJECT_NUMBER=error@9\n");
    arm("sender/SUBJECT_NUMBER=drop");
    send_numbers(1, 3);
    const int64_t number = 0;
    probe_send(parent, rt, probe_ref(sender), SUBJECT_NUMBER, &number, sizeof number, NULL);
    settle();
    CHECK_STR(listed(), "subject/SUBJECT_NUMBER=drop@2+ hits=3 fired=2\n"
                        "*/SUBJECT_NUMBER=error@9 hits=4 fired=0\n"
                        "sender/SUBJECT_NUMBER=drop hits=1 fired=1\n");
    CHECK_INT(rollcall_failpoints_clear(rt), ROLLCALL_OK);
    CHECK_STR(listed(), "");
    send_numbers(4, 4);
    CHECK_STR(handled(), "1 4 ");
    finish();
}

/* ---- the text ---- */

TEST(failpoint, what_cannot_be_read_is_refused_with_the_place_and_what_it_allows)
{
    static const struct {
        const char *text, *place, *allowed;
    } bad[] = {
        {"subject", "byte 1", "name of an actor"},
        {"/X=drop", "byte 1", "name of an actor"},
        {"sub*/X=drop", "byte 1", "name of an actor"},
        {"subject/=drop", "byte 9", "name of a message"},
        {"subject/X", "byte 9", "name of a message"},
        {"subject/X=", "byte 11", "crash, crash(STATUS), delay(TIME)"},
        {"subject/X=dropped", "byte 11", "crash, crash(STATUS), delay(TIME)"},
        {"subject/X=crash(E_NOTHING)", "byte 17", "a status"},
        {"subject/X=crash(OK)", "byte 17", "a status"},
        {"subject/X=crash(E_ACTOR", "byte 17", "a status"},
        {"subject/X=delay", "byte 16", "delay(200ms)"},
        {"subject/X=delay()", "byte 16", "delay(200ms)"},
        {"subject/X=delay(5)", "byte 16", "delay(200ms)"},
        {"subject/X=delay(0ms)", "byte 16", "delay(200ms)"},
        {"subject/X=delay(3601s)", "byte 16", "3600s"},
        {"subject/X=delay(99999999999999999999ms)", "byte 16", "delay(200ms)"},
        {"subject/X=drop@", "byte 16", "@3"},
        {"subject/X=drop@0", "byte 16", "@3"},
        {"subject/X=drop*", "byte 16", "*2"},
        {"subject/X=drop%", "byte 16", "%0.01"},
        {"subject/X=drop%0", "byte 16", "%0.01"},
        {"subject/X=drop%1.1", "byte 16", "%0.01"},
        {"subject/X=drop@1@2", "byte 17", "each once"},
        {"subject/X=drop X", "byte 16", "another point"},
        {"a/B=drop;subject/X=error(E_DENIED)", "byte 10", "E_FULL only"},
        {"subject/ROLLCALL_STOP=drop", "byte 1", "takes crash only"},
        {"*/ROLLCALL_DOWN=delay(1s)", "byte 1", "takes crash only"},
        {"etcd/call=crash", "byte 1", "not crash"},
        {"etcd/lease=drop", "byte 1", "etcd/renewal"},
    };
    begin(1, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rollcall_error error;
        CHECK_INT(rollcall_failpoints_arm(rt, bad[i].text, &error), ROLLCALL_E_INVALID);
        if (strstr(error.text, bad[i].place) == NULL ||
            strstr(error.text, bad[i].allowed) == NULL) {
            CHECK_STR(error.text, bad[i].allowed);
        }
    }
    CHECK_STR(listed(), ""); /* also nothing of a text whose end is bad */
    finish();
}

TEST(failpoint, no_more_than_64_are_armed_and_a_clear_makes_room)
{
    struct rollcall_error error;
    begin(1, 0);
    for (int i = 0; i < 64; i++) {
        arm("subject/SUBJECT_OTHER=drop@9");
    }
    CHECK_INT(rollcall_failpoints_arm(rt, "a/B=drop", &error), ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "64") != NULL);
    CHECK_INT(rollcall_failpoints_clear(rt), ROLLCALL_OK);
    arm("subject/SUBJECT_NUMBER=drop");
    send_numbers(1, 1);
    CHECK_STR(handled(), "");
    finish();
}

/* ---- who may call ---- */

static void arm_from_handler(struct rollcall_context *cx, void *user)
{
    (void)cx, (void)user;
    CHECK_INT(rollcall_failpoints_arm(rt, "a/B=drop", NULL), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_failpoints_clear(rt), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_failpoints_list(rt, print, NULL), ROLLCALL_E_BUSY);
}

TEST(failpoint, a_handler_is_answered_busy)
{
    begin(1, 0);
    probe_run(sender, rt, arm_from_handler, NULL);
    settle();
    finish();
}

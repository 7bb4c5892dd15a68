/* Going-stop: every request is answered once, whatever happens to the session meanwhile. */
#include "unit/actors/root_world.h"

static void open_active(struct bench *b, enum rollcall_on_lost on_lost)
{
    open(b, &(struct session_choice){.on_lost = on_lost});
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE");
}

static bool is_stopping(const struct bench *b)
{
    return stored_record_read(fake_etcd_find(b->etcd, KEY)->value).stopping;
}

/* Departure is restarted, and asks again what etcd was silent about. */
static void ask_again(struct bench *b, enum step step)
{
    crash_child(b, b->steps.plan[step].asker, DEPARTURE_RETRY, ROLLCALL_E_ACTOR);
    world_run(&b->world, 2000);
}

static void check_answers(const struct bench *b, uint64_t first, uint64_t last,
                          enum rollcall_status expected)
{
    for (uint64_t i = first; i <= last; i++) {
        CHECK_INT(answer_to(b, i), expected);
    }
}

TEST(session_mark, a_member_is_marked_once_and_says_so)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        mark(&b, 1);
        check_answers(&b, 1, 1, ROLLCALL_OK);
        CHECK(is_stopping(&b));
        CHECK(last_event(&b)->stopping && last_event(&b)->registered);
        mark(&b, 2);
        check_answers(&b, 2, 2, ROLLCALL_OK);
        CHECK_INT(b.steps.plan[MARK].seen, 1);
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE"); /* it is a member as before, and its own mark is no loss */
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        CHECK_INT(b.steps.plan[MARK].seen, 1);
        CHECK(!last_event(&b)->stopping);
        close_bench(&b);
    }
}

TEST(session_mark, one_that_is_suspect_is_marked_too)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        b.etcd->renews_nothing = true;
        world_run(&b.world, 6000);
        mark(&b, 1);
        check_told(&b, "ACTIVE SUSPECT");
        check_answers(&b, 1, 1, ROLLCALL_OK);
        close_bench(&b);
    }
}

TEST(session_mark, one_that_is_no_member_answers_why)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
        b.steps.plan[GRANT].fate = FAKE_ETCD_SILENT;
        mark(&b, 1);
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        check_answers(&b, 1, 1, ROLLCALL_E_BUSY);
        say(&b, SESSION_LEAVE);
        mark(&b, 2);
        CHECK_STATE(&b.world, b.session, "LEAVING");
        check_answers(&b, 2, 2, ROLLCALL_E_STOPPED);
        close_bench(&b);

        open_active(&b, ROLLCALL_ON_LOST_STOP);
        say(&b, SESSION_REVOKE);
        world_run(&b.world, 1000);
        mark(&b, 1);
        CHECK_STATE(&b.world, b.session, "OVER");
        check_answers(&b, 1, 1, ROLLCALL_E_STOPPED);
        CHECK_INT(b.steps.plan[MARK].seen, 0);
        close_bench(&b);
    }
}

TEST(session_mark, one_that_failed_or_was_stopped_after_a_loss_is_over)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 1, .retries = 1});
        world_run(&b.world, 1000);
        lose(&b, BY_OVERWRITING);
        world_run(&b.world, 1000);
        mark(&b, 1);
        say(&b, SESSION_RESTART);
        world_run(&b.world, 5000);
        mark(&b, 2);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED");
        check_answers(&b, 1, 1, ROLLCALL_E_KEY_LOST);
        check_answers(&b, 2, 2, ROLLCALL_E_STOPPED);
        steps_from_now(&b.steps, GRANT, FAKE_ETCD_LOSE_ANSWER, 1); /* REGISTERING for a while */
        say(&b, SESSION_RESTART);
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 5000);
        mark(&b, 3);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED REGISTERING STOPPING STOPPED");
        check_answers(&b, 3, 3, ROLLCALL_E_STOPPED);
        close_bench(&b);
    }
}

TEST(session_mark, a_loss_answers_what_is_outstanding_and_what_comes_after)
{
    static const enum way WAYS[] = {BY_DELETION, BY_LEASE, BY_FAULT};
    static const enum rollcall_status EXPECTED[] = {ROLLCALL_E_KEY_LOST, ROLLCALL_E_LEASE_LOST,
                                                    ROLLCALL_E_ACTOR};
    for (size_t i = 0; i < 3; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_STOP);
            b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
            mark(&b, 1);
            mark(&b, 2);
            lose(&b, WAYS[i]);
            world_run(&b.world, 5000);
            mark(&b, 3);
            check_told(&b, "ACTIVE LOST");
            check_answers(&b, 1, 3, EXPECTED[i]);
            CHECK_INT(b.steps.plan[MARK].seen, 1);
            CHECK(!last_event(&b)->stopping);
            close_bench(&b);
        }
    }
}

/* The answer of etcd and the loss cross: whichever is first, the lost one is not marked. */
TEST(session_mark, a_mark_that_crosses_a_loss_is_answered_once_and_is_none_afterwards)
{
    for (int moment = 0; moment < 20; moment++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_STOP);
            b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE; /* CLEARING for a while */
            b.steps.plan[REVOKE].last = 5;
            send_mark(&b, 1);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            lose(&b, BY_DELETION);
            world_settle(&b.world);
            mark(&b, 2);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST");
            CHECK(answer_to(&b, 1) == ROLLCALL_OK || answer_to(&b, 1) == ROLLCALL_E_KEY_LOST);
            check_answers(&b, 2, 2, ROLLCALL_E_KEY_LOST);
            CHECK(!last_event(&b)->stopping);
            say(&b, SESSION_RESTART);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
            CHECK(!last_event(&b)->stopping);
            mark(&b, 3);
            check_answers(&b, 3, 3, ROLLCALL_OK);
            CHECK(is_stopping(&b));
            close_bench(&b);
        }
    }
}

TEST(session_mark, one_that_registers_again_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_REREGISTER);
        steps_from_now(&b.steps, GRANT, FAKE_ETCD_SILENT, 1);
        steps_from_now(&b.steps, REVOKE, FAKE_ETCD_SILENT, 1);
        lose(&b, BY_DELETION);
        mark(&b, 1);
        CHECK_STATE(&b.world, b.session, "CLEARING");
        check_answers(&b, 1, 1, ROLLCALL_E_KEY_LOST);
        ask_again(&b, REVOKE);
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        mark(&b, 2);
        check_answers(&b, 2, 2, ROLLCALL_E_BUSY);
        close_bench(&b);
    }
}

/* ---- several at once ---- */

TEST(session_mark, requests_that_wait_share_the_mark_that_works)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        for (uint64_t i = 1; i <= 5; i++) {
            mark(&b, i);
        }
        check_answers(&b, 1, 5, ROLLCALL_STATUS_COUNT);
        ask_again(&b, MARK);
        check_answers(&b, 1, 5, ROLLCALL_OK);
        CHECK_INT(b.steps.plan[MARK].seen, 2);
        close_bench(&b);
    }
}

TEST(session_mark, a_mark_that_failed_answers_the_first_and_the_others_are_tried_once_more)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        b.steps.plan[MARK].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[MARK].status = ROLLCALL_E_DENIED;
        for (uint64_t i = 1; i <= 5; i++) {
            send_mark(&b, i);
        }
        world_settle(&b.world);
        CHECK_INT(answer_to(&b, 1), ROLLCALL_E_DENIED);
        check_answers(&b, 5, 5, ROLLCALL_OK);
        CHECK_INT(b.steps.plan[MARK].seen, 2);
        CHECK(is_stopping(&b));
        close_bench(&b);
    }
}

/* The second waits behind the first, which fails while the session leaves. */
TEST(session_mark, leaving_answers_all_that_wait)
{
    static const enum fake_etcd_fate FATES[] = {FAKE_ETCD_REFUSE, FAKE_ETCD_LOSE_ANSWER,
                                                FAKE_ETCD_ANSWER};
    for (size_t i = 0; i < 3; i++) {
        for (int moment = 0; moment < 12; moment++) {
            while (world_next(SEEDS)) {
                struct bench b;
                open_active(&b, ROLLCALL_ON_LOST_STOP);
                b.steps.plan[MARK].fate = FATES[i];
                send_mark(&b, 1);
                send_mark(&b, 2);
                send_mark(&b, 3);
                for (int step = 0; step < moment; step++) {
                    rollcall_sim_step(b.world.sim);
                }
                signal_root(&b, SESSION_LEAVE);
                world_run(&b.world, 5000);
                check_told(&b, "ACTIVE STOPPING STOPPED");
                for (uint64_t request = 1; request <= 3; request++) {
                    CHECK(answer_to(&b, request) != ROLLCALL_STATUS_COUNT);
                }
                CHECK_INT(last_event(&b)->answered, 3);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
                close_bench(&b);
            }
        }
    }
}

TEST(session_mark, the_hurry_answers_what_etcd_is_silent_about)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        mark(&b, 1);
        mark(&b, 2);
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 10000);
        check_told(&b, "ACTIVE STOPPING");
        check_answers(&b, 1, 2, ROLLCALL_STATUS_COUNT);
        say(&b, SESSION_REVOKE);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        check_answers(&b, 1, 2, ROLLCALL_E_STOPPED);
        close_bench(&b);
    }
}

/* ---- anything at any time ---- */

static void do_something(struct bench *b, uint64_t what, uint64_t *asked)
{
    switch (what % 12) {
    case 0:
        steps_from_now(&b->steps, MARK, (enum fake_etcd_fate)(what / 12 % 3), 2);
        break;
    case 1:
        if (fake_etcd_find(b->etcd, KEY) != NULL) {
            lose(b, BY_DELETION);
        }
        break;
    case 2:
        b->etcd->away = !b->etcd->away;
        pump(b);
        break;
    case 3:
        signal_root(b, SESSION_LEAVE);
        break;
    case 4:
    case 5:
        signal_root(b, SESSION_RESTART);
        break;
    case 6:
        world_run(&b->world, 700);
        break;
    case 7:
        signal_root(b, what / 12 % 4 == 0 ? SESSION_REVOKE : SESSION_RESTART);
        break;
    default:
        send_mark(b, ++*asked);
        break;
    }
}

TEST(session_mark, whatever_happens_each_request_is_answered_in_the_end)
{
    while (world_next(300)) {
        uint64_t asked = 0, random = world_seed * 0x9e3779b97f4a7c15U + 1;
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = world_seed % 2 == 0
                                                         ? ROLLCALL_ON_LOST_STOP
                                                         : ROLLCALL_ON_LOST_REREGISTER});
        world_run(&b.world, 1000);
        for (int i = 0; i < 60; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            do_something(&b, random >> 20, &asked);
            for (uint64_t steps = random % 9; steps > 0; steps--) {
                rollcall_sim_step(b.world.sim);
            }
            if (i % 10 == 9) {
                world_settle(&b.world);
            }
        }
        b.etcd->away = false;
        world_run(&b.world, 20000);
        CHECK_INT(last_event(&b)->answered, asked);
        const bool is_member = strcmp(rollcall_sim_state(b.world.sim, b.session), "ACTIVE") == 0;
        CHECK_INT(last_event(&b)->registered, is_member);
        CHECK_INT(fake_etcd_find(b.etcd, KEY) != NULL, is_member);
        /* A mark whose answer was lost may be there without anybody knowing. */
        CHECK(!last_event(&b)->stopping || (is_member && is_stopping(&b)));
        CHECK_INT(fake_etcd_leases_alive(b.etcd), is_member);
        close_bench(&b);
    }
}

/* ---- by somebody else ---- */

static void put_ours(struct bench *b, bool stopping)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"ServerID\":1,\"ServerName\":\"coord\",\"Address\":\"" OUR_ADDRESS
             "\",\"Version\":\"2.4.2\"%s}",
             stopping ? ",\"Stopping\":true" : "");
    fake_etcd_put(b->etcd, KEY, text, our_lease(b));
    pump(b);
    world_settle(&b->world);
}

TEST(session_mark, one_from_outside_is_told_without_a_change_of_state)
{
    for (int suspect = 0; suspect < 2; suspect++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_REREGISTER);
            b.etcd->renews_nothing = suspect;
            world_run(&b.world, 6000);
            const char *expected = suspect ? "ACTIVE SUSPECT" : "ACTIVE";
            put_ours(&b, true);
            CHECK(last_event(&b)->stopping);
            check_told(&b, expected);
            put_ours(&b, false);
            CHECK(!last_event(&b)->stopping);
            put_ours(&b, true);
            mark(&b, 1);
            check_answers(&b, 1, 1, ROLLCALL_OK);
            CHECK_INT(b.steps.plan[MARK].seen, 0); /* it is marked already */
            check_told(&b, expected);
            b.etcd->renews_nothing = false;
            lose(&b, BY_DELETION);
            world_run(&b.world, 5000);
            CHECK(last_event(&b)->registered && last_event(&b)->stopping && is_stopping(&b));
            close_bench(&b);
        }
    }
}

TEST(session_mark, one_from_outside_answers_those_who_wait_for_their_own)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        mark(&b, 1);
        put_ours(&b, true);
        check_answers(&b, 1, 1, ROLLCALL_OK);
        say(&b, SESSION_LEAVE); /* it has nothing to wait for */
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        CHECK_INT(last_event(&b)->answer.status, ROLLCALL_OK);
        close_bench(&b);
    }
}

/* Crashes of a session's actors at rest in each of their states: they heal, or they are told. */
#include "actors/keepalive.h"
#include "actors/registration.h"
#include "unit/actors/root_world.h"

static void open_active(struct bench *b, enum rollcall_on_lost on_lost)
{
    open(b, &(struct session_choice){.on_lost = on_lost});
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE");
}

/* Of class RETRY, as when etcd is away, or of its own. */
static const enum rollcall_status WHY[] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_ACTOR};
enum { WHY_COUNT = 2 };

static void check_held(struct bench *b)
{
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 1);
    CHECK_INT(fake_etcd_find(b->etcd, KEY)->lease_id, our_lease(b));
    CHECK_INT(fake_etcd_find(b->etcd, KEY)->create_revision,
              last_event(b)->membership->create_revision);
}

static void check_member(struct bench *b)
{
    world_run(&b->world, 20000);
    check_told(b, "ACTIVE");
    check_held(b);
}

/* Silent about the step, so that the actor which asked is at rest there. */
TEST(session_fault, registration_that_crashes_at_any_step_goes_on)
{
    for (enum step step = GRANT; step <= CLAIM; step++) {
        for (size_t why = 0; why < WHY_COUNT; why++) {
            while (world_next(SEEDS)) {
                struct bench b;
                open(&b, &(struct session_choice){0});
                b.steps.plan[step].fate = FAKE_ETCD_SILENT;
                world_run(&b.world, 3000);
                check_told(&b, "");
                crash_child(&b, b.steps.plan[step].asker, REGISTRATION_RETRY, WHY[why]);
                check_member(&b);
                crash_child(&b, b.steps.plan[step].asker, REGISTRATION_RETRY, WHY[why]); /* HELD */
                check_member(&b);
                close_bench(&b);
            }
        }
    }
}

TEST(session_fault, keepalive_that_crashes_is_suspect_until_its_successor_has_renewed)
{
    for (size_t why = 0; why < WHY_COUNT; why++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_STOP);
            const uint64_t renewals = b.etcd->renewals;
            crash_child(&b, b.etcd->renewer, KEEPALIVE_RENEW, WHY[why]);
            check_told(&b, "ACTIVE SUSPECT"); /* at once, not when it is restarted */
            CHECK_INT(last_event(&b)->status, WHY[why]);
            CHECK(strstr(last_event(&b)->reason, "is restarted") != NULL);
            world_run(&b.world, 20000);
            check_told(&b, "ACTIVE SUSPECT ACTIVE");
            check_held(&b);
            CHECK(b.etcd->renewals > renewals + 5);
            close_bench(&b);
        }
    }
}

TEST(session_fault, keepalive_that_crashes_while_etcd_is_silent_is_suspect_until_it_answers)
{
    for (int late = 0; late < 2; late++) { /* when it was suspect already */
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_STOP);
            b.etcd->renews_nothing = true;
            world_run(&b.world, late ? 6000 : 1);
            crash_child(&b, b.etcd->renewer, KEEPALIVE_RENEW, ROLLCALL_E_ACTOR);
            world_run(&b.world, 6000);
            check_told(&b, "ACTIVE SUSPECT");
            b.etcd->renews_nothing = false;
            world_run(&b.world, 6000);
            check_told(&b, "ACTIVE SUSPECT ACTIVE");
            close_bench(&b);
        }
    }
}

TEST(session_fault, keepalive_that_crashes_while_the_lease_ends_finds_it_out)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_STOP);
        crash_child(&b, b.etcd->renewer, KEEPALIVE_RENEW, ROLLCALL_E_ACTOR);
        lose(&b, BY_LEASE);
        world_run(&b.world, 5000);
        check_told(&b, "ACTIVE SUSPECT LOST");
        CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_LEASE);
        close_bench(&b);
    }
}

TEST(session_fault, liveness_that_crashes_looks_again)
{
    for (int reading = 0; reading < 2; reading++) {
        for (size_t why = 0; why < WHY_COUNT; why++) {
            while (world_next(SEEDS)) {
                struct bench b;
                open(&b, &(struct session_choice){0});
                b.steps.plan[LOOK].fate = reading ? FAKE_ETCD_SILENT : FAKE_ETCD_ANSWER;
                world_run(&b.world, 3000);
                crash_child(&b, b.steps.plan[LOOK].asker, LIVENESS_RETELL, WHY[why]);
                check_member(&b);
                CHECK_INT(b.steps.plan[LOOK].seen, 2);
                crash_child(&b, b.steps.plan[LOOK].asker, LIVENESS_RETELL, WHY[why]);
                lose(&b, BY_MOVING);
                world_run(&b.world, 5000);
                check_told(&b, "ACTIVE LOST");
                CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_MOVED);
                close_bench(&b);
            }
        }
    }
}

TEST(session_fault, departure_that_crashes_while_marking_answers_all_the_same)
{
    for (size_t why = 0; why < WHY_COUNT; why++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_STOP);
            b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
            mark(&b, 1);
            crash_child(&b, b.steps.plan[MARK].asker, DEPARTURE_RETRY, WHY[why]);
            check_member(&b);
            CHECK_INT(answer_to(&b, 1), ROLLCALL_OK);
            crash_child(&b, b.steps.plan[MARK].asker, DEPARTURE_RETRY, WHY[why]); /* IDLE */
            check_member(&b);
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE STOPPING STOPPED");
            close_bench(&b);
        }
    }
}

TEST(session_fault, departure_that_crashes_on_the_way_out_goes_on)
{
    static const enum step SILENT[] = {MARK, REVOKE};
    for (size_t i = 0; i < 2; i++) {
        for (size_t why = 0; why < WHY_COUNT; why++) {
            while (world_next(SEEDS)) {
                struct bench b;
                open_active(&b, ROLLCALL_ON_LOST_STOP);
                b.steps.plan[SILENT[i]].fate = FAKE_ETCD_SILENT;
                say(&b, SESSION_LEAVE);
                world_run(&b.world, 5000);
                check_told(&b, "ACTIVE STOPPING");
                crash_child(&b, b.steps.plan[SILENT[i]].asker, DEPARTURE_RETRY, WHY[why]);
                world_run(&b.world, 5000);
                check_told(&b, "ACTIVE STOPPING STOPPED");
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
                close_bench(&b);
            }
        }
    }
}

/* ---- more often than the supervisor takes ---- */

static void wear_out(struct bench *b, struct rollcall_ref child, uint16_t timer)
{
    for (int i = 0; i < 6; i++) {
        crash_child(b, child, timer, ROLLCALL_E_ACTOR);
        world_run(&b->world, 1000);
    }
}

TEST(session_fault, before_the_first_membership_it_is_failed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
        b.steps.plan[GRANT].fate = FAKE_ETCD_SILENT;
        b.steps.plan[GRANT].last = SIZE_MAX;
        world_run(&b.world, 100);
        wear_out(&b, b.steps.plan[GRANT].asker, REGISTRATION_RETRY);
        check_told(&b, "FAILED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_ACTOR);
        CHECK(strstr(last_event(&b)->reason, "6 failures") != NULL);
        world_run(&b.world, 60000);
        check_told(&b, "FAILED");
        b.steps.plan[GRANT].last = 0;
        say(&b, SESSION_RESTART);
        world_run(&b.world, 2000);
        check_told(&b, "FAILED REGISTERING ACTIVE");
        close_bench(&b);
    }
}

TEST(session_fault, on_the_way_out_it_is_stopped_with_the_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, ROLLCALL_ON_LOST_REREGISTER);
        b.steps.plan[REVOKE].fate = FAKE_ETCD_SILENT;
        b.steps.plan[REVOKE].last = SIZE_MAX;
        mark(&b, 1);
        say(&b, SESSION_LEAVE);
        wear_out(&b, b.steps.plan[REVOKE].asker, DEPARTURE_RETRY);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_ACTOR);
        CHECK_STATE(&b.world, b.session, "OVER");
        close_bench(&b);
    }
}

TEST(session_fault, while_the_old_lease_goes_what_follows_comes_without_it)
{
    for (int again = 0; again < 2; again++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, again ? ROLLCALL_ON_LOST_REREGISTER : ROLLCALL_ON_LOST_STOP);
            b.steps.plan[REVOKE].fate = FAKE_ETCD_SILENT;
            b.steps.plan[REVOKE].last = SIZE_MAX;
            lose(&b, BY_DELETION);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.session, "CLEARING");
            wear_out(&b, b.steps.plan[REVOKE].asker, DEPARTURE_RETRY);
            world_run(&b.world, 2000);
            check_told(&b, again ? "ACTIVE LOST REGISTERING ACTIVE" : "ACTIVE LOST");
            CHECK_STATE(&b.world, b.session, again ? "ACTIVE" : "OVER");
            CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_DELETED);
            close_bench(&b);
        }
    }
}

#define DOUBT "ACTIVE SUSPECT"
#define SIX_DOUBTS DOUBT " " DOUBT " " DOUBT " " DOUBT " " DOUBT " " DOUBT

TEST(session_fault, each_of_its_actors_may_be_the_one)
{
    enum { KEEPALIVE = 1 };
    for (int which = 0; which < 4; which++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, ROLLCALL_ON_LOST_REREGISTER);
            mark(&b, 1);
            const struct rollcall_ref child[] = {b.steps.plan[CLAIM].asker, b.etcd->renewer,
                                                 b.steps.plan[LOOK].asker,
                                                 b.steps.plan[MARK].asker};
            static const uint16_t TIMERS[] = {REGISTRATION_RETRY, KEEPALIVE_RENEW, LIVENESS_RETELL,
                                              DEPARTURE_RETRY};
            wear_out(&b, child[which], TIMERS[which]);
            world_run(&b.world, 3000);
            check_told(&b, which == KEEPALIVE ? SIX_DOUBTS " LOST REGISTERING ACTIVE"
                                              : "ACTIVE LOST REGISTERING ACTIVE");
            CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_FAULT);
            CHECK_INT(fake_etcd_find(b.etcd, KEY)->lease_id, our_lease(&b));
            close_bench(&b);
        }
    }
}

/* Nobody is left to revoke what had been granted: the next one waits for the end of that lease. */
TEST(session_fault, a_fault_that_leaves_a_key_behind_is_outlasted_by_a_restart)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 1});
        b.steps.plan[CLAIM].fate = FAKE_ETCD_SILENT;
        b.steps.plan[CLAIM].last = 5;
        world_run(&b.world, 100);
        wear_out(&b, b.steps.plan[CLAIM].asker, REGISTRATION_RETRY);
        check_told(&b, "FAILED");
        fake_etcd_put(b.etcd, KEY, RECORD_OF(1, OUR_ADDRESS, OUR_HOST), b.steps.granted[0]);
        say(&b, SESSION_RESTART);
        world_run(&b.world, 4000);
        check_told(&b, "FAILED REGISTERING");
        fake_etcd_end_lease(b.etcd, b.steps.granted[0]);
        world_run(&b.world, 4000);
        check_told(&b, "FAILED REGISTERING ACTIVE");
        close_bench(&b);
    }
}

/* Each allocation of a life in turn: registering, being lost, registering again, leaving. */
TEST(session_fault, an_allocation_that_fails_is_outlasted_or_told_as_the_end)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(2)) {
            struct bench b;
            open(&b,
                 &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER, .server_id = 1});
            world_memory_fails_at(&b.world, nth);
            world_run(&b.world, 2000);
            if (last_event(&b)->state == ROLLCALL_SESSION_ACTIVE) {
                lose(&b, BY_DELETION);
                world_run(&b.world, 3000);
                mark(&b, 1);
                world_run(&b.world, 1000);
                CHECK(answer_to(&b, 1) != ROLLCALL_STATUS_COUNT);
            }
            if (last_event(&b)->state == ROLLCALL_SESSION_ACTIVE) {
                say(&b, SESSION_LEAVE);
                world_run(&b.world, 3000);
                CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_STOPPED);
                CHECK_INT(last_event(&b)->losses, 1);
            } else {
                CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_FAILED);
                CHECK_INT(last_event(&b)->status, ROLLCALL_E_NO_MEMORY);
            }
            failed = world_memory_failed(&b.world);
            CHECK(failed || last_event(&b)->status == ROLLCALL_OK);
            CHECK_STATE(&b.world, b.session, "OVER");
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
        CHECK(nth > 10 || failed);
    }
}

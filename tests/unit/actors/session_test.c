/* What the application is told of a session, and how often: registering, suspicion, leaving. */
#include "unit/actors/root_world.h"

/* ---- registering ---- */

TEST(session, registers_survives_an_outage_and_leaves)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE");
        CHECK_STR(event(&b, 0)->membership->key, KEY);
        CHECK(event(&b, 0)->registered && !event(&b, 0)->disconnected && !event(&b, 0)->stopping);
        CHECK_INT(event(&b, 0)->loss, ROLLCALL_LOSS_NONE);
        b.etcd->away = true;
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE SUSPECT");
        CHECK_INT(event(&b, 1)->status, ROLLCALL_E_UNAVAILABLE);
        CHECK(event(&b, 1)->registered);
        b.etcd->away = false;
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE SUSPECT ACTIVE");
        CHECK_INT(event(&b, 2)->status, ROLLCALL_OK);
        CHECK_STATE(&b.world, b.session, "ACTIVE");
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE SUSPECT ACTIVE STOPPING STOPPED");
        CHECK_INT(b.steps.plan[MARK].seen, 1);
        CHECK_INT(last_event(&b)->status, ROLLCALL_OK);
        CHECK(!last_event(&b)->registered && !last_event(&b)->disconnected);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        const uint64_t renewals = b.etcd->renewals, calls = b.etcd->calls;
        world_run(&b.world, 60000);
        CHECK_INT(b.etcd->renewals, renewals); /* nobody renews what has been left */
        CHECK_INT(b.etcd->calls, calls);
        check_told(&b, "ACTIVE SUSPECT ACTIVE STOPPING STOPPED");
        close_bench(&b);
    }
}

TEST(session, a_grant_whose_time_is_over_is_active_only_when_it_is_renewed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 100});
        b.steps.plan[GRANT].fate = FAKE_ETCD_LOSE_ANSWER;
        b.steps.plan[GRANT].last = 20;
        b.etcd->renews_nothing = true;
        world_run(&b.world, 60000);
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        CHECK(fake_etcd_find(b.etcd, KEY) != NULL);
        check_told(&b, "");
        b.etcd->renews_nothing = false;
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE");
        close_bench(&b);
    }
}

TEST(session, no_contact_in_time_is_failed_with_the_time_and_the_address_or_the_cause)
{
    for (int silent = 0; silent < 2; silent++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[CREATE_ID].fate = FAKE_ETCD_SILENT;
            b.etcd->away = !silent;
            world_run(&b.world, 4999);
            check_told(&b, "");
            world_run(&b.world, 1);
            check_told(&b, "FAILED");
            CHECK_INT(event(&b, 0)->status, ROLLCALL_E_UNAVAILABLE);
            CHECK(strstr(event(&b, 0)->reason, "5000 ms") != NULL);
            CHECK(strstr(event(&b, 0)->reason, silent ? "127.0.0.1:2379" : "the fake etcd says") !=
                  NULL);
            CHECK(event(&b, 0)->membership == NULL && !event(&b, 0)->registered);
            b.etcd->away = false;
            world_run(&b.world, 60000);
            check_told(&b, "FAILED");
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
    }
}

TEST(session, after_a_contact_it_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 1000});
        b.steps.plan[GRANT].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[GRANT].last = SIZE_MAX;
        world_run(&b.world, 60000);
        check_told(&b, "");
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        close_bench(&b);
    }
}

TEST(session, a_refusal_is_failed_with_its_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 1, .retries = 2});
        fake_etcd_put(b.etcd, KEY, RIVAL, RIVAL_LEASE);
        world_run(&b.world, 60000);
        check_told(&b, "FAILED");
        CHECK_INT(event(&b, 0)->status, ROLLCALL_E_RIVAL);
        CHECK(strstr(event(&b, 0)->reason, KEY) != NULL);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

/* Whether it is told at once or when the attempts are used up hangs on the class; what is told
 * never does. */
TEST(session, what_etcd_answers_is_the_reason_of_failed_in_every_class)
{
    static const enum rollcall_status ANSWERS[] = {
        ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_TIMEOUT, ROLLCALL_E_NO_SPACE, ROLLCALL_E_COMPACTED,
        ROLLCALL_E_LEASE_LOST,  ROLLCALL_E_CORRUPT, ROLLCALL_E_DENIED,   ROLLCALL_E_REJECTED};
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.retries = 3}); /* CREATE_ID makes the contact */
            b.steps.plan[GRANT].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[GRANT].status = ANSWERS[i];
            b.steps.plan[GRANT].last = SIZE_MAX;
            world_run(&b.world, 60000);
            check_told(&b, "FAILED");
            CHECK_INT(event(&b, 0)->status, ANSWERS[i]);
            CHECK(strstr(event(&b, 0)->reason, "the fake etcd says") != NULL);
            CHECK(strstr(event(&b, 0)->reason, rollcall_status_name(ANSWERS[i])) != NULL);
            CHECK_INT(b.steps.plan[GRANT].seen,
                      rollcall_status_class(ANSWERS[i]) == ROLLCALL_RETRY ? 3 : 1);
            close_bench(&b);
        }
    }
}

/* ---- leaving ---- */

static void check_left(struct bench *b, const char *told)
{
    world_run(&b->world, 10000);
    check_told(b, told);
    CHECK_STATE(&b->world, b->session, "OVER");
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0);
    CHECK(fake_etcd_find(b->etcd, KEY) == NULL);
    CHECK(!last_event(b)->registered);
}

TEST(session, leave_and_revoke_in_any_state_are_stopping_then_stopped_once)
{
    static const uint16_t WORDS[] = {SESSION_LEAVE, SESSION_REVOKE};
    for (size_t i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[GRANT].fate = FAKE_ETCD_REFUSE;
            world_settle(&b.world);
            say(&b, WORDS[i]);
            check_left(&b, "STOPPING STOPPED");
            close_bench(&b);

            open(&b, &(struct session_choice){0});
            world_run(&b.world, 1000);
            say(&b, WORDS[i]);
            check_left(&b, "ACTIVE STOPPING STOPPED");
            CHECK_INT(b.steps.plan[MARK].seen, i == 0);
            say(&b, WORDS[1 - i]); /* once more: it is over */
            check_left(&b, "ACTIVE STOPPING STOPPED");
            close_bench(&b);

            open(&b, &(struct session_choice){0});
            world_run(&b.world, 1000);
            b.etcd->renews_nothing = true;
            world_run(&b.world, 10000);
            say(&b, WORDS[i]);
            check_left(&b, "ACTIVE SUSPECT STOPPING STOPPED");
            close_bench(&b);
        }
    }
}

/* At every scheduling step from the first on: REGISTERED may cross it. */
TEST(session, leave_at_any_moment_is_stopping_then_stopped_and_leaves_nothing_behind)
{
    static const uint16_t WORDS[] = {SESSION_LEAVE, SESSION_REVOKE};
    for (int moment = 0; moment < 60; moment++) {
        while (world_next(10)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            const uint16_t word = WORDS[world_seed % 2];
            if (world_seed % 4 < 2) {
                const struct session_order order = {.number = ++b.orders};
                world_send(&b.world, b.session, word, &order, sizeof order, NULL);
            } else {
                signal_root(&b, word);
            }
            world_run(&b.world, 5000);
            CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_STOPPED);
            check_left(&b, last_event(&b)->change == 2 ? "STOPPING STOPPED"
                                                       : "ACTIVE STOPPING STOPPED");
            close_bench(&b);
        }
    }
}

TEST(session, revoke_after_leave_does_not_wait_for_the_mark)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
        world_run(&b.world, 1000);
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 60000);
        check_told(&b, "ACTIVE STOPPING");
        CHECK_STATE(&b.world, b.session, "LEAVING");
        say(&b, SESSION_REVOKE);
        check_left(&b, "ACTIVE STOPPING STOPPED");
        close_bench(&b);
    }
}

TEST(session, nothing_is_lost_while_it_leaves)
{
    for (enum way way = BY_LEASE; way <= BY_MOVING; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
            b.steps.plan[MARK].fate = FAKE_ETCD_SILENT;
            world_run(&b.world, 1000);
            say(&b, SESSION_LEAVE);
            lose(&b, way);
            world_run(&b.world, 20000);
            check_told(&b, "ACTIVE STOPPING");
            say(&b, SESSION_REVOKE);
            world_run(&b.world, 60000);
            check_told(&b, "ACTIVE STOPPING STOPPED");
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
    }
}

TEST(session, a_lease_that_etcd_would_not_revoke_is_stopped_with_the_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[REVOKE].status = ROLLCALL_E_DENIED;
        world_run(&b.world, 1000);
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE STOPPING STOPPED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_DENIED);
        close_bench(&b);
    }
}

/* At every scheduling step: its giving up may cross it. */
TEST(session, who_gives_up_as_it_is_asked_to_leave_says_whether_its_lease_stays)
{
    size_t crossed = 0;
    for (int moment = 0; moment < 60; moment++) {
        while (world_next(10)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[CLAIM].status = ROLLCALL_E_REJECTED;
            b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[REVOKE].status = ROLLCALL_E_DENIED;
            b.steps.plan[REVOKE].last = SIZE_MAX;
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            const bool stays = fake_etcd_leases_alive(b.etcd) != 0;
            if (last_event(&b)->state == ROLLCALL_SESSION_STOPPED) {
                CHECK_INT(last_event(&b)->status, stays ? ROLLCALL_E_DENIED : ROLLCALL_OK);
                crossed += stays;
            }
            close_bench(&b);
        }
    }
    CHECK(crossed > 0);
}

TEST(session, who_gives_up_as_it_is_asked_to_leave_revokes_until_etcd_answers)
{
    size_t again = 0;
    for (int moment = 0; moment < 60; moment++) {
        while (world_next(10)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.steps.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[CLAIM].status = ROLLCALL_E_REJECTED;
            b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
            b.steps.plan[REVOKE].status = ROLLCALL_E_UNAVAILABLE;
            b.steps.plan[REVOKE].last = 1;
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            if (last_event(&b)->state == ROLLCALL_SESSION_STOPPED) {
                CHECK_INT(last_event(&b)->status, ROLLCALL_OK);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
                again += b.etcd->revokes != 0;
            }
            close_bench(&b);
        }
    }
    CHECK(again > 0);
}

/* ---- restarting ---- */

TEST(session, a_restart_registers_again_with_the_same_id_after_every_end)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 2});
        b.etcd->away = true;
        world_run(&b.world, 6000);
        b.etcd->away = false;
        say(&b, SESSION_RESTART);
        world_run(&b.world, 6000);
        check_told(&b, "FAILED REGISTERING ACTIVE");
        CHECK_INT(event(&b, 1)->status, ROLLCALL_OK);
        const int64_t first = event(&b, 2)->membership->create_revision;
        say(&b, SESSION_RESTART); /* it is not over */
        say(&b, SESSION_LEAVE);
        say(&b, SESSION_RESTART);
        world_run(&b.world, 6000);
        check_told(&b, "FAILED REGISTERING ACTIVE STOPPING STOPPED REGISTERING ACTIVE");
        const int64_t second = last_event(&b)->membership->create_revision;
        CHECK_INT(last_event(&b)->membership->server_id, 1);
        CHECK(second > first);
        lose(&b, BY_LEASE);
        world_run(&b.world, 6000);
        CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_LOST);
        say(&b, SESSION_RESTART);
        CHECK(change(&b, 8)->disconnected);
        world_run(&b.world, 6000);
        check_told(&b, "FAILED REGISTERING ACTIVE STOPPING STOPPED REGISTERING ACTIVE LOST "
                       "REGISTERING ACTIVE");
        CHECK_INT(last_event(&b)->membership->server_id, 1);
        CHECK(last_event(&b)->membership->create_revision > second);
        CHECK(last_event(&b)->registered && !last_event(&b)->disconnected);
        CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_LEASE);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

TEST(session, a_restart_that_cannot_register_fails_as_a_start_does)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.retries = 2});
        world_run(&b.world, 1000);
        lose(&b, BY_OVERWRITING);
        world_run(&b.world, 1000);
        say(&b, SESSION_RESTART);
        world_run(&b.world, 60000);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_BYTES(fake_etcd_find(b.etcd, KEY)->value, RIVAL);
        b.etcd->away = true;
        say(&b, SESSION_RESTART);
        world_run(&b.world, 5000);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED REGISTERING FAILED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_UNAVAILABLE);
        fake_etcd_delete(b.etcd, KEY);
        b.etcd->away = false;
        say(&b, SESSION_RESTART);
        world_run(&b.world, 5000);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED REGISTERING FAILED REGISTERING ACTIVE");
        CHECK_INT(last_event(&b)->membership->server_id, 1);
        close_bench(&b);
    }
}

/* ---- a stuck application, and words of nobody ---- */

static void restart_application(struct rollcall_context *cx, void *ref)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)ref);
}

TEST(session, the_last_word_is_told_however_full_a_stuck_application_is)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_run(&b.world, 1000);
        rollcall_sim_crash(b.world.sim, b.application_ref, ROLLCALL_E_ACTOR);
        for (int i = 0; i < 40; i++) { /* more than its mailbox holds */
            b.etcd->renews_nothing = true;
            world_run(&b.world, 6000);
            b.etcd->renews_nothing = false;
            world_run(&b.world, 2000);
        }
        mark(&b, 1);
        lose(&b, BY_DELETION);
        world_run(&b.world, 5000);
        CHECK_STATE(&b.world, b.application_ref, "FAILED");
        CHECK_INT(event_count(&b), 1);
        probe_run(b.parent, b.world.rt, restart_application, &b.application_ref);
        world_run(&b.world, 1000);
        const size_t told = event_count(&b);
        CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_LOST);
        CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_DELETED);
        CHECK_INT(last_event(&b)->answered, 1);
        CHECK_INT(last_event(&b)->answer.status, ROLLCALL_OK);
        world_run(&b.world, 5000);
        CHECK_INT(event_count(&b), told);
        close_bench(&b);
    }
}

/* As an actor of an earlier membership would say them. */
TEST(session, words_of_who_is_not_its_own_change_nothing)
{
    static const uint16_t WORDS[] = {SESSION_CONTACT, SESSION_LEASE_SAFE, SESSION_LEASE_SUSPECT,
                                     SESSION_LEASE_LOST, SESSION_MARKED};
    for (size_t i = 0; i < 7; i++) {
        while (world_next(SEEDS)) {
            const struct session_key_lost lost = {.loss = ROLLCALL_LOSS_MOVED};
            const struct session_left left = {.status = ROLLCALL_OK};
            struct bench b;
            open(&b, &(struct session_choice){0});
            for (int active = 0; active < 2; active++) {
                if (i < 5) {
                    world_send(&b.world, b.session, WORDS[i], NULL, 0, NULL);
                } else if (i == 5) {
                    world_send(&b.world, b.session, SESSION_KEY_LOST, &lost, sizeof lost, NULL);
                } else {
                    world_send(&b.world, b.session, SESSION_LEFT, &left, sizeof left, NULL);
                }
                world_run(&b.world, 10000);
                check_told(&b, "ACTIVE");
            }
            CHECK(!last_event(&b)->stopping);
            close_bench(&b);
        }
    }
}

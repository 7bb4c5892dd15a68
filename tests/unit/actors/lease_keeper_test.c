/* One lease for many: granted once, renewed once, told to all alike; each takes its own key away,
 * and the last the lease. */
#include "unit/actors/keeper_world.h"

TEST(lease_keeper, gives_all_of_one_ttl_one_lease_and_renews_it_once_for_all)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        for (int i = 0; i < USERS; i++) {
            ask(&b, i);
        }
        world_settle(&b.world);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(leased(&b, i).status, ROLLCALL_OK);
            CHECK_INT(leased(&b, i).lease_id, leased(&b, 0).lease_id);
            CHECK_INT(leased(&b, i).ttl_s, TTL_S);
            join_with(&b, i, put(&b, i), false);
        }
        world_run(&b.world, 60000);
        CHECK_INT(b.etcd->grants, 1);
        CHECK(b.etcd->renewals >= 60 * 3 / TTL_S && b.etcd->renewals <= 60 * 4 / TTL_S);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(told(&b, i, LEASE_SHARE_SAFE), 1);
            CHECK_INT(told(&b, i, LEASE_SHARE_SUSPECT), 0);
        }
        close_bench(&b);
    }
}

TEST(lease_keeper, gives_another_ttl_another_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.users[1].ttl_s = TTL_S + 1;
        enter_all(&b);
        CHECK_INT(leased(&b, 2).lease_id, leased(&b, 0).lease_id);
        CHECK(leased(&b, 1).lease_id != leased(&b, 0).lease_id);
        CHECK_INT(leased(&b, 1).ttl_s, TTL_S + 1);
        close_bench(&b);
    }
}

TEST(lease_keeper, never_gives_two_users_of_one_key_the_same_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.users[1].server_id = b.users[0].server_id;
        ask(&b, 0);
        ask(&b, 1);
        ask(&b, 2);
        world_settle(&b.world);
        CHECK(leased(&b, 1).lease_id != leased(&b, 0).lease_id);
        CHECK(leased(&b, 2).lease_id == leased(&b, 0).lease_id ||
              leased(&b, 2).lease_id == leased(&b, 1).lease_id);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 2);
        close_bench(&b);
    }
}

TEST(lease_keeper, tells_everybody_of_doubt_and_of_the_end_of_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        forget_all(&b);
        b.etcd->renews_nothing = true;
        world_run(&b.world, TTL_S * 1000);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(told(&b, i, LEASE_SHARE_SUSPECT), 1);
            CHECK_INT(told(&b, i, LEASE_SHARE_SAFE), 0);
        }
        b.etcd->renews_nothing = false;
        world_run(&b.world, 2000);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(told(&b, i, LEASE_SHARE_SAFE), 1);
            CHECK_INT(told(&b, i, LEASE_SHARE_LOST), 0);
        }
        close_bench(&b);
    }
}

TEST(lease_keeper, tells_everybody_of_a_loss_once_and_gives_them_one_new_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        const int64_t before = leased(&b, 0).lease_id;
        forget_all(&b);
        fake_etcd_end_lease(b.etcd, before);
        world_run(&b.world, TTL_S * 1000);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(told(&b, i, LEASE_SHARE_LOST), 1);
            enter(&b, i);
            CHECK(leased(&b, i).lease_id != before);
            CHECK_INT(leased(&b, i).lease_id, leased(&b, 0).lease_id);
        }
        CHECK_INT(b.etcd->grants, 2);
        close_bench(&b);
    }
}

TEST(lease_keeper, believes_a_user_to_whom_etcd_said_that_the_lease_is_gone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        ask(&b, 1);
        world_settle(&b.world);
        const int64_t before = leased(&b, 1).lease_id;
        fake_etcd_end_lease(b.etcd, before);
        ask_with(&b, 1, before, false);
        world_settle(&b.world);
        CHECK_INT(told(&b, 0, LEASE_SHARE_LOST), 1);
        CHECK(leased(&b, 1).lease_id != before);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

/* ---- leaving ---- */

TEST(lease_keeper, deletes_the_key_of_one_who_leaves_and_nothing_of_the_others)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK_INT(left(&b, 1), ROLLCALL_OK);
        CHECK(stored(&b, 1) == NULL);
        CHECK(stored(&b, 0) != NULL && stored(&b, 2) != NULL);
        CHECK_INT(b.etcd->revokes, 0);
        CHECK_INT(told(&b, 0, LEASE_SHARE_LOST) + told(&b, 2, LEASE_SHARE_LOST), 0);
        close_bench(&b);
    }
}

TEST(lease_keeper, leaves_a_key_alone_that_was_put_anew_by_another)
{
    while (world_next(SEEDS)) {
        struct bench b;
        char key[64];
        open(&b);
        enter_all(&b);
        const int64_t created = stored(&b, 1)->create_revision;
        key_of(&b.users[1], key, sizeof key);
        fake_etcd_delete(b.etcd, key);
        fake_etcd_put(b.etcd, key, "another's", world_seed % 2 == 0 ? 0 : leased(&b, 1).lease_id);
        leave_with(&b, 1, (struct lease_keeper_leave){.create_revision = created});
        world_settle(&b.world);
        CHECK_INT(left(&b, 1), ROLLCALL_OK);
        CHECK(stored(&b, 1) != NULL);
        close_bench(&b);
    }
}

TEST(lease_keeper, revokes_the_lease_with_the_last_who_leaves_and_not_before)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        leave(&b, 0);
        leave(&b, 2);
        world_settle(&b.world);
        CHECK_INT(b.etcd->revokes, 0);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK_INT(b.etcd->revokes, 1);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        for (int i = 0; i < USERS; i++) {
            CHECK_INT(told(&b, i, USER_LEFT), 1);
            CHECK_INT(left(&b, i), ROLLCALL_OK);
            CHECK(stored(&b, i) == NULL);
        }
        const uint64_t renewals = b.etcd->renewals;
        world_run(&b.world, 60000);
        CHECK_INT(b.etcd->renewals, renewals); /* it is not renewed any more */
        close_bench(&b);
    }
}

TEST(lease_keeper, gives_one_who_comes_while_the_lease_is_being_revoked_another)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        const int64_t before = leased(&b, 0).lease_id;
        steps_from_now(&b.steps, REVOKE, FAKE_ETCD_REFUSE, 3);
        leave(&b, 0);
        world_settle(&b.world);
        CHECK_INT(told(&b, 0, USER_LEFT), 0);
        enter(&b, 1);
        CHECK(leased(&b, 1).lease_id != before);
        world_run(&b.world, 2000);
        CHECK_INT(left(&b, 0), ROLLCALL_OK);
        CHECK_INT(told(&b, 1, LEASE_SHARE_LOST), 0);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        CHECK(stored(&b, 1) != NULL && stored(&b, 0) == NULL);
        close_bench(&b);
    }
}

TEST(lease_keeper, answers_one_that_would_not_wait_after_the_first_try_and_revokes_all_the_same)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        ask(&b, 0);
        world_settle(&b.world);
        steps_from_now(&b.steps, REVOKE, FAKE_ETCD_REFUSE, 3);
        leave_with(&b, 0, (struct lease_keeper_leave){.once = true});
        world_settle(&b.world);
        CHECK_INT(left(&b, 0), ROLLCALL_E_UNAVAILABLE);
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, 0, USER_LEFT), 1);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(lease_keeper, tells_that_etcd_refuses_to_delete_a_key_and_tries_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        b.steps.plan[WITHDRAW].status = ROLLCALL_E_DENIED;
        steps_from_now(&b.steps, WITHDRAW, FAKE_ETCD_REFUSE, 2);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK_INT(left(&b, 1), ROLLCALL_E_DENIED);
        CHECK(stored(&b, 1) != NULL);
        world_run(&b.world, 10000);
        CHECK(stored(&b, 1) == NULL);
        CHECK_INT(b.etcd->revokes, 0);
        close_bench(&b);
    }
}

TEST(lease_keeper, says_again_what_etcd_refused_to_whoever_did_not_hear_it)
{
    static const int REFUSED[] = {WITHDRAW, REVOKE};
    for (int i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            enter(&b, 0);
            if (REFUSED[i] == WITHDRAW) {
                enter(&b, 1);
            }
            b.steps.plan[REFUSED[i]].status = ROLLCALL_E_DENIED;
            steps_from_now(&b.steps, REFUSED[i], FAKE_ETCD_REFUSE, 1);
            leave(&b, 0);
            world_settle(&b.world);
            forget_all(&b); /* it crashed on the answer */
            leave(&b, 0);
            world_settle(&b.world);
            CHECK_INT(told(&b, 0, USER_LEFT), 1);
            CHECK_INT(left(&b, 0), ROLLCALL_E_DENIED);
            end(&b, 0);
            world_run(&b.world, 10000);
            if (REFUSED[i] == WITHDRAW) {
                CHECK(stored(&b, 0) == NULL);
            }
            close_bench(&b);
        }
    }
}

TEST(lease_keeper, gives_the_key_of_one_whose_key_is_not_withdrawn_yet_under_another_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        enter(&b, 1);
        steps_from_now(&b.steps, WITHDRAW, FAKE_ETCD_SILENT, 1);
        const int64_t before = leased(&b, 1).lease_id;
        end(&b, 1);
        world_settle(&b.world);
        b.users[2].server_id = b.users[1].server_id;
        ask(&b, 2);
        world_settle(&b.world);
        CHECK(stored(&b, 1) != NULL && leased(&b, 2).lease_id != before);
        close_bench(&b);
    }
}

/* ---- who ends without a word ---- */

TEST(lease_keeper, takes_away_the_key_of_one_who_ended_without_a_word)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        end(&b, 0);
        world_settle(&b.world);
        CHECK(stored(&b, 0) == NULL);
        CHECK_INT(b.etcd->revokes, 0);
        end(&b, 1);
        end(&b, 2);
        world_settle(&b.world);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(lease_keeper, takes_away_what_an_unanswered_put_makes_however_late)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        join_with(&b, 1, stored(&b, 1)->create_revision, true);
        world_settle(&b.world);
        const struct lease_keeper_leave going = {.create_revision = stored(&b, 1)->create_revision,
                                                 .unsure = true};
        leave_with(&b, 1, going);
        world_settle(&b.world);
        CHECK_INT(left(&b, 1), ROLLCALL_OK);
        CHECK(stored(&b, 1) == NULL);
        world_run(&b.world, 90000);
        put(&b, 1); /* which a member had held up */
        world_run(&b.world, 40000);
        CHECK(stored(&b, 1) == NULL);
        CHECK(stored(&b, 0) != NULL);
        close_bench(&b);
    }
}

TEST(lease_keeper, gives_the_key_of_an_unanswered_put_under_another_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        ask(&b, 1);
        world_settle(&b.world);
        end(&b, 1); /* its put may be on its way */
        world_settle(&b.world);
        b.users[2].server_id = b.users[1].server_id;
        enter(&b, 2);
        CHECK(leased(&b, 2).lease_id != leased(&b, 0).lease_id);
        world_run(&b.world, 60000);
        CHECK(stored(&b, 2) != NULL);
        close_bench(&b);
    }
}

TEST(lease_keeper, spares_a_stranger_s_record_and_gives_its_key_under_another_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        leave_with(&b, 1, (struct lease_keeper_leave){.create_revision = 1, .spare = true});
        world_run(&b.world, 60000);
        CHECK_INT(left(&b, 1), ROLLCALL_OK);
        CHECK(stored(&b, 1) != NULL);
        ask(&b, 1);
        world_settle(&b.world);
        CHECK(leased(&b, 1).lease_id != leased(&b, 0).lease_id);
        close_bench(&b);
    }
}

TEST(lease_keeper, lets_a_lease_run_out_that_holds_only_a_stranger_s_record)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        leave_with(&b, 0, (struct lease_keeper_leave){.spare = true});
        world_run(&b.world, 1000);
        const uint64_t renewals = b.etcd->renewals;
        world_run(&b.world, 60000);
        CHECK_INT(left(&b, 0), ROLLCALL_OK);
        CHECK_INT(b.etcd->renewals, renewals);
        CHECK_INT(b.etcd->revokes, 0);
        close_bench(&b);
    }
}

/* ---- failures ---- */

TEST(lease_keeper, recognises_a_grant_whose_answer_was_lost)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        steps_from_now(&b.steps, GRANT, FAKE_ETCD_LOSE_ANSWER, 1);
        ask(&b, 0);
        world_settle(&b.world);
        CHECK_INT(leased(&b, 0).status, ROLLCALL_E_TIMEOUT);
        CHECK(probe_last(b.users[0].probe, USER_LEASED)->object != NULL);
        enter(&b, 0);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        CHECK_INT(b.steps.granted[0], b.steps.granted[1]);
        close_bench(&b);
    }
}

TEST(lease_keeper, revokes_a_lease_that_nobody_came_to_use)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        steps_from_now(&b.steps, GRANT, FAKE_ETCD_LOSE_ANSWER, 1);
        ask(&b, 0);
        world_settle(&b.world);
        leave_with(&b, 0, (struct lease_keeper_leave){.once = true});
        world_settle(&b.world);
        CHECK_INT(left(&b, 0), ROLLCALL_OK);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(lease_keeper, answers_whoever_asks_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        ask(&b, 0);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK_INT(told(&b, 0, USER_LEASED), 2);
        CHECK_INT(leased(&b, 0).lease_id, leased(&b, 2).lease_id);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK_INT(told(&b, 1, USER_LEFT), 2);
        CHECK_INT(b.etcd->grants, 1);
        close_bench(&b);
    }
}

TEST(lease_keeper, that_crashes_goes_on_with_the_same_lease_and_loses_nobody_s_key)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        forget_all(&b);
        rollcall_sim_crash(b.world.sim, b.keeper, ROLLCALL_E_ACTOR);
        world_settle(&b.world);
        for (int i = 0; i < USERS; i++) { /* as lease_share does at its DOWN */
            const struct transport_kv *kv = stored(&b, i);
            const struct lease_keeper_join join = {.lease_id = kv->lease_id,
                                                   .create_revision = kv->create_revision};
            probe_send(b.users[i].probe, b.world.rt, b.keeper, LEASE_KEEPER_JOIN, &join,
                       sizeof join, NULL);
        }
        world_run(&b.world, 3 * TTL_S * 1000);
        for (int i = 0; i < USERS; i++) {
            CHECK(told(&b, i, LEASE_SHARE_SAFE) >= 1);
            CHECK_INT(told(&b, i, LEASE_SHARE_LOST), 0);
            CHECK(stored(&b, i) != NULL);
        }
        CHECK_INT(b.etcd->grants, 1);
        close_bench(&b);
    }
}

TEST(lease_keeper, that_crashes_finds_out_who_has_ended_meanwhile)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        rollcall_sim_crash(b.world.sim, b.keeper, ROLLCALL_E_ACTOR);
        end(&b, 1);
        world_run(&b.world, 5000);
        CHECK(stored(&b, 1) == NULL);
        CHECK(stored(&b, 0) != NULL && stored(&b, 2) != NULL);
        close_bench(&b);
    }
}

TEST(lease_keeper, that_crashes_while_one_leaves_takes_its_key_away_all_the_same)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter(&b, 0);
        enter(&b, 1);
        steps_from_now(&b.steps, WITHDRAW, FAKE_ETCD_SILENT, 1);
        leave(&b, 1);
        world_settle(&b.world);
        CHECK(stored(&b, 1) != NULL);
        rollcall_sim_crash(b.world.sim, b.keeper, ROLLCALL_E_ACTOR);
        ask(&b, 0); /* which it crashes on */
        world_run(&b.world, 5000);
        CHECK(stored(&b, 1) == NULL);
        CHECK_INT(left(&b, 1), ROLLCALL_OK);
        close_bench(&b);
    }
}

TEST(lease_keeper, without_memory_answers_and_goes_on_when_there_is_some)
{
    for (uint64_t nth = 1; nth < 12; nth++) {
        while (world_next(3)) {
            struct bench b;
            open(&b);
            world_settle(&b.world);
            world_memory_fails_at(&b.world, nth);
            for (int i = 0; i < USERS; i++) {
                ask(&b, i);
            }
            world_run(&b.world, 500);
            for (int i = 0; i < USERS; i++) {
                CHECK(told(&b, i, USER_LEASED) == 0 ||
                      rollcall_status_class(leased(&b, i).status) != ROLLCALL_CALLER);
                enter(&b, i);
            }
            world_run(&b.world, 500);
            for (int i = 0; i < USERS; i++) {
                CHECK_INT(told(&b, i, LEASE_SHARE_SAFE), 1);
                leave(&b, i);
            }
            world_run(&b.world, 500);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
    }
}

TEST(lease_keeper, without_memory_for_a_request_makes_it_when_there_is_some)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        enter_all(&b);
        for (int i = 0; i < USERS; i++) { /* two keys, then the lease */
            world_memory(&b.world, false);
            leave(&b, i);
            world_run(&b.world, 100);
            CHECK_INT(told(&b, i, USER_LEFT), 0);
            world_memory(&b.world, true);
            world_run(&b.world, 100);
            CHECK_INT(told(&b, i, USER_LEFT), 1);
            CHECK(stored(&b, i) == NULL);
        }
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

/* ---- users that do not read ---- */

static void restart_user(struct rollcall_context *cx, void *ref)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)ref);
}

/* One share has no room for a word; the others have. */
TEST(lease_keeper, tells_one_without_room_later_and_the_others_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        struct probe *parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
        open(&b);
        const struct probe_options options = {b.users[1].probe};
        struct rollcall_ref ref = world_spawn(
            &b.world, 0,
            ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b.users[1].probe), .options = &options,
                                   .supervisor = probe_spawn(parent, b.world.rt, 0),
                                   .mailbox_messages = 8));
        probe_use(b.users[1].probe, ref);
        enter_all(&b);
        forget_all(&b);
        rollcall_sim_crash(b.world.sim, ref, ROLLCALL_E_ACTOR);
        for (int i = 0; i < 8; i++) { /* the first is what it fails on */
            world_send(&b.world, ref, LEASE_SHARE_RETELL, NULL, 0, NULL);
            world_settle(&b.world);
        }
        fake_etcd_end_lease(b.etcd, stored(&b, 0)->lease_id);
        world_run(&b.world, TTL_S * 1000);
        CHECK_INT(told(&b, 0, LEASE_SHARE_LOST), 1);
        CHECK_INT(told(&b, 1, LEASE_SHARE_LOST), 0);
        probe_run(parent, b.world.rt, restart_user, &ref);
        world_run(&b.world, 100);
        CHECK_INT(told(&b, 1, LEASE_SHARE_LOST), 1);
        close_bench(&b);
        probe_destroy(parent);
    }
}

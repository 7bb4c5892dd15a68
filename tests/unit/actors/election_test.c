/* Standing, claiming, holding and giving up: what is asked of etcd, when, and what is told. */
#include "unit/actors/election_world.h"

/* ---- whose turn it is ---- */

TEST(election, nobody_has_the_key_and_it_is_ours_by_one_write)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        CHECK_INT(writes, 1);
        CHECK_INT(told(&b, SESSION_GAINED), 1);
        CHECK_INT(gained(&b)->doubts, 1);
        close_bench(&b);
    }
}

TEST(election, who_has_waited_longer_has_forty_milliseconds_each)
{
    for (int ahead = 0; ahead <= 3; ahead++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, ahead);
            fake_etcd_delete(b.etcd, ACTIVE);
            pump(&b);
            if (ahead != 0) {
                world_run(&b.world, ahead * TURN_MS - 1);
                CHECK_INT(writes, 0);
                world_run(&b.world, 1);
            }
            CHECK_INT(writes, 1);
            check_holds(&b);
            close_bench(&b);
        }
    }
}

TEST(election, somebody_else_was_faster_and_nothing_is_written)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_waiting(&b, 2);
        fake_etcd_delete(b.etcd, ACTIVE);
        pump(&b);
        fake_etcd_put(b.etcd, ACTIVE, STANDBY(1, ""), RIVAL_LEASE + 1);
        pump(&b);
        world_run(&b.world, PAUSE_MS);
        CHECK_INT(writes, 0);
        close_bench(&b);
    }
}

TEST(election, whoever_is_marked_or_does_not_stand_is_not_waited_for)
{
    static const char *const RECORDS[] = {STANDBY(1, MARKED), RECORD_OF(1, "h", "host"), "garbage"};
    for (size_t i = 0; i < sizeof RECORDS / sizeof RECORDS[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, 1);
            fake_etcd_put(b.etcd, "root/session/coord-1", RECORDS[i], RIVAL_LEASE + 1);
            fake_etcd_delete(b.etcd, ACTIVE);
            pump(&b);
            CHECK_INT(writes, 1);
            check_holds(&b);
            close_bench(&b);
        }
    }
}

TEST(election, who_is_marked_itself_claims_nothing_until_it_is_not_marked_any_more)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_waiting(&b, 0);
        fake_etcd_put(b.etcd, KEY, STANDBY(12, MARKED), OUR_LEASE);
        fake_etcd_delete(b.etcd, ACTIVE);
        pump(&b);
        world_run(&b.world, PAUSE_MS);
        CHECK_INT(writes, 0);
        fake_etcd_put(b.etcd, KEY, STANDBY(12, ""), OUR_LEASE);
        pump(&b);
        check_holds(&b);
        close_bench(&b);
    }
}

TEST(election, who_was_named_goes_first_and_all_others_after_it)
{
    for (int named = 0; named < 2; named++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, 2);
            if (named) {
                hand_over(&b, KEY, STANDBY(12, ""), OUR_LEASE);
            } else {
                hand_over(&b, "root/session/coord-2", STANDBY(2, ""), RIVAL_LEASE + 2);
            }
            CHECK_INT(writes, named);
            if (!named) { /* behind the one that is named, and the first in line */
                world_run(&b.world, 2 * TURN_MS - 1);
                CHECK_INT(writes, 0);
                world_run(&b.world, 1);
            }
            check_holds(&b);
            close_bench(&b);
        }
    }
}

/* ---- what does not make it spin ---- */

/* D-60, D-72 */
TEST(election, while_somebody_holds_the_key_nothing_is_asked_whatever_is_put_there)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_waiting(&b, 0);
        const uint64_t calls = b.etcd->calls;
        for (int i = 0; i < 20; i++) {
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(99, MARKED), RIVAL_LEASE);
            pump(&b);
        }
        world_run(&b.world, 60000);
        CHECK_INT(b.etcd->calls, calls);
        CHECK_INT(b.etcd->watches_opened, 1);
        close_bench(&b);
    }
}

/* D-62: the session is told of that by others. */
TEST(election, who_has_lost_its_lease_or_its_key_claims_once_at_most)
{
    for (int way = 0; way < 4; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, 0);
            if (way == 0) {
                fake_etcd_end_lease(b.etcd, OUR_LEASE);
            } else if (way == 1) {
                fake_etcd_delete(b.etcd, KEY);
            } else if (way == 2) { /* etcd says so before the watch does */
                fate = FAKE_ETCD_REFUSE;
                fated = SIZE_MAX;
                b.etcd->refusal = ROLLCALL_E_LEASE_LOST;
            } else { /* put again by another process with our server ID */
                fake_etcd_delete(b.etcd, KEY);
                fake_etcd_put(b.etcd, KEY, STANDBY(12, ""), RIVAL_LEASE);
            }
            fake_etcd_delete(b.etcd, ACTIVE);
            pump(&b);
            world_run(&b.world, PAUSE_MS);
            CHECK(writes <= 1);
            CHECK_INT(told(&b, SESSION_GAINED), 0);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            close_bench(&b);
        }
    }
}

/* ---- lost answers, and doubts ---- */

TEST(election, a_claim_whose_answer_is_lost_is_recognised_as_done)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind(&b, 0);
        fate = FAKE_ETCD_LOSE_ANSWER;
        fated = 1;
        stand(&b);
        world_run(&b.world, PAUSE_MS);
        CHECK_STATE(&b.world, b.actor, "IDLE"); /* it has failed, and is told again */
        stand(&b);
        check_holds(&b);
        CHECK_INT(fake_etcd_find(b.etcd, ACTIVE)->version, 1);
        CHECK_INT(gained(&b)->token, fake_etcd_find(b.etcd, ACTIVE)->create_revision);
        close_bench(&b);
    }
}

TEST(election, a_doubt_is_ended_by_a_write_that_is_not_done_and_the_token_is_the_same)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        const int64_t token = gained(&b)->token;
        tell_lease(&b, 2, false, 0);
        world_run(&b.world, PAUSE_MS);
        CHECK_INT(writes, 1);
        tell_lease(&b, 2, true, 0);
        check_holds(&b);
        CHECK_INT(writes, 2);
        CHECK_INT(gained(&b)->token, token);
        CHECK_INT(gained(&b)->doubts, 2);
        CHECK_INT(fake_etcd_find(b.etcd, ACTIVE)->version, 1);
        CHECK_INT(told(&b, SESSION_DROPPED), 0); /* the session knew that by itself */
        close_bench(&b);
    }
}

TEST(election, a_lease_that_cannot_be_relied_on_claims_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_waiting(&b, 0);
        tell_lease(&b, 2, false, 0);
        fake_etcd_delete(b.etcd, ACTIVE);
        pump(&b);
        world_run(&b.world, PAUSE_MS);
        CHECK_INT(writes, 0);
        tell_lease(&b, 2, true, 0);
        check_holds(&b);
        close_bench(&b);
    }
}

/* ---- holding ---- */

TEST(election, a_key_that_is_deleted_or_taken_is_told_at_once)
{
    for (int taken = 0; taken < 2; taken++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            if (taken) {
                fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
            } else {
                fake_etcd_delete(b.etcd, ACTIVE);
            }
            pump(&b);
            CHECK_INT(told(&b, SESSION_DROPPED), 1);
            CHECK_INT(writes, taken ? 1 : 2); /* what is gone is claimed again */
            close_bench(&b);
        }
    }
}

TEST(election, a_watch_that_ends_costs_no_role_and_what_it_missed_is_seen)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            const int64_t token = gained(&b)->token;
            fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
            world_settle(&b.world);
            if (deleted) {
                fake_etcd_delete(b.etcd, ACTIVE);
                fake_etcd_compact(b.etcd, b.etcd->revision);
            }
            world_run(&b.world, PAUSE_MS);
            check_holds(&b);
            CHECK_INT(b.etcd->watches_opened, 2);
            CHECK_INT(told(&b, SESSION_DROPPED), deleted);
            CHECK(deleted ? gained(&b)->token > token : gained(&b)->token == token);
            close_bench(&b);
        }
    }
}

/* ---- orders ---- */

TEST(election, the_key_is_given_up_only_when_the_session_knows)
{
    for (int named = 0; named < 2; named++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            if (named) {
                fake_etcd_grant(b.etcd, RIVAL_LEASE, 10);
                fake_etcd_put(b.etcd, "root/session/coord-5", STANDBY(5, ""), RIVAL_LEASE);
                pump(&b);
            }
            order(&b, 1, SESSION_ELECT_RESIGN, 0);
            CHECK_INT(told(&b, SESSION_DROPPED), 1);
            world_run(&b.world, PAUSE_MS);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) != NULL);
            tell_lease(&b, 2, true, 0);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            CHECK_INT(ordered(&b), ROLLCALL_OK);
            if (named) {
                const struct transport_kv *next = fake_etcd_find(b.etcd, "root/session/coord-5");
                CHECK_INT(next->version, 2); /* put again as it was, in that revision */
                CHECK_INT(next->mod_revision, b.etcd->revision);
                CHECK_INT(next->lease_id, RIVAL_LEASE);
            }
            pump(&b);
            world_run(&b.world, STAND_BACK_MS - 10);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            world_run(&b.world, 200);
            check_holds(&b); /* nobody else wanted it */
            close_bench(&b);
        }
    }
}

TEST(election, who_has_given_it_up_takes_it_at_once_when_it_is_handed_back)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        order(&b, 1, SESSION_ELECT_RESIGN, 0);
        tell_lease(&b, 2, true, 0);
        fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
        pump(&b);
        hand_over(&b, KEY, STANDBY(12, ""), OUR_LEASE);
        check_holds(&b);
        close_bench(&b);
    }
}

TEST(election, a_key_that_was_refused_is_given_up_and_not_told_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        tell_lease(&b, 2, true, gained(&b)->token);
        CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
        CHECK_INT(told(&b, SESSION_GAINED), 1);
        close_bench(&b);
    }
}

/* ---- crashes ---- */

TEST(election, a_crash_at_any_message_costs_no_order_and_no_key)
{
    while (world_next(SEEDS)) {
        for (int at = 0; at < 40; at++) {
            struct bench b;
            open_behind(&b, 0);
            const struct election_lease lease = {.doubts = 1, .safe = true};
            const struct session_elect elect = {.request = 1, .kind = SESSION_ELECT_FORCE};
            send_mine(&b, ELECTION_LEASE, &lease, sizeof lease);
            world_send(&b.world, b.actor, ELECTION_ORDER, &elect, sizeof elect, NULL);
            for (int i = 0; i < at && rollcall_sim_step(b.world.sim); i++) {
            }
            rollcall_sim_crash(b.world.sim, b.actor, ROLLCALL_E_ACTOR);
            world_run(&b.world, PAUSE_MS);
            stand(&b);
            order(&b, 1, SESSION_ELECT_FORCE, 0);
            world_run(&b.world, PAUSE_MS);
            stand(&b); /* for the crash may have hit that */
            order(&b, 1, SESSION_ELECT_FORCE, 0);
            check_holds(&b);
            CHECK(told(&b, SESSION_ELECTED) >= 1);
            CHECK_INT(fake_etcd_find(b.etcd, ACTIVE)->version, 1);
            close_bench(&b);
        }
    }
}

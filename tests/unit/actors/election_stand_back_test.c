/* Who does not claim for a while, what lifts that, and who is named instead. */
#include "unit/actors/election_world.h"

static void give_up(struct bench *b)
{
    order(b, 1, SESSION_ELECT_RESIGN, 0);
    tell_lease(b, 2, true, 0);
    pump(b);
    CHECK(fake_etcd_find(b->etcd, ACTIVE) == NULL);
}

TEST(election_stand_back, who_has_given_it_up_goes_in_turn_again_once_another_has_held_it)
{
    for (int missed = 0; missed < 2; missed++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            give_up(&b);
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
            if (!missed) {
                pump(&b);
            }
            fake_etcd_delete(b.etcd, ACTIVE); /* whoever had it died: nobody is named */
            pump(&b);
            check_holds(&b);
            close_bench(&b);
        }
    }
}

/* Nobody else stands, so it is claimed again as soon as it is seen to be gone. */
static void check_claims_at_once(struct bench *b)
{
    fake_etcd_delete(b->etcd, ACTIVE);
    pump(b);
    check_holds(b);
    CHECK_INT(gained(b)->token, fake_etcd_find(b->etcd, ACTIVE)->mod_revision);
}

TEST(election_stand_back, who_has_given_it_up_and_forced_it_back_stands_back_no_more)
{
    for (int found = 0; found < 2; found++) { /* 1: the answer to what forced it is lost */
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            give_up(&b);
            fate = FAKE_ETCD_LOSE_ANSWER;
            fated = (size_t)found;
            order(&b, 2, SESSION_ELECT_FORCE, 0);
            world_run(&b.world, PAUSE_MS);
            if (found) { /* it has failed, and is told again */
                CHECK_STATE(&b.world, b.actor, "IDLE");
                tell_lease(&b, 3, true, 0);
            }
            check_holds(&b);
            check_claims_at_once(&b);
            close_bench(&b);
        }
    }
}

/* Who was to have it is marked Stopping as it is given, which the write shows. */
TEST(election_stand_back, who_has_kept_it_for_nobody_could_have_it_does_not_stand_back)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        fake_etcd_grant(b.etcd, RIVAL_LEASE, 10);
        fake_etcd_put(b.etcd, "root/session/coord-5", STANDBY(5, ""), RIVAL_LEASE);
        pump(&b);
        order(&b, 1, SESSION_ELECT_HAND_OVER, 5);
        CHECK_STATE(&b.world, b.actor, "GIVING");
        fake_etcd_put(b.etcd, "root/session/coord-5", STANDBY(5, MARKED), RIVAL_LEASE);
        tell_lease(&b, 2, true, 0);
        CHECK_INT(ordered(&b), ROLLCALL_E_INVALID);
        check_holds(&b);
        check_claims_at_once(&b);
        close_bench(&b);
    }
}

TEST(election_stand_back, who_was_named_while_it_did_not_watch_does_not_stand_back)
{
    for (int named = 0; named < 2; named++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            give_up(&b);
            fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
            world_settle(&b.world);
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
            if (named) {
                hand_over(&b, KEY, STANDBY(12, ""), OUR_LEASE);
            } else {
                fake_etcd_delete(b.etcd, ACTIVE);
            }
            fake_etcd_compact(b.etcd, b.etcd->revision); /* all that is left of it is our key */
            world_run(&b.world, PAUSE_MS);
            CHECK_INT(fake_etcd_find(b.etcd, ACTIVE) != NULL, named);
            close_bench(&b);
        }
    }
}

TEST(election_stand_back, who_could_not_act_stands_back_even_if_it_is_named)
{
    for (int taken = 0; taken < 2; taken++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            const int64_t token = gained(&b)->token;
            if (taken) { /* before it is given */
                fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
                pump(&b);
            }
            tell_lease(&b, 2, true, token);
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE);
            pump(&b);
            const uint64_t before = writes;
            hand_over(&b, KEY, STANDBY(12, ""), OUR_LEASE);
            world_run(&b.world, STAND_BACK_MS - 10);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            CHECK_INT(writes, before); /* nor is it taken and given back */
            world_run(&b.world, 200);
            check_holds(&b);
            close_bench(&b);
        }
    }
}

TEST(election_stand_back, who_could_not_act_gives_back_what_a_claim_on_its_way_has_won)
{
    int on_its_way = 0;
    while (world_next(SEEDS)) {
        struct bench b;
        open_holding(&b);
        const int64_t token = gained(&b)->token;
        fake_etcd_delete(b.etcd, ACTIVE);
        fake_etcd_pump(b.etcd, b.world.rt); /* and at once, by seed before or after it: */
        tell_lease(&b, 2, true, token);
        on_its_way += writes == 3; /* claimed, and given back */
        CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
        CHECK_INT(told(&b, SESSION_GAINED), 1);
        close_bench(&b);
    }
    CHECK(on_its_way != 0);
}

TEST(election_stand_back, who_could_not_act_gives_back_what_a_claim_that_came_late_has_won)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            tell_lease(&b, 2, true, gained(&b)->token);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(12, ""), OUR_LEASE);
            if (ordered) { /* what is asked of a standby meanwhile is no reason to act */
                fake_etcd_pump(b.etcd, b.world.rt);
                order(&b, 1, SESSION_ELECT_HAND_OVER, 77);
            }
            pump(&b);
            CHECK(fake_etcd_find(b.etcd, ACTIVE) == NULL);
            CHECK_INT(told(&b, SESSION_GAINED), 1);
            world_run(&b.world, STAND_BACK_MS + 200);
            check_holds(&b);
            close_bench(&b);
        }
    }
}

TEST(election_stand_back, who_could_not_act_and_forces_it_keeps_it)
{
    for (int lost = 0; lost < 2; lost++) { /* 1: the answer to what forced it */
        while (world_next(SEEDS)) {
            struct bench b;
            open_holding(&b);
            const int64_t token = gained(&b)->token;
            tell_lease(&b, 2, true, token);
            fate = FAKE_ETCD_LOSE_ANSWER;
            fated = (size_t)lost;
            order(&b, 1, SESSION_ELECT_FORCE, 0);
            world_run(&b.world, PAUSE_MS);
            if (lost) { /* it has failed, and is told again */
                CHECK_STATE(&b.world, b.actor, "IDLE");
                tell_lease(&b, 3, true, token);
                order(&b, 1, SESSION_ELECT_FORCE, 0);
            }
            check_holds(&b);
            CHECK_INT(told(&b, SESSION_GAINED), 2);
            CHECK_INT(told(&b, SESSION_ELECTED), 1);
            close_bench(&b);
        }
    }
}

/* The first of two that stand beside us is older, and has had its turn. */
TEST(election_stand_back, who_has_had_its_turn_is_named_last)
{
    for (int way = 0; way < 2; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_behind(&b, 2);
            const int64_t holder = way == 0 ? RIVAL_LEASE + 1 : RIVAL_LEASE;
            fake_etcd_put(b.etcd, ACTIVE, STANDBY(1, ""), holder); /* 0: seen to hold it */
            stand(&b);
            if (way == 1) { /* named before, as its record shows */
                fake_etcd_put(b.etcd, "root/session/coord-1", STANDBY(1, ""), RIVAL_LEASE + 1);
            }
            hand_over(&b, KEY, STANDBY(12, ""), OUR_LEASE);
            check_holds(&b);
            give_up(&b);
            const struct transport_kv *second = fake_etcd_find(b.etcd, "root/session/coord-2");
            CHECK_INT(second->version, 2);
            CHECK_INT(fake_etcd_find(b.etcd, "root/session/coord-1")->version, way + 1);
            close_bench(&b);
        }
    }
}

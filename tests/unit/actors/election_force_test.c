/* How the active key is taken from who has it, and when it is not. */
#include "unit/actors/election_world.h"

TEST(election_force, it_moves_the_key_and_forced_back_it_is_deleted_first)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_waiting(&b, 1);
        const int64_t created = fake_etcd_find(b.etcd, ACTIVE)->create_revision;
        order(&b, 1, SESSION_ELECT_FORCE, 0);
        check_holds(&b);
        CHECK_INT(ordered(&b), ROLLCALL_OK);
        CHECK_INT(gained(&b)->create_revision, created);
        CHECK(gained(&b)->token > created);
        CHECK_INT(gained(&b)->token, fake_etcd_find(b.etcd, ACTIVE)->mod_revision);
        order(&b, 1, SESSION_ELECT_FORCE, 0); /* asked again, for the session does not know */
        CHECK_INT(told(&b, SESSION_ELECTED), 1);
        fake_etcd_put(b.etcd, ACTIVE, STANDBY(9, ""), RIVAL_LEASE); /* forced from us */
        pump(&b);
        CHECK_STATE(&b.world, b.actor, "STANDING");
        const int64_t token = gained(&b)->token;
        order(&b, 2, SESSION_ELECT_FORCE, 0);
        check_holds(&b);
        CHECK(gained(&b)->create_revision > created);
        CHECK(gained(&b)->token > token);
        close_bench(&b);
    }
}

TEST(election_force, what_has_changed_since_it_was_seen_is_taken_as_it_is_now)
{
    enum { ANOTHERS, MARKED_SINCE, GONE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, 1);
            if (way == MARKED_SINCE) {
                fake_etcd_put(b.etcd, ACTIVE, STANDBY(99, MARKED), RIVAL_LEASE);
            } else {
                fake_etcd_delete(b.etcd, ACTIVE);
            }
            if (way == ANOTHERS) {
                fake_etcd_put(b.etcd, ACTIVE, STANDBY(1, ""), RIVAL_LEASE + 1);
            }
            order(&b, 1, SESSION_ELECT_FORCE, 0); /* no watch has told of that */
            check_holds(&b);
            CHECK_INT(writes, 2); /* the first takes nothing, and tells what there is */
            CHECK_INT(ordered(&b), ROLLCALL_OK);
            CHECK_INT(told(&b, SESSION_GAINED), 1);
            CHECK_INT(gained(&b)->token, fake_etcd_find(b.etcd, ACTIVE)->mod_revision);
            close_bench(&b);
        }
    }
}

/* The session hears that it is lost from others, and answers the order with the reason. */
TEST(election_force, who_has_lost_its_key_or_its_lease_takes_nothing)
{
    enum { DELETED, ANOTHERS, LEASE_GONE, WAYS };
    for (int way = 0; way < WAYS; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_waiting(&b, 0);
            const int64_t revision = fake_etcd_find(b.etcd, ACTIVE)->mod_revision;
            if (way == LEASE_GONE) { /* etcd says so before the watch does */
                fate = FAKE_ETCD_REFUSE;
                fated = SIZE_MAX;
                b.etcd->refusal = ROLLCALL_E_LEASE_LOST;
            } else {
                fake_etcd_delete(b.etcd, KEY);
            }
            if (way == ANOTHERS) { /* of another process with our server ID */
                fake_etcd_put(b.etcd, KEY, STANDBY(12, ""), RIVAL_LEASE);
            }
            order(&b, 1, SESSION_ELECT_FORCE, 0);
            CHECK_INT(writes, 1);
            pump(&b);
            world_run(&b.world, PAUSE_MS);
            CHECK_INT(writes, 1); /* nor does it ask again */
            CHECK_STATE(&b.world, b.actor, "STANDING");
            CHECK_INT(fake_etcd_find(b.etcd, ACTIVE)->mod_revision, revision);
            CHECK_INT(told(&b, SESSION_GAINED), 0);
            CHECK_INT(told(&b, SESSION_ELECTED), 0);
            close_bench(&b);
        }
    }
}

/* Registering under a key that is a rival's: waiting for its end. */
#include "unit/actors/registration_world.h"
#include "unit/actors/stuck_world.h"

static void open_behind_a_rival(struct bench *b, uint32_t retries)
{
    open(b, &(struct session_choice){.exclusive = true, .retries = retries});
    fake_etcd_put(b->etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

/* Past the attempts that are close together: what comes soon now comes for a reason. */
static void wait_long(struct bench *b)
{
    world_run(&b->world, 3100);
    CHECK_STATE(&b->world, b->registration, "WAITING");
    CHECK_INT(b->steps.plan[CLAIM].seen, 5);
}

static size_t watches_open(const struct bench *b)
{
    size_t count = 0;
    for (int i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        count += b->etcd->watches[i].open;
    }
    return count;
}

/* ---- asking ---- */

TEST(registration_rival, yields_to_a_rival_and_waits_longer_each_time)
{
    while (world_next(SEEDS)) {
        struct bench b;
        static const int64_t WAIT_MS[] = {200, 400, 800, 1600, 3000, 3000};
        int64_t at_ms = 0;
        open(&b, &(struct session_choice){.exclusive = true});
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
        world_settle(&b.world);
        for (size_t i = 0; i < sizeof WAIT_MS / sizeof WAIT_MS[0]; i++) {
            CHECK_STATE(&b.world, b.registration, "WAITING");
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            CHECK_INT(b.steps.plan[CLAIM].seen, i + 1);
            rollcall_sim_run_until(b.world.sim, at_ms + WAIT_MS[i] - 1);
            CHECK_INT(b.steps.plan[CLAIM].seen, i + 1);
            at_ms += WAIT_MS[i];
            rollcall_sim_run_until(b.world.sim, at_ms);
        }
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        rollcall_sim_run_until(b.world.sim, at_ms + 3000);
        CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id, membership(&b)->lease_id);
        CHECK_INT(membership(&b)->server_id, 10); /* allocated once, above the rival's */
        close_bench(&b);
    }
}

TEST(registration_rival, a_rival_that_stays_is_finally_E_RIVAL)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true, .retries = 4});
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
        world_run(&b.world, 20000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK(strstr(refusal(&b)->text, EXCLUSIVE_KEY) != NULL);
        CHECK_INT(b.steps.plan[CLAIM].seen, 4);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, RIVAL);
        close_bench(&b);
    }
}

/* Its answer may be away for longer than we wait for it, and it is done all the same. */
TEST(registration_rival, a_lease_that_is_being_revoked_claims_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[REVOKE].status = ROLLCALL_E_TIMEOUT;
        b.steps.plan[REVOKE].last = 1;
        world_settle(&b.world);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        world_run(&b.world, 5000);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK(membership(&b)->lease_id != b.steps.granted[0]);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

/* ---- hearing ---- */

TEST(registration_rival, a_key_that_is_freed_is_claimed_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        wait_long(&b);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id, membership(&b)->lease_id);
        CHECK_INT(watches_open(&b), 0);
        close_bench(&b);
    }
}

TEST(registration_rival, a_key_that_is_put_again_is_still_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        wait_long(&b);
        for (int i = 0; i < 3 * TRANSPORT_WATCH_WINDOW; i++) {
            fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
            fake_etcd_pump(b.etcd, b.world.rt);
            world_settle(&b.world);
        }
        CHECK_STATE(&b.world, b.registration, "WAITING");
        CHECK_INT(b.steps.plan[CLAIM].seen, 5);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "HELD");
        close_bench(&b);
    }
}

static void the_rival_goes(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
}

TEST(registration_rival, a_key_that_is_freed_before_it_is_watched_is_claimed_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        b.steps.plan[REVOKE].before = the_rival_goes;
        b.steps.plan[REVOKE].first = b.steps.plan[REVOKE].last = 3;
        world_run(&b.world, 1399); /* the fourth attempt is at 1'400 */
        CHECK_STATE(&b.world, b.registration, "WAITING");
        world_run(&b.world, 2);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "HELD");
        close_bench(&b);
    }
}

TEST(registration_rival, a_rival_that_comes_after_the_rival_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 7);
        wait_long(&b);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "WAITING");
        CHECK_INT(b.steps.plan[CLAIM].seen, 6);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        CHECK_INT(watches_open(&b), 1);
        world_run(&b.world, 10000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK_INT(b.steps.plan[CLAIM].seen, 7);
        CHECK_INT(watches_open(&b), 0);
        close_bench(&b);
    }
}

/* ---- not hearing ---- */

TEST(registration_rival, a_key_that_nobody_looks_at_is_asked_for_within_a_second)
{
    for (int bounces = 0; bounces < 2; bounces++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_behind_a_rival(&b, 0);
            wait_long(&b);
            if (bounces) {
                stuck_bounce(&b.world, b.registration, b.etcd->ref, TRANSPORT_WATCH);
            } else {
                fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
            }
            world_run(&b.world, 10);
            CHECK_INT(b.steps.plan[CLAIM].seen, 5);
            fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
            world_run(&b.world, 1000);
            CHECK_STATE(&b.world, b.registration, "HELD");
            close_bench(&b);
        }
    }
}

TEST(registration_rival, what_comes_back_of_a_watch_that_is_over_costs_nothing)
{
    static const uint16_t TYPES[] = {TRANSPORT_WATCH, TRANSPORT_WATCH_ACK, TRANSPORT_WATCH_CANCEL};
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_behind_a_rival(&b, 6);
            wait_long(&b);
            b.steps.plan[GRANT].fate = FAKE_ETCD_SILENT;
            b.steps.plan[GRANT].first = b.steps.plan[GRANT].last = 5;
            fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
            fake_etcd_pump(b.etcd, b.world.rt);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.registration, "GRANTING"); /* for the last attempt */
            stuck_bounce(&b.world, b.registration, b.etcd->ref, TYPES[i]);
            world_run(&b.world, 1000);
            CHECK_STATE(&b.world, b.registration, "GRANTING");
            CHECK_INT(told(&b, SESSION_REFUSED), 0);
            close_bench(&b);
        }
    }
}

/* One of the watch before it. */
TEST(registration_rival, a_cancel_that_comes_back_late_ends_no_watch)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        wait_long(&b);
        stuck_bounce(&b.world, b.registration, b.etcd->ref, TRANSPORT_WATCH_CANCEL);
        world_settle(&b.world);
        CHECK_INT(watches_open(&b), 1);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "HELD");
        close_bench(&b);
    }
}

TEST(registration_rival, a_crash_while_waiting_costs_an_attempt_and_leaves_one_watch)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        wait_long(&b);
        rollcall_sim_crash(b.world.sim, b.registration, ROLLCALL_E_ACTOR);
        world_run(&b.world, 4000); /* the next message is that it is to ask again */
        CHECK_STATE(&b.world, b.registration, "WAITING");
        CHECK_INT(b.steps.plan[CLAIM].seen, 6);
        CHECK_INT(watches_open(&b), 1);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        fake_etcd_pump(b.etcd, b.world.rt);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

TEST(registration_rival, who_leaves_while_waiting_leaves_no_watch)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_behind_a_rival(&b, 0);
        wait_long(&b);
        CHECK_INT(watches_open(&b), 1);
        leave(&b);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "DONE");
        CHECK_INT(watches_open(&b), 0);
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        world_run(&b.world, 5000);
        CHECK_INT(b.steps.plan[CLAIM].seen, 5);
        close_bench(&b);
    }
}

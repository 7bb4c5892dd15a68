/* Registration on its way out before it holds the key, and restarts of it in every state.  How a
 * member leaves is departure's: departure_test.c. */
#include "unit/actors/registration_world.h"

TEST(leaving, nothing_is_told_of_a_key_that_is_held_for_departure_takes_it_away)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_settle(&b.world);
        leave(&b);
        world_run(&b.world, 5000);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(fake_etcd_find(b.etcd, membership(&b)->key)->lease_id, membership(&b)->lease_id);
        CHECK_INT(told(&b, SESSION_LEFT), 0);
        CHECK_INT(b.steps.plan[REVOKE].seen, 0);
        close_bench(&b);
    }
}

/* Whatever the request that is outstanding does: it is waited for, and then taken back. */
TEST(leaving, the_revoke_is_repeated_while_etcd_is_away)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[CLAIM].fate = FAKE_ETCD_LOSE_ANSWER;
        b.steps.plan[CLAIM].last = SIZE_MAX;
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "FAILED"); /* until its supervisor restarts it */
        leave(&b);
        b.etcd->away = true;
        world_run(&b.world, 10000);
        CHECK_STATE(&b.world, b.registration, "REVOKING");
        CHECK_INT(told(&b, SESSION_LEFT), 0);
        CHECK(b.etcd->calls >= 40 && b.etcd->calls <= 60); /* five a second */
        b.etcd->away = false;
        world_run(&b.world, 200);
        check_gone(&b);
        CHECK(fake_etcd_find(b.etcd, "root/session/coord-1") == NULL);
        close_bench(&b);
    }
}

TEST(leaving, a_lease_that_etcd_would_not_revoke_is_told_with_the_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[CLAIM].fate = FAKE_ETCD_LOSE_ANSWER;
        b.steps.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[REVOKE].status = ROLLCALL_E_DENIED;
        world_settle(&b.world);
        b.steps.plan[CLAIM].last = SIZE_MAX;
        leave(&b);
        world_run(&b.world, 2000);
        CHECK_INT(told(&b, SESSION_LEFT), 1);
        const struct session_left *left = probe_payload(probe_find(b.session, SESSION_LEFT, 0));
        CHECK_INT(left->status, ROLLCALL_E_DENIED);
        close_bench(&b);
    }
}

/* ---- every state: a predecessor, then a rival, so that the way leads through all ---- */

static const char *const STATES[] = {"ALLOCATING", "GRANTING", "CLAIMING", "EVICTING", "YIELDING",
                                     "WAITING",    "HELD",     "REVOKING", "DONE"};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0], RIVAL_GOES_MS = 300 };

static bool is_in(const struct bench *b, const char *state)
{
    return strcmp(rollcall_sim_state(b->world.sim, b->registration), state) == 0;
}

static bool is_way_out(const char *state)
{
    return strcmp(state, "REVOKING") == 0 || strcmp(state, "DONE") == 0;
}

/* Steps until it is in the state; on a way out it is asked to leave while a grant is repeated. */
static bool run_to_state(struct bench *b, const char *state)
{
    bool asked = false;
    if (is_way_out(state)) {
        steps_from_now(&b->steps, GRANT, FAKE_ETCD_LOSE_ANSWER, 1);
        steps_from_now(&b->steps, REVOKE, FAKE_ETCD_REFUSE, 3); /* so that it is seen there */
    }
    for (int64_t at_ms = 0; at_ms < 3000; at_ms += 10) {
        if (at_ms == RIVAL_GOES_MS) {
            fake_etcd_delete(b->etcd, EXCLUSIVE_KEY);
        }
        do {
            if (is_in(b, state)) {
                return true;
            }
            if (!asked && is_in(b, "FAILED")) {
                leave(b);
                asked = true;
            }
        } while (rollcall_sim_step(b->world.sim));
        world_run(&b->world, 10);
    }
    return false;
}

static void a_rival_is_faster(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

static void open_with_both(struct bench *b)
{
    open(b, &(struct session_choice){.exclusive = true});
    fake_etcd_put(b->etcd, EXCLUSIVE_KEY, RECORD_OF(3, OUR_ADDRESS, OUR_HOST), RIVAL_LEASE);
    b->steps.plan[EVICT].before = a_rival_is_faster;
}

static bool holds_the_key(const struct bench *b)
{
    const struct transport_kv *there = fake_etcd_find(b->etcd, EXCLUSIVE_KEY);
    return there != NULL && there->lease_id != RIVAL_LEASE;
}

TEST(leaving, leave_leads_out_of_every_state_and_leaves_nothing_behind)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        int out = 0;
        while (world_next(SEEDS)) {
            struct bench b;
            open_with_both(&b);
            CHECK(run_to_state(&b, STATES[state]));
            leave(&b);
            world_run(&b.world, 10000);
            CHECK_INT(told(&b, SESSION_REFUSED), 0);
            if (is_in(&b, "HELD")) { /* it won before the leave came */
                CHECK_INT(told(&b, SESSION_REGISTERED), 1);
                CHECK_INT(told(&b, SESSION_LEFT), 0);
                CHECK(holds_the_key(&b));
            } else {
                CHECK_STATE(&b.world, b.registration, "DONE");
                CHECK(told(&b, SESSION_LEFT) >= 1);
                CHECK_INT(told(&b, SESSION_REGISTERED), 0);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
                CHECK(!holds_the_key(&b));
                out++;
            }
            close_bench(&b);
        }
        CHECK(getenv("ROLLCALL_SEED") != NULL ||
              (out != 0) == (strcmp(STATES[state], "HELD") != 0));
    }
}

TEST(leaving, leave_after_a_refusal_is_answered_too)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "x", 0);
        world_settle(&b.world);
        refusal(&b);
        leave(&b);
        world_settle(&b.world);
        CHECK_INT(told(&b, SESSION_LEFT), 1);
        close_bench(&b);
    }
}

TEST(leaving, a_crash_in_any_state_resumes_from_the_handover)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_with_both(&b);
            CHECK(run_to_state(&b, STATES[state]));
            rollcall_sim_crash(b.world.sim, b.registration, ROLLCALL_E_ACTOR);
            world_run(&b.world, RIVAL_GOES_MS);
            if (!holds_the_key(&b)) {
                fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
            }
            world_run(&b.world, 5000);
            if (is_way_out(STATES[state])) {
                CHECK_STATE(&b.world, b.registration, "DONE");
                CHECK(told(&b, SESSION_LEFT) >= 1);
                CHECK_INT(told(&b, SESSION_REGISTERED), 0);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
                CHECK(!holds_the_key(&b));
            } else {
                CHECK_STATE(&b.world, b.registration, "HELD");
                CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id,
                          membership(&b)->lease_id);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
                CHECK_INT(told(&b, SESSION_LEFT), 0);
            }
            const int64_t next = next_id(b.etcd);
            CHECK(next == 5 || (next == 6 && state == 0)); /* an ID may be skipped */
            close_bench(&b);
        }
    }
}

/* Registration on its way out, and restarts of it in every state. */
#include "unit/actors/registration_world.h"

/* ---- leaving ---- */

TEST(registration, leaving_marks_the_record_under_its_lease_and_then_revokes)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_settle(&b.world);
        const struct session_membership *won = membership(&b);
        leave(&b);
        world_settle(&b.world);
        check_gone(&b);
        CHECK_INT(b.plan[MARK].seen, 1);
        CHECK_INT(b.mark.lease_id, won->lease_id);
        CHECK_INT(b.mark_compare.target, TRANSPORT_COMPARE_CREATE_REVISION);
        CHECK_INT(b.mark_compare.number, won->create_revision);
        CHECK(fake_etcd_find(b.etcd, won->key) == NULL);
        const struct transport_kv *marked =
            fake_etcd_find_at(b.etcd, rollcall__bytes(won->key), won->revision + 1);
        CHECK(stored_record_read(marked->value).stopping);
        CHECK_INT(stored_record_read(marked->value).server_id, won->server_id);
        leave(&b);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "DONE");
        close_bench(&b);
    }
}

static void a_rival_takes_the_key(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(registration, leaving_never_touches_a_key_that_has_become_anothers)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        b.plan[MARK].before = a_rival_takes_the_key;
        world_settle(&b.world);
        leave(&b);
        world_settle(&b.world);
        check_gone(&b);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, RIVAL);
        CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->version, 1);
        close_bench(&b);
    }
}

TEST(registration, the_revoke_is_repeated_while_etcd_is_away)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_settle(&b.world);
        b.etcd->away = true;
        leave(&b);
        world_run(&b.world, 10000);
        CHECK_STATE(&b.world, b.registration, "REVOKING");
        CHECK_INT(told(&b, SESSION_LEFT), 0);
        CHECK(b.etcd->calls >= 40 && b.etcd->calls <= 60); /* five a second */
        b.etcd->away = false;
        world_run(&b.world, 200);
        check_gone(&b);
        close_bench(&b);
    }
}

/* ---- every state: a rival first, so that the way leads through all of them ---- */

static const char *const STATES[] = {"ALLOCATING", "GRANTING", "CLAIMING", "YIELDING", "WAITING",
                                     "HELD",       "MARKING",  "REVOKING", "DONE"};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0] };

/* Steps until it is in the state; the rival goes after 300 ms. */
static bool run_to_state(struct bench *b, const char *state)
{
    for (int64_t at_ms = 0; at_ms < 3000; at_ms += 10) {
        if (at_ms == 300) {
            fake_etcd_delete(b->etcd, EXCLUSIVE_KEY);
        }
        do {
            if (strcmp(rollcall_sim_state(b->world.sim, b->registration), state) == 0) {
                return true;
            }
        } while (rollcall_sim_step(b->world.sim));
        world_run(&b->world, 10);
        if (strcmp(rollcall_sim_state(b->world.sim, b->registration), "HELD") == 0 &&
            strcmp(state, "HELD") != 0) {
            leave(b);
        }
    }
    return false;
}

static void end_rival(struct bench *b)
{
    const struct transport_kv *there = fake_etcd_find(b->etcd, EXCLUSIVE_KEY);
    if (there != NULL && there->lease_id == RIVAL_LEASE) {
        fake_etcd_delete(b->etcd, EXCLUSIVE_KEY);
    }
}

static void open_with_rival(struct bench *b)
{
    open(b, &(struct session_choice){.exclusive = true});
    fake_etcd_put(b->etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(registration, leave_leads_out_of_every_state_and_leaves_nothing_behind)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_with_rival(&b);
            CHECK(run_to_state(&b, STATES[state]));
            leave(&b);
            world_run(&b.world, 10000);
            CHECK_STATE(&b.world, b.registration, "DONE");
            CHECK(told(&b, SESSION_LEFT) >= 1);
            CHECK_INT(told(&b, SESSION_REFUSED), 0);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            const struct transport_kv *there = fake_etcd_find(b.etcd, EXCLUSIVE_KEY);
            CHECK(there == NULL || there->lease_id == RIVAL_LEASE);
            close_bench(&b);
        }
    }
}

TEST(registration, leave_after_a_refusal_is_answered_too)
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

TEST(registration, a_crash_in_any_state_resumes_from_the_handover)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            const bool after = strcmp(STATES[state], "MARKING") == 0 ||
                               strcmp(STATES[state], "REVOKING") == 0 ||
                               strcmp(STATES[state], "DONE") == 0;
            open_with_rival(&b);
            CHECK(run_to_state(&b, STATES[state]));
            rollcall_sim_crash(b.world.sim, b.registration, ROLLCALL_E_ACTOR);
            if (!after) {
                end_rival(&b);
                world_run(&b.world, 5000);
                CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id,
                          membership(&b)->lease_id);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
                leave(&b);
                world_run(&b.world, 500);
                leave(&b); /* the first may be what it crashed on */
            }
            world_run(&b.world, 5000);
            CHECK_STATE(&b.world, b.registration, "DONE");
            CHECK_INT(told(&b, SESSION_REGISTERED), 1);
            CHECK(told(&b, SESSION_LEFT) >= 1);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            CHECK(fake_etcd_find(b.etcd, EXCLUSIVE_KEY) == NULL);
            const int64_t next = next_id(b.etcd);
            CHECK(next == 2 || (next == 3 && state == 0)); /* an ID may be skipped */
            close_bench(&b);
        }
    }
}

TEST(leaving, a_lease_that_etcd_would_not_revoke_is_told_with_the_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.plan[REVOKE].status = ROLLCALL_E_DENIED;
        world_run(&b.world, 1000);
        CHECK_STATE(&b.world, b.registration, "HELD");
        leave(&b);
        world_run(&b.world, 1000);
        CHECK_INT(told(&b, SESSION_LEFT), 1);
        const struct session_left *left = probe_payload(probe_find(b.session, SESSION_LEFT, 0));
        CHECK_INT(left->status, ROLLCALL_E_DENIED);
        close_bench(&b);
    }
}

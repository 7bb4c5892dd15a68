/* An errand whose etcd is away or silent, or that fails itself: told once, and in time. */
#include "unit/actors/errand_world.h"

/* ---- etcd is in trouble ---- */

TEST(errand, an_etcd_that_is_away_is_told_with_the_cause_at_the_deadline)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.etcd->away = true;
        run(&b, &MARK);
        check_refused(&b, ROLLCALL_E_UNAVAILABLE, "the fake etcd says E_UNAVAILABLE");
        CHECK_INT(b.told_ms, TIMEOUT_MS);
        CHECK(!b.error.maybe_applied);
        CHECK(b.etcd->calls >= 6 && b.etcd->calls <= 20);
        close_bench(&b);
    }
}

TEST(errand, an_etcd_that_comes_back_in_time_is_not_noticed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        b.etcd->away = true;
        start(&b, &MARK);
        world_run(&b.world, TIMEOUT_MS - 1000);
        CHECK_STATE(&b.world, b.errand, "PAUSING");
        b.etcd->away = false;
        world_run(&b.world, 1000);
        CHECK_INT(b.told, 1);
        check_done(&b);
        check_marked(&b, put, LEASE);
        close_bench(&b);
    }
}

TEST(errand, a_silent_etcd_is_told_at_the_deadline_and_whether_a_write_was_on_its_way)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.read_fate = FAKE_ETCD_SILENT;
        run(&b, &MARK);
        check_refused(&b, ROLLCALL_E_TIMEOUT, "127.0.0.1:2379");
        CHECK_INT(b.told_ms, TIMEOUT_MS);
        CHECK(!b.error.maybe_applied);
        b.read_fate = FAKE_ETCD_ANSWER;
        b.write_fate = FAKE_ETCD_SILENT;
        run(&b, &REVOKE);
        check_refused(&b, ROLLCALL_E_TIMEOUT, "127.0.0.1:2379");
        CHECK(b.error.maybe_applied);
        close_bench(&b);
    }
}

static void etcd_goes_away(struct fake_etcd *etcd)
{
    etcd->away = true;
}

TEST(errand, a_write_whose_answer_was_lost_before_etcd_went_away_may_have_been_made)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.before_write = etcd_goes_away;
        b.write_fate = FAKE_ETCD_LOSE_ANSWER;
        run(&b, &MARK);
        check_refused(&b, ROLLCALL_E_UNAVAILABLE, "E_UNAVAILABLE");
        CHECK(b.error.maybe_applied);
        close_bench(&b);
    }
}

TEST(errand, what_will_not_pass_is_told_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.etcd->refusal = ROLLCALL_E_DENIED;
        b.read_fate = world_seed % 2 == 0 ? FAKE_ETCD_REFUSE : FAKE_ETCD_ANSWER;
        b.write_fate = FAKE_ETCD_REFUSE;
        start(&b, &MARK);
        world_settle(&b.world);
        CHECK_INT(b.told, 1);
        check_refused(&b, ROLLCALL_E_DENIED, "E_DENIED");
        CHECK(!b.error.maybe_applied);
        CHECK_STATE(&b.world, b.errand, "ENDED");
        close_bench(&b);
    }
}

TEST(errand, a_lease_that_ends_under_the_mark_is_a_key_that_is_lost)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, KEY, RECORD, LEASE); /* under a lease that is gone already */
        start(&b, &MARK);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.errand, "PAUSING");
        fake_etcd_delete(b.etcd, KEY);
        world_run(&b.world, TIMEOUT_MS);
        CHECK_INT(b.told, 1);
        check_refused(&b, ROLLCALL_E_KEY_LOST, KEY);
        close_bench(&b);
    }
}

TEST(errand, a_server_id_is_asked_for_again_until_the_deadline_and_a_corrupt_key_told_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const struct choice choice = {.kind = ERRAND_SERVER_ID, .allocator = spawn_allocator(&b)};
        b.etcd->away = true;
        run(&b, &choice);
        check_refused(&b, ROLLCALL_E_UNAVAILABLE, "the fake etcd says E_UNAVAILABLE");
        CHECK_INT(b.told_ms, TIMEOUT_MS);
        CHECK_INT(b.server_id, 0);
        b.etcd->away = false;
        fake_etcd_put(b.etcd, ID_KEY, "x", 0);
        start(&b, &choice);
        world_settle(&b.world);
        CHECK_INT(b.told, 2);
        check_refused(&b, ROLLCALL_E_CORRUPT, ID_KEY);
        close_bench(&b);
    }
}

/* ---- its own end ---- */

/* Steps until it is in `state`; false when it never is. */
static bool reach(struct bench *b, const char *state)
{
    while (strcmp(rollcall_sim_state(b->world.sim, b->errand), state) != 0) {
        if (!rollcall_sim_step(b->world.sim)) {
            return false;
        }
    }
    return true;
}

TEST(errand, a_crash_in_any_state_is_told_once)
{
    static const char *const STATES[] = {"READING", "WRITING", "ALLOCATING", "PAUSING"};
    for (int state = 0; state < 4; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            put_session(&b);
            b.etcd->away = state == 3;
            start(&b, &(struct choice){.kind = state == 2 ? ERRAND_SERVER_ID : ERRAND_REVOKE,
                                       .allocator = spawn_allocator(&b)});
            CHECK(reach(&b, STATES[state]));
            rollcall_sim_crash(b.world.sim, b.errand, ROLLCALL_E_ACTOR);
            world_run(&b.world, TIMEOUT_MS + 1000);
            CHECK_INT(b.told, 1);
            CHECK_INT(b.failed, 1);
            CHECK_INT(b.error.status, ROLLCALL_E_ACTOR);
            CHECK_STATE(&b.world, b.errand, "ENDED");
            CHECK_STATE(&b.world, b.application, "OVER");
            close_bench(&b);
        }
    }
}

TEST(errand, it_ends_with_the_application_actor_and_tells_nothing)
{
    static const char *const STATES[] = {"READING", "WRITING", "PAUSING"};
    for (int state = 0; state < 3; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            put_session(&b);
            b.etcd->away = state == 2;
            start(&b, &MARK);
            CHECK(reach(&b, STATES[state]));
            rollcall_runtime_stop(b.world.rt, b.application);
            while (strcmp(rollcall_sim_state(b.world.sim, b.application), "ENDED") != 0) {
                CHECK(rollcall_sim_step(b.world.sim));
            }
            const int told = b.told; /* it may have been done before the stop came */
            world_run(&b.world, TIMEOUT_MS + 1000);
            CHECK_STATE(&b.world, b.errand, "ENDED");
            CHECK_INT(b.told, told);
            close_bench(&b);
        }
    }
}

/* A transport that has failed for good: its mailbox fills, and nothing is answered. */
TEST(errand, a_full_transport_is_asked_again_until_the_deadline)
{
    static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
    static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
    for (uint32_t worker = 0; worker < 2;
         worker++) { /* 0: another's: what is too much comes back */
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            struct probe *parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
            struct probe *transport = probe_create("transport", SIZES, NAMES, TRANSPORT_COUNT);
            const struct probe_options options = {transport};
            const struct choice choice = {
                .kind = ERRAND_MARK_STOPPING,
                .transport = world_spawn(
                    &b.world, worker,
                    ROLLCALL_SPAWN_OPTIONS(.type = probe_type(transport), .options = &options,
                                           .supervisor = probe_spawn(parent, b.world.rt, worker),
                                           .mailbox_messages = 8))};
            probe_return(transport, TRANSPORT_WATCH_CANCEL, ROLLCALL_FAIL);
            for (int i = 0; i < 8; i++) { /* the first makes it fail, seven fill it */
                const struct transport_watch_id id = {0};
                world_send(&b.world, choice.transport, TRANSPORT_WATCH_CANCEL, &id, sizeof id,
                           NULL);
                world_settle(&b.world);
            }
            start(&b, &choice);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.errand, "PAUSING");
            world_run(&b.world, TIMEOUT_MS + 1);
            CHECK_INT(b.told, 1);
            check_refused(&b, ROLLCALL_E_TIMEOUT, "too much");
            CHECK(!b.error.maybe_applied);
            world_close(&b.world);
            probe_destroy(transport);
            probe_destroy(parent);
            fake_etcd_destroy(b.etcd);
        }
    }
}

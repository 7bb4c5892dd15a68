/* Each loss of a membership, and what follows it: the end, or registering again. */
#include "unit/actors/root_world.h"

static const struct {
    enum rollcall_loss loss;
    enum rollcall_status status;
    const char *reason;
} EXPECTED[WAY_COUNT] = {
    [BY_LEASE] = {ROLLCALL_LOSS_LEASE, ROLLCALL_E_LEASE_LOST, "lease is gone"},
    [BY_DELETION] = {ROLLCALL_LOSS_DELETED, ROLLCALL_E_KEY_LOST, "deleted"},
    [BY_OVERWRITING] = {ROLLCALL_LOSS_OVERWRITTEN, ROLLCALL_E_KEY_LOST, "not this session's"},
    [BY_SHARING] = {ROLLCALL_LOSS_OVERWRITTEN, ROLLCALL_E_KEY_LOST, "not this session's"},
    [BY_MOVING] = {ROLLCALL_LOSS_MOVED, ROLLCALL_E_KEY_LOST, "moved away"},
    [BY_FAULT] = {ROLLCALL_LOSS_FAULT, ROLLCALL_E_ACTOR, "6 failures"},
};
static const struct session_choice STOP = {.on_lost = ROLLCALL_ON_LOST_STOP};
static const struct session_choice AGAIN = {.on_lost = ROLLCALL_ON_LOST_REREGISTER};

static void open_active(struct bench *b, const struct session_choice *choice)
{
    open(b, choice);
    world_run(&b->world, 3000);
    check_told(b, "ACTIVE");
}

static void check_loss(const struct session_event *lost, enum way way)
{
    CHECK_INT(lost->state, ROLLCALL_SESSION_LOST);
    CHECK_INT(lost->loss, EXPECTED[way].loss);
    CHECK_INT(lost->status, EXPECTED[way].status);
    CHECK(strstr(lost->reason, EXPECTED[way].reason) != NULL);
    CHECK(lost->disconnected && !lost->registered && !lost->stopping);
    CHECK(lost->membership != NULL);
}

/* What goes in the end by itself: the end of a lease that nobody renews. */
static void end_lease(struct bench *b, int64_t lease_id)
{
    fake_etcd_end_lease(b->etcd, lease_id);
    pump(b);
    world_settle(&b->world);
}

/* ---- it is over ---- */

TEST(session_loss, each_is_told_once_with_its_cause_and_then_nothing_more_is)
{
    for (enum way way = BY_LEASE; way < WAY_COUNT; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, &STOP);
            lose(&b, way);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST");
            check_loss(last_event(&b), way);
            CHECK_STATE(&b.world, b.session, "OVER");
            const uint64_t renewals = b.etcd->renewals, calls = b.etcd->calls;
            b.etcd->away = true;
            pump(&b);
            world_run(&b.world, 30000);
            check_told(&b, "ACTIVE LOST");
            CHECK_INT(b.etcd->renewals, renewals);
            CHECK_INT(b.etcd->calls, calls);
            close_bench(&b);
        }
    }
}

/* But for another's record under our lease, which is not ours to end; and when our own actors
 * failed, there is nobody to revoke. */
TEST(session_loss, nothing_of_ours_is_left_in_etcd)
{
    for (enum way way = BY_LEASE; way < WAY_COUNT; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, &STOP);
            lose(&b, way);
            world_run(&b.world, 5000);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), way == BY_SHARING || way == BY_FAULT);
            const struct transport_kv *kv = fake_etcd_find(b.etcd, KEY);
            CHECK((kv != NULL) == (way >= BY_OVERWRITING));
            if (way == BY_OVERWRITING || way == BY_SHARING) {
                CHECK_BYTES(kv->value, RIVAL);
            }
            close_bench(&b);
        }
    }
}

static void delete_key(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, KEY);
}

TEST(session_loss, a_key_that_was_gone_at_once_is_missing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &STOP);
        b.steps.plan[LOOK].before = delete_key;
        world_run(&b.world, 3000);
        /* Whether keepalive or liveness is heard first is all the same. */
        check_told(&b, last_event(&b)->change == 1 ? "LOST" : "ACTIVE LOST");
        CHECK_INT(last_event(&b)->loss, ROLLCALL_LOSS_MISSING);
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_KEY_LOST);
        CHECK(strstr(last_event(&b)->reason, "as soon as") != NULL);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(session_loss, a_loss_while_suspect_is_told_too)
{
    for (enum way way = BY_LEASE; way < WAY_COUNT; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, &STOP);
            b.etcd->renews_nothing = true;
            world_run(&b.world, 6000);
            lose(&b, way);
            world_run(&b.world, 5000);
            b.etcd->renews_nothing = false;
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE SUSPECT LOST");
            check_loss(last_event(&b), way);
            close_bench(&b);
        }
    }
}

TEST(session_loss, an_outage_alone_is_none)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, &AGAIN);
        b.etcd->away = true;
        pump(&b);
        world_run(&b.world, 600000);
        b.etcd->away = false;
        world_run(&b.world, 5000);
        check_told(&b, "ACTIVE SUSPECT ACTIVE");
        close_bench(&b);
    }
}

/* ---- it registers again ---- */

/* Active again: under a new lease, with the ID of before. */
static void check_again(struct bench *b, const struct session_membership *before)
{
    const struct session_membership *mine = last_event(b)->membership;
    const struct transport_kv *kv = fake_etcd_find(b->etcd, KEY);
    CHECK_STATE(&b->world, b->session, "ACTIVE");
    CHECK_INT(last_event(b)->state, ROLLCALL_SESSION_ACTIVE);
    CHECK(last_event(b)->registered && !last_event(b)->disconnected && !last_event(b)->stopping);
    CHECK_INT(mine->server_id, before->server_id);
    CHECK_STR(mine->key, before->key);
    CHECK(mine->lease_id != before->lease_id);
    CHECK(mine->create_revision > before->create_revision);
    CHECK_INT(kv->lease_id, mine->lease_id);
    CHECK_INT(kv->create_revision, mine->create_revision);
    CHECK_INT(stored_record_read(kv->value).lease_id, mine->lease_id);
}

TEST(session_loss, ten_in_a_row_are_ten_memberships_more)
{
    for (enum way way = BY_LEASE; way < WAY_COUNT; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, &AGAIN);
            for (size_t i = 0; i < 10; i++) {
                const struct session_event *before = last_event(&b);
                lose(&b, way);
                world_run(&b.world, 4000);
                if (way == BY_OVERWRITING || way == BY_SHARING) { /* the rival goes */
                    fake_etcd_delete(b.etcd, KEY);
                    pump(&b);
                    world_run(&b.world, 4000);
                }
                CHECK_INT(last_event(&b)->change, 4 + 3 * i);
                check_loss(change(&b, 1 + 3 * i), way);
                CHECK_INT(change(&b, 2 + 3 * i)->state, ROLLCALL_SESSION_REGISTERING);
                CHECK(change(&b, 2 + 3 * i)->disconnected);
                CHECK_INT(change(&b, 2 + 3 * i)->loss, EXPECTED[way].loss);
                check_again(&b, before->membership);
            }
            world_run(&b.world, 60000);
            CHECK_INT(last_event(&b)->change, 31);
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_STOPPED);
            CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
            close_bench(&b);
        }
    }
}

/* Several at once, and more on top of it at a random moment: whatever its old actors still say. */
TEST(session_loss, losses_that_fall_together_leave_one_membership_in_the_end)
{
    while (world_next(300)) {
        struct bench b;
        open_active(&b, &AGAIN);
        for (int i = 0; i < 5; i++) {
            for (uint64_t steps = (world_seed * 7 + (uint64_t)i * 13) % 40; steps > 0; steps--) {
                rollcall_sim_step(b.world.sim);
            }
            lose(&b, BY_DELETION);
            lose(&b, BY_LEASE);
            b.etcd->renews_nothing = (world_seed + (uint64_t)i) % 3 == 0;
            world_run(&b.world, (int64_t)(world_seed % 5) * 500);
        }
        b.etcd->renews_nothing = false;
        world_run(&b.world, 20000);
        CHECK_STATE(&b.world, b.session, "ACTIVE");
        CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_ACTIVE);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        CHECK_INT(fake_etcd_find(b.etcd, KEY)->lease_id, our_lease(&b));
        for (uint64_t i = 0; i < last_event(&b)->change; i++) { /* LOST, REGISTERING, ... */
            const bool lost = change(&b, i)->state == ROLLCALL_SESSION_LOST;
            CHECK(!lost || change(&b, i + 1)->state == ROLLCALL_SESSION_REGISTERING);
        }
        close_bench(&b);
    }
}

/* At any step of it, and for longer than any number of attempts. */
TEST(session_loss, an_outage_in_the_middle_does_not_end_it)
{
    for (int moment = 0; moment < 12; moment++) {
        while (world_next(5)) {
            struct session_choice choice = AGAIN;
            struct bench b;
            choice.retries = 2;
            open_active(&b, &choice);
            const struct session_event *before = last_event(&b);
            lose(&b, BY_DELETION);
            for (int i = 0; i < 4 * moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            b.etcd->away = true;
            world_run(&b.world, 120000);
            b.etcd->away = false;
            world_run(&b.world, 5000);
            CHECK_STATE(&b.world, b.session, "ACTIVE");
            check_again(&b, before->membership);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
            close_bench(&b);
        }
    }
}

TEST(session_loss, a_rival_that_stays_ends_it)
{
    while (world_next(SEEDS)) {
        struct session_choice choice = AGAIN;
        struct bench b;
        choice.retries = 3;
        open_active(&b, &choice);
        lose(&b, BY_OVERWRITING);
        world_run(&b.world, 60000);
        check_told(&b, "ACTIVE LOST REGISTERING FAILED");
        CHECK_INT(last_event(&b)->status, ROLLCALL_E_RIVAL);
        CHECK(last_event(&b)->disconnected && !last_event(&b)->registered);
        CHECK_BYTES(fake_etcd_find(b.etcd, KEY)->value, RIVAL);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(session_loss, anothers_record_under_our_lease_lives_until_that_ends)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, &AGAIN);
        const int64_t lease_id = our_lease(&b);
        const struct session_event *before = last_event(&b);
        lose(&b, BY_SHARING);
        world_run(&b.world, 4000);
        check_told(&b, "ACTIVE LOST REGISTERING");
        CHECK_BYTES(fake_etcd_find(b.etcd, KEY)->value, RIVAL);
        end_lease(&b, lease_id);
        world_run(&b.world, 4000);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
        check_again(&b, before->membership);
        close_bench(&b);
    }
}

TEST(session_loss, a_fault_takes_our_own_key_over_without_waiting_for_its_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, &AGAIN);
        const int64_t lease_id = our_lease(&b);
        const struct session_event *before = last_event(&b);
        lose(&b, BY_FAULT);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
        CHECK_INT(b.steps.plan[EVICT].seen, 1);
        check_again(&b, before->membership);
        end_lease(&b, lease_id); /* which nobody renews; the new key is not under it */
        world_run(&b.world, 10000);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
        close_bench(&b);
    }
}

static bool is_stopping(const struct bench *b)
{
    return stored_record_read(fake_etcd_find(b->etcd, KEY)->value).stopping;
}

/* Whoever sends it work looks at the record. */
TEST(session_loss, one_that_was_marked_registers_again_marked_from_the_first)
{
    for (enum way way = BY_LEASE; way <= BY_DELETION; way++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_active(&b, &AGAIN);
            mark(&b, 1);
            CHECK(last_event(&b)->stopping);
            for (uint64_t i = 0; i < 2; i++) {
                lose(&b, way);
                world_run(&b.world, 4000);
                CHECK_INT(last_event(&b)->change, 4 + 3 * i);
                CHECK(!change(&b, 1 + 3 * i)->stopping); /* there is no record */
                CHECK(!change(&b, 2 + 3 * i)->stopping);
                CHECK(change(&b, 3 + 3 * i)->stopping);
                CHECK(is_stopping(&b));
                CHECK_INT(fake_etcd_find(b.etcd, KEY)->version, 1); /* it was put so */
                mark(&b, 2 + i);
                CHECK_INT(answer_to(&b, 2 + i), ROLLCALL_OK);
            }
            CHECK_INT(b.steps.plan[MARK].seen, 1);
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 4000);
            CHECK_INT(last_event(&b)->state, ROLLCALL_SESSION_STOPPED);
            CHECK_INT(b.steps.plan[MARK].seen, 1); /* it needs no other */
            close_bench(&b);
        }
    }
}

TEST(session_loss, one_that_was_marked_and_is_restarted_is_not)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, &STOP);
        mark(&b, 1);
        lose(&b, BY_DELETION);
        world_run(&b.world, 4000);
        say(&b, SESSION_RESTART);
        world_run(&b.world, 4000);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
        CHECK(!last_event(&b)->stopping && !is_stopping(&b));
        mark(&b, 2);
        CHECK_INT(answer_to(&b, 2), ROLLCALL_OK);
        CHECK(is_stopping(&b));
        close_bench(&b);
    }
}

TEST(session_loss, a_lease_whose_end_the_watch_sees_first_is_told_as_the_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_active(&b, &STOP);
        end_lease(&b, our_lease(&b));
        check_told(&b, "ACTIVE LOST");
        check_loss(last_event(&b), BY_LEASE);
        CHECK_STATE(&b.world, b.session, "OVER");
        CHECK_INT(b.steps.plan[REVOKE].seen, 0); /* there is nothing to revoke */
        close_bench(&b);
    }
}

/* ---- leaving and restarting in between ---- */

/* CLEARING, for etcd does not answer the revoke. */
static void open_clearing(struct bench *b, const struct session_choice *choice)
{
    open_active(b, choice);
    b->steps.plan[REVOKE].fate = FAKE_ETCD_SILENT;
    lose(b, BY_DELETION);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->session, "CLEARING");
    check_told(b, "ACTIVE LOST");
}

/* Departure asks again when it is restarted. */
static void answer_revoke(struct bench *b)
{
    crash_child(b, b->steps.plan[REVOKE].asker, DEPARTURE_RETRY, ROLLCALL_E_ACTOR);
    world_run(&b->world, 5000);
}

TEST(session_loss, leave_while_the_old_lease_goes_is_stopped_if_it_would_have_gone_on)
{
    static const uint16_t WORDS[] = {SESSION_LEAVE, SESSION_REVOKE};
    for (size_t i = 0; i < 4; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_clearing(&b, i < 2 ? &AGAIN : &STOP);
            if (i >= 2) {
                say(&b, SESSION_RESTART);
            }
            say(&b, WORDS[i % 2]);
            say(&b, SESSION_RESTART); /* too late: it was asked to leave */
            check_told(&b, "ACTIVE LOST STOPPING");
            answer_revoke(&b);
            check_told(&b, "ACTIVE LOST STOPPING STOPPED");
            CHECK_INT(last_event(&b)->status, ROLLCALL_OK);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
    }
}

TEST(session_loss, leave_after_the_loss_that_ended_it_tells_nothing)
{
    for (int clearing = 0; clearing < 2; clearing++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_clearing(&b, &STOP);
            if (!clearing) {
                answer_revoke(&b);
            }
            say(&b, SESSION_LEAVE);
            say(&b, SESSION_REVOKE);
            if (clearing) {
                answer_revoke(&b);
            }
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST");
            CHECK_STATE(&b.world, b.session, "OVER");
            close_bench(&b);
        }
    }
}

TEST(session_loss, a_restart_while_the_old_lease_goes_follows_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_clearing(&b, &STOP);
        const struct session_event *before = last_event(&b);
        say(&b, SESSION_RESTART);
        check_told(&b, "ACTIVE LOST");
        answer_revoke(&b);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
        check_again(&b, before->membership);
        lose(&b, BY_LEASE); /* it was asked for once */
        world_run(&b.world, 10000);
        check_told(&b, "ACTIVE LOST REGISTERING ACTIVE LOST");
        close_bench(&b);
    }
}

TEST(session_loss, leave_at_any_moment_of_registering_again_leaves_nothing_behind)
{
    for (int moment = 0; moment < 40; moment++) {
        while (world_next(10)) {
            struct bench b;
            open_active(&b, &AGAIN);
            lose(&b, world_seed % 2 == 0 ? BY_DELETION : BY_LEASE);
            world_run(&b.world, world_seed % 4 < 2 ? 0 : 1500);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            signal_root(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            const uint64_t count = last_event(&b)->change;
            CHECK_INT(change(&b, count - 2)->state, ROLLCALL_SESSION_STOPPING);
            CHECK_INT(change(&b, count - 1)->state, ROLLCALL_SESSION_STOPPED);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
            close_bench(&b);
        }
    }
}

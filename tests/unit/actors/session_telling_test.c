/* What an application is told that has no room for it: the newest, every loss, and seldom. */
#include "unit/actors/root_world.h"

static void restart_application(struct rollcall_context *cx, void *ref)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)ref);
}

static void release(struct bench *b)
{
    probe_run(b->parent, b->world.rt, restart_application, &b->application_ref);
}

/* It reads nothing any more, and its mailbox is full. */
static void open_stuck(struct bench *b)
{
    open(b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
    world_run(&b->world, 1000);
    rollcall_sim_crash(b->world.sim, b->application_ref, ROLLCALL_E_ACTOR);
    mark(b, 1);
    for (uint64_t i = 2; i < 100; i++) {
        mark(b, i);
    }
    CHECK_STATE(&b->world, b->application_ref, "FAILED");
}

static uint64_t refused(const struct bench *b)
{
    struct rollcall_runtime_stats stats;
    CHECK_INT(rollcall_runtime_stats(b->world.rt, &stats), ROLLCALL_OK);
    return stats.bounced + stats.full;
}

TEST(session_telling, a_loss_that_was_overtaken_is_in_every_event_after_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_stuck(&b);
        const int64_t lease_id = our_lease(&b);
        for (uint64_t losses = 1; losses < 4; losses++) {
            fake_etcd_delete(b.etcd, KEY);
            pump(&b);
            world_run(&b.world, 5000);
            CHECK_STATE(&b.world, b.session, "ACTIVE");
        }
        CHECK_INT(last_event(&b)->losses, 0);
        release(&b);
        world_run(&b.world, 1000);
        const struct session_event *last = last_event(&b);
        CHECK_INT(last->state, ROLLCALL_SESSION_ACTIVE);
        CHECK_INT(last->losses, 3);
        CHECK(last->lost != NULL);
        CHECK_INT(last->lost->state, ROLLCALL_SESSION_LOST);
        CHECK_INT(last->lost->losses, 3);
        CHECK_INT(last->lost->loss, ROLLCALL_LOSS_DELETED);
        CHECK_INT(last->lost->status, ROLLCALL_E_KEY_LOST);
        CHECK(last->lost->lost == NULL); /* they are no chain */
        CHECK(last->lost->sequence < last->sequence);
        CHECK(last->lost->membership->lease_id != lease_id);
        CHECK(last->lost->membership->lease_id != our_lease(&b));
        close_bench(&b);
    }
}

TEST(session_telling, what_has_no_room_is_tried_again_less_and_less_often_up_to_a_bound)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_stuck(&b);
        world_run(&b.world, 5000);
        const uint64_t before = refused(&b);
        world_run(&b.world, 60000);
        CHECK(refused(&b) - before >= 100);
        CHECK(refused(&b) - before <= 60000 / 300);
        release(&b);
        world_run(&b.world, 320); /* the bound */
        CHECK_INT(last_event(&b)->answered, 99);
        close_bench(&b);
    }
}

/* What got through begins from the shortest pause again. */
TEST(session_telling, an_application_that_has_room_again_is_told_soon)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_stuck(&b);
        world_run(&b.world, 5000);
        release(&b);
        world_run(&b.world, 2000 + (int64_t)world_seed * 16);
        const uint64_t before = refused(&b);
        rollcall_sim_crash(b.world.sim, b.application_ref, ROLLCALL_E_ACTOR);
        for (uint64_t i = 100; i < 200; i++) {
            mark(&b, i);
        }
        CHECK(refused(&b) > before);
        release(&b);
        world_run(&b.world, 20);
        CHECK_INT(last_event(&b)->answered, 199);
        close_bench(&b);
    }
}

TEST(session_telling, what_finds_no_memory_is_told_when_there_is_some_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_STOP});
        world_run(&b.world, 1000);
        b.etcd->renews_nothing = true;
        world_memory(&b.world, false);
        world_run(&b.world, TTL_S * 1000);
        CHECK_STATE(&b.world, b.session, "SUSPECT");
        check_told(&b, "ACTIVE");
        world_memory(&b.world, true);
        world_run(&b.world, 320); /* the bound */
        check_told(&b, "ACTIVE SUSPECT");
        close_bench(&b);
    }
}

TEST(session_telling, a_loss_that_finds_no_memory_is_told_once_and_is_in_the_event_after_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_STOP});
        world_run(&b.world, 1000);
        lose(&b, BY_LEASE);
        world_memory(&b.world, false);
        world_run(&b.world, TTL_S * 1000);
        CHECK_STATE(&b.world, b.session, "OVER");
        mark(&b, 1);
        check_told(&b, "ACTIVE");
        world_memory(&b.world, true);
        world_run(&b.world, 320);
        const struct session_event *last = last_event(&b);
        CHECK_INT(last->state, ROLLCALL_SESSION_LOST);
        CHECK_INT(last->answered, 1);
        CHECK(last->lost != NULL);
        CHECK_INT(last->lost->state, ROLLCALL_SESSION_LOST);
        CHECK_INT(last->lost->loss, ROLLCALL_LOSS_LEASE);
        CHECK_INT(last->lost->answered, 0);
        CHECK_INT(last->lost->sequence + 1, last->sequence);
        const size_t told = event_count(&b);
        world_run(&b.world, 60000);
        CHECK_INT(event_count(&b), told);
        close_bench(&b);
    }
}

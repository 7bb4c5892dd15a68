/* LEAVE, REVOKE and RESTART of several threads may overtake each other: the one that was given last
 * is obeyed, and whoever gave another is told an end or a beginning all the same. */
#include "unit/actors/root_world.h"

static const uint16_t OUT[] = {SESSION_LEAVE, SESSION_REVOKE};
enum { OUT_COUNT = 2 };

/* Lost for good: OVER, or, clearing, with the revoke of its lease still to be answered. */
static void open_lost(struct bench *b, bool clearing)
{
    open(b, &(struct session_choice){0});
    world_run(&b->world, 3000);
    b->steps.plan[REVOKE].fate = clearing ? FAKE_ETCD_SILENT : FAKE_ETCD_ANSWER;
    lose(b, BY_DELETION);
    world_run(&b->world, 1000);
    CHECK_STATE(&b->world, b->session, clearing ? "CLEARING" : "OVER");
}

static void give(struct bench *b, uint16_t order, uint64_t number)
{
    signal_numbered(b, order, number);
    world_settle(&b->world);
}

static void answer_revoke(struct bench *b)
{
    crash_child(b, b->steps.plan[REVOKE].asker, DEPARTURE_RETRY, ROLLCALL_E_ACTOR);
    world_run(&b->world, 5000);
}

TEST(session_order, a_restart_that_a_later_stop_overtook_is_stopped_and_registers_nothing)
{
    for (size_t i = 0; i < OUT_COUNT; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_lost(&b, false);
            give(&b, OUT[i], 2);
            check_told(&b, "ACTIVE LOST");
            give(&b, SESSION_RESTART, 1);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST STOPPED");
            CHECK_INT(b.steps.plan[GRANT].seen, 1);
            give(&b, SESSION_RESTART, 3);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST STOPPED REGISTERING ACTIVE");
            close_bench(&b);

            open_lost(&b, true);
            give(&b, OUT[i], 2);
            give(&b, SESSION_RESTART, 1);
            check_told(&b, "ACTIVE LOST STOPPING");
            answer_revoke(&b);
            check_told(&b, "ACTIVE LOST STOPPING STOPPED");
            CHECK_INT(b.steps.plan[GRANT].seen, 1);
            close_bench(&b);
        }
    }
}

TEST(session_order, a_stop_that_a_later_restart_overtook_ends_nothing)
{
    for (size_t i = 0; i < OUT_COUNT; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_lost(&b, false);
            give(&b, SESSION_RESTART, 2);
            give(&b, OUT[i], 1);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
            give(&b, OUT[i], 3);
            world_run(&b.world, 5000);
            check_told(&b, "ACTIVE LOST REGISTERING ACTIVE STOPPING STOPPED");
            close_bench(&b);

            open_lost(&b, true);
            give(&b, SESSION_RESTART, 2);
            give(&b, OUT[i], 1);
            answer_revoke(&b);
            check_told(&b, "ACTIVE LOST REGISTERING ACTIVE");
            close_bench(&b);
        }
    }
}

TEST(session_order, in_the_order_they_were_given_each_is_obeyed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_lost(&b, false);
        give(&b, SESSION_LEAVE, 1);
        signal_numbered(&b, SESSION_RESTART, 2);
        signal_numbered(&b, SESSION_LEAVE, 3);
        world_run(&b.world, 5000);
        check_told(&b, "ACTIVE LOST REGISTERING STOPPING STOPPED");
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

/* A watcher whose application is told all there is, instead of differences. */
#include "support/test.h"
#include "unit/actors/watcher_world.h"

enum { SEEDS = 20 };

static void many(struct bench *b, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char name[32];
        snprintf(name, sizeof name, "node-%d", i);
        put(b, name, i, "2.4.2");
        fake_etcd_pump(b->etcd, b->world.rt); /* each for itself */
        world_settle(&b->world);
    }
}

static void lose_history(struct bench *b)
{
    fake_etcd_break(b->etcd, b->world.rt, ROLLCALL_E_UNAVAILABLE);
    world_settle(&b->world);
    put_text(b, "other", "{}"); /* a revision that nobody was told */
    fake_etcd_compact(b->etcd, b->etcd->revision);
}

static void check_no_marks(const struct bench *b)
{
    CHECK_INT(count_told(b, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    CHECK_INT(count_told(b, ROLLCALL_WATCH_RESYNC_END), 0);
}

TEST(watcher, all_there_is_comes_after_what_was_there_to_be_told_and_before_what_comes_next)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){.slow = true, .all = true});
        world_run(&b.world, 100);
        many(&b, 0, 100);
        delete_key(&b, "node-0");
        flow(&b);
        CHECK_INT(b.listener->count, 0);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 200);
        CHECK_INT(b.listener->all_told, 1);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_ADD), HUB_WINDOW - 1); /* and the snapshot */
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_SESSION), 99);
        check_same(&b, 99);
        many(&b, 1000, 3);
        CHECK_INT(b.listener->all_told, 1);
        check_same(&b, 102);
        check_no_marks(&b);
        bench_close(&b);
    }
}

/* Else an application would take those that it listed before for gone. */
TEST(watcher, from_a_revision_a_lag_is_told_as_a_difference_until_a_list_has_come)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        put(&b, "node-2", 1, "2.4.2");
        watch(&b, &(struct watch_choice){
                      .from_revision = b.etcd->revision + 1, .slow = true, .all = true});
        world_run(&b.world, 100);
        many(&b, 100, 20);
        b.listener->room = SIZE_MAX;
        flow(&b);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
        CHECK_INT(b.listener->all_told, 0);
        check_same(&b, 20);
        lose_history(&b);
        flow(&b);
        CHECK_INT(b.listener->all_told, 1);
        check_same(&b, 22);
        b.listener->room = 0;
        many(&b, 200, 20);
        b.listener->room = SIZE_MAX;
        flow(&b);
        CHECK_INT(b.listener->all_told, 2);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
        check_same(&b, 42);
        bench_close(&b);
    }
}

/* Any of the three, at any step, while all there is is refused at times. */
TEST(watcher, a_crash_while_all_there_is_is_refused_leaves_the_same_told_in_the_end)
{
    for (int who = 0; who < 3; who++) {
        for (int at = 0; at < 30; at++) {
            while (world_next(2)) {
                struct bench b;
                bench_open(&b);
                put(&b, "node-0", 1, "2.4.2");
                watch(&b, &(struct watch_choice){.slow = true, .all = true});
                b.listener->refusal = ROLLCALL_E_TIMEOUT;
                for (int step = 0; step < 30; step++) {
                    const struct rollcall_ref actors[] = {b.hub, b.reflector, b.watcher};
                    if (step == at) {
                        rollcall_sim_crash(b.world.sim, actors[who], ROLLCALL_E_ACTOR);
                    }
                    if (step % 10 == 9) {
                        lose_history(&b);
                    }
                    world_run(&b.world, 20);
                    many(&b, 100 + step, 1);
                    b.listener->refusals = step % 3 == 0 ? 2 : 0;
                    b.listener->room += step % 4 == 0 ? 10 : 0;
                    world_run(&b.world, 20);
                }
                b.listener->room = SIZE_MAX;
                flow(&b);
                flow(&b);
                check_same(&b, 31);
                CHECK(b.listener->all_told > 0);
                check_no_marks(&b);
                bench_close(&b);
            }
        }
    }
}

TEST(watcher, an_error_that_will_not_pass_is_told_as_the_last_even_if_there_is_no_room_at_first)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){.all = true});
        flow(&b);
        b.listener->refusals = 1; /* asked again it would take it in */
        b.listener->refusal = ROLLCALL_E_CORRUPT;
        b.listener->room = 0;
        lose_history(&b);
        flow(&b);
        many(&b, 100, 5);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_FAILED), 0);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 400);
        CHECK_INT(b.listener->all_told, 0);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_ADD), 0);
        const struct told *last = &b.listener->told[b.listener->count - 1];
        CHECK_INT(last->type, ROLLCALL_WATCH_FAILED);
        CHECK_INT(last->status, ROLLCALL_E_CORRUPT);
        CHECK(b.listener->gone);
        many(&b, 200, 1);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_FAILED), 1);
        bench_close(&b);
    }
}

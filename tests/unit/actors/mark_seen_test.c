/* A mark that somebody else put on our record: what liveness sees, the application is told. */
#include "actors/liveness.h"
#include "unit/actors/member_world.h"

#define MARKED                                                                                     \
    "{\"ServerID\":12,\"ServerName\":\"coord\",\"Address\":\"" OUR_ADDRESS                         \
    "\",\"Version\":\"2.4.2\",\"HostName\":\"" OUR_HOST "\",\"Stopping\":true}"

static void open(struct bench *b)
{
    open_member(b);
    const struct liveness_options options = {.session = b->session_ref, .transport = b->etcd->ref};
    spawn_actor(b, &liveness_type, &options);
}

static void open_watching(struct bench *b)
{
    open(b);
    send_mine(b, LIVENESS_START, NULL, 0);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->actor, "WATCHING");
}

static void put(struct bench *b, const char *value)
{
    fake_etcd_put(b->etcd, KEY, value, OUR_LEASE);
    fake_etcd_pump(b->etcd, b->world.rt);
    world_settle(&b->world);
}

static void check_seen(struct bench *b, size_t times, bool stopping)
{
    CHECK_INT(told(b, SESSION_MARK_SEEN), times);
    const struct session_mark_seen *seen =
        probe_payload(probe_find(b->session, SESSION_MARK_SEEN, times - 1));
    CHECK_INT(seen->stopping, stopping);
    CHECK_INT(told(b, SESSION_KEY_LOST), 0);
    CHECK_STATE(&b->world, b->actor, "WATCHING");
}

TEST(mark_seen, each_change_of_it_is_told_once_and_is_no_loss)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        put(&b, OURS);
        CHECK_INT(told(&b, SESSION_MARK_SEEN), 0);
        put(&b, MARKED);
        put(&b, MARKED);
        check_seen(&b, 1, true);
        put(&b, OURS);
        check_seen(&b, 2, false);
        put(&b, MARKED);
        check_seen(&b, 3, true);
        close_bench(&b);
    }
}

/* Before the first look; and a record that was put marked is no news. */
TEST(mark_seen, what_the_record_was_put_as_is_no_change)
{
    for (int as_marked = 0; as_marked < 2; as_marked++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            b.mine->stopping = as_marked;
            fake_etcd_put(b.etcd, KEY, MARKED, OUR_LEASE);
            send_mine(&b, LIVENESS_START, NULL, 0);
            world_settle(&b.world);
            CHECK_INT(told(&b, SESSION_MARK_SEEN), !as_marked);
            put(&b, OURS);
            check_seen(&b, 2 - (size_t)as_marked, false);
            close_bench(&b);
        }
    }
}

/* What it was when the session reads again. */
TEST(mark_seen, a_session_that_does_not_read_is_told_later)
{
    for (int unmarked = 0; unmarked < 2; unmarked++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_watching(&b);
            block_session(&b);
            put(&b, MARKED);
            world_run(&b.world, 1000);
            if (unmarked) {
                put(&b, OURS);
            }
            world_run(&b.world, 1000);
            unblock_session(&b);
            world_run(&b.world, 1000);
            check_seen(&b, 1, !unmarked);
            close_bench(&b);
        }
    }
}

/* The loss overtakes it, and is told once. */
TEST(mark_seen, a_loss_is_told_instead)
{
    for (int reads_again = 0; reads_again < 2; reads_again++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_watching(&b);
            block_session(&b);
            put(&b, MARKED);
            if (reads_again) { /* the mark is to be told again soon */
                unblock_session(&b);
            }
            fake_etcd_delete(b.etcd, KEY);
            fake_etcd_pump(b.etcd, b.world.rt);
            world_settle(&b.world);
            CHECK_STATE(&b.world, b.actor, "LOST");
            if (!reads_again) {
                unblock_session(&b);
            }
            world_run(&b.world, 5000);
            CHECK_INT(told(&b, SESSION_KEY_LOST), 1);
            CHECK_INT(told(&b, SESSION_MARK_SEEN), 0);
            close_bench(&b);
        }
    }
}

TEST(mark_seen, a_restart_tells_what_changed_in_between_and_nothing_else)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_watching(&b);
        put(&b, MARKED);
        check_seen(&b, 1, true);
        for (int changed = 0; changed < 2; changed++) {
            rollcall_sim_crash(b.world.sim, b.actor, ROLLCALL_E_ACTOR);
            world_send(&b.world, b.actor, LIVENESS_RETELL, NULL, 0, NULL);
            world_settle(&b.world);
            fake_etcd_put(b.etcd, KEY, changed ? OURS : MARKED, OUR_LEASE);
            world_run(&b.world, 5000);
            check_seen(&b, changed ? 2 : 1, !changed);
        }
        close_bench(&b);
    }
}

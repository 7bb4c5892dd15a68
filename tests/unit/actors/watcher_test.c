/* What a watch tells of an etcd that works. */
#include "unit/actors/watcher_world.h"

enum { SEEDS = 20 };

/* ---- the snapshot ---- */

TEST(watcher, a_snapshot_then_every_change_in_order)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-2", 1, "2.4.2");
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-3", 1, "2.4.2");
        put(&b, "node-1", 2, "2.4.2");
        delete_key(&b, "node-2");
        put(&b, "node-2", 3, "2.4.2");
        flow(&b);
        check_told(&b, 0, ROLLCALL_WATCH_SNAPSHOT_BEGIN, "");
        check_told(&b, 1, ROLLCALL_WATCH_SESSION, "node-1");
        check_told(&b, 2, ROLLCALL_WATCH_SESSION, "node-2");
        check_told(&b, 3, ROLLCALL_WATCH_SNAPSHOT_END, "");
        check_told(&b, 4, ROLLCALL_WATCH_ADD, "node-3");
        check_told(&b, 5, ROLLCALL_WATCH_UPDATE, "node-1");
        check_told(&b, 6, ROLLCALL_WATCH_DELETE, "node-2");
        check_told(&b, 7, ROLLCALL_WATCH_ADD, "node-2");
        CHECK_INT(b.listener->count, 8);
        CHECK_INT(b.listener->told[3].count, 2);
        CHECK_INT(b.listener->told[3].revision, 3);
        CHECK_INT(b.listener->told[6].mod_revision, 6);
        check_same(&b, 3);
        CHECK_INT(b.etcd->watch_revision, 3); /* one earlier than what is new: watcher.h */
        bench_close(&b);
    }
}

TEST(watcher, an_empty_store_is_an_empty_snapshot)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        world_run(&b.world, 60000);
        CHECK_INT(b.listener->count, 2);
        CHECK_INT(b.listener->told[1].count, 0);
        CHECK_STATE(&b.world, b.reflector, "FOLLOWING");
        bench_close(&b);
    }
}

static enum fake_etcd_fate change_between_pages(struct fake_etcd *etcd,
                                                const struct transport_request *request)
{
    struct bench *b = etcd->user;
    char name[32];
    if (request->range.revision != 0) {
        snprintf(name, sizeof name, "node-%d", (int)etcd->pages); /* one before, one after */
        put(b, name, 7, "2.4.2");
        delete_key(b, "node-16");
    }
    return FAKE_ETCD_ANSWER;
}

TEST(watcher, pages_are_read_at_one_pinned_revision_and_nothing_between_is_missed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        for (int i = 10; i < 17; i++) {
            char name[32];
            snprintf(name, sizeof name, "node-%d", i);
            put(&b, name, 1, "2.4.2");
        }
        const int64_t revision = b.etcd->revision;
        b.etcd->page_max = 2;
        b.etcd->decide = change_between_pages;
        b.etcd->user = &b;
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        CHECK_INT(b.etcd->pages, 4);
        CHECK_INT(b.etcd->page_revisions[0], 0);
        for (int i = 1; i < 4; i++) {
            CHECK_INT(b.etcd->page_revisions[i], revision);
        }
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_SESSION), 7);
        CHECK_INT(b.etcd->watch_revision, revision);
        check_same(&b, 9); /* seven, three put, one deleted */
        bench_close(&b);
    }
}

TEST(watcher, a_list_ends_after_its_snapshot)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){.list_only = true});
        flow(&b);
        put(&b, "node-2", 1, "2.4.2");
        flow(&b);
        CHECK_STATE(&b.world, b.watcher, "OVER");
        CHECK_INT(b.listener->count, 3);
        CHECK_INT(b.etcd->watches_opened, 0);
        bench_close(&b);
    }
}

/* ---- what is told of ---- */

TEST(watcher, only_ROLE_and_ROLE_with_digits_belong_to_a_role)
{
    static const char *const NAMES[] = {"node",    "node-1",  "node-23", "node-x", "node-",
                                        "nodes-1", "node-1x", "node/1",  "node--1"};
    for (int later = 0; later < 2; later++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            for (size_t i = 0; later == 0 && i < sizeof NAMES / sizeof NAMES[0]; i++) {
                put(&b, NAMES[i], 1, "2.4.2");
            }
            watch(&b, &(struct watch_choice){0});
            flow(&b);
            for (size_t i = 0; later == 1 && i < sizeof NAMES / sizeof NAMES[0]; i++) {
                put(&b, NAMES[i], 1, "2.4.2");
            }
            flow(&b);
            check_same(&b, 3);
            CHECK(known_find(b.listener, PREFIX "node") != NULL);
            CHECK(known_find(b.listener, PREFIX "node-1") != NULL);
            CHECK(known_find(b.listener, PREFIX "node-23") != NULL);
            bench_close(&b);
        }
    }
}

TEST(watcher, a_raw_prefix_is_every_key_that_begins_so)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "nodes-1", 1, "2.4.2");
        put(&b, "node-x", 1, "2.4.2");
        watch(&b, &(struct watch_choice){.raw_prefix = true});
        flow(&b);
        check_same(&b, 2);
        bench_close(&b);
    }
}

TEST(watcher, a_version_range_makes_changes_into_adds_and_deletes)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        put(&b, "node-2", 1, "2.2.0");
        watch(&b, &(struct watch_choice){.range = ">=2.3.0"});
        flow(&b);
        CHECK_INT(b.listener->count, 3);
        put(&b, "node-1", 2, "2.2.9"); /* leaves the range */
        put(&b, "node-2", 2, "2.3.0"); /* enters it */
        put(&b, "node-3", 1, "2.0.0");
        delete_key(&b, "node-3"); /* never told */
        flow(&b);
        check_told(&b, 3, ROLLCALL_WATCH_DELETE, "node-1");
        check_told(&b, 4, ROLLCALL_WATCH_ADD, "node-2");
        CHECK_INT(b.listener->count, 5);
        bench_close(&b);
    }
}

TEST(watcher, garbage_is_skipped_and_counted_and_never_fatal)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put_text(&b, "node-1", "{");
        put_text(&b, "node-2", "");
        put(&b, "node-3", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        CHECK_INT(b.listener->count, 3);
        CHECK_INT(b.listener->told[2].count, 1);
        CHECK_INT(b.listener->told[2].skipped, 2);
        put_text(&b, "node-4", "\"nonsense\"");
        put_text(&b, "node-3", "[]"); /* what was a session is none any more */
        put(&b, "node-1", 1, "2.4.2");
        delete_key(&b, "node-2");
        flow(&b);
        check_told(&b, 3, ROLLCALL_WATCH_DELETE, "node-3");
        check_told(&b, 4, ROLLCALL_WATCH_ADD, "node-1");
        CHECK_INT(b.listener->count, 5);
        CHECK_STATE(&b.world, b.reflector, "FOLLOWING");
        bench_close(&b);
    }
}

TEST(watcher, a_delete_tells_the_last_known_record_without_help_from_etcd)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        b.etcd->forgets_previous = true;
        put(&b, "node-1", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-1", 2, "2.4.2");
        delete_key(&b, "node-1");
        flow(&b);
        check_told(&b, 4, ROLLCALL_WATCH_DELETE, "node-1");
        CHECK(strstr(b.listener->told[4].value, "\"a2\"") != NULL);
        bench_close(&b);
    }
}

TEST(watcher, the_end_of_a_lease_deletes_all_its_keys_in_one_revision)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        put(&b, "node-2", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        fake_etcd_delete_two(b.etcd, PREFIX "node-1", PREFIX "node-2");
        flow(&b);
        check_told(&b, 4, ROLLCALL_WATCH_DELETE, "node-1");
        check_told(&b, 5, ROLLCALL_WATCH_DELETE, "node-2");
        CHECK_INT(b.listener->told[4].mod_revision, b.listener->told[5].mod_revision);
        bench_close(&b);
    }
}

/* ---- from a revision ---- */

TEST(watcher, from_a_revision_there_is_no_snapshot_but_every_change_since)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2"); /* 2 */
        put(&b, "node-2", 1, "2.4.2"); /* 3 */
        delete_key(&b, "node-1");      /* 4 */
        watch(&b, &(struct watch_choice){.from_revision = 3});
        flow(&b);
        CHECK_INT(b.listener->count, 2);
        check_told(&b, 0, ROLLCALL_WATCH_ADD, "node-2");
        check_told(&b, 1, ROLLCALL_WATCH_DELETE, "node-1");
        CHECK(strstr(b.listener->told[1].value, "\"a1\"") != NULL);
        CHECK_INT(b.etcd->pages, 0);
        bench_close(&b);
    }
}

TEST(watcher, a_delete_of_what_nobody_knows_is_not_told)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        b.etcd->forgets_previous = true;
        put(&b, "node-1", 1, "2.4.2");
        delete_key(&b, "node-1");
        put(&b, "node-2", 1, "2.4.2");
        watch(&b, &(struct watch_choice){.from_revision = 3});
        flow(&b);
        CHECK_INT(b.listener->count, 1);
        check_told(&b, 0, ROLLCALL_WATCH_ADD, "node-2");
        bench_close(&b);
    }
}

/* ---- the end ---- */

TEST(watcher, an_etcd_that_never_answers_is_told_once_as_a_failure)
{
    for (int64_t from = 0; from <= 5; from += 5) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            b.etcd->away = true;
            watch(&b, &(struct watch_choice){.from_revision = from});
            world_run(&b.world, 4999);
            CHECK_INT(b.listener->count, 0);
            world_run(&b.world, 20000);
            CHECK_INT(b.listener->count, 1);
            check_told(&b, 0, ROLLCALL_WATCH_FAILED, "");
            CHECK_INT(b.listener->told[0].status, ROLLCALL_E_UNAVAILABLE);
            CHECK_STATE(&b.world, b.watcher, "OVER");
            bench_close(&b);
        }
    }
}

static enum fake_etcd_fate deny(struct fake_etcd *etcd, const struct transport_request *request)
{
    (void)request;
    etcd->refusal = ROLLCALL_E_DENIED;
    return FAKE_ETCD_REFUSE;
}

TEST(watcher, what_will_not_pass_is_told_once_as_a_failure)
{
    for (int following = 0; following < 2; following++) {
        while (world_next(SEEDS)) {
            struct bench b;
            bench_open(&b);
            b.etcd->decide = following ? NULL : deny;
            watch(&b, &(struct watch_choice){0});
            flow(&b);
            if (following) {
                fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_DENIED);
            }
            world_run(&b.world, 20000);
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_FAILED), 1);
            CHECK_INT(b.listener->told[b.listener->count - 1].status, ROLLCALL_E_DENIED);
            CHECK_STATE(&b.world, b.watcher, "OVER");
            bench_close(&b);
        }
    }
}

/* Each refusal comes before the timer of the incarnation that it ends. */
TEST(watcher, an_etcd_that_refuses_at_once_is_no_contact_in_time_too)
{
    while (world_next(5 * SEEDS)) {
        struct bench b;
        bench_open(&b);
        b.etcd->away = true;
        watch(&b, &(struct watch_choice){0});
        world_run(&b.world, 6100); /* the connect timeout, a backoff, and a little */
        CHECK_STATE(&b.world, b.watcher, "OVER");
        CHECK_INT(b.listener->count, 1);
        bench_close(&b);
    }
}

TEST(watcher, an_etcd_that_is_away_after_contact_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        b.etcd->away = true;
        fake_etcd_pump(b.etcd, b.world.rt);
        world_run(&b.world, 60000);
        CHECK(b.etcd->watches_opened >= 50 && b.etcd->watches_opened <= 140);
        b.etcd->away = false;
        put(&b, "node-1", 1, "2.4.2");
        flow(&b);
        CHECK_INT(b.listener->count, 3);
        check_told(&b, 2, ROLLCALL_WATCH_ADD, "node-1");
        bench_close(&b);
    }
}

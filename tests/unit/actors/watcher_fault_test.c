/* What a watch tells when the stream breaks, history is gone, the application is slow, or it
 * crashes itself: the same, or the difference. */
#include "unit/actors/watcher_world.h"

enum { SEEDS = 20, SCRIPT_STEPS = 12 };

/* ---- a script of changes, told whole whatever happens in between ---- */

static void change(struct bench *b, int step)
{
    switch (step % SCRIPT_STEPS) {
    case 0:
    case 5:
        put(b, "node-1", step, "2.4.2");
        break;
    case 1:
    case 8:
        put(b, "node-2", step, "2.4.2");
        break;
    case 2:
    case 10:
        delete_key(b, "node-3");
        break;
    case 3:
        put(b, "node-3", step, "2.4.2");
        break;
    case 4:
        put_text(b, "node-4", "{");
        break;
    case 6:
        put(b, "node-4", step, "2.4.2");
        break;
    case 7:
        fake_etcd_delete_two(b->etcd, PREFIX "node-1", PREFIX "node-2");
        break;
    case 9:
        put(b, "other-1", step, "2.4.2");
        break;
    default:
        put(b, "node-1", step, "2.4.2");
        break;
    }
}

static size_t wanted(const struct bench *b)
{
    static const char *const NAMES[] = {"node-1", "node-2", "node-3", "node-4"};
    size_t count = 0;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, PREFIX "%s", NAMES[i]);
        const struct transport_kv *kv = fake_etcd_find(b->etcd, key);
        count += kv != NULL && kv->value.size_bytes > 10;
    }
    return count;
}

/* The events but for the snapshot's and resync's marks, as one text. */
static void write_events(const struct bench *b, char *text, size_t size_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < b->listener->count; i++) {
        const struct told *told = &b->listener->told[i];
        if (told->key[0] != '\0' && used < size_bytes) {
            used +=
                (size_t)snprintf(text + used, size_bytes - used, "%d %s %" PRId64 "\n",
                                 (int)told->type, told->key + strlen(PREFIX), told->mod_revision);
        }
    }
}

enum fault {
    NO_FAULT,
    NO_MEMORY,
    BREAK,
    REPEAT,
    REPEAT_AND_BREAK,
    CRASH_WATCHER,
    CRASH_HUB,
    CRASH_REFLECTOR
};

/* Twice through the script, a fault before step `at`, or, of NO_MEMORY, at that allocation; every
 * third change waits for the next two. */
static void run_script(struct bench *b, enum fault fault, int at, char *text, size_t size_bytes)
{
    bench_open(b);
    b->etcd->revisions_per_response = fault == REPEAT || fault == REPEAT_AND_BREAK ? 3 : 2;
    b->etcd->repeats = fault == REPEAT || fault == REPEAT_AND_BREAK;
    if (fault == NO_MEMORY) {
        world_memory_fails_at(&b->world, (uint64_t)at);
    }
    watch(b, &(struct watch_choice){0});
    flow(b);
    for (int step = 0; step < 2 * SCRIPT_STEPS; step++) {
        if (step == at && (fault == BREAK || fault == REPEAT_AND_BREAK)) {
            fake_etcd_break(b->etcd, b->world.rt, ROLLCALL_E_UNAVAILABLE);
        } else if (step == at && fault >= CRASH_WATCHER) {
            const struct rollcall_ref actors[] = {b->watcher, b->hub, b->reflector};
            rollcall_sim_crash(b->world.sim, actors[fault - CRASH_WATCHER], ROLLCALL_E_ACTOR);
        }
        change(b, step);
        if (step % 3 == 2) {
            flow(b);
        }
    }
    flow(b);
    check_same(b, wanted(b));
    write_events(b, text, size_bytes);
}

static void check_script(enum fault fault)
{
    char expected[4096], text[4096];
    for (int at = 0; at < 2 * SCRIPT_STEPS; at++) {
        while (world_next(fault == NO_FAULT ? SEEDS : 5)) {
            struct bench b;
            run_script(&b, NO_FAULT, 0, expected, sizeof expected);
            bench_close(&b);
            run_script(&b, fault, at, text, sizeof text);
            CHECK_STR(text, expected);
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
            const bool again = fault == BREAK || fault == REPEAT_AND_BREAK;
            CHECK(fault >= CRASH_WATCHER || b.etcd->watches_opened == (again ? 2 : 1));
            bench_close(&b);
        }
    }
}

TEST(watcher, a_broken_stream_resumes_after_the_last_told_with_nothing_twice_and_nothing_missing)
{
    check_script(BREAK);
}

TEST(watcher, a_crash_while_following_changes_nothing_that_is_told)
{
    check_script(CRASH_WATCHER);
    check_script(CRASH_HUB);
    check_script(CRASH_REFLECTOR);
}

TEST(watcher, what_etcd_repeats_is_told_once)
{
    check_script(REPEAT);
    check_script(REPEAT_AND_BREAK);
}

TEST(watcher, resumes_at_the_revision_after_the_last_told)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        for (int step = 0; step < 4; step++) {
            change(&b, step);
        }
        flow(&b);
        const int64_t told = b.etcd->revision;
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        flow(&b);
        CHECK_INT(b.etcd->watch_revision, told); /* and what comes of it again is dropped */
        CHECK_INT(b.etcd->pages, 1);
        bench_close(&b);
    }
}

/* A crash after every number of scheduling steps, from the first on. */
TEST(watcher, a_crash_at_any_moment_leaves_the_same_told_in_the_end)
{
    for (int moment = 0; moment < 120; moment++) {
        while (world_next(2)) {
            struct bench b;
            bench_open(&b);
            b.etcd->page_max = 2;
            for (int step = 0; step < 9; step++) {
                change(&b, step);
            }
            watch(&b, &(struct watch_choice){0});
            for (int step = 0; step < moment; step++) {
                if (step % 4 == 3) {
                    change(&b, step);
                    fake_etcd_pump(b.etcd, b.world.rt);
                }
                if (!rollcall_sim_step(b.world.sim)) {
                    break;
                }
            }
            rollcall_sim_crash(b.world.sim, b.watcher, ROLLCALL_E_ACTOR);
            flow(&b);
            change(&b, 3);
            flow(&b);
            flow(&b);
            check_same(&b, wanted(&b));
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_SNAPSHOT_BEGIN), 1);
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_SNAPSHOT_END), 1);
            bench_close(&b);
        }
    }
}

/* Each of its allocations in turn. */
TEST(watcher, an_allocation_that_fails_leaves_the_same_told_in_the_end)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(2)) {
            char expected[4096], text[4096];
            struct bench b;
            run_script(&b, NO_FAULT, 0, expected, sizeof expected);
            bench_close(&b);
            run_script(&b, NO_MEMORY, (int)nth, text, sizeof text);
            failed = world_memory_failed(&b.world);
            CHECK_STR(text, expected);
            CHECK_INT(b.listener->told[count_told(&b, ROLLCALL_WATCH_SESSION) + 1].skipped, 0);
            CHECK(!b.listener->gone);
            bench_close(&b);
        }
        CHECK(nth > 1 || failed);
    }
}

/* ---- history that is gone ---- */

TEST(watcher, a_compaction_is_told_as_a_resync_with_exactly_the_difference)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2");
        put(&b, "node-2", 1, "2.4.2");
        put(&b, "node-3", 1, "2.4.2");
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        world_settle(&b.world);
        put(&b, "node-2", 2, "2.4.2"); /* while nobody watches */
        delete_key(&b, "node-3");
        put(&b, "node-4", 1, "2.4.2");
        put(&b, "node-5", 1, "2.4.2");
        delete_key(&b, "node-5");
        fake_etcd_compact(b.etcd, b.etcd->revision);
        flow(&b);
        check_told(&b, 5, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        check_told(&b, 6, ROLLCALL_WATCH_UPDATE, "node-2");
        check_told(&b, 7, ROLLCALL_WATCH_DELETE, "node-3");
        check_told(&b, 8, ROLLCALL_WATCH_ADD, "node-4");
        check_told(&b, 9, ROLLCALL_WATCH_RESYNC_END, "");
        CHECK_INT(b.listener->count, 10);
        CHECK_INT(b.listener->told[5].status, ROLLCALL_E_COMPACTED);
        CHECK(strstr(b.listener->told[5].reason, "etcd has compacted") != NULL);
        CHECK_INT(b.listener->told[9].count, 3);
        put(&b, "node-1", 2, "2.4.2");
        flow(&b);
        check_told(&b, 10, ROLLCALL_WATCH_UPDATE, "node-1");
        check_same(&b, 3);
        bench_close(&b);
    }
}

enum { RESTORED_MS = 7000 }; /* by then it is no member that lags */

TEST(watcher, an_etcd_that_was_restored_is_listed_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2"); /* 2 */
        put(&b, "node-2", 1, "2.4.2"); /* 3 */
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-1", 2, "2.4.2"); /* 4 */
        put(&b, "node-3", 1, "2.4.2"); /* 5 */
        flow(&b);
        fake_etcd_restore(b.etcd, 4);
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        flow(&b);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_END), 0); /* it may be a member that lags */
        world_run(&b.world, RESTORED_MS);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_END), 1);
        check_told(&b, 6, ROLLCALL_WATCH_RESYNC_BEGIN, "");
        CHECK_INT(b.listener->told[6].status, ROLLCALL_E_COMPACTED);
        CHECK(strstr(b.listener->told[6].reason, "it was restored or set up anew") != NULL);
        check_same(&b, 2);
        put(&b, "node-4", 1, "2.4.2"); /* 5 again, and another one */
        flow(&b);
        check_same(&b, 3);
        bench_close(&b);
    }
}

/* What the hub knew is of a later revision than the list, so no revision tells that it lacks it. */
TEST(watcher, a_list_that_is_lost_in_a_crash_is_made_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2"); /* 2 */
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-2", 1, "2.4.2"); /* 3 */
        put(&b, "node-3", 1, "2.4.2"); /* 4 */
        flow(&b);
        CHECK_INT(rollcall_failpoints_arm(b.world.rt, "hub/HUB_LISTED=crash@1", NULL), ROLLCALL_OK);
        fake_etcd_restore(b.etcd, 2);
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        flow(&b);
        world_run(&b.world, 2 * RESTORED_MS);
        CHECK_INT(rollcall_failpoints_clear(b.world.rt), ROLLCALL_OK);
        check_same(&b, 1);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_END), 1);
        bench_close(&b);
    }
}

TEST(watcher, a_restored_etcd_may_hold_something_else_at_the_same_revision)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2"); /* 2 */
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-2", 1, "2.4.2"); /* 3 */
        put(&b, "node-3", 1, "2.4.2"); /* 4 */
        put(&b, "node-4", 1, "2.4.2"); /* 5 */
        flow(&b);
        fake_etcd_restore(b.etcd, 1);
        put(&b, "node-1", 9, "2.4.2"); /* 2 again */
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        flow(&b);
        world_run(&b.world, RESTORED_MS);
        check_same(&b, 1);
        bench_close(&b);
    }
}

/* The check of whether etcd was restored is one more moment at which it may crash, and be lost. */
TEST(watcher, a_crash_while_a_member_lags_behind_costs_no_resync)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        put(&b, "node-1", 1, "2.4.2"); /* 2 */
        watch(&b, &(struct watch_choice){0});
        flow(&b);
        put(&b, "node-2", 1, "2.4.2"); /* 3 */
        put(&b, "node-3", 1, "2.4.2"); /* 4 */
        flow(&b);
        b.etcd->revision = 2; /* as a member that lags says */
        fake_etcd_break(b.etcd, b.world.rt, ROLLCALL_E_UNAVAILABLE);
        flow(&b);
        rollcall_sim_crash(b.world.sim, b.reflector, ROLLCALL_E_ACTOR);
        flow(&b);
        b.etcd->revision = 4;
        world_run(&b.world, RESTORED_MS);
        put(&b, "node-4", 1, "2.4.2");
        flow(&b);
        check_told(&b, b.listener->count - 1, ROLLCALL_WATCH_ADD, "node-4");
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
        check_same(&b, 4);
        bench_close(&b);
    }
}

/* ---- a slow application ---- */

static void many(struct bench *b, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char name[32];
        snprintf(name, sizeof name, "node-%d", i);
        put(b, name, 1, "2.4.2");
    }
}

/* Each for itself, as a slow store of changes would. */
static void many_batches(struct bench *b, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        many(b, i, 1);
        fake_etcd_pump(b->etcd, b->world.rt);
        world_settle(&b->world);
    }
}

/* What it had room for is told as it was; the rest as one difference, whatever came meanwhile. */
TEST(watcher, a_slow_application_is_told_what_it_has_room_for_and_then_the_difference)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){.slow = true});
        world_run(&b.world, 100);
        many_batches(&b, 0, 100);
        delete_key(&b, "node-0");
        flow(&b);
        CHECK_INT(b.listener->count, 0);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 100);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
        CHECK_INT(b.listener->told[2 + HUB_WINDOW - 1].type, ROLLCALL_WATCH_RESYNC_BEGIN);
        CHECK_INT(b.listener->told[2 + HUB_WINDOW - 1].status, ROLLCALL_E_FULL);
        check_same(&b, 99);
        many_batches(&b, 1000, 3);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
        check_same(&b, 102);
        CHECK_INT(b.etcd->watches_opened, 1);
        CHECK(b.etcd->unacknowledged_max <= REFLECTOR_WINDOW);
        bench_close(&b);
    }
}

/* However long one does not read, another is told at once. */
TEST(watcher, a_slow_application_delays_no_other_of_the_same_range)
{
    while (world_next(SEEDS)) {
        struct bench b;
        bench_open(&b);
        watch(&b, &(struct watch_choice){.slow = true});
        struct listener *other = listener_create();
        spawn_watcher(&b, other, &(struct watch_choice){0});
        world_run(&b.world, 100);
        for (int i = 0; i < 100; i++) {
            many_batches(&b, i, 1);
            CHECK_INT(other->count, 2 + i + 1);
        }
        CHECK_INT(b.etcd->watches_opened, 1);
        bench_close(&b);
        rollcall_object_drop(&other->object);
    }
}

/* Whoever of the three crashes, and when: with room for a few events at a time. */
TEST(watcher, a_crash_while_the_application_is_slow_loses_and_repeats_nothing)
{
    for (int who = 0; who < 3; who++) {
        for (int at = 0; at < 40; at++) {
            while (world_next(2)) {
                struct bench b;
                bench_open(&b);
                many(&b, 0, 10);
                watch(&b, &(struct watch_choice){.slow = true});
                for (int step = 0; step < 40; step++) {
                    const struct rollcall_ref actors[] = {b.hub, b.reflector, b.watcher};
                    if (step == at) {
                        rollcall_sim_crash(b.world.sim, actors[who], ROLLCALL_E_ACTOR);
                    }
                    put(&b, "node-3", step, "2.4.2");
                    many_batches(&b, 100 + step, 1);
                    b.listener->room += step % 2 == 0 ? 12 : 0;
                    world_run(&b.world, 20);
                }
                b.listener->room = SIZE_MAX;
                flow(&b);
                check_same(&b, 50);
                bench_close(&b);
            }
        }
    }
}

TEST(watcher, a_snapshot_interrupted_by_a_crash_counts_all_its_sessions)
{
    for (size_t room = 0; room < 302; room += 50) {
        while (world_next(5)) {
            struct bench b;
            bench_open(&b);
            many(&b, 0, 300);
            watch(&b, &(struct watch_choice){.slow = true});
            b.listener->room = room;
            world_run(&b.world, 100);
            rollcall_sim_crash(b.world.sim, b.watcher, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
            b.listener->room = SIZE_MAX;
            world_run(&b.world, 1000);
            check_same(&b, 300);
            CHECK_INT(count_told(&b, ROLLCALL_WATCH_SESSION), 300);
            const struct told *end = &b.listener->told[b.listener->count - 1];
            CHECK_INT(end->type, ROLLCALL_WATCH_SNAPSHOT_END);
            CHECK_INT(end->count, 300);
            bench_close(&b);
        }
    }
}

/* It is of one revision, however long it takes; what has changed since comes after it. */
TEST(watcher, a_snapshot_that_takes_its_time_is_of_one_revision)
{
    while (world_next(5)) {
        struct bench b;
        bench_open(&b);
        many(&b, 1000, 300);
        watch(&b, &(struct watch_choice){.slow = true});
        b.listener->room = 100;
        world_run(&b.world, 100);
        CHECK(b.listener->count > 0 && b.listener->count < 301);
        put(&b, "node-1003", 2, "2.4.2");
        delete_key(&b, "node-1299");
        flow(&b);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 1000);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_SESSION), 300);
        check_told(&b, 301, ROLLCALL_WATCH_SNAPSHOT_END, "");
        check_told(&b, 302, ROLLCALL_WATCH_UPDATE, "node-1003");
        check_told(&b, 303, ROLLCALL_WATCH_DELETE, "node-1299");
        check_same(&b, 299);
        bench_close(&b);
    }
}

TEST(watcher, a_failure_is_told_even_if_there_was_no_room_at_first)
{
    while (world_next(5)) {
        struct bench b;
        bench_open(&b);
        b.etcd->away = true;
        watch(&b, &(struct watch_choice){.slow = true});
        world_run(&b.world, 20000);
        CHECK_INT(b.listener->count, 0);
        b.listener->room = SIZE_MAX;
        world_run(&b.world, 1000);
        CHECK_INT(count_told(&b, ROLLCALL_WATCH_FAILED), 1);
        CHECK_INT(b.listener->count, 1);
        bench_close(&b);
    }
}

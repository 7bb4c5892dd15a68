/* An auditor between a hub that was not told all and an etcd that holds it. */
#include "unit/actors/watcher_world.h"

enum { SEEDS = 10, AUDIT_MS = 10000, AUDITS_MS = 3 * AUDIT_MS };

static void begin(struct bench *b)
{
    bench_open(b);
    put(b, "node-1", 1, "2.4.2");
    put(b, "node-2", 1, "2.4.2");
    watch(b, &(struct watch_choice){.audit_ms = AUDIT_MS});
    flow(b);
    check_same(b, 2);
}

/* One change that the watch is never told; *wanted: sessions that there are after it. */
static void lose_one(struct bench *b, int kind, size_t *wanted)
{
    if (kind == 0) {
        put(b, "node-3", 1, "2.4.2");
    } else if (kind == 1) {
        put(b, "node-2", 2, "2.4.2");
    } else {
        delete_key(b, "node-2");
    }
    *wanted = kind == 0 ? 3 : kind == 1 ? 2 : 1;
}

static void check_repaired(const struct bench *b, size_t wanted)
{
    const size_t last = b->listener->count - 1;
    CHECK_INT(count_told(b, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
    for (size_t i = 0; i <= last; i++) {
        CHECK(b->listener->told[i].type != ROLLCALL_WATCH_RESYNC_BEGIN ||
              b->listener->told[i].status == ROLLCALL_E_CORRUPT);
    }
    check_same(b, wanted);
}

static void check_quiet(const struct bench *b, uint64_t watches_opened)
{
    CHECK_INT(count_told(b, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    CHECK_INT(b->etcd->watches_opened, watches_opened);
}

TEST(auditor, a_change_that_was_lost_before_others_were_told_is_told_as_a_resync_once)
{
    for (int kind = 0; kind < 3; kind++) {
        while (world_next(SEEDS)) {
            struct bench b;
            size_t wanted;
            begin(&b);
            lose_one(&b, kind, &wanted);
            fake_etcd_lose(b.etcd);
            put(&b, "node-9", 1, "2.4.2");
            flow(&b);
            CHECK_INT(b.listener->told[b.listener->count - 1].type, ROLLCALL_WATCH_ADD);
            world_run(&b.world, AUDITS_MS);
            check_repaired(&b, wanted + 1);
            world_run(&b.world, 2 * AUDITS_MS);
            check_repaired(&b, wanted + 1);
            put(&b, "node-1", 2, "2.4.2");
            flow(&b);
            check_same(&b, wanted + 1);
            bench_close(&b);
        }
    }
}

/* Nothing is told after it: the watch may be dead. */
TEST(auditor, a_change_that_is_not_told_is_told_by_the_next_watch_and_costs_no_resync)
{
    for (int kind = 0; kind < 3; kind++) {
        while (world_next(SEEDS)) {
            struct bench b;
            size_t wanted;
            begin(&b);
            lose_one(&b, kind, &wanted);
            fake_etcd_lose(b.etcd);
            flow(&b);
            world_run(&b.world, AUDITS_MS);
            check_same(&b, wanted);
            world_run(&b.world, AUDITS_MS);
            check_quiet(&b, 2);
            bench_close(&b);
        }
    }
}

TEST(auditor, what_no_watch_ever_tells_is_told_as_a_resync_in_the_end)
{
    for (int kind = 0; kind < 3; kind++) {
        while (world_next(SEEDS)) {
            struct bench b;
            size_t wanted;
            begin(&b);
            lose_one(&b, kind, &wanted);
            b.etcd->hidden_revision = b.etcd->revision;
            flow(&b);
            world_run(&b.world, 3 * AUDITS_MS);
            check_repaired(&b, wanted);
            CHECK_INT(b.etcd->watches_opened, 4); /* two others were tried before */
            bench_close(&b);
        }
    }
}

/* The audit sees a change of which the watch is told a moment later. */
TEST(auditor, what_is_on_its_way_is_no_cause_for_anything)
{
    while (world_next(SEEDS)) {
        struct bench b;
        begin(&b);
        for (int round = 0; round < 4; round++) {
            const uint64_t pages = b.etcd->pages;
            put(&b, "node-3", round, "2.4.2");
            while (b.etcd->pages == pages) {
                world_run(&b.world, 100);
            }
            world_run(&b.world, 2500);
            flow(&b);
            check_same(&b, 3);
            world_run(&b.world, AUDIT_MS / 2);
        }
        check_quiet(&b, 1);
        bench_close(&b);
    }
}

TEST(auditor, garbage_and_the_keys_of_other_roles_are_not_missed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        begin(&b);
        put_text(&b, "node-3", "garbage");
        put_text(&b, "node-2", "garbage, where there was a record");
        put(&b, "nodebody-1", 1, "2.4.2");
        flow(&b);
        world_run(&b.world, 2 * AUDITS_MS);
        check_quiet(&b, 1);
        for (int second = 0; second < 40; second++) { /* the hub is told something in each audit */
            put(&b, "node-1", second, "2.4.2");
            flow(&b);
        }
        check_quiet(&b, 1);
        put(&b, "node-3", 1, "2.4.2");
        fake_etcd_lose(b.etcd);
        world_run(&b.world, 2 * AUDITS_MS);
        check_quiet(&b, 2);
        CHECK_INT(b.listener->known_count, 2); /* node-1 and -3 */
        bench_close(&b);
    }
}

static enum fake_etcd_fate change_between_pages(struct fake_etcd *etcd,
                                                const struct transport_request *request)
{
    char key[64], value[TEXT_BYTES];
    const int id = (int)(etcd->calls % 12);
    if (request->kind != TRANSPORT_RANGE || etcd->watches_opened == 0) {
        return FAKE_ETCD_ANSWER;
    }
    snprintf(key, sizeof key, PREFIX "node-%d", id);
    snprintf(value, sizeof value, "{\"ServerID\":1,\"ServerName\":\"node\",\"Address\":\"a%d\"}",
             (int)etcd->calls);
    if (etcd->calls % 5 == 0) {
        fake_etcd_delete(etcd, key);
    } else {
        fake_etcd_put(etcd, key, value, 0);
    }
    return FAKE_ETCD_ANSWER;
}

static bool pages_are_pinned(const struct bench *b)
{
    bool pinned = false;
    for (size_t i = 0; i < 16; i++) {
        pinned |= b->etcd->page_revisions[i] != 0;
    }
    return pinned;
}

TEST(auditor, changes_between_its_pages_are_no_difference)
{
    while (world_next(SEEDS)) {
        struct bench b;
        begin(&b);
        b.etcd->page_max = 2;
        b.etcd->decide = change_between_pages;
        world_run(&b.world, 6 * AUDITS_MS);
        CHECK(b.etcd->pages > 30);
        CHECK(pages_are_pinned(&b));
        check_quiet(&b, 1);
        b.etcd->decide = NULL;
        flow(&b);
        check_same(&b, b.listener->known_count);
        bench_close(&b);
    }
}

/* Refused by etcd, or not answered at all. */
static enum fake_etcd_fate spoil(struct fake_etcd *etcd, const struct transport_request *request)
{
    if (request->kind != TRANSPORT_RANGE || etcd->watches_opened == 0) {
        return FAKE_ETCD_ANSWER;
    }
    etcd->refusal = ROLLCALL_E_COMPACTED;
    return *(enum fake_etcd_fate *)etcd->user;
}

TEST(auditor, where_it_cannot_read_it_tries_again_at_the_next_audit)
{
    static enum fake_etcd_fate fates[] = {FAKE_ETCD_REFUSE, FAKE_ETCD_SILENT};
    for (size_t i = 0; i < sizeof fates / sizeof fates[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            begin(&b);
            b.etcd->user = &fates[i];
            b.etcd->decide = spoil;
            put(&b, "node-3", 1, "2.4.2");
            fake_etcd_lose(b.etcd);
            put(&b, "node-9", 1, "2.4.2");
            flow(&b);
            world_run(&b.world, 2 * AUDITS_MS);
            check_quiet(&b, 1);
            b.etcd->decide = NULL;
            world_run(&b.world, 3 * AUDITS_MS);
            check_repaired(&b, 4);
            bench_close(&b);
        }
    }
}

static void crash_one(const struct bench *b, int which)
{
    const struct rollcall_ref mortal[] = {b->auditor, b->hub, b->reflector, b->watcher};
    rollcall_sim_crash(b->world.sim, mortal[which % 4], ROLLCALL_E_ACTOR);
}

/* A crash of each actor after every number of steps of an audit. */
TEST(auditor, a_crash_at_any_moment_of_an_audit_leaves_the_same_told_in_the_end)
{
    for (int moment = 0; moment < 160; moment++) {
        while (world_next(1)) {
            struct bench b;
            size_t wanted;
            begin(&b);
            lose_one(&b, moment % 3, &wanted);
            fake_etcd_lose(b.etcd);
            put(&b, "node-9", 1, "2.4.2");
            flow(&b);
            for (int step = 0; step < moment / 4; step++) {
                if (!rollcall_sim_step(b.world.sim)) {
                    world_run(&b.world, 50);
                }
            }
            crash_one(&b, moment);
            world_run(&b.world, 3 * AUDITS_MS);
            check_same(&b, wanted + 1);
            bench_close(&b);
        }
    }
}

TEST(auditor, an_allocation_that_fails_leaves_the_same_told_in_the_end)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(1)) {
            struct bench b;
            size_t wanted;
            begin(&b);
            put_text(&b, "node-7", "garbage");
            lose_one(&b, (int)nth % 3, &wanted);
            fake_etcd_lose(b.etcd);
            put(&b, "node-9", 1, "2.4.2");
            flow(&b);
            world_memory_fails_at(&b.world, nth);
            world_run(&b.world, 3 * AUDITS_MS);
            failed = world_memory_failed(&b.world);
            world_memory(&b.world, true);
            check_same(&b, wanted + 1);
            bench_close(&b);
        }
    }
}

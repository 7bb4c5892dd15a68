/* Server IDs for many askers: each its own or one for all, above what is in use, few transactions,
 * errors answered, restarts unnoticed. */
#include "unit/actors/allocator_world.h"

TEST(allocator, many_askers_get_different_ids_with_few_transactions)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        ask(&b, ASKERS, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, ASKERS, 1, ASKERS);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "13");
        CHECK(b.takes <= ASKERS);
        close_bench(&b);
    }
}

TEST(allocator, askers_of_several_roots_are_all_served_from_their_own_key)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        for (int i = 0; i < 3; i++) {
            ask(&b, 1, "one");
            ask(&b, 1, "two");
        }
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 6);
        CHECK_BYTES(fake_etcd_find(b.etcd, "one/session/id")->value, "4");
        CHECK_BYTES(fake_etcd_find(b.etcd, "two/session/id")->value, "4");
        CHECK_STATE(&b.world, b.allocator, "IDLE");
        close_bench(&b);
    }
}

TEST(allocator, lost_races_are_run_again_after_a_pause)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.before = another_takes_one;
        b.last_take = 4;
        ask(&b, 3, SESSION_ROOT);
        world_settle(&b.world);
        world_run(&b.world, 2000);
        check_ids(&b, 3, 6, 8);
        close_bench(&b);
    }
}

TEST(allocator, an_endless_race_is_no_storm)
{
    while (world_next(3)) {
        struct bench b;
        open(&b);
        b.before = another_takes_one;
        b.last_take = SIZE_MAX;
        ask(&b, 1, SESSION_ROOT);
        world_run(&b.world, 60000);
        CHECK(b.takes >= 200 && b.takes <= 700);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 0);
        close_bench(&b);
    }
}

TEST(allocator, an_answer_that_was_lost_skips_its_ids_and_is_told_as_an_error)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.fate = FAKE_ETCD_LOSE_ANSWER;
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        CHECK_INT(answered(&b, 0).status, ROLLCALL_E_TIMEOUT);
        CHECK(probe_find(b.asker, ASKER_ANSWER, 0)->object != NULL);
        probe_forget(b.asker);
        ask(&b, 2, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, 2, 2, 3);
        close_bench(&b);
    }
}

TEST(allocator, a_corrupt_key_is_told_to_all_who_ask_and_named)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, ID_KEY, "7x", 0);
        ask(&b, 3, SESSION_ROOT);
        ask(&b, 1, "other");
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 4);
        size_t good = 0;
        for (size_t i = 0; i < 4; i++) {
            const struct rollcall_reason *why =
                (const void *)probe_find(b.asker, ASKER_ANSWER, i)->object;
            if (answered(&b, i).status == ROLLCALL_OK) {
                CHECK(why == NULL);
                good++;
                continue;
            }
            CHECK_INT(answered(&b, i).status, ROLLCALL_E_CORRUPT);
            CHECK(strstr(why->error.text, ID_KEY) != NULL);
        }
        CHECK_INT(good, 1);
        CHECK(b.etcd->calls <= 4 + 2); /* no loop: one for each ask, two more for the good one */
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "7x");
        close_bench(&b);
    }
}

/* ---- the key says less than is in use ---- */

static void put_session(struct fake_etcd *etcd, const char *name, const char *value)
{
    char key[64];
    snprintf(key, sizeof key, "%s/session/%s", SESSION_ROOT, name);
    fake_etcd_put(etcd, key, value, 0);
}

#define RECORD(id) "{\"ServerID\":" id ",\"ServerName\":\"x\",\"Version\":\"2.4.2\"}"

TEST(allocator, an_id_is_above_every_id_in_use_though_the_key_was_set_back)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.etcd->page_max = 1 + world_seed % 4;
        fake_etcd_put(b.etcd, ID_KEY, "2", 0);
        put_session(b.etcd, "rootcoord", RECORD("9"));  /* exclusive: only the record says it */
        put_session(b.etcd, "querynode-5", "not read"); /* the key says it */
        put_session(b.etcd, "query-node-3", RECORD("3"));
        put_session(b.etcd, "broken", "{");
        put_session(b.etcd, "negative", RECORD("-7"));
        put_session(b.etcd, "version", "77");                    /* no session */
        put_session(b.etcd, "below/querynode-88", RECORD("88")); /* nor is this */
        put_session(b.etcd, "huge-99999999999999999999", "{");   /* no ID can be so high */
        fake_etcd_put(b.etcd, "root/sessions/x-99", "{}", 0);    /* a sibling */
        fake_etcd_put(b.etcd, "other/session/querynode-66", "{}", 0);
        ask(&b, 3, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, 3, 10, 12);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "13");
        close_bench(&b);
    }
}

TEST(allocator, the_key_counts_when_it_is_above_what_is_in_use)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, ID_KEY, "20", 0);
        put_session(b.etcd, "querynode-19", RECORD("19"));
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, 1, 20, 20);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "21");
        close_bench(&b);
    }
}

TEST(allocator, the_pages_of_a_survey_are_of_one_revision_and_are_read_once_per_batch)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.before = another_takes_one;
        b.last_take = 4;
        b.etcd->page_max = 2;
        for (int i = 1; i <= 5; i++) {
            char name[32];
            snprintf(name, sizeof name, "querynode-%d", i);
            put_session(b.etcd, name, RECORD("1"));
        }
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        world_run(&b.world, 2000);
        CHECK_INT(b.takes, 6); /* five races were lost */
        CHECK_INT(b.etcd->pages, 3);
        CHECK_INT(b.etcd->page_revisions[0], 0);
        CHECK(b.etcd->page_revisions[1] > 0);
        CHECK_INT(b.etcd->page_revisions[2], b.etcd->page_revisions[1]);
        ask(&b, 1, SESSION_ROOT);
        world_run(&b.world, 2000);
        CHECK_INT(b.etcd->pages, 6); /* another batch looks again */
        close_bench(&b);
    }
}

TEST(allocator, an_id_that_none_can_be_above_is_told_and_the_key_left_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, ID_KEY, "2", 0);
        put_session(b.etcd, "querynode-9223372036854775807", "{}");
        ask(&b, 1, SESSION_ROOT);
        world_settle(&b.world);
        CHECK_INT(answered(&b, 0).status, ROLLCALL_E_CORRUPT);
        const struct rollcall_reason *why =
            (const void *)probe_find(b.asker, ASKER_ANSWER, 0)->object;
        CHECK(strstr(why->error.text, "9223372036854775807") != NULL);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        CHECK_STATE(&b.world, b.allocator, "IDLE");
        close_bench(&b);
    }
}

TEST(allocator, a_survey_that_fails_is_told_and_takes_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.survey = FAKE_ETCD_REFUSE;
        ask(&b, 2, SESSION_ROOT);
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 2);
        CHECK_INT(answered(&b, 1).status, ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(b.takes, 0);
        b.survey = FAKE_ETCD_ANSWER;
        probe_forget(b.asker);
        ask(&b, 2, SESSION_ROOT);
        world_settle(&b.world);
        check_ids(&b, 2, 1, 2);
        close_bench(&b);
    }
}

/* ---- one ID for all who reuse ---- */

/* So many answers from the `first` on are all that ID. */
static void check_shared(const struct bench *b, size_t first, size_t count, int64_t server_id)
{
    for (size_t i = first; i < first + count; i++) {
        CHECK_INT(answered(b, i).status, ROLLCALL_OK);
        CHECK_INT(answered(b, i).server_id, server_id);
    }
}

TEST(allocator, those_who_reuse_get_one_id_that_is_taken_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        ask_for(&b, 5, SESSION_ROOT, true);
        world_settle(&b.world);
        ask_for(&b, 5, SESSION_ROOT, true);
        const uint64_t calls = b.etcd->calls;
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 10);
        check_shared(&b, 0, 10, 1);
        CHECK_INT(b.etcd->calls, calls); /* known: nobody is asked */
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        close_bench(&b);
    }
}

TEST(allocator, those_who_reuse_and_those_who_do_not_never_share)
{
    while (world_next(SEEDS)) {
        struct bench b;
        int64_t shared = 0;
        uint64_t seen = 0;
        open(&b);
        for (int i = 0; i < ASKERS; i++) {
            ask_for(&b, 1, SESSION_ROOT, i % 3 == 1);
            for (uint64_t steps = world_seed % 7; steps > 0; steps--) {
                rollcall_sim_step(b.world.sim); /* so that some come while others are served */
            }
        }
        world_settle(&b.world);
        CHECK_INT(probe_count(b.asker, ASKER_ANSWER), ASKERS);
        ask_for(&b, 1, SESSION_ROOT, true);
        world_settle(&b.world);
        shared = answered(&b, ASKERS).server_id;
        size_t reused = 0;
        for (size_t i = 0; i < ASKERS; i++) {
            const int64_t id = answered(&b, i).server_id;
            CHECK(id >= 1 && id <= ASKERS - 4 + 1);
            reused += id == shared;
            CHECK(id == shared || (seen >> id & 1) == 0);
            seen |= UINT64_C(1) << id;
        }
        CHECK_INT(reused, 4);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "10"); /* eight of their own, and one */
        close_bench(&b);
    }
}

TEST(allocator, each_root_has_a_shared_id_of_its_own)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, "two/session/id", "7", 0);
        ask_for(&b, 2, "one", true);
        world_settle(&b.world);
        ask_for(&b, 2, "two", true);
        world_settle(&b.world);
        check_shared(&b, 0, 2, 1);
        check_shared(&b, 2, 2, 7);
        close_bench(&b);
    }
}

TEST(allocator, a_shared_id_that_could_not_be_taken_is_taken_by_the_next_who_asks)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, ID_KEY, "", 0);
        ask_for(&b, 2, SESSION_ROOT, true);
        world_settle(&b.world);
        CHECK_INT(answered(&b, 0).status, ROLLCALL_E_CORRUPT);
        CHECK_INT(answered(&b, 1).status, ROLLCALL_E_CORRUPT);
        fake_etcd_put(b.etcd, ID_KEY, "4", 0);
        ask_for(&b, 2, SESSION_ROOT, true);
        world_settle(&b.world);
        check_shared(&b, 2, 2, 4);
        close_bench(&b);
    }
}

TEST(allocator, more_roots_than_it_keeps_ids_for_are_refused_and_the_known_ones_served)
{
    static char roots[ALLOCATOR_SHARED_MAX + 1][16];
    while (world_next(2)) {
        struct bench b;
        open(&b);
        b.etcd->away = true; /* those that get none keep no place */
        for (int i = 0; i <= ALLOCATOR_SHARED_MAX; i++) {
            snprintf(roots[i], sizeof roots[i], "none%d", i);
            ask_for(&b, 1, roots[i], true);
            world_settle(&b.world);
            CHECK_INT(answered(&b, (size_t)i).status, ROLLCALL_E_UNAVAILABLE);
        }
        b.etcd->away = false;
        probe_forget(b.asker);
        for (int i = 0; i <= ALLOCATOR_SHARED_MAX; i++) {
            snprintf(roots[i], sizeof roots[i], "r%d", i);
            ask_for(&b, 1, roots[i], true);
            world_settle(&b.world);
        }
        check_shared(&b, 0, ALLOCATOR_SHARED_MAX, 1);
        const struct rollcall_reason *why =
            (const void *)probe_find(b.asker, ASKER_ANSWER, ALLOCATOR_SHARED_MAX)->object;
        CHECK_INT(answered(&b, ALLOCATOR_SHARED_MAX).status, ROLLCALL_E_INVALID);
        CHECK(strstr(why->error.text, "r256") != NULL);
        ask_for(&b, 1, roots[0], true);
        ask(&b, 1, roots[ALLOCATOR_SHARED_MAX]);
        world_settle(&b.world);
        check_shared(&b, ALLOCATOR_SHARED_MAX + 1, 2, 1);
        close_bench(&b);
    }
}

TEST(allocator, a_shared_id_survives_a_crash_at_any_moment)
{
    for (int moment = 0; moment < 40; moment++) {
        while (world_next(5)) {
            struct bench b;
            open(&b);
            ask_for(&b, 3, SESSION_ROOT, true);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
            ask_for(&b, 3, SESSION_ROOT, true);
            world_run(&b.world, 1000);
            const size_t count = probe_count(b.asker, ASKER_ANSWER);
            CHECK(count == 5 || count == 6); /* the message it crashed on is lost, be it an ask */
            check_shared(&b, 0, count, answered(&b, 0).server_id);
            close_bench(&b);
        }
    }
}

TEST(allocator, a_crash_at_any_moment_is_not_noticed_by_who_asked)
{
    for (int moment = 0; moment < 40; moment++) {
        while (world_next(5)) {
            struct bench b;
            open(&b);
            ask(&b, 4, SESSION_ROOT);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1000);
            CHECK(probe_count(b.asker, ASKER_ANSWER) >= 3); /* nobody had to ask again */
            ask(&b, 2, SESSION_ROOT);
            world_run(&b.world, 1000);
            /* The message it crashed on is lost, be it an ask; its asker would ask again. */
            const size_t count = probe_count(b.asker, ASKER_ANSWER);
            CHECK(count == 5 || count == 6);
            check_ids(&b, count, 1, 40);
            close_bench(&b);
        }
    }
}

/* An exclusive session's key does not say its ID: what its record says must not be passed over.
 * Each allocation in turn. */
TEST(allocator, an_allocation_that_fails_is_not_noticed_by_who_asked_or_passes)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        while (world_next(2)) {
            struct bench b;
            open(&b);
            fake_etcd_put(b.etcd, SESSION_ROOT "/session/coord",
                          "{\"ServerID\":7,\"ServerName\":\"coord\",\"Version\":\"2.4.2\"}", 0);
            ask(&b, 3, SESSION_ROOT);
            world_memory_fails_at(&b.world, nth);
            world_run(&b.world, 3000);
            failed = world_memory_failed(&b.world);
            CHECK_INT(probe_count(b.asker, ASKER_ANSWER), 3);
            for (size_t i = 0; i < 3; i++) {
                const struct allocator_answer answer = answered(&b, i);
                CHECK(answer.status == ROLLCALL_OK || (failed && answer.status == ROLLCALL_E_FULL));
                CHECK(answer.status != ROLLCALL_OK || answer.server_id >= 8);
            }
            close_bench(&b);
        }
        CHECK(nth > 1 || failed);
    }
}

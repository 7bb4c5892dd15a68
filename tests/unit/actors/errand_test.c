/* One change to somebody else's session: made to the one that is meant or to none, and told once.
 */
#include "unit/actors/errand_world.h"

/* ---- mark stopping ---- */

TEST(errand, a_mark_keeps_the_lease_and_what_nobody_here_knows)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        run(&b, &(struct choice){
                    .kind = ERRAND_MARK_STOPPING, .lease_id = LEASE, .create_revision = put});
        check_done(&b);
        check_marked(&b, put, LEASE);
        run(&b, &MARK);
        check_done(&b);
        check_marked(&b, put, LEASE); /* marked already: nothing was written */
        CHECK_INT(b.writes, 1);
        fake_etcd_end_lease(b.etcd, LEASE);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        close_bench(&b);
    }
}

TEST(errand, a_mark_of_a_key_without_a_lease_gives_it_none)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = fake_etcd_put(b.etcd, KEY, RECORD, 0);
        run(&b, &MARK);
        check_done(&b);
        check_marked(&b, put, 0);
        close_bench(&b);
    }
}

TEST(errand, a_mark_whose_answer_was_lost_is_found_and_not_made_twice)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        b.write_fate = FAKE_ETCD_LOSE_ANSWER;
        run(&b, &MARK);
        check_done(&b);
        check_marked(&b, put, LEASE);
        CHECK_INT(b.writes, 1);
        close_bench(&b);
    }
}

static void owner_changes_the_record(struct fake_etcd *etcd)
{
    fake_etcd_put(etcd, KEY, BEFORE ",\"Version\":\"2.5.0\",\"Novelty\":{\"a\":[1,\"}\"]}}", LEASE);
}

TEST(errand, a_mark_is_made_to_what_the_owner_wrote_in_between)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        b.before_write = owner_changes_the_record;
        b.last_write = 1; /* and once more */
        run(&b, &MARK);
        check_done(&b);
        CHECK_INT(b.writes, 3);
        CHECK_INT(there(&b)->create_revision, put);
        CHECK_INT(there(&b)->lease_id, LEASE);
        CHECK(memmem(there(&b)->value.data, there(&b)->value.size_bytes, "2.5.0", 5) != NULL);
        CHECK(stored_record_read(there(&b)->value).stopping);
        close_bench(&b);
    }
}

static void a_successor_takes_the_key(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, KEY);
    fake_etcd_put(etcd, KEY, RECORD, 0);
}

TEST(errand, a_successor_that_comes_between_look_and_mark_is_left_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        b.before_write = a_successor_takes_the_key;
        run(&b, &MARK);
        check_refused(&b, ROLLCALL_E_KEY_LOST, "create revision");
        check_untouched(&b, RECORD, put + 2);
        close_bench(&b);
    }
}

TEST(errand, a_race_without_end_ends_at_the_deadline_and_is_told_as_one)
{
    while (world_next(3)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.before_write = owner_changes_the_record;
        b.last_write = 50;
        b.write_fate = FAKE_ETCD_ANSWER;
        start(&b, &MARK);
        while (b.writes < 40 && rollcall_sim_step(b.world.sim)) {
        }
        b.write_fate = FAKE_ETCD_SILENT;
        world_run(&b.world, TIMEOUT_MS + 1);
        CHECK_INT(b.told, 1);
        check_refused(&b, ROLLCALL_E_TIMEOUT, "was changed by others");
        CHECK(b.error.maybe_applied);
        close_bench(&b);
    }
}

/* ---- revoke ---- */

TEST(errand, a_revoke_takes_every_key_of_the_lease_and_no_other)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session(&b);
        fake_etcd_put(b.etcd, "root/session/proxy-7", RECORD, LEASE);
        fake_etcd_put(b.etcd, "root/session/proxy-8", RECORD, 0);
        run(&b, &(struct choice){.kind = ERRAND_REVOKE, .lease_id = LEASE, .create_revision = put});
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK(fake_etcd_find(b.etcd, "root/session/proxy-7") == NULL);
        CHECK(fake_etcd_find(b.etcd, "root/session/proxy-8") != NULL);
        CHECK_INT(b.etcd->revokes, 1);
        run(&b, &REVOKE);
        check_refused(&b, ROLLCALL_E_KEY_LOST, KEY);
        close_bench(&b);
    }
}

TEST(errand, a_revoke_of_a_key_without_a_lease_deletes_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        fake_etcd_put(b.etcd, KEY, RECORD, 0);
        b.write_fate = world_seed % 2 == 0 ? FAKE_ETCD_ANSWER : FAKE_ETCD_LOSE_ANSWER;
        run(&b, &REVOKE);
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK_INT(b.etcd->revokes, 0);
        CHECK_INT(b.writes, 1);
        close_bench(&b);
    }
}

TEST(errand, a_revoke_whose_answer_was_lost_leaves_the_successor_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.write_fate = FAKE_ETCD_LOSE_ANSWER;
        start(&b, &REVOKE);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.errand, "PAUSING");
        const int64_t put = fake_etcd_put(b.etcd, KEY, RECORD, 0);
        world_run(&b.world, TIMEOUT_MS);
        CHECK_INT(b.told, 1);
        check_done(&b);
        CHECK_BYTES(there(&b)->value, RECORD);
        CHECK_INT(there(&b)->mod_revision, put);
        close_bench(&b);
    }
}

TEST(errand, a_successor_that_comes_between_look_and_delete_is_left_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = fake_etcd_put(b.etcd, KEY, RECORD, 0);
        b.before_write = a_successor_takes_the_key;
        run(&b, &REVOKE);
        check_done(&b); /* what was meant is gone */
        check_untouched(&b, RECORD, put + 2);
        close_bench(&b);
    }
}

static void it_moves_under_a_lease(struct fake_etcd *etcd)
{
    ((struct bench *)etcd->user)->before_write = NULL;
    owner_changes_the_record(etcd);
}

TEST(errand, a_key_that_gets_a_lease_before_it_is_deleted_is_revoked)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        fake_etcd_put(b.etcd, KEY, RECORD, 0);
        b.before_write = it_moves_under_a_lease;
        run(&b, &REVOKE);
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK_INT(b.etcd->revokes, 1);
        close_bench(&b);
    }
}

static void it_moves_under_another_lease(struct fake_etcd *etcd)
{
    ((struct bench *)etcd->user)->before_write = NULL;
    fake_etcd_put(etcd, KEY, RECORD, OTHER_LEASE);
}

/* And a second lease that is alive. */
static int64_t put_session_that_can_move(struct bench *b)
{
    const int64_t put = put_session(b);
    b->etcd->leases[1] = b->etcd->leases[0];
    b->etcd->leases[1].lease_id = OTHER_LEASE;
    b->etcd->lease_count = 2;
    b->before_write = it_moves_under_another_lease;
    return put;
}

TEST(errand, a_key_that_moves_to_another_lease_as_it_is_revoked_is_revoked_with_both)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        const int64_t put = put_session_that_can_move(&b);
        b.write_fate = world_seed % 2 == 0 ? FAKE_ETCD_ANSWER : FAKE_ETCD_LOSE_ANSWER;
        run(&b, &(struct choice){.kind = ERRAND_REVOKE, .create_revision = put});
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK_INT(b.etcd->revokes, 2);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(errand, of_a_lease_that_was_named_no_other_is_revoked_though_the_key_moved_there)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session_that_can_move(&b);
        b.write_fate = world_seed % 2 == 0 ? FAKE_ETCD_ANSWER : FAKE_ETCD_LOSE_ANSWER;
        run(&b, &(struct choice){.kind = ERRAND_REVOKE, .lease_id = LEASE});
        check_done(&b);
        CHECK_INT(there(&b)->lease_id, OTHER_LEASE);
        CHECK_INT(b.etcd->revokes, 1);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

static void etcd_is_silent_to_reads(struct fake_etcd *etcd)
{
    ((struct bench *)etcd->user)->read_fate = FAKE_ETCD_SILENT;
}

TEST(errand, a_revoke_that_could_not_be_looked_at_afterwards_may_have_been_made)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.before_write = etcd_is_silent_to_reads;
        run(&b, &REVOKE);
        check_refused(&b, ROLLCALL_E_TIMEOUT, "did not answer");
        CHECK(b.error.maybe_applied);
        CHECK_INT(b.etcd->revokes, 1);
        close_bench(&b);
    }
}

TEST(errand, a_key_that_changes_its_lease_while_etcd_is_away_is_revoked_with_the_new_one)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session_that_can_move(&b);
        b.write_fate = FAKE_ETCD_REFUSE;
        run(&b, &REVOKE);
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

/* ---- what is not meant, or no session ---- */

TEST(errand, another_lease_or_create_revision_than_meant_is_left_alone)
{
    while (world_next(SEEDS)) {
        for (int kind = ERRAND_MARK_STOPPING; kind <= ERRAND_REVOKE; kind++) {
            struct bench b;
            open(&b);
            const int64_t put = put_session(&b);
            run(&b, &(struct choice){.kind = (enum errand_kind)kind, .lease_id = LEASE + 1});
            check_refused(&b, ROLLCALL_E_KEY_LOST, "4d"); /* its lease, as etcdctl prints it */
            run(&b, &(struct choice){.kind = (enum errand_kind)kind, .create_revision = put - 1});
            check_refused(&b, ROLLCALL_E_KEY_LOST, KEY);
            CHECK(!b.error.maybe_applied);
            check_untouched(&b, RECORD, put);
            CHECK_INT(b.writes, 0);
            close_bench(&b);
        }
    }
}

TEST(errand, what_holds_no_record_is_left_alone)
{
    static const char *const VALUES[] = {"7", "", "{", "[]", "{\"ServerID\":\"x\"}"};
    while (world_next(5)) {
        for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
            struct bench b;
            open(&b);
            const int64_t put = fake_etcd_put(b.etcd, KEY, VALUES[i], 0);
            run(&b, &MARK);
            check_refused(&b, ROLLCALL_E_CORRUPT, KEY);
            run(&b, &REVOKE);
            check_refused(&b, ROLLCALL_E_CORRUPT, KEY);
            check_untouched(&b, VALUES[i], put);
            close_bench(&b);
        }
    }
}

TEST(errand, garbage_in_the_place_of_the_session_meant_is_told_as_garbage)
{
    while (world_next(SEEDS)) {
        for (int kind = ERRAND_MARK_STOPPING; kind <= ERRAND_REVOKE; kind++) {
            struct bench b;
            open(&b);
            const int64_t put = put_session(&b);
            const int64_t garbage = fake_etcd_put(b.etcd, KEY, "garbage", 0);
            run(&b, &(struct choice){
                        .kind = (enum errand_kind)kind, .lease_id = LEASE, .create_revision = put});
            check_refused(&b, ROLLCALL_E_CORRUPT, "holds no session record");
            CHECK(!b.error.maybe_applied);
            check_untouched(&b, "garbage", garbage);
            CHECK_INT(b.writes, 0);
            close_bench(&b);
        }
    }
}

TEST(errand, a_key_that_is_not_there_is_told_so)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        run(&b, &MARK);
        check_refused(&b, ROLLCALL_E_KEY_LOST, KEY);
        run(&b, &REVOKE);
        check_refused(&b, ROLLCALL_E_KEY_LOST, KEY);
        CHECK_INT(b.writes, 0);
        close_bench(&b);
    }
}

/* ---- a server ID ---- */

TEST(errand, server_ids_increase_and_the_reused_one_stays)
{
    static const bool REUSE[] = {false, false, true, true, false};
    static const int64_t IDS[] = {1, 2, 3, 3, 4};
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        struct choice choice = {.kind = ERRAND_SERVER_ID, .allocator = spawn_allocator(&b)};
        for (size_t i = 0; i < sizeof IDS / sizeof IDS[0]; i++) {
            choice.reuse = REUSE[i];
            run(&b, &choice);
            check_done(&b);
            CHECK_INT(b.server_id, IDS[i]);
        }
        close_bench(&b);
    }
}

/* ---- a lease alone ---- */

static const struct choice LEASE_ALONE = {.kind = ERRAND_REVOKE_LEASE, .lease_id = LEASE};

TEST(errand, a_lease_is_revoked_without_a_look_and_one_that_is_gone_is_done)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        put_session(&b);
        b.read_fate = FAKE_ETCD_SILENT;
        run(&b, &LEASE_ALONE);
        check_done(&b);
        CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
        b.write_fate = FAKE_ETCD_REFUSE; /* as etcd does, which says so */
        b.etcd->refusal = ROLLCALL_E_LEASE_LOST;
        b.last_write = SIZE_MAX;
        run(&b, &LEASE_ALONE);
        check_done(&b);
        CHECK_INT(b.writes, 2);
        close_bench(&b);
    }
}

TEST(errand, a_lease_is_revoked_again_when_that_was_not_answered)
{
    static const enum fake_etcd_fate fates[] = {FAKE_ETCD_REFUSE, FAKE_ETCD_LOSE_ANSWER};
    for (size_t i = 0; i < 2; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            put_session(&b);
            b.write_fate = fates[i];
            b.etcd->refusal = ROLLCALL_E_UNAVAILABLE;
            run(&b, &LEASE_ALONE);
            check_done(&b);
            CHECK(fake_etcd_find(b.etcd, KEY) == NULL);
            CHECK_INT(b.writes, 2);
            close_bench(&b);
        }
    }
}

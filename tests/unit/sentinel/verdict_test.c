/* What a sentinel concludes, and when. */
#include "sentinel/verdict.h"

#include "support/test.h"

enum { TTL_S = 30, TTL_MS = TTL_S * 1000, BEGAN_MS = 5000 };

struct bench {
    struct rollcall__ledger *ledger;
    struct rollcall__ledger_view *view;
    struct rollcall__ledger_entry *entry;
    struct rollcall__judgement judgement;
    struct rollcall__sight sight;
};

/* One lease is held. */
static void open_bench(struct bench *b)
{
    *b = (struct bench){.judgement = {.until_ms = INT64_MAX}};
    CHECK_INT(rollcall__ledger_create(ROLLCALL_ETCD_OPTIONS(.endpoints = "a:1"), &b->ledger, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall__ledger_view_open(rollcall__ledger_fd(b->ledger), &b->view, NULL),
              ROLLCALL_OK);
    b->entry = rollcall__ledger_open(b->ledger, TTL_S);
    CHECK(b->entry != NULL);
    rollcall__gauge_set(&b->entry->slot->lease_id, 7);
}

static void close_bench(struct bench *b)
{
    rollcall_object_drop(&b->entry->object);
    rollcall__ledger_view_close(b->view);
    rollcall__ledger_drop(b->ledger);
}

static int judge(struct bench *b, int64_t now_ms)
{
    return (int)rollcall__judge(&b->judgement, &b->sight, b->view, now_ms);
}

static void name_companion(struct bench *b, int64_t number)
{
    rollcall__gauge_set(rollcall__ledger_companion(b->ledger), number);
}

TEST(verdict, an_owner_that_lives_is_waited_for_without_end)
{
    struct bench b;
    open_bench(&b);
    CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_WAIT);
    CHECK_INT(b.judgement.until_ms, INT64_MAX);
    CHECK_INT(judge(&b, BEGAN_MS + 1000 * TTL_MS), ROLLCALL__VERDICT_WAIT);
    b.sight.owner_dead = true;
    CHECK_INT(judge(&b, BEGAN_MS + 1001 * TTL_MS), ROLLCALL__VERDICT_DEAD);
    close_bench(&b);
}

TEST(verdict, one_that_was_let_go_of_goes_after_a_ttl_and_sees_a_death_until_then)
{
    struct bench b;
    for (int dies = 0; dies < 2; dies++) {
        open_bench(&b);
        b.sight.let_go = true;
        CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_WAIT);
        CHECK_INT(b.judgement.until_ms, BEGAN_MS + TTL_MS);
        CHECK_INT(judge(&b, BEGAN_MS + TTL_MS - 1), ROLLCALL__VERDICT_WAIT);
        CHECK_INT(b.judgement.until_ms, BEGAN_MS + TTL_MS); /* from when it was let go of */
        b.sight.owner_dead = dies != 0;
        CHECK_INT(judge(&b, BEGAN_MS + TTL_MS),
                  dies ? ROLLCALL__VERDICT_DEAD : ROLLCALL__VERDICT_DISMISSED);
        close_bench(&b);
    }
}

TEST(verdict, one_that_is_let_go_of_with_nothing_held_goes_at_once)
{
    struct bench b;
    open_bench(&b);
    rollcall__ledger_close(b.entry);
    b.sight.let_go = true;
    CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_DISMISSED);
    close_bench(&b);
}

TEST(verdict, a_companion_is_waited_for_and_for_no_longer_than_a_ttl)
{
    struct bench b;
    for (int ends = 0; ends < 2; ends++) {
        open_bench(&b);
        name_companion(&b, 3);
        b.sight = (struct rollcall__sight){.owner_dead = true, .companion = 3};
        CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_WAIT);
        CHECK_INT(b.judgement.until_ms, BEGAN_MS + TTL_MS);
        b.sight.companion_dead = ends != 0;
        CHECK_INT(judge(&b, BEGAN_MS + TTL_MS),
                  ends ? ROLLCALL__VERDICT_DEAD : ROLLCALL__VERDICT_DISMISSED);
        close_bench(&b);
    }
}

TEST(verdict, a_companion_that_cannot_be_seen_may_live)
{
    struct bench b;
    open_bench(&b);
    name_companion(&b, 4);
    b.sight = (struct rollcall__sight){.owner_dead = true, .companion = 3, .companion_dead = true};
    CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_DISMISSED);
    close_bench(&b);
}

TEST(verdict, a_companion_that_was_forgotten_is_not_waited_for)
{
    struct bench b;
    open_bench(&b);
    name_companion(&b, 0);
    b.sight = (struct rollcall__sight){.owner_dead = true, .companion = 3};
    CHECK_INT(judge(&b, BEGAN_MS), ROLLCALL__VERDICT_DEAD);
    close_bench(&b);
}

TEST(verdict, a_lease_is_tried_for_as_long_as_it_can_live)
{
    const struct rollcall__held_lease lease = {.lease_id = 7, .ttl_s = TTL_S};
    const struct rollcall__held_lease long_lease = {.lease_id = 8, .ttl_s = INT64_MAX};
    struct rollcall__revocation one = rollcall__revocation_of(&lease, BEGAN_MS, BEGAN_MS);
    CHECK_INT(one.lease_id, 7);
    CHECK_INT(one.timeout_ms, 2 * TTL_MS); /* a new leader gives it that again */
    one = rollcall__revocation_of(&lease, BEGAN_MS, BEGAN_MS + 20000);
    CHECK_INT(one.timeout_ms, 2 * TTL_MS - 20000);
    one = rollcall__revocation_of(&lease, BEGAN_MS, BEGAN_MS + 3 * TTL_MS);
    CHECK_INT(one.timeout_ms, 1000); /* it is tried at all */
    one = rollcall__revocation_of(&long_lease, BEGAN_MS, BEGAN_MS);
    CHECK_INT(one.timeout_ms, 24 * 3600 * 1000); /* what a request may take */
}

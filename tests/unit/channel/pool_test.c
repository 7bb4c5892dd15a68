/* Which endpoint is asked next: pure, so every case is written down. */
#include "channel/pool.h"
#include "support/test.h"

enum { THREE = 3, ALL = 7, HOME_AGAIN_MS = 30000 };

static struct rollcall__pool pool_of(size_t count, uint64_t home)
{
    struct rollcall__pool pool;
    rollcall__pool_init(&pool, count, home);
    return pool;
}

TEST(pool, homes_are_spread_by_chance)
{
    size_t at[THREE] = {0};
    for (uint64_t random = 0; random < 300; random++) {
        struct rollcall__pool pool = pool_of(THREE, random * 7919);
        at[rollcall__pool_pick(&pool, ALL, 0)]++;
    }
    for (size_t i = 0; i < THREE; i++) {
        CHECK(at[i] > 50);
    }
}

TEST(pool, a_failed_endpoint_is_left_for_longer_each_time_up_to_a_limit)
{
    struct rollcall__pool pool = pool_of(1, 0);
    for (int64_t failures = 1; failures <= 20; failures++) {
        const int64_t most_ms = failures < 4 ? 100 * failures : 400;
        const int64_t now_ms = 5000 * failures;
        rollcall__pool_failed(&pool, 0, UINT64_MAX, now_ms);
        const int64_t away_ms = pool.endpoints[0].away_until_ms - now_ms;
        CHECK(away_ms >= most_ms / 2 && away_ms <= most_ms);
        CHECK(!rollcall__pool_is_well(&pool, 0, now_ms));
        CHECK(rollcall__pool_is_well(&pool, 0, now_ms + away_ms));
    }
    rollcall__pool_succeeded(&pool, 0, 3, 200000);
    CHECK(rollcall__pool_is_well(&pool, 0, 200000));
    rollcall__pool_failed(&pool, 0, 0, 201000);
    CHECK(pool.endpoints[0].away_until_ms <= 201100); /* it begins anew */
}

/* A connection that breaks ends every stream and call on it. */
TEST(pool, what_many_streams_tell_of_one_break_is_one_failure)
{
    struct rollcall__pool pool = pool_of(1, 0);
    for (int stream = 0; stream < 50; stream++) {
        rollcall__pool_failed(&pool, 0, UINT64_MAX, 5000 + stream % 2);
    }
    CHECK(pool.endpoints[0].away_until_ms <= 5101);
    CHECK_INT(pool.endpoints[0].failures, 1);
}

/* What failed together does not come back together. */
TEST(pool, pauses_differ)
{
    bool at[101] = {false};
    size_t distinct = 0;
    for (uint64_t random = 0; random < 50; random++) {
        struct rollcall__pool pool = pool_of(1, 0);
        rollcall__pool_failed(&pool, 0, random * 104729, 0);
        at[pool.endpoints[0].away_until_ms] = true;
    }
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        distinct += at[i];
    }
    CHECK(distinct >= 20);
}

TEST(pool, one_that_is_well_is_stayed_with_and_one_that_is_not_is_left)
{
    struct rollcall__pool pool = pool_of(THREE, 1);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 1);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 1);
    rollcall__pool_failed(&pool, 1, 0, 0);
    const size_t next = rollcall__pool_pick(&pool, ALL, 0);
    CHECK(next != 1);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 1000), next); /* no going to and fro */
}

TEST(pool, home_is_gone_back_to_when_it_has_been_well_for_long)
{
    struct rollcall__pool pool = pool_of(THREE, 2);
    rollcall__pool_failed(&pool, 2, 0, 0);
    CHECK(rollcall__pool_pick(&pool, ALL, 10) != 2);
    rollcall__pool_succeeded(&pool, 2, 1, 5000);
    CHECK(rollcall__pool_pick(&pool, ALL, 5000 + HOME_AGAIN_MS - 1) != 2);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 5000 + HOME_AGAIN_MS), 2);
}

/* It must have been seen to be well: time alone says nothing. */
TEST(pool, home_is_not_gone_back_to_before_it_has_answered)
{
    struct rollcall__pool pool = pool_of(THREE, 2);
    rollcall__pool_failed(&pool, 2, 0, 0);
    CHECK(rollcall__pool_pick(&pool, ALL, 10) != 2);
    CHECK(rollcall__pool_pick(&pool, ALL, 100 * HOME_AGAIN_MS) != 2);
}

TEST(pool, a_slow_endpoint_is_not_gone_to_while_another_is_fast)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    rollcall__pool_succeeded(&pool, 1, 100, 0);
    rollcall__pool_succeeded(&pool, 2, 2, 0);
    rollcall__pool_failed(&pool, 0, 0, 0);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 2);
    rollcall__pool_failed(&pool, 2, 0, 0);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 1); /* better than none */
}

TEST(pool, the_average_follows_the_answers)
{
    struct rollcall__pool pool = pool_of(1, 0);
    rollcall__pool_succeeded(&pool, 0, 10, 0);
    CHECK_INT(pool.endpoints[0].latency_us, 10001);
    for (int i = 0; i < 100; i++) {
        rollcall__pool_succeeded(&pool, 0, 2, 0);
    }
    CHECK(pool.endpoints[0].latency_us < 2100);
}

TEST(pool, only_those_that_may_be_are_picked_and_without_any_all_may)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    CHECK_INT(rollcall__pool_pick(&pool, 4, 0), 2);
    CHECK_INT(rollcall__pool_pick(&pool, 0, 0), 2);
}

TEST(pool, when_none_is_well_it_is_the_one_that_may_be_asked_soonest)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    for (size_t i = 0; i < THREE; i++) {
        rollcall__pool_failed(&pool, i, 0, 0);
        rollcall__pool_failed(&pool, i, 0, 1000);
    }
    rollcall__pool_succeeded(&pool, 1, 1, 1000);
    rollcall__pool_failed(&pool, 1, 0, 1000);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 1000), 1);
}

TEST(pool, a_silent_one_is_left_for_a_moment_and_holds_no_grudge)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    rollcall__pool_silent(&pool, 0, 17, 1000);
    CHECK(!rollcall__pool_is_well(&pool, 0, 1200));
    CHECK(rollcall__pool_is_well(&pool, 0, 1500));
    CHECK_INT(pool.endpoints[0].failures, 0);
}

TEST(pool, learners_are_never_picked_while_there_is_another)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    pool.endpoints[0].learner = pool.endpoints[1].learner = true;
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 2);
    rollcall__pool_failed(&pool, 2, 0, 0);
    CHECK(rollcall__pool_pick(&pool, ALL, 0) < THREE);
}

TEST(pool, the_leader_is_known_by_its_id_and_only_while_it_is_well)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    CHECK_INT(rollcall__pool_leader(&pool, 0), THREE);
    for (size_t i = 0; i < THREE; i++) {
        pool.endpoints[i].member_id = 100 + i;
    }
    pool.leader_id = 102;
    CHECK_INT(rollcall__pool_leader(&pool, 0), 2);
    rollcall__pool_silent(&pool, 2, 0, 0);
    CHECK_INT(rollcall__pool_leader(&pool, 0), THREE);
    pool.leader_id = 999; /* a member that is no endpoint */
    CHECK_INT(rollcall__pool_leader(&pool, 5000), THREE);
}

/* ---- what endpoints say of themselves ---- */

static void learn(struct rollcall__pool *pool, size_t endpoint, uint64_t leader_id, uint64_t term)
{
    const struct rollcall__identity identity = {
        .cluster_id = 9, .member_id = 100 + endpoint, .leader_id = leader_id, .term = term};
    rollcall__pool_learn(pool, endpoint, &identity);
}

TEST(pool, an_older_term_does_not_name_the_leader)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    learn(&pool, 0, 100, 5);
    learn(&pool, 1, 101, 6);
    CHECK_INT(rollcall__pool_leader(&pool, 0), 1);
    learn(&pool, 0, 100, 5); /* cut off from the others, it still believes so */
    CHECK_INT(rollcall__pool_leader(&pool, 0), 1);
    learn(&pool, 2, 0, 6); /* it knows of none */
    CHECK_INT(rollcall__pool_leader(&pool, 0), 1);
}

TEST(pool, an_endpoint_of_another_cluster_is_not_picked)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    learn(&pool, 1, 101, 5);
    const struct rollcall__identity other = {.cluster_id = 8, .member_id = 7, .leader_id = 7};
    rollcall__pool_learn(&pool, 0, &other);
    CHECK(pool.endpoints[0].foreign);
    CHECK(rollcall__pool_pick(&pool, ALL, 0) != 0);
    CHECK_INT(rollcall__pool_leader(&pool, 0), 1); /* what it says of a leader does not count */
}

TEST(pool, one_that_was_added_is_not_picked_before_it_has_told_of_itself)
{
    struct rollcall__pool pool = pool_of(1, 0);
    learn(&pool, 0, 100, 5);
    rollcall__pool_add(&pool);
    CHECK_INT(pool.count, 2);
    rollcall__pool_failed(&pool, 0, 0, 0);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 0); /* better one that failed */
    learn(&pool, 1, 100, 5);
    CHECK_INT(rollcall__pool_pick(&pool, ALL, 0), 1);
}

/* A call to another cluster would be done there. */
TEST(pool, one_that_does_not_belong_here_is_not_picked_though_no_other_can_be_reached)
{
    enum { FOREIGN = 1, UNPROVEN = 8 };
    struct rollcall__pool pool = pool_of(THREE, 0);
    learn(&pool, 1, 101, 5);
    learn(&pool, 2, 101, 5);
    const struct rollcall__identity other = {.cluster_id = 8, .member_id = 7, .leader_id = 7};
    rollcall__pool_learn(&pool, 0, &other);
    rollcall__pool_add(&pool);
    const size_t picked = rollcall__pool_pick(&pool, FOREIGN | UNPROVEN, 0);
    CHECK(picked == 1 || picked == 2);
    rollcall__pool_failed(&pool, picked, 0, 0);
    CHECK_INT(rollcall__pool_pick(&pool, FOREIGN | UNPROVEN, 0), picked == 1 ? 2 : 1);
}

static void tell(struct rollcall__pool *pool, size_t endpoint, uint64_t cluster_id)
{
    const struct rollcall__identity identity = {.cluster_id = cluster_id,
                                                .member_id = 10 * cluster_id + endpoint,
                                                .leader_id = 10 * cluster_id + 1,
                                                .term = cluster_id};
    rollcall__pool_learn(pool, endpoint, &identity);
}

static size_t fit_ones(const struct rollcall__pool *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->count; i++) {
        count += rollcall__pool_is_fit(&pool->endpoints[i]);
    }
    return count;
}

/* Set up anew at the same addresses, its terms begin again; who stayed with the old one would never
 * renew again, nor hear that a lease is gone. */
TEST(pool, a_cluster_that_was_replaced_is_followed_once_most_endpoints_are_of_the_new_one)
{
    struct rollcall__pool pool = pool_of(THREE, 0);
    for (size_t i = 0; i < THREE; i++) {
        tell(&pool, i, 9);
    }
    tell(&pool, 0, 8);
    CHECK(pool.endpoints[0].foreign);
    CHECK_INT(fit_ones(&pool), 2);
    tell(&pool, 1, 8); /* the third is gone for good */
    CHECK(!pool.endpoints[0].foreign && !pool.endpoints[1].foreign && pool.endpoints[2].foreign);
    CHECK_INT(pool.cluster_id, 8);
    CHECK_INT(rollcall__pool_leader(&pool, 0), 1);
    CHECK_INT(pool.term, 8);
    tell(&pool, 2, 8);
    CHECK_INT(fit_ones(&pool), THREE);
}

TEST(pool, of_two_endpoints_the_one_that_told_first_says_which_cluster_it_is)
{
    struct rollcall__pool pool = pool_of(2, 0);
    tell(&pool, 1, 8);
    tell(&pool, 0, 9);
    tell(&pool, 0, 9);
    rollcall__pool_failed(&pool, 1, 0, 0); /* to be down is not to belong elsewhere */
    tell(&pool, 0, 9);
    CHECK_INT(pool.cluster_id, 8);
    CHECK(pool.endpoints[0].foreign);
}

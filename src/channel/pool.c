/* channel/pool.c - see pool.h. */
#include "channel/pool.h"

#include <string.h>

enum {
    AWAY_STEP_MS = 100,
    AWAY_STEPS_MAX = 4,
    SILENT_MS = 250,
    LATENCY_WEIGHT = 8, /* of the average against the newest: as TCP's smoothed round trip */
    SLOW_FACTOR = 2,    /* an endpoint this much slower than the best is not gone to, */
    SLOW_US = 5000,     /* unless the difference is less than that */
    HOME_AGAIN_MS = 30000,
    US_PER_MS = 1000
};

void rollcall__pool_init(struct rollcall__pool *pool, size_t count, uint64_t random)
{
    memset(pool, 0, sizeof *pool);
    pool->count = count;
    pool->home = (size_t)(random % count);
    pool->current = pool->home;
    for (size_t i = 0; i < ROLLCALL__ENDPOINTS_MAX; i++) {
        pool->endpoints[i].well_since_ms = INT64_MAX;
    }
}

void rollcall__pool_succeeded(struct rollcall__pool *pool, size_t endpoint, int64_t latency_ms,
                              int64_t now_ms)
{
    struct rollcall__endpoint *of = &pool->endpoints[endpoint];
    const int64_t latency_us = (latency_ms > 0 ? latency_ms : 0) * US_PER_MS + 1;
    of->failures = 0;
    of->away_until_ms = 0;
    of->well_since_ms = of->well_since_ms < now_ms ? of->well_since_ms : now_ms;
    of->latency_us = of->latency_us == 0
                         ? latency_us
                         : of->latency_us + (latency_us - of->latency_us) / LATENCY_WEIGHT;
}

void rollcall__pool_failed(struct rollcall__pool *pool, size_t endpoint, uint64_t random,
                           int64_t now_ms)
{
    struct rollcall__endpoint *of = &pool->endpoints[endpoint];
    of->well_since_ms = INT64_MAX;
    if (of->failures > 0 && now_ms < of->away_until_ms) {
        return; /* known: one break ends all that is under way there */
    }
    of->failures += of->failures < AWAY_STEPS_MAX ? 1 : 0;
    const int64_t most_ms = (int64_t)AWAY_STEP_MS * of->failures;
    of->away_until_ms = now_ms + most_ms / 2 + (int64_t)(random % ((uint64_t)most_ms / 2 + 1));
}

void rollcall__pool_silent(struct rollcall__pool *pool, size_t endpoint, uint64_t random,
                           int64_t now_ms)
{
    struct rollcall__endpoint *of = &pool->endpoints[endpoint];
    const int64_t until_ms = now_ms + SILENT_MS + (int64_t)(random % SILENT_MS);
    of->well_since_ms = INT64_MAX;
    of->away_until_ms = of->away_until_ms > until_ms ? of->away_until_ms : until_ms;
}

static size_t count_of(const struct rollcall__pool *pool, uint64_t cluster_id)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->count; i++) {
        count += pool->endpoints[i].cluster_id == cluster_id;
    }
    return count;
}

/* Of the first that told, for there must be one; of another, once more endpoints are of that: then
 * it was the first that was wrong, or the cluster has been set up anew, and knows no leader of
 * before.  An endpoint that is down stays with what it told. */
static void settle_cluster(struct rollcall__pool *pool, uint64_t cluster_id)
{
    if (cluster_id == 0 || cluster_id == pool->cluster_id ||
        (pool->cluster_id != 0 && count_of(pool, cluster_id) <= count_of(pool, pool->cluster_id))) {
        return;
    }
    pool->cluster_id = cluster_id;
    pool->leader_id = 0;
    pool->term = 0;
    for (size_t i = 0; i < pool->count; i++) {
        struct rollcall__endpoint *of = &pool->endpoints[i];
        of->foreign = of->cluster_id != 0 && of->cluster_id != cluster_id;
    }
}

void rollcall__pool_learn(struct rollcall__pool *pool, size_t endpoint,
                          const struct rollcall__identity *identity)
{
    struct rollcall__endpoint *of = &pool->endpoints[endpoint];
    of->cluster_id = identity->cluster_id;
    settle_cluster(pool, identity->cluster_id);
    of->member_id = identity->member_id;
    of->learner = identity->learner;
    of->foreign = identity->cluster_id != pool->cluster_id;
    of->unproven = false;
    if (!of->foreign && identity->leader_id != 0 && identity->term >= pool->term) {
        pool->leader_id = identity->leader_id;
        pool->term = identity->term;
    }
}

void rollcall__pool_add(struct rollcall__pool *pool)
{
    pool->endpoints[pool->count].unproven = true;
    pool->count++;
}

bool rollcall__pool_is_fit(const struct rollcall__endpoint *endpoint)
{
    return !endpoint->learner && !endpoint->foreign && !endpoint->unproven;
}

bool rollcall__pool_is_well(const struct rollcall__pool *pool, size_t endpoint, int64_t now_ms)
{
    const struct rollcall__endpoint *of = &pool->endpoints[endpoint];
    return of->away_until_ms <= now_ms && rollcall__pool_is_fit(of);
}

static bool may(uint32_t allowed, size_t endpoint)
{
    return (allowed & UINT32_C(1) << endpoint) != 0;
}

/* The average of the fastest that may be gone to. */
static int64_t best_us(const struct rollcall__pool *pool, uint32_t allowed, int64_t now_ms)
{
    int64_t best = INT64_MAX / SLOW_FACTOR - SLOW_US;
    for (size_t i = 0; i < pool->count; i++) {
        if (may(allowed, i) && rollcall__pool_is_well(pool, i, now_ms) &&
            pool->endpoints[i].latency_us < best) {
            best = pool->endpoints[i].latency_us;
        }
    }
    return best;
}

static size_t soonest(const struct rollcall__pool *pool, uint32_t allowed)
{
    size_t found = pool->count;
    for (size_t i = 0; i < pool->count; i++) {
        const size_t at = (pool->current + i) % pool->count;
        if (may(allowed, at) &&
            (found == pool->count ||
             pool->endpoints[at].away_until_ms < pool->endpoints[found].away_until_ms)) {
            found = at;
        }
    }
    return found == pool->count ? pool->current : found;
}

/* Those that may be gone to at all.  A fit one that cannot be reached refuses, which is mended
 * later; at another cluster what is asked would be done. */
static uint32_t candidates(const struct rollcall__pool *pool, uint32_t allowed)
{
    uint32_t fit = 0;
    for (size_t i = 0; i < pool->count; i++) {
        fit |= rollcall__pool_is_fit(&pool->endpoints[i]) ? UINT32_C(1) << i : 0;
    }
    if ((allowed & fit) != 0) {
        return allowed & fit;
    }
    return fit != 0 ? fit : UINT32_MAX;
}

size_t rollcall__pool_pick(struct rollcall__pool *pool, uint32_t allowed, int64_t now_ms)
{
    const uint32_t all = candidates(pool, allowed);
    const struct rollcall__endpoint *home = &pool->endpoints[pool->home];
    if (may(all, pool->home) && rollcall__pool_is_well(pool, pool->home, now_ms) &&
        home->well_since_ms <= now_ms - HOME_AGAIN_MS) {
        pool->current = pool->home;
    }
    if (may(all, pool->current) && rollcall__pool_is_well(pool, pool->current, now_ms)) {
        return pool->current;
    }
    if (may(all, pool->home) && rollcall__pool_is_well(pool, pool->home, now_ms)) {
        pool->current = pool->home; /* of two that are as good: so that those who flee spread */
        return pool->current;
    }
    const int64_t best = best_us(pool, all, now_ms);
    for (size_t i = 1; i < pool->count; i++) {
        const size_t at = (pool->current + i) % pool->count;
        if (may(all, at) && rollcall__pool_is_well(pool, at, now_ms) &&
            pool->endpoints[at].latency_us <= SLOW_FACTOR * best + SLOW_US) {
            pool->current = at;
            return at;
        }
    }
    return soonest(pool, all);
}

size_t rollcall__pool_leader(const struct rollcall__pool *pool, int64_t now_ms)
{
    for (size_t i = 0; pool->leader_id != 0 && i < pool->count; i++) {
        if (pool->endpoints[i].member_id == pool->leader_id &&
            rollcall__pool_is_well(pool, i, now_ms)) {
            return i;
        }
    }
    return pool->count;
}

/*
 * channel/pool.h - what is known of each endpoint, and which one is asked next.  Pure.
 *
 * An endpoint that fails is left alone for a while, up to 0.1 s at first and then 0.1 s more each
 * time, up to 0.4 s, at random, so that no crowd comes back at one moment; one that answers is
 * welcome again at once.  A pool has a home, drawn at random, so that the clients of a cluster
 * spread; who had to leave it comes back when it has been well for long enough.
 *
 * Threads: one.
 */
#ifndef CHANNEL_POOL_H
#define CHANNEL_POOL_H

#include "channel/driver.h"

struct rollcall__endpoint {
    uint32_t failures;     /* in a row */
    int64_t away_until_ms; /* left alone until then */
    int64_t well_since_ms; /* the first answer after the last failure; INT64_MAX: none yet */
    int64_t latency_us;    /* moving average of its answers; 0: none yet */
    bool silent;           /* a renewal has not been answered in time, and none since: */
    int64_t silent_ms;     /* since when, the last time */
    int64_t tried_ms;      /* a renewal was sent to it, the last time */
    bool learner;          /* serves nothing that we ask */
    bool foreign;          /* belongs to another cluster */
    bool unproven;         /* added, and has not said to which it belongs */
    uint64_t cluster_id;   /* that it told of last; 0: none yet */
    uint64_t member_id;    /* 0: not known */
    bool probing;          /* and the next: probe.c's */
    int64_t probe_at_ms;
    int64_t watched_ms; /* something came from it for a watch, the last time: watch.c's */
};

/* What an endpoint says of itself. */
struct rollcall__identity {
    uint64_t cluster_id, member_id;
    uint64_t leader_id; /* 0: it knows of none */
    uint64_t term;      /* of raft */
    bool learner;
};

struct rollcall__pool {
    struct rollcall__endpoint endpoints[ROLLCALL__ENDPOINTS_MAX];
    size_t count;
    size_t home, current;
    uint64_t leader_id;  /* 0: not known */
    uint64_t term;       /* of raft, in which that was so */
    uint64_t cluster_id; /* ours: of most endpoints, of the first that told; 0: none has */
};

void rollcall__pool_init(struct rollcall__pool *pool, size_t count, uint64_t random);
/* It has answered, after latency_ms. */
void rollcall__pool_succeeded(struct rollcall__pool *pool, size_t endpoint, int64_t latency_ms,
                              int64_t now_ms);
/* It has failed; while it is left alone for that already, that is no news.  random: any number,
 * another one each time. */
void rollcall__pool_failed(struct rollcall__pool *pool, size_t endpoint, uint64_t random,
                           int64_t now_ms);
/* It has not answered in time, and may yet: others are preferred for a moment. */
void rollcall__pool_silent(struct rollcall__pool *pool, size_t endpoint, uint64_t random,
                           int64_t now_ms);

/* It has told of itself.  What it says of the leader counts unless another knows a later term.  If
 * more endpoints are of its cluster now than of ours, that one is ours from here on. */
void rollcall__pool_learn(struct rollcall__pool *pool, size_t endpoint,
                          const struct rollcall__identity *identity);
/* One more, at the end; nothing is asked of it until it has told that it belongs here. */
void rollcall__pool_add(struct rollcall__pool *pool);

/* No learner, and of this cluster. */
bool rollcall__pool_is_fit(const struct rollcall__endpoint *endpoint);
/* Not left alone now, and fit. */
bool rollcall__pool_is_well(const struct rollcall__pool *pool, size_t endpoint, int64_t now_ms);
/* What is preferred of those with a bit in `allowed`, of `count` bits: home, or where we went from
 * there.  None of them fit: as if all had one; none well: the one that may be asked soonest.  One
 * that is not fit only when none is. */
size_t rollcall__pool_pick(struct rollcall__pool *pool, uint32_t allowed, int64_t now_ms);
/* The endpoint of the leader; `count`: not known, or not well. */
size_t rollcall__pool_leader(const struct rollcall__pool *pool, int64_t now_ms);

#endif /* CHANNEL_POOL_H */

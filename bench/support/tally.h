/*
 * bench/support/tally.h - what the processes of bench/fanout have in common: a file they all map,
 * in which the measured client notes what reaches its watchers, so that reading it costs the client
 * nothing.  bench/peers/clientv3/fanout.go knows this layout, too.
 *
 * Every event has a number, which is in its record: its place in its lane, times the lanes, plus
 * the lane; there are 2^lane_shift.  A lane is written in order; each watcher must get all of each
 * lane, once, in order. Times are of CLOCK_MONOTONIC; only every 2^sample_shift-th event of a lane
 * has some.
 *
 * Threads: of one watcher one thread notes at a time; everything else is atomic.
 */
#ifndef BENCH_SUPPORT_TALLY_H
#define BENCH_SUPPORT_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TALLY_HEAD_BYTES = 4096,
    TALLY_LANES_MAX = 16, /* a power of two; a watcher's counts fill a cache line */
    TALLY_SHIFT_NEVER = 62,
    /* Our client's queues: so many watchers share one, and so many slices; fewer where memory is
     * looked at, for a lane's pages become resident as they are written for the first time. */
    TALLY_QUEUE_WATCHERS = 1000,
    TALLY_QUEUE_SLICES = 65536,
    TALLY_QUEUE_SLICES_FEW = 2048,
    TALLY_QUEUES_MAX = 128
};

/* The start of the file, in words of 64 bits. */
struct tally_head {
    int64_t watchers, lane_shift, sample_shift, slots; /* before anyone else maps it */
    int64_t stuck;                                     /* so many watchers, the first, never read */
    int64_t lead; /* so many events may be ahead of the slowest watcher, where there is no rate */
    _Atomic int64_t ready;                                    /* watchers that watch */
    _Atomic int64_t rss_one_bytes, rss_ready_bytes;           /* with one that watches; with all */
    _Atomic int64_t faults;                                   /* lost, repeated, out of order */
    _Atomic int64_t undecoded, resyncs;                       /* records; of ours only */
    _Atomic int64_t fault_watcher, fault_got, fault_expected; /* the first one */
    /* For and from the canned server: */
    int64_t rate_per_s, events_per_response; /* 0: as fast as they are read */
    _Atomic int64_t started, stopped;        /* the feed: by the driver */
    _Atomic int64_t fed;                     /* once stopped: what each watcher gets; before: -1 */
    /* Of watchers that never read, with a queue: */
    _Atomic int64_t read_again; /* by the driver: what is there is read, and held against a list */
    _Atomic int64_t again_done; /* by the client, when all of these are known: */
    _Atomic int64_t converged, again_events, again_resyncs, again_us; /* the most of each */
    _Atomic int64_t again_rss_bytes;
};

struct tally {
    struct tally_head *head;
    _Atomic uint32_t *next;     /* [watcher][TALLY_LANES_MAX]: its next place in each lane */
    _Atomic uint32_t *arrivals; /* [slot]: how many watchers have it */
    _Atomic int64_t *begun_ns;  /* [slot]: when its writer was answered; 0: not yet */
    _Atomic int64_t *last_ns;   /* [slot]: when the last watcher had it */
    size_t size_bytes;
};

/* Makes the file, all zero but for what `wanted` says.  False, after one sentence on stderr. */
bool tally_create(struct tally *tally, const char *path, const struct tally_head *wanted);
bool tally_open(struct tally *tally, const char *path);
void tally_close(struct tally *tally);

int64_t tally_now_ns(void); /* CLOCK_MONOTONIC */

/* Where the times of an event are; -1: it has none. */
int64_t tally_slot(const struct tally *tally, int64_t number);
/* Its writer has been answered. */
void tally_begun(struct tally *tally, int64_t number, int64_t at_ns);
void tally__note_fault(struct tally *tally, int64_t watcher, int64_t number, int64_t expected);
void tally__note_arrival(struct tally *tally, int64_t slot);

/* One event has reached one watcher.  Here, for it is part of what is measured. */
static inline void tally_note(struct tally *tally, int64_t watcher, int64_t number)
{
    const struct tally_head *head = tally->head;
    const int64_t place = number >> head->lane_shift;
    const int64_t lane = number & ((1LL << head->lane_shift) - 1);
    _Atomic uint32_t *next = &tally->next[watcher * TALLY_LANES_MAX + lane];
    const uint32_t expected = atomic_load_explicit(next, memory_order_relaxed);
    if ((uint32_t)place != expected) {
        tally__note_fault(tally, watcher, number, ((int64_t)expected << head->lane_shift) + lane);
    }
    atomic_store_explicit(next, (uint32_t)place + 1, memory_order_relaxed);
    if ((place & ((1LL << head->sample_shift) - 1)) == 0) {
        tally__note_arrival(tally, tally_slot(tally, number));
    }
}

/* How many queues our client has, how many slices one has, and how many of them are a watcher's. */
int64_t tally_queues(const struct tally *tally);
int64_t tally_slices(const struct tally_head *head);
int64_t tally_slices_each(const struct tally_head *head);

int64_t tally_delivered(const struct tally *tally); /* to all watchers that read */
/* By how many events the slowest watcher of some that stand for all is through. */
int64_t tally_slowest(const struct tally *tally);
/* Of the watchers that read, whether all have `places[lane]` events of each lane. */
bool tally_complete(const struct tally *tally, const int64_t *places);
void tally_print_fault(const struct tally *tally); /* a sentence on stderr, if there is one */

#endif /* BENCH_SUPPORT_TALLY_H */

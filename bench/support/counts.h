/*
 * bench/support/counts.h - what an etcd has been asked for, and has told, so far, by its own count.
 *
 * Threads: any.
 */
#ifndef BENCH_SUPPORT_COUNTS_H
#define BENCH_SUPPORT_COUNTS_H

#include "support/witness.h"

#include <stdint.h>

struct counts {
    int64_t writes; /* what its log has, of whatever kind, whether it changed anything */
    int64_t txns, ranges, revokes;
    int64_t requests, renewals; /* renewals are no part of requests */
    int64_t events, responses;  /* of watches, without the witness's */
    int64_t behind;             /* watches that are not up to date, now */
};

/* endpoint: "127.0.0.1:PORT". */
struct counts counts_get(const char *endpoint, const struct witness *witness);
struct counts counts_between(const struct counts *before, const struct counts *after);

#endif /* BENCH_SUPPORT_COUNTS_H */

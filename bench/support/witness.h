/*
 * bench/support/witness.h - an independent watcher: notes when etcd told it of each change to keys
 * with a prefix.
 *
 * It speaks gRPC itself: the library under test has a part in the bench already.
 * Threads: create and destroy: one, which has called no gRPC before; then any.  It has its own.
 * Errors:  NULL or false, after one sentence on stderr.
 */
#ifndef BENCH_SUPPORT_WITNESS_H
#define BENCH_SUPPORT_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct witness;

/* Returns once it watches. */
struct witness *witness_create(const char *endpoint, const char *prefix);
void witness_destroy(struct witness *witness); /* NULL: nothing */

/* What it was told so far: single changes, and the messages they came in. */
struct witness_count {
    int64_t events, responses;
};
struct witness_count witness_count(const struct witness *witness);

/* When it was told that the key was deleted, first after so many events; 0: not yet, or long ago:
 * the last 4096 events are kept. */
int64_t witness_deleted_ns(const struct witness *witness, int64_t after_events, const char *key);
/* The same of a put, first from that time on. */
int64_t witness_put_ns(const struct witness *witness, int64_t from_ns, const char *key);

bool witness_failed(const struct witness *witness); /* its watch is over */

#endif /* BENCH_SUPPORT_WITNESS_H */

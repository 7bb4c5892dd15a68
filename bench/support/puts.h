/*
 * bench/support/puts.h - writes the events of a tally into an etcd: each lane waits for one answer
 * at a time, so that its events get there in order; the lanes do not wait for each other.
 *
 * It speaks gRPC itself: the library under test has a part in the bench already.
 * Threads: start and stop: one; it has its own.
 * Errors:  NULL or false, after one sentence on stderr.
 */
#ifndef BENCH_SUPPORT_PUTS_H
#define BENCH_SUPPORT_PUTS_H

#include "support/tally.h"

struct puts;

/* Begins at once: transactions of `events_per_response` keys, or puts if it is 1; `rate_per_s` of
 * them, or as many as fit into the lead.  tally: borrowed. */
struct puts *puts_start(const char *endpoint, struct tally *tally);
/* Waits for the last answers, within 10 s, and frees.  places: how many events each lane has. */
bool puts_stop(struct puts *puts, int64_t places[TALLY_LANES_MAX]);

#endif /* BENCH_SUPPORT_PUTS_H */

/*
 * bench/support/belief.h - which sessions a watcher of bench/fanout believes in, and in which
 * version: what it was told in the end is held against a list.
 * Threads: one at a time.
 */
#ifndef BENCH_SUPPORT_BELIEF_H
#define BENCH_SUPPORT_BELIEF_H

#include "support/session_record.h"

#include <rollcall/watch.h>

/* Zero is nothing.  By the number in the key; 0: it is not there. */
struct belief {
    int64_t mod_revision[SESSION_RECORD_KEYS], server_id[SESSION_RECORD_KEYS];
    int64_t events, resyncs;
};

/* on_event; user: the belief. */
void belief_take(void *user, const struct rollcall_watch_event *event);
bool belief_equal(const struct belief *a, const struct belief *b);
int64_t belief_count(const struct belief *belief); /* of sessions */

#endif /* BENCH_SUPPORT_BELIEF_H */

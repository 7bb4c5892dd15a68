/*
 * tests/support/renewals.h - which renewals of leases passed which proxy, and when: what a client
 * really did, without asking it.
 *
 * A renewal is known by its bytes: gRPC's prefix, then a message of exactly a lease's ID; what
 * answers it has header, ID and TTL, as the answer to a grant has, which counts as an answer too.
 *
 * Threads: any; the proxies' threads note, the test's thread asks.
 * Errors:  more than `capacity` of them end the program, with a sentence on stderr.
 */
#ifndef TESTS_SUPPORT_RENEWALS_H
#define TESTS_SUPPORT_RENEWALS_H

#include "support/proxy.h"

enum { RENEWALS_ANY = -1, RENEWALS_VIA_MAX = 4 };
enum renewals_what { RENEWALS_SENT, RENEWALS_ANSWERED };

struct renewals;

struct renewals *renewals_create(size_t capacity);
void renewals_destroy(struct renewals *renewals); /* after its proxies; NULL: nothing */

/* The tap of a proxy, and its user: what passes there is noted as via `via`. */
proxy_tap_fn renewals_tap;
void *renewals_user(struct renewals *renewals, int via);

/* How many renewals are among the bytes: requests, or answers, by the side they come from.  For a
 * tap that notes nothing of each. */
size_t renewals_in(const struct proxy_bytes *bytes);

/* The next `times` answers about a lease are made to say that it has 0 s left: it is gone. */
void renewals_answer_zero(struct renewals *renewals, int64_t lease_id, int times);
/* How many were made to say so. */
int renewals_zeroed(struct renewals *renewals);

/* In all of these: via: RENEWALS_ANY: all.  lease_id: 0: all.  From from_ms on, before to_ms, of
 * process_now_ms. */
size_t renewals_count(struct renewals *renewals, enum renewals_what what, int via, int64_t lease_id,
                      int64_t from_ms, int64_t to_ms);
/* When the last passed; 0: none has. */
int64_t renewals_last_ms(struct renewals *renewals, enum renewals_what what, int via,
                         int64_t lease_id);
/* How much memory the notes so far take up. */
size_t renewals_bytes(struct renewals *renewals);
/* Waits until one passed at from_ms or later; false when none did within timeout_ms. */
bool renewals_await(struct renewals *renewals, enum renewals_what what, int via, int64_t lease_id,
                    int64_t from_ms, int64_t timeout_ms);

/* The longest time from when a request was sent that was answered, to when the next answer about
 * the same lease came, or to_ms passed: what a TTL must be longer than. */
struct renewals_gap {
    int64_t from_ms, to_ms;
};
struct renewals_gap renewals_worst_gap(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                       int64_t to_ms);
int64_t renewals_worst_gap_ms(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                              int64_t to_ms);
/* The longest time from a request to the next answer about the same lease. */
int64_t renewals_worst_delay_ms(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                int64_t to_ms);
/* How many requests about a lease there were at most without an answer in between. */
size_t renewals_most_outstanding(struct renewals *renewals, int64_t lease_id, int64_t from_ms,
                                 int64_t to_ms);

#endif /* TESTS_SUPPORT_RENEWALS_H */

/*
 * sim/calm.h - how long a session had nothing that could excuse it for being SUSPECT.
 *
 * What a client cannot help: too few members for a quorum, an election, a message that takes
 * seconds, a process that does not run, an actor that crashed.  What it can: one member of three in
 * trouble, a connection that breaks, a token that expires.  So a lease whose TTL is longer than an
 * election and two renewals must outlive those, unnoticed.
 *
 * Threads: the simulation's.
 */
#ifndef SIM_CALM_H
#define SIM_CALM_H

#include <stdbool.h>
#include <stdint.h>

struct rollcall_sim;

enum { ROLLCALL__CALM_INTERVALS = 8 };

/* Zero is a calm that has lasted for ever. */
struct rollcall__calm {
    uint64_t rough_seen;    /* faults of the first kind */
    int64_t rough_until_ms; /* when the last of them is over */
    /* No leader, or none that clients reach who has one, most recent first; to_ms INT64_MAX: it
     * lasts. */
    struct {
        int64_t from_ms, to_ms;
    } leaderless[ROLLCALL__CALM_INTERVALS];
};

/* Looks at what there is; after every step. */
void rollcall__calm_observe(struct rollcall__calm *calm, const struct rollcall_sim *sim);
/* A session of that TTL may be SUSPECT now. */
bool rollcall__calm_excuses(const struct rollcall__calm *calm, int64_t now_ms, int64_t ttl_ms);
/* Since when nothing of all that has been. */
int64_t rollcall__calm_since_ms(const struct rollcall__calm *calm, int64_t now_ms);

#endif /* SIM_CALM_H */

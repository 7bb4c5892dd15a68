/* scenarios/ballot_internal.h - what ballot.c and ballot_checks.c know of each other. */
#ifndef SCENARIOS_BALLOT_INTERNAL_H
#define SCENARIOS_BALLOT_INTERNAL_H

#include "scenarios/ballot.h"

#include "sim/sim.h"

#define ROOT "by-dev/meta"
#define ROLE "rootcoord"
#define ACTIVE_KEY ROOT "/session/" ROLE
#define REGISTER_KEY ROOT "/register"

static inline const struct rollcall_sim *sim_of(const struct ballot *ballot)
{
    return rollcall_world_sim(ballot->world);
}

static inline int64_t now_ms(const struct ballot *ballot)
{
    return sim_of(ballot)->now_ms;
}

/* ---- ballot_checks.c ---- */

/* Of a token that a session is activated with. */
void ballot_check_token(struct ballot_standing *standing, int64_t token);
/* It is asked for that just now, and nothing of it is done yet. */
void ballot_note_order(struct ballot_standing *standing, enum ballot_order order, int64_t to);
/* What was asked of it last is answered OK. */
void ballot_check_order(struct ballot_standing *standing);
/* A minute after the last fault. */
void ballot_check_end(struct ballot *ballot);

#endif /* SCENARIOS_BALLOT_INTERNAL_H */

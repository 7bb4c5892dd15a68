/*
 * scenarios/ballot.h - sessions of three processes that stand for one role: they come and go,
 * resign, hand over, force, refuse to act, and are marked Stopping.  What must hold:
 * ballot_checks.c.
 *
 * Threads: the simulation's.
 */
#ifndef SCENARIOS_BALLOT_H
#define SCENARIOS_BALLOT_H

#include "sim/check.h"

#include <rollcall/election.h>

enum { BALLOT_PROCESSES = 3, BALLOT_STANDINGS = 5 };

enum ballot_order { BALLOT_RESIGN, BALLOT_HAND_OVER, BALLOT_FORCE, BALLOT_ORDERS };
/* What one was asked last, and what there was then. */
struct ballot_asked {
    enum ballot_order order;
    int64_t to;                    /* HAND_OVER: that server ID */
    int64_t lease_id;              /* its session's */
    int64_t activated, void_token; /* as in ballot_standing */
};

struct ballot;
/* One session that stands. */
struct ballot_standing {
    struct rollcall_session *session; /* NULL: none is open */
    struct rollcall__session_check check;
    struct ballot *ballot;
    uint32_t process;
    int64_t server_id;
    bool reregisters, asked_to_leave, failed;
    bool marked;            /* somebody wanted its record to be */
    bool announced;         /* STANDBY was told */
    int64_t told;           /* the token of ACTIVE, as told; 0: STANDBY */
    int64_t activated;      /* the token that activate was called with last */
    int64_t refused;        /* the token that it refused last; 0: none */
    int64_t void_token;     /* it has no key by this token, or by a lower one, as it knows: it has
                               refused, lost or given up that */
    bool refuses;           /* its next activation, */
    bool insists;           /* and is asked for something as soon as it has said so */
    int64_t back_from_ms;   /* it has refused then, */
    int64_t back_until_ms;  /* and is not to be activated before that, */
    bool forces;            /* unless it was asked to take it all the same */
    int64_t stands_from_ms; /* it can be expected to take over from then on; INT64_MAX: it cannot */
    uint64_t orders;        /* not answered */
    struct ballot_asked asked;
};

struct ballot {
    struct rollcall_world *world;
    struct rollcall_etcd *etcds[BALLOT_PROCESSES];
    struct ballot_standing standings[BALLOT_STANDINGS];
    bool forces;        /* of this run: it may be forced */
    int64_t highest;    /* token told so far */
    int64_t vacant_ms;  /* since when nobody acts; INT64_MAX: somebody does */
    int64_t two_ms;     /* since when two do, as one may for a moment whom the key is forced from */
    uint64_t takeovers; /* told */
    uint64_t writes;    /* by guard, that are not answered */
};

void ballot_begin(struct rollcall_world *world, void *state);
void ballot_act(struct rollcall_world *world, void *state);
void ballot_check(struct rollcall_world *world, void *state);
void ballot_settled(struct rollcall_world *world, void *state);
void ballot_heal(struct rollcall_world *world, void *state);
void ballot_end(struct rollcall_world *world, void *state);

#endif /* SCENARIOS_BALLOT_H */

/*
 * scenarios/estate.h - three processes, the owners, whose sessions come and go, share leases and
 * stand for a role; they die without a farewell, at any step, and what they leave is their
 * sentinels' to take away.  A sentinel is late, dies, is replaced, is let go of.
 *
 * The ledger, the sessions that note their leases in it, what a sentinel concludes, and how it
 * revokes are the real ones.  Sentinels live in a process of their own, the fourth, and see what
 * becomes of an owner by being told to look.  What must hold: estate_checks.c.
 *
 * Threads: the simulation's.
 */
#ifndef SCENARIOS_ESTATE_H
#define SCENARIOS_ESTATE_H

#include "sentinel/verdict.h"
#include "sim/check.h"

#include <rollcall/election.h>

enum {
    ESTATE_OWNERS = 3,
    ESTATE_HOST = 3, /* the process where sentinels live */
    ESTATE_SEATS = 6,
    ESTATE_HOLDERS_MAX = 128,
    ESTATE_SENTINELS_MAX = 48,
    ESTATE_KEYS_MAX = 2 * ESTATE_HOLDERS_MAX,
    ESTATE_ADDRESS_BYTES = 24,
    ESTATE_PORT = 20000 /* of the first holder's address; the next has the next */
};

struct estate;

/* A session, from when it is opened to the end of the run. */
struct estate_holder {
    struct rollcall_session *session; /* NULL: it is closed */
    struct rollcall__session_check check;
    struct estate *estate;
    uint32_t owner;
    char address[ESTATE_ADDRESS_BYTES]; /* nobody else's: by it a record is known */
    int64_t ttl_s;
    int64_t lease_id; /* told last; 0: none */
    bool reregisters;
    bool over; /* so it was told last, and can be asked to begin again */
    bool
        bad_end; /* so it was told last: its actors could not go on, or etcd did not let it leave */
    bool torn;   /* and it registers anew, though etcd may have what it had before: that is left to
                    its TTL */
    bool stands, shares;
    int64_t told;           /* the token of ACTIVE, as told; 0: STANDBY */
    int64_t stands_from_ms; /* it can be expected to take over from then on; INT64_MAX: it cannot */
};

struct estate_owner {
    struct rollcall_etcd *etcd; /* NULL: it has closed its connection, or there is none */
    struct rollcall__ledger *ledger;
    struct rollcall__ledger_view *view;
    uint32_t starts;        /* of sentinels, so far */
    uint64_t dies_at;       /* the step; UINT64_MAX: nothing is planned */
    int64_t died_ms;        /* INT64_MAX: it lives */
    int64_t longest_ttl_ms; /* that it died with */
    bool guarded; /* it has died while a sentinel looked out for it, and nothing has happened to
                     that one */
    int64_t companions, handed_over; /* named so far; the last that a sentinel can see the end of */
    bool companion_lives;
    int64_t companion_died_ms;
};

/* One sentinel, from its birth on. */
struct estate_sentinel {
    struct rollcall_ref ref;
    uint32_t owner;
    bool let_go; /* its owner lives, and does not know it any more */
    bool born, ended;
    bool to_look;      /* it could not be told, and is told again */
    bool hindered;     /* it had no memory, or no room */
    uint32_t revoking; /* leases */
};

/* A key of a session that etcd has now. */
struct estate_key {
    struct rollcall_bytes key; /* the model's own copy */
    int64_t lease_id;
    struct estate_holder *holder; /* whose record it holds; NULL: it is a stranger's */
};

struct estate_spell; /* estate.c */

struct estate {
    struct rollcall_world *world;
    struct rollcall_etcd *host;
    struct estate_owner owners[ESTATE_OWNERS];
    /* Seat i is of owner i % ESTATE_OWNERS; NULL: free. */
    struct estate_holder *seats[ESTATE_SEATS];
    struct estate_holder holders[ESTATE_HOLDERS_MAX];
    uint32_t holder_count;
    struct estate_sentinel sentinels[ESTATE_SENTINELS_MAX];
    uint32_t sentinel_count;
    struct estate_key keys[ESTATE_KEYS_MAX];
    size_t key_count, history_seen;
    bool over;             /* all is checked, and the dead are raised to be closed */
    int busy;              /* the owner that waits in a call, and cannot die meanwhile; -1: none */
    int64_t last_death_ms; /* nobody dies after that: what follows a death takes its time */
    const struct estate_spell *spell; /* of faults; NULL: it is over */
    int64_t spell_until_ms;
    uint64_t faults_seen;
    uint64_t delays_seen;
    int64_t quiet_ms;  /* since when nothing was in the way of a sentinel */
    int64_t acted_ms;  /* when somebody acted last, */
    int64_t absent_ms; /* and since when the active key is not there, if it is not */
};

void estate_begin(struct rollcall_world *world, void *state);
void estate_act(struct rollcall_world *world, void *state);
void estate_check(struct rollcall_world *world, void *state);
void estate_settled(struct rollcall_world *world, void *state);
void estate_heal(struct rollcall_world *world, void *state);
void estate_end(struct rollcall_world *world, void *state);

#endif /* SCENARIOS_ESTATE_H */

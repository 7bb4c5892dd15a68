/*
 * sim/check.h - what must hold of what the application is told, held against the model's truth.
 *
 * A check is fed with every event of one session or one watch, and asked at rest, when nothing is
 * ready and the clock is about to move.  What does not hold goes to rollcall_world_violate, under
 * the name of the invariant in quotes.
 *
 * Threads: the simulation's.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include <rollcall/session.h>
#include <rollcall/testing.h>
#include <rollcall/watch.h>

/*
 * A session:
 * "alive-implies-lease"  at rest, one that is told ACTIVE has a lease that has not run out;
 * "one-loss-one-word"    LOST is told once for each registration, and not after STOPPING;
 * "lost-is-lost"         LOST for its lease is told when etcd has it no more;
 * "order-of-states"      only the arrows of session.h are told;
 * "tokens-rise"          each registration's create revision is higher than the one before, and one
 *                        that was LOST is no member's again;
 * "nothing-after-close"  no event comes after close has returned;
 * "suspect-has-a-cause"  with a TTL of 5 s or more SUSPECT is told only after what a client cannot
 *                        help (sim/calm.h);
 * "suspect-ends"         and ACTIVE again soon after that is over;
 * "safe-until-is-true"   no etcd has a lease end before the time that info gives for it;
 * "hedges"               a lease is renewed soon after that was due, if some member could have
 *                        answered (sim/reach.h), whatever the others did;
 * "no-lease-left"        one that ended well has left no key, and no lease but one that is shared;
 * "nobody-takes-it-away" a lease that is told as lost was not revoked, unless by a stranger,
 *                        or an etcd of old;
 * "active-implies-key"   after healing, one that is ACTIVE has the key that it was told.
 */
struct rollcall__session_check {
    struct rollcall_world *world;
    uint32_t process;
    bool shared;  /* the lease may be others' too */
    bool evicted; /* sessions are revoked by others */
    bool told, closed;
    enum rollcall_session_state state;
    enum rollcall_status status;       /* told with it */
    int64_t lease_id, create_revision; /* of the last registration told */
    int64_t lost_create_revision;      /* of the last LOST */
    int64_t member_ms;                 /* when ACTIVE was first told */
    int64_t ttl_ms, suspect_ms;        /* of the lease; when SUSPECT was told last */
    char key[256];
};
void rollcall__check_session_event(struct rollcall__session_check *check,
                                   const struct rollcall_session_event *event);
/* Asked for again: the arrows begin anew. */
void rollcall__check_session_restarted(struct rollcall__session_check *check);
void rollcall__check_session_at_rest(struct rollcall__session_check *check);
/* At rest, too; info: what it says now. */
void rollcall__check_session_info(const struct rollcall__session_check *check,
                                  const struct rollcall_session_info *info);
void rollcall__check_session_renewed(const struct rollcall__session_check *check,
                                     const struct rollcall_session_info *info);
/* After close, whose answer it was. */
void rollcall__check_session_closed(struct rollcall__session_check *check,
                                    enum rollcall_status status);
/* After healing; info: what it says now. */
void rollcall__check_session_key(const struct rollcall__session_check *check,
                                 const struct rollcall_session_info *info);

/*
 * A watch of one role from a snapshot on:
 * "view-is-history"      a snapshot, the end of a RESYNC, or what on_rewatch is given, is what the
 *                        store held then;
 * "every-change-once"    between them each change is told, once, in the order of its revision;
 * "kinds-agree"          ADD is of what was not there, UPDATE and DELETE of what was;
 * "no-false-alarm"       a RESYNC is told for a reason there is;
 * "watch-goes-on"        a watch that etcd has answered once does not fail for what may pass;
 * "view-converges"       after healing it has told all there is.
 */
enum { ROLLCALL__VIEW_MAX = 64 };
struct rollcall__watch_check {
    struct rollcall_world *world;
    const char *root, *role;
    bool audited; /* often enough for what etcd loses to be told in the end */
    enum { ROLLCALL__VIEW_NONE, ROLLCALL__VIEW_TELLING, ROLLCALL__VIEW_LIVE } phase;
    bool failed, closed;
    size_t cursor; /* into the model's history: what is before has been told */
    struct {
        struct rollcall_bytes key; /* the model's own copy */
        int64_t mod_revision;
    } view[ROLLCALL__VIEW_MAX];
    size_t count;
    uint64_t events;
    uint64_t given; /* how often on_rewatch was called */
};
void rollcall__check_watch_event(struct rollcall__watch_check *check,
                                 const struct rollcall_watch_event *event);
/* on_rewatch has been called, and takes it in. */
void rollcall__check_watch_all(struct rollcall__watch_check *check,
                               const struct rollcall_view *view);
void rollcall__check_watch_converged(struct rollcall__watch_check *check);
/* "view-is-history"  so is what rollcall_watch_view gives. */
void rollcall__check_watch_view(const struct rollcall__watch_check *check,
                                const struct rollcall_view *view);

/*
 * All that was ever written; where a stranger meddled it says nothing.
 * "an-id-for-one"         the next server ID rises with every change: each is given out once;
 * "a-lease-for-each-key"  no session's key is put under no lease;
 * "nobody-is-overwritten" a key that is there is put again under its own lease only.
 */
void rollcall__check_history(struct rollcall_world *world, const char *root);
/*
 * Every lease ever granted, of a run in which every session was waited for; where other faults have
 * happened than such as cost a repetition it says nothing.
 * "no-lease-lapses"       each is renewed until it is revoked, and never left to its TTL;
 * "nobody-gives-up"       unless may_revoke, that is if nobody leaves, fails or has a rival, none
 * is revoked.
 */
void rollcall__check_leases(struct rollcall_world *world, bool may_revoke);

#endif /* SIM_CHECK_H */

/*
 * sim/etcd_model.h - what a cluster of etcd members does, as plain data: no clock, no thread, no
 * actor.  Time comes in as a parameter, never goes back, and randomness from the seed alone.
 *
 * One history for all members (raft keeps it one), each member at its own place in it.  A leader
 * ends leases; without one nothing is written and no lease ends; a new one gives every lease its
 * whole TTL again, and one election timeout (1 s) more.  Times and limits are those measured of
 * etcd 3.4.23 on a quiet machine.
 *
 * A request is done at once: what makes a real one wait (a follower that must catch up, a renewal
 * of a lease that is over) has happened when it returns.
 *
 * Memory: the model owns every key and value it ever held, until it is destroyed; results and
 * responses view them, so drop those first, close every watch, and destroy it last.  Out of memory
 * aborts the program.
 * Threads: one.
 */
#ifndef SIM_ETCD_MODEL_H
#define SIM_ETCD_MODEL_H

#include "transport/messages.h"

enum { ROLLCALL__MODEL_MEMBERS_MAX = 3 };

/* What old etcds are known to do; a set of bits. */
enum rollcall__model_quirk {
    /* before 3.4.34: a watch that begins at the compaction's revision is not told of a DELETE there
     */
    ROLLCALL__QUIRK_DROPS_TOMBSTONE = 1 << 0,
    /* before 3.4.38: a renewal of a lease revoked up to 20 ms ago is answered with its TTL */
    ROLLCALL__QUIRK_RENEWS_REVOKED = 1 << 1,
    /* before 3.4.25: a watch opened on a member that lags, at a revision it has not reached, is
     * told of up to four older ones first */
    ROLLCALL__QUIRK_WATCHES_BACK_IN_TIME = 1 << 2,
    /* before 3.4.42: a member that was frozen answers a linearizable read from before, until it has
     * caught up (1 to 100 ms) */
    ROLLCALL__QUIRK_READS_STALE_AFTER_FREEZE = 1 << 3,
    /* before 3.4.31: a leader that was frozen, and replaced, ends leases by its own clock when it
     * is thawed: they count as revoked */
    ROLLCALL__QUIRK_OLD_LEADER_REVOKES = 1 << 4,
    /* before 3.4.25: a progress notification may be ahead of events still to come */
    ROLLCALL__QUIRK_PROGRESS_AHEAD = 1 << 5,
    ROLLCALL__QUIRKS_ALL = (1 << 6) - 1
};

struct rollcall__model_options {
    uint64_t seed;
    uint32_t members;               /* 1 or 3 */
    uint32_t quirks;                /* of enum rollcall__model_quirk */
    size_t events_per_response_max; /* 0: no limit; larger responses are cut into fragments */
};

struct rollcall__model;
/* options: copied.  The time is 0, every member is up, one leads. */
struct rollcall__model *rollcall__model_create(const struct rollcall__model_options *options);
void rollcall__model_destroy(struct rollcall__model *model); /* NULL: nothing */

/* ---- time and members ---- */

enum rollcall__member_state {
    ROLLCALL__MEMBER_UP,
    ROLLCALL__MEMBER_FROZEN,   /* its process is stopped: it answers nothing, its clock goes on */
    ROLLCALL__MEMBER_ISOLATED, /* reached by clients, cut off from its peers: no leader.  A lone
                                  member has no peers, and goes on */
    ROLLCALL__MEMBER_DOWN,     /* killed: its watches end with an error; its data stays */
    ROLLCALL__MEMBER_UNREACHED /* reached by its peers, and not by clients, which is the network's
                                  affair: here it is as UP */
};
/* A leader that is UP again, with a quorum, before another was elected (1.0 to 1.6 s) goes on, with
 * what leases are over ended at once; but not one that was DOWN. */
void rollcall__model_set_member(struct rollcall__model *model, uint32_t member,
                                enum rollcall__member_state state, int64_t now_ms);
/* The leader gives up its place to another member that is up, at once; none is: nothing. */
void rollcall__model_move_leader(struct rollcall__model *model, int64_t now_ms);
/* -1: there is none. */
int rollcall__model_leader(const struct rollcall__model *model);
/* Does what is due by now_ms: leases end, leaders are elected, members catch up, watches without a
 * leader end.  What takes now_ms does this first, but for _watch_ready; call it before what does
 * not. */
void rollcall__model_advance(struct rollcall__model *model, int64_t now_ms);
/* When something may be due; INT64_MAX: nothing is. */
int64_t rollcall__model_next_ms(const struct rollcall__model *model);

/* ---- requests, as they reach a member that is not FROZEN or DOWN ---- */

/* Does what is asked; the result is an object with one reference, never NULL, its status and gRPC
 * code as the real adapter would give them (see etcd/error.c).  Without a leader it is
 * E_UNAVAILABLE, but a serializable range, and what is asked about members, is answered from the
 * member's place for one election timeout (1 s): until the member has noticed.  Then a STATUS is
 * empty. */
struct transport_result *rollcall__model_perform(struct rollcall__model *model, uint32_t member,
                                                 const struct transport_request *request,
                                                 int64_t now_ms);
/* *ttl_s: what is left is renewed to; 0 or less: unknown.  Returns OK, or E_UNAVAILABLE.  A lease
 * whose time is over, and which the leader has not ended yet, ends by this. */
enum rollcall_status rollcall__model_renew(struct rollcall__model *model, uint32_t member,
                                           int64_t lease_id, int64_t now_ms, int64_t *ttl_s);

/* ---- watches ---- */

/* A watch at one member; range: kept until the close.  Its first response has `created`; or an
 * error, of a member that has noticed that it has no leader. */
struct rollcall__model_watch *rollcall__model_watch_open(struct rollcall__model *model,
                                                         uint32_t member,
                                                         struct transport_range *range);
void rollcall__model_watch_close(struct rollcall__model_watch *watch);
/* The next response, an object with one reference; NULL: nothing to tell now, or the member is
 * FROZEN.  One revision per response; or up to 1000, for a watch that began in the past or is more
 * than 128 behind.  Whole revisions, but for fragments, which the adapter joins: a response is the
 * fragments up to the first without `fragment`.  After one that is `canceled`, or has an error (the
 * member was DOWN, or without a leader for three election timeouts: 3.9 to 4.6 s), only NULL. */
struct transport_watch_response *rollcall__model_watch_next(struct rollcall__model_watch *watch,
                                                            int64_t now_ms);
/* Something to tell now, without making it. */
bool rollcall__model_watch_ready(const struct rollcall__model_watch *watch, int64_t now_ms);
/* A response will be a progress notification: no events, the member's revision; after the events up
 * to there. */
void rollcall__model_watch_progress(struct rollcall__model_watch *watch);

/* What MEMBERS tells as a member's address. */
const char *rollcall__model_url(uint32_t member);

/* ---- what an operator, or a stranger, does; true: it was done; false: there is no leader, or no
 * such lease, no such key, or the revision is compacted already or still to come ---- */

bool rollcall__model_compact(struct rollcall__model *model, int64_t revision);
bool rollcall__model_put(struct rollcall__model *model, struct rollcall_bytes key,
                         struct rollcall_bytes value, int64_t lease_id, int64_t now_ms);
bool rollcall__model_delete(struct rollcall__model *model, struct rollcall_bytes key,
                            int64_t now_ms);
bool rollcall__model_revoke(struct rollcall__model *model, int64_t lease_id, int64_t now_ms);

/* ---- what checks may look at: the truth, not any member's view of it ---- */

int64_t rollcall__model_revision(const struct rollcall__model *model);
int64_t rollcall__model_compacted(const struct rollcall__model *model);
/* All changes ever, oldest first, compacted or not; a DELETE's kv has the key and mod_revision.
 * Each has what was there before, if anything.  Valid until the next change, as what _find gives.
 */
const struct transport_event *rollcall__model_history(const struct rollcall__model *model,
                                                      size_t *count);
/* What the key held at that revision, compacted or not; NULL: nothing. */
const struct transport_kv *rollcall__model_find(const struct rollcall__model *model,
                                                struct rollcall_bytes key, int64_t revision);
struct rollcall__model_lease {
    int64_t lease_id, ttl_s;
    int64_t granted_ms;
    int64_t expires_ms; /* as of now: not before this, unless it is revoked */
    int64_t ended_ms;   /* INT64_MAX: it is alive */
    bool revoked;       /* it ended by a revoke */
};
/* The last granted under that id; NULL: never granted.  Valid until the next grant. */
const struct rollcall__model_lease *rollcall__model_lease(const struct rollcall__model *model,
                                                          int64_t lease_id);
size_t rollcall__model_leases(const struct rollcall__model *model,
                              const struct rollcall__model_lease **leases); /* granted ever */

#endif /* SIM_ETCD_MODEL_H */

/*
 * sim/etcd_model_internal.h - what the files of the model share; see etcd_model.h.
 *
 *     etcd_model.c          create and destroy, the operator's hand, what checks look at
 *     etcd_model_store.c    keys, their changes, one history
 *     etcd_model_lease.c    leases and when they end
 *     etcd_model_member.c   members, elections, each member's place in the history
 *     etcd_model_request.c  what a member answers
 *     etcd_model_watch.c    what a watch tells
 *
 * Out of memory ends the program: a simulation that goes on without it proves nothing.
 */
#ifndef SIM_ETCD_MODEL_INTERNAL_H
#define SIM_ETCD_MODEL_INTERNAL_H

#include "sim/etcd_model.h"

#include "base/arena.h"
#include "base/random.h"

enum {
    MODEL_ELECTION_MS = 1000,    /* what a new leader adds to every lease */
    MODEL_ELECTED_MIN_MS = 1000, /* from the loss of a leader to the next, measured */
    MODEL_ELECTED_SPREAD_MS = 601,
    MODEL_NO_LEADER_MIN_MS = 3900, /* from the loss of the quorum to the end of watches */
    MODEL_NO_LEADER_SPREAD_MS = 701,
    MODEL_LEASE_CHECK_MS = 500, /* the leader looks for leases that are over */
    MODEL_LEASES_PER_CHECK_MAX = 500,
    MODEL_LEASE_TTL_MIN_S = 2,
    MODEL_APPLY_SPREAD_MS = 4,        /* a follower applies a change 0..3 ms after the leader */
    MODEL_REJOIN_SPREAD_MS = 100,     /* and 1..100 ms after it is back */
    MODEL_WATCH_QUEUE_MAX = 128,      /* revisions a watch may be behind, and still be told */
    MODEL_WATCH_REVISIONS_MAX = 1000, /* in one response to a watch that catches up */
    MODEL_RENEWS_REVOKED_MS = 20,     /* "just": how long the quirk answers for a lease gone */
    MODEL_BACK_IN_TIME_REVISIONS = 4, /* the quirk repeats 1..4 revisions */
    MODEL_DB_BYTES = 20480            /* an empty store's file */
};
#define MODEL_LEASE_TTL_MAX_S INT64_C(9000000000)

/* Every key there ever was; its changes are indexes into the history, oldest first. */
struct rollcall__model_key {
    struct rollcall_bytes key;
    uint32_t *changes;
    uint32_t change_count, change_capacity; /* never without a change */
};

/* What the truth table, struct rollcall__model_lease, does not show. */
struct rollcall__model_lease_state {
    size_t key_count;       /* attached now */
    int64_t old_expires_ms; /* by the clock of a leader that was frozen and replaced */
};

struct rollcall__model_member {
    enum rollcall__member_state state;
    int64_t revision, compacted; /* its place */
    size_t change_count;         /* of the history: up to its place */
    int64_t catch_up_ms;         /* when it reaches the head; INT64_MAX: it is there, or cut off */
    bool thawed;                 /* it has not caught up since it was frozen */
    int64_t cut_ms;              /* since when it has no leader; INT64_MAX: it has one */
    int64_t watches_end_ms;      /* when it gives up on a leader; INT64_MAX: it has not to */
};

struct rollcall__model_watch {
    struct rollcall__model *model;
    struct rollcall__model_watch *next, *previous; /* all that are open */
    struct transport_range *range;                 /* kept */
    uint32_t member;
    bool created_told;
    bool progress_wanted;
    bool empty_range;      /* canceled when it is created */
    bool compacted;        /* canceled: what comes next is gone */
    bool broken;           /* ends with an error */
    bool over;             /* has told its last */
    bool synced;           /* told all that was there when it was opened: since then, one by one */
    int64_t start;         /* the first revision told */
    size_t next_change;    /* index of the first change that is still to be told */
    int64_t safe_revision; /* a compaction takes back nothing up to here: it was queued before */
    size_t fragments_end;  /* index where the response ends that is being cut; 0: none is */
    size_t fragments_left; /* events of it that are still to be told */
    int64_t fragments_revision;
};

struct rollcall__model {
    struct rollcall__model_options options;
    struct rollcall__random random;
    struct rollcall__arena arena;
    uint64_t cluster_id;
    int64_t revision, compacted;
    int64_t now_ms;

    struct transport_event *history;
    size_t history_count, history_capacity;
    struct rollcall__model_key **keys; /* sorted */
    size_t key_count, key_capacity;

    struct rollcall__model_lease *leases; /* in the order they were granted */
    struct rollcall__model_lease_state *lease_states;
    size_t lease_count, lease_capacity;
    uint32_t *leases_by_id; /* sorted by id; one per id, the last granted */
    size_t lease_id_count;
    uint32_t *leases_alive; /* in the order they were granted */
    size_t lease_alive_count;
    int64_t
        lease_check_ms; /* some check of the leader's: the others are MODEL_LEASE_CHECK_MS apart */
    int64_t lease_due_ms; /* the check that may end one; INT64_MAX: none will */

    struct rollcall__model_member members[ROLLCALL__MODEL_MEMBERS_MAX];
    int leader;          /* -1: none; it may be cut off, see `leading` */
    bool leading;        /* the leader is up, and so is a quorum */
    int frozen_leader;   /* was replaced while frozen; -1: none */
    uint64_t raft_term;  /* of the last election */
    int64_t election_ms; /* when the next leader is elected; INT64_MAX: not without a quorum */

    struct rollcall__model_watch *watches;
};

/* ---- etcd_model_store.c ---- */

/* Never NULL; count * element_bytes is at most what the model needs.  Doubles *capacity. */
void *rollcall__model_grow(void *memory, size_t *capacity, size_t element_bytes);
/* First key not below `key`. */
size_t rollcall__model_key_place(const struct rollcall__model *model, struct rollcall_bytes key);
struct rollcall__model_key *rollcall__model_key_find(const struct rollcall__model *model,
                                                     struct rollcall_bytes key);
/* The value of a key at a revision; NULL: none. */
const struct transport_kv *rollcall__model_key_at(const struct rollcall__model *model,
                                                  const struct rollcall__model_key *key,
                                                  int64_t revision);
/* Index of the first change of `revision` or later. */
size_t rollcall__model_change_place(const struct rollcall__model *model, int64_t revision);
bool rollcall__model_in_range(const struct transport_range *range, struct rollcall_bytes key);
/* One change at model->revision + 1; a DELETE of what is not there is none, and false.  Several may
 * follow; rollcall__model_commit ends them. */
void rollcall__model_change_put(struct rollcall__model *model, struct rollcall_bytes key,
                                struct rollcall_bytes value, int64_t lease_id);
bool rollcall__model_change_delete(struct rollcall__model *model, struct rollcall_bytes key);
/* What was changed since the last commit becomes the next revision; nothing: no revision. */
void rollcall__model_commit(struct rollcall__model *model);

/* ---- etcd_model_lease.c ---- */

/* Index of a lease that is alive; SIZE_MAX: none. */
size_t rollcall__model_lease_alive(const struct rollcall__model *model, int64_t lease_id);
/* Returns the TTL granted. */
int64_t rollcall__model_lease_grant(struct rollcall__model *model, int64_t lease_id, int64_t ttl_s);
/* Deletes its keys in one revision. */
void rollcall__model_lease_end(struct rollcall__model *model, size_t lease, bool revoked);
/* A key came to, or left, a lease that may be over; 0: none. */
void rollcall__model_lease_count(struct rollcall__model *model, int64_t lease_id, bool attached);
void rollcall__model_lease_check(struct rollcall__model *model); /* if one is due */
/* Does the same now, whenever the leader last looked. */
void rollcall__model_lease_check_now(struct rollcall__model *model);
void rollcall__model_leases_extend(struct rollcall__model *model); /* a new leader's first act */
/* The clock of a leader that is being replaced while frozen. */
void rollcall__model_leases_remember(struct rollcall__model *model);
void rollcall__model_leases_end_by_memory(struct rollcall__model *model);

/* ---- etcd_model_member.c ---- */

void rollcall__model_members_init(struct rollcall__model *model);
/* It takes part in raft, and there is a leader. */
bool rollcall__model_has_leader(const struct rollcall__model *model, uint32_t member);
/* The history has grown: the leader is there, the others follow. */
void rollcall__model_members_follow(struct rollcall__model *model);
void rollcall__model_member_catch_up(struct rollcall__model *model, uint32_t member);

/* ---- etcd_model_request.c ---- */

struct rollcall__model_refusal {
    enum rollcall_status status;
    int grpc_code;
    const char *text; /* %s: nothing */
};
extern const struct rollcall__model_refusal rollcall__model_no_leader;
void rollcall__model_refuse(struct rollcall_error *error,
                            const struct rollcall__model_refusal *refusal);

/* ---- etcd_model_watch.c ---- */

/* A member's place moved: its watches move on to what they have to tell. */
void rollcall__model_watches_seek(struct rollcall__model *model, uint32_t member);
/* A member is about to apply a compaction. */
void rollcall__model_watches_secure(struct rollcall__model *model, uint32_t member);
/* The streams of a member end with an error. */
void rollcall__model_watches_break(struct rollcall__model *model, uint32_t member);

#endif /* SIM_ETCD_MODEL_INTERNAL_H */

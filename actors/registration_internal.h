/*
 * actors/registration_internal.h - what the files of one actor know of each other.
 */
#ifndef ACTORS_REGISTRATION_INTERNAL_H
#define ACTORS_REGISTRATION_INTERNAL_H

#include "actors/registration.h"
#include "base/buffer.h"

enum state {
    ALLOCATING,
    GRANTING,
    CLAIMING,
    EVICTING, /* deleting what our predecessor left */
    YIELDING, /* revoking a lease that found the key taken */
    WAITING,  /* for the rival to go */
    HELD,
    REVOKING,
    DONE,
    STATE_COUNT
};

/* Survives a restart. */
struct registration_handover {
    int64_t server_id;       /* 0: none yet */
    int64_t lease_id;        /* 0: none asked for */
    int64_t granted_sent_ms; /* of the try that was granted; of the first while that is unknown */
    int64_t ttl_s;           /* as granted, or as asked for when the answer was lost */
    bool granted;
    bool yielding; /* etcd was asked to revoke the lease, and has not answered: it may do so yet */
    bool shares;   /* the lease_keeper was asked, and has us for a user */
    int64_t dead_lease_id; /* of the shared lease that etcd said is gone; 0: none */
    int64_t created;       /* the key is put, with this create revision; 0: not as far as we know */
    uint32_t unanswered;   /* claims under this lease of which it is not known what they did */
    bool contact_told;
    bool leaving;                       /* only ways out from here on */
    enum rollcall_status revoke_status; /* not OK: etcd refused, and the lease stays */
    uint32_t skipped_ids;               /* allocated ones whose key was taken */
    uint32_t evictions;
    uint32_t attempts;
    bool registered;               /* told: HELD */
    struct rollcall_error failure; /* of the last attempt, as etcd told it; status OK: none yet */
    struct rollcall_error refusal; /* why it gave up; status OK: it has not */
};

struct registration {
    const struct registration_options *options; /* they outlive self */
    const struct session_config *config;        /* theirs */
    struct rollcall_ref session, transport;
    struct registration_handover *held;
    uint64_t asked;
    bool skip_id;           /* YIELDING: go on with another server ID */
    int64_t rival_revision; /* at which the key was a rival's; 0: a crash forgot it */
    uint64_t watch_id;      /* of the watch that WAITING has open; 0: none */
    uint64_t watches;       /* that there were: no two have one ID */
    int64_t retry_at_ms;    /* WAITING: when it asks, whatever it hears */
    int64_t grant_sent_ms;  /* of the try that is outstanding */
    struct rollcall__buffer key;
};

/* ---- registration.c ---- */

/* Sends one request; request: moved, NULL: out of memory.  A refusal shows as a failure.
 * Returns the next state. */
int registration_ask(struct rollcall_context *cx, struct registration *re,
                     struct transport_request *request, int next_state);

/* An ask that the allocator fails on is lost, and its DOWN says so. */
int registration_ask_allocate(struct rollcall_context *cx, const struct registration *re);
int registration_ask_grant(struct rollcall_context *cx, struct registration *re);
/* Puts the key. */
int registration_ask_claim(struct rollcall_context *cx, struct registration *re);
/* What every answer of etcd goes through first; true: it is good, and *next is not set. */
bool registration_accept(struct rollcall_context *cx, struct registration *re,
                         const struct rollcall_message *message, int *next);

/* ---- registration_rival.c ---- */

/* The key is `rival`, as of `revision`: gives up what we hold for it, then waits, or goes on with
 * another ID.  Returns the next state. */
int registration_yield_to(struct rollcall_context *cx, struct registration *re,
                          const struct transport_kv *rival, int64_t revision);
/* Revokes the lease that found the key taken.  Returns the next state. */
int registration_ask_yield(struct rollcall_context *cx, struct registration *re);
/* WAITING is over: no watch of it is left open. */
void registration_stop_waiting(struct rollcall_context *cx, struct registration *re);
/* What came back was for a watch, and no request. */
bool registration_is_of_watch(const struct registration *re,
                              const struct rollcall_message *bounced);
rollcall_handler_fn registration_on_yielded, registration_on_rival, registration_on_retry,
    registration_on_unheard;

/* ---- registration_sharing.c: of a lease that others have too; what returns a number returns the
 * next state ---- */

int registration_ask_keeper(struct rollcall_context *cx, struct registration *re);
int registration_leave_keeper(struct rollcall_context *cx, struct registration *re);
rollcall_handler_fn registration_on_leased, registration_on_ask_again, registration_on_left;

/* ---- registration_leaving.c; what returns a number returns the next state ---- */

/* Revokes the lease, if one may exist, then tells the session. */
int registration_go_out(struct rollcall_context *cx, struct registration *re);
/* Tells the session: that it left, or why it gave up; and what became of the lease. */
int registration_tell_out(struct rollcall_context *cx, struct registration *re);
/* What etcd, or the keeper, has answered to being asked to end the lease, or our part in it. */
void registration_withdraw_note(const struct registration *re, enum rollcall_status status);
int registration_give_up(struct rollcall_context *cx, struct registration *re,
                         const struct rollcall_error *error);
/* What may pass is for the supervisor; what will not is told. */
int registration_fail_or_give_up(struct rollcall_context *cx, struct registration *re,
                                 const struct rollcall_error *error);
/* The first sign of life of etcd: its silence is none, and neither is a failure of our own. */
void registration_tell_contact(struct rollcall_context *cx, struct registration *re,
                               enum rollcall_status status);
rollcall_handler_fn registration_on_leave_later, registration_on_leave_now, registration_on_revoked,
    registration_on_revoke_again;

#endif /* ACTORS_REGISTRATION_INTERNAL_H */

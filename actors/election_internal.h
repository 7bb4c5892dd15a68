/*
 * actors/election_internal.h - what election.c, election_view.c and election_giving.c, the files of
 * one actor, know of each other.
 */
#ifndef ACTORS_ELECTION_INTERNAL_H
#define ACTORS_ELECTION_INTERNAL_H

#include "actors/election.h"
#include "base/buffer.h"

enum state { IDLE, STANDING, CLAIMING, HOLDING, NAMING, GIVING, STATE_COUNT };

enum {
    ELECTION_CANDIDATES_MAX = 128,
    ELECTION_STAND_BACK_MS = 5000 /* of who gave the key up, or could not act */
};

/* One that stands: exclusive, and not marked Stopping. */
struct election_candidate {
    int64_t server_id, create_revision, lease_id;
    int64_t turn_revision; /* since when it waits for its turn: its key was put, it was named, or it
                              was seen to hold the active key */
};

/* One key, as far as is known. */
struct election_key {
    bool is_there;
    int64_t create_revision, mod_revision, lease_id;
    int64_t as_of; /* the revision at which that was so: nothing before it is news */
};

/* Who there is: one read of all keys of the role, and one watch from there on. */
struct election_view {
    enum { VIEW_NONE, VIEW_LISTING, VIEW_LIVE } phase;
    uint64_t asked;        /* id of the list, and of the watch after it */
    int64_t next_revision; /* of the watch: what is before it is no news */
    int64_t pause_ms;      /* before it is looked again; 0: it went well */
    struct election_key own;
    bool stopping;                     /* our own record is marked */
    int64_t absent_ms;                 /* since when we have seen that there is no active key */
    int64_t touched, touched_revision; /* the candidate whose record was last put again, and when */
    int64_t named;                     /* whose turn the last holder said it is; 0: nobody's */
    struct election_candidate candidates[ELECTION_CANDIDATES_MAX]; /* but us, in no order; others
                                                          are not counted, nor turned to */
    size_t count;
};

/* Survives a restart. */
struct election_handover {
    struct session_membership *mine; /* shared; NULL: not begun */
    struct election_key active;      /* as it was known last: a list may be of before */
    /* The active key while it is ours, as far as we know; 0: it is not. */
    int64_t create_revision, token;
    int64_t forced_away;   /* the create revision of one that was taken from us as it is; 0: none */
    int64_t claim_from_ms; /* others go first until then: we gave it up, or that may have been done;
                              since then nobody has held it, nor was it confirmed to be ours, and
                              we were not named */
    int64_t given_up_own;  /* our own key's mod revision as of then: a later one, we are named */
    int64_t refused;       /* the last token that we could not, or are not to, act with; 0: none */
    int64_t refused_until_ms;   /* nor do we claim before that: neither lifts it */
    struct session_elect order; /* being done; request 0: none */
    uint64_t answered;          /* the last order that was done, or could not be, and was told so */
};

struct election {
    const struct election_options *options; /* they outlive self */
    struct election_handover *held;
    struct election_view view;
    struct election_lease lease;
    enum state state; /* as returned last */
    uint64_t asked;   /* id of the write, or of the look at a candidate, that is awaited */
    uint64_t doubts;  /* CLAIMING: of when it was asked for; HOLDING and after: told under */
    bool told;        /* the session was told that we hold it, under these doubts */
    bool forcing;     /* CLAIMING: over what another holds */
    int64_t over;     /* likewise: the create revision of that key */
    bool clearing;    /* likewise, by deleting it first */
    bool lost;        /* etcd says that our lease is gone: the session will hear of it */
    bool sent;        /* GIVING: the write is on its way */
    int64_t next_id;  /* NAMING, GIVING: the candidate who is to be next, */
    struct transport_result *named;             /* and, kept, what its key holds; NULL: nobody is */
    struct rollcall__buffer active_key, folder; /* folder: ROOT/session/ */
};

/* ---- election.c; what returns a number returns the next state ---- */

/* Whether the active key is ours, as far as is known. */
bool election_is_ours(const struct election *el);
/* Does what there is to do now that nothing is asked. */
int election_go_on(struct rollcall_context *cx, struct election *el);
/* Another look has changed something, or not. */
int election_seen(struct rollcall_context *cx, struct election *el);
/* Sends one request; request: moved, NULL: out of memory. */
int election_ask(struct rollcall_context *cx, struct election *el, uint16_t answer,
                 struct transport_request *request, enum state next);
/* What both keys are, by the answer to a write that was not done. */
void election_learn(struct rollcall_context *cx, struct election *el,
                    const struct transport_result *result);
/* Tells the session that the key is not ours any more, and why; the state is as before. */
int election_tell_dropped(struct rollcall_context *cx, struct election *el, const char *why);
int election_be(struct election *el, enum state next);

/* ---- election_view.c ---- */

/* Looks at all of them, and watches. */
int election_look(struct rollcall_context *cx, struct election *el);
/* What is under the active key, or our own, as of that revision, unless more is known already;
 * kv: NULL: nothing. */
void election_note_active(struct rollcall_context *cx, struct election *el,
                          const struct transport_kv *kv, int64_t revision);
ROLLCALL_MUST_USE enum rollcall_status
election_note_own(struct election *el, const struct transport_kv *kv, int64_t revision);
/* Whether it is the record of one that stands; what is no record is not.  Returns: ROLLCALL_OK; or
 * ROLLCALL_E_NO_MEMORY, and it is not known. */
ROLLCALL_MUST_USE enum rollcall_status election_read(const struct transport_kv *kv, bool *stands);
/* How many go before us, now that there is no active key. */
int64_t election_rank(const struct election *el);
/* It does not stand any more. */
void election_forget(struct election *el, int64_t server_id);
/* Who has waited longest since its last turn; NULL: nobody else stands. */
const struct election_candidate *election_next(const struct election *el);
rollcall_handler_fn election_on_listed, election_on_response, election_on_look;

/* ---- election_giving.c ---- */

/* Whether it is ours, and is to be given up. */
bool election_must_give(const struct election *el);
int election_begin_giving(struct rollcall_context *cx, struct election *el);
/* The session knows that we do not act any more: now it can be given up. */
int election_give(struct rollcall_context *cx, struct election *el);
/* Answers the order that is being done, if any. */
int election_answer_order(struct rollcall_context *cx, struct election *el,
                          enum rollcall_status status, const char *text);
rollcall_handler_fn election_on_named, election_on_given, election_on_order;

#endif /* ACTORS_ELECTION_INTERNAL_H */

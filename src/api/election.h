/*
 * api/election.h - a session's election, as the application sees it.  A part of session.c's handle.
 *
 * Threads: create, destroy: the session's creator and last owner; tell: the application actor; all
 * else: any.
 */
#ifndef API_ELECTION_H
#define API_ELECTION_H

#include "actors/session.h"
#include "api/handle.h"

#include <rollcall/election.h>

/* Somebody who waits for what he asked of the election; one at a time. */
struct rollcall__order {
    uint64_t request;       /* 0: nobody */
    rollcall_done_fn *done; /* NULL: a thread */
    void *user;
    bool answered;
    struct rollcall_error answer;
};

struct rollcall__election {
    struct rollcall__handle *handle;     /* the session's */
    const struct session_config *config; /* the session's */
    struct rollcall_election_options options;
    struct rollcall__gauge told; /* the token that `activate` was called with; 0: STANDBY */
    uint64_t sequence, change;   /* told last; the application actor's */
    char *key;                   /* the active key */
    /* Guarded by handle->monitor: */
    struct rollcall_election_info info; /* as told */
    struct rollcall__order order;
    uint64_t requests;
};

/* Returns: ROLLCALL_OK and *election; ROLLCALL_E_INVALID of options that are newer than we are;
 * ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__election_create(struct rollcall__handle *handle, const struct session_config *config,
                          const struct rollcall_election_options *given,
                          struct rollcall__election **election, struct rollcall_error *error);
void rollcall__election_destroy(struct rollcall__election *election); /* NULL: nothing */
void rollcall__election_tell(struct rollcall__election *election,
                             const struct session_role_event *event);

/* ---- of a session; session.c ---- */

struct rollcall_ref rollcall__session_root(const struct rollcall_session *session);
/* NULL: it has none. */
struct rollcall__election *rollcall__session_election(struct rollcall_session *session);
/* Called locked.  Whether it is over, and then why. */
bool rollcall__session_is_over(const struct rollcall_session *session, struct rollcall_error *why);

#endif /* API_ELECTION_H */

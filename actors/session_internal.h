/*
 * actors/session_internal.h - what session.c, session_losses.c and session_roles.c, the files of
 * one actor, know of each other.
 */
#ifndef ACTORS_SESSION_INTERNAL_H
#define ACTORS_SESSION_INTERNAL_H

#include "actors/election.h"
#include "actors/session_children.h"
#include "actors/session_marks.h"
#include "actors/session_telling.h"

enum state { REGISTERING, ACTIVE, SUSPECT, CLEARING, LEAVING, OVER, STATE_COUNT };

/* Of a session that stands: whether it acts. */
struct session_roles {
    struct election_lease lease;    /* what the election is to know */
    uint64_t ordered;               /* the SESSION_ELECT that is not answered; 0: none */
    bool announced;                 /* of this membership: that it stands */
    bool untold;                    /* there was no room, or no memory, for the last */
    struct session_role_event last; /* a value; its header is not used */
};

struct session {
    const struct session_options *options; /* they outlive self */
    struct session_children children;
    struct session_telling telling;
    struct session_marks marks;
    struct session_roles *roles;             /* the options'; NULL: it does not stand */
    bool holds;                              /* registration has won: what is held is departure's */
    uint64_t orders;                         /* the highest number of LEAVE, REVOKE and RESTART */
    bool was_marked;                         /* when it was lost last */
    bool again;                              /* CLEARING: RESTART has come */
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* what was in the way last; "": nothing known */
};

/* ---- session.c; each returns the next state ---- */

/* Ends the actors below, then tells why it is over. */
int session_end(struct rollcall_context *cx, struct session *se, enum rollcall_session_state state,
                enum rollcall_status status, const char *reason);
/* patient: it was a member, so an outage of etcd does not end it, and who was told to send it no
 * new work is told so again. */
int session_begin(struct rollcall_context *cx, struct session *se, bool patient);
/* Of an actor of the membership before. */
bool session_is_stale(const struct session *se, const struct rollcall_message *message);

/* ---- session_losses.c: handlers ---- */

rollcall_handler_fn session_on_lease_lost, session_on_key_lost, session_on_cleared, session_on_down;

/* ---- session_roles.c; of a session that does not stand each does nothing ---- */

void session_roles_destroy(struct session_roles *roles);
/* The lease can be relied on; or not any more, or not for now. */
void session_roles_safe(struct rollcall_context *cx, struct session *se);
void session_roles_doubt(struct rollcall_context *cx, struct session *se,
                         enum rollcall_status status, const char *reason);
/* The membership has ended, or is about to: it does not act, and does not stand. */
void session_roles_over(struct rollcall_context *cx, struct session *se,
                        enum rollcall_status status, const char *reason);
/* Of any DOWN. */
void session_roles_down(struct rollcall_context *cx, struct session *se,
                        const struct rollcall_down *down);
/* Of BOUNCED and SESSION_RETELL. */
void session_roles_refused(struct session *se);
void session_roles_retell(struct rollcall_context *cx, struct session *se);
rollcall_handler_fn session_on_gained, session_on_dropped, session_on_elected, session_on_elect,
    session_on_not_acting;

#endif /* ACTORS_SESSION_INTERNAL_H */

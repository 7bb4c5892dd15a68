/* actors/session_children.h - the actors of one membership, and what is asked of them; a part of
 * session.c. */
#ifndef ACTORS_SESSION_CHILDREN_H
#define ACTORS_SESSION_CHILDREN_H

#include "actors/session.h"

struct session_children {
    struct rollcall_ref supervisor, registration, keepalive, liveness, departure;
};

struct session_beginning {
    const struct session_membership
        *before;   /* that was lost, whose server ID is kept; NULL: none */
    bool patient;  /* an outage of etcd does not count as attempts */
    bool stopping; /* the record is put as marked */
};

/* Spawns a supervisor, and the others under it. */
ROLLCALL_MUST_USE enum rollcall_status
session_children_spawn(struct rollcall_context *cx, const struct session_options *options,
                       const struct session_beginning *beginning,
                       struct session_children *children);
/* False of an actor of an earlier membership, whose last words may still be on their way. */
bool session_children_has(const struct session_children *children, struct rollcall_ref who);

/* Of a DOWN: why their supervisor has failed for good; NULL: it has not. */
const char *session_children_fault(const struct session_children *children,
                                   const struct rollcall_message *message);

/* The rest answers E_FULL when a mailbox is full: */
#define SESSION_FULL_TEXT "an actor of its own did not keep up"

/* Registration has won: keepalive and liveness begin. */
ROLLCALL_MUST_USE enum rollcall_status
session_children_start(struct rollcall_context *cx, const struct session_children *children,
                       struct session_membership *won);
/* Going-stop; SESSION_MARKED answers. */
ROLLCALL_MUST_USE enum rollcall_status
session_children_mark(struct rollcall_context *cx, const struct session_children *children,
                      struct session_membership *mine);
/* Gives up the membership, or, NULL, what registration holds so far; SESSION_LEFT answers. */
ROLLCALL_MUST_USE enum rollcall_status
session_children_leave(struct rollcall_context *cx, const struct session_children *children,
                       struct session_membership *mine, bool mark);

#endif /* ACTORS_SESSION_CHILDREN_H */

/* actors/session_children.h - the actors of one membership, and what is asked of them; a part of
 * session.c. */
#ifndef ACTORS_SESSION_CHILDREN_H
#define ACTORS_SESSION_CHILDREN_H

#include "actors/election.h"
#include "actors/session.h"

/* A request that an actor fails on is lost, and one that finds no room is refused.  So what they
 * are asked is remembered here, and asked again: after a restart, and by a timer.  Whoever has had
 * it already ignores it. */
struct session_children {
    struct rollcall_ref supervisor, registration, liveness, departure;
    struct rollcall_ref keepalive; /* or lease_share, when the lease is `shared` */
    struct rollcall_ref election;  /* nobody, unless it `stands` */
    bool shared, stands;
    struct election_lease lease; /* what the election is to know, once it was told anything: */
    bool told_to_stand;
    struct session_elect order;      /* of the election; request 0: none */
    struct session_membership *mine; /* shared: what the requests are about; NULL: nothing is won */
    bool start, mark, leave;         /* asked for */
    bool mark_first, spare;          /* of leave */
    struct rollcall_caller failed_keepalive; /* the incarnation that failed last */
};

struct session_beginning {
    const struct session_membership
        *before;   /* that was lost, whose server ID is kept; NULL: none */
    bool patient;  /* an outage of etcd does not count as attempts */
    bool stopping; /* the record is put as marked */
};

/* Spawns a supervisor, and the others under it; those before are forgotten. */
ROLLCALL_MUST_USE enum rollcall_status
session_children_spawn(struct rollcall_context *cx, const struct session_options *options,
                       const struct session_beginning *beginning,
                       struct session_children *children);
/* False of an actor of an earlier membership, whose last words may still be on their way. */
bool session_children_has(const struct session_children *children, struct rollcall_ref who);

/* Of a DOWN: why their supervisor has failed for good; NULL: it has not. */
const char *session_children_fault(const struct session_children *children,
                                   const struct rollcall_message *message);
/* Of a DOWN: asks one that is restarted again for what it was asked. */
void session_children_restarted(struct rollcall_context *cx, struct session_children *children,
                                const struct rollcall_down *down);
/* From keepalive, and said before it failed, though it is heard after: a DOWN overtakes the words
 * before it.  What it said of the lease's time nobody stands for any more. */
bool session_children_has_failed(const struct session_children *children,
                                 struct rollcall_caller from);
/* Asks all again: SESSION_PRESS says that it is time to. */
void session_children_press(struct rollcall_context *cx, const struct session_children *children);

/* Registration has won: keepalive and liveness begin. */
void session_children_start(struct rollcall_context *cx, struct session_children *children,
                            struct session_membership *won);
/* Going-stop; SESSION_MARKED answers. */
void session_children_mark(struct rollcall_context *cx, struct session_children *children);
void session_children_marked(struct session_children *children);
/* Gives up the membership, or, NULL, what registration holds so far; SESSION_LEFT answers. */
void session_children_leave(struct rollcall_context *cx, struct session_children *children,
                            struct session_membership *mine, bool mark);
/* Gives up the share of a lease under whose key something of a stranger's is; likewise. */
void session_children_leave_key(struct rollcall_context *cx, struct session_children *children,
                                struct session_membership *mine);
/* What the election is to know; it begins with that. */
void session_children_stand(struct rollcall_context *cx, struct session_children *children,
                            const struct election_lease *lease);
/* SESSION_ELECTED answers.  request 0: it has. */
void session_children_order(struct rollcall_context *cx, struct session_children *children,
                            const struct session_elect *order);
void session_children_fini(struct session_children *children);

#endif /* ACTORS_SESSION_CHILDREN_H */

/*
 * actors/election.h - the messages and options of the election actor.  Diagram: election.c.
 */
#ifndef ACTORS_ELECTION_H
#define ACTORS_ELECTION_H

#include "actors/session.h"
#include "transport/messages.h"

#define ELECTION_LIST(X)                                                                           \
    X(ELECTION_LEASE, sizeof(struct election_lease))    /* from session; a session_membership */   \
    X(ELECTION_ORDER, sizeof(struct session_elect))     /* from session, one at a time */          \
    X(ELECTION_ANSWER, sizeof(struct transport_answer)) /* from transport, to a write */           \
    X(ELECTION_NAMED, sizeof(struct transport_answer))  /* likewise, to a look at a candidate */   \
    X(ELECTION_LISTED, sizeof(struct transport_answer)) /* likewise, to a look at all of them */   \
    X(ELECTION_RESPONSE, sizeof(struct transport_watch_answer)) /* transport_watch_response */     \
    X(ELECTION_LOOK, 0) /* timer: to look at all of them again */                                  \
    X(ELECTION_TURN, 0) /* timer: whoever goes before has had his time */
ROLLCALL_MESSAGES(election_message, ELECTION_LIST, ELECTION_COUNT);

/* From the session, whenever one of these changes. */
struct election_lease {
    uint64_t doubts; /* how often what was told as ELECTION gained has been void: it counts only
                        when it was won, or confirmed, under the number of now */
    int64_t refused; /* a token that the application could not act with: that key is given up */
    bool safe;       /* the lease can be relied on, as far as the session knows */
};

struct election_options {
    struct session_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref session, transport;
};

extern const struct rollcall_actor_type election_type;

#endif /* ACTORS_ELECTION_H */

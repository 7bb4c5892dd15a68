/* actors/departure.h - the messages and options of the departure actor.  Diagram: departure.c. */
#ifndef ACTORS_DEPARTURE_H
#define ACTORS_DEPARTURE_H

#include "actors/session.h"
#include "transport/messages.h"

#define DEPARTURE_LIST(X)                                                                          \
    X(DEPARTURE_MARK, 0) /* from session; object: session_membership */                            \
    X(DEPARTURE_LEAVE, sizeof(struct departure_leave))   /* from session; session_membership */    \
    X(DEPARTURE_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */    \
    X(DEPARTURE_LEFT, sizeof(struct session_left))       /* from lease_keeper */                   \
    X(DEPARTURE_RETRY, 0)                                /* timer */
ROLLCALL_MESSAGES(departure_message, DEPARTURE_LIST, DEPARTURE_COUNT);

struct departure_leave {
    bool mark;  /* the record as Stopping first, unless it is */
    bool spare; /* what is under the key is somebody else's: only the share of the lease goes */
};

struct departure_options {
    struct session_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref session, transport;
    struct rollcall_ref keeper, share; /* used when the config shares its lease */
};

extern const struct rollcall_actor_type departure_type;

#endif /* ACTORS_DEPARTURE_H */

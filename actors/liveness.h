/* actors/liveness.h - the messages and options of the liveness actor.  Diagram: liveness.c. */
#ifndef ACTORS_LIVENESS_H
#define ACTORS_LIVENESS_H

#include "actors/session.h"
#include "transport/messages.h"

#define LIVENESS_LIST(X)                                                                           \
    X(LIVENESS_START, 0) /* from session; object: session_membership */                            \
    X(LIVENESS_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */     \
    X(LIVENESS_RESPONSE, sizeof(struct transport_watch_answer)) /* transport_watch_response */     \
    X(LIVENESS_RETELL, 0) /* timer: the session's mailbox was full */
ROLLCALL_MESSAGES(liveness_message, LIVENESS_LIST, LIVENESS_COUNT);

struct liveness_options {
    struct rollcall_ref session, transport;
};

extern const struct rollcall_actor_type liveness_type;

#endif /* ACTORS_LIVENESS_H */

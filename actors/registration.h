/*
 * actors/registration.h - the messages and options of the registration actor.
 * Diagram: registration.c.
 */
#ifndef ACTORS_REGISTRATION_H
#define ACTORS_REGISTRATION_H

#include "actors/session.h"
#include "transport/messages.h"

#define REGISTRATION_LIST(X)                                                                       \
    X(REGISTRATION_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */ \
    X(REGISTRATION_LEAVE, 0)                                /* from session */                     \
    X(REGISTRATION_RETRY, 0)                                /* timer */
ROLLCALL_MESSAGES(registration_message, REGISTRATION_LIST, REGISTRATION_COUNT);

struct registration_options {
    struct session_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref session, transport;
};

extern const struct rollcall_actor_type registration_type;

#endif /* ACTORS_REGISTRATION_H */

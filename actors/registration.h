/*
 * actors/registration.h - the messages and options of the registration actor.
 * Diagram: registration.c.
 */
#ifndef ACTORS_REGISTRATION_H
#define ACTORS_REGISTRATION_H

#include "actors/allocator.h"
#include "actors/lease_keeper.h"
#include "actors/session.h"
#include "transport/messages.h"

#define REGISTRATION_LIST(X)                                                                       \
    X(REGISTRATION_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */ \
    X(REGISTRATION_ALLOCATED, sizeof(struct allocator_answer))                                     \
    X(REGISTRATION_LEASED, sizeof(struct lease_keeper_answer)) /* lease_keeper; rollcall_reason */ \
    X(REGISTRATION_LEFT, sizeof(struct session_left))          /* from lease_keeper */             \
    X(REGISTRATION_RIVAL, sizeof(struct transport_watch_answer)) /* from transport; a response */  \
    X(REGISTRATION_LEAVE, 0)                                     /* from session */                \
    X(REGISTRATION_RETRY, 0)                                     /* timer */
ROLLCALL_MESSAGES(registration_message, REGISTRATION_LIST, REGISTRATION_COUNT);

struct registration_options {
    struct session_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref session, transport;
    struct rollcall_ref allocator;     /* on the same worker; not used when the config has an ID */
    struct rollcall_ref keeper, share; /* used when the config shares its lease */
    int64_t server_id;                 /* of the membership before; 0: there was none */
    int64_t lease_id;                  /* likewise: what is still under it is ours */
    bool stopping;                     /* its record is put as marked */
    bool patient;                      /* an outage of etcd does not count as attempts */
};

extern const struct rollcall_actor_type registration_type;

#endif /* ACTORS_REGISTRATION_H */

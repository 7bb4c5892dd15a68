/* actors/allocator.h - the messages of the allocator actor.  Diagram: allocator.c. */
#ifndef ACTORS_ALLOCATOR_H
#define ACTORS_ALLOCATOR_H

#include "actors/session.h"
#include "transport/messages.h"

#define ALLOCATOR_LIST(X)                                                                          \
    X(ALLOCATOR_ASK, sizeof(struct allocator_ask)) /* object: session_config, for its root */      \
    X(ALLOCATOR_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */    \
    X(ALLOCATOR_RETRY, 0)                                /* timer: a lost race is over */
ROLLCALL_MESSAGES(allocator_message, ALLOCATOR_LIST, ALLOCATOR_COUNT);

struct allocator_ask {
    uint16_t answer; /* the asker's message number */
};

/* Payload of the answer to every ask; the object is a struct rollcall_reason unless it is OK. */
struct allocator_answer {
    int64_t server_id;
    enum rollcall_status status;
};

struct allocator_options {
    struct rollcall_ref transport;
};

extern const struct rollcall_actor_type allocator_type;

#endif /* ACTORS_ALLOCATOR_H */

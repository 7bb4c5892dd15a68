/*
 * actors/errand.h - the messages, options and shared objects of the errand actor.
 * Diagram: errand.c.
 */
#ifndef ACTORS_ERRAND_H
#define ACTORS_ERRAND_H

#include "actors/allocator.h"
#include "base/arena.h"
#include "transport/messages.h"

#include <rollcall/health.h>

#define ERRAND_LIST(X)                                                                             \
    X(ERRAND_ANSWER, sizeof(struct transport_answer))    /* from transport; transport_result */    \
    X(ERRAND_ALLOCATED, sizeof(struct allocator_answer)) /* from allocator; rollcall_reason */     \
    X(ERRAND_RETRY, 0)    /* timer: after a failure that may pass */                               \
    X(ERRAND_DEADLINE, 0) /* timer: of the errand as a whole */
ROLLCALL_MESSAGES(errand_message, ERRAND_LIST, ERRAND_COUNT);

enum errand_kind {
    ERRAND_MARK_STOPPING,
    ERRAND_REVOKE,
    ERRAND_REVOKE_LEASE, /* of whatever session */
    ERRAND_SERVER_ID,
    ERRAND_HEALTH,
    ERRAND_WRITE
};

/* What is to be done.  Immutable; shared. */
struct errand_config {
    struct rollcall_object object;
    struct rollcall__arena arena; /* holds the strings */
    enum errand_kind kind;
    int64_t timeout_ms;
    const char *endpoints;
    /* MARK_STOPPING, REVOKE: the session meant; HEALTH: what all keys begin with that are counted;
     * REVOKE_LEASE: NULL, and lease_id is all that is meant. */
    const char *key;
    int64_t lease_id, create_revision; /* 0: whatever it is */
    /* SERVER_ID: */
    struct session_config *session; /* shared; its root is meant; NULL for the other kinds */
    bool reuse;
    /* WRITE: */
    struct transport_request *write; /* shared; a transaction; NULL for the other kinds */
    int64_t token;                   /* what its conditions stand for, for the sentence */
};

/* What the application is told.  Immutable. */
struct errand_result {
    struct rollcall_object object;
    struct rollcall_error error;   /* status OK: done */
    int64_t server_id;             /* SERVER_ID, done */
    struct rollcall_health health; /* HEALTH, done */
};

struct errand_options {
    struct errand_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref application, transport;
    struct rollcall_ref allocator; /* SERVER_ID */
};

extern const struct rollcall_actor_type errand_type;

#endif /* ACTORS_ERRAND_H */

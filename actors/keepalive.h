/* actors/keepalive.h - the messages and options of the keepalive actor.  Diagram: keepalive.c. */
#ifndef ACTORS_KEEPALIVE_H
#define ACTORS_KEEPALIVE_H

#include "transport/messages.h"

#define KEEPALIVE_LIST(X)                                                                          \
    X(KEEPALIVE_START, sizeof(struct keepalive_start))             /* from session */              \
    X(KEEPALIVE_ANSWER, sizeof(struct transport_keepalive_answer)) /* from transport */            \
    X(KEEPALIVE_RENEW, 0)                                          /* timer */                     \
    X(KEEPALIVE_DEADLINE, 0)                                       /* timer */
ROLLCALL_MESSAGES(keepalive_message, KEEPALIVE_LIST, KEEPALIVE_COUNT);

struct keepalive_start {
    int64_t lease_id, ttl_s;
    int64_t sent_ms; /* when the grant was asked for: the TTL counts from here */
};

struct keepalive_options {
    struct rollcall_ref session, transport; /* session: or who stands between it and sessions */
    uint16_t first_word; /* the number that SAFE has in that one's list, where SUSPECT, LOST and
                            RENEWED follow it; 0: as in the session's */
};

extern const struct rollcall_actor_type keepalive_type;

#endif /* ACTORS_KEEPALIVE_H */

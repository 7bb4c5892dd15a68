/* actors/lease_share.h - the messages and options of the lease_share actor.  Diagram:
 * lease_share.c. */
#ifndef ACTORS_LEASE_SHARE_H
#define ACTORS_LEASE_SHARE_H

#include "actors/session.h"

#define LEASE_SHARE_LIST(X)                                                                        \
    X(LEASE_SHARE_START, 0)   /* from session; object: session_membership */                       \
    X(LEASE_SHARE_SAFE, 0)    /* from lease_keeper */                                              \
    X(LEASE_SHARE_SUSPECT, 0) /* from lease_keeper */                                              \
    X(LEASE_SHARE_LOST, 0)    /* from lease_keeper */                                              \
    X(LEASE_SHARE_RETELL, 0)  /* timer: somebody's mailbox was full */
ROLLCALL_MESSAGES(lease_share_message, LEASE_SHARE_LIST, LEASE_SHARE_COUNT);

struct lease_share_options {
    struct rollcall_ref session, keeper; /* both on the same worker */
};

extern const struct rollcall_actor_type lease_share_type;

#endif /* ACTORS_LEASE_SHARE_H */

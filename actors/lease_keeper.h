/* actors/lease_keeper.h - the messages of the lease_keeper actor.  Diagram: lease_keeper.c. */
#ifndef ACTORS_LEASE_KEEPER_H
#define ACTORS_LEASE_KEEPER_H

#include "actors/session.h"
#include "transport/messages.h"

#define LEASE_KEEPER_LIST(X)                                                                       \
    X(LEASE_KEEPER_ASK, sizeof(struct lease_keeper_ask))     /* from registration; session_config  \
                                                              */                                   \
    X(LEASE_KEEPER_JOIN, sizeof(struct lease_keeper_join))   /* from lease_share */                \
    X(LEASE_KEEPER_LEAVE, sizeof(struct lease_keeper_leave)) /* from registration, departure */    \
    X(LEASE_KEEPER_ANSWER, sizeof(struct transport_answer))  /* from transport; transport_result   \
                                                              */                                   \
    X(LEASE_KEEPER_SAFE, 0)    /* from keepalive: its first_word; the next three follow it */      \
    X(LEASE_KEEPER_SUSPECT, 0) /* from keepalive */                                                \
    X(LEASE_KEEPER_LOST, 0)    /* from keepalive */                                                \
    X(LEASE_KEEPER_RENEWED, sizeof(struct session_renewed)) /* from keepalive, each time */        \
    X(LEASE_KEEPER_DUE, 0) /* timer: what found no room, or failed, is tried again */
ROLLCALL_MESSAGES(lease_keeper_message, LEASE_KEEPER_LIST, LEASE_KEEPER_COUNT);

/*
 * A user is one membership of one session, known by its lease_share: whoever asks in its name says
 * which.  Each request may be repeated, and is: an answer that found no room is not sent again.
 */

/* A lease to put a key under.  Answered when there is one, or it cannot be had now. */
struct lease_keeper_ask {
    struct rollcall_ref user;
    int64_t server_id;
    int64_t dead_lease_id; /* etcd says that this one is gone; 0: none */
    uint16_t answer;       /* the asker's message number */
    bool unsure;           /* an earlier put under the same lease has not been answered */
};

/* Payload of the answer; the object is a struct rollcall_reason unless the status is OK. */
struct lease_keeper_answer {
    int64_t lease_id, ttl_s; /* as etcd granted it */
    int64_t sent_ms;         /* when the grant was asked for */
    enum rollcall_status status;
};

/* The key is put: the sender is told of the lease, as LEASE_SHARE_SAFE and so on. */
struct lease_keeper_join {
    int64_t lease_id, create_revision;
    bool unsure; /* an earlier put of the key has not been answered */
};

/* The user's key is to go.  Answered with struct session_left when it has, or nothing was there:
 * with the lease, if nobody else uses that. */
struct lease_keeper_leave {
    struct rollcall_ref user;
    int64_t create_revision; /* of the key; 0: not known, or it was not put */
    uint16_t answer;         /* the asker's message number */
    bool unsure;             /* a put of the key has not been answered, and may be done yet */
    bool spare;              /* what is there is somebody else's: it stays */
    bool once;               /* answer after the first try, whatever came of it */
};

struct lease_keeper_options {
    struct rollcall_ref transport;
};

extern const struct rollcall_actor_type lease_keeper_type;

#endif /* ACTORS_LEASE_KEEPER_H */

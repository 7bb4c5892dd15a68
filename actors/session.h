/*
 * actors/session.h - the messages, options and shared objects of the session root actor.
 * Diagram: session.c.
 */
#ifndef ACTORS_SESSION_H
#define ACTORS_SESSION_H

#include "base/arena.h"
#include "base/gauge.h"

#include <rollcall/actor.h>
#include <rollcall/session.h>

#define SESSION_LIST(X)                                                                            \
    X(SESSION_CONTACT, 0)    /* from registration: etcd has answered */                            \
    X(SESSION_TROUBLE, 0)    /* from registration: why not yet; object: rollcall_reason */         \
    X(SESSION_REGISTERED, 0) /* from registration; object: session_membership */                   \
    X(SESSION_REFUSED, sizeof(struct session_left)) /* from registration: gave up; object:         \
                                                       rollcall_reason */                          \
    /* The next three: from keepalive, or lease_share, and keep their order; LOST from liveness,   \
     * too. */                                                                                     \
    X(SESSION_LEASE_SAFE, 0)                                                                       \
    X(SESSION_LEASE_SUSPECT, 0)                                                                    \
    X(SESSION_LEASE_LOST, 0)                                                                       \
    X(SESSION_LEASE_RENEWED, sizeof(struct session_renewed)) /* from keepalive, each time */       \
    X(SESSION_KEY_LOST, sizeof(struct session_key_lost))     /* from liveness */                   \
    X(SESSION_MARK, sizeof(struct session_mark)) /* from the application: going-stop */            \
    X(SESSION_MARKED, 0) /* from departure; object: rollcall_reason, NULL: it is marked */         \
    X(SESSION_MARK_SEEN, sizeof(struct session_mark_seen)) /* from liveness: whoever did it */     \
    /* The next three: from the application.  LEAVE: going-stop, revoke; REVOKE: without           \
     * going-stop, or without waiting for it; RESTART: after it was told of an end. */             \
    X(SESSION_LEAVE, sizeof(struct session_order))                                                 \
    X(SESSION_REVOKE, sizeof(struct session_order))                                                \
    X(SESSION_RESTART, sizeof(struct session_order))                                               \
    X(SESSION_LEFT, sizeof(struct session_left)) /* from registration, departure: nothing is held  \
                                                  */                                               \
    X(SESSION_GAINED, sizeof(struct session_gained))   /* from election: the active key is ours */ \
    X(SESSION_DROPPED, 0)                              /* likewise: not any more; a reason */      \
    X(SESSION_ELECT, sizeof(struct session_elect))     /* from the application */                  \
    X(SESSION_ELECTED, sizeof(struct session_elected)) /* from election: that was done; object:    \
                                                          rollcall_reason why not, or NULL */      \
    X(SESSION_NOT_ACTING, sizeof(struct session_not_acting)) /* from the application */            \
    X(SESSION_NO_CONTACT, 0) /* timer: etcd has not answered once */                               \
    X(SESSION_RETELL, 0)     /* timer: the application had no room for an event */                 \
    X(SESSION_PRESS, 0)      /* timer: an actor below had no room for a request */
ROLLCALL_MESSAGES(session_message, SESSION_LIST, SESSION_COUNT);

struct session_renewed {
    int64_t safe_until_ms; /* nobody else can have the key before: rollcall_now_ms */
};

struct session_key_lost {
    enum rollcall_loss loss;
    bool lease_is_ours; /* nothing of another's is under our lease: it can be revoked */
};

struct session_mark {
    uint64_t request; /* 1, 2, ... in the order they are sent */
};

struct session_mark_seen {
    bool stopping; /* the record came to be marked; false: came not to be */
};

struct session_order {
    uint64_t number; /* 1, 2, ... in the order they were given; they may arrive in another */
};

struct session_left {
    enum rollcall_status status; /* OK: revoked, or nothing was held; else why the lease stays */
};

/* What counts only as long as nothing has put it in doubt: see session_roles.h. */
struct session_gained {
    int64_t token;           /* the revision of the write that gave it to us */
    int64_t create_revision; /* of the active key */
    uint64_t doubts;
};

enum session_elect_kind { SESSION_ELECT_RESIGN, SESSION_ELECT_HAND_OVER, SESSION_ELECT_FORCE };
struct session_elect {
    uint64_t request;  /* 1, 2, ...; the next only when this is answered */
    int64_t server_id; /* HAND_OVER: to whom */
    enum session_elect_kind kind;
};

struct session_elected {
    uint64_t request;
};

/* The application was to act, and does not. */
struct session_not_acting {
    int64_t token;
    enum rollcall_status status; /* what its activation answered; OK: it was told too late, and may
                                    be told again */
};

/* What a session was opened with.  Immutable, but for what it publishes; shared by its actors. */
struct session_config {
    struct rollcall_object object;
    struct session_safety {
        struct rollcall__gauge lease_id, until_ms; /* set by the functions below only */
    } safety;                           /* for the application; by whoever sees to the lease */
    struct rollcall__gauge *held_lease; /* the lease that its key may be under now, 0: none, for
                                           whoever is to revoke it when this process is dead;
                                           NULL: nobody is */
    struct rollcall_object *guard;      /* what that is a part of; shared; NULL */
    struct rollcall__gauge token; /* while it holds the active key; 0: it does not; likewise */
    struct rollcall__arena arena; /* holds the strings and labels */
    const char *root, *role, *endpoints;
    struct rollcall_record record; /* without server ID, lease and Stopping */
    bool exclusive;
    bool keep_predecessor;
    bool reuse_server_id;
    bool share_lease;
    bool stands; /* for election: its record is exclusive, and its key, as of all who stand, is not
                    ROLE, which is for whoever acts */
    enum rollcall_on_lost on_lost;
    int64_t ttl_s;
    int64_t server_id; /* 0: to be allocated */
    uint32_t retries;
    int64_t connect_timeout_ms;
};

/* Says which lease the session's key may be under from here on, before it can be; 0: none. */
void session_note_lease(const struct session_config *config, int64_t lease_id);

/* Nobody else can have what is under that lease before.  Threads: set: one at a time; get: any.
 * Get returns 0 for another lease: its time is not known, or it is over. */
void session_set_safe(struct session_safety *safety, int64_t lease_id, int64_t until_ms);
int64_t session_safe_until_ms(const struct session_safety *safety, int64_t lease_id);

/* What registering won.  Immutable; shared. */
struct session_membership {
    struct rollcall_object object;
    int64_t server_id, lease_id, ttl_s;
    int64_t granted_sent_ms; /* when the grant was asked for: the TTL counts from here */
    int64_t revision, create_revision;
    bool stopping; /* its record was put as marked */
    bool unsure;   /* an earlier try at putting the key has not been answered, and may be done yet:
                      told to the lease_keeper */
    char key[];    /* terminated */
};

/* A copy of the draft for this key, with one reference.  NULL: out of memory. */
struct session_membership *session_membership_create(const struct session_membership *draft,
                                                     struct rollcall_bytes key);

enum session_event_kind { SESSION_EVENT_STATE, SESSION_EVENT_ROLE };

/* What the application is told of the election; likewise all there is to know.  Immutable. */
struct session_role_event {
    struct rollcall_object object;
    enum session_event_kind kind; /* SESSION_EVENT_ROLE */
    struct rollcall_ref session;  /* who tells it */
    bool active;
    int64_t token;           /* not active: 0 */
    int64_t create_revision; /* of the active key; likewise */
    int64_t lease_id;        /* likewise */
    uint64_t sequence;       /* 1, 2, ... */
    uint64_t change;         /* 0, 1, ...: of what is above */
    int64_t at_ms;
    enum rollcall_status status; /* why */
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    uint64_t answered;            /* every SESSION_ELECT up to this request is answered: */
    struct rollcall_error answer; /* so */
};

/* What the application is told: all there is to know, so that the newest says everything.
 * Immutable. */
struct session_event {
    struct rollcall_object object;
    enum session_event_kind kind;          /* SESSION_EVENT_STATE */
    struct session_membership *membership; /* shared; NULL until it has registered */
    uint64_t sequence;                     /* 1, 2, ...: one that is told again is known by it */
    uint64_t change;                       /* 0, 1, ...: of the state */
    enum rollcall_session_state state;
    int64_t at_ms;
    enum rollcall_status status;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    enum rollcall_loss loss;
    uint64_t losses;
    struct session_event *lost; /* shared; what told the last loss, for those who missed it; NULL:
                                   there was none, or this is it */
    bool registered, disconnected, stopping;
    uint64_t answered;            /* every SESSION_MARK up to this request is answered: */
    struct rollcall_error answer; /* so */
};

/* What a session root that stands for election keeps of its role: made by whoever spawns it, so
 * that an order is answered even where there is no memory. */
struct session_roles;
struct session_roles *session_roles_create(void); /* NULL: out of memory */

struct session_options {
    struct session_config *config; /* moved */
    struct session_roles *roles;   /* moved; of a config that `stands`, else NULL */
    struct rollcall_ref application;
    struct rollcall_ref transport; /* on its own worker: no callback delays what etcd says */
    struct rollcall_ref allocator; /* not used when the config has a server ID */
    struct rollcall_ref keeper;    /* on the same worker; used when the config shares its lease */
};

extern const struct rollcall_actor_type session_type;

#endif /* ACTORS_SESSION_H */

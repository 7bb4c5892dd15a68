/*
 * actors/lease_keeper_book.h - which leases are kept, and for whom; a part of lease_keeper.c, and
 * all of it that survives a restart.  Pure: it sends nothing.
 *
 * Pointers into it hold until the next call that adds or removes.
 */
#ifndef ACTORS_LEASE_KEEPER_BOOK_H
#define ACTORS_LEASE_KEEPER_BOOK_H

#include "actors/lease_keeper.h"

enum {
    KEPT_LEASES_MAX = 256,  /* a session that needs one more is answered E_FULL */
    LEASE_USERS_MAX = 65536 /* likewise */
};

struct kept_lease {
    int64_t lease_id;
    int64_t ttl_s; /* as asked for: those who ask for the same may share it */
    int64_t granted_ttl_s, granted_sent_ms;
    int64_t grant_sent_ms; /* of the last try */
    int64_t ending_ms;     /* since when it is to be revoked; 0: it is not */
    int64_t due_ms;        /* when it is tried again; INT64_MAX: nothing is to be tried */
    uint64_t asked;        /* the request that is outstanding; 0: none */
    bool tried;            /* a grant was sent: it may be there */
    bool granted;
    bool safe; /* as keepalive says; and so the next */
    int64_t safe_until_ms;
    struct rollcall_ref keepalive;  /* nobody: not spawned yet */
    struct rollcall_ref supervisor; /* keepalive's */
    bool started;                   /* it knows what to renew */
    uint16_t failed_epoch; /* of its last incarnation that failed: what that said is void */
};

enum lease_use {
    LEASE_USE_NONE,    /* it was refused, and may ask again */
    LEASE_USE_WAITING, /* for the lease to be granted */
    LEASE_USE_HOLDING, /* it was told the lease: its key may be there */
    LEASE_USE_LEAVING, /* its key is to go; without `user` it has ended, and nobody waits */
    LEASE_USE_LOST     /* the lease is gone; kept until the user has ended */
};
enum lease_word { LEASE_WORD_SUSPECT, LEASE_WORD_SAFE, LEASE_WORD_LOST };

struct lease_user {
    struct rollcall_ref user; /* its lease_share; nobody: it has ended */
    enum lease_use use;
    int64_t lease_id;              /* 0: none */
    struct session_config *config; /* shared */
    int64_t server_id;
    char *key;                     /* owned */
    struct rollcall_caller caller; /* WAITING, LEAVING: who is to be answered; nobody: no one */
    uint16_t answer;
    /* HOLDING: */
    bool joined;
    enum lease_word told; /* last; SUSPECT before it was told anything */
    /* What may be under the key: */
    int64_t create_revision; /* of what it put; 0: not known, or gone */
    bool unsure;             /* a put has not been answered, and may be done at any time */
    /* LEAVING: */
    bool once;      /* answered after the first try */
    bool spare;     /* what is under the key is somebody else's */
    uint64_t asked; /* the request that is outstanding; 0: none */
    int64_t due_ms, pace_ms;
    enum rollcall_status refusal; /* not OK: told, and told whoever asks again until it has ended */
};

struct lease_book {
    struct kept_lease *leases;
    struct lease_user *users;
    size_t lease_count, lease_capacity, user_count, user_capacity;
};

struct kept_lease *lease_book_find(struct lease_book *book, int64_t lease_id);
struct kept_lease *lease_book_find_asked(struct lease_book *book, uint64_t asked);
struct kept_lease *lease_book_find_keepalive(struct lease_book *book, struct rollcall_ref who);
bool lease_book_is_supervisor(const struct lease_book *book, struct rollcall_ref who);
/* One that the user may put its key under: of its TTL, and not about to end.  One key is asked for
 * by one user of a lease only, as long as anything of a former one may come to be there: so what is
 * under it is always the user's own.  NULL: there is none. */
struct kept_lease *lease_book_choose(struct lease_book *book, const struct lease_user *user);
/* NULL: there are too many, or no memory. */
struct kept_lease *lease_book_add(struct lease_book *book, int64_t lease_id, int64_t ttl_s);
void lease_book_remove(struct lease_book *book, int64_t lease_id);
/* Whether somebody uses it and has not asked to leave. */
bool lease_book_is_used(const struct lease_book *book, int64_t lease_id);

struct lease_user *lease_book_user(struct lease_book *book, struct rollcall_ref user);
struct lease_user *lease_book_user_asked(struct lease_book *book, uint64_t asked);
/* One that asks for the first time.  NULL: there are too many, or no memory. */
struct lease_user *lease_book_enter(struct lease_book *book, struct session_config *config,
                                    const struct lease_keeper_ask *ask);
/* It asks for the key of another server ID; false: no memory. */
ROLLCALL_MUST_USE bool lease_book_rename(struct lease_user *user,
                                         const struct lease_keeper_ask *ask);
/* The last user takes its place. */
void lease_book_leave(struct lease_book *book, struct lease_user *user);

void lease_book_fini(struct lease_book *book);

#endif /* ACTORS_LEASE_KEEPER_BOOK_H */

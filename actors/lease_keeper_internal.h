/*
 * actors/lease_keeper_internal.h - what lease_keeper.c and lease_keeper_etcd.c, the two files of
 * one actor, know of each other.
 */
#ifndef ACTORS_LEASE_KEEPER_INTERNAL_H
#define ACTORS_LEASE_KEEPER_INTERNAL_H

#include "actors/lease_keeper_book.h"

struct lease_keeper {
    struct rollcall_ref transport;
    struct lease_book *book; /* the handover */
    uint64_t asked;
    size_t outstanding; /* requests */
    int64_t due_ms;     /* of the timer; INT64_MAX: none is set */
};

/* ---- lease_keeper.c ---- */

/* What found no room, or failed, is tried again then; `due_ms` of whatever it is says so. */
void lease_keeper_schedule(struct rollcall_context *cx, struct lease_keeper *lk, int64_t at_ms);
/* The grant was answered: it is kept from now on, and whoever waits for it is told. */
void lease_keeper_granted(struct rollcall_context *cx, struct lease_keeper *lk,
                          struct kept_lease *lease);
void lease_keeper_refused(struct rollcall_context *cx, struct lease_keeper *lk,
                          const struct kept_lease *lease, const struct rollcall_error *error);
/* It is not renewed any more. */
void lease_keeper_stop_keepalive(struct rollcall_context *cx, const struct kept_lease *lease);
/* Answers a LEAVE, if somebody waits for that; false: there was no room. */
bool lease_keeper_reply_left(struct rollcall_context *cx, const struct lease_user *user,
                             enum rollcall_status status);

/* ---- lease_keeper_etcd.c; each does what it can, and is called again when it is due ---- */

void lease_keeper_grant(struct rollcall_context *cx, struct lease_keeper *lk,
                        struct kept_lease *lease);
/* Nobody uses it any more: it is revoked, then forgotten with whoever was leaving. */
void lease_keeper_end_lease(struct rollcall_context *cx, struct lease_keeper *lk,
                            struct kept_lease *lease);
/* The user is LEAVING: its key is deleted, or the lease ended. */
void lease_keeper_depart(struct rollcall_context *cx, struct lease_keeper *lk,
                         struct lease_user *user);
/* It has left: answered, and forgotten. */
void lease_keeper_left(struct rollcall_context *cx, struct lease_keeper *lk,
                       struct lease_user *user, enum rollcall_status status);
rollcall_handler_fn lease_keeper_on_answer;

#endif /* ACTORS_LEASE_KEEPER_INTERNAL_H */

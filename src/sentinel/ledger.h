/*
 * sentinel/ledger.h - what a process and its crash sentinel share: one piece of memory.
 *
 * It says how etcd is reached, and has a slot for each session, with the lease that the session's
 * key may be under now.  Whoever takes or gives up a lease stores one number.  The sentinel reads
 * it when its owner is dead, and so in peace.  Nothing is sent: there is no queue that could be
 * full, no message that could be behind the truth, and a sentinel that replaces another knows at
 * once what that one knew.
 *
 * The memory is a file without a name (memfd) of a size that nobody can change.  It holds the
 * password of a user, as the owner's own memory does, for whoever may look into either.
 *
 * Threads: any may open, close and drop slots; a slot's lease is set by one at a time.
 */
#ifndef SENTINEL_LEDGER_H
#define SENTINEL_LEDGER_H

#include "base/gauge.h"

#include <rollcall/actor.h>
#include <rollcall/etcd.h>

enum {
    ROLLCALL__LEDGER_SLOTS = 16384, /* the sessions of one connection that can be looked after */
    ROLLCALL__LEDGER_TEXT_BYTES = 16384
};

/* One session's. */
struct rollcall__ledger_slot {
    struct rollcall__gauge lease_id; /* 0: none */
    struct rollcall__gauge ttl_s;    /* as it was asked for; 0: closed, and lease_id counts not */
};

/* ---- the owner's side ---- */

struct rollcall__ledger;

/*
 * options: copied; files are made absolute, for the sentinel lives elsewhere, but links are kept,
 *          for certificates are replaced by moving one.
 * Returns: ROLLCALL_OK and *ledger with one reference; ROLLCALL_E_INVALID when the options are too
 *          long; ROLLCALL_E_SYSTEM, E_NO_MEMORY.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__ledger_create(const struct rollcall_etcd_options *options,
                        struct rollcall__ledger **ledger, struct rollcall_error *error);
void rollcall__ledger_drop(struct rollcall__ledger *ledger);
int rollcall__ledger_fd(const struct rollcall__ledger *ledger);

/* Who acts for the sessions besides the owner: the number of a companion, which its pidfd is handed
 * over with; 0: nobody. */
struct rollcall__gauge *rollcall__ledger_companion(const struct rollcall__ledger *ledger);

/* A slot that is taken.  It keeps the ledger. */
struct rollcall__ledger_entry {
    struct rollcall_object object; /* the last reference gives the slot back */
    struct rollcall__ledger *ledger;
    struct rollcall__ledger_slot *slot;
};
/* NULL: all slots are taken, or out of memory. */
struct rollcall__ledger_entry *rollcall__ledger_open(struct rollcall__ledger *ledger,
                                                     int64_t ttl_s);
/* From here on its lease is nobody's concern, whatever is still set. */
void rollcall__ledger_close(struct rollcall__ledger_entry *entry);

/* `path` as it is from any folder; NULL: out of memory, or there is no current folder.  The caller
 * frees it. */
char *rollcall__absolute_path(const char *path);

/* ---- the sentinel's side ---- */

struct rollcall__ledger_view;

/* Maps what the owner made.
 * fd: stays the caller's.
 * Returns: ROLLCALL_OK and *view; ROLLCALL_E_INVALID when it is none, or one of another version;
 *          ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__ledger_view_open(int fd, struct rollcall__ledger_view **view,
                           struct rollcall_error *error);
void rollcall__ledger_view_close(struct rollcall__ledger_view *view);

/* As it was given, but for `sentinel`; borrowed from the view. */
struct rollcall_etcd_options rollcall__ledger_options(const struct rollcall__ledger_view *view);

int64_t rollcall__ledger_companion_now(const struct rollcall__ledger_view *view);

struct rollcall__held_lease {
    int64_t lease_id, ttl_s;
};
/* The leases that are held, each once, in at most `room` places; returns how many. */
size_t rollcall__ledger_held(const struct rollcall__ledger_view *view,
                             struct rollcall__held_lease *held, size_t room);
/* The longest TTL of those; 0: none is held. */
int64_t rollcall__ledger_longest_ttl_s(const struct rollcall__ledger_view *view);

#endif /* SENTINEL_LEDGER_H */

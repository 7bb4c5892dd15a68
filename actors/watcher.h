/*
 * actors/watcher.h - the messages and options of the watcher actor.  Diagram: watcher.c.
 */
#ifndef ACTORS_WATCHER_H
#define ACTORS_WATCHER_H

#include "actors/hub.h"
#include "session/semver.h"

#define WATCHER_LIST(X)                                                                            \
    X(WATCHER_BATCH, sizeof(struct watcher_delivery))      /* from hub; a hub_batch */             \
    X(WATCHER_DIFFERENCE, sizeof(struct watcher_delivery)) /* from hub; a hub_difference */        \
    X(WATCHER_FAILED, 0)                                   /* from hub; a reason */                \
    X(WATCHER_WHERE, 0)                                    /* from hub: it was restarted */        \
    X(WATCHER_GO_ON, 0) /* from itself: there is more to tell */                                   \
    X(WATCHER_AGAIN, 0) /* timer: there was no room, or no memory */
ROLLCALL_MESSAGES(watcher_message, WATCHER_LIST, WATCHER_COUNT);

enum { WATCHER_MAILBOX = 32 }; /* what a hub sends, twice, and what comes once */

struct watcher_delivery {
    uint64_t number; /* of deliveries to this watcher, from 0 */
    uint32_t place;  /* where the hub keeps the watcher: goes back with the credit */
};

/* Which sessions count.  Immutable; shared. */
struct watcher_filter {
    struct rollcall_object object;
    struct rollcall__semver_range version_range;
};

/* Whether it counts; filter: NULL: all do; item: NULL does not. */
bool watcher_counts(const struct watcher_filter *filter, const struct reflector_item *item);
/* Those of the roster that count, as SESSION events in the order of their keys, with one reference.
 * NULL: out of memory. */
struct hub_batch *watcher_sessions(const struct watcher_filter *filter,
                                   const struct rollcall__roster *roster);

struct watcher_options {
    struct rollcall_ref hub;         /* to join; nobody: it adds this watcher by itself */
    struct watcher_filter *filter;   /* moved; NULL: all count */
    bool once;                       /* it is over after the snapshot */
    bool from_now;                   /* no snapshot: a difference is a resync from the first on */
    struct hub_watcher_meter *meter; /* moved; NULL: none */
    struct rollcall_object *handle; /* moved: dropped when the actor is gone, after the last call */
    /* Tells `count` events of the batch, from `first` on.  handle, batch: borrowed.
     * False: there is no room: none was taken, and it is asked again soon. */
    bool (*tell)(struct rollcall_object *handle, struct hub_batch *batch, size_t first,
                 size_t count);
    /* Tells all there is, in place of the difference that a RESYNC_BEGIN, `why`, would begin.  All
     * are borrowed.  NULL: differences are told.
     * Not OK: it was not taken in, and *error says why: of class RETRY it is told again soon, else
     * that is the end. */
    enum rollcall_status (*tell_all)(struct rollcall_object *handle,
                                     const struct rollcall_watch_event *why,
                                     struct hub_batch *sessions, struct rollcall_error *error);
    /* It was stopped; asked after a restart, for a crash may have lost the signal. */
    bool (*is_closed)(struct rollcall_object *handle);
    void (*gone)(struct rollcall_object *handle); /* called just before handle is dropped */
};

extern const struct rollcall_actor_type watcher_type;

#endif /* ACTORS_WATCHER_H */

/*
 * api/feed.h - what watches of one range share: a hub, its reflector, an auditor unless none is
 * wanted, and a supervisor over them and the watchers.
 *
 *    application ("feed") -- supervisor -- hub, reflector, auditor, watcher, watcher, ...
 *
 * A connection has one for every range that is watched, from the first watch of it to the last.  A
 * watch that begins in the past, or is over after a snapshot of now, has one of its own.
 *
 * Threads: application; what is said of a worker is said there.
 */
#ifndef API_FEED_H
#define API_FEED_H

#include "actors/watcher.h"
#include "api/handle.h"

#include <stdatomic.h>

struct rollcall__feed {
    struct rollcall__handle handle; /* must be first; its application actor is the root */
    struct rollcall__feed *next;    /* of the connection; guarded by its monitor, as `users` is */
    size_t users;
    struct reflector_config *config; /* one reference */
    struct rollcall_ref supervisor, hub;
    struct hub_meter *meter; /* one reference: what the hub publishes */
    bool shared;
    _Atomic bool over;           /* nothing more comes: who opens from now on gets another */
    struct rollcall_error error; /* why, if it failed of itself; guarded by handle.monitor */
};

/*
 * The feed of the range, begun if need be; shared: with others of the same config.  config: moved.
 * Returns: ROLLCALL_OK; or as rollcall_watch_open, and *error says why.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__feed_open(struct rollcall_etcd *etcd, struct reflector_config *config, bool shared,
                    struct rollcall__feed **feed, struct rollcall_error *error);
/*
 * Starts a watcher on it; of a feed that is not shared, the one and only.  options: moved; its
 * `hub` is filled in.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__feed_watch(struct rollcall__feed *feed,
                                                            struct watcher_options *options,
                                                            struct rollcall_ref *watcher,
                                                            struct rollcall_error *error);
/* Nothing more comes from it.  Threads: any, a worker too. */
void rollcall__feed_is_over(struct rollcall__feed *feed);
/* Why it failed of itself; false: it did not.  Threads: any, a worker too. */
bool rollcall__feed_failure(struct rollcall__feed *feed, struct rollcall_error *error);
/* The watcher is gone, or, not timely, a callback holds up its worker.  The last one waits until
 * all of the feed is gone, if timely. */
void rollcall__feed_close(struct rollcall__feed *feed, bool timely);

#endif /* API_FEED_H */

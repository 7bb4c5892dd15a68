/*
 * etcd/link.h - the driver that is gRPC: a gRPC channel for each endpoint and purpose, and one
 * completion queue with its poller, for the one transport actor that owns all state.
 *
 * Threads: open, stop, close: the application's.  While the actor lives, channels and endpoints are
 *          its own, and the rest is only read; the poller reads names of endpoints that are there.
 */
#ifndef ETCD_LINK_H
#define ETCD_LINK_H

#include "base/thread.h"
#include "etcd/endpoints.h"
#include "etcd/queue.h"

struct rollcall__link_options {
    const char *name; /* of the poller thread */
    uint32_t worker;
    int64_t call_timeout_ms, dial_timeout_ms;
    const char *user, *password; /* borrowed for the link's life; NULL: no authentication */
    const struct rollcall__endpoints *endpoints;
    grpc_channel_credentials *credentials; /* borrowed for the link's life */
    bool sync_members;
};

struct rollcall__link {
    struct rollcall__driver driver; /* first: what the actor sees */
    struct rollcall__endpoints endpoints;
    /* NULL: not needed so far. */
    grpc_channel *channels[ROLLCALL__PURPOSE_COUNT][ROLLCALL__ENDPOINTS_MAX];
    struct rollcall__event_queue queue;
    struct rollcall_runtime *runtime;
    struct rollcall_ref actor;
    const char *user, *password;
    int64_t dial_timeout_ms;
    grpc_channel_credentials *credentials;
    struct rollcall__monitor ended; /* guards `gone`, and tells of it */
    bool gone;                      /* the actor has ended: every batch has completed */
};

struct rollcall__link *rollcall__link_of(struct rollcall__driver *driver);
/* Threads: the actor's. */
grpc_channel *rollcall__link_channel(struct rollcall__link *link, enum rollcall__purpose purpose,
                                     size_t endpoint);

/* *link stays in place until close.  After an error there is nothing to close. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__link_open(struct rollcall__link *link, struct rollcall_runtime *runtime,
                    const struct rollcall__link_options *options, struct rollcall_error *error);
/* Asks the actor to cancel everything and end. */
void rollcall__link_stop(struct rollcall__link *link);
/* Waits for that; false once deadline_ns (rollcall__clock_monotonic_ns) has passed. */
bool rollcall__link_wait(struct rollcall__link *link, int64_t deadline_ns);
/* After rollcall__link_wait has answered true. */
void rollcall__link_close(struct rollcall__link *link);

#endif /* ETCD_LINK_H */

/*
 * api/handle.h - what every handle the application holds has in common: an application actor that
 * runs its callbacks, a monitor to wait on, and an end after which no callback runs.
 *
 * Owned twice: by the application until it closes, and by the application actor until it is gone.
 */
#ifndef API_HANDLE_H
#define API_HANDLE_H

#include "base/thread.h"
#include "etcd/etcd.h"

#include <rollcall/actor.h>
#include <rollcall/etcd.h>

struct rollcall__handle {
    struct rollcall_object object;
    struct rollcall_etcd *etcd; /* held until the handle is closed */
    struct rollcall_ref application;
    struct rollcall__monitor monitor; /* guards the two below, and what the owner puts under it */
    bool closed;                      /* no callback is begun any more */
    bool gone;                        /* the application actor has ended */
};

/* Begins a handle; destroy: called once both owners have let go, must call handle_fini. */
void rollcall__handle_init(struct rollcall__handle *handle, struct rollcall_etcd *etcd,
                           void (*destroy)(struct rollcall_object *object));
void rollcall__handle_fini(struct rollcall__handle *handle);

/* Spawns its application actor on the worker for data.  On failure the handle has one owner. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__handle_start(
    struct rollcall__handle *handle, uint32_t mailbox_messages,
    void (*tell)(struct rollcall_object *handle, struct rollcall_object *event),
    void (*tell_failed)(struct rollcall_object *handle, const struct rollcall_error *error),
    struct rollcall_error *error);

/*
 * Stops the application actor, waits until it is gone, lets go of etcd and of the handle.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_TIMEOUT when a callback did not return in time: the handle
 *          then frees itself when it does.
 */
enum rollcall_status rollcall__handle_close(struct rollcall__handle *handle);

/* ROLLCALL_OK, or why a call that waits is wrong here: a callback, or a forked child. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__handle_may_wait(const struct rollcall__handle *handle);

/* Now + timeout_ms, for rollcall__monitor_wait. */
int64_t rollcall__deadline_ns(int64_t timeout_ms);

enum { ROLLCALL__CONNECT_TIMEOUT_MS = 5000, ROLLCALL__CONNECT_TIMEOUT_MAX_MS = 24 * 3600 * 1000 };
/* ROLLCALL_OK, or ROLLCALL_E_INVALID with the range. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__connect_timeout_check(int64_t timeout_ms, struct rollcall_error *error);

#endif /* API_HANDLE_H */

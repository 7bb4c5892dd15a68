/*
 * api/handle.h - what every handle the application holds has in common: an application actor that
 * runs its callbacks, a monitor to wait on, and an end after which no callback runs.
 *
 * Owned twice: by the application until it closes, and by the application actor until it is gone.
 *
 * A call that is not waited for has a handle too, but nobody to close it.  Such a handle is
 * unattended: its creator lets go of it at once, the callback that ends it stops the application
 * actor from within, and with that actor go the last reference and the hold on etcd.
 */
#ifndef API_HANDLE_H
#define API_HANDLE_H

#include "api/connection.h"
#include "base/thread.h"

#include <rollcall/actor.h>
#include <rollcall/etcd.h>

#include <stdatomic.h>

struct rollcall__handle {
    struct rollcall_object object;
    struct rollcall_etcd *etcd; /* held until the handle is closed; unattended: until it is gone */
    struct rollcall_ref application;
    uint32_t worker; /* of the application actor; set before start; init: the one for data */
    bool unattended; /* nobody closes it: etcd is released when it is gone; set before start, or by
                        let_go */
    atomic_bool closed;               /* no callback is begun any more; see is_closed */
    struct rollcall__monitor monitor; /* guards the next, and what the owner puts under it */
    bool gone;                        /* the application actor has ended */
};

/* Begins a handle; destroy: called once both owners have let go, must call handle_fini. */
void rollcall__handle_init(struct rollcall__handle *handle, struct rollcall_etcd *etcd,
                           void (*destroy)(struct rollcall_object *object));
void rollcall__handle_fini(struct rollcall__handle *handle);

/* Spawns its application actor.  On failure the handle has one owner. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__handle_start(
    struct rollcall__handle *handle, uint32_t mailbox_messages,
    void (*tell)(struct rollcall_object *handle, struct rollcall_object *event),
    void (*tell_failed)(struct rollcall_object *handle, const struct rollcall_error *error),
    struct rollcall_error *error);

/* What an actor that is no application actor, and stands in handle->application, calls when it is
 * gone, just before it drops its reference. */
void rollcall__handle_gone(struct rollcall_object *handle);

/*
 * Stops the application actor, waits until it is gone, lets go of etcd and of the handle.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_TIMEOUT when a callback did not return in time: the handle
 *          then frees itself when it does.
 */
enum rollcall_status rollcall__handle_close(struct rollcall__handle *handle);

/*
 * Ends an unattended handle, instead of close: asks its application actor to stop, and does not
 * wait.  Threads: any, in a callback too; the creator still drops its own reference.
 */
void rollcall__handle_finish(struct rollcall__handle *handle);

/* Threads: any. */
bool rollcall__handle_is_closed(struct rollcall__handle *handle);

/* Closes without waiting: it ends when a callback that holds its worker has returned, and is
 * unattended until then. */
void rollcall__handle_let_go(struct rollcall__handle *handle);

/*
 * Spawns without waiting for a worker: on `worker`, as rollcall_runtime_spawn does, but in a
 * callback on that callback's own worker, which is the one that can be spawned on at once.
 * ROLLCALL_E_FORKED in a child process.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__spawn(struct rollcall_runtime *rt, uint32_t worker,
                                                       const struct rollcall_spawn_options *options,
                                                       struct rollcall_ref *ref,
                                                       struct rollcall_error *error);

/* ROLLCALL_OK, or why a call that waits is wrong here: a callback, or a forked child. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__handle_may_wait(const struct rollcall__handle *handle);

/* Now + timeout_ms, for the next. */
int64_t rollcall__handle_deadline_ns(const struct rollcall__handle *handle, int64_t timeout_ms);
/* Waits for the monitor: called locked, returns locked, perhaps for nothing; false once deadline_ns
 * has passed.  Only where rollcall__handle_may_wait. */
bool rollcall__handle_wait(struct rollcall__handle *handle, int64_t deadline_ns);

enum { ROLLCALL__CONNECT_TIMEOUT_MS = 5000, ROLLCALL__CONNECT_TIMEOUT_MAX_MS = 24 * 3600 * 1000 };
/* ROLLCALL_OK, or ROLLCALL_E_INVALID with the range. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__connect_timeout_check(int64_t timeout_ms, struct rollcall_error *error);

#endif /* API_HANDLE_H */

#include "api/handle.h"

#include "actors/application.h"
#include "runtime/port.h"
#include "runtime/runtime_internal.h"

enum { GONE_TIMEOUT_MS = 10000 };

int64_t rollcall__handle_deadline_ns(const struct rollcall__handle *handle, int64_t timeout_ms)
{
    return rollcall__runtime_deadline_ns(rollcall__etcd_runtime(handle->etcd), timeout_ms);
}

bool rollcall__handle_wait(struct rollcall__handle *handle, int64_t deadline_ns)
{
    return rollcall__runtime_wait(rollcall__etcd_runtime(handle->etcd), &handle->monitor,
                                  deadline_ns);
}

void rollcall__handle_init(struct rollcall__handle *handle, struct rollcall_etcd *etcd,
                           void (*destroy)(struct rollcall_object *object))
{
    rollcall_object_init(&handle->object, destroy);
    handle->etcd = etcd;
    handle->application = (struct rollcall_ref){0};
    handle->worker = rollcall__etcd_data_worker(etcd);
    handle->unattended = handle->gone = false;
    atomic_init(&handle->closed, false);
    rollcall__monitor_init(&handle->monitor);
    rollcall__etcd_hold(etcd);
}

void rollcall__handle_fini(struct rollcall__handle *handle)
{
    rollcall__monitor_fini(&handle->monitor);
}

/* Called once whether or not the actor could be spawned, after the last callback has returned.  The
 * reference that is dropped next keeps the handle for us; etcd may be closed by another thread as
 * soon as it is released, and nothing here or in a destroy touches it after that. */
void rollcall__handle_gone(struct rollcall_object *object)
{
    struct rollcall__handle *handle = (struct rollcall__handle *)object;
    rollcall__monitor_lock(&handle->monitor);
    handle->gone = true;
    const bool unattended = handle->unattended;
    rollcall__monitor_notify(&handle->monitor);
    rollcall__monitor_unlock(&handle->monitor);
    if (unattended) {
        rollcall__etcd_release(handle->etcd);
    }
}

enum rollcall_status rollcall__spawn(struct rollcall_runtime *rt, uint32_t worker,
                                     const struct rollcall_spawn_options *options,
                                     struct rollcall_ref *ref, struct rollcall_error *error)
{
    struct rollcall__worker *here =
        rollcall__runtime_forked(rt) ? NULL : rollcall__runtime_this_worker(rt);
    return here == NULL ? rollcall_runtime_spawn(rt, worker, options, ref, error)
                        : rollcall__worker_spawn(here, NULL, options, ref, error);
}

enum rollcall_status rollcall__handle_start(
    struct rollcall__handle *handle, uint32_t mailbox_messages,
    void (*tell)(struct rollcall_object *handle, struct rollcall_object *event),
    void (*tell_failed)(struct rollcall_object *handle, const struct rollcall_error *error),
    struct rollcall_error *error)
{
    const struct application_options options = {.handle = rollcall_object_keep(&handle->object),
                                                .tell = tell,
                                                .tell_failed = tell_failed,
                                                .gone = rollcall__handle_gone};
    /* Of what can be closed, close waits: in a callback, which cannot, nothing is to be begun. */
    return (handle->unattended ? rollcall__spawn : rollcall_runtime_spawn)(
        rollcall__etcd_runtime(handle->etcd), handle->worker,
        ROLLCALL_SPAWN_OPTIONS(.type = &application_type, .options = &options,
                               .mailbox_messages = mailbox_messages),
        &handle->application, error);
}

void rollcall__handle_finish(struct rollcall__handle *handle)
{
    if (!rollcall_ref_is_nobody(handle->application)) {
        rollcall_runtime_stop(rollcall__etcd_runtime(handle->etcd), handle->application);
    } /* else its options are gone already, and etcd with them */
}

enum rollcall_status rollcall__handle_close(struct rollcall__handle *handle)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(handle, GONE_TIMEOUT_MS);
    bool timely = true;
    /* Release, paired with the acquire in rollcall__handle_is_closed: who sees it sees why.  One
     * who does not is in a callback, or begins one, and close waits for that one to end. */
    atomic_store_explicit(&handle->closed, true, memory_order_release);
    if (!rollcall_ref_is_nobody(handle->application)) {
        rollcall_runtime_stop(rollcall__etcd_runtime(handle->etcd), handle->application);
        rollcall__monitor_lock(&handle->monitor);
        while (!handle->gone && rollcall__handle_wait(handle, deadline_ns)) {
        }
        timely = handle->gone;
        rollcall__monitor_unlock(&handle->monitor);
    }
    rollcall__etcd_release(handle->etcd);
    rollcall_object_drop(&handle->object);
    return timely ? ROLLCALL_OK : ROLLCALL_E_TIMEOUT;
}

bool rollcall__handle_is_closed(struct rollcall__handle *handle)
{
    /* Asked once an event: a lock cost a third of what telling one did. */
    return atomic_load_explicit(&handle->closed, memory_order_acquire);
}

void rollcall__handle_let_go(struct rollcall__handle *handle)
{
    rollcall_runtime_stop(rollcall__etcd_runtime(handle->etcd), handle->application);
    rollcall__monitor_lock(&handle->monitor);
    handle->unattended = true;
    const bool gone_before = handle->gone; /* then it has left etcd to us */
    rollcall__monitor_unlock(&handle->monitor);
    if (gone_before) {
        rollcall__etcd_release(handle->etcd);
    }
    rollcall_object_drop(&handle->object);
}

enum rollcall_status rollcall__handle_may_wait(const struct rollcall__handle *handle)
{
    return rollcall__runtime_may_wait(rollcall__etcd_runtime(handle->etcd));
}

enum rollcall_status rollcall__connect_timeout_check(int64_t timeout_ms,
                                                     struct rollcall_error *error)
{
    if (timeout_ms >= 0 && timeout_ms <= ROLLCALL__CONNECT_TIMEOUT_MAX_MS) {
        return ROLLCALL_OK;
    }
    return rollcall_error_set(
        error, ROLLCALL_E_INVALID, "the connect timeout is %lld ms: give 1 to %d, or 0 for %d",
        (long long)timeout_ms, ROLLCALL__CONNECT_TIMEOUT_MAX_MS, ROLLCALL__CONNECT_TIMEOUT_MS);
}

/* api/connect.c - a connection with the actor that serves everybody on it: the allocator of server
 * IDs. */
#include "actors/allocator.h"
#include "actors/supervisor.h"
#include "api/handle.h"

enum { ALLOCATOR_MAILBOX = 8192 /* asks that come at once; more are tried again */ };

/* On the worker for control, so that no callback delays a server ID; and now, for a callback that
 * is the first to need one cannot wait for another worker. */
static enum rollcall_status spawn_allocator(struct rollcall_runtime *runtime,
                                            struct rollcall_etcd *etcd,
                                            struct rollcall_error *error)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct allocator_options options = {.transport = rollcall__etcd_control(etcd)};
    struct rollcall_ref root, allocator;
    enum rollcall_status status = rollcall_runtime_spawn(
        runtime, ROLLCALL__CONTROL_WORKER,
        ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor), &root, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall_runtime_spawn(runtime, ROLLCALL__CONTROL_WORKER,
                                    ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type,
                                                           .options = &options, .supervisor = root,
                                                           .mailbox_messages = ALLOCATOR_MAILBOX),
                                    &allocator, error);
    if (status != ROLLCALL_OK) {
        rollcall_runtime_stop(runtime, root);
        return status;
    }
    rollcall__etcd_adopt(etcd, root, allocator);
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_etcd_connect(struct rollcall_runtime *runtime,
                                           const struct rollcall_etcd_options *options,
                                           struct rollcall_etcd **etcd,
                                           struct rollcall_error *error)
{
    struct rollcall_etcd *opened;
    enum rollcall_status status = rollcall__etcd_open(runtime, options, &opened, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = spawn_allocator(runtime, opened, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_etcd_close(opened), "a worker that is stuck keeps it, and is told");
        return status;
    }
    *etcd = opened;
    return ROLLCALL_OK;
}

#include "api/companion.h"

#include "actors/allocator.h"
#include "actors/supervisor.h"
#include "api/handle.h"

enum { ALLOCATOR_MAILBOX = 8192 /* asks that come at once; more are tried again */ };

enum rollcall_status rollcall__spawn_allocator(struct rollcall_etcd *etcd,
                                               struct rollcall_ref *root,
                                               struct rollcall_ref *allocator,
                                               struct rollcall_error *error)
{
    struct rollcall_runtime *rt = rollcall__etcd_runtime(etcd);
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct allocator_options options = {.transport = rollcall__etcd_control(etcd)};
    enum rollcall_status status = rollcall__spawn(
        rt, rollcall__etcd_control_worker(etcd),
        ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor), root, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall__spawn(rt, rollcall__etcd_control_worker(etcd),
                             ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &options,
                                                    .supervisor = *root,
                                                    .mailbox_messages = ALLOCATOR_MAILBOX),
                             allocator, error);
    if (status != ROLLCALL_OK) {
        rollcall_runtime_stop(rt, *root); /* the next caller spawns both again */
    }
    return status;
}

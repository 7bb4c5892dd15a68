/* To be a sentinel: a runtime and a connection are made ready, so that a crash costs no more than a
 * connection and one request; then the vigil, and, if it ends so, the revoking. */
#include "api/errand.h"
#include "base/clock.h"
#include "base/memory.h"
#include "sentinel/birth.h"
#include "sentinel/ledger.h"
#include "sentinel/vigil.h"

#include <rollcall/sentinel.h>

#include <stdlib.h>

static enum rollcall_status revoke_all(struct rollcall_etcd *etcd,
                                       const struct rollcall__ledger_view *view,
                                       struct rollcall__held_lease *room,
                                       struct rollcall_error *error)
{
    const int64_t dead_ms = rollcall__clock_boot_ms();
    const size_t count = rollcall__ledger_held(view, room, ROLLCALL__LEDGER_SLOTS);
    enum rollcall_status last = ROLLCALL_OK;
    for (size_t at = 0; at < count;) {
        struct rollcall__revocation some[ROLLCALL__REVOKE_AT_ONCE];
        size_t taken = 0;
        for (; at < count && taken < ROLLCALL__REVOKE_AT_ONCE; at++, taken++) {
            some[taken] = rollcall__revocation_of(&room[at], dead_ms, rollcall__clock_boot_ms());
        }
        const enum rollcall_status status = rollcall__revoke_leases(etcd, some, taken, error);
        last = status == ROLLCALL_OK ? last : status;
    }
    return last;
}

/* room: made before it is needed. */
static enum rollcall_status watch(struct rollcall_etcd *etcd,
                                  const struct rollcall__ledger_view *view,
                                  struct rollcall__held_lease *room, struct rollcall_error *error)
{
    return rollcall__vigil_keep(view) == ROLLCALL__VERDICT_DEAD
               ? revoke_all(etcd, view, room, error)
               : ROLLCALL_OK;
}

static enum rollcall_status connect_and_watch(struct rollcall_runtime *runtime,
                                              const struct rollcall__ledger_view *view,
                                              struct rollcall_error *error)
{
    const struct rollcall_etcd_options options = rollcall__ledger_options(view);
    struct rollcall_etcd *etcd;
    enum rollcall_status status = rollcall_etcd_connect(runtime, &options, &etcd, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall__held_lease *room =
        rollcall__allocate_zeroed(ROLLCALL__LEDGER_SLOTS, sizeof *room);
    status = room == NULL ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory")
                          : watch(etcd, view, room, error);
    free(room);
    ROLLCALL_DROP(rollcall_etcd_close(etcd), "the process ends");
    return status;
}

enum rollcall_status rollcall_sentinel_run(struct rollcall_error *error)
{
    struct rollcall__ledger_view *view;
    struct rollcall_runtime *runtime;
    enum rollcall_status status =
        rollcall__ledger_view_open(ROLLCALL__SENTINEL_LEDGER_FD, &view, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall__vigil_begin(error);
    if (status == ROLLCALL_OK) {
        status = rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = 1), &runtime, error);
    }
    if (status == ROLLCALL_OK) {
        status = connect_and_watch(runtime, view, error);
        ROLLCALL_DROP(rollcall_runtime_destroy(runtime), "the process ends");
    }
    rollcall__ledger_view_close(view);
    return status;
}

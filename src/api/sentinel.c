/* To be a sentinel: a runtime and a connection are made ready, so that a crash costs no more than a
 * connection and one request; then the vigil, and, if it ends so, the revoking. */
#include "api/errands.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "sentinel/birth.h"
#include "sentinel/ledger.h"
#include "sentinel/vigil.h"

#include <rollcall/sentinel.h>

#include <stdlib.h>

enum {
    AT_ONCE_MAX = 256, /* requests that are waited for; the rest follow */
    MS_PER_S = 1000,
    LEAST_MS = 1000,
    MOST_MS = 24 * 3600 * 1000 /* what one request may take, as any */
};

/* What is under way.  Guarded by the monitor. */
struct revoking {
    struct rollcall__monitor monitor;
    size_t outstanding;
    struct rollcall_error failure; /* the last; status OK: none */
};

static void on_revoked(void *user, const struct rollcall_error *error)
{
    struct revoking *revoking = user;
    rollcall__monitor_lock(&revoking->monitor);
    revoking->outstanding--;
    if (error->status != ROLLCALL_OK) {
        revoking->failure = *error;
    }
    rollcall__monitor_notify(&revoking->monitor);
    rollcall__monitor_unlock(&revoking->monitor);
}

/* Each request has a deadline of its own, so this ends. */
static void wait_until_few(struct revoking *revoking, size_t few)
{
    rollcall__monitor_lock(&revoking->monitor);
    while (revoking->outstanding > few) {
        ROLLCALL_DROP(rollcall__monitor_wait(&revoking->monitor, INT64_MAX), "looked at again");
    }
    rollcall__monitor_unlock(&revoking->monitor);
}

/* As long as the lease can live: then it is over without us. */
static int64_t time_for(const struct rollcall__held_lease *lease, int64_t dead_ms)
{
    const int64_t ttl_ms = lease->ttl_s >= MOST_MS / MS_PER_S ? MOST_MS : lease->ttl_s * MS_PER_S;
    const int64_t left_ms = dead_ms + ttl_ms - rollcall__clock_boot_ms();
    return left_ms > LEAST_MS ? left_ms : LEAST_MS;
}

static void begin_revoke(struct rollcall_etcd *etcd, struct revoking *revoking,
                         const struct rollcall__held_lease *lease, int64_t dead_ms)
{
    struct rollcall_error error = {0};
    wait_until_few(revoking, AT_ONCE_MAX - 1);
    rollcall__monitor_lock(&revoking->monitor);
    revoking->outstanding++;
    rollcall__monitor_unlock(&revoking->monitor);
    if (rollcall__revoke_lease_async(etcd, lease->lease_id, time_for(lease, dead_ms), on_revoked,
                                     revoking, &error) != ROLLCALL_OK) {
        on_revoked(revoking, &error);
    }
}

static enum rollcall_status revoke_all(struct rollcall_etcd *etcd,
                                       const struct rollcall__ledger_view *view,
                                       struct rollcall__held_lease *room,
                                       struct rollcall_error *error)
{
    const int64_t dead_ms = rollcall__clock_boot_ms();
    const size_t count = rollcall__ledger_held(view, room, ROLLCALL__LEDGER_SLOTS);
    struct revoking revoking = {.outstanding = 0};
    rollcall__monitor_init(&revoking.monitor);
    for (size_t i = 0; i < count; i++) {
        begin_revoke(etcd, &revoking, &room[i], dead_ms);
    }
    wait_until_few(&revoking, 0);
    rollcall__monitor_fini(&revoking.monitor);
    if (revoking.failure.status != ROLLCALL_OK && error != NULL) {
        *error = revoking.failure;
    }
    return revoking.failure.status;
}

/* room: made before it is needed. */
static enum rollcall_status watch(struct rollcall_etcd *etcd,
                                  const struct rollcall__ledger_view *view,
                                  struct rollcall__held_lease *room, struct rollcall_error *error)
{
    return rollcall__vigil_keep(view) == ROLLCALL__VIGIL_DEAD ? revoke_all(etcd, view, room, error)
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

/* The public calls of rollcall/etcd.h, over what is below a connection. */
#include "api/connection.h"

#include "actors/allocator.h"
#include "actors/lease_keeper.h"
#include "actors/supervisor.h"
#include "base/memory.h"
#include "base/options.h"
#include "etcd/cluster.h"
#include "runtime/port.h"
#include "sentinel/keeper.h"

#include <rollcall/sentinel.h>

#include <stdatomic.h>
#include <stdlib.h>

enum {
    CONTROL_WORKER = 0, /* of a runtime of threads, which serves one process */
    DATA_WORKER = 1,
    SERVICE_MAILBOX = 8192 /* asks that come at once; more are tried again */
};

struct rollcall_etcd {
    struct rollcall_runtime *runtime;
    struct rollcall__transports transports;
    _Atomic uint32_t users;
    struct rollcall__feeds feeds;
    struct rollcall__ledger *ledger; /* both: NULL: there is no sentinel */
    struct rollcall__keeper *keeper_of_sentinel;
    /* Set before anybody else sees it: */
    struct service {
        struct rollcall_ref supervisor, actor;
    } allocator, keeper;
};

static enum rollcall_status check_caller(const struct rollcall_runtime *runtime,
                                         struct rollcall_error *error)
{
    if (runtime == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "runtime is NULL: create one with rollcall_runtime_create");
    }
    if (rollcall__runtime_simulated(runtime)) {
        return rollcall_error_set(
            error, ROLLCALL_E_INVALID,
            "the runtime is a simulation, and has no threads for a real etcd: "
            "connect to its own with rollcall_sim_connect");
    }
    if (rollcall__runtime_forked(runtime)) {
        return rollcall_error_set(error, ROLLCALL_E_FORKED,
                                  "the runtime was created before this process forked: create one "
                                  "after the fork");
    }
    if (rollcall__runtime_on_worker(runtime)) {
        return rollcall_error_set(error, ROLLCALL_E_BUSY,
                                  "rollcall_etcd_connect was called from a callback: call it from "
                                  "a thread of your own");
    }
    return ROLLCALL_OK;
}

/* NULL: out of memory, and the error says so.  Holds the runtime. */
static struct rollcall_etcd *create(struct rollcall_runtime *runtime, struct rollcall_error *error)
{
    struct rollcall_etcd *etcd = rollcall__allocate_zeroed(1, sizeof *etcd);
    if (etcd == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a connection");
        return NULL;
    }
    etcd->runtime = runtime;
    rollcall__monitor_init(&etcd->feeds.monitor);
    rollcall__runtime_hold(runtime);
    return etcd;
}

static void destroy(struct rollcall_etcd *etcd)
{
    struct rollcall_runtime *runtime = etcd->runtime;
    if (etcd->keeper_of_sentinel != NULL) {
        rollcall__keeper_stop(etcd->keeper_of_sentinel);
    }
    rollcall__ledger_drop(etcd->ledger);
    rollcall__monitor_fini(&etcd->feeds.monitor);
    free(etcd);
    rollcall__runtime_release(runtime);
}

/* An actor that serves everybody on this connection.  On the worker for control, so that no
 * callback delays it; and with the connection, for a callback that is the first to need it cannot
 * wait for another worker.  Each has its own supervisor: that one fails for good is not the other's
 * end. */
static enum rollcall_status spawn_service(struct rollcall_etcd *etcd,
                                          const struct rollcall_actor_type *type,
                                          const void *options, struct service *service,
                                          struct rollcall_error *error)
{
    const uint32_t worker = etcd->transports.control_worker;
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    enum rollcall_status status = rollcall_runtime_spawn(
        etcd->runtime, worker,
        ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor),
        &service->supervisor, error);
    if (status != ROLLCALL_OK) {
        service->supervisor = (struct rollcall_ref){0};
        return status;
    }
    return rollcall_runtime_spawn(etcd->runtime, worker,
                                  ROLLCALL_SPAWN_OPTIONS(.type = type, .options = options,
                                                         .supervisor = service->supervisor,
                                                         .mailbox_messages = SERVICE_MAILBOX),
                                  &service->actor, error);
}

static void stop_services(const struct rollcall_etcd *etcd)
{
    const struct rollcall_ref supervisors[] = {etcd->keeper.supervisor, etcd->allocator.supervisor};
    for (size_t i = 0; i < sizeof supervisors / sizeof supervisors[0]; i++) {
        if (!rollcall_ref_is_nobody(supervisors[i])) {
            rollcall_runtime_stop(etcd->runtime, supervisors[i]);
        }
    }
}

static enum rollcall_status spawn_services(struct rollcall_etcd *etcd, struct rollcall_error *error)
{
    const struct allocator_options allocator = {.transport = etcd->transports.control};
    const struct lease_keeper_options keeper = {.transport = etcd->transports.control};
    enum rollcall_status status =
        spawn_service(etcd, &allocator_type, &allocator, &etcd->allocator, error);
    if (status == ROLLCALL_OK) {
        status = spawn_service(etcd, &lease_keeper_type, &keeper, &etcd->keeper, error);
    }
    if (status != ROLLCALL_OK) {
        stop_services(etcd);
    }
    return status;
}

enum rollcall_status rollcall__etcd_adopt(struct rollcall_runtime *runtime,
                                          const struct rollcall__transports *transports,
                                          struct rollcall_etcd **etcd, struct rollcall_error *error)
{
    struct rollcall_etcd *adopted = create(runtime, error);
    if (adopted == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    adopted->transports = *transports;
    const enum rollcall_status status = spawn_services(adopted, error);
    if (status != ROLLCALL_OK) {
        destroy(adopted);
        return status;
    }
    *etcd = adopted;
    return ROLLCALL_OK;
}

static enum rollcall_status close_cluster(void *below)
{
    return rollcall__cluster_close(below);
}

/* Its options are checked: the cluster is open.  Before any session is, for each is to be noted. */
static enum rollcall_status start_sentinel(struct rollcall_etcd *etcd,
                                           const struct rollcall_etcd_options *options,
                                           struct rollcall_error *error)
{
    if (options->sentinel == NULL) {
        return ROLLCALL_OK;
    }
    const enum rollcall_status status = rollcall__ledger_create(options, &etcd->ledger, error);
    return status == ROLLCALL_OK ? rollcall__keeper_start(options->sentinel, etcd->ledger,
                                                          rollcall__runtime_log(etcd->runtime),
                                                          &etcd->keeper_of_sentinel, error)
                                 : status;
}

enum rollcall_status rollcall_etcd_connect(struct rollcall_runtime *runtime,
                                           const struct rollcall_etcd_options *given,
                                           struct rollcall_etcd **etcd,
                                           struct rollcall_error *error)
{
    struct rollcall__cluster *cluster;
    struct rollcall_etcd_options options;
    enum rollcall_status status = check_caller(runtime, error);
    if (status == ROLLCALL_OK) {
        status =
            rollcall__options_copy(&options, sizeof options, given, "rollcall_etcd_options", error);
    }
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_etcd *created = create(runtime, error);
    if (created == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    options.size_bytes = sizeof options;
    status =
        rollcall__cluster_open(runtime, &options, CONTROL_WORKER, DATA_WORKER, &cluster, error);
    if (status != ROLLCALL_OK) {
        destroy(created);
        return status;
    }
    created->transports = (struct rollcall__transports){
        .control = rollcall__cluster_control(cluster),
        .bulk = rollcall__cluster_bulk(cluster),
        .control_worker = CONTROL_WORKER,
        .data_worker = DATA_WORKER,
        .call_timeout_ms = rollcall__cluster_call_timeout_ms(cluster),
        .endpoints = rollcall__cluster_endpoints(cluster),
        .below = cluster,
        .close = close_cluster,
    };
    status = spawn_services(created, error);
    if (status == ROLLCALL_OK) {
        status = start_sentinel(created, &options, error);
    }
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_etcd_close(created), "a worker that is stuck keeps it, and is told");
        return status;
    }
    *etcd = created;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_etcd_close(struct rollcall_etcd *etcd)
{
    enum rollcall_status status = ROLLCALL_OK;
    if (etcd == NULL) {
        return ROLLCALL_OK;
    }
    if (rollcall__runtime_forked(etcd->runtime)) {
        return ROLLCALL_E_FORKED; /* gRPC aborts when a child touches what its parent opened */
    }
    if (rollcall__runtime_on_worker(etcd->runtime) || atomic_load(&etcd->users) > 0) {
        return ROLLCALL_E_BUSY;
    }
    stop_services(etcd);
    if (etcd->transports.close != NULL) {
        status = etcd->transports.close(etcd->transports.below);
    }
    if (status == ROLLCALL_OK) {
        destroy(etcd);
    }
    return status;
}

/* ---- for the library ---- */

struct rollcall_ref rollcall__etcd_control(const struct rollcall_etcd *etcd)
{
    return etcd->transports.control;
}

struct rollcall_ref rollcall__etcd_bulk(const struct rollcall_etcd *etcd)
{
    return etcd->transports.bulk;
}

uint32_t rollcall__etcd_control_worker(const struct rollcall_etcd *etcd)
{
    return etcd->transports.control_worker;
}

uint32_t rollcall__etcd_data_worker(const struct rollcall_etcd *etcd)
{
    return etcd->transports.data_worker;
}

struct rollcall_runtime *rollcall__etcd_runtime(const struct rollcall_etcd *etcd)
{
    return etcd->runtime;
}

int64_t rollcall__etcd_call_timeout_ms(const struct rollcall_etcd *etcd)
{
    return etcd->transports.call_timeout_ms;
}

const char *rollcall__etcd_endpoints(const struct rollcall_etcd *etcd)
{
    return etcd->transports.endpoints;
}

struct rollcall_ref rollcall__etcd_allocator(const struct rollcall_etcd *etcd)
{
    return etcd->allocator.actor;
}

struct rollcall_ref rollcall__etcd_lease_keeper(const struct rollcall_etcd *etcd)
{
    return etcd->keeper.actor;
}

struct rollcall__ledger *rollcall__etcd_ledger(const struct rollcall_etcd *etcd)
{
    return etcd->ledger;
}

void rollcall__etcd_note_in(struct rollcall_etcd *etcd, struct rollcall__ledger *ledger)
{
    rollcall_object_keep((struct rollcall_object *)ledger); /* its first member */
    etcd->ledger = ledger;
}

void rollcall_etcd_sentinel(struct rollcall_etcd *etcd, struct rollcall_sentinel_info *info)
{
    *info = (struct rollcall_sentinel_info){0};
    if (etcd->keeper_of_sentinel != NULL) {
        rollcall__keeper_info(etcd->keeper_of_sentinel, info);
    }
}

enum rollcall_status rollcall_etcd_companion(struct rollcall_etcd *etcd, int pid_fd)
{
    return etcd->keeper_of_sentinel == NULL
               ? ROLLCALL_OK
               : rollcall__keeper_companion(etcd->keeper_of_sentinel, pid_fd);
}

struct rollcall__feeds *rollcall__etcd_feeds(struct rollcall_etcd *etcd)
{
    return &etcd->feeds;
}

void rollcall__etcd_hold(struct rollcall_etcd *etcd)
{
    atomic_fetch_add(&etcd->users, 1);
}

void rollcall__etcd_release(struct rollcall_etcd *etcd)
{
    atomic_fetch_sub(&etcd->users, 1);
}

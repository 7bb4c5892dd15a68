/*
 * etcd/cluster.h - the gRPC side of a connection: options checked, two links to one cluster, and a
 * guard against fork.
 *
 * Threads: open and close: the application's; the rest: any, in between.
 */
#ifndef ETCD_CLUSTER_H
#define ETCD_CLUSTER_H

#include <rollcall/etcd.h>

struct rollcall__cluster;

/* options: copied.  Fills in their defaults.  The bulk link's actor goes on `bulk_worker` when the
 * runtime has that many. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__cluster_open(struct rollcall_runtime *runtime,
                       const struct rollcall_etcd_options *options, uint32_t control_worker,
                       uint32_t bulk_worker, struct rollcall__cluster **cluster,
                       struct rollcall_error *error);
/* Cancels what is in flight, waits until gRPC has let go of it, frees; ROLLCALL_E_TIMEOUT when a
 * worker is stuck in a callback: call it again when that has returned. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__cluster_close(struct rollcall__cluster *cluster);

/* The transports, actors of transport/messages.h.  Each has its own connections, so no flood of
 * events delays a renewal. */
struct rollcall_ref rollcall__cluster_control(const struct rollcall__cluster *cluster);
struct rollcall_ref rollcall__cluster_bulk(const struct rollcall__cluster *cluster);
int64_t rollcall__cluster_call_timeout_ms(const struct rollcall__cluster *cluster);
const char *rollcall__cluster_endpoints(const struct rollcall__cluster *cluster); /* as given */

#endif /* ETCD_CLUSTER_H */

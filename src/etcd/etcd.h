/*
 * etcd/etcd.h - what the library's own parts see of a connection to etcd.
 * Threads: any, between connect and close.
 */
#ifndef ETCD_ETCD_H
#define ETCD_ETCD_H

#include <rollcall/etcd.h>

/* The transports, actors of transport/messages.h: control, on worker 0, for leases, transactions
 * and renewals; bulk, on worker 1 when there is one, for ranges and watches.  Each has its own
 * connections, so no flood of events delays a renewal. */
struct rollcall_ref rollcall__etcd_control(const struct rollcall_etcd *etcd);
struct rollcall_ref rollcall__etcd_bulk(const struct rollcall_etcd *etcd);

struct rollcall_runtime *rollcall__etcd_runtime(const struct rollcall_etcd *etcd);
int64_t rollcall__etcd_call_timeout_ms(const struct rollcall_etcd *etcd);
const char *rollcall__etcd_endpoints(const struct rollcall_etcd *etcd); /* as given, for people */

/* Counts a session or watch that uses it; close answers E_BUSY while there is one. */
void rollcall__etcd_hold(struct rollcall_etcd *etcd);
void rollcall__etcd_release(struct rollcall_etcd *etcd);

/* rollcall_etcd_connect, but for the companion: an actor that serves everybody on this connection,
 * under a root that close stops.  It is adopted once, before anybody else sees the connection. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__etcd_open(struct rollcall_runtime *runtime, const struct rollcall_etcd_options *options,
                    struct rollcall_etcd **etcd, struct rollcall_error *error);
void rollcall__etcd_adopt(struct rollcall_etcd *etcd, struct rollcall_ref root,
                          struct rollcall_ref companion);
struct rollcall_ref rollcall__etcd_companion(const struct rollcall_etcd *etcd);

#endif /* ETCD_ETCD_H */

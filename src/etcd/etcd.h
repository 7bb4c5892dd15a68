/*
 * etcd/etcd.h - what the library's own parts see of a connection to etcd.
 * Threads: any, between connect and close.
 */
#ifndef ETCD_ETCD_H
#define ETCD_ETCD_H

#include <rollcall/etcd.h>

/* The transports, actors of transport/messages.h: control, on worker 0, for leases, transactions,
 * renewals, and a session's watch of its one key; bulk, on worker 1 when there is one, for ranges
 * and the watches of a role.  Each has its own connections, so no flood of events delays a renewal,
 * and no callback that takes its time what a session is to know of itself. */
struct rollcall_ref rollcall__etcd_control(const struct rollcall_etcd *etcd);
struct rollcall_ref rollcall__etcd_bulk(const struct rollcall_etcd *etcd);

struct rollcall_runtime *rollcall__etcd_runtime(const struct rollcall_etcd *etcd);
int64_t rollcall__etcd_call_timeout_ms(const struct rollcall_etcd *etcd);
const char *rollcall__etcd_endpoints(const struct rollcall_etcd *etcd); /* as given, for people */

/* Counts a session or watch that uses it; close answers E_BUSY while there is one. */
void rollcall__etcd_hold(struct rollcall_etcd *etcd);
void rollcall__etcd_release(struct rollcall_etcd *etcd);

/* An actor that serves everybody on this connection: spawned for the first caller, by `spawn`,
 * under a root that close stops. */
typedef enum rollcall_status rollcall__companion_spawn_fn(struct rollcall_etcd *etcd,
                                                          struct rollcall_ref *root,
                                                          struct rollcall_ref *companion,
                                                          struct rollcall_error *error);
ROLLCALL_MUST_USE enum rollcall_status rollcall__etcd_companion(struct rollcall_etcd *etcd,
                                                                rollcall__companion_spawn_fn *spawn,
                                                                struct rollcall_ref *companion,
                                                                struct rollcall_error *error);

#endif /* ETCD_ETCD_H */

/*
 * sim/driver.h - the driver that is the simulated network: one process's calls and streams, as
 * gRPC's part of src/etcd is to a real one.
 *
 * It holds what the process knows of what it asked; net.c holds what is on its way and what lies
 * with the members.  A call is answered, or ends by its deadline, a cancel or a broken connection,
 * whichever is first.
 *
 * Threads: the simulation's.
 */
#ifndef SIM_DRIVER_H
#define SIM_DRIVER_H

#include "channel/driver.h"
#include "sim/net.h"

struct rollcall__sim_driver;

/* Where a process's calls and streams go: its endpoint i is the member (first + i) modulo their
 * count; where members are synced there is at first one.  NULL: out of memory. */
struct rollcall__sim_driver *rollcall__sim_driver_create(struct rollcall__net *net, uint32_t link,
                                                         uint32_t first_member);
/* After its actor: frees what that left behind. */
void rollcall__sim_driver_destroy(struct rollcall__sim_driver *driver); /* NULL: nothing */
struct rollcall__driver *rollcall__sim_driver_base(struct rollcall__sim_driver *driver);

/* The process may ask that member: it is among its endpoints. */
bool rollcall__sim_driver_knows(const struct rollcall__sim_driver *driver, uint32_t member);

/* ---- what the network brings; token: as the driver gave it.  One that is over: nothing ---- */

/* result: moved. */
void rollcall__sim_driver_answered(struct rollcall__sim_driver *driver, uint64_t token,
                                   struct transport_result *result);
void rollcall__sim_driver_expired(struct rollcall__sim_driver *driver, uint64_t token);
void rollcall__sim_driver_renewed(struct rollcall__sim_driver *driver, uint64_t token,
                                  int64_t lease_id, int64_t ttl_s);
/* response: moved. */
void rollcall__sim_driver_responded(struct rollcall__sim_driver *driver, uint64_t token,
                                    struct transport_watch_response *response);
/* The stream has ended: E_UNAVAILABLE, E_DENIED for want of a pass that is known, or E_REJECTED for
 * want of a permission. */
void rollcall__sim_driver_ended(struct rollcall__sim_driver *driver, uint64_t token,
                                enum rollcall_status status);
/* The call for a pass is over.  0: the member had no leader, or, with E_DENIED, gives none to this
 * user. */
void rollcall__sim_driver_admitted(struct rollcall__sim_driver *driver, uint64_t token,
                                   uint64_t pass, enum rollcall_status status);
/* The connections to that member broke. */
void rollcall__sim_driver_cut(struct rollcall__sim_driver *driver, uint32_t member);

#endif /* SIM_DRIVER_H */

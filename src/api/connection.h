/*
 * api/connection.h - a connection to etcd, whatever is below it: gRPC, or what a simulation
 * supplies.
 *
 * Owned by the application, from connect or adopt to rollcall_etcd_close.
 * Threads: any, in between.
 */
#ifndef API_CONNECTION_H
#define API_CONNECTION_H

#include "base/thread.h"

#include <rollcall/etcd.h>

/*
 * What a connection stands on.  The transports are actors of transport/messages.h: control for
 * leases, transactions, renewals, and a session's watch of its one key; bulk for ranges and the
 * watches of a role.  So no flood of events delays a renewal, and no callback that takes its time
 * delays what a session is to know of itself.
 */
struct rollcall__transports {
    struct rollcall_ref control, bulk;
    /* Where the actors of sessions run; and where watches and callbacks do, so that a slow one
     * delays no renewal.  With a single worker both mean that one. */
    uint32_t control_worker, data_worker;
    int64_t call_timeout_ms;
    const char *endpoints; /* for people; lives as long as `below` */
    void *below;           /* what `close` is given */
    /* Ends the transports and frees `below`; may wait.  ROLLCALL_E_TIMEOUT: not yet, it is called
     * again.  NULL: they belong to somebody else, who lets them live as long as the connection. */
    enum rollcall_status (*close)(void *below);
};

/* Makes a connection of transports that run already.  On failure they are still the caller's. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__etcd_adopt(struct rollcall_runtime *runtime,
                     const struct rollcall__transports *transports, struct rollcall_etcd **etcd,
                     struct rollcall_error *error);

struct rollcall_ref rollcall__etcd_control(const struct rollcall_etcd *etcd);
struct rollcall_ref rollcall__etcd_bulk(const struct rollcall_etcd *etcd);
uint32_t rollcall__etcd_control_worker(const struct rollcall_etcd *etcd);
uint32_t rollcall__etcd_data_worker(const struct rollcall_etcd *etcd);
struct rollcall_runtime *rollcall__etcd_runtime(const struct rollcall_etcd *etcd);
int64_t rollcall__etcd_call_timeout_ms(const struct rollcall_etcd *etcd);
const char *rollcall__etcd_endpoints(const struct rollcall_etcd *etcd);

/* Counts a session or watch that uses it; close answers E_BUSY while there is one. */
void rollcall__etcd_hold(struct rollcall_etcd *etcd);
void rollcall__etcd_release(struct rollcall_etcd *etcd);

/* The actor that gives out server IDs; it runs on the worker for control while it is open. */
struct rollcall_ref rollcall__etcd_allocator(const struct rollcall_etcd *etcd);

/* What is watched on the connection: see feed.h. */
struct rollcall__feeds {
    struct rollcall__monitor monitor; /* guards what feeds say; no worker takes it */
    struct rollcall__feed *first;
};
struct rollcall__feeds *rollcall__etcd_feeds(struct rollcall_etcd *etcd);
/* Where sessions note their leases for the sentinel; NULL: there is none. */
struct rollcall__ledger *rollcall__etcd_ledger(const struct rollcall_etcd *etcd);
/* For a simulation, whose sentinels are no programs: sessions that are opened from here on are
 * noted there.  Once, before any is.  ledger: kept. */
void rollcall__etcd_note_in(struct rollcall_etcd *etcd, struct rollcall__ledger *ledger);
/* The actor that keeps the leases that sessions share; as the allocator. */
struct rollcall_ref rollcall__etcd_lease_keeper(const struct rollcall_etcd *etcd);

#endif /* API_CONNECTION_H */

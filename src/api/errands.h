/* api/errands.h - what admin.c does for the library itself. */
#ifndef API_ERRANDS_H
#define API_ERRANDS_H

#include <rollcall/admin.h>

enum { ROLLCALL__REVOKE_AT_ONCE = 256 };

struct rollcall__revocation {
    int64_t lease_id; /* whosever it is; one that is gone is done */
    int64_t timeout_ms;
};

/*
 * Revokes leases, all at once, and waits until each is done or its time is over.
 * count: at most ROLLCALL__REVOKE_AT_ONCE.
 * Returns: ROLLCALL_OK when all are gone; else why the last was not.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__revoke_leases(struct rollcall_etcd *etcd, const struct rollcall__revocation *revocations,
                        size_t count, struct rollcall_error *error);

#endif /* API_ERRANDS_H */

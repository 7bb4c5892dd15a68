/* api/errands.h - what admin.c does for the library itself. */
#ifndef API_ERRANDS_H
#define API_ERRANDS_H

#include <rollcall/admin.h>

/* Revokes a lease, whosever it is; gone already is done.  As rollcall_revoke_async. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__revoke_lease_async(struct rollcall_etcd *etcd, int64_t lease_id, int64_t timeout_ms,
                             rollcall_done_fn *done, void *user, struct rollcall_error *error);

#endif /* API_ERRANDS_H */

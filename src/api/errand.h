/* api/errand.h - errands that are begun elsewhere than in admin.c, which runs them all. */
#ifndef API_ERRAND_H
#define API_ERRAND_H

#include "actors/errand.h"
#include "sentinel/verdict.h"

#include <rollcall/admin.h>

/* ROLLCALL_OK, or ROLLCALL_E_INVALID with the range. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__errand_check_timeout(int64_t timeout_ms,
                                                                      struct rollcall_error *error);

/* One transaction whose conditions say that `token` is valid.  write: moved; NULL: out of memory.
 * NULL: out of memory. */
struct errand_config *rollcall__errand_write(const struct rollcall_etcd *etcd,
                                             struct transport_request *write, int64_t token,
                                             int64_t timeout_ms);

/* Runs it, and waits; or tells `done`.  config: moved; NULL: out of memory. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__errand_run(struct rollcall_etcd *etcd,
                                                            struct errand_config *config,
                                                            struct rollcall_error *error);
ROLLCALL_MUST_USE enum rollcall_status
rollcall__errand_run_later(struct rollcall_etcd *etcd, struct errand_config *config,
                           rollcall_done_fn *done, void *user, struct rollcall_error *error);

enum { ROLLCALL__REVOKE_AT_ONCE = 256 };

/* One lease; NULL: out of memory. */
struct errand_config *rollcall__errand_revocation(const struct rollcall_etcd *etcd,
                                                  const struct rollcall__revocation *revocation);

/*
 * Revokes leases, all at once, and waits until each is done or its time is over.
 * count: at most ROLLCALL__REVOKE_AT_ONCE.
 * Returns: ROLLCALL_OK when all are gone; else why the last was not.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__revoke_leases(struct rollcall_etcd *etcd, const struct rollcall__revocation *revocations,
                        size_t count, struct rollcall_error *error);

#endif /* API_ERRAND_H */

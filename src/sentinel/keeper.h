/*
 * sentinel/keeper.h - the owner's side of a sentinel: starts it, notices its end, starts another.
 *
 * A thread of its own sleeps until the socket to the sentinel says something: that it is ready, or,
 * by its end, that it is no more.  Then another is started, after a pause that doubles.  Whoever
 * holds a session notices nothing of this: leases are noted in the ledger, whether or not somebody
 * reads it.
 *
 * Threads: any, between start and stop.
 */
#ifndef SENTINEL_KEEPER_H
#define SENTINEL_KEEPER_H

#include "base/log.h"
#include "sentinel/ledger.h"

#include <rollcall/sentinel.h>

struct rollcall__keeper;

/*
 * path:   of the program; copied, made absolute.
 * ledger: kept.  log: borrowed until stop.
 * Returns: ROLLCALL_OK once the program runs; or as rollcall__sentinel_birth.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__keeper_start(const char *path, struct rollcall__ledger *ledger, struct rollcall__log *log,
                       struct rollcall__keeper **keeper, struct rollcall_error *error);
/* Lets the sentinel end, and waits for that, for a second at most.  What is held then is left to
 * its TTL. */
void rollcall__keeper_stop(struct rollcall__keeper *keeper);
void rollcall__keeper_info(struct rollcall__keeper *keeper, struct rollcall_sentinel_info *info);
/* As rollcall_etcd_companion. */
enum rollcall_status rollcall__keeper_companion(struct rollcall__keeper *keeper, int pid_fd);

#endif /* SENTINEL_KEEPER_H */

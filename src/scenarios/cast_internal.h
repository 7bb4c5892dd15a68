/*
 * scenarios/cast_internal.h - what the files of the cast share.
 */
#ifndef SCENARIOS_CAST_INTERNAL_H
#define SCENARIOS_CAST_INTERNAL_H

#include "scenarios/cast.h"

#include <rollcall/queue.h>

#define CAST_ROOT "by-dev/meta"
#define CAST_ROLE "querynode"
enum { CAST_CALL_MS = 4000 };

uint64_t cast_draw(struct cast *cast, uint64_t below);
/* Of a call that must not fail but for want of memory, of room, or of actors: whether it did not.
 */
bool cast_allowed(struct cast *cast, enum rollcall_status status, const char *call);

void cast_open_watch(struct cast *cast, struct cast_watch *watch);
void cast_close_watch(struct cast *cast, struct cast_watch *watch);
/* One that is open reads, or looks. */
void cast_use_watch(struct cast *cast, struct cast_watch *watch);
/* All that is still to come is read as it comes, until a moment passes without. */
void cast_read_all(struct cast *cast, const struct cast_watch *watch);

#endif /* SCENARIOS_CAST_INTERNAL_H */

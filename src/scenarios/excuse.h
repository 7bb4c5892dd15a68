/* scenarios/excuse.h - what any scenario excuses by the faults there were.  Threads: the
 * simulation's. */
#ifndef SCENARIOS_EXCUSE_H
#define SCENARIOS_EXCUSE_H

#include <rollcall/error.h>
#include <rollcall/testing.h>

/* A call that must not fail, but for want of memory, or of room, or when actors crash so often that
 * their supervisor gives up: each under a fault of that kind alone; else "calls-are-answered" is
 * violated.  Returns whether it worked. */
bool scenario_allowed(struct rollcall_world *world, enum rollcall_status status, const char *call);
/* Somebody takes what is not his: a key, or a lease, or it is a token of two. */
bool scenario_is_meddled(struct rollcall_world *world);

#endif /* SCENARIOS_EXCUSE_H */

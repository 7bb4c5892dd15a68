/*
 * runtime/hold.h - a message that a fail point delays, and what must stay behind it.
 *
 *    user mailbox:    the message is taken out; the rest stays where it is, and the mailbox fills
 *                     as behind a slow actor
 *    system mailbox:  signals overtake, so the rest is taken out too, into `behind`
 *
 * A hold belongs to the actor's address, as its mailboxes do: a restart keeps it, an end drops it.
 * Threads: the worker's.
 */
#ifndef RUNTIME_HOLD_H
#define RUNTIME_HOLD_H

#include "runtime/worker.h"

/* Holds the cell, whose object it owns, for delay_ms; then its timer queues the actor.  false when
 * out of memory: nothing happened. */
ROLLCALL_MUST_USE bool rollcall__hold_begin(struct rollcall__actor *actor,
                                            enum rollcall__lane_kind kind,
                                            const struct rollcall__cell *cell, int64_t delay_ms);
/* The next cell of a mailbox that may be delivered; NULL: none.  *held: its time in a hold is over,
 * so it is not to be held again. */
struct rollcall__cell *rollcall__hold_pop(struct rollcall__actor *actor,
                                          enum rollcall__lane_kind kind, bool *held);
/* Whether rollcall__hold_pop has, or may have, something. */
bool rollcall__hold_ready(const struct rollcall__actor *actor, enum rollcall__lane_kind kind);
/* The actor ends: what is held are dead letters. */
void rollcall__hold_drop(struct rollcall__actor *actor, enum rollcall__lane_kind kind);

#endif /* RUNTIME_HOLD_H */

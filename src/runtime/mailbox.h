/*
 * runtime/mailbox.h - what waits for one actor: a bounded ring of cells from its worker's pool.
 *
 * Threads: the actor's worker only; producer and consumer are the same thread, and the ring is
 *          still ck's, so that there is one kind of queue in the project.
 */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include "runtime/cell.h"

#include <ck_ring.h>

struct rollcall__mailbox {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
};

/* capacity: a power of two, at least 4; one fewer fit. */
ROLLCALL_MUST_USE bool rollcall__mailbox_init(struct rollcall__mailbox *mailbox, uint32_t capacity);
void rollcall__mailbox_fini(struct rollcall__mailbox *mailbox); /* must be empty */
/* false when full: nothing happened. */
bool rollcall__mailbox_push(struct rollcall__mailbox *mailbox, struct rollcall__cell *cell);
/* As push, but grows: for the system lane, whose traffic is bounded by what was spawned. */
ROLLCALL_MUST_USE bool rollcall__mailbox_push_growing(struct rollcall__mailbox *mailbox,
                                                      struct rollcall__cell *cell);
struct rollcall__cell *rollcall__mailbox_pop(struct rollcall__mailbox *mailbox); /* NULL: empty */
bool rollcall__mailbox_empty(const struct rollcall__mailbox *mailbox);

#endif /* RUNTIME_MAILBOX_H */

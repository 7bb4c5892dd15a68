/*
 * channel/outbox.h - answers on their way to their askers.
 *
 * An answer is promised, so one that finds a mailbox or a lane full waits here and is sent again a
 * millisecond later, in order for each asker; nobody waits behind another asker's full mailbox.
 *
 * Threads: the actor's.
 */
#ifndef CHANNEL_OUTBOX_H
#define CHANNEL_OUTBOX_H

#include <rollcall/actor.h>

/* From malloc, or the first member of something from malloc: made when the request is accepted, so
 * that answering cannot run out of memory. */
struct rollcall__answer {
    struct rollcall__answer *next;
    struct rollcall_caller to;
    uint16_t type, size_bytes;
    struct rollcall_object *object; /* one reference; NULL: none */
    uint64_t payload[ROLLCALL_PAYLOAD_MAX_BYTES / sizeof(uint64_t)];
};

/* Zero is a valid empty outbox. */
struct rollcall__outbox {
    struct rollcall__answer *first, *last;
};

/* Moves the answer: frees it once it is sent.  Returns true when it waits: then the caller sets a
 * timer for rollcall__outbox_retry. */
bool rollcall__outbox_send(struct rollcall__outbox *outbox, struct rollcall_context *cx,
                           struct rollcall__answer *answer);
/* Sends what waits; true when something still does. */
bool rollcall__outbox_retry(struct rollcall__outbox *outbox, struct rollcall_context *cx);
/* Frees what waits, unsent. */
void rollcall__outbox_fini(struct rollcall__outbox *outbox);

#endif /* CHANNEL_OUTBOX_H */

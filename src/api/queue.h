/*
 * api/queue.h - the other side of a queue: who has it, and what is put into it.
 * Threads: push: the worker on which the watchers of the runtime live, the one producer.
 */
#ifndef API_QUEUE_H
#define API_QUEUE_H

#include "actors/hub.h"
#include "api/handle.h"

#include <rollcall/queue.h>

/* A watch more, or less.  join: false: there are as many as there may be slices. */
ROLLCALL_MUST_USE bool rollcall__queue_join(struct rollcall_queue *queue,
                                            const struct rollcall_runtime *runtime);
void rollcall__queue_leave(struct rollcall_queue *queue);

/*
 * Puts a slice in.  handle: kept; its events are passed over once it is closed.  batch: kept.
 * last: there is room for one of each watch.
 * False: there is no room.
 */
ROLLCALL_MUST_USE bool rollcall__queue_push(struct rollcall_queue *queue,
                                            struct rollcall__handle *handle, void *user,
                                            struct hub_batch *batch, size_t first, size_t count,
                                            bool last);

#endif /* API_QUEUE_H */

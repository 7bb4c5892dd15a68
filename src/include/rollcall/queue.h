/*
 * rollcall/queue.h - events of watches for a program with an event loop of its own: a bounded queue
 * with a descriptor to poll, instead of callbacks.
 *
 *     struct rollcall_queue *queue;
 *     rollcall_queue_create(runtime, 1024, &queue, &error);
 *     rollcall_watch_open(etcd, ROLLCALL_WATCH_OPTIONS(.role = "querynode", .queue = queue,
 *                                                      .user = &mine), &watch, &error);
 *     ... epoll says that rollcall_queue_fd(queue) is readable ...
 *     while ((count = rollcall_queue_next(queue, slices, 64)) > 0) { ... }
 *
 * Any number of watches of one runtime may share a queue.  When it is full its watches lag: each is
 * told the difference once there is room again, as rollcall/watch.h says; nothing is lost, nobody
 * waits, and memory does not grow.
 *
 * Threads: one thread at a time may call next; create and destroy: any, in no callback.
 * Memory:  what next returns is borrowed until the next call of it.
 */
#ifndef ROLLCALL_QUEUE_H
#define ROLLCALL_QUEUE_H

#include <rollcall/runtime.h>
#include <rollcall/watch.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_queue;

/* Events of one watch, in order: an array. */
struct rollcall_queue_slice {
    void *user; /* of the watch's options */
    const struct rollcall_watch_event *events;
    size_t count; /* 1 or more */
};

/*
 * slices: 0: 1'024; 1 to 65'536: how many may wait to be taken.  A slice is 64 events of a snapshot
 *         or a resync, else what came at once, never less than a revision; it counts once for each
 *         64 of its events, so that 64 * slices events wait at most, and one slice more.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_INVALID, ROLLCALL_E_NO_MEMORY, or ROLLCALL_E_FULL without
 *          a descriptor to be had.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_queue_create(struct rollcall_runtime *runtime, uint32_t slices,
                      struct rollcall_queue **queue, struct rollcall_error *error);

/* Frees it.  NULL: nothing.  Returns: ROLLCALL_OK; or ROLLCALL_E_BUSY while a watch has it: nothing
 * happened. */
ROLLCALL_API enum rollcall_status rollcall_queue_destroy(struct rollcall_queue *queue);

/* Readable while there may be something; the queue's, to be polled and not to be read. */
ROLLCALL_API int rollcall_queue_fd(const struct rollcall_queue *queue);

/*
 * Takes what has come, `max` slices at most (256 if more); never waits.  Of a watch that was closed
 * nothing is returned any more.
 * Returns: how many; 0: nothing, and the descriptor is not readable until something comes.  There
 *          may be more when it is `max`: then the descriptor is readable still, so that one call
 * for each time it is found readable is enough.
 */
ROLLCALL_API size_t rollcall_queue_next(struct rollcall_queue *queue,
                                        struct rollcall_queue_slice *slices, size_t max);

/* How full it is. */
struct rollcall_queue_stats {
    uint32_t slices;  /* as many may wait */
    uint32_t waiting; /* as many do, now; counted as for create */
    uint32_t watches; /* that put into it */
    uint64_t full;    /* how often one found no room; whether it lags, its own stats say */
};
/* Threads: any, in a callback too.  Never waits; the numbers may be of different moments. */
ROLLCALL_API struct rollcall_queue_stats rollcall_queue_stats(const struct rollcall_queue *queue);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_QUEUE_H */

/* The public calls of rollcall/queue.h: a lane from the data worker to the application's thread,
 * and an eventfd that says when it is not empty. */
#include "api/queue.h"

#include "base/memory.h"
#include "runtime/lane.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SLICES = 1024, SLICES_MAX = 65536, TAKEN_MAX = 256, SLICE_EVENTS = 64 };

/* In a cell, whose object is the batch. */
struct slice {
    struct rollcall__handle *handle; /* one reference */
    void *user;
    uint32_t first, count;
};
_Static_assert(sizeof(struct slice) <= ROLLCALL_PAYLOAD_MAX_BYTES, "a slice travels in a cell");

/* What the application has borrowed. */
struct taken {
    struct rollcall_object *batch, *handle; /* one reference each */
};

struct rollcall_queue {
    struct rollcall_runtime *runtime;
    struct rollcall__lane *lane;
    uint32_t slices;
    int fd;
    _Atomic uint32_t users;
    _Atomic uint32_t pushed; /* as slices_of counts; the producer's */
    _Atomic uint32_t popped; /* the consumer's */
    _Atomic uint64_t full;   /* pushes that found no room; the producer's */
    _Atomic bool signaled;   /* the eventfd has been written, or is about to be */
    struct taken taken[TAKEN_MAX];
    size_t taken_count;
};

static uint32_t power_of_two(uint32_t at_least)
{
    uint32_t power = 4;
    while (power < at_least) {
        power *= 2;
    }
    return power;
}

enum rollcall_status rollcall_queue_create(struct rollcall_runtime *runtime, uint32_t slices,
                                           struct rollcall_queue **queue,
                                           struct rollcall_error *error)
{
    if (runtime == NULL || slices > SLICES_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  runtime == NULL ? "queue: the runtime is NULL"
                                                  : "queue: too many slices: give 1 to %d, or 0",
                                  SLICES_MAX);
    }
    struct rollcall_queue *created = rollcall__allocate_zeroed(1, sizeof *created);
    if (created == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "queue: out of memory");
    }
    created->runtime = runtime;
    created->slices = slices == 0 ? SLICES : slices;
    created->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* as many again: the last slice of each watch always finds room */
    created->lane = rollcall__lane_create(power_of_two(2 * created->slices + 1));
    if (created->fd < 0 || created->lane == NULL) {
        const enum rollcall_status status =
            created->fd < 0
                ? rollcall_error_set(error, ROLLCALL_E_FULL,
                                     "queue: no descriptor can be had (%s): close some",
                                     strerror(errno))
                : rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "queue: out of memory");
        (void)rollcall_queue_destroy(created);
        return status;
    }
    *queue = created;
    return ROLLCALL_OK;
}

static void give_back(struct rollcall_queue *queue)
{
    for (size_t i = 0; i < queue->taken_count; i++) {
        rollcall_object_drop(queue->taken[i].batch);
        rollcall_object_drop(queue->taken[i].handle);
    }
    queue->taken_count = 0;
}

/* As how many it counts: what comes at once may be much. */
static uint32_t slices_of(const struct slice *slice)
{
    return 1 + (slice->count - 1) / SLICE_EVENTS;
}

static bool pop(struct rollcall_queue *queue, struct slice *slice, struct hub_batch **batch)
{
    struct rollcall__cell cell;
    if (!rollcall__lane_pop(queue->lane, &cell)) {
        return false;
    }
    memcpy(slice, cell.payload, sizeof *slice);
    *batch = (struct hub_batch *)cell.object;
    /* Relaxed: only how full it is; what the cell holds is ordered by the lane. */
    atomic_fetch_add_explicit(&queue->popped, slices_of(slice), memory_order_relaxed);
    return true;
}

enum rollcall_status rollcall_queue_destroy(struct rollcall_queue *queue)
{
    struct slice slice;
    struct hub_batch *batch;
    if (queue == NULL) {
        return ROLLCALL_OK;
    }
    if (atomic_load(&queue->users) > 0) {
        return ROLLCALL_E_BUSY;
    }
    give_back(queue);
    while (queue->lane != NULL && pop(queue, &slice, &batch)) {
        rollcall_object_drop(&batch->object);
        rollcall_object_drop(&slice.handle->object);
    }
    rollcall__lane_destroy(queue->lane);
    if (queue->fd >= 0) {
        close(queue->fd);
    }
    free(queue);
    return ROLLCALL_OK;
}

int rollcall_queue_fd(const struct rollcall_queue *queue)
{
    return queue->fd;
}

/* popped first: more is never taken than was pushed. */
struct rollcall_queue_stats rollcall_queue_stats(const struct rollcall_queue *queue)
{
    const uint32_t popped = atomic_load(&queue->popped);
    return (struct rollcall_queue_stats){.slices = queue->slices,
                                         .waiting = atomic_load(&queue->pushed) - popped,
                                         .watches = atomic_load(&queue->users),
                                         .full = atomic_load(&queue->full)};
}

/* ---- the application's side ---- */

/* Takes slices until the queue is empty, or `max` are taken. */
static size_t take(struct rollcall_queue *queue, struct rollcall_queue_slice *slices, size_t count,
                   size_t max)
{
    struct slice slice;
    struct hub_batch *batch;
    while (count < max && pop(queue, &slice, &batch)) {
        if (rollcall__handle_is_closed(slice.handle)) {
            rollcall_object_drop(&batch->object);
            rollcall_object_drop(&slice.handle->object);
            continue;
        }
        queue->taken[queue->taken_count++] = (struct taken){&batch->object, &slice.handle->object};
        slices[count++] = (struct rollcall_queue_slice){
            .user = slice.user, .events = &batch->events[slice.first], .count = slice.count};
    }
    return count;
}

size_t rollcall_queue_next(struct rollcall_queue *queue, struct rollcall_queue_slice *slices,
                           size_t max)
{
    uint64_t ignored;
    const size_t most = max < TAKEN_MAX ? max : TAKEN_MAX;
    give_back(queue);
    const size_t count = take(queue, slices, 0, most);
    if (count == most) {
        return count;
    }
    /* Empty.  While `signaled` nobody writes, so nothing that is written later is read away; and
     * what was pushed by one who saw it set is seen by the second look: his exchange comes before
     * this one (acquire here, release there). */
    const ssize_t size = read(queue->fd, &ignored, sizeof ignored);
    (void)size; /* nothing was written yet */
    (void)atomic_exchange_explicit(&queue->signaled, false, memory_order_acq_rel);
    return take(queue, slices, count, most);
}

/* ---- the watchers' side ---- */

bool rollcall__queue_join(struct rollcall_queue *queue, const struct rollcall_runtime *runtime)
{
    if (queue->runtime != runtime) {
        return false;
    }
    if (atomic_fetch_add(&queue->users, 1) >= queue->slices) {
        atomic_fetch_sub(&queue->users, 1);
        return false;
    }
    return true;
}

void rollcall__queue_leave(struct rollcall_queue *queue)
{
    atomic_fetch_sub(&queue->users, 1); /* with destroy: nothing is pushed after this */
}

static void signal_reader(struct rollcall_queue *queue)
{
    const uint64_t one = 1;
    /* Release: with the exchange in next, which see. */
    if (!atomic_exchange_explicit(&queue->signaled, true, memory_order_acq_rel)) {
        const ssize_t size = write(queue->fd, &one, sizeof one);
        (void)size; /* of a counter that is 0 or 1 it cannot fail */
    }
}

bool rollcall__queue_push(struct rollcall_queue *queue, struct rollcall__handle *handle, void *user,
                          struct hub_batch *batch, size_t first, size_t count, bool last)
{
    const uint32_t waiting = atomic_load_explicit(&queue->pushed, memory_order_relaxed) -
                             atomic_load_explicit(&queue->popped, memory_order_relaxed);
    const struct slice slice = {handle, user, (uint32_t)first, (uint32_t)count};
    struct rollcall__cell cell = {.object = &batch->object};
    if (waiting >= queue->slices && !last) {
        atomic_fetch_add_explicit(&queue->full, 1, memory_order_relaxed);
        return false;
    }
    memcpy(cell.payload, &slice, sizeof slice);
    rollcall_object_keep(&batch->object);
    rollcall_object_keep(&handle->object);
    if (!rollcall__lane_push(queue->lane, &cell)) {
        rollcall_object_drop(&batch->object);
        rollcall_object_drop(&handle->object);
        return false;
    }
    atomic_fetch_add_explicit(&queue->pushed, slices_of(&slice), memory_order_relaxed);
    signal_reader(queue);
    return true;
}

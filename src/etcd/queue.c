/*
 * etcd/queue.c - the poller.  It takes what is ready without waiting, and wakes the workers only
 * when nothing more is, or after FLUSH_EVERY events: a wake costs more than a message.
 *
 * gRPC is not built with ThreadSanitizer, so its hand-over of a tag is invisible to it; the two
 * macros tell it of the edge batch_start -> cq_next that gRPC's own lock makes.
 */
#include "etcd/queue.h"

#include "base/thread.h"

#include <grpc/support/time.h>

#include <string.h>

#if defined(__has_feature) /* clang; nested because gcc 12 cannot parse the call */
#if __has_feature(thread_sanitizer)
#define ROLLCALL_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__) /* gcc */
#define ROLLCALL_TSAN 1
#endif
#ifdef ROLLCALL_TSAN
#include <sanitizer/tsan_interface.h>
#define HANDING_OVER(tag) __tsan_release(tag)
#define TAKING_OVER(tag) __tsan_acquire(tag)
#else
#define HANDING_OVER(tag) ((void)(tag))
#define TAKING_OVER(tag) ((void)(tag))
#endif

enum { FLUSH_EVERY = 256, FLUSH_AGAIN_MS = 1 };

static void flush(struct rollcall__event_queue *queue, gpr_timespec *wait_until)
{
    struct rollcall__held_tag *tag;
    queue->taken = 0;
    while ((tag = LIST_FIRST(&queue->held)) != NULL) {
        tag->flushed(tag, queue);
    }
    *wait_until = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (!rollcall__port_flush(queue->port)) {
        *wait_until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                   gpr_time_from_millis(FLUSH_AGAIN_MS, GPR_TIMESPAN));
    }
}

static grpc_event next_event(struct rollcall__event_queue *queue)
{
    for (;;) {
        gpr_timespec wait_until = gpr_inf_past(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(queue->cq, wait_until, NULL);
        if (event.type == GRPC_QUEUE_TIMEOUT) {
            flush(queue, &wait_until);
            event = grpc_completion_queue_next(queue->cq, wait_until, NULL);
        }
        if (event.type != GRPC_QUEUE_TIMEOUT) {
            return event;
        }
    }
}

static void *poll_until_shutdown(void *argument)
{
    struct rollcall__event_queue *queue = argument;
    gpr_timespec unused;
    for (;;) {
        const grpc_event event = next_event(queue);
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return NULL;
        }
        struct rollcall__tag *tag = event.tag;
        TAKING_OVER(tag);
        tag->completed(tag, queue);
        if (++queue->taken >= FLUSH_EVERY) {
            flush(queue, &unused);
        }
    }
}

enum rollcall_status rollcall__event_queue_open(struct rollcall__event_queue *queue,
                                                struct rollcall_runtime *runtime, const char *name,
                                                struct rollcall_error *error)
{
    memset(queue, 0, sizeof *queue);
    enum rollcall_status status = rollcall__port_open(runtime, &queue->port, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    queue->cq = grpc_completion_queue_create_for_next(NULL);
    status = rollcall__thread_start(&queue->poller, name, poll_until_shutdown, queue, error);
    if (status != ROLLCALL_OK) {
        grpc_completion_queue_shutdown(queue->cq);
        grpc_completion_queue_destroy(queue->cq);
        rollcall__port_close(queue->port);
        memset(queue, 0, sizeof *queue);
    }
    return status;
}

void rollcall__event_queue_close(struct rollcall__event_queue *queue)
{
    if (queue->cq == NULL) {
        return;
    }
    grpc_completion_queue_shutdown(queue->cq);
    pthread_join(queue->poller, NULL);
    grpc_completion_queue_destroy(queue->cq);
    rollcall__port_close(queue->port);
    memset(queue, 0, sizeof *queue);
}

void rollcall__event_queue_post(struct rollcall__event_queue *queue, uint16_t type,
                                const void *payload, size_t size_bytes,
                                struct rollcall_object *object)
{
    rollcall__port_post(queue->port, queue->actor, type, payload, size_bytes, object);
}

void rollcall__event_queue_hold(struct rollcall__event_queue *queue, struct rollcall__held_tag *tag)
{
    if (!tag->held) {
        LIST_INSERT_HEAD(&queue->held, tag, link);
        tag->held = true;
    }
}

void rollcall__event_queue_let_go(struct rollcall__held_tag *tag)
{
    if (tag->held) {
        LIST_REMOVE(tag, link);
        tag->held = false;
    }
}

grpc_call_error rollcall__batch_start(grpc_call *call, const grpc_op *ops, size_t count,
                                      struct rollcall__tag *tag)
{
    HANDING_OVER(tag);
    return grpc_call_start_batch(call, ops, count, tag, NULL);
}

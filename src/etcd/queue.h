/*
 * etcd/queue.h - one gRPC completion queue and the one thread that waits on it.
 *
 * gRPC does its network I/O inside the wait, so this thread is the transport's engine.  It owns no
 * state: it turns each completed batch into one message to the transport actor.
 *
 * Threads: open and close: the application's.  post: the poller, inside a tag's `completed`.
 */
#ifndef ETCD_QUEUE_H
#define ETCD_QUEUE_H

#include "runtime/port.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <sys/queue.h>

struct rollcall__event_queue {
    grpc_completion_queue *cq;
    struct rollcall__port *port;
    pthread_t poller;
    struct rollcall_caller actor; /* who is told; set by the actor before its first batch */
    /* The poller's: */
    unsigned taken;                       /* completions since the last flush */
    LIST_HEAD(, rollcall__held_tag) held; /* what has something to post before the next */
};

/* What a batch is started with: first member, or found by its offset, in the operation it belongs
 * to.  The operation stays in place until `completed` has posted and the actor has handled that. */
struct rollcall__tag {
    void (*completed)(struct rollcall__tag *tag, struct rollcall__event_queue *queue);
};

/* What has something to post that may still grow: `flushed` posts it, and lets go.  The poller's.
 */
struct rollcall__held_tag {
    void (*flushed)(struct rollcall__held_tag *tag, struct rollcall__event_queue *queue);
    LIST_ENTRY(rollcall__held_tag) link;
    bool held;
};

/* Starts the poller.  name: at most 15 characters. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__event_queue_open(struct rollcall__event_queue *queue, struct rollcall_runtime *runtime,
                           const char *name, struct rollcall_error *error);
/* After every batch has completed and the actor is gone: joins the poller. */
void rollcall__event_queue_close(struct rollcall__event_queue *queue);

/* As rollcall__port_post, to the transport actor. */
void rollcall__event_queue_post(struct rollcall__event_queue *queue, uint16_t type,
                                const void *payload, size_t size_bytes,
                                struct rollcall_object *object);

/* Calls the tag's `flushed` once, before the poller wakes the workers: at the latest when nothing
 * more is ready.  Twice is once.  Threads: the poller. */
void rollcall__event_queue_hold(struct rollcall__event_queue *queue,
                                struct rollcall__held_tag *tag);
/* It has nothing to post any more. */
void rollcall__event_queue_let_go(struct rollcall__held_tag *tag);

/* Starts a batch: everything written before is visible to `completed`.  Threads: any. */
grpc_call_error rollcall__batch_start(grpc_call *call, const grpc_op *ops, size_t count,
                                      struct rollcall__tag *tag);

#endif /* ETCD_QUEUE_H */

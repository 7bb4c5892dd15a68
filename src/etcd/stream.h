/*
 * etcd/stream.h - one bidirectional stream: the keepalives of a link, or one watch.
 *
 * Three batches: "life" (metadata and status, from open to end), at most one send, at most one
 * receive.  Each completion becomes one message to the actor, which counts them: when none is
 * outstanding the stream is over and may be destroyed.
 *
 * The receive window: `credit` is how many more messages may be taken in.  The poller takes one off
 * for each it passes on and asks gRPC for the next while any is left; the actor gives one back for
 * each that has been consumed, and asks gRPC itself when it was the first.  So a slow consumer
 * stops the stream at etcd, by flow control, and costs at most `window` messages of memory.
 *
 * Threads: open, send, credit, cancel, destroy: the actor's.
 */
#ifndef ETCD_STREAM_H
#define ETCD_STREAM_H

#include "etcd/link.h"
#include "etcd/wire.h"

#include <stdatomic.h>

enum rollcall__stream_kind { ROLLCALL__STREAM_KEEPALIVE, ROLLCALL__STREAM_WATCH };

struct rollcall__watch;

struct rollcall__stream {
    /* The actor's: */
    struct rollcall__stream *previous, *next; /* in its list */
    struct rollcall__watch *watch;            /* borrowed; NULL: nobody wants it any more */
    uint32_t batches;                         /* outstanding, as far as the actor has heard */
    bool sending, ended;                      /* ended: the life batch has completed */
    bool canceled;                            /* by us: its end is nobody's fault */
    size_t endpoint;
    uint64_t generation; /* of the token it was opened with */
    /* Set at open: */
    enum rollcall__stream_kind kind;
    const struct rollcall__link *link;
    grpc_call *call;
    struct rollcall__metadata metadata;
    struct rollcall__tag life, send, receive;
    /* Between the two: */
    _Atomic uint32_t credit;
    /* gRPC's and the poller's: */
    struct rollcall__watch_block *partial;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received, *sent;
    grpc_status_code code;
    grpc_slice details;
    struct rollcall_error error; /* why it ended; the actor's after CHANNEL_STREAM_STATUS */
};

struct rollcall__stream_options {
    enum rollcall__stream_kind kind;
    size_t endpoint;
    const char *token; /* copied; NULL: none */
    uint32_t window;
};

/* Opens a stream and asks for its first message: two batches.
 * Returns: NULL when it could not be opened; then no message will come and *error says why. */
struct rollcall__stream *rollcall__stream_open(struct rollcall__link *link,
                                               const struct rollcall__stream_options *options,
                                               struct rollcall_error *error);
/* One at a time: not while `sending`.  packet: moved.  more: another follows at once. */
void rollcall__stream_send(struct rollcall__stream *stream, struct rollcall__packet *packet,
                           bool more);
/* A message that was passed on has been consumed. */
void rollcall__stream_credit(struct rollcall__stream *stream);
void rollcall__stream_cancel(struct rollcall__stream *stream);
/* When no batch is outstanding. */
void rollcall__stream_destroy(struct rollcall__stream *stream);

#endif /* ETCD_STREAM_H */

/*
 * etcd/stream.h - the driver's streams: the keepalives of a link, or one watch.
 *
 * Three batches: "life" (metadata and status, from open to end), at most one send, at most one
 * receive.  Each completion becomes one message to the actor, which counts them in `pending`.
 *
 * The receive window: `credit` is how many more messages may be taken in.  The poller takes one off
 * for each it passes on and asks gRPC for the next while any is left; the actor gives one back for
 * each that has been consumed, and asks gRPC itself when it was the first.  So a slow consumer
 * stops the stream at etcd, by flow control, and costs at most `window` messages of memory.
 *
 * Threads: the actor's.
 */
#ifndef ETCD_STREAM_H
#define ETCD_STREAM_H

#include "etcd/link.h"

/* As the driver's open, send_renewal, send_watch, credit, cancel and destroy. */
struct rollcall__stream *rollcall__grpc_stream_open(struct rollcall__driver *driver,
                                                    enum rollcall__stream_kind kind,
                                                    size_t endpoint, const char *token,
                                                    uint32_t window, struct rollcall_error *error);
bool rollcall__grpc_stream_renew(struct rollcall__driver *driver, struct rollcall__stream *stream,
                                 int64_t lease_id, bool more);
bool rollcall__grpc_stream_watch(struct rollcall__driver *driver, struct rollcall__stream *stream,
                                 const struct transport_range *range);
void rollcall__grpc_stream_credit(struct rollcall__driver *driver, struct rollcall__stream *stream);
void rollcall__grpc_stream_cancel(struct rollcall__driver *driver, struct rollcall__stream *stream);
void rollcall__grpc_stream_destroy(struct rollcall__driver *driver,
                                   struct rollcall__stream *stream);

#endif /* ETCD_STREAM_H */

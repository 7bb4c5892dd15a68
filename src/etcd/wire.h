/* etcd/wire.h - the few shapes gRPC wants bytes, metadata and time in.  Threads: any. */
#ifndef ETCD_WIRE_H
#define ETCD_WIRE_H

#include "etcd/codec.h"

#include <grpc/grpc.h>

enum { ROLLCALL__METADATA_MAX = 2 };

/* What goes with a request; lives as long as its batch. */
struct rollcall__metadata {
    grpc_metadata entries[ROLLCALL__METADATA_MAX];
    size_t count;
};
/* require_leader: a member that has none refuses, and ends a stream, instead of staying silent.
 * token: copied; NULL: none. */
void rollcall__metadata_init(struct rollcall__metadata *metadata, bool require_leader,
                             const char *token);
void rollcall__metadata_fini(struct rollcall__metadata *metadata);

/* Moves the packet's bytes. */
grpc_byte_buffer *rollcall__wire_buffer(struct rollcall__packet *packet);

/* The bytes of a received buffer in one piece: copied only when gRPC read them in several. */
struct rollcall__view {
    struct rollcall_bytes bytes;
    grpc_slice slice;
};
void rollcall__view_init(struct rollcall__view *view, grpc_byte_buffer *buffer);
void rollcall__view_fini(struct rollcall__view *view);

/* The same bytes, copied: `out` has room for rollcall__wire_size() of them. */
size_t rollcall__wire_size(grpc_byte_buffer *buffer);
void rollcall__wire_copy(grpc_byte_buffer *buffer, char *out);

/* 0: never. */
gpr_timespec rollcall__wire_deadline(int64_t timeout_ms);

#endif /* ETCD_WIRE_H */

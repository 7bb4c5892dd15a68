/* etcd/wire.c - see wire.h. */
#include "etcd/wire.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <stdlib.h>
#include <string.h>

void rollcall__metadata_init(struct rollcall__metadata *metadata, bool require_leader,
                             const char *token)
{
    memset(metadata, 0, sizeof *metadata);
    if (require_leader) {
        grpc_metadata *entry = &metadata->entries[metadata->count++];
        entry->key = grpc_slice_from_static_string("hasleader");
        entry->value = grpc_slice_from_static_string("true");
    }
    if (token != NULL) {
        grpc_metadata *entry = &metadata->entries[metadata->count++];
        entry->key = grpc_slice_from_static_string("token");
        entry->value = grpc_slice_from_copied_string(token);
    }
}

void rollcall__metadata_fini(struct rollcall__metadata *metadata)
{
    for (size_t i = 0; i < metadata->count; i++) {
        grpc_slice_unref(metadata->entries[i].value);
    }
    metadata->count = 0;
}

grpc_byte_buffer *rollcall__wire_buffer(struct rollcall__packet *packet)
{
    grpc_slice slice = grpc_slice_new(packet->data, packet->size_bytes, free);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    *packet = (struct rollcall__packet){0};
    return buffer;
}

void rollcall__view_init(struct rollcall__view *view, grpc_byte_buffer *buffer)
{
    const bool raw = buffer->type == GRPC_BB_RAW;
    grpc_byte_buffer_reader reader;
    if (raw && buffer->data.raw.slice_buffer.count == 1) {
        view->slice = grpc_slice_ref(buffer->data.raw.slice_buffer.slices[0]);
    } else if (grpc_byte_buffer_reader_init(&reader, buffer) != 0) {
        view->slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    } else {
        view->slice = grpc_empty_slice();
    }
    /* From view->slice itself: a short slice holds its bytes inside the struct. */
    view->bytes.data = (const char *)GRPC_SLICE_START_PTR(view->slice);
    view->bytes.size_bytes = GRPC_SLICE_LENGTH(view->slice);
}

void rollcall__view_fini(struct rollcall__view *view)
{
    grpc_slice_unref(view->slice);
}

size_t rollcall__wire_size(grpc_byte_buffer *buffer)
{
    return grpc_byte_buffer_length(buffer);
}

void rollcall__wire_copy(grpc_byte_buffer *buffer, char *out)
{
    const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    for (size_t i = 0; i < slices->count; i++) {
        const size_t size_bytes = GRPC_SLICE_LENGTH(slices->slices[i]);
        memcpy(out, GRPC_SLICE_START_PTR(slices->slices[i]), size_bytes);
        out += size_bytes;
    }
}

gpr_timespec rollcall__wire_deadline(int64_t timeout_ms)
{
    if (timeout_ms <= 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

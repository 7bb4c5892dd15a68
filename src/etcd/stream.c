/* etcd/stream.c - see stream.h. */
#include "etcd/stream.h"

#include "base/assert.h"
#include "etcd/channel.h"
#include "etcd/error.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include <stdlib.h>
#include <string.h>

enum { RESPONSE_BYTES_MAX = 256 << 20 };

static const char *const METHODS[] = {
    [ROLLCALL__STREAM_KEEPALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
    [ROLLCALL__STREAM_WATCH] = "/etcdserverpb.Watch/Watch",
};

static struct rollcall__stream *of_tag(struct rollcall__tag *tag, size_t offset)
{
    return (struct rollcall__stream *)((char *)tag - offset);
}

/* A batch of one operation is refused only for a mistake of ours, never for the call's state. */
static void start_one(struct rollcall__stream *stream, const grpc_op *op, struct rollcall__tag *tag)
{
    ROLLCALL_ASSERT(rollcall__batch_start(stream->call, op, 1, tag) == GRPC_CALL_OK);
}

/* Threads: the poller's while credit is left, else the actor's. */
static void start_receive(struct rollcall__stream *stream)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &stream->received;
    start_one(stream, &op, &stream->receive);
}

/* ---- on the poller ---- */

static void life_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct rollcall__stream *stream = of_tag(tag, offsetof(struct rollcall__stream, life));
    char *details = grpc_slice_to_c_string(stream->details);
    const struct rollcall__etcd_failure failure = {
        .grpc_code = (int)stream->code,
        .message = {.data = details, .size_bytes = strlen(details)},
        .endpoint = stream->link->endpoints.names[stream->endpoint],
    };
    rollcall__etcd_error(&stream->error, &failure);
    gpr_free(details);
    const struct channel_stream ended = {.stream = stream};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_STATUS, &ended, sizeof ended, NULL);
}

static void send_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    const struct channel_stream sent = {.stream =
                                            of_tag(tag, offsetof(struct rollcall__stream, send))};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_SENT, &sent, sizeof sent, NULL);
}

/* Takes one credit for the message just taken in; true when the next one has been asked for. */
static bool receive_next(struct rollcall__stream *stream)
{
    /* Release, paired with the acquire in rollcall__stream_credit: when this takes the last credit,
     * what the poller did with the stream happens before the actor asks for the next message. */
    if (atomic_fetch_sub_explicit(&stream->credit, 1, memory_order_release) == 1) {
        return false;
    }
    start_receive(stream);
    return true;
}

static void renewed(struct rollcall__stream *stream, struct rollcall__event_queue *queue,
                    struct rollcall_bytes body)
{
    struct channel_renewed message = {.stream = stream};
    if (!rollcall__codec_renewed(body, &message.lease_id, &message.ttl_s)) {
        message.lease_id = 0; /* no lease: the actor sees that it asked for another */
    }
    message.armed = receive_next(stream);
    rollcall__event_queue_post(queue, CHANNEL_RENEWED, &message, sizeof message, NULL);
}

static void watched(struct rollcall__stream *stream, struct rollcall__event_queue *queue,
                    struct rollcall_bytes body)
{
    struct transport_watch_response *response =
        rollcall__codec_watch_response(&stream->partial, body, RESPONSE_BYTES_MAX);
    if (response == NULL) {
        start_receive(stream); /* fragments of one response cost one credit together */
        return;
    }
    const struct channel_received message = {.stream = stream, .armed = receive_next(stream)};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_RECEIVED, &message, sizeof message,
                               &response->object);
}

static void receive_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct rollcall__stream *stream = of_tag(tag, offsetof(struct rollcall__stream, receive));
    grpc_byte_buffer *received = stream->received;
    stream->received = NULL;
    if (received == NULL) { /* the stream ends; its status comes by the life batch */
        const struct channel_received message = {.stream = stream};
        rollcall__event_queue_post(queue, CHANNEL_STREAM_RECEIVED, &message, sizeof message, NULL);
        return;
    }
    struct rollcall__view view;
    rollcall__view_init(&view, received);
    grpc_byte_buffer_destroy(received);
    if (stream->kind == ROLLCALL__STREAM_KEEPALIVE) {
        renewed(stream, queue, view.bytes);
    } else {
        watched(stream, queue, view.bytes);
    }
    rollcall__view_fini(&view);
}

/* ---- on the actor's worker ---- */

static grpc_call_error start_life(struct rollcall__stream *stream)
{
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = stream->metadata.count;
    ops[0].data.send_initial_metadata.metadata = stream->metadata.entries;
    ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
    ops[2].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[2].data.recv_status_on_client.trailing_metadata = &stream->trailing;
    ops[2].data.recv_status_on_client.status = &stream->code;
    ops[2].data.recv_status_on_client.status_details = &stream->details;
    return rollcall__batch_start(stream->call, ops, sizeof ops / sizeof ops[0], &stream->life);
}

static struct rollcall__stream *create(struct rollcall__link *link,
                                       const struct rollcall__stream_options *options)
{
    struct rollcall__stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->kind = options->kind;
    stream->link = link;
    stream->endpoint = options->endpoint;
    stream->life.completed = life_completed;
    stream->send.completed = send_completed;
    stream->receive.completed = receive_completed;
    stream->details = grpc_empty_slice();
    atomic_init(&stream->credit, options->window);
    rollcall__metadata_init(&stream->metadata, true, options->token);
    grpc_metadata_array_init(&stream->initial);
    grpc_metadata_array_init(&stream->trailing);
    stream->call = grpc_channel_create_call(link->channels[options->endpoint], NULL,
                                            GRPC_PROPAGATE_DEFAULTS, link->queue.cq,
                                            grpc_slice_from_static_string(METHODS[options->kind]),
                                            NULL, rollcall__wire_deadline(0), NULL);
    return stream;
}

struct rollcall__stream *rollcall__stream_open(struct rollcall__link *link,
                                               const struct rollcall__stream_options *options,
                                               struct rollcall_error *error)
{
    struct rollcall__stream *stream = create(link, options);
    if (stream == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a stream to etcd");
        return NULL;
    }
    const grpc_call_error refused = start_life(stream);
    if (refused != GRPC_CALL_OK) { /* no completion will come */
        rollcall_error_set(error, ROLLCALL_E_REJECTED, "gRPC refused the stream to %s: %s",
                           link->endpoints.names[options->endpoint],
                           grpc_call_error_to_string(refused));
        rollcall__stream_destroy(stream);
        return NULL;
    }
    start_receive(stream);
    stream->batches = 2;
    return stream;
}

void rollcall__stream_send(struct rollcall__stream *stream, struct rollcall__packet *packet,
                           bool more)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    grpc_byte_buffer_destroy(stream->sent); /* the one before; NULL: nothing */
    stream->sent = rollcall__wire_buffer(packet);
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = stream->sent;
    op.flags = more ? GRPC_WRITE_BUFFER_HINT : 0;
    ROLLCALL_ASSERT(!stream->sending);
    stream->sending = true;
    stream->batches++;
    start_one(stream, &op, &stream->send);
}

void rollcall__stream_credit(struct rollcall__stream *stream)
{
    /* Acquire, paired with the release in receive_next: 0 means that the poller has let go. */
    if (atomic_fetch_add_explicit(&stream->credit, 1, memory_order_acquire) == 0) {
        stream->batches++;
        start_receive(stream);
    }
}

void rollcall__stream_cancel(struct rollcall__stream *stream)
{
    stream->canceled = true;
    stream->watch = NULL;
    grpc_call_cancel(stream->call, NULL);
}

void rollcall__stream_destroy(struct rollcall__stream *stream)
{
    grpc_byte_buffer_destroy(stream->sent);
    grpc_byte_buffer_destroy(stream->received);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&stream->trailing);
    rollcall__metadata_fini(&stream->metadata);
    rollcall__watch_block_free(stream->partial);
    grpc_slice_unref(stream->details);
    grpc_call_unref(stream->call);
    free(stream);
}

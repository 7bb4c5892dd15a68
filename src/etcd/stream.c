/* etcd/stream.c - see stream.h. */
#include "etcd/stream.h"

#include "base/assert.h"
#include "channel/channel.h"
#include "channel/error.h"
#include "etcd/wire.h"
#include "transport/request.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { RESPONSE_BYTES_MAX = 256 << 20 };

static const char *const METHODS[] = {
    [ROLLCALL__STREAM_KEEPALIVE] = "/etcdserverpb.Lease/LeaseKeepAlive",
    [ROLLCALL__STREAM_WATCH] = "/etcdserverpb.Watch/Watch",
};

struct stream {
    struct rollcall__stream base; /* first: the actor's */
    struct rollcall__link *link;
    grpc_call *call;
    struct rollcall__metadata metadata;
    struct rollcall__tag life, send, receive;
    /* Between the actor and the poller: */
    _Atomic uint32_t credit;
    /* gRPC's and the poller's: */
    struct rollcall__watch_block *block; /* of a watch: what is not handed over */
    struct rollcall__held_tag held;      /* held: the block may be joined by more */
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received, *sent;
    grpc_status_code code;
    grpc_slice details;
};

static struct stream *of_base(struct rollcall__stream *base)
{
    return (struct stream *)base;
}

static struct stream *of_tag(struct rollcall__tag *tag, size_t offset)
{
    return (struct stream *)(void *)((char *)tag - offset);
}

/* A batch of one operation is refused only for a mistake of ours, never for the call's state. */
static void start_one(struct stream *stream, const grpc_op *op, struct rollcall__tag *tag)
{
    ROLLCALL_ASSERT(rollcall__batch_start(stream->call, op, 1, tag) == GRPC_CALL_OK);
}

/* Threads: the poller's while credit is left, else the actor's. */
static void start_receive(struct stream *stream)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &stream->received;
    start_one(stream, &op, &stream->receive);
}

/* ---- on the poller ---- */

static void hand_over(struct stream *stream, struct rollcall__event_queue *queue,
                      struct transport_watch_response *response, bool armed)
{
    const struct channel_received message = {.stream = &stream->base, .armed = armed};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_RECEIVED, &message, sizeof message,
                               &response->object);
}

/* What may still be joined is handed over as it is.  Its credit was taken when it began, and the
 * next message has been asked for since. */
static void hand_over_held(struct stream *stream, struct rollcall__event_queue *queue)
{
    if (stream->held.held) {
        rollcall__event_queue_let_go(&stream->held);
        hand_over(stream, queue, rollcall__codec_watch_take(&stream->block), true);
    }
}

static void flushed(struct rollcall__held_tag *tag, struct rollcall__event_queue *queue)
{
    hand_over_held((struct stream *)(void *)((char *)tag - offsetof(struct stream, held)), queue);
}

static void life_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct stream *stream = of_tag(tag, offsetof(struct stream, life));
    hand_over_held(stream, queue);
    char *details = grpc_slice_to_c_string(stream->details);
    const struct rollcall__etcd_failure failure = {
        .grpc_code = (int)stream->code,
        .message = {.data = details, .size_bytes = strlen(details)},
        .endpoint = stream->link->driver.endpoints[stream->base.endpoint],
    };
    rollcall__etcd_error(&stream->base.error, &failure);
    gpr_free(details);
    const struct channel_stream ended = {.stream = &stream->base};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_STATUS, &ended, sizeof ended, NULL);
}

static void send_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct stream *stream = of_tag(tag, offsetof(struct stream, send));
    const struct channel_stream sent = {.stream = &stream->base};
    rollcall__event_queue_post(queue, CHANNEL_STREAM_SENT, &sent, sizeof sent, NULL);
}

/* Takes one credit for the message just taken in; true when the next one has been asked for. */
static bool receive_next(struct stream *stream)
{
    /* Release, paired with the acquire in rollcall__grpc_stream_credit: when this takes the last
     * credit, what the poller did with the stream happens before the actor asks for the next
     * message. */
    if (atomic_fetch_sub_explicit(&stream->credit, 1, memory_order_release) == 1) {
        return false;
    }
    start_receive(stream);
    return true;
}

static void renewed(struct stream *stream, struct rollcall__event_queue *queue,
                    struct rollcall_bytes body)
{
    struct channel_renewed message = {.stream = &stream->base};
    if (!rollcall__codec_renewed(body, &message.lease_id, &message.ttl_s)) {
        message.lease_id = 0; /* no lease: the actor sees that it asked for another */
    }
    message.armed = receive_next(stream);
    rollcall__event_queue_post(queue, CHANNEL_RENEWED, &message, sizeof message, NULL);
}

/* True when the next message has been asked for.  A response costs one credit, of however many
 * messages it is made: what is held has paid already, what is not whole pays when it is. */
static bool ask_next(struct stream *stream, bool pays)
{
    if (pays && !stream->held.held) {
        return receive_next(stream);
    }
    start_receive(stream);
    return true;
}

/* A block that lacks fragments waits for them; one that may be joined is held, as long as there is
 * credit for what follows it; else it is handed over. */
static void settle(struct stream *stream, struct rollcall__event_queue *queue)
{
    const bool joins = rollcall__codec_watch_joins(stream->block);
    struct transport_watch_response *response =
        joins ? NULL : rollcall__codec_watch_take(&stream->block);
    const bool armed = ask_next(stream, joins || response != NULL);
    if (joins && armed) {
        rollcall__event_queue_hold(queue, &stream->held);
        return;
    }
    if (joins) {
        response = rollcall__codec_watch_take(&stream->block);
    }
    if (response != NULL) {
        rollcall__event_queue_let_go(&stream->held);
        hand_over(stream, queue, response, armed);
    }
}

static void watched(struct stream *stream, struct rollcall__event_queue *queue,
                    grpc_byte_buffer *received)
{
    char *room = rollcall__codec_watch_room(&stream->block, rollcall__wire_size(received));
    if (room == NULL) {
        const bool armed = ask_next(stream, true);
        rollcall__event_queue_let_go(&stream->held);
        hand_over(stream, queue, transport_watch_no_memory(), armed);
        return;
    }
    rollcall__wire_copy(received, room);
    struct transport_watch_response *before =
        rollcall__codec_watch_read(&stream->block, RESPONSE_BYTES_MAX);
    if (before != NULL) {
        rollcall__event_queue_let_go(&stream->held);
        hand_over(stream, queue, before, true);
    }
    settle(stream, queue);
}

static void receive_completed(struct rollcall__tag *tag, struct rollcall__event_queue *queue)
{
    struct stream *stream = of_tag(tag, offsetof(struct stream, receive));
    grpc_byte_buffer *received = stream->received;
    stream->received = NULL;
    if (received == NULL) { /* the stream ends; its status comes by the life batch */
        const struct channel_received message = {.stream = &stream->base};
        hand_over_held(stream, queue);
        rollcall__event_queue_post(queue, CHANNEL_STREAM_RECEIVED, &message, sizeof message, NULL);
    } else if (stream->base.kind == ROLLCALL__STREAM_KEEPALIVE) {
        struct rollcall__view view;
        rollcall__view_init(&view, received);
        renewed(stream, queue, view.bytes);
        rollcall__view_fini(&view);
    } else {
        watched(stream, queue, received);
    }
    if (received != NULL) {
        grpc_byte_buffer_destroy(received);
    }
}

/* ---- on the actor's worker ---- */

static grpc_call_error start_life(struct stream *stream)
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

static struct stream *create(struct rollcall__link *link, enum rollcall__stream_kind kind,
                             size_t endpoint, const char *token, uint32_t window)
{
    const bool watch = kind == ROLLCALL__STREAM_WATCH;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->base.kind = kind;
    stream->base.endpoint = endpoint;
    stream->link = link;
    stream->life.completed = life_completed;
    stream->send.completed = send_completed;
    stream->receive.completed = receive_completed;
    stream->held.flushed = flushed;
    stream->details = grpc_empty_slice();
    atomic_init(&stream->credit, window);
    rollcall__metadata_init(&stream->metadata, true, token);
    grpc_metadata_array_init(&stream->initial);
    grpc_metadata_array_init(&stream->trailing);
    stream->call = grpc_channel_create_call(
        rollcall__link_channel(link, watch ? ROLLCALL__FOR_WATCHES : ROLLCALL__FOR_RENEWALS,
                               endpoint),
        NULL, GRPC_PROPAGATE_DEFAULTS, link->queue.cq, grpc_slice_from_static_string(METHODS[kind]),
        NULL, rollcall__wire_deadline(0), NULL);
    return stream;
}

struct rollcall__stream *rollcall__grpc_stream_open(struct rollcall__driver *driver,
                                                    enum rollcall__stream_kind kind,
                                                    size_t endpoint, const char *token,
                                                    uint32_t window, struct rollcall_error *error)
{
    struct stream *stream = create(rollcall__link_of(driver), kind, endpoint, token, window);
    if (stream == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a stream to etcd");
        return NULL;
    }
    const grpc_call_error refused = start_life(stream);
    if (refused != GRPC_CALL_OK) { /* no completion will come */
        rollcall_error_set(error, ROLLCALL_E_REJECTED, "gRPC refused the stream to %s: %s",
                           driver->endpoints[endpoint], grpc_call_error_to_string(refused));
        rollcall__grpc_stream_destroy(driver, &stream->base);
        return NULL;
    }
    start_receive(stream);
    stream->base.pending = 2;
    return &stream->base;
}

static void send_packet(struct stream *stream, struct rollcall__packet *packet, bool more)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    grpc_byte_buffer_destroy(stream->sent); /* the one before; NULL: nothing */
    stream->sent = rollcall__wire_buffer(packet);
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = stream->sent;
    op.flags = more ? GRPC_WRITE_BUFFER_HINT : 0;
    ROLLCALL_ASSERT(!stream->base.sending);
    stream->base.sending = true;
    stream->base.pending++;
    start_one(stream, &op, &stream->send);
}

bool rollcall__grpc_stream_renew(struct rollcall__driver *driver, struct rollcall__stream *base,
                                 int64_t lease_id, bool more)
{
    struct rollcall__packet packet;
    (void)driver;
    if (!rollcall__codec_keepalive(lease_id, &packet)) {
        return false;
    }
    send_packet(of_base(base), &packet, more);
    return true;
}

bool rollcall__grpc_stream_watch(struct rollcall__driver *driver, struct rollcall__stream *base,
                                 const struct transport_range *range)
{
    struct rollcall__packet packet;
    (void)driver;
    if (!rollcall__codec_watch(range, &packet)) {
        return false;
    }
    send_packet(of_base(base), &packet, false);
    return true;
}

void rollcall__grpc_stream_credit(struct rollcall__driver *driver, struct rollcall__stream *base)
{
    struct stream *stream = of_base(base);
    (void)driver;
    /* Acquire, paired with the release in receive_next: 0 means that the poller has let go. */
    if (atomic_fetch_add_explicit(&stream->credit, 1, memory_order_acquire) == 0) {
        base->pending++;
        start_receive(stream);
    }
}

void rollcall__grpc_stream_cancel(struct rollcall__driver *driver, struct rollcall__stream *base)
{
    (void)driver;
    grpc_call_cancel(of_base(base)->call, NULL);
}

void rollcall__grpc_stream_destroy(struct rollcall__driver *driver, struct rollcall__stream *base)
{
    struct stream *stream = of_base(base);
    (void)driver;
    grpc_byte_buffer_destroy(stream->sent);
    grpc_byte_buffer_destroy(stream->received);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&stream->trailing);
    rollcall__metadata_fini(&stream->metadata);
    rollcall__watch_block_free(stream->block);
    grpc_slice_unref(stream->details);
    grpc_call_unref(stream->call);
    free(stream);
}

/*
 * channel/channel.c - the transport actor: its table, its endpoints, its life.
 *
 *   RUNNING --STOP--> STOPPING --the last batch completed--> ended
 *
 * In both states what is asked and what completes has the same handler: what is asked while
 * STOPPING is answered E_STOPPED, and what completes is accounted for.  Of watchers that end, and
 * of timers but the outbox's, nothing is left to do then. Invariant: an operation's memory lives
 * until the message of its last batch has been handled, so a pointer in a message from the poller
 * is never stale; therefore the actor ends only when nothing is in flight.
 */
#include "channel/channel.h"

#include "base/assert.h"
#include "channel/error.h"
#include "transport/request.h"

#include <stdlib.h>

enum state { RUNNING, STOPPING, STATE_COUNT };

static rollcall_handler_fn on_stop, on_sent, on_received, on_status;

#define ON_CALL rollcall__channel_on_call
#define ON_KEEPALIVE rollcall__channel_on_keepalive
#define ON_WATCH rollcall__channel_on_watch
#define ON_WATCH_ACK rollcall__channel_on_watch_ack
#define ON_WATCH_CANCEL rollcall__channel_on_watch_cancel
#define ON_DOWN rollcall__channel_on_down
#define ON_CALL_DONE rollcall__channel_on_call_done
#define ON_RENEWED rollcall__channel_on_renewed
#define ON_WAITING_DUE rollcall__channel_on_waiting_due
#define ON_RENEWALS_DUE rollcall__channel_on_renewals_due
#define ON_OUTBOX_DUE rollcall__channel_on_outbox_due
#define ON_DELAYED_DUE rollcall__channel_on_delayed_due
#define ON_PROBE_DUE rollcall__channel_on_probe_due
#define ON_WATCHES_DUE rollcall__channel_on_watches_due

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][CHANNEL_COUNT] = {
    [RUNNING]  [ROLLCALL_STOP]           = {on_stop,         ROLLCALL_TO(STOPPING)},
    [RUNNING]  [ROLLCALL_DOWN]           = {ON_DOWN,         0},
    [RUNNING]  [TRANSPORT_CALL]          = {ON_CALL,         0},
    [RUNNING]  [TRANSPORT_KEEPALIVE]     = {ON_KEEPALIVE,    0},
    [RUNNING]  [TRANSPORT_WATCH]         = {ON_WATCH,        0},
    [RUNNING]  [TRANSPORT_WATCH_ACK]     = {ON_WATCH_ACK,    0},
    [RUNNING]  [TRANSPORT_WATCH_CANCEL]  = {ON_WATCH_CANCEL, 0},
    [RUNNING]  [CHANNEL_CALL_DONE]       = {ON_CALL_DONE,    0},
    [RUNNING]  [CHANNEL_STREAM_SENT]     = {on_sent,         0},
    [RUNNING]  [CHANNEL_STREAM_RECEIVED] = {on_received,     0},
    [RUNNING]  [CHANNEL_RENEWED]         = {ON_RENEWED,      0},
    [RUNNING]  [CHANNEL_STREAM_STATUS]   = {on_status,       0},
    [RUNNING]  [CHANNEL_OUTBOX_DUE]      = {ON_OUTBOX_DUE,   0},
    [RUNNING]  [CHANNEL_WAITING_DUE]     = {ON_WAITING_DUE,  0},
    [RUNNING]  [CHANNEL_RENEWALS_DUE]    = {ON_RENEWALS_DUE, 0},
    [RUNNING]  [CHANNEL_DELAYED_DUE]     = {ON_DELAYED_DUE,  0},
    [RUNNING]  [CHANNEL_PROBE_DUE]       = {ON_PROBE_DUE,    0},
    [RUNNING]  [CHANNEL_WATCHES_DUE]     = {ON_WATCHES_DUE,  0},

    [STOPPING] [ROLLCALL_STOP]           = {rollcall_ignore, 0}, /* asked twice */
    [STOPPING] [ROLLCALL_DOWN]           = {rollcall_ignore, 0}, /* its watches have ended */
    [STOPPING] [TRANSPORT_CALL]          = {ON_CALL,         0},
    [STOPPING] [TRANSPORT_KEEPALIVE]     = {ON_KEEPALIVE,    0},
    [STOPPING] [TRANSPORT_WATCH]         = {ON_WATCH,        0},
    [STOPPING] [TRANSPORT_WATCH_ACK]     = {ON_WATCH_ACK,    0},
    [STOPPING] [TRANSPORT_WATCH_CANCEL]  = {ON_WATCH_CANCEL, 0},
    [STOPPING] [CHANNEL_CALL_DONE]       = {ON_CALL_DONE,    0},
    [STOPPING] [CHANNEL_STREAM_SENT]     = {on_sent,         0},
    [STOPPING] [CHANNEL_STREAM_RECEIVED] = {on_received,     0},
    [STOPPING] [CHANNEL_RENEWED]         = {ON_RENEWED,      0},
    [STOPPING] [CHANNEL_STREAM_STATUS]   = {on_status,       0},
    [STOPPING] [CHANNEL_OUTBOX_DUE]      = {ON_OUTBOX_DUE,   0},
    [STOPPING] [CHANNEL_WAITING_DUE]     = {rollcall_ignore, 0}, /* nothing waits any more */
    [STOPPING] [CHANNEL_RENEWALS_DUE]    = {rollcall_ignore, 0},
    [STOPPING] [CHANNEL_DELAYED_DUE]     = {rollcall_ignore, 0},
    [STOPPING] [CHANNEL_PROBE_DUE]       = {rollcall_ignore, 0},
    [STOPPING] [CHANNEL_WATCHES_DUE]     = {rollcall_ignore, 0},
};
/* clang-format on */

/* ---- endpoints ---- */

static enum rollcall__connectivity state_of(const struct rollcall__channel *channel,
                                            enum rollcall__purpose purpose, size_t endpoint)
{
    return channel->driver->ops->connectivity(channel->driver, purpose, endpoint);
}

/* Those in `state`, a bit each. */
static uint32_t those(const struct rollcall__channel *channel, enum rollcall__purpose purpose,
                      enum rollcall__connectivity state)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < channel->pool.count; i++) { /* each of them is asked to connect */
        bits |= state_of(channel, purpose, i) == state ? UINT32_C(1) << i : 0;
    }
    return bits;
}

/* Those of them that are well; and, if there are such, that have not failed since they answered
 * last: one that has just fallen silent may still seem to be connected.  In an election all have
 * failed. */
static uint32_t best_of(struct rollcall_context *cx, const struct rollcall__channel *channel,
                        uint32_t connected)
{
    uint32_t well = 0, trusted = 0;
    for (size_t i = 0; i < channel->pool.count; i++) {
        const uint32_t bit = connected & UINT32_C(1) << i;
        if (rollcall__pool_is_well(&channel->pool, i, rollcall_now_ms(cx))) {
            well |= bit;
            trusted |= channel->pool.endpoints[i].failures == 0 ? bit : 0;
        }
    }
    return trusted != 0 ? trusted : well;
}

size_t rollcall__channel_pick(struct rollcall_context *cx, struct rollcall__channel *channel,
                              enum rollcall__purpose purpose)
{
    struct rollcall__pool *pool = &channel->pool;
    const int64_t now_ms = rollcall_now_ms(cx);
    if (pool->count == 1) {
        return 0;
    }
    const uint32_t reachable = ~those(channel, purpose, ROLLCALL__DISCONNECTED);
    const size_t picked = rollcall__pool_pick(pool, reachable, now_ms);
    if (purpose == ROLLCALL__FOR_RENEWALS ||
        state_of(channel, purpose, picked) != ROLLCALL__CONNECTING) {
        return picked;
    }
    /* It may be silent: an attempt to connect takes seconds to fail.  Probes keep connections for
     * calls, so these say of watches too who answers. */
    const uint32_t better =
        best_of(cx, channel, those(channel, ROLLCALL__FOR_CALLS, ROLLCALL__CONNECTED));
    return better == 0 ? picked : rollcall__pool_pick(pool, better, now_ms);
}

bool rollcall__channel_connected(const struct rollcall__channel *channel)
{
    return those(channel, ROLLCALL__FOR_CALLS, ROLLCALL__CONNECTED) != 0;
}

bool rollcall__channel_connecting(const struct rollcall__channel *channel)
{
    return those(channel, ROLLCALL__FOR_CALLS, ROLLCALL__CONNECTING) != 0;
}

void rollcall__channel_blame(struct rollcall_context *cx, struct rollcall__channel *channel,
                             size_t endpoint, const struct rollcall_error *error)
{
    const bool is_news = channel->pool.endpoints[endpoint].failures == 0;
    if (!rollcall__etcd_blames_endpoint(error)) {
        return;
    }
    rollcall__pool_failed(&channel->pool, endpoint, rollcall_random(cx), rollcall_now_ms(cx));
    if (is_news) { /* what stays down is no reason to ask the others again and again */
        rollcall__channel_probe_soon(cx, channel);
    }
}

/* ---- streams ---- */

struct rollcall__stream *rollcall__channel_open_stream(struct rollcall__channel *channel,
                                                       enum rollcall__stream_kind kind,
                                                       size_t endpoint, uint32_t window,
                                                       struct rollcall_error *error)
{
    struct rollcall__driver *driver = channel->driver;
    struct rollcall__stream *stream =
        driver->ops->open(driver, kind, endpoint, channel->token, window, error);
    if (stream == NULL) {
        return NULL;
    }
    stream->generation = channel->generation;
    LIST_INSERT_HEAD(&channel->streams, stream, link);
    return stream;
}

void rollcall__channel_cancel_stream(struct rollcall__channel *channel,
                                     struct rollcall__stream *stream)
{
    stream->canceled = true;
    stream->watch = NULL;
    stream->shard = NULL;
    channel->driver->ops->cancel(channel->driver, stream);
}

/* The stream ended of itself: whoever used it is told why. */
static void tell_end(struct rollcall_context *cx, struct rollcall__channel *channel,
                     struct rollcall__stream *stream)
{
    struct rollcall_error error = stream->error;
    rollcall__channel_blame(cx, channel, stream->endpoint, &error);
    const bool refused = rollcall__etcd_token_refused(&error) && channel->driver->authenticates;
    if (refused) {
        rollcall__channel_token_refused(cx, channel, stream->generation);
        error.status = ROLLCALL_E_UNAVAILABLE; /* a new token is on its way: ask again */
    }
    if (stream->shard != NULL) {
        rollcall__channel_renewals_broke(cx, channel, error.text);
        stream->shard->token_refused = refused;
        rollcall__shard_end(cx, channel, stream->shard);
        rollcall__channel_pump(cx, channel);
    } else if (stream->watch != NULL) {
        struct rollcall__watch *watch = stream->watch;
        watch->stream = NULL;
        rollcall__channel_watch_end(cx, channel, watch, &error);
    }
}

void rollcall__channel_heard(struct rollcall_context *cx, struct rollcall__channel *channel,
                             struct rollcall__stream *stream)
{
    if (stream->pending > 0) {
        return;
    }
    ROLLCALL_ASSERT(stream->ended);
    if (!stream->canceled) {
        tell_end(cx, channel, stream);
    }
    LIST_REMOVE(stream, link);
    channel->driver->ops->destroy(channel->driver, stream);
}

static int on_sent(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_stream *sent = message->payload;
    struct rollcall__stream *stream = sent->stream;
    stream->sending = false;
    stream->pending--;
    if (stream->shard != NULL && !stream->ended) {
        rollcall__shard_sent(cx, channel, stream->shard);
    }
    rollcall__channel_heard(cx, channel, stream);
    return rollcall__channel_next(channel);
}

static int on_received(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_received *received = message->payload;
    struct rollcall__stream *stream = received->stream;
    stream->pending -= received->armed ? 0 : 1;
    if (stream->watch != NULL && message->object != NULL) {
        rollcall__channel_watched(cx, channel, stream->watch, message->object);
    }
    rollcall__channel_heard(cx, channel, stream);
    return rollcall__channel_next(channel);
}

static int on_status(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_stream *status = message->payload;
    status->stream->ended = true;
    status->stream->pending--;
    rollcall__channel_heard(cx, channel, status->stream);
    return rollcall__channel_next(channel);
}

/* ---- life ---- */

int rollcall__channel_next(const struct rollcall__channel *channel)
{
    const bool drained = LIST_EMPTY(&channel->calls) && LIST_EMPTY(&channel->streams);
    return channel->stopping && drained ? ROLLCALL_END : ROLLCALL_STAY;
}

static int on_stop(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    struct rollcall_error error;
    (void)message;
    rollcall_error_set(&error, ROLLCALL_E_STOPPED, "the connection to etcd has been closed");
    channel->stopping = true;
    rollcall__channel_delayed_stop(cx, channel);
    rollcall__channel_refuse(cx, channel, &error, true);
    rollcall__channel_renewals_fail(cx, channel, ROLLCALL_E_STOPPED);
    rollcall__shards_stop(cx, channel);
    rollcall__channel_watches_stop(cx, channel);
    struct rollcall__call *call;
    LIST_FOREACH (call, &channel->calls, link) {
        channel->driver->ops->call_cancel(channel->driver, call);
    }
    return rollcall__channel_next(channel) == ROLLCALL_END ? ROLLCALL_END : STOPPING;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct channel_options *given = options;
    struct rollcall__channel *channel = self;
    rollcall__failpoint_exempt(cx); /* what the poller posts carries gRPC's memory */
    channel->driver = given->driver;
    LIST_INIT(&channel->calls);
    LIST_INIT(&channel->streams);
    TAILQ_INIT(&channel->renewals.waiting);
    TAILQ_INIT(&channel->watches_opening);
    rollcall__pool_init(&channel->pool, channel->driver->endpoint_count, rollcall_random(cx));
    channel->locked = channel->driver->authenticates;
    channel->driver->ops->begin(
        channel->driver,
        (struct rollcall_caller){.ref = rollcall_self(cx), .epoch = rollcall_epoch(cx)});
    if (channel->locked) {
        rollcall__channel_authenticate(cx, channel);
    }
    rollcall__channel_probe_begin(cx, channel);
    return RUNNING;
}

/* After its end nothing is in flight; a runtime that is destroyed ends it in the middle. */
static void fini(void *self)
{
    struct rollcall__channel *channel = self;
    rollcall__channel_calls_fini(channel);
    rollcall__channel_renewals_fini(channel);
    rollcall__channel_watches_fini(channel);
    rollcall__channel_delayed_fini(channel);
    rollcall__outbox_fini(&channel->outbox);
    rollcall__channel_drop_token(channel);
}

/* The last the runtime does for the actor. */
static void options_fini(void *options)
{
    const struct channel_options *given = options;
    given->driver->ops->end(given->driver);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"RUNNING", "STOPPING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(CHANNEL_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(CHANNEL_LIST);

const struct rollcall_actor_type rollcall__channel_type = {
    .name = "transport",
    .self_size_bytes = sizeof(struct rollcall__channel),
    .options_size_bytes = sizeof(struct channel_options),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = CHANNEL_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

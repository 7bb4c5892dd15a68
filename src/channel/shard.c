/*
 * channel/shard.c - keepalive streams, several for each endpoint.
 *
 * etcd answers a stream's renewals one after another, so one that must wait (for a lease that is
 * over, or for a leader that froze) holds up all behind it; several streams bound whom.  Its
 * answers carry no echo but the lease id, so the order of what was sent tells which one an answer
 * is for, and when that was sent.  A shard that is silent is retired: a new one takes its place,
 * and it may still answer, until it has been silent for SILENCE_MS.
 */
#include "channel/channel.h"

#include "base/memory.h"

#include <stdlib.h>

enum {
    SHARDS = 4,      /* for each endpoint; opened as they are needed */
    LAPSED = SHARDS, /* one more: leases that may be over hold up none that live */
    SHARDS_MAX = 64, /* of all endpoints, with those retired */
    SILENCE_MS = 2000,
    WINDOW = 1024
};

/* ---- the queue ---- */

static void append(struct rollcall__shard *shard, struct rollcall__try *tried)
{
    tried->shard = shard;
    if (shard->first == NULL) {
        shard->first = tried;
    } else {
        shard->last->next = tried;
    }
    shard->last = tried;
    if (shard->unsent == NULL) {
        shard->unsent = tried;
    }
}

static struct rollcall__try *take_first(struct rollcall__shard *shard)
{
    struct rollcall__try *first = shard->first;
    shard->first = first->next;
    if (shard->unsent == first) {
        shard->unsent = first->next;
    }
    first->next = NULL;
    return first;
}

/* What it was asked longest ago, and has not answered, was sent that long ago. */
static int64_t silence_ms(const struct rollcall__shard *shard, int64_t now_ms)
{
    return shard->first == NULL ? 0 : now_ms - shard->first->sent_ms;
}

/* ---- opening and closing ---- */

static void take_out(struct rollcall__channel *channel, const struct rollcall__shard *shard)
{
    struct rollcall__shard **at = &channel->renewals.shards;
    while (*at != shard) {
        at = &(*at)->next;
    }
    *at = shard->next;
}

/* etcd ended the stream.  It works in order, so if one of them was the reason, such as a lease that
 * the user may not renew, it is the first that was not answered: all others go before it from now
 * on, or it would end their stream each time.  Of a token each is as good a reason. */
static void note_culprit(struct rollcall__channel *channel, const struct rollcall__shard *shard)
{
    const struct rollcall__try *first = shard->first;
    if (first != NULL && first != shard->unsent && first->renewal != NULL &&
        !shard->token_refused) {
        rollcall__channel_renewal_last(channel, first->renewal);
    }
}

void rollcall__shard_end(struct rollcall_context *cx, struct rollcall__channel *channel,
                         struct rollcall__shard *shard)
{
    take_out(channel, shard);
    if (shard->stream->ended) {
        note_culprit(channel, shard);
        shard->stream->shard = NULL;
    } else {
        rollcall__channel_cancel_stream(channel, shard->stream);
    }
    while (shard->first != NULL) {
        rollcall__channel_try_failed(cx, channel, take_first(shard));
    }
    free(shard);
}

/* Ends it at once when there is nothing to wait for. */
static void retire(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__shard *shard)
{
    shard->retired = true;
    if (shard->first == NULL) {
        rollcall__shard_end(cx, channel, shard);
    }
}

/* Too many, for etcd has been silent for long: the one that has waited longest is given up. */
static void make_room(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall__shard *oldest = NULL;
    size_t count = 0;
    for (struct rollcall__shard *shard = channel->renewals.shards; shard != NULL;
         shard = shard->next) {
        count++;
        oldest = shard->retired ? shard : oldest; /* the newest come first */
    }
    if (count >= SHARDS_MAX && oldest != NULL) {
        rollcall__shard_end(cx, channel, oldest);
    }
}

static struct rollcall__shard *open(struct rollcall_context *cx, struct rollcall__channel *channel,
                                    size_t endpoint, uint32_t number, struct rollcall_error *error)
{
    make_room(cx, channel);
    struct rollcall__shard *shard = rollcall__allocate_zeroed(1, sizeof *shard);
    if (shard == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a keepalive stream");
        return NULL;
    }
    shard->stream =
        rollcall__channel_open_stream(channel, ROLLCALL__STREAM_KEEPALIVE, endpoint, WINDOW, error);
    if (shard->stream == NULL) {
        free(shard);
        return NULL;
    }
    shard->stream->shard = shard;
    shard->number = number;
    shard->next = channel->renewals.shards;
    channel->renewals.shards = shard;
    return shard;
}

struct rollcall__shard *rollcall__shard_for(struct rollcall_context *cx,
                                            struct rollcall__channel *channel, size_t endpoint,
                                            const struct rollcall__renewal *renewal,
                                            struct rollcall_error *error)
{
    const uint32_t number = renewal->lapsed ? LAPSED : (uint32_t)(renewal->entry.a % SHARDS);
    struct rollcall__shard *shard = channel->renewals.shards;
    while (shard != NULL &&
           (shard->retired || shard->stream->endpoint != endpoint || shard->number != number)) {
        shard = shard->next;
    }
    if (shard != NULL && !shard->stream->ended &&
        shard->stream->generation == channel->generation &&
        silence_ms(shard, rollcall_now_ms(cx)) < renewal->hedge_ms) {
        return shard;
    }
    if (shard != NULL) {
        retire(cx, channel, shard);
    }
    return open(cx, channel, endpoint, number, error);
}

/* ---- sending and hearing ---- */

void rollcall__shard_sent(struct rollcall_context *cx, struct rollcall__channel *channel,
                          struct rollcall__shard *shard)
{
    struct rollcall__driver *driver = channel->driver;
    while (shard->unsent != NULL && !shard->stream->sending) {
        struct rollcall__try *tried = shard->unsent;
        tried->sent_ms = rollcall_now_ms(cx);
        if (!driver->ops->send_renewal(driver, shard->stream, tried->lease_id,
                                       tried->next != NULL)) {
            rollcall__shard_end(cx, channel, shard); /* out of memory: all are tried again */
            return;
        }
        shard->unsent = tried->next;
    }
}

void rollcall__shard_send(struct rollcall_context *cx, struct rollcall__channel *channel,
                          struct rollcall__shard *shard, struct rollcall__try *tried)
{
    tried->sent_ms = rollcall_now_ms(cx); /* as good as: until it is really sent */
    append(shard, tried);
    rollcall__shard_sent(cx, channel, shard);
}

struct rollcall__try *rollcall__shard_answered(struct rollcall__channel *channel,
                                               struct rollcall__shard *shard, int64_t lease_id)
{
    struct rollcall__stream *stream = shard->stream;
    if (!stream->ended) {
        channel->driver->ops->credit(channel->driver, stream);
    }
    if (shard->first == NULL || shard->first == shard->unsent ||
        shard->first->lease_id != lease_id) {
        return NULL;
    }
    return take_first(shard);
}

/* ---- silence ---- */

static void give_up(struct rollcall_context *cx, struct rollcall__channel *channel,
                    struct rollcall__shard *shard)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const size_t endpoint = shard->stream->endpoint;
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE, "etcd at %s has been silent for %d s",
                       channel->driver->endpoints[endpoint], SILENCE_MS / 1000);
    rollcall__channel_renewals_broke(cx, channel, error.text);
    if (channel->pool.count > 1) { /* there is no other to ask meanwhile, and no reason to wait */
        rollcall__channel_blame(cx, channel, endpoint, &error);
    }
    rollcall__shard_end(cx, channel, shard);
}

bool rollcall__shards_check(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    bool waiting = false;
    for (struct rollcall__shard *shard = channel->renewals.shards, *next; shard != NULL;
         shard = next) {
        next = shard->next;
        if (silence_ms(shard, now_ms) >= SILENCE_MS) {
            give_up(cx, channel, shard);
        } else if (shard->first == NULL && shard->retired) {
            rollcall__shard_end(cx, channel, shard);
        } else {
            waiting |= shard->first != NULL;
        }
    }
    return waiting;
}

void rollcall__shards_retire(struct rollcall__channel *channel, size_t endpoint)
{
    for (struct rollcall__shard *shard = channel->renewals.shards; shard != NULL;
         shard = shard->next) {
        shard->retired |= shard->first != NULL && shard->stream->endpoint == endpoint;
    }
}

void rollcall__shards_stop(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    while (channel->renewals.shards != NULL) {
        rollcall__shard_end(cx, channel, channel->renewals.shards);
    }
}

void rollcall__shards_fini(struct rollcall__channel *channel)
{
    while (channel->renewals.shards != NULL) {
        struct rollcall__shard *shard = channel->renewals.shards;
        channel->renewals.shards = shard->next;
        while (shard->first != NULL) {
            free(take_first(shard));
        }
        free(shard); /* the stream is the driver's */
    }
}

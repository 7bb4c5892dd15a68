/*
 * channel/renewal.c - renewals of all leases over one stream.
 *
 * etcd answers in the order it was asked, and its answers carry no echo but the lease id, so the
 * queue of what was asked tells which request an answer belongs to, and when that was sent.  A
 * follower that lost its leader keeps a stream silent for seconds: after SILENCE_MS the stream is
 * given up, and the next request opens one on the next endpoint.
 */
#include "channel/channel.h"

#include "base/memory.h"

#include <stdlib.h>

enum { SILENCE_MS = 2000, REOPEN_PAUSE_MS = 100, RENEWALS_MAX = 65536, WINDOW = 1024 };

static struct rollcall__renewal *of_entry(struct rollcall__map_entry *entry)
{
    return (struct rollcall__renewal *)(void *)((char *)entry -
                                                offsetof(struct rollcall__renewal, entry));
}

/* ---- the queue ---- */

static void append(struct rollcall__renewals *renewals, struct rollcall__renewal *renewal)
{
    if (renewals->first == NULL) {
        renewals->first = renewal;
    } else {
        renewals->last->next = renewal;
    }
    renewals->last = renewal;
    if (renewals->unsent == NULL) {
        renewals->unsent = renewal;
    }
}

static struct rollcall__renewal *take_first(struct rollcall__renewals *renewals)
{
    struct rollcall__renewal *first = renewals->first;
    renewals->first = first->next;
    if (renewals->unsent == first) {
        renewals->unsent = first->next;
    }
    rollcall__map_remove(&renewals->map, &first->entry);
    return first;
}

/* Moves the renewal. */
static void finish(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__renewal *renewal, int64_t ttl_s, enum rollcall_status status)
{
    struct rollcall__answer *answer = &renewal->answer;
    struct transport_keepalive_answer *payload =
        (struct transport_keepalive_answer *)answer->payload;
    *payload = (struct transport_keepalive_answer){
        .lease_id = (int64_t)renewal->entry.a,
        .ttl_s = ttl_s,
        .sent_ms = renewal->sent_ms,
        .status = status,
    };
    answer->size_bytes = sizeof *payload;
    rollcall__channel_answer_at(cx, channel, answer, rollcall_now_ms(cx) + renewal->delay_ms);
}

void rollcall__channel_renewals_broke(struct rollcall_context *cx,
                                      struct rollcall__channel *channel, const char *why)
{
    rollcall_log(cx, channel->renewals.broken_told ? ROLLCALL_DEBUG : ROLLCALL_WARN,
                 "the keepalive stream broke: %s", why);
    channel->renewals.broken_told = true;
}

void rollcall__channel_renewals_fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     enum rollcall_status status)
{
    struct rollcall__renewals *renewals = &channel->renewals;
    if (renewals->stream != NULL) {
        rollcall__channel_cancel_stream(channel, renewals->stream);
        renewals->stream = NULL;
    }
    rollcall_timer_cancel(cx, CHANNEL_RENEWALS_DUE);
    while (renewals->first != NULL) {
        finish(cx, channel, take_first(renewals), 0, status);
    }
}

/* ---- the stream ---- */

/* False: it could not be opened, and every renewal has been answered. */
static bool open_stream(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct rollcall__stream *stream =
        rollcall__channel_open_stream(channel, ROLLCALL__STREAM_KEEPALIVE, WINDOW, &error);
    channel->renewals.open_at_ms = rollcall_now_ms(cx) + REOPEN_PAUSE_MS;
    if (stream == NULL) {
        rollcall__channel_renewals_broke(cx, channel, error.text);
        rollcall__channel_renewals_fail(cx, channel, error.status);
        return false;
    }
    channel->renewals.stream = stream;
    return true;
}

static bool send_next(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall__renewals *renewals = &channel->renewals;
    struct rollcall__renewal *renewal = renewals->unsent;
    struct rollcall__driver *driver = channel->driver;
    renewal->sent_ms = rollcall_now_ms(cx);
    if (!driver->ops->send_renewal(driver, renewals->stream, (int64_t)renewal->entry.a,
                                   renewal->next != NULL)) {
        rollcall__channel_renewals_fail(cx, channel, ROLLCALL_E_NO_MEMORY);
        return false;
    }
    renewals->unsent = renewal->next;
    return true;
}

/* When to look again: an answer overdue, or the pause before opening over. */
static int64_t due_ms(const struct rollcall__channel *channel)
{
    const struct rollcall__renewals *renewals = &channel->renewals;
    const int64_t silence_ms = renewals->first->asked_ms + SILENCE_MS;
    int64_t soonest_ms = silence_ms;
    if (channel->locked && channel->authentication == NULL) {
        soonest_ms = channel->authenticate_at_ms;
    } else if (!channel->locked && renewals->stream == NULL) {
        soonest_ms = renewals->open_at_ms;
    }
    return soonest_ms < silence_ms ? soonest_ms : silence_ms;
}

void rollcall__channel_pump(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall__renewals *renewals = &channel->renewals;
    if (renewals->first == NULL) {
        rollcall_timer_cancel(cx, CHANNEL_RENEWALS_DUE);
        return;
    }
    if (channel->locked) {
        rollcall__channel_authenticate(cx, channel);
    } else if (renewals->stream == NULL && rollcall_now_ms(cx) >= renewals->open_at_ms &&
               !open_stream(cx, channel)) {
        return;
    }
    while (renewals->stream != NULL && renewals->unsent != NULL && !renewals->stream->sending) {
        if (!send_next(cx, channel)) {
            return;
        }
    }
    if (renewals->first != NULL) {
        rollcall_timer_set(cx, CHANNEL_RENEWALS_DUE, due_ms(channel));
    }
}

/* The stream is of no use: its endpoint is blamed, and what is outstanding is answered. */
static void give_up(struct rollcall_context *cx, struct rollcall__channel *channel, const char *why)
{
    const struct rollcall__stream *stream = channel->renewals.stream;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const size_t endpoint = stream == NULL ? channel->endpoint : stream->endpoint;
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE, "etcd at %s %s",
                       channel->driver->endpoints[endpoint], why);
    rollcall__channel_renewals_broke(cx, channel, error.text);
    rollcall__channel_blame(channel, endpoint, &error);
    rollcall__channel_renewals_fail(cx, channel, ROLLCALL_E_UNAVAILABLE);
}

/* ---- messages ---- */

static void refuse_at_once(struct rollcall_context *cx, const struct rollcall_message *message,
                           enum rollcall_status status)
{
    const struct transport_keepalive *ask = message->payload;
    const struct transport_keepalive_answer answer = {.lease_id = ask->lease_id, .status = status};
    ROLLCALL_DROP(rollcall_reply(cx, message->from, ask->answer, &answer, sizeof answer, NULL),
                  "the asker holds more requests than its mailbox, or memory is exhausted");
}

/* Never sent: answered at once, or as what a silent stream leaves unanswered is. */
static void fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                 const struct rollcall_message *message, const struct rollcall__failure *failure)
{
    const struct transport_keepalive *ask = message->payload;
    if (failure->action == ROLLCALL__FAIL_ERROR) {
        const bool unknown = failure->status == ROLLCALL_E_LEASE_LOST; /* a TTL of 0 says so */
        refuse_at_once(cx, message, unknown ? ROLLCALL_OK : failure->status);
        return;
    }
    struct rollcall__answer *answer = rollcall__channel_answer_create(message->from, ask->answer);
    if (answer == NULL) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY);
        return;
    }
    struct transport_keepalive_answer *payload =
        (struct transport_keepalive_answer *)answer->payload;
    *payload = (struct transport_keepalive_answer){.lease_id = ask->lease_id,
                                                   .status = ROLLCALL_E_UNAVAILABLE};
    answer->size_bytes = sizeof *payload;
    rollcall__channel_answer_at(cx, channel, answer, rollcall_now_ms(cx) + SILENCE_MS);
}

static bool accept(struct rollcall_context *cx, struct rollcall__channel *channel,
                   const struct rollcall_message *message, int64_t delay_ms)
{
    const struct transport_keepalive *ask = message->payload;
    struct rollcall__renewal *renewal = rollcall__allocate_zeroed(1, sizeof *renewal);
    if (renewal == NULL) {
        return false;
    }
    renewal->answer.to = message->from;
    renewal->answer.type = ask->answer;
    renewal->entry.a = (uint64_t)ask->lease_id;
    renewal->entry.b = message->from.ref.bits;
    renewal->asked_ms = rollcall_now_ms(cx);
    renewal->delay_ms = delay_ms;
    if (!rollcall__map_insert(&channel->renewals.map, &renewal->entry)) {
        free(renewal);
        return false;
    }
    append(&channel->renewals, renewal);
    return true;
}

int rollcall__channel_on_keepalive(struct rollcall_context *cx, void *self,
                                   const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct transport_keepalive *ask = message->payload;
    struct rollcall__map_entry *entry =
        rollcall__map_find(&channel->renewals.map, (uint64_t)ask->lease_id, message->from.ref.bits);
    if (channel->stopping) {
        refuse_at_once(cx, message, ROLLCALL_E_STOPPED);
        return ROLLCALL_STAY;
    }
    const struct rollcall__failure failure = rollcall__failpoint_at(cx, "renewal");
    if (failure.action == ROLLCALL__FAIL_ERROR || failure.action == ROLLCALL__FAIL_DROP) {
        fail(cx, channel, message, &failure);
    } else if (entry != NULL) { /* one answer serves both; the asker may have been restarted */
        of_entry(entry)->answer.to = message->from;
        of_entry(entry)->answer.type = ask->answer;
    } else if (channel->renewals.map.count >= RENEWALS_MAX) {
        refuse_at_once(cx, message, ROLLCALL_E_FULL);
    } else if (!accept(cx, channel, message, failure.delay_ms)) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY);
    } else {
        rollcall__channel_pump(cx, channel);
    }
    return ROLLCALL_STAY;
}

int rollcall__channel_on_renewed(struct rollcall_context *cx, void *self,
                                 const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_renewed *renewed = message->payload;
    struct rollcall__renewals *renewals = &channel->renewals;
    struct rollcall__stream *stream = renewed->stream;
    stream->pending -= renewed->armed ? 0 : 1;
    if (stream == renewals->stream) {
        const struct rollcall__renewal *first = renewals->first;
        if (!stream->ended) {
            channel->driver->ops->credit(channel->driver, stream);
        }
        if (first == NULL || first == renewals->unsent ||
            first->entry.a != (uint64_t)renewed->lease_id) {
            give_up(cx, channel, "answered for a lease it was not asked about");
        } else {
            renewals->broken_told = false;
            finish(cx, channel, take_first(renewals), renewed->ttl_s, ROLLCALL_OK);
            rollcall__channel_pump(cx, channel);
        }
    }
    rollcall__channel_heard(cx, channel, stream);
    return rollcall__channel_next(channel);
}

int rollcall__channel_on_renewals_due(struct rollcall_context *cx, void *self,
                                      const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct rollcall__renewal *first = channel->renewals.first;
    (void)message;
    if (first != NULL && rollcall_now_ms(cx) >= first->asked_ms + SILENCE_MS) {
        give_up(cx, channel, "has been silent for 2 s");
    } else {
        rollcall__channel_pump(cx, channel);
    }
    return ROLLCALL_STAY;
}

void rollcall__channel_renewals_fini(struct rollcall__channel *channel)
{
    while (channel->renewals.first != NULL) {
        free(take_first(&channel->renewals));
    }
    rollcall__map_fini(&channel->renewals.map);
}

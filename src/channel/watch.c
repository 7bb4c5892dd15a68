/*
 * channel/watch.c - watches, each on its own stream: etcd keeps one bounded queue per stream,
 * so watches that share one delay each other.
 */
#include "channel/channel.h"

#include "base/assert.h"
#include "base/memory.h"
#include "channel/error.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdlib.h>

enum { WATCHES_MAX = 16384 };
/* Within which etcd says that it watches: of an endpoint that is silent, and of one that tells
 * other watches something, and may have many to create. */
enum { CREATED_MS = 2000, CREATED_BUSY_MS = 10000 };

static struct rollcall__watch *of_entry(struct rollcall__map_entry *entry)
{
    return (struct rollcall__watch *)entry; /* the first member */
}

static struct rollcall__watch *find(const struct rollcall__channel *channel,
                                    struct rollcall_ref asker, uint64_t watch_id)
{
    return of_entry(rollcall__map_find(&channel->watches, asker.bits, watch_id));
}

static void stop_waiting(struct rollcall__channel *channel, struct rollcall__watch *watch)
{
    struct rollcall__watch **at = &channel->watches_waiting;
    while (*at != NULL && *at != watch) {
        at = &(*at)->next_waiting;
    }
    if (*at != NULL) {
        *at = watch->next_waiting;
    }
}

/* etcd watches, or it will not. */
static void stop_opening(struct rollcall__channel *channel, struct rollcall__watch *watch)
{
    if (watch->opening) {
        TAILQ_REMOVE(&channel->watches_opening, watch, link);
        watch->opening = false;
    }
}

static void release_watch(struct rollcall__watch *watch)
{
    if (watch->range != NULL) {
        rollcall_object_drop(&watch->range->object);
    }
    free(watch->last);
    free(watch);
}

/* Without a word to the asker. */
static void forget(struct rollcall__channel *channel, struct rollcall__watch *watch)
{
    rollcall__map_remove(&channel->watches, &watch->entry);
    stop_opening(channel, watch);
    if (watch->stream != NULL) {
        rollcall__channel_cancel_stream(channel, watch->stream);
    } else {
        stop_waiting(channel, watch);
    }
    release_watch(watch);
}

/* Moves the answer. */
static void answer_with(struct rollcall_context *cx, struct rollcall__channel *channel,
                        const struct rollcall__watch *watch, struct rollcall__answer *answer,
                        struct transport_watch_response *response)
{
    struct transport_watch_answer *payload = (struct transport_watch_answer *)answer->payload;
    *payload = (struct transport_watch_answer){.watch_id = watch->entry.b,
                                               .status = response->error.status};
    answer->size_bytes = sizeof *payload;
    answer->object = &response->object;
    rollcall__channel_answer_at(cx, channel, answer, watch->late_until_ms);
}

void rollcall__channel_watch_end(struct rollcall_context *cx, struct rollcall__channel *channel,
                                 struct rollcall__watch *watch, const struct rollcall_error *error)
{
    struct rollcall__answer *last = watch->last;
    watch->last = NULL;
    answer_with(cx, channel, watch, last, transport_watch_failed(error));
    forget(channel, watch);
}

/* True: a fail point has ended the watch. */
static bool fails(struct rollcall_context *cx, struct rollcall__channel *channel,
                  struct rollcall__watch *watch)
{
    const struct rollcall__failure failure = rollcall__failpoint_at(cx, "watch");
    const bool drop = failure.action == ROLLCALL__FAIL_DROP;
    if (drop || failure.action == ROLLCALL__FAIL_ERROR) {
        struct rollcall_error error;
        rollcall__channel_fail_text(&error, drop ? ROLLCALL_E_UNAVAILABLE : failure.status,
                                    "watch");
        rollcall__channel_watch_end(cx, channel, watch, &error);
        return true;
    }
    const int64_t late_ms = rollcall_now_ms(cx) + failure.delay_ms;
    if (failure.action == ROLLCALL__FAIL_DELAY && watch->late_until_ms < late_ms) {
        watch->late_until_ms = late_ms;
    }
    return false;
}

void rollcall__channel_watched(struct rollcall_context *cx, struct rollcall__channel *channel,
                               struct rollcall__watch *watch, struct rollcall_object *object)
{
    /* Ours alone until it is sent. */
    struct transport_watch_response *response = (struct transport_watch_response *)object;
    channel->pool.endpoints[watch->stream->endpoint].watched_ms = rollcall_now_ms(cx);
    stop_opening(channel, watch);
    if (fails(cx, channel, watch)) {
        return;
    }
    const bool denied = rollcall__etcd_token_refused(&response->error);
    if (denied && channel->driver->authenticates) {
        rollcall__channel_token_refused(cx, channel, watch->stream->generation);
        response->error.status = ROLLCALL_E_UNAVAILABLE; /* a new token is on its way: ask again */
    }
    const bool last = response->canceled || response->error.status != ROLLCALL_OK;
    struct rollcall__answer *answer =
        last ? watch->last : rollcall__channel_answer_create(watch->last->to, watch->last->type);
    if (answer == NULL) {
        struct rollcall_error error = {.status = ROLLCALL_OK};
        rollcall_error_set(&error, ROLLCALL_E_NO_MEMORY, "out of memory for a watch response");
        rollcall__channel_watch_end(cx, channel, watch, &error);
        return;
    }
    rollcall_object_keep(object);
    answer_with(cx, channel, watch, answer, response);
    watch->unacknowledged++;
    if (last) {
        watch->last = NULL;
        forget(channel, watch);
    }
}

/* ---- opening ---- */

static void open_watch(struct rollcall_context *cx, struct rollcall__channel *channel,
                       struct rollcall__watch *watch)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct rollcall__driver *driver = channel->driver;
    struct rollcall__stream *stream = rollcall__channel_open_stream(
        channel, ROLLCALL__STREAM_WATCH, rollcall__channel_pick(cx, channel, ROLLCALL__FOR_WATCHES),
        watch->window, &error);
    if (stream != NULL && !driver->ops->send_watch(driver, stream, watch->range)) {
        rollcall__channel_cancel_stream(channel, stream);
        rollcall_error_set(&error, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
        stream = NULL;
    }
    if (stream == NULL) {
        rollcall__channel_watch_end(cx, channel, watch, &error);
        return;
    }
    stream->watch = watch;
    watch->stream = stream;
    rollcall_object_drop(&watch->range->object);
    watch->range = NULL;
    watch->opened_ms = rollcall_now_ms(cx);
    if (TAILQ_EMPTY(&channel->watches_opening)) { /* else the timer is set */
        rollcall_timer_set(cx, CHANNEL_WATCHES_DUE, watch->opened_ms + CREATED_MS);
    }
    TAILQ_INSERT_TAIL(&channel->watches_opening, watch, link);
    watch->opening = true;
}

/* When it has taken too long. */
static int64_t overdue_at_ms(const struct rollcall__channel *channel,
                             const struct rollcall__watch *watch)
{
    const int64_t heard_ms = channel->pool.endpoints[watch->stream->endpoint].watched_ms;
    const int64_t silent_ms = heard_ms > watch->opened_ms ? heard_ms : watch->opened_ms;
    const int64_t most_ms = watch->opened_ms + CREATED_BUSY_MS;
    return silent_ms + CREATED_MS < most_ms ? silent_ms + CREATED_MS : most_ms;
}

/* Its asker asks again, and then another endpoint is preferred. */
static void give_up(struct rollcall_context *cx, struct rollcall__channel *channel,
                    struct rollcall__watch *watch)
{
    const size_t endpoint = watch->stream->endpoint;
    const int64_t now_ms = rollcall_now_ms(cx);
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                       "etcd at %s has not begun a watch within %" PRId64 " ms: it is asked again",
                       channel->driver->endpoints[endpoint], now_ms - watch->opened_ms);
    rollcall__channel_blame(cx, channel, endpoint, &error);
    rollcall__pool_silent(&channel->pool, endpoint, rollcall_random(cx), now_ms);
    rollcall__channel_watch_end(cx, channel, watch, &error);
}

int rollcall__channel_on_watches_due(struct rollcall_context *cx, void *self,
                                     const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    struct rollcall__watch *watch = TAILQ_FIRST(&channel->watches_opening), *after;
    int64_t next_ms = INT64_MAX;
    (void)message;
    for (; watch != NULL; watch = after) {
        const int64_t at_ms = overdue_at_ms(channel, watch);
        after = TAILQ_NEXT(watch, link);
        if (at_ms <= rollcall_now_ms(cx)) {
            give_up(cx, channel, watch);
        } else if (at_ms < next_ms) {
            next_ms = at_ms;
        }
    }
    if (next_ms != INT64_MAX) {
        rollcall_timer_set(cx, CHANNEL_WATCHES_DUE, next_ms);
    }
    return ROLLCALL_STAY;
}

void rollcall__channel_watches_release(struct rollcall_context *cx,
                                       struct rollcall__channel *channel,
                                       const struct rollcall_error *error)
{
    while (channel->watches_waiting != NULL && (error != NULL || !channel->locked)) {
        struct rollcall__watch *watch = channel->watches_waiting;
        if (error != NULL) {
            rollcall__channel_watch_end(cx, channel, watch, error);
        } else {
            channel->watches_waiting = watch->next_waiting;
            open_watch(cx, channel, watch);
        }
    }
}

void rollcall__channel_watches_stop(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_STOPPED, "the connection to etcd has been closed");
    rollcall__channel_watches_release(cx, channel, &error);
    struct rollcall__stream *stream;
    LIST_FOREACH (stream, &channel->streams, link) {
        if (stream->watch != NULL) {
            rollcall__channel_watch_end(cx, channel, stream->watch, &error);
        }
    }
}

/* ---- messages ---- */

static void refuse_at_once(struct rollcall_context *cx, const struct rollcall_message *message,
                           enum rollcall_status status, const char *why)
{
    const struct transport_watch *ask = message->payload;
    const struct transport_watch_answer answer = {.watch_id = ask->watch_id, .status = status};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, status, "%s", why);
    struct transport_watch_response *response = transport_watch_failed(&error);
    ROLLCALL_DROP(
        rollcall_reply(cx, message->from, ask->answer, &answer, sizeof answer, &response->object),
        "the asker holds more requests than its mailbox, or memory is exhausted");
}

/* NULL: out of memory. */
static struct rollcall__watch *create(struct rollcall__channel *channel,
                                      const struct rollcall_message *message)
{
    const struct transport_watch *ask = message->payload;
    struct rollcall__watch *watch = rollcall__allocate_zeroed(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->entry.a = message->from.ref.bits;
    watch->entry.b = ask->watch_id;
    watch->window = ask->window != 0 ? ask->window : TRANSPORT_WATCH_WINDOW;
    watch->last = rollcall__channel_answer_create(message->from, ask->answer);
    if (watch->last == NULL || !rollcall__map_insert(&channel->watches, &watch->entry)) {
        release_watch(watch);
        return NULL;
    }
    watch->range = (struct transport_range *)rollcall_object_keep(message->object);
    return watch;
}

static void begin(struct rollcall_context *cx, struct rollcall__channel *channel,
                  struct rollcall__watch *watch)
{
    if (channel->locked) {
        watch->next_waiting = channel->watches_waiting;
        channel->watches_waiting = watch;
        rollcall__channel_wait(cx, channel);
        rollcall__channel_authenticate(cx, channel);
    } else {
        open_watch(cx, channel, watch);
    }
}

int rollcall__channel_on_watch(struct rollcall_context *cx, void *self,
                               const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct transport_watch *ask = message->payload;
    ROLLCALL_ASSERT(message->object != NULL);
    struct rollcall__watch *earlier = find(channel, message->from.ref, ask->watch_id);
    if (earlier != NULL) { /* an ended incarnation's, whose DOWN is still on its way */
        forget(channel, earlier);
    }
    if (channel->stopping) {
        refuse_at_once(cx, message, ROLLCALL_E_STOPPED, "the connection to etcd has been closed");
        return ROLLCALL_STAY;
    }
    if (channel->watches.count >= WATCHES_MAX) {
        refuse_at_once(cx, message, ROLLCALL_E_FULL, "too many watches are open: close some");
        return ROLLCALL_STAY;
    }
    struct rollcall__watch *watch = create(channel, message);
    if (watch == NULL) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
        return ROLLCALL_STAY;
    }
    rollcall_monitor(cx, message->from.ref);
    begin(cx, channel, watch);
    return ROLLCALL_STAY;
}

int rollcall__channel_on_watch_ack(struct rollcall_context *cx, void *self,
                                   const struct rollcall_message *message)
{
    const struct transport_watch_id *ack = message->payload;
    struct rollcall__channel *channel = self;
    struct rollcall__watch *watch = find(channel, message->from.ref, ack->watch_id);
    (void)cx;
    if (watch != NULL && watch->unacknowledged > 0 && watch->stream != NULL) {
        watch->unacknowledged--;
        if (!watch->stream->ended) {
            channel->driver->ops->credit(channel->driver, watch->stream);
        }
    }
    return ROLLCALL_STAY;
}

int rollcall__channel_on_watch_cancel(struct rollcall_context *cx, void *self,
                                      const struct rollcall_message *message)
{
    const struct transport_watch_id *cancel = message->payload;
    struct rollcall__channel *channel = self;
    struct rollcall__watch *watch = find(channel, message->from.ref, cancel->watch_id);
    if (watch == NULL) {
        return ROLLCALL_STAY;
    }
    if (cancel->elsewhere && watch->stream != NULL) {
        rollcall__pool_silent(&channel->pool, watch->stream->endpoint, rollcall_random(cx),
                              rollcall_now_ms(cx));
    }
    forget(channel, watch);
    return ROLLCALL_STAY;
}

/* What asked as this incarnation is over with the one that ended, and with each after it; 0: the
 * actor was gone before it could be monitored. */
static bool is_over(uint16_t epoch, const struct rollcall_down *down)
{
    return down->epoch == 0 || (int16_t)(epoch - down->epoch) <= 0;
}

/* Every session has a watch here, and all may end at once: only the asker's own are looked at. */
int rollcall__channel_on_down(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct rollcall_down *down = message->payload;
    struct rollcall__map_entry *entry = rollcall__map_first(&channel->watches, down->who.bits);
    (void)cx;
    while (entry != NULL) {
        struct rollcall__watch *watch = of_entry(entry);
        entry = rollcall__map_next(entry);
        if (is_over(watch->last->to.epoch, down)) {
            forget(channel, watch);
        }
    }
    return ROLLCALL_STAY;
}

void rollcall__channel_watches_fini(struct rollcall__channel *channel)
{
    struct rollcall__stream *stream;
    LIST_FOREACH (stream, &channel->streams, link) {
        if (stream->watch != NULL) {
            release_watch(stream->watch); /* the stream itself is the driver's */
        }
    }
    while (channel->watches_waiting != NULL) {
        struct rollcall__watch *watch = channel->watches_waiting;
        channel->watches_waiting = watch->next_waiting;
        release_watch(watch);
    }
    rollcall__map_fini(&channel->watches);
}

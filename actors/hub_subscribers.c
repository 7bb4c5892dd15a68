/* The hub's subscribers: who has been sent what, who has room, who lags. */
#include "actors/hub_internal.h"

#include "base/memory.h"

#include <stdlib.h>

enum { FEW = 4 };

struct hub_subscriber *hub_find(struct hub_handover *held, struct rollcall_ref watcher)
{
    for (size_t i = held->count; i-- > 0;) { /* who asks is likely to be new */
        if (rollcall_ref_equal(held->subscribers[i].watcher, watcher)) {
            return &held->subscribers[i];
        }
    }
    return NULL;
}

/* False: out of memory. */
static bool grow(struct hub_handover *held)
{
    const size_t capacity = held->capacity == 0 ? FEW : 2 * held->capacity;
    struct hub_subscriber *subscribers =
        rollcall__reallocate(held->subscribers, capacity * sizeof *subscribers);
    if (subscribers == NULL) {
        return false;
    }
    held->subscribers = subscribers;
    held->capacity = capacity;
    return true;
}

/* How many there are, and so many more of them that lag. */
static void publish_watchers(const struct hub_handover *held, int64_t more_lagging)
{
    struct hub_meter *meter = held->meter;
    if (meter != NULL) {
        rollcall__gauge_set(&meter->watchers, (int64_t)held->count);
        rollcall__gauge_set(&meter->lagging, rollcall__gauge_get(&meter->lagging) + more_lagging);
    }
}

bool hub_add(struct rollcall_context *cx, struct hub_handover *held, struct rollcall_ref watcher,
             struct hub_watcher_meter *meter, bool knows_all)
{
    if (held->count == held->capacity && !grow(held)) {
        return false;
    }
    if (meter != NULL) {
        rollcall_object_keep(&meter->object);
    }
    held->subscribers[held->count++] = (struct hub_subscriber){
        .watcher = watcher, .phase = knows_all ? HUB_FOLLOWING : HUB_JOINING, .meter = meter};
    held->waiting += !knows_all;
    publish_watchers(held, 0);
    rollcall_monitor(cx, watcher);
    return true;
}

void hub_forget_told(struct hub_subscriber *subscriber, uint64_t told)
{
    for (; subscriber->told < told; subscriber->told++) {
        rollcall_object_drop(subscriber->sent[subscriber->told % HUB_WINDOW]);
    }
}

void hub_release(struct hub_subscriber *subscriber)
{
    hub_forget_told(subscriber, subscriber->next);
    rollcall_object_drop(subscriber->since == NULL ? NULL : &subscriber->since->object);
    rollcall_object_drop(subscriber->meter == NULL ? NULL : &subscriber->meter->object);
}

void hub_remove(struct hub_handover *held, struct hub_subscriber *gone)
{
    const int64_t lagging = gone->phase == HUB_LAGGING ? 1 : 0;
    held->starved -= gone->phase == HUB_FOLLOWING && !hub_has_room(gone);
    held->waiting -= gone->phase != HUB_FOLLOWING;
    hub_release(gone);
    *gone = held->subscribers[--held->count];
    publish_watchers(held, -lagging);
}

bool hub_has_room(const struct hub_subscriber *subscriber)
{
    return subscriber->next - subscriber->told < HUB_WINDOW;
}

void hub_lag(struct rollcall_context *cx, struct hub_handover *held,
             struct hub_subscriber *subscriber, enum rollcall_status status, const char *words)
{
    held->starved -= !hub_has_room(subscriber);
    held->waiting++;
    subscriber->phase = HUB_LAGGING;
    subscriber->status = status;
    subscriber->words = words;
    rollcall_object_keep(&held->roster->object);
    subscriber->since = held->roster;
    subscriber->since_changes = held->changes;
    if (subscriber->meter != NULL) {
        rollcall__gauge_set(&subscriber->meter->lagging_since_ms, rollcall_wall_ms(cx));
    }
    publish_watchers(held, 1);
}

/* It lags no more. */
static void publish_caught_up(const struct hub_handover *held,
                              const struct hub_subscriber *subscriber)
{
    struct hub_watcher_meter *meter = subscriber->meter;
    if (meter != NULL) {
        rollcall__gauge_set(&meter->lagging_since_ms, 0);
        rollcall__gauge_set(&meter->merged, rollcall__gauge_get(&meter->merged) + held->changes -
                                                subscriber->since_changes);
    }
    publish_watchers(held, -1);
}

/* A batch begins: who has no room for it will have to be told the difference from here on. */
void hub_leave_behind(struct rollcall_context *cx, struct hub_handover *held)
{
    for (size_t i = 0; held->starved > 0 && i < held->count; i++) {
        struct hub_subscriber *subscriber = &held->subscribers[i];
        if (subscriber->phase == HUB_FOLLOWING && !hub_has_room(subscriber)) {
            hub_lag(cx, held, subscriber, ROLLCALL_E_FULL,
                    "the changes were faster than this watch was told of them");
        }
    }
}

/* Sends, for the first time or again, the delivery of that number. */
static enum rollcall_status send(struct rollcall_context *cx, const struct hub_handover *held,
                                 const struct hub_subscriber *subscriber, uint64_t number)
{
    struct rollcall_object *sent = subscriber->sent[number % HUB_WINDOW];
    const struct watcher_delivery delivery = {.number = number,
                                              .place = (uint32_t)(subscriber - held->subscribers)};
    return rollcall_send_object(cx, subscriber->watcher,
                                hub_is_difference(sent) ? WATCHER_DIFFERENCE : WATCHER_BATCH,
                                &delivery, sizeof delivery, rollcall_object_keep(sent));
}

/* It follows, and has room.  Not OK: nothing was sent. */
static enum rollcall_status deliver(struct rollcall_context *cx, struct hub_handover *held,
                                    struct hub_subscriber *subscriber,
                                    struct rollcall_object *object)
{
    struct rollcall_object **sent = &subscriber->sent[subscriber->next % HUB_WINDOW];
    *sent = rollcall_object_keep(object);
    if (send(cx, held, subscriber, subscriber->next) != ROLLCALL_OK) {
        rollcall_object_drop(object);
        *sent = NULL;
        return ROLLCALL_E_FULL;
    }
    subscriber->next++;
    held->starved += !hub_has_room(subscriber);
    return ROLLCALL_OK;
}

/* Not OK: the rest is sent by the next incarnation. */
enum rollcall_status hub_flush(struct rollcall_context *cx, struct hub_handover *held)
{
    if (held->batch == NULL) {
        return ROLLCALL_OK;
    }
    for (; held->flushed < held->count; held->flushed++) {
        struct hub_subscriber *subscriber = &held->subscribers[held->flushed];
        if (subscriber->phase == HUB_FOLLOWING &&
            deliver(cx, held, subscriber, &held->batch->object) != ROLLCALL_OK) {
            return ROLLCALL_E_FULL;
        }
    }
    rollcall_object_drop(&held->batch->object);
    held->batch = NULL;
    held->flushed = 0;
    return ROLLCALL_OK;
}

/* Sends what brings it to the roster of now; nothing may be in the batch. */
static enum rollcall_status catch_up(struct rollcall_context *cx, struct hub_handover *held,
                                     struct hub_subscriber *subscriber)
{
    struct hub_difference *difference = hub_difference_create(subscriber->since, held->roster);
    if (difference == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    difference->status = subscriber->status;
    difference->words = subscriber->words;
    difference->whole = !held->partial;
    difference->through = held->changes;
    const enum rollcall_status status = deliver(cx, held, subscriber, &difference->object);
    rollcall_object_drop(&difference->object);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall_object_drop(subscriber->since == NULL ? NULL : &subscriber->since->object);
    subscriber->since = NULL;
    if (subscriber->phase == HUB_LAGGING) {
        publish_caught_up(held, subscriber);
    }
    subscriber->phase = HUB_FOLLOWING;
    held->waiting--;
    return ROLLCALL_OK;
}

/* Those that join or lag, and have room. */
enum rollcall_status hub_serve(struct rollcall_context *cx, struct hub_handover *held)
{
    enum rollcall_status status = ROLLCALL_OK;
    if (held->roster == NULL || held->failed != NULL) {
        return ROLLCALL_OK;
    }
    for (size_t i = 0; held->waiting > 0 && i < held->count && status == ROLLCALL_OK; i++) {
        struct hub_subscriber *subscriber = &held->subscribers[i];
        if (subscriber->phase != HUB_FOLLOWING && hub_has_room(subscriber) &&
            (status = hub_flush(cx, held)) == ROLLCALL_OK) {
            status = catch_up(cx, held, subscriber);
        }
    }
    return status;
}

enum rollcall_status hub_repeat(struct rollcall_context *cx, const struct hub_handover *held,
                                const struct hub_subscriber *subscriber, uint64_t from)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (uint64_t i = from < subscriber->told ? subscriber->told : from;
         i < subscriber->next && status == ROLLCALL_OK; i++) {
        status = send(cx, held, subscriber, i);
    }
    return status;
}

/* The incarnation before may have lost what it was about to hear from them. */
enum rollcall_status hub_ask_all(struct rollcall_context *cx, const struct hub_handover *held)
{
    enum rollcall_status status = ROLLCALL_OK;
    for (size_t i = 0; i < held->count && status == ROLLCALL_OK; i++) {
        rollcall_monitor(cx, held->subscribers[i].watcher);
        status = rollcall_send(cx, held->subscribers[i].watcher, WATCHER_WHERE, NULL, 0);
    }
    return status;
}

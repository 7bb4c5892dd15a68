/* What a hub tells its watchers: shared objects, made once. */
#include "actors/hub.h"

#include "base/memory.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 4 };

static const struct {
    enum rollcall_status fails, told;
    const char *words;
} CAUSES[HUB_LIST_CAUSES] = {
    [HUB_LIST_FIRST] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_UNAVAILABLE, "nothing is known yet"},
    [HUB_LIST_COMPACTED] = {ROLLCALL_E_COMPACTED, ROLLCALL_E_COMPACTED,
                            "etcd has compacted revisions that were not told yet"},
    [HUB_LIST_WENT_BACK] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_COMPACTED,
                            "etcd's revision is below the one to go on from: it was restored or "
                            "set up anew, or the revision asked for is of the future"},
    [HUB_LIST_TOO_LARGE] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_NO_MEMORY,
                            "etcd told more changes at once than may be held: change fewer keys in "
                            "one transaction"},
    [HUB_LIST_LOST] = {ROLLCALL_E_UNAVAILABLE, ROLLCALL_E_CORRUPT,
                       "an audit found that etcd has not told a change which it holds"},
};

enum rollcall_status hub_list_status(enum hub_list_cause cause)
{
    return CAUSES[cause].fails;
}

enum rollcall_status hub_list_told(enum hub_list_cause cause)
{
    return CAUSES[cause].told;
}

const char *hub_list_words(enum hub_list_cause cause)
{
    return CAUSES[cause].words;
}

/* ---- batches ---- */

static void drop(struct reflector_item *item)
{
    if (item != NULL) {
        rollcall_object_drop(&item->object);
    }
}

static void destroy_batch(struct rollcall_object *object)
{
    struct hub_batch *batch = (struct hub_batch *)object;
    for (size_t i = 0; i < batch->count; i++) {
        drop(batch->held[i].before);
        drop(batch->held[i].item);
        if (batch->held[i].reason != NULL) {
            rollcall_object_drop(&batch->held[i].reason->object);
        }
    }
    free(batch->events);
    free(batch->held);
    free(batch);
}

struct hub_batch *hub_batch_create(void)
{
    struct hub_batch *batch = rollcall__allocate_zeroed(1, sizeof *batch);
    if (batch != NULL) {
        rollcall_object_init(&batch->object, destroy_batch);
    }
    return batch;
}

bool hub_batch_reserve(struct hub_batch *batch, size_t more)
{
    size_t capacity = batch->capacity == 0 ? FIRST_CAPACITY : batch->capacity;
    while (capacity < batch->count + more) {
        capacity *= 2;
    }
    if (capacity == batch->capacity) {
        return true;
    }
    struct rollcall_watch_event *events =
        rollcall__reallocate(batch->events, capacity * sizeof *events);
    if (events == NULL) {
        return false;
    }
    batch->events = events;
    struct hub_held *held = rollcall__reallocate(batch->held, capacity * sizeof *held);
    if (held == NULL) {
        return false;
    }
    batch->held = held;
    batch->capacity = capacity;
    return true;
}

void hub_batch_add(struct hub_batch *batch, enum rollcall_watch_event_type type, int64_t at_ms,
                   int64_t mod_revision, struct reflector_item *before, struct reflector_item *item)
{
    const struct reflector_item *of = item != NULL ? item : before;
    batch->held[batch->count] = (struct hub_held){.before = before, .item = item};
    batch->events[batch->count++] = (struct rollcall_watch_event){
        .type = type,
        .at_ms = at_ms,
        .key = of->key,
        .value = of->value,
        .record = &of->record,
        .mod_revision = mod_revision,
        .create_revision = of->create_revision,
        .lease_id = of->lease_id,
        .reason = "",
    };
}

void hub_batch_mark(struct hub_batch *batch, const struct rollcall_watch_event *draft,
                    struct rollcall_reason *reason)
{
    batch->held[batch->count] = (struct hub_held){.reason = reason};
    batch->events[batch->count] = *draft;
    batch->events[batch->count].reason = reason == NULL ? "" : reason->error.text;
    batch->count++;
}

/* ---- differences ---- */

static void destroy_difference(struct rollcall_object *object)
{
    struct hub_difference *difference = (struct hub_difference *)object;
    if (difference->before != NULL) {
        rollcall_object_drop(&difference->before->object);
    }
    rollcall_object_drop(&difference->after->object);
    free(difference);
}

struct hub_difference *hub_difference_create(struct rollcall__roster *before,
                                             struct rollcall__roster *after)
{
    struct hub_difference *difference = rollcall__allocate_zeroed(1, sizeof *difference);
    if (difference == NULL) {
        return NULL;
    }
    rollcall_object_init(&difference->object, destroy_difference);
    if (before != NULL) {
        rollcall_object_keep(&before->object);
    }
    rollcall_object_keep(&after->object);
    difference->before = before;
    difference->after = after;
    return difference;
}

/* ---- either ---- */

bool hub_is_difference(const struct rollcall_object *delivery)
{
    return delivery->destroy == destroy_difference;
}

int64_t hub_through(const struct rollcall_object *delivery)
{
    return hub_is_difference(delivery) ? ((const struct hub_difference *)delivery)->through
                                       : ((const struct hub_batch *)delivery)->through;
}

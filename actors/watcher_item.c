/* What a watcher makes of one key-value pair, decoded once, and what it tells of it: shared
 * objects; and the queue of responses it has not told yet. */
#include "actors/watcher.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "session/keys.h"
#include "session/record.h"

#include <stdlib.h>

static void destroy_item(struct rollcall_object *object)
{
    struct watcher_item *item = (struct watcher_item *)object;
    rollcall__arena_free(&item->arena);
    free(item);
}

static bool is_wanted(const struct watcher_config *config, const struct rollcall_record *record)
{
    const struct rollcall__semver version = rollcall__record_semver(record);
    return !config->has_version_range ||
           rollcall__semver_range_matches(&config->version_range, &version);
}

enum rollcall_status watcher_item_create(const struct watcher_config *config,
                                         const struct transport_kv *kv, struct watcher_item **made,
                                         struct rollcall_error *error)
{
    *made = NULL;
    struct watcher_item *item = rollcall__allocate_zeroed(1, sizeof *item);
    if (item == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a session");
    }
    rollcall_object_init(&item->object, destroy_item);
    item->create_revision = kv->create_revision;
    item->mod_revision = kv->mod_revision;
    item->lease_id = kv->lease_id;
    enum rollcall_status status;
    if (rollcall__arena_copy(&item->arena, kv->key, &item->key) &&
        rollcall__arena_copy(&item->arena, kv->value, &item->value)) {
        status = rollcall__record_decode(item->value, &item->arena, &item->record, error);
    } else {
        status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a session");
    }
    if (status == ROLLCALL_OK && is_wanted(config, &item->record)) {
        *made = item;
    } else {
        rollcall_object_drop(&item->object);
    }
    return status;
}

bool watcher_item_is(const struct watcher_item *item, const struct transport_kv *kv)
{
    return item->mod_revision == kv->mod_revision && item->lease_id == kv->lease_id &&
           rollcall__bytes_equal(item->value, kv->value);
}

bool watcher_wants_key(const struct watcher_config *config, struct rollcall_bytes key)
{
    return config->raw_prefix ||
           rollcall__key_is_of_role(key, config->session_prefix, rollcall__bytes(config->role));
}

static void destroy_event(struct rollcall_object *object)
{
    struct watcher_event *event = (struct watcher_event *)object;
    if (event->item != NULL) {
        rollcall_object_drop(&event->item->object);
    }
    free(event);
}

struct watcher_event *watcher_event_create(const struct watcher_event *draft, int64_t at_ms)
{
    struct watcher_event *event = rollcall__allocate(sizeof *event);
    if (event == NULL) {
        return NULL;
    }
    *event = *draft;
    event->at_ms = at_ms;
    rollcall_object_init(&event->object, destroy_event);
    if (event->item != NULL) {
        rollcall_object_keep(&event->item->object);
    }
    return event;
}

bool watcher_waiting_push(struct watcher_waiting *waiting,
                          struct transport_watch_response *response)
{
    if (waiting->count == TRANSPORT_WATCH_WINDOW) {
        return false;
    }
    waiting->responses[(waiting->head + waiting->count++) % TRANSPORT_WATCH_WINDOW] = response;
    rollcall_object_keep(&response->object);
    return true;
}

const struct transport_watch_response *watcher_waiting_first(const struct watcher_waiting *waiting)
{
    return waiting->count == 0 ? NULL : waiting->responses[waiting->head];
}

void watcher_waiting_pop(struct watcher_waiting *waiting)
{
    struct transport_watch_response *first = waiting->responses[waiting->head];
    waiting->head = (waiting->head + 1) % TRANSPORT_WATCH_WINDOW;
    waiting->count--;
    rollcall_object_drop(&first->object);
}

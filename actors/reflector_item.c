/* What a reflector makes of one key-value pair, decoded once, and of one response: shared objects;
 * and the queue of responses it has not passed on yet. */
#include "actors/reflector.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "session/keys.h"
#include "session/record.h"

#include <stdlib.h>
#include <string.h>

static void destroy_item(struct rollcall_object *object)
{
    free(object);
}

/* Copies bytes, a NUL behind them, and moves *to behind that. */
static struct rollcall_bytes put(char **to, struct rollcall_bytes from)
{
    const struct rollcall_bytes copy = {*to, from.size_bytes};
    if (from.size_bytes > 0) {
        memcpy(*to, from.data, from.size_bytes);
    }
    (*to)[from.size_bytes] = '\0';
    *to += from.size_bytes + 1;
    return copy;
}

/* The item, with all that it holds in the same block; NULL: out of memory. */
static struct reflector_item *make_item(const struct transport_kv *kv,
                                        const struct rollcall_record *record)
{
    const size_t texts_bytes = rollcall__record_texts_bytes(record);
    struct reflector_item *item = rollcall__allocate(sizeof *item + texts_bytes +
                                                     kv->key.size_bytes + kv->value.size_bytes + 2);
    if (item == NULL) {
        return NULL;
    }
    char *to = (char *)item->memory + texts_bytes;
    rollcall_object_init(&item->object, destroy_item);
    item->key = put(&to, kv->key);
    item->value = put(&to, kv->value);
    item->record = *record;
    rollcall__record_move_texts(&item->record, item->memory);
    item->create_revision = kv->create_revision;
    item->mod_revision = kv->mod_revision;
    item->lease_id = kv->lease_id;
    return item;
}

enum rollcall_status reflector_item_create(const struct transport_kv *kv,
                                           struct reflector_item **made,
                                           struct rollcall_error *error)
{
    struct rollcall__record_scratch scratch;
    struct rollcall_record record;
    *made = NULL;
    enum rollcall_status status = rollcall__record_read(kv->value, &scratch, &record, error);
    if (status == ROLLCALL_OK) {
        *made = make_item(kv, &record);
        if (*made == NULL) {
            status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a session");
        }
    }
    rollcall__arena_free(&scratch.arena);
    return status;
}

struct reflector_item *reflector_item_keep(struct reflector_item *item)
{
    return item == NULL ? NULL : (struct reflector_item *)rollcall_object_keep(&item->object);
}

bool reflector_item_equal(const struct reflector_item *a, const struct reflector_item *b)
{
    return a->mod_revision == b->mod_revision && a->lease_id == b->lease_id &&
           rollcall__bytes_equal(a->value, b->value);
}

bool reflector_wants_key(const struct reflector_config *config, struct rollcall_bytes key)
{
    return config->raw_prefix ||
           rollcall__key_is_of_role(key, config->session_prefix, rollcall__bytes(config->role));
}

static void destroy_changes(struct rollcall_object *object)
{
    struct reflector_changes *changes = (struct reflector_changes *)object;
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->changes[i].item != NULL) {
            rollcall_object_drop(&changes->changes[i].item->object);
        }
    }
    rollcall_object_drop(&changes->response->object);
    free(changes);
}

struct reflector_changes *reflector_changes_create(struct transport_watch_response *response)
{
    struct reflector_changes *changes =
        rollcall__allocate(sizeof *changes + response->event_count * sizeof changes->changes[0]);
    if (changes != NULL) {
        rollcall_object_init(&changes->object, destroy_changes);
        rollcall_object_keep(&response->object);
        changes->response = response;
        changes->count = 0;
    }
    return changes;
}

bool reflector_waiting_push(struct reflector_waiting *waiting,
                            struct transport_watch_response *response)
{
    if (waiting->count == REFLECTOR_WINDOW) {
        return false;
    }
    waiting->responses[(waiting->head + waiting->count++) % REFLECTOR_WINDOW] = response;
    rollcall_object_keep(&response->object);
    return true;
}

struct transport_watch_response *reflector_waiting_first(const struct reflector_waiting *waiting)
{
    return waiting->count == 0 ? NULL : waiting->responses[waiting->head];
}

void reflector_waiting_pop(struct reflector_waiting *waiting)
{
    struct transport_watch_response *first = waiting->responses[waiting->head];
    waiting->head = (waiting->head + 1) % REFLECTOR_WINDOW;
    waiting->count--;
    rollcall_object_drop(&first->object);
}

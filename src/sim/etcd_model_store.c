/*
 * sim/etcd_model_store.c - keys, their changes, one history.
 *
 * The history is one array, so that a revision is found by bisection; each key has the indexes of
 * its changes, so that its value at a revision is found by bisection too.  A change knows what was
 * there before it, so a watch looks nothing up.
 */
#include "sim/etcd_model_internal.h"

#include "base/assert.h"
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 32, FIRST_CHANGES = 4 };

void *rollcall__model_grow(void *memory, size_t *capacity, size_t element_bytes)
{
    *capacity = *capacity == 0 ? FIRST_CAPACITY : 2 * *capacity;
    void *grown = realloc(memory, *capacity * element_bytes);
    ROLLCALL_ASSERT(grown != NULL);
    return grown;
}

static void *need(struct rollcall__model *model, size_t size_bytes)
{
    void *memory = rollcall__arena_alloc(&model->arena, size_bytes);
    ROLLCALL_ASSERT(memory != NULL);
    return memory;
}

static struct rollcall_bytes keep_bytes(struct rollcall__model *model, struct rollcall_bytes bytes)
{
    struct rollcall_bytes copy;
    const bool copied = rollcall__arena_copy(&model->arena, bytes, &copy);
    ROLLCALL_ASSERT(copied);
    return copy;
}

/* ---- keys ---- */

size_t rollcall__model_key_place(const struct rollcall__model *model, struct rollcall_bytes key)
{
    size_t low = 0, high = model->key_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rollcall__bytes_compare(model->keys[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct rollcall__model *model, size_t place, struct rollcall_bytes key)
{
    return place < model->key_count && rollcall__bytes_equal(model->keys[place]->key, key);
}

struct rollcall__model_key *rollcall__model_key_find(const struct rollcall__model *model,
                                                     struct rollcall_bytes key)
{
    const size_t place = rollcall__model_key_place(model, key);
    return is_at(model, place, key) ? model->keys[place] : NULL;
}

static struct rollcall__model_key *intern(struct rollcall__model *model, struct rollcall_bytes key)
{
    const size_t place = rollcall__model_key_place(model, key);
    if (is_at(model, place, key)) {
        return model->keys[place];
    }
    if (model->key_count == model->key_capacity) {
        model->keys = rollcall__model_grow(model->keys, &model->key_capacity, sizeof *model->keys);
    }
    memmove(&model->keys[place + 1], &model->keys[place],
            (model->key_count - place) * sizeof(struct rollcall__model_key *));
    model->key_count++;
    struct rollcall__model_key *added = need(model, sizeof *added);
    *added = (struct rollcall__model_key){.key = keep_bytes(model, key)};
    return model->keys[place] = added;
}

static void add_change(struct rollcall__model *model, struct rollcall__model_key *key,
                       uint32_t change)
{
    if (key->change_count == key->change_capacity) {
        const uint32_t capacity =
            key->change_capacity == 0 ? FIRST_CHANGES : 2 * key->change_capacity;
        uint32_t *changes = need(model, capacity * sizeof *changes);
        if (key->change_count != 0) {
            memcpy(changes, key->changes, key->change_count * sizeof *changes);
        }
        key->changes = changes;
        key->change_capacity = capacity;
    }
    key->changes[key->change_count++] = change;
}

const struct transport_kv *rollcall__model_key_at(const struct rollcall__model *model,
                                                  const struct rollcall__model_key *key,
                                                  int64_t revision)
{
    uint32_t low = 0, high = key->change_count;
    if (high != 0 && model->history[key->changes[high - 1]].kv.mod_revision <= revision) {
        low = high; /* nearly always: what is there now */
    }
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (model->history[key->changes[middle]].kv.mod_revision <= revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return NULL;
    }
    const struct transport_event *change = &model->history[key->changes[low - 1]];
    return change->kind == TRANSPORT_PUT ? &change->kv : NULL;
}

bool rollcall__model_in_range(const struct transport_range *range, struct rollcall_bytes key)
{
    if (range->end.size_bytes == 0) {
        return rollcall__bytes_equal(range->key, key);
    }
    if (rollcall__bytes_compare(key, range->key) < 0) {
        return false;
    }
    const bool open_end = range->end.size_bytes == 1 && range->end.data[0] == '\0';
    return open_end || rollcall__bytes_compare(key, range->end) < 0;
}

/* ---- the history ---- */

size_t rollcall__model_change_place(const struct rollcall__model *model, int64_t revision)
{
    size_t low = 0, high = model->history_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (model->history[middle].kv.mod_revision < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* A new change, of which only what was there before is filled. */
static struct transport_event *append(struct rollcall__model *model,
                                      struct rollcall__model_key *key)
{
    ROLLCALL_ASSERT(model->history_count < UINT32_MAX);
    if (model->history_count == model->history_capacity) {
        model->history =
            rollcall__model_grow(model->history, &model->history_capacity, sizeof *model->history);
    }
    const struct transport_kv *before = rollcall__model_key_at(model, key, INT64_MAX);
    struct transport_event *change = &model->history[model->history_count];
    *change = (struct transport_event){.has_prev_kv = before != NULL};
    if (before != NULL) {
        change->prev_kv = *before;
    }
    add_change(model, key, (uint32_t)model->history_count++);
    return change;
}

void rollcall__model_change_put(struct rollcall__model *model, struct rollcall_bytes key,
                                struct rollcall_bytes value, int64_t lease_id)
{
    struct rollcall__model_key *owner = intern(model, key);
    struct transport_event *change = append(model, owner);
    const struct transport_kv *before = change->has_prev_kv ? &change->prev_kv : NULL;
    change->kind = TRANSPORT_PUT;
    change->kv = (struct transport_kv){
        .key = owner->key,
        .value = keep_bytes(model, value),
        .create_revision = before == NULL ? model->revision + 1 : before->create_revision,
        .mod_revision = model->revision + 1,
        .version = before == NULL ? 1 : before->version + 1,
        .lease_id = lease_id,
    };
    rollcall__model_lease_count(model, before == NULL ? 0 : before->lease_id, false);
    rollcall__model_lease_count(model, lease_id, true);
}

bool rollcall__model_change_delete(struct rollcall__model *model, struct rollcall_bytes key)
{
    struct rollcall__model_key *owner = rollcall__model_key_find(model, key);
    if (owner == NULL || rollcall__model_key_at(model, owner, INT64_MAX) == NULL) {
        return false;
    }
    struct transport_event *change = append(model, owner);
    change->kind = TRANSPORT_DELETE;
    change->kv = (struct transport_kv){.key = owner->key, .mod_revision = model->revision + 1};
    rollcall__model_lease_count(model, change->prev_kv.lease_id, false);
    return true;
}

void rollcall__model_commit(struct rollcall__model *model)
{
    const size_t count = model->history_count;
    if (count != 0 && model->history[count - 1].kv.mod_revision > model->revision) {
        model->revision++;
        rollcall__model_members_follow(model);
    }
}

/* ---- what checks look at ---- */

const struct transport_event *rollcall__model_history(const struct rollcall__model *model,
                                                      size_t *count)
{
    *count = model->history_count;
    return model->history;
}

const struct transport_kv *rollcall__model_find(const struct rollcall__model *model,
                                                struct rollcall_bytes key, int64_t revision)
{
    const struct rollcall__model_key *owner = rollcall__model_key_find(model, key);
    return owner == NULL ? NULL : rollcall__model_key_at(model, owner, revision);
}

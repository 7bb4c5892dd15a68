#include "session/view.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

/* The place of the first key that is not below `key`. */
static size_t lower_bound(const struct rollcall__view *view, struct rollcall_bytes key)
{
    size_t low = 0, high = view->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rollcall__bytes_compare(view->entries[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct rollcall__view *view, size_t place, struct rollcall_bytes key)
{
    return place < view->count && rollcall__bytes_equal(view->entries[place].key, key);
}

struct rollcall__view_entry *rollcall__view_find(struct rollcall__view *view,
                                                 struct rollcall_bytes key)
{
    const size_t place = lower_bound(view, key);
    return is_at(view, place, key) ? &view->entries[place] : NULL;
}

static bool reserve(struct rollcall__view *view)
{
    if (view->count < view->capacity) {
        return true;
    }
    const size_t capacity = view->capacity == 0 ? FIRST_CAPACITY : 2 * view->capacity;
    struct rollcall__view_entry *entries =
        rollcall__reallocate(view->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    view->entries = entries;
    view->capacity = capacity;
    return true;
}

struct rollcall__view_entry *rollcall__view_put(struct rollcall__view *view,
                                                struct rollcall_bytes key)
{
    const size_t place = lower_bound(view, key);
    if (is_at(view, place, key)) {
        return &view->entries[place];
    }
    char *copy = rollcall__allocate(key.size_bytes + 1);
    if (copy == NULL || !reserve(view)) {
        free(copy);
        return NULL;
    }
    memcpy(copy, key.data, key.size_bytes);
    copy[key.size_bytes] = '\0';
    struct rollcall__view_entry *entry = &view->entries[place];
    memmove(entry + 1, entry, (view->count - place) * sizeof *entry);
    view->count++;
    *entry = (struct rollcall__view_entry){.key = {copy, key.size_bytes}};
    return entry;
}

void rollcall__view_set_now(struct rollcall__view_entry *entry, struct rollcall_object *object)
{
    struct rollcall_object *before = entry->now;
    entry->now = object;
    rollcall_object_drop(before);
}

void rollcall__view_set_told(struct rollcall__view_entry *entry)
{
    struct rollcall_object *before = entry->told;
    if (before == entry->now) {
        return;
    }
    entry->told = entry->now == NULL ? NULL : rollcall_object_keep(entry->now);
    rollcall_object_drop(before);
}

void rollcall__view_clear_now(struct rollcall__view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        rollcall__view_set_now(&view->entries[i], NULL);
    }
}

bool rollcall__view_differs(const struct rollcall__view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->entries[i].now != view->entries[i].told) {
            return true;
        }
    }
    return false;
}

void rollcall__view_sweep(struct rollcall__view *view)
{
    size_t kept = 0;
    for (size_t i = 0; i < view->count; i++) {
        struct rollcall__view_entry *entry = &view->entries[i];
        if (entry->now != NULL || entry->told != NULL) {
            view->entries[kept++] = *entry;
        } else {
            free((char *)entry->key.data);
        }
    }
    view->count = kept;
}

void rollcall__view_free(struct rollcall__view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        rollcall_object_drop(view->entries[i].now);
        rollcall_object_drop(view->entries[i].told);
        free((char *)view->entries[i].key.data);
    }
    free(view->entries);
    *view = (struct rollcall__view){0};
}

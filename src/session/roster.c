#include "session/roster.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "base/object.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16 };

static void destroy(struct rollcall_object *object)
{
    struct rollcall__roster *roster = (struct rollcall__roster *)object;
    for (size_t i = 0; i < roster->count; i++) {
        rollcall_object_drop(roster->entries[i].item);
    }
    free(roster->entries);
    free(roster);
}

struct rollcall__roster *rollcall__roster_create(void)
{
    struct rollcall__roster *roster = rollcall__allocate_zeroed(1, sizeof *roster);
    if (roster != NULL) {
        rollcall_object_init(&roster->object, destroy);
    }
    return roster;
}

/* NULL: out of memory. */
static struct rollcall__roster *copy(const struct rollcall__roster *from, size_t capacity)
{
    struct rollcall__roster *made = rollcall__roster_create();
    if (made == NULL) {
        return NULL;
    }
    made->entries = rollcall__allocate(capacity * sizeof *made->entries);
    if (made->entries == NULL) {
        free(made);
        return NULL;
    }
    for (size_t i = 0; i < from->count; i++) {
        made->entries[i] = from->entries[i];
        rollcall_object_keep(made->entries[i].item);
    }
    made->revision = from->revision;
    made->skipped = from->skipped;
    made->count = from->count;
    made->capacity = capacity;
    return made;
}

static bool grow(struct rollcall__roster *roster, size_t capacity)
{
    struct rollcall__roster_entry *entries =
        rollcall__reallocate(roster->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    roster->entries = entries;
    roster->capacity = capacity;
    return true;
}

bool rollcall__roster_reserve(struct rollcall__roster **roster, size_t more)
{
    const size_t wanted = (*roster)->count + more;
    size_t capacity = (*roster)->capacity < FIRST_CAPACITY ? FIRST_CAPACITY : (*roster)->capacity;
    while (capacity < wanted) {
        capacity *= 2;
    }
    if (rollcall__object_is_sole(&(*roster)->object)) {
        return capacity == (*roster)->capacity || grow(*roster, capacity);
    }
    struct rollcall__roster *made = copy(*roster, capacity);
    if (made == NULL) {
        return false;
    }
    rollcall_object_drop(&(*roster)->object);
    *roster = made;
    return true;
}

/* The place of the first key that is not below `key`. */
static size_t lower_bound(const struct rollcall__roster *roster, struct rollcall_bytes key)
{
    size_t low = 0, high = roster->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (rollcall__bytes_compare(roster->entries[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool rollcall__roster_find(const struct rollcall__roster *roster, struct rollcall_bytes key,
                           size_t *place)
{
    *place = lower_bound(roster, key);
    return *place < roster->count && rollcall__bytes_equal(roster->entries[*place].key, key);
}

void rollcall__roster_insert(struct rollcall__roster *roster, size_t place,
                             struct rollcall_bytes key, struct rollcall_object *item)
{
    struct rollcall__roster_entry *at = &roster->entries[place];
    ROLLCALL_ASSERT(place <= roster->count && roster->count < roster->capacity);
    memmove(at + 1, at, (roster->count - place) * sizeof *at);
    roster->count++;
    *at = (struct rollcall__roster_entry){.key = key, .item = item};
}

struct rollcall_object *rollcall__roster_replace(struct rollcall__roster *roster, size_t place,
                                                 struct rollcall_bytes key,
                                                 struct rollcall_object *item)
{
    struct rollcall_object *before = roster->entries[place].item;
    roster->entries[place] = (struct rollcall__roster_entry){.key = key, .item = item};
    return before;
}

void rollcall__roster_append(struct rollcall__roster *roster, struct rollcall_bytes key,
                             struct rollcall_object *item)
{
    ROLLCALL_ASSERT(roster->count < roster->capacity);
    roster->entries[roster->count++] = (struct rollcall__roster_entry){.key = key, .item = item};
}

struct rollcall_object *rollcall__roster_remove(struct rollcall__roster *roster, size_t place)
{
    struct rollcall__roster_entry *at = &roster->entries[place];
    struct rollcall_object *item = at->item;
    ROLLCALL_ASSERT(place < roster->count);
    roster->count--;
    memmove(at, at + 1, (roster->count - place) * sizeof *at);
    return item;
}

/* Which of the two keys comes first: below 0: the one of `before`; 0: it is the same. */
static int order(const struct rollcall__roster *before, const struct rollcall__roster *after,
                 const struct rollcall__roster_walk *walk)
{
    if (before == NULL || walk->before_at == before->count) {
        return 1;
    }
    return walk->after_at == after->count
               ? -1
               : rollcall__bytes_compare(before->entries[walk->before_at].key,
                                         after->entries[walk->after_at].key);
}

bool rollcall__roster_differs(const struct rollcall__roster *before,
                              const struct rollcall__roster *after,
                              struct rollcall__roster_walk *walk)
{
    const size_t before_count = before == NULL ? 0 : before->count;
    while (walk->before_at < before_count || walk->after_at < after->count) {
        const int which = order(before, after, walk);
        walk->before = which <= 0 ? before->entries[walk->before_at++].item : NULL;
        walk->after = which >= 0 ? after->entries[walk->after_at++].item : NULL;
        if (walk->before != walk->after) {
            return true;
        }
    }
    return false;
}

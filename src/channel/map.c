/* channel/map.c - chained; doubled when there are more entries than buckets. */
#include "channel/map.h"

#include "base/memory.h"

#include <stdlib.h>

enum { BUCKETS_MIN = 64 };

/* Of the first half of the key, so that all who share it are in one bucket.  Mixes all its bits:
 * refs and lease ids are far from random in their low bits. */
static size_t bucket_of(const struct rollcall__map *map, uint64_t a)
{
    uint64_t hash = a * UINT64_C(0xbf58476d1ce4e5b9);
    hash ^= hash >> 31;
    return (size_t)(hash & (map->bucket_count - 1));
}

static struct rollcall__map_entry *with(struct rollcall__map_entry *entry, uint64_t a)
{
    while (entry != NULL && entry->a != a) {
        entry = entry->next;
    }
    return entry;
}

static void put(struct rollcall__map *map, struct rollcall__map_entry *entry)
{
    struct rollcall__map_entry **bucket = &map->buckets[bucket_of(map, entry->a)];
    entry->next = *bucket;
    *bucket = entry;
}

static bool grow(struct rollcall__map *map)
{
    struct rollcall__map larger = {
        .bucket_count = map->bucket_count == 0 ? BUCKETS_MIN : map->bucket_count * 2,
        .count = map->count,
    };
    larger.buckets =
        rollcall__allocate_zeroed(larger.bucket_count, sizeof(struct rollcall__map_entry *));
    if (larger.buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->bucket_count; i++) {
        for (struct rollcall__map_entry *entry = map->buckets[i], *next; entry != NULL;
             entry = next) {
            next = entry->next;
            put(&larger, entry);
        }
    }
    free(map->buckets);
    *map = larger;
    return true;
}

struct rollcall__map_entry *rollcall__map_first(const struct rollcall__map *map, uint64_t a)
{
    return map->bucket_count == 0 ? NULL : with(map->buckets[bucket_of(map, a)], a);
}

struct rollcall__map_entry *rollcall__map_next(const struct rollcall__map_entry *entry)
{
    return with(entry->next, entry->a);
}

struct rollcall__map_entry *rollcall__map_find(const struct rollcall__map *map, uint64_t a,
                                               uint64_t b)
{
    struct rollcall__map_entry *entry = rollcall__map_first(map, a);
    while (entry != NULL && entry->b != b) {
        entry = rollcall__map_next(entry);
    }
    return entry;
}

bool rollcall__map_insert(struct rollcall__map *map, struct rollcall__map_entry *entry)
{
    /* A full map that cannot grow still works, with longer chains. */
    if (map->count == map->bucket_count && !grow(map) && map->bucket_count == 0) {
        return false;
    }
    put(map, entry);
    map->count++;
    return true;
}

void rollcall__map_remove(struct rollcall__map *map, struct rollcall__map_entry *entry)
{
    struct rollcall__map_entry **at = &map->buckets[bucket_of(map, entry->a)];
    while (*at != entry) {
        at = &(*at)->next;
    }
    *at = entry->next;
    map->count--;
}

void rollcall__map_fini(struct rollcall__map *map)
{
    free(map->buckets);
    *map = (struct rollcall__map){0};
}

/* channel/map.h - find a renewal or a watch among thousands.  Entries live inside what they find.
 * Zero is a valid empty map.  Threads: one at a time. */
#ifndef CHANNEL_MAP_H
#define CHANNEL_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The key is the pair.  Inside something of the caller's, which stays in place while mapped. */
struct rollcall__map_entry {
    struct rollcall__map_entry *next;
    uint64_t a, b;
};

struct rollcall__map {
    struct rollcall__map_entry **buckets;
    size_t bucket_count; /* 0, or a power of two */
    size_t count;
};

struct rollcall__map_entry *rollcall__map_find(const struct rollcall__map *map, uint64_t a,
                                               uint64_t b);
/* All whose key begins with `a`, one after the other; NULL: no more.  Ask for the next before an
 * entry is removed.  As many as have the same `a` are found one by one, so keep them few. */
struct rollcall__map_entry *rollcall__map_first(const struct rollcall__map *map, uint64_t a);
struct rollcall__map_entry *rollcall__map_next(const struct rollcall__map_entry *entry);
/* The key is not in the map yet.  False: out of memory. */
bool rollcall__map_insert(struct rollcall__map *map, struct rollcall__map_entry *entry);
/* The entry is in the map. */
void rollcall__map_remove(struct rollcall__map *map, struct rollcall__map_entry *entry);
void rollcall__map_fini(struct rollcall__map *map); /* entries are left alone */

#endif /* CHANNEL_MAP_H */

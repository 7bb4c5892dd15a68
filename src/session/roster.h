/*
 * session/roster.h - the sessions of a range at one revision: a sorted list that is shared.
 *
 * Whoever holds the only reference may change it; as soon as somebody else holds one too it is
 * immutable, and a change is made to a copy.  So a place in history costs nothing until it is kept.
 *
 * Threads: one changes it; any may read and drop what they hold.
 */
#ifndef SESSION_ROSTER_H
#define SESSION_ROSTER_H

#include <rollcall/actor.h>
#include <rollcall/record.h>

struct rollcall__roster_entry {
    struct rollcall_bytes key;    /* in the item, or living as long */
    struct rollcall_object *item; /* one reference; never NULL */
};

struct rollcall__roster {
    struct rollcall_object object;
    int64_t revision; /* it is what was stored then */
    uint64_t skipped; /* keys whose value was no session record, when it was listed */
    size_t count, capacity;
    struct rollcall__roster_entry *entries; /* in key order */
};

/* Empty, with one reference.  NULL: out of memory. */
struct rollcall__roster *rollcall__roster_create(void);

/*
 * Makes *roster the caller's alone, with room for `more` entries: copies it when it is shared.
 * False: out of memory, and nothing has changed.
 */
ROLLCALL_MUST_USE bool rollcall__roster_reserve(struct rollcall__roster **roster, size_t more);

/* False: it is not there, and *place is where it belongs.  A place is good until the next change; a
 * reserve is none, so that one search serves for a change. */
bool rollcall__roster_find(const struct rollcall__roster *roster, struct rollcall_bytes key,
                           size_t *place);

/* Changes.  Each after a reserve; item: moved. */

/* place: where it belongs. */
void rollcall__roster_insert(struct rollcall__roster *roster, size_t place,
                             struct rollcall_bytes key, struct rollcall_object *item);
/* Both return what was there: moved to the caller. */
ROLLCALL_MUST_USE struct rollcall_object *rollcall__roster_replace(struct rollcall__roster *roster,
                                                                   size_t place,
                                                                   struct rollcall_bytes key,
                                                                   struct rollcall_object *item);
ROLLCALL_MUST_USE struct rollcall_object *rollcall__roster_remove(struct rollcall__roster *roster,
                                                                  size_t place);
/* As insert, when the key is above all that are there, as in a list. */
void rollcall__roster_append(struct rollcall__roster *roster, struct rollcall_bytes key,
                             struct rollcall_object *item);

/* A walk over what differs between two; zero is the beginning. */
struct rollcall__roster_walk {
    size_t before_at, after_at;
    struct rollcall_object *before, *after; /* borrowed; of one key; NULL: it is not there */
};
/* The next key whose items are not the same object; false: there is none.  before: NULL: empty. */
bool rollcall__roster_differs(const struct rollcall__roster *before,
                              const struct rollcall__roster *after,
                              struct rollcall__roster_walk *walk);

#endif /* SESSION_ROSTER_H */

/*
 * session/view.h - what a watcher knows, beside what it has told: a sorted map from key to both.
 *
 * The values are shared objects; the view holds a reference to each, and copies of the keys.  An
 * entry with neither side stays until it is swept.
 *
 * Threads: one at a time.
 */
#ifndef SESSION_VIEW_H
#define SESSION_VIEW_H

#include <rollcall/actor.h>
#include <rollcall/record.h>

struct rollcall__view_entry {
    struct rollcall_bytes key;    /* owned */
    struct rollcall_object *now;  /* NULL: it is not there */
    struct rollcall_object *told; /* NULL: nobody was told of it */
};

/* Zero is a valid empty view. */
struct rollcall__view {
    struct rollcall__view_entry *entries; /* in key order */
    size_t count, capacity;
};

/* NULL when there is none.  Valid until the next put or sweep. */
struct rollcall__view_entry *rollcall__view_find(struct rollcall__view *view,
                                                 struct rollcall_bytes key);
/* The same, made if need be.  key: copied.  NULL when out of memory. */
struct rollcall__view_entry *rollcall__view_put(struct rollcall__view *view,
                                                struct rollcall_bytes key);
/* object: moved; NULL: none. */
void rollcall__view_set_now(struct rollcall__view_entry *entry, struct rollcall_object *object);
/* Notes that what is now has been told. */
void rollcall__view_set_told(struct rollcall__view_entry *entry);
/* Nothing is there any more, of all that is known. */
void rollcall__view_clear_now(struct rollcall__view *view);
/* Whether anything is not as it was told. */
bool rollcall__view_differs(const struct rollcall__view *view);
/* Removes the entries that have neither side. */
void rollcall__view_sweep(struct rollcall__view *view);
void rollcall__view_free(struct rollcall__view *view);

#endif /* SESSION_VIEW_H */

/*
 * runtime/trace.h - a worker's flight recorder: the last messages it delivered.
 * Threads: the worker's; a copy may be formatted anywhere.
 */
#ifndef RUNTIME_TRACE_H
#define RUNTIME_TRACE_H

#include <rollcall/actor.h>

enum { ROLLCALL__TRACE_LINE_BYTES = 192 };

struct rollcall__trace_entry {
    int64_t at_ms;
    uint64_t sequence;
    struct rollcall_ref from, to;
    const struct rollcall_actor_type *from_type; /* NULL: outside, on another worker, or gone */
    const struct rollcall_actor_type *to_type;
    uint16_t message;
    int16_t before, after; /* states; after may be a ROLLCALL_ verb; before -1: init */
};

struct rollcall__trace {
    struct rollcall__trace_entry *entries;
    uint64_t count;    /* delivered so far */
    uint64_t capacity; /* a power of two */
    uint64_t hash;     /* FNV-1a over everything recorded */
};

ROLLCALL_MUST_USE bool rollcall__trace_init(struct rollcall__trace *trace, uint32_t capacity);
void rollcall__trace_fini(struct rollcall__trace *trace);
/* Stamps the sequence; overwrites the oldest. */
void rollcall__trace_add(struct rollcall__trace *trace, struct rollcall__trace_entry entry);
/* "name/slot", or "w1/slot" without a type, or "outside"; line: at least LINE_BYTES. */
void rollcall__trace_format(const struct rollcall__trace_entry *entry, char *line);
/* Oldest first. */
void rollcall__trace_print(const struct rollcall__trace *trace,
                           void (*print)(void *user, const char *line), void *user);
/* The same to stderr, for a process that is aborting. */
void rollcall__trace_dump(const struct rollcall__trace *trace);

#endif /* RUNTIME_TRACE_H */

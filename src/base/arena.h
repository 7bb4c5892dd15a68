/*
 * base/arena.h - memory for one answer: many small allocations, freed as a whole.
 * Threads: one at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <rollcall/record.h>

struct rollcall__arena_block;

/* Zero is a valid empty arena. */
struct rollcall__arena {
    struct rollcall__arena_block *blocks; /* newest first */
    size_t used_bytes, size_bytes;        /* of the newest */
    size_t total_bytes;                   /* of all blocks */
};

/* 16-byte aligned, not zeroed; NULL when out of memory. */
void *rollcall__arena_alloc(struct rollcall__arena *arena, size_t size_bytes);
/* Copies bytes, and puts a NUL behind them that is not counted; false when out of memory. */
ROLLCALL_MUST_USE bool rollcall__arena_copy(struct rollcall__arena *arena,
                                            struct rollcall_bytes from, struct rollcall_bytes *to);
/* Frees every block; the arena is empty again. */
void rollcall__arena_free(struct rollcall__arena *arena);

#endif /* BASE_ARENA_H */

/*
 * base/memory.h - malloc, calloc and realloc, for what an error value says when there is no memory:
 * a simulation makes one of them fail.
 *
 * Where the want of memory ends the process (a signal would be lost), and in what the simulation
 * itself stands on, the C library is called directly.  What came from here is freed with free.
 */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <rollcall/error.h>

#include <stddef.h>

/* As those of the C library: NULL is out of memory. */
ROLLCALL_MUST_USE void *rollcall__allocate(size_t size_bytes);
ROLLCALL_MUST_USE void *rollcall__allocate_zeroed(size_t count, size_t size_bytes);
/* NULL: `memory` is as it was. */
ROLLCALL_MUST_USE void *rollcall__reallocate(void *memory, size_t size_bytes);

struct rollcall__memory_hook {
    bool (*fails)(void *user); /* asked by each of the above; NULL: none fails on purpose */
    void *user;
};
/* Sets the calling thread's hook, and answers the one before. */
struct rollcall__memory_hook rollcall__memory_hook(struct rollcall__memory_hook hook);

#endif /* BASE_MEMORY_H */

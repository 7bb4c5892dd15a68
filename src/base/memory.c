#include "base/memory.h"

#include <stdlib.h>

/* Thread-local, as the hook of base/assert.c: what allocates has no context to be handed one, and
 * the other threads of a program that plays a simulation are none of its business. */
static _Thread_local struct rollcall__memory_hook current;

struct rollcall__memory_hook rollcall__memory_hook(struct rollcall__memory_hook hook)
{
    const struct rollcall__memory_hook before = current;
    current = hook;
    return before;
}

static bool fails(void)
{
    return current.fails != NULL && current.fails(current.user);
}

void *rollcall__allocate(size_t size_bytes)
{
    return fails() ? NULL : malloc(size_bytes);
}

void *rollcall__allocate_zeroed(size_t count, size_t size_bytes)
{
    return fails() ? NULL : calloc(count, size_bytes);
}

void *rollcall__reallocate(void *memory, size_t size_bytes)
{
    return fails() ? NULL : realloc(memory, size_bytes);
}

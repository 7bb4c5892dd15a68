#include "base/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK_BYTES = 1024, ALIGN_BYTES = 16 };

struct rollcall__arena_block {
    alignas(ALIGN_BYTES) struct rollcall__arena_block *older;
};

/* A new block at least twice as large as the last, so their number stays logarithmic. */
static int grow(struct rollcall__arena *arena, size_t need_bytes)
{
    size_t size_bytes = arena->size_bytes == 0 ? FIRST_BLOCK_BYTES : 2 * arena->size_bytes;
    if (size_bytes < need_bytes) {
        size_bytes = need_bytes;
    }
    struct rollcall__arena_block *block = rollcall__allocate(sizeof *block + size_bytes);
    if (block == NULL) {
        return -1;
    }
    block->older = arena->blocks;
    arena->blocks = block;
    arena->used_bytes = 0;
    arena->size_bytes = size_bytes;
    arena->total_bytes += sizeof *block + size_bytes;
    return 0;
}

void *rollcall__arena_alloc(struct rollcall__arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 4) {
        return NULL;
    }
    const size_t rounded = (size_bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
    if (arena->size_bytes - arena->used_bytes < rounded && grow(arena, rounded) != 0) {
        return NULL;
    }
    if (arena->blocks == NULL && grow(arena, ALIGN_BYTES) != 0) {
        return NULL; /* a size of 0 from an empty arena still gets an address */
    }
    char *memory = (char *)(arena->blocks + 1) + arena->used_bytes;
    arena->used_bytes += rounded;
    return memory;
}

bool rollcall__arena_copy(struct rollcall__arena *arena, struct rollcall_bytes from,
                          struct rollcall_bytes *to)
{
    char *data = rollcall__arena_alloc(arena, from.size_bytes + 1);
    if (data == NULL) {
        return false;
    }
    if (from.size_bytes != 0) {
        memcpy(data, from.data, from.size_bytes);
    }
    data[from.size_bytes] = '\0';
    *to = (struct rollcall_bytes){data, from.size_bytes};
    return true;
}

void rollcall__arena_free(struct rollcall__arena *arena)
{
    struct rollcall__arena_block *block = arena->blocks;
    while (block != NULL) {
        struct rollcall__arena_block *older = block->older;
        free(block);
        block = older;
    }
    *arena = (struct rollcall__arena){0};
}

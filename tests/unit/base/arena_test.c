#include "base/arena.h"

#include "support/test.h"

TEST(arena, allocations_do_not_overlap_and_are_aligned)
{
    struct rollcall__arena arena = {0};
    unsigned char *blocks[400];
    for (size_t i = 0; i < 400; i++) {
        blocks[i] = rollcall__arena_alloc(&arena, i);
        CHECK(blocks[i] != NULL);
        CHECK_INT((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < 400; i++) {
        for (size_t j = 0; j < i; j++) {
            CHECK_INT(blocks[i][j], i & 0xff);
        }
    }
    rollcall__arena_free(&arena);
}

TEST(arena, blocks_stay_few_however_many_allocations)
{
    struct rollcall__arena arena = {0};
    for (int i = 0; i < 100000; i++) {
        CHECK(rollcall__arena_alloc(&arena, 16) != NULL);
    }
    CHECK(arena.total_bytes < 4 * 16 * 100000);
    rollcall__arena_free(&arena);
    CHECK_INT(arena.total_bytes, 0);
}

TEST(arena, a_freed_arena_can_be_used_again)
{
    struct rollcall__arena arena = {0};
    rollcall__arena_free(&arena);
    CHECK(rollcall__arena_alloc(&arena, 0) != NULL);
    CHECK(rollcall__arena_alloc(&arena, 5000) != NULL);
    rollcall__arena_free(&arena);
    CHECK(rollcall__arena_alloc(&arena, 1) != NULL);
    rollcall__arena_free(&arena);
}

TEST(arena, a_size_nobody_has_memory_for_is_null)
{
    struct rollcall__arena arena = {0};
    CHECK(rollcall__arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(rollcall__arena_alloc(&arena, SIZE_MAX / 4 + 1) == NULL);
    CHECK(rollcall__arena_alloc(&arena, 8) != NULL);
    rollcall__arena_free(&arena);
}

#include "base/memory.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "support/test.h"

#include <stdlib.h>

/* Fails the allocation that counts `left` down to 0. */
static bool countdown(void *user)
{
    int *left = user;
    return --*left == 0;
}

static void fail_at(int *left)
{
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = countdown, .user = left});
}

static void fail_no_more(void)
{
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
}

TEST(memory, without_a_hook_it_is_the_memory_of_the_c_library)
{
    char *zeroed = rollcall__allocate_zeroed(3, 5);
    char *memory = rollcall__allocate(4);
    CHECK(zeroed != NULL && memory != NULL);
    for (int i = 0; i < 15; i++) {
        CHECK_INT(zeroed[i], 0);
    }
    memcpy(memory, "abc", 4);
    memory = rollcall__reallocate(memory, 4000);
    CHECK_STR(memory, "abc");
    free(zeroed);
    free(memory);
}

TEST(memory, each_call_asks_the_hook_once_and_fails_as_it_says)
{
    int left = 2;
    fail_at(&left);
    char *memory = rollcall__allocate(4);
    CHECK(memory != NULL);
    memcpy(memory, "abc", 4);
    CHECK(rollcall__allocate(4) == NULL);
    left = 1;
    CHECK(rollcall__allocate_zeroed(1, 4) == NULL);
    left = 1;
    CHECK(rollcall__reallocate(memory, 4000) == NULL);
    fail_no_more();
    CHECK_STR(memory, "abc"); /* it is as it was */
    free(memory);
}

TEST(memory, setting_a_hook_answers_the_one_before)
{
    int left = 1;
    fail_at(&left);
    const struct rollcall__memory_hook before =
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    CHECK(before.fails == countdown && before.user == &left);
    void *memory = rollcall__allocate(1);
    CHECK(memory != NULL);
    free(memory);
}

TEST(memory, an_arena_and_a_buffer_say_that_there_was_none)
{
    struct rollcall__arena arena = {0};
    struct rollcall__buffer buffer = {0};
    int left = 1;
    fail_at(&left);
    CHECK(rollcall__arena_alloc(&arena, 8) == NULL);
    left = 1;
    rollcall__buffer_text(&buffer, "text");
    fail_no_more();
    CHECK(buffer.failed);
    CHECK(rollcall__arena_alloc(&arena, 8) != NULL);
    rollcall__arena_free(&arena);
    rollcall__buffer_free(&buffer);
}

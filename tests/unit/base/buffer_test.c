#include "base/buffer.h"

#include "support/test.h"

TEST(buffer, zero_is_an_empty_buffer)
{
    struct rollcall__buffer buffer = {0};
    CHECK_BYTES(rollcall__buffer_bytes(&buffer), "");
    rollcall__buffer_append(&buffer, NULL, 0);
    CHECK(!buffer.failed);
    rollcall__buffer_free(&buffer);
}

TEST(buffer, what_is_appended_across_growth_is_all_there)
{
    struct rollcall__buffer buffer = {0};
    for (int i = 0; i < 1000; i++) {
        rollcall__buffer_format(&buffer, "%03d,", i);
        CHECK_INT(buffer.data[buffer.size_bytes], 0);
    }
    CHECK_INT(buffer.size_bytes, 4000);
    for (int i = 0; i < 1000; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "%03d,", i);
        CHECK(memcmp(buffer.data + 4 * i, expected, 4) == 0);
    }
    rollcall__buffer_free(&buffer);
}

TEST(buffer, an_append_that_just_fits_leaves_room_for_the_terminator)
{
    for (size_t size = 60; size <= 68; size++) {
        struct rollcall__buffer buffer = {0};
        char text[80];
        memset(text, 'x', sizeof text);
        rollcall__buffer_append(&buffer, text, size);
        CHECK_INT(strlen(buffer.data), size);
        rollcall__buffer_free(&buffer);
    }
}

TEST(buffer, a_size_nobody_has_memory_for_fails_and_stays_failed)
{
    struct rollcall__buffer buffer = {0};
    rollcall__buffer_text(&buffer, "a");
    rollcall__buffer_append(&buffer, "b", SIZE_MAX - 1); /* refused before it is read */
    CHECK(buffer.failed);
    rollcall__buffer_text(&buffer, "c");
    CHECK(buffer.failed);
    CHECK_INT(buffer.size_bytes, 1);
    rollcall__buffer_clear(&buffer);
    rollcall__buffer_text(&buffer, "d");
    CHECK_BYTES(rollcall__buffer_bytes(&buffer), "d");
    rollcall__buffer_free(&buffer);
}

TEST(buffer, bytes_are_ordered_as_etcd_orders_keys)
{
    CHECK(rollcall__bytes_compare(rollcall__bytes("a"), rollcall__bytes("b")) < 0);
    CHECK(rollcall__bytes_compare(rollcall__bytes("a"), rollcall__bytes("aa")) < 0);
    CHECK(rollcall__bytes_compare(rollcall__bytes("\xff"), rollcall__bytes("a")) > 0);
    CHECK_INT(rollcall__bytes_compare(rollcall__bytes("k"), rollcall__bytes("k")), 0);
    CHECK_INT(rollcall__bytes_compare(rollcall__bytes(NULL), rollcall__bytes("")), 0);
}

TEST(buffer, a_nul_inside_counts_when_bytes_are_compared)
{
    const struct rollcall_bytes a = {.data = "x\0a", .size_bytes = 3};
    const struct rollcall_bytes b = {.data = "x\0b", .size_bytes = 3};
    CHECK(!rollcall__bytes_equal(a, b));
    CHECK(rollcall__bytes_equal(a, a));
    CHECK(rollcall__bytes_equal(rollcall__bytes(NULL), rollcall__bytes("")));
}

/* Edges of the reader and of strings; what records need of JSON is in record_test.c. */
#include "session/json.h"

#include "support/test.h"

#include <stdlib.h>

/* The first token of the input, which is in memory of exactly its size. */
static enum rollcall__json_token first_token(struct rollcall__json_reader *reader, const char *json,
                                             size_t size_bytes)
{
    rollcall__json_open(reader, (struct rollcall_bytes){json, size_bytes});
    return rollcall__json_next(reader);
}

/* Puts `odd` into a string of letters at every place of every length: eight bytes are scanned at a
 * time, so each has its own way to be overlooked.  behind: what follows it. */
static void check_every_place(unsigned char odd, const char *behind,
                              enum rollcall__json_token expected, bool plain)
{
    enum { LENGTH_MAX = 27 };
    const size_t behind_bytes = strlen(behind);
    for (size_t length = 1; length <= LENGTH_MAX; length++) {
        const size_t size_bytes = length + behind_bytes + 2;
        for (size_t place = 0; place < length; place++) {
            struct rollcall__json_reader reader;
            char *json = malloc(size_bytes);
            CHECK(json != NULL);
            memset(json, '!', size_bytes);
            json[0] = json[size_bytes - 1] = '"';
            json[1 + place] = (char)odd;
            memcpy(json + 2 + place, behind, behind_bytes);
            CHECK_INT(first_token(&reader, json, size_bytes), expected);
            if (expected == ROLLCALL__JSON_STRING) {
                CHECK_INT(reader.text.size_bytes, size_bytes - 2);
                CHECK_INT(reader.text_is_plain, plain);
            }
            free(json);
        }
    }
}

TEST(json, every_byte_is_seen_at_every_place_of_a_string)
{
    for (int c = 0; c < 0x100; c++) {
        if (c == '\\') {
            check_every_place('\\', "n", ROLLCALL__JSON_STRING, false);
            check_every_place('\\', "!", ROLLCALL__JSON_BROKEN, false);
        } else if (c < 0x20) {
            check_every_place((unsigned char)c, "", ROLLCALL__JSON_BROKEN, false);
        } else if (c != '"') {
            check_every_place((unsigned char)c, "", ROLLCALL__JSON_STRING, c < 0x80);
        }
    }
}

TEST(json, a_string_ends_at_its_first_quote)
{
    static const char INPUT[] = "\"abcdefghijklmnopqrstuvwxyz\"\"\"\"\"\"\"\"\"\"\"";
    for (size_t begin = 1; begin < 27; begin++) {
        struct rollcall__json_reader reader;
        char json[sizeof INPUT];
        memcpy(json, INPUT, sizeof INPUT);
        json[begin] = '"';
        CHECK_INT(first_token(&reader, json + begin, sizeof INPUT - 1 - begin),
                  ROLLCALL__JSON_STRING);
        CHECK_INT(reader.text.size_bytes, 26 - begin);
    }
}

/* Each byte value at each place, all others plain: before, in and behind a group of eight. */
TEST(json, a_run_of_plain_text_ends_at_the_first_byte_that_does_not_stand_for_itself)
{
    char text[20];
    for (size_t at = 0; at < sizeof text; at++) {
        for (int byte = 0; byte < 0x100; byte++) {
            const bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            memset(text, 'a', sizeof text);
            text[at] = (char)byte;
            memset(text + at + 1, at % 2 == 0 ? '"' : 0xFF, sizeof text - at - 1);
            CHECK_INT(rollcall__json_plain_run(text, sizeof text), plain ? at + 1 : at);
            CHECK_INT(rollcall__json_plain_run(text, at), at);
        }
    }
}

TEST(json, digits_end_at_the_first_byte_that_is_none_and_at_nineteen)
{
    static const char DIGITS[] = "12345678901234567890123";
    for (size_t at = 0; at < sizeof DIGITS - 1; at++) {
        for (int byte = 0; byte < 0x100; byte++) {
            char text[sizeof DIGITS];
            uint64_t value;
            memcpy(text, DIGITS, sizeof DIGITS);
            text[at] = (char)byte;
            const size_t end = at + strspn(text + at, "0123456789");
            const size_t digits = end < 19 ? end : 19;
            CHECK_INT(rollcall__json_digits(text, sizeof DIGITS - 1, &value), digits);
            text[digits] = '\0';
            CHECK(value == strtoull(text, NULL, 10));
        }
    }
}

/* Runs of plain text are copied as a whole, so text must not be lost where they meet the rest. */
TEST(json, unescaping_keeps_what_is_around_an_escape)
{
    char text[64], expected[64], out[64];
    for (size_t before = 0; before < 20; before++) {
        for (size_t behind = 0; behind < 20; behind++) {
            memset(text, 'a', before);
            memcpy(text + before, "\\n\xFF\xC3\xA9", 5);
            memset(text + before + 5, 'b', behind);
            memset(expected, 'a', before);
            memcpy(expected + before, "\n\xEF\xBF\xBD\xC3\xA9", 6);
            memset(expected + before + 6, 'b', behind);
            const struct rollcall_bytes view = {text, before + 5 + behind};
            CHECK_INT(rollcall__json_unescape(view, NULL), before + 6 + behind);
            CHECK_INT(rollcall__json_unescape(view, out), before + 6 + behind);
            CHECK(memcmp(out, expected, before + 6 + behind) == 0);
        }
    }
}

TEST(json, integers_of_64_bits_are_exact_and_others_refused)
{
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } NUMBERS[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"9999999999999999999", false, 0},
        {"-9999999999999999999", false, 0},
        {"18446744073709551617", false, 0}, /* 1 in 64 bits */
        {"-18446744073709551617", false, 0},
        {"100000000000000000000000000000000000000", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
    };
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        int64_t value = 0;
        CHECK_INT(rollcall__json_int64(rollcall__bytes(NUMBERS[i].text), &value), NUMBERS[i].fits);
        CHECK(!NUMBERS[i].fits || value == NUMBERS[i].value);
    }
}

/* The bits that say what is open are not cleared between readers: each is written first. */
TEST(json, what_is_open_does_not_depend_on_what_was_in_memory)
{
    static const char INPUT[] = "{\"a\":[{\"b\":[]},{}]}";
    for (int fill = 0; fill < 0x100; fill += 0xFF) {
        struct rollcall__json_reader reader;
        memset(&reader, fill, sizeof reader);
        rollcall__json_open(&reader, rollcall__bytes(INPUT));
        enum rollcall__json_token token = rollcall__json_next(&reader);
        CHECK(rollcall__json_skip(&reader, token));
        CHECK_INT(rollcall__json_next(&reader), ROLLCALL__JSON_DONE);
    }
}

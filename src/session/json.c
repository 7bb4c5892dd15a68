/*
 * session/json.c - see json.h.
 *
 * What the reader accepts next is one enum, and what is open is one bit per level, so hostile
 * nesting costs neither stack nor heap.  Strings are scanned once for validity and resolved only
 * when somebody wants them.  A scan takes eight bytes at a time where nothing is special: nearly
 * all of a record is plain text, and looking at each of its characters alone was half the cost.
 */
#include "session/json.h"

#include <string.h>

void rollcall__json_open(struct rollcall__json_reader *reader, struct rollcall_bytes input)
{
    reader->data = input.data;
    reader->size_bytes = input.size_bytes;
    reader->at = 0;
    reader->expect = ROLLCALL__JSON_EXPECT_VALUE;
    reader->text = (struct rollcall_bytes){NULL, 0};
    reader->text_is_plain = false;
    reader->problem = NULL;
    reader->depth = 0; /* a level's bit is written before it is read, so the bits need no zeroes */
}

static enum rollcall__json_token broken(struct rollcall__json_reader *reader, const char *problem)
{
    reader->expect = ROLLCALL__JSON_EXPECT_FAILED;
    reader->problem = problem;
    return ROLLCALL__JSON_BROKEN;
}

/* The next byte, or -1 at the end. */
static int peek(const struct rollcall__json_reader *reader)
{
    return reader->at < reader->size_bytes ? (unsigned char)reader->data[reader->at] : -1;
}

static void skip_space(struct rollcall__json_reader *reader)
{
    for (;;) {
        const int c = peek(reader);
        if (c > ' ' || (c != ' ' && c != '\t' && c != '\n' && c != '\r')) {
            return;
        }
        reader->at++;
    }
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The value of a hexadecimal digit, or -1. */
static int hex_digit(int c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- structure ---- */

static bool inside_object(const struct rollcall__json_reader *reader)
{
    const size_t level = reader->depth - 1;
    return (reader->is_object[level / 8] >> (level % 8) & 1) != 0;
}

static enum rollcall__json_token open_level(struct rollcall__json_reader *reader, bool object)
{
    if (reader->depth == ROLLCALL__JSON_DEPTH_MAX) {
        return broken(reader, "the nesting is deeper than 10000 levels");
    }
    const size_t level = reader->depth++;
    const uint8_t bit = (uint8_t)(1u << (level % 8));
    uint8_t *bits = &reader->is_object[level / 8];
    *bits = (uint8_t)(object ? *bits | bit : *bits & ~bit);
    reader->at++;
    reader->expect = object ? ROLLCALL__JSON_EXPECT_FIRST_NAME : ROLLCALL__JSON_EXPECT_FIRST_ITEM;
    return object ? ROLLCALL__JSON_OBJECT : ROLLCALL__JSON_ARRAY;
}

static void end_value(struct rollcall__json_reader *reader)
{
    reader->expect = reader->depth > 0 ? ROLLCALL__JSON_EXPECT_MORE : ROLLCALL__JSON_EXPECT_NOTHING;
}

static enum rollcall__json_token close_level(struct rollcall__json_reader *reader)
{
    const bool object = inside_object(reader);
    reader->at++;
    reader->depth--;
    end_value(reader);
    return object ? ROLLCALL__JSON_OBJECT_END : ROLLCALL__JSON_ARRAY_END;
}

/* ---- scalars ---- */

#define EACH_BYTE UINT64_C(0x0101010101010101)

/*
 * Eight bytes as one number, the first in memory lowest; and in it a top bit for each byte that is
 * a quote, a backslash, a control character or beyond ASCII.  Each difference borrows into its
 * byte's top bit when that byte is what is looked for; a borrow into the next byte needs such a
 * byte before it, so the lowest bit that is set is always right.
 */
static uint64_t load_eight(const char *data)
{
    uint64_t eight;
    memcpy(&eight, data, sizeof eight);
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(eight) : eight;
}

static uint64_t find_special(uint64_t eight)
{
    const uint64_t each = EACH_BYTE, top = each * 0x80;
    const uint64_t quotes = (eight ^ each * '"') - each, slashes = (eight ^ each * '\\') - each;
    return (quotes | slashes | (eight - each * 0x20) | eight) & top;
}

size_t rollcall__json_plain_run(const char *data, size_t size_bytes)
{
    size_t at = 0;
    while (size_bytes - at >= sizeof(uint64_t)) {
        const uint64_t special = find_special(load_eight(data + at));
        if (special != 0) {
            return at + (size_t)__builtin_ctzll(special) / 8;
        }
        at += sizeof(uint64_t);
    }
    while (at < size_bytes) {
        const unsigned char c = (unsigned char)data[at];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') {
            break;
        }
        at++;
    }
    return at;
}

static bool are_digits(uint64_t eight)
{
    const uint64_t off = eight ^ EACH_BYTE * '0'; /* 0 to 9 in each byte when they are */
    return ((((off & EACH_BYTE * 0x7F) + EACH_BYTE * (0x80 - 10)) | off) & EACH_BYTE * 0x80) == 0;
}

/* Eight digits, the first in the lowest byte: made to four pairs, and those weighed and added. */
static uint64_t sum_digits(uint64_t eight)
{
    const uint64_t pairs = (eight & EACH_BYTE * 0x0F) * 10 + ((eight & EACH_BYTE * 0x0F) >> 8);
    const uint64_t even = UINT64_C(0x000000FF000000FF);
    const uint64_t first = (pairs & even) * (100 + (UINT64_C(1000000) << 32));
    const uint64_t second = (pairs >> 16 & even) * (1 + (UINT64_C(10000) << 32));
    return (first + second) >> 32;
}

size_t rollcall__json_digits(const char *data, size_t size_bytes, uint64_t *value)
{
    enum { DIGITS_MAX = 19 }; /* of INT64_MAX; so many nines still fit 64 bits */
    const size_t end = size_bytes < DIGITS_MAX ? size_bytes : DIGITS_MAX;
    size_t at = 0;
    uint64_t sum = 0;
    while (end - at >= sizeof(uint64_t) && are_digits(load_eight(data + at))) {
        sum = sum * 100000000 + sum_digits(load_eight(data + at));
        at += sizeof(uint64_t);
    }
    while (at < end && is_digit((unsigned char)data[at])) {
        sum = sum * 10 + (uint64_t)(data[at] - '0');
        at++;
    }
    *value = sum;
    return at;
}

/* Steps over one escape; `at` is at the backslash. */
static bool scan_escape(struct rollcall__json_reader *reader)
{
    reader->at++;
    const int c = peek(reader);
    if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL || c == '\0') {
        return false;
    }
    reader->at++;
    if (c != 'u') {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (hex_digit(peek(reader)) < 0) {
            return false;
        }
        reader->at++;
    }
    return true;
}

static enum rollcall__json_token scan_string(struct rollcall__json_reader *reader,
                                             enum rollcall__json_token token)
{
    if (peek(reader) != '"') {
        return broken(reader, "a name in quotes is expected");
    }
    const size_t begin = ++reader->at;
    reader->text_is_plain = true;
    for (;;) {
        reader->at +=
            rollcall__json_plain_run(reader->data + reader->at, reader->size_bytes - reader->at);
        const int c = peek(reader);
        if (c == '"') {
            break;
        }
        reader->text_is_plain = false;
        if (c < 0) {
            return broken(reader, "a string is not closed");
        }
        if (c < 0x20) {
            return broken(reader, "a string holds a control character that is not escaped");
        }
        if (c != '\\') {
            reader->at++;
        } else if (!scan_escape(reader)) {
            return broken(reader, "a string holds an unknown escape");
        }
    }
    reader->text = (struct rollcall_bytes){reader->data + begin, reader->at - begin};
    reader->at++;
    return token;
}

/* Returns false if there is not even one. */
static bool scan_digits(struct rollcall__json_reader *reader)
{
    const size_t begin = reader->at;
    while (is_digit(peek(reader))) {
        reader->at++;
    }
    return reader->at > begin;
}

static bool scan_fraction_and_exponent(struct rollcall__json_reader *reader)
{
    if (peek(reader) == '.') {
        reader->at++;
        if (!scan_digits(reader)) {
            return false;
        }
    }
    if (peek(reader) == 'e' || peek(reader) == 'E') {
        reader->at++;
        if (peek(reader) == '+' || peek(reader) == '-') {
            reader->at++;
        }
        return scan_digits(reader);
    }
    return true;
}

static enum rollcall__json_token scan_number(struct rollcall__json_reader *reader)
{
    const size_t begin = reader->at;
    if (peek(reader) == '-') {
        reader->at++;
    }
    /* A leading zero stands alone: in 01 the 1 is then what must not follow the value. */
    if (peek(reader) == '0') {
        reader->at++;
    } else if (!scan_digits(reader)) {
        return broken(reader, "a value is expected");
    }
    if (!scan_fraction_and_exponent(reader)) {
        return broken(reader, "a number has no digit where one is due");
    }
    reader->text = (struct rollcall_bytes){reader->data + begin, reader->at - begin};
    return ROLLCALL__JSON_NUMBER;
}

static enum rollcall__json_token scan_word(struct rollcall__json_reader *reader, const char *word,
                                           enum rollcall__json_token token)
{
    const size_t size_bytes = strlen(word);
    if (reader->size_bytes - reader->at < size_bytes ||
        memcmp(reader->data + reader->at, word, size_bytes) != 0) {
        return broken(reader, "a value is expected");
    }
    reader->at += size_bytes;
    return token;
}

static enum rollcall__json_token scan_scalar(struct rollcall__json_reader *reader)
{
    switch (peek(reader)) {
    case '"':
        return scan_string(reader, ROLLCALL__JSON_STRING);
    case 'n':
        return scan_word(reader, "null", ROLLCALL__JSON_NULL);
    case 'f':
        return scan_word(reader, "false", ROLLCALL__JSON_FALSE);
    case 't':
        return scan_word(reader, "true", ROLLCALL__JSON_TRUE);
    case -1:
        return broken(reader, "it ends where a value is expected");
    default:
        return scan_number(reader);
    }
}

static enum rollcall__json_token next_value(struct rollcall__json_reader *reader)
{
    skip_space(reader);
    const int c = peek(reader);
    if (c == '{' || c == '[') {
        return open_level(reader, c == '{');
    }
    const enum rollcall__json_token token = scan_scalar(reader);
    if (token != ROLLCALL__JSON_BROKEN) {
        end_value(reader);
    }
    return token;
}

static enum rollcall__json_token next_name(struct rollcall__json_reader *reader)
{
    skip_space(reader);
    if (scan_string(reader, ROLLCALL__JSON_NAME) == ROLLCALL__JSON_BROKEN) {
        return ROLLCALL__JSON_BROKEN;
    }
    skip_space(reader);
    if (peek(reader) != ':') {
        return broken(reader, "a colon is expected after a name");
    }
    reader->at++;
    reader->expect = ROLLCALL__JSON_EXPECT_VALUE;
    return ROLLCALL__JSON_NAME;
}

static enum rollcall__json_token next_in_level(struct rollcall__json_reader *reader)
{
    const bool object = inside_object(reader);
    const int c = peek(reader);
    if (c == (object ? '}' : ']')) {
        return close_level(reader);
    }
    if (c != ',') {
        return broken(reader, object ? "a comma or } is expected" : "a comma or ] is expected");
    }
    reader->at++;
    return object ? next_name(reader) : next_value(reader);
}

enum rollcall__json_token rollcall__json_next(struct rollcall__json_reader *reader)
{
    skip_space(reader);
    switch (reader->expect) {
    case ROLLCALL__JSON_EXPECT_VALUE:
        return next_value(reader);
    case ROLLCALL__JSON_EXPECT_FIRST_NAME:
        return peek(reader) == '}' ? close_level(reader) : next_name(reader);
    case ROLLCALL__JSON_EXPECT_FIRST_ITEM:
        return peek(reader) == ']' ? close_level(reader) : next_value(reader);
    case ROLLCALL__JSON_EXPECT_MORE:
        return next_in_level(reader);
    case ROLLCALL__JSON_EXPECT_NOTHING:
        return peek(reader) < 0 ? ROLLCALL__JSON_DONE
                                : broken(reader, "something follows the value");
    case ROLLCALL__JSON_EXPECT_FAILED:
        break;
    }
    return ROLLCALL__JSON_BROKEN;
}

bool rollcall__json_skip(struct rollcall__json_reader *reader, enum rollcall__json_token token)
{
    if (token == ROLLCALL__JSON_OBJECT || token == ROLLCALL__JSON_ARRAY) {
        const size_t outside = reader->depth - 1;
        while (reader->depth > outside && token != ROLLCALL__JSON_BROKEN) {
            token = rollcall__json_next(reader);
        }
    }
    return token != ROLLCALL__JSON_BROKEN;
}

bool rollcall__json_int64(struct rollcall_bytes text, int64_t *value)
{
    const size_t begin = text.size_bytes > 0 && text.data[0] == '-' ? 1 : 0;
    const bool negative = begin > 0;
    uint64_t sum;
    if (rollcall__json_digits(text.data + begin, text.size_bytes - begin, &sum) !=
            text.size_bytes - begin ||
        sum > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    /* Negated as unsigned, because -INT64_MIN has no int64_t. */
    *value = (int64_t)(negative ? 0 - sum : sum);
    return true;
}

/* ---- strings ---- */

enum { REPLACEMENT = 0xFFFD };

/* What may follow a first byte of UTF-8: a table, because overlong forms, surrogates and code
 * points past U+10FFFF are all told apart by the range of the second byte. */
static const struct {
    unsigned char first_min, first_max, second_min, second_max, size_bytes;
} UTF8[] = {
    {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

/* Bytes of the character at the front of text, which is not empty; 0 if its first byte is bad. */
static size_t utf8_size(struct rollcall_bytes text)
{
    const unsigned char *data = (const unsigned char *)text.data;
    size_t i = 0;
    while (i < sizeof UTF8 / sizeof UTF8[0] &&
           (data[0] < UTF8[i].first_min || data[0] > UTF8[i].first_max)) {
        i++;
    }
    if (i == sizeof UTF8 / sizeof UTF8[0] || UTF8[i].size_bytes > text.size_bytes) {
        return 0;
    }
    const size_t size_bytes = UTF8[i].size_bytes;
    if (size_bytes > 1 && (data[1] < UTF8[i].second_min || data[1] > UTF8[i].second_max)) {
        return 0;
    }
    for (size_t k = 2; k < size_bytes; k++) {
        if (data[k] < 0x80 || data[k] > 0xBF) {
            return 0;
        }
    }
    return size_bytes;
}

static size_t utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    const size_t size_bytes = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = size_bytes - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    const uint32_t lead = size_bytes == 2 ? 0xC0 : size_bytes == 3 ? 0xE0 : 0xF0;
    out[0] = (char)(lead | code_point);
    return size_bytes;
}

/* The code unit of a \uXXXX at the front of text; false if there is none. */
static bool code_unit(struct rollcall_bytes text, uint32_t *unit)
{
    if (text.size_bytes < 6 || text.data[0] != '\\' || text.data[1] != 'u') {
        return false;
    }
    *unit = 0;
    for (size_t i = 2; i < 6; i++) {
        *unit = *unit << 4 | (uint32_t)hex_digit((unsigned char)text.data[i]);
    }
    return true;
}

static struct rollcall_bytes after(struct rollcall_bytes text, size_t size_bytes)
{
    return (struct rollcall_bytes){text.data + size_bytes, text.size_bytes - size_bytes};
}

/* Resolves the escape at the front of text; returns how many bytes of text it takes. */
static size_t resolve_escape(struct rollcall_bytes text, uint32_t *code_point)
{
    uint32_t low;
    if (code_unit(text, code_point)) {
        if (*code_point < 0xD800 || *code_point > 0xDFFF) {
            return 6;
        }
        if (*code_point < 0xDC00 && code_unit(after(text, 6), &low) && low >= 0xDC00 &&
            low <= 0xDFFF) {
            *code_point = 0x10000 + ((*code_point - 0xD800) << 10) + (low - 0xDC00);
            return 12;
        }
        *code_point = REPLACEMENT;
        return 6;
    }
    static const char LETTERS[] = "bfnrt", MEANINGS[] = "\b\f\n\r\t";
    const char *letter = memchr(LETTERS, text.data[1], sizeof LETTERS - 1);
    *code_point = (unsigned char)(letter != NULL ? MEANINGS[letter - LETTERS] : text.data[1]);
    return 2;
}

size_t rollcall__json_unescape(struct rollcall_bytes text, char *out)
{
    size_t written = 0;
    while (text.size_bytes > 0) {
        char encoded[4];
        const char *from = text.data;
        size_t taken = rollcall__json_plain_run(text.data, text.size_bytes);
        if (taken == 0 && text.data[0] != '\\') {
            taken = utf8_size(text);
        }
        size_t size_bytes = taken;
        if (taken == 0) {
            uint32_t code_point = REPLACEMENT;
            taken = text.data[0] == '\\' ? resolve_escape(text, &code_point) : 1;
            size_bytes = utf8_encode(code_point, encoded);
            from = encoded;
        }
        if (out != NULL) {
            memcpy(out + written, from, size_bytes);
        }
        written += size_bytes;
        text = after(text, taken);
    }
    return written;
}

/* Appends the character at the front of text, which is `size_bytes` long, or bad if that is 0. */
static void quote_character(struct rollcall__buffer *out, struct rollcall_bytes text,
                            size_t size_bytes)
{
    const unsigned char c = (unsigned char)text.data[0];
    static const char PLAIN[] = "\"\\\n\r\t", LETTERS[] = "\"\\nrt";
    const char *plain = memchr(PLAIN, c, sizeof PLAIN - 1);
    if (size_bytes == 0) {
        rollcall__buffer_text(out, "\\ufffd");
    } else if (plain != NULL) {
        const char escape[2] = {'\\', LETTERS[plain - PLAIN]};
        rollcall__buffer_append(out, escape, sizeof escape);
    } else if (size_bytes == 1) {
        rollcall__buffer_format(out, "\\u%04x", c);
    } else {
        /* U+2028 and U+2029, which JavaScript takes for line ends */
        rollcall__buffer_format(out, "\\u202%x", (unsigned)(text.data[2] & 0xF));
    }
}

/* Whether a character is printed as it is. */
static bool is_literal(struct rollcall_bytes text, size_t size_bytes)
{
    const unsigned char c = (unsigned char)text.data[0];
    if (size_bytes == 1) {
        return c >= 0x20 && memchr("\"\\<>&", c, 5) == NULL;
    }
    return size_bytes > 0 && !(size_bytes == 3 && (memcmp(text.data, "\xE2\x80\xA8", 3) == 0 ||
                                                   memcmp(text.data, "\xE2\x80\xA9", 3) == 0));
}

void rollcall__json_quote(struct rollcall__buffer *out, struct rollcall_bytes text)
{
    rollcall__buffer_append(out, "\"", 1);
    while (text.size_bytes > 0) {
        size_t run_bytes = 0, size_bytes = 0;
        while (run_bytes < text.size_bytes) {
            size_bytes = utf8_size(after(text, run_bytes));
            if (!is_literal(after(text, run_bytes), size_bytes)) {
                break;
            }
            run_bytes += size_bytes;
        }
        rollcall__buffer_append(out, text.data, run_bytes);
        text = after(text, run_bytes);
        if (text.size_bytes > 0) {
            quote_character(out, text, size_bytes);
            text = after(text, size_bytes > 0 ? size_bytes : 1);
        }
    }
    rollcall__buffer_append(out, "\"", 1);
}

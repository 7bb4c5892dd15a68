#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY_BYTES = 512 };

void cli_text_fini(struct cli_text *text)
{
    free(text->data);
    *text = (struct cli_text){0};
}

void cli_text_clear(struct cli_text *text)
{
    text->size_bytes = 0;
    text->failed = false;
}

/* Makes room for `more` bytes; false when there is none. */
static bool reserve(struct cli_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 4 - text->size_bytes) {
        text->failed = true;
        return false;
    }
    const size_t needed = text->size_bytes + more;
    if (needed <= text->capacity_bytes) {
        return true;
    }
    size_t capacity = text->capacity_bytes == 0 ? FIRST_CAPACITY_BYTES : text->capacity_bytes;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity_bytes = capacity;
    return true;
}

void cli_text_append(struct cli_text *text, const char *data, size_t size_bytes)
{
    if (size_bytes > 0 && reserve(text, size_bytes)) {
        memcpy(text->data + text->size_bytes, data, size_bytes);
        text->size_bytes += size_bytes;
    }
}

void cli_text_string(struct cli_text *text, const char *string)
{
    cli_text_append(text, string, strlen(string));
}

void cli_text_format(struct cli_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0) {
        text->failed = true;
    } else if (reserve(text, (size_t)size + 1)) { /* vsnprintf wants room for a NUL */
        vsnprintf(text->data + text->size_bytes, (size_t)size + 1, format, again);
        text->size_bytes += (size_t)size;
    }
    va_end(again);
}

void cli_text_spaces(struct cli_text *text, size_t count)
{
    if (count > 0 && reserve(text, count)) {
        memset(text->data + text->size_bytes, ' ', count);
        text->size_bytes += count;
    }
}

/* C0, DEL and C1: what a terminal may take for a command. */
static bool is_control(const unsigned char *bytes, size_t size)
{
    return (size == 1 && (bytes[0] < 0x20 || bytes[0] == 0x7f)) ||
           (size == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0);
}

void cli_text_printable(struct cli_text *text, struct rollcall_bytes bytes)
{
    const unsigned char *data = (const unsigned char *)bytes.data;
    for (size_t at = 0; at < bytes.size_bytes;) {
        const size_t size =
            cli_utf8_size((struct rollcall_bytes){bytes.data + at, bytes.size_bytes - at});
        if (size == 0 || is_control(data + at, size)) {
            cli_text_format(text, "\\x%02x", data[at]);
            /* The second byte of a C1 control is no UTF-8 by itself, so it is escaped as well. */
            at++;
        } else if (data[at] == '\\') {
            cli_text_string(text, "\\\\");
            at++;
        } else {
            cli_text_append(text, bytes.data + at, size);
            at += size;
        }
    }
}

size_t cli_text_columns(const char *data, size_t size_bytes)
{
    size_t columns = 0;
    for (size_t i = 0; i < size_bytes; i++) {
        columns += ((unsigned char)data[i] & 0xc0) != 0x80;
    }
    return columns;
}

/* Bytes a sequence has by its first byte, and what its second byte may be; 0: no first byte. */
static size_t sequence_size(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *low = first == 0xe0 ? 0xa0 : 0x80;  /* shorter forms exist */
        *high = first == 0xed ? 0x9f : 0xbf; /* surrogates */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *low = first == 0xf0 ? 0x90 : 0x80;
        *high = first == 0xf4 ? 0x8f : 0xbf; /* above U+10FFFF */
        return 4;
    }
    return 0;
}

size_t cli_utf8_size(struct rollcall_bytes bytes)
{
    if (bytes.size_bytes == 0) {
        return 0;
    }
    const unsigned char *data = (const unsigned char *)bytes.data;
    unsigned char low, high;
    const size_t size = sequence_size(data[0], &low, &high);
    if (size > bytes.size_bytes) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (data[i] < (i == 1 ? low : 0x80) || data[i] > (i == 1 ? high : 0xbf)) {
            return 0;
        }
    }
    return size;
}

struct rollcall_bytes cli_bytes(const char *string)
{
    return (struct rollcall_bytes){string, string == NULL ? 0 : strlen(string)};
}

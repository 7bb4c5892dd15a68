#include "base/buffer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY_BYTES = 64 };

/* Makes room for `more` bytes and a NUL. */
static bool reserve(struct rollcall__buffer *buffer, size_t more)
{
    if (buffer->failed || more > SIZE_MAX / 4 - buffer->size_bytes) {
        buffer->failed = true;
        return false;
    }
    const size_t need = buffer->size_bytes + more + 1;
    if (need <= buffer->capacity_bytes) {
        return true;
    }
    size_t capacity = buffer->capacity_bytes == 0 ? FIRST_CAPACITY_BYTES : buffer->capacity_bytes;
    while (capacity < need) {
        capacity *= 2;
    }
    char *data = rollcall__reallocate(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity_bytes = capacity;
    return true;
}

void rollcall__buffer_append(struct rollcall__buffer *buffer, const void *data, size_t size_bytes)
{
    if (!reserve(buffer, size_bytes)) {
        return;
    }
    if (size_bytes != 0) {
        memcpy(buffer->data + buffer->size_bytes, data, size_bytes);
    }
    buffer->size_bytes += size_bytes;
    buffer->data[buffer->size_bytes] = '\0';
}

void rollcall__buffer_text(struct rollcall__buffer *buffer, const char *text)
{
    rollcall__buffer_append(buffer, text, strlen(text));
}

void rollcall__buffer_format(struct rollcall__buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int size = vsnprintf(NULL, 0, format, arguments);
    if (size < 0) {
        buffer->failed = true;
    } else if (reserve(buffer, (size_t)size)) {
        vsnprintf(buffer->data + buffer->size_bytes, (size_t)size + 1, format, again);
        buffer->size_bytes += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void rollcall__buffer_clear(struct rollcall__buffer *buffer)
{
    buffer->size_bytes = 0;
    buffer->failed = false;
    if (buffer->data != NULL) {
        buffer->data[0] = '\0';
    }
}

void rollcall__buffer_free(struct rollcall__buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct rollcall__buffer){0};
}

struct rollcall_bytes rollcall__buffer_bytes(const struct rollcall__buffer *buffer)
{
    return (struct rollcall_bytes){buffer->data, buffer->size_bytes};
}

struct rollcall_bytes rollcall__bytes(const char *text)
{
    return (struct rollcall_bytes){text, text == NULL ? 0 : strlen(text)};
}

bool rollcall__bytes_equal(struct rollcall_bytes a, struct rollcall_bytes b)
{
    return a.size_bytes == b.size_bytes &&
           (a.size_bytes == 0 || memcmp(a.data, b.data, a.size_bytes) == 0);
}

int rollcall__bytes_compare(struct rollcall_bytes a, struct rollcall_bytes b)
{
    const size_t common = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0) {
        return order;
    }
    return (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

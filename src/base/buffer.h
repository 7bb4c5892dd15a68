/* base/buffer.h - a byte string that grows.  Zero is an empty one.  Threads: one at a time. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <rollcall/record.h>

struct rollcall__buffer {
    char *data; /* always followed by a NUL once something was appended */
    size_t size_bytes, capacity_bytes;
    bool failed; /* out of memory at some append: the content is not to be used */
};

void rollcall__buffer_append(struct rollcall__buffer *buffer, const void *data, size_t size_bytes);
void rollcall__buffer_text(struct rollcall__buffer *buffer, const char *text);
void rollcall__buffer_format(struct rollcall__buffer *buffer, const char *format, ...)
    ROLLCALL_PRINTF(2, 3);
void rollcall__buffer_clear(struct rollcall__buffer *buffer); /* keeps the memory */
void rollcall__buffer_free(struct rollcall__buffer *buffer);
/* A view, valid until the next append. */
struct rollcall_bytes rollcall__buffer_bytes(const struct rollcall__buffer *buffer);

/* A view of a C string; NULL: empty. */
struct rollcall_bytes rollcall__bytes(const char *text);
bool rollcall__bytes_equal(struct rollcall_bytes a, struct rollcall_bytes b);
/* Byte order, as etcd sorts keys: below 0, 0, above 0. */
int rollcall__bytes_compare(struct rollcall_bytes a, struct rollcall_bytes b);

#endif /* BASE_BUFFER_H */

/*
 * session/json.h - JSON as Go's encoding/json reads and writes it: a pull reader and a string
 * printer.
 *
 * The reader checks the whole grammar while it goes and allocates nothing: depth is one bit per
 * level, not C stack.  Call rollcall__json_next until ROLLCALL__JSON_DONE; only then is the input
 * known to be one valid value with nothing after it.
 *
 * Threads: one at a time.
 * Memory:  the input is borrowed while the reader is in use.
 */
#ifndef SESSION_JSON_H
#define SESSION_JSON_H

#include "base/buffer.h"

enum { ROLLCALL__JSON_DEPTH_MAX = 10000 }; /* Go's */

enum rollcall__json_token {
    ROLLCALL__JSON_BROKEN, /* not JSON: see problem and at; stays so */
    ROLLCALL__JSON_DONE,   /* the value and the input have ended */
    ROLLCALL__JSON_NULL,
    ROLLCALL__JSON_FALSE,
    ROLLCALL__JSON_TRUE,
    ROLLCALL__JSON_NUMBER, /* text: its characters */
    ROLLCALL__JSON_STRING, /* text: between the quotes, escapes checked but not resolved */
    ROLLCALL__JSON_NAME,   /* of a member, text as for a string; its value is next */
    ROLLCALL__JSON_OBJECT,
    ROLLCALL__JSON_OBJECT_END,
    ROLLCALL__JSON_ARRAY,
    ROLLCALL__JSON_ARRAY_END
};

enum rollcall__json_expect {
    ROLLCALL__JSON_EXPECT_VALUE,
    ROLLCALL__JSON_EXPECT_FIRST_NAME, /* or the end of the object */
    ROLLCALL__JSON_EXPECT_FIRST_ITEM, /* or the end of the array */
    ROLLCALL__JSON_EXPECT_MORE,       /* a comma or the end of what is open */
    ROLLCALL__JSON_EXPECT_NOTHING,
    ROLLCALL__JSON_EXPECT_FAILED
};

struct rollcall__json_reader {
    const char *data;
    size_t size_bytes, at;
    enum rollcall__json_expect expect;
    struct rollcall_bytes text; /* of the last NUMBER, STRING or NAME: a view of the input */
    bool text_is_plain;         /* a STRING or NAME of ASCII without escapes: stands for itself */
    const char *problem;        /* what is wrong at byte `at`, for a sentence; NULL: nothing */
    size_t depth;
    uint8_t is_object[(ROLLCALL__JSON_DEPTH_MAX + 7) / 8]; /* one bit per open level */
};

void rollcall__json_open(struct rollcall__json_reader *reader, struct rollcall_bytes input);
enum rollcall__json_token rollcall__json_next(struct rollcall__json_reader *reader);
/* Reads to the end of the value that `token` began.  Returns false if the input is broken. */
bool rollcall__json_skip(struct rollcall__json_reader *reader, enum rollcall__json_token token);

/*
 * Writes the characters that the text of a STRING or NAME stands for to `out`, not terminated, and
 * returns how many bytes they are; out NULL: only counts.  Bad UTF-8 and lone surrogates become
 * U+FFFD, one per bad byte or escape.
 */
size_t rollcall__json_unescape(struct rollcall_bytes text, char *out);
/* How many bytes at the front stand for themselves in a string: ASCII, nothing to escape. */
size_t rollcall__json_plain_run(const char *data, size_t size_bytes);
/* How many digits are at the front, 19 at most, and the number they are. */
size_t rollcall__json_digits(const char *data, size_t size_bytes, uint64_t *value);
/* False if the text of a NUMBER has a fraction, an exponent, or does not fit. */
bool rollcall__json_int64(struct rollcall_bytes text, int64_t *value);

/* Appends text as a JSON string: Go's escapes, HTML-safe, bad UTF-8 as \ufffd. */
void rollcall__json_quote(struct rollcall__buffer *out, struct rollcall_bytes text);

#endif /* SESSION_JSON_H */

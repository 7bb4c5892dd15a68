/*
 * cli/text.h - text that grows: one line or one table of output, built and then written at once.
 *
 * Appending never fails in the caller's face: when memory runs out, `failed` is set, everything
 * after it is dropped, and whoever writes the text out reports it.
 *
 * Threads: one at a time.
 * Memory:  grows to the largest text built; cli_text_fini frees it.  A zeroed struct is empty.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <rollcall/record.h>

struct cli_text {
    char *data; /* not terminated; NULL while nothing was appended */
    size_t size_bytes, capacity_bytes;
    bool failed;
};

void cli_text_fini(struct cli_text *text);
/* Empties it and forgets a failure, but keeps the memory. */
void cli_text_clear(struct cli_text *text);

void cli_text_append(struct cli_text *text, const char *data, size_t size_bytes);
void cli_text_string(struct cli_text *text, const char *string);
void cli_text_format(struct cli_text *text, const char *format, ...) ROLLCALL_PRINTF(2, 3);
void cli_text_spaces(struct cli_text *text, size_t count);

/* For people: control characters, invalid UTF-8 and backslashes become \xNN and \\, so that what
 * others stored cannot move the cursor or fake a line. */
void cli_text_printable(struct cli_text *text, struct rollcall_bytes bytes);

/* Columns the bytes take, one for each code point. */
size_t cli_text_columns(const char *data, size_t size_bytes);

/* Bytes of the UTF-8 sequence `bytes` starts with (1 .. 4); 0 when it starts with none. */
size_t cli_utf8_size(struct rollcall_bytes bytes);

struct rollcall_bytes cli_bytes(const char *string); /* NULL: no bytes */

#endif /* CLI_TEXT_H */

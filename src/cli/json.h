/*
 * cli/json.h - writes one JSON object per line.
 *
 * The output is always valid UTF-8 and never holds a newline inside an object: invalid bytes become
 * U+FFFD, as Go's encoder does it.  int64 values are JSON integers.
 *
 * Threads: one at a time per text.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "cli/text.h"

void cli_json_begin(struct cli_text *text, const char *event); /* {"event":"..." */
void cli_json_integer(struct cli_text *text, const char *name, int64_t value);
void cli_json_count(struct cli_text *text, const char *name, uint64_t value);
void cli_json_boolean(struct cli_text *text, const char *name, bool value);
void cli_json_string(struct cli_text *text, const char *name, struct rollcall_bytes value);
/* value: one JSON value as somebody stored it; embedded without the whitespace around its parts.
 * No bytes: null. */
void cli_json_stored(struct cli_text *text, const char *name, struct rollcall_bytes value);
void cli_json_end(struct cli_text *text); /* } and a newline */

#endif /* CLI_JSON_H */

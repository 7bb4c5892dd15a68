/*
 * cli/values.h - what options mean: durations, bounded integers, MIN:CUR, NAME=VALUE.
 *
 * Pure functions; each returns false, and changes nothing, for text that is not exactly one value.
 *
 * Threads: any.
 */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include <rollcall/record.h>

/* "500ms", "5s", "1m": 10 ms .. 10 min, which is what the library takes for a timeout. */
bool cli_duration_parse(const char *text, int64_t *value_ms);
/* A decimal number in min .. max, perhaps with a '-' in front. */
bool cli_integer_parse(const char *text, int64_t min, int64_t max, int64_t *value);
/* "MIN:CUR", both 0 .. INT32_MAX, MIN <= CUR. */
bool cli_index_version_parse(const char *text, int32_t *minimal, int32_t *current);
/* "NAME=VALUE"; the name is not empty; the label is a view of `text`. */
bool cli_label_parse(const char *text, struct rollcall_label *label);

#endif /* CLI_VALUES_H */

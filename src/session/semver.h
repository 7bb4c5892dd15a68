/*
 * session/semver.h - semantic versions and ranges of them, as the Go library upstream uses reads
 * them: strict, no "v", no short forms, no trimming.
 *
 * Threads: any; nothing is shared.
 * Memory:  a version is a value that views the text it was parsed from.  A range owns its memory.
 */
#ifndef SESSION_SEMVER_H
#define SESSION_SEMVER_H

#include "base/buffer.h"

/* Zero is 0.0.0. */
struct rollcall__semver {
    uint64_t major, minor, patch;
    struct rollcall_bytes prerelease; /* without the '-'; empty: none */
    struct rollcall_bytes build;      /* without the '+'; empty: none */
};

/* Returns: ROLLCALL_OK, or ROLLCALL_E_INVALID with the part at fault; then *version is not to be
 * used. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__semver_parse(struct rollcall_bytes text,
                                                              struct rollcall__semver *version,
                                                              struct rollcall_error *error);
/* Below 0, 0, above 0.  Build metadata does not count. */
int rollcall__semver_compare(const struct rollcall__semver *a, const struct rollcall__semver *b);
/* Appends the canonical form, which is the text that was parsed. */
void rollcall__semver_print(const struct rollcall__semver *version, struct rollcall__buffer *out);

/*
 * A range is groups joined by ||, of which one must hold; a group is comparisons separated by
 * spaces, all of which must hold.  A comparison is =, ==, !, !=, >, >=, <, <= or nothing (equal)
 * and a version, or A.x, A.x.x, A.B.x for all releases that begin so.
 *
 * Prereleases are compared like any version: 1.3.0-a is in ">=1.2.0 <1.3.0".
 */
enum rollcall__semver_dialect {
    ROLLCALL__SEMVER_OURS,
    /* What the Go library makes of the odd cases, for comparing with it: it drops words of one
     * character, takes an empty group (ours: an error), reads A.x.x as A.0.x and != A.B.x as never,
     * and refuses an x in a prerelease after all but >= and <.  Not copied: it takes an operator it
     * does not know for = when there is an x. */
    ROLLCALL__SEMVER_UPSTREAM
};

enum { ROLLCALL__SEMVER_RANGE_MAX_BYTES = 4096 };

struct rollcall__semver_comparison;

/* Zero is a range that holds no version; freeing it does nothing. */
struct rollcall__semver_range {
    struct rollcall__semver_comparison *comparisons; /* owned; the text they view is behind them */
    size_t count;
};

/* Returns: ROLLCALL_OK; ROLLCALL_E_INVALID with the word at fault, or ROLLCALL_E_NO_MEMORY; then
 * *range is zero. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__semver_range_parse(struct rollcall_bytes text, enum rollcall__semver_dialect dialect,
                             struct rollcall__semver_range *range, struct rollcall_error *error);
bool rollcall__semver_range_matches(const struct rollcall__semver_range *range,
                                    const struct rollcall__semver *version);
void rollcall__semver_range_free(struct rollcall__semver_range *range);

#endif /* SESSION_SEMVER_H */

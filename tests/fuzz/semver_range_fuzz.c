/* A line that may be a version, and behind it what may be a range, in both dialects: a version is
 * printed as it was read, and ranges that are made of it hold what they must. */
#include "fuzz/fuzz.h"
#include "session/semver.h"

static bool matches(struct rollcall_bytes text, enum rollcall__semver_dialect dialect,
                    const struct rollcall__semver *version, bool *result)
{
    struct rollcall__semver_range range;
    struct rollcall_error error = {0};
    if (rollcall__semver_range_parse(text, dialect, &range, &error) != ROLLCALL_OK) {
        FUZZ_CHECK(error.status == ROLLCALL_E_INVALID && error.text[0] != '\0');
        FUZZ_CHECK(range.comparisons == NULL && range.count == 0);
        return false;
    }
    *result = rollcall__semver_range_matches(&range, version);
    rollcall__semver_range_free(&range);
    return true;
}

/* Fails unless `before`, the version's text and `behind` are a range, which holds it as expected.
 */
static void check_range(const char *before, struct rollcall_bytes text,
                        struct rollcall_bytes behind, const struct rollcall__semver *version,
                        bool expected)
{
    bool result = !expected;
    struct rollcall__buffer range = {0};
    rollcall__buffer_text(&range, before);
    rollcall__buffer_append(&range, text.data, text.size_bytes);
    rollcall__buffer_append(&range, behind.data, behind.size_bytes);
    FUZZ_CHECK(matches(rollcall__buffer_bytes(&range), ROLLCALL__SEMVER_OURS, version, &result));
    FUZZ_CHECK(result == expected);
    rollcall__buffer_free(&range);
}

/* `held`: whether `range` alone holds the version. */
static void check_combined(struct rollcall_bytes text, const struct rollcall__semver *version,
                           struct rollcall_bytes range, bool held)
{
    struct rollcall__buffer behind = {0};
    rollcall__buffer_text(&behind, " || ");
    rollcall__buffer_append(&behind, range.data, range.size_bytes);
    check_range("=", text, rollcall__buffer_bytes(&behind), version, true);
    check_range("<", text, rollcall__buffer_bytes(&behind), version, held);
    rollcall__buffer_free(&behind);
}

static void check_version(struct rollcall_bytes text, const struct rollcall__semver *version)
{
    static const struct {
        const char *operator;
        bool holds;
    } OPERATORS[] = {{"", true},   {"=", true},  {"==", true}, {"!", false}, {"!=", false},
                     {">=", true}, {"<=", true}, {">", false}, {"<", false}};
    const struct rollcall_bytes nothing = {"", 0};
    struct rollcall__buffer printed = {0};
    rollcall__semver_print(version, &printed);
    FUZZ_CHECK(rollcall__bytes_equal(rollcall__buffer_bytes(&printed), text));
    rollcall__buffer_free(&printed);
    FUZZ_CHECK(rollcall__semver_compare(version, version) == 0);
    for (size_t i = 0; i < sizeof OPERATORS / sizeof OPERATORS[0]; i++) {
        check_range(OPERATORS[i].operator, text, nothing, version, OPERATORS[i].holds);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const uint8_t *end = size_bytes > 0 ? memchr(data, '\n', size_bytes) : NULL;
    if (end == NULL || size_bytes > ROLLCALL__SEMVER_RANGE_MAX_BYTES / 2) {
        return 0;
    }
    const struct rollcall_bytes text = {(const char *)data, (size_t)(end - data)};
    const struct rollcall_bytes range = {(const char *)end + 1, size_bytes - text.size_bytes - 1};
    struct rollcall__semver version;
    struct rollcall_error error = {0};
    const bool valid = rollcall__semver_parse(text, &version, &error) == ROLLCALL_OK;
    if (valid) {
        check_version(text, &version);
    } else {
        FUZZ_CHECK(error.status == ROLLCALL_E_INVALID && error.text[0] != '\0');
        version = (struct rollcall__semver){.major = 1, .minor = 2, .patch = 3};
    }
    bool held = false;
    (void)matches(range, ROLLCALL__SEMVER_UPSTREAM, &version, &held);
    if (matches(range, ROLLCALL__SEMVER_OURS, &version, &held) && valid) {
        check_combined(text, &version, range, held);
    }
    return 0;
}

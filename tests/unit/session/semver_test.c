#include "session/semver.h"

#include "support/test.h"
#include "unit/session/vectors.h"

static struct rollcall__semver version_of(const char *text)
{
    struct rollcall__semver version;
    struct rollcall_error error;
    if (rollcall__semver_parse(rollcall__bytes(text), &version, &error) != ROLLCALL_OK) {
        CHECK_FAIL(error.text);
    }
    return version;
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

/* 1: in the range; 0: not; -1: the range is malformed. */
static int in_range(struct rollcall_bytes text, enum rollcall__semver_dialect dialect,
                    const char *version_text)
{
    struct rollcall__semver_range range;
    struct rollcall_error error = {0};
    if (rollcall__semver_range_parse(text, dialect, &range, &error) != ROLLCALL_OK) {
        CHECK(error.text[0] != '\0');
        CHECK(range.comparisons == NULL);
        return -1;
    }
    const struct rollcall__semver version = version_of(version_text);
    const bool matches = rollcall__semver_range_matches(&range, &version);
    rollcall__semver_range_free(&range);
    return matches;
}

static int in_ours(const char *text, const char *version)
{
    return in_range(rollcall__bytes(text), ROLLCALL__SEMVER_OURS, version);
}

static int in_upstreams(const char *text, const char *version)
{
    return in_range(rollcall__bytes(text), ROLLCALL__SEMVER_UPSTREAM, version);
}

static void check_parse(const struct vector *vector)
{
    struct rollcall__semver version;
    struct rollcall__buffer printed = {0};
    const struct rollcall_bytes text = vector_unquote(vector->column[1]);
    const bool valid = strcmp(vector->column[2], "ok") == 0;
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall__semver_parse(text, &version, &error);
    CHECK_INT(status, valid ? ROLLCALL_OK : ROLLCALL_E_INVALID);
    if (valid) {
        rollcall__semver_print(&version, &printed);
        CHECK_BYTES(rollcall__buffer_bytes(&printed), vector->column[3]);
    } else {
        CHECK_INT(error.status, ROLLCALL_E_INVALID);
    }
    rollcall__buffer_free(&printed);
}

TEST(semver, parses_what_upstream_parses)
{
    CHECK_INT(vectors_each("semver.tsv", "parse", check_parse), 32);
}

TEST(semver, refuses_what_looks_almost_like_a_version)
{
    static const char *const TEXTS[] = {"1.02.3",   "1.2.03",  "1.2.3-", "1.2.3-alpha.01",
                                        "1.2.3-00", "1.2.",    "+1.2.3", "1.2.3+a_",
                                        "1.2.3-a+", "1.2.3-.a"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        struct rollcall__semver version;
        CHECK_INT(rollcall__semver_parse(rollcall__bytes(TEXTS[i]), &version, NULL),
                  ROLLCALL_E_INVALID);
    }
    struct rollcall__semver version;
    CHECK_INT(rollcall__semver_parse((struct rollcall_bytes){"1.2.3\0", 6}, &version, NULL),
              ROLLCALL_E_INVALID);
}

TEST(semver, keeps_all_64_bits_of_a_number)
{
    const struct rollcall__semver version = version_of("18446744073709551615.0.0");
    CHECK(version.major == UINT64_MAX);
    const struct rollcall__semver a = version_of("1.0.0-18446744073709551614");
    const struct rollcall__semver b = version_of("1.0.0-18446744073709551615");
    CHECK(rollcall__semver_compare(&a, &b) < 0);
}

TEST(semver, an_error_names_the_part_at_fault_and_hides_control_characters)
{
    struct rollcall__semver version;
    struct rollcall_error error;
    CHECK_INT(rollcall__semver_parse(rollcall__bytes("1.\n.3"), &version, &error),
              ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "\"1.?.3\"") != NULL);
    CHECK(strstr(error.text, "the minor number") != NULL);
}

static void check_compare(const struct vector *vector)
{
    const struct rollcall__semver a = version_of(vector->column[1]);
    const struct rollcall__semver b = version_of(vector->column[2]);
    const int expected = atoi(vector->column[3]);
    CHECK_INT(sign(rollcall__semver_compare(&a, &b)), expected);
    CHECK_INT(sign(rollcall__semver_compare(&b, &a)), -expected);
}

TEST(semver, compares_as_upstream)
{
    CHECK_INT(vectors_each("semver.tsv", "cmp", check_compare), 2442);
}

static bool is_quirk(struct rollcall_bytes range)
{
    static const char *const QUIRKS[] = {"1.x.x",   ">1.x.x",   "!=1.2.x",     "!1.x",
                                         "! 1.2.3", ">1.0.0 5", "1.2.3-linux", ">1.2.3-linux"};
    for (size_t i = 0; i < sizeof QUIRKS / sizeof QUIRKS[0]; i++) {
        if (rollcall__bytes_equal(range, rollcall__bytes(QUIRKS[i]))) {
            return true;
        }
    }
    return false;
}

static void check_range(const struct vector *vector)
{
    const struct rollcall_bytes range = vector_unquote(vector->column[1]);
    const int expected = strcmp(vector->column[3], "true") == 0;
    CHECK_INT(in_range(range, ROLLCALL__SEMVER_UPSTREAM, vector->column[2]), expected);
    if (!is_quirk(range)) {
        CHECK_INT(in_range(range, ROLLCALL__SEMVER_OURS, vector->column[2]), expected);
    }
}

TEST(semver, ranges_hold_what_upstreams_hold)
{
    CHECK_INT(vectors_each("semver.tsv", "range", check_range), 2107);
}

static void check_range_error(const struct vector *vector)
{
    const struct rollcall_bytes range = vector_unquote(vector->column[1]);
    CHECK_INT(in_range(range, ROLLCALL__SEMVER_UPSTREAM, "1.0.0"), -1);
    if (!is_quirk(range)) {
        CHECK_INT(in_range(range, ROLLCALL__SEMVER_OURS, "1.0.0"), -1);
    }
}

TEST(semver, refuses_the_ranges_upstream_refuses)
{
    CHECK_INT(vectors_each("semver.tsv", "rangeerr", check_range_error), 25);
    static const char *const MORE[] = {
        "x",  "=<1.0.0",          "1.2.x-beta",   ">1.2.3\t<2.0.0",       "(>1.0.0)",
        ">=", ">1.0.0 && <2.0.0", ">1.0.0 || ||", "9223372036854775807.x"};
    for (size_t i = 0; i < sizeof MORE / sizeof MORE[0]; i++) {
        CHECK_INT(in_ours(MORE[i], "1.0.0"), -1);
        CHECK_INT(in_upstreams(MORE[i], "1.0.0"), -1);
    }
}

TEST(semver, not_a_wildcard_is_everything_outside_of_it)
{
    CHECK_INT(in_ours("!=1.2.x", "1.1.9"), 1);
    CHECK_INT(in_ours("!=1.2.x", "1.2.5"), 0);
    CHECK_INT(in_ours("!1.x", "2.0.0"), 1);
    CHECK_INT(in_ours(">=1.0.0 !=1.2.x <2.0.0", "1.3.0"), 1);
    CHECK_INT(in_ours(">=1.0.0 !=1.2.x <2.0.0", "1.2.0"), 0);
    CHECK_INT(in_ours(">=1.0.0 !=1.2.x <2.0.0", "0.9.0"), 0);
    CHECK_INT(in_upstreams("!=1.2.x", "1.1.9"), 0);
}

TEST(semver, two_wildcards_are_as_wide_as_one)
{
    CHECK_INT(in_ours("1.x.x", "1.9.9"), 1);
    CHECK_INT(in_ours(">1.x.x", "1.1.0"), 0);
    CHECK_INT(in_ours(">1.x.x", "2.0.0"), 1);
    CHECK_INT(in_upstreams("1.x.x", "1.9.9"), 0);
}

TEST(semver, a_prerelease_may_hold_an_x)
{
    CHECK_INT(in_ours(">1.2.3-linux", "1.2.3"), 1);
    CHECK_INT(in_ours("1.2.3-linux", "1.2.3-linux"), 1);
    CHECK_INT(in_upstreams(">1.2.3-linux", "1.2.3"), -1);
}

TEST(semver, what_the_user_wrote_is_never_dropped)
{
    CHECK_INT(in_ours("! 1.2.3", "1.2.3"), 0);
    CHECK_INT(in_ours("! 1.2.3", "1.2.4"), 1);
    CHECK_INT(in_ours(">1.0.0 5", "2.0.0"), -1);
    CHECK_INT(in_upstreams(">1.0.0 5", "2.0.0"), 1);
}

TEST(semver, an_empty_group_is_an_error_of_ours_and_never_holds_upstream)
{
    CHECK_INT(in_ours(">1.0.0 || || <0.5.0", "2.0.0"), -1);
    CHECK_INT(in_upstreams(">1.0.0 || || <0.5.0", "2.0.0"), 1);
    CHECK_INT(in_upstreams(">1.0.0 || || <0.5.0", "0.8.0"), 0);
}

TEST(semver, a_range_outlives_the_text_it_was_parsed_from)
{
    char text[] = ">= 1.2.3-rc.1";
    struct rollcall__semver_range range;
    CHECK_INT(
        rollcall__semver_range_parse(rollcall__bytes(text), ROLLCALL__SEMVER_OURS, &range, NULL),
        ROLLCALL_OK);
    memset(text, 'z', sizeof text - 1);
    const struct rollcall__semver inside = version_of("1.2.3-rc.1"), below = version_of("1.2.3-b");
    CHECK(rollcall__semver_range_matches(&range, &inside));
    CHECK(!rollcall__semver_range_matches(&range, &below));
    rollcall__semver_range_free(&range);
}

TEST(semver, the_longest_range_fits_and_a_longer_one_is_refused)
{
    char text[ROLLCALL__SEMVER_RANGE_MAX_BYTES + 2];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = "|| "[i % 3]; /* upstream: as many empty groups as a text can hold */
    }
    memcpy(text, "<1.0.0 ||   ", 12);
    memcpy(text + ROLLCALL__SEMVER_RANGE_MAX_BYTES - 7, " >1.0.0 ", 8);
    const struct rollcall_bytes fits = {text, ROLLCALL__SEMVER_RANGE_MAX_BYTES};
    const struct rollcall_bytes too_long = {text, ROLLCALL__SEMVER_RANGE_MAX_BYTES + 1};
    CHECK_INT(in_range(fits, ROLLCALL__SEMVER_UPSTREAM, "2.0.0"), 1);
    CHECK_INT(in_range(fits, ROLLCALL__SEMVER_UPSTREAM, "1.0.0"), 0);
    CHECK_INT(in_range(too_long, ROLLCALL__SEMVER_UPSTREAM, "2.0.0"), -1);
}

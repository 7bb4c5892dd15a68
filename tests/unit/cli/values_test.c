#include "cli/values.h"

#include "support/test.h"

static int64_t duration(const char *text)
{
    int64_t value_ms = -1;
    return cli_duration_parse(text, &value_ms) ? value_ms : -1;
}

TEST(values, durations_are_a_count_and_a_unit)
{
    CHECK_INT(duration("500ms"), 500);
    CHECK_INT(duration("5s"), 5000);
    CHECK_INT(duration("1m"), 60000);
    CHECK_INT(duration("10ms"), 10);
    CHECK_INT(duration("10m"), 600000);
}

TEST(values, what_is_no_duration_is_refused)
{
    static const char *const wrong[] = {"",         "5",
                                        "ms",       "0s",
                                        "0ms",      "-1s",
                                        "+1s",      "1.5s",
                                        " 5s",      "5 s",
                                        "5s ",      "5sec",
                                        "9ms",      "1m30s",
                                        "5S",       "1e3ms",
                                        "0x10ms",   "99999999999999999999ms",
                                        "600001ms", "18446744073709551617s",
                                        "11m",      "1h"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_INT(duration(wrong[i]), -1);
    }
}

TEST(values, a_refused_value_changes_nothing)
{
    int64_t value = 7;
    CHECK(!cli_duration_parse("7", &value));
    CHECK(!cli_integer_parse("11", 1, 10, &value));
    CHECK(!cli_integer_parse("x", 1, 10, &value));
    CHECK_INT(value, 7);
}

TEST(values, integers_keep_to_their_bounds)
{
    int64_t value = 0;
    CHECK(cli_integer_parse("9223372036854775807", 0, INT64_MAX, &value));
    CHECK_INT(value, INT64_MAX);
    CHECK(cli_integer_parse("-5", -5, 5, &value));
    CHECK_INT(value, -5);
    CHECK(!cli_integer_parse("-6", -5, 5, &value));
    CHECK(!cli_integer_parse("9223372036854775808", 0, INT64_MAX, &value));
    CHECK(!cli_integer_parse("92233720368547758080", 0, INT64_MAX, &value));
    CHECK(!cli_integer_parse("", 0, 1, &value));
    CHECK(!cli_integer_parse("-", -1, 1, &value));
    CHECK(!cli_integer_parse("1 ", 0, 1, &value));
}

TEST(values, index_versions_are_a_range)
{
    int32_t minimal = -1, current = -1;
    CHECK(cli_index_version_parse("1:4", &minimal, &current));
    CHECK_INT(minimal, 1);
    CHECK_INT(current, 4);
    CHECK(cli_index_version_parse("0:2147483647", &minimal, &current));
    CHECK_INT(current, INT32_MAX);
    CHECK(!cli_index_version_parse("4:1", &minimal, &current));
    CHECK(!cli_index_version_parse("4", &minimal, &current));
    CHECK(!cli_index_version_parse(":4", &minimal, &current));
    CHECK(!cli_index_version_parse("1:", &minimal, &current));
    CHECK(!cli_index_version_parse("1:2:3", &minimal, &current));
    CHECK(!cli_index_version_parse("0:2147483648", &minimal, &current));
}

TEST(values, a_label_ends_its_name_at_the_first_equals_sign)
{
    struct rollcall_label label;
    CHECK(cli_label_parse("zone=a=b", &label));
    CHECK_BYTES(label.name, "zone");
    CHECK_BYTES(label.value, "a=b");
    CHECK(cli_label_parse("zone=", &label));
    CHECK_BYTES(label.value, "");
    CHECK(!cli_label_parse("=a", &label));
    CHECK(!cli_label_parse("zone", &label));
}

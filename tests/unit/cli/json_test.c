#include "cli/json.h"

#include "support/test.h"

static struct rollcall_bytes written(const struct cli_text *text)
{
    return (struct rollcall_bytes){text->data, text->size_bytes};
}

TEST(json, an_object_is_one_line)
{
    struct cli_text text = {0};
    cli_json_begin(&text, "end");
    cli_json_integer(&text, "revision", INT64_MIN);
    cli_json_count(&text, "count", UINT64_MAX);
    cli_json_boolean(&text, "retriable", false);
    cli_json_end(&text);
    CHECK_BYTES(written(&text), "{\"event\":\"end\",\"revision\":-9223372036854775808,"
                                "\"count\":18446744073709551615,\"retriable\":false}\n");
    cli_text_fini(&text);
}

static void check_string(struct rollcall_bytes value, const char *expected)
{
    struct cli_text text = {0};
    cli_json_string(&text, "s", value);
    CHECK_BYTES(written(&text), expected);
    cli_text_fini(&text);
}

TEST(json, strings_are_escaped)
{
    check_string(cli_bytes("a\"b\\c\n\t\x01"), ",\"s\":\"a\\\"b\\\\c\\u000a\\u0009\\u0001\"");
    check_string((struct rollcall_bytes){"a\0b", 3}, ",\"s\":\"a\\u0000b\"");
    check_string(cli_bytes(NULL), ",\"s\":\"\"");
    check_string(cli_bytes("\xc3\xa9\xf0\x9f\x98\x80"), ",\"s\":\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

TEST(json, bytes_that_are_no_utf8_are_replaced)
{
    check_string(cli_bytes("a\xff"), ",\"s\":\"a\xef\xbf\xbd\"");
    check_string(cli_bytes("\xc3"), ",\"s\":\"\xef\xbf\xbd\"");
    check_string(cli_bytes("\xc0\xaf"), ",\"s\":\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string(cli_bytes("\xed\xa0\x80"), ",\"s\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string(cli_bytes("\xf4\x90\x80\x80x"),
                 ",\"s\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"");
}

static void check_stored(const char *value, const char *expected)
{
    struct cli_text text = {0};
    cli_json_stored(&text, "session", cli_bytes(value));
    CHECK_BYTES(written(&text), expected);
    cli_text_fini(&text);
}

TEST(json, a_stored_record_is_embedded_as_it_is)
{
    static const char record[] = "{\"ServerID\":7,\"Address\":\"a\\u003cb\\\"\",\"LeaseID\":"
                                 "7587872012345678901,\"Extra\":[1.50,null]}";
    char expected[200];
    snprintf(expected, sizeof expected, ",\"session\":%s", record);
    check_stored(record, expected);
}

TEST(json, a_stored_record_stays_on_one_line)
{
    check_stored(" {\r\n\t\"a b\" : \"c  d\" ,\n\"e\":1 }\n",
                 ",\"session\":{\"a b\":\"c  d\",\"e\":1}");
}

TEST(json, whitespace_after_an_escaped_quote_is_kept)
{
    check_stored("{\"a\":\"\\\" \\\\\" , \"b\":2}", ",\"session\":{\"a\":\"\\\" \\\\\",\"b\":2}");
}

TEST(json, a_stored_record_with_bad_utf8_is_repaired)
{
    check_stored("{\"a\":\"\xff\"}", ",\"session\":{\"a\":\"\xef\xbf\xbd\"}");
}

TEST(json, no_stored_record_is_null)
{
    check_stored("", ",\"session\":null");
}

/* What Go writes is read at the first look, and what that reads is what the general reader reads.
 */
#include "session/record_go.h"

#include "session/record_any.h"
#include "support/test.h"
#include "unit/session/vectors.h"

enum { ROOM = 4 }; /* for labels */

static const char WHOLE[] =
    "{\"ServerID\":1042,\"ServerName\":\"querynode\",\"Address\":\"10.244.13.207:21123\","
    "\"Exclusive\":true,\"Stopping\":true,\"TriggerKill\":false,\"Version\":\"2.4.2\","
    "\"IndexEngineVersion\":{\"MinimalIndexVersion\":1,\"CurrentIndexVersion\":4},"
    "\"ScalarIndexEngineVersion\":{\"MaximumIndexVersion\":-7},\"IndexNonEncoding\":true,"
    "\"LeaseID\":7587872012345678901,\"HostName\":\"milvus-0\",\"EnableDisk\":true,"
    "\"ServerLabels\":{\"STREAMING-EMBEDDED\":\"1\",\"resource_group\":\"rg2\"}}";

static void check_same(const struct rollcall_record *a, const struct rollcall_record *b)
{
    struct rollcall__buffer first = {0}, second = {0};
    rollcall__record_encode(a, &first);
    rollcall__record_encode(b, &second);
    CHECK_BYTES(rollcall__buffer_bytes(&first), second.data);
    CHECK(rollcall__bytes_equal(a->version, b->version)); /* an empty one is written as 0.0.0 */
    rollcall__buffer_free(&first);
    rollcall__buffer_free(&second);
}

/* Whether the first look reads it; then the general reader has to make the same of it. */
static bool is_usual(struct rollcall_bytes json)
{
    struct rollcall_label labels[ROOM];
    struct rollcall__record_scratch scratch = {.arena = {0}};
    struct rollcall_record usual, any;
    char *exact = malloc(json.size_bytes > 0 ? json.size_bytes : 1); /* a sanitizer sees its end */
    CHECK(exact != NULL);
    memcpy(exact, json.data, json.size_bytes);
    json.data = exact;
    const bool good = rollcall__record_read_go(json, labels, ROOM, &usual);
    if (good) {
        CHECK_INT(rollcall__record_read_any(json, &scratch, &any, NULL), ROLLCALL_OK);
        check_same(&usual, &any);
        rollcall__arena_free(&scratch.arena);
    }
    free(exact);
    return good;
}

static void check_each(const char *const *inputs, size_t count, bool usual)
{
    for (size_t i = 0; i < count; i++) {
        if (is_usual(rollcall__bytes(inputs[i])) != usual) {
            CHECK_FAIL(inputs[i]);
        }
    }
}

TEST(record_go, every_shape_without_escapes_is_read_at_the_first_look)
{
    static const char *const INPUTS[] = {
        WHOLE,
        "{\"ServerID\":0}",
        "{\"ServerID\":-1,\"ServerName\":\"\",\"Version\":\"\"}",
        "{\"ServerID\":9223372036854775807,\"LeaseID\":-9223372036854775807}",
        "{\"ServerID\":12345678,\"LeaseID\":123456789}",
        "{\"Exclusive\":false,\"EnableDisk\":false}",
        "{\"IndexEngineVersion\":{},\"ScalarIndexEngineVersion\":{}}",
        "{\"IndexEngineVersion\":{\"MinimalIndexVersion\":-2147483648,"
        "\"MaximumIndexVersion\":2147483647}}",
        "{\"Address\":\"0123456701234567\",\"HostName\":\" ~\x7F/'<&>\"}",
        "{\"ServerLabels\":{\"\":\"\"}}",
        "{\"ServerLabels\":{\"A\":\"\",\"a\":\"1\",\"aa\":\"\",\"b\":\"2\"}}",
    };
    check_each(INPUTS, sizeof INPUTS / sizeof INPUTS[0], true);
}

TEST(record_go, any_surprise_is_left_to_the_general_reader)
{
    static const char *const INPUTS[] = {
        "",
        "{",
        "}",
        "null",
        "[]",
        " {}",
        "{} ",
        "{}",
        "{ }",
        "{}}",
        "{,}",
        "{\"ServerID\":1",
        "{\"ServerID\":1,}",
        "{\"ServerID\":1}x",
        "{\"ServerID\" :1}",
        "{\"ServerID\": 1}",
        "{\"ServerID\":1 }",
        "{\"ServerID\":}",
        "{\"ServerID\":-}",
        "{\"ServerID\":01}",
        "{\"ServerID\":-01}",
        "{\"ServerID\":00}",
        "{\"ServerID\":+1}",
        "{\"ServerID\":1.0}",
        "{\"ServerID\":1e3}",
        "{\"ServerID\":9223372036854775808}",
        "{\"ServerID\":-9223372036854775809}",
        "{\"ServerID\":12345678901234567890}",
        "{\"ServerID\":18446744073709551617}",
        "{\"ServerID\":\"1\"}",
        "{\"ServerID\":null}",
        "{\"serverid\":1}",
        "{\"ServerIE\":1}",
        "{\"ServerID\":1,\"ServerID\":2}",
        "{\"Address\":\"a\",\"ServerName\":\"b\"}",
        "{\"ServerID\":1,\"Mine\":2}",
        "{\"ServerID\":1\"Address\":\"a\"}",
        "{\"Address\":\"a}",
        "{\"Address\":a}",
        "{\"Address\":null}",
        "{\"Address\":\"\\u0041\"}",
        "{\"Address\":\"a\\\"\"}",
        "{\"Address\":\"\xC3\xA9\"}",
        "{\"Address\":\"0123456\x80\"}",
        "{\"Address\":\"a\n\"}",
        "{\"Address\":\"01234567\x1F\"}",
        "{\"Exclusive\":True}",
        "{\"Exclusive\":1}",
        "{\"Exclusive\":trues}",
        "{\"Exclusive\":fals}",
        "{\"LeaseID\":null}",
        "{\"IndexEngineVersion\":null}",
        "{\"IndexEngineVersion\":[]}",
        "{\"IndexEngineVersion\":{}",
        "{\"IndexEngineVersion\":{\"MinimalIndexVersion\":2147483648}}",
        "{\"IndexEngineVersion\":{\"MinimalIndexVersion\":-2147483649}}",
        "{\"IndexEngineVersion\":{\"MaximumIndexVersion\":1,\"MinimalIndexVersion\":1}}",
        "{\"IndexEngineVersion\":{\"MinimalIndexVersion\":1,}}",
        "{\"ServerLabels\":null}",
        "{\"ServerLabels\":{}}",
        "{\"ServerLabels\":{\"a\":\"1\"}",
        "{\"ServerLabels\":{\"a\":\"1\",}}",
        "{\"ServerLabels\":{\"a\":null}}",
        "{\"ServerLabels\":{\"a\":\"1\",\"a\":\"2\"}}",
        "{\"ServerLabels\":{\"b\":\"\",\"a\":\"\"}}",
        "{\"ServerLabels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\",\"e\":\"\"}}",
    };
    check_each(INPUTS, sizeof INPUTS / sizeof INPUTS[0], false);
}

static void check_marshal(const struct vector *vector)
{
    const struct rollcall_bytes json = vector_unhex(vector->column[2]);
    bool plain = true;
    for (size_t i = 0; i < json.size_bytes; i++) {
        plain = plain && json.data[i] != '\\' && (unsigned char)json.data[i] < 0x80;
    }
    CHECK_INT(is_usual(json), plain);
}

TEST(record_go, what_upstream_wrote_is_read_at_the_first_look)
{
    CHECK_INT(vectors_each("json.tsv", "marshal", check_marshal), 8);
}

TEST(record_go, a_record_that_is_cut_is_not_read)
{
    for (size_t size_bytes = 0; size_bytes < sizeof WHOLE - 1; size_bytes++) {
        CHECK(!is_usual((struct rollcall_bytes){WHOLE, size_bytes}));
    }
}

/* Each byte of a record made each other byte. */
TEST(record_go, a_changed_byte_is_read_as_the_general_reader_reads_it)
{
    char json[sizeof WHOLE];
    size_t usual = 0;
    for (size_t at = 0; at < sizeof WHOLE - 1; at++) {
        memcpy(json, WHOLE, sizeof WHOLE);
        for (int byte = 0; byte < 0x100; byte++) {
            json[at] = (char)byte;
            usual += is_usual((struct rollcall_bytes){json, sizeof WHOLE - 1});
        }
    }
    CHECK(usual > sizeof WHOLE - 1 && usual < sizeof WHOLE * 0x80);
}

TEST(record_go, texts_are_views_of_the_json_and_labels_are_where_it_was_said)
{
    struct rollcall_label labels[ROOM];
    struct rollcall_record record;
    CHECK(rollcall__record_read_go(rollcall__bytes(WHOLE), labels, ROOM, &record));
    CHECK(record.server_name.data == strstr(WHOLE, "querynode"));
    CHECK(record.host_name.data == strstr(WHOLE, "milvus-0"));
    CHECK(record.labels == labels);
    CHECK(labels[1].value.data == strstr(WHOLE, "rg2"));
    CHECK_INT(record.label_count, 2);
}

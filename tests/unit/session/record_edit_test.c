#include "session/record_edit.h"

#include "base/random.h"
#include "session/record.h"
#include "support/test.h"
#include "unit/session/vectors.h"

static void check_same_bytes(struct rollcall_bytes a, struct rollcall_bytes b)
{
    CHECK(rollcall__bytes_equal(a, b));
}

static void check_same_labels(const struct rollcall_record *a, const struct rollcall_record *b)
{
    CHECK_INT(a->label_count, b->label_count);
    for (size_t i = 0; i < a->label_count; i++) {
        check_same_bytes(a->labels[i].name, b->labels[i].name);
        check_same_bytes(a->labels[i].value, b->labels[i].value);
    }
}

/* Fails unless b is a but for Stopping, and for an empty version, which may be written as 0.0.0. */
static void check_same(const struct rollcall_record *a, const struct rollcall_record *b)
{
    CHECK_INT(a->server_id, b->server_id);
    check_same_bytes(a->server_name, b->server_name);
    check_same_bytes(a->address, b->address);
    CHECK_INT(a->exclusive, b->exclusive);
    CHECK_INT(a->trigger_kill, b->trigger_kill);
    if (a->version.size_bytes > 0 || b->version.size_bytes > 0) {
        check_same_bytes(a->version.size_bytes > 0 ? a->version : rollcall__bytes("0.0.0"),
                         b->version);
    }
    CHECK(memcmp(&a->index_engine_version, &b->index_engine_version,
                 sizeof a->index_engine_version) == 0);
    CHECK_INT(a->has_scalar_index_engine_version, b->has_scalar_index_engine_version);
    CHECK(memcmp(&a->scalar_index_engine_version, &b->scalar_index_engine_version,
                 sizeof a->scalar_index_engine_version) == 0);
    CHECK_INT(a->index_non_encoding, b->index_non_encoding);
    CHECK_INT(a->has_lease_id, b->has_lease_id);
    CHECK_INT(a->lease_id, b->lease_id);
    check_same_bytes(a->host_name, b->host_name);
    CHECK_INT(a->enable_disk, b->enable_disk);
    check_same_labels(a, b);
}

/* Marks json, and fails unless the result reads as the same record, stopping; gives it to free. */
static struct rollcall__buffer mark(struct rollcall_bytes json)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record before, after;
    struct rollcall__buffer out = {0};
    struct rollcall_error error;
    CHECK_INT(rollcall__record_decode(json, &arena, &before, NULL), ROLLCALL_OK);
    if (rollcall__record_mark_stopping(json, &out, &error) != ROLLCALL_OK) {
        CHECK_FAIL(error.text);
    }
    CHECK_INT(rollcall__record_decode(rollcall__buffer_bytes(&out), &arena, &after, NULL),
              ROLLCALL_OK);
    CHECK(after.stopping);
    check_same(&before, &after);
    rollcall__arena_free(&arena);
    return out;
}

static void check_marked(const char *json, const char *expected)
{
    struct rollcall__buffer out = mark(rollcall__bytes(json));
    CHECK_BYTES(rollcall__buffer_bytes(&out), expected);
    rollcall__buffer_free(&out);
}

/* Fails unless json is no session record, so that marking it gives nothing. */
static void check_refused(struct rollcall_bytes json)
{
    struct rollcall__buffer out = {0};
    struct rollcall_error error = {0};
    rollcall__buffer_text(&out, "before");
    CHECK_INT(rollcall__record_mark_stopping(json, &out, &error), ROLLCALL_E_CORRUPT);
    CHECK_INT(error.status, ROLLCALL_E_CORRUPT);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "before");
    rollcall__buffer_free(&out);
}

static void check_vector(const struct vector *vector)
{
    const struct rollcall_bytes json = vector_unhex(vector->column[1]);
    if (strcmp(vector->column[2], "true") != 0) {
        check_refused(json);
        return;
    }
    struct rollcall__buffer out = mark(json);
    rollcall__buffer_free(&out);
}

TEST(record_edit, every_vector_reads_the_same_but_for_stopping)
{
    CHECK_INT(vectors_each("json.tsv", "unmarshal", check_vector), 34);
}

/* What Go stored is marked as Go would: in front of TriggerKill, or of Version without one.  But
 * what has bytes that were no UTF-8, of which only \ufffd is left, and the vector of a bare struct
 * without a version are nothing that reading and writing gives: those are marked at the end. */
static void check_marshal(const struct vector *vector)
{
    const struct rollcall_bytes json = vector_unhex(vector->column[2]);
    struct rollcall__buffer expected = {0}, out = mark(json);
    char *text = (char *)json.data;
    text[json.size_bytes] = '\0';
    const char *behind = strstr(text, "\"TriggerKill\"");
    behind = behind != NULL ? behind : strstr(text, "\"Version\"");
    CHECK(behind != NULL);
    if (strstr(text, "\"Stopping\"") != NULL) {
        rollcall__buffer_text(&expected, text);
    } else if (strstr(text, "\"Version\":\"\"") != NULL || strstr(text, "\\ufffd") != NULL) {
        rollcall__buffer_append(&expected, text, json.size_bytes - 1);
        rollcall__buffer_text(&expected, ",\"Stopping\":true}");
    } else {
        rollcall__buffer_append(&expected, text, (size_t)(behind - text));
        rollcall__buffer_text(&expected, "\"Stopping\":true,");
        rollcall__buffer_text(&expected, behind);
    }
    CHECK_BYTES(rollcall__buffer_bytes(&out), expected.data);
    rollcall__buffer_free(&expected);
    rollcall__buffer_free(&out);
}

TEST(record_edit, what_go_wrote_is_marked_in_gos_field_order)
{
    CHECK_INT(vectors_each("json.tsv", "marshal", check_marshal), 8);
    check_marked("{\"ServerID\":7,\"TriggerKill\":true,\"Version\":\"2.4.2\","
                 "\"IndexEngineVersion\":{},\"LeaseID\":9}",
                 "{\"ServerID\":7,\"Stopping\":true,\"TriggerKill\":true,\"Version\":\"2.4.2\","
                 "\"IndexEngineVersion\":{},\"LeaseID\":9}");
}

TEST(record_edit, members_that_are_not_known_are_kept)
{
    check_marked("{\"ServerID\":7,\"Version\":\"2.4.2\",\"IndexEngineVersion\":{},\"New\":[1,{}]}",
                 "{\"ServerID\":7,\"Version\":\"2.4.2\",\"IndexEngineVersion\":{},\"New\":[1,{}],"
                 "\"Stopping\":true}");
    check_marked("{\"IndexEngineVersion\":{\"New\":1}}",
                 "{\"IndexEngineVersion\":{\"New\":1},\"Stopping\":true}");
}

TEST(record_edit, another_order_and_other_escapes_stay_as_they_are)
{
    check_marked("{\"Version\":\"2.4.2\",\"ServerID\":7}",
                 "{\"Version\":\"2.4.2\",\"ServerID\":7,\"Stopping\":true}");
    check_marked("{\"ServerName\":\"\\b/<\",\"Version\":\"2.4.2\",\"IndexEngineVersion\":{}}",
                 "{\"ServerName\":\"\\b/<\",\"Version\":\"2.4.2\",\"IndexEngineVersion\":{},"
                 "\"Stopping\":true}");
    check_marked("{\"Version\":\"\"}", "{\"Version\":\"\",\"Stopping\":true}");
}

TEST(record_edit, a_false_stopping_is_overruled_by_the_last)
{
    check_marked("{\"stopping\":true,\"Stopping\":false}",
                 "{\"stopping\":true,\"Stopping\":false,\"Stopping\":true}");
    check_marked("{\"Stopping\":null}", "{\"Stopping\":null,\"Stopping\":true}");
}

TEST(record_edit, an_empty_object_gets_no_comma)
{
    check_marked("{}", "{\"Stopping\":true}");
    check_marked(" \t{ \n} \r\n", " \t{\"Stopping\":true \n} \r\n");
    check_marked("{\"a\":{}}", "{\"a\":{},\"Stopping\":true}");
    check_marked("{\"a\":\"{\"}", "{\"a\":\"{\",\"Stopping\":true}");
    check_marked("{\"a\":{ } }", "{\"a\":{ },\"Stopping\":true }");
}

TEST(record_edit, white_space_stays)
{
    check_marked("{\"ServerID\": 7 }\n", "{\"ServerID\": 7,\"Stopping\":true }\n");
}

TEST(record_edit, null_becomes_a_record)
{
    static const char EXPECTED[] = "{\"Stopping\":true,\"TriggerKill\":false,\"Version\":\"0.0.0\","
                                   "\"IndexEngineVersion\":{}}";
    check_marked("null", EXPECTED);
    check_marked(" null\n", EXPECTED);
}

TEST(record_edit, what_is_stopping_already_stays_byte_for_byte)
{
    static const char *const TEXTS[] = {"{\"Stopping\":true}",
                                        " { \"STOPPING\" : true, \"x\": 1 } ",
                                        "{\"Stopping\":false,\"stopping\":true}",
                                        "{\"Stopping\":true,\"TriggerKill\":false,\"Version\":\"2."
                                        "4.2\",\"IndexEngineVersion\":{}}"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        check_marked(TEXTS[i], TEXTS[i]);
    }
}

TEST(record_edit, marking_twice_is_marking_once)
{
    struct rollcall__buffer once = mark(rollcall__bytes("{\"ServerID\":1,\"x\":2}"));
    check_marked(once.data, once.data);
    rollcall__buffer_free(&once);
}

TEST(record_edit, the_record_is_appended)
{
    struct rollcall__buffer out = {0};
    rollcall__buffer_text(&out, "before ");
    CHECK_INT(rollcall__record_mark_stopping(rollcall__bytes("{}"), &out, NULL), ROLLCALL_OK);
    CHECK_BYTES(rollcall__buffer_bytes(&out), "before {\"Stopping\":true}");
    rollcall__buffer_free(&out);
}

TEST(record_edit, what_is_no_record_is_refused)
{
    static const char *const TEXTS[] = {"",
                                        "17",
                                        "[]",
                                        "\"{}\"",
                                        "garbage",
                                        "{",
                                        "{}}",
                                        "true",
                                        "{\"Version\":\"a.b.c\"}",
                                        "{\"Stopping\":1}"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        check_refused(rollcall__bytes(TEXTS[i]));
    }
    check_refused((struct rollcall_bytes){NULL, 0});
    check_refused((struct rollcall_bytes){"{}\0", 3});
}

/* {"a":"xxx..."} of so many bytes. */
static struct rollcall_bytes large(char *json, size_t size_bytes)
{
    memset(json, 'x', size_bytes);
    memcpy(json, "{\"a\":\"", 6);
    memcpy(json + size_bytes - 2, "\"}", 2);
    return (struct rollcall_bytes){json, size_bytes};
}

TEST(record_edit, a_record_too_large_to_be_read_again_is_refused)
{
    const size_t max_bytes = ROLLCALL__RECORD_SIZE_MAX_BYTES;
    char *json = malloc(max_bytes);
    CHECK(json != NULL);
    struct rollcall__buffer out = mark(large(json, max_bytes - 16));
    CHECK_INT(out.size_bytes, max_bytes);
    rollcall__buffer_free(&out);
    check_refused(large(json, max_bytes - 15));
    check_refused(large(json, max_bytes));
    free(json);
}

/* Whatever is stored, it is refused or marked, and nothing else in it changes. */
TEST(record_edit, damaged_bytes_are_marked_or_refused)
{
    static const char JSON[] =
        "{\"ServerID\":7,\"ServerName\":\"q\",\"TriggerKill\":true,\"Version\":\"2.4.2\","
        "\"IndexEngineVersion\":{\"CurrentIndexVersion\":4},\"ServerLabels\":{\"a\":\"1\"}} ";
    static const char ODD[] = "\"\\{}[]:,0-eus\0\xFF\xC3 \t";
    struct rollcall__random random;
    rollcall__random_init(&random, 11);
    for (int round = 0; round < 3000; round++) {
        char json[sizeof JSON - 1];
        memcpy(json, JSON, sizeof json);
        const uint64_t damages = 1 + rollcall__random_below(&random, 3);
        for (uint64_t i = 0; i < damages; i++) {
            json[rollcall__random_below(&random, sizeof json)] =
                ODD[rollcall__random_below(&random, sizeof ODD - 1)];
        }
        const struct rollcall_bytes bytes = {json, sizeof json};
        struct rollcall__arena arena = {0};
        struct rollcall_record record;
        if (rollcall__record_decode(bytes, &arena, &record, NULL) == ROLLCALL_OK) {
            struct rollcall__buffer out = mark(bytes);
            rollcall__buffer_free(&out);
        } else {
            check_refused(bytes);
        }
        rollcall__arena_free(&arena);
    }
}

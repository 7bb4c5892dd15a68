#include "session/record.h"

#include "base/random.h"
#include "session/json.h"
#include "session/labels.h"
#include "support/test.h"
#include "unit/session/vectors.h"

#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define BAD "\xEF\xBF\xBD" /* U+FFFD */
#define LEASE INT64_C(7587872012345678901)

static const struct rollcall_label LABELS[] = {{BYTES("<k>"), BYTES("v&")},
                                               {BYTES("STREAMING-EMBEDDED"), BYTES("1")},
                                               {BYTES("a"), BYTES("1")},
                                               {BYTES("b"), BYTES("2")}};

/* What was encoded by upstream: the index is the number of the vector. */
static const struct rollcall_record RECORDS[] = {
    [1] = {0},
    [2] = {.server_id = 1,
           .server_name = BYTES("test"),
           .address = BYTES("localhost"),
           .version = BYTES("2.4.2")},
    [3] = {.server_id = 7,
           .server_name = BYTES("querynode"),
           .address = BYTES("10.0.0.7:21123"),
           .trigger_kill = true,
           .version = BYTES("2.4.2"),
           .index_engine_version.current = 4,
           .has_lease_id = true,
           .lease_id = LEASE,
           .host_name = BYTES("node-a")},
    [4] = {.server_id = 7,
           .server_name = BYTES("querynode"),
           .address = BYTES("10.0.0.7:21123"),
           .stopping = true,
           .trigger_kill = true,
           .version = BYTES("2.4.2"),
           .index_engine_version = {.minimal = 1, .current = 4},
           .has_lease_id = true,
           .lease_id = LEASE,
           .host_name = BYTES("node-a")},
    [5] = {.server_id = 3,
           .server_name = BYTES("rootcoord"),
           .address = BYTES("10.0.0.3:53100"),
           .exclusive = true,
           .trigger_kill = true,
           .version = BYTES("2.2.0-rc.1+dev.7"),
           .has_lease_id = true,
           .lease_id = LEASE,
           .host_name = BYTES("mix-0")},
    [6] = {.server_id = INT64_MIN,
           .server_name = BYTES("a<b>&\"\\/\xE2\x80\xA8\xE2\x80\xA9\0\1\b\f\n\r\t\x1F\x7F"
                                "\xC3\xA9\xF0\x9F\x98\x80"),
           .address = BYTES("bad\xFF\xC3("),
           .exclusive = true,
           .version = BYTES("2.4.2"),
           .has_lease_id = true,
           .lease_id = -5,
           .host_name = BYTES("h"),
           .enable_disk = true},
    [7] = {.version = BYTES("2.4.2"), .has_lease_id = true},
    /* Upstream's vector is of a bare struct; a session's version is never "", but 0.0.0. */
    [8] = {.omit_trigger_kill = true, .has_scalar_index_engine_version = true},
    [9] = {.server_id = 12,
           .server_name = BYTES("streamingnode"),
           .address = BYTES("10.0.0.9:22222"),
           .omit_trigger_kill = true,
           .version = BYTES("3.0.0-beta"),
           .index_engine_version = {.current = 8, .maximum = 10},
           .has_scalar_index_engine_version = true,
           .index_non_encoding = true,
           .has_lease_id = true,
           .lease_id = LEASE,
           .host_name = BYTES("h1"),
           .labels = LABELS,
           .label_count = 4},
};

static void check_encoded(const struct rollcall_record *record, const char *expected)
{
    struct rollcall__buffer out = {0};
    rollcall__record_encode(record, &out);
    CHECK_BYTES(rollcall__buffer_bytes(&out), expected);
    rollcall__buffer_free(&out);
}

static void check_marshal(const struct vector *vector)
{
    const int number = atoi(vector->column[1]);
    char *expected = vector->column[2];
    CHECK(number >= 2 && number <= 9);
    const struct rollcall_bytes bytes = vector_unhex(expected);
    expected[bytes.size_bytes] = '\0';
    if (number == 8) {
        CHECK_STR(expected, "{\"Version\":\"\",\"IndexEngineVersion\":{},"
                            "\"ScalarIndexEngineVersion\":{}}");
        check_encoded(&RECORDS[8], "{\"Version\":\"0.0.0\",\"IndexEngineVersion\":{},"
                                   "\"ScalarIndexEngineVersion\":{}}");
        return;
    }
    check_encoded(&RECORDS[number], expected);
}

TEST(record, is_written_byte_for_byte_as_go_writes_it)
{
    CHECK_INT(vectors_each("json.tsv", "marshal", check_marshal), 8);
    check_encoded(&RECORDS[1],
                  "{\"TriggerKill\":false,\"Version\":\"0.0.0\",\"IndexEngineVersion\":{}}");
}

TEST(record, fields_of_all_shapes_are_written_in_upstreams_order)
{
    struct rollcall_record record = RECORDS[9];
    record.omit_trigger_kill = false;
    record.enable_disk = record.stopping = record.exclusive = true;
    record.scalar_index_engine_version.minimal = -1;
    record.label_count = 1;
    check_encoded(&record,
                  "{\"ServerID\":12,\"ServerName\":\"streamingnode\",\"Address\":"
                  "\"10.0.0.9:22222\",\"Exclusive\":true,\"Stopping\":true,\"TriggerKill\":false,"
                  "\"Version\":\"3.0.0-beta\",\"IndexEngineVersion\":{\"CurrentIndexVersion\":8,"
                  "\"MaximumIndexVersion\":10},\"ScalarIndexEngineVersion\":"
                  "{\"MinimalIndexVersion\":-1},\"IndexNonEncoding\":true,\"LeaseID\":"
                  "7587872012345678901,\"HostName\":\"h1\",\"EnableDisk\":true,\"ServerLabels\":"
                  "{\"\\u003ck\\u003e\":\"v\\u0026\"}}");
}

/* A decoded record, with what it lives in. */
struct decoded {
    struct rollcall__arena arena;
    struct rollcall_record record;
    struct rollcall_error error;
    enum rollcall_status status;
};

static struct decoded decode(struct rollcall_bytes json)
{
    struct decoded decoded = {0};
    decoded.status = rollcall__record_decode(json, &decoded.arena, &decoded.record, &decoded.error);
    if (decoded.status != ROLLCALL_OK) {
        CHECK_INT(decoded.error.status, decoded.status);
        CHECK(decoded.error.text[0] != '\0');
    }
    return decoded;
}

static void forget(struct decoded *decoded)
{
    rollcall__arena_free(&decoded->arena);
}

static struct decoded decode_text(const char *json)
{
    struct decoded decoded = decode(rollcall__bytes(json));
    if (decoded.status != ROLLCALL_OK) {
        CHECK_FAIL(decoded.error.text);
    }
    return decoded;
}

static void check_corrupt(struct rollcall_bytes json, const char *part)
{
    struct decoded decoded = decode(json);
    CHECK_INT(decoded.status, ROLLCALL_E_CORRUPT);
    if (strstr(decoded.error.text, part) == NULL) {
        CHECK_STR(decoded.error.text, part);
    }
    forget(&decoded);
}

static bool truth(const char *text)
{
    return strcmp(text, "true") == 0;
}

static void check_unmarshal(const struct vector *vector)
{
    char *const *column = vector->column;
    struct decoded decoded = decode(vector_unhex(column[1]));
    const struct rollcall_record *record = &decoded.record;
    CHECK_INT(decoded.status, truth(column[2]) ? ROLLCALL_OK : ROLLCALL_E_CORRUPT);
    if (decoded.status == ROLLCALL_OK) {
        CHECK_INT(record->server_id, strtoll(column[3], NULL, 10));
        CHECK(rollcall__bytes_equal(record->server_name, vector_unhex(column[4])));
        CHECK_INT(record->exclusive, truth(column[5]));
        CHECK_INT(record->trigger_kill, truth(column[6]));
        CHECK(rollcall__bytes_equal(record->version, vector_unhex(column[7])));
        const struct rollcall__semver version = rollcall__record_semver(record);
        struct rollcall__buffer printed = {0};
        rollcall__semver_print(&version, &printed);
        CHECK_BYTES(rollcall__buffer_bytes(&printed), column[8]);
        rollcall__buffer_free(&printed);
        CHECK_INT(record->index_engine_version.minimal, atoi(column[9]));
        CHECK_INT(record->index_engine_version.current, atoi(column[10]));
        CHECK_INT(record->has_lease_id, strcmp(column[11], "nil") != 0);
        CHECK_INT(record->lease_id, strtoll(column[11], NULL, 10));
    }
    forget(&decoded);
}

TEST(record, is_read_as_go_reads_it)
{
    CHECK_INT(vectors_each("json.tsv", "unmarshal", check_unmarshal), 34);
}

static void check_read_back(struct rollcall_record record)
{
    struct rollcall__buffer first = {0}, second = {0};
    rollcall__record_encode(&record, &first);
    struct decoded decoded = decode(rollcall__buffer_bytes(&first));
    CHECK_INT(decoded.status, ROLLCALL_OK);
    CHECK(!decoded.record.omit_trigger_kill);
    decoded.record.omit_trigger_kill = record.omit_trigger_kill;
    rollcall__record_encode(&decoded.record, &second);
    CHECK_BYTES(rollcall__buffer_bytes(&second), first.data);
    forget(&decoded);
    rollcall__buffer_free(&first);
    rollcall__buffer_free(&second);
}

TEST(record, every_shape_is_read_back_as_it_was_written)
{
    for (size_t i = 1; i < sizeof RECORDS / sizeof RECORDS[0]; i++) {
        struct rollcall_record record = RECORDS[i];
        if (i == 6) { /* bad bytes are not kept: they are written as the escape of U+FFFD */
            record.address = rollcall__bytes(BAD);
        }
        check_read_back(record);
    }
}

TEST(record, strings_are_counted_and_ended_by_a_nul)
{
    struct decoded decoded = decode_text("{\"ServerName\":\"a\\u0000b\",\"HostName\":\"\"}");
    const struct rollcall_bytes name = decoded.record.server_name;
    CHECK_INT(name.size_bytes, 3);
    CHECK(memcmp(name.data, "a\0b\0", 4) == 0);
    CHECK_STR(decoded.record.host_name.data, "");
    CHECK_STR(decoded.record.address.data, "");
    forget(&decoded);
}

TEST(record, texts_are_moved_into_exactly_the_memory_they_take)
{
    struct rollcall_record record = RECORDS[9];
    char *memory = malloc(rollcall__record_texts_bytes(&record) + 1);
    CHECK(memory != NULL);
    memset(memory, 'x', rollcall__record_texts_bytes(&record) + 1);
    rollcall__record_move_texts(&record, memory);
    CHECK((const char *)record.labels == memory);
    for (size_t i = 0; i < record.label_count; i++) {
        CHECK_STR(record.labels[i].name.data, LABELS[i].name.data);
        CHECK_STR(record.labels[i].value.data, LABELS[i].value.data);
    }
    CHECK_STR(record.server_name.data, "streamingnode");
    CHECK_STR(record.address.data, "10.0.0.9:22222");
    CHECK_STR(record.version.data, "3.0.0-beta");
    CHECK_STR(record.host_name.data, "h1");
    CHECK(record.host_name.data + 3 == memory + rollcall__record_texts_bytes(&record));
    CHECK_INT(memory[rollcall__record_texts_bytes(&record)], 'x');
    free(memory);
}

TEST(record, escapes_of_old_and_new_go_are_resolved)
{
    struct decoded decoded = decode_text("{\"ServerName\":\"\\b\\f\\n\\r\\t\\\"\\\\\\/"
                                         "\\u0008\\u000C\\u00e9\\u20AC\\uD83D\\uDE00\"}");
    CHECK_BYTES(decoded.record.server_name,
                "\b\f\n\r\t\"\\/\b\f\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    forget(&decoded);
}

/* Fails unless the JSON string with this text reads as `expected`. */
static void check_text(const char *text, const char *expected)
{
    char json[128];
    snprintf(json, sizeof json, "{\"ServerName\":\"%s\"}", text);
    struct decoded decoded = decode_text(json);
    CHECK_BYTES(decoded.record.server_name, expected);
    forget(&decoded);
}

TEST(record, lone_surrogates_and_bad_utf8_become_replacement_characters)
{
    check_text("\\ud800", BAD);
    check_text("\\ud800x", BAD "x");
    check_text("\\udc00\\ud800", BAD BAD);
    check_text("\\udc00\\udc00", BAD BAD);
    check_text("\\ud800\\udc00\\udbff\\udfff", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF");
    check_text("\\ud7ff\\ue000", "\xED\x9F\xBF\xEE\x80\x80");
    check_text("\\ud800\\ud83d\\ude00", BAD "\xF0\x9F\x98\x80");
    check_text("\\ud800\\n", BAD "\n");
    check_text("\\ud800\\u0041", BAD "A");
    check_text("a\xFF\xC3(", "a" BAD BAD "(");
    check_text("\xC0\x80", BAD BAD);
    check_text("\xE0\x9F\xBF", BAD BAD BAD);
    check_text("\xF0\x8F\xBF\xBF", BAD BAD BAD BAD);
    check_text("\xED\xA0\x80", BAD BAD BAD);
    check_text("\xF4\x90\x80\x80", BAD BAD BAD BAD);
    check_text("\xE2\x82", BAD BAD);
    check_text("\xF0\x9F\x98", BAD BAD BAD);
    check_text("\xEF\xBF\xBF\xF4\x8F\xBF\xBF", "\xEF\xBF\xBF\xF4\x8F\xBF\xBF");
}

TEST(record, names_match_in_any_case_and_the_last_one_wins)
{
    struct decoded decoded =
        decode_text("{\"SERVERID\":1,\"\\u0053erverName\":\"a\",\"TriggerKill\":false,"
                    "\"trigger\xE2\x84\xAAill\":true,\"addre\xC5\xBF\xC5\xBF\":\"b\","
                    "\"serverid\":2,\"ServerID \":3,\"ServerI\":4,\"ServerID\\u0000\":5,"
                    "\"IndexEngineVersion\":{\"minimalindexver\xC5\xBFion\":6}}");
    CHECK_INT(decoded.record.server_id, 2);
    CHECK_BYTES(decoded.record.server_name, "a");
    CHECK_BYTES(decoded.record.address, "b");
    CHECK(decoded.record.trigger_kill);
    CHECK_INT(decoded.record.index_engine_version.minimal, 6);
    forget(&decoded);
}

TEST(record, names_are_found_in_any_order)
{
    struct decoded decoded =
        decode_text("{\"HostName\":\"a\",\"LeaseID\":1,\"IndexEngineVersion\":"
                    "{\"MaximumIndexVersion\":2,\"MinimalIndexVersion\":3},\"Address\":\"b\","
                    "\"ServerID\":4,\"HostName\":\"c\",\"Address\":\"d\"}");
    CHECK_BYTES(decoded.record.host_name, "c");
    CHECK_BYTES(decoded.record.address, "d");
    CHECK_INT(decoded.record.lease_id, 1);
    CHECK_INT(decoded.record.server_id, 4);
    CHECK_INT(decoded.record.index_engine_version.maximum, 2);
    CHECK_INT(decoded.record.index_engine_version.minimal, 3);
    forget(&decoded);
}

TEST(record, a_second_index_version_adds_to_the_first)
{
    struct decoded decoded =
        decode_text("{\"IndexEngineVersion\":{\"MinimalIndexVersion\":1},"
                    "\"IndexEngineVersion\":{\"CurrentIndexVersion\":2,\"x\":[{}]},"
                    "\"IndexEngineVersion\":null,\"ScalarIndexEngineVersion\":null}");
    CHECK_INT(decoded.record.index_engine_version.minimal, 1);
    CHECK_INT(decoded.record.index_engine_version.current, 2);
    CHECK(!decoded.record.has_scalar_index_engine_version);
    forget(&decoded);
}

TEST(record, null_leaves_a_field_but_takes_back_a_lease_and_labels)
{
    struct decoded decoded =
        decode_text("{\"ServerID\":4,\"ServerID\":null,\"Exclusive\":true,\"Exclusive\":null,"
                    "\"ServerName\":\"a\",\"ServerName\":null,\"LeaseID\":5,\"LeaseID\":null,"
                    "\"ServerLabels\":{\"a\":\"1\"},\"ServerLabels\":null,"
                    "\"ServerLabels\":{\"b\":null}}");
    CHECK_INT(decoded.record.server_id, 4);
    CHECK(decoded.record.exclusive);
    CHECK_BYTES(decoded.record.server_name, "a");
    CHECK(!decoded.record.has_lease_id);
    CHECK_INT(decoded.record.label_count, 1);
    CHECK_BYTES(decoded.record.labels[0].name, "b");
    CHECK_BYTES(decoded.record.labels[0].value, "");
    forget(&decoded);
}

TEST(record, labels_are_sorted_and_the_last_of_a_name_wins)
{
    struct decoded decoded =
        decode_text("{\"ServerLabels\":{\"b\":\"1\",\"a\":\"2\",\"ab\":\"3\",\"b\":\"4\"},"
                    "\"serverlabels\":{\"\":\"5\",\"a\":\"6\",\"B\":\"7\",\"\xC3\xA9\":\"8\"}}");
    static const char *const EXPECTED[][2] = {{"", "5"},   {"B", "7"}, {"a", "6"},
                                              {"ab", "3"}, {"b", "4"}, {"\xC3\xA9", "8"}};
    CHECK_INT(decoded.record.label_count, 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK_BYTES(decoded.record.labels[i].name, EXPECTED[i][0]);
        CHECK_BYTES(decoded.record.labels[i].value, EXPECTED[i][1]);
    }
    forget(&decoded);
}

/* As many labels as a value can hold; all of one name, so that they must be sorted too. */
TEST(record, labels_are_bounded_by_the_size_of_the_value)
{
    static const char BEGIN[] = "{\"ServerLabels\":{\"\":\"\"", MORE[] = ",\"\":\"\"";
    struct rollcall__buffer json = {0};
    rollcall__buffer_text(&json, BEGIN);
    while (json.size_bytes + sizeof MORE + 1 <= ROLLCALL__RECORD_SIZE_MAX_BYTES) {
        rollcall__buffer_text(&json, MORE);
    }
    rollcall__buffer_text(&json, "}}");
    struct rollcall__record_scratch scratch;
    struct rollcall_record record;
    CHECK_INT(rollcall__record_read(rollcall__buffer_bytes(&json), &scratch, &record, NULL),
              ROLLCALL_OK);
    CHECK_INT(record.label_count, 1);
    CHECK(scratch.arena.total_bytes <= (size_t)64 << 20);
    rollcall__arena_free(&scratch.arena);
    struct decoded decoded = decode(rollcall__buffer_bytes(&json));
    CHECK_INT(decoded.record.label_count, 1);
    CHECK(decoded.arena.total_bytes <= 2048);
    forget(&decoded);
    rollcall__buffer_free(&json);
}

TEST(record, sorting_labels_is_stable_at_every_count)
{
    static const char NAMES[] = "abcdefg";
    struct rollcall__random random;
    rollcall__random_init(&random, 1);
    for (size_t count = 0; count < 40; count++) {
        struct rollcall_label labels[40], spare[40];
        size_t last[7] = {0}, distinct = 0;
        static const char POSITIONS[] = "0123456789012345678901234567890123456789";
        for (size_t i = 0; i < count; i++) {
            const size_t name = (size_t)rollcall__random_below(&random, 7);
            labels[i].name = (struct rollcall_bytes){NAMES + name, 1};
            labels[i].value = (struct rollcall_bytes){POSITIONS + i, 1};
            distinct += last[name] == 0;
            last[name] = i + 1;
        }
        CHECK_INT(rollcall__labels_sort(labels, spare, count), distinct);
        for (size_t i = 0; i < distinct; i++) {
            CHECK(i == 0 || rollcall__bytes_compare(labels[i - 1].name, labels[i].name) < 0);
            const size_t name = (size_t)(labels[i].name.data - NAMES);
            CHECK(labels[i].value.data == POSITIONS + last[name] - 1);
        }
    }
}

TEST(record, a_value_of_the_wrong_type_is_named)
{
    static const char *const PAIRS[][2] = {
        {"{\"ServerID\":\"5\"}", "ServerID of the session record is not a whole number of 64"},
        {"{\"serverid\":{}}", "ServerID"},
        {"{\"LeaseID\":1.0}", "LeaseID"},
        {"{\"LeaseID\":-9223372036854775809}", "LeaseID"},
        {"{\"Stopping\":0}", "Stopping of the session record is not true or false"},
        {"{\"HostName\":[[\"a\"]]}", "HostName of the session record is not a string"},
        {"{\"ServerLabels\":[]}", "ServerLabels of the session record is not an object"},
        {"{\"ServerLabels\":{\"a\":1}}", "ServerLabels"},
        {"{\"IndexEngineVersion\":{\"CurrentIndexVersion\":-2147483649}}", "CurrentIndexVersion"},
        {"{\"ScalarIndexEngineVersion\":3}", "ScalarIndexEngineVersion"},
        {"{\"HostName\":1,\"ServerID\":true}", "HostName"},
        {"{\"HostName\":1,\"Version\":\"v1\"}", "HostName"},
        {"{\"HostName\":1,}", "byte 14"},
        {"{\"Version\":\"2.4\"}", "\"2.4\" is no semantic version"},
        {"[1,{\"a\":2}]", "not an object"},
        {"17", "not an object"},
    };
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        check_corrupt(rollcall__bytes(PAIRS[i][0]), PAIRS[i][1]);
    }
}

TEST(record, what_is_not_json_is_refused)
{
    static const char *const TEXTS[] = {
        "{",           "}",          "{}{}",     "{}]",       "[1 2]",      "[,1]",
        "{,}",         "{\"a\"}",    "{\"a\":}", "{a:1}",     "{\"a\":01}", "[1.]",
        "[.5]",        "[1e]",       "[1e+]",    "[-]",       "[+1]",       "[--1]",
        "nul",         "nulll",      "tru",      "[TRUE]",    "{'a':1}",    "\"\\x\"",
        "\"\\u12G4\"", "\"\\'\"",    "\"\\u12",  "\"a",       "\"a\nb\"",   "\xEF\xBB\xBF{}",
        "// c\n{}",    "{\"a\":1]",  "[1}",      "0x1",       "\v{}",       "NaN",
        "[1,]",        "{\"a\":1,}", "\"\\",     "{\"a\" 1}", "- 1",        "1 2"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        check_corrupt(rollcall__bytes(TEXTS[i]), "not JSON");
    }
    check_corrupt((struct rollcall_bytes){"{}\0", 3}, "something follows");
    check_corrupt((struct rollcall_bytes){"\"\\\0\"", 4}, "unknown escape");
    check_corrupt(rollcall__bytes("\"\x1F\""), "control character");
    check_corrupt((struct rollcall_bytes){NULL, 0}, "ends where a value");
}

TEST(record, unknown_members_of_any_kind_are_passed_over)
{
    struct decoded decoded =
        decode_text("\t{ \"a\" : [ { } , [ ] , -0.5e-10 , 1E+2, 0 , \"ServerID\" ],\r\n"
                    "\"b\":{\"ServerID\":9,\"c\":[true,false,null]},\"ServerID\":3 } ");
    CHECK_INT(decoded.record.server_id, 3);
    forget(&decoded);
}

/* A member of `depth` levels of arrays around nothing; the record itself is one level more. */
static struct rollcall__buffer nested(size_t depth)
{
    struct rollcall__buffer json = {0};
    rollcall__buffer_text(&json, "{\"a\":");
    for (size_t i = 0; i < depth; i++) {
        rollcall__buffer_text(&json, "[");
    }
    for (size_t i = 0; i < depth; i++) {
        rollcall__buffer_text(&json, "]");
    }
    rollcall__buffer_text(&json, "}");
    return json;
}

TEST(record, nesting_is_limited_to_gos_10000_levels)
{
    struct rollcall__buffer json = nested(9999);
    struct decoded decoded = decode(rollcall__buffer_bytes(&json));
    CHECK_INT(decoded.status, ROLLCALL_OK);
    forget(&decoded);
    rollcall__buffer_free(&json);
    json = nested(10000);
    check_corrupt(rollcall__buffer_bytes(&json), "deeper");
    rollcall__buffer_free(&json);
}

TEST(record, a_value_of_more_than_two_mebibytes_is_refused)
{
    const size_t size_bytes = (size_t)ROLLCALL__RECORD_SIZE_MAX_BYTES + 1;
    char *json = malloc(size_bytes);
    CHECK(json != NULL);
    memset(json, ' ', size_bytes);
    memcpy(json, "{}", 2);
    check_corrupt((struct rollcall_bytes){json, size_bytes}, "more than the 2097152");
    struct decoded decoded = decode((struct rollcall_bytes){json, size_bytes - 1});
    CHECK_INT(decoded.status, ROLLCALL_OK);
    forget(&decoded);
    free(json);
}

TEST(record, every_cut_of_a_record_is_corrupt)
{
    struct rollcall__buffer json = {0};
    rollcall__record_encode(&RECORDS[9], &json);
    for (size_t size_bytes = 0; size_bytes < json.size_bytes; size_bytes++) {
        char *cut = malloc(size_bytes + 1); /* its end is where a sanitizer sees it */
        CHECK(cut != NULL);
        memcpy(cut, json.data, size_bytes);
        cut = realloc(cut, size_bytes > 0 ? size_bytes : 1);
        CHECK(cut != NULL);
        check_corrupt((struct rollcall_bytes){cut, size_bytes}, "not JSON");
        free(cut);
    }
    rollcall__buffer_free(&json);
}

/* Whatever happens to a stored value, it is read or refused, and what is read can be written and
 * read again. */
TEST(record, damaged_bytes_are_read_or_refused)
{
    static const char ODD[] = "\"\\{}[]:,0-eu\0\xFF\xC3 \t";
    struct rollcall__random random;
    rollcall__random_init(&random, 7);
    for (int round = 0; round < 3000; round++) {
        struct rollcall__buffer json = {0}, again = {0};
        rollcall__record_encode(&RECORDS[round % 9 + 1], &json);
        const uint64_t damages = 1 + rollcall__random_below(&random, 3);
        for (uint64_t i = 0; i < damages; i++) {
            json.data[rollcall__random_below(&random, json.size_bytes)] =
                ODD[rollcall__random_below(&random, sizeof ODD - 1)];
        }
        struct decoded decoded = decode(rollcall__buffer_bytes(&json));
        if (decoded.status == ROLLCALL_OK) {
            rollcall__record_encode(&decoded.record, &again);
            struct decoded twice = decode(rollcall__buffer_bytes(&again));
            CHECK_INT(twice.status, ROLLCALL_OK);
            CHECK_INT(twice.record.server_id, decoded.record.server_id);
            forget(&twice);
        }
        forget(&decoded);
        rollcall__buffer_free(&json);
        rollcall__buffer_free(&again);
    }
}

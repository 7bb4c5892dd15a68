#include <rollcall/record.h>

#include "support/test.h"
#include "unit/session/vectors.h"

#include <unistd.h>

#define BYTES(literal) ((struct rollcall_bytes){literal, sizeof(literal) - 1})

static struct rollcall_bytes bytes(const char *text)
{
    return (struct rollcall_bytes){text, strlen(text)};
}

static struct rollcall_record *decode(const char *json)
{
    struct rollcall_record *record = NULL;
    struct rollcall_error error;
    if (rollcall_record_decode(bytes(json), &record, &error) != ROLLCALL_OK) {
        CHECK_FAIL(error.text);
    }
    return record;
}

static void check_corrupt(struct rollcall_bytes json)
{
    static struct rollcall_record other;
    struct rollcall_record *record = &other;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_record_decode(json, &record, &error), ROLLCALL_E_CORRUPT);
    CHECK_INT(error.status, ROLLCALL_E_CORRUPT);
    CHECK(error.text[0] != '\0');
    CHECK(record == NULL);
}

/* Fails unless the record is written as `expected`, whether its size is asked for first or not. */
static void check_encoded(const struct rollcall_record *record, const char *expected)
{
    const size_t size_bytes = strlen(expected);
    size_t need_bytes = 0, written_bytes = 0;
    struct rollcall_error error;
    CHECK_INT(rollcall_record_encode(record, NULL, 0, &need_bytes, &error), ROLLCALL_E_TOO_SMALL);
    CHECK_INT(need_bytes, size_bytes);
    char *json = malloc(size_bytes + 1); /* not a byte more, for a sanitizer to see */
    CHECK(json != NULL);
    CHECK_INT(rollcall_record_encode(record, json, size_bytes + 1, &written_bytes, NULL),
              ROLLCALL_OK);
    CHECK_INT(written_bytes, size_bytes);
    CHECK_STR(json, expected);
    free(json);
}

/* ---- decoding ---- */

/* Upstream's TestSessionRawGetters. */
TEST(record, a_decoded_record_gives_back_each_field)
{
    struct rollcall_record *record = decode(
        "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"10.0.0.7:21123\","
        "\"Exclusive\":true,\"Stopping\":true,\"TriggerKill\":true,\"Version\":\"2.4.2\","
        "\"IndexEngineVersion\":{\"CurrentIndexVersion\":4},\"LeaseID\":7587872012345678901,"
        "\"HostName\":\"node-a\",\"ServerLabels\":{\"zone\":\"a\",\"RESOURCE_GROUP\":\"rg\"}}");
    CHECK_INT(record->server_id, 7);
    CHECK_BYTES(record->server_name, "querynode");
    CHECK_BYTES(record->address, "10.0.0.7:21123");
    CHECK(record->exclusive && record->stopping && record->trigger_kill);
    CHECK_BYTES(record->version, "2.4.2");
    CHECK_INT(record->index_engine_version.current, 4);
    CHECK(record->has_lease_id);
    CHECK_INT(record->lease_id, INT64_C(7587872012345678901));
    CHECK_BYTES(record->host_name, "node-a");
    CHECK_INT(record->label_count, 2);
    CHECK_BYTES(record->labels[0].name, "RESOURCE_GROUP");
    CHECK_BYTES(record->labels[1].value, "a");
    rollcall_record_free(record);
}

TEST(record, a_decoded_record_outlives_its_json)
{
    char json[] = "{\"ServerName\":\"querynode\",\"ServerLabels\":{\"a\":\"1\"}}";
    struct rollcall_record *record = decode(json);
    memset(json, 'X', sizeof json);
    CHECK_STR(record->server_name.data, "querynode");
    CHECK_STR(record->labels[0].name.data, "a");
    CHECK_STR(record->labels[0].value.data, "1");
    CHECK_STR(record->address.data, "");
    rollcall_record_free(record);
}

/* Upstream's TestSessionUnmarshal, and worse. */
TEST(record, what_is_no_record_is_corrupt)
{
    check_corrupt(bytes("garbage"));
    check_corrupt(bytes("{\"Version\": \"a.b.c\"}"));
    check_corrupt(bytes(""));
    check_corrupt((struct rollcall_bytes){NULL, 0});
    check_corrupt(bytes("17"));
    check_corrupt(BYTES("{}\0"));
    check_corrupt(BYTES("\0"));
    check_corrupt(bytes("\xFF"));
    check_corrupt(bytes("{\"ServerLabels\":{\"a\":\"1\"},\"ServerID\":\"7\"}"));
}

TEST(record, a_value_of_more_than_two_mebibytes_is_corrupt)
{
    const size_t max_bytes = 2 * 1024 * 1024;
    char *json = malloc(max_bytes + 1);
    CHECK(json != NULL);
    memset(json, 'x', max_bytes + 1);
    memcpy(json, "{\"Address\":\"", 12);
    memcpy(json + max_bytes - 2, "\"} ", 3);
    check_corrupt((struct rollcall_bytes){json, max_bytes + 1});
    struct rollcall_record *record = NULL;
    CHECK_INT(rollcall_record_decode((struct rollcall_bytes){json, max_bytes}, &record, NULL),
              ROLLCALL_OK);
    CHECK_INT(record->address.size_bytes, max_bytes - 14);
    rollcall_record_free(record);
    free(json);
}

TEST(record, freeing_none_does_nothing)
{
    rollcall_record_free(NULL);
}

/* ---- encoding ---- */

/* Upstream's TestSesssionMarshal. */
TEST(record, id_name_address_and_version_survive_a_round_trip)
{
    const struct rollcall_record written = {.server_id = 1,
                                            .server_name = BYTES("test"),
                                            .address = BYTES("localhost"),
                                            .version = BYTES("2.4.2")};
    static const char EXPECTED[] =
        "{\"ServerID\":1,\"ServerName\":\"test\",\"Address\":\"localhost\",\"TriggerKill\":false,"
        "\"Version\":\"2.4.2\",\"IndexEngineVersion\":{}}";
    check_encoded(&written, EXPECTED);
    struct rollcall_record *read = decode(EXPECTED);
    CHECK_INT(read->server_id, 1);
    CHECK_BYTES(read->server_name, "test");
    CHECK_BYTES(read->address, "localhost");
    CHECK_BYTES(read->version, "2.4.2");
    rollcall_record_free(read);
}

static void check_marshal(const struct vector *vector)
{
    char *json = vector->column[2];
    const size_t size_bytes = vector_unhex(json).size_bytes;
    json[size_bytes] = '\0';
    if (strstr(json, "\"Version\":\"\"") != NULL || strstr(json, "\\ufffd") != NULL) {
        return; /* a bare struct, which upstream does not store; bytes that reading has replaced */
    }
    struct rollcall_record *record = decode(json);
    record->omit_trigger_kill = strstr(json, "\"TriggerKill\"") == NULL;
    check_encoded(record, json);
    rollcall_record_free(record);
}

TEST(record, what_go_wrote_is_written_again_byte_for_byte)
{
    CHECK_INT(vectors_each("json.tsv", "marshal", check_marshal), 8);
}

TEST(record, an_empty_record_has_version_zero)
{
    check_encoded(&(struct rollcall_record){0},
                  "{\"TriggerKill\":false,\"Version\":\"0.0.0\",\"IndexEngineVersion\":{}}");
}

TEST(record, nuls_and_bad_utf8_are_escaped)
{
    check_encoded(&(struct rollcall_record){.server_name = BYTES("a\0b"),
                                            .address = BYTES("\xFF\xC3("),
                                            .omit_trigger_kill = true},
                  "{\"ServerName\":\"a\\u0000b\",\"Address\":\"\\ufffd\\ufffd(\","
                  "\"Version\":\"0.0.0\",\"IndexEngineVersion\":{}}");
}

TEST(record, too_little_room_for_json_leaves_it_alone)
{
    const struct rollcall_record record = {.server_id = 1, .version = BYTES("2.4.2")};
    char json[128];
    size_t size_bytes = 0;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_record_encode(&record, json, sizeof json, &size_bytes, NULL), ROLLCALL_OK);
    memset(json, '#', sizeof json);
    const size_t whole_bytes = size_bytes;
    size_bytes = 0;
    CHECK_INT(rollcall_record_encode(&record, json, whole_bytes, &size_bytes, &error),
              ROLLCALL_E_TOO_SMALL);
    CHECK_INT(size_bytes, whole_bytes);
    CHECK_INT(json[0], '#');
    CHECK(strstr(error.text, "the session record takes") != NULL);
    CHECK_INT(rollcall_record_encode(&record, json, whole_bytes + 1, NULL, NULL), ROLLCALL_OK);
    CHECK_INT(json[whole_bytes], '\0');
    CHECK_INT(json[whole_bytes + 1], '#');
}

static void check_invalid(const struct rollcall_record *record, const char *part)
{
    char json[512] = "#";
    size_t size_bytes = 77;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_record_encode(record, json, sizeof json, &size_bytes, &error),
              ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, part) != NULL);
    CHECK_INT(size_bytes, 77);
    CHECK_STR(json, "#");
}

TEST(record, labels_must_be_sorted_and_each_name_once)
{
    const struct rollcall_label unsorted[] = {{BYTES("b"), BYTES("1")}, {BYTES("a"), BYTES("2")}};
    const struct rollcall_label twice[] = {
        {BYTES("a"), BYTES("1")}, {BYTES("b"), BYTES("1")}, {BYTES("b"), BYTES("1")}};
    check_invalid(&(struct rollcall_record){.labels = unsorted, .label_count = 2},
                  "label 1 is not");
    check_invalid(&(struct rollcall_record){.labels = twice, .label_count = 3}, "label 2 is not");
    check_invalid(&(struct rollcall_record){.label_count = 1}, "labels is NULL");
    check_encoded(&(struct rollcall_record){.labels = twice, .label_count = 2},
                  "{\"TriggerKill\":false,\"Version\":\"0.0.0\",\"IndexEngineVersion\":{},"
                  "\"ServerLabels\":{\"a\":\"1\",\"b\":\"1\"}}");
}

TEST(record, a_version_must_be_semver)
{
    check_invalid(&(struct rollcall_record){.version = BYTES("v2.4.2")}, "v2.4.2");
    check_invalid(&(struct rollcall_record){.version = BYTES("2.4.2\0")}, "2.4.2");
}

TEST(record, two_mebibytes_are_written_whole)
{
    const size_t size_bytes = 2 * 1024 * 1024;
    char *text = malloc(size_bytes);
    size_t need_bytes = 0;
    CHECK(text != NULL);
    memset(text, 0, size_bytes); /* \u0000 each */
    const struct rollcall_record record = {.host_name = {text, size_bytes}};
    CHECK_INT(rollcall_record_encode(&record, NULL, 0, &need_bytes, NULL), ROLLCALL_E_TOO_SMALL);
    CHECK_INT(need_bytes, 6 * size_bytes + strlen("{\"TriggerKill\":false,\"Version\":\"0.0.0\","
                                                  "\"IndexEngineVersion\":{},\"HostName\":\"\"}"));
    free(text);
}

/* ---- printing ---- */

/* Upstream's TestSession_String. */
TEST(record, prints_as_upstream_prints_a_session)
{
    char text[128];
    const struct rollcall_record record = {.server_id = INT64_MIN,
                                           .server_name = BYTES("querynode"),
                                           .version = BYTES("2.4.2-rc.1+b")};
    static const char EXPECTED[] =
        "Session:<ServerID: -9223372036854775808, ServerName: querynode, "
        "Version: 2.4.2-rc.1+b>";
    CHECK_INT(rollcall_record_print(&record, text, sizeof text), sizeof EXPECTED - 1);
    CHECK_STR(text, EXPECTED);
    rollcall_record_print(&(struct rollcall_record){0}, text, sizeof text);
    CHECK_STR(text, "Session:<ServerID: 0, ServerName: , Version: 0.0.0>");
}

TEST(record, a_line_is_cut_at_every_capacity)
{
    const struct rollcall_record record = {
        .server_id = 7, .server_name = BYTES("a\0\xFF"), .version = BYTES("2.4.2")};
    static const char EXPECTED[] = "Session:<ServerID: 7, ServerName: a\0\xFF, Version: 2.4.2>";
    CHECK_INT(rollcall_record_print(&record, NULL, 0), sizeof EXPECTED - 1);
    for (size_t capacity_bytes = 1; capacity_bytes <= sizeof EXPECTED; capacity_bytes++) {
        char *text = malloc(capacity_bytes); /* for a sanitizer to see its end */
        CHECK(text != NULL);
        CHECK_INT(rollcall_record_print(&record, text, capacity_bytes), sizeof EXPECTED - 1);
        CHECK(memcmp(text, EXPECTED, capacity_bytes - 1) == 0);
        CHECK_INT(text[capacity_bytes - 1], '\0');
        free(text);
    }
}

/* ---- labels ---- */

/* Upstream's TestGetResourceGroupName. */
TEST(record, a_label_is_found_by_its_whole_name)
{
    CHECK(rollcall_record_label(NULL, ROLLCALL_LABEL_RESOURCE_GROUP) == NULL);
    CHECK(rollcall_record_label(&(struct rollcall_record){0}, ROLLCALL_LABEL_RESOURCE_GROUP) ==
          NULL);
    struct rollcall_record *record =
        decode("{\"ServerLabels\":{\"RESOURCE_GROUP\":\"my_rg\",\"RESOURCE_GROU\":\"x\","
               "\"RESOURCE_GROUP2\":\"y\",\"\":\"z\",\"a\\u0000b\":\"n\"}}");
    CHECK_BYTES(*rollcall_record_label(record, ROLLCALL_LABEL_RESOURCE_GROUP), "my_rg");
    CHECK_BYTES(*rollcall_record_label(record, ""), "z");
    CHECK(rollcall_record_label(record, "resource_group") == NULL);
    CHECK(rollcall_record_label(record, "a") == NULL);
    CHECK(rollcall_record_label(record, "other") == NULL);
    rollcall_record_free(record);
}

/* Upstream's tests of HasNoQueryService. */
TEST(record, only_the_value_1_sets_a_label)
{
    static const char *const OFF[] = {"", "0", "true", "yes", "1 ", "01", "11", "1\\u0000"};
    CHECK(!rollcall_record_label_is_set(NULL, ROLLCALL_LABEL_STREAMING_NOQUERY));
    CHECK(!rollcall_record_label_is_set(&(struct rollcall_record){0},
                                        ROLLCALL_LABEL_STREAMING_NOQUERY));
    for (size_t i = 0; i < sizeof OFF / sizeof OFF[0]; i++) {
        char json[96];
        snprintf(json, sizeof json, "{\"ServerLabels\":{\"STREAMING_NOQUERY\":\"%s\"}}", OFF[i]);
        struct rollcall_record *record = decode(json);
        CHECK_INT(record->label_count, 1);
        CHECK(!rollcall_record_label_is_set(record, ROLLCALL_LABEL_STREAMING_NOQUERY));
        rollcall_record_free(record);
    }
    struct rollcall_record *record = decode("{\"ServerLabels\":{\"STREAMING_NOQUERY\":\"1\"}}");
    CHECK(rollcall_record_label_is_set(record, ROLLCALL_LABEL_STREAMING_NOQUERY));
    CHECK(!rollcall_record_label_is_set(record, ROLLCALL_LABEL_STANDALONE));
    rollcall_record_free(record);
}

/* The labels that a role finds when only this variable is set; fails if they do not fit. */
static struct rollcall_record find(const char *role, const char *variable,
                                   struct rollcall_label *label)
{
    const char *const environment[] = {"PATH=/bin", variable, NULL};
    struct rollcall_record record = {.labels = label};
    CHECK_INT(
        rollcall_labels_from_environment(role, environment, label, 1, &record.label_count, NULL),
        ROLLCALL_OK);
    return record;
}

TEST(record, a_label_of_one_role_in_the_environment_reaches_only_that_role)
{
    static const char VARIABLE[] = "MILVUS_SERVER_LABEL_STREAMINGNODE_STREAMING_NOQUERY=1";
    struct rollcall_label label;
    struct rollcall_record record = find("streamingnode", VARIABLE, &label);
    CHECK(rollcall_record_label_is_set(&record, ROLLCALL_LABEL_STREAMING_NOQUERY));
    record = find("querynode", VARIABLE, &label);
    CHECK_INT(record.label_count, 0);
}

TEST(record, the_environment_of_this_process_can_be_given)
{
    size_t count = 0;
    const enum rollcall_status status = rollcall_labels_from_environment(
        "proxy", (const char *const *)environ, NULL, 0, &count, NULL);
    CHECK_INT(status, count == 0 ? ROLLCALL_OK : ROLLCALL_E_TOO_SMALL);
}

static void check_variable(const char *role, const char *label, const char *expected)
{
    char name[128];
    CHECK_INT(rollcall_label_variable(role, label, name, sizeof name), strlen(expected));
    CHECK_STR(name, expected);
}

/* Upstream's TestServerLabels. */
TEST(record, the_variable_of_a_label_is_in_capitals)
{
    check_variable("querynode", ROLLCALL_LABEL_STREAMING_EMBEDDED,
                   "MILVUS_SERVER_LABEL_QUERYNODE_STREAMING-EMBEDDED");
    check_variable("", ROLLCALL_LABEL_STANDALONE, "MILVUS_SERVER_LABEL_STANDALONE");
    check_variable(NULL, "resource_group", "MILVUS_SERVER_LABEL_RESOURCE_GROUP");
    check_variable("qn", "az{`@[_9", "MILVUS_SERVER_LABEL_QN_AZ{`@[_9");
    check_variable(NULL, "caf\xC3\xA9\xE1", "MILVUS_SERVER_LABEL_CAF\xC3\xA9\xE1");
    check_variable(NULL, "", "MILVUS_SERVER_LABEL_");
}

TEST(record, the_variable_of_a_label_is_found_again)
{
    static const char *const ROLES[] = {"",         "mixcoord",      "querynode",
                                        "datanode", "streamingnode", "proxy"};
    for (size_t i = 0; i < sizeof ROLES / sizeof ROLES[0]; i++) {
        char variable[128];
        struct rollcall_label label;
        const size_t size_bytes = rollcall_label_variable(ROLES[i], ROLLCALL_LABEL_RESOURCE_GROUP,
                                                          variable, sizeof variable);
        snprintf(variable + size_bytes, sizeof variable - size_bytes, "=rg");
        const struct rollcall_record record = find(ROLES[i], variable, &label);
        CHECK_INT(record.label_count, 1);
        CHECK_BYTES(*rollcall_record_label(&record, ROLLCALL_LABEL_RESOURCE_GROUP), "rg");
    }
}

TEST(record, the_name_of_a_variable_is_cut_at_every_capacity)
{
    static const char EXPECTED[] = "MILVUS_SERVER_LABEL_QN_AB";
    CHECK_INT(rollcall_label_variable("qn", "ab", NULL, 0), sizeof EXPECTED - 1);
    for (size_t capacity_bytes = 1; capacity_bytes <= sizeof EXPECTED; capacity_bytes++) {
        char *name = malloc(capacity_bytes); /* for a sanitizer to see its end */
        CHECK(name != NULL);
        CHECK_INT(rollcall_label_variable("qn", "ab", name, capacity_bytes), sizeof EXPECTED - 1);
        CHECK(strncmp(name, EXPECTED, capacity_bytes - 1) == 0);
        CHECK_INT(name[capacity_bytes - 1], '\0');
        free(name);
    }
}

/* ---- keys and versions ---- */

static void check_prefix(const char *root, const char *role, const char *expected)
{
    char key[128];
    size_t size_bytes = 0;
    CHECK_INT(rollcall_key_prefix(root, role, key, sizeof key, &size_bytes, NULL), ROLLCALL_OK);
    CHECK_STR(key, expected);
    CHECK_INT(size_bytes, strlen(expected));
}

/* Upstream's TestGetSessionPrefixByRole. */
TEST(record, the_keys_of_a_role_begin_with_root_session_and_role)
{
    check_prefix(NULL, "querynode", "by-dev/meta/session/querynode");
    check_prefix("/by-dev//meta/", "rootcoord", "/by-dev/meta/session/rootcoord");
    check_prefix("", "proxy", "session/proxy");
}

TEST(record, a_key_of_no_role_or_no_root_is_refused)
{
    static const char *const PAIRS[][2] = {{"r", NULL}, {"r", ""},     {"r", "a/b"},
                                           {"r", ".."}, {"r", "id"},   {"r", "a-1"},
                                           {"..", "a"}, {"a\nb", "a"}, {"r", "\xFF"}};
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        char key[64] = "#";
        size_t size_bytes = 77;
        struct rollcall_error error = {0};
        CHECK_INT(
            rollcall_key_prefix(PAIRS[i][0], PAIRS[i][1], key, sizeof key, &size_bytes, &error),
            ROLLCALL_E_INVALID);
        CHECK(error.text[0] != '\0');
        CHECK_STR(key, "#");
        CHECK_INT(size_bytes, 77);
    }
}

TEST(record, too_little_room_for_a_key_leaves_it_alone)
{
    static const char EXPECTED[] = "r/session/a";
    char key[sizeof EXPECTED] = "#";
    size_t size_bytes = 0;
    CHECK_INT(rollcall_key_prefix("r", "a", NULL, 0, &size_bytes, NULL), ROLLCALL_E_TOO_SMALL);
    CHECK_INT(size_bytes, sizeof EXPECTED - 1);
    CHECK_INT(rollcall_key_prefix("r", "a", key, sizeof key - 1, NULL, NULL), ROLLCALL_E_TOO_SMALL);
    CHECK_STR(key, "#");
    CHECK_INT(rollcall_key_prefix("r", "a", key, sizeof key, NULL, NULL), ROLLCALL_OK);
    CHECK_STR(key, EXPECTED);
}

static bool in_range(const char *version, const char *range)
{
    bool is_in = false;
    struct rollcall_error error;
    if (rollcall_version_in_range(version, range, &is_in, &error) != ROLLCALL_OK) {
        CHECK_FAIL(error.text);
    }
    return is_in;
}

TEST(record, a_version_is_in_a_range_or_not)
{
    CHECK(in_range("2.2.3", ">=2.2.3"));
    CHECK(!in_range("2.2.3-rc.1", ">=2.2.3"));
    CHECK(!in_range("0.0.0", ">1.0.0 <=2.1.0"));
    CHECK(in_range("2.1.0", ">1.0.0 <=2.1.0"));
    CHECK(!in_range("2.2.0+dev", ">2.2.0"));
    CHECK(in_range("4.0.1", "<1.0.0 || 4.x"));
}

TEST(record, odd_ranges_are_read_by_our_rules_not_upstreams)
{
    bool is_in = false;
    CHECK(in_range("1.9.9", "1.x.x"));
    CHECK(in_range("1.3.0", "!=1.2.x"));
    CHECK_INT(rollcall_version_in_range("2.0.0", ">1.0.0 || || <0.5.0", &is_in, NULL),
              ROLLCALL_E_INVALID);
}

TEST(record, a_bad_version_or_range_leaves_the_answer_alone)
{
    static const char *const PAIRS[][2] = {{"2.4", ">1.0.0"},    {"", ">1.0.0"},  {NULL, ">1.0.0"},
                                           {"v2.4.2", ">1.0.0"}, {"2.4.2", ""},   {"2.4.2", NULL},
                                           {"2.4.2", "~1.0.0"},  {"\xFF", "\xFF"}};
    for (size_t i = 0; i < sizeof PAIRS / sizeof PAIRS[0]; i++) {
        for (int before = 0; before < 2; before++) {
            bool is_in = before != 0;
            struct rollcall_error error = {0};
            CHECK_INT(rollcall_version_in_range(PAIRS[i][0], PAIRS[i][1], &is_in, &error),
                      ROLLCALL_E_INVALID);
            CHECK(error.text[0] != '\0');
            CHECK_INT(is_in, before != 0);
        }
    }
}

TEST(record, a_version_and_a_range_of_two_mebibytes_are_answered)
{
    const size_t size_bytes = 2 * 1024 * 1024;
    char *text = malloc(size_bytes + 1);
    bool is_in = false;
    CHECK(text != NULL);
    memset(text, 'a', size_bytes);
    text[size_bytes] = '\0';
    memcpy(text, "1.0.0-", 6);
    CHECK(in_range(text, "<1.0.0"));
    CHECK_INT(rollcall_version_in_range("1.0.0", text, &is_in, NULL), ROLLCALL_E_INVALID);
    free(text);
}

#include "session/labels.h"

#include "base/buffer.h"
#include "support/test.h"

#include <stdlib.h>

#define P ROLLCALL__LABEL_VARIABLE_PREFIX

enum { ROOM = 8 };

/* What a role finds in an environment. */
struct found {
    enum rollcall_status status;
    struct rollcall_label labels[ROOM];
    size_t count;
    struct rollcall_error error;
};

static struct found find(const char *role, const char *const *environment, size_t capacity)
{
    struct found found = {.count = 99};
    found.status = rollcall__labels_from_environment(role, environment, found.labels, capacity,
                                                     &found.count, &found.error);
    return found;
}

/* Fails unless the role finds exactly the labels of `expected`, "name=value" each, in order. */
static void check_found(const char *role, const char *const *environment,
                        const char *const *expected)
{
    const struct found found = find(role, environment, ROOM);
    size_t i = 0;
    CHECK_INT(found.status, ROLLCALL_OK);
    for (; expected[i] != NULL; i++) {
        struct rollcall__buffer label = {0};
        CHECK(i < found.count);
        const struct rollcall_bytes name = found.labels[i].name, value = found.labels[i].value;
        rollcall__buffer_append(&label, name.data, name.size_bytes);
        rollcall__buffer_text(&label, "=");
        rollcall__buffer_append(&label, value.data, value.size_bytes);
        CHECK_BYTES(rollcall__buffer_bytes(&label), expected[i]);
        rollcall__buffer_free(&label);
    }
    CHECK_INT(found.count, i);
}

#define ENVIRONMENT(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LABELS(...) ENVIRONMENT(__VA_ARGS__)

/* Upstream's TestGetSessions and TestGetServerLabelsFromEnv. */
TEST(labels, a_role_finds_its_own_labels_in_front_of_everybodys)
{
    const char *const *environment =
        ENVIRONMENT(P "key1=value1", P "key2=value2", P "key3=value3", P "qn_key3=value33",
                    P "sn_key3=value33", "key4=value4", P "=value5", P "qn=value6");
    const char *const *own = LABELS("key1=value1", "key2=value2", "key3=value33");
    const char *const *general = LABELS("key1=value1", "key2=value2", "key3=value3");
    static const char *const OTHERS[] = {"proxy",     "datanode",  "mixcoord",  "rootcoord",
                                         "datacoord", "indexnode", "standalone"};
    check_found("querynode", environment, own);
    check_found("streamingnode", environment, own);
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        check_found(OTHERS[i], environment, general);
    }
    check_found(NULL, environment, general);
}

TEST(labels, the_role_wins_whatever_comes_first)
{
    check_found("proxy", ENVIRONMENT(P "PROXY_a=own", P "a=general"), LABELS("a=own"));
    check_found("proxy", ENVIRONMENT(P "a=general", P "PROXY_a=own"), LABELS("a=own"));
}

TEST(labels, each_word_of_a_group_stands_for_one_role_in_any_case_of_letters)
{
    static const char *const WORDS[][2] = {{"mixcoord", "mixcoord"},
                                           {"COORD", "mixcoord"},
                                           {"QueryNode", "querynode"},
                                           {"QN", "querynode"},
                                           {"DATANODE", "datanode"},
                                           {"dN", "datanode"},
                                           {"STREAMINGNODE", "streamingnode"},
                                           {"sn", "streamingnode"},
                                           {"Proxy", "proxy"}};
    static const char *const ROLES[] = {"mixcoord", "querynode", "datanode", "streamingnode",
                                        "proxy"};
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++) {
        char variable[64];
        snprintf(variable, sizeof variable, P "%s_Zone=a", WORDS[i][0]);
        for (size_t k = 0; k < sizeof ROLES / sizeof ROLES[0]; k++) {
            const bool own = strcmp(ROLES[k], WORDS[i][1]) == 0;
            check_found(ROLES[k], ENVIRONMENT(variable), own ? LABELS("Zone=a") : LABELS(NULL));
        }
    }
}

/* An alias is a word of the variable, not a role: a role of that name has no group. */
TEST(labels, a_role_named_like_an_alias_finds_only_everybodys)
{
    check_found("qn", ENVIRONMENT(P "qn_a=1", P "b=2"), LABELS("b=2"));
    check_found("QUERYNODE", ENVIRONMENT(P "querynode_a=1", P "b=2"), LABELS("b=2"));
}

TEST(labels, a_word_that_only_looks_like_a_group_belongs_to_the_label)
{
    check_found("querynode",
                ENVIRONMENT(P "STREAMING_NOQUERY=1", P "qnx_a=1", P "q_a=1", P "_qn_a=1",
                            P "querynode-1_a=1", P "rootcoord_a=1"),
                LABELS("STREAMING_NOQUERY=1", "_qn_a=1", "q_a=1", "qnx_a=1", "querynode-1_a=1",
                       "rootcoord_a=1"));
}

TEST(labels, the_rest_of_a_name_keeps_its_underscores_and_case)
{
    check_found(
        "querynode",
        ENVIRONMENT(P "QN_Resource_GROUP_=rg", P "qn__a=1", P "QUERYNODE_STREAMING-EMBEDDED=1"),
        LABELS("Resource_GROUP_=rg", "STREAMING-EMBEDDED=1", "_a=1"));
}

TEST(labels, what_has_no_name_or_no_value_is_passed_over)
{
    check_found("querynode",
                ENVIRONMENT(P, P "a", P "=1", P "qn=1", P "qn_=1", P "QN_", "", "=", "=a=b",
                            "MILVUS_SERVER_LABEL=1", "milvus_server_label_a=1", "X" P "a=1",
                            "A=" P "a=1"),
                LABELS(NULL));
}

TEST(labels, a_value_may_be_empty_and_may_have_equals_signs)
{
    const struct found found = find(NULL, ENVIRONMENT(P "a=", P "b==x=y="), ROOM);
    CHECK_INT(found.count, 2);
    CHECK_BYTES(found.labels[0].name, "a");
    CHECK_BYTES(found.labels[0].value, "");
    CHECK_BYTES(found.labels[1].name, "b");
    CHECK_BYTES(found.labels[1].value, "=x=y=");
}

/* Upstream cuts by code points where it counted bytes. */
TEST(labels, are_cut_by_bytes)
{
    check_found("querynode",
                ENVIRONMENT(P "qn_caf\xC3\xA9=\xE2\x82\xAC", P "\xFF=\xC3", P "\xF0\x9F\x98\x80=x"),
                LABELS("caf\xC3\xA9=\xE2\x82\xAC", "\xF0\x9F\x98\x80=x", "\xFF=\xC3"));
}

TEST(labels, of_equal_variables_the_later_one_wins)
{
    check_found("querynode", ENVIRONMENT(P "querynode_a=1", P "QN_a=2", P "b=1", P "b=2"),
                LABELS("a=2", "b=2"));
    check_found("querynode", ENVIRONMENT(P "QN_a=2", P "querynode_a=1"), LABELS("a=1"));
}

TEST(labels, are_views_of_the_environment)
{
    const char *const *environment = ENVIRONMENT(P "a=bc");
    const struct found found = find(NULL, environment, 1);
    CHECK_INT(found.count, 1);
    CHECK(found.labels[0].name.data == strstr(environment[0], "a="));
    CHECK(found.labels[0].value.data == strstr(environment[0], "bc"));
}

TEST(labels, too_little_room_says_how_much_it_takes_and_writes_nothing)
{
    const char *const *environment = ENVIRONMENT(P "a=1", P "b=2", P "qn_a=3", P "c=4");
    struct found found = find("querynode", environment, 2);
    CHECK_INT(found.status, ROLLCALL_E_TOO_SMALL);
    CHECK_INT(found.error.status, ROLLCALL_E_TOO_SMALL);
    CHECK(strstr(found.error.text, "3 labels") != NULL);
    CHECK_INT(found.count, 3);
    CHECK(found.labels[0].name.data == NULL && found.labels[1].name.data == NULL);
    CHECK_INT(find("querynode", environment, 3).status, ROLLCALL_OK);
    size_t count = 0;
    CHECK_INT(rollcall__labels_from_environment("querynode", environment, NULL, 0, &count, NULL),
              ROLLCALL_E_TOO_SMALL);
    CHECK_INT(count, 3);
}

TEST(labels, an_environment_without_any_needs_no_room)
{
    size_t count = 9;
    CHECK_INT(rollcall__labels_from_environment("proxy", NULL, NULL, 0, &count, NULL), ROLLCALL_OK);
    CHECK_INT(count, 0);
    count = 9;
    CHECK_INT(rollcall__labels_from_environment("proxy", ENVIRONMENT("HOME=/", P "qn_a=1"), NULL, 0,
                                                &count, NULL),
              ROLLCALL_OK);
    CHECK_INT(count, 0);
}

/* As many variables as a process can be started with; comparing each with each would take minutes.
 */
TEST(labels, a_huge_environment_is_sorted)
{
    enum { COUNT = 60000, SIZE_BYTES = 40 };
    char *texts = malloc((size_t)COUNT * SIZE_BYTES);
    const char **environment = malloc((COUNT + 1) * sizeof *environment);
    struct rollcall_label *labels = malloc(COUNT * sizeof *labels);
    size_t count = 0, at = 0;
    CHECK(texts != NULL && environment != NULL && labels != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        char *text = texts + i * SIZE_BYTES;
        snprintf(text, SIZE_BYTES, P "%zu=%zu", (i * 7919) % (COUNT / 2), i);
        environment[i] = text;
    }
    environment[COUNT] = NULL;
    CHECK_INT(rollcall__labels_from_environment("proxy", environment, labels, COUNT, &count, NULL),
              ROLLCALL_OK);
    CHECK_INT(count, COUNT / 2);
    CHECK(rollcall__labels_sorted(labels, count, &at));
    free(labels);
    free(environment);
    free(texts);
}

TEST(labels, a_value_of_two_mebibytes_is_found_whole)
{
    const size_t size_bytes = 2 * 1024 * 1024, name_bytes = sizeof(P "a=") - 1;
    char *text = malloc(name_bytes + size_bytes + 1);
    CHECK(text != NULL);
    memcpy(text, P "a=", name_bytes);
    memset(text + name_bytes, 'x', size_bytes);
    text[name_bytes + size_bytes] = '\0';
    const struct found found = find(NULL, ENVIRONMENT(text), ROOM);
    CHECK_INT(found.count, 1);
    CHECK_INT(found.labels[0].value.size_bytes, size_bytes);
    free(text);
}

TEST(labels, are_sorted_when_each_name_is_above_the_one_before)
{
    const struct rollcall_label labels[] = {{{"", 0}, {"", 0}},
                                            {{"\0", 1}, {"", 0}},
                                            {{"a", 1}, {"", 0}},
                                            {{"a", 1}, {"", 0}},
                                            {{"B", 1}, {"", 0}}};
    size_t at = 0;
    CHECK(rollcall__labels_sorted(NULL, 0, &at));
    CHECK(rollcall__labels_sorted(labels, 3, &at));
    CHECK(!rollcall__labels_sorted(labels, 4, &at));
    CHECK_INT(at, 3);
    CHECK(!rollcall__labels_sorted(labels + 3, 2, &at));
    CHECK_INT(at, 1);
}

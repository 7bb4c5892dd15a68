/*
 * Stored records through the public calls, against a real etcd: what is listed by version and by
 * prefix, what garbage does to a list, and what becomes of labels.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

enum { TTL_S = 60, COMPONENTS = 3 };

static struct rollcall_session *open_with(const struct api_scene *scene,
                                          const struct rollcall_session_options *options)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    const enum rollcall_status status =
        rollcall_session_open(scene->etcd, options, &session, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static struct rollcall_record *decode(const char *json)
{
    struct rollcall_record *record = NULL;
    struct rollcall_error error = {0};
    const struct rollcall_bytes bytes = {json, strlen(json)};
    CHECK_INT(rollcall_record_decode(bytes, &record, &error), ROLLCALL_OK);
    return record;
}

/* The record that is stored for a session, read back. */
static struct rollcall_record *stored_record(const struct api_scene *scene,
                                             struct rollcall_session *session)
{
    const struct api_stored stored = api_stored(scene, api_info(session).key);
    CHECK(stored.there);
    return decode(stored.value);
}

/* ---- printing ---- */

static void check_printed(struct rollcall_session *session, const char *expected)
{
    struct rollcall_record *record = NULL;
    char text[256];
    CHECK_INT(rollcall_session_get_record(session, &record, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_record_print(record, text, sizeof text), strlen(expected));
    CHECK_STR(text, expected);
    rollcall_record_free(record);
}

/* TestSession_String: of one that is not registered, too. */
TEST(records, of_a_session_are_printed_before_and_after_it_has_registered)
{
    struct api_scene scene, nobody;
    struct rollcall_session *session = NULL;
    api_scene_open(&scene, etcd_fixture_shared());
    api_scene_open(&nobody, "127.0.0.1:1");
    const enum rollcall_status status = rollcall_session_start(
        nobody.etcd, ROLLCALL_SESSION_OPTIONS(.role = "querynode", .address = "a:1"), &session,
        NULL);
    CHECK_INT(status, ROLLCALL_OK);
    check_printed(session, "Session:<ServerID: 0, ServerName: querynode, Version: 2.4.2>");
    CHECK_INT(rollcall_session_close(session, 0), ROLLCALL_OK);
    session = api_open(&scene, "querynode", 7, TTL_S, NULL);
    check_printed(session, "Session:<ServerID: 7, ServerName: querynode, Version: 2.4.2>");
    close_session(session);
    api_scene_close(&nobody);
    api_scene_close(&scene);
}

/* ---- version ranges ---- */

/* SessionWithVersionSuite: three components, the last with build metadata. */
static void open_components(const struct api_scene *scene, struct rollcall_session **components)
{
    static const char *const versions[COMPONENTS] = {"0.0.0", "2.1.0", "2.2.0+dev"};
    int64_t revision = 0;
    for (int i = 0; i < COMPONENTS; i++) {
        components[i] = open_with(
            scene, ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "sessionComp",
                                            .address = "10.0.0.7:1", .version = versions[i]));
        CHECK(api_info(components[i]).revision > revision);
        revision = api_info(components[i]).revision;
    }
}

static void close_components(struct rollcall_session **components)
{
    for (int i = 0; i < COMPONENTS; i++) {
        close_session(components[i]);
    }
}

/* raw: whatever begins with the role, as upstream lists. */
static void check_listed(const struct api_scene *scene, const char *role, bool raw,
                         const char *range, int64_t count, int64_t skipped)
{
    struct api_watch_log listed;
    struct rollcall_error error = {0};
    api_watch_log_init(&listed);
    const enum rollcall_status status = rollcall_list(
        scene->etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = role, .raw_prefix = raw,
                               .version_range = range, .on_event = api_watch_note, .user = &listed),
        API_SOON_MS, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    CHECK_INT(api_watch_last(&listed).type, ROLLCALL_WATCH_SNAPSHOT_END);
    CHECK_INT(api_watch_last(&listed).count, count);
    CHECK_INT(api_watch_last(&listed).skipped, skipped);
    CHECK_INT(api_watch_total(&listed), count + 2);
    api_watch_check(&listed);
    api_watch_log_fini(&listed);
}

/* TestGetSessionsWithRangeVersion */
TEST(records, are_listed_by_a_range_of_versions)
{
    struct api_scene scene;
    struct rollcall_session *components[COMPONENTS];
    api_scene_open(&scene, etcd_fixture_shared());
    open_components(&scene, components);
    check_listed(&scene, "sessionComp", false, ">1.0.0", 2, 0);
    check_listed(&scene, "sessionComp", false, ">2.1.0", 1, 0);
    check_listed(&scene, "sessionComp", false, ">2.2.0", 0, 0);
    check_listed(&scene, "sessionComp", false, ">=2.2.0", 1, 0);
    check_listed(&scene, "sessionComp", false, NULL, COMPONENTS, 0);
    close_components(components);
    api_scene_close(&scene);
}

/* TestGetSessionsWithRangeVersion with garbage, D-16: one bad value fails upstream's whole list. */
TEST(records, that_are_garbage_are_counted_and_hide_nobody)
{
    struct api_scene scene;
    struct rollcall_session *components[COMPONENTS];
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    open_components(&scene, components);
    snprintf(key, sizeof key, "%s/session/sessionComp/garbage", scene.root);
    api_store(&scene, key, "garbage", 0);
    snprintf(key, sizeof key, "%s/session/sessionComp/garbage_1", scene.root);
    api_store(&scene, key, "{\"Version\": \"a.b.c\"}", 0);
    check_listed(&scene, "sessionComp", true, ">=0.0.0", COMPONENTS, 2);
    check_listed(&scene, "sessionComp", false, ">=0.0.0", COMPONENTS, 0); /* no session's keys */
    snprintf(key, sizeof key, "%s/session/sessionComp-90", scene.root);
    api_store(&scene, key, "{\"Version\": \"a.b.c\"}", 0);
    check_listed(&scene, "sessionComp", false, ">=0.0.0", COMPONENTS, 1);
    check_listed(&scene, "sessionComp", true, NULL, COMPONENTS, 3);
    close_components(components);
    api_scene_close(&scene);
}

/* Upstream's watchers skip it too; one that can be read after it is new. */
TEST(records, with_an_unreadable_version_are_skipped_by_a_watch_until_they_can_be_read)
{
    struct api_scene scene;
    struct api_watch_log watched;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&watched);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &watched);
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    snprintf(key, sizeof key, "%s/session/querynode-90", scene.root);
    api_store(&scene, key, "{\"Version\": \"a.b.c\"}", 0);
    api_store(&scene, key, "{}", 0); /* readable: all is unset, and the version 0.0.0 */
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_ADD, 1, API_SOON_MS));
    CHECK_STR(api_watch_last(&watched).value, "{}");
    CHECK_INT(api_watch_total(&watched), 3);
    check_listed(&scene, "querynode", false, ">=0.0.0", 1, 0);
    check_listed(&scene, "querynode", false, ">0.0.0", 0, 0);
    api_watch_close(watch, &watched);
    api_watch_check(&watched);
    api_watch_log_fini(&watched);
    api_scene_close(&scene);
}

/* ---- prefixes ---- */

/* TestGetSessionPrefixByRole: it is what etcd's own clients find the sessions by. */
TEST(records, are_found_by_the_prefix_of_their_role_and_so_are_namesakes)
{
    struct api_scene scene;
    struct api_watch_log watched;
    struct rollcall_error error;
    char prefix[128], script[512], keys[1024];
    size_t size_bytes = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *mine = api_open(&scene, "querynode", 1, TTL_S, NULL);
    struct rollcall_session *namesake = api_open(&scene, "querynode2", 1, TTL_S, NULL);
    struct rollcall_session *other = api_open(&scene, "proxy", 1, TTL_S, NULL);
    CHECK_INT(
        rollcall_key_prefix(scene.root, "querynode", prefix, sizeof prefix, &size_bytes, &error),
        ROLLCALL_OK);
    CHECK_INT(size_bytes, strlen(prefix));
    snprintf(script, sizeof script, "etcdctl get --prefix --keys-only '%s' | grep .", prefix);
    api_etcdctl(&scene, script, keys, sizeof keys);
    snprintf(script, sizeof script, "%s-1\n%s2-1\n", prefix, prefix);
    CHECK_STR(keys, script);
    api_watch_log_init(&watched);
    const enum rollcall_status status = rollcall_list(
        scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = strrchr(prefix, '/') + 1,
                               .raw_prefix = true, .on_event = api_watch_note, .user = &watched),
        API_SOON_MS, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    CHECK_INT(api_watch_last(&watched).count, 2);
    check_listed(&scene, "querynode", false, NULL, 1, 0);
    check_listed(&scene, "query", true, NULL, 2, 0);
    check_listed(&scene, "query", false, NULL, 0, 0);
    api_watch_log_fini(&watched);
    close_session(other);
    close_session(namesake);
    close_session(mine);
    api_scene_close(&scene);
}

TEST(records, of_a_raw_prefix_are_watched_as_they_come_and_go)
{
    struct api_scene scene;
    struct api_watch_log watched;
    struct rollcall_watch *watch = NULL;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&watched);
    const enum rollcall_status status = rollcall_watch_open(
        scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = "query", .raw_prefix = true,
                               .on_event = api_watch_note, .user = &watched),
        &watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    struct rollcall_session *sessions[2] = {api_open(&scene, "querynode", 1, TTL_S, NULL),
                                            api_open(&scene, "querycoord", 2, TTL_S, NULL)};
    struct rollcall_session *other = api_open(&scene, "proxy", 3, TTL_S, NULL);
    CHECK(api_watch_await_told(&watched, 2, API_SOON_MS));
    close_session(other);
    close_session(sessions[0]);
    close_session(sessions[1]);
    CHECK(api_watch_await_told(&watched, 0, API_SOON_MS));
    CHECK_INT(api_watch_count(&watched, ROLLCALL_WATCH_DELETE), 2);
    api_watch_close(watch, &watched);
    api_watch_check(&watched);
    api_watch_log_fini(&watched);
    api_scene_close(&scene);
}

/* ---- labels ---- */

static void check_label(const struct rollcall_record *record, const char *name,
                        const char *expected)
{
    const struct rollcall_bytes *value = rollcall_record_label(record, name);
    CHECK(value != NULL);
    CHECK_BYTES(*value, expected);
}

/* TestGetSessions N */
TEST(records, of_every_role_hold_the_labels_of_its_environment)
{
    static const char *const environment[] = {"MILVUS_SERVER_LABEL_key1=value1",
                                              "MILVUS_SERVER_LABEL_key2=value2",
                                              "MILVUS_SERVER_LABEL_key3=value3",
                                              "MILVUS_SERVER_LABEL_qn_key3=value33",
                                              "MILVUS_SERVER_LABEL_sn_key3=value33",
                                              "MILVUS_SERVER_LABEL_=value5",
                                              "MILVUS_SERVER_LABEL_qn=value6",
                                              "key4=value4",
                                              NULL};
    static const char *const roles[] = {"mixcoord",      "rootcoord", "proxy",      "datanode",
                                        "streamingnode", "querynode", "querycoord", "datacoord"};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        const bool special =
            strcmp(roles[i], "querynode") == 0 || strcmp(roles[i], "streamingnode") == 0;
        struct rollcall_session *session =
            open_with(&scene, ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = roles[i],
                                                       .address = "10.0.0.7:1", .server_id = 1,
                                                       .environment = environment));
        struct rollcall_record *record = stored_record(&scene, session);
        CHECK_INT(record->label_count, 3);
        check_label(record, "key1", "value1");
        check_label(record, "key2", "value2");
        check_label(record, "key3", special ? "value33" : "value3");
        rollcall_record_free(record);
        close_session(session);
    }
    api_scene_close(&scene);
}

/* TestGetResourceGroupName */
TEST(records, name_their_resource_group_only_when_they_have_one)
{
    static const char *const mine[] = {"MILVUS_SERVER_LABEL_QN_RESOURCE_GROUP=my_rg", NULL};
    static const struct rollcall_label other = {{"zone", 4}, {"eu", 2}};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    CHECK(rollcall_record_label(NULL, ROLLCALL_LABEL_RESOURCE_GROUP) == NULL);
    for (int i = 0; i < 3; i++) {
        struct rollcall_session *session = open_with(
            &scene, ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                             .address = "10.0.0.7:1", .server_id = 1,
                                             .labels = &other, .label_count = i == 0 ? 0 : 1,
                                             .environment = i == 2 ? mine : NULL));
        struct rollcall_record *record = stored_record(&scene, session);
        if (i < 2) {
            CHECK(rollcall_record_label(record, ROLLCALL_LABEL_RESOURCE_GROUP) == NULL);
        } else {
            check_label(record, ROLLCALL_LABEL_RESOURCE_GROUP, "my_rg");
            check_label(record, "zone", "eu");
        }
        rollcall_record_free(record);
        close_session(session);
    }
    api_scene_close(&scene);
}

/* HasNoQueryService: only "1" counts. */
TEST(records, have_no_query_service_only_when_their_label_is_1)
{
    static const char *const values[] = {"1", "", "0", "true", "yes"};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    for (size_t i = 0; i <= sizeof values / sizeof values[0]; i++) {
        const char *value = i == 0 ? "" : values[i - 1];
        const struct rollcall_label label = {
            {ROLLCALL_LABEL_STREAMING_NOQUERY, strlen(ROLLCALL_LABEL_STREAMING_NOQUERY)},
            {value, strlen(value)}};
        struct rollcall_session *session = open_with(
            &scene, ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "streamingnode",
                                             .address = "10.0.0.7:1", .server_id = 1,
                                             .labels = &label, .label_count = i == 0 ? 0 : 1));
        struct rollcall_record *record = stored_record(&scene, session);
        CHECK_INT(rollcall_record_label_is_set(record, ROLLCALL_LABEL_STREAMING_NOQUERY), i == 1);
        rollcall_record_free(record);
        close_session(session);
    }
    api_scene_close(&scene);
}

/* HasNoQueryService: the environment of one role reaches that role alone. */
TEST(records, have_no_query_service_by_the_environment_of_their_own_role_alone)
{
    static const char *const roles[] = {"streamingnode", "querynode", "proxy", "mixcoord"};
    char variable[128] = "";
    const char *environment[2] = {variable, NULL};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    const size_t size_bytes = rollcall_label_variable(
        "streamingnode", ROLLCALL_LABEL_STREAMING_NOQUERY, variable, sizeof variable);
    CHECK(size_bytes < sizeof variable);
    snprintf(variable + size_bytes, sizeof variable - size_bytes, "=1");
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct rollcall_session *session =
            open_with(&scene, ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = roles[i],
                                                       .address = "10.0.0.7:1", .server_id = 1,
                                                       .environment = environment));
        struct rollcall_record *record = stored_record(&scene, session);
        CHECK_INT(rollcall_record_label_is_set(record, ROLLCALL_LABEL_STREAMING_NOQUERY), i == 0);
        rollcall_record_free(record);
        close_session(session);
    }
    api_scene_close(&scene);
}

/*
 * Registering through the public calls, against a real etcd: what options do, what is refused, and
 * that a key which another holds is neither taken nor paid for with leases.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

/* LATE_MS: what a busy machine may add. */
enum { TTL_S = 60, BUDGET_MS = 500, LATE_MS = 3000 };

static const char *const ADDRESS = "10.0.0.7:21123";
static const char *const HOST = "node-7";

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static struct rollcall_session *start(const struct api_scene *scene,
                                      const struct rollcall_session_options *options)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_session_start(scene->etcd, options, &session, &error), ROLLCALL_OK);
    return session;
}

/* Of role querynode with a server ID that somebody has. */
static struct rollcall_session *start_beside(const struct api_scene *scene, int64_t ttl_s,
                                             uint32_t retries)
{
    return start(scene, ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                                 .address = "10.0.0.8:1", .server_id = 7,
                                                 .ttl_s = ttl_s, .retries = retries));
}

/* ---- that it works ---- */

/* TestInit */
TEST(registering, gives_a_server_id_and_a_listed_key_with_a_lease)
{
    struct api_scene scene;
    struct api_watch_log listed;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&listed);
    struct rollcall_session *session = api_open(&scene, "inittest", 0, 0, NULL);
    const struct rollcall_session_info info = api_info(session);
    CHECK(info.server_id != 0);
    api_list(&scene, "inittest", &listed);
    CHECK_INT(api_watch_total(&listed), 3);
    snprintf(key, sizeof key, "%s/session/inittest-%" PRId64, scene.root, info.server_id);
    CHECK_STR(api_watch_at(&listed, 1).key, key);
    CHECK_INT(api_watch_at(&listed, 1).server_id, info.server_id);
    CHECK_INT(api_watch_at(&listed, 1).lease_id, info.lease_id);
    CHECK(info.lease_id != 0);
    close_session(session);
    api_watch_log_fini(&listed);
    api_scene_close(&scene);
}

/* TestInitNoArgs: what is given when nothing is asked for. */
TEST(registering, with_role_and_address_alone_has_upstream_s_defaults)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL); /* its root is everybody's */
    struct api_scene scene;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *session =
        start(&scene, ROLLCALL_SESSION_OPTIONS(.role = "inittest", .address = "testAddr"));
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info info = api_info(session);
    CHECK_INT(info.server_id, 1);
    CHECK_STR(info.key, "by-dev/meta/session/inittest-1");
    CHECK_INT(api_lease_ttl_s(&scene, info.lease_id), 30);
    const struct api_stored stored = api_stored(&scene, info.key);
    api_check_contains(stored.value, "{\"ServerID\":1,\"ServerName\":\"inittest\","
                                     "\"Address\":\"testAddr\",\"TriggerKill\":false,"
                                     "\"Version\":\"2.4.2\",\"IndexEngineVersion\":{},"
                                     "\"LeaseID\":");
    api_check_contains(stored.value, "\"HostName\":\"");
    CHECK_STR(api_stored(&scene, "by-dev/meta/session/id").value, "2");
    close_session(session);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* TestSession_apply: WithTTL. */
TEST(registering, takes_the_ttl_that_was_asked_for_and_says_what_etcd_granted)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 100, NULL);
    CHECK_INT(api_info(session).ttl_s, 100);
    CHECK_INT(api_lease_ttl_s(&scene, api_info(session).lease_id), 100);
    CHECK(api_lease_left_s(&scene, api_info(session).lease_id) <= 100);
    close_session(session);
    api_scene_close(&scene);
}

/* SessionWithVersionSuite, its set-up: the registered revision is an epoch that never goes back. */
TEST(registering, later_has_a_higher_registered_revision)
{
    struct api_scene scene;
    int64_t last = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 1; i <= 3; i++) {
        struct rollcall_session *session = api_open(&scene, "querynode", 1, TTL_S, NULL);
        const struct rollcall_session_info info = api_info(session);
        CHECK(info.revision > last);
        CHECK_INT(info.revision, api_stored(&scene, info.key).create_revision);
        last = info.revision;
        close_session(session);
    }
    api_scene_close(&scene);
}

/* ---- that it is refused ---- */

static void check_invalid(const struct api_scene *scene,
                          const struct rollcall_session_options *options, const char *word)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_session_open(scene->etcd, options, &session, &error), ROLLCALL_E_INVALID);
    CHECK_INT(error.status, ROLLCALL_E_INVALID);
    api_check_contains(error.text, word);
    CHECK(session == NULL);
}

/* D-28: upstream panics, or passes it on to etcd. */
TEST(registering, with_a_bad_option_is_an_error_that_names_it)
{
    static const struct {
        const char *word;
        struct rollcall_session_options options;
    } bad[] = {
        {"role", {.address = "a:1"}},
        {"address", {.role = "querynode"}},
        {"address", {.role = "querynode", .address = "a b"}},
        {"TTL", {.role = "querynode", .address = "a:1", .ttl_s = 1}},
        {"TTL", {.role = "querynode", .address = "a:1", .ttl_s = -5}},
        {"TTL", {.role = "querynode", .address = "a:1", .ttl_s = INT64_MAX}},
        {"server ID", {.role = "querynode", .address = "a:1", .server_id = -1}},
        {"server ID",
         {.role = "querynode", .address = "a:1", .server_id = 1, .reuse_server_id = true}},
        {"on_lost", {.role = "querynode", .address = "a:1", .on_lost = 7}},
        {"version", {.role = "querynode", .address = "a:1", .version = "a.b.c"}},
        {"version", {.role = "querynode", .address = "a:1", .version = "2.4"}},
        {"label", {.role = "querynode", .address = "a:1", .label_count = 1}},
        {"", {.role = "querynode", .address = "a:1", .connect_timeout_ms = -1}},
    };
    struct api_scene scene;
    api_scene_open(&scene, "127.0.0.1:1"); /* nobody is asked */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rollcall_session_options options = bad[i].options;
        options.size_bytes = sizeof options;
        check_invalid(&scene, &options, bad[i].word);
    }
    api_scene_close(&scene);
}

/* D-85: in upstream's, ".." leads out of the session root. */
TEST(registering, with_a_role_that_is_no_name_is_an_error)
{
    static const char *const roles[] = {"",     ".",    "..",         "../x",        "a/b",
                                        "/a",   "a/",   "query node", "querynode-7", "id",
                                        "a\nb", "a\\b", "a\"b",       "\xc3\xa9"};
    struct api_scene scene;
    struct api_stored stored;
    api_scene_open(&scene, etcd_fixture_shared());
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        check_invalid(&scene,
                      ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = roles[i],
                                               .address = ADDRESS, .exclusive = i % 2 != 0),
                      "role");
    }
    stored = api_stored(&scene, scene.root);
    CHECK(!stored.there);
    api_scene_close(&scene);
}

/* ---- the key is another's ---- */

static enum rollcall_status try_refused(const struct api_scene *scene, uint32_t retries,
                                        struct rollcall_error *error)
{
    struct rollcall_session *session = NULL;
    return rollcall_session_open(scene->etcd,
                                 ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                                          .address = "10.0.0.8:1", .server_id = 7,
                                                          .ttl_s = TTL_S, .retries = retries),
                                 &session, error);
}

/* TestSession_apply: WithRetryTimes.  Upstream waits 0.2 s, then twice as long, and so on. */
TEST(registering, tries_as_often_as_it_was_told_to)
{
    struct api_scene scene;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *holder = api_open(&scene, "querynode", 7, TTL_S, NULL);
    int64_t began_ms = process_now_ms();
    CHECK_INT(try_refused(&scene, 3, &error), ROLLCALL_E_RIVAL);
    CHECK(process_now_ms() - began_ms >= 200 + 400);
    CHECK(process_now_ms() - began_ms < 200 + 400 + LATE_MS);
    began_ms = process_now_ms();
    CHECK_INT(try_refused(&scene, 5, &error), ROLLCALL_E_RIVAL);
    CHECK(process_now_ms() - began_ms >= 200 + 400 + 800 + 1600);
    close_session(holder);
    api_scene_close(&scene);
}

/* D-22: upstream leaves one lease for each attempt, for as long as its TTL. */
TEST(registering, holds_at_most_one_lease_while_it_tries_and_none_when_it_has_given_up)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *holder = api_open(&scene, "querynode", 7, TTL_S, NULL);
    struct rollcall_session *session = start_beside(&scene, TTL_S, 4);
    while (rollcall_session_wait(session, 0, NULL) == ROLLCALL_E_TIMEOUT) {
        CHECK(api_lease_count(&scene) <= 2);
    }
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_E_RIVAL);
    CHECK_INT(api_lease_count(&scene), 1);
    close_session(session);
    close_session(holder);
    CHECK_INT(api_lease_count(&scene), 0);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* D-29: in upstream's SEED, 0 attempts are a success that registered nothing. */
TEST(registering, with_no_retries_given_waits_for_the_key_and_gets_it)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *holder = api_open(&scene, "querynode", 7, TTL_S, NULL);
    struct rollcall_session *session = start_beside(&scene, TTL_S, 0);
    CHECK_INT(rollcall_session_wait(session, 1500, NULL), ROLLCALL_E_TIMEOUT); /* attempts: 3 */
    CHECK_INT(api_info(session).state, ROLLCALL_SESSION_REGISTERING);
    close_session(holder);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct api_stored stored = api_stored(&scene, api_info(session).key);
    CHECK_INT(stored.lease_id, api_info(session).lease_id);
    api_check_contains(stored.value, "10.0.0.8:1");
    close_session(session);
    api_scene_close(&scene);
}

/* ---- a predecessor's key ---- */

/* A key and lease that a crashed process of role rootcoord left behind. */
static int64_t leave_behind(const struct api_scene *scene, const char *key, const char *role,
                            int64_t server_id, const char *address, const char *host_name)
{
    char record[512];
    const int64_t lease_id = api_lease_grant(scene, TTL_S);
    snprintf(record, sizeof record,
             "{\"ServerID\":%" PRId64 ",\"ServerName\":\"%s\",\"Address\":\"%s\","
             "\"Exclusive\":true,\"TriggerKill\":true,\"Version\":\"2.4.2\","
             "\"IndexEngineVersion\":{},\"LeaseID\":%" PRId64 ",\"HostName\":\"%s\"}",
             server_id, role, address, lease_id, host_name);
    api_store(scene, key, record, lease_id);
    return lease_id;
}

static enum rollcall_status succeed(const struct api_scene *scene, bool keep_predecessor,
                                    struct rollcall_session **session)
{
    return rollcall_session_open(scene->etcd,
                                 ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "rootcoord",
                                                          .address = ADDRESS, .host_name = HOST,
                                                          .exclusive = true, .server_id = 5,
                                                          .ttl_s = TTL_S, .retries = 2,
                                                          .keep_predecessor = keep_predecessor),
                                 session, NULL);
}

/* D-24: of the same role, host and address, with a lower ID: it crashed, and we are its successor.
 */
TEST(registering, takes_an_exclusive_key_over_from_its_predecessor_at_once)
{
    struct api_scene scene;
    struct rollcall_session *session;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    snprintf(key, sizeof key, "%s/session/rootcoord", scene.root);
    const int64_t lease_id = leave_behind(&scene, key, "rootcoord", 4, ADDRESS, HOST);
    CHECK_INT(succeed(&scene, false, &session), ROLLCALL_OK);
    const struct api_stored stored = api_stored(&scene, key);
    CHECK_INT(stored.lease_id, api_info(session).lease_id);
    CHECK_INT(stored.create_revision, api_info(session).create_revision);
    CHECK(api_info(session).lease_id != lease_id);
    api_check_contains(stored.value, "{\"ServerID\":5,");
    close_session(session);
    api_lease_revoke(&scene, lease_id);
    api_scene_close(&scene);
}

/* D-24: upstream asks for the address alone, and deletes without a compare. */
TEST(registering, does_not_take_an_exclusive_key_over_from_anybody_else)
{
    static const struct {
        const char *role, *address, *host_name;
        int64_t server_id;
        bool keep_predecessor;
    } others[] = {
        {"rootcoord", "10.0.0.7:21123", "node-8", 4, false},
        {"rootcoord", "10.0.0.8:21123", "node-7", 4, false},
        {"datacoord", "10.0.0.7:21123", "node-7", 4, false},
        {"rootcoord", "10.0.0.7:21123", "node-7", 5, false},
        {"rootcoord", "10.0.0.7:21123", "node-7", 6, false},
        {"rootcoord", "10.0.0.7:21123", "node-7", 4, true},
    };
    struct api_scene scene;
    struct rollcall_session *session;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    snprintf(key, sizeof key, "%s/session/rootcoord", scene.root);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const int64_t lease_id = leave_behind(&scene, key, others[i].role, others[i].server_id,
                                              others[i].address, others[i].host_name);
        const struct api_stored before = api_stored(&scene, key);
        CHECK_INT(succeed(&scene, others[i].keep_predecessor, &session), ROLLCALL_E_RIVAL);
        const struct api_stored after = api_stored(&scene, key);
        CHECK_INT(after.mod_revision, before.mod_revision);
        CHECK_INT(after.lease_id, lease_id);
        CHECK_STR(after.value, before.value);
        api_lease_revoke(&scene, lease_id);
    }
    api_scene_close(&scene);
}

/* D-24: who is alive defends the key; whoever loses it is told. */
TEST(registering, as_successor_of_one_that_lives_tells_that_one_that_its_key_is_gone)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *second;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *first =
        start(&scene,
              ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "rootcoord", .address = ADDRESS,
                                       .host_name = HOST, .exclusive = true, .server_id = 4,
                                       .ttl_s = TTL_S, .on_event = api_session_note, .user = &log));
    CHECK_INT(rollcall_session_wait(first, API_SOON_MS, NULL), ROLLCALL_OK);
    const int64_t lease_id = api_info(first).lease_id;
    CHECK_INT(succeed(&scene, false, &second), ROLLCALL_OK);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK(api_await_no_lease(&scene, lease_id, API_SOON_MS));
    CHECK_INT(api_info(second).state, ROLLCALL_SESSION_ACTIVE);
    CHECK_INT(api_stored(&scene, api_info(second).key).lease_id, api_info(second).lease_id);
    close_session(first);
    close_session(second);
    api_session_check_story(&log, "ACTIVE LOST");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- etcd does not answer ---- */

/* D-27: upstream's requests have no deadline. */
TEST(registering, that_meets_a_silent_etcd_is_stopped_in_time_and_leaves_no_lease)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *holder = api_open(&scene, "querynode", 7, TTL_S, NULL);
    struct rollcall_session *session = start_beside(&scene, 2, 0);
    CHECK_INT(rollcall_session_wait(session, 300, NULL), ROLLCALL_E_TIMEOUT); /* it waits */
    etcd_fixture_freeze(etcd);
    const int64_t began_ms = process_now_ms();
    const enum rollcall_status closed = rollcall_session_close(session, BUDGET_MS);
    CHECK(closed == ROLLCALL_OK || closed == ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() - began_ms < BUDGET_MS + LATE_MS);
    etcd_fixture_thaw(etcd);
    CHECK(api_await_lease_count(&scene, 1, API_SOON_MS));
    close_session(holder);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

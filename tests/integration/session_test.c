/*
 * Sessions through the public calls, against a real etcd: the shared one, each test under a root of
 * its own, or a private one where a test kills it, freezes it or counts its leases.
 */
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* LATE_MS: what a busy machine may add to the time of a callback. */
enum { TEXT_BYTES = 512, SESSIONS = 20, LATE_MS = 200 };

static struct etcd_fixture *create_etcd(void)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    return etcd;
}

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

static void check_story(struct api_session_log *log, const char *expected)
{
    char text[TEXT_BYTES];
    CHECK_STR(api_session_story(log, text, sizeof text), expected);
}

static struct rollcall_session_info info_of(struct rollcall_session *session)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(session, &info);
    return info;
}

/* ---- threads ---- */

/* The signals that a thread of this process blocks; all: it has ended. */
static uint64_t blocked_by(const char *thread)
{
    char path[64], line[256];
    uint64_t blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", thread);
    FILE *status = fopen(path, "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        sscanf(line, "SigBlk: %" SCNx64, &blocked);
    }
    if (status != NULL) {
        fclose(status);
    }
    return status != NULL ? blocked : UINT64_MAX;
}

/* A signal for the process goes to any thread that takes it: to one of gRPC's that waits for an
 * hour, if the application's happens to block it for a moment. */
TEST(session, only_the_applications_threads_take_signals)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    DIR *threads = opendir("/proc/self/task");
    char own[24];
    int others = 0;
    snprintf(own, sizeof own, "%d", (int)gettid());
    CHECK(threads != NULL);
    for (struct dirent *thread = readdir(threads); thread != NULL; thread = readdir(threads)) {
        if (thread->d_name[0] != '.' && strcmp(thread->d_name, own) != 0) {
            CHECK_INT(blocked_by(thread->d_name) >> (SIGTERM - 1) & 1, 1);
            others++;
        }
    }
    CHECK(others >= 3); /* two that wait for etcd, and gRPC's */
    closedir(threads);
    api_scene_close(&scene);
}

/* ---- a life without trouble ---- */

static void expect_record(char *text, size_t text_bytes, const char *stopping, int64_t lease_id)
{
    snprintf(text, text_bytes,
             "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"10.0.0.7:21123\",%s"
             "\"TriggerKill\":true,\"Version\":\"2.5.1\",\"IndexEngineVersion\":"
             "{\"MinimalIndexVersion\":1,\"CurrentIndexVersion\":6},\"LeaseID\":%" PRId64
             ",\"HostName\":\"node-7\",\"EnableDisk\":true,"
             "\"ServerLabels\":{\"a\":\"2\",\"zone\":\"eu\"}}",
             stopping, lease_id);
}

static struct rollcall_session *open_full(const struct api_scene *scene)
{
    static const struct rollcall_label labels[] = {
        {{"zone", 4}, {"eu", 2}}, {{"a", 1}, {"1", 1}}, {{"a", 1}, {"2", 1}}};
    struct rollcall_session *session = NULL;
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .server_id = 7, .ttl_s = 20,
                                 .version = "2.5.1", .index_version.minimal = 1,
                                 .index_version.current = 6, .enable_disk = true,
                                 .trigger_kill = true, .host_name = "node-7", .labels = labels,
                                 .label_count = 3),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

static void check_lease(const struct api_scene *scene, int64_t lease_id, const char *says)
{
    char script[TEXT_BYTES], text[TEXT_BYTES];
    snprintf(script, sizeof script, "etcdctl lease timetolive --keys %" PRIx64, (uint64_t)lease_id);
    api_etcdctl(scene, script, text, sizeof text);
    check_contains(text, says);
}

TEST(session, is_listed_with_its_exact_record_marked_stopping_and_gone_after_close)
{
    struct api_scene scene;
    struct api_watch_log watched, listed;
    char expected[TEXT_BYTES], key[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&watched);
    api_watch_log_init(&listed);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &watched);
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    struct rollcall_session *session = open_full(&scene);
    const struct rollcall_session_info info = info_of(session);
    snprintf(key, sizeof key, "%s/session/querynode-7", scene.root);
    CHECK_STR(info.key, key);
    CHECK_INT(info.ttl_s, 20);
    api_list(&scene, "querynode", &listed);
    CHECK_INT(api_watch_total(&listed), 3);
    CHECK_STR(api_watch_at(&listed, 1).key, key);
    expect_record(expected, sizeof expected, "", info.lease_id);
    CHECK_STR(api_watch_at(&listed, 1).value, expected);
    CHECK_INT(api_watch_at(&listed, 1).lease_id, info.lease_id);
    CHECK_INT(api_watch_at(&listed, 1).create_revision, info.create_revision);
    check_lease(&scene, info.lease_id, key);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS));
    CHECK_INT(api_watch_total(&watched), 5);
    CHECK_INT(api_watch_at(&watched, 3).type, ROLLCALL_WATCH_UPDATE);
    expect_record(expected, sizeof expected, "\"Stopping\":true,", info.lease_id);
    CHECK_STR(api_watch_at(&watched, 3).value, expected);
    CHECK_INT(api_watch_at(&watched, 3).lease_id, info.lease_id);
    check_lease(&scene, info.lease_id, "already expired");
    api_watch_close(watch, &watched);
    api_watch_check(&watched);
    api_watch_log_fini(&listed);
    api_watch_log_fini(&watched);
    api_scene_close(&scene);
}

TEST(session, stop_is_told_as_stopping_then_stopped)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "proxy", 1, 20, &log);
    rollcall_session_stop(session);
    rollcall_session_stop(session);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_STOPPED, 1, API_SOON_MS));
    CHECK_INT(info_of(session).state, ROLLCALL_SESSION_STOPPED);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, &error), ROLLCALL_E_STOPPED);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    check_story(&log, "ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- etcd goes away and comes back ---- */

static void check_same_key(const struct api_scene *scene, const char *role,
                           const struct rollcall_session_info *before)
{
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(scene, role, &listed);
    CHECK_INT(api_watch_total(&listed), 3);
    CHECK_INT(api_watch_at(&listed, 1).lease_id, before->lease_id);
    CHECK_INT(api_watch_at(&listed, 1).create_revision, before->create_revision);
    api_watch_log_fini(&listed);
}

/* One session whose TTL ends while etcd is down, one whose TTL does not. */
TEST(session, survives_a_kill_of_etcd_with_its_lease_and_key)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log brief, patient;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&brief);
    api_session_log_init(&patient);
    struct rollcall_session *long_one = api_open(&scene, "proxy", 1, 60, &patient);
    const int64_t began_ms = process_now_ms();
    struct rollcall_session *short_one = api_open(&scene, "querynode", 1, 3, &brief);
    const struct rollcall_session_info long_before = info_of(long_one);
    const struct rollcall_session_info short_before = info_of(short_one);
    CHECK_INT(short_before.ttl_s, 3);
    const int64_t killed_ms = process_now_ms();
    etcd_fixture_kill(etcd);
    CHECK(api_session_await(&brief, ROLLCALL_SESSION_SUSPECT, 1, 5000));
    const int64_t suspect_ms = api_session_at(&brief, 1).at_ms;
    CHECK(suspect_ms >= began_ms + 2800);
    CHECK(suspect_ms <= killed_ms + 3000 + LATE_MS);
    CHECK_INT(api_session_at(&brief, 1).status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(info_of(short_one).state, ROLLCALL_SESSION_SUSPECT);
    CHECK(etcd_fixture_restart(etcd));
    CHECK(api_session_await(&brief, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK_INT(info_of(short_one).lease_id, short_before.lease_id);
    check_same_key(&scene, "querynode", &short_before);
    check_same_key(&scene, "proxy", &long_before);
    check_story(&brief, "ACTIVE SUSPECT ACTIVE");
    check_story(&patient, "ACTIVE");
    CHECK_INT(rollcall_session_close(short_one, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(long_one, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&patient);
    api_session_log_fini(&brief);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

TEST(session, a_lease_revoked_from_outside_is_lost_once_and_closes_at_once)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    char script[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 0, 3, &log);
    struct rollcall_session *other = api_open(&scene, "querynode", 0, 3, NULL);
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64,
             (uint64_t)info_of(session).lease_id);
    api_etcdctl(&scene, script, NULL, 0);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, 3000));
    const enum rollcall_status why = api_session_at(&log, 1).status; /* of who saw it first */
    CHECK(why == ROLLCALL_E_LEASE_LOST || why == ROLLCALL_E_KEY_LOST);
    CHECK_INT(rollcall_session_wait(session, 0, &error), why);
    rollcall_session_stop(session); /* too late: nothing more is told */
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_LOST, 2, 1500));
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK(process_now_ms() - began_ms < 1000);
    check_story(&log, "ACTIVE LOST");
    CHECK_INT(info_of(other).state, ROLLCALL_SESSION_ACTIVE);
    CHECK_INT(rollcall_session_close(other, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* A6: etcd may handle a renewal before it sees that the lease is over: then it keeps it.  Nothing
 * that it said before it was frozen makes the session ACTIVE. */
TEST(session, a_freeze_beyond_the_ttl_ends_as_lost_or_active_never_both)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log log;
    char text[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 2, &log);
    etcd_fixture_freeze(etcd);
    const int64_t frozen_ms = process_now_ms();
    CHECK(api_session_await(&log, ROLLCALL_SESSION_SUSPECT, 1, 4000));
    CHECK(api_session_at(&log, 1).at_ms <= frozen_ms + 2000 + LATE_MS);
    process_sleep_ms(frozen_ms + 4000 - process_now_ms()); /* the fault itself */
    const int64_t thawed_ms = process_now_ms();
    CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_ACTIVE), 1);
    etcd_fixture_thaw(etcd);
    const bool lost = api_session_await(&log, ROLLCALL_SESSION_LOST, 1, 4000);
    const bool active = api_session_count(&log, ROLLCALL_SESSION_ACTIVE) == 2;
    CHECK(lost != active);
    CHECK(api_session_at(&log, 2).at_ms >= thawed_ms);
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_SUSPECT, 2, 1000));
    api_session_story(&log, text, sizeof text);
    CHECK_STR(text, lost ? "ACTIVE SUSPECT LOST" : "ACTIVE SUSPECT ACTIVE");
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- rivals ---- */

TEST(session, a_server_id_in_use_is_refused_by_name_and_leaves_no_lease)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log log, refused;
    struct rollcall_error error;
    char before[TEXT_BYTES], after[TEXT_BYTES];
    struct rollcall_session *session;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    api_session_log_init(&refused);
    struct rollcall_session *first = api_open(&scene, "querynode", 5, 20, &log);
    api_etcdctl(&scene, "etcdctl lease list", before, sizeof before);
    check_contains(before, "found 1 leases");
    const enum rollcall_status status = rollcall_session_open(
        scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                 .address = "10.0.0.8:21123", .server_id = 5, .retries = 2,
                                 .on_event = api_session_note, .user = &refused),
        &session, &error);
    CHECK_INT(status, ROLLCALL_E_RIVAL);
    CHECK_INT(error.status, ROLLCALL_E_RIVAL);
    check_contains(error.text, info_of(first).key);
    check_story(&refused, "FAILED");
    CHECK_STR(api_session_at(&refused, 0).reason, error.text);
    api_etcdctl(&scene, "etcdctl lease list", after, sizeof after);
    CHECK_STR(after, before);
    check_story(&log, "ACTIVE");
    CHECK_INT(rollcall_session_close(first, API_SOON_MS), ROLLCALL_OK);
    api_etcdctl(&scene, "etcdctl lease list", after, sizeof after);
    check_contains(after, "found 0 leases");
    api_session_log_fini(&refused);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

TEST(session, an_exclusive_role_passes_to_the_one_who_waits_with_a_higher_token)
{
    struct api_scene scene;
    struct rollcall_session *sessions[2];
    char key[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < 2; i++) {
        const enum rollcall_status status = rollcall_session_start(
            scene.etcd,
            ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "rootcoord",
                                     .address = i == 0 ? "10.0.0.8:53100" : "10.0.0.9:53100",
                                     .server_id = i + 1, .exclusive = true),
            &sessions[i], NULL);
        CHECK_INT(status, ROLLCALL_OK);
        CHECK_INT(rollcall_session_wait(sessions[i], i == 0 ? API_SOON_MS : 700, NULL),
                  i == 0 ? ROLLCALL_OK : ROLLCALL_E_TIMEOUT);
    }
    const struct rollcall_session_info first = info_of(sessions[0]);
    CHECK_INT(rollcall_session_close(sessions[0], API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(sessions[1], API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info second = info_of(sessions[1]);
    snprintf(key, sizeof key, "%s/session/rootcoord", scene.root);
    CHECK_STR(second.key, key);
    CHECK_INT(second.server_id, 2);
    CHECK(second.create_revision > first.create_revision);
    CHECK_INT(rollcall_session_close(sessions[1], API_SOON_MS), ROLLCALL_OK);
    api_scene_close(&scene);
}

/* ---- server IDs ---- */

TEST(session, an_id_key_that_holds_garbage_is_corrupt_by_name)
{
    static const char *const garbage[] = {"banana", "-3", "0", "99999999999999999999", ""};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct rollcall_session *session;
        struct rollcall_error error;
        char script[TEXT_BYTES], key[TEXT_BYTES];
        snprintf(script, sizeof script, "etcdctl put -- $ROOT/session/id '%s'", garbage[i]);
        api_etcdctl(&scene, script, NULL, 0);
        const enum rollcall_status status =
            rollcall_session_open(scene.etcd,
                                  ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                           .address = "10.0.0.8:21123"),
                                  &session, &error);
        CHECK_INT(status, ROLLCALL_E_CORRUPT);
        snprintf(key, sizeof key, "%s/session/id", scene.root);
        check_contains(error.text, key);
        check_contains(error.text, garbage[i]);
        api_etcdctl(&scene, "etcdctl get --print-value-only $ROOT/session/id", script,
                    sizeof script);
        CHECK(strncmp(script, garbage[i], strlen(garbage[i])) == 0);
    }
    api_scene_close(&scene);
}

static int compare_ids(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Two connections, as of two processes, and no id key to begin with. */
TEST(session, ids_allocated_at_once_by_two_connections_are_distinct)
{
    struct api_scene scenes[2];
    struct rollcall_session *sessions[2 * SESSIONS];
    int64_t ids[2 * SESSIONS];
    char next[TEXT_BYTES];
    api_scene_open(&scenes[0], etcd_fixture_shared());
    api_scene_open_beside(&scenes[1], &scenes[0]);
    for (int i = 0; i < 2 * SESSIONS; i++) {
        const enum rollcall_status status = rollcall_session_start(
            scenes[i % 2].etcd,
            ROLLCALL_SESSION_OPTIONS(.root = scenes[0].root, .role = "querynode",
                                     .address = "10.0.0.8:21123"),
            &sessions[i], NULL);
        CHECK_INT(status, ROLLCALL_OK);
    }
    for (int i = 0; i < 2 * SESSIONS; i++) {
        CHECK_INT(rollcall_session_wait(sessions[i], API_SOON_MS, NULL), ROLLCALL_OK);
        ids[i] = info_of(sessions[i]).server_id;
    }
    qsort(ids, 2 * SESSIONS, sizeof ids[0], compare_ids);
    CHECK(ids[0] >= 1);
    for (int i = 1; i < 2 * SESSIONS; i++) {
        CHECK(ids[i] > ids[i - 1]);
    }
    api_etcdctl(&scenes[0], "etcdctl get --print-value-only $ROOT/session/id", next, sizeof next);
    CHECK(strtoll(next, NULL, 10) > ids[2 * SESSIONS - 1]);
    for (int i = 0; i < 2 * SESSIONS; i++) {
        rollcall_session_stop(sessions[i]);
    }
    for (int i = 0; i < 2 * SESSIONS; i++) {
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    api_scene_close(&scenes[1]);
    api_scene_close(&scenes[0]);
}

/* More than any lane holds, as fast as they can be asked. */
TEST(session, hundreds_that_are_stopped_at_once_all_leave)
{
    enum { MANY = 300 };
    static struct rollcall_session *sessions[MANY];
    struct api_scene scene;
    char listed[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(
            rollcall_session_start(scene.etcd,
                                   ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                            .address = "10.0.0.8:21123"),
                                   &sessions[i], NULL),
            ROLLCALL_OK);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(rollcall_session_wait(sessions[i], API_SOON_MS, NULL), ROLLCALL_OK);
    }
    for (int i = 0; i < MANY; i++) {
        rollcall_session_stop(sessions[i]);
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    api_etcdctl(&scene, "etcdctl get --keys-only --prefix $ROOT/session/querynode", listed,
                sizeof listed);
    CHECK_STR(listed, "");
    api_scene_close(&scene);
}

/* ---- etcd does not answer ---- */

TEST(session, close_keeps_to_its_budget_when_etcd_is_silent)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *polite = api_open(&scene, "querynode", 1, 30, &log);
    struct rollcall_session *abrupt = api_open(&scene, "querynode", 2, 30, NULL);
    etcd_fixture_freeze(etcd);
    int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_close(polite, 500), ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() - began_ms >= 500);
    CHECK(process_now_ms() - began_ms < 2500);
    check_story(&log, "ACTIVE STOPPING");
    began_ms = process_now_ms();
    CHECK_INT(rollcall_session_close(abrupt, 0), ROLLCALL_OK);
    CHECK(process_now_ms() - began_ms < 1000);
    api_scene_close(&scene);
    CHECK(process_now_ms() - began_ms < 3000);
    api_session_log_fini(&log);
    etcd_fixture_destroy(etcd);
}

/* Nobody listens; or somebody does, and says nothing. */
static void check_unavailable(const char *endpoint)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    struct rollcall_session *session;
    api_scene_open(&scene, endpoint);
    api_session_log_init(&log);
    for (int64_t server_id = 0; server_id < 2; server_id++) {
        const int64_t began_ms = process_now_ms();
        const enum rollcall_status status = rollcall_session_open(
            scene.etcd,
            ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                     .address = "10.0.0.8:21123", .server_id = server_id,
                                     .connect_timeout_ms = 1000, .on_event = api_session_note,
                                     .user = &log),
            &session, &error);
        CHECK_INT(status, ROLLCALL_E_UNAVAILABLE);
        CHECK(process_now_ms() - began_ms < 3000);
        check_contains(error.text, endpoint);
    }
    check_story(&log, "FAILED FAILED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

TEST(session, open_without_an_etcd_fails_in_time_and_says_where)
{
    check_unavailable("127.0.0.1:1");
}

TEST(session, open_with_a_silent_etcd_fails_in_time_and_says_where)
{
    struct etcd_fixture *etcd = create_etcd();
    etcd_fixture_freeze(etcd);
    check_unavailable(etcd_fixture_endpoint(etcd));
    etcd_fixture_destroy(etcd);
}

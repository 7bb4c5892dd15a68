/*
 * What is done to sessions from outside, and server IDs taken by hand, through the calls that wait,
 * against the shared etcd, each test under a root of its own.
 */
#include "integration/admin_scene.h"

#include <stdlib.h>

enum { THREADS = 10 };

static struct rollcall_session_info info_of(struct rollcall_session *session)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(session, &info);
    return info;
}

/* ---- mark stopping ---- */

TEST(admin, a_mark_keeps_what_nobody_here_knows_and_the_lease)
{
    struct api_scene scene;
    struct rollcall_error error;
    char text[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene,
                "lease=$(etcdctl lease grant 60 | cut -d' ' -f2)\n"
                "etcdctl put --lease=$lease $ROOT/session/querynode-7 '" STRANGER "}'\n"
                "etcdctl put $ROOT/lease $lease",
                NULL, 0);
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    check_ok(rollcall_mark_stopping(scene.etcd, &target, 0, &error), &error);
    check_value(&scene, "querynode-7", STRANGER ",\"Stopping\":true}");
    check_ok(rollcall_mark_stopping(scene.etcd, &target, 0, &error), &error);
    api_etcdctl(&scene, "etcdctl get -w fields $ROOT/session/querynode-7 | grep Version", text,
                sizeof text);
    check_contains(text, "\"Version\" : 2\n"); /* the second mark wrote nothing */
    api_etcdctl(&scene,
                "etcdctl lease revoke $(etcdctl get --print-value-only $ROOT/lease) >&2\n"
                "etcdctl get $ROOT/session/querynode-7",
                text, sizeof text);
    CHECK_STR(text, "");
    CHECK_INT(rollcall_mark_stopping(scene.etcd, &target, 0, &error), ROLLCALL_E_KEY_LOST);
    check_contains(error.text, target.key);
    api_scene_close(&scene);
}

TEST(admin, a_key_without_a_lease_is_marked_without_one_and_deleted_by_a_revoke)
{
    struct api_scene scene;
    struct rollcall_error error;
    char text[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 '" STRANGER "}'", NULL, 0);
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    check_ok(rollcall_mark_stopping(scene.etcd, &target, 0, &error), &error);
    api_etcdctl(&scene, "etcdctl get -w fields $ROOT/session/querynode-7 | grep Lease", text,
                sizeof text);
    check_contains(text, "\"Lease\" : 0\n");
    check_ok(rollcall_revoke(scene.etcd, &target, 0, &error), &error);
    api_etcdctl(&scene, "etcdctl get $ROOT/session/querynode-7", text, sizeof text);
    CHECK_STR(text, "");
    api_scene_close(&scene);
}

TEST(admin, what_is_no_session_is_left_alone)
{
    struct api_scene scene;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene, "etcdctl put $ROOT/session/id 7", NULL, 0);
    const struct rollcall_target target = target_of(&scene, "id");
    CHECK_INT(rollcall_mark_stopping(scene.etcd, &target, 0, &error), ROLLCALL_E_CORRUPT);
    CHECK_INT(rollcall_revoke(scene.etcd, &target, 0, &error), ROLLCALL_E_CORRUPT);
    check_contains(error.text, target.key);
    check_value(&scene, "id", "7");
    api_scene_close(&scene);
}

TEST(admin, garbage_under_a_sessions_key_is_corrupt_and_left_alone)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 7, 20, &log);
    const struct rollcall_session_info info = info_of(session);
    api_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 garbage", NULL, 0);
    const struct rollcall_target targets[] = {
        {.key = info.key}, /* whatever is there, and the session that was */
        {.key = info.key, .lease_id = info.lease_id, .create_revision = info.create_revision}};
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(rollcall_mark_stopping(scene.etcd, &targets[i], 0, &error), ROLLCALL_E_CORRUPT);
        CHECK_INT(rollcall_revoke(scene.etcd, &targets[i], 0, &error), ROLLCALL_E_CORRUPT);
        check_contains(error.text, "querynode-7 holds no session record (");
    }
    check_value(&scene, "querynode-7", "garbage");
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS)); /* overwritten */
    ROLLCALL_DROP(rollcall_session_close(session, API_SOON_MS), "it was lost");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- revoke ---- */

TEST(admin, a_session_that_is_revoked_from_another_connection_is_lost)
{
    struct api_scene scene, other;
    struct api_session_log log;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    api_scene_open_beside(&other, &scene);
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 7, 3, &log);
    const struct rollcall_session_info info = info_of(session);
    const struct rollcall_target target = {
        .key = info.key, .lease_id = info.lease_id, .create_revision = info.create_revision};
    check_ok(rollcall_revoke(other.etcd, &target, 0, &error), &error);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK_INT(rollcall_revoke(other.etcd, &target, 0, &error), ROLLCALL_E_KEY_LOST);
    ROLLCALL_DROP(rollcall_session_close(session, API_SOON_MS), "it was lost");
    api_session_log_fini(&log);
    api_scene_close(&other);
    api_scene_close(&scene);
}

TEST(admin, a_successor_is_left_alone_by_what_was_meant_for_another)
{
    struct api_scene scene;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *first = api_open(&scene, "querynode", 7, 20, NULL);
    const struct rollcall_session_info before = info_of(first);
    CHECK_INT(rollcall_session_close(first, API_SOON_MS), ROLLCALL_OK);
    struct rollcall_session *second = api_open(&scene, "querynode", 7, 20, NULL);
    const struct rollcall_session_info after = info_of(second);
    struct rollcall_target target = {.key = after.key, .create_revision = before.create_revision};
    CHECK_INT(rollcall_revoke(scene.etcd, &target, 0, &error), ROLLCALL_E_KEY_LOST);
    CHECK_INT(rollcall_mark_stopping(scene.etcd, &target, 0, &error), ROLLCALL_E_KEY_LOST);
    target = (struct rollcall_target){.key = after.key, .lease_id = before.lease_id};
    CHECK_INT(rollcall_revoke(scene.etcd, &target, 0, &error), ROLLCALL_E_KEY_LOST);
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(&scene, "querynode", &listed);
    CHECK_INT(api_watch_at(&listed, 1).create_revision, after.create_revision);
    CHECK_INT(api_watch_at(&listed, 1).mod_revision, after.create_revision);
    api_watch_log_fini(&listed);
    CHECK_INT(rollcall_session_close(second, API_SOON_MS), ROLLCALL_OK);
    api_scene_close(&scene);
}

/* ---- server IDs ---- */

TEST(admin, server_ids_increase_and_begin_above_what_is_in_use)
{
    struct api_scene scene;
    struct rollcall_error error;
    int64_t server_id = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    for (int64_t expected = 1; expected <= 3; expected++) {
        check_ok(rollcall_server_id(scene.etcd, scene.root, false, 0, &server_id, &error), &error);
        CHECK_INT(server_id, expected);
    }
    struct rollcall_session *node = api_open(&scene, "querynode", 5, 20, NULL);
    struct rollcall_session *coordinator = NULL;
    check_ok(rollcall_session_open(scene.etcd,
                                   ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "rootcoord",
                                                            .address = "a:1", .exclusive = true,
                                                            .server_id = 9),
                                   &coordinator, &error),
             &error);
    api_etcdctl(&scene, "etcdctl put $ROOT/session/id 2", NULL, 0);
    check_ok(rollcall_server_id(scene.etcd, scene.root, false, 0, &server_id, &error), &error);
    CHECK_INT(server_id, 10);
    check_value(&scene, "id", "11");
    CHECK_INT(rollcall_session_close(node, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(coordinator, API_SOON_MS), ROLLCALL_OK);
    api_scene_close(&scene);
}

TEST(admin, a_corrupt_id_key_is_told_at_once_and_named)
{
    struct api_scene scene;
    struct rollcall_error error;
    int64_t server_id;
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene, "etcdctl put $ROOT/session/id seven", NULL, 0);
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_server_id(scene.etcd, scene.root, false, API_SOON_MS, &server_id, &error),
              ROLLCALL_E_CORRUPT);
    CHECK(process_now_ms() <= began_ms + LATE_MS);
    check_contains(error.text, key_of(&scene, "id"));
    check_value(&scene, "id", "seven");
    api_scene_close(&scene);
}

struct taker {
    const struct api_scene *scene;
    pthread_t thread;
    enum rollcall_status status;
    int64_t server_id;
};

static void *take_id(void *argument)
{
    struct taker *taker = argument;
    struct rollcall_error error;
    taker->status = rollcall_server_id(taker->scene->etcd, taker->scene->root, true, API_SOON_MS,
                                       &taker->server_id, &error);
    return NULL;
}

TEST(admin, ten_threads_that_reuse_get_the_first_id_all_ten)
{
    struct api_scene scene;
    struct taker takers[THREADS];
    struct rollcall_error error;
    int64_t server_id = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.scene = &scene};
        CHECK_INT(rollcall__thread_start(&takers[i].thread, "taker", take_id, &takers[i], &error),
                  ROLLCALL_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(takers[i].thread, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(takers[i].status, ROLLCALL_OK);
        CHECK_INT(takers[i].server_id, 1);
    }
    check_ok(rollcall_server_id(scene.etcd, scene.root, false, 0, &server_id, &error), &error);
    CHECK_INT(server_id, 2);
    api_scene_close(&scene);
}

/* ---- arguments ---- */

/* Nothing was begun. */
static void never_id(void *user, int64_t server_id, const struct rollcall_error *error)
{
    (void)user, (void)server_id, (void)error;
    abort(); /* on the runtime's thread, where no test can be failed */
}

static void never_done(void *user, const struct rollcall_error *error)
{
    never_id(user, 0, error);
}

static void check_invalid(enum rollcall_status status, const struct rollcall_error *error,
                          const char *part)
{
    CHECK_INT(status, ROLLCALL_E_INVALID);
    check_contains(error->text, part);
}

TEST(admin, what_cannot_be_meant_is_refused_by_both_forms)
{
    static char long_key[4098];
    const struct rollcall_target BAD[] = {{.key = NULL},
                                          {.key = ""},
                                          {.key = long_key},
                                          {.key = "a", .lease_id = -1},
                                          {.key = "a", .create_revision = -1}};
    static const char *const SAYS[] = {"no key", "no key", "4097", "-1", "-1"};
    struct api_scene scene;
    struct rollcall_error error;
    int64_t server_id = 0;
    memset(long_key, 'k', sizeof long_key - 1);
    api_scene_open(&scene, etcd_fixture_shared());
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        check_invalid(rollcall_revoke(scene.etcd, &BAD[i], 0, &error), &error, SAYS[i]);
        check_invalid(
            rollcall_mark_stopping_async(scene.etcd, &BAD[i], 0, never_done, NULL, &error), &error,
            SAYS[i]);
    }
    check_invalid(rollcall_mark_stopping(scene.etcd, NULL, 0, &error), &error, "no key");
    const struct rollcall_target good = {.key = "a"};
    check_invalid(rollcall_mark_stopping(scene.etcd, &good, -1, &error), &error, "timeout");
    check_invalid(rollcall_revoke_async(scene.etcd, &good, 0, NULL, NULL, &error), &error, "done");
    check_invalid(rollcall_server_id(scene.etcd, "a/../b", false, 0, &server_id, &error), &error,
                  "..");
    check_invalid(
        rollcall_server_id_async(scene.etcd, NULL, false, INT64_MAX, never_id, NULL, &error),
        &error, "timeout");
    api_scene_close(&scene);
}

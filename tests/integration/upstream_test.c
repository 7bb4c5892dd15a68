/*
 * What upstream's tests claim and no other program here does, through the public calls and against
 * a real etcd.  tests/README.md has the whole list: each of upstream's tests, and ours.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/testing.h>

enum { KEY_BYTES = 128 };

static const char *const RECORD = "{\"ServerID\":1,\"Version\":\"1.0.0\"}";

static void store(const struct api_scene *scene, const char *name, const char *value)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%s/session/%s", scene->root, name);
    api_store(scene, key, value, 0);
}

static void remove_key(const struct api_scene *scene, const char *name)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%s/session/%s", scene->root, name);
    api_delete(scene, key);
}

/* ---- sessions ---- */

/* TestSesssionMarshal */
TEST(upstream, the_stored_record_read_back_names_the_session_its_address_and_its_version)
{
    struct api_scene scene;
    struct rollcall_session *session = NULL;
    struct rollcall_record *record = NULL;
    api_scene_open(&scene, etcd_fixture_shared());
    CHECK_INT(rollcall_session_open(scene.etcd,
                                    ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "test",
                                                             .address = "localhost", .server_id = 1,
                                                             .version = "2.5.1-rc.1+dev"),
                                    &session, NULL),
              ROLLCALL_OK);
    const struct api_stored stored = api_stored(&scene, api_info(session).key);
    const struct rollcall_bytes json = {stored.value, strlen(stored.value)};
    CHECK_INT(rollcall_record_decode(json, &record, NULL), ROLLCALL_OK);
    CHECK_INT(record->server_id, 1);
    CHECK_BYTES(record->server_name, "test");
    CHECK_BYTES(record->address, "localhost");
    CHECK_BYTES(record->version, "2.5.1-rc.1+dev");
    rollcall_record_free(record);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_scene_close(&scene);
}

/* A session that is not registered before the test is over, for its key is another's. */
static struct rollcall_session *start_without_key(const struct api_scene *scene,
                                                  struct api_session_log *log)
{
    struct rollcall_session *session = NULL;
    store(scene, "querynode-1", RECORD);
    const enum rollcall_status status = rollcall_session_start(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode", .address = "10.0.0.7:1",
                                 .server_id = 1, .on_event = api_session_note, .user = log),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

/* TestSessionLivenessCheck (d) */
TEST(upstream, a_session_stopped_before_it_is_registered_is_told_no_loss)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = start_without_key(&scene, &log);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(!api_info(session).disconnected);
    CHECK_INT(api_info(session).losses, 0);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_check_story(&log, "STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* TestGoingStop: a session that was not initialised. */
TEST(upstream, a_session_that_is_not_registered_cannot_be_marked)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error = {0};
    char key[KEY_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = start_without_key(&scene, &log);
    CHECK_INT(rollcall_session_mark_stopping(session, API_SOON_MS, &error), ROLLCALL_E_BUSY);
    api_check_contains(error.text, "not registered");
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    snprintf(key, sizeof key, "%s/session/querynode-1", scene.root);
    CHECK_STR(api_stored(&scene, key).value, RECORD); /* the other's is as it was */
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- watches ---- */

/* TestWatcherHandleWatchResp: abnormal events. */
TEST(upstream, empty_values_that_come_and_go_are_told_as_nothing)
{
    struct api_scene scene;
    struct api_watch_log log, listed;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    api_watch_log_init(&listed);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    store(&scene, "querynode-1", "");
    store(&scene, "querynode-2", "");
    remove_key(&scene, "querynode-2");
    store(&scene, "querynode-3", RECORD); /* once this is told, all before it has been */
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_ADD, 1, API_SOON_MS));
    CHECK_INT(api_watch_total(&log), 3);
    api_list(&scene, "querynode", &listed);
    CHECK_INT(api_watch_last(&listed).count, 1);
    CHECK_INT(api_watch_last(&listed).skipped, 1);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&listed);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* A watch of a history that is compacted, so that it has to list first; each of its calls meets the
 * fail point. */
struct behind {
    struct etcd_fixture *etcd;
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_watch *watch;
};

static void behind_open(struct behind *b, const char *failpoint)
{
    b->etcd = etcd_fixture_create(NULL);
    CHECK(b->etcd != NULL);
    api_scene_open(&b->scene, etcd_fixture_endpoint(b->etcd));
    api_watch_log_init(&b->log);
    store(&b->scene, "querynode-1", RECORD);
    store(&b->scene, "querynode-1", RECORD);
    api_etcdctl(&b->scene,
                "etcdctl compaction $(etcdctl get -w fields none | sed -n 's/^\"Revision\" : //p')",
                NULL, 0);
    CHECK_INT(rollcall_failpoints_arm(b->scene.runtime, failpoint, NULL), ROLLCALL_OK);
    b->watch = api_watch(&b->scene, "querynode", 1, &b->log);
}

static void behind_close(struct behind *b)
{
    api_watch_close(b->watch, &b->log);
    api_watch_check(&b->log);
    api_watch_log_fini(&b->log);
    api_scene_close(&b->scene);
    etcd_fixture_destroy(b->etcd);
}

static void add_fired(void *user, const struct rollcall_failpoint *point)
{
    *(uint64_t *)user += point->fired;
}

/* TestWatcherHandleWatchResp: recoverable request failure keeps retrying; rewatch starts after
 * snapshot revision. */
TEST(upstream, a_list_that_fails_in_a_resync_is_repeated_and_the_watch_goes_on_after_it)
{
    struct behind b;
    uint64_t fired = 0;
    behind_open(&b, "etcd/call=error(E_UNAVAILABLE)*2");
    CHECK(api_watch_await(&b.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK_INT(rollcall_failpoints_list(b.scene.runtime, add_fired, &fired), ROLLCALL_OK);
    CHECK_INT(fired, 2);
    CHECK_INT(api_watch_at(&b.log, 0).type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(api_watch_at(&b.log, 0).status, ROLLCALL_E_COMPACTED);
    CHECK_INT(api_watch_total(&b.log), 3);
    store(&b.scene, "querynode-2", RECORD);
    CHECK(api_watch_await_told(&b.log, 2, API_SOON_MS));
    CHECK_INT(api_watch_total(&b.log), 4);
    behind_close(&b);
}

/* TestWatcherHandleWatchResp: err handled but rewatch failed; err handled but list failed. */
TEST(upstream, a_list_that_is_denied_in_a_resync_ends_the_watch_with_one_failure)
{
    struct behind b;
    behind_open(&b, "etcd/call=error(E_DENIED)");
    CHECK(api_watch_await(&b.log, ROLLCALL_WATCH_FAILED, 1, API_SOON_MS));
    CHECK_INT(api_watch_at(&b.log, 0).status, ROLLCALL_E_DENIED);
    CHECK_INT(rollcall_failpoints_clear(b.scene.runtime), ROLLCALL_OK);
    struct api_watch_log witness;
    api_watch_log_init(&witness);
    struct rollcall_watch *watch = api_watch(&b.scene, "querynode", 0, &witness);
    store(&b.scene, "querynode-2", RECORD);
    CHECK(api_watch_await_told(&witness, 2, API_SOON_MS));
    api_watch_close(watch, &witness);
    api_watch_log_fini(&witness);
    CHECK_INT(api_watch_total(&b.log), 1);
    behind_close(&b);
}

/* TestWatcherHandleWatchResp: error during shutdown does not panic. */
TEST(upstream, a_watch_closed_as_its_etcd_dies_tells_no_failure)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_watch_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    etcd_fixture_kill(etcd);
    api_watch_close(watch, &log);
    CHECK_INT(api_watch_total(&log), 2);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/*
 * What a session makes of what others do to its lease and key, through the public calls and against
 * a real etcd: told once, with the reason, at once, and nothing of anybody else's is touched.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

/* TOLD_MS: how soon a loss is told.  QUIET_MS: how long nothing more may come.  TTL_S: so long
 * that no lease ends by itself in a test. */
enum { TOLD_MS = 2000, QUIET_MS = 500, TTL_S = 60, BRIEF_S = 3, KILLS = 3 };

static const char *const RIVAL = "{\"ServerID\":99,\"ServerName\":\"querynode\",\"Address\":\"r\"}";

/* One session that tells its log. */
struct stage {
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *session;
    struct rollcall_session_info info; /* as it registered */
    struct api_stored stored;          /* likewise */
    char key[128];                     /* outlives the session */
};

static void set_up(struct stage *stage)
{
    api_scene_open(&stage->scene, etcd_fixture_shared());
    api_session_log_init(&stage->log);
    stage->session = api_open(&stage->scene, "querynode", 1, TTL_S, &stage->log);
    stage->info = api_info(stage->session);
    snprintf(stage->key, sizeof stage->key, "%s", stage->info.key);
    stage->stored = api_stored(&stage->scene, stage->key);
    CHECK(stage->stored.there);
}

static void tear_down(struct stage *stage)
{
    CHECK_INT(rollcall_session_close(stage->session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&stage->log);
    api_scene_close(&stage->scene);
}

/* A key that is deleted before the session has looked at it for the first time is missing. */
static bool is_loss(enum rollcall_loss told, enum rollcall_loss expected)
{
    return told == expected || (expected == ROLLCALL_LOSS_DELETED && told == ROLLCALL_LOSS_MISSING);
}

/* Told once, in time, with this reason; and the process goes on. */
static void check_lost(struct stage *stage, enum rollcall_loss loss)
{
    struct rollcall_error error;
    CHECK(api_session_await(&stage->log, ROLLCALL_SESSION_LOST, 1, TOLD_MS));
    const struct api_session_note told = api_session_at(&stage->log, 1);
    CHECK_INT(told.status, ROLLCALL_E_KEY_LOST);
    CHECK(is_loss(told.info.loss, loss));
    CHECK(told.info.disconnected);
    CHECK(!told.info.registered);
    CHECK(told.reason[0] != '\0');
    CHECK_INT(rollcall_session_wait(stage->session, 0, &error), ROLLCALL_E_KEY_LOST);
    CHECK_STR(error.text, told.reason);
    CHECK(!api_session_await(&stage->log, ROLLCALL_SESSION_LOST, 2, QUIET_MS));
    api_session_check_story(&stage->log, "ACTIVE LOST");
}

static void check_untouched(const struct stage *stage, const struct api_stored *before)
{
    const struct api_stored now = api_stored(&stage->scene, stage->key);
    CHECK_STR(now.value, before->value);
    CHECK_INT(now.mod_revision, before->mod_revision);
    CHECK_INT(now.lease_id, before->lease_id);
}

/* ---- the key ---- */

/* D-46, D-48: with the lease alive, upstream sees it by a chain of accidents, or not at all. */
TEST(liveness, a_deleted_key_is_told_at_once_and_the_lease_is_revoked)
{
    struct stage stage;
    set_up(&stage);
    api_delete(&stage.scene, stage.key);
    check_lost(&stage, ROLLCALL_LOSS_DELETED);
    CHECK(api_await_no_lease(&stage.scene, stage.info.lease_id, API_SOON_MS));
    CHECK(!api_stored(&stage.scene, stage.key).there);
    tear_down(&stage);
}

/* D-47: upstream only logs a PUT, whoever made it. */
TEST(liveness, a_rival_s_record_is_told_as_overwritten_and_left_alone)
{
    struct stage stage;
    set_up(&stage);
    const int64_t lease_id = api_lease_grant(&stage.scene, TTL_S);
    api_store(&stage.scene, stage.key, RIVAL, lease_id);
    const struct api_stored put = api_stored(&stage.scene, stage.key);
    check_lost(&stage, ROLLCALL_LOSS_OVERWRITTEN);
    CHECK(api_await_no_lease(&stage.scene, stage.info.lease_id, API_SOON_MS));
    check_untouched(&stage, &put);
    tear_down(&stage);
    api_lease_revoke(&stage.scene, lease_id);
}

/* D-47: our lease then holds the rival's key, so it may end by itself, but not by us. */
TEST(liveness, a_rival_s_record_under_our_own_lease_keeps_that_lease)
{
    struct stage stage;
    set_up(&stage);
    api_store(&stage.scene, stage.key, RIVAL, stage.info.lease_id);
    const struct api_stored put = api_stored(&stage.scene, stage.key);
    check_lost(&stage, ROLLCALL_LOSS_OVERWRITTEN);
    tear_down(&stage); /* etcdctl needs no connection of ours */
    check_untouched(&stage, &put);
    api_lease_revoke(&stage.scene, stage.info.lease_id);
}

/* D-47: what is no record at all is nobody's, and not ours. */
TEST(liveness, garbage_under_the_key_is_told_as_overwritten)
{
    struct stage stage;
    set_up(&stage);
    const int64_t lease_id = api_lease_grant(&stage.scene, TTL_S);
    api_store(&stage.scene, stage.key, "garbage", lease_id);
    check_lost(&stage, ROLLCALL_LOSS_OVERWRITTEN);
    api_check_contains(api_session_at(&stage.log, 1).reason, "not this session's record");
    CHECK_STR(api_stored(&stage.scene, stage.key).value, "garbage");
    tear_down(&stage);
    api_lease_revoke(&stage.scene, lease_id);
}

static void check_moved(int64_t ttl_s)
{
    struct stage stage;
    set_up(&stage);
    const int64_t lease_id = ttl_s == 0 ? 0 : api_lease_grant(&stage.scene, ttl_s);
    api_store(&stage.scene, stage.key, stage.stored.value, lease_id);
    const struct api_stored moved = api_stored(&stage.scene, stage.key);
    CHECK_INT(moved.lease_id, lease_id);
    CHECK_INT(moved.create_revision, stage.info.create_revision);
    check_lost(&stage, ROLLCALL_LOSS_MOVED);
    CHECK(api_await_no_lease(&stage.scene, stage.info.lease_id, API_SOON_MS));
    check_untouched(&stage, &moved);
    api_delete(&stage.scene, stage.key);
    tear_down(&stage);
}

/* D-47 */
TEST(liveness, a_key_moved_to_another_lease_is_told_as_moved)
{
    check_moved(TTL_S);
}

/* D-47: it would outlive us for ever. */
TEST(liveness, a_key_put_without_a_lease_is_told_as_moved)
{
    check_moved(0);
}

/* D-47: in between it was nobody's, so whoever put it again is its owner. */
TEST(liveness, a_key_deleted_and_put_again_as_it_was_is_told_as_deleted)
{
    struct stage stage;
    char script[512];
    set_up(&stage);
    const int64_t lease_id = api_lease_grant(&stage.scene, TTL_S);
    snprintf(script, sizeof script,
             "record=$(etcdctl get --print-value-only '%s'); etcdctl del '%s'; "
             "etcdctl put --lease=%" PRIx64 " '%s' \"$record\"",
             stage.key, stage.key, (uint64_t)lease_id, stage.key);
    api_etcdctl(&stage.scene, script, NULL, 0);
    const struct api_stored again = api_stored(&stage.scene, stage.key);
    CHECK(again.create_revision > stage.info.create_revision);
    check_lost(&stage, ROLLCALL_LOSS_DELETED);
    check_untouched(&stage, &again);
    tear_down(&stage);
    api_lease_revoke(&stage.scene, lease_id);
}

/* What the key says is looked at, not who wrote it. */
TEST(liveness, our_own_record_put_again_under_our_lease_is_no_loss)
{
    struct stage stage;
    set_up(&stage);
    api_store(&stage.scene, stage.key, stage.stored.value, stage.info.lease_id);
    CHECK(!api_session_await(&stage.log, ROLLCALL_SESSION_LOST, 1, QUIET_MS));
    CHECK_INT(rollcall_session_mark_stopping(stage.session, API_SOON_MS, NULL), ROLLCALL_OK);
    api_session_check_story(&stage.log, "ACTIVE");
    tear_down(&stage);
}

/* ---- the lease ---- */

/* TestForceKill, restated: upstream exits the process, here it is told and lives on. */
TEST(liveness, a_lease_revoked_behind_its_back_is_told_and_the_process_lives)
{
    struct stage stage;
    set_up(&stage);
    api_lease_revoke(&stage.scene, stage.info.lease_id);
    CHECK(api_session_await(&stage.log, ROLLCALL_SESSION_LOST, 1, TOLD_MS));
    const struct api_session_note told = api_session_at(&stage.log, 1);
    CHECK_INT(told.info.loss, ROLLCALL_LOSS_LEASE); /* though its key was seen to go first */
    CHECK_INT(told.status, ROLLCALL_E_LEASE_LOST);
    CHECK_INT(told.info.losses, 1);
    CHECK(!api_session_await(&stage.log, ROLLCALL_SESSION_LOST, 2, QUIET_MS));
    api_session_check_story(&stage.log, "ACTIVE LOST");
    tear_down(&stage);
}

/* TestSessionLivenessCheck (a): nothing happens for longer than the TTL. */
TEST(liveness, nothing_is_told_while_nothing_is_lost)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, BRIEF_S, &log);
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_LOST, 1, BRIEF_S * 1000 + QUIET_MS));
    CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_LOST), 0);
    CHECK(api_lease_left_s(&scene, api_info(session).lease_id) >= 0);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_LOST), 0);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* TestSessionLivenessCheck (c), D-49: the lease outlives the session, and is lost later. */
TEST(liveness, a_loss_after_close_is_not_told)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, TTL_S, &log);
    const int64_t lease_id = api_info(session).lease_id;
    CHECK_INT(rollcall_session_close(session, 0), ROLLCALL_OK);
    api_lease_revoke(&scene, lease_id);
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_LOST, 1, QUIET_MS));
    api_session_check_story(&log, "ACTIVE");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* TestSessionLivenessCheck (d), D-49: upstream calls back though it was cancelled before it began.
 */
TEST(liveness, a_session_that_never_registered_has_nothing_to_lose)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *session;
    api_scene_open(&scene, "127.0.0.1:1");
    api_session_log_init(&log);
    CHECK_INT(
        rollcall_session_start(scene.etcd,
                               ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                        .address = "10.0.0.7:21123",
                                                        .on_event = api_session_note, .user = &log),
                               &session, NULL),
        ROLLCALL_OK);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_check_story(&log, "STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- in the callback ---- */

struct caller {
    struct rollcall__monitor monitor; /* guards session */
    struct rollcall_session *session;
    struct api_session_log log;
    enum rollcall_status waited, closed, over, restarted;
    struct rollcall_session_info info;
};

/* D-49: in upstream's, the calls that matter refuse to act. */
static void act_when_lost(void *user, const struct rollcall_session_event *event)
{
    struct caller *caller = user;
    if (event->state == ROLLCALL_SESSION_LOST) {
        rollcall__monitor_lock(&caller->monitor);
        rollcall_session_get_info(caller->session, &caller->info);
        caller->waited = rollcall_session_wait(caller->session, 1000, NULL);
        caller->over = rollcall_session_wait_over(caller->session, 1000, NULL);
        caller->closed = rollcall_session_close(caller->session, 1000);
        rollcall_session_stop(caller->session);
        caller->restarted = rollcall_session_restart(caller->session, NULL);
        rollcall__monitor_unlock(&caller->monitor);
    }
    api_session_note(&caller->log, event);
}

TEST(liveness, the_callback_of_a_loss_may_look_stop_and_restart_but_not_wait)
{
    struct api_scene scene;
    struct caller caller = {.session = NULL};
    struct rollcall_session *session;
    api_scene_open(&scene, etcd_fixture_shared());
    rollcall__monitor_init(&caller.monitor);
    api_session_log_init(&caller.log);
    CHECK_INT(
        rollcall_session_open(scene.etcd,
                              ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                       .address = "10.0.0.7:21123", .server_id = 1,
                                                       .on_event = act_when_lost, .user = &caller),
                              &session, NULL),
        ROLLCALL_OK);
    const struct rollcall_session_info before = api_info(session);
    rollcall__monitor_lock(&caller.monitor);
    caller.session = session;
    rollcall__monitor_unlock(&caller.monitor);
    api_delete(&scene, before.key);
    CHECK(api_session_await(&caller.log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK_INT(caller.info.state, ROLLCALL_SESSION_LOST);
    CHECK(is_loss(caller.info.loss, ROLLCALL_LOSS_DELETED));
    CHECK_INT(caller.waited, ROLLCALL_E_BUSY);
    CHECK_INT(caller.over, ROLLCALL_E_BUSY);
    CHECK_INT(caller.closed, ROLLCALL_E_BUSY);
    CHECK_INT(caller.restarted, ROLLCALL_OK);
    CHECK(api_info(session).lease_id != before.lease_id);
    CHECK(!api_info(session).disconnected);
    api_session_check_story(&caller.log, "ACTIVE LOST REGISTERING ACTIVE");
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&caller.log);
    rollcall__monitor_fini(&caller.monitor);
    api_scene_close(&scene);
}

/* ---- what is no loss ---- */

/* TestKeepAliveRetryChannelClose: the stream of renewals breaks, again and again. */
TEST(liveness, a_broken_stream_of_renewals_is_no_loss)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_session_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 5, &log);
    const struct rollcall_session_info before = api_info(session);
    for (int i = 0; i < KILLS; i++) {
        etcd_fixture_kill(etcd);
        CHECK(etcd_fixture_restart(etcd));
    }
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_LOST, 1, 6000)); /* longer than the TTL */
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(!api_info(session).disconnected);
    CHECK_INT(api_info(session).lease_id, before.lease_id);
    CHECK_INT(api_stored(&scene, before.key).create_revision, before.create_revision);
    api_delete(&scene, before.key); /* the watch of the own key is back, too */
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- others ---- */

static void check_independent(const struct api_scene *first, const struct api_scene *second)
{
    struct api_session_log logs[2];
    struct rollcall_session *sessions[2];
    for (int i = 0; i < 2; i++) {
        api_session_log_init(&logs[i]);
        sessions[i] = api_open(i == 0 ? first : second, "querynode", i + 1, BRIEF_S, &logs[i]);
    }
    api_delete(first, api_info(sessions[0]).key);
    CHECK(api_session_await(&logs[0], ROLLCALL_SESSION_LOST, 1, TOLD_MS));
    CHECK(!api_session_await(&logs[1], ROLLCALL_SESSION_LOST, 1, BRIEF_S * 1000 + QUIET_MS));
    CHECK_INT(rollcall_session_restart(sessions[0], NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(sessions[0], API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(sessions[0], API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_session_count(&logs[1], ROLLCALL_SESSION_LOST), 0);
    CHECK(api_stored(second, api_info(sessions[1]).key).there);
    CHECK_INT(rollcall_session_close(sessions[1], API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&logs[1]);
    api_session_log_fini(&logs[0]);
}

/* D-81: what one session loses or does is nothing to another of the same connection. */
TEST(liveness, two_sessions_of_one_connection_are_independent)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    check_independent(&scene, &scene);
    api_scene_close(&scene);
}

/* D-81 */
TEST(liveness, two_sessions_of_two_connections_are_independent)
{
    struct api_scene first, second;
    api_scene_open(&first, etcd_fixture_shared());
    api_scene_open_beside(&second, &first);
    check_independent(&first, &second);
    api_scene_close(&second);
    api_scene_close(&first);
}

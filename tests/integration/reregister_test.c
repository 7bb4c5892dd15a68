/*
 * A session that registers again, by policy or when it is asked to, through the public calls and
 * against a real etcd: under a new lease, with the same server ID, and never against its owner's
 * wish.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

/* LATE_MS: what a busy machine may add.  BRIEF_S: a TTL that is waited for. */
enum { TTL_S = 60, BRIEF_S = 2, LOSSES = 10, BUDGET_MS = 500, LATE_MS = 3000, QUIET_MS = 500 };

static const char *const RIVAL = "{\"ServerID\":99,\"ServerName\":\"querynode\",\"Address\":\"r\"}";

static struct rollcall_session *open_lasting(const struct api_scene *scene, int64_t server_id,
                                             int64_t ttl_s, struct api_session_log *log)
{
    struct rollcall_session *session = NULL;
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .server_id = server_id,
                                 .ttl_s = ttl_s, .on_lost = ROLLCALL_ON_LOST_REREGISTER,
                                 .on_event = api_session_note, .user = log),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static void check_member(const struct api_scene *scene, const struct rollcall_session_info *info)
{
    const struct api_stored stored = api_stored(scene, info->key);
    CHECK(stored.there);
    CHECK_INT(stored.lease_id, info->lease_id);
    CHECK_INT(stored.create_revision, info->create_revision);
    CHECK(api_lease_left_s(scene, info->lease_id) >= 0);
}

/* ---- by policy ---- */

/* D-40: in upstream's, a lost lease is final, and the process exits. */
TEST(reregister, ten_losses_in_a_row_are_ten_new_leases_with_one_server_id)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_session_log log;
    char expected[1024] = "ACTIVE";
    size_t used = strlen(expected);
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 0, TTL_S, &log);
    struct rollcall_session_info before = api_info(session);
    for (size_t i = 1; i <= LOSSES; i++) {
        api_lease_revoke(&scene, before.lease_id);
        CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, i + 1, API_SOON_MS));
        const struct rollcall_session_info now = api_info(session);
        CHECK_INT(now.server_id, before.server_id);
        CHECK_STR(now.key, before.key);
        CHECK(now.lease_id != before.lease_id);
        CHECK(now.create_revision > before.create_revision);
        CHECK(!now.disconnected && now.registered);
        check_member(&scene, &now);
        before = now;
        used +=
            (size_t)snprintf(expected + used, sizeof expected - used, " LOST REGISTERING ACTIVE");
    }
    CHECK_INT(api_lease_count(&scene), 1);
    close_session(session);
    snprintf(expected + used, sizeof expected - used, " STOPPING STOPPED");
    api_session_check_story(&log, expected);
    CHECK_INT(api_lease_count(&scene), 0);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* D-48: the same when only the key went, and the lease that was left goes too. */
TEST(reregister, a_deleted_key_is_put_again_under_a_new_lease)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 7, TTL_S, &log);
    const struct rollcall_session_info before = api_info(session);
    CHECK_INT(rollcall_session_mark_stopping(session, API_SOON_MS, NULL), ROLLCALL_OK);
    api_delete(&scene, before.key);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    const struct rollcall_session_info after = api_info(session);
    CHECK_INT(after.server_id, 7);
    CHECK(after.lease_id != before.lease_id);
    CHECK(after.loss == ROLLCALL_LOSS_DELETED || after.loss == ROLLCALL_LOSS_MISSING);
    CHECK_INT(api_lease_left_s(&scene, before.lease_id), -1);
    check_member(&scene, &after);
    CHECK(after.stopping); /* who was told to send it no new work is told so again */
    const struct api_stored stored = api_stored(&scene, after.key);
    CHECK(strstr(stored.value, "Stopping") != NULL);
    CHECK_INT(stored.version, 1); /* put so, not marked later */
    close_session(session);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* D-40: our own record, put again by hand or by a tool that knows of no leases, is no rival's. */
TEST(reregister, our_own_record_put_again_without_its_lease_is_taken_over)
{
    struct api_scene scene;
    struct api_session_log log;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 0, TTL_S, &log);
    const struct rollcall_session_info before = api_info(session);
    snprintf(key, sizeof key, "%s", before.key);
    const struct api_stored ours = api_stored(&scene, key);
    api_store(&scene, key, ours.value, 0);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    const struct rollcall_session_info after = api_info(session);
    CHECK_INT(after.loss, ROLLCALL_LOSS_MOVED);
    CHECK_INT(after.server_id, before.server_id);
    CHECK(after.lease_id != before.lease_id);
    CHECK_INT(api_lease_left_s(&scene, before.lease_id), -1);
    check_member(&scene, &after);
    close_session(session);
    CHECK(!api_stored(&scene, key).there);
    api_session_check_story(&log, "ACTIVE LOST REGISTERING ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* Who took the key keeps it for as long as he lives. */
TEST(reregister, a_rival_s_key_is_waited_for_and_not_taken)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 7, TTL_S, &log);
    const struct rollcall_session_info before = api_info(session);
    const int64_t rival_lease_id = api_lease_grant(&scene, TTL_S);
    api_store(&scene, before.key, RIVAL, rival_lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_REGISTERING, 1, API_SOON_MS));
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, QUIET_MS));
    CHECK_STR(api_stored(&scene, before.key).value, RIVAL);
    CHECK(api_info(session).disconnected);
    api_lease_revoke(&scene, rival_lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    const struct rollcall_session_info after = api_info(session);
    CHECK_INT(after.server_id, 7);
    check_member(&scene, &after);
    close_session(session);
    api_session_check_story(&log, "ACTIVE LOST REGISTERING ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* An outage that outlives the lease: it is back by itself, with its server ID. */
TEST(reregister, an_outage_longer_than_the_lease_ends_active_again)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_session_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 7, BRIEF_S, &log);
    etcd_fixture_freeze(etcd);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    process_sleep_ms(BRIEF_S * 1000); /* the fault itself */
    etcd_fixture_thaw(etcd);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info after = api_info(session);
    CHECK_INT(after.server_id, 7);
    close_session(session);
    CHECK(api_await_lease_count(&scene, 0, API_SOON_MS));
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* D-40: the other policy tells, and does no more. */
TEST(reregister, is_not_done_by_the_policy_that_stops)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 7, TTL_S, &log);
    snprintf(key, sizeof key, "%s", api_info(session).key);
    api_lease_revoke(&scene, api_info(session).lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    const enum rollcall_status lost = api_session_at(&log, 1).status;
    CHECK_INT(rollcall_session_wait_over(session, 0, &error), lost);
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_REGISTERING, 1, QUIET_MS));
    CHECK(!api_stored(&scene, key).there);
    close_session(session);
    api_session_check_story(&log, "ACTIVE LOST");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- stopped on the way ---- */

/* D-44, D-45 */
TEST(reregister, that_waits_for_a_rival_ends_when_it_is_stopped_and_leaves_nothing)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_session_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = open_lasting(&scene, 7, TTL_S, &log);
    const int64_t rival_lease_id = api_lease_grant(&scene, TTL_S);
    api_store(&scene, api_info(session).key, RIVAL, rival_lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_REGISTERING, 1, API_SOON_MS));
    const int64_t began_ms = process_now_ms();
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(process_now_ms() - began_ms < LATE_MS);
    CHECK_INT(api_lease_count(&scene), 1); /* the rival's */
    close_session(session);
    api_session_check_story(&log, "ACTIVE LOST REGISTERING STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* D-44, D-45: the stop may fall anywhere between the loss and the new lease. */
TEST(reregister, that_is_stopped_while_etcd_is_silent_keeps_to_its_budget_and_is_not_renewed)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    for (int i = 0; i < 4; i++) {
        struct api_session_log log;
        api_session_log_init(&log);
        struct rollcall_session *session = open_lasting(&scene, i + 1, BRIEF_S, &log);
        api_delete(&scene, api_info(session).key);
        if (i % 2 == 0) {
            CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
        } else {
            CHECK(api_session_await(&log, ROLLCALL_SESSION_REGISTERING, 1, API_SOON_MS));
        }
        etcd_fixture_freeze(etcd);
        const int64_t began_ms = process_now_ms();
        const enum rollcall_status closed = rollcall_session_close(session, BUDGET_MS);
        CHECK(process_now_ms() - began_ms < BUDGET_MS + LATE_MS);
        CHECK(closed == ROLLCALL_E_TIMEOUT || closed == ROLLCALL_OK);
        etcd_fixture_thaw(etcd);
        CHECK(api_await_lease_count(&scene, 0, API_SOON_MS));
        api_session_log_fini(&log);
    }
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* Both at once, many times: either it leaves as a member, or before it is one. */
TEST(reregister, that_crosses_a_stop_always_ends_stopped_without_a_lease)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    for (int i = 0; i < LOSSES; i++) {
        struct api_session_log log;
        struct process gone;
        char script[256];
        api_session_log_init(&log);
        struct rollcall_session *session = open_lasting(&scene, i + 1, TTL_S, &log);
        snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64,
                 (uint64_t)api_info(session).lease_id);
        api_etcdctl_start(&scene, script, &gone);
        CHECK(process_wait_for(&gone, "revoked", API_SOON_MS));
        rollcall_session_stop(session);
        CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
        CHECK(process_wait(&gone, API_SOON_MS));
        process_destroy(&gone);
        CHECK_INT(api_info(session).state, ROLLCALL_SESSION_STOPPED);
        CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_STOPPED), 1);
        CHECK_INT(api_lease_count(&scene), 0);
        close_session(session);
        api_session_log_fini(&log);
    }
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- when asked to ---- */

/* D-31: upstream's session can be used once. */
TEST(reregister, restart_after_a_loss_a_stop_and_a_refusal_begins_again_on_the_same_handle)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *session;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *holder = api_open(&scene, "querynode", 7, TTL_S, NULL);
    CHECK_INT(
        rollcall_session_start(scene.etcd,
                               ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                        .address = "10.0.0.8:21123", .server_id = 7,
                                                        .retries = 1, .on_event = api_session_note,
                                                        .user = &log),
                               &session, NULL),
        ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_E_RIVAL);
    close_session(holder);
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info first = api_info(session);
    api_delete(&scene, first.key);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info second = api_info(session);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info third = api_info(session);
    CHECK(second.create_revision > first.create_revision);
    CHECK(third.create_revision > second.create_revision);
    CHECK_INT(third.server_id, 7);
    CHECK_STR(third.key, first.key);
    check_member(&scene, &third);
    close_session(session);
    api_session_check_story(&log, "FAILED REGISTERING ACTIVE LOST REGISTERING ACTIVE STOPPING "
                                  "STOPPED REGISTERING ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* With a server ID that was allocated, too: another one would be another node. */
TEST(reregister, restart_keeps_an_allocated_server_id)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 0, TTL_S, NULL);
    const int64_t server_id = api_info(session).server_id;
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(api_info(session).server_id, server_id);
    close_session(session);
    api_scene_close(&scene);
}

struct stubborn {
    struct api_session_log log;
    struct rollcall__monitor monitor; /* guards the rest */
    struct rollcall_session *session;
    enum rollcall_status restarted;
};

static void restart_when_stopped(void *user, const struct rollcall_session_event *event)
{
    struct stubborn *stubborn = user;
    if (event->state == ROLLCALL_SESSION_STOPPED) {
        rollcall__monitor_lock(&stubborn->monitor);
        stubborn->restarted = rollcall_session_restart(stubborn->session, NULL);
        rollcall__monitor_unlock(&stubborn->monitor);
    }
    api_session_note(&stubborn->log, event);
}

TEST(reregister, restart_of_a_session_that_is_being_closed_is_busy_and_close_ends_in_time)
{
    struct stubborn stubborn = {.restarted = ROLLCALL_OK};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&stubborn.log);
    rollcall__monitor_init(&stubborn.monitor);
    rollcall__monitor_lock(&stubborn.monitor);
    const enum rollcall_status status = rollcall_session_open(
        scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .server_id = 7, .ttl_s = TTL_S,
                                 .on_event = restart_when_stopped, .user = &stubborn),
        &stubborn.session, NULL);
    rollcall__monitor_unlock(&stubborn.monitor);
    CHECK_INT(status, ROLLCALL_OK);
    const int64_t lease_id = api_info(stubborn.session).lease_id;
    close_session(stubborn.session);
    CHECK_INT(stubborn.restarted, ROLLCALL_E_BUSY);
    CHECK_INT(api_lease_left_s(&scene, lease_id), -1);
    api_session_check_story(&stubborn.log, "ACTIVE STOPPING STOPPED");
    rollcall__monitor_fini(&stubborn.monitor);
    api_session_log_fini(&stubborn.log);
    api_scene_close(&scene);
}

TEST(reregister, restart_of_a_session_that_is_not_over_is_busy_and_changes_nothing)
{
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 7, TTL_S, &log);
    const struct rollcall_session_info before = api_info(session);
    CHECK_INT(rollcall_session_restart(session, &error), ROLLCALL_E_BUSY);
    api_check_contains(error.text, "stop it first");
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_REGISTERING, 1, QUIET_MS));
    CHECK_INT(api_info(session).lease_id, before.lease_id);
    check_member(&scene, &before);
    close_session(session);
    api_session_check_story(&log, "ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

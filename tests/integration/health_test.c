/* How an etcd is, by the calls of rollcall/health.h, asked of a real one. */
#include "integration/admin_scene.h"

#include "base/clock.h"
#include "base/thread.h"
#include "support/etcd_cluster.h"

#include <rollcall/health.h>

#define NOBODY "127.0.0.1:1" /* tcpmux: refuses */

TEST(health, a_healthy_etcd_says_everything_of_itself)
{
    struct api_scene scene;
    struct rollcall_health health;
    struct rollcall_error error;
    char text[TEXT_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene,
                "etcdctl put $ROOT/session/id 8 >&2\n"
                "etcdctl put $ROOT/session/querynode-7 '" STRANGER "}' >&2\n"
                "etcdctl put $ROOT/elsewhere 1 >&2\n"
                "etcdctl version | sed -n 's/^etcdctl version: //p'",
                text, sizeof text);
    check_ok(rollcall_health(scene.etcd, scene.root, 0, &health, &error), &error);
    text[strcspn(text, "\n")] = '\0';
    CHECK_STR(health.version, text);
    CHECK(health.has_leader && !health.is_learner);
    CHECK(health.cluster_id != 0 && health.member_id != 0);
    CHECK(health.leader_id == health.member_id);
    CHECK(health.raft_term > 0 && health.raft_index > 0 && health.raft_applied_index > 0);
    CHECK(health.db_size_bytes > 0 && health.db_size_in_use_bytes > 0);
    CHECK(health.latency_ms >= 0 && health.latency_ms < API_SOON_MS);
    CHECK_INT(health.members_status, ROLLCALL_OK);
    CHECK_INT(health.member_count, 1);
    CHECK(health.members[0].member_id == health.member_id);
    CHECK(health.members[0].name[0] != '\0' && !health.members[0].is_learner);
    CHECK_INT(health.alarms_status, ROLLCALL_OK);
    CHECK_INT(health.alarm_count, 0);
    CHECK_INT(health.read_error.status, ROLLCALL_OK);
    CHECK_INT(health.key_count, 2);
    api_scene_close(&scene);
}

TEST(health, nobody_there_is_told_at_once_and_leaves_the_result_alone)
{
    struct api_scene scene;
    struct rollcall_error error;
    struct rollcall_health health = {.member_count = 77};
    api_scene_open(&scene, NOBODY);
    const int64_t start_ms = process_now_ms();
    CHECK_INT(rollcall_health(scene.etcd, scene.root, 20000, &health, &error),
              ROLLCALL_E_UNAVAILABLE);
    CHECK(process_now_ms() - start_ms < 10000);
    check_contains(error.text, NOBODY);
    CHECK_INT(health.member_count, 77);
    api_scene_close(&scene);
}

TEST(health, what_cannot_be_asked_is_refused)
{
    struct api_scene scene;
    struct rollcall_error error;
    struct rollcall_health health;
    api_scene_open(&scene, etcd_fixture_shared());
    CHECK_INT(rollcall_health(scene.etcd, scene.root, -1, &health, &error), ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_health(scene.etcd, "a/../b", 0, &health, &error), ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_health_async(scene.etcd, scene.root, 0, NULL, NULL, &error),
              ROLLCALL_E_INVALID);
    api_scene_close(&scene);
}

TEST(health, a_member_alone_says_that_it_has_no_leader)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    struct api_scene scene;
    struct rollcall_error error;
    struct rollcall_health health;
    CHECK(cluster != NULL);
    api_scene_open(&scene, etcd_cluster_endpoint(cluster, 0));
    check_ok(rollcall_health(scene.etcd, scene.root, 0, &health, &error), &error);
    CHECK(health.has_leader);
    CHECK_INT(health.member_count, ETCD_CLUSTER_MEMBERS);
    etcd_cluster_kill(cluster, 1);
    etcd_cluster_kill(cluster, 2);
    CHECK(etcd_cluster_await_no_leader(cluster, 0, API_SOON_MS));
    check_ok(rollcall_health(scene.etcd, scene.root, 0, &health, &error), &error);
    CHECK(!health.has_leader);
    CHECK_INT(health.leader_id, 0);
    CHECK_INT(health.read_error.status, ROLLCALL_E_UNAVAILABLE);
    check_contains(health.read_error.text, "no leader");
    api_scene_close(&scene);
    etcd_cluster_destroy(cluster);
}

/* ---- the form that does not wait ---- */

struct outcome {
    struct rollcall__monitor monitor;
    bool told;
    enum rollcall_status status, inside; /* inside: of the form that waits, in the callback */
    size_t member_count;                 /* SIZE_MAX: no health was given */
    struct rollcall_etcd *etcd;
};

static void note(void *user, const struct rollcall_health *health,
                 const struct rollcall_error *error)
{
    struct outcome *outcome = user;
    struct rollcall_health again;
    struct rollcall_error ignored;
    const enum rollcall_status inside = rollcall_health(outcome->etcd, NULL, 0, &again, &ignored);
    rollcall__monitor_lock(&outcome->monitor);
    outcome->told = true;
    outcome->status = error->status;
    outcome->inside = inside;
    outcome->member_count = health == NULL ? SIZE_MAX : health->member_count;
    rollcall__monitor_notify(&outcome->monitor);
    rollcall__monitor_unlock(&outcome->monitor);
}

static void ask_later(struct outcome *outcome, const struct api_scene *scene)
{
    struct rollcall_error error;
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + (int64_t)API_SOON_MS * 1000 * 1000;
    *outcome = (struct outcome){.etcd = scene->etcd};
    rollcall__monitor_init(&outcome->monitor);
    check_ok(rollcall_health_async(scene->etcd, scene->root, 0, note, outcome, &error), &error);
    rollcall__monitor_lock(&outcome->monitor);
    while (!outcome->told && rollcall__monitor_wait(&outcome->monitor, deadline_ns)) {
    }
    CHECK(outcome->told);
    rollcall__monitor_unlock(&outcome->monitor);
}

/* Until the callback has returned, and a moment longer, closing is busy. */
static void close_soon(struct api_scene *scene, struct outcome *outcome)
{
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    enum rollcall_status status;
    while ((status = rollcall_etcd_close(scene->etcd)) == ROLLCALL_E_BUSY &&
           process_now_ms() < deadline_ms) {
        process_sleep_ms(1);
    }
    CHECK_INT(status, ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(scene->runtime), ROLLCALL_OK);
    rollcall__monitor_fini(&outcome->monitor);
}

TEST(health, the_form_that_does_not_wait_tells_it_to_a_callback)
{
    struct api_scene scene;
    struct outcome outcome;
    api_scene_open(&scene, etcd_fixture_shared());
    ask_later(&outcome, &scene);
    CHECK_INT(outcome.status, ROLLCALL_OK);
    CHECK_INT(outcome.member_count, 1);
    CHECK_INT(outcome.inside, ROLLCALL_E_BUSY);
    close_soon(&scene, &outcome);
}

TEST(health, the_form_that_does_not_wait_tells_of_nobody_there)
{
    struct api_scene scene;
    struct outcome outcome;
    api_scene_open(&scene, NOBODY);
    ask_later(&outcome, &scene);
    CHECK_INT(outcome.status, ROLLCALL_E_UNAVAILABLE);
    CHECK(outcome.member_count == SIZE_MAX);
    close_soon(&scene, &outcome);
}

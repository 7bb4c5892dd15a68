/*
 * Fail points on real threads, against a real etcd: what sessions and watches promise holds though
 * their own actors crash, and etcd's answers fail, are lost or are late.
 */
#include "support/api_events.h"
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/testing.h>

enum { SESSIONS = 20, TTL_S = 5, ROUNDS = 200, POLL_MS = 10 };

static void arm(const struct api_scene *scene, const char *text)
{
    struct rollcall_error error = {.text = ""};
    const enum rollcall_status status = rollcall_failpoints_arm(scene->runtime, text, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

static void clear(const struct api_scene *scene)
{
    CHECK_INT(rollcall_failpoints_clear(scene->runtime), ROLLCALL_OK);
}

static void add_fired(void *user, const struct rollcall_failpoint *point)
{
    *(uint64_t *)user += point->fired;
}

static uint64_t fired(const struct api_scene *scene)
{
    uint64_t sum = 0;
    CHECK_INT(rollcall_failpoints_list(scene->runtime, add_fired, &sum), ROLLCALL_OK);
    return sum;
}

static void await_fired(const struct api_scene *scene, uint64_t times)
{
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    while (fired(scene) < times) {
        CHECK(process_now_ms() < deadline_ms);
        process_sleep_ms(POLL_MS);
    }
}

/* One session and its log. */
struct member {
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *session;
};

/* points: armed before it is opened; "": none. */
static void begin(struct member *member, const char *points, int64_t ttl_s)
{
    api_scene_open(&member->scene, etcd_fixture_shared());
    api_session_log_init(&member->log);
    arm(&member->scene, points);
    member->session = api_open(&member->scene, "querynode", 7, ttl_s, &member->log);
}

static void finish(struct member *member)
{
    CHECK_INT(rollcall_session_close(member->session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&member->log);
    api_scene_close(&member->scene);
}

/* ---- actors ---- */

TEST(failpoint, sessions_under_load_survive_crashes_of_their_keepalive)
{
    struct api_scene scene;
    struct api_session_log logs[SESSIONS];
    struct rollcall_session *sessions[SESSIONS];
    api_scene_open(&scene, etcd_fixture_shared());
    arm(&scene, "keepalive/KEEPALIVE_ANSWER=crash@3+*30");
    for (int i = 0; i < SESSIONS; i++) {
        api_session_log_init(&logs[i]);
        sessions[i] = api_open(&scene, "querynode", i + 1, TTL_S, &logs[i]);
    }
    await_fired(&scene, 30);
    struct rollcall_runtime_stats stats;
    CHECK_INT(rollcall_runtime_stats(scene.runtime, &stats), ROLLCALL_OK);
    CHECK_INT(stats.failures, 30);
    for (int i = 0; i < SESSIONS; i++) {
        const size_t suspects = api_session_count(&logs[i], ROLLCALL_SESSION_SUSPECT);
        CHECK(api_session_await(&logs[i], ROLLCALL_SESSION_ACTIVE, suspects + 1, API_SOON_MS));
        CHECK_INT(api_session_count(&logs[i], ROLLCALL_SESSION_LOST), 0);
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
        api_session_log_fini(&logs[i]);
    }
    api_scene_close(&scene);
}

TEST(failpoint, answers_that_do_not_arrive_are_suspect_and_active_once_they_do)
{
    struct member member;
    begin(&member, "", TTL_S);
    arm(&member.scene, "keepalive/KEEPALIVE_ANSWER=drop");
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    clear(&member.scene);
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    api_session_check_story(&member.log, "ACTIVE SUSPECT ACTIVE");
    finish(&member);
}

/* ---- the connection to etcd ---- */

/* Another keeps the lease alive meanwhile: what is tested is not who is faster. */
static void check_suspect(const char *points)
{
    struct member member;
    struct process keeper;
    char script[96];
    begin(&member, "", TTL_S);
    snprintf(script, sizeof script, "exec etcdctl lease keep-alive %" PRIx64,
             (uint64_t)api_info(member.session).lease_id);
    api_etcdctl_start(&member.scene, script, &keeper);
    arm(&member.scene, points);
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    clear(&member.scene);
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    api_session_check_story(&member.log, "ACTIVE SUSPECT ACTIVE");
    process_destroy(&keeper);
    finish(&member);
}

TEST(failpoint, renewals_that_fail_are_lost_or_late_are_suspect_and_active_once_they_succeed)
{
    check_suspect("etcd/renewal=error");
    check_suspect("etcd/renewal=drop");
    check_suspect("etcd/renewal=delay(60s)");
}

TEST(failpoint, a_lease_that_etcd_does_not_know_is_lost)
{
    struct member member;
    begin(&member, "", TTL_S);
    arm(&member.scene, "etcd/renewal=error(E_LEASE_LOST)*2"); /* of a young lease: asked twice */
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    ROLLCALL_DROP(rollcall_session_close(member.session, API_SOON_MS), "it is over");
    api_session_log_fini(&member.log);
    api_scene_close(&member.scene);
}

TEST(failpoint, a_registration_whose_calls_fail_tries_again)
{
    struct member member;
    begin(&member, "etcd/call=error*3", TTL_S);
    CHECK(fired(&member.scene) >= 3); /* on each worker */
    api_session_check_story(&member.log, "ACTIVE");
    finish(&member);
}

TEST(failpoint, a_call_that_etcd_refuses_is_told_with_its_status)
{
    struct api_scene scene;
    struct rollcall_session *session = NULL;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_shared());
    arm(&scene, "etcd/call=error(E_DENIED)");
    CHECK_INT(
        rollcall_session_open(scene.etcd,
                              ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                       .address = "a:1", .server_id = 7),
                              &session, &error),
        ROLLCALL_E_DENIED);
    api_check_contains(error.text, "injected at etcd/call");
    api_scene_close(&scene);
}

TEST(failpoint, a_watch_that_etcd_refuses_is_told_with_its_status)
{
    struct api_scene scene;
    struct api_watch_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    arm(&scene, "etcd/watch=error(E_DENIED)");
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_FAILED, 1, API_SOON_MS));
    CHECK_INT(api_watch_last(&log).status, ROLLCALL_E_DENIED);
    api_check_contains(api_watch_last(&log).reason, "injected at etcd/watch");
    api_watch_close(watch, &log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

TEST(failpoint, a_call_that_is_lost_is_answered_by_its_deadline)
{
    struct member member;
    const int64_t begun_ms = process_now_ms();
    begin(&member, "etcd/call=drop@2", 30);
    CHECK(process_now_ms() - begun_ms >= 5000); /* what a call has */
    CHECK(fired(&member.scene) >= 1);
    CHECK(api_session_await(&member.log, ROLLCALL_SESSION_ACTIVE, 1, API_SOON_MS));
    CHECK_INT(api_session_count(&member.log, ROLLCALL_SESSION_LOST), 0);
    finish(&member);
}

TEST(failpoint, late_answers_change_nothing_but_the_time)
{
    struct member member;
    const int64_t begun_ms = process_now_ms();
    begin(&member, "etcd/call=delay(150ms)*4; etcd/renewal=delay(50ms)", TTL_S);
    CHECK(process_now_ms() - begun_ms >= 150); /* not before: the answers were held */
    await_fired(&member.scene, 6);
    api_session_check_story(&member.log, "ACTIVE");
    finish(&member);
}

TEST(failpoint, the_actor_of_the_connection_is_no_fail_point)
{
    struct member member;
    begin(&member, "transport/*=crash; transport/ROLLCALL_DOWN=crash", TTL_S);
    CHECK_INT(fired(&member.scene), 0);
    finish(&member);
}

/*
 * What a watch tells of five sessions that come while `points` are armed: each when the one before
 * it has been told, so that etcd cannot put them into one response and a point counts five.
 */
static void check_watch(const char *points, uint64_t fires)
{
    struct api_scene scene, other;
    struct api_watch_log log;
    struct rollcall_session *sessions[5];
    api_scene_open(&scene, etcd_fixture_shared());
    api_scene_open_beside(&other, &scene);
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    arm(&scene, points);
    for (int i = 0; i < 5; i++) {
        sessions[i] = api_open(&other, "querynode", i + 1, TTL_S, NULL);
        CHECK(api_watch_await_told(&log, (size_t)i + 1, API_SOON_MS));
    }
    CHECK(fired(&scene) >= fires);
    api_watch_check(&log);
    api_watch_close(watch, &log);
    api_watch_log_fini(&log);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    api_scene_close(&other);
    api_scene_close(&scene);
}

TEST(failpoint, a_watch_whose_responses_are_lost_tells_everything_all_the_same)
{
    check_watch("etcd/watch=drop@2", 1);
    check_watch("etcd/watch=error(E_UNAVAILABLE)*3", 3);
}

TEST(failpoint, a_watch_whose_responses_are_late_tells_them_in_order)
{
    check_watch("etcd/watch=delay(300ms)@2", 1);
    check_watch("etcd/watch=delay(100ms)%0.5; watcher/*=delay(5ms)", 1);
}

/* ---- arming ---- */

TEST(failpoint, arming_and_clearing_while_workers_run_loses_nothing)
{
    struct member member;
    begin(&member, "", TTL_S);
    for (int i = 0; i < ROUNDS; i++) {
        arm(&member.scene,
            "*/*=delay(1ms)%0.5; keepalive/*=crash(E_UNAVAILABLE)%0.01; etcd/*=delay(1ms)");
        fired(&member.scene);
        clear(&member.scene);
    }
    CHECK_INT(fired(&member.scene), 0);
    CHECK_INT(api_session_count(&member.log, ROLLCALL_SESSION_LOST), 0);
    finish(&member);
}

TEST(failpoint, a_runtime_is_created_with_them_armed_or_not_at_all)
{
    struct rollcall_error error;
    struct api_scene scene = {.runtime = NULL};
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.failpoints = "a/B=burn"),
                                      &scene.runtime, &error),
              ROLLCALL_E_INVALID);
    CHECK(scene.runtime == NULL);
    api_check_contains(error.text, "byte 5");
    CHECK_INT(rollcall_runtime_create(
                  ROLLCALL_RUNTIME_OPTIONS(.workers = 3, .failpoints = "etcd/call=drop%0.5"),
                  &scene.runtime, &error),
              ROLLCALL_OK);
    arm(&scene, "a/B=drop");
    CHECK_INT(fired(&scene), 0);
    CHECK_INT(rollcall_runtime_destroy(scene.runtime), ROLLCALL_OK);
}

/* ---- the command ---- */

static void start_register(struct process *process, const struct command_scene *scene,
                           const char *failpoints)
{
    const char *const environment[] = {failpoints, NULL};
    const char *const words[] = {"register", "querynode", "--address", "a:1", NULL};
    const struct command_setting setting = {.environment = environment};
    command_start(process, scene, &setting, words);
}

TEST(failpoint, the_command_takes_them_from_its_environment_and_warns)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process process;
    start_register(&process, &scene,
                   "ROLLCALL_FAILPOINTS=etcd/renewal=error(E_LEASE_LOST);etcd/call=error*2");
    command_check_ends(&process, 4); /* lost, which only the first point can have done */
    command_check_contains(process.err.data, "level=warn");
    command_check_contains(process.err.data, "fail points are armed");
    command_check_contains(process.out.data, "\"event\":\"registered\"");
    process_destroy(&process);
    start_register(&process, &scene, "ROLLCALL_FAILPOINTS=keepalive/KEEPALIVE_ANSWER=burn");
    command_check_ends(&process, 2);
    command_check_contains(process.err.data, "rollcall: ROLLCALL_FAILPOINTS: fail points, byte 28");
    process_destroy(&process);
    RUN(&process, NULL, 0, "register", "--help");
    command_check_contains(process.out.data, "[ROLLCALL_FAILPOINTS]");
    process_destroy(&process);
}

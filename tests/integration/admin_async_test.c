/*
 * The calls of rollcall/admin.h that do not wait, and all of them where it is hard: in callbacks,
 * in a forked child, with an etcd that is silent or away, the shared one or a private one.
 */
#include "base/clock.h"
#include "integration/admin_scene.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_MS = 1200 };

/* As api_scene_open, with so many workers. */
static void open_with_workers(struct api_scene *scene, uint32_t workers)
{
    struct rollcall_error error;
    api_scene_open(scene, etcd_fixture_shared());
    CHECK_INT(rollcall_etcd_close(scene->etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(scene->runtime), ROLLCALL_OK);
    check_ok(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = workers), &scene->runtime,
                                     &error),
             &error);
    check_ok(rollcall_etcd_connect(scene->runtime,
                                   ROLLCALL_ETCD_OPTIONS(.endpoints = scene->endpoint),
                                   &scene->etcd, &error),
             &error);
}

/* ---- what the forms that do not wait told ---- */

struct outcomes {
    struct rollcall__monitor monitor; /* guards the rest */
    size_t count;
    struct rollcall_error error; /* of the last */
    int64_t server_id, at_ms;
};

static void outcomes_init(struct outcomes *outcomes)
{
    *outcomes = (struct outcomes){.count = 0};
    rollcall__monitor_init(&outcomes->monitor);
}

static void note_id(void *user, int64_t server_id, const struct rollcall_error *error)
{
    struct outcomes *outcomes = user;
    rollcall__monitor_lock(&outcomes->monitor);
    outcomes->count++;
    outcomes->error = *error;
    outcomes->server_id = server_id;
    outcomes->at_ms = process_now_ms();
    rollcall__monitor_notify(&outcomes->monitor);
    rollcall__monitor_unlock(&outcomes->monitor);
}

static void note_done(void *user, const struct rollcall_error *error)
{
    note_id(user, 0, error);
}

static bool outcomes_await(struct outcomes *outcomes, size_t count, int64_t timeout_ms)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + timeout_ms * 1000000;
    rollcall__monitor_lock(&outcomes->monitor);
    while (outcomes->count < count && rollcall__monitor_wait(&outcomes->monitor, deadline_ns)) {
    }
    const bool told = outcomes->count >= count;
    rollcall__monitor_unlock(&outcomes->monitor);
    return told;
}

/* Closes the scene once the callbacks that were told have returned: until then it is busy. */
static void close_after_callbacks(struct api_scene *scene, struct outcomes *outcomes, size_t count)
{
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    enum rollcall_status status;
    while ((status = rollcall_etcd_close(scene->etcd)) == ROLLCALL_E_BUSY &&
           process_now_ms() < deadline_ms) {
        CHECK(!outcomes_await(outcomes, count + 1, 1)); /* a millisecond, or one told twice */
    }
    CHECK_INT(status, ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(scene->runtime), ROLLCALL_OK);
    CHECK_INT(outcomes->count, count);
    rollcall__monitor_fini(&outcomes->monitor);
}

/* ---- the forms that do not wait, and callbacks ---- */

TEST(admin, the_forms_that_do_not_wait_tell_once_each)
{
    struct api_scene scene;
    struct outcomes outcomes;
    struct rollcall_error error;
    outcomes_init(&outcomes);
    api_scene_open(&scene, etcd_fixture_shared());
    api_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 '" STRANGER "}'", NULL, 0);
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    check_ok(rollcall_mark_stopping_async(scene.etcd, &target, 0, note_done, &outcomes, &error),
             &error);
    CHECK(outcomes_await(&outcomes, 1, API_SOON_MS));
    check_ok(outcomes.error.status, &outcomes.error);
    check_value(&scene, "querynode-7", STRANGER ",\"Stopping\":true}");
    check_ok(rollcall_server_id_async(scene.etcd, scene.root, false, 0, note_id, &outcomes, &error),
             &error);
    CHECK(outcomes_await(&outcomes, 2, API_SOON_MS));
    check_ok(outcomes.error.status, &outcomes.error);
    CHECK_INT(outcomes.server_id, 8); /* above the session's */
    check_ok(rollcall_revoke_async(scene.etcd, &target, 0, note_done, &outcomes, &error), &error);
    CHECK(outcomes_await(&outcomes, 3, API_SOON_MS));
    check_ok(outcomes.error.status, &outcomes.error);
    check_ok(rollcall_revoke_async(scene.etcd, &target, 0, note_done, &outcomes, &error), &error);
    CHECK(outcomes_await(&outcomes, 4, API_SOON_MS));
    CHECK_INT(outcomes.error.status, ROLLCALL_E_KEY_LOST);
    close_after_callbacks(&scene, &outcomes, 4);
}

/* A callback that asks for everything, and once more in the callback that this calls. */
struct inside {
    struct api_scene *scene;
    struct outcomes *outcomes;
    struct rollcall_target target;
    enum rollcall_status waiting[3], id_later, mark_later;
};

static void mark_later(void *user, int64_t server_id, const struct rollcall_error *error)
{
    struct inside *in = user;
    struct rollcall_error ignored;
    in->mark_later = rollcall_mark_stopping_async(in->scene->etcd, &in->target, 0, note_done,
                                                  in->outcomes, &ignored);
    note_id(in->outcomes, server_id, error);
}

static void call_all(void *user, const struct rollcall_session_event *event)
{
    struct inside *in = user;
    struct rollcall_etcd *etcd = in->scene->etcd;
    struct rollcall_error error;
    int64_t server_id;
    if (event->state == ROLLCALL_SESSION_ACTIVE) {
        in->waiting[0] = rollcall_mark_stopping(etcd, &in->target, 0, &error);
        in->waiting[1] = rollcall_revoke(etcd, &in->target, 0, &error);
        in->waiting[2] = rollcall_server_id(etcd, in->scene->root, true, 0, &server_id, &error);
        in->id_later =
            rollcall_server_id_async(etcd, in->scene->root, true, 0, mark_later, in, &error);
    }
}

TEST(admin, in_callbacks_the_forms_that_wait_are_busy_and_the_others_work)
{
    for (uint32_t workers = 1; workers <= 3; workers++) {
        struct api_scene scene;
        struct outcomes outcomes;
        struct rollcall_session *session;
        struct rollcall_error error = {0};
        open_with_workers(&scene, workers);
        outcomes_init(&outcomes);
        api_etcdctl(&scene, "etcdctl put $ROOT/session/stranger-7 '" STRANGER "}'", NULL, 0);
        struct inside in = {
            .scene = &scene, .outcomes = &outcomes, .target = target_of(&scene, "stranger-7")};
        check_ok(rollcall_session_open(scene.etcd,
                                       ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "proxy",
                                                                .address = "a:1", .server_id = 3,
                                                                .on_event = call_all, .user = &in),
                                       &session, &error),
                 &error);
        CHECK(outcomes_await(&outcomes, 2, API_SOON_MS));
        check_ok(outcomes.error.status, &outcomes.error);
        check_value(&scene, "stranger-7", STRANGER ",\"Stopping\":true}");
        CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
        for (int i = 0; i < 3; i++) {
            CHECK_INT(in.waiting[i], ROLLCALL_E_BUSY);
        }
        CHECK_INT(in.id_later, ROLLCALL_OK);
        CHECK_INT(in.mark_later, ROLLCALL_OK);
        /* The allocator that a callback was the first to need serves the others too. */
        int64_t server_id = 0;
        check_ok(rollcall_server_id(scene.etcd, scene.root, true, 0, &server_id, &error), &error);
        CHECK_INT(server_id, 8);
        close_after_callbacks(&scene, &outcomes, 2);
    }
}

TEST(admin, a_call_that_waits_does_not_wait_for_a_callback_that_does_not_return)
{
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_error error;
    int64_t server_id = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    api_watch_hold(&log);
    api_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 '" STRANGER "}'", NULL, 0);
    CHECK(api_watch_await_blocked(&log, API_SOON_MS));
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    const int64_t began_ms = process_now_ms();
    check_ok(rollcall_revoke(scene.etcd, &target, 0, &error), &error);
    check_ok(rollcall_server_id(scene.etcd, scene.root, true, 0, &server_id, &error), &error);
    CHECK(process_now_ms() <= began_ms + LATE_MS);
    api_watch_let_go(&log);
    CHECK(api_watch_await_told(&log, 0, API_SOON_MS));
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- many, and the first, in one callback ---- */

enum { MANY = 3000, LONG_MS = 60000 };

struct crowd {
    struct outcomes outcomes; /* its monitor guards the rest, too */
    struct api_scene *scene;
    int64_t ids[MANY];
    size_t asked, id_count;
    bool held, let_go;
};

static void note_one_of_many(void *user, int64_t server_id, const struct rollcall_error *error)
{
    struct crowd *crowd = user;
    rollcall__monitor_lock(&crowd->outcomes.monitor);
    if (error->status == ROLLCALL_OK && crowd->id_count < MANY) {
        crowd->ids[crowd->id_count++] = server_id;
    }
    rollcall__monitor_unlock(&crowd->outcomes.monitor);
    note_id(&crowd->outcomes, server_id, error);
}

static void ask_for_many(void *user, const struct rollcall_session_event *event)
{
    struct crowd *crowd = user;
    struct rollcall_error error;
    for (int i = 0; i < MANY && event->state == ROLLCALL_SESSION_ACTIVE; i++) {
        crowd->asked +=
            rollcall_server_id_async(crowd->scene->etcd, crowd->scene->root, false, LONG_MS,
                                     note_one_of_many, crowd, &error) == ROLLCALL_OK;
    }
}

/* Asks for one, and does not return before it is let go. */
static void ask_and_stay(void *user, const struct rollcall_session_event *event)
{
    struct crowd *crowd = user;
    struct rollcall_error error;
    if (event->state != ROLLCALL_SESSION_ACTIVE) {
        return;
    }
    const bool asked =
        rollcall_server_id_async(crowd->scene->etcd, crowd->scene->root, false, LONG_MS,
                                 note_one_of_many, crowd, &error) == ROLLCALL_OK;
    rollcall__monitor_lock(&crowd->outcomes.monitor);
    crowd->asked += asked;
    crowd->held = true;
    rollcall__monitor_notify(&crowd->outcomes.monitor);
    while (!crowd->let_go && rollcall__monitor_wait(&crowd->outcomes.monitor, INT64_MAX)) {
    }
    rollcall__monitor_unlock(&crowd->outcomes.monitor);
}

/* A session whose callback is `on_event`; its server ID is given, so it needs no allocator. */
static struct rollcall_session *start_crowd(struct crowd *crowd, struct api_scene *scene,
                                            void (*on_event)(void *user,
                                                             const struct rollcall_session_event *))
{
    struct rollcall_session *session;
    struct rollcall_error error;
    *crowd = (struct crowd){.scene = scene};
    outcomes_init(&crowd->outcomes);
    api_scene_open(scene, etcd_fixture_shared());
    check_ok(rollcall_session_start(scene->etcd,
                                    ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "proxy",
                                                             .address = "a:1", .server_id = 3,
                                                             .on_event = on_event, .user = crowd),
                                    &session, &error),
             &error);
    return session;
}

static int by_number(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

TEST(admin, three_thousand_server_ids_asked_for_in_one_callback_are_all_told_and_all_different)
{
    static struct crowd crowd;
    struct api_scene scene;
    struct rollcall_session *session = start_crowd(&crowd, &scene, ask_for_many);
    CHECK(outcomes_await(&crowd.outcomes, MANY, LONG_MS));
    CHECK_INT(crowd.asked, MANY);
    CHECK_INT(crowd.id_count, MANY);
    qsort(crowd.ids, MANY, sizeof crowd.ids[0], by_number);
    for (size_t i = 1; i < MANY; i++) {
        CHECK(crowd.ids[i] > crowd.ids[i - 1]);
    }
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    close_after_callbacks(&scene, &crowd.outcomes, MANY);
}

TEST(admin, a_callback_that_needs_the_first_server_id_and_does_not_return_delays_no_other)
{
    static struct crowd crowd;
    struct api_scene scene;
    struct rollcall_error error;
    int64_t server_id = 0;
    struct rollcall_session *session = start_crowd(&crowd, &scene, ask_and_stay);
    rollcall__monitor_lock(&crowd.outcomes.monitor);
    while (!crowd.held && rollcall__monitor_wait(&crowd.outcomes.monitor, INT64_MAX)) {
    }
    rollcall__monitor_unlock(&crowd.outcomes.monitor);
    check_ok(rollcall_server_id(scene.etcd, scene.root, false, 0, &server_id, &error), &error);
    rollcall__monitor_lock(&crowd.outcomes.monitor);
    crowd.let_go = true;
    rollcall__monitor_notify(&crowd.outcomes.monitor);
    rollcall__monitor_unlock(&crowd.outcomes.monitor);
    CHECK(outcomes_await(&crowd.outcomes, 1, API_SOON_MS));
    CHECK(crowd.ids[0] != server_id);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    close_after_callbacks(&scene, &crowd.outcomes, 1);
}

struct revoker {
    struct rollcall_etcd *etcd;
    pthread_t thread;
    enum rollcall_status status;
    int64_t took_ms;
};

static void *revoke_briefly(void *argument)
{
    struct revoker *revoker = argument;
    const struct rollcall_target target = {.key = "a"};
    const int64_t began_ms = process_now_ms();
    struct rollcall_error error;
    revoker->status = rollcall_revoke(revoker->etcd, &target, SHORT_MS, &error);
    revoker->took_ms = process_now_ms() - began_ms;
    return NULL;
}

static uint64_t count_actors(const struct api_scene *scene)
{
    struct rollcall_runtime_stats stats;
    CHECK_INT(rollcall_runtime_stats(scene->runtime, &stats), ROLLCALL_OK);
    return stats.actors;
}

/* One worker, a silent etcd, and a callback that does not return: the caller still does. */
TEST(admin, a_callback_that_holds_the_only_worker_does_not_hold_who_waits)
{
    struct etcd_fixture *silent = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_watch_log log;
    struct revoker revoker = {.status = ROLLCALL_OK};
    struct rollcall_error error;
    CHECK(silent != NULL);
    open_with_workers(&scene, 1);
    api_watch_log_init(&log);
    check_ok(rollcall_etcd_connect(
                 scene.runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = etcd_fixture_endpoint(silent)),
                 &revoker.etcd, &error),
             &error);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    etcd_fixture_freeze(silent);
    api_watch_hold(&log);
    const uint64_t actors = count_actors(&scene);
    CHECK_INT(rollcall__thread_start(&revoker.thread, "revoker", revoke_briefly, &revoker, &error),
              ROLLCALL_OK);
    while (count_actors(&scene) < actors + 2) { /* its own two have been spawned */
    }
    api_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 '" STRANGER "}'", NULL, 0);
    pthread_join(revoker.thread, NULL);
    CHECK_INT(revoker.status, ROLLCALL_E_TIMEOUT);
    CHECK(revoker.took_ms <= SHORT_MS + 1000 + LATE_MS);
    CHECK(api_watch_await_blocked(&log, API_SOON_MS));
    CHECK_INT(rollcall_etcd_close(revoker.etcd), ROLLCALL_E_BUSY);
    api_watch_let_go(&log);
    CHECK(api_watch_await_told(&log, 1, API_SOON_MS));
    api_watch_close(watch, &log);
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    enum rollcall_status status;
    while ((status = rollcall_etcd_close(revoker.etcd)) == ROLLCALL_E_BUSY &&
           process_now_ms() < deadline_ms) {
    }
    CHECK_INT(status, ROLLCALL_OK);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(silent);
}

static int call_in_child(const struct api_scene *scene)
{
    const struct rollcall_target target = {.key = "a"};
    struct rollcall_error error;
    int64_t server_id;
    const enum rollcall_status answers[] = {
        rollcall_mark_stopping(scene->etcd, &target, 1000, &error),
        rollcall_revoke_async(scene->etcd, &target, 1000, note_done, NULL, &error),
        rollcall_server_id(scene->etcd, NULL, true, 1000, &server_id, &error),
        rollcall_server_id_async(scene->etcd, NULL, true, 1000, note_id, NULL, &error)};
    for (int i = 0; i < (int)(sizeof answers / sizeof answers[0]); i++) {
        if (answers[i] != ROLLCALL_E_FORKED) {
            return i + 1;
        }
    }
    return 0;
}

TEST(admin, a_forked_child_is_refused)
{
    struct api_scene scene;
    int status = -1;
    api_scene_open(&scene, etcd_fixture_shared());
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(call_in_child(&scene));
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    api_scene_close(&scene);
}

/* ---- etcd is silent, or away ---- */

TEST(admin, a_silent_etcd_is_told_in_time_and_the_connection_stays_busy_until_then)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct outcomes outcomes;
    struct rollcall_error error;
    int64_t server_id = -1;
    CHECK(etcd != NULL);
    outcomes_init(&outcomes);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    check_ok(rollcall_server_id(scene.etcd, scene.root, false, 0, &server_id, &error), &error);
    CHECK_INT(server_id, 1);
    etcd_fixture_freeze(etcd);
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    const int64_t began_ms = process_now_ms();
    check_ok(rollcall_revoke_async(scene.etcd, &target, SHORT_MS, note_done, &outcomes, &error),
             &error);
    CHECK_INT(rollcall_etcd_close(scene.etcd), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_mark_stopping(scene.etcd, &target, SHORT_MS, &error), ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() >= began_ms + SHORT_MS);
    CHECK(process_now_ms() <= began_ms + SHORT_MS + LATE_MS);
    check_contains(error.text, scene.endpoint);
    CHECK(outcomes_await(&outcomes, 1, API_SOON_MS));
    CHECK_INT(outcomes.error.status, ROLLCALL_E_TIMEOUT);
    CHECK(outcomes.at_ms >= began_ms + SHORT_MS && outcomes.at_ms <= began_ms + SHORT_MS + LATE_MS);
    CHECK_INT(rollcall_server_id(scene.etcd, scene.root, false, SHORT_MS, &server_id, &error),
              ROLLCALL_E_TIMEOUT);
    CHECK_INT(server_id, 1); /* untouched */
    close_after_callbacks(&scene, &outcomes, 1);
    etcd_fixture_destroy(etcd);
}

TEST(admin, an_etcd_that_is_away_is_told_with_the_cause_and_waited_for)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct outcomes outcomes;
    struct rollcall_error error;
    CHECK(etcd != NULL);
    outcomes_init(&outcomes);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    etcd_fixture_kill(etcd);
    const struct rollcall_target target = target_of(&scene, "querynode-7");
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_revoke(scene.etcd, &target, SHORT_MS, &error), ROLLCALL_E_UNAVAILABLE);
    CHECK(process_now_ms() <= began_ms + SHORT_MS + LATE_MS);
    check_contains(error.text, scene.endpoint);
    CHECK(!error.maybe_applied);
    check_ok(rollcall_server_id_async(scene.etcd, scene.root, false, API_SOON_MS, note_id,
                                      &outcomes, &error),
             &error);
    CHECK(etcd_fixture_restart(etcd));
    CHECK(outcomes_await(&outcomes, 1, API_SOON_MS));
    check_ok(outcomes.error.status, &outcomes.error);
    CHECK_INT(outcomes.server_id, 1);
    close_after_callbacks(&scene, &outcomes, 1);
    etcd_fixture_destroy(etcd);
}

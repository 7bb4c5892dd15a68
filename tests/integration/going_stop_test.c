/*
 * Going-stop through the public calls, against a real etcd: what is answered and stored, when it is
 * refused, and what happens when many ask, or etcd is silent.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/admin.h>

/* LATE_MS: what a busy machine may add. */
enum { THREADS = 16, ASYNC = 200, CHAIN = 5, RACES = 5, LATE_MS = 3000 };

static enum rollcall_status mark(struct rollcall_session *session)
{
    return rollcall_session_mark_stopping(session, API_SOON_MS, NULL);
}

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static struct rollcall_session *start_at_nobody(const struct api_scene *scene)
{
    struct rollcall_session *session = NULL;
    const enum rollcall_status status = rollcall_session_start(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .connect_timeout_ms = 60000),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

/* ---- by another process ---- */

static bool is_stopping(struct rollcall_session *session)
{
    struct rollcall_record *record;
    CHECK_INT(rollcall_session_get_record(session, &record, NULL), ROLLCALL_OK);
    const bool stopping = record->stopping;
    rollcall_record_free(record);
    return stopping;
}

/* Nothing is told of it, so it is looked for. */
static bool await_stopping(struct rollcall_session *session)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (!is_stopping(session) && process_now_ms() < until_ms) {
    }
    return is_stopping(session);
}

TEST(going_stop, of_another_process_is_in_info_and_record_and_outlasts_a_loss)
{
    struct api_scene ours, theirs;
    struct rollcall_session *session = NULL;
    struct api_session_log log;
    api_scene_open(&ours, etcd_fixture_shared());
    api_scene_open_beside(&theirs, &ours);
    api_session_log_init(&log);
    const enum rollcall_status status =
        rollcall_session_open(ours.etcd,
                              ROLLCALL_SESSION_OPTIONS(.root = ours.root, .role = "querynode",
                                                       .address = "10.0.0.7:21123", .server_id = 1,
                                                       .on_lost = ROLLCALL_ON_LOST_REREGISTER,
                                                       .on_event = api_session_note, .user = &log),
                              &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    const struct rollcall_target target = {.key = api_info(session).key};
    CHECK(!is_stopping(session));
    CHECK_INT(rollcall_mark_stopping(theirs.etcd, &target, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(await_stopping(session));
    CHECK(api_info(session).stopping);
    const int64_t version = api_stored(&ours, target.key).version;
    CHECK_INT(mark(session), ROLLCALL_OK);
    CHECK_INT(api_stored(&ours, target.key).version, version); /* it was marked already */
    api_session_check_story(&log, "ACTIVE");
    api_lease_revoke(&ours, api_info(session).lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK(api_session_at(&log, 3).info.stopping);
    CHECK(!api_session_at(&log, 1).info.stopping);
    CHECK(strstr(api_stored(&ours, target.key).value, "Stopping") != NULL);
    close_session(session);
    api_session_log_fini(&log);
    api_scene_close(&theirs);
    api_scene_close(&ours);
}

/* ---- who may ask, and when ---- */

/* TestGoingStop: a session that was not initialised. */
TEST(going_stop, is_refused_before_the_session_is_registered)
{
    struct api_scene scene;
    struct rollcall_error error;
    api_scene_open(&scene, "127.0.0.1:1");
    struct rollcall_session *session = start_at_nobody(&scene);
    CHECK_INT(rollcall_session_mark_stopping(session, API_SOON_MS, &error), ROLLCALL_E_BUSY);
    CHECK_INT(error.status, ROLLCALL_E_BUSY);
    api_check_contains(error.text, "not registered");
    CHECK(!api_info(session).stopping);
    CHECK_INT(rollcall_session_close(session, 0), ROLLCALL_OK);
    api_scene_close(&scene);
}

/* TestGoingStop: a session that has disconnected. */
TEST(going_stop, is_refused_after_a_loss_and_after_the_end)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    api_lease_revoke(&scene, api_info(session).lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    const enum rollcall_status lost = api_session_at(&log, 1).status;
    CHECK_INT(mark(session), lost);
    CHECK(!api_info(session).stopping);
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(mark(session), ROLLCALL_OK);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(mark(session), ROLLCALL_E_STOPPED);
    close_session(session);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* TestGoingStop: a registered session.  It stays a member: no event, the same lease and key. */
TEST(going_stop, marks_the_stored_record_once_and_nothing_else_changes)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    const struct rollcall_session_info info = api_info(session);
    const struct api_stored before = api_stored(&scene, info.key);
    CHECK(strstr(before.value, "\"Stopping\"") == NULL);
    CHECK_INT(mark(session), ROLLCALL_OK);
    CHECK_INT(mark(session), ROLLCALL_OK);
    const struct api_stored after = api_stored(&scene, info.key);
    api_check_contains(after.value, "\"Stopping\":true,");
    CHECK_INT(after.version, before.version + 1);
    CHECK_INT(after.lease_id, info.lease_id);
    CHECK_INT(after.create_revision, info.create_revision);
    CHECK(api_info(session).stopping);
    CHECK_INT(api_info(session).state, ROLLCALL_SESSION_ACTIVE);
    api_session_check_story(&log, "ACTIVE");
    close_session(session);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* D-68: upstream answers that all is well. */
TEST(going_stop, of_a_deleted_key_is_an_error_and_writes_nothing)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    const struct rollcall_session_info info = api_info(session);
    api_delete(&scene, info.key);
    CHECK_INT(mark(session), ROLLCALL_E_KEY_LOST); /* by compare, or because it was told */
    CHECK(!api_info(session).stopping);
    CHECK(!api_stored(&scene, info.key).there);
    close_session(session);
    api_scene_close(&scene);
}

/* D-67: upstream puts its record over the successor's, and under its own lease. */
TEST(going_stop, of_a_key_that_is_another_s_now_leaves_the_other_s_record_alone)
{
    static const char *const rival = "{\"ServerID\":99,\"ServerName\":\"querynode\"}";
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    const struct rollcall_session_info info = api_info(session);
    const int64_t lease_id = api_lease_grant(&scene, 60);
    api_store(&scene, info.key, rival, lease_id);
    CHECK_INT(mark(session), ROLLCALL_E_KEY_LOST);
    CHECK(!api_info(session).stopping);
    const struct api_stored stored = api_stored(&scene, info.key);
    CHECK_STR(stored.value, rival);
    CHECK_INT(stored.lease_id, lease_id);
    char key[256]; /* the session's lives as long as its handle */
    snprintf(key, sizeof key, "%s", info.key);
    close_session(session);
    CHECK(api_stored(&scene, key).mod_revision == stored.mod_revision);
    api_lease_revoke(&scene, lease_id);
    api_scene_close(&scene);
}

/* D-67 in a race: whoever writes first, the last one is never we. */
TEST(going_stop, beside_a_rival_s_put_never_comes_after_it)
{
    static const char *const rival = "{\"ServerID\":99,\"ServerName\":\"querynode\"}";
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    const int64_t lease_id = api_lease_grant(&scene, 60);
    for (int i = 1; i <= RACES; i++) {
        struct process put;
        char script[512];
        struct rollcall_session *session = api_open(&scene, "querynode", i, 60, NULL);
        const struct rollcall_session_info info = api_info(session);
        snprintf(script, sizeof script, "etcdctl put --lease=%" PRIx64 " '%s' '%s'",
                 (uint64_t)lease_id, info.key, rival);
        api_etcdctl_start(&scene, script, &put);
        CHECK(process_wait_for(&put, "OK", API_SOON_MS));
        CHECK_INT(mark(session), ROLLCALL_E_KEY_LOST);
        CHECK(process_wait(&put, API_SOON_MS));
        process_destroy(&put);
        const struct api_stored stored = api_stored(&scene, info.key);
        CHECK_STR(stored.value, rival);
        CHECK_INT(stored.lease_id, lease_id);
        CHECK_INT(stored.version, 2);
        close_session(session);
    }
    api_lease_revoke(&scene, lease_id);
    api_scene_close(&scene);
}

/* ---- many at once ---- */

struct asker {
    struct rollcall_session *session;
    pthread_t thread;
    enum rollcall_status status;
};

static void *ask(void *argument)
{
    struct asker *asker = argument;
    asker->status = mark(asker->session);
    return NULL;
}

static void start_asking(struct asker *askers, struct rollcall_session *session)
{
    for (int i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.session = session, .status = ROLLCALL_STATUS_COUNT};
        CHECK_INT(rollcall__thread_start(&askers[i].thread, "asker", ask, &askers[i], NULL),
                  ROLLCALL_OK);
    }
}

TEST(going_stop, asked_by_many_threads_at_once_is_answered_to_each_and_stored_once)
{
    struct api_scene scene;
    struct asker askers[THREADS];
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    start_asking(askers, session);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(askers[i].thread, NULL), 0);
        CHECK_INT(askers[i].status, ROLLCALL_OK);
    }
    CHECK_INT(api_stored(&scene, api_info(session).key).version, 2);
    close_session(session);
    api_scene_close(&scene);
}

TEST(going_stop, asked_by_many_threads_while_it_stops_is_answered_to_each)
{
    struct api_scene scene;
    struct asker askers[THREADS];
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    start_asking(askers, session);
    rollcall_session_stop(session);
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(askers[i].thread, NULL), 0);
        CHECK(askers[i].status == ROLLCALL_OK || askers[i].status == ROLLCALL_E_STOPPED);
    }
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    close_session(session);
    api_scene_close(&scene);
}

/* ---- without waiting ---- */

struct answers {
    struct rollcall__monitor monitor; /* guards the rest */
    struct rollcall_session *session; /* asked again by chain */
    size_t count;
    size_t per_request[ASYNC];
    enum rollcall_status last;
    enum rollcall_status waited; /* what the form that waits answered in a callback */
};

struct request {
    struct answers *answers;
    size_t index;
};

static void answers_init(struct answers *answers)
{
    *answers = (struct answers){.waited = ROLLCALL_STATUS_COUNT};
    rollcall__monitor_init(&answers->monitor);
}

static size_t await_answers(struct answers *answers, size_t count, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    rollcall__monitor_lock(&answers->monitor);
    while (answers->count < count && process_now_ms() < until_ms) {
        rollcall__monitor_wait(&answers->monitor, until_ms * 1000000);
    }
    const size_t got = answers->count;
    rollcall__monitor_unlock(&answers->monitor);
    return got;
}

static void note_answer(void *user, const struct rollcall_error *error)
{
    const struct request *request = user;
    struct answers *answers = request->answers;
    rollcall__monitor_lock(&answers->monitor);
    answers->count++;
    answers->per_request[request->index]++;
    answers->last = error->status;
    rollcall__monitor_notify(&answers->monitor);
    rollcall__monitor_unlock(&answers->monitor);
}

/* One that is not taken, because the session has no room for it, is not told either. */
TEST(going_stop, asked_many_times_without_waiting_is_told_once_for_each_that_was_taken)
{
    static struct request requests[ASYNC];
    struct api_scene scene;
    struct answers answers;
    bool taken[ASYNC];
    size_t count = 0;
    api_scene_open(&scene, etcd_fixture_shared());
    answers_init(&answers);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    for (size_t i = 0; i < ASYNC; i++) {
        requests[i] = (struct request){&answers, i};
        const enum rollcall_status status =
            rollcall_session_mark_stopping_async(session, note_answer, &requests[i], NULL);
        CHECK(status == ROLLCALL_OK || status == ROLLCALL_E_FULL);
        taken[i] = status == ROLLCALL_OK;
        count += taken[i];
    }
    CHECK(count >= 16);
    CHECK_INT(await_answers(&answers, count, API_SOON_MS), count);
    CHECK_INT(answers.last, ROLLCALL_OK);
    CHECK_INT(api_stored(&scene, api_info(session).key).version, 2);
    close_session(session);
    for (size_t i = 0; i < ASYNC; i++) {
        CHECK_INT(answers.per_request[i], taken[i]);
    }
    rollcall__monitor_fini(&answers.monitor);
    api_scene_close(&scene);
}

static void chain(void *user, const struct rollcall_error *error)
{
    struct answers *answers = user;
    rollcall__monitor_lock(&answers->monitor);
    struct rollcall_session *session = answers->session;
    const size_t count = ++answers->count;
    answers->last = error->status;
    rollcall__monitor_unlock(&answers->monitor);
    const enum rollcall_status waited = rollcall_session_mark_stopping(session, 1000, NULL);
    const enum rollcall_status asked =
        count < CHAIN ? rollcall_session_mark_stopping_async(session, chain, answers, NULL)
                      : ROLLCALL_OK;
    rollcall__monitor_lock(&answers->monitor);
    answers->waited = waited;
    answers->last = asked == ROLLCALL_OK ? answers->last : asked;
    rollcall__monitor_notify(&answers->monitor);
    rollcall__monitor_unlock(&answers->monitor);
}

TEST(going_stop, may_be_asked_again_in_its_own_callback_where_the_form_that_waits_is_busy)
{
    struct api_scene scene;
    struct answers answers;
    api_scene_open(&scene, etcd_fixture_shared());
    answers_init(&answers);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    answers.session = session;
    CHECK_INT(rollcall_session_mark_stopping_async(session, chain, &answers, NULL), ROLLCALL_OK);
    CHECK_INT(await_answers(&answers, CHAIN, API_SOON_MS), CHAIN);
    close_session(session);
    CHECK_INT(answers.count, CHAIN);
    CHECK_INT(answers.last, ROLLCALL_OK);
    CHECK_INT(answers.waited, ROLLCALL_E_BUSY);
    rollcall__monitor_fini(&answers.monitor);
    api_scene_close(&scene);
}

struct in_callback {
    struct api_session_log log;
    struct rollcall__monitor monitor; /* guards session */
    struct rollcall_session *session; /* NULL: not known yet */
    struct request request;
    enum rollcall_status asked;
};

/* Asks in the callback that tells ACTIVE. */
static void ask_when_active(void *user, const struct rollcall_session_event *event)
{
    struct in_callback *in = user;
    rollcall__monitor_lock(&in->monitor);
    while (in->session == NULL) {
        rollcall__monitor_wait(&in->monitor, INT64_MAX);
    }
    if (event->state == ROLLCALL_SESSION_ACTIVE) {
        in->asked =
            rollcall_session_mark_stopping_async(in->session, note_answer, &in->request, NULL);
    }
    rollcall__monitor_unlock(&in->monitor);
    api_session_note(&in->log, event);
}

TEST(going_stop, may_be_asked_in_the_callback_that_tells_active)
{
    struct api_scene scene;
    struct answers answers;
    struct in_callback in = {.request = {&answers, 0}, .asked = ROLLCALL_STATUS_COUNT};
    struct rollcall_session *session;
    api_scene_open(&scene, etcd_fixture_shared());
    answers_init(&answers);
    api_session_log_init(&in.log);
    rollcall__monitor_init(&in.monitor);
    CHECK_INT(
        rollcall_session_start(scene.etcd,
                               ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                                        .address = "10.0.0.7:21123",
                                                        .on_event = ask_when_active, .user = &in),
                               &session, NULL),
        ROLLCALL_OK);
    rollcall__monitor_lock(&in.monitor);
    in.session = session;
    rollcall__monitor_notify(&in.monitor);
    rollcall__monitor_unlock(&in.monitor);
    CHECK_INT(await_answers(&answers, 1, API_SOON_MS), 1);
    CHECK_INT(answers.last, ROLLCALL_OK);
    CHECK(api_info(session).stopping);
    close_session(session);
    CHECK_INT(in.asked, ROLLCALL_OK);
    api_session_check_story(&in.log, "ACTIVE STOPPING STOPPED");
    rollcall__monitor_fini(&in.monitor);
    rollcall__monitor_fini(&answers.monitor);
    api_session_log_fini(&in.log);
    api_scene_close(&scene);
}

/* ---- etcd does not answer ---- */

/* D-27, D-68: upstream waits for ever, and calls itself stopping whatever comes of it. */
TEST(going_stop, keeps_to_its_budget_when_etcd_is_silent_and_is_stored_when_it_speaks_again)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct rollcall_error error;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    etcd_fixture_freeze(etcd);
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_mark_stopping(session, 500, &error), ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() - began_ms >= 500);
    CHECK(process_now_ms() - began_ms < 500 + LATE_MS);
    CHECK(error.maybe_applied);
    CHECK(!api_info(session).stopping);
    etcd_fixture_thaw(etcd);
    CHECK_INT(mark(session), ROLLCALL_OK);
    CHECK(api_info(session).stopping);
    api_check_contains(api_stored(&scene, api_info(session).key).value, "\"Stopping\":true,");
    close_session(session);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

TEST(going_stop, that_is_not_answered_yet_is_not_told_after_close)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct answers answers;
    struct request request = {&answers, 0};
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    answers_init(&answers);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    etcd_fixture_freeze(etcd);
    CHECK_INT(rollcall_session_mark_stopping_async(session, note_answer, &request, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(session, 0), ROLLCALL_OK);
    const size_t at_close = await_answers(&answers, 1, 0);
    etcd_fixture_thaw(etcd);
    CHECK_INT(await_answers(&answers, at_close + 1, 1000), at_close);
    api_scene_close(&scene);
    rollcall__monitor_fini(&answers.monitor);
    etcd_fixture_destroy(etcd);
}

/* Both forms: the request itself timed out, and may have been stored all the same. */
TEST(going_stop, that_etcd_never_answers_says_that_it_may_be_stored)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct rollcall_error error;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    etcd_fixture_freeze(etcd);
    const enum rollcall_status status =
        rollcall_session_mark_stopping(session, API_SOON_MS, &error);
    etcd_fixture_thaw(etcd);
    CHECK_INT(rollcall_status_class(status), ROLLCALL_RETRY);
    CHECK(error.text[0] != '\0');
    CHECK(!api_info(session).stopping);
    CHECK(error.maybe_applied);
    CHECK_INT(mark(session), ROLLCALL_OK);
    close_session(session);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

TEST(going_stop, that_the_death_of_etcd_interrupts_is_told_once_each_and_can_be_asked_again)
{
    enum { PENDING = 3 };
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct answers answers;
    struct request requests[PENDING];
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    answers_init(&answers);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    etcd_fixture_freeze(etcd);
    for (size_t i = 0; i < PENDING; i++) {
        requests[i] = (struct request){&answers, i};
        CHECK_INT(rollcall_session_mark_stopping_async(session, note_answer, &requests[i], NULL),
                  ROLLCALL_OK);
    }
    etcd_fixture_kill(etcd);
    CHECK(etcd_fixture_restart(etcd));
    CHECK_INT(await_answers(&answers, PENDING, API_SOON_MS), PENDING);
    CHECK_INT(mark(session), ROLLCALL_OK);
    close_session(session);
    for (size_t i = 0; i < PENDING; i++) {
        CHECK_INT(answers.per_request[i], 1);
    }
    rollcall__monitor_fini(&answers.monitor);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

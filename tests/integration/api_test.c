/*
 * The public calls themselves: what they refuse and how they say it, from where they may be called,
 * in which order things are closed, and from how many threads.
 */
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 5 };

/* ---- bad options ---- */

/* Every refusal says something of its own, and names what is wrong. */
struct refusals {
    char texts[64][ROLLCALL_ERROR_TEXT_BYTES];
    size_t count;
};

static void check_refused(struct refusals *refusals, enum rollcall_status status,
                          const struct rollcall_error *error, const char *names)
{
    CHECK_INT(status, ROLLCALL_E_INVALID);
    CHECK_INT(error->status, ROLLCALL_E_INVALID);
    if (strstr(error->text, names) == NULL) {
        CHECK_STR(error->text, names);
    }
    for (size_t i = 0; i < refusals->count; i++) {
        CHECK(strcmp(refusals->texts[i], error->text) != 0);
    }
    CHECK(refusals->count < sizeof refusals->texts / sizeof refusals->texts[0]);
    memcpy(refusals->texts[refusals->count++], error->text, sizeof error->text);
}

static void refuse_session(struct refusals *refusals, struct rollcall_etcd *etcd,
                           const struct rollcall_session_options *options, const char *names)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall_session_start(etcd, options, &session, &error);
    check_refused(refusals, status, &error, names);
    CHECK(session == NULL);
}
#define GOOD .role = "querynode", .address = "10.0.0.7:21123"
#define REFUSE(names, ...)                                                                         \
    refuse_session(&refusals, scene.etcd, ROLLCALL_SESSION_OPTIONS(__VA_ARGS__), names)

TEST(api, every_bad_session_option_has_its_own_sentence)
{
    struct refusals refusals = {.count = 0};
    struct api_scene scene;
    char long_text[5000];
    const struct rollcall_label label = {{"a", 1}, {"b", 1}};
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    api_scene_open(&scene, "127.0.0.1:1");
    refuse_session(&refusals, scene.etcd, NULL, "role");
    refuse_session(&refusals, scene.etcd, &(struct rollcall_session_options){GOOD}, "size_bytes");
    REFUSE("slash", .role = "query/node", .address = "a:1");
    REFUSE("..", .role = "query..node", .address = "a:1");
    REFUSE("-7", .role = "querynode-7", .address = "a:1");
    REFUSE("\".\"", .role = ".", .address = "a:1");
    REFUSE("0x20", .role = "query node", .address = "a:1");
    REFUSE("another key", .role = "id", .address = "a:1");
    REFUSE("at most", .role = long_text, .address = "a:1");
    REFUSE("address is missing", .role = "querynode");
    REFUSE("address has 4999", .role = "querynode", .address = long_text);
    REFUSE("TTL is 1 ", GOOD, .ttl_s = 1);
    REFUSE("TTL is -5 ", GOOD, .ttl_s = -5);
    REFUSE("TTL is 9000000001 ", GOOD, .ttl_s = 9000000001);
    REFUSE("server ID is -1", GOOD, .server_id = -1);
    REFUSE("v1", GOOD, .version = "v1");
    REFUSE("version", GOOD, .version = "");
    REFUSE("..", GOOD, .root = "by-dev/../meta");
    REFUSE("control", GOOD, .root = "by-dev\n");
    REFUSE("root has 4999", GOOD, .root = long_text);
    REFUSE("connect timeout", GOOD, .connect_timeout_ms = -1);
    REFUSE("labels is NULL", GOOD, .label_count = 1);
    REFUSE("257 labels", GOOD, .label_count = 257, .labels = &label);
    api_scene_close(&scene);
}

static void never(void *user, const struct rollcall_watch_event *event)
{
    (void)user, (void)event;
    abort();
}
#define REFUSE_WATCH(names, ...)                                                                   \
    do {                                                                                           \
        const enum rollcall_status status =                                                        \
            rollcall_watch_open(scene.etcd, ROLLCALL_WATCH_OPTIONS(__VA_ARGS__), &watch, &error);  \
        check_refused(&refusals, status, &error, names);                                           \
    } while (0)

TEST(api, every_bad_watch_option_has_its_own_sentence)
{
    struct refusals refusals = {.count = 0};
    struct api_scene scene;
    struct rollcall_watch *watch = NULL;
    struct rollcall_error error = {0};
    api_scene_open(&scene, "127.0.0.1:1");
    REFUSE_WATCH("on_event", .role = "querynode");
    REFUSE_WATCH("slash", .role = "query/node", .on_event = never);
    REFUSE_WATCH("-7", .role = "querynode-7", .on_event = never);
    REFUSE_WATCH("..", .root = "../meta", .on_event = never);
    REFUSE_WATCH("banana", .version_range = "banana", .on_event = never);
    REFUSE_WATCH("revision", .from_revision = -1, .on_event = never);
    REFUSE_WATCH("connect timeout", .connect_timeout_ms = -1, .on_event = never);
    refusals.count = 0; /* a list refuses what a watch refuses, in the same words */
    enum rollcall_status status = rollcall_list(scene.etcd, NULL, 0, &error);
    check_refused(&refusals, status, &error, "on_event");
    status = rollcall_list(scene.etcd, ROLLCALL_WATCH_OPTIONS(.on_event = never), -1, &error);
    check_refused(&refusals, status, &error, "timeout");
    status = rollcall_list(
        scene.etcd, ROLLCALL_WATCH_OPTIONS(.on_event = never, .from_revision = 1), 0, &error);
    check_refused(&refusals, status, &error, "revision");
    CHECK(watch == NULL);
    api_scene_close(&scene);
}

#define REFUSE_ETCD(names, ...)                                                                    \
    do {                                                                                           \
        const enum rollcall_status status =                                                        \
            rollcall_etcd_connect(runtime, ROLLCALL_ETCD_OPTIONS(__VA_ARGS__), &etcd, &error);     \
        check_refused(&refusals, status, &error, names);                                           \
    } while (0)

TEST(api, every_bad_etcd_option_has_its_own_sentence)
{
    struct refusals refusals = {.count = 0};
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd = NULL;
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_runtime_create(NULL, &runtime, &error), ROLLCALL_OK);
    REFUSE_ETCD("\"nonsense\"", .endpoints = "nonsense");
    REFUSE_ETCD("\"host\"", .endpoints = "host");
    REFUSE_ETCD("\"host:0\"", .endpoints = "host:0");
    REFUSE_ETCD("\"host:99999\"", .endpoints = "host:99999");
    REFUSE_ETCD("\":2379\"", .endpoints = ":2379");
    REFUSE_ETCD("empty", .endpoints = "");
    REFUSE_ETCD("mixes", .endpoints = "http://a:1,https://b:1");
    REFUSE_ETCD("/none/ca.pem", .endpoints = "a:1", .ca_file = "/none/ca.pem");
    REFUSE_ETCD("PEM", .endpoints = "a:1", .ca_file = "/dev/null");
    REFUSE_ETCD("ca_file is not set", .endpoints = "https://a:1");
    REFUSE_ETCD("key_file", .endpoints = "a:1", .ca_file = "/dev/null", .cert_file = "/dev/null");
    REFUSE_ETCD("without password", .endpoints = "a:1", .user = "root");
    REFUSE_ETCD("without user", .endpoints = "a:1", .password = "secret");
    REFUSE_ETCD("user is empty", .endpoints = "a:1", .user = "", .password = "secret");
    REFUSE_ETCD("call_timeout_ms", .endpoints = "a:1", .call_timeout_ms = -1);
    REFUSE_ETCD("dial_timeout_ms", .endpoints = "a:1", .dial_timeout_ms = 1);
    CHECK(etcd == NULL);
    for (size_t i = 0; i < refusals.count; i++) {
        CHECK(strstr(refusals.texts[i], "secret") == NULL);
    }
    CHECK_INT(rollcall_runtime_destroy(runtime), ROLLCALL_OK);
}

/* ---- callbacks ---- */

/* What the calls that wait answered inside a callback. */
struct inside {
    struct api_scene *scene;
    struct rollcall_session *session; /* of its own, open */
    struct rollcall_watch *watch;     /* likewise */
    enum rollcall_status close_session, wait, start, close_watch, open_watch, list, connect,
        close_etcd, destroy;
    struct rollcall_error error;
};

static void call_all(struct inside *in)
{
    struct api_scene *scene = in->scene;
    const struct rollcall_watch_options *watching = ROLLCALL_WATCH_OPTIONS(.on_event = never);
    struct rollcall_session *session;
    struct rollcall_watch *watch;
    struct rollcall_etcd *etcd;
    in->close_session = rollcall_session_close(in->session, 1000);
    in->wait = rollcall_session_wait(in->session, 1000, &in->error);
    in->start =
        rollcall_session_start(scene->etcd, ROLLCALL_SESSION_OPTIONS(GOOD), &session, &in->error);
    in->close_watch = rollcall_watch_close(in->watch);
    in->open_watch = rollcall_watch_open(scene->etcd, watching, &watch, &in->error);
    in->list = rollcall_list(scene->etcd, watching, 1000, &in->error);
    in->connect = rollcall_etcd_connect(scene->runtime, NULL, &etcd, &in->error);
    in->close_etcd = rollcall_etcd_close(scene->etcd);
    in->destroy = rollcall_runtime_destroy(scene->runtime);
}

static void call_from_session(void *user, const struct rollcall_session_event *event)
{
    if (event->state == ROLLCALL_SESSION_ACTIVE) {
        call_all(user);
    }
}

static void call_from_watch(void *user, const struct rollcall_watch_event *event)
{
    if (event->type == ROLLCALL_WATCH_SNAPSHOT_END) {
        call_all(user);
    }
}

static void check_busy(const struct inside *in)
{
    CHECK_INT(in->close_session, ROLLCALL_E_BUSY);
    CHECK_INT(in->wait, ROLLCALL_E_BUSY);
    CHECK_INT(in->start, ROLLCALL_E_BUSY);
    CHECK_INT(in->close_watch, ROLLCALL_E_BUSY);
    CHECK_INT(in->open_watch, ROLLCALL_E_BUSY);
    CHECK_INT(in->list, ROLLCALL_E_BUSY);
    CHECK_INT(in->connect, ROLLCALL_E_BUSY);
    CHECK_INT(in->close_etcd, ROLLCALL_E_BUSY);
    CHECK_INT(in->destroy, ROLLCALL_E_BUSY);
}

TEST(api, calls_that_wait_answer_busy_in_callbacks_and_harm_nothing)
{
    struct api_scene scene;
    struct api_watch_log log, listed;
    struct rollcall_session *session;
    struct rollcall_watch *watch;
    struct api_session_log told;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    api_watch_log_init(&listed);
    api_session_log_init(&told);
    struct inside in = {.scene = &scene,
                        .session = api_open(&scene, "proxy", 0, 20, &told),
                        .watch = api_watch(&scene, "proxy", 0, &log)};
    struct inside again = in;
    enum rollcall_status status =
        rollcall_session_open(scene.etcd,
                              ROLLCALL_SESSION_OPTIONS(GOOD, .root = scene.root,
                                                       .on_event = call_from_session, .user = &in),
                              &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    /* The callback that made it ACTIVE may run for a moment longer: closing waits for it. */
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    check_busy(&in);
    status =
        rollcall_watch_open(scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = "proxy",
                                                   .on_event = call_from_watch, .user = &again),
                            &watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    /* A list is told by the same worker, after the callback. */
    api_list(&scene, "proxy", &listed);
    CHECK_INT(rollcall_session_close(again.session, API_SOON_MS), ROLLCALL_OK);
    CHECK(api_watch_await_told(&log, 0, API_SOON_MS));
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    check_busy(&again);
    CHECK_INT(api_session_count(&told, ROLLCALL_SESSION_STOPPED), 1);
    api_watch_close(in.watch, &log);
    api_watch_check(&log);
    api_session_log_fini(&told);
    api_watch_log_fini(&listed);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- what is still open ---- */

TEST(api, what_is_in_use_is_busy_and_stays_whole)
{
    struct api_scene scene;
    struct api_watch_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    CHECK_INT(rollcall_runtime_destroy(scene.runtime), ROLLCALL_E_BUSY);
    struct rollcall_session *session = api_open(&scene, "querynode", 0, 20, NULL);
    CHECK_INT(rollcall_etcd_close(scene.etcd), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_runtime_destroy(scene.runtime), ROLLCALL_E_BUSY);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(scene.etcd), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_runtime_destroy(scene.runtime), ROLLCALL_E_BUSY);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    api_watch_close(watch, &log);
    CHECK_INT(rollcall_session_close(NULL, 0), ROLLCALL_OK);
    CHECK_INT(rollcall_watch_close(NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_close(NULL), ROLLCALL_OK);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- fork ---- */

/* Runs in the child; 0: every call refused. */
/* A runtime of the child's own does not help: gRPC itself is its parent's.  ThreadSanitizer ends a
 * child that starts threads, so it is left out there. */
static enum rollcall_status connect_in_child(const char *endpoint)
{
#ifdef __SANITIZE_THREAD__
    (void)endpoint;
    return ROLLCALL_E_FORKED;
#else
    struct rollcall_runtime *own;
    struct rollcall_etcd *etcd;
    if (rollcall_runtime_create(NULL, &own, NULL) != ROLLCALL_OK) {
        return ROLLCALL_E_SYSTEM;
    }
    return rollcall_etcd_connect(own, ROLLCALL_ETCD_OPTIONS(.endpoints = endpoint), &etcd, NULL);
#endif
}

static int call_in_child(const struct api_scene *scene, struct rollcall_session *session,
                         struct rollcall_watch *watch)
{
    const struct rollcall_watch_options *watching = ROLLCALL_WATCH_OPTIONS(.on_event = never);
    struct rollcall_session *other;
    struct rollcall_watch *another;
    struct rollcall_error error;
    const enum rollcall_status answers[] = {
        rollcall_session_wait(session, 1000, &error),
        rollcall_session_close(session, 1000),
        rollcall_watch_close(watch),
        rollcall_session_open(scene->etcd, ROLLCALL_SESSION_OPTIONS(GOOD), &other, &error),
        rollcall_watch_open(scene->etcd, watching, &another, &error),
        rollcall_list(scene->etcd, watching, 1000, &error),
        rollcall_etcd_close(scene->etcd),
        rollcall_runtime_destroy(scene->runtime),
        connect_in_child(etcd_fixture_shared())};
    rollcall_session_stop(session);
    for (int i = 0; i < (int)(sizeof answers / sizeof answers[0]); i++) {
        if (answers[i] != ROLLCALL_E_FORKED) {
            return i + 1;
        }
    }
    return 0;
}

TEST(api, a_forked_child_is_refused_and_does_the_parent_no_harm)
{
    struct api_scene scene;
    struct api_session_log told;
    struct api_watch_log log;
    int status = -1;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&told);
    api_watch_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 2, &told);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await_told(&log, 1, API_SOON_MS));
    const pid_t child = fork();
    if (child == 0) {
        alarm(10);
        _exit(call_in_child(&scene, session, watch));
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    CHECK(!api_session_await(&told, ROLLCALL_SESSION_SUSPECT, 1, 2500)); /* renewals go on */
    struct rollcall_session *second = api_open(&scene, "querynode", 2, 20, NULL);
    CHECK(api_watch_await_told(&log, 2, API_SOON_MS));
    CHECK_INT(rollcall_session_close(second, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK(api_watch_await_told(&log, 0, API_SOON_MS));
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_session_log_fini(&told);
    api_scene_close(&scene);
}

/* ---- side by side ---- */

TEST(api, two_sessions_and_two_watches_do_not_disturb_each_other)
{
    struct api_scene scene;
    struct api_session_log told[2];
    struct api_watch_log logs[2];
    struct rollcall_session *sessions[2];
    struct rollcall_watch *watches[2];
    static const char *const roles[] = {"querynode", "datanode"};
    char text[256];
    api_scene_open(&scene, etcd_fixture_shared());
    for (int i = 0; i < 2; i++) {
        api_session_log_init(&told[i]);
        api_watch_log_init(&logs[i]);
        watches[i] = api_watch(&scene, roles[i], 0, &logs[i]);
        sessions[i] = api_open(&scene, roles[i], 0, 20, &told[i]);
    }
    CHECK(api_watch_await_told(&logs[0], 1, API_SOON_MS));
    CHECK(api_watch_await_told(&logs[1], 1, API_SOON_MS));
    CHECK_INT(rollcall_session_close(sessions[0], API_SOON_MS), ROLLCALL_OK);
    CHECK(api_watch_await_told(&logs[0], 0, API_SOON_MS));
    api_watch_close(watches[0], &logs[0]);
    CHECK_STR(api_session_story(&told[1], text, sizeof text), "ACTIVE");
    sessions[0] = api_open(&scene, "datanode", 0, 20, NULL);
    CHECK(api_watch_await_told(&logs[1], 2, API_SOON_MS));
    for (int i = 0; i < 2; i++) {
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    CHECK(api_watch_await_told(&logs[1], 0, API_SOON_MS));
    api_watch_close(watches[1], &logs[1]);
    CHECK_STR(api_session_story(&told[0], text, sizeof text), "ACTIVE STOPPING STOPPED");
    for (int i = 0; i < 2; i++) {
        api_watch_check(&logs[i]);
        api_watch_log_fini(&logs[i]);
        api_session_log_fini(&told[i]);
    }
    api_scene_close(&scene);
}

struct worker {
    const struct api_scene *scene;
    pthread_t thread;
    int failures;
};

/* Not CHECK: a test can be failed on its own thread only. */
static void *come_and_go(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct api_watch_log listed;
        struct rollcall_session *session;
        struct rollcall_session_info info;
        api_watch_log_init(&listed);
        if (rollcall_session_open(worker->scene->etcd,
                                  ROLLCALL_SESSION_OPTIONS(GOOD, .root = worker->scene->root),
                                  &session, NULL) != ROLLCALL_OK) {
            worker->failures++;
            continue;
        }
        rollcall_session_get_info(session, &info);
        worker->failures += info.state != ROLLCALL_SESSION_ACTIVE || info.server_id == 0;
        worker->failures +=
            rollcall_list(worker->scene->etcd,
                          ROLLCALL_WATCH_OPTIONS(.root = worker->scene->root, .role = "querynode",
                                                 .on_event = api_watch_note, .user = &listed),
                          API_SOON_MS, NULL) != ROLLCALL_OK;
        worker->failures += api_watch_told(&listed) < 1 || api_watch_told(&listed) > THREADS;
        worker->failures += rollcall_session_close(session, API_SOON_MS) != ROLLCALL_OK;
        api_watch_log_fini(&listed);
    }
    return NULL;
}

TEST(api, sessions_open_and_close_from_four_threads_at_once)
{
    struct api_scene scene;
    struct api_watch_log log;
    struct worker workers[THREADS];
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.scene = &scene};
        CHECK_INT(pthread_create(&workers[i].thread, NULL, come_and_go, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(workers[i].thread, NULL), 0);
        CHECK_INT(workers[i].failures, 0);
    }
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_DELETE, THREADS * ROUNDS, API_SOON_MS));
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_ADD), THREADS * ROUNDS);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

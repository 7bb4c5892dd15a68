/*
 * Crash sentinels: what becomes of sessions, and of the sentinel, however their owner ends.  How
 * fast, is a bound of lease_crash_test.c; here a TTL is so long that what happens soon is not its
 * end.
 */
#include "support/api_stored.h"
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/gateway.h"
#include "support/sentinel.h"
#include "support/test.h"

#include <rollcall/sentinel.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SOON_MS = 10000, END_MS = 5000, POLL_MS = 10, KEY_BYTES = 160, SESSIONS = 4 };

/* A private etcd, for what it counts. */
struct stage {
    struct etcd_fixture *etcd;
    struct command_scene scene;
    struct process owner;
    pid_t sentinel;
};

static void open_stage(struct stage *stage)
{
    stage->etcd = etcd_fixture_create(NULL);
    CHECK(stage->etcd != NULL);
    stage->scene = command_scene_create(etcd_fixture_endpoint(stage->etcd));
}

/* `register --sentinel`, ACTIVE and looked after. */
static void start_owner(struct stage *stage, const char *ttl, const char *on_lost)
{
    START(&stage->owner, &stage->scene, "register", "querynode", "--address", "h:1", "--ttl", ttl,
          "--server-id", "1", "--sentinel", "--on-lost", on_lost, "--log-level", "info", "-o",
          "json");
    command_await(&stage->owner, "\"state\":\"ACTIVE\"");
    stage->sentinel = sentinel_await_ready(&stage->owner);
    CHECK_INT(sentinel_of(stage->owner.pid), stage->sentinel);
}

/* No process is left behind: it could try for a TTL to reach an etcd that is no more. */
static void close_stage(struct stage *stage)
{
    process_destroy(&stage->owner);
    CHECK(stage->sentinel != 0 && sentinel_await_end(stage->sentinel, END_MS));
    etcd_fixture_destroy(stage->etcd);
}

static int64_t revokes(const struct stage *stage)
{
    return gateway_metric(stage->scene.endpoint,
                          "grpc_server_started_total{grpc_method=\"LeaseRevoke\","
                          "grpc_service=\"etcdserverpb.Lease\",grpc_type=\"unary\"}");
}

static bool is_there(const struct stage *stage, int server_id)
{
    char key[KEY_BYTES], value[GATEWAY_TEXT_BYTES];
    snprintf(key, sizeof key, "%s/session/querynode-%d", stage->scene.root, server_id);
    CHECK(gateway_get(stage->scene.endpoint, key, value));
    return value[0] != '\0';
}

static bool await_gone(const struct stage *stage, int server_id, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (is_there(stage, server_id)) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(POLL_MS);
    }
    return true;
}

/* ---- crashes ---- */

TEST(sentinel, an_owner_that_is_killed_or_faults_loses_its_key_at_once)
{
    static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT};
    struct stage stage;
    open_stage(&stage);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        start_owner(&stage, "30", "exit");
        CHECK(is_there(&stage, 1));
        process_signal(&stage.owner, signals[i]);
        CHECK(await_gone(&stage, 1, SOON_MS));
        CHECK(sentinel_await_end(stage.sentinel, END_MS));
        CHECK_INT(revokes(&stage), (int64_t)i + 1);
        process_destroy(&stage.owner);
    }
    close_stage(&stage);
}

TEST(sentinel, a_session_that_registered_again_is_looked_after_under_its_new_lease)
{
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "30", "reregister");
    const int64_t lease_id = command_number(stage.owner.out.data, "lease_id");
    char script[128];
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64, (uint64_t)lease_id);
    command_etcdctl(&stage.scene, script);
    command_await(&stage.owner, "LOST");
    CHECK(process_wait_for(&stage.owner, "ACTIVE\",\"reason\":\"registered\"", SOON_MS));
    while (strstr(strstr(stage.owner.out.data, "LOST"), "\"state\":\"ACTIVE\"") == NULL) {
        CHECK(process_running(&stage.owner));
        process_sleep_ms(POLL_MS);
    }
    CHECK(is_there(&stage, 1));
    process_signal(&stage.owner, SIGKILL);
    CHECK(await_gone(&stage, 1, SOON_MS));
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    CHECK_INT(revokes(&stage), 2); /* etcdctl's, and the new lease's: the old one was given up */
    close_stage(&stage);
}

/* ---- no crash ---- */

TEST(sentinel, one_whose_owner_leaves_in_good_order_ends_and_revokes_nothing)
{
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "30", "exit");
    process_signal(&stage.owner, SIGTERM);
    command_check_ends(&stage.owner, 0);
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    CHECK(!is_there(&stage, 1));
    CHECK_INT(revokes(&stage), 1); /* its own */
    close_stage(&stage);
}

TEST(sentinel, an_owner_that_is_stopped_for_three_ttls_lives)
{
    enum { TTL_MS = 2000 };
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "2", "exit");
    process_signal(&stage.owner, SIGSTOP);
    process_sleep_ms(TTL_MS / 4); /* it has not renewed by then, and is not yet lost */
    CHECK(is_there(&stage, 1));
    process_sleep_ms(3 * TTL_MS);
    CHECK(!is_there(&stage, 1)); /* by its TTL */
    CHECK_INT(revokes(&stage), 0);
    CHECK_INT(sentinel_of(stage.owner.pid), stage.sentinel);
    process_signal(&stage.owner, SIGCONT);
    command_check_ends(&stage.owner, 4);
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    CHECK_INT(revokes(&stage), 0);
    close_stage(&stage);
}

/* ---- an owner of several sessions, that ends in an unusual way ---- */

static void start_program(struct stage *stage, const char *way)
{
    const char *const arguments[] = {ROLLCALL_TEST_SENTINEL_OWNER,
                                     stage->scene.endpoint,
                                     stage->scene.root,
                                     ROLLCALL_TEST_COMMAND,
                                     way,
                                     NULL};
    const struct process_options options = {.arguments = arguments};
    CHECK(process_start(&stage->owner, &options));
    command_await(&stage->owner, "held ");
    CHECK(process_wait_for(&stage->owner, "\n", SOON_MS));
    stage->sentinel = (pid_t)strtol(strstr(stage->owner.out.data, "held ") + 5, NULL, 10);
}

static void check_all(const struct stage *stage, bool there)
{
    for (int id = 1; id <= SESSIONS; id++) {
        CHECK_INT(is_there(stage, id), there);
    }
}

static void check_all_go(struct stage *stage)
{
    for (int id = 1; id <= SESSIONS; id++) {
        CHECK(await_gone(stage, id, SOON_MS));
    }
    CHECK(sentinel_await_end(stage->sentinel, END_MS));
    CHECK_INT(revokes(stage), SESSIONS - 1); /* two share a lease */
}

TEST(sentinel, all_sessions_of_a_connection_go_each_lease_revoked_once)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "stay");
    check_all(&stage, true);
    process_signal(&stage.owner, SIGKILL);
    check_all_go(&stage);
    close_stage(&stage);
}

TEST(sentinel, a_child_that_outlives_the_owner_with_all_its_files_changes_nothing)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "fork");
    command_await(&stage.owner, "child ");
    CHECK(process_wait_for(&stage.owner, "\n", SOON_MS));
    const pid_t child = (pid_t)strtol(strstr(stage.owner.out.data, "child ") + 6, NULL, 10);
    process_signal(&stage.owner, SIGKILL);
    check_all_go(&stage);
    CHECK_INT(kill(child, SIGKILL), 0); /* it was there all the time */
    close_stage(&stage);
}

TEST(sentinel, an_owner_that_returns_with_everything_open_loses_its_keys_at_once)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "return");
    check_all_go(&stage);
    close_stage(&stage);
}

TEST(sentinel, sessions_that_were_closed_at_once_are_left_to_their_ttl)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "close");
    CHECK(process_wait(&stage.owner, SOON_MS));
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    CHECK(is_there(&stage, SESSIONS - 1) &&
          is_there(&stage, SESSIONS)); /* under their own leases */
    close_stage(&stage);
}

TEST(sentinel, an_owner_that_became_another_program_lives)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "exec");
    char name[32] = "";
    while (strcmp(name, "sleep") != 0) {
        process_sleep_ms(POLL_MS);
        sentinel_status(stage.owner.pid, "Name:", name, sizeof name);
    }
    process_sleep_ms(SOON_MS / 10); /* for a sentinel that takes that for its end */
    check_all(&stage, true);
    CHECK_INT(revokes(&stage), 0);
    process_signal(&stage.owner, SIGKILL); /* the process that it looks after, all the same */
    check_all_go(&stage);
    close_stage(&stage);
}

TEST(sentinel, an_owner_that_closes_its_end_of_the_socket_lives)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "shut");
    command_await(&stage.owner, "shut");
    process_sleep_ms(SOON_MS / 10);
    check_all(&stage, true);
    CHECK_INT(revokes(&stage), 0);
    process_signal(&stage.owner, SIGKILL);
    check_all_go(&stage);
    close_stage(&stage);
}

/* ---- a COMMAND, which may outlive `register` ---- */

/* Until the sentinel, whose PID is returned, knows of the COMMAND. */
static pid_t await_companion(struct process *owner)
{
    CHECK(process_wait_for_error(owner, "waits for a companion too", SOON_MS));
    return sentinel_await_ready(owner);
}

/* One that heeds no SIGTERM; returns its PID. */
static pid_t start_with_command(struct stage *stage, const char *ttl)
{
    START(&stage->owner, &stage->scene, "register", "querynode", "--address", "h:1", "--ttl", ttl,
          "--server-id", "1", "--sentinel", "--log-level", "info", "-o", "json", "--", "sh", "-c",
          "trap '' TERM; echo up $$.; exec sleep 1000");
    command_await(&stage->owner, ".\n");
    stage->sentinel = await_companion(&stage->owner);
    return (pid_t)strtol(strstr(stage->owner.out.data, "up ") + 3, NULL, 10);
}

static void check_kept_while_it_runs(struct stage *stage, pid_t command)
{
    process_signal(&stage->owner, SIGKILL);
    CHECK(process_wait(&stage->owner, SOON_MS));
    process_sleep_ms(SOON_MS / 10);
    CHECK(is_there(stage, 1));
    CHECK_INT(revokes(stage), 0);
    CHECK_INT(kill(command, SIGKILL), 0);
    CHECK(await_gone(stage, 1, SOON_MS));
    CHECK(sentinel_await_end(stage->sentinel, END_MS));
}

TEST(sentinel, nothing_is_revoked_while_the_command_of_register_runs)
{
    struct stage stage;
    open_stage(&stage);
    check_kept_while_it_runs(&stage, start_with_command(&stage, "30"));
    close_stage(&stage);
}

TEST(sentinel, one_that_replaces_another_knows_of_the_command_too)
{
    struct stage stage;
    open_stage(&stage);
    const pid_t command = start_with_command(&stage, "30"), first = stage.sentinel;
    CHECK_INT(kill(first, SIGKILL), 0);
    const int64_t until_ms = process_now_ms() + SOON_MS;
    while (stage.sentinel == first || stage.sentinel == 0) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(POLL_MS);
        stage.sentinel = sentinel_of(stage.owner.pid);
    }
    check_kept_while_it_runs(&stage, command); /* perhaps before it is ready */
    close_stage(&stage);
}

TEST(sentinel, a_command_that_outlives_the_ttl_is_not_waited_for)
{
    enum { TTL_MS = 3000 };
    struct stage stage;
    open_stage(&stage);
    const pid_t command = start_with_command(&stage, "3");
    process_signal(&stage.owner, SIGKILL);
    CHECK(process_wait(&stage.owner, SOON_MS));
    CHECK(!sentinel_await_end(stage.sentinel, TTL_MS / 2));
    CHECK(sentinel_await_end(stage.sentinel, TTL_MS + END_MS));
    CHECK_INT(revokes(&stage), 0);
    CHECK(await_gone(&stage, 1, SOON_MS));
    CHECK_INT(kill(command, SIGKILL), 0);
    close_stage(&stage);
}

TEST(sentinel, a_command_that_has_ended_before_is_not_waited_for)
{
    struct stage stage;
    open_stage(&stage);
    START(&stage.owner, &stage.scene, "register", "querynode", "--address", "h:1", "--ttl", "30",
          "--server-id", "1", "--sentinel", "--log-level", "info", "-o", "json", "--", "sh", "-c",
          "trap 'kill -STOP $PPID; echo stopped.; exit' USR1; echo up $$.; "
          "while :; do sleep 0.05; done");
    command_await(&stage.owner, "up ");
    command_await(&stage.owner, ".\n");
    stage.sentinel = await_companion(&stage.owner);
    const pid_t command = (pid_t)strtol(strstr(stage.owner.out.data, "up ") + 3, NULL, 10);
    CHECK_INT(kill(command, SIGUSR1), 0);
    command_await(&stage.owner, "stopped.\n");
    CHECK(is_there(&stage, 1)); /* `register` has not noticed, and lives */
    process_signal(&stage.owner, SIGKILL);
    CHECK(await_gone(&stage, 1, SOON_MS));
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    close_stage(&stage);
}

TEST(sentinel, nothing_is_revoked_when_a_companion_may_have_been_started_unseen)
{
    struct stage stage;
    open_stage(&stage);
    start_program(&stage, "coming");
    command_await(&stage.owner, "announced");
    process_signal(&stage.owner, SIGKILL);
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    check_all(&stage, true);
    CHECK_INT(revokes(&stage), 0);
    close_stage(&stage);
}

/* ---- etcd away ---- */

TEST(sentinel, one_that_cannot_reach_etcd_ends_with_the_ttl)
{
    enum { TTL_MS = 3000 };
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "3", "exit");
    etcd_fixture_kill(stage.etcd);
    process_signal(&stage.owner, SIGKILL);
    CHECK(process_wait(&stage.owner, SOON_MS));
    CHECK(!sentinel_await_end(stage.sentinel, TTL_MS / 2)); /* it tries */
    CHECK(sentinel_await_end(stage.sentinel, TTL_MS + END_MS));
    close_stage(&stage);
}

TEST(sentinel, one_whose_etcd_comes_back_revokes_then)
{
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "30", "exit");
    etcd_fixture_kill(stage.etcd);
    process_signal(&stage.owner, SIGKILL);
    CHECK(process_wait(&stage.owner, SOON_MS));
    process_sleep_ms(SOON_MS / 20);
    CHECK(etcd_fixture_restart(stage.etcd));
    CHECK(await_gone(&stage, 1, SOON_MS));
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    close_stage(&stage);
}

/* ---- the sentinel's own end ---- */

static volatile sig_atomic_t children_ended;

static void on_child(int number)
{
    (void)number;
    children_ended++;
}

static struct rollcall_sentinel_info await_start(const struct api_scene *scene, uint64_t starts)
{
    const int64_t until_ms = process_now_ms() + SOON_MS;
    struct rollcall_sentinel_info info = {0};
    while (!info.ready || info.starts < starts) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(POLL_MS);
        rollcall_etcd_sentinel(scene->etcd, &info);
    }
    return info;
}

static void connect_with(struct api_scene *scene, const char *sentinel)
{
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_etcd_close(scene->etcd), ROLLCALL_OK);
    scene->etcd = NULL;
    const enum rollcall_status status = rollcall_etcd_connect(
        scene->runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = scene->endpoint, .sentinel = sentinel),
        &scene->etcd, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

TEST(sentinel, one_that_is_killed_is_replaced_and_its_owner_notices_nothing)
{
    struct sigaction before, noting = {.sa_handler = on_child, .sa_flags = SA_RESTART};
    struct api_session_log log;
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    children_ended = 0;
    CHECK_INT(sigaction(SIGCHLD, &noting, &before), 0);
    connect_with(&scene, ROLLCALL_TEST_COMMAND);
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 5, &log);
    for (uint64_t starts = 1; starts <= 3; starts++) {
        const struct rollcall_sentinel_info info = await_start(&scene, starts);
        CHECK_INT(info.starts, starts);
        CHECK_INT(sentinel_of(getpid()), info.pid);
        CHECK_INT(kill((pid_t)info.pid, SIGKILL), 0);
        CHECK(sentinel_await_end((pid_t)info.pid, END_MS));
    }
    await_start(&scene, 4);
    CHECK_INT(children_ended, 0);
    CHECK_INT(waitpid(-1, NULL, WNOHANG),
              -1); /* nothing that could be waited for, as __WALL says */
    CHECK_INT(errno, ECHILD);
    CHECK_INT(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    CHECK_INT(rollcall_session_close(session, SOON_MS), ROLLCALL_OK);
    api_session_check_story(&log, "ACTIVE STOPPING STOPPED");
    const pid_t sentinel = sentinel_of(getpid());
    api_scene_close(&scene);
    CHECK(sentinel != 0);
    CHECK(sentinel_await_end(sentinel, END_MS));
    CHECK_INT(sigaction(SIGCHLD, &before, NULL), 0);
    api_session_log_fini(&log);
}

TEST(sentinel, a_program_that_is_none_harms_nobody)
{
    struct rollcall_sentinel_info info = {0};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    connect_with(&scene, "/bin/false");
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 5, NULL);
    const int64_t until_ms = process_now_ms() + SOON_MS;
    while (info.starts < 3) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(POLL_MS);
        rollcall_etcd_sentinel(scene.etcd, &info);
        CHECK(!info.ready);
    }
    CHECK_INT(rollcall_session_close(session, SOON_MS), ROLLCALL_OK);
    api_scene_close(&scene);
}

TEST(sentinel, one_that_cannot_be_run_is_told_at_once)
{
    struct rollcall_error error = {0};
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_etcd *etcd = NULL;
    CHECK_INT(rollcall_etcd_connect(scene.runtime,
                                    ROLLCALL_ETCD_OPTIONS(.endpoints = scene.endpoint,
                                                          .sentinel = "/no/such/program"),
                                    &etcd, &error),
              ROLLCALL_E_INVALID);
    CHECK_STR(error.text, "the sentinel /no/such/program cannot be run: No such file or directory: "
                          "give the path of the program rollcall");
    CHECK(etcd == NULL);
    api_scene_close(&scene);
}

/* ---- what it is ---- */

/* The owner has a file open that it lets its children have. */
TEST(sentinel, it_has_nothing_of_its_owner_but_three_files)
{
    struct stage stage;
    char text[320];
    open_stage(&stage);
    start_program(&stage, "stay");
    CHECK_INT(getsid(stage.sentinel), stage.sentinel);
    CHECK_INT(getpgid(stage.sentinel), stage.sentinel);
    snprintf(text, sizeof text,
             "test \"$(readlink /proc/%d/cwd)\" = / && "
             "! ls -l /proc/%d/fd | grep -v -e ' [012] -> /dev/null$' -e ' 3 -> /memfd:rollcall-' "
             "-e ' 4 -> socket:' -e ' 5 -> anon_inode:.pidfd' -e ' anon_inode:' -e ^total",
             (int)stage.sentinel, (int)stage.sentinel);
    command_etcdctl(&stage.scene, text);
    close_stage(&stage);
}

TEST(sentinel, signals_that_reach_a_whole_group_or_session_do_not_end_it)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGALRM};
    struct stage stage;
    open_stage(&stage);
    start_owner(&stage, "30", "exit");
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        CHECK_INT(kill(stage.sentinel, signals[i]), 0);
    }
    process_signal(&stage.owner, SIGKILL);
    CHECK(await_gone(&stage, 1, SOON_MS));
    CHECK(sentinel_await_end(stage.sentinel, END_MS));
    close_stage(&stage);
}

TEST(sentinel, started_by_hand_it_says_who_starts_it)
{
    struct process process;
    RUN(&process, NULL, 2, "sentinel");
    CHECK_STR(process.out.data, "");
    command_check_contains(process.err.data, "rollcall: a sentinel is started by the process that");
    process_destroy(&process);
}

/* The command `rollcall`, from outside: the COMMAND that `register` runs while it holds a session.
 */
#include "integration/cli_scene.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A COMMAND that says "up", and on SIGTERM does `last` and ends. */
#define UNTIL_TERM(last) "sleep 1000 & trap 'kill $!; " last "' TERM; echo up; wait"

/* register querynode, ACTIVE, with `script` as its COMMAND, which has said "up". */
static void start_command(struct process *process, const struct command_scene *scene,
                          const char *script, const char *on_lost)
{
    START(process, scene, "register", "querynode", "--address", "a:1", "--ttl", "5", "--on-lost",
          on_lost, "-o", "json", "--", "sh", "-c", script);
    command_await(process, "up\n");
}

TEST(cli_command, its_status_is_ours_and_the_session_is_gone_after_it)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    static const struct {
        const char *script;
        int exit_code;
    } ends[] = {{"exit 0", 0}, {"exit 7", 7}, {"kill -KILL $$", 137}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct process session;
        RUN(&session, &scene, ends[i].exit_code, "register", "querynode", "--address", "a:1", "-o",
            "json", "--", "sh", "-c", ends[i].script);
        CHECK_ORDER(&session, "ACTIVE", "STOPPING\",\"reason\":\"COMMAND is over\"}", "STOPPED");
        CHECK_STR(session.err.data, "");
        process_destroy(&session);
        command_check_count(&scene, 0);
    }
}

TEST(cli_command, it_is_told_which_session_it_has)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    char key[KEY_BYTES], said[KEY_BYTES + 128];
    RUN(&session, &scene, 0, "register", "querynode", "--address", "a:1", "--", "sh", "-c",
        "echo session $ROLLCALL_SESSION_KEY $ROLLCALL_SERVER_ID $ROLLCALL_LEASE_ID"
        " $ROLLCALL_CREATE_REVISION.");
    key_of(&session, key);
    snprintf(said, sizeof said, "\nsession %s %" PRId64 " %" PRId64 " %" PRId64 ".\n", key,
             command_number(session.out.data, "server_id"),
             command_number(session.out.data, "lease_id"),
             command_number(session.out.data, "create_revision"));
    command_check_contains(session.out.data, said);
    process_destroy(&session);
}

TEST(cli_command, no_file_of_ours_reaches_it)
{
    static const char script[] = "echo files $(ls /proc/self/fd).";
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process session, alone;
    CHECK(process_run(&alone, &options, COMMAND_SOON_MS)); /* what the test itself hands down */
    RUN(&session, &scene, 0, "register", "querynode", "--address", "a:1", "--", "sh", "-c", script);
    command_check_contains(session.out.data, alone.out.data);
    process_destroy(&alone);
    process_destroy(&session);
}

TEST(cli_command, asked_to_leave_we_mark_first_and_revoke_last)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s", scene.endpoint);
    const char *const environment[] = {endpoint, "ETCDCTL_API=3", NULL};
    command_start(
        &session, &scene, &(const struct command_setting){.environment = environment},
        (const char *const[]){
            "register", "querynode", "--address", "a:1", "-o", "json", "--", "sh", "-c",
            UNTIL_TERM("etcdctl get --print-value-only $ROLLCALL_SESSION_KEY; echo down; exit 9"),
            NULL});
    command_await(&session, "up\n");
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 9);
    CHECK_ORDER(&session, "up\n", "STOPPING\",\"reason\":\"asked to leave\"}", "\"Stopping\":true",
                "down\n", "STOPPED");
    CHECK(strstr(strstr(session.out.data, "STOPPING") + 1, "STOPPING") == NULL);
    process_destroy(&session);
    command_check_count(&scene, 0);
}

TEST(cli_command, one_that_ignores_sigterm_is_waited_for_until_a_second_signal)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    /* It answers, so that the test knows that SIGTERM came, and stays. */
    start_command(&session, &scene, "trap 'echo no' TERM; echo up; while :; do sleep 0.1; done",
                  "exit");
    process_signal(&session, SIGTERM);
    command_await(&session, "no\n");
    command_check_count(&scene, 1);
    CHECK(process_running(&session));
    command_await(&session, "STOPPING");
    CHECK(strstr(session.out.data, "STOPPED") == NULL);
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 137);
    CHECK_ORDER(&session, "STOPPING", "STOPPED");
    process_destroy(&session);
    command_check_count(&scene, 0);
}

TEST(cli_command, without_a_reader_of_stdout_it_is_ended_and_we_leave)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    static const struct {
        const char *script;
        int exit_code; /* its own, if it is any */
    } ends[] = {{UNTIL_TERM("exit 9"), 9}, {UNTIL_TERM("exit 0"), 1}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct process session;
        start_command(&session, &scene, ends[i].script, "exit");
        process_close_stdout(&session);
        command_check_ends(&session, ends[i].exit_code);
        command_check_error(&session, "E_SYSTEM");
        command_check_contains(session.err.data, "nobody reads stdout any more");
        process_destroy(&session);
        command_check_count(&scene, 0);
    }
}

TEST(cli_command, it_ends_when_the_session_is_lost)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    static const struct {
        const char *script;
        int exit_code; /* its own, if it is any */
    } ends[] = {{UNTIL_TERM("echo down; exit 9"), 9}, {UNTIL_TERM("echo down; exit 0"), 4}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct process session;
        start_command(&session, &scene, ends[i].script, "exit");
        revoke_lease(&scene, &session);
        command_check_ends(&session, ends[i].exit_code);
        CHECK_ORDER(&session, "up\n", "down\n");
        command_check_contains(session.out.data, "\"state\":\"LOST\"");
        CHECK(strstr(session.out.data, "STOPPING") == NULL);
        command_check_contains(session.err.data, "rollcall: session lost: ");
        process_destroy(&session);
    }
}

TEST(cli_command, it_is_started_again_after_a_loss_when_asked_for)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    start_command(&session, &scene, UNTIL_TERM("echo down $ROLLCALL_LEASE_ID.; exit 9"),
                  "reregister");
    char first[48];
    snprintf(first, sizeof first, "down %" PRId64 ".\n",
             command_number(session.out.data, "lease_id"));
    revoke_lease(&scene, &session);
    command_await(&session, first);
    while (strstr(strstr(session.out.data, "down"), "up\n") == NULL) {
        CHECK(process_running(&session));
    }
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 9);
    CHECK_ORDER(&session, "up\n", first, "up\n", "down ", "STOPPED");
    CHECK(strstr(strstr(session.out.data, first) + 1, first) == NULL); /* another lease by then */
    process_destroy(&session);
}

/* Starts it at an etcd that stands still until it is SUSPECT and has ended its COMMAND. */
static void suspect(struct process *session, struct etcd_fixture *etcd, const char *script,
                    const char *on_lost)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    start_command(session, &scene, script, on_lost);
    etcd_fixture_freeze(etcd);
    command_await(session, "down\n");
    command_await(session, "\"state\":\"SUSPECT\""); /* the signal does not wait for a reader */
    CHECK(strstr(session->out.data, "LOST") == NULL);
    etcd_fixture_thaw(etcd);
}

TEST(cli_command, it_ends_when_the_session_is_suspect_and_we_leave)
{
    static const struct {
        const char *script;
        int exit_code; /* its own, if it is any: 0 would say that its work is done */
    } ends[] = {{UNTIL_TERM("echo down; exit 9"), 9}, {UNTIL_TERM("echo down; exit 0"), 4}};
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct process session;
        suspect(&session, etcd, ends[i].script, "exit");
        command_check_ends(&session, ends[i].exit_code);
        CHECK_ORDER(&session, "up\n", "\"state\":\"SUSPECT\"",
                    "STOPPING\",\"reason\":\"it became SUSPECT, so COMMAND is to end\"}",
                    "STOPPED");
        CHECK(strstr(strstr(session.out.data, "SUSPECT"), "\"state\":\"ACTIVE\"") == NULL);
        CHECK(strstr(strstr(session.out.data, "down\n"), "up\n") == NULL);
        CHECK(strstr(session.out.data, "asked to leave") == NULL);
        command_check_contains(session.err.data, "rollcall: the session became SUSPECT, ");
        command_check_contains(session.err.data, "\"code\":\"E_UNAVAILABLE\"");
        process_destroy(&session);
    }
    etcd_fixture_destroy(etcd);
}

TEST(cli_command, suspect_and_no_etcd_to_leave_is_exit_4_with_both_said)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--ttl", "5", "--timeout",
          "1s", "--", "sh", "-c", UNTIL_TERM("exit 0"));
    command_await(&session, "up\n");
    etcd_fixture_freeze(etcd);
    command_check_ends(&session, 4);
    command_check_contains(session.err.data, "goes away by itself when its TTL is over\nrollcall: "
                                             "the session became SUSPECT, ");
    process_destroy(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli_command, it_is_started_again_after_suspect_when_asked_for)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    struct process session;
    suspect(&session, etcd, UNTIL_TERM("echo down; exit 9"), "reregister");
    while (strstr(strstr(session.out.data, "down\n"), "up\n") == NULL) {
        CHECK(process_running(&session));
    }
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 9);
    process_destroy(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli_command, what_cannot_be_run_is_exit_127_or_126)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    RUN(&session, &scene, 127, "register", "querynode", "--address", "a:1", "--",
        "rollcall-no-such-program");
    command_check_error(&session, "E_SYSTEM");
    command_check_contains(session.err.data, "rollcall-no-such-program cannot be run: No such");
    CHECK_ORDER(&session, "ACTIVE", "STOPPED");
    process_destroy(&session);
    RUN(&session, &scene, 126, "register", "querynode", "--address", "a:1", "--", "/");
    process_destroy(&session);
    command_check_count(&scene, 0);
}

TEST(cli_command, it_never_runs_beside_a_rival)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process holder, rival;
    START(&holder, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    command_await(&holder, "\"state\":\"ACTIVE\"");
    RUN(&rival, &scene, 5, "register", "rootcoord", "--address", "b:1", "--exclusive", "--retries",
        "1", "--", "echo", "ran");
    CHECK_STR(rival.out.data, "");
    process_destroy(&rival);
    command_stop(&holder);
}

/* What a COMMAND writes to, and has open for as long as it lives. */
struct fifo {
    char folder[32], path[64];
    int fd;
};

static void open_fifo(struct fifo *fifo)
{
    snprintf(fifo->folder, sizeof fifo->folder, "/tmp/rollcall-test-XXXXXX");
    CHECK(mkdtemp(fifo->folder) != NULL);
    snprintf(fifo->path, sizeof fifo->path, "%s/fifo", fifo->folder);
    CHECK_INT(mkfifo(fifo->path, 0600), 0);
    fifo->fd = open(fifo->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void close_fifo(struct fifo *fifo)
{
    close(fifo->fd);
    unlink(fifo->path);
    rmdir(fifo->folder);
}

/* Reads the fifo until its writers are gone; what they said must be `expected`. */
static void check_fifo(int fd, const char *expected)
{
    char said[64] = "";
    size_t size = 0;
    ssize_t count = 1;
    while (count > 0 && size < sizeof said - 1) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        CHECK_INT(poll(&one, 1, COMMAND_SOON_MS), 1);
        count = read(fd, said + size, sizeof said - 1 - size);
        size += count > 0 ? (size_t)count : 0;
    }
    CHECK_STR(said, expected);
}

TEST(cli_command, it_does_not_outlive_us)
{
    static const struct {
        const char *script, *said;
    } commands[] = {
        {UNTIL_TERM("echo down >&3; exit 9"), "down\n"}, /* a shell that passes SIGTERM on */
        {"echo up; exec sleep 1000", ""}};               /* or becomes the program */
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char script[256];
        struct fifo fifo;
        open_fifo(&fifo);
        snprintf(script, sizeof script, "exec 3>%s; %s", fifo.path, commands[i].script);
        struct process session;
        start_command(&session, &scene, script, "exit");
        process_signal(&session, SIGKILL);
        command_check_ends(&session, 137);
        check_fifo(fifo.fd, commands[i].said);
        process_destroy(&session);
        close_fifo(&fifo);
    }
}

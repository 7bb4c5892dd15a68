/*
 * The command `rollcall`, from outside: sessions ended by others, lost and registered again, and
 * the COMMAND that `register` runs while it holds one.
 */
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = COMMAND_ROOT_BYTES + 64 };

/* A COMMAND that says "up", and on SIGTERM does `last` and ends. */
#define UNTIL_TERM(last) "sleep 1000 & trap 'kill $!; " last "' TERM; echo up; wait"

/* The session's key in full, as `registered` said it. */
static void key_of(const struct process *session, char key[KEY_BYTES])
{
    static const char before[] = "\"key\":\"";
    const char *found = strstr(session->out.data, before);
    CHECK(found != NULL);
    found += sizeof before - 1;
    snprintf(key, KEY_BYTES, "%.*s", (int)strcspn(found, "\""), found);
}

static const char *name_in(const char *key)
{
    return strrchr(key, '/') + 1;
}

static void revoke_lease(const struct command_scene *scene, const struct process *session)
{
    char script[96];
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64 " >&2",
             (uint64_t)command_number(session->out.data, "lease_id"));
    command_etcdctl(scene, script);
}

/* Fails unless the parts stand in stdout in this order. */
static void check_order(const struct process *process, const char *const *parts)
{
    const char *at = process->out.data;
    for (; *parts != NULL; parts++) {
        const char *found = strstr(at, *parts);
        if (found == NULL) {
            fprintf(stderr, "stdout: %s\n", process->out.data);
            CHECK_STR(at, *parts);
        }
        at = found + strlen(*parts);
    }
}
#define CHECK_ORDER(process, ...) check_order(process, (const char *const[]){__VA_ARGS__, NULL})

/* register querynode, ACTIVE, with `script` as its COMMAND, which has said "up". */
static void start_command(struct process *process, const struct command_scene *scene,
                          const char *script, const char *on_lost)
{
    START(process, scene, "register", "querynode", "--address", "a:1", "--ttl", "5", "--on-lost",
          on_lost, "-o", "json", "--", "sh", "-c", script);
    command_await(process, "up\n");
}

/* ---- --dry-run ---- */

TEST(cli_plan, a_dry_run_prints_what_would_be_stored_and_asks_no_etcd)
{
    const struct command_scene scene = command_scene_create("127.0.0.1:9");
    static const char *const environment[] = {"MILVUS_SERVER_LABEL_ZONE=a", NULL};
    const struct command_setting setting = {.environment = environment};
    struct process plan;
    command_start(&plan, &scene, &setting,
                  (const char *const[]){"register", "querynode", "--address", "10.0.0.7:21123",
                                        "--server-id", "7", "--version", "2.4.3", "--index-version",
                                        "1:4", "--label", "rack=b", "--dry-run", "--", "false",
                                        NULL});
    command_check_ends(&plan, 0);
    static const char before[] = "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":"
                                 "\"10.0.0.7:21123\",\"TriggerKill\":false,\"Version\":\"2.4.3\","
                                 "\"IndexEngineVersion\":{\"MinimalIndexVersion\":1,"
                                 "\"CurrentIndexVersion\":4},\"HostName\":\"";
    static const char after[] = "\"ServerLabels\":{\"ZONE\":\"a\",\"rack\":\"b\"}}\n";
    CHECK(strncmp(plan.out.data, before, sizeof before - 1) == 0);
    CHECK(plan.out.size_bytes > sizeof after);
    CHECK_STR(plan.out.data + plan.out.size_bytes - (sizeof after - 1), after);
    CHECK_STR(plan.err.data, "");
    process_destroy(&plan);
    RUN(&plan, &scene, 2, "register", "querynode-7", "--address", "a:1", "--dry-run");
    CHECK_STR(plan.out.data, "");
    process_destroy(&plan);
}

/* ---- stop ---- */

TEST(cli_stop, a_session_is_marked_by_its_name_and_stays)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, marking, list;
    char key[KEY_BYTES], said[KEY_BYTES + 32];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    RUN(&list, &scene, 0, "list");
    CHECK(strstr(list.out.data, "Stopping") == NULL);
    process_destroy(&list);
    for (int i = 0; i < 2; i++) { /* again: it is marked already */
        RUN(&marking, &scene, 0, "stop", name_in(key));
        snprintf(said, sizeof said, "{\"event\":\"stopping\",\"key\":\"%s\",", key);
        CHECK(strncmp(marking.out.data, said, strlen(said)) == 0);
        CHECK_INT(command_number(marking.out.data, "lease_id"),
                  command_number(session.out.data, "lease_id"));
        process_destroy(&marking);
    }
    RUN(&list, &scene, 0, "list");
    CHECK_INT(command_number(list.out.data, "count"), 1);
    command_check_contains(list.out.data, "\"Stopping\":true");
    process_destroy(&list);
    CHECK(process_running(&session));
    command_stop(&session);
}

TEST(cli_stop, a_key_in_full_needs_no_root)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct command_scene elsewhere = scene;
    struct process session, marking;
    char key[KEY_BYTES];
    snprintf(elsewhere.root, sizeof elsewhere.root, "elsewhere");
    command_start_registered(&session, &scene);
    key_of(&session, key);
    RUN(&marking, &elsewhere, 1, "stop", name_in(key));
    process_destroy(&marking);
    RUN(&marking, &elsewhere, 0, "stop", key, "-o", "table");
    command_check_contains(marking.out.data, ": querynode, server ");
    CHECK(strncmp(marking.out.data, "stopping cli-test/", 18) == 0);
    process_destroy(&marking);
    command_stop(&session);
}

TEST(cli_stop, what_is_not_there_is_exit_1_and_says_where_to_look)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, other;
    char key[KEY_BYTES];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    key[strlen(key) - 1] = '\0'; /* a prefix of it is another key */
    static const char *const commands[] = {"stop", "revoke"};
    for (size_t i = 0; i < 2; i++) {
        RUN(&other, &scene, 1, commands[i], key, commands[i][0] == 's' ? "--no-color" : "--yes");
        command_check_error(&other, "E_KEY_LOST");
        command_check_contains(other.err.data, "look with `rollcall list`");
        CHECK_STR(other.out.data, "");
        process_destroy(&other);
    }
    RUN(&other, &scene, 2, "stop", "a/b");
    command_check_error(&other, "E_INVALID");
    process_destroy(&other);
    CHECK(process_running(&session));
    command_stop(&session);
    const struct command_scene nowhere = command_scene_create("127.0.0.1:9");
    RUN(&other, &nowhere, 3, "stop", "querynode-7", "--timeout", "1s");
    process_destroy(&other);
}

TEST(cli_stop, a_key_that_holds_garbage_is_exit_1_and_left_as_it_is)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    static const char *const commands[] = {"stop", "revoke"};
    static const char *const names[] = {"querynode-7", "id"};
    struct process process;
    char key[KEY_BYTES];
    command_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-7 garbage >&2;"
                            " etcdctl put $ROOT/session/id 8 >&2");
    for (size_t i = 0; i < 8; i++) {
        const char *name = names[i / 2 % 2];
        snprintf(key, sizeof key, "%s/session/%s", scene.root, name);
        RUN(&process, &scene, 1, commands[i % 2], i < 4 ? name : key,
            commands[i % 2][0] == 's' ? "--no-color" : "--yes");
        command_check_error(&process, "E_CORRUPT");
        command_check_contains(process.err.data, key);
        command_check_contains(process.err.data, "holds no session record");
        CHECK_STR(process.out.data, "");
        process_destroy(&process);
    }
    RUN(&process, &scene, 1, "stop", "querynode-"); /* garbage beside it is not it */
    command_check_error(&process, "E_KEY_LOST");
    process_destroy(&process);
    RUN(&process, &scene, 0, "list", "querynode");
    CHECK_INT(command_number(process.out.data, "skipped"), 1);
    process_destroy(&process);
}

/* ---- revoke ---- */

TEST(cli_revoke, a_session_that_is_revoked_is_gone_and_its_process_is_told)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, ending;
    char key[KEY_BYTES], said[KEY_BYTES + 32];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    RUN(&ending, &scene, 0, "revoke", name_in(key), "--yes");
    snprintf(said, sizeof said, "{\"event\":\"revoked\",\"key\":\"%s\",", key);
    CHECK(strncmp(ending.out.data, said, strlen(said)) == 0);
    CHECK_STR(ending.err.data, "");
    process_destroy(&ending);
    command_check_count(&scene, 0);
    command_check_ends(&session, 4);
    process_destroy(&session);
}

TEST(cli_revoke, without_a_terminal_nothing_is_done)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, ending;
    char key[KEY_BYTES];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    RUN(&ending, &scene, 2, "revoke", key);
    command_check_error(&ending, "E_INVALID");
    command_check_contains(ending.err.data, "--yes");
    process_destroy(&ending);
    command_check_count(&scene, 1);
    command_stop(&session);
}

/* `revoke` at a terminal, after its question; returns the terminal's other end. */
static int start_asking(struct process *process, const struct command_scene *scene, const char *key)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const struct command_setting setting = {.terminal = ptsname(terminal)};
    command_start(process, scene, &setting, (const char *const[]){"revoke", key, NULL});
    CHECK(process_wait_for_error(process, "revoke? [y/N] ", COMMAND_SOON_MS));
    return terminal;
}

static void answer(struct process *process, int terminal, const char *line, int exit_code)
{
    CHECK(write(terminal, line, strlen(line)) == (ssize_t)strlen(line));
    command_check_ends(process, exit_code);
    process_destroy(process);
    close(terminal);
}

TEST(cli_revoke, at_a_terminal_it_says_who_it_is_and_asks)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, ending;
    char key[KEY_BYTES], who[KEY_BYTES + 160];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    int terminal = start_asking(&ending, &scene, key);
    snprintf(who, sizeof who,
             "%s: querynode, server %" PRId64 ", at 10.0.0.7:21123, lease %" PRIx64 ", host ", key,
             command_number(session.out.data, "server_id"),
             (uint64_t)command_number(session.out.data, "lease_id"));
    CHECK(strncmp(ending.err.data, who, strlen(who)) == 0);
    answer(&ending, terminal, "no\n", 1);
    command_check_count(&scene, 1);
    terminal = start_asking(&ending, &scene, key);
    answer(&ending, terminal, "\n", 1); /* N is what is meant */
    command_check_count(&scene, 1);
    terminal = start_asking(&ending, &scene, key);
    answer(&ending, terminal, "y\n", 0);
    command_check_count(&scene, 0);
    command_check_ends(&session, 4);
    process_destroy(&session);
}

TEST(cli_revoke, interrupted_while_it_asks_is_exit_130_and_nothing_done)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, ending;
    char key[KEY_BYTES];
    command_start_registered(&session, &scene);
    key_of(&session, key);
    const int terminal = start_asking(&ending, &scene, key);
    process_signal(&ending, SIGINT);
    answer(&ending, terminal, "y\n", 130);
    command_check_count(&scene, 1);
    command_stop(&session);
}

TEST(cli_revoke, a_successor_under_the_same_key_is_left_alone)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process first, second, ending;
    START(&first, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    command_await(&first, "\"state\":\"ACTIVE\"");
    const int terminal = start_asking(&ending, &scene, "rootcoord");
    command_stop(&first);
    START(&second, &scene, "register", "rootcoord", "--address", "b:1", "--exclusive");
    command_await(&second, "\"state\":\"ACTIVE\"");
    answer(&ending, terminal, "y\n", 1);
    command_check_count(&scene, 1);
    command_stop(&second);
}

/* ---- --on-lost reregister ---- */

TEST(cli_lost, a_session_lost_is_registered_again_when_asked_for)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--on-lost", "reregister");
    command_await(&session, "\"state\":\"ACTIVE\"");
    revoke_lease(&scene, &session);
    command_await(&session, "\"state\":\"LOST\"");
    while (strstr(strstr(session.out.data, "LOST"), "ACTIVE") == NULL) {
        CHECK(process_running(&session));
    }
    const char *again = strstr(strstr(session.out.data, "LOST"), "{\"event\":\"registered\"");
    CHECK(again != NULL);
    CHECK_INT(command_number(again, "server_id"), command_number(session.out.data, "server_id"));
    CHECK(command_number(again, "lease_id") != command_number(session.out.data, "lease_id"));
    CHECK(command_number(again, "create_revision") >
          command_number(session.out.data, "create_revision"));
    CHECK_ORDER(&session, "LOST", "{\"event\":\"registered\"", "\"state\":\"ACTIVE\"");
    command_check_count(&scene, 1);
    command_stop(&session);
    command_check_count(&scene, 0);
}

TEST(cli_lost, one_that_cannot_be_registered_again_ends_by_its_reason)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    START(&session, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive", "--on-lost",
          "reregister", "--retries", "1");
    command_await(&session, "\"state\":\"ACTIVE\"");
    command_etcdctl(&scene, "etcdctl put $ROOT/session/rootcoord "
                            "'{\"ServerID\":999,\"ServerName\":\"rootcoord\",\"Address\":\"b:1\","
                            "\"Version\":\"2.4.2\",\"HostName\":\"another\"}' >&2");
    command_check_ends(&session, 5);
    CHECK_ORDER(&session, "\"state\":\"ACTIVE\"", "\"state\":\"LOST\"");
    command_check_contains(session.err.data, "\"code\":\"E_RIVAL\"");
    process_destroy(&session);
}

TEST(cli_lost, a_key_that_somebody_deleted_is_exit_4)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    command_start_registered(&session, &scene);
    command_etcdctl(&scene, "etcdctl del --prefix $ROOT/session/querynode- >&2");
    command_check_ends(&session, 4);
    command_check_contains(session.out.data, "\"state\":\"LOST\"");
    command_check_error(&session, "E_KEY_LOST");
    process_destroy(&session);
}

/* ---- -- COMMAND ---- */

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
        CHECK_ORDER(&session, "ACTIVE", "STOPPING", "STOPPED");
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
    CHECK_ORDER(&session, "up\n", "\"Stopping\":true", "down\n", "STOPPING", "STOPPED");
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
    CHECK(strstr(session.out.data, "STOPP") == NULL);
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 137);
    CHECK_ORDER(&session, "STOPPED");
    process_destroy(&session);
    command_check_count(&scene, 0);
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
static void suspect(struct process *session, struct etcd_fixture *etcd, const char *on_lost)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    start_command(session, &scene, UNTIL_TERM("echo down; exit 9"), on_lost);
    etcd_fixture_freeze(etcd);
    command_await(session, "down\n");
    command_await(session, "\"state\":\"SUSPECT\""); /* the signal does not wait for a reader */
    CHECK(strstr(session->out.data, "LOST") == NULL);
    etcd_fixture_thaw(etcd);
}

TEST(cli_command, it_ends_when_the_session_is_suspect_and_we_leave)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    struct process session;
    suspect(&session, etcd, "exit");
    command_check_ends(&session, 9);
    CHECK_ORDER(&session, "up\n", "down\n", "STOPPED");
    CHECK(strstr(strstr(session.out.data, "down\n"), "up\n") == NULL);
    process_destroy(&session);
    suspect(&session, etcd, "reregister");
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
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    char folder[] = "/tmp/rollcall-test-XXXXXX", fifo[64], script[256];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    CHECK_INT(mkfifo(fifo, 0600), 0);
    const int fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    snprintf(script, sizeof script, "exec 3>%s; %s", fifo, UNTIL_TERM("echo down >&3; exit 9"));
    struct process session;
    start_command(&session, &scene, script, "exit");
    process_signal(&session, SIGKILL);
    command_check_ends(&session, 137);
    check_fifo(fd, "down\n");
    close(fd);
    process_destroy(&session);
    unlink(fifo);
    rmdir(folder);
}

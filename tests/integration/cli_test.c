/*
 * The command `rollcall`, from outside: what it prints, where, and how it ends.  What `stop`
 * and `revoke` do is in cli_command_test.c, a COMMAND of `register` in cli_held_test.c, and roles
 * are in cli_role_test.c.
 */
#include "integration/cli_scene.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { DEMO_MS = 120000 };

/* ---- without an etcd ---- */

TEST(cli, help_and_version_go_to_stdout)
{
    static const char *const commands[] = {"register", "force",  "list", "watch",
                                           "stop",     "revoke", "sim",  "demo"};
    struct process process;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        RUN(&process, NULL, 0, commands[i], "--help");
        command_check_contains(process.out.data, commands[i]);
        CHECK_STR(process.err.data, "");
        process_destroy(&process);
    }
    RUN(&process, NULL, 0, "--help");
    command_check_contains(process.out.data, "Usage: rollcall COMMAND");
    process_destroy(&process);
    RUN(&process, NULL, 0, "--version");
    CHECK(strncmp(process.out.data, "rollcall ", 9) == 0);
    process_destroy(&process);
}

TEST(cli, wrong_usage_is_exit_2_and_says_what_to_do)
{
    struct process process;
    RUN(&process, NULL, 2, "register", "querynode");
    command_check_error(&process, "E_INVALID");
    command_check_contains(process.err.data, "--address");
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
    RUN(&process, NULL, 2, "bench");
    command_check_contains(process.err.data, "not available in this version");
    process_destroy(&process);
    RUN(&process, NULL, 2, "register", "querynode-7", "--address", "a:1");
    command_check_error(&process, "E_INVALID");
    process_destroy(&process);
}

TEST(cli, an_etcd_out_of_reach_is_exit_3)
{
    /* Port 9 (discard) of loopback refuses. */
    const struct command_scene scene = command_scene_create("127.0.0.1:9");
    struct process process;
    RUN(&process, &scene, 3, "list", "--dial-timeout", "500ms", "--timeout", "1s");
    command_check_contains(process.err.data, "\"retriable\":true");
    process_destroy(&process);
    RUN(&process, &scene, 3, "watch", "querynode", "--dial-timeout", "500ms");
    process_destroy(&process);
    RUN(&process, &scene, 3, "register", "querynode", "--address", "a:1", "--dial-timeout",
        "500ms");
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
    RUN(&process, &scene, 3, "force", "coord", "--address", "a:1", "--dial-timeout", "500ms", "--",
        "echo", "begun");
    CHECK_STR(process.out.data, "");
    command_check_error(&process, "E_UNAVAILABLE");
    process_destroy(&process);
}

TEST(cli, results_that_nobody_can_get_are_a_failure)
{
    static const char script[] = "exec " ROLLCALL_TEST_COMMAND " --help >&-";
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process process;
    CHECK(process_run(&process, &options, COMMAND_SOON_MS));
    CHECK_INT(process.exit_code, 1);
    CHECK(strncmp(process.err.data, "rollcall: stdout is closed", 26) == 0);
    CHECK(strchr(process.err.data, '\n') == process.err.data + process.err.size_bytes - 1);
    process_destroy(&process);
}

TEST(cli, a_wrong_variable_of_etcdctl_is_named)
{
    const char *const environment[] = {"ETCDCTL_ENDPOINTS=127.0.0.1:99999", NULL};
    const char *const arguments[] = {ROLLCALL_TEST_COMMAND, "list", NULL};
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ROLLCALL_ENDPOINTS"};
    struct process process;
    CHECK(process_run(&process, &options, COMMAND_SOON_MS));
    CHECK_INT(process.exit_code, 2);
    command_check_contains(process.err.data,
                           "rollcall: ETCDCTL_ENDPOINTS: endpoint \"127.0.0.1:99999\" "
                           "has a port out of range");
    process_destroy(&process);
}

TEST(cli, a_command_interrupted_before_it_runs_is_exit_130)
{
    static const char *const words[][5] = {{"register", "querynode", "--address", "a:1"},
                                           {"watch", "querynode"}};
    const struct command_scene scene = command_scene_create("127.0.0.1:9");
    for (size_t i = 0; i < 2; i++) {
        struct process process;
        command_start(&process, &scene, &(const struct command_setting){0}, words[i]);
        process_sleep_ms(300); /* its handlers are in place; it tries for 5 s */
        CHECK(process_running(&process));
        process_signal(&process, SIGINT);
        command_check_ends(&process, 130);
        CHECK_STR(process.out.data, "");
        process_destroy(&process);
    }
}

/* ---- register ---- */

TEST(cli, register_tells_each_state_and_leaves_nothing)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, list;
    command_start_registered(&session, &scene);
    char key[COMMAND_ROOT_BYTES + 64];
    snprintf(key, sizeof key,
             "{\"event\":\"registered\",\"at_ms\":%" PRId64 ",\"key\":\"%s/session/",
             command_number(session.out.data, "at_ms"), scene.root);
    CHECK(strncmp(session.out.data, key, strlen(key)) == 0);
    CHECK_INT(command_number(session.out.data, "ttl_s"), 10);
    CHECK(command_number(session.out.data, "lease_id") > 0);
    CHECK_INT(command_number(session.out.data, "revision"),
              command_number(session.out.data, "create_revision"));
    const int64_t asked_ms = process_now_ms();
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 0);
    CHECK(process_now_ms() - asked_ms < 8000); /* it did not give up waiting, after 10 s */
    const char *stopping = strstr(session.out.data, "\"state\":\"STOPPING\"");
    CHECK(stopping != NULL && strstr(stopping, "\"state\":\"STOPPED\"") != NULL);
    const int64_t told_ms =
        command_number(strstr(session.out.data, "\"event\":\"state\""), "at_ms");
    CHECK(command_number(strchr(strstr(session.out.data, "\"ACTIVE\""), '\n'), "at_ms") >= told_ms);
    CHECK_STR(session.err.data, "");
    process_destroy(&session);
    RUN(&list, &scene, 0, "list");
    CHECK_INT(command_number(list.out.data, "count"), 0);
    process_destroy(&list);
}

TEST(cli, a_second_signal_ends_register_at_once_and_revokes)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, list;
    command_start_registered(&session, &scene);
    process_signal(&session, SIGINT);
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 0);
    process_destroy(&session);
    RUN(&list, &scene, 0, "list", "querynode");
    CHECK_INT(command_number(list.out.data, "count"), 0);
    process_destroy(&list);
}

TEST(cli, register_says_in_words_what_it_says_in_json)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "-o", "table");
    command_await(&session, "\nACTIVE");
    command_check_contains(session.out.data, "registered cli-test/");
    CHECK(strchr(session.out.data, '{') == NULL);
    command_stop(&session);
}

TEST(cli, a_rival_is_exit_5)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process holder, rival;
    START(&holder, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    command_await(&holder, "\"state\":\"ACTIVE\"");
    RUN(&rival, &scene, 5, "register", "rootcoord", "--address", "b:1", "--exclusive", "--retries",
        "1");
    command_check_error(&rival, "E_RIVAL");
    process_destroy(&rival);
    command_stop(&holder);
}

TEST(cli, a_revoked_lease_is_exit_4)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    command_start_registered(&session, &scene);
    char script[96];
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64,
             (uint64_t)command_number(session.out.data, "lease_id"));
    command_etcdctl(&scene, script);
    command_check_ends(&session, 4);
    command_check_contains(session.out.data, "\"state\":\"LOST\"");
    command_check_contains(session.err.data,
                           "rollcall: session lost: "); /* key or lease: as seen */
    command_check_contains(session.err.data, "_LOST\",\"message\":");
    process_destroy(&session);
}

TEST(cli, an_outage_is_said_once_and_survived)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--ttl", "5");
    command_await(&session, "\"state\":\"ACTIVE\"");
    etcd_fixture_kill(etcd);
    command_await(&session, "\"state\":\"SUSPECT\"");
    CHECK(process_wait_for_error(&session, "etcd does not answer", COMMAND_SOON_MS));
    CHECK(etcd_fixture_restart(etcd));
    CHECK(process_wait_for_error(&session, "etcd answers again", COMMAND_SOON_MS));
    CHECK(strstr(session.out.data, "LOST") == NULL);
    command_stop(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli, leaving_takes_no_longer_than_one_request_may)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--timeout", "1500ms");
    command_await(&session, "\"state\":\"ACTIVE\"");
    etcd_fixture_freeze(etcd);
    const int64_t asked_ms = process_now_ms();
    process_signal(&session, SIGTERM);
    command_check_ends(&session, 1);
    const int64_t took_ms = process_now_ms() - asked_ms;
    CHECK(took_ms >= 1400 && took_ms < 2900); /* two requests in vain would be 3 s */
    command_check_error(&session, "E_TIMEOUT");
    command_check_contains(session.err.data, "goes away by itself when its TTL is over");
    process_destroy(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli, a_rivals_lease_is_waited_for_and_that_is_said)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process holder, rival;
    START(&holder, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    command_await(&holder, "\"state\":\"ACTIVE\"");
    START(&rival, &scene, "register", "rootcoord", "--address", "b:1", "--exclusive");
    CHECK(process_wait_for_error(&rival, "is held by another process", COMMAND_SOON_MS));
    CHECK(strncmp(rival.err.data, "level=warn ", 11) == 0);
    command_stop(&holder);
    command_await(&rival, "\"state\":\"ACTIVE\"");
    command_stop(&rival);
}

/* ---- users ---- */

static void check_list_as(const struct command_scene *scene, const char *variable,
                          const char *const *more)
{
    const char *const environment[] = {variable, NULL};
    const char *arguments[12] = {ROLLCALL_TEST_COMMAND, "list",   "--endpoints",
                                 scene->endpoint,       "--root", scene->root};
    for (size_t i = 0; more[i] != NULL && i < 5; i++) {
        arguments[6 + i] = more[i];
    }
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ETCDCTL_"};
    struct process list;
    CHECK(process_start(&list, &options));
    command_check_ends(&list, 0);
    CHECK_STR(list.err.data, "");
    process_destroy(&list);
}

static void check_users(const struct command_scene *scene)
{
    char file[] = "/tmp/rollcall-test-XXXXXX";
    static const char line[] = "a:b\r\nmore";
    const int fd = mkstemp(file);
    CHECK(fd >= 0 && write(fd, line, sizeof line - 1) == (ssize_t)sizeof line - 1);
    close(fd);
    check_list_as(scene, "ETCDCTL_USER=root:a:b", (const char *const[]){NULL});
    check_list_as(scene, "ETCDCTL_PASSWORD=a:b", (const char *const[]){"--user", "root", NULL});
    check_list_as(scene, "ETCDCTL_USER=root", (const char *const[]){"--password-file", file, NULL});
    unlink(file);
}

TEST(cli, a_password_comes_from_etcdctls_variables_or_a_file_of_any_system)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    command_etcdctl(&scene, "etcdctl user add root:a:b >&2; etcdctl user grant-role root root >&2;"
                            " etcdctl auth enable >&2");
    check_users(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- list ---- */

TEST(cli, list_embeds_the_record_as_stored)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process list;
    command_etcdctl(&scene,
                    "printf '{ \"ServerID\": 9007199254740993,\\n \"ServerName\":\"a b\",\\t"
                    "\"Address\":\"x\\377\", \"Version\":\"2.4.2\", \"Unknown\":[1, 2] }'"
                    " | etcdctl put $ROOT/session/querynode-9007199254740993");
    RUN(&list, &scene, 0, "list", "querynode");
    command_check_contains(list.out.data,
                           "\"session\":{\"ServerID\":9007199254740993,\"ServerName\":\"a b\","
                           "\"Address\":\"x\xef\xbf\xbd\",\"Version\":\"2.4.2\","
                           "\"Unknown\":[1,2]}}\n{\"event\":\"end\",");
    process_destroy(&list);
}

TEST(cli, list_counts_what_is_no_session)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, list;
    command_start_registered(&session, &scene);
    command_etcdctl(&scene, "etcdctl put $ROOT/session/querynode-999 garbage");
    RUN(&list, &scene, 0, "list", "querynode");
    CHECK_INT(command_number(list.out.data, "count"), 1);
    CHECK_INT(command_number(list.out.data, "skipped"), 1);
    command_check_contains(list.err.data,
                           "rollcall: keys that hold no session record, not shown: 1\n");
    process_destroy(&list);
    command_stop(&session);
}

TEST(cli, a_table_has_a_row_for_each_session)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, list;
    command_start_registered(&session, &scene);
    RUN(&list, &scene, 0, "list", "-o", "table");
    CHECK(strncmp(list.out.data, "KEY ", 4) == 0);
    command_check_contains(list.out.data, " ROLE       ADDRESS         VERSION  STATE   LEASE ");
    command_check_contains(list.out.data, "  querynode  10.0.0.7:21123  2.4.2    ACTIVE  ");
    process_destroy(&list);
    command_stop(&session);
}

TEST(cli, a_role_lists_neither_its_longer_names_nor_other_versions)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process list;
    command_etcdctl(&scene,
                    "for key in data-1 data-2 datanode-3; do"
                    " etcdctl put $ROOT/session/$key"
                    " \"{\\\"ServerID\\\":1,\\\"Version\\\":\\\"2.${key##*-}.0\\\"}\"; done");
    RUN(&list, &scene, 0, "list", "data");
    CHECK_INT(command_number(list.out.data, "count"), 2);
    process_destroy(&list);
    RUN(&list, &scene, 0, "list", "data", "--raw-prefix");
    CHECK_INT(command_number(list.out.data, "count"), 3);
    process_destroy(&list);
    RUN(&list, &scene, 0, "list", "data", "--range", ">=2.2.0");
    CHECK_INT(command_number(list.out.data, "count"), 1);
    process_destroy(&list);
}

/* ---- watch ---- */

TEST(cli, watch_tells_a_snapshot_and_then_every_change)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process first, second, watch;
    command_start_registered(&first, &scene);
    START(&watch, &scene, "watch", "querynode", "--count", "3");
    command_await(&watch, "\"snapshot_end\"");
    command_start_registered(&second, &scene);
    command_stop(&second);
    command_check_ends(&watch, 0); /* add; update, for it is stopping; delete */
    static const char *const order[] = {"{\"event\":\"snapshot_begin\"", "\n{\"event\":\"session\"",
                                        "\n{\"event\":\"snapshot_end\"", "\n{\"event\":\"add\"",
                                        "\n{\"event\":\"update\"",       "\"Stopping\":true",
                                        "\n{\"event\":\"delete\""};
    const char *at = watch.out.data;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        at = strstr(at, order[i]);
        if (at == NULL) {
            fprintf(stderr, "%s", watch.out.data);
        }
        CHECK(at != NULL);
    }
    process_destroy(&watch);
    command_stop(&first);
}

TEST(cli, watch_from_a_revision_tells_the_past)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, watch;
    command_start_registered(&session, &scene);
    char revision[32];
    snprintf(revision, sizeof revision, "%" PRId64, command_number(session.out.data, "revision"));
    RUN(&watch, &scene, 0, "watch", "querynode", "--from", revision, "--count", "1");
    CHECK(strncmp(watch.out.data, "{\"event\":\"add\"", 14) == 0);
    process_destroy(&watch);
    command_stop(&session);
}

TEST(cli, watch_ends_when_it_is_asked_to)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process watch;
    START(&watch, &scene, "watch", "querynode");
    command_await(&watch, "\"snapshot_end\"");
    process_signal(&watch, SIGINT);
    command_check_ends(&watch, 0);
    CHECK_STR(watch.err.data, "");
    process_destroy(&watch);
}

/* ---- nobody reads stdout ---- */

static void check_said_nobody_reads(struct process *process)
{
    command_check_ends(process, 1);
    command_check_error(process, "E_SYSTEM");
    command_check_contains(process->err.data, "rollcall: nobody reads stdout any more");
    process_destroy(process);
}

TEST(cli, a_watch_that_nobody_reads_says_so_and_ends)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process watch;
    START(&watch, &scene, "watch", "querynode");
    command_await(&watch, "\"snapshot_end\"");
    process_close_stdout(&watch); /* found without a change to write */
    check_said_nobody_reads(&watch);
    START(&watch, &scene, "watch", "querynode", "--count", "1");
    process_close_stdout(&watch); /* found as it writes, if not before */
    check_said_nobody_reads(&watch);
}

TEST(cli, a_list_that_nobody_reads_says_so)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    struct process list;
    etcd_fixture_freeze(etcd); /* so that it writes after the reader has gone */
    START(&list, &scene, "list", "--timeout", "30s");
    process_close_stdout(&list);
    etcd_fixture_thaw(etcd);
    check_said_nobody_reads(&list);
    etcd_fixture_destroy(etcd);
}

TEST(cli, a_register_that_nobody_reads_says_so_and_leaves)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session, watch;
    START(&watch, &scene, "watch", "querynode", "--count", "3");
    command_await(&watch, "\"snapshot_end\"");
    command_start_registered(&session, &scene);
    process_close_stdout(&session);
    check_said_nobody_reads(&session);
    command_check_ends(&watch, 0); /* add; update, for it is stopping; delete */
    command_check_contains(watch.out.data, "\"Stopping\":true");
    process_destroy(&watch);
    command_check_count(&scene, 0);
    const struct command_scene nowhere = command_scene_create("127.0.0.1:9");
    START(&session, &nowhere, "register", "querynode", "--address", "a:1");
    process_close_stdout(&session); /* before it was registered: nothing was interrupted */
    check_said_nobody_reads(&session);
}

TEST(cli, a_pipeline_that_is_interrupted_whole_ends_in_silence)
{
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    struct process session;
    command_start_registered(&session, &scene);
    process_signal(&session, SIGINT);
    process_close_stdout(&session);
    command_check_ends(&session, 0);
    CHECK_STR(session.err.data, "");
    process_destroy(&session);
    command_check_count(&scene, 0);
}

/* ---- demo ---- */

/* Runs the demo with a temporary folder of its own and checks that nothing stays in it. */
static void run_demo(struct process *process, const char *path, bool interrupt, int exit_code)
{
    char folder[] = "/tmp/rollcall-test-XXXXXX", tmpdir[64], search[128];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(tmpdir, sizeof tmpdir, "TMPDIR=%s", folder);
    snprintf(search, sizeof search, "PATH=%s", path == NULL ? getenv("PATH") : path);
    const char *const environment[] = {tmpdir, path == NULL ? NULL : search, NULL};
    const char *const arguments[] = {ROLLCALL_TEST_COMMAND, "demo", "--fast", NULL};
    const struct process_options options = {.arguments = arguments, .environment = environment};
    CHECK(process_start(process, &options));
    if (interrupt) {
        command_await(process, "node-a    ACTIVE");
        process_signal(process, SIGINT);
    }
    CHECK(process_wait(process, DEMO_MS));
    if (process->exit_code != exit_code) {
        fprintf(stderr, "stdout: %s\nstderr: %s\n", process->out.data, process->err.data);
    }
    CHECK_INT(process->exit_code, exit_code);
    CHECK_INT(rmdir(folder), 0); /* it is empty */
}

TEST(cli, the_demo_ends_well_and_leaves_nothing)
{
    struct process demo;
    run_demo(&demo, NULL, false, 0);
    command_check_contains(demo.out.data, "node-a    SUSPECT");
    CHECK_ORDER(&demo, "coord-a   ACTIVE ", "coord-b   STANDBY ", "etcd is killed",
                "coord-a   STANDBY ", "etcd is restarted", "coord-a   ACTIVE ",
                "coordinator is killed", "coord-b   ACTIVE ");
    command_check_contains(demo.out.data, "Done; everything it made is removed.");
    CHECK(strstr(demo.out.data, "LOST") == NULL);
    CHECK_STR(demo.err.data, "");
    process_destroy(&demo);
}

TEST(cli, an_interrupted_demo_leaves_nothing)
{
    struct process demo;
    run_demo(&demo, NULL, true, 130);
    process_destroy(&demo);
}

TEST(cli, a_demo_without_etcd_says_what_is_missing)
{
    struct process demo;
    run_demo(&demo, "/nonexistent", false, 1);
    command_check_contains(demo.err.data, "rollcall: demo step 1 ");
    command_check_contains(demo.err.data, "there is no etcd on PATH: install etcd");
    process_destroy(&demo);
}

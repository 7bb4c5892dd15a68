/*
 * The command `rollcall`, from outside: what it prints, where, and how it ends.  Every test has its
 * own root in the shared etcd, so tests may run at the same time and find nothing of others.
 */
#include "support/etcd_fixture.h"
#include "support/process.h"
#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 32, SOON_MS = 30000, DEMO_MS = 120000, ROOT_BYTES = 96 };

/* What a test starts commands against. */
struct scene {
    const char *endpoint;
    char root[ROOT_BYTES];
};

static struct scene scene_create(const char *endpoint)
{
    static int count;
    struct scene scene = {.endpoint = endpoint};
    snprintf(scene.root, sizeof scene.root, "cli-test/%ld-%" PRId64 "-%d", (long)getpid(),
             process_now_ms(), count++);
    return scene;
}

/* words: the command's arguments, then NULL; the scene's endpoint and root go after them. */
static void start(struct process *process, const struct scene *scene, const char *const *words)
{
    const char *arguments[ARGUMENTS_MAX] = {ROLLCALL_TEST_COMMAND};
    size_t count = 1;
    while (words[count - 1] != NULL && count + 5 < ARGUMENTS_MAX) {
        arguments[count] = words[count - 1];
        count++;
    }
    if (scene != NULL) {
        arguments[count++] = "--endpoints";
        arguments[count++] = scene->endpoint;
        arguments[count++] = "--root";
        arguments[count++] = scene->root;
    }
    const struct process_options options = {.arguments = arguments, .without_prefix = "ETCDCTL_"};
    CHECK(process_start(process, &options));
}
#define START(process, scene, ...) start(process, scene, (const char *const[]){__VA_ARGS__, NULL})

static void wait_for(struct process *process, const char *part)
{
    if (!process_wait_for(process, part, SOON_MS)) {
        fprintf(stderr, "stdout: %s\nstderr: %s\n", process->out.data, process->err.data);
        CHECK_STR(process->out.data, part);
    }
}

/* Waits for its end and checks its exit code. */
static void check_ends(struct process *process, int exit_code)
{
    CHECK(process_wait(process, SOON_MS));
    if (process->exit_code != exit_code) {
        fprintf(stderr, "stdout: %s\nstderr: %s\n", process->out.data, process->err.data);
    }
    CHECK_INT(process->exit_code, exit_code);
}

static void check_run(struct process *process, const struct scene *scene, int exit_code,
                      const char *const *words)
{
    start(process, scene, words);
    check_ends(process, exit_code);
}
#define RUN(process, scene, exit_code, ...)                                                        \
    check_run(process, scene, exit_code, (const char *const[]){__VA_ARGS__, NULL})

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

/* One error: a line for people first, then the object that says the same. */
static void check_error(const struct process *process, const char *code)
{
    char object[64];
    snprintf(object, sizeof object, "\n{\"event\":\"error\",\"code\":\"%s\",\"message\":\"", code);
    CHECK(strncmp(process->err.data, "rollcall: ", 10) == 0);
    check_contains(process->err.data, object);
}

/* The number that follows "name": in the first object that has it. */
static int64_t number_of(const struct process *process, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *found = strstr(process->out.data, key);
    CHECK(found != NULL);
    return strtoll(found + strlen(key), NULL, 10);
}

static void etcdctl(const struct scene *scene, const char *script)
{
    char endpoint[64], root[ROOT_BYTES + 8];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s", scene->endpoint);
    snprintf(root, sizeof root, "ROOT=%s", scene->root);
    const char *const environment[] = {endpoint, root, "ETCDCTL_API=3", NULL};
    const char *const arguments[] = {"sh", "-ec", script, NULL};
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ETCDCTL_"};
    struct process process;
    CHECK(process_run(&process, &options, SOON_MS));
    CHECK_INT(process.exit_code, 0);
    process_destroy(&process);
}

static void start_registered(struct process *process, const struct scene *scene)
{
    START(process, scene, "register", "querynode", "--address", "10.0.0.7:21123", "--ttl", "10",
          "-o", "json");
    wait_for(process, "\"state\":\"ACTIVE\"");
}

static void stop(struct process *process)
{
    process_signal(process, SIGTERM);
    check_ends(process, 0);
    process_destroy(process);
}

/* ---- without an etcd ---- */

TEST(cli, help_and_version_go_to_stdout)
{
    static const char *const commands[] = {"register", "list", "watch", "demo"};
    struct process process;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        RUN(&process, NULL, 0, commands[i], "--help");
        check_contains(process.out.data, commands[i]);
        CHECK_STR(process.err.data, "");
        process_destroy(&process);
    }
    RUN(&process, NULL, 0, "--help");
    check_contains(process.out.data, "Usage: rollcall COMMAND");
    process_destroy(&process);
    RUN(&process, NULL, 0, "--version");
    CHECK(strncmp(process.out.data, "rollcall ", 9) == 0);
    process_destroy(&process);
}

TEST(cli, wrong_usage_is_exit_2_and_says_what_to_do)
{
    struct process process;
    RUN(&process, NULL, 2, "register", "querynode");
    check_error(&process, "E_INVALID");
    check_contains(process.err.data, "--address");
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
    RUN(&process, NULL, 2, "doctor");
    check_contains(process.err.data, "not available in this version");
    process_destroy(&process);
    RUN(&process, NULL, 2, "register", "querynode-7", "--address", "a:1");
    check_error(&process, "E_INVALID");
    process_destroy(&process);
}

TEST(cli, an_etcd_out_of_reach_is_exit_3)
{
    /* Port 9 (discard) of loopback refuses. */
    const struct scene scene = scene_create("127.0.0.1:9");
    struct process process;
    RUN(&process, &scene, 3, "list", "--dial-timeout", "500ms", "--timeout", "1s");
    check_contains(process.err.data, "\"retriable\":true");
    process_destroy(&process);
    RUN(&process, &scene, 3, "watch", "querynode", "--dial-timeout", "500ms");
    process_destroy(&process);
    RUN(&process, &scene, 3, "register", "querynode", "--address", "a:1", "--dial-timeout",
        "500ms");
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
}

TEST(cli, results_that_nobody_can_get_are_a_failure)
{
    static const char script[] = "exec " ROLLCALL_TEST_COMMAND " --help >&-";
    const char *const arguments[] = {"sh", "-c", script, NULL};
    const struct process_options options = {.arguments = arguments};
    struct process process;
    CHECK(process_run(&process, &options, SOON_MS));
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
    CHECK(process_run(&process, &options, SOON_MS));
    CHECK_INT(process.exit_code, 2);
    check_contains(process.err.data, "rollcall: ETCDCTL_ENDPOINTS: endpoint \"127.0.0.1:99999\" "
                                     "has a port out of range");
    process_destroy(&process);
}

TEST(cli, a_command_interrupted_before_it_runs_is_exit_130)
{
    static const char *const words[][5] = {{"register", "querynode", "--address", "a:1"},
                                           {"watch", "querynode"}};
    const struct scene scene = scene_create("127.0.0.1:9");
    for (size_t i = 0; i < 2; i++) {
        struct process process;
        start(&process, &scene, words[i]);
        process_sleep_ms(300); /* its handlers are in place; it tries for 5 s */
        CHECK(process_running(&process));
        process_signal(&process, SIGINT);
        check_ends(&process, 130);
        CHECK_STR(process.out.data, "");
        process_destroy(&process);
    }
}

/* ---- register ---- */

TEST(cli, register_tells_each_state_and_leaves_nothing)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session, list;
    start_registered(&session, &scene);
    char key[ROOT_BYTES + 64];
    snprintf(key, sizeof key,
             "{\"event\":\"registered\",\"at_ms\":%" PRId64 ",\"key\":\"%s/session/",
             number_of(&session, "at_ms"), scene.root);
    CHECK(strncmp(session.out.data, key, strlen(key)) == 0);
    CHECK_INT(number_of(&session, "ttl_s"), 10);
    CHECK(number_of(&session, "lease_id") > 0);
    CHECK_INT(number_of(&session, "revision"), number_of(&session, "create_revision"));
    const int64_t asked_ms = process_now_ms();
    process_signal(&session, SIGTERM);
    check_ends(&session, 0);
    CHECK(process_now_ms() - asked_ms < 8000); /* it did not give up waiting, after 10 s */
    const char *stopping = strstr(session.out.data, "\"state\":\"STOPPING\"");
    CHECK(stopping != NULL && strstr(stopping, "\"state\":\"STOPPED\"") != NULL);
    CHECK_STR(session.err.data, "");
    process_destroy(&session);
    RUN(&list, &scene, 0, "list");
    CHECK_INT(number_of(&list, "count"), 0);
    process_destroy(&list);
}

TEST(cli, a_second_signal_ends_register_at_once_and_revokes)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session, list;
    start_registered(&session, &scene);
    process_signal(&session, SIGINT);
    process_signal(&session, SIGTERM);
    check_ends(&session, 0);
    process_destroy(&session);
    RUN(&list, &scene, 0, "list", "querynode");
    CHECK_INT(number_of(&list, "count"), 0);
    process_destroy(&list);
}

TEST(cli, register_says_in_words_what_it_says_in_json)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "-o", "table");
    wait_for(&session, "\nACTIVE");
    check_contains(session.out.data, "registered cli-test/");
    CHECK(strchr(session.out.data, '{') == NULL);
    stop(&session);
}

TEST(cli, a_rival_is_exit_5)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process holder, rival;
    START(&holder, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    wait_for(&holder, "\"state\":\"ACTIVE\"");
    RUN(&rival, &scene, 5, "register", "rootcoord", "--address", "b:1", "--exclusive", "--retries",
        "1");
    check_error(&rival, "E_RIVAL");
    process_destroy(&rival);
    stop(&holder);
}

TEST(cli, a_revoked_lease_is_exit_4)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session;
    start_registered(&session, &scene);
    char script[96];
    snprintf(script, sizeof script, "etcdctl lease revoke %" PRIx64,
             (uint64_t)number_of(&session, "lease_id"));
    etcdctl(&scene, script);
    check_ends(&session, 4);
    check_contains(session.out.data, "\"state\":\"LOST\"");
    check_error(&session, "E_LEASE_LOST");
    process_destroy(&session);
}

TEST(cli, an_outage_is_said_once_and_survived)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct scene scene = scene_create(etcd_fixture_endpoint(etcd));
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--ttl", "5");
    wait_for(&session, "\"state\":\"ACTIVE\"");
    etcd_fixture_kill(etcd);
    wait_for(&session, "\"state\":\"SUSPECT\"");
    CHECK(process_wait_for_error(&session, "etcd does not answer", SOON_MS));
    CHECK(etcd_fixture_restart(etcd));
    CHECK(process_wait_for_error(&session, "etcd answers again", SOON_MS));
    CHECK(strstr(session.out.data, "LOST") == NULL);
    stop(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli, leaving_takes_no_longer_than_one_request_may)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct scene scene = scene_create(etcd_fixture_endpoint(etcd));
    struct process session;
    START(&session, &scene, "register", "querynode", "--address", "a:1", "--timeout", "1500ms");
    wait_for(&session, "\"state\":\"ACTIVE\"");
    etcd_fixture_freeze(etcd);
    const int64_t asked_ms = process_now_ms();
    process_signal(&session, SIGTERM);
    check_ends(&session, 1);
    const int64_t took_ms = process_now_ms() - asked_ms;
    CHECK(took_ms >= 1400 && took_ms < 2500); /* two requests in vain would be 3 s */
    check_error(&session, "E_TIMEOUT");
    check_contains(session.err.data, "goes away by itself when its TTL is over");
    process_destroy(&session);
    etcd_fixture_destroy(etcd);
}

TEST(cli, a_rivals_lease_is_waited_for_and_that_is_said)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process holder, rival;
    START(&holder, &scene, "register", "rootcoord", "--address", "a:1", "--exclusive");
    wait_for(&holder, "\"state\":\"ACTIVE\"");
    START(&rival, &scene, "register", "rootcoord", "--address", "b:1", "--exclusive");
    CHECK(process_wait_for_error(&rival, "is held by another process", SOON_MS));
    CHECK(strncmp(rival.err.data, "level=warn ", 11) == 0);
    stop(&holder);
    wait_for(&rival, "\"state\":\"ACTIVE\"");
    stop(&rival);
}

/* ---- users ---- */

static void check_list_as(const struct scene *scene, const char *variable, const char *const *more)
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
    check_ends(&list, 0);
    CHECK_STR(list.err.data, "");
    process_destroy(&list);
}

static void check_users(const struct scene *scene)
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
    const struct scene scene = scene_create(etcd_fixture_endpoint(etcd));
    etcdctl(&scene, "etcdctl user add root:a:b >&2; etcdctl user grant-role root root >&2;"
                    " etcdctl auth enable >&2");
    check_users(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- list ---- */

TEST(cli, list_embeds_the_record_as_stored)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process list;
    etcdctl(&scene, "printf '{ \"ServerID\": 9007199254740993,\\n \"ServerName\":\"a b\",\\t"
                    "\"Address\":\"x\\377\", \"Version\":\"2.4.2\", \"Unknown\":[1, 2] }'"
                    " | etcdctl put $ROOT/session/querynode-9007199254740993");
    RUN(&list, &scene, 0, "list", "querynode");
    check_contains(list.out.data,
                   "\"session\":{\"ServerID\":9007199254740993,\"ServerName\":\"a b\","
                   "\"Address\":\"x\xef\xbf\xbd\",\"Version\":\"2.4.2\","
                   "\"Unknown\":[1,2]}}\n{\"event\":\"end\",");
    process_destroy(&list);
}

TEST(cli, list_counts_what_is_no_session)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session, list;
    start_registered(&session, &scene);
    etcdctl(&scene, "etcdctl put $ROOT/session/querynode-999 garbage");
    RUN(&list, &scene, 0, "list", "querynode");
    CHECK_INT(number_of(&list, "count"), 1);
    CHECK_INT(number_of(&list, "skipped"), 1);
    check_contains(list.err.data, "rollcall: keys that hold no session record, not shown: 1\n");
    process_destroy(&list);
    stop(&session);
}

TEST(cli, a_table_has_a_row_for_each_session)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session, list;
    start_registered(&session, &scene);
    RUN(&list, &scene, 0, "list", "-o", "table");
    CHECK(strncmp(list.out.data, "KEY ", 4) == 0);
    check_contains(list.out.data, " ROLE       ADDRESS         VERSION  STATE   LEASE ");
    check_contains(list.out.data, "  querynode  10.0.0.7:21123  2.4.2    ACTIVE  ");
    process_destroy(&list);
    stop(&session);
}

TEST(cli, a_role_lists_neither_its_longer_names_nor_other_versions)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process list;
    etcdctl(&scene, "for key in data-1 data-2 datanode-3; do"
                    " etcdctl put $ROOT/session/$key"
                    " \"{\\\"ServerID\\\":1,\\\"Version\\\":\\\"2.${key##*-}.0\\\"}\"; done");
    RUN(&list, &scene, 0, "list", "data");
    CHECK_INT(number_of(&list, "count"), 2);
    process_destroy(&list);
    RUN(&list, &scene, 0, "list", "data", "--raw-prefix");
    CHECK_INT(number_of(&list, "count"), 3);
    process_destroy(&list);
    RUN(&list, &scene, 0, "list", "data", "--range", ">=2.2.0");
    CHECK_INT(number_of(&list, "count"), 1);
    process_destroy(&list);
}

/* ---- watch ---- */

TEST(cli, watch_tells_a_snapshot_and_then_every_change)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process first, second, watch;
    start_registered(&first, &scene);
    START(&watch, &scene, "watch", "querynode", "--count", "3");
    wait_for(&watch, "\"snapshot_end\"");
    start_registered(&second, &scene);
    stop(&second);
    check_ends(&watch, 0); /* add; update, for it is stopping; delete */
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
    stop(&first);
}

TEST(cli, watch_from_a_revision_tells_the_past)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process session, watch;
    start_registered(&session, &scene);
    char revision[32];
    snprintf(revision, sizeof revision, "%" PRId64, number_of(&session, "revision"));
    RUN(&watch, &scene, 0, "watch", "querynode", "--from", revision, "--count", "1");
    CHECK(strncmp(watch.out.data, "{\"event\":\"add\"", 14) == 0);
    process_destroy(&watch);
    stop(&session);
}

TEST(cli, watch_ends_when_it_is_asked_to_or_nobody_reads)
{
    const struct scene scene = scene_create(etcd_fixture_shared());
    struct process watch;
    for (int closed = 0; closed < 2; closed++) {
        START(&watch, &scene, "watch", "querynode");
        wait_for(&watch, "\"snapshot_end\"");
        if (closed) {
            process_close_stdout(&watch);
        } else {
            process_signal(&watch, SIGINT);
        }
        check_ends(&watch, 0);
        CHECK_STR(watch.err.data, "");
        process_destroy(&watch);
    }
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
        wait_for(process, "node-a    ACTIVE");
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
    check_contains(demo.out.data, "node-a    SUSPECT");
    check_contains(demo.out.data, "Done; everything it made is removed.");
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
    check_contains(demo.err.data, "rollcall: demo step 1 ");
    check_contains(demo.err.data, "there is no etcd on PATH: install etcd");
    process_destroy(&demo);
}

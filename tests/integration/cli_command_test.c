/* The command `rollcall`, from outside: sessions ended by others, lost and registered again. */
#include "integration/cli_scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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
    CHECK_STR(plan.err.data, "rollcall: a dry run: false is not run\n");
    process_destroy(&plan);
    RUN(&plan, &scene, 0, "register", "querynode", "--address", "a:1", "--dry-run");
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

/* `rollcall doctor` from outside, against etcds that are well and etcds that are not. */
#include "support/command.h"
#include "support/etcd_cluster.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include "session/json.h"

#include <stdlib.h>

enum { ENDPOINTS_BYTES = 128 };

/* ---- what it said ---- */

static void check_member(struct rollcall__json_reader *reader, const char *name, bool text)
{
    CHECK_INT(rollcall__json_next(reader), ROLLCALL__JSON_NAME);
    CHECK_BYTES(reader->text, name);
    CHECK_INT(rollcall__json_next(reader), text ? ROLLCALL__JSON_STRING : ROLLCALL__JSON_NUMBER);
}

/* One line is one object, with these members in this order. */
static void check_object(struct rollcall_bytes line, const char *const *names, bool text)
{
    static struct rollcall__json_reader reader;
    rollcall__json_open(&reader, line);
    CHECK_INT(rollcall__json_next(&reader), ROLLCALL__JSON_OBJECT);
    check_member(&reader, "event", true);
    for (; *names != NULL; names++) {
        check_member(&reader, *names, text);
    }
    CHECK_INT(rollcall__json_next(&reader), ROLLCALL__JSON_OBJECT_END);
    CHECK_INT(rollcall__json_next(&reader), ROLLCALL__JSON_DONE);
}

/* Every line is whole, the last counts the others. */
static void check_json(const struct process *process)
{
    static const char *const of_check[] = {"endpoint", "check", "state", "detail", "advice", NULL};
    static const char *const of_end[] = {"count",     "ok",       "warn", "fail",
                                         "endpoints", "answered", NULL};
    int64_t checks = 0;
    const char *at = process->out.data, *end;
    for (; strncmp(at, "{\"event\":\"end\"", 14) != 0; at = end + 1, checks++) {
        end = strchr(at, '\n');
        CHECK(end != NULL);
        check_object((struct rollcall_bytes){at, (size_t)(end - at)}, of_check, true);
    }
    check_object((struct rollcall_bytes){at, strcspn(at, "\n")}, of_end, false);
    CHECK_INT(command_number(at, "count"), checks);
    CHECK_INT(command_number(at, "ok") + command_number(at, "warn") + command_number(at, "fail"),
              checks);
    CHECK_STR(strchr(at, '\n'), "\n");
}

/* The check has that state, and its line holds both parts. */
static void check_line(const struct process *process, const char *endpoint, const char *check,
                       const char *state, const char *detail, const char *advice)
{
    char begin[160];
    snprintf(begin, sizeof begin,
             "{\"event\":\"check\",\"endpoint\":\"%s\",\"check\":\"%s\",\"state\":\"%s\"", endpoint,
             check, state);
    const char *line = strstr(process->out.data, begin);
    if (line == NULL) {
        CHECK_STR(process->out.data, begin);
    }
    char *copy = strndup(line, strcspn(line, "\n"));
    CHECK(copy != NULL);
    command_check_contains(copy, detail);
    command_check_contains(copy, advice);
    free(copy);
}

static void check_fails(const struct process *process, int64_t count)
{
    CHECK_INT(command_number(strstr(process->out.data, "\"event\":\"end\""), "fail"), count);
}

/* Two ports of loopback that refuse: tcpmux, discard. */
#define DEAD "127.0.0.1:1"
#define DEAD_TOO "127.0.0.1:9"

/* The same root at these. */
static struct command_scene at_both(char both[ENDPOINTS_BYTES], const char *first,
                                    const char *second)
{
    snprintf(both, ENDPOINTS_BYTES, "%s,%s", first, second);
    return command_scene_create(both);
}

/* ---- one etcd ---- */

TEST(cli_doctor, a_healthy_etcd_fails_no_check)
{
    struct process process;
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    command_etcdctl(&scene, "etcdctl put $ROOT/session/id 8 >&2");
    RUN(&process, &scene, 0, "doctor", "-o", "json");
    check_json(&process);
    check_fails(&process, 0);
    CHECK_STR(process.err.data, "");
    check_line(&process, scene.endpoint, "reachable", "ok", "", "");
    check_line(&process, scene.endpoint, "tls", "ok", "off", "");
    check_line(&process, scene.endpoint, "auth", "ok", "no user is needed", "");
    check_line(&process, scene.endpoint, "latency", "ok", " ms", "");
    command_check_contains(process.out.data, "\"check\":\"version\",\"state\":\""); /* by its age */
    command_check_contains(process.out.data, "\"check\":\"version\""); /* ok, or warn by its age */
    check_line(&process, scene.endpoint, "leader", "ok", "it leads", "");
    check_line(&process, scene.endpoint, "learner", "ok", "", "");
    check_line(&process, scene.endpoint, "raft", "ok", "", "");
    check_line(&process, scene.endpoint, "space", "ok", "MiB", "");
    check_line(&process, scene.endpoint, "alarms", "ok", "none", "");
    check_line(&process, scene.endpoint, "read", "ok", "1 key under cli-test/", "");
    check_line(&process, "cluster", "same", "ok", "", "");
    check_line(&process, "cluster", "quorum", "ok", "1 of 1", "");
    check_line(&process, "here", "clock", "ok", "CLOCK_BOOTTIME works", "");
    CHECK_INT(command_number(process.out.data, "answered"), 1);
    process_destroy(&process);
}

TEST(cli_doctor, a_table_has_a_line_for_each_check)
{
    struct process process;
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    RUN(&process, &scene, 0, "doctor", "-o", "table");
    CHECK_STR(process.err.data, "");
    CHECK(strncmp(process.out.data, "ENDPOINT ", 9) == 0);
    command_check_contains(process.out.data, "  leader     ok     it leads");
    CHECK(strchr(process.out.data, '\033') == NULL);
    process_destroy(&process);
}

TEST(cli_doctor, it_writes_nothing)
{
    struct process process;
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    RUN(&process, &scene, 0, "doctor", "-o", "json");
    process_destroy(&process);
    command_etcdctl(&scene, "etcdctl get -w fields x | grep '\"Revision\" : 1$' >&2"
                            " && etcdctl lease list | grep 'found 0 leases' >&2");
    etcd_fixture_destroy(etcd);
}

/* ---- endpoints that do not answer ---- */

TEST(cli_doctor, a_dead_endpoint_fails_by_its_name_and_the_others_are_told)
{
    struct process process;
    char both[ENDPOINTS_BYTES];
    const struct command_scene scene = at_both(both, DEAD, etcd_fixture_shared());
    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_json(&process);
    check_fails(&process, 1);
    check_line(&process, DEAD, "reachable", "fail", DEAD, "check that it runs");
    check_line(&process, etcd_fixture_shared(), "reachable", "ok", "", "");
    check_line(&process, etcd_fixture_shared(), "leader", "ok", "", "");
    CHECK_INT(command_number(process.out.data, "answered"), 1);
    command_check_error(&process, "E_REJECTED");
    command_check_contains(process.err.data, DEAD);
    process_destroy(&process);
}

TEST(cli_doctor, when_none_answers_it_is_exit_3)
{
    struct process process;
    const struct command_scene scene = command_scene_create(DEAD "," DEAD_TOO);
    RUN(&process, &scene, 3, "doctor", "-o", "json");
    check_json(&process);
    check_line(&process, DEAD, "reachable", "fail", DEAD, "");
    check_line(&process, DEAD_TOO, "reachable", "fail", DEAD_TOO, "");
    check_line(&process, "here", "clock", "ok", "", "");
    CHECK_INT(command_number(process.out.data, "answered"), 0);
    CHECK_INT(command_number(process.out.data, "endpoints"), 2);
    command_check_error(&process, "E_UNAVAILABLE");
    process_destroy(&process);
}

TEST(cli_doctor, a_silent_endpoint_costs_its_time_and_nothing_else)
{
    struct process process;
    char both[ENDPOINTS_BYTES];
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const char *silent = etcd_fixture_endpoint(etcd);
    const struct command_scene scene = at_both(both, silent, etcd_fixture_shared());
    etcd_fixture_freeze(etcd);
    RUN(&process, &scene, 1, "doctor", "-o", "json", "--timeout", "2s", "--dial-timeout", "2s");
    check_fails(&process, 1);
    check_line(&process, silent, "reachable", "fail", silent, "");
    check_line(&process, etcd_fixture_shared(), "read", "ok", "", "");
    process_destroy(&process);
    etcd_fixture_destroy(etcd);
}

TEST(cli_doctor, what_is_no_endpoint_is_exit_2)
{
    struct process process;
    RUN(&process, NULL, 2, "doctor", "--endpoints", "127.0.0.1:2379,nonsense");
    command_check_contains(process.err.data, "nonsense");
    CHECK_STR(process.out.data, "");
    process_destroy(&process);
    RUN(&process, NULL, 2, "doctor", "querynode");
    process_destroy(&process);
}

/* ---- clusters ---- */

TEST(cli_doctor, two_clusters_are_told_apart)
{
    struct process process;
    char both[ENDPOINTS_BYTES];
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    const char *other = etcd_fixture_endpoint(etcd);
    const struct command_scene scene = at_both(both, etcd_fixture_shared(), other);
    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_json(&process);
    check_fails(&process, 1);
    check_line(&process, "cluster", "same", "fail", other, "endpoints of one cluster");
    check_line(&process, other, "leader", "ok", "", "");
    process_destroy(&process);
    etcd_fixture_destroy(etcd);
}

TEST(cli_doctor, a_cluster_is_well_then_lacks_a_member_then_its_majority)
{
    struct process process;
    struct etcd_cluster *cluster = etcd_cluster_create();
    CHECK(cluster != NULL);
    CHECK(etcd_cluster_await_whole(cluster, COMMAND_SOON_MS));
    const struct command_scene scene = command_scene_create(etcd_cluster_endpoints(cluster));
    RUN(&process, &scene, 0, "doctor", "-o", "json");
    check_json(&process);
    check_line(&process, "cluster", "quorum", "ok", "3 of 3", "");
    check_line(&process, "cluster", "members", "ok", "3 with a vote", "");
    check_line(&process, etcd_cluster_endpoint(cluster, 2), "read", "ok", "", "");
    process_destroy(&process);

    etcd_cluster_kill(cluster, 1);
    CHECK(etcd_cluster_await_leader(cluster, 1, COMMAND_SOON_MS));
    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_fails(&process, 1);
    check_line(&process, etcd_cluster_endpoint(cluster, 1), "reachable", "fail", "", "");
    check_line(&process, "cluster", "quorum", "warn", "2 of 3", "endpoints of all");
    process_destroy(&process);

    etcd_cluster_kill(cluster, 2);
    CHECK(etcd_cluster_await_no_leader(cluster, 0, COMMAND_SOON_MS));
    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_json(&process);
    check_line(&process, etcd_cluster_endpoint(cluster, 0), "reachable", "ok", "", "");
    check_line(&process, etcd_cluster_endpoint(cluster, 0), "leader", "fail", "no leader",
               "start a majority");
    check_line(&process, "cluster", "quorum", "fail", "has a leader", "");
    process_destroy(&process);
    etcd_cluster_destroy(cluster);
}

/* ---- space, users, certificates ---- */

TEST(cli_doctor, an_etcd_out_of_space_is_told_with_what_to_do)
{
    static const char *const small[] = {"--quota-backend-bytes=16384", NULL};
    struct process process;
    struct etcd_fixture *etcd = etcd_fixture_create(small);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    command_etcdctl(&scene, "if etcdctl put $ROOT/x y; then exit 1; fi\n"
                            "etcdctl alarm list | grep NOSPACE >&2");
    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_json(&process);
    check_fails(&process, 1);
    check_line(&process, scene.endpoint, "alarms", "fail", "NOSPACE", "etcdctl alarm disarm");
    process_destroy(&process);
    etcd_fixture_destroy(etcd);
}

/* root; member, who may read below $ROOT/session/; stranger, who may not. */
static const char USERS[] =
    "for user in root member stranger; do etcdctl user add $user:$user-pw; done >&2\n"
    "etcdctl role add here && etcdctl role grant-permission --prefix here read $ROOT/session/\n"
    "etcdctl user grant-role member here\n"
    "etcdctl role add root && etcdctl user grant-role root root && etcdctl auth enable\n";

static void run_as(struct process *process, const struct command_scene *scene, const char *user,
                   int exit_code)
{
    char variable[64];
    snprintf(variable, sizeof variable, "ETCDCTL_USER=%s", user);
    const char *const environment[] = {variable, NULL};
    command_start(process, scene, &(const struct command_setting){.environment = environment},
                  (const char *const[]){"doctor", "-o", "json", NULL});
    command_check_ends(process, exit_code);
    check_json(process);
    CHECK(strstr(process->out.data, strchr(user, ':') + 1) == NULL); /* never the password */
    CHECK(strstr(process->err.data, strchr(user, ':') + 1) == NULL);
}

TEST(cli_doctor, with_authentication_on_it_says_who_may_what)
{
    static const char *const cheap_passwords[] = {"--bcrypt-cost=4", NULL};
    struct process process;
    struct etcd_fixture *etcd = etcd_fixture_create(cheap_passwords);
    CHECK(etcd != NULL);
    const struct command_scene scene = command_scene_create(etcd_fixture_endpoint(etcd));
    command_etcdctl(&scene, USERS);

    RUN(&process, &scene, 1, "doctor", "-o", "json");
    check_fails(&process, 1);
    check_line(&process, scene.endpoint, "auth", "fail", "no user was given", "--password-file");
    process_destroy(&process);

    run_as(&process, &scene, "member:member-pw", 0);
    check_line(&process, scene.endpoint, "auth", "ok", "user member is accepted", "");
    check_line(&process, scene.endpoint, "read", "ok", "0 keys", "");
    check_line(&process, scene.endpoint, "tls", "warn", "password of member", "--cacert");
    process_destroy(&process);

    run_as(&process, &scene, "member:other-pw", 1);
    CHECK(strstr(process.err.data, "level=") == NULL); /* it is a finding, and no log */
    check_fails(&process, 1);
    check_line(&process, scene.endpoint, "auth", "fail", "does not know user member",
               "password file");
    check_line(&process, scene.endpoint, "leader", "ok", "it leads", "");
    process_destroy(&process);

    run_as(&process, &scene, "stranger:stranger-pw", 1);
    check_fails(&process, 1);
    check_line(&process, scene.endpoint, "auth", "ok", "user stranger is accepted", "");
    check_line(&process, scene.endpoint, "read", "fail", "stranger may not read",
               "grant-permission");
    process_destroy(&process);
    etcd_fixture_destroy(etcd);
}

TEST(cli_doctor, a_user_that_is_not_looked_at_is_told)
{
    struct process process;
    const struct command_scene scene = command_scene_create(etcd_fixture_shared());
    run_as(&process, &scene, "member:member-pw", 0);
    check_line(&process, scene.endpoint, "auth", "warn", "authentication is off", "auth enable");
    process_destroy(&process);
}

/* A file with several is good as long as one of them is. */
TEST(cli_doctor, an_authority_that_has_expired_is_told)
{
#define VECTORS ROLLCALL_TEST_VECTORS "/doctor/"
    static const struct {
        const char *path, *state, *detail;
    } files[] = {{VECTORS "expired.pem", "fail", "has expired"},
                 {VECTORS "lasting.pem", "ok", "is good for"},
                 {VECTORS "both.pem", "ok", "is good for"}};
    const struct command_scene scene = command_scene_create(DEAD);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct process process;
        RUN(&process, &scene, 3, "doctor", "-o", "json", "--cacert", files[i].path);
        check_json(&process);
        check_line(&process, "here", "certificate", files[i].state, files[i].detail, "");
        process_destroy(&process);
    }
}

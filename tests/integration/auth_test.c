/*
 * Sessions and watches at an etcd that wants a user and a password: a private one each, with the
 * simple tokens that it forgets when it restarts, or when the user's password is set again.  That
 * a token gets too old comes to the same, and is not waited for.
 */
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SCRIPT_BYTES = 1024, DEADLINE_MS = 4000, TTL_S = 30 };

/* ---- an etcd with users ---- */

/* etcdctl as the user root; `outside` puts a session as nobody of ours would. */
#define AS_ROOT                                                                                    \
    "etcdctl() { command etcdctl --user=root:root-pw \"$@\"; }\n"                                  \
    "outside() { etcdctl put -- $ROOT/session/$1 '{\"ServerID\":1,\"Version\":\"1.0.0\"}'; }\n"

/* root; member, who may do all below $ROOT/session/; stranger, who may do so elsewhere. */
static const char USERS[] =
    "etcdctl user add root:root-pw && etcdctl user add member:member-pw\n"
    "etcdctl user add stranger:stranger-pw\n"
    "etcdctl role add here && etcdctl role grant-permission --prefix here readwrite "
    "$ROOT/session/\n"
    "etcdctl role add there && etcdctl role grant-permission --prefix there readwrite elsewhere/\n"
    "etcdctl user grant-role member here && etcdctl user grant-role stranger there\n"
    "etcdctl role add root && etcdctl user grant-role root root && etcdctl auth enable\n";

struct guarded {
    struct etcd_fixture *etcd;
    struct api_scene scene; /* as the user of the test */
};

static void connect_as(struct api_scene *scene, const char *user, const char *password)
{
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_etcd_close(scene->etcd), ROLLCALL_OK);
    const enum rollcall_status status = rollcall_etcd_connect(
        scene->runtime,
        ROLLCALL_ETCD_OPTIONS(.endpoints = scene->endpoint, .user = user, .password = password),
        &scene->etcd, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

static void guarded_open(struct guarded *g, const char *user, const char *password)
{
    static const char *const cheap_passwords[] = {"--bcrypt-cost=4", NULL};
    g->etcd = etcd_fixture_create(cheap_passwords);
    CHECK(g->etcd != NULL);
    api_scene_open(&g->scene, etcd_fixture_endpoint(g->etcd));
    api_etcdctl(&g->scene, USERS, NULL, 0);
    connect_as(&g->scene, user, password);
}

static void guarded_close(struct guarded *g)
{
    api_scene_close(&g->scene);
    etcd_fixture_destroy(g->etcd);
}

static void as_root(const struct guarded *g, const char *lines, char *out, size_t out_bytes)
{
    char script[SCRIPT_BYTES];
    snprintf(script, sizeof script, AS_ROOT "%s", lines);
    api_etcdctl(&g->scene, script, out, out_bytes);
}

/* ---- what etcd counted ---- */

static int connect_to(const char *endpoint)
{
    const char *port = strchr(endpoint, ':');
    CHECK(port != NULL);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* etcd's own count of the requests of one method that it has had. */
static int64_t requests(const struct guarded *g, const char *method)
{
    static const char question[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
    enum { ROOM_BYTES = 1 << 20 };
    char *text = malloc(ROOM_BYTES), name[128];
    const int fd = connect_to(etcd_fixture_endpoint(g->etcd));
    size_t used = 0;
    ssize_t size;
    CHECK(text != NULL);
    CHECK_INT(send(fd, question, sizeof question - 1, MSG_NOSIGNAL), sizeof question - 1);
    while (used < ROOM_BYTES - 1 && (size = recv(fd, text + used, ROOM_BYTES - 1 - used, 0)) > 0) {
        used += (size_t)size;
    }
    text[used] = '\0';
    close(fd);
    snprintf(name, sizeof name, "grpc_server_started_total{grpc_method=\"%s\"", method);
    const char *line = strstr(text, name);
    CHECK(line != NULL && strchr(line, ' ') != NULL);
    const int64_t count = strtoll(strchr(line, ' '), NULL, 10);
    free(text);
    return count;
}

/* ---- who may not ---- */

struct refusal {
    const char *user, *password, *says;
};

static void check_refused(enum rollcall_status status, const char *text, const struct guarded *g,
                          const struct refusal *refusal)
{
    CHECK_STR(rollcall_status_name(status), "E_DENIED");
    if (strstr(text, refusal->says) == NULL) {
        CHECK_STR(text, refusal->says);
    }
    CHECK(strstr(text, etcd_fixture_endpoint(g->etcd)) != NULL);
    CHECK(refusal->password == NULL || strstr(text, refusal->password) == NULL);
}

static void check_session_refused(const struct guarded *g, const struct refusal *refusal)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    const int64_t started_ms = process_now_ms();
    const enum rollcall_status status = rollcall_session_open(
        g->scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = g->scene.root, .role = "querynode", .address = "a:1"),
        &session, &error);
    check_refused(status, error.text, g, refusal);
    CHECK(process_now_ms() < started_ms + DEADLINE_MS);
}

static void check_watch_refused(const struct guarded *g, const struct refusal *refusal)
{
    struct api_watch_log log;
    struct rollcall_error error = {0};
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&g->scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_FAILED, 1, DEADLINE_MS));
    CHECK_INT(api_watch_total(&log), 1);
    check_refused(api_watch_at(&log, 0).status, api_watch_at(&log, 0).reason, g, refusal);
    const enum rollcall_status status = rollcall_list(
        g->scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.root = g->scene.root, .on_event = api_watch_note, .user = &log),
        DEADLINE_MS, &error);
    check_refused(status, error.text, g, refusal);
    CHECK_INT(api_watch_total(&log), 1);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
}

/* A session, a watch and a list: each asks for a token once, or twice where one was refused. */
TEST(auth, a_wrong_password_is_denied_by_name_at_once_and_not_tried_again_and_again)
{
    const struct refusal refusal = {"member", "wrong-pw", "authentication failed"};
    struct guarded g;
    guarded_open(&g, refusal.user, refusal.password);
    const int64_t before = requests(&g, "Authenticate");
    check_session_refused(&g, &refusal);
    check_watch_refused(&g, &refusal);
    const int64_t tries = requests(&g, "Authenticate") - before;
    CHECK(tries >= 1 && tries <= 6);
    guarded_close(&g);
}

TEST(auth, without_a_user_it_says_that_one_is_wanted)
{
    const struct refusal refusal = {NULL, NULL, "give user and password"};
    struct guarded g;
    guarded_open(&g, refusal.user, refusal.password);
    check_session_refused(&g, &refusal);
    check_watch_refused(&g, &refusal);
    guarded_close(&g);
}

TEST(auth, a_user_without_permission_on_the_root_is_denied_by_name_and_leaves_no_lease)
{
    const struct refusal refusal = {"stranger", "stranger-pw", "permission denied"};
    struct guarded g;
    char text[SCRIPT_BYTES];
    guarded_open(&g, refusal.user, refusal.password);
    check_session_refused(&g, &refusal);
    check_watch_refused(&g, &refusal);
    as_root(&g, "etcdctl lease list | tail -n +2; etcdctl get --prefix --keys-only ''", text,
            sizeof text);
    CHECK_STR(text, "");
    guarded_close(&g);
}

/* ---- who may ---- */

struct stay {
    struct guarded g;
    struct api_watch_log watched;
    struct api_session_log told;
    struct rollcall_watch *watch;
    struct rollcall_session *session;
};

static void stay_open(struct stay *s)
{
    guarded_open(&s->g, "member", "member-pw");
    api_watch_log_init(&s->watched);
    api_session_log_init(&s->told);
    s->watch = api_watch(&s->g.scene, "querynode", 0, &s->watched);
    CHECK(api_watch_await(&s->watched, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    s->session = api_open(&s->g.scene, "querynode", 7, TTL_S, &s->told);
    CHECK(api_watch_await_told(&s->watched, 1, API_SOON_MS));
}

/* Nothing but what was done has been told: no failure, no resync, no doubt, no loss. */
static void stay_close(struct stay *s)
{
    char story[128];
    CHECK_INT(api_watch_count(&s->watched, ROLLCALL_WATCH_FAILED), 0);
    CHECK_INT(api_watch_count(&s->watched, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    CHECK_INT(rollcall_session_close(s->session, API_SOON_MS), ROLLCALL_OK);
    CHECK_STR(api_session_story(&s->told, story, sizeof story), "ACTIVE STOPPING STOPPED");
    CHECK(api_watch_await_told(&s->watched, 0, API_SOON_MS));
    api_watch_close(s->watch, &s->watched);
    api_watch_check(&s->watched);
    api_session_log_fini(&s->told);
    api_watch_log_fini(&s->watched);
    guarded_close(&s->g);
}

/* The watch is told what comes after, and goes, by hand and by a session of this connection. */
static void check_goes_on(struct stay *s, size_t adds)
{
    struct api_watch_log listed;
    as_root(&s->g, "outside querynode-1", NULL, 0);
    CHECK(api_watch_await(&s->watched, ROLLCALL_WATCH_ADD, adds + 1, API_SOON_MS));
    struct rollcall_session *another = api_open(&s->g.scene, "querynode", 8, TTL_S, NULL);
    CHECK(api_watch_await(&s->watched, ROLLCALL_WATCH_ADD, adds + 2, API_SOON_MS));
    api_watch_log_init(&listed);
    api_list(&s->g.scene, "querynode", &listed);
    CHECK_INT(api_watch_told(&listed), 3);
    api_watch_check_same(&listed, &s->watched);
    api_watch_log_fini(&listed);
    CHECK_INT(rollcall_session_close(another, API_SOON_MS), ROLLCALL_OK);
    as_root(&s->g, "etcdctl del $ROOT/session/querynode-1", NULL, 0);
    CHECK(api_watch_await_told(&s->watched, 1, API_SOON_MS));
}

/* Upstream: "invalid auth token triggers rewatch".  Its watcher ended, and its process with it. */
TEST(auth, an_etcd_that_restarts_and_forgets_every_token_is_asked_for_another)
{
    struct stay s;
    stay_open(&s);
    for (size_t round = 0; round < 3; round++) {
        etcd_fixture_kill(s.g.etcd);
        CHECK(etcd_fixture_restart(s.g.etcd));
        check_goes_on(&s, 1 + 2 * round);
    }
    stay_close(&s);
}

/* A password that is set, even to the same, takes every token of the user back. */
static void take_tokens_back(const struct guarded *g)
{
    as_root(g, "echo member-pw | etcdctl user passwd member --interactive=false", NULL, 0);
}

/* The watch is the only one that asks, and with the old token.  A restart alone would not do: etcd
 * gives out again the tokens of the last moments before it was killed. */
TEST(auth, a_watch_alone_outlives_a_restart_and_the_end_of_its_token)
{
    struct guarded g;
    struct api_watch_log log;
    guarded_open(&g, "member", "member-pw");
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&g.scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    take_tokens_back(&g);
    etcd_fixture_kill(g.etcd);
    CHECK(etcd_fixture_restart(g.etcd));
    as_root(&g, "outside querynode-1", NULL, 0);
    CHECK(api_watch_await_told(&log, 1, API_SOON_MS));
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_FAILED), 0);
    CHECK_INT(api_watch_total(&log), 3);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    guarded_close(&g);
}

TEST(auth, a_token_taken_back_while_all_is_well_is_replaced)
{
    struct stay s;
    struct api_watch_log since;
    stay_open(&s);
    take_tokens_back(&s.g);
    api_watch_log_init(&since);
    struct rollcall_watch *watch = /* without a list that would get a new token first */
        api_watch(&s.g.scene, "querynode", api_watch_at(&s.watched, 2).mod_revision, &since);
    CHECK(api_watch_await_told(&since, 1, API_SOON_MS));
    check_goes_on(&s, 1);
    CHECK(api_watch_await(&since, ROLLCALL_WATCH_DELETE, 2, API_SOON_MS));
    CHECK_INT(api_watch_count(&since, ROLLCALL_WATCH_FAILED), 0);
    api_watch_close(watch, &since);
    api_watch_check(&since);
    api_watch_log_fini(&since);
    stay_close(&s);
}

/*
 * Sessions at an etcd that talks TLS, and wants certificates of its clients; and what is replaced
 * on disk while they are there.  Each etcd is a private one, and so are the authorities.
 */
#include "support/api_events.h"
#include "support/certificates.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { TTL_S = 60, DAY_S = 86400, HERE_BYTES = CERTIFICATES_PATH_BYTES, LOG_BYTES = 4096 };

/* ---- an etcd with certificates ---- */

/* In the folder: old-ca and new-ca; server and client, which are old-ca's, and etcd's and ours;
 * trust, what we trust; clients, what etcd trusts. */
struct secured {
    struct certificates certificates;
    char server_cert[HERE_BYTES], server_key[HERE_BYTES], clients[HERE_BYTES];
    char trust[HERE_BYTES], cert[HERE_BYTES], key[HERE_BYTES];
    const char *arguments[8];
    struct etcd_fixture *etcd;
    struct api_scene scene;
    struct rollcall__monitor monitor; /* guards the next */
    char log[LOG_BYTES];              /* what the runtime wrote */
};

static void issue(struct secured *s)
{
    const struct certificates *all = &s->certificates;
    certificates_authority(all, "old-ca");
    certificates_authority(all, "new-ca");
    certificates_issue(all, "server", "old-ca", "IP:127.0.0.1", DAY_S);
    certificates_issue(all, "client", "old-ca", "DNS:client", DAY_S);
    certificates_issue(all, "new-server", "new-ca", "IP:127.0.0.1", DAY_S);
    certificates_issue(all, "new-client", "new-ca", "DNS:client", DAY_S);
    certificates_replace(all, "trust.pem", "old-ca.pem", NULL);
    certificates_replace(all, "clients.pem", "old-ca.pem", NULL);
    certificates_path(all, "server.pem", s->server_cert);
    certificates_path(all, "server.key", s->server_key);
    certificates_path(all, "clients.pem", s->clients);
    certificates_path(all, "trust.pem", s->trust);
    certificates_path(all, "client.pem", s->cert);
    certificates_path(all, "client.key", s->key);
}

/* mutual: etcd wants a certificate of its clients.  Follow with start. */
static void secured_open(struct secured *s, bool mutual)
{
    memset(s, 0, sizeof *s);
    rollcall__monitor_init(&s->monitor);
    certificates_open(&s->certificates);
    issue(s);
    s->arguments[0] = "--cert-file";
    s->arguments[1] = s->server_cert;
    s->arguments[2] = "--key-file";
    s->arguments[3] = s->server_key;
    if (mutual) {
        s->arguments[4] = "--client-cert-auth";
        s->arguments[5] = "--trusted-ca-file";
        s->arguments[6] = s->clients;
    }
}

/* Other ports are drawn when etcd ends at once, for then somebody had taken one. */
static void start(struct secured *s)
{
    for (int i = 0; i < 10; i++) {
        s->etcd = etcd_fixture_prepare(s->arguments);
        CHECK(s->etcd != NULL && etcd_fixture_use_tls(s->etcd) && etcd_fixture_start(s->etcd));
        if (etcd_fixture_await(s->etcd)) {
            api_scene_open(&s->scene, etcd_fixture_endpoint(s->etcd));
            return;
        }
        etcd_fixture_destroy(s->etcd);
    }
    CHECK_FAIL("etcd does not start");
}

static void secured_close(struct secured *s)
{
    api_scene_close(&s->scene);
    etcd_fixture_destroy(s->etcd);
    certificates_close(&s->certificates);
    rollcall__monitor_fini(&s->monitor);
}

static void keep_line(void *user, enum rollcall_log_level level, const char *line)
{
    struct secured *s = user;
    (void)level;
    rollcall__monitor_lock(&s->monitor);
    const size_t used = strlen(s->log);
    snprintf(s->log + used, sizeof s->log - used, "%s\n", line);
    rollcall__monitor_notify(&s->monitor);
    rollcall__monitor_unlock(&s->monitor);
}

/* Waits until the runtime has written `part`. */
static void await_log(struct secured *s, const char *part)
{
    const int64_t deadline_ns = (process_now_ms() + API_SOON_MS) * 1000000; /* the same clock */
    rollcall__monitor_lock(&s->monitor);
    bool in_time = true;
    while (strstr(s->log, part) == NULL && in_time) {
        in_time = rollcall__monitor_wait(&s->monitor, deadline_ns);
    }
    rollcall__monitor_unlock(&s->monitor);
    CHECK(in_time);
}

/* Connects with these files instead of what the scene is connected by. */
static void connect_with(struct secured *s, const char *ca, const char *cert, const char *key)
{
    struct rollcall_error error = {0};
    CHECK_INT(rollcall_etcd_close(s->scene.etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(s->scene.runtime), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_INFO,
                                                               .log = keep_line, .log_user = s),
                                      &s->scene.runtime, NULL),
              ROLLCALL_OK);
    const enum rollcall_status status =
        rollcall_etcd_connect(s->scene.runtime,
                              ROLLCALL_ETCD_OPTIONS(.endpoints = s->scene.endpoint, .ca_file = ca,
                                                    .cert_file = cert, .key_file = key),
                              &s->scene.etcd, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

/* kill -9, which breaks every connection, and again with what is on disk by now. */
static void restart(struct secured *s)
{
    etcd_fixture_kill(s->etcd);
    CHECK(etcd_fixture_restart(s->etcd));
}

static void replace(struct secured *s, const char *file, const char *source)
{
    certificates_replace(&s->certificates, file, source, NULL);
}

/* ---- a session that lives through it ---- */

struct living {
    struct rollcall_session *session;
    struct api_session_log log;
    int64_t lease_id;
};

static void live(struct living *l, const struct secured *s)
{
    api_session_log_init(&l->log);
    l->session = api_open(&s->scene, "querynode", 7, TTL_S, &l->log);
    l->lease_id = api_info(l->session).lease_id;
}

/* Both links have their connection back when a list has been answered, and another session has
 * registered: that is a grant and a transaction of the control link. */
static void check_lives(struct living *l, const struct secured *s)
{
    struct api_watch_log listed;
    struct rollcall_session *other = NULL;
    struct rollcall_error error = {0};
    api_watch_log_init(&listed);
    api_list(&s->scene, "querynode", &listed);
    CHECK_INT(api_watch_told(&listed), 1);
    api_watch_log_fini(&listed);
    const enum rollcall_status status = rollcall_session_open(
        s->scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = s->scene.root, .role = "other", .address = "10.0.0.8:1",
                                 .server_id = 8, .connect_timeout_ms = API_SOON_MS),
        &other, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(other, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_info(l->session).lease_id, l->lease_id);
    api_session_check_story(&l->log, "ACTIVE");
}

static void end(struct living *l)
{
    CHECK_INT(rollcall_session_close(l->session, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&l->log);
}

/* ---- threads ---- */

/* The threads of this process whose name begins so. */
static size_t threads_named(const char *name)
{
    char path[300], is[64];
    size_t count = 0;
    DIR *all = opendir("/proc/self/task");
    CHECK(all != NULL);
    for (struct dirent *each = readdir(all); each != NULL; each = readdir(all)) {
        snprintf(path, sizeof path, "/proc/self/task/%.200s/comm", each->d_name);
        FILE *comm = fopen(path, "re"); /* none: it has just ended */
        count += comm != NULL && fgets(is, sizeof is, comm) != NULL &&
                 strncmp(is, name, strlen(name)) == 0;
        if (comm != NULL) {
            fclose(comm);
        }
    }
    closedir(all);
    return count;
}

/* gRPC lets go of its own in its own time. */
static void await_no_thread_named(const char *name)
{
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    while (threads_named(name) != 0 && process_now_ms() < deadline_ms) {
        process_sleep_ms(10);
    }
    CHECK_INT(threads_named(name), 0);
}

/* ---- who is let in ---- */

TEST(tls, a_session_registers_and_is_listed)
{
    struct secured s;
    struct living l;
    secured_open(&s, false);
    start(&s);
    connect_with(&s, s.trust, NULL, NULL);
    live(&l, &s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
}

TEST(tls, a_session_registers_with_a_certificate_of_its_own)
{
    struct secured s;
    struct living l;
    secured_open(&s, true);
    start(&s);
    connect_with(&s, s.trust, s.cert, s.key);
    live(&l, &s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
}

/* ---- who is not ---- */

/* How often etcd had a connection that came to nothing. */
static size_t rejections(const struct secured *s)
{
    size_t count = 0;
    char line[4096];
    FILE *log = fopen(etcd_fixture_log_path(s->etcd), "re");
    CHECK(log != NULL);
    while (fgets(line, sizeof line, log) != NULL) {
        count += strstr(line, "rejected connection") != NULL;
    }
    fclose(log);
    return count;
}

/* Tries for a while; why it failed has to hold all parts. */
static void check_refused(struct secured *s, int64_t timeout_ms, const char *const *parts)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    CHECK_INT(
        rollcall_session_open(s->scene.etcd,
                              ROLLCALL_SESSION_OPTIONS(.root = s->scene.root, .role = "querynode",
                                                       .address = "10.0.0.7:21123", .server_id = 7,
                                                       .connect_timeout_ms = timeout_ms),
                              &session, &error),
        ROLLCALL_E_UNAVAILABLE);
    api_check_contains(error.text, s->scene.endpoint);
    for (; *parts != NULL; parts++) {
        api_check_contains(error.text, *parts);
    }
}

TEST(tls, a_client_without_a_certificate_is_told_that_it_needs_one)
{
    struct secured s;
    secured_open(&s, true);
    start(&s);
    connect_with(&s, s.trust, NULL, NULL);
    check_refused(&s, 1000, (const char *const[]){"cert_file", "key_file", NULL});
    secured_close(&s);
}

TEST(tls, a_client_that_talks_no_tls_is_told_that_it_is_wanted)
{
    struct secured s;
    secured_open(&s, false);
    start(&s);
    connect_with(&s, NULL, NULL, NULL);
    check_refused(&s, 1000, (const char *const[]){"wants TLS (ca_file)", NULL});
    secured_close(&s);
}

/* It must not fill etcd's log either: about one attempt in a second, after the first few, which
 * come faster; gRPC's backoff is 1 s, less a fifth at random. */
TEST(tls, a_server_of_another_authority_is_refused_and_asked_once_a_second)
{
    enum { TRY_MS = 6000, FIRST_FEW = 6 };
    struct secured s;
    secured_open(&s, false);
    start(&s);
    replace(&s, "trust.pem", "new-ca.pem");
    connect_with(&s, s.trust, NULL, NULL);
    check_refused(&s, TRY_MS, (const char *const[]){"certificate verify failed", "ca_file", NULL});
    const size_t attempts = rejections(&s);
    CHECK(attempts >= 1); /* or nothing was counted */
    CHECK(attempts <= FIRST_FEW + TRY_MS * 5 / 4000);
    connect_with(&s, NULL, NULL, NULL);
    await_no_thread_named("FileWatcherCert"); /* what failed is given up, too */
    secured_close(&s);
}

TEST(tls, a_server_whose_certificate_is_over_is_refused)
{
    struct secured s;
    secured_open(&s, false);
    certificates_issue(&s.certificates, "server", "old-ca", "IP:127.0.0.1", -60);
    start(&s);
    connect_with(&s, s.trust, NULL, NULL);
    check_refused(&s, 1000, (const char *const[]){"expired", NULL});
    secured_close(&s);
}

TEST(tls, a_server_whose_certificate_is_for_another_name_is_refused)
{
    struct secured s;
    secured_open(&s, false);
    certificates_issue(&s.certificates, "server", "old-ca", "IP:127.0.0.2,DNS:elsewhere", DAY_S);
    start(&s);
    connect_with(&s, s.trust, NULL, NULL);
    check_refused(&s, 1000, (const char *const[]){"another name", NULL});
    secured_close(&s);
}

/* ---- replaced on disk ---- */

/* E11: the authority is announced first, as it has to be, and then the server's is replaced. */
TEST(tls, a_servers_new_certificate_of_a_new_authority_is_accepted_once_it_is_announced)
{
    struct secured s;
    struct living l;
    secured_open(&s, false);
    start(&s);
    connect_with(&s, s.trust, NULL, NULL);
    live(&l, &s);
    certificates_replace(&s.certificates, "trust.pem", "old-ca.pem", "new-ca.pem");
    await_log(&s, "were replaced");
    replace(&s, "server.pem", "new-server.pem");
    replace(&s, "server.key", "new-server.key");
    restart(&s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
}

/* E11: etcd accepts nothing but the new one, so that is what it saw. */
TEST(tls, a_clients_new_certificate_is_what_the_next_connection_is_made_with)
{
    struct secured s;
    struct living l;
    secured_open(&s, true);
    start(&s);
    connect_with(&s, s.trust, s.cert, s.key);
    live(&l, &s);
    replace(&s, "client.pem", "new-client.pem");
    replace(&s, "client.key", "new-client.key");
    replace(&s, "clients.pem", "new-ca.pem");
    restart(&s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
}

/* Between the two, and while one is gone, the pair before them is as good as ever. */
TEST(tls, files_that_do_not_fit_are_told_and_wait_until_they_do)
{
    struct secured s;
    struct living l;
    secured_open(&s, true);
    start(&s);
    connect_with(&s, s.trust, s.cert, s.key);
    live(&l, &s);
    replace(&s, "client.pem", "new-client.pem");
    await_log(&s, "is not the key of cert_file");
    restart(&s);
    check_lives(&l, &s);
    CHECK_INT(unlink(s.trust), 0);
    await_log(&s, "cannot open ca_file");
    restart(&s);
    check_lives(&l, &s);
    replace(&s, "trust.pem", "old-ca.pem");
    replace(&s, "client.key", "new-client.key");
    await_log(&s, "were replaced");
    replace(&s, "clients.pem", "new-ca.pem");
    restart(&s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
}

/* ---- where the files are ---- */

/* A link that is pointed elsewhere is how a volume of secrets is replaced; and a daemon changes its
 * folder once it has started. */
TEST(tls, a_link_in_a_relative_path_is_followed_anew_wherever_the_process_is_by_then)
{
    char link[HERE_BYTES], fresh[HERE_BYTES];
    struct secured s;
    const int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    secured_open(&s, false);
    CHECK_INT(symlink("old-ca.pem", certificates_path(&s.certificates, "current", link)), 0);
    CHECK_INT(symlink("new-ca.pem", certificates_path(&s.certificates, "fresh", fresh)), 0);
    api_scene_open(&s.scene, "127.0.0.1:1"); /* nobody is asked */
    CHECK_INT(chdir(s.certificates.folder), 0);
    connect_with(&s, "current", NULL, NULL);
    CHECK_INT(fchdir(before), 0);
    CHECK_INT(rename(fresh, link), 0);
    await_log(&s, "were replaced");
    api_scene_close(&s.scene);
    certificates_close(&s.certificates);
    rollcall__monitor_fini(&s.monitor);
    close(before);
}

/* The files in memory that gRPC is given; with `part` in them. */
static size_t files_that_hold(const char *part)
{
    char path[300], target[300], text[8192];
    size_t count = 0;
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    for (struct dirent *each = readdir(all); each != NULL; each = readdir(all)) {
        memset(target, 0, sizeof target);
        memset(text, 0, sizeof text);
        snprintf(path, sizeof path, "/proc/self/fd/%.200s", each->d_name);
        if (readlink(path, target, sizeof target - 1) > 0 &&
            strncmp(target, "/memfd:rollcall-tls", strlen("/memfd:rollcall-tls")) == 0) {
            FILE *file = fopen(path, "re");
            CHECK(file != NULL);
            CHECK(fread(text, 1, sizeof text - 1, file) < sizeof text - 1);
            count += strstr(text, part) != NULL;
            fclose(file);
        }
    }
    closedir(all);
    return count;
}

static size_t files_in_memory(void)
{
    return files_that_hold("");
}

static size_t keys_in_memory(void)
{
    return files_that_hold("PRIVATE KEY");
}

/* The files are kept, for the next connection, but not what they held. */
TEST(tls, a_connection_that_was_closed_leaves_no_thread_and_no_key)
{
    struct secured s;
    struct living l;
    secured_open(&s, true);
    start(&s);
    for (int i = 0; i < 3; i++) {
        connect_with(&s, s.trust, s.cert, s.key);
        live(&l, &s);
        CHECK_INT(threads_named("rc-etcd-files"), 1);
        CHECK_INT(files_in_memory(), 2);
        CHECK_INT(keys_in_memory(), 1);
        end(&l);
        connect_with(&s, NULL, NULL, NULL);
        CHECK_INT(threads_named("rc-etcd-files"), 0);
        CHECK_INT(files_in_memory(), 2);
        CHECK_INT(keys_in_memory(), 0);
        await_no_thread_named("FileWatcherCert");
    }
    secured_close(&s);
}

/* What a shell's <(...) gives: it is empty once it was read, and is not looked at again. */
TEST(tls, an_authority_from_a_pipe_is_read_once)
{
    char text[8192], path[64];
    int ends[2];
    struct secured s;
    struct living l;
    secured_open(&s, false);
    start(&s);
    FILE *file = fopen(s.trust, "re");
    const size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], text, size), size);
    close(ends[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    connect_with(&s, path, NULL, NULL);
    CHECK_INT(threads_named("rc-etcd-files"), 0);
    live(&l, &s);
    restart(&s);
    check_lives(&l, &s);
    end(&l);
    secured_close(&s);
    close(ends[0]);
}

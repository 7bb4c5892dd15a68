/*
 * Crash sentinels of an etcd that talks TLS and wants certificates, and of one that wants a user:
 * what they are told of both, and that it is enough.
 */
#include "support/certificates.h"
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/sentinel.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { SOON_MS = 10000, END_MS = 5000, DAY_S = 86400, WORDS = 24 };

/* How the command is to reach etcd, by files in a folder that it is started in. */
struct secured {
    struct certificates files;
    const char *options[8]; /* then NULL */
    struct etcd_fixture *etcd;
    struct command_scene scene;
    struct process watcher, owner;
};

/* `words`, NULL at the end, and how etcd is reached. */
static void start(const struct secured *s, struct process *process, const char *const *words)
{
    const char *arguments[WORDS] = {ROLLCALL_TEST_COMMAND};
    size_t count = 1;
    for (; *words != NULL; words++) {
        arguments[count++] = *words;
    }
    for (size_t i = 0; s->options[i] != NULL; i++) {
        arguments[count++] = s->options[i];
    }
    const char *const reach[] = {"--endpoints", s->scene.endpoint, "--root", s->scene.root};
    for (size_t i = 0; i < 4; i++) {
        arguments[count++] = reach[i];
    }
    CHECK(count < WORDS);
    const struct process_options options = {
        .arguments = arguments, .folder = s->files.folder, .without_prefix = "ETCDCTL_"};
    CHECK(process_start(process, &options));
}

/* The key of an owner that is killed is seen to go, long before its TTL is over. */
static pid_t start_owner(struct secured *s)
{
    start(s, &s->watcher, (const char *const[]){"watch", "querynode", "-o", "json", NULL});
    command_await(&s->watcher, "snapshot_end");
    start(s, &s->owner,
          (const char *const[]){"register", "querynode", "--address", "h:1", "--ttl", "30",
                                "--sentinel", "--log-level", "info", "-o", "json", NULL});
    command_await(&s->owner, "\"state\":\"ACTIVE\"");
    command_await(&s->watcher, "\"event\":\"add\"");
    return sentinel_await_ready(&s->owner);
}

static void check_crash(struct secured *s, pid_t sentinel)
{
    process_signal(&s->owner, SIGKILL);
    CHECK(process_wait_for(&s->watcher, "\"event\":\"delete\"", SOON_MS));
    CHECK(sentinel_await_end(sentinel, END_MS));
}

static void close_secured(struct secured *s)
{
    process_destroy(&s->owner);
    process_destroy(&s->watcher);
    etcd_fixture_destroy(s->etcd);
    certificates_close(&s->files);
}

/* ---- TLS ---- */

TEST(sentinel_secured, with_certificates_that_were_given_by_a_relative_path)
{
    struct secured s = {
        .options = {"--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"}};
    char cert[CERTIFICATES_PATH_BYTES], key[CERTIFICATES_PATH_BYTES], ca[CERTIFICATES_PATH_BYTES];
    certificates_open(&s.files);
    certificates_authority(&s.files, "ca");
    certificates_issue(&s.files, "server", "ca", "IP:127.0.0.1", DAY_S);
    certificates_issue(&s.files, "client", "ca", "DNS:client", DAY_S);
    const char *const arguments[] = {"--cert-file",
                                     certificates_path(&s.files, "server.pem", cert),
                                     "--key-file",
                                     certificates_path(&s.files, "server.key", key),
                                     "--client-cert-auth",
                                     "--trusted-ca-file",
                                     certificates_path(&s.files, "ca.pem", ca),
                                     NULL};
    for (int i = 0; i < 10 && s.etcd == NULL; i++) { /* else somebody has taken the port */
        s.etcd = etcd_fixture_prepare(arguments);
        CHECK(s.etcd != NULL && etcd_fixture_use_tls(s.etcd) && etcd_fixture_start(s.etcd));
        if (!etcd_fixture_await(s.etcd)) {
            etcd_fixture_destroy(s.etcd);
            s.etcd = NULL;
        }
    }
    CHECK(s.etcd != NULL);
    s.scene = command_scene_create(etcd_fixture_endpoint(s.etcd));
    check_crash(&s, start_owner(&s));
    close_secured(&s);
}

/* ---- a user ---- */

/* Whether a file of /proc/PID holds `part`. */
static bool says(pid_t pid, const char *file, const char *part)
{
    char path[64], text[65536];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = read(fd, text, sizeof text);
    CHECK(fd >= 0 && size > 0);
    close(fd);
    return memmem(text, (size_t)size, part, strlen(part)) != NULL;
}

static void open_guarded(struct secured *s)
{
    static const char *const cheap_passwords[] = {"--bcrypt-cost=4", NULL};
    certificates_open(&s->files);
    certificates_write(&s->files, "password", "root-pw\n");
    s->etcd = etcd_fixture_create(cheap_passwords);
    CHECK(s->etcd != NULL);
    s->scene = command_scene_create(etcd_fixture_endpoint(s->etcd));
    command_etcdctl(&s->scene, "etcdctl user add root:root-pw && etcdctl role add root && "
                               "etcdctl user grant-role root root && etcdctl auth enable");
}

TEST(sentinel_secured, with_a_user_whose_password_shows_nowhere)
{
    struct secured s = {.options = {"--user", "root", "--password-file", "password"}};
    open_guarded(&s);
    const pid_t sentinel = start_owner(&s);
    CHECK(says(sentinel, "cmdline", "sentinel"));
    CHECK(!says(sentinel, "cmdline", "root-pw"));
    CHECK(!says(sentinel, "environ", "root-pw"));
    check_crash(&s, sentinel);
    close_secured(&s);
}

TEST(sentinel_secured, with_a_user_that_etcd_has_forgotten_it_logs_in_again)
{
    struct secured s = {.options = {"--user", "root", "--password-file", "password"}};
    open_guarded(&s);
    const pid_t sentinel = start_owner(&s);
    etcd_fixture_kill(s.etcd); /* and with it all tokens */
    CHECK(etcd_fixture_restart(s.etcd));
    check_crash(&s, sentinel);
    close_secured(&s);
}

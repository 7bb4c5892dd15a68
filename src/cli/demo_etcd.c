#include "cli/demo_etcd.h"

#include "cli/demo_environment.h"
#include "cli/demo_port.h"
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 50, READY_WITHIN_MS = 30000, PORT_ATTEMPTS = 4 };

static enum rollcall_status find_program(struct cli_demo_etcd *etcd, struct rollcall_error *error)
{
    const char *at = getenv("PATH");
    while (at != NULL) {
        const char *colon = strchr(at, ':');
        const int size = colon == NULL ? (int)strlen(at) : (int)(colon - at);
        const int written = snprintf(etcd->program, sizeof etcd->program, "%.*s%setcd", size, at,
                                     size == 0 ? "./" : "/");
        struct stat file;
        if (written < (int)sizeof etcd->program && stat(etcd->program, &file) == 0 &&
            S_ISREG(file.st_mode) && access(etcd->program, X_OK) == 0) {
            return ROLLCALL_OK;
        }
        at = colon == NULL ? NULL : colon + 1;
    }
    return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                              "there is no etcd on PATH: install etcd 3.4 or later and try again");
}

static enum rollcall_status make_directory(struct cli_demo_etcd *etcd, struct rollcall_error *error)
{
    const char *parent = getenv("TMPDIR");
    parent = parent == NULL || parent[0] == '\0' ? "/tmp" : parent;
    char path[CLI_DEMO_PATH_BYTES - 16]; /* room for the names inside */
    const int size = snprintf(path, sizeof path, "%s/rollcall-demo-XXXXXX", parent);
    if (size >= (int)sizeof path || mkdtemp(path) == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "no temporary directory in %.100s (%s): set TMPDIR to a place "
                                  "that can be written to",
                                  parent, strerror(errno));
    }
    snprintf(etcd->directory, sizeof etcd->directory, "%s", path);
    return ROLLCALL_OK;
}

/* In the child, between fork and exec: only what a child of many threads may call. */
static _Noreturn void become_etcd(const struct cli_demo_etcd *etcd, pid_t parent, int log,
                                  char *const *arguments, char *const *environment)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C in the terminal is for us, who end it in order */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nothing = open("/dev/null", O_RDONLY);
    if (getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
        dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0) {
        execve(etcd->program, arguments, environment);
    }
    _exit(127);
}

static pid_t fork_etcd(const struct cli_demo_etcd *etcd, int log, char *const *environment)
{
    char data[CLI_DEMO_PATH_BYTES], client[64], peer[64], cluster[80];
    snprintf(data, sizeof data, "%.1000s/data", etcd->directory);
    snprintf(client, sizeof client, "http://127.0.0.1:%d", etcd->client_port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", etcd->peer_port);
    snprintf(cluster, sizeof cluster, "demo=%s", peer);
    const char *const arguments[] = {"etcd",  "--name",
                                     "demo",  "--data-dir",
                                     data,    "--listen-client-urls",
                                     client,  "--advertise-client-urls",
                                     client,  "--listen-peer-urls",
                                     peer,    "--initial-advertise-peer-urls",
                                     peer,    "--initial-cluster",
                                     cluster, NULL};
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child == 0) {
        become_etcd(etcd, parent, log, (char *const *)arguments, environment);
    }
    return child;
}

static enum rollcall_status start(struct cli_demo_etcd *etcd, struct rollcall_error *error)
{
    char path[CLI_DEMO_PATH_BYTES];
    snprintf(path, sizeof path, "%.1000s/log", etcd->directory);
    const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char **environment = cli_demo_environment();
    pid_t child = -1;
    if (log >= 0 && environment != NULL) {
        child = fork_etcd(etcd, log, environment);
    }
    const int failure = errno;
    free(environment);
    if (log >= 0) {
        close(log);
    }
    if (child < 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "%.200s cannot be started: %s",
                                  etcd->program, strerror(failure));
    }
    etcd->pid = child;
    return ROLLCALL_OK;
}

/* The last line etcd logged, for the person who wants to know why it ended. */
static void last_words(const struct cli_demo_etcd *etcd, char words[], size_t words_size)
{
    char path[CLI_DEMO_PATH_BYTES], line[512];
    snprintf(path, sizeof path, "%.1000s/log", etcd->directory);
    snprintf(words, words_size, "it said nothing");
    FILE *log = fopen(path, "re");
    while (log != NULL && fgets(line, sizeof line, log) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(words, words_size, "%.*s", (int)words_size - 1, line);
    }
    if (log != NULL) {
        fclose(log);
    }
}

static bool has_ended(struct cli_demo_etcd *etcd)
{
    if (etcd->pid != 0 && waitpid(etcd->pid, NULL, WNOHANG) == etcd->pid) {
        etcd->pid = 0;
    }
    return etcd->pid == 0;
}

/* Sleeps; true when a signal came before the time was over. */
static bool interrupted_within(int timeout_ms)
{
    struct pollfd fd = {.fd = cli_interrupt_fd(), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

/* Waits until this etcd, and no other process, listens on its port. */
static enum rollcall_status wait_until_it_listens(struct cli_demo_etcd *etcd,
                                                  struct rollcall_error *error)
{
    for (int waited_ms = 0; waited_ms < READY_WITHIN_MS; waited_ms += LOOK_EVERY_MS) {
        if (has_ended(etcd)) {
            char words[128];
            last_words(etcd, words, sizeof words);
            return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "etcd ended at once: %s", words);
        }
        if (cli_demo_port_is_owned(etcd->client_port, etcd->pid)) {
            return ROLLCALL_OK;
        }
        if (interrupted_within(LOOK_EVERY_MS)) {
            return rollcall_error_set(error, ROLLCALL_E_STOPPED, "interrupted");
        }
    }
    return rollcall_error_set(error, ROLLCALL_E_TIMEOUT,
                              "etcd does not listen on %s after %d s: is this machine overloaded?",
                              etcd->endpoint, READY_WITHIN_MS / 1000);
}

enum rollcall_status cli_demo_etcd_restart(struct cli_demo_etcd *etcd, struct rollcall_error *error)
{
    const enum rollcall_status status = start(etcd, error);
    return status == ROLLCALL_OK ? wait_until_it_listens(etcd, error) : status;
}

enum rollcall_status cli_demo_etcd_create(struct cli_demo_etcd *etcd, struct rollcall_error *error)
{
    *etcd = (struct cli_demo_etcd){0};
    enum rollcall_status status = find_program(etcd, error);
    status = status == ROLLCALL_OK ? make_directory(etcd, error) : status;
    /* Somebody may take a port between our look and etcd's: then etcd ends, and we try others. */
    for (int attempt = 0; status == ROLLCALL_OK && attempt < PORT_ATTEMPTS; attempt++) {
        etcd->client_port = cli_demo_port_pair(attempt);
        etcd->peer_port = etcd->client_port + 1;
        if (etcd->client_port == 0) {
            return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                      "no free loopback port from 20000 to 32000: free some");
        }
        snprintf(etcd->endpoint, sizeof etcd->endpoint, "127.0.0.1:%d", etcd->client_port);
        status = cli_demo_etcd_restart(etcd, error);
        if (status == ROLLCALL_OK || etcd->pid != 0) {
            return status;
        }
        status = attempt + 1 < PORT_ATTEMPTS ? ROLLCALL_OK : status;
    }
    return status;
}

void cli_demo_etcd_kill(struct cli_demo_etcd *etcd)
{
    if (etcd->pid != 0) {
        kill(etcd->pid, SIGKILL);
        while (waitpid(etcd->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        etcd->pid = 0;
    }
}

static int remove_entry(const char *path, const struct stat *file, int type, struct FTW *place)
{
    (void)file;
    (void)type;
    (void)place;
    remove(path);
    return 0; /* what cannot be removed does not keep the rest */
}

void cli_demo_etcd_destroy(struct cli_demo_etcd *etcd)
{
    cli_demo_etcd_kill(etcd); /* its data is thrown away: there is nothing to end in order */
    if (etcd->directory[0] != '\0') {
        nftw(etcd->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        etcd->directory[0] = '\0';
    }
}

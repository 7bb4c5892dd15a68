#include "cli/demo_coordinator.h"

#include "cli/demo_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child, between fork and exec: only what a child of many threads may call. */
static _Noreturn void become(pid_t parent, int out, char *const *arguments,
                             char *const *environment)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    sigset_t none;
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        signal(caught[i], SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C in the terminal is for us, who end it in order */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nothing = open("/dev/null", O_RDWR);
    if (getppid() == parent && nothing >= 0 && dup2(nothing, STDIN_FILENO) >= 0 &&
        dup2(out, STDOUT_FILENO) >= 0 && dup2(nothing, STDERR_FILENO) >= 0) {
        execve("/proc/self/exe", arguments, environment);
    }
    _exit(127);
}

/* With all signals blocked, so that none finds our handlers in the child. */
static pid_t fork_child(int out, char *const *arguments, char *const *environment)
{
    const pid_t parent = getpid();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t child = fork();
    if (child == 0) {
        become(parent, out, arguments, environment);
    }
    const int failure = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failure;
    return child;
}

enum rollcall_status cli_demo_coordinator_start(struct cli_demo_coordinator *coordinator,
                                                const char *endpoint, const char *address,
                                                int ttl_s, struct rollcall_error *error)
{
    char ttl[16];
    snprintf(ttl, sizeof ttl, "%d", ttl_s);
    const char *const arguments[] = {
        "rollcall", "register", "rootcoord", "--standby", "--endpoints", endpoint, "--address",
        address,    "--ttl",    ttl,         "-o",        "json",        NULL};
    char **environment = cli_demo_environment();
    int ends[2] = {-1, -1};
    pid_t child = -1;
    if (environment != NULL && pipe2(ends, O_CLOEXEC) == 0) {
        child = fork_child(ends[1], (char *const *)arguments, environment);
    }
    const int failure = errno;
    free(environment);
    if (ends[1] >= 0) {
        close(ends[1]);
    }
    coordinator->out = ends[0];
    if (child < 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "%s cannot be started: %s",
                                  coordinator->name, strerror(failure));
    }
    coordinator->pid = child;
    return ROLLCALL_OK;
}

static bool says(const char *line, const char *part)
{
    return strstr(line, part) != NULL;
}

/* The objects are those of cmd_register.c. */
static void sum_up(struct cli_demo_coordinator *coordinator, const char *line, char what[],
                   size_t what_size)
{
    what[0] = '\0';
    if (says(line, "{\"event\":\"role\"")) {
        const char *token = strstr(line, "\"token\":");
        coordinator->stands = true;
        coordinator->role =
            says(line, "\"role\":\"ACTIVE\"") ? ROLLCALL_ROLE_ACTIVE : ROLLCALL_ROLE_STANDBY;
        if (coordinator->role == ROLLCALL_ROLE_ACTIVE && token != NULL) {
            coordinator->token = strtoll(token + strlen("\"token\":"), NULL, 10);
            snprintf(what, what_size, "ACTIVE      in its role, token %" PRId64,
                     coordinator->token);
        } else {
            snprintf(what, what_size, "STANDBY     in its role");
        }
    } else if (says(line, "{\"event\":\"state\"")) {
        coordinator->suspect = says(line, "\"state\":\"SUSPECT\"");
    }
}

/* Returns false when there is nothing to be read without waiting. */
static bool read_more(struct cli_demo_coordinator *coordinator)
{
    struct pollfd one = {.fd = coordinator->out, .events = POLLIN};
    const size_t room = sizeof coordinator->text - 1 - coordinator->size_bytes;
    if (coordinator->out < 0 || poll(&one, 1, 0) != 1) {
        return false;
    }
    const ssize_t size = read(coordinator->out, coordinator->text + coordinator->size_bytes, room);
    if (size <= 0) { /* also when a line is longer than any of ours: there is no room */
        close(coordinator->out);
        coordinator->out = -1;
        return false;
    }
    coordinator->size_bytes += (size_t)size;
    return true;
}

bool cli_demo_coordinator_take(struct cli_demo_coordinator *coordinator, char what[],
                               size_t what_size)
{
    char *text = coordinator->text, *newline;
    while ((newline = memchr(text, '\n', coordinator->size_bytes)) == NULL) {
        if (!read_more(coordinator)) {
            return false;
        }
    }
    *newline = '\0';
    sum_up(coordinator, text, what, what_size);
    coordinator->size_bytes -= (size_t)(newline + 1 - text);
    memmove(text, newline + 1, coordinator->size_bytes);
    return true;
}

void cli_demo_coordinator_stop(const struct cli_demo_coordinator *coordinator)
{
    if (coordinator->pid != 0) {
        kill(coordinator->pid, SIGTERM);
    }
}

void cli_demo_coordinator_kill(struct cli_demo_coordinator *coordinator)
{
    if (coordinator->pid != 0) {
        kill(coordinator->pid, SIGKILL);
        while (waitpid(coordinator->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        coordinator->pid = 0;
    }
    if (coordinator->out >= 0) {
        close(coordinator->out);
        coordinator->out = -1;
    }
}

/*
 * tests/support/etcd_run.c - runs a command with a private etcd beside it:
 *     etcd_run COMMAND ARGUMENT...
 * The command finds the etcd in ROLLCALL_TEST_ETCD=HOST:PORT.  Ends with the command's exit status.
 * However it ends, by itself, by a signal, or with this program, etcd ends and its data goes.
 */
#include "support/etcd_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a group of its own, so that a signal can reach everything it has started. */
static pid_t start_command(char **arguments, const sigset_t *mask)
{
    const pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGINT, SIG_DFL); /* a background job of a shell is born deaf to it */
        sigprocmask(SIG_SETMASK, mask, NULL);
        execvp(arguments[0], arguments);
        fprintf(stderr, "etcd_run: %s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    return child;
}

/* Waits for the command; a signal to us ends its whole group, the second time without mercy. */
static int wait_command(pid_t child, const sigset_t *awaited)
{
    int signals = 0;
    for (;;) {
        int number = 0, status = 0;
        if (sigwait(awaited, &number) != 0) {
            return 1;
        }
        if (number != SIGCHLD) {
            kill(-child, signals++ == 0 ? SIGTERM : SIGKILL);
        } else if (waitpid(child, &status, WNOHANG) == child) {
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: etcd_run COMMAND ARGUMENT...\n");
        return 2;
    }
    sigset_t awaited, before;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGCHLD);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGHUP);
    sigprocmask(SIG_BLOCK, &awaited, &before);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    if (etcd == NULL) {
        fprintf(stderr, "etcd_run: etcd could not be started: is it on PATH?\n");
        return 1;
    }
    setenv("ROLLCALL_TEST_ETCD", etcd_fixture_endpoint(etcd), 1);
    const pid_t child = start_command(argv + 1, &before);
    const int status = child > 0 ? wait_command(child, &awaited) : 1;
    if (child > 0) {
        kill(-child, SIGKILL); /* what the command left behind */
    }
    etcd_fixture_destroy(etcd);
    return status;
}

/*
 * Between fork and exec the child of many threads may do very little: system calls only.  gRPC is
 * not touched there.  Signals are blocked meanwhile, so that none finds our handlers in the child.
 * The child says through a pipe why it could not become the program; exec closes the pipe.
 */
#include "cli/child.h"

#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child needs to become the program. */
struct birth {
    char *const *command;
    char **environment; /* the array is ours to free, the strings are not */
    int failure[2];     /* a pipe: errno, when there is no program to become */
    sigset_t mask;      /* of signals, as it was before we blocked all */
    pid_t parent;
    int death_signal; /* that the kernel sends it when we die */
};

static size_t count_of(char *const *strings)
{
    size_t count = 0;
    while (strings[count] != NULL) {
        count++;
    }
    return count;
}

static bool is_replaced(const char *variable, const char *const *by)
{
    const size_t name_bytes = strcspn(variable, "=") + 1;
    for (; *by != NULL; by++) {
        if (strncmp(variable, *by, name_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* Ours, and `variables` instead of what they replace; NULL: out of memory. */
static char **make_environment(const char *const *variables)
{
    char *const *more = (char *const *)variables; /* exec does not write to them */
    char **made = calloc(count_of(environ) + count_of(more) + 1, sizeof *made);
    size_t count = 0;
    for (char **each = environ; made != NULL && *each != NULL; each++) {
        if (!is_replaced(*each, variables)) {
            made[count++] = *each;
        }
    }
    for (; made != NULL && *more != NULL; more++) {
        made[count++] = *more;
    }
    return made;
}

/* exec would forget them by itself, but until then they would write into the pipes that the child
 * shares with us. */
static void forget_handlers(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction old;
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        if (sigaction(caught[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            signal(caught[i], SIG_DFL);
        }
    }
    signal(SIGPIPE, SIG_DFL); /* ignored by us alone */
}

/* In the child. */
static _Noreturn void become(const struct birth *birth)
{
    forget_handlers();
    if (prctl(PR_SET_PDEATHSIG, birth->death_signal) == 0 && getppid() == birth->parent &&
        sigprocmask(SIG_SETMASK, &birth->mask, NULL) == 0) {
        execvpe(birth->command[0], birth->command, birth->environment);
    }
    const int why = errno;
    const ssize_t told = write(birth->failure[1], &why, sizeof why);
    _exit(told == (ssize_t)sizeof why ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_RUN);
}

static pid_t fork_child(struct birth *birth)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &birth->mask);
    const pid_t pid = fork();
    if (pid == 0) {
        become(birth);
    }
    const int failure = errno;
    pthread_sigmask(SIG_SETMASK, &birth->mask, NULL);
    errno = failure;
    return pid;
}

/* Why the child did not become the program; 0: it did. */
static int read_failure(int fd)
{
    int why = 0;
    ssize_t size;
    do {
        size = read(fd, &why, sizeof why);
    } while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof why ? why : 0;
}

static void note_end(struct cli_child *child, int status)
{
    child->exit_code =
        WIFSIGNALED(status) ? CLI_EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    child->pid = 0;
    if (child->fd >= 0) {
        close(child->fd);
        child->fd = -1;
    }
}

static void collect(struct cli_child *child)
{
    int status = 0;
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR) {
    }
    note_end(child, status);
}

static enum rollcall_status fail(struct rollcall_error *error, const char *name, int why)
{
    return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "%.200s cannot be run: %s", name,
                              strerror(why));
}

/* The parent's half; the write end of the pipe is closed here, for its end is what we read. */
static enum rollcall_status bear(struct cli_child *child, struct birth *birth,
                                 struct rollcall_error *error)
{
    const char *name = birth->command[0];
    child->pid = fork_child(birth);
    int why = child->pid < 0 ? errno : 0;
    close(birth->failure[1]);
    if (child->pid < 0) {
        child->pid = 0;
        return fail(error, name, why);
    }
    why = read_failure(birth->failure[0]);
    if (why != 0) {
        collect(child);
        child->exit_code = why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_RUN;
        return fail(error, name, why);
    }
    child->fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    if (child->fd < 0) {
        why = errno;
        kill(child->pid, SIGKILL);
        collect(child);
        child->exit_code = CLI_EXIT_CANNOT_RUN;
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "%.200s cannot be waited for: %s; Linux 5.3 or later is needed",
                                  name, strerror(why));
    }
    return ROLLCALL_OK;
}

enum rollcall_status cli_child_start_bound(struct cli_child *child, char *const *command,
                                           const char *const *variables, int death_signal,
                                           struct rollcall_error *error)
{
    struct birth birth = {.command = command,
                          .environment = make_environment(variables),
                          .parent = getpid(),
                          .death_signal = death_signal};
    enum rollcall_status status;
    *child = (struct cli_child){.fd = -1, .exit_code = CLI_EXIT_CANNOT_RUN};
    signal(SIGCHLD, SIG_DFL); /* whoever started us may ignore it, and no status would be kept */
    if (birth.environment == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "%.200s cannot be run: no memory",
                                  command[0]);
    }
    if (pipe2(birth.failure, O_CLOEXEC) != 0) {
        status = fail(error, command[0], errno);
    } else {
        status = bear(child, &birth, error);
        close(birth.failure[0]);
    }
    free(birth.environment);
    if (status == ROLLCALL_OK) {
        child->exit_code = CLI_EXIT_DONE;
    }
    return status;
}

enum rollcall_status cli_child_start(struct cli_child *child, char *const *command,
                                     const char *const *variables, struct rollcall_error *error)
{
    return cli_child_start_bound(child, command, variables, SIGTERM, error);
}

void cli_child_signal(const struct cli_child *child, int number)
{
    if (child->pid != 0) {
        kill(child->pid, number); /* not collected yet, so it can be no stranger */
    }
}

bool cli_child_runs(struct cli_child *child)
{
    int status = 0;
    if (child->pid != 0 && waitpid(child->pid, &status, WNOHANG) == child->pid) {
        note_end(child, status);
    }
    return child->pid != 0;
}

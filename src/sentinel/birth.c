/*
 * We begin a child, which begins the sentinel and ends; so the sentinel is an orphan, and the
 * child, which has no signal to send at its end, is ours alone to collect.
 *
 * Both share our memory until the one has ended and the other has become its program, and the
 * calling thread sleeps until then (CLONE_VM, CLONE_VFORK), as posix_spawn does it.  So nothing is
 * copied, however large we are, no handler of pthread_atfork is called, gRPC's among them, and no
 * lock that another thread has matters: between clone and exec there are system calls only, made by
 * number, for what a sanitizer or somebody else puts around the C library's own would act on memory
 * that is ours.  Signals are blocked, so that no handler of ours runs there.  That is safe with any
 * number of threads, before gRPC has started and after.
 */
#include "sentinel/birth.h"

#include "base/memory.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024, LIFTED_MIN = 16, CHILD_FAILED = 127 };

extern char **environ;

/* clone of the C library, by the name that no sanitizer stands in front of: they take the child for
 * one that has a copy of our memory. */
int __clone(int (*run)(void *argument), void *stack, int flags, void *argument, ...);

struct birth {
    const char *path;
    char *const *words;
    char *const *environment;
    int files[ROLLCALL__SENTINEL_FILES]; /* ours, by what their numbers are to be; -1: /dev/null */
    char *sentinel_stack;                /* where it ends: stacks grow down */
    volatile int failure;                /* errno, when the sentinel is not there */
};

#define SHARES_OUR_MEMORY __attribute__((no_sanitize("address", "thread", "undefined")))

/* Every file of ours gets a number that none of the new ones has, then each its own. */
SHARES_OUR_MEMORY static bool arrange_files(const struct birth *birth)
{
    long lifted[ROLLCALL__SENTINEL_FILES];
    for (int i = 0; i < ROLLCALL__SENTINEL_FILES; i++) {
        const long fd = birth->files[i] >= 0
                            ? birth->files[i]
                            : syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
        lifted[i] = fd < 0 ? -1 : syscall(SYS_fcntl, fd, F_DUPFD, LIFTED_MIN);
        if (lifted[i] < 0) {
            return false;
        }
    }
    for (int i = 0; i < ROLLCALL__SENTINEL_FILES; i++) {
        if (syscall(SYS_dup3, lifted[i], i, 0) < 0) {
            return false;
        }
    }
    return true;
}

/* What is not marked to be closed on exec, too. */
SHARES_OUR_MEMORY static void close_the_rest(void)
{
    struct rlimit limit;
    if (syscall(SYS_close_range, ROLLCALL__SENTINEL_FILES, ~0U, 0) == 0 ||
        syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) != 0) {
        return;
    }
    for (rlim_t fd = ROLLCALL__SENTINEL_FILES; fd < limit.rlim_cur; fd++) { /* before Linux 5.9 */
        syscall(SYS_close, fd);
    }
}

SHARES_OUR_MEMORY static int become_sentinel(void *argument)
{
    struct birth *birth = argument;
    if (arrange_files(birth) && syscall(SYS_setsid) >= 0 && syscall(SYS_chdir, "/") == 0) {
        close_the_rest();
        syscall(SYS_execve, birth->path, birth->words, birth->environment);
    }
    birth->failure = errno;
    syscall(SYS_exit_group, CHILD_FAILED);
    return CHILD_FAILED;
}

SHARES_OUR_MEMORY static int begin_sentinel(void *argument)
{
    struct birth *birth = argument;
    if (__clone(become_sentinel, birth->sentinel_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, birth) <
        0) {
        birth->failure = errno;
    }
    syscall(SYS_exit_group, 0);
    return 0;
}

/* Returns errno; 0: the sentinel runs. */
static int bear(struct birth *birth, char *child_stack)
{
    sigset_t before;
    rollcall__thread_block_signals(&before);
    const pid_t child = __clone(begin_sentinel, child_stack, CLONE_VM | CLONE_VFORK, birth);
    if (child < 0) {
        birth->failure = errno;
    }
    while (child > 0 && waitpid(child, NULL, __WALL) < 0 && errno == EINTR) {
    }
    rollcall__thread_take_signals(&before);
    return birth->failure;
}

static enum rollcall_status say(const char *path, int failure, struct rollcall_error *error)
{
    const bool theirs = failure == ENOENT || failure == EACCES || failure == ENOEXEC ||
                        failure == ENOTDIR || failure == ELOOP || failure == EISDIR;
    return rollcall_error_set(error, theirs ? ROLLCALL_E_INVALID : ROLLCALL_E_SYSTEM,
                              "the sentinel %.300s cannot be run: %s%s", path, strerror(failure),
                              theirs ? ": give the path of the program rollcall" : "");
}

enum rollcall_status rollcall__sentinel_birth(const char *path,
                                              const struct rollcall__sentinel_files *files,
                                              struct rollcall_error *error)
{
    char pid[16], name[] = "sentinel", *stacks = rollcall__allocate((size_t)2 * STACK_BYTES);
    char *const words[] = {(char *)(uintptr_t)path, name, pid, NULL}; /* exec does not write */
    if (stacks == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a sentinel");
    }
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    struct birth birth = {.path = path,
                          .words = words,
                          .environment = environ,
                          .files = {[STDIN_FILENO] = -1,
                                    [STDOUT_FILENO] = -1,
                                    [STDERR_FILENO] = -1,
                                    [ROLLCALL__SENTINEL_LEDGER_FD] = files->ledger,
                                    [ROLLCALL__SENTINEL_SOCKET_FD] = files->socket,
                                    [ROLLCALL__SENTINEL_OWNER_FD] = files->owner},
                          .sentinel_stack = stacks + (size_t)2 * STACK_BYTES};
    const int failure = bear(&birth, stacks + STACK_BYTES);
    free(stacks);
    return failure == 0 ? ROLLCALL_OK : say(path, failure, error);
}

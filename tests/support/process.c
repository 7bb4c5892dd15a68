/*
 * tests/support/process.c - see process.h.  The child is watched through a pid file descriptor, so
 * its end wakes the same poll as its output, even when a grandchild holds the pipes open.
 */
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { KILL_WAIT_MS = 10000 }; /* how long the kernel may take to end a killed process */

int64_t process_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void process_sleep_ms(int64_t duration_ms)
{
    struct timespec left = {.tv_sec = duration_ms / 1000,
                            .tv_nsec = (duration_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static bool say(const char *what)
{
    fprintf(stderr, "process: %s: %s\n", what, strerror(errno));
    return false;
}

/* ---- starting ---- */

static bool is_replaced(const char *variable, const struct process_options *options)
{
    if (options->without_prefix != NULL &&
        strncmp(variable, options->without_prefix, strlen(options->without_prefix)) == 0) {
        return true;
    }
    const size_t name_bytes = strcspn(variable, "=") + 1;
    for (const char *const *mine = options->environment; mine != NULL && *mine != NULL; mine++) {
        if (strncmp(variable, *mine, name_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* The child's environment: an array of borrowed strings, to be freed; NULL when out of memory. */
static char **make_environment(const struct process_options *options)
{
    size_t count = 0;
    for (char **each = environ; *each != NULL; each++) {
        count++;
    }
    for (const char *const *each = options->environment; each != NULL && *each != NULL; each++) {
        count++;
    }
    char **made = calloc(count + 1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    size_t used = 0;
    for (char **each = environ; *each != NULL; each++) {
        if (!is_replaced(*each, options)) {
            made[used++] = *each;
        }
    }
    for (const char *const *each = options->environment; each != NULL && *each != NULL; each++) {
        made[used++] = (char *)(uintptr_t)*each; /* execve does not write to it */
    }
    return made;
}

struct child_files {
    int out, err, failure; /* failure: where the child says why it could not become the program */
};

static bool connect_files(const struct process_options *options, struct child_files files)
{
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (options->log_path != NULL) {
        files.out = open(options->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        files.err = files.out;
    }
    return in >= 0 && files.out >= 0 && dup2(in, STDIN_FILENO) >= 0 &&
           dup2(files.out, STDOUT_FILENO) >= 0 && dup2(files.err, STDERR_FILENO) >= 0;
}

/* Between fork and exec: only what is safe in the child of a program with threads. */
static _Noreturn void become(const struct process_options *options, char **environment,
                             struct child_files files, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    const bool ready = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
                       connect_files(options, files) &&
                       (options->folder == NULL || chdir(options->folder) == 0) &&
                       sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (ready) {
        execvpe(options->arguments[0], (char *const *)(uintptr_t)options->arguments, environment);
    }
    const int why = errno;
    const ssize_t told = write(files.failure, &why, sizeof why);
    _exit(told == (ssize_t)sizeof why ? 127 : 126);
}

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0) {
            close(pair[i]);
        }
        pair[i] = -1;
    }
}

/* The failure pipe closes by itself when the child becomes the program. */
static bool became(struct process *process, int failure_fd, const char *name)
{
    int why = 0;
    ssize_t size = 0;
    do {
        size = read(failure_fd, &why, sizeof why);
    } while (size < 0 && errno == EINTR);
    if (size == 0) {
        return true;
    }
    waitpid(process->pid, NULL, 0);
    process->pid = 0;
    errno = why;
    return say(name);
}

static void take_pipes(struct process *process, int out[2], int err[2])
{
    process->stdout_fd = out[0];
    process->stderr_fd = err[0];
    out[0] = err[0] = -1;
    fcntl(process->stdout_fd, F_SETFL, O_NONBLOCK);
    fcntl(process->stderr_fd, F_SETFL, O_NONBLOCK);
}

static bool fork_and_wait(struct process *process, const struct process_options *options,
                          char **environment, struct child_files files, int failure[2])
{
    const pid_t parent = getpid();
    process->pid = fork();
    if (process->pid == 0) {
        become(options, environment, files, parent);
    }
    if (process->pid < 0) {
        process->pid = 0;
        return say("fork");
    }
    close(failure[1]);
    failure[1] = -1;
    if (!became(process, failure[0], options->arguments[0])) {
        return false;
    }
    process->pid_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    return process->pid_fd >= 0 || say("pidfd_open");
}

static bool text_init(struct process_text *text)
{
    text->capacity_bytes = 4096;
    text->data = calloc(1, text->capacity_bytes);
    return text->data != NULL;
}

bool process_start(struct process *process, const struct process_options *options)
{
    *process = (struct process){.pid_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .exit_code = -1};
    int out[2] = {-1, -1}, err[2] = {-1, -1}, failure[2] = {-1, -1};
    char **environment = make_environment(options);
    const bool prepared = environment != NULL && text_init(&process->out) &&
                          text_init(&process->err) && pipe2(out, O_CLOEXEC) == 0 &&
                          pipe2(err, O_CLOEXEC) == 0 && pipe2(failure, O_CLOEXEC) == 0;
    bool started = false;
    if (prepared) {
        const struct child_files files = {out[1], err[1], failure[1]};
        started = fork_and_wait(process, options, environment, files, failure);
        take_pipes(process, out, err);
    } else {
        say("cannot prepare to start a process");
    }
    close_pair(out);
    close_pair(err);
    close_pair(failure);
    free(environment);
    if (!started) {
        process_destroy(process);
    }
    return started;
}

/* ---- reading ---- */

static bool text_reserve(struct process_text *text, size_t more_bytes)
{
    const size_t needed = text->size_bytes + more_bytes + 1;
    if (needed <= text->capacity_bytes) {
        return true;
    }
    char *larger = realloc(text->data, needed * 2);
    if (larger == NULL) {
        return false;
    }
    text->data = larger;
    text->capacity_bytes = needed * 2;
    return true;
}

static void text_append(struct process_text *text, const char *data, size_t size_bytes)
{
    const size_t room = PROCESS_TEXT_MAX_BYTES - text->size_bytes;
    const size_t taken = size_bytes < room ? size_bytes : room;
    if (text_reserve(text, taken)) {
        memcpy(text->data + text->size_bytes, data, taken);
        text->size_bytes += taken;
        text->data[text->size_bytes] = '\0';
    }
}

/* Takes what is in the pipe now; closes it at its end. */
static void drain(int *fd, struct process_text *text)
{
    char chunk[16384];
    while (*fd >= 0) {
        const ssize_t size = read(*fd, chunk, sizeof chunk);
        if (size > 0) {
            text_append(text, chunk, (size_t)size);
        } else if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            close(*fd);
            *fd = -1;
        }
    }
}

static void collect(struct process *process)
{
    int status = 0;
    if (process->pid != 0 && waitpid(process->pid, &status, WNOHANG) == process->pid) {
        process->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        process->pid = 0;
        /* What it wrote last: it can write no more, so this empties the pipes. */
        drain(&process->stdout_fd, &process->out);
        drain(&process->stderr_fd, &process->err);
    }
}

/* Waits for output or the end until deadline_ms, and takes it. */
static void pump(struct process *process, int64_t deadline_ms)
{
    const int64_t left_ms = deadline_ms - process_now_ms();
    struct pollfd files[3] = {{process->pid_fd, POLLIN, 0},
                              {process->stdout_fd, POLLIN, 0},
                              {process->stderr_fd, POLLIN, 0}};
    if (poll(files, 3, left_ms < 0 ? 0 : (int)left_ms) > 0) {
        drain(&process->stdout_fd, &process->out);
        drain(&process->stderr_fd, &process->err);
        if (files[0].revents != 0) {
            collect(process);
        }
    }
}

static bool wait_for(struct process *process, const struct process_text *text, const char *part,
                     int64_t timeout_ms)
{
    const int64_t deadline_ms = process_now_ms() + timeout_ms;
    for (;;) {
        if (strstr(text->data, part) != NULL) {
            return true;
        }
        if (process->pid == 0 || process_now_ms() > deadline_ms) {
            fprintf(stderr, "process: \"%s\" did not come; %s; it said:\n%s%s", part,
                    process->pid == 0 ? "the process has ended" : "time is up", process->out.data,
                    process->err.data);
            return false;
        }
        pump(process, deadline_ms);
    }
}

bool process_wait_for(struct process *process, const char *part, int64_t timeout_ms)
{
    return wait_for(process, &process->out, part, timeout_ms);
}

bool process_wait_for_error(struct process *process, const char *part, int64_t timeout_ms)
{
    return wait_for(process, &process->err, part, timeout_ms);
}

bool process_wait(struct process *process, int64_t timeout_ms)
{
    const int64_t deadline_ms = process_now_ms() + timeout_ms;
    while (process->pid != 0 && process_now_ms() <= deadline_ms) {
        pump(process, deadline_ms);
    }
    return process->pid == 0;
}

bool process_running(struct process *process)
{
    pump(process, 0);
    return process->pid != 0;
}

/* ---- ending ---- */

void process_signal(const struct process *process, int signal_number)
{
    if (process->pid != 0) {
        kill(process->pid, signal_number);
    }
}

void process_close_stdout(struct process *process)
{
    if (process->stdout_fd >= 0) {
        close(process->stdout_fd);
        process->stdout_fd = -1;
    }
}

void process_destroy(struct process *process)
{
    if (process->pid != 0) {
        process_signal(process, SIGKILL);
        if (process->pid_fd <
            0) { /* it could not be watched: it is being killed, so this is short */
            waitpid(process->pid, NULL, 0);
        } else if (!process_wait(process, KILL_WAIT_MS)) {
            fprintf(stderr, "process: %d does not die\n", (int)process->pid);
        }
    }
    int files[3] = {process->pid_fd, process->stdout_fd, process->stderr_fd};
    for (int i = 0; i < 3; i++) {
        if (files[i] > 0) { /* 0: a zero struct; it is never one of ours */
            close(files[i]);
        }
    }
    free(process->out.data);
    free(process->err.data);
    *process = (struct process){.pid_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
}

bool process_run(struct process *process, const struct process_options *options, int64_t timeout_ms)
{
    if (!process_start(process, options)) {
        return false;
    }
    if (!process_wait(process, timeout_ms)) {
        fprintf(stderr, "process: %s is not done after %lld ms; it said:\n%s%s",
                options->arguments[0], (long long)timeout_ms, process->out.data, process->err.data);
        process_signal(process, SIGKILL);
        process_wait(process, KILL_WAIT_MS);
        return false;
    }
    return true;
}

/*
 * tests/support/process.h - start a child process, read what it says, end it: by its pid, and
 * always within a deadline.
 *
 * A child dies with the test that started it, even when the test is killed: the kernel sends it
 * SIGKILL when the thread that called process_start ends.  So start children on the main thread.
 *
 * Threads: one at a time per process.
 * Memory:  a struct process belongs to the caller and owns its pipes and texts until
 *          process_destroy; a zero one is valid to destroy.
 * Errors:  false, after one sentence on stderr.  Nothing here waits longer than it is told.
 */
#ifndef TESTS_SUPPORT_PROCESS_H
#define TESTS_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_TEXT_MAX_BYTES = 8 * 1024 * 1024 }; /* what comes after is read and thrown away */

struct process_text {
    char *data; /* always terminated; never NULL after process_start */
    size_t size_bytes, capacity_bytes;
};

struct process {
    pid_t pid; /* 0: not started, or ended and collected */
    int pid_fd, stdout_fd, stderr_fd;
    int exit_code; /* once it has ended: its status, or 128 + the signal that ended it */
    struct process_text out, err;
};

struct process_options {
    const char *const *arguments;   /* NULL-terminated; the first is looked up on PATH */
    const char *const *environment; /* NULL-terminated "NAME=VALUE", on top of ours; NULL: none */
    const char *without_prefix;     /* variables of ours it does not get: "ETCD_"; NULL: gets all */
    const char *folder;             /* where it runs; NULL: where we do */
    const char *log_path; /* both outputs are appended here; NULL: read into out and err */
};

/* Starts it with /dev/null as its input, no signal blocked, and no file of ours open.
 * process: overwritten.  Returns: true once the program itself runs. */
bool process_start(struct process *process, const struct process_options *options);

/* Reads until its standard output holds `part`; false when it ends, or time is up, before that. */
bool process_wait_for(struct process *process, const char *part, int64_t timeout_ms);
/* The same for its standard error. */
bool process_wait_for_error(struct process *process, const char *part, int64_t timeout_ms);
/* Reads until it has ended, and collects it; false when it still runs after timeout_ms. */
bool process_wait(struct process *process, int64_t timeout_ms);
/* Reads what there is now; true while it runs. */
bool process_running(struct process *process);

/* Does nothing to a process that has been collected, so never hits a stranger with the same pid. */
void process_signal(const struct process *process, int signal_number);
/* From now on it writes its standard output to nobody (EPIPE). */
void process_close_stdout(struct process *process);
/* Ends it with SIGKILL if it still runs, collects it and frees everything. */
void process_destroy(struct process *process);

/* Runs it to its end; false when it does not end in time (then it is killed) or does not start. */
bool process_run(struct process *process, const struct process_options *options,
                 int64_t timeout_ms);

/* Milliseconds of the monotonic clock, for deadlines of tests. */
int64_t process_now_ms(void);
void process_sleep_ms(int64_t duration_ms);

#endif /* TESTS_SUPPORT_PROCESS_H */

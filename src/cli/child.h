/*
 * cli/child.h - a command of the user's, run as our child and waited for through a file.
 *
 * It has our standard streams, our process group (so Ctrl-C in a terminal reaches both), our
 * environment and more.  No file of ours reaches it: each is opened with O_CLOEXEC.
 *
 * When we die without warning (SIGKILL) the kernel sends it SIGTERM, for nobody renews the session
 * any more; when we die before it has asked for that, it is never run.  Signals reach the child
 * itself, not what it starts in turn, and the kernel's not a program that changes its user as it
 * starts (set-user-ID).
 *
 * Threads: main.  The kernel sends its signal when the thread that started the child ends, so this
 *          must be one that lives as long as the process.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <rollcall/error.h>

#include <sys/types.h>

enum { CLI_EXIT_CANNOT_RUN = 126, CLI_EXIT_NOT_FOUND = 127, CLI_EXIT_SIGNAL = 128 };

struct cli_child {
    pid_t pid;     /* 0: none runs */
    int fd;        /* readable once it has ended; -1: none runs */
    int exit_code; /* of the last one: its status, 128 + the signal that ended it, or 126 or 127 */
};
#define CLI_CHILD_NONE ((struct cli_child){.fd = -1})

/*
 * Starts it; child: none runs.
 * command:   its words, then NULL; the first is looked for on PATH.
 * variables: "NAME=VALUE" each, then NULL; they replace ours of the same name.
 * Returns:   ROLLCALL_OK once the program itself runs; or ROLLCALL_E_SYSTEM or _NO_MEMORY, and
 *            child->exit_code says with what to end.
 */
ROLLCALL_MUST_USE enum rollcall_status cli_child_start(struct cli_child *child,
                                                       char *const *command,
                                                       const char *const *variables,
                                                       struct rollcall_error *error);
/* The same of one that gets `death_signal`, instead of SIGTERM, when we die without warning. */
ROLLCALL_MUST_USE enum rollcall_status
cli_child_start_bound(struct cli_child *child, char *const *command, const char *const *variables,
                      int death_signal, struct rollcall_error *error);
/* Does nothing when none runs. */
void cli_child_signal(const struct cli_child *child, int number);
/* Takes its exit code if it has ended; never waits.  Returns whether one still runs. */
bool cli_child_runs(struct cli_child *child);

#endif /* CLI_CHILD_H */

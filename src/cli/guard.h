/*
 * cli/guard.h - runs a COMMAND that must not outlive a role, whatever becomes of us.
 *
 * Between us and COMMAND stands a process of its own, the guard: this program once more, with no
 * runtime in it, waiting for a time that we move on while the role is safe.  When that time has
 * come, because we were stopped (SIGSTOP, a debugger), starved or killed, it ends COMMAND: SIGTERM
 * then, SIGKILL the grace later.  When the guard itself is killed, the kernel kills COMMAND.
 *
 *    us --orders--> guard --SIGTERM, SIGKILL--> COMMAND;  its exit code is the guard's, then ours
 *
 * What stops all three at once, as Ctrl-Z does, can only be made up for when it is over: the guard
 * ends COMMAND as soon as it runs again.
 *
 * Threads: main, as in child.h.
 */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

#include "cli/child.h"
#include "cli/output.h"

struct cli_guard {
    int orders; /* the end of a pipe that we write to; -1: there is no guard */
    int alarm;  /* a timerfd: the time the guard was told last has come */
};
#define CLI_GUARD_NONE ((struct cli_guard){-1, -1})

struct cli_guard_terms {
    int64_t until_ms; /* of CLOCK_BOOTTIME: the role is safe until then */
    int64_t grace_ms; /* from SIGTERM to SIGKILL, once it is not */
    bool json;        /* how the guard says that COMMAND cannot be run */
};

/*
 * Starts a guard, which starts COMMAND; `child` is the guard from then on, and to be collected as
 * such.  A COMMAND that cannot be run is reported by the guard: exit code 127 or 126.
 * Returns: as cli_child_start; after a failure there is no guard.
 */
ROLLCALL_MUST_USE enum rollcall_status
cli_guard_start(struct cli_guard *guard, struct cli_child *child, char *const *command,
                const char *const *variables, const struct cli_guard_terms *terms,
                struct rollcall_error *error);

/* The role is safe until then; counts while it has not been over for COMMAND. */
void cli_guard_extend(const struct cli_guard *guard, int64_t until_ms);
/* COMMAND is to end, in its own time, but not beyond that of the role: SIGTERM, once. */
void cli_guard_end(const struct cli_guard *guard);
/* The role is over: SIGTERM if it did not get that, and SIGKILL the grace later. */
void cli_guard_role_is_over(const struct cli_guard *guard);
void cli_guard_kill(const struct cli_guard *guard);

/* The guard has ended COMMAND by itself, or is about to. */
bool cli_guard_has_struck(const struct cli_guard *guard);
/* Lets go of it: to one that still runs, the role is over.  Nothing when there is none. */
void cli_guard_close(struct cli_guard *guard);

/* The guard's whole life, if these are the arguments of one; else -1.  Returns its exit code. */
int cli_guard_main(int argc, char **argv);

#endif /* CLI_GUARD_H */

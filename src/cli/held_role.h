/*
 * cli/held_role.h - the part of `register --standby` and of `force` in an election: which role we
 * have, and when COMMAND may run for it.
 *
 * COMMAND never runs in two places at once, as long as all candidates have the same grace:
 *   - when the role is lost, or in doubt, or the time of its lease is over, it has the grace to
 * end, and then is killed; a guard (guard.h) does that even if we do not run
 *   - when the role is gained, it is started only twice the grace later, for nobody can know
 *     whether the one who had it before was asked for it, or lost it just now
 *
 * Threads: main.
 */
#ifndef CLI_HELD_ROLE_H
#define CLI_HELD_ROLE_H

#include "cli/held_command.h"
#include "cli/options.h"
#include "cli/session_told.h"

struct cli_held_role {
    bool stands;      /* in an election; else all else here means nothing */
    bool is_to_force; /* the active key is to be taken as soon as we are registered */
    int timer;        /* a timerfd: COMMAND may start; or, while it runs, tell its guard the time */
    int64_t grace_ms;
    enum rollcall_role role;
    int64_t token;         /* ACTIVE; else 0 */
    int64_t command_token; /* that COMMAND was started with last */
    bool settled;          /* ACTIVE, and twice the grace is over */
};

/* Returns false, with errno, when there are no file descriptors. */
bool cli_held_role_init(struct cli_held_role *role, const struct cli_options *options);
void cli_held_role_fini(struct cli_held_role *role);

void cli_held_role_note(struct cli_held_role *role, const struct cli_session_told *told);

/* Looks at the timer: to be called whenever something has happened. */
void cli_held_role_heed_time(struct cli_held_role *role, struct rollcall_session *session,
                             const struct cli_held_command *command);
/* Whether COMMAND may start now; if so, it is described, and counted as started. */
bool cli_held_role_admits(struct cli_held_role *role, struct rollcall_session *session,
                          struct cli_held_command *command);
/* A COMMAND that has ended, and was not told to by us, was by its guard, or ended as the role did:
 * then it counts as told, and may start again. */
void cli_held_role_explain_end(const struct cli_held_role *role, struct rollcall_session *session,
                               struct cli_held_command *command);

#endif /* CLI_HELD_ROLE_H */

/*
 * cli/held_command.h - the COMMAND of `register`: when it may run, and what its end means.
 *
 * It may run once, while the session is ACTIVE.  With --on-lost reregister it may run again after
 * it was told to end, but not after it has ended by itself.
 *
 * One that is guarded (guard.h) runs while a role is held, and again each time it is, until it ends
 * by itself.
 *
 * Threads: main.
 */
#ifndef CLI_HELD_COMMAND_H
#define CLI_HELD_COMMAND_H

#include "cli/guard.h"
#include "cli/output.h"

#include <rollcall/session.h>

enum { CLI_HELD_VARIABLES = 6 };

struct cli_held_command {
    char *const *words; /* borrowed; NULL: there is no COMMAND */
    enum rollcall_on_lost on_lost;
    struct cli_child child; /* exit_code: 0 when it never ran */
    struct cli_text variables[CLI_HELD_VARIABLES];
    bool started; /* at least once */
    bool told;    /* the last one was sent SIGTERM */
    bool is_guarded;
    struct cli_guard guard;       /* of the last one that was started */
    struct cli_guard_terms terms; /* of the next one */
};

void cli_held_command_init(struct cli_held_command *command, char *const *words,
                           enum rollcall_on_lost on_lost);
void cli_held_command_fini(struct cli_held_command *command);
/* From now on it is: see above. */
void cli_held_command_guard(struct cli_held_command *command, int64_t grace_ms, bool json);

/* What the next one started finds in its environment: ROLLCALL_SESSION_KEY and so on. */
void cli_held_command_describe(struct cli_held_command *command, struct rollcall_bytes key,
                               const struct rollcall_session_info *info);
/* ROLLCALL_TOKEN and ROLLCALL_ACTIVE_KEY as well, and until when the role is safe. */
void cli_held_command_describe_role(struct cli_held_command *command, const char *active_key,
                                    int64_t token, int64_t until_ms);
bool cli_held_command_may_start(const struct cli_held_command *command);
/* A failure is reported here; it counts as an end by itself. */
void cli_held_command_start(struct cli_held_command *command, const struct cli_output *output);

/* SIGTERM, once for each start; nothing when none runs. */
void cli_held_command_end(struct cli_held_command *command);
/* SIGTERM, if it was not sent, as what it was started for is over; a guarded one has only the grace
 * from now, and so has one that was told to end before. */
void cli_held_command_give_up(struct cli_held_command *command);
void cli_held_command_kill(struct cli_held_command *command);
bool cli_held_command_runs(struct cli_held_command *command);
/* It has run, does not now, and will not again. */
bool cli_held_command_is_over(struct cli_held_command *command);
/* It was told to end, perhaps has not yet, and will not be started again. */
bool cli_held_command_is_ending(const struct cli_held_command *command);

#endif /* CLI_HELD_COMMAND_H */

/*
 * cli/session_told.h - carries what a session and its election tell from the runtime's thread to
 * the main one, in order, through a pipe that poll() can wait for.
 *
 * A write of at most PIPE_BUF bytes arrives whole, so nothing is lost or mixed.  When hundreds of
 * them wait to be taken, the runtime's thread waits too.
 *
 * Threads: the callbacks: any; the rest: one.
 */
#ifndef CLI_SESSION_TOLD_H
#define CLI_SESSION_TOLD_H

#include <rollcall/election.h>

enum { CLI_REASON_BYTES = 512 };

enum cli_told_kind {
    CLI_TOLD_STATE,  /* of the session */
    CLI_TOLD_ROLE,   /* in the election */
    CLI_TOLD_MARKED, /* marking it as stopping is over, well or not; nothing else is set */
    CLI_TOLD_FORCED  /* taking the active key is over; status and reason say how */
};

struct cli_session_told {
    enum cli_told_kind kind;
    struct rollcall_session_info info; /* STATE; its key is not to be followed */
    enum rollcall_session_state state; /* STATE */
    enum rollcall_role role;           /* ROLE */
    int64_t token;                     /* ROLE */
    enum rollcall_status status;
    int64_t at_ms;
    char reason[CLI_REASON_BYTES];
};

struct cli_session_pipe {
    int ends[2]; /* ends[0] is readable when something was told; -1: not open */
};
#define CLI_SESSION_PIPE_NONE ((struct cli_session_pipe){{-1, -1}})

bool cli_session_pipe_open(struct cli_session_pipe *pipe); /* false, with errno: no descriptors */
void cli_session_pipe_close(struct cli_session_pipe *pipe);

/* The callbacks; user: the pipe. */
void cli_session_pipe_event(void *user, const struct rollcall_session_event *event);
void cli_session_pipe_role(void *user, const struct rollcall_role_event *event);
void cli_session_pipe_forced(void *user, const struct rollcall_error *error);
void cli_session_pipe_marked(void *user, const struct rollcall_error *error);

/* The next one; false at once when none waits. */
bool cli_session_pipe_take(const struct cli_session_pipe *pipe, struct cli_session_told *told);

#endif /* CLI_SESSION_TOLD_H */

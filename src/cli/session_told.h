/*
 * cli/session_told.h - carries what a session tells from the runtime's thread to the main one, in
 * order, through a pipe that poll() can wait for.
 *
 * A write of at most PIPE_BUF bytes arrives whole, so nothing is lost or mixed.  When hundreds of
 * them wait to be taken, the runtime's thread waits too.
 *
 * Threads: the two callbacks: any; the rest: one.
 */
#ifndef CLI_SESSION_TOLD_H
#define CLI_SESSION_TOLD_H

#include <rollcall/session.h>

enum { CLI_REASON_BYTES = 512 };

struct cli_session_told {
    bool is_mark; /* no event: marking it as stopping is over, well or not; nothing else is set */
    struct rollcall_session_info info; /* its key is not to be followed */
    enum rollcall_session_state state;
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
void cli_session_pipe_marked(void *user, const struct rollcall_error *error);

/* The next one; false at once when none waits. */
bool cli_session_pipe_take(const struct cli_session_pipe *pipe, struct cli_session_told *told);

#endif /* CLI_SESSION_TOLD_H */

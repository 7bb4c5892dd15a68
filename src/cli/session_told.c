#include "cli/session_told.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

_Static_assert(sizeof(struct cli_session_told) <= PIPE_BUF, "a pipe takes it whole");

bool cli_session_pipe_open(struct cli_session_pipe *pipe)
{
    return pipe2(pipe->ends, O_CLOEXEC) == 0;
}

void cli_session_pipe_close(struct cli_session_pipe *pipe)
{
    for (int i = 0; i < 2; i++) {
        if (pipe->ends[i] >= 0) {
            close(pipe->ends[i]);
        }
        pipe->ends[i] = -1;
    }
}

static void put(const struct cli_session_pipe *pipe, const struct cli_session_told *told)
{
    while (write(pipe->ends[1], told, sizeof *told) < 0 && errno == EINTR) {
    }
}

void cli_session_pipe_event(void *user, const struct rollcall_session_event *event)
{
    struct cli_session_told told = {
        .info = event->info, .state = event->state, .status = event->status, .at_ms = event->at_ms};
    snprintf(told.reason, sizeof told.reason, "%s", event->reason == NULL ? "" : event->reason);
    put(user, &told);
}

void cli_session_pipe_role(void *user, const struct rollcall_role_event *event)
{
    struct cli_session_told told = {.kind = CLI_TOLD_ROLE,
                                    .role = event->role,
                                    .token = event->token,
                                    .status = event->status,
                                    .at_ms = event->at_ms};
    snprintf(told.reason, sizeof told.reason, "%s", event->reason == NULL ? "" : event->reason);
    put(user, &told);
}

void cli_session_pipe_forced(void *user, const struct rollcall_error *error)
{
    struct cli_session_told told = {.kind = CLI_TOLD_FORCED, .status = error->status};
    snprintf(told.reason, sizeof told.reason, "%s", error->text);
    put(user, &told);
}

void cli_session_pipe_marked(void *user, const struct rollcall_error *error)
{
    const struct cli_session_told told = {.kind = CLI_TOLD_MARKED};
    (void)error; /* a session that cannot be marked is left all the same */
    put(user, &told);
}

bool cli_session_pipe_take(const struct cli_session_pipe *pipe, struct cli_session_told *told)
{
    struct pollfd fd = {.fd = pipe->ends[0], .events = POLLIN};
    return poll(&fd, 1, 0) == 1 && read(fd.fd, told, sizeof *told) == (ssize_t)sizeof *told;
}

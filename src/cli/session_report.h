/*
 * cli/session_report.h - the life of a session of our own, as `register` tells it: objects or lines
 * on stdout, and on stderr what a person must know.
 *
 * Threads: main.
 */
#ifndef CLI_SESSION_REPORT_H
#define CLI_SESSION_REPORT_H

#include "cli/output.h"
#include "cli/session_told.h"

void cli_report_registered(struct cli_output *output, struct rollcall_bytes key,
                           const struct cli_session_told *told);
void cli_report_state(struct cli_output *output, const struct cli_session_told *told);
/* key: the active one. */
void cli_report_role(struct cli_output *output, const char *key,
                     const struct cli_session_told *told);
/* On stderr: that etcd does not answer, or answers again. */
void cli_report_suspect(struct rollcall_bytes key, bool suspect);

/* A state that we know before the session tells it: that the leaving has begun. */
void cli_report_stopping(struct cli_output *output, const char *reason);

#endif /* CLI_SESSION_REPORT_H */

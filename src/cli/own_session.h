/* cli/own_session.h - the session that the options of `register` ask for.  Threads: main. */
#ifndef CLI_OWN_SESSION_H
#define CLI_OWN_SESSION_H

#include "cli/options.h"
#include "cli/output.h"

/* Borrows from the options and the environment; without a callback. */
struct rollcall_session_options cli_session_options(const struct cli_options *options);

/* `--dry-run`: prints the record that would be stored; returns the exit code. */
int cli_print_plan(const struct cli_options *options, struct cli_output *output);

#endif /* CLI_OWN_SESSION_H */

/* cli/commands.h - one function per command; each returns the exit code.  Threads: main. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"
#include "cli/output.h"

int cli_register(const struct cli_options *options, struct cli_output *output);
int cli_list(const struct cli_options *options, struct cli_output *output);
int cli_watch(const struct cli_options *options, struct cli_output *output);
int cli_stop(const struct cli_options *options, struct cli_output *output);
int cli_revoke(const struct cli_options *options, struct cli_output *output);
int cli_doctor(const struct cli_options *options, struct cli_output *output);
int cli_sim(const struct cli_options *options, struct cli_output *output);
int cli_demo(const struct cli_options *options, struct cli_output *output);

#endif /* CLI_COMMANDS_H */

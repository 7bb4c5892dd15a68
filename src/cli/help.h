/* cli/help.h - what --help prints, made from the option table. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/options.h"
#include "cli/text.h"

/* The whole help of a command, or of the program for CLI_NO_COMMAND. */
void cli_help(struct cli_text *text, enum cli_command command);

#endif /* CLI_HELP_H */

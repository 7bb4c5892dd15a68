#include "cli/held_command.h"

#include <inttypes.h>
#include <signal.h>

void cli_held_command_init(struct cli_held_command *command, char *const *words,
                           enum rollcall_on_lost on_lost)
{
    *command =
        (struct cli_held_command){.words = words, .on_lost = on_lost, .child = CLI_CHILD_NONE};
}

void cli_held_command_fini(struct cli_held_command *command)
{
    for (size_t i = 0; i < CLI_HELD_VARIABLES; i++) {
        cli_text_fini(&command->variables[i]);
    }
}

static void set_number(struct cli_text *variable, const char *name, int64_t value)
{
    cli_text_clear(variable);
    cli_text_format(variable, "%s=%" PRId64, name, value);
    cli_text_append(variable, "", 1);
}

void cli_held_command_describe(struct cli_held_command *command, struct rollcall_bytes key,
                               const struct rollcall_session_info *info)
{
    struct cli_text *variables = command->variables;
    cli_text_clear(&variables[0]);
    cli_text_string(&variables[0], "ROLLCALL_SESSION_KEY="); /* ROLLCALL_KEY is that of TLS */
    cli_text_append(&variables[0], key.data, key.size_bytes);
    cli_text_append(&variables[0], "", 1);
    set_number(&variables[1], "ROLLCALL_SERVER_ID", info->server_id);
    set_number(&variables[2], "ROLLCALL_LEASE_ID", info->lease_id);
    set_number(&variables[3], "ROLLCALL_CREATE_REVISION", info->create_revision);
}

bool cli_held_command_may_start(const struct cli_held_command *command)
{
    return command->words != NULL &&
           (!command->started ||
            (command->told && command->on_lost == ROLLCALL_ON_LOST_REREGISTER));
}

void cli_held_command_start(struct cli_held_command *command, const struct cli_output *output)
{
    const char *variables[CLI_HELD_VARIABLES + 1] = {0};
    struct rollcall_error error = {0};
    enum rollcall_status status = ROLLCALL_OK;
    command->started = true;
    command->told = false;
    for (size_t i = 0; i < CLI_HELD_VARIABLES; i++) {
        variables[i] = command->variables[i].data;
        if (command->variables[i].failed) {
            command->child.exit_code = CLI_EXIT_CANNOT_RUN;
            status = rollcall_error_set(&error, ROLLCALL_E_NO_MEMORY,
                                        "%.200s cannot be run: no memory", command->words[0]);
        }
    }
    if (status == ROLLCALL_OK) {
        status = cli_child_start(&command->child, command->words, variables, &error);
    }
    if (status != ROLLCALL_OK) {
        error.status = status;
        cli_output_fail(output, &error);
    }
}

void cli_held_command_end(struct cli_held_command *command)
{
    if (!command->told && cli_held_command_runs(command)) {
        command->told = true;
        cli_child_signal(&command->child, SIGTERM);
    }
}

void cli_held_command_kill(struct cli_held_command *command)
{
    command->told = true;
    cli_child_signal(&command->child, SIGKILL);
}

bool cli_held_command_runs(struct cli_held_command *command)
{
    return cli_child_runs(&command->child);
}

bool cli_held_command_is_over(struct cli_held_command *command)
{
    return command->started && !cli_held_command_runs(command) &&
           !cli_held_command_may_start(command);
}

bool cli_held_command_is_ending(const struct cli_held_command *command)
{
    return command->told && !cli_held_command_may_start(command);
}

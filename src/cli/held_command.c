#include "cli/held_command.h"

#include <inttypes.h>
#include <signal.h>

void cli_held_command_init(struct cli_held_command *command, char *const *words,
                           enum rollcall_on_lost on_lost)
{
    *command = (struct cli_held_command){
        .words = words, .on_lost = on_lost, .child = CLI_CHILD_NONE, .guard = CLI_GUARD_NONE};
}

void cli_held_command_fini(struct cli_held_command *command)
{
    for (size_t i = 0; i < CLI_HELD_VARIABLES; i++) {
        cli_text_fini(&command->variables[i]);
    }
    cli_guard_close(&command->guard);
}

void cli_held_command_guard(struct cli_held_command *command, int64_t grace_ms, bool json)
{
    command->is_guarded = true;
    command->terms = (struct cli_guard_terms){.grace_ms = grace_ms, .json = json};
}

/* name: with its '='. */
static void set_text(struct cli_text *variable, const char *name, struct rollcall_bytes value)
{
    cli_text_clear(variable);
    cli_text_string(variable, name);
    cli_text_append(variable, value.data, value.size_bytes);
    cli_text_append(variable, "", 1);
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
    set_text(&variables[0], "ROLLCALL_SESSION_KEY=", key); /* ROLLCALL_KEY is that of TLS */
    set_number(&variables[1], "ROLLCALL_SERVER_ID", info->server_id);
    set_number(&variables[2], "ROLLCALL_LEASE_ID", info->lease_id);
    set_number(&variables[3], "ROLLCALL_CREATE_REVISION", info->create_revision);
}

void cli_held_command_describe_role(struct cli_held_command *command, const char *active_key,
                                    int64_t token, int64_t until_ms)
{
    set_number(&command->variables[4], "ROLLCALL_TOKEN", token);
    set_text(&command->variables[5], "ROLLCALL_ACTIVE_KEY=", cli_bytes(active_key));
    command->terms.until_ms = until_ms;
}

bool cli_held_command_may_start(const struct cli_held_command *command)
{
    const bool again = command->is_guarded || command->on_lost == ROLLCALL_ON_LOST_REREGISTER;
    return command->words != NULL && (!command->started || (command->told && again));
}

static enum rollcall_status start(struct cli_held_command *command, const char *const *variables,
                                  struct rollcall_error *error)
{
    return command->is_guarded ? cli_guard_start(&command->guard, &command->child, command->words,
                                                 variables, &command->terms, error)
                               : cli_child_start(&command->child, command->words, variables, error);
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
        status = start(command, variables, &error);
    }
    if (status != ROLLCALL_OK) {
        error.status = status;
        cli_output_fail(output, &error);
    }
}

void cli_held_command_end(struct cli_held_command *command)
{
    if (command->told || !cli_held_command_runs(command)) {
        return;
    }
    command->told = true;
    if (command->is_guarded) {
        cli_guard_end(&command->guard);
    } else {
        cli_child_signal(&command->child, SIGTERM);
    }
}

void cli_held_command_give_up(struct cli_held_command *command)
{
    if (!command->is_guarded) {
        cli_held_command_end(command);
    } else if (cli_held_command_runs(command)) {
        command->told = true;
        cli_guard_role_is_over(&command->guard);
    }
}

void cli_held_command_kill(struct cli_held_command *command)
{
    command->told = true;
    if (command->is_guarded) {
        cli_guard_kill(&command->guard);
    } else {
        cli_child_signal(&command->child, SIGKILL);
    }
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

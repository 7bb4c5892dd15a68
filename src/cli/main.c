/* The command `rollcall`: parses, runs one command, and makes its outcome an exit code. */
#include "cli/commands.h"
#include "cli/guard.h"
#include "cli/help.h"
#include "cli/interrupt.h"

#include <rollcall/sentinel.h>
#include <rollcall/version.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Started with a standard stream closed, the next file opened would take its number. */
static bool open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) {
            return false;
        }
    }
    return true;
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static int show_help(const struct cli_options *options, struct cli_output *output)
{
    cli_help(&output->text, options->command);
    cli_output_flush(output);
    return CLI_EXIT_DONE;
}

static int show_version(struct cli_output *output)
{
    cli_text_format(&output->text, "rollcall %s\n", rollcall_version());
    cli_output_flush(output);
    return CLI_EXIT_DONE;
}

static int run(const struct cli_options *options, struct cli_output *output)
{
    switch (options->command) {
    case CLI_REGISTER:
    case CLI_FORCE:
        return cli_register(options, output);
    case CLI_LIST:
        return cli_list(options, output);
    case CLI_WATCH:
        return cli_watch(options, output);
    case CLI_STOP:
        return cli_stop(options, output);
    case CLI_REVOKE:
        return cli_revoke(options, output);
    case CLI_DOCTOR:
        return cli_doctor(options, output);
    case CLI_SIM:
        return cli_sim(options, output);
    case CLI_DEMO:
        return cli_demo(options, output);
    case CLI_NO_COMMAND:
    case CLI_COMMAND_COUNT:
        break;
    }
    return CLI_EXIT_USAGE;
}

/* What the library starts beside a process that wants it so; nothing for people, so not in help. */
static int be_sentinel(void)
{
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall_sentinel_run(&error);
    if (status != ROLLCALL_OK) {
        cli_notice("%s", error.text);
    }
    return status == ROLLCALL_OK          ? CLI_EXIT_DONE
           : status == ROLLCALL_E_INVALID ? CLI_EXIT_USAGE
                                          : CLI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "sentinel") == 0) {
        return be_sentinel();
    }
    const bool has_stdout = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    const int guarded = cli_guard_main(argc, argv);
    if (guarded >= 0) {
        return guarded;
    }
    if (!open_standard_streams() || !cli_interrupt_init()) {
        cli_notice("the system refuses file descriptors or signals: check the limits (ulimit -n)");
        return CLI_EXIT_FAILED;
    }
    struct cli_options options;
    struct rollcall_error error = {0};
    const enum rollcall_status status =
        cli_options_parse(argc, argv, environment, &options, &error);
    struct cli_output output = {
        .json = options.format == CLI_FORMAT_JSON ||
                (options.format == CLI_FORMAT_AUTO && isatty(STDOUT_FILENO) == 0),
        .colour = !options.no_color && isatty(STDOUT_FILENO) != 0};
    int code;
    if (status != ROLLCALL_OK) {
        code = cli_output_fail(&output, &error);
    } else if (!has_stdout) {
        cli_notice("stdout is closed: let it lead somewhere, or to /dev/null to drop the results");
        code = CLI_EXIT_FAILED;
    } else if (options.help) {
        code = show_help(&options, &output);
    } else if (options.show_version) {
        code = show_version(&output);
    } else {
        code = run(&options, &output);
    }
    if (code == CLI_EXIT_DONE && output.failed) {
        code = CLI_EXIT_FAILED; /* said where it was found */
    }
    cli_output_fini(&output);
    return code;
}

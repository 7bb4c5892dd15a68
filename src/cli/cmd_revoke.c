/* `rollcall revoke`: shows a session, asks, and revokes its lease. */
#include "cli/commands.h"

#include "cli/interrupt.h"
#include "cli/target.h"

#include <errno.h>
#include <unistd.h>

/* Reads one line of the terminal; true when it begins with y or Y. */
static bool read_yes(void)
{
    char line[256], first = '\0';
    ssize_t size;
    do {
        size = read(STDIN_FILENO, line, sizeof line);
        if (size > 0 && first == '\0') {
            first = line[0];
        }
    } while ((size < 0 && errno == EINTR) || (size > 0 && line[size - 1] != '\n'));
    return first == 'y' || first == 'Y';
}

/* On stderr, for stdout is for results. */
static bool ask(const struct cli_target *target)
{
    struct cli_text question = {0};
    cli_text_append(&question, target->description.data, target->description.size_bytes);
    cli_text_string(&question, "\nrevoke? [y/N] ");
    const bool asked =
        !question.failed && write(STDERR_FILENO, question.data, question.size_bytes) > 0;
    cli_text_fini(&question);
    return asked && read_yes();
}

static int revoke_session(const struct cli_options *options, struct cli_output *output,
                          struct rollcall_etcd *etcd, const struct cli_target *target)
{
    struct rollcall_error error = {0};
    if (!options->yes && !ask(target)) {
        cli_notice("nothing was revoked");
        return CLI_EXIT_FAILED;
    }
    const enum rollcall_status status =
        rollcall_revoke(etcd, &target->session, options->call_timeout_ms, &error);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_target_fail(output, &error);
    }
    if (output->json) {
        cli_target_json(&output->text, "revoked", target);
    } else {
        cli_text_string(&output->text, "revoked ");
        cli_text_append(&output->text, target->description.data, target->description.size_bytes);
        cli_text_string(&output->text, "\n");
    }
    cli_output_flush(output);
    return CLI_EXIT_DONE;
}

int cli_revoke(const struct cli_options *options, struct cli_output *output)
{
    cli_interrupt_exits(); /* as long as it asks, nothing is done */
    if (!options->yes && isatty(STDIN_FILENO) == 0) {
        struct rollcall_error error = {0};
        ROLLCALL_DROP(rollcall_error_set(&error, ROLLCALL_E_INVALID,
                                         "revoke asks first, but stdin is not a terminal: give "
                                         "--yes to revoke without asking"),
                      "reported in the next line");
        return cli_output_fail(output, &error);
    }
    return cli_target_act(options, output, revoke_session);
}

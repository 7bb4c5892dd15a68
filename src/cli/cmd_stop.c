/* `rollcall stop`: marks a session as stopping from outside. */
#include "cli/commands.h"

#include "cli/interrupt.h"
#include "cli/target.h"

static int mark(const struct cli_options *options, struct cli_output *output,
                struct rollcall_etcd *etcd, const struct cli_target *target)
{
    struct rollcall_error error = {0};
    const enum rollcall_status status =
        rollcall_mark_stopping(etcd, &target->session, options->call_timeout_ms, &error);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_target_fail(output, &error);
    }
    if (output->json) {
        cli_target_json(&output->text, "stopping", target);
    } else {
        cli_text_string(&output->text, "stopping ");
        cli_text_append(&output->text, target->description.data, target->description.size_bytes);
        cli_text_string(&output->text, "\n");
    }
    cli_output_flush(output);
    return CLI_EXIT_DONE;
}

int cli_stop(const struct cli_options *options, struct cli_output *output)
{
    cli_interrupt_exits(); /* nothing runs yet, and what etcd was asked for it does alone */
    return cli_target_act(options, output, mark);
}

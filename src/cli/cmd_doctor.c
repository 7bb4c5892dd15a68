/* `rollcall doctor`: asks every endpoint how it is, and says what is wrong and what to do. */
#include "cli/commands.h"

#include "cli/doctor.h"
#include "cli/interrupt.h"

static int fail_unreachable(const struct cli_output *output, const struct cli_doctor_facts *facts)
{
    struct rollcall_error error = {0};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                       "none of %zu endpoints answered; of the first: %s", facts->endpoint_count,
                       facts->endpoints[0].without_user.error.text);
    return cli_output_fail(output, &error);
}

static int fail_checks(const struct cli_output *output, const struct cli_doctor_report *report)
{
    const struct cli_doctor_finding *first = report->findings;
    while (first->state != CLI_DOCTOR_FAIL) {
        first++;
    }
    struct rollcall_error error = {0};
    rollcall_error_set(&error, ROLLCALL_E_REJECTED, "%zu of %zu checks failed: %s of %s: %.200s",
                       report->states[CLI_DOCTOR_FAIL], report->count, first->check,
                       first->endpoint, first->detail);
    return cli_output_fail(output, &error);
}

int cli_doctor(const struct cli_options *options, struct cli_output *output)
{
    struct cli_doctor_facts facts;
    struct cli_doctor_report report = {0};
    struct rollcall_error error = {0};
    char text[CLI_DOCTOR_NAMES_BYTES];
    int code = CLI_EXIT_DONE;
    cli_interrupt_exits(); /* there is nothing to undo */
    const enum rollcall_status status = cli_doctor_ask(options, &facts, text, &error);
    if (status != ROLLCALL_OK) {
        error.status = status;
        return cli_output_fail(output, &error);
    }
    cli_doctor_judge(&facts, &report);
    cli_doctor_print(output, &report, &facts);
    cli_output_flush(output);
    if (cli_doctor_answered_count(&facts) == 0) {
        code = fail_unreachable(output, &facts);
    } else if (report.states[CLI_DOCTOR_FAIL] > 0) {
        code = report.failed ? CLI_EXIT_FAILED : fail_checks(output, &report);
    }
    cli_doctor_report_fini(&report);
    return code;
}

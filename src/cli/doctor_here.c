/* This machine's part: the clock that leases are counted by, the one that they are not, and the
 * certificates that were given. */
#include "cli/doctor.h"

#include <inttypes.h>

enum { DAYS_WARN = 30, MS_PER_S = 1000 };

static void judge_clock(const struct cli_doctor_here *here, struct cli_doctor_report *report)
{
    struct cli_doctor_finding *finding = cli_doctor_add(
        report, CLI_DOCTOR_HERE, "clock", here->boottime_works ? CLI_DOCTOR_OK : CLI_DOCTOR_FAIL);
    if (!here->boottime_works) {
        cli_doctor_detail(finding, "CLOCK_BOOTTIME cannot be read");
        cli_doctor_advice(finding, "use Linux 2.6.39 or later, and let the sandbox allow "
                                   "clock_gettime: leases are counted by it");
    } else if (here->suspended_ms < MS_PER_S) {
        cli_doctor_detail(finding, "CLOCK_BOOTTIME works; never suspended");
    } else {
        cli_doctor_detail(finding,
                          "CLOCK_BOOTTIME works; it has counted %" PRId64
                          " s of suspend, in which sessions end",
                          here->suspended_ms / MS_PER_S);
    }
}

/* Never a failure: nothing here hangs on the time of day. */
static void judge_wall(const struct cli_doctor_here *here, struct cli_doctor_report *report)
{
    const bool synchronised = here->wall == CLI_DOCTOR_WALL_SYNCHRONISED;
    struct cli_doctor_finding *finding = cli_doctor_add(
        report, CLI_DOCTOR_HERE, "time", synchronised ? CLI_DOCTOR_OK : CLI_DOCTOR_WARN);
    cli_doctor_detail(finding, "%s; leases do not depend on it",
                      synchronised ? "the time of day is synchronised"
                      : here->wall == CLI_DOCTOR_WALL_FREE
                          ? "the time of day is not synchronised"
                          : "the system does not say whether the time of day is synchronised");
    if (!synchronised) {
        cli_doctor_advice(finding, "run chrony or systemd-timesyncd, so that logs and certificates "
                                   "agree on the time");
    }
}

static void judge_certificate(const struct cli_doctor_certificate *certificate,
                              struct cli_doctor_report *report)
{
    if (certificate->path == NULL) {
        return;
    }
    const int days = certificate->days_left;
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, CLI_DOCTOR_HERE, "certificate",
                       certificate->found && days < 0           ? CLI_DOCTOR_FAIL
                       : certificate->found && days > DAYS_WARN ? CLI_DOCTOR_OK
                                                                : CLI_DOCTOR_WARN);
    if (!certificate->found) {
        cli_doctor_detail(finding, "no certificate could be read from %s %s", certificate->option,
                          certificate->path);
        cli_doctor_advice(finding, "give a file in PEM form");
    } else if (days < 0) {
        cli_doctor_detail(finding, "%s %s has expired, %d days ago", certificate->option,
                          certificate->path, -days);
        cli_doctor_advice(finding, "replace it: no new connection is made with it");
    } else {
        cli_doctor_detail(finding, "%s %s is good for %d days", certificate->option,
                          certificate->path, days);
        if (days <= DAYS_WARN) {
            cli_doctor_advice(finding, "replace it before; then restart whoever uses it");
        }
    }
}

void cli_doctor_judge_here(const struct cli_doctor_here *here, struct cli_doctor_report *report)
{
    judge_clock(here, report);
    judge_wall(here, report);
    judge_certificate(&here->authority, report);
    judge_certificate(&here->own, report);
}

/*
 * What versions of etcd are known for, as far as sessions, watches and elections feel it.  Progress
 * notifications that lie (before 3.4.25, 3.5.8) and events told twice are not here: our watches do
 * without the one and drop the other.
 */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAJOR = 3, MINOR_MIN = 4, LINES = 4 /* 3.4 .. 3.7 */, TOLD_MAX = 2 };

/* What matters most comes first. */
static const struct {
    const char *what;
    int fixed[LINES]; /* the first patch of each line without it; 0: no patch ever had it */
} BUGS[] = {
    {"it may lose or corrupt data after a crash under load", {0, 3, 0, 0}},
    {"an old leader, stuck or cut off, may renew or end leases it no longer rules", {31, 13, 0, 0}},
    {"a renewal may be answered though the lease has been revoked", {38, 23, 5, 0}},
    {"a watch that starves may lose events without being told", {31, 13, 0, 0}},
    {"a compaction may hide the end of a session from watches", {36, 18, 0, 0}},
    {"reads may be stale after a member was paused", {42, 28, 9, 0}},
    {"leases, alarms and members are open to anybody, with authentication on", {42, 28, 9, 0}},
    {"a new lease may be called lost at once by another member", {20, 3, 0, 0}},
    {"a watch may see more keys than its user may read", {0, 33, 14, 1}},
};
enum { BUG_COUNT = sizeof BUGS / sizeof BUGS[0] };

/* "3.4.23", "3.6.0-rc.1"; false: it is no such thing. */
static bool parse(const char *version, long numbers[3])
{
    const char *at = version;
    for (int i = 0; i < 3; i++) {
        char *end;
        if (at[0] < '0' || at[0] > '9') {
            return false;
        }
        numbers[i] = strtol(at, &end, 10);
        if (i < 2 && *end != '.') {
            return false;
        }
        at = end + 1;
    }
    return true;
}

static void say_too_old(struct cli_doctor_report *report, const char *endpoint, const char *version)
{
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, endpoint, "version", CLI_DOCTOR_FAIL);
    cli_doctor_detail(finding, "etcd %s is too old", version);
    cli_doctor_advice(finding, "upgrade to a maintained 3.5 or 3.6, release by release; 3.4 is the "
                               "oldest that works");
}

/* line: of LINES; patch: of the version. */
static void judge_known(struct cli_doctor_report *report, const char *endpoint, const char *version,
                        long line, long patch)
{
    const char *told[TOLD_MAX] = {0};
    int count = 0, wanted = 0;
    for (int i = 0; i < BUG_COUNT; i++) {
        const int fixed = BUGS[i].fixed[line];
        if (patch >= fixed) {
            continue;
        }
        if (count < TOLD_MAX) {
            told[count] = BUGS[i].what;
        }
        wanted = fixed > wanted ? fixed : wanted;
        count++;
    }
    struct cli_doctor_finding *finding =
        cli_doctor_add(report, endpoint, "version", count == 0 ? CLI_DOCTOR_OK : CLI_DOCTOR_WARN);
    if (count == 0) {
        cli_doctor_detail(finding, "etcd %s", version);
        return;
    }
    char more[40] = "";
    if (count > TOLD_MAX) {
        snprintf(more, sizeof more, "; and %d more", count - TOLD_MAX);
    }
    cli_doctor_detail(finding, "etcd %s has %d known bug%s: %s%s%s%s", version, count,
                      count == 1 ? "" : "s", told[0], count > 1 ? "; " : "",
                      count > 1 ? told[1] : "", more);
    cli_doctor_advice(finding, "upgrade to 3.%ld.%d or later%s", line + MINOR_MIN, wanted,
                      line == 0 ? ", or to 3.5: 3.4 is not maintained any more" : "");
}

void cli_doctor_judge_version(const char *endpoint, const char *version,
                              struct cli_doctor_report *report)
{
    long numbers[3];
    struct cli_doctor_finding *finding;
    if (version[0] == '\0') {
        finding = cli_doctor_add(report, endpoint, "version", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "not told, for the member has no leader");
    } else if (!parse(version, numbers)) {
        finding = cli_doctor_add(report, endpoint, "version", CLI_DOCTOR_WARN);
        cli_doctor_detail(finding, "\"%s\" is no version of etcd", version);
        cli_doctor_advice(finding, "check that the endpoint is an etcd of 3.4 or later");
    } else if (numbers[0] < MAJOR || (numbers[0] == MAJOR && numbers[1] < MINOR_MIN)) {
        say_too_old(report, endpoint, version);
    } else if (numbers[0] > MAJOR || numbers[1] >= MINOR_MIN + LINES) {
        finding = cli_doctor_add(report, endpoint, "version", CLI_DOCTOR_OK);
        cli_doctor_detail(finding, "etcd %s, newer than any that is known here", version);
    } else {
        judge_known(report, endpoint, version, numbers[1] - MINOR_MIN, numbers[2]);
    }
}

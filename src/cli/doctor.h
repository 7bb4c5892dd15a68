/*
 * cli/doctor.h - what `rollcall doctor` finds: facts in, findings out.
 *
 *     doctor_ask.c       asks every endpoint, in threads, and looks at this machine
 *     doctor_endpoint.c  judges one endpoint
 *     doctor_version.c   the bugs that versions of etcd are known for
 *     doctor_cluster.c   judges them all together
 *     doctor_here.c      judges this machine: its clock, its certificates
 *     doctor_report.c    the list of findings, and how it is printed
 *
 * All but the first are pure: the same facts give the same findings.
 *
 * Threads: one at a time.
 * Memory:  names and paths are borrowed, and outlive the report.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/options.h"
#include "cli/output.h"

#include <rollcall/health.h>

/* ---- facts ---- */

enum { CLI_DOCTOR_ENDPOINTS_MAX = 16 }; /* as many as a connection takes */

/* What came of asking an endpoint once. */
struct cli_doctor_answer {
    bool asked;
    struct rollcall_error error; /* status OK: `health` is filled */
    struct rollcall_health health;
};

struct cli_doctor_endpoint {
    const char *name;                      /* HOST:PORT, as it was given */
    struct cli_doctor_answer without_user; /* always asked */
    struct cli_doctor_answer with_user;    /* asked when a user was given */
};

struct cli_doctor_certificate {
    const char *option, *path; /* NULL: was not given */
    bool found;                /* a certificate was read from it */
    int days_left;             /* of the one that lasts longest; negative: it has expired */
};

enum cli_doctor_wall {
    CLI_DOCTOR_WALL_UNKNOWN,
    CLI_DOCTOR_WALL_FREE,
    CLI_DOCTOR_WALL_SYNCHRONISED
};

struct cli_doctor_here {
    bool boottime_works;
    int64_t suspended_ms; /* what CLOCK_BOOTTIME has counted, and CLOCK_MONOTONIC has not */
    enum cli_doctor_wall wall;
    struct cli_doctor_certificate authority, own;
};

struct cli_doctor_facts {
    const char *user; /* NULL: none */
    const char *root; /* as findings shall name it */
    bool tls;
    struct cli_doctor_here here;
    struct cli_doctor_endpoint endpoints[CLI_DOCTOR_ENDPOINTS_MAX];
    size_t endpoint_count;
};

/* ---- findings ---- */

enum cli_doctor_state { CLI_DOCTOR_OK, CLI_DOCTOR_WARN, CLI_DOCTOR_FAIL, CLI_DOCTOR_STATES };

#define CLI_DOCTOR_CLUSTER "cluster" /* in place of an endpoint: of all together, */
#define CLI_DOCTOR_HERE "here"       /* and of this machine */

enum { CLI_DOCTOR_DETAIL_BYTES = 400, CLI_DOCTOR_ADVICE_BYTES = 400 };
struct cli_doctor_finding {
    const char *endpoint, *check;
    enum cli_doctor_state state;
    char detail[CLI_DOCTOR_DETAIL_BYTES]; /* what was seen */
    char advice[CLI_DOCTOR_ADVICE_BYTES]; /* what to do; "": nothing */
};

/* A zeroed one is empty. */
struct cli_doctor_report {
    struct cli_doctor_finding *findings;
    size_t count, capacity;
    size_t states[CLI_DOCTOR_STATES]; /* how many of each */
    bool failed;                      /* out of memory: some are missing */
};

void cli_doctor_report_fini(struct cli_doctor_report *report);
/* A new finding, without detail and advice; never NULL.  Valid until the next is added. */
struct cli_doctor_finding *cli_doctor_add(struct cli_doctor_report *report, const char *endpoint,
                                          const char *check, enum cli_doctor_state state);
void cli_doctor_detail(struct cli_doctor_finding *finding, const char *format, ...)
    ROLLCALL_PRINTF(2, 3);
void cli_doctor_advice(struct cli_doctor_finding *finding, const char *format, ...)
    ROLLCALL_PRINTF(2, 3);

/* A sentence of the library: what is wrong, a colon, what to do. */
void cli_doctor_sentence(struct cli_doctor_finding *finding, const char *sentence);

/* Appends every finding to output->text: a line each, or an object each and one at the end. */
void cli_doctor_print(struct cli_output *output, const struct cli_doctor_report *report,
                      const struct cli_doctor_facts *facts);

/* ---- asking ---- */

/*
 * Fills *facts.  text: room for the endpoints' names, CLI_DOCTOR_NAMES_BYTES.
 * Returns: ROLLCALL_OK, whatever the endpoints answer; or what is wrong with the options.
 */
enum { CLI_DOCTOR_NAMES_BYTES = 8192 };
ROLLCALL_MUST_USE enum rollcall_status cli_doctor_ask(const struct cli_options *options,
                                                      struct cli_doctor_facts *facts, char *text,
                                                      struct rollcall_error *error);

/* ---- judging ---- */

/* What the endpoint told, to whichever of us; NULL: nothing. */
const struct rollcall_health *cli_doctor_health(const struct cli_doctor_endpoint *endpoint);
/* It answered, if only that it does not accept us. */
bool cli_doctor_answered(const struct cli_doctor_endpoint *endpoint);
size_t cli_doctor_answered_count(const struct cli_doctor_facts *facts);

void cli_doctor_judge(const struct cli_doctor_facts *facts, struct cli_doctor_report *report);
void cli_doctor_judge_endpoint(const struct cli_doctor_facts *facts,
                               const struct cli_doctor_endpoint *endpoint,
                               struct cli_doctor_report *report);
void cli_doctor_judge_version(const char *endpoint, const char *version,
                              struct cli_doctor_report *report);
void cli_doctor_judge_cluster(const struct cli_doctor_facts *facts,
                              struct cli_doctor_report *report);
void cli_doctor_judge_here(const struct cli_doctor_here *here, struct cli_doctor_report *report);

#endif /* CLI_DOCTOR_H */

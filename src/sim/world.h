/*
 * sim/world.h - one run of a scenario: begin, steps under faults, heal, end.
 * Threads: one.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim/sim.h"

#include <setjmp.h>

enum { ROLLCALL__INVARIANT_BYTES = 48, ROLLCALL__VIOLATION_BYTES = 256 };

/* What to run. */
struct rollcall__run {
    const struct rollcall_scenario *scenario;
    uint64_t seed, steps;
    const struct rollcall__fault_plan *plan; /* NULL: the seed's own */
    /* Where every message goes, or else, when something does not hold, a report; NULL: nowhere. */
    bool trace;
    void (*print)(void *user, const char *line);
    void *user;
    struct rollcall_matrix *matrix; /* NULL: not wanted */
};

/* What came of it. */
struct rollcall__outcome {
    char invariant[ROLLCALL__INVARIANT_BYTES]; /* "": everything held */
    char text[ROLLCALL__VIOLATION_BYTES];
    uint64_t step; /* of the violation; else of the end */
    uint64_t hash;
    int64_t simulated_ms;
    uint64_t taken[ROLLCALL_FAULT_COUNT];
    struct rollcall__fault_at list[ROLLCALL__FAULTS_TAKEN_MAX];
    size_t list_count;
};

/* Returns: ROLLCALL_OK, also when something did not hold; else why nothing was run. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__world_run(const struct rollcall__run *run,
                                                           struct rollcall__outcome *outcome,
                                                           struct rollcall_error *error);

#endif /* SIM_WORLD_H */

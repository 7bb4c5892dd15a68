/*
 * cli/sim_view.h - what `rollcall sim` tells: the lists, a line for each scenario, states by
 * faults.
 *
 * Threads: one at a time.
 */
#ifndef CLI_SIM_VIEW_H
#define CLI_SIM_VIEW_H

#include "cli/table.h"

#include <rollcall/testing.h>

/* The scenarios, and the faults with what each does. */
void cli_sim_list(struct cli_text *text, bool json);

/* One scenario that was run. */
struct cli_sim_run {
    const struct rollcall_scenario *scenario;
    uint64_t first_seed;
    int64_t took_ms; /* on the clock of this machine */
    const struct rollcall_explore_result *result;
};
void cli_sim_json(struct cli_text *text, const struct cli_sim_run *run);
enum { CLI_SIM_COLUMNS = 9 };
void cli_sim_header(struct cli_table *table);
void cli_sim_row(struct cli_table *table, const struct cli_sim_run *run);

/* One line, without its end: how far a scenario is. */
void cli_sim_progress(struct cli_text *text, const char *scenario, int64_t took_ms,
                      const struct rollcall_explore_progress *progress);

/* The matrix, and how many of its cells were visited. */
void cli_sim_matrix(struct cli_text *text, bool json, const struct rollcall_matrix *matrix);

#endif /* CLI_SIM_VIEW_H */

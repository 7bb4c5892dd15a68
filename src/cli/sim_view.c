#include "cli/sim_view.h"

#include "cli/json.h"

#include <rollcall/actor.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { MS_PER_HOUR = 3600 * 1000, NAME_COLUMNS = 16 };

/* ---- the lists ---- */

static void list_one(struct cli_text *text, bool json, const char *event, const char *name,
                     const char *about)
{
    if (json) {
        cli_json_begin(text, event);
        cli_json_string(text, "name", cli_bytes(name));
        cli_json_string(text, "about", cli_bytes(about));
        cli_json_end(text);
    } else {
        cli_text_format(text, "  %-*s%s\n", NAME_COLUMNS, name, about);
    }
}

void cli_sim_list(struct cli_text *text, bool json)
{
    const struct rollcall_scenario *scenario;
    cli_text_string(text, json ? "" : "Scenarios, for --scenario:\n");
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        list_one(text, json, "scenario", scenario->name, scenario->about);
    }
    cli_text_string(text, json ? "" : "\nFaults, for --faults:\n");
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        list_one(text, json, "fault", rollcall_fault_name((enum rollcall_fault)i),
                 rollcall_fault_about((enum rollcall_fault)i));
    }
}

/* ---- a scenario ---- */

static double per_second(uint64_t count, int64_t took_ms)
{
    return (double)count * 1000 / (double)(took_ms < 1 ? 1 : took_ms);
}

static void json_faults(struct cli_text *text, const uint64_t counts[ROLLCALL_FAULT_COUNT])
{
    struct cli_text object = {0};
    cli_text_string(&object, "{");
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        cli_text_format(&object, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",",
                        rollcall_fault_name((enum rollcall_fault)i), counts[i]);
    }
    cli_text_string(&object, "}");
    cli_json_stored(text, "faults",
                    (struct rollcall_bytes){object.data, object.failed ? 0 : object.size_bytes});
    text->failed = text->failed || object.failed;
    cli_text_fini(&object);
}

void cli_sim_json(struct cli_text *text, const struct cli_sim_run *run)
{
    const struct rollcall_explore_result *result = run->result;
    cli_json_begin(text, "sim");
    cli_json_string(text, "scenario", cli_bytes(run->scenario->name));
    cli_json_count(text, "first_seed", run->first_seed);
    cli_json_count(text, "seeds", result->seeds);
    cli_json_count(text, "steps", result->steps);
    cli_text_format(text, ",\"seeds_per_s\":%.1f", per_second(result->seeds, run->took_ms));
    cli_json_integer(text, "simulated_ms", result->simulated_ms);
    cli_text_format(text, ",\"hash\":\"%016" PRIx64 "\"", result->hash);
    cli_json_count(text, "violations", result->violations);
    json_faults(text, result->taken);
    if (result->violations != 0) {
        cli_json_count(text, "seed", result->seed);
        cli_json_count(text, "step", result->step);
        cli_json_string(text, "invariant", cli_bytes(result->invariant));
        cli_json_string(text, "text", cli_bytes(result->text));
        cli_json_string(text, "replay", cli_bytes(result->replay));
    }
    cli_json_end(text);
}

static void cell(struct cli_table *table, const char *format, ...) ROLLCALL_PRINTF(2, 3);
static void cell(struct cli_table *table, const char *format, ...)
{
    char text[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cli_table_cell(table, cli_bytes(text));
}

void cli_sim_header(struct cli_table *table)
{
    static const char *const names[CLI_SIM_COLUMNS] = {"SCENARIO", "FIRST-SEED", "SEEDS",
                                                       "STEPS",    "SEEDS/S",    "SIMULATED",
                                                       "FAULTS",   "HASH",       "VIOLATIONS"};
    for (size_t i = 0; i < CLI_SIM_COLUMNS; i++) {
        cli_table_cell(table, cli_bytes(names[i]));
    }
}

void cli_sim_row(struct cli_table *table, const struct cli_sim_run *run)
{
    const struct rollcall_explore_result *result = run->result;
    uint64_t faults = 0;
    for (size_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        faults += result->taken[i];
    }
    cell(table, "%s", run->scenario->name);
    cell(table, "%" PRIu64, run->first_seed);
    cell(table, "%" PRIu64, result->seeds);
    cell(table, "%" PRIu64, result->steps);
    cell(table, "%.0f", per_second(result->seeds, run->took_ms));
    cell(table, "%.1f h", (double)result->simulated_ms / MS_PER_HOUR);
    cell(table, "%" PRIu64, faults);
    cell(table, "%016" PRIx64, result->hash);
    cell(table, "%" PRIu64, result->violations);
}

void cli_sim_progress(struct cli_text *text, const char *scenario, int64_t took_ms,
                      const struct rollcall_explore_progress *progress)
{
    cli_text_format(text, "%s: %" PRIu64 " of %" PRIu64 " seeds, %.0f seeds/s, %.1f h simulated",
                    scenario, progress->seeds, progress->seeds_wanted,
                    per_second(progress->seeds, took_ms),
                    (double)progress->simulated_ms / MS_PER_HOUR);
}

/* ---- states by faults ---- */

static const char *state_of(const struct rollcall_matrix_row *row)
{
    return row->type->state_names[row->state];
}

static size_t count_visited(const struct rollcall_matrix *matrix)
{
    size_t count = 0;
    for (size_t i = 0; i < matrix->row_count; i++) {
        for (size_t fault = 0; fault < ROLLCALL_FAULT_COUNT; fault++) {
            count += matrix->rows[i].met[fault] != 0;
        }
    }
    return count;
}

static double percent(const struct rollcall_matrix *matrix)
{
    const size_t cells = matrix->row_count * ROLLCALL_FAULT_COUNT;
    return cells == 0 ? 0 : 100.0 * (double)count_visited(matrix) / (double)cells;
}

static void matrix_json(struct cli_text *text, const struct rollcall_matrix *matrix)
{
    for (size_t i = 0; i < matrix->row_count; i++) {
        const struct rollcall_matrix_row *row = &matrix->rows[i];
        cli_json_begin(text, "matrix");
        cli_json_string(text, "actor", cli_bytes(row->type->name));
        cli_json_string(text, "state", cli_bytes(state_of(row)));
        json_faults(text, row->met);
        cli_json_end(text);
    }
    cli_json_begin(text, "matrix_end");
    cli_json_count(text, "cells", matrix->row_count * ROLLCALL_FAULT_COUNT);
    cli_json_count(text, "visited", count_visited(matrix));
    cli_text_format(text, ",\"visited_percent\":%.1f", percent(matrix));
    cli_json_count(text, "left_out", matrix->left_out);
    cli_json_end(text);
}

/* The columns of some faults: all of them in one table are wider than a screen. */
static void matrix_part(struct cli_text *text, const struct rollcall_matrix *matrix, int from,
                        int to)
{
    struct cli_table table = {.columns = (size_t)(1 + to - from)};
    cell(&table, "%s", "STATE");
    for (int fault = from; fault < to; fault++) {
        cell(&table, "%s", rollcall_fault_name((enum rollcall_fault)fault));
    }
    for (size_t i = 0; i < matrix->row_count; i++) {
        const struct rollcall_matrix_row *row = &matrix->rows[i];
        cell(&table, "%s/%s", row->type->name, state_of(row));
        for (int fault = from; fault < to; fault++) {
            cell(&table, row->met[fault] == 0 ? "." : "%" PRIu64, row->met[fault]);
        }
    }
    cli_table_print(&table, text);
    cli_text_string(text, "\n");
    cli_table_fini(&table);
}

void cli_sim_matrix(struct cli_text *text, bool json, const struct rollcall_matrix *matrix)
{
    enum { PART = 10 };
    if (json) {
        matrix_json(text, matrix);
        return;
    }
    cli_text_string(text, "\n");
    if (matrix->row_count == 0) {
        cli_text_string(text, "no fault has happened, so no state has met one\n");
        return;
    }
    for (int from = 0; from < ROLLCALL_FAULT_COUNT; from += PART) {
        matrix_part(text, matrix, from,
                    from + PART < ROLLCALL_FAULT_COUNT ? from + PART : ROLLCALL_FAULT_COUNT);
    }
    cli_text_format(text, "visited: %zu of %zu cells, %.1f %%\n", count_visited(matrix),
                    matrix->row_count * ROLLCALL_FAULT_COUNT, percent(matrix));
    if (matrix->left_out != 0) {
        cli_text_format(text, "no room for all states: %" PRIu64 " visits are not shown\n",
                        matrix->left_out);
    }
}

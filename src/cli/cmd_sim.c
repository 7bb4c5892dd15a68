/* `rollcall sim`: explores the library's scenarios, and tells how to replay what does not hold. */
#include "cli/commands.h"

#include "cli/interrupt.h"
#include "cli/sim_view.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_EVERY_MS = 200 };

struct simulation {
    const struct cli_options *options;
    struct cli_output *output;
    uint64_t first_seed;
    struct rollcall_matrix *matrix; /* NULL: not wanted */
    struct cli_table table;
    /* The scenario of now. */
    const struct rollcall_scenario *scenario;
    int64_t began_ms, told_ms; /* told_ms: of any scenario */
    bool live, line;           /* stderr is a terminal; it shows a line that says how far we are */
};

static int64_t clock_ms(void)
{
    struct timespec now;
    /* tidy: allow - how fast it is on this machine, which no simulation knows */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- stderr ---- */

static void erase_line(struct simulation *sim)
{
    struct cli_text text = {0};
    if (sim->line) {
        cli_text_string(&text, "\r\x1b[K");
        cli_output_stderr(&text);
        cli_text_fini(&text);
        sim->line = false;
    }
}

static void print_line(void *user, const char *line)
{
    struct simulation *sim = user;
    struct cli_text text = {0};
    erase_line(sim);
    cli_text_printable(&text, cli_bytes(line));
    cli_text_string(&text, "\n");
    cli_output_stderr(&text);
    cli_text_fini(&text);
}

/* After each seed; false: end here. */
static bool on_progress(void *user, const struct rollcall_explore_progress *progress)
{
    struct simulation *sim = user;
    const int64_t now_ms = clock_ms();
    if (sim->live && now_ms >= sim->told_ms + PROGRESS_EVERY_MS) {
        struct cli_text text = {0};
        cli_text_string(&text, "\r");
        cli_sim_progress(&text, sim->scenario->name, now_ms - sim->began_ms, progress);
        cli_text_string(&text, "\x1b[K");
        cli_output_stderr(&text);
        cli_text_fini(&text);
        sim->line = true;
        sim->told_ms = now_ms;
    }
    return !cli_interrupted() && cli_output_has_reader(sim->output);
}

/* ---- scenarios ---- */

static void show(struct simulation *sim, const struct rollcall_explore_result *result)
{
    const struct cli_sim_run run = {.scenario = sim->scenario,
                                    .first_seed = sim->first_seed,
                                    .took_ms = clock_ms() - sim->began_ms,
                                    .result = result};
    if (sim->output->json) {
        cli_sim_json(&sim->output->text, &run);
        cli_output_flush(sim->output);
    } else {
        cli_sim_row(&sim->table, &run);
    }
}

/* Returns ROLLCALL_E_ACTOR when something does not hold. */
static enum rollcall_status explore(struct simulation *sim,
                                    const struct rollcall_scenario *scenario,
                                    struct rollcall_error *error)
{
    const struct cli_options *options = sim->options;
    struct rollcall_explore_result result;
    sim->scenario = scenario;
    sim->began_ms = clock_ms();
    const enum rollcall_status status = rollcall_explore(
        scenario,
        ROLLCALL_EXPLORE_OPTIONS(.first_seed = sim->first_seed, .seeds = (uint64_t)options->seeds,
                                 .steps = (uint64_t)options->steps, .faults = options->faults,
                                 .trace = options->trace, .keep_going = options->keep_going,
                                 .on_progress = on_progress, .print = print_line, .user = sim,
                                 .matrix = sim->matrix),
        &result, error);
    erase_line(sim);
    if (status == ROLLCALL_OK || status == ROLLCALL_E_ACTOR) {
        show(sim, &result);
    }
    return status;
}

/* Returns the exit code. */
static int explore_all(struct simulation *sim)
{
    const struct cli_options *options = sim->options;
    const struct rollcall_scenario *scenario;
    int code = CLI_EXIT_DONE;
    bool known = false;
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        struct rollcall_error error = {0};
        if (options->scenario != NULL && strcmp(options->scenario, scenario->name) != 0) {
            continue;
        }
        known = true;
        const enum rollcall_status status = explore(sim, scenario, &error);
        if (status != ROLLCALL_OK) {
            error.status = status;
            code = cli_output_fail(sim->output, &error);
        }
        if (cli_interrupted() || sim->output->closed ||
            (status != ROLLCALL_OK && (status != ROLLCALL_E_ACTOR || !options->keep_going))) {
            break;
        }
    }
    if (!known) {
        struct rollcall_error error;
        rollcall_error_set(&error, ROLLCALL_E_INVALID,
                           "there is no scenario \"%.80s\": `rollcall sim --list` names them",
                           options->scenario);
        return cli_output_fail(sim->output, &error);
    }
    return code == CLI_EXIT_DONE && cli_interrupted() ? CLI_EXIT_INTERRUPTED : code;
}

/* ---- the command ---- */

/* A first seed that nobody has chosen; 0: the system has no entropy. */
static uint64_t draw_seed(void)
{
    uint64_t drawn = 0;
    /* tidy: allow - a new seed each time is what was asked for; all else follows from it */
    if (getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
        return 0;
    }
    return (drawn >> 16) + 1; /* 48 bits: exact in every reader of JSON, and to be typed again */
}

static bool choose_seed(struct simulation *sim)
{
    sim->first_seed = (uint64_t)sim->options->first_seed;
    if (sim->options->first_seed != 0) {
        return true;
    }
    sim->first_seed = draw_seed();
    if (sim->first_seed == 0) {
        cli_notice("the system gives no random numbers: choose a seed with --first-seed");
        return false;
    }
    cli_notice("--first-seed %llu", (unsigned long long)sim->first_seed);
    return true;
}

static void print_tables(struct simulation *sim)
{
    struct cli_text *text = &sim->output->text;
    if (!sim->output->json) {
        cli_table_print(&sim->table, text);
    }
    if (sim->matrix != NULL) {
        cli_sim_matrix(text, sim->output->json, sim->matrix);
    }
    cli_output_flush(sim->output);
}

int cli_sim(const struct cli_options *options, struct cli_output *output)
{
    struct simulation sim = {.options = options,
                             .output = output,
                             .table = {.columns = CLI_SIM_COLUMNS},
                             .live = isatty(STDERR_FILENO) != 0};
    if (options->list) {
        cli_sim_list(&output->text, output->json);
        cli_output_flush(output);
        return CLI_EXIT_DONE;
    }
    cli_interrupt_again_exits();
    if (options->matrix && (sim.matrix = calloc(1, sizeof *sim.matrix)) == NULL) {
        cli_notice("out of memory");
        return CLI_EXIT_FAILED;
    }
    int code = CLI_EXIT_FAILED;
    if (choose_seed(&sim)) {
        cli_sim_header(&sim.table);
        code = explore_all(&sim);
        if (code != CLI_EXIT_USAGE) {
            print_tables(&sim);
        }
    }
    cli_table_fini(&sim.table);
    free(sim.matrix);
    return code;
}

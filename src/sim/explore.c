/* sim/explore.c - many seeds; of one that fails, the fewest faults with which it still does. */
#include "base/options.h"
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_DEFAULT = 1000, STEPS_DEFAULT = 1000, SHRINK_RUNS_MAX = 400 };

struct explorer {
    const struct rollcall_scenario *scenario;
    struct rollcall_explore_options options;
    struct rollcall__fault_plan plan; /* what was asked for */
    bool planned;
    struct rollcall__fault_at *script;
    struct rollcall__outcome outcome;
    struct rollcall_explore_result *result;
};

static void print_line(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line); /* tidy: allow - where a report goes when nobody takes it */
}

static void print(const struct explorer *ex, const char *line)
{
    ex->options.print(ex->options.user, line);
}

static struct rollcall__run run_of(const struct explorer *ex, uint64_t seed)
{
    return (struct rollcall__run){.scenario = ex->scenario,
                                  .seed = seed,
                                  .steps = ex->options.steps,
                                  .plan = ex->planned ? &ex->plan : NULL,
                                  .trace = ex->options.trace,
                                  .print = ex->options.trace ? ex->options.print : NULL,
                                  .user = ex->options.user};
}

/* ---- shrinking (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002,
 * without its complements: dropping a part at a time finds as little, and is simpler) ---- */

struct shrinking {
    struct rollcall__run run;
    struct rollcall__fault_plan plan;
    struct rollcall__fault_at kept[ROLLCALL__FAULTS_TAKEN_MAX], tried[ROLLCALL__FAULTS_TAKEN_MAX];
    size_t kept_count;
    char invariant[ROLLCALL__INVARIANT_BYTES];
    uint32_t runs;
    struct rollcall__outcome outcome;
};

/* Whether the same invariant fails with these faults alone. */
static bool still_fails(struct shrinking *sh, const struct rollcall__fault_at *faults, size_t count)
{
    sh->plan =
        (struct rollcall__fault_plan){.scripted = true, .script = faults, .script_count = count};
    sh->runs++;
    return rollcall__world_run(&sh->run, &sh->outcome, NULL) == ROLLCALL_OK &&
           strcmp(sh->outcome.invariant, sh->invariant) == 0;
}

/* Tries without each part of `size` faults; true: some could be left out. */
static bool drop_parts(struct shrinking *sh, size_t size)
{
    bool dropped = false;
    for (size_t at = 0; at < sh->kept_count && sh->runs < SHRINK_RUNS_MAX;) {
        const size_t end = at + size < sh->kept_count ? at + size : sh->kept_count;
        const size_t count = sh->kept_count - (end - at);
        memcpy(sh->tried, sh->kept, at * sizeof sh->kept[0]);
        memcpy(sh->tried + at, sh->kept + end, (sh->kept_count - end) * sizeof sh->kept[0]);
        if (still_fails(sh, sh->tried, count)) {
            memcpy(sh->kept, sh->tried, count * sizeof sh->kept[0]);
            sh->kept_count = count;
            dropped = true;
        } else {
            at = end;
        }
    }
    return dropped;
}

/* Writes nothing when they do not fit: with a part of them nothing could be replayed. */
static void write_faults(const struct shrinking *sh, char *text, size_t size_bytes)
{
    size_t used = 0;
    snprintf(text, size_bytes, "none");
    for (size_t i = 0; i < sh->kept_count && used < size_bytes; i++) {
        used += (size_t)snprintf(text + used, size_bytes - used, "%s%s@%" PRIu64, i == 0 ? "" : ",",
                                 rollcall_fault_name(sh->kept[i].fault), sh->kept[i].nth);
    }
    if (used >= size_bytes) {
        text[0] = '\0';
    }
}

/* The faults of the last outcome, and of them as few as it takes. */
static void shrink(struct explorer *ex, uint64_t seed, struct shrinking *sh)
{
    sh->run = run_of(ex, seed);
    sh->run.plan = &sh->plan;
    sh->run.trace = false;
    sh->run.print = NULL;
    memcpy(sh->invariant, ex->outcome.invariant, sizeof sh->invariant);
    sh->kept_count = ex->outcome.list_count;
    memcpy(sh->kept, ex->outcome.list, sh->kept_count * sizeof sh->kept[0]);
    if (!still_fails(sh, sh->kept, sh->kept_count)) {
        return; /* more were taken than are listed: the seed's own mix is the way to replay it */
    }
    for (size_t size = (sh->kept_count + 1) / 2; size > 0;) {
        const bool dropped = drop_parts(sh, size);
        size = size > 1 ? size / 2 : dropped && sh->runs < SHRINK_RUNS_MAX ? 1 : 0;
    }
}

/* ---- the report ---- */

static void write_replay(const struct explorer *ex, uint64_t seed)
{
    struct rollcall_explore_result *result = ex->result;
    const char *faults = result->faults[0] != '\0' ? result->faults : ex->options.faults;
    snprintf(result->replay, sizeof result->replay,
             "%s --scenario %s --first-seed %" PRIu64 " --seeds 1 --steps %" PRIu64 "%s%s --trace",
             ex->options.command, ex->scenario->name, seed, ex->options.steps,
             faults != NULL ? " --faults " : "", faults != NULL ? faults : "");
}

static void note_outcome(struct rollcall_explore_result *result,
                         const struct rollcall__outcome *outcome)
{
    result->step = outcome->step;
    memcpy(result->invariant, outcome->invariant, sizeof result->invariant);
    memcpy(result->text, outcome->text, sizeof result->text);
}

static void explain(struct explorer *ex, uint64_t seed)
{
    struct rollcall_explore_result *result = ex->result;
    struct shrinking *sh = calloc(1, sizeof *sh);
    char line[sizeof result->replay + 16];
    write_replay(ex, seed);
    if (sh == NULL) {
        return;
    }
    shrink(ex, seed, sh);
    const bool replayable = still_fails(sh, sh->kept, sh->kept_count);
    if (replayable) {
        note_outcome(result, &sh->outcome); /* of the run that they will see */
        write_faults(sh, result->faults, sizeof result->faults);
        write_replay(ex, seed);
    }
    sh->run.print = ex->options.print;
    sh->run.plan = replayable ? &sh->plan : ex->planned ? &ex->plan : NULL;
    snprintf(line, sizeof line, "seed %" PRIu64 " of %s fails at step %" PRIu64, seed,
             ex->scenario->name, result->step);
    print(ex, line);
    ROLLCALL_DROP(rollcall__world_run(&sh->run, &sh->outcome, NULL), "it has run before");
    snprintf(line, sizeof line, "replay: %s", result->replay);
    print(ex, line);
    free(sh);
}

/* ---- seeds ---- */

static void note_violation(struct explorer *ex, uint64_t seed)
{
    struct rollcall_explore_result *result = ex->result;
    if (result->violations++ != 0) {
        return;
    }
    result->seed = seed;
    note_outcome(result, &ex->outcome);
    explain(ex, seed);
}

/* False: that is enough. */
static bool tell_progress(const struct explorer *ex)
{
    const struct rollcall_explore_progress progress = {.seeds = ex->result->seeds,
                                                       .seeds_wanted = ex->options.seeds,
                                                       .steps = ex->result->steps,
                                                       .simulated_ms = ex->result->simulated_ms};
    return ex->options.on_progress == NULL || ex->options.on_progress(ex->options.user, &progress);
}

static enum rollcall_status run_seed(struct explorer *ex, uint64_t seed,
                                     struct rollcall_error *error)
{
    struct rollcall_explore_result *result = ex->result;
    struct rollcall__run run = run_of(ex, seed);
    run.matrix = ex->options.matrix;
    const enum rollcall_status status = rollcall__world_run(&run, &ex->outcome, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    result->seeds++;
    result->steps += ex->outcome.step;
    result->simulated_ms += ex->outcome.simulated_ms;
    result->hash = result->hash * UINT64_C(1099511628211) ^ ex->outcome.hash;
    for (size_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        result->taken[i] += ex->outcome.taken[i];
    }
    if (ex->outcome.invariant[0] != '\0') {
        note_violation(ex, seed);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status run_seeds(struct explorer *ex, struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    bool goes_on = true;
    for (uint64_t i = 0; i < ex->options.seeds && status == ROLLCALL_OK && goes_on; i++) {
        status = run_seed(ex, ex->options.first_seed + i, error);
        goes_on = tell_progress(ex) && (ex->result->violations == 0 || ex->options.keep_going);
    }
    return status;
}

static enum rollcall_status check(const struct rollcall_scenario *scenario, struct explorer *ex,
                                  struct rollcall_error *error)
{
    struct rollcall_explore_options *o = &ex->options;
    if (scenario == NULL || scenario->size_bytes != sizeof *scenario || scenario->name == NULL ||
        scenario->begin == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "explore: a scenario needs ROLLCALL_SCENARIO, a name and begin");
    }
    o->first_seed = o->first_seed == 0 ? 1 : o->first_seed;
    o->seeds = o->seeds == 0 ? SEEDS_DEFAULT : o->seeds;
    o->steps = o->steps == 0 ? STEPS_DEFAULT : o->steps;
    o->print = o->print == NULL ? print_line : o->print;
    o->command = o->command == NULL ? "rollcall sim" : o->command;
    ex->planned = o->faults != NULL;
    return ex->planned ? rollcall__fault_plan_parse(o->faults, &ex->plan, &ex->script, error)
                       : ROLLCALL_OK;
}

enum rollcall_status rollcall_explore(const struct rollcall_scenario *scenario,
                                      const struct rollcall_explore_options *options,
                                      struct rollcall_explore_result *result,
                                      struct rollcall_error *error)
{
    struct explorer *ex = calloc(1, sizeof *ex);
    if (ex == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "explore: out of memory");
    }
    *result = (struct rollcall_explore_result){.seeds = 0};
    ex->scenario = scenario;
    ex->result = result;
    enum rollcall_status status = rollcall__options_copy(&ex->options, sizeof ex->options, options,
                                                         "rollcall_explore_options", error);
    if (status == ROLLCALL_OK) {
        status = check(scenario, ex, error);
    }
    if (status == ROLLCALL_OK) {
        status = run_seeds(ex, error);
    }
    if (status == ROLLCALL_OK && result->violations != 0) {
        status = rollcall_error_set(error, ROLLCALL_E_ACTOR, "seed %" PRIu64 " of %s: %s: %.160s",
                                    result->seed, scenario->name, result->invariant, result->text);
    }
    free(ex->script);
    free(ex);
    return status;
}

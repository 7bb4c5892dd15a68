/*
 * seeds - many seeds of the library's own scenarios.
 *
 *     sim.seeds kept FILE        every line of seeds.txt holds
 *     sim.seeds fresh            so do ROLLCALL_SIM_SEEDS new ones, in all; drawn from
 * ROLLCALL_SEED sim.seeds hashes           says what hashes.txt should hold sim.seeds hashes FILE
 * and whether it does
 */
#include <rollcall/testing.h>

#include "base/random.h"
#include "support/seed.h"

#include <stdbool.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { FRESH_SEEDS = 100 };
#else
enum { FRESH_SEEDS = 2000 };
#endif
enum { STEPS = 1000, HASHED_SEEDS = 20, WORD_BYTES = 64, LINE_BYTES = 2048 };

/* ---- scenarios ---- */

static void fail_at_once(struct rollcall_world *world, void *state)
{
    (void)state;
    rollcall_world_violate(world, "planted", "it fails with every seed");
}

/* For the test of this program: a list with one that fails does not pass. */
static const struct rollcall_scenario PLANTED =
    ROLLCALL_SCENARIO(.name = "planted", .about = "fails", .begin = fail_at_once);

static const struct rollcall_scenario *find_scenario(const char *name)
{
    const struct rollcall_scenario *scenario;
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        if (strcmp(scenario->name, name) == 0) {
            return scenario;
        }
    }
    return strcmp(name, PLANTED.name) == 0 ? &PLANTED : NULL;
}

static void print_nothing(void *user, const char *line)
{
    (void)user, (void)line;
}

/* True: all hold.  Else it has said why, and with what line of seeds.txt to keep it. */
static bool holds(const struct rollcall_scenario *scenario,
                  const struct rollcall_explore_options *options,
                  struct rollcall_explore_result *result)
{
    struct rollcall_error error;
    const enum rollcall_status status = rollcall_explore(scenario, options, result, &error);
    if (status == ROLLCALL_E_ACTOR) {
        const char *asked = options->faults == NULL ? "drawn" : options->faults;
        fprintf(stderr, "to keep it: %s %" PRIu64 " %" PRIu64 " %s  # %s: %s\n", scenario->name,
                result->seed, options->steps, result->faults[0] == '\0' ? asked : result->faults,
                result->invariant, result->text);
    } else if (status != ROLLCALL_OK) {
        fprintf(stderr, "%s: %s\n", scenario->name, error.text);
    }
    return status == ROLLCALL_OK;
}

/* ---- kept ---- */

/* "scenario seed steps faults", without its comment; false: it has said what is wrong with it. */
static bool replay_line(const char *line, int number)
{
    char name[WORD_BYTES], faults[LINE_BYTES], rest[2];
    uint64_t seed, steps;
    struct rollcall_explore_result result;
    const int count =
        sscanf(line, "%63s %" SCNu64 " %" SCNu64 " %2047s %1s", name, &seed, &steps, faults, rest);
    const struct rollcall_scenario *scenario = count >= 1 ? find_scenario(name) : NULL;
    if (count != 4 || scenario == NULL || seed == 0) {
        fprintf(stderr, "line %d: %s\n", number,
                count != 4         ? "it is not: SCENARIO SEED STEPS FAULTS  # why"
                : scenario == NULL ? "no scenario has that name"
                                   : "a seed is 1 or more");
        return false;
    }
    return holds(scenario,
                 ROLLCALL_EXPLORE_OPTIONS(.first_seed = seed, .seeds = 1, .steps = steps,
                                          .faults = strcmp(faults, "drawn") == 0 ? NULL : faults),
                 &result);
}

static int replay_kept(const char *path)
{
    char line[LINE_BYTES];
    int number = 0, passed = 0, failed = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        number++;
        line[strcspn(line, "#\n")] = '\0';
        if (line[strspn(line, " ")] != '\0') {
            const bool held = replay_line(line, number);
            passed += held;
            failed += !held;
        }
    }
    fclose(file);
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- fresh ---- */

static uint64_t seeds_wanted(void)
{
    const char *text = getenv("ROLLCALL_SIM_SEEDS");
    if (text == NULL || *text == '\0') {
        return FRESH_SEEDS;
    }
    char *end = NULL;
    const uint64_t wanted = strtoull(text, &end, 10);
    if (*end != '\0' || wanted == 0) {
        fprintf(stderr, "ROLLCALL_SIM_SEEDS is \"%s\": give a number from 1 on\n", text);
        exit(EXIT_FAILURE);
    }
    return wanted;
}

static int run_fresh(void)
{
    const uint64_t first = seed_of_test(rollcall__random_entropy() >> 1 | 1); /* room to count up */
    const uint64_t wanted = seeds_wanted();
    const struct rollcall_scenario *scenario;
    size_t count = 0;
    int failed = 0;
    while (rollcall_scenario_at(count) != NULL) {
        count++;
    }
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        struct rollcall_explore_result result;
        const bool held = holds(scenario,
                                ROLLCALL_EXPLORE_OPTIONS(.first_seed = first, .steps = STEPS,
                                                         .seeds = (wanted + count - 1) / count),
                                &result);
        failed += !held;
        printf("%-12s %" PRIu64 " seeds, %" PRIu64 " steps: %s\n", scenario->name, result.seeds,
               result.steps, held ? "held" : "FAILED");
    }
    printf("%d passed, %d failed\n", (int)count - failed, failed);
    return failed == 0 && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- hashes ---- */

/* Every fault but failing allocations, for how often a build allocates is its own affair, and but
 * those that only a scenario with a list of faults draws. */
static void write_faults(const struct rollcall_scenario *scenario, char *text, size_t size_bytes)
{
    size_t used = 0;
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        const bool drawn = i < ROLLCALL_FAULT_MEMORY || scenario->faults != NULL;
        if (i != ROLLCALL_FAULT_MEMORY && drawn) {
            used +=
                (size_t)snprintf(text + used, size_bytes - used, "%s%s=0.005", used == 0 ? "" : ",",
                                 rollcall_fault_name((enum rollcall_fault)i));
        }
    }
}

static bool hash_scenario(const struct rollcall_scenario *scenario, char *line, size_t size_bytes)
{
    char faults[1024];
    struct rollcall_error error;
    struct rollcall_explore_result result;
    write_faults(scenario, faults, sizeof faults);
    const enum rollcall_status status = rollcall_explore(
        scenario,
        ROLLCALL_EXPLORE_OPTIONS(.first_seed = 1, .seeds = HASHED_SEEDS, .steps = STEPS,
                                 .faults = faults, .keep_going = true, .print = print_nothing),
        &result, &error);
    if (status != ROLLCALL_OK && status != ROLLCALL_E_ACTOR) { /* whether they hold, others say */
        fprintf(stderr, "%s: %s\n", scenario->name, error.text);
        return false;
    }
    snprintf(line, size_bytes, "%s %016" PRIx64 "\n", scenario->name, result.hash);
    return true;
}

static bool has_line(const char *path, const char *wanted)
{
    char line[LINE_BYTES];
    bool found = false;
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strcmp(line, wanted) == 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* path: NULL: only says what they are. */
static int check_hashes(const char *path)
{
    const struct rollcall_scenario *scenario;
    int passed = 0, failed = 0;
    for (size_t i = 0; (scenario = rollcall_scenario_at(i)) != NULL; i++) {
        char line[LINE_BYTES];
        const bool same =
            hash_scenario(scenario, line, sizeof line) && (path == NULL || has_line(path, line));
        if (path == NULL || !same) {
            printf("%s", line);
        }
        passed += same;
        failed += !same;
    }
    if (failed > 0) {
        printf("%s holds others. If actors, simulator or scenarios are meant to do something else\n"
               "now, renew it: build/release/tests/sim.seeds hashes >tests/simulation/hashes.txt\n"
               "If not, or if only one kind of build says so, runs differ that must be the same.\n",
               path);
    }
    if (path != NULL) {
        printf("%d passed, %d failed\n", passed, failed);
    }
    return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "kept") == 0 && argc == 3) {
        return replay_kept(argv[2]);
    }
    if (strcmp(what, "fresh") == 0 && argc == 2) {
        return run_fresh();
    }
    if (strcmp(what, "hashes") == 0 && argc <= 3) {
        return check_hashes(argc == 3 ? argv[2] : NULL);
    }
    fprintf(stderr, "sim.seeds kept FILE | fresh | hashes [FILE]\n");
    return EXIT_FAILURE;
}

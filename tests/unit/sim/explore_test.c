/*
 * What rollcall_explore tells besides violations: states by faults, how far it is, how to replay.
 * A lamp tells itself to switch, every LIT_MS and as often as it likes; each telling is an
 * opportunity for FULL, from OFF the odd ones and from ON the even ones.
 */
#include "support/test.h"

#include <rollcall/actor.h>
#include <rollcall/testing.h>

enum { LIT_MS = 10 };

#define LAMP_LIST(X) X(LAMP_TICK, 0) X(LAMP_SWITCH, 0)
ROLLCALL_MESSAGES(lamp_message, LAMP_LIST, LAMP_COUNT);
static uint64_t refused; /* in the run of now */

enum lamp_state { OFF, ON, BROKEN, LAMP_STATES };

static int on_tick(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)self, (void)message;
    if (rollcall_send(cx, rollcall_self(cx), LAMP_SWITCH, NULL, 0) != ROLLCALL_OK) {
        refused++;
    }
    rollcall_timer_set(cx, LAMP_TICK, rollcall_now_ms(cx) + LIT_MS);
    return ROLLCALL_STAY;
}

static int switch_on(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return ON;
}

static int switch_off(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return OFF;
}

static int light(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    rollcall_timer_set(cx, LAMP_TICK, rollcall_now_ms(cx) + LIT_MS);
    return OFF;
}

static const struct rollcall_cell TABLE[LAMP_STATES][LAMP_COUNT] = {
    [OFF] = {[LAMP_TICK] = {on_tick, 0}, [LAMP_SWITCH] = {switch_on, ROLLCALL_TO(ON)}},
    [ON] = {[LAMP_TICK] = {on_tick, 0}, [LAMP_SWITCH] = {switch_off, ROLLCALL_TO(OFF)}},
};
static const char *const STATES[] = {"OFF", "ON", "BROKEN"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(LAMP_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(LAMP_LIST);
#define LAMP(count)                                                                                \
    {                                                                                              \
        .name = "lamp", .init = light, .state_count = (count), .message_count = LAMP_COUNT,        \
        .state_names = STATES, .message_names = NAMES, .payload_sizes = SIZES, .table = TABLE[0]   \
    }
static const struct rollcall_actor_type lamp = LAMP(LAMP_STATES);

static void begin(struct rollcall_world *world, void *state)
{
    struct rollcall_runtime *runtime = rollcall_sim_runtime(rollcall_world_sim(world));
    struct rollcall_ref ref;
    (void)state;
    refused = 0;
    CHECK_INT(rollcall_runtime_spawn(runtime, 0, ROLLCALL_SPAWN_OPTIONS(.type = &lamp), &ref, NULL),
              ROLLCALL_OK);
}

static void end(struct rollcall_world *world, void *state)
{
    (void)state;
    if (rollcall_world_faulty(world)) {
        rollcall_world_violate(world, "always-told", "the lamp could not tell itself");
    }
}

static const struct rollcall_scenario PLAIN =
    ROLLCALL_SCENARIO(.name = "plain", .heal_ms = 1000, .begin = begin);
static const struct rollcall_scenario STRICT =
    ROLLCALL_SCENARIO(.name = "strict", .heal_ms = 1000, .begin = begin, .end = end);

/* The result of a run that has one. */
static struct rollcall_explore_result explore(const struct rollcall_scenario *scenario,
                                              const struct rollcall_explore_options *options)
{
    struct rollcall_explore_result result;
    const enum rollcall_status status = rollcall_explore(scenario, options, &result, NULL);
    CHECK(status == ROLLCALL_OK || status == ROLLCALL_E_ACTOR);
    CHECK_INT(status == ROLLCALL_E_ACTOR, result.violations != 0);
    return result;
}
#define EXPLORE(scenario, ...) explore(scenario, ROLLCALL_EXPLORE_OPTIONS(__VA_ARGS__))

static uint64_t met(const struct rollcall_matrix *matrix, enum lamp_state state)
{
    CHECK_INT(matrix->row_count, LAMP_STATES);
    CHECK(matrix->rows[state].type == &lamp);
    CHECK_INT(matrix->rows[state].state, state);
    return matrix->rows[state].met[ROLLCALL_FAULT_FULL];
}

TEST(explore, the_matrix_counts_the_state_in_which_a_fault_finds_an_actor)
{
    static struct rollcall_matrix matrix;
    EXPLORE(&PLAIN, .seeds = 1, .faults = "full@1", .matrix = &matrix);
    CHECK_INT(met(&matrix, OFF), 1);
    CHECK_INT(met(&matrix, ON), 0);
    EXPLORE(&PLAIN, .seeds = 1, .faults = "full@2,full@4", .matrix = &matrix); /* is told twice */
    CHECK_INT(met(&matrix, OFF), 1 + 1);
    CHECK_INT(met(&matrix, ON), 1);
    CHECK_INT(met(&matrix, BROKEN), 0);
    CHECK_INT(matrix.left_out, 0);
}

TEST(explore, every_fault_is_in_the_matrix_once)
{
    static struct rollcall_matrix matrix;
    const struct rollcall_explore_result result =
        EXPLORE(&PLAIN, .seeds = 50, .faults = "full=0.1", .matrix = &matrix);
    CHECK(met(&matrix, OFF) > 0 && met(&matrix, ON) > 0);
    CHECK_INT(met(&matrix, OFF) + met(&matrix, ON), result.taken[ROLLCALL_FAULT_FULL]);
}

TEST(explore, the_matrix_is_of_the_seeds_not_of_what_explains_a_failure)
{
    static struct rollcall_matrix matrix;
    const struct rollcall_explore_result result =
        EXPLORE(&STRICT, .seeds = 1, .faults = "full=0.1", .matrix = &matrix);
    CHECK_INT(result.violations, 1);
    CHECK_INT(met(&matrix, OFF) + met(&matrix, ON), result.taken[ROLLCALL_FAULT_FULL]);
}

TEST(explore, a_matrix_without_room_for_a_type_counts_what_it_leaves_out)
{
    static const struct rollcall_actor_type other = LAMP(ROLLCALL_MATRIX_ROWS_MAX - 2);
    static struct rollcall_matrix matrix = {.row_count = ROLLCALL_MATRIX_ROWS_MAX - 2};
    matrix.rows[0].type = &other; /* has been seen before */
    EXPLORE(&PLAIN, .seeds = 1, .faults = "full@1,full@2", .matrix = &matrix);
    CHECK_INT(matrix.row_count, ROLLCALL_MATRIX_ROWS_MAX - 2);
    CHECK_INT(matrix.left_out, 2);
}

TEST(explore, a_matrix_changes_no_run)
{
    static struct rollcall_matrix matrix;
    const uint64_t with = EXPLORE(&PLAIN, .seeds = 20, .matrix = &matrix).hash;
    const uint64_t without = EXPLORE(&PLAIN, .seeds = 20).hash;
    CHECK(with == without);
}

/* ---- how far it is ---- */

static bool stop_at_three(void *user, const struct rollcall_explore_progress *progress)
{
    uint64_t *calls = user;
    CHECK_INT(progress->seeds, ++*calls);
    CHECK_INT(progress->seeds_wanted, 10);
    CHECK(progress->simulated_ms > 0);
    return *calls < 3;
}

TEST(explore, ends_after_the_seed_at_which_it_is_told_that_this_is_enough)
{
    uint64_t calls = 0;
    const struct rollcall_explore_result result =
        EXPLORE(&PLAIN, .seeds = 10, .on_progress = stop_at_three, .user = &calls);
    CHECK_INT(calls, 3);
    CHECK_INT(result.seeds, 3);
}

/* ---- the replay ---- */

struct report {
    char last[1500];
};

static void keep(void *user, const char *line)
{
    struct report *report = user;
    snprintf(report->last, sizeof report->last, "%s", line);
}

TEST(explore, the_replay_is_the_last_line_and_names_the_fewest_faults)
{
    struct report report = {.last = ""};
    const struct rollcall_explore_result result =
        EXPLORE(&STRICT, .first_seed = 7, .seeds = 1, .steps = 100, .faults = "full@5,full@3",
                .print = keep, .user = &report);
    CHECK_INT(result.violations, 1);
    CHECK_STR(result.replay, "rollcall sim --scenario strict --first-seed 7 --seeds 1 --steps 100 "
                             "--faults full@5 --trace");
    CHECK(strncmp(report.last, "replay: ", 8) == 0);
    CHECK_STR(report.last + 8, result.replay);
}

static void end_of_many(struct rollcall_world *world, void *state)
{
    (void)state;
    if (refused >= 200) {
        rollcall_world_violate(world, "mostly-told", "%llu times refused",
                               (unsigned long long)refused);
    }
}

TEST(explore, faults_too_many_for_a_line_are_replayed_as_they_were_asked_for)
{
    static const struct rollcall_scenario many =
        ROLLCALL_SCENARIO(.name = "many", .heal_ms = 1000, .begin = begin, .end = end_of_many);
    struct report report = {.last = ""};
    const struct rollcall_explore_result result =
        EXPLORE(&many, .seeds = 1, .faults = "full=1", .print = keep, .user = &report);
    CHECK_INT(result.violations, 1);
    CHECK_STR(result.faults, "");
    CHECK_STR(result.replay, "rollcall sim --scenario many --first-seed 1 --seeds 1 --steps 1000 "
                             "--faults full=1 --trace");
}

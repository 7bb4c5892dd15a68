/* Exploring: what does not hold is found, made small, reported and replayed. */
#include "sim/sim.h"
#include "support/leaks.h"
#include "support/test.h"

#include <stdlib.h>

enum { SEEDS = 20, LINES_BYTES = 65536 };

/* ---- an actor that does as it is told ---- */

#define PUPPET_LIST(X) X(PUPPET_NOTHING, 0) X(PUPPET_NEVER, 0) X(PUPPET_CIRCLE, 0) X(PUPPET_LEAP, 0)
ROLLCALL_MESSAGES(puppet_message, PUPPET_LIST, PUPPET_COUNT);
enum puppet_state { HERE, THERE };

static int on_circle(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)self, (void)message;
    ROLLCALL_DROP(rollcall_send(cx, rollcall_self(cx), PUPPET_CIRCLE, NULL, 0), "");
    return ROLLCALL_STAY;
}

static int on_leap(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return THERE; /* which its cell does not list */
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self, (void)options;
    return HERE;
}

static const struct rollcall_cell TABLE[][PUPPET_COUNT] = {
    [HERE] = {[PUPPET_NOTHING] = {rollcall_ignore, 0},
              [PUPPET_CIRCLE] = {on_circle, 0},
              [PUPPET_LEAP] = {on_leap, 0}},
    [THERE] = {[PUPPET_NOTHING] = {rollcall_ignore, 0}},
};
static const char *const STATES[] = {"HERE", "THERE"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(PUPPET_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(PUPPET_LIST);
static const struct rollcall_actor_type PUPPET = {
    .name = "puppet",
    .init = init,
    .state_count = 2,
    .message_count = PUPPET_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE[0],
};

/* ---- a scenario around it ---- */

struct stage {
    struct rollcall_ref puppet;
    uint64_t acts, rests;
    bool began_faulty;
};
static uint16_t told; /* by every act */
static uint64_t acts_of_last_run, rests_of_last_run, ends, heals;

static void begin(struct rollcall_world *world, void *state)
{
    struct stage *stage = state;
    stage->began_faulty = rollcall_world_faulty(world);
    CHECK_INT(rollcall_runtime_spawn(rollcall_sim_runtime(rollcall_world_sim(world)), 0,
                                     ROLLCALL_SPAWN_OPTIONS(.type = &PUPPET), &stage->puppet, NULL),
              ROLLCALL_OK);
}

/* A connection, so that there is weather, and nobody who uses it. */
static void begin_connected(struct rollcall_world *world, void *state)
{
    struct rollcall__net *net = rollcall__sim_net(rollcall_world_sim(world));
    struct rollcall_ref transport;
    uint32_t link;
    begin(world, state);
    CHECK_INT(rollcall__net_open(net, 0, 0, &transport, &link, NULL), ROLLCALL_OK);
}

static void act(struct rollcall_world *world, void *state)
{
    struct stage *stage = state;
    acts_of_last_run = ++stage->acts;
    ROLLCALL_DROP(rollcall_runtime_send(rollcall_sim_runtime(rollcall_world_sim(world)),
                                        stage->puppet, told, NULL, 0, NULL),
                  "a full mailbox will do");
}

static void settled(struct rollcall_world *world, void *state)
{
    (void)world;
    rests_of_last_run = ++((struct stage *)state)->rests;
}

static void heal(struct rollcall_world *world, void *state)
{
    (void)world, (void)state;
    heals++;
}

static void end(struct rollcall_world *world, void *state)
{
    (void)world;
    CHECK(!((const struct stage *)state)->began_faulty);
    ends++;
}

static bool has_taken(struct rollcall_world *world, enum rollcall_fault fault, uint64_t nth)
{
    const struct rollcall__faults *faults = &rollcall_world_sim(world)->faults;
    for (size_t i = 0; i < faults->list_count; i++) {
        if (faults->list[i].fault == fault && faults->list[i].nth == nth) {
            return true;
        }
    }
    return false;
}

static void check_cut_and_kill(struct rollcall_world *world, void *state)
{
    (void)state;
    if (has_taken(world, ROLLCALL_FAULT_CUT, 2) && has_taken(world, ROLLCALL_FAULT_KILL, 5)) {
        rollcall_world_violate(world, "either", "at %lld ms both have happened",
                               (long long)rollcall_sim_now_ms(rollcall_world_sim(world)));
        rollcall_world_violate(world, "another", "what comes later does not count");
    }
}

/* Of three members that are in trouble at once: at most how many in one run. */
static uint32_t most_in_trouble;
static int64_t longest_ms;

static void count_troubled(struct rollcall_world *world, void *state)
{
    const struct rollcall_sim *sim = rollcall_world_sim(world);
    static int64_t since_ms;
    uint32_t count = 0;
    (void)state;
    for (uint32_t i = 0; i < rollcall__net_members(sim->net); i++) {
        count += !rollcall__net_member_up(sim->net, i);
    }
    most_in_trouble = count > most_in_trouble ? count : most_in_trouble;
    since_ms = count == 0 || sim->now_ms < since_ms ? sim->now_ms : since_ms;
    longest_ms = sim->now_ms - since_ms > longest_ms ? sim->now_ms - since_ms : longest_ms;
}

#define STAGE(begin_, ...)                                                                         \
    ROLLCALL_SCENARIO(.name = "stage", .state_size_bytes = sizeof(struct stage), .begin = begin_,  \
                      .act = act, .settled = settled, .heal = heal, .end = end, __VA_ARGS__)
static const struct rollcall_scenario QUIET = STAGE(begin, .workers = 1);
static const struct rollcall_scenario WINDY = STAGE(begin_connected, .members = 3);
static const struct rollcall_scenario BOTH =
    STAGE(begin_connected, .members = 3, .check = check_cut_and_kill);

static const struct rollcall_fault_weight TROUBLES[] = {
    {ROLLCALL_FAULT_STALL, 100}, {ROLLCALL_FAULT_UNREACH, 100}, {ROLLCALL_FAULT_COUNT, 0}};
static const struct rollcall_scenario ILL = STAGE(begin_connected, .members = 3, .outages = true,
                                                  .faults = TROUBLES, .check = count_troubled);

/* ---- exploring it ---- */

struct explored {
    enum rollcall_status status;
    struct rollcall_explore_result result;
    struct rollcall_error error;
    char lines[LINES_BYTES];
    size_t used;
    struct rollcall_explore_progress progress;
    uint64_t told;
};

static void print(void *user, const char *line)
{
    struct explored *explored = user;
    const size_t length = strlen(line);
    if (explored->used + length + 2 < sizeof explored->lines) {
        memcpy(explored->lines + explored->used, line, length);
        explored->used += length;
        explored->lines[explored->used++] = '\n';
        explored->lines[explored->used] = '\0';
    }
}

static uint64_t seeds_enough; /* for on_progress; 0: never */

static bool on_progress(void *user, const struct rollcall_explore_progress *progress)
{
    struct explored *explored = user;
    CHECK(progress->seeds >= explored->progress.seeds);
    explored->progress = *progress;
    explored->told++;
    return progress->seeds != seeds_enough;
}

static void explore(struct explored *explored, const struct rollcall_scenario *scenario,
                    struct rollcall_explore_options options)
{
    memset(explored, 0, sizeof *explored);
    options.size_bytes = sizeof options;
    options.print = print;
    options.on_progress = on_progress;
    options.user = explored;
    told = told == 0 ? PUPPET_NOTHING : told;
    leaks_begin();
    explored->status = rollcall_explore(scenario, &options, &explored->result, &explored->error);
    leaks_end();
}

#define EXPLORE(explored, scenario, ...)                                                           \
    explore(explored, scenario, (struct rollcall_explore_options){__VA_ARGS__})
#define CHECK_SAID(explored, text) CHECK(strstr((explored)->lines, text) != NULL)

static struct explored one, other;

/* ---- what holds ---- */

TEST(explore_run, what_holds_is_ok_and_says_nothing)
{
    ends = heals = 0;
    EXPLORE(&one, &WINDY, .seeds = SEEDS, .steps = 200);
    CHECK_INT(one.status, ROLLCALL_OK);
    CHECK_STR(one.lines, "");
    CHECK_INT(one.result.seeds, SEEDS);
    CHECK_INT(one.result.violations, 0);
    CHECK_STR(one.result.invariant, "");
    CHECK(one.result.steps >= SEEDS * 200);
    CHECK(one.result.simulated_ms >= SEEDS * 60000);
    CHECK_INT(ends, SEEDS);
    CHECK_INT(heals, SEEDS);
}

TEST(explore_run, the_same_seeds_give_the_same_hash_and_other_seeds_another)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        EXPLORE(&one, &WINDY, .first_seed = seed, .seeds = 1, .steps = 200);
        EXPLORE(&other, &WINDY, .first_seed = seed, .seeds = 1, .steps = 200);
        CHECK(one.result.hash == other.result.hash);
        CHECK_INT(one.result.steps, other.result.steps);
        CHECK_INT(one.result.simulated_ms, other.result.simulated_ms);
        CHECK(memcmp(one.result.taken, other.result.taken, sizeof one.result.taken) == 0);
    }
    EXPLORE(&one, &WINDY, .first_seed = 1, .seeds = SEEDS, .steps = 200);
    EXPLORE(&other, &WINDY, .first_seed = SEEDS + 1, .seeds = SEEDS, .steps = 200);
    CHECK(one.result.hash != other.result.hash);
}

TEST(explore_run, a_seed_s_own_mix_brings_every_fault_of_the_weather)
{
    EXPLORE(&one, &WINDY, .seeds = 200, .steps = 1000);
    CHECK_INT(one.status, ROLLCALL_OK);
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        const bool anytime = i == ROLLCALL_FAULT_CUT || i == ROLLCALL_FAULT_TOKEN ||
                             (i >= ROLLCALL_FAULT_STALL && i <= ROLLCALL_FAULT_WALL);
        CHECK(!anytime || one.result.taken[i] > 0);
    }
}

TEST(explore_run, a_scenario_of_outages_has_one_at_a_time_in_eight_seeds_of_nine)
{
    most_in_trouble = 0;
    longest_ms = 0;
    EXPLORE(&one, &ILL, .first_seed = 1, .seeds = 8, .steps = 1000);
    CHECK_INT(most_in_trouble, 1);
    CHECK(longest_ms > 8000);
    CHECK(one.result.taken[ROLLCALL_FAULT_UNREACH] > 0);
    CHECK_INT(one.result.taken[ROLLCALL_FAULT_KILL], 0);
    for (uint64_t seed = 9; seed <= 90; seed += 9) {
        EXPLORE(&one, &ILL, .first_seed = seed, .seeds = 1, .steps = 1000);
    }
    CHECK(most_in_trouble > 1);
}

TEST(explore_run, without_faults_none_happens)
{
    EXPLORE(&one, &WINDY, .seeds = SEEDS, .steps = 500, .faults = "none");
    CHECK_INT(one.status, ROLLCALL_OK);
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        CHECK_INT(one.result.taken[i], 0);
    }
}

/* Nobody has set a timer: if users did not go on, a run would be over at its first rest. */
TEST(explore_run, a_world_without_timers_is_driven_on_by_what_users_do)
{
    EXPLORE(&one, &QUIET, .seeds = 1, .steps = 1000);
    CHECK_INT(one.status, ROLLCALL_OK);
    CHECK(one.result.steps >= 1000);
    CHECK(acts_of_last_run > 20);
}

TEST(explore_run, a_world_that_stands_though_its_users_act_is_over)
{
    static const struct rollcall_scenario IDLE =
        ROLLCALL_SCENARIO(.name = "idle", .state_size_bytes = sizeof(struct stage), .begin = begin,
                          .act = settled);
    EXPLORE(&one, &IDLE, .seeds = 2, .steps = 1000);
    CHECK_INT(one.status, ROLLCALL_OK);
    CHECK(one.result.steps < 20);
}

TEST(explore_run, settled_is_asked_before_the_clock_moves)
{
    EXPLORE(&one, &WINDY, .seeds = 1, .steps = 500);
    CHECK(rests_of_last_run > 10);
}

TEST(explore_run, progress_is_told_after_every_seed)
{
    EXPLORE(&one, &QUIET, .seeds = 130, .steps = 10);
    CHECK_INT(one.told, 130);
    CHECK_INT(one.progress.seeds, 130);
    CHECK_INT(one.progress.seeds_wanted, 130);
    CHECK_INT(one.progress.steps, one.result.steps);
    CHECK_INT(one.progress.simulated_ms, one.result.simulated_ms);
}

TEST(explore_run, who_is_told_of_progress_may_say_that_it_is_enough)
{
    seeds_enough = 3;
    EXPLORE(&one, &QUIET, .seeds = 130, .steps = 10);
    seeds_enough = 0;
    CHECK_INT(one.status, ROLLCALL_OK);
    CHECK_INT(one.told, 3);
    CHECK_INT(one.result.seeds, 3);
}

TEST(explore_run, a_trace_prints_every_message)
{
    EXPLORE(&one, &QUIET, .seeds = 1, .steps = 50, .trace = true);
    CHECK_SAID(&one, "puppet/0  init  >HERE\n");
    CHECK_SAID(&one, "puppet/0  PUPPET_NOTHING  HERE>-\n");
}

/* ---- what does not ---- */

#define STORM "cut=0.3,kill=0.3,stall=0.2,delay=0.3,wall=0.1,suspend=0.1"

TEST(explore_run, what_needs_two_faults_is_found_and_shrunk_to_just_these)
{
    for (uint64_t seed = 1; seed < 200; seed += 25) {
        EXPLORE(&one, &BOTH, .first_seed = seed, .seeds = 1000, .steps = 200, .faults = STORM);
        CHECK_INT(one.status, ROLLCALL_E_ACTOR);
        CHECK_STR(one.result.invariant, "either");
        CHECK_STR(one.result.faults, "cut@2,kill@5");
        CHECK_INT(one.result.violations, 1);
        CHECK_INT(one.result.seed, seed + one.result.seeds - 1);
        CHECK(strstr(one.error.text, "either") != NULL);
    }
}

TEST(explore_run, the_result_is_what_its_seed_and_faults_give_again)
{
    EXPLORE(&one, &BOTH, .seeds = 1000, .steps = 200, .faults = STORM);
    CHECK_INT(one.status, ROLLCALL_E_ACTOR);
    const struct rollcall_explore_result found = one.result;
    const struct rollcall_explore_options replay = {
        .first_seed = found.seed, .seeds = 1, .steps = 200, .faults = found.faults};
    explore(&one, &BOTH, replay);
    explore(&other, &BOTH, replay);
    CHECK_INT(one.result.step, found.step);
    CHECK_STR(one.result.text, found.text);
    CHECK_STR(one.result.faults, found.faults);
    CHECK(one.result.hash == other.result.hash);
    CHECK_STR(one.lines, other.lines);
}

TEST(explore_run, a_report_has_the_finding_the_messages_the_actors_and_the_way_back)
{
    char replay[256];
    EXPLORE(&one, &BOTH, .seeds = 1000, .steps = 200, .faults = STORM, .command = "my program");
    snprintf(replay, sizeof replay,
             "\nreplay: my program --scenario stage --first-seed %" PRIu64
             " --seeds 1 --steps 200 --faults cut@2,kill@5 --trace\n",
             one.result.seed);
    const char *at = one.lines;
    const char *const in_order[] = {"seed ",
                                    " of stage fails at step ",
                                    "\neither: at ",
                                    "\nthe last ",
                                    "puppet/0  init  >HERE",
                                    "\nthe actors:\n",
                                    "puppet/0",
                                    "HERE",
                                    replay};
    for (size_t i = 0; i < sizeof in_order / sizeof in_order[0]; i++) {
        at = strstr(at, in_order[i]);
        if (at == NULL) {
            CHECK_STR(one.lines, in_order[i]);
        }
    }
}

TEST(explore_run, all_seeds_are_run_if_asked_and_the_first_that_failed_is_told)
{
    EXPLORE(&one, &BOTH, .seeds = 1000, .steps = 200, .faults = STORM);
    EXPLORE(&other, &BOTH, .seeds = 1000, .steps = 200, .faults = STORM, .keep_going = true);
    CHECK_INT(other.status, ROLLCALL_E_ACTOR);
    CHECK_INT(other.result.seeds, 1000);
    CHECK(other.result.violations > 1);
    CHECK_INT(other.result.seed, one.result.seed);
    CHECK_STR(other.lines, one.lines);
}

TEST(explore_run, the_end_is_played_after_a_violation_too)
{
    ends = 0;
    EXPLORE(&one, &BOTH, .seeds = 1000, .steps = 200, .faults = STORM);
    CHECK(ends > one.result.seeds); /* of each seed once, and of each try to shrink the last */
}

static void expect_contract(uint16_t message, const char *words)
{
    told = message;
    EXPLORE(&one, &QUIET, .first_seed = 5, .seeds = SEEDS, .steps = 100);
    told = PUPPET_NOTHING;
    CHECK_INT(one.status, ROLLCALL_E_ACTOR);
    CHECK_STR(one.result.invariant, "contract");
    if (strstr(one.result.text, words) == NULL) {
        CHECK_STR(one.result.text, words);
    }
    CHECK_INT(one.result.seed, 5);
    CHECK_STR(one.result.faults, "none");
    CHECK_SAID(&one, "\nthe actors:\n");
    CHECK_SAID(&one, "puppet/0");
    EXPLORE(&other, &QUIET, .seeds = SEEDS, .steps = 100);
    CHECK_INT(other.status, ROLLCALL_OK);
}

TEST(explore_run, a_message_without_a_cell_is_a_broken_contract_and_the_process_lives)
{
    expect_contract(PUPPET_NEVER, "PUPPET_NEVER");
}

TEST(explore_run, a_state_that_its_cell_does_not_list_is_a_broken_contract_and_the_process_lives)
{
    expect_contract(PUPPET_LEAP, "PUPPET_LEAP");
}

TEST(explore_run, a_world_that_goes_in_circles_does_not_come_to_rest)
{
    told = PUPPET_CIRCLE;
    EXPLORE(&one, &QUIET, .seeds = 1, .steps = 100);
    told = PUPPET_NOTHING;
    CHECK_INT(one.status, ROLLCALL_E_ACTOR);
    CHECK_STR(one.result.invariant, "comes-to-rest");
    CHECK_STR(one.result.faults, "none");
    CHECK_SAID(&one, "PUPPET_CIRCLE");
}

TEST(explore_run, many_steps_of_users_without_a_timer_are_no_circle)
{
    EXPLORE(&one, &QUIET, .seeds = 1, .steps = 300000);
    CHECK_INT(one.status, ROLLCALL_OK);
}

/* ---- two at once ---- */

static void begin_two(struct rollcall_world *world, void *state)
{
    struct rollcall_runtime *rt = rollcall_sim_runtime(rollcall_world_sim(world));
    struct rollcall_ref *puppets = state;
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_INT(rollcall_runtime_spawn(rt, i, ROLLCALL_SPAWN_OPTIONS(.type = &PUPPET),
                                         &puppets[i], NULL),
                  ROLLCALL_OK);
    }
}

static void act_on_either(struct rollcall_world *world, void *state)
{
    const struct rollcall_ref *puppets = state;
    ROLLCALL_DROP(rollcall_runtime_send(rollcall_sim_runtime(rollcall_world_sim(world)),
                                        puppets[rollcall_world_random(world, 2)], PUPPET_NOTHING,
                                        NULL, 0, NULL),
                  "a full mailbox will do");
}

static void check_steps(struct rollcall_world *world, void *state)
{
    (void)state;
    if (rollcall_world_sim(world)->steps == 150) {
        rollcall_world_violate(world, "enough", "150 steps");
    }
}

/* The clock stands, so only the order of steps says what was before what. */
TEST(explore_run, a_report_has_the_last_messages_of_all_workers_in_the_order_of_the_trace)
{
    static const struct rollcall_scenario TWO =
        ROLLCALL_SCENARIO(.name = "two", .workers = 2,
                          .state_size_bytes = 2 * sizeof(struct rollcall_ref), .begin = begin_two,
                          .act = act_on_either, .check = check_steps);
    size_t lines = 0;
    EXPLORE(&one, &TWO, .seeds = 1, .steps = 200);
    EXPLORE(&other, &TWO, .seeds = 1, .steps = 200, .trace = true);
    CHECK_STR(one.result.invariant, "enough");
    const char *traced = other.lines;
    char *line = strstr(one.lines, "\n    t=");
    CHECK(line != NULL);
    while (line != NULL && strncmp(line, "\n    t=", 7) == 0) {
        char *end = strchr(line + 1, '\n');
        *end = '\0';
        const char *found = strstr(lines == 0 ? other.lines : traced, line + 5);
        CHECK(found != NULL && (lines == 0 || found == traced)); /* right behind the one before */
        traced = found + strlen(line + 5) + 1;
        lines++;
        *end = '\n';
        line = end;
    }
    CHECK_INT(lines, 60);
}

/* ---- what cannot be run ---- */

TEST(explore_run, what_cannot_be_run_is_invalid_and_says_why)
{
    struct rollcall_scenario bad = QUIET;
    struct rollcall_explore_options options = {.size_bytes = 3};
    EXPLORE(&one, NULL, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    bad.size_bytes = 8;
    EXPLORE(&one, &bad, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    bad = QUIET;
    bad.name = NULL;
    EXPLORE(&one, &bad, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    bad = QUIET;
    bad.begin = NULL;
    EXPLORE(&one, &bad, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    bad = QUIET;
    bad.workers = 9;
    EXPLORE(&one, &bad, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    bad = QUIET;
    bad.members = 2;
    EXPLORE(&one, &bad, .seeds = 1);
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    CHECK(strstr(one.error.text, "1 or 3") != NULL);
    EXPLORE(&one, &QUIET, .seeds = 1, .faults = "cut");
    CHECK_INT(one.status, ROLLCALL_E_INVALID);
    CHECK(strstr(one.error.text, "\"cut\"") != NULL);
    CHECK_INT(rollcall_explore(&QUIET, &options, &one.result, &one.error), ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_explore(&QUIET, NULL, &one.result, NULL), ROLLCALL_OK);
    CHECK_INT(one.result.seeds, 1000);
}

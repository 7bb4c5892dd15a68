/*
 * `rollcall sim` with scenarios of the test's own in place of the library's: a ball that is
 * thrown each BOUNCE_MS, and must not be refused.
 */
#include "cli/commands.h"

#include "support/test.h"

#include <rollcall/actor.h>
#include <rollcall/testing.h>

#include <fcntl.h>
#include <unistd.h>

enum { BOUNCE_MS = 10, SAID_MAX = 64 * 1024 };

/* ---- the scenarios ---- */

#define BALL_LIST(X) X(BALL_TICK, 0) X(BALL_BOUNCE, 0)
ROLLCALL_MESSAGES(ball_message, BALL_LIST, BALL_COUNT);

static int on_tick(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)self, (void)message;
    ROLLCALL_DROP(rollcall_send(cx, rollcall_self(cx), BALL_BOUNCE, NULL, 0), "that is the test");
    rollcall_timer_set(cx, BALL_TICK, rollcall_now_ms(cx) + BOUNCE_MS);
    return ROLLCALL_STAY;
}

static int throw_ball(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    rollcall_timer_set(cx, BALL_TICK, rollcall_now_ms(cx) + BOUNCE_MS);
    return 0;
}

static const struct rollcall_cell TABLE[][BALL_COUNT] = {
    {[BALL_TICK] = {on_tick, 0}, [BALL_BOUNCE] = {rollcall_ignore, 0}},
    {[BALL_TICK] = {rollcall_ignore, 0}},
};
static const char *const STATES[] = {"FLYING", "CAUGHT"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(BALL_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(BALL_LIST);
static const struct rollcall_actor_type BALL = {
    .name = "ball",
    .init = throw_ball,
    .state_count = 2,
    .message_count = BALL_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE[0],
};

static void begin(struct rollcall_world *world, void *state)
{
    struct rollcall_runtime *runtime = rollcall_sim_runtime(rollcall_world_sim(world));
    struct rollcall_ref ref;
    (void)state;
    CHECK_INT(rollcall_runtime_spawn(runtime, 0, ROLLCALL_SPAWN_OPTIONS(.type = &BALL), &ref, NULL),
              ROLLCALL_OK);
}

static void end(struct rollcall_world *world, void *state)
{
    (void)state;
    if (rollcall_world_faulty(world)) {
        rollcall_world_violate(world, "bounces", "the \"ball\" fell");
    }
}

const struct rollcall_scenario *rollcall_scenario_at(size_t index)
{
    static const struct rollcall_scenario scenarios[] = {
        ROLLCALL_SCENARIO(.name = "holds", .about = "nothing is asked of it", .begin = begin),
        ROLLCALL_SCENARIO(.name = "breaks", .about = "no fault", .begin = begin, .end = end),
        ROLLCALL_SCENARIO(.name = "after", .about = "comes last", .begin = begin, .end = end),
    };
    return index < 3 ? &scenarios[index] : NULL;
}

/* ---- running the command ---- */

struct said {
    int code;
    char out[SAID_MAX], err[SAID_MAX];
};

/* Leads a stream into a file that has no name any more; returns the old one. */
static int redirect(int fd, FILE *file)
{
    const int old = dup(fd);
    CHECK(old >= 0 && file != NULL && dup2(fileno(file), fd) == fd);
    return old;
}

static void restore(int fd, int old, FILE *file, char text[SAID_MAX])
{
    CHECK(dup2(old, fd) == fd);
    close(old);
    rewind(file);
    text[fread(text, 1, SAID_MAX - 1, file)] = '\0';
    fclose(file);
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static struct said *run(bool json, const char *const *arguments)
{
    static struct said said;
    char *argv[24] = {(char *)"rollcall", (char *)"sim"};
    int argc = 2;
    struct cli_options options;
    struct cli_output output = {.json = json};
    for (; arguments[argc - 2] != NULL && argc + 1 < 24; argc++) {
        argv[argc] = (char *)arguments[argc - 2];
    }
    CHECK_INT(cli_options_parse(argc, argv, no_environment, &options, NULL), ROLLCALL_OK);
    FILE *out = tmpfile(), *err = tmpfile();
    const int old_out = redirect(STDOUT_FILENO, out), old_err = redirect(STDERR_FILENO, err);
    said.code = cli_sim(&options, &output);
    restore(STDERR_FILENO, old_err, err, said.err);
    restore(STDOUT_FILENO, old_out, out, said.out);
    cli_output_fini(&output);
    return &said;
}
#define JSON(...) run(true, (const char *const[]){__VA_ARGS__, NULL})
#define TABLE_OF(...) run(false, (const char *const[]){__VA_ARGS__, NULL})

static void check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    while ((text = strstr(text, part)) != NULL) {
        found++;
        text += strlen(part);
    }
    return found;
}

/* ---- what holds ---- */

TEST(sim, every_scenario_runs_with_all_the_seeds_and_has_its_line)
{
    const struct said *said = JSON("--faults", "none", "--seeds", "3", "--steps", "50");
    CHECK_INT(said->code, 0);
    CHECK_INT(count(said->out, "\n"), 3);
    CHECK_INT(count(said->out, "\"seeds\":3,"), 3);
    check_contains(said->out, "{\"event\":\"sim\",\"scenario\":\"holds\",\"first_seed\":1,");
    check_contains(said->out, "\"violations\":0,\"faults\":{\"delay\":0,");
    check_contains(said->out, ",\"memory\":0,\"unreach\":0,\"mute\":0,\"lose-event\":0}}\n");
    CHECK_STR(said->err, "");
}

TEST(sim, the_same_options_give_the_same_hash_and_another_seed_another)
{
    char first[32], again[32], other[32];
    char *const hashes[] = {first, again, other};
    static const char *const seeds[] = {"7", "7", "8"};
    for (size_t i = 0; i < 3; i++) {
        const struct said *said = JSON("--scenario", "holds", "--seeds", "2", "--first-seed",
                                       seeds[i], "--faults", "full=0.1");
        const char *hash = strstr(said->out, "\"hash\":\"");
        CHECK(hash != NULL);
        snprintf(hashes[i], 32, "%.16s", hash + 8);
        CHECK_INT(strspn(hashes[i], "0123456789abcdef"), 16);
        CHECK_INT(hash[8 + 16], '"');
    }
    CHECK_STR(first, again);
    CHECK(strcmp(first, other) != 0);
}

TEST(sim, a_random_first_seed_is_told_first_and_another_each_time)
{
    char seen[2][64];
    for (size_t i = 0; i < 2; i++) {
        const struct said *said =
            JSON("--scenario", "holds", "--seeds", "1", "--first-seed", "random");
        char told[80];
        snprintf(seen[i], sizeof seen[i], "%.*s", (int)strcspn(said->err, "\n"), said->err);
        CHECK(strncmp(seen[i], "rollcall: --first-seed ", 23) == 0);
        snprintf(told, sizeof told, "\"first_seed\":%s,", seen[i] + 23);
        check_contains(said->out, told);
    }
    CHECK(strcmp(seen[0], seen[1]) != 0);
}

TEST(sim, the_list_names_scenarios_and_faults_and_what_each_does)
{
    const struct said *said = TABLE_OF("--list");
    CHECK_INT(said->code, 0);
    check_contains(said->out, "breaks          no fault\n");
    check_contains(said->out, "cut             a connection breaks");
    said = JSON("--list");
    check_contains(said->out, "{\"event\":\"scenario\",\"name\":\"holds\",\"about\":\"nothing is ");
    CHECK_INT(count(said->out, "{\"event\":\"fault\",\"name\":\""), ROLLCALL_FAULT_COUNT);
}

TEST(sim, what_it_does_not_know_is_usage)
{
    const struct said *said = JSON("--scenario", "absent");
    CHECK_INT(said->code, 2);
    check_contains(said->err, "there is no scenario \"absent\": `rollcall sim --list` names them");
    CHECK_STR(said->out, "");
    said = JSON("--faults", "lightning@1");
    CHECK_INT(said->code, 2);
    check_contains(said->err, "\"lightning@1\"");
    CHECK_STR(said->out, "");
    said = TABLE_OF("--faults", "lightning@1");
    CHECK_INT(said->code, 2);
    CHECK_STR(said->out, "");
}

TEST(sim, the_trace_is_every_message_of_what_holds_too)
{
    const struct said *said =
        JSON("--scenario", "holds", "--seeds", "1", "--steps", "50", "--trace");
    check_contains(said->err, "ball/0 -> ball/0  BALL_BOUNCE");
    CHECK_STR(JSON("--scenario", "holds", "--seeds", "1", "--steps", "50")->err, "");
}

/* ---- what does not ---- */

TEST(sim, a_violation_is_told_with_its_seed_its_invariant_and_its_replay_and_ends_it)
{
    static const char replay[] = "rollcall sim --scenario breaks --first-seed 5 --seeds 1 "
                                 "--steps 50 --faults full@3 --trace";
    const struct said *said =
        JSON("--first-seed", "5", "--steps", "50", "--seeds", "9", "--faults", "full@2,full@3");
    CHECK_INT(said->code, 1);
    CHECK_INT(count(said->out, "\n"), 2); /* "after" did not run */
    check_contains(said->out, "\"scenario\":\"breaks\",\"first_seed\":5,\"seeds\":1,");
    check_contains(said->out, ",\"violations\":1,");
    check_contains(said->out, ",\"full\":2,");
    check_contains(said->out, ",\"seed\":5,\"step\":");
    check_contains(said->out, ",\"invariant\":\"bounces\",\"text\":\"the \\\"ball\\\" fell\",");
    check_contains(said->out, replay);
    check_contains(said->err, "bounces: the \"ball\" fell\n");
    check_contains(said->err, replay);
    check_contains(said->err, "\nrollcall: seed 5 of breaks: bounces: ");
    check_contains(said->err, "{\"event\":\"error\",\"code\":\"E_ACTOR\",");
}

TEST(sim, the_replay_it_prints_is_taken_as_it_is_and_fails_alike)
{
    const struct said *said =
        JSON("--scenario", "breaks", "--steps", "50", "--faults", "full@2,full@3");
    char line[256], *words[16] = {0};
    const char *replay = strstr(said->err, "replay: rollcall sim ");
    CHECK(replay != NULL);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(replay, "\n") - 21, replay + 21);
    size_t word_count = 0;
    for (char *rest = line, *word;
         (word = strtok_r(rest, " ", &rest)) != NULL && word_count < 15;) {
        words[word_count++] = word;
    }
    said = run(true, (const char *const *)words);
    CHECK_INT(said->code, 1);
    check_contains(said->out, "\"seeds\":1,");
    check_contains(said->out, "\"invariant\":\"bounces\"");
    check_contains(said->err, "BALL_BOUNCE"); /* the trace */
}

TEST(sim, with_keep_going_all_seeds_of_all_scenarios_run)
{
    const struct said *said =
        JSON("--keep-going", "--seeds", "4", "--steps", "50", "--faults", "full@3");
    CHECK_INT(said->code, 1);
    CHECK_INT(count(said->out, "\n"), 3);
    CHECK_INT(count(said->out, "\"seeds\":4,"), 3);
    CHECK_INT(count(said->out, "\"violations\":4,"), 2);
    CHECK_INT(count(said->err, "replay: "), 2);
}

/* ---- states by faults ---- */

TEST(sim, the_matrix_has_a_row_for_each_state_and_the_share_that_was_visited)
{
    const struct said *said =
        JSON("--scenario", "holds", "--seeds", "2", "--faults", "full@3", "--matrix");
    CHECK_INT(said->code, 0);
    check_contains(said->out, "{\"event\":\"matrix\",\"actor\":\"ball\",\"state\":\"FLYING\","
                              "\"faults\":{\"delay\":0,");
    check_contains(
        said->out,
        ",\"full\":2,\"memory\":0,\"unreach\":0,\"mute\":0,\"lose-event\":0}}\n{\"event\":"
        "\"matrix\",\"actor\":\"ball\","
        "\"state\":\"CAUGHT\",");
    check_contains(said->out, "{\"event\":\"matrix_end\",\"cells\":46,\"visited\":1,"
                              "\"visited_percent\":2.2,\"left_out\":0}\n");
    said = TABLE_OF("--scenario", "holds", "--seeds", "2", "--faults", "full@3", "--matrix");
    check_contains(said->out, "\nball/FLYING");
    check_contains(said->out, "\nvisited: 1 of 46 cells, 2.2 %\n");
}

TEST(sim, no_matrix_is_told_that_nobody_asked_for)
{
    CHECK(strstr(JSON("--scenario", "holds", "--seeds", "1")->out, "matrix") == NULL);
}

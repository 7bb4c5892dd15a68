/*
 * A broken contract aborts the process, says what was broken, and prints the trace.  Each test
 * breaks one in a child process.
 */
#include "support/probe.h"
#include "support/test.h"

#include <rollcall/testing.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROGUE_LIST(X)                                                                              \
    X(ROGUE_FINE, 0)                                                                               \
    X(ROGUE_JUMP, 0)                                                                               \
    X(ROGUE_SIZED, sizeof(int64_t))                                                                \
    X(ROGUE_NO_CELL, 0)                                                                            \
    X(ROGUE_NO_STATE, 0)
ROLLCALL_MESSAGES(rogue_message, ROGUE_LIST, ROGUE_COUNT);
enum state { HERE, THERE, NOWHERE, STATE_COUNT };

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self;
    return *(const int *)options;
}

static int on_fine(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return THERE;
}

static int on_jump(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return NOWHERE;
}

static int on_no_state(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return -4;
}

static const struct rollcall_cell TABLE[STATE_COUNT][ROGUE_COUNT] = {
    [HERE][ROGUE_FINE] = {on_fine, ROLLCALL_TO(THERE)},
    [HERE][ROGUE_SIZED] = {rollcall_ignore, 0},
    [THERE][ROGUE_FINE] = {on_fine, ROLLCALL_TO(THERE)},
    [THERE][ROGUE_JUMP] = {on_jump, ROLLCALL_TO(HERE) | ROLLCALL_TO(THERE)},
    [THERE][ROGUE_SIZED] = {rollcall_ignore, 0},
    [THERE][ROGUE_NO_STATE] = {on_no_state, 0},
};
static const char *const STATES[] = {"HERE", "THERE", "NOWHERE"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ROGUE_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ROGUE_LIST);
static const struct rollcall_actor_type ROGUE = {
    .name = "rogue",
    .options_size_bytes = sizeof(int),
    .init = init,
    .state_count = STATE_COUNT,
    .message_count = ROGUE_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = &TABLE[0][0],
};

struct wrong {
    int first_state;
    uint16_t type;
    size_t size_bytes;
    bool simulated;
};

/* Sends FINE, then what is wrong; a worker thread has ten seconds to notice. */
static void break_contract(const struct wrong *wrong)
{
    static const int64_t payload = 0;
    struct rollcall_sim *sim = NULL;
    struct rollcall_runtime *rt = NULL;
    struct rollcall_ref ref;
    const enum rollcall_status status =
        wrong->simulated ? rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = 1), &sim, NULL)
                         : rollcall_runtime_create(NULL, &rt, NULL);
    rt = wrong->simulated ? rollcall_sim_runtime(sim) : rt;
    if (status != ROLLCALL_OK ||
        rollcall_runtime_spawn(
            rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &ROGUE, .options = &wrong->first_state), &ref,
            NULL) != ROLLCALL_OK ||
        rollcall_runtime_send(rt, ref, ROGUE_FINE, NULL, 0, NULL) != ROLLCALL_OK ||
        rollcall_runtime_send(rt, ref, wrong->type, &payload, wrong->size_bytes, NULL) !=
            ROLLCALL_OK) {
        _exit(3);
    }
    if (wrong->simulated) {
        rollcall_sim_settle(sim, 1000);
        return;
    }
    struct rollcall_runtime_stats stats = {0};
    for (int i = 0; i < 10000 && stats.delivered < 2; i++) {
        if (rollcall_runtime_stats(rt, &stats) != ROLLCALL_OK) {
            break;
        }
    }
}

static const char *run_child(const struct wrong *wrong)
{
    static char text[65536];
    size_t used = 0;
    ssize_t size;
    int ends[2], status = 0;
    CHECK_INT(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* not the runner's */
        break_contract(wrong);
        _exit(4);
    }
    close(ends[1]);
    while (used < sizeof text - 1 &&
           (size = read(ends[0], text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)size;
    }
    text[used] = '\0';
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
        fprintf(stderr, "the child did not abort (status %#x) and said: %s\n", status, text);
    }
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return text;
}

static void check_says(const struct wrong *wrong, const char *sentence)
{
    const char *text = run_child(wrong);
    if (strstr(text, sentence) == NULL) {
        fprintf(stderr, "the child said: %s\n", text);
    }
    CHECK(strstr(text, sentence) != NULL);
}

TEST(contract, a_state_that_is_not_in_the_cell_aborts_and_names_the_arrow)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        const struct wrong wrong = {.type = ROGUE_JUMP, .simulated = simulated};
        check_says(&wrong, "rogue: ROGUE_JUMP in THERE returned NOWHERE (2), not in the table");
    }
}

TEST(contract, an_abort_prints_the_messages_that_led_to_it)
{
    for (int simulated = 0; simulated < 2; simulated++) {
        const struct wrong wrong = {.type = ROGUE_JUMP, .simulated = simulated};
        const char *text = run_child(&wrong);
        CHECK(strstr(text, "outside -> rogue/0  init") != NULL);
        CHECK(strstr(text, "outside -> rogue/0  ROGUE_FINE  HERE>THERE") != NULL);
    }
}

TEST(contract, a_number_that_is_neither_state_nor_verb_aborts)
{
    const struct wrong wrong = {.type = ROGUE_NO_STATE, .simulated = true};
    check_says(&wrong, "ROGUE_NO_STATE in THERE returned no state (-4)");
}

TEST(contract, a_payload_of_the_wrong_size_aborts)
{
    const struct wrong wrong = {.type = ROGUE_SIZED, .size_bytes = 4};
    check_says(&wrong, "ROGUE_SIZED came with 4 bytes instead of 8");
}

TEST(contract, a_message_number_beyond_the_list_aborts)
{
    const struct wrong wrong = {.type = ROGUE_COUNT, .simulated = true};
    check_says(&wrong, "rogue was sent message number 9, and has 9");
}

TEST(contract, a_first_state_that_does_not_exist_aborts)
{
    const struct wrong wrong = {.type = ROGUE_FINE, .first_state = 3, .simulated = true};
    check_says(&wrong, "init returned 3, which is no state");
}

TEST(contract, an_absent_cell_aborts_in_simulation)
{
    const struct wrong wrong = {.type = ROGUE_NO_CELL, .simulated = true};
    check_says(&wrong, "rogue/0: ROGUE_NO_CELL in THERE has no cell");
}

static void count_line(void *user, enum rollcall_log_level level, const char *line)
{
    int *count = user;
    *count += level == ROLLCALL_ERROR && strstr(line, "ROGUE_NO_CELL in THERE has no cell") != NULL;
}

TEST(contract, an_absent_cell_is_counted_and_logged_in_production)
{
    static const int first_state = THERE;
    int lines = 0;
    struct rollcall_runtime *rt;
    struct rollcall_runtime_stats stats = {0};
    struct rollcall_ref ref;
    CHECK_INT(rollcall_runtime_create(
                  ROLLCALL_RUNTIME_OPTIONS(.log = count_line, .log_user = &lines), &rt, NULL),
              ROLLCALL_OK);
    CHECK_INT(
        rollcall_runtime_spawn(
            rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &ROGUE, .options = &first_state), &ref, NULL),
        ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_send(rt, ref, ROGUE_NO_CELL, NULL, 0, NULL), ROLLCALL_OK);
    for (int i = 0; i < 10000 && stats.impossible == 0; i++) {
        CHECK_INT(rollcall_runtime_stats(rt, &stats), ROLLCALL_OK);
    }
    CHECK_INT(rollcall_runtime_destroy(rt), ROLLCALL_OK);
    CHECK_INT(stats.impossible, 1);
    CHECK_INT(lines, 1);
}

/* ---- what is refused instead, because an application may get it wrong ---- */

TEST(contract, spawning_with_wrong_options_is_refused_with_a_sentence)
{
    static const int first_state = HERE;
    struct rollcall_sim *sim;
    struct rollcall_error error;
    struct rollcall_ref ref;
    CHECK_INT(rollcall_sim_create(NULL, &sim, NULL), ROLLCALL_OK);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    CHECK_INT(rollcall_runtime_spawn(rt, 0, NULL, &ref, &error), ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "type") != NULL);
    struct rollcall_actor_type wide = ROGUE;
    wide.state_count = 33; /* more than a cell can allow */
    CHECK_INT(rollcall_runtime_spawn(rt, 0,
                                     ROLLCALL_SPAWN_OPTIONS(.type = &wide, .options = &first_state),
                                     &ref, &error),
              ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &ROGUE), &ref, &error),
              ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "options") != NULL);
    static const uint32_t sizes[] = {1, 4, 9, 100, 131072};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_INT(
            rollcall_runtime_spawn(rt, 0,
                                   ROLLCALL_SPAWN_OPTIONS(.type = &ROGUE, .options = &first_state,
                                                          .mailbox_messages = sizes[i]),
                                   &ref, &error),
            ROLLCALL_E_INVALID);
        CHECK(strstr(error.text, "mailbox_messages") != NULL);
    }
    CHECK_INT(rollcall_runtime_spawn(rt, 0,
                                     ROLLCALL_SPAWN_OPTIONS(.type = &ROGUE, .options = &first_state,
                                                            .supervisor = {UINT64_C(77) << 40}),
                                     &ref, &error),
              ROLLCALL_E_STOPPED);
    rollcall_sim_destroy(sim);
}

/*
 * scenarios/gang.c - a supervisor and three hands that do nothing but crash.
 *
 * "restart-intensity"  no hand is restarted once more than INTENSITY have failed within PERIOD_MS;
 * "restart-backoff"    none comes back sooner than half the shortest backoff;
 * "escalates-once"     the supervisor fails once, and then nobody is restarted;
 * "heals"              in the end each hand runs, or the supervisor has failed.
 */
#include "scenarios/gang.h"

#include "actors/supervisor.h"

#include <inttypes.h>

enum { TICK_MS = 50, INTENSITY = 5, PERIOD_MS = 30000, BACKOFF_MIN_MS = 100, HIRE_STEPS_MAX = 100 };

/* ---- a hand ---- */

#define HAND_LIST(X) X(HAND_TICK, 0) /* timer: something to crash on */
ROLLCALL_MESSAGES(hand_message, HAND_LIST, HAND_COUNT);

struct hand_options {
    struct gang *gang; /* borrowed: it outlives the simulation */
    uint32_t index;
};

struct hand {
    const struct hand_options *options;
};

static int on_tick(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)self, (void)message;
    rollcall_timer_set(cx, HAND_TICK, rollcall_now_ms(cx) + TICK_MS);
    return ROLLCALL_STAY;
}

/* Within the period before that instant: what fails at it may be news to the supervisor. */
static uint32_t failures_before(const struct gang *gang, int64_t now_ms)
{
    uint32_t count = 0;
    for (size_t i = 0; i < gang->failures; i++) {
        count += gang->failures_ms[i] > now_ms - PERIOD_MS && gang->failures_ms[i] < now_ms;
    }
    return count;
}

/* One that comes back: may it, and so soon? */
static void check_return(struct gang *gang, uint32_t index, int64_t now_ms)
{
    const int64_t failed_ms = gang->failed_ms[index];
    if (gang->escalations > 0 && now_ms > gang->escalated_ms) { /* before, it was on its way */
        rollcall_world_violate(gang->world, "escalates-once", "hand %u is back after that", index);
    }
    if (failures_before(gang, now_ms) > INTENSITY) {
        rollcall_world_violate(gang->world, "restart-intensity",
                               "hand %u is back, and %u have failed within %d ms", index,
                               failures_before(gang, now_ms), PERIOD_MS);
    }
    if (failed_ms != 0 && now_ms - failed_ms < BACKOFF_MIN_MS / 2 && !gang->rest_for_one) {
        rollcall_world_violate(gang->world, "restart-backoff",
                               "hand %u is back %" PRId64 " ms after it failed", index,
                               now_ms - failed_ms);
    }
}

static int init_hand(struct rollcall_context *cx, void *self, const void *options)
{
    struct hand *hand = self;
    hand->options = options;
    struct gang *gang = hand->options->gang;
    if (rollcall_epoch(cx) > 1) {
        check_return(gang, hand->options->index, rollcall_now_ms(cx));
    }
    gang->running[hand->options->index] = true;
    rollcall_timer_set(cx, HAND_TICK, rollcall_now_ms(cx) + TICK_MS);
    return 0;
}

static const struct rollcall_cell HAND_TABLE[HAND_COUNT] = {[HAND_TICK] = {on_tick, 0}};
static const char *const HAND_STATES[] = {"WORKING"};
static const char *const HAND_NAMES[] = ROLLCALL_MESSAGE_NAMES(HAND_LIST);
static const uint16_t HAND_SIZES[] = ROLLCALL_PAYLOAD_SIZES(HAND_LIST);
static const struct rollcall_actor_type hand_type = {
    .name = "hand",
    .self_size_bytes = sizeof(struct hand),
    .options_size_bytes = sizeof(struct hand_options),
    .init = init_hand,
    .state_count = 1,
    .message_count = HAND_COUNT,
    .state_names = HAND_STATES,
    .message_names = HAND_NAMES,
    .payload_sizes = HAND_SIZES,
    .table = HAND_TABLE,
};

/* ---- the foreman: spawns them, and hears of every failure ---- */

struct foreman_options {
    struct gang *gang;
};

struct foreman {
    struct gang *gang;
};

static void note_failure(struct gang *gang, uint32_t index, int64_t now_ms)
{
    gang->running[index] = false;
    gang->failed_ms[index] = now_ms;
    if (gang->failures < GANG_FAILURES_MAX) {
        gang->failures_ms[gang->failures++] = now_ms;
    }
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct gang *gang = ((struct foreman *)self)->gang;
    const struct rollcall_down *down = message->payload;
    if (down->reason != ROLLCALL_DOWN_FAILED) {
        return ROLLCALL_STAY;
    }
    for (uint32_t i = 0; i < GANG_HANDS; i++) {
        if (rollcall_ref_equal(down->who, gang->hands[i])) {
            note_failure(gang, i, rollcall_now_ms(cx));
        }
    }
    if (rollcall_ref_equal(down->who, gang->supervisor)) {
        gang->escalated_ms = rollcall_now_ms(cx);
        if (++gang->escalations > 1) {
            rollcall_world_violate(gang->world, "escalates-once", "it has failed %u times",
                                   gang->escalations);
        }
        rollcall_stop(cx, gang->supervisor);
    }
    return ROLLCALL_STAY;
}

static enum rollcall_status hire(struct rollcall_context *cx, struct gang *gang, uint32_t index)
{
    const struct hand_options options = {.gang = gang, .index = index};
    const enum rollcall_status status =
        rollcall_spawn(cx,
                       ROLLCALL_SPAWN_OPTIONS(.type = &hand_type, .options = &options,
                                              .supervisor = gang->supervisor),
                       &gang->hands[index]);
    if (status == ROLLCALL_OK) {
        rollcall_monitor(cx, gang->hands[index]);
    }
    return status;
}

static int init_foreman(struct rollcall_context *cx, void *self, const void *options)
{
    struct gang *gang = ((const struct foreman_options *)options)->gang;
    const struct supervisor_options supervisor = {
        .strategy = gang->rest_for_one ? SUPERVISOR_REST_FOR_ONE : SUPERVISOR_ONE_FOR_ONE,
        .intensity = INTENSITY,
        .period_ms = PERIOD_MS,
        .backoff_min_ms = BACKOFF_MIN_MS};
    ((struct foreman *)self)->gang = gang;
    enum rollcall_status status =
        rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor),
                       &gang->supervisor);
    for (uint32_t i = 0; i < GANG_HANDS && status == ROLLCALL_OK; i++) {
        status = hire(cx, gang, i);
    }
    return status == ROLLCALL_OK ? 0 : rollcall_fail(cx, status, "could not hire");
}

static const struct rollcall_cell FOREMAN_TABLE[ROLLCALL_SIGNAL_COUNT] = {
    [ROLLCALL_DOWN] = {on_down, 0}};
static const char *const FOREMAN_STATES[] = {"LOOKING_ON"};
static const char *const FOREMAN_NAMES[] = {ROLLCALL_SIGNALS(ROLLCALL_NAME)};
static const uint16_t FOREMAN_SIZES[] = {ROLLCALL_SIGNALS(ROLLCALL_SIZE)};
static const struct rollcall_actor_type foreman_type = {
    .name = "foreman",
    .self_size_bytes = sizeof(struct foreman),
    .options_size_bytes = sizeof(struct foreman_options),
    .init = init_foreman,
    .state_count = 1,
    .message_count = ROLLCALL_SIGNAL_COUNT,
    .state_names = FOREMAN_STATES,
    .message_names = FOREMAN_NAMES,
    .payload_sizes = FOREMAN_SIZES,
    .table = FOREMAN_TABLE,
};

/* ---- the scenario ---- */

void gang_begin(struct rollcall_world *world, void *state)
{
    struct gang *gang = state;
    const struct foreman_options options = {.gang = gang};
    struct rollcall_sim *sim = rollcall_world_sim(world);
    gang->world = world;
    gang->rest_for_one = rollcall_world_random(world, 2) == 0;
    if (rollcall_runtime_spawn(rollcall_sim_runtime(sim), 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &foreman_type, .options = &options),
                               &gang->foreman, NULL) != ROLLCALL_OK ||
        !rollcall_sim_settle(sim, HIRE_STEPS_MAX)) { /* before any fault: they are all there */
        rollcall_world_violate(world, "begins", "there is no gang");
    }
}

void gang_end(struct rollcall_world *world, void *state)
{
    struct gang *gang = state;
    struct rollcall_sim *sim = rollcall_world_sim(world);
    for (uint32_t i = 0; i < GANG_HANDS && gang->escalations == 0; i++) {
        if (!gang->running[i]) {
            rollcall_world_violate(world, "heals", "hand %u failed, and has not come back", i);
        }
    }
    rollcall_runtime_stop(rollcall_sim_runtime(sim), gang->foreman);
    rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 1000);
}

/* Signals go first, but an actor that is flooded with them does not starve its neighbours. */
#include "support/test.h"

#include <rollcall/testing.h>

#define FAIRNESS_LIST(X) X(FAIRNESS_PING, 0)
ROLLCALL_MESSAGES(fairness_message, FAIRNESS_LIST, FAIRNESS_COUNT);

static int pings;

/* Answers a signal with the next one to itself: its system mailbox is never empty. */
static int on_stop(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)self, (void)message;
    rollcall_stop(cx, rollcall_self(cx));
    return ROLLCALL_STAY;
}

static int on_ping(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    pings++;
    return ROLLCALL_STAY;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self, (void)options;
    return 0;
}

static const char *const STATE_NAMES[] = {"RUNNING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(FAIRNESS_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(FAIRNESS_LIST);
static const struct rollcall_cell TABLE[1][FAIRNESS_COUNT] = {
    [0][ROLLCALL_STOP] = {on_stop, 0},
    [0][FAIRNESS_PING] = {on_ping, 0},
};
static const struct rollcall_actor_type TYPE = {
    .name = "fairness",
    .init = init,
    .state_count = 1,
    .message_count = FAIRNESS_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

TEST(fairness, a_flood_of_signals_does_not_starve_messages)
{
    struct rollcall_sim *sim;
    struct rollcall_ref flooded, neighbour;
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = 1, .workers = 1), &sim, NULL),
              ROLLCALL_OK);
    struct rollcall_runtime *rt = rollcall_sim_runtime(sim);
    CHECK_INT(rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &TYPE), &flooded, NULL),
              ROLLCALL_OK);
    CHECK_INT(
        rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &TYPE), &neighbour, NULL),
        ROLLCALL_OK);
    CHECK(rollcall_sim_settle(sim, 100));
    pings = 0;
    rollcall_runtime_stop(rt, flooded);
    CHECK_INT(rollcall_runtime_send(rt, neighbour, FAIRNESS_PING, NULL, 0, NULL), ROLLCALL_OK);
    CHECK(!rollcall_sim_settle(sim, 1000)); /* the flood goes on */
    CHECK_INT(pings, 1);
    rollcall_sim_destroy(sim);
}

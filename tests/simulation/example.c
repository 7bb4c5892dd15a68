/*
 * example - two actors of a user, a scenario for them, and a program that explores it.
 *
 *     client --ADD #7--> counter       counts each request once, though it may be asked twice:
 *     client <--DONE #7-- counter      a client asks again until it is answered, also after a crash
 *
 *     example               the counter remembers what it has counted: everything holds
 *     example forgetful     it does not: "counted-once" is violated, and this says how
 *     example forgetful --first-seed 3 --seeds 1 --faults crash@5 --trace      a replay
 */
#include <rollcall/actor.h>
#include <rollcall/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AGAIN_MS = 100 };

struct books { /* the scenario's state: what really happened, as its invariants see it */
    uint64_t asked, counted, answered; /* requests */
    struct rollcall_ref shop, client;
};
static bool forgetful;

/* ---- the counter ---- */

struct request {
    uint64_t number;
};
#define COUNTER_LIST(X) X(COUNTER_ADD, sizeof(struct request))
ROLLCALL_MESSAGES(counter_message, COUNTER_LIST, COUNTER_COUNT);
#define CLIENT_LIST(X) X(CLIENT_ASK, 0) X(CLIENT_DONE, sizeof(struct request)) X(CLIENT_AGAIN, 0)
ROLLCALL_MESSAGES(client_message, CLIENT_LIST, CLIENT_COUNT);

struct options {
    struct books *books;
    struct rollcall_ref counter;
};
struct counter_handover { /* survives a crash */
    uint64_t last;        /* request counted */
};

static int on_add(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct books *books = *(struct books **)self;
    struct counter_handover *kept = rollcall_handover(cx);
    const struct request *request = message->payload;
    if (request->number != kept->last || forgetful) {
        books->counted++;
        kept->last = request->number;
    }
    ROLLCALL_DROP(rollcall_reply(cx, message->from, CLIENT_DONE, request, sizeof *request, NULL),
                  "the client will ask again");
    return ROLLCALL_STAY;
}

static int begin_counter(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    *(struct books **)self = ((const struct options *)options)->books;
    return 0;
}

static const struct rollcall_cell COUNTER_TABLE[][COUNTER_COUNT] = {
    {[COUNTER_ADD] = {on_add, 0}},
};
static const char *const COUNTER_STATES[] = {"OPEN"};
static const char *const COUNTER_NAMES[] = ROLLCALL_MESSAGE_NAMES(COUNTER_LIST);
static const uint16_t COUNTER_SIZES[] = ROLLCALL_PAYLOAD_SIZES(COUNTER_LIST);
static const struct rollcall_actor_type COUNTER = {
    .name = "counter",
    .self_size_bytes = sizeof(struct books *),
    .options_size_bytes = sizeof(struct options),
    .handover_size_bytes = sizeof(struct counter_handover),
    .init = begin_counter,
    .state_count = 1,
    .message_count = COUNTER_COUNT,
    .state_names = COUNTER_STATES,
    .message_names = COUNTER_NAMES,
    .payload_sizes = COUNTER_SIZES,
    .table = COUNTER_TABLE[0],
};

/* ---- the client ---- */

enum client_state { IDLE, ASKING };
struct client_handover {
    struct request request;
    bool open; /* it has not been answered */
};

static int ask(struct rollcall_context *cx, const struct options *client)
{
    const struct client_handover *kept = rollcall_handover(cx);
    ROLLCALL_DROP(
        rollcall_send(cx, client->counter, COUNTER_ADD, &kept->request, sizeof kept->request),
        "CLIENT_AGAIN asks again");
    rollcall_timer_set(cx, CLIENT_AGAIN, rollcall_now_ms(cx) + AGAIN_MS);
    return ASKING;
}

static int on_ask(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct options *client = self;
    struct client_handover *kept = rollcall_handover(cx);
    (void)message;
    kept->request.number++;
    kept->open = true;
    client->books->asked++;
    return ask(cx, client);
}

static int on_done(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct options *client = self;
    struct client_handover *kept = rollcall_handover(cx);
    if (((const struct request *)message->payload)->number != kept->request.number) {
        return ROLLCALL_STAY; /* to one that was asked twice, and answered before */
    }
    kept->open = false;
    client->books->answered++;
    rollcall_timer_cancel(cx, CLIENT_AGAIN);
    return IDLE;
}

static int on_again(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return ask(cx, self);
}

static int begin_client(struct rollcall_context *cx, void *self, const void *options)
{
    const struct client_handover *kept = rollcall_handover(cx);
    *(struct options *)self = *(const struct options *)options;
    return kept->open ? ask(cx, self) : IDLE; /* whether it was counted, who knows */
}

static const struct rollcall_cell CLIENT_TABLE[][CLIENT_COUNT] = {
    [IDLE] = {[CLIENT_ASK] = {on_ask, ROLLCALL_TO(ASKING)},
              [CLIENT_DONE] = {rollcall_ignore, 0}}, /* of one that was asked twice */
    [ASKING] = {[CLIENT_ASK] = {rollcall_ignore, 0}, /* one at a time */
                [CLIENT_DONE] = {on_done, ROLLCALL_TO(IDLE)},
                [CLIENT_AGAIN] = {on_again, ROLLCALL_TO(ASKING)}},
};
static const char *const CLIENT_STATES[] = {"IDLE", "ASKING"};
static const char *const CLIENT_NAMES[] = ROLLCALL_MESSAGE_NAMES(CLIENT_LIST);
static const uint16_t CLIENT_SIZES[] = ROLLCALL_PAYLOAD_SIZES(CLIENT_LIST);
static const struct rollcall_actor_type CLIENT = {
    .name = "client",
    .self_size_bytes = sizeof(struct options),
    .options_size_bytes = sizeof(struct options),
    .handover_size_bytes = sizeof(struct client_handover),
    .init = begin_client,
    .state_count = 2,
    .message_count = CLIENT_COUNT,
    .state_names = CLIENT_STATES,
    .message_names = CLIENT_NAMES,
    .payload_sizes = CLIENT_SIZES,
    .table = CLIENT_TABLE[0],
};

/* ---- their parent, which restarts them ---- */

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct rollcall_down *down = message->payload;
    (void)self;
    if (down->reason == ROLLCALL_DOWN_FAILED) {
        rollcall_restart_child(cx, down->who);
    }
    return ROLLCALL_STAY;
}

static int begin_shop(struct rollcall_context *cx, void *self, const void *given)
{
    struct options options = *(const struct options *)given;
    (void)self;
    if (rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &COUNTER, .options = &options),
                       &options.counter) != ROLLCALL_OK) {
        return ROLLCALL_FAIL;
    }
    return rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &CLIENT, .options = &options),
                          &options.books->client) == ROLLCALL_OK
               ? 0
               : ROLLCALL_FAIL;
}

static const struct rollcall_cell SHOP_TABLE[ROLLCALL_SIGNAL_COUNT] = {
    [ROLLCALL_DOWN] = {on_down, 0},
};
static const char *const SHOP_NAMES[] = {ROLLCALL_SIGNALS(ROLLCALL_NAME)};
static const uint16_t SHOP_SIZES[] = {ROLLCALL_SIGNALS(ROLLCALL_SIZE)};
static const struct rollcall_actor_type SHOP = {
    .name = "shop",
    .options_size_bytes = sizeof(struct options),
    .init = begin_shop,
    .state_count = 1,
    .message_count = ROLLCALL_SIGNAL_COUNT,
    .state_names = COUNTER_STATES,
    .message_names = SHOP_NAMES,
    .payload_sizes = SHOP_SIZES,
    .table = SHOP_TABLE,
};

/* ---- the scenario ---- */

static void begin(struct rollcall_world *world, void *state)
{
    struct books *books = state;
    struct rollcall_runtime *runtime = rollcall_sim_runtime(rollcall_world_sim(world));
    const struct options options = {.books = books};
    if (rollcall_runtime_spawn(runtime, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &SHOP, .options = &options),
                               &books->shop, NULL) != ROLLCALL_OK) {
        rollcall_world_violate(world, "begins", "the shop cannot be opened");
    }
    rollcall_sim_settle(rollcall_world_sim(world), 100); /* the client is there */
}

static void act(struct rollcall_world *world, void *state)
{
    struct rollcall_runtime *runtime = rollcall_sim_runtime(rollcall_world_sim(world));
    const struct books *books = state;
    if (rollcall_runtime_send(runtime, books->client, CLIENT_ASK, NULL, 0, NULL) != ROLLCALL_OK) {
        rollcall_world_violate(world, "takes-requests", "the client's mailbox is full");
    }
}

static void check(struct rollcall_world *world, void *state)
{
    const struct books *books = state;
    if (books->counted > books->asked) {
        rollcall_world_violate(world, "counted-once", "%llu requests were counted as %llu",
                               (unsigned long long)books->asked,
                               (unsigned long long)books->counted);
    }
}

static void end(struct rollcall_world *world, void *state)
{
    const struct books *books = state;
    if (books->counted != books->asked || books->answered != books->asked) {
        rollcall_world_violate(world, "all-answered", "of %llu requests %llu were answered",
                               (unsigned long long)books->asked,
                               (unsigned long long)books->answered);
    }
}

static const char *const MORTAL[] = {"counter", "client", NULL};
static const struct rollcall_scenario SCENARIO =
    ROLLCALL_SCENARIO(.name = "counter", .about = "requests are counted once, and answered",
                      .state_size_bytes = sizeof(struct books), .mortal = MORTAL, .begin = begin,
                      .act = act, .check = check, .end = end);

/* ---- the program ---- */

static void read_option(struct rollcall_explore_options *options, const char *word,
                        const char *value)
{
    if (strcmp(word, "--first-seed") == 0) {
        options->first_seed = strtoull(value, NULL, 0);
    } else if (strcmp(word, "--seeds") == 0) {
        options->seeds = strtoull(value, NULL, 0);
    } else if (strcmp(word, "--steps") == 0) {
        options->steps = strtoull(value, NULL, 0);
    } else if (strcmp(word, "--faults") == 0) {
        options->faults = value;
    }
}

int main(int argc, char **argv)
{
    struct rollcall_error error;
    struct rollcall_explore_result result;
    struct rollcall_explore_options options = *ROLLCALL_EXPLORE_OPTIONS(.seeds = 2000);
    for (int i = 1; i < argc; i++) {
        forgetful = forgetful || strcmp(argv[i], "forgetful") == 0;
        options.trace = options.trace || strcmp(argv[i], "--trace") == 0;
        read_option(&options, argv[i], i + 1 < argc ? argv[i + 1] : "");
    }
    options.command = forgetful ? "example forgetful" : "example";
    if (rollcall_explore(&SCENARIO, &options, &result, &error) != ROLLCALL_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%llu seeds, %llu steps: everything held\n", (unsigned long long)result.seeds,
           (unsigned long long)result.steps);
    return 0;
}

/*
 * Traffic on real threads: senders with credit windows into sinks on other workers, a foreign
 * thread through a port, and application threads that send, spawn and look inside at the same time.
 * Nothing is lost, every pair keeps its order, every object is destroyed once.
 */
#include "runtime/port.h"
#include "support/stress.h"

#include <rollcall/runtime.h>

enum {
    SENDERS = 12,
    WINDOW = 16,
    RUN_MS = 1500,
    POSTER = SENDERS,  /* the port's number among the sources */
    FIRST_APPLICATION, /* the application threads' numbers */
    APPLICATIONS = 3,
    SOURCES = FIRST_APPLICATION + APPLICATIONS
};

/* ---- messages and what they carry ---- */

#define PEER_LIST(X)                                                                               \
    X(PEER_PARCEL, sizeof(struct label)) /* to a sink; object: a parcel */                         \
    X(PEER_CREDIT, 0)                    /* to a sender: a parcel has arrived */                   \
    X(PEER_TICK, 0)                      /* a sender's timer */
struct label {
    uint64_t number;
    uint32_t source;
};
ROLLCALL_MESSAGES(peer_message, PEER_LIST, PEER_COUNT);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(PEER_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(PEER_LIST);
static const char *const STATES[] = {"OPEN"};

struct parcel {
    struct rollcall_object object;
    struct label label; /* written plainly: a lane must hand it over */
};
static int64_t parcels; /* atomic: alive */
static int stopping;    /* atomic: senders send no more */

static void destroy_parcel(struct rollcall_object *object)
{
    __atomic_fetch_sub(&parcels, 1, __ATOMIC_RELAXED);
    free(object); /* the object is the first member */
}

static struct rollcall_object *create_parcel(struct label label)
{
    struct parcel *parcel = malloc(sizeof *parcel);
    STRESS_CHECK(parcel != NULL);
    rollcall_object_init(&parcel->object, destroy_parcel);
    parcel->label = label;
    __atomic_fetch_add(&parcels, 1, __ATOMIC_RELAXED);
    return &parcel->object;
}

/* ---- sinks ---- */

/* One per sink; its actor writes it, the test reads it when the runtime is gone. */
struct ledger {
    uint64_t received[SOURCES];
};

static int sink_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    *(struct ledger **)self = *(struct ledger *const *)options;
    return 0;
}

static int sink_parcel(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct ledger *ledger = *(struct ledger **)self;
    const struct label *label = message->payload;
    const struct parcel *parcel = (const struct parcel *)message->object;
    STRESS_CHECK(label->source < SOURCES);
    STRESS_CHECK(label->source == parcel->label.source && label->number == parcel->label.number);
    STRESS_CHECK(label->number == ledger->received[label->source]);
    ledger->received[label->source]++;
    stress_progress();
    if (label->source < SENDERS) {
        const enum rollcall_status status =
            rollcall_reply(cx, message->from, PEER_CREDIT, NULL, 0, NULL);
        STRESS_CHECK(status == ROLLCALL_OK); /* the window leaves room for it */
    }
    return ROLLCALL_STAY;
}

static const struct rollcall_cell SINK_TABLE[PEER_COUNT] = {[PEER_PARCEL] = {sink_parcel, 0}};
static const struct rollcall_actor_type SINK = {
    .name = "sink",
    .self_size_bytes = sizeof(struct ledger *),
    .options_size_bytes = sizeof(struct ledger *),
    .init = sink_init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = SINK_TABLE,
};

/* ---- senders ---- */

struct sender_options {
    struct rollcall_ref sink;
    uint32_t source;
    uint64_t *sent; /* the actor's while the runtime lives */
    int *finished;  /* atomic: counts senders with every credit back */
};
struct sender {
    struct sender_options options;
    uint32_t credits;
    bool finished;
};

static void send_window(struct rollcall_context *cx, struct sender *sender)
{
    while (sender->credits > 0 && !__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        const struct label label = {.number = *sender->options.sent,
                                    .source = sender->options.source};
        const enum rollcall_status status = rollcall_send_object(
            cx, sender->options.sink, PEER_PARCEL, &label, sizeof label, create_parcel(label));
        if (status == ROLLCALL_E_FULL) {
            break; /* outsiders, who have no window, have filled it: again with the next tick */
        }
        STRESS_CHECK(status == ROLLCALL_OK);
        ++*sender->options.sent;
        sender->credits--;
    }
    if (sender->credits == WINDOW && !sender->finished) {
        sender->finished = true;
        __atomic_fetch_add(sender->options.finished, 1, __ATOMIC_RELEASE);
    }
}

static int sender_init(struct rollcall_context *cx, void *self, const void *options)
{
    struct sender *sender = self;
    sender->options = *(const struct sender_options *)options;
    sender->credits = WINDOW;
    rollcall_timer_set(cx, PEER_TICK, rollcall_now_ms(cx));
    return 0;
}

static int sender_credit(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct sender *sender = self;
    (void)message;
    sender->credits++;
    STRESS_CHECK(sender->credits <= WINDOW);
    if (rollcall_random(cx) % 64 != 0) { /* now and then a pause, until the next tick */
        send_window(cx, sender);
    }
    return ROLLCALL_STAY;
}

static int sender_tick(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    (void)message;
    send_window(cx, self);
    rollcall_timer_set(cx, PEER_TICK, rollcall_now_ms(cx) + 1 + (int64_t)(rollcall_random(cx) % 5));
    return ROLLCALL_STAY;
}

static const struct rollcall_cell SENDER_TABLE[PEER_COUNT] = {
    [PEER_CREDIT] = {sender_credit, 0}, [PEER_TICK] = {sender_tick, 0}};
static const struct rollcall_actor_type SENDER = {
    .name = "sender",
    .self_size_bytes = sizeof(struct sender),
    .options_size_bytes = sizeof(struct sender_options),
    .init = sender_init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = SENDER_TABLE,
};

/* ---- an echo: answers until the trips are over ---- */

static int64_t trips_left; /* atomic */

static int echo_init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct rollcall_ref *other = options;
    (void)self;
    if (!rollcall_ref_is_nobody(*other)) {
        const enum rollcall_status status = rollcall_send(cx, *other, PEER_CREDIT, NULL, 0);
        STRESS_CHECK(status == ROLLCALL_OK);
    }
    return 0;
}

static int echo_credit(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    (void)self;
    stress_progress();
    if (__atomic_sub_fetch(&trips_left, 1, __ATOMIC_RELAXED) > 0) {
        const enum rollcall_status status =
            rollcall_reply(cx, message->from, PEER_CREDIT, NULL, 0, NULL);
        STRESS_CHECK(status == ROLLCALL_OK);
    }
    return ROLLCALL_STAY;
}

static const struct rollcall_cell ECHO_TABLE[PEER_COUNT] = {[PEER_CREDIT] = {echo_credit, 0}};
static const struct rollcall_actor_type ECHO = {
    .name = "echo",
    .options_size_bytes = sizeof(struct rollcall_ref),
    .init = echo_init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = ECHO_TABLE,
};

/* ---- threads of the test ---- */

struct outsider {
    struct rollcall_runtime *rt;
    struct rollcall__port *port; /* the poster's */
    struct rollcall_ref sink;
    uint32_t source;
    uint64_t sent, spawned;
    struct rollcall__random random;
};

static bool is_stopping(void)
{
    return __atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

/* A foreign thread: bursts through a port, which never refuses and keeps order. */
static void *post(void *argument)
{
    struct outsider *me = argument;
    while (!is_stopping()) {
        const uint64_t burst = rollcall__random_below(&me->random, 600);
        for (uint64_t i = 0; i < burst; i++) {
            const struct label label = {.number = me->sent++, .source = me->source};
            rollcall__port_post(me->port, (struct rollcall_caller){.ref = me->sink}, PEER_PARCEL,
                                &label, sizeof label, create_parcel(label));
        }
        while (!rollcall__port_flush(me->port)) {
            usleep(200);
        }
        usleep(500);
    }
    return NULL;
}

static void ignore_line(void *user, const char *line)
{
    (void)user, (void)line;
}

static void spawn_and_stop(struct outsider *me)
{
    struct rollcall_ref ref;
    struct rollcall_error error;
    struct ledger *none = NULL;
    if (rollcall_runtime_spawn(me->rt, (uint32_t)rollcall__random_below(&me->random, 4),
                               ROLLCALL_SPAWN_OPTIONS(.type = &SINK, .options = &none), &ref,
                               &error) != ROLLCALL_OK) {
        stress_fail("spawn: %s", error.text);
    }
    rollcall_runtime_stop(me->rt, ref);
    me->spawned++;
}

/* An application thread: sends what fits, and looks inside all the while. */
static void *apply(void *argument)
{
    struct outsider *me = argument;
    struct rollcall_runtime_stats stats;
    while (!is_stopping()) {
        const struct label label = {.number = me->sent, .source = me->source};
        switch (rollcall__random_below(&me->random, 16)) {
        case 0:
            spawn_and_stop(me);
            break;
        case 1:
            STRESS_CHECK(rollcall_runtime_stats(me->rt, &stats) == ROLLCALL_OK);
            break;
        case 2:
            STRESS_CHECK(rollcall_runtime_trace(me->rt, ignore_line, NULL) == ROLLCALL_OK);
            break;
        default:
            me->sent += rollcall_runtime_send(me->rt, me->sink, PEER_PARCEL, &label, sizeof label,
                                              create_parcel(label)) == ROLLCALL_OK;
            break;
        }
    }
    return NULL;
}

/* ---- one run ---- */

struct run {
    struct rollcall_runtime *rt;
    struct ledger *ledgers;
    struct rollcall_ref *sinks;
    uint32_t workers;
    uint64_t sent[SENDERS];
    int finished;
    struct outsider outsiders[1 + APPLICATIONS]; /* the poster first */
    pthread_t threads[1 + APPLICATIONS];
};

static void spawn_actors(struct run *run)
{
    for (uint32_t i = 0; i < run->workers; i++) {
        struct ledger *ledger = &run->ledgers[i];
        STRESS_CHECK(
            rollcall_runtime_spawn(
                run->rt, i,
                ROLLCALL_SPAWN_OPTIONS(.type = &SINK, .options = &ledger, .mailbox_messages = 4096),
                &run->sinks[i], NULL) == ROLLCALL_OK);
    }
    for (uint32_t i = 0; i < SENDERS; i++) { /* every pair of workers, and each with itself */
        const struct sender_options options = {.sink = run->sinks[(i / 2) % run->workers],
                                               .source = i,
                                               .sent = &run->sent[i],
                                               .finished = &run->finished};
        struct rollcall_ref ref;
        STRESS_CHECK(rollcall_runtime_spawn(
                         run->rt, i, ROLLCALL_SPAWN_OPTIONS(.type = &SENDER, .options = &options),
                         &ref, NULL) == ROLLCALL_OK);
    }
}

static void start_outsiders(struct run *run, uint64_t seed)
{
    for (uint32_t i = 0; i < 1 + APPLICATIONS; i++) {
        struct outsider *outsider = &run->outsiders[i];
        *outsider = (struct outsider){
            .rt = run->rt, .sink = run->sinks[i % run->workers], .source = POSTER + i};
        rollcall__random_init(&outsider->random, seed + i);
        if (i == 0) {
            STRESS_CHECK(rollcall__port_open(run->rt, &outsider->port, NULL) == ROLLCALL_OK);
        }
        STRESS_CHECK(pthread_create(&run->threads[i], NULL, i == 0 ? post : apply, outsider) == 0);
    }
}

/* Every sink has what was sent to it: sinks are read after the runtime is gone. */
static void compare(const struct run *run)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < SENDERS; i++) {
        STRESS_CHECK(run->ledgers[(i / 2) % run->workers].received[i] == run->sent[i]);
        total += run->sent[i];
    }
    for (uint32_t i = 0; i < 1 + APPLICATIONS; i++) {
        const struct outsider *outsider = &run->outsiders[i];
        STRESS_CHECK(run->ledgers[i % run->workers].received[POSTER + i] == outsider->sent);
        fprintf(stderr, "  outsider %u: %" PRIu64 " sent, %" PRIu64 " spawned\n", i, outsider->sent,
                outsider->spawned);
    }
    fprintf(stderr, "  %" PRIu64 " parcels between actors\n", total);
    STRESS_CHECK(total > 100); /* even when outsiders flood the only worker */
    STRESS_CHECK(__atomic_load_n(&parcels, __ATOMIC_RELAXED) == 0);
}

/* Until every sender has its credits back and every parcel has been read. */
static void wait_until_quiet(struct run *run)
{
    struct rollcall_runtime_stats stats;
    while (__atomic_load_n(&run->finished, __ATOMIC_ACQUIRE) < SENDERS ||
           __atomic_load_n(&parcels, __ATOMIC_RELAXED) != 0) {
        usleep(1000);
    }
    STRESS_CHECK(rollcall_runtime_stats(run->rt, &stats) == ROLLCALL_OK);
    STRESS_CHECK(stats.bounced == 0 && stats.impossible == 0 && stats.stale == 0);
}

static void run_traffic(uint64_t seed, uint32_t workers)
{
    struct run run = {.workers = workers};
    run.ledgers = calloc(workers, sizeof *run.ledgers);
    run.sinks = calloc(workers, sizeof *run.sinks);
    STRESS_CHECK(run.ledgers != NULL && run.sinks != NULL);
    __atomic_store_n(&stopping, 0, __ATOMIC_RELAXED);
    STRESS_CHECK(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = workers), &run.rt,
                                         NULL) == ROLLCALL_OK);
    spawn_actors(&run);
    start_outsiders(&run, seed);
    usleep(RUN_MS * 1000);
    __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 1 + APPLICATIONS; i++) {
        pthread_join(run.threads[i], NULL);
    }
    wait_until_quiet(&run);
    rollcall__port_close(run.outsiders[0].port);
    STRESS_CHECK(rollcall_runtime_destroy(run.rt) == ROLLCALL_OK);
    compare(&run);
    free(run.ledgers);
    free(run.sinks);
}

/* One message at a time, no timer, no other traffic: one lost wake-up and nothing moves again. */
static void run_echo(int64_t trips)
{
    struct rollcall_runtime *rt;
    struct rollcall_ref first = {0}, second;
    __atomic_store_n(&trips_left, trips, __ATOMIC_RELAXED);
    STRESS_CHECK(rollcall_runtime_create(NULL, &rt, NULL) == ROLLCALL_OK);
    STRESS_CHECK(rollcall_runtime_spawn(rt, 0,
                                        ROLLCALL_SPAWN_OPTIONS(.type = &ECHO, .options = &first),
                                        &first, NULL) == ROLLCALL_OK);
    STRESS_CHECK(rollcall_runtime_spawn(rt, 1,
                                        ROLLCALL_SPAWN_OPTIONS(.type = &ECHO, .options = &first),
                                        &second, NULL) == ROLLCALL_OK);
    while (__atomic_load_n(&trips_left, __ATOMIC_RELAXED) > 0) {
        usleep(10000); /* asking the runtime would wake it */
    }
    STRESS_CHECK(rollcall_runtime_destroy(rt) == ROLLCALL_OK);
}

int main(void)
{
    const uint64_t seed = stress_begin();
    stress_enter("one message back and forth");
    run_echo(60000);
    stress_enter("one worker");
    run_traffic(seed, 1);
    stress_enter("two workers");
    run_traffic(seed + 100, 2);
    stress_enter("four workers");
    run_traffic(seed + 200, 4);
    return EXIT_SUCCESS;
}

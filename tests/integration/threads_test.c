/* The runtime on real threads: what an application calls, and how it ends. */
#include "base/clock.h"
#include "runtime/port.h"
#include "support/probe.h"
#include "support/test.h"

#include <rollcall/runtime.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rollcall_runtime *create(uint32_t workers)
{
    struct rollcall_runtime *rt;
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = workers), &rt, NULL),
              ROLLCALL_OK);
    return rt;
}

static void destroy(struct rollcall_runtime *rt)
{
    CHECK_INT(rollcall_runtime_destroy(rt), ROLLCALL_OK);
}

/* Waits until a probe has recorded so many messages; a minute is for ever. */
static void await(const struct probe *probe, size_t count)
{
    for (int i = 0; i < 60000 && probe_total(probe) < count; i++) {
        usleep(1000);
    }
    CHECK_INT(probe_total(probe), count);
}

/* Returns when each worker has been through its loop: a control call is served once in a turn, and
 * what was sent before it has been taken by the turn after. */
static void turn(struct rollcall_runtime *rt)
{
    struct rollcall_runtime_stats stats;
    for (int i = 0; i < 3; i++) {
        CHECK_INT(rollcall_runtime_stats(rt, &stats), ROLLCALL_OK);
    }
}

/* ---- creating ---- */

TEST(threads, options_out_of_range_are_refused_with_a_sentence)
{
    struct rollcall_runtime *rt = NULL;
    struct rollcall_error error;
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.workers = 9), &rt, &error),
              ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "workers") != NULL);
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.stop_timeout_ms = -1), &rt, &error),
              ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.trace_messages = UINT32_MAX), &rt,
                                      &error),
              ROLLCALL_E_INVALID);
    CHECK(rt == NULL);
}

TEST(threads, a_stop_timeout_of_for_ever_is_a_time_like_any_other)
{
    struct rollcall_runtime *rt;
    CHECK_INT(
        rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.stop_timeout_ms = INT64_MAX), &rt, NULL),
        ROLLCALL_OK);
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    rollcall_runtime_stop(rt, probe_spawn(probe, rt, 0));
    await(probe, 1);
    destroy(rt);
    probe_destroy(probe);
}

TEST(threads, options_of_an_older_and_of_a_newer_program_are_read)
{
    struct rollcall_runtime *rt;
    struct newer {
        struct rollcall_runtime_options known;
        int64_t unknown;
    } newer = {.known = {.size_bytes = sizeof newer, .workers = 1}};
    const struct rollcall_runtime_options older = {
        .size_bytes = offsetof(struct rollcall_runtime_options, workers), .workers = 99};
    CHECK_INT(rollcall_runtime_create(&older, &rt, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall__runtime_worker_count(rt), 2); /* its default: an older program has none */
    destroy(rt);
    CHECK_INT(rollcall_runtime_create(&newer.known, &rt, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall__runtime_worker_count(rt), 1);
    destroy(rt);
    newer.unknown = 1;
    CHECK_INT(rollcall_runtime_create(&newer.known, &rt, NULL), ROLLCALL_E_INVALID);
    CHECK_INT(rollcall_runtime_destroy(NULL), ROLLCALL_OK);
}

/* ---- calls from callbacks ---- */

struct answers {
    struct rollcall_runtime *rt;
    const struct rollcall_actor_type *type;
    enum rollcall_status spawn, stats, trace, destroy, send;
    bool options_freed;
};

static void print_nothing(void *user, const char *line)
{
    (void)user, (void)line;
}

static void call_everything(struct rollcall_context *cx, void *user)
{
    struct answers *answers = user;
    struct rollcall_runtime_stats stats;
    struct rollcall_ref ref = rollcall_self(cx);
    const struct probe_options options = {NULL};
    answers->spawn = rollcall_runtime_spawn(
        answers->rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = answers->type, .options = &options), &ref,
        NULL);
    answers->stats = rollcall_runtime_stats(answers->rt, &stats);
    answers->trace = rollcall_runtime_trace(answers->rt, print_nothing, NULL);
    answers->destroy = rollcall_runtime_destroy(answers->rt);
    answers->send = rollcall_runtime_send(answers->rt, ref, ROLLCALL_BOUNCED,
                                          &(struct rollcall_bounced){.type = 1},
                                          sizeof(struct rollcall_bounced), NULL);
}

TEST(threads, a_callback_is_told_busy_where_it_would_wait_for_itself)
{
    struct rollcall_runtime *rt = create(2);
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    struct answers answers = {.rt = rt, .type = probe_type(probe), .send = ROLLCALL_E_ACTOR};
    probe_spawn(probe, rt, 0);
    probe_run(probe, rt, call_everything, &answers);
    await(probe, 1); /* the message it sent itself from within */
    CHECK_INT(answers.spawn, ROLLCALL_E_BUSY);
    CHECK_INT(answers.stats, ROLLCALL_E_BUSY);
    CHECK_INT(answers.trace, ROLLCALL_E_BUSY);
    CHECK_INT(answers.destroy, ROLLCALL_E_BUSY);
    CHECK_INT(answers.send, ROLLCALL_OK);
    destroy(rt);
    probe_destroy(probe);
}

TEST(threads, a_runtime_with_an_open_handle_is_not_destroyed)
{
    struct rollcall_runtime *rt = create(1);
    rollcall__runtime_hold(rt);
    CHECK_INT(rollcall_runtime_destroy(rt), ROLLCALL_E_BUSY);
    rollcall__runtime_release(rt);
    destroy(rt);
}

TEST(threads, a_child_process_is_told_it_has_forked)
{
    struct rollcall_runtime *rt = create(1);
    int status;
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rollcall_runtime_stats stats;
        const bool told = rollcall_runtime_stats(rt, &stats) == ROLLCALL_E_FORKED &&
                          rollcall_runtime_destroy(rt) == ROLLCALL_E_FORKED &&
                          rollcall_runtime_send(rt, (struct rollcall_ref){1}, 0, NULL, 0, NULL) ==
                              ROLLCALL_E_FORKED;
        _exit(told ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(status, 0);
    destroy(rt);
}

/* ---- time ---- */

static void set_stop_timer(struct rollcall_context *cx, void *delay_ms)
{
    rollcall_timer_set(cx, ROLLCALL_STOP, rollcall_now_ms(cx) + *(int64_t *)delay_ms);
}

TEST(threads, a_timer_of_20_ms_takes_20_ms)
{
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct rollcall_runtime *rt = create(1);
        struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
        int64_t delay_ms = 20;
        probe_spawn(probe, rt, 0);
        const int64_t begin_ns = rollcall__clock_monotonic_ns();
        probe_run(probe, rt, set_stop_timer, &delay_ms);
        await(probe, 1);
        const int64_t took_ns = rollcall__clock_monotonic_ns() - begin_ns;
        CHECK(took_ns > 19000000);
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        destroy(rt);
        probe_destroy(probe);
    }
    CHECK(best_ns < 60000000); /* the best of five; unclamped it is 128 ms every time */
}

static void set_far_timer(struct rollcall_context *cx, void *at_ms)
{
    rollcall_timer_set(cx, ROLLCALL_STOP, *(int64_t *)at_ms);
}

TEST(threads, a_timer_may_be_set_at_either_end_of_time)
{
    struct rollcall_runtime *rt = create(1);
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    int64_t never_ms = INT64_MAX - 1, past_ms = INT64_MIN;
    probe_spawn(probe, rt, 0);
    probe_run(probe, rt, set_far_timer, &never_ms);
    turn(rt);
    CHECK_INT(probe_total(probe), 0);
    probe_run(probe, rt, set_far_timer, &past_ms);
    await(probe, 1);
    destroy(rt);
    probe_destroy(probe);
}

/* ---- the end ---- */

#define BUSYBODY_LIST(X) X(BUSYBODY_AGAIN, 0)
ROLLCALL_MESSAGES(busybody_message, BUSYBODY_LIST, BUSYBODY_COUNT);

static int busybody_init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)self, (void)options;
    return rollcall_send(cx, rollcall_self(cx), BUSYBODY_AGAIN, NULL, 0) == ROLLCALL_OK
               ? 0
               : ROLLCALL_FAIL;
}

static int busybody_again(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    (void)self, (void)message;
    ROLLCALL_DROP(rollcall_send(cx, rollcall_self(cx), BUSYBODY_AGAIN, NULL, 0), "a test");
    return ROLLCALL_STAY;
}

static const struct rollcall_cell BUSYBODY_TABLE[BUSYBODY_COUNT] = {
    [ROLLCALL_STOP] = {rollcall_ignore, 0}, [BUSYBODY_AGAIN] = {busybody_again, 0}};
static const char *const BUSYBODY_STATES[] = {"BUSY"};
static const char *const BUSYBODY_NAMES[] = ROLLCALL_MESSAGE_NAMES(BUSYBODY_LIST);
static const uint16_t BUSYBODY_SIZES[] = ROLLCALL_PAYLOAD_SIZES(BUSYBODY_LIST);
static const struct rollcall_actor_type BUSYBODY = {
    .name = "busybody",
    .init = busybody_init,
    .state_count = 1,
    .message_count = BUSYBODY_COUNT,
    .state_names = BUSYBODY_STATES,
    .message_names = BUSYBODY_NAMES,
    .payload_sizes = BUSYBODY_SIZES,
    .table = BUSYBODY_TABLE,
};

TEST(threads, an_actor_that_neither_stops_nor_rests_is_ended_without_its_consent)
{
    struct rollcall_runtime *rt;
    struct rollcall_ref ref;
    CHECK_INT(rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.stop_timeout_ms = 50), &rt, NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_spawn(rt, 0, ROLLCALL_SPAWN_OPTIONS(.type = &BUSYBODY), &ref, NULL),
              ROLLCALL_OK);
    alarm(30); /* it would never end */
    destroy(rt);
    alarm(0);
}

static void *destroy_elsewhere(void *rt)
{
    destroy(rt);
    return NULL;
}

TEST(threads, an_actor_that_takes_its_time_to_stop_is_waited_for)
{
    struct rollcall_runtime *rt = create(2);
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    int64_t delay_ms = 30;
    probe_return(probe, ROLLCALL_STOP, ROLLCALL_STAY);
    probe_spawn(probe, rt, 1);
    probe_run(probe, rt, set_stop_timer, &delay_ms); /* later it ends */
    turn(rt);
    pthread_t destroyer;
    CHECK_INT(pthread_create(&destroyer, NULL, destroy_elsewhere, rt), 0);
    await(probe, 1);
    probe_return(probe, ROLLCALL_STOP, ROLLCALL_END);
    pthread_join(destroyer, NULL);
    CHECK_INT(probe_total(probe), 2);
    probe_destroy(probe);
}

static struct probe *family[4];

static void spawn_children(struct rollcall_context *cx, void *user)
{
    (void)user;
    for (int i = 1; i < 4; i++) {
        const struct probe_options options = {family[i]};
        struct rollcall_ref ref;
        CHECK_INT(rollcall_spawn(
                      cx,
                      ROLLCALL_SPAWN_OPTIONS(.type = probe_type(family[i]), .options = &options),
                      &ref),
                  ROLLCALL_OK);
    }
}

static int64_t trace_position(const char *text, const char *part)
{
    const char *found = strstr(text, part);
    CHECK(found != NULL);
    return found - text;
}

static void append_line(void *user, const char *line)
{
    const size_t used = strlen(user);
    snprintf((char *)user + used, 8192 - used, "%s\n", line);
}

TEST(threads, a_parents_end_stops_its_children_youngest_first)
{
    static const char *const names[] = {"parent", "old", "middle", "young"};
    static char text[8192];
    struct rollcall_runtime *rt = create(1);
    for (int i = 0; i < 4; i++) {
        family[i] = probe_create(names[i], NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    }
    const struct rollcall_ref parent = probe_spawn(family[0], rt, 0);
    probe_run(family[0], rt, spawn_children, NULL);
    struct rollcall_runtime_stats stats = {0};
    while (stats.actors < 4) {
        CHECK_INT(rollcall_runtime_stats(rt, &stats), ROLLCALL_OK);
    }
    rollcall_runtime_stop(rt, parent);
    await(family[1], 1);
    text[0] = '\0';
    CHECK_INT(rollcall_runtime_trace(rt, append_line, text), ROLLCALL_OK);
    const int64_t young = trace_position(text, "young/3  ROLLCALL_STOP");
    const int64_t middle = trace_position(text, "middle/2  ROLLCALL_STOP");
    const int64_t old = trace_position(text, "old/1  ROLLCALL_STOP");
    CHECK(young < middle && middle < old);
    destroy(rt);
    for (int i = 0; i < 4; i++) {
        probe_destroy(family[i]);
    }
}

/* ---- ports ---- */

TEST(threads, a_port_delivers_in_order_to_every_worker_however_much_is_posted)
{
    struct rollcall_runtime *rt = create(2);
    struct rollcall__port *port;
    struct probe *probe[2];
    int alive = 0;
    CHECK_INT(rollcall__port_open(rt, &port, NULL), ROLLCALL_OK);
    for (uint32_t i = 0; i < 2; i++) {
        probe[i] = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
        probe_spawn(probe[i], rt, i);
    }
    for (uint16_t i = 0; i < 1000; i++) { /* a lane holds 255 */
        const struct rollcall_bounced number = {.type = i};
        rollcall__port_post(port, (struct rollcall_caller){.ref = probe_ref(probe[i % 2])},
                            ROLLCALL_BOUNCED, &number, sizeof number, probe_object(&alive));
    }
    while (!rollcall__port_flush(port)) {
        usleep(1000);
    }
    for (uint16_t p = 0; p < 2; p++) {
        await(probe[p], 500);
        for (uint16_t i = 0; i < 500; i++) {
            struct rollcall_bounced number;
            memcpy(&number, probe_payload(probe_nth(probe[p], i)), sizeof number);
            CHECK_INT(number.type, 2 * i + p);
        }
    }
    rollcall__port_close(port);
    destroy(rt);
    probe_destroy(probe[0]);
    probe_destroy(probe[1]);
    CHECK_INT(alive, 0);
}

TEST(threads, a_port_closed_with_messages_in_it_loses_no_object)
{
    struct rollcall_runtime *rt = create(2);
    struct rollcall__port *port;
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    int alive = 0;
    CHECK_INT(rollcall__port_open(rt, &port, NULL), ROLLCALL_OK);
    probe_spawn(probe, rt, 1);
    for (int i = 0; i < 600; i++) {
        rollcall__port_post(port, (struct rollcall_caller){.ref = probe_ref(probe)}, ROLLCALL_STOP,
                            NULL, 0, probe_object(&alive));
    }
    rollcall__port_close(
        port); /* without a flush: what the lane holds is delivered, the rest not */
    destroy(rt);
    probe_destroy(probe);
    CHECK_INT(alive, 0);
}

TEST(threads, there_are_eight_ports_and_a_closed_one_can_be_opened_again)
{
    struct rollcall_runtime *rt = create(1);
    struct rollcall__port *ports[9];
    struct rollcall_error error;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            CHECK_INT(rollcall__port_open(rt, &ports[i], NULL), ROLLCALL_OK);
        }
        CHECK_INT(rollcall__port_open(rt, &ports[8], &error), ROLLCALL_E_BUSY);
        for (int i = 0; i < 8; i++) {
            rollcall__port_close(ports[i]);
        }
    }
    rollcall__port_close(NULL);
    destroy(rt);
}

static int asleep; /* atomic */

static void sleep_long(struct rollcall_context *cx, void *user)
{
    (void)cx, (void)user;
    __atomic_store_n(&asleep, 1, __ATOMIC_RELEASE);
    usleep(6500000); /* longer than a control call waits */
}

TEST(threads, a_port_closed_while_a_worker_is_stuck_leaks_nothing)
{
    struct rollcall_runtime *rt = create(2);
    struct rollcall__port *port;
    struct probe *probe = probe_create("probe", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    int alive = 0;
    CHECK_INT(rollcall__port_open(rt, &port, NULL), ROLLCALL_OK);
    const struct rollcall_ref other = probe_spawn(probe, rt, 1);
    struct probe *sleeper = probe_create("sleeper", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    probe_spawn(sleeper, rt, 0);
    __atomic_store_n(&asleep, 0, __ATOMIC_RELAXED);
    probe_run(sleeper, rt, sleep_long, NULL);
    for (int i = 0; i < 60000 && !__atomic_load_n(&asleep, __ATOMIC_ACQUIRE); i++) {
        usleep(1000);
    }
    for (int i = 0; i < 600; i++) {
        rollcall__port_post(port, (struct rollcall_caller){.ref = other}, ROLLCALL_STOP, NULL, 0,
                            probe_object(&alive));
    }
    rollcall__port_close(port);
    destroy(rt);
    probe_destroy(probe);
    probe_destroy(sleeper);
    CHECK_INT(alive, 0);
}

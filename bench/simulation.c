/*
 * bench/simulation.c - what the simulator costs: how many simulations, and how many steps, a
 * second. simulation [ROUNDS [SIMULATIONS [STEPS]]]        (15, 200, 1000) Each round creates
 * SIMULATIONS of 5 workers one after the other, lets tokens go round among 10 actors for STEPS
 * steps, and destroys them; then it does the same without a step.  One JSON line, in simulations a
 * second and nanoseconds of CPU time.  Exit 1 if a simulation ran out of steps or a seed gave two
 * runs.
 */
#include "support/measure.h"

#include <rollcall/testing.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    WORKERS = 5,
    ACTORS = 2 * WORKERS,
    TOKENS = 2 * ACTORS,
    LATE_MS = 5000,
    ROUNDS_MAX = 1000,
    COUNT_MAX = 1000000
};

/* ---- the actors: a token goes on at random, and each sets a timer, as actors that ask do ---- */

#define PEER_LIST(X) X(PEER_TOKEN, sizeof(uint32_t)) X(PEER_LATE, 0)
ROLLCALL_MESSAGES(peer_message, PEER_LIST, PEER_COUNT);

static struct rollcall_ref peers[ACTORS];

static int on_token(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const uint32_t hops = *(const uint32_t *)message->payload + 1;
    (void)self;
    rollcall_timer_set(cx, PEER_LATE, rollcall_now_ms(cx) + LATE_MS);
    ROLLCALL_DROP(
        rollcall_send(cx, peers[rollcall_random(cx) % ACTORS], PEER_TOKEN, &hops, sizeof hops),
        "there are fewer tokens than a mailbox holds");
    return ROLLCALL_STAY;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx, (void)self, (void)options;
    return 0;
}

static const struct rollcall_cell TABLE[PEER_COUNT] = {[PEER_TOKEN] = {on_token, 0}};
static const char *const STATES[] = {"HERE"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(PEER_LIST);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(PEER_LIST);
static const struct rollcall_actor_type PEER = {
    .name = "peer",
    .self_size_bytes = 1,
    .init = init,
    .state_count = 1,
    .message_count = PEER_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE,
};

/* ---- measuring ---- */

static bool populate(struct rollcall_runtime *rt)
{
    const uint32_t hops = 0;
    bool good = true;
    for (uint32_t i = 0; good && i < ACTORS; i++) {
        good = rollcall_runtime_spawn(rt, i, ROLLCALL_SPAWN_OPTIONS(.type = &PEER), &peers[i],
                                      NULL) == ROLLCALL_OK;
    }
    for (uint32_t i = 0; good && i < TOKENS; i++) {
        good = rollcall_runtime_send(rt, peers[i % ACTORS], PEER_TOKEN, &hops, sizeof hops, NULL) ==
               ROLLCALL_OK;
    }
    return good;
}

/* Its hash; 0 when something failed. */
static uint64_t simulate(uint64_t seed, int steps)
{
    struct rollcall_sim *sim;
    if (rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed, .workers = WORKERS), &sim, NULL) !=
        ROLLCALL_OK) {
        return 0;
    }
    bool good = steps == 0 || populate(rollcall_sim_runtime(sim));
    for (int i = 0; good && i < steps; i++) {
        good = rollcall_sim_step(sim); /* there is always a token on its way */
    }
    const uint64_t hash = good ? rollcall_sim_hash(sim) : 0;
    rollcall_sim_destroy(sim);
    return hash;
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

/* Nanoseconds for one simulation; below 0 when one failed. */
static double measure(int simulations, int steps)
{
    bool good = true;
    const double begin_ns = cpu_ns();
    for (int i = 0; i < simulations; i++) {
        good = simulate((uint64_t)i + 1, steps) != 0 && good;
    }
    return good ? (cpu_ns() - begin_ns) / simulations : -1;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static int run(int rounds, int simulations, int steps)
{
    static double full_ns[ROUNDS_MAX], empty_ns[ROUNDS_MAX];
    const uint64_t hash = simulate(7, steps); /* shows a change of what a seed means */
    if (simulate(7, steps) != hash) {
        fprintf(stderr, "simulation: one seed gave two runs\n");
        return 1;
    }
    for (int i = 0; i < rounds; i++) {
        full_ns[i] = measure(simulations, steps);
        empty_ns[i] = measure(simulations, 0);
        if (full_ns[i] < 0 || empty_ns[i] < 0) {
            fprintf(stderr, "simulation: out of memory\n");
            return 1;
        }
    }
    qsort(full_ns, (size_t)rounds, sizeof full_ns[0], compare);
    qsort(empty_ns, (size_t)rounds, sizeof empty_ns[0], compare);
    const double full = full_ns[rounds / 2], empty = empty_ns[rounds / 2];
    printf("{\"event\":\"bench\",\"name\":\"simulation\",\"workers\":%d,\"rounds\":%d,"
           "\"simulations_per_round\":%d,\"steps\":%d,\"simulations_per_s\":%.0f,"
           "\"steps_per_s\":%.0f,\"create_destroy_median_ns\":%.0f,\"create_destroy_min_ns\":%.0f,"
           "\"create_destroy_max_ns\":%.0f,\"step_median_ns\":%.0f,\"hash_of_seed_7\":\"%016" PRIx64
           "\",",
           WORKERS, rounds, simulations, steps, 1e9 / full, 1e9 * steps / full, empty, empty_ns[0],
           empty_ns[rounds - 1], (full - empty) / steps, hash);
    measure_print_host();
    printf("}\n");
    return 0;
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 15;
    const long simulations = argc > 2 ? strtol(argv[2], NULL, 10) : 200;
    const long steps = argc > 3 ? strtol(argv[3], NULL, 10) : 1000;
    if (rounds < 1 || rounds > ROUNDS_MAX || simulations < 1 || simulations > COUNT_MAX ||
        steps < 1 || steps > COUNT_MAX) {
        fprintf(stderr, "usage: simulation [ROUNDS [SIMULATIONS [STEPS]]]\n");
        return 2;
    }
    return run((int)rounds, (int)simulations, (int)steps);
}

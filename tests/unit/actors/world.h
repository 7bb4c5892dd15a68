/*
 * tests/unit/actors/world.h - what every test of an actor needs around it: a simulation, and seeds.
 *
 *     TEST(thing, holds_whatever_the_schedule)
 *     {
 *         while (world_next(20)) {
 *             struct world world;
 *             world_open(&world);
 *             ... world.sim, world.rt ...
 *             world_close(&world);
 *         }
 *     }
 *
 * ROLLCALL_SEED=7 runs that seed alone.  A failure says which seed it was.
 */
#ifndef TESTS_UNIT_ACTORS_WORLD_H
#define TESTS_UNIT_ACTORS_WORLD_H

#include "actors/supervisor.h"
#include "sim/sim.h"

#include "support/test.h"

#include <rollcall/testing.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static uint64_t world_seed; /* of the run that goes on; 0: none */

static inline void world_say_seed(void)
{
    char line[64];
    const int size = snprintf(line, sizeof line, "with ROLLCALL_SEED=%" PRIu64 ":\n", world_seed);
    if (world_seed != 0 && write(STDERR_FILENO, line, (size_t)size) != size) {
        world_seed = 0; /* there is nowhere to say it */
    }
}

#undef CHECK_FAIL
#ifdef ROLLCALL_PLAIN_DRIVER
#define CHECK_FAIL(text) (world_say_seed(), plain_test_fail(__FILE__, __LINE__, text))
#else
#define CHECK_FAIL(text)                                                                           \
    do {                                                                                           \
        world_say_seed();                                                                          \
        cr_assert(false, "%s:%d: %s", __FILE__, __LINE__, text);                                   \
    } while (0)
#endif

static inline void world_aborted(int number)
{
    world_say_seed();
    signal(number, SIG_DFL);
    raise(number);
}

/* The next seed of 1 to `seeds`; false, and from the beginning again, after the last. */
static inline bool world_next(uint64_t seeds)
{
    const char *only = getenv("ROLLCALL_SEED");
    if (only != NULL && *only != '\0') {
        world_seed = world_seed == 0 ? strtoull(only, NULL, 0) : 0;
    } else {
        world_seed = world_seed == seeds ? 0 : world_seed + 1;
    }
    signal(SIGABRT, world_aborted); /* an actor's broken contract aborts too */
    return world_seed != 0;
}

struct world {
    struct rollcall_sim *sim;
    struct rollcall_runtime *rt;
};

static inline void world_open(struct world *world)
{
    CHECK_INT(rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = world_seed, .workers = 2),
                                  &world->sim, NULL),
              ROLLCALL_OK);
    world->rt = rollcall_sim_runtime(world->sim);
}

static inline void world_print(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

/* Prints the last messages: for a test that is being written. */
static inline void world_trace(const struct world *world)
{
    CHECK_INT(rollcall_runtime_trace(world->rt, world_print, NULL), ROLLCALL_OK);
}

static inline void world_close(struct world *world)
{
    rollcall_sim_destroy(world->sim);
}

/* From here on, every allocation of a handler's fails, or none does. */
static inline void world_memory(const struct world *world, bool there_is)
{
    struct rollcall__fault_plan plan = {.rates = {[ROLLCALL_FAULT_MEMORY] = there_is ? 0 : 1}};
    rollcall__faults_init(&world->sim->faults, world_seed, &plan);
    world->sim->faults.off = there_is;
}

/* Of the allocations of handlers from here on, the nth fails. */
static inline void world_memory_fails_at(const struct world *world, uint64_t nth)
{
    static struct rollcall__fault_at script;
    script = (struct rollcall__fault_at){ROLLCALL_FAULT_MEMORY, nth};
    rollcall__faults_init(
        &world->sim->faults, world_seed,
        &(struct rollcall__fault_plan){.scripted = true, .script = &script, .script_count = 1});
    world->sim->faults.off = false;
}

/* Whether one has, of those since then. */
static inline bool world_memory_failed(const struct world *world)
{
    return world->sim->faults.taken[ROLLCALL_FAULT_MEMORY] != 0;
}

static inline void world_settle(const struct world *world)
{
    CHECK(rollcall_sim_settle(world->sim, 200000));
}

static inline void world_run(const struct world *world, int64_t for_ms)
{
    rollcall_sim_run_until(world->sim, rollcall_sim_now_ms(world->sim) + for_ms);
}

/* Spawns on `worker`, under nobody. */
static inline struct rollcall_ref world_spawn(const struct world *world, uint32_t worker,
                                              const struct rollcall_spawn_options *options)
{
    struct rollcall_ref ref;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_runtime_spawn(world->rt, worker, options, &ref, &error), ROLLCALL_OK);
    return ref;
}

/* One that restarts what fails, on worker 0. */
static inline struct rollcall_ref world_supervisor(const struct world *world)
{
    const struct supervisor_options options = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    return world_spawn(world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &options));
}

/* Sends from outside.  object: moved; NULL: none. */
static inline void world_send(const struct world *world, struct rollcall_ref to, uint16_t type,
                              const void *payload, size_t size_bytes,
                              struct rollcall_object *object)
{
    CHECK_INT(rollcall_runtime_send(world->rt, to, type, payload, size_bytes, object), ROLLCALL_OK);
}

#define CHECK_STATE(world, ref, name) CHECK_STR(rollcall_sim_state((world)->sim, ref), name)

#endif /* TESTS_UNIT_ACTORS_WORLD_H */

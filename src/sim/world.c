#include "sim/world.h"

#include "base/assert.h"
#include "sim/matrix.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACT_STEPS = 24,  /* between two calls of `act`, on average */
    HEAL_MS = 60000, /* unless the scenario says otherwise */
    HEAL_STEPS_FACTOR =
        100, /* a run that heals for more steps than this many of it goes in circles */
    STILL_STEPS_MAX = 20000, /* without the clock moving: likewise */
    IDLE_ACTS_MAX = 1000,    /* of a world that stands still, none of which moved it: it is over */
    TRACE_SHOWN = 60
};

struct rollcall_world {
    const struct rollcall__run *run;
    const struct rollcall_scenario *scenario;
    struct rollcall_sim *sim;
    void *state;
    struct rollcall__random random; /* for the scenario: no other draw disturbs it */
    struct rollcall__outcome *outcome;
    uint64_t act_at;    /* the step of the next `act` */
    uint32_t idle_acts; /* since the last step */
    uint64_t still_steps;
    uint64_t noted[ROLLCALL__WORKERS_MAX]; /* of each worker's messages */
    uint8_t order[TRACE_SHOWN];            /* the workers of the last of them: a ring */
    uint64_t ordered;
    int64_t still_ms;
    bool restless;  /* it goes in circles */
    jmp_buf broken; /* where a broken contract leads */
};

/* ---- what a scenario asks ---- */

struct rollcall_sim *rollcall_world_sim(struct rollcall_world *world)
{
    return world->sim;
}

uint64_t rollcall_world_random(struct rollcall_world *world, uint64_t below)
{
    return rollcall__random_below(&world->random, below);
}

bool rollcall_world_faulty(const struct rollcall_world *world)
{
    for (size_t i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        if (world->sim->faults.taken[i] != 0) {
            return true;
        }
    }
    return false;
}

bool rollcall_world_violated(const struct rollcall_world *world)
{
    return world->outcome->invariant[0] != '\0';
}

void rollcall_world_violate(struct rollcall_world *world, const char *invariant, const char *format,
                            ...)
{
    struct rollcall__outcome *outcome = world->outcome;
    va_list arguments;
    if (outcome->invariant[0] != '\0') {
        return;
    }
    snprintf(outcome->invariant, sizeof outcome->invariant, "%s", invariant);
    va_start(arguments, format);
    vsnprintf(outcome->text, sizeof outcome->text, format, arguments);
    va_end(arguments);
    outcome->step = world->sim->steps;
    world->sim->halted = true;
}

/* ---- watching the simulation ---- */

/* In what order the workers have delivered: within a millisecond their traces do not say. */
static void note_new(struct rollcall_world *world)
{
    char line[ROLLCALL__TRACE_LINE_BYTES];
    const bool prints = world->run->trace && world->run->print != NULL;
    for (uint32_t i = 0; i < world->sim->rt.worker_count; i++) {
        const struct rollcall__trace *trace = &world->sim->rt.workers[i].trace;
        for (; world->noted[i] < trace->count; world->noted[i]++) {
            world->order[world->ordered++ % TRACE_SHOWN] = (uint8_t)i;
            if (prints) {
                rollcall__trace_format(&trace->entries[world->noted[i] & (trace->capacity - 1)],
                                       line);
                world->run->print(world->run->user, line);
            }
        }
    }
}

static void after_step(void *watcher)
{
    struct rollcall_world *world = watcher;
    note_new(world);
    rollcall__calm_observe(&world->sim->calm, world->sim);
    if (world->sim->now_ms != world->still_ms) {
        world->still_ms = world->sim->now_ms;
        world->still_steps = 0;
    } else if (++world->still_steps > STILL_STEPS_MAX) {
        world->restless = true;
        rollcall_world_violate(world, "comes-to-rest", "%d steps, and the clock did not move",
                               STILL_STEPS_MAX);
    }
    if (world->scenario->check != NULL && !rollcall_world_violated(world)) {
        world->scenario->check(world, world->state);
    }
}

static void before_clock(void *watcher)
{
    struct rollcall_world *world = watcher;
    rollcall__reach_observe(&world->sim->reach, world->sim);
    if (world->scenario->settled != NULL && !rollcall_world_violated(world)) {
        world->scenario->settled(world, world->state);
    }
}

static void on_fault(void *watcher, enum rollcall_fault fault)
{
    struct rollcall_world *world = watcher;
    rollcall__matrix_count(world->run->matrix, &world->sim->rt, fault);
}

/* What lies in memory is not to be trusted any more: the run is left as it is. */
static void on_broken(void *watcher, const char *sentence)
{
    struct rollcall_world *world = watcher;
    rollcall_world_violate(world, "contract", "%s", sentence);
    longjmp(world->broken, 1); /* tidy: allow - out of any depth of a handler that is given up */
}

/* ---- the report ---- */

/* What the workers have delivered last, of all of them, newest first.  Their traces keep more. */
static size_t collect(const struct rollcall_world *world, struct rollcall__trace_entry *last)
{
    uint64_t at[ROLLCALL__WORKERS_MAX];
    size_t count = 0;
    memcpy(at, world->noted, sizeof at);
    for (; count < TRACE_SHOWN && count < world->ordered; count++) {
        const uint8_t from = world->order[(world->ordered - 1 - count) % TRACE_SHOWN];
        const struct rollcall__trace *trace = &world->sim->rt.workers[from].trace;
        last[count] = trace->entries[--at[from] & (trace->capacity - 1)];
    }
    return count;
}

static void say(const struct rollcall_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct rollcall_world *world, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    world->run->print(world->run->user, line);
}

static const char *state_name(const struct rollcall__actor *actor)
{
    switch ((enum rollcall__actor_phase)actor->phase) {
    case ROLLCALL__ACTOR_RUNNING:
        return actor->type->state_names[actor->state];
    case ROLLCALL__ACTOR_NEW:
        return "NEW";
    case ROLLCALL__ACTOR_FAILED:
        return "FAILED";
    case ROLLCALL__ACTOR_ENDED:
        break;
    }
    return "ENDED";
}

static void report(struct rollcall_world *world)
{
    struct rollcall__trace_entry last[TRACE_SHOWN];
    char line[ROLLCALL__TRACE_LINE_BYTES];
    note_new(world); /* of the step that was given up */
    const size_t count = collect(world, last);
    say(world, "%s: %s", world->outcome->invariant, world->outcome->text);
    say(world, "the last %zu messages of step %" PRIu64 ":", count, world->outcome->step);
    for (size_t i = count; i-- > 0;) {
        rollcall__trace_format(&last[i], line);
        say(world, "    %s", line);
    }
    say(world, "the actors:");
    for (uint32_t w = 0; w < world->sim->rt.worker_count; w++) {
        const struct rollcall__worker *worker = &world->sim->rt.workers[w];
        for (uint32_t slot = 0; slot < worker->slot_count; slot++) {
            const struct rollcall__actor *actor = worker->slots[slot].actor;
            if (actor != NULL) {
                rollcall__actor_name(actor, line, sizeof line);
                say(world, "    worker %u  %-24s %-12s epoch %u", w, line, state_name(actor),
                    actor->epoch);
            }
        }
    }
}

/* ---- a run ---- */

static void act(struct rollcall_world *world)
{
    world->act_at = world->sim->steps + 1 + rollcall_world_random(world, 2 * ACT_STEPS);
    world->scenario->act(world, world->state);
}

/* Nothing is ready: moves the clock; where no timer runs, only users make anything happen.  False:
 * nothing will ever happen again. */
static bool go_on(struct rollcall_world *world)
{
    const int64_t next_ms = rollcall__sim_next_ms(world->sim);
    if (next_ms != INT64_MAX) {
        rollcall__sim_move_clock(world->sim, next_ms);
    } else if (world->scenario->act == NULL || world->idle_acts++ == IDLE_ACTS_MAX) {
        return false;
    } else {
        world->still_steps = 0; /* it has come to rest, though the clock stands */
        act(world);
    }
    return true;
}

static void play(struct rollcall_world *world)
{
    struct rollcall_sim *sim = world->sim;
    const uint64_t steps_max = sim->steps + world->run->steps;
    bool going = true;
    sim->faults.off = false;
    while (going && sim->steps < steps_max && !sim->halted) {
        if (world->scenario->act != NULL && sim->steps >= world->act_at) {
            act(world);
        }
        if (rollcall_sim_step(sim)) {
            world->idle_acts = 0;
        } else {
            going = go_on(world);
        }
    }
    sim->faults.off = true;
}

static void heal(struct rollcall_world *world)
{
    struct rollcall_sim *sim = world->sim;
    const int64_t heal_ms = world->scenario->heal_ms != 0 ? world->scenario->heal_ms : HEAL_MS;
    const int64_t until_ms = sim->now_ms + heal_ms;
    const uint64_t steps_allowed = HEAL_STEPS_FACTOR * (world->run->steps + 1000);
    const uint64_t steps_max = sim->steps + steps_allowed;
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        int64_t *frozen_ms = &sim->frozen_until_ms[i];
        if (*frozen_ms > sim->now_ms && !rollcall__sim_is_dead(sim, i / 2)) {
            *frozen_ms = sim->now_ms;
        }
    }
    if (sim->net != NULL) {
        rollcall__net_heal(sim->net);
    }
    if (world->scenario->heal != NULL && !sim->halted) {
        world->scenario->heal(world, world->state);
    }
    while (sim->now_ms < until_ms && !sim->halted) {
        if (sim->steps > steps_max) {
            world->restless = true;
            rollcall_world_violate(world, "comes-to-rest",
                                   "healing has taken %" PRIu64 " steps, and is at %" PRId64
                                   " of %" PRId64 " ms",
                                   steps_allowed, heal_ms - (until_ms - sim->now_ms), heal_ms);
        }
        if (!rollcall_sim_step(sim)) {
            const int64_t next_ms = rollcall__sim_next_ms(sim);
            rollcall__sim_move_clock(sim, next_ms < until_ms ? next_ms : until_ms);
        }
    }
}

static void finish(struct rollcall_world *world)
{
    struct rollcall__outcome *outcome = world->outcome;
    const struct rollcall__faults *faults = &world->sim->faults;
    if (outcome->invariant[0] == '\0') {
        outcome->step = world->sim->steps;
    }
    outcome->hash = rollcall_sim_hash(world->sim);
    outcome->simulated_ms = world->sim->now_ms;
    memcpy(outcome->taken, faults->taken, sizeof outcome->taken);
    memcpy(outcome->list, faults->list, faults->list_count * sizeof faults->list[0]);
    outcome->list_count = faults->list_count;
    if (outcome->invariant[0] != '\0' && world->run->print != NULL && !world->run->trace) {
        report(world);
    }
}

/* False: a contract was broken on the way, and nothing of the run may be touched again. */
static bool perform(struct rollcall_world *world)
{
    if (setjmp(world->broken) != 0) { /* tidy: allow - see on_broken */
        finish(world);
        return false;
    }
    world->scenario->begin(world, world->state);
    play(world);
    heal(world);
    const bool violated = rollcall_world_violated(world);
    if (violated) {
        finish(world); /* before its end changes what is to be seen */
        if (world->restless) {
            return false; /* nor would its end come to one */
        }
        world->sim->halted = false;
    }
    if (world->scenario->end != NULL) {
        world->scenario->end(world, world->state);
    }
    if (!violated) {
        finish(world);
    }
    return true;
}

/* What actors log of faults is no news, but where a run is printed it belongs to it. */
static void on_log(void *user, enum rollcall_log_level level, const char *line)
{
    const struct rollcall__run *run = ((const struct rollcall_world *)user)->run;
    (void)level;
    if (run->print != NULL) {
        run->print(run->user, line);
    }
}

static enum rollcall_status open_world(struct rollcall_world *world, struct rollcall_error *error)
{
    const struct rollcall__run *run = world->run;
    const struct rollcall_scenario *scenario = run->scenario;
    struct rollcall__fault_plan plan;
    const struct rollcall_sim_options options = {.size_bytes = sizeof options,
                                                 .seed = run->seed,
                                                 .workers = scenario->workers,
                                                 .members = scenario->members != 0
                                                                ? scenario->members
                                                            : run->seed % 2 == 0 ? 1
                                                                                 : 3,
                                                 .old_etcd = run->seed % 4 >= 2,
                                                 .authentication = run->seed % 5 == 0,
                                                 .sync_members = run->seed % 7 == 0};
    const enum rollcall_status status = rollcall_sim_create(&options, &world->sim, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__fault_plan_draw(&plan, run->seed, scenario->faults);
    rollcall__faults_init(&world->sim->faults, run->seed, run->plan != NULL ? run->plan : &plan);
    rollcall__random_init(&world->random, run->seed ^ UINT64_C(0x6c6f61642121));
    world->sim->rt.log.write = on_log;
    world->sim->rt.log.user = world;
    world->sim->mortal = scenario->mortal;
    world->sim->outages = scenario->outages;
    world->sim->one_outage = scenario->outages && run->seed % 9 != 0;
    world->sim->watcher = world;
    world->sim->after_step = after_step;
    world->sim->before_clock = before_clock;
    world->sim->on_broken = on_broken;
    if (run->matrix != NULL) {
        world->sim->faults.on_taken = on_fault;
        world->sim->faults.user = world;
    }
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__world_run(const struct rollcall__run *run,
                                         struct rollcall__outcome *outcome,
                                         struct rollcall_error *error)
{
    struct rollcall_world *world = calloc(1, sizeof *world);
    const size_t state_bytes = run->scenario->state_size_bytes;
    outcome->invariant[0] = outcome->text[0] = '\0';
    outcome->hash = 0;
    if (world == NULL || (world->state = calloc(1, state_bytes == 0 ? 1 : state_bytes)) == NULL) {
        free(world);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "explore: out of memory");
    }
    world->run = run;
    world->scenario = run->scenario;
    world->outcome = outcome;
    const enum rollcall_status status = open_world(world, error);
    if (status == ROLLCALL_OK && perform(world)) {
        rollcall_sim_destroy(world->sim);
    } else if (status == ROLLCALL_OK) {
        return ROLLCALL_OK; /* the world is left behind, too */
    }
    free(world->state);
    free(world);
    return status;
}

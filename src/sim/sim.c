/*
 * The executor of simulation: one thread plays all workers, a seed chooses every step, the clock
 * moves only when nothing is ready.  The workers, lanes, mailboxes and timers are the real ones.
 */
#include "sim/sim.h"

#include "base/assert.h"
#include "base/memory.h"
#include "base/options.h"

#include <stdlib.h>
#include <string.h>

enum { CELLS_PER_DELIVERY_MAX = 4, ROTATE_MAX = 3, NS_PER_MS = 1000000 };
static const int64_t WALL_EPOCH_MS =
    1700000000000; /* some instant: never the machine's own clock */

/* One thing that could happen next. */
struct choice {
    enum { RUN, FIRE, DELIVER, NETWORK } kind;
    uint32_t worker, source;
    enum rollcall__lane_kind lane;
};
_Static_assert(ROLLCALL__SOURCES_MAX <= 32, "a bit of `mail` each");
enum {
    CHOICES_MAX = 1 + ROLLCALL__WORKERS_MAX * (2 + ROLLCALL__SOURCES_MAX * ROLLCALL__LANE_KINDS)
};

static struct rollcall_sim *sim_of(struct rollcall_runtime *rt)
{
    return rt->sim;
}

static int64_t now_ms(struct rollcall_runtime *rt)
{
    return sim_of(rt)->now_ms;
}

static int64_t wall_ms(struct rollcall_runtime *rt)
{
    return WALL_EPOCH_MS + sim_of(rt)->now_ms + sim_of(rt)->wall_offset_ms;
}

static void wake(struct rollcall_runtime *rt, uint32_t worker, uint32_t source)
{
    sim_of(rt)->mail[worker] |= UINT32_C(1) << source;
}

static enum rollcall_status call(struct rollcall_runtime *rt, uint32_t worker,
                                 struct rollcall__control *control)
{
    sim_of(rt)->playing = &rt->workers[worker];
    control->run(&rt->workers[worker], control);
    (void)rollcall__worker_flush(&rt->workers[worker]); /* else its mail waits until after a step */
    sim_of(rt)->playing = NULL;
    return ROLLCALL_OK;
}

/* An answer has its place reserved, and a signal is never refused: neither goes through here. */
static bool refuse(struct rollcall_runtime *rt, const struct rollcall__cell *cell)
{
    return cell->to_epoch == 0 && rollcall__fault(&sim_of(rt)->faults, ROLLCALL_FAULT_FULL);
}

static int64_t now_ns(struct rollcall_runtime *rt)
{
    return sim_of(rt)->now_ms * NS_PER_MS;
}

static struct rollcall__worker *this_worker(struct rollcall_runtime *rt)
{
    return sim_of(rt)->playing;
}

static bool wait(struct rollcall_runtime *rt, struct rollcall__monitor *monitor,
                 int64_t deadline_ns);

static const struct rollcall__executor EXECUTOR = {.now_ms = now_ms,
                                                   .wall_ms = wall_ms,
                                                   .wake = wake,
                                                   .call = call,
                                                   .refuse = refuse,
                                                   .now_ns = now_ns,
                                                   .wait = wait,
                                                   .this_worker = this_worker,
                                                   .strict = true};

/* ---- one step ---- */

/* The lanes of one source that hold a cell; the worker's mail forgets it when there is none. */
static uint32_t list_lanes(struct rollcall_sim *sim, uint32_t index, uint32_t source,
                           struct choice *choices)
{
    const struct rollcall__worker *worker = &sim->rt.workers[index];
    uint32_t count = 0;
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        const struct rollcall__lane *lane = worker->in[source][kind];
        const bool waits =
            worker->waits && source == ROLLCALL__SOURCE_APPLICATION && kind == ROLLCALL__USER;
        if (lane != NULL && (waits || !rollcall__lane_empty(lane))) {
            choices[count++] =
                (struct choice){DELIVER, index, source, (enum rollcall__lane_kind)kind};
        }
    }
    if (count == 0) {
        sim->mail[index] &= ~(UINT32_C(1) << source);
    }
    return count;
}

static uint32_t list_worker(struct rollcall_sim *sim, uint32_t index, struct choice *choices)
{
    const struct rollcall__worker *worker = &sim->rt.workers[index];
    uint32_t count = 0;
    if (sim->frozen_until_ms[index] > sim->now_ms) {
        return 0;
    }
    if (worker->urgent.head != NULL || worker->ready.head != NULL) {
        choices[count++] = (struct choice){.kind = RUN, .worker = index};
    }
    if (rollcall__timers_next_ms(&worker->timers) <= sim->now_ms) {
        choices[count++] = (struct choice){.kind = FIRE, .worker = index};
    }
    for (uint32_t left = sim->mail[index]; left != 0; left &= left - 1) {
        count += list_lanes(sim, index, (uint32_t)__builtin_ctz(left), choices + count);
    }
    return count;
}

/* None fails on purpose outside a handler. */
static void no_memory_faults(void)
{
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
}

static void on_abort(void *user, const char *sentence)
{
    const struct rollcall_sim *sim = user;
    no_memory_faults();
    if (sim->on_broken != NULL) {
        sim->on_broken(sim->watcher, sentence); /* does not return */
    }
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        rollcall__trace_dump(&sim->rt.workers[i].trace);
    }
}

/* Whether the actor that runs next is one that may crash, and does. */
static void tempt(struct rollcall_sim *sim, struct rollcall__worker *worker)
{
    struct rollcall__actor *actor = rollcall__worker_peek(worker);
    if (sim->mortal == NULL || actor->phase != ROLLCALL__ACTOR_RUNNING || actor->parent == NULL) {
        return;
    }
    for (const char *const *name = sim->mortal; *name != NULL; name++) {
        if (strcmp(*name, actor->type->name) == 0) {
            if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_CRASH)) {
                actor->crash = ROLLCALL_E_ACTOR;
            }
            return;
        }
    }
}

static bool memory_fails(void *user)
{
    struct rollcall_sim *sim = user;
    return rollcall__fault(&sim->faults, ROLLCALL_FAULT_MEMORY);
}

/* The one place where handlers run. */
static void run_actor(struct rollcall_sim *sim, struct rollcall__worker *worker)
{
    rollcall__memory_hook((struct rollcall__memory_hook){.fails = memory_fails, .user = sim});
    rollcall__worker_run_one(worker);
    no_memory_faults();
}

static void play(struct rollcall_sim *sim, const struct choice *choice)
{
    struct rollcall__worker *worker = &sim->rt.workers[choice->worker];
    rollcall__abort_hook(on_abort, sim); /* every step: a thread may own several simulations */
    sim->playing = worker;
    switch (choice->kind) {
    case RUN:
        rollcall__worker_rotate(worker, (uint32_t)rollcall__random_below(&sim->random, ROTATE_MAX),
                                (uint32_t)rollcall__random_below(&sim->random, ROTATE_MAX));
        tempt(sim, worker);
        run_actor(sim, worker);
        sim->playing = NULL;
        break;
    case NETWORK:
        rollcall__net_run(sim->net);
        break;
    case FIRE:
        rollcall__worker_fire(worker);
        break;
    case DELIVER:
        rollcall__worker_drain(
            worker, choice->source, choice->lane,
            1 + (uint32_t)rollcall__random_below(&sim->random, CELLS_PER_DELIVERY_MAX));
        break;
    }
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        (void)rollcall__worker_flush(&sim->rt.workers[i]);
    }
    sim->playing = NULL;
    rollcall__abort_hook(NULL, NULL);
}

bool rollcall_sim_step(struct rollcall_sim *sim)
{
    struct choice choices[CHOICES_MAX];
    uint32_t count = 0;
    if (sim->halted) {
        return false;
    }
    if (sim->net != NULL && rollcall__net_next_ms(sim->net) <= sim->now_ms) {
        choices[count++] = (struct choice){.kind = NETWORK};
    }
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        count += list_worker(sim, i, choices + count);
    }
    if (count == 0) {
        return false;
    }
    play(sim, &choices[rollcall__random_below(&sim->random, count)]);
    sim->steps++;
    if (sim->after_step != NULL) {
        sim->after_step(sim->watcher);
    }
    return true;
}

bool rollcall_sim_settle(struct rollcall_sim *sim, uint64_t steps_max)
{
    for (uint64_t i = 0; i < steps_max; i++) {
        if (!rollcall_sim_step(sim)) {
            return true;
        }
    }
    return false;
}

int64_t rollcall__sim_next_ms(const struct rollcall_sim *sim)
{
    int64_t next_ms = sim->net == NULL ? INT64_MAX : rollcall__net_next_ms(sim->net);
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        const bool frozen = sim->frozen_until_ms[i] > sim->now_ms;
        const int64_t at_ms =
            frozen ? sim->frozen_until_ms[i] : rollcall__timers_next_ms(&sim->rt.workers[i].timers);
        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    return next_ms;
}

void rollcall__sim_move_clock(struct rollcall_sim *sim, int64_t to_ms)
{
    if (sim->before_clock != NULL) {
        sim->before_clock(sim->watcher);
    }
    if (!sim->halted) {
        sim->now_ms = to_ms;
    }
}

/* A step, or the clock to what comes next; false when neither is there until then. */
static bool advance(struct rollcall_sim *sim, int64_t until_ms)
{
    if (rollcall_sim_step(sim)) {
        return true;
    }
    const int64_t next_ms = rollcall__sim_next_ms(sim);
    if (next_ms == INT64_MAX || next_ms > until_ms || sim->halted) {
        return false;
    }
    rollcall__sim_move_clock(sim, next_ms);
    return true;
}

void rollcall_sim_run_until(struct rollcall_sim *sim, int64_t until_ms)
{
    while (advance(sim, until_ms)) {
    }
    if (until_ms > sim->now_ms) {
        sim->now_ms = until_ms;
    }
}

/* What a thread waits for, the one thread brings about.  With nothing left to happen a wait without
 * end is over, and the clock stays. */
static bool wait(struct rollcall_runtime *rt, struct rollcall__monitor *monitor,
                 int64_t deadline_ns)
{
    struct rollcall_sim *sim = sim_of(rt);
    const int64_t deadline_ms = deadline_ns / NS_PER_MS + (deadline_ns % NS_PER_MS != 0);
    ROLLCALL_ASSERT(sim->playing == NULL);
    if (sim->now_ms >= deadline_ms) {
        return false;
    }
    rollcall__monitor_unlock(monitor);
    const bool more = advance(sim, deadline_ms);
    rollcall__monitor_lock(monitor);
    if (!more && deadline_ns != INT64_MAX) {
        sim->now_ms = deadline_ms;
    }
    return more;
}

/* ---- begin and end ---- */

enum rollcall_status rollcall_sim_create(const struct rollcall_sim_options *given,
                                         struct rollcall_sim **created,
                                         struct rollcall_error *error)
{
    struct rollcall_sim_options options;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_sim_options", error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (options.members > 1 && options.members != ROLLCALL__MODEL_MEMBERS_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "simulation: its etcd has %u members: let it have 1 or %d",
                                  options.members, ROLLCALL__MODEL_MEMBERS_MAX);
    }
    struct rollcall_sim *sim = aligned_alloc(64, (sizeof *sim + 63) / 64 * 64);
    if (sim == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "simulation: out of memory");
    }
    memset((char *)sim + sizeof sim->rt, 0, sizeof *sim - sizeof sim->rt);
    const struct rollcall_runtime_options runtime = {
        .size_bytes = sizeof runtime, .workers = options.workers, .log_level = options.log_level};
    status = rollcall__runtime_init(&sim->rt, &EXECUTOR, &runtime, options.seed, error);
    if (status != ROLLCALL_OK) {
        free(sim);
        return status;
    }
    sim->rt.sim = sim;
    sim->seed = options.seed;
    sim->members = options.members == 0 ? 1 : options.members;
    sim->quirks = options.old_etcd ? ROLLCALL__QUIRKS_ALL : 0;
    sim->authentication = options.authentication;
    sim->sync_members = options.sync_members;
    rollcall__random_init(&sim->random, ~options.seed); /* not a worker's stream */
    rollcall__faults_init(&sim->faults, options.seed, &(struct rollcall__fault_plan){.rates = {0}});
    *created = sim;
    return ROLLCALL_OK;
}

void rollcall_sim_destroy(struct rollcall_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    if (sim->net != NULL) {
        rollcall__net_close(sim->net);
    }
    rollcall__runtime_fini(&sim->rt);
    if (sim->net != NULL) {
        rollcall__net_destroy(sim->net);
    }
    free(sim);
}

struct rollcall__net *rollcall__sim_net(struct rollcall_sim *sim)
{
    const struct rollcall__net_options options = {.sim = sim,
                                                  .faults = &sim->faults,
                                                  .seed = sim->seed,
                                                  .members = sim->members,
                                                  .quirks = sim->quirks,
                                                  .authentication = sim->authentication,
                                                  .sync_members = sim->sync_members};
    if (sim->net == NULL) {
        sim->net = rollcall__net_create(&options);
    }
    return sim->net;
}

void rollcall__sim_freeze(struct rollcall_sim *sim, uint32_t process, int64_t until_ms)
{
    for (uint32_t i = 2 * process; i < 2 * process + 2 && i < sim->rt.worker_count; i++) {
        int64_t *frozen_ms = &sim->frozen_until_ms[i];
        *frozen_ms = until_ms > *frozen_ms ? until_ms : *frozen_ms;
    }
}

void rollcall__sim_kill(struct rollcall_sim *sim, uint32_t process)
{
    rollcall__sim_freeze(sim, process, INT64_MAX);
}

bool rollcall__sim_is_dead(const struct rollcall_sim *sim, uint32_t process)
{
    return sim->frozen_until_ms[2 * process] == INT64_MAX;
}

void rollcall__sim_raise(struct rollcall_sim *sim, uint32_t process)
{
    for (uint32_t i = 2 * process; i < 2 * process + 2 && i < sim->rt.worker_count; i++) {
        sim->frozen_until_ms[i] = sim->now_ms;
    }
}

struct rollcall_runtime *rollcall_sim_runtime(struct rollcall_sim *sim)
{
    return &sim->rt;
}

int64_t rollcall_sim_now_ms(const struct rollcall_sim *sim)
{
    return sim->now_ms;
}

/* ---- looking inside, and breaking things ---- */

static struct rollcall__actor *find(struct rollcall_sim *sim, struct rollcall_ref who)
{
    const uint32_t worker = rollcall__ref_worker(who);
    return worker < sim->rt.worker_count ? rollcall__worker_find(&sim->rt.workers[worker], who)
                                         : NULL;
}

void rollcall_sim_crash(struct rollcall_sim *sim, struct rollcall_ref who,
                        enum rollcall_status status)
{
    struct rollcall__actor *actor = find(sim, who);
    ROLLCALL_ASSERT(status != ROLLCALL_OK);
    if (actor != NULL) {
        actor->crash = status;
    }
}

const char *rollcall_sim_state(struct rollcall_sim *sim, struct rollcall_ref who)
{
    const struct rollcall__actor *actor = find(sim, who);
    if (actor == NULL) {
        return "ENDED";
    }
    if (actor->phase != ROLLCALL__ACTOR_RUNNING) {
        return actor->phase == ROLLCALL__ACTOR_NEW ? "NEW" : "FAILED";
    }
    return actor->type->state_names[actor->state];
}

uint64_t rollcall_sim_hash(const struct rollcall_sim *sim)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        hash = hash * 31 + sim->rt.workers[i].trace.hash;
    }
    return hash;
}

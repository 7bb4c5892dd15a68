/* The public calls of rollcall/runtime.h, for both executors. */
#include "base/assert.h"
#include "base/options.h"
#include "base/random.h"
#include "runtime/failpoint.h"
#include "runtime/port.h"
#include "runtime/runtime_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WORKERS_DEFAULT = 2,
    TRACE_DEFAULT = 1024,
    TRACE_MAX = 1 << 20,
    STOP_TIMEOUT_MS = 5000,
    STOP_TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000, /* longer means for ever, and must not overflow */
    USER_LANE = 1024,
    SYSTEM_LANE = 64
};
enum control_phase { WAITING, RUNNING, DONE, ABANDONED };

/* ---- create and destroy ---- */

static bool create_lanes(struct rollcall_runtime *rt)
{
    for (uint32_t to = 0; to < rt->worker_count; to++) {
        for (uint32_t from = 0; from <= ROLLCALL__SOURCE_APPLICATION; from++) {
            const bool used =
                from == ROLLCALL__SOURCE_APPLICATION || (from < rt->worker_count && from != to);
            for (int kind = 0; used && kind < ROLLCALL__LANE_KINDS; kind++) {
                struct rollcall__lane *lane = rollcall__lane_create(
                    kind == ROLLCALL__USER && from < rt->worker_count ? USER_LANE : SYSTEM_LANE);
                if (lane == NULL) {
                    return false;
                }
                rt->lanes[from][to][kind] = lane;
                rt->workers[to].in[from][kind] = lane;
                if (from < rt->worker_count) {
                    rt->workers[from].out[to][kind] = lane;
                }
            }
        }
    }
    return true;
}

enum rollcall_status rollcall__runtime_init(struct rollcall_runtime *rt,
                                            const struct rollcall__executor *executor,
                                            const struct rollcall_runtime_options *options,
                                            uint64_t seed, struct rollcall_error *error)
{
    *rt = (struct rollcall_runtime){.executor = executor, .pid = getpid()};
    if (options->workers > ROLLCALL__WORKERS_MAX || options->trace_messages > TRACE_MAX ||
        options->stop_timeout_ms < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "runtime: give workers 1..%d (or 0), trace_messages up to %d and "
                                  "stop_timeout_ms 0 or more",
                                  ROLLCALL__WORKERS_MAX, TRACE_MAX);
    }
    rt->worker_count = options->workers == 0 ? WORKERS_DEFAULT : options->workers;
    rt->stop_timeout_ms = options->stop_timeout_ms == 0 ? STOP_TIMEOUT_MS
                          : options->stop_timeout_ms < STOP_TIMEOUT_MAX_MS
                              ? options->stop_timeout_ms
                              : STOP_TIMEOUT_MAX_MS;
    rollcall__log_init(&rt->log, options->log_level, options->log, options->log_user);
    rollcall__monitor_init(&rt->application);
    rollcall__monitor_init(&rt->arming);
    bool complete = true;
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        complete &= rollcall__worker_init(&rt->workers[i], rt, i, seed + i,
                                          options->trace_messages == 0 ? TRACE_DEFAULT
                                                                       : options->trace_messages);
    }
    enum rollcall_status status =
        complete && create_lanes(rt)
            ? rollcall__failpoints_init(rt, options->failpoints, error)
            : rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "runtime: out of memory");
    if (status != ROLLCALL_OK) {
        rollcall__runtime_fini(rt);
    }
    return status;
}

void rollcall__runtime_fini(struct rollcall_runtime *rt)
{
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        rollcall__worker_fini(&rt->workers[i]);
    }
    for (uint32_t from = 0; from < ROLLCALL__SOURCES_MAX; from++) {
        for (uint32_t to = 0; to < rt->worker_count; to++) {
            rollcall__lane_destroy(rt->lanes[from][to][ROLLCALL__SYSTEM]);
            rollcall__lane_destroy(rt->lanes[from][to][ROLLCALL__USER]);
        }
    }
    rollcall__monitor_fini(&rt->arming);
    rollcall__monitor_fini(&rt->application);
    rollcall__log_fini(&rt->log);
}

enum rollcall_status rollcall_runtime_create(const struct rollcall_runtime_options *given,
                                             struct rollcall_runtime **runtime,
                                             struct rollcall_error *error)
{
    struct rollcall_runtime_options options;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_runtime_options", error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_runtime *rt = aligned_alloc(64, (sizeof *rt + 63) / 64 * 64);
    if (rt == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "runtime: out of memory");
    }
    status = rollcall__runtime_init(rt, &rollcall__threads_executor, &options,
                                    rollcall__random_entropy(), error);
    if (status == ROLLCALL_OK) {
        status = rollcall__threads_start(rt, error);
        if (status != ROLLCALL_OK) {
            rollcall__runtime_fini(rt);
        }
    }
    if (status != ROLLCALL_OK) {
        free(rt);
        return status;
    }
    *runtime = rt;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_runtime_destroy(struct rollcall_runtime *rt)
{
    if (rt == NULL) {
        return ROLLCALL_OK;
    }
    if (rollcall__runtime_forked(rt)) {
        return ROLLCALL_E_FORKED;
    }
    /* Acquire, paired with the release in rollcall__runtime_release: what a handle's close did
     * happens before the destroy that found none open. */
    if (rollcall__runtime_on_worker(rt) || __atomic_load_n(&rt->holds, __ATOMIC_ACQUIRE) != 0) {
        return ROLLCALL_E_BUSY;
    }
    rollcall__threads_stop(rt);
    rollcall__runtime_fini(rt);
    free(rt);
    return ROLLCALL_OK;
}

/* ---- control calls ---- */

void rollcall__control_run(struct rollcall__worker *worker, struct rollcall__control *control)
{
    struct rollcall__monitor *application = &worker->rt->application;
    rollcall__monitor_lock(application);
    const bool wanted = control->phase == WAITING;
    if (wanted) {
        control->phase = RUNNING;
    }
    rollcall__monitor_unlock(application);
    if (!wanted) {
        return;
    }
    control->run(worker, control);
    rollcall__monitor_lock(application);
    control->phase = DONE;
    rollcall__monitor_unlock(application);
    rollcall__monitor_notify(application);
}

enum rollcall_status rollcall__control_wait(struct rollcall_runtime *rt,
                                            struct rollcall__control *control, int64_t deadline_ns)
{
    enum rollcall_status status = ROLLCALL_OK;
    rollcall__monitor_lock(&rt->application);
    while (control->phase != DONE) {
        if (!rt->executor->wait(rt, &rt->application, deadline_ns)) {
            if (control->phase == WAITING) {
                control->phase = ABANDONED;
                status = ROLLCALL_E_TIMEOUT;
                break;
            }
            deadline_ns = INT64_MAX; /* it runs: a few microseconds, and its result is ours */
        }
    }
    rollcall__monitor_unlock(&rt->application);
    return status;
}

static void destroy_control(struct rollcall_object *object)
{
    free(object); /* the object is the first member of the first member */
}

void *rollcall__control_create(size_t size_bytes,
                               void (*run)(struct rollcall__worker *, struct rollcall__control *))
{
    struct rollcall__control *control = calloc(1, size_bytes);
    if (control != NULL) {
        rollcall_object_init(&control->object, destroy_control);
        control->run = run;
    }
    return control;
}

enum rollcall_status rollcall__runtime_may_wait(const struct rollcall_runtime *rt)
{
    if (rollcall__runtime_forked(rt)) {
        return ROLLCALL_E_FORKED;
    }
    return rollcall__runtime_on_worker(rt) ? ROLLCALL_E_BUSY : ROLLCALL_OK;
}

struct spawn_control {
    struct rollcall__control control;
    struct rollcall_spawn_options options;
    struct rollcall_ref ref;
    enum rollcall_status status;
    struct rollcall_error error;
};

static void run_spawn(struct rollcall__worker *worker, struct rollcall__control *control)
{
    struct spawn_control *spawn = (struct spawn_control *)control;
    spawn->status =
        rollcall__worker_spawn(worker, NULL, &spawn->options, &spawn->ref, &spawn->error);
}

enum rollcall_status rollcall_runtime_spawn(struct rollcall_runtime *rt, uint32_t worker,
                                            const struct rollcall_spawn_options *options,
                                            struct rollcall_ref *ref, struct rollcall_error *error)
{
    struct spawn_control *spawn;
    struct rollcall_spawn_options copy;
    enum rollcall_status status =
        rollcall__options_copy(&copy, sizeof copy, options, "rollcall_spawn_options", error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall__runtime_may_wait(rt);
    spawn = status == ROLLCALL_OK ? rollcall__control_create(sizeof *spawn, run_spawn) : NULL;
    if (spawn == NULL) {
        rollcall__spawn_drop(&copy);
        status = status == ROLLCALL_OK ? ROLLCALL_E_NO_MEMORY : status;
        return rollcall_error_set(error, status, "spawn: %s", rollcall_status_text(status));
    }
    spawn->options = copy;
    spawn->options.size_bytes = sizeof copy;
    status = rt->executor->call(rt, worker % rt->worker_count, &spawn->control);
    if (status != ROLLCALL_OK) {
        rollcall__spawn_drop(&copy);
        rollcall_error_set(error, status, "spawn: the worker did not answer: is a callback stuck?");
    } else if ((status = spawn->status) == ROLLCALL_OK) {
        *ref = spawn->ref;
    } else if (error != NULL) {
        *error = spawn->error;
    }
    rollcall_object_drop(&spawn->control.object);
    return status;
}

/* ---- sending from outside ---- */

bool rollcall__runtime_push(struct rollcall_runtime *rt, uint32_t worker,
                            enum rollcall__lane_kind kind, const struct rollcall__cell *cell)
{
    rollcall__monitor_lock(&rt->application);
    const bool pushed =
        rollcall__lane_push(rt->lanes[ROLLCALL__SOURCE_APPLICATION][worker][kind], cell);
    rollcall__monitor_unlock(&rt->application);
    if (pushed) {
        rt->executor->wake(rt, worker, ROLLCALL__SOURCE_APPLICATION);
    }
    return pushed;
}

enum rollcall_status rollcall_runtime_send(struct rollcall_runtime *rt, struct rollcall_ref to,
                                           uint16_t type, const void *payload, size_t size_bytes,
                                           struct rollcall_object *object)
{
    struct rollcall__cell cell = {
        .to = to, .type = type, .size_bytes = (uint8_t)size_bytes, .object = object};
    const uint32_t worker = rollcall__ref_worker(to);
    enum rollcall_status status = ROLLCALL_OK;
    ROLLCALL_ASSERT(size_bytes <= ROLLCALL_PAYLOAD_MAX_BYTES);
    if (size_bytes != 0) {
        memcpy(cell.payload, payload, size_bytes);
    }
    if (rollcall__runtime_forked(rt)) {
        status = ROLLCALL_E_FORKED;
    } else if (rollcall_ref_is_nobody(to) || worker >= rt->worker_count) {
        status = ROLLCALL_E_INVALID;
    } else if (!rollcall__runtime_push(rt, worker, ROLLCALL__USER, &cell)) {
        status = ROLLCALL_E_FULL;
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(object);
    }
    return status;
}

void rollcall_runtime_stop(struct rollcall_runtime *rt, struct rollcall_ref who)
{
    rollcall__runtime_signal(rt, who, ROLLCALL_STOP, NULL, 0);
}

void rollcall__runtime_signal(struct rollcall_runtime *rt, struct rollcall_ref to, uint16_t type,
                              const void *payload, size_t size_bytes)
{
    struct rollcall__cell signal = {.to = to, .type = type, .size_bytes = (uint8_t)size_bytes};
    const uint32_t worker = rollcall__ref_worker(to);
    ROLLCALL_ASSERT(size_bytes <= ROLLCALL_PAYLOAD_MAX_BYTES);
    if (size_bytes != 0) {
        memcpy(signal.payload, payload, size_bytes);
    }
    if (rollcall_ref_is_nobody(to) || worker >= rt->worker_count || rollcall__runtime_forked(rt)) {
        return;
    }
    struct rollcall__worker *here = rollcall__runtime_this_worker(rt);
    if (here != NULL) {
        rollcall__worker_send_system(here, &signal); /* a callback: it must not wait */
        return;
    }
    const int64_t deadline_ns = rollcall__runtime_deadline_ns(rt, rt->stop_timeout_ms);
    while (!rollcall__runtime_push(rt, worker, ROLLCALL__SYSTEM, &signal) &&
           rt->executor->now_ns(rt) < deadline_ns) {
        /* 63 system cells wait for a worker that is in a callback: give it a millisecond */
        rollcall__monitor_lock(&rt->application);
        (void)rt->executor->wait(rt, &rt->application, rollcall__runtime_deadline_ns(rt, 1));
        rollcall__monitor_unlock(&rt->application);
    }
}

/* ---- looking inside ---- */

struct stats_control {
    struct rollcall__control control;
    struct rollcall_runtime_stats stats;
};

static void run_stats(struct rollcall__worker *worker, struct rollcall__control *control)
{
    ((struct stats_control *)control)->stats = worker->stats;
}

static void add_stats(struct rollcall_runtime_stats *sum, const struct rollcall_runtime_stats *one)
{
    sum->delivered += one->delivered;
    sum->full += one->full;
    sum->bounced += one->bounced;
    sum->sent += one->sent;
    sum->dead_letters += one->dead_letters;
    sum->stale += one->stale;
    sum->impossible += one->impossible;
    sum->failures += one->failures;
    sum->restarts += one->restarts;
    sum->timers_fired += one->timers_fired;
    sum->parks += one->parks;
    sum->actors += one->actors;
    sum->dropped += one->dropped;
}

enum rollcall_status rollcall_runtime_stats(struct rollcall_runtime *rt,
                                            struct rollcall_runtime_stats *stats)
{
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    *stats = (struct rollcall_runtime_stats){0};
    for (uint32_t i = 0; status == ROLLCALL_OK && i < rt->worker_count; i++) {
        struct stats_control *one = rollcall__control_create(sizeof *one, run_stats);
        if (one == NULL) {
            return ROLLCALL_E_NO_MEMORY;
        }
        status = rt->executor->call(rt, i, &one->control);
        if (status == ROLLCALL_OK) {
            add_stats(stats, &one->stats);
        }
        rollcall_object_drop(&one->control.object);
    }
    return status;
}

struct trace_control {
    struct rollcall__control control;
    struct rollcall__trace copy; /* its entries are ours */
};

static void run_trace(struct rollcall__worker *worker, struct rollcall__control *control)
{
    struct rollcall__trace *copy = &((struct trace_control *)control)->copy;
    const size_t size_bytes = worker->trace.capacity * sizeof *copy->entries;
    *copy = worker->trace;
    copy->entries = malloc(size_bytes);
    if (copy->entries != NULL) {
        memcpy(copy->entries, worker->trace.entries, size_bytes);
    }
}

enum rollcall_status rollcall_runtime_trace(struct rollcall_runtime *rt,
                                            void (*print)(void *user, const char *line), void *user)
{
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    for (uint32_t i = 0; status == ROLLCALL_OK && i < rt->worker_count; i++) {
        struct trace_control *one = rollcall__control_create(sizeof *one, run_trace);
        if (one == NULL) {
            return ROLLCALL_E_NO_MEMORY;
        }
        status = rt->executor->call(rt, i, &one->control);
        if (status == ROLLCALL_OK && one->copy.entries == NULL) {
            status = ROLLCALL_E_NO_MEMORY;
        }
        if (status == ROLLCALL_OK) {
            rollcall__trace_print(&one->copy, print, user);
            rollcall__trace_fini(&one->copy);
        }
        rollcall_object_drop(&one->control.object);
    }
    return status;
}

/* ---- for the adapters and the api ---- */

void rollcall__runtime_hold(struct rollcall_runtime *rt)
{
    /* Relaxed: the caller has a runtime nobody may destroy yet. */
    __atomic_fetch_add(&rt->holds, 1, __ATOMIC_RELAXED);
}

void rollcall__runtime_release(struct rollcall_runtime *rt)
{
    /* Release: see rollcall_runtime_destroy. */
    const int before = __atomic_fetch_sub(&rt->holds, 1, __ATOMIC_RELEASE);
    ROLLCALL_ASSERT(before > 0);
}

struct rollcall__worker *rollcall__runtime_this_worker(struct rollcall_runtime *rt)
{
    return rt->executor->this_worker(rt);
}

int64_t rollcall__runtime_now_ms(struct rollcall_runtime *rt)
{
    return rt->executor->now_ms(rt);
}

int64_t rollcall__runtime_deadline_ns(struct rollcall_runtime *rt, int64_t timeout_ms)
{
    const int64_t now_ns = rt->executor->now_ns(rt);
    return timeout_ms > (INT64_MAX - now_ns) / 1000000 ? INT64_MAX : now_ns + timeout_ms * 1000000;
}

bool rollcall__runtime_wait(struct rollcall_runtime *rt, struct rollcall__monitor *monitor,
                            int64_t deadline_ns)
{
    return rt->executor->wait(rt, monitor, deadline_ns);
}

bool rollcall__runtime_on_worker(const struct rollcall_runtime *rt)
{
    return rollcall__runtime_this_worker((struct rollcall_runtime *)rt) != NULL;
}

bool rollcall__runtime_forked(const struct rollcall_runtime *rt)
{
    return rt->pid != getpid();
}

bool rollcall__runtime_simulated(const struct rollcall_runtime *rt)
{
    return rt->sim != NULL;
}

uint32_t rollcall__runtime_worker_count(const struct rollcall_runtime *rt)
{
    return rt->worker_count;
}

struct rollcall__log *rollcall__runtime_log(struct rollcall_runtime *rt)
{
    return &rt->log;
}

/*
 * The executor of production: one thread per worker, the machine's clocks, parking when idle.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "runtime/port.h"
#include "runtime/runtime_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DRAIN_CELLS = 64,       /* from each user lane, before actors run */
    RUNS_PER_LOOP = 16,     /* actors run between looks at the user lanes and the timers */
    CALL_TIMEOUT_MS = 5000, /* a worker busy for longer is stuck in a callback */
    PENDING_RETRY_MS = 1,   /* a full lane is looked at again after that */
    PARK_MAX_MS = 1000      /* see park_ms */
};

struct thread {
    pthread_t id;
    struct rollcall_runtime *rt;
    uint32_t index;
    bool report_empty; /* the worker's: tell when the last actor has ended */
    bool empty;        /* guarded by the application monitor */
    alignas(64) struct rollcall__park park;
};

struct rollcall__threads {
    int stop; /* atomic: release in join_all, acquire in run */
    struct thread threads[ROLLCALL__WORKERS_MAX];
};

static int64_t now_ms(struct rollcall_runtime *rt)
{
    (void)rt;
    return rollcall__clock_boot_ms();
}

static int64_t wall_ms(struct rollcall_runtime *rt)
{
    (void)rt;
    return rollcall__clock_wall_ms();
}

static int64_t now_ns(struct rollcall_runtime *rt)
{
    (void)rt;
    return rollcall__clock_monotonic_ns();
}

static bool wait(struct rollcall_runtime *rt, struct rollcall__monitor *monitor,
                 int64_t deadline_ns)
{
    (void)rt;
    return rollcall__monitor_wait(monitor, deadline_ns);
}

/* After the threads are joined there is none. */
static struct rollcall__worker *this_worker(struct rollcall_runtime *rt)
{
    for (uint32_t i = 0; rt->threads != NULL && i < rt->worker_count; i++) {
        if (pthread_equal(rt->threads->threads[i].id, pthread_self()) != 0) {
            return &rt->workers[i];
        }
    }
    return NULL;
}

static void wake(struct rollcall_runtime *rt, uint32_t worker, uint32_t source)
{
    (void)source; /* an awake worker looks at all its lanes */
    rollcall__park_wake(&rt->threads->threads[worker].park);
}

static enum rollcall_status call(struct rollcall_runtime *rt, uint32_t worker,
                                 struct rollcall__control *control)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + (int64_t)CALL_TIMEOUT_MS * 1000000;
    const struct rollcall__cell cell = {.kind = ROLLCALL__CELL_CONTROL,
                                        .object = rollcall_object_keep(&control->object)};
    while (!rollcall__runtime_push(rt, worker, ROLLCALL__SYSTEM, &cell)) {
        rollcall__monitor_lock(&rt->application);
        (void)rollcall__monitor_wait(&rt->application, rollcall__clock_monotonic_ns() + 1000000);
        rollcall__monitor_unlock(&rt->application);
        if (rollcall__clock_monotonic_ns() >= deadline_ns) {
            rollcall_object_drop(cell.object);
            return ROLLCALL_E_TIMEOUT;
        }
    }
    return rollcall__control_wait(rt, control, deadline_ns);
}

const struct rollcall__executor rollcall__threads_executor = {.now_ms = now_ms,
                                                              .wall_ms = wall_ms,
                                                              .wake = wake,
                                                              .call = call,
                                                              .now_ns = now_ns,
                                                              .wait = wait,
                                                              .this_worker = this_worker,
                                                              .strict = false};

/* ---- a worker's thread ---- */

/* How long there is nothing to do.  Timers count suspended time, but a futex cannot wait on that
 * clock: with a timer set, no park is longer than a second, so a resumed machine is at most a
 * second late.  Without one there is no limit, and no wake-up. */
static int64_t park_ms(const struct rollcall__worker *worker)
{
    const int64_t next_ms = rollcall__timers_next_ms(&worker->timers);
    if (next_ms == INT64_MAX) {
        return -1;
    }
    const int64_t wait_ms = next_ms - rollcall__clock_boot_ms();
    return wait_ms < 0 ? 0 : wait_ms < PARK_MAX_MS ? wait_ms : PARK_MAX_MS;
}

static uint32_t turn(struct rollcall__worker *worker)
{
    uint32_t work = rollcall__worker_drain_all(worker, DRAIN_CELLS);
    for (int i = 0; i < RUNS_PER_LOOP && rollcall__worker_run_one(worker); i++) {
        work++;
        rollcall__worker_drain_all(worker, 0); /* signals are never stuck behind data */
        (void)rollcall__worker_flush(worker);
    }
    return work + rollcall__worker_fire(worker);
}

static void report_empty(struct thread *thread, const struct rollcall__worker *worker)
{
    if (!thread->report_empty || worker->stats.actors != 0) {
        return;
    }
    thread->report_empty = false;
    rollcall__monitor_lock(&thread->rt->application);
    thread->empty = true;
    rollcall__monitor_unlock(&thread->rt->application);
    rollcall__monitor_notify(&thread->rt->application);
}

static void print_trace(void *worker, const char *sentence)
{
    (void)sentence;
    rollcall__trace_dump(&((const struct rollcall__worker *)worker)->trace);
}

static void *run(void *argument)
{
    struct thread *thread = argument;
    struct rollcall__worker *worker = &thread->rt->workers[thread->index];
    rollcall__abort_hook(print_trace, worker);
    for (;;) {
        const uint32_t seen = rollcall__park_prepare(&thread->park);
        const uint32_t work = turn(worker);
        /* Acquire, paired with the release in join_all.  Looked at after every turn, also after one
         * with work in it: actors that never rest must not keep destroy from returning. */
        if (__atomic_load_n(&thread->rt->threads->stop, __ATOMIC_ACQUIRE)) {
            return NULL;
        }
        if (work != 0) {
            continue;
        }
        report_empty(thread, worker);
        const bool flushed = rollcall__worker_flush(worker);
        const int64_t wait_ms = flushed ? park_ms(worker) : PENDING_RETRY_MS;
        if (wait_ms != 0) {
            worker->stats.parks++;
            rollcall__park_wait(&thread->park, seen, wait_ms);
        }
    }
}

/* ---- begin and end ---- */

static void join_all(struct rollcall_runtime *rt, uint32_t count)
{
    /* Release, paired with the acquire in run: the thread that sees it sees all we did before. */
    __atomic_store_n(&rt->threads->stop, 1, __ATOMIC_RELEASE);
    for (uint32_t i = 0; i < count; i++) {
        wake(rt, i, ROLLCALL__SOURCE_APPLICATION);
        pthread_join(rt->threads->threads[i].id, NULL);
    }
    free(rt->threads);
    rt->threads = NULL;
}

enum rollcall_status rollcall__threads_start(struct rollcall_runtime *rt,
                                             struct rollcall_error *error)
{
    struct rollcall__threads *threads = aligned_alloc(64, sizeof *threads);
    if (threads == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "runtime: out of memory");
    }
    *threads = (struct rollcall__threads){0};
    rt->threads = threads;
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        struct thread *thread = &threads->threads[i];
        thread->rt = rt;
        thread->index = i;
        rollcall__park_init(&thread->park);
    }
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "rollcall-w%u", (unsigned)(i % ROLLCALL__WORKERS_MAX));
        enum rollcall_status status =
            rollcall__thread_start(&threads->threads[i].id, name, run, &threads->threads[i], error);
        if (status != ROLLCALL_OK) {
            join_all(rt, i);
            return status;
        }
    }
    return ROLLCALL_OK;
}

static void run_stop(struct rollcall__worker *worker, struct rollcall__control *control)
{
    (void)control;
    worker->rt->threads->threads[worker->index].report_empty = true;
    rollcall__worker_stop_roots(worker);
}

static void wait_until_empty(struct rollcall_runtime *rt)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + rt->stop_timeout_ms * 1000000;
    rollcall__monitor_lock(&rt->application);
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        while (!rt->threads->threads[i].empty &&
               rollcall__monitor_wait(&rt->application, deadline_ns)) {
        }
    }
    rollcall__monitor_unlock(&rt->application);
}

void rollcall__threads_stop(struct rollcall_runtime *rt)
{
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        struct rollcall__control *control = rollcall__control_create(sizeof *control, run_stop);
        if (control != NULL) {
            ROLLCALL_DROP(call(rt, i, control), "a stuck worker's actors end below");
            rollcall_object_drop(&control->object);
        }
    }
    wait_until_empty(rt);
    join_all(rt, rt->worker_count);
}

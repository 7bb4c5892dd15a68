/*
 * runtime/executor.h - the seam between actors and the machine: time, waking, waiting, running on a
 * worker.
 *
 * Two implementations: runtime/threads.c (one thread per worker, real clocks) and sim/sim.c (one
 * thread plays all workers, virtual clock, seeded order).  Everything else in src/runtime is the
 * same code under both.
 */
#ifndef RUNTIME_EXECUTOR_H
#define RUNTIME_EXECUTOR_H

#include <rollcall/runtime.h>

struct rollcall__monitor;
struct rollcall__worker;
struct rollcall__cell;

/* A function to run on a worker's thread, between messages; it must not wait.  Embed it first in a
 * heap block that holds the arguments and results: an abandoned call is dropped by the worker. */
struct rollcall__control {
    struct rollcall_object object;
    void (*run)(struct rollcall__worker *worker, struct rollcall__control *control);
    int phase; /* guarded by the runtime's application monitor */
};

struct rollcall__executor {
    int64_t (*now_ms)(struct rollcall_runtime *rt);
    int64_t (*wall_ms)(struct rollcall_runtime *rt);
    /* There is mail for the worker in the lanes of `source`, who calls this after he has pushed. */
    void (*wake)(struct rollcall_runtime *rt, uint32_t worker, uint32_t source);
    /* Runs control on the worker and waits for it.  control: borrowed.
     * Returns: ROLLCALL_OK; or why it did not run, and never will. */
    enum rollcall_status (*call)(struct rollcall_runtime *rt, uint32_t worker,
                                 struct rollcall__control *control);
    /* Whether to refuse a send, or what came from another worker, as if its receiver's mailbox were
     * full; NULL: never. */
    bool (*refuse)(struct rollcall_runtime *rt, const struct rollcall__cell *cell);
    int64_t (*now_ns)(struct rollcall_runtime *rt); /* for deadlines of `wait` */
    /* As rollcall__monitor_wait, for threads of the application: called locked, returns locked,
     * perhaps for nothing; false once deadline_ns has passed, or nothing can happen any more. */
    bool (*wait)(struct rollcall_runtime *rt, struct rollcall__monitor *monitor,
                 int64_t deadline_ns);
    /* The worker the caller runs on; NULL outside of one. */
    struct rollcall__worker *(*this_worker)(struct rollcall_runtime *rt);
    bool strict; /* what cannot happen aborts, instead of being counted and logged */
};

#endif /* RUNTIME_EXECUTOR_H */

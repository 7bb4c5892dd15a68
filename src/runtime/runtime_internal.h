/*
 * runtime/runtime_internal.h - the runtime itself: workers, the lanes between them, its executor.
 */
#ifndef RUNTIME_RUNTIME_INTERNAL_H
#define RUNTIME_RUNTIME_INTERNAL_H

#include "base/log.h"
#include "base/thread.h"
#include "runtime/park.h"
#include "runtime/worker.h"

#include <stdalign.h>
#include <sys/types.h>

struct rollcall__threads; /* runtime/threads.c */

struct rollcall_runtime {
    const struct rollcall__executor *executor;
    uint32_t worker_count;
    struct rollcall__worker workers[ROLLCALL__WORKERS_MAX];
    /* [source][destination][kind]; created before the workers run, but for the ports' */
    struct rollcall__lane
        *lanes[ROLLCALL__SOURCES_MAX][ROLLCALL__WORKERS_MAX][ROLLCALL__LANE_KINDS];
    bool port_used[ROLLCALL__PORTS_MAX]; /* guarded by application */
    struct rollcall__log log;
    int64_t stop_timeout_ms;
    pid_t pid;
    int holds; /* atomic: handles that must be closed before destroy */
    /* Application threads take turns at the application's lanes, and wait here for control calls.
     * No worker, and no poller, ever takes this mutex while the application may hold it for long:
     * it guards a push, a few flags, and the condition. */
    struct rollcall__monitor application;
    /* Application threads take turns at arming fail points, so that every worker has them in the
     * same order; no worker takes it.  Guards the two below. */
    struct rollcall__monitor arming;
    uint64_t failpoint_id;             /* of the last one armed */
    uint32_t failpoint_count;          /* armed now */
    struct rollcall__threads *threads; /* NULL in simulation */
    void *sim;                         /* the simulation's own state */
};

/* Makes everything but threads.  executor: borrowed, static.  seed: of worker 0's random stream. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__runtime_init(struct rollcall_runtime *rt, const struct rollcall__executor *executor,
                       const struct rollcall_runtime_options *options, uint64_t seed,
                       struct rollcall_error *error);
/* Ends all actors on the calling thread, which must be the only one left, and frees. */
void rollcall__runtime_fini(struct rollcall_runtime *rt);

/* A control call with one reference, freed with its last; it begins with a struct
 * rollcall__control, and the rest is zero.  NULL: out of memory. */
void *rollcall__control_create(size_t size_bytes,
                               void (*run)(struct rollcall__worker *, struct rollcall__control *));
/* Runs a control call that arrived in a lane, unless its caller has given up; wakes the caller. */
void rollcall__control_run(struct rollcall__worker *worker, struct rollcall__control *control);
/* Waits until it has run, or abandons it at deadline_ns.  Threads: application. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__control_wait(struct rollcall_runtime *rt,
                                                              struct rollcall__control *control,
                                                              int64_t deadline_ns);

/* Starts and joins the worker threads (runtime/threads.c). */
extern const struct rollcall__executor rollcall__threads_executor;
ROLLCALL_MUST_USE enum rollcall_status rollcall__threads_start(struct rollcall_runtime *rt,
                                                               struct rollcall_error *error);
/* Stops actors, waits for them within the runtime's stop timeout, joins. */
void rollcall__threads_stop(struct rollcall_runtime *rt);

/* The worker the caller runs on; NULL outside of one. */
struct rollcall__worker *rollcall__runtime_this_worker(struct rollcall_runtime *rt);

/* Pushes into the application's lane to a worker; false when it is full.  Threads: application. */
bool rollcall__runtime_push(struct rollcall_runtime *rt, uint32_t worker,
                            enum rollcall__lane_kind kind, const struct rollcall__cell *cell);

#endif /* RUNTIME_RUNTIME_INTERNAL_H */

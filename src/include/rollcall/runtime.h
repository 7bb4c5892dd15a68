/*
 * rollcall/runtime.h - the threads actors run on: create, spawn, look inside, destroy.
 *
 * Worker 0 is for control (leases, registration, election); worker 1, when there is one, for
 * watches and the application's callbacks, so that a slow callback never delays a renewal.
 * An idle runtime uses no CPU.
 *
 * Threads: any thread may call; a call from inside a handler or a callback answers E_BUSY where
 *          it would have to wait for itself.
 * Errors:  after an error nothing was created or changed.
 */
#ifndef ROLLCALL_RUNTIME_H
#define ROLLCALL_RUNTIME_H

#include <rollcall/actor.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_runtime;

/* Called for every record up to log_level, on any thread, one call at a time.
 * line: borrowed; one line without its newline, `level=warn actor=keepalive/3 msg="..."`. */
typedef void rollcall_log_fn(void *user, enum rollcall_log_level level, const char *line);

struct rollcall_runtime_options {
    size_t size_bytes;                 /* set by ROLLCALL_RUNTIME_OPTIONS */
    uint32_t workers;                  /* 0: 2; 1 .. 8 */
    enum rollcall_log_level log_level; /* default: errors only */
    rollcall_log_fn *log;              /* NULL: stderr */
    void *log_user;                    /* borrowed until destroy returns */
    uint32_t trace_messages;           /* per worker; 0: 1024; rounded up to a power of two */
    int64_t stop_timeout_ms; /* 0: 5'000; how long destroy waits for actors; a day at most */
    const char *failpoints;  /* armed from the start, as rollcall_failpoints_arm; NULL: none */
};
#define ROLLCALL_RUNTIME_OPTIONS(...)                                                              \
    (&(const struct rollcall_runtime_options){                                                     \
        .size_bytes = sizeof(struct rollcall_runtime_options), __VA_ARGS__})

/* options: borrowed; NULL: all defaults. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_runtime_create(const struct rollcall_runtime_options *options,
                        struct rollcall_runtime **runtime, struct rollcall_error *error);

/*
 * Stops every actor, joins the threads, frees everything.  Close sessions, watches and etcd first.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_BUSY while a session, watch or etcd is open, or when called
 *          from a callback, or ROLLCALL_E_FORKED in a child process; then nothing happened.
 *          Actors that do not stop in time are ended without their consent.
 */
ROLLCALL_API enum rollcall_status rollcall_runtime_destroy(struct rollcall_runtime *runtime);

/*
 * Starts an actor without a parent on `worker` (modulo the number of workers) and waits until it
 * has been created, not until it has run.  options->supervisor must be nobody or on that worker.
 * Returns: ROLLCALL_OK and *ref; or as rollcall_spawn, or ROLLCALL_E_BUSY in a handler or callback,
 *          ROLLCALL_E_TIMEOUT when the worker is stuck in one, ROLLCALL_E_FORKED in a child
 * process; then options_fini has been called on what options moved.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_runtime_spawn(struct rollcall_runtime *runtime, uint32_t worker,
                       const struct rollcall_spawn_options *options, struct rollcall_ref *ref,
                       struct rollcall_error *error);

/* As rollcall_send_object, from outside: the message comes from nobody.  Behind a receiver whose
 * mailbox is full, messages from outside to its worker wait; E_FULL: 63 of them do.  E_INVALID: to
 * nobody; E_FORKED: in a child process. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_runtime_send(struct rollcall_runtime *runtime, struct rollcall_ref to, uint16_t type,
                      const void *payload, size_t size_bytes, struct rollcall_object *object);
/* Asks any actor to stop: the STOP signal.  Waits for room in a full lane, at most for the stop
 * timeout; never in a callback. */
ROLLCALL_API void rollcall_runtime_stop(struct rollcall_runtime *runtime, struct rollcall_ref who);

/* Totals since create, summed over workers; to be read by rollcall_runtime_stats. */
struct rollcall_runtime_stats {
    uint64_t sent;      /* messages, signals and timers that were accepted; each is on its way, or
                           is one of delivered, bounced, dead_letters, stale and dropped */
    uint64_t delivered; /* messages handled */
    uint64_t full;      /* sends answered E_FULL */
    uint64_t bounced;   /* cross-worker messages that found a full mailbox */
    uint64_t dead_letters; /* to an actor that has ended */
    uint64_t stale;        /* to an incarnation that has been restarted, and cancelled timers */
    uint64_t impossible;   /* messages whose cell is absent */
    uint64_t failures, restarts;
    uint64_t timers_fired;
    uint64_t parks;   /* times a worker went to sleep */
    uint64_t actors;  /* alive now */
    uint64_t dropped; /* by a fail point; see <rollcall/testing.h> */
};
/* Asks each worker between two messages.
 * Returns: ROLLCALL_OK; ROLLCALL_E_BUSY in a handler or callback, ROLLCALL_E_TIMEOUT when a worker
 * is stuck in one, ROLLCALL_E_FORKED in a child process, ROLLCALL_E_NO_MEMORY: then *stats is of
 * some workers only. */
ROLLCALL_API enum rollcall_status rollcall_runtime_stats(struct rollcall_runtime *runtime,
                                                         struct rollcall_runtime_stats *stats);

/*
 * Hands over the last messages delivered on each worker, oldest first, one line each:
 *   t=0000003100 #0000000412  transport/1 -> keepalive/3  KEEPALIVE_ANSWER  SUSPECT>SAFE
 * The same lines go to the log when a broken contract aborts the process.
 * print: called on this thread; line is borrowed.
 * Returns: as rollcall_runtime_stats; after an error some workers' lines are missing.
 */
ROLLCALL_API enum rollcall_status
rollcall_runtime_trace(struct rollcall_runtime *runtime,
                       void (*print)(void *user, const char *line), void *user);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_RUNTIME_H */

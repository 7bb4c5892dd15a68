/*
 * runtime/worker.h - a worker: the actors pinned to it, their mailboxes, timers and run queues.
 *
 * Everything in it belongs to the thread that plays the worker; there are no atomics here.  What
 * comes from other threads comes through lanes (runtime/lane.h), which that thread drains.
 *
 * An actor is IDLE, queued, or running; it is queued at most once in each of two queues: `urgent`
 * when its system mailbox holds something, `ready` when its user mailbox does.  Only its worker
 * delivers, queues, runs and reaps it, so one runner per actor holds by construction.
 */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "base/random.h"
#include "runtime/executor.h"
#include "runtime/lane.h"
#include "runtime/mailbox.h"
#include "runtime/timer.h"
#include "runtime/trace.h"

#include <rollcall/runtime.h>

enum {
    ROLLCALL__WORKERS_MAX = 8,
    ROLLCALL__PORTS_MAX = 8,
    /* Who may hold a lane into a worker: the workers, the application, the ports. */
    ROLLCALL__SOURCE_APPLICATION = ROLLCALL__WORKERS_MAX,
    ROLLCALL__SOURCE_PORTS,
    ROLLCALL__SOURCES_MAX = ROLLCALL__SOURCE_PORTS + ROLLCALL__PORTS_MAX
};
enum rollcall__lane_kind { ROLLCALL__SYSTEM, ROLLCALL__USER, ROLLCALL__LANE_KINDS };

enum rollcall__actor_phase {
    ROLLCALL__ACTOR_NEW,     /* init has not run, or is to run again */
    ROLLCALL__ACTOR_RUNNING, /* has a state */
    ROLLCALL__ACTOR_FAILED,  /* waits for its supervisor; mailboxes fill but are not served */
    ROLLCALL__ACTOR_ENDED    /* without a slot; freed when it leaves the last queue */
};

struct rollcall__actor {
    const struct rollcall_actor_type *type;
    struct rollcall__worker *worker;
    struct rollcall_ref ref;
    struct rollcall__actor *parent, *first_child, *next_sibling; /* youngest child first */
    void *self, *options, *handover;
    struct rollcall__timer *timers;
    struct rollcall_ref *monitors;
    uint32_t monitor_count;
    uint16_t epoch;
    int16_t state;
    uint8_t phase; /* enum rollcall__actor_phase */
    bool urgent_queued, ready_queued;
    struct rollcall__actor *urgent_next, *ready_next;
    struct rollcall__mailbox mailboxes[ROLLCALL__LANE_KINDS];
    struct rollcall_reason *reason; /* what rollcall_fail was told; owned */
    enum rollcall_status failure; /* likewise: for the words there may be no memory; OK: nothing */
    enum rollcall_status crash;   /* injected: fail before the next message */
    bool exempt;                  /* its messages are no fail points */
    struct rollcall__hold *holds[ROLLCALL__LANE_KINDS]; /* NULL: no message is delayed */
};

struct rollcall__queue {
    struct rollcall__actor *head, *tail;
};

/* What a handler is given: valid while it runs. */
struct rollcall_context {
    struct rollcall__actor *actor;
};

/* A system cell that found its lane full. */
struct rollcall__pending {
    struct rollcall__pending *next;
    struct rollcall__cell cell;
};

struct rollcall__slot {
    struct rollcall__actor *actor; /* NULL: free */
    uint32_t generation, next_free;
};

struct rollcall__worker {
    struct rollcall_runtime *rt;
    uint32_t index;
    struct rollcall__lane *in[ROLLCALL__SOURCES_MAX][ROLLCALL__LANE_KINDS];  /* borrowed */
    struct rollcall__lane *out[ROLLCALL__WORKERS_MAX][ROLLCALL__LANE_KINDS]; /* borrowed */
    struct {
        struct rollcall__pending *head, *tail;
    } pending[ROLLCALL__WORKERS_MAX];
    uint32_t unsent;               /* bit d: there are some for worker d */
    struct rollcall__cell waiting; /* from the application, for room in its receiver's mailbox */
    bool waits;                    /* there is one; the application's user lane rests behind it */
    uint32_t dirty; /* bit d: worker d has mail from us and has not been woken for it */
    struct rollcall__queue urgent, ready;
    uint32_t urgent_runs; /* in a row */
    struct rollcall__slot *slots;
    uint32_t slot_count, slot_capacity, free_head,
        free_tail; /* freed slots are reused oldest first */
    struct rollcall__cell *free_cells;
    struct rollcall__cell_block *cell_blocks;
    struct rollcall__timers timers;
    struct rollcall__trace trace;
    struct rollcall__random random;
    struct rollcall_runtime_stats stats;
    struct rollcall__failpoints *failpoints; /* NULL: none is armed, and no message is held */
    struct rollcall__actor *running;
    int64_t now_ms; /* read once per run of an actor */
};

ROLLCALL_MUST_USE bool rollcall__worker_init(struct rollcall__worker *worker,
                                             struct rollcall_runtime *rt, uint32_t index,
                                             uint64_t seed, uint32_t trace_messages);
/* Ends every actor without asking, then frees. */
void rollcall__worker_fini(struct rollcall__worker *worker);

/* ---- what an executor does with a worker ---- */

void rollcall__worker_refresh(struct rollcall__worker *worker); /* reads the clock */
/* Takes up to `cells_max` cells from one lane; returns how many. */
uint32_t rollcall__worker_drain(struct rollcall__worker *worker, uint32_t source,
                                enum rollcall__lane_kind kind, uint32_t cells_max);
/* Takes what there is from all system lanes, within reason, and up to `cells_max` from each user
 * lane. */
uint32_t rollcall__worker_drain_all(struct rollcall__worker *worker, uint32_t cells_max);
/* Runs one actor, urgent ones first, for at most a quantum; false when none is queued. */
bool rollcall__worker_run_one(struct rollcall__worker *worker);
/* The actor that runs next; NULL: none is queued. */
struct rollcall__actor *rollcall__worker_peek(const struct rollcall__worker *worker);
/* Moves the first `urgent` and `ready` actors to the end of their queues: another order that could
 * have happened.  For simulation. */
void rollcall__worker_rotate(struct rollcall__worker *worker, uint32_t urgent, uint32_t ready);
/* Sends the messages of the timers that are due; returns how many. */
uint32_t rollcall__worker_fire(struct rollcall__worker *worker);
/* Pushes pending system cells and wakes the workers that got mail; true: nothing is left pending.
 */
bool rollcall__worker_flush(struct rollcall__worker *worker);

/* ---- what actors and the outside do with it, on its thread ---- */

ROLLCALL_MUST_USE enum rollcall_status
rollcall__worker_spawn(struct rollcall__worker *worker, struct rollcall__actor *spawner,
                       const struct rollcall_spawn_options *options, struct rollcall_ref *ref,
                       struct rollcall_error *error);
/* Frees what options that reached no actor own. */
void rollcall__spawn_drop(const struct rollcall_spawn_options *options);
/* Routes a cell; owns its object from now on, also on failure. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__worker_send(struct rollcall__worker *worker,
                                                             const struct rollcall__cell *cell);
void rollcall__worker_send_system(struct rollcall__worker *worker,
                                  const struct rollcall__cell *cell);
/* NULL when there is no such actor any more. */
struct rollcall__actor *rollcall__worker_find(struct rollcall__worker *worker,
                                              struct rollcall_ref ref);
/* Asks every actor without a parent to stop. */
void rollcall__worker_stop_roots(struct rollcall__worker *worker);

/* ---- lifecycle (runtime/lifecycle.c) ---- */

/* fini, timers, children; then DOWN to parent and monitors.  The actor is FAILED, or ended. */
void rollcall__actor_fail(struct rollcall__actor *actor, enum rollcall_status status);
/* The same, for good: drains the mailboxes and frees the actor. */
void rollcall__actor_end(struct rollcall__actor *actor);
/* Ends this incarnation if it still runs; the next one's init runs before its next message. */
void rollcall__actor_restart(struct rollcall__actor *actor);
void rollcall__actor_monitor(struct rollcall__actor *actor, struct rollcall_ref watcher);
void rollcall__actor_adopt(struct rollcall__actor *parent, struct rollcall__actor *child);

/* ---- shared between worker.c, lifecycle.c and context.c ---- */

void rollcall__worker_queue(struct rollcall__worker *worker, struct rollcall__actor *actor,
                            enum rollcall__lane_kind kind);
struct rollcall__cell *rollcall__cell_take(struct rollcall__worker *worker); /* NULL: no memory */
void rollcall__cell_give(struct rollcall__worker *worker, struct rollcall__cell *cell);
/* Gives the actor a slot, and itself a ref; false when out of memory. */
ROLLCALL_MUST_USE bool rollcall__slot_take(struct rollcall__worker *worker,
                                           struct rollcall__actor *actor);
void rollcall__slot_give(struct rollcall__worker *worker, struct rollcall_ref ref);
/* Frees an ENDED actor that is in no queue any more; otherwise nothing. */
void rollcall__actor_free(struct rollcall__actor *actor);
/* Calls init, or the handler of one cell, whose object it drops; false when the actor no longer
 * runs after that. */
bool rollcall__actor_init(struct rollcall__actor *actor);
/* Whether a cell is for an earlier incarnation, or of a timer that was set again or cancelled. */
bool rollcall__actor_is_stale(const struct rollcall__actor *actor,
                              const struct rollcall__cell *cell);
bool rollcall__actor_deliver(struct rollcall__actor *actor, const struct rollcall__cell *cell);
/* "keepalive/3" */
void rollcall__actor_name(const struct rollcall__actor *actor, char *text, size_t size_bytes);

#endif /* RUNTIME_WORKER_H */

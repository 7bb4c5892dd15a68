/*
 * rollcall/testing.h - run actors deterministically, break what they stand on, and find the seed.
 *
 * A simulation is a runtime whose executor is a single thread with several virtual workers.  Each
 * step is drawn from the seed: run a ready actor, deliver cells from a lane, let the network bring
 * something, or, when nothing is ready, move the clock to what comes next.  The same seed gives the
 * same trace, bit for bit.
 *
 * It has an etcd of its own, in memory, with one or three members.  rollcall_sim_connect gives a
 * connection to it that every call of session.h, watch.h, admin.h and health.h takes.  Each stands
 * for one process.  A public call that waits steps, and turns the clock, until what it waits for
 * has come or its timeout has passed; in a callback it is refused, as on a thread.
 *
 * A scenario is what to do in a simulation, and what must always hold.  rollcall_explore runs it
 * with many seeds, each with its own mix of faults, and, when something does not hold, says with
 * which seed, at which step, and with how few of the faults it fails still.
 *
 * Fail points, at the end, make any runtime fail where you want it to, also one in production.
 *
 * Threads: one thread owns a simulation; nothing ever blocks it.
 * Time:    milliseconds of the virtual clock, which starts at 0 and moves only inside these calls
 *          and those that wait.
 */
#ifndef ROLLCALL_TESTING_H
#define ROLLCALL_TESTING_H

#include <rollcall/etcd.h>
#include <rollcall/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- a simulation ---- */

struct rollcall_sim;

struct rollcall_sim_options {
    size_t size_bytes; /* set by ROLLCALL_SIM_OPTIONS */
    uint64_t seed;
    uint32_t workers;                  /* virtual; 0: 2; 1 .. 8; a connected process has two */
    uint32_t members;                  /* of its etcd; 0: 1; 1 or 3 */
    bool old_etcd;                     /* it has the known bugs of etcd 3.4.23 */
    bool authentication;               /* it wants a user, whose tokens last for seconds */
    bool sync_members;                 /* processes know one member, and learn of the others */
    enum rollcall_log_level log_level; /* default: errors only, to stderr */
};
#define ROLLCALL_SIM_OPTIONS(...)                                                                  \
    (&(const struct rollcall_sim_options){.size_bytes = sizeof(struct rollcall_sim_options),       \
                                          __VA_ARGS__})

/* Returns: ROLLCALL_OK and *sim; ROLLCALL_E_INVALID with the option at fault; ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_sim_create(const struct rollcall_sim_options *options, struct rollcall_sim **sim,
                    struct rollcall_error *error);
/* Ends every actor and frees everything. */
ROLLCALL_API void rollcall_sim_destroy(struct rollcall_sim *sim);

/*
 * Connects `process` (0 .. 3; once each) to the simulation's etcd.  Its session actors live on
 * worker 2 * process, its watches and callbacks on the one after.  To be closed with
 * rollcall_etcd_close, before the simulation is destroyed.
 * Returns: ROLLCALL_OK; ROLLCALL_E_INVALID without two workers for it, or of a fifth;
 *          ROLLCALL_E_BUSY when it is connected, or was; ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_sim_connect(struct rollcall_sim *sim, uint32_t process, struct rollcall_etcd **etcd,
                     struct rollcall_error *error);

/* For rollcall_runtime_spawn, _send, _stop, _stats and _trace; valid until rollcall_sim_destroy. */
ROLLCALL_API struct rollcall_runtime *rollcall_sim_runtime(struct rollcall_sim *sim);
ROLLCALL_API int64_t rollcall_sim_now_ms(const struct rollcall_sim *sim);

/* Does one step without moving the clock; false when nothing is ready. */
ROLLCALL_API bool rollcall_sim_step(struct rollcall_sim *sim);
/* Steps until nothing is ready, without moving the clock; at most `steps_max`, then returns false.
 */
ROLLCALL_API bool rollcall_sim_settle(struct rollcall_sim *sim, uint64_t steps_max);
/* Steps and moves the clock, timer by timer, until `until_ms`, and leaves it there. */
ROLLCALL_API void rollcall_sim_run_until(struct rollcall_sim *sim, int64_t until_ms);

/* Makes `who` fail with `status` before its next message, as if a handler had returned
 * ROLLCALL_FAIL: a fault injected. */
ROLLCALL_API void rollcall_sim_crash(struct rollcall_sim *sim, struct rollcall_ref who,
                                     enum rollcall_status status);

/* The name of the state `who` is in; "NEW", "FAILED" or "ENDED" when it is in none. */
ROLLCALL_API const char *rollcall_sim_state(struct rollcall_sim *sim, struct rollcall_ref who);
/* A 64-bit hash over every delivery so far: equal for equal seeds. */
ROLLCALL_API uint64_t rollcall_sim_hash(const struct rollcall_sim *sim);

/* ---- faults ---- */

/* X(name, word, what it does).  Each has its opportunities, counted from 1 in a run. */
#define ROLLCALL_FAULTS(X)                                                                         \
    X(DELAY, "delay", "a message to or from etcd takes up to 8 s longer")                          \
    X(LOSE_REQUEST, "lose-request", "a request never reaches etcd")                                \
    X(LOSE_ANSWER, "lose-answer", "a request is done, and its answer is lost")                     \
    X(REPEAT_REQUEST, "repeat-request", "a request is done twice, and answered once")              \
    X(REPEAT_ANSWER, "repeat-answer", "a renewal is answered twice")                               \
    X(CUT, "cut", "a connection breaks, with all that is on its way")                              \
    X(TOKEN, "token", "a member of etcd forgets every token, if it wants them")                    \
    X(STALL, "stall", "a member of etcd is frozen for up to 12 s")                                 \
    X(ISOLATE, "isolate", "a member of etcd is cut off from the others for up to 12 s")            \
    X(KILL, "kill", "a member of etcd is killed, and back within 5 s")                             \
    X(LEADER, "leader", "etcd's leader changes: every lease has its whole TTL again")              \
    X(COMPACT, "compact", "etcd forgets old revisions")                                            \
    X(REVOKE, "revoke", "somebody revokes a lease")                                                \
    X(STRANGER, "stranger", "somebody deletes or overwrites a session's key")                      \
    X(PAUSE, "pause", "a process does not run for up to 12 s")                                     \
    X(SUSPEND, "suspend", "no process runs for up to 12 s, as on a machine that sleeps")           \
    X(WALL, "wall", "the wall clock jumps by up to an hour, either way")                           \
    X(CRASH, "crash", "an actor fails before it handles a message")                                \
    X(FULL, "full", "a mailbox is full: a send is refused with E_FULL")                            \
    X(MEMORY, "memory", "an allocation of ours fails")                                             \
    X(UNREACH, "unreach", "a member of etcd is out of its clients' reach for up to 12 s")          \
    X(MUTE, "mute", "a process's streams of renewals go silent for up to 12 s")                    \
    X(LOSE_EVENT, "lose-event",                                                                    \
      "etcd never tells a watch of a range a change, or any for up to 12 s")
enum rollcall_fault {
#define X(name, word, about) ROLLCALL_FAULT_##name,
    ROLLCALL_FAULTS(X)
#undef X
        ROLLCALL_FAULT_COUNT
};
ROLLCALL_API const char *rollcall_fault_name(enum rollcall_fault fault); /* "lose-request" */
ROLLCALL_API const char *rollcall_fault_about(enum rollcall_fault fault);

/* ---- scenarios ---- */

/* One run of a scenario: a simulation, its faults, and what was found wrong. */
struct rollcall_world;

/* How many of a scenario's seeds have a fault in their mix. */
struct rollcall_fault_weight {
    enum rollcall_fault fault; /* ROLLCALL_FAULT_COUNT: the end of the list */
    uint32_t percent;          /* 1 .. 100 */
};

struct rollcall_scenario {
    size_t size_bytes; /* set by ROLLCALL_SCENARIO */
    const char *name, *about;
    uint32_t workers;          /* of its simulations; 0: 2 */
    uint32_t members;          /* of their etcd; 0: 1 or 3, as the seed has it */
    size_t state_size_bytes;   /* zeroed before begin */
    const char *const *mortal; /* names of actor types, NULL at the end, of which CRASH may strike
                                  those that have a parent; NULL: none */
    int64_t heal_ms;           /* from the last fault to `end`; 0: 60'000 */
    /* Which faults its seeds draw; one that is not listed happens only where it is asked for by
     * name.  NULL: all but UNREACH, MUTE and LOSE_EVENT, each in half of the seeds. */
    const struct rollcall_fault_weight *faults;
    bool outages; /* STALL, ISOLATE, KILL and UNREACH last for seconds more often than not, and in
                     eight seeds of nine strike only while no other member is in trouble: what one
                     member's trouble must not do can be demanded */
    /* Each is called between two steps and may use every call of the library; NULL: nothing. */
    void (*begin)(struct rollcall_world *world, void *state); /* without faults; required */
    void (*act)(struct rollcall_world *world, void *state);   /* at random moments: what users do */
    void (*check)(struct rollcall_world *world, void *state); /* after every step */
    void (*settled)(struct rollcall_world *world, void *state); /* nothing is ready, and the clock
                                                                   will move */
    void (*heal)(struct rollcall_world *world, void *state); /* faults are over: ask for what must
                                                                hold in the end */
    void (*end)(struct rollcall_world *world, void *state); /* check that it does; close all that is
                                                               open; also after a violation */
};
#define ROLLCALL_SCENARIO(...)                                                                     \
    {                                                                                              \
        .size_bytes = sizeof(struct rollcall_scenario), __VA_ARGS__                                \
    }

ROLLCALL_API struct rollcall_sim *rollcall_world_sim(struct rollcall_world *world);
/* A number in 0 .. below-1 for `act` and the like: of a stream of its own. */
ROLLCALL_API uint64_t rollcall_world_random(struct rollcall_world *world, uint64_t below);
/* Whether a fault has happened in this run: without one, nothing may take longer than it must. */
ROLLCALL_API bool rollcall_world_faulty(const struct rollcall_world *world);
/* Reports that `invariant` does not hold; the first report of a run counts, and halts it: nothing
 * runs any more, and calls that wait end at once with E_TIMEOUT. */
ROLLCALL_API void rollcall_world_violate(struct rollcall_world *world, const char *invariant,
                                         const char *format, ...) ROLLCALL_PRINTF(3, 4);
ROLLCALL_API bool rollcall_world_violated(const struct rollcall_world *world);

/* ---- exploring ---- */

struct rollcall_explore_progress {
    uint64_t seeds, seeds_wanted; /* done so far */
    uint64_t steps;
    int64_t simulated_ms;
};

/*
 * States by faults: when a fault happens, the cell of each actor's state and that fault counts one
 * more.  A type has a row for each of its states once an actor of it was seen, so what was never
 * visited is there, as 0.  An actor that is new, failed or ended is in no state.
 */
enum { ROLLCALL_MATRIX_ROWS_MAX = 128 };
struct rollcall_matrix_row {
    const struct rollcall_actor_type *type; /* of rollcall/actor.h; borrowed */
    uint16_t state;                         /* into its state_names */
    uint64_t met[ROLLCALL_FAULT_COUNT];
};
struct rollcall_matrix {
    struct rollcall_matrix_row rows[ROLLCALL_MATRIX_ROWS_MAX]; /* a type's stand together */
    size_t row_count;
    uint64_t left_out; /* how often an actor met a fault whose type had no room for its rows */
};

struct rollcall_explore_options {
    size_t size_bytes;   /* set by ROLLCALL_EXPLORE_OPTIONS */
    uint64_t first_seed; /* 0: 1 */
    uint64_t seeds;      /* 0: 1'000 */
    uint64_t steps;      /* of a run, before it heals; 0: 1'000 */
    const char *faults;  /* NULL: each seed draws its own mix; "cut=0.01,crash=0.001": these, by
                            rate; "cut@17,crash@203": exactly these; "none" */
    bool trace;          /* prints every message of every run */
    bool keep_going;     /* after a violation too */
    /* Called after each seed; false: enough, this was the last.  NULL: nobody. */
    bool (*on_progress)(void *user, const struct rollcall_explore_progress *progress);
    /* Each line of a report; NULL: to stderr. */
    void (*print)(void *user, const char *line);
    void *user;
    const char *command; /* how a report names the way to replay it; NULL: "rollcall sim" */
    struct rollcall_matrix *matrix; /* zeroed by the caller; each run adds to it; NULL: none */
};
#define ROLLCALL_EXPLORE_OPTIONS(...)                                                              \
    (&(const struct rollcall_explore_options){                                                     \
        .size_bytes = sizeof(struct rollcall_explore_options), __VA_ARGS__})

struct rollcall_explore_result {
    uint64_t seeds, steps; /* run */
    int64_t simulated_ms;
    uint64_t hash;       /* of all traces: equal for equal seeds, in any build */
    uint64_t violations; /* seeds that failed */
    uint64_t seed, step; /* of the first violation */
    char invariant[48];  /* its name; "": none */
    char text[256];      /* what was found */
    char faults[1024];   /* as few as it takes, in the form of the options; "": they are
                            too many for here, or not known: the seed tells */
    char replay[1400];   /* the command that replays it */
    uint64_t taken[ROLLCALL_FAULT_COUNT]; /* how often each fault has happened */
};

/*
 * Runs the scenario with each seed until one fails (or with all, if asked), and shrinks the faults
 * of the first that does.  It prints, for that one, in this order: the invariant and what was
 * found, the last messages, the state of each actor, and the command that replays it.
 * Returns: ROLLCALL_OK when everything held; ROLLCALL_E_ACTOR when something did not; else why
 *          nothing could be run, with *error.  *result: filled in the first two cases.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_explore(const struct rollcall_scenario *scenario,
                 const struct rollcall_explore_options *options,
                 struct rollcall_explore_result *result, struct rollcall_error *error);

/* The library's own scenarios; NULL after the last. */
ROLLCALL_API const struct rollcall_scenario *rollcall_scenario_at(size_t index);

/* ---- fail points, on any runtime ---- */

/*
 * Fail points.  Every message of every actor is one, yours too, named by the actor type's name and
 * the message's: nothing has to be written into an actor.  They work on any runtime, simulated or
 * not; while none is armed they cost one branch.
 *
 *     keepalive/KEEPALIVE_ANSWER=crash@3; etcd/call=error(E_NO_SPACE)%0.1; peer/PING=delay(200ms)
 *
 * Either name may be an asterisk: any actor, any message that is no signal.  What can happen:
 *   crash(STATUS)  the actor fails instead of handling the message, as by rollcall_sim_crash;
 *                  without a status: E_ACTOR
 *   delay(TIME)    the message, and what comes behind it in the same mailbox, waits for TIME (ms or
 *                  s); other actors go on.  Each message that fires waits by itself, one after the
 *                  other.  Signals overtake a wait; a restart does not end it, an end does
 *   drop           the message is not delivered; counted as `dropped`
 *   error          sending it is refused, as by a full mailbox: E_FULL, or BOUNCED from another
 *                  worker.  Messages from outside and timers are not refused, only what actors send
 * STOP, ADOPT, DOWN and BOUNCED are signals: named in full, they take crash, and nothing else.
 *
 * When, each at most once, all must agree; without any: every time.
 *   @3  the third hit    @3+  from the third on    %0.01  one in a hundred    *2  at most twice
 * Hits are counted on each worker by itself, and chance comes from the worker's seed.  Of several
 * points that match, the first armed that fires is taken, and those after it are not hit.
 *
 * The connection to etcd has these points, which take no crash.  Its own actor is no fail point.
 *   etcd/call      a request
 *                  error: not sent, and answered with the status, without one E_UNAVAILABLE
 *                  drop: not sent, and answered E_TIMEOUT at its deadline; delay: answered later
 *   etcd/renewal   a renewal of a lease
 *                  error: as above, but E_LEASE_LOST is told as etcd tells it: by a TTL of 0
 *                  drop: not sent, and answered E_UNAVAILABLE after 2 s, as by a silent stream
 *                  delay: answered later
 *   etcd/watch     a response of a watch, of which the first says that it has begun
 *                  error: the watch ends with the status; delay: told later, in order
 *                  drop: the watch ends with E_UNAVAILABLE, for no response goes missing alone
 *
 * The library reads no environment: the command `rollcall` takes ROLLCALL_FAILPOINTS, and a program
 * of yours does with ROLLCALL_RUNTIME_OPTIONS(.failpoints = getenv("ROLLCALL_FAILPOINTS")).  What
 * is armed is said in the log, at level warn.
 *
 * Threads: any; but in a handler or a callback the answer is E_BUSY.
 */

/* Adds points to those armed; at most 64 in all.  text: borrowed.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_INVALID, with the place in the text and what it allows, and
 *          nothing was armed; or ROLLCALL_E_TIMEOUT when a worker is stuck in a callback, or
 *          ROLLCALL_E_NO_MEMORY: then some workers are armed and others not. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_failpoints_arm(struct rollcall_runtime *runtime, const char *text,
                        struct rollcall_error *error);
/* Nothing fails on purpose any more; what is delayed already still waits its time.
 * Returns: ROLLCALL_OK; or as rollcall_failpoints_arm: then on some workers they are armed still.
 */
ROLLCALL_API enum rollcall_status rollcall_failpoints_clear(struct rollcall_runtime *runtime);

struct rollcall_failpoint {
    const char *text;     /* as it was armed */
    uint64_t hits, fired; /* since then, summed over workers */
};
/* Tells what is armed, in that order.  print: called on this thread; point: borrowed.
 * Returns: ROLLCALL_OK; or as rollcall_failpoints_arm: then nothing was told. */
ROLLCALL_API enum rollcall_status
rollcall_failpoints_list(struct rollcall_runtime *runtime,
                         void (*print)(void *user, const struct rollcall_failpoint *point),
                         void *user);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_TESTING_H */

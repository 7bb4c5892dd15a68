/*
 * rollcall/testing.h - run actors deterministically: one thread, a seed, a clock you turn; and let
 * any runtime, also one in production, fail where you want it to: see "fail points" at the end.
 *
 * A simulation is a runtime whose executor is a single thread with several virtual workers.  Each
 * step is drawn from the seed: run a ready actor, deliver cells from a lane, or, when nothing is
 * ready, move the clock to the next timer.  The same seed gives the same trace, bit for bit.
 *
 * Threads: one thread owns a simulation; nothing here blocks.
 * Time:    milliseconds of the virtual clock, which starts at 0 and moves only inside these calls.
 */
#ifndef ROLLCALL_TESTING_H
#define ROLLCALL_TESTING_H

#include <rollcall/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_sim;

struct rollcall_sim_options {
    size_t size_bytes; /* set by ROLLCALL_SIM_OPTIONS */
    uint64_t seed;
    uint32_t workers;                  /* virtual; 0: 2; 1 .. 8 */
    enum rollcall_log_level log_level; /* default: errors only, to stderr */
};
#define ROLLCALL_SIM_OPTIONS(...)                                                                  \
    (&(const struct rollcall_sim_options){.size_bytes = sizeof(struct rollcall_sim_options),       \
                                          __VA_ARGS__})

ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_sim_create(const struct rollcall_sim_options *options, struct rollcall_sim **sim,
                    struct rollcall_error *error);
/* Ends every actor and frees everything. */
ROLLCALL_API void rollcall_sim_destroy(struct rollcall_sim *sim);

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
/* Nothing fails on purpose any more; what is delayed already still waits its time. */
ROLLCALL_API enum rollcall_status rollcall_failpoints_clear(struct rollcall_runtime *runtime);

struct rollcall_failpoint {
    const char *text;     /* as it was armed */
    uint64_t hits, fired; /* since then, summed over workers */
};
/* Tells what is armed, in that order.  print: called on this thread; point: borrowed. */
ROLLCALL_API enum rollcall_status
rollcall_failpoints_list(struct rollcall_runtime *runtime,
                         void (*print)(void *user, const struct rollcall_failpoint *point),
                         void *user);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_TESTING_H */

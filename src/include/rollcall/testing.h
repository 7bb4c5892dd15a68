/*
 * rollcall/testing.h - run actors deterministically: one thread, a seed, a clock you turn.
 *
 * A simulation is a runtime whose executor is a single thread with several virtual workers.  Each
 * step is drawn from the seed: run a ready actor, deliver cells from a lane, or, when nothing is
 * ready, move the clock to the next timer.  The same seed gives the same trace, bit for bit.
 *
 * A public call that waits does so in virtual time: it steps, and turns the clock, until what it
 * waits for has come or its timeout has passed.  In a callback it is refused, as on a thread.
 *
 * Threads: one thread owns a simulation; nothing ever blocks it.
 * Time:    milliseconds of the virtual clock, which starts at 0 and moves only inside these calls
 *          and those that wait.
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

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_TESTING_H */

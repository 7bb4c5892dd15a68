/*
 * sim/fault.h - which fault happens when: a pure function of the seed, so that a run can be played
 * again with fewer of them.
 *
 * A fault has opportunities, counted from 1 in each run: the requests that could be lost, the
 * messages before which an actor could crash.  Whether the nth one is taken is drawn from (seed,
 * fault, n) alone: no draw depends on another, and leaving one fault out disturbs no other stream.
 * By rates, each opportunity is taken with the fault's probability; by script, those listed.
 *
 * Threads: one.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <rollcall/testing.h>

struct rollcall__fault_at {
    enum rollcall_fault fault;
    uint64_t nth; /* opportunity, from 1 */
};

/* What shall happen. */
struct rollcall__fault_plan {
    bool scripted;                           /* else by rates */
    double rates[ROLLCALL_FAULT_COUNT];      /* 0 .. 1 */
    const struct rollcall__fault_at *script; /* borrowed */
    size_t script_count;
};

/* A seed's own mix: each fault is in it with a chance of one half, at a rate from 1/1000 to 1/20.
 * (Swarm testing: Groce and others, ISSTA 2012.)  In one seed of four the chance is one in 16:
 * among many faults nearly everything is excused.  weights: of a scenario; NULL: none. */
void rollcall__fault_plan_draw(struct rollcall__fault_plan *plan, uint64_t seed,
                               const struct rollcall_fault_weight *weights);

/*
 * Reads "cut=0.01,crash=0.001", rates, or "cut@17,crash@203", a script, whose entries are put into
 * *script (the caller's to free) and into the plan.  "none": nothing happens.
 * Returns: ROLLCALL_OK; ROLLCALL_E_INVALID with the word at fault; ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__fault_plan_parse(const char *text, struct rollcall__fault_plan *plan,
                           struct rollcall__fault_at **script, struct rollcall_error *error);

enum { ROLLCALL__FAULTS_TAKEN_MAX = 512 }; /* remembered; more are taken, but not listed */

/* A run's faults. */
struct rollcall__faults {
    uint64_t seed;
    struct rollcall__fault_plan plan;
    bool off; /* before the run, while it heals, and at its end: no opportunity is counted */
    uint64_t thresholds[ROLLCALL_FAULT_COUNT]; /* of 2^64; by rates only */
    uint64_t seen[ROLLCALL_FAULT_COUNT], taken[ROLLCALL_FAULT_COUNT];
    uint64_t draws[ROLLCALL_FAULT_COUNT]; /* since the last one was taken */
    struct rollcall__fault_at list[ROLLCALL__FAULTS_TAKEN_MAX];
    size_t list_count;
    /* Told of each that is taken, before it does anything; NULL: nobody. */
    void (*on_taken)(void *user, enum rollcall_fault fault);
    void *user;
};
void rollcall__faults_init(struct rollcall__faults *faults, uint64_t seed,
                           const struct rollcall__fault_plan *plan);

/* From now on at that rate, if it happens at all; a script is kept to.  rate: 0 .. 1; below 0: as
 * the plan has it. */
void rollcall__fault_worsen(struct rollcall__faults *faults, enum rollcall_fault fault,
                            double rate);

/* Counts an opportunity; true: the fault happens now. */
bool rollcall__fault(struct rollcall__faults *faults, enum rollcall_fault fault);
/* How: a number in 0 .. below-1 for the fault that happens, another one each time. */
uint64_t rollcall__fault_draw(struct rollcall__faults *faults, enum rollcall_fault fault,
                              uint64_t below);

#endif /* SIM_FAULT_H */

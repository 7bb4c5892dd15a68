/*
 * runtime/park.h - how a worker sleeps and is woken, without losing a wake-up.
 *
 *    worker                                   waker
 *    (1) seen = rollcall__park_prepare()      (a) push into one of the worker's lanes
 *    (2) look at every lane, run, fire        (b) rollcall__park_wake()
 *    (3) nothing found: rollcall__park_wait(seen)
 *
 * Why nothing is lost: (b) is one atomic increment, a full barrier.  If it comes before (1) in the
 * counter's order, (2) sees what (a) pushed, for (1) acquires.  If it comes after (1), the counter
 * is no longer `seen`, so (3) returns at once: by its own check, by the compare that sets the
 * "someone sleeps" bit, or by the kernel's compare before it sleeps; or (b) ran after that bit was
 * set, saw it, and wakes.  `seen` must be taken before looking: the other way round loses wake-ups.
 *
 * Algorithm: Concurrency Kit's event count (ck_ec32), in its multi-producer mode.
 */
#ifndef RUNTIME_PARK_H
#define RUNTIME_PARK_H

#include <stdint.h>

#include <ck_ec.h>

struct rollcall__park {
    struct ck_ec32 count;
};

void rollcall__park_init(struct rollcall__park *park);
/* Threads: the sleeper. */
uint32_t rollcall__park_prepare(const struct rollcall__park *park);
/* Sleeps until woken since prepare, or for timeout_ms (negative: until woken).  Threads: the
 * sleeper. */
void rollcall__park_wait(struct rollcall__park *park, uint32_t seen, int64_t timeout_ms);
/* 5 ns when nobody sleeps, 7-9 us of the waker's time when somebody does.  Threads: any. */
void rollcall__park_wake(struct rollcall__park *park);

#endif /* RUNTIME_PARK_H */

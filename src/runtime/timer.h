/*
 * runtime/timer.h - a worker's timers: a 4-ary heap on (at_ms, sequence).
 *
 * Equal deadlines fire in the order they were set, which replay needs.  The heap holds pointers
 * and each timer knows its place, so setting again and cancelling cost O(log n).
 * Threads: the worker's.
 */
#ifndef RUNTIME_TIMER_H
#define RUNTIME_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rollcall__timer {
    int64_t at_ms;
    uint64_t sequence; /* when it was set, among all of the worker; also its generation */
    size_t place;      /* in the heap; TIMER_IDLE: not in it */
    uint16_t type;     /* the message it sends; from TIMER_HOLD on: the hold that it ends */
    struct rollcall__actor *actor;
    struct rollcall__timer *next; /* the actor's */
};
#define ROLLCALL__TIMER_IDLE SIZE_MAX
enum { ROLLCALL__TIMER_HOLD = UINT16_MAX - 1 }; /* and one for each kind of mailbox */

struct rollcall__timers {
    struct rollcall__timer **heap;
    size_t count, capacity;
    uint64_t sequence;
};

/* Puts or moves the timer; false when out of memory, then it is not set. */
bool rollcall__timers_set(struct rollcall__timers *timers, struct rollcall__timer *timer,
                          int64_t at_ms);
void rollcall__timers_cancel(struct rollcall__timers *timers, struct rollcall__timer *timer);
/* The next one due at or before now_ms, taken out; NULL: none. */
struct rollcall__timer *rollcall__timers_due(struct rollcall__timers *timers, int64_t now_ms);
/* The earliest deadline; INT64_MAX: none. */
int64_t rollcall__timers_next_ms(const struct rollcall__timers *timers);
void rollcall__timers_fini(struct rollcall__timers *timers);

#endif /* RUNTIME_TIMER_H */

#include "runtime/timer.h"

#include <stdlib.h>

enum { ARITY = 4, FIRST_CAPACITY = 64 };

static bool before(const struct rollcall__timer *a, const struct rollcall__timer *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void put(struct rollcall__timers *timers, size_t place, struct rollcall__timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct rollcall__timers *timers, struct rollcall__timer *timer)
{
    size_t place = timer->place;
    while (place > 0 && before(timer, timers->heap[(place - 1) / ARITY])) {
        put(timers, place, timers->heap[(place - 1) / ARITY]);
        place = (place - 1) / ARITY;
    }
    put(timers, place, timer);
}

/* The earliest child of `place`; count when it has none. */
static size_t first_child(const struct rollcall__timers *timers, size_t place)
{
    size_t best = timers->count;
    for (size_t child = ARITY * place + 1; child <= ARITY * place + ARITY; child++) {
        if (child < timers->count &&
            (best == timers->count || before(timers->heap[child], timers->heap[best]))) {
            best = child;
        }
    }
    return best;
}

static void sift_down(struct rollcall__timers *timers, struct rollcall__timer *timer)
{
    size_t place = timer->place;
    for (;;) {
        const size_t child = first_child(timers, place);
        if (child == timers->count || !before(timers->heap[child], timer)) {
            break;
        }
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static bool reserve(struct rollcall__timers *timers)
{
    if (timers->count < timers->capacity) {
        return true;
    }
    const size_t capacity = timers->capacity == 0 ? FIRST_CAPACITY : 2 * timers->capacity;
    struct rollcall__timer **heap = realloc(timers->heap, capacity * sizeof(*heap));
    if (heap == NULL) {
        return false;
    }
    timers->heap = heap;
    timers->capacity = capacity;
    return true;
}

bool rollcall__timers_set(struct rollcall__timers *timers, struct rollcall__timer *timer,
                          int64_t at_ms)
{
    rollcall__timers_cancel(timers, timer);
    if (!reserve(timers)) {
        return false;
    }
    timer->at_ms = at_ms;
    timer->sequence = ++timers->sequence;
    put(timers, timers->count++, timer);
    sift_up(timers, timer);
    return true;
}

void rollcall__timers_cancel(struct rollcall__timers *timers, struct rollcall__timer *timer)
{
    const size_t place = timer->place;
    timer->sequence = 0; /* no generation: a cell already sent is stale */
    if (place == ROLLCALL__TIMER_IDLE) {
        return;
    }
    struct rollcall__timer *last = timers->heap[--timers->count];
    timer->place = ROLLCALL__TIMER_IDLE;
    if (last != timer) {
        put(timers, place, last);
        sift_up(timers, last);
        sift_down(timers, last);
    }
}

struct rollcall__timer *rollcall__timers_due(struct rollcall__timers *timers, int64_t now_ms)
{
    if (timers->count == 0 || timers->heap[0]->at_ms > now_ms) {
        return NULL;
    }
    struct rollcall__timer *timer = timers->heap[0];
    const uint64_t generation = timer->sequence;
    rollcall__timers_cancel(timers, timer);
    timer->sequence = generation;
    return timer;
}

int64_t rollcall__timers_next_ms(const struct rollcall__timers *timers)
{
    return timers->count == 0 ? INT64_MAX : timers->heap[0]->at_ms;
}

void rollcall__timers_fini(struct rollcall__timers *timers)
{
    free(timers->heap);
    *timers = (struct rollcall__timers){0};
}

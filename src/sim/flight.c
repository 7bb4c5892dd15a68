#include "sim/flight.h"

#include "base/assert.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 64 };

static bool before(const struct rollcall__flight *a, const struct rollcall__flight *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void grow(struct rollcall__flights *flights)
{
    flights->capacity = flights->capacity == 0 ? FIRST_CAPACITY : 2 * flights->capacity;
    flights->heap = realloc(flights->heap, flights->capacity * sizeof *flights->heap);
    ROLLCALL_ASSERT(flights->heap != NULL); /* a simulation without memory proves nothing */
}

void rollcall__flights_push(struct rollcall__flights *flights, struct rollcall__flight flight)
{
    if (flights->count == flights->capacity) {
        grow(flights);
    }
    flight.sequence = flight.sequence != 0 ? flight.sequence : ++flights->sequence;
    size_t at = flights->count++;
    for (; at > 0 && before(&flight, &flights->heap[(at - 1) / 2]); at = (at - 1) / 2) {
        flights->heap[at] = flights->heap[(at - 1) / 2];
    }
    flights->heap[at] = flight;
}

struct rollcall__flight rollcall__flights_pop(struct rollcall__flights *flights)
{
    ROLLCALL_ASSERT(flights->count > 0);
    struct rollcall__flight *heap = flights->heap;
    const struct rollcall__flight first = heap[0];
    const struct rollcall__flight last = heap[--flights->count];
    size_t at = 0;
    for (size_t child = 1; child < flights->count; child = 2 * at + 1) {
        child += child + 1 < flights->count && before(&heap[child + 1], &heap[child]);
        if (!before(&heap[child], &last)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return first;
}

int64_t rollcall__flights_next_ms(const struct rollcall__flights *flights)
{
    return flights->count == 0 ? INT64_MAX : flights->heap[0].at_ms;
}

void rollcall__flights_free(struct rollcall__flights *flights)
{
    for (size_t i = 0; i < flights->count; i++) {
        rollcall_object_drop(flights->heap[i].object);
    }
    free(flights->heap);
    *flights = (struct rollcall__flights){.heap = NULL};
}

#include "runtime/lane.h"

#include "base/assert.h"

#include <ck_ring.h>

#include <stdalign.h>
#include <stdlib.h>

CK_RING_PROTOTYPE(cell, rollcall__cell)

enum { CACHE_LINE_BYTES = 64 };

/* ck_ring keeps size and mask, which both sides read on every call, at its end: the cells start on
 * a line of their own so that writing the first never invalidates them. */
struct rollcall__lane {
    alignas(CACHE_LINE_BYTES) ck_ring_t ring;
    alignas(CACHE_LINE_BYTES) struct rollcall__cell cells[];
};

struct rollcall__lane *rollcall__lane_create(uint32_t capacity)
{
    ROLLCALL_ASSERT(capacity >= 4 && (capacity & (capacity - 1)) == 0);
    struct rollcall__lane *lane = aligned_alloc(
        CACHE_LINE_BYTES, sizeof *lane + (size_t)capacity * sizeof(struct rollcall__cell));
    if (lane != NULL) {
        ck_ring_init(&lane->ring, capacity);
    }
    return lane;
}

void rollcall__lane_destroy(struct rollcall__lane *lane)
{
    struct rollcall__cell cell;
    if (lane == NULL) {
        return;
    }
    while (rollcall__lane_pop(lane, &cell)) {
        rollcall_object_drop(cell.object);
    }
    free(lane);
}

bool rollcall__lane_push(struct rollcall__lane *lane, const struct rollcall__cell *cell)
{
    struct rollcall__cell *slot = ck_ring_enqueue_reserve_spsc_cell(&lane->ring, lane->cells);
    if (slot == NULL) {
        return false;
    }
    *slot = *cell;
    ck_ring_enqueue_commit_spsc(&lane->ring);
    return true;
}

bool rollcall__lane_pop(struct rollcall__lane *lane, struct rollcall__cell *cell)
{
    return ck_ring_dequeue_spsc_cell(&lane->ring, lane->cells, cell);
}

bool rollcall__lane_empty(const struct rollcall__lane *lane)
{
    return ck_ring_size(&lane->ring) == 0;
}

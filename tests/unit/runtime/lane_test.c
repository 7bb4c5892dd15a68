#include "runtime/lane.h"

#include "support/probe.h"
#include "support/test.h"

#include <ck_ring.h>

/* The ring is a lane's first member: a test may start its indices anywhere. */
static struct rollcall__lane *lane_starting_at(uint32_t capacity, unsigned int index)
{
    struct rollcall__lane *lane = rollcall__lane_create(capacity);
    ck_ring_t *ring = (ck_ring_t *)lane;
    CHECK(lane != NULL);
    ring->c_head = ring->p_tail = ring->p_head = index;
    return lane;
}

static bool push(struct rollcall__lane *lane, uint16_t type)
{
    return rollcall__lane_push(lane, &(struct rollcall__cell){.type = type});
}

TEST(lane, holds_one_fewer_than_its_capacity_and_then_is_full)
{
    struct rollcall__cell cell;
    for (uint32_t capacity = 4; capacity <= 16; capacity *= 2) {
        struct rollcall__lane *lane = rollcall__lane_create(capacity);
        CHECK(rollcall__lane_empty(lane));
        for (uint32_t i = 0; i < capacity - 1; i++) {
            CHECK(push(lane, (uint16_t)i));
        }
        CHECK(!push(lane, 99));
        for (uint32_t i = 0; i < capacity - 1; i++) {
            CHECK(!rollcall__lane_empty(lane));
            CHECK(rollcall__lane_pop(lane, &cell));
            CHECK_INT(cell.type, i);
        }
        CHECK(!rollcall__lane_pop(lane, &cell));
        CHECK(rollcall__lane_empty(lane));
        rollcall__lane_destroy(lane);
    }
}

TEST(lane, keeps_order_when_its_32_bit_indices_wrap)
{
    for (unsigned int before = 0; before < 6; before++) {
        struct rollcall__lane *lane = lane_starting_at(4, UINT32_MAX - before);
        struct rollcall__cell cell;
        uint16_t in = 0, out = 0;
        for (int round = 0; round < 6; round++) {
            while (push(lane, in)) {
                in++;
            }
            CHECK_INT(in - out, 3);
            while (rollcall__lane_pop(lane, &cell)) {
                CHECK_INT(cell.type, out++);
            }
        }
        CHECK_INT(in, 18);
        CHECK_INT(out, 18);
        rollcall__lane_destroy(lane);
    }
}

TEST(lane, carries_a_whole_cell)
{
    struct rollcall__lane *lane = rollcall__lane_create(4);
    struct rollcall__cell cell = {.to = {1},
                                  .from = {2},
                                  .to_epoch = 3,
                                  .from_epoch = 4,
                                  .type = 5,
                                  .size_bytes = 32,
                                  .kind = ROLLCALL__CELL_TIMER};
    struct rollcall__cell got;
    memset(cell.payload, 0xa5, sizeof cell.payload);
    CHECK(rollcall__lane_push(lane, &cell));
    CHECK(rollcall__lane_pop(lane, &got));
    CHECK(memcmp(&got, &cell, sizeof cell) == 0);
    rollcall__lane_destroy(lane);
}

TEST(lane, destroyed_with_cells_in_it_drops_their_objects_once)
{
    struct rollcall__lane *lane = lane_starting_at(4, UINT32_MAX - 1);
    int alive = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(rollcall__lane_push(lane, &(struct rollcall__cell){.object = probe_object(&alive)}));
    }
    rollcall__lane_destroy(lane);
    CHECK_INT(alive, 0);
    rollcall__lane_destroy(NULL);
}

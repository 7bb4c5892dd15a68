/*
 * runtime/lane.h - one direction between two threads: a bounded ring of cells.
 *
 * Single producer, single consumer (ck_ring SPSC): wait-free on both sides.  ck's multi-producer
 * enqueue is a ticket hand-off that spins without bound while a preempted producer holds a ticket,
 * which is why every pair of threads has its own lane instead.
 *
 * Threads: push: the producer; pop: the consumer; create, destroy: neither may be running.
 * Order:   ck's store of p_tail in push releases the cell; its load in pop acquires it.
 */
#ifndef RUNTIME_LANE_H
#define RUNTIME_LANE_H

#include "runtime/cell.h"

struct rollcall__lane;

/* capacity: a power of two, at least 4; one fewer fit.  NULL when out of memory. */
struct rollcall__lane *rollcall__lane_create(uint32_t capacity);
/* Drops the objects of what is still in it.  NULL: nothing. */
void rollcall__lane_destroy(struct rollcall__lane *lane);
/* Copies the cell, and with it the ownership of its object; false when full: nothing happened. */
bool rollcall__lane_push(struct rollcall__lane *lane, const struct rollcall__cell *cell);
/* Exact for the consumer while the producer rests. */
bool rollcall__lane_empty(const struct rollcall__lane *lane);
bool rollcall__lane_pop(struct rollcall__lane *lane, struct rollcall__cell *cell);

#endif /* RUNTIME_LANE_H */

/* sim/matrix.h - states by faults, as rollcall_explore tells them.  Threads: the simulation's. */
#ifndef SIM_MATRIX_H
#define SIM_MATRIX_H

#include "runtime/runtime_internal.h"

#include <rollcall/testing.h>

/* The fault happens now: counts it for the state of every actor. */
void rollcall__matrix_count(struct rollcall_matrix *matrix, const struct rollcall_runtime *rt,
                            enum rollcall_fault fault);

#endif /* SIM_MATRIX_H */

/*
 * base/gauge.h - one number that an actor publishes, and any thread reads.
 *
 * Gauges of one writer are seen in the order in which they were set; nothing is to be concluded
 * from one about other memory. Threads: set: one at a time; get: any.
 */
#ifndef BASE_GAUGE_H
#define BASE_GAUGE_H

#include <stdint.h>

/* Zero is a valid gauge that reads 0. */
struct rollcall__gauge {
    int64_t value; /* by the functions below only */
};

void rollcall__gauge_set(struct rollcall__gauge *gauge, int64_t value);
int64_t rollcall__gauge_get(const struct rollcall__gauge *gauge);

#endif /* BASE_GAUGE_H */

/*
 * base/random.h - seeded pseudo-random numbers, and the one place that draws entropy.
 * Algorithm: xoshiro256** seeded by splitmix64 (Blackman and Vigna, 2018; public domain).
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct rollcall__random {
    uint64_t state[4];
};

void rollcall__random_init(struct rollcall__random *random, uint64_t seed);
uint64_t rollcall__random_next(struct rollcall__random *random);
/* Uniform in 0 .. bound-1; bound > 0. */
uint64_t rollcall__random_below(struct rollcall__random *random, uint64_t bound);
/* From the kernel; falls back to clocks and addresses where it has none. */
uint64_t rollcall__random_entropy(void);

#endif /* BASE_RANDOM_H */

/*
 * tests/support/seed.h - the seed of a randomised test: ROLLCALL_SEED, or the one given.
 *
 * A test prints its seed before it uses it, so that a failure in a log can be run again:
 *     ROLLCALL_SEED=0x2a build/release/tests/unit.runtime.timer
 */
#ifndef TESTS_SUPPORT_SEED_H
#define TESTS_SUPPORT_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* usual: what the suite runs with every day, so that it gives the same answer every day. */
static inline uint64_t seed_of_test(uint64_t usual)
{
    const char *text = getenv("ROLLCALL_SEED");
    uint64_t seed = usual;
    if (text != NULL && *text != '\0') {
        char *end = NULL;
        seed = strtoull(text, &end, 0);
        if (*end != '\0') {
            fprintf(stderr, "ROLLCALL_SEED is \"%s\": give a number such as 42 or 0x2a\n", text);
            abort();
        }
    }
    fprintf(stderr, "seed=0x%" PRIx64 " (again: ROLLCALL_SEED=0x%" PRIx64 ")\n", seed, seed);
    return seed;
}

#endif /* TESTS_SUPPORT_SEED_H */

/*
 * tests/support/belief.h - when which process believed that it acts, kept in memory that processes
 * share: what one has noted stays when it is killed.
 *
 * A process asks the library for its token, again and again, and reads the clock before and after.
 * `first_ns` is read after the token came, `last_ns` before it was last asked for; so one that is
 * believed in from first_ns to last_ns is so at both instants or closer together, and where such
 * times of two processes overlap, both did believe at one instant.
 */
#ifndef TESTS_SUPPORT_BELIEF_H
#define TESTS_SUPPORT_BELIEF_H

#include <stdatomic.h>
#include <stdint.h>

enum { BELIEFS_MAX = 16384 };

struct belief {
    _Atomic int64_t token, server_id, pid;
    _Atomic int64_t first_ns, last_ns; /* of CLOCK_BOOTTIME, which all processes share */
};

/* In a file, mapped by all. */
struct belief_book {
    _Atomic uint32_t count;
    struct belief beliefs[BELIEFS_MAX]; /* each is written by one process */
};

#endif /* TESTS_SUPPORT_BELIEF_H */

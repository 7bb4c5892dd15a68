/*
 * tests/support/lag.h - what the machine took away: how late a thread is woken that only sleeps.
 *
 * A test that bounds a time may not blame the library for what other programs, or the host of a
 * virtual machine, have used.  So a thread naps for LAG_NAP_MS at a time and notes by how much
 * each nap was too long: not at all on a machine that nothing disturbs, where a bound is then the
 * specification's own.
 *
 * Threads: one of its own; the calls are any thread's.
 * Errors:  a thread that cannot be started ends the program, with a sentence on stderr.
 */
#ifndef TESTS_SUPPORT_LAG_H
#define TESTS_SUPPORT_LAG_H

#include <stdint.h>

enum { LAG_NAP_MS = 5 };

struct lag;

struct lag *lag_create(void);
void lag_destroy(struct lag *lag); /* NULL: nothing */

/* The sum of what naps were too long between two times of process_now_ms, to a tenth of a second:
 * of the nap that is being taken, too. */
int64_t lag_ms(struct lag *lag, int64_t from_ms, int64_t to_ms);

#endif /* TESTS_SUPPORT_LAG_H */

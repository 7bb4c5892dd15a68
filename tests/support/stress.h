/*
 * tests/support/stress.h - what every stress program has: a seed, a watchdog, and one way to fail.
 *
 * A stress program is a plain main() with real threads.  It calls stress_begin() first and
 * stress_progress() whenever something has moved; when nothing moves for STRESS_PATIENCE_S, a
 * wake-up was lost, and the watchdog says in which phase.
 */
#ifndef TESTS_SUPPORT_STRESS_H
#define TESTS_SUPPORT_STRESS_H

#include "base/clock.h"
#include "base/random.h"
#include "support/seed.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STRESS_PATIENCE_S = 20 };

static uint64_t stress_moves;              /* atomic */
static const char *stress_phase = "begin"; /* atomic */

__attribute__((format(printf, 1, 2))) static _Noreturn void stress_fail(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "stress failed in %s: ", __atomic_load_n(&stress_phase, __ATOMIC_ACQUIRE));
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(1); /* whatever hangs would hang exit() too */
}

#define STRESS_CHECK(condition)                                                                    \
    ((condition) ? (void)0 : stress_fail("%s:%d: not true: %s", __FILE__, __LINE__, #condition))

static inline void stress_progress(void)
{
    __atomic_fetch_add(&stress_moves, 1, __ATOMIC_RELAXED);
}

static inline void stress_enter(const char *phase)
{
    __atomic_store_n(&stress_phase, phase, __ATOMIC_RELEASE);
    stress_progress();
    fprintf(stderr, "%s\n", phase);
}

static void *stress_watch(void *unused)
{
    (void)unused;
    uint64_t seen = __atomic_load_n(&stress_moves, __ATOMIC_RELAXED);
    for (int idle_s = 0;;) {
        sleep(1);
        const uint64_t now = __atomic_load_n(&stress_moves, __ATOMIC_RELAXED);
        idle_s = now == seen ? idle_s + 1 : 0;
        seen = now;
        if (idle_s >= STRESS_PATIENCE_S) {
            stress_fail("nothing has moved for %d s: a wake-up was lost", idle_s);
        }
    }
    return NULL;
}

static inline uint64_t stress_begin(void)
{
    pthread_t watchdog;
    if (pthread_create(&watchdog, NULL, stress_watch, NULL) != 0 || pthread_detach(watchdog) != 0) {
        stress_fail("cannot start the watchdog");
    }
    return seed_of_test(rollcall__random_entropy());
}

#endif /* TESTS_SUPPORT_STRESS_H */

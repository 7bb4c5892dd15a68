#include "runtime/park.h"

#include "base/clock.h"
#include "support/test.h"

#include <pthread.h>

static int64_t wait_ns(int64_t timeout_ms)
{
    struct rollcall__park park;
    rollcall__park_init(&park);
    const uint32_t seen = rollcall__park_prepare(&park);
    const int64_t begin_ns = rollcall__clock_monotonic_ns();
    rollcall__park_wait(&park, seen, timeout_ms);
    return rollcall__clock_monotonic_ns() - begin_ns;
}

/* Without the clamp ck sleeps 128 ms.  The best of five tries: a busy machine delays one, not all.
 */
TEST(park, a_timeout_of_20_ms_takes_20_ms)
{
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        const int64_t took_ns = wait_ns(20);
        CHECK(took_ns > 19000000);
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    CHECK(best_ns < 40000000);
}

TEST(park, a_wake_between_prepare_and_wait_is_not_lost)
{
    struct rollcall__park park;
    rollcall__park_init(&park);
    const uint32_t seen = rollcall__park_prepare(&park);
    rollcall__park_wake(&park);
    rollcall__park_wait(&park, seen, -1); /* would sleep for ever */
    CHECK(rollcall__park_prepare(&park) != seen);
}

static void *wake(void *park)
{
    rollcall__park_wake(park);
    return NULL;
}

TEST(park, a_sleeper_is_woken_by_another_thread)
{
    for (int i = 0; i < 200; i++) {
        struct rollcall__park park;
        pthread_t thread;
        rollcall__park_init(&park);
        const uint32_t seen = rollcall__park_prepare(&park);
        CHECK_INT(pthread_create(&thread, NULL, wake, &park), 0);
        rollcall__park_wait(&park, seen, -1);
        pthread_join(thread, NULL);
    }
}

TEST(park, a_wake_from_the_past_does_not_end_a_later_wait)
{
    struct rollcall__park park;
    rollcall__park_init(&park);
    rollcall__park_wake(&park);
    const uint32_t seen = rollcall__park_prepare(&park);
    const int64_t begin_ns = rollcall__clock_monotonic_ns();
    rollcall__park_wait(&park, seen, 5);
    CHECK(rollcall__clock_monotonic_ns() - begin_ns > 4000000);
}

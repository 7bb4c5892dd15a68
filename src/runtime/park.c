#include "runtime/park.h"

#include "base/clock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static int read_clock(const struct ck_ec_ops *ops, struct timespec *now)
{
    (void)ops;
    *now = to_timespec(rollcall__clock_monotonic_ns());
    return 0;
}

/* An absolute deadline on the monotonic clock needs WAIT_BITSET; a bit set of 0 would be refused
 * and turn the sleep into a busy loop. */
static void futex_wait(const struct ck_ec_wait_state *state, const uint32_t *address,
                       uint32_t expected, const struct timespec *deadline)
{
    (void)state;
    syscall(SYS_futex, address, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, deadline, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake(const struct ck_ec_ops *ops, const uint32_t *address)
{
    (void)ops;
    syscall(SYS_futex, address, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
}

static const struct ck_ec_ops OPS = {
    .gettime = read_clock,
    .wait32 = futex_wait,
    .wake32 = futex_wake,
    .busy_loop_iter = 1,
    .initial_wait_ns = 4000000000, /* one futex wait per park, two if it lasts; by default 4 or 5 */
};
static const struct ck_ec_mode MANY_WAKERS = {.ops = &OPS, .single_producer = false};

/* ck grows its intermediate sleeps by a factor of eight without looking at the deadline: asked for
 * 20 ms it sleeps 128.  This predicate runs before each sleep and clamps it. */
static int clamp(const struct ck_ec_wait_state *state, struct timespec *deadline)
{
    const struct timespec *limit = state->data;
    if (limit != NULL &&
        (deadline->tv_sec > limit->tv_sec ||
         (deadline->tv_sec == limit->tv_sec && deadline->tv_nsec > limit->tv_nsec))) {
        *deadline = *limit;
    }
    return 0;
}

void rollcall__park_init(struct rollcall__park *park)
{
    ck_ec32_init(&park->count, 0);
}

uint32_t rollcall__park_prepare(const struct rollcall__park *park)
{
    return ck_ec32_value(&park->count);
}

void rollcall__park_wait(struct rollcall__park *park, uint32_t seen, int64_t timeout_ms)
{
    if (timeout_ms < 0) {
        (void)ck_ec32_wait_pred(&park->count, &MANY_WAKERS, seen, clamp, NULL, NULL);
        return;
    }
    struct timespec deadline = to_timespec(rollcall__clock_monotonic_ns() + timeout_ms * 1000000);
    (void)ck_ec32_wait_pred(&park->count, &MANY_WAKERS, seen, clamp, &deadline, &deadline);
}

void rollcall__park_wake(struct rollcall__park *park)
{
    ck_ec32_inc(&park->count, &MANY_WAKERS);
}

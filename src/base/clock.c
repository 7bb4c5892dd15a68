#include "base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail: these clocks exist on every Linux we run on */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rollcall__clock_boot_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t rollcall__clock_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t rollcall__clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

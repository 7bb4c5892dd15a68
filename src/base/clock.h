/* base/clock.h - the only place that reads clocks. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds that count suspended time and never step: CLOCK_BOOTTIME. */
int64_t rollcall__clock_boot_ms(void);
/* Nanoseconds for measuring short durations: CLOCK_MONOTONIC. */
int64_t rollcall__clock_monotonic_ns(void);
/* Milliseconds since 1970, for people: CLOCK_REALTIME. */
int64_t rollcall__clock_wall_ms(void);

#endif /* BASE_CLOCK_H */

/* bench/support/measure.h - what benchmarks read of a process, and where they run.  Linux only. */
#ifndef BENCH_SUPPORT_MEASURE_H
#define BENCH_SUPPORT_MEASURE_H

#include <stdint.h>
#include <sys/types.h>

int64_t measure_rss_bytes(pid_t pid); /* resident memory */
int64_t measure_cpu_ms(pid_t pid);    /* user and system time so far, of all its threads */
int64_t measure_cpu_ns(pid_t pid);    /* the same, as the scheduler counts it: no ticks */
/* For how long its threads, together, were ready to run and had no core, so far. */
int64_t measure_core_wait_us(pid_t pid);
/* Resident memory without what it shares with other processes by mapping a file in memory. */
int64_t measure_own_rss_bytes(pid_t pid);
/* Prints `"etcd":"X.Y.Z"` for a JSON line, of the etcd that the fixtures start.  Main thread. */
void measure_print_etcd(void);
/* Prints `"host":"...","cores":N,"library":"X.Y.Z"` for a JSON line. */
void measure_print_host(void);

#endif /* BENCH_SUPPORT_MEASURE_H */

/*
 * bench/support/orphans.h - processes that a child of ours has started, and left behind when it
 * ended.  Linux only.
 *
 * Threads: the main thread.
 */
#ifndef BENCH_SUPPORT_ORPHANS_H
#define BENCH_SUPPORT_ORPHANS_H

#include <stdint.h>
#include <sys/types.h>

/* From now on they become our children, so that they can be found. */
void orphans_adopt(void);

/* Waits until no child is left but `spared`, of which process.h may know nothing any more.  Those
 * that have not ended by themselves after patience_ms are killed; returns how many. */
int orphans_await(pid_t spared, int64_t patience_ms);

#endif /* BENCH_SUPPORT_ORPHANS_H */

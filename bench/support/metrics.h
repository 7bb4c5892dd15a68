/*
 * bench/support/metrics.h - what an etcd counts of itself, as it says under /metrics.
 *
 * Threads: any.
 */
#ifndef BENCH_SUPPORT_METRICS_H
#define BENCH_SUPPORT_METRICS_H

#include <stdint.h>

/* All of it as text, which is the caller's to free: "" when etcd does not answer within 5 s; NULL:
 * no memory.  endpoint: "127.0.0.1:PORT". */
char *metrics_get(const char *endpoint);

/* Of a name without labels; -1: there is none.  text: NULL: none. */
int64_t metrics_value(const char *text, const char *name);

/* The sum over all label sets of a name, of which the labels hold `part` and not `without`: such as
 * "grpc_method=\"Txn\"".  NULL: whatever they hold. */
int64_t metrics_sum(const char *text, const char *name, const char *part, const char *without);

#endif /* BENCH_SUPPORT_METRICS_H */

/*
 * bench/support/meter.h - how many renewals a client sends in each tenth of a second, counted by a
 * proxy in a process of its own, so that counting costs what is measured nothing but a hop.
 *
 * Threads: create it before any other thread is started (it forks); then any thread may ask.
 * Errors:  NULL, after one sentence on stderr.
 */
#ifndef BENCH_SUPPORT_METER_H
#define BENCH_SUPPORT_METER_H

#include <stddef.h>
#include <stdint.h>

enum { METER_STEP_MS = 100 };

struct meter;

/* server: "127.0.0.1:PORT". */
struct meter *meter_create(const char *server);
void meter_destroy(struct meter *meter); /* NULL: nothing */

const char *meter_endpoint(const struct meter *meter); /* "127.0.0.1:PORT" */

/* Whole steps between two times of process_now_ms; nothing is counted after a day. */
struct meter_rates {
    size_t steps;
    double mean;          /* requests in a step */
    uint32_t most, least; /* in the busiest, and in the quietest */
    size_t uneven;        /* steps with more than half as many again as the mean */
    size_t quiet;         /* the most in a row with less than a tenth of it */
};
struct meter_rates meter_rates(const struct meter *meter, int64_t from_ms, int64_t to_ms);

#endif /* BENCH_SUPPORT_METER_H */

/* bench/support/meter.c - see meter.h. */
#include "support/meter.h"

#include "support/process.h"
#include "support/proxy.h"
#include "support/renewals.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_MAX = 24 * 3600 * 1000 / METER_STEP_MS, ENDPOINT_BYTES = 32, START_MS = 10000 };

/* Shared between the two processes; only pages that are written exist. */
struct counts {
    int64_t began_ms;
    char endpoint[ENDPOINT_BYTES];
    atomic_uint sent[STEPS_MAX];
};

struct meter {
    struct counts *counts;
    pid_t pid;
};

static void tap(void *user, const struct proxy_bytes *bytes)
{
    struct counts *counts = user;
    const int64_t step = (bytes->at_ms - counts->began_ms) / METER_STEP_MS;
    if (bytes->from == PROXY_CLIENT && step < STEPS_MAX) {
        atomic_fetch_add_explicit(&counts->sent[step], (unsigned int)renewals_in(bytes),
                                  memory_order_relaxed);
    }
}

/* The other process: says so once the endpoint is there, and serves until it is killed. */
static _Noreturn void serve(struct counts *counts, const char *server, int ready_fd, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(1);
    }
    const struct proxy *proxy = proxy_create(server, tap, counts);
    if (proxy == NULL) {
        _exit(1);
    }
    snprintf(counts->endpoint, ENDPOINT_BYTES, "%s", proxy_endpoint(proxy));
    if (write(ready_fd, "", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

/* False: it has ended, or is not ready in time. */
static bool await_ready(int ready_fd)
{
    char byte;
    struct pollfd readable = {.fd = ready_fd, .events = POLLIN};
    return poll(&readable, 1, START_MS) == 1 && read(ready_fd, &byte, 1) == 1;
}

static bool start(struct meter *meter, const char *server)
{
    const pid_t parent = getpid();
    int ready[2];
    if (pipe(ready) != 0) {
        return false;
    }
    meter->pid = fork();
    if (meter->pid == 0) {
        close(ready[0]);
        serve(meter->counts, server, ready[1], parent);
    }
    close(ready[1]);
    const bool started = meter->pid > 0 && await_ready(ready[0]);
    close(ready[0]);
    return started;
}

struct meter *meter_create(const char *server)
{
    struct meter *meter = calloc(1, sizeof *meter);
    struct counts *counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (meter == NULL || counts == MAP_FAILED) {
        fprintf(stderr, "meter: no memory\n");
        free(meter);
        return NULL;
    }
    counts->began_ms = process_now_ms();
    meter->counts = counts;
    if (!start(meter, server)) {
        fprintf(stderr, "meter: cannot start\n");
        meter_destroy(meter);
        return NULL;
    }
    return meter;
}

void meter_destroy(struct meter *meter)
{
    if (meter == NULL) {
        return;
    }
    if (meter->pid > 0) {
        kill(meter->pid, SIGKILL);
        waitpid(meter->pid, NULL, 0);
    }
    munmap(meter->counts, sizeof *meter->counts);
    free(meter);
}

const char *meter_endpoint(const struct meter *meter)
{
    return meter->counts->endpoint;
}

static uint32_t sent_in(const struct meter *meter, int64_t step)
{
    return atomic_load_explicit(&meter->counts->sent[step], memory_order_relaxed);
}

struct meter_rates meter_rates(const struct meter *meter, int64_t from_ms, int64_t to_ms)
{
    const int64_t began_ms = meter->counts->began_ms;
    const int64_t first = (from_ms - began_ms + METER_STEP_MS - 1) / METER_STEP_MS;
    int64_t end = (to_ms - began_ms) / METER_STEP_MS;
    struct meter_rates rates = {.least = UINT32_MAX};
    uint64_t sum = 0;
    end = end < STEPS_MAX ? end : STEPS_MAX;
    for (int64_t i = first; i < end; i++) {
        const uint32_t sent = sent_in(meter, i);
        sum += sent;
        rates.most = sent > rates.most ? sent : rates.most;
        rates.least = sent < rates.least ? sent : rates.least;
        rates.steps++;
    }
    rates.mean = rates.steps > 0 ? (double)sum / (double)rates.steps : 0;
    for (int64_t i = first, quiet = 0; i < end; i++) {
        rates.uneven += 2 * sent_in(meter, i) > 3 * rates.mean;
        quiet = 10 * sent_in(meter, i) < rates.mean ? quiet + 1 : 0;
        rates.quiet = (size_t)quiet > rates.quiet ? (size_t)quiet : rates.quiet;
    }
    return rates;
}

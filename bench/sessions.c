/*
 * bench/sessions.c - many sessions in one process against a real etcd:
 *     sessions [COUNT [TTL_S [HOLD_S [own|shared [AT_ONCE]]]]]     (1000, 10, 100, own, COUNT)
 * Registers COUNT sessions, AT_ONCE of them at a time, each with its own lease or all under one,
 * lets them settle for a TTL, holds them for HOLD_S, closes them, and prints one JSON line: how
 * many stayed ACTIVE all the time, how even the pace of renewals is, what a session costs in memory
 * and CPU, here and in etcd.  Exit 1 if one was ever SUSPECT or lost, or is not in etcd at the end.
 */
#include "support/etcd_fixture.h"
#include "support/measure.h"
#include "support/meter.h"
#include "support/process.h"

#include <rollcall/session.h>
#include <rollcall/watch.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPEN_TIMEOUT_MS = 60000, COUNT_MAX = 100000, TOLD_MAX = 5 };

static atomic_int suspect_events, lost_events, other_events;
static atomic_llong warnings;

/* Registering once is the only change of state there should be. */
static void on_session_event(void *user, const struct rollcall_session_event *event)
{
    (void)user;
    if (event->state == ROLLCALL_SESSION_SUSPECT) {
        atomic_fetch_add(&suspect_events, 1);
    } else if (event->state == ROLLCALL_SESSION_LOST) {
        if (atomic_fetch_add(&lost_events, 1) < TOLD_MAX) {
            fprintf(stderr, "sessions: LOST: %s\n", event->reason);
        }
    } else if (event->state == ROLLCALL_SESSION_FAILED) {
        atomic_fetch_add(&other_events, 1);
    }
}

static void on_list_event(void *count, const struct rollcall_watch_event *event)
{
    *(int *)count += event->type == ROLLCALL_WATCH_SESSION;
}

/* Counted, for there may be one of each session. */
static void on_log(void *user, enum rollcall_log_level level, const char *line)
{
    (void)user;
    if (level == ROLLCALL_ERROR || atomic_fetch_add(&warnings, 1) < TOLD_MAX) {
        fprintf(stderr, "%s\n", line);
    }
}

struct bench {
    int count, at_once;
    int64_t ttl_s, hold_s;
    bool shared;
    struct etcd_fixture *server;
    struct meter *meter;
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct rollcall_session **sessions;
    /* What was measured: */
    int64_t register_ms, close_ms, held_ms, rss_bytes, rss_grown_bytes, session_bytes;
    int64_t cpu_ms, etcd_cpu_ms, close_cpu_ms;
    int64_t pause_ms;
    int early_events, listed;
    struct meter_rates rates;
};

static int events(void)
{
    return atomic_load(&suspect_events) + atomic_load(&lost_events) + atomic_load(&other_events);
}

/* False, after the error. */
static bool await(struct bench *bench, int i)
{
    struct rollcall_error error;
    if (rollcall_session_wait(bench->sessions[i], OPEN_TIMEOUT_MS, &error) != ROLLCALL_OK) {
        fprintf(stderr, "sessions: %d: %s\n", i, error.text);
        return false;
    }
    return true;
}

static bool open_all(struct bench *bench)
{
    struct rollcall_error error;
    for (int i = 0; i < bench->count; i++) {
        if (i >= bench->at_once && !await(bench, i - bench->at_once)) {
            return false;
        }
        if (rollcall_session_start(
                bench->etcd,
                ROLLCALL_SESSION_OPTIONS(.role = "node", .address = "127.0.0.1:1",
                                         .ttl_s = bench->ttl_s, .share_lease = bench->shared,
                                         .connect_timeout_ms = OPEN_TIMEOUT_MS,
                                         .on_event = on_session_event),
                &bench->sessions[i], &error) != ROLLCALL_OK) {
            fprintf(stderr, "sessions: %s\n", error.text);
            return false;
        }
    }
    for (int i = 0; i < bench->count; i++) {
        if (!await(bench, i)) {
            return false;
        }
    }
    return true;
}

/* Returns by how much it slept too long at worst: what the machine, or whoever has it, held up all
 * that runs here. */
static int64_t sleep_lightly(int64_t duration_ms)
{
    enum { NAP_MS = 10 };
    const int64_t until_ms = process_now_ms() + duration_ms;
    int64_t worst_ms = 0;
    for (int64_t now_ms = process_now_ms(), before_ms; now_ms < until_ms;) {
        before_ms = now_ms;
        process_sleep_ms(NAP_MS);
        now_ms = process_now_ms();
        worst_ms = now_ms - before_ms - NAP_MS > worst_ms ? now_ms - before_ms - NAP_MS : worst_ms;
    }
    return worst_ms;
}

/* What they cost while nothing happens to them. */
static void hold(struct bench *bench)
{
    const pid_t etcd = etcd_fixture_pid(bench->server);
    process_sleep_ms(bench->ttl_s * 1000); /* those that began together drift apart */
    const int64_t cpu_before_ms = measure_cpu_ms(getpid()), etcd_before_ms = measure_cpu_ms(etcd);
    const int64_t rss_before = measure_rss_bytes(getpid()), from_ms = process_now_ms();
    bench->early_events = events();
    bench->pause_ms = sleep_lightly(bench->hold_s * 1000);
    bench->held_ms = process_now_ms() - from_ms;
    bench->cpu_ms = measure_cpu_ms(getpid()) - cpu_before_ms;
    bench->etcd_cpu_ms = measure_cpu_ms(etcd) - etcd_before_ms;
    bench->rss_grown_bytes = measure_rss_bytes(getpid()) - rss_before;
    bench->rates = meter_rates(bench->meter, from_ms, from_ms + bench->held_ms);
}

static void close_all(struct bench *bench)
{
    const int64_t from_ms = process_now_ms(), cpu_before_ms = measure_cpu_ms(getpid());
    for (int i = 0; i < bench->count; i++) {
        if (bench->sessions[i] != NULL) {
            rollcall_session_stop(bench->sessions[i]);
        }
    }
    for (int i = 0; i < bench->count; i++) {
        rollcall_session_close(bench->sessions[i], OPEN_TIMEOUT_MS);
    }
    bench->close_ms = process_now_ms() - from_ms;
    bench->close_cpu_ms = measure_cpu_ms(getpid()) - cpu_before_ms;
}

static void print(const struct bench *bench)
{
    printf("{\"event\":\"bench\",\"name\":\"sessions\",\"sessions\":%d,\"lease\":\"%s\","
           "\"ttl_s\":%" PRId64 ",\"at_once\":%d,\"held_ms\":%" PRId64 ",\"alive\":%d,",
           bench->count, bench->shared ? "shared" : "own", bench->ttl_s, bench->at_once,
           bench->held_ms, bench->listed);
    printf("\"suspect_events\":%d,\"lost_events\":%d,\"of_these_before_hold\":%d,"
           "\"warnings\":%lld,",
           atomic_load(&suspect_events), atomic_load(&lost_events), bench->early_events,
           atomic_load(&warnings));
    printf("\"renewals_per_100_ms\":{\"mean\":%.1f,\"most\":%" PRIu32 ",\"least\":%" PRIu32
           ",\"most_of_mean\":%.3f,\"steps\":%zu,\"steps_over_1_5_of_mean\":%zu,\"quiet_ms\":%zu},"
           "\"longest_pause_ms\":%" PRId64 ",",
           bench->rates.mean, bench->rates.most, bench->rates.least,
           bench->rates.mean > 0 ? bench->rates.most / bench->rates.mean : 0.0, bench->rates.steps,
           bench->rates.uneven, bench->rates.quiet * METER_STEP_MS, bench->pause_ms);
    printf("\"register_all_ms\":%" PRId64 ",\"close_all_ms\":%" PRId64 ",\"close_cpu_ms\":%" PRId64
           ",\"rss_bytes\":%" PRId64 ",\"rss_per_session_bytes\":%" PRId64
           ",\"rss_grown_in_hold_bytes\":%" PRId64 ",",
           bench->register_ms, bench->close_ms, bench->close_cpu_ms, bench->rss_bytes,
           bench->session_bytes, bench->rss_grown_bytes);
    printf("\"cpu_percent_of_a_core\":%.2f,\"etcd_cpu_percent_of_a_core\":%.2f,",
           100.0 * (double)bench->cpu_ms / (double)bench->held_ms,
           100.0 * (double)bench->etcd_cpu_ms / (double)bench->held_ms);
    measure_print_etcd();
    printf(",");
    measure_print_host();
    printf("}\n");
}

static int run(struct bench *bench)
{
    const int64_t rss_before = measure_rss_bytes(getpid()), opened_at_ms = process_now_ms();
    if (!open_all(bench)) {
        close_all(bench);
        return 1;
    }
    bench->register_ms = process_now_ms() - opened_at_ms;
    bench->rss_bytes = measure_rss_bytes(getpid());
    bench->session_bytes = (bench->rss_bytes - rss_before) / bench->count;
    hold(bench);
    ROLLCALL_DROP(rollcall_list(bench->etcd,
                                ROLLCALL_WATCH_OPTIONS(.role = "node", .on_event = on_list_event,
                                                       .user = &bench->listed),
                                OPEN_TIMEOUT_MS, NULL),
                  "the count shows it");
    const int changes = events();
    close_all(bench);
    print(bench);
    return bench->listed == bench->count && changes == 0 ? 0 : 1;
}

static bool start(struct bench *bench)
{
    struct rollcall_error error;
    bench->server = etcd_fixture_create(NULL);
    bench->sessions = calloc((size_t)bench->count, sizeof(struct rollcall_session *));
    if (bench->server == NULL || bench->sessions == NULL ||
        (bench->meter = meter_create(etcd_fixture_endpoint(bench->server))) == NULL ||
        rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_WARN, .log = on_log),
                                &bench->runtime, &error) != ROLLCALL_OK ||
        rollcall_etcd_connect(bench->runtime,
                              ROLLCALL_ETCD_OPTIONS(.endpoints = meter_endpoint(bench->meter)),
                              &bench->etcd, &error) != ROLLCALL_OK) {
        fprintf(stderr, "sessions: cannot start\n");
        return false;
    }
    return true;
}

static int64_t argument(int argc, char **argv, int i, int64_t usual)
{
    return argc > i ? strtoll(argv[i], NULL, 10) : usual;
}

int main(int argc, char **argv)
{
    const char *lease = argc > 4 ? argv[4] : "own";
    const int64_t count = argument(argc, argv, 1, 1000);
    const int64_t at_once = argument(argc, argv, 5, count);
    struct bench bench = {.count = (int)count,
                          .at_once = (int)at_once,
                          .ttl_s = argument(argc, argv, 2, 10),
                          .hold_s = argument(argc, argv, 3, 100),
                          .shared = strcmp(lease, "shared") == 0};
    if (count < 1 || count > COUNT_MAX || bench.ttl_s < 2 || bench.hold_s < 1 || at_once < 1 ||
        at_once > count || (!bench.shared && strcmp(lease, "own") != 0)) {
        fprintf(stderr, "usage: sessions [COUNT [TTL_S [HOLD_S [own|shared [AT_ONCE]]]]]\n");
        return 2;
    }
    const int status = start(&bench) ? run(&bench) : 1;
    rollcall_etcd_close(bench.etcd);
    rollcall_runtime_destroy(bench.runtime);
    meter_destroy(bench.meter);
    etcd_fixture_destroy(bench.server);
    free(bench.sessions);
    return status;
}

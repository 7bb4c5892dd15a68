/*
 * bench/sessions.c - many sessions in one process against a real etcd, each with its own lease:
 *     sessions [COUNT [TTL_S [TTLS]]]        (1000, 10, 10)
 * Registers COUNT sessions, holds them for TTLS times TTL_S, and prints one JSON line: how many
 * stayed ACTIVE all the time, what a session costs in memory and CPU.  Exit 1 if one was ever
 * SUSPECT or lost, or is not in etcd at the end.
 */
#include "support/etcd_fixture.h"
#include "support/measure.h"
#include "support/process.h"

#include <rollcall/session.h>
#include <rollcall/watch.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPEN_TIMEOUT_MS = 60000, COUNT_MAX = 100000 };

static atomic_int active_events, other_events;

/* Registering once is the only change of state there should be. */
static void on_session_event(void *user, const struct rollcall_session_event *event)
{
    (void)user;
    atomic_fetch_add(event->state == ROLLCALL_SESSION_ACTIVE ? &active_events : &other_events, 1);
}

static void on_list_event(void *count, const struct rollcall_watch_event *event)
{
    *(int *)count += event->type == ROLLCALL_WATCH_SESSION;
}

static int open_all(struct rollcall_etcd *etcd, struct rollcall_session **sessions, int count,
                    int64_t ttl_s)
{
    struct rollcall_error error;
    for (int i = 0; i < count; i++) {
        if (rollcall_session_start(
                etcd,
                ROLLCALL_SESSION_OPTIONS(.role = "node", .address = "127.0.0.1:1", .ttl_s = ttl_s,
                                         .on_event = on_session_event),
                &sessions[i], &error) != ROLLCALL_OK) {
            fprintf(stderr, "sessions: %s\n", error.text);
            return i;
        }
    }
    for (int i = 0; i < count; i++) {
        if (rollcall_session_wait(sessions[i], OPEN_TIMEOUT_MS, &error) != ROLLCALL_OK) {
            fprintf(stderr, "sessions: %s\n", error.text);
            return i;
        }
    }
    return count;
}

static int run(struct rollcall_etcd *etcd, int count, int64_t ttl_s, int64_t ttls)
{
    struct rollcall_session **sessions = calloc((size_t)count, sizeof(*sessions));
    const int64_t rss_before = measure_rss_bytes(getpid());
    const int64_t opened_at_ms = process_now_ms();
    if (sessions == NULL || open_all(etcd, sessions, count, ttl_s) != count) {
        return 1;
    }
    const int64_t open_ms = process_now_ms() - opened_at_ms;
    const int64_t rss_after = measure_rss_bytes(getpid());
    const int64_t cpu_before_ms = measure_cpu_ms(getpid()), held_at_ms = process_now_ms();
    int listed = 0;
    process_sleep_ms(ttls * ttl_s * 1000);
    const int64_t held_ms = process_now_ms() - held_at_ms;
    const int64_t cpu_ms = measure_cpu_ms(getpid()) - cpu_before_ms;
    const int others = atomic_load(&other_events);
    ROLLCALL_DROP(rollcall_list(etcd,
                                ROLLCALL_WATCH_OPTIONS(.role = "node", .on_event = on_list_event,
                                                       .user = &listed),
                                OPEN_TIMEOUT_MS, NULL),
                  "the count shows it");
    printf("{\"event\":\"bench\",\"name\":\"sessions\",\"sessions\":%d,\"ttl_s\":%" PRId64
           ",\"held_ms\":%" PRId64 ",\"alive\":%d,\"suspect_or_lost_events\":%d,"
           "\"register_all_ms\":%" PRId64 ",\"rss_bytes\":%" PRId64
           ",\"rss_per_session_bytes\":%" PRId64 ",\"cpu_percent_of_a_core\":%.2f,",
           count, ttl_s, held_ms, listed, others, open_ms, rss_after,
           (rss_after - rss_before) / count, 100.0 * (double)cpu_ms / (double)held_ms);
    measure_print_host();
    printf("}\n");
    for (int i = 0; i < count; i++) {
        rollcall_session_stop(sessions[i]);
    }
    for (int i = 0; i < count; i++) {
        rollcall_session_close(sessions[i], OPEN_TIMEOUT_MS);
    }
    free(sessions);
    return listed == count && others == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const long count = argc > 1 ? strtol(argv[1], NULL, 10) : 1000;
    const long ttl_s = argc > 2 ? strtol(argv[2], NULL, 10) : 10;
    const long ttls = argc > 3 ? strtol(argv[3], NULL, 10) : 10;
    struct rollcall_error error;
    struct rollcall_runtime *rt;
    struct rollcall_etcd *etcd;
    if (count < 1 || count > COUNT_MAX || ttl_s < 2 || ttls < 1) {
        fprintf(stderr, "usage: sessions [COUNT [TTL_S [TTLS]]]\n");
        return 2;
    }
    struct etcd_fixture *server = etcd_fixture_create(NULL);
    if (server == NULL ||
        rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_WARN), &rt,
                                &error) != ROLLCALL_OK ||
        rollcall_etcd_connect(rt, ROLLCALL_ETCD_OPTIONS(.endpoints = etcd_fixture_endpoint(server)),
                              &etcd, &error) != ROLLCALL_OK) {
        fprintf(stderr, "sessions: cannot start\n");
        return 1;
    }
    const int status = run(etcd, (int)count, ttl_s, ttls);
    rollcall_etcd_close(etcd);
    rollcall_runtime_destroy(rt);
    etcd_fixture_destroy(server);
    return status;
}

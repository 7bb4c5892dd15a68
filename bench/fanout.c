/*
 * bench/fanout.c - what it costs to tell W watchers of one role what happens to its sessions:
 *     fanout PEER WATCHERS SOURCE RATE EVENTS [WINDOW_S [STUCK [LEAST_EVENTS]]]
 * PEER: "callback", or another way of delivery of ours (fanout_client), or the path of a built
 * bench/peers/clientv3.  SOURCE: "etcd", or "canned" for a server that costs next to nothing
 * (fanout_server).  RATE: responses a second, or 0 for flat-out; each of EVENTS events.  STUCK: so
 * many of WATCHERS never read; by "queue" they read in the end, and must come to the true state.
 * The window goes on until those that read have LEAST_EVENTS.  The client is a process of its own,
 * and so is the source. Prints one JSON line.  Exit 1 when a watcher lost an event, got it twice or
 * out of order.
 */
#include "support/etcd_fixture.h"
#include "support/measure.h"
#include "support/metrics.h"
#include "support/process.h"
#include "support/puts.h"
#include "support/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    WATCHERS_MAX = 100000,
    EVENTS_MAX = 100,
    SLOTS = 1 << 20, /* an even number */
    SAMPLE_SHIFT_TXN = 4,
    LANE_SHIFT_ONE = 4, /* flat-out, so that etcd is busy; with transactions fewer will do */
    LANE_SHIFT_TXN = 2,
    LEAD_MAX = 65536, /* of the writer, in events; fewer when many watchers multiply them */
    LEAD_MIN = 64,
    LEAD_DELIVERIES_ETCD = 300000, /* what is on its way in etcd takes long to drain */
    LEAD_DELIVERIES_CANNED = 1000000,
    WARM_UP_MS = 1000,
    START_MS = 180000,
    STALL_MS = 20000,
    LOOK_MS = 10,
    SAMPLES = 20, /* of the memory, if some never read */
    LEAST_MS = 300000,
    FOLDER_BYTES = 4096,
    NAME_BYTES = 4200
};

struct plan {
    const char *peer; /* a way of ours, or the other's program */
    bool is_ours, canned;
    int64_t watchers, rate_per_s, events, window_s, stuck, least_events;
};

/* What is read at the start of the window, and at its end. */
struct reading {
    int64_t at_ns, delivered, client_cpu_ns, source_cpu_ns, rss_bytes;
};

struct latencies {
    size_t count;
    double p50_us, p99_us, max_us;
};

struct bench {
    struct plan plan;
    char folder[FOLDER_BYTES], tally_path[64];
    struct tally tally;
    struct etcd_fixture *etcd; /* NULL: canned */
    struct process server, client;
    const char *endpoint;
    char server_endpoint[64], version[32];
    struct puts *puts;
    struct reading from, to;
    int64_t rss_most_bytes;
    int64_t watchers_of_etcd, streams_of_etcd; /* -1: not known */
    struct {
        int64_t events, rss_bytes;
    } samples[SAMPLES];
    int sample_count;
    bool complete;
};

static bool fail(const char *what)
{
    fprintf(stderr, "fanout: %s\n", what);
    return false;
}

/* ---- what etcd counts itself ---- */

static void ask_etcd(struct bench *bench)
{
    char *metrics = bench->etcd == NULL ? NULL : metrics_get(bench->endpoint);
    bench->watchers_of_etcd = metrics_value(metrics, "etcd_debugging_mvcc_watcher_total");
    bench->streams_of_etcd = metrics_value(metrics, "etcd_debugging_mvcc_watch_stream_total");
    free(metrics);
}

/* ---- the three processes ---- */

/* A file in memory, which children open by its name in /proc. */
static bool create_tally(struct bench *bench)
{
    const struct plan *plan = &bench->plan;
    const bool flat_out = plan->rate_per_s == 0;
    struct tally_head head = {.watchers = plan->watchers,
                              .slots = SLOTS,
                              .stuck = plan->stuck,
                              .rate_per_s = plan->rate_per_s,
                              .events_per_response = plan->events,
                              .fed = -1};
    if (flat_out && !plan->canned) {
        head.lane_shift = plan->events == 1 ? LANE_SHIFT_ONE : LANE_SHIFT_TXN;
    }
    if (flat_out) {
        head.sample_shift = plan->canned        ? TALLY_SHIFT_NEVER
                            : plan->events == 1 ? 0
                                                : SAMPLE_SHIFT_TXN;
    }
    head.lead = (plan->canned ? LEAD_DELIVERIES_CANNED : LEAD_DELIVERIES_ETCD) / plan->watchers;
    head.lead = head.lead < LEAD_MIN ? LEAD_MIN : head.lead > LEAD_MAX ? LEAD_MAX : head.lead;
    if (plan->is_ours && strcmp(plan->peer, "queue") == 0 && head.lead > tally_slices_each(&head)) {
        head.lead = tally_slices_each(&head); /* or what waits for the loop would be a lag */
    }
    if (head.lead < 2 * plan->events << head.lane_shift) {
        head.lead = 2 * plan->events << head.lane_shift;
    }
    const int file = memfd_create("fanout", MFD_CLOEXEC);
    snprintf(bench->tally_path, sizeof bench->tally_path, "/proc/%d/fd/%d", (int)getpid(), file);
    return file >= 0 && tally_create(&bench->tally, bench->tally_path, &head);
}

static bool start_source(struct bench *bench)
{
    char program[NAME_BYTES];
    if (!bench->plan.canned) {
        bench->etcd = etcd_fixture_create(NULL);
        bench->endpoint = bench->etcd == NULL ? NULL : etcd_fixture_endpoint(bench->etcd);
        return bench->etcd != NULL;
    }
    snprintf(program, sizeof program, "%s/fanout_server", bench->folder);
    const char *const arguments[] = {program, bench->tally_path, NULL};
    bench->endpoint = bench->server_endpoint;
    return process_start(&bench->server, &(struct process_options){.arguments = arguments}) &&
           process_wait_for(&bench->server, "\n", START_MS) &&
           sscanf(bench->server.out.data, "ready %63s", bench->server_endpoint) == 1;
}

static bool start_client(struct bench *bench)
{
    char program[NAME_BYTES], watchers[16];
    const struct plan *plan = &bench->plan;
    snprintf(program, sizeof program, "%s/fanout_client", bench->folder);
    snprintf(watchers, sizeof watchers, "%" PRId64, plan->watchers);
    const char *const ours[] = {program,  bench->tally_path, bench->endpoint,
                                watchers, plan->peer,        NULL};
    const char *const theirs[] = {plan->peer,      "fanout", bench->tally_path,
                                  bench->endpoint, watchers, NULL};
    if (!process_start(&bench->client,
                       &(struct process_options){.arguments = plan->is_ours ? ours : theirs}) ||
        !process_wait_for(&bench->client, "\nready ", START_MS)) {
        return fail(bench->client.err.data == NULL ? "no client" : bench->client.err.data);
    }
    return sscanf(bench->client.out.data, "\nready %31s", bench->version) == 1;
}

/* ---- the run ---- */

static struct reading look(const struct bench *bench)
{
    const pid_t source = bench->etcd != NULL ? etcd_fixture_pid(bench->etcd) : bench->server.pid;
    return (struct reading){.delivered = tally_delivered(&bench->tally),
                            .client_cpu_ns = measure_cpu_ns(bench->client.pid),
                            .source_cpu_ns = measure_cpu_ns(source),
                            .rss_bytes = measure_own_rss_bytes(bench->client.pid),
                            .at_ns = tally_now_ns()};
}

static bool watch_memory(struct bench *bench, int64_t lasts_ms)
{
    const int64_t until_ms = process_now_ms() + lasts_ms;
    while (process_now_ms() < until_ms) {
        if (!process_running(&bench->client)) {
            return fail(bench->client.err.data);
        }
        const int64_t rss_bytes = measure_own_rss_bytes(bench->client.pid);
        bench->rss_most_bytes =
            rss_bytes > bench->rss_most_bytes ? rss_bytes : bench->rss_most_bytes;
        process_sleep_ms(LOOK_MS);
    }
    return true;
}

static int64_t events_so_far(const struct bench *bench)
{
    const int64_t readers = bench->plan.watchers - bench->plan.stuck;
    return readers == 0 ? INT64_MAX
                        : (tally_delivered(&bench->tally) - bench->from.delivered) / readers;
}

static void take_sample(struct bench *bench)
{
    if (bench->plan.stuck > 0 && bench->sample_count < SAMPLES) {
        bench->samples[bench->sample_count].events = events_so_far(bench);
        bench->samples[bench->sample_count++].rss_bytes = measure_own_rss_bytes(bench->client.pid);
    }
}

/* The window: so long, and so many events. */
static bool watch_window(struct bench *bench)
{
    const struct plan *plan = &bench->plan;
    const int64_t deadline_ms = process_now_ms() + LEAST_MS;
    for (int i = 0; i < SAMPLES; i++) {
        if (!watch_memory(bench, plan->window_s * 1000 / SAMPLES)) {
            return false;
        }
        while (events_so_far(bench) < plan->least_events * (i + 1) / SAMPLES) {
            if (process_now_ms() > deadline_ms) {
                return fail("the events do not come in time");
            }
            if (!watch_memory(bench, LOOK_MS)) {
                return false;
            }
        }
        take_sample(bench);
    }
    return true;
}

/* Those that never read do so now; by another way of delivery they cannot. */
static bool read_again(struct bench *bench)
{
    struct tally_head *head = bench->tally.head;
    const int64_t deadline_ms = process_now_ms() + START_MS;
    if (!bench->plan.is_ours || strcmp(bench->plan.peer, "queue") != 0 || bench->plan.stuck == 0) {
        return true;
    }
    atomic_store(&head->read_again, 1);
    while (!atomic_load(&head->again_done)) {
        if (process_now_ms() > deadline_ms || !process_running(&bench->client)) {
            return fail(bench->client.err.data == NULL ? "those that never read do not end"
                                                       : bench->client.err.data);
        }
        process_sleep_ms(LOOK_MS);
    }
    return atomic_load(&head->converged) == bench->plan.stuck ||
           fail("one that never read has not come to the true state");
}

static bool start_feed(struct bench *bench)
{
    if (bench->plan.canned) {
        atomic_store(&bench->tally.head->started, 1);
        return true;
    }
    bench->puts = puts_start(bench->endpoint, &bench->tally);
    return bench->puts != NULL;
}

static bool stop_feed(struct bench *bench, int64_t places[TALLY_LANES_MAX])
{
    const int64_t deadline_ms = process_now_ms() + START_MS;
    if (!bench->plan.canned) {
        struct puts *puts = bench->puts;
        bench->puts = NULL;
        return puts_stop(puts, places);
    }
    atomic_store(&bench->tally.head->stopped, 1);
    while (atomic_load(&bench->tally.head->fed) < 0) {
        if (process_now_ms() > deadline_ms) {
            return fail("the canned server does not stop");
        }
        process_sleep_ms(1);
    }
    places[0] = atomic_load(&bench->tally.head->fed);
    return true;
}

/* Until every watcher that reads has all there is.  False: nothing has come for too long. */
static bool drain(struct bench *bench, const int64_t *places)
{
    int64_t delivered = 0, deadline_ms = 0;
    while (!tally_complete(&bench->tally, places)) {
        const int64_t now_ms = process_now_ms(), so_far = tally_delivered(&bench->tally);
        if (so_far != delivered || deadline_ms == 0) {
            delivered = so_far;
            deadline_ms = now_ms + STALL_MS;
        } else if (now_ms > deadline_ms) {
            return fail("a watcher does not get all events");
        }
        if (!watch_memory(bench, 1)) {
            return false;
        }
    }
    return true;
}

/* The window ends when the last watcher has the last event: what is on its way belongs to it. */
static bool play(struct bench *bench)
{
    int64_t places[TALLY_LANES_MAX] = {0};
    ask_etcd(bench);
    if (!start_feed(bench) || !watch_memory(bench, WARM_UP_MS)) {
        return false;
    }
    bench->from = look(bench);
    bench->rss_most_bytes = bench->from.rss_bytes;
    if (!watch_window(bench) || !stop_feed(bench, places)) {
        return false;
    }
    bench->complete = drain(bench, places);
    bench->to = look(bench);
    bench->complete = read_again(bench) && bench->complete;
    return true;
}

/* ---- what comes out ---- */

static int compare(const void *a, const void *b)
{
    const int64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static struct latencies latencies_of(const struct bench *bench)
{
    const struct tally *tally = &bench->tally;
    int64_t *all_ns = malloc(sizeof *all_ns * (size_t)tally->head->slots);
    struct latencies found = {0};
    for (int64_t i = 0; i < tally->head->slots && all_ns != NULL; i++) {
        const int64_t begun_ns = atomic_load(&tally->begun_ns[i]);
        const int64_t last_ns = atomic_load(&tally->last_ns[i]);
        if (begun_ns != 0 && last_ns >= bench->from.at_ns) {
            all_ns[found.count++] = last_ns - begun_ns;
        }
    }
    if (found.count > 0) {
        qsort(all_ns, found.count, sizeof *all_ns, compare);
        found.p50_us = (double)all_ns[found.count / 2] / 1000;
        found.p99_us = (double)all_ns[found.count * 99 / 100] / 1000;
        found.max_us = (double)all_ns[found.count - 1] / 1000;
    }
    free(all_ns);
    return found;
}

static void print_plan(const struct bench *bench)
{
    const struct plan *plan = &bench->plan;
    printf("{\"event\":\"bench\",\"name\":\"fanout\",\"peer\":\"%s\",\"delivery\":\"%s\","
           "\"version\":\"%s\",\"source\":\"%s\",\"watchers\":%" PRId64 ",\"stuck\":%" PRId64
           ",\"rate_per_s\":%" PRId64 ",\"events_per_response\":%" PRId64 ",",
           plan->is_ours ? "rollcall" : "clientv3", plan->is_ours ? plan->peer : "channel",
           bench->version, plan->canned ? "canned" : "etcd", plan->watchers, plan->stuck,
           plan->rate_per_s, plan->events);
}

static void print_costs(const struct bench *bench)
{
    const struct reading *from = &bench->from, *to = &bench->to;
    const double window_s = (double)(to->at_ns - from->at_ns) / 1e9;
    const double delivered = (double)(to->delivered - from->delivered);
    const double cpu_ns = (double)(to->client_cpu_ns - from->client_cpu_ns);
    const double readers = (double)(bench->plan.watchers - bench->plan.stuck);
    printf("\"window_s\":%.3f,\"deliveries\":%.0f,\"deliveries_per_s\":%.0f,\"events_per_s\":%.0f,"
           "\"client_cpu_percent\":%.2f,\"client_cpu_ns_per_delivery\":%.1f,"
           "\"client_cpu_ns_per_event\":%.1f,\"source_cpu_percent\":%.1f,",
           window_s, delivered, delivered / window_s,
           readers > 0 ? delivered / readers / window_s : 0, cpu_ns / 1e7 / window_s,
           delivered > 0 ? cpu_ns / delivered : 0, delivered > 0 ? cpu_ns / delivered * readers : 0,
           (double)(to->source_cpu_ns - from->source_cpu_ns) / 1e7 / window_s);
}

/* What became of those that never read. */
static void print_stuck(const struct bench *bench)
{
    const struct tally_head *head = bench->tally.head;
    printf("\"stuck_rss\":[");
    for (int i = 0; i < bench->sample_count; i++) {
        printf("%s[%" PRId64 ",%" PRId64 "]", i == 0 ? "" : ",", bench->samples[i].events,
               bench->samples[i].rss_bytes);
    }
    printf("],\"stuck_converged\":%" PRId64 ",\"stuck_read_events\":%" PRId64
           ",\"stuck_read_resyncs\":%" PRId64 ",\"stuck_read_ms\":%.2f"
           ",\"stuck_read_rss_bytes\":%" PRId64 ",",
           head->again_done ? (int64_t)head->converged : -1, (int64_t)head->again_events,
           (int64_t)head->again_resyncs, (double)head->again_us / 1000,
           (int64_t)head->again_rss_bytes);
}

static void print(const struct bench *bench)
{
    const struct tally_head *head = bench->tally.head;
    const struct latencies found = latencies_of(bench);
    const int64_t one = head->rss_one_bytes, ready = head->rss_ready_bytes;
    print_plan(bench);
    print_costs(bench);
    printf("\"latencies\":%zu,\"latency_p50_us\":%.1f,\"latency_p99_us\":%.1f,"
           "\"latency_max_us\":%.1f,\"rss_one_watcher_bytes\":%" PRId64
           ",\"rss_ready_bytes\":%" PRId64 ",\"rss_per_watcher_bytes\":%" PRId64
           ",\"rss_window_bytes\":%" PRId64 ",\"rss_most_bytes\":%" PRId64
           ",\"rss_end_bytes\":%" PRId64 ",",
           found.count, found.p50_us, found.p99_us, found.max_us, one, ready,
           bench->plan.watchers > 1 ? (ready - one) / (bench->plan.watchers - 1) : 0,
           bench->from.rss_bytes, bench->rss_most_bytes, bench->to.rss_bytes);
    printf("\"etcd_watchers\":%" PRId64 ",\"etcd_watch_streams\":%" PRId64 ",\"faults\":%" PRId64
           ",\"undecoded\":%" PRId64 ",\"resyncs\":%" PRId64 ",\"complete\":%s,",
           bench->watchers_of_etcd, bench->streams_of_etcd, (int64_t)head->faults,
           (int64_t)head->undecoded, (int64_t)head->resyncs, bench->complete ? "true" : "false");
    if (bench->plan.stuck > 0) {
        print_stuck(bench);
    }
    measure_print_etcd();
    printf(",");
    measure_print_host();
    printf("}\n");
}

static bool run(struct bench *bench)
{
    if (!create_tally(bench) || !start_source(bench) || !start_client(bench) || !play(bench)) {
        return false;
    }
    print(bench);
    tally_print_fault(&bench->tally);
    return bench->complete && bench->tally.head->faults == 0 && bench->tally.head->undecoded == 0;
}

static void close_all(struct bench *bench)
{
    int64_t places[TALLY_LANES_MAX];
    if (bench->puts != NULL) {
        puts_stop(bench->puts, places);
    }
    process_destroy(&bench->client);
    process_destroy(&bench->server);
    etcd_fixture_destroy(bench->etcd);
    tally_close(&bench->tally);
}

static bool find_folder(char folder[FOLDER_BYTES])
{
    const ssize_t size_bytes = readlink("/proc/self/exe", folder, FOLDER_BYTES - 1);
    if (size_bytes <= 0) {
        return fail("cannot tell where fanout_client is");
    }
    folder[size_bytes] = '\0';
    *strrchr(folder, '/') = '\0';
    return true;
}

static bool in(int64_t value, int64_t least, int64_t most)
{
    return value >= least && value <= most;
}

static bool read_plan(struct plan *plan, int argc, char **argv)
{
    if (argc < 6 || argc > 9 || (strcmp(argv[3], "etcd") != 0 && strcmp(argv[3], "canned") != 0)) {
        return false;
    }
    plan->peer = argv[1];
    plan->is_ours = strchr(argv[1], '/') == NULL;
    plan->watchers = strtoll(argv[2], NULL, 10);
    plan->canned = argv[3][0] == 'c';
    plan->rate_per_s = strtoll(argv[4], NULL, 10);
    plan->events = strtoll(argv[5], NULL, 10);
    plan->window_s = argc > 6 ? strtoll(argv[6], NULL, 10) : 5;
    plan->stuck = argc > 7 ? strtoll(argv[7], NULL, 10) : 0;
    plan->least_events = argc > 8 ? strtoll(argv[8], NULL, 10) : 0;
    return in(plan->watchers, 1, WATCHERS_MAX) && in(plan->rate_per_s, 0, 100000) &&
           in(plan->events, 1, EVENTS_MAX) && in(plan->window_s, 1, 3600) &&
           in(plan->stuck, 0, plan->watchers) && in(plan->least_events, 0, 100000000);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    if (!read_plan(&bench.plan, argc, argv)) {
        fprintf(stderr, "usage: fanout PEER WATCHERS etcd|canned RATE EVENTS "
                        "[WINDOW_S [STUCK [LEAST_EVENTS]]]\n");
        return 2;
    }
    const bool good = find_folder(bench.folder) && run(&bench);
    close_all(&bench);
    return good ? 0 : 1;
}

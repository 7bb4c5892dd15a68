/*
 * bench/fanout_client.c - our side of bench/fanout, which starts it:
 *     fanout_client TALLY ENDPOINT WATCHERS [DELIVERY]        (DELIVERY: see `ways`; its first)
 * Opens WATCHERS watches of one role over one connection, notes in the tally what reaches them, and
 * goes on until it is killed.  Exit 1 when a watch has failed.
 * By "queue" a thread with an epoll loop reads; a watcher that never reads has a queue of its own,
 * which is read again when the driver says so, and then what it has told is held against a list.
 */
#include "support/belief.h"
#include "support/measure.h"
#include "support/process.h"
#include "support/session_record.h"
#include "support/tally.h"

#include <rollcall/queue.h>
#include <rollcall/version.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { AT_ONCE = 256, CONTACT_MS = 60000, SETTLE_MS = 1000, LOOK_MS = 1, AGAIN_LOOK_MS = 20 };
enum { READ_SLICES = 256, STUCK_SLICES = 64, READ_AGAIN_MS = 60000 };

struct client;
struct watcher {
    struct client *client;
    struct rollcall_watch *watch;
    struct rollcall_queue *queue; /* its own, of one that never reads; NULL: none */
    int64_t number;
};

/* How events come to a watcher: one function opens a watch, and sees to what it brings. */
typedef enum rollcall_status open_fn(struct watcher *watcher, struct rollcall_error *error);

struct client {
    struct tally tally;
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct watcher *watchers;
    open_fn *open;
    struct rollcall_queue *queues[TALLY_QUEUES_MAX]; /* of those that read, by turns */
    int epoll;
    pthread_t reader;
    struct belief belief; /* of what a watcher that never read was told */
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "fanout_client: %s\n", what);
    _exit(1);
}

/* ---- what a watcher does with an event, however it came ---- */

static void take(struct watcher *watcher, const struct rollcall_watch_event *event)
{
    struct tally *tally = &watcher->client->tally;
    if (event->type == ROLLCALL_WATCH_UPDATE || event->type == ROLLCALL_WATCH_ADD) {
        if (watcher->number < tally->head->stuck) {
            for (;;) { /* it never reads on */
                pause();
            }
        }
        tally_note(tally, watcher->number, event->record->server_id - SESSION_RECORD_ID_0);
    } else if (event->type == ROLLCALL_WATCH_SNAPSHOT_END) {
        atomic_fetch_add(&tally->head->undecoded, (int64_t)event->skipped);
        atomic_fetch_add(&tally->head->ready, 1);
    } else if (event->type == ROLLCALL_WATCH_RESYNC_BEGIN) {
        fprintf(stderr, "fanout_client: resync: %s\n", event->reason);
        atomic_fetch_add(&tally->head->resyncs, 1);
    } else if (event->type == ROLLCALL_WATCH_FAILED) {
        fail(event->reason);
    }
}

/* ---- ways of delivery ---- */

static void on_event(void *user, const struct rollcall_watch_event *event)
{
    take(user, event);
}

static enum rollcall_status open_callback(struct watcher *watcher, struct rollcall_error *error)
{
    return rollcall_watch_open(watcher->client->etcd,
                               ROLLCALL_WATCH_OPTIONS(.root = SESSION_RECORD_ROOT,
                                                      .role = SESSION_RECORD_ROLE,
                                                      .connect_timeout_ms = CONTACT_MS,
                                                      .on_event = on_event, .user = watcher),
                               &watcher->watch, error);
}

static void on_events(void *user, const struct rollcall_watch_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        take(user, &events[i]);
    }
}

static enum rollcall_status open_array(struct watcher *watcher, struct rollcall_error *error)
{
    return rollcall_watch_open(watcher->client->etcd,
                               ROLLCALL_WATCH_OPTIONS(.root = SESSION_RECORD_ROOT,
                                                      .role = SESSION_RECORD_ROLE,
                                                      .connect_timeout_ms = CONTACT_MS,
                                                      .on_events = on_events, .user = watcher),
                               &watcher->watch, error);
}

/* ---- by a queue, with an epoll loop ---- */

static struct rollcall_queue *create_queue(const struct client *client, uint32_t slices)
{
    struct rollcall_queue *queue;
    struct rollcall_error error;
    if (rollcall_queue_create(client->runtime, slices, &queue, &error) != ROLLCALL_OK) {
        fail(error.text);
    }
    return queue;
}

static void *read_queues(void *argument)
{
    struct client *client = argument;
    struct epoll_event ready[TALLY_QUEUES_MAX];
    struct rollcall_queue_slice slices[READ_SLICES];
    for (;;) {
        const int found = epoll_wait(client->epoll, ready, TALLY_QUEUES_MAX, -1);
        for (int i = 0; i < found; i++) { /* a part of each, by turns: it is readable still */
            const size_t count = rollcall_queue_next(ready[i].data.ptr, slices, READ_SLICES);
            for (size_t k = 0; k < count; k++) {
                on_events(slices[k].user, slices[k].events, slices[k].count);
            }
        }
    }
    return NULL;
}

/* The queues, and the thread that reads them, before the first watcher that reads. */
static void start_reader(struct client *client)
{
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int64_t i = 0; i < tally_queues(&client->tally); i++) {
        struct rollcall_queue *queue =
            create_queue(client, (uint32_t)tally_slices(client->tally.head));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = queue};
        client->queues[i] = queue;
        if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, rollcall_queue_fd(queue), &event) != 0) {
            fail("no epoll");
        }
    }
    if (pthread_create(&client->reader, NULL, read_queues, client) != 0) {
        fail("no thread");
    }
}

static enum rollcall_status open_in(struct watcher *watcher, struct rollcall_queue *queue,
                                    struct rollcall_error *error)
{
    return rollcall_watch_open(
        watcher->client->etcd,
        ROLLCALL_WATCH_OPTIONS(.root = SESSION_RECORD_ROOT, .role = SESSION_RECORD_ROLE,
                               .connect_timeout_ms = CONTACT_MS, .queue = queue, .user = watcher),
        &watcher->watch, error);
}

/* What is in its own queue; how many slices that was. */
static size_t read_own(struct watcher *watcher)
{
    struct rollcall_queue_slice slices[READ_SLICES];
    const size_t count = rollcall_queue_next(watcher->queue, slices, READ_SLICES);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < slices[i].count; k++) {
            belief_take(&watcher->client->belief, &slices[i].events[k]);
        }
    }
    return count;
}

static void wait_for_own(const struct watcher *watcher, int timeout_ms)
{
    struct pollfd readable = {.fd = rollcall_queue_fd(watcher->queue), .events = POLLIN};
    (void)poll(&readable, 1, timeout_ms);
}

/* It reads its snapshot, which is empty, and nothing after that. */
static enum rollcall_status open_stuck(struct watcher *watcher, struct rollcall_error *error)
{
    watcher->queue = create_queue(watcher->client, STUCK_SLICES);
    const enum rollcall_status status = open_in(watcher, watcher->queue, error);
    if (status == ROLLCALL_OK) {
        wait_for_own(watcher, CONTACT_MS);
        read_own(watcher);
        atomic_fetch_add(&watcher->client->tally.head->ready, 1);
    }
    return status;
}

static enum rollcall_status open_queue(struct watcher *watcher, struct rollcall_error *error)
{
    struct client *client = watcher->client;
    if (watcher->number < client->tally.head->stuck) {
        return open_stuck(watcher, error);
    }
    if (watcher->number == client->tally.head->stuck) {
        start_reader(client);
    }
    return open_in(watcher, client->queues[watcher->number % tally_queues(&client->tally)], error);
}

static void note_most(_Atomic int64_t *most, int64_t value)
{
    atomic_store(most, value > atomic_load(most) ? value : atomic_load(most));
}

/* Reads until nothing waits any more, here or in the library, and looks what that has come to. */
static void read_again(struct watcher *watcher, const struct belief *listed)
{
    struct client *client = watcher->client;
    struct tally_head *head = client->tally.head;
    struct belief *belief = &client->belief;
    const int64_t begun_ns = tally_now_ns(), deadline_ns = begun_ns + READ_AGAIN_MS * 1000000LL;
    bool waits = true;
    memset(belief, 0, sizeof *belief);
    while (waits && tally_now_ns() < deadline_ns) {
        const size_t count = read_own(watcher);
        const struct rollcall_watch_stats stats = rollcall_watch_stats(watcher->watch);
        waits = count > 0 || stats.waiting > 0 || stats.lagging_since_ms != 0 ||
                rollcall_queue_stats(watcher->queue).waiting > 0;
        if (waits && count == 0) {
            wait_for_own(watcher, LOOK_MS);
        }
    }
    note_most(&head->again_us, (tally_now_ns() - begun_ns) / 1000);
    note_most(&head->again_events, belief->events);
    note_most(&head->again_resyncs, belief->resyncs);
    atomic_fetch_add(&head->converged, !waits && belief_equal(belief, listed));
}

static void read_all_again(struct client *client)
{
    static struct belief listed;
    struct tally_head *head = client->tally.head;
    struct rollcall_error error;
    if (rollcall_list(client->etcd,
                      ROLLCALL_WATCH_OPTIONS(.root = SESSION_RECORD_ROOT,
                                             .role = SESSION_RECORD_ROLE, .on_event = belief_take,
                                             .user = &listed),
                      CONTACT_MS, &error) != ROLLCALL_OK ||
        belief_count(&listed) == 0) {
        fail(error.status != ROLLCALL_OK ? error.text : "the list is empty");
    }
    for (int64_t i = 0; i < head->stuck; i++) {
        read_again(&client->watchers[i], &listed);
    }
    atomic_store(&head->again_rss_bytes, measure_own_rss_bytes(getpid()));
    atomic_store(&head->again_done, 1);
}

static const struct {
    const char *name;
    open_fn *open;
} ways[] = {
    {"callback", open_callback},
    {"array", open_array},
    {"queue", open_queue},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static open_fn *find_way(const char *name)
{
    for (int i = 0; i < WAYS; i++) {
        if (name == NULL || strcmp(name, ways[i].name) == 0) {
            return ways[i].open;
        }
    }
    return NULL;
}

/* ---- the run ---- */

static void connect_to(struct client *client, const char *endpoint)
{
    struct rollcall_error error;
    if (rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_WARN),
                                &client->runtime, &error) != ROLLCALL_OK ||
        rollcall_etcd_connect(client->runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = endpoint),
                              &client->etcd, &error) != ROLLCALL_OK) {
        fail(error.text);
    }
}

/* In time, or the process is given up: nothing else could end it. */
static void await_ready(const struct client *client, int64_t count)
{
    const int64_t deadline_ms = process_now_ms() + CONTACT_MS;
    while (atomic_load(&client->tally.head->ready) < count) {
        if (process_now_ms() > deadline_ms) {
            fail("the watches are not there in time");
        }
        process_sleep_ms(LOOK_MS);
    }
}

/* One alone, so that what a further one costs can be told from what the connection does. */
static void open_all(struct client *client, int64_t count)
{
    struct tally_head *head = client->tally.head;
    struct rollcall_error error;
    for (int64_t i = 0; i < count; i++) {
        client->watchers[i].client = client;
        client->watchers[i].number = i;
        if (client->open(&client->watchers[i], &error) != ROLLCALL_OK) {
            fail(error.text);
        }
        if (i == 0) {
            await_ready(client, 1);
            process_sleep_ms(SETTLE_MS);
            atomic_store(&head->rss_one_bytes, measure_own_rss_bytes(getpid()));
        }
        await_ready(client, i + 1 - AT_ONCE);
    }
    await_ready(client, count);
    process_sleep_ms(SETTLE_MS);
    atomic_store(&head->rss_ready_bytes, measure_own_rss_bytes(getpid()));
}

int main(int argc, char **argv)
{
    static struct client client;
    const int64_t count = argc > 3 ? strtoll(argv[3], NULL, 10) : 0;
    client.open = find_way(argc > 4 ? argv[4] : NULL);
    if (argc < 4 || argc > 5 || count < 1 || client.open == NULL) {
        fprintf(stderr, "usage: fanout_client TALLY ENDPOINT WATCHERS [DELIVERY]\n");
        return 2;
    }
    client.watchers = calloc((size_t)count, sizeof *client.watchers);
    if (client.watchers == NULL || !tally_open(&client.tally, argv[1])) {
        return 1;
    }
    connect_to(&client, argv[2]);
    open_all(&client, count);
    printf("\nready %s\n", rollcall_version());
    fflush(stdout);
    while (client.open == open_queue && client.tally.head->stuck > 0 &&
           !atomic_load(&client.tally.head->again_done)) {
        process_sleep_ms(AGAIN_LOOK_MS);
        if (atomic_load(&client.tally.head->read_again)) {
            read_all_again(&client);
        }
    }
    for (;;) {
        pause();
    }
}

/*
 * bench/fanout_client.c - our side of bench/fanout, which starts it:
 *     fanout_client TALLY ENDPOINT WATCHERS [DELIVERY]        (DELIVERY: see `ways`; its first)
 * Opens WATCHERS watches of one role over one connection, notes in the tally what reaches them, and
 * goes on until it is killed.  Exit 1 when a watch has failed.
 */
#include "support/measure.h"
#include "support/process.h"
#include "support/session_record.h"
#include "support/tally.h"

#include <rollcall/version.h>
#include <rollcall/watch.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 256, CONTACT_MS = 60000, SETTLE_MS = 1000, LOOK_MS = 1 };

struct client;
struct watcher {
    struct client *client;
    struct rollcall_watch *watch;
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

static const struct {
    const char *name;
    open_fn *open;
} ways[] = {
    {"callback", open_callback},
    {"array", open_array},
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
    for (;;) {
        pause();
    }
}

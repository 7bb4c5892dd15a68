/* The public calls of rollcall/watch.h: options checked and copied, then messages. */
#include "api/feed.h"
#include "api/queue.h"
#include "api/view.h"
#include "api/watch_options.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/options.h"
#include "runtime/port.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { LIST_TIMEOUT_MS = 5000 };

/* The events of a list, kept until they are told on the caller's thread. */
struct collection {
    struct hub_batch **batches; /* one reference each */
    size_t count, capacity;
    bool complete;
    int64_t contact_ms; /* when etcd must have answered once */
    struct rollcall_error error;
};

struct rollcall_watch {
    struct rollcall__handle handle; /* must be first; its actor is the watcher */
    struct rollcall__feed *feed;
    struct watcher_filter *filter; /* one reference; NULL: all count */
    /* One of these, or, of a list, none: */
    rollcall_watch_event_fn *on_event;
    rollcall_watch_events_fn *on_events;
    struct rollcall_queue *queue;
    rollcall_rewatch_fn *on_rewatch; /* besides; NULL: none */
    struct hub_watcher_meter *meter; /* one reference */
    /* The worker counts; relaxed: nothing hangs on them. */
    _Atomic uint64_t events, lags, repairs, resyncs, refused;
    void *user;
    bool failed, refuses;          /* FAILED was told, for on_rewatch failed; the worker's */
    struct collection *collection; /* NULL: events are told; guarded by handle.monitor */
};

/* ---- what the watcher calls, on its worker ---- */

/* Called locked. */
static void collect(struct collection *collection, struct hub_batch *batch)
{
    const struct rollcall_watch_event *last = &batch->events[batch->count - 1];
    if (last->type == ROLLCALL_WATCH_FAILED) {
        rollcall_error_set(&collection->error, last->status, "%s", last->reason);
        return;
    }
    if (collection->count == collection->capacity) {
        const size_t capacity = collection->capacity == 0 ? 4 : 2 * collection->capacity;
        struct hub_batch **batches =
            rollcall__reallocate(collection->batches, capacity * sizeof(*batches));
        if (batches == NULL) {
            rollcall_error_set(&collection->error, ROLLCALL_E_NO_MEMORY, "list: out of memory");
            return;
        }
        collection->batches = batches;
        collection->capacity = capacity;
    }
    collection->batches[collection->count++] = batch;
    rollcall_object_keep(&batch->object);
    collection->complete = last->type == ROLLCALL_WATCH_SNAPSHOT_END;
}

/* Of a list whose end is awaited. */
static void tell_collection(struct rollcall_watch *watch, struct hub_batch *batch)
{
    rollcall__monitor_lock(&watch->handle.monitor);
    if (watch->collection != NULL) {
        collect(watch->collection, batch);
    }
    rollcall__monitor_notify(&watch->handle.monitor);
    rollcall__monitor_unlock(&watch->handle.monitor);
}

static void add(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Counts what was told. */
static void count_told(struct rollcall_watch *watch, const struct rollcall_watch_event *first,
                       size_t count)
{
    add(&watch->events, count);
    if (first->type == ROLLCALL_WATCH_RESYNC_BEGIN) {
        add(&watch->resyncs, 1);
        add(&watch->lags, first->status == ROLLCALL_E_FULL ? 1 : 0);
        add(&watch->repairs, first->status == ROLLCALL_E_CORRUPT ? 1 : 0);
    }
}

/* False: there is no room. */
static bool hand_over(struct rollcall_watch *watch, struct hub_batch *batch, size_t first,
                      size_t count)
{
    if (watch->queue != NULL) {
        const bool last = batch->events[first].type == ROLLCALL_WATCH_FAILED;
        return rollcall__queue_push(watch->queue, &watch->handle, watch->user, batch, first, count,
                                    last);
    }
    if (watch->on_events != NULL) {
        if (!rollcall__handle_is_closed(&watch->handle)) {
            watch->on_events(watch->user, &batch->events[first], count);
        }
    } else if (watch->on_event != NULL) {
        for (size_t i = 0; i < count && !rollcall__handle_is_closed(&watch->handle); i++) {
            watch->on_event(watch->user, &batch->events[first + i]);
        }
    } else {
        tell_collection(watch, batch); /* a list is told whole batches */
    }
    return true;
}

static bool tell(struct rollcall_object *handle, struct hub_batch *batch, size_t first,
                 size_t count)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    if (batch->events[first].type == ROLLCALL_WATCH_FAILED) {
        watch->failed = true;
        if (!watch->refuses) {
            rollcall__feed_is_over(watch->feed);
        }
    }
    if (!hand_over(watch, batch, first, count)) {
        return false;
    }
    count_told(watch, &batch->events[first], count);
    return true;
}

/* What its error says, or, if it says nothing, what it answered. */
static void note_refusal(struct rollcall_watch *watch, enum rollcall_status status,
                         struct rollcall_error *error)
{
    error->status = status;
    if (error->text[0] == '\0') {
        rollcall_error_set(error, status, "on_rewatch answered %s", rollcall_status_name(status));
    }
    add(&watch->refused, 1);
    watch->refuses = rollcall_status_class(status) != ROLLCALL_RETRY;
}

static enum rollcall_status tell_all(struct rollcall_object *handle,
                                     const struct rollcall_watch_event *why,
                                     struct hub_batch *sessions, struct rollcall_error *error)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    const struct rollcall_view view = {.revision = why->revision, .sessions = sessions};
    if (rollcall__handle_is_closed(&watch->handle)) {
        return ROLLCALL_OK;
    }
    const enum rollcall_status status = watch->on_rewatch(watch->user, why, &view, error);
    if (status != ROLLCALL_OK) {
        note_refusal(watch, status, error);
        return status;
    }
    watch->refuses = false;
    count_told(watch, why, sessions->count);
    return ROLLCALL_OK;
}

static void never(struct rollcall_object *object)
{
    (void)object;
}

/* The last event, when there is no memory to make it of. */
static struct rollcall_watch_event no_memory_event = {
    .type = ROLLCALL_WATCH_FAILED,
    .status = ROLLCALL_E_NO_MEMORY,
    .reason = "the watch was ended, and there is no memory to say why"};
static struct hub_batch no_memory = {
    .object = {.references = 1, .destroy = never}, .count = 1, .events = &no_memory_event};

/* One event, with one reference.  Never NULL. */
static struct hub_batch *create_end(const struct rollcall_error *error)
{
    const struct rollcall_watch_event event = {
        .type = ROLLCALL_WATCH_FAILED, .at_ms = rollcall__clock_wall_ms(), .status = error->status};
    struct hub_batch *batch = hub_batch_create();
    struct rollcall_reason *reason = rollcall_reason_create(error);
    if (batch == NULL || reason == NULL || !hub_batch_reserve(batch, 1)) {
        rollcall_object_drop(reason == NULL ? NULL : &reason->object);
        rollcall_object_drop(batch == NULL ? NULL : &batch->object);
        return (struct hub_batch *)rollcall_object_keep(&no_memory.object);
    }
    hub_batch_mark(batch, &event, reason);
    return batch;
}

/* The watcher has ended before it was closed, and has told no failure. */
static void tell_end(struct rollcall_watch *watch)
{
    struct rollcall_error error;
    if (!rollcall__feed_failure(watch->feed, &error)) {
        rollcall_error_set(&error, ROLLCALL_E_ACTOR, "the watch was ended from outside");
    }
    struct hub_batch *batch = create_end(&error);
    (void)hand_over(watch, batch, 0, 1); /* a queue has room for the last of each */
    rollcall_object_drop(&batch->object);
}

static void leave_queue(struct rollcall_queue *queue)
{
    if (queue != NULL) {
        rollcall__queue_leave(queue);
    }
}

static bool is_closed(struct rollcall_object *handle)
{
    return rollcall__handle_is_closed((struct rollcall__handle *)handle);
}

static void gone(struct rollcall_object *handle)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    if (!rollcall__handle_is_closed(&watch->handle) && !watch->failed && watch->feed != NULL) {
        tell_end(watch);
    }
    leave_queue(watch->queue);
    rollcall__handle_gone(handle);
}

/* ---- the calls ---- */

static void destroy_watch(struct rollcall_object *object)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)object;
    rollcall_object_drop(watch->filter == NULL ? NULL : &watch->filter->object);
    rollcall_object_drop(&watch->meter->object);
    rollcall__handle_fini(&watch->handle);
    free(watch);
}

/* On failure the watch has its one owner. */
static enum rollcall_status start(struct rollcall_watch *watch, struct reflector_config *config,
                                  struct rollcall_error *error)
{
    const bool shared = !config->list_only && config->from_revision == 0;
    struct watcher_filter *filter = watch->filter;
    if (filter != NULL) {
        rollcall_object_keep(&filter->object);
    }
    rollcall_object_keep(&watch->meter->object);
    struct watcher_options options = {.filter = filter,
                                      .once = config->list_only,
                                      .from_now = config->from_revision != 0,
                                      .meter = watch->meter,
                                      .handle = rollcall_object_keep(&watch->handle.object),
                                      .tell = tell,
                                      .tell_all = watch->on_rewatch == NULL ? NULL : tell_all,
                                      .is_closed = is_closed,
                                      .gone = gone};
    const enum rollcall_status status =
        rollcall__feed_open(watch->handle.etcd, config, shared, &watch->feed, error);
    if (status == ROLLCALL_OK) {
        return rollcall__feed_watch(watch->feed, &options, &watch->handle.application, error);
    }
    if (filter != NULL) {
        rollcall_object_drop(&filter->object);
    }
    leave_queue(watch->queue);
    rollcall_object_drop(&watch->meter->object);
    rollcall_object_drop(options.handle);
    return status;
}

/* As rollcall__handle_close, of the watch and what only it needs. */
static enum rollcall_status close_watch(struct rollcall_watch *watch)
{
    struct rollcall__feed *feed = watch->feed;
    const enum rollcall_status status = rollcall__handle_close(&watch->handle);
    if (feed != NULL) {
        rollcall__feed_close(feed, status == ROLLCALL_OK);
    }
    return status;
}

/* Joins the queue, if there is one. */
static enum rollcall_status may_open(const struct rollcall_etcd *etcd,
                                     const struct rollcall_watch_options *options,
                                     const struct collection *list, struct rollcall_error *error)
{
    struct rollcall_runtime *rt = rollcall__etcd_runtime(etcd);
    const enum rollcall_status status = rollcall__runtime_may_wait(rt);
    if (status != ROLLCALL_OK) { /* before a lock is taken that waits for this very worker */
        return rollcall_error_set(error, status,
                                  status == ROLLCALL_E_BUSY
                                      ? "a watch was opened in a callback: do it in a thread of "
                                        "your own"
                                      : "a watch was opened in a child process: connect there");
    }
    if (options->queue == NULL) {
        return ROLLCALL_OK;
    }
    if (list != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "list: a queue is given: give on_event, or a watch with once");
    }
    return rollcall__queue_join(options->queue, rt)
               ? ROLLCALL_OK
               : rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "the queue is of another runtime, or has as many watches as "
                                    "slices: create a larger one");
}

/* filter: moved, unless it returns NULL: out of memory. */
static struct rollcall_watch *create_watch(struct rollcall_etcd *etcd,
                                           const struct rollcall_watch_options *options,
                                           struct watcher_filter *filter,
                                           struct collection *collection)
{
    struct rollcall_watch *watch = rollcall__allocate_zeroed(1, sizeof *watch);
    if (watch == NULL ||
        (watch->meter = hub_watcher_meter_create(options->from_revision != 0)) == NULL) {
        free(watch);
        return NULL;
    }
    rollcall__handle_init(&watch->handle, etcd, destroy_watch);
    watch->filter = filter;
    watch->on_event = collection == NULL ? options->on_event : NULL;
    watch->on_events = collection == NULL ? options->on_events : NULL;
    watch->on_rewatch = options->on_rewatch;
    watch->queue = options->queue;
    watch->user = options->user;
    watch->collection = collection;
    return watch;
}

static enum rollcall_status open(struct rollcall_etcd *etcd,
                                 const struct rollcall_watch_options *given,
                                 struct collection *collection, struct rollcall_watch **opened,
                                 struct rollcall_error *error)
{
    struct rollcall_watch_options options;
    struct reflector_config *config = NULL;
    struct watcher_filter *filter = NULL;
    struct rollcall_watch *watch = NULL;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_watch_options", error);
    if (status != ROLLCALL_OK || (status = rollcall__watch_check(&options, error)) != ROLLCALL_OK ||
        (status = may_open(etcd, &options, collection, error)) != ROLLCALL_OK) {
        return status;
    }
    status = rollcall__watch_filter(options.version_range, &filter, error);
    if (status == ROLLCALL_OK) {
        status =
            rollcall__watch_config(rollcall__etcd_endpoints(etcd), &options,
                                   collection == NULL ? 0 : collection->contact_ms, &config, error);
    }
    if (status == ROLLCALL_OK &&
        (watch = create_watch(etcd, &options, filter, collection)) == NULL) {
        status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(config == NULL ? NULL : &config->object);
        rollcall_object_drop(filter == NULL ? NULL : &filter->object);
        leave_queue(options.queue);
        return status;
    }
    status = start(watch, config, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(close_watch(watch), "the first error is told");
        return status;
    }
    *opened = watch;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_watch_open(struct rollcall_etcd *etcd,
                                         const struct rollcall_watch_options *options,
                                         struct rollcall_watch **watch,
                                         struct rollcall_error *error)
{
    return open(etcd, options, NULL, watch, error);
}

enum rollcall_status rollcall_watch_close(struct rollcall_watch *watch)
{
    if (watch == NULL) {
        return ROLLCALL_OK;
    }
    const enum rollcall_status status = rollcall__handle_may_wait(&watch->handle);
    return status == ROLLCALL_OK ? close_watch(watch) : status;
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t read_gauge(const struct rollcall__gauge *gauge)
{
    return (uint64_t)rollcall__gauge_get(gauge);
}

/* Each number for itself: what was read first may be older. */
struct rollcall_watch_stats rollcall_watch_stats(const struct rollcall_watch *watch)
{
    const struct hub_watcher_meter *meter = watch->meter;
    const int64_t through = rollcall__gauge_get(&meter->through);
    const int64_t changes = rollcall__gauge_get(&watch->feed->meter->changes);
    return (struct rollcall_watch_stats){
        .events = read_counter(&watch->events),
        .lags = read_counter(&watch->lags),
        .resyncs = read_counter(&watch->resyncs),
        .repairs = read_counter(&watch->repairs),
        .refused = read_counter(&watch->refused),
        .merged = read_gauge(&meter->merged),
        .waiting =
            through == HUB_THROUGH_NOTHING || changes < through ? 0 : (uint64_t)(changes - through),
        .lagging_since_ms = rollcall__gauge_get(&meter->lagging_since_ms)};
}

struct rollcall_feed_stats rollcall_watch_feed_stats(const struct rollcall_watch *watch)
{
    const struct hub_meter *meter = watch->feed->meter;
    return (struct rollcall_feed_stats){
        .watches = read_gauge(&meter->watchers),
        .lagging = read_gauge(&meter->lagging),
        .sessions = read_gauge(&meter->sessions),
        .revision = rollcall__gauge_get(&meter->revision),
        .changes = read_gauge(&meter->changes),
        .lists = read_gauge(&meter->lists[HUB_LIST_FIRST]),
        .relists_compacted = read_gauge(&meter->lists[HUB_LIST_COMPACTED]),
        .relists_went_back = read_gauge(&meter->lists[HUB_LIST_WENT_BACK]),
        .relists_too_large = read_gauge(&meter->lists[HUB_LIST_TOO_LARGE]),
        .relists_lost = read_gauge(&meter->lists[HUB_LIST_LOST])};
}

enum rollcall_status rollcall_watch_view(struct rollcall_watch *watch, int64_t timeout_ms,
                                         struct rollcall_view **view, struct rollcall_error *error)
{
    return rollcall__view_ask(watch->feed, watch->filter, timeout_ms, view, error);
}

/* ---- list: a watch that ends after its snapshot ---- */

static enum rollcall_status wait_complete(struct rollcall_watch *watch,
                                          struct collection *collection, int64_t timeout_ms)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&watch->handle, timeout_ms);
    rollcall__monitor_lock(&watch->handle.monitor);
    while (!collection->complete && collection->error.status == ROLLCALL_OK &&
           rollcall__handle_wait(&watch->handle, deadline_ns)) {
    }
    if (!collection->complete && collection->error.status == ROLLCALL_OK) {
        rollcall_error_set(&collection->error, ROLLCALL_E_TIMEOUT,
                           "etcd at %.120s did not answer within %lld ms",
                           rollcall__etcd_endpoints(watch->handle.etcd), (long long)timeout_ms);
    }
    watch->collection = NULL; /* what comes later is not wanted */
    rollcall__monitor_unlock(&watch->handle.monitor);
    return collection->error.status;
}

enum rollcall_status rollcall_list(struct rollcall_etcd *etcd,
                                   const struct rollcall_watch_options *options, int64_t timeout_ms,
                                   struct rollcall_error *error)
{
    struct collection collection = {0};
    struct rollcall_watch *watch;
    if (timeout_ms < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "list: the timeout is %lld ms: give 1 or more, or 0 for %d",
                                  (long long)timeout_ms, LIST_TIMEOUT_MS);
    }
    if (options != NULL && options->from_revision != 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "list: a revision is given: leave it out, a list is of now");
    }
    timeout_ms = timeout_ms == 0 ? LIST_TIMEOUT_MS : timeout_ms;
    collection.contact_ms =
        timeout_ms - timeout_ms / 10; /* so that "no etcd answers" comes first */
    enum rollcall_status status = open(etcd, options, &collection, &watch, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = wait_complete(watch, &collection, timeout_ms);
    ROLLCALL_DROP(close_watch(watch), "nothing it could tell is wanted");
    for (size_t i = 0; i < collection.count; i++) {
        const struct hub_batch *batch = collection.batches[i];
        for (size_t at = 0; status == ROLLCALL_OK && at < batch->count; at++) {
            if (options->on_event != NULL) {
                options->on_event(options->user, &batch->events[at]);
            } else {
                options->on_events(options->user, &batch->events[at], 1);
            }
        }
        rollcall_object_drop(&collection.batches[i]->object);
    }
    free(collection.batches);
    if (status != ROLLCALL_OK && error != NULL) {
        *error = collection.error;
    }
    return status;
}

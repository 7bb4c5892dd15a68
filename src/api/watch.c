/* The public calls of rollcall/watch.h: options checked and copied, then messages. */
#include "api/feed.h"
#include "api/queue.h"
#include "api/view.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/options.h"
#include "runtime/port.h"
#include "session/keys.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { LIST_TIMEOUT_MS = 5000, AUDIT_MS = 300000, AUDIT_MIN_MS = 1000 };

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
    _Atomic uint64_t events, lags, repairs; /* the worker counts; relaxed: nothing hangs on them */
    void *user;
    bool failed;                   /* FAILED was told; the worker's */
    struct collection *collection; /* NULL: events are told; guarded by handle.monitor */
};

/* ---- options ---- */

static enum rollcall_status check(const struct rollcall_watch_options *o,
                                  struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    if ((o->on_event != NULL) + (o->on_events != NULL) + (o->queue != NULL) != 1) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "give one of on_event, on_events and queue");
    }
    if (o->role != NULL && !o->raw_prefix) {
        status = rollcall__role_check(o->role, error);
    }
    if (status == ROLLCALL_OK && o->root != NULL) {
        status = rollcall__root_check(o->root, error);
    }
    if (status == ROLLCALL_OK && o->from_revision < 0) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "the revision is %lld: give a positive one, or 0 for a "
                                    "snapshot first",
                                    (long long)o->from_revision);
    }
    if (status == ROLLCALL_OK && o->once && o->from_revision != 0) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "a snapshot alone is of now: leave out the revision, or once");
    }
    if (status == ROLLCALL_OK && o->audit_ms != 0 && o->audit_ms != ROLLCALL_WATCH_NO_AUDIT &&
        o->audit_ms < AUDIT_MIN_MS) {
        status = rollcall_error_set(error, ROLLCALL_E_INVALID,
                                    "audit_ms is %lld: give %d or more, 0 for %d, or "
                                    "ROLLCALL_WATCH_NO_AUDIT",
                                    (long long)o->audit_ms, AUDIT_MIN_MS, AUDIT_MS);
    }
    return status == ROLLCALL_OK ? rollcall__connect_timeout_check(o->connect_timeout_ms, error)
                                 : status;
}

/* How often what the watch knows is compared with etcd; 0: never. */
static int64_t audit_ms(const struct rollcall_watch_options *o)
{
    if (o->once || o->from_revision != 0 || o->audit_ms == ROLLCALL_WATCH_NO_AUDIT) {
        return 0; /* all that is there is not known */
    }
    return o->audit_ms == 0 ? AUDIT_MS : o->audit_ms;
}

/* ---- what is watched ---- */

static void destroy_config(struct rollcall_object *object)
{
    struct reflector_config *config = (struct reflector_config *)object;
    rollcall__arena_free(&config->arena);
    free(config);
}

/* A copy in the config's arena; sets *failed when out of memory. */
static struct rollcall_bytes copy_bytes(struct reflector_config *config, struct rollcall_bytes from,
                                        bool *failed)
{
    struct rollcall_bytes copy = {"", 0};
    *failed |= !rollcall__arena_copy(&config->arena, from, &copy);
    return copy;
}

static void fill_keys(struct reflector_config *config, const struct rollcall_watch_options *o,
                      bool *failed)
{
    const char *root = o->root == NULL ? ROLLCALL__ROOT_DEFAULT : o->root;
    struct rollcall__buffer all = {0}, start = {0}, end = {0};
    rollcall__key_prefix(&all, root, NULL);
    rollcall__key_prefix(&start, root, o->role);
    rollcall__prefix_end(rollcall__buffer_bytes(&start), &end);
    *failed |= all.failed || start.failed || end.failed;
    config->session_prefix = copy_bytes(config, rollcall__buffer_bytes(&all), failed);
    config->range_start = copy_bytes(config, rollcall__buffer_bytes(&start), failed);
    config->range_end = copy_bytes(config, rollcall__buffer_bytes(&end), failed);
    rollcall__buffer_free(&all);
    rollcall__buffer_free(&start);
    rollcall__buffer_free(&end);
}

static enum rollcall_status create_config(struct rollcall_etcd *etcd,
                                          const struct rollcall_watch_options *o,
                                          const struct collection *list,
                                          struct reflector_config **created,
                                          struct rollcall_error *error)
{
    struct reflector_config *config = rollcall__allocate_zeroed(1, sizeof *config);
    bool failed = false;
    if (config == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    rollcall_object_init(&config->object, destroy_config);
    config->role =
        copy_bytes(config, rollcall__bytes(o->role == NULL ? "" : o->role), &failed).data;
    config->endpoints =
        copy_bytes(config, rollcall__bytes(rollcall__etcd_endpoints(etcd)), &failed).data;
    config->raw_prefix = o->raw_prefix && o->role != NULL;
    config->list_only = list != NULL || o->once;
    config->from_revision = o->from_revision;
    config->connect_timeout_ms =
        o->connect_timeout_ms == 0 ? ROLLCALL__CONNECT_TIMEOUT_MS : o->connect_timeout_ms;
    if (list != NULL && config->connect_timeout_ms > list->contact_ms) {
        config->connect_timeout_ms = list->contact_ms;
    }
    config->audit_ms = list != NULL ? 0 : audit_ms(o);
    fill_keys(config, o, &failed);
    if (failed) {
        rollcall_object_drop(&config->object);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    *created = config;
    return ROLLCALL_OK;
}

static void destroy_filter(struct rollcall_object *object)
{
    struct watcher_filter *filter = (struct watcher_filter *)object;
    rollcall__semver_range_free(&filter->version_range);
    free(filter);
}

/* *created: NULL: all count. */
static enum rollcall_status create_filter(const char *version_range,
                                          struct watcher_filter **created,
                                          struct rollcall_error *error)
{
    *created = NULL;
    if (version_range == NULL) {
        return ROLLCALL_OK;
    }
    struct watcher_filter *filter = rollcall__allocate_zeroed(1, sizeof *filter);
    if (filter == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    rollcall_object_init(&filter->object, destroy_filter);
    const enum rollcall_status status = rollcall__semver_range_parse(
        rollcall__bytes(version_range), ROLLCALL__SEMVER_OURS, &filter->version_range, error);
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&filter->object);
        return status;
    }
    *created = filter;
    return ROLLCALL_OK;
}

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

/* Counts what was told. */
static void count_told(struct rollcall_watch *watch, const struct rollcall_watch_event *first,
                       size_t count)
{
    const bool resync = first->type == ROLLCALL_WATCH_RESYNC_BEGIN;
    const bool lagged = resync && first->status == ROLLCALL_E_FULL;
    const bool repaired = resync && first->status == ROLLCALL_E_CORRUPT;
    atomic_fetch_add_explicit(&watch->events, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&watch->lags, lagged ? 1 : 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&watch->repairs, repaired ? 1 : 0, memory_order_relaxed);
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
        rollcall__feed_is_over(watch->feed);
    }
    if (!hand_over(watch, batch, first, count)) {
        return false;
    }
    count_told(watch, &batch->events[first], count);
    return true;
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
    struct watcher_options options = {.filter = filter,
                                      .once = config->list_only,
                                      .from_now = config->from_revision != 0,
                                      .handle = rollcall_object_keep(&watch->handle.object),
                                      .tell = tell,
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

static enum rollcall_status open(struct rollcall_etcd *etcd,
                                 const struct rollcall_watch_options *given,
                                 struct collection *collection, struct rollcall_watch **opened,
                                 struct rollcall_error *error)
{
    struct rollcall_watch_options options;
    struct reflector_config *config = NULL;
    struct watcher_filter *filter = NULL;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_watch_options", error);
    if (status != ROLLCALL_OK || (status = check(&options, error)) != ROLLCALL_OK ||
        (status = may_open(etcd, &options, collection, error)) != ROLLCALL_OK) {
        return status;
    }
    if ((status = create_filter(options.version_range, &filter, error)) != ROLLCALL_OK) {
        leave_queue(options.queue);
        return status;
    }
    struct rollcall_watch *watch = rollcall__allocate_zeroed(1, sizeof *watch);
    status = watch == NULL ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory")
                           : create_config(etcd, &options, collection, &config, error);
    if (status != ROLLCALL_OK) {
        free(watch);
        rollcall_object_drop(filter == NULL ? NULL : &filter->object);
        leave_queue(options.queue);
        return status;
    }
    rollcall__handle_init(&watch->handle, etcd, destroy_watch);
    watch->filter = filter;
    watch->on_event = collection == NULL ? options.on_event : NULL;
    watch->on_events = collection == NULL ? options.on_events : NULL;
    watch->queue = options.queue;
    watch->user = options.user;
    watch->collection = collection;
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

struct rollcall_watch_stats rollcall_watch_stats(const struct rollcall_watch *watch)
{
    return (struct rollcall_watch_stats){
        .events = atomic_load_explicit(&watch->events, memory_order_relaxed),
        .lags = atomic_load_explicit(&watch->lags, memory_order_relaxed),
        .repairs = atomic_load_explicit(&watch->repairs, memory_order_relaxed)};
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

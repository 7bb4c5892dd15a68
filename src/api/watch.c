/* The public calls of rollcall/watch.h: options checked and copied, then messages. */
#include "api/feed.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/options.h"
#include "session/keys.h"

#include <stdlib.h>
#include <string.h>

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
    rollcall_watch_event_fn *on_event;
    void *user;
    bool failed;                   /* FAILED was told; the worker's */
    struct collection *collection; /* NULL: events are told; guarded by handle.monitor */
};

/* ---- options ---- */

static enum rollcall_status check(const struct rollcall_watch_options *o,
                                  struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    if (o->on_event == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "on_event is missing");
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
    return status == ROLLCALL_OK ? rollcall__connect_timeout_check(o->connect_timeout_ms, error)
                                 : status;
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

static bool is_closed(struct rollcall_watch *watch)
{
    rollcall__monitor_lock(&watch->handle.monitor);
    const bool closed = watch->handle.closed;
    rollcall__monitor_unlock(&watch->handle.monitor);
    return closed;
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

static bool tell(struct rollcall_object *handle, struct hub_batch *batch, size_t first,
                 size_t count)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    if (batch->events[first].type == ROLLCALL_WATCH_FAILED) {
        watch->failed = true;
        rollcall__feed_is_over(watch->feed);
    }
    if (watch->on_event == NULL) {
        tell_collection(watch, batch); /* a list is told whole batches */
        return true;
    }
    for (size_t i = 0; i < count && !is_closed(watch); i++) {
        watch->on_event(watch->user, &batch->events[first + i]);
    }
    return true;
}

/* The watcher has ended before it was closed, and has told no failure. */
static void tell_end(struct rollcall_watch *watch)
{
    struct rollcall_error error;
    if (!rollcall__feed_failure(watch->feed, &error)) {
        rollcall_error_set(&error, ROLLCALL_E_ACTOR, "the watch was ended from outside");
    }
    const struct rollcall_watch_event told = {.type = ROLLCALL_WATCH_FAILED,
                                              .at_ms = rollcall__clock_wall_ms(),
                                              .status = error.status,
                                              .reason = error.text};
    if (watch->on_event != NULL) {
        watch->on_event(watch->user, &told);
        return;
    }
    rollcall__monitor_lock(&watch->handle.monitor);
    if (watch->collection != NULL && !watch->collection->complete) {
        watch->collection->error = error;
    }
    rollcall__monitor_unlock(&watch->handle.monitor);
}

static void gone(struct rollcall_object *handle)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    if (!is_closed(watch) && !watch->failed && watch->feed != NULL) {
        tell_end(watch);
    }
    rollcall__handle_gone(handle);
}

/* ---- the calls ---- */

static void destroy_watch(struct rollcall_object *object)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)object;
    rollcall__handle_fini(&watch->handle);
    free(watch);
}

/* filter: moved.  On failure the watch has its one owner. */
static enum rollcall_status start(struct rollcall_watch *watch, struct reflector_config *config,
                                  struct watcher_filter *filter, struct rollcall_error *error)
{
    const bool shared = !config->list_only && config->from_revision == 0;
    struct watcher_options options = {.filter = filter,
                                      .once = config->list_only,
                                      .from_now = config->from_revision != 0,
                                      .handle = rollcall_object_keep(&watch->handle.object),
                                      .tell = tell,
                                      .gone = gone};
    const enum rollcall_status status =
        rollcall__feed_open(watch->handle.etcd, config, shared, &watch->feed, error);
    if (status == ROLLCALL_OK) {
        return rollcall__feed_watch(watch->feed, &options, &watch->handle.application, error);
    }
    if (filter != NULL) {
        rollcall_object_drop(&filter->object);
    }
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
        (status = create_filter(options.version_range, &filter, error)) != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_watch *watch = rollcall__allocate_zeroed(1, sizeof *watch);
    status = watch == NULL ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory")
                           : create_config(etcd, &options, collection, &config, error);
    if (status != ROLLCALL_OK) {
        free(watch);
        rollcall_object_drop(filter == NULL ? NULL : &filter->object);
        return status;
    }
    rollcall__handle_init(&watch->handle, etcd, destroy_watch);
    watch->on_event = collection == NULL ? options.on_event : NULL;
    watch->user = options.user;
    watch->collection = collection;
    status = start(watch, config, filter, error);
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
            options->on_event(options->user, &batch->events[at]);
        }
        rollcall_object_drop(&collection.batches[i]->object);
    }
    free(collection.batches);
    if (status != ROLLCALL_OK && error != NULL) {
        *error = collection.error;
    }
    return status;
}

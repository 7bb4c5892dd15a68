/* The public calls of rollcall/watch.h: options checked and copied, then messages. */
#include "actors/watcher.h"

#include "actors/supervisor.h"
#include "api/handle.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/options.h"
#include "session/keys.h"

#include <stdlib.h>
#include <string.h>

enum {
    LIST_TIMEOUT_MS = 5000,
    APPLICATION_MAILBOX = 1024 /* the events of a watcher and of its restarted successor */
};

/* The events of a list, kept until they are told on the caller's thread. */
struct collection {
    struct watcher_event **events; /* shared */
    size_t count, capacity;
    bool complete;
    int64_t contact_ms; /* when etcd must have answered once */
    struct rollcall_error error;
};

struct rollcall_watch {
    struct rollcall__handle handle; /* must be first */
    rollcall_watch_event_fn *on_event;
    void *user;
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

/* ---- the shared configuration ---- */

static void destroy_config(struct rollcall_object *object)
{
    struct watcher_config *config = (struct watcher_config *)object;
    rollcall__semver_range_free(&config->version_range);
    rollcall__arena_free(&config->arena);
    free(config);
}

/* A copy in the config's arena; sets *failed when out of memory. */
static struct rollcall_bytes copy_bytes(struct watcher_config *config, struct rollcall_bytes from,
                                        bool *failed)
{
    struct rollcall_bytes copy = {"", 0};
    *failed |= !rollcall__arena_copy(&config->arena, from, &copy);
    return copy;
}

static void fill_keys(struct watcher_config *config, const struct rollcall_watch_options *o,
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
                                          struct watcher_config **created,
                                          struct rollcall_error *error)
{
    struct watcher_config *config = rollcall__allocate_zeroed(1, sizeof *config);
    enum rollcall_status status = ROLLCALL_OK;
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
    if (o->version_range != NULL) {
        config->has_version_range = true;
        status = rollcall__semver_range_parse(rollcall__bytes(o->version_range),
                                              ROLLCALL__SEMVER_OURS, &config->version_range, error);
    }
    if (status == ROLLCALL_OK && failed) {
        status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&config->object);
        return status;
    }
    *created = config;
    return ROLLCALL_OK;
}

/* ---- what the application actor calls, on its worker ---- */

static struct rollcall_watch_event view_of(const struct watcher_event *event)
{
    struct rollcall_watch_event told = {.type = event->type,
                                        .at_ms = event->at_ms,
                                        .revision = event->revision,
                                        .mod_revision = event->mod_revision,
                                        .count = event->count,
                                        .skipped = event->skipped,
                                        .status = event->status,
                                        .reason = event->reason};
    if (event->item != NULL) {
        told.key = event->item->key;
        told.value = event->item->value;
        told.record = &event->item->record;
        told.create_revision = event->item->create_revision;
        told.lease_id = event->item->lease_id;
    }
    return told;
}

static bool is_same_session(const struct watcher_event *a, const struct watcher_event *b)
{
    return a->item != NULL && b->item != NULL && rollcall__bytes_equal(a->item->key, b->item->key);
}

/* A list that a failure has cut in two corrects what it has told before: that is taken back. */
static void take_back(struct collection *collection, const struct watcher_event *event)
{
    for (size_t i = 0; i < collection->count; i++) {
        if (is_same_session(collection->events[i], event)) {
            rollcall_object_drop(&collection->events[i]->object);
            collection->count--;
            memmove(&collection->events[i], &collection->events[i + 1],
                    (collection->count - i) * sizeof collection->events[0]);
            return;
        }
    }
}

/* Called locked. */
static void collect(struct collection *collection, struct watcher_event *event)
{
    if (event->type == ROLLCALL_WATCH_FAILED) {
        rollcall_error_set(&collection->error, event->status, "%s", event->reason);
    }
    if (event->type == ROLLCALL_WATCH_UPDATE || event->type == ROLLCALL_WATCH_DELETE) {
        take_back(collection, event);
    }
    if (event->type == ROLLCALL_WATCH_DELETE) {
        return;
    }
    if (collection->count == collection->capacity) {
        const size_t capacity = collection->capacity == 0 ? 64 : 2 * collection->capacity;
        struct watcher_event **events =
            rollcall__reallocate(collection->events, capacity * sizeof(*events));
        if (events == NULL) {
            rollcall_error_set(&collection->error, ROLLCALL_E_NO_MEMORY, "list: out of memory");
            return;
        }
        collection->events = events;
        collection->capacity = capacity;
    }
    collection->events[collection->count++] = event;
    rollcall_object_keep(&event->object);
    collection->complete = event->type == ROLLCALL_WATCH_SNAPSHOT_END;
}

static bool is_closed(struct rollcall_watch *watch)
{
    rollcall__monitor_lock(&watch->handle.monitor);
    const bool closed = watch->handle.closed;
    rollcall__monitor_unlock(&watch->handle.monitor);
    return closed;
}

static void tell(struct rollcall_object *handle, struct rollcall_object *object)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    struct watcher_event *event = (struct watcher_event *)object;
    if (watch->on_event != NULL) {
        if (!is_closed(watch)) {
            const struct rollcall_watch_event told = view_of(event);
            watch->on_event(watch->user, &told);
        }
        return;
    }
    rollcall__monitor_lock(&watch->handle.monitor);
    if (watch->collection != NULL) {
        collect(watch->collection, event);
    }
    rollcall__monitor_notify(&watch->handle.monitor);
    rollcall__monitor_unlock(&watch->handle.monitor);
}

static void tell_failed(struct rollcall_object *handle, const struct rollcall_error *error)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)handle;
    const struct rollcall_watch_event told = {.type = ROLLCALL_WATCH_FAILED,
                                              .at_ms = rollcall__clock_wall_ms(),
                                              .status = error->status,
                                              .reason = error->text};
    if (watch->on_event != NULL) {
        if (!is_closed(watch)) {
            watch->on_event(watch->user, &told);
        }
        return;
    }
    rollcall__monitor_lock(&watch->handle.monitor);
    if (watch->collection != NULL) {
        watch->collection->error = *error;
    }
    rollcall__monitor_notify(&watch->handle.monitor);
    rollcall__monitor_unlock(&watch->handle.monitor);
}

/* ---- the calls ---- */

static void destroy_watch(struct rollcall_object *object)
{
    struct rollcall_watch *watch = (struct rollcall_watch *)object;
    rollcall__handle_fini(&watch->handle);
    free(watch);
}

/* The supervisor lives under the application actor, and the watcher under the supervisor: to stop
 * the application actor is to stop the watch.  config: moved. */
static enum rollcall_status spawn(struct rollcall_watch *watch, struct watcher_config *config,
                                  struct rollcall_error *error)
{
    struct rollcall_runtime *rt = rollcall__etcd_runtime(watch->handle.etcd);
    const uint32_t worker = watch->handle.worker;
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    struct rollcall_ref supervisor_ref, ref;
    enum rollcall_status status =
        rollcall__handle_start(&watch->handle, APPLICATION_MAILBOX, tell, tell_failed, error);
    if (status == ROLLCALL_OK) {
        status = rollcall_runtime_spawn(
            rt, worker,
            ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor,
                                   .supervisor = watch->handle.application),
            &supervisor_ref, error);
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&config->object);
        return status;
    }
    const struct watcher_options options = {.config = config,
                                            .application = watch->handle.application,
                                            .transport = rollcall__etcd_bulk(watch->handle.etcd)};
    return rollcall_runtime_spawn(rt, worker,
                                  ROLLCALL_SPAWN_OPTIONS(.type = &watcher_type, .options = &options,
                                                         .supervisor = supervisor_ref,
                                                         .mailbox_messages = WATCHER_MAILBOX),
                                  &ref, error);
}

static enum rollcall_status open(struct rollcall_etcd *etcd,
                                 const struct rollcall_watch_options *given,
                                 struct collection *collection, struct rollcall_watch **opened,
                                 struct rollcall_error *error)
{
    struct rollcall_watch_options options;
    struct watcher_config *config = NULL;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_watch_options", error);
    if (status != ROLLCALL_OK || (status = check(&options, error)) != ROLLCALL_OK ||
        (status = create_config(etcd, &options, collection, &config, error)) != ROLLCALL_OK) {
        return status;
    }
    struct rollcall_watch *watch = rollcall__allocate_zeroed(1, sizeof *watch);
    if (watch == NULL) {
        rollcall_object_drop(&config->object);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
    }
    rollcall__handle_init(&watch->handle, etcd, destroy_watch);
    watch->on_event = collection == NULL ? options.on_event : NULL;
    watch->user = options.user;
    watch->collection = collection;
    status = spawn(watch, config, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall__handle_close(&watch->handle), "the first error is told");
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
    return status == ROLLCALL_OK ? rollcall__handle_close(&watch->handle) : status;
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

/* BEGIN, the sessions, END. */
static void tell_collected(const struct collection *collection, size_t index,
                           const struct rollcall_watch_options *options)
{
    struct rollcall_watch_event told = view_of(collection->events[index]);
    if (told.type == ROLLCALL_WATCH_UPDATE) {
        told.type = ROLLCALL_WATCH_SESSION;
    } else if (told.type == ROLLCALL_WATCH_SNAPSHOT_END) {
        told.count = collection->count - 2;
    }
    options->on_event(options->user, &told);
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
    ROLLCALL_DROP(rollcall__handle_close(&watch->handle), "nothing it could tell is wanted");
    for (size_t i = 0; i < collection.count; i++) {
        if (status == ROLLCALL_OK) {
            tell_collected(&collection, i, options);
        }
        rollcall_object_drop(&collection.events[i]->object);
    }
    free(collection.events);
    if (status != ROLLCALL_OK && error != NULL) {
        *error = collection.error;
    }
    return status;
}

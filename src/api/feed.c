#include "api/feed.h"

#include "actors/auditor.h"
#include "actors/supervisor.h"
#include "base/buffer.h"
#include "base/memory.h"

#include <stdlib.h>

enum { ROOT_MAILBOX = 8 };

static void destroy(struct rollcall_object *object)
{
    struct rollcall__feed *feed = (struct rollcall__feed *)object;
    rollcall_object_drop(&feed->config->object);
    rollcall_object_drop(&feed->meter->object);
    rollcall__handle_fini(&feed->handle);
    free(feed);
}

/* Nobody tells the root anything. */
static void tell_nothing(struct rollcall_object *handle, struct rollcall_object *event)
{
    (void)handle, (void)event;
}

/* On the worker, before the watchers, which are stopped with all the rest, tell of it. */
static void note_failure(struct rollcall_object *handle, const struct rollcall_error *error)
{
    struct rollcall__feed *feed = (struct rollcall__feed *)handle;
    rollcall__monitor_lock(&feed->handle.monitor);
    feed->error = *error;
    rollcall__monitor_unlock(&feed->handle.monitor);
    rollcall__feed_is_over(feed);
}

void rollcall__feed_is_over(struct rollcall__feed *feed)
{
    atomic_store(&feed->over, true); /* with find(): who sees it late opens on what is over */
}

bool rollcall__feed_failure(struct rollcall__feed *feed, struct rollcall_error *error)
{
    rollcall__monitor_lock(&feed->handle.monitor);
    *error = feed->error;
    rollcall__monitor_unlock(&feed->handle.monitor);
    return error->status != ROLLCALL_OK;
}

/* ---- beginning ---- */

static enum rollcall_status spawn(const struct rollcall__feed *feed,
                                  const struct rollcall_spawn_options *options,
                                  struct rollcall_ref *ref, struct rollcall_error *error)
{
    return rollcall_runtime_spawn(rollcall__etcd_runtime(feed->handle.etcd), feed->handle.worker,
                                  options, ref, error);
}

/* What compares what they are told with etcd. */
static enum rollcall_status audit(const struct rollcall__feed *feed, struct rollcall_ref reflector,
                                  struct rollcall_error *error)
{
    const struct auditor_options auditor = {
        .config = (struct reflector_config *)rollcall_object_keep(&feed->config->object),
        .hub = feed->hub,
        .reflector = reflector,
        .transport = rollcall__etcd_bulk(feed->handle.etcd)};
    struct rollcall_ref ref;
    return spawn(feed,
                 ROLLCALL_SPAWN_OPTIONS(.type = &auditor_type, .options = &auditor,
                                        .supervisor = feed->supervisor,
                                        .mailbox_messages = AUDITOR_MAILBOX),
                 &ref, error);
}

/* What tells the watchers.  first: of a feed of its own, with its meter; else nobody. */
static enum rollcall_status begin(struct rollcall__feed *feed, struct rollcall_ref first,
                                  struct hub_watcher_meter *first_meter,
                                  struct rollcall_error *error)
{
    const struct hub_options hub = {
        .from_revision = feed->config->from_revision,
        .first = first,
        .first_meter = first_meter,
        .meter = (struct hub_meter *)rollcall_object_keep(&feed->meter->object)};
    if (first_meter != NULL) {
        rollcall_object_keep(&first_meter->object);
    }
    struct rollcall_ref ref;
    enum rollcall_status status = spawn(feed,
                                        ROLLCALL_SPAWN_OPTIONS(.type = &hub_type, .options = &hub,
                                                               .supervisor = feed->supervisor,
                                                               .mailbox_messages = HUB_MAILBOX),
                                        &feed->hub, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const struct reflector_options reflector = {
        .config = (struct reflector_config *)rollcall_object_keep(&feed->config->object),
        .hub = feed->hub,
        .transport = rollcall__etcd_bulk(feed->handle.etcd)};
    status = spawn(feed,
                   ROLLCALL_SPAWN_OPTIONS(.type = &reflector_type, .options = &reflector,
                                          .supervisor = feed->supervisor,
                                          .mailbox_messages = REFLECTOR_MAILBOX),
                   &ref, error);
    return status == ROLLCALL_OK && feed->config->audit_ms != 0 ? audit(feed, ref, error) : status;
}

/* The root and the supervisor, and of one that is shared all the rest. */
static enum rollcall_status start(struct rollcall__feed *feed, struct rollcall_error *error)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    enum rollcall_status status =
        rollcall__handle_start(&feed->handle, ROOT_MAILBOX, tell_nothing, note_failure, error);
    if (status == ROLLCALL_OK) {
        status = spawn(feed,
                       ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor,
                                              .supervisor = feed->handle.application),
                       &feed->supervisor, error);
    }
    return status == ROLLCALL_OK && feed->shared
               ? begin(feed, (struct rollcall_ref){0}, NULL, error)
               : status;
}

/* config: moved.  NULL: *error says why. */
static struct rollcall__feed *create(struct rollcall_etcd *etcd, struct reflector_config *config,
                                     bool shared, struct rollcall_error *error)
{
    struct rollcall__feed *feed = rollcall__allocate_zeroed(1, sizeof *feed);
    if (feed == NULL || (feed->meter = hub_meter_create()) == NULL) {
        free(feed);
        rollcall_object_drop(&config->object);
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "watch: out of memory");
        return NULL;
    }
    rollcall__handle_init(&feed->handle, etcd, destroy);
    feed->config = config;
    feed->shared = shared;
    feed->users = 1;
    return feed;
}

static bool is_same(const struct reflector_config *a, const struct reflector_config *b)
{
    return rollcall__bytes_equal(a->range_start, b->range_start) &&
           rollcall__bytes_equal(a->range_end, b->range_end) && a->raw_prefix == b->raw_prefix &&
           a->connect_timeout_ms == b->connect_timeout_ms && a->audit_ms == b->audit_ms;
}

static struct rollcall__feed *find(const struct rollcall__feeds *feeds,
                                   const struct reflector_config *config)
{
    struct rollcall__feed *feed = feeds->first;
    while (feed != NULL && (atomic_load(&feed->over) || !is_same(feed->config, config))) {
        feed = feed->next;
    }
    return feed;
}

/* Under the lock: a second one that comes meanwhile waits, and finds it. */
static enum rollcall_status find_or_start(struct rollcall__feeds *feeds, struct rollcall_etcd *etcd,
                                          struct reflector_config *config,
                                          struct rollcall__feed **found,
                                          struct rollcall_error *error)
{
    struct rollcall__feed *feed = find(feeds, config);
    enum rollcall_status status = ROLLCALL_OK;
    if (feed != NULL) {
        feed->users++;
        rollcall_object_drop(&config->object);
    } else if ((feed = create(etcd, config, true, error)) == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    } else if ((status = start(feed, error)) != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall__handle_close(&feed->handle), "the first error is told");
        return status;
    } else {
        feed->next = feeds->first;
        feeds->first = feed;
    }
    *found = feed;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__feed_open(struct rollcall_etcd *etcd,
                                         struct reflector_config *config, bool shared,
                                         struct rollcall__feed **feed, struct rollcall_error *error)
{
    struct rollcall__feeds *feeds = rollcall__etcd_feeds(etcd);
    enum rollcall_status status;
    if (shared) {
        rollcall__monitor_lock(&feeds->monitor);
        status = find_or_start(feeds, etcd, config, feed, error);
        rollcall__monitor_unlock(&feeds->monitor);
        return status;
    }
    struct rollcall__feed *own = create(etcd, config, false, error);
    if (own == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    if ((status = start(own, error)) != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall__handle_close(&own->handle), "the first error is told");
        return status;
    }
    *feed = own;
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__feed_watch(struct rollcall__feed *feed,
                                          struct watcher_options *options,
                                          struct rollcall_ref *watcher,
                                          struct rollcall_error *error)
{
    struct hub_watcher_meter *meter = options->meter; /* the caller's, too */
    options->hub = feed->hub;                         /* nobody: it is begun below */
    const enum rollcall_status status = spawn(
        feed,
        ROLLCALL_SPAWN_OPTIONS(.type = &watcher_type, .options = options,
                               .supervisor = feed->supervisor, .mailbox_messages = WATCHER_MAILBOX),
        watcher, error);
    return status == ROLLCALL_OK && !feed->shared ? begin(feed, *watcher, meter, error) : status;
}

/* ---- ending ---- */

/* True: that was the last user. */
static bool leave(struct rollcall__feeds *feeds, struct rollcall__feed *feed)
{
    struct rollcall__feed **at = &feeds->first;
    if (--feed->users > 0) {
        return false;
    }
    while (*at != NULL && *at != feed) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        *at = feed->next;
    }
    return true;
}

void rollcall__feed_close(struct rollcall__feed *feed, bool timely)
{
    struct rollcall__feeds *feeds = rollcall__etcd_feeds(feed->handle.etcd);
    rollcall__monitor_lock(&feeds->monitor);
    const bool last = leave(feeds, feed);
    rollcall__monitor_unlock(&feeds->monitor);
    if (last && timely) {
        ROLLCALL_DROP(rollcall__handle_close(&feed->handle), "it ends when its worker is free");
    } else if (last) {
        rollcall__handle_let_go(&feed->handle);
    }
}

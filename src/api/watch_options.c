/* What a watch is asked for: options checked, and made into what the actors need. */
#include "api/watch_options.h"

#include "api/handle.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "session/keys.h"

#include <stdlib.h>

enum { AUDIT_MS = 300000, AUDIT_MIN_MS = 1000 };

enum rollcall_status rollcall__watch_check(const struct rollcall_watch_options *o,
                                           struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    if ((o->on_event != NULL) + (o->on_events != NULL) + (o->queue != NULL) != 1) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "give one of on_event, on_events and queue");
    }
    if (o->on_rewatch != NULL && o->queue != NULL) {
        return rollcall_error_set(
            error, ROLLCALL_E_INVALID,
            "on_rewatch would overtake what waits in the queue: leave it out, "
            "and take a view at RESYNC_END");
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

enum rollcall_status rollcall__watch_config(const char *endpoints,
                                            const struct rollcall_watch_options *o,
                                            int64_t list_contact_ms,
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
    config->endpoints = copy_bytes(config, rollcall__bytes(endpoints), &failed).data;
    config->raw_prefix = o->raw_prefix && o->role != NULL;
    config->list_only = list_contact_ms != 0 || o->once;
    config->from_revision = o->from_revision;
    config->connect_timeout_ms =
        o->connect_timeout_ms == 0 ? ROLLCALL__CONNECT_TIMEOUT_MS : o->connect_timeout_ms;
    if (list_contact_ms != 0 && config->connect_timeout_ms > list_contact_ms) {
        config->connect_timeout_ms = list_contact_ms;
    }
    config->audit_ms = list_contact_ms != 0 ? 0 : audit_ms(o);
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

enum rollcall_status rollcall__watch_filter(const char *version_range,
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

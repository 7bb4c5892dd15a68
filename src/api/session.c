/* The public calls of rollcall/session.h: options checked and copied, then messages. */
#include "actors/session.h"

#include "actors/allocator.h"
#include "actors/supervisor.h"
#include "api/handle.h"
#include "base/options.h"
#include "runtime/port.h"
#include "session/keys.h"
#include "session/labels.h"
#include "session/semver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TTL_DEFAULT_S = 30,
    TTL_MIN_S = 2,
    RETRIES_DEFAULT = 30,
    ADDRESS_MAX_BYTES = 4096,
    LABELS_MAX = 256,
    CONTROL_WORKER = 0,
    APPLICATION_MAILBOX = 64,
    ALLOCATOR_MAILBOX = 8192, /* asks that come at once; more are tried again */
    HOST_NAME_BYTES = 256
};
static const int64_t TTL_MAX_S = 9000000000; /* etcd's own limit */
static const char *const ROOT_DEFAULT = "by-dev/meta";
static const char *const VERSION_DEFAULT = "2.4.2";

struct rollcall_session {
    struct rollcall__handle handle; /* must be first */
    struct rollcall_ref root;
    rollcall_session_event_fn *on_event;
    void *user;
    int64_t open_timeout_ms;
    /* Guarded by handle.monitor; written by the application actor. */
    struct session_membership *membership; /* shared; NULL until it has registered */
    enum rollcall_session_state state;
    struct rollcall_error error; /* why it is in this state */
    uint64_t sequence;           /* of the event told last; the application actor's */
};

/* ---- options ---- */

static enum rollcall_status check_numbers(const struct rollcall_session_options *o,
                                          struct rollcall_error *error)
{
    if (o->ttl_s != 0 && (o->ttl_s < TTL_MIN_S || o->ttl_s > TTL_MAX_S)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the TTL is %lld s: give %d to %lld seconds", (long long)o->ttl_s,
                                  TTL_MIN_S, (long long)TTL_MAX_S);
    }
    if (o->server_id < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the server ID is %lld: give a positive one, or 0 to have one "
                                  "allocated",
                                  (long long)o->server_id);
    }
    return rollcall__connect_timeout_check(o->connect_timeout_ms, error);
}

static enum rollcall_status check_address(const char *address, struct rollcall_error *error)
{
    const size_t size_bytes = address == NULL ? 0 : strlen(address);
    if (size_bytes == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the address is missing: give HOST:PORT, where others reach this "
                                  "process");
    }
    if (size_bytes > ADDRESS_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the address has %zu bytes: give at most %d", size_bytes,
                                  ADDRESS_MAX_BYTES);
    }
    for (size_t i = 0; i < size_bytes; i++) {
        if ((unsigned char)address[i] <= ' ' || address[i] == '\x7f') {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "the address holds a blank or a control character: give "
                                      "HOST:PORT, where others reach this process");
        }
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_labels(const struct rollcall_session_options *o,
                                         struct rollcall_error *error)
{
    if (o->label_count > LABELS_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "there are %zu labels: give at most %d", o->label_count,
                                  LABELS_MAX);
    }
    if (o->label_count != 0 && o->labels == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "labels is NULL, but label_count is %zu: give both, or neither",
                                  o->label_count);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check(const struct rollcall_session_options *o,
                                  struct rollcall_error *error)
{
    struct rollcall__semver version;
    enum rollcall_status status = rollcall__role_check(o->role, error);
    if (status == ROLLCALL_OK && o->root != NULL) {
        status = rollcall__root_check(o->root, error);
    }
    if (status == ROLLCALL_OK) {
        status = check_address(o->address, error);
    }
    if (status == ROLLCALL_OK && o->version != NULL) {
        status = rollcall__semver_parse(rollcall__bytes(o->version), &version, error);
    }
    if (status == ROLLCALL_OK) {
        status = check_numbers(o, error);
    }
    return status == ROLLCALL_OK ? check_labels(o, error) : status;
}

/* ---- the shared configuration ---- */

static void destroy_config(struct rollcall_object *object)
{
    struct session_config *config = (struct session_config *)object;
    rollcall__arena_free(&config->arena);
    free(config);
}

/* A copy in the config's arena; sets *failed when out of memory. */
static struct rollcall_bytes copy_bytes(struct session_config *config, struct rollcall_bytes from,
                                        bool *failed)
{
    struct rollcall_bytes copy = {"", 0};
    *failed |= !rollcall__arena_copy(&config->arena, from, &copy);
    return copy;
}

static struct rollcall_bytes copy_text(struct session_config *config, const char *text,
                                       bool *failed)
{
    return copy_bytes(config, rollcall__bytes(text), failed);
}

static void copy_labels(struct session_config *config, const struct rollcall_session_options *o,
                        bool *failed)
{
    struct rollcall_label *labels =
        rollcall__arena_alloc(&config->arena, 2 * o->label_count * sizeof *labels);
    if (labels == NULL) {
        *failed = true;
        return;
    }
    for (size_t i = 0; i < o->label_count; i++) {
        labels[i].name = copy_bytes(config, o->labels[i].name, failed);
        labels[i].value = copy_bytes(config, o->labels[i].value, failed);
    }
    config->record.labels = labels;
    config->record.label_count =
        rollcall__labels_sort(labels, labels + o->label_count, o->label_count);
}

static void fill_record(struct session_config *config, const struct rollcall_session_options *o,
                        bool *failed)
{
    struct rollcall_record *record = &config->record;
    char host_name[HOST_NAME_BYTES] = "";
    if (o->host_name == NULL && gethostname(host_name, sizeof host_name - 1) != 0) {
        host_name[0] = '\0'; /* as upstream: a node without a name still registers */
    }
    record->server_name = copy_text(config, o->role, failed);
    record->address = copy_text(config, o->address, failed);
    record->version = copy_text(config, o->version == NULL ? VERSION_DEFAULT : o->version, failed);
    record->host_name = copy_text(config, o->host_name == NULL ? host_name : o->host_name, failed);
    record->exclusive = o->exclusive;
    record->trigger_kill = o->trigger_kill;
    record->enable_disk = o->enable_disk;
    record->index_engine_version.minimal = o->index_version_min;
    record->index_engine_version.current = o->index_version_current;
    if (o->label_count != 0) {
        copy_labels(config, o, failed);
    }
}

static struct session_config *create_config(struct rollcall_etcd *etcd,
                                            const struct rollcall_session_options *o)
{
    struct session_config *config = calloc(1, sizeof *config);
    bool failed = false;
    if (config == NULL) {
        return NULL;
    }
    rollcall_object_init(&config->object, destroy_config);
    config->root = copy_text(config, o->root == NULL ? ROOT_DEFAULT : o->root, &failed).data;
    config->role = copy_text(config, o->role, &failed).data;
    config->endpoints = copy_text(config, rollcall__etcd_endpoints(etcd), &failed).data;
    config->exclusive = o->exclusive;
    config->ttl_s = o->ttl_s == 0 ? TTL_DEFAULT_S : o->ttl_s;
    config->server_id = o->server_id;
    config->retries = o->retries == 0 ? RETRIES_DEFAULT : o->retries;
    config->connect_timeout_ms =
        o->connect_timeout_ms == 0 ? ROLLCALL__CONNECT_TIMEOUT_MS : o->connect_timeout_ms;
    fill_record(config, o, &failed);
    if (failed) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

/* ---- what the application actor calls, on its worker ---- */

static void fill_info(const struct rollcall_session *session, struct rollcall_session_info *info)
{
    const struct session_membership *mine = session->membership;
    *info = (struct rollcall_session_info){.state = session->state, .key = ""};
    if (mine != NULL) {
        info->server_id = mine->server_id;
        info->lease_id = mine->lease_id;
        info->ttl_s = mine->ttl_s;
        info->revision = mine->revision;
        info->create_revision = mine->create_revision;
        info->key = mine->key;
    }
}

static void tell(struct rollcall_object *handle, struct rollcall_object *object)
{
    struct rollcall_session *session = (struct rollcall_session *)handle;
    const struct session_event *event = (const struct session_event *)object;
    struct rollcall_session_event told = {.state = event->state,
                                          .at_ms = event->at_ms,
                                          .status = event->status,
                                          .reason = event->reason};
    if (event->sequence <= session->sequence) {
        return; /* sent again, and not needed */
    }
    session->sequence = event->sequence;
    rollcall__monitor_lock(&session->handle.monitor);
    const bool closed = session->handle.closed;
    session->state = event->state;
    rollcall_error_set(&session->error, event->status, "%s", event->reason);
    if (session->membership == NULL && event->membership != NULL) {
        session->membership = event->membership;
        rollcall_object_keep(&event->membership->object);
    }
    fill_info(session, &told.info);
    rollcall__monitor_unlock(&session->handle.monitor);
    if (session->on_event != NULL && !closed) {
        session->on_event(session->user, &told);
    }
    rollcall__monitor_notify(&session->handle.monitor); /* after the callback: a waiter that closes
                                                           has seen every event before */
}

/* ---- the calls ---- */

static void destroy_session(struct rollcall_object *object)
{
    struct rollcall_session *session = (struct rollcall_session *)object;
    if (session->membership != NULL) {
        rollcall_object_drop(&session->membership->object);
    }
    rollcall__handle_fini(&session->handle);
    free(session);
}

static struct rollcall_session *create(struct rollcall_etcd *etcd,
                                       const struct rollcall_session_options *o,
                                       const struct session_config *config)
{
    struct rollcall_session *session = calloc(1, sizeof *session);
    if (session != NULL) {
        rollcall__handle_init(&session->handle, etcd, destroy_session);
        session->on_event = o->on_event;
        session->user = o->user;
        session->open_timeout_ms =
            config->connect_timeout_ms +
            (int64_t)config->retries *
                (rollcall__etcd_call_timeout_ms(etcd) + ROLLCALL__CONNECT_TIMEOUT_MS);
    }
    return session;
}

/* The allocator of server IDs, under a supervisor of its own: one for all sessions of a connection.
 */
static enum rollcall_status spawn_allocator(struct rollcall_etcd *etcd, struct rollcall_ref *root,
                                            struct rollcall_ref *allocator,
                                            struct rollcall_error *error)
{
    struct rollcall_runtime *rt = rollcall__etcd_runtime(etcd);
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct allocator_options options = {.transport = rollcall__etcd_control(etcd)};
    enum rollcall_status status = rollcall_runtime_spawn(
        rt, CONTROL_WORKER,
        ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor), root, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    return rollcall_runtime_spawn(rt, CONTROL_WORKER,
                                  ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type,
                                                         .options = &options, .supervisor = *root,
                                                         .mailbox_messages = ALLOCATOR_MAILBOX),
                                  allocator, error);
}

/* config: moved. */
static enum rollcall_status spawn(struct rollcall_session *session, struct session_config *config,
                                  struct rollcall_error *error)
{
    struct rollcall_etcd *etcd = session->handle.etcd;
    struct session_options options = {.config = config, .transport = rollcall__etcd_control(etcd)};
    enum rollcall_status status =
        rollcall__handle_start(&session->handle, APPLICATION_MAILBOX, tell, NULL, error);
    if (status == ROLLCALL_OK && config->server_id == 0) {
        status = rollcall__etcd_companion(etcd, spawn_allocator, &options.allocator, error);
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&config->object);
        return status;
    }
    options.application = session->handle.application;
    return rollcall_runtime_spawn(
        rollcall__etcd_runtime(etcd), CONTROL_WORKER,
        ROLLCALL_SPAWN_OPTIONS(.type = &session_type, .options = &options), &session->root, error);
}

enum rollcall_status rollcall_session_start(struct rollcall_etcd *etcd,
                                            const struct rollcall_session_options *given,
                                            struct rollcall_session **started,
                                            struct rollcall_error *error)
{
    struct rollcall_session_options options;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_session_options", error);
    if (status != ROLLCALL_OK || (status = check(&options, error)) != ROLLCALL_OK) {
        return status;
    }
    struct session_config *config = create_config(etcd, &options);
    struct rollcall_session *session = config == NULL ? NULL : create(etcd, &options, config);
    if (session == NULL) {
        rollcall_object_drop(config == NULL ? NULL : &config->object);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    status = spawn(session, config, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall__handle_close(&session->handle), "the first error is told");
        return status;
    }
    *started = session;
    return ROLLCALL_OK;
}

/* Called locked. */
static bool is_over(const struct rollcall_session *session)
{
    return session->state == ROLLCALL_SESSION_LOST || session->state == ROLLCALL_SESSION_STOPPED ||
           session->state == ROLLCALL_SESSION_FAILED;
}

enum rollcall_status rollcall_session_wait(struct rollcall_session *session, int64_t timeout_ms,
                                           struct rollcall_error *error)
{
    const int64_t deadline_ns = rollcall__deadline_ns(timeout_ms);
    struct rollcall_error why = {0};
    enum rollcall_status status = rollcall__handle_may_wait(&session->handle);
    if (status != ROLLCALL_OK) {
        return rollcall_error_set(error, status, "session: cannot wait here: %s",
                                  rollcall_status_text(status));
    }
    rollcall__monitor_lock(&session->handle.monitor);
    bool timely = true;
    while (timely && session->state != ROLLCALL_SESSION_ACTIVE && !is_over(session)) {
        timely = rollcall__monitor_wait(&session->handle.monitor, deadline_ns);
    }
    if (is_over(session)) {
        why = session->error;
        status = why.status == ROLLCALL_OK ? ROLLCALL_E_STOPPED : why.status;
    } else if (session->state != ROLLCALL_SESSION_ACTIVE) {
        status = ROLLCALL_E_TIMEOUT;
        rollcall_error_set(&why, status, "the session was not active within %lld ms",
                           (long long)timeout_ms);
    }
    rollcall__monitor_unlock(&session->handle.monitor);
    why.status = status;
    if (error != NULL && status != ROLLCALL_OK) {
        *error = why;
    }
    return status;
}

enum rollcall_status rollcall_session_open(struct rollcall_etcd *etcd,
                                           const struct rollcall_session_options *options,
                                           struct rollcall_session **opened,
                                           struct rollcall_error *error)
{
    struct rollcall_session *session;
    enum rollcall_status status = rollcall_session_start(etcd, options, &session, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    status = rollcall_session_wait(session, session->open_timeout_ms, error);
    if (status != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_session_close(session, ROLLCALL__CONNECT_TIMEOUT_MS),
                      "why it failed is told");
        return status;
    }
    *opened = session;
    return ROLLCALL_OK;
}

void rollcall_session_get_info(struct rollcall_session *session, struct rollcall_session_info *info)
{
    rollcall__monitor_lock(&session->handle.monitor);
    fill_info(session, info);
    rollcall__monitor_unlock(&session->handle.monitor);
}

void rollcall_session_stop(struct rollcall_session *session)
{
    rollcall__runtime_signal(rollcall__etcd_runtime(session->handle.etcd), session->root,
                             SESSION_LEAVE);
}

/* Called locked.  A LOST or FAILED session had nothing left to revoke. */
static enum rollcall_status how_it_ended(const struct rollcall_session *session)
{
    if (!is_over(session)) {
        return ROLLCALL_E_TIMEOUT;
    }
    return session->state == ROLLCALL_SESSION_STOPPED ? session->error.status : ROLLCALL_OK;
}

enum rollcall_status rollcall_session_close(struct rollcall_session *session, int64_t timeout_ms)
{
    if (session == NULL) {
        return ROLLCALL_OK;
    }
    const int64_t deadline_ns = rollcall__deadline_ns(timeout_ms);
    enum rollcall_status status = rollcall__handle_may_wait(&session->handle);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (timeout_ms > 0) {
        rollcall_session_stop(session);
        rollcall__monitor_lock(&session->handle.monitor);
        while (!is_over(session) && rollcall__monitor_wait(&session->handle.monitor, deadline_ns)) {
        }
        status = how_it_ended(session);
        rollcall__monitor_unlock(&session->handle.monitor);
    }
    rollcall_runtime_stop(rollcall__etcd_runtime(session->handle.etcd), session->root);
    const enum rollcall_status closed = rollcall__handle_close(&session->handle);
    return status == ROLLCALL_OK ? closed : status;
}

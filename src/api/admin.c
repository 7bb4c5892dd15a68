/* The public calls of rollcall/admin.h and rollcall/health.h: arguments checked and copied, then
 * one errand each. */
#include "actors/errand.h"

#include "actors/application.h"
#include "api/errand.h"
#include "api/handle.h"
#include "base/memory.h"
#include "runtime/port.h"
#include "session/keys.h"

#include <rollcall/admin.h>
#include <rollcall/health.h>

#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MS = 5000,
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
    LATE_MS = 1000, /* what a waiter adds, so that the errand's own sentence comes first */
    KEY_MAX_BYTES = 4096,
    APPLICATION_MAILBOX = 8 /* it is told one thing */
};

/* Whoever is told; all NULL: the caller waits. */
struct listener {
    rollcall_done_fn *done;
    rollcall_server_id_fn *server_id;
    rollcall_health_fn *health;
    void *user;
};

/* Where the caller that waits wants what came of it; NULL: nowhere. */
struct outcome {
    int64_t *server_id;
    struct rollcall_health *health;
};

struct errand_handle {
    struct rollcall__handle handle; /* must be first */
    struct listener listener;
    /* Guarded by handle.monitor: */
    bool told;
    struct rollcall_error error;
    int64_t server_id;
    struct rollcall_health health;
};

/* ---- arguments ---- */

enum rollcall_status rollcall__errand_check_timeout(int64_t timeout_ms,
                                                    struct rollcall_error *error)
{
    if (timeout_ms < 0 || timeout_ms > TIMEOUT_MAX_MS) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the timeout is %lld ms: give 1 to %d, or 0 for %d",
                                  (long long)timeout_ms, TIMEOUT_MAX_MS, TIMEOUT_MS);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_target(const struct rollcall_target *target,
                                         struct rollcall_error *error)
{
    const size_t size_bytes = target == NULL || target->key == NULL ? 0 : strlen(target->key);
    if (size_bytes == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the target has no key: give a session's in full, such as "
                                  "\"by-dev/meta/session/querynode-7\"");
    }
    if (size_bytes > KEY_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the target's key has %zu bytes: give at most %d", size_bytes,
                                  KEY_MAX_BYTES);
    }
    if (target->lease_id < 0 || target->create_revision < 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the target has lease %lld and create revision %lld: give what a "
                                  "list told, or 0 for whatever it is",
                                  (long long)target->lease_id, (long long)target->create_revision);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_root_and_timeout(const char *root, int64_t timeout_ms,
                                                   struct rollcall_error *error)
{
    const enum rollcall_status status =
        root == NULL ? ROLLCALL_OK : rollcall__root_check(root, error);
    return status == ROLLCALL_OK ? rollcall__errand_check_timeout(timeout_ms, error) : status;
}

static enum rollcall_status check_told(bool told, struct rollcall_error *error)
{
    return told ? ROLLCALL_OK
                : rollcall_error_set(error, ROLLCALL_E_INVALID,
                                     "done is missing: give a function to tell, or call the form "
                                     "that waits");
}

/* ---- the shared configuration ---- */

static void destroy_config(struct rollcall_object *object)
{
    struct errand_config *config = (struct errand_config *)object;
    if (config->session != NULL) {
        rollcall_object_drop(&config->session->object);
    }
    if (config->write != NULL) {
        rollcall_object_drop(&config->write->object);
    }
    rollcall__arena_free(&config->arena);
    free(config);
}

static void destroy_session_config(struct rollcall_object *object)
{
    struct session_config *config = (struct session_config *)object;
    rollcall__arena_free(&config->arena);
    free(config);
}

/* NULL: out of memory. */
static const char *copy_text(struct rollcall__arena *arena, const char *text)
{
    struct rollcall_bytes copy;
    return rollcall__arena_copy(arena, rollcall__bytes(text), &copy) ? copy.data : NULL;
}

static struct errand_config *create_config(const struct rollcall_etcd *etcd, enum errand_kind kind,
                                           int64_t timeout_ms)
{
    struct errand_config *config = rollcall__allocate_zeroed(1, sizeof *config);
    if (config == NULL) {
        return NULL;
    }
    rollcall_object_init(&config->object, destroy_config);
    config->kind = kind;
    config->timeout_ms = timeout_ms == 0 ? TIMEOUT_MS : timeout_ms;
    config->endpoints = copy_text(&config->arena, rollcall__etcd_endpoints(etcd));
    if (config->endpoints == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

static struct errand_config *create_target_config(const struct rollcall_etcd *etcd,
                                                  enum errand_kind kind,
                                                  const struct rollcall_target *target,
                                                  int64_t timeout_ms)
{
    struct errand_config *config = create_config(etcd, kind, timeout_ms);
    if (config == NULL) {
        return NULL;
    }
    config->lease_id = target->lease_id;
    config->create_revision = target->create_revision;
    config->key = copy_text(&config->arena, target->key);
    if (config->key == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

/* The allocator knows a root by a session's configuration: here one that has nothing else. */
static struct session_config *create_root_config(const char *root)
{
    struct session_config *config = rollcall__allocate_zeroed(1, sizeof *config);
    if (config == NULL) {
        return NULL;
    }
    rollcall_object_init(&config->object, destroy_session_config);
    config->root = copy_text(&config->arena, root == NULL ? ROLLCALL__ROOT_DEFAULT : root);
    if (config->root == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

static struct errand_config *create_id_config(const struct rollcall_etcd *etcd, const char *root,
                                              bool reuse, int64_t timeout_ms)
{
    struct errand_config *config = create_config(etcd, ERRAND_SERVER_ID, timeout_ms);
    if (config == NULL) {
        return NULL;
    }
    config->reuse = reuse;
    config->session = create_root_config(root);
    if (config->session == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

static struct errand_config *create_health_config(const struct rollcall_etcd *etcd,
                                                  const char *root, int64_t timeout_ms)
{
    struct errand_config *config = create_config(etcd, ERRAND_HEALTH, timeout_ms);
    if (config == NULL) {
        return NULL;
    }
    struct rollcall__buffer prefix = {0};
    struct rollcall_bytes copy = {0};
    rollcall__key_prefix(&prefix, root == NULL ? ROLLCALL__ROOT_DEFAULT : root, NULL);
    if (!prefix.failed &&
        rollcall__arena_copy(&config->arena, rollcall__buffer_bytes(&prefix), &copy)) {
        config->key = copy.data;
    }
    rollcall__buffer_free(&prefix);
    if (config->key == NULL) {
        rollcall_object_drop(&config->object);
        return NULL;
    }
    return config;
}

/* ---- what the application actor calls, on its worker ---- */

static bool has_listener(const struct listener *listener)
{
    return listener->done != NULL || listener->server_id != NULL || listener->health != NULL;
}

static void tell_listener(const struct listener *to, const struct rollcall_error *error,
                          int64_t server_id, const struct rollcall_health *health)
{
    const bool done = error->status == ROLLCALL_OK;
    if (to->done != NULL) {
        to->done(to->user, error);
    } else if (to->server_id != NULL) {
        to->server_id(to->user, done ? server_id : 0, error);
    } else {
        to->health(to->user, done ? health : NULL, error);
    }
}

/* The result, once: to the waiter, or to the callback, after which nothing is left to be done. */
static void deliver(struct errand_handle *errand, const struct rollcall_error *error,
                    int64_t server_id, const struct rollcall_health *health)
{
    if (has_listener(&errand->listener)) {
        tell_listener(&errand->listener, error, server_id, health);
        rollcall__handle_finish(&errand->handle);
        return;
    }
    rollcall__monitor_lock(&errand->handle.monitor);
    errand->told = true;
    errand->error = *error;
    errand->server_id = server_id;
    if (health != NULL) {
        errand->health = *health;
    }
    rollcall__monitor_notify(&errand->handle.monitor);
    rollcall__monitor_unlock(&errand->handle.monitor);
}

static void tell(struct rollcall_object *handle, struct rollcall_object *object)
{
    const struct errand_result *result = (const struct errand_result *)object;
    deliver((struct errand_handle *)handle, &result->error, result->server_id, &result->health);
}

/* The errand failed by itself, which it cannot tell: what it had sent may have been done. */
static void tell_failed(struct rollcall_object *handle, const struct rollcall_error *error)
{
    struct rollcall_error told = *error;
    told.maybe_applied = true;
    deliver((struct errand_handle *)handle, &told, 0, NULL);
}

/* ---- the calls ---- */

static void destroy_errand(struct rollcall_object *object)
{
    struct errand_handle *errand = (struct errand_handle *)object;
    rollcall__handle_fini(&errand->handle);
    free(errand);
}

/* The errand lives under the application actor, on its worker.  config: moved. */
static enum rollcall_status spawn(struct errand_handle *errand, struct errand_config *config,
                                  struct rollcall_error *error)
{
    struct rollcall_etcd *etcd = errand->handle.etcd;
    struct errand_options options = {.config = config,
                                     .transport = rollcall__etcd_control(etcd),
                                     .allocator = rollcall__etcd_allocator(etcd)};
    struct rollcall_ref ref;
    const enum rollcall_status status =
        rollcall__handle_start(&errand->handle, APPLICATION_MAILBOX, tell, tell_failed, error);
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&config->object);
        return status;
    }
    options.application = errand->handle.application;
    return rollcall__spawn(rollcall__etcd_runtime(etcd), errand->handle.worker,
                           ROLLCALL_SPAWN_OPTIONS(.type = &errand_type, .options = &options,
                                                  .supervisor = errand->handle.application,
                                                  .restart = ROLLCALL_TEMPORARY),
                           &ref, error);
}

/* config: moved; NULL: out of memory. */
static enum rollcall_status begin(struct rollcall_etcd *etcd, struct errand_config *config,
                                  const struct listener *listener, struct errand_handle **begun,
                                  struct rollcall_error *error)
{
    struct errand_handle *errand =
        config == NULL ? NULL : rollcall__allocate_zeroed(1, sizeof *errand);
    if (errand == NULL) {
        rollcall_object_drop(config == NULL ? NULL : &config->object);
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "admin: out of memory");
    }
    rollcall__handle_init(&errand->handle, etcd, destroy_errand);
    errand->listener = *listener;
    errand->handle.unattended = has_listener(listener);
    if (!errand->handle.unattended) { /* nothing of the application's runs: no callback delays it */
        errand->handle.worker = rollcall__etcd_control_worker(etcd);
    }
    *begun = errand;
    return spawn(errand, config, error);
}

/* Begins it and returns; it frees itself after it was told. */
static enum rollcall_status run_later(struct rollcall_etcd *etcd, struct errand_config *config,
                                      const struct listener *listener, struct rollcall_error *error)
{
    struct errand_handle *errand = NULL;
    const enum rollcall_status status = begin(etcd, config, listener, &errand, error);
    if (errand != NULL) {
        if (status != ROLLCALL_OK) {
            rollcall__handle_finish(&errand->handle);
        }
        rollcall_object_drop(&errand->handle.object);
    }
    return status;
}

/* Waits for the result, and closes the errand: or lets go of it, when a callback holds the only
 * worker, for the result may then still come. */
static enum rollcall_status finish(struct errand_handle *errand, int64_t timeout_ms,
                                   const struct outcome *outcome, struct rollcall_error *error)
{
    const int64_t deadline_ns = rollcall__handle_deadline_ns(&errand->handle, timeout_ms + LATE_MS);
    struct rollcall_error result;
    rollcall__monitor_lock(&errand->handle.monitor);
    while (!errand->told && rollcall__handle_wait(&errand->handle, deadline_ns)) {
    }
    const bool told = errand->told;
    if (!told) {
        rollcall_error_set(&errand->error, ROLLCALL_E_TIMEOUT,
                           "not done within %lld ms, for a callback holds the runtime's worker: "
                           "let callbacks return, or give the runtime two workers",
                           (long long)timeout_ms);
        errand->error.maybe_applied = true;
    }
    result = errand->error;
    if (result.status == ROLLCALL_OK && outcome->server_id != NULL) {
        *outcome->server_id = errand->server_id;
    }
    if (result.status == ROLLCALL_OK && outcome->health != NULL) {
        *outcome->health = errand->health;
    }
    rollcall__monitor_unlock(&errand->handle.monitor);
    if (result.status != ROLLCALL_OK && error != NULL) {
        *error = result;
    }
    if (told) {
        ROLLCALL_DROP(rollcall__handle_close(&errand->handle), "it has been told");
    } else {
        rollcall__handle_let_go(&errand->handle);
    }
    return result.status;
}

/* Begins it and waits. */
static enum rollcall_status run(struct rollcall_etcd *etcd, struct errand_config *config,
                                const struct outcome *outcome, struct rollcall_error *error)
{
    const struct listener nobody = {.user = NULL};
    const int64_t timeout_ms = config == NULL ? 0 : config->timeout_ms;
    struct errand_handle *errand = NULL;
    enum rollcall_status status = begin(etcd, config, &nobody, &errand, error);
    if (errand == NULL) {
        return status;
    }
    if (status == ROLLCALL_OK) {
        return finish(errand, timeout_ms, outcome, error);
    }
    rollcall__handle_let_go(&errand->handle);
    return status;
}

struct errand_config *rollcall__errand_write(const struct rollcall_etcd *etcd,
                                             struct transport_request *write, int64_t token,
                                             int64_t timeout_ms)
{
    struct errand_config *config =
        write == NULL ? NULL : create_config(etcd, ERRAND_WRITE, timeout_ms);
    if (config == NULL) {
        rollcall_object_drop((struct rollcall_object *)write);
        return NULL;
    }
    config->write = write;
    config->token = token;
    return config;
}

enum rollcall_status rollcall__errand_run(struct rollcall_etcd *etcd, struct errand_config *config,
                                          struct rollcall_error *error)
{
    return run(etcd, config, &(struct outcome){0}, error);
}

enum rollcall_status rollcall__errand_run_later(struct rollcall_etcd *etcd,
                                                struct errand_config *config,
                                                rollcall_done_fn *done, void *user,
                                                struct rollcall_error *error)
{
    const struct listener listener = {.done = done, .user = user};
    return run_later(etcd, config, &listener, error);
}

static enum rollcall_status check_may_wait(const struct rollcall_etcd *etcd,
                                           struct rollcall_error *error)
{
    const enum rollcall_status status = rollcall__runtime_may_wait(rollcall__etcd_runtime(etcd));
    return status == ROLLCALL_OK
               ? status
               : rollcall_error_set(error, status, "admin: cannot wait here: %s%s",
                                    rollcall_status_text(status),
                                    status == ROLLCALL_E_BUSY
                                        ? ": a callback runs, call the form that does not wait"
                                        : "");
}

static enum rollcall_status act(struct rollcall_etcd *etcd, enum errand_kind kind,
                                const struct rollcall_target *target, int64_t timeout_ms,
                                struct rollcall_error *error)
{
    enum rollcall_status status = check_may_wait(etcd, error);
    if (status != ROLLCALL_OK || (status = check_target(target, error)) != ROLLCALL_OK ||
        (status = rollcall__errand_check_timeout(timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run(etcd, create_target_config(etcd, kind, target, timeout_ms), &(struct outcome){0},
               error);
}

static enum rollcall_status act_later(struct rollcall_etcd *etcd, enum errand_kind kind,
                                      const struct rollcall_target *target, int64_t timeout_ms,
                                      rollcall_done_fn *done, void *user,
                                      struct rollcall_error *error)
{
    const struct listener listener = {.done = done, .user = user};
    enum rollcall_status status = check_told(done != NULL, error);
    if (status != ROLLCALL_OK || (status = check_target(target, error)) != ROLLCALL_OK ||
        (status = rollcall__errand_check_timeout(timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run_later(etcd, create_target_config(etcd, kind, target, timeout_ms), &listener, error);
}

enum rollcall_status rollcall_mark_stopping(struct rollcall_etcd *etcd,
                                            const struct rollcall_target *target,
                                            int64_t timeout_ms, struct rollcall_error *error)
{
    return act(etcd, ERRAND_MARK_STOPPING, target, timeout_ms, error);
}

enum rollcall_status rollcall_mark_stopping_async(struct rollcall_etcd *etcd,
                                                  const struct rollcall_target *target,
                                                  int64_t timeout_ms, rollcall_done_fn *done,
                                                  void *user, struct rollcall_error *error)
{
    return act_later(etcd, ERRAND_MARK_STOPPING, target, timeout_ms, done, user, error);
}

enum rollcall_status rollcall_revoke(struct rollcall_etcd *etcd,
                                     const struct rollcall_target *target, int64_t timeout_ms,
                                     struct rollcall_error *error)
{
    return act(etcd, ERRAND_REVOKE, target, timeout_ms, error);
}

enum rollcall_status rollcall_revoke_async(struct rollcall_etcd *etcd,
                                           const struct rollcall_target *target, int64_t timeout_ms,
                                           rollcall_done_fn *done, void *user,
                                           struct rollcall_error *error)
{
    return act_later(etcd, ERRAND_REVOKE, target, timeout_ms, done, user, error);
}

struct errand_config *rollcall__errand_revocation(const struct rollcall_etcd *etcd,
                                                  const struct rollcall__revocation *revocation)
{
    struct errand_config *config = create_config(etcd, ERRAND_REVOKE_LEASE, revocation->timeout_ms);
    if (config != NULL) {
        config->lease_id = revocation->lease_id;
    }
    return config;
}

/* NULL: it could not be begun, and error says why. */
static struct errand_handle *begin_revocation(struct rollcall_etcd *etcd,
                                              const struct rollcall__revocation *revocation,
                                              struct rollcall_error *error)
{
    const struct listener nobody = {.user = NULL};
    struct errand_handle *errand = NULL;
    struct errand_config *config = rollcall__errand_revocation(etcd, revocation);
    if (begin(etcd, config, &nobody, &errand, error) != ROLLCALL_OK && errand != NULL) {
        rollcall__handle_let_go(&errand->handle);
        errand = NULL;
    }
    return errand;
}

enum rollcall_status rollcall__revoke_leases(struct rollcall_etcd *etcd,
                                             const struct rollcall__revocation *revocations,
                                             size_t count, struct rollcall_error *error)
{
    struct errand_handle *errands[ROLLCALL__REVOKE_AT_ONCE];
    struct rollcall_error failure = {0};
    for (size_t i = 0; i < count; i++) {
        errands[i] = begin_revocation(etcd, &revocations[i], &failure);
    }
    for (size_t i = 0; i < count; i++) {
        if (errands[i] != NULL) {
            ROLLCALL_DROP(
                finish(errands[i], revocations[i].timeout_ms, &(struct outcome){0}, &failure),
                "failure keeps the last that was none");
        }
    }
    if (failure.status != ROLLCALL_OK && error != NULL) {
        *error = failure;
    }
    return failure.status;
}

enum rollcall_status rollcall_server_id(struct rollcall_etcd *etcd, const char *root, bool reuse,
                                        int64_t timeout_ms, int64_t *server_id,
                                        struct rollcall_error *error)
{
    enum rollcall_status status = check_may_wait(etcd, error);
    if (status != ROLLCALL_OK ||
        (status = check_root_and_timeout(root, timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run(etcd, create_id_config(etcd, root, reuse, timeout_ms),
               &(struct outcome){.server_id = server_id}, error);
}

enum rollcall_status rollcall_server_id_async(struct rollcall_etcd *etcd, const char *root,
                                              bool reuse, int64_t timeout_ms,
                                              rollcall_server_id_fn *done, void *user,
                                              struct rollcall_error *error)
{
    const struct listener listener = {.server_id = done, .user = user};
    enum rollcall_status status = check_told(done != NULL, error);
    if (status != ROLLCALL_OK ||
        (status = check_root_and_timeout(root, timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run_later(etcd, create_id_config(etcd, root, reuse, timeout_ms), &listener, error);
}

enum rollcall_status rollcall_health(struct rollcall_etcd *etcd, const char *root,
                                     int64_t timeout_ms, struct rollcall_health *health,
                                     struct rollcall_error *error)
{
    enum rollcall_status status = check_may_wait(etcd, error);
    if (status != ROLLCALL_OK ||
        (status = check_root_and_timeout(root, timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run(etcd, create_health_config(etcd, root, timeout_ms),
               &(struct outcome){.health = health}, error);
}

enum rollcall_status rollcall_health_async(struct rollcall_etcd *etcd, const char *root,
                                           int64_t timeout_ms, rollcall_health_fn *done, void *user,
                                           struct rollcall_error *error)
{
    const struct listener listener = {.health = done, .user = user};
    enum rollcall_status status = check_told(done != NULL, error);
    if (status != ROLLCALL_OK ||
        (status = check_root_and_timeout(root, timeout_ms, error)) != ROLLCALL_OK) {
        return status;
    }
    return run_later(etcd, create_health_config(etcd, root, timeout_ms), &listener, error);
}

/* api/session_options.c - see session_options.h. */
#include "api/session_options.h"

#include "api/handle.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "runtime/port.h"
#include "sentinel/ledger.h"
#include "session/keys.h"
#include "session/labels.h"
#include "session/semver.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TTL_DEFAULT_S = 30,
    TTL_MIN_S = 2,
    RETRIES_DEFAULT = 30,
    ADDRESS_MAX_BYTES = 4096,
    LABELS_MAX = 256,
    HOST_NAME_BYTES = 256
};
static const int64_t TTL_MAX_S = 9000000000; /* etcd's own limit */
static const char *const VERSION_DEFAULT = "2.4.2";

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
    if (o->reuse_server_id && o->server_id != 0) {
        return rollcall_error_set(
            error, ROLLCALL_E_INVALID,
            "a server ID is given, and reuse_server_id too: give one of them");
    }
    if (o->election != NULL && o->share_lease) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "an election is given, and share_lease too: who stands for a "
                                  "role has a lease of its own, leave share_lease out");
    }
    if (o->on_lost != ROLLCALL_ON_LOST_STOP && o->on_lost != ROLLCALL_ON_LOST_REREGISTER) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "on_lost is %d: give one of enum rollcall_on_lost",
                                  (int)o->on_lost);
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
    rollcall_object_drop(config->guard);
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

/* Those of the environment and the given ones, copied and sorted. */
static enum rollcall_status copy_labels(struct session_config *config,
                                        const struct rollcall_session_options *o, bool *failed,
                                        struct rollcall_error *error)
{
    struct rollcall_label labels[LABELS_MAX], spare[LABELS_MAX];
    size_t count = 0;
    if (o->environment != NULL) {
        const enum rollcall_status status = rollcall__labels_from_environment(
            o->role, o->environment, labels, LABELS_MAX - o->label_count, &count, error);
        if (status != ROLLCALL_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < o->label_count; i++) {
        labels[count++] = o->labels[i];
    }
    count = rollcall__labels_sort(labels, spare, count);
    struct rollcall_label *copies = rollcall__arena_alloc(&config->arena, count * sizeof *copies);
    if (count == 0 || copies == NULL) {
        *failed |= count != 0;
        return ROLLCALL_OK;
    }
    for (size_t i = 0; i < count; i++) {
        copies[i].name = copy_bytes(config, labels[i].name, failed);
        copies[i].value = copy_bytes(config, labels[i].value, failed);
    }
    config->record.labels = copies;
    config->record.label_count = count;
    return ROLLCALL_OK;
}

static void fill_newer_fields(struct rollcall_record *record,
                              const struct rollcall_session_options *o)
{
    record->index_engine_version = o->index_version;
    record->has_scalar_index_engine_version = o->scalar_index_version != NULL;
    if (o->scalar_index_version != NULL) {
        record->scalar_index_engine_version = *o->scalar_index_version;
    }
    record->index_non_encoding = o->index_non_encoding;
    record->omit_trigger_kill = o->omit_trigger_kill;
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
    record->exclusive = o->exclusive || o->election != NULL;
    record->trigger_kill = o->trigger_kill;
    record->enable_disk = o->enable_disk;
    fill_newer_fields(record, o);
}

static void fill(struct session_config *config, const struct rollcall_session_options *o,
                 const char *endpoints, bool *failed)
{
    config->root =
        copy_text(config, o->root == NULL ? ROLLCALL__ROOT_DEFAULT : o->root, failed).data;
    config->role = copy_text(config, o->role, failed).data;
    config->endpoints = copy_text(config, endpoints, failed).data;
    config->exclusive = o->exclusive && o->election == NULL;
    config->stands = o->election != NULL;
    config->keep_predecessor = o->keep_predecessor;
    config->reuse_server_id = o->reuse_server_id;
    config->share_lease = o->share_lease;
    config->on_lost = o->on_lost;
    config->ttl_s = o->ttl_s == 0 ? TTL_DEFAULT_S : o->ttl_s;
    config->server_id = o->server_id;
    config->retries = o->retries == 0 ? RETRIES_DEFAULT : o->retries;
    config->connect_timeout_ms =
        o->connect_timeout_ms == 0 ? ROLLCALL__CONNECT_TIMEOUT_MS : o->connect_timeout_ms;
    fill_record(config, o, failed);
}

enum rollcall_status rollcall__session_config_create(const struct rollcall_session_options *given,
                                                     const char *endpoints,
                                                     struct rollcall_session_options *options,
                                                     struct session_config **created,
                                                     struct rollcall_error *error)
{
    bool failed = false;
    enum rollcall_status status =
        rollcall__options_copy(options, sizeof *options, given, "rollcall_session_options", error);
    if (status != ROLLCALL_OK || (status = check(options, error)) != ROLLCALL_OK) {
        return status;
    }
    struct session_config *config = rollcall__allocate_zeroed(1, sizeof *config);
    if (config == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    rollcall_object_init(&config->object, destroy_config);
    fill(config, options, endpoints, &failed);
    status = copy_labels(config, options, &failed, error);
    if (status == ROLLCALL_OK && failed) {
        status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "session: out of memory");
    }
    if (status != ROLLCALL_OK) {
        rollcall_object_drop(&config->object);
        return status;
    }
    *created = config;
    return ROLLCALL_OK;
}

/* ---- the sentinel ---- */

void rollcall__session_guard(struct rollcall_etcd *etcd, struct session_config *config)
{
    struct rollcall__ledger *ledger = rollcall__etcd_ledger(etcd);
    struct rollcall__ledger_entry *entry =
        ledger == NULL ? NULL : rollcall__ledger_open(ledger, config->ttl_s);
    if (entry != NULL) {
        config->guard = &entry->object;
        config->held_lease = &entry->slot->lease_id;
    } else if (ledger != NULL) {
        rollcall__log_write(rollcall__runtime_log(rollcall__etcd_runtime(etcd)), ROLLCALL_WARN,
                            "sentinel",
                            "no room for a session of %s: %d of one connection are looked after; a "
                            "crash of this one shows after its TTL",
                            config->role, ROLLCALL__LEDGER_SLOTS);
    }
}

void rollcall__session_unguard(const struct session_config *config)
{
    if (config->guard != NULL) {
        rollcall__ledger_close((struct rollcall__ledger_entry *)config->guard);
    }
}

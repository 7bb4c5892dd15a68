#include "actors/session_requests.h"

#include "base/buffer.h"
#include "session/keys.h"
#include "session/record.h"
#include "transport/request.h"

#include <inttypes.h>

void session_record_encode(const struct session_config *config, int64_t server_id, int64_t lease_id,
                           bool stopping, struct rollcall__buffer *value)
{
    struct rollcall_record record = config->record;
    record.server_id = server_id;
    record.has_lease_id = true;
    record.lease_id = lease_id;
    record.stopping = stopping;
    rollcall__record_encode(&record, value);
}

struct transport_request *session_request_claim(const struct session_config *config,
                                                struct rollcall_bytes key, int64_t server_id,
                                                int64_t lease_id, bool stopping)
{
    struct rollcall__buffer value = {0};
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_VERSION, .key = key};
    session_record_encode(config, server_id, lease_id, stopping, &value);
    struct transport_request *request =
        value.failed ? NULL
                     : transport_request_put_if(&absent, rollcall__buffer_bytes(&value), lease_id);
    rollcall__buffer_free(&value);
    return request;
}

struct transport_request *session_request_evict(const struct transport_kv *seen)
{
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_MOD_REVISION,
                      .key = seen->key,
                      .number = seen->mod_revision}},
        .compare_count = 1,
        .success = {{.kind = TRANSPORT_OP_DELETE, .key = seen->key}},
        .success_count = 1,
    };
    return transport_request_txn(&txn);
}

struct transport_request *session_request_withdraw(const char *key, int64_t create_revision,
                                                   int64_t lease_id)
{
    const struct rollcall_bytes name = rollcall__bytes(key);
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_LEASE, .key = name, .number = lease_id},
                     {.target = TRANSPORT_COMPARE_CREATE_REVISION,
                      .key = name,
                      .number = create_revision}},
        .compare_count = create_revision == 0 ? 1 : 2,
        .success = {{.kind = TRANSPORT_OP_DELETE, .key = name}},
        .success_count = 1,
    };
    return transport_request_txn(&txn);
}

struct transport_request *session_request_mark(const struct session_config *config,
                                               const struct session_membership *mine)
{
    struct rollcall__buffer value = {0};
    const struct rollcall_bytes key = rollcall__bytes(mine->key);
    session_record_encode(config, mine->server_id, mine->lease_id, true, &value);
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION,
                      .key = key,
                      .number = mine->create_revision},
                     {.target = TRANSPORT_COMPARE_LEASE, .key = key, .number = mine->lease_id}},
        .compare_count = 2,
        .success = {{.kind = TRANSPORT_OP_PUT,
                     .key = key,
                     .value = rollcall__buffer_bytes(&value),
                     .lease_id = mine->lease_id}},
        .success_count = 1,
    };
    struct transport_request *request = value.failed ? NULL : transport_request_txn(&txn);
    rollcall__buffer_free(&value);
    return request;
}

struct transport_request *session_request_mark_both(const struct session_config *config,
                                                    const struct session_membership *mine,
                                                    int64_t active_mod_revision, bool is_ours)
{
    struct rollcall__buffer value = {0}, active = {0};
    rollcall__key_session(&active, config->root, config->role, 0, true);
    session_record_encode(config, mine->server_id, mine->lease_id, true, &value);
    const struct rollcall_bytes key = rollcall__bytes(mine->key);
    const struct rollcall_bytes active_key = rollcall__buffer_bytes(&active);
    struct transport_op put = {.kind = TRANSPORT_OP_PUT,
                               .key = key,
                               .value = rollcall__buffer_bytes(&value),
                               .lease_id = mine->lease_id};
    struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION,
                      .key = key,
                      .number = mine->create_revision},
                     {.target = TRANSPORT_COMPARE_LEASE, .key = key, .number = mine->lease_id},
                     {.target = TRANSPORT_COMPARE_MOD_REVISION,
                      .key = active_key,
                      .number = active_mod_revision}},
        .compare_count = 3,
        .success = {put},
        .success_count = 1,
        .failure = {{.kind = TRANSPORT_OP_GET, .key = active_key},
                    {.kind = TRANSPORT_OP_GET, .key = key}},
        .failure_count = 2,
    };
    if (is_ours) {
        put.key = active_key;
        txn.success[txn.success_count++] = put;
    }
    struct transport_request *request =
        value.failed || active.failed ? NULL : transport_request_txn(&txn);
    rollcall__buffer_free(&value);
    rollcall__buffer_free(&active);
    return request;
}

enum rollcall_status session_read(int64_t server_id, struct rollcall_bytes value,
                                  struct session_reading *reading)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const enum rollcall_status status = rollcall__record_decode(value, &arena, &record, NULL);
    reading->is_ours = status == ROLLCALL_OK && record.server_id == server_id;
    reading->is_stopping = reading->is_ours && record.stopping;
    rollcall__arena_free(&arena);
    return status == ROLLCALL_E_NO_MEMORY ? status : ROLLCALL_OK;
}

/* The same role, host and address. */
static bool is_in_our_place(const struct session_config *config,
                            const struct rollcall_record *there)
{
    const struct rollcall_record *ours = &config->record;
    return rollcall__bytes_equal(there->server_name, ours->server_name) &&
           rollcall__bytes_equal(there->host_name, ours->host_name) &&
           rollcall__bytes_equal(there->address, ours->address);
}

static bool is_our_own(const struct session_config *config, int64_t lease_id,
                       const struct transport_kv *kv, const struct rollcall_record *there)
{
    return lease_id != 0 &&
           (kv->lease_id == lease_id ||
            (is_in_our_place(config, there) &&
             (there->lease_id == lease_id || (kv->lease_id == 0 && there->lease_id == 0))));
}

enum rollcall_status session_whose(const struct session_config *config, int64_t server_id,
                                   int64_t lease_id, const struct transport_kv *kv,
                                   enum session_owner *owner)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record there;
    const enum rollcall_status status = rollcall__record_decode(kv->value, &arena, &there, NULL);
    *owner = SESSION_RIVAL;
    if (status == ROLLCALL_OK && there.server_id == server_id &&
        is_our_own(config, lease_id, kv, &there)) {
        *owner = SESSION_OURSELVES;
    } else if (status == ROLLCALL_OK && there.server_id < server_id &&
               is_in_our_place(config, &there)) {
        *owner = SESSION_PREDECESSOR;
    }
    rollcall__arena_free(&arena);
    return status == ROLLCALL_E_NO_MEMORY ? status : ROLLCALL_OK;
}

bool session_is_from_etcd(enum rollcall_status status)
{
    return status == ROLLCALL_OK || status == ROLLCALL_E_NO_SPACE ||
           status == ROLLCALL_E_COMPACTED || status == ROLLCALL_E_LEASE_LOST ||
           status == ROLLCALL_E_CORRUPT || status == ROLLCALL_E_DENIED ||
           status == ROLLCALL_E_REJECTED;
}

void session_rival_error(const struct session_config *config, const char *key,
                         const struct transport_kv *rival, struct rollcall_error *error)
{
    rollcall_error_set(error, ROLLCALL_E_RIVAL,
                       "the key %.160s is held by another process (lease %" PRIx64 "): stop that "
                       "one%s",
                       key, (uint64_t)rival->lease_id,
                       rival->lease_id == 0 ? ", or delete the key: it has no lease to end"
                       : config->exclusive  ? ", or wait for its lease to end"
                                            : ", wait for its lease to end, or choose another "
                                              "server ID");
}

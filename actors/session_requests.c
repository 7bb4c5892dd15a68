#include "actors/session_requests.h"

#include "base/buffer.h"
#include "session/record.h"
#include "transport/request.h"

#include <inttypes.h>

static void encode(const struct session_config *config, int64_t server_id, int64_t lease_id,
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
    encode(config, server_id, lease_id, stopping, &value);
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

struct transport_request *session_request_mark(const struct session_config *config,
                                               const struct session_membership *mine)
{
    struct rollcall__buffer value = {0};
    const struct rollcall_bytes key = rollcall__bytes(mine->key);
    encode(config, mine->server_id, mine->lease_id, true, &value);
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

bool session_is_record_of(int64_t server_id, struct rollcall_bytes value)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const bool is_record = rollcall__record_decode(value, &arena, &record, NULL) == ROLLCALL_OK &&
                           record.server_id == server_id;
    rollcall__arena_free(&arena);
    return is_record;
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

bool session_is_stopping(struct rollcall_bytes value)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const bool is_stopping =
        rollcall__record_decode(value, &arena, &record, NULL) == ROLLCALL_OK && record.stopping;
    rollcall__arena_free(&arena);
    return is_stopping;
}

bool session_is_predecessor(const struct session_config *config, int64_t server_id,
                            const struct transport_kv *kv)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record there;
    const bool is_predecessor =
        rollcall__record_decode(kv->value, &arena, &there, NULL) == ROLLCALL_OK &&
        there.server_id < server_id && is_in_our_place(config, &there);
    rollcall__arena_free(&arena);
    return is_predecessor;
}

bool session_is_our_own(const struct session_config *config, int64_t server_id, int64_t lease_id,
                        const struct transport_kv *kv)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record there;
    const bool is_our_own =
        lease_id != 0 && rollcall__record_decode(kv->value, &arena, &there, NULL) == ROLLCALL_OK &&
        there.server_id == server_id &&
        (kv->lease_id == lease_id ||
         (is_in_our_place(config, &there) &&
          (there.lease_id == lease_id || (kv->lease_id == 0 && there.lease_id == 0))));
    rollcall__arena_free(&arena);
    return is_our_own;
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

#include "actors/election_requests.h"

#include "actors/session_requests.h"
#include "base/buffer.h"
#include "transport/request.h"

/* Else: what is under both keys. */
static void tell_what_is_there(struct transport_txn *txn, struct rollcall_bytes active_key,
                               const struct session_membership *mine)
{
    txn->failure[0] = (struct transport_op){.kind = TRANSPORT_OP_GET, .key = active_key};
    txn->failure[1] =
        (struct transport_op){.kind = TRANSPORT_OP_GET, .key = rollcall__bytes(mine->key)};
    txn->failure_count = 2;
}

/* `free`: how the active key must be. */
static struct transport_request *put_ours(const struct session_config *config,
                                          const struct session_membership *mine,
                                          const struct transport_compare *free,
                                          int64_t own_mod_revision)
{
    struct rollcall__buffer value = {0};
    session_record_encode(config, mine->server_id, mine->lease_id, false, &value);
    struct transport_txn txn = {
        .compares = {*free,
                     {.target = TRANSPORT_COMPARE_MOD_REVISION,
                      .key = rollcall__bytes(mine->key),
                      .number = own_mod_revision}},
        .compare_count = 2,
        .success = {{.kind = TRANSPORT_OP_PUT,
                     .key = free->key,
                     .value = rollcall__buffer_bytes(&value),
                     .lease_id = mine->lease_id}},
        .success_count = 1,
    };
    tell_what_is_there(&txn, free->key, mine);
    struct transport_request *request = value.failed ? NULL : transport_request_txn(&txn);
    rollcall__buffer_free(&value);
    return request;
}

struct transport_request *election_request_claim(const struct session_config *config,
                                                 const struct session_membership *mine,
                                                 struct rollcall_bytes active_key,
                                                 int64_t own_mod_revision)
{
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_CREATE_REVISION,
                                             .key = active_key};
    return put_ours(config, mine, &absent, own_mod_revision);
}

struct transport_request *election_request_force(const struct session_config *config,
                                                 const struct session_membership *mine,
                                                 struct rollcall_bytes active_key, int64_t seen,
                                                 int64_t own_mod_revision)
{
    const struct transport_compare as_seen = {
        .target = TRANSPORT_COMPARE_MOD_REVISION, .key = active_key, .number = seen};
    return put_ours(config, mine, &as_seen, own_mod_revision);
}

struct transport_request *election_request_clear(const struct session_membership *mine,
                                                 struct rollcall_bytes active_key, int64_t seen)
{
    struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_MOD_REVISION, .key = active_key, .number = seen}},
        .compare_count = 1,
        .success = {{.kind = TRANSPORT_OP_DELETE, .key = active_key}},
        .success_count = 1,
    };
    tell_what_is_there(&txn, active_key, mine);
    return transport_request_txn(&txn);
}

struct transport_request *election_request_give(const struct session_membership *mine,
                                                struct rollcall_bytes active_key,
                                                int64_t create_revision,
                                                const struct transport_kv *named)
{
    const struct transport_op take_away = {.kind = TRANSPORT_OP_DELETE, .key = active_key};
    struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION,
                      .key = active_key,
                      .number = create_revision},
                     {.target = TRANSPORT_COMPARE_LEASE,
                      .key = active_key,
                      .number = mine->lease_id}},
        .compare_count = 2,
    };
    if (named != NULL) {
        txn.compares[txn.compare_count++] =
            (struct transport_compare){.target = TRANSPORT_COMPARE_MOD_REVISION,
                                       .key = named->key,
                                       .number = named->mod_revision};
        txn.success[txn.success_count++] = (struct transport_op){.kind = TRANSPORT_OP_PUT,
                                                                 .key = named->key,
                                                                 .value = named->value,
                                                                 .lease_id = named->lease_id};
    }
    txn.success[txn.success_count++] = take_away;
    tell_what_is_there(&txn, active_key, mine);
    return transport_request_txn(&txn);
}

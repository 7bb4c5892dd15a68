/* transport/request.c - each object is one block: the struct, then the bytes it points at. */
#include "transport/request.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Copies `from` to *place, moves *place behind it, and answers a view of the copy. */
static struct rollcall_bytes copy_bytes(char **place, struct rollcall_bytes from)
{
    const struct rollcall_bytes copy = {.data = *place, .size_bytes = from.size_bytes};
    if (from.size_bytes != 0) {
        memcpy(*place, from.data, from.size_bytes);
        *place += from.size_bytes;
    }
    return copy;
}

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

struct transport_range *transport_range_create(struct rollcall_bytes key, struct rollcall_bytes end)
{
    struct transport_range *range =
        rollcall__allocate_zeroed(1, sizeof *range + key.size_bytes + end.size_bytes);
    if (range == NULL) {
        return NULL;
    }
    rollcall_object_init(&range->object, destroy_block);
    char *place = (char *)(range + 1);
    range->key = copy_bytes(&place, key);
    range->end = copy_bytes(&place, end);
    return range;
}

static struct transport_request *create(enum transport_kind kind, size_t bytes)
{
    struct transport_request *request = rollcall__allocate_zeroed(1, sizeof *request + bytes);
    if (request != NULL) {
        rollcall_object_init(&request->object, destroy_block);
        request->kind = kind;
    }
    return request;
}

struct transport_request *transport_request_range(struct rollcall_bytes key,
                                                  struct rollcall_bytes end)
{
    struct transport_request *request = create(TRANSPORT_RANGE, key.size_bytes + end.size_bytes);
    if (request == NULL) {
        return NULL;
    }
    char *place = (char *)(request + 1);
    request->range.key = copy_bytes(&place, key);
    request->range.end = copy_bytes(&place, end);
    return request;
}

struct transport_request *transport_request_lease(enum transport_kind kind, int64_t lease_id,
                                                  int64_t ttl_s)
{
    struct transport_request *request = create(kind, 0);
    if (request != NULL) {
        request->lease = (struct transport_lease){.lease_id = lease_id, .ttl_s = ttl_s};
    }
    return request;
}

struct transport_request *transport_request_bare(enum transport_kind kind)
{
    return create(kind, 0);
}

static size_t op_bytes(const struct transport_op *ops, uint8_t count)
{
    size_t bytes = 0;
    for (uint8_t i = 0; i < count; i++) {
        bytes += ops[i].key.size_bytes + ops[i].value.size_bytes;
    }
    return bytes;
}

static size_t txn_bytes(const struct transport_txn *txn)
{
    size_t bytes = op_bytes(txn->success, txn->success_count);
    bytes += op_bytes(txn->failure, txn->failure_count);
    for (uint8_t i = 0; i < txn->compare_count; i++) {
        bytes += txn->compares[i].key.size_bytes + txn->compares[i].value.size_bytes;
    }
    return bytes;
}

static void copy_ops(char **place, struct transport_op *ops, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        ops[i].key = copy_bytes(place, ops[i].key);
        ops[i].value = copy_bytes(place, ops[i].value);
    }
}

struct transport_request *transport_request_txn(const struct transport_txn *txn)
{
    struct transport_request *request = create(TRANSPORT_TXN, txn_bytes(txn));
    if (request == NULL) {
        return NULL;
    }
    request->txn = *txn;
    struct transport_txn *copy = &request->txn;
    char *place = (char *)(request + 1);
    for (uint8_t i = 0; i < copy->compare_count; i++) {
        copy->compares[i].key = copy_bytes(&place, copy->compares[i].key);
        copy->compares[i].value = copy_bytes(&place, copy->compares[i].value);
    }
    copy_ops(&place, copy->success, copy->success_count);
    copy_ops(&place, copy->failure, copy->failure_count);
    return request;
}

struct transport_request *transport_request_put_if(const struct transport_compare *compare,
                                                   struct rollcall_bytes value, int64_t lease_id)
{
    struct transport_txn txn = {.compare_count = 1, .success_count = 1, .failure_count = 1};
    txn.compares[0] = *compare;
    txn.success[0] = (struct transport_op){
        .kind = TRANSPORT_OP_PUT, .key = compare->key, .value = value, .lease_id = lease_id};
    txn.failure[0] = (struct transport_op){.kind = TRANSPORT_OP_GET, .key = compare->key};
    return transport_request_txn(&txn);
}

bool transport_compare_holds(const struct transport_compare *compare, const struct transport_kv *kv)
{
    static const struct transport_kv NOTHING = {0};
    const struct transport_kv *found = kv == NULL ? &NOTHING : kv;
    switch (compare->target) {
    case TRANSPORT_COMPARE_VERSION:
        return found->version == compare->number;
    case TRANSPORT_COMPARE_CREATE_REVISION:
        return found->create_revision == compare->number;
    case TRANSPORT_COMPARE_MOD_REVISION:
        return found->mod_revision == compare->number;
    case TRANSPORT_COMPARE_LEASE:
        return found->lease_id == compare->number;
    case TRANSPORT_COMPARE_VALUE:
        break;
    }
    return kv != NULL && rollcall__bytes_equal(kv->value, compare->value);
}

/* ---- what went wrong ---- */

bool transport_is_write(enum transport_kind kind)
{
    return kind == TRANSPORT_TXN || kind == TRANSPORT_LEASE_GRANT || kind == TRANSPORT_LEASE_REVOKE;
}

static void keep_forever(struct rollcall_object *object)
{
    (void)object;
}

/* One reference is never given away, so these are never destroyed. */
#define NO_MEMORY_OBJECT                                                                           \
    {                                                                                              \
        .references = 1, .destroy = keep_forever                                                   \
    }
#define NO_MEMORY_ERROR(maybe_applied_)                                                            \
    {                                                                                              \
        .status = ROLLCALL_E_NO_MEMORY, .maybe_applied = (maybe_applied_),                         \
        .text = "out of memory for what etcd answered: give the process more"                      \
    }
#define NO_MEMORY_RESULT(kind_, write_)                                                            \
    [kind_] = {.object = NO_MEMORY_OBJECT, .kind = (kind_), .error = NO_MEMORY_ERROR(write_)}
static struct transport_result no_memory_results[] = {
    NO_MEMORY_RESULT(TRANSPORT_RANGE, false),
    NO_MEMORY_RESULT(TRANSPORT_TXN, true),
    NO_MEMORY_RESULT(TRANSPORT_LEASE_GRANT, true),
    NO_MEMORY_RESULT(TRANSPORT_LEASE_REVOKE, true),
    NO_MEMORY_RESULT(TRANSPORT_LEASE_TIME_TO_LIVE, false),
    NO_MEMORY_RESULT(TRANSPORT_STATUS, false),
    NO_MEMORY_RESULT(TRANSPORT_MEMBERS, false),
    NO_MEMORY_RESULT(TRANSPORT_ALARMS, false),
};
static struct transport_watch_response no_memory_response = {
    .object = NO_MEMORY_OBJECT,
    .error = NO_MEMORY_ERROR(false),
};

struct transport_result *transport_result_no_memory(enum transport_kind kind)
{
    rollcall_object_keep(&no_memory_results[kind].object);
    return &no_memory_results[kind];
}

struct transport_result *transport_result_failed(enum transport_kind kind,
                                                 const struct rollcall_error *error)
{
    struct transport_result *result = rollcall__allocate_zeroed(1, sizeof *result);
    if (result == NULL) {
        return transport_result_no_memory(kind);
    }
    rollcall_object_init(&result->object, destroy_block);
    result->kind = kind;
    result->error = *error;
    return result;
}

struct transport_watch_response *transport_watch_no_memory(void)
{
    rollcall_object_keep(&no_memory_response.object);
    return &no_memory_response;
}

struct transport_watch_response *transport_watch_failed(const struct rollcall_error *error)
{
    struct transport_watch_response *response = rollcall__allocate_zeroed(1, sizeof *response);
    if (response == NULL) {
        return transport_watch_no_memory();
    }
    rollcall_object_init(&response->object, destroy_block);
    response->error = *error;
    return response;
}

/*
 * etcd/codec.c - requests out.  The protobuf tree is built on the stack and points into the
 * request, so encoding allocates nothing but the packet.  Answers are in decode.c.
 */
#include "etcd/codec.h"

#include "etcd.pb-c.h"

#include <stdlib.h>

/* protobuf-c takes what it encodes as non-const, and only reads it. */
static ProtobufCBinaryData binary(struct rollcall_bytes bytes)
{
    return (ProtobufCBinaryData){.len = bytes.size_bytes, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static bool pack(const ProtobufCMessage *message, struct rollcall__packet *packet)
{
    packet->size_bytes = protobuf_c_message_get_packed_size(message);
    packet->data = malloc(packet->size_bytes + 1); /* never malloc(0) */
    if (packet->data == NULL) {
        packet->size_bytes = 0;
        return false;
    }
    protobuf_c_message_pack(message, packet->data);
    return true;
}

static bool pack_range(const struct transport_range *range, struct rollcall__packet *packet)
{
    Etcd__RangeRequest message = ETCD__RANGE_REQUEST__INIT;
    message.key = binary(range->key);
    message.range_end = binary(range->end);
    message.limit = range->limit;
    message.revision = range->revision;
    message.serializable = range->serializable;
    message.keys_only = range->keys_only;
    message.count_only = range->count_only;
    return pack(&message.base, packet);
}

static void fill_compare(Etcd__Compare *message, const struct transport_compare *compare)
{
    etcd__compare__init(message);
    message->result = ETCD__COMPARE__RESULT__EQUAL;
    message->key = binary(compare->key);
    switch (compare->target) {
    case TRANSPORT_COMPARE_VERSION:
        message->target = ETCD__COMPARE__TARGET__VERSION;
        message->target_union_case = ETCD__COMPARE__TARGET_UNION_VERSION;
        message->version = compare->number;
        break;
    case TRANSPORT_COMPARE_CREATE_REVISION:
        message->target = ETCD__COMPARE__TARGET__CREATE;
        message->target_union_case = ETCD__COMPARE__TARGET_UNION_CREATE_REVISION;
        message->create_revision = compare->number;
        break;
    case TRANSPORT_COMPARE_MOD_REVISION:
        message->target = ETCD__COMPARE__TARGET__MOD;
        message->target_union_case = ETCD__COMPARE__TARGET_UNION_MOD_REVISION;
        message->mod_revision = compare->number;
        break;
    case TRANSPORT_COMPARE_LEASE:
        message->target = ETCD__COMPARE__TARGET__LEASE;
        message->target_union_case = ETCD__COMPARE__TARGET_UNION_LEASE;
        message->lease = compare->number;
        break;
    case TRANSPORT_COMPARE_VALUE:
        message->target = ETCD__COMPARE__TARGET__VALUE;
        message->target_union_case = ETCD__COMPARE__TARGET_UNION_VALUE;
        message->value = binary(compare->value);
        break;
    }
}

struct op_tree {
    Etcd__RequestOp op;
    union {
        Etcd__RangeRequest range;
        Etcd__PutRequest put;
        Etcd__DeleteRangeRequest remove;
    };
};

static void fill_op(struct op_tree *tree, const struct transport_op *op)
{
    etcd__request_op__init(&tree->op);
    switch (op->kind) {
    case TRANSPORT_OP_GET:
        etcd__range_request__init(&tree->range);
        tree->range.key = binary(op->key);
        tree->op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE;
        tree->op.request_range = &tree->range;
        break;
    case TRANSPORT_OP_PUT:
        etcd__put_request__init(&tree->put);
        tree->put.key = binary(op->key);
        tree->put.value = binary(op->value);
        tree->put.lease = op->lease_id;
        tree->op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_PUT;
        tree->op.request_put = &tree->put;
        break;
    case TRANSPORT_OP_DELETE:
        etcd__delete_range_request__init(&tree->remove);
        tree->remove.key = binary(op->key);
        tree->op.request_case = ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        tree->op.request_delete_range = &tree->remove;
        break;
    }
}

struct branch_tree {
    struct op_tree trees[TRANSPORT_TXN_OPS_MAX];
    Etcd__RequestOp *ops[TRANSPORT_TXN_OPS_MAX];
};

static void fill_branch(struct branch_tree *branch, const struct transport_op *ops, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        fill_op(&branch->trees[i], &ops[i]);
        branch->ops[i] = &branch->trees[i].op;
    }
}

static bool pack_txn(const struct transport_txn *txn, struct rollcall__packet *packet)
{
    Etcd__Compare compares[TRANSPORT_TXN_COMPARES_MAX];
    Etcd__Compare *compare_list[TRANSPORT_TXN_COMPARES_MAX];
    struct branch_tree success, failure;
    Etcd__TxnRequest message = ETCD__TXN_REQUEST__INIT;
    for (uint8_t i = 0; i < txn->compare_count; i++) {
        fill_compare(&compares[i], &txn->compares[i]);
        compare_list[i] = &compares[i];
    }
    fill_branch(&success, txn->success, txn->success_count);
    fill_branch(&failure, txn->failure, txn->failure_count);
    message.compare = compare_list;
    message.n_compare = txn->compare_count;
    message.success = success.ops;
    message.n_success = txn->success_count;
    message.failure = failure.ops;
    message.n_failure = txn->failure_count;
    return pack(&message.base, packet);
}

static bool pack_grant(const struct transport_lease *lease, struct rollcall__packet *packet)
{
    Etcd__LeaseGrantRequest message = ETCD__LEASE_GRANT_REQUEST__INIT;
    message.id = lease->lease_id;
    message.ttl = lease->ttl_s;
    return pack(&message.base, packet);
}

static bool pack_revoke(const struct transport_lease *lease, struct rollcall__packet *packet)
{
    Etcd__LeaseRevokeRequest message = ETCD__LEASE_REVOKE_REQUEST__INIT;
    message.id = lease->lease_id;
    return pack(&message.base, packet);
}

static bool pack_time_to_live(const struct transport_lease *lease, struct rollcall__packet *packet)
{
    Etcd__LeaseTimeToLiveRequest message = ETCD__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    message.id = lease->lease_id;
    return pack(&message.base, packet);
}

static bool pack_status(struct rollcall__packet *packet)
{
    const Etcd__StatusRequest message = ETCD__STATUS_REQUEST__INIT;
    return pack(&message.base, packet);
}

static bool pack_members(struct rollcall__packet *packet)
{
    const Etcd__MemberListRequest message = ETCD__MEMBER_LIST_REQUEST__INIT;
    return pack(&message.base, packet);
}

static bool pack_alarms(struct rollcall__packet *packet)
{
    Etcd__AlarmRequest message = ETCD__ALARM_REQUEST__INIT;
    message.action = ETCD__ALARM_REQUEST__ALARM_ACTION__GET; /* it must never change one */
    return pack(&message.base, packet);
}

bool rollcall__codec_request(const struct transport_request *request,
                             struct rollcall__packet *packet)
{
    switch (request->kind) {
    case TRANSPORT_RANGE:
        return pack_range(&request->range, packet);
    case TRANSPORT_TXN:
        return pack_txn(&request->txn, packet);
    case TRANSPORT_LEASE_GRANT:
        return pack_grant(&request->lease, packet);
    case TRANSPORT_LEASE_REVOKE:
        return pack_revoke(&request->lease, packet);
    case TRANSPORT_LEASE_TIME_TO_LIVE:
        return pack_time_to_live(&request->lease, packet);
    case TRANSPORT_STATUS:
        return pack_status(packet);
    case TRANSPORT_MEMBERS:
        return pack_members(packet);
    case TRANSPORT_ALARMS:
        break;
    }
    return pack_alarms(packet);
}

bool rollcall__codec_watch(const struct transport_range *range, struct rollcall__packet *packet)
{
    Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
    create.key = binary(range->key);
    create.range_end = binary(range->end);
    create.start_revision = range->revision;
    create.progress_notify = true;
    create.prev_kv = range->prev_kv;
    create.watch_id = ROLLCALL__WATCH_ID;
    create.fragment = true;
    Etcd__WatchRequest message = ETCD__WATCH_REQUEST__INIT;
    message.request_union_case = ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    message.create_request = &create;
    return pack(&message.base, packet);
}

bool rollcall__codec_keepalive(int64_t lease_id, struct rollcall__packet *packet)
{
    Etcd__LeaseKeepAliveRequest message = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    message.id = lease_id;
    return pack(&message.base, packet);
}

bool rollcall__codec_authenticate(const char *user, const char *password,
                                  struct rollcall__packet *packet)
{
    Etcd__AuthenticateRequest message = ETCD__AUTHENTICATE_REQUEST__INIT;
    message.name = (char *)(uintptr_t)user;
    message.password = (char *)(uintptr_t)password;
    return pack(&message.base, packet);
}

/*
 * sim/etcd_model_request.c - what a member answers.
 *
 * A result is one block: the struct, then its lists.  Refusals carry the status and the gRPC code
 * that the adapter to a real etcd gives them; none leaves a doubt about what was applied.
 */
#include "sim/etcd_model_internal.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "transport/request.h"

#include <stdlib.h>

enum {
    CODE_INVALID_ARGUMENT = 3,
    CODE_NOT_FOUND = 5,
    CODE_OUT_OF_RANGE = 11,
    CODE_UNAVAILABLE = 14
};

const struct rollcall__model_refusal rollcall__model_no_leader = {
    ROLLCALL_E_UNAVAILABLE, CODE_UNAVAILABLE,
    "etcd says \"etcdserver: no leader\": this member has no leader; another may"};
static const struct rollcall__model_refusal COMPACTED = {
    ROLLCALL_E_COMPACTED, CODE_OUT_OF_RANGE,
    "etcd says \"mvcc: required revision has been compacted\": list again"};
static const struct rollcall__model_refusal FUTURE = {
    ROLLCALL_E_UNAVAILABLE, CODE_OUT_OF_RANGE,
    "etcd says \"mvcc: required revision is a future revision\": this member lags; another may "
    "not"};
static const struct rollcall__model_refusal LEASE_NOT_FOUND = {
    ROLLCALL_E_LEASE_LOST, CODE_NOT_FOUND,
    "etcd says \"etcdserver: requested lease not found\": register again"};
static const struct rollcall__model_refusal NO_KEY = {
    ROLLCALL_E_REJECTED, CODE_INVALID_ARGUMENT, "etcd says \"etcdserver: key is not provided\""};
static const struct rollcall__model_refusal DUPLICATE_KEY = {
    ROLLCALL_E_REJECTED, CODE_INVALID_ARGUMENT,
    "etcd says \"etcdserver: duplicate key given in txn request\""};
static const struct rollcall__model_refusal TTL_TOO_LARGE = {
    ROLLCALL_E_REJECTED, CODE_OUT_OF_RANGE, "etcd says \"etcdserver: too large lease TTL\""};

void rollcall__model_refuse(struct rollcall_error *error,
                            const struct rollcall__model_refusal *refusal)
{
    ROLLCALL_DROP(rollcall_error_set(error, refusal->status, "%s", refusal->text),
                  "the status is in *error");
    error->grpc_code = refusal->grpc_code;
}

/* ---- results ---- */

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

static struct transport_result *create(enum transport_kind kind, size_t more_bytes)
{
    struct transport_result *result = malloc(sizeof *result + more_bytes);
    ROLLCALL_ASSERT(result != NULL);
    *result = (struct transport_result){.kind = kind};
    rollcall_object_init(&result->object, destroy_block);
    return result;
}

/* With the header of a member's answer. */
static struct transport_result *create_well(const struct rollcall__model *model, uint32_t member,
                                            enum transport_kind kind, size_t more_bytes)
{
    struct transport_result *result = create(kind, more_bytes);
    result->revision = model->members[member].revision;
    result->cluster_id = model->cluster_id;
    return result;
}

static struct transport_result *refuse(enum transport_kind kind,
                                       const struct rollcall__model_refusal *refusal)
{
    struct transport_result *result = create(kind, 0);
    rollcall__model_refuse(&result->error, refusal);
    return result;
}

/* ---- range ---- */

/* How far [first, end) of the sorted keys goes; end: below all keys behind the range. */
static size_t end_place(const struct rollcall__model *model, const struct transport_range *range,
                        size_t first)
{
    if (range->end.size_bytes == 0) {
        const bool there =
            first < model->key_count && rollcall__bytes_equal(model->keys[first]->key, range->key);
        return there ? first + 1 : first;
    }
    if (range->end.size_bytes == 1 && range->end.data[0] == '\0') {
        return model->key_count;
    }
    const size_t end = rollcall__model_key_place(model, range->end);
    return end < first ? first : end;
}

/* What a range is refused for at a member; NULL: nothing. */
static const struct rollcall__model_refusal *range_trouble(const struct rollcall__model_member *at,
                                                           const struct transport_range *range)
{
    if (range->key.size_bytes == 0) {
        return &NO_KEY;
    }
    if (range->revision > at->revision) {
        return &FUTURE;
    }
    if (range->revision > 0 && range->revision < at->compacted) {
        return &COMPACTED;
    }
    return NULL;
}

static struct transport_result *perform_range(struct rollcall__model *model, uint32_t member,
                                              const struct transport_range *range)
{
    const struct rollcall__model_member *at = &model->members[member];
    const struct rollcall__model_refusal *trouble = range_trouble(at, range);
    if (trouble != NULL) {
        return refuse(TRANSPORT_RANGE, trouble);
    }
    const size_t first = rollcall__model_key_place(model, range->key);
    const size_t end = end_place(model, range, first);
    size_t most = range->count_only ? 0 : end - first;
    if (range->limit > 0 && (uint64_t)range->limit < most) {
        most = (size_t)range->limit;
    }
    struct transport_result *result =
        create_well(model, member, TRANSPORT_RANGE, most * sizeof(struct transport_kv));
    struct transport_kv *kvs = (struct transport_kv *)(result + 1);
    const int64_t revision = range->revision > 0 ? range->revision : at->revision;
    for (size_t i = first; i < end; i++) {
        const struct transport_kv *kv = rollcall__model_key_at(model, model->keys[i], revision);
        if (kv != NULL && result->kv_count < most) {
            kvs[result->kv_count] = *kv;
            kvs[result->kv_count].value = range->keys_only ? (struct rollcall_bytes){0} : kv->value;
            result->kv_count++;
        }
        result->count += kv != NULL;
    }
    result->kvs = result->kv_count == 0 ? NULL : kvs;
    result->more = !range->count_only && result->count > (int64_t)result->kv_count;
    return result;
}

/* ---- txn ---- */

/* A key may be put once in a branch, and not be deleted there too. */
static bool clashes(const struct transport_op *ops, uint8_t place, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        const bool writes = ops[i].kind != TRANSPORT_OP_GET;
        if (i != place && writes && rollcall__bytes_equal(ops[i].key, ops[place].key)) {
            return true;
        }
    }
    return false;
}

static const struct rollcall__model_refusal *branch_trouble(const struct transport_op *ops,
                                                            uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (ops[i].key.size_bytes == 0) {
            return &NO_KEY;
        }
    }
    for (uint8_t i = 0; i < count; i++) {
        if (ops[i].kind == TRANSPORT_OP_PUT && clashes(ops, i, count)) {
            return &DUPLICATE_KEY;
        }
    }
    return NULL;
}

/* What is wrong with a transaction, whichever way it would go. */
static const struct rollcall__model_refusal *txn_trouble(const struct transport_txn *txn)
{
    for (uint8_t i = 0; i < txn->compare_count; i++) {
        if (txn->compares[i].key.size_bytes == 0) {
            return &NO_KEY;
        }
    }
    const struct rollcall__model_refusal *trouble =
        branch_trouble(txn->success, txn->success_count);
    return trouble != NULL ? trouble : branch_trouble(txn->failure, txn->failure_count);
}

static bool knows_leases(const struct rollcall__model *model, const struct transport_op *ops,
                         uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (ops[i].kind == TRANSPORT_OP_PUT && ops[i].lease_id != 0 &&
            rollcall__model_lease_alive(model, ops[i].lease_id) == SIZE_MAX) {
            return false;
        }
    }
    return true;
}

/* revision: what a GET sees; INT64_MAX: also what this transaction did before it. */
static void do_ops(struct rollcall__model *model, const struct transport_op *ops,
                   struct transport_result *result, int64_t revision)
{
    struct transport_op_result *answers = (struct transport_op_result *)(result + 1);
    struct transport_kv *kvs = (struct transport_kv *)(answers + result->op_count);
    for (size_t i = 0; i < result->op_count; i++) {
        const struct transport_kv *kv = NULL;
        answers[i] = (struct transport_op_result){0};
        switch (ops[i].kind) {
        case TRANSPORT_OP_GET:
            kv = rollcall__model_find(model, ops[i].key, revision);
            break;
        case TRANSPORT_OP_PUT:
            rollcall__model_change_put(model, ops[i].key, ops[i].value, ops[i].lease_id);
            break;
        case TRANSPORT_OP_DELETE:
            (void)rollcall__model_change_delete(model, ops[i].key); /* none there: no change */
            break;
        }
        if (kv != NULL) {
            *kvs = *kv;
            answers[i] = (struct transport_op_result){.kvs = kvs++, .kv_count = 1};
        }
    }
    result->ops = result->op_count == 0 ? NULL : answers;
}

static bool branch_writes(const struct transport_op *ops, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++) {
        if (ops[i].kind != TRANSPORT_OP_GET) {
            return true;
        }
    }
    return false;
}

static bool txn_writes(const struct transport_txn *txn)
{
    return branch_writes(txn->success, txn->success_count) ||
           branch_writes(txn->failure, txn->failure_count);
}

static struct transport_result *perform_txn(struct rollcall__model *model, uint32_t member,
                                            const struct transport_txn *txn)
{
    const struct rollcall__model_refusal *trouble = txn_trouble(txn);
    if (trouble != NULL) {
        return refuse(TRANSPORT_TXN, trouble);
    }
    const int64_t seen = txn_writes(txn) ? INT64_MAX : model->members[member].revision;
    bool succeeded = true;
    for (uint8_t i = 0; i < txn->compare_count; i++) {
        const struct transport_compare *compare = &txn->compares[i];
        const struct transport_kv *kv = rollcall__model_find(model, compare->key, seen);
        succeeded = succeeded && transport_compare_holds(compare, kv);
    }
    const struct transport_op *ops = succeeded ? txn->success : txn->failure;
    const uint8_t count = succeeded ? txn->success_count : txn->failure_count;
    if (!knows_leases(model, ops, count)) {
        return refuse(TRANSPORT_TXN, &LEASE_NOT_FOUND);
    }
    struct transport_result *result = create(
        TRANSPORT_TXN, count * (sizeof(struct transport_op_result) + sizeof(struct transport_kv)));
    result->succeeded = succeeded;
    result->op_count = count;
    do_ops(model, ops, result, seen);
    rollcall__model_commit(model);
    if (seen == INT64_MAX) {
        rollcall__model_member_catch_up(model, member); /* it answers what it has applied */
    }
    result->revision = model->members[member].revision;
    result->cluster_id = model->cluster_id;
    return result;
}

/* ---- leases ---- */

/* An answer of success without one from etcd: it was done by an earlier try. */
static struct transport_result *done_already(enum transport_kind kind, int64_t lease_id)
{
    struct transport_result *result = create(kind, 0);
    result->lease_id = lease_id;
    return result;
}

static struct transport_result *perform_grant(struct rollcall__model *model, uint32_t member,
                                              const struct transport_lease *asked)
{
    int64_t lease_id = asked->lease_id;
    while (lease_id == 0) { /* etcd chooses */
        lease_id = (int64_t)(rollcall__random_next(&model->random) >> 1);
    }
    if (asked->ttl_s > MODEL_LEASE_TTL_MAX_S) {
        return refuse(TRANSPORT_LEASE_GRANT, &TTL_TOO_LARGE);
    }
    if (rollcall__model_lease_alive(model, lease_id) != SIZE_MAX) {
        return done_already(TRANSPORT_LEASE_GRANT, lease_id);
    }
    struct transport_result *result = create_well(model, member, TRANSPORT_LEASE_GRANT, 0);
    result->lease_id = lease_id;
    result->ttl_s = rollcall__model_lease_grant(model, lease_id, asked->ttl_s);
    return result;
}

static struct transport_result *perform_revoke(struct rollcall__model *model, uint32_t member,
                                               int64_t lease_id)
{
    const size_t lease = rollcall__model_lease_alive(model, lease_id);
    if (lease == SIZE_MAX) {
        return done_already(TRANSPORT_LEASE_REVOKE, lease_id);
    }
    rollcall__model_lease_end(model, lease, true);
    rollcall__model_member_catch_up(model, member);
    return create_well(model, member, TRANSPORT_LEASE_REVOKE, 0);
}

static struct transport_result *perform_time_to_live(struct rollcall__model *model, uint32_t member,
                                                     int64_t lease_id)
{
    struct transport_result *result = create_well(model, member, TRANSPORT_LEASE_TIME_TO_LIVE, 0);
    const size_t lease = rollcall__model_lease_alive(model, lease_id);
    result->lease_id = lease_id;
    result->ttl_s = -1;
    if (lease != SIZE_MAX) { /* whole seconds left; some time has always passed */
        const int64_t left_ms = model->leases[lease].expires_ms - model->now_ms - 1;
        result->ttl_s = left_ms > 0 ? left_ms / 1000 : 0;
    }
    return result;
}

/* ---- the members ---- */

static uint64_t member_id(uint32_t member)
{
    return (uint64_t)member + 1;
}

/* The member has a leader, or has not noticed yet that it lost it. */
static bool knows_leader(struct rollcall__model *model, uint32_t member)
{
    return rollcall__model_has_leader(model, member) ||
           model->now_ms < model->members[member].cut_ms + MODEL_ELECTION_MS;
}

static struct transport_result *perform_status(struct rollcall__model *model, uint32_t member)
{
    const struct rollcall__model_member *at = &model->members[member];
    const bool led = model->leader >= 0 && knows_leader(model, member);
    struct transport_result *result = create_well(model, member, TRANSPORT_STATUS, 0);
    result->member_id = member_id(member);
    result->status = (struct transport_status){
        .version = rollcall__bytes("3.4.23"),
        .leader_id = led ? member_id((uint32_t)model->leader) : 0,
        .raft_index = model->history_count + model->lease_count,
        .raft_term = model->raft_term,
        .raft_applied_index = at->change_count + model->lease_count,
        .db_size_bytes = MODEL_DB_BYTES,
        .db_size_in_use_bytes = MODEL_DB_BYTES,
    };
    return result;
}

/* With the header of an answer about members, which has no revision. */
static struct transport_result *create_about(const struct rollcall__model *model, uint32_t member,
                                             enum transport_kind kind, size_t more_bytes)
{
    struct transport_result *result = create(kind, more_bytes);
    result->cluster_id = model->cluster_id;
    result->member_id = member_id(member);
    return result;
}

const char *rollcall__model_url(uint32_t member)
{
    static const char *const URLS[ROLLCALL__MODEL_MEMBERS_MAX] = {"etcd-0", "etcd-1", "etcd-2"};
    return URLS[member];
}

static struct transport_result *perform_members(struct rollcall__model *model, uint32_t member)
{
    const uint32_t count = model->options.members;
    struct transport_result *result =
        create_about(model, member, TRANSPORT_MEMBERS,
                     count * (sizeof(struct transport_member) + sizeof(struct rollcall_bytes)));
    struct transport_member *members = (struct transport_member *)(result + 1);
    struct rollcall_bytes *urls = (struct rollcall_bytes *)(members + count);
    for (uint32_t i = 0; i < count; i++) {
        static const char *const names[ROLLCALL__MODEL_MEMBERS_MAX] = {"a", "b", "c"};
        urls[i] = rollcall__bytes(rollcall__model_url(i));
        members[i] = (struct transport_member){.member_id = member_id(i),
                                               .name = rollcall__bytes(names[i]),
                                               .client_urls = &urls[i],
                                               .client_url_count = 1};
    }
    result->members = members;
    result->member_count = count;
    return result;
}

/* ---- every request ---- */

/* Answered from the member's own place. */
static bool is_serializable(const struct transport_request *request)
{
    return request->kind == TRANSPORT_STATUS || request->kind == TRANSPORT_MEMBERS ||
           request->kind == TRANSPORT_ALARMS ||
           (request->kind == TRANSPORT_RANGE && request->range.serializable);
}

static bool writes(const struct transport_request *request)
{
    return request->kind == TRANSPORT_LEASE_GRANT || request->kind == TRANSPORT_LEASE_REVOKE ||
           (request->kind == TRANSPORT_TXN && txn_writes(&request->txn));
}

/* Whether the member can answer now; what it must have applied before, it has then. */
static bool prepare(struct rollcall__model *model, uint32_t member,
                    const struct transport_request *request)
{
    const struct rollcall__model_member *at = &model->members[member];
    ROLLCALL_ASSERT(at->state == ROLLCALL__MEMBER_UP || at->state == ROLLCALL__MEMBER_ISOLATED);
    if (!rollcall__model_has_leader(model, member)) {
        return request->kind == TRANSPORT_STATUS ||
               (is_serializable(request) && knows_leader(model, member));
    }
    const bool stale = at->thawed && !writes(request) &&
                       (model->options.quirks & ROLLCALL__QUIRK_READS_STALE_AFTER_FREEZE) != 0;
    if (!stale && !is_serializable(request)) {
        rollcall__model_member_catch_up(model, member);
    }
    return true;
}

struct transport_result *rollcall__model_perform(struct rollcall__model *model, uint32_t member,
                                                 const struct transport_request *request,
                                                 int64_t now_ms)
{
    ROLLCALL_ASSERT(member < model->options.members);
    rollcall__model_advance(model, now_ms);
    if (!prepare(model, member, request)) {
        return refuse(request->kind, &rollcall__model_no_leader);
    }
    switch (request->kind) {
    case TRANSPORT_RANGE:
        return perform_range(model, member, &request->range);
    case TRANSPORT_TXN:
        return perform_txn(model, member, &request->txn);
    case TRANSPORT_LEASE_GRANT:
        return perform_grant(model, member, &request->lease);
    case TRANSPORT_LEASE_REVOKE:
        return perform_revoke(model, member, request->lease.lease_id);
    case TRANSPORT_LEASE_TIME_TO_LIVE:
        return perform_time_to_live(model, member, request->lease.lease_id);
    case TRANSPORT_STATUS:
        return perform_status(model, member);
    case TRANSPORT_MEMBERS:
        return perform_members(model, member);
    case TRANSPORT_ALARMS: /* there are none */
        break;
    }
    return create_about(model, member, TRANSPORT_ALARMS, 0);
}

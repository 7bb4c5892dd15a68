/* tests/support/fake_etcd_store.c - what the fake etcd holds, and what it answers; see fake_etcd.h.
 */
#include "support/fake_etcd.h"

#include "base/buffer.h"
#include "transport/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fake_etcd__give_up(const char *why)
{
    fprintf(stderr, "fake etcd: %s\n", why);
    abort();
}

void *fake_etcd__need(void *memory)
{
    if (memory == NULL) {
        fake_etcd__give_up("out of memory");
    }
    return memory;
}

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

/* ---- the store ---- */

static struct rollcall_bytes keep_bytes(struct fake_etcd *etcd, struct rollcall_bytes bytes)
{
    struct rollcall_bytes copy;
    if (!rollcall__arena_copy(&etcd->arena, bytes, &copy)) {
        fake_etcd__give_up("out of memory");
    }
    return copy;
}

/* The one copy of a key, at its place among all keys. */
static struct rollcall_bytes intern(struct fake_etcd *etcd, struct rollcall_bytes key)
{
    size_t place = 0;
    while (place < etcd->key_count && rollcall__bytes_compare(etcd->keys[place], key) < 0) {
        place++;
    }
    if (place < etcd->key_count && rollcall__bytes_equal(etcd->keys[place], key)) {
        return etcd->keys[place];
    }
    if (etcd->key_count == etcd->key_capacity) {
        etcd->key_capacity = etcd->key_capacity == 0 ? 64 : 2 * etcd->key_capacity;
        etcd->keys = fake_etcd__need(realloc(etcd->keys, etcd->key_capacity * sizeof *etcd->keys));
    }
    memmove(&etcd->keys[place + 1], &etcd->keys[place],
            (etcd->key_count - place) * sizeof *etcd->keys);
    etcd->key_count++;
    return etcd->keys[place] = keep_bytes(etcd, key);
}

const struct transport_kv *fake_etcd_find_at(const struct fake_etcd *etcd,
                                             struct rollcall_bytes key, int64_t revision)
{
    for (size_t i = etcd->history_count; i-- > 0;) {
        const struct transport_event *event = &etcd->history[i];
        if (event->kv.mod_revision <= revision && rollcall__bytes_equal(event->kv.key, key)) {
            return event->kind == TRANSPORT_PUT ? &event->kv : NULL;
        }
    }
    return NULL;
}

const struct transport_kv *fake_etcd_find(const struct fake_etcd *etcd, const char *key)
{
    return fake_etcd_find_at(etcd, rollcall__bytes(key), INT64_MAX);
}

static void append(struct fake_etcd *etcd, const struct transport_event *event)
{
    if (etcd->history_count == etcd->history_capacity) {
        etcd->history_capacity = etcd->history_capacity == 0 ? 64 : 2 * etcd->history_capacity;
        etcd->history =
            fake_etcd__need(realloc(etcd->history, etcd->history_capacity * sizeof *etcd->history));
    }
    etcd->history[etcd->history_count++] = *event;
}

static void change_put(struct fake_etcd *etcd, struct rollcall_bytes key,
                       struct rollcall_bytes value, int64_t lease_id)
{
    const struct transport_kv *before = fake_etcd_find_at(etcd, key, INT64_MAX);
    struct transport_event event = {.kind = TRANSPORT_PUT};
    event.kv.mod_revision = etcd->revision;
    event.kv.create_revision = before == NULL ? etcd->revision : before->create_revision;
    event.kv.version = before == NULL ? 1 : before->version + 1;
    event.kv.lease_id = lease_id;
    event.kv.key = intern(etcd, key);
    event.kv.value = keep_bytes(etcd, value);
    append(etcd, &event);
}

static void change_delete(struct fake_etcd *etcd, struct rollcall_bytes key)
{
    struct transport_event event = {.kind = TRANSPORT_DELETE};
    if (fake_etcd_find_at(etcd, key, INT64_MAX) != NULL) {
        event.kv.key = intern(etcd, key);
        event.kv.mod_revision = etcd->revision;
        append(etcd, &event);
    }
}

int64_t fake_etcd_put(struct fake_etcd *etcd, const char *key, const char *value, int64_t lease_id)
{
    etcd->revision++;
    change_put(etcd, rollcall__bytes(key), rollcall__bytes(value), lease_id);
    return etcd->revision;
}

int64_t fake_etcd_delete(struct fake_etcd *etcd, const char *key)
{
    etcd->revision++;
    change_delete(etcd, rollcall__bytes(key));
    return etcd->revision;
}

int64_t fake_etcd_delete_two(struct fake_etcd *etcd, const char *key, const char *other)
{
    etcd->revision++;
    change_delete(etcd, rollcall__bytes(key));
    change_delete(etcd, rollcall__bytes(other));
    return etcd->revision;
}

void fake_etcd_compact(struct fake_etcd *etcd, int64_t revision)
{
    etcd->compacted = revision;
}

void fake_etcd_restore(struct fake_etcd *etcd, int64_t revision)
{
    while (etcd->history_count > 0 &&
           etcd->history[etcd->history_count - 1].kv.mod_revision > revision) {
        etcd->history_count--;
    }
    etcd->revision = revision;
}

/* ---- leases ---- */

/* The place of a lease that is alive; FAKE_ETCD_LEASES_MAX: there is none. */
static size_t find_lease(const struct fake_etcd *etcd, int64_t lease_id)
{
    for (size_t i = 0; i < etcd->lease_count; i++) {
        if (etcd->leases[i].lease_id == lease_id && etcd->leases[i].alive) {
            return i;
        }
    }
    return FAKE_ETCD_LEASES_MAX;
}

void fake_etcd_grant(struct fake_etcd *etcd, int64_t lease_id, int64_t ttl_s)
{
    if (etcd->lease_count == FAKE_ETCD_LEASES_MAX) {
        fake_etcd__give_up("too many leases");
    }
    etcd->leases[etcd->lease_count].lease_id = lease_id;
    etcd->leases[etcd->lease_count].ttl_s = ttl_s;
    etcd->leases[etcd->lease_count++].alive = true;
}

void fake_etcd_end_lease(struct fake_etcd *etcd, int64_t lease_id)
{
    const size_t place = find_lease(etcd, lease_id);
    bool first = true;
    if (place == FAKE_ETCD_LEASES_MAX) {
        return;
    }
    etcd->leases[place].alive = false;
    for (size_t i = 0; i < etcd->key_count; i++) {
        const struct transport_kv *kv = fake_etcd_find_at(etcd, etcd->keys[i], INT64_MAX);
        if (kv != NULL && kv->lease_id == lease_id) {
            etcd->revision += first;
            first = false;
            change_delete(etcd, etcd->keys[i]);
        }
    }
}

int64_t fake_etcd__lease_ttl_s(const struct fake_etcd *etcd, int64_t lease_id)
{
    const size_t place = find_lease(etcd, lease_id);
    return place == FAKE_ETCD_LEASES_MAX ? 0 : etcd->leases[place].ttl_s;
}

size_t fake_etcd_leases_alive(const struct fake_etcd *etcd)
{
    size_t count = 0;
    for (size_t i = 0; i < etcd->lease_count; i++) {
        count += etcd->leases[i].alive;
    }
    return count;
}

/* ---- results ---- */

struct block {
    struct transport_result result; /* must be first */
    struct transport_op_result ops[TRANSPORT_TXN_OPS_MAX];
    struct transport_kv kvs[];
};

static struct block *create_block(const struct fake_etcd *etcd,
                                  const struct transport_request *request, size_t kvs)
{
    struct block *block = fake_etcd__need(calloc(1, sizeof *block + kvs * sizeof block->kvs[0]));
    rollcall_object_init(&block->result.object, destroy_block);
    block->result.kind = request->kind;
    block->result.revision = etcd->revision;
    block->result.ops = block->ops;
    block->result.kvs = block->kvs;
    return block;
}

struct transport_result *fake_etcd__fail(const struct transport_request *request,
                                         enum rollcall_status status)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, status, "the fake etcd says %s", rollcall_status_name(status));
    return transport_result_failed(request->kind, &error);
}

static struct transport_result *grant(struct fake_etcd *etcd,
                                      const struct transport_request *request)
{
    struct transport_result *result = &create_block(etcd, request, 0)->result;
    result->lease_id = request->lease.lease_id;
    if (find_lease(etcd, request->lease.lease_id) != FAKE_ETCD_LEASES_MAX) {
        return result; /* ttl_s 0: it existed already */
    }
    result->ttl_s = etcd->ttl_s != 0 ? etcd->ttl_s : request->lease.ttl_s;
    fake_etcd_grant(etcd, request->lease.lease_id, result->ttl_s);
    etcd->grants++;
    return result;
}

bool fake_etcd__in_range(const struct transport_range *range, struct rollcall_bytes key)
{
    const bool to_the_end = range->end.size_bytes == 1 && range->end.data[0] == '\0';
    if (range->end.size_bytes == 0) {
        return rollcall__bytes_equal(range->key, key);
    }
    return rollcall__bytes_compare(range->key, key) <= 0 &&
           (to_the_end || rollcall__bytes_compare(key, range->end) < 0);
}

static struct transport_result *range(struct fake_etcd *etcd,
                                      const struct transport_request *request)
{
    const struct transport_range *asked = &request->range;
    const int64_t revision = asked->revision != 0 ? asked->revision : etcd->revision;
    size_t limit = asked->limit != 0 ? (size_t)asked->limit : SIZE_MAX;
    etcd->page_revisions[etcd->pages++ % 16] = asked->revision;
    if (revision < etcd->compacted) {
        return fake_etcd__fail(request, ROLLCALL_E_COMPACTED);
    }
    limit = etcd->page_max != 0 && etcd->page_max < limit ? etcd->page_max : limit;
    struct block *block = create_block(etcd, request, etcd->key_count);
    for (size_t i = 0; i < etcd->key_count; i++) {
        const struct transport_kv *kv = fake_etcd_find_at(etcd, etcd->keys[i], revision);
        if (kv == NULL || !fake_etcd__in_range(asked, kv->key)) {
            continue;
        }
        block->result.count++;
        block->result.more |= block->result.kv_count == limit;
        if (block->result.kv_count < limit) {
            struct transport_kv *copy = &block->kvs[block->result.kv_count++];
            *copy = *kv;
            copy->value = asked->keys_only ? (struct rollcall_bytes){NULL, 0} : kv->value;
        }
    }
    return &block->result;
}

static void apply_op(struct fake_etcd *etcd, struct block *block, size_t index,
                     const struct transport_op *op, bool *changed)
{
    if (op->kind == TRANSPORT_OP_GET) {
        const struct transport_kv *kv = fake_etcd_find_at(etcd, op->key, INT64_MAX);
        block->ops[index].kvs = &block->kvs[index];
        block->ops[index].kv_count = kv != NULL;
        block->kvs[index] = kv == NULL ? (struct transport_kv){.version = 0} : *kv;
        return;
    }
    etcd->revision += !*changed;
    *changed = true;
    if (op->kind == TRANSPORT_OP_PUT) {
        change_put(etcd, op->key, op->value, op->lease_id);
    } else {
        change_delete(etcd, op->key);
    }
}

static struct transport_result *txn(struct fake_etcd *etcd, const struct transport_request *request)
{
    const struct transport_txn *asked = &request->txn;
    bool succeeded = true, changed = false;
    for (uint8_t i = 0; i < asked->compare_count; i++) {
        const struct transport_compare *compare = &asked->compares[i];
        const struct transport_kv *kv = fake_etcd_find_at(etcd, compare->key, INT64_MAX);
        succeeded &= transport_compare_holds(compare, kv);
    }
    const struct transport_op *ops = succeeded ? asked->success : asked->failure;
    const uint8_t count = succeeded ? asked->success_count : asked->failure_count;
    for (uint8_t i = 0; i < count; i++) {
        if (ops[i].kind == TRANSPORT_OP_PUT && ops[i].lease_id != 0 &&
            find_lease(etcd, ops[i].lease_id) == FAKE_ETCD_LEASES_MAX) {
            return fake_etcd__fail(request, ROLLCALL_E_LEASE_LOST);
        }
    }
    struct block *block = create_block(etcd, request, TRANSPORT_TXN_OPS_MAX);
    for (uint8_t i = 0; i < count; i++) {
        apply_op(etcd, block, i, &ops[i], &changed);
    }
    block->result.revision = etcd->revision;
    block->result.succeeded = succeeded;
    block->result.op_count = count;
    return &block->result;
}

/* One member, which leads; or has no leader, when the test says so. */
static struct transport_result *status(const struct fake_etcd *etcd,
                                       const struct transport_request *request)
{
    struct transport_result *result = &create_block(etcd, request, 0)->result;
    if (!etcd->no_leader) {
        result->cluster_id = FAKE_ETCD_CLUSTER;
        result->member_id = FAKE_ETCD_MEMBER;
        result->status = (struct transport_status){.version = rollcall__bytes("3.4.23"),
                                                   .leader_id = FAKE_ETCD_MEMBER,
                                                   .raft_index = (uint64_t)etcd->revision,
                                                   .raft_term = 2,
                                                   .raft_applied_index = (uint64_t)etcd->revision,
                                                   .db_size_bytes = 20480,
                                                   .db_size_in_use_bytes = 16384};
    }
    return result;
}

static struct transport_result *members(const struct fake_etcd *etcd,
                                        const struct transport_request *request)
{
    static const struct transport_member self = {.member_id = FAKE_ETCD_MEMBER,
                                                 .name = {.data = "a", .size_bytes = 1}};
    struct transport_result *result = &create_block(etcd, request, 0)->result;
    result->members = &self;
    result->member_count = 1;
    return result;
}

static struct transport_result *alarms(const struct fake_etcd *etcd,
                                       const struct transport_request *request)
{
    static const struct transport_alarm no_space = {.member_id = FAKE_ETCD_MEMBER,
                                                    .kind = TRANSPORT_ALARM_NO_SPACE};
    struct transport_result *result = &create_block(etcd, request, 0)->result;
    result->alarms = &no_space;
    result->alarm_count = etcd->no_space;
    return result;
}

struct transport_result *fake_etcd__perform(struct fake_etcd *etcd,
                                            const struct transport_request *request)
{
    struct block *block;
    switch (request->kind) {
    case TRANSPORT_RANGE:
        return range(etcd, request);
    case TRANSPORT_TXN:
        return txn(etcd, request);
    case TRANSPORT_LEASE_GRANT:
        return grant(etcd, request);
    case TRANSPORT_LEASE_REVOKE:
        etcd->revokes++;
        fake_etcd_end_lease(etcd, request->lease.lease_id);
        return &create_block(etcd, request, 0)->result;
    case TRANSPORT_LEASE_TIME_TO_LIVE:
        block = create_block(etcd, request, 0);
        block->result.ttl_s = find_lease(etcd, request->lease.lease_id) == FAKE_ETCD_LEASES_MAX ? -1
                              : etcd->last_second                                               ? 0
                                                                                                : 1;
        return &block->result;
    case TRANSPORT_STATUS:
        return status(etcd, request);
    case TRANSPORT_MEMBERS:
        return members(etcd, request);
    case TRANSPORT_ALARMS:
        return alarms(etcd, request);
    }
    fake_etcd__give_up("an unknown kind of request");
}

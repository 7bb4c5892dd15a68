/*
 * etcd/decode.c - answers in.  protobuf-c unpacks into the arena of the object being built, and the
 * port's structs, in the same arena, point at what it unpacked.
 */
#include "etcd/codec.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "channel/error.h"
#include "etcd.pb-c.h"
#include "transport/request.h"

#include <stdlib.h>
#include <string.h>

struct result_block {
    struct transport_result result; /* first: the object */
    struct rollcall__arena arena;
};

struct rollcall__watch_block {
    struct transport_watch_response response; /* first: the object */
    struct rollcall__arena arena;
    struct transport_event *events; /* in the arena */
    size_t capacity;
};

/* ---- protobuf-c on an arena ---- */

struct allocation {
    struct rollcall__arena *arena;
    bool failed;
};

static void *allocate(void *user, size_t size_bytes)
{
    struct allocation *allocation = user;
    void *memory = rollcall__arena_alloc(allocation->arena, size_bytes);
    allocation->failed = allocation->failed || memory == NULL;
    return memory;
}

static void release(void *user, void *memory)
{
    (void)user, (void)memory; /* with the arena */
}

/* NULL: *error says why.  The message lives as long as the arena. */
static void *unpack(struct rollcall__arena *arena, const ProtobufCMessageDescriptor *descriptor,
                    struct rollcall_bytes body, struct rollcall_error *error)
{
    struct allocation allocation = {.arena = arena};
    ProtobufCAllocator allocator = {
        .alloc = allocate, .free = release, .allocator_data = &allocation};
    void *message = protobuf_c_message_unpack(descriptor, &allocator, body.size_bytes,
                                              (const uint8_t *)body.data);
    if (allocation.failed) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                           "out of memory while decoding %zu bytes from etcd", body.size_bytes);
        return NULL;
    }
    if (message == NULL) {
        rollcall_error_set(error, ROLLCALL_E_UNAVAILABLE,
                           "etcd's answer (%zu bytes) cannot be decoded: check that the endpoint "
                           "is an etcd of version 3.4 or later",
                           body.size_bytes);
    }
    return message;
}

/* The array is zeroed; count 0 gives NULL, and is no failure. */
static void *array(struct rollcall__arena *arena, size_t count, size_t element_bytes,
                   struct rollcall_error *error)
{
    if (count == 0) {
        return NULL;
    }
    void *memory = rollcall__arena_alloc(arena, count * element_bytes);
    if (memory == NULL) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for %zu entries from etcd",
                           count);
        return NULL;
    }
    return memset(memory, 0, count * element_bytes);
}

static struct rollcall_bytes view(ProtobufCBinaryData data)
{
    return (struct rollcall_bytes){.data = (const char *)data.data, .size_bytes = data.len};
}

static struct transport_kv to_kv(const Etcd__KeyValue *kv)
{
    return (struct transport_kv){
        .key = view(kv->key),
        .value = view(kv->value),
        .create_revision = kv->create_revision,
        .mod_revision = kv->mod_revision,
        .version = kv->version,
        .lease_id = kv->lease,
    };
}

static const struct transport_kv *to_kvs(struct rollcall__arena *arena, Etcd__KeyValue *const *from,
                                         size_t count, struct rollcall_error *error)
{
    struct transport_kv *kvs = array(arena, count, sizeof *kvs, error);
    for (size_t i = 0; kvs != NULL && i < count; i++) {
        kvs[i] = to_kv(from[i]);
    }
    return kvs;
}

/* ---- results of calls ---- */

/* A proxy may leave the header out. */
static void read_header(struct transport_result *result, const Etcd__ResponseHeader *header)
{
    if (header != NULL) {
        result->revision = header->revision;
        result->cluster_id = header->cluster_id;
        result->member_id = header->member_id;
    }
}

static void read_range(struct result_block *block, struct rollcall_bytes body)
{
    struct transport_result *result = &block->result;
    const Etcd__RangeResponse *range =
        unpack(&block->arena, &etcd__range_response__descriptor, body, &result->error);
    if (range == NULL) {
        return;
    }
    read_header(result, range->header);
    result->kvs = to_kvs(&block->arena, range->kvs, range->n_kvs, &result->error);
    result->kv_count = result->kvs == NULL ? 0 : range->n_kvs;
    result->count = range->count;
    result->more = range->more;
}

static void read_txn(struct result_block *block, struct rollcall_bytes body)
{
    struct transport_result *result = &block->result;
    const Etcd__TxnResponse *txn =
        unpack(&block->arena, &etcd__txn_response__descriptor, body, &result->error);
    if (txn == NULL) {
        return;
    }
    read_header(result, txn->header);
    result->succeeded = txn->succeeded;
    struct transport_op_result *ops =
        array(&block->arena, txn->n_responses, sizeof *ops, &result->error);
    result->ops = ops;
    result->op_count = ops == NULL ? 0 : txn->n_responses;
    for (size_t i = 0; i < result->op_count; i++) {
        if (txn->responses[i]->response_case == ETCD__RESPONSE_OP__RESPONSE_RESPONSE_RANGE) {
            const Etcd__RangeResponse *range = txn->responses[i]->response_range;
            ops[i].kvs = to_kvs(&block->arena, range->kvs, range->n_kvs, &result->error);
            ops[i].kv_count = ops[i].kvs == NULL ? 0 : range->n_kvs;
        }
    }
}

static void read_grant(struct result_block *block, struct rollcall_bytes body)
{
    const Etcd__LeaseGrantResponse *grant =
        unpack(&block->arena, &etcd__lease_grant_response__descriptor, body, &block->result.error);
    if (grant != NULL) {
        read_header(&block->result, grant->header);
        block->result.lease_id = grant->id;
        block->result.ttl_s = grant->ttl;
    }
}

static void read_revoke(struct result_block *block, struct rollcall_bytes body)
{
    const Etcd__LeaseRevokeResponse *revoke =
        unpack(&block->arena, &etcd__lease_revoke_response__descriptor, body, &block->result.error);
    if (revoke != NULL) {
        read_header(&block->result, revoke->header);
    }
}

static void read_time_to_live(struct result_block *block, struct rollcall_bytes body)
{
    const Etcd__LeaseTimeToLiveResponse *lease = unpack(
        &block->arena, &etcd__lease_time_to_live_response__descriptor, body, &block->result.error);
    if (lease != NULL) {
        read_header(&block->result, lease->header);
        block->result.lease_id = lease->id;
        block->result.ttl_s = lease->ttl;
    }
}

/* NULL when there are none, or *error says why. */
static const struct rollcall_bytes *to_texts(struct rollcall__arena *arena, char *const *from,
                                             size_t count, struct rollcall_error *error)
{
    struct rollcall_bytes *texts = array(arena, count, sizeof *texts, error);
    for (size_t i = 0; texts != NULL && i < count; i++) {
        texts[i] = rollcall__bytes(from[i]);
    }
    return texts;
}

static void read_status(struct result_block *block, struct rollcall_bytes body)
{
    struct transport_result *result = &block->result;
    const Etcd__StatusResponse *message =
        unpack(&block->arena, &etcd__status_response__descriptor, body, &result->error);
    if (message == NULL) {
        return;
    }
    read_header(result, message->header);
    const struct rollcall_bytes *errors =
        to_texts(&block->arena, message->errors, message->n_errors, &result->error);
    result->status = (struct transport_status){
        .version = rollcall__bytes(message->version),
        .leader_id = message->leader,
        .raft_index = message->raft_index,
        .raft_term = message->raft_term,
        .raft_applied_index = message->raft_applied_index,
        .db_size_bytes = message->db_size,
        .db_size_in_use_bytes = message->db_size_in_use,
        .quota_bytes = message->db_size_quota,
        .errors = errors,
        .error_count = errors == NULL ? 0 : message->n_errors,
        .is_learner = message->is_learner,
    };
}

static void read_members(struct result_block *block, struct rollcall_bytes body)
{
    struct transport_result *result = &block->result;
    const Etcd__MemberListResponse *message =
        unpack(&block->arena, &etcd__member_list_response__descriptor, body, &result->error);
    if (message == NULL) {
        return;
    }
    read_header(result, message->header);
    struct transport_member *members =
        array(&block->arena, message->n_members, sizeof *members, &result->error);
    result->members = members;
    result->member_count = members == NULL ? 0 : message->n_members;
    for (size_t i = 0; i < result->member_count; i++) {
        const Etcd__Member *from = message->members[i];
        members[i] = (struct transport_member){
            .member_id = from->id,
            .name = rollcall__bytes(from->name),
            .client_urls =
                to_texts(&block->arena, from->client_urls, from->n_client_urls, &result->error),
            .is_learner = from->is_learner,
        };
        members[i].client_url_count = members[i].client_urls == NULL ? 0 : from->n_client_urls;
    }
}

static enum transport_alarm_kind to_alarm_kind(Etcd__AlarmType kind)
{
    static const enum transport_alarm_kind kinds[] = {
        [ETCD__ALARM_TYPE__NONE] = TRANSPORT_ALARM_NONE,
        [ETCD__ALARM_TYPE__NOSPACE] = TRANSPORT_ALARM_NO_SPACE,
        [ETCD__ALARM_TYPE__CORRUPT] = TRANSPORT_ALARM_CORRUPT,
    };
    const size_t place = (size_t)kind; /* whatever number came: a negative one is a large one */
    return place < sizeof kinds / sizeof kinds[0] ? kinds[place] : TRANSPORT_ALARM_OTHER;
}

static void read_alarms(struct result_block *block, struct rollcall_bytes body)
{
    struct transport_result *result = &block->result;
    const Etcd__AlarmResponse *message =
        unpack(&block->arena, &etcd__alarm_response__descriptor, body, &result->error);
    if (message == NULL) {
        return;
    }
    read_header(result, message->header);
    struct transport_alarm *alarms =
        array(&block->arena, message->n_alarms, sizeof *alarms, &result->error);
    result->alarms = alarms;
    result->alarm_count = alarms == NULL ? 0 : message->n_alarms;
    for (size_t i = 0; i < result->alarm_count; i++) {
        alarms[i] = (struct transport_alarm){.member_id = message->alarms[i]->member_id,
                                             .kind = to_alarm_kind(message->alarms[i]->alarm)};
    }
}

static void destroy_result(struct rollcall_object *object)
{
    struct result_block *block = (struct result_block *)object;
    rollcall__arena_free(&block->arena);
    free(block);
}

/* NULL: out of memory. */
static struct result_block *create_result(enum transport_kind kind)
{
    struct result_block *block = calloc(1, sizeof *block);
    if (block != NULL) {
        rollcall_object_init(&block->result.object, destroy_result);
        block->result.kind = kind;
    }
    return block;
}

struct transport_result *rollcall__codec_result(enum transport_kind kind,
                                                struct rollcall_bytes body)
{
    static void (*const readers[])(struct result_block *, struct rollcall_bytes) = {
        [TRANSPORT_RANGE] = read_range,
        [TRANSPORT_TXN] = read_txn,
        [TRANSPORT_LEASE_GRANT] = read_grant,
        [TRANSPORT_LEASE_REVOKE] = read_revoke,
        [TRANSPORT_LEASE_TIME_TO_LIVE] = read_time_to_live,
        [TRANSPORT_STATUS] = read_status,
        [TRANSPORT_MEMBERS] = read_members,
        [TRANSPORT_ALARMS] = read_alarms,
    };
    struct result_block *block = create_result(kind);
    if (block == NULL) {
        return transport_result_no_memory(kind);
    }
    readers[kind](block, body);
    /* etcd has done what it answers, even if we cannot read how it went. */
    block->result.error.maybe_applied =
        block->result.error.status != ROLLCALL_OK && transport_is_write(kind);
    return &block->result;
}

struct transport_result *rollcall__codec_done(enum transport_kind kind, int64_t lease_id)
{
    struct result_block *block = create_result(kind);
    if (block == NULL) {
        return transport_result_no_memory(kind);
    }
    block->result.lease_id = lease_id;
    return &block->result;
}

/* ---- watch responses ---- */

void rollcall__watch_block_free(struct rollcall__watch_block *block)
{
    if (block != NULL) {
        rollcall__arena_free(&block->arena);
        free(block);
    }
}

static void destroy_response(struct rollcall_object *object)
{
    rollcall__watch_block_free((struct rollcall__watch_block *)object);
}

static struct rollcall__watch_block *create_block(void)
{
    struct rollcall__watch_block *block = calloc(1, sizeof *block);
    if (block != NULL) {
        rollcall_object_init(&block->response.object, destroy_response);
    }
    return block;
}

/* Room for `more` events behind those of earlier fragments. */
static bool reserve_events(struct rollcall__watch_block *block, size_t more)
{
    const size_t wanted = block->response.event_count + more;
    if (wanted <= block->capacity) {
        return true;
    }
    const size_t capacity = block->capacity * 2 > wanted ? block->capacity * 2 : wanted;
    struct transport_event *events =
        array(&block->arena, capacity, sizeof *events, &block->response.error);
    if (events == NULL) {
        return false;
    }
    if (block->events != NULL) {
        memcpy(events, block->events, block->response.event_count * sizeof *events);
    }
    block->events = events;
    block->capacity = capacity;
    block->response.events = events;
    return true;
}

static void append_events(struct rollcall__watch_block *block, const Etcd__WatchResponse *message)
{
    if (!reserve_events(block, message->n_events)) {
        return;
    }
    for (size_t i = 0; i < message->n_events; i++) {
        const Etcd__Event *from = message->events[i];
        struct transport_event *event = &block->events[block->response.event_count++];
        event->kind =
            from->type == ETCD__EVENT__EVENT_TYPE__DELETE ? TRANSPORT_DELETE : TRANSPORT_PUT;
        if (from->kv != NULL) {
            event->kv = to_kv(from->kv);
        }
        event->has_prev_kv = from->prev_kv != NULL;
        if (from->prev_kv != NULL) {
            event->prev_kv = to_kv(from->prev_kv);
        }
    }
}

static void read_fields(struct transport_watch_response *response,
                        const Etcd__WatchResponse *message)
{
    response->revision = message->header == NULL ? 0 : message->header->revision;
    response->created = message->created;
    response->canceled = message->canceled;
    response->compact_revision = message->compact_revision;
    response->fragment = message->fragment;
    if (message->canceled && message->compact_revision == 0) {
        rollcall__etcd_canceled(&response->error, message->cancel_reason);
    }
}

/* A stream has one watch.  What is refused has the id -1; an id of 0 is none. */
static bool is_ours(const Etcd__WatchResponse *message)
{
    return message->watch_id == ROLLCALL__WATCH_ID || message->watch_id == 0 || message->canceled;
}

/* Adds a message to the block; then response.fragment tells whether more must come.  False: it is
 * none of this watch, and nothing was added. */
static bool add_message(struct rollcall__watch_block *block, struct rollcall_bytes body,
                        size_t bytes_max)
{
    struct rollcall_error *error = &block->response.error;
    const Etcd__WatchResponse *message =
        unpack(&block->arena, &etcd__watch_response__descriptor, body, error);
    const bool ours = message == NULL || is_ours(message);
    if (message != NULL && ours) {
        read_fields(&block->response, message);
        append_events(block, message);
    }
    if (error->status == ROLLCALL_OK && block->arena.total_bytes > bytes_max) {
        rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                           "one watch response holds more than %zu bytes: change fewer keys in "
                           "one transaction",
                           bytes_max);
        block->response.too_large = true;
    }
    if (error->status != ROLLCALL_OK) {
        block->response.fragment = false;
        block->response.events = NULL;
        block->response.event_count = 0;
    }
    return ours || error->status != ROLLCALL_OK;
}

struct transport_watch_response *
rollcall__codec_watch_response(struct rollcall__watch_block **partial, struct rollcall_bytes body,
                               size_t bytes_max)
{
    struct rollcall__watch_block *block = *partial != NULL ? *partial : create_block();
    if (block == NULL) {
        return transport_watch_no_memory();
    }
    if (!add_message(block, body, bytes_max)) {
        if (*partial == NULL) {
            rollcall__watch_block_free(block);
        }
        return NULL;
    }
    *partial = NULL;
    if (block->response.fragment) {
        *partial = block;
        return NULL;
    }
    return &block->response;
}

/* ---- small answers ---- */

bool rollcall__codec_renewed(struct rollcall_bytes body, int64_t *lease_id, int64_t *ttl_s)
{
    Etcd__LeaseKeepAliveResponse *message =
        etcd__lease_keep_alive_response__unpack(NULL, body.size_bytes, (const uint8_t *)body.data);
    if (message == NULL) {
        return false;
    }
    *lease_id = message->id;
    *ttl_s = message->ttl;
    etcd__lease_keep_alive_response__free_unpacked(message, NULL);
    return true;
}

char *rollcall__codec_token(struct rollcall_bytes body)
{
    Etcd__AuthenticateResponse *message =
        etcd__authenticate_response__unpack(NULL, body.size_bytes, (const uint8_t *)body.data);
    if (message == NULL) {
        return NULL;
    }
    char *token = strdup(message->token);
    etcd__authenticate_response__free_unpacked(message, NULL);
    return token;
}

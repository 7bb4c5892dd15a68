/* Requests are checked with protobuf-c's own decoder, answers are made with its encoder: neither
 * can hide a mistake in the mapping between the port's fields and etcd's. */
#include "base/buffer.h"
#include "etcd.pb-c.h"
#include "etcd/codec.h"
#include "support/test.h"
#include "transport/request.h"

#include <stdlib.h>

static struct rollcall__packet encode(struct transport_request *request)
{
    struct rollcall__packet packet;
    CHECK(rollcall__codec_request(request, &packet));
    rollcall_object_drop(&request->object);
    return packet;
}

static ProtobufCBinaryData data(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

static struct rollcall_bytes view(ProtobufCBinaryData bytes)
{
    return (struct rollcall_bytes){.data = (const char *)bytes.data, .size_bytes = bytes.len};
}

static struct rollcall_bytes pack(const ProtobufCMessage *message)
{
    static uint8_t buffer[4096];
    CHECK(protobuf_c_message_get_packed_size(message) <= sizeof buffer);
    const size_t size = protobuf_c_message_pack(message, buffer);
    return (struct rollcall_bytes){.data = (const char *)buffer, .size_bytes = size};
}

/* ---- requests ---- */

TEST(codec, range_maps_every_field)
{
    struct transport_request *request =
        transport_request_range(rollcall__bytes("k"), rollcall__bytes("l"));
    request->range.limit = 7;
    request->range.revision = 9;
    request->range.keys_only = true;
    request->range.serializable = true;
    struct rollcall__packet packet = encode(request);
    Etcd__RangeRequest *message = etcd__range_request__unpack(NULL, packet.size_bytes, packet.data);
    CHECK_BYTES(view(message->key), "k");
    CHECK_BYTES(view(message->range_end), "l");
    CHECK_INT(message->limit, 7);
    CHECK_INT(message->revision, 9);
    CHECK(message->keys_only && message->serializable && !message->count_only);
    etcd__range_request__free_unpacked(message, NULL);
    free(packet.data);
}

/* "The key does not exist" is create_revision == 0: the zero must be on the wire, or etcd compares
 * nothing. */
TEST(codec, compare_with_zero_is_encoded)
{
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_CREATE_REVISION, .key = rollcall__bytes("k")}},
        .compare_count = 1};
    struct rollcall__packet packet = encode(transport_request_txn(&txn));
    const uint8_t expected[] = {0x0a, 0x07, 0x10, 0x01, 0x1a, 0x01, 'k', 0x28, 0x00};
    CHECK_INT(packet.size_bytes, sizeof expected);
    CHECK(memcmp(packet.data, expected, sizeof expected) == 0);
    free(packet.data);
}

static void check_compares(const Etcd__TxnRequest *message)
{
    CHECK_INT(message->n_compare, 4);
    CHECK_INT(message->compare[0]->target, ETCD__COMPARE__TARGET__VERSION);
    CHECK_INT(message->compare[0]->target_union_case, ETCD__COMPARE__TARGET_UNION_VERSION);
    CHECK_INT(message->compare[0]->version, 3);
    CHECK_INT(message->compare[1]->target, ETCD__COMPARE__TARGET__MOD);
    CHECK_INT(message->compare[1]->target_union_case, ETCD__COMPARE__TARGET_UNION_MOD_REVISION);
    CHECK_INT(message->compare[1]->mod_revision, 4);
    CHECK_INT(message->compare[2]->target, ETCD__COMPARE__TARGET__LEASE);
    CHECK_INT(message->compare[2]->target_union_case, ETCD__COMPARE__TARGET_UNION_LEASE);
    CHECK_INT(message->compare[2]->lease, 5);
    CHECK_INT(message->compare[3]->target, ETCD__COMPARE__TARGET__VALUE);
    CHECK_INT(message->compare[3]->target_union_case, ETCD__COMPARE__TARGET_UNION_VALUE);
    CHECK_BYTES(view(message->compare[3]->value), "v");
    for (size_t i = 0; i < 4; i++) {
        CHECK_BYTES(view(message->compare[i]->key), "c");
        CHECK_INT(message->compare[i]->result, ETCD__COMPARE__RESULT__EQUAL);
    }
}

TEST(codec, txn_maps_compares_and_both_branches)
{
    const struct rollcall_bytes c = rollcall__bytes("c");
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_VERSION, .key = c, .number = 3},
                     {.target = TRANSPORT_COMPARE_MOD_REVISION, .key = c, .number = 4},
                     {.target = TRANSPORT_COMPARE_LEASE, .key = c, .number = 5},
                     {.target = TRANSPORT_COMPARE_VALUE, .key = c, .value = rollcall__bytes("v")}},
        .compare_count = 4,
        .success = {{.kind = TRANSPORT_OP_PUT,
                     .key = rollcall__bytes("p"),
                     .value = rollcall__bytes("w"),
                     .lease_id = 6},
                    {.kind = TRANSPORT_OP_DELETE, .key = rollcall__bytes("d")}},
        .success_count = 2,
        .failure = {{.kind = TRANSPORT_OP_GET, .key = rollcall__bytes("g")}},
        .failure_count = 1};
    struct rollcall__packet packet = encode(transport_request_txn(&txn));
    Etcd__TxnRequest *message = etcd__txn_request__unpack(NULL, packet.size_bytes, packet.data);
    check_compares(message);
    CHECK_INT(message->n_success, 2);
    CHECK_INT(message->success[0]->request_case, ETCD__REQUEST_OP__REQUEST_REQUEST_PUT);
    CHECK_BYTES(view(message->success[0]->request_put->key), "p");
    CHECK_BYTES(view(message->success[0]->request_put->value), "w");
    CHECK_INT(message->success[0]->request_put->lease, 6);
    CHECK_INT(message->success[1]->request_case, ETCD__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE);
    CHECK_BYTES(view(message->success[1]->request_delete_range->key), "d");
    CHECK_INT(message->n_failure, 1);
    CHECK_INT(message->failure[0]->request_case, ETCD__REQUEST_OP__REQUEST_REQUEST_RANGE);
    CHECK_BYTES(view(message->failure[0]->request_range->key), "g");
    etcd__txn_request__free_unpacked(message, NULL);
    free(packet.data);
}

TEST(codec, grant_puts_id_and_ttl_in_their_fields)
{
    struct rollcall__packet packet =
        encode(transport_request_lease(TRANSPORT_LEASE_GRANT, 0x123, 30));
    const uint8_t expected[] = {0x08, 30, 0x10, 0xa3, 0x02}; /* TTL is field 1, ID field 2 */
    CHECK_INT(packet.size_bytes, sizeof expected);
    CHECK(memcmp(packet.data, expected, sizeof expected) == 0);
    free(packet.data);
}

TEST(codec, watch_asks_for_fragments_and_progress)
{
    struct transport_range *range =
        transport_range_create(rollcall__bytes("k"), rollcall__bytes("l"));
    range->revision = 12;
    range->prev_kv = true;
    struct rollcall__packet packet;
    CHECK(rollcall__codec_watch(range, &packet));
    Etcd__WatchRequest *message = etcd__watch_request__unpack(NULL, packet.size_bytes, packet.data);
    CHECK_INT(message->request_union_case, ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST);
    const Etcd__WatchCreateRequest *create = message->create_request;
    CHECK_BYTES(view(create->key), "k");
    CHECK_BYTES(view(create->range_end), "l");
    CHECK_INT(create->start_revision, 12);
    CHECK_INT(create->watch_id, 1);
    CHECK(create->prev_kv && create->fragment && create->progress_notify);
    etcd__watch_request__free_unpacked(message, NULL);
    free(packet.data);
    rollcall_object_drop(&range->object);
}

/* ---- results ---- */

TEST(codec, range_result_outlives_its_bytes)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.revision = 77;
    header.cluster_id = UINT64_MAX;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    kv.key = data("key");
    kv.value = data("value");
    kv.create_revision = 1;
    kv.mod_revision = 2;
    kv.version = 3;
    kv.lease = 4;
    Etcd__KeyValue *kvs[] = {&kv, &kv};
    Etcd__RangeResponse message = ETCD__RANGE_RESPONSE__INIT;
    message.header = &header;
    message.kvs = kvs;
    message.n_kvs = 2;
    message.count = 5;
    message.more = true;
    const struct rollcall_bytes body = pack(&message.base);
    struct transport_result *result = rollcall__codec_result(TRANSPORT_RANGE, body);
    memset((char *)(uintptr_t)body.data, 0, body.size_bytes);
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK_INT(result->revision, 77);
    CHECK(result->cluster_id == UINT64_MAX);
    CHECK_INT(result->count, 5);
    CHECK(result->more);
    CHECK_INT(result->kv_count, 2);
    CHECK_BYTES(result->kvs[1].key, "key");
    CHECK_BYTES(result->kvs[1].value, "value");
    CHECK_INT(result->kvs[1].create_revision, 1);
    CHECK_INT(result->kvs[1].mod_revision, 2);
    CHECK_INT(result->kvs[1].version, 3);
    CHECK_INT(result->kvs[1].lease_id, 4);
    rollcall_object_drop(&result->object);
}

TEST(codec, txn_result_finds_what_its_get_found)
{
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    kv.key = data("key");
    Etcd__KeyValue *kvs[] = {&kv};
    Etcd__PutResponse put = ETCD__PUT_RESPONSE__INIT;
    Etcd__RangeResponse range = ETCD__RANGE_RESPONSE__INIT;
    range.kvs = kvs;
    range.n_kvs = 1;
    Etcd__ResponseOp ops[] = {ETCD__RESPONSE_OP__INIT, ETCD__RESPONSE_OP__INIT};
    ops[0].response_case = ETCD__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
    ops[0].response_put = &put;
    ops[1].response_case = ETCD__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
    ops[1].response_range = &range;
    Etcd__ResponseOp *list[] = {&ops[0], &ops[1]};
    Etcd__TxnResponse message = ETCD__TXN_RESPONSE__INIT;
    message.succeeded = true;
    message.responses = list;
    message.n_responses = 2;
    struct transport_result *result = rollcall__codec_result(TRANSPORT_TXN, pack(&message.base));
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK(result->succeeded);
    CHECK_INT(result->revision, 0); /* no header */
    CHECK_INT(result->op_count, 2);
    CHECK_INT(result->ops[0].kv_count, 0);
    CHECK_INT(result->ops[1].kv_count, 1);
    CHECK_BYTES(result->ops[1].kvs[0].key, "key");
    rollcall_object_drop(&result->object);
}

TEST(codec, time_to_live_of_an_unknown_lease_is_minus_one)
{
    Etcd__LeaseTimeToLiveResponse message = ETCD__LEASE_TIME_TO_LIVE_RESPONSE__INIT;
    message.id = 5;
    message.ttl = -1;
    struct transport_result *result =
        rollcall__codec_result(TRANSPORT_LEASE_TIME_TO_LIVE, pack(&message.base));
    CHECK_INT(result->lease_id, 5);
    CHECK_INT(result->ttl_s, -1);
    rollcall_object_drop(&result->object);
}

TEST(codec, what_asks_about_members_asks_for_all_and_changes_nothing)
{
    static const enum transport_kind kinds[] = {TRANSPORT_STATUS, TRANSPORT_MEMBERS,
                                                TRANSPORT_ALARMS};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct rollcall__packet packet = encode(transport_request_bare(kinds[i]));
        CHECK_INT(packet.size_bytes, 0); /* of an alarm: GET, of every member and kind */
        CHECK(!transport_is_write(kinds[i]));
        free(packet.data);
    }
}

TEST(codec, status_maps_every_field)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.cluster_id = UINT64_MAX;
    header.member_id = UINT64_MAX - 1;
    header.revision = 9;
    char version[] = "3.4.23", first[] = "etcdserver: no leader", second[] = "memberID:1";
    char *errors[] = {first, second};
    Etcd__StatusResponse message = ETCD__STATUS_RESPONSE__INIT;
    message.header = &header;
    message.version = version;
    message.db_size = 1;
    message.leader = UINT64_MAX - 2;
    message.raft_index = 3;
    message.raft_term = 4;
    message.raft_applied_index = 5;
    message.errors = errors;
    message.n_errors = 2;
    message.db_size_in_use = 6;
    message.is_learner = true;
    message.db_size_quota = 7;
    struct transport_result *result = rollcall__codec_result(TRANSPORT_STATUS, pack(&message.base));
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK_INT(result->revision, 9);
    CHECK(result->cluster_id == UINT64_MAX && result->member_id == UINT64_MAX - 1);
    CHECK_BYTES(result->status.version, "3.4.23");
    CHECK(result->status.leader_id == UINT64_MAX - 2);
    CHECK_INT(result->status.raft_index, 3);
    CHECK_INT(result->status.raft_term, 4);
    CHECK_INT(result->status.raft_applied_index, 5);
    CHECK_INT(result->status.db_size_bytes, 1);
    CHECK_INT(result->status.db_size_in_use_bytes, 6);
    CHECK_INT(result->status.quota_bytes, 7);
    CHECK_INT(result->status.error_count, 2);
    CHECK_BYTES(result->status.errors[1], "memberID:1");
    CHECK(result->status.is_learner);
    rollcall_object_drop(&result->object);
}

/* The bytes of etcd 3.6, with fields that nobody here knows: storageVersion, downgradeInfo. */
TEST(codec, status_of_a_newer_etcd_is_read_as_far_as_it_is_known)
{
    const struct rollcall_bytes body = rollcall__bytes("\x12\x05"
                                                       "3.6.1\x28\x02\x5a\x03"
                                                       "3.6\x60\x07\x6a\x02\x08\x01");
    struct transport_result *result = rollcall__codec_result(TRANSPORT_STATUS, body);
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK_BYTES(result->status.version, "3.6.1");
    CHECK_INT(result->status.raft_index, 2);
    CHECK_INT(result->status.quota_bytes, 7);
    CHECK_INT(result->status.error_count, 0);
    CHECK(result->status.leader_id == 0 && result->member_id == 0);
    rollcall_object_drop(&result->object);
}

TEST(codec, members_map_every_field)
{
    char name[] = "a", url[] = "http://127.0.0.1:2379", other[] = "http://h:1";
    char *urls[] = {url, other};
    Etcd__Member first = ETCD__MEMBER__INIT, second = ETCD__MEMBER__INIT;
    first.id = UINT64_MAX;
    first.name = name;
    first.client_urls = urls;
    first.n_client_urls = 2;
    second.id = 2; /* not started: no name, no URL */
    second.is_learner = true;
    Etcd__Member *list[] = {&first, &second};
    Etcd__MemberListResponse message = ETCD__MEMBER_LIST_RESPONSE__INIT;
    message.members = list;
    message.n_members = 2;
    struct transport_result *result =
        rollcall__codec_result(TRANSPORT_MEMBERS, pack(&message.base));
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK_INT(result->member_count, 2);
    CHECK(result->members[0].member_id == UINT64_MAX && result->members[1].member_id == 2);
    CHECK_BYTES(result->members[0].name, "a");
    CHECK_INT(result->members[0].client_url_count, 2);
    CHECK_BYTES(result->members[0].client_urls[1], "http://h:1");
    CHECK(!result->members[0].is_learner && result->members[1].is_learner);
    CHECK_BYTES(result->members[1].name, "");
    CHECK_INT(result->members[1].client_url_count, 0);
    rollcall_object_drop(&result->object);
}

TEST(codec, alarms_map_every_kind_and_one_that_is_not_known)
{
    static const enum transport_alarm_kind kinds[] = {
        TRANSPORT_ALARM_NONE, TRANSPORT_ALARM_NO_SPACE, TRANSPORT_ALARM_CORRUPT,
        TRANSPORT_ALARM_OTHER, TRANSPORT_ALARM_OTHER};
    enum { COUNT = sizeof kinds / sizeof kinds[0] };
    Etcd__AlarmMember alarms[COUNT];
    Etcd__AlarmMember *list[COUNT];
    for (int i = 0; i < COUNT; i++) {
        etcd__alarm_member__init(&alarms[i]);
        alarms[i].member_id = UINT64_MAX - (uint64_t)i;
        alarms[i].alarm = (Etcd__AlarmType)(i == COUNT - 1 ? -1 : i);
        list[i] = &alarms[i];
    }
    Etcd__AlarmResponse message = ETCD__ALARM_RESPONSE__INIT;
    message.alarms = list;
    message.n_alarms = COUNT;
    struct transport_result *result = rollcall__codec_result(TRANSPORT_ALARMS, pack(&message.base));
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK_INT(result->alarm_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK(result->alarms[i].member_id == UINT64_MAX - i);
        CHECK_INT(result->alarms[i].kind, kinds[i]);
    }
    rollcall_object_drop(&result->object);
}

/* A field of a newer etcd is no error, and is no leak in the arena. */
TEST(codec, unknown_field_is_skipped)
{
    const struct rollcall_bytes body = rollcall__bytes("\x18\x01\x20\x02\x7a\x03xyz");
    struct transport_result *result = rollcall__codec_result(TRANSPORT_RANGE, body);
    CHECK_INT(result->error.status, ROLLCALL_OK);
    CHECK(result->more);
    CHECK_INT(result->count, 2);
    rollcall_object_drop(&result->object);
}

TEST(codec, bytes_that_are_no_answer_say_so)
{
    struct transport_result *result =
        rollcall__codec_result(TRANSPORT_TXN, rollcall__bytes("HTTP/1.1 400"));
    CHECK_INT(result->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK(result->error.maybe_applied); /* etcd answered, so the transaction may have run */
    CHECK(strstr(result->error.text, "cannot be decoded") != NULL);
    rollcall_object_drop(&result->object);
}

/* ---- watches ---- */

static struct transport_watch_response *feed(struct rollcall__watch_block **partial,
                                             const char *first_key, size_t events, bool fragment,
                                             size_t bytes_max)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.revision = 8;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    kv.key = data(first_key);
    kv.mod_revision = 7;
    Etcd__Event event = ETCD__EVENT__INIT;
    event.kv = &kv;
    Etcd__Event *list[] = {&event, &event, &event};
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.header = &header;
    message.watch_id = 1;
    message.fragment = fragment;
    message.events = list;
    message.n_events = events;
    return rollcall__codec_watch_response(partial, pack(&message.base), bytes_max);
}

TEST(codec, fragments_are_joined_in_order)
{
    struct rollcall__watch_block *partial = NULL;
    CHECK(feed(&partial, "a", 2, true, 1 << 20) == NULL);
    CHECK(feed(&partial, "b", 3, true, 1 << 20) == NULL);
    struct transport_watch_response *response = feed(&partial, "c", 1, false, 1 << 20);
    CHECK(partial == NULL);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    CHECK(!response->fragment);
    CHECK_INT(response->event_count, 6);
    CHECK_BYTES(response->events[1].kv.key, "a");
    CHECK_BYTES(response->events[4].kv.key, "b");
    CHECK_BYTES(response->events[5].kv.key, "c");
    CHECK_INT(response->revision, 8);
    rollcall_object_drop(&response->object);
}

/* A stream has one watch, so etcd sends no such thing; progress that nobody asked for has the id
 * -1.
 */
TEST(codec, what_is_of_another_watch_is_no_part_of_a_response)
{
    struct rollcall__watch_block *partial = NULL;
    Etcd__WatchResponse other = ETCD__WATCH_RESPONSE__INIT;
    other.watch_id = 2;
    CHECK(rollcall__codec_watch_response(&partial, pack(&other.base), 1 << 20) == NULL);
    CHECK(partial == NULL);
    CHECK(feed(&partial, "a", 1, true, 1 << 20) == NULL);
    for (other.watch_id = -1; other.watch_id <= 3; other.watch_id += 2) {
        other.fragment = other.watch_id == 3;
        if (other.watch_id != 1) {
            CHECK(rollcall__codec_watch_response(&partial, pack(&other.base), 1 << 20) == NULL);
        }
    }
    struct transport_watch_response *response = feed(&partial, "b", 1, false, 1 << 20);
    CHECK_INT(response->event_count, 2);
    CHECK_BYTES(response->events[0].kv.key, "a");
    CHECK_BYTES(response->events[1].kv.key, "b");
    rollcall_object_drop(&response->object);
}

TEST(codec, fragments_are_bounded)
{
    struct rollcall__watch_block *partial = NULL;
    struct transport_watch_response *response = NULL;
    for (int i = 0; i < 10000 && response == NULL; i++) {
        response = feed(&partial, "a", 3, true, 64 << 10);
    }
    CHECK(response != NULL && partial == NULL);
    CHECK_INT(response->error.status, ROLLCALL_E_NO_MEMORY);
    CHECK(response->too_large);
    CHECK_INT(response->event_count, 0); /* half a response must not be taken for one */
    rollcall_object_drop(&response->object);
}

TEST(codec, delete_carries_the_value_before)
{
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT, previous = ETCD__KEY_VALUE__INIT;
    kv.key = data("k");
    kv.mod_revision = 9;
    previous.key = data("k");
    previous.value = data("old");
    previous.lease = 3;
    Etcd__Event event = ETCD__EVENT__INIT, bare = ETCD__EVENT__INIT;
    event.type = bare.type = ETCD__EVENT__EVENT_TYPE__DELETE;
    event.kv = bare.kv = &kv;
    event.prev_kv = &previous;
    Etcd__Event *list[] = {&event, &bare};
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.events = list;
    message.n_events = 2;
    struct rollcall__watch_block *partial = NULL;
    struct transport_watch_response *response =
        rollcall__codec_watch_response(&partial, pack(&message.base), 1 << 20);
    CHECK_INT(response->events[0].kind, TRANSPORT_DELETE);
    CHECK_INT(response->events[0].kv.mod_revision, 9);
    CHECK(response->events[0].has_prev_kv);
    CHECK_BYTES(response->events[0].prev_kv.value, "old");
    CHECK_INT(response->events[0].prev_kv.lease_id, 3);
    CHECK(!response->events[1].has_prev_kv);
    rollcall_object_drop(&response->object);
}

static struct transport_watch_response *canceled(int64_t compact_revision, const char *reason)
{
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.created = true;
    message.canceled = true;
    message.watch_id = -1;
    message.compact_revision = compact_revision;
    message.cancel_reason = (char *)(uintptr_t)reason;
    struct rollcall__watch_block *partial = NULL;
    return rollcall__codec_watch_response(&partial, pack(&message.base), 1 << 20);
}

TEST(codec, compaction_is_a_cancellation_not_an_error)
{
    struct transport_watch_response *response =
        canceled(44, "etcdserver: mvcc: required revision has been compacted");
    CHECK(response->canceled);
    CHECK_INT(response->compact_revision, 44);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    rollcall_object_drop(&response->object);
}

TEST(codec, other_cancellations_say_why)
{
    struct transport_watch_response *response =
        canceled(0, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    CHECK(response->canceled);
    CHECK_INT(response->error.status, ROLLCALL_E_DENIED);
    CHECK(strstr(response->error.text, "permission denied") != NULL);
    rollcall_object_drop(&response->object);
}

/* ---- small answers ---- */

TEST(codec, renewal_of_an_unknown_lease_has_ttl_zero)
{
    Etcd__LeaseKeepAliveResponse message = ETCD__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    int64_t lease_id = 1, ttl_s = 1;
    message.id = INT64_MAX;
    CHECK(rollcall__codec_renewed(pack(&message.base), &lease_id, &ttl_s));
    CHECK_INT(lease_id, INT64_MAX);
    CHECK_INT(ttl_s, 0);
    CHECK(!rollcall__codec_renewed(rollcall__bytes("\xff"), &lease_id, &ttl_s));
}

TEST(codec, token_is_copied_out)
{
    Etcd__AuthenticateResponse message = ETCD__AUTHENTICATE_RESPONSE__INIT;
    message.token = (char *)(uintptr_t) "secret.7";
    char *token = rollcall__codec_token(pack(&message.base));
    CHECK_STR(token, "secret.7");
    free(token);
    CHECK(rollcall__codec_token(rollcall__bytes("\xff")) == NULL);
}

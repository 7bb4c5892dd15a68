/* Requests own their bytes. */
#include "base/buffer.h"
#include "support/test.h"
#include "transport/request.h"

#include <stdlib.h>

TEST(request, range_copies_its_bytes)
{
    char key[] = "aaa", end[] = "bbb";
    struct transport_range *range =
        transport_range_create(rollcall__bytes(key), rollcall__bytes(end));
    memset(key, 'x', 3);
    memset(end, 'x', 3);
    CHECK_BYTES(range->key, "aaa");
    CHECK_BYTES(range->end, "bbb");
    CHECK_INT(range->limit, 0);
    rollcall_object_drop(&range->object);
}

TEST(request, request_range_takes_empty_bytes)
{
    struct transport_request *request =
        transport_request_range(rollcall__bytes("k"), (struct rollcall_bytes){0});
    CHECK_INT(request->kind, TRANSPORT_RANGE);
    CHECK_BYTES(request->range.key, "k");
    CHECK_BYTES(request->range.end, "");
    rollcall_object_drop(&request->object);
}

TEST(request, lease_carries_id_and_ttl)
{
    struct transport_request *request =
        transport_request_lease(TRANSPORT_LEASE_GRANT, INT64_MAX, 30);
    CHECK_INT(request->kind, TRANSPORT_LEASE_GRANT);
    CHECK_INT(request->lease.lease_id, INT64_MAX);
    CHECK_INT(request->lease.ttl_s, 30);
    rollcall_object_drop(&request->object);
}

/* All slots in use, from one buffer that is overwritten before looking: a slot forgotten in the
 * size overflows the block, one forgotten in the copy shows the overwritten bytes. */
TEST(request, txn_copies_every_slot)
{
    char text[] = "0123456789";
    const struct rollcall_bytes bytes = rollcall__bytes(text);
    struct transport_txn txn = {.compare_count = TRANSPORT_TXN_COMPARES_MAX,
                                .success_count = TRANSPORT_TXN_OPS_MAX,
                                .failure_count = TRANSPORT_TXN_OPS_MAX};
    for (int i = 0; i < TRANSPORT_TXN_COMPARES_MAX; i++) {
        txn.compares[i] = (struct transport_compare){
            .target = TRANSPORT_COMPARE_VALUE, .key = bytes, .value = bytes};
    }
    for (int i = 0; i < TRANSPORT_TXN_OPS_MAX; i++) {
        txn.success[i] = (struct transport_op){
            .kind = TRANSPORT_OP_PUT, .key = bytes, .value = bytes, .lease_id = i};
        txn.failure[i] = (struct transport_op){.kind = TRANSPORT_OP_GET, .key = bytes};
    }
    struct transport_request *request = transport_request_txn(&txn);
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < TRANSPORT_TXN_COMPARES_MAX; i++) {
        CHECK_BYTES(request->txn.compares[i].key, "0123456789");
        CHECK_BYTES(request->txn.compares[i].value, "0123456789");
    }
    for (int i = 0; i < TRANSPORT_TXN_OPS_MAX; i++) {
        CHECK_BYTES(request->txn.success[i].key, "0123456789");
        CHECK_BYTES(request->txn.success[i].value, "0123456789");
        CHECK_INT(request->txn.success[i].lease_id, i);
        CHECK_BYTES(request->txn.failure[i].key, "0123456789");
        CHECK_BYTES(request->txn.failure[i].value, "");
    }
    rollcall_object_drop(&request->object);
}

TEST(request, error_result_carries_the_error)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_TIMEOUT, "too late");
    struct transport_result *result = transport_result_failed(TRANSPORT_TXN, &error);
    CHECK_INT(result->kind, TRANSPORT_TXN);
    CHECK_INT(result->error.status, ROLLCALL_E_TIMEOUT);
    CHECK_STR(result->error.text, "too late");
    CHECK_INT(result->kv_count, 0);
    rollcall_object_drop(&result->object);
}

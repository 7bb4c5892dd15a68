/* The model of etcd: what is stored, what is answered, what watches tell. */
#include "model_world.h"

/* ---- ranges ---- */

TEST(etcd_model, a_new_store_is_at_revision_1_and_the_first_change_is_2)
{
    struct world world = world_open(1);
    const struct transport_result *nothing = get(&world, "a");
    CHECK_INT(nothing->revision, 1);
    CHECK_INT(nothing->count, 0);
    CHECK(nothing->cluster_id != 0);
    CHECK_INT(put(&world, "a", "1"), 2);
    CHECK_INT(rollcall__model_revision(world.model), 2);
    world_close(&world);
}

TEST(etcd_model, a_key_counts_its_versions_from_its_creation)
{
    struct world world = world_open(1);
    (void)put(&world, "a", "1");
    (void)put(&world, "a", "2");
    const struct transport_result *second = get(&world, "a");
    CHECK_BYTES(second->kvs[0].value, "2");
    CHECK_INT(second->kvs[0].create_revision, 2);
    CHECK_INT(second->kvs[0].mod_revision, 3);
    CHECK_INT(second->kvs[0].version, 2);
    CHECK_INT(del(&world, "a"), 4);
    CHECK_INT(get(&world, "a")->count, 0);
    (void)put(&world, "a", "3");
    const struct transport_result *again = get(&world, "a");
    CHECK_INT(again->kvs[0].create_revision, 5);
    CHECK_INT(again->kvs[0].version, 1);
    world_close(&world);
}

TEST(etcd_model, a_range_is_sorted_and_limited_and_counts_all)
{
    struct world world = world_open(1);
    (void)put(&world, "b/2", "x");
    (void)put(&world, "b/1", "y");
    (void)put(&world, "c", "z");
    (void)put(&world, "a", "w");
    const struct transport_result *all = ask(&world, range_of("b", "c"));
    CHECK_INT(all->count, 2);
    CHECK_INT(all->kv_count, 2);
    CHECK_BYTES(all->kvs[0].key, "b/1");
    CHECK(!all->more);
    struct transport_request *request = range_of("b", "");
    request->range.end = (struct rollcall_bytes){"\0", 1};
    request->range.limit = 2;
    const struct transport_result *page = ask(&world, request);
    CHECK_INT(page->count, 3);
    CHECK_INT(page->kv_count, 2);
    CHECK(page->more);
    request = range_of("a", "z");
    request->range.count_only = true;
    const struct transport_result *counted = ask(&world, request);
    CHECK_INT(counted->count, 4);
    CHECK_INT(counted->kv_count, 0);
    CHECK(!counted->more);
    request = range_of("a", "b");
    request->range.keys_only = true;
    const struct transport_result *keys = ask(&world, request);
    CHECK_BYTES(keys->kvs[0].key, "a");
    CHECK_INT(keys->kvs[0].value.size_bytes, 0);
    CHECK_INT(ask(&world, range_of("z", "a"))->count, 0);
    world_close(&world);
}

TEST(etcd_model, the_past_is_read_until_it_is_compacted)
{
    struct world world = world_open(1);
    for (int i = 0; i < 9; i++) {
        (void)put(&world, "a", i % 2 == 0 ? "even" : "odd"); /* revisions 2..10 */
    }
    struct transport_request *request = range_of("a", "");
    request->range.revision = 4;
    rollcall_object_keep(&request->object);
    const struct transport_result *past = ask(&world, request);
    CHECK_INT(past->kvs[0].mod_revision, 4);
    CHECK_INT(past->revision, 10);
    CHECK(rollcall__model_compact(world.model, 4));
    rollcall_object_keep(&request->object);
    CHECK_INT(ask(&world, request)->error.status, ROLLCALL_OK);
    CHECK(rollcall__model_compact(world.model, 5));
    const struct transport_result *gone = ask(&world, request);
    CHECK_INT(gone->error.status, ROLLCALL_E_COMPACTED);
    CHECK_INT(gone->error.grpc_code, 11);
    CHECK(!rollcall__model_compact(world.model, 5));  /* again */
    CHECK(!rollcall__model_compact(world.model, 11)); /* still to come */
    CHECK_INT(rollcall__model_find(world.model, rollcall__bytes("a"), 3)->mod_revision, 3);
    world_close(&world);
}

TEST(etcd_model, the_future_and_an_empty_key_are_refused)
{
    struct world world = world_open(1);
    struct transport_request *request = range_of("a", "");
    request->range.revision = 2;
    const struct transport_result *future = ask(&world, request);
    CHECK_INT(future->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(future->error.grpc_code, 11);
    CHECK_INT(get(&world, "")->error.status, ROLLCALL_E_REJECTED);
    CHECK_INT(put(&world, "", "x"), -ROLLCALL_E_REJECTED);
    CHECK(!rollcall__model_put(world.model, rollcall__bytes(""), rollcall__bytes("x"), 0, 0));
    CHECK_INT(rollcall__model_revision(world.model), 1);
    world_close(&world);
}

TEST(etcd_model, keys_of_any_bytes_keep_their_order)
{
    struct world world = world_open(1);
    const struct rollcall_bytes keys[] = {{"\0", 1}, {"\0\0", 2}, {"a\0b", 3}, {"\xff\xff", 2}};
    for (size_t i = 4; i-- > 0;) {
        CHECK(rollcall__model_put(world.model, keys[i], (struct rollcall_bytes){0}, 0, 0));
    }
    struct transport_request *request = range_of("", "");
    request->range.key = request->range.end = (struct rollcall_bytes){"\0", 1};
    const struct transport_result *all = ask(&world, request);
    CHECK_INT(all->kv_count, 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK(rollcall__bytes_equal(all->kvs[i].key, keys[i]));
    }
    world_close(&world);
}

/* ---- transactions ---- */

static bool compare_holds(struct world *world, enum transport_compare_target target,
                          const char *key, int64_t number, const char *value)
{
    struct transport_txn txn = {.compare_count = 1};
    txn.compares[0] = (struct transport_compare){.target = target,
                                                 .key = rollcall__bytes(key),
                                                 .number = number,
                                                 .value = rollcall__bytes(value)};
    return ask_txn(world, &txn)->succeeded;
}

TEST(etcd_model, a_transaction_compares_every_field)
{
    struct world world = world_open(1);
    (void)grant(&world, 5, 10);
    (void)put(&world, "a", "1");
    (void)put_leased(&world, "a", "2", 5);
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_VERSION, "a", 2, ""));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_VERSION, "a", 1, ""));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_CREATE_REVISION, "a", 2, ""));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_CREATE_REVISION, "a", 3, ""));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_MOD_REVISION, "a", 3, ""));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_MOD_REVISION, "a", 2, ""));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_LEASE, "a", 5, ""));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_LEASE, "a", 0, ""));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_VALUE, "a", 0, "2"));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_VALUE, "a", 0, "1"));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_LEASE, "none", 0, ""));
    CHECK(compare_holds(&world, TRANSPORT_COMPARE_CREATE_REVISION, "none", 0, ""));
    CHECK(!compare_holds(&world, TRANSPORT_COMPARE_VALUE, "none", 0, ""));
    world_close(&world);
}

TEST(etcd_model, a_transaction_is_one_revision_and_sees_itself)
{
    struct world world = world_open(1);
    (void)put(&world, "b", "old");
    const struct transport_txn txn = {
        .success = {{.kind = TRANSPORT_OP_GET, .key = rollcall__bytes("a")},
                    {.kind = TRANSPORT_OP_PUT,
                     .key = rollcall__bytes("a"),
                     .value = rollcall__bytes("1")},
                    {.kind = TRANSPORT_OP_DELETE, .key = rollcall__bytes("b")},
                    {.kind = TRANSPORT_OP_GET, .key = rollcall__bytes("a")},
                    {.kind = TRANSPORT_OP_GET, .key = rollcall__bytes("b")}},
        .success_count = 5};
    const struct transport_result *result = ask_txn(&world, &txn);
    CHECK_INT(result->revision, 3);
    CHECK_INT(result->op_count, 5);
    CHECK_INT(result->ops[0].kv_count, 0);
    CHECK_INT(result->ops[3].kv_count, 1);
    CHECK_INT(result->ops[3].kvs[0].mod_revision, 3);
    CHECK_INT(result->ops[4].kv_count, 0);
    size_t count = 0;
    const struct transport_event *history = rollcall__model_history(world.model, &count);
    CHECK_INT(count, 3);
    CHECK_INT(history[2].kind, TRANSPORT_DELETE);
    CHECK_BYTES(history[2].prev_kv.value, "old");
    world_close(&world);
}

TEST(etcd_model, what_changes_nothing_makes_no_revision)
{
    struct world world = world_open(1);
    CHECK_INT(del(&world, "none"), 1);
    const struct transport_txn txn = {
        .compares = {{.target = TRANSPORT_COMPARE_VERSION,
                      .key = rollcall__bytes("a"),
                      .number = 1}},
        .compare_count = 1,
        .success = {{.kind = TRANSPORT_OP_PUT, .key = rollcall__bytes("a")}},
        .success_count = 1,
        .failure = {{.kind = TRANSPORT_OP_GET, .key = rollcall__bytes("a")}},
        .failure_count = 1};
    const struct transport_result *result = ask_txn(&world, &txn);
    CHECK(!result->succeeded);
    CHECK_INT(result->revision, 1);
    CHECK_INT(result->op_count, 1);
    CHECK(!rollcall__model_delete(world.model, rollcall__bytes("none"), 0));
    world_close(&world);
}

TEST(etcd_model, a_key_changed_twice_in_one_transaction_is_refused)
{
    struct world world = world_open(1);
    struct transport_txn txn = {
        .failure = {{.kind = TRANSPORT_OP_PUT, .key = rollcall__bytes("a")},
                    {.kind = TRANSPORT_OP_DELETE, .key = rollcall__bytes("a")}},
        .failure_count = 2};
    CHECK_INT(ask_txn(&world, &txn)->error.status, ROLLCALL_E_REJECTED); /* though not taken */
    txn.failure[1].kind = TRANSPORT_OP_PUT;
    CHECK_INT(ask_txn(&world, &txn)->error.status, ROLLCALL_E_REJECTED);
    txn.failure[0].kind = txn.failure[1].kind = TRANSPORT_OP_DELETE;
    CHECK_INT(ask_txn(&world, &txn)->error.status, ROLLCALL_OK);
    world_close(&world);
}

TEST(etcd_model, a_put_under_no_such_lease_changes_nothing)
{
    struct world world = world_open(1);
    const struct transport_txn txn = {
        .success = {{.kind = TRANSPORT_OP_PUT, .key = rollcall__bytes("a")},
                    {.kind = TRANSPORT_OP_PUT, .key = rollcall__bytes("b"), .lease_id = 4711}},
        .success_count = 2};
    const struct transport_result *result = ask_txn(&world, &txn);
    CHECK_INT(result->error.status, ROLLCALL_E_LEASE_LOST);
    CHECK(!result->error.maybe_applied);
    CHECK_INT(get(&world, "a")->count, 0);
    CHECK_INT(get(&world, "a")->revision, 1);
    world_close(&world);
}

/* ---- watches ---- */

TEST(etcd_model, a_watch_tells_each_revision_in_one_response)
{
    struct world world = world_open(1);
    (void)put(&world, "a", "0");
    struct rollcall__model_watch *all = watch_created(&world, "a", "z", 3);
    CHECK(told(&world, all) == NULL);
    (void)put(&world, "a", "1");
    (void)put(&world, "zz", "not in the range");
    CHECK_INT(del(&world, "a"), 5);
    const struct transport_watch_response *response = told(&world, all);
    CHECK_INT(response->event_count, 1);
    CHECK_INT(response->revision, 3);
    CHECK_BYTES(response->events[0].kv.value, "1");
    CHECK_BYTES(response->events[0].prev_kv.value, "0");
    response = told(&world, all);
    CHECK_INT(response->revision, 5);
    CHECK_INT(response->events[0].kind, TRANSPORT_DELETE);
    CHECK_INT(response->events[0].kv.version, 0);
    CHECK_BYTES(response->events[0].prev_kv.value, "1");
    CHECK(told(&world, all) == NULL);
    world_close(&world);
}

TEST(etcd_model, a_watch_from_the_past_is_told_all_at_once)
{
    struct world world = world_open(1);
    for (int i = 0; i < 10; i++) {
        (void)put(&world, i % 2 == 0 ? "a" : "b", "x");
    }
    struct rollcall__model_watch *past = watch_created(&world, "a", "", 3);
    const struct transport_watch_response *response = told(&world, past);
    CHECK_INT(response->event_count, 4);
    CHECK_INT(response->events[0].kv.mod_revision, 4);
    CHECK_INT(response->revision, 11); /* of the store, not of an event */
    CHECK(told(&world, past) == NULL);
    world_close(&world);
}

TEST(etcd_model, a_watch_from_the_future_waits_for_it)
{
    struct world world = world_open(1);
    struct rollcall__model_watch *future = watch_created(&world, "a", "", 4);
    (void)put(&world, "a", "2");
    (void)put(&world, "a", "3");
    CHECK(told(&world, future) == NULL);
    (void)put(&world, "a", "4");
    CHECK_INT(told(&world, future)->events[0].kv.mod_revision, 4);
    world_close(&world);
}

TEST(etcd_model, catching_up_takes_a_thousand_revisions_at_a_time)
{
    struct world world = world_open(1);
    for (int i = 0; i < 1500; i++) {
        CHECK(rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("x"), 0, 0));
    }
    struct rollcall__model_watch *past = watch_created(&world, "a", "", 2);
    const struct transport_watch_response *response = told(&world, past);
    CHECK_INT(response->event_count, 1000);
    CHECK_INT(response->revision, 1501); /* never resume from this */
    CHECK_INT(told(&world, past)->event_count, 500);
    world_close(&world);
}

TEST(etcd_model, a_revision_is_cut_into_fragments_and_by_nothing_else)
{
    struct world world = world_open_with(
        (struct rollcall__model_options){.seed = 1, .members = 1, .events_per_response_max = 3});
    struct rollcall__model_watch *all = watch_created(&world, "a", "z", 2);
    (void)grant(&world, 5, 10);
    static const char *const KEYS[] = {"g", "f", "e", "d", "c", "b", "a"};
    for (size_t i = 0; i < 7; i++) {
        (void)put_leased(&world, KEYS[i], "x", 5);
    }
    CHECK(rollcall__model_revoke(world.model, 5, 0));
    for (int i = 0; i < 7; i++) {
        CHECK(!told(&world, all)->fragment);
    }
    size_t seen = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct transport_watch_response *response = told(&world, all);
        CHECK_INT(response->event_count, i < 2 ? 3 : 1);
        CHECK(response->fragment == (i < 2));
        CHECK_INT(response->revision, 9);
        for (size_t k = 0; k < response->event_count; k++) {
            CHECK_INT(response->events[k].kv.mod_revision, 9);
            CHECK_BYTES(response->events[k].kv.key, KEYS[6 - seen++]); /* sorted */
        }
    }
    CHECK(told(&world, all) == NULL);
    world_close(&world);
}

TEST(etcd_model, a_watch_below_the_compaction_is_created_then_canceled)
{
    struct world world = world_open(1);
    for (int i = 0; i < 5; i++) {
        (void)put(&world, "a", "x"); /* 2..6 */
    }
    CHECK(rollcall__model_compact(world.model, 5));
    struct rollcall__model_watch *below = watch_created(&world, "zz", "", 4);
    const struct transport_watch_response *response = told(&world, below);
    CHECK(response->canceled);
    CHECK_INT(response->compact_revision, 5);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    CHECK(told(&world, below) == NULL);
    struct rollcall__model_watch *at = watch_created(&world, "a", "", 5);
    response = told(&world, at);
    CHECK_INT(response->event_count, 2);
    CHECK(!response->events[0].has_prev_kv); /* 4 cannot be read any more */
    CHECK(response->events[1].has_prev_kv);
    world_close(&world);
}

TEST(etcd_model, a_compaction_takes_nothing_from_a_watch_that_keeps_up)
{
    struct world world = world_open(1);
    struct rollcall__model_watch *all = watch_created(&world, "a", "", 2);
    for (int i = 0; i < 5; i++) {
        (void)put(&world, "a", "x");
    }
    CHECK(rollcall__model_compact(world.model, 6));
    for (int64_t revision = 2; revision <= 6; revision++) {
        CHECK_INT(told(&world, all)->events[0].kv.mod_revision, revision);
    }
    CHECK(told(&world, all) == NULL);
    world_close(&world);
}

TEST(etcd_model, a_compaction_overtakes_a_watch_that_is_far_behind)
{
    struct world world = world_open(1);
    struct rollcall__model_watch *slow = watch_created(&world, "a", "", 2);
    for (int i = 0; i < 200; i++) {
        CHECK(rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("x"), 0, 0));
    }
    CHECK(rollcall__model_compact(world.model, 100));
    const struct transport_watch_response *response = told(&world, slow);
    CHECK(response->canceled);
    CHECK_INT(response->compact_revision, 100);
    world_close(&world);
}

TEST(etcd_model, an_empty_range_is_created_and_canceled_at_once)
{
    struct world world = world_open(1);
    struct rollcall__model_watch *empty = watch(&world, "b", "a", 1);
    const struct transport_watch_response *response = told(&world, empty);
    CHECK(response->created && response->canceled);
    CHECK_INT(response->error.status, ROLLCALL_E_REJECTED);
    CHECK(told(&world, empty) == NULL);
    world_close(&world);
}

TEST(etcd_model, progress_comes_after_the_events_it_covers)
{
    struct world world = world_open(1);
    struct rollcall__model_watch *all = watch_created(&world, "a", "", 2);
    (void)put(&world, "a", "x");
    (void)put(&world, "b", "x");
    rollcall__model_watch_progress(all);
    CHECK_INT(told(&world, all)->event_count, 1);
    const struct transport_watch_response *response = told(&world, all);
    CHECK_INT(response->event_count, 0);
    CHECK_INT(response->revision, 3);
    CHECK(told(&world, all) == NULL);
    world_close(&world);
}

/* ---- the whole ---- */

TEST(etcd_model, the_same_seed_gives_the_same_cluster)
{
    struct world a = world_open(3), b = world_open(3);
    CHECK(get(&a, "x")->cluster_id == get(&b, "x")->cluster_id);
    CHECK_INT(rollcall__model_leader(a.model), rollcall__model_leader(b.model));
    struct world c = world_open_with((struct rollcall__model_options){.seed = 8, .members = 3});
    CHECK(get(&a, "x")->cluster_id != get(&c, "x")->cluster_id);
    world_close(&a);
    world_close(&b);
    world_close(&c);
}

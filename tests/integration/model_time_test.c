/* Leases of the model of etcd end, freeze and come back as those of a real one. */
#include "model_pair.h"

static int64_t grant_both(struct pair *pair, int64_t lease_id, int64_t ttl_s)
{
    ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_GRANT, lease_id, ttl_s));
    return now_ms(pair);
}

static void left_both(struct pair *pair, int64_t lease_id)
{
    ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, lease_id, 0));
}

/* The next DELETE of the watch: when it came, and the lease its key names. */
static int64_t await_end(struct reader *reader, int64_t *lease_id)
{
    const struct transport_event *event;
    do {
        event = real_event(reader);
    } while (event->kind == TRANSPORT_PUT);
    *lease_id = event->kv.key.data[0] - '0';
    return now_ms(reader->pair);
}

/* The model ends a lease 0 to 500 ms after its time, wherever in it the real one's end lies. */
TEST(model_time, leases_end_in_the_time_the_model_gives_them)
{
    enum { COUNT = 5, LATE_MS = 600, BUSY_MS = 1000 /* what the machine adds */ };
    struct pair pair;
    int64_t before_ms[COUNT + 1], after_ms[COUNT + 1];
    pair_open(&pair, 1, 0);
    struct transport_range *range = transport_range_create(ALL, ALL);
    range->revision = 2;
    const struct watched all = {.watch_id = 1};
    bench_tell(&pair.bench, pair.bench.bulk, PROBE_WATCH, &all.watch_id, sizeof all.watch_id,
               &range->object);
    struct reader reader = {.pair = &pair, .watched = &all};
    for (int64_t i = 1; i <= COUNT; i++) {
        const char key = (char)('0' + i);
        const struct transport_txn txn = {
            .success = {{.kind = TRANSPORT_OP_PUT, .key = {&key, 1}, .lease_id = i}},
            .success_count = 1};
        before_ms[i] = now_ms(&pair);
        after_ms[i] = grant_both(&pair, i, 2 + i % 2);
        ask_and_forget(&pair, transport_request_txn(&txn));
    }
    before_ms[1] = now_ms(&pair);
    SAME(&pair, "a renewal in time", renew_both(&pair, 1), 3);
    after_ms[1] = now_ms(&pair);
    for (int i = 0; i < COUNT; i++) {
        int64_t lease_id = 0;
        const int64_t end_ms = await_end(&reader, &lease_id);
        const int64_t ttl_ms = (2 + lease_id % 2) * 1000;
        rollcall__model_advance(pair.model, end_ms + LATE_MS + BUSY_MS);
        const int64_t model_ms = rollcall__model_lease(pair.model, lease_id)->ended_ms;
        CHECK(end_ms >= before_ms[lease_id] + ttl_ms);
        CHECK(end_ms <= after_ms[lease_id] + ttl_ms + LATE_MS + BUSY_MS);
        CHECK(model_ms >= before_ms[lease_id] + ttl_ms);
        CHECK(model_ms <= after_ms[lease_id] + ttl_ms + LATE_MS);
    }
    pair_close(&pair);
}

TEST(model_time, a_freeze_and_a_restart_do_to_leases_what_the_model_says)
{
    enum { FROZEN_MS = 3500 };
    struct pair pair;
    pair_open(&pair, 1, 0);
    (void)grant_both(&pair, 1, 2);
    (void)grant_both(&pair, 2, 10);
    etcd_fixture_freeze(pair.etcd);
    rollcall__model_set_member(pair.model, 0, ROLLCALL__MEMBER_FROZEN, now_ms(&pair));
    CHECK(bench_next_within(&pair.bench, FROZEN_MS) == NULL);
    etcd_fixture_thaw(pair.etcd);
    rollcall__model_set_member(pair.model, 0, ROLLCALL__MEMBER_UP, now_ms(&pair));
    CHECK_INT(renew_both(&pair, 1), 0);
    left_both(&pair, 2);
    etcd_fixture_kill(pair.etcd);
    rollcall__model_set_member(pair.model, 0, ROLLCALL__MEMBER_DOWN, now_ms(&pair));
    CHECK(etcd_fixture_restart(pair.etcd));
    rollcall__model_set_member(pair.model, 0, ROLLCALL__MEMBER_UP, now_ms(&pair));
    struct transport_request *left = transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, 2, 0);
    struct transport_result *model = rollcall__model_perform(pair.model, 0, left, now_ms(&pair));
    const struct transport_result *real = bench_ask_well(&pair.bench, pair.bench.control, left);
    CHECK_INT(model->ttl_s, 10);
    CHECK(real->ttl_s >= 8 && real->ttl_s <= 10); /* of the time before there were 6 left */
    rollcall_object_drop(&model->object);
    CHECK_INT(renew_both(&pair, 2), 10);
    pair_close(&pair);
}

/* The etcd adapter against a real etcd, whose HOST:PORT is in ROLLCALL_TEST_ETCD. */
#include "base/buffer.h"
#include "base/clock.h"
#include "support/proxy.h"
#include "support/test.h"
#include "support/transport_bench.h"

#include <stdlib.h>

/* ---- calls ---- */

TEST(transport, registration_is_granted_put_and_read_back)
{
    struct bench bench = bench_open_real();
    const int64_t lease_id = bench_lease(&bench, 30);
    const struct transport_result *first = bench_put_if_absent(&bench, "a", "one", lease_id);
    CHECK(first->succeeded);
    CHECK(first->revision > 0);
    const struct transport_result *second = bench_put_if_absent(&bench, "a", "two", lease_id);
    CHECK(!second->succeeded);
    CHECK_INT(second->op_count, 1);
    CHECK_INT(second->ops[0].kv_count, 1);
    CHECK_BYTES(second->ops[0].kvs[0].value, "one");
    CHECK_INT(second->ops[0].kvs[0].lease_id, lease_id);
    const struct transport_result *range =
        bench_ask_well(&bench, bench.bulk,
                       transport_request_range(bench_key(&bench, "a"), (struct rollcall_bytes){0}));
    CHECK_INT(range->count, 1);
    CHECK_BYTES(range->kvs[0].value, "one");
    CHECK_INT(range->kvs[0].create_revision, first->revision);
    CHECK(range->cluster_id != 0);
    bench_revoke(&bench, lease_id);
    bench_close(&bench);
}

TEST(transport, repeated_grant_and_revoke_are_successes)
{
    struct bench bench = bench_open_real();
    const int64_t lease_id = bench_lease(&bench, 30);
    const struct transport_result *again = bench_ask_well(
        &bench, bench.control, transport_request_lease(TRANSPORT_LEASE_GRANT, lease_id, 30));
    CHECK_INT(again->lease_id, lease_id);
    CHECK_INT(again->ttl_s, 0);
    bench_revoke(&bench, lease_id);
    bench_revoke(&bench, lease_id);
    const struct transport_result *gone = bench_ask_well(
        &bench, bench.control, transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, lease_id, 0));
    CHECK_INT(gone->ttl_s, -1);
    bench_close(&bench);
}

TEST(transport, put_under_a_lost_lease_says_so)
{
    struct bench bench = bench_open_real();
    const struct transport_txn txn = {
        .success = {{.kind = TRANSPORT_OP_PUT, .key = bench_key(&bench, "x"), .lease_id = 4711}},
        .success_count = 1};
    const struct transport_result *result =
        bench_ask(&bench, bench.control, (struct transport_call){.timeout_ms = 3000},
                  transport_request_txn(&txn));
    CHECK_INT(result->error.status, ROLLCALL_E_LEASE_LOST);
    CHECK(!result->error.maybe_applied);
    bench_close(&bench);
}

/* Port 1 of the loopback answers with a reset: nothing listens there. */
TEST(transport, unreachable_etcd_is_told_at_once_and_by_name)
{
    struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = "127.0.0.1:1"));
    const int64_t started_ns = rollcall__clock_monotonic_ns();
    const struct transport_result *result =
        bench_ask(&bench, bench.control, (struct transport_call){.timeout_ms = 3000},
                  transport_request_lease(TRANSPORT_LEASE_GRANT, 1, 30));
    CHECK_INT(result->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK(strstr(result->error.text, "127.0.0.1:1") != NULL);
    CHECK(rollcall__clock_monotonic_ns() - started_ns < INT64_C(1500000000));
    CHECK_INT(bench_renew(&bench, 1).status, ROLLCALL_E_UNAVAILABLE);
    bench_close(&bench);
}

TEST(transport, patient_call_waits_until_its_deadline)
{
    struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = "127.0.0.1:1"));
    const int64_t started_ns = rollcall__clock_monotonic_ns();
    const struct transport_result *result = bench_ask(
        &bench, bench.control, (struct transport_call){.timeout_ms = 300, .wait_for_ready = true},
        transport_request_lease(TRANSPORT_LEASE_GRANT, 1, 30));
    const int64_t waited_ns = rollcall__clock_monotonic_ns() - started_ns;
    CHECK_INT(result->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK(!result->error.maybe_applied); /* it was never sent */
    CHECK(waited_ns >= INT64_C(290000000) && waited_ns < INT64_C(1000000000));
    bench_close(&bench);
}

TEST(transport, dead_endpoint_is_passed_over)
{
    char endpoints[256];
    snprintf(endpoints, sizeof endpoints, "127.0.0.1:1,%s", bench_endpoint());
    struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = endpoints));
    const int64_t lease_id = bench_lease(&bench, 30);
    CHECK_INT(bench_renew(&bench, lease_id).ttl_s, 30);
    bench_revoke(&bench, lease_id);
    bench_close(&bench);
}

/* E14: whichever of them is home; an attempt to connect may take 5 s. */
TEST(transport, a_dead_and_a_silent_endpoint_do_not_delay_the_first_call)
{
    enum { ROUNDS = 12 };
    const int64_t ready_ns = INT64_C(1000000000);
    struct proxy *silent = proxy_create(bench_endpoint(), NULL, NULL);
    char endpoints[256];
    CHECK(silent != NULL);
    proxy_set(silent, PROXY_BLACKHOLE);
    snprintf(endpoints, sizeof endpoints, "127.0.0.1:1,%s,%s", proxy_endpoint(silent),
             bench_endpoint());
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t begun_ns = rollcall__clock_monotonic_ns();
        struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = endpoints));
        const struct transport_result *result = bench_ask(
            &bench, bench.control, (struct transport_call){.wait_for_ready = round % 2 == 0},
            transport_request_bare(TRANSPORT_ALARMS));
        CHECK_INT(result->error.status, ROLLCALL_OK);
        CHECK(rollcall__clock_monotonic_ns() - begun_ns <= ready_ns);
        bench_close(&bench);
    }
    proxy_destroy(silent);
}

/* ---- renewals ---- */

TEST(transport, renewal_tells_ttl_and_when_it_was_sent)
{
    struct bench bench = bench_open_real();
    const int64_t lease_id = bench_lease(&bench, 30);
    const int64_t before_ms = rollcall__clock_boot_ms();
    const struct transport_keepalive_answer answer = bench_renew(&bench, lease_id);
    CHECK_INT(answer.status, ROLLCALL_OK);
    CHECK_INT(answer.ttl_s, 30);
    CHECK(answer.sent_ms >= before_ms - 1 && answer.sent_ms <= rollcall__clock_boot_ms());
    bench_revoke(&bench, lease_id);
    const struct transport_keepalive_answer gone = bench_renew(&bench, lease_id);
    CHECK_INT(gone.status, ROLLCALL_OK);
    CHECK(gone.ttl_s <= 0);
    bench_close(&bench);
}

/* Answers carry no echo but the lease id: one mixed up would show the wrong TTL. */
TEST(transport, a_thousand_leases_share_a_few_streams_and_each_has_its_answer)
{
    enum { LEASES = 1000, REAL = 500 };
    struct bench bench = bench_open_real();
    const int64_t real_id = bench_lease(&bench, 30);
    for (int64_t i = 0; i < LEASES; i++) {
        const int64_t lease_id = i == REAL ? real_id : INT64_MAX - i;
        while (rollcall_runtime_send(bench.runtime, bench.control, PROBE_KEEPALIVE, &lease_id,
                                     sizeof lease_id, NULL) == ROLLCALL_E_FULL) {
            /* the lane from this thread is full: the worker empties it */
        }
    }
    bool seen[LEASES] = {false};
    for (int64_t n = 0; n < LEASES; n++) {
        struct transport_keepalive_answer answer;
        memcpy(&answer, bench_next(&bench, PROBE_RENEWED)->payload, sizeof answer);
        const int64_t i = answer.lease_id == real_id ? REAL : INT64_MAX - answer.lease_id;
        CHECK_INT(answer.status, ROLLCALL_OK);
        CHECK(i >= 0 && i < LEASES && !seen[i]);
        CHECK_INT(answer.ttl_s, i == REAL ? 30 : 0);
        seen[i] = true;
    }
    bench_revoke(&bench, real_id);
    bench_close(&bench);
}

/* ---- watches ---- */

TEST(transport, watch_tells_put_and_delete_with_the_value_before)
{
    struct bench bench = bench_open_real();
    const int64_t lease_id = bench_lease(&bench, 30);
    const int64_t revision = bench_put(&bench, "before", "x");
    bench_watch(&bench, 7, revision + 1);
    const int64_t put_revision = bench_put_if_absent(&bench, "k", "v", lease_id)->revision;
    const struct transport_watch_response *response = bench_watched(&bench);
    CHECK_INT(response->event_count, 1);
    CHECK_INT(response->events[0].kind, TRANSPORT_PUT);
    CHECK_BYTES(response->events[0].kv.value, "v");
    CHECK_INT(response->events[0].kv.mod_revision, put_revision);
    CHECK(!response->events[0].has_prev_kv);
    const uint64_t watch_id = 7;
    bench_tell(&bench, bench.bulk, PROBE_ACK, &watch_id, sizeof watch_id, NULL);
    bench_revoke(&bench, lease_id);
    response = bench_watched(&bench);
    CHECK_INT(response->event_count, 1);
    CHECK_INT(response->events[0].kind, TRANSPORT_DELETE);
    CHECK_BYTES(response->events[0].kv.key, bench_key(&bench, "k").data);
    CHECK(response->events[0].has_prev_kv);
    CHECK_BYTES(response->events[0].prev_kv.value, "v");
    CHECK_INT(response->events[0].prev_kv.lease_id, lease_id);
    bench_close(&bench);
}

TEST(transport, canceled_watch_is_silent)
{
    struct bench bench = bench_open_real();
    bench_watch(&bench, 1, bench_put(&bench, "a", "1") + 1);
    const uint64_t watch_id = 1;
    bench_tell(&bench, bench.bulk, PROBE_CANCEL, &watch_id, sizeof watch_id, NULL);
    CHECK(bench_next_within(&bench, 100) == NULL); /* no answer to the cancel, and it has arrived */
    (void)bench_put(&bench, "a", "2");
    CHECK(bench_next_within(&bench, 300) == NULL);
    bench_close(&bench);
}

/* Values of 100 kB, so that etcd sends one event per response and cannot batch the backlog into
 * fewer responses than the window holds. */
TEST(transport, slow_asker_gets_no_more_than_the_window)
{
    enum { PUTS = 40, VALUE_BYTES = 100000 };
    struct bench bench = bench_open_real();
    char *value = malloc(VALUE_BYTES + 1);
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    const uint64_t watch_id = 3;
    bench_watch(&bench, watch_id, bench_put(&bench, "a", "1") + 1);
    for (int i = 0; i < PUTS; i++) {
        (void)bench_put(&bench, "a", value);
    }
    size_t events = 0;
    for (int i = 0; i < TRANSPORT_WATCH_WINDOW; i++) {
        events += bench_watched(&bench)->event_count;
    }
    CHECK(bench_next_within(&bench, 500) == NULL);
    CHECK(events < PUTS);
    for (int i = 0; i < TRANSPORT_WATCH_WINDOW; i++) {
        bench_tell(&bench, bench.bulk, PROBE_ACK, &watch_id, sizeof watch_id, NULL);
    }
    while (events < PUTS) {
        events += bench_watched(&bench)->event_count;
        bench_tell(&bench, bench.bulk, PROBE_ACK, &watch_id, sizeof watch_id, NULL);
    }
    CHECK_INT(events, PUTS);
    free(value);
    bench_close(&bench);
}

/* Dead letters are counted: were the watch still open, its events would go to nobody. */
TEST(transport, watch_ends_with_its_asker)
{
    struct bench bench = bench_open_real();
    struct rollcall_runtime_stats before, after;
    bench_watch(&bench, 1, bench_put(&bench, "a", "1") + 1);
    rollcall_runtime_stop(bench.runtime, bench.bulk);
    rollcall__monitor_lock(&bench.notebook->monitor);
    while (!bench.notebook->ended) {
        CHECK(rollcall__monitor_wait(&bench.notebook->monitor,
                                     rollcall__clock_monotonic_ns() + INT64_C(5000000000)));
    }
    rollcall__monitor_unlock(&bench.notebook->monitor);
    CHECK(bench_next_within(&bench, 50) == NULL); /* time for the DOWN to reach the transport */
    CHECK_INT(rollcall_runtime_stats(bench.runtime, &before), ROLLCALL_OK);
    for (int i = 0; i < 5; i++) {
        (void)bench_put(&bench, "a", "2");
    }
    CHECK(bench_next_within(&bench, 200) == NULL);
    CHECK_INT(rollcall_runtime_stats(bench.runtime, &after), ROLLCALL_OK);
    CHECK_INT(after.dead_letters, before.dead_letters);
    bench_close(&bench);
}

TEST(transport, watch_on_an_unreachable_etcd_ends_with_why)
{
    struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = "127.0.0.1:1"));
    const uint64_t watch_id = 1;
    struct transport_range *range =
        transport_range_create(bench_key(&bench, ""), bench_key(&bench, "~"));
    range->revision = 1;
    bench_tell(&bench, bench.bulk, PROBE_WATCH, &watch_id, sizeof watch_id, &range->object);
    const struct bench_record *record = bench_next(&bench, PROBE_WATCHED);
    const struct transport_watch_answer *answer =
        (const struct transport_watch_answer *)record->payload;
    CHECK_INT(answer->status, ROLLCALL_E_UNAVAILABLE);
    CHECK(strstr(((struct transport_watch_response *)record->object)->error.text, "127.0.0.1:1") !=
          NULL);
    CHECK(bench_next_within(&bench, 200) == NULL);
    bench_close(&bench);
}

/* True: the first watch was on the endpoint that went silent, and the second was open within a
 * second: an attempt to connect there would have taken five. */
static bool rewatches(struct proxy *silent, const char *endpoints)
{
    enum {
        HEARD_MS = 300,
        PAUSE_MS = 200 /* longer than an endpoint is left for its first failure */
    };
    struct bench bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = endpoints));
    const int64_t revision = bench_put(&bench, "a", "1") + 1;
    bench_watch(&bench, 1, revision);
    proxy_set(silent, PROXY_BLACKHOLE);
    proxy_cut(silent);
    const bool was_there = bench_next_within(&bench, HEARD_MS) != NULL;
    if (was_there) {
        CHECK(bench_next_within(&bench, PAUSE_MS) == NULL);
        const int64_t begun_ns = rollcall__clock_monotonic_ns();
        bench_watch(&bench, 2, revision);
        CHECK(rollcall__clock_monotonic_ns() - begun_ns <= INT64_C(1000000000));
    }
    bench_close(&bench);
    proxy_set(silent, PROXY_FORWARD);
    return was_there;
}

TEST(transport, a_watch_whose_endpoint_went_silent_goes_to_another_and_not_back)
{
    struct proxy *silent = proxy_create(bench_endpoint(), NULL, NULL);
    char endpoints[256];
    size_t seen = 0;
    CHECK(silent != NULL);
    snprintf(endpoints, sizeof endpoints, "%s,%s", proxy_endpoint(silent), bench_endpoint());
    for (int round = 0; round < 40 && seen < 2; round++) { /* homes are drawn by chance */
        seen += rewatches(silent, endpoints);
    }
    CHECK_INT(seen, 2);
    proxy_destroy(silent);
}

/* ---- life ---- */

TEST(transport, close_with_everything_in_flight_is_clean)
{
    struct bench bench = bench_open_real();
    bench_watch(&bench, 1, bench_put(&bench, "a", "1") + 1);
    for (int64_t i = 1; i <= 20; i++) {
        const struct transport_call call = {.id = (uint64_t)i, .wait_for_ready = true};
        bench_tell(&bench, bench.control, PROBE_CALL, &call, sizeof call,
                   &transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, i, 0)->object);
        bench_tell(&bench, bench.control, PROBE_KEEPALIVE, &i, sizeof i, NULL);
    }
    bench_close(&bench);
}

TEST(transport, close_in_use_is_refused)
{
    struct bench bench = bench_open_real();
    rollcall__etcd_hold(bench.etcd);
    CHECK_INT(rollcall_etcd_close(bench.etcd), ROLLCALL_E_BUSY);
    CHECK_INT(rollcall_runtime_destroy(bench.runtime), ROLLCALL_E_BUSY);
    rollcall__etcd_release(bench.etcd);
    bench_close(&bench);
}

static void refuse(struct rollcall_runtime *runtime, const struct rollcall_etcd_options *options,
                   const char *sentence_part)
{
    struct rollcall_etcd *etcd = NULL;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_etcd_connect(runtime, options, &etcd, &error), ROLLCALL_E_INVALID);
    CHECK(etcd == NULL);
    if (strstr(error.text, sentence_part) == NULL) {
        CHECK_STR(error.text, sentence_part);
    }
}

TEST(transport, wrong_options_are_named)
{
    struct rollcall_runtime *runtime;
    CHECK_INT(rollcall_runtime_create(NULL, &runtime, NULL), ROLLCALL_OK);
    refuse(NULL, NULL, "runtime is NULL");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = "host"), "has no port");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.dial_timeout_ms = -1), "dial_timeout_ms is -1");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.call_timeout_ms = 1), "call_timeout_ms is 1");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.user = "u"), "user is set without password");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.password = "p"), "password is set without user");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.key_file = "k"), "key_file is set without cert_file");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.key_file = "k", .cert_file = "c"), "without ca_file");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.ca_file = "/nowhere/ca.pem"), "cannot open ca_file");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.ca_file = "/dev/null"), "is no PEM file");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = "https://h:1"), "ca_file is not set");
    refuse(runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = "http://h:1", .ca_file = "x"), "http://");
    CHECK_INT(rollcall_runtime_destroy(runtime), ROLLCALL_OK);
}

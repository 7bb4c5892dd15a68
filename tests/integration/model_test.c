/*
 * The model of etcd against a real one: the same operations, drawn from a seed, to both; every
 * answer and every event must be equal.  The etcd is the test's own, so that revisions are equal
 * too.  ROLLCALL_MODEL_OPERATIONS=N: that many, instead of the usual.
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "sim/etcd_model.h"
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/seed.h"
#include "support/test.h"
#include "support/transport_bench.h"

#include <stdlib.h>

enum {
    OPERATIONS = 20000,
    SYNC_EVERY = 40,     /* operations; the events of a watch are compared then */
    COMPACT_EVERY = 700, /* operations */
    KEYS = 24,
    LEASES = 12,
    WATCHES = 6,
    QUIET_MS = 300
};

static const struct rollcall_bytes ALL = {"\0", 1}; /* as a key the first, as an end: no end */

struct watched {
    uint64_t watch_id; /* 0: none is open */
    struct rollcall__model_watch *watch;
};

struct pair {
    struct etcd_fixture *etcd;
    struct bench bench;
    struct command_scene scene; /* for etcdctl */
    struct rollcall__model *model;
    struct rollcall__random random;
    int64_t started_ms;
    uint64_t last_watch_id, operation;
    uint64_t events, refusals, canceled; /* seen, so that an idle test fails */
    struct watched watches[WATCHES];
};

static uint64_t below(struct pair *pair, uint64_t bound)
{
    return rollcall__random_below(&pair->random, bound);
}

static bool one_in(struct pair *pair, uint64_t count)
{
    return below(pair, count) == 0;
}

static int64_t now_ms(const struct pair *pair)
{
    return rollcall__clock_boot_ms() - pair->started_ms;
}

/* Which operation of the seed's it was, before the test fails. */
#define SAME(pair, what, real, model)                                                              \
    do {                                                                                           \
        const int64_t real_ = (int64_t)(real), model_ = (int64_t)(model);                          \
        if (real_ != model_) {                                                                     \
            fprintf(stderr,                                                                        \
                    "operation %" PRIu64 ", %s: etcd has %" PRId64 ", the model %" PRId64 "\n",    \
                    (pair)->operation, what, real_, model_);                                       \
            CHECK_INT(model_, real_);                                                              \
        }                                                                                          \
    } while (0)

/* ---- comparing ---- */

static void same_bytes(const struct pair *pair, const char *what, struct rollcall_bytes real,
                       struct rollcall_bytes model)
{
    SAME(pair, what, real.size_bytes, model.size_bytes);
    SAME(pair, what, rollcall__bytes_compare(real, model), 0);
}

static void same_kv(const struct pair *pair, const struct transport_kv *real,
                    const struct transport_kv *model)
{
    same_bytes(pair, "key", real->key, model->key);
    same_bytes(pair, "value", real->value, model->value);
    SAME(pair, "create_revision", real->create_revision, model->create_revision);
    SAME(pair, "mod_revision", real->mod_revision, model->mod_revision);
    SAME(pair, "version", real->version, model->version);
    SAME(pair, "lease_id", real->lease_id, model->lease_id);
}

static void same_kvs(const struct pair *pair, const struct transport_kv *real, size_t real_count,
                     const struct transport_kv *model, size_t model_count)
{
    SAME(pair, "kv_count", real_count, model_count);
    for (size_t i = 0; i < real_count; i++) {
        same_kv(pair, &real[i], &model[i]);
    }
}

static void same_result(struct pair *pair, const struct transport_result *real,
                        const struct transport_result *model)
{
    SAME(pair, "kind", real->kind, model->kind);
    SAME(pair, "status", real->error.status, model->error.status);
    SAME(pair, "grpc_code", real->error.grpc_code, model->error.grpc_code);
    SAME(pair, "maybe_applied", real->error.maybe_applied, model->error.maybe_applied);
    SAME(pair, "revision", real->revision, model->revision);
    same_kvs(pair, real->kvs, real->kv_count, model->kvs, model->kv_count);
    SAME(pair, "count", real->count, model->count);
    SAME(pair, "more", real->more, model->more);
    SAME(pair, "succeeded", real->succeeded, model->succeeded);
    SAME(pair, "op_count", real->op_count, model->op_count);
    for (size_t i = 0; i < real->op_count; i++) {
        same_kvs(pair, real->ops[i].kvs, real->ops[i].kv_count, model->ops[i].kvs,
                 model->ops[i].kv_count);
    }
    SAME(pair, "result's lease_id", real->lease_id, model->lease_id);
    if (real->kind == TRANSPORT_LEASE_TIME_TO_LIVE && real->ttl_s > 0) {
        SAME(pair, "ttl_s, by a second", llabs(real->ttl_s - model->ttl_s) <= 1, 1);
    } else {
        SAME(pair, "ttl_s", real->ttl_s, model->ttl_s);
    }
    pair->refusals += real->error.status != ROLLCALL_OK;
}

/* Moves the request; returns the model's answer, with one reference. */
static struct transport_result *ask_both(struct pair *pair, struct transport_request *request)
{
    rollcall_object_keep(&request->object);
    const struct rollcall_ref probe = one_in(pair, 2) ? pair->bench.control : pair->bench.bulk;
    const struct transport_result *real =
        bench_ask(&pair->bench, probe, (struct transport_call){.wait_for_ready = true}, request);
    struct transport_result *model = rollcall__model_perform(pair->model, 0, request, now_ms(pair));
    same_result(pair, real, model);
    rollcall_object_drop(&request->object);
    return model;
}

static void ask_and_forget(struct pair *pair, struct transport_request *request)
{
    rollcall_object_drop(&ask_both(pair, request)->object);
}

static int64_t renew_both(struct pair *pair, int64_t lease_id)
{
    int64_t ttl_s = -7;
    const struct transport_keepalive_answer real = bench_renew(&pair->bench, lease_id);
    SAME(pair, "renewal's status", real.status,
         rollcall__model_renew(pair->model, 0, lease_id, now_ms(pair), &ttl_s));
    SAME(pair, "renewal's ttl_s", real.ttl_s, ttl_s);
    return ttl_s;
}

/* ---- what is drawn ---- */

/* Of all kinds: NULs, bytes above 127, prefixes of each other. */
static struct rollcall_bytes draw_key(struct pair *pair)
{
    static const char *const HEADS[] = {"a", "a/", "a/b", "b", "\xff", "\x01"};
    static char texts[16][16];
    static size_t turn;
    char *text = texts[turn++ % 16];
    const uint64_t number = below(pair, KEYS);
    const char *head = HEADS[number % 6];
    const size_t head_bytes = strlen(head);
    memcpy(text, head, head_bytes);
    text[head_bytes] = (char)(number / 6 == 3 ? 0 : 'k' + (int)(number / 6));
    return (struct rollcall_bytes){text, head_bytes + (number / 6 != 0)};
}

static struct rollcall_bytes draw_value(struct pair *pair)
{
    static char texts[16][32];
    static size_t turn;
    char *text = texts[turn++ % 16];
    const size_t size_bytes = (size_t)below(pair, 4); /* few, so that compares hold */
    for (size_t i = 0; i < size_bytes; i++) {
        text[i] = (char)below(pair, 3);
    }
    return (struct rollcall_bytes){text, size_bytes};
}

static struct rollcall_bytes draw_end(struct pair *pair)
{
    switch (below(pair, 4)) {
    case 0:
        return (struct rollcall_bytes){0};
    case 1:
        return ALL;
    default:
        return draw_key(pair);
    }
}

static int64_t draw_lease(struct pair *pair)
{
    return one_in(pair, 2) ? 0 : 1 + (int64_t)below(pair, LEASES);
}

/* From before the first, over the compacted, to after the last. */
static int64_t draw_revision(struct pair *pair)
{
    const int64_t revision = rollcall__model_revision(pair->model);
    const int64_t compacted = rollcall__model_compacted(pair->model);
    switch (below(pair, 5)) {
    case 0:
        return 1 + (int64_t)below(pair, (uint64_t)revision + 3);
    case 1:
        return compacted + (int64_t)below(pair, 3);
    case 2:
        return revision + (int64_t)below(pair, 3);
    default:
        return revision - (int64_t)below(pair, (uint64_t)(revision - compacted) + 1);
    }
}

static struct transport_compare draw_compare(struct pair *pair)
{
    struct transport_compare compare = {.target = (enum transport_compare_target)below(pair, 5),
                                        .key = draw_key(pair)};
    const struct transport_kv *kv =
        rollcall__model_find(pair->model, compare.key, rollcall__model_revision(pair->model));
    const struct transport_kv nothing = {0};
    kv = kv == NULL ? &nothing : kv;
    const int64_t numbers[] = {kv->version, kv->create_revision, kv->mod_revision, kv->lease_id};
    if (compare.target == TRANSPORT_COMPARE_VALUE) {
        compare.value = one_in(pair, 3) ? draw_value(pair) : kv->value;
    } else {
        compare.number = numbers[compare.target] + (one_in(pair, 4) ? 1 : 0);
    }
    return compare;
}

static struct transport_op draw_op(struct pair *pair)
{
    struct transport_op op = {.kind = (enum transport_op_kind)below(pair, 3),
                              .key = draw_key(pair)};
    if (op.kind == TRANSPORT_OP_PUT) {
        op.value = draw_value(pair);
        op.lease_id = draw_lease(pair);
    }
    if (one_in(pair, 200)) {
        op.key.size_bytes = 0;
    }
    return op;
}

static uint8_t draw_ops(struct pair *pair, struct transport_op *ops)
{
    const uint8_t count =
        (uint8_t)(one_in(pair, 4) ? below(pair, TRANSPORT_TXN_OPS_MAX + 1) : below(pair, 3));
    for (uint8_t i = 0; i < count; i++) {
        ops[i] = draw_op(pair);
    }
    return count;
}

/* ---- operations ---- */

static void do_txn(struct pair *pair)
{
    struct transport_txn txn = {.compare_count =
                                    (uint8_t)below(pair, TRANSPORT_TXN_COMPARES_MAX + 1)};
    for (uint8_t i = 0; i < txn.compare_count; i++) {
        txn.compares[i] = draw_compare(pair);
    }
    txn.success_count = draw_ops(pair, txn.success);
    txn.failure_count = draw_ops(pair, txn.failure);
    ask_and_forget(pair, transport_request_txn(&txn));
}

static void do_put(struct pair *pair)
{
    const struct transport_txn txn = {.success = {{.kind = TRANSPORT_OP_PUT,
                                                   .key = draw_key(pair),
                                                   .value = draw_value(pair),
                                                   .lease_id = draw_lease(pair)}},
                                      .success_count = 1};
    ask_and_forget(pair, transport_request_txn(&txn));
}

static void do_range(struct pair *pair)
{
    struct transport_request *request =
        transport_request_range(one_in(pair, 3) ? ALL : draw_key(pair), draw_end(pair));
    if (one_in(pair, 200)) {
        request->range.key.size_bytes = 0;
    }
    request->range.limit = one_in(pair, 2) ? 0 : (int64_t)below(pair, 6) - 1;
    request->range.revision = one_in(pair, 2) ? 0 : draw_revision(pair);
    request->range.keys_only = one_in(pair, 4);
    request->range.count_only = one_in(pair, 6);
    request->range.serializable = one_in(pair, 3);
    ask_and_forget(pair, request);
}

/* A list in pages, all of one revision, as the watcher does it. */
static void do_pages(struct pair *pair)
{
    char next[20] = {0};
    size_t next_bytes = 1;
    int64_t revision = 0;
    const int64_t limit = 1 + (int64_t)below(pair, 5);
    for (bool more = true; more;) {
        struct transport_request *request =
            transport_request_range((struct rollcall_bytes){next, next_bytes}, ALL);
        request->range.limit = limit;
        request->range.revision = revision;
        struct transport_result *page = ask_both(pair, request);
        more = page->more;
        revision = revision == 0 ? page->revision : revision;
        if (more) {
            const struct rollcall_bytes last = page->kvs[page->kv_count - 1].key;
            memcpy(next, last.data, last.size_bytes);
            next[last.size_bytes] = '\0';
            next_bytes = last.size_bytes + 1;
        }
        rollcall_object_drop(&page->object);
    }
}

static void do_lease(struct pair *pair)
{
    const int64_t lease_id = 1 + (int64_t)below(pair, LEASES);
    switch (below(pair, 8)) {
    case 0:
        ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_REVOKE, lease_id, 0));
        break;
    case 1:
        ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, lease_id, 0));
        break;
    case 2:
        (void)renew_both(pair, lease_id); /* whatever is left: compared */
        break;
    case 3: { /* refused, or raised to the least, and gone again before it ends */
        const int64_t odd[] = {-5, 0, 1, 2, INT64_C(9000000001)};
        ask_and_forget(
            pair, transport_request_lease(TRANSPORT_LEASE_GRANT, LEASES + 1, odd[below(pair, 5)]));
        ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_REVOKE, LEASES + 1, 0));
        break;
    }
    default:
        ask_and_forget(pair, transport_request_lease(TRANSPORT_LEASE_GRANT, lease_id,
                                                     1000 + (int64_t)below(pair, 1000)));
        break;
    }
}

/* ---- watches ---- */

/* The real watch's next response, consumed; only one watch is looked at, whatever others say. */
static const struct transport_watch_response *real_next(struct pair *pair, uint64_t watch_id)
{
    struct bench_notebook *notebook = pair->bench.notebook;
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + INT64_C(10000000000);
    const struct transport_watch_response *response = NULL;
    bool in_time = true;
    rollcall__monitor_lock(&notebook->monitor);
    while (response == NULL && in_time) {
        for (size_t i = 0; i < notebook->count && response == NULL; i++) {
            struct bench_record *record = &notebook->records[i];
            if (!record->taken && record->type == PROBE_WATCHED && record->payload[0] == watch_id) {
                record->taken = true;
                response = (const struct transport_watch_response *)record->object;
            }
        }
        if (response == NULL) {
            in_time = rollcall__monitor_wait(&notebook->monitor, deadline_ns);
        }
    }
    rollcall__monitor_unlock(&notebook->monitor);
    SAME(pair, "a response of the watch in time", response != NULL, 1);
    bench_tell(&pair->bench, pair->bench.bulk, PROBE_ACK, &watch_id, sizeof watch_id, NULL);
    return response;
}

static void same_event(struct pair *pair, const struct transport_event *real,
                       const struct transport_event *model)
{
    SAME(pair, "event's kind", real->kind, model->kind);
    same_kv(pair, &real->kv, &model->kv);
    SAME(pair, "has_prev_kv", real->has_prev_kv, model->has_prev_kv);
    if (real->has_prev_kv) {
        same_kv(pair, &real->prev_kv, &model->prev_kv);
    }
    pair->events++;
}

/* A stream of events, in whatever responses they come. */
struct reader {
    struct pair *pair;
    const struct watched *watched;
    const struct transport_watch_response *response;
    size_t taken;
};

static const struct transport_event *real_event(struct reader *reader)
{
    while (reader->response == NULL || reader->taken == reader->response->event_count) {
        reader->response = real_next(reader->pair, reader->watched->watch_id);
        reader->taken = 0;
        SAME(reader->pair, "a watch that goes on", reader->response->canceled, 0);
        SAME(reader->pair, "watch's status", reader->response->error.status, ROLLCALL_OK);
    }
    return &reader->response->events[reader->taken++];
}

static void close_both(struct pair *pair, struct watched *watched, bool tell)
{
    if (tell) {
        bench_tell(&pair->bench, pair->bench.bulk, PROBE_CANCEL, &watched->watch_id,
                   sizeof watched->watch_id, NULL);
    }
    rollcall__model_watch_close(watched->watch);
    *watched = (struct watched){0};
}

/* `created` and `canceled` of the real one, which are never with events. */
static void same_control(struct pair *pair, const struct watched *watched,
                         const struct transport_watch_response *model)
{
    const struct transport_watch_response *real = real_next(pair, watched->watch_id);
    SAME(pair, "created", real->created, model->created);
    SAME(pair, "canceled", real->canceled, model->canceled);
    SAME(pair, "compact_revision", real->compact_revision, model->compact_revision);
    SAME(pair, "watch's status", real->error.status, model->error.status);
    SAME(pair, "watch's grpc_code", real->error.grpc_code, model->error.grpc_code);
    SAME(pair, "watch's event_count", real->event_count, model->event_count);
    SAME(pair, "watch's revision", real->revision, model->revision);
    pair->canceled += real->canceled;
}

/* Everything the model has to tell has been told by etcd, in this order. */
static void sync_watch(struct pair *pair, struct watched *watched)
{
    struct reader reader = {.pair = pair, .watched = watched};
    struct transport_watch_response *model;
    bool over = false;
    while (!over && (model = rollcall__model_watch_next(watched->watch, now_ms(pair))) != NULL) {
        if (model->event_count == 0) {
            same_control(pair, watched, model);
            over = model->canceled;
        }
        for (size_t i = 0; i < model->event_count; i++) {
            same_event(pair, real_event(&reader), &model->events[i]);
        }
        rollcall_object_drop(&model->object);
    }
    if (reader.response != NULL) {
        SAME(pair, "events the model has not", reader.response->event_count, reader.taken);
    }
    if (over) {
        close_both(pair, watched, false);
    }
}

static void sync_watches(struct pair *pair)
{
    for (size_t i = 0; i < WATCHES; i++) {
        if (pair->watches[i].watch != NULL) {
            sync_watch(pair, &pair->watches[i]);
        }
    }
    bench_forget(&pair->bench);
}

static void do_watch(struct pair *pair)
{
    struct watched *watched = &pair->watches[below(pair, WATCHES)];
    if (watched->watch != NULL) {
        sync_watch(pair, watched);
    }
    if (watched->watch != NULL) {
        close_both(pair, watched, true);
    }
    struct transport_range *range =
        transport_range_create(one_in(pair, 3) ? ALL : draw_key(pair), draw_end(pair));
    range->revision = draw_revision(pair);
    range->revision = range->revision == 0 ? 1 : range->revision;
    range->prev_kv = one_in(pair, 2);
    watched->watch_id = ++pair->last_watch_id;
    watched->watch = rollcall__model_watch_open(pair->model, 0, range);
    bench_tell(&pair->bench, pair->bench.bulk, PROBE_WATCH, &watched->watch_id,
               sizeof watched->watch_id, &range->object);
    sync_watch(pair, watched); /* so that its prev_kv is looked up before anything changes */
}

/* The values before the events are looked up when they are sent: so all are sent before. */
static void do_compact(struct pair *pair)
{
    const int64_t compacted = rollcall__model_compacted(pair->model);
    const int64_t revision = rollcall__model_revision(pair->model);
    const int64_t to = revision - (int64_t)below(pair, (uint64_t)(revision - compacted));
    sync_watches(pair);
    char script[96];
    snprintf(script, sizeof script, "etcdctl compaction --physical %" PRId64, to);
    command_etcdctl(&pair->scene, script);
    SAME(pair, "compacted", true, rollcall__model_compact(pair->model, to));
}

static void do_one(struct pair *pair)
{
    const uint64_t kind = below(pair, 100);
    if (kind < 20) {
        do_put(pair);
    } else if (kind < 55) {
        do_txn(pair);
    } else if (kind < 82) {
        do_range(pair);
    } else if (kind < 84) {
        do_pages(pair);
    } else if (kind < 96) {
        do_lease(pair);
    } else {
        do_watch(pair);
    }
}

/* ---- the pair ---- */

static void pair_open(struct pair *pair, uint64_t seed, uint32_t quirks)
{
    *pair = (struct pair){.etcd = etcd_fixture_create(NULL)};
    CHECK(pair->etcd != NULL);
    const char *endpoint = etcd_fixture_endpoint(pair->etcd);
    pair->bench = bench_open(ROLLCALL_ETCD_OPTIONS(.endpoints = endpoint));
    pair->scene = command_scene_create(endpoint);
    pair->model = rollcall__model_create(
        &(struct rollcall__model_options){.seed = seed, .members = 1, .quirks = quirks});
    rollcall__random_init(&pair->random, seed);
    pair->started_ms = rollcall__clock_boot_ms();
}

static void pair_close(struct pair *pair)
{
    for (size_t i = 0; i < WATCHES; i++) {
        if (pair->watches[i].watch != NULL) {
            close_both(pair, &pair->watches[i], true);
        }
    }
    bench_close(&pair->bench);
    rollcall__model_destroy(pair->model);
    etcd_fixture_destroy(pair->etcd);
}

static uint64_t operations(void)
{
    const char *text = getenv("ROLLCALL_MODEL_OPERATIONS");
    return text == NULL ? OPERATIONS : strtoull(text, NULL, 0);
}

TEST(model, every_answer_and_event_is_that_of_a_real_etcd)
{
    struct pair pair;
    const uint64_t count = operations();
    /* What the etcd of most machines still does. */
    pair_open(&pair, seed_of_test(0xe7cd), ROLLCALL__QUIRK_DROPS_TOMBSTONE);
    for (pair.operation = 0; pair.operation < count; pair.operation++) {
        do_one(&pair);
        if (pair.operation % SYNC_EVERY == SYNC_EVERY - 1) {
            sync_watches(&pair);
        }
        if (pair.operation % COMPACT_EVERY == COMPACT_EVERY - 1) {
            do_compact(&pair);
        }
    }
    sync_watches(&pair);
    CHECK(bench_next_within(&pair.bench, QUIET_MS) == NULL); /* etcd told no more than the model */
    fprintf(stderr,
            "%" PRIu64 " operations, %" PRIu64 " events, %" PRIu64 " refusals, %" PRIu64
            " watches canceled\n",
            count, pair.events, pair.refusals, pair.canceled);
    CHECK(pair.events > count / 10 && pair.refusals > count / 100 && pair.canceled > 0);
    pair_close(&pair);
}

/* ---- time ---- */

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
TEST(model, leases_end_in_the_time_the_model_gives_them)
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

TEST(model, a_freeze_and_a_restart_do_to_leases_what_the_model_says)
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

/*
 * The model of etcd against a real one: the same operations, drawn from a seed, to both; every
 * answer and every event must be equal.  ROLLCALL_MODEL_OPERATIONS=N: that many, instead of the
 * usual.
 */
#include "model_pair.h"

#include "support/seed.h"

enum {
    OPERATIONS = 20000,
    SYNC_EVERY = 200,    /* turns; events are compared then.  Behind, etcd tells each 100 ms */
    COMPACT_EVERY = 400, /* turns */
    KEYS = 24,
    LEASES = 12,
    BURST = 8,
    QUIET_MS = 300
};

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

static struct transport_request *draw_range(struct pair *pair)
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
    return request;
}

/* Reads do not disturb each other, so these are asked all at once, and answered in any order. */
static void do_ranges(struct pair *pair)
{
    static const uint64_t FIRST_ID = UINT64_C(1) << 32; /* bench_ask counts from 1 */
    struct transport_request *requests[BURST];
    for (uint64_t i = 0; i < BURST; i++) {
        const struct transport_call call = {.id = FIRST_ID + i, .wait_for_ready = true};
        const struct rollcall_ref probe = i % 2 == 0 ? pair->bench.control : pair->bench.bulk;
        requests[i] = draw_range(pair);
        rollcall_object_keep(&requests[i]->object);
        bench_tell(&pair->bench, probe, PROBE_CALL, &call, sizeof call, &requests[i]->object);
    }
    for (uint64_t i = 0; i < BURST; i++) {
        const struct bench_record *record = bench_next(&pair->bench, PROBE_ANSWER);
        const uint64_t which = record->payload[0] - FIRST_ID;
        CHECK(which < BURST && requests[which] != NULL);
        struct transport_result *model =
            rollcall__model_perform(pair->model, 0, requests[which], now_ms(pair));
        same_result(pair, (const struct transport_result *)record->object, model);
        rollcall_object_drop(&model->object);
        rollcall_object_drop(&requests[which]->object);
        requests[which] = NULL;
    }
    pair->operation += BURST - 1; /* the loop counts one */
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

static void do_members(struct pair *pair)
{
    static const enum transport_kind kinds[] = {TRANSPORT_STATUS, TRANSPORT_MEMBERS,
                                                TRANSPORT_ALARMS};
    ask_and_forget(pair, transport_request_bare(kinds[below(pair, 3)]));
}

/* ---- watches ---- */

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
    for (size_t i = 0; i < PAIR_WATCHES; i++) {
        if (pair->watches[i].watch != NULL) {
            sync_watch(pair, &pair->watches[i]);
        }
    }
    bench_forget(&pair->bench);
}

static void do_watch(struct pair *pair)
{
    struct watched *watched = &pair->watches[below(pair, PAIR_WATCHES)];
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
    struct transport_watch_response *created =
        rollcall__model_watch_next(watched->watch, now_ms(pair));
    same_control(pair, watched, created);
    if (created->canceled) {
        close_both(pair, watched, false);
    }
    rollcall_object_drop(&created->object);
}

/* etcd has looked at every watch that began in the past: it looks at all of them together, every
 * 100 ms, and one more, opened now, has been told what it is to find. */
static void settle_watches(struct pair *pair)
{
    const struct watched last = {.watch_id = ++pair->last_watch_id};
    do_put(pair);
    struct transport_range *range = transport_range_create(ALL, ALL);
    range->revision = rollcall__model_revision(pair->model);
    bench_tell(&pair->bench, pair->bench.bulk, PROBE_WATCH, &last.watch_id, sizeof last.watch_id,
               &range->object);
    struct reader reader = {.pair = pair, .watched = &last};
    (void)real_event(&reader); /* only that there is one */
    bench_tell(&pair->bench, pair->bench.bulk, PROBE_CANCEL, &last.watch_id, sizeof last.watch_id,
               NULL);
}

/* A watch that has not caught up would be canceled, and the value before an event is looked up when
 * it is sent: so all are told everything before. */
static void do_compact(struct pair *pair)
{
    const int64_t compacted = rollcall__model_compacted(pair->model);
    const int64_t revision = rollcall__model_revision(pair->model);
    const int64_t to = revision - (int64_t)below(pair, (uint64_t)(revision - compacted));
    char script[96];
    settle_watches(pair);
    sync_watches(pair);
    snprintf(script, sizeof script, "etcdctl compaction --physical %" PRId64, to);
    command_etcdctl(&pair->scene, script);
    SAME(pair, "compacted", true, rollcall__model_compact(pair->model, to));
}

static void do_one(struct pair *pair)
{
    const uint64_t kind = below(pair, 100);
    if (kind < 25) {
        do_put(pair);
    } else if (kind < 70) {
        do_txn(pair);
    } else if (kind < 77) {
        do_ranges(pair);
    } else if (kind < 80) {
        do_pages(pair);
    } else if (kind < 97) {
        do_lease(pair);
    } else if (kind < 98) {
        do_members(pair);
    } else {
        do_watch(pair);
    }
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
    for (uint64_t turn = 1; pair.operation < count; turn++, pair.operation++) {
        do_one(&pair);
        if (turn % SYNC_EVERY == 0) {
            sync_watches(&pair);
        }
        if (turn % COMPACT_EVERY == 0) {
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

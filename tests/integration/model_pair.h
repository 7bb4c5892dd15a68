/*
 * tests/integration/model_pair.h - a model of etcd and a real one, asked the same.
 *
 * The etcd is the test's own, so that revisions are equal.  Whatever differs fails the test, after
 * a line that says what and at which operation.
 */
#ifndef TESTS_INTEGRATION_MODEL_PAIR_H
#define TESTS_INTEGRATION_MODEL_PAIR_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "sim/etcd_model.h"
#include "support/command.h"
#include "support/etcd_fixture.h"
#include "support/test.h"
#include "support/transport_bench.h"

#include <stdlib.h>

enum { PAIR_WATCHES = 6 };

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
    struct watched watches[PAIR_WATCHES];
};

static inline uint64_t below(struct pair *pair, uint64_t bound)
{
    return rollcall__random_below(&pair->random, bound);
}

static inline bool one_in(struct pair *pair, uint64_t count)
{
    return below(pair, count) == 0;
}

static inline int64_t now_ms(const struct pair *pair)
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

static inline void same_bytes(const struct pair *pair, const char *what, struct rollcall_bytes real,
                              struct rollcall_bytes model)
{
    SAME(pair, what, real.size_bytes, model.size_bytes);
    SAME(pair, what, rollcall__bytes_compare(real, model), 0);
}

static inline void same_kv(const struct pair *pair, const struct transport_kv *real,
                           const struct transport_kv *model)
{
    same_bytes(pair, "key", real->key, model->key);
    same_bytes(pair, "value", real->value, model->value);
    SAME(pair, "create_revision", real->create_revision, model->create_revision);
    SAME(pair, "mod_revision", real->mod_revision, model->mod_revision);
    SAME(pair, "version", real->version, model->version);
    SAME(pair, "lease_id", real->lease_id, model->lease_id);
}

static inline void same_kvs(const struct pair *pair, const struct transport_kv *real,
                            size_t real_count, const struct transport_kv *model, size_t model_count)
{
    SAME(pair, "kv_count", real_count, model_count);
    for (size_t i = 0; i < real_count; i++) {
        same_kv(pair, &real[i], &model[i]);
    }
}

static inline void same_result(struct pair *pair, const struct transport_result *real,
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
    SAME(pair, "a leader is known", real->status.leader_id != 0, model->status.leader_id != 0);
    SAME(pair, "a version is told", real->status.version.size_bytes != 0,
         model->status.version.size_bytes != 0);
    SAME(pair, "is_learner", real->status.is_learner, model->status.is_learner);
    SAME(pair, "all is applied", real->status.raft_index == real->status.raft_applied_index,
         model->status.raft_index == model->status.raft_applied_index);
    if (real->kind == TRANSPORT_STATUS) {
        SAME(pair, "the leader answers", real->status.leader_id == real->member_id,
             model->status.leader_id == model->member_id);
    }
    SAME(pair, "member_count", real->member_count, model->member_count);
    for (size_t i = 0; i < real->member_count; i++) {
        SAME(pair, "is started", real->members[i].name.size_bytes != 0,
             model->members[i].name.size_bytes != 0);
        SAME(pair, "member's is_learner", real->members[i].is_learner,
             model->members[i].is_learner);
    }
    SAME(pair, "alarm_count", real->alarm_count, model->alarm_count);
    pair->refusals += real->error.status != ROLLCALL_OK;
}

/* Moves the request; returns the model's answer, with one reference. */
static inline struct transport_result *ask_both(struct pair *pair,
                                                struct transport_request *request)
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

static inline void ask_and_forget(struct pair *pair, struct transport_request *request)
{
    rollcall_object_drop(&ask_both(pair, request)->object);
}

static inline int64_t renew_both(struct pair *pair, int64_t lease_id)
{
    int64_t ttl_s = -7;
    const struct transport_keepalive_answer real = bench_renew(&pair->bench, lease_id);
    SAME(pair, "renewal's status", real.status,
         rollcall__model_renew(pair->model, 0, lease_id, now_ms(pair), &ttl_s));
    SAME(pair, "renewal's ttl_s", real.ttl_s, ttl_s);
    return ttl_s;
}

/* ---- watches ---- */

/* The real watch's next response, consumed; only one watch is looked at, whatever others say. */
static inline const struct transport_watch_response *real_next(struct pair *pair, uint64_t watch_id)
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

static inline void same_event(struct pair *pair, const struct transport_event *real,
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

static inline const struct transport_event *real_event(struct reader *reader)
{
    while (reader->response == NULL || reader->taken == reader->response->event_count) {
        reader->response = real_next(reader->pair, reader->watched->watch_id);
        reader->taken = 0;
        SAME(reader->pair, "a watch that goes on", reader->response->canceled, 0);
        SAME(reader->pair, "watch's status", reader->response->error.status, ROLLCALL_OK);
    }
    return &reader->response->events[reader->taken++];
}

static inline void close_both(struct pair *pair, struct watched *watched, bool tell)
{
    if (tell) {
        bench_tell(&pair->bench, pair->bench.bulk, PROBE_CANCEL, &watched->watch_id,
                   sizeof watched->watch_id, NULL);
    }
    rollcall__model_watch_close(watched->watch);
    *watched = (struct watched){0};
}

/* `created` and `canceled` of the real one, which are never with events. */
static inline void same_control(struct pair *pair, const struct watched *watched,
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

/* ---- the pair ---- */

static inline void pair_open(struct pair *pair, uint64_t seed, uint32_t quirks)
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

static inline void pair_close(struct pair *pair)
{
    for (size_t i = 0; i < PAIR_WATCHES; i++) {
        if (pair->watches[i].watch != NULL) {
            close_both(pair, &pair->watches[i], true);
        }
    }
    bench_close(&pair->bench);
    rollcall__model_destroy(pair->model);
    etcd_fixture_destroy(pair->etcd);
}

#endif /* TESTS_INTEGRATION_MODEL_PAIR_H */

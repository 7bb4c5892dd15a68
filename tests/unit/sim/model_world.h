/* tests/unit/sim/model_world.h - a model of etcd, and one-line ways to ask it. */
#ifndef TESTS_UNIT_SIM_MODEL_WORLD_H
#define TESTS_UNIT_SIM_MODEL_WORLD_H

#include "base/buffer.h"
#include "sim/etcd_model.h"
#include "support/test.h"
#include "transport/request.h"

enum { KEPT_MAX = 256, WATCHES_OPEN_MAX = 8 };

struct world {
    struct rollcall__model *model;
    int64_t now_ms;
    uint32_t member; /* asked by default */
    struct rollcall_object *kept[KEPT_MAX];
    size_t kept_count;
    struct rollcall__model_watch *watches[WATCHES_OPEN_MAX];
    size_t watch_count;
};

static inline struct world world_open_with(struct rollcall__model_options options)
{
    return (struct world){.model = rollcall__model_create(&options)};
}

static inline struct world world_open(uint32_t members)
{
    return world_open_with((struct rollcall__model_options){.seed = 7, .members = members});
}

static inline struct world world_open_quirky(uint32_t members, uint32_t quirks)
{
    return world_open_with(
        (struct rollcall__model_options){.seed = 7, .members = members, .quirks = quirks});
}

static inline void world_close(struct world *world)
{
    for (size_t i = 0; i < world->kept_count; i++) {
        rollcall_object_drop(world->kept[i]);
    }
    for (size_t i = 0; i < world->watch_count; i++) {
        rollcall__model_watch_close(world->watches[i]);
    }
    rollcall__model_destroy(world->model);
}

static inline void world_keep(struct world *world, struct rollcall_object *object)
{
    CHECK(world->kept_count < KEPT_MAX);
    world->kept[world->kept_count++] = object;
}

/* Moves the request; the result lives until the end of the world. */
static inline const struct transport_result *ask(struct world *world,
                                                 struct transport_request *request)
{
    struct transport_result *result =
        rollcall__model_perform(world->model, world->member, request, world->now_ms);
    rollcall_object_drop(&request->object);
    world_keep(world, &result->object);
    return result;
}

static inline const struct transport_result *ask_well(struct world *world,
                                                      struct transport_request *request)
{
    const struct transport_result *result = ask(world, request);
    CHECK_STR(result->error.text, "");
    CHECK_INT(result->error.status, ROLLCALL_OK);
    return result;
}

static inline const struct transport_result *ask_txn(struct world *world,
                                                     const struct transport_txn *txn)
{
    return ask(world, transport_request_txn(txn));
}

/* The revision it made, or the status of the refusal, negative. */
static inline int64_t put_leased(struct world *world, const char *key, const char *value,
                                 int64_t lease_id)
{
    const struct transport_txn txn = {.success = {{.kind = TRANSPORT_OP_PUT,
                                                   .key = rollcall__bytes(key),
                                                   .value = rollcall__bytes(value),
                                                   .lease_id = lease_id}},
                                      .success_count = 1};
    const struct transport_result *result = ask_txn(world, &txn);
    return result->error.status == ROLLCALL_OK ? result->revision : -(int64_t)result->error.status;
}

static inline int64_t put(struct world *world, const char *key, const char *value)
{
    return put_leased(world, key, value, 0);
}

static inline int64_t del(struct world *world, const char *key)
{
    const struct transport_txn txn = {
        .success = {{.kind = TRANSPORT_OP_DELETE, .key = rollcall__bytes(key)}},
        .success_count = 1};
    return ask_txn(world, &txn)->revision;
}

static inline struct transport_request *range_of(const char *key, const char *end)
{
    return transport_request_range(rollcall__bytes(key), rollcall__bytes(end));
}

static inline const struct transport_result *get(struct world *world, const char *key)
{
    return ask(world, range_of(key, ""));
}

static inline int64_t lease_ask(struct world *world, enum transport_kind kind, int64_t lease_id,
                                int64_t ttl_s)
{
    return ask_well(world, transport_request_lease(kind, lease_id, ttl_s))->ttl_s;
}

static inline int64_t grant(struct world *world, int64_t lease_id, int64_t ttl_s)
{
    return lease_ask(world, TRANSPORT_LEASE_GRANT, lease_id, ttl_s);
}

static inline int64_t left_s(struct world *world, int64_t lease_id)
{
    return lease_ask(world, TRANSPORT_LEASE_TIME_TO_LIVE, lease_id, 0);
}

static inline int64_t renew(struct world *world, int64_t lease_id)
{
    int64_t ttl_s = -7;
    CHECK_INT(rollcall__model_renew(world->model, world->member, lease_id, world->now_ms, &ttl_s),
              ROLLCALL_OK);
    return ttl_s;
}

static inline void pass(struct world *world, int64_t ms)
{
    world->now_ms += ms;
    rollcall__model_advance(world->model, world->now_ms);
}

static inline void set(struct world *world, uint32_t member, enum rollcall__member_state state)
{
    rollcall__model_set_member(world->model, member, state, world->now_ms);
}

/* ---- watches ---- */

static inline struct rollcall__model_watch *watch(struct world *world, const char *key,
                                                  const char *end, int64_t revision)
{
    struct transport_range *range =
        transport_range_create(rollcall__bytes(key), rollcall__bytes(end));
    range->revision = revision;
    range->prev_kv = true;
    CHECK(world->watch_count < WATCHES_OPEN_MAX);
    struct rollcall__model_watch *opened =
        rollcall__model_watch_open(world->model, world->member, range);
    rollcall_object_drop(&range->object);
    return world->watches[world->watch_count++] = opened;
}

/* NULL: nothing to tell. */
static inline const struct transport_watch_response *told(struct world *world,
                                                          struct rollcall__model_watch *from)
{
    const bool ready = rollcall__model_watch_ready(from, world->now_ms);
    struct transport_watch_response *response = rollcall__model_watch_next(from, world->now_ms);
    CHECK(ready == (response != NULL));
    if (response != NULL) {
        world_keep(world, &response->object);
    }
    return response;
}

/* Opened, and its `created` taken. */
static inline struct rollcall__model_watch *watch_created(struct world *world, const char *key,
                                                          const char *end, int64_t revision)
{
    struct rollcall__model_watch *opened = watch(world, key, end, revision);
    const struct transport_watch_response *response = told(world, opened);
    CHECK(response != NULL && response->created && !response->canceled);
    CHECK_INT(response->event_count, 0);
    return opened;
}

#endif /* TESTS_UNIT_SIM_MODEL_WORLD_H */

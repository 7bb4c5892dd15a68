/* tests/unit/sim/net_world.h - a simulation with an etcd, and for each process somebody who asks.
 */
#ifndef TESTS_UNIT_SIM_NET_WORLD_H
#define TESTS_UNIT_SIM_NET_WORLD_H

#include "base/buffer.h"
#include "sim/sim.h"
#include "support/probe.h"
#include "support/test.h"
#include "transport/request.h"

enum { SEEDS = 20, PROCESSES_MAX = 2, LONG_MS = 60000 };

#define ASKER_LIST(X)                                                                              \
    X(ASKER_ANSWER, sizeof(struct transport_answer))                                               \
    X(ASKER_RENEWED, sizeof(struct transport_keepalive_answer))                                    \
    X(ASKER_RESPONSE, sizeof(struct transport_watch_answer))
ROLLCALL_MESSAGES(asker_message, ASKER_LIST, ASKER_COUNT);

struct scene {
    struct rollcall_sim *sim;
    struct rollcall_runtime *rt;
    struct rollcall__net *net;
    struct probe *askers[PROCESSES_MAX];
    struct rollcall_ref transports[PROCESSES_MAX];
    uint32_t processes;
    uint64_t asked; /* ids of calls */
};

static inline void scene_open(struct scene *scene, const struct rollcall_sim_options *options)
{
    static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ASKER_LIST);
    static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ASKER_LIST);
    const uint32_t processes = options->workers / 2;
    *scene = (struct scene){.processes = processes};
    CHECK_INT(rollcall_sim_create(options, &scene->sim, NULL), ROLLCALL_OK);
    scene->rt = rollcall_sim_runtime(scene->sim);
    scene->net = rollcall__sim_net(scene->sim);
    for (uint32_t i = 0; i < processes; i++) {
        uint32_t link;
        CHECK_INT(rollcall__net_open(scene->net, i, 2 * i, &scene->transports[i], &link, NULL),
                  ROLLCALL_OK);
        CHECK_INT(link, i);
        scene->askers[i] = probe_create("asker", SIZES, NAMES, ASKER_COUNT);
        probe_spawn(scene->askers[i], scene->rt, 2 * i + 1);
    }
    CHECK(rollcall_sim_settle(scene->sim, 1000));
}

static inline struct scene scene_of(uint64_t seed, uint32_t processes, uint32_t members)
{
    struct scene scene;
    scene_open(&scene,
               ROLLCALL_SIM_OPTIONS(.seed = seed, .members = members, .workers = 2 * processes));
    return scene;
}

/* One process, and an etcd that wants a user. */
static inline struct scene scene_with_tokens(uint64_t seed, uint32_t members)
{
    struct scene scene;
    scene_open(&scene, ROLLCALL_SIM_OPTIONS(.seed = seed, .members = members, .workers = 2,
                                            .authentication = true));
    return scene;
}

/* What the probes have kept views the model: they are first. */
static inline uint64_t scene_close(struct scene *scene)
{
    const uint64_t hash = rollcall_sim_hash(scene->sim);
    for (uint32_t i = 0; i < scene->processes; i++) {
        probe_forget(scene->askers[i]);
    }
    rollcall_sim_destroy(scene->sim);
    for (uint32_t i = 0; i < scene->processes; i++) {
        probe_destroy(scene->askers[i]);
    }
    return hash;
}

static inline void scene_pass(struct scene *scene, int64_t ms)
{
    rollcall_sim_run_until(scene->sim, rollcall_sim_now_ms(scene->sim) + ms);
}

/* From now on, what the plan says. */
static inline void scene_faults(struct scene *scene, const struct rollcall__fault_plan *plan)
{
    rollcall__faults_init(&scene->sim->faults, scene->sim->seed, plan);
    scene->sim->faults.off = false;
}

static inline void scene_heal(struct scene *scene)
{
    scene->sim->faults.off = true;
    memset(scene->sim->frozen_until_ms, 0, sizeof scene->sim->frozen_until_ms);
    rollcall__net_heal(scene->net);
}

/* ---- asking; each returns whether it was sent, once the asker has sent it ---- */

static inline bool scene_send(struct scene *scene, uint32_t process, uint16_t type,
                              const void *payload, size_t size_bytes,
                              struct rollcall_object *object)
{
    struct probe *asker = scene->askers[process];
    const size_t failures = probe_send_failures(asker);
    probe_send(asker, scene->rt, scene->transports[process], type, payload, size_bytes, object);
    CHECK(rollcall_sim_settle(scene->sim, 10000));
    return probe_send_failures(asker) == failures;
}

static inline bool scene_ask(struct scene *scene, uint32_t process,
                             struct transport_request *request)
{
    const struct transport_call call = {.id = ++scene->asked, .answer = ASKER_ANSWER};
    return scene_send(scene, process, TRANSPORT_CALL, &call, sizeof call, &request->object);
}

/* One revision of `count` keys, from `key` on. */
static inline struct transport_request *put_request(uint64_t key, uint64_t count)
{
    struct transport_txn txn = {.success_count = (uint8_t)count};
    char keys[TRANSPORT_TXN_OPS_MAX][16];
    for (uint64_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "k%06" PRIu64, key + i);
        txn.success[i] = (struct transport_op){.kind = TRANSPORT_OP_PUT,
                                               .key = rollcall__bytes(keys[i]),
                                               .value = rollcall__bytes("value")};
    }
    return transport_request_txn(&txn);
}

static inline bool scene_put(struct scene *scene, uint32_t process)
{
    return scene_ask(scene, process, put_request(scene->asked, 1));
}

static inline bool scene_renew(struct scene *scene, uint32_t process, int64_t lease_id)
{
    const struct transport_keepalive renewal = {.lease_id = lease_id, .answer = ASKER_RENEWED};
    return scene_send(scene, process, TRANSPORT_KEEPALIVE, &renewal, sizeof renewal, NULL);
}

/* All keys, from the beginning. */
static inline bool scene_watch(struct scene *scene, uint32_t process, uint64_t watch_id)
{
    const struct transport_watch watch = {.watch_id = watch_id, .answer = ASKER_RESPONSE};
    struct transport_range *range =
        transport_range_create(rollcall__bytes("k"), rollcall__bytes("l"));
    range->revision = 2;
    return scene_send(scene, process, TRANSPORT_WATCH, &watch, sizeof watch, &range->object);
}

static inline bool scene_ack(struct scene *scene, uint32_t process, uint64_t watch_id)
{
    const struct transport_watch_id ack = {.watch_id = watch_id};
    return scene_send(scene, process, TRANSPORT_WATCH_ACK, &ack, sizeof ack, NULL);
}

/* ---- what was answered ---- */

static inline size_t answers_to(const struct scene *scene, uint32_t process, uint64_t id)
{
    size_t count = 0;
    const struct probe_message *message;
    for (size_t n = 0; (message = probe_find(scene->askers[process], ASKER_ANSWER, n)) != NULL;
         n++) {
        const struct transport_answer *answer = probe_payload(message);
        count += answer->id == id;
    }
    return count;
}

static inline enum rollcall_status last_status(const struct scene *scene, uint32_t process)
{
    const struct probe_message *last = probe_last(scene->askers[process], ASKER_ANSWER);
    return last == NULL ? ROLLCALL_E_INVALID
                        : ((const struct transport_answer *)probe_payload(last))->status;
}

static inline const struct transport_watch_response *response_at(const struct scene *scene,
                                                                 uint32_t process, size_t nth)
{
    const struct probe_message *message = probe_find(scene->askers[process], ASKER_RESPONSE, nth);
    return message == NULL ? NULL : (const struct transport_watch_response *)message->object;
}

static inline int64_t store_revision(const struct scene *scene)
{
    return rollcall__model_revision(rollcall__net_model(scene->net));
}

#endif /* TESTS_UNIT_SIM_NET_WORLD_H */

/* tests/unit/actors/allocator_world.h - an allocator, one who asks for many, and an etcd that does
 * to its transactions what a test says. */
#ifndef TESTS_UNIT_ACTORS_ALLOCATOR_WORLD_H
#define TESTS_UNIT_ACTORS_ALLOCATOR_WORLD_H

#include "actors/allocator.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/session_world.h"

enum { SEEDS = 20, ASKERS = 12 };

#define ASKER_LIST(X) X(ASKER_ANSWER, sizeof(struct allocator_answer))
ROLLCALL_MESSAGES(asker_message, ASKER_LIST, ASKER_COUNT);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ASKER_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ASKER_LIST);

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct probe *asker;
    struct rollcall_ref allocator;
    enum fake_etcd_fate fate; /* of the takes numbered from 0 to `last_take` */
    size_t takes, last_take;
    void (*before)(struct fake_etcd *etcd);
    enum fake_etcd_fate survey; /* of every page */
};

static inline enum fake_etcd_fate decide(struct fake_etcd *etcd,
                                         const struct transport_request *request)
{
    struct bench *b = etcd->user;
    if (request->kind == TRANSPORT_RANGE) {
        return b->survey;
    }
    if (request->txn.compares[0].target != TRANSPORT_COMPARE_VALUE || b->takes++ > b->last_take) {
        return FAKE_ETCD_ANSWER;
    }
    if (b->before != NULL) {
        b->before(etcd);
    }
    return b->fate;
}

static inline void open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = b;
    b->asker = probe_create("asker", SIZES, NAMES, ASKER_COUNT);
    probe_spawn(b->asker, b->world.rt, 1);
    const struct allocator_options options = {.transport =
                                                  fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    b->allocator = world_spawn(&b->world, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &options,
                                                      .supervisor = world_supervisor(&b->world),
                                                      .mailbox_messages = 8192));
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->asker);
    fake_etcd_destroy(b->etcd);
}

static inline void ask_for(struct bench *b, int count, const char *root, bool reuse)
{
    const struct allocator_ask payload = {.answer = ASKER_ANSWER, .reuse = reuse};
    for (int i = 0; i < count; i++) {
        struct session_config *config = session_config_create(&(struct session_choice){0});
        config->root = root;
        probe_send(b->asker, b->world.rt, b->allocator, ALLOCATOR_ASK, &payload, sizeof payload,
                   &config->object);
    }
}

static inline void ask(struct bench *b, int count, const char *root)
{
    ask_for(b, count, root, false);
}

static inline struct allocator_answer answered(const struct bench *b, size_t nth)
{
    struct allocator_answer answer;
    memcpy(&answer, probe_payload(probe_find(b->asker, ASKER_ANSWER, nth)), sizeof answer);
    return answer;
}

/* All have been answered, with different IDs from `first` up. */
static inline void check_ids(const struct bench *b, size_t count, int64_t first, int64_t last)
{
    CHECK_INT(probe_count(b->asker, ASKER_ANSWER), count);
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(answered(b, i).status, ROLLCALL_OK);
        CHECK(answered(b, i).server_id >= first && answered(b, i).server_id <= last);
        for (size_t other = 0; other < i; other++) {
            CHECK(answered(b, other).server_id != answered(b, i).server_id);
        }
    }
    CHECK_STATE(&b->world, b->allocator, "IDLE");
}

static inline void another_takes_one(struct fake_etcd *etcd)
{
    char next[32];
    const struct rollcall_bytes value = fake_etcd_find(etcd, ID_KEY)->value;
    snprintf(next, sizeof next, "%.*s", (int)value.size_bytes, value.data);
    snprintf(next, sizeof next, "%lld", strtoll(next, NULL, 10) + 1);
    fake_etcd_put(etcd, ID_KEY, next, 0);
}

#endif /* TESTS_UNIT_ACTORS_ALLOCATOR_WORLD_H */

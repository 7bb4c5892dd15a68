/* tests/unit/actors/keeper_world.h - a lease_keeper between a fake etcd and users that are probes:
 * each plays the lease_share, the registration and the departure of one membership. */
#ifndef TESTS_UNIT_ACTORS_KEEPER_WORLD_H
#define TESTS_UNIT_ACTORS_KEEPER_WORLD_H

#include "actors/lease_keeper.h"
#include "actors/lease_share.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/steps.h"

enum { SEEDS = 20, USERS = 3, TTL_S = 5, USER_LEASED = LEASE_SHARE_COUNT, USER_LEFT, USER_COUNT };

static const uint16_t USER_SIZES[] = {
    ROLLCALL_SIGNALS(ROLLCALL_SIZE)
        LEASE_SHARE_LIST(ROLLCALL_SIZE)(uint16_t) sizeof(struct lease_keeper_answer),
    (uint16_t)sizeof(struct session_left)};
static const char *const USER_NAMES[] = {
    ROLLCALL_SIGNALS(ROLLCALL_NAME) LEASE_SHARE_LIST(ROLLCALL_NAME) "USER_LEASED", "USER_LEFT"};

struct user {
    struct probe *probe;
    int64_t server_id, ttl_s;
};

struct bench {
    struct steps steps; /* must be first */
    struct world world;
    struct fake_etcd *etcd;
    struct rollcall_ref keeper;
    struct user users[USERS];
};

/* User i has server ID i + 1. */
static inline void open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = &b->steps;
    const struct lease_keeper_options options = {fake_etcd_spawn(b->etcd, b->world.rt, 0)};
    b->keeper = world_spawn(&b->world, 0,
                            ROLLCALL_SPAWN_OPTIONS(.type = &lease_keeper_type, .options = &options,
                                                   .supervisor = world_supervisor(&b->world),
                                                   .mailbox_messages = 8192));
    for (int i = 0; i < USERS; i++) {
        b->users[i] =
            (struct user){probe_create("user", USER_SIZES, USER_NAMES, USER_COUNT), i + 1, TTL_S};
        probe_spawn(b->users[i].probe, b->world.rt, 0);
    }
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    for (int i = 0; i < USERS; i++) {
        probe_destroy(b->users[i].probe);
    }
    fake_etcd_destroy(b->etcd);
}

/* ---- what a user asks ---- */

static inline void ask_with(struct bench *b, int i, int64_t dead_lease_id, bool unsure)
{
    const struct user *user = &b->users[i];
    const struct session_choice choice = {.ttl_s = user->ttl_s, .share_lease = true};
    const struct lease_keeper_ask ask = {.user = probe_ref(user->probe),
                                         .server_id = user->server_id,
                                         .dead_lease_id = dead_lease_id,
                                         .answer = USER_LEASED,
                                         .unsure = unsure};
    probe_send(user->probe, b->world.rt, b->keeper, LEASE_KEEPER_ASK, &ask, sizeof ask,
               &session_config_create(&choice)->object);
}

static inline void ask(struct bench *b, int i)
{
    ask_with(b, i, 0, false);
}

static inline struct lease_keeper_answer leased(const struct bench *b, int i)
{
    struct lease_keeper_answer answer;
    memcpy(&answer, probe_payload(probe_last(b->users[i].probe, USER_LEASED)), sizeof answer);
    return answer;
}

static inline void key_of(const struct user *user, char *key, size_t size_bytes)
{
    snprintf(key, size_bytes, "root/session/coord-%" PRId64, user->server_id);
}

static inline const struct transport_kv *stored(const struct bench *b, int i)
{
    char key[64];
    key_of(&b->users[i], key, sizeof key);
    return fake_etcd_find(b->etcd, key);
}

/* Puts its key under the lease that it was told; the create revision. */
static inline int64_t put(struct bench *b, int i)
{
    char key[64];
    key_of(&b->users[i], key, sizeof key);
    return fake_etcd_put(b->etcd, key, "{}", leased(b, i).lease_id);
}

static inline void join_with(struct bench *b, int i, int64_t create_revision, bool unsure)
{
    const struct lease_keeper_join join = {
        .lease_id = leased(b, i).lease_id, .create_revision = create_revision, .unsure = unsure};
    probe_send(b->users[i].probe, b->world.rt, b->keeper, LEASE_KEEPER_JOIN, &join, sizeof join,
               NULL);
}

/* From the first word to a member that is told of its lease. */
static inline void enter(struct bench *b, int i)
{
    ask(b, i);
    world_settle(&b->world);
    CHECK_INT(leased(b, i).status, ROLLCALL_OK);
    join_with(b, i, put(b, i), false);
    world_settle(&b->world);
}

static inline void enter_all(struct bench *b)
{
    for (int i = 0; i < USERS; i++) {
        enter(b, i);
    }
}

static inline void leave_with(struct bench *b, int i, struct lease_keeper_leave leave)
{
    leave.user = probe_ref(b->users[i].probe);
    leave.answer = USER_LEFT;
    probe_send(b->users[i].probe, b->world.rt, b->keeper, LEASE_KEEPER_LEAVE, &leave, sizeof leave,
               NULL);
}

static inline void leave(struct bench *b, int i)
{
    const struct transport_kv *kv = stored(b, i);
    leave_with(
        b, i, (struct lease_keeper_leave){.create_revision = kv == NULL ? 0 : kv->create_revision});
}

/* Its lease_share has ended without a word. */
static inline void end(struct bench *b, int i)
{
    rollcall_runtime_stop(b->world.rt, probe_ref(b->users[i].probe));
}

static inline size_t told(const struct bench *b, int i, uint16_t message)
{
    return probe_count(b->users[i].probe, message);
}

static inline enum rollcall_status left(const struct bench *b, int i)
{
    const struct session_left *payload = probe_payload(probe_last(b->users[i].probe, USER_LEFT));
    return payload->status;
}

static inline void forget_all(struct bench *b)
{
    for (int i = 0; i < USERS; i++) {
        probe_forget(b->users[i].probe);
    }
}

#endif /* TESTS_UNIT_ACTORS_KEEPER_WORLD_H */

/* tests/unit/actors/member_world.h - a member's key in etcd, and one actor of its session that
 * looks after it: what stands around departure and liveness. */
#ifndef TESTS_UNIT_ACTORS_MEMBER_WORLD_H
#define TESTS_UNIT_ACTORS_MEMBER_WORLD_H

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/steps.h"

enum { SEEDS = 20, OUR_ID = 12, OUR_LEASE = 77, RIVAL_LEASE = 4711, SESSION_MAILBOX = 8 };
#define KEY "root/session/coord-12"
#define OURS RECORD_OF(12, OUR_ADDRESS, OUR_HOST)
#define RIVAL RECORD_OF(9, "b", "there")

static const uint16_t SESSION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);
static const char *const SESSION_NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);

struct bench {
    struct steps steps; /* must be first */
    struct world world;
    struct fake_etcd *etcd;
    struct probe *session, *parent;
    struct rollcall_ref session_ref, actor;
    struct session_membership *mine;
};

static inline void membership_destroy(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

static inline struct session_membership *membership_create(int64_t create_revision)
{
    struct session_membership *mine = calloc(1, sizeof *mine + sizeof KEY);
    CHECK(mine != NULL);
    rollcall_object_init(&mine->object, membership_destroy);
    mine->server_id = OUR_ID;
    mine->lease_id = OUR_LEASE;
    mine->ttl_s = 10;
    mine->revision = mine->create_revision = create_revision;
    memcpy(mine->key, KEY, sizeof KEY);
    return mine;
}

/* The session has a small mailbox and a parent, so that a test can stop it from reading. */
static inline void spawn_session(struct bench *b)
{
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    b->session = probe_create("session", SESSION_SIZES, SESSION_NAMES, SESSION_COUNT);
    const struct probe_options options = {b->session};
    b->session_ref =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->session), .options = &options,
                                           .supervisor = probe_spawn(b->parent, b->world.rt, 0),
                                           .mailbox_messages = SESSION_MAILBOX));
}

/* The key is there; the actor is still to be spawned. */
static inline void open_member(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = &b->steps;
    fake_etcd_spawn(b->etcd, b->world.rt, 1);
    spawn_session(b);
    fake_etcd_grant(b->etcd, OUR_LEASE, 10);
    b->mine = membership_create(fake_etcd_put(b->etcd, KEY, OURS, OUR_LEASE));
}

static inline void spawn_actor(struct bench *b, const struct rollcall_actor_type *type,
                               const void *options)
{
    b->actor = world_spawn(&b->world, 0,
                           ROLLCALL_SPAWN_OPTIONS(.type = type, .options = options,
                                                  .supervisor = world_supervisor(&b->world)));
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    rollcall_object_drop(&b->mine->object);
    probe_destroy(b->parent);
    probe_destroy(b->session);
    fake_etcd_destroy(b->etcd);
}

static inline size_t told(const struct bench *b, uint16_t message)
{
    return probe_count(b->session, message);
}

/* Sends it with the membership. */
static inline void send_mine(struct bench *b, uint16_t type, const void *payload, size_t size_bytes)
{
    world_send(&b->world, b->actor, type, payload, size_bytes,
               rollcall_object_keep(&b->mine->object));
}

static inline bool is_in(const struct bench *b, const char *state)
{
    return strcmp(rollcall_sim_state(b->world.sim, b->actor), state) == 0;
}

/* Steps until it is in the state, without moving the clock. */
static inline bool step_to_state(struct bench *b, const char *state)
{
    while (!is_in(b, state)) {
        if (!rollcall_sim_step(b->world.sim)) {
            return false;
        }
    }
    return true;
}

/* The session stops reading, and its mailbox is full. */
static inline void block_session(struct bench *b)
{
    rollcall_sim_crash(b->world.sim, b->session_ref, ROLLCALL_E_ACTOR);
    for (int i = 0; i < SESSION_MAILBOX; i++) { /* the crash takes one, and one fewer fits */
        world_send(&b->world, b->session_ref, SESSION_CONTACT, NULL, 0, NULL);
        world_settle(&b->world);
    }
    CHECK_STATE(&b->world, b->session_ref, "FAILED");
}

static inline void restart_session(struct rollcall_context *cx, void *ref)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)ref);
}

static inline void unblock_session(struct bench *b)
{
    probe_run(b->parent, b->world.rt, restart_session, &b->session_ref);
    world_settle(&b->world);
    CHECK_INT(told(b, SESSION_CONTACT), SESSION_MAILBOX - 1);
}

#endif /* TESTS_UNIT_ACTORS_MEMBER_WORLD_H */

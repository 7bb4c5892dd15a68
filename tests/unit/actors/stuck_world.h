/* tests/unit/actors/stuck_world.h - an actor that has failed and whose mailbox is full: what
 * another worker sends to it comes back. */
#ifndef TESTS_UNIT_ACTORS_STUCK_WORLD_H
#define TESTS_UNIT_ACTORS_STUCK_WORLD_H

#include "support/probe.h"
#include "unit/actors/world.h"

struct stuck {
    struct probe *parent, *probe; /* probe: what it is sent once it is free */
    struct rollcall_ref ref;
};

/* fill: a message of its list; payload: as the list says. */
static inline void stuck_open(struct stuck *stuck, const struct world *world, uint32_t worker,
                              struct probe *probe, uint16_t fill, const void *payload,
                              size_t size_bytes)
{
    const struct probe_options options = {probe};
    stuck->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    stuck->probe = probe;
    stuck->ref = world_spawn(
        world, worker,
        ROLLCALL_SPAWN_OPTIONS(.type = probe_type(probe), .options = &options,
                               .supervisor = probe_spawn(stuck->parent, world->rt, worker),
                               .mailbox_messages = 8));
    probe_return(probe, fill, ROLLCALL_FAIL);
    for (int i = 0; i < 8; i++) { /* the first makes it fail, seven fill it */
        world_send(world, stuck->ref, fill, payload, size_bytes, NULL);
        world_settle(world);
    }
    CHECK_STATE(world, stuck->ref, "FAILED");
    probe_return(probe, fill, ROLLCALL_STAY);
}

static inline void stuck_restart(struct rollcall_context *cx, void *user)
{
    rollcall_restart_child(cx, ((struct stuck *)user)->ref);
}

/* Reads what filled it, and whatever comes. */
static inline void stuck_free(struct stuck *stuck, const struct world *world)
{
    probe_run(stuck->parent, world->rt, stuck_restart, stuck);
    world_settle(world);
}

/* After the world. */
static inline void stuck_close(struct stuck *stuck)
{
    probe_destroy(stuck->parent);
    probe_destroy(stuck->probe);
}

/* Tells `who` that what it had sent to `to` came back, as the runtime does. */
static inline void stuck_bounce(const struct world *world, struct rollcall_ref who,
                                struct rollcall_ref to, uint16_t type)
{
    const struct rollcall_bounced bounced = {.to = to, .type = type};
    world_send(world, who, ROLLCALL_BOUNCED, &bounced, sizeof bounced, NULL);
    world_settle(world);
}

#endif /* TESTS_UNIT_ACTORS_STUCK_WORLD_H */

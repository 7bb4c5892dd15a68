/* tests/unit/actors/deaf_session.h - a session that can be made to read nothing, with a full
 * mailbox, for tests of the actors that tell it something. */
#ifndef TESTS_UNIT_ACTORS_DEAF_SESSION_H
#define TESTS_UNIT_ACTORS_DEAF_SESSION_H

#include "actors/session.h"
#include "support/probe.h"
#include "unit/actors/world.h"

enum { SESSION_MAILBOX = 8 };

/* The session has a small mailbox, and a parent that restarts it when it is told to. */
static inline struct rollcall_ref deaf_session_spawn(const struct world *world,
                                                     struct probe *session, struct probe *parent)
{
    const struct probe_options options = {session};
    return world_spawn(world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = probe_type(session), .options = &options,
                                              .supervisor = probe_spawn(parent, world->rt, 0),
                                              .mailbox_messages = SESSION_MAILBOX));
}

/* The session fails, so that it reads nothing, and its mailbox is filled. */
static inline void deaf_session_block(const struct world *world, struct rollcall_ref session)
{
    rollcall_sim_crash(world->sim, session, ROLLCALL_E_ACTOR);
    for (int i = 0; i < SESSION_MAILBOX; i++) { /* the first is what it fails on */
        world_send(world, session, SESSION_CONTACT, NULL, 0, NULL);
        world_settle(world);
    }
    CHECK_STATE(world, session, "FAILED");
}

static inline void deaf_session_restart(struct rollcall_context *cx, void *session)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)session);
}

/* Reads what filled it, and whatever comes. */
static inline void deaf_session_unblock(const struct world *world, struct probe *parent,
                                        struct rollcall_ref session)
{
    probe_run(parent, world->rt, deaf_session_restart, &session);
    world_settle(world);
    CHECK_STATE(world, session, "OPEN");
}

#endif /* TESTS_UNIT_ACTORS_DEAF_SESSION_H */

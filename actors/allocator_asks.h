/*
 * actors/allocator_asks.h - who waits for a server ID, and what they are answered.  See
 * allocator.c.
 *
 * An asker on another worker is answered through a lane that all answers to that worker share: an
 * answer that finds it full is owed, and sent again by the timer ALLOCATOR_RETELL.
 */
#ifndef ACTORS_ALLOCATOR_ASKS_H
#define ACTORS_ALLOCATOR_ASKS_H

#include "actors/allocator.h"

enum { ALLOCATOR_ASKS_MAX = 65536 }; /* that wait for an ID, or whose answer is owed */

struct allocator_waiting {
    struct rollcall_caller caller;
    uint16_t answer;
    bool reuse;
    struct session_config *config; /* shared: the root is its */
};

/* An answer that found no room. */
struct allocator_owed {
    struct rollcall_caller caller;
    uint16_t answer;
    struct allocator_answer payload;
    struct rollcall_reason *reason; /* shared; NULL: none */
};

struct allocator_shared {
    struct session_config *config; /* shared: the root is its */
    int64_t server_id;             /* 0: asked for, not taken yet */
};

/* Survives a restart: nobody has to ask again, and what is reused stays the same. */
struct allocator_asks {
    struct allocator_waiting *waiting; /* in the order they came */
    struct allocator_owed *owed;
    size_t waiting_count, owed_count;
    size_t capacity; /* of each: every ask that waits has a place for its answer, too */
    struct allocator_shared shared[ALLOCATOR_SHARED_MAX];
    size_t shared_count;
};

/* One ALLOCATOR_ASK: it waits from now on, or is answered. */
void allocator_asks_add(struct rollcall_context *cx, struct allocator_asks *asks,
                        const struct rollcall_message *message);
/* The root of who asked first, which is served next; NULL: nobody waits. */
const char *allocator_asks_root(const struct allocator_asks *asks);
/* How many IDs the asks of that root need: one each, and one for all that reuse. */
size_t allocator_asks_ids(const struct allocator_asks *asks);
/* The asks of that root get the `count` IDs from `first` on, in order; who got none waits on. */
void allocator_asks_serve(struct rollcall_context *cx, struct allocator_asks *asks, int64_t first,
                          size_t count);
/* All asks of that root are refused.  reason: borrowed. */
void allocator_asks_refuse(struct rollcall_context *cx, struct allocator_asks *asks,
                           struct rollcall_reason *reason);
/* Sends what is owed; what still finds no room is sent later.  For ALLOCATOR_RETELL, and init. */
void allocator_asks_retell(struct rollcall_context *cx, struct allocator_asks *asks);
void allocator_asks_fini(struct allocator_asks *asks);

#endif /* ACTORS_ALLOCATOR_ASKS_H */

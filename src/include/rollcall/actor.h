/*
 * rollcall/actor.h - how to write an actor: a private struct, a table, one function per message.
 *
 * An actor is a const struct rollcall_actor_type.  The runtime looks up [state][message] in its
 * table, calls the handler found there, checks the state it returns against the cell, and traces
 * the step.  Actors share nothing: they send each other cells of at most 32 bytes, and move
 * larger things as immutable, reference-counted objects.
 *
 * Threads: a handler runs alone; no other handler of the same actor runs at the same time, and an
 *          actor stays on one worker thread for life.  Everything here is called inside a handler,
 *          except the rollcall_object_* and rollcall_ref_* functions: any thread.
 * Time:    every instant and duration is int64_t milliseconds of the runtime's own clock, which
 *          counts time the machine was suspended and never steps.
 * Memory:  payloads are copied; objects are moved; self, options and handover belong to the
 *          runtime.
 * Errors:  a handler that cannot go on returns ROLLCALL_FAIL and its supervisor decides.  A broken
 *          contract (wrong payload size, a state not in the cell) aborts the process with a trace.
 */
#ifndef ROLLCALL_ACTOR_H
#define ROLLCALL_ACTOR_H

#include <rollcall/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ROLLCALL_PAYLOAD_MAX_BYTES = 32 }; /* with its header, one cache line */

/* Address of an actor: a value, copied freely.  A message to an ended one is counted, not kept.
 * It stays the same when the actor is restarted.  bits == 0: nobody. */
struct rollcall_ref {
    uint64_t bits;
};

/* Who asked: an address and the incarnation that asked.  An answer to an incarnation that has been
 * restarted since is a counted dead letter, so a new one never sees answers it did not ask for. */
struct rollcall_caller {
    struct rollcall_ref ref;
    uint16_t epoch;
};

/*
 * The head of anything larger than a payload.  Put it first in your struct.  An object is immutable
 * from the moment it is sent; it is destroyed by whoever drops it last, on that one's thread.
 */
struct rollcall_object {
    uint32_t references; /* atomic; touched only by the three functions below */
    void (*destroy)(struct rollcall_object *object);
};
ROLLCALL_API void rollcall_object_init(struct rollcall_object *object, /* with one reference */
                                       void (*destroy)(struct rollcall_object *object));
ROLLCALL_API struct rollcall_object *rollcall_object_keep(struct rollcall_object *object);
ROLLCALL_API void rollcall_object_drop(struct rollcall_object *object); /* NULL: nothing */

struct rollcall_message {
    struct rollcall_caller from; /* nobody: the runtime, or a thread outside it */
    uint16_t type, size_bytes;
    const void *payload;            /* borrowed until the handler returns */
    struct rollcall_object *object; /* borrowed until the handler returns; keep it to hold it */
};

struct rollcall_context; /* what a running handler may use */

/* Returns a state listed in the cell's `to`, or one of the verbs below. */
typedef int rollcall_handler_fn(struct rollcall_context *cx, void *self,
                                const struct rollcall_message *message);
enum {
    ROLLCALL_STAY = -1, /* no change of state */
    ROLLCALL_END = -2,  /* done for good: the actor ends, its children are stopped */
    ROLLCALL_FAIL = -3  /* cannot go on: fini, and the supervisor decides; see rollcall_fail */
};

struct rollcall_cell {
    rollcall_handler_fn
        *handle; /* NULL: cannot happen (counted and logged; aborts in simulation) */
    uint32_t to; /* the states it may move to: ROLLCALL_TO(A) | ROLLCALL_TO(B) */
};
#define ROLLCALL_TO(state) (UINT32_C(1) << (state))
ROLLCALL_API rollcall_handler_fn rollcall_ignore; /* for what can happen and needs nothing */

/*
 * The runtime's own signals come first in every actor's message list.  They travel in the system
 * lane, which data never delays.  An absent cell means, for
 *   STOP     end at once;
 *   ADOPT    ignore (only supervisors care);
 *   DOWN     ignore an END; a child's FAIL fails the parent too;
 *   BOUNCED  count it: a message of ours found its receiver's mailbox full on another worker.
 */
#define ROLLCALL_SIGNALS(X)                                                                        \
    X(ROLLCALL_STOP, 0)                                                                            \
    X(ROLLCALL_ADOPT, sizeof(struct rollcall_adopt))                                               \
    X(ROLLCALL_DOWN, sizeof(struct rollcall_down))                                                 \
    X(ROLLCALL_BOUNCED, sizeof(struct rollcall_bounced))

#define ROLLCALL_ENUM(name, size) name, /* these three expand a message list X(name, size) */
#define ROLLCALL_NAME(name, size) #name,
#define ROLLCALL_SIZE(name, size) (uint16_t)(size),
enum rollcall_signal { ROLLCALL_SIGNALS(ROLLCALL_ENUM) ROLLCALL_SIGNAL_COUNT };

/* An actor's messages: ROLLCALL_MESSAGES(keepalive_message, KEEPALIVE_LIST, KEEPALIVE_COUNT); */
#define ROLLCALL_MESSAGES(tag, LIST, count)                                                        \
    enum tag { tag##_before_first = ROLLCALL_SIGNAL_COUNT - 1, LIST(ROLLCALL_ENUM) count }
#define ROLLCALL_MESSAGE_NAMES(LIST)                                                               \
    {                                                                                              \
        ROLLCALL_SIGNALS(ROLLCALL_NAME) LIST(ROLLCALL_NAME)                                        \
    }
#define ROLLCALL_PAYLOAD_SIZES(LIST)                                                               \
    {                                                                                              \
        ROLLCALL_SIGNALS(ROLLCALL_SIZE) LIST(ROLLCALL_SIZE)                                        \
    }

enum rollcall_restart {
    ROLLCALL_PERMANENT, /* restarted whenever it fails */
    ROLLCALL_TEMPORARY  /* never restarted: its end is only reported */
};

/* ADOPT, to a supervisor: a child was spawned under you. */
struct rollcall_adopt {
    struct rollcall_ref child;
    enum rollcall_restart restart;
};

enum rollcall_down_reason {
    ROLLCALL_DOWN_ENDED, /* returned ROLLCALL_END, or was stopped; or its parent restarted it */
    ROLLCALL_DOWN_FAILED /* returned ROLLCALL_FAIL; it waits, mailbox kept, for a restart or a stop
                          */
};

/* DOWN, to the parent and to monitors.  The message's object, if any, is a struct rollcall_reason.
 */
struct rollcall_down {
    struct rollcall_ref who;
    enum rollcall_down_reason reason;
    enum rollcall_status status; /* why it failed; ROLLCALL_OK for an END */
    uint16_t epoch;              /* the incarnation that ended; 0: it was gone when asked for */
};

/* Why an actor failed, in words: what rollcall_fail() was told. */
struct rollcall_reason {
    struct rollcall_object object;
    struct rollcall_error error;
};
/* With one reference; error: copied.  NULL: out of memory.  Threads: any. */
ROLLCALL_API struct rollcall_reason *rollcall_reason_create(const struct rollcall_error *error);

/* BOUNCED: `type` was not delivered to `to`, and its object was dropped. */
struct rollcall_bounced {
    struct rollcall_ref to;
    uint16_t type;
};

/* A kind of actor: static, const, one per file. */
struct rollcall_actor_type {
    const char *name;
    size_t self_size_bytes;     /* zeroed before init */
    size_t options_size_bytes;  /* copied at spawn, kept for restarts; 0: none */
    size_t handover_size_bytes; /* zeroed at spawn, survives restarts; 0: none */
    /* Returns the first state, or ROLLCALL_FAIL.  Runs on the actor's worker. */
    int (*init)(struct rollcall_context *cx, void *self, const void *options);
    /* Optional.  Frees what self owns; no sends, no waiting.  Runs before a restart and at the end.
     */
    void (*fini)(void *self);
    void (*options_fini)(void *options);   /* optional; once, at the very end */
    void (*handover_fini)(void *handover); /* optional; once, at the very end */
    uint16_t state_count, message_count;   /* message_count includes the signals */
    const char *const *state_names, *const *message_names;
    const uint16_t *payload_sizes;     /* [message_count]; checked on every delivery */
    const struct rollcall_cell *table; /* [state_count][message_count] */
};

/*
 * Sends a copy of `payload` to `to`; never blocks.
 * payload: borrowed; exactly the size the receiver's list gives for `type`, at most 32 bytes.
 * object:  moved, even on failure; NULL: none.
 * Order:   one sender's messages reach one receiver in the order they were sent.
 * Returns: ROLLCALL_OK, or ROLLCALL_E_FULL if the receiver's mailbox (same worker) or the lane to
 *          its worker is full; then nothing was sent.  To an ended actor: ROLLCALL_OK, and counted.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_send(struct rollcall_context *cx, struct rollcall_ref to, uint16_t type,
              const void *payload, size_t size_bytes);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_send_object(struct rollcall_context *cx, struct rollcall_ref to, uint16_t type,
                     const void *payload, size_t size_bytes, struct rollcall_object *object);

/* As rollcall_send_object, but only to the incarnation that asked: answers use this. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_reply(struct rollcall_context *cx, struct rollcall_caller to, uint16_t type,
               const void *payload, size_t size_bytes, struct rollcall_object *object);

/* Sends `type`, which has no payload, to self at `at_ms`, in the system lane; replaces a pending
 * timer of the same type.  A timer set again or cancelled after it fired, but before it was
 * handled, is not delivered.  A restart cancels all. */
ROLLCALL_API void rollcall_timer_set(struct rollcall_context *cx, uint16_t type, int64_t at_ms);
ROLLCALL_API void rollcall_timer_cancel(struct rollcall_context *cx, uint16_t type);

ROLLCALL_API int64_t rollcall_now_ms(const struct rollcall_context *cx);
ROLLCALL_API int64_t
rollcall_wall_ms(const struct rollcall_context *cx);                /* since 1970, for people */
ROLLCALL_API uint64_t rollcall_random(struct rollcall_context *cx); /* seeded in simulation */
ROLLCALL_API struct rollcall_ref rollcall_self(const struct rollcall_context *cx);
ROLLCALL_API uint16_t rollcall_epoch(const struct rollcall_context *cx); /* 1 for the first */
/* What a restart hands to the next incarnation; handover_size_bytes long, owned by the runtime. */
ROLLCALL_API void *rollcall_handover(struct rollcall_context *cx);

/* Says why the handler is about to return ROLLCALL_FAIL; returns ROLLCALL_FAIL. */
ROLLCALL_API int rollcall_fail(struct rollcall_context *cx, enum rollcall_status status,
                               const char *format, ...) ROLLCALL_PRINTF(3, 4);

struct rollcall_spawn_options {
    size_t size_bytes;                      /* set by ROLLCALL_SPAWN_OPTIONS */
    const struct rollcall_actor_type *type; /* borrowed for the runtime's life: make it static */
    const void *options;                    /* copied, options_size_bytes of it; moved inside */
    struct rollcall_ref supervisor;         /* nobody: the spawner is the parent */
    enum rollcall_restart restart;
    uint32_t mailbox_messages; /* 0: 64; a power of two, 8 .. 65'536; one fewer fit */
};
#define ROLLCALL_SPAWN_OPTIONS(...)                                                                \
    (&(const struct rollcall_spawn_options){.size_bytes = sizeof(struct rollcall_spawn_options),   \
                                            __VA_ARGS__})

/*
 * Starts an actor on the worker of the caller; init runs before anything is delivered to it, after
 * this handler returns.  Its parent is the supervisor named, or the spawner.  A parent's end stops
 * its children, last spawned first.
 * Returns: ROLLCALL_OK and *ref; or ROLLCALL_E_NO_MEMORY, ROLLCALL_E_INVALID, or ROLLCALL_E_STOPPED
 *          when the supervisor has ended; then options_fini has been called on what options moved.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_spawn(struct rollcall_context *cx, const struct rollcall_spawn_options *options,
               struct rollcall_ref *ref);
/* Asks any actor to stop: the STOP signal. */
ROLLCALL_API void rollcall_stop(struct rollcall_context *cx, struct rollcall_ref who);
/* Restarts a child, failed or not: fini, next epoch, init; options, handover and mailbox are kept.
 * Only its parent may, for it is on the same worker; anybody else is counted and ignored. */
ROLLCALL_API void rollcall_restart_child(struct rollcall_context *cx, struct rollcall_ref child);
/* Asks for one DOWN each time an incarnation of `who` ends; at once if it has ended already. */
ROLLCALL_API void rollcall_monitor(struct rollcall_context *cx, struct rollcall_ref who);

enum rollcall_log_level { ROLLCALL_ERROR, ROLLCALL_WARN, ROLLCALL_INFO, ROLLCALL_DEBUG };
/* One record: a sentence, then key=value pairs; never a secret. */
ROLLCALL_API void rollcall_log(struct rollcall_context *cx, enum rollcall_log_level level,
                               const char *format, ...) ROLLCALL_PRINTF(3, 4);

static inline bool rollcall_ref_equal(struct rollcall_ref a, struct rollcall_ref b)
{
    return a.bits == b.bits;
}
static inline bool rollcall_ref_is_nobody(struct rollcall_ref ref)
{
    return ref.bits == 0;
}

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_ACTOR_H */

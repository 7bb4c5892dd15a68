/*
 * tests/support/probe.h - an actor for tests: it records what it is sent, and sends what it is
 * told.
 *
 * A probe plays whatever stands around the actor under test: its transport, its supervisor, its
 * listener.  It has the message list of the part it plays, so numbers and payload sizes are the
 * real ones.  Under the simulator the whole test is one thread:
 *
 *     static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
 *     static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
 *     struct probe *transport = probe_create("transport", SIZES, NAMES, TRANSPORT_COUNT);
 *     struct rollcall_ref ref = probe_spawn(transport, rt, 0);
 *     ... spawn the actor under test with `ref` in its options; rollcall_sim_settle(sim, 1000);
 *     const struct probe_message *call = probe_find(transport, TRANSPORT_CALL, 0);
 *     const struct transport_call *asked = probe_payload(call);
 *     struct transport_answer answer = {.id = asked->id, .status = ROLLCALL_OK};
 *     probe_reply(transport, rt, call->from, asked->answer, &answer, sizeof answer, result);
 *     rollcall_sim_settle(sim, 1000);
 *     CHECK_INT(probe_count(transport, TRANSPORT_CALL), 2);
 *     rollcall_sim_destroy(sim);
 *     probe_destroy(transport);
 *
 * It answers every message with ROLLCALL_STAY, and STOP with ROLLCALL_END; see probe_return.
 * Threads: any; what a worker records is seen by every thread.
 * Memory:  a probe outlives the runtime it was spawned in; what it recorded lives until
 *          probe_forget or probe_destroy.
 * Errors:  a probe that cannot do what it is told prints a sentence and aborts.
 */
#ifndef TESTS_SUPPORT_PROBE_H
#define TESTS_SUPPORT_PROBE_H

#include <rollcall/runtime.h>

struct probe;

struct probe_message {
    uint16_t type, size_bytes;
    uint16_t epoch;         /* the probe's, when it came */
    int64_t at_ms;          /* when it was handled */
    struct rollcall_ref to; /* which of the actors spawned from the probe */
    struct rollcall_caller from;
    struct rollcall_object *object; /* kept until probe_forget; NULL: none */
    union {
        unsigned char payload[ROLLCALL_PAYLOAD_MAX_BYTES];
        int64_t align;
    };
};

/* payload_sizes, names: borrowed; signals first, as ROLLCALL_PAYLOAD_SIZES and
 * ROLLCALL_MESSAGE_NAMES give them, `message_count` of each.  NULL, NULL, ROLLCALL_SIGNAL_COUNT: a
 * probe for signals only. */
struct probe *probe_create(const char *name, const uint16_t *payload_sizes,
                           const char *const *names, uint16_t message_count);
/* Drops the objects it kept; after the runtime was destroyed.  NULL: nothing. */
void probe_destroy(struct probe *probe);

/* What its handler returns for `type` from now on: ROLLCALL_STAY, _END or _FAIL. */
void probe_return(struct probe *probe, uint16_t type, int result);

/* Spawns it without a parent.  Spawned again, the new actor shares the log, and sends from now on.
 */
struct rollcall_ref probe_spawn(struct probe *probe, struct rollcall_runtime *rt, uint32_t worker);
/* The actor that sends, and its type, for a test that spawns the probe as somebody's child:
 *     struct probe_options options = {child_probe};
 *     rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = probe_type(child_probe),
 *                                               .options = &options), &ref); */
struct rollcall_ref probe_ref(const struct probe *probe);
const struct rollcall_actor_type *probe_type(const struct probe *probe);
struct probe_options {
    struct probe *probe;
};
/* From now on that one sends: an actor of its type that the test spawned by itself. */
void probe_use(struct probe *probe, struct rollcall_ref ref);

/* ---- what it was sent ---- */

size_t probe_count(const struct probe *probe, uint16_t type);
/* The nth (from 0) message of `type`, or the last; NULL: there is none. */
const struct probe_message *probe_find(const struct probe *probe, uint16_t type, size_t nth);
const struct probe_message *probe_last(const struct probe *probe, uint16_t type);
/* The nth message of any type, in the order they were handled; NULL: there is none. */
const struct probe_message *probe_nth(const struct probe *probe, size_t nth);
size_t probe_total(const struct probe *probe);
const void *probe_payload(const struct probe_message *message); /* aborts on NULL */
/* Forgets what was recorded, and drops the objects. */
void probe_forget(struct probe *probe);

/* ---- what it is told to do; done when the runtime next runs it ---- */

/* Sends as the probe.  payload: copied.  object: moved; NULL: none. */
void probe_send(struct probe *probe, struct rollcall_runtime *rt, struct rollcall_ref to,
                uint16_t type, const void *payload, size_t size_bytes,
                struct rollcall_object *object);
/* Answers: as probe_send, but only to the incarnation that asked. */
void probe_reply(struct probe *probe, struct rollcall_runtime *rt, struct rollcall_caller to,
                 uint16_t type, const void *payload, size_t size_bytes,
                 struct rollcall_object *object);
/* What the last send or reply answered, and how many were not ROLLCALL_OK. */
enum rollcall_status probe_send_status(const struct probe *probe);
size_t probe_send_failures(const struct probe *probe);
/* Runs anything as the probe: spawns children, monitors, sets timers.  user: borrowed until then.
 */
void probe_run(struct probe *probe, struct rollcall_runtime *rt,
               void (*run)(struct rollcall_context *cx, void *user), void *user);

/* ---- objects that can be counted ---- */

/* A new object with one reference; *alive goes up now and down when it is destroyed. */
struct rollcall_object *probe_object(int *alive);

#endif /* TESTS_SUPPORT_PROBE_H */

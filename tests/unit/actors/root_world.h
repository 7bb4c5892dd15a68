/* tests/unit/actors/root_world.h - a whole session, its root and all actors below, between a fake
 * etcd and an application that is a probe. */
#ifndef TESTS_UNIT_ACTORS_ROOT_WORLD_H
#define TESTS_UNIT_ACTORS_ROOT_WORLD_H

#include "actors/allocator.h"
#include "actors/application.h"
#include "actors/departure.h"
#include "actors/liveness.h"
#include "runtime/port.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/steps.h"

enum { SEEDS = 20, RIVAL_LEASE = 4711, TTL_S = 5 };
#define KEY "root/session/coord-1"
#define RIVAL RECORD_OF(9, "b", "there")

static const uint16_t APPLICATION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(APPLICATION_LIST);
static const char *const APPLICATION_NAMES[] = ROLLCALL_MESSAGE_NAMES(APPLICATION_LIST);

struct bench {
    struct steps steps; /* must be first */
    struct world world;
    struct probe *application, *parent; /* the application's, so that it can be blocked */
    struct rollcall_ref application_ref, session;
    struct fake_etcd *etcd;
    uint64_t orders; /* given so far: LEAVE, REVOKE, RESTART */
};

static inline struct rollcall_ref spawn_application(struct bench *b)
{
    b->application =
        probe_create("application", APPLICATION_SIZES, APPLICATION_NAMES, APPLICATION_COUNT);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    const struct probe_options application = {b->application};
    return world_spawn(
        &b->world, 1,
        ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->application), .options = &application,
                               .supervisor = probe_spawn(b->parent, b->world.rt, 1)));
}

/* As in a process: the session and its calls on one worker, data and callbacks on another. */
static inline void open(struct bench *b, const struct session_choice *choice)
{
    struct session_choice chosen = *choice;
    memset(b, 0, sizeof *b);
    chosen.ttl_s = TTL_S;
    world_open(&b->world);
    b->application_ref = spawn_application(b);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = &b->steps;
    const struct allocator_options allocator = {fake_etcd_spawn(b->etcd, b->world.rt, 0)};
    const struct session_options options = {
        .config = session_config_create(&chosen),
        .application = b->application_ref,
        .transport = allocator.transport,
        .allocator = world_spawn(
            &b->world, 0, ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &allocator))};
    b->session = world_spawn(&b->world, 0,
                             ROLLCALL_SPAWN_OPTIONS(.type = &session_type, .options = &options));
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->parent);
    probe_destroy(b->application);
    fake_etcd_destroy(b->etcd);
}

/* ---- what the application was told ---- */

static inline size_t event_count(const struct bench *b)
{
    return probe_count(b->application, APPLICATION_EVENT);
}

static inline const struct session_event *event(const struct bench *b, size_t nth)
{
    const struct probe_message *message = probe_find(b->application, APPLICATION_EVENT, nth);
    CHECK(message != NULL);
    return (const struct session_event *)message->object;
}

static inline const struct session_event *last_event(const struct bench *b)
{
    CHECK(event_count(b) > 0);
    return event(b, event_count(b) - 1);
}

/* Its nth change of state, each counted once however often it was told. */
static inline const struct session_event *change(const struct bench *b, uint64_t nth)
{
    for (size_t i = 0; i < event_count(b); i++) {
        if (event(b, i)->change == nth + 1) {
            return event(b, i);
        }
    }
    CHECK_FAIL("there was no such change");
    return NULL;
}

/* Exactly these states were told, in this order: "ACTIVE SUSPECT". */
static inline void check_told(const struct bench *b, const char *expected)
{
    char text[1024] = "";
    size_t used = 0;
    uint64_t changes = 0, sequence = 0;
    for (size_t i = 0; i < event_count(b); i++) {
        CHECK(event(b, i)->sequence > sequence); /* nothing twice, nothing out of order */
        sequence = event(b, i)->sequence;
        if (event(b, i)->change == changes) {
            continue;
        }
        CHECK_INT(event(b, i)->change, changes + 1);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", changes++ == 0 ? "" : " ",
                                 rollcall_session_state_name(event(b, i)->state));
        CHECK(used < sizeof text);
    }
    CHECK_STR(text, expected);
}

/* ---- what it asks for, as the API does ---- */

/* LEAVE, REVOKE or RESTART; overtakes what waits in the root's mailbox. */
static inline void signal_numbered(struct bench *b, uint16_t message, uint64_t number)
{
    const struct session_order order = {.number = number};
    rollcall__runtime_signal(b->world.rt, b->session, message, &order, sizeof order);
}

static inline void signal_root(struct bench *b, uint16_t message)
{
    signal_numbered(b, message, ++b->orders);
}

static inline void say(struct bench *b, uint16_t message)
{
    signal_root(b, message);
    world_settle(&b->world);
}

static inline void send_mark(struct bench *b, uint64_t request)
{
    const struct session_mark payload = {.request = request};
    world_send(&b->world, b->session, SESSION_MARK, &payload, sizeof payload, NULL);
}

static inline void mark(struct bench *b, uint64_t request)
{
    send_mark(b, request);
    world_settle(&b->world);
}

/* How a mark was answered; ROLLCALL_STATUS_COUNT: not yet. */
static inline enum rollcall_status answer_to(const struct bench *b, uint64_t request)
{
    uint64_t answered = 0;
    for (size_t i = 0; i < event_count(b); i++) {
        CHECK(event(b, i)->answered >= answered);
        answered = event(b, i)->answered;
        if (answered >= request) {
            return event(b, i)->answer.status;
        }
    }
    return ROLLCALL_STATUS_COUNT;
}

/* ---- what happens to it ---- */

enum way { BY_LEASE, BY_DELETION, BY_OVERWRITING, BY_SHARING, BY_MOVING, BY_FAULT, WAY_COUNT };

static inline int64_t our_lease(const struct bench *b)
{
    return last_event(b)->membership->lease_id;
}

static inline void pump(struct bench *b)
{
    fake_etcd_pump(b->etcd, b->world.rt);
}

/* Our record, as somebody might copy it. */
static inline void copy_key(struct bench *b, int64_t lease_id)
{
    const struct rollcall_bytes value = fake_etcd_find(b->etcd, KEY)->value;
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)value.size_bytes, value.data);
    fake_etcd_put(b->etcd, KEY, text, lease_id);
}

/* Any child whose address is known, at rest: the crash takes one message, which is a timer's. */
static inline void crash_child(struct bench *b, struct rollcall_ref child, uint16_t timer,
                               enum rollcall_status status)
{
    CHECK(!rollcall_ref_is_nobody(child));
    rollcall_sim_crash(b->world.sim, child, status);
    rollcall__runtime_signal(b->world.rt, child, timer, NULL, 0);
    world_settle(&b->world);
}

/* Liveness fails, of itself, more often than its supervisor takes. */
static inline void wear_out_supervisor(struct bench *b)
{
    const struct rollcall_ref liveness = b->steps.plan[LOOK].asker;
    for (int i = 0; i < 6; i++) {
        crash_child(b, liveness, LIVENESS_RETELL, ROLLCALL_E_ACTOR);
        world_run(&b->world, 1000);
    }
}

static inline void lose(struct bench *b, enum way way)
{
    switch (way) {
    case BY_LEASE: /* which keepalive finds, for the watch says nothing */
        fake_etcd_end_lease(b->etcd, our_lease(b));
        return;
    case BY_DELETION:
        fake_etcd_delete(b->etcd, KEY);
        break;
    case BY_OVERWRITING:
        fake_etcd_put(b->etcd, KEY, RIVAL, RIVAL_LEASE);
        break;
    case BY_SHARING: /* another's record, under our lease */
        fake_etcd_put(b->etcd, KEY, RIVAL, our_lease(b));
        break;
    case BY_MOVING:
        copy_key(b, RIVAL_LEASE);
        break;
    case BY_FAULT:
    case WAY_COUNT:
        wear_out_supervisor(b);
        return;
    }
    pump(b);
}

#endif /* TESTS_UNIT_ACTORS_ROOT_WORLD_H */

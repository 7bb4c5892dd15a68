/* tests/unit/actors/registration_world.h - a registration, against an etcd that fails at the step
 * it is told to. */
#ifndef TESTS_UNIT_ACTORS_REGISTRATION_WORLD_H
#define TESTS_UNIT_ACTORS_REGISTRATION_WORLD_H

#include "actors/registration.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/steps.h"

enum { SEEDS = 20, RIVAL_LEASE = 4711 };
#define EXCLUSIVE_KEY "root/session/coord"
#define RIVAL "{\"ServerID\":9,\"ServerName\":\"coord\",\"Address\":\"b\",\"Version\":\"2.4.2\"}"

static const uint16_t SESSION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);
static const char *const SESSION_NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);

/* What registers again remembers of what it had. */
struct before {
    int64_t server_id, lease_id;
    bool patient;
};

struct bench {
    struct steps steps; /* must be first */
    struct world world;
    struct fake_etcd *etcd;
    struct probe *session;
    struct rollcall_ref registration, allocator;
};

/* All but the registration. */
static inline void open_world(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = &b->steps;
    b->session = probe_create("session", SESSION_SIZES, SESSION_NAMES, SESSION_COUNT);
    probe_spawn(b->session, b->world.rt, 0);
    const struct allocator_options allocator = {fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    b->allocator =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &allocator,
                                           .supervisor = world_supervisor(&b->world)));
}

static inline void begin(struct bench *b, const struct session_choice *choice,
                         const struct before *before)
{
    const struct registration_options options = {.config = session_config_create(choice),
                                                 .session = probe_ref(b->session),
                                                 .transport = b->etcd->ref,
                                                 .allocator = b->allocator,
                                                 .server_id = before->server_id,
                                                 .lease_id = before->lease_id,
                                                 .patient = before->patient};
    b->registration =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = &registration_type, .options = &options,
                                           .supervisor = world_supervisor(&b->world)));
}

static inline void open_again(struct bench *b, const struct session_choice *choice,
                              const struct before *before)
{
    open_world(b);
    begin(b, choice, before);
}

static inline void open(struct bench *b, const struct session_choice *choice)
{
    open_again(b, choice, &(struct before){0});
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->session);
    fake_etcd_destroy(b->etcd);
}

static inline size_t told(const struct bench *b, uint16_t message)
{
    return probe_count(b->session, message);
}

static inline const struct session_membership *membership(const struct bench *b)
{
    CHECK_INT(told(b, SESSION_REGISTERED), 1);
    return (const struct session_membership *)probe_find(b->session, SESSION_REGISTERED, 0)->object;
}

static inline const struct rollcall_error *refusal(const struct bench *b)
{
    CHECK_INT(told(b, SESSION_REFUSED), 1);
    CHECK_INT(told(b, SESSION_REGISTERED), 0);
    CHECK_STATE(&b->world, b->registration, "DONE");
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0); /* no refusal leaves a lease behind */
    return &((const struct rollcall_reason *)probe_find(b->session, SESSION_REFUSED, 0)->object)
                ->error;
}

/* What the id key holds. */
static inline int64_t next_id(const struct fake_etcd *etcd)
{
    char text[32];
    const struct rollcall_bytes value = fake_etcd_find(etcd, ID_KEY)->value;
    snprintf(text, sizeof text, "%.*s", (int)value.size_bytes, value.data);
    return strtoll(text, NULL, 10);
}

static inline void leave(struct bench *b)
{
    world_send(&b->world, b->registration, REGISTRATION_LEAVE, NULL, 0, NULL);
}

static inline void check_gone(const struct bench *b)
{
    CHECK_STATE(&b->world, b->registration, "DONE");
    CHECK_INT(told(b, SESSION_LEFT), 1);
    CHECK_INT(told(b, SESSION_REFUSED), 0);
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0);
}

#endif /* TESTS_UNIT_ACTORS_REGISTRATION_WORLD_H */

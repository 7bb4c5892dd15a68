/* tests/unit/actors/session_world.h - a session's configuration, and the parts around its actors.
 */
#ifndef TESTS_UNIT_ACTORS_SESSION_WORLD_H
#define TESTS_UNIT_ACTORS_SESSION_WORLD_H

#include "actors/session.h"
#include "base/buffer.h"
#include "session/record.h"

#include "unit/actors/world.h"

#define SESSION_ROOT "root"
#define ID_KEY "root/session/id"

struct session_choice {
    bool exclusive;    /* the key is root/session/coord, else root/session/coord-<id> */
    int64_t server_id; /* 0: allocated */
    uint32_t retries;  /* 0: 30 */
    int64_t ttl_s;     /* 0: 10 */
    bool keep_predecessor, reuse_server_id, share_lease;
    enum rollcall_on_lost on_lost;
};
#define OUR_ADDRESS "10.0.0.1:19530"
#define OUR_HOST "here"
/* A record as a process of this role might have put it. */
#define RECORD_OF(id, address, host)                                                               \
    "{\"ServerID\":" #id ",\"ServerName\":\"coord\",\"Address\":\"" address                        \
    "\",\"Version\":\"2.4.2\",\"HostName\":\"" host "\"}"

/* What the session that was configured last has noted for a sentinel. */
static struct rollcall__gauge session_held_lease __attribute__((unused));

static inline void session_config_destroy(struct rollcall_object *object)
{
    free(object); /* the object is the first member, and its strings are static */
}

/* With one reference, which the options of an actor take over. */
static inline struct session_config *session_config_create(const struct session_choice *choice)
{
    struct session_config *config = calloc(1, sizeof *config);
    CHECK(config != NULL);
    rollcall_object_init(&config->object, session_config_destroy);
    config->root = SESSION_ROOT;
    config->role = "coord";
    config->endpoints = "127.0.0.1:2379";
    config->record.server_name = rollcall__bytes("coord");
    config->record.address = rollcall__bytes(OUR_ADDRESS);
    config->record.host_name = rollcall__bytes(OUR_HOST);
    config->record.version = rollcall__bytes("2.4.2");
    config->record.exclusive = choice->exclusive;
    config->exclusive = choice->exclusive;
    config->server_id = choice->server_id;
    config->retries = choice->retries == 0 ? 30 : choice->retries;
    config->ttl_s = choice->ttl_s == 0 ? 10 : choice->ttl_s;
    config->connect_timeout_ms = 5000;
    config->keep_predecessor = choice->keep_predecessor;
    config->reuse_server_id = choice->reuse_server_id;
    config->share_lease = choice->share_lease;
    config->on_lost = choice->on_lost;
    session_held_lease = (struct rollcall__gauge){0};
    config->held_lease = &session_held_lease;
    return config;
}

struct stored_record {
    int64_t server_id, lease_id;
    bool stopping;
};

static inline struct stored_record stored_record_read(struct rollcall_bytes value)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    struct rollcall_error error;
    CHECK_INT(rollcall__record_decode(value, &arena, &record, &error), ROLLCALL_OK);
    const struct stored_record stored = {record.server_id, record.lease_id, record.stopping};
    rollcall__arena_free(&arena);
    return stored;
}

#endif /* TESTS_UNIT_ACTORS_SESSION_WORLD_H */

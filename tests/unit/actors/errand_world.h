/* tests/unit/actors/errand_world.h - an errand, the application actor above it, and an etcd that
 * does to it what a test says. */
#ifndef TESTS_UNIT_ACTORS_ERRAND_WORLD_H
#define TESTS_UNIT_ACTORS_ERRAND_WORLD_H

#include "actors/errand.h"

#include "actors/application.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/session_world.h"

enum { SEEDS = 20, TIMEOUT_MS = 5000, LEASE = 77, OTHER_LEASE = 78 };

#define KEY SESSION_ROOT "/session/querynode-7"
/* As a newer upstream may write it: there is a member that nobody here knows. */
#define BEFORE "{\"ServerID\":7,\"ServerName\":\"querynode\",\"Address\":\"a:1\""
#define RECORD BEFORE ",\"Version\":\"2.4.2\",\"Novelty\":{\"a\":[1,\"}\"]}}"

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct rollcall_ref application, transport, errand;
    struct rollcall_object handle;
    int told, failed;
    int64_t told_ms;
    struct rollcall_error error;
    int64_t server_id;
    struct rollcall_health health;
    /* What etcd does to the writes numbered from 0 to `last_write`, and to reads. */
    enum fake_etcd_fate read_fate, write_fate;
    size_t writes, last_write;
    void (*before_write)(struct fake_etcd *etcd);
};

static inline struct bench *bench_of(struct rollcall_object *handle)
{
    return (struct bench *)(void *)((char *)handle - offsetof(struct bench, handle));
}

static inline void note(struct bench *b, const struct rollcall_error *error)
{
    b->told++;
    b->told_ms = rollcall_sim_now_ms(b->world.sim);
    b->error = *error;
}

static inline void on_tell(struct rollcall_object *handle, struct rollcall_object *event)
{
    const struct errand_result *result = (const struct errand_result *)event;
    note(bench_of(handle), &result->error);
    bench_of(handle)->server_id = result->server_id;
    bench_of(handle)->health = result->health;
}

static inline void on_tell_failed(struct rollcall_object *handle,
                                  const struct rollcall_error *error)
{
    note(bench_of(handle), error);
    bench_of(handle)->failed++;
}

static inline void ignore_object(struct rollcall_object *handle)
{
    (void)handle;
}

static inline enum fake_etcd_fate decide(struct fake_etcd *etcd,
                                         const struct transport_request *request)
{
    struct bench *b = etcd->user;
    if (request->kind == TRANSPORT_RANGE) {
        return b->read_fate;
    }
    if (b->writes++ > b->last_write) {
        return FAKE_ETCD_ANSWER;
    }
    if (b->before_write != NULL) {
        b->before_write(etcd);
    }
    return b->write_fate;
}

static inline void open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = b;
    b->transport = fake_etcd_spawn(b->etcd, b->world.rt, 0);
    rollcall_object_init(&b->handle, ignore_object);
    const struct application_options options = {.handle = &b->handle,
                                                .tell = on_tell,
                                                .tell_failed = on_tell_failed,
                                                .gone = ignore_object};
    b->application = world_spawn(
        &b->world, 1, ROLLCALL_SPAWN_OPTIONS(.type = &application_type, .options = &options));
}

static inline void close_bench(struct bench *b)
{
    world_close(&b->world);
    fake_etcd_destroy(b->etcd);
}

static inline void destroy_config(struct rollcall_object *object)
{
    struct errand_config *config = (struct errand_config *)object;
    rollcall_object_drop(config->session == NULL ? NULL : &config->session->object);
    free(config);
}

struct choice {
    enum errand_kind kind;
    int64_t lease_id, create_revision;
    bool reuse;
    struct rollcall_ref allocator, transport;
};

static inline void start(struct bench *b, const struct choice *choice)
{
    struct errand_config *config = calloc(1, sizeof *config);
    CHECK(config != NULL);
    rollcall_object_init(&config->object, destroy_config);
    config->kind = choice->kind;
    config->timeout_ms = TIMEOUT_MS;
    config->endpoints = "127.0.0.1:2379";
    config->key = choice->kind == ERRAND_REVOKE_LEASE ? NULL : KEY;
    config->lease_id = choice->lease_id;
    config->create_revision = choice->create_revision;
    config->reuse = choice->reuse;
    if (choice->kind == ERRAND_SERVER_ID) {
        config->session = session_config_create(&(struct session_choice){0});
    }
    const struct errand_options options = {
        .config = config,
        .application = b->application,
        .transport = rollcall_ref_is_nobody(choice->transport) ? b->transport : choice->transport,
        .allocator = choice->allocator};
    b->errand = world_spawn(&b->world, 1,
                            ROLLCALL_SPAWN_OPTIONS(.type = &errand_type, .options = &options,
                                                   .supervisor = b->application,
                                                   .restart = ROLLCALL_TEMPORARY));
}

/* Runs it to its end. */
static inline void run(struct bench *b, const struct choice *choice)
{
    const int told = b->told;
    start(b, choice);
    world_run(&b->world, TIMEOUT_MS + 1000);
    CHECK_INT(b->told, told + 1);
    CHECK_INT(b->failed, 0);
    CHECK_STATE(&b->world, b->errand, "ENDED");
}

static const struct choice MARK = {.kind = ERRAND_MARK_STOPPING};
static const struct choice REVOKE = {.kind = ERRAND_REVOKE};

/* A session under a lease that is alive. */
static inline int64_t put_session(struct bench *b)
{
    b->etcd->leases[0].lease_id = LEASE;
    b->etcd->leases[0].ttl_s = 10;
    b->etcd->leases[0].alive = true;
    b->etcd->lease_count = 1;
    return fake_etcd_put(b->etcd, KEY, RECORD, LEASE);
}

static inline void check_done(const struct bench *b)
{
    CHECK_STR(b->error.text, "");
    CHECK_INT(b->error.status, ROLLCALL_OK);
    CHECK(!b->error.maybe_applied);
}

static inline void check_refused(const struct bench *b, enum rollcall_status status,
                                 const char *part)
{
    CHECK_INT(b->error.status, status);
    if (strstr(b->error.text, part) == NULL) {
        CHECK_STR(b->error.text, part);
    }
}

static inline const struct transport_kv *there(const struct bench *b)
{
    const struct transport_kv *kv = fake_etcd_find(b->etcd, KEY);
    CHECK(kv != NULL);
    return kv;
}

/* Marked, the stranger's member with it, under the same lease, in one change since `put`. */
static inline void check_marked(const struct bench *b, int64_t put, int64_t lease_id)
{
    struct rollcall__buffer value = {0};
    const struct transport_kv *kv = there(b);
    rollcall__buffer_append(&value, kv->value.data, kv->value.size_bytes);
    CHECK(stored_record_read(kv->value).stopping);
    CHECK(strstr(value.data, "\"Novelty\":{\"a\":[1,\"}\"]}") != NULL);
    rollcall__buffer_free(&value);
    CHECK_INT(kv->lease_id, lease_id);
    CHECK_INT(kv->create_revision, put);
    CHECK_INT(kv->mod_revision, put + 1);
}

static inline void check_untouched(const struct bench *b, const char *value, int64_t put)
{
    CHECK_BYTES(there(b)->value, value);
    CHECK_INT(there(b)->mod_revision, put);
    CHECK_INT(b->etcd->revokes, 0);
}

static inline struct rollcall_ref spawn_allocator(struct bench *b)
{
    const struct allocator_options options = {.transport = b->transport};
    return world_spawn(&b->world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &options,
                                              .supervisor = world_supervisor(&b->world)));
}

#endif /* TESTS_UNIT_ACTORS_ERRAND_WORLD_H */

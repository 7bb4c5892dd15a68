/*
 * tests/unit/actors/watcher_world.h - a watcher between a fake etcd and an application that keeps
 * what it was told, and checks at every event that it could be true.
 */
#ifndef TESTS_UNIT_ACTORS_WATCHER_WORLD_H
#define TESTS_UNIT_ACTORS_WATCHER_WORLD_H

#include "actors/application.h"
#include "actors/watcher.h"
#include "base/buffer.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/world.h"

enum { TOLD_MAX = 4096, KNOWN_MAX = 1024, TEXT_BYTES = 160 };
#define PREFIX "root/session/"

struct told {
    enum rollcall_watch_event_type type;
    char key[64], value[TEXT_BYTES];
    int64_t mod_revision, revision;
    uint64_t count, skipped;
    enum rollcall_status status;
};

struct known {
    char key[64], value[TEXT_BYTES];
};

struct listener {
    struct rollcall_object object;
    struct told told[TOLD_MAX];
    size_t count;
    struct known known[KNOWN_MAX]; /* what the application would believe now */
    size_t known_count;
    bool unknown_deletes; /* they may come: the watch began later */
    size_t failures;      /* told by the application actor */
};

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct listener *listener;
    struct probe *slow; /* instead of the listener: tells no credit by itself */
    struct rollcall_ref application, watcher;
};

struct watch_choice {
    const char *role, *range; /* NULL: "node", no range */
    bool raw_prefix, list_only, slow;
    int64_t from_revision;
    uint32_t mailbox_messages; /* of a slow application; 0: 1024 */
};

/* ---- the application ---- */

static inline void copy_text(char *to, size_t size_bytes, struct rollcall_bytes from)
{
    CHECK(from.size_bytes < size_bytes);
    snprintf(to, size_bytes, "%.*s", (int)from.size_bytes, from.data);
}

static inline struct known *known_find(struct listener *listener, const char *key)
{
    for (size_t i = 0; i < listener->known_count; i++) {
        if (strcmp(listener->known[i].key, key) == 0) {
            return &listener->known[i];
        }
    }
    return NULL;
}

static inline void known_put(struct listener *listener, const struct told *told)
{
    struct known *known = known_find(listener, told->key);
    if (known == NULL) {
        CHECK(listener->known_count < KNOWN_MAX);
        known = &listener->known[listener->known_count++];
    }
    snprintf(known->key, sizeof known->key, "%s", told->key);
    snprintf(known->value, sizeof known->value, "%s", told->value);
}

/* Nothing is added twice, changed or deleted before it was added; a delete tells the last value. */
static inline void believe(struct listener *listener, const struct told *told)
{
    struct known *known = known_find(listener, told->key);
    if (told->type == ROLLCALL_WATCH_SESSION || told->type == ROLLCALL_WATCH_ADD) {
        CHECK(told->type == ROLLCALL_WATCH_SESSION || known == NULL);
        known_put(listener, told);
    } else if (told->type == ROLLCALL_WATCH_UPDATE) {
        CHECK(known != NULL);
        known_put(listener, told);
    } else if (told->type == ROLLCALL_WATCH_DELETE && known == NULL) {
        CHECK(listener->unknown_deletes);
    } else if (told->type == ROLLCALL_WATCH_DELETE) {
        CHECK_STR(known->value, told->value);
        *known = listener->known[--listener->known_count];
    }
}

static inline void listen_to(struct listener *listener, const struct watcher_event *event)
{
    CHECK(listener->count < TOLD_MAX);
    struct told *told = &listener->told[listener->count++];
    *told = (struct told){.type = event->type,
                          .mod_revision = event->mod_revision,
                          .revision = event->revision,
                          .count = event->count,
                          .skipped = event->skipped,
                          .status = event->status};
    if (event->item != NULL) {
        copy_text(told->key, sizeof told->key, event->item->key);
        copy_text(told->value, sizeof told->value, event->item->value);
    }
    believe(listener, told);
}

static inline void listener_tell(struct rollcall_object *handle, struct rollcall_object *event)
{
    listen_to((struct listener *)handle, (const struct watcher_event *)event);
}

static inline void listener_failed(struct rollcall_object *handle,
                                   const struct rollcall_error *error)
{
    (void)error;
    ((struct listener *)handle)->failures++;
}

static inline void listener_gone(struct rollcall_object *handle)
{
    (void)handle;
}

static inline void listener_destroy(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* ---- begin and end ---- */

static inline void watcher_config_destroy(struct rollcall_object *object)
{
    struct watcher_config *config = (struct watcher_config *)object;
    rollcall__semver_range_free(&config->version_range);
    rollcall__arena_free(&config->arena);
    free(config);
}

static inline struct watcher_config *watcher_config_create(const struct watch_choice *choice)
{
    struct watcher_config *config = calloc(1, sizeof *config);
    struct rollcall__buffer start = {0};
    CHECK(config != NULL);
    rollcall_object_init(&config->object, watcher_config_destroy);
    config->role = choice->role == NULL ? "node" : choice->role;
    config->endpoints = "127.0.0.1:2379";
    config->session_prefix = rollcall__bytes(PREFIX);
    rollcall__buffer_text(&start, PREFIX);
    rollcall__buffer_text(&start, config->role);
    CHECK(
        rollcall__arena_copy(&config->arena, rollcall__buffer_bytes(&start), &config->range_start));
    start.data[start.size_bytes - 1]++;
    CHECK(rollcall__arena_copy(&config->arena, rollcall__buffer_bytes(&start), &config->range_end));
    rollcall__buffer_free(&start);
    config->raw_prefix = choice->raw_prefix;
    config->list_only = choice->list_only;
    config->from_revision = choice->from_revision;
    config->connect_timeout_ms = 5000;
    config->has_version_range = choice->range != NULL;
    if (choice->range != NULL) {
        CHECK_INT(rollcall__semver_range_parse(rollcall__bytes(choice->range),
                                               ROLLCALL__SEMVER_OURS, &config->version_range, NULL),
                  ROLLCALL_OK);
    }
    return config;
}

static inline struct rollcall_ref spawn_application(struct bench *b,
                                                    const struct watch_choice *choice)
{
    static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(APPLICATION_LIST);
    static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(APPLICATION_LIST);
    const uint32_t mailbox = choice->mailbox_messages == 0 ? 1024 : choice->mailbox_messages;
    if (choice->slow) {
        b->slow = probe_create("application", SIZES, NAMES, APPLICATION_COUNT);
        const struct probe_options options = {b->slow};
        probe_spawn(b->slow, b->world.rt, 0); /* the one that sends credits */
        return world_spawn(&b->world, 0,
                           ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->slow), .options = &options,
                                                  .supervisor = world_supervisor(&b->world),
                                                  .mailbox_messages = mailbox));
    }
    const struct application_options options = {.handle =
                                                    rollcall_object_keep(&b->listener->object),
                                                .tell = listener_tell,
                                                .tell_failed = listener_failed,
                                                .gone = listener_gone};
    return world_spawn(&b->world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = &application_type, .options = &options,
                                              .mailbox_messages = mailbox));
}

static inline void bench_open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->listener = calloc(1, sizeof *b->listener);
    CHECK(b->listener != NULL);
    rollcall_object_init(&b->listener->object, listener_destroy);
}

static inline void watch(struct bench *b, const struct watch_choice *choice)
{
    const struct watcher_options options = {.config = watcher_config_create(choice),
                                            .application = b->application =
                                                spawn_application(b, choice),
                                            .transport = fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    b->listener->unknown_deletes = choice->from_revision != 0;
    b->watcher = world_spawn(&b->world, 0,
                             ROLLCALL_SPAWN_OPTIONS(.type = &watcher_type, .options = &options,
                                                    .supervisor = world_supervisor(&b->world),
                                                    .mailbox_messages = WATCHER_MAILBOX));
}

static inline void bench_close(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->slow);
    rollcall_object_drop(&b->listener->object);
    fake_etcd_destroy(b->etcd);
}

/* ---- what happens ---- */

static inline void put(struct bench *b, const char *name, int address, const char *version)
{
    char key[64], value[TEXT_BYTES];
    snprintf(key, sizeof key, PREFIX "%s", name);
    snprintf(value, sizeof value,
             "{\"ServerID\":1,\"ServerName\":\"node\",\"Address\":\"a%d\",\"Version\":\"%s\"}",
             address, version);
    fake_etcd_put(b->etcd, key, value, 0);
}

static inline void put_text(struct bench *b, const char *name, const char *text)
{
    char key[64];
    snprintf(key, sizeof key, PREFIX "%s", name);
    fake_etcd_put(b->etcd, key, text, 0);
}

static inline void delete_key(struct bench *b, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, PREFIX "%s", name);
    fake_etcd_delete(b->etcd, key);
}

/* Lets the watch tell, and everything that follows from it happen; restarts included. */
static inline void flow(struct bench *b)
{
    fake_etcd_pump(b->etcd, b->world.rt);
    world_run(&b->world, 1500);
}

static inline size_t count_told(const struct bench *b, enum rollcall_watch_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < b->listener->count; i++) {
        count += b->listener->told[i].type == type;
    }
    return count;
}

/* The nth event told was about PREFIX name. */
static inline void check_told(const struct bench *b, size_t nth,
                              enum rollcall_watch_event_type type, const char *name)
{
    CHECK(nth < b->listener->count);
    const struct told *told = &b->listener->told[nth];
    CHECK_INT(told->type, type);
    CHECK_STR(told->key[0] == '\0' ? "" : told->key + strlen(PREFIX), name);
}

/* What was told is what the store holds, of sessions that are wanted; `wanted` of them. */
static inline void check_same(const struct bench *b, size_t wanted)
{
    CHECK_INT(b->listener->known_count, wanted);
    for (size_t i = 0; i < b->listener->known_count; i++) {
        const struct known *known = &b->listener->known[i];
        const struct transport_kv *kv = fake_etcd_find(b->etcd, known->key);
        CHECK(kv != NULL);
        CHECK_BYTES(kv->value, known->value);
    }
}

#endif /* TESTS_UNIT_ACTORS_WATCHER_WORLD_H */

/*
 * tests/unit/actors/watcher_world.h - a reflector, a hub and a watcher between a fake etcd and an
 * application that keeps what it was told, and checks at every event that it could be true.
 */
#ifndef TESTS_UNIT_ACTORS_WATCHER_WORLD_H
#define TESTS_UNIT_ACTORS_WATCHER_WORLD_H

#include "actors/auditor.h"
#include "actors/supervisor.h"
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
    char reason[128]; /* as much of it */
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
    size_t room;          /* events that it takes; SIZE_MAX: any; all there is needs one */
    size_t all_told;      /* how often it took in all there is */
    size_t refusals;      /* so many times more it does not, and answers: */
    enum rollcall_status refusal;
    bool gone; /* the watcher has ended */
};

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct listener *listener;
    struct rollcall_ref root, hub, reflector, auditor, watcher;
};

struct watch_choice {
    const char *role, *range;         /* NULL: "node", no range */
    bool raw_prefix, list_only, slow; /* slow: no room at first */
    bool all;                         /* told all there is, instead of differences */
    int64_t from_revision;
    int64_t audit_ms; /* 0: no audits */
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

static inline void listen_to(struct listener *listener, const struct rollcall_watch_event *event)
{
    CHECK(listener->count < TOLD_MAX);
    struct told *told = &listener->told[listener->count++];
    *told = (struct told){.type = event->type,
                          .mod_revision = event->mod_revision,
                          .revision = event->revision,
                          .count = event->count,
                          .skipped = event->skipped,
                          .status = event->status};
    snprintf(told->reason, sizeof told->reason, "%.*s", (int)sizeof told->reason - 1,
             event->reason);
    if (event->record != NULL) {
        copy_text(told->key, sizeof told->key, event->key);
        copy_text(told->value, sizeof told->value, event->value);
    }
    believe(listener, told);
}

static inline bool listener_tell(struct rollcall_object *handle, struct hub_batch *batch,
                                 size_t first, size_t count)
{
    struct listener *listener = (struct listener *)handle;
    CHECK(count > 0 && first + count <= batch->count);
    if (listener->room < count) {
        return false;
    }
    listener->room -= listener->room == SIZE_MAX ? 0 : count;
    for (size_t i = 0; i < count; i++) {
        listen_to(listener, &batch->events[first + i]);
    }
    return true;
}

static inline enum rollcall_status listener_tell_all(struct rollcall_object *handle,
                                                     const struct rollcall_watch_event *why,
                                                     struct hub_batch *sessions,
                                                     struct rollcall_error *error)
{
    struct listener *listener = (struct listener *)handle;
    CHECK_INT(why->type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK(why->reason[0] != '\0');
    if (listener->room == 0 || listener->refusals > 0) {
        const bool refuses = listener->refusals > 0;
        listener->refusals -= refuses ? 1 : 0;
        return rollcall_error_set(error, refuses ? listener->refusal : ROLLCALL_E_FULL, "not now");
    }
    listener->known_count = 0;
    listener->all_told++;
    for (size_t i = 0; i < sessions->count; i++) {
        listen_to(listener, &sessions->events[i]);
    }
    return ROLLCALL_OK;
}

static inline bool listener_is_closed(struct rollcall_object *handle)
{
    (void)handle;
    return false;
}

static inline void listener_gone(struct rollcall_object *handle)
{
    ((struct listener *)handle)->gone = true;
}

static inline void listener_destroy(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* ---- begin and end ---- */

static inline void reflector_config_destroy(struct rollcall_object *object)
{
    struct reflector_config *config = (struct reflector_config *)object;
    rollcall__arena_free(&config->arena);
    free(config);
}

static inline struct reflector_config *reflector_config_create(const struct watch_choice *choice)
{
    struct reflector_config *config = calloc(1, sizeof *config);
    struct rollcall__buffer start = {0};
    CHECK(config != NULL);
    rollcall_object_init(&config->object, reflector_config_destroy);
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
    config->audit_ms = choice->audit_ms;
    return config;
}

static inline void filter_destroy(struct rollcall_object *object)
{
    struct watcher_filter *filter = (struct watcher_filter *)object;
    rollcall__semver_range_free(&filter->version_range);
    free(filter);
}

static inline struct watcher_filter *filter_create(const char *range)
{
    struct watcher_filter *filter = calloc(1, sizeof *filter);
    CHECK(filter != NULL);
    rollcall_object_init(&filter->object, filter_destroy);
    CHECK_INT(rollcall__semver_range_parse(rollcall__bytes(range), ROLLCALL__SEMVER_OURS,
                                           &filter->version_range, NULL),
              ROLLCALL_OK);
    return filter;
}

/* One more watcher of the hub, which tells `listener`. */
static inline struct rollcall_ref spawn_watcher(struct bench *b, struct listener *listener,
                                                const struct watch_choice *choice)
{
    const struct watcher_options options = {
        .hub = b->hub,
        .filter = choice->range == NULL ? NULL : filter_create(choice->range),
        .once = choice->list_only,
        .from_now = choice->from_revision != 0,
        .handle = rollcall_object_keep(&listener->object),
        .tell = listener_tell,
        .tell_all = choice->all ? listener_tell_all : NULL,
        .is_closed = listener_is_closed,
        .gone = listener_gone};
    listener->unknown_deletes = choice->from_revision != 0;
    listener->room = choice->slow ? 0 : SIZE_MAX;
    return world_spawn(&b->world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = &watcher_type, .options = &options,
                                              .supervisor = b->root,
                                              .mailbox_messages = WATCHER_MAILBOX));
}

static inline void spawn_auditor(struct bench *b, const struct watch_choice *choice)
{
    const struct auditor_options auditor = {.config = reflector_config_create(choice),
                                            .hub = b->hub,
                                            .reflector = b->reflector,
                                            .transport = b->etcd->ref};
    b->auditor = world_spawn(&b->world, 0,
                             ROLLCALL_SPAWN_OPTIONS(.type = &auditor_type, .options = &auditor,
                                                    .supervisor = b->root,
                                                    .mailbox_messages = AUDITOR_MAILBOX));
}

static inline void spawn_hub(struct bench *b, const struct watch_choice *choice)
{
    const struct hub_options hub = {.from_revision = choice->from_revision, .first = b->watcher};
    b->hub =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = &hub_type, .options = &hub,
                                           .supervisor = b->root, .mailbox_messages = HUB_MAILBOX));
    const struct reflector_options reflector = {.config = reflector_config_create(choice),
                                                .hub = b->hub,
                                                .transport =
                                                    fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    b->reflector = world_spawn(&b->world, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &reflector_type,
                                                      .options = &reflector, .supervisor = b->root,
                                                      .mailbox_messages = REFLECTOR_MAILBOX));
    if (choice->audit_ms != 0) {
        spawn_auditor(b, choice);
    }
}

static inline struct listener *listener_create(void)
{
    struct listener *listener = calloc(1, sizeof *listener);
    CHECK(listener != NULL);
    rollcall_object_init(&listener->object, listener_destroy);
    return listener;
}

static inline void bench_open(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->listener = listener_create();
}

/* As for rollcall_watch_open: what begins in the past, or is over after a list, is added to its own
 * hub; others join. */
static inline void watch(struct bench *b, const struct watch_choice *choice)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE,
                                                  .intensity = 64};
    b->root = world_spawn(&b->world, 0,
                          ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor,
                                                 .supervisor = world_supervisor(&b->world)));
    if (choice->from_revision != 0 || choice->list_only) {
        b->watcher = spawn_watcher(b, b->listener, choice);
        spawn_hub(b, choice);
    } else {
        spawn_hub(b, choice);
        b->watcher = spawn_watcher(b, b->listener, choice);
    }
}

static inline void bench_close(struct bench *b)
{
    world_close(&b->world);
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

/*
 * Watches with on_rewatch: an application that keeps a map, replaces all of it when it is given all
 * there is, and changes it by what it is told else, as upstream's users do.  Each etcd is the
 * test's own, for it is compacted.
 */
#include "base/clock.h"
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/queue.h>

#include <stdlib.h>

enum { KEY_BYTES = 160, MAP_MAX = 64, SCRIPT_BYTES = 1024 };

struct entry {
    char key[KEY_BYTES];
    int64_t mod_revision;
};

/* What the application believes. */
struct map {
    struct rollcall__monitor monitor; /* guards the rest */
    struct entry entries[MAP_MAX];
    size_t count;
    uint64_t events;   /* told by on_event */
    int calls, refuse; /* of on_rewatch; so many are answered with `answer`, at first */
    enum rollcall_status answer;
    const char *sentence;            /* with it; NULL: none */
    struct rollcall_watch_event why; /* of the last call; its reason below */
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    int64_t view_revision;
    bool marked, failed; /* RESYNC_BEGIN or END was told; FAILED was, with: */
    enum rollcall_status status;
};

static void map_init(struct map *map)
{
    memset(map, 0, sizeof *map);
    rollcall__monitor_init(&map->monitor);
}

static struct entry *find(struct map *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->entries[i].key, key) == 0) {
            return &map->entries[i];
        }
    }
    return NULL;
}

static void put(struct map *map, const struct rollcall_watch_event *event)
{
    struct entry *entry = find(map, event->key.data);
    if (entry == NULL) {
        CHECK(map->count < MAP_MAX);
        entry = &map->entries[map->count++];
        snprintf(entry->key, sizeof entry->key, "%s", event->key.data);
    }
    CHECK(entry->mod_revision < event->mod_revision); /* nothing twice, nothing out of order */
    entry->mod_revision = event->mod_revision;
}

static void on_event(void *user, const struct rollcall_watch_event *event)
{
    struct map *map = user;
    rollcall__monitor_lock(&map->monitor);
    map->events++;
    if (event->type == ROLLCALL_WATCH_SESSION || event->type == ROLLCALL_WATCH_ADD ||
        event->type == ROLLCALL_WATCH_UPDATE) {
        put(map, event);
    } else if (event->type == ROLLCALL_WATCH_DELETE && find(map, event->key.data) != NULL) {
        *find(map, event->key.data) = map->entries[map->count - 1];
        map->entries[--map->count].mod_revision = 0;
    } else if (event->type == ROLLCALL_WATCH_FAILED) {
        map->failed = true;
        map->status = event->status;
        snprintf(map->reason, sizeof map->reason, "%s", event->reason);
    }
    map->marked |=
        event->type == ROLLCALL_WATCH_RESYNC_BEGIN || event->type == ROLLCALL_WATCH_RESYNC_END;
    rollcall__monitor_notify(&map->monitor);
    rollcall__monitor_unlock(&map->monitor);
}

static void replace(struct map *map, const struct rollcall_view *view)
{
    size_t count;
    const struct rollcall_watch_event *sessions = rollcall_view_sessions(view, &count);
    memset(map->entries, 0, sizeof map->entries);
    map->count = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(sessions[i].type, ROLLCALL_WATCH_SESSION);
        CHECK(sessions[i].record != NULL);
        CHECK(sessions[i].mod_revision <= rollcall_view_revision(view));
        put(map, &sessions[i]);
    }
    map->view_revision = rollcall_view_revision(view);
}

static enum rollcall_status on_rewatch(void *user, const struct rollcall_watch_event *why,
                                       const struct rollcall_view *view,
                                       struct rollcall_error *error)
{
    struct map *map = user;
    enum rollcall_status status = ROLLCALL_OK;
    rollcall__monitor_lock(&map->monitor);
    map->why = *why;
    snprintf(map->reason, sizeof map->reason, "%s", why->reason);
    if (map->calls++ < map->refuse) {
        status = map->sentence == NULL
                     ? map->answer
                     : rollcall_error_set(error, map->answer, "%s", map->sentence);
    } else {
        replace(map, view);
    }
    rollcall__monitor_notify(&map->monitor);
    rollcall__monitor_unlock(&map->monitor);
    return status;
}

/* Until on_rewatch was called so often, and the map has so many; or it has failed. */
static bool await(struct map *map, int calls, size_t count)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + API_SOON_MS * 1000000LL;
    bool there = false;
    rollcall__monitor_lock(&map->monitor);
    do {
        there = map->failed || (map->calls >= calls && map->count == count);
    } while (!there && rollcall__monitor_wait(&map->monitor, deadline_ns));
    rollcall__monitor_unlock(&map->monitor);
    return there;
}

/* What it believes now; a copy, whose monitor is of no use. */
static struct map look(struct map *map)
{
    rollcall__monitor_lock(&map->monitor);
    const struct map now = *map;
    rollcall__monitor_unlock(&map->monitor);
    return now;
}

/* ---- etcd ---- */

#define PUT                                                                                        \
    "put() { etcdctl put -- $ROOT/session/querynode-$1 "                                           \
    "'{\"ServerID\":'$1',\"Version\":\"'$2'\"}' >/dev/null; }\n"                                   \
    "del() { etcdctl del $ROOT/session/querynode-$1 >/dev/null; }\n"                               \
    "compact() { etcdctl compaction $(etcdctl get -w fields none |"                                \
    " sed -n 's/^\"Revision\" : //p') >/dev/null; }\n"

static void outside(const struct api_scene *scene, const char *lines)
{
    char script[SCRIPT_BYTES];
    snprintf(script, sizeof script, "%s%s", PUT, lines);
    api_etcdctl(scene, script, NULL, 0);
}

struct stage {
    struct etcd_fixture *etcd;
    struct api_scene scene;
    struct map map;
    struct rollcall_watch *watch;
};

static void stage_open(struct stage *stage)
{
    stage->etcd = etcd_fixture_create(NULL);
    CHECK(stage->etcd != NULL);
    api_scene_open(&stage->scene, etcd_fixture_endpoint(stage->etcd));
    map_init(&stage->map);
}

static void watch_from(struct stage *stage, const char *version_range, int64_t revision)
{
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall_watch_open(
        stage->scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.root = stage->scene.root, .role = "querynode",
                               .version_range = version_range, .from_revision = revision,
                               .on_event = on_event, .on_rewatch = on_rewatch, .user = &stage->map),
        &stage->watch, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
}

/* Of every session of the range, the map has the newest. */
static void check_map_is_listed(struct stage *stage, const char *version_range)
{
    struct map listed;
    map_init(&listed);
    const enum rollcall_status status =
        rollcall_list(stage->scene.etcd,
                      ROLLCALL_WATCH_OPTIONS(.root = stage->scene.root, .role = "querynode",
                                             .version_range = version_range, .on_event = on_event,
                                             .user = &listed),
                      0, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    struct map now = look(&stage->map);
    CHECK_INT(now.count, listed.count);
    for (size_t i = 0; i < listed.count; i++) {
        const struct entry *entry = find(&now, listed.entries[i].key);
        CHECK(entry != NULL && entry->mod_revision == listed.entries[i].mod_revision);
    }
    rollcall__monitor_fini(&listed.monitor);
}

static void stage_close(struct stage *stage)
{
    CHECK_INT(rollcall_watch_close(stage->watch), ROLLCALL_OK);
    CHECK(!stage->map.marked);
    rollcall__monitor_fini(&stage->map.monitor);
    api_scene_close(&stage->scene);
    etcd_fixture_destroy(stage->etcd);
}

/* ---- what upstream's user does: a list, then a watch from the revision after it ---- */

/* The map as the list has it; then changes that etcd forgets before the watch begins. */
static int64_t list_then_lose(struct stage *stage)
{
    const enum rollcall_status status =
        rollcall_list(stage->scene.etcd,
                      ROLLCALL_WATCH_OPTIONS(.root = stage->scene.root, .role = "querynode",
                                             .on_event = on_event, .user = &stage->map),
                      0, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    int64_t newest = 0;
    for (size_t i = 0; i < stage->map.count; i++) {
        const int64_t revision = stage->map.entries[i].mod_revision;
        newest = revision > newest ? revision : newest;
    }
    outside(&stage->scene, "del 1\nput 2 2.0.1\nput 3 2.0.0\nput 4 1.0.0\nput 5 2.0.0\ncompact\n");
    return newest + 1;
}

/* A difference could not tell it that 1 has gone: the watch has never known of it. */
TEST(watch_rewatch, a_map_of_a_list_is_replaced_by_all_there_is_after_a_compaction)
{
    struct stage stage;
    stage_open(&stage);
    outside(&stage.scene, "put 1 2.0.0\nput 2 2.0.0\n");
    watch_from(&stage, NULL, list_then_lose(&stage));
    CHECK(await(&stage.map, 1, 4));
    const struct map now = look(&stage.map);
    CHECK_INT(now.why.type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(now.why.status, ROLLCALL_E_COMPACTED);
    api_check_contains(now.reason, "compacted");
    CHECK_INT(now.why.revision, now.view_revision);
    check_map_is_listed(&stage, NULL);
    outside(&stage.scene, "put 6 2.0.0\ndel 5\ndel 4\n");
    CHECK(await(&stage.map, 1, 3));
    check_map_is_listed(&stage, NULL);
    CHECK_INT(look(&stage.map).calls, 1);
    CHECK_INT(rollcall_watch_stats(stage.watch).resyncs, 1);
    CHECK_INT(rollcall_watch_stats(stage.watch).lags, 0);
    CHECK_INT(rollcall_watch_feed_stats(stage.watch).relists_compacted, 1);
    stage_close(&stage);
}

/* D-11. */
TEST(watch_rewatch, all_there_is_of_a_version_range_is_what_is_inside_it)
{
    struct stage stage;
    stage_open(&stage);
    outside(&stage.scene, "put 1 2.0.0\nput 2 2.0.0\n");
    watch_from(&stage, ">=2.0.0", list_then_lose(&stage));
    CHECK(await(&stage.map, 1, 3));
    check_map_is_listed(&stage, ">=2.0.0");
    stage_close(&stage);
}

/* D-12: nothing is half applied, and nothing else is told before it is taken in. */
TEST(watch_rewatch, what_could_not_be_taken_in_now_is_given_again_before_anything_else)
{
    struct stage stage;
    stage_open(&stage);
    stage.map.refuse = 3;
    stage.map.answer = ROLLCALL_E_UNAVAILABLE;
    outside(&stage.scene, "put 1 2.0.0\nput 2 2.0.0\n");
    const int64_t from = list_then_lose(&stage);
    const uint64_t events = stage.map.events;
    watch_from(&stage, NULL, from);
    CHECK(await(&stage.map, 4, 4));
    CHECK_INT(look(&stage.map).events, events);
    check_map_is_listed(&stage, NULL);
    outside(&stage.scene, "put 6 2.0.0\n");
    CHECK(await(&stage.map, 4, 5));
    CHECK_INT(look(&stage.map).calls, 4);
    CHECK_INT(rollcall_watch_stats(stage.watch).refused, 3);
    CHECK(!look(&stage.map).failed);
    stage_close(&stage);
}

/* ---- one of several that share a feed ---- */

/* Two watches of one range follow; then etcd is away, and forgets what happened meanwhile. */
static void lose_while_following(struct stage *stage, struct api_watch_log *other)
{
    api_watch_hold(other); /* the one thread of both */
    outside(&stage->scene, "put 3 2.0.0\n");
    CHECK(api_watch_await_blocked(other, API_SOON_MS));
    etcd_fixture_kill(stage->etcd); /* neither can follow before the callback returns */
    CHECK(etcd_fixture_restart(stage->etcd));
    outside(&stage->scene, "del 1\nput 2 2.0.1\nput 4 2.0.0\ncompact\n");
    api_watch_let_go(other);
}

static void follow_both(struct stage *stage, struct api_watch_log *other,
                        struct rollcall_watch **watch)
{
    api_watch_log_init(other);
    outside(&stage->scene, "put 1 2.0.0\nput 2 2.0.0\n");
    watch_from(stage, NULL, 0);
    *watch = api_watch(&stage->scene, "querynode", 0, other);
    CHECK(await(&stage->map, 0, 2));
    CHECK(api_watch_await(other, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    CHECK_INT(rollcall_watch_feed_stats(stage->watch).watches, 2);
    lose_while_following(stage, other);
    CHECK(api_watch_await(other, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
}

TEST(watch_rewatch, one_is_given_all_there_is_and_another_of_the_same_range_the_difference)
{
    struct stage stage;
    struct api_watch_log other;
    struct rollcall_watch *watch;
    stage_open(&stage);
    follow_both(&stage, &other, &watch);
    CHECK(await(&stage.map, 1, 3));
    check_map_is_listed(&stage, NULL);
    CHECK_INT(api_watch_last(&other).count, 3); /* 1, 2 and 4 */
    api_watch_close(watch, &other);
    api_watch_check(&other);
    api_watch_log_fini(&other);
    stage_close(&stage);
}

TEST(watch_rewatch, an_error_of_the_application_ends_its_watch_with_its_sentence_and_no_other)
{
    struct stage stage;
    struct api_watch_log other;
    struct rollcall_watch *watch;
    stage_open(&stage);
    stage.map.refuse = 1;
    stage.map.answer = ROLLCALL_E_REJECTED;
    stage.map.sentence = "no room for so many nodes";
    follow_both(&stage, &other, &watch);
    CHECK(await(&stage.map, 1, SIZE_MAX));
    const struct map now = look(&stage.map);
    CHECK(now.failed);
    CHECK_INT(now.status, ROLLCALL_E_REJECTED);
    CHECK_STR(now.reason, "no room for so many nodes");
    CHECK_INT(now.calls, 1);
    outside(&stage.scene, "put 5 2.0.0\n");
    CHECK(api_watch_await(&other, ROLLCALL_WATCH_ADD, 3, API_SOON_MS));
    CHECK_INT(look(&stage.map).events, now.events); /* FAILED was the last */
    struct api_watch_log late;                      /* shares the feed, which is not over */
    api_watch_log_init(&late);
    struct rollcall_watch *third = api_watch(&stage.scene, "querynode", 0, &late);
    CHECK(api_watch_await_told(&late, 4, API_SOON_MS));
    CHECK_INT(rollcall_watch_feed_stats(third).watches, 2); /* and the one that is over has left */
    CHECK_INT(rollcall_watch_feed_stats(third).relists_compacted, 1);
    api_watch_close(third, &late);
    api_watch_close(watch, &other);
    api_watch_check(&other);
    api_watch_log_fini(&late);
    api_watch_log_fini(&other);
    stage_close(&stage);
}

/* ---- what cannot be ---- */

TEST(watch_rewatch, beside_a_queue_is_refused_with_what_to_do_instead)
{
    struct api_scene scene;
    struct rollcall_queue *queue;
    struct rollcall_watch *watch = NULL;
    struct rollcall_error error;
    api_scene_open(&scene, "127.0.0.1:1");
    CHECK_INT(rollcall_queue_create(scene.runtime, 0, &queue, NULL), ROLLCALL_OK);
    const enum rollcall_status status = rollcall_watch_open(
        scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.role = "querynode", .queue = queue, .on_rewatch = on_rewatch),
        &watch, &error);
    CHECK_INT(status, ROLLCALL_E_INVALID);
    api_check_contains(error.text, "view");
    CHECK(watch == NULL);
    CHECK_INT(rollcall_queue_destroy(queue), ROLLCALL_OK);
    api_scene_close(&scene);
}

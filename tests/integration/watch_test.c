/*
 * Watches through the public calls, against a real etcd: the shared one, each test under a root of
 * its own, or a private one where a test kills it or compacts it.  The recorder checks every event
 * as it comes; what is told is held against a list, or against a second watch over the same
 * history.
 */
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <malloc.h>
#include <stdlib.h>

enum { TEXT_BYTES = 512, SESSIONS = 50, FLOOD_ROUNDS = 100, FLOOD_KEYS = 20 };

/* What one test watches with. */
struct stage {
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_watch *watch;
};

static void stage_open(struct stage *stage, const char *endpoint)
{
    api_scene_open(&stage->scene, endpoint);
    api_watch_log_init(&stage->log);
    stage->watch = api_watch(&stage->scene, "querynode", 0, &stage->log);
    CHECK(api_watch_await(&stage->log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
}

static void stage_close(struct stage *stage)
{
    api_watch_close(stage->watch, &stage->log);
    api_watch_check(&stage->log);
    api_watch_log_fini(&stage->log);
    api_scene_close(&stage->scene);
}

/* put NAME VERSION: stores a record from outside. */
#define PUT                                                                                        \
    "put() { etcdctl put -- $ROOT/session/$1 "                                                     \
    "'{\"ServerID\":1,\"ServerName\":\"x\",\"Version\":\"'$2'\"}' >/dev/null; }\n"

static void put_outside(const struct api_scene *scene, const char *lines)
{
    char script[2 * TEXT_BYTES];
    snprintf(script, sizeof script, PUT "%s", lines);
    api_etcdctl(scene, script, NULL, 0);
}

/* The store's revision now; others may write to the shared one at the same time. */
static int64_t revision_of(const struct api_scene *scene)
{
    char text[TEXT_BYTES];
    api_etcdctl(scene, "etcdctl get -w fields none | sed -n 's/^\"Revision\" : //p'", text,
                sizeof text);
    const int64_t revision = strtoll(text, NULL, 10);
    CHECK(revision > 0);
    return revision;
}

/* Forgets all history. */
static void compact(const struct api_scene *scene)
{
    char script[TEXT_BYTES];
    snprintf(script, sizeof script, "etcdctl compaction %" PRId64, revision_of(scene));
    api_etcdctl(scene, script, NULL, 0);
}

/* Where in the history a key was last put. */
static int64_t revision_of_key(const struct api_scene *scene, const char *name)
{
    char script[TEXT_BYTES], text[TEXT_BYTES];
    snprintf(script, sizeof script,
             "etcdctl get -w fields $ROOT/session/%s | sed -n 's/^\"ModRevision\" : //p'", name);
    api_etcdctl(scene, script, text, sizeof text);
    const int64_t revision = strtoll(text, NULL, 10);
    CHECK(revision > 0);
    return revision;
}

/* One more session: once it is told, all before it has been. */
static void await_marker(const struct api_scene *scene, struct api_watch_log *log)
{
    put_outside(scene, "put querynode-999999 1.0.0\n");
    CHECK(api_watch_await_revision(log, revision_of_key(scene, "querynode-999999"), API_SOON_MS));
}

/* Final state: what was told is what a list says. */
static void check_told_is_listed(const struct api_scene *scene, struct api_watch_log *log)
{
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(scene, "querynode", &listed);
    api_watch_check_same(log, &listed);
    CHECK_INT(api_watch_last(&listed).count, api_watch_told(&listed));
    api_watch_log_fini(&listed);
    const size_t adds =
        api_watch_count(log, ROLLCALL_WATCH_ADD) + api_watch_count(log, ROLLCALL_WATCH_SESSION);
    CHECK_INT(adds - api_watch_count(log, ROLLCALL_WATCH_DELETE), api_watch_told(log));
}

/* ---- coming and going ---- */

TEST(watch, tells_a_snapshot_then_every_session_that_comes_and_goes)
{
    struct stage stage;
    struct api_watch_log late;
    struct rollcall_session *sessions[SESSIONS];
    stage_open(&stage, etcd_fixture_shared());
    CHECK_INT(api_watch_total(&stage.log), 2);
    for (int i = 0; i < SESSIONS; i++) {
        sessions[i] = api_open(&stage.scene, "querynode", i + 1, 30, NULL);
    }
    CHECK(api_watch_await_told(&stage.log, SESSIONS, API_SOON_MS));
    api_watch_log_init(&late);
    struct rollcall_watch *watch = api_watch(&stage.scene, "querynode", 0, &late);
    CHECK(api_watch_await_told(&late, SESSIONS, API_SOON_MS));
    CHECK_INT(api_watch_count(&late, ROLLCALL_WATCH_SESSION), SESSIONS);
    for (int i = 0; i < SESSIONS; i++) {
        rollcall_session_stop(sessions[i]);
    }
    for (int i = 0; i < SESSIONS; i++) {
        CHECK_INT(rollcall_session_close(sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_DELETE, SESSIONS, API_SOON_MS));
    CHECK(api_watch_await_told(&late, 0, API_SOON_MS));
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_ADD), SESSIONS);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_UPDATE), SESSIONS);
    for (size_t i = 0; i < api_watch_total(&stage.log); i++) {
        const struct api_watch_note note = api_watch_at(&stage.log, i);
        CHECK(note.type != ROLLCALL_WATCH_UPDATE || note.stopping);
        CHECK(note.type != ROLLCALL_WATCH_DELETE || note.stopping);
    }
    api_watch_close(watch, &late);
    api_watch_check(&late);
    api_watch_log_fini(&late);
    stage_close(&stage);
}

TEST(watch, many_sessions_in_one_revision_are_each_told_once)
{
    struct stage stage;
    stage_open(&stage, etcd_fixture_shared());
    api_etcdctl(&stage.scene,
                "{ echo; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo \"put "
                "$ROOT/session/querynode-$i \\\"{}\\\"\"; done; echo; echo; } | etcdctl txn",
                NULL, 0);
    CHECK(api_watch_await_told(&stage.log, 100, API_SOON_MS));
    api_etcdctl(&stage.scene, "etcdctl del --prefix $ROOT/session/", NULL, 0);
    CHECK(api_watch_await_told(&stage.log, 0, API_SOON_MS));
    await_marker(&stage.scene, &stage.log);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_ADD), 101);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_DELETE), 100);
    stage_close(&stage);
}

/* ---- what is not told ---- */

#define OTHER_ROLES                                                                                \
    "put querynode2-1 1.0.0\n"                                                                     \
    "put querynode-x 1.0.0\n"                                                                      \
    "put querynode-1-2 1.0.0\n"                                                                    \
    "put querynod-1 1.0.0\n"                                                                       \
    "put querynode/1 1.0.0\n"                                                                      \
    "put querynode-7 1.0.0\n"                                                                      \
    "put querynode 1.0.0\n"

TEST(watch, tells_one_role_and_not_those_that_begin_like_it)
{
    struct stage stage;
    struct api_watch_log late;
    stage_open(&stage, etcd_fixture_shared());
    put_outside(&stage.scene, OTHER_ROLES);
    await_marker(&stage.scene, &stage.log);
    CHECK_INT(api_watch_told(&stage.log), 3);
    api_watch_log_init(&late);
    api_list(&stage.scene, "querynode", &late);
    api_watch_check_same(&stage.log, &late);
    api_watch_log_fini(&late);
    stage_close(&stage);
}

TEST(watch, raw_prefix_tells_every_role_that_begins_like_it)
{
    struct stage stage;
    struct api_watch_log raw;
    struct rollcall_watch *watch;
    stage_open(&stage, etcd_fixture_shared());
    api_watch_log_init(&raw);
    const enum rollcall_status status = rollcall_watch_open(
        stage.scene.etcd,
        ROLLCALL_WATCH_OPTIONS(.root = stage.scene.root, .role = "querynode", .raw_prefix = true,
                               .on_event = api_watch_note, .user = &raw),
        &watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    CHECK(api_watch_await(&raw, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    put_outside(&stage.scene, OTHER_ROLES);
    await_marker(&stage.scene, &raw);
    CHECK_INT(api_watch_told(&raw), 7);
    api_watch_close(watch, &raw);
    api_watch_check(&raw);
    api_watch_log_fini(&raw);
    stage_close(&stage);
}

TEST(watch, version_range_tells_only_what_is_in_it_before_and_during)
{
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_watch *watch;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    put_outside(&scene, "put querynode-1 2.2.3\nput querynode-2 2.2.2\n");
    const enum rollcall_status status =
        rollcall_watch_open(scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = "querynode",
                                                   .version_range = ">=2.2.3 <3.0.0",
                                                   .on_event = api_watch_note, .user = &log),
                            &watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    CHECK_INT(api_watch_told(&log), 1);
    put_outside(&scene, "put querynode-3 2.9.9\nput querynode-4 3.0.0\nput querynode-1 3.0.0\n"
                        "put querynode-2 2.4.2\netcdctl del $ROOT/session/querynode-4 >/dev/null\n"
                        "put querynode-5 2.4.0\n");
    CHECK(api_watch_await_revision(&log, revision_of_key(&scene, "querynode-5"), API_SOON_MS));
    CHECK_INT(api_watch_told(&log), 3); /* 2, 3 and 5; 1 left the range, and 4 was never in it */
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_DELETE), 1);
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_ADD), 3);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

TEST(watch, garbage_is_skipped_and_counted_and_others_go_on)
{
    struct api_scene scene;
    struct api_watch_log log, listed;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    api_watch_log_init(&listed);
    put_outside(&scene, "put querynode-1 1.0.0\n"
                        "etcdctl put $ROOT/session/querynode-2 banana >/dev/null\n"
                        "etcdctl put $ROOT/session/querynode-3 '{\"ServerID\":' >/dev/null\n");
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    CHECK_INT(api_watch_last(&log).count, 1);
    CHECK_INT(api_watch_last(&log).skipped, 2);
    put_outside(&scene, "etcdctl put $ROOT/session/querynode-4 '[]' >/dev/null\n"
                        "etcdctl put $ROOT/session/querynode-1 banana >/dev/null\n"
                        "put querynode-2 1.0.0\n"
                        "etcdctl del $ROOT/session/querynode-3 >/dev/null\n");
    await_marker(&scene, &log);
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_DELETE), 1); /* 1 can no longer be read */
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_ADD), 2);
    api_list(&scene, "querynode", &listed);
    CHECK_INT(api_watch_last(&listed).skipped, 2);
    check_told_is_listed(&scene, &log);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&listed);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- from a revision ---- */

TEST(watch, from_a_revision_tells_what_has_changed_since_and_no_snapshot)
{
    struct stage stage;
    struct api_watch_log since;
    stage_open(&stage, etcd_fixture_shared());
    put_outside(&stage.scene, "put querynode-1 1.0.0\nput querynode-2 1.0.0\n");
    const int64_t revision = revision_of(&stage.scene);
    put_outside(&stage.scene, "put querynode-3 1.0.0\netcdctl del $ROOT/session/querynode-1\n"
                              "put querynode-3 1.0.1\n");
    api_watch_log_init(&since);
    struct rollcall_watch *watch = api_watch(&stage.scene, "querynode", revision + 1, &since);
    await_marker(&stage.scene, &since);
    CHECK_INT(api_watch_total(&since), 4);
    CHECK_INT(api_watch_at(&since, 0).type, ROLLCALL_WATCH_ADD);
    CHECK_INT(api_watch_at(&since, 1).type, ROLLCALL_WATCH_DELETE);
    CHECK_STR(api_watch_at(&since, 1).value,
              "{\"ServerID\":1,\"ServerName\":\"x\",\"Version\":\"1.0.0\"}");
    CHECK_INT(api_watch_at(&since, 2).type, ROLLCALL_WATCH_UPDATE);
    api_watch_close(watch, &since);
    api_watch_check(&since);
    api_watch_log_fini(&since);
    stage_close(&stage);
}

TEST(watch, from_a_compacted_revision_tells_the_difference_as_a_resync)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_watch_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_watch_log_init(&log);
    put_outside(&scene, "put querynode-1 1.0.0\nput querynode-2 1.0.0\nput querynode-2 1.0.1\n"
                        "etcdctl del $ROOT/session/querynode-1\nput querynode-3 1.0.0\n");
    const int64_t revision = revision_of(&scene);
    compact(&scene);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 2, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK_INT(api_watch_at(&log, 0).type, ROLLCALL_WATCH_RESYNC_BEGIN);
    CHECK_INT(api_watch_at(&log, 0).status, ROLLCALL_E_COMPACTED);
    CHECK(strstr(api_watch_at(&log, 0).reason, "compacted") != NULL);
    CHECK_INT(api_watch_at(&log, 0).revision, revision);
    CHECK_INT(api_watch_told(&log), 2);
    await_marker(&scene, &log);
    check_told_is_listed(&scene, &log);
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- etcd goes away and comes back ---- */

/* A watch that begins later, at the same revision, and so reads etcd's own history, must have been
 * told the same changes in the same order. */
static void check_history(const struct api_scene *scene, struct api_watch_log *log,
                          int64_t revision, int64_t last_revision)
{
    struct api_watch_log history;
    api_watch_log_init(&history);
    struct rollcall_watch *watch = api_watch(scene, "querynode", revision, &history);
    CHECK(api_watch_await_revision(&history, last_revision, API_SOON_MS));
    CHECK_INT(api_watch_total(&history), api_watch_total(log) - 2);
    for (size_t i = 0; i < api_watch_total(&history); i++) {
        CHECK_INT(api_watch_at(&history, i).mod_revision, api_watch_at(log, i + 2).mod_revision);
        CHECK_INT(api_watch_at(&history, i).type, api_watch_at(log, i + 2).type);
        CHECK_STR(api_watch_at(&history, i).key, api_watch_at(log, i + 2).key);
    }
    api_watch_close(watch, &history);
    api_watch_log_fini(&history);
}

TEST(watch, nothing_is_lost_or_doubled_when_etcd_is_killed_and_comes_back)
{
    static const char writer[] =
        PUT "i=0; while [ $i -lt 60 ]; do i=$((i+1)); k=querynode-$((i % 7));\n"
            "put $k 1.0.$i 2>/dev/null || :\n"
            "[ $((i % 3)) -ne 0 ] || etcdctl del $ROOT/session/$k >/dev/null 2>&1 || :\n"
            "done\n";
    struct etcd_fixture *etcd = etcd_fixture_create(
        (const char *const[]){"--heartbeat-interval=20", "--election-timeout=200", NULL});
    struct process process;
    struct stage stage;
    CHECK(etcd != NULL);
    stage_open(&stage, etcd_fixture_endpoint(etcd));
    const int64_t revision = api_watch_at(&stage.log, 1).revision + 1;
    struct rollcall_session *session = api_open(&stage.scene, "querynode", 100, 60, NULL);
    api_etcdctl_start(&stage.scene, writer, &process);
    for (size_t i = 1; i <= 2; i++) {
        CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_ADD, 5 * i, API_SOON_MS));
        etcd_fixture_kill(etcd);
        CHECK(etcd_fixture_restart(etcd));
    }
    CHECK(process_wait(&process, 2 * API_SOON_MS));
    process_destroy(&process);
    await_marker(&stage.scene, &stage.log);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    check_told_is_listed(&stage.scene, &stage.log);
    check_history(&stage.scene, &stage.log, revision, api_watch_last(&stage.log).mod_revision);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    stage_close(&stage);
    etcd_fixture_destroy(etcd);
}

TEST(watch, what_was_compacted_while_etcd_was_away_is_told_as_a_difference)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct stage stage;
    CHECK(etcd != NULL);
    stage_open(&stage, etcd_fixture_endpoint(etcd));
    put_outside(&stage.scene, "put querynode-1 1.0.0\nput querynode-2 1.0.0\n");
    await_marker(&stage.scene, &stage.log);
    api_watch_hold(&stage.log);
    put_outside(&stage.scene, "put querynode-3 1.0.0\n");
    CHECK(api_watch_await_blocked(&stage.log, API_SOON_MS));
    etcd_fixture_kill(etcd); /* the watch cannot follow again before its callback returns */
    CHECK(etcd_fixture_restart(etcd));
    put_outside(&stage.scene, "put querynode-2 1.0.1\netcdctl del $ROOT/session/querynode-1\n"
                              "put querynode-4 1.0.0\netcdctl del $ROOT/session/querynode-3\n"
                              "put querynode-3 1.0.1\n");
    compact(&stage.scene);
    api_watch_let_go(&stage.log);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK_INT(api_watch_last(&stage.log).count, 4); /* 1 to 4, and not the marker */
    await_marker(&stage.scene, &stage.log);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_RESYNC_BEGIN), 1);
    check_told_is_listed(&stage.scene, &stage.log);
    stage_close(&stage);
    etcd_fixture_destroy(etcd);
}

/* ---- slow and closing applications ---- */

static void flood(const struct api_scene *scene)
{
    char script[2 * TEXT_BYTES];
    snprintf(script, sizeof script,
             "a=$(head -c 8000 /dev/zero | tr '\\0' a)\n"
             "j=0; while [ $j -lt %d ]; do j=$((j+1))\n"
             "{ echo; i=0; while [ $i -lt %d ]; do i=$((i+1))\n"
             "echo \"put $ROOT/session/querynode-$i "
             "\\\"{\\\\\\\"ServerID\\\\\\\":$j,\\\\\\\"Address\\\\\\\":\\\\\\\"$a\\\\\\\"}\\\"\"\n"
             "done; echo; echo; } | etcdctl txn >/dev/null; done\n",
             FLOOD_ROUNDS, FLOOD_KEYS);
    api_etcdctl(scene, script, NULL, 0);
}

/* 2,000 changes of 8 KB while the callback is stuck: all of them, each with the value before it,
 * would be 32 MB. */
TEST(watch, a_stuck_callback_loses_nothing_and_holds_little)
{
    struct stage stage;
    stage_open(&stage, etcd_fixture_shared());
    api_watch_hold(&stage.log);
    put_outside(&stage.scene, "put querynode-1 1.0.0\n");
    CHECK(api_watch_await_blocked(&stage.log, API_SOON_MS));
    const size_t before_bytes = mallinfo2().uordblks;
    flood(&stage.scene);
    const size_t after_bytes = mallinfo2().uordblks; /* 0 under a sanitizer */
    CHECK(after_bytes < before_bytes + 12000000);
    api_watch_let_go(&stage.log);
    await_marker(&stage.scene, &stage.log);
    CHECK_INT(api_watch_total(&stage.log), 2 + 1 + FLOOD_ROUNDS * FLOOD_KEYS + 1);
    CHECK_INT(api_watch_told(&stage.log), FLOOD_KEYS + 1);
    check_told_is_listed(&stage.scene, &stage.log);
    stage_close(&stage);
}

TEST(watch, no_callback_runs_after_close_has_returned)
{
    struct stage stage;
    struct api_watch_log witness;
    struct process process;
    stage_open(&stage, etcd_fixture_shared());
    api_watch_log_init(&witness);
    struct rollcall_watch *watch = api_watch(&stage.scene, "querynode", 0, &witness);
    CHECK(api_watch_await(&witness, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    api_etcdctl_start(&stage.scene,
                      PUT "i=0; while [ $i -lt 15 ]; do i=$((i+1)); put querynode-$i 1.0.0; done",
                      &process);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_ADD, 5, API_SOON_MS));
    api_watch_close(stage.watch, &stage.log);
    CHECK(api_watch_await(&witness, ROLLCALL_WATCH_ADD, 15, API_SOON_MS));
    CHECK(process_wait(&process, API_SOON_MS));
    process_destroy(&process);
    api_watch_close(watch, &witness);
    api_watch_check(&witness);
    api_watch_check(&stage.log);
    api_watch_log_fini(&witness);
    api_watch_log_fini(&stage.log);
    api_scene_close(&stage.scene);
}

/* ---- no etcd ---- */

TEST(watch, without_an_etcd_fails_in_time_once_and_says_where)
{
    struct api_scene scene;
    struct api_watch_log log;
    struct rollcall_watch *watch;
    struct rollcall_error error;
    api_scene_open(&scene, "127.0.0.1:1");
    api_watch_log_init(&log);
    const struct rollcall_watch_options *options =
        ROLLCALL_WATCH_OPTIONS(.role = "querynode", .connect_timeout_ms = 500,
                               .on_event = api_watch_note, .user = &log);
    enum rollcall_status status = rollcall_list(scene.etcd, options, 5000, &error);
    CHECK_INT(status, ROLLCALL_E_UNAVAILABLE);
    CHECK(strstr(error.text, "127.0.0.1:1") != NULL);
    CHECK_INT(api_watch_total(&log), 0);
    status = rollcall_watch_open(scene.etcd, options, &watch, &error);
    CHECK_INT(status, ROLLCALL_OK);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_FAILED, 1, 2500));
    CHECK_INT(api_watch_at(&log, 0).status, ROLLCALL_E_UNAVAILABLE);
    CHECK(strstr(api_watch_at(&log, 0).reason, "127.0.0.1:1") != NULL);
    api_watch_close(watch, &log);
    CHECK_INT(api_watch_total(&log), 1);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

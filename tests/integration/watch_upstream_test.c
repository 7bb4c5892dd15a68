/*
 * What upstream's own tests of listing and watching ask of a real etcd, asked through the public
 * calls; above each stands theirs.  And a watch with `once`, the list that does not wait.
 */
#include "support/api_events.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <pthread.h>

enum { TEXT_BYTES = 512, THREADS = 10 };

static int64_t list(const struct api_scene *scene, const struct rollcall_watch_options *options,
                    struct api_watch_log *log)
{
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall_list(scene->etcd, options, 0, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    api_watch_check(log);
    CHECK_INT(api_watch_last(log).type, ROLLCALL_WATCH_SNAPSHOT_END);
    return api_watch_last(log).revision;
}

/* How many sessions of a role a list has, by upstream's matching. */
static size_t count_listed(const struct api_scene *scene, const char *role)
{
    struct api_watch_log log;
    api_watch_log_init(&log);
    list(scene,
         ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = role, .raw_prefix = true,
                                .on_event = api_watch_note, .user = &log),
         &log);
    const size_t count = api_watch_last(&log).count;
    CHECK_INT(api_watch_last(&log).skipped, 0);
    api_watch_log_fini(&log);
    return count;
}

static struct rollcall_watch *watch_with(const struct api_scene *scene,
                                         const struct rollcall_watch_options *options,
                                         struct api_watch_log *log)
{
    struct rollcall_watch *watch = NULL;
    struct rollcall_error error = {0};
    if (options->from_revision != 0) {
        log->phase = API_LIVE;
        log->partial = true;
    }
    const enum rollcall_status status = rollcall_watch_open(scene->etcd, options, &watch, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    return watch;
}

static void put_outside(const struct api_scene *scene, const char *name)
{
    char script[TEXT_BYTES];
    snprintf(script, sizeof script,
             "etcdctl put -- $ROOT/session/%s '{\"ServerID\":1,\"Version\":\"1.0.0\"}'", name);
    api_etcdctl(scene, script, NULL, 0);
}

/* ---- ten threads ---- */

struct registrant {
    const struct api_scene *scene;
    pthread_t thread;
    struct rollcall_session *session;
    enum rollcall_status status;
};

static void *register_one(void *argument)
{
    struct registrant *me = argument;
    me->status = rollcall_session_open(
        me->scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = me->scene->root, .role = "test", .address = "10.0.0.7:1"),
        &me->session, NULL);
    return NULL;
}

static void register_all(const struct api_scene *scene, struct registrant all[THREADS])
{
    for (int i = 0; i < THREADS; i++) {
        all[i] = (struct registrant){.scene = scene};
        CHECK_INT(pthread_create(&all[i].thread, NULL, register_one, &all[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(all[i].thread, NULL), 0);
        CHECK_INT(all[i].status, ROLLCALL_OK);
    }
}

/* TestUpdateSessions.  Theirs is watched from the revision of the list, as ours is here. */
TEST(watch, ten_threads_that_register_and_are_deleted_are_ten_adds_and_ten_deletes)
{
    struct api_scene scene;
    struct api_watch_log listed, log;
    struct registrant all[THREADS];
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&listed);
    api_watch_log_init(&log);
    const int64_t revision =
        list(&scene,
             ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = "test", .on_event = api_watch_note,
                                    .user = &listed),
             &listed);
    CHECK_INT(api_watch_told(&listed), 0);
    struct rollcall_watch *watch = api_watch(&scene, "test", revision, &log);
    register_all(&scene, all);
    CHECK_INT(count_listed(&scene, "test"), THREADS);
    CHECK_INT(count_listed(&scene, "testt"), 0);
    api_etcdctl(&scene, "etcdctl del --prefix $ROOT", NULL, 0);
    CHECK_INT(count_listed(&scene, "test"), 0);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_DELETE, THREADS, API_SOON_MS));
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(rollcall_session_close(all[i].session, API_SOON_MS), ROLLCALL_OK);
    }
    put_outside(&scene, "test-999"); /* once this is told, all before it has been */
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_ADD, THREADS + 1, API_SOON_MS));
    CHECK_INT(api_watch_total(&log), 2 * THREADS + 1);
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_DELETE), THREADS);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_watch_log_fini(&listed);
    api_scene_close(&scene);
}

/* ---- versions ---- */

enum { VERSIONS = 3 };

/* SessionWithVersionSuite. */
struct suite {
    struct api_scene scene;
    struct rollcall_session *sessions[VERSIONS];
};

static void suite_open(struct suite *suite)
{
    static const char *const versions[VERSIONS] = {"0.0.0", "2.1.0", "2.2.0+dev"};
    api_scene_open(&suite->scene, etcd_fixture_shared());
    for (int i = 0; i < VERSIONS; i++) {
        struct rollcall_error error = {0};
        const enum rollcall_status status = rollcall_session_open(
            suite->scene.etcd,
            ROLLCALL_SESSION_OPTIONS(.root = suite->scene.root, .role = "sessionComp",
                                     .address = "10.0.0.7:1", .version = versions[i]),
            &suite->sessions[i], &error);
        CHECK_STR(error.text, "");
        CHECK_INT(status, ROLLCALL_OK);
    }
}

static void suite_close(struct suite *suite)
{
    for (int i = 0; i < VERSIONS; i++) {
        CHECK_INT(rollcall_session_close(suite->sessions[i], API_SOON_MS), ROLLCALL_OK);
    }
    api_scene_close(&suite->scene);
}

static struct api_watch_note list_range(const struct suite *suite, const char *range)
{
    struct api_watch_log log;
    api_watch_log_init(&log);
    list(&suite->scene,
         ROLLCALL_WATCH_OPTIONS(.root = suite->scene.root, .role = "sessionComp",
                                .raw_prefix = true, .version_range = range,
                                .on_event = api_watch_note, .user = &log),
         &log);
    const struct api_watch_note end = api_watch_last(&log);
    api_watch_log_fini(&log);
    return end;
}

/* TestGetSessionsWithRangeVersion. */
TEST(watch, a_list_with_a_version_range_has_the_sessions_inside_it)
{
    struct suite suite;
    suite_open(&suite);
    CHECK_INT(list_range(&suite, ">1.0.0").count, 2);
    CHECK_INT(list_range(&suite, ">2.1.0").count, 1);
    CHECK_INT(list_range(&suite, ">2.2.0").count, 0);
    suite_close(&suite);
}

/* TestGetSessionsWithRangeVersion with garbage: upstream refuses the whole list. */
TEST(watch, a_list_with_a_version_range_skips_garbage_and_counts_it)
{
    struct suite suite;
    suite_open(&suite);
    api_etcdctl(&suite.scene,
                "etcdctl put $ROOT/session/sessionComp/garbage garbage\n"
                "etcdctl put -- $ROOT/session/sessionComp/garbage_1 '{\"Version\": \"a.b.c\"}'\n",
                NULL, 0);
    CHECK_INT(list_range(&suite, ">=0.0.0").count, 3);
    CHECK_INT(list_range(&suite, ">=0.0.0").skipped, 2);
    suite_close(&suite);
}

/* TestWatchServicesWithVersionRange.  The watch begins at the list's revision, so the last session
 * to register is brought again; it is outside the range. */
TEST(watch, the_first_change_told_of_a_version_range_is_of_the_session_inside_it)
{
    struct suite suite;
    struct api_watch_log listed, log;
    suite_open(&suite);
    api_watch_log_init(&listed);
    api_watch_log_init(&log);
    struct rollcall_session_info inside;
    rollcall_session_get_info(suite.sessions[1], &inside);
    const int64_t revision =
        list(&suite.scene,
             ROLLCALL_WATCH_OPTIONS(.root = suite.scene.root, .role = "sessionComp",
                                    .version_range = ">1.0.0 <=2.1.0", .on_event = api_watch_note,
                                    .user = &listed),
             &listed);
    CHECK_INT(api_watch_told(&listed), 1);
    struct rollcall_watch *watch = watch_with(
        &suite.scene,
        ROLLCALL_WATCH_OPTIONS(.root = suite.scene.root, .role = "sessionComp",
                               .version_range = ">1.0.0 <=2.1.0", .from_revision = revision,
                               .on_event = api_watch_note, .user = &log),
        &log);
    for (int i = 0; i < VERSIONS; i++) {
        rollcall_session_revoke(suite.sessions[i]);
    }
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS));
    CHECK_INT(api_watch_at(&log, 0).server_id, inside.server_id);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_watch_log_fini(&listed);
    suite_close(&suite);
}

/* ---- a watch from the future ---- */

/* TestWatcherHandleWatchResp: err canceled.  etcd holds such a watch back without a word. */
TEST(watch, from_a_revision_of_the_future_it_tells_what_there_is_as_a_resync_and_goes_on)
{
    struct api_scene scene;
    struct api_watch_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    put_outside(&scene, "querynode-1");
    struct rollcall_watch *watch = api_watch(&scene, "querynode", INT64_MAX / 2, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_RESYNC_END, 1, API_SOON_MS));
    CHECK_INT(api_watch_told(&log), 1);
    CHECK(strstr(api_watch_at(&log, 0).reason, "future") != NULL);
    put_outside(&scene, "querynode-2");
    CHECK(api_watch_await_told(&log, 2, API_SOON_MS));
    CHECK_INT(api_watch_total(&log), 4);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- what etcd forgets without a word ---- */

/* D-06: etcd before 3.4.34 and 3.5.16, Debian's among them, lets a watch begin at the revision it
 * has compacted at, and drops a DELETE of exactly that revision. */
TEST(watch, a_delete_compacted_while_etcd_was_away_is_told_though_it_was_the_last_change)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct api_scene scene;
    struct api_watch_log log;
    CHECK(etcd != NULL);
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_watch_log_init(&log);
    put_outside(&scene, "querynode-1");
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    api_watch_hold(&log);
    put_outside(&scene, "querynode-2");
    CHECK(api_watch_await_blocked(&log, API_SOON_MS));
    etcd_fixture_kill(etcd); /* the watch cannot follow again before its callback returns */
    CHECK(etcd_fixture_restart(etcd));
    api_etcdctl(&scene,
                "etcdctl del $ROOT/session/querynode-1 >/dev/null\n"
                "etcdctl compaction $(etcdctl get -w fields none | sed -n 's/^\"Revision\" : //p')",
                NULL, 0);
    api_watch_let_go(&log);
    put_outside(&scene, "querynode-3");
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_ADD, 2, API_SOON_MS));
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS / 4));
    CHECK_INT(api_watch_told(&log), 2);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* ---- once ---- */

static struct rollcall_watch *watch_once(const struct api_scene *scene, struct api_watch_log *log)
{
    return watch_with(scene,
                      ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = "querynode", .once = true,
                                             .on_event = api_watch_note, .user = log),
                      log);
}

static void check_snapshot(struct api_watch_log *log, size_t sessions)
{
    CHECK_INT(api_watch_total(log), 2 + sessions);
    CHECK_INT(api_watch_at(log, 0).type, ROLLCALL_WATCH_SNAPSHOT_BEGIN);
    CHECK_INT(api_watch_count(log, ROLLCALL_WATCH_SESSION), sessions);
    CHECK_INT(api_watch_last(log).type, ROLLCALL_WATCH_SNAPSHOT_END);
    CHECK_INT(api_watch_last(log).count, sessions);
}

TEST(watch, once_ends_with_its_snapshot_and_tells_no_change)
{
    struct api_scene scene;
    struct api_watch_log log, witness;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    api_watch_log_init(&witness);
    put_outside(&scene, "querynode-1");
    put_outside(&scene, "querynode-2");
    put_outside(&scene, "querynode2-1");
    struct rollcall_watch *all = api_watch(&scene, "querynode", 0, &witness);
    struct rollcall_watch *watch = watch_once(&scene, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    CHECK(api_watch_await(&witness, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    put_outside(&scene, "querynode-3");
    api_etcdctl(&scene, "etcdctl del $ROOT/session/querynode-1", NULL, 0);
    CHECK(api_watch_await(&witness, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS));
    check_snapshot(&log, 2);
    api_watch_close(watch, &log);
    api_watch_close(all, &witness);
    api_watch_check(&log);
    api_watch_check(&witness);
    api_watch_log_fini(&witness);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

TEST(watch, once_tells_a_snapshot_of_many_pages_to_a_slow_callback)
{
    enum { SESSIONS = 1200 };
    struct api_scene scene;
    struct api_watch_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_watch_log_init(&log);
    api_etcdctl(&scene,
                "j=0; while [ $j -lt 12 ]; do j=$((j+1)); { echo; i=0; while [ $i -lt 100 ]; do\n"
                "i=$((i+1)); echo \"put $ROOT/session/querynode-$j$((i+100)) \\\"{}\\\"\"\n"
                "done; echo; echo; } | etcdctl txn >/dev/null; done\n",
                NULL, 0);
    api_watch_hold(&log);
    struct rollcall_watch *watch = watch_once(&scene, &log);
    CHECK(api_watch_await_blocked(&log, API_SOON_MS));
    api_watch_let_go(&log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    check_snapshot(&log, SESSIONS);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

TEST(watch, once_without_an_etcd_ends_with_failed)
{
    struct api_scene scene;
    struct api_watch_log log;
    api_scene_open(&scene, "127.0.0.1:1");
    api_watch_log_init(&log);
    struct rollcall_watch *watch = watch_with(
        &scene,
        ROLLCALL_WATCH_OPTIONS(.root = scene.root, .role = "querynode", .once = true,
                               .connect_timeout_ms = 500, .on_event = api_watch_note, .user = &log),
        &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_FAILED, 1, API_SOON_MS));
    CHECK_INT(api_watch_at(&log, 0).status, ROLLCALL_E_UNAVAILABLE);
    api_watch_close(watch, &log);
    CHECK_INT(api_watch_total(&log), 1);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
}

TEST(watch, once_from_a_revision_is_refused_with_a_sentence)
{
    struct api_scene scene;
    struct rollcall_watch *watch = NULL;
    struct rollcall_error error = {0};
    api_scene_open(&scene, "127.0.0.1:1");
    const enum rollcall_status status =
        rollcall_watch_open(scene.etcd,
                            ROLLCALL_WATCH_OPTIONS(.role = "querynode", .once = true,
                                                   .from_revision = 1, .on_event = api_watch_note),
                            &watch, &error);
    CHECK_INT(status, ROLLCALL_E_INVALID);
    CHECK(strstr(error.text, "revision") != NULL && strstr(error.text, "once") != NULL);
    CHECK(watch == NULL);
    api_scene_close(&scene);
}

/*
 * The life of a session through the public calls, against a real etcd: what it says of itself and
 * what etcd holds of it from its start to its end, and that the end comes in time.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <dirent.h>

/* LATE_MS: what a busy machine may add.  BRIEF_S: a TTL that is waited for. */
enum { LATE_MS = 3000, BRIEF_S = 2, READERS = 8, LIVES = 5, BUDGET_MS = 500 };

static void close_session(struct rollcall_session *session)
{
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
}

static struct etcd_fixture *create_etcd(void)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    return etcd;
}

static int64_t size_of(const char *text)
{
    return (int64_t)strlen(text);
}

/* The record that the session says it has, encoded. */
static const char *own_record(struct rollcall_session *session, char *json, size_t json_bytes)
{
    struct rollcall_record *record = NULL;
    size_t size_bytes = 0;
    CHECK_INT(rollcall_session_get_record(session, &record, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_record_encode(record, json, json_bytes, &size_bytes, NULL), ROLLCALL_OK);
    CHECK_INT(size_bytes, size_of(json));
    rollcall_record_free(record);
    return json;
}

/* ---- what is stored ---- */

/* TestSessionLifetime */
TEST(lifetime, the_stored_bytes_are_those_of_its_own_record_until_key_and_lease_are_gone)
{
    struct api_scene scene;
    char json[API_VALUE_BYTES], key[API_VALUE_BYTES];
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 0, 60, NULL);
    const struct rollcall_session_info info = api_info(session);
    snprintf(key, sizeof key, "%s", info.key);
    struct api_stored stored = api_stored(&scene, key);
    CHECK_STR(own_record(session, json, sizeof json), stored.value);
    CHECK_INT(stored.lease_id, info.lease_id);
    CHECK(api_lease_left_s(&scene, info.lease_id) > 0);
    CHECK_INT(rollcall_session_mark_stopping(session, API_SOON_MS, NULL), ROLLCALL_OK);
    stored = api_stored(&scene, key);
    api_check_contains(stored.value, "\"Stopping\":true");
    CHECK_STR(own_record(session, json, sizeof json), stored.value);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(!api_stored(&scene, key).there);
    CHECK_INT(api_lease_left_s(&scene, info.lease_id), -1);
    close_session(session);
    api_scene_close(&scene);
}

/* ---- what it says of itself ---- */

/* TestSession_Registered; upstream's stays true for ever. */
TEST(lifetime, registered_is_true_from_active_to_the_end_and_not_before_or_after)
{
    struct api_scene scene;
    struct rollcall_session *session;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *holder = api_open(&scene, "querynode", 1, 60, NULL);
    CHECK_INT(rollcall_session_start(
                  scene.etcd,
                  ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                           .address = "10.0.0.8:21123", .server_id = 1),
                  &session, NULL),
              ROLLCALL_OK);
    CHECK(!api_info(session).registered);
    CHECK_INT(rollcall_session_wait(session, 200, NULL), ROLLCALL_E_TIMEOUT);
    CHECK(!api_info(session).registered);
    CHECK_INT(api_info(session).create_revision, 0);
    CHECK_STR(api_info(session).key, "");
    close_session(holder);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    const struct rollcall_session_info info = api_info(session);
    CHECK(info.registered);
    CHECK_INT(info.revision, info.create_revision);
    CHECK_INT(info.create_revision, api_stored(&scene, info.key).create_revision);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(!api_info(session).registered);
    CHECK(!api_info(session).disconnected);
    close_session(session);
    api_scene_close(&scene);
}

/* TestDisconnected: false, true, false. */
TEST(lifetime, disconnected_is_true_from_a_loss_until_it_is_registered_again)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    CHECK(!api_info(session).disconnected);
    CHECK_INT(api_info(session).loss, ROLLCALL_LOSS_NONE);
    api_delete(&scene, api_info(session).key);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK(api_info(session).disconnected);
    CHECK_INT(rollcall_session_restart(session, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(!api_info(session).disconnected);
    CHECK(api_info(session).registered);
    close_session(session);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

struct reader {
    struct rollcall_session *session;
    const bool *over;
    const char *unmarked, *marked; /* the only two that may be seen */
    pthread_t thread;
    int64_t strange, marked_seen, reads;
    bool back; /* unmarked after marked */
};

static void *read_record(void *argument)
{
    struct reader *reader = argument;
    char json[API_VALUE_BYTES];
    while (!__atomic_load_n(reader->over, __ATOMIC_ACQUIRE)) {
        struct rollcall_record *record = NULL;
        if (rollcall_session_get_record(reader->session, &record, NULL) != ROLLCALL_OK ||
            rollcall_record_encode(record, json, sizeof json, NULL, NULL) != ROLLCALL_OK) {
            reader->strange++;
            json[0] = '\0';
        }
        rollcall_record_free(record);
        const bool marked = strcmp(json, reader->marked) == 0;
        reader->strange += !marked && strcmp(json, reader->unmarked) != 0;
        reader->back |= !marked && reader->marked_seen != 0;
        reader->marked_seen += marked;
        __atomic_add_fetch(&reader->reads, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* D-84: upstream's encoding writes to what others read. */
TEST(lifetime, many_threads_read_the_record_whole_while_it_is_marked)
{
    struct api_scene scene;
    struct reader readers[READERS];
    char unmarked[API_VALUE_BYTES], marked[API_VALUE_BYTES + 32];
    bool over = false;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    own_record(session, unmarked, sizeof unmarked);
    const char *const after = strstr(unmarked, "\"TriggerKill\"");
    CHECK(after != NULL);
    snprintf(marked, sizeof marked, "%.*s\"Stopping\":true,%s", (int)(after - unmarked), unmarked,
             after);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){
            .session = session, .over = &over, .unmarked = unmarked, .marked = marked};
        CHECK_INT(
            rollcall__thread_start(&readers[i].thread, "reader", read_record, &readers[i], NULL),
            ROLLCALL_OK);
    }
    CHECK_INT(rollcall_session_mark_stopping(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_STR(api_stored(&scene, api_info(session).key).value, marked);
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (int i = 0; i < READERS; i++) {
        CHECK_INT(pthread_join(readers[i].thread, NULL), 0);
        CHECK_INT(readers[i].strange, 0);
        CHECK(!readers[i].back);
        CHECK(readers[i].reads > 0);
    }
    close_session(session);
    api_scene_close(&scene);
}

/* ---- revoking ---- */

/* TestRevoke: a registered session's key is gone at once, without a mark. */
TEST(lifetime, revoke_takes_key_and_lease_away_unmarked)
{
    struct api_scene scene;
    struct api_session_log log;
    struct api_watch_log watched;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    api_watch_log_init(&watched);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &watched);
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    const int64_t lease_id = api_info(session).lease_id;
    rollcall_session_revoke(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(api_lease_left_s(&scene, lease_id), -1);
    CHECK(api_watch_await(&watched, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS));
    CHECK_INT(api_watch_count(&watched, ROLLCALL_WATCH_UPDATE), 0);
    rollcall_session_revoke(session); /* again: nothing */
    close_session(session);
    api_session_check_story(&log, "ACTIVE STOPPING STOPPED");
    api_watch_close(watch, &watched);
    api_watch_check(&watched);
    api_watch_log_fini(&watched);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* TestRevoke: of a session that was lost, and of one that has nothing. */
TEST(lifetime, revoke_of_a_lost_session_or_of_one_that_never_was_does_nothing)
{
    static const char *const rival = "{\"ServerID\":99,\"ServerName\":\"querynode\"}";
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_session *session;
    char key[256];
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    session = api_open(&scene, "querynode", 1, 60, &log);
    snprintf(key, sizeof key, "%s", api_info(session).key);
    const int64_t lease_id = api_lease_grant(&scene, 60);
    api_store(&scene, key, rival, lease_id);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    rollcall_session_revoke(session);
    close_session(session);
    CHECK_STR(api_stored(&scene, key).value, rival);
    api_session_check_story(&log, "ACTIVE LOST");
    CHECK_INT(rollcall_session_start(
                  scene.etcd,
                  ROLLCALL_SESSION_OPTIONS(.root = scene.root, .role = "querynode",
                                           .address = "10.0.0.8:21123", .server_id = 1),
                  &session, NULL),
              ROLLCALL_OK);
    rollcall_session_revoke(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    close_session(session);
    CHECK_STR(api_stored(&scene, key).value, rival);
    api_lease_revoke(&scene, lease_id);
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

/* ---- the end comes in time ---- */

/* names: what each is called, in a row; NULL: not wanted. */
static int threads_of_process(FILE *names)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder != NULL);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->d_name);
        FILE *comm = names == NULL || entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (comm != NULL && fgets(name, sizeof name, comm) != NULL) {
            fputs(name, names);
        }
        if (comm != NULL) {
            fclose(comm);
        }
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

static void live_once(void)
{
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_shared());
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    rollcall_session_stop(session);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    close_session(session);
    api_session_check_story(&log, "ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
}

static bool await_threads(int count, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (threads_of_process(NULL) > count && process_now_ms() < until_ms) {
        process_sleep_ms(10);
    }
    return threads_of_process(NULL) <= count || threads_of_process(stderr) <= count;
}

/* TestKeepAliveRetryActiveCancel, D-51, D-52: the workers end, and the process does not. */
TEST(lifetime, a_life_that_was_stopped_leaves_no_thread_behind)
{
    live_once(); /* what gRPC keeps for the process is there from now on */
    const int before = threads_of_process(NULL);
    for (int i = 0; i < LIVES; i++) {
        live_once();
    }
    CHECK(await_threads(before, API_SOON_MS));
}

/* D-27, D-80: upstream waits for ever, or says it was successful. */
TEST(lifetime, stop_with_a_silent_etcd_keeps_to_its_budget_says_so_and_is_done_later)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log log;
    struct rollcall_error error;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, &log);
    etcd_fixture_freeze(etcd);
    rollcall_session_stop(session);
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_wait_over(session, BUDGET_MS, &error), ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() - began_ms >= BUDGET_MS);
    CHECK(process_now_ms() - began_ms < BUDGET_MS + LATE_MS);
    api_check_contains(error.text, "not over within");
    CHECK_INT(api_info(session).state, ROLLCALL_SESSION_STOPPING);
    etcd_fixture_thaw(etcd);
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&scene), 0);
    close_session(session);
    api_session_check_story(&log, "ACTIVE STOPPING STOPPED");
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

/* D-80: upstream revokes once, for a second, and the key stays for a TTL. */
TEST(lifetime, stop_goes_on_when_etcd_dies_under_it_and_is_done_when_it_is_back)
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    struct rollcall_session *session = api_open(&scene, "querynode", 1, 60, NULL);
    etcd_fixture_freeze(etcd);
    rollcall_session_revoke(session);
    CHECK_INT(rollcall_session_wait_over(session, BUDGET_MS, NULL), ROLLCALL_E_TIMEOUT);
    etcd_fixture_kill(etcd);
    CHECK(etcd_fixture_restart(etcd));
    CHECK_INT(rollcall_session_wait_over(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&scene), 0);
    close_session(session);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

static void check_never_renewed(void (*begin)(struct etcd_fixture *),
                                bool (*end)(struct etcd_fixture *))
{
    struct etcd_fixture *etcd = create_etcd();
    struct api_scene scene;
    struct api_session_log log;
    api_scene_open(&scene, etcd_fixture_endpoint(etcd));
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, BRIEF_S, &log);
    begin(etcd);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_close(session, BUDGET_MS), ROLLCALL_E_TIMEOUT);
    CHECK(process_now_ms() - began_ms < BUDGET_MS + LATE_MS);
    CHECK(end(etcd));
    CHECK(api_await_lease_count(&scene, 0, API_SOON_MS));
    api_session_check_story(&log, "ACTIVE SUSPECT STOPPING");
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_fixture_destroy(etcd);
}

static bool thaw(struct etcd_fixture *etcd)
{
    etcd_fixture_thaw(etcd);
    return true;
}

/* D-44, D-45: upstream's stop blocks for 41 s, and a renewal that crosses it lives for ever. */
TEST(lifetime, a_session_stopped_while_etcd_is_silent_is_never_renewed_again)
{
    check_never_renewed(etcd_fixture_freeze, thaw);
}

TEST(lifetime, a_session_stopped_while_etcd_is_down_is_never_renewed_again)
{
    check_never_renewed(etcd_fixture_kill, etcd_fixture_restart);
}

/* Closed without going: etcd is not asked, and the lease lives out its TTL and no longer. */
TEST(lifetime, a_session_closed_without_going_is_never_renewed_again)
{
    struct api_scene scene;
    api_scene_open(&scene, etcd_fixture_shared());
    struct rollcall_session *session = api_open(&scene, "querynode", 1, BRIEF_S, NULL);
    const int64_t lease_id = api_info(session).lease_id;
    const int64_t began_ms = process_now_ms();
    CHECK_INT(rollcall_session_close(session, 0), ROLLCALL_OK);
    CHECK(process_now_ms() - began_ms < LATE_MS);
    CHECK(api_await_no_lease(&scene, lease_id, API_SOON_MS));
    api_scene_close(&scene);
}

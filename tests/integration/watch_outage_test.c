/*
 * Watches in outages: of one etcd behind a proxy, and of a cluster of three.  Each test has the
 * number of its scenario, which the table in tests/README.md lists.
 *
 * What a watch told is held against etcd's own history, change by change: see support/recorder.h.
 */
#include "support/gateway.h"
#include "support/numbered.h"
#include "support/outage.h"
#include "support/recorder.h"
#include "support/test.h"

#include <stdlib.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, MS_PER_S = 1000, NUMBERED = 20 };
/* Of these one writes alone, or all at once. */
enum { WRITERS = 8, KEYS = WRITERS * NUMBERED + 2 };

/* One watch, and writers that do not go through the proxies. */
struct stage {
    struct outage outage;
    struct numbered_writer writer, others[WRITERS - 1];
    struct recorder recorder;
    struct recorder_watch watch;
};

static void begin(struct stage *stage, const char *endpoint)
{
    const struct api_scene *scene = &stage->outage.scene[0];
    stage->writer =
        (struct numbered_writer){.endpoints = {endpoint}, .root = scene->root, .keys = NUMBERED};
    stage->watch = (struct recorder_watch){.user = NULL};
    recorder_init(&stage->recorder, endpoint, scene->root, KEYS, 0);
    CHECK(numbered_write(&stage->writer, 2 * NUMBERED));
    recorder_watch_open(&stage->watch, &stage->recorder, scene, 0);
    CHECK(recorder_await(&stage->watch, recorder_mark(&stage->recorder), API_SOON_MS));
}

static void begin_node(struct stage *stage)
{
    outage_open_node(&stage->outage, NULL);
    begin(stage, etcd_fixture_endpoint(stage->outage.etcd));
}

/* argument: as outage_open_cluster_with.  proxies: the members that the watch may go to. */
static void begin_cluster(struct stage *stage, const char *argument, const int *proxies)
{
    outage_open_cluster_with(&stage->outage, 0, argument);
    outage_connect(&stage->outage, proxies);
    begin(stage, etcd_cluster_endpoint(stage->outage.cluster, 0));
}

/* All of them, to these endpoints. */
static void start_writing(struct stage *stage)
{
    numbered_writer_start(&stage->writer);
    for (int i = 0; i < WRITERS - 1; i++) {
        struct numbered_writer *other = &stage->others[i];
        memcpy(other->endpoints, stage->writer.endpoints, sizeof other->endpoints);
        other->root = stage->writer.root;
        other->first = (i + 1) * NUMBERED;
        other->keys = NUMBERED;
        numbered_writer_start(other);
    }
}

static void stop_writing(struct stage *stage)
{
    numbered_writer_stop(&stage->writer);
    for (int i = 0; i < WRITERS - 1; i++) {
        numbered_writer_stop(&stage->others[i]);
    }
}

/* From here on it is written to others than this member. */
static void write_beside(struct stage *stage, int member)
{
    struct numbered_writer *writer = &stage->writer;
    writer->endpoint = 0;
    for (int i = 0; i < MEMBERS; i++) {
        const int other = (member + 1 + i) % MEMBERS;
        writer->endpoints[i] =
            i == MEMBERS - 1 ? NULL : etcd_cluster_endpoint(stage->outage.cluster, other);
    }
    stage->recorder.endpoint = writer->endpoints[0];
}

/* All that was written so far has been told. */
static int64_t await_told(struct stage *stage)
{
    const int64_t revision = recorder_mark(&stage->recorder);
    CHECK(recorder_await(&stage->watch, revision, API_SOON_MS));
    return revision;
}

/* It told each change once and in order, but for those that a right difference stands for.  Returns
 * how many resyncs that took. */
static size_t end_checked(struct stage *stage)
{
    await_told(stage);
    const size_t resyncs = recorder_check(&stage->watch);
    recorder_watch_fini(&stage->watch);
    recorder_fini(&stage->recorder);
    outage_close(&stage->outage);
    return resyncs;
}

/* It told so many resyncs. */
static void end(struct stage *stage, size_t resyncs)
{
    CHECK_INT(end_checked(stage), resyncs);
}

/* Of a cluster: a member that lags behind when the watch comes may be taken for one that was
 * restored, and then the difference is told. */
static void end_of_cluster(struct stage *stage, const char *what)
{
    outage_say(what, (int64_t)end_checked(stage));
}

/* ---- connections and members that come and go ---- */

/* C1 */
TEST(watch_outage, a_member_killed_under_its_watch_again_and_again_costs_no_change)
{
    const int64_t kills = outage_choose(3, 10);
    static struct stage stage;
    begin_cluster(&stage, NULL, (const int[]){0, 1, 2, -1});
    for (int i = 0; i < MEMBERS; i++) {
        stage.writer.endpoints[i] = etcd_cluster_endpoint(stage.outage.cluster, i);
    }
    for (int64_t i = 0; i < kills; i++) {
        start_writing(&stage);
        const int carrier = outage_watch_carrier(&stage.outage);
        etcd_cluster_kill(stage.outage.cluster, carrier);
        CHECK(etcd_cluster_await_leader(stage.outage.cluster, carrier, API_SOON_MS));
        CHECK(etcd_cluster_restart(stage.outage.cluster, carrier));
        stop_writing(&stage);
        CHECK(etcd_cluster_await_whole(stage.outage.cluster, API_SOON_MS));
        await_told(&stage);
    }
    outage_say("C1: changes", (int64_t)stage.recorder.history.count);
    end_of_cluster(&stage, "C1: resyncs");
}

/* C2 */
TEST(watch_outage, a_connection_reset_every_200_ms_costs_no_change_and_repeats_none)
{
    enum { EVERY_MS = 200 };
    const int64_t lasts_ms = outage_choose(3, 30) * MS_PER_S;
    static struct stage stage;
    begin_node(&stage);
    const uint64_t connections = proxy_connections(stage.outage.proxy[0]);
    const int64_t until_ms = process_now_ms() + lasts_ms;
    start_writing(&stage);
    int64_t cuts = 0;
    for (; process_now_ms() < until_ms; cuts++) {
        process_sleep_ms(EVERY_MS); /* the fault itself */
        proxy_cut(stage.outage.proxy[0]);
    }
    stop_writing(&stage);
    await_told(&stage);
    outage_say("C2: changes", (int64_t)stage.recorder.history.count);
    outage_say("C2: resets", cuts);
    CHECK(proxy_connections(stage.outage.proxy[0]) > connections);
    end(&stage, 0);
}

/* Three members, and a writer that is beside the one that carries the watch; returns that one. */
static int begin_on_carrier(struct stage *stage)
{
    begin_cluster(stage, NULL, (const int[]){0, 1, 2, -1});
    numbered_writer_start(&stage->writer);
    const int carrier = outage_watch_carrier(&stage->outage);
    numbered_writer_stop(&stage->writer);
    write_beside(stage, carrier);
    return carrier;
}

/* C19: what it is told it may be told late, and by nobody else but the other two. */
TEST(watch_outage, a_member_cut_off_from_the_others_is_left_by_its_watch)
{
    enum { PLAY_MS = 15000, FULL_MS = 3 * OUTAGE_ELECTION_MS + MS_PER_S };
    static struct stage stage;
    const int carrier = begin_on_carrier(&stage);
    const int64_t cut_ms = process_now_ms();
    etcd_cluster_cut_off(stage.outage.cluster, carrier);
    CHECK(etcd_cluster_await_leader(stage.outage.cluster, carrier, API_SOON_MS));
    numbered_writer_start(&stage.writer);
    process_sleep_ms(MS_PER_S); /* so much it cannot know */
    numbered_writer_stop(&stage.writer);
    await_told(&stage);
    outage_say("C19: left after", process_now_ms() - cut_ms);
    CHECK(process_now_ms() - cut_ms <= outage_choose(PLAY_MS, FULL_MS));
    etcd_cluster_let_in(stage.outage.cluster, carrier);
    CHECK(etcd_cluster_await_whole(stage.outage.cluster, API_SOON_MS));
    CHECK(numbered_write(&stage.writer, NUMBERED));
    end_of_cluster(&stage, "C19: resyncs");
}

/* C20: its connection stands, and nothing is told or asked; only pings see that it is frozen. */
TEST(watch_outage, a_frozen_member_is_left_by_its_idle_watch_once_pings_are_not_answered)
{
    enum { PING_MS = 7000, PING_TIMEOUT_MS = 3000, MOVE_MS = 1000, PLAY_MS = 2 * API_SOON_MS };
    static struct stage stage;
    const int carrier = begin_on_carrier(&stage);
    await_told(&stage);
    const int64_t frozen_ms = process_now_ms();
    etcd_cluster_freeze(stage.outage.cluster, carrier);
    CHECK(etcd_cluster_await_leader(stage.outage.cluster, carrier, API_SOON_MS));
    await_told(&stage);
    outage_say("C20: left after", process_now_ms() - frozen_ms);
    CHECK(process_now_ms() - frozen_ms <=
          outage_choose(PLAY_MS, PING_MS + PING_TIMEOUT_MS + MOVE_MS));
    etcd_cluster_thaw(stage.outage.cluster, carrier);
    CHECK(etcd_cluster_await_whole(stage.outage.cluster, API_SOON_MS));
    CHECK(numbered_write(&stage.writer, NUMBERED));
    end_of_cluster(&stage, "C20: resyncs");
}

/* ---- compaction ---- */

/* C3 */
TEST(watch_outage, what_was_compacted_while_it_was_cut_off_is_told_as_one_difference)
{
    static struct stage stage;
    begin_node(&stage);
    proxy_set(stage.outage.proxy[0], PROXY_REFUSE);
    CHECK(numbered_write(&stage.writer, 15 * NUMBERED)); /* each is deleted, and put again */
    CHECK(gateway_compact(stage.recorder.endpoint, recorder_mark(&stage.recorder)));
    char key[GATEWAY_TEXT_BYTES];
    numbered_key(stage.writer.root, 3, key);
    CHECK(gateway_delete(stage.recorder.endpoint, key));
    proxy_set(stage.outage.proxy[0], PROXY_FORWARD);
    await_told(&stage);
    CHECK_INT(recorder_count(&stage.watch, ROLLCALL_WATCH_RESYNC_END), 1);
    CHECK(numbered_write(&stage.writer, 12 * NUMBERED));
    end(&stage, 1);
}

/* What is compacted at: relative to the first revision that was not told. */
static size_t resyncs_after_compaction(int64_t delta)
{
    static struct stage stage;
    begin_node(&stage);
    const int64_t next_revision = await_told(&stage) + 1;
    proxy_set(stage.outage.proxy[0], PROXY_REFUSE);
    CHECK(numbered_write(&stage.writer, 1));
    CHECK_INT(recorder_mark(&stage.recorder), next_revision + 1);
    CHECK(gateway_compact(stage.recorder.endpoint, next_revision + delta));
    proxy_set(stage.outage.proxy[0], PROXY_FORWARD);
    await_told(&stage);
    const size_t resyncs = recorder_count(&stage.watch, ROLLCALL_WATCH_RESYNC_END);
    end(&stage, resyncs);
    return resyncs;
}

/* C4: at that revision itself etcd could go on, but some would leave a DELETE out (D-06), so there
 * either is right. */
TEST(watch_outage, a_compaction_is_a_resync_only_if_it_took_what_was_not_told)
{
    CHECK_INT(resyncs_after_compaction(-1), 0);
    CHECK(resyncs_after_compaction(0) <= 1);
    CHECK_INT(resyncs_after_compaction(1), 1);
}

/* ---- an etcd that goes back ---- */

static void store(const char *endpoint, const char *root, int id, int64_t number)
{
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    numbered_key(root, id, key);
    numbered_value(id, number, value);
    CHECK(gateway_put(endpoint, key, value, NULL));
}

/* What was told is what a list says.  That a key's revision went back is no fault of the watch. */
static void check_is_listed(const struct api_scene *scene, struct api_watch_log *log)
{
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(scene, "datanode", &listed);
    api_watch_check_same(log, &listed);
    api_watch_log_fini(&listed);
    CHECK(log->fault[0] == '\0' || strstr(log->fault, " is told at ") != NULL);
}

/* The nth resync says what happened: nothing was compacted. */
static void check_says_restored(struct api_watch_log *log, size_t nth)
{
    size_t at = 0;
    while (api_watch_at(log, at).type != ROLLCALL_WATCH_RESYNC_BEGIN || --nth > 0) {
        at++;
    }
    CHECK_INT(api_watch_at(log, at).status, ROLLCALL_E_COMPACTED);
    api_check_contains(api_watch_at(log, at).reason, "it was restored or set up anew");
}

/* C21: first to what it was, then to one that is new, of another cluster, at the same address. */
TEST(watch_outage, an_etcd_that_was_restored_to_an_earlier_state_is_listed_again)
{
    char token[] = "--initial-cluster-token=a";
    struct outage outage;
    struct api_watch_log log;
    outage_open_node(&outage, (const char *const[]){token, NULL});
    const struct api_scene *scene = &outage.scene[0];
    const char *endpoint = etcd_fixture_endpoint(outage.etcd);
    store(endpoint, scene->root, 1, 1);
    store(endpoint, scene->root, 2, 1);
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(scene, "datanode", 0, &log);
    CHECK(api_watch_await_told(&log, 2, API_SOON_MS));
    etcd_fixture_kill(outage.etcd);
    CHECK(etcd_fixture_save(outage.etcd));
    CHECK(etcd_fixture_restart(outage.etcd));
    for (int i = 0; i < NUMBERED; i++) {
        store(endpoint, scene->root, 3, i);
    }
    CHECK(api_watch_await_told(&log, 3, API_SOON_MS));
    for (size_t resyncs = 1; resyncs <= 2; resyncs++) {
        etcd_fixture_kill(outage.etcd);
        token[sizeof token - 2] = (char)('a' + resyncs - 1);
        CHECK(resyncs == 1 ? etcd_fixture_restore(outage.etcd) : etcd_fixture_wipe(outage.etcd));
        CHECK(etcd_fixture_restart(outage.etcd));
        CHECK(api_watch_await(&log, ROLLCALL_WATCH_RESYNC_END, resyncs, API_SOON_MS));
        check_says_restored(&log, resyncs);
        CHECK_INT(api_watch_told(&log), resyncs == 1 ? 2 : 0);
        store(endpoint, scene->root, 2, 7);
        store(endpoint, scene->root, 4, 7);
        CHECK(api_watch_await_told(&log, resyncs == 1 ? 3 : 2, API_SOON_MS));
        check_is_listed(scene, &log);
    }
    api_watch_close(watch, &log);
    api_watch_log_fini(&log);
    outage_close(&outage);
}

/* ---- a follower that missed much ---- */

static bool log_says(const char *path, const char *text)
{
    FILE *log = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0;
    bool found = false;
    while (log != NULL && !found && getline(&line, &capacity, log) > 0) {
        found = strstr(line, text) != NULL;
    }
    free(line);
    if (log != NULL) {
        fclose(log);
    }
    return found;
}

/* How many entries of its log it has applied. */
static int64_t entries(const struct stage *stage)
{
    return gateway_metric(stage->recorder.endpoint, "etcd_server_proposals_applied_total");
}

/* etcd sends a snapshot to who misses more than the 5,000 entries that it keeps.  Many write at
 * once, for it syncs its disk once for all that wait. */
static void write_many(struct stage *stage)
{
    enum { MANY = 48, ENTRIES = 5200, PAUSE_MS = 100 };
    static struct numbered_writer many[MANY];
    char roots[MANY][32]; /* that nobody watches */
    const int64_t from = entries(stage), until_ms = process_now_ms() + 6 * API_SOON_MS;
    numbered_writer_start(&stage->writer);
    for (int i = 0; i < MANY; i++) {
        many[i] = (struct numbered_writer){
            .endpoints = {stage->recorder.endpoint}, .root = roots[i], .keys = NUMBERED};
        snprintf(roots[i], sizeof roots[i], "many-%d", i);
        numbered_writer_start(&many[i]);
    }
    while (entries(stage) < from + ENTRIES && process_now_ms() < until_ms) {
        process_sleep_ms(PAUSE_MS);
    }
    for (int i = 0; i < MANY; i++) {
        numbered_writer_stop(&many[i]);
    }
    numbered_writer_stop(&stage->writer);
    CHECK(entries(stage) >= from + ENTRIES);
}

/* C22: the watch knows this member alone. */
TEST(watch_outage, a_follower_that_is_sent_a_snapshot_tells_its_watch_every_change_once)
{
    static struct stage stage;
    outage_open_cluster_with(&stage.outage, 0, "--snapshot-count=10");
    const int follower = (outage_leader(&stage.outage) + 1) % MEMBERS;
    outage_connect(&stage.outage, (const int[]){follower, -1});
    begin(&stage, etcd_cluster_endpoint(stage.outage.cluster, (follower + 1) % MEMBERS));
    write_beside(&stage, follower);
    await_told(&stage);
    etcd_cluster_cut_off(stage.outage.cluster, follower);
    CHECK(etcd_cluster_await_leader(stage.outage.cluster, follower, API_SOON_MS));
    const int64_t began_ms = process_now_ms();
    write_many(&stage);
    outage_say("C22: written in", process_now_ms() - began_ms);
    etcd_cluster_let_in(stage.outage.cluster, follower);
    await_told(&stage);
    CHECK(log_says(etcd_cluster_log_path(stage.outage.cluster, follower), "applied snapshot"));
    CHECK(numbered_write(&stage.writer, NUMBERED));
    end_of_cluster(&stage, "C22: resyncs");
}

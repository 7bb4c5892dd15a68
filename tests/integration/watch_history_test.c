/*
 * Watches of much at once: of a long history, of large values, of many keys in one revision, cut in
 * the middle.  Each test has the number of its scenario, which the table in tests/README.md lists.
 */
#include "support/gateway.h"
#include "support/numbered.h"
#include "support/outage.h"
#include "support/recorder.h"
#include "support/test.h"

#include <stdatomic.h>

enum { NUMBERED = 20, KEYS = NUMBERED + 2, SCRIPT_BYTES = 2048 };

/* ---- what is large, put from outside ---- */

/* put NAME BYTES: a record that is so long, and more; many FROM TO BYTES: so many of them in one
 * revision; the number of each is in its name. */
#define LARGE                                                                                      \
    "record() { printf '{\"ServerID\":%d,\"ServerName\":\"x\",\"Address\":\"' $1;"                 \
    " head -c $2 /dev/zero | tr '\\0' a; printf '\"}'; }\n"                                        \
    "put() { record 1 $2 | etcdctl put $ROOT/session/$1 >/dev/null; }\n"                           \
    "many() { long=$(head -c $3 /dev/zero | tr '\\0' a); { echo; i=$1;"                            \
    " while [ $i -le $2 ]; do echo \"put $4 $ROOT/session/querynode-$i"                            \
    " \\\"{\\\\\\\"ServerID\\\\\\\":$i,\\\\\\\"Address\\\\\\\":\\\\\\\"$long\\\\\\\"}\\\"\";"      \
    " i=$((i+1)); done; echo; echo; } | etcdctl txn >/dev/null; }\n"

static void put_large(const struct api_scene *scene, const char *lines)
{
    char script[SCRIPT_BYTES];
    snprintf(script, sizeof script, "%s%s", LARGE, lines);
    api_etcdctl(scene, script, NULL, 0);
}

/* A watch of role "querynode" through the proxy. */
struct stage {
    struct outage outage;
    struct api_scene beside; /* straight to etcd */
    struct api_watch_log log;
    struct rollcall_watch *watch;
};

static void begin(struct stage *stage, const char *const *more_arguments)
{
    outage_open_node(&stage->outage, more_arguments);
    stage->beside = outage_beside(&stage->outage, 0);
    api_watch_log_init(&stage->log);
}

static void watch_all(struct stage *stage)
{
    stage->watch = api_watch(&stage->outage.scene[0], "querynode", 0, &stage->log);
    CHECK(api_watch_await(&stage->log, ROLLCALL_WATCH_SNAPSHOT_END, 1, 2 * API_SOON_MS));
}

static void check_is_listed(struct stage *stage)
{
    struct api_watch_log listed;
    api_watch_log_init(&listed);
    api_list(&stage->outage.scene[0], "querynode", &listed);
    api_watch_check_same(&stage->log, &listed);
    api_watch_log_fini(&listed);
}

static void end(struct stage *stage)
{
    CHECK_INT(api_watch_count(&stage->log, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    api_watch_close(stage->watch, &stage->log);
    api_watch_check(&stage->log);
    api_watch_log_fini(&stage->log);
    outage_close(&stage->outage);
}

/* ---- a long history ---- */

/* Cuts the connection once the last of the first batch was told, long before the next comes. */
struct cutter {
    struct proxy *proxy;
    int64_t at_revision;
    atomic_bool done;
};

static void cut_after(void *user, const struct recorder_change *change)
{
    struct cutter *cutter = user;
    if (change->revision >= cutter->at_revision && !atomic_exchange(&cutter->done, true)) {
        proxy_cut(cutter->proxy);
    }
}

/* C5: etcd tells 1,000 revisions at once, under a header with the revision of now. */
TEST(watch_history, a_catching_up_that_is_cut_after_its_first_batch_goes_on_where_that_ended)
{
    enum { BATCH = 1000 };
    const int64_t puts = outage_choose(BATCH + 200, 2500);
    struct outage outage;
    struct recorder recorder;
    struct recorder_watch watch;
    struct cutter cutter = {.at_revision = 0};
    outage_open_node(&outage, NULL);
    const char *endpoint = etcd_fixture_endpoint(outage.etcd);
    struct numbered_writer writer = {
        .endpoints = {endpoint}, .root = outage.scene[0].root, .keys = NUMBERED};
    recorder_init(&recorder, endpoint, writer.root, KEYS, 0);
    const int64_t first = recorder_mark(&recorder);
    CHECK(numbered_write(&writer, puts));
    cutter.proxy = outage.proxy[0];
    cutter.at_revision = first + BATCH - 1;
    watch = (struct recorder_watch){.on_told = cut_after, .user = &cutter};
    recorder_watch_open(&watch, &recorder, &outage.scene[0], first + 1);
    CHECK(recorder_await(&watch, recorder_mark(&recorder), API_SOON_MS));
    CHECK(atomic_load(&cutter.done));
    CHECK_INT(recorder_check(&watch), 0);
    recorder_watch_fini(&watch);
    recorder_fini(&recorder);
    outage_close(&outage);
}

/* ---- one revision that is large ---- */

/* Waits until the proxy has had so many more bytes from etcd, and cuts.  Returns how many it were.
 */
static uint64_t cut_after_bytes(struct proxy *proxy, uint64_t from, uint64_t bytes)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (proxy_bytes_from(proxy, PROXY_SERVER) < from + bytes && process_now_ms() < until_ms) {
    }
    proxy_cut(proxy);
    return proxy_bytes_from(proxy, PROXY_SERVER) - from;
}

/* C7: 100 keys of 30 kB are deleted, and each is told with what it was, for there was no list: more
 * than fits into one message. */
TEST(watch_history, a_revision_of_three_megabytes_cut_anywhere_is_told_whole_and_once)
{
    enum { MANY = 100, VALUE_BYTES = 30000, CUTS = 4, STEP_BYTES = 600000 };
    struct stage stage;
    int in_the_middle = 0;
    begin(&stage, NULL);
    stage.watch = api_watch(&stage.outage.scene[0], "querynode", 1, &stage.log);
    for (size_t cut = 1; cut <= CUTS; cut++) {
        put_large(&stage.beside, "many 1 40 30000\nmany 41 80 30000\nmany 81 100 30000\n");
        CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_ADD, cut * MANY, API_SOON_MS));
        const uint64_t from = proxy_bytes_from(stage.outage.proxy[0], PROXY_SERVER);
        struct process process;
        api_etcdctl_start(&stage.beside, "etcdctl del --prefix $ROOT/session/", &process);
        const uint64_t bytes = cut_after_bytes(stage.outage.proxy[0], from, cut * STEP_BYTES);
        outage_say("C7: cut after bytes", (int64_t)bytes);
        in_the_middle += bytes >= cut * STEP_BYTES && bytes < MANY * VALUE_BYTES;
        CHECK(process_wait(&process, API_SOON_MS));
        CHECK_INT(process.exit_code, 0);
        process_destroy(&process);
        CHECK(api_watch_await_told(&stage.log, 0, API_SOON_MS));
        CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_DELETE), cut * MANY);
    }
    CHECK(in_the_middle > 0);
    end(&stage);
}

/* C8: each is within what etcd takes, and together they are more than gRPC takes by default. */
TEST(watch_history, four_values_of_a_megabyte_and_a_half_are_told_to_who_comes_later)
{
    struct stage stage;
    begin(&stage, NULL);
    put_large(&stage.beside, "put querynode-1 1400000\nput querynode-2 1400000\n"
                             "put querynode-1 1400001\nput querynode-3 1400000\n");
    stage.log.partial = true;
    stage.watch = api_watch(&stage.outage.scene[0], "querynode", 1, &stage.log);
    CHECK(api_watch_await_told(&stage.log, 3, API_SOON_MS));
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_ADD), 3);
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_UPDATE), 1);
    CHECK(strlen(api_watch_at(&stage.log, 2).value) > 1400000);
    check_is_listed(&stage);
    end(&stage);
}

/* C9: what etcd tells of it is 20 MB, by night. */
TEST(watch_history, the_end_of_a_lease_with_thousands_of_keys_is_told_once_and_whole)
{
    enum { PER_TXN = 500 };
    const int count = (int)outage_choose(2000, 10000);
    char lines[SCRIPT_BYTES / 2];
    struct stage stage;
    begin(&stage, (const char *const[]){"--max-txn-ops=1000", NULL});
    watch_all(&stage);
    const int64_t lease_id = api_lease_grant(&stage.beside, 600);
    for (int i = 0; i < count; i += PER_TXN) {
        snprintf(lines, sizeof lines, "many %d %d 2000 --lease=%" PRIx64 "\n", i + 1, i + PER_TXN,
                 lease_id);
        put_large(&stage.beside, lines);
    }
    CHECK(api_watch_await_told(&stage.log, (size_t)count, 2 * API_SOON_MS));
    api_lease_revoke(&stage.beside, lease_id);
    CHECK(api_watch_await_told(&stage.log, 0, 2 * API_SOON_MS));
    const int64_t revision = api_watch_last(&stage.log).mod_revision;
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_DELETE), count);
    for (int i = 0; i < count; i++) {
        CHECK_INT(api_watch_at(&stage.log, (size_t)(2 + count + i)).mod_revision, revision);
    }
    end(&stage);
}

/* ---- a large list ---- */

/* Compacts all history while a list is being read: at some moments after so many bytes of it. */
struct compactor {
    const char *endpoint;
    uint64_t seen_bytes, next_bytes, step_bytes;
    int left, failed;
};

static void compact_during(void *user, const struct proxy_bytes *bytes)
{
    struct compactor *compactor = user;
    char key[GATEWAY_TEXT_BYTES];
    int64_t revision = 0;
    compactor->seen_bytes += bytes->from == PROXY_SERVER ? bytes->end - bytes->begin : 0;
    if (compactor->left == 0 || compactor->seen_bytes < compactor->next_bytes) {
        return;
    }
    compactor->left--;
    compactor->next_bytes = compactor->seen_bytes + compactor->step_bytes;
    numbered_key("elsewhere", 1, key);
    compactor->failed += !gateway_put(compactor->endpoint, key, "x", &revision) ||
                         !gateway_compact(compactor->endpoint, revision);
}

/* C10: pages are read at one revision; what is compacted between two of them is read anew. */
TEST(watch_history, a_list_of_ten_thousand_is_whole_though_history_is_compacted_while_it_is_read)
{
    enum { PER_TXN = 1000, PAGE_BYTES = 100000, COMPACTIONS = 3 };
    const int count = (int)outage_choose(4000, 10000);
    char lines[SCRIPT_BYTES / 2];
    struct stage stage;
    begin(&stage, (const char *const[]){"--max-txn-ops=1000", NULL});
    for (int i = 0; i < count; i += PER_TXN) {
        snprintf(lines, sizeof lines, "many %d %d 100\n", i + 1, i + PER_TXN);
        put_large(&stage.beside, lines);
    }
    struct compactor compactor = {.endpoint = stage.beside.endpoint,
                                  .next_bytes = PAGE_BYTES,
                                  .step_bytes = 2 * PAGE_BYTES,
                                  .left = COMPACTIONS};
    struct proxy *proxy = proxy_create(compactor.endpoint, compact_during, &compactor);
    CHECK(proxy != NULL);
    struct api_scene scene;
    api_scene_open(&scene, proxy_endpoint(proxy));
    memcpy(scene.root, stage.beside.root, sizeof scene.root);
    stage.watch = api_watch(&scene, "querynode", 0, &stage.log);
    put_large(&stage.beside, "many 20001 20100 100\nmany 1 50 101\n"
                             "etcdctl del $ROOT/session/querynode-99 >/dev/null\n"
                             "put querynode-30000 10\n");
    const int64_t until_ms = process_now_ms() + 2 * API_SOON_MS;
    CHECK(api_watch_await_told(&stage.log, (size_t)count + 100, until_ms - process_now_ms()));
    CHECK_INT(api_watch_count(&stage.log, ROLLCALL_WATCH_SNAPSHOT_END), 1);
    check_is_listed(&stage);
    api_watch_close(stage.watch, &stage.log);
    stage.watch = NULL;
    api_scene_close(&scene);
    proxy_destroy(proxy);
    CHECK_INT(compactor.left + compactor.failed, 0);
    end(&stage);
}

/* C11 */
TEST(watch_history, a_list_of_eight_megabytes_is_read_though_grpc_takes_four_by_default)
{
    struct stage stage;
    begin(&stage, NULL);
    put_large(&stage.beside, "many 1 80 16000\nmany 81 160 16000\nmany 161 240 16000\n"
                             "many 241 320 16000\nmany 321 400 16000\nmany 401 480 16000\n");
    watch_all(&stage);
    CHECK_INT(api_watch_told(&stage.log), 480);
    CHECK_INT(strlen(api_watch_at(&stage.log, 480).value) / 1000, 16);
    end(&stage);
}

/* ---- a value of before that is gone ---- */

/* C23: while etcd cannot get rid of what it is to tell, the record that was deleted is compacted.
 * Who knew it is told the DELETE with it; to who did not there is nothing to tell. */
TEST(watch_history, a_delete_whose_value_of_before_was_compacted_tells_the_last_known)
{
    struct stage stage;
    struct api_watch_log later;
    begin(&stage, NULL);
    put_large(&stage.beside, "put querynode-1 10\n");
    watch_all(&stage);
    put_large(&stage.beside, "put querynode-2 10\n");
    CHECK(api_watch_await_told(&stage.log, 2, API_SOON_MS));
    const int64_t revision = api_watch_last(&stage.log).mod_revision;
    api_watch_log_init(&later);
    struct rollcall_watch *watch = api_watch(&stage.outage.scene[0], "querynode", revision, &later);
    CHECK(api_watch_await(&later, ROLLCALL_WATCH_ADD, 1, API_SOON_MS));
    proxy_set(stage.outage.proxy[0], PROXY_QUESTIONS);
    put_large(
        &stage.beside,
        "i=0; while [ $i -lt 12 ]; do i=$((i+1)); put querynode-3 1000000; done\n"
        "etcdctl del $ROOT/session/querynode-1 >/dev/null\n"
        "etcdctl compaction $(etcdctl get -w fields none | sed -n 's/^\"Revision\" : //p')\n");
    proxy_set(stage.outage.proxy[0], PROXY_FORWARD);
    CHECK(api_watch_await(&stage.log, ROLLCALL_WATCH_DELETE, 1, API_SOON_MS));
    CHECK(strstr(api_watch_last(&stage.log).value, "aaaaaaaaaa") != NULL);
    put_large(&stage.beside, "put querynode-4 10\n");
    CHECK(api_watch_await_told(&later, 3, API_SOON_MS));
    CHECK_INT(api_watch_count(&later, ROLLCALL_WATCH_DELETE), 0);
    CHECK_INT(api_watch_count(&later, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    api_watch_close(watch, &later);
    api_watch_log_fini(&later);
    end(&stage);
}

/*
 * B12, who comes: with sync_members, members are learned from the cluster, and those that were
 * named when connecting may all be gone one day.
 */
#include "support/api_stored.h"
#include "support/etcd_cluster.h"
#include "support/lag.h"
#include "support/test.h"

#include <stdatomic.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, TTL_S = 6, MS_PER_S = 1000 };

/* How many members each of a connection's two transports has learned of, as it says in the log. */
static void note_member(void *user, enum rollcall_log_level level, const char *line)
{
    _Atomic int *learned = user;
    (void)level;
    if (strstr(line, "the cluster has another member") != NULL) {
        atomic_fetch_add(learned, 1);
    }
}

static void await_learned(_Atomic int *learned, int members)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (atomic_load(learned) < 2 * members) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(20);
    }
}

static void connect_to_first(struct api_scene *scene, const struct etcd_cluster *cluster,
                             _Atomic int *learned)
{
    *scene = (struct api_scene){.endpoint = etcd_cluster_endpoint(cluster, 0),
                                .root = "cluster-sync-test"};
    CHECK_INT(
        rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_INFO,
                                                         .log = note_member, .log_user = learned),
                                &scene->runtime, NULL),
        ROLLCALL_OK);
    CHECK_INT(rollcall_etcd_connect(
                  scene->runtime,
                  ROLLCALL_ETCD_OPTIONS(.endpoints = scene->endpoint, .sync_members = true),
                  &scene->etcd, NULL),
              ROLLCALL_OK);
}

/* Whom `asked` takes for the leader is there, and not one that has been removed. */
static void await_leader_but(const struct etcd_cluster *cluster, int asked, int removed)
{
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (etcd_cluster_leader(cluster, asked) <= removed) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(50);
    }
}

/* Takes the first members away, one after the other.  Returns the longest time that it took until
 * the others had a leader, most of it an election's. */
static int64_t remove_all_but(struct etcd_cluster *cluster, int joined)
{
    int64_t longest_ms = 0;
    for (int i = 0; i < MEMBERS; i++) {
        const int64_t from_ms = process_now_ms();
        CHECK(etcd_cluster_remove(cluster, i, joined));
        await_leader_but(cluster, joined, i);
        const int64_t took_ms = process_now_ms() - from_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    return longest_ms;
}

/* Only the fourth is left in the end, which nobody named. */
TEST(cluster_sync, a_member_that_joined_carries_the_session_when_all_that_were_there_have_left)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    struct api_scene scene;
    struct api_session_log log;
    _Atomic int learned = 0;
    CHECK(cluster != NULL);
    CHECK(etcd_cluster_await_whole(cluster, API_SOON_MS));
    connect_to_first(&scene, cluster, &learned);
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 1, TTL_S, &log);
    const int joined = etcd_cluster_add(cluster, 0, false);
    CHECK(joined >= 0);
    await_learned(&learned, MEMBERS); /* the others at first, and then the one that joined */
    struct api_scene beside = scene;
    beside.endpoint = etcd_cluster_endpoint(cluster, joined);
    struct lag *lag = lag_create();
    const int64_t from_ms = process_now_ms();
    await_leader_but(cluster, joined, -1);
    const int64_t leaderless_ms = remove_all_but(cluster, joined);
    /* Longer than a lease lives that a new leader began anew, and nobody renews. */
    CHECK(!api_session_await(&log, ROLLCALL_SESSION_LOST, 1, TTL_S * MS_PER_S * 3 / 2));
    CHECK_INT(etcd_cluster_leader(cluster, joined), joined);
    CHECK(api_lease_left_s(&beside, api_info(session).lease_id) > 0);
    CHECK(api_stored(&beside, api_info(session).key).there);
    fprintf(stderr, "cluster_sync: until a leader at most %" PRId64 " ms\n", leaderless_ms);
    /* A third of the TTL, an election, another try: the TTL outlives that, unless it was long. */
    if (leaderless_ms + lag_ms(lag, from_ms, process_now_ms()) < TTL_S * MS_PER_S / 2) {
        api_session_check_story(&log, "ACTIVE");
    }
    CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_LOST), 0);
    lag_destroy(lag);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&beside), 0);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_cluster_destroy(cluster);
}

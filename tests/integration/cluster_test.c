/*
 * Sessions and watches against a cluster of three: what a member that is frozen, or cut off from
 * the others, costs those who were connected to it.
 *
 * Which member carries a stream is the library's to choose.  So each is hit in turn: one of them
 * was the one.
 */
#include "support/api_stored.h"
#include "support/etcd_cluster.h"
#include "support/test.h"

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, MS_PER_S = 1000, PAUSE_MS = 200 };
/* Less than the 10 s in which gRPC's pings find a silent peer: renewals must not wait for those. */
enum { TTL_S = 8 };
/* etcd ends a stream three election timeouts after it lost its leader: 3 to 5 s. */
enum { MOVED_MS = 15000 };

/* The same root, for etcdctl alone: at a member that is neither frozen nor cut off. */
static struct api_scene beside(const struct api_scene *scene, const struct etcd_cluster *cluster,
                               int member)
{
    struct api_scene other = *scene;
    other.endpoint = etcd_cluster_endpoint(cluster, (member + 1) % MEMBERS);
    return other;
}

/* ---- the fixture ---- */

TEST(cluster, one_of_three_has_no_leader_until_another_is_back)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    CHECK(cluster != NULL);
    CHECK(etcd_cluster_await_whole(cluster, API_SOON_MS));
    etcd_cluster_kill(cluster, 1);
    CHECK(etcd_cluster_await_leader(cluster, 1, API_SOON_MS));
    etcd_cluster_kill(cluster, 2);
    CHECK(etcd_cluster_await_no_leader(cluster, 0, API_SOON_MS));
    CHECK_INT(etcd_cluster_leader(cluster, 2), ETCD_CLUSTER_NO_ANSWER);
    CHECK(etcd_cluster_restart(cluster, 2));
    CHECK(etcd_cluster_await_leader(cluster, 1, API_SOON_MS));
    CHECK(etcd_cluster_restart(cluster, 1));
    CHECK(etcd_cluster_await_whole(cluster, API_SOON_MS));
    etcd_cluster_destroy(cluster);
}

/* ---- watches ---- */

/* Cuts `member` off, and changes what it then cannot know of. */
static void check_moves_from(struct etcd_cluster *cluster, int member,
                             const struct api_scene *scene, struct api_watch_log *log)
{
    const struct api_scene other = beside(scene, cluster, member);
    char key[128], value[128];
    etcd_cluster_cut_off(cluster, member);
    CHECK(etcd_cluster_await_leader(cluster, member, API_SOON_MS));
    snprintf(key, sizeof key, "%s/session/querynode-%d", scene->root, member);
    snprintf(value, sizeof value,
             "{\"ServerID\":%d,\"ServerName\":\"querynode\",\"Address\":\"h:1\"}", member);
    api_store(&other, key, value, 0);
    CHECK(api_watch_await_told(log, (size_t)member + 1, MOVED_MS));
    CHECK_STR(api_watch_last(log).key, key);
    etcd_cluster_let_in(cluster, member);
    CHECK(etcd_cluster_await_whole(cluster, API_SOON_MS));
}

/* D-20: upstream's watch does not ask for a leader, and a member without one is silent for ever. */
TEST(cluster, a_watch_of_a_member_that_lost_its_leader_moves_to_one_that_has_one)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    struct api_scene scene;
    struct api_watch_log log;
    CHECK(cluster != NULL);
    api_scene_open(&scene, etcd_cluster_endpoints(cluster));
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&scene, "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    for (int i = 0; i < MEMBERS; i++) {
        check_moves_from(cluster, i, &scene, &log);
    }
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_ADD), MEMBERS);
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_RESYNC_BEGIN), 0);
    api_watch_check(&log);
    api_watch_close(watch, &log);
    api_watch_log_fini(&log);
    api_scene_close(&scene);
    etcd_cluster_destroy(cluster);
}

/* ---- sessions ---- */

/* Waits until the lease has more time left than it can have without a renewal. */
static bool await_renewal(const struct api_scene *other, int64_t lease_id, int64_t until_ms)
{
    const int64_t first_s = api_lease_left_s(other, lease_id);
    const int64_t first_ms = process_now_ms();
    CHECK(first_s >= 0);
    while (process_now_ms() < until_ms) {
        const int64_t passed_ms = process_now_ms() - first_ms;
        const int64_t left_s = api_lease_left_s(other, lease_id);
        if (left_s > 0 && left_s * MS_PER_S > (first_s + 1) * MS_PER_S - passed_ms) {
            return true;
        }
        process_sleep_ms(PAUSE_MS);
    }
    return false;
}

/* A new leader gives each lease its whole time; so the renewal must come after there is one. */
static void check_renewed_without(struct etcd_cluster *cluster, int member,
                                  const struct api_scene *scene, int64_t lease_id)
{
    const struct api_scene other = beside(scene, cluster, member);
    etcd_cluster_freeze(cluster, member);
    CHECK(etcd_cluster_await_leader(cluster, member, API_SOON_MS));
    CHECK(await_renewal(&other, lease_id, process_now_ms() + TTL_S * MS_PER_S));
    etcd_cluster_thaw(cluster, member);
    CHECK(etcd_cluster_await_whole(cluster, API_SOON_MS));
}

/* D-41: upstream's renewals go to one member, and wait for it until the lease is over. */
TEST(cluster, a_frozen_member_does_not_cost_the_session)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    struct api_scene scene;
    struct api_session_log log;
    CHECK(cluster != NULL);
    api_scene_open(&scene, etcd_cluster_endpoints(cluster));
    api_session_log_init(&log);
    struct rollcall_session *session = api_open(&scene, "querynode", 7, TTL_S, &log);
    for (int i = 0; i < MEMBERS; i++) {
        check_renewed_without(cluster, i, &scene, api_info(session).lease_id);
    }
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_session_count(&log, ROLLCALL_SESSION_LOST), 0);
    api_session_log_fini(&log);
    api_scene_close(&scene);
    etcd_cluster_destroy(cluster);
}

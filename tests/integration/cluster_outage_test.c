/*
 * Leases in the outages of a cluster of three: a member that is frozen, killed, or cut off, from
 * its clients or from the others.  Each test has the number of its scenario, which the table in
 * tests/README.md lists.
 *
 * A gap is the time from a renewal that was answered to the next answer, as a proxy before each
 * member saw them: a third of the TTL, and what the outage cost.
 */
#include "support/outage.h"
#include "support/test.h"

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, MS_PER_S = 1000 };
enum { TTL_S = 5, THIRD_MS = TTL_S * MS_PER_S / 3, HEDGED_MS = 500, FEW = 9 };
enum { UNNOTICED_MS = TTL_S * MS_PER_S - 200 }; /* a gap that is no longer makes nobody SUSPECT */
/* Pings find a peer that is silent, and no call's deadline is waited for; but it may be tried once
 * more, for as long as a connection may take. */
enum { PING_MS = 7000, PING_TIMEOUT_MS = 3000, DIAL_MS = 5000, MOVE_MS = 1000 };

static int64_t await_all_renewed(struct outage *outage)
{
    const int64_t from_ms = process_now_ms();
    CHECK(outage_await_renewed(outage, from_ms, API_SOON_MS));
    return process_now_ms();
}

/* ---- a member is frozen or killed ---- */

/* How many are LOST: those of which etcd says that the lease is gone, and no others. */
static size_t count_lost_truly(struct outage *outage, const struct api_scene *beside)
{
    size_t lost_count = 0;
    for (int i = 0; i < outage->count; i++) {
        struct outage_session *member = &outage->sessions[i];
        const bool gone = api_lease_left_s(beside, member->info.lease_id) == -1;
        const int64_t began_ms = process_now_ms();
        CHECK(!gone || api_session_await(&member->log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
        if (process_now_ms() - began_ms > 1) {
            outage_say("B1: LOST was told late, by", process_now_ms() - began_ms);
            outage_say_lost(outage);
        }
        CHECK_INT(api_session_count(&member->log, ROLLCALL_SESSION_LOST), gone);
        lost_count += gone;
    }
    return lost_count;
}

/* B1: Go's client loses every one of these sessions.
 *
 * When the old leader runs again, an etcd before 3.4.31 may revoke what expired by its own count:
 * it proposes that before it learns of its successor, and its proposals are passed on.  It happens
 * every other time, and no client can prevent it; then LOST is the truth, and must be told. */
TEST(cluster_outage, a_leader_frozen_for_nine_seconds_costs_no_session)
{
    enum { SESSIONS = 27, FROZEN_MS = 9000, GAP_MAX_MS = 4000 };
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, SESSIONS, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage);
    const int leader = outage_leader(&outage);
    const struct api_scene beside = outage_beside(&outage, (leader + 1) % MEMBERS);
    etcd_cluster_freeze(outage.cluster, leader);
    const int64_t frozen_ms = process_now_ms();
    const int64_t election_ms = outage_await_election(&outage, leader, frozen_ms);
    outage_sleep_until(frozen_ms + FROZEN_MS); /* the fault itself */
    outage_say("B1: SUSPECT", (int64_t)outage_suspected(&outage));
    outage_say("B1: longest SUSPECT", outage_longest_suspect_ms(&outage));
    outage_check_gap(&outage, NULL, "B1: worst gap", began_ms,
                     GAP_MAX_MS + election_ms - OUTAGE_ELECTION_MS);
    etcd_cluster_thaw(outage.cluster, leader);
    CHECK(etcd_cluster_await_whole(outage.cluster, API_SOON_MS));
    process_sleep_ms(TTL_S * MS_PER_S);
    outage_say("B1: LOST by the thawed leader", (int64_t)count_lost_truly(&outage, &beside));
    outage_close(&outage);
}

/* B2 */
TEST(cluster_outage, a_killed_leader_costs_an_election_and_no_session)
{
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage);
    const int leader = outage_leader(&outage);
    etcd_cluster_kill(outage.cluster, leader);
    const int64_t election_ms = outage_await_election(&outage, leader, process_now_ms());
    process_sleep_ms(TTL_S * MS_PER_S);
    outage_check_gap(&outage, NULL, "B2: worst gap", began_ms, THIRD_MS + election_ms + HEDGED_MS);
    outage_close(&outage);
}

/* B3: only followers are known, so one carries the renewals. */
TEST(cluster_outage, a_killed_follower_that_carries_renewals_costs_half_a_second)
{
    struct outage outage;
    outage_open_cluster(&outage, 0);
    const int leader = outage_leader(&outage);
    outage_connect(&outage, (const int[]){(leader + 1) % MEMBERS, (leader + 2) % MEMBERS, -1});
    outage_join_spread(&outage, FEW, TTL_S);
    await_all_renewed(&outage);
    const int carrier = outage_carrier(&outage, &outage.sessions[0]);
    const int64_t began_ms = process_now_ms();
    CHECK(carrier != leader);
    etcd_cluster_kill(outage.cluster, carrier);
    process_sleep_ms(TTL_S * MS_PER_S);
    outage_check_gap(&outage, NULL, "B3: worst gap", began_ms, THIRD_MS + HEDGED_MS);
    outage_close(&outage);
}

/* B4 */
TEST(cluster_outage, a_leadership_that_moves_every_second_is_not_noticed)
{
    const int64_t lasts_ms = outage_choose(8, 30) * MS_PER_S;
    struct outage outage;
    int64_t moves = 0;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage);
    for (int64_t next_ms = began_ms; next_ms < began_ms + lasts_ms; next_ms += MS_PER_S) {
        const int leader = etcd_cluster_leader(outage.cluster, 0);
        moves +=
            leader >= 0 && etcd_cluster_move_leader(outage.cluster, leader, (leader + 1) % MEMBERS);
        outage_sleep_until(next_ms + MS_PER_S);
    }
    outage_say("B4: moves", moves);
    CHECK(moves * MS_PER_S >= lasts_ms / 2);
    await_all_renewed(&outage);
    outage_check_gap(&outage, NULL, "B4: worst gap", began_ms, UNNOTICED_MS);
    outage_close(&outage);
}

/* B8: leases do not end while there is no leader, and begin anew with one. */
TEST(cluster_outage, without_a_quorum_all_are_suspect_in_time_and_active_with_the_same_lease_after)
{
    const int64_t ttl_s = outage_choose(3, 5), down_ms = outage_choose(8, 12) * MS_PER_S;
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, ttl_s);
    await_all_renewed(&outage);
    const int64_t began_ms = process_now_ms();
    etcd_cluster_kill(outage.cluster, 0);
    etcd_cluster_kill(outage.cluster, 1);
    outage_sleep_until(began_ms + down_ms); /* the fault itself */
    for (int i = 0; i < FEW; i++) {
        struct outage_session *member = &outage.sessions[i];
        CHECK_INT(api_session_count(&member->log, ROLLCALL_SESSION_SUSPECT), 1);
        outage_check_suspect_in_time(&outage, member);
    }
    CHECK(etcd_cluster_start(outage.cluster, 0));
    CHECK(etcd_cluster_restart(outage.cluster, 1));
    await_all_renewed(&outage);
    CHECK_INT(outage_lost(&outage), 0);
    outage_check_kept(&outage, 1);
    for (int i = 0; i < FEW; i++) {
        api_session_check_story(&outage.sessions[i].log, "ACTIVE SUSPECT ACTIVE");
    }
    outage_close(&outage);
}

/* ---- a member is cut off ---- */

/* B5 */
TEST(cluster_outage, a_leader_that_clients_cannot_reach_costs_half_a_second)
{
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage);
    proxy_set(outage.proxy[outage_leader(&outage)], PROXY_BLACKHOLE);
    process_sleep_ms(TTL_S * MS_PER_S);
    outage_check_gap(&outage, NULL, "B5: worst gap", began_ms, THIRD_MS + HEDGED_MS);
    for (int i = 0; i < MEMBERS; i++) {
        proxy_cut(outage.proxy[i]);
    }
    outage_close(&outage);
}

/* It answers nobody once it must know that it is none, and nobody asks it longer than that. */
static void check_left(struct outage *outage, int leader, int64_t cut_ms, int64_t election_ms)
{
    const int64_t answered_ms = renewals_last_ms(outage->renewals, RENEWALS_ANSWERED, leader, 0);
    outage_say("B6: the old leader answered until", answered_ms - cut_ms);
    CHECK(outage_took_ms(outage, cut_ms, answered_ms) <= election_ms + MS_PER_S);
}

/* B6: those who can go elsewhere do; who cannot has stopped before the new leader gives its key
 * away, however long the old one went on answering. */
TEST(cluster_outage, a_leader_cut_off_from_the_others_is_left_and_extends_nobody_s_lease)
{
    enum { SESSIONS = 8 };
    struct outage outage;
    struct api_watch_log log;
    outage_open_cluster(&outage, 0);
    const int leader = outage_leader(&outage), other = (leader + 1) % MEMBERS;
    outage_connect(&outage, (const int[]){leader, other, (leader + 2) % MEMBERS, -1});
    outage_connect(&outage, (const int[]){leader, -1});
    outage_join_spread(&outage, SESSIONS, TTL_S); /* by turns: to all, and to the leader alone */
    outage_connect(&outage, (const int[]){other, -1});
    const int64_t began_ms = await_all_renewed(&outage);
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&outage.scene[2], "querynode", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    etcd_cluster_cut_off(outage.cluster, leader);
    const int64_t cut_ms = process_now_ms();
    const int64_t election_ms = outage_await_election(&outage, leader, cut_ms);
    for (int i = 1; i < SESSIONS; i += 2) {
        CHECK(api_session_await(&outage.sessions[i].log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    }
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_DELETE), 0);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_DELETE, SESSIONS / 2, API_SOON_MS));
    check_left(&outage, leader, cut_ms, election_ms);
    for (int i = 0; i < SESSIONS; i += 2) {
        outage_check_gap(&outage, &outage.sessions[i], "B6: gap", began_ms,
                         THIRD_MS + election_ms + MS_PER_S);
        /* Who knows the old leader alone stops in time, as counted from what it last answered. */
        CHECK_INT(api_session_count(&outage.sessions[i + 1].log, ROLLCALL_SESSION_SUSPECT), 1);
        outage_check_suspect_in_time(&outage, &outage.sessions[i + 1]);
    }
    CHECK_INT(api_watch_count(&log, ROLLCALL_WATCH_DELETE), SESSIONS / 2);
    api_watch_close(watch, &log);
    api_watch_check(&log);
    api_watch_log_fini(&log);
    etcd_cluster_let_in(outage.cluster, leader);
    outage_close(&outage);
}

/* Which proxy passes on what a watch is told: etcd sends it a value as long as nothing else. */
static int watch_carrier(struct outage *outage)
{
    enum { LONG_BYTES = 30000 };
    const struct api_scene beside = outage_beside(outage, 0);
    uint64_t before[MEMBERS];
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    for (int i = 0; i < MEMBERS; i++) {
        before[i] = proxy_bytes_from(outage->proxy[i], PROXY_SERVER);
    }
    api_etcdctl(&beside,
                "head -c 30000 /dev/zero | tr '\\0' x | etcdctl put $ROOT/session/proxy-999", NULL,
                0);
    for (int i = 0; process_now_ms() < until_ms; i = (i + 1) % MEMBERS) {
        if (proxy_bytes_from(outage->proxy[i], PROXY_SERVER) >= before[i] + LONG_BYTES) {
            return i;
        }
        process_sleep_ms(1);
    }
    CHECK(false);
    return 0;
}

/* Nothing passes any more, in particular no answer to a ping: gRPC sends none to find out whether a
 * peer is there, as long as it waits for another. */
static void await_idle(struct proxy *proxy)
{
    enum { QUIET_MS = 30 }; /* less than from one renewal to the next */
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    uint64_t before = 0, now = 1;
    while (now != before) {
        CHECK(process_now_ms() < until_ms);
        before = now;
        process_sleep_ms(QUIET_MS);
        now = proxy_bytes_from(proxy, PROXY_CLIENT) + proxy_bytes_from(proxy, PROXY_SERVER);
    }
}

/* B7: nobody is told that a member is gone. */
TEST(cluster_outage, a_member_that_swallows_all_is_left_by_renewals_at_once_and_by_pings_else)
{
    struct outage outage;
    struct api_watch_log log;
    outage_open_cluster(&outage, 1);
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage);
    proxy_set(outage.proxy[outage_carrier(&outage, &outage.sessions[0])], PROXY_BLACKHOLE);
    process_sleep_ms(TTL_S * MS_PER_S);
    outage_check_gap(&outage, NULL, "B7: worst gap", began_ms, THIRD_MS + HEDGED_MS);
    for (int i = 0; i < MEMBERS; i++) {
        proxy_set(outage.proxy[i], PROXY_FORWARD);
        proxy_cut(outage.proxy[i]);
    }
    api_watch_log_init(&log);
    struct rollcall_watch *watch = api_watch(&outage.scene[0], "proxy", 0, &log);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_SNAPSHOT_END, 1, API_SOON_MS));
    const int carrier = watch_carrier(&outage);
    await_idle(outage.proxy[carrier]);
    const struct api_scene beside = outage_beside(&outage, (carrier + 1) % MEMBERS);
    proxy_set(outage.proxy[carrier], PROXY_BLACKHOLE);
    const int64_t gone_ms = process_now_ms();
    char key[128];
    snprintf(key, sizeof key, "%s/session/proxy-1", beside.root);
    api_store(&beside, key, "{\"ServerID\":1,\"ServerName\":\"proxy\",\"Address\":\"h:1\"}", 0);
    CHECK(api_watch_await(&log, ROLLCALL_WATCH_ADD, 1, API_SOON_MS));
    outage_check_took(&outage, "B7: the watch went on after", gone_ms,
                      PING_MS + PING_TIMEOUT_MS + MOVE_MS);
    outage_check_gap(&outage, NULL, "B7: worst gap of all", began_ms, UNNOTICED_MS);
    api_watch_close(watch, &log);
    api_watch_log_fini(&log);
    proxy_cut(outage.proxy[carrier]);
    outage_close(&outage);
}

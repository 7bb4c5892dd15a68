/*
 * Leases in a cluster of three that changes, is gone for long, or is full: members that come and
 * go, roll, defragment, and a crowd that meets a new leader.  Each test has the number of its
 * scenario, which the table in tests/README.md lists.
 */
#include "support/outage.h"
#include "support/test.h"

#include "support/command.h"

#include <signal.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, MS_PER_S = 1000, TTL_S = 5, FEW = 9 };
enum { UNNOTICED_MS = TTL_S * MS_PER_S - 200 }; /* a gap that is no longer makes nobody SUSPECT */

static int64_t await_all_renewed(struct outage *outage, int64_t timeout_ms)
{
    const int64_t from_ms = process_now_ms();
    CHECK(outage_await_renewed(outage, from_ms, timeout_ms));
    return process_now_ms();
}

/* ---- without a quorum, for long ---- */

/* How often an endpoint was tried since: by connecting, or on a connection that there was. */
static uint64_t attempts(struct outage *outage, int member, int64_t since_ms)
{
    return proxy_connections(outage->proxy[member]) +
           renewals_count(outage->renewals, RENEWALS_SENT, member, 0, since_ms, process_now_ms());
}

/* B9: one session, so that what is counted are attempts and not sessions. */
TEST(cluster_change, without_a_quorum_no_endpoint_is_tried_more_than_five_times_a_second)
{
    enum { PER_S = 5, SETTLED_MS = 2000 };
    const int64_t lasts_ms = outage_choose(8, 60) * MS_PER_S;
    struct outage outage;
    uint64_t before[MEMBERS];
    outage_open_cluster(&outage, 1);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    await_all_renewed(&outage, API_SOON_MS);
    etcd_cluster_kill(outage.cluster, 0);
    etcd_cluster_kill(outage.cluster, 1);
    const int64_t down_ms = process_now_ms();
    for (int i = 0; i < MEMBERS; i++) {
        before[i] = attempts(&outage, i, down_ms);
    }
    process_sleep_ms(lasts_ms); /* the fault itself */
    const int64_t lasted_ms = process_now_ms() - down_ms;
    for (int i = 0; i < MEMBERS; i++) {
        const int64_t tried = (int64_t)(attempts(&outage, i, down_ms) - before[i]);
        outage_say("B9: attempts in 100 s at one endpoint", tried * 100 * MS_PER_S / lasted_ms);
        CHECK(tried * MS_PER_S <= PER_S * lasted_ms);
    }
    CHECK(etcd_cluster_start(outage.cluster, 0));
    CHECK(etcd_cluster_restart(outage.cluster, 1));
    CHECK(etcd_cluster_await_whole(outage.cluster, API_SOON_MS));
    const int64_t whole_ms = process_now_ms();
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    outage_check_took(&outage, "B9: ACTIVE after a leader", whole_ms, SETTLED_MS);
    outage_close(&outage);
}

/* B11 */
TEST(cluster_change, three_members_restarted_at_once_keep_every_lease_and_renew_within_two_seconds)
{
    enum { RECOVERY_MS = 2000 };
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    await_all_renewed(&outage, API_SOON_MS);
    for (int i = 0; i < MEMBERS; i++) {
        etcd_cluster_kill(outage.cluster, i);
    }
    for (int i = 0; i < MEMBERS; i++) {
        CHECK(etcd_cluster_start(outage.cluster, i));
    }
    CHECK(etcd_cluster_await_whole(outage.cluster, API_SOON_MS));
    const int64_t whole_ms = process_now_ms();
    CHECK(outage_await_renewed(&outage, whole_ms, API_SOON_MS));
    outage_check_took(&outage, "B11: all renewed after a leader", whole_ms, RECOVERY_MS);
    CHECK_INT(outage_lost(&outage), 0);
    outage_check_kept(&outage, 0);
    outage_close(&outage);
}

/* ---- two faults ---- */

/* B10: a new leader gives each lease its whole TTL, whoever is dead: that is the server's, and is
 * what a takeover may take.  It comes no earlier than the first leader would have allowed it. */
TEST(cluster_change, an_owner_that_dies_before_the_leader_is_followed_in_two_ttls_and_an_election)
{
    enum { BRIEF_S = 3, BRIEF_MS = BRIEF_S * MS_PER_S };
    struct outage outage;
    struct process owner;
    struct rollcall_session *standby;
    outage_open_cluster(&outage, 1);
    struct command_scene scene = {.endpoint = outage.endpoints[0]};
    memcpy(scene.root, outage.scene[0].root, sizeof outage.scene[0].root);
    START(&owner, &scene, "register", "rootcoord", "--address", "h:1", "--exclusive", "--ttl", "3",
          "--server-id", "1", "-o", "json");
    command_await(&owner, "ACTIVE");
    const int64_t lease_id = command_number(owner.out.data, "lease_id");
    CHECK_INT(rollcall_session_start(outage.scene[0].etcd,
                                     ROLLCALL_SESSION_OPTIONS(.root = outage.scene[0].root,
                                                              .role = "rootcoord", .address = "h:2",
                                                              .server_id = 2, .ttl_s = BRIEF_S,
                                                              .retries = 1000, .exclusive = true),
                                     &standby, NULL),
              ROLLCALL_OK);
    outage_await_next(&outage, lease_id);
    CHECK_INT(rollcall_session_wait(standby, 0, NULL), ROLLCALL_E_TIMEOUT);
    const int leader = outage_leader(&outage);
    process_signal(&owner, SIGKILL);
    const int64_t sent_ms =
        renewals_last_ms(outage.renewals, RENEWALS_SENT, RENEWALS_ANY, lease_id);
    const int64_t died_ms = process_now_ms();
    process_sleep_ms(BRIEF_MS / 3);
    etcd_cluster_kill(outage.cluster, leader);
    const int64_t election_ms = outage_await_election(&outage, leader, process_now_ms());
    CHECK_INT(rollcall_session_wait(standby, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(process_now_ms() >= sent_ms + BRIEF_MS);
    outage_check_took(&outage, "B10: takeover after the owner's end", died_ms,
                      BRIEF_MS + election_ms + BRIEF_MS + MS_PER_S);
    process_destroy(&owner);
    CHECK_INT(rollcall_session_close(standby, API_SOON_MS), ROLLCALL_OK);
    outage_close(&outage);
}

/* ---- members that come and go ---- */

/* B12, as far as those who stay are known. */
TEST(cluster_change, a_member_that_is_replaced_is_not_noticed)
{
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage, API_SOON_MS);
    const int gone = outage_carrier(&outage, &outage.sessions[0]), other = (gone + 1) % MEMBERS;
    const int64_t removed_ms = process_now_ms();
    CHECK(etcd_cluster_remove(outage.cluster, gone, other));
    const int64_t election_ms = outage_await_election(&outage, gone, removed_ms);
    CHECK(etcd_cluster_add(outage.cluster, other, false) >= 0);
    process_sleep_ms(TTL_S * MS_PER_S);
    await_all_renewed(&outage, API_SOON_MS);
    outage_check_gap(&outage, NULL, "B12: worst gap", began_ms,
                     UNNOTICED_MS + election_ms - OUTAGE_ELECTION_MS);
    outage_check_kept(&outage, other);
    outage_close(&outage);
}

/* B13: the learner is the first of the endpoints, and refuses nearly all that it is asked. */
TEST(cluster_change, a_learner_among_the_endpoints_is_no_failure)
{
    struct outage outage;
    outage_open_cluster(&outage, 0);
    const int learner = etcd_cluster_add(outage.cluster, 0, true);
    CHECK(learner >= 0);
    const int proxy = outage_add_proxy(&outage, etcd_cluster_endpoint(outage.cluster, learner));
    outage_connect(&outage, (const int[]){proxy, 0, 1, 2, -1});
    outage_join_spread(&outage, FEW, TTL_S);
    const int64_t began_ms = await_all_renewed(&outage, API_SOON_MS);
    process_sleep_ms(TTL_S * MS_PER_S);
    await_all_renewed(&outage, API_SOON_MS);
    outage_say("B13: connections to the learner", (int64_t)proxy_connections(outage.proxy[proxy]));
    CHECK(proxy_connections(outage.proxy[proxy]) > 0);
    outage_check_gap(&outage, NULL, "B13: worst gap", began_ms, UNNOTICED_MS);
    outage_check_kept(&outage, 0);
    outage_close(&outage);
}

/* B15: renewals are spread again, or all with the leader, a while after. */
TEST(cluster_change, a_rolling_restart_loses_no_session_and_leaves_no_member_with_all_of_them)
{
    enum { SPREAD_MS = 60000 };
    const int64_t apart_ms = outage_choose(1, 5) * MS_PER_S;
    struct outage outage;
    outage_open_cluster(&outage, MEMBERS);
    outage_join_spread(&outage, FEW, TTL_S);
    await_all_renewed(&outage, API_SOON_MS);
    for (int i = 0; i < MEMBERS; i++) {
        etcd_cluster_kill(outage.cluster, i);
        CHECK(etcd_cluster_restart(outage.cluster, i));
        CHECK(etcd_cluster_await_whole(outage.cluster, API_SOON_MS));
        process_sleep_ms(apart_ms);
    }
    const int64_t rolled_ms = process_now_ms();
    bool even = false;
    while (!even && process_now_ms() < rolled_ms + SPREAD_MS) {
        bool carries[MEMBERS] = {false};
        for (int i = 0; i < MEMBERS; i++) {
            carries[outage_carrier(&outage, &outage.sessions[i])] = true;
        }
        even = carries[0] + carries[1] + carries[2] > 1 || carries[outage_leader(&outage)];
    }
    outage_say("B15: renewals are spread after", process_now_ms() - rolled_ms);
    CHECK(even);
    outage_say_lost(&outage);
    CHECK_INT(outage_lost(&outage), 0);
    outage_check_kept(&outage, 0);
    outage_close(&outage);
}

/* ---- a member that is busy ---- */

/* B14 */
TEST(cluster_change, a_member_that_defragments_a_large_store_is_not_noticed)
{
    struct outage outage;
    char script[256];
    outage_open_cluster(&outage, 1);
    outage_join_spread(&outage, FEW, TTL_S);
    const struct api_scene filled = outage_beside(&outage, 0);
    snprintf(script, sizeof script,
             "value=$(mktemp); head -c 1000000 /dev/urandom >$value;"
             "for i in $(seq %d); do etcdctl put fill-$i <$value >/dev/null; done; rm $value",
             (int)outage_choose(40, 200));
    struct process filling;
    api_etcdctl_start(&filled, script, &filling);
    CHECK(process_wait(&filling, 10 * API_SOON_MS));
    CHECK_INT(filling.exit_code, 0);
    process_destroy(&filling);
    await_all_renewed(&outage, API_SOON_MS);
    const int carrier = outage_carrier(&outage, &outage.sessions[0]);
    const struct api_scene carrying = outage_beside(&outage, carrier);
    const int64_t began_ms = process_now_ms();
    api_etcdctl(&carrying, "etcdctl --command-timeout=60s defrag", NULL, 0);
    outage_say("B14: defragmented in", process_now_ms() - began_ms);
    await_all_renewed(&outage, API_SOON_MS);
    outage_check_gap(&outage, NULL, "B14: worst gap", began_ms, UNNOTICED_MS);
    outage_close(&outage);
}

/* ---- a crowd ---- */

/* B16 */
TEST(cluster_change, a_thousand_sessions_meet_a_new_leader_with_at_most_three_requests_each)
{
    enum { SESSIONS = 1000, CALM_S = 10, FIRST_MS = 2000 };
    struct outage outage;
    struct outage_crowd crowd;
    outage_open_cluster(&outage, 1);
    outage_crowd_open(&crowd, &outage.scene[0], SESSIONS, CALM_S, CALM_S * MS_PER_S / 3);
    const int leader = outage_leader(&outage);
    const int64_t killed_ms = process_now_ms();
    etcd_cluster_kill(outage.cluster, leader);
    process_sleep_ms((CALM_S + 2) * MS_PER_S);
    const size_t sent = renewals_count(outage.renewals, RENEWALS_SENT, RENEWALS_ANY, 0, killed_ms,
                                       killed_ms + FIRST_MS);
    outage_say("B16: renewals in the first two seconds", (int64_t)sent);
    outage_say("B16: SUSPECT", (int64_t)outage_crowd_suspect(&crowd));
    CHECK(sent <= 3 * SESSIONS);
    /* They were spread, so that a fault finds many that renew: each does within a third of it. */
    CHECK(renewals_count(outage.renewals, RENEWALS_SENT, RENEWALS_ANY, 0, killed_ms,
                         killed_ms + CALM_S * MS_PER_S / 2) >= SESSIONS);
    CHECK_INT(outage_crowd_lost(&crowd), 0);
    outage_crowd_close(&crowd);
    outage_close(&outage);
}

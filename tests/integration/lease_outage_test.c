/*
 * Leases in the outages of one etcd: killed, frozen, or the client's own process stopped.  Each
 * test has the number of its scenario, which the table in tests/README.md lists.
 *
 * What was renewed when is seen at a proxy between the two, and not asked of the library.
 */
#include "support/outage.h"
#include "support/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 5, AT_ONCE_MS = 50, RECOVERY_MS = 1000, STATES_MAX = 16, ACTING = 4 };

static int compare(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* Of several, so that one that a busy machine delayed decides nothing. */
static int64_t median(int64_t *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* ---- without an outage ---- */

/* A1: the least TTL of an etcd is one and a half of its election timeout, here 6 s. */
TEST(lease_outage, a_ttl_that_etcd_raised_is_the_session_s_and_sets_its_pace)
{
    enum { PERIODS = 3, INTERVAL_MS = 2000 };
    static const char *const arguments[] = {"--heartbeat-interval", "400", "--election-timeout",
                                            "4000", NULL};
    struct outage outage;
    outage_open_node(&outage, arguments);
    const struct outage_session *member = outage_join_one(&outage, 0, 2);
    CHECK_INT(member->info.ttl_s, 6);
    const int64_t began_ms = process_now_ms();
    process_sleep_ms(PERIODS * INTERVAL_MS + INTERVAL_MS / 2);
    const int64_t now_ms = process_now_ms();
    const int64_t sent = (int64_t)renewals_count(outage.renewals, RENEWALS_SENT, RENEWALS_ANY,
                                                 member->info.lease_id, began_ms, now_ms);
    outage_say("A1: renewals in 7 s", sent); /* of the 2 s asked for, it would be 10 */
    CHECK((sent + 1) * INTERVAL_MS >= outage_took_ms(&outage, began_ms, now_ms));
    CHECK((sent - 1) * INTERVAL_MS <= now_ms - began_ms);
    outage_close(&outage);
}

/* A2: ten TTLs, by night. */
TEST(lease_outage, ten_ttls_without_trouble_take_one_renewal_each_third_and_one_at_a_time)
{
    enum { TTL_S = 5, THIRD_MS = 1667, TENTH_MS = THIRD_MS / 10 };
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    const int64_t lease_id = member->info.lease_id;
    CHECK(renewals_await(outage.renewals, RENEWALS_SENT, 0, lease_id, 1, API_SOON_MS));
    const int64_t first_ms = renewals_last_ms(outage.renewals, RENEWALS_SENT, 0, lease_id);
    process_sleep_ms(outage_choose(4, 10) * TTL_S * 1000);
    const int64_t last_ms = renewals_last_ms(outage.renewals, RENEWALS_SENT, 0, lease_id);
    const size_t intervals = renewals_count(outage.renewals, RENEWALS_SENT, RENEWALS_ANY, lease_id,
                                            first_ms + 1, last_ms + 1);
    CHECK(intervals > 0);
    const int64_t mean_ms = (last_ms - first_ms) / (int64_t)intervals;
    outage_say("A2: from one renewal to the next", mean_ms);
    CHECK(mean_ms >= THIRD_MS - TENTH_MS);
    CHECK(outage_took_ms(&outage, first_ms, last_ms) / (int64_t)intervals <= THIRD_MS + TENTH_MS);
    /* One that is not answered for a twelfth of the TTL is tried again. */
    CHECK(renewals_most_outstanding(outage.renewals, lease_id, 0, last_ms + 1) == 1 ||
          lag_ms(outage.lag, first_ms, last_ms) >= TTL_S * 1000 / 12);
    api_session_check_story(&member->log, "ACTIVE");
    outage_close(&outage);
}

/* ---- etcd is killed ---- */

/* A3: down for so long that a renewal is due, and not so long that the TTL could end. */
TEST(lease_outage, a_kill_shorter_than_the_ttl_is_not_told_and_renewed_within_a_second_of_its_end)
{
    enum { TTL_S = 10, DOWN_MS = 4000 };
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    etcd_fixture_kill(outage.etcd);
    process_sleep_ms(DOWN_MS); /* the fault itself */
    const int64_t started_ms = process_now_ms();
    CHECK(etcd_fixture_restart(outage.etcd));
    const int64_t up_ms = process_now_ms();
    CHECK(renewals_await(outage.renewals, RENEWALS_ANSWERED, 0, member->info.lease_id, started_ms,
                         API_SOON_MS));
    outage_check_took(&outage, "A3: renewed after etcd was up", up_ms, RECOVERY_MS);
    api_session_check_story(&member->log, "ACTIVE");
    outage_close(&outage);
}

/* A4: three TTLs long; the lease begins anew when etcd is back, with its whole TTL. */
TEST(lease_outage, a_kill_longer_than_the_ttl_is_suspect_in_time_and_costs_neither_lease_nor_key)
{
    const int64_t ttl_s = outage_choose(3, 5), down_ms = 3000 * ttl_s;
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, ttl_s);
    outage_await_next(&outage, member->info.lease_id);
    const int64_t killed_ms = process_now_ms();
    etcd_fixture_kill(outage.etcd);
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_SUSPECT, 1, down_ms));
    outage_check_suspect_in_time(&outage, member);
    outage_sleep_until(killed_ms + down_ms); /* the fault itself */
    CHECK(etcd_fixture_restart(outage.etcd));
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    outage_check_kept(&outage, 0);
    api_session_check_story(&member->log, "ACTIVE SUSPECT ACTIVE");
    outage_close(&outage);
}

/* ---- etcd is frozen; A6 is in session_test.c ---- */

/* A5 */
TEST(lease_outage, a_freeze_shorter_than_the_ttl_is_not_told_and_no_storm_of_renewals)
{
    enum { TTL_S = 10, FROZEN_S = 3 };
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    const int64_t lease_id = member->info.lease_id;
    outage_await_next(&outage, lease_id);
    /* The next is due 3.3 s after this one: half of the freeze lies behind it. */
    process_sleep_ms(2000);
    etcd_fixture_freeze(outage.etcd);
    const int64_t frozen_ms = process_now_ms();
    process_sleep_ms(FROZEN_S * 1000); /* the fault itself */
    const int64_t thawed_ms = process_now_ms();
    etcd_fixture_thaw(outage.etcd);
    const int64_t sent = (int64_t)renewals_count(outage.renewals, RENEWALS_SENT, RENEWALS_ANY,
                                                 lease_id, frozen_ms, thawed_ms);
    outage_say("A5: renewals while frozen for 3 s", sent);
    CHECK(sent >= 1);
    CHECK((sent - 1) * 1000 <= thawed_ms - frozen_ms);
    CHECK(renewals_await(outage.renewals, RENEWALS_ANSWERED, 0, lease_id, thawed_ms, API_SOON_MS));
    outage_check_took(&outage, "A5: renewed after it went on", thawed_ms, RECOVERY_MS);
    api_session_check_story(&member->log, "ACTIVE");
    outage_close(&outage);
}

/* ---- the client is stopped ---- */

/* In memory that both processes see. */
struct stopped {
    _Atomic int64_t continued_ms; /* 0: not yet */
    _Atomic int told_before;      /* it was stopped */
    _Atomic int told;             /* events so far */
    _Atomic int state[STATES_MAX];
    _Atomic int64_t at_ms[STATES_MAX];
    _Atomic int acted; /* how often, after it was continued, as if nothing had happened */
    _Atomic bool ready, over;
};

static void note_state(void *user, const struct rollcall_session_event *event)
{
    struct stopped *stopped = user;
    const int index = atomic_load(&stopped->told);
    if (index < STATES_MAX) {
        atomic_store(&stopped->state[index], (int)event->state);
        atomic_store(&stopped->at_ms[index], process_now_ms());
        atomic_store(&stopped->told, index + 1);
    }
}

struct owner {
    struct stopped *stopped;
    struct rollcall_session *session;
};

/* Acts whenever the session says that it is ACTIVE, and may be the first to run again. */
static void *act(void *argument)
{
    const struct owner *owner = argument;
    struct stopped *stopped = owner->stopped;
    while (!atomic_load(&stopped->over)) {
        const int64_t continued_ms = atomic_load(&stopped->continued_ms);
        struct rollcall_session_info info;
        rollcall_session_get_info(owner->session, &info);
        if (continued_ms != 0 && info.state == ROLLCALL_SESSION_ACTIVE &&
            atomic_load(&stopped->told) == atomic_load(&stopped->told_before)) {
            atomic_fetch_add(&stopped->acted, 1);
        }
        process_sleep_ms(1);
    }
    return NULL;
}

/* In a process of its own. */
static void own(struct stopped *stopped, const char *endpoint, int64_t ttl_s)
{
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    struct owner owner = {.stopped = stopped};
    pthread_t threads[ACTING];
    if (rollcall_runtime_create(NULL, &runtime, NULL) != ROLLCALL_OK ||
        rollcall_etcd_connect(runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = endpoint), &etcd, NULL) !=
            ROLLCALL_OK ||
        rollcall_session_open(etcd,
                              ROLLCALL_SESSION_OPTIONS(.role = "querynode", .address = "h:1",
                                                       .ttl_s = ttl_s, .on_event = note_state,
                                                       .user = stopped),
                              &owner.session, NULL) != ROLLCALL_OK) {
        return;
    }
    for (int i = 0; i < ACTING; i++) {
        if (pthread_create(&threads[i], NULL, act, &owner) != 0) {
            return;
        }
    }
    atomic_store(&stopped->ready, true);
    for (int i = 0; i < ACTING; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* Returns its pid, once it owns. */
static pid_t start_owner(struct stopped *stopped, const char *endpoint, int64_t ttl_s)
{
    const pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        own(stopped, endpoint, ttl_s);
        _exit(0);
    }
    CHECK(pid > 0);
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    while (!atomic_load(&stopped->ready)) {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(10);
    }
    return pid;
}

/* Stops it while it is ACTIVE, and returns how many events it had been told by then.  On a machine
 * so busy that it is SUSPECT it runs on until it is ACTIVE again. */
static int stop_active(struct stopped *stopped, pid_t pid)
{
    siginfo_t information; /* all of its threads have stopped only once we are told */
    const int64_t until_ms = process_now_ms() + API_SOON_MS;
    for (;;) {
        CHECK_INT(kill(pid, SIGSTOP), 0);
        CHECK_INT(waitid(P_PID, (id_t)pid, &information, WSTOPPED), 0);
        const int told = atomic_load(&stopped->told);
        CHECK(told > 0 && told < STATES_MAX);
        if (atomic_load(&stopped->state[told - 1]) == ROLLCALL_SESSION_ACTIVE) {
            atomic_store(&stopped->told_before, told);
            return told;
        }
        CHECK(process_now_ms() < until_ms);
        CHECK_INT(kill(pid, SIGCONT), 0);
        process_sleep_ms(10);
    }
}

/* A7: an answer that came in while it was stopped proves nothing when it is read; neither does the
 * state from before, whichever thread runs first. */
TEST(lease_outage, a_client_stopped_for_two_ttls_is_first_told_so_and_acts_on_nothing_before)
{
    enum { TTL_S = 2 };
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    CHECK(etcd != NULL);
    struct stopped *stopped =
        mmap(NULL, sizeof *stopped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(stopped != MAP_FAILED);
    const pid_t pid = start_owner(stopped, etcd_fixture_endpoint(etcd), TTL_S);
    process_sleep_ms(TTL_S * 500); /* it has renewed, and goes on */
    const int before = stop_active(stopped, pid);
    process_sleep_ms(2 * TTL_S * 1000); /* the fault itself */
    const int64_t continued_ms = process_now_ms();
    atomic_store(&stopped->continued_ms, continued_ms);
    CHECK_INT(kill(pid, SIGCONT), 0);
    while (atomic_load(&stopped->told) == before) {
        CHECK(process_now_ms() < continued_ms + API_SOON_MS);
        process_sleep_ms(1);
    }
    const int state = atomic_load(&stopped->state[before]);
    outage_say("A7: told after it went on", atomic_load(&stopped->at_ms[before]) - continued_ms);
    outage_say("A7: acts as owner before it was told", atomic_load(&stopped->acted));
    CHECK(state == ROLLCALL_SESSION_SUSPECT || state == ROLLCALL_SESSION_LOST);
    CHECK_INT(atomic_load(&stopped->acted), 0);
    atomic_store(&stopped->over, true);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    munmap(stopped, sizeof *stopped);
    etcd_fixture_destroy(etcd);
}

/* ---- from outside ---- */

/* A8: not by the next renewal, which is 10 s away. */
TEST(lease_outage, a_lease_revoked_from_outside_is_lost_within_50_ms)
{
    enum { SETTLED_MS = 300 }; /* etcd looks after watches that begin in the past each 100 ms */
    struct outage outage;
    int64_t took_ms[ROUNDS];
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    outage_join(&outage, ROUNDS, 30);
    process_sleep_ms(SETTLED_MS);
    for (int i = 0; i < ROUNDS; i++) {
        struct outage_session *member = &outage.sessions[i];
        api_lease_revoke(&beside, member->info.lease_id);
        const int64_t revoked_ms = process_now_ms();
        CHECK(api_session_await(&member->log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
        CHECK_INT(api_session_at(&member->log, 1).info.loss, ROLLCALL_LOSS_LEASE);
        took_ms[i] = outage_took_ms(&outage, revoked_ms, api_session_at(&member->log, 1).at_ms);
    }
    const int64_t usual_ms = median(took_ms, ROUNDS);
    outage_say("A8: lost after the revoke", usual_ms);
    CHECK(usual_ms <= AT_ONCE_MS);
    outage_close(&outage);
}

/* A11: a mark, a revoke, and the answers: the key goes with the lease. */
TEST(lease_outage, a_close_takes_key_and_lease_away_within_50_ms)
{
    struct outage outage;
    int64_t took_ms[ROUNDS];
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    outage_join(&outage, ROUNDS, 30);
    CHECK_INT(api_lease_count(&beside), ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        struct outage_session *member = &outage.sessions[i];
        char key[256];
        snprintf(key, sizeof key, "%s", member->info.key);
        const int64_t began_ms = process_now_ms();
        CHECK_INT(rollcall_session_close(member->session, API_SOON_MS), ROLLCALL_OK);
        took_ms[i] = outage_took_ms(&outage, began_ms, process_now_ms());
        member->session = NULL;
        CHECK(!api_stored(&beside, key).there);
        CHECK_INT(api_lease_left_s(&beside, member->info.lease_id), -1);
        CHECK_INT(api_lease_count(&beside), ROUNDS - 1 - i);
    }
    const int64_t usual_ms = median(took_ms, ROUNDS);
    outage_say("A11: closed within", usual_ms);
    CHECK(usual_ms <= AT_ONCE_MS);
    outage_close(&outage);
}

/* ---- answers that are lost, late or wrong ---- */

/* A13 */
TEST(lease_outage, a_grant_whose_answer_is_lost_is_one_lease_when_it_is_tried_again)
{
    struct outage outage;
    struct rollcall_session *session;
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    proxy_drop_answers_after(outage.proxy[0], "LeaseGrant");
    const enum rollcall_status status = rollcall_session_start(
        outage.scene[0].etcd,
        ROLLCALL_SESSION_OPTIONS(.root = outage.scene[0].root, .role = "querynode", .server_id = 1,
                                 .connect_timeout_ms = API_SOON_MS, .address = "h:1", .ttl_s = 60),
        &session, NULL);
    CHECK_INT(status, ROLLCALL_OK);
    CHECK(api_await_lease_count(&beside, 1, API_SOON_MS));
    CHECK(proxy_dropped(outage.proxy[0]) >= 1);
    proxy_drop_answers_after(outage.proxy[0], NULL);
    proxy_cut(outage.proxy[0]);
    CHECK_INT(rollcall_session_wait(session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&beside), 1);
    CHECK_INT(api_lease_ttl_s(&beside, api_info(session).lease_id), 60);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&beside), 0);
    outage_close(&outage);
}

/* Returns one whose lease was called gone while it was young, as counted from before its grant.  On
 * a machine so busy that its first renewal came too late for that, it is another one's turn. */
static struct outage_session *join_called_gone(struct outage *outage, int64_t ttl_s)
{
    enum { YOUNG_MS = 1800, TRIES = 10 };
    for (int i = 0; i < TRIES; i++) {
        const int64_t granted_ms = process_now_ms();
        struct outage_session *member = outage_join_one(outage, 0, ttl_s);
        renewals_answer_zero(outage->renewals, member->info.lease_id, 1);
        const int zeroed = renewals_zeroed(outage->renewals);
        while (renewals_zeroed(outage->renewals) == zeroed &&
               process_now_ms() < granted_ms + API_SOON_MS) { /* one may have just passed */
            process_sleep_ms(5);
        }
        if (process_now_ms() < granted_ms + YOUNG_MS) {
            return member;
        }
    }
    CHECK(false);
    return NULL;
}

/* A17: a member that has not yet heard of the grant says so, and it means nothing; said again, it
 * does. */
TEST(lease_outage, a_young_lease_called_gone_is_asked_for_again_and_lost_only_the_second_time)
{
    enum { TTL_S = 3 };
    struct outage outage;
    outage_open_node(&outage, NULL);
    struct outage_session *member = join_called_gone(&outage, TTL_S);
    const int64_t lease_id = member->info.lease_id;
    /* The next is answered as it should be. */
    CHECK(renewals_await(outage.renewals, RENEWALS_ANSWERED, 0, lease_id, process_now_ms() + 1,
                         API_SOON_MS));
    CHECK(!api_session_await(&member->log, ROLLCALL_SESSION_LOST, 1, TTL_S * 1000));
    api_session_check_story(&member->log, "ACTIVE");
    renewals_answer_zero(outage.renewals, lease_id, ROUNDS);
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK_INT(api_session_at(&member->log, 1).info.loss, ROLLCALL_LOSS_LEASE);
    outage_close(&outage);
}

/* A18: somebody else keeps the lease alive, so that it is there when answers come again. */
TEST(lease_outage, an_answer_that_comes_after_two_ttls_does_not_make_it_active)
{
    enum { TTL_S = 3, QUIET_MS = 1000 };
    struct outage outage;
    struct process renewer;
    char script[128];
    outage_open_node(&outage, NULL);
    const struct api_scene beside = outage_beside(&outage, 0);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    const int64_t lease_id = member->info.lease_id;
    /* Its connection stands: what follows is about answers. */
    outage_await_next(&outage, lease_id);
    snprintf(script, sizeof script, "exec etcdctl lease keep-alive %" PRIx64, (uint64_t)lease_id);
    api_etcdctl_start(&beside, script, &renewer);
    CHECK(process_wait_for(&renewer, "keepalived", API_SOON_MS));
    proxy_set(outage.proxy[0], PROXY_QUESTIONS);
    const int64_t held_ms = process_now_ms();
    CHECK(renewals_await(outage.renewals, RENEWALS_SENT, 0, lease_id, held_ms, API_SOON_MS));
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    proxy_set(outage.proxy[0], PROXY_HOLD); /* what was asked until now is answered, and held */
    process_sleep_ms(2 * TTL_S * 1000);
    const int64_t answers_ms = process_now_ms();
    proxy_set(outage.proxy[0], PROXY_ANSWERS);
    CHECK(renewals_await(outage.renewals, RENEWALS_ANSWERED, 0, lease_id, answers_ms, API_SOON_MS));
    CHECK(!api_session_await(&member->log, ROLLCALL_SESSION_ACTIVE, 2, QUIET_MS));
    api_session_check_story(&member->log, "ACTIVE SUSPECT");
    proxy_set(outage.proxy[0], PROXY_FORWARD);
    CHECK(api_session_await(&member->log, ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK_INT(api_info(member->session).lease_id, lease_id);
    process_destroy(&renewer);
    outage_close(&outage);
}

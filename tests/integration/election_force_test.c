/* An active key that cannot be taken, through the public calls and against a real etcd: what is
 * answered, and that nothing has changed. */
#include "base/clock.h"
#include "base/thread.h"
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/standing.h"
#include "support/test.h"

#include <rollcall/testing.h>

enum { TTL_S = 30, AWAY_MS = 300, KEY_BYTES = 128, NS_PER_MS = 1000000 };

/* One that acts, and one that would. */
struct pair {
    struct etcd_fixture *etcd;
    struct api_scene scene;
    struct standing holder, other;
};

static void open_pair(struct pair *pair, int64_t ttl_s)
{
    pair->etcd = etcd_fixture_create(NULL);
    CHECK(pair->etcd != NULL);
    api_scene_open(&pair->scene, etcd_fixture_endpoint(pair->etcd));
    standing_open(&pair->holder, &pair->scene, "rootcoord", 1, ttl_s);
    CHECK(standing_await(&pair->holder, ROLLCALL_ROLE_ACTIVE, 0));
    standing_open(&pair->other, &pair->scene, "rootcoord", 2, ttl_s);
}

static struct api_stored active_key(const struct pair *pair)
{
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "%s/session/rootcoord", pair->scene.root);
    return api_stored(&pair->scene, key);
}

static void close_pair(struct pair *pair)
{
    standing_fini(&pair->other);
    standing_fini(&pair->holder);
    api_scene_close(&pair->scene);
    etcd_fixture_destroy(pair->etcd);
}

TEST(election_force, while_etcd_is_away_it_says_in_time_that_it_may_be_done_later)
{
    struct pair pair;
    struct rollcall_error error;
    open_pair(&pair, TTL_S);
    const int64_t token = standing_token(&pair.holder);
    etcd_fixture_freeze(pair.etcd);
    CHECK_INT(rollcall_election_force(pair.other.session, AWAY_MS, &error), ROLLCALL_E_TIMEOUT);
    api_check_contains(error.text, "did not answer within 300 ms; it may be done later");
    CHECK(error.maybe_applied);
    CHECK_INT(standing_token(&pair.holder), token);
    CHECK_INT(standing_token(&pair.other), 0);
    CHECK_INT(rollcall_election_force(pair.other.session, AWAY_MS, &error), ROLLCALL_E_BUSY);
    api_check_contains(error.text, "wait until that is answered");
    etcd_fixture_thaw(pair.etcd);
    CHECK(standing_await(&pair.other, ROLLCALL_ROLE_ACTIVE, 0));
    CHECK(standing_await(&pair.holder, ROLLCALL_ROLE_STANDBY, 1));
    CHECK(standing_token(&pair.other) > token);
    close_pair(&pair);
}

/* What an order was answered. */
struct outcome {
    struct rollcall__monitor monitor; /* guards the rest */
    int answers;
    struct rollcall_error error;
};

static void note_done(void *user, const struct rollcall_error *error)
{
    struct outcome *outcome = user;
    rollcall__monitor_lock(&outcome->monitor);
    outcome->answers++;
    if (error != NULL) {
        outcome->error = *error;
    }
    rollcall__monitor_notify(&outcome->monitor);
    rollcall__monitor_unlock(&outcome->monitor);
}

static void await_outcome(struct outcome *outcome)
{
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + (int64_t)API_SOON_MS * NS_PER_MS;
    bool timely = true;
    rollcall__monitor_lock(&outcome->monitor);
    while (timely && outcome->answers == 0) {
        timely = rollcall__monitor_wait(&outcome->monitor, deadline_ns);
    }
    CHECK_INT(outcome->answers, 1);
    rollcall__monitor_unlock(&outcome->monitor);
}

/* Its election never hears of the order, so the loss comes first. */
TEST(election_force, whose_lease_is_lost_before_it_is_done_is_told_so_once)
{
    struct pair pair;
    struct outcome outcome = {.answers = 0};
    open_pair(&pair, TTL_S);
    rollcall__monitor_init(&outcome.monitor);
    const int64_t token = standing_token(&pair.holder);
    const struct api_stored before = active_key(&pair);
    CHECK_INT(rollcall_failpoints_arm(pair.scene.runtime, "election/ELECTION_ORDER=drop", NULL),
              ROLLCALL_OK);
    CHECK_INT(rollcall_election_force_async(pair.other.session, note_done, &outcome, NULL),
              ROLLCALL_OK);
    api_lease_revoke(&pair.scene, api_info(pair.other.session).lease_id);
    await_outcome(&outcome);
    CHECK_INT(outcome.error.status, ROLLCALL_E_LEASE_LOST);
    api_check_contains(outcome.error.text, "lease");
    CHECK_INT(rollcall_failpoints_clear(pair.scene.runtime), ROLLCALL_OK);
    CHECK(standing_await(&pair.other, ROLLCALL_ROLE_STANDBY, 1));   /* registered again, */
    CHECK_INT(active_key(&pair).mod_revision, before.mod_revision); /* it asks no more */
    CHECK_INT(standing_token(&pair.holder), token);
    CHECK_INT(rollcall_election_force(pair.other.session, API_SOON_MS, NULL), ROLLCALL_OK);
    CHECK(standing_await(&pair.other, ROLLCALL_ROLE_ACTIVE, 0));
    CHECK(standing_token(&pair.other) > token);
    close_pair(&pair);
    CHECK_INT(outcome.answers, 1);
    rollcall__monitor_fini(&outcome.monitor);
}

TEST(election_force, who_does_not_stand_takes_nothing_and_is_told_why)
{
    struct pair pair;
    struct rollcall_error error;
    struct api_session_log log;
    struct rollcall_session *third = NULL;
    char key[KEY_BYTES];
    open_pair(&pair, TTL_S);
    const int64_t token = standing_token(&pair.holder);
    api_session_log_init(&log);
    const enum rollcall_status opened = rollcall_session_open(
        pair.scene.etcd,
        ROLLCALL_SESSION_OPTIONS(.root = pair.scene.root, .role = "rootcoord", .address = "h:1",
                                 .server_id = 3, .ttl_s = TTL_S, .on_lost = ROLLCALL_ON_LOST_STOP,
                                 .election = ROLLCALL_ELECTION_OPTIONS(.user = NULL),
                                 .on_event = api_session_note, .user = &log),
        &third, &error);
    CHECK_INT(opened, ROLLCALL_OK);
    snprintf(key, sizeof key, "%s/session/rootcoord-3", pair.scene.root);
    api_delete(&pair.scene, key);
    CHECK(api_session_await(&log, ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
    CHECK_INT(rollcall_election_force(third, API_SOON_MS, &error), ROLLCALL_E_STOPPED);
    api_check_contains(error.text, "the session has left, or is leaving");
    CHECK_INT(standing_token(&pair.holder), token);
    CHECK_INT(rollcall_session_close(third, API_SOON_MS), ROLLCALL_OK);
    third = api_open(&pair.scene, "rootcoord", 4, TTL_S, NULL);
    CHECK_INT(rollcall_election_force(third, API_SOON_MS, &error), ROLLCALL_E_INVALID);
    api_check_contains(error.text, "option `election`");
    CHECK_INT(rollcall_session_close(third, API_SOON_MS), ROLLCALL_OK);
    api_session_log_fini(&log);
    close_pair(&pair);
}

/*
 * Sessions that share a lease, through the public calls and against a real etcd: one lease, renewed
 * once for all, that goes with the last of them; and what each of them loses, and what not.
 */
#include "support/api_stored.h"
#include "support/etcd_fixture.h"
#include "support/test.h"

#include <rollcall/admin.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* WATCHED_MS: how long renewals are counted; of BRIEF_S there is one in two seconds. */
enum { SESSIONS = 3, TTL_S = 60, BRIEF_S = 6, OTHER_S = 61, WATCHED_MS = 12000, QUIET_MS = 500 };
enum { METRICS_BYTES = 1 << 20 };

struct shared {
    struct etcd_fixture *etcd;
    struct api_scene scene;
    struct api_session_log logs[SESSIONS];
    struct rollcall_session *sessions[SESSIONS];
};

static struct rollcall_session *open_one(const struct api_scene *scene, int64_t ttl_s, bool share,
                                         enum rollcall_on_lost on_lost, struct api_session_log *log)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "querynode",
                                 .address = "10.0.0.7:21123", .ttl_s = ttl_s, .on_lost = on_lost,
                                 .on_event = log == NULL ? NULL : api_session_note, .user = log,
                                 .share_lease = share),
        &session, &error);
    CHECK_STR(status == ROLLCALL_OK ? "" : error.text, "");
    return session;
}

static void open_etcd(struct shared *sh)
{
    memset(sh, 0, sizeof *sh);
    sh->etcd = etcd_fixture_create(NULL);
    CHECK(sh->etcd != NULL);
    api_scene_open(&sh->scene, etcd_fixture_endpoint(sh->etcd));
    for (int i = 0; i < SESSIONS; i++) {
        api_session_log_init(&sh->logs[i]);
    }
}

static void open_all(struct shared *sh, int64_t ttl_s, enum rollcall_on_lost on_lost)
{
    open_etcd(sh);
    for (int i = 0; i < SESSIONS; i++) {
        sh->sessions[i] = open_one(&sh->scene, ttl_s, true, on_lost, &sh->logs[i]);
    }
}

static void close_session(struct shared *sh, int i)
{
    CHECK_INT(rollcall_session_close(sh->sessions[i], API_SOON_MS), ROLLCALL_OK);
    sh->sessions[i] = NULL;
}

static void close_all(struct shared *sh)
{
    for (int i = 0; i < SESSIONS; i++) {
        close_session(sh, i);
        api_session_log_fini(&sh->logs[i]);
    }
    api_scene_close(&sh->scene);
    etcd_fixture_destroy(sh->etcd);
}

static bool is_there(struct shared *sh, int i)
{
    const struct rollcall_session_info info = api_info(sh->sessions[i]);
    const struct api_stored stored = api_stored(&sh->scene, info.key);
    return stored.there && stored.lease_id == info.lease_id &&
           stored.create_revision == info.create_revision;
}

static int64_t lease_of(struct shared *sh, int i)
{
    return api_info(sh->sessions[i]).lease_id;
}

static void check_active(struct shared *sh, int i)
{
    CHECK_INT(api_info(sh->sessions[i]).state, ROLLCALL_SESSION_ACTIVE);
    CHECK(is_there(sh, i));
}

/* ---- one lease ---- */

TEST(shared_lease, is_one_for_three_sessions_and_in_each_record)
{
    struct shared sh;
    char part[64];
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    for (int i = 0; i < SESSIONS; i++) {
        check_active(&sh, i);
        CHECK_INT(lease_of(&sh, i), lease_of(&sh, 0));
        CHECK_INT(api_info(sh.sessions[i]).ttl_s, TTL_S);
        snprintf(part, sizeof part, "\"LeaseID\":%lld", (long long)lease_of(&sh, 0));
        api_check_contains(api_stored(&sh.scene, api_info(sh.sessions[i]).key).value, part);
    }
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

TEST(shared_lease, is_not_that_of_another_ttl_or_of_who_has_one_of_its_own)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    struct rollcall_session *other =
        open_one(&sh.scene, OTHER_S, true, ROLLCALL_ON_LOST_STOP, NULL);
    struct rollcall_session *own = open_one(&sh.scene, TTL_S, false, ROLLCALL_ON_LOST_STOP, NULL);
    CHECK_INT(api_lease_count(&sh.scene), 3);
    CHECK_INT(api_lease_ttl_s(&sh.scene, api_info(other).lease_id), OTHER_S);
    CHECK(api_info(own).lease_id != lease_of(&sh, 0));
    CHECK_INT(rollcall_session_close(own, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(other, API_SOON_MS), ROLLCALL_OK);
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

/* A second connection of the same process shares nothing with the first. */
TEST(shared_lease, is_shared_within_a_connection)
{
    struct shared sh;
    struct api_scene beside;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    api_scene_open_beside(&beside, &sh.scene);
    struct rollcall_session *other = open_one(&beside, TTL_S, true, ROLLCALL_ON_LOST_STOP, NULL);
    CHECK(api_info(other).lease_id != lease_of(&sh, 0));
    CHECK_INT(rollcall_session_close(other, API_SOON_MS), ROLLCALL_OK);
    api_scene_close(&beside);
    close_all(&sh);
}

/* How many renewals this etcd has done, by its own count. */
static long renewals(const struct shared *sh)
{
    static char text[METRICS_BYTES];
    static const char name[] = "\netcd_debugging_lease_renewed_total ";
    struct sockaddr_in address;
    const char *port = strrchr(etcd_fixture_endpoint(sh->etcd), ':') + 1;
    const int fd = etcd_fixture_socket((uint16_t)strtol(port, NULL, 10), 0, &address);
    static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n";
    size_t used = 0;
    ssize_t got;
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK_INT(write(fd, ask, sizeof ask - 1), (ssize_t)sizeof ask - 1);
    while (used < sizeof text - 1 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0) {
        used += (size_t)got;
    }
    close(fd);
    text[used] = '\0';
    const char *at = strstr(text, name);
    CHECK(at != NULL);
    return (long)strtod(at + sizeof name - 1, NULL);
}

/* Three sessions with leases of their own would be three times as many. */
TEST(shared_lease, is_renewed_once_an_interval_for_all)
{
    struct shared sh;
    open_all(&sh, BRIEF_S, ROLLCALL_ON_LOST_STOP);
    const long before = renewals(&sh);
    const int64_t begun_ms = process_now_ms();
    process_sleep_ms(WATCHED_MS);
    const long count = renewals(&sh) - before;
    const int64_t interval_ms = BRIEF_S * 1000 / 3;
    const int64_t past_ms = process_now_ms() - begun_ms;
    CHECK(count >= 2);
    CHECK(count <= past_ms * 10 / (interval_ms * 8) + 1); /* a tenth of jitter, a tenth of tick */
    for (int i = 0; i < SESSIONS; i++) {
        check_active(&sh, i);
        api_session_check_story(&sh.logs[i], "ACTIVE");
    }
    close_all(&sh);
}

/* ---- leaving ---- */

TEST(shared_lease, stays_with_the_others_when_one_closes_and_goes_with_the_last)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    const int64_t lease_id = lease_of(&sh, 0);
    char key[SESSIONS][256];
    for (int i = 0; i < SESSIONS; i++) {
        snprintf(key[i], sizeof key[i], "%s", api_info(sh.sessions[i]).key);
    }
    close_session(&sh, 1);
    CHECK(!api_stored(&sh.scene, key[1]).there);
    check_active(&sh, 0);
    check_active(&sh, 2);
    close_session(&sh, 0);
    CHECK(!api_stored(&sh.scene, key[0]).there);
    check_active(&sh, 2);
    CHECK(api_lease_left_s(&sh.scene, lease_id) > 0);
    close_session(&sh, 2);
    CHECK(!api_stored(&sh.scene, key[2]).there);
    CHECK_INT(api_lease_left_s(&sh.scene, lease_id), -1);
    CHECK_INT(api_lease_count(&sh.scene), 0);
    for (int i = 0; i < SESSIONS; i++) {
        api_session_check_story(&sh.logs[i], "ACTIVE STOPPING STOPPED");
    }
    close_all(&sh);
}

TEST(shared_lease, is_another_for_one_who_comes_after_the_last_has_gone)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    const int64_t before = lease_of(&sh, 0);
    for (int i = 0; i < SESSIONS; i++) {
        close_session(&sh, i);
    }
    sh.sessions[0] = open_one(&sh.scene, TTL_S, true, ROLLCALL_ON_LOST_STOP, NULL);
    CHECK(lease_of(&sh, 0) != before);
    check_active(&sh, 0);
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

/* A lease of its own would live out its TTL; the others' must not keep the key for ever. */
TEST(shared_lease, loses_the_key_of_one_that_is_closed_at_once)
{
    struct shared sh;
    char key[256];
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    snprintf(key, sizeof key, "%s", api_info(sh.sessions[1]).key);
    CHECK_INT(rollcall_session_close(sh.sessions[1], 0), ROLLCALL_OK);
    sh.sessions[1] = NULL;
    const int64_t deadline_ms = process_now_ms() + API_SOON_MS;
    while (api_stored(&sh.scene, key).there) {
        CHECK(process_now_ms() < deadline_ms);
    }
    check_active(&sh, 0);
    check_active(&sh, 2);
    close_all(&sh);
}

/* ---- losses ---- */

TEST(shared_lease, revoked_from_outside_is_lost_by_all_once_and_they_come_back_under_one)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_REREGISTER);
    const int64_t before = lease_of(&sh, 0);
    api_lease_revoke(&sh.scene, before);
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(api_session_await(&sh.logs[i], ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    }
    process_sleep_ms(QUIET_MS); /* what is told twice would come now */
    for (int i = 0; i < SESSIONS; i++) {
        check_active(&sh, i);
        CHECK(lease_of(&sh, i) != before);
        CHECK_INT(lease_of(&sh, i), lease_of(&sh, 0));
        CHECK_INT(api_info(sh.sessions[i]).loss, ROLLCALL_LOSS_LEASE);
        api_session_check_story(&sh.logs[i], "ACTIVE LOST REGISTERING ACTIVE");
    }
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

TEST(shared_lease, revoked_from_outside_ends_all_who_do_not_register_again)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_STOP);
    const struct rollcall_session_info one = api_info(sh.sessions[1]);
    const struct rollcall_target target = {.key = one.key, .lease_id = one.lease_id};
    CHECK_INT(rollcall_revoke(sh.scene.etcd, &target, API_SOON_MS, NULL), ROLLCALL_OK);
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(api_session_await(&sh.logs[i], ROLLCALL_SESSION_LOST, 1, API_SOON_MS));
        CHECK_INT(rollcall_session_restart(sh.sessions[i], NULL), ROLLCALL_OK);
        CHECK(api_session_await(&sh.logs[i], ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    }
    for (int i = 0; i < SESSIONS; i++) {
        check_active(&sh, i);
        CHECK_INT(lease_of(&sh, i), lease_of(&sh, 0));
        CHECK_INT(api_session_count(&sh.logs[i], ROLLCALL_SESSION_LOST), 1);
    }
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

TEST(shared_lease, stays_when_the_key_of_one_is_deleted_and_that_one_alone_is_lost)
{
    struct shared sh;
    open_all(&sh, TTL_S, ROLLCALL_ON_LOST_REREGISTER);
    const int64_t lease_id = lease_of(&sh, 0);
    api_delete(&sh.scene, api_info(sh.sessions[1]).key);
    CHECK(api_session_await(&sh.logs[1], ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    CHECK_INT(api_info(sh.sessions[1]).loss, ROLLCALL_LOSS_DELETED);
    for (int i = 0; i < SESSIONS; i++) {
        check_active(&sh, i);
        CHECK_INT(lease_of(&sh, i), lease_id);
    }
    api_session_check_story(&sh.logs[0], "ACTIVE");
    api_session_check_story(&sh.logs[2], "ACTIVE");
    CHECK_INT(api_lease_count(&sh.scene), 1);
    close_all(&sh);
}

TEST(shared_lease, runs_out_while_etcd_is_away_and_all_come_back_under_one)
{
    struct shared sh;
    open_all(&sh, BRIEF_S, ROLLCALL_ON_LOST_REREGISTER);
    etcd_fixture_freeze(sh.etcd);
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(api_session_await(&sh.logs[i], ROLLCALL_SESSION_SUSPECT, 1, API_SOON_MS));
    }
    process_sleep_ms(BRIEF_S * 1000);
    etcd_fixture_thaw(sh.etcd);
    for (int i = 0; i < SESSIONS; i++) {
        CHECK(api_session_await(&sh.logs[i], ROLLCALL_SESSION_ACTIVE, 2, API_SOON_MS));
    }
    CHECK(api_await_lease_count(&sh.scene, 1, API_SOON_MS));
    for (int i = 0; i < SESSIONS; i++) {
        CHECK_INT(lease_of(&sh, i), lease_of(&sh, 0));
        check_active(&sh, i);
    }
    close_all(&sh);
}

/*
 * Many leases at once, and an etcd without space: what the crowd costs each of them.  Each test has
 * the number of its scenario, which the table in tests/README.md lists.
 */
#include "support/outage.h"
#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

enum { MS_PER_S = 1000 };

/* ---- A10 ---- */

enum { DEAD = 3000, DEAD_TTL_S = 5, LIVE = 10, LIVE_TTL_S = 9, DELAY_MS = 500 };

/* A10: etcd revokes a thousand a second, and a renewal of a lease that is over waits for that on
 * its stream, with all that come behind it.  Cut off for as long as the TTL of the many, this
 * client renews them all when it is let in, together with those that live. */
TEST(lease_press, three_thousand_leases_that_end_together_delay_no_renewal_of_another)
{
    struct outage outage;
    struct outage_crowd dead;
    outage_open_node(&outage, NULL);
    outage_crowd_open(&dead, &outage.scene[0], DEAD, DEAD_TTL_S, 0);
    outage_join_spread(&outage, LIVE, LIVE_TTL_S);
    proxy_set(outage.proxy[0], PROXY_HOLD);
    process_sleep_ms(DEAD_TTL_S * MS_PER_S); /* the fault itself */
    const int64_t let_in_ms = process_now_ms();
    proxy_set(outage.proxy[0], PROXY_FORWARD);
    CHECK(outage_await_renewed(&outage, let_in_ms, LIVE_TTL_S * MS_PER_S));
    outage_say("A10: all that live renewed after", process_now_ms() - let_in_ms);
    /* Each was due before it was let in. */
    CHECK(process_now_ms() - let_in_ms <= DELAY_MS);
    process_sleep_ms(let_in_ms + LIVE_TTL_S * MS_PER_S - process_now_ms());
    for (int i = 0; i < LIVE; i++) {
        const int64_t worst_ms =
            renewals_worst_delay_ms(outage.renewals, outage.sessions[i].info.lease_id,
                                    let_in_ms + DELAY_MS, process_now_ms() - DELAY_MS);
        outage_say("A10: worst renewal since", worst_ms);
        CHECK(worst_ms <= DELAY_MS);
    }
    CHECK_INT(outage_lost(&outage) + outage_suspected(&outage), 0);
    CHECK(outage_crowd_lost(&dead) > 0); /* else nothing ended */
    outage_crowd_close(&dead);
    outage_close(&outage);
}

/* ---- A14 ---- */

static int64_t resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file != NULL);
    CHECK_INT(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* What a process has had of all processors so far. */
static int64_t processor_ms(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    CHECK_INT(
        fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system),
        2);
    fclose(file);
    return (int64_t)(user + system) * MS_PER_S / sysconf(_SC_CLK_TCK);
}

/* The busiest step against the mean, in percent.  What a machine holds up comes at once when it
 * goes on, and an interval later again, until it has drifted apart: so a step is as much longer as
 * was lost since drift_ms before it. */
static int64_t unevenness_percent(struct outage *outage, int64_t from_ms, int64_t to_ms,
                                  int64_t step_ms, int64_t drift_ms)
{
    int64_t worst = 0;
    const int64_t steps = (to_ms - from_ms) / step_ms;
    const size_t all =
        renewals_count(outage->renewals, RENEWALS_SENT, 0, 0, from_ms, from_ms + steps * step_ms);
    CHECK(all > 0);
    for (int64_t i = 0; i < steps; i++) {
        const int64_t begin_ms = from_ms + i * step_ms, end_ms = begin_ms + step_ms;
        const int64_t lasted_ms = step_ms + lag_ms(outage->lag, begin_ms - drift_ms, end_ms);
        const size_t sent = renewals_count(outage->renewals, RENEWALS_SENT, 0, 0, begin_ms, end_ms);
        const int64_t its = (int64_t)sent * 100 * steps * step_ms / lasted_ms / (int64_t)all;
        worst = its > worst ? its : worst;
    }
    return worst;
}

/* A14: a thousand for ten seconds; by night, ten thousand for five minutes.  With a tenth of them
 * the busiest tenth of a second is a matter of luck; so then it is half a second. */
TEST(lease_press, thousands_are_renewed_at_an_even_pace_in_memory_that_does_not_grow)
{
    enum { TTL_S = 10 };
    const size_t count = (size_t)outage_choose(1000, 10000);
    const int64_t step_ms = outage_choose(500, 100), lasts_ms = outage_choose(10, 300) * MS_PER_S;
    struct outage outage;
    struct outage_crowd crowd;
    outage_open_node(&outage, NULL);
    const int64_t began_ms = process_now_ms();
    outage_crowd_open(&crowd, &outage.scene[0], count, TTL_S, 0);
    outage_say("A14: all registered after", process_now_ms() - began_ms);
    process_sleep_ms(TTL_S * MS_PER_S); /* those that began together have drifted apart */
    const int64_t before_ms = processor_ms(etcd_fixture_pid(outage.etcd));
    const int64_t bytes = resident_bytes() - (int64_t)renewals_bytes(outage.renewals);
    const int64_t from_ms = process_now_ms();
    process_sleep_ms(lasts_ms);
    const int64_t grown = resident_bytes() - (int64_t)renewals_bytes(outage.renewals) - bytes;
    const int64_t percent =
        unevenness_percent(&outage, from_ms, from_ms + lasts_ms, step_ms, 2 * TTL_S * MS_PER_S);
    outage_say("A14: resident bytes", bytes);
    outage_say("A14: grown by", grown);
    outage_say("A14: etcd's share of a processor, in percent",
               (processor_ms(etcd_fixture_pid(outage.etcd)) - before_ms) * 100 / lasts_ms);
    outage_say("A14: busiest step against the mean, in percent", percent);
    CHECK_INT(outage_crowd_lost(&crowd) + outage_crowd_suspect(&crowd), 0);
    CHECK(percent < 150);
    CHECK(grown < bytes / 20);
    outage_crowd_close(&crowd);
    outage_close(&outage);
}

/* ---- A15 ---- */

static enum rollcall_status register_one(const struct api_scene *scene, int64_t server_id,
                                         struct rollcall_session **session)
{
    struct rollcall_error error;
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = "datanode", .address = "h:1",
                                 .server_id = server_id, .retries = 2),
        session, &error);
    if (status != ROLLCALL_OK) {
        fprintf(stderr, "refused: %s\n", error.text);
    }
    return status;
}

/* A15 */
TEST(lease_press, an_etcd_without_space_keeps_who_is_there_and_refuses_who_comes_until_it_has_some)
{
    enum { TTL_S = 5 };
    static const char *const arguments[] = {"--quota-backend-bytes", "20971520", NULL};
    struct outage outage;
    struct rollcall_session *session;
    outage_open_node(&outage, arguments);
    const struct api_scene beside = outage_beside(&outage, 0);
    struct outage_session *member = outage_join_one(&outage, 0, TTL_S);
    api_etcdctl(&beside,
                "value=$(mktemp); head -c 1000000 /dev/zero | tr '\\0' x >$value; i=0;"
                "while etcdctl put fill-$i <$value >/dev/null 2>&1; do i=$((i+1)); done;"
                "rm $value; etcdctl alarm list | grep NOSPACE",
                NULL, 0);
    CHECK_INT(register_one(&outage.scene[0], 1, &session), ROLLCALL_E_NO_SPACE);
    CHECK(outage_await_renewed(&outage, process_now_ms() + TTL_S * MS_PER_S, API_SOON_MS));
    CHECK_INT(register_one(&outage.scene[0], 1, &session), ROLLCALL_E_NO_SPACE);
    api_etcdctl(
        &beside,
        "etcdctl del --prefix fill-;"
        "revision=$(etcdctl endpoint status -w json | sed 's/.*\"revision\":\\([0-9]*\\).*/\\1/');"
        "etcdctl compact $revision; etcdctl defrag; etcdctl alarm disarm",
        NULL, 0);
    CHECK_INT(register_one(&outage.scene[0], 1, &session), ROLLCALL_OK);
    CHECK_INT(rollcall_session_close(session, API_SOON_MS), ROLLCALL_OK);
    api_session_check_story(&member->log, "ACTIVE");
    outage_check_kept(&outage, 0);
    outage_close(&outage);
}

/* How the simulation's own etcd says it is, by the calls of rollcall/health.h. */
#include <rollcall/health.h>
#include <rollcall/testing.h>

#include "support/test.h"

enum { SEEDS = 20, TIMEOUT_MS = 5000, STEPS_MAX = 100000 };

static void close_all(struct rollcall_sim *sim, struct rollcall_etcd *etcd)
{
    CHECK_INT(rollcall_etcd_close(etcd), ROLLCALL_OK);
    CHECK(rollcall_sim_settle(sim, STEPS_MAX));
    rollcall_sim_destroy(sim);
}

TEST(sim_health, a_call_that_waits_is_told_all_of_a_cluster_of_three)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rollcall_sim *sim;
        struct rollcall_etcd *etcd;
        struct rollcall_health health;
        struct rollcall_error error = {.status = ROLLCALL_OK};
        CHECK_INT(
            rollcall_sim_create(ROLLCALL_SIM_OPTIONS(.seed = seed, .members = 3), &sim, &error),
            ROLLCALL_OK);
        CHECK_INT(rollcall_sim_connect(sim, 0, &etcd, &error), ROLLCALL_OK);
        CHECK_INT(rollcall_health(etcd, NULL, TIMEOUT_MS, &health, &error), ROLLCALL_OK);
        CHECK(health.has_leader);
        CHECK_STR(health.version, "3.4.23");
        CHECK_INT(health.member_count, 3);
        CHECK_INT(health.alarms_status, ROLLCALL_OK);
        CHECK_INT(health.alarm_count, 0);
        CHECK_INT(health.read_error.status, ROLLCALL_OK);
        CHECK_INT(health.key_count, 0);
        close_all(sim, etcd);
    }
}

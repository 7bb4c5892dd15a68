/* An errand that asks an etcd how it is: what it answers, part by part, and when it does not. */
#include "unit/actors/errand_world.h"

#include "actors/errand_health.h"

static const struct choice HEALTH = {.kind = ERRAND_HEALTH};

/* What etcd does to one kind of request, from the nth on. */
struct plan {
    enum transport_kind kind;
    uint64_t from, seen;
    enum fake_etcd_fate fate;
    enum rollcall_status refusal;
};

static struct plan plan;

static enum fake_etcd_fate by_plan(struct fake_etcd *etcd, const struct transport_request *request)
{
    if (request->kind == TRANSPORT_RANGE) { /* by a majority, and none of the records */
        CHECK(request->range.count_only && !request->range.serializable);
        CHECK_INT(request->range.limit, 0);
    }
    if (request->kind != plan.kind || plan.seen++ < plan.from) {
        return FAKE_ETCD_ANSWER;
    }
    etcd->refusal = plan.refusal;
    return plan.fate;
}

static void open_with(struct bench *b, struct plan what)
{
    open(b);
    plan = what;
    b->etcd->decide = by_plan;
}

TEST(errand_health, every_part_of_the_answers_is_told)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        (void)fake_etcd_put(b.etcd, KEY, RECORD, 0);
        (void)fake_etcd_put(b.etcd, KEY "1", RECORD, 0);
        (void)fake_etcd_put(b.etcd, "elsewhere", RECORD, 0);
        b.etcd->no_space = true;
        run(&b, &HEALTH);
        check_done(&b);
        const struct rollcall_health *health = &b.health;
        CHECK(health->has_leader && !health->is_learner);
        CHECK_INT(health->cluster_id, FAKE_ETCD_CLUSTER);
        CHECK_INT(health->member_id, FAKE_ETCD_MEMBER);
        CHECK_INT(health->leader_id, FAKE_ETCD_MEMBER);
        CHECK_INT(health->raft_term, 2);
        CHECK_INT(health->raft_index, b.etcd->revision);
        CHECK_INT(health->raft_applied_index, b.etcd->revision);
        CHECK_INT(health->db_size_bytes, 20480);
        CHECK_INT(health->db_size_in_use_bytes, 16384);
        CHECK_STR(health->version, "3.4.23");
        CHECK(health->latency_ms >= 0 && health->latency_ms < TIMEOUT_MS);
        CHECK_INT(health->members_status, ROLLCALL_OK);
        CHECK_INT(health->member_count, 1);
        CHECK_INT(health->members[0].member_id, FAKE_ETCD_MEMBER);
        CHECK_STR(health->members[0].name, "a");
        CHECK_INT(health->alarms_status, ROLLCALL_OK);
        CHECK_INT(health->alarm_count, 1);
        CHECK_INT(health->alarms[0].member_id, FAKE_ETCD_MEMBER);
        CHECK_INT(health->alarms[0].alarm, ROLLCALL_ALARM_NO_SPACE);
        CHECK_INT(health->read_error.status, ROLLCALL_OK);
        CHECK_INT(health->key_count, 2);
        CHECK_INT(b.writes, 5); /* three times the status, once each of the others; no write */
        CHECK_INT(b.etcd->calls, 6);
        close_bench(&b);
    }
}

TEST(errand_health, the_latency_is_that_of_the_fastest_answer)
{
    static const int64_t took_ms[] = {9, 4, 7};
    const struct transport_result result = {.kind = TRANSPORT_STATUS};
    struct rollcall_health health;
    errand_health_init(&health);
    for (int step = ERRAND_HEALTH_STATUS_FIRST; step <= ERRAND_HEALTH_STATUS_LAST; step++) {
        errand_health_note(&health, step, &result, took_ms[step]);
    }
    CHECK_INT(health.latency_ms, 4);
}

TEST(errand_health, an_etcd_that_is_away_is_told_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        b.etcd->away = true;
        run(&b, &HEALTH);
        check_refused(&b, ROLLCALL_E_UNAVAILABLE, "the fake etcd says E_UNAVAILABLE");
        CHECK(b.told_ms < 1000);
        CHECK_INT(b.etcd->calls, 1);
        CHECK(!b.error.maybe_applied);
        close_bench(&b);
    }
}

TEST(errand_health, a_member_without_a_leader_says_only_that)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_with(&b, (struct plan){.kind = TRANSPORT_RANGE, .fate = FAKE_ETCD_REFUSE});
        b.etcd->no_leader = true;
        run(&b, &HEALTH);
        check_done(&b);
        CHECK(!b.health.has_leader);
        CHECK_STR(b.health.version, "");
        CHECK_INT(b.health.read_error.status, ROLLCALL_E_UNAVAILABLE);
        close_bench(&b);
    }
}

TEST(errand_health, what_is_denied_is_told_and_the_rest_is_asked_for)
{
    while (world_next(SEEDS)) {
        static const enum transport_kind kinds[] = {TRANSPORT_MEMBERS, TRANSPORT_ALARMS,
                                                    TRANSPORT_RANGE};
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            struct bench b;
            open_with(&b, (struct plan){.kind = kinds[i],
                                        .fate = FAKE_ETCD_REFUSE,
                                        .refusal = ROLLCALL_E_DENIED});
            run(&b, &HEALTH);
            check_done(&b);
            CHECK_INT(b.health.members_status,
                      kinds[i] == TRANSPORT_MEMBERS ? ROLLCALL_E_DENIED : ROLLCALL_OK);
            CHECK_INT(b.health.alarms_status,
                      kinds[i] == TRANSPORT_ALARMS ? ROLLCALL_E_DENIED : ROLLCALL_OK);
            CHECK_INT(b.health.read_error.status,
                      kinds[i] == TRANSPORT_RANGE ? ROLLCALL_E_DENIED : ROLLCALL_OK);
            CHECK_INT(b.etcd->calls, 6);
            close_bench(&b);
        }
    }
}

TEST(errand_health, a_status_that_is_silent_is_told_as_a_timeout)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_with(&b, (struct plan){.kind = TRANSPORT_STATUS, .fate = FAKE_ETCD_SILENT});
        run(&b, &HEALTH);
        check_refused(&b, ROLLCALL_E_TIMEOUT, "did not answer");
        CHECK_INT(b.told_ms, TIMEOUT_MS);
        close_bench(&b);
    }
}

TEST(errand_health, what_was_answered_is_told_when_the_rest_is_silent)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_with(&b, (struct plan){.kind = TRANSPORT_ALARMS, .fate = FAKE_ETCD_SILENT});
        run(&b, &HEALTH);
        check_done(&b);
        CHECK_INT(b.told_ms, TIMEOUT_MS);
        CHECK_STR(b.health.version, "3.4.23");
        CHECK_INT(b.health.members_status, ROLLCALL_OK);
        CHECK_INT(b.health.alarms_status, ROLLCALL_E_TIMEOUT);
        CHECK_INT(b.health.read_error.status, ROLLCALL_E_TIMEOUT);
        CHECK(b.health.read_error.text[0] != '\0');
        close_bench(&b);
    }
}

TEST(errand_health, a_crash_is_told_once_and_as_one)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_with(&b, (struct plan){.kind = TRANSPORT_ALARMS, .fate = FAKE_ETCD_SILENT});
        start(&b, &HEALTH);
        world_run(&b.world, 100);
        CHECK_STATE(&b.world, b.errand, "CHECKING");
        rollcall_sim_crash(b.world.sim, b.errand, ROLLCALL_E_ACTOR);
        world_run(&b.world, TIMEOUT_MS + 1000);
        CHECK_INT(b.told, 1);
        CHECK_INT(b.failed, 1);
        close_bench(&b);
    }
}

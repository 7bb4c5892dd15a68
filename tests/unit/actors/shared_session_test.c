/* Whole sessions that share a lease, between a fake etcd and applications that are probes. */
#include "actors/allocator.h"
#include "actors/application.h"
#include "actors/lease_keeper.h"
#include "actors/lease_share.h"
#include "runtime/port.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/steps.h"

enum { SEEDS = 20, SESSIONS = 3, TTL_S = 5, RIVAL_LEASE = 4711 };

static const uint16_t APPLICATION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(APPLICATION_LIST);
static const char *const APPLICATION_NAMES[] = ROLLCALL_MESSAGE_NAMES(APPLICATION_LIST);

struct bench {
    struct steps steps; /* must be first */
    struct world world;
    struct fake_etcd *etcd;
    struct rollcall_ref keeper, keeper_supervisor;
    struct {
        struct probe *application;
        struct rollcall_ref ref;
        uint64_t orders;
    } sessions[SESSIONS];
};

/* Session i has server ID i + 1. */
static void begin(struct bench *b, int i, const struct session_choice *given)
{
    struct session_choice choice = *given;
    choice.server_id = choice.server_id == 0 ? i + 1 : choice.server_id;
    choice.ttl_s = TTL_S;
    choice.share_lease = true;
    b->sessions[i].application =
        probe_create("application", APPLICATION_SIZES, APPLICATION_NAMES, APPLICATION_COUNT);
    const struct session_options options = {
        .config = session_config_create(&choice),
        .application = probe_spawn(b->sessions[i].application, b->world.rt, 1),
        .transport = b->etcd->ref,
        .keeper = b->keeper};
    b->sessions[i].ref = world_spawn(
        &b->world, 0, ROLLCALL_SPAWN_OPTIONS(.type = &session_type, .options = &options));
}

static void open_world(struct bench *b)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = &b->steps;
    const struct lease_keeper_options keeper = {fake_etcd_spawn(b->etcd, b->world.rt, 0)};
    b->keeper_supervisor = world_supervisor(&b->world);
    b->keeper = world_spawn(&b->world, 0,
                            ROLLCALL_SPAWN_OPTIONS(.type = &lease_keeper_type, .options = &keeper,
                                                   .supervisor = b->keeper_supervisor));
}

static void open(struct bench *b, const struct session_choice *choice)
{
    open_world(b);
    for (int i = 0; i < SESSIONS; i++) {
        begin(b, i, choice);
    }
    world_settle(&b->world);
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    for (int i = 0; i < SESSIONS; i++) {
        probe_destroy(b->sessions[i].application);
    }
    fake_etcd_destroy(b->etcd);
}

static const struct session_event *last(const struct bench *b, int i)
{
    const struct probe_message *message = probe_last(b->sessions[i].application, APPLICATION_EVENT);
    CHECK(message != NULL);
    return (const struct session_event *)message->object;
}

static void check_state(const struct bench *b, int i, enum rollcall_session_state state)
{
    CHECK_STR(rollcall_session_state_name(last(b, i)->state), rollcall_session_state_name(state));
}

static int64_t lease_of(const struct bench *b, int i)
{
    return last(b, i)->membership->lease_id;
}

static void order(struct bench *b, int i, uint16_t message)
{
    const struct session_order payload = {.number = ++b->sessions[i].orders};
    rollcall__runtime_signal(b->world.rt, b->sessions[i].ref, message, &payload, sizeof payload);
    world_settle(&b->world);
}

static const char *key_of(int i)
{
    static const char *const KEYS[] = {"root/session/coord-1", "root/session/coord-2",
                                       "root/session/coord-3"};
    return KEYS[i];
}

static void check_others(const struct bench *b, int but)
{
    for (int i = 0; i < SESSIONS; i++) {
        if (i != but) {
            check_state(b, i, ROLLCALL_SESSION_ACTIVE);
            CHECK_INT(last(b, i)->losses, 0);
            CHECK(fake_etcd_find(b->etcd, key_of(i)) != NULL);
        }
    }
}

TEST(shared_session, has_the_lease_of_the_others_and_one_renewal_for_all)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_run(&b.world, 60000);
        check_others(&b, -1);
        for (int i = 0; i < SESSIONS; i++) {
            CHECK_INT(lease_of(&b, i), lease_of(&b, 0));
            CHECK_INT(fake_etcd_find(b.etcd, key_of(i))->lease_id, lease_of(&b, 0));
        }
        CHECK_INT(b.etcd->grants, 1);
        CHECK(b.etcd->renewals <= 60 * 4 / TTL_S);
        close_bench(&b);
    }
}

TEST(shared_session, that_leaves_is_marked_and_takes_its_key_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        order(&b, 1, SESSION_LEAVE);
        check_state(&b, 1, ROLLCALL_SESSION_STOPPED);
        CHECK_INT(last(&b, 1)->status, ROLLCALL_OK);
        CHECK_INT(b.steps.plan[MARK].seen, 1);
        CHECK_INT(b.steps.plan[WITHDRAW].seen, 1);
        CHECK(fake_etcd_find(b.etcd, key_of(1)) == NULL);
        check_others(&b, 1);
        order(&b, 0, SESSION_LEAVE);
        CHECK_INT(b.etcd->revokes, 0);
        order(&b, 2, SESSION_REVOKE);
        CHECK_INT(b.etcd->revokes, 1);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

TEST(shared_session, whose_key_is_deleted_is_lost_alone_and_comes_back_under_the_same_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
        const int64_t lease_id = lease_of(&b, 0);
        fake_etcd_delete(b.etcd, key_of(1));
        fake_etcd_pump(b.etcd, b.world.rt);
        world_run(&b.world, 3000);
        CHECK_INT(last(&b, 1)->losses, 1);
        CHECK_INT(last(&b, 1)->loss, ROLLCALL_LOSS_DELETED);
        check_state(&b, 1, ROLLCALL_SESSION_ACTIVE);
        CHECK_INT(lease_of(&b, 1), lease_id);
        check_others(&b, 1);
        CHECK_INT(b.etcd->revokes, 0);
        close_bench(&b);
    }
}

TEST(shared_session, whose_key_holds_a_stranger_s_record_leaves_that_alone)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, key_of(1), RECORD_OF(9, "b", "there"), lease_of(&b, 1));
        fake_etcd_pump(b.etcd, b.world.rt);
        world_run(&b.world, 3000);
        check_state(&b, 1, ROLLCALL_SESSION_LOST);
        CHECK_INT(last(&b, 1)->loss, ROLLCALL_LOSS_OVERWRITTEN);
        CHECK(fake_etcd_find(b.etcd, key_of(1)) != NULL);
        check_others(&b, 1);
        close_bench(&b);
    }
}

TEST(shared_session, all_are_lost_once_with_the_lease_and_come_back_under_one)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.on_lost = ROLLCALL_ON_LOST_REREGISTER});
        const int64_t before = lease_of(&b, 0);
        fake_etcd_end_lease(b.etcd, before);
        if (world_seed % 2 == 0) {
            fake_etcd_pump(b.etcd, b.world.rt); /* liveness sees it, too */
        }
        world_run(&b.world, 5000);
        for (int i = 0; i < SESSIONS; i++) {
            check_state(&b, i, ROLLCALL_SESSION_ACTIVE);
            CHECK_INT(last(&b, i)->losses, 1);
            CHECK_INT(last(&b, i)->loss, ROLLCALL_LOSS_LEASE);
            CHECK(lease_of(&b, i) != before);
            CHECK_INT(lease_of(&b, i), lease_of(&b, 0));
        }
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

TEST(shared_session, that_gives_up_revokes_nothing_of_the_others)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_world(&b);
        begin(&b, 0, &(struct session_choice){0});
        begin(&b, 1, &(struct session_choice){0});
        world_settle(&b.world);
        fake_etcd_grant(b.etcd, RIVAL_LEASE, 100);
        fake_etcd_put(b.etcd, key_of(2), RECORD_OF(9, "b", "there"), RIVAL_LEASE);
        begin(&b, 2, &(struct session_choice){.retries = 2});
        world_run(&b.world, 10000);
        check_state(&b, 2, ROLLCALL_SESSION_FAILED);
        CHECK_INT(last(&b, 2)->status, ROLLCALL_E_RIVAL);
        check_others(&b, 2);
        CHECK_INT(b.etcd->revokes, 0);
        close_bench(&b);
    }
}

TEST(shared_session, that_waits_for_a_rival_has_its_key_when_that_one_goes)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_world(&b);
        fake_etcd_grant(b.etcd, RIVAL_LEASE, 100);
        fake_etcd_put(b.etcd, key_of(2), RECORD_OF(9, "b", "there"), RIVAL_LEASE);
        for (int i = 0; i < SESSIONS; i++) {
            begin(&b, i, &(struct session_choice){0});
        }
        world_run(&b.world, 1000);
        check_state(&b, 0, ROLLCALL_SESSION_ACTIVE);
        CHECK(fake_etcd_find(b.etcd, key_of(2))->lease_id == RIVAL_LEASE);
        fake_etcd_end_lease(b.etcd, RIVAL_LEASE);
        world_run(&b.world, 5000);
        check_others(&b, -1);
        CHECK_INT(lease_of(&b, 2), lease_of(&b, 0));
        close_bench(&b);
    }
}

TEST(shared_session, finds_its_own_key_when_the_answer_was_lost)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_world(&b);
        steps_from_now(&b.steps, CLAIM, FAKE_ETCD_LOSE_ANSWER, 2);
        for (int i = 0; i < SESSIONS; i++) {
            begin(&b, i, &(struct session_choice){0});
        }
        world_run(&b.world, 3000);
        check_others(&b, -1);
        for (int i = 0; i < SESSIONS; i++) {
            order(&b, i, SESSION_REVOKE);
            check_state(&b, i, ROLLCALL_SESSION_STOPPED);
            CHECK(fake_etcd_find(b.etcd, key_of(i)) == NULL);
        }
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        close_bench(&b);
    }
}

/* The lease is there, but etcd has not answered this session once. */
TEST(shared_session, that_comes_while_etcd_is_away_fails_in_time_and_says_so)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_world(&b);
        begin(&b, 0, &(struct session_choice){0});
        world_settle(&b.world);
        b.etcd->away = true;
        begin(&b, 1, &(struct session_choice){0});
        world_run(&b.world, 4900);
        CHECK_INT(probe_count(b.sessions[1].application, APPLICATION_EVENT), 0);
        world_run(&b.world, 200);
        check_state(&b, 1, ROLLCALL_SESSION_FAILED);
        CHECK_INT(last(&b, 1)->status, ROLLCALL_E_UNAVAILABLE);
        b.etcd->away = false;
        world_run(&b.world, 3000);
        check_state(&b, 0, ROLLCALL_SESSION_ACTIVE);
        CHECK(fake_etcd_find(b.etcd, key_of(1)) == NULL);
        close_bench(&b);
    }
}

TEST(shared_session, is_suspect_while_the_lease_keeper_is_down_and_loses_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        const uint64_t changes = last(&b, 0)->change;
        rollcall_sim_crash(b.world.sim, b.keeper, ROLLCALL_E_ACTOR);
        rollcall__runtime_signal(b.world.rt, b.keeper, LEASE_KEEPER_DUE, NULL, 0);
        world_settle(&b.world);
        for (int i = 0; i < SESSIONS; i++) {
            check_state(&b, i, ROLLCALL_SESSION_SUSPECT);
        }
        world_run(&b.world, 3000);
        check_others(&b, -1);
        CHECK_INT(last(&b, 0)->change, changes + 2);
        CHECK_INT(b.etcd->grants, 1);
        close_bench(&b);
    }
}

TEST(shared_session, is_lost_by_a_fault_when_the_lease_keeper_has_ended)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        rollcall_runtime_stop(b.world.rt, b.keeper_supervisor);
        world_run(&b.world, 30000);
        for (int i = 0; i < SESSIONS; i++) {
            check_state(&b, i, ROLLCALL_SESSION_LOST);
            CHECK_INT(last(&b, i)->loss, ROLLCALL_LOSS_FAULT);
            CHECK(strstr(last(&b, i)->reason, "connect again") != NULL);
        }
        close_bench(&b);
    }
}

/* The mark's answer may come while the lease_keeper deletes the key: it is no end yet. */
TEST(shared_session, has_left_when_its_key_is_gone_and_not_when_its_mark_is_answered)
{
    for (uint64_t steps = 0; steps < 12; steps++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            const struct session_mark mark = {.request = 1};
            steps_from_now(&b.steps, WITHDRAW, FAKE_ETCD_SILENT, 1);
            world_send(&b.world, b.sessions[1].ref, SESSION_MARK, &mark, sizeof mark, NULL);
            for (uint64_t n = 0; n < steps; n++) {
                (void)rollcall_sim_step(b.world.sim);
            }
            order(&b, 1, SESSION_REVOKE);
            CHECK(fake_etcd_find(b.etcd, key_of(1)) != NULL);
            check_state(&b, 1, ROLLCALL_SESSION_STOPPING);
            close_bench(&b);
        }
    }
}

TEST(shared_session, that_leaves_at_any_moment_leaves_nothing_and_the_others_in_peace)
{
    for (uint64_t steps = 0; steps < 60; steps++) {
        while (world_next(3)) {
            struct bench b;
            open_world(&b);
            begin(&b, 0, &(struct session_choice){0});
            begin(&b, 1, &(struct session_choice){0});
            world_settle(&b.world);
            begin(&b, 2, &(struct session_choice){0});
            for (uint64_t n = 0; n < steps; n++) {
                (void)rollcall_sim_step(b.world.sim);
            }
            order(&b, 2, SESSION_LEAVE);
            world_run(&b.world, 2000);
            check_state(&b, 2, ROLLCALL_SESSION_STOPPED);
            CHECK(fake_etcd_find(b.etcd, key_of(2)) == NULL);
            check_others(&b, 2);
            close_bench(&b);
        }
    }
}

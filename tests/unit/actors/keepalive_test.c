/* One lease under virtual time: the transport and the session are probes. */
#include "actors/keepalive.h"

#include "support/probe.h"
#include "unit/actors/deaf_session.h"
#include "unit/actors/world.h"

enum { SEEDS = 20, LEASE = 77 };

static const uint16_t SESSION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);
static const char *const SESSION_NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);
static const uint16_t TRANSPORT_SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
static const char *const TRANSPORT_NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);

struct bench {
    struct world world;
    struct probe *session, *transport, *parent;
    struct rollcall_ref session_ref, keepalive;
};

static void open(struct bench *b)
{
    world_open(&b->world);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    b->session = probe_create("session", SESSION_SIZES, SESSION_NAMES, SESSION_COUNT);
    b->transport = probe_create("transport", TRANSPORT_SIZES, TRANSPORT_NAMES, TRANSPORT_COUNT);
    b->session_ref = deaf_session_spawn(&b->world, b->session, b->parent);
    const struct keepalive_options options = {
        .session = b->session_ref, .transport = probe_spawn(b->transport, b->world.rt, 1)};
    b->keepalive = world_spawn(&b->world, 0,
                               ROLLCALL_SPAWN_OPTIONS(.type = &keepalive_type, .options = &options,
                                                      .supervisor = world_supervisor(&b->world)));
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->keepalive, "IDLE");
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->parent);
    probe_destroy(b->session);
    probe_destroy(b->transport);
}

static size_t told(const struct bench *b, uint16_t message);

/* What the session has heard, but for each renewal. */
static size_t heard(const struct bench *b)
{
    return probe_total(b->session) - probe_count(b->session, SESSION_LEASE_RENEWED);
}

/* What the session is told from here on is counted without the SAFE that answers a good grant. */
static void start(struct bench *b, int64_t ttl_s, int64_t sent_ms)
{
    const struct keepalive_start payload = {.lease_id = LEASE, .ttl_s = ttl_s, .sent_ms = sent_ms};
    world_send(&b->world, b->keepalive, KEEPALIVE_START, &payload, sizeof payload, NULL);
    world_settle(&b->world);
    if (told(b, SESSION_LEASE_SAFE) == 1) {
        probe_forget(b->session);
    }
}

static size_t renewals(const struct bench *b)
{
    return probe_count(b->transport, TRANSPORT_KEEPALIVE);
}

static size_t told(const struct bench *b, uint16_t message)
{
    return probe_count(b->session, message);
}

/* Answers the last renewal. */
static void answer(struct bench *b, int64_t ttl_s, int64_t sent_ms, enum rollcall_status status)
{
    const struct probe_message *request = probe_last(b->transport, TRANSPORT_KEEPALIVE);
    const struct transport_keepalive *asked = probe_payload(request);
    const struct transport_keepalive_answer payload = {
        .lease_id = asked->lease_id, .ttl_s = ttl_s, .sent_ms = sent_ms, .status = status};
    CHECK_INT(asked->lease_id, LEASE);
    probe_reply(b->transport, b->world.rt, request->from, asked->answer, &payload, sizeof payload,
                NULL);
    world_settle(&b->world);
}

static void until(const struct bench *b, int64_t at_ms)
{
    rollcall_sim_run_until(b->world.sim, at_ms);
}

/* Runs for `for_ms` with an etcd that answers every renewal at once. */
static void run_answered(struct bench *b, int64_t for_ms, int64_t ttl_s)
{
    const int64_t end_ms = rollcall_sim_now_ms(b->world.sim) + for_ms;
    size_t answered = renewals(b);
    while (rollcall_sim_now_ms(b->world.sim) < end_ms) {
        until(b, rollcall_sim_now_ms(b->world.sim) + 1);
        if (renewals(b) > answered) {
            answered = renewals(b);
            answer(b, ttl_s, rollcall_sim_now_ms(b->world.sim), ROLLCALL_OK);
        }
    }
}

/* ---- when ---- */

TEST(keepalive, deadline_counts_from_when_the_request_was_sent)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 10, 0);
        until(&b, 5000);
        answer(&b, 10, 3300, ROLLCALL_OK); /* it took 1700 ms */
        until(&b, 13099);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 0);
        until(&b, 20000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        CHECK_INT(probe_last(b.session, SESSION_LEASE_SUSPECT)->at_ms, 3300 + 10000 - 200);
        close_bench(&b);
    }
}

TEST(keepalive, suspect_is_told_before_etcd_could_have_expired_the_lease)
{
    static const int64_t TTL_S[] = {1, 2, 5, 30, 3600};
    for (size_t i = 0; i < sizeof TTL_S / sizeof TTL_S[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            const int64_t ttl_ms = TTL_S[i] * 1000;
            const int64_t margin_ms = ttl_ms / 50 > 100 ? ttl_ms / 50 : 100;
            open(&b);
            start(&b, TTL_S[i], 0);
            until(&b, 2 * ttl_ms < 60000 ? 2 * ttl_ms : ttl_ms);
            CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
            CHECK_INT(probe_last(b.session, SESSION_LEASE_SUSPECT)->at_ms, ttl_ms - margin_ms);
            CHECK_INT(told(&b, SESSION_LEASE_LOST), 0);
            CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
            close_bench(&b);
        }
    }
}

TEST(keepalive, a_grant_that_took_longer_than_the_ttl_is_not_safe_until_it_is_renewed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        until(&b, 9000);
        start(&b, 5, 0);
        until(&b, 9000);
        CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
        CHECK_INT(heard(&b), 0); /* nobody was told it is safe, nobody relies on it */
        CHECK_INT(renewals(&b), 1);
        answer(&b, 5, 9000, ROLLCALL_OK);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        close_bench(&b);
    }
}

TEST(keepalive, renews_at_a_third_of_the_ttl_a_little_jittered)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        run_answered(&b, 300000, 30);
        CHECK(renewals(&b) >= 30 && renewals(&b) <= 32);
        int64_t before_ms = probe_find(b.transport, TRANSPORT_KEEPALIVE, 0)->at_ms;
        CHECK(before_ms <= 10002); /* the first: anywhere in the interval */
        for (size_t i = 1; i < renewals(&b); i++) {
            const int64_t at_ms = probe_find(b.transport, TRANSPORT_KEEPALIVE, i)->at_ms;
            CHECK(at_ms - before_ms >= 9400 && at_ms - before_ms <= 10002);
            before_ms = at_ms;
        }
        CHECK_INT(heard(&b), 0);
        close_bench(&b);
    }
}

TEST(keepalive, leases_that_started_together_spread_their_renewals_over_the_interval)
{
    enum { PARTS = 5, MANY_SEEDS = 100 };
    size_t in[PARTS] = {0};
    while (world_next(MANY_SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        until(&b, 10001);
        const int64_t at_ms = probe_find(b.transport, TRANSPORT_KEEPALIVE, 0)->at_ms;
        in[at_ms < 10000 ? at_ms * PARTS / 10000 : PARTS - 1]++;
        close_bench(&b);
    }
    for (size_t i = 0; i < PARTS; i++) {
        CHECK(in[i] >= MANY_SEEDS / PARTS / 4); /* 20 are to be expected */
    }
}

TEST(keepalive, a_short_lease_is_renewed_twice_a_second)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        run_answered(&b, 20000, 2);
        CHECK(renewals(&b) >= 39 && renewals(&b) <= 52);
        CHECK_INT(heard(&b), 0);
        close_bench(&b);
    }
}

TEST(keepalive, retries_while_etcd_is_silent_without_a_storm)
{
    static const struct {
        int64_t ttl_s;
        size_t at_least, at_most;
    } CASES[] = {{1, 400, 601}, {2, 290, 301}, {30, 160, 201}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b);
            start(&b, CASES[i].ttl_s, 0);
            until(&b, 60000);
            CHECK(renewals(&b) >= CASES[i].at_least && renewals(&b) <= CASES[i].at_most);
            CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
            CHECK_INT(heard(&b), 1);
            close_bench(&b);
        }
    }
}

/* ---- what an answer means ---- */

TEST(keepalive, broken_stream_is_not_a_lost_lease)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        until(&b, 10000);
        for (int i = 0; i < 20; i++) {
            const size_t asked = renewals(&b);
            answer(&b, 0, 0, ROLLCALL_E_UNAVAILABLE);
            world_run(&b.world, 301);
            CHECK(renewals(&b) > asked);
        }
        CHECK_INT(heard(&b), 0);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        close_bench(&b);
    }
}

TEST(keepalive, ttl_zero_is_lost_once_and_nothing_follows)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        until(&b, 10000);
        answer(&b, 0, 10000, ROLLCALL_OK);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        CHECK_STATE(&b.world, b.keepalive, "LOST");
        const size_t asked = renewals(&b);
        answer(&b, 0, 10000, ROLLCALL_OK);
        answer(&b, 30, 10000, ROLLCALL_OK);
        until(&b, 100000);
        CHECK_INT(heard(&b), 1);
        CHECK_INT(renewals(&b), asked);
        close_bench(&b);
    }
}

/* A17: a member that lags does not know a young lease. */
TEST(keepalive, ttl_zero_of_a_young_lease_is_asked_about_once_more)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        until(&b, 600);
        answer(&b, 0, 600, ROLLCALL_OK);
        CHECK_INT(heard(&b), 0);
        const size_t asked = renewals(&b);
        until(&b, 900);
        CHECK(renewals(&b) > asked);
        answer(&b, 0, 900, ROLLCALL_OK);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        close_bench(&b);
    }
}

TEST(keepalive, ttl_zero_in_suspect_is_lost_too)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        until(&b, 3000);
        CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
        answer(&b, -1, 3000, ROLLCALL_OK);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        CHECK_STATE(&b.world, b.keepalive, "LOST");
        close_bench(&b);
    }
}

TEST(keepalive, suspect_is_safe_again_when_etcd_answers)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        for (int64_t round = 1; round <= 3; round++) {
            until(&b, 10000 * round);
            CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), round);
            CHECK_INT(told(&b, SESSION_LEASE_SAFE), round - 1);
            answer(&b, 2, 10000 * round, ROLLCALL_OK);
            CHECK_INT(told(&b, SESSION_LEASE_SAFE), round);
            CHECK_STATE(&b.world, b.keepalive, "SAFE");
        }
        close_bench(&b);
    }
}

TEST(keepalive, a_late_answer_proves_nothing_for_now)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 5, 0);
        until(&b, 20000);
        const size_t asked = renewals(&b);
        answer(&b, 5, 15000, ROLLCALL_OK); /* good until 19'900 */
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 0);
        CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
        CHECK_INT(renewals(&b), asked + 1); /* asks again at once */
        answer(&b, 5, 15200, ROLLCALL_OK);  /* good for another 100 ms */
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        until(&b, 20100);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 2);
        close_bench(&b);
    }
}

TEST(keepalive, a_late_answer_in_safe_is_suspect_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        until(&b, 20000);
        answer(&b, 2, 10000, ROLLCALL_OK); /* etcd gave a shorter TTL */
        until(&b, 20000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
        close_bench(&b);
    }
}

TEST(keepalive, an_answer_about_another_lease_means_nothing)
{
    while (world_next(SEEDS)) {
        struct bench b;
        const struct transport_keepalive_answer other = {.lease_id = LEASE + 1, .ttl_s = 0};
        open(&b);
        start(&b, 30, 0);
        world_send(&b.world, b.keepalive, KEEPALIVE_ANSWER, &other, sizeof other, NULL);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        CHECK_INT(heard(&b), 0);
        close_bench(&b);
    }
}

/* ---- restarts ---- */

/* Fails it at its next message, which this sends, and lets the supervisor restart it. */
static void crash(struct bench *b)
{
    const struct transport_keepalive_answer nothing = {.status = ROLLCALL_E_UNAVAILABLE};
    const char *before = rollcall_sim_state(b->world.sim, b->keepalive);
    rollcall_sim_crash(b->world.sim, b->keepalive, ROLLCALL_E_ACTOR);
    world_send(&b->world, b->keepalive, KEEPALIVE_ANSWER, &nothing, sizeof nothing, NULL);
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->keepalive, "FAILED");
    for (int i = 0;
         i < 100 && strcmp(rollcall_sim_state(b->world.sim, b->keepalive), "FAILED") == 0; i++) {
        world_run(&b->world, 10);
    }
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->keepalive, strcmp(before, "LOST") == 0 ? before : "SUSPECT");
}

TEST(keepalive, a_restart_goes_on_renewing_at_once_and_is_suspect_until_that_is_answered)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 10, 0);
        until(&b, 1000);
        const size_t asked = renewals(&b);
        crash(&b);
        CHECK(renewals(&b) > asked);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        answer(&b, 10, rollcall_sim_now_ms(b.world.sim), ROLLCALL_OK);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        until(&b, 9000); /* and keeps the deadline of what was answered */
        CHECK_INT(heard(&b), 2);
        until(&b, 12000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 2);
        close_bench(&b);
    }
}

/* A SAFE of before the failure may be read after the session has heard of it. */
TEST(keepalive, a_restart_says_again_that_it_is_suspect_and_tells_lost_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        until(&b, 3000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        crash(&b);
        world_run(&b.world, 1000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 2);
        answer(&b, 2, rollcall_sim_now_ms(b.world.sim), ROLLCALL_OK);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        world_run(&b.world, 700);
        answer(&b, 0, 0, ROLLCALL_OK);
        crash(&b);
        world_run(&b.world, 60000);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        CHECK_INT(heard(&b), 4);
        close_bench(&b);
    }
}

TEST(keepalive, a_restart_before_the_start_waits_for_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        rollcall_sim_crash(b.world.sim, b.keepalive, ROLLCALL_E_ACTOR);
        start(&b, 10, 0); /* lost with the crash: one message is */
        CHECK_STATE(&b.world, b.keepalive, "FAILED");
        start(&b, 10, 0); /* waits in the mailbox */
        world_run(&b.world, 100);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        close_bench(&b);
    }
}

/* ---- a session that does not read ---- */

TEST(keepalive, a_full_session_mailbox_delays_suspect_but_does_not_lose_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 10, 0);
        deaf_session_block(&b.world, b.session_ref);
        until(&b, 15000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 0);
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        world_run(&b.world, 300);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        world_run(&b.world, 30000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        close_bench(&b);
    }
}

TEST(keepalive, a_full_session_mailbox_delays_what_a_restart_says_but_does_not_lose_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 30, 0);
        deaf_session_block(&b.world, b.session_ref);
        crash(&b);
        world_run(&b.world, 1000);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 0);
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        world_run(&b.world, 400);
        CHECK_INT(told(&b, SESSION_LEASE_SUSPECT), 1);
        close_bench(&b);
    }
}

TEST(keepalive, a_full_session_mailbox_delays_lost_but_does_not_lose_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 10, 0);
        until(&b, 4000);
        deaf_session_block(&b.world, b.session_ref);
        answer(&b, 0, 4000, ROLLCALL_OK);
        world_run(&b.world, 5000);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 0);
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        world_run(&b.world, 300);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        world_run(&b.world, 30000);
        CHECK_INT(told(&b, SESSION_LEASE_LOST), 1);
        close_bench(&b);
    }
}

TEST(keepalive, a_full_session_mailbox_delays_safe_but_does_not_lose_it)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b);
        start(&b, 2, 0);
        until(&b, 3000);
        deaf_session_block(&b.world, b.session_ref);
        answer(&b, 2, 3000, ROLLCALL_OK);
        CHECK_STATE(&b.world, b.keepalive, "SUSPECT");
        deaf_session_unblock(&b.world, b.parent, b.session_ref);
        run_answered(&b, 2000, 2);
        CHECK_INT(told(&b, SESSION_LEASE_SAFE), 1);
        CHECK_STATE(&b.world, b.keepalive, "SAFE");
        close_bench(&b);
    }
}

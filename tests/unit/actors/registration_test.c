/* Registering and leaving, against an etcd that fails at the step it is told to. */
#include "actors/registration.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/session_world.h"

enum { SEEDS = 20, RIVAL_LEASE = 4711 };
#define EXCLUSIVE_KEY "root/session/coord"
#define RIVAL "{\"ServerID\":9,\"ServerName\":\"coord\",\"Address\":\"b\",\"Version\":\"2.4.2\"}"

static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);

/* The requests, by what they are for. */
enum step { CREATE_ID, TAKE_ID, GRANT, CLAIM, MARK, REVOKE, STEP_COUNT };

struct bench {
    struct world world;
    struct fake_etcd *etcd;
    struct probe *session;
    struct rollcall_ref registration;
    /* What happens to the `first`th to `last`th request (from 0) of each step. */
    struct {
        enum fake_etcd_fate fate;
        enum rollcall_status status; /* with FAKE_ETCD_REFUSE */
        size_t first, last;
        void (*before)(struct fake_etcd *etcd);
        size_t seen;
    } plan[STEP_COUNT];
    int64_t granted[8]; /* the lease of each GRANT */
    struct transport_op mark;
    struct transport_compare mark_compare;
};

static enum step step_of(const struct transport_request *request)
{
    switch (request->kind) {
    case TRANSPORT_LEASE_GRANT:
        return GRANT;
    case TRANSPORT_LEASE_REVOKE:
        return REVOKE;
    case TRANSPORT_TXN:
        break;
    case TRANSPORT_RANGE:
    case TRANSPORT_LEASE_TIME_TO_LIVE:
        CHECK_FAIL("registration asks for no such thing");
        break;
    }
    if (request->txn.compares[0].target == TRANSPORT_COMPARE_VALUE) {
        return TAKE_ID;
    }
    if (request->txn.compares[0].target == TRANSPORT_COMPARE_CREATE_REVISION) {
        return MARK;
    }
    return rollcall__bytes_equal(request->txn.compares[0].key, rollcall__bytes(ID_KEY)) ? CREATE_ID
                                                                                        : CLAIM;
}

static enum fake_etcd_fate decide(struct fake_etcd *etcd, const struct transport_request *request)
{
    struct bench *b = etcd->user;
    const enum step step = step_of(request);
    const size_t nth = b->plan[step].seen++;
    if (step == GRANT) {
        b->granted[nth % 8] = request->lease.lease_id;
    }
    if (step == MARK) {
        b->mark = request->txn.success[0];
        b->mark_compare = request->txn.compares[0];
    }
    if (nth < b->plan[step].first || nth > b->plan[step].last) {
        return FAKE_ETCD_ANSWER;
    }
    if (b->plan[step].before != NULL) {
        b->plan[step].before(etcd);
    }
    etcd->refusal = b->plan[step].status;
    return b->plan[step].fate;
}

static void open(struct bench *b, const struct session_choice *choice)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->etcd = fake_etcd_create();
    b->etcd->decide = decide;
    b->etcd->user = b;
    b->session = probe_create("session", SIZES, NAMES, SESSION_COUNT);
    const struct allocator_options allocator = {fake_etcd_spawn(b->etcd, b->world.rt, 1)};
    const struct registration_options options = {
        .config = session_config_create(choice),
        .session = probe_spawn(b->session, b->world.rt, 0),
        .transport = allocator.transport,
        .allocator = world_spawn(
            &b->world, 0, ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type, .options = &allocator))};
    b->registration =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = &registration_type, .options = &options,
                                           .supervisor = world_supervisor(&b->world)));
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->session);
    fake_etcd_destroy(b->etcd);
}

static size_t told(const struct bench *b, uint16_t message)
{
    return probe_count(b->session, message);
}

static const struct session_membership *membership(const struct bench *b)
{
    CHECK_INT(told(b, SESSION_REGISTERED), 1);
    return (const struct session_membership *)probe_find(b->session, SESSION_REGISTERED, 0)->object;
}

static const struct rollcall_error *refusal(const struct bench *b)
{
    CHECK_INT(told(b, SESSION_REFUSED), 1);
    CHECK_INT(told(b, SESSION_REGISTERED), 0);
    CHECK_STATE(&b->world, b->registration, "DONE");
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0); /* no refusal leaves a lease behind */
    return &((const struct rollcall_reason *)probe_find(b->session, SESSION_REFUSED, 0)->object)
                ->error;
}

static void leave(struct bench *b)
{
    world_send(&b->world, b->registration, REGISTRATION_LEAVE, NULL, 0, NULL);
}

static void check_gone(const struct bench *b)
{
    CHECK_STATE(&b->world, b->registration, "DONE");
    CHECK_INT(told(b, SESSION_LEFT), 1);
    CHECK_INT(told(b, SESSION_REFUSED), 0);
    CHECK_INT(fake_etcd_leases_alive(b->etcd), 0);
}

/* ---- the ordinary way ---- */

TEST(registration, an_empty_store_gives_the_id_1_and_leaves_2)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.ttl_s = 7});
        world_settle(&b.world);
        const struct session_membership *won = membership(&b);
        const struct transport_kv *kv = fake_etcd_find(b.etcd, "root/session/coord-1");
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        CHECK_STR(won->key, "root/session/coord-1");
        CHECK_INT(won->server_id, 1);
        CHECK_INT(won->ttl_s, 7);
        CHECK(won->lease_id > 0 && won->lease_id == kv->lease_id);
        CHECK_INT(won->create_revision, kv->create_revision);
        CHECK_INT(won->revision, kv->mod_revision);
        const struct stored_record stored = stored_record_read(kv->value);
        CHECK_INT(stored.server_id, 1);
        CHECK_INT(stored.lease_id, won->lease_id);
        CHECK(!stored.stopping);
        CHECK_INT(told(&b, SESSION_CONTACT), 1);
        CHECK_INT(b.etcd->calls, 4); /* create, take, grant, claim */
        close_bench(&b);
    }
}

TEST(registration, takes_the_id_it_finds_and_writes_the_next)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        fake_etcd_put(b.etcd, ID_KEY, "41", 0);
        world_settle(&b.world);
        CHECK_INT(membership(&b)->server_id, 41);
        CHECK_STR(membership(&b)->key, EXCLUSIVE_KEY);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "42");
        CHECK_INT(fake_etcd_find(b.etcd, ID_KEY)->lease_id, 0);
        close_bench(&b);
    }
}

TEST(registration, an_id_that_was_given_is_not_allocated)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 12});
        world_settle(&b.world);
        CHECK_STR(membership(&b)->key, "root/session/coord-12");
        CHECK(fake_etcd_find(b.etcd, ID_KEY) == NULL);
        CHECK_INT(b.etcd->calls, 2);
        close_bench(&b);
    }
}

TEST(registration, the_ttl_is_the_one_that_etcd_granted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.ttl_s = 1});
        b.etcd->ttl_s = 3;
        world_settle(&b.world);
        CHECK_INT(membership(&b)->ttl_s, 3);
        close_bench(&b);
    }
}

/* ---- the server ID ---- */

static int64_t next_id(const struct fake_etcd *etcd)
{
    char text[32];
    const struct rollcall_bytes value = fake_etcd_find(etcd, ID_KEY)->value;
    snprintf(text, sizeof text, "%.*s", (int)value.size_bytes, value.data);
    return strtoll(text, NULL, 10);
}

static void another_takes_the_id(struct fake_etcd *etcd)
{
    char next[32];
    snprintf(next, sizeof next, "%" PRId64, next_id(etcd) + 1);
    fake_etcd_put(etcd, ID_KEY, next, 0);
}

TEST(registration, a_lost_race_for_an_id_takes_the_next)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "5", 0);
        b.plan[TAKE_ID].before = another_takes_the_id;
        b.plan[TAKE_ID].last = 2; /* three races in a row */
        world_run(&b.world, 2000);
        CHECK_INT(membership(&b)->server_id, 8);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "9");
        close_bench(&b);
    }
}

static void somebody_deletes_the_id(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, ID_KEY);
}

TEST(registration, an_id_key_deleted_between_the_requests_is_created_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "5", 0);
        b.plan[TAKE_ID].before = somebody_deletes_the_id;
        world_run(&b.world, 2000);
        CHECK_INT(membership(&b)->server_id, 1);
        CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, "2");
        close_bench(&b);
    }
}

TEST(registration, a_corrupt_id_key_is_refused_and_named)
{
    static const char *const CORRUPT[] = {
        "", "x", "-3", "0", "1 ", "9223372036854775807", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof CORRUPT / sizeof CORRUPT[0]; i++) {
        while (world_next(5)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            fake_etcd_put(b.etcd, ID_KEY, CORRUPT[i], 0);
            world_settle(&b.world);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_CORRUPT);
            CHECK(strstr(refusal(&b)->text, ID_KEY) != NULL);
            CHECK_BYTES(fake_etcd_find(b.etcd, ID_KEY)->value, CORRUPT[i]);
            CHECK_INT(b.etcd->grants, 0);
            close_bench(&b);
        }
    }
}

/* ---- answers that are lost ---- */

TEST(registration, a_lost_answer_at_any_step_costs_a_repetition_and_nothing_else)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.plan[step].fate = FAKE_ETCD_LOSE_ANSWER;
            b.plan[step].last = 2;
            world_run(&b.world, 10000);
            const struct session_membership *won = membership(&b);
            const int64_t skipped = step == TAKE_ID ? 3 : 0;
            CHECK_INT(won->server_id, 1 + skipped);
            CHECK_INT(b.etcd->grants, 1);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
            CHECK_INT(fake_etcd_find(b.etcd, won->key)->lease_id, won->lease_id);
            CHECK_INT(fake_etcd_find(b.etcd, won->key)->version, 1); /* put once */
            CHECK_INT(won->create_revision, fake_etcd_find(b.etcd, won->key)->create_revision);
            close_bench(&b);
        }
    }
}

TEST(registration, a_grant_keeps_its_own_positive_id_until_it_is_answered)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.plan[GRANT].fate = FAKE_ETCD_LOSE_ANSWER;
        b.plan[GRANT].last = 1;
        world_run(&b.world, 10000);
        CHECK(b.granted[0] > 0);
        CHECK_INT(b.granted[1], b.granted[0]);
        CHECK_INT(b.granted[2], b.granted[0]);
        CHECK_INT(membership(&b)->granted_sent_ms, 0); /* the first try may be what worked */
        CHECK_INT(membership(&b)->ttl_s, 10);
        close_bench(&b);
    }
}

TEST(registration, the_ttl_counts_from_the_try_that_etcd_granted)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.server_id = 3});
        b.plan[GRANT].fate = FAKE_ETCD_REFUSE;
        b.plan[GRANT].last = 20;
        world_run(&b.world, 60000);
        const struct session_membership *won = membership(&b);
        const int64_t told_ms = probe_find(b.session, SESSION_REGISTERED, 0)->at_ms;
        CHECK(told_ms > 5000);
        CHECK_INT(won->granted_sent_ms, told_ms); /* the fake answers at once */
        close_bench(&b);
    }
}

static void the_lease_ends(struct fake_etcd *etcd)
{
    struct bench *b = etcd->user;
    fake_etcd_end_lease(etcd, b->granted[0]);
}

TEST(registration, a_lease_that_ended_before_the_claim_is_replaced)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.plan[CLAIM].before = the_lease_ends;
        world_run(&b.world, 5000);
        CHECK(b.granted[1] != b.granted[0]);
        CHECK_INT(membership(&b)->lease_id, b.granted[1]);
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
        close_bench(&b);
    }
}

/* ---- rivals ---- */

TEST(registration, yields_to_a_rival_and_waits_longer_each_time)
{
    while (world_next(SEEDS)) {
        struct bench b;
        static const int64_t WAIT_MS[] = {200, 400, 800, 1600, 3000, 3000};
        int64_t at_ms = 0;
        open(&b, &(struct session_choice){.exclusive = true});
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
        world_settle(&b.world);
        for (size_t i = 0; i < sizeof WAIT_MS / sizeof WAIT_MS[0]; i++) {
            CHECK_STATE(&b.world, b.registration, "WAITING");
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            CHECK_INT(b.plan[CLAIM].seen, i + 1);
            rollcall_sim_run_until(b.world.sim, at_ms + WAIT_MS[i] - 1);
            CHECK_INT(b.plan[CLAIM].seen, i + 1);
            at_ms += WAIT_MS[i];
            rollcall_sim_run_until(b.world.sim, at_ms);
        }
        fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
        rollcall_sim_run_until(b.world.sim, at_ms + 3000);
        CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id, membership(&b)->lease_id);
        CHECK_INT(membership(&b)->server_id, 1); /* allocated once */
        close_bench(&b);
    }
}

TEST(registration, a_rival_that_stays_is_finally_E_RIVAL)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true, .retries = 4});
        fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
        world_run(&b.world, 20000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_RIVAL);
        CHECK(strstr(refusal(&b)->text, EXCLUSIVE_KEY) != NULL);
        CHECK_INT(b.plan[CLAIM].seen, 4);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, RIVAL);
        close_bench(&b);
    }
}

/* ---- refusals ---- */

TEST(registration, a_denial_at_any_step_is_refused_without_a_lease_left)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            b.plan[step].fate = FAKE_ETCD_REFUSE;
            b.plan[step].status = ROLLCALL_E_DENIED;
            world_run(&b.world, 1000);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_DENIED);
            CHECK_INT(told(&b, SESSION_CONTACT), 1); /* a refusal is an answer */
            close_bench(&b);
        }
    }
}

TEST(registration, an_etcd_that_fails_every_attempt_is_refused_in_the_end)
{
    for (enum step step = CREATE_ID; step <= CLAIM; step++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.retries = 5});
            b.plan[step].fate = FAKE_ETCD_REFUSE;
            b.plan[step].last = SIZE_MAX;
            world_run(&b.world, 20000);
            CHECK_INT(refusal(&b)->status, ROLLCALL_E_UNAVAILABLE);
            CHECK_INT(b.plan[step].seen, 5);
            CHECK_INT(told(&b, SESSION_CONTACT), step <= TAKE_ID ? 0 : 1);
            close_bench(&b);
        }
    }
}

TEST(registration, a_refusal_revokes_before_it_is_told_even_if_the_revoke_must_be_repeated)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
        b.plan[CLAIM].status = ROLLCALL_E_REJECTED;
        b.plan[REVOKE].fate = FAKE_ETCD_REFUSE;
        b.plan[REVOKE].last = 4;
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "REVOKING");
        CHECK_INT(told(&b, SESSION_REFUSED), 0);
        world_run(&b.world, 2000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_REJECTED);
        close_bench(&b);
    }
}

/* ---- leaving ---- */

TEST(registration, leaving_marks_the_record_under_its_lease_and_then_revokes)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_settle(&b.world);
        const struct session_membership *won = membership(&b);
        leave(&b);
        world_settle(&b.world);
        check_gone(&b);
        CHECK_INT(b.plan[MARK].seen, 1);
        CHECK_INT(b.mark.lease_id, won->lease_id);
        CHECK_INT(b.mark_compare.target, TRANSPORT_COMPARE_CREATE_REVISION);
        CHECK_INT(b.mark_compare.number, won->create_revision);
        CHECK(fake_etcd_find(b.etcd, won->key) == NULL);
        const struct transport_kv *marked =
            fake_etcd_find_at(b.etcd, rollcall__bytes(won->key), won->revision + 1);
        CHECK(stored_record_read(marked->value).stopping);
        CHECK_INT(stored_record_read(marked->value).server_id, won->server_id);
        leave(&b);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.registration, "DONE");
        close_bench(&b);
    }
}

static void a_rival_takes_the_key(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(registration, leaving_never_touches_a_key_that_has_become_anothers)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){.exclusive = true});
        b.plan[MARK].before = a_rival_takes_the_key;
        world_settle(&b.world);
        leave(&b);
        world_settle(&b.world);
        check_gone(&b);
        CHECK_BYTES(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->value, RIVAL);
        CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->version, 1);
        close_bench(&b);
    }
}

TEST(registration, the_revoke_is_repeated_while_etcd_is_away)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        world_settle(&b.world);
        b.etcd->away = true;
        leave(&b);
        world_run(&b.world, 10000);
        CHECK_STATE(&b.world, b.registration, "REVOKING");
        CHECK_INT(told(&b, SESSION_LEFT), 0);
        CHECK(b.etcd->calls >= 40 && b.etcd->calls <= 60); /* five a second */
        b.etcd->away = false;
        world_run(&b.world, 200);
        check_gone(&b);
        close_bench(&b);
    }
}

/* ---- every state: a rival first, so that the way leads through all of them ---- */

static const char *const STATES[] = {"ALLOCATING", "GRANTING", "CLAIMING", "YIELDING", "WAITING",
                                     "HELD",       "MARKING",  "REVOKING", "DONE"};
enum { STATE_COUNT = sizeof STATES / sizeof STATES[0] };

/* Steps until it is in the state; the rival goes after 300 ms. */
static bool run_to_state(struct bench *b, const char *state)
{
    for (int64_t at_ms = 0; at_ms < 3000; at_ms += 10) {
        if (at_ms == 300) {
            fake_etcd_delete(b->etcd, EXCLUSIVE_KEY);
        }
        do {
            if (strcmp(rollcall_sim_state(b->world.sim, b->registration), state) == 0) {
                return true;
            }
        } while (rollcall_sim_step(b->world.sim));
        world_run(&b->world, 10);
        if (strcmp(rollcall_sim_state(b->world.sim, b->registration), "HELD") == 0 &&
            strcmp(state, "HELD") != 0) {
            leave(b);
        }
    }
    return false;
}

static void end_rival(struct bench *b)
{
    const struct transport_kv *there = fake_etcd_find(b->etcd, EXCLUSIVE_KEY);
    if (there != NULL && there->lease_id == RIVAL_LEASE) {
        fake_etcd_delete(b->etcd, EXCLUSIVE_KEY);
    }
}

static void open_with_rival(struct bench *b)
{
    open(b, &(struct session_choice){.exclusive = true});
    fake_etcd_put(b->etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(registration, leave_leads_out_of_every_state_and_leaves_nothing_behind)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open_with_rival(&b);
            CHECK(run_to_state(&b, STATES[state]));
            leave(&b);
            world_run(&b.world, 10000);
            CHECK_STATE(&b.world, b.registration, "DONE");
            CHECK(told(&b, SESSION_LEFT) >= 1);
            CHECK_INT(told(&b, SESSION_REFUSED), 0);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            const struct transport_kv *there = fake_etcd_find(b.etcd, EXCLUSIVE_KEY);
            CHECK(there == NULL || there->lease_id == RIVAL_LEASE);
            close_bench(&b);
        }
    }
}

TEST(registration, leave_after_a_refusal_is_answered_too)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        fake_etcd_put(b.etcd, ID_KEY, "x", 0);
        world_settle(&b.world);
        refusal(&b);
        leave(&b);
        world_settle(&b.world);
        CHECK_INT(told(&b, SESSION_LEFT), 1);
        close_bench(&b);
    }
}

TEST(registration, a_crash_in_any_state_resumes_from_the_handover)
{
    for (size_t state = 0; state < STATE_COUNT; state++) {
        while (world_next(SEEDS)) {
            struct bench b;
            const bool after = strcmp(STATES[state], "MARKING") == 0 ||
                               strcmp(STATES[state], "REVOKING") == 0 ||
                               strcmp(STATES[state], "DONE") == 0;
            open_with_rival(&b);
            CHECK(run_to_state(&b, STATES[state]));
            rollcall_sim_crash(b.world.sim, b.registration, ROLLCALL_E_ACTOR);
            if (!after) {
                end_rival(&b);
                world_run(&b.world, 5000);
                CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id,
                          membership(&b)->lease_id);
                CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
                leave(&b);
                world_run(&b.world, 500);
                leave(&b); /* the first may be what it crashed on */
            }
            world_run(&b.world, 5000);
            CHECK_STATE(&b.world, b.registration, "DONE");
            CHECK_INT(told(&b, SESSION_REGISTERED), 1);
            CHECK(told(&b, SESSION_LEFT) >= 1);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            CHECK(fake_etcd_find(b.etcd, EXCLUSIVE_KEY) == NULL);
            const int64_t next = next_id(b.etcd);
            CHECK(next == 2 || (next == 3 && state == 0)); /* an ID may be skipped */
            close_bench(&b);
        }
    }
}

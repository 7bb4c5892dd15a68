/* What the application is told of a session, and how often.  First with probes around the root,
 * which say what its actors would; then whole, against a fake etcd. */
#include "actors/application.h"
#include "actors/registration.h"

#include "support/fake_etcd.h"
#include "support/probe.h"
#include "unit/actors/session_world.h"

enum { SEEDS = 20, LEASE = 77 };

static const uint16_t APPLICATION_SIZES[] = ROLLCALL_PAYLOAD_SIZES(APPLICATION_LIST);
static const char *const APPLICATION_NAMES[] = ROLLCALL_MESSAGE_NAMES(APPLICATION_LIST);
static const uint16_t TRANSPORT_SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
static const char *const TRANSPORT_NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
static const uint16_t ALLOCATOR_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALLOCATOR_LIST);
static const char *const ALLOCATOR_NAMES[] = ROLLCALL_MESSAGE_NAMES(ALLOCATOR_LIST);

struct bench {
    struct world world;
    struct probe *application, *transport, *allocator;
    struct probe *parent; /* the application's, so that it can be blocked */
    struct rollcall_ref application_ref;
    struct fake_etcd *etcd; /* NULL: the transport is a probe */
    struct rollcall_ref session;
};

static void open(struct bench *b, bool whole)
{
    memset(b, 0, sizeof *b);
    world_open(&b->world);
    b->application =
        probe_create("application", APPLICATION_SIZES, APPLICATION_NAMES, APPLICATION_COUNT);
    b->parent = probe_create("parent", NULL, NULL, ROLLCALL_SIGNAL_COUNT);
    b->transport = probe_create("transport", TRANSPORT_SIZES, TRANSPORT_NAMES, TRANSPORT_COUNT);
    b->allocator = probe_create("allocator", ALLOCATOR_SIZES, ALLOCATOR_NAMES, ALLOCATOR_COUNT);
    const struct probe_options application = {b->application};
    b->application_ref = world_spawn(
        &b->world, 1,
        ROLLCALL_SPAWN_OPTIONS(.type = probe_type(b->application), .options = &application,
                               .supervisor = probe_spawn(b->parent, b->world.rt, 1)));
    b->etcd = whole ? fake_etcd_create() : NULL;
    const struct allocator_options allocator = {whole ? fake_etcd_spawn(b->etcd, b->world.rt, 1)
                                                      : probe_spawn(b->transport, b->world.rt, 1)};
    const struct session_options options = {
        .config = session_config_create(&(struct session_choice){.ttl_s = 5}),
        .application = b->application_ref,
        .transport = allocator.transport,
        .allocator = whole ? world_spawn(&b->world, 0,
                                         ROLLCALL_SPAWN_OPTIONS(.type = &allocator_type,
                                                                .options = &allocator))
                           : probe_spawn(b->allocator, b->world.rt, 0)};
    b->session = world_spawn(&b->world, 0,
                             ROLLCALL_SPAWN_OPTIONS(.type = &session_type, .options = &options));
}

static void close_bench(struct bench *b)
{
    world_close(&b->world);
    probe_destroy(b->parent);
    probe_destroy(b->application);
    probe_destroy(b->transport);
    probe_destroy(b->allocator);
    fake_etcd_destroy(b->etcd);
}

static const struct session_event *event(const struct bench *b, size_t nth)
{
    const struct probe_message *message = probe_find(b->application, APPLICATION_EVENT, nth);
    CHECK(message != NULL);
    return (const struct session_event *)message->object;
}

/* Exactly these were told, in this order: "ACTIVE SUSPECT". */
static void check_told(const struct bench *b, const char *expected)
{
    char text[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < probe_count(b->application, APPLICATION_EVENT); i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i == 0 ? "" : " ",
                                 rollcall_session_state_name(event(b, i)->state));
        CHECK(used < sizeof text);
    }
    CHECK_STR(text, expected);
}

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

static void say(struct bench *b, uint16_t message)
{
    world_send(&b->world, b->session, message, NULL, 0, NULL);
    world_settle(&b->world);
}

static void say_registered_at(struct bench *b, int64_t granted_sent_ms)
{
    static const char KEY[] = "root/session/coord-1";
    struct session_membership *won = calloc(1, sizeof *won + sizeof KEY);
    CHECK(won != NULL);
    rollcall_object_init(&won->object, destroy_block);
    won->server_id = 1;
    won->lease_id = LEASE;
    won->ttl_s = 5;
    won->granted_sent_ms = granted_sent_ms;
    memcpy(won->key, KEY, sizeof KEY);
    world_send(&b->world, b->session, SESSION_REGISTERED, NULL, 0, &won->object);
    world_settle(&b->world);
}

static void say_registered(struct bench *b)
{
    say_registered_at(b, rollcall_sim_now_ms(b->world.sim));
}

static void say_refused(struct bench *b)
{
    struct rollcall_reason *reason = calloc(1, sizeof *reason);
    CHECK(reason != NULL);
    rollcall_object_init(&reason->object, destroy_block);
    rollcall_error_set(&reason->error, ROLLCALL_E_RIVAL, "another holds it");
    world_send(&b->world, b->session, SESSION_REFUSED, NULL, 0, &reason->object);
    world_settle(&b->world);
}

static void say_left(struct bench *b)
{
    const struct session_left left = {.status = ROLLCALL_OK};
    world_send(&b->world, b->session, SESSION_LEFT, &left, sizeof left, NULL);
    world_settle(&b->world);
}

/* Everything that may still be on its way when it is over. */
static void say_everything(struct bench *b)
{
    say(b, SESSION_CONTACT);
    say_registered(b);
    say_refused(b);
    say(b, SESSION_LEASE_SAFE);
    say(b, SESSION_LEASE_SUSPECT);
    say(b, SESSION_LEASE_LOST);
    say(b, SESSION_LEAVE);
    say_left(b);
    world_run(&b->world, 60000);
}

/* ---- the root alone ---- */

TEST(session, active_suspect_active_again_and_lost_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        say_registered(&b);
        CHECK_STATE(&b.world, b.session, "ACTIVE");
        CHECK_STR(event(&b, 0)->membership->key, "root/session/coord-1");
        say(&b, SESSION_LEASE_SUSPECT);
        CHECK_STATE(&b.world, b.session, "SUSPECT");
        CHECK_INT(event(&b, 1)->status, ROLLCALL_E_UNAVAILABLE);
        say(&b, SESSION_LEASE_SAFE);
        CHECK_STATE(&b.world, b.session, "ACTIVE");
        CHECK_INT(event(&b, 2)->status, ROLLCALL_OK);
        say(&b, SESSION_LEASE_SUSPECT);
        say(&b, SESSION_LEASE_LOST);
        CHECK_STATE(&b.world, b.session, "OVER");
        CHECK_INT(event(&b, 4)->status, ROLLCALL_E_LEASE_LOST);
        CHECK(event(&b, 4)->membership != NULL);
        check_told(&b, "ACTIVE SUSPECT ACTIVE SUSPECT LOST");
        say_everything(&b);
        check_told(&b, "ACTIVE SUSPECT ACTIVE SUSPECT LOST");
        close_bench(&b);
    }
}

static void restart_application(struct rollcall_context *cx, void *ref)
{
    rollcall_restart_child(cx, *(struct rollcall_ref *)ref);
}

TEST(session, a_loss_is_told_however_full_a_stuck_application_is)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        say_registered(&b);
        rollcall_sim_crash(b.world.sim, b.application_ref, ROLLCALL_E_ACTOR);
        for (int i = 0; i < 40; i++) { /* more than its mailbox holds */
            say(&b, SESSION_LEASE_SUSPECT);
            say(&b, SESSION_LEASE_SAFE);
        }
        say(&b, SESSION_LEASE_LOST);
        CHECK_STATE(&b.world, b.application_ref, "FAILED");
        world_run(&b.world, 5000);
        probe_run(b.parent, b.world.rt, restart_application, &b.application_ref);
        world_run(&b.world, 1000);
        const size_t told = probe_count(b.application, APPLICATION_EVENT);
        CHECK_INT(event(&b, told - 1)->state, ROLLCALL_SESSION_LOST);
        world_run(&b.world, 5000);
        CHECK_INT(probe_count(b.application, APPLICATION_EVENT), told);
        close_bench(&b);
    }
}

TEST(session, a_grant_whose_time_is_over_is_active_only_when_it_is_renewed)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        say_registered_at(&b, rollcall_sim_now_ms(b.world.sim) - 10000);
        world_run(&b.world, 3000);
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        check_told(&b, "");
        close_bench(&b);
    }
}

TEST(session, a_loss_without_suspicion_is_told_too)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        say_registered(&b);
        say(&b, SESSION_CONTACT); /* late */
        say(&b, SESSION_LEASE_LOST);
        say_everything(&b);
        check_told(&b, "ACTIVE LOST");
        close_bench(&b);
    }
}

TEST(session, no_contact_in_time_is_failed_with_the_address_and_the_time)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        world_run(&b.world, 4999);
        check_told(&b, "");
        world_run(&b.world, 1);
        check_told(&b, "FAILED");
        CHECK_INT(event(&b, 0)->status, ROLLCALL_E_UNAVAILABLE);
        CHECK(strstr(event(&b, 0)->reason, "127.0.0.1:2379") != NULL);
        CHECK(strstr(event(&b, 0)->reason, "5000 ms") != NULL);
        CHECK(event(&b, 0)->membership == NULL);
        say_everything(&b);
        check_told(&b, "FAILED");
        close_bench(&b);
    }
}

TEST(session, after_a_contact_it_is_waited_for)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        say(&b, SESSION_CONTACT);
        world_run(&b.world, 60000);
        check_told(&b, "");
        CHECK_STATE(&b.world, b.session, "REGISTERING");
        close_bench(&b);
    }
}

TEST(session, a_refusal_is_failed_with_its_reason)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, false);
        world_settle(&b.world);
        say_refused(&b);
        check_told(&b, "FAILED");
        CHECK_INT(event(&b, 0)->status, ROLLCALL_E_RIVAL);
        CHECK_STR(event(&b, 0)->reason, "another holds it");
        say_everything(&b);
        check_told(&b, "FAILED");
        close_bench(&b);
    }
}

/* Fails registration until its supervisor gives up. */
static void wear_out_supervisor(struct bench *b)
{
    const struct rollcall_ref registration = probe_find(b->allocator, ALLOCATOR_ASK, 0)->from.ref;
    for (int i = 0; i < 6; i++) {
        const struct allocator_answer answer = {.status = ROLLCALL_E_UNAVAILABLE};
        rollcall_sim_crash(b->world.sim, registration, ROLLCALL_E_ACTOR);
        world_send(&b->world, registration, REGISTRATION_ALLOCATED, &answer, sizeof answer, NULL);
        world_run(&b->world, 1000);
    }
}

TEST(session, a_supervisor_that_gives_up_is_failed_before_it_was_active_and_lost_after)
{
    for (int registered = 0; registered < 2; registered++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, false);
            world_settle(&b.world);
            say(&b, SESSION_CONTACT);
            if (registered) {
                say_registered(&b);
            }
            wear_out_supervisor(&b);
            const size_t last = probe_count(b.application, APPLICATION_EVENT) - 1;
            CHECK_INT(event(&b, last)->state,
                      registered ? ROLLCALL_SESSION_LOST : ROLLCALL_SESSION_FAILED);
            CHECK_INT(event(&b, last)->status, ROLLCALL_E_ACTOR);
            CHECK(strstr(event(&b, last)->reason, "6 failures") != NULL);
            CHECK_STATE(&b.world, b.session, "OVER");
            say_everything(&b);
            CHECK_INT(probe_count(b.application, APPLICATION_EVENT), last + 1);
            close_bench(&b);
        }
    }
}

TEST(session, leave_is_stopping_then_stopped_once)
{
    static const uint16_t BEFORE[] = {0, SESSION_REGISTERED, SESSION_LEASE_SUSPECT};
    static const char *const TOLD[] = {"STOPPING STOPPED", "ACTIVE STOPPING STOPPED",
                                       "ACTIVE SUSPECT STOPPING STOPPED"};
    for (size_t i = 0; i < 3; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, false);
            world_settle(&b.world);
            if (BEFORE[i] != 0) {
                say_registered(&b);
            }
            if (BEFORE[i] == SESSION_LEASE_SUSPECT) {
                say(&b, SESSION_LEASE_SUSPECT);
            }
            /* Registration is still waiting for its ID, and goes at once. */
            say(&b, SESSION_LEAVE);
            check_told(&b, TOLD[i]);
            say_everything(&b);
            check_told(&b, TOLD[i]);
            close_bench(&b);
        }
    }
}

/* ---- whole ---- */

TEST(session, registers_survives_an_outage_and_leaves)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, true);
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE");
        b.etcd->away = true;
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE SUSPECT");
        b.etcd->away = false;
        world_run(&b.world, 20000);
        check_told(&b, "ACTIVE SUSPECT ACTIVE");
        say(&b, SESSION_LEAVE);
        world_run(&b.world, 1000);
        check_told(&b, "ACTIVE SUSPECT ACTIVE STOPPING STOPPED");
        CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
        CHECK(fake_etcd_find(b.etcd, "root/session/coord-1") == NULL);
        const uint64_t renewals = b.etcd->renewals;
        world_run(&b.world, 60000);
        CHECK_INT(b.etcd->renewals, renewals); /* nobody renews what has been left */
        check_told(&b, "ACTIVE SUSPECT ACTIVE STOPPING STOPPED");
        close_bench(&b);
    }
}

TEST(session, a_lease_that_etcd_ended_is_lost_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, true);
        world_run(&b.world, 3000);
        fake_etcd_end_lease(b.etcd, event(&b, 0)->membership->lease_id);
        world_run(&b.world, 60000);
        check_told(&b, "ACTIVE LOST");
        close_bench(&b);
    }
}

/* LEAVE at every scheduling step from the first on: REGISTERED may cross it. */
TEST(session, leave_at_any_moment_is_stopping_then_stopped_and_leaves_nothing_behind)
{
    for (int moment = 0; moment < 40; moment++) {
        while (world_next(5)) {
            struct bench b;
            open(&b, true);
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            say(&b, SESSION_LEAVE);
            world_run(&b.world, 5000);
            const size_t count = probe_count(b.application, APPLICATION_EVENT);
            CHECK(count == 2 || count == 3);
            CHECK_INT(event(&b, count - 2)->state, ROLLCALL_SESSION_STOPPING);
            CHECK_INT(event(&b, count - 1)->state, ROLLCALL_SESSION_STOPPED);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 0);
            close_bench(&b);
        }
    }
}

/* Registering while the actor that gives out server IDs fails, ends, or answers twice. */
#include "unit/actors/registration_world.h"

static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALLOCATOR_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ALLOCATOR_LIST);

/* In the place of the allocator, one that only records. */
struct asked {
    struct probe *probe;
    struct rollcall_ref supervisor;
};

static void open_asked(struct bench *b, struct asked *asked)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    open_world(b);
    asked->supervisor = world_spawn(
        &b->world, 0, ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor));
    asked->probe = probe_create("allocator", SIZES, NAMES, ALLOCATOR_COUNT);
    const struct probe_options probe = {asked->probe};
    b->allocator =
        world_spawn(&b->world, 0,
                    ROLLCALL_SPAWN_OPTIONS(.type = probe_type(asked->probe), .options = &probe,
                                           .supervisor = asked->supervisor));
    probe_use(asked->probe, b->allocator);
}

static void ask(struct bench *b, struct asked *asked, const struct session_choice *choice)
{
    open_asked(b, asked);
    begin(b, choice, &(struct before){0});
    world_settle(&b->world);
    CHECK_INT(probe_count(asked->probe, ALLOCATOR_ASK), 1);
}

/* It fails on something else, and is asked again. */
static void ask_twice(struct bench *b, struct asked *asked, const struct session_choice *choice)
{
    ask(b, asked, choice);
    rollcall_sim_crash(b->world.sim, b->allocator, ROLLCALL_E_ACTOR);
    world_send(&b->world, b->allocator, ALLOCATOR_RETRY, NULL, 0, NULL);
    world_run(&b->world, 1000);
    CHECK_INT(probe_count(asked->probe, ALLOCATOR_ASK), 2);
}

static void answer(const struct bench *b, const struct asked *asked, size_t nth, int64_t server_id)
{
    const struct probe_message *ask = probe_find(asked->probe, ALLOCATOR_ASK, nth);
    const struct allocator_ask *request = probe_payload(ask);
    const struct allocator_answer payload = {.server_id = server_id};
    probe_reply(asked->probe, b->world.rt, ask->from, request->answer, &payload, sizeof payload,
                NULL);
    world_settle(&b->world);
}

static void close_asked(struct bench *b, struct asked *asked)
{
    close_bench(b);
    probe_destroy(asked->probe);
}

TEST(registration_allocator, an_allocator_that_fails_on_the_ask_is_asked_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        struct asked asked;
        open_asked(&b, &asked);
        rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
        begin(&b, &(struct session_choice){0}, &(struct before){0});
        world_run(&b.world, 1000);
        CHECK_INT(probe_count(asked.probe, ALLOCATOR_ASK), 1);
        answer(&b, &asked, 0, 7);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(membership(&b)->server_id, 7);
        CHECK_INT(told(&b, SESSION_TROUBLE), 0);
        close_asked(&b, &asked);
    }
}

/* The real one, at whatever it was doing: it may have failed on the ask, and may not. */
TEST(registration_allocator, a_crash_of_it_at_any_moment_is_not_noticed_by_who_registers)
{
    for (int moment = 0; moment < 30; moment++) {
        while (world_next(5)) {
            struct bench b;
            open(&b, &(struct session_choice){0});
            for (int i = 0; i < moment; i++) {
                rollcall_sim_step(b.world.sim);
            }
            rollcall_sim_crash(b.world.sim, b.allocator, ROLLCALL_E_ACTOR);
            world_run(&b.world, 1500);
            CHECK_STATE(&b.world, b.registration, "HELD");
            CHECK(membership(&b)->server_id == 1 || membership(&b)->server_id == 2);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
            CHECK_INT(told(&b, SESSION_TROUBLE), 0);
            close_bench(&b);
        }
    }
}

static void check_ended(const struct bench *b)
{
    world_settle(&b->world);
    CHECK_INT(rollcall_sim_now_ms(b->world.sim), 0);
    CHECK_INT(refusal(b)->status, ROLLCALL_E_ACTOR);
    CHECK(strstr(refusal(b)->text, "close this connection and connect again") != NULL);
}

TEST(registration_allocator, one_that_ends_is_waited_for_no_longer)
{
    while (world_next(SEEDS)) {
        struct bench b;
        struct asked asked;
        ask(&b, &asked, &(struct session_choice){0});
        rollcall_runtime_stop(b.world.rt, asked.supervisor);
        check_ended(&b);
        close_asked(&b, &asked);
    }
}

TEST(registration_allocator, one_that_has_ended_before_is_refused_at_once)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open_world(&b);
        rollcall_runtime_stop(b.world.rt, b.allocator);
        world_settle(&b.world);
        begin(&b, &(struct session_choice){0}, &(struct before){0});
        check_ended(&b);
        close_bench(&b);
    }
}

/* ---- two answers ---- */

static void a_rival_is_faster(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

TEST(registration_allocator, a_second_answer_is_ignored_wherever_it_finds_it)
{
    static const struct {
        enum step silent; /* STEP_COUNT: none */
        const char *state;
        bool denied, rival;
    } CASES[] = {{GRANT, "GRANTING", false, false},    {CLAIM, "CLAIMING", false, false},
                 {EVICT, "EVICTING", false, true},     {REVOKE, "YIELDING", false, true},
                 {STEP_COUNT, "WAITING", false, true}, {STEP_COUNT, "HELD", false, false},
                 {REVOKE, "REVOKING", true, false},    {STEP_COUNT, "DONE", true, false}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            struct asked asked;
            ask_twice(&b, &asked, &(struct session_choice){.exclusive = true});
            if (CASES[i].rival) {
                fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RECORD_OF(3, OUR_ADDRESS, OUR_HOST),
                              RIVAL_LEASE);
                b.steps.plan[EVICT].before = a_rival_is_faster;
            }
            if (CASES[i].denied) {
                b.steps.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
                b.steps.plan[CLAIM].status = ROLLCALL_E_DENIED;
            }
            if (CASES[i].silent != STEP_COUNT) {
                b.steps.plan[CASES[i].silent].fate = FAKE_ETCD_SILENT;
            }
            answer(&b, &asked, 0, 7);
            CHECK_STATE(&b.world, b.registration, CASES[i].state);
            const size_t calls = b.etcd->calls;
            answer(&b, &asked, 1, 8);
            CHECK_STATE(&b.world, b.registration, CASES[i].state);
            CHECK_INT(b.etcd->calls, calls);
            close_asked(&b, &asked);
        }
    }
}

static void someone_takes_the_key(struct fake_etcd *etcd)
{
    fake_etcd_put(etcd, "root/session/coord-7", "someone", 0);
}

TEST(registration_allocator, a_second_answer_after_a_skipped_id_is_as_good_as_any)
{
    while (world_next(SEEDS)) {
        struct bench b;
        struct asked asked;
        ask_twice(&b, &asked, &(struct session_choice){0});
        b.steps.plan[CLAIM].before = someone_takes_the_key;
        answer(&b, &asked, 0, 7);
        CHECK_STATE(&b.world, b.registration, "ALLOCATING");
        answer(&b, &asked, 1, 8);
        CHECK_STATE(&b.world, b.registration, "HELD");
        CHECK_INT(membership(&b)->server_id, 8);
        close_asked(&b, &asked);
    }
}

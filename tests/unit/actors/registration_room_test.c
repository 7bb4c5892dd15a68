/* Registering where there is no room: what it asks of another worker comes back, and is asked
 * again. */
#include "unit/actors/registration_world.h"
#include "unit/actors/stuck_world.h"

static void a_rival_is_faster(struct fake_etcd *etcd)
{
    fake_etcd_delete(etcd, EXCLUSIVE_KEY);
    fake_etcd_put(etcd, EXCLUSIVE_KEY, RIVAL, RIVAL_LEASE);
}

/* The first request of the step is not answered, for it comes back. */
static void bounce_at(struct bench *b, enum step step, const char *state)
{
    b->steps.plan[step].fate = FAKE_ETCD_SILENT;
    world_settle(&b->world);
    CHECK_STATE(&b->world, b->registration, state);
    stuck_bounce(&b->world, b->registration, b->etcd->ref, TRANSPORT_CALL);
}

TEST(registration_room, a_request_that_comes_back_at_any_step_costs_a_repetition_and_nothing_else)
{
    static const struct {
        enum step step;
        const char *state;
    } STEPS[] = {
        {GRANT, "GRANTING"}, {CLAIM, "CLAIMING"}, {EVICT, "EVICTING"}, {REVOKE, "YIELDING"}};
    for (size_t i = 0; i < sizeof STEPS / sizeof STEPS[0]; i++) {
        while (world_next(SEEDS)) {
            struct bench b;
            open(&b, &(struct session_choice){.exclusive = true});
            fake_etcd_put(b.etcd, EXCLUSIVE_KEY, RECORD_OF(3, OUR_ADDRESS, OUR_HOST), RIVAL_LEASE);
            b.steps.plan[EVICT].before = a_rival_is_faster;
            bounce_at(&b, STEPS[i].step, STEPS[i].state);
            world_run(&b.world, 1000);
            fake_etcd_delete(b.etcd, EXCLUSIVE_KEY);
            world_run(&b.world, 5000);
            CHECK_STATE(&b.world, b.registration, "HELD");
            CHECK_INT(fake_etcd_find(b.etcd, EXCLUSIVE_KEY)->lease_id, membership(&b)->lease_id);
            CHECK_INT(fake_etcd_leases_alive(b.etcd), 1);
            close_bench(&b);
        }
    }
}

TEST(registration_room, a_revoke_that_comes_back_is_sent_again)
{
    while (world_next(SEEDS)) {
        struct bench b;
        open(&b, &(struct session_choice){0});
        b.steps.plan[CLAIM].fate = FAKE_ETCD_REFUSE;
        b.steps.plan[CLAIM].status = ROLLCALL_E_DENIED;
        bounce_at(&b, REVOKE, "REVOKING");
        world_run(&b.world, 1000);
        CHECK_INT(refusal(&b)->status, ROLLCALL_E_DENIED);
        close_bench(&b);
    }
}

/* ---- the real thing, on another worker ---- */

static struct rollcall_ref spawn_registration(struct bench *b, const struct session_choice *choice,
                                              struct rollcall_ref transport,
                                              struct rollcall_ref allocator)
{
    const struct registration_options options = {.config = session_config_create(choice),
                                                 .session = probe_ref(b->session),
                                                 .transport = transport,
                                                 .allocator = allocator};
    return world_spawn(&b->world, 0,
                       ROLLCALL_SPAWN_OPTIONS(.type = &registration_type, .options = &options,
                                              .supervisor = world_supervisor(&b->world)));
}

TEST(registration_room, a_full_transport_is_asked_again)
{
    static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(TRANSPORT_LIST);
    static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(TRANSPORT_LIST);
    const struct transport_watch_id fill = {0};
    while (world_next(SEEDS)) {
        struct bench b;
        struct stuck stuck;
        open(&b, &(struct session_choice){0});
        stuck_open(&stuck, &b.world, 1, probe_create("transport", SIZES, NAMES, TRANSPORT_COUNT),
                   TRANSPORT_WATCH_CANCEL, &fill, sizeof fill);
        const struct rollcall_ref registration = spawn_registration(
            &b, &(struct session_choice){.server_id = 12}, stuck.ref, b.allocator);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, TRANSPORT_CALL), 0);
        stuck_free(&stuck, &b.world);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, TRANSPORT_CALL), 1);
        CHECK_STATE(&b.world, registration, "GRANTING");
        close_bench(&b);
        stuck_close(&stuck);
    }
}

TEST(registration_room, a_full_allocator_is_asked_again)
{
    static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALLOCATOR_LIST);
    static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ALLOCATOR_LIST);
    while (world_next(SEEDS)) {
        struct bench b;
        struct stuck stuck;
        open(&b, &(struct session_choice){.server_id = 12});
        stuck_open(&stuck, &b.world, 1, probe_create("allocator", SIZES, NAMES, ALLOCATOR_COUNT),
                   ALLOCATOR_RETRY, NULL, 0);
        const struct rollcall_ref registration =
            spawn_registration(&b, &(struct session_choice){0}, b.etcd->ref, stuck.ref);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, ALLOCATOR_ASK), 0);
        stuck_free(&stuck, &b.world);
        world_run(&b.world, 3000);
        CHECK_INT(probe_count(stuck.probe, ALLOCATOR_ASK), 1);
        CHECK_STATE(&b.world, registration, "ALLOCATING");
        close_bench(&b);
        stuck_close(&stuck);
    }
}

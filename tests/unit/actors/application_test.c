/* Where callbacks run: one at a time, in order, a credit after each; and what dies under it. */
#include "actors/application.h"

#include "support/probe.h"
#include "unit/actors/world.h"

enum { SEEDS = 20, EVENTS = 30 };

/* The sender's list: CREDIT is what it wants for each event. */
#define SENDER_LIST(X) X(SENDER_CREDIT, 0)
ROLLCALL_MESSAGES(sender_message, SENDER_LIST, SENDER_COUNT);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(SENDER_LIST);
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(SENDER_LIST);

struct number {
    struct rollcall_object object;
    int value;
};

struct ear {
    struct rollcall_object object;
    int told[EVENTS];
    size_t count, gone;
    struct rollcall_error failure;
    size_t failures;
};

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

static void *create(size_t size_bytes)
{
    struct rollcall_object *object = calloc(1, size_bytes);
    CHECK(object != NULL);
    rollcall_object_init(object, destroy_block);
    return object;
}

static void tell(struct rollcall_object *handle, struct rollcall_object *event)
{
    struct ear *ear = (struct ear *)handle;
    CHECK(ear->count < EVENTS && ear->gone == 0);
    ear->told[ear->count++] = ((struct number *)event)->value;
}

static void tell_failed(struct rollcall_object *handle, const struct rollcall_error *error)
{
    struct ear *ear = (struct ear *)handle;
    ear->failure = *error;
    ear->failures++;
}

static void gone(struct rollcall_object *handle)
{
    ((struct ear *)handle)->gone++;
}

static struct rollcall_ref spawn(const struct world *world, struct ear *ear)
{
    const struct application_options options = {.handle = rollcall_object_keep(&ear->object),
                                                .tell = tell,
                                                .tell_failed = tell_failed,
                                                .gone = gone};
    return world_spawn(world, 1,
                       ROLLCALL_SPAWN_OPTIONS(.type = &application_type, .options = &options));
}

TEST(application, tells_in_order_and_gives_a_credit_for_each_that_asks_for_one)
{
    while (world_next(SEEDS)) {
        struct world world;
        struct ear *ear = create(sizeof *ear);
        struct probe *sender = probe_create("sender", SIZES, NAMES, SENDER_COUNT);
        world_open(&world);
        const struct rollcall_ref application = spawn(&world, ear);
        probe_spawn(sender, world.rt, 0);
        for (int i = 0; i < EVENTS; i++) {
            const struct application_event event = {.credit = i % 3 == 0 ? 0 : SENDER_CREDIT};
            struct number *number = create(sizeof *number);
            number->value = i;
            probe_send(sender, world.rt, application, APPLICATION_EVENT, &event, sizeof event,
                       &number->object);
        }
        world_settle(&world);
        CHECK_INT(ear->count, EVENTS);
        for (int i = 0; i < EVENTS; i++) {
            CHECK_INT(ear->told[i], i);
        }
        CHECK_INT(probe_count(sender, SENDER_CREDIT), EVENTS - EVENTS / 3);
        world_close(&world);
        CHECK_INT(ear->gone, 1);
        probe_destroy(sender);
        rollcall_object_drop(&ear->object);
    }
}

TEST(application, what_fails_for_good_under_it_is_told_and_stopped)
{
    while (world_next(SEEDS)) {
        struct world world;
        struct ear *ear = create(sizeof *ear);
        struct probe *child = probe_create("child", SIZES, NAMES, SENDER_COUNT);
        const struct probe_options options = {child};
        struct rollcall_ref refs[2];
        world_open(&world);
        const struct rollcall_ref application = spawn(&world, ear);
        for (int i = 0; i < 2; i++) {
            refs[i] =
                world_spawn(&world, 1,
                            ROLLCALL_SPAWN_OPTIONS(.type = probe_type(child), .options = &options,
                                                   .supervisor = application));
        }
        world_settle(&world);
        rollcall_runtime_stop(world.rt, refs[1]); /* an end is no failure */
        rollcall_sim_crash(world.sim, refs[0], ROLLCALL_E_CORRUPT);
        world_send(&world, refs[0], SENDER_CREDIT, NULL, 0, NULL);
        world_settle(&world);
        CHECK_INT(ear->failures, 1);
        CHECK_INT(ear->failure.status, ROLLCALL_E_CORRUPT);
        CHECK(strstr(ear->failure.text, "cannot be understood") != NULL);
        CHECK_STATE(&world, refs[0], "ENDED");
        CHECK_STATE(&world, application, "OVER");
        const struct application_event late = {.credit = 0}; /* was queued behind the failure */
        struct number *number = create(sizeof *number);
        world_send(&world, application, APPLICATION_EVENT, &late, sizeof late, &number->object);
        world_settle(&world);
        CHECK_INT(ear->count, 0);
        world_close(&world);
        probe_destroy(child);
        rollcall_object_drop(&ear->object);
    }
}

TEST(application, stopping_it_stops_what_lives_under_it_and_frees_the_handle_last)
{
    while (world_next(SEEDS)) {
        struct world world;
        struct ear *ear = create(sizeof *ear);
        struct probe *child = probe_create("child", SIZES, NAMES, SENDER_COUNT);
        const struct probe_options options = {child};
        world_open(&world);
        const struct rollcall_ref application = spawn(&world, ear);
        const struct rollcall_ref ref =
            world_spawn(&world, 1,
                        ROLLCALL_SPAWN_OPTIONS(.type = probe_type(child), .options = &options,
                                               .supervisor = application));
        world_settle(&world);
        rollcall_runtime_stop(world.rt, application);
        world_settle(&world);
        CHECK_STATE(&world, ref, "ENDED");
        CHECK_STATE(&world, application, "ENDED");
        CHECK_INT(ear->gone, 1);
        CHECK_INT(ear->failures, 0);
        world_close(&world);
        probe_destroy(child);
        rollcall_object_drop(&ear->object);
    }
}

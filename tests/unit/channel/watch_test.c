/* Watches on a network whose members are silent: an endpoint that does not begin one is left. */
#include "unit/sim/net_world.h"

enum { MEMBERS = 3, CREATED_MS = 2000, AROUND_MS = 100 };

static size_t responses(const struct scene *scene)
{
    return probe_count(scene->askers[0], ASKER_RESPONSE);
}

static const struct transport_watch_answer *last_answer(const struct scene *scene)
{
    return probe_payload(probe_last(scene->askers[0], ASKER_RESPONSE));
}

static const char *last_text(const struct scene *scene)
{
    return response_at(scene, 0, responses(scene) - 1)->error.text;
}

static void freeze(struct scene *scene, int member)
{
    rollcall__net_set_member(scene->net, (uint32_t)member, ROLLCALL__MEMBER_FROZEN, INT64_MAX);
}

/* C14: else nothing notices: the connection stands, and gRPC's pings may be answered. */
TEST(watch, that_is_not_begun_in_two_seconds_ends_as_unavailable_and_says_where)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        freeze(&scene, 0);
        CHECK(scene_watch(&scene, 0, 1));
        scene_pass(&scene, CREATED_MS - AROUND_MS);
        CHECK_INT(responses(&scene), 0);
        scene_pass(&scene, 2 * AROUND_MS);
        CHECK_INT(responses(&scene), 1);
        CHECK_INT(last_answer(&scene)->status, ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(last_answer(&scene)->watch_id, 1);
        CHECK(strstr(last_text(&scene), "has not begun a watch") != NULL);
        scene_pass(&scene, LONG_MS);
        CHECK_INT(responses(&scene), 1); /* once */
        scene_close(&scene);
    }
}

/* What has begun may be quiet for as long as nothing happens; its progress may be told. */
TEST(watch, that_has_begun_is_not_ended_for_being_quiet)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        CHECK(scene_watch(&scene, 0, 1));
        scene_pass(&scene, LONG_MS);
        CHECK(response_at(&scene, 0, 0)->created);
        CHECK_INT(last_answer(&scene)->status, ROLLCALL_OK); /* an end would be the last */
        scene_close(&scene);
    }
}

/* Whichever endpoint is home. */
TEST(watch, that_a_member_does_not_begin_is_begun_by_another_when_it_is_asked_for_again)
{
    size_t moved = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int member = 0; member < MEMBERS; member++) {
            struct scene scene = scene_of(seed, 1, MEMBERS);
            freeze(&scene, member);
            CHECK(scene_watch(&scene, 0, 1));
            scene_pass(&scene, CREATED_MS + AROUND_MS);
            CHECK(responses(&scene) > 0);
            if (last_answer(&scene)->status == ROLLCALL_E_UNAVAILABLE) {
                const size_t before = responses(&scene);
                moved++;
                CHECK(scene_watch(&scene, 0, 2));
                scene_pass(&scene, AROUND_MS);
                CHECK(responses(&scene) > before);
                CHECK(response_at(&scene, 0, before)->created);
            }
            scene_close(&scene);
        }
    }
    CHECK(moved > 0);
}

/* Who has ended before its watch came is told of as gone, and not as which incarnation.  Were the
 * watch still open, what it tells would go to nobody. */
TEST(watch, of_who_has_ended_before_it_came_is_not_left_open)
{
    enum { STEPS = 12 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (uint64_t steps = 0; steps < STEPS; steps++) {
            struct scene scene = scene_of(seed, 2, 1);
            struct rollcall_runtime_stats before, after;
            const struct transport_watch watch = {.watch_id = 1, .answer = ASKER_RESPONSE};
            struct transport_range *range =
                transport_range_create(rollcall__bytes("k"), rollcall__bytes("l"));
            range->revision = 2;
            probe_send(scene.askers[0], scene.rt, scene.transports[0], TRANSPORT_WATCH, &watch,
                       sizeof watch, &range->object);
            for (uint64_t step = 0; step < steps; step++) {
                (void)rollcall_sim_step(scene.sim);
            }
            rollcall_runtime_stop(scene.rt, probe_ref(scene.askers[0]));
            scene_pass(&scene, AROUND_MS);
            CHECK_INT(rollcall_runtime_stats(scene.rt, &before), ROLLCALL_OK);
            CHECK(scene_put(&scene, 1));
            scene_pass(&scene, AROUND_MS);
            CHECK_INT(last_status(&scene, 1), ROLLCALL_OK);
            CHECK_INT(rollcall_runtime_stats(scene.rt, &after), ROLLCALL_OK);
            CHECK_INT(after.dead_letters, before.dead_letters);
            scene_close(&scene);
        }
    }
}

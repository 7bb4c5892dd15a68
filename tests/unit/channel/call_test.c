/* Calls of the transport, in the simulated network: how many are under way, and what waits. */
#include "unit/sim/net_world.h"

enum { IN_FLIGHT_MAX = 512, MANY = 1500 };

/* etcd refuses proposals once it has accepted 5,000 that it has not applied. */
TEST(call, of_many_no_more_than_512_are_sent_before_one_is_answered_and_all_are_answered)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        scene_pass(&scene, 100);
        const uint64_t probes = rollcall__net_asks(scene.net);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_FROZEN, INT64_MAX);
        for (int i = 0; i < MANY; i++) {
            CHECK(scene_put(&scene, 0));
        }
        scene_pass(&scene, 500);
        CHECK(rollcall__net_asks(scene.net) - probes >= IN_FLIGHT_MAX);
        CHECK(rollcall__net_asks(scene.net) - probes <= IN_FLIGHT_MAX + 2); /* and who probes */
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_UP, INT64_MAX);
        scene_pass(&scene, 1000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_ANSWER), MANY);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

static const char *last_text(const struct scene *scene)
{
    const struct transport_result *result =
        (const struct transport_result *)probe_last(scene->askers[0], ASKER_ANSWER)->object;
    return result->error.text;
}

/* What was never sent is refused in time, and says so: nothing of it can have been done. */
TEST(call, what_waits_for_others_to_be_answered_is_refused_in_time_and_was_not_applied)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        scene_pass(&scene, 100);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_FROZEN, INT64_MAX);
        for (int i = 0; i < IN_FLIGHT_MAX; i++) {
            CHECK(scene_put(&scene, 0));
        }
        scene_pass(&scene, 100);
        struct transport_request *request = put_request(scene.asked, 1);
        const struct transport_call call = {
            .id = ++scene.asked, .timeout_ms = 300, .answer = ASKER_ANSWER};
        CHECK(scene_send(&scene, 0, TRANSPORT_CALL, &call, sizeof call, &request->object));
        scene_pass(&scene, 350);
        CHECK_INT(probe_count(scene.askers[0], ASKER_ANSWER), 1);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_UNAVAILABLE);
        CHECK(strstr(last_text(&scene), "512 requests before it") != NULL);
        scene_close(&scene);
    }
}

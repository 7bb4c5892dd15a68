/* What endpoints say of themselves, in the simulated network: who leads, and who else there is. */
#include "unit/sim/net_world.h"

enum { MEMBERS = 3 };

static struct scene scene_that_syncs(uint64_t seed)
{
    struct scene scene;
    scene_open(&scene, ROLLCALL_SIM_OPTIONS(.seed = seed, .members = MEMBERS, .workers = 2,
                                            .sync_members = true));
    return scene;
}

static bool renewed_within(struct scene *scene, int64_t ms)
{
    const size_t before = probe_count(scene->askers[0], ASKER_RENEWED);
    CHECK(scene_renew(scene, 0, 7));
    scene_pass(scene, ms);
    const struct probe_message *last = probe_last(scene->askers[0], ASKER_RENEWED);
    return probe_count(scene->askers[0], ASKER_RENEWED) > before &&
           ((const struct transport_keepalive_answer *)probe_payload(last))->status == ROLLCALL_OK;
}

TEST(probe, members_that_the_cluster_tells_of_serve_when_the_known_one_is_gone)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_that_syncs(seed);
        scene_pass(&scene, 1000);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_DOWN, INT64_MAX);
        scene_pass(&scene, 3000); /* if it led, another does by now */
        CHECK(renewed_within(&scene, 300));
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 300);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

/* The list is asked for with a token, and there is none at first; nor may one refusal cost a
 * minute.
 */
TEST(probe, members_are_learned_of_soon_where_a_user_is_wanted)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene;
        scene_open(&scene, ROLLCALL_SIM_OPTIONS(.seed = seed, .members = MEMBERS, .workers = 2,
                                                .sync_members = true, .authentication = true));
        if (seed % 2 == 0) { /* what it has is no good any more */
            scene_pass(&scene, 5);
            for (uint32_t member = 0; member < MEMBERS; member++) {
                rollcall__net_forget_passes(scene.net, member);
            }
        }
        scene_pass(&scene, 3000);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_DOWN, INT64_MAX);
        scene_pass(&scene, 3000);
        CHECK(renewed_within(&scene, 300));
        scene_close(&scene);
    }
}

TEST(probe, who_does_not_sync_knows_those_it_was_given)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_that_syncs(seed);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_DOWN, INT64_MAX);
        scene_pass(&scene, 5000); /* it has heard of nobody */
        CHECK(!renewed_within(&scene, 3000));
        scene_close(&scene);
    }
}

/* The leader's own answer takes one way; a follower's would wait for a frozen leader. */
TEST(probe, renewals_follow_the_leader)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        scene_pass(&scene, 1000);
        for (int round = 0; round < 5; round++) {
            rollcall__model_move_leader(rollcall__net_model(scene.net),
                                        rollcall_sim_now_ms(scene.sim));
            scene_pass(&scene, 30000); /* longer than a leader is taken for granted */
            const int leader = rollcall__model_leader(rollcall__net_model(scene.net));
            for (int member = 0; member < MEMBERS; member++) {
                if (member != leader) {
                    rollcall__net_cut(scene.net, 0, (uint32_t)member);
                }
            }
            CHECK(renewed_within(&scene, 100));
            CHECK_INT(rollcall__net_streams_to(scene.net, (uint32_t)leader) > 0, 1);
        }
        scene_close(&scene);
    }
}

/* A leader that was silent for a moment carries the renewals again. */
TEST(probe, who_was_silent_once_is_tried_again)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        scene_pass(&scene, 1000);
        const uint32_t leader = (uint32_t)rollcall__model_leader(rollcall__net_model(scene.net));
        rollcall__net_set_member(scene.net, leader, ROLLCALL__MEMBER_FROZEN, 1900);
        CHECK(!renewed_within(&scene, 600));
        rollcall__net_cut(scene.net, 0, leader); /* what it was asked it will not answer */
        scene_pass(&scene, 20000);               /* before another is elected it goes on */
        if (rollcall__model_leader(rollcall__net_model(scene.net)) == (int)leader) {
            const uint64_t before = rollcall__net_renewals_to(scene.net, leader);
            CHECK(renewed_within(&scene, 100));
            CHECK_INT(rollcall__net_renewals_to(scene.net, leader), before + 1);
        }
        scene_close(&scene);
    }
}

TEST(probe, one_endpoint_is_not_asked_how_it_is)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        scene_pass(&scene, LONG_MS);
        CHECK_INT(rollcall__net_asks(scene.net), 0);
        scene_close(&scene);
    }
}

TEST(probe, endpoints_that_are_well_are_asked_a_few_times_a_minute)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        scene_pass(&scene, LONG_MS);
        CHECK(rollcall__net_asks(scene.net) >= 3 * MEMBERS);
        CHECK(rollcall__net_asks(scene.net) <= 9 * MEMBERS);
        scene_close(&scene);
    }
}

/* One that is down for good makes no news of the others. */
TEST(probe, an_endpoint_that_stays_down_is_asked_once_a_second_and_the_others_no_more_than_else)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        const int leader = rollcall__model_leader(rollcall__net_model(scene.net));
        rollcall__net_set_member(scene.net, (uint32_t)(leader + 1) % MEMBERS, ROLLCALL__MEMBER_DOWN,
                                 INT64_MAX);
        scene_pass(&scene, 2000);
        const uint64_t before = rollcall__net_asks(scene.net);
        scene_pass(&scene, LONG_MS);
        const uint64_t asks = rollcall__net_asks(scene.net) - before;
        CHECK(asks >= LONG_MS / 1500);
        CHECK(asks <= LONG_MS / 800 + 9 * (MEMBERS - 1));
        scene_close(&scene);
    }
}

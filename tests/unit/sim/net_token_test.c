/* A simulated etcd that wants a user: a token that is lost, refused or not given costs a request
 * more, or a wait, and no more than that. */
#include "net_world.h"

enum { CALLS = 30 };

static void forget_tokens(struct scene *scene)
{
    for (uint32_t member = 0; member < rollcall__net_members(scene->net); member++) {
        rollcall__net_forget_passes(scene->net, member);
    }
}

TEST(net_token, a_token_that_is_forgotten_is_replaced_and_nobody_notices)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 3);
        for (uint64_t round = 1; round <= 3; round++) {
            CHECK(scene_watch(&scene, 0, round));
            CHECK(scene_put(&scene, 0));
            CHECK(scene_renew(&scene, 0, 7));
            scene_pass(&scene, 1000);
            CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
            CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), round);
            const struct transport_keepalive_answer *renewed =
                probe_payload(probe_last(scene.askers[0], ASKER_RENEWED));
            CHECK_INT(renewed->status, ROLLCALL_OK);
            forget_tokens(&scene);
        }
        CHECK_INT(store_revision(&scene), 4); /* nothing was done twice */
        scene_close(&scene);
    }
}

/* Tokens that do not last are no denial: whoever asks again later may have better luck. */
TEST(net_token, tokens_that_are_forgotten_at_once_are_unavailable_and_not_denied)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        CHECK(scene_put(&scene, 0));
        for (int ms = 0; ms < 1000; ms++) {
            forget_tokens(&scene);
            scene_pass(&scene, 1);
        }
        CHECK_INT(last_status(&scene, 0), ROLLCALL_E_UNAVAILABLE);
        CHECK_INT(rollcall__net_passes(scene.net) <= 6, 1); /* each costs etcd 70 ms */
        CHECK_INT(store_revision(&scene), 1);
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 1000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        scene_close(&scene);
    }
}

/* E8: a token that is asked of a silent member is asked of another soon. */
TEST(net_token, a_member_that_is_silent_delays_a_token_by_half_a_second)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (uint32_t member = 0; member < 3; member++) {
            struct scene scene = scene_with_tokens(seed, 3);
            scene_pass(&scene, 1000);
            if (rollcall__model_leader(rollcall__net_model(scene.net)) != (int)member) {
                rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_FROZEN, INT64_MAX);
                forget_tokens(&scene);
                CHECK(scene_renew(&scene, 0, 7));
                scene_pass(&scene, 2 * 500 + 300); /* the renewal finds the silence, or the token */
                CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), 1);
            }
            scene_close(&scene);
        }
    }
}

/* Watches are asked for a token when they begin, and then no more. */
/* Asks for a renewal, with a token that nobody knows any more; true: it was answered by then. */
static bool renew_without_token(struct scene *scene, int64_t within_ms)
{
    const size_t before = probe_count(scene->askers[0], ASKER_RENEWED);
    forget_tokens(scene);
    CHECK(scene_renew(scene, 0, 7));
    scene_pass(scene, within_ms);
    const struct probe_message *last = probe_last(scene->askers[0], ASKER_RENEWED);
    return probe_count(scene->askers[0], ASKER_RENEWED) == before + 1 &&
           ((const struct transport_keepalive_answer *)probe_payload(last))->status == ROLLCALL_OK;
}

TEST(net_token, a_member_that_gives_no_token_is_passed_over_at_once)
{
    enum { WAYS_MS = 300 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 3);
        scene_pass(&scene, 1000);
        for (uint32_t member = 0; member < 3; member++) {
            if ((int)member != rollcall__model_leader(rollcall__net_model(scene.net))) {
                rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_ISOLATED, INT64_MAX);
                CHECK(renew_without_token(&scene, WAYS_MS));
                rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_UP, 0);
                scene_pass(&scene, 1000);
            }
        }
        scene_close(&scene);
    }
}

TEST(net_token, of_three_members_of_which_two_are_silent_the_third_is_asked_for_a_token_in_its_turn)
{
    enum { SILENCE_MS = 500, HEDGE_MS = 400, TICKS_AND_WAYS_MS = 100 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 3);
        const int reached = rollcall__model_leader(rollcall__net_model(scene.net));
        scene_pass(&scene, 1000);
        for (uint32_t member = 0; member < 3; member++) {
            if ((int)member != reached) { /* the leader: renewals go there first */
                rollcall__net_set_member(scene.net, member, ROLLCALL__MEMBER_UNREACHED, INT64_MAX);
            }
        }
        CHECK(renew_without_token(&scene, 2 * SILENCE_MS + 2 * HEDGE_MS + TICKS_AND_WAYS_MS));
        scene_close(&scene);
    }
}

TEST(net_token, a_watch_outlives_its_token)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        CHECK(scene_watch(&scene, 0, 1));
        scene_pass(&scene, 20000); /* the token is over, for want of use */
        CHECK(scene_put(&scene, 0));
        scene_pass(&scene, 1000);
        CHECK_INT(last_status(&scene, 0), ROLLCALL_OK);
        const struct probe_message *last = probe_last(scene.askers[0], ASKER_RESPONSE);
        CHECK_INT(((const struct transport_watch_response *)last->object)->event_count, 1);
        scene_close(&scene);
    }
}

/* E5: however many ask, one call for a token is on its way. */
TEST(net_token, many_who_need_a_token_share_one)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        scene_pass(&scene, 1000);
        forget_tokens(&scene);
        const uint64_t before = rollcall__net_passes(scene.net);
        for (int i = 0; i < CALLS; i++) {
            CHECK(scene_put(&scene, 0));
            CHECK(scene_renew(&scene, 0, 100 + i));
        }
        scene_pass(&scene, 1000);
        CHECK_INT(probe_count(scene.askers[0], ASKER_ANSWER), CALLS);
        CHECK_INT(probe_count(scene.askers[0], ASKER_RENEWED), CALLS);
        CHECK_INT(rollcall__net_passes(scene.net), before + 1);
        scene_close(&scene);
    }
}

/* Renewals over several endpoints and streams, in the simulated network: what silence, a broken
 * stream, and an outage cost. */
#include "unit/sim/net_world.h"

enum { LEASE = 77, OTHER = 78, TTL_S = 5, MEMBERS = 3 };

/* ---- asking ---- */

static bool renew(struct scene *scene, int64_t lease_id)
{
    const struct transport_keepalive ask = {
        .lease_id = lease_id, .ttl_ms = TTL_S * 1000, .answer = ASKER_RENEWED};
    return scene_send(scene, 0, TRANSPORT_KEEPALIVE, &ask, sizeof ask, NULL);
}

static size_t answers(const struct scene *scene)
{
    return probe_count(scene->askers[0], ASKER_RENEWED);
}

static struct transport_keepalive_answer last_answer(const struct scene *scene)
{
    struct transport_keepalive_answer answer;
    memcpy(&answer, probe_payload(probe_last(scene->askers[0], ASKER_RENEWED)), sizeof answer);
    return answer;
}

static void grant(struct scene *scene, int64_t lease_id)
{
    CHECK(scene_ask(scene, 0, transport_request_lease(TRANSPORT_LEASE_GRANT, lease_id, TTL_S)));
    scene_pass(scene, 200);
    CHECK_INT(last_status(scene, 0), ROLLCALL_OK);
}

/* Asks as keepalive does, again and again, until there are `wanted` answers that are OK; how long
 * it took. */
static int64_t await_ok(struct scene *scene, int64_t lease_id, int64_t most_ms)
{
    const int64_t begun_ms = rollcall_sim_now_ms(scene->sim);
    size_t heard = answers(scene);
    CHECK(renew(scene, lease_id));
    while (rollcall_sim_now_ms(scene->sim) < begun_ms + most_ms) {
        scene_pass(scene, 10);
        if (answers(scene) > heard && last_answer(scene).status == ROLLCALL_OK) {
            return rollcall_sim_now_ms(scene->sim) - begun_ms;
        }
        if (answers(scene) > heard || (rollcall_sim_now_ms(scene->sim) - begun_ms) % 300 == 0) {
            heard = answers(scene);
            CHECK(renew(scene, lease_id));
        }
    }
    CHECK(false); /* it was not answered */
    return 0;
}

static void set_member(struct scene *scene, int member, enum rollcall__member_state state)
{
    rollcall__net_set_member(scene->net, (uint32_t)member, state, INT64_MAX);
}

static int leader(const struct scene *scene)
{
    return rollcall__model_leader(rollcall__net_model(scene->net));
}

/* ---- silence ---- */

/* The whole point: followers that wait 7 s for their frozen leader cost no more than an election.
 */
TEST(renewal, a_frozen_leader_costs_no_more_than_an_election)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        grant(&scene, LEASE);
        set_member(&scene, leader(&scene), ROLLCALL__MEMBER_FROZEN);
        CHECK(await_ok(&scene, LEASE, 7000) <= 2500); /* elected after 1.0 to 1.6 s */
        CHECK_INT(last_answer(&scene).ttl_s, TTL_S);
        scene_close(&scene);
    }
}

/* The leader is asked; others do not matter to it. */
TEST(renewal, a_follower_that_is_silent_costs_nothing)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int member = 0; member < MEMBERS; member++) {
            struct scene scene = scene_of(seed, 1, MEMBERS);
            grant(&scene, LEASE);
            if (member != leader(&scene)) {
                set_member(&scene, member, ROLLCALL__MEMBER_FROZEN);
                CHECK(await_ok(&scene, LEASE, 5000) < 150);
            }
            scene_close(&scene);
        }
    }
}

/* Two streams answer late, in any order: each answer counts from when its own try was sent. */
TEST(renewal, a_late_answer_counts_from_its_own_sending)
{
    size_t of_the_first = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        grant(&scene, LEASE);
        const int64_t asked_ms = rollcall_sim_now_ms(scene.sim);
        rollcall__net_set_member(scene.net, 0, ROLLCALL__MEMBER_FROZEN, asked_ms + 900);
        CHECK(renew(&scene, LEASE));
        scene_pass(&scene, 1200);
        CHECK_INT(answers(&scene), 1);
        CHECK_INT(last_answer(&scene).status, ROLLCALL_OK);
        const int64_t sent_ms = last_answer(&scene).sent_ms;
        CHECK(sent_ms == asked_ms || sent_ms == asked_ms + 400);
        of_the_first += sent_ms == asked_ms;
        CHECK_INT(rollcall__net_renewals(scene.net), 2);
        scene_close(&scene);
    }
    CHECK(of_the_first > SEEDS / 2);
}

/* A10: a renewal that etcd lets wait holds up what comes behind it on its stream, and no other. */
TEST(renewal, a_stream_that_is_stuck_delays_another_lease_by_a_twelfth_of_its_ttl_at_most)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        grant(&scene, LEASE);
        grant(&scene, LEASE + 4); /* shares its stream */
        const int was = leader(&scene);
        set_member(&scene, was, ROLLCALL__MEMBER_FROZEN);
        CHECK(await_ok(&scene, LEASE, 7000) <= 2500);
        CHECK(await_ok(&scene, LEASE + 4, 7000) < 400 + 150); /* though older streams still hang */
        scene_close(&scene);
    }
}

/* ---- other leases ---- */

static size_t renewed(const struct scene *scene, int64_t lease_id)
{
    size_t count = 0;
    const struct probe_message *message;
    for (size_t n = 0; (message = probe_find(scene->askers[0], ASKER_RENEWED, n)) != NULL; n++) {
        const struct transport_keepalive_answer *answer = probe_payload(message);
        count += answer->lease_id == lease_id && answer->status == ROLLCALL_OK;
    }
    return count;
}

/* All as keepalive does, for that long. */
static void renew_all(struct scene *scene, int64_t first, int64_t count, int64_t ms)
{
    for (int64_t round = 0; round < ms / 300; round++) {
        for (int64_t i = 0; i < count; i++) {
            if (renewed(scene, first + 4 * i) == 0) {
                CHECK(renew(scene, first + 4 * i));
            }
        }
        scene_pass(scene, 300);
    }
}

/* A renewal that etcd denies ends its stream, for all that share it: each time, after an outage
 * that has made all of them be tried again at the same moments. */
TEST(renewal, one_that_is_denied_keeps_no_other_from_being_renewed)
{
    enum { FIRST = 40, COUNT = 8, DENIED = FIRST + 4 * 5 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        for (int64_t i = 0; i < COUNT; i++) {
            grant(&scene, FIRST + 4 * i);
        }
        rollcall__net_deny_lease(scene.net, DENIED);
        for (int member = 0; member < MEMBERS; member++) {
            set_member(&scene, member, ROLLCALL__MEMBER_ISOLATED);
        }
        renew_all(&scene, FIRST, COUNT, 1500);
        rollcall__net_heal(scene.net);
        renew_all(&scene, FIRST, COUNT, 4500);
        for (int64_t i = 0; i < COUNT; i++) {
            CHECK_INT(renewed(&scene, FIRST + 4 * i), FIRST + 4 * i != DENIED);
        }
        scene_close(&scene);
    }
}

/* ---- rates ---- */

/* A5: no storm, however long the silence. */
TEST(renewal, a_silent_etcd_is_asked_about_once_a_second_and_endpoint)
{
    static const uint32_t COUNTS[] = {1, 3};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (size_t i = 0; i < 2; i++) {
            struct scene scene = scene_of(seed, 1, COUNTS[i]);
            for (int member = 0; member < (int)COUNTS[i]; member++) {
                set_member(&scene, member, ROLLCALL__MEMBER_FROZEN);
            }
            for (int round = 0; round < 100; round++) {
                CHECK(renew(&scene, LEASE));
                scene_pass(&scene, 300);
            }
            const uint64_t sent = rollcall__net_renewals(scene.net);
            CHECK(sent >= 9 * COUNTS[i] && sent <= 31 * COUNTS[i] + 1); /* in 30 s */
            CHECK(rollcall__net_streams(scene.net) <= 3 * COUNTS[i]);
            scene_close(&scene);
        }
    }
}

/* A10: what a silent etcd is asked it has to work off before anything else. */
TEST(renewal, a_silent_etcd_is_asked_for_one_of_many_a_tick_and_then_for_all)
{
    enum { MANY = 400, SILENT_MS = 1900, TICK_MS = 25 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        for (int i = 0; i < MANY; i++) {
            grant(&scene, LEASE + i);
        }
        set_member(&scene, 0, ROLLCALL__MEMBER_FROZEN);
        CHECK(renew(&scene, LEASE));
        scene_pass(&scene, 500); /* its silence is noted after 400 */
        const uint64_t before = rollcall__net_renewals(scene.net);
        for (int i = 1; i < MANY; i++) {
            CHECK(renew(&scene, LEASE + i));
        }
        scene_pass(&scene, SILENT_MS - 500);
        const uint64_t sent = rollcall__net_renewals(scene.net) - before;
        CHECK(sent > 20 && sent <= SILENT_MS / TICK_MS);
        set_member(&scene, 0, ROLLCALL__MEMBER_UP);
        scene_pass(&scene, 150);
        CHECK_INT(answers(&scene), MANY);
        CHECK_INT(last_answer(&scene).status, ROLLCALL_OK);
        scene_close(&scene);
    }
}

TEST(renewal, an_etcd_that_refuses_is_not_asked_and_asked_at_once_when_it_is_back)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        grant(&scene, LEASE);
        set_member(&scene, 0, ROLLCALL__MEMBER_DOWN);
        for (int round = 0; round < 20; round++) {
            CHECK(renew(&scene, LEASE));
            scene_pass(&scene, 300);
        }
        CHECK(rollcall__net_renewals(scene.net) <= 1);
        set_member(&scene, 0, ROLLCALL__MEMBER_UP);
        scene_pass(&scene, 1700); /* until it leads again */
        CHECK(await_ok(&scene, LEASE, 5000) < 400);
        scene_close(&scene);
    }
}

/* A member without a leader refuses at once, again and again. */
TEST(renewal, members_without_a_leader_are_asked_a_few_times_a_second)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        for (int member = 0; member < MEMBERS; member++) {
            set_member(&scene, member, ROLLCALL__MEMBER_ISOLATED);
        }
        for (int round = 0; round < 100; round++) {
            CHECK(renew(&scene, LEASE));
            scene_pass(&scene, 100);
        }
        const uint64_t sent = rollcall__net_renewals(scene.net);
        CHECK(sent >= 15 && sent <= 50); /* in 10 s */
        scene_close(&scene);
    }
}

/* ---- tokens ---- */

/* Renewals that were sent to others than the leader. */
static uint64_t sent_to_followers(const struct scene *scene)
{
    return rollcall__net_renewals(scene->net) -
           rollcall__net_renewals_to(scene->net, (uint32_t)leader(scene));
}

/* A token that was refused says nothing of who refused it. */
TEST(renewal, one_whose_token_was_refused_is_tried_where_it_was_with_the_next)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, MEMBERS);
        grant(&scene, LEASE);
        scene_pass(&scene, 2000); /* until it knows the leader */
        CHECK(await_ok(&scene, LEASE, 1000) < 150);
        CHECK_INT(sent_to_followers(&scene), 0);
        const uint64_t before = rollcall__net_renewals(scene.net);
        for (uint32_t member = 0; member < MEMBERS; member++) {
            rollcall__net_forget_passes(scene.net, member);
        }
        CHECK(await_ok(&scene, LEASE, 1000) < 400);
        CHECK_INT(rollcall__net_renewals(scene.net), before + 2);
        CHECK_INT(sent_to_followers(&scene), 0);
        scene_close(&scene);
    }
}

TEST(renewal, one_that_is_hedged_stays_with_who_refused_its_token)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, MEMBERS);
        grant(&scene, LEASE);
        scene_pass(&scene, 2000);
        CHECK(await_ok(&scene, LEASE, 1000) < 150);
        for (uint32_t member = 0; member < MEMBERS; member++) {
            if ((int)member != leader(&scene)) {
                rollcall__net_forget_passes(scene.net, member);
            }
        }
        rollcall__net_mute(scene.net, 0, rollcall_sim_now_ms(scene.sim) + 1500);
        CHECK(await_ok(&scene, LEASE, 1500) < 400 + 400);
        for (uint32_t member = 0; member < MEMBERS; member++) {
            CHECK(rollcall__net_renewals_to(scene.net, member) % 2 == 0); /* two or none */
        }
        CHECK_INT(sent_to_followers(&scene), 2);
        scene_close(&scene);
    }
}

/* What was refused was no try: after a silence the next is as soon as after a first one. */
TEST(renewal, one_whose_token_was_refused_is_hedged_like_any_other)
{
    enum { HEDGE_MS = 400 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, 1);
        grant(&scene, LEASE);
        CHECK(await_ok(&scene, LEASE, 1000) < 150);
        const uint64_t before = rollcall__net_renewals(scene.net);
        scene_pass(&scene, 1000);
        rollcall__net_forget_passes(scene.net, 0);
        CHECK(renew(&scene, LEASE));
        for (int ms = 0; ms < 1000 && rollcall__net_renewals(scene.net) < before + 2; ms++) {
            scene_pass(&scene, 1);
        }
        set_member(&scene, 0, ROLLCALL__MEMBER_FROZEN);
        scene_pass(&scene, HEDGE_MS - 50);
        CHECK_INT(rollcall__net_renewals(scene.net), before + 2);
        scene_pass(&scene, 100);
        CHECK_INT(rollcall__net_renewals(scene.net), before + 3);
        scene_close(&scene);
    }
}

/* But one that refuses each is left for another. */
TEST(renewal, a_leader_that_takes_no_token_is_gone_around)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_with_tokens(seed, MEMBERS);
        grant(&scene, LEASE);
        CHECK(renew(&scene, LEASE));
        for (int ms = 0; ms < 1500 && answers(&scene) == 0; ms++) {
            rollcall__net_forget_passes(scene.net, (uint32_t)leader(&scene));
            scene_pass(&scene, 1);
        }
        CHECK_INT(answers(&scene), 1);
        CHECK_INT(last_answer(&scene).status, ROLLCALL_OK);
        CHECK(sent_to_followers(&scene) > 0);
        scene_close(&scene);
    }
}

/* ---- ends ---- */

TEST(renewal, a_broken_stream_is_followed_by_another_at_once)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, MEMBERS);
        grant(&scene, LEASE);
        CHECK(renew(&scene, LEASE));
        for (uint32_t member = 0; member < MEMBERS; member++) {
            rollcall__net_cut(scene.net, 0, member);
        }
        scene_pass(&scene, 150);
        CHECK_INT(answers(&scene), 1);
        CHECK_INT(last_answer(&scene).status, ROLLCALL_OK);
        scene_close(&scene);
    }
}

TEST(renewal, one_whose_asker_is_gone_is_given_up)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct scene scene = scene_of(seed, 1, 1);
        set_member(&scene, 0, ROLLCALL__MEMBER_FROZEN);
        CHECK(renew(&scene, LEASE));
        scene_pass(&scene, 2100);
        CHECK_INT(answers(&scene), 1); /* who asked once has this; who asks again goes on */
        CHECK_INT(last_answer(&scene).status, ROLLCALL_E_UNAVAILABLE);
        const uint64_t sent = rollcall__net_renewals(scene.net);
        scene_pass(&scene, LONG_MS);
        CHECK_INT(rollcall__net_renewals(scene.net), sent);
        CHECK_INT(rollcall__net_streams(scene.net), 0);
        scene_close(&scene);
    }
}

/* The model of etcd: leases in time, members that fail, and the bugs of old versions. */
#include "base/random.h"
#include "model_world.h"

#include <stdlib.h>

static const int64_t CHECK_MS = 500; /* how often the leader looks for leases that are over */

static const struct rollcall__model_lease *lease_of(const struct world *world, int64_t lease_id)
{
    return rollcall__model_lease(world->model, lease_id);
}

static uint32_t leader_of(const struct world *world)
{
    const int leader = rollcall__model_leader(world->model);
    CHECK(leader >= 0);
    return (uint32_t)leader;
}

/* The nth member that does not lead. */
static uint32_t follower_of(const struct world *world, uint32_t nth)
{
    return (leader_of(world) + 1 + nth) % 3;
}

/* Long enough for everybody to apply everything. */
static void settle(struct world *world)
{
    pass(world, 200);
}

static struct transport_request *serializable(const char *key)
{
    struct transport_request *request = range_of(key, "");
    request->range.serializable = true;
    return request;
}

/* ---- leases ---- */

TEST(etcd_leases, the_ttl_is_at_least_two_seconds_and_bounded)
{
    struct world world = world_open(1);
    CHECK_INT(grant(&world, 1, 1), 2);
    CHECK_INT(grant(&world, 2, -5), 2);
    CHECK_INT(grant(&world, 3, 60), 60);
    const struct transport_result *large =
        ask(&world, transport_request_lease(TRANSPORT_LEASE_GRANT, 4, INT64_C(9000000001)));
    CHECK_INT(large->error.status, ROLLCALL_E_REJECTED);
    const struct transport_result *chosen =
        ask_well(&world, transport_request_lease(TRANSPORT_LEASE_GRANT, 0, 60));
    CHECK(chosen->lease_id > 0);
    world_close(&world);
}

TEST(etcd_leases, repeated_grants_and_revokes_are_successes)
{
    struct world world = world_open(1);
    CHECK_INT(grant(&world, 1, 60), 60);
    CHECK_INT(grant(&world, 1, 90), 0);
    CHECK_INT(left_s(&world, 1), 59);
    (void)lease_ask(&world, TRANSPORT_LEASE_REVOKE, 1, 0);
    (void)lease_ask(&world, TRANSPORT_LEASE_REVOKE, 1, 0);
    CHECK_INT(left_s(&world, 1), -1);
    CHECK_INT(renew(&world, 1), 0);
    CHECK(lease_of(&world, 1)->revoked);
    CHECK_INT(grant(&world, 1, 90), 90); /* the id is free again */
    CHECK(!lease_of(&world, 1)->revoked);
    const struct rollcall__model_lease *all;
    CHECK_INT(rollcall__model_leases(world.model, &all), 2);
    world_close(&world);
}

TEST(etcd_leases, a_lease_ends_up_to_half_a_second_after_its_time)
{
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct world world = world_open_with(
            (struct rollcall__model_options){.seed = seed, .members = seed % 2 == 0 ? 1 : 3});
        pass(&world, (int64_t)(seed * 7));
        (void)grant(&world, 1, 5);
        pass(&world, 2000);
        CHECK_INT(renew(&world, 1), 5);
        const int64_t renewed_ms = world.now_ms;
        pass(&world, 20000); /* in one leap: it ends at its own time all the same */
        const int64_t late_ms = lease_of(&world, 1)->ended_ms - renewed_ms - 5000;
        CHECK(!lease_of(&world, 1)->revoked);
        least_ms = late_ms < least_ms ? late_ms : least_ms;
        most_ms = late_ms > most_ms ? late_ms : most_ms;
        world_close(&world);
    }
    CHECK(least_ms >= 0 && least_ms < 25);
    CHECK(most_ms <= CHECK_MS && most_ms > CHECK_MS - 25);
}

TEST(etcd_leases, no_lease_ends_with_another_before_its_own_time)
{
    struct world world = world_open(1);
    (void)grant(&world, 1, 5);
    const int64_t due_ms = rollcall__model_next_ms(world.model);
    pass(&world, due_ms - 5000 + 1); /* over one millisecond after the other's end */
    (void)grant(&world, 2, 5);
    pass(&world, 20000);
    CHECK_INT(lease_of(&world, 1)->ended_ms, due_ms);
    CHECK_INT(lease_of(&world, 2)->ended_ms, due_ms + CHECK_MS);
    world_close(&world);
}

TEST(etcd_leases, what_is_due_next_is_told)
{
    struct world world = world_open(1);
    CHECK_INT(rollcall__model_next_ms(world.model), INT64_MAX);
    (void)grant(&world, 1, 5);
    const int64_t due_ms = rollcall__model_next_ms(world.model);
    CHECK(due_ms >= 5000 && due_ms <= 5000 + CHECK_MS);
    pass(&world, due_ms - 1);
    CHECK_INT(lease_of(&world, 1)->ended_ms, INT64_MAX);
    pass(&world, 1);
    CHECK_INT(lease_of(&world, 1)->ended_ms, due_ms);
    CHECK_INT(rollcall__model_next_ms(world.model), INT64_MAX);
    world_close(&world);
}

TEST(etcd_leases, a_renewal_after_its_time_finds_it_gone)
{
    struct world world = world_open(1);
    (void)grant(&world, 1, 5);
    (void)put_leased(&world, "a", "x", 1);
    const int64_t due_ms = rollcall__model_next_ms(world.model);
    pass(&world, due_ms > 5000 ? 5000 : 4999);
    CHECK_INT(renew(&world, 1), due_ms > 5000 ? 0 : 5);
    CHECK_INT(get(&world, "a")->count, due_ms > 5000 ? 0 : 1);
    world_close(&world);
}

TEST(etcd_leases, keys_end_with_the_last_lease_they_were_put_under)
{
    struct world world = world_open(1);
    (void)grant(&world, 1, 60);
    (void)grant(&world, 2, 60);
    (void)put_leased(&world, "stays", "x", 1);
    (void)put_leased(&world, "moves", "x", 1);
    (void)put_leased(&world, "detached", "x", 1);
    (void)put_leased(&world, "deleted", "x", 1);
    (void)put_leased(&world, "moves", "x", 2);
    (void)put(&world, "detached", "x");
    (void)del(&world, "deleted");
    const int64_t revision = rollcall__model_revision(world.model);
    CHECK(rollcall__model_revoke(world.model, 1, world.now_ms));
    CHECK(!rollcall__model_revoke(world.model, 1, world.now_ms));
    CHECK_INT(rollcall__model_revision(world.model), revision + 1);
    CHECK_INT(get(&world, "stays")->count, 0);
    CHECK_INT(get(&world, "moves")->count, 1);
    CHECK_INT(get(&world, "detached")->count, 1);
    CHECK_INT(lease_of(&world, 1)->ended_ms, 0);
    (void)grant(&world, 3, 60);
    CHECK(rollcall__model_revoke(world.model, 3, world.now_ms)); /* without keys: no revision */
    CHECK_INT(rollcall__model_revision(world.model), revision + 1);
    world_close(&world);
}

TEST(etcd_leases, five_hundred_end_at_a_time)
{
    struct world world = world_open(1);
    for (int64_t i = 1; i <= 1200; i++) {
        struct transport_request *request = transport_request_lease(TRANSPORT_LEASE_GRANT, i, 5);
        rollcall_object_drop(
            &rollcall__model_perform(world.model, 0, request, world.now_ms)->object);
        rollcall_object_drop(&request->object);
    }
    const int64_t due_ms = rollcall__model_next_ms(world.model);
    pass(&world, 20000);
    CHECK_INT(lease_of(&world, 500)->ended_ms, due_ms);
    CHECK_INT(lease_of(&world, 501)->ended_ms, due_ms + CHECK_MS);
    CHECK_INT(lease_of(&world, 1200)->ended_ms, due_ms + 2 * CHECK_MS);
    world_close(&world);
}

TEST(etcd_leases, a_restart_gives_the_whole_ttl_again)
{
    struct world world = world_open(1);
    (void)grant(&world, 1, 10);
    pass(&world, 7000);
    set(&world, 0, ROLLCALL__MEMBER_DOWN);
    CHECK_INT(rollcall__model_leader(world.model), -1);
    pass(&world, 60000); /* nobody ends it meanwhile */
    set(&world, 0, ROLLCALL__MEMBER_UP);
    CHECK_INT(lease_of(&world, 1)->expires_ms, world.now_ms + 10000 + 1000);
    CHECK_INT(left_s(&world, 1), 10);
    world_close(&world);
}

TEST(etcd_leases, a_thawed_member_ends_what_is_over_at_once)
{
    struct world world = world_open(1);
    (void)grant(&world, 1, 5);
    (void)grant(&world, 2, 60);
    set(&world, 0, ROLLCALL__MEMBER_FROZEN);
    pass(&world, 8000);
    CHECK_INT(lease_of(&world, 1)->ended_ms, INT64_MAX);
    set(&world, 0, ROLLCALL__MEMBER_UP);
    CHECK_INT(lease_of(&world, 1)->ended_ms, 8000);
    CHECK_INT(renew(&world, 1), 0);
    CHECK_INT(renew(&world, 2), 60);
    world_close(&world);
}

TEST(etcd_leases, a_new_leader_gives_the_whole_ttl_again)
{
    struct world world = world_open(3);
    (void)grant(&world, 1, 10);
    pass(&world, 7000);
    const int before = rollcall__model_leader(world.model);
    rollcall__model_move_leader(world.model, world.now_ms);
    CHECK(rollcall__model_leader(world.model) >= 0);
    CHECK(rollcall__model_leader(world.model) != before);
    CHECK_INT(lease_of(&world, 1)->expires_ms, 7000 + 10000 + 1000);
    world_close(&world);
}

/* ---- members ---- */

TEST(etcd_members, a_lost_leader_is_replaced_within_an_election)
{
    static const enum rollcall__member_state LOSSES[] = {
        ROLLCALL__MEMBER_DOWN, ROLLCALL__MEMBER_FROZEN, ROLLCALL__MEMBER_ISOLATED};
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world world =
            world_open_with((struct rollcall__model_options){.seed = seed, .members = 3});
        const uint32_t old = leader_of(&world);
        world.member = follower_of(&world, 0);
        set(&world, old, LOSSES[seed % 3]);
        CHECK_INT(rollcall__model_leader(world.model), -1);
        CHECK_INT(put(&world, "a", "x"), -ROLLCALL_E_UNAVAILABLE);
        const int64_t elected_ms = rollcall__model_next_ms(world.model);
        CHECK(elected_ms >= 1000 && elected_ms <= 1600);
        pass(&world, elected_ms);
        CHECK(leader_of(&world) != old);
        CHECK_INT(put(&world, "a", "x"), 2);
        world_close(&world);
    }
}

TEST(etcd_members, a_leader_back_in_time_goes_on)
{
    struct world world = world_open(3);
    (void)grant(&world, 1, 10);
    const int leader = rollcall__model_leader(world.model);
    set(&world, (uint32_t)leader, ROLLCALL__MEMBER_FROZEN);
    pass(&world, 900);
    set(&world, (uint32_t)leader, ROLLCALL__MEMBER_UP);
    CHECK_INT(rollcall__model_leader(world.model), leader);
    CHECK_INT(lease_of(&world, 1)->expires_ms, 10000); /* no new leader, no new TTL */
    pass(&world, 5000);
    CHECK_INT(rollcall__model_leader(world.model), leader);
    world_close(&world);
}

TEST(etcd_members, a_killed_leader_comes_back_as_a_follower)
{
    struct world world = world_open(3);
    const uint32_t old = leader_of(&world);
    set(&world, old, ROLLCALL__MEMBER_DOWN);
    set(&world, old, ROLLCALL__MEMBER_UP);
    CHECK_INT(rollcall__model_leader(world.model), -1);
    pass(&world, 1600);
    CHECK(rollcall__model_leader(world.model) >= 0);
    world_close(&world);
}

TEST(etcd_members, without_a_quorum_nothing_is_done_and_no_lease_ends)
{
    struct world world = world_open(3);
    (void)grant(&world, 1, 5);
    world.member = leader_of(&world);
    const uint32_t gone[] = {follower_of(&world, 0), follower_of(&world, 1)};
    set(&world, gone[0], ROLLCALL__MEMBER_DOWN);
    CHECK_INT(put(&world, "a", "x"), 2); /* two of three are enough */
    set(&world, gone[1], ROLLCALL__MEMBER_FROZEN);
    int64_t ttl_s;
    CHECK_INT(put(&world, "a", "x"), -ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(rollcall__model_renew(world.model, world.member, 1, world.now_ms, &ttl_s),
              ROLLCALL_E_UNAVAILABLE);
    CHECK(!rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("x"), 0, 0));
    CHECK(!rollcall__model_compact(world.model, 2));
    pass(&world, 60000);
    CHECK_INT(rollcall__model_leader(world.model), -1);
    CHECK_INT(lease_of(&world, 1)->ended_ms, INT64_MAX);
    set(&world, gone[0], ROLLCALL__MEMBER_UP);
    pass(&world, 1600);
    CHECK(rollcall__model_leader(world.model) >= 0);
    CHECK_INT(renew(&world, 1), 5);
    world_close(&world);
}

TEST(etcd_members, an_isolated_member_reads_only_its_own_past_and_only_at_first)
{
    struct world world = world_open(3);
    (void)put(&world, "a", "old");
    settle(&world);
    const uint32_t cut = follower_of(&world, 0), other = follower_of(&world, 1);
    set(&world, cut, ROLLCALL__MEMBER_ISOLATED);
    world.member = other;
    CHECK_INT(put(&world, "a", "new"), 3);
    pass(&world, 500);
    world.member = cut;
    CHECK_INT(get(&world, "a")->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(get(&world, "a")->error.grpc_code, 14);
    CHECK_BYTES(ask_well(&world, serializable("a"))->kvs[0].value, "old");
    pass(&world, 500);
    CHECK_INT(ask(&world, serializable("a"))->error.status, ROLLCALL_E_UNAVAILABLE);
    set(&world, cut, ROLLCALL__MEMBER_UP);
    CHECK_BYTES(get(&world, "a")->kvs[0].value, "new"); /* linearizable: it waits for the rest */
    world_close(&world);
}

TEST(etcd_members, a_follower_applies_a_few_milliseconds_later)
{
    int64_t most_ms = 0;
    for (int i = 0; i < 200; i++) {
        struct world world =
            world_open_with((struct rollcall__model_options){.seed = (uint64_t)i, .members = 3});
        world.member = leader_of(&world);
        (void)put(&world, "a", "x");
        world.member = follower_of(&world, 0);
        while (ask_well(&world, serializable("a"))->count == 0) {
            CHECK(rollcall__model_next_ms(world.model) > world.now_ms);
            pass(&world, 1);
        }
        most_ms = world.now_ms > most_ms ? world.now_ms : most_ms;
        world_close(&world);
    }
    CHECK_INT(most_ms, 3);
}

TEST(etcd_members, a_watch_is_told_what_its_member_has_applied)
{
    struct world world = world_open(3);
    world.member = follower_of(&world, 0);
    struct rollcall__model_watch *all = watch_created(&world, "a", "", 2);
    set(&world, world.member, ROLLCALL__MEMBER_ISOLATED);
    (void)rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("x"), 0,
                              world.now_ms);
    pass(&world, 1000);
    CHECK(told(&world, all) == NULL);
    set(&world, world.member, ROLLCALL__MEMBER_UP);
    pass(&world, 100);
    CHECK_INT(told(&world, all)->events[0].kv.mod_revision, 2);
    world_close(&world);
}

TEST(etcd_members, a_watch_without_a_leader_ends_after_three_elections)
{
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct world world =
            world_open_with((struct rollcall__model_options){.seed = seed, .members = 3});
        world.member = follower_of(&world, 0);
        struct rollcall__model_watch *all = watch_created(&world, "a", "", 1);
        set(&world, world.member, ROLLCALL__MEMBER_ISOLATED);
        const int64_t end_ms = rollcall__model_next_ms(world.model);
        pass(&world, end_ms - 1);
        CHECK(told(&world, all) == NULL);
        pass(&world, 1);
        CHECK_INT(told(&world, all)->error.status, ROLLCALL_E_UNAVAILABLE);
        CHECK(told(&world, all) == NULL);
        CHECK_INT(told(&world, watch(&world, "a", "", 1))->error.status, ROLLCALL_E_UNAVAILABLE);
        least_ms = end_ms < least_ms ? end_ms : least_ms;
        most_ms = end_ms > most_ms ? end_ms : most_ms;
        world_close(&world);
    }
    CHECK(least_ms >= 3900 && least_ms < 3950);
    CHECK(most_ms <= 4600 && most_ms > 4550);
}

TEST(etcd_members, a_watch_outlives_an_election_and_a_freeze_but_not_a_kill)
{
    struct world world = world_open(3);
    const uint32_t old = leader_of(&world);
    world.member = follower_of(&world, 0);
    struct rollcall__model_watch *all = watch_created(&world, "a", "", 2);
    set(&world, old, ROLLCALL__MEMBER_DOWN);
    pass(&world, 1600);
    CHECK_INT(put(&world, "a", "x"), 2);
    set(&world, world.member, ROLLCALL__MEMBER_FROZEN);
    pass(&world, 10000);
    CHECK(told(&world, all) == NULL);
    set(&world, world.member, ROLLCALL__MEMBER_UP);
    CHECK_INT(told(&world, all)->event_count, 1);
    set(&world, world.member, ROLLCALL__MEMBER_DOWN);
    CHECK_INT(told(&world, all)->error.status, ROLLCALL_E_UNAVAILABLE);
    world_close(&world);
}

TEST(etcd_members, a_lone_member_cannot_be_isolated)
{
    struct world world = world_open(1);
    set(&world, 0, ROLLCALL__MEMBER_ISOLATED);
    CHECK_INT(put(&world, "a", "x"), 2);
    pass(&world, 10000);
    CHECK_INT(put(&world, "a", "x"), 3);
    rollcall__model_move_leader(world.model, world.now_ms); /* there is no other */
    CHECK_INT(rollcall__model_leader(world.model), 0);
    world_close(&world);
}

/* ---- the bugs of old versions, each without and with ---- */

TEST(etcd_quirks, tombstone_at_the_compaction_is_dropped)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(1, on * ROLLCALL__QUIRK_DROPS_TOMBSTONE);
        struct rollcall__model_watch *early = watch_created(&world, "a", "", 2);
        (void)put(&world, "a", "x");
        CHECK_INT(del(&world, "a"), 3);
        (void)put(&world, "a", "y");
        CHECK(rollcall__model_compact(world.model, 3));
        struct rollcall__model_watch *at = watch_created(&world, "a", "", 3);
        const struct transport_watch_response *response = told(&world, at);
        CHECK_INT(response->events[0].kind, on ? TRANSPORT_PUT : TRANSPORT_DELETE);
        CHECK_INT(response->event_count, on ? 1 : 2);
        CHECK_INT(told(&world, early)->events[0].kind, TRANSPORT_PUT); /* it was told before */
        CHECK_INT(told(&world, early)->events[0].kind, TRANSPORT_DELETE);
        world_close(&world);
    }
}

TEST(etcd_quirks, lease_just_revoked_is_renewed)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(1, on * ROLLCALL__QUIRK_RENEWS_REVOKED);
        (void)grant(&world, 1, 10);
        CHECK(rollcall__model_revoke(world.model, 1, world.now_ms));
        pass(&world, 20);
        CHECK_INT(renew(&world, 1), on ? 10 : 0);
        CHECK_INT(left_s(&world, 1), -1);
        pass(&world, 1);
        CHECK_INT(renew(&world, 1), 0);
        world_close(&world);
    }
}

TEST(etcd_quirks, watch_on_a_member_that_lags_goes_back_in_time)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(3, on * ROLLCALL__QUIRK_WATCHES_BACK_IN_TIME);
        for (int i = 0; i < 10; i++) {
            (void)put(&world, "a", "x"); /* 2..11 */
        }
        settle(&world);
        world.member = follower_of(&world, 0);
        set(&world, world.member, ROLLCALL__MEMBER_ISOLATED);
        for (int i = 0; i < 10; i++) { /* 12..21 */
            CHECK(rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("x"), 0,
                                      world.now_ms));
        }
        struct rollcall__model_watch *ahead = watch_created(&world, "a", "", 21);
        set(&world, world.member, ROLLCALL__MEMBER_UP);
        pass(&world, 100);
        const struct transport_watch_response *response = told(&world, ahead);
        const int64_t first = response->events[0].kv.mod_revision;
        CHECK(on ? first >= 8 && first <= 11 : first == 21);
        world_close(&world);
    }
}

TEST(etcd_quirks, thawed_member_reads_its_past)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(3, on * ROLLCALL__QUIRK_READS_STALE_AFTER_FREEZE);
        (void)put(&world, "a", "old");
        settle(&world);
        world.member = leader_of(&world);
        set(&world, world.member, ROLLCALL__MEMBER_FROZEN);
        pass(&world, 1600);
        CHECK(rollcall__model_put(world.model, rollcall__bytes("a"), rollcall__bytes("new"), 0,
                                  world.now_ms));
        set(&world, world.member, ROLLCALL__MEMBER_UP);
        CHECK_BYTES(get(&world, "a")->kvs[0].value, on ? "old" : "new");
        pass(&world, 100);
        CHECK_BYTES(get(&world, "a")->kvs[0].value, "new");
        world_close(&world);
    }
}

TEST(etcd_quirks, old_leader_ends_leases_by_its_own_clock)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(3, on * ROLLCALL__QUIRK_OLD_LEADER_REVOKES);
        (void)grant(&world, 1, 5);
        const uint32_t old = leader_of(&world);
        set(&world, old, ROLLCALL__MEMBER_FROZEN);
        world.member = (old + 1) % 3;
        pass(&world, 3000);
        CHECK_INT(renew(&world, 1), 5);
        (void)grant(&world, 2, 5);
        pass(&world, 3000);
        CHECK_INT(renew(&world, 1), 5);
        CHECK_INT(renew(&world, 2), 5);
        set(&world, old, ROLLCALL__MEMBER_UP);
        CHECK_INT(renew(&world, 1), on ? 0 : 5);
        CHECK_INT(renew(&world, 2), 5); /* the old leader knows nothing of it */
        CHECK(lease_of(&world, 1)->revoked == (on == 1));
        world_close(&world);
    }
}

TEST(etcd_quirks, progress_overtakes_events)
{
    for (uint32_t on = 0; on < 2; on++) {
        struct world world = world_open_quirky(1, on * ROLLCALL__QUIRK_PROGRESS_AHEAD);
        struct rollcall__model_watch *all = watch_created(&world, "a", "", 2);
        (void)put(&world, "a", "x");
        rollcall__model_watch_progress(all);
        const struct transport_watch_response *response = told(&world, all);
        CHECK_INT(response->event_count, on ? 0 : 1);
        CHECK_INT(response->revision, 2);
        CHECK_INT(told(&world, all)->event_count, on ? 1 : 0);
        CHECK(told(&world, all) == NULL);
        world_close(&world);
    }
}

/* ---- everything at once ---- */

/* What holds for every watch that follows the rules of etcd, whatever members do: each revision
 * once, in order, none left out up to the last. */
static void follow(struct world *world, struct rollcall__model_watch **at, int64_t *next)
{
    struct transport_watch_response *response;
    while ((response = rollcall__model_watch_next(*at, world->now_ms)) != NULL) {
        const bool over = response->error.status != ROLLCALL_OK || response->canceled;
        for (size_t i = 0; i < response->event_count; i++) {
            CHECK_INT(response->events[i].kv.mod_revision, *next);
            *next += 1;
        }
        if (over) {
            *next = response->compact_revision > *next ? response->compact_revision : *next;
        }
        rollcall_object_drop(&response->object);
        if (over) {
            break;
        }
    }
}

TEST(etcd_members, every_seed_keeps_one_history_whatever_members_do)
{
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct rollcall__random random;
        rollcall__random_init(&random, seed);
        struct world world =
            world_open_with((struct rollcall__model_options){.seed = seed, .members = 3});
        int64_t next = 2;
        struct rollcall__model_watch *at = watch(&world, "a", "z", next);
        for (int step = 0; step < 300; step++) {
            pass(&world, (int64_t)rollcall__random_below(&random, 200));
            const uint32_t member = (uint32_t)rollcall__random_below(&random, 3);
            if (rollcall__random_below(&random, 20) == 0) {
                set(&world, member,
                    (enum rollcall__member_state)rollcall__random_below(&random, 4));
            }
            const int64_t before = rollcall__model_revision(world.model);
            const bool put_done =
                rollcall__model_put(world.model, rollcall__bytes(member == 0 ? "a" : "b"),
                                    rollcall__bytes("x"), 0, world.now_ms);
            CHECK(put_done == (rollcall__model_leader(world.model) >= 0));
            CHECK_INT(rollcall__model_revision(world.model), before + put_done);
            follow(&world, &at, &next);
        }
        for (uint32_t member = 0; member < 3; member++) {
            set(&world, member, ROLLCALL__MEMBER_UP);
        }
        pass(&world, 5000);
        follow(&world, &at, &next);
        rollcall__model_watch_close(world.watches[0]);
        struct transport_range *range =
            transport_range_create(rollcall__bytes("a"), rollcall__bytes("z"));
        range->revision = next;
        world.watches[0] = at = rollcall__model_watch_open(world.model, 1, range);
        rollcall_object_drop(&range->object);
        follow(&world, &at, &next);
        CHECK_INT(next, rollcall__model_revision(world.model) + 1);
        CHECK(rollcall__model_leader(world.model) >= 0);
        world_close(&world);
    }
}

/* The model of etcd: what members say of themselves and of each other. */
#include "model_world.h"

static const struct transport_result *status_of(struct world *world, uint32_t member)
{
    world->member = member;
    return ask_well(world, transport_request_bare(TRANSPORT_STATUS));
}

TEST(etcd_status, members_agree_on_cluster_leader_and_term)
{
    struct world world = world_open(3);
    const uint64_t leader_id =
        status_of(&world, (uint32_t)rollcall__model_leader(world.model))->member_id;
    CHECK(leader_id != 0);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < 3; i++) {
        const struct transport_result *result = status_of(&world, i);
        CHECK(result->status.leader_id == leader_id);
        CHECK(result->cluster_id == status_of(&world, 0)->cluster_id && result->cluster_id != 0);
        CHECK_INT(result->status.raft_term, 1);
        CHECK_BYTES(result->status.version, "3.4.23");
        CHECK(!result->status.is_learner);
        seen |= UINT64_C(1) << result->member_id;
    }
    CHECK_INT(seen, 0xe); /* three different ones */
    world_close(&world);
}

TEST(etcd_status, the_term_grows_with_each_leader_and_the_index_with_each_change)
{
    struct world world = world_open(3);
    const struct transport_status before = status_of(&world, 0)->status;
    rollcall__model_move_leader(world.model, world.now_ms);
    (void)grant(&world, 1, 60);
    const struct transport_status after = status_of(&world, 0)->status;
    CHECK_INT(after.raft_term, before.raft_term + 1);
    CHECK(after.leader_id != before.leader_id);
    CHECK_INT(after.raft_index, before.raft_index + 1);
    world_close(&world);
}

TEST(etcd_status, who_has_noticed_that_it_has_no_leader_says_so_and_of_others_nothing)
{
    struct world world = world_open(3);
    for (uint32_t i = 1; i < 3; i++) {
        rollcall__model_set_member(world.model, i, ROLLCALL__MEMBER_DOWN, world.now_ms);
    }
    pass(&world, 2000);
    const struct transport_result *result = status_of(&world, 0);
    CHECK(result->status.leader_id == 0 && result->member_id != 0);
    CHECK_BYTES(result->status.version, "3.4.23");
    CHECK_INT(ask(&world, transport_request_bare(TRANSPORT_MEMBERS))->error.status,
              ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(ask(&world, transport_request_bare(TRANSPORT_ALARMS))->error.status,
              ROLLCALL_E_UNAVAILABLE);
    world_close(&world);
}

TEST(etcd_status, every_member_lists_all_and_no_alarm)
{
    struct world world = world_open(3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct transport_result *status = status_of(&world, i);
        const struct transport_result *listed =
            ask_well(&world, transport_request_bare(TRANSPORT_MEMBERS));
        CHECK_INT(listed->member_count, 3);
        CHECK(listed->members[i].member_id == status->member_id);
        CHECK_INT(ask_well(&world, transport_request_bare(TRANSPORT_ALARMS))->alarm_count, 0);
    }
    world_close(&world);
}

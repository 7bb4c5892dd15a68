/* sim/weather.c - the faults that have their chance at any moment, and how long each lasts. */
#include "sim/sim.h"

#include "base/buffer.h"

#include <stdio.h>

enum {
    STALL_MAX_MS = 12000, /* longer than most TTLs of the scenarios */
    DOWN_MAX_MS = 5000,
    PAUSE_MAX_MS = 12000,
    WALL_MAX_MS = 3600 * 1000
};

static uint64_t draw(struct rollcall_sim *sim, enum rollcall_fault fault, uint64_t below)
{
    return rollcall__fault_draw(&sim->faults, fault, below);
}

/* Short ones are as likely as long ones, on a logarithmic scale. */
static int64_t draw_ms(struct rollcall_sim *sim, enum rollcall_fault fault, int64_t most_ms)
{
    const int64_t bound_ms = most_ms >> draw(sim, fault, 10);
    return 1 + (int64_t)draw(sim, fault, (uint64_t)(bound_ms < 1 ? 1 : bound_ms));
}

/* One of three is short; the others last for seconds, each as likely as the next. */
static int64_t draw_outage_ms(struct rollcall_sim *sim, enum rollcall_fault fault, int64_t most_ms)
{
    return draw(sim, fault, 3) == 0 ? draw_ms(sim, fault, most_ms)
                                    : 1 + (int64_t)draw(sim, fault, (uint64_t)most_ms);
}

static bool all_up(const struct rollcall__net *net)
{
    bool up = true;
    for (uint32_t i = 0; i < rollcall__net_members(net); i++) {
        up &= rollcall__net_member_up(net, i);
    }
    return up;
}

static void trouble_member(struct rollcall_sim *sim, enum rollcall_fault fault,
                           enum rollcall__member_state state, int64_t most_ms)
{
    const uint32_t member = (uint32_t)draw(sim, fault, rollcall__net_members(sim->net));
    const int64_t for_ms =
        sim->outages ? draw_outage_ms(sim, fault, most_ms) : draw_ms(sim, fault, most_ms);
    const int64_t until_ms = sim->now_ms + for_ms;
    if (sim->one_outage && !all_up(sim->net)) {
        return;
    }
    if (rollcall__net_member_up(sim->net, member)) { /* one trouble at a time: it ends by itself */
        rollcall__net_set_member(sim->net, member, state, until_ms);
    }
}

/* ---- what others do to the store ---- */

static void compact(struct rollcall_sim *sim)
{
    struct rollcall__model *model = rollcall__net_model(sim->net);
    const int64_t compacted = rollcall__model_compacted(model);
    const int64_t left = rollcall__model_revision(model) - compacted;
    if (left > 0) {
        const uint64_t back = draw(sim, ROLLCALL_FAULT_COMPACT, 2) == 0
                                  ? 0
                                  : draw(sim, ROLLCALL_FAULT_COMPACT, (uint64_t)left);
        (void)rollcall__model_compact(model, rollcall__model_revision(model) - (int64_t)back);
    }
}

static void revoke_a_lease(struct rollcall_sim *sim)
{
    struct rollcall__model *model = rollcall__net_model(sim->net);
    const struct rollcall__model_lease *leases;
    const size_t count = rollcall__model_leases(model, &leases);
    if (count == 0) {
        return;
    }
    const struct rollcall__model_lease *lease = &leases[draw(sim, ROLLCALL_FAULT_REVOKE, count)];
    if (lease->ended_ms == INT64_MAX) {
        (void)rollcall__model_revoke(model, lease->lease_id, sim->now_ms);
    }
}

/* Somebody deletes a key, or puts something else there: under no lease, or again under its own. */
static void meddle(struct rollcall_sim *sim)
{
    struct rollcall__model *model = rollcall__net_model(sim->net);
    size_t count;
    const struct transport_event *history = rollcall__model_history(model, &count);
    if (count == 0) {
        return;
    }
    const struct rollcall_bytes key = history[draw(sim, ROLLCALL_FAULT_STRANGER, count)].kv.key;
    const struct transport_kv *there = rollcall__model_find(model, key, INT64_MAX);
    if (there == NULL || there->lease_id == 0) {
        return; /* the id key is nobody's session */
    }
    switch (draw(sim, ROLLCALL_FAULT_STRANGER, 4)) {
    case 0:
        (void)rollcall__model_delete(model, key, sim->now_ms);
        break;
    case 1:
        (void)rollcall__model_put(model, key, there->value, 0, sim->now_ms);
        break;
    case 2:
        (void)rollcall__model_put(model, key, there->value, there->lease_id, sim->now_ms);
        break;
    default:
        (void)rollcall__model_put(model, key, rollcall__bytes("no record at all"), there->lease_id,
                                  sim->now_ms);
        break;
    }
}

/* ---- clocks ---- */

static void pause_a_process(struct rollcall_sim *sim)
{
    const uint32_t processes = (rollcall__net_links(sim->net) + 1) / 2;
    const uint32_t process = (uint32_t)draw(sim, ROLLCALL_FAULT_PAUSE, processes);
    rollcall__sim_freeze(sim, process,
                         sim->now_ms + draw_ms(sim, ROLLCALL_FAULT_PAUSE, PAUSE_MAX_MS));
}

static void suspend(struct rollcall_sim *sim)
{
    const int64_t until_ms = sim->now_ms + draw_ms(sim, ROLLCALL_FAULT_SUSPEND, PAUSE_MAX_MS);
    for (uint32_t process = 0; process < (rollcall__net_links(sim->net) + 1) / 2; process++) {
        rollcall__sim_freeze(sim, process, until_ms);
    }
}

static void jump(struct rollcall_sim *sim)
{
    const int64_t by_ms = draw_ms(sim, ROLLCALL_FAULT_WALL, WALL_MAX_MS);
    sim->wall_offset_ms += draw(sim, ROLLCALL_FAULT_WALL, 2) == 0 ? by_ms : -by_ms;
}

/* ---- all of them ---- */

static uint32_t draw_member(struct rollcall_sim *sim, enum rollcall_fault fault)
{
    return (uint32_t)draw(sim, fault, rollcall__net_members(sim->net));
}

static void cut(struct rollcall_sim *sim)
{
    const uint32_t link = (uint32_t)draw(sim, ROLLCALL_FAULT_CUT, rollcall__net_links(sim->net));
    rollcall__net_cut(sim->net, link, draw_member(sim, ROLLCALL_FAULT_CUT));
}

static void connections(struct rollcall_sim *sim)
{
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_CUT)) {
        cut(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_TOKEN)) {
        rollcall__net_forget_passes(sim->net, draw_member(sim, ROLLCALL_FAULT_TOKEN));
    }
}

static void mute(struct rollcall_sim *sim)
{
    const uint32_t link = (uint32_t)draw(sim, ROLLCALL_FAULT_MUTE, rollcall__net_links(sim->net));
    rollcall__net_mute(sim->net, link,
                       sim->now_ms + draw_ms(sim, ROLLCALL_FAULT_MUTE, STALL_MAX_MS));
}

static void members(struct rollcall_sim *sim)
{
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_STALL)) {
        trouble_member(sim, ROLLCALL_FAULT_STALL, ROLLCALL__MEMBER_FROZEN, STALL_MAX_MS);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_ISOLATE)) {
        trouble_member(sim, ROLLCALL_FAULT_ISOLATE, ROLLCALL__MEMBER_ISOLATED, STALL_MAX_MS);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_KILL)) {
        trouble_member(sim, ROLLCALL_FAULT_KILL, ROLLCALL__MEMBER_DOWN, DOWN_MAX_MS);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_LEADER)) {
        rollcall__model_move_leader(rollcall__net_model(sim->net), sim->now_ms);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_UNREACH)) {
        trouble_member(sim, ROLLCALL_FAULT_UNREACH, ROLLCALL__MEMBER_UNREACHED, STALL_MAX_MS);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_MUTE)) {
        mute(sim);
    }
}

void rollcall__weather(struct rollcall_sim *sim)
{
    if (sim->faults.off || rollcall__net_links(sim->net) == 0) {
        return;
    }
    connections(sim);
    members(sim);
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_COMPACT)) {
        compact(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_REVOKE)) {
        revoke_a_lease(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_STRANGER)) {
        meddle(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_PAUSE)) {
        pause_a_process(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_SUSPEND)) {
        suspend(sim);
    }
    if (rollcall__fault(&sim->faults, ROLLCALL_FAULT_WALL)) {
        jump(sim);
    }
}

/* sim/calm.c - see calm.h. */
#include "sim/calm.h"

#include "sim/sim.h"

#include <string.h>

enum {
    ELECTION_MS = 2000, /* at most 1.6 s in the model, and a renewal that fell into it */
    ROUGH_MS = 10000    /* a message takes up to 8 s; actors are restarted within seconds */
};

/* The faults that a client cannot help, as far as they are not seen by what they do to members. */
static uint64_t rough_faults(const struct rollcall_sim *sim)
{
    static const enum rollcall_fault ROUGH[] = {
        ROLLCALL_FAULT_DELAY,          ROLLCALL_FAULT_LOSE_REQUEST,  ROLLCALL_FAULT_LOSE_ANSWER,
        ROLLCALL_FAULT_REPEAT_REQUEST, ROLLCALL_FAULT_REPEAT_ANSWER, ROLLCALL_FAULT_PAUSE,
        ROLLCALL_FAULT_SUSPEND,        ROLLCALL_FAULT_CRASH,         ROLLCALL_FAULT_FULL,
        ROLLCALL_FAULT_MEMORY,         ROLLCALL_FAULT_REVOKE,        ROLLCALL_FAULT_STRANGER};
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof ROUGH / sizeof ROUGH[0]; i++) {
        count += sim->faults.taken[ROUGH[i]];
    }
    return count;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void observe_faults(struct rollcall__calm *calm, const struct rollcall_sim *sim)
{
    const uint64_t rough = rough_faults(sim);
    if (rough == calm->rough_seen) {
        return;
    }
    calm->rough_seen = rough;
    calm->rough_until_ms = later(calm->rough_until_ms, sim->now_ms + ROUGH_MS);
    for (uint32_t i = 0; i < sim->rt.worker_count; i++) {
        if (!rollcall__sim_is_dead(sim, i / 2)) { /* who is dead is waited for by nobody */
            calm->rough_until_ms = later(calm->rough_until_ms, sim->frozen_until_ms[i] + ROUGH_MS);
        }
    }
}

/* Whoever is up reaches the leader, if there is one. */
static bool leads(const struct rollcall__net *net)
{
    bool up = false;
    for (uint32_t i = 0; i < rollcall__net_members(net); i++) {
        up |= rollcall__net_member_up(net, i);
    }
    return up && rollcall__model_leader(rollcall__net_model(net)) >= 0;
}

static void observe_leader(struct rollcall__calm *calm, const struct rollcall_sim *sim)
{
    const bool was_gone = calm->leaderless[0].to_ms == INT64_MAX;
    const bool is_gone = !leads(sim->net);
    if (is_gone && !was_gone) {
        memmove(&calm->leaderless[1], &calm->leaderless[0],
                sizeof calm->leaderless - sizeof calm->leaderless[0]);
        calm->leaderless[0].from_ms = sim->now_ms;
        calm->leaderless[0].to_ms = INT64_MAX;
    } else if (!is_gone && was_gone) {
        calm->leaderless[0].to_ms = sim->now_ms;
    }
}

void rollcall__calm_observe(struct rollcall__calm *calm, const struct rollcall_sim *sim)
{
    observe_faults(calm, sim);
    if (sim->net != NULL) {
        observe_leader(calm, sim);
    }
}

bool rollcall__calm_excuses(const struct rollcall__calm *calm, int64_t now_ms, int64_t ttl_ms)
{
    const int64_t since_ms = now_ms - ttl_ms;
    int64_t leaderless_ms = 0;
    for (size_t i = 0; i < ROLLCALL__CALM_INTERVALS; i++) {
        const int64_t to_ms =
            calm->leaderless[i].to_ms < now_ms ? calm->leaderless[i].to_ms : now_ms;
        const int64_t from_ms = later(calm->leaderless[i].from_ms, since_ms);
        leaderless_ms += to_ms > from_ms ? to_ms - from_ms : 0;
    }
    return calm->rough_until_ms > since_ms || leaderless_ms > ELECTION_MS;
}

int64_t rollcall__calm_since_ms(const struct rollcall__calm *calm, int64_t now_ms)
{
    const int64_t gone_ms =
        calm->leaderless[0].to_ms == INT64_MAX ? now_ms : calm->leaderless[0].to_ms;
    return later(calm->rough_until_ms, gone_ms);
}

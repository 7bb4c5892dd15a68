#include "scenarios/excuse.h"

#include "sim/sim.h"

bool scenario_allowed(struct rollcall_world *world, enum rollcall_status status, const char *call)
{
    const uint64_t *taken = rollcall_world_sim(world)->faults.taken;
    if (status != ROLLCALL_OK && !(status == ROLLCALL_E_FULL && taken[ROLLCALL_FAULT_FULL] != 0) &&
        !(status == ROLLCALL_E_NO_MEMORY && taken[ROLLCALL_FAULT_MEMORY] != 0) &&
        !(status == ROLLCALL_E_ACTOR && taken[ROLLCALL_FAULT_CRASH] != 0)) {
        rollcall_world_violate(world, "calls-are-answered", "%s answered %s", call,
                               rollcall_status_name(status));
    }
    return status == ROLLCALL_OK;
}

bool scenario_is_meddled(struct rollcall_world *world)
{
    const struct rollcall_sim *sim = rollcall_world_sim(world);
    return sim->faults.taken[ROLLCALL_FAULT_STRANGER] != 0 ||
           sim->faults.taken[ROLLCALL_FAULT_REVOKE] != 0 ||
           sim->faults.taken[ROLLCALL_FAULT_REPEAT_ANSWER] != 0 ||
           (sim->quirks & ROLLCALL__QUIRK_OLD_LEADER_REVOKES) != 0;
}

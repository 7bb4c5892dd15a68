/* sim/reach.c - see reach.h. */
#include "sim/reach.h"

#include "sim/net_internal.h"

/* The link for renewals: a process's first; NULL: it has not connected. */
static const struct rollcall__net_link *link_of(const struct rollcall__net *net, uint32_t process)
{
    for (uint32_t i = 0; i < net->link_count; i++) {
        if (net->links[i].process == process) {
            return &net->links[i];
        }
    }
    return NULL;
}

static bool can_answer(const struct rollcall__net *net, const struct rollcall__net_link *link,
                       uint32_t member)
{
    return rollcall__net_member_up(net, member) && rollcall__model_leader(net->model) >= 0 &&
           rollcall__sim_driver_knows(link->driver, member);
}

void rollcall__reach_observe(struct rollcall__reach *reach, const struct rollcall_sim *sim)
{
    const struct rollcall__net_link *link;
    for (uint32_t process = 0; sim->net != NULL && process < ROLLCALL__NET_PROCESSES_MAX;
         process++) {
        link = link_of(sim->net, process);
        for (uint32_t member = 0; link != NULL && member < sim->net->members; member++) {
            const bool can = can_answer(sim->net, link, member);
            const uint32_t moments = link->generations[member] + link->mutes[member] +
                                     (sim->net->auth.on ? sim->net->forgets[member] : 0);
            if (can && (!reach->of[process][member].could ||
                        moments != reach->of[process][member].moments)) {
                reach->of[process][member].since_ms = sim->now_ms;
            }
            reach->of[process][member].could = can;
            reach->of[process][member].moments = moments;
        }
    }
}

bool rollcall__reach_knows_all(const struct rollcall_sim *sim, uint32_t process)
{
    const struct rollcall__net_link *link = link_of(sim->net, process);
    bool all = link != NULL;
    for (uint32_t member = 0; all && member < sim->net->members; member++) {
        all = rollcall__sim_driver_knows(link->driver, member);
    }
    return all;
}

int64_t rollcall__reach_since_ms(const struct rollcall__reach *reach, uint32_t process)
{
    int64_t since_ms = INT64_MAX;
    for (uint32_t i = 0; i < ROLLCALL__MODEL_MEMBERS_MAX; i++) {
        if (reach->of[process][i].could && reach->of[process][i].since_ms < since_ms) {
            since_ms = reach->of[process][i].since_ms;
        }
    }
    return since_ms;
}

/* The public call of rollcall/testing.h that joins a simulation's etcd to the rest of the api. */
#include "api/connection.h"
#include "sim/sim.h"

#include <rollcall/testing.h>

#include <stdlib.h>

enum { CALL_TIMEOUT_MS = 5000 };

struct links {
    struct rollcall_sim *sim;
    uint32_t process;
    uint32_t control, bulk; /* numbers of links */
};

static enum rollcall_status close_links(void *below)
{
    struct links *links = below;
    rollcall__net_shut(links->sim->net, links->control);
    rollcall__net_shut(links->sim->net, links->bulk);
    free(links);
    return ROLLCALL_OK;
}

static enum rollcall_status check(struct rollcall_sim *sim, uint32_t process,
                                  struct rollcall_error *error)
{
    const uint32_t processes = sim->rt.worker_count / 2;
    if (process >= ROLLCALL__NET_PROCESSES_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "process %u cannot be connected: a simulation has %d, from 0 on",
                                  process, ROLLCALL__NET_PROCESSES_MAX);
    }
    if (process >= processes) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "process %u needs the workers %u and %u, and the simulation has "
                                  "%u: create it with more, at most 8",
                                  process, 2 * process, 2 * process + 1, sim->rt.worker_count);
    }
    if ((sim->connected & UINT32_C(1) << process) != 0) {
        return rollcall_error_set(error, ROLLCALL_E_BUSY,
                                  "process %u has been connected before: each may be once",
                                  process);
    }
    if (rollcall__sim_net(sim) == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "simulation: out of memory");
    }
    return ROLLCALL_OK;
}

static enum rollcall_status open_links(struct links *links, struct rollcall__transports *below,
                                       struct rollcall_error *error)
{
    struct rollcall__net *net = links->sim->net;
    const enum rollcall_status status = rollcall__net_open(
        net, links->process, below->control_worker, &below->control, &links->control, error);
    return status != ROLLCALL_OK ? status
                                 : rollcall__net_open(net, links->process, below->data_worker,
                                                      &below->bulk, &links->bulk, error);
}

enum rollcall_status rollcall_sim_connect(struct rollcall_sim *sim, uint32_t process,
                                          struct rollcall_etcd **etcd, struct rollcall_error *error)
{
    enum rollcall_status status = check(sim, process, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    struct links *links = calloc(1, sizeof *links);
    if (links == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "simulation: out of memory");
    }
    links->sim = sim;
    links->process = process;
    struct rollcall__transports below = {.control_worker = 2 * process,
                                         .data_worker = 2 * process + 1,
                                         .call_timeout_ms = CALL_TIMEOUT_MS,
                                         .endpoints = "the simulated etcd",
                                         .below = links,
                                         .close = close_links};
    status = open_links(links, &below, error);
    if (status == ROLLCALL_OK) {
        sim->connected |= UINT32_C(1) << process;
        status = rollcall__etcd_adopt(&sim->rt, &below, etcd, error);
    }
    if (status != ROLLCALL_OK) {
        free(links); /* what is open of it ends with the simulation */
    }
    return status;
}

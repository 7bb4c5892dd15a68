/* sim/transport.h - the transport actor of one simulated link: the port's messages to and from the
 * network.  Diagram: transport.c.  Threads: the simulation's. */
#ifndef SIM_TRANSPORT_H
#define SIM_TRANSPORT_H

#include "sim/net.h"
#include "transport/messages.h"

#define SIM_LIST(X)                                                                                \
    TRANSPORT_LIST(X)                                                                              \
    X(SIM_ANSWERED, sizeof(struct sim_answered))  /* from the network; object: transport_result */ \
    X(SIM_RENEWED, sizeof(struct sim_renewed))    /* from the network */                           \
    X(SIM_RESPONDED, sizeof(struct sim_answered)) /* from the network; object:                     \
                                                     transport_watch_response */                   \
    X(SIM_BROKEN, sizeof(struct sim_broken))      /* from the network: the connection is lost */   \
    X(SIM_DUE, 0)                                 /* timer: a deadline */
enum sim_transport_message {
    sim_transport_message_before_first = TRANSPORT_COUNT - 1,
    SIM_ANSWERED,
    SIM_RENEWED,
    SIM_RESPONDED,
    SIM_BROKEN,
    SIM_DUE,
    SIM_COUNT
};

struct sim_answered {
    uint64_t token;
};
struct sim_renewed {
    uint64_t token;
    int64_t ttl_s;
    enum rollcall_status status;
};
struct sim_broken {
    bool streams_only; /* calls go on */
};

extern const struct rollcall_actor_type rollcall__sim_transport_type;
ROLLCALL_MUST_USE enum rollcall_status
rollcall__sim_transport_spawn(struct rollcall_runtime *rt, uint32_t worker,
                              struct rollcall__net *net, uint32_t link,
                              struct rollcall_ref *transport, struct rollcall_error *error);

/* A response that ends a watch.  NULL: out of memory. */
struct transport_watch_response *rollcall__sim_watch_failed(enum rollcall_status status,
                                                            const char *text);

#endif /* SIM_TRANSPORT_H */

/*
 * sim/net.h - what lies between the processes of a simulation and its etcd: connections that delay,
 * lose and break, members that freeze and come back.
 *
 * Each process has links, one for each of its transport actors, and a link a connection to each
 * member.  What it carries takes its time; requests overtake each other, while what belongs to one
 * stream keeps its order.  A connection that breaks loses all that is on its way, and the link's
 * driver is told.
 *
 * Threads: one, the simulation's.  Only rollcall__net_run moves anything.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim/etcd_model.h"
#include "sim/fault.h"

#include <rollcall/runtime.h>

enum { ROLLCALL__NET_PROCESSES_MAX = 4, ROLLCALL__NET_LINKS_MAX = 2 * ROLLCALL__NET_PROCESSES_MAX };

struct rollcall__net;
struct rollcall_sim;

struct rollcall__net_options {
    struct rollcall_sim *sim; /* borrowed, like its faults */
    struct rollcall__faults *faults;
    uint64_t seed;
    uint32_t members, quirks;
    bool authentication; /* a user is wanted */
    bool sync_members;
};
/* NULL: out of memory.  Called once the simulation's runtime stands. */
struct rollcall__net *rollcall__net_create(const struct rollcall__net_options *options);
/* After the last link; before the simulation's actors end. */
void rollcall__net_close(struct rollcall__net *net);
/* After the simulation's actors: what they hold views the model. */
void rollcall__net_destroy(struct rollcall__net *net);

/* Opens a link of `process` and spawns its transport actor on `worker`; *link: its number. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__net_open(struct rollcall__net *net, uint32_t process, uint32_t worker,
                   struct rollcall_ref *transport, uint32_t *link, struct rollcall_error *error);

/* Ends the link's actor; nothing comes from it, or to it, any more. */
void rollcall__net_shut(struct rollcall__net *net, uint32_t link);

/* When something will happen; INT64_MAX: nothing. */
int64_t rollcall__net_next_ms(const struct rollcall__net *net);
/* Does one thing that is due. */
void rollcall__net_run(struct rollcall__net *net);

/* Every member is up again, and what reached one that was frozen goes on. */
void rollcall__net_heal(struct rollcall__net *net);
struct rollcall__model *rollcall__net_model(const struct rollcall__net *net);
/* How many renewals have been sent to members, ever; and how many streams are open. */
uint64_t rollcall__net_renewals(const struct rollcall__net *net);
uint64_t rollcall__net_renewals_to(const struct rollcall__net *net, uint32_t member);
uint32_t rollcall__net_streams(const struct rollcall__net *net);
uint32_t rollcall__net_streams_to(const struct rollcall__net *net, uint32_t member);
uint64_t rollcall__net_asks(const struct rollcall__net *net); /* calls, ever */

/* ---- what a driver does; token: its own number for what it asks; pass: as from
 * rollcall__sim_driver_admitted, 0: none ---- */

/* request: kept; NULL: for a pass.  timeout_ms: when rollcall__sim_driver_expired comes, if no
 * answer has. */
void rollcall__net_ask(struct rollcall__net *net, uint32_t link, uint32_t member, uint64_t token,
                       const struct transport_request *request, uint64_t pass, int64_t timeout_ms);
/* window: responses that are not credited yet. */
void rollcall__net_stream_open(struct rollcall__net *net, uint32_t link, uint32_t member,
                               uint64_t token, uint64_t pass, uint32_t window);
uint64_t rollcall__net_passes(const struct rollcall__net *net); /* given so far */
bool rollcall__net_authenticates(const struct rollcall__net *net);
/* Processes know one member, and learn of the others from it. */
bool rollcall__net_syncs(const struct rollcall__net *net);
void rollcall__net_renew(struct rollcall__net *net, uint32_t link, uint64_t token,
                         int64_t lease_id);
/* range: kept. */
void rollcall__net_watch(struct rollcall__net *net, uint32_t link, uint64_t token,
                         const struct transport_range *range);
void rollcall__net_credit(struct rollcall__net *net, uint32_t link, uint64_t token);
void rollcall__net_stream_close(struct rollcall__net *net, uint32_t link, uint64_t token);
bool rollcall__net_member_refuses(const struct rollcall__net *net, uint32_t member);
void rollcall__net_post(struct rollcall__net *net, struct rollcall_caller to, uint16_t type,
                        const void *payload, size_t size_bytes, struct rollcall_object *object);

/* ---- faults (sim/weather.c) ---- */

uint32_t rollcall__net_links(const struct rollcall__net *net);
uint32_t rollcall__net_members(const struct rollcall__net *net);
/* Breaks a link's connections to a member. */
void rollcall__net_cut(struct rollcall__net *net, uint32_t link, uint32_t member);
/* Nobody is given a pass any more: the password is another. */
void rollcall__net_deny_passes(struct rollcall__net *net);
/* Whoever renews this lease may not, and its stream ends, as with keys that the user may not
 * write. */
void rollcall__net_deny_lease(struct rollcall__net *net, int64_t lease_id);
/* Breaks all connections of a process: what is on its way either way is lost. */
void rollcall__net_cut_process(struct rollcall__net *net, uint32_t process);
/* A member forgets every pass. */
void rollcall__net_forget_passes(struct rollcall__net *net, uint32_t member);
/* What the link's streams of renewals are sent is not answered until then, as when something on the
 * way has forgotten their connections; new ones are. */
void rollcall__net_mute(struct rollcall__net *net, uint32_t link, int64_t until_ms);
bool rollcall__net_member_up(const struct rollcall__net *net, uint32_t member);
void rollcall__net_set_member(struct rollcall__net *net, uint32_t member,
                              enum rollcall__member_state state, int64_t until_ms);
/* Looks at every opportunity that there is at any moment: members, connections, clocks. */
void rollcall__weather(struct rollcall_sim *sim);

#endif /* SIM_NET_H */

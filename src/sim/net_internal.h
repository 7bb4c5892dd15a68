/*
 * sim/net_internal.h - the network's own state: net.c has its connections and members, net_stream.c
 * its streams.  Threads: the simulation's.
 */
#ifndef SIM_NET_INTERNAL_H
#define SIM_NET_INTERNAL_H

#include "base/random.h"
#include "sim/auth.h"
#include "sim/driver.h"
#include "sim/flight.h"
#include "sim/sim.h"

enum { ROLLCALL__NET_STREAMS_MAX = 512 };

/* As far as the network and the member know of it. */
struct rollcall__net_stream {
    uint32_t link, member;
    uint64_t token, pass;
    int64_t asked_ms, answered_ms; /* when the last one arrives, each way: none overtakes it */
    /* A watch: */
    struct rollcall__model_watch *watch; /* NULL: it has not reached its member */
    uint32_t window, outstanding;        /* responses on their way or not credited */
    bool wide;                           /* of more than one key */
    bool in_fragments;                   /* the rest of a response is to come */
    int64_t deaf_until_ms;               /* what changes until then it is never told */
    /* Renewals: those of a follower whose leader froze wait for that one alone. */
    int64_t stuck_until_ms; /* INT64_MAX: it is not */
    uint32_t stuck_leader;
    bool renews;           /* has carried one */
    int64_t mute_until_ms; /* what it is sent waits; INT64_MAX: it does not */
};

struct rollcall__net_link {
    struct rollcall_ref actor;
    struct rollcall__sim_driver *driver;
    uint32_t process;
    uint32_t generations[ROLLCALL__MODEL_MEMBERS_MAX]; /* of the connections; what belongs to an
                                                          older one is lost */
    uint32_t mutes[ROLLCALL__MODEL_MEMBERS_MAX];       /* of its streams, ever */
};

struct rollcall__net {
    struct rollcall_sim *sim;
    struct rollcall__faults *faults;
    struct rollcall__random random; /* latencies */
    struct rollcall__model *model;
    struct rollcall__sim_auth auth;
    bool sync_members;
    bool old; /* before 3.4.42: renewals are not asked for a pass */
    struct rollcall__port *port;
    uint32_t members, link_count;
    struct rollcall__net_link links[ROLLCALL__NET_LINKS_MAX];
    struct rollcall__net_stream streams[ROLLCALL__NET_STREAMS_MAX];
    uint32_t stream_count;
    uint64_t renewals_to[ROLLCALL__MODEL_MEMBERS_MAX];
    uint32_t forgets[ROLLCALL__MODEL_MEMBERS_MAX]; /* of passes */
    uint64_t asks;
    uint64_t renewals;                /* sent, ever */
    int64_t denied_lease;             /* 0: none */
    struct rollcall__flights flights; /* what is on its way */
    struct rollcall__flight *held;    /* what has reached a member that is frozen */
    size_t held_count, held_capacity;
    int64_t weather_ms;
    bool pump; /* a watch may go on: its window has opened */
    enum rollcall__member_state states[ROLLCALL__MODEL_MEMBERS_MAX];
    int64_t until_ms[ROLLCALL__MODEL_MEMBERS_MAX]; /* when that state ends; INT64_MAX: never */
};

/* ---- net.c ---- */

/* Sends something on its link's connection to its member; object: moved. */
void rollcall__net_send(struct rollcall__net *net, struct rollcall__flight event, int64_t at_ms);
/* One way through the network. */
int64_t rollcall__net_latency_ms(struct rollcall__net *net);
enum { ROLLCALL__NET_REFUSED_MS = 1 }; /* what a member that is down takes to refuse */

/* ---- net_stream.c ---- */

struct rollcall__net_stream *rollcall__net_stream_find(struct rollcall__net *net, uint32_t link,
                                                       uint64_t token);
/* A renewal, or the range of a watch (borrowed), arrives at its member; false: it waits there. */
bool rollcall__net_stream_arrive(struct rollcall__net *net, struct rollcall__net_stream *stream,
                                 const struct rollcall__flight *event);
/* Whoever is mute for long enough is not any more; false: nobody was.  now_ms INT64_MAX: all. */
bool rollcall__net_unmute(struct rollcall__net *net, int64_t now_ms);
void rollcall__net_pump_watches(struct rollcall__net *net);

#endif /* SIM_NET_INTERNAL_H */

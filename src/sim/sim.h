/* sim/sim.h - the simulation itself, as its other parts see it.  Threads: the one that owns it. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "runtime/runtime_internal.h"
#include "sim/calm.h"
#include "sim/fault.h"
#include "sim/net.h"
#include "sim/reach.h"

struct rollcall_sim {
    struct rollcall_runtime rt;
    int64_t now_ms;
    int64_t wall_offset_ms;
    struct rollcall__random random;
    uint64_t seed, steps;
    int64_t frozen_until_ms[ROLLCALL__WORKERS_MAX]; /* a worker that is not played until then;
                                                       INT64_MAX: its process is dead */
    struct rollcall__worker *playing;               /* whose turn it is; NULL between steps */
    /* Bit s of a worker's: source s may have a cell in its lanes.  No other lane is looked at. */
    uint32_t mail[ROLLCALL__WORKERS_MAX];
    struct rollcall__faults faults;
    struct rollcall__calm calm;
    struct rollcall__reach reach;
    struct rollcall__net *net; /* NULL: nobody has connected */
    uint32_t members, quirks;
    bool authentication, sync_members;
    bool outages;              /* members are in trouble for seconds, */
    bool one_outage;           /* and one at a time */
    uint32_t connected;        /* a bit for each process */
    const char *const *mortal; /* NULL-ended: the types of actors that may crash; NULL: none */
    /* What is to be looked at; NULL: nothing. */
    void *watcher;
    void (*after_step)(void *watcher);
    void (*before_clock)(void *watcher); /* nothing is ready, and the clock will move */
    void (*on_broken)(void *watcher, const char *sentence); /* a broken contract; must not return */
    bool halted; /* nothing happens any more: a check has failed */
};

/* The workers of one process do nothing until then, and their clocks go on. */
void rollcall__sim_freeze(struct rollcall_sim *sim, uint32_t process, int64_t until_ms);
/* The process dies, without a farewell: nothing of it runs ever again.  What it has sent is on its
 * way still, and what it is sent goes nowhere. */
void rollcall__sim_kill(struct rollcall_sim *sim, uint32_t process);
bool rollcall__sim_is_dead(const struct rollcall_sim *sim, uint32_t process);
/* For the end of a run, when all is checked: it runs again, to give back what it holds. */
void rollcall__sim_raise(struct rollcall_sim *sim, uint32_t process);
/* When something comes next; INT64_MAX: nothing does. */
int64_t rollcall__sim_next_ms(const struct rollcall_sim *sim);
/* Nothing is ready: moves the clock, unless that is a reason to halt. */
void rollcall__sim_move_clock(struct rollcall_sim *sim, int64_t to_ms);
/* Its etcd; made when it is first asked for.  NULL: out of memory. */
struct rollcall__net *rollcall__sim_net(struct rollcall_sim *sim);

#endif /* SIM_SIM_H */

/*
 * sim/reach.h - since when each process could have had an answer from each member of etcd.
 *
 * A member can answer a process when it is up, has a leader, is reached by the process, and is one
 * of its endpoints.  A connection that breaks, a stream that goes mute, and a token that is
 * forgotten are moments: from then on a new one will do.  So whoever has asked member after member
 * for long enough, while some member could answer, has been answered.
 *
 * Threads: the simulation's.
 */
#ifndef SIM_REACH_H
#define SIM_REACH_H

#include "sim/net.h"

struct rollcall_sim;

/* Zero: nobody has connected. */
struct rollcall__reach {
    struct {
        bool could;
        int64_t since_ms;
        uint32_t moments; /* of those, so far */
    } of[ROLLCALL__NET_PROCESSES_MAX][ROLLCALL__MODEL_MEMBERS_MAX];
};

/* Looks at what there is; whenever the clock is about to move. */
void rollcall__reach_observe(struct rollcall__reach *reach, const struct rollcall_sim *sim);
/* It has learned of every member. */
bool rollcall__reach_knows_all(const struct rollcall_sim *sim, uint32_t process);
/* Since when some member could have answered the process's renewals; INT64_MAX: none can. */
int64_t rollcall__reach_since_ms(const struct rollcall__reach *reach, uint32_t process);

#endif /* SIM_REACH_H */

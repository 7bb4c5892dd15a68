/* scenarios/estate_internal.h - what the files of the estate know of each other. */
#ifndef SCENARIOS_ESTATE_INTERNAL_H
#define SCENARIOS_ESTATE_INTERNAL_H

#include "scenarios/estate.h"

#include "sim/sim.h"

#define ROOT "by-dev/meta"
#define COORDINATOR "rootcoord" /* the role that is stood for */
#define ACTIVE_KEY ROOT "/session/" COORDINATOR

static inline struct rollcall_sim *sim_of(const struct estate *estate)
{
    return rollcall_world_sim(estate->world);
}

static inline int64_t now_ms(const struct estate *estate)
{
    return sim_of(estate)->now_ms;
}

static inline bool is_dead(const struct estate *estate, uint32_t owner)
{
    return estate->owners[owner].died_ms != INT64_MAX;
}

/* One that a process that runs has open. */
static inline bool is_live(const struct estate_holder *holder)
{
    return holder->session != NULL && !is_dead(holder->estate, holder->owner);
}

/* ---- estate_sentinel.c ---- */

/* Another for that owner, who is without one for delay_ms first. */
void estate_sentinel_start(struct estate *estate, uint32_t owner, int64_t delay_ms);
/* It crashes; if its owner lives, that one starts another. */
void estate_sentinel_kill(struct estate *estate, struct estate_sentinel *sentinel);
/* Something has changed that those of this owner see; also told again what could not be told. */
void estate_sentinels_look(struct estate *estate, uint32_t owner);
void estate_sentinels_look_again(struct estate *estate);

/* ---- estate_checks.c ---- */

/* That this sentinel is about to revoke. */
void estate_check_verdict(const struct estate *estate, const struct estate_sentinel *sentinel);
void estate_check_revocation(const struct estate *estate, const struct estate_sentinel *sentinel,
                             int64_t lease_id);
/* After a step. */
void estate_check_step(struct estate *estate);
/* A minute after the last fault, and once more a second after all is closed. */
void estate_check_sentinels(const struct estate *estate);
/* A minute after the last fault. */
void estate_check_end(struct estate *estate);

#endif /* SCENARIOS_ESTATE_INTERNAL_H */

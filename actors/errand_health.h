/* actors/errand_health.h - the errand's part that asks an etcd how it is: which requests, in which
 * order, and what is made of the answers.  Pure; the errand sends them. */
#ifndef ACTORS_ERRAND_HEALTH_H
#define ACTORS_ERRAND_HEALTH_H

#include "actors/errand.h"

/* The first are for the latency: one of them opens the connection. */
enum errand_health_step {
    ERRAND_HEALTH_STATUS_FIRST = 0,
    ERRAND_HEALTH_STATUS_LAST = 2,
    ERRAND_HEALTH_MEMBERS,
    ERRAND_HEALTH_ALARMS,
    ERRAND_HEALTH_READ,
    ERRAND_HEALTH_STEPS
};

/* Nothing is known yet, and why. */
void errand_health_init(struct rollcall_health *health);
/* With one reference; NULL: out of memory. */
struct transport_request *errand_health_request(const struct errand_config *config, int step);
/* result: of that step; for a STATUS: a success. */
void errand_health_note(struct rollcall_health *health, int step,
                        const struct transport_result *result, int64_t took_ms);

#endif /* ACTORS_ERRAND_HEALTH_H */

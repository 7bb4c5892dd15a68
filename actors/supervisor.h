/*
 * actors/supervisor.h - the messages and options of the supervisor actor.  Diagram: supervisor.c.
 *
 * Children are not in the options: whoever spawns an actor with .supervisor set puts it under one,
 * and the ADOPT signal tells it.
 */
#ifndef ACTORS_SUPERVISOR_H
#define ACTORS_SUPERVISOR_H

#include <rollcall/actor.h>

#define SUPERVISOR_LIST(X) X(SUPERVISOR_RESTART, 0) /* timer: the earliest backoff is over */
ROLLCALL_MESSAGES(supervisor_message, SUPERVISOR_LIST, SUPERVISOR_COUNT);

enum supervisor_strategy {
    SUPERVISOR_ONE_FOR_ONE, /* restarts the child that failed */
    SUPERVISOR_REST_FOR_ONE /* and all that were adopted after it, for they build on it */
};

struct supervisor_options {
    enum supervisor_strategy strategy;
    uint32_t intensity;     /* 0: 5; failures within period_ms that it takes before it fails too */
    int64_t period_ms;      /* 0: 30'000 */
    int64_t backoff_min_ms; /* 0: 100 */
    int64_t backoff_max_ms; /* 0: 1'000 */
    int64_t
        reset_after_ms; /* 0: 10'000; a child that ran for so long starts at the minimum again */
};

extern const struct rollcall_actor_type supervisor_type;

#endif /* ACTORS_SUPERVISOR_H */

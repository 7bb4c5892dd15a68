/* scenarios/gang.h - actors that crash, their supervisor, and who looks on.  Threads: the
 * simulation's. */
#ifndef SCENARIOS_GANG_H
#define SCENARIOS_GANG_H

#include <rollcall/testing.h>

enum { GANG_HANDS = 3, GANG_FAILURES_MAX = 256 };

struct gang {
    struct rollcall_world *world;
    struct rollcall_ref foreman;
    struct rollcall_ref supervisor, hands[GANG_HANDS];
    bool rest_for_one;
    int64_t failed_ms[GANG_HANDS];          /* when one failed last; 0: never */
    int64_t failures_ms[GANG_FAILURES_MAX]; /* of all of them */
    size_t failures;
    uint32_t escalations;
    int64_t escalated_ms;
    bool running[GANG_HANDS];
};

void gang_begin(struct rollcall_world *world, void *state);
void gang_end(struct rollcall_world *world, void *state);

#endif /* SCENARIOS_GANG_H */

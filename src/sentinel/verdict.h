/*
 * sentinel/verdict.h - what a sentinel concludes from what it sees: whether it is to revoke, what,
 * and for how long it tries.  Pure, but for reading the ledger: the program plays it on files and
 * clocks, the simulator on its own.
 *
 *    ATTENDING --the owner lets go--> LINGERING --a TTL--> DISMISSED
 *    ATTENDING, LINGERING --the owner is dead--> MOURNING, while a companion lives; else DEAD
 *    MOURNING --the companion is dead--> DEAD
 *    MOURNING --a TTL--> DISMISSED
 *
 * Threads: one.
 */
#ifndef SENTINEL_VERDICT_H
#define SENTINEL_VERDICT_H

#include "sentinel/ledger.h"

enum rollcall__verdict {
    ROLLCALL__VERDICT_WAIT,
    ROLLCALL__VERDICT_DEAD,     /* the owner, and its companion: what it held is to be revoked */
    ROLLCALL__VERDICT_DISMISSED /* the owner lives and holds nothing, or has let go of us for a
                                   whole TTL; or a companion outlived it for as long, or could do so
                                   unseen */
};

/* What is seen at one instant. */
struct rollcall__sight {
    bool owner_dead;
    bool let_go;       /* nothing will ever come from the owner any more */
    int64_t companion; /* the number of the last that was handed over; 0: none was.  Once the owner
                          is dead: all that it ever handed over has been taken */
    bool companion_dead;
};

/* Zero: ATTENDING. */
struct rollcall__judgement {
    enum { ROLLCALL__ATTENDING, ROLLCALL__LINGERING, ROLLCALL__MOURNING } phase;
    int64_t until_ms; /* WAIT: when to look again though nothing has changed; ATTENDING: never */
};

/* To be asked whenever something has changed, and at until_ms.  now_ms: not before what is seen. */
enum rollcall__verdict rollcall__judge(struct rollcall__judgement *judgement,
                                       const struct rollcall__sight *sight,
                                       const struct rollcall__ledger_view *view, int64_t now_ms);

struct rollcall__revocation {
    int64_t lease_id; /* whosever it is; one that is gone is done */
    int64_t timeout_ms;
};
/* dead_ms: when the verdict was. */
struct rollcall__revocation rollcall__revocation_of(const struct rollcall__held_lease *lease,
                                                    int64_t dead_ms, int64_t now_ms);

#endif /* SENTINEL_VERDICT_H */

#include "sentinel/verdict.h"

enum {
    MS_PER_S = 1000,
    DAY_MS = 24 * 3600 * 1000, /* what one request may take, as any; and nobody waits for longer */
    LEAST_MS = 1000
};

static int64_t ttl_ms(int64_t ttl_s)
{
    return ttl_s >= DAY_MS / MS_PER_S ? DAY_MS : ttl_s * MS_PER_S;
}

static void enter(struct rollcall__judgement *judgement, int phase,
                  const struct rollcall__ledger_view *view, int64_t now_ms)
{
    judgement->phase = phase;
    judgement->until_ms = now_ms + ttl_ms(rollcall__ledger_longest_ttl_s(view));
}

/* The owner is dead, and so is the ledger: nobody writes into it any more. */
static enum rollcall__verdict mourn(const struct rollcall__judgement *judgement,
                                    const struct rollcall__sight *sight,
                                    const struct rollcall__ledger_view *view, int64_t now_ms)
{
    const int64_t number = rollcall__ledger_companion_now(view);
    if (number == 0) {
        return ROLLCALL__VERDICT_DEAD;
    }
    if (sight->companion != number) {
        return ROLLCALL__VERDICT_DISMISSED; /* whoever that is, we cannot see it end */
    }
    if (sight->companion_dead) {
        return ROLLCALL__VERDICT_DEAD;
    }
    return now_ms >= judgement->until_ms ? ROLLCALL__VERDICT_DISMISSED : ROLLCALL__VERDICT_WAIT;
}

/* An owner that has let go of us and lives: if it has closed the connection in good order, nothing
 * is held.  If it has closed its files and goes on, a crash is looked out for until it can have
 * noticed and started another of us; if it has become another program, nobody renews its leases. */
enum rollcall__verdict rollcall__judge(struct rollcall__judgement *judgement,
                                       const struct rollcall__sight *sight,
                                       const struct rollcall__ledger_view *view, int64_t now_ms)
{
    if (sight->owner_dead && judgement->phase != ROLLCALL__MOURNING) {
        enter(judgement, ROLLCALL__MOURNING, view, now_ms);
    } else if (sight->let_go && judgement->phase == ROLLCALL__ATTENDING) {
        enter(judgement, ROLLCALL__LINGERING, view, now_ms);
    }
    switch (judgement->phase) {
    case ROLLCALL__MOURNING:
        return mourn(judgement, sight, view, now_ms);
    case ROLLCALL__LINGERING:
        return now_ms >= judgement->until_ms ? ROLLCALL__VERDICT_DISMISSED : ROLLCALL__VERDICT_WAIT;
    case ROLLCALL__ATTENDING:
        break;
    }
    judgement->until_ms = INT64_MAX;
    return ROLLCALL__VERDICT_WAIT;
}

/* As long as the lease can live without us: who leads etcd next gives each its whole TTL anew. */
struct rollcall__revocation rollcall__revocation_of(const struct rollcall__held_lease *lease,
                                                    int64_t dead_ms, int64_t now_ms)
{
    const int64_t most_ms = 2 * ttl_ms(lease->ttl_s);
    const int64_t left_ms = dead_ms + (most_ms < DAY_MS ? most_ms : DAY_MS) - now_ms;
    return (struct rollcall__revocation){.lease_id = lease->lease_id,
                                         .timeout_ms = left_ms > LEAST_MS ? left_ms : LEAST_MS};
}

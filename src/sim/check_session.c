#include "sim/check.h"

#include "base/buffer.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- the order of states ---- */

enum {
    REGISTERING = 1 << ROLLCALL_SESSION_REGISTERING,
    ACTIVE = 1 << ROLLCALL_SESSION_ACTIVE,
    SUSPECT = 1 << ROLLCALL_SESSION_SUSPECT,
    LOST = 1 << ROLLCALL_SESSION_LOST,
    STOPPING = 1 << ROLLCALL_SESSION_STOPPING,
    STOPPED = 1 << ROLLCALL_SESSION_STOPPED,
    FAILED = 1 << ROLLCALL_SESSION_FAILED
};

/* The arrows of session.h.  An event that found no room may be told by the next one alone, but for
 * LOST: so what can be skipped is skipped here, too. */
static const int NEXT[] = {
    [ROLLCALL_SESSION_REGISTERING] = ACTIVE | SUSPECT | LOST | STOPPING | STOPPED | FAILED,
    [ROLLCALL_SESSION_ACTIVE] = ACTIVE | SUSPECT | LOST | STOPPING | STOPPED,
    [ROLLCALL_SESSION_SUSPECT] = ACTIVE | SUSPECT | LOST | STOPPING | STOPPED,
    [ROLLCALL_SESSION_LOST] = REGISTERING | ACTIVE | SUSPECT | LOST | STOPPING | STOPPED | FAILED,
    [ROLLCALL_SESSION_STOPPING] = STOPPED,
    [ROLLCALL_SESSION_STOPPED] = 0,
    [ROLLCALL_SESSION_FAILED] = 0,
};

static void check_order(struct rollcall__session_check *check, enum rollcall_session_state next)
{
    const enum rollcall_session_state before =
        check->told ? check->state : ROLLCALL_SESSION_REGISTERING;
    const bool begins = !check->told && next == ROLLCALL_SESSION_REGISTERING;
    if (!begins && (NEXT[before] & (1 << next)) == 0) {
        rollcall_world_violate(check->world, "order-of-states", "%s: %s was told after %s",
                               check->key, rollcall_session_state_name(next),
                               rollcall_session_state_name(before));
    }
}

enum {
    LONG_MS = 5000,     /* a TTL with room for an election, a token and two rounds of renewals */
    LATE_MS = 1000,     /* two requests without trouble take less than a tenth of that */
    MARGIN_MIN_MS = 100 /* keepalive's, or TTL/50 */
};

/* NULL: it has never been granted. */
static const struct rollcall__model_lease *model_lease(const struct rollcall__session_check *check,
                                                       int64_t lease_id)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    return sim->net == NULL ? NULL : rollcall__model_lease(rollcall__net_model(sim->net), lease_id);
}

/* A grant that was late may have made it anew since, with nobody who knows of it. */
static bool has_ended(const struct rollcall__session_check *check, int64_t lease_id)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const struct rollcall__model_lease *leases;
    const size_t count = rollcall__model_leases(rollcall__net_model(sim->net), &leases);
    for (size_t i = 0; i < count; i++) {
        if (leases[i].lease_id == lease_id && leases[i].ended_ms != INT64_MAX) {
            return true;
        }
    }
    return false;
}

static void check_loss(struct rollcall__session_check *check,
                       const struct rollcall_session_info *info)
{
    if (info->create_revision != 0 && info->create_revision == check->lost_create_revision) {
        rollcall_world_violate(check->world, "one-loss-one-word",
                               "%s: LOST was told twice of create revision %" PRId64, check->key,
                               info->create_revision);
    }
    const struct rollcall__model_lease *lease = model_lease(check, info->lease_id);
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const bool meddled =
        sim->faults.taken[ROLLCALL_FAULT_STRANGER] != 0; /* with a dying lease's key */
    if (info->loss == ROLLCALL_LOSS_LEASE && !meddled && lease != NULL &&
        !has_ended(check, info->lease_id)) {
        rollcall_world_violate(check->world, "lost-is-lost",
                               "%s: its lease %" PRIx64 " was told as lost, and etcd has it",
                               check->key, info->lease_id);
    }
    if (info->loss == ROLLCALL_LOSS_LEASE && lease != NULL && lease->revoked && !meddled &&
        !check->evicted && sim->faults.taken[ROLLCALL_FAULT_REVOKE] == 0 &&
        (sim->quirks & ROLLCALL__QUIRK_OLD_LEADER_REVOKES) == 0) {
        rollcall_world_violate(check->world, "nobody-takes-it-away",
                               "%s: its lease %" PRIx64 " was revoked, by one of us", check->key,
                               info->lease_id);
    }
    check->lost_create_revision = info->create_revision;
}

static void note_registration(struct rollcall__session_check *check,
                              const struct rollcall_session_info *info)
{
    const bool member =
        info->state == ROLLCALL_SESSION_ACTIVE || info->state == ROLLCALL_SESSION_SUSPECT;
    if (info->create_revision == 0) {
        return; /* it has not registered yet */
    }
    if (info->create_revision < check->create_revision ||
        (member && info->create_revision == check->lost_create_revision)) {
        rollcall_world_violate(check->world, "tokens-rise",
                               "%s: create revision %" PRId64 " came after %" PRId64, info->key,
                               info->create_revision, check->create_revision);
    }
    check->create_revision = info->create_revision;
    snprintf(check->key, sizeof check->key, "%s", info->key);
}

/* When that renewal was sent, or the grant, from which it is counted now. */
static int64_t counted_from_ms(const struct rollcall_session_info *info)
{
    const int64_t ttl_ms = info->ttl_s * 1000;
    const int64_t margin_ms = ttl_ms / 50 > MARGIN_MIN_MS ? ttl_ms / 50 : MARGIN_MIN_MS;
    return info->safe_until_ms + margin_ms - ttl_ms;
}

/* Registering took so long that there was no time left to renew the lease before its first TTL was
 * over: it has not been since. */
static bool came_late(const struct rollcall__session_check *check,
                      const struct rollcall_session_info *info)
{
    const int64_t now_ms = rollcall_sim_now_ms(rollcall_world_sim(check->world));
    const int64_t member_ms = check->lease_id == info->lease_id ? check->member_ms : now_ms;
    return now_ms < member_ms + info->ttl_s * 1000 && member_ms > counted_from_ms(info) + LATE_MS;
}

/* SUSPECT: with another member of three up and a leader, a lease of 5 s has not run out; but for a
 * process that knows one member alone, and has not been told of the others yet. */
static void check_suspect(struct rollcall__session_check *check,
                          const struct rollcall_session_info *info)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    check->ttl_ms = info->ttl_s * 1000;
    check->suspect_ms = check->state == ROLLCALL_SESSION_SUSPECT ? check->suspect_ms : sim->now_ms;
    if (check->ttl_ms >= LONG_MS && rollcall__reach_knows_all(sim, check->process) &&
        !came_late(check, info) &&
        !rollcall__calm_excuses(&sim->calm, sim->now_ms, check->ttl_ms)) {
        rollcall_world_violate(check->world, "suspect-has-a-cause",
                               "%s is told SUSPECT at %" PRId64 " ms, and could have been renewed",
                               info->key, sim->now_ms);
    }
}

void rollcall__check_session_event(struct rollcall__session_check *check,
                                   const struct rollcall_session_event *event)
{
    if (check->closed) {
        rollcall_world_violate(check->world, "nothing-after-close", "%s: %s was told after close",
                               check->key, rollcall_session_state_name(event->state));
    }
    note_registration(check, &event->info);
    check_order(check, event->state);
    if (event->state == ROLLCALL_SESSION_LOST) {
        check_loss(check, &event->info);
    } else if (event->state == ROLLCALL_SESSION_SUSPECT) {
        check_suspect(check, &event->info);
    }
    if (event->state == ROLLCALL_SESSION_ACTIVE || event->state == ROLLCALL_SESSION_SUSPECT) {
        check->member_ms = check->lease_id == event->info.lease_id
                               ? check->member_ms
                               : rollcall_sim_now_ms(rollcall_world_sim(check->world));
        check->lease_id = event->info.lease_id;
    } else if (event->state != ROLLCALL_SESSION_STOPPING &&
               event->state != ROLLCALL_SESSION_STOPPED) {
        check->lease_id = 0; /* what became of that one is not this session's to answer for */
    }
    check->told = true;
    check->status = event->status;
    check->state = event->state;
}

void rollcall__check_session_restarted(struct rollcall__session_check *check)
{
    check->told = false;
}

/* ---- the lease ---- */

enum {
    RETELL_MS = 3000,   /* how long an event may wait for which there was no room or memory */
    RECOVERY_MS = 2500, /* a stream that hangs is given up after 2 s */
    HEDGE_MIN_MS = 100, /* the transport's, or TTL/12 */
    HEDGE_MAX_MS = 400,
    AGAIN_MS = 1000, /* between two tries of a renewal at one member */
    TOKEN_MS = 1500, /* three members, each given half a second */
    NETWORK_MS = 100 /* there and back, without a fault */
};

static const struct rollcall__model_lease *lease_of(const struct rollcall__session_check *check)
{
    return model_lease(check, check->lease_id);
}

/* One that is SUSPECT, though all has been well for a while. */
static void check_recovery(const struct rollcall__session_check *check)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const int64_t calm_ms = rollcall__calm_since_ms(&sim->calm, sim->now_ms);
    const int64_t could_ms = rollcall__reach_since_ms(&sim->reach, check->process);
    int64_t since_ms = calm_ms > check->suspect_ms ? calm_ms : check->suspect_ms;
    since_ms = since_ms > could_ms ? since_ms : could_ms;
    if (!check->closed && check->told && check->state == ROLLCALL_SESSION_SUSPECT &&
        could_ms != INT64_MAX && sim->now_ms > since_ms + RECOVERY_MS) {
        rollcall_world_violate(check->world, "suspect-ends",
                               "%s has been SUSPECT since %" PRId64
                               " ms, and nothing has been wrong since %" PRId64,
                               check->key, check->suspect_ms, since_ms);
    }
}

void rollcall__check_session_at_rest(struct rollcall__session_check *check)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const struct rollcall__model_lease *lease;
    check_recovery(check);
    if (check->closed || !check->told || check->state != ROLLCALL_SESSION_ACTIVE ||
        sim->frozen_until_ms[2 * check->process] > sim->now_ms ||
        (lease = lease_of(check)) == NULL) {
        return;
    }
    const int64_t end_ms =
        lease->ended_ms < lease->expires_ms ? lease->ended_ms : lease->expires_ms;
    const int64_t awake_ms = sim->frozen_until_ms[2 * check->process];
    const uint64_t *taken = sim->faults.taken;
    const bool waits = taken[ROLLCALL_FAULT_FULL] != 0 || taken[ROLLCALL_FAULT_MEMORY] != 0;
    const int64_t grace_ms = waits ? RETELL_MS : 0;
    /* One that is revoked ends without warning; all others are counted. */
    if (!lease->revoked && (end_ms > awake_ms ? end_ms : awake_ms) + grace_ms <= sim->now_ms) {
        rollcall_world_violate(check->world, "alive-implies-lease",
                               "%s is told ACTIVE at %" PRId64
                               " ms, and its lease ran out at %" PRId64,
                               check->key, sim->now_ms, end_ms);
    }
}

/* How long a renewal may take to come by the one member that answers.  It is asked of each in turn,
 * a hedge apart, and then of each once a second; a pause of one that has refused is over by its
 * turn; and there is the way there and back.  Before all that a token may be needed. */
static int64_t hedged_ms(const struct rollcall__net *net, int64_t ttl_ms)
{
    const int64_t twelfth_ms = ttl_ms / 12;
    const int64_t hedge_ms = twelfth_ms < HEDGE_MIN_MS   ? HEDGE_MIN_MS
                             : twelfth_ms > HEDGE_MAX_MS ? HEDGE_MAX_MS
                                                         : twelfth_ms;
    const int64_t round_ms = ROLLCALL__MODEL_MEMBERS_MAX * hedge_ms;
    const int64_t token_ms = rollcall__net_authenticates(net) ? TOKEN_MS : 0;
    return (round_ms > AGAIN_MS ? round_ms : AGAIN_MS) + NETWORK_MS + token_ms;
}

/* When a renewal was due: a third of the TTL after the last one that was answered was sent. */
static int64_t due_ms(const struct rollcall_session_info *info)
{
    return counted_from_ms(info) + info->ttl_s * 1000 / 3;
}

/* An answer that comes twice, as on no real stream, may be taken for that to the next request: they
 * carry nothing but the lease. */
void rollcall__check_session_info(const struct rollcall__session_check *check,
                                  const struct rollcall_session_info *info)
{
    const uint64_t *taken = rollcall_world_sim(check->world)->faults.taken;
    const struct rollcall__model_lease *lease = lease_of(check);
    if (taken[ROLLCALL_FAULT_REPEAT_ANSWER] == 0 && !check->closed && lease != NULL &&
        lease->ended_ms == INT64_MAX && info->lease_id == check->lease_id &&
        info->safe_until_ms > lease->expires_ms) {
        rollcall_world_violate(check->world, "safe-until-is-true",
                               "%s is said to be safe until %" PRId64
                               " ms, and etcd may end its lease at %" PRId64,
                               check->key, info->safe_until_ms, lease->expires_ms);
    }
}

void rollcall__check_session_renewed(const struct rollcall__session_check *check,
                                     const struct rollcall_session_info *info)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const struct rollcall__model_lease *lease = lease_of(check);
    const int64_t could_ms = rollcall__reach_since_ms(&sim->reach, check->process);
    int64_t since_ms = due_ms(info);
    if (check->closed || lease == NULL || lease->ended_ms != INT64_MAX ||
        info->lease_id != check->lease_id || could_ms == INT64_MAX) {
        return;
    }
    since_ms = since_ms > could_ms ? since_ms : could_ms;
    since_ms = since_ms > check->member_ms ? since_ms : check->member_ms;
    since_ms = since_ms > sim->calm.rough_until_ms ? since_ms : sim->calm.rough_until_ms;
    if (sim->now_ms > since_ms + hedged_ms(sim->net, info->ttl_s * 1000)) {
        rollcall_world_violate(check->world, "hedges",
                               "%s was to be renewed at %" PRId64
                               " ms, could have been since %" PRId64
                               ", and has not been by %" PRId64,
                               check->key, due_ms(info), since_ms, sim->now_ms);
    }
}

void rollcall__check_session_closed(struct rollcall__session_check *check,
                                    enum rollcall_status status)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const struct rollcall__model_lease *lease = lease_of(check);
    check->closed = true;
    if (status != ROLLCALL_OK || check->status != ROLLCALL_OK || lease == NULL ||
        check->state != ROLLCALL_SESSION_STOPPED || lease->granted_ms > check->member_ms) {
        return; /* the last: an early try that a frozen member did after the revoke */
    }
    const struct transport_kv *kv =
        rollcall__model_find(rollcall__net_model(sim->net), rollcall__bytes(check->key), INT64_MAX);
    const bool key_left = kv != NULL && kv->lease_id == check->lease_id &&
                          kv->create_revision == check->create_revision;
    const bool lease_left = lease->ended_ms == INT64_MAX && !check->shared;
    if (lease_left || key_left) {
        rollcall_world_violate(check->world, "no-lease-left",
                               "%s was closed, and its %s is still there (granted at %" PRId64
                               " ms, ACTIVE at %" PRId64 ")",
                               check->key, lease_left ? "lease" : "key", lease->granted_ms,
                               check->member_ms);
    }
}

void rollcall__check_session_key(const struct rollcall__session_check *check,
                                 const struct rollcall_session_info *info)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const struct transport_kv *kv =
        rollcall__model_find(rollcall__net_model(sim->net), rollcall__bytes(info->key), INT64_MAX);
    if (info->state == ROLLCALL_SESSION_ACTIVE && (kv == NULL || kv->lease_id != info->lease_id ||
                                                   kv->create_revision != info->create_revision)) {
        rollcall_world_violate(check->world, "active-implies-key",
                               "%s is ACTIVE with lease %" PRIx64 ", and the key %s", info->key,
                               info->lease_id, kv == NULL ? "is gone" : "is another's");
    }
}

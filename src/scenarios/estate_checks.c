/*
 * scenarios/estate_checks.c - what must hold of an estate, besides what every session keeps:
 *
 * "the-living-keep-theirs"   no sentinel revokes while its owner lives, or a companion of it; nor a
 *                            lease of a session of another;
 * "what-is-closed-is-left"   nor the lease of a session that its owner closed;
 * "noted-before-it-is-put"   a key of a session that is open is under a lease that the ledger has;
 * "keys-go-with-their-owner" soon after a death that a sentinel saw, and if nothing is in its way,
 *                            etcd has no key of a session that was open;
 * "takeover-follows"         without a fault somebody acts soon after whoever did is dead;
 * "one-acts"                 at no instant two sessions of processes that run have a token: unless
 *                            a stranger, or an etcd of old, took the key from one;
 * "gaps-close"               in the end one acts, if somebody can;
 * "a-sentinel-for-each"      in the end each owner that lives has one, and nobody else has; once
 *                            all have closed their connections, nobody has.
 */
#include "scenarios/estate_internal.h"
#include "scenarios/excuse.h"

#include "base/buffer.h"

#include <inttypes.h>
#include <string.h>

enum {
    PROMPT_MS = 300,  /* from a death until its keys are gone, without a fault */
    MENDED_MS = 3000, /* with faults, once the last is over; */
    TOKEN_MS = 5000, /* and where a token is asked of one member alone, and that request is lost; */
    TOKENS_MS = 2000,   /* with others, which are asked one by one, each by the next try */
    GAP_MS = 500,       /* from when the key is gone until somebody acts */
    DELAY_MAX_MS = 8000 /* what a delayed message may be on its way */
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static const struct rollcall__model *model_of(const struct estate *estate)
{
    return rollcall__net_model(sim_of(estate)->net);
}

static bool has_taken(const struct estate *estate, enum rollcall_fault fault)
{
    return sim_of(estate)->faults.taken[fault] != 0;
}

/* ---- what a sentinel does ---- */

static const struct estate_owner *owner_of(const struct estate *estate,
                                           const struct estate_sentinel *sentinel)
{
    return &estate->owners[sentinel->owner];
}

void estate_check_verdict(const struct estate *estate, const struct estate_sentinel *sentinel)
{
    const struct estate_owner *owner = owner_of(estate, sentinel);
    const bool attended = rollcall__ledger_companion_now(owner->view) != 0 &&
                          (owner->companion_lives || owner->handed_over != owner->companions);
    if (!is_dead(estate, sentinel->owner) || attended) {
        rollcall_world_violate(estate->world, "the-living-keep-theirs",
                               "a sentinel of process %u revokes, and %s", sentinel->owner,
                               attended ? "its companion may live" : "that one lives");
    }
}

/* Somebody who is to be looked after has that lease. */
static bool is_shared(const struct estate *estate, const struct estate_holder *closed)
{
    bool shared = false;
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        const struct estate_holder *other = &estate->holders[i];
        shared |= closed->shares && other->shares && other->session != NULL &&
                  other->owner == closed->owner && other->ttl_s == closed->ttl_s;
    }
    return shared;
}

void estate_check_revocation(const struct estate *estate, const struct estate_sentinel *sentinel,
                             int64_t lease_id)
{
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        const struct estate_holder *holder = &estate->holders[i];
        if (holder->lease_id != lease_id) {
            continue;
        }
        if (holder->owner != sentinel->owner || is_live(holder)) {
            rollcall_world_violate(estate->world, "the-living-keep-theirs",
                                   "a sentinel of process %u revokes what %s is under",
                                   sentinel->owner, holder->check.key);
        }
        if (holder->session == NULL && !is_shared(estate, holder)) {
            rollcall_world_violate(estate->world, "what-is-closed-is-left",
                                   "a sentinel revokes the lease of %s, which was closed",
                                   holder->check.key);
        }
    }
}

/* ---- what etcd has ---- */

/* Whose record that is; NULL: nobody's. */
static struct estate_holder *holder_of(struct estate *estate, struct rollcall_bytes value)
{
    static const char HOST[] = "127.0.0.1:";
    const char *at =
        value.size_bytes == 0 ? NULL : memmem(value.data, value.size_bytes, HOST, sizeof HOST - 1);
    uint32_t port = 0;
    if (at == NULL) {
        return NULL;
    }
    for (at += sizeof HOST - 1; at < value.data + value.size_bytes && *at >= '0' && *at <= '9';
         at++) {
        port = port * 10 + (uint32_t)(*at - '0');
    }
    return port >= ESTATE_PORT && port < ESTATE_PORT + estate->holder_count
               ? &estate->holders[port - ESTATE_PORT]
               : NULL;
}

static struct estate_key *find_key(struct estate *estate, struct rollcall_bytes key)
{
    for (size_t i = 0; i < estate->key_count; i++) {
        if (rollcall__bytes_equal(estate->keys[i].key, key)) {
            return &estate->keys[i];
        }
    }
    return NULL;
}

static void apply(struct estate *estate, const struct transport_event *event)
{
    struct estate_key *known = find_key(estate, event->kv.key);
    if (event->kind != TRANSPORT_PUT) {
        if (known != NULL) {
            *known = estate->keys[--estate->key_count];
        }
        if (rollcall__bytes_equal(event->kv.key, rollcall__bytes(ACTIVE_KEY))) {
            estate->absent_ms = now_ms(estate);
        }
        return;
    }
    if (known == NULL && estate->key_count < ESTATE_KEYS_MAX) {
        known = &estate->keys[estate->key_count++];
    }
    if (known != NULL) {
        *known = (struct estate_key){.key = event->kv.key,
                                     .lease_id = event->kv.lease_id,
                                     .holder = holder_of(estate, event->kv.value)};
    }
}

static void read_history(struct estate *estate)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(estate), &count);
    for (; estate->history_seen < count; estate->history_seen++) {
        apply(estate, &history[estate->history_seen]);
    }
}

/* ---- the ledger ---- */

/* Of a session that is open, and under its lease; unless a stranger may have put it: to a session
 * under whose lease somebody else's record is, that lease is not its own any more. */
static bool is_kept(const struct estate *estate, const struct estate_key *key)
{
    return !has_taken(estate, ROLLCALL_FAULT_STRANGER) && key->holder != NULL &&
           key->holder->session != NULL && key->lease_id != 0 && !key->holder->torn;
}

static bool has_lease(const struct rollcall__held_lease *held, size_t count, int64_t lease_id)
{
    bool has = false;
    for (size_t i = 0; i < count; i++) {
        has |= held[i].lease_id == lease_id;
    }
    return has;
}

static void check_noted(struct estate *estate, uint32_t owner)
{
    struct rollcall__held_lease held[ESTATE_HOLDERS_MAX];
    const size_t count =
        rollcall__ledger_held(estate->owners[owner].view, held, ESTATE_HOLDERS_MAX);
    for (size_t i = 0; i < estate->key_count; i++) {
        const struct estate_key *key = &estate->keys[i];
        if (is_kept(estate, key) && key->holder->owner == owner &&
            !has_lease(held, count, key->lease_id)) {
            rollcall_world_violate(estate->world, "noted-before-it-is-put",
                                   "%.*s is under lease %" PRIx64 ", and the ledger has not that",
                                   (int)key->key.size_bytes, key->key.data, key->lease_id);
        }
    }
}

/* ---- after a death ---- */

/* From when on its sentinel is to revoke; INT64_MAX: it is not, or has been hindered. */
static int64_t revoked_from_ms(const struct estate *estate, uint32_t index)
{
    const struct estate_owner *owner = &estate->owners[index];
    const int64_t number = rollcall__ledger_companion_now(owner->view);
    if (!is_dead(estate, index) || !owner->guarded) {
        return INT64_MAX;
    }
    for (uint32_t i = 0; i < estate->sentinel_count; i++) {
        if (estate->sentinels[i].owner == index && estate->sentinels[i].hindered) {
            return INT64_MAX;
        }
    }
    if (number == 0) {
        return owner->died_ms;
    }
    return owner->companion_lives || owner->handed_over != number ||
                   owner->companion_died_ms >= owner->died_ms + owner->longest_ttl_ms
               ? INT64_MAX
               : later(owner->died_ms, owner->companion_died_ms);
}

static int64_t mended_ms(const struct estate *estate)
{
    const struct rollcall_sim *sim = sim_of(estate);
    const bool several =
        rollcall__net_members(sim->net) > 1 && rollcall__reach_knows_all(sim, ESTATE_HOST);
    const int64_t token_ms = several ? TOKENS_MS : TOKEN_MS;
    return MENDED_MS + (rollcall__net_authenticates(sim->net) ? token_ms : 0);
}

/* What is in the way for two TTLs outlasts the sentinel, which tries for so long: a new leader
 * gives each lease its TTL again. */
static void check_key(const struct estate *estate, const struct estate_key *key)
{
    const bool faulty = rollcall_world_faulty(estate->world);
    const int64_t from_ms = revoked_from_ms(estate, key->holder->owner);
    const int64_t since_ms = faulty ? later(from_ms, estate->quiet_ms) : from_ms;
    if (from_ms == INT64_MAX || since_ms == INT64_MAX) {
        return;
    }
    const int64_t due_ms = since_ms + (faulty ? mended_ms(estate) : PROMPT_MS);
    if (now_ms(estate) > due_ms && due_ms < from_ms + 2 * key->holder->ttl_s * 1000) {
        rollcall_world_violate(estate->world, "keys-go-with-their-owner",
                               "%.*s is there at %" PRId64 " ms, its owner died at %" PRId64
                               ", and nothing is in the way since %" PRId64,
                               (int)key->key.size_bytes, key->key.data, now_ms(estate),
                               estate->owners[key->holder->owner].died_ms, since_ms);
    }
}

static void check_keys(struct estate *estate)
{
    for (size_t i = 0; i < estate->key_count; i++) {
        if (is_kept(estate, &estate->keys[i])) {
            check_key(estate, &estate->keys[i]);
        }
    }
}

/* ---- who acts ---- */

/* From when on the active key is nobody's who lives; INT64_MAX: it is somebody's. */
static int64_t vacant_from_ms(struct estate *estate)
{
    const struct estate_key *active = find_key(estate, rollcall__bytes(ACTIVE_KEY));
    if (active == NULL) {
        return estate->absent_ms;
    }
    return !is_kept(estate, active) ? INT64_MAX : revoked_from_ms(estate, active->holder->owner);
}

static void check_takeover(struct estate *estate)
{
    int64_t from_ms = INT64_MAX;
    const int64_t vacant_ms = later(vacant_from_ms(estate), estate->acted_ms);
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        const int64_t stands_ms = estate->holders[i].stands_from_ms;
        from_ms = is_live(&estate->holders[i]) && stands_ms < from_ms ? stands_ms : from_ms;
    }
    if (from_ms != INT64_MAX && vacant_ms != INT64_MAX &&
        now_ms(estate) > later(from_ms, vacant_ms) + PROMPT_MS + GAP_MS &&
        !rollcall_world_faulty(estate->world)) {
        rollcall_world_violate(estate->world, "takeover-follows",
                               "nobody acts at %" PRId64 " ms, nobody did since %" PRId64
                               ", and somebody could since %" PRId64,
                               now_ms(estate), vacant_ms, from_ms);
    }
}

static uint32_t count_acting(const struct estate *estate)
{
    uint32_t acting = 0;
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        const struct estate_holder *holder = &estate->holders[i];
        acting += is_live(holder) && rollcall_election_token(holder->session) != 0;
    }
    return acting;
}

/* ---- when ---- */

/* All but those that are in no sentinel's way. */
static uint64_t count_faults(const struct estate *estate)
{
    const uint64_t *taken = sim_of(estate)->faults.taken;
    uint64_t faults = 0;
    for (int i = 0; i < ROLLCALL_FAULT_COUNT; i++) {
        faults += taken[i];
    }
    return faults - taken[ROLLCALL_FAULT_COMPACT] - taken[ROLLCALL_FAULT_REVOKE] -
           taken[ROLLCALL_FAULT_STRANGER] - taken[ROLLCALL_FAULT_WALL] -
           taken[ROLLCALL_FAULT_MUTE] - taken[ROLLCALL_FAULT_REPEAT_ANSWER];
}

/* What may be in a sentinel's way: a fault, and what lasts of one. */
static void watch_trouble(struct estate *estate)
{
    const struct rollcall_sim *sim = sim_of(estate);
    const uint64_t faults = count_faults(estate);
    bool trouble = sim->frozen_until_ms[2 * ESTATE_HOST] > sim->now_ms ||
                   rollcall__model_leader(model_of(estate)) < 0;
    for (uint32_t i = 0; i < rollcall__net_members(sim->net); i++) {
        trouble |= !rollcall__net_member_up(sim->net, i);
    }
    if (trouble || faults != estate->faults_seen) {
        estate->quiet_ms = later(estate->quiet_ms, sim->now_ms);
        estate->faults_seen = faults;
    }
    if (sim->faults.taken[ROLLCALL_FAULT_DELAY] != estate->delays_seen) {
        estate->quiet_ms = sim->now_ms + DELAY_MAX_MS;
        estate->delays_seen = sim->faults.taken[ROLLCALL_FAULT_DELAY];
    }
}

void estate_check_step(struct estate *estate)
{
    const uint32_t acting = count_acting(estate);
    watch_trouble(estate);
    if (acting > 0) {
        estate->acted_ms = now_ms(estate);
    }
    if (acting > 1 && !scenario_is_meddled(estate->world)) {
        rollcall_world_violate(estate->world, "one-acts", "%u believe that they act", acting);
    }
}

void estate_settled(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    (void)world;
    if (estate->over) {
        return;
    }
    watch_trouble(estate);
    read_history(estate);
    check_keys(estate);
    check_takeover(estate);
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        if (!is_dead(estate, i) && estate->busy != (int)i) { /* who closes one is half done */
            check_noted(estate, i);
        }
    }
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        struct estate_holder *holder = &estate->holders[i];
        struct rollcall_session_info info;
        if (is_live(holder)) {
            rollcall__check_session_at_rest(&holder->check);
            rollcall_session_get_info(holder->session, &info);
            rollcall__check_session_info(&holder->check, &info);
        }
    }
}

/* ---- the end ---- */

static void check_roles(struct estate *estate)
{
    const bool strange =
        has_taken(estate, ROLLCALL_FAULT_STRANGER) &&
        rollcall__model_find(model_of(estate), rollcall__bytes(ACTIVE_KEY), INT64_MAX) != NULL;
    const uint32_t acting = count_acting(estate);
    uint32_t could = 0;
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        const struct estate_holder *holder = &estate->holders[i];
        struct rollcall_session_info info = {.state = ROLLCALL_SESSION_STOPPED};
        if (is_live(holder) && holder->stands) {
            rollcall_session_get_info(holder->session, &info);
        }
        could += info.state == ROLLCALL_SESSION_ACTIVE && !info.stopping;
    }
    if (acting > 1 || (acting == 0 && could != 0 && !strange)) {
        rollcall_world_violate(estate->world, "gaps-close",
                               "%u act in the end, and %u stand for it", acting, could);
    }
}

void estate_check_sentinels(const struct estate *estate)
{
    for (uint32_t owner = 0; owner < ESTATE_OWNERS; owner++) {
        const bool wanted = !is_dead(estate, owner) && estate->owners[owner].etcd != NULL;
        uint32_t attending = 0, others = 0;
        for (uint32_t i = 0; i < estate->sentinel_count; i++) {
            const struct estate_sentinel *one = &estate->sentinels[i];
            attending += one->owner == owner && !one->ended && !one->let_go && wanted;
            others += one->owner == owner && !one->ended && (one->let_go || !wanted);
        }
        if ((wanted && attending != 1 && estate->sentinel_count < ESTATE_SENTINELS_MAX) ||
            others != 0) {
            rollcall_world_violate(estate->world, "a-sentinel-for-each",
                                   "process %u has %u, and %u for nothing", owner, attending,
                                   others);
        }
    }
}

void estate_check_end(struct estate *estate)
{
    check_roles(estate);
    estate_check_sentinels(estate);
}

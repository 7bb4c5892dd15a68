/* scenarios/estate.c - what they do; what must hold: estate_checks.c. */
#include "scenarios/estate.h"

#include "scenarios/estate_internal.h"
#include "scenarios/excuse.h"

#include "api/connection.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    CLOSE_MS = 8000,
    BACK_MS = 5200,       /* who gave the key up stands back for 5 s */
    DEATH_STEPS_MAX = 60, /* from when it is planned: about what registering takes */
    LAST_DEATH_MS = 1000, /* after faults are over */
    PAUSE_MS = 100        /* of an owner, before it starts another sentinel */
};
static const int64_t TTLS_S[] = {8, 8, 5, 20};

static uint64_t draw(const struct estate *estate, uint64_t below)
{
    return rollcall_world_random(estate->world, below);
}

static bool allowed(const struct estate *estate, enum rollcall_status status, const char *call)
{
    return scenario_allowed(estate->world, status, call);
}

/* ---- what is told ---- */

/* Those of a process that is dead are called when it is raised, at the end of the run. */
static bool is_heard(const struct estate_holder *holder)
{
    return !is_dead(holder->estate, holder->owner);
}

static enum rollcall_status activate(void *user, int64_t token)
{
    const struct estate_holder *holder = user;
    (void)token;
    if (is_heard(holder) && (holder->check.closed || holder->told != 0)) {
        rollcall_world_violate(holder->estate->world, "roles-are-in-order", "%s is activated %s",
                               holder->check.key, holder->told != 0 ? "twice" : "after close");
    }
    return ROLLCALL_OK;
}

static void on_role(void *user, const struct rollcall_role_event *event)
{
    struct estate_holder *holder = user;
    if (is_heard(holder)) {
        holder->told = event->token;
    }
}

static void on_session(void *user, const struct rollcall_session_event *event)
{
    struct estate_holder *holder = user;
    if (!is_heard(holder)) {
        return;
    }
    rollcall__check_session_event(&holder->check, event);
    holder->lease_id = event->info.lease_id != 0 ? event->info.lease_id : holder->lease_id;
    holder->bad_end =
        event->state == ROLLCALL_SESSION_FAILED ||
        (event->state == ROLLCALL_SESSION_STOPPED && event->status != ROLLCALL_OK) ||
        (event->state == ROLLCALL_SESSION_LOST && event->info.loss == ROLLCALL_LOSS_FAULT);
    holder->over = event->state == ROLLCALL_SESSION_FAILED ||
                   event->state == ROLLCALL_SESSION_STOPPED ||
                   (event->state == ROLLCALL_SESSION_LOST && !holder->reregisters);
    holder->torn |= holder->bad_end && holder->reregisters && event->state == ROLLCALL_SESSION_LOST;
    if (event->state == ROLLCALL_SESSION_ACTIVE) {
        holder->stands_from_ms = holder->stands ? now_ms(holder->estate) : INT64_MAX;
    } else if (event->state != ROLLCALL_SESSION_REGISTERING) {
        holder->stands_from_ms = INT64_MAX;
    }
}

static void ignore(void *user, const struct rollcall_error *error)
{
    (void)user, (void)error;
}

/* ---- sessions ---- */

static struct estate_holder *make_holder(struct estate *estate, uint32_t owner)
{
    const uint32_t index = estate->holder_count++;
    const uint64_t kind = draw(estate, 8);
    struct estate_holder *holder = &estate->holders[index];
    *holder = (struct estate_holder){
        .estate = estate,
        .owner = owner,
        .ttl_s = TTLS_S[draw(estate, sizeof TTLS_S / sizeof *TTLS_S)],
        .reregisters = draw(estate, 2) == 0,
        .stands = (kind < 4),
        .shares = (kind > 4),
        .stands_from_ms = INT64_MAX,
        .check = {.world = estate->world, .process = owner, .shared = kind > 4}};
    snprintf(holder->address, sizeof holder->address, "127.0.0.1:%u", ESTATE_PORT + index);
    return holder;
}

static void open_seat(struct estate *estate, uint32_t seat)
{
    const uint32_t owner = seat % ESTATE_OWNERS;
    if (estate->holder_count == ESTATE_HOLDERS_MAX) {
        return;
    }
    struct estate_holder *holder = make_holder(estate, owner);
    struct rollcall_session_options options = {.size_bytes = sizeof options,
                                               .root = ROOT,
                                               .role = holder->stands ? COORDINATOR : "querynode",
                                               .address = holder->address,
                                               .host_name = "host",
                                               .ttl_s = holder->ttl_s,
                                               .share_lease = holder->shares,
                                               /* Those with the shortest TTL soon give up. */
                                               .retries = holder->ttl_s == TTLS_S[0] ? 1 : 10,
                                               .connect_timeout_ms = 20000,
                                               .on_event = on_session,
                                               .user = holder};
    options.on_lost = holder->reregisters ? ROLLCALL_ON_LOST_REREGISTER : ROLLCALL_ON_LOST_STOP;
    const struct rollcall_election_options election = {
        .size_bytes = sizeof election, .activate = activate, .on_role = on_role, .user = holder};
    options.election = holder->stands ? &election : NULL;
    if (allowed(
            estate,
            rollcall_session_start(estate->owners[owner].etcd, &options, &holder->session, NULL),
            "rollcall_session_start")) {
        estate->seats[seat] = holder;
    } else {
        holder->session = NULL;
    }
}

/* Its owner cannot die while it waits. */
static void close_seat(struct estate *estate, uint32_t seat, int64_t timeout_ms)
{
    struct estate_holder *holder = estate->seats[seat];
    const int busy = estate->busy;
    estate->busy = (int)holder->owner;
    const enum rollcall_status status = rollcall_session_close(holder->session, timeout_ms);
    estate->busy = busy;
    estate->seats[seat] = NULL;
    holder->session = NULL;
    holder->stands_from_ms = INT64_MAX;
    holder->told = 0;
    rollcall__check_session_closed(&holder->check, status);
    if (status != ROLLCALL_E_TIMEOUT) {
        (void)allowed(estate, status, "rollcall_session_close");
    }
}

static void restart(struct estate *estate, struct estate_holder *holder)
{
    const enum rollcall_status status = rollcall_session_restart(holder->session, NULL);
    if (status == ROLLCALL_OK) {
        holder->over = false;
        holder->torn |= holder->bad_end;
        rollcall__check_session_restarted(&holder->check);
    } else if (status != ROLLCALL_E_BUSY) {
        (void)allowed(estate, status, "rollcall_session_restart");
    }
}

static void resign(struct estate *estate, struct estate_holder *holder)
{
    const enum rollcall_status status =
        rollcall_election_resign_async(holder->session, ignore, NULL, NULL);
    if (status == ROLLCALL_OK) {
        holder->stands_from_ms =
            holder->stands_from_ms == INT64_MAX ? INT64_MAX : now_ms(estate) + BACK_MS;
    } else if (status != ROLLCALL_E_BUSY) {
        (void)allowed(estate, status, "rollcall_election_resign_async");
    }
}

static void leave(struct estate *estate, uint32_t seat)
{
    struct estate_holder *holder = estate->seats[seat];
    holder->stands_from_ms = INT64_MAX;
    switch (draw(estate, 6)) {
    case 0:
    case 1:
        rollcall_session_stop(holder->session);
        break;
    case 2:
        rollcall_session_revoke(holder->session);
        break;
    case 3:
    case 4:
        restart(estate, holder);
        break;
    default:
        close_seat(estate, seat, draw(estate, 2) == 0 ? 0 : CLOSE_MS);
        break;
    }
}

/* ---- spells: what goes wrong mostly, for a while ---- */

/* At the rates of a plan hardly any supervisor gives up, nor is etcd away for more than a TTL and
 * has a new leader then, without so much else that nothing can be demanded. */
struct estate_spell {
    enum rollcall_fault faults[2];
    double rate;
    int64_t most_ms;
};
static const struct estate_spell FAILING = {
    {ROLLCALL_FAULT_CRASH, ROLLCALL_FAULT_MEMORY}, 0.3, 4000};
static const struct estate_spell AWAY = {{ROLLCALL_FAULT_KILL, ROLLCALL_FAULT_KILL}, 1, 15000};

static void worsen(const struct estate *estate, double rate)
{
    for (int i = 0; i < 2; i++) {
        rollcall__fault_worsen(&sim_of(estate)->faults, estate->spell->faults[i], rate);
    }
}

static void end_spell(struct estate *estate)
{
    if (estate->spell != NULL) {
        worsen(estate, -1);
        estate->spell = NULL;
    }
}

static void begin_spell(struct estate *estate, const struct estate_spell *spell)
{
    end_spell(estate);
    estate->spell = spell;
    estate->spell_until_ms = now_ms(estate) + (int64_t)draw(estate, (uint64_t)spell->most_ms);
    worsen(estate, spell->rate);
}

/* ---- deaths ---- */

static bool may_die(const struct estate *estate, uint32_t owner)
{
    return estate->owners[owner].etcd != NULL && !is_dead(estate, owner) &&
           estate->busy != (int)owner && now_ms(estate) <= estate->last_death_ms;
}

/* Mostly somebody is left. */
static void plan_death(struct estate *estate, uint32_t owner)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        others += i != owner && estate->owners[i].etcd != NULL && !is_dead(estate, i);
    }
    if (may_die(estate, owner) && (others > 0 || draw(estate, 8) == 0)) {
        estate->owners[owner].dies_at = sim_of(estate)->steps + draw(estate, DEATH_STEPS_MAX);
    }
}

static bool is_looked_after(const struct estate *estate, uint32_t owner)
{
    bool guarded = false;
    for (uint32_t i = 0; i < estate->sentinel_count; i++) {
        const struct estate_sentinel *one = &estate->sentinels[i];
        guarded |= one->owner == owner && one->born && !one->ended;
    }
    return guarded;
}

static void die(struct estate *estate, uint32_t index)
{
    struct estate_owner *owner = &estate->owners[index];
    for (uint32_t i = 0; i < estate->holder_count; i++) {
        struct estate_holder *holder = &estate->holders[i];
        if (holder->owner == index && holder->session != NULL) {
            holder->stands_from_ms = INT64_MAX;
        }
    }
    owner->dies_at = UINT64_MAX;
    owner->died_ms = now_ms(estate);
    owner->longest_ttl_ms = rollcall__ledger_longest_ttl_s(owner->view) * 1000;
    owner->guarded = is_looked_after(estate, index);
    rollcall__sim_kill(sim_of(estate), index);
    if (draw(estate, 2) == 0) { /* what it has sent last is lost with it */
        rollcall__net_cut_process(sim_of(estate)->net, index);
    }
    if (draw(estate, 2) == 0) {
        begin_spell(estate, &AWAY);
    }
    estate_sentinels_look(estate, index);
}

/* ---- companions, and sentinels ---- */

/* In its turn it is coming, there, and gone; one that is there may outlive its owner. */
static void act_on_companion(struct estate *estate, uint32_t index)
{
    struct estate_owner *owner = &estate->owners[index];
    struct rollcall__gauge *named = rollcall__ledger_companion(owner->ledger);
    if (owner->companion_lives) {
        owner->companion_lives = false;
        owner->companion_died_ms = now_ms(estate);
    } else if (is_dead(estate, index)) {
        return;
    } else if (owner->handed_over == owner->companions && rollcall__gauge_get(named) != 0) {
        rollcall__gauge_set(named, 0); /* what has died is forgotten */
    } else {
        if (rollcall__gauge_get(named) == 0) {
            rollcall__gauge_set(named,
                                ++owner->companions); /* it is coming, and mostly soon there */
        }
        owner->companion_lives = draw(estate, 4) != 0;
        owner->handed_over = owner->companion_lives ? owner->companions : owner->handed_over;
    }
    estate_sentinels_look(estate, index);
}

/* What closes all files that it does not know, as daemons do: there will be another. */
static void let_go(struct estate *estate, struct estate_sentinel *sentinel)
{
    if (!sentinel->let_go && !is_dead(estate, sentinel->owner) &&
        estate->owners[sentinel->owner].etcd != NULL) {
        sentinel->let_go = true;
        estate_sentinels_look(estate, sentinel->owner);
        estate_sentinel_start(estate, sentinel->owner, PAUSE_MS);
    }
}

static void act_on_sentinel(struct estate *estate)
{
    struct estate_sentinel *sentinel = &estate->sentinels[draw(estate, estate->sentinel_count)];
    if (sentinel->ended) {
        return;
    }
    if (draw(estate, 2) == 0) {
        estate_sentinel_kill(estate, sentinel);
    } else {
        let_go(estate, sentinel);
    }
}

/* In good order: its sentinel is dismissed. */
static void close_owner(struct estate *estate, uint32_t owner)
{
    for (uint32_t seat = 0; seat < ESTATE_SEATS; seat++) {
        if (seat % ESTATE_OWNERS == owner && estate->seats[seat] != NULL) {
            close_seat(estate, seat, CLOSE_MS);
        }
    }
    if (allowed(estate, rollcall_etcd_close(estate->owners[owner].etcd), "rollcall_etcd_close")) {
        estate->owners[owner].etcd = NULL;
    }
    for (uint32_t i = 0; i < estate->sentinel_count; i++) {
        estate->sentinels[i].let_go |= estate->sentinels[i].owner == owner;
    }
    estate_sentinels_look(estate, owner);
}

/* ---- a run ---- */

static void open_owner(struct estate *estate, uint32_t index)
{
    struct estate_owner *owner = &estate->owners[index];
    owner->died_ms = INT64_MAX;
    owner->dies_at = UINT64_MAX;
    if (!allowed(estate, rollcall_sim_connect(sim_of(estate), index, &owner->etcd, NULL),
                 "rollcall_sim_connect") ||
        !allowed(estate,
                 rollcall__ledger_create(ROLLCALL_ETCD_OPTIONS(.endpoints = "the simulated etcd"),
                                         &owner->ledger, NULL),
                 "rollcall__ledger_create") ||
        !allowed(estate,
                 rollcall__ledger_view_open(rollcall__ledger_fd(owner->ledger), &owner->view, NULL),
                 "rollcall__ledger_view_open")) {
        return;
    }
    rollcall__etcd_note_in(owner->etcd, owner->ledger);
    estate_sentinel_start(estate, index, 0);
}

void estate_begin(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    estate->world = world;
    estate->busy = -1;
    estate->last_death_ms = INT64_MAX;
    for (uint32_t i = 0; i < ESTATE_OWNERS && !rollcall_world_violated(world); i++) {
        open_owner(estate, i);
    }
    (void)allowed(estate, rollcall_sim_connect(sim_of(estate), ESTATE_HOST, &estate->host, NULL),
                  "rollcall_sim_connect");
    for (uint32_t i = 0; i < ESTATE_SEATS && !rollcall_world_violated(world); i++) {
        open_seat(estate, i);
    }
}

static void act_on_seat(struct estate *estate, uint32_t seat)
{
    const uint32_t owner = seat % ESTATE_OWNERS;
    struct estate_holder *holder = estate->seats[seat];
    const uint64_t choice = draw(estate, 16);
    if (estate->owners[owner].etcd == NULL || is_dead(estate, owner)) {
        return;
    }
    if (holder == NULL) {
        open_seat(estate, seat);
    } else if (holder->over && choice < 4) {
        close_seat(estate, seat, 0);
    } else if (holder->over) {
        restart(estate, holder);
    } else if (choice < 3) {
        leave(estate, seat);
    } else if (choice < 7 && holder->stands) {
        resign(estate, holder);
    }
    if (draw(estate, 20) == 0) {
        plan_death(estate, owner);
    }
}

void estate_act(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    const uint32_t owner = (uint32_t)draw(estate, ESTATE_OWNERS);
    const uint64_t choice = draw(estate, 32);
    (void)world;
    if (estate->spell == &AWAY && draw(estate, 8) != 0) {
        return; /* it has its steps for a TTL to go by */
    }
    if (estate->spell == NULL && draw(estate, 16) == 0) {
        begin_spell(estate, &FAILING);
    }
    if (choice < 1) {
        act_on_sentinel(estate);
    } else if (choice < 3) {
        act_on_companion(estate, owner);
    } else if (choice < 6 && is_dead(estate, owner)) {
        act_on_companion(estate, owner);
    } else if (choice < 4) {
        plan_death(estate, owner);
    } else if (choice == 6 && draw(estate, 6) == 0 && may_die(estate, owner)) {
        close_owner(estate, owner);
    } else {
        act_on_seat(estate, (uint32_t)draw(estate, ESTATE_SEATS));
    }
}

/* Somebody dies now that nothing else is in the way, with something to leave. */
void estate_heal(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    (void)world;
    estate->last_death_ms = now_ms(estate) + LAST_DEATH_MS;
    for (uint32_t i = 0; i < ESTATE_SEATS; i++) {
        const uint32_t owner = i % ESTATE_OWNERS;
        if (estate->seats[i] == NULL && estate->owners[owner].etcd != NULL &&
            !is_dead(estate, owner)) {
            open_seat(estate, i);
        }
    }
    for (uint32_t i = 0, last = 0; i < ESTATE_OWNERS && last == 0; i++) {
        const uint32_t owner = (uint32_t)draw(estate, ESTATE_OWNERS);
        last = may_die(estate, owner);
        plan_death(estate, owner);
    }
}

void estate_check(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    (void)world;
    if (now_ms(estate) >= estate->spell_until_ms) {
        end_spell(estate);
    }
    estate_sentinels_look_again(estate);
    if (estate->over) {
        return;
    }
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        if (estate->owners[i].dies_at <= sim_of(estate)->steps && may_die(estate, i)) {
            die(estate, i);
        }
    }
    estate_check_step(estate);
}

/* ---- the end ---- */

static void check_nothing_left(const struct estate *estate)
{
    struct rollcall_runtime_stats stats;
    struct rollcall_sim *sim = sim_of(estate);
    rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 1000);
    if (rollcall_runtime_stats(rollcall_sim_runtime(sim), &stats) == ROLLCALL_OK &&
        stats.actors != 0) {
        rollcall_world_violate(estate->world, "nothing-left", "%" PRIu64 " actors have not ended",
                               stats.actors);
    }
}

/* The dead are raised to be closed: what they hold is memory of ours. */
static void close_everybody(struct estate *estate)
{
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        if (is_dead(estate, i)) {
            rollcall__sim_raise(sim_of(estate), i);
        }
        estate->owners[i].dies_at = UINT64_MAX;
    }
    for (uint32_t seat = 0; seat < ESTATE_SEATS; seat++) {
        struct estate_holder *holder = estate->seats[seat];
        if (holder != NULL && is_dead(estate, holder->owner)) {
            ROLLCALL_DROP(rollcall_session_close(holder->session, 0), "nobody cares any more");
            holder->session = NULL;
        } else if (holder != NULL) {
            close_seat(estate, seat, CLOSE_MS);
        }
    }
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        if (estate->owners[i].etcd != NULL) {
            close_owner(estate, i);
        }
    }
}

void estate_end(struct rollcall_world *world, void *state)
{
    struct estate *estate = state;
    (void)world;
    estate_check_end(estate);
    estate->over = true;
    close_everybody(estate);
    rollcall_sim_run_until(sim_of(estate), now_ms(estate) + 1000); /* sentinels hear of it */
    estate_check_sentinels(estate);
    if (estate->host != NULL) {
        (void)allowed(estate, rollcall_etcd_close(estate->host), "rollcall_etcd_close");
    }
    check_nothing_left(estate);
    for (uint32_t i = 0; i < ESTATE_OWNERS; i++) {
        if (estate->owners[i].view != NULL) {
            rollcall__ledger_view_close(estate->owners[i].view);
        }
        rollcall__ledger_drop(estate->owners[i].ledger);
    }
}

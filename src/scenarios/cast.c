#include "scenarios/cast.h"

#include "scenarios/cast_internal.h"
#include "scenarios/excuse.h"

#include "sim/sim.h"

#include <rollcall/admin.h>

#include <inttypes.h>
#include <string.h>

enum { TTL_S = 5, OTHER_TTL_S = 7, CLOSE_MS = 8000 };
enum { MEND_MS = 15000 }; /* from the last fault: after that nothing fails for want of etcd */
static const int64_t OUTAGE_TTLS_S[] = {3, 5, 5, 10};
#define ROOT CAST_ROOT
#define ROLE CAST_ROLE

uint64_t cast_draw(struct cast *cast, uint64_t below)
{
    return rollcall_world_random(cast->world, below);
}

bool cast_allowed(struct cast *cast, enum rollcall_status status, const char *call)
{
    return scenario_allowed(cast->world, status, call);
}

/* ---- sessions ---- */

/* etcd is there again: whoever fails for the want of it was not served. */
static void check_failure(const struct cast *cast, const struct rollcall_session_event *event)
{
    const struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    const int64_t mended_ms = rollcall_sim_now_ms(sim) - MEND_MS;
    if (event->state == ROLLCALL_SESSION_FAILED && event->status == ROLLCALL_E_UNAVAILABLE &&
        cast->healed_ms != 0 && mended_ms > cast->healed_ms) {
        rollcall_world_violate(cast->world, "heals",
                               "long after the last fault a session failed: %s", event->reason);
    }
}

static void on_session(void *user, const struct rollcall_session_event *event)
{
    struct cast_member *member = user;
    rollcall__check_session_event(&member->check, event);
    member->failed = event->state == ROLLCALL_SESSION_FAILED;
    member->cast->gave_up |= member->failed;
    check_failure(member->cast, event);
}

/* Of one address are a process and its successor, and no two others. */
static const char *const ADDRESSES[CAST_PROCESSES] = {"127.0.0.1:21121", "127.0.0.1:21122",
                                                      "127.0.0.1:21123"};

static void open_member(struct cast *cast, struct cast_member *member)
{
    const uint32_t process = (uint32_t)(member - cast->members) % cast->play.processes;
    struct rollcall_session_options options = {.size_bytes = sizeof options,
                                               .root = ROOT,
                                               .role = ROLE,
                                               .address = ADDRESSES[process],
                                               .host_name = "host",
                                               .ttl_s = TTL_S,
                                               .exclusive = cast->play.exclusive,
                                               .retries = 10,
                                               .connect_timeout_ms = 20000,
                                               .on_event = on_session,
                                               .user = member};
    member->reregisters = cast_draw(cast, 2) == 0;
    options.on_lost = member->reregisters ? ROLLCALL_ON_LOST_REREGISTER : ROLLCALL_ON_LOST_STOP;
    options.keep_predecessor = cast_draw(cast, 4) == 0;
    options.reuse_server_id = !cast->play.exclusive && cast_draw(cast, 4) == 0;
    cast->gave_up |= options.reuse_server_id;
    cast->reused |= options.reuse_server_id;
    if (cast->play.share) {
        options.share_lease = cast_draw(cast, 4) != 0;
        options.ttl_s = cast_draw(cast, 8) == 0 ? OTHER_TTL_S : TTL_S;
    }
    if (cast->play.outage) {
        options.ttl_s =
            OUTAGE_TTLS_S[cast_draw(cast, sizeof OUTAGE_TTLS_S / sizeof OUTAGE_TTLS_S[0])];
    }
    member->shares = options.share_lease;
    member->ttl_s = options.ttl_s;
    member->check = (struct rollcall__session_check){.world = cast->world,
                                                     .process = process,
                                                     .shared = options.share_lease,
                                                     .evicted = cast->play.evict};
    member->cast = cast;
    member->marks = (struct cast_answers){.world = cast->world};
    member->asked_to_leave = member->failed = false;
    if (!cast_allowed(
            cast, rollcall_session_start(cast->etcds[process], &options, &member->session, NULL),
            "rollcall_session_start")) {
        member->session = NULL;
    }
}

static void close_member(struct cast *cast, struct cast_member *member, int64_t timeout_ms)
{
    const enum rollcall_status status = rollcall_session_close(member->session, timeout_ms);
    member->session = NULL;
    member->marks.wanted = 0; /* what is not answered by now never is */
    rollcall__check_session_closed(&member->check, status);
    cast->abandoned |= timeout_ms == 0 || status != ROLLCALL_OK;
    if (status != ROLLCALL_E_TIMEOUT) { /* which is what its budget is for */
        (void)cast_allowed(cast, status, "rollcall_session_close");
    }
}

static void restart_member(struct cast *cast, struct cast_member *member)
{
    const enum rollcall_status status = rollcall_session_restart(member->session, NULL);
    if (status == ROLLCALL_OK) {
        member->asked_to_leave = false;
        rollcall__check_session_restarted(&member->check);
    } else if (status != ROLLCALL_E_BUSY) {
        (void)cast_allowed(cast, status, "rollcall_session_restart");
    }
}

static void on_done(void *user, const struct rollcall_error *error)
{
    struct cast_answers *answers = user;
    (void)error;
    if (answers->wanted == 0) {
        rollcall_world_violate(answers->world, "one-answer",
                               "a call was answered twice, or after its session was closed");
        return;
    }
    answers->wanted--;
}

static void check_answered(const struct cast_answers *answers, const char *who)
{
    if (answers->wanted != 0) {
        rollcall_world_violate(answers->world, "one-answer", "%s: %" PRIu64 " calls have no answer",
                               who, answers->wanted);
    }
}

static void mark_member(struct cast *cast, struct cast_member *member)
{
    if (cast_allowed(
            cast,
            rollcall_session_mark_stopping_async(member->session, on_done, &member->marks, NULL),
            "rollcall_session_mark_stopping_async")) {
        member->marks.wanted++;
    }
}

/* ---- what others do to sessions ---- */

static void mark_from_outside(struct cast *cast, struct cast_member *member)
{
    const struct rollcall_target target = {.key = member->check.key};
    struct rollcall_etcd *etcd = cast->etcds[cast_draw(cast, cast->play.processes)];
    if (member->check.key[0] != '\0' &&
        cast_allowed(cast,
                     rollcall_mark_stopping_async(etcd, &target, CAST_CALL_MS, on_done,
                                                  &cast->errands, NULL),
                     "rollcall_mark_stopping_async")) {
        cast->errands.wanted++;
    }
}

static void evict_member(struct cast *cast, struct cast_member *member)
{
    const struct rollcall_target target = {.key = member->check.key,
                                           .lease_id = member->check.lease_id,
                                           .create_revision = member->check.create_revision};
    struct rollcall_etcd *etcd = cast->etcds[cast_draw(cast, cast->play.processes)];
    if (member->check.key[0] != '\0' &&
        cast_allowed(
            cast, rollcall_revoke_async(etcd, &target, CAST_CALL_MS, on_done, &cast->errands, NULL),
            "rollcall_revoke_async")) {
        cast->errands.wanted++;
    }
}

/* ---- a play ---- */

void cast_begin(struct cast *cast, struct rollcall_world *world, const struct cast_play *play)
{
    cast->world = world;
    cast->play = *play;
    cast->errands = (struct cast_answers){.world = world};
    for (uint32_t i = 0; i < play->processes; i++) {
        (void)cast_allowed(
            cast, rollcall_sim_connect(rollcall_world_sim(world), i, &cast->etcds[i], NULL),
            "rollcall_sim_connect");
    }
    for (uint32_t i = 0; i < play->watches; i++) {
        cast_open_watch(cast, &cast->watches[i]);
    }
    for (uint32_t i = 0; i < play->members; i++) {
        open_member(cast, &cast->members[i]);
    }
}

static void leave(struct cast *cast, struct cast_member *member)
{
    switch (cast_draw(cast, 4)) {
    case 0:
        rollcall_session_stop(member->session);
        member->asked_to_leave = true;
        break;
    case 1:
        rollcall_session_revoke(member->session);
        member->asked_to_leave = true;
        break;
    case 2:
        restart_member(cast, member);
        break;
    default:
        close_member(cast, member, cast_draw(cast, 2) == 0 ? 0 : CLOSE_MS);
        break;
    }
}

static void act_on_member(struct cast *cast, struct cast_member *member)
{
    const struct cast_play *play = &cast->play;
    const uint64_t choice = cast_draw(cast, 8);
    if (member->session == NULL) {
        open_member(cast, member);
    } else if (choice < 3 && play->leave) {
        leave(cast, member);
    } else if (choice == 3 && play->mark) {
        mark_member(cast, member);
    } else if (choice == 4 && play->mark) {
        mark_from_outside(cast, member);
    } else if (choice == 5 && play->evict) {
        evict_member(cast, member);
    }
}

void cast_act(struct cast *cast)
{
    if (cast->play.watches > 0 && cast_draw(cast, 8) == 0) {
        struct cast_watch *watch = &cast->watches[cast_draw(cast, cast->play.watches)];
        if (watch->watch == NULL) {
            cast_open_watch(cast, watch);
        } else {
            cast_close_watch(cast, watch);
        }
    } else if (cast->play.slow && cast_draw(cast, 2) == 0) {
        struct cast_watch *watch = &cast->watches[cast_draw(cast, cast->play.watches)];
        if (watch->watch != NULL) {
            cast_use_watch(cast, watch);
        }
    } else if (cast->play.members > 0) {
        act_on_member(cast, &cast->members[cast_draw(cast, cast->play.members)]);
    }
}

/* What nobody else takes away is believed in by one at a time: a lease that runs out is told as
 * SUSPECT before.  Not so when a stranger, or an etcd of old, takes it; nor where an event waits
 * for room or memory. */
static void check_one_believes(struct cast *cast)
{
    const struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    const uint64_t *taken = sim->faults.taken;
    uint32_t active = 0;
    if (!cast->play.exclusive || taken[ROLLCALL_FAULT_REVOKE] != 0 ||
        taken[ROLLCALL_FAULT_STRANGER] != 0 || taken[ROLLCALL_FAULT_FULL] != 0 ||
        taken[ROLLCALL_FAULT_MEMORY] != 0 ||
        (sim->quirks & ROLLCALL__QUIRK_OLD_LEADER_REVOKES) != 0) {
        return;
    }
    for (uint32_t i = 0; i < cast->play.members; i++) {
        const struct cast_member *member = &cast->members[i];
        active += member->session != NULL && member->check.told &&
                  member->check.state == ROLLCALL_SESSION_ACTIVE &&
                  sim->frozen_until_ms[2 * member->check.process] <= sim->now_ms;
    }
    if (active > 1) {
        rollcall_world_violate(cast->world, "one-believes", "%u believe that they hold the key",
                               active);
    }
}

static void check_info(const struct cast *cast, const struct cast_member *member)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(member->session, &info);
    rollcall__check_session_info(&member->check, &info);
    if (cast->play.outage) {
        rollcall__check_session_renewed(&member->check, &info);
    }
}

void cast_at_rest(struct cast *cast)
{
    check_one_believes(cast);
    for (uint32_t i = 0; i < cast->play.members; i++) {
        if (cast->members[i].session != NULL) {
            rollcall__check_session_at_rest(&cast->members[i].check);
            check_info(cast, &cast->members[i]);
        }
    }
}

void cast_heal(struct cast *cast)
{
    cast->healed_ms = rollcall_sim_now_ms(rollcall_world_sim(cast->world));
    for (uint32_t i = 0; i < cast->play.watches; i++) {
        if (cast->watches[i].watch == NULL) {
            cast_open_watch(cast, &cast->watches[i]);
        }
    }
    for (uint32_t i = 0; i < cast->play.members; i++) {
        if (cast->members[i].session == NULL && !cast->play.exclusive) {
            open_member(cast, &cast->members[i]);
        }
    }
}

/* ---- the end ---- */

/* One that is to be a member is, by now: it has had a minute without a fault. */
static void check_member(struct cast *cast, const struct cast_member *member)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(member->session, &info);
    rollcall__check_session_key(&member->check, &info);
    const bool wants_to_be = member->reregisters && !member->asked_to_leave && !member->failed;
    if (wants_to_be && !cast->play.exclusive && info.state != ROLLCALL_SESSION_ACTIVE) {
        rollcall_world_violate(cast->world, "heals", "%s is still %s", member->check.key,
                               rollcall_session_state_name(info.state));
    }
    if (member->asked_to_leave && info.state != ROLLCALL_SESSION_STOPPED &&
        info.state != ROLLCALL_SESSION_LOST && info.state != ROLLCALL_SESSION_FAILED) {
        rollcall_world_violate(cast->world, "heals", "%s was asked to leave and is still %s",
                               member->check.key, rollcall_session_state_name(info.state));
    }
    if (info.state == ROLLCALL_SESSION_SUSPECT || info.state == ROLLCALL_SESSION_STOPPING ||
        (info.state == ROLLCALL_SESSION_REGISTERING && !cast->play.exclusive)) {
        rollcall_world_violate(cast->world, "heals", "%s is still %s", member->check.key,
                               rollcall_session_state_name(info.state));
    }
    check_answered(&member->marks, member->check.key);
}

/* Exactly one holds the key that all want, if anybody still does. */
static void check_exclusive(struct cast *cast)
{
    uint32_t active = 0, wanting = 0;
    for (uint32_t i = 0; i < cast->play.members; i++) {
        struct rollcall_session_info info = {.state = ROLLCALL_SESSION_STOPPED};
        if (cast->members[i].session != NULL) {
            rollcall_session_get_info(cast->members[i].session, &info);
        }
        active += info.state == ROLLCALL_SESSION_ACTIVE;
        wanting += info.state == ROLLCALL_SESSION_REGISTERING;
    }
    if (active > 1 || (active == 0 && wanting > 0)) {
        rollcall_world_violate(cast->world, "one-holder", "%u are ACTIVE under one key, %u want it",
                               active, wanting);
    }
}

/* ---- who has what, a minute after the last fault ---- */

static bool is_active(const struct cast_member *member, struct rollcall_session_info *info)
{
    *info = (struct rollcall_session_info){.state = ROLLCALL_SESSION_STOPPED};
    if (member->session != NULL) {
        rollcall_session_get_info(member->session, info);
    }
    return info->state == ROLLCALL_SESSION_ACTIVE;
}

/* A key that was put twice has two create revisions, and one holder. */
static void check_holders(struct cast *cast)
{
    for (uint32_t i = 0; i < cast->play.members; i++) {
        struct rollcall_session_info one, other;
        for (uint32_t k = 0; is_active(&cast->members[i], &one) && k < i; k++) {
            if (is_active(&cast->members[k], &other) &&
                one.create_revision == other.create_revision) {
                rollcall_world_violate(cast->world, "one-holder", "two are ACTIVE with %s",
                                       one.key);
            }
        }
    }
}

static bool holds(const struct cast *cast, const struct transport_kv *kv)
{
    struct rollcall_session_info info;
    bool held = false;
    for (uint32_t i = 0; i < cast->play.members; i++) {
        held |= is_active(&cast->members[i], &info) && info.create_revision == kv->create_revision;
    }
    return held;
}

/* What a session has left behind, or was put for it after its end, is gone by now, with its lease
 * or without. */
static void check_keys(struct cast *cast)
{
    const struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    const struct rollcall__model *model = rollcall__net_model(sim->net);
    const char *prefix = ROOT "/session/" ROLE;
    size_t count;
    const struct transport_event *history = rollcall__model_history(model, &count);
    for (size_t i = 0; i < count && sim->faults.taken[ROLLCALL_FAULT_STRANGER] == 0; i++) {
        const struct transport_kv *kv = rollcall__model_find(model, history[i].kv.key, INT64_MAX);
        if (kv != NULL && kv->mod_revision == history[i].kv.mod_revision &&
            kv->key.size_bytes >= strlen(prefix) &&
            memcmp(kv->key.data, prefix, strlen(prefix)) == 0 && !holds(cast, kv)) {
            rollcall_world_violate(cast->world, "no-key-left", "%.*s is nobody's",
                                   (int)kv->key.size_bytes, kv->key.data);
        }
    }
}

static bool uses(const struct cast *cast, int64_t lease_id)
{
    struct rollcall_session_info info;
    bool used = false;
    for (uint32_t i = 0; i < cast->play.members; i++) {
        used |= is_active(&cast->members[i], &info) && info.lease_id == lease_id;
        used |= info.state == ROLLCALL_SESSION_REGISTERING; /* it may be one that waits with it */
    }
    return used;
}

/* No lease is renewed for nobody. */
static void check_users(struct cast *cast)
{
    const struct rollcall__net *net = rollcall_world_sim(cast->world)->net;
    const struct rollcall__model_lease *leases;
    const size_t count = rollcall__model_leases(rollcall__net_model(net), &leases);
    for (size_t i = 0; i < count; i++) {
        if (leases[i].ended_ms == INT64_MAX && !uses(cast, leases[i].lease_id)) {
            rollcall_world_violate(cast->world, "a-user-for-each-lease",
                                   "lease %" PRIx64 " is nobody's", leases[i].lease_id);
        }
    }
}

/* Without faults, and without two that want one key, whoever shares has what the others have. */
static void check_sharing(struct cast *cast)
{
    for (uint32_t i = 0; i < cast->play.members; i++) {
        const struct cast_member *mine = &cast->members[i];
        struct rollcall_session_info one, other;
        for (uint32_t k = 0; is_active(mine, &one) && k < i; k++) {
            const struct cast_member *its = &cast->members[k];
            if (!is_active(its, &other)) {
                continue;
            }
            const bool together = mine->shares && its->shares && mine->ttl_s == its->ttl_s &&
                                  mine->check.process == its->check.process;
            if ((one.lease_id == other.lease_id && !together) ||
                (one.lease_id != other.lease_id && together && !cast->reused &&
                 !rollcall_world_faulty(cast->world))) {
                rollcall_world_violate(cast->world, "one-lease-for-all", "%s and %s have %s",
                                       one.key, other.key, together ? "two leases" : "one lease");
            }
        }
    }
}

/* The leases that are still there belong to nobody: of a run without a fault there are none. */
static void check_leases(struct cast *cast)
{
    const struct rollcall__net *net = rollcall_world_sim(cast->world)->net;
    const struct rollcall__model_lease *leases;
    const size_t count = rollcall__model_leases(rollcall__net_model(net), &leases);
    for (size_t i = 0; i < count && !rollcall_world_faulty(cast->world); i++) {
        if (leases[i].ended_ms == INT64_MAX) {
            rollcall_world_violate(cast->world, "no-lease-left",
                                   "lease %" PRIx64 " has nobody any more", leases[i].lease_id);
        }
    }
}

/* Each actor has ended. */
static void check_nothing_left(struct cast *cast)
{
    struct rollcall_runtime_stats stats;
    struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 1000);
    if (rollcall_runtime_stats(rollcall_sim_runtime(sim), &stats) != ROLLCALL_OK) {
        return;
    }
    if (stats.actors != 0) {
        rollcall_world_violate(cast->world, "nothing-left", "%" PRIu64 " actors have not ended",
                               stats.actors);
    }
    const uint64_t known =
        stats.delivered + stats.bounced + stats.dead_letters + stats.stale + stats.dropped;
    if (stats.sent != known) {
        rollcall_world_violate(cast->world, "messages-are-accounted-for",
                               "%" PRIu64 " were sent, and %" PRIu64 " delivered or counted",
                               stats.sent, known);
    }
}

/* What was written and granted while there were sessions. */
static void check_written(struct cast *cast)
{
    const struct cast_play *play = &cast->play;
    rollcall__check_history(cast->world, ROOT);
    if (!cast->abandoned) {
        rollcall__check_leases(cast->world,
                               play->leave || play->evict || play->exclusive || cast->gave_up);
    }
}

void cast_end(struct cast *cast)
{
    check_written(cast);
    for (uint32_t i = 0; i < cast->play.members; i++) {
        if (cast->members[i].session != NULL) {
            check_member(cast, &cast->members[i]);
        }
    }
    if (cast->play.exclusive) {
        check_exclusive(cast);
    }
    check_holders(cast);
    check_keys(cast);
    check_users(cast);
    check_sharing(cast);
    check_answered(&cast->errands, "errands");
    for (uint32_t i = 0; i < cast->play.watches; i++) {
        if (cast->watches[i].watch != NULL) {
            if (cast->watches[i].queue != NULL) {
                cast_read_all(cast, &cast->watches[i]);
            }
            rollcall__check_watch_converged(&cast->watches[i].check);
        }
    }
    for (uint32_t i = 0; i < cast->play.members; i++) {
        if (cast->members[i].session != NULL) {
            close_member(cast, &cast->members[i], CLOSE_MS);
        }
    }
    check_leases(cast);
    for (uint32_t i = 0; i < cast->play.watches; i++) {
        if (cast->watches[i].watch != NULL) {
            cast_close_watch(cast, &cast->watches[i]);
        }
    }
    for (uint32_t i = 0; i < cast->play.processes; i++) {
        (void)cast_allowed(cast, rollcall_etcd_close(cast->etcds[i]), "rollcall_etcd_close");
    }
    check_nothing_left(cast);
}

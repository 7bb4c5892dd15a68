/*
 * scenarios/ballot_checks.c - what must hold of a ballot, besides what every session keeps:
 *
 * "one-acts"           at no instant two sessions have a token: unless a stranger, or an etcd of
 *                      old, took the key from one, or it was forced from one;
 * "tokens-rise"        each token that is told is higher than all before, of whomever, but for the
 *                      same session's same one again;
 * "tokens-are-true"    it is the revision at which etcd put the active key under that lease;
 * "roles-are-in-order" activate, then ACTIVE, then STANDBY; nothing after close;
 * "refused-is-given-up" a key that the application could not act with does not make it act again;
 * "refused-stands-back" who could not act is not activated again for 5 s, whoever names it; nor
 *                      does it take the key, or two of that kind would pass it on for ever, but by
 *                      a claim that comes late, which takes a fault;
 * "leaves-as-standby"  whoever is told STOPPING has no token by then;
 * "acts-as-told"       where all is told in time, nobody who was told STANDBY last has a token, and
 *                      nobody whose session is not ACTIVE;
 * "gaps-close"         without a fault: within half a second, if somebody can take over, as who
 *                      has resigned can once another has acted; with faults: by the end, a minute
 *                      after the last one;
 * "guard-holds"        what was written by guard was written while the token was valid;
 * "one-answer"         each order is answered once;
 * "ok-is-true"         to force it is answered OK by who has put the key since its last one was
 *                      refused, lost or given up; to hand it over by who has named who was meant.
 */
#include "scenarios/ballot_internal.h"
#include "scenarios/excuse.h"

#include "base/buffer.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    GAP_MS = 500,
    NOTICE_MS = 200,   /* until one that the key is forced from sees that, without a fault */
    ON_ITS_WAY_MS = 50 /* likewise, until a claim that was sent is done */
};

static const struct rollcall__model *model_of(const struct ballot *ballot)
{
    return rollcall__net_model(sim_of(ballot)->net);
}

static bool is_meddled(const struct ballot *ballot)
{
    return scenario_is_meddled(ballot->world);
}

/* ---- what etcd has ---- */

/* The put of the active key at that revision; NULL: there was none. */
static const struct transport_event *put_at(const struct ballot *ballot, int64_t revision)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(ballot), &count);
    for (size_t i = 0; i < count; i++) {
        if (history[i].kind == TRANSPORT_PUT && history[i].kv.mod_revision == revision &&
            rollcall__bytes_equal(history[i].kv.key, rollcall__bytes(ACTIVE_KEY))) {
            return &history[i];
        }
    }
    return NULL;
}

void ballot_check_token(struct ballot_standing *standing, int64_t token)
{
    struct ballot *ballot = standing->ballot;
    struct rollcall_election_info info;
    const struct transport_event *put = put_at(ballot, token);
    const bool late = token < ballot->highest && !ballot->forces &&
                      !is_meddled(ballot); /* else it has not seen yet that it lost the key */
    rollcall_election_get_info(standing->session, &info);
    if (late || (token == ballot->highest && standing->activated != token)) {
        rollcall_world_violate(ballot->world, "tokens-rise",
                               "%s acts with %" PRId64 " after %" PRId64, standing->check.key,
                               token, ballot->highest);
    }
    if (put == NULL || put->kv.lease_id != info.lease_id) {
        rollcall_world_violate(ballot->world, "tokens-are-true",
                               "%s acts with %" PRId64 ", at which it was not given the key",
                               standing->check.key, token);
    }
    ballot->highest = token > ballot->highest ? token : ballot->highest;
    standing->activated = token;
}

/* There was no room, or no memory: what is told lags behind what is. */
static bool is_told_late(const struct ballot *ballot)
{
    const uint64_t *taken = sim_of(ballot)->faults.taken;
    return taken[ROLLCALL_FAULT_FULL] != 0 || taken[ROLLCALL_FAULT_MEMORY] != 0;
}

/* ---- what was asked ---- */

void ballot_note_order(struct ballot_standing *standing, enum ballot_order order, int64_t to)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(standing->session, &info);
    standing->asked = (struct ballot_asked){.order = order,
                                            .to = to,
                                            .lease_id = info.lease_id,
                                            .activated = standing->activated,
                                            .void_token = standing->void_token};
}

/* It may have held it as it was asked, for all it knew: by a token that was not void. */
static bool has_put(const struct ballot *ballot, const struct ballot_asked *asked)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(ballot), &count);
    for (size_t i = 0; i < count; i++) {
        const struct transport_kv *kv = &history[i].kv;
        if (history[i].kind == TRANSPORT_PUT && kv->lease_id == asked->lease_id &&
            kv->mod_revision > asked->void_token &&
            rollcall__bytes_equal(kv->key, rollcall__bytes(ACTIVE_KEY))) {
            return true;
        }
    }
    return false;
}

/* In a revision that deletes the active key, the receiver's own is put again: perhaps just before
 * it was asked, for it had refused and did not know yet that it was given. */
static bool has_named(const struct ballot *ballot, const struct ballot_asked *asked)
{
    char key[sizeof ACTIVE_KEY + 24];
    size_t count;
    const struct rollcall__model *model = model_of(ballot);
    const struct transport_event *history = rollcall__model_history(model, &count);
    snprintf(key, sizeof key, ACTIVE_KEY "-%" PRId64, asked->to);
    for (size_t i = 0; i < count; i++) {
        const int64_t revision = history[i].kv.mod_revision;
        if (history[i].kind == TRANSPORT_DELETE && revision > asked->void_token &&
            rollcall__bytes_equal(history[i].kv.key, rollcall__bytes(ACTIVE_KEY))) {
            const struct transport_kv *receiver =
                rollcall__model_find(model, rollcall__bytes(key), revision);
            if (receiver != NULL && receiver->mod_revision == revision) {
                return true;
            }
        }
    }
    return false;
}

void ballot_check_order(struct ballot_standing *standing)
{
    const struct ballot_asked *asked = &standing->asked;
    struct rollcall_session_info info;
    rollcall_session_get_info(standing->session, &info);
    if (info.lease_id != asked->lease_id || is_told_late(standing->ballot)) {
        return; /* nobody can tell under which lease it was done */
    }
    if (asked->order == BALLOT_FORCE && !has_put(standing->ballot, asked)) {
        rollcall_world_violate(standing->ballot->world, "ok-is-true",
                               "%s has forced the key, and has not put it since %" PRId64,
                               standing->check.key, asked->void_token);
    }
    if (asked->order == BALLOT_HAND_OVER && !has_named(standing->ballot, asked)) {
        rollcall_world_violate(standing->ballot->world, "ok-is-true",
                               "%s has handed over to %" PRId64 ", and has not named that one",
                               standing->check.key, asked->to);
    }
}

/* ---- at any moment ---- */

/* A claim may reach etcd long after it was sent, or what has told of a refusal the process. */
static bool is_late(const struct ballot *ballot)
{
    static const enum rollcall_fault LATE[] = {
        ROLLCALL_FAULT_DELAY,  ROLLCALL_FAULT_REPEAT_REQUEST, ROLLCALL_FAULT_STALL,
        ROLLCALL_FAULT_LEADER, ROLLCALL_FAULT_ISOLATE,        ROLLCALL_FAULT_KILL,
        ROLLCALL_FAULT_PAUSE,  ROLLCALL_FAULT_SUSPEND,        ROLLCALL_FAULT_FULL,
        ROLLCALL_FAULT_MEMORY, ROLLCALL_FAULT_CRASH,
    };
    for (size_t i = 0; i < sizeof LATE / sizeof LATE[0]; i++) {
        if (sim_of(ballot)->faults.taken[LATE[i]] != 0) {
            return true;
        }
    }
    return is_meddled(ballot);
}

static bool must_stand_back(const struct ballot *ballot, const struct ballot_standing *standing)
{
    return standing->session != NULL && !standing->forces && !standing->marked &&
           now_ms(ballot) < standing->back_until_ms &&
           now_ms(ballot) >= standing->back_from_ms + ON_ITS_WAY_MS;
}

static void check_back(const struct ballot *ballot)
{
    const struct transport_kv *active =
        rollcall__model_find(model_of(ballot), rollcall__bytes(ACTIVE_KEY), INT64_MAX);
    for (uint32_t i = 0; i < BALLOT_STANDINGS && active != NULL && !is_late(ballot); i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        struct rollcall_session_info info;
        if (!must_stand_back(ballot, standing)) {
            continue;
        }
        rollcall_session_get_info(standing->session, &info);
        if (active->lease_id == info.lease_id && active->mod_revision > standing->refused) {
            rollcall_world_violate(ballot->world, "refused-stands-back",
                                   "%s has taken the key by %" PRId64
                                   " ms, and has refused at %" PRId64,
                                   standing->check.key, now_ms(ballot), standing->back_from_ms);
        }
    }
}

void ballot_check(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    int64_t high = 0, low = 0;
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        const int64_t token =
            standing->session == NULL ? 0 : rollcall_election_token(standing->session);
        if (token > high) {
            low = high;
            high = token;
        } else if (token > low) {
            low = token;
        }
    }
    ballot->two_ms = low == 0                      ? INT64_MAX
                     : ballot->two_ms == INT64_MAX ? now_ms(ballot)
                                                   : ballot->two_ms;
    check_back(ballot);
    const bool excused = is_meddled(ballot) || (ballot->forces && rollcall_world_faulty(world)) ||
                         (ballot->forces && now_ms(ballot) - NOTICE_MS < ballot->two_ms);
    if (low != 0 && !excused) {
        rollcall_world_violate(world, "one-acts",
                               "%" PRId64 " and %" PRId64 " are both believed in", low, high);
    }
    const bool vacant =
        high == 0 &&
        rollcall__model_find(model_of(ballot), rollcall__bytes(ACTIVE_KEY), INT64_MAX) == NULL;
    ballot->vacant_ms = !vacant                          ? INT64_MAX
                        : ballot->vacant_ms == INT64_MAX ? now_ms(ballot)
                                                         : ballot->vacant_ms;
}

/* Without a fault nothing takes longer than it must. */
static void check_gap(struct ballot *ballot)
{
    int64_t from_ms = INT64_MAX;
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        if (standing->session != NULL && !standing->marked && !standing->refuses &&
            standing->stands_from_ms < from_ms) {
            from_ms = standing->stands_from_ms;
        }
    }
    from_ms = from_ms == INT64_MAX || ballot->vacant_ms == INT64_MAX ? INT64_MAX
              : from_ms > ballot->vacant_ms                          ? from_ms
                                                                     : ballot->vacant_ms;
    if (from_ms != INT64_MAX && now_ms(ballot) > from_ms + GAP_MS &&
        !rollcall_world_faulty(ballot->world)) {
        rollcall_world_violate(ballot->world, "gaps-close",
                               "nobody acts at %" PRId64 " ms, and somebody could since %" PRId64,
                               now_ms(ballot), from_ms);
    }
}

/* What was told lags behind what is only in those cases, or where a process does not run. */
static void check_told(struct ballot *ballot)
{
    const struct rollcall_sim *sim = sim_of(ballot);
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        struct rollcall_session_info info = {.state = ROLLCALL_SESSION_STOPPED};
        const int64_t token =
            standing->session == NULL ? 0 : rollcall_election_token(standing->session);
        if (standing->session != NULL) {
            rollcall_session_get_info(standing->session, &info);
        }
        if (token != 0 && (standing->told != token || info.state != ROLLCALL_SESSION_ACTIVE) &&
            !is_told_late(ballot) && sim->frozen_until_ms[2 * standing->process] <= sim->now_ms) {
            rollcall_world_violate(ballot->world, "acts-as-told",
                                   "%s has %" PRId64 ", was told %" PRId64 " last, and is %s",
                                   standing->check.key, token, standing->told,
                                   rollcall_session_state_name(info.state));
        }
    }
}

void ballot_settled(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    (void)world;
    check_gap(ballot);
    check_told(ballot);
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        struct ballot_standing *standing = &ballot->standings[i];
        struct rollcall_session_info info;
        if (standing->session != NULL) {
            rollcall__check_session_at_rest(&standing->check);
            rollcall_session_get_info(standing->session, &info);
            rollcall__check_session_info(&standing->check, &info);
        }
    }
}

/* ---- the end ---- */

/* What was written by guard was written by whoever had the active key then, with the token of
 * then. */
static void check_written(struct ballot *ballot)
{
    size_t count;
    const struct rollcall__model *model = model_of(ballot);
    const struct transport_event *history = rollcall__model_history(model, &count);
    int64_t last = 0;
    for (size_t i = 0; i < count; i++) {
        const struct transport_kv *kv = &history[i].kv;
        int64_t token = 0;
        if (history[i].kind != TRANSPORT_PUT ||
            !rollcall__bytes_equal(kv->key, rollcall__bytes(REGISTER_KEY))) {
            continue;
        }
        for (size_t k = 0; k < kv->value.size_bytes && kv->value.data[k] != ' '; k++) {
            token = token * 10 + (kv->value.data[k] - '0');
        }
        const struct transport_kv *active =
            rollcall__model_find(model, rollcall__bytes(ACTIVE_KEY), kv->mod_revision);
        const struct transport_event *won = put_at(ballot, token);
        if (token < last || active == NULL || won == NULL || won->kv.lease_id != active->lease_id ||
            won->kv.create_revision != active->create_revision) {
            rollcall_world_violate(ballot->world, "guard-holds",
                                   "%.*s was written at %" PRId64 " after token %" PRId64,
                                   (int)kv->value.size_bytes, kv->value.data, kv->mod_revision,
                                   last);
        }
        last = token;
    }
}

static bool should_act(const struct ballot_standing *standing)
{
    struct rollcall_session_info info;
    if (standing->session == NULL) {
        return false;
    }
    rollcall_session_get_info(standing->session, &info);
    return info.state == ROLLCALL_SESSION_ACTIVE && !info.stopping;
}

static void check_roles(struct ballot *ballot)
{
    const struct transport_kv *active =
        rollcall__model_find(model_of(ballot), rollcall__bytes(ACTIVE_KEY), INT64_MAX);
    const bool strange = sim_of(ballot)->faults.taken[ROLLCALL_FAULT_STRANGER] != 0;
    uint32_t acting = 0, could = 0;
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        struct rollcall_election_info info = {.token = 0};
        could += should_act(standing);
        if (standing->session != NULL) {
            rollcall_election_get_info(standing->session, &info);
        }
        acting += info.token != 0;
        if (info.token != 0 && (active == NULL || active->lease_id != info.lease_id ||
                                active->create_revision != info.create_revision)) {
            rollcall_world_violate(ballot->world, "tokens-are-true",
                                   "%s has %" PRId64 ", and the active key is not its",
                                   standing->check.key, info.token);
        }
        if (standing->orders != 0) {
            rollcall_world_violate(ballot->world, "one-answer",
                                   "%s: %" PRIu64 " orders have no answer", standing->check.key,
                                   standing->orders);
        }
    }
    if (acting > 1 || (acting == 0 && could != 0 && !(strange && active != NULL))) {
        rollcall_world_violate(ballot->world, "gaps-close",
                               "%u act in the end, and %u stand for it", acting, could);
    }
}

void ballot_check_end(struct ballot *ballot)
{
    check_roles(ballot);
    check_written(ballot);
    if (ballot->writes != 0) {
        rollcall_world_violate(ballot->world, "one-answer", "%" PRIu64 " writes have no answer",
                               ballot->writes);
    }
}

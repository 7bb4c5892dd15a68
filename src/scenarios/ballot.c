/*
 * scenarios/ballot.c - see ballot.h.  What must hold, besides what every session keeps:
 *
 * "one-acts"           at no instant two sessions have a token: unless a stranger, or an etcd of
 *                      old, took the key from one, or it was forced from one;
 * "tokens-rise"        each token that is told is higher than all before, of whomever, but for the
 *                      same session's same one again;
 * "tokens-are-true"    it is the revision at which etcd put the active key under that lease;
 * "roles-are-in-order" activate, then ACTIVE, then STANDBY; nothing after close;
 * "acts-as-told"       where all is told in time, nobody who was told STANDBY last has a token;
 * "gaps-close"         without a fault: within half a second, if somebody can take over; with
 *                      faults: by the end, a minute after the last one;
 * "guard-holds"        what was written by guard was written while the token was valid;
 * "one-answer"         each order is answered once.
 */
#include "scenarios/ballot.h"

#include "base/buffer.h"
#include "sim/sim.h"

#include <rollcall/admin.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TTL_S = 5,
    CLOSE_MS = 8000,
    CALL_MS = 4000,
    SERVER_ID_MIN = 10,
    BACK_MS = 5200, /* who gave it up stands back for 5 s */
    GAP_MS = 500,
    NOTICE_MS = 200 /* until one that the key is forced from sees that, without a fault */
};
#define ROOT "by-dev/meta"
#define ROLE "rootcoord"
#define ACTIVE_KEY ROOT "/session/" ROLE
#define REGISTER_KEY ROOT "/register"

static uint64_t draw(const struct ballot *ballot, uint64_t below)
{
    return rollcall_world_random(ballot->world, below);
}

static const struct rollcall_sim *sim_of(const struct ballot *ballot)
{
    return rollcall_world_sim(ballot->world);
}

static int64_t now_ms(const struct ballot *ballot)
{
    return sim_of(ballot)->now_ms;
}

static const struct rollcall__model *model_of(const struct ballot *ballot)
{
    return rollcall__net_model(sim_of(ballot)->net);
}

/* A call that must not fail, but for want of memory or room: each under a fault of that kind. */
static bool allowed(const struct ballot *ballot, enum rollcall_status status, const char *call)
{
    const uint64_t *taken = sim_of(ballot)->faults.taken;
    if (status != ROLLCALL_OK && !(status == ROLLCALL_E_FULL && taken[ROLLCALL_FAULT_FULL] != 0) &&
        !(status == ROLLCALL_E_NO_MEMORY && taken[ROLLCALL_FAULT_MEMORY] != 0) &&
        !(status == ROLLCALL_E_ACTOR && taken[ROLLCALL_FAULT_CRASH] != 0)) {
        rollcall_world_violate(ballot->world, "calls-are-answered", "%s answered %s", call,
                               rollcall_status_name(status));
    }
    return status == ROLLCALL_OK;
}

/* Somebody takes what is not his: a key, or a lease, or it is a token of two. */
static bool is_meddled(const struct ballot *ballot)
{
    const struct rollcall_sim *sim = sim_of(ballot);
    return sim->faults.taken[ROLLCALL_FAULT_STRANGER] != 0 ||
           sim->faults.taken[ROLLCALL_FAULT_REVOKE] != 0 ||
           sim->faults.taken[ROLLCALL_FAULT_REPEAT_ANSWER] != 0 ||
           (sim->quirks & ROLLCALL__QUIRK_OLD_LEADER_REVOKES) != 0;
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

/* ---- what is told ---- */

static void check_token(struct ballot_standing *standing, int64_t token)
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

static enum rollcall_status activate(void *user, int64_t token)
{
    struct ballot_standing *standing = user;
    struct ballot *ballot = standing->ballot;
    if (standing->check.closed || standing->told != 0) {
        rollcall_world_violate(ballot->world, "roles-are-in-order", "%s is activated %s",
                               standing->check.key, standing->told != 0 ? "twice" : "after close");
    }
    if (standing->session == NULL) {
        return ROLLCALL_OK; /* start has not returned yet */
    }
    check_token(standing, token);
    ballot->takeovers++;
    if (standing->refuses) {
        standing->refuses = false;
        standing->stands_from_ms = now_ms(ballot) + BACK_MS;
        return ROLLCALL_E_SYSTEM;
    }
    return ROLLCALL_OK;
}

static void on_role(void *user, const struct rollcall_role_event *event)
{
    struct ballot_standing *standing = user;
    const bool active = event->role == ROLLCALL_ROLE_ACTIVE;
    if (standing->check.closed || (active && event->token != standing->activated) ||
        (active && standing->told != 0) || (!active && event->token != 0)) {
        rollcall_world_violate(standing->ballot->world, "roles-are-in-order",
                               "%s is told %s with %" PRId64, standing->check.key,
                               rollcall_role_name(event->role), event->token);
    }
    standing->announced = true;
    standing->told = event->token;
}

static void on_session(void *user, const struct rollcall_session_event *event)
{
    struct ballot_standing *standing = user;
    rollcall__check_session_event(&standing->check, event);
    standing->failed = event->state == ROLLCALL_SESSION_FAILED;
    if (event->state == ROLLCALL_SESSION_LOST || event->state == ROLLCALL_SESSION_SUSPECT ||
        event->state == ROLLCALL_SESSION_STOPPING) {
        standing->stands_from_ms = INT64_MAX;
    } else if (event->state == ROLLCALL_SESSION_ACTIVE) {
        standing->stands_from_ms = now_ms(standing->ballot);
        standing->server_id = event->info.server_id;
    }
}

static void on_ordered(void *user, const struct rollcall_error *error)
{
    struct ballot_standing *standing = user;
    (void)error;
    if (standing->orders == 0) {
        rollcall_world_violate(standing->ballot->world, "one-answer",
                               "%s: an order was answered twice, or after close",
                               standing->check.key);
        return;
    }
    standing->orders--;
}

static void on_written(void *user, const struct rollcall_error *error)
{
    struct ballot *ballot = user;
    (void)error;
    if (ballot->writes-- == 0) {
        rollcall_world_violate(ballot->world, "one-answer", "a write was answered twice");
    }
}

static void ignore(void *user, const struct rollcall_error *error)
{
    (void)user, (void)error;
}

/* ---- what they do ---- */

static void stand(struct ballot *ballot, struct ballot_standing *standing)
{
    const uint32_t process = (uint32_t)(standing - ballot->standings) % BALLOT_PROCESSES;
    struct rollcall_session_options options = {.size_bytes = sizeof options,
                                               .root = ROOT,
                                               .role = ROLE,
                                               .address = "127.0.0.1:53100",
                                               .host_name = "host",
                                               .ttl_s = TTL_S,
                                               .retries = 10,
                                               .connect_timeout_ms = 20000,
                                               .on_event = on_session,
                                               .user = standing};
    *standing = (struct ballot_standing){.ballot = ballot,
                                         .process = process,
                                         .stands_from_ms = INT64_MAX,
                                         .reregisters = draw(ballot, 2) == 0,
                                         .check = {.world = ballot->world, .process = process}};
    options.on_lost = standing->reregisters ? ROLLCALL_ON_LOST_REREGISTER : ROLLCALL_ON_LOST_STOP;
    options.election =
        ROLLCALL_ELECTION_OPTIONS(.activate = activate, .on_role = on_role, .user = standing);
    if (!allowed(ballot,
                 rollcall_session_start(ballot->etcds[process], &options, &standing->session, NULL),
                 "rollcall_session_start")) {
        standing->session = NULL;
    }
}

static void close_one(struct ballot *ballot, struct ballot_standing *standing, int64_t timeout_ms)
{
    const enum rollcall_status status = rollcall_session_close(standing->session, timeout_ms);
    standing->session = NULL;
    standing->orders = 0;
    standing->stands_from_ms = INT64_MAX;
    standing->told = 0;
    rollcall__check_session_closed(&standing->check, status);
    if (status != ROLLCALL_E_TIMEOUT) {
        (void)allowed(ballot, status, "rollcall_session_close");
    }
}

static void order(struct ballot *ballot, struct ballot_standing *standing)
{
    struct rollcall_session *session = standing->session;
    const struct ballot_standing *other = &ballot->standings[draw(ballot, BALLOT_STANDINGS)];
    enum rollcall_status status;
    switch (draw(ballot, ballot->forces ? 3 : 2)) {
    case 0:
        status = rollcall_election_resign_async(session, on_ordered, standing, NULL);
        break;
    case 1:
        status = rollcall_election_hand_over_async(session, other->server_id, on_ordered, standing,
                                                   NULL);
        break;
    default:
        status = rollcall_election_force_async(session, on_ordered, standing, NULL);
        break;
    }
    if (status == ROLLCALL_OK) {
        standing->orders++;
        standing->stands_from_ms =
            standing->stands_from_ms == INT64_MAX ? INT64_MAX : now_ms(ballot) + BACK_MS;
    } else if (status != ROLLCALL_E_BUSY) {
        (void)allowed(ballot, status, "an order");
    }
}

/* With the token it was told last: whether that is still valid is for etcd to say. */
static void write_by_guard(struct ballot *ballot, struct ballot_standing *standing)
{
    char value[64];
    struct rollcall_election_info info;
    rollcall_election_get_info(standing->session, &info);
    const int size =
        snprintf(value, sizeof value, "%" PRId64 " %" PRId64, standing->activated, info.lease_id);
    const struct rollcall_write write = {.key = rollcall__bytes(REGISTER_KEY),
                                         .value = {value, (size_t)size}};
    const enum rollcall_status status = rollcall_election_write_async(
        standing->session, standing->activated, &write, 1, CALL_MS, on_written, ballot, NULL);
    if (status == ROLLCALL_OK) {
        ballot->writes++;
    } else if (status != ROLLCALL_E_KEY_LOST) {
        (void)allowed(ballot, status, "rollcall_election_write_async");
    }
}

static void leave(struct ballot *ballot, struct ballot_standing *standing)
{
    standing->stands_from_ms = INT64_MAX;
    switch (draw(ballot, 4)) {
    case 0:
        rollcall_session_stop(standing->session);
        standing->asked_to_leave = true;
        break;
    case 1:
        rollcall_session_revoke(standing->session);
        standing->asked_to_leave = true;
        break;
    case 2:
        if (rollcall_session_restart(standing->session, NULL) == ROLLCALL_OK) {
            standing->asked_to_leave = standing->marked = false;
            rollcall__check_session_restarted(&standing->check);
        }
        break;
    default:
        close_one(ballot, standing, draw(ballot, 2) == 0 ? 0 : CLOSE_MS);
        break;
    }
}

static void mark(struct ballot *ballot, struct ballot_standing *standing)
{
    const struct rollcall_target target = {.key = standing->check.key};
    standing->marked = true;
    standing->stands_from_ms = INT64_MAX;
    if (draw(ballot, 2) == 0 || standing->check.key[0] == '\0') {
        (void)allowed(
            ballot, rollcall_session_mark_stopping_async(standing->session, ignore, standing, NULL),
            "rollcall_session_mark_stopping_async");
    } else {
        (void)allowed(ballot,
                      rollcall_mark_stopping_async(ballot->etcds[standing->process], &target,
                                                   CALL_MS, ignore, NULL, NULL),
                      "rollcall_mark_stopping_async");
    }
}

void ballot_begin(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    ballot->world = world;
    ballot->vacant_ms = 0;
    ballot->two_ms = INT64_MAX;
    ballot->forces = draw(ballot, 3) == 0;
    for (uint32_t i = 0; i < BALLOT_PROCESSES; i++) {
        (void)allowed(ballot,
                      rollcall_sim_connect(rollcall_world_sim(world), i, &ballot->etcds[i], NULL),
                      "rollcall_sim_connect");
    }
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        ballot->standings[i].ballot = ballot;
        if (i < BALLOT_PROCESSES || draw(ballot, 2) == 0) {
            stand(ballot, &ballot->standings[i]);
        }
    }
}

/* Mostly whoever acts: most of what can be asked is asked of that one. */
static struct ballot_standing *choose(struct ballot *ballot)
{
    struct ballot_standing *chosen = &ballot->standings[draw(ballot, BALLOT_STANDINGS)];
    for (uint32_t i = 0; i < BALLOT_STANDINGS && draw(ballot, 6) != 0; i++) {
        struct ballot_standing *one = &ballot->standings[i];
        if (one->session != NULL && one->told != 0) {
            chosen = one;
        }
    }
    return chosen;
}

void ballot_act(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    struct ballot_standing *standing =
        draw(ballot, 2) == 0 ? choose(ballot) : &ballot->standings[draw(ballot, BALLOT_STANDINGS)];
    const uint64_t choice = draw(ballot, 24);
    (void)world;
    if (standing->session == NULL) {
        if (choice < 10) {
            stand(ballot, standing);
        }
    } else if (choice < 2) {
        leave(ballot, standing);
    } else if (choice < 8) {
        order(ballot, standing);
    } else if (choice == 8 && draw(ballot, 2) == 0) {
        mark(ballot, standing);
    } else if (choice == 9) {
        standing->refuses = true;
    } else if (choice < 18) {
        write_by_guard(ballot, standing);
    }
}

/* ---- what must hold ---- */

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
    const bool excused = is_meddled(ballot) || (ballot->forces && rollcall_world_faulty(world)) ||
                         (ballot->forces && now_ms(ballot) < ballot->two_ms + NOTICE_MS);
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

/* What was told lags behind what is only where there was no room, or no memory, or a process does
 * not run. */
static void check_told(struct ballot *ballot)
{
    const struct rollcall_sim *sim = sim_of(ballot);
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        const struct ballot_standing *standing = &ballot->standings[i];
        const int64_t token =
            standing->session == NULL ? 0 : rollcall_election_token(standing->session);
        if (token != 0 && standing->told != token && sim->faults.taken[ROLLCALL_FAULT_FULL] == 0 &&
            sim->faults.taken[ROLLCALL_FAULT_MEMORY] == 0 &&
            sim->frozen_until_ms[2 * standing->process] <= sim->now_ms) {
            rollcall_world_violate(ballot->world, "acts-as-told",
                                   "%s has %" PRId64 ", and was told %" PRId64 " last",
                                   standing->check.key, token, standing->told);
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

void ballot_heal(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    (void)world;
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        ballot->standings[i].refuses = false;
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

static void check_end(struct ballot *ballot)
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

void ballot_end(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    struct rollcall_runtime_stats stats;
    struct rollcall_sim *sim = rollcall_world_sim(world);
    check_end(ballot);
    check_written(ballot);
    if (ballot->writes != 0) {
        rollcall_world_violate(world, "one-answer", "%" PRIu64 " writes have no answer",
                               ballot->writes);
    }
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        if (ballot->standings[i].session != NULL) {
            close_one(ballot, &ballot->standings[i], CLOSE_MS);
        }
    }
    for (uint32_t i = 0; i < BALLOT_PROCESSES; i++) {
        (void)allowed(ballot, rollcall_etcd_close(ballot->etcds[i]), "rollcall_etcd_close");
    }
    rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 1000);
    if (rollcall_runtime_stats(rollcall_sim_runtime(sim), &stats) == ROLLCALL_OK &&
        stats.actors != 0) {
        rollcall_world_violate(world, "nothing-left", "%" PRIu64 " actors have not ended",
                               stats.actors);
    }
}

/* scenarios/ballot.c - what they do; what must hold: ballot_checks.c. */
#include "scenarios/ballot.h"

#include "scenarios/ballot_internal.h"
#include "scenarios/excuse.h"

#include "base/buffer.h"

#include <rollcall/admin.h>

#include <inttypes.h>
#include <stdio.h>

enum {
    TTL_S = 5,
    CLOSE_MS = 8000,
    CALL_MS = 4000,
    STAND_BACK_MS = 5000, /* who gave it up, unless it was followed, or is named */
    BACK_MS = STAND_BACK_MS + 200
};
static const enum rollcall_status REFUSAL = ROLLCALL_E_SYSTEM;

static uint64_t draw(const struct ballot *ballot, uint64_t below)
{
    return rollcall_world_random(ballot->world, below);
}

static bool allowed(const struct ballot *ballot, enum rollcall_status status, const char *call)
{
    return scenario_allowed(ballot->world, status, call);
}

/* ---- what is told ---- */

/* Somebody follows, so whoever resigned before can be expected again. */
static void expect_others(struct ballot *ballot, const struct ballot_standing *acting)
{
    for (uint32_t i = 0; i < BALLOT_STANDINGS; i++) {
        struct ballot_standing *one = &ballot->standings[i];
        const int64_t back_ms =
            one->back_until_ms == 0 ? 0 : one->back_until_ms + BACK_MS - STAND_BACK_MS;
        const int64_t from_ms = back_ms > now_ms(ballot) ? back_ms : now_ms(ballot);
        if (one != acting && one->orders == 0 && one->stands_from_ms != INT64_MAX &&
            one->stands_from_ms > from_ms) {
            one->stands_from_ms = from_ms;
        }
    }
}

static void void_up_to(struct ballot_standing *standing, int64_t token)
{
    standing->void_token = token > standing->void_token ? token : standing->void_token;
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
    if (token == standing->refused) {
        rollcall_world_violate(ballot->world, "refused-is-given-up",
                               "%s is activated again with %" PRId64, standing->check.key, token);
    }
    if (now_ms(ballot) < standing->back_until_ms && !standing->forces) {
        rollcall_world_violate(ballot->world, "refused-stands-back",
                               "%s is activated at %" PRId64 " ms, and has refused: not before "
                               "%" PRId64,
                               standing->check.key, now_ms(ballot), standing->back_until_ms);
    }
    ballot_check_token(standing, token);
    ballot->takeovers++;
    expect_others(ballot, standing);
    if (standing->refuses) {
        standing->refuses = false;
        standing->refused = token;
        standing->stands_from_ms = now_ms(ballot) + BACK_MS;
        standing->back_from_ms = now_ms(ballot);
        standing->back_until_ms = now_ms(ballot) + STAND_BACK_MS;
        standing->forces = standing->orders != 0;
        return REFUSAL;
    }
    return ROLLCALL_OK;
}

static void order(struct ballot *ballot, struct ballot_standing *standing);

/* It is told that its refusal was heard: what it asks now comes after that, and mostly while the
 * key is still on its way to another. */
static void note_refusal(struct ballot_standing *standing)
{
    void_up_to(standing, standing->refused);
    if (standing->insists && standing->session != NULL) {
        standing->insists = false;
        order(standing->ballot, standing);
    }
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
    if (event->status == REFUSAL) {
        note_refusal(standing);
    } else if (!active && event->status == ROLLCALL_OK && standing->orders == 0) {
        void_up_to(standing, standing->activated); /* else it may be confirmed, or is kept */
    }
}

static void on_session(void *user, const struct rollcall_session_event *event)
{
    struct ballot_standing *standing = user;
    rollcall__check_session_event(&standing->check, event);
    standing->failed = event->state == ROLLCALL_SESSION_FAILED;
    if (event->state != ROLLCALL_SESSION_SUSPECT && event->state != ROLLCALL_SESSION_ACTIVE) {
        standing->back_until_ms = 0; /* it begins anew */
    }
    if (event->state == ROLLCALL_SESSION_STOPPING && standing->session != NULL &&
        rollcall_election_token(standing->session) != 0) {
        rollcall_world_violate(standing->ballot->world, "leaves-as-standby",
                               "%s is leaving, and acts", standing->check.key);
    }
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
    if (standing->orders == 0) {
        rollcall_world_violate(standing->ballot->world, "one-answer",
                               "%s: an order was answered twice, or after close",
                               standing->check.key);
        return;
    }
    standing->orders--;
    if (error->status == ROLLCALL_OK) {
        ballot_check_order(standing);
        if (standing->asked.order != BALLOT_FORCE) {
            void_up_to(standing, standing->asked.activated);
        }
    }
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

static enum rollcall_status ask(struct ballot_standing *standing, enum ballot_order order,
                                int64_t to)
{
    struct rollcall_session *session = standing->session;
    if (order == BALLOT_RESIGN) {
        return rollcall_election_resign_async(session, on_ordered, standing, NULL);
    }
    if (order == BALLOT_HAND_OVER) {
        return rollcall_election_hand_over_async(session, to, on_ordered, standing, NULL);
    }
    standing->forces = true;
    return rollcall_election_force_async(session, on_ordered, standing, NULL);
}

static void order(struct ballot *ballot, struct ballot_standing *standing)
{
    const int64_t to = ballot->standings[draw(ballot, BALLOT_STANDINGS)].server_id;
    const enum ballot_order order =
        (enum ballot_order)draw(ballot, ballot->forces ? BALLOT_ORDERS : BALLOT_FORCE);
    const enum rollcall_status status = ask(standing, order, to);
    if (status == ROLLCALL_OK) {
        ballot_note_order(standing, order, to);
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
    ballot->forces = draw(ballot, 2) == 0;
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
        for (uint32_t i = 0; i < BALLOT_STANDINGS && ballot->forces && choice == 7; i++) {
            if (ballot->standings[i].session != NULL) { /* several at once */
                order(ballot, &ballot->standings[i]);
            }
        }
    } else if (choice == 8 && draw(ballot, 2) == 0) {
        mark(ballot, standing);
    } else if (choice == 9) {
        standing->refuses = true;
        standing->insists = draw(ballot, 4) == 0;
    } else if (choice < 18) {
        write_by_guard(ballot, standing);
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

void ballot_end(struct rollcall_world *world, void *state)
{
    struct ballot *ballot = state;
    struct rollcall_runtime_stats stats;
    struct rollcall_sim *sim = rollcall_world_sim(world);
    ballot_check_end(ballot);
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

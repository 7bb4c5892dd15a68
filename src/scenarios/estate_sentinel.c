/*
 * scenarios/estate_sentinel.c - an actor that is a sentinel: what it sees it is told to look at,
 * what it concludes is sentinel/verdict.h's, and what it revokes with are the errands of the real
 * one.
 *
 *    UNBORN --BORN--> WATCHING --a verdict--> REVOKING --the last EVENT or DOWN--> END
 *    UNBORN --BORN, and the owner is dead--> END;   WATCHING --dismissed--> END
 */
#include "scenarios/estate_internal.h"

#include "actors/application.h"
#include "api/connection.h"
#include "api/errand.h"

enum { HELD_MAX = ESTATE_HOLDERS_MAX, PAUSE_MIN_MS = 100, DOUBLINGS_MAX = 6 };

/* What an errand tells comes first: it takes its parent for an application. */
#define SENTINEL_LIST(X)                                                                           \
    APPLICATION_LIST(X)                                                                            \
    X(SENTINEL_LOOK, 0) /* from outside: something has changed */                                  \
    X(SENTINEL_BORN, 0) /* timer */                                                                \
    X(SENTINEL_DUE, 0)  /* timer: it is time to look */
enum sentinel_message { SENTINEL_LOOK = APPLICATION_COUNT, SENTINEL_BORN, SENTINEL_DUE, COUNT };
enum state { UNBORN, WATCHING, REVOKING, STATES };

struct sentinel_options {
    struct estate *estate; /* borrowed: it outlives the simulation */
    struct estate_sentinel *record;
    int64_t delay_ms;
};

struct sentinel {
    const struct sentinel_options *options;
    struct rollcall__judgement judgement;
};

static struct estate_owner *owner_of(const struct sentinel *se)
{
    return &se->options->estate->owners[se->options->record->owner];
}

static int end(const struct sentinel *se)
{
    se->options->record->ended = true;
    return ROLLCALL_END;
}

/* ---- revoking ---- */

static bool begin_errand(struct rollcall_context *cx, const struct sentinel *se,
                         const struct rollcall__revocation *revocation)
{
    const struct estate *estate = se->options->estate;
    struct rollcall_ref ref;
    const struct errand_options options = {
        .config = rollcall__errand_revocation(estate->host, revocation),
        .application = rollcall_self(cx),
        .transport = rollcall__etcd_control(estate->host),
        .allocator = rollcall__etcd_allocator(estate->host)};
    return options.config != NULL &&
           rollcall_spawn(cx,
                          ROLLCALL_SPAWN_OPTIONS(.type = &errand_type, .options = &options,
                                                 .restart = ROLLCALL_TEMPORARY),
                          &ref) == ROLLCALL_OK;
}

static int revoke_all(struct rollcall_context *cx, const struct sentinel *se)
{
    struct rollcall__held_lease held[HELD_MAX];
    struct estate_sentinel *record = se->options->record;
    const int64_t now_ms = rollcall_now_ms(cx);
    const size_t count = rollcall__ledger_held(owner_of(se)->view, held, HELD_MAX);
    estate_check_verdict(se->options->estate, record);
    for (size_t i = 0; i < count; i++) {
        const struct rollcall__revocation one = rollcall__revocation_of(&held[i], now_ms, now_ms);
        estate_check_revocation(se->options->estate, record, one.lease_id);
        if (begin_errand(cx, se, &one)) {
            record->revoking++;
        } else {
            record->hindered = true;
        }
    }
    return record->revoking == 0 ? end(se) : REVOKING;
}

static int finish_one(const struct sentinel *se)
{
    return --se->options->record->revoking == 0 ? end(se) : ROLLCALL_STAY;
}

static int on_told(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct sentinel *se = self;
    const struct errand_result *result = (const struct errand_result *)message->object;
    (void)cx;
    se->options->record->hindered |= result->error.status == ROLLCALL_E_NO_MEMORY;
    return finish_one(se);
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct sentinel *se = self;
    const struct rollcall_down *down = message->payload;
    if (down->reason != ROLLCALL_DOWN_FAILED) {
        return ROLLCALL_STAY;
    }
    rollcall_stop(cx, down->who);
    se->options->record->hindered = true;
    return finish_one(se);
}

/* ---- looking ---- */

static int look(struct rollcall_context *cx, struct sentinel *se)
{
    const struct estate_owner *owner = owner_of(se);
    const bool dead = owner->died_ms != INT64_MAX;
    const struct rollcall__sight sight = {.owner_dead = dead,
                                          .let_go = se->options->record->let_go,
                                          .companion = owner->handed_over,
                                          .companion_dead = !owner->companion_lives};
    const enum rollcall__verdict verdict =
        rollcall__judge(&se->judgement, &sight, owner->view, rollcall_now_ms(cx));
    if (verdict == ROLLCALL__VERDICT_DEAD) {
        return revoke_all(cx, se);
    }
    if (verdict == ROLLCALL__VERDICT_DISMISSED) {
        return end(se);
    }
    if (se->judgement.until_ms != INT64_MAX) {
        rollcall_timer_set(cx, SENTINEL_DUE, se->judgement.until_ms);
    }
    return ROLLCALL_STAY;
}

static int on_look(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return look(cx, self);
}

/* Who is dead by then starts nobody. */
static int on_born(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct sentinel *se = self;
    (void)cx, (void)message;
    if (owner_of(se)->died_ms != INT64_MAX || se->options->record->let_go) {
        return end(se);
    }
    se->options->record->born = true;
    return WATCHING;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct sentinel *se = self;
    se->options = options;
    se->judgement = (struct rollcall__judgement){.until_ms = INT64_MAX};
    if (se->options->delay_ms == 0) {
        se->options->record->born = true;
        return WATCHING;
    }
    rollcall_timer_set(cx, SENTINEL_BORN, rollcall_now_ms(cx) + se->options->delay_ms);
    return UNBORN;
}

/* clang-format off */
static const struct rollcall_cell TABLE[STATES][COUNT] = {
    [UNBORN]  [SENTINEL_LOOK]     = {rollcall_ignore, 0},
    [UNBORN]  [SENTINEL_BORN]     = {on_born,         ROLLCALL_TO(WATCHING)},

    [WATCHING][SENTINEL_LOOK]     = {on_look,         ROLLCALL_TO(REVOKING)},
    [WATCHING][SENTINEL_DUE]      = {on_look,         ROLLCALL_TO(REVOKING)},

    [REVOKING][SENTINEL_LOOK]     = {rollcall_ignore, 0},
    [REVOKING][SENTINEL_DUE]      = {rollcall_ignore, 0},
    [REVOKING][APPLICATION_EVENT] = {on_told,         0},
    [REVOKING][ROLLCALL_DOWN]     = {on_down,         0},
};
/* clang-format on */
static const char *const STATE_NAMES[STATES] = {"UNBORN", "WATCHING", "REVOKING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(SENTINEL_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SENTINEL_LIST);
static const struct rollcall_actor_type sentinel_type = {
    .name = "sentinel",
    .self_size_bytes = sizeof(struct sentinel),
    .options_size_bytes = sizeof(struct sentinel_options),
    .init = init,
    .state_count = STATES,
    .message_count = COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

/* ---- what the scenario does with them ---- */

void estate_sentinel_start(struct estate *estate, uint32_t owner, int64_t delay_ms)
{
    struct rollcall_sim *sim = sim_of(estate);
    if (estate->sentinel_count == ESTATE_SENTINELS_MAX) {
        return;
    }
    struct estate_sentinel *record = &estate->sentinels[estate->sentinel_count];
    const struct sentinel_options options = {
        .estate = estate, .record = record, .delay_ms = delay_ms};
    *record = (struct estate_sentinel){.owner = owner};
    const enum rollcall_status status = rollcall_runtime_spawn(
        rollcall_sim_runtime(sim), 2 * ESTATE_HOST,
        ROLLCALL_SPAWN_OPTIONS(.type = &sentinel_type, .options = &options), &record->ref, NULL);
    if (status != ROLLCALL_OK) {
        rollcall_world_violate(estate->world, "calls-are-answered", "no sentinel: %s",
                               rollcall_status_name(status));
        return;
    }
    estate->sentinel_count++;
    estate->owners[owner].starts++;
}

void estate_sentinel_kill(struct estate *estate, struct estate_sentinel *sentinel)
{
    struct estate_owner *owner = &estate->owners[sentinel->owner];
    const uint32_t before = owner->starts < DOUBLINGS_MAX ? owner->starts : DOUBLINGS_MAX;
    sentinel->ended = true;
    rollcall_runtime_stop(rollcall_sim_runtime(sim_of(estate)), sentinel->ref);
    if (is_dead(estate, sentinel->owner)) {
        owner->guarded = false;
    } else if (owner->etcd != NULL && !sentinel->let_go) {
        estate_sentinel_start(estate, sentinel->owner, (int64_t)PAUSE_MIN_MS << (before - 1));
    }
}

static void tell_to_look(struct estate *estate, struct estate_sentinel *sentinel)
{
    sentinel->to_look = !sentinel->ended &&
                        rollcall_runtime_send(rollcall_sim_runtime(sim_of(estate)), sentinel->ref,
                                              SENTINEL_LOOK, NULL, 0, NULL) != ROLLCALL_OK;
}

void estate_sentinels_look(struct estate *estate, uint32_t owner)
{
    for (uint32_t i = 0; i < estate->sentinel_count; i++) {
        if (estate->sentinels[i].owner == owner) {
            tell_to_look(estate, &estate->sentinels[i]);
        }
    }
}

void estate_sentinels_look_again(struct estate *estate)
{
    for (uint32_t i = 0; i < estate->sentinel_count; i++) {
        if (estate->sentinels[i].to_look) {
            tell_to_look(estate, &estate->sentinels[i]);
        }
    }
}

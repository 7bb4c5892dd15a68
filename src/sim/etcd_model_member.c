/*
 * sim/etcd_model_member.c - members, elections, each member's place in the history.
 *
 * A leader leads while it is up with a quorum.  When it cannot, an election is set 1.0 to 1.6 s on;
 * a leader that is back before that goes on as if nothing had been.  A lone member is its own
 * quorum, and leads whenever it is up.
 */
#include "sim/etcd_model_internal.h"

#include "base/assert.h"

static int64_t draw_ms(struct rollcall__model *model, int64_t least_ms, uint64_t spread_ms)
{
    return model->now_ms + least_ms + (int64_t)rollcall__random_below(&model->random, spread_ms);
}

static bool takes_part(const struct rollcall__model *model, uint32_t member)
{
    const enum rollcall__member_state state = model->members[member].state;
    return state == ROLLCALL__MEMBER_UP || state == ROLLCALL__MEMBER_UNREACHED ||
           (state == ROLLCALL__MEMBER_ISOLATED && model->options.members == 1);
}

static bool has_quorum(const struct rollcall__model *model)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < model->options.members; i++) {
        count += takes_part(model, i);
    }
    return 2 * count > model->options.members;
}

bool rollcall__model_has_leader(const struct rollcall__model *model, uint32_t member)
{
    ROLLCALL_ASSERT(member < model->options.members);
    return model->leading && takes_part(model, member);
}

int rollcall__model_leader(const struct rollcall__model *model)
{
    return model->leading ? model->leader : -1;
}

/* ---- places ---- */

void rollcall__model_member_catch_up(struct rollcall__model *model, uint32_t member)
{
    struct rollcall__model_member *at = &model->members[member];
    at->catch_up_ms = INT64_MAX;
    at->thawed = false;
    if (at->revision != model->revision) {
        at->revision = model->revision;
        at->change_count = model->history_count;
        rollcall__model_watches_seek(model, member);
    }
    if (at->compacted != model->compacted) {
        rollcall__model_watches_secure(model, member);
        at->compacted = model->compacted;
        rollcall__model_watches_seek(model, member); /* what it took away is not told */
    }
}

static bool lags(const struct rollcall__model *model, uint32_t member)
{
    const struct rollcall__model_member *at = &model->members[member];
    return at->revision != model->revision || at->compacted != model->compacted;
}

/* Whoever lags, and is reached by the leader, will not for long. */
static void follow_within(struct rollcall__model *model, int64_t least_ms, uint64_t spread_ms)
{
    for (uint32_t i = 0; i < model->options.members; i++) {
        struct rollcall__model_member *at = &model->members[i];
        if (lags(model, i) && rollcall__model_has_leader(model, i) &&
            at->catch_up_ms == INT64_MAX) {
            at->catch_up_ms = draw_ms(model, least_ms, spread_ms);
        }
    }
}

void rollcall__model_members_follow(struct rollcall__model *model)
{
    rollcall__model_member_catch_up(model, (uint32_t)model->leader);
    follow_within(model, 0, MODEL_APPLY_SPREAD_MS);
}

/* ---- leaders ---- */

/* Every member that runs notices whether it has a leader. */
static void notice(struct rollcall__model *model)
{
    for (uint32_t i = 0; i < model->options.members; i++) {
        struct rollcall__model_member *at = &model->members[i];
        const bool runs =
            at->state != ROLLCALL__MEMBER_FROZEN && at->state != ROLLCALL__MEMBER_DOWN;
        if (!runs || rollcall__model_has_leader(model, i)) {
            at->cut_ms = INT64_MAX;
            at->watches_end_ms = INT64_MAX;
        } else if (at->cut_ms == INT64_MAX) {
            at->cut_ms = model->now_ms;
            at->watches_end_ms = draw_ms(model, MODEL_NO_LEADER_MIN_MS, MODEL_NO_LEADER_SPREAD_MS);
        }
        if (!rollcall__model_has_leader(model, i)) {
            at->catch_up_ms = INT64_MAX;
        }
    }
    follow_within(model, 1, MODEL_REJOIN_SPREAD_MS);
}

static void promote(struct rollcall__model *model, uint32_t member)
{
    const int old = model->leader;
    if (old >= 0 && model->members[old].state == ROLLCALL__MEMBER_FROZEN) {
        rollcall__model_leases_remember(model);
        model->frozen_leader = old;
    }
    model->leader = (int)member;
    model->raft_term++;
    model->leading = true;
    model->election_ms = INT64_MAX;
    rollcall__model_member_catch_up(model, member);
    rollcall__model_leases_extend(model);
    notice(model);
}

/* One of those that take part, are not `but`, and have seen the most. */
static int choose(struct rollcall__model *model, int but)
{
    int best = -1;
    uint64_t equals = 0;
    for (uint32_t i = 0; i < model->options.members; i++) {
        if (!takes_part(model, i) || (int)i == but) {
            continue;
        }
        const int64_t more =
            best < 0 ? 1 : model->members[i].revision - model->members[best].revision;
        equals = more > 0 ? 1 : equals + (more == 0);
        if (more > 0 || (more == 0 && rollcall__random_below(&model->random, equals) == 0)) {
            best = (int)i;
        }
    }
    return best;
}

static void elect(struct rollcall__model *model)
{
    model->election_ms = INT64_MAX;
    if (has_quorum(model)) {
        promote(model, (uint32_t)choose(model, -1));
    } else {
        model->leader = -1;
    }
}

/* The old leader was away for less than an election, or is back from a pause. */
static void resume(struct rollcall__model *model)
{
    model->leading = true;
    model->election_ms = INT64_MAX;
    rollcall__model_lease_check_now(model);
}

/* After a change of some member's state. */
static void judge(struct rollcall__model *model)
{
    const bool quorum = has_quorum(model);
    const bool can_lead =
        model->leader >= 0 && takes_part(model, (uint32_t)model->leader) && quorum;
    if (can_lead && !model->leading) {
        resume(model);
    } else if (!can_lead) {
        const bool lost = model->leading;
        model->leading = false;
        if (model->options.members == 1) {
            if (quorum) {
                promote(model, 0);
            }
        } else if (model->election_ms == INT64_MAX && (lost || quorum)) {
            model->election_ms = draw_ms(model, MODEL_ELECTED_MIN_MS, MODEL_ELECTED_SPREAD_MS);
        }
    }
    notice(model);
}

void rollcall__model_set_member(struct rollcall__model *model, uint32_t member,
                                enum rollcall__member_state state, int64_t now_ms)
{
    ROLLCALL_ASSERT(member < model->options.members);
    rollcall__model_advance(model, now_ms);
    struct rollcall__model_member *at = &model->members[member];
    if (at->state == state) {
        return;
    }
    const bool thawed = at->state == ROLLCALL__MEMBER_FROZEN;
    at->state = state;
    if (state == ROLLCALL__MEMBER_DOWN) {
        rollcall__model_watches_break(model, member);
        if (model->leader == (int)member) {
            model->leader = -1; /* who comes back from the dead follows */
        }
    }
    judge(model);
    if (thawed && state != ROLLCALL__MEMBER_DOWN) {
        at->thawed = lags(model, member);
    }
    if (model->frozen_leader == (int)member) {
        model->frozen_leader = -1;
        if ((model->options.quirks & ROLLCALL__QUIRK_OLD_LEADER_REVOKES) != 0 &&
            rollcall__model_has_leader(model, member)) {
            rollcall__model_leases_end_by_memory(model);
        }
    }
}

void rollcall__model_move_leader(struct rollcall__model *model, int64_t now_ms)
{
    rollcall__model_advance(model, now_ms);
    const int to = model->leading ? choose(model, model->leader) : -1;
    if (to >= 0) {
        promote(model, (uint32_t)to);
    }
}

void rollcall__model_members_init(struct rollcall__model *model)
{
    for (uint32_t i = 0; i < model->options.members; i++) {
        model->members[i] = (struct rollcall__model_member){.state = ROLLCALL__MEMBER_UP,
                                                            .revision = model->revision,
                                                            .catch_up_ms = INT64_MAX,
                                                            .cut_ms = INT64_MAX,
                                                            .watches_end_ms = INT64_MAX};
    }
    model->leader = -1;
    model->frozen_leader = -1;
    promote(model, (uint32_t)choose(model, -1));
}

/* ---- time ---- */

int64_t rollcall__model_next_ms(const struct rollcall__model *model)
{
    int64_t next_ms = model->election_ms;
    if (model->leading && model->lease_due_ms < next_ms) {
        next_ms = model->lease_due_ms;
    }
    for (uint32_t i = 0; i < model->options.members; i++) {
        const struct rollcall__model_member *at = &model->members[i];
        next_ms = at->catch_up_ms < next_ms ? at->catch_up_ms : next_ms;
        next_ms = at->watches_end_ms < next_ms ? at->watches_end_ms : next_ms;
    }
    return next_ms;
}

static void do_due(struct rollcall__model *model)
{
    if (model->election_ms <= model->now_ms) {
        elect(model);
    }
    rollcall__model_lease_check(model);
    for (uint32_t i = 0; i < model->options.members; i++) {
        struct rollcall__model_member *at = &model->members[i];
        if (at->catch_up_ms <= model->now_ms) {
            rollcall__model_member_catch_up(model, i);
        }
        if (at->watches_end_ms <= model->now_ms) {
            at->watches_end_ms = INT64_MAX;
            rollcall__model_watches_break(model, i);
        }
    }
}

void rollcall__model_advance(struct rollcall__model *model, int64_t now_ms)
{
    ROLLCALL_ASSERT(now_ms >= model->now_ms);
    for (int64_t due_ms; (due_ms = rollcall__model_next_ms(model)) <= now_ms;) {
        model->now_ms = due_ms > model->now_ms ? due_ms : model->now_ms;
        do_due(model);
    }
    model->now_ms = now_ms;
}

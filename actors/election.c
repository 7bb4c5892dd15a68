/*
 * election - stands for one role, and holds its active key while it is the one that acts.
 *
 *    IDLE --LEASE--> STANDING --our turn--> CLAIMING --ours--> HOLDING
 *                       ^  ^                   |                  |
 *                       |  +----not ours-------+                  | taken, deleted, or in doubt
 *                       +-----------------------------------------+
 *    STANDING, HOLDING --ORDER, LEASE(refused)--> NAMING --who is next--> GIVING --given-->
 * STANDING
 *
 * Every process that stands has a key of its own, ROLE-<id>, which registration has put, and whose
 * create revision says how long it has waited.  Whoever holds ROLE, the active key, acts.  When it
 * is gone, who has waited longest claims it at once, the second 40 ms later, and so on: so it takes
 * one write, however many stand, and a first one that sleeps costs 40 ms.  The claim compares that
 * nobody has the active key, and that our own is as we know it: a process whose session is lost, or
 * is marked Stopping, wins nothing.
 * Only the answer to a write tells that the key is ours; what a read or a watch shows may be of
 * before.  A claim of what is ours already is not done, and tells so: that is how a lost answer is
 * made up for, and how it is confirmed after a doubt.
 * The session decides whether we act: it knows the lease.  Each time that is in doubt, it counts
 * one more, and what is told here counts only under the count of now.  To give the key away it is
 * first told, and the key is given when it has counted: so nobody acts who has no key.
 * A token is the revision of the write that gave us the key.  Its create revision is the same,
 * unless it was forced: then it came from its holder as it was, for etcd cannot delete a key and
 * put it in one transaction, and it is ours by its lease.  What was forced from us is not forced
 * back but deleted first, so no create revision and lease come together twice.
 * Invariants: at most one write, or look at a candidate, is outstanding, the one with id `asked`;
 * HOLDING: it was ours as of the last answer, and nothing seen since says otherwise; a TURN timer
 * is set in STANDING only.
 */
#include "actors/election.h"

#include "actors/election_internal.h"
#include "actors/election_requests.h"
#include "session/keys.h"
#include "transport/request.h"

enum { TURN_MS = 40 };

static rollcall_handler_fn on_begin, on_lease, on_turn, on_claimed, on_bounced;

#define IN_TURN (ROLLCALL_TO(STANDING) | ROLLCALL_TO(CLAIMING))
#define AWAY (ROLLCALL_TO(NAMING) | ROLLCALL_TO(GIVING))
#define ALWAYS(state)                                                                              \
    [state][ELECTION_LOOK] = {election_on_look, 0}, [state][ROLLCALL_BOUNCED] = {on_bounced, 0}
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][ELECTION_COUNT] = {
    [IDLE]    [ELECTION_LEASE]    = {on_begin,             ROLLCALL_TO(STANDING)},
    [IDLE]    [ELECTION_ORDER]    = {rollcall_ignore,      0}, /* the session asks again: the LEASE
                                                                  before it was lost by a crash */

    [STANDING][ELECTION_LEASE]    = {on_lease,             IN_TURN | AWAY},
    [STANDING][ELECTION_ORDER]    = {election_on_order,    IN_TURN | AWAY},
    [STANDING][ELECTION_LISTED]   = {election_on_listed,   IN_TURN | AWAY},
    [STANDING][ELECTION_RESPONSE] = {election_on_response, IN_TURN | AWAY},
    [STANDING][ELECTION_TURN]     = {on_turn,              IN_TURN},
    [STANDING][ELECTION_NAMED]    = {rollcall_ignore,      0}, /* it was not waited for */
    ALWAYS(STANDING),

    [CLAIMING][ELECTION_LEASE]    = {on_lease,             0},
    [CLAIMING][ELECTION_ORDER]    = {election_on_order,    0},
    [CLAIMING][ELECTION_LISTED]   = {election_on_listed,   0},
    [CLAIMING][ELECTION_RESPONSE] = {election_on_response, 0},
    [CLAIMING][ELECTION_ANSWER]   = {on_claimed,           ROLLCALL_TO(HOLDING) | IN_TURN | AWAY},
    [CLAIMING][ELECTION_NAMED]    = {rollcall_ignore,      0},
    ALWAYS(CLAIMING),

    [HOLDING] [ELECTION_LEASE]    = {on_lease,             IN_TURN | AWAY},
    [HOLDING] [ELECTION_ORDER]    = {election_on_order,    ROLLCALL_TO(HOLDING) | AWAY},
    [HOLDING] [ELECTION_LISTED]   = {election_on_listed,   IN_TURN},
    [HOLDING] [ELECTION_RESPONSE] = {election_on_response, IN_TURN},
    [HOLDING] [ELECTION_NAMED]    = {rollcall_ignore,      0},
    ALWAYS(HOLDING),

    [NAMING]  [ELECTION_LEASE]    = {on_lease,             0},
    [NAMING]  [ELECTION_ORDER]    = {election_on_order,    0},
    [NAMING]  [ELECTION_LISTED]   = {election_on_listed,   IN_TURN},
    [NAMING]  [ELECTION_RESPONSE] = {election_on_response, IN_TURN},
    [NAMING]  [ELECTION_NAMED]    = {election_on_named,    ROLLCALL_TO(HOLDING) | IN_TURN | AWAY},
    ALWAYS(NAMING),

    [GIVING]  [ELECTION_LEASE]    = {on_lease,             ROLLCALL_TO(GIVING)},
    [GIVING]  [ELECTION_ORDER]    = {election_on_order,    0},
    [GIVING]  [ELECTION_LISTED]   = {election_on_listed,   0},
    [GIVING]  [ELECTION_RESPONSE] = {election_on_response, 0},
    [GIVING]  [ELECTION_NAMED]    = {rollcall_ignore,      0},
    [GIVING]  [ELECTION_ANSWER]   = {election_on_given,    IN_TURN | AWAY},
    ALWAYS(GIVING),
};
/* clang-format on */

int election_be(struct election *el, enum state next)
{
    el->state = next;
    return (int)next;
}

bool election_is_ours(const struct election *el)
{
    return el->held->active.is_there && el->held->active.lease_id == el->held->mine->lease_id;
}

int election_ask(struct rollcall_context *cx, struct election *el, uint16_t answer,
                 struct transport_request *request, enum state next)
{
    const struct transport_call call = {
        .id = ++el->asked, .answer = answer, .wait_for_ready = true};
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, el->options->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return election_be(el, next);
}

/* On another worker, whoever is told or asked may have no room. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)self, (void)message;
    return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
}

/* ---- telling ---- */

static int tell_gained(struct rollcall_context *cx, struct election *el)
{
    const struct session_gained gained = {.token = el->held->token,
                                          .create_revision = el->held->create_revision,
                                          .doubts = el->lease.doubts};
    if (rollcall_send(cx, el->options->session, SESSION_GAINED, &gained, sizeof gained) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    el->told = true;
    el->doubts = el->lease.doubts;
    return election_be(el, HOLDING);
}

int election_tell_dropped(struct rollcall_context *cx, struct election *el, const char *why)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_OK, "%s", why);
    struct rollcall_reason *reason = rollcall_reason_create(&error); /* NULL: without words */
    if (rollcall_send_object(cx, el->options->session, SESSION_DROPPED, NULL, 0,
                             reason == NULL ? NULL : &reason->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    return ROLLCALL_STAY;
}

/* It was told that it holds the key, and may still act on that. */
static bool is_told(const struct election *el)
{
    return el->told && el->doubts == el->lease.doubts;
}

/* What was ours is not any more. */
static void let_go(struct election *el)
{
    struct election_handover *held = el->held;
    const bool as_it_is =
        el->held->active.is_there && el->held->active.create_revision == held->create_revision;
    held->forced_away =
        as_it_is && held->create_revision != 0 ? held->create_revision : held->forced_away;
    held->create_revision = held->token = 0;
}

static const char *why_dropped(const struct election *el)
{
    return el->held->active.is_there ? "another process has taken the active key"
                                     : "the active key was deleted";
}

/* ---- claiming ---- */

static int claim(struct rollcall_context *cx, struct election *el)
{
    el->forcing = el->clearing = false;
    el->doubts = el->lease.doubts;
    el->told = false;
    return election_ask(cx, el, ELECTION_ANSWER,
                        election_request_claim(el->options->config, el->held->mine,
                                               rollcall__buffer_bytes(&el->active_key),
                                               el->view.own.mod_revision),
                        CLAIMING);
}

static int force(struct rollcall_context *cx, struct election *el)
{
    const struct rollcall_bytes key = rollcall__buffer_bytes(&el->active_key);
    const struct election_key *there = &el->held->active;
    el->clearing = there->create_revision == el->held->forced_away;
    el->forcing = !el->clearing;
    el->over = there->create_revision;
    el->doubts = el->lease.doubts;
    el->told = false;
    return election_ask(
        cx, el, ELECTION_ANSWER,
        el->clearing ? election_request_clear(el->held->mine, key, there->mod_revision)
                     : election_request_force(el->options->config, el->held->mine, key,
                                              there->mod_revision, el->view.own.mod_revision),
        CLAIMING);
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

/* When it is our turn, now that there is no active key. */
static int64_t turn_ms(const struct election *el)
{
    const int64_t by_rank_ms = el->view.absent_ms + election_rank(el) * TURN_MS;
    return later(by_rank_ms, later(el->held->claim_from_ms, el->held->refused_until_ms));
}

static int claim_in_turn(struct rollcall_context *cx, struct election *el)
{
    if (el->held->active.is_there || el->view.stopping) {
        return election_be(el, STANDING);
    }
    if (turn_ms(el) > rollcall_now_ms(cx)) {
        rollcall_timer_set(cx, ELECTION_TURN, turn_ms(el));
        return election_be(el, STANDING);
    }
    return claim(cx, el);
}

static bool stands(const struct election *el)
{
    return !el->lost && el->view.own.is_there &&
           el->view.own.create_revision == el->held->mine->create_revision;
}

int election_go_on(struct rollcall_context *cx, struct election *el)
{
    const enum session_elect_kind kind = el->held->order.kind;
    const bool ordered = el->held->order.request != 0;
    rollcall_timer_cancel(cx, ELECTION_TURN);
    if (el->view.phase != VIEW_LIVE) {
        return el->lease.safe && election_is_ours(el) && !election_must_give(el) && stands(el)
                   ? claim(cx, el)
                   : election_be(el, STANDING);
    }
    if (election_must_give(el)) {
        return election_begin_giving(cx, el);
    }
    if (!election_is_ours(el)) {
        let_go(el);
        if (ordered && kind != SESSION_ELECT_FORCE) {
            const int answered = election_answer_order(
                cx, el, kind == SESSION_ELECT_RESIGN ? ROLLCALL_OK : ROLLCALL_E_KEY_LOST,
                "the session is not the active one, and has nothing to hand over");
            if (answered != ROLLCALL_STAY) {
                return answered;
            }
        }
    }
    if (!el->lease.safe || !stands(el)) {
        return election_be(el, STANDING);
    }
    if (election_is_ours(el)) {
        return claim(cx, el);
    }
    if (el->held->order.request != 0) {
        return el->held->active.is_there ? force(cx, el) : claim(cx, el);
    }
    return claim_in_turn(cx, el);
}

static int on_turn(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return election_go_on(cx, self);
}

/* ---- what a claim has found ---- */

static const struct transport_kv *found(const struct transport_result *result, size_t which)
{
    return which < result->op_count && result->ops[which].kv_count != 0 ? &result->ops[which].kvs[0]
                                                                        : NULL;
}

void election_learn(struct rollcall_context *cx, struct election *el,
                    const struct transport_result *result)
{
    const struct transport_kv *own = found(result, 1);
    election_note_active(cx, el, found(result, 0), result->revision);
    if (election_note_own(el, own, result->revision) != ROLLCALL_OK) {
        el->view.own.as_of = 0; /* the watch tells it again, or it is claimed in vain */
    }
}

/* A claim that was on its way when we could not act, or came late, has given us a new key all the
 * same: it is given up too, unless it was asked for since. */
static void note_unwanted(struct rollcall_context *cx, struct election *el)
{
    const struct session_elect *order = &el->held->order;
    const bool forced = order->request != 0 && order->kind == SESSION_ELECT_FORCE;
    if (!forced && el->held->refused_until_ms > rollcall_now_ms(cx)) {
        el->held->refused = el->held->token;
    }
}

/* It is ours as of `revision`, by this write; what has been seen since may say more. */
static void note_won(struct rollcall_context *cx, struct election *el, int64_t revision)
{
    const struct transport_kv ours = {.create_revision = el->forcing ? el->over : revision,
                                      .mod_revision = revision,
                                      .lease_id = el->held->mine->lease_id};
    election_note_active(cx, el, &ours, revision);
    el->held->create_revision = ours.create_revision;
    el->held->token = revision;
    note_unwanted(cx, el);
}

/* It was ours already: by a try whose answer was lost, or since before the doubt.  Where that is
 * not remembered, the revision of the last put is a token as good, for nobody else has had one
 * since. */
static void note_found(struct rollcall_context *cx, struct election *el)
{
    struct election_handover *held = el->held;
    if (held->create_revision != held->active.create_revision) {
        held->create_revision = held->active.create_revision;
        held->token = held->active.mod_revision;
        note_unwanted(cx, el);
    }
}

static int won(struct rollcall_context *cx, struct election *el)
{
    el->held->claim_from_ms = 0; /* what was given up before is over */
    if (el->doubts != el->lease.doubts || !el->lease.safe || election_must_give(el)) {
        return election_go_on(cx, el);
    }
    if (el->held->order.request != 0) { /* to force it: others were done without a claim */
        const int answered = election_answer_order(cx, el, ROLLCALL_OK, "");
        if (answered != ROLLCALL_STAY) {
            return answered;
        }
    }
    return tell_gained(cx, el);
}

static int fail(struct rollcall_context *cx, const struct transport_result *result)
{
    return rollcall_fail(cx, result->error.status, "cannot write the active key: %s",
                         result->error.text);
}

static int on_claimed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct election *el = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != el->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status == ROLLCALL_E_LEASE_LOST) {
        el->lost = true;
        return election_be(el, STANDING);
    }
    if (answer->status != ROLLCALL_OK) {
        return fail(cx, result);
    }
    if (!result->succeeded) {
        election_learn(cx, el, result);
    } else if (el->clearing) {
        election_note_active(cx, el, NULL, result->revision);
    } else {
        note_won(cx, el, result->revision);
    }
    if (!election_is_ours(el)) {
        return election_go_on(cx, el);
    }
    if (!result->succeeded) {
        note_found(cx, el);
    }
    return won(cx, el);
}

/* ---- what the session says, and what is seen ---- */

static int drop(struct rollcall_context *cx, struct election *el)
{
    if (is_told(el)) {
        const int told = election_tell_dropped(cx, el, why_dropped(el));
        if (told != ROLLCALL_STAY) {
            return told;
        }
        el->told = false;
    }
    return election_go_on(cx, el);
}

int election_seen(struct rollcall_context *cx, struct election *el)
{
    switch (el->state) {
    case HOLDING:
    case NAMING:
        return election_is_ours(el) ? ROLLCALL_STAY : drop(cx, el);
    case STANDING:
        return election_go_on(cx, el);
    case IDLE:
    case CLAIMING:
    case GIVING:
    case STATE_COUNT:
        break;
    }
    return ROLLCALL_STAY;
}

/* Who could not act stands back from then on, even if it loses the key before it has given it. */
static void note_lease(struct rollcall_context *cx, struct election *el,
                       const struct election_lease *lease)
{
    el->lease = *lease;
    if (lease->refused > el->held->refused) { /* tokens rise */
        el->held->refused = lease->refused;
        el->held->refused_until_ms = rollcall_now_ms(cx) + ELECTION_STAND_BACK_MS;
    }
}

static int on_lease(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct election *el = self;
    note_lease(cx, el, message->payload);
    switch (el->state) {
    case STANDING:
        return election_go_on(cx, el);
    case HOLDING:
        return is_told(el) && el->lease.safe && !election_must_give(el) ? ROLLCALL_STAY
                                                                        : election_go_on(cx, el);
    case GIVING:
        return !el->sent && !is_told(el) ? election_give(cx, el) : ROLLCALL_STAY;
    case IDLE:
    case CLAIMING:
    case NAMING:
    case STATE_COUNT:
        break;
    }
    return ROLLCALL_STAY;
}

static int on_begin(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct election *el = self;
    const struct session_config *config = el->options->config;
    note_lease(cx, el, message->payload);
    if (el->held->mine == NULL) {
        el->held->mine = (struct session_membership *)rollcall_object_keep(message->object);
    }
    rollcall__key_session(&el->active_key, config->root, config->role, 0, true);
    rollcall__key_prefix(&el->folder, config->root, NULL);
    if (el->active_key.failed || el->folder.failed) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for the active key's name");
    }
    const int looked = election_look(cx, el);
    return looked == ROLLCALL_STAY ? election_be(el, STANDING) : looked;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct election *el = self;
    el->options = options;
    el->held = rollcall_handover(cx);
    return election_be(el, IDLE); /* the session says how the lease is, and asks again */
}

static void fini(void *self)
{
    struct election *el = self;
    rollcall_object_drop((struct rollcall_object *)el->named);
    rollcall__buffer_free(&el->active_key);
    rollcall__buffer_free(&el->folder);
}

static void handover_fini(void *handover)
{
    rollcall_object_drop((struct rollcall_object *)((struct election_handover *)handover)->mine);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct election_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE",    "STANDING", "CLAIMING",
                                                     "HOLDING", "NAMING",   "GIVING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(ELECTION_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ELECTION_LIST);

const struct rollcall_actor_type election_type = {
    .name = "election",
    .self_size_bytes = sizeof(struct election),
    .options_size_bytes = sizeof(struct election_options),
    .handover_size_bytes = sizeof(struct election_handover),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = ELECTION_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

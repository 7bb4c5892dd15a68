/*
 * registration - gets a server ID and a lease, and puts the session's key.
 *
 *    ALLOCATING --> GRANTING --> CLAIMING --put--> HELD
 *        ^             ^          |  ^ |
 *        |             |          |  | +--key is our predecessor's--> EVICTING --+
 *        |             |          |  +-------------------------------------------+
 *        |             |          +--key is a rival's--> YIELDING --> WAITING --RIVAL, RETRY--+
 *        |             +-----------------------------------|----------------------------------+
 *        +--an allocated ID: the next one may be free------+
 *    any but HELD --LEAVE or giving up--> REVOKING --> DONE
 *    ALLOCATING --DOWN(the allocator has failed)--> ALLOCATING: asks again; (it has ended): gives
 * up
 *
 * Each step is one request to etcd, and every write recognises its own earlier effect, so an answer
 * that was lost costs a repetition and nothing else: the lease has an ID of our choice, the key is
 * ours if it is under that lease, a server ID that was allocated in vain is merely skipped.  A
 * failure that may pass (class RETRY), or a request that comes back, therefore fails the actor: the
 * supervisor restarts it after a backoff, and the handover says where to go on.  A rival's key is
 * waited for, `retries` times, see registration_rival.c; what is our own of before, or our
 * predecessor's, is evicted.
 * Once HELD, the key is departure's to mark and to take away.
 * A lease that is shared is the lease_keeper's: GRANTING and REVOKING are to ask that for it, and
 * to give it back, and nobody yields it.  See registration_sharing.c. Invariant: at most one
 * request is outstanding, the one with id `asked`; other answers are stale.
 */
#include "actors/registration.h"

#include "actors/registration_internal.h"
#include "actors/session_requests.h"
#include "base/memory.h"
#include "session/keys.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdio.h>

enum { EVICTIONS_MAX = 10 /* of predecessors that come back; then the key is waited for */ };
static rollcall_handler_fn on_allocated, on_granted, on_claimed, on_evicted, on_bounced, on_down;

#define OUT (ROLLCALL_TO(REVOKING) | ROLLCALL_TO(DONE))
#define YIELDED (ROLLCALL_TO(WAITING) | ROLLCALL_TO(ALLOCATING))
#define CLAIMED (ROLLCALL_TO(HELD) | ROLLCALL_TO(EVICTING) | ROLLCALL_TO(YIELDING) | YIELDED)
#define COMES_BACK(state) [state][ROLLCALL_BOUNCED] = {on_bounced, 0}
#define ASKED_TWICE(state) [state][REGISTRATION_ALLOCATED] = {rollcall_ignore, 0}
#define RIVAL_LATE(state) [state][REGISTRATION_RIVAL] = {rollcall_ignore, 0} /* WAITING is over */
/* clang-format off */
#define LEASED_TWICE(state)                                                                        \
    [state][REGISTRATION_LEASED] = {rollcall_ignore, 0},                                           \
    [state][REGISTRATION_LEFT]   = {rollcall_ignore, 0}
static const struct rollcall_cell TABLE[STATE_COUNT][REGISTRATION_COUNT] = {
    [ALLOCATING][REGISTRATION_ALLOCATED] = {on_allocated,    ROLLCALL_TO(GRANTING) | OUT},
    [ALLOCATING][ROLLCALL_DOWN]          = {on_down,         ROLLCALL_TO(ALLOCATING) | OUT},
    [ALLOCATING][REGISTRATION_ANSWER]    = {rollcall_ignore, 0}, /* of before a restart */
    [ALLOCATING][REGISTRATION_LEAVE]     = {registration_on_leave_now, OUT}, /* its ID is lost */

    [GRANTING]  [REGISTRATION_ANSWER]    = {on_granted,      ROLLCALL_TO(CLAIMING) | OUT},
    [GRANTING]  [REGISTRATION_LEAVE]     = {registration_on_leave_later, 0},
    [GRANTING]  [REGISTRATION_LEASED]    = {registration_on_leased,  ROLLCALL_TO(CLAIMING) | OUT},
    [GRANTING]  [REGISTRATION_RETRY]     = {registration_on_ask_again, 0},

    [CLAIMING]  [REGISTRATION_ANSWER]    = {on_claimed,      CLAIMED | OUT},
    [CLAIMING]  [REGISTRATION_LEAVE]     = {registration_on_leave_later, 0},

    [EVICTING]  [REGISTRATION_ANSWER]    = {on_evicted,      ROLLCALL_TO(CLAIMING) | OUT},
    [EVICTING]  [REGISTRATION_LEAVE]     = {registration_on_leave_later, 0},

    [YIELDING]  [REGISTRATION_ANSWER]    = {registration_on_yielded,
                                            YIELDED | ROLLCALL_TO(GRANTING) | OUT},
    [YIELDING]  [REGISTRATION_LEAVE]     = {registration_on_leave_later, 0},

    [WAITING]   [REGISTRATION_ANSWER]    = {rollcall_ignore, 0}, /* of a restart that is over */
    [WAITING]   [REGISTRATION_RETRY]     = {registration_on_retry,   ROLLCALL_TO(GRANTING)},
    [WAITING]   [REGISTRATION_RIVAL]     = {registration_on_rival,   ROLLCALL_TO(GRANTING)},
    [WAITING]   [ROLLCALL_BOUNCED]       = {registration_on_unheard, 0},
    [WAITING]   [REGISTRATION_LEAVE]     = {registration_on_leave_now, OUT},

    [HELD]      [REGISTRATION_ANSWER]    = {rollcall_ignore, 0},
    [HELD]      [REGISTRATION_LEAVE]     = {rollcall_ignore, 0}, /* REGISTERED is on its way */

    [REVOKING]  [REGISTRATION_ANSWER]    = {registration_on_revoked, ROLLCALL_TO(DONE)},
    [REVOKING]  [REGISTRATION_RETRY]     = {registration_on_revoke_again, 0},
    [REVOKING]  [REGISTRATION_LEAVE]     = {registration_on_leave_later, 0},
    [REVOKING]  [REGISTRATION_LEFT]      = {registration_on_left,    ROLLCALL_TO(DONE)},
    [REVOKING]  [REGISTRATION_LEASED]    = {rollcall_ignore, 0}, /* asked twice */

    [DONE]      [REGISTRATION_ANSWER]    = {rollcall_ignore, 0},
    [DONE]      [REGISTRATION_ALLOCATED] = {rollcall_ignore, 0}, /* was on its way */
    [DONE]      [REGISTRATION_LEAVE]     = {registration_on_leave_now, OUT},
    [DONE]      [ROLLCALL_BOUNCED]       = {rollcall_ignore, 0}, /* the end of a watch */

    COMES_BACK(ALLOCATING), COMES_BACK(GRANTING), COMES_BACK(CLAIMING),
    COMES_BACK(EVICTING),   COMES_BACK(YIELDING), COMES_BACK(REVOKING),

    ASKED_TWICE(GRANTING), ASKED_TWICE(CLAIMING), ASKED_TWICE(EVICTING), ASKED_TWICE(YIELDING),
    ASKED_TWICE(WAITING),  ASKED_TWICE(HELD),     ASKED_TWICE(REVOKING),

    LEASED_TWICE(ALLOCATING), LEASED_TWICE(CLAIMING), LEASED_TWICE(EVICTING),
    LEASED_TWICE(WAITING),    LEASED_TWICE(HELD),     LEASED_TWICE(DONE),

    RIVAL_LATE(ALLOCATING), RIVAL_LATE(GRANTING), RIVAL_LATE(CLAIMING), RIVAL_LATE(EVICTING),
    RIVAL_LATE(YIELDING),   RIVAL_LATE(HELD),     RIVAL_LATE(REVOKING), RIVAL_LATE(DONE),
};
/* clang-format on */

/* ---- asking ---- */

int registration_ask(struct rollcall_context *cx, struct registration *re,
                     struct transport_request *request, int next_state)
{
    const struct transport_call call = {
        .id = ++re->asked,
        .answer = REGISTRATION_ANSWER,
        .wait_for_ready = re->held->contact_told}; /* before that, the cause is wanted at once */
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, re->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return next_state;
}

/* It lives on our worker, so it is monitored before it can have the ask, and forgets us when we are
 * gone. */
int registration_ask_allocate(struct rollcall_context *cx, const struct registration *re)
{
    const struct registration_options *o = re->options;
    const struct allocator_ask request = {.answer = REGISTRATION_ALLOCATED,
                                          .reuse = o->config->reuse_server_id};
    rollcall_monitor(cx, o->allocator);
    if (rollcall_send_object(cx, o->allocator, ALLOCATOR_ASK, &request, sizeof request,
                             rollcall_object_keep(&o->config->object)) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the allocator's mailbox is full");
    }
    return ALLOCATING;
}

int registration_ask_grant(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (re->config->share_lease) {
        return registration_ask_keeper(cx, re);
    }
    if (held->lease_id == 0) {
        held->lease_id = (int64_t)(rollcall_random(cx) >> 1 | 1); /* 63 bits, never 0 */
        held->granted_sent_ms = rollcall_now_ms(cx);
        held->ttl_s = re->config->ttl_s;
    }
    re->grant_sent_ms = rollcall_now_ms(cx);
    return registration_ask(
        cx, re, transport_request_lease(TRANSPORT_LEASE_GRANT, held->lease_id, re->config->ttl_s),
        GRANTING);
}

int registration_ask_claim(struct rollcall_context *cx, struct registration *re)
{
    re->held->unanswered++; /* set before it can be done */
    session_note_lease(re->config, re->held->lease_id);
    rollcall__buffer_clear(&re->key);
    rollcall__key_session(&re->key, re->config->root, re->config->role, re->held->server_id,
                          re->config->exclusive);
    return registration_ask(
        cx, re,
        re->key.failed
            ? NULL
            : session_request_claim(re->config, rollcall__buffer_bytes(&re->key),
                                    re->held->server_id, re->held->lease_id, re->options->stopping),
        CLAIMING);
}

/* On another worker, whoever is asked may have no room: then nothing is answered.  What was asked
 * of a watch that is over is of no matter. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (registration_is_of_watch(self, message)) {
        return ROLLCALL_STAY;
    }
    return rollcall_fail(cx, ROLLCALL_E_FULL, "too much is asked of etcd at once");
}

bool registration_accept(struct rollcall_context *cx, struct registration *re,
                         const struct rollcall_message *message, int *next)
{
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != re->asked) {
        *next = ROLLCALL_STAY; /* a late one of an earlier request */
        return false;
    }
    registration_tell_contact(cx, re, answer->status);
    if (re->held->leaving) {
        *next = registration_go_out(cx, re);
        return false;
    }
    if (answer->status != ROLLCALL_OK) {
        *next = registration_fail_or_give_up(cx, re, &result->error);
        return false;
    }
    return true;
}

/* ---- the server ID ---- */

static int on_allocated(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct allocator_answer *answer = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    struct rollcall_error error;
    rollcall_error_set(&error, answer->status, "%s",
                       why != NULL ? why->error.text : rollcall_status_text(answer->status));
    if (answer->status != ROLLCALL_OK || !re->config->reuse_server_id) { /* known: nobody asked */
        registration_tell_contact(cx, re, answer->status);
    }
    if (answer->status == ROLLCALL_OK) {
        re->held->server_id = answer->server_id;
        return registration_ask_grant(cx, re);
    }
    return registration_fail_or_give_up(cx, re, &error);
}

/* Whether it failed on our ask or on another's is not known.  If the ask is not lost, there are two
 * answers, and the second ID is skipped. */
static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct rollcall_down *down = message->payload;
    struct rollcall_error error;
    if (!rollcall_ref_equal(down->who, re->options->allocator)) {
        return ROLLCALL_STAY;
    }
    if (down->reason == ROLLCALL_DOWN_FAILED) {
        return registration_ask_allocate(cx, re);
    }
    allocator_error_ended(&error);
    return registration_give_up(cx, re, &error);
}

/* ---- the lease ---- */

static int on_granted(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_result *result = (const struct transport_result *)message->object;
    int next;
    if (!registration_accept(cx, re, message, &next)) {
        return next;
    }
    if (result->ttl_s > 0) {
        re->held->ttl_s = result->ttl_s;               /* etcd raises small ones */
        re->held->granted_sent_ms = re->grant_sent_ms; /* no earlier try had worked */
    }
    re->held->granted = true;
    return registration_ask_claim(cx, re);
}

/* ---- the key ---- */

static int hold(struct rollcall_context *cx, struct registration *re, int64_t revision,
                int64_t create_revision)
{
    struct registration_handover *held = re->held;
    const struct session_membership draft = {.server_id = held->server_id,
                                             .lease_id = held->lease_id,
                                             .ttl_s = held->ttl_s,
                                             .granted_sent_ms = held->granted_sent_ms,
                                             .stopping = re->options->stopping,
                                             .unsure = held->unanswered != 0,
                                             .revision = revision,
                                             .create_revision = create_revision};
    struct session_membership *won =
        session_membership_create(&draft, rollcall__buffer_bytes(&re->key));
    if (won == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a membership");
    }
    if (rollcall_send_object(cx, re->session, SESSION_REGISTERED, NULL, 0, &won->object) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    held->registered = true;
    return HELD;
}

/* What we held before, or what a process before us left. */
static bool may_evict(const struct registration *re, enum session_owner owner)
{
    return re->held->evictions < EVICTIONS_MAX &&
           (owner == SESSION_OURSELVES || (owner == SESSION_PREDECESSOR && re->config->exclusive &&
                                           !re->config->keep_predecessor));
}

static int evict(struct rollcall_context *cx, struct registration *re,
                 const struct transport_kv *there)
{
    re->held->evictions++;
    rollcall_log(cx, ROLLCALL_INFO,
                 "takes the key %.160s over from its predecessor (lease %" PRIx64 ")", re->key.data,
                 (uint64_t)there->lease_id);
    return registration_ask(cx, re, session_request_evict(there), EVICTING);
}

/* What the claim found under the key; NULL: nothing, or it was not done. */
static const struct transport_kv *found(const struct transport_result *result)
{
    return result->error.status == ROLLCALL_OK && !result->succeeded && result->op_count != 0 &&
                   result->ops[0].kv_count != 0
               ? &result->ops[0].kvs[0]
               : NULL;
}

/* What the answer says of our key, whatever else it leads to. */
static void note_claim(struct registration_handover *held, const struct transport_result *result)
{
    const struct transport_kv *there = found(result);
    if (result->error.status == ROLLCALL_OK || !result->error.maybe_applied) {
        held->unanswered--;
    }
    if (result->error.status == ROLLCALL_OK && result->succeeded) {
        held->created = result->revision;
    } else if (there != NULL && there->lease_id == held->lease_id) {
        held->created = there->create_revision; /* by which of our tries is not known */
    }
}

/* It ended while we could not reach etcd: begin with a new one. */
static int lose_lease(struct rollcall_context *cx, struct registration *re)
{
    re->held->dead_lease_id = re->held->lease_id;
    re->held->lease_id = 0;
    re->held->granted = false;
    re->held->unanswered = 0;
    return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the lease ended before the key was put");
}

static int on_claimed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    enum session_owner owner;
    int next;
    if (answer->id == re->asked) {
        note_claim(re->held, result);
    }
    if (answer->id == re->asked && answer->status == ROLLCALL_E_LEASE_LOST && !re->held->leaving) {
        return lose_lease(cx, re);
    }
    if (!registration_accept(cx, re, message, &next)) {
        return next;
    }
    if (result->succeeded) {
        return hold(cx, re, result->revision, result->revision);
    }
    const struct transport_kv *there = found(result);
    if (there == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the key was there, and is gone again");
    }
    if (there->lease_id == re->held->lease_id) { /* our lost try */
        return hold(cx, re, there->mod_revision, there->create_revision);
    }
    if (session_whose(re->config, re->held->server_id, re->options->lease_id, there, &owner) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY,
                             "out of memory for the record that is there");
    }
    return may_evict(re, owner) ? evict(cx, re, there)
                                : registration_yield_to(cx, re, there, result->revision);
}

/* Whether or not it was deleted: the next claim sees what is there now. */
static int on_evicted(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    int next;
    return registration_accept(cx, self, message, &next) ? registration_ask_claim(cx, self) : next;
}

/* ---- life ---- */

static int begin(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (held->server_id == 0) {
        return registration_ask_allocate(cx, re);
    }
    if (held->yielding) {
        return registration_ask_yield(cx, re);
    }
    return held->granted ? registration_ask_claim(cx, re) : registration_ask_grant(cx, re);
}

/* Counts one; false: there were enough. */
static bool count_attempt(struct registration *re)
{
    struct registration_handover *held = re->held;
    if (!held->contact_told || re->options->patient) {
        held->attempts = 1; /* before contact, the session's own deadline ends this */
        return true;
    }
    return held->attempts++ < re->config->retries;
}

/* With what the last attempt failed by, for that is what somebody has to look at. */
static int give_up_trying(struct rollcall_context *cx, struct registration *re)
{
    const struct rollcall_error *last = &re->held->failure;
    const bool known = last->status != ROLLCALL_OK;
    struct rollcall_error error;
    rollcall_error_set(&error, known ? last->status : ROLLCALL_E_UNAVAILABLE,
                       "registering failed %u times, and retries allows no more; the last time: %s",
                       re->config->retries, known ? last->text : "for want of room or memory");
    error.grpc_code = last->grpc_code;
    return registration_give_up(cx, re, &error);
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct registration_options *o = options;
    struct registration *re = self;
    struct registration_handover *held = rollcall_handover(cx);
    re->options = o;
    re->config = o->config;
    re->session = o->session;
    re->transport = o->transport;
    re->held = held;
    held->contact_told |= o->patient;
    if (held->leaving || held->refusal.status != ROLLCALL_OK) {
        return registration_go_out(cx, re);
    }
    if (held->registered) {
        return HELD;
    }
    if (held->server_id == 0) {
        held->server_id = o->server_id != 0 ? o->server_id : re->config->server_id;
    }
    if (!count_attempt(re)) {
        return give_up_trying(cx, re);
    }
    return begin(cx, re);
}

static void fini(void *self)
{
    rollcall__buffer_free(&((struct registration *)self)->key);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct registration_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"ALLOCATING", "GRANTING", "CLAIMING",
                                                     "EVICTING",   "YIELDING", "WAITING",
                                                     "HELD",       "REVOKING", "DONE"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(REGISTRATION_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(REGISTRATION_LIST);

const struct rollcall_actor_type registration_type = {
    .name = "registration",
    .self_size_bytes = sizeof(struct registration),
    .options_size_bytes = sizeof(struct registration_options),
    .handover_size_bytes = sizeof(struct registration_handover),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = REGISTRATION_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

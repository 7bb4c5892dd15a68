/*
 * registration - gets a server ID and a lease, puts the session's key, and takes it away again.
 *
 *    ALLOCATING --> GRANTING --> CLAIMING --> HELD --LEAVE--> MARKING --> REVOKING --> DONE
 *                       ^           |
 *                       |           +--key is a rival's--> YIELDING --> WAITING --RETRY--+
 *                       +----------------------------------------------------------------+
 *    any but HELD --LEAVE or giving up--> REVOKING --> DONE
 *
 * Each step is one request to etcd, and every write recognises its own earlier effect, so an answer
 * that was lost costs a repetition and nothing else: the lease has an ID of our choice, the key is
 * ours if it is under that lease, an ID that was allocated twice is merely skipped.  A failure that
 * may pass (class RETRY) therefore fails the actor: the supervisor restarts it after a backoff, and
 * the handover says where to go on.  A rival's key is waited for, `retries` times.
 * Invariant: at most one request is outstanding, the one with id `asked`; other answers are stale.
 */
#include "actors/registration.h"

#include "base/buffer.h"
#include "session/keys.h"
#include "session/record.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONTENTION_MAX = 1000,        /* lost races for an ID in one incarnation; nobody loses so many */
    RIVAL_WAIT_MIN_MS = 200,      /* doubled for each attempt, */
    RIVAL_WAIT_MAX_MS = 3000,     /* as upstream waits */
    RIVAL_DOUBLINGS_MAX = 5,
    REVOKE_RETRY_MS = 200
};
enum state {
    ALLOCATING,
    GRANTING,
    CLAIMING,
    YIELDING, /* revoking a lease that found the key taken */
    WAITING,  /* for the rival to go */
    HELD,
    MARKING,
    REVOKING,
    DONE,
    STATE_COUNT
};

/* Survives a restart. */
struct registration_handover {
    int64_t server_id;       /* 0: none yet */
    int64_t lease_id;        /* 0: none asked for */
    int64_t granted_sent_ms; /* of the first try */
    int64_t ttl_s;           /* as granted, or as asked for when the answer was lost */
    bool granted;
    bool contact_told;
    bool leaving; /* only ways out from here on */
    uint32_t attempts;
    struct session_membership *membership; /* shared; not NULL: HELD or later */
    struct rollcall_error refusal;         /* why it gave up; status OK: it has not */
};

struct registration {
    const struct session_config *config; /* shared with the options, which outlive self */
    struct rollcall_ref session, transport;
    struct registration_handover *held;
    uint64_t asked;
    uint32_t contention;
    struct rollcall__buffer id_text; /* the value of the id key that was read last */
    struct rollcall__buffer key;
};

static rollcall_handler_fn on_allocated, on_granted, on_claimed, on_yielded, on_marked, on_revoked,
    on_retry, on_leave_now, on_leave_later, on_leave_held, on_revoke_again;

#define OUT (ROLLCALL_TO(REVOKING) | ROLLCALL_TO(DONE))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][REGISTRATION_COUNT] = {
    [ALLOCATING][REGISTRATION_ANSWER] = {on_allocated,    ROLLCALL_TO(ALLOCATING) | ROLLCALL_TO(GRANTING) | OUT},
    [ALLOCATING][REGISTRATION_LEAVE]  = {on_leave_later,  0},

    [GRANTING]  [REGISTRATION_ANSWER] = {on_granted,      ROLLCALL_TO(CLAIMING) | OUT},
    [GRANTING]  [REGISTRATION_LEAVE]  = {on_leave_later,  0},

    [CLAIMING]  [REGISTRATION_ANSWER] = {on_claimed,      ROLLCALL_TO(HELD) | ROLLCALL_TO(YIELDING) | OUT},
    [CLAIMING]  [REGISTRATION_LEAVE]  = {on_leave_later,  0},

    [YIELDING]  [REGISTRATION_ANSWER] = {on_yielded,      ROLLCALL_TO(WAITING) | OUT},
    [YIELDING]  [REGISTRATION_LEAVE]  = {on_leave_later,  0},

    [WAITING]   [REGISTRATION_ANSWER] = {rollcall_ignore, 0}, /* of a restart that is over */
    [WAITING]   [REGISTRATION_RETRY]  = {on_retry,        ROLLCALL_TO(GRANTING)},
    [WAITING]   [REGISTRATION_LEAVE]  = {on_leave_now,    OUT},

    [HELD]      [REGISTRATION_ANSWER] = {rollcall_ignore, 0},
    [HELD]      [REGISTRATION_LEAVE]  = {on_leave_held,   ROLLCALL_TO(MARKING)},

    [MARKING]   [REGISTRATION_ANSWER] = {on_marked,       OUT},
    [MARKING]   [REGISTRATION_LEAVE]  = {rollcall_ignore, 0},

    [REVOKING]  [REGISTRATION_ANSWER] = {on_revoked,      ROLLCALL_TO(DONE)},
    [REVOKING]  [REGISTRATION_RETRY]  = {on_revoke_again, 0},
    [REVOKING]  [REGISTRATION_LEAVE]  = {on_leave_later,  0},

    [DONE]      [REGISTRATION_ANSWER] = {rollcall_ignore, 0},
    [DONE]      [REGISTRATION_LEAVE]  = {on_leave_now,    ROLLCALL_TO(DONE)}, /* it had given up */
};
/* clang-format on */

/* ---- asking ---- */

/* Sends one request; request: moved, NULL: out of memory.  A refusal shows as a failure. */
static int ask(struct rollcall_context *cx, struct registration *re,
               struct transport_request *request, int next_state)
{
    const struct transport_call call = {
        .id = ++re->asked, .answer = REGISTRATION_ANSWER, .wait_for_ready = true};
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, re->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return next_state;
}

static struct transport_op get(struct rollcall_bytes key)
{
    return (struct transport_op){.kind = TRANSPORT_OP_GET, .key = key};
}

static struct transport_op put(struct rollcall_bytes key, struct rollcall_bytes value,
                               int64_t lease_id)
{
    return (struct transport_op){
        .kind = TRANSPORT_OP_PUT, .key = key, .value = value, .lease_id = lease_id};
}

/* If `compare` then put, else tell what is there. */
static struct transport_request *put_if(const struct transport_compare *compare,
                                        struct rollcall_bytes value, int64_t lease_id)
{
    struct transport_txn txn = {.compare_count = 1, .success_count = 1, .failure_count = 1};
    txn.compares[0] = *compare;
    txn.success[0] = put(compare->key, value, lease_id);
    txn.failure[0] = get(compare->key);
    return transport_request_txn(&txn);
}

/* ---- giving up, and the way out ---- */

static int tell_left(struct rollcall_context *cx, struct registration *re)
{
    if (rollcall_send(cx, re->session, SESSION_LEFT, NULL, 0) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    return DONE;
}

static void destroy_reason(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

static int tell_refused(struct rollcall_context *cx, struct registration *re)
{
    struct rollcall_reason *reason = calloc(1, sizeof *reason);
    if (reason == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a refusal");
    }
    rollcall_object_init(&reason->object, destroy_reason);
    reason->error = re->held->refusal;
    if (rollcall_send_object(cx, re->session, SESSION_REFUSED, NULL, 0, &reason->object) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    return DONE;
}

/* Revokes the lease, if one may exist, then tells the session. */
static int go_out(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (held->lease_id != 0) {
        return ask(cx, re, transport_request_lease(TRANSPORT_LEASE_REVOKE, held->lease_id, 0),
                   REVOKING);
    }
    return held->refusal.status != ROLLCALL_OK && !held->leaving ? tell_refused(cx, re)
                                                                 : tell_left(cx, re);
}

static int give_up(struct rollcall_context *cx, struct registration *re,
                   const struct rollcall_error *error)
{
    re->held->refusal = *error;
    return go_out(cx, re);
}

/* What every answer goes through first; true: it is good, and *next is not set. */
static bool accept(struct rollcall_context *cx, struct registration *re,
                   const struct rollcall_message *message, int *next)
{
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    const struct rollcall_error *error = &result->error;
    if (answer->id != re->asked) {
        *next = ROLLCALL_STAY; /* a late one of an earlier request */
        return false;
    }
    if (answer->status != ROLLCALL_E_UNAVAILABLE && answer->status != ROLLCALL_E_TIMEOUT &&
        !re->held->contact_told) {
        re->held->contact_told =
            rollcall_send(cx, re->session, SESSION_CONTACT, NULL, 0) == ROLLCALL_OK;
    }
    if (re->held->leaving) {
        *next = go_out(cx, re);
        return false;
    }
    if (answer->status == ROLLCALL_OK) {
        return true;
    }
    *next = rollcall_status_class(answer->status) == ROLLCALL_RETRY
                ? rollcall_fail(cx, answer->status, "%s", error->text)
                : give_up(cx, re, error);
    return false;
}

/* ---- the server ID ---- */

static int ask_allocate(struct rollcall_context *cx, struct registration *re)
{
    struct rollcall__buffer key = {0};
    rollcall__key_id(&key, re->config->root);
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_VERSION,
                                             .key = rollcall__buffer_bytes(&key)};
    const int next =
        ask(cx, re, key.failed ? NULL : put_if(&absent, rollcall__bytes("1"), 0), ALLOCATING);
    rollcall__buffer_clear(&re->id_text);
    rollcall__buffer_free(&key);
    return next;
}

/* Takes `id`, if the id key still holds the text it was read from. */
static int ask_take_id(struct rollcall_context *cx, struct registration *re, int64_t id)
{
    struct rollcall__buffer key = {0}, following = {0};
    rollcall__key_id(&key, re->config->root);
    rollcall__buffer_format(&following, "%" PRId64, id + 1);
    const struct transport_compare same = {.target = TRANSPORT_COMPARE_VALUE,
                                           .key = rollcall__buffer_bytes(&key),
                                           .value = rollcall__buffer_bytes(&re->id_text)};
    const bool failed = key.failed || following.failed || re->id_text.failed;
    const int next =
        ask(cx, re, failed ? NULL : put_if(&same, rollcall__buffer_bytes(&following), 0),
            ALLOCATING);
    rollcall__buffer_free(&following);
    rollcall__buffer_free(&key);
    return next;
}

/* A positive decimal int64 below the last; 0 for anything else. */
static int64_t parse_id(struct rollcall_bytes text)
{
    int64_t id = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char digit = text.data[i];
        if (digit < '0' || digit > '9' || id > (INT64_MAX - 10) / 10) {
            return 0;
        }
        id = id * 10 + (digit - '0');
    }
    return id;
}

static int refuse_id(struct rollcall_context *cx, struct registration *re,
                     struct rollcall_bytes text)
{
    struct rollcall_error error;
    struct rollcall__buffer key = {0};
    rollcall__key_id(&key, re->config->root);
    rollcall_error_set(&error, ROLLCALL_E_CORRUPT,
                       "the key %s holds \"%.*s\" where the next server ID, a positive decimal "
                       "number, belongs: put one there that is above every ID in use",
                       key.failed ? "session/id" : key.data,
                       (int)(text.size_bytes < 32 ? text.size_bytes : 32),
                       text.data == NULL ? "" : text.data);
    rollcall__buffer_free(&key);
    return give_up(cx, re, &error);
}

static int ask_grant(struct rollcall_context *cx, struct registration *re);

/* Two kinds of answers arrive here: of the request that creates the key (id_text is empty), and of
 * the one that takes the ID it held. */
static int on_allocated(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_result *result = (const struct transport_result *)message->object;
    int next;
    if (!accept(cx, re, message, &next)) {
        return next;
    }
    if (result->succeeded && re->id_text.size_bytes != 0) {
        re->held->server_id = parse_id(rollcall__buffer_bytes(&re->id_text));
        return ask_grant(cx, re);
    }
    struct rollcall_bytes text = rollcall__bytes("1"); /* we have just created it */
    if (!result->succeeded) {
        if (result->op_count == 0 || result->ops[0].kv_count == 0) {
            return ask_allocate(cx, re); /* deleted between the two requests */
        }
        text = result->ops[0].kvs[0].value;
    }
    const int64_t id = parse_id(text);
    if (id == 0) {
        return refuse_id(cx, re, text);
    }
    if (++re->contention > CONTENTION_MAX) {
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "lost %d races for a server ID in a row",
                             CONTENTION_MAX);
    }
    rollcall__buffer_clear(&re->id_text);
    rollcall__buffer_append(&re->id_text, text.data, text.size_bytes);
    return ask_take_id(cx, re, id);
}

/* ---- the lease ---- */

static int ask_grant(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (held->lease_id == 0) {
        held->lease_id = (int64_t)(rollcall_random(cx) >> 1 | 1); /* 63 bits, never 0 */
        held->granted_sent_ms = rollcall_now_ms(cx);
        held->ttl_s = re->config->ttl_s;
    }
    return ask(cx, re,
               transport_request_lease(TRANSPORT_LEASE_GRANT, held->lease_id, re->config->ttl_s),
               GRANTING);
}

static int ask_claim(struct rollcall_context *cx, struct registration *re);

static int on_granted(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_result *result = (const struct transport_result *)message->object;
    int next;
    if (!accept(cx, re, message, &next)) {
        return next;
    }
    if (result->ttl_s > 0) {
        re->held->ttl_s = result->ttl_s; /* etcd raises small ones */
    }
    re->held->granted = true;
    return ask_claim(cx, re);
}

/* ---- the key ---- */

static void encode(const struct registration *re, bool stopping, struct rollcall__buffer *value)
{
    struct rollcall_record record = re->config->record;
    record.server_id = re->held->server_id;
    record.has_lease_id = true;
    record.lease_id = re->held->lease_id;
    record.stopping = stopping;
    rollcall__record_encode(&record, value);
}

static int ask_claim(struct rollcall_context *cx, struct registration *re)
{
    struct rollcall__buffer value = {0};
    rollcall__buffer_clear(&re->key);
    rollcall__key_session(&re->key, re->config->root, re->config->role, re->held->server_id,
                          re->config->exclusive);
    encode(re, false, &value);
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_VERSION,
                                             .key = rollcall__buffer_bytes(&re->key)};
    const bool failed = re->key.failed || value.failed;
    const int next = ask(
        cx, re,
        failed ? NULL : put_if(&absent, rollcall__buffer_bytes(&value), re->held->lease_id),
        CLAIMING);
    rollcall__buffer_free(&value);
    return next;
}

static void destroy_membership(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

static int hold(struct rollcall_context *cx, struct registration *re, int64_t revision,
                int64_t create_revision)
{
    struct registration_handover *held = re->held;
    struct session_membership *won = malloc(sizeof *won + re->key.size_bytes + 1);
    if (won == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a membership");
    }
    *won = (struct session_membership){.server_id = held->server_id,
                                       .lease_id = held->lease_id,
                                       .ttl_s = held->ttl_s,
                                       .granted_sent_ms = held->granted_sent_ms,
                                       .revision = revision,
                                       .create_revision = create_revision};
    rollcall_object_init(&won->object, destroy_membership);
    memcpy(won->key, re->key.data, re->key.size_bytes + 1);
    if (rollcall_send_object(cx, re->session, SESSION_REGISTERED, NULL, 0,
                             rollcall_object_keep(&won->object)) != ROLLCALL_OK) {
        rollcall_object_drop(&won->object);
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    held->membership = won;
    return HELD;
}

static int yield_to(struct rollcall_context *cx, struct registration *re,
                    const struct transport_kv *rival)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_RIVAL,
                       "the key %s is held by another process (lease %" PRIx64
                       "): stop that one, wait for its lease to end, or choose another server ID",
                       re->key.data, (uint64_t)rival->lease_id);
    if (re->held->attempts >= re->config->retries) {
        return give_up(cx, re, &error);
    }
    rollcall_log(cx, ROLLCALL_WARN, "attempt %u of %u: %s", re->held->attempts, re->config->retries,
                 error.text);
    return ask(cx, re, transport_request_lease(TRANSPORT_LEASE_REVOKE, re->held->lease_id, 0),
               YIELDING);
}

static int on_claimed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    int next;
    if (answer->id == re->asked && answer->status == ROLLCALL_E_LEASE_LOST && !re->held->leaving) {
        re->held->lease_id = 0; /* it expired while we could not reach etcd: begin with a new one */
        re->held->granted = false;
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the lease ended before the key was put");
    }
    if (!accept(cx, re, message, &next)) {
        return next;
    }
    if (result->succeeded) {
        return hold(cx, re, result->revision, result->revision);
    }
    const struct transport_kv *there =
        result->op_count != 0 && result->ops[0].kv_count != 0 ? &result->ops[0].kvs[0] : NULL;
    if (there == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the key was there, and is gone again");
    }
    return there->lease_id == re->held->lease_id
               ? hold(cx, re, there->mod_revision, there->create_revision) /* our lost try */
               : yield_to(cx, re, there);
}

static int on_yielded(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    int next;
    if (!accept(cx, re, message, &next)) {
        return next;
    }
    const uint32_t doublings =
        re->held->attempts < RIVAL_DOUBLINGS_MAX ? re->held->attempts : RIVAL_DOUBLINGS_MAX;
    const int64_t wait_ms = (int64_t)RIVAL_WAIT_MIN_MS << (doublings - 1);
    re->held->lease_id = 0;
    re->held->granted = false;
    rollcall_timer_set(cx, REGISTRATION_RETRY,
                       rollcall_now_ms(cx) +
                           (wait_ms < RIVAL_WAIT_MAX_MS ? wait_ms : RIVAL_WAIT_MAX_MS));
    return WAITING;
}

static int on_retry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    re->held->attempts++;
    return ask_grant(cx, re);
}

/* ---- leaving ---- */

/* A request is outstanding, and may still take effect: its answer leads out. */
static int on_leave_later(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    (void)cx, (void)message;
    ((struct registration *)self)->held->leaving = true;
    return ROLLCALL_STAY;
}

static int on_leave_now(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    re->held->leaving = true;
    return go_out(cx, re);
}

/* Marks the record Stopping, if the key is still the one we created; never detaches its lease. */
static int on_leave_held(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct session_membership *mine = re->held->membership;
    struct rollcall__buffer value = {0};
    const struct transport_compare still_ours = {
        .target = TRANSPORT_COMPARE_CREATE_REVISION,
        .key = rollcall__bytes(mine->key),
        .number = mine->create_revision,
    };
    (void)message;
    re->held->leaving = true;
    encode(re, true, &value);
    const int next = ask(
        cx, re, value.failed ? NULL : put_if(&still_ours, rollcall__buffer_bytes(&value),
                                             mine->lease_id),
        MARKING);
    rollcall__buffer_free(&value);
    return next;
}

/* Whether or not the mark was made: to leave is what matters. */
static int on_marked(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_answer *answer = message->payload;
    return answer->id == re->asked ? go_out(cx, re) : ROLLCALL_STAY;
}

static int on_revoked(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_answer *answer = message->payload;
    if (answer->id != re->asked) {
        return ROLLCALL_STAY;
    }
    if (rollcall_status_class(answer->status) == ROLLCALL_RETRY) {
        rollcall_timer_set(cx, REGISTRATION_RETRY, rollcall_now_ms(cx) + REVOKE_RETRY_MS);
        return ROLLCALL_STAY; /* until it works, or the session is closed without it */
    }
    re->held->lease_id = 0;
    return go_out(cx, re);
}

static int on_revoke_again(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    return ask(cx, re, transport_request_lease(TRANSPORT_LEASE_REVOKE, re->held->lease_id, 0),
               ROLLCALL_STAY);
}

/* ---- life ---- */

static int begin(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (held->server_id == 0) {
        return ask_allocate(cx, re);
    }
    return held->granted ? ask_claim(cx, re) : ask_grant(cx, re);
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct registration_options *o = options;
    struct registration *re = self;
    struct registration_handover *held = rollcall_handover(cx);
    re->config = o->config;
    re->session = o->session;
    re->transport = o->transport;
    re->held = held;
    if (held->leaving || held->refusal.status != ROLLCALL_OK) {
        return go_out(cx, re);
    }
    if (held->membership != NULL) {
        return HELD;
    }
    if (held->server_id == 0) {
        held->server_id = re->config->server_id;
    }
    if (held->attempts++ >= re->config->retries) {
        struct rollcall_error error;
        rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                           "etcd at %s failed %u attempts at registering: look at its health, or "
                           "allow more retries",
                           re->config->endpoints, re->config->retries);
        return give_up(cx, re, &error);
    }
    return begin(cx, re);
}

static void fini(void *self)
{
    struct registration *re = self;
    rollcall__buffer_free(&re->id_text);
    rollcall__buffer_free(&re->key);
}

static void handover_fini(void *handover)
{
    struct registration_handover *held = handover;
    if (held->membership != NULL) {
        rollcall_object_drop(&held->membership->object);
    }
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct registration_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {
    "ALLOCATING", "GRANTING", "CLAIMING", "YIELDING", "WAITING",
    "HELD",       "MARKING",  "REVOKING", "DONE"};
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
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = REGISTRATION_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

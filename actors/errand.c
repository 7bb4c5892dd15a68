/*
 * errand - does one thing to somebody's session, or takes a server ID, or asks an etcd how it is,
 * or writes what holds for a token only, and tells the application.
 *
 *    READING --ANSWER--> WRITING --ANSWER--> END (told)
 *                        WRITING --ANSWER(lost the compare)--> WRITING
 *                        WRITING --ANSWER(revoked)--> READING
 *    READING, WRITING --what may pass--> PAUSING --RETRY--> READING; WRITING, of a lease alone
 *    WRITING, of a lease alone, --ANSWER--> END (told)
 *    ALLOCATING --ALLOCATED--> END (told)
 *    ALLOCATING --what may pass--> PAUSING --RETRY--> ALLOCATING
 *    WRITING --ANSWER--> END (told), of what holds for a token; PAUSING --RETRY--> WRITING
 *    CHECKING --ANSWER--> CHECKING; END (told) after the last, or when the first is a failure
 *    CHECKING --no room--> PAUSING --RETRY--> CHECKING
 *    any --DEADLINE--> END (told)
 *
 * The key is read, the session there is compared with the one meant, and what is written is written
 * by compare with what was read; a lost compare tells what is there now, which is looked at in the
 * same way.  Once looked at, it must stay the same session: same create revision.  etcd revokes a
 * lease without a compare: it is the one that the session had when it was looked at, and no other
 * session ever gets it, but the key may have moved to another lease since.  So after a revoke it is
 * looked again, and a session that is still there is revoked with the lease it has by then; unless
 * the lease was named, for then that lease is all that was meant.  An answer that was lost is made
 * up for by looking again: a record that is marked already, and a session that is gone since we
 * first looked, are what was wanted.
 * How an etcd is, is not asked twice: a failure is the answer.  What holds for a token is sent
 * again only if it has certainly not been done: it is the application's, and may not be repeatable.
 * It lives under the application actor, on its worker: to stop that one is to stop this.  A failure
 * of our own (a crash, no memory) is told by the application actor, as a DOWN.
 * Invariants: the result is told once; at most one request is outstanding, none in PAUSING.
 */
#include "actors/errand.h"

#include "actors/application.h"
#include "actors/errand_health.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "session/record.h"
#include "session/record_edit.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    PAUSE_MIN_MS = 50,       /* doubled for each failure in a row, */
    PAUSE_DOUBLINGS_MAX = 4, /* at most so often */
    CALL_MIN_MS = 1000       /* one try of several; see time_of_try_ms */
};
enum state { READING, WRITING, ALLOCATING, PAUSING, CHECKING, STATE_COUNT };

struct errand {
    const struct errand_options *options; /* they outlive self */
    const struct errand_config *config;   /* theirs */
    uint64_t asked;
    int64_t deadline_ms;
    uint32_t failures, lost_races;
    bool writing;                  /* a write is on its way */
    bool ambiguous;                /* an earlier one may have been done, or may be yet */
    int64_t seen;                  /* the create revision of the session looked at; 0: none yet */
    int64_t revoking;              /* the lease that is being revoked; 0: it has none, or is not */
    struct rollcall_error trouble; /* what was in the way last; status OK: nothing yet */
    int step;                      /* CHECKING: of enum errand_health_step, what is asked */
    int64_t step_ms;               /* and since when */
    struct rollcall_health health;
};

static rollcall_handler_fn on_read, on_written, on_allocated, on_checked, on_retry, on_deadline,
    on_late, on_bounced;

#define PAUSE ROLLCALL_TO(PAUSING)
#define AGAIN (ROLLCALL_TO(READING) | PAUSE)
#define BEGIN                                                                                      \
    (ROLLCALL_TO(READING) | ROLLCALL_TO(WRITING) | ROLLCALL_TO(ALLOCATING) |                       \
     ROLLCALL_TO(CHECKING) | PAUSE)
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][ERRAND_COUNT] = {
    [READING]   [ERRAND_ANSWER]    = {on_read,      ROLLCALL_TO(WRITING) | PAUSE},
    [READING]   [ERRAND_DEADLINE]  = {on_deadline,  0},
    [READING]   [ROLLCALL_BOUNCED] = {on_bounced,   PAUSE},

    [WRITING]   [ERRAND_ANSWER]    = {on_written,   ROLLCALL_TO(WRITING) | AGAIN},
    [WRITING]   [ERRAND_DEADLINE]  = {on_deadline,  0},
    [WRITING]   [ROLLCALL_BOUNCED] = {on_bounced,   PAUSE},

    [ALLOCATING][ERRAND_ALLOCATED] = {on_allocated, PAUSE},
    [ALLOCATING][ERRAND_DEADLINE]  = {on_deadline,  0}, /* an ID on its way is skipped */
    [ALLOCATING][ROLLCALL_BOUNCED] = {on_bounced,   PAUSE},

    [PAUSING]   [ERRAND_RETRY]     = {on_retry,     BEGIN},
    [PAUSING]   [ERRAND_DEADLINE]  = {on_deadline,  0},

    [CHECKING]  [ERRAND_ANSWER]    = {on_checked,   ROLLCALL_TO(CHECKING) | PAUSE},
    [CHECKING]  [ERRAND_DEADLINE]  = {on_late,      0},
    [CHECKING]  [ROLLCALL_BOUNCED] = {on_bounced,   PAUSE},
};
/* clang-format on */

/* ---- the result ---- */

static void destroy_result(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* Tells it, and is over.  error: status OK: done. */
static int tell(struct rollcall_context *cx, const struct errand *er,
                const struct rollcall_error *error, int64_t server_id)
{
    const struct application_event payload = {.credit = 0};
    struct errand_result *result = rollcall__allocate_zeroed(1, sizeof *result);
    if (result == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a result");
    }
    rollcall_object_init(&result->object, destroy_result);
    result->error = *error;
    result->server_id = server_id;
    result->health = er->health;
    if (error->status != ROLLCALL_OK) {
        result->error.maybe_applied = error->maybe_applied || er->ambiguous || er->writing;
    }
    if (rollcall_send_object(cx, er->options->application, APPLICATION_EVENT, &payload,
                             sizeof payload, &result->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the application's mailbox is full");
    }
    return ROLLCALL_END;
}

static int tell_done(struct rollcall_context *cx, const struct errand *er, int64_t server_id)
{
    return tell(cx, er, &(const struct rollcall_error){.status = ROLLCALL_OK}, server_id);
}

/* ---- failures, and the deadline ---- */

static int pause(struct rollcall_context *cx, struct errand *er, const struct rollcall_error *cause)
{
    const uint32_t doublings =
        er->failures < PAUSE_DOUBLINGS_MAX ? er->failures : PAUSE_DOUBLINGS_MAX;
    const int64_t delay_ms = (int64_t)PAUSE_MIN_MS << doublings;
    er->failures++;
    er->writing = false; /* nothing is outstanding */
    er->trouble = *cause;
    er->ambiguous |= cause->maybe_applied;
    rollcall_timer_set(cx, ERRAND_RETRY,
                       rollcall_now_ms(cx) + delay_ms / 2 +
                           (int64_t)(rollcall_random(cx) % (uint64_t)(delay_ms / 2 + 1)));
    return PAUSING;
}

static int pause_or_tell(struct rollcall_context *cx, struct errand *er,
                         const struct rollcall_error *error)
{
    return rollcall_status_class(error->status) == ROLLCALL_RETRY ? pause(cx, er, error)
                                                                  : tell(cx, er, error, 0);
}

static int on_deadline(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    const struct errand *er = self;
    const long long timeout_ms = (long long)er->config->timeout_ms;
    struct rollcall_error error;
    (void)message;
    if (er->trouble.status != ROLLCALL_OK) {
        rollcall_error_set(&error,
                           er->trouble.status == ROLLCALL_E_UNAVAILABLE ? ROLLCALL_E_UNAVAILABLE
                                                                        : ROLLCALL_E_TIMEOUT,
                           "not done within %lld ms: %s", timeout_ms, er->trouble.text);
    } else if (er->lost_races > 0) {
        rollcall_error_set(&error, ROLLCALL_E_TIMEOUT,
                           "the key %.120s was changed by others %u times within %lld ms, each "
                           "time before we could: try again",
                           er->config->key, er->lost_races, timeout_ms);
    } else {
        rollcall_error_set(&error, ROLLCALL_E_TIMEOUT,
                           "etcd at %.120s did not answer within %lld ms: check that it runs and "
                           "has a leader",
                           er->config->endpoints, timeout_ms);
    }
    return tell(cx, er, &error, 0);
}

static int pause_full(struct rollcall_context *cx, struct errand *er)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_FULL,
                       "too much is asked of etcd at once: ask for less, or later");
    return pause(cx, er, &error);
}

/* The transport and the allocator may live on another worker: what they had no room for comes back,
 * and is not answered. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)message;
    return pause_full(cx, self);
}

/* ---- asking ---- */

/* A try has half of the time that is left, for an endpoint that is silent must not take it all. One
 * at revoking a lease has a second: it may be done twice, for no lease ID is used again, and half
 * of a TTL is what nobody should have to wait. */
static int64_t time_of_try_ms(const struct errand *er, int64_t left_ms)
{
    const int64_t half_ms = left_ms >= 2 * CALL_MIN_MS ? left_ms / 2 : left_ms > 0 ? left_ms : 1;
    return er->config->kind == ERRAND_REVOKE_LEASE && half_ms > CALL_MIN_MS ? CALL_MIN_MS : half_ms;
}

/* request: moved; NULL: out of memory. */
static int ask(struct rollcall_context *cx, struct errand *er, struct transport_request *request,
               int next_state)
{
    const int64_t left_ms = er->deadline_ms - rollcall_now_ms(cx);
    const struct transport_call call = {
        .id = ++er->asked,
        .timeout_ms = time_of_try_ms(er, left_ms),
        .answer = ERRAND_ANSWER}; /* not wait_for_ready: the cause is wanted at once */
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, er->options->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return pause_full(cx, er);
    }
    er->writing = next_state == WRITING;
    return next_state;
}

static int ask_server_id(struct rollcall_context *cx, struct errand *er)
{
    const struct allocator_ask request = {.answer = ERRAND_ALLOCATED, .reuse = er->config->reuse};
    if (rollcall_send_object(cx, er->options->allocator, ALLOCATOR_ASK, &request, sizeof request,
                             rollcall_object_keep(&er->config->session->object)) != ROLLCALL_OK) {
        return pause_full(cx, er);
    }
    return ALLOCATING;
}

/* Asks what is next, or tells. */
static int check(struct rollcall_context *cx, struct errand *er)
{
    if (er->step == ERRAND_HEALTH_STEPS) {
        return tell_done(cx, er, 0);
    }
    er->step_ms = rollcall_now_ms(cx);
    return ask(cx, er, errand_health_request(er->config, er->step), CHECKING);
}

static int begin(struct rollcall_context *cx, struct errand *er)
{
    const struct rollcall_bytes one_key = {NULL, 0};
    if (er->config->kind == ERRAND_HEALTH) {
        if (er->step == 0) {
            errand_health_init(&er->health);
        }
        return check(cx, er);
    }
    if (er->config->kind == ERRAND_SERVER_ID) {
        return ask_server_id(cx, er);
    }
    if (er->config->kind == ERRAND_REVOKE_LEASE) {
        er->revoking = er->config->lease_id;
        return ask(cx, er, transport_request_lease(TRANSPORT_LEASE_REVOKE, er->revoking, 0),
                   WRITING);
    }
    if (er->config->kind == ERRAND_WRITE) {
        rollcall_object_keep(&er->config->write->object);
        return ask(cx, er, er->config->write, WRITING);
    }
    return ask(cx, er, transport_request_range(rollcall__bytes(er->config->key), one_key), READING);
}

static int on_retry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return begin(cx, self);
}

/* ---- the session that is there ---- */

static bool is_meant(const struct errand *er, const struct transport_kv *kv)
{
    const struct errand_config *c = er->config;
    return kv != NULL && (c->lease_id == 0 || c->lease_id == kv->lease_id) &&
           (c->create_revision == 0 || c->create_revision == kv->create_revision) &&
           (er->seen == 0 || er->seen == kv->create_revision);
}

static int tell_lost(struct rollcall_context *cx, const struct errand *er,
                     const struct transport_kv *kv)
{
    struct rollcall_error error;
    if (kv == NULL) {
        rollcall_error_set(&error, ROLLCALL_E_KEY_LOST,
                           "there is no session at %.160s: it has ended, or the key is another",
                           er->config->key);
    } else {
        rollcall_error_set(&error, ROLLCALL_E_KEY_LOST,
                           "the session at %.120s is not the one meant: it has lease %" PRIx64
                           " and create revision %" PRId64 "; look it up again",
                           er->config->key, (uint64_t)kv->lease_id, kv->create_revision);
    }
    return tell(cx, er, &error, 0);
}

/* The record as it is, but for Stopping; under the same lease, or the key would outlive it. */
static int mark(struct rollcall_context *cx, struct errand *er, const struct transport_kv *kv)
{
    const struct transport_compare same = {
        .target = TRANSPORT_COMPARE_MOD_REVISION, .key = kv->key, .number = kv->mod_revision};
    struct rollcall__buffer marked = {0};
    struct rollcall_error error;
    int next;
    if (rollcall__record_mark_stopping(kv->value, &marked, &error) != ROLLCALL_OK) {
        rollcall_error_set(&error, error.status, "the record at %.100s cannot be marked: %s",
                           er->config->key, error.text);
        next = tell(cx, er, &error, 0);
    } else {
        next = ask(cx, er,
                   marked.failed ? NULL
                                 : transport_request_put_if(&same, rollcall__buffer_bytes(&marked),
                                                            kv->lease_id),
                   WRITING);
    }
    rollcall__buffer_free(&marked);
    return next;
}

static int revoke(struct rollcall_context *cx, struct errand *er, const struct transport_kv *kv)
{
    struct transport_txn txn = {.compare_count = 1, .success_count = 1, .failure_count = 1};
    if (er->revoking != 0 && er->revoking != kv->lease_id) {
        er->lost_races++;
    }
    er->revoking = kv->lease_id;
    if (er->revoking != 0) {
        return ask(cx, er, transport_request_lease(TRANSPORT_LEASE_REVOKE, er->revoking, 0),
                   WRITING);
    }
    txn.compares[0] = (struct transport_compare){
        .target = TRANSPORT_COMPARE_MOD_REVISION, .key = kv->key, .number = kv->mod_revision};
    txn.success[0] = (struct transport_op){.kind = TRANSPORT_OP_DELETE, .key = kv->key};
    txn.failure[0] = (struct transport_op){.kind = TRANSPORT_OP_GET, .key = kv->key};
    return ask(cx, er, transport_request_txn(&txn), WRITING);
}

/* Only a session is touched: the ID key, say, is under no lease, and would be deleted. */
static enum rollcall_status read_record(const struct errand *er, const struct transport_kv *kv,
                                        bool *stopping, struct rollcall_error *error)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    struct rollcall_error why;
    enum rollcall_status status = rollcall__record_decode(kv->value, &arena, &record, &why);
    if (status == ROLLCALL_E_NO_MEMORY) {
        *error = why;
    } else if (status != ROLLCALL_OK) {
        rollcall_error_set(error, status,
                           "the key %.120s holds no session record (%.300s): it is left as it is; "
                           "if nobody needs it, delete it with etcdctl",
                           er->config->key, why.text);
    } else {
        *stopping = record.stopping;
    }
    rollcall__arena_free(&arena);
    return status;
}

/* kv: what the key holds; NULL: nothing.  Garbage is told as garbage whichever session was meant:
 * somebody has to look at it. */
static int look(struct rollcall_context *cx, struct errand *er, const struct transport_kv *kv)
{
    const bool revokes = er->config->kind == ERRAND_REVOKE;
    struct rollcall_error error;
    bool stopping = false;
    if (revokes && er->seen != 0 && !is_meant(er, kv)) {
        return tell_done(cx, er, 0);
    }
    if (kv != NULL && read_record(er, kv, &stopping, &error) != ROLLCALL_OK) {
        return tell(cx, er, &error, 0);
    }
    if (!is_meant(er, kv)) {
        return tell_lost(cx, er, kv);
    }
    er->seen = kv->create_revision;
    if (revokes) {
        return revoke(cx, er, kv);
    }
    return stopping ? tell_done(cx, er, 0) : mark(cx, er, kv);
}

/* ---- answers ---- */

static int on_read(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct errand *er = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != er->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK) {
        return pause_or_tell(cx, er, &result->error);
    }
    return look(cx, er, result->kv_count == 0 ? NULL : &result->kvs[0]);
}

/* What holds for a token. */
static int on_guarded(struct rollcall_context *cx, struct errand *er,
                      const struct transport_result *result)
{
    struct rollcall_error error;
    if (result->error.status != ROLLCALL_OK) {
        return result->error.maybe_applied ? tell(cx, er, &result->error, 0)
                                           : pause_or_tell(cx, er, &result->error);
    }
    if (result->succeeded) {
        return tell_done(cx, er, 0);
    }
    rollcall_error_set(&error, ROLLCALL_E_KEY_LOST,
                       "the token %" PRId64
                       " is not valid any more: another process acts, or will; "
                       "nothing was written",
                       er->config->token);
    return tell(cx, er, &error, 0);
}

static int on_written(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct errand *er = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != er->asked) {
        return ROLLCALL_STAY;
    }
    er->writing = false;
    if (answer->status == ROLLCALL_E_LEASE_LOST && er->config->kind == ERRAND_REVOKE_LEASE) {
        return tell_done(cx, er, 0);
    }
    if (er->config->kind == ERRAND_WRITE) {
        return on_guarded(cx, er, result);
    }
    if (answer->status == ROLLCALL_E_LEASE_LOST) { /* the key is going with it: look again */
        return pause(cx, er, &result->error);
    }
    if (answer->status != ROLLCALL_OK) {
        return pause_or_tell(cx, er, &result->error);
    }
    if (er->revoking != 0) {
        er->ambiguous = true; /* whatever is told from here on, a lease was revoked */
        return er->revoking == er->config->lease_id ? tell_done(cx, er, 0) : begin(cx, er);
    }
    if (result->succeeded) {
        return tell_done(cx, er, 0);
    }
    er->lost_races++;
    return look(cx, er,
                result->op_count == 0 || result->ops[0].kv_count == 0 ? NULL
                                                                      : &result->ops[0].kvs[0]);
}

static int on_allocated(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct errand *er = self;
    const struct allocator_answer *answer = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    struct rollcall_error error;
    if (answer->status == ROLLCALL_OK) {
        return tell_done(cx, er, answer->server_id);
    }
    if (why != NULL) {
        return pause_or_tell(cx, er, &why->error);
    }
    rollcall_error_set(&error, answer->status, "%s", rollcall_status_text(answer->status));
    return pause_or_tell(cx, er, &error);
}

/* Without a status there is nothing to tell; of the rest, each failure is part of the result. */
static int on_checked(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct errand *er = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != er->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK && er->step <= ERRAND_HEALTH_STATUS_LAST) {
        return tell(cx, er, &result->error, 0);
    }
    errand_health_note(&er->health, er->step, result, rollcall_now_ms(cx) - er->step_ms);
    er->step++;
    return check(cx, er);
}

/* What is known is told. */
static int on_late(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct errand *er = self;
    return er->step > ERRAND_HEALTH_STATUS_LAST ? tell_done(cx, er, 0)
                                                : on_deadline(cx, er, message);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct errand *er = self;
    er->options = options;
    er->config = er->options->config;
    er->deadline_ms = rollcall_now_ms(cx) + er->config->timeout_ms;
    rollcall_timer_set(cx, ERRAND_DEADLINE, er->deadline_ms);
    return begin(cx, er);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct errand_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"READING", "WRITING", "ALLOCATING", "PAUSING",
                                                     "CHECKING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(ERRAND_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ERRAND_LIST);

const struct rollcall_actor_type errand_type = {
    .name = "errand",
    .self_size_bytes = sizeof(struct errand),
    .options_size_bytes = sizeof(struct errand_options),
    .init = init,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = ERRAND_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

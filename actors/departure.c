/*
 * departure - marks a session's record Stopping, and takes the session out of etcd.
 *
 *    IDLE <--MARK, ANSWER--> MARKING --ANSWER(leaving)--> REVOKING --ANSWER--> DONE
 *    IDLE --LEAVE(mark)----> MARKING                         ^
 *    IDLE, MARKING --LEAVE(no mark)--------------------------+
 *
 * The mark is a put by compare: only if the key is still the one that we created, and always with
 * our lease, so it neither overwrites a successor nor makes a key immortal.  It is tried once: who
 * asked for it is told, and who leaves goes on without it.  Who stands for election may hold the
 * active key too, or come to hold it just now: both are marked in one transaction, under the
 * condition that the active key is as it was found; a first try, which finds it, is free to fail.
 * The revoke is tried until etcd has answered; what bounds it is the session's owner, who closes
 * when he has waited enough. Of a lease that is shared, REVOKING is to ask the lease_keeper, which
 * knows whether the lease has others: until it has answered, for what it failed on, or had no room
 * for, is lost. Invariant: at most one answer counts, the one of the request with id `asked`.
 */
#include "actors/departure.h"

#include "actors/lease_keeper.h"
#include "actors/session_requests.h"
#include "transport/request.h"

enum { REVOKE_RETRY_MS = 200, LEAVE_AGAIN_MS = 500, LOOKS_MAX = 10 };
enum state { IDLE, MARKING, REVOKING, DONE, STATE_COUNT };

/* Survives a restart. */
struct departure_handover {
    struct session_membership *mine; /* shared; NULL: nothing was asked yet */
    bool asked_mark;                 /* and not answered */
    bool marked;
    bool leaving;
    bool mark_first; /* LEAVE came with mark, and no mark has been tried */
    bool spare;      /* likewise */
    bool left;       /* told */
    struct session_left how;
};

struct departure {
    const struct departure_options *options; /* they outlive self */
    struct departure_handover *held;
    uint64_t asked;
    /* MARKING, of one that stands: the active key as it was found last. */
    int64_t active_mod_revision; /* 0: not there */
    bool active_is_ours;
    uint32_t looks; /* at it, by this mark */
};

static rollcall_handler_fn on_mark, on_leave, on_leave_marking, on_marked, on_revoked, on_left,
    on_retry;

#define OUT (ROLLCALL_TO(MARKING) | ROLLCALL_TO(REVOKING))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][DEPARTURE_COUNT] = {
    [IDLE]    [DEPARTURE_MARK]   = {on_mark,          ROLLCALL_TO(MARKING)},
    [IDLE]    [DEPARTURE_LEAVE]  = {on_leave,         OUT},
    [IDLE]    [DEPARTURE_ANSWER] = {rollcall_ignore,  0},

    [MARKING] [DEPARTURE_MARK]   = {rollcall_ignore,  0}, /* the session asks again when answered */
    [MARKING] [DEPARTURE_LEAVE]  = {on_leave_marking, ROLLCALL_TO(REVOKING)},
    [MARKING] [DEPARTURE_ANSWER] = {on_marked,        ROLLCALL_TO(IDLE) | OUT},

    [REVOKING][DEPARTURE_MARK]   = {rollcall_ignore,  0}, /* too late: it leaves */
    [REVOKING][DEPARTURE_LEAVE]  = {rollcall_ignore,  0},
    [REVOKING][DEPARTURE_ANSWER] = {on_revoked,       ROLLCALL_TO(DONE)},
    [REVOKING][DEPARTURE_LEFT]   = {on_left,          ROLLCALL_TO(DONE)},
    [REVOKING][DEPARTURE_RETRY]  = {on_retry,         0},

    [DONE]    [DEPARTURE_MARK]   = {rollcall_ignore,  0},
    [DONE]    [DEPARTURE_LEAVE]  = {rollcall_ignore,  0},
    [DONE]    [DEPARTURE_ANSWER] = {rollcall_ignore,  0}, /* of a mark that was not waited for */
    [DONE]    [DEPARTURE_LEFT]   = {rollcall_ignore,  0}, /* asked twice */
};
/* clang-format on */

/* Sends one request; request: moved, NULL: out of memory.  A refusal shows as a failure. */
static int ask(struct rollcall_context *cx, struct departure *de, struct transport_request *request,
               int next_state)
{
    const struct transport_call call = {
        .id = ++de->asked, .answer = DEPARTURE_ANSWER, .wait_for_ready = true};
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, de->options->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return next_state;
}

/* ---- the mark ---- */

static int ask_mark(struct rollcall_context *cx, struct departure *de)
{
    const struct session_config *config = de->options->config;
    const struct session_membership *mine = de->held->mine;
    return ask(cx, de,
               config->stands ? session_request_mark_both(config, mine, de->active_mod_revision,
                                                          de->active_is_ours)
                              : session_request_mark(config, mine),
               MARKING);
}

/* Asked again by the timer, until it is answered. */
static int ask_keeper(struct rollcall_context *cx, struct departure *de, int next_state)
{
    const struct session_membership *mine = de->held->mine;
    const struct lease_keeper_leave leave = {.user = de->options->share,
                                             .create_revision = mine->create_revision,
                                             .answer = DEPARTURE_LEFT,
                                             .unsure = mine->unsure,
                                             .spare = de->held->spare};
    de->asked++; /* a mark that is on its way is not waited for */
    ROLLCALL_DROP(rollcall_send(cx, de->options->keeper, LEASE_KEEPER_LEAVE, &leave, sizeof leave),
                  "full: the timer below asks again");
    rollcall_timer_set(cx, DEPARTURE_RETRY, rollcall_now_ms(cx) + LEAVE_AGAIN_MS);
    return next_state;
}

static int ask_revoke(struct rollcall_context *cx, struct departure *de, int next_state)
{
    if (de->options->config->share_lease) {
        return ask_keeper(cx, de, next_state);
    }
    return ask(cx, de, transport_request_lease(TRANSPORT_LEASE_REVOKE, de->held->mine->lease_id, 0),
               next_state);
}

static void keep_membership(struct departure *de, const struct rollcall_message *message)
{
    if (de->held->mine == NULL) {
        de->held->mine = (struct session_membership *)rollcall_object_keep(message->object);
    }
}

static int tell_marked(struct rollcall_context *cx, struct departure *de,
                       const struct rollcall_error *error)
{
    struct rollcall_reason *reason =
        error->status == ROLLCALL_OK ? NULL : rollcall_reason_create(error);
    if (error->status != ROLLCALL_OK && reason == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a reason");
    }
    if (rollcall_send_object(cx, de->options->session, SESSION_MARKED, NULL, 0,
                             reason == NULL ? NULL : &reason->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    de->held->asked_mark = false;
    return IDLE;
}

static int on_mark(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct departure *de = self;
    keep_membership(de, message);
    de->held->asked_mark = true;
    return ask_mark(cx, de);
}

/* It was not marked, and our key is still ours: the active key is not as it was found. */
static bool look_again(struct departure *de, const struct transport_result *result)
{
    const struct session_membership *mine = de->held->mine;
    if (!de->options->config->stands || result->error.status != ROLLCALL_OK || result->succeeded ||
        result->op_count != 2 || result->ops[1].kv_count == 0 || de->looks++ == LOOKS_MAX) {
        return false;
    }
    const struct transport_op_result *active = &result->ops[0];
    const struct transport_kv *own = &result->ops[1].kvs[0];
    de->active_mod_revision = active->kv_count == 0 ? 0 : active->kvs[0].mod_revision;
    de->active_is_ours = active->kv_count != 0 && active->kvs[0].lease_id == mine->lease_id;
    return own->create_revision == mine->create_revision && own->lease_id == mine->lease_id;
}

static void read_outcome(const struct departure *de, const struct transport_result *result,
                         struct rollcall_error *error)
{
    *error = result->error;
    if (error->status == ROLLCALL_OK && !result->succeeded) {
        rollcall_error_set(error, ROLLCALL_E_KEY_LOST,
                           "the key %.160s is not the one that this session put: register again",
                           de->held->mine->key);
    }
}

/* Whoever leaves goes on, whether or not the mark was made. */
static int on_marked(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct departure *de = self;
    const struct transport_answer *answer = message->payload;
    struct rollcall_error error;
    if (answer->id != de->asked) {
        return ROLLCALL_STAY;
    }
    if (look_again(de, (const struct transport_result *)message->object)) {
        return ask_mark(cx, de);
    }
    de->looks = 0;
    read_outcome(de, (const struct transport_result *)message->object, &error);
    de->held->marked |= error.status == ROLLCALL_OK;
    if (de->held->asked_mark) {
        const int told = tell_marked(cx, de, &error);
        if (told != IDLE) {
            return told;
        }
    }
    de->held->mark_first = false;
    return de->held->leaving ? ask_revoke(cx, de, REVOKING) : IDLE;
}

/* ---- the revoke ---- */

static int on_leave(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct departure *de = self;
    const struct departure_leave *leave = message->payload;
    keep_membership(de, message);
    de->held->leaving = true;
    de->held->spare = leave->spare;
    de->held->mark_first = leave->mark && !de->held->marked;
    return de->held->mark_first ? ask_mark(cx, de) : ask_revoke(cx, de, REVOKING);
}

/* A mark is on its way; who is in a hurry does not wait for its answer. */
static int on_leave_marking(struct rollcall_context *cx, void *self,
                            const struct rollcall_message *message)
{
    struct departure *de = self;
    const struct departure_leave *leave = message->payload;
    de->held->leaving = true;
    de->held->spare = leave->spare;
    if (leave->mark) {
        return ROLLCALL_STAY;
    }
    de->held->mark_first = false;
    de->held->asked_mark = false; /* the session answers it when it is over */
    return ask_revoke(cx, de, REVOKING);
}

static int tell_left(struct rollcall_context *cx, struct departure *de)
{
    const struct session_left *how = &de->held->how;
    if (rollcall_send(cx, de->options->session, SESSION_LEFT, how, sizeof *how) != ROLLCALL_OK) {
        rollcall_timer_set(cx, DEPARTURE_RETRY, rollcall_now_ms(cx) + REVOKE_RETRY_MS);
        return ROLLCALL_STAY; /* a revoke again does no harm, and tells again */
    }
    de->held->left = true;
    return DONE;
}

static int on_revoked(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct departure *de = self;
    const struct transport_answer *answer = message->payload;
    if (answer->id != de->asked) {
        return ROLLCALL_STAY;
    }
    if (rollcall_status_class(answer->status) == ROLLCALL_RETRY) {
        rollcall_timer_set(cx, DEPARTURE_RETRY, rollcall_now_ms(cx) + REVOKE_RETRY_MS);
        return ROLLCALL_STAY;
    }
    de->held->how.status = answer->status;
    return tell_left(cx, de);
}

static int on_left(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct departure *de = self;
    de->held->how = *(const struct session_left *)message->payload;
    rollcall_timer_cancel(cx, DEPARTURE_RETRY);
    return tell_left(cx, de);
}

static int on_retry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return ask_revoke(cx, self, ROLLCALL_STAY);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct departure *de = self;
    de->options = options;
    de->held = rollcall_handover(cx);
    if (de->held->left) {
        return DONE;
    }
    if (de->held->asked_mark || (de->held->leaving && de->held->mark_first)) {
        return ask_mark(cx, de);
    }
    return de->held->leaving ? ask_revoke(cx, de, REVOKING) : IDLE;
}

static void handover_fini(void *handover)
{
    struct departure_handover *held = handover;
    if (held->mine != NULL) {
        rollcall_object_drop(&held->mine->object);
    }
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct departure_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "MARKING", "REVOKING", "DONE"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(DEPARTURE_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(DEPARTURE_LIST);

const struct rollcall_actor_type departure_type = {
    .name = "departure",
    .self_size_bytes = sizeof(struct departure),
    .options_size_bytes = sizeof(struct departure_options),
    .handover_size_bytes = sizeof(struct departure_handover),
    .init = init,
    .options_fini = options_fini,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = DEPARTURE_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

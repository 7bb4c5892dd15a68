/*
 * liveness - watches the session's own key, and says when it is not ours any more.
 *
 *    IDLE --START--> READING --ANSWER(ours)--> WATCHING
 *    READING, WATCHING --ANSWER, RESPONSE(gone)------> ASKING --ANSWER--> LOST
 *    READING, WATCHING --ANSWER, RESPONSE(not ours)---------------------> LOST
 *
 * Why beside keepalive: a lease lives on when somebody deletes its key, puts another record there,
 * or moves it to another lease; then others do not see us, or see somebody else, while etcd renews.
 * It reads the key once and watches from that revision, so no change falls in between.  A
 * watch that ends, for whatever reason, fails the actor: the supervisor restarts it, and it reads
 * again.  That it cannot look is no proof of a loss, so no error of etcd is ever told as one.
 * The end of a lease takes its keys with it, so of a key that is gone etcd is asked whether the
 * lease is; if that cannot be had at once, the key was deleted, as far as anybody knows.
 * It also says when the record came to be marked Stopping, or not, by whoever put it there.
 * Invariant: a loss is told once; nothing leads out of LOST.
 */
#include "actors/liveness.h"

#include "actors/session_requests.h"
#include "base/buffer.h"
#include "transport/request.h"

enum { WATCH_ID = 1, READ_ID = 1, LEASE_ID = 2, RETELL_MS = 20, LEASE_TIMEOUT_MS = 1000 };
enum state { IDLE, READING, WATCHING, ASKING, LOST, STATE_COUNT };

/* Survives a restart. */
struct liveness_handover {
    struct session_membership *mine; /* shared; NULL: not started */
    bool seen;                       /* the key was ours at least once */
    bool stopping;                   /* it was marked when it was seen last */
    bool stopping_untold;            /* and this has changed since it was told */
    bool told;
    struct session_key_lost lost; /* loss NONE: it is not */
};

struct liveness {
    struct rollcall_ref session, transport;
    struct liveness_handover *held;
    struct session_key_lost gone; /* ASKING: what is told unless it is the lease */
};

static rollcall_handler_fn on_start, on_read, on_response, on_lease, on_retell, on_retell_stopping,
    on_bounced;

#define GONE (ROLLCALL_TO(ASKING) | ROLLCALL_TO(LOST))

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][LIVENESS_COUNT] = {
    [IDLE]    [LIVENESS_START]    = {on_start,        ROLLCALL_TO(READING)},

    [READING] [LIVENESS_START]    = {rollcall_ignore, 0}, /* asked again: it had come */
    [READING] [ROLLCALL_BOUNCED]  = {on_bounced,      0},
    [READING] [LIVENESS_ANSWER]   = {on_read,         ROLLCALL_TO(WATCHING) | GONE},

    [WATCHING][LIVENESS_START]    = {rollcall_ignore, 0},
    [WATCHING][ROLLCALL_BOUNCED]  = {on_bounced,      0},
    [WATCHING][LIVENESS_RESPONSE] = {on_response,     GONE},
    [WATCHING][LIVENESS_RETELL]   = {on_retell_stopping, 0},

    [ASKING]  [LIVENESS_START]    = {rollcall_ignore, 0},
    [ASKING]  [ROLLCALL_BOUNCED]  = {on_bounced,      0},
    [ASKING]  [LIVENESS_ANSWER]   = {on_lease,        ROLLCALL_TO(LOST)},
    [ASKING]  [LIVENESS_RESPONSE] = {rollcall_ignore, 0}, /* were on their way */

    [LOST]    [LIVENESS_START]    = {rollcall_ignore, 0},
    [LOST]    [LIVENESS_RESPONSE] = {rollcall_ignore, 0}, /* were on their way */
    [LOST]    [LIVENESS_RETELL]   = {on_retell,       0},
};
/* clang-format on */

/* Sends one request; request: moved, NULL: out of memory.  A refusal shows as a failure. */
static int ask(struct rollcall_context *cx, const struct liveness *li,
               const struct transport_call *call, struct transport_request *request, int next_state)
{
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, li->transport, TRANSPORT_CALL, call, sizeof *call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return next_state;
}

/* ---- what the key says ---- */

/* NONE: it is as we put it, or as we marked it since. */
static struct session_key_lost judge(const struct session_membership *mine,
                                     const struct transport_kv *kv, bool is_ours)
{
    struct session_key_lost lost = {.lease_is_ours = kv->lease_id != mine->lease_id};
    if (!is_ours) {
        lost.loss = ROLLCALL_LOSS_OVERWRITTEN;
    } else if (kv->create_revision != mine->create_revision) {
        lost.loss = ROLLCALL_LOSS_DELETED; /* and put there again by somebody else */
    } else if (kv->lease_id != mine->lease_id) {
        lost.loss = ROLLCALL_LOSS_MOVED;
    }
    return lost;
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    const struct liveness *li = self;
    const struct session_key_lost *lost = &li->held->lost;
    (void)message;
    li->held->told =
        (lost->loss == ROLLCALL_LOSS_LEASE
             ? rollcall_send(cx, li->session, SESSION_LEASE_LOST, NULL, 0)
             : rollcall_send(cx, li->session, SESSION_KEY_LOST, lost, sizeof *lost)) == ROLLCALL_OK;
    if (!li->held->told) {
        rollcall_timer_set(cx, LIVENESS_RETELL, rollcall_now_ms(cx) + RETELL_MS);
    }
    return ROLLCALL_STAY;
}

static int tell_lost(struct rollcall_context *cx, struct liveness *li, struct session_key_lost lost)
{
    li->held->lost = lost;
    on_retell(cx, li, NULL);
    return LOST;
}

static int lose(struct rollcall_context *cx, struct liveness *li, struct session_key_lost lost)
{
    const struct transport_call call = {
        .id = LEASE_ID, .timeout_ms = LEASE_TIMEOUT_MS, .answer = LIVENESS_ANSWER};
    rollcall_timer_cancel(cx, LIVENESS_RETELL); /* whether it was marked matters no more */
    if (lost.loss != ROLLCALL_LOSS_DELETED && lost.loss != ROLLCALL_LOSS_MISSING) {
        return tell_lost(cx, li, lost);
    }
    li->gone = lost;
    return ask(cx, li, &call,
               transport_request_lease(TRANSPORT_LEASE_TIME_TO_LIVE, li->held->mine->lease_id, 0),
               ASKING);
}

static int lose_deleted(struct rollcall_context *cx, struct liveness *li)
{
    const struct session_key_lost lost = {.loss = li->held->seen ? ROLLCALL_LOSS_DELETED
                                                                 : ROLLCALL_LOSS_MISSING,
                                          .lease_is_ours = true};
    return lose(cx, li, lost);
}

static int on_lease(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct liveness *li = self;
    const struct transport_result *result = (const struct transport_result *)message->object;
    const struct session_key_lost expired = {.loss = ROLLCALL_LOSS_LEASE};
    /* 0: it lives, in its last second. */
    const bool is_gone = result->error.status == ROLLCALL_OK && result->ttl_s < 0;
    return tell_lost(cx, li, is_gone ? expired : li->gone);
}

/* ---- whether it is marked ---- */

static int on_retell_stopping(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    struct liveness *li = self;
    const struct session_mark_seen seen = {.stopping = li->held->stopping};
    (void)message;
    li->held->stopping_untold =
        rollcall_send(cx, li->session, SESSION_MARK_SEEN, &seen, sizeof seen) != ROLLCALL_OK;
    if (li->held->stopping_untold) {
        rollcall_timer_set(cx, LIVENESS_RETELL, rollcall_now_ms(cx) + RETELL_MS);
    }
    return ROLLCALL_STAY;
}

/* Only a change is told: what departure has marked is known before we see it. */
static void note_stopping(struct rollcall_context *cx, struct liveness *li, bool stopping)
{
    li->held->stopping_untold |= stopping != li->held->stopping;
    li->held->stopping = stopping;
    if (li->held->stopping_untold) {
        on_retell_stopping(cx, li, NULL);
    }
}

/* ---- reading ---- */

/* What the key holds now. */
static int take(struct rollcall_context *cx, struct liveness *li, const struct transport_kv *kv)
{
    struct session_reading reading;
    if (session_read(li->held->mine->server_id, kv->value, &reading) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY,
                             "out of memory for the session's own record");
    }
    const struct session_key_lost lost = judge(li->held->mine, kv, reading.is_ours);
    if (lost.loss != ROLLCALL_LOSS_NONE) {
        return lose(cx, li, lost);
    }
    note_stopping(cx, li, reading.is_stopping);
    return ROLLCALL_STAY;
}

static int look_again(struct rollcall_context *cx, const struct rollcall_error *why)
{
    return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "cannot look at the session's own key: %s",
                         why->text);
}

static int ask_read(struct rollcall_context *cx, const struct liveness *li)
{
    struct transport_request *request = transport_request_range(
        rollcall__bytes(li->held->mine->key), (struct rollcall_bytes){NULL, 0});
    const struct transport_call call = {
        .id = READ_ID, .answer = LIVENESS_ANSWER, .wait_for_ready = true};
    return ask(cx, li, &call, request, READING);
}

static int on_start(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct liveness *li = self;
    li->held->mine = (struct session_membership *)rollcall_object_keep(message->object);
    li->held->stopping = li->held->mine->stopping;
    return ask_read(cx, li);
}

static int ask_watch(struct rollcall_context *cx, const struct liveness *li, int64_t revision)
{
    const struct transport_watch watch = {.watch_id = WATCH_ID, .answer = LIVENESS_RESPONSE};
    struct transport_range *range = transport_range_create(rollcall__bytes(li->held->mine->key),
                                                           (struct rollcall_bytes){NULL, 0});
    if (range == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
    }
    range->revision = revision;
    if (rollcall_send_object(cx, li->transport, TRANSPORT_WATCH, &watch, sizeof watch,
                             &range->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return WATCHING;
}

static int on_read(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct liveness *li = self;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (result->error.status != ROLLCALL_OK) {
        return look_again(cx, &result->error);
    }
    if (result->kv_count == 0) {
        return lose_deleted(cx, li);
    }
    const int next = take(cx, li, &result->kvs[0]);
    if (next != ROLLCALL_STAY) {
        return next;
    }
    li->held->seen = true;
    return ask_watch(cx, li, result->revision); /* not the next: see watcher_request_watch */
}

/* ---- watching ---- */

static int on_response(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct liveness *li = self;
    const struct transport_watch_response *response =
        (const struct transport_watch_response *)message->object;
    const struct transport_watch_id id = {.watch_id = WATCH_ID};
    if (response->error.status != ROLLCALL_OK) {
        return look_again(cx, &response->error);
    }
    if (response->canceled) {
        return rollcall_fail(cx, ROLLCALL_E_COMPACTED, "etcd ended the watch of our own key");
    }
    for (size_t i = 0; i < response->event_count; i++) {
        const struct transport_event *event = &response->events[i];
        if (event->kind == TRANSPORT_DELETE) {
            return lose_deleted(cx, li);
        }
        const int next = take(cx, li, &event->kv);
        if (next != ROLLCALL_STAY) {
            return next;
        }
    }
    if (rollcall_send(cx, li->transport, TRANSPORT_WATCH_ACK, &id, sizeof id) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return ROLLCALL_STAY;
}

/* Of a transport on another worker: that it has no room is heard of later. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)self, (void)message;
    return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct liveness_options *o = options;
    struct liveness *li = self;
    li->session = o->session;
    li->transport = o->transport;
    li->held = rollcall_handover(cx);
    if (li->held->mine == NULL) {
        return IDLE;
    }
    if (li->held->lost.loss == ROLLCALL_LOSS_NONE) {
        return ask_read(cx, li);
    }
    if (!li->held->told) {
        on_retell(cx, li, NULL);
    }
    return LOST;
}

static void handover_fini(void *handover)
{
    struct liveness_handover *held = handover;
    if (held->mine != NULL) {
        rollcall_object_drop(&held->mine->object);
    }
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "READING", "WATCHING", "ASKING",
                                                     "LOST"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(LIVENESS_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(LIVENESS_LIST);

const struct rollcall_actor_type liveness_type = {
    .name = "liveness",
    .self_size_bytes = sizeof(struct liveness),
    .options_size_bytes = sizeof(struct liveness_options),
    .handover_size_bytes = sizeof(struct liveness_handover),
    .init = init,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = LIVENESS_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

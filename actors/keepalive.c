/*
 * keepalive - keeps one lease alive, and says when it may no longer be relied on.
 *
 *    IDLE --START--> SAFE --DEADLINE--> SUSPECT      SAFE, SUSPECT --ANSWER(ttl 0)--> LOST
 *         --START--> SUSPECT --ANSWER--> SAFE        (the grant's time was over already)
 *    restarted: IDLE, if it had not been started; LOST, if that was told; else SUSPECT
 *
 * Why SUSPECT: a silent etcd is not a lost lease; only etcd's own word, a TTL of 0, is.  etcd
 * starts a TTL again when it handles a request, which is after we sent it, so until sent_ms + TTL -
 * margin no etcd has given the key away: the deadline may be early, but never late.  Past it we say
 * so, and go on renewing, for leases survive leader changes and restarts of etcd.  A restart begins
 * in SUSPECT, and says so whatever was said before, because a failure has no bound on its time; the
 * first renewal that is answered ends it.
 * Invariants: in SAFE a DEADLINE timer is set at safe_until_ms; in SAFE and SUSPECT a RENEW timer
 * is.  What is told to the session is told once per change and restart; if its mailbox is full,
 * again later.
 */
#include "actors/keepalive.h"

#include "actors/session.h"

enum {
    MS_PER_S = 1000,
    MARGIN_MIN_MS = 100, /* of clock rates and of our own scheduling; or TTL/50 if that is more */
    MARGIN_DIVISOR = 50,
    RENEW_DIVISOR = 3,
    SHORT_TTL_MS = 3000, /* up to this an election of etcd's takes most of a TTL: */
    SHORT_RENEW_MS = 500,
    JITTER_DIVISOR = 20, /* of the interval: what renews together does not do so for ever */
    YOUNG_MS = 2000,     /* a member that lags may not know a lease of that age */
    TICK_MS = 100,       /* but what renews within one tick shares its wake-ups: see extend */
    RETRY_MIN_MS = 100,  /* or TTL/10, up to the maximum */
    RETRY_MAX_MS = 300,
    RETRY_DIVISOR = 10
};
static const int64_t TTL_MAX_S = 9000000000;
enum state { IDLE, SAFE, SUSPECT, LOST, STATE_COUNT };

enum told { NOTHING, TOLD_SAFE, TOLD_SUSPECT };

/* Survives a restart: a new incarnation goes on renewing at once. */
struct keepalive_handover {
    int64_t lease_id; /* 0: not started */
    int64_t ttl_ms;
    int64_t safe_until_ms;
    int64_t granted_ms; /* when the grant was asked for */
    bool doubted;       /* a member has said once that it does not know the lease */
    bool lost_told;
};

struct keepalive {
    struct rollcall_ref session, transport;
    uint16_t first_word;
    struct keepalive_handover *held;
    enum told told; /* last, by this incarnation: a SAFE of before may still be on its way */
};

static rollcall_handler_fn on_start, on_answer, on_renew, on_deadline, on_lost_again;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][KEEPALIVE_COUNT] = {
    [IDLE]   [KEEPALIVE_START]    = {on_start,        ROLLCALL_TO(SAFE) | ROLLCALL_TO(SUSPECT)},

    [SAFE]   [KEEPALIVE_START]    = {rollcall_ignore, 0}, /* asked again: it had come */
    [SAFE]   [KEEPALIVE_ANSWER]   = {on_answer,       ROLLCALL_TO(SAFE) | ROLLCALL_TO(LOST)},
    [SAFE]   [KEEPALIVE_RENEW]    = {on_renew,        0},
    [SAFE]   [KEEPALIVE_DEADLINE] = {on_deadline,     ROLLCALL_TO(SUSPECT)},

    [SUSPECT][KEEPALIVE_START]    = {rollcall_ignore, 0},
    [SUSPECT][KEEPALIVE_ANSWER]   = {on_answer,       ROLLCALL_TO(SAFE) | ROLLCALL_TO(LOST)},
    [SUSPECT][KEEPALIVE_RENEW]    = {on_renew,        0},
    [SUSPECT][KEEPALIVE_DEADLINE] = {on_deadline,     ROLLCALL_TO(SUSPECT)},

    [LOST]   [KEEPALIVE_START]    = {rollcall_ignore, 0},
    [LOST]   [KEEPALIVE_ANSWER]   = {rollcall_ignore, 0}, /* came too late to matter */
    [LOST]   [KEEPALIVE_DEADLINE] = {on_lost_again,   0}, /* the session's mailbox was full */
};
/* clang-format on */

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* etcd grants no more than TTL_MAX_S; what a hostile one says must not overflow. */
static int64_t ttl_ms_of(int64_t ttl_s)
{
    return clamp(ttl_s, 0, TTL_MAX_S) * MS_PER_S;
}

static int64_t retry_ms(const struct keepalive_handover *held)
{
    return clamp(held->ttl_ms / RETRY_DIVISOR, RETRY_MIN_MS, RETRY_MAX_MS);
}

/* Reports to the session; false, with a timer set to try again, when its mailbox is full. */
static bool report(struct rollcall_context *cx, const struct keepalive *ka, uint16_t message)
{
    const uint16_t word = (uint16_t)(message - SESSION_LEASE_SAFE + ka->first_word);
    if (rollcall_send(cx, ka->session, word, NULL, 0) == ROLLCALL_OK) {
        return true;
    }
    rollcall_timer_set(cx, KEEPALIVE_DEADLINE, rollcall_now_ms(cx) + retry_ms(ka->held));
    return false;
}

static int64_t interval_ms(int64_t ttl_ms)
{
    const int64_t third_ms = ttl_ms / RENEW_DIVISOR;
    return ttl_ms <= SHORT_TTL_MS && third_ms > SHORT_RENEW_MS ? SHORT_RENEW_MS : third_ms;
}

/* Renewals are moved forward to a common tick, a tenth of a second at most: a wake-up costs ten
 * times what a renewal does, and with thousands of leases in a process one then serves dozens. */
static void renew_at(struct rollcall_context *cx, int64_t at_ms)
{
    rollcall_timer_set(cx, KEEPALIVE_RENEW, at_ms - at_ms % TICK_MS);
}

static void publish(struct rollcall_context *cx, const struct keepalive *ka)
{
    const uint16_t word = (uint16_t)(SESSION_LEASE_RENEWED - SESSION_LEASE_SAFE + ka->first_word);
    const struct session_renewed renewed = {.safe_until_ms = ka->held->safe_until_ms};
    ROLLCALL_DROP(rollcall_send(cx, ka->session, word, &renewed, sizeof renewed),
                  "full: what was published before is the safer");
}

/* The lease is good for ttl_ms counted from sent_ms. */
static void extend(struct rollcall_context *cx, struct keepalive *ka, int64_t sent_ms,
                   int64_t ttl_ms)
{
    struct keepalive_handover *held = ka->held;
    const int64_t margin_ms = clamp(ttl_ms / MARGIN_DIVISOR, MARGIN_MIN_MS, ttl_ms);
    const int64_t next_ms = interval_ms(ttl_ms);
    const uint64_t jitter_ms =
        rollcall_random(cx) % (uint64_t)clamp(next_ms / JITTER_DIVISOR, 1, next_ms + 1);
    held->ttl_ms = ttl_ms;
    held->safe_until_ms = sent_ms + ttl_ms - margin_ms;
    publish(cx, ka);
    rollcall_timer_set(cx, KEEPALIVE_DEADLINE, held->safe_until_ms);
    renew_at(cx, sent_ms + next_ms - (int64_t)jitter_ms);
}

/* Of leases granted together each has a phase of its own in the interval: their renewals come at a
 * constant rate, and not in bursts. */
static void spread(struct rollcall_context *cx, const struct keepalive_handover *held)
{
    const uint64_t within_ms = (uint64_t)clamp(interval_ms(held->ttl_ms), 1, held->ttl_ms + 1);
    renew_at(cx, held->granted_ms + 1 + (int64_t)(rollcall_random(cx) % within_ms));
}

static int on_start(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct keepalive *ka = self;
    const struct keepalive_start *start = message->payload;
    ka->held->lease_id = start->lease_id;
    ka->held->granted_ms = start->sent_ms;
    extend(cx, ka, start->sent_ms, ttl_ms_of(start->ttl_s));
    spread(cx, ka->held);
    if (ka->held->safe_until_ms > rollcall_now_ms(cx) && report(cx, ka, SESSION_LEASE_SAFE)) {
        ka->told = TOLD_SAFE;
        return SAFE;
    }
    ka->told = TOLD_SUSPECT; /* as good as: nobody relies on it yet */
    rollcall_timer_set(cx, KEEPALIVE_RENEW, rollcall_now_ms(cx));
    return SUSPECT;
}

static int lose(struct rollcall_context *cx, struct keepalive *ka)
{
    rollcall_timer_cancel(cx, KEEPALIVE_RENEW);
    rollcall_timer_cancel(cx, KEEPALIVE_DEADLINE);
    ka->held->lost_told = report(cx, ka, SESSION_LEASE_LOST);
    return LOST;
}

static int on_lost_again(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct keepalive *ka = self;
    (void)message;
    ka->held->lost_told = report(cx, ka, SESSION_LEASE_LOST);
    return ROLLCALL_STAY;
}

/* etcd before 3.4.20: a member that has not heard of the grant yet says that there is none. */
static bool may_not_know(struct rollcall_context *cx, const struct keepalive_handover *held)
{
    return !held->doubted && rollcall_now_ms(cx) < held->granted_ms + YOUNG_MS;
}

static int on_answer(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct keepalive *ka = self;
    const struct transport_keepalive_answer *answer = message->payload;
    if (answer->lease_id != ka->held->lease_id || answer->status != ROLLCALL_OK) {
        return ROLLCALL_STAY; /* the RENEW timer asks again */
    }
    if (answer->ttl_s <= 0 && may_not_know(cx, ka->held)) {
        ka->held->doubted = true; /* the RENEW timer asks again */
        return ROLLCALL_STAY;
    }
    if (answer->ttl_s <= 0) {
        return lose(cx, ka);
    }
    const int64_t ttl_ms = ttl_ms_of(answer->ttl_s);
    extend(cx, ka, answer->sent_ms, ttl_ms);
    if (ka->held->safe_until_ms <= rollcall_now_ms(cx)) {
        return ROLLCALL_STAY; /* it was true when it was sent, but proves nothing for now */
    }
    if (ka->told != TOLD_SAFE && !report(cx, ka, SESSION_LEASE_SAFE)) {
        return ROLLCALL_STAY; /* the next answer tells */
    }
    ka->told = TOLD_SAFE;
    return SAFE;
}

static int on_renew(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct keepalive *ka = self;
    const struct transport_keepalive request = {.lease_id = ka->held->lease_id,
                                                .ttl_ms = ka->held->ttl_ms,
                                                .safe_until_ms = ka->held->safe_until_ms,
                                                .answer = KEEPALIVE_ANSWER};
    (void)message;
    ROLLCALL_DROP(rollcall_send(cx, ka->transport, TRANSPORT_KEEPALIVE, &request, sizeof request),
                  "full: the timer below asks again");
    rollcall_timer_set(cx, KEEPALIVE_RENEW, rollcall_now_ms(cx) + retry_ms(ka->held));
    return ROLLCALL_STAY;
}

static int on_deadline(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct keepalive *ka = self;
    (void)message;
    if (ka->told == TOLD_SUSPECT || !report(cx, ka, SESSION_LEASE_SUSPECT)) {
        return ROLLCALL_STAY;
    }
    ka->told = TOLD_SUSPECT;
    return SUSPECT;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct keepalive_options *o = options;
    struct keepalive *ka = self;
    ka->session = o->session;
    ka->transport = o->transport;
    ka->first_word = o->first_word == 0 ? SESSION_LEASE_SAFE : o->first_word;
    ka->held = rollcall_handover(cx);
    if (ka->held->lease_id == 0) {
        return IDLE;
    }
    if (ka->held->lost_told) {
        return LOST;
    }
    rollcall_timer_set(cx, KEEPALIVE_DEADLINE, rollcall_now_ms(cx));
    rollcall_timer_set(cx, KEEPALIVE_RENEW, rollcall_now_ms(cx));
    return SUSPECT;
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "SAFE", "SUSPECT", "LOST"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(KEEPALIVE_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(KEEPALIVE_LIST);

const struct rollcall_actor_type keepalive_type = {
    .name = "keepalive",
    .self_size_bytes = sizeof(struct keepalive),
    .options_size_bytes = sizeof(struct keepalive_options),
    .handover_size_bytes = sizeof(struct keepalive_handover),
    .init = init,
    .state_count = STATE_COUNT,
    .message_count = KEEPALIVE_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

/*
 * lease_share - one membership's share of a lease that others have too; it stands where keepalive
 * does for a session with a lease of its own, and says the same of it.
 *
 *    IDLE --START--> SUSPECT <--SAFE, SUSPECT, lease_keeper DOWN--> SAFE
 *    SUSPECT, SAFE --LOST--> LOST          any but LOST --lease_keeper DOWN(ended)--> FAIL
 *    restarted: IDLE, if it had not been started; LOST, if that was told; else SUSPECT
 *
 * It joins the lease_keeper, and passes on what that says.  While that one is down nobody looks at
 * the lease's time, so the session is told SUSPECT; a message that it sent before it failed, and
 * that comes after its DOWN, is void.  It joins again then, and at each start of its own.
 * By it the lease_keeper knows the membership: where it ends, that is over.
 * Invariant: what is told to the session is told once per change and restart; if a mailbox is full,
 * again later.
 */
#include "actors/lease_share.h"

#include "actors/lease_keeper.h"

enum { RETELL_MS = 20 };
enum state { IDLE, SUSPECT, SAFE, LOST, STATE_COUNT };

/* Survives a restart. */
struct lease_share_handover {
    struct session_membership *mine; /* shared; NULL: not started */
    uint16_t keeper_failed_epoch;    /* of its last incarnation that failed; 0: none has */
    bool lost_told;
};

struct lease_share {
    struct rollcall_ref session, keeper;
    struct lease_share_handover *held;
    bool unjoined; /* the lease_keeper's mailbox was full */
    bool untold;   /* the session's was, for `word` */
    uint16_t word;
};

static rollcall_handler_fn on_start, on_safe, on_suspect, on_lost, on_retell, on_down;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][LEASE_SHARE_COUNT] = {
    [IDLE]   [LEASE_SHARE_START]   = {on_start,        ROLLCALL_TO(SUSPECT)},
    [IDLE]   [ROLLCALL_DOWN]       = {on_down,         0},

    [SUSPECT][LEASE_SHARE_START]   = {rollcall_ignore, 0}, /* asked again: it had come */
    [SUSPECT][LEASE_SHARE_SAFE]    = {on_safe,         ROLLCALL_TO(SAFE)},
    [SUSPECT][LEASE_SHARE_SUSPECT] = {rollcall_ignore, 0},
    [SUSPECT][LEASE_SHARE_LOST]    = {on_lost,         ROLLCALL_TO(LOST)},
    [SUSPECT][LEASE_SHARE_RETELL]  = {on_retell,       0},
    [SUSPECT][ROLLCALL_DOWN]       = {on_down,         ROLLCALL_TO(SUSPECT)},

    [SAFE]   [LEASE_SHARE_START]   = {rollcall_ignore, 0},
    [SAFE]   [LEASE_SHARE_SAFE]    = {rollcall_ignore, 0}, /* joined twice */
    [SAFE]   [LEASE_SHARE_SUSPECT] = {on_suspect,      ROLLCALL_TO(SUSPECT)},
    [SAFE]   [LEASE_SHARE_LOST]    = {on_lost,         ROLLCALL_TO(LOST)},
    [SAFE]   [LEASE_SHARE_RETELL]  = {on_retell,       0},
    [SAFE]   [ROLLCALL_DOWN]       = {on_down,         ROLLCALL_TO(SUSPECT)},

    [LOST]   [LEASE_SHARE_START]   = {rollcall_ignore, 0},
    [LOST]   [LEASE_SHARE_SAFE]    = {rollcall_ignore, 0}, /* of before */
    [LOST]   [LEASE_SHARE_SUSPECT] = {rollcall_ignore, 0},
    [LOST]   [LEASE_SHARE_LOST]    = {rollcall_ignore, 0},
    [LOST]   [LEASE_SHARE_RETELL]  = {on_retell,       0},
    [LOST]   [ROLLCALL_DOWN]       = {rollcall_ignore, 0},
};
/* clang-format on */

/* ---- telling, and joining ---- */

static void retell_later(struct rollcall_context *cx)
{
    rollcall_timer_set(cx, LEASE_SHARE_RETELL, rollcall_now_ms(cx) + RETELL_MS);
}

/* Tells the session, or will. */
static void tell(struct rollcall_context *cx, struct lease_share *ls, uint16_t word)
{
    ls->word = word;
    ls->untold = rollcall_send(cx, ls->session, word, NULL, 0) != ROLLCALL_OK;
    if (ls->untold) {
        retell_later(cx);
    } else {
        ls->held->lost_told = word == SESSION_LEASE_LOST;
    }
}

static void join(struct rollcall_context *cx, struct lease_share *ls)
{
    const struct session_membership *mine = ls->held->mine;
    const struct lease_keeper_join payload = {.lease_id = mine->lease_id,
                                              .create_revision = mine->create_revision,
                                              .unsure = mine->unsure};
    ls->unjoined =
        rollcall_send(cx, ls->keeper, LEASE_KEEPER_JOIN, &payload, sizeof payload) != ROLLCALL_OK;
    if (ls->unjoined) {
        retell_later(cx);
    }
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct lease_share *ls = self;
    (void)message;
    if (ls->untold) {
        tell(cx, ls, ls->word);
    }
    if (ls->unjoined) {
        join(cx, ls);
    }
    return ROLLCALL_STAY;
}

/* ---- the lease ---- */

/* Nobody relies on it yet, so there is nothing to tell. */
static int on_start(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_share *ls = self;
    ls->held->mine = (struct session_membership *)rollcall_object_keep(message->object);
    join(cx, ls);
    return SUSPECT;
}

static bool is_void(const struct lease_share *ls, const struct rollcall_message *message)
{
    return message->from.epoch == ls->held->keeper_failed_epoch;
}

static int on_safe(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    if (is_void(self, message)) {
        return ROLLCALL_STAY;
    }
    tell(cx, self, SESSION_LEASE_SAFE);
    return SAFE;
}

static int on_suspect(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (is_void(self, message)) {
        return ROLLCALL_STAY;
    }
    tell(cx, self, SESSION_LEASE_SUSPECT);
    return SUSPECT;
}

/* That the lease is gone stays true whoever said it. */
static int on_lost(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    tell(cx, self, SESSION_LEASE_LOST);
    return LOST;
}

/* ---- the lease_keeper's failures ---- */

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_share *ls = self;
    const struct rollcall_down *down = message->payload;
    if (down->reason != ROLLCALL_DOWN_FAILED) {
        return rollcall_fail(cx, ROLLCALL_E_ACTOR,
                             "the actor that keeps shared leases has failed for good: close this "
                             "connection and connect again");
    }
    ls->held->keeper_failed_epoch = down->epoch;
    if (ls->held->mine == NULL) {
        return ROLLCALL_STAY;
    }
    tell(cx, ls, SESSION_LEASE_SUSPECT);
    join(cx, ls);
    return SUSPECT;
}

/* ---- life ---- */

/* Restarted, it says SUSPECT whatever was said before: see keepalive.c. */
static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct lease_share_options *o = options;
    struct lease_share *ls = self;
    ls->session = o->session;
    ls->keeper = o->keeper;
    ls->held = rollcall_handover(cx);
    rollcall_monitor(cx, ls->keeper);
    if (ls->held->mine == NULL) {
        return IDLE;
    }
    if (ls->held->lost_told) {
        return LOST;
    }
    tell(cx, ls, SESSION_LEASE_SUSPECT);
    join(cx, ls);
    return SUSPECT;
}

static void handover_fini(void *handover)
{
    struct session_membership *mine = ((struct lease_share_handover *)handover)->mine;
    rollcall_object_drop(mine == NULL ? NULL : &mine->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "SUSPECT", "SAFE", "LOST"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(LEASE_SHARE_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(LEASE_SHARE_LIST);

const struct rollcall_actor_type lease_share_type = {
    .name = "lease_share",
    .self_size_bytes = sizeof(struct lease_share),
    .options_size_bytes = sizeof(struct lease_share_options),
    .handover_size_bytes = sizeof(struct lease_share_handover),
    .init = init,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = LEASE_SHARE_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

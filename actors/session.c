/*
 * session - the root of one session: turns what its actors report into what the application is
 * told.
 *
 *    REGISTERING --LEASE_SAFE--> ACTIVE <--LEASE_SAFE, LEASE_SUSPECT--> SUSPECT
 *         \______________________/ \______________________________________/
 *                     |                              |
 *              LEASE_LOST, KEY_LOST (told LOST)    LEAVE, REVOKE (told STOPPING)
 *                     |                              |
 *                     |--revoke first--> CLEARING    +--> LEAVING --LEFT--> OVER (told STOPPED)
 *                     v                     |
 *             OVER, or by option <---LEFT---+
 *             REGISTERING again                     REGISTERING --REFUSED, NO_CONTACT--> OVER
 *    OVER --RESTART--> REGISTERING                                       (told FAILED)
 *    CLEARING --RESTART, which a LEAVE overtook--> LEAVING
 *
 * REGISTERED is not yet ACTIVE: keepalive says first whether the lease's time is still good.
 * It spawns a supervisor, and under it registration, keepalive, liveness and departure, on its own
 * worker; the application is an actor on another.  To register again is to stop that supervisor and
 * spawn another: nothing of the membership before survives but its server ID and its mark, and what
 * its actors still say is known by their addresses.
 * A loss, a failure and an end are told once: a cell that tells one leads to where none does.
 */
#include "actors/session.h"

#include "actors/session_children.h"
#include "actors/session_marks.h"
#include "actors/session_telling.h"
#include "session/names.h"

#include <stdio.h>

enum state { REGISTERING, ACTIVE, SUSPECT, CLEARING, LEAVING, OVER, STATE_COUNT };

struct session {
    const struct session_options *options; /* they outlive self */
    struct session_children children;
    struct session_telling telling;
    struct session_marks marks;
    bool holds;                              /* registration has won: what is held is departure's */
    uint64_t orders;                         /* the highest number of LEAVE, REVOKE and RESTART */
    bool was_marked;                         /* when it was lost last */
    bool again;                              /* CLEARING: RESTART has come */
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* what was in the way last; "": nothing known */
};

static rollcall_handler_fn on_contact, on_trouble, on_registered, on_refused, on_safe, on_suspect,
    on_lease_lost, on_key_lost, on_mark, on_mark_refused, on_marked, on_mark_seen, on_leave,
    on_leave_clearing, on_leave_over, on_hurry, on_registered_late, on_left, on_cleared, on_crossed,
    on_restart, on_restart_soon, on_no_contact, on_down, on_bounced, on_retell, on_press;

/* clang-format off */
#define ALWAYS(state)                                                                              \
    [state][ROLLCALL_BOUNCED] = {on_bounced, 0}, [state][SESSION_RETELL] = {on_retell, 0},         \
    [state][SESSION_PRESS] = {on_press, 0}
#define ENDED (ROLLCALL_TO(OVER) | ROLLCALL_TO(REGISTERING))
#define LOST (ENDED | ROLLCALL_TO(CLEARING))
#define GOING ROLLCALL_TO(LEAVING)
static const struct rollcall_cell TABLE[STATE_COUNT][SESSION_COUNT] = {
    [REGISTERING][SESSION_CONTACT]       = {on_contact,         0},
    [REGISTERING][SESSION_TROUBLE]       = {on_trouble,         0},
    [REGISTERING][SESSION_REGISTERED]    = {on_registered,      ROLLCALL_TO(OVER)},
    [REGISTERING][SESSION_LEASE_SAFE]    = {on_safe,            ROLLCALL_TO(ACTIVE)},
    [REGISTERING][SESSION_LEASE_SUSPECT] = {rollcall_ignore,    0}, /* of the membership before */
    [REGISTERING][SESSION_LEASE_LOST]    = {on_lease_lost,      LOST},
    [REGISTERING][SESSION_KEY_LOST]      = {on_key_lost,        LOST},
    [REGISTERING][SESSION_REFUSED]       = {on_refused,         ROLLCALL_TO(OVER)},
    [REGISTERING][SESSION_MARK]          = {on_mark_refused,    0},
    [REGISTERING][SESSION_MARKED]        = {rollcall_ignore,    0}, /* of the membership before */
    [REGISTERING][SESSION_MARK_SEEN]     = {on_mark_seen,       0},
    [REGISTERING][SESSION_LEAVE]         = {on_leave,           GOING},
    [REGISTERING][SESSION_REVOKE]        = {on_leave,           GOING},
    [REGISTERING][SESSION_RESTART]       = {rollcall_ignore,    0}, /* it is doing so */
    [REGISTERING][SESSION_LEFT]          = {rollcall_ignore,    0}, /* of the membership before */
    [REGISTERING][SESSION_NO_CONTACT]    = {on_no_contact,      ROLLCALL_TO(OVER)},
    [REGISTERING][ROLLCALL_DOWN]         = {on_down,            LOST},
    ALWAYS(REGISTERING),

    [ACTIVE]     [SESSION_CONTACT]       = {rollcall_ignore,    0},
    [ACTIVE]     [SESSION_LEASE_SAFE]    = {rollcall_ignore,    0}, /* of the membership before */
    [ACTIVE]     [SESSION_LEFT]          = {rollcall_ignore,    0}, /* likewise */
    [ACTIVE]     [SESSION_LEASE_SUSPECT] = {on_suspect,         ROLLCALL_TO(SUSPECT)},
    [ACTIVE]     [SESSION_LEASE_LOST]    = {on_lease_lost,      LOST},
    [ACTIVE]     [SESSION_KEY_LOST]      = {on_key_lost,        LOST},
    [ACTIVE]     [SESSION_MARK]          = {on_mark,            0},
    [ACTIVE]     [SESSION_MARKED]        = {on_marked,          0},
    [ACTIVE]     [SESSION_MARK_SEEN]     = {on_mark_seen,       0},
    [ACTIVE]     [SESSION_LEAVE]         = {on_leave,           GOING},
    [ACTIVE]     [SESSION_REVOKE]        = {on_leave,           GOING},
    [ACTIVE]     [SESSION_RESTART]       = {rollcall_ignore,    0}, /* crossed a re-registration */
    [ACTIVE]     [ROLLCALL_DOWN]         = {on_down,            LOST | ROLLCALL_TO(SUSPECT)},
    ALWAYS(ACTIVE),

    [SUSPECT]    [SESSION_CONTACT]       = {rollcall_ignore,    0},
    [SUSPECT]    [SESSION_LEASE_SUSPECT] = {rollcall_ignore,    0}, /* of the membership before */
    [SUSPECT]    [SESSION_LEFT]          = {rollcall_ignore,    0}, /* likewise */
    [SUSPECT]    [SESSION_LEASE_SAFE]    = {on_safe,            ROLLCALL_TO(ACTIVE)},
    [SUSPECT]    [SESSION_LEASE_LOST]    = {on_lease_lost,      LOST},
    [SUSPECT]    [SESSION_KEY_LOST]      = {on_key_lost,        LOST},
    [SUSPECT]    [SESSION_MARK]          = {on_mark,            0},
    [SUSPECT]    [SESSION_MARKED]        = {on_marked,          0},
    [SUSPECT]    [SESSION_MARK_SEEN]     = {on_mark_seen,       0},
    [SUSPECT]    [SESSION_LEAVE]         = {on_leave,           GOING},
    [SUSPECT]    [SESSION_REVOKE]        = {on_leave,           GOING},
    [SUSPECT]    [SESSION_RESTART]       = {rollcall_ignore,    0},
    [SUSPECT]    [ROLLCALL_DOWN]         = {on_down,            LOST},
    ALWAYS(SUSPECT),

    /* The key is not ours; our lease is being revoked. */
    [CLEARING]   [SESSION_CONTACT]       = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_LEASE_SAFE]    = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_LEASE_SUSPECT] = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_LEASE_LOST]    = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_KEY_LOST]      = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_MARK]          = {on_mark_refused,    0},
    [CLEARING]   [SESSION_MARKED]        = {on_marked,          0},
    [CLEARING]   [SESSION_MARK_SEEN]     = {rollcall_ignore,    0},
    [CLEARING]   [SESSION_LEAVE]         = {on_leave_clearing,  GOING},
    [CLEARING]   [SESSION_REVOKE]        = {on_leave_clearing,  GOING},
    [CLEARING]   [SESSION_RESTART]       = {on_restart_soon,    ROLLCALL_TO(LEAVING)},
    [CLEARING]   [SESSION_LEFT]          = {on_cleared,         ENDED},
    [CLEARING]   [ROLLCALL_DOWN]         = {on_down,            ENDED},
    ALWAYS(CLEARING),

    [LEAVING]    [SESSION_CONTACT]       = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_TROUBLE]       = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_REGISTERED]    = {on_registered_late, 0}, /* crossed */
    [LEAVING]    [SESSION_REFUSED]       = {on_crossed,         ROLLCALL_TO(OVER)},
    [LEAVING]    [SESSION_LEASE_SAFE]    = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_LEASE_SUSPECT] = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_LEASE_LOST]    = {rollcall_ignore,    0}, /* we are revoking it */
    [LEAVING]    [SESSION_KEY_LOST]      = {rollcall_ignore,    0}, /* likewise */
    [LEAVING]    [SESSION_MARK]          = {on_mark_refused,    0},
    [LEAVING]    [SESSION_MARKED]        = {on_marked,          0},
    [LEAVING]    [SESSION_MARK_SEEN]     = {on_mark_seen,       0},
    [LEAVING]    [SESSION_LEAVE]         = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_REVOKE]        = {on_hurry,           0},
    [LEAVING]    [SESSION_RESTART]       = {rollcall_ignore,    0},
    [LEAVING]    [SESSION_LEFT]          = {on_left,            ROLLCALL_TO(OVER)},
    [LEAVING]    [ROLLCALL_DOWN]         = {on_down,            ROLLCALL_TO(OVER)},
    ALWAYS(LEAVING),

    /* What crossed the end: it has been told, and nothing more is. */
    [OVER]       [SESSION_CONTACT]       = {rollcall_ignore,    0},
    [OVER]       [SESSION_TROUBLE]       = {rollcall_ignore,    0},
    [OVER]       [SESSION_REGISTERED]    = {rollcall_ignore,    0},
    [OVER]       [SESSION_REFUSED]       = {rollcall_ignore,    0},
    [OVER]       [SESSION_LEASE_SAFE]    = {rollcall_ignore,    0},
    [OVER]       [SESSION_LEASE_SUSPECT] = {rollcall_ignore,    0},
    [OVER]       [SESSION_LEASE_LOST]    = {rollcall_ignore,    0},
    [OVER]       [SESSION_KEY_LOST]      = {rollcall_ignore,    0},
    [OVER]       [SESSION_MARK]          = {on_mark_refused,    0},
    [OVER]       [SESSION_MARKED]        = {rollcall_ignore,    0},
    [OVER]       [SESSION_MARK_SEEN]     = {rollcall_ignore,    0},
    [OVER]       [SESSION_LEAVE]         = {on_leave_over,      0},
    [OVER]       [SESSION_REVOKE]        = {on_leave_over,      0},
    [OVER]       [SESSION_RESTART]       = {on_restart,         ENDED},
    [OVER]       [SESSION_LEFT]          = {rollcall_ignore,    0},
    [OVER]       [ROLLCALL_DOWN]         = {rollcall_ignore,    0},
    ALWAYS(OVER),
};
/* clang-format on */

/* ---- telling ---- */

static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_bounced *bounced = message->payload;
    struct session *se = self;
    if (rollcall_ref_equal(bounced->to, se->telling.application)) {
        session_refused(cx, &se->telling);
    }
    return ROLLCALL_STAY;
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)message;
    session_retell(cx, &((struct session *)self)->telling);
    return ROLLCALL_STAY;
}

/* Ends the actors below, then tells why it is over. */
static int end(struct rollcall_context *cx, struct session *se, enum rollcall_session_state state,
               enum rollcall_status status, const char *reason)
{
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    rollcall_stop(cx, se->children.supervisor);
    session_marks_answer(cx, &se->marks, &se->telling, ROLLCALL_E_STOPPED, "the session is over");
    se->holds = false;
    session_tell_over(cx, &se->telling, state, status, reason);
    return OVER;
}

/* ---- registering ---- */

/* patient: it was a member, so an outage of etcd does not end it, and who was told to send it no
 * new work is told so again. */
static int begin(struct rollcall_context *cx, struct session *se, bool patient)
{
    se->again = false;
    se->trouble[0] = '\0';
    const struct session_beginning beginning = {.before = se->telling.membership,
                                                .patient = patient,
                                                .stopping = patient && se->was_marked};
    const enum rollcall_status status =
        session_children_spawn(cx, se->options, &beginning, &se->children);
    if (status != ROLLCALL_OK) {
        return end(cx, se, ROLLCALL_SESSION_FAILED, status, rollcall_status_text(status));
    }
    if (!patient) {
        rollcall_timer_set(cx, SESSION_NO_CONTACT,
                           rollcall_now_ms(cx) + se->options->config->connect_timeout_ms);
    }
    return REGISTERING;
}

/* Of an actor of the membership before. */
static bool is_stale(const struct session *se, const struct rollcall_message *message)
{
    return !session_children_has(&se->children, message->from.ref);
}

static int on_contact(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (!is_stale(self, message)) {
        rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    }
    return ROLLCALL_STAY;
}

static int on_trouble(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    (void)cx;
    snprintf(se->trouble, sizeof se->trouble, "%s", why->error.text);
    return ROLLCALL_STAY;
}

static int on_no_contact(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct session *se = self;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    (void)message;
    session_no_contact_text(reason, sizeof reason, se->options->config->endpoints,
                            se->options->config->connect_timeout_ms, se->trouble);
    return end(cx, se, ROLLCALL_SESSION_FAILED, ROLLCALL_E_UNAVAILABLE, reason);
}

static void hold(struct session *se, struct rollcall_object *won)
{
    session_won(&se->telling, (struct session_membership *)won);
    se->holds = true;
}

static int on_registered(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    hold(se, message->object);
    session_children_start(cx, &se->children, se->telling.membership);
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    return ROLLCALL_STAY; /* until keepalive has looked at the lease's time */
}

static int on_refused(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    if (is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    return end(cx, self, ROLLCALL_SESSION_FAILED, why->error.status, why->error.text);
}

/* ---- the lease and the key ---- */

static int on_safe(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    session_tell_active(cx, &se->telling);
    return ACTIVE;
}

static int on_suspect(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    session_tell_suspect(cx, &((struct session *)self)->telling);
    return SUSPECT;
}

/* Nothing of the lost membership is left: it is over, or begins again. */
static int settle(struct rollcall_context *cx, struct session *se)
{
    const bool reregister = se->options->config->on_lost == ROLLCALL_ON_LOST_REREGISTER;
    rollcall_stop(cx, se->children.supervisor);
    if (!reregister && !se->again) {
        return OVER;
    }
    session_tell(cx, &se->telling, ROLLCALL_SESSION_REGISTERING, ROLLCALL_OK,
                 reregister ? "registers again" : "asked to register again");
    return begin(cx, se, reregister);
}

static void tell_lost(struct rollcall_context *cx, struct session *se, enum rollcall_loss loss,
                      enum rollcall_status status, const char *reason)
{
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    session_marks_answer(cx, &se->marks, &se->telling, status, reason);
    se->holds = false;
    se->was_marked = se->telling.marked;
    session_tell_lost(cx, &se->telling, loss, status, reason);
}

static int on_lease_lost(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    if (is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    tell_lost(cx, self, ROLLCALL_LOSS_LEASE, ROLLCALL_E_LEASE_LOST,
              "etcd says that the lease is gone");
    return settle(cx, self);
}

/* What is left of it is our lease, which must not keep anything else of ours alive; unless somebody
 * put a record of his under it. */
static int on_key_lost(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_key_lost *lost = message->payload;
    if (is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    tell_lost(cx, se, lost->loss, ROLLCALL_E_KEY_LOST, session_loss_text(lost->loss));
    if (!lost->lease_is_ours) {
        return settle(cx, se);
    }
    session_children_leave(cx, &se->children, se->telling.membership, false);
    return CLEARING;
}

static int on_cleared(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)message;
    return settle(cx, self);
}

/* ---- going-stop ---- */

static int on_mark(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    session_marks_ask(cx, &se->marks, &se->telling, &se->children, message->payload);
    return ROLLCALL_STAY;
}

static int on_marked(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct session *se = self;
    if (!is_stale(se, message) && se->holds) { /* else lost since, and whoever asked was told so */
        session_marks_tried(cx, &se->marks, &se->telling, &se->children,
                            (const struct rollcall_reason *)message->object);
    }
    return ROLLCALL_STAY;
}

static int on_mark_seen(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct session *se = self;
    if (!is_stale(se, message) && se->holds) {
        session_marks_seen(cx, &se->marks, &se->telling, message->payload);
    }
    return ROLLCALL_STAY;
}

static int on_mark_refused(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct session *se = self;
    session_marks_refuse(cx, &se->marks, &se->telling, message->payload);
    return ROLLCALL_STAY;
}

/* ---- the end ---- */

/* Something that was asked for later has come before it. */
static bool is_overtaken(struct session *se, const struct rollcall_message *message)
{
    const uint64_t number = ((const struct session_order *)message->payload)->number;
    const bool overtaken = number < se->orders;
    se->orders = overtaken ? se->orders : number;
    return overtaken;
}

/* Both LEAVE and REVOKE: sends whoever holds something away with it, and tells. */
static int on_leave(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_overtaken(se, message)) {
        return ROLLCALL_STAY;
    }
    const bool mark = message->type == SESSION_LEAVE && !se->telling.marked;
    session_children_leave(cx, &se->children, se->holds ? se->telling.membership : NULL, mark);
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    session_tell(cx, &se->telling, ROLLCALL_SESSION_STOPPING, ROLLCALL_OK, "asked to leave");
    return LEAVING;
}

static int on_hurry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    (void)message;
    if (se->holds) { /* else registration is leaving already */
        session_children_leave(cx, &se->children, se->telling.membership, false);
    }
    return ROLLCALL_STAY;
}

static int on_registered_late(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    hold(se, message->object);
    return on_hurry(cx, se, message); /* nobody has sent work here */
}

static int leave_clearing(struct rollcall_context *cx, struct session *se)
{
    session_tell(cx, &se->telling, ROLLCALL_SESSION_STOPPING, ROLLCALL_OK, "asked to leave");
    return LEAVING;
}

/* It would have registered again; the lease is being revoked already. */
static int on_leave_clearing(struct rollcall_context *cx, void *self,
                             const struct rollcall_message *message)
{
    struct session *se = self;
    const bool goes_on = se->options->config->on_lost == ROLLCALL_ON_LOST_REREGISTER || se->again;
    if (is_overtaken(se, message) || !goes_on) { /* else it is over, as far as anybody was told */
        return ROLLCALL_STAY;
    }
    return leave_clearing(cx, se);
}

/* Noted, for a RESTART of before may still be on its way. */
static int on_leave_over(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    (void)cx;
    (void)is_overtaken(self, message);
    return ROLLCALL_STAY;
}

static int on_left(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct session_left *left = message->payload;
    if (is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    if (left->status != ROLLCALL_OK) {
        return end(cx, self, ROLLCALL_SESSION_STOPPED, left->status,
                   "etcd refused to revoke the lease: the key goes when its TTL is over");
    }
    return end(cx, self, ROLLCALL_SESSION_STOPPED, ROLLCALL_OK, "revoked");
}

/* It gave up while it was asked to leave: nothing is held. */
static int on_crossed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    return end(cx, self, ROLLCALL_SESSION_STOPPED, ROLLCALL_OK, "nothing was held");
}

/* Overtaken by a LEAVE: whoever asked for it waits for an end of its own. */
static int on_restart(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_overtaken(se, message)) {
        return end(cx, se, ROLLCALL_SESSION_STOPPED, ROLLCALL_OK, "asked to leave");
    }
    session_tell(cx, &se->telling, ROLLCALL_SESSION_REGISTERING, ROLLCALL_OK,
                 "asked to register again");
    return begin(cx, se, false);
}

static int on_restart_soon(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_overtaken(se, message)) {
        return leave_clearing(cx, se);
    }
    se->again = true;
    return ROLLCALL_STAY;
}

/* ---- children that were restarted, or had no room ---- */

static int on_press(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    session_children_press(cx, &((struct session *)self)->children);
    return ROLLCALL_STAY;
}

/* While keepalive is restarted nobody looks at the lease's time: until it has, the lease is not to
 * be relied on. */
static int doubt(struct rollcall_context *cx, struct session *se, const struct rollcall_down *down)
{
    if (session_told(&se->telling) != ROLLCALL_SESSION_ACTIVE ||
        down->reason != ROLLCALL_DOWN_FAILED ||
        !rollcall_ref_equal(down->who, se->children.keepalive)) {
        return ROLLCALL_STAY;
    }
    session_tell(cx, &se->telling, ROLLCALL_SESSION_SUSPECT, down->status,
                 "the actor that renews the lease has failed, and is restarted");
    return SUSPECT;
}

/* What the supervisor could not mend is a fault of our own. */
static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    const enum rollcall_status status = ((const struct rollcall_down *)message->payload)->status;
    const char *why = session_children_fault(&se->children, message);
    if (why == NULL) {
        session_children_restarted(cx, &se->children, message->payload);
        return doubt(cx, se, message->payload);
    }
    switch (session_told(&se->telling)) {
    case ROLLCALL_SESSION_LOST:
        return settle(cx, se);
    case ROLLCALL_SESSION_STOPPING:
        return end(cx, se, ROLLCALL_SESSION_STOPPED, status, why);
    case ROLLCALL_SESSION_REGISTERING:
    case ROLLCALL_SESSION_ACTIVE:
    case ROLLCALL_SESSION_SUSPECT:
    case ROLLCALL_SESSION_STOPPED:
    case ROLLCALL_SESSION_FAILED:
        break;
    }
    if (!se->holds) {
        return end(cx, se, ROLLCALL_SESSION_FAILED, status, why);
    }
    tell_lost(cx, se, ROLLCALL_LOSS_FAULT, status, why);
    return settle(cx, se);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct session *se = self;
    se->options = options;
    se->telling.application = se->options->application;
    return begin(cx, se, false);
}

static void fini(void *self)
{
    session_telling_fini(&((struct session *)self)->telling);
    session_children_fini(&((struct session *)self)->children);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct session_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"REGISTERING", "ACTIVE",  "SUSPECT",
                                                     "CLEARING",    "LEAVING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(SESSION_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SESSION_LIST);

const struct rollcall_actor_type session_type = {
    .name = "session",
    .self_size_bytes = sizeof(struct session),
    .options_size_bytes = sizeof(struct session_options),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = SESSION_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

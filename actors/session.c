/*
 * session - the root of one session: turns what its actors report into what the application is
 * told.
 *
 *    REGISTERING --LEASE_SAFE--> ACTIVE <--LEASE_SAFE, LEASE_SUSPECT, keepalive DOWN--> SUSPECT
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
 *    its supervisor DOWN: in LEAVING, CLEARING as LEFT; else LOST, or FAILED if nothing was won
 *
 * REGISTERED is not yet ACTIVE: keepalive says first whether the lease's time is still good.
 * It spawns a supervisor, and under it registration, keepalive (or lease_share, for a lease that
 * others have too), liveness, departure and, if it stands for a role, election, on its own worker;
 * the application is an actor on another.  To register again is to stop that supervisor and spawn
 * another: nothing of the membership before survives but its server ID and its mark, and what its
 * actors still say is known by their addresses. What an actor below was asked is asked again when
 * it fails (DOWN), for the failure may have taken the request with it, and when it had no room
 * (PRESS): neither ends a session. A loss, a failure and an end are told once: a cell that tells
 * one leads to where none does.
 */
#include "actors/session.h"

#include "actors/session_internal.h"
#include "session/names.h"

#include <stdio.h>

static rollcall_handler_fn on_contact, on_trouble, on_registered, on_refused, on_safe, on_renewed,
    on_suspect, on_mark, on_mark_refused, on_marked, on_mark_seen, on_leave, on_leave_clearing,
    on_leave_over, on_hurry, on_registered_late, on_left, on_crossed, on_restart, on_restart_soon,
    on_no_contact, on_bounced, on_retell, on_press;

/* clang-format off */
#define ALWAYS(state)                                                                              \
    [state][ROLLCALL_BOUNCED] = {on_bounced, 0}, [state][SESSION_RETELL] = {on_retell, 0},         \
    [state][SESSION_PRESS] = {on_press, 0}, [state][SESSION_LEASE_RENEWED] = {on_renewed, 0},      \
    [state][SESSION_GAINED] = {session_on_gained, 0},                                              \
    [state][SESSION_DROPPED] = {session_on_dropped, 0},                                            \
    [state][SESSION_ELECT] = {session_on_elect, 0},                                                \
    [state][SESSION_ELECTED] = {session_on_elected, 0},                                            \
    [state][SESSION_NOT_ACTING] = {session_on_not_acting, 0}
#define ENDED (ROLLCALL_TO(OVER) | ROLLCALL_TO(REGISTERING))
#define CLEARED (ENDED | ROLLCALL_TO(CLEARING))
#define GOING ROLLCALL_TO(LEAVING)
static const struct rollcall_cell TABLE[STATE_COUNT][SESSION_COUNT] = {
    [REGISTERING][SESSION_CONTACT]       = {on_contact,            0},
    [REGISTERING][SESSION_TROUBLE]       = {on_trouble,            0},
    [REGISTERING][SESSION_REGISTERED]    = {on_registered,         0},
    [REGISTERING][SESSION_LEASE_SAFE]    = {on_safe,               ROLLCALL_TO(ACTIVE)},
    [REGISTERING][SESSION_LEASE_SUSPECT] = {rollcall_ignore,       0}, /* of a former membership */
    [REGISTERING][SESSION_LEASE_LOST]    = {session_on_lease_lost, ENDED},
    [REGISTERING][SESSION_KEY_LOST]      = {session_on_key_lost,   CLEARED},
    [REGISTERING][SESSION_REFUSED]       = {on_refused,            ROLLCALL_TO(OVER)},
    [REGISTERING][SESSION_MARK]          = {on_mark_refused,       0},
    [REGISTERING][SESSION_MARKED]        = {rollcall_ignore,       0}, /* of a former membership */
    [REGISTERING][SESSION_MARK_SEEN]     = {on_mark_seen,          0},
    [REGISTERING][SESSION_LEAVE]         = {on_leave,              GOING},
    [REGISTERING][SESSION_REVOKE]        = {on_leave,              GOING},
    [REGISTERING][SESSION_RESTART]       = {rollcall_ignore,       0}, /* it is doing so */
    [REGISTERING][SESSION_LEFT]          = {rollcall_ignore,       0}, /* of a former membership */
    [REGISTERING][SESSION_NO_CONTACT]    = {on_no_contact,         ROLLCALL_TO(OVER)},
    [REGISTERING][ROLLCALL_DOWN]         = {session_on_down,       ENDED},
    ALWAYS(REGISTERING),

    [ACTIVE]     [SESSION_CONTACT]       = {rollcall_ignore,       0},
    [ACTIVE]     [SESSION_LEASE_SAFE]    = {rollcall_ignore,       0}, /* of a former membership */
    [ACTIVE]     [SESSION_LEFT]          = {rollcall_ignore,       0}, /* likewise */
    [ACTIVE]     [SESSION_LEASE_SUSPECT] = {on_suspect,            ROLLCALL_TO(SUSPECT)},
    [ACTIVE]     [SESSION_LEASE_LOST]    = {session_on_lease_lost, ENDED},
    [ACTIVE]     [SESSION_KEY_LOST]      = {session_on_key_lost,   CLEARED},
    [ACTIVE]     [SESSION_MARK]          = {on_mark,               0},
    [ACTIVE]     [SESSION_MARKED]        = {on_marked,             0},
    [ACTIVE]     [SESSION_MARK_SEEN]     = {on_mark_seen,          0},
    [ACTIVE]     [SESSION_LEAVE]         = {on_leave,              GOING},
    [ACTIVE]     [SESSION_REVOKE]        = {on_leave,              GOING},
    [ACTIVE]     [SESSION_RESTART]       = {rollcall_ignore,       0}, /* it has by itself */
    [ACTIVE]     [ROLLCALL_DOWN]         = {session_on_down,       ENDED | ROLLCALL_TO(SUSPECT)},
    ALWAYS(ACTIVE),

    [SUSPECT]    [SESSION_CONTACT]       = {rollcall_ignore,       0},
    [SUSPECT]    [SESSION_LEASE_SUSPECT] = {rollcall_ignore,       0}, /* of a former membership */
    [SUSPECT]    [SESSION_LEFT]          = {rollcall_ignore,       0}, /* likewise */
    [SUSPECT]    [SESSION_LEASE_SAFE]    = {on_safe,               ROLLCALL_TO(ACTIVE)},
    [SUSPECT]    [SESSION_LEASE_LOST]    = {session_on_lease_lost, ENDED},
    [SUSPECT]    [SESSION_KEY_LOST]      = {session_on_key_lost,   CLEARED},
    [SUSPECT]    [SESSION_MARK]          = {on_mark,               0},
    [SUSPECT]    [SESSION_MARKED]        = {on_marked,             0},
    [SUSPECT]    [SESSION_MARK_SEEN]     = {on_mark_seen,          0},
    [SUSPECT]    [SESSION_LEAVE]         = {on_leave,              GOING},
    [SUSPECT]    [SESSION_REVOKE]        = {on_leave,              GOING},
    [SUSPECT]    [SESSION_RESTART]       = {rollcall_ignore,       0},
    [SUSPECT]    [ROLLCALL_DOWN]         = {session_on_down,       ENDED},
    ALWAYS(SUSPECT),

    /* The key is not ours; our lease is being revoked. */
    [CLEARING]   [SESSION_CONTACT]       = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_LEASE_SAFE]    = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_LEASE_SUSPECT] = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_LEASE_LOST]    = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_KEY_LOST]      = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_MARK]          = {on_mark_refused,       0},
    [CLEARING]   [SESSION_MARKED]        = {on_marked,             0},
    [CLEARING]   [SESSION_MARK_SEEN]     = {rollcall_ignore,       0},
    [CLEARING]   [SESSION_LEAVE]         = {on_leave_clearing,     GOING},
    [CLEARING]   [SESSION_REVOKE]        = {on_leave_clearing,     GOING},
    [CLEARING]   [SESSION_RESTART]       = {on_restart_soon,       ROLLCALL_TO(LEAVING)},
    [CLEARING]   [SESSION_LEFT]          = {session_on_cleared,    ENDED},
    [CLEARING]   [ROLLCALL_DOWN]         = {session_on_down,       ENDED},
    ALWAYS(CLEARING),

    [LEAVING]    [SESSION_CONTACT]       = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_TROUBLE]       = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_REGISTERED]    = {on_registered_late,    0}, /* crossed */
    [LEAVING]    [SESSION_REFUSED]       = {on_crossed,            ROLLCALL_TO(OVER)},
    [LEAVING]    [SESSION_LEASE_SAFE]    = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_LEASE_SUSPECT] = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_LEASE_LOST]    = {rollcall_ignore,       0}, /* we are revoking it */
    [LEAVING]    [SESSION_KEY_LOST]      = {rollcall_ignore,       0}, /* likewise */
    [LEAVING]    [SESSION_MARK]          = {on_mark_refused,       0},
    [LEAVING]    [SESSION_MARKED]        = {on_marked,             0},
    [LEAVING]    [SESSION_MARK_SEEN]     = {on_mark_seen,          0},
    [LEAVING]    [SESSION_LEAVE]         = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_REVOKE]        = {on_hurry,              0},
    [LEAVING]    [SESSION_RESTART]       = {rollcall_ignore,       0},
    [LEAVING]    [SESSION_LEFT]          = {on_left,               ROLLCALL_TO(OVER)},
    [LEAVING]    [ROLLCALL_DOWN]         = {session_on_down,       ROLLCALL_TO(OVER)},
    ALWAYS(LEAVING),

    /* What crossed the end: it has been told, and nothing more is. */
    [OVER]       [SESSION_CONTACT]       = {rollcall_ignore,       0},
    [OVER]       [SESSION_TROUBLE]       = {rollcall_ignore,       0},
    [OVER]       [SESSION_REGISTERED]    = {rollcall_ignore,       0},
    [OVER]       [SESSION_REFUSED]       = {rollcall_ignore,       0},
    [OVER]       [SESSION_LEASE_SAFE]    = {rollcall_ignore,       0},
    [OVER]       [SESSION_LEASE_SUSPECT] = {rollcall_ignore,       0},
    [OVER]       [SESSION_LEASE_LOST]    = {rollcall_ignore,       0},
    [OVER]       [SESSION_KEY_LOST]      = {rollcall_ignore,       0},
    [OVER]       [SESSION_MARK]          = {on_mark_refused,       0},
    [OVER]       [SESSION_MARKED]        = {rollcall_ignore,       0},
    [OVER]       [SESSION_MARK_SEEN]     = {rollcall_ignore,       0},
    [OVER]       [SESSION_LEAVE]         = {on_leave_over,         0},
    [OVER]       [SESSION_REVOKE]        = {on_leave_over,         0},
    [OVER]       [SESSION_RESTART]       = {on_restart,            ENDED},
    [OVER]       [SESSION_LEFT]          = {rollcall_ignore,       0},
    [OVER]       [ROLLCALL_DOWN]         = {rollcall_ignore,       0},
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
        session_roles_refused(se);
    }
    return ROLLCALL_STAY;
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)message;
    session_retell(cx, &((struct session *)self)->telling);
    session_roles_retell(cx, self);
    return ROLLCALL_STAY;
}

int session_end(struct rollcall_context *cx, struct session *se, enum rollcall_session_state state,
                enum rollcall_status status, const char *reason)
{
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    rollcall_stop(cx, se->children.supervisor);
    session_marks_answer(cx, &se->marks, &se->telling, ROLLCALL_E_STOPPED, "the session is over");
    session_roles_over(cx, se, status, reason);
    se->holds = false;
    session_tell_over(cx, &se->telling, state, status, reason);
    return OVER;
}

/* ---- registering ---- */

int session_begin(struct rollcall_context *cx, struct session *se, bool patient)
{
    se->again = false;
    se->trouble[0] = '\0';
    const struct session_beginning beginning = {.before = se->telling.membership,
                                                .patient = patient,
                                                .stopping = patient && se->was_marked};
    const enum rollcall_status status =
        session_children_spawn(cx, se->options, &beginning, &se->children);
    if (status != ROLLCALL_OK) {
        return session_end(cx, se, ROLLCALL_SESSION_FAILED, status, rollcall_status_text(status));
    }
    if (!patient) {
        rollcall_timer_set(cx, SESSION_NO_CONTACT,
                           rollcall_now_ms(cx) + se->options->config->connect_timeout_ms);
    }
    return REGISTERING;
}

bool session_is_stale(const struct session *se, const struct rollcall_message *message)
{
    return !session_children_has(&se->children, message->from.ref);
}

static int on_contact(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    if (!session_is_stale(self, message)) {
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
    return session_end(cx, se, ROLLCALL_SESSION_FAILED, ROLLCALL_E_UNAVAILABLE, reason);
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
    if (session_is_stale(se, message)) {
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
    if (session_is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    return session_end(cx, self, ROLLCALL_SESSION_FAILED, why->error.status, why->error.text);
}

/* ---- the lease: see session_losses.c, too ---- */

static int on_safe(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    /* One that has failed does not watch the time any more; the next incarnation says so again. */
    if (session_is_stale(se, message) ||
        session_children_has_failed(&se->children, message->from)) {
        return ROLLCALL_STAY;
    }
    session_tell_active(cx, &se->telling);
    session_roles_safe(cx, se);
    return ACTIVE;
}

static int on_renewed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_renewed *renewed = message->payload;
    (void)cx;
    if (!session_is_stale(se, message)) {
        session_set_safe(&se->options->config->safety, se->telling.membership->lease_id,
                         renewed->safe_until_ms);
    }
    return ROLLCALL_STAY;
}

static int on_suspect(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    if (session_is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    session_roles_doubt(cx, se, ROLLCALL_E_UNAVAILABLE,
                        "etcd has not renewed the lease in time and may give the key away");
    session_tell_suspect(cx, &se->telling);
    return SUSPECT;
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
    if (!session_is_stale(se, message) &&
        se->holds) { /* else lost since, and whoever asked was told so */
        session_marks_tried(cx, &se->marks, &se->telling, &se->children,
                            (const struct rollcall_reason *)message->object);
    }
    return ROLLCALL_STAY;
}

static int on_mark_seen(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct session *se = self;
    if (!session_is_stale(se, message) && se->holds) {
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
    session_roles_over(cx, se, ROLLCALL_OK, "asked to leave"); /* before the key can go */
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
    if (session_is_stale(se, message)) {
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

static const char *left_text(bool shared, enum rollcall_status status)
{
    if (status == ROLLCALL_OK) {
        return shared ? "left the shared lease" : "revoked";
    }
    if (!shared && rollcall_status_class(status) == ROLLCALL_RETRY) {
        return "etcd did not revoke the lease: it goes when its TTL is over";
    }
    return shared ? "etcd refused to delete the key, or to revoke the shared lease: it is tried "
                    "again for as long as others share it"
                  : "etcd refused to revoke the lease: the key goes when its TTL is over";
}

static int on_left(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct session *se = self;
    const struct session_left *left = message->payload;
    if (session_is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    if (left->status == ROLLCALL_OK) { /* else etcd may have the lease, and keys under it, still */
        session_note_lease(se->options->config, 0);
    }
    return session_end(cx, self, ROLLCALL_SESSION_STOPPED, left->status,
                       left_text(se->options->config->share_lease, left->status));
}

/* It gave up while it was asked to leave; what etcd did not answer, it asks again now. */
static int on_crossed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct session_left *left = message->payload;
    if (session_is_stale(self, message) ||
        rollcall_status_class(left->status) == ROLLCALL_RETRY) { /* LEFT follows */
        return ROLLCALL_STAY;
    }
    return session_end(cx, self, ROLLCALL_SESSION_STOPPED, left->status,
                       left->status == ROLLCALL_OK
                           ? "nothing was held"
                           : left_text(((const struct session *)self)->options->config->share_lease,
                                       left->status));
}

/* Overtaken by a LEAVE: whoever asked for it waits for an end of its own. */
static int on_restart(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    if (is_overtaken(se, message)) {
        return session_end(cx, se, ROLLCALL_SESSION_STOPPED, ROLLCALL_OK, "asked to leave");
    }
    session_tell(cx, &se->telling, ROLLCALL_SESSION_REGISTERING, ROLLCALL_OK,
                 "asked to register again");
    return session_begin(cx, se, false);
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

/* ---- an actor below that had no room ---- */

static int on_press(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    session_children_press(cx, &((struct session *)self)->children);
    return ROLLCALL_STAY;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct session *se = self;
    se->options = options;
    se->telling.application = se->options->application;
    se->roles = se->options->roles;
    return session_begin(cx, se, false);
}

static void fini(void *self)
{
    session_telling_fini(&((struct session *)self)->telling);
    session_children_fini(&((struct session *)self)->children);
}

static void options_fini(void *options)
{
    struct session_options *o = options;
    session_roles_destroy(o->roles);
    rollcall_object_drop(&o->config->object);
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

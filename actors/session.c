/*
 * session - the root of one session: turns what its actors report into what the application is
 * told.
 *
 *    REGISTERING --LEASE_SAFE--> ACTIVE --LEASE_SUSPECT--> SUSPECT
 *         |                        ^  <----LEASE_SAFE-----/   |
 *         +--LEASE_LOST------------+---LEASE_LOST-------------+---> OVER (told LOST)
 *         +--REFUSED, NO_CONTACT, supervisor failed --------------> OVER (told FAILED)
 *    REGISTERING, ACTIVE, SUSPECT --LEAVE--> LEAVING --LEFT--> OVER (told STOPPED)
 *
 * REGISTERED is not yet ACTIVE: keepalive says first whether the lease's time is still good.
 * It spawns the supervisor, and under it registration and keepalive, on its own worker; the
 * application is an actor on another.  A loss, a failure and an end are told exactly once, because
 * no cell leads out of OVER.
 */
#include "actors/session.h"

#include "actors/application.h"
#include "actors/keepalive.h"
#include "actors/registration.h"
#include "actors/supervisor.h"
#include "session/names.h"

#include <stdio.h>
#include <stdlib.h>

enum { RETELL_MS = 20 };
enum state { REGISTERING, ACTIVE, SUSPECT, LEAVING, OVER, STATE_COUNT };

struct session {
    const struct session_config *config; /* shared with the options, which outlive self */
    struct rollcall_ref application, supervisor, registration, keepalive;
    struct session_membership *membership;   /* shared; NULL until it has registered */
    struct session_event *last;              /* shared; what was told last; NULL: nothing yet */
    uint64_t sequence;                       /* of the last event */
    bool registered;                         /* ACTIVE has been told */
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* what was in the way last; "": nothing known */
};

static rollcall_handler_fn on_contact, on_trouble, on_registered, on_refused, on_safe, on_suspect,
    on_lost, on_leave, on_left, on_crossed, on_no_contact, on_down, on_bounced, on_retell;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][SESSION_COUNT] = {
    [REGISTERING][SESSION_CONTACT]       = {on_contact,      0},
    [REGISTERING][SESSION_TROUBLE]       = {on_trouble,      0},
    [REGISTERING][SESSION_REGISTERED]    = {on_registered,   0},
    [REGISTERING][SESSION_LEASE_SAFE]    = {on_safe,         ROLLCALL_TO(ACTIVE)},
    [REGISTERING][SESSION_LEASE_LOST]    = {on_lost,         ROLLCALL_TO(OVER)},
    [REGISTERING][SESSION_REFUSED]       = {on_refused,      ROLLCALL_TO(OVER)},
    [REGISTERING][SESSION_LEAVE]         = {on_leave,        ROLLCALL_TO(LEAVING)},
    [REGISTERING][SESSION_NO_CONTACT]    = {on_no_contact,   ROLLCALL_TO(OVER)},
    [REGISTERING][ROLLCALL_DOWN]         = {on_down,         ROLLCALL_TO(OVER)},
    [REGISTERING][ROLLCALL_BOUNCED]      = {on_bounced,      0},
    [REGISTERING][SESSION_RETELL]        = {on_retell,       0},

    [ACTIVE]     [SESSION_CONTACT]       = {rollcall_ignore, 0},
    [ACTIVE]     [SESSION_LEASE_SUSPECT] = {on_suspect,      ROLLCALL_TO(SUSPECT)},
    [ACTIVE]     [SESSION_LEASE_LOST]    = {on_lost,         ROLLCALL_TO(OVER)},
    [ACTIVE]     [SESSION_LEAVE]         = {on_leave,        ROLLCALL_TO(LEAVING)},
    [ACTIVE]     [ROLLCALL_DOWN]         = {on_down,         ROLLCALL_TO(OVER)},
    [ACTIVE]     [ROLLCALL_BOUNCED]      = {on_bounced,      0},
    [ACTIVE]     [SESSION_RETELL]        = {on_retell,       0},

    [SUSPECT]    [SESSION_CONTACT]       = {rollcall_ignore, 0},
    [SUSPECT]    [SESSION_LEASE_SAFE]    = {on_safe,         ROLLCALL_TO(ACTIVE)},
    [SUSPECT]    [SESSION_LEASE_LOST]    = {on_lost,         ROLLCALL_TO(OVER)},
    [SUSPECT]    [SESSION_LEAVE]         = {on_leave,        ROLLCALL_TO(LEAVING)},
    [SUSPECT]    [ROLLCALL_DOWN]         = {on_down,         ROLLCALL_TO(OVER)},
    [SUSPECT]    [ROLLCALL_BOUNCED]      = {on_bounced,      0},
    [SUSPECT]    [SESSION_RETELL]        = {on_retell,       0},

    [LEAVING]    [SESSION_CONTACT]       = {rollcall_ignore, 0},
    [LEAVING]    [SESSION_TROUBLE]       = {rollcall_ignore, 0},
    [LEAVING]    [SESSION_REGISTERED]    = {rollcall_ignore, 0}, /* crossed the LEAVE */
    [LEAVING]    [SESSION_REFUSED]       = {on_crossed,      ROLLCALL_TO(OVER)}, /* likewise */
    [LEAVING]    [SESSION_LEASE_SAFE]    = {rollcall_ignore, 0},
    [LEAVING]    [SESSION_LEASE_SUSPECT] = {rollcall_ignore, 0},
    [LEAVING]    [SESSION_LEASE_LOST]    = {rollcall_ignore, 0}, /* we are revoking it */
    [LEAVING]    [SESSION_LEAVE]         = {rollcall_ignore, 0},
    [LEAVING]    [SESSION_LEFT]          = {on_left,         ROLLCALL_TO(OVER)},
    [LEAVING]    [ROLLCALL_DOWN]         = {on_down,         ROLLCALL_TO(OVER)},
    [LEAVING]    [ROLLCALL_BOUNCED]      = {on_bounced,      0},
    [LEAVING]    [SESSION_RETELL]        = {on_retell,       0},

    /* Everything below crossed the end: it has been told, and nothing more is. */
    [OVER]       [SESSION_CONTACT]       = {rollcall_ignore, 0},
    [OVER]       [SESSION_TROUBLE]       = {rollcall_ignore, 0},
    [OVER]       [SESSION_REGISTERED]    = {rollcall_ignore, 0},
    [OVER]       [SESSION_REFUSED]       = {rollcall_ignore, 0},
    [OVER]       [SESSION_LEASE_SAFE]    = {rollcall_ignore, 0},
    [OVER]       [SESSION_LEASE_SUSPECT] = {rollcall_ignore, 0},
    [OVER]       [SESSION_LEASE_LOST]    = {rollcall_ignore, 0},
    [OVER]       [SESSION_LEAVE]         = {rollcall_ignore, 0},
    [OVER]       [SESSION_LEFT]          = {rollcall_ignore, 0},
    [OVER]       [ROLLCALL_DOWN]         = {rollcall_ignore, 0},
    [OVER]       [ROLLCALL_BOUNCED]      = {on_bounced,      0},
    [OVER]       [SESSION_RETELL]        = {on_retell,       0},
};
/* clang-format on */

/* ---- telling ---- */

static void destroy_event(struct rollcall_object *object)
{
    struct session_event *event = (struct session_event *)object;
    if (event->membership != NULL) {
        rollcall_object_drop(&event->membership->object);
    }
    free(event);
}

static struct session_event *create_event(struct rollcall_context *cx, struct session *se,
                                          enum rollcall_session_state state,
                                          enum rollcall_status status, const char *reason)
{
    struct session_event *event = calloc(1, sizeof *event);
    if (event == NULL) {
        return NULL;
    }
    rollcall_object_init(&event->object, destroy_event);
    event->sequence = ++se->sequence;
    event->state = state;
    event->at_ms = rollcall_wall_ms(cx);
    event->status = status;
    snprintf(event->reason, sizeof event->reason, "%s", reason);
    if (se->membership != NULL) {
        event->membership = se->membership;
        rollcall_object_keep(&se->membership->object);
    }
    return event;
}

/* Sends the last event.  While a callback is stuck its mailbox may be full of older ones: then the
 * last is sent again later, for it is the one that counts. */
static void send_last(struct rollcall_context *cx, const struct session *se)
{
    const struct application_event payload = {.credit = 0};
    if (rollcall_send_object(cx, se->application, APPLICATION_EVENT, &payload, sizeof payload,
                             rollcall_object_keep(&se->last->object)) != ROLLCALL_OK) {
        rollcall_timer_set(cx, SESSION_RETELL, rollcall_now_ms(cx) + RETELL_MS);
    }
}

static void tell(struct rollcall_context *cx, struct session *se, enum rollcall_session_state state,
                 enum rollcall_status status, const char *reason)
{
    struct session_event *event = create_event(cx, se, state, status, reason);
    if (event == NULL) {
        rollcall_log(cx, ROLLCALL_ERROR, "out of memory: the application is not told %s",
                     rollcall_session_state_name(state));
        return;
    }
    if (se->last != NULL) {
        rollcall_object_drop(&se->last->object);
    }
    se->last = event;
    send_last(cx, se);
}

static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_bounced *bounced = message->payload;
    const struct session *se = self;
    if (rollcall_ref_equal(bounced->to, se->application)) {
        rollcall_timer_set(cx, SESSION_RETELL, rollcall_now_ms(cx) + RETELL_MS);
    }
    return ROLLCALL_STAY;
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)message;
    send_last(cx, self);
    return ROLLCALL_STAY;
}

/* Ends the actors below, then tells why it is over. */
static int end(struct rollcall_context *cx, struct session *se, enum rollcall_session_state state,
               enum rollcall_status status, const char *reason)
{
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    rollcall_stop(cx, se->supervisor);
    tell(cx, se, state, status, reason);
    return OVER;
}

/* ---- registering ---- */

static int on_contact(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)self, (void)message;
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
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
    session_no_contact_text(reason, sizeof reason, se->config->endpoints,
                            se->config->connect_timeout_ms, se->trouble);
    return end(cx, se, ROLLCALL_SESSION_FAILED, ROLLCALL_E_UNAVAILABLE, reason);
}

static int on_registered(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct session *se = self;
    struct session_membership *won = (struct session_membership *)message->object;
    const struct keepalive_start start = {
        .lease_id = won->lease_id, .ttl_s = won->ttl_s, .sent_ms = won->granted_sent_ms};
    if (rollcall_send(cx, se->keepalive, KEEPALIVE_START, &start, sizeof start) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "keepalive's mailbox is full");
    }
    se->membership = won;
    rollcall_object_keep(&won->object);
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    return ROLLCALL_STAY; /* until keepalive has looked at the lease's time */
}

static int on_refused(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    return end(cx, self, ROLLCALL_SESSION_FAILED, why->error.status, why->error.text);
}

/* ---- the lease ---- */

static int on_safe(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    (void)message;
    tell(cx, se, ROLLCALL_SESSION_ACTIVE, ROLLCALL_OK,
         se->registered ? "etcd has renewed the lease" : "registered");
    se->registered = true;
    return ACTIVE;
}

static int on_suspect(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    (void)message;
    tell(cx, self, ROLLCALL_SESSION_SUSPECT, ROLLCALL_E_UNAVAILABLE,
         "etcd has not renewed the lease in time and may give the key away");
    return SUSPECT;
}

static int on_lost(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return end(cx, self, ROLLCALL_SESSION_LOST, ROLLCALL_E_LEASE_LOST,
               "etcd says that the lease is gone");
}

/* ---- the end ---- */

static int on_leave(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    (void)message;
    if (rollcall_send(cx, se->registration, REGISTRATION_LEAVE, NULL, 0) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "registration's mailbox is full");
    }
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    tell(cx, se, ROLLCALL_SESSION_STOPPING, ROLLCALL_OK, "asked to leave");
    return LEAVING;
}

static int on_left(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct session_left *left = message->payload;
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
    (void)message;
    return end(cx, self, ROLLCALL_SESSION_STOPPED, ROLLCALL_OK, "nothing was held");
}

/* The supervisor could not help: whatever was held is given up. */
static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    const struct rollcall_down *down = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    if (!rollcall_ref_equal(down->who, se->supervisor) || down->reason != ROLLCALL_DOWN_FAILED) {
        return ROLLCALL_STAY;
    }
    return end(cx, se, se->membership == NULL ? ROLLCALL_SESSION_FAILED : ROLLCALL_SESSION_LOST,
               down->status, why != NULL ? why->error.text : rollcall_status_text(down->status));
}

/* ---- life ---- */

static enum rollcall_status spawn_children(struct rollcall_context *cx, struct session *se,
                                           const struct session_options *o)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct keepalive_options keepalive = {.session = rollcall_self(cx),
                                                .transport = o->transport};
    const struct registration_options registration = {.config = o->config,
                                                      .session = rollcall_self(cx),
                                                      .transport = o->transport,
                                                      .allocator = o->allocator};
    enum rollcall_status status =
        rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor),
                       &se->supervisor);
    if (status == ROLLCALL_OK) {
        status =
            rollcall_spawn(cx,
                           ROLLCALL_SPAWN_OPTIONS(.type = &keepalive_type, .options = &keepalive,
                                                  .supervisor = se->supervisor),
                           &se->keepalive);
    }
    if (status == ROLLCALL_OK) {
        rollcall_object_keep(&o->config->object); /* moved into the spawn */
        status = rollcall_spawn(cx,
                                ROLLCALL_SPAWN_OPTIONS(.type = &registration_type,
                                                       .options = &registration,
                                                       .supervisor = se->supervisor),
                                &se->registration);
    }
    return status;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct session_options *o = options;
    struct session *se = self;
    se->config = o->config;
    se->application = o->application;
    const enum rollcall_status status = spawn_children(cx, se, o);
    if (status != ROLLCALL_OK) {
        tell(cx, se, ROLLCALL_SESSION_FAILED, status, rollcall_status_text(status));
        return OVER;
    }
    rollcall_timer_set(cx, SESSION_NO_CONTACT,
                       rollcall_now_ms(cx) + se->config->connect_timeout_ms);
    return REGISTERING;
}

static void fini(void *self)
{
    struct session *se = self;
    if (se->membership != NULL) {
        rollcall_object_drop(&se->membership->object);
    }
    if (se->last != NULL) {
        rollcall_object_drop(&se->last->object);
    }
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct session_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"REGISTERING", "ACTIVE", "SUSPECT", "LEAVING",
                                                     "OVER"};
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

#include "actors/session_children.h"

#include "actors/departure.h"
#include "actors/election.h"
#include "actors/keepalive.h"
#include "actors/lease_share.h"
#include "actors/liveness.h"
#include "actors/registration.h"
#include "actors/supervisor.h"

enum { PRESS_MS = 20 };
enum { MAILBOX = 16 }; /* each asks one thing at a time; liveness holds one window of responses */

static enum rollcall_status spawn(struct rollcall_context *cx,
                                  const struct session_children *children,
                                  const struct rollcall_actor_type *type, const void *options,
                                  struct rollcall_ref *ref)
{
    const enum rollcall_status status = rollcall_spawn(
        cx,
        ROLLCALL_SPAWN_OPTIONS(.type = type, .options = options, .supervisor = children->supervisor,
                               .mailbox_messages = MAILBOX),
        ref);
    if (status == ROLLCALL_OK) {
        rollcall_monitor(cx, *ref); /* to hear of its restarts */
    }
    return status;
}

static struct session_config *keep_config(const struct session_options *o)
{
    return (struct session_config *)rollcall_object_keep(&o->config->object);
}

static enum rollcall_status spawn_registration(struct rollcall_context *cx,
                                               const struct session_options *o,
                                               const struct session_beginning *beginning,
                                               struct session_children *children)
{
    const struct session_membership *before = beginning->before;
    const struct registration_options options = {.config = keep_config(o),
                                                 .session = rollcall_self(cx),
                                                 .transport = o->transport,
                                                 .allocator = o->allocator,
                                                 .keeper = o->keeper,
                                                 .share = children->keepalive,
                                                 .server_id =
                                                     before == NULL ? 0 : before->server_id,
                                                 .lease_id = before == NULL ? 0 : before->lease_id,
                                                 .stopping = beginning->stopping,
                                                 .patient = beginning->patient};
    return spawn(cx, children, &registration_type, &options, &children->registration);
}

static enum rollcall_status spawn_departure(struct rollcall_context *cx,
                                            const struct session_options *o,
                                            struct session_children *children)
{
    const struct departure_options options = {.config = keep_config(o),
                                              .session = rollcall_self(cx),
                                              .transport = o->transport,
                                              .keeper = o->keeper,
                                              .share = children->keepalive};
    return spawn(cx, children, &departure_type, &options, &children->departure);
}

/* Of a session that stands for election; of others nobody is spawned. */
static enum rollcall_status spawn_election(struct rollcall_context *cx,
                                           const struct session_options *o,
                                           struct session_children *children)
{
    children->stands = o->config->stands;
    if (!children->stands) {
        return ROLLCALL_OK;
    }
    const struct election_options options = {
        .config = keep_config(o), .session = rollcall_self(cx), .transport = o->transport};
    return spawn(cx, children, &election_type, &options, &children->election);
}

/* What looks after the lease. */
static enum rollcall_status spawn_keepalive(struct rollcall_context *cx,
                                            const struct session_options *o,
                                            struct session_children *children)
{
    const struct keepalive_options own = {.session = rollcall_self(cx), .transport = o->transport};
    const struct lease_share_options shared = {.session = rollcall_self(cx), .keeper = o->keeper};
    children->shared = o->config->share_lease;
    return children->shared ? spawn(cx, children, &lease_share_type, &shared, &children->keepalive)
                            : spawn(cx, children, &keepalive_type, &own, &children->keepalive);
}

enum rollcall_status session_children_spawn(struct rollcall_context *cx,
                                            const struct session_options *o,
                                            const struct session_beginning *beginning,
                                            struct session_children *children)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct liveness_options liveness = {.session = rollcall_self(cx),
                                              .transport = o->transport};
    session_children_fini(children);
    *children = (struct session_children){.mine = NULL};
    enum rollcall_status status =
        rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor),
                       &children->supervisor);
    if (status == ROLLCALL_OK) {
        status = spawn_keepalive(cx, o, children);
    }
    if (status == ROLLCALL_OK) {
        status = spawn(cx, children, &liveness_type, &liveness, &children->liveness);
    }
    if (status == ROLLCALL_OK) {
        status = spawn_departure(cx, o, children);
    }
    if (status == ROLLCALL_OK) {
        status = spawn_election(cx, o, children);
    }
    return status == ROLLCALL_OK ? spawn_registration(cx, o, beginning, children) : status;
}

bool session_children_has(const struct session_children *children, struct rollcall_ref who)
{
    return rollcall_ref_equal(who, children->registration) ||
           rollcall_ref_equal(who, children->keepalive) ||
           rollcall_ref_equal(who, children->liveness) ||
           rollcall_ref_equal(who, children->departure) ||
           (children->stands && rollcall_ref_equal(who, children->election));
}

const char *session_children_fault(const struct session_children *children,
                                   const struct rollcall_message *message)
{
    const struct rollcall_down *down = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    if (!rollcall_ref_equal(down->who, children->supervisor) ||
        down->reason != ROLLCALL_DOWN_FAILED) {
        return NULL;
    }
    return why != NULL ? why->error.text : rollcall_status_text(down->status);
}

/* ---- requests ---- */

static enum rollcall_status press_keepalive(struct rollcall_context *cx,
                                            const struct session_children *children)
{
    const struct session_membership *mine = children->mine;
    if (!children->start) {
        return ROLLCALL_OK;
    }
    if (children->shared) {
        return rollcall_send_object(cx, children->keepalive, LEASE_SHARE_START, NULL, 0,
                                    rollcall_object_keep(&children->mine->object));
    }
    const struct keepalive_start start = {
        .lease_id = mine->lease_id, .ttl_s = mine->ttl_s, .sent_ms = mine->granted_sent_ms};
    return rollcall_send(cx, children->keepalive, KEEPALIVE_START, &start, sizeof start);
}

static enum rollcall_status press_liveness(struct rollcall_context *cx,
                                           const struct session_children *children)
{
    return !children->start ? ROLLCALL_OK
                            : rollcall_send_object(cx, children->liveness, LIVENESS_START, NULL, 0,
                                                   rollcall_object_keep(&children->mine->object));
}

static enum rollcall_status press_registration(struct rollcall_context *cx,
                                               const struct session_children *children)
{
    return !children->leave || children->mine != NULL
               ? ROLLCALL_OK
               : rollcall_send(cx, children->registration, REGISTRATION_LEAVE, NULL, 0);
}

static enum rollcall_status press_departure(struct rollcall_context *cx,
                                            const struct session_children *children)
{
    const struct departure_leave leave = {.mark = children->mark_first, .spare = children->spare};
    if (children->leave && children->mine != NULL) {
        return rollcall_send_object(cx, children->departure, DEPARTURE_LEAVE, &leave, sizeof leave,
                                    rollcall_object_keep(&children->mine->object));
    }
    return !children->mark ? ROLLCALL_OK
                           : rollcall_send_object(cx, children->departure, DEPARTURE_MARK, NULL, 0,
                                                  rollcall_object_keep(&children->mine->object));
}

/* Whoever leaves does not stand: its key is about to go. */
static enum rollcall_status press_election(struct rollcall_context *cx,
                                           const struct session_children *children)
{
    if (!children->stands || !children->told_to_stand || children->mine == NULL) {
        return ROLLCALL_OK;
    }
    const enum rollcall_status status =
        rollcall_send_object(cx, children->election, ELECTION_LEASE, &children->lease,
                             sizeof children->lease, rollcall_object_keep(&children->mine->object));
    return status != ROLLCALL_OK || children->order.request == 0
               ? status
               : rollcall_send(cx, children->election, ELECTION_ORDER, &children->order,
                               sizeof children->order);
}

static void press_again_if(struct rollcall_context *cx, enum rollcall_status status)
{
    if (status != ROLLCALL_OK) {
        rollcall_timer_set(cx, SESSION_PRESS, rollcall_now_ms(cx) + PRESS_MS);
    }
}

void session_children_press(struct rollcall_context *cx, const struct session_children *children)
{
    press_again_if(cx, press_keepalive(cx, children));
    press_again_if(cx, press_liveness(cx, children));
    press_again_if(cx, press_registration(cx, children));
    press_again_if(cx, press_departure(cx, children));
    press_again_if(cx, press_election(cx, children));
}

bool session_children_has_failed(const struct session_children *children,
                                 struct rollcall_caller from)
{
    return rollcall_ref_equal(from.ref, children->failed_keepalive.ref) &&
           from.epoch <= children->failed_keepalive.epoch;
}

void session_children_restarted(struct rollcall_context *cx, struct session_children *children,
                                const struct rollcall_down *down)
{
    if (down->reason != ROLLCALL_DOWN_FAILED) {
        return;
    }
    if (rollcall_ref_equal(down->who, children->keepalive)) {
        children->failed_keepalive =
            (struct rollcall_caller){.ref = down->who, .epoch = down->epoch};
        press_again_if(cx, press_keepalive(cx, children));
    } else if (rollcall_ref_equal(down->who, children->liveness)) {
        press_again_if(cx, press_liveness(cx, children));
    } else if (rollcall_ref_equal(down->who, children->registration)) {
        press_again_if(cx, press_registration(cx, children));
    } else if (rollcall_ref_equal(down->who, children->departure)) {
        press_again_if(cx, press_departure(cx, children));
    }
}

static void set_mine(struct session_children *children, struct session_membership *mine)
{
    if (mine != NULL) {
        rollcall_object_keep(&mine->object);
    }
    session_children_fini(children);
    children->mine = mine;
}

void session_children_start(struct rollcall_context *cx, struct session_children *children,
                            struct session_membership *won)
{
    set_mine(children, won);
    children->start = true;
    press_again_if(cx, press_keepalive(cx, children));
    press_again_if(cx, press_liveness(cx, children));
}

void session_children_mark(struct rollcall_context *cx, struct session_children *children)
{
    children->mark = true;
    press_again_if(cx, press_departure(cx, children));
}

void session_children_marked(struct session_children *children)
{
    children->mark = false;
}

void session_children_leave(struct rollcall_context *cx, struct session_children *children,
                            struct session_membership *mine, bool mark)
{
    set_mine(children, mine);
    children->leave = true;
    children->mark_first = mark;
    press_again_if(cx, press_registration(cx, children));
    press_again_if(cx, press_departure(cx, children));
}

void session_children_leave_key(struct rollcall_context *cx, struct session_children *children,
                                struct session_membership *mine)
{
    children->spare = true;
    session_children_leave(cx, children, mine, false);
}

void session_children_stand(struct rollcall_context *cx, struct session_children *children,
                            const struct election_lease *lease)
{
    children->lease = *lease;
    children->told_to_stand |= lease->safe;
    press_again_if(cx, press_election(cx, children));
}

void session_children_order(struct rollcall_context *cx, struct session_children *children,
                            const struct session_elect *order)
{
    children->order = *order;
    if (order->request != 0) {
        press_again_if(cx, press_election(cx, children));
    }
}

void session_children_fini(struct session_children *children)
{
    if (children->mine != NULL) {
        rollcall_object_drop(&children->mine->object);
        children->mine = NULL;
    }
}

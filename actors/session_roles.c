/*
 * actors/session_roles.c - whether the session acts for its role; a part of session.c.
 *
 * The election says when the active key is ours; the session says whether that counts, for it knows
 * the lease.  Whatever puts the lease, or the election, in doubt ends the role here, at once, and
 * counts one more doubt; what the election has said before then is void, and it says it again, once
 * it has confirmed it under the new count.  So what is said and what is doubted may cross.
 * The token that the application can read is set and cleared here, and nowhere else; it is cleared
 * before anybody below hears of it, so before the key can go to another.
 */
#include "actors/application.h"
#include "actors/session_internal.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

struct session_roles *session_roles_create(void)
{
    return rollcall__allocate_zeroed(1, sizeof(struct session_roles));
}

void session_roles_destroy(struct session_roles *roles)
{
    free(roles);
}

/* ---- telling ---- */

static void destroy_event(struct rollcall_object *object)
{
    free(object); /* the object is the first member */
}

/* What finds no room, or no memory, is sent again with the session's own. */
static void send_last(struct rollcall_context *cx, struct session *se)
{
    const struct application_event payload = {.credit = 0};
    struct session_role_event *event = rollcall__allocate(sizeof *event);
    if (event != NULL) {
        *event = se->roles->last;
        event->kind = SESSION_EVENT_ROLE;
        event->session = rollcall_self(cx);
        rollcall_object_init(&event->object, destroy_event);
    }
    se->roles->untold =
        event == NULL ||
        rollcall_send_object(cx, se->telling.application, APPLICATION_EVENT, &payload,
                             sizeof payload, &event->object) != ROLLCALL_OK;
    if (se->roles->untold) {
        session_refused(cx, &se->telling);
    }
}

void session_roles_refused(struct session *se)
{
    if (se->roles != NULL) {
        se->roles->untold = true;
    }
}

void session_roles_retell(struct rollcall_context *cx, struct session *se)
{
    if (se->roles != NULL && se->roles->untold) {
        send_last(cx, se);
    }
}

static struct session_role_event *next_event(struct session *se)
{
    se->roles->last.sequence++;
    return &se->roles->last;
}

static void tell(struct rollcall_context *cx, struct session *se, enum rollcall_status status,
                 const char *reason)
{
    struct session_role_event *event = next_event(se);
    event->change++;
    event->at_ms = rollcall_wall_ms(cx);
    event->status = status;
    snprintf(event->reason, sizeof event->reason, "%s", reason);
    send_last(cx, se);
}

static void set_role(struct session *se, const struct session_gained *gained)
{
    struct session_role_event *last = &se->roles->last;
    last->active = gained != NULL;
    last->token = gained == NULL ? 0 : gained->token;
    last->create_revision = gained == NULL ? 0 : gained->create_revision;
    last->lease_id = gained == NULL ? 0 : se->telling.membership->lease_id;
    rollcall__gauge_set(&se->options->config->token, last->token);
}

/* ---- doubts ---- */

/* What was gained counts no more. */
static void end_role(struct rollcall_context *cx, struct session *se, enum rollcall_status status,
                     const char *reason)
{
    const bool was_active = se->roles->last.active;
    se->roles->lease.doubts++;
    set_role(se, NULL);
    if (was_active) {
        tell(cx, se, status, reason);
    }
}

void session_roles_safe(struct rollcall_context *cx, struct session *se)
{
    if (se->roles != NULL) {
        se->roles->lease.safe = true;
        session_children_stand(cx, &se->children, &se->roles->lease);
        if (!se->roles->announced) {
            se->roles->announced = true;
            tell(cx, se, ROLLCALL_OK, "stands for the role");
        }
    }
}

void session_roles_doubt(struct rollcall_context *cx, struct session *se,
                         enum rollcall_status status, const char *reason)
{
    if (se->roles != NULL) {
        se->roles->lease.safe = false;
        end_role(cx, se, status, reason);
        session_children_stand(cx, &se->children, &se->roles->lease);
    }
}

static void answer(struct rollcall_context *cx, struct session *se, uint64_t request,
                   const struct rollcall_error *error)
{
    struct session_role_event *event = next_event(se);
    event->answered = request;
    event->answer = *error;
    se->roles->ordered = 0;
    session_children_order(cx, &se->children, &(const struct session_elect){.request = 0});
    send_last(cx, se);
}

void session_roles_over(struct rollcall_context *cx, struct session *se,
                        enum rollcall_status status, const char *reason)
{
    struct rollcall_error error;
    if (se->roles == NULL) {
        return;
    }
    se->roles->lease.safe = false;
    se->roles->lease.refused = 0;
    se->roles->announced = false;
    end_role(cx, se, status, reason);
    session_children_stand(cx, &se->children, &se->roles->lease); /* it claims no more */
    if (se->roles->ordered != 0) {
        rollcall_error_set(&error, status == ROLLCALL_OK ? ROLLCALL_E_STOPPED : status, "%s",
                           reason);
        answer(cx, se, se->roles->ordered, &error);
    }
}

void session_roles_down(struct rollcall_context *cx, struct session *se,
                        const struct rollcall_down *down)
{
    if (se->roles != NULL && down->reason == ROLLCALL_DOWN_FAILED &&
        rollcall_ref_equal(down->who, se->children.election)) {
        end_role(cx, se, down->status,
                 "the actor that stands for the role has failed, and is "
                 "restarted");
        session_children_stand(cx, &se->children, &se->roles->lease);
    }
}

/* ---- what the election says ---- */

int session_on_gained(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_gained *gained = message->payload;
    if (session_is_stale(se, message) || !se->roles->lease.safe ||
        gained->doubts != se->roles->lease.doubts) {
        return ROLLCALL_STAY; /* it says so again when it has been confirmed */
    }
    set_role(se, gained);
    tell(cx, se, ROLLCALL_OK, "holds the active key");
    return ROLLCALL_STAY;
}

int session_on_dropped(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct session *se = self;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    if (!session_is_stale(se, message)) {
        end_role(cx, se, ROLLCALL_OK, why == NULL ? "" : why->error.text);
        session_children_stand(cx, &se->children, &se->roles->lease);
    }
    return ROLLCALL_STAY;
}

int session_on_elected(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_elected *elected = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    const struct rollcall_error done = {.status = ROLLCALL_OK};
    if (!session_is_stale(se, message) && elected->request == se->roles->ordered) {
        answer(cx, se, elected->request, why == NULL ? &done : &why->error);
    }
    return ROLLCALL_STAY;
}

/* ---- what the application says ---- */

int session_on_elect(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_elect *order = message->payload;
    const enum rollcall_session_state told = session_told(&se->telling);
    struct rollcall_error error;
    if (se->roles == NULL) {
        return ROLLCALL_STAY; /* nobody asks one that does not stand */
    }
    se->roles->ordered = order->request;
    if (told == ROLLCALL_SESSION_ACTIVE || told == ROLLCALL_SESSION_SUSPECT) {
        session_children_order(cx, &se->children, order);
        return ROLLCALL_STAY;
    }
    rollcall_error_set(
        &error, told == ROLLCALL_SESSION_REGISTERING ? ROLLCALL_E_BUSY : ROLLCALL_E_STOPPED, "%s",
        told == ROLLCALL_SESSION_REGISTERING
            ? "the session is not registered yet: wait until it is ACTIVE"
            : "the session has left, or is leaving");
    answer(cx, se, order->request, &error);
    return ROLLCALL_STAY;
}

/* It could not act: whatever has happened meanwhile, that key is given up. */
static void refuse(struct rollcall_context *cx, struct session *se,
                   const struct session_not_acting *not_acting)
{
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    snprintf(reason, sizeof reason,
             "the application's activation answered %s: the active key is given up",
             rollcall_status_name(not_acting->status));
    se->roles->lease.refused = not_acting->token;
    se->roles->lease.doubts++;
    set_role(se, NULL);
    tell(cx, se, not_acting->status, reason);
}

int session_on_not_acting(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_not_acting *not_acting = message->payload;
    const bool is_now = se->roles->last.active && not_acting->token == se->roles->last.token;
    if (not_acting->status != ROLLCALL_OK &&
        (is_now || !se->roles->last.active)) { /* else it has another by now */
        refuse(cx, se, not_acting);
    } else if (is_now) { /* it was told of none: nothing is taken back */
        se->roles->lease.doubts++;
        set_role(se, NULL);
    }
    session_children_stand(cx, &se->children, &se->roles->lease);
    return ROLLCALL_STAY;
}

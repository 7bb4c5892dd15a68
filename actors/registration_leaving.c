/* actors/registration_leaving.c - what a failure leads to: giving up, and the way out. */
#include "actors/registration_internal.h"
#include "actors/session_requests.h"
#include "transport/request.h"

enum { REVOKE_RETRY_MS = 200 };

/* ---- giving up, and the way out ---- */

static int tell_left(struct rollcall_context *cx, struct registration *re)
{
    const struct session_left left = {.status = re->held->revoke_status};
    if (rollcall_send(cx, re->session, SESSION_LEFT, &left, sizeof left) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    return DONE;
}

static int tell_refused(struct rollcall_context *cx, struct registration *re)
{
    const struct session_left left = {.status = re->held->revoke_status};
    struct rollcall_reason *reason = rollcall_reason_create(&re->held->refusal);
    if (reason == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a refusal");
    }
    if (rollcall_send_object(cx, re->session, SESSION_REFUSED, &left, sizeof left,
                             &reason->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    return DONE;
}

/* It gave up by itself, and the session is told why; who was asked to leave has just left. */
static bool is_refused(const struct registration_handover *held)
{
    return held->refusal.status != ROLLCALL_OK && !held->leaving;
}

int registration_tell_out(struct rollcall_context *cx, struct registration *re)
{
    return is_refused(re->held) ? tell_refused(cx, re) : tell_left(cx, re);
}

int registration_go_out(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    if (held->shares) {
        return registration_leave_keeper(cx, re);
    }
    if (held->lease_id != 0 && !re->config->share_lease) {
        return registration_ask(
            cx, re, transport_request_lease(TRANSPORT_LEASE_REVOKE, held->lease_id, 0), REVOKING);
    }
    return registration_tell_out(cx, re);
}

int registration_give_up(struct rollcall_context *cx, struct registration *re,
                         const struct rollcall_error *error)
{
    re->held->refusal = *error;
    return registration_go_out(cx, re);
}

void registration_tell_contact(struct rollcall_context *cx, struct registration *re,
                               enum rollcall_status status)
{
    if (session_is_from_etcd(status) && !re->held->contact_told) {
        re->held->contact_told =
            rollcall_send(cx, re->session, SESSION_CONTACT, NULL, 0) == ROLLCALL_OK;
    }
}

/* Before the first contact, what is in the way; the session says it if none is made in time. */
static void tell_trouble(struct rollcall_context *cx, const struct registration *re,
                         const struct rollcall_error *error)
{
    struct rollcall_reason *reason = re->held->contact_told ? NULL : rollcall_reason_create(error);
    if (reason != NULL) {
        ROLLCALL_DROP(
            rollcall_send_object(cx, re->session, SESSION_TROUBLE, NULL, 0, &reason->object),
            "the session has a sentence of its own");
    }
}

int registration_fail_or_give_up(struct rollcall_context *cx, struct registration *re,
                                 const struct rollcall_error *error)
{
    if (rollcall_status_class(error->status) != ROLLCALL_RETRY) {
        return registration_give_up(cx, re, error);
    }
    tell_trouble(cx, re, error);
    re->held->failure = *error;
    return rollcall_fail(cx, error->status, "%s", error->text);
}

/* ---- leaving ---- */

/* A request is outstanding, and may still take effect: its answer leads out. */
int registration_on_leave_later(struct rollcall_context *cx, void *self,
                                const struct rollcall_message *message)
{
    (void)cx, (void)message;
    ((struct registration *)self)->held->leaving = true;
    return ROLLCALL_STAY;
}

int registration_on_leave_now(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    registration_stop_waiting(cx, re);
    re->held->leaving = true;
    return registration_go_out(cx, re);
}

/* Nothing can be under it any more, once etcd has said so. */
void registration_withdraw_note(const struct registration *re, enum rollcall_status status)
{
    if (status == ROLLCALL_OK || status == ROLLCALL_E_LEASE_LOST) {
        session_note_lease(re->config, 0);
    }
}

int registration_on_revoked(struct rollcall_context *cx, void *self,
                            const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_answer *answer = message->payload;
    const bool unsure = rollcall_status_class(answer->status) == ROLLCALL_RETRY;
    if (answer->id != re->asked) {
        return ROLLCALL_STAY;
    }
    if (unsure && !is_refused(re->held)) {
        rollcall_timer_set(cx, REGISTRATION_RETRY, rollcall_now_ms(cx) + REVOKE_RETRY_MS);
        return ROLLCALL_STAY; /* until it works, or the session is closed without it */
    }
    registration_withdraw_note(re, answer->status);
    re->held->revoke_status = answer->status; /* who was refused is told so, revoked or not */
    if (!unsure) {                            /* else who is asked to leave yet asks again */
        re->held->lease_id = 0;
    }
    return registration_tell_out(cx, re);
}

int registration_on_revoke_again(struct rollcall_context *cx, void *self,
                                 const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    if (re->config->share_lease) {
        (void)registration_leave_keeper(cx, re); /* REVOKING as before */
        return ROLLCALL_STAY;
    }
    return registration_ask(cx, re,
                            transport_request_lease(TRANSPORT_LEASE_REVOKE, re->held->lease_id, 0),
                            ROLLCALL_STAY);
}

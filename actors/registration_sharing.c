/* actors/registration_sharing.c - how registration comes by a lease that others have too, and gives
 * it back: the lease_keeper has both done.  It is asked again until it answers, for what it failed
 * on, or had no room for, is lost; that it has ended is for lease_share to say. */
#include "actors/registration_internal.h"

enum { ASK_AGAIN_MS = 500 };

static void ask_again_later(struct rollcall_context *cx)
{
    rollcall_timer_set(cx, REGISTRATION_RETRY, rollcall_now_ms(cx) + ASK_AGAIN_MS);
}

int registration_ask_keeper(struct rollcall_context *cx, struct registration *re)
{
    struct registration_handover *held = re->held;
    const struct lease_keeper_ask ask = {.user = re->options->share,
                                         .server_id = held->server_id,
                                         .dead_lease_id = held->dead_lease_id,
                                         .answer = REGISTRATION_LEASED,
                                         .unsure = held->unanswered != 0};
    held->shares = true;
    re->asked++; /* no answer of etcd is waited for */
    ROLLCALL_DROP(rollcall_send_object(cx, re->options->keeper, LEASE_KEEPER_ASK, &ask, sizeof ask,
                                       rollcall_object_keep(&re->options->config->object)),
                  "full: the timer below asks again");
    ask_again_later(cx);
    return GRANTING;
}

int registration_on_ask_again(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    (void)message;
    return registration_ask_keeper(cx, self) == GRANTING ? ROLLCALL_STAY : ROLLCALL_FAIL;
}

/* Another one than before: under that nothing is left of what we tried. */
static void take(struct registration_handover *held, const struct lease_keeper_answer *answer)
{
    if (held->lease_id != answer->lease_id) {
        held->unanswered = 0;
        held->created = 0;
    }
    held->lease_id = answer->lease_id;
    held->ttl_s = answer->ttl_s;
    held->granted_sent_ms = answer->sent_ms;
    held->dead_lease_id = 0;
    held->granted = true;
}

int registration_on_leased(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct lease_keeper_answer *answer = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    struct rollcall_error error;
    rollcall_timer_cancel(cx, REGISTRATION_RETRY);
    rollcall_error_set(&error, answer->status, "%s",
                       why != NULL ? why->error.text : rollcall_status_text(answer->status));
    if (answer->status == ROLLCALL_OK) {
        take(re->held, answer); /* known: it may be long since etcd was asked */
    } else {
        registration_tell_contact(cx, re, answer->status);
    }
    if (re->held->leaving) {
        return registration_go_out(cx, re);
    }
    return answer->status == ROLLCALL_OK ? registration_ask_claim(cx, re)
                                         : registration_fail_or_give_up(cx, re, &error);
}

int registration_leave_keeper(struct rollcall_context *cx, struct registration *re)
{
    const struct registration_handover *held = re->held;
    re->asked++; /* likewise */
    const struct lease_keeper_leave leave = {.user = re->options->share,
                                             .create_revision = held->created,
                                             .answer = REGISTRATION_LEFT,
                                             .unsure = held->unanswered != 0,
                                             .once = !held->leaving};
    ROLLCALL_DROP(rollcall_send(cx, re->options->keeper, LEASE_KEEPER_LEAVE, &leave, sizeof leave),
                  "full: the timer below asks again");
    ask_again_later(cx);
    return REVOKING;
}

int registration_on_left(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct session_left *left = message->payload;
    const bool unsure = rollcall_status_class(left->status) == ROLLCALL_RETRY;
    if (unsure && re->held->leaving) {
        (void)registration_leave_keeper(cx, re); /* asked to leave while it gave up */
        return ROLLCALL_STAY;
    }
    rollcall_timer_cancel(cx, REGISTRATION_RETRY);
    registration_withdraw_note(re, left->status);
    re->held->revoke_status = left->status;
    re->held->shares = unsure; /* who is asked to leave yet asks again */
    return registration_tell_out(cx, re);
}

/* actors/session_losses.c - how a membership is lost, or in doubt, and what follows. */
#include "actors/session_internal.h"

/* The lost membership is over, or begins again. */
static int settle(struct rollcall_context *cx, struct session *se)
{
    const bool reregister = se->options->config->on_lost == ROLLCALL_ON_LOST_REREGISTER;
    rollcall_stop(cx, se->children.supervisor);
    if (!reregister && !se->again) {
        return OVER;
    }
    session_tell(cx, &se->telling, ROLLCALL_SESSION_REGISTERING, ROLLCALL_OK,
                 reregister ? "registers again" : "asked to register again");
    return session_begin(cx, se, reregister);
}

/* The same, and nothing of it is left. */
static int settle_clean(struct rollcall_context *cx, struct session *se)
{
    session_note_lease(se->options->config, 0);
    return settle(cx, se);
}

static void tell_lost(struct rollcall_context *cx, struct session *se, enum rollcall_loss loss,
                      enum rollcall_status status, const char *reason)
{
    rollcall_timer_cancel(cx, SESSION_NO_CONTACT);
    session_marks_answer(cx, &se->marks, &se->telling, status, reason);
    se->holds = false;
    se->was_marked = se->telling.marked;
    session_roles_over(cx, se, status, reason);
    session_tell_lost(cx, &se->telling, loss, status, reason);
}

int session_on_lease_lost(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    if (session_is_stale(self, message)) {
        return ROLLCALL_STAY;
    }
    tell_lost(cx, self, ROLLCALL_LOSS_LEASE, ROLLCALL_E_LEASE_LOST,
              "etcd says that the lease is gone");
    return settle_clean(cx, self);
}

/* What is left of it is our lease, which must not keep anything else of ours alive; unless somebody
 * put a record of his under it.  Of a lease that is shared only the share is given up. */
int session_on_key_lost(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct session *se = self;
    const struct session_key_lost *lost = message->payload;
    if (session_is_stale(se, message)) {
        return ROLLCALL_STAY;
    }
    tell_lost(cx, se, lost->loss, ROLLCALL_E_KEY_LOST, session_loss_text(lost->loss));
    if (lost->lease_is_ours) {
        session_children_leave(cx, &se->children, se->telling.membership, false);
        return CLEARING;
    }
    if (se->options->config->share_lease) {
        session_children_leave_key(cx, &se->children, se->telling.membership);
        return CLEARING;
    }
    return settle_clean(cx, se); /* what is under our lease is not ours */
}

int session_on_cleared(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    const struct session_left *left = message->payload;
    return left->status == ROLLCALL_OK ? settle_clean(cx, self) : settle(cx, self);
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
    session_roles_doubt(cx, se, down->status, "the actor that renews the lease has failed");
    session_tell(cx, &se->telling, ROLLCALL_SESSION_SUSPECT, down->status,
                 "the actor that renews the lease has failed, and is restarted");
    return SUSPECT;
}

/* What the supervisor could not mend is a fault of our own; the lease, and what is under it, may be
 * there still, and so it stays noted. */
int session_on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct session *se = self;
    const enum rollcall_status status = ((const struct rollcall_down *)message->payload)->status;
    const char *why = session_children_fault(&se->children, message);
    if (why == NULL) {
        session_children_restarted(cx, &se->children, message->payload);
        session_roles_down(cx, se, message->payload);
        return doubt(cx, se, message->payload);
    }
    switch (session_told(&se->telling)) {
    case ROLLCALL_SESSION_LOST:
        return settle(cx, se);
    case ROLLCALL_SESSION_STOPPING:
        return session_end(cx, se, ROLLCALL_SESSION_STOPPED, status, why);
    case ROLLCALL_SESSION_REGISTERING:
    case ROLLCALL_SESSION_ACTIVE:
    case ROLLCALL_SESSION_SUSPECT:
    case ROLLCALL_SESSION_STOPPED:
    case ROLLCALL_SESSION_FAILED:
        break;
    }
    if (!se->holds) {
        return session_end(cx, se, ROLLCALL_SESSION_FAILED, status, why);
    }
    tell_lost(cx, se, ROLLCALL_LOSS_FAULT, status, why);
    return settle(cx, se);
}

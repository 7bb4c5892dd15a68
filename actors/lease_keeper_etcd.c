/* actors/lease_keeper_etcd.c - what the lease_keeper asks of etcd, and what follows the answers. */
#include "actors/lease_keeper_internal.h"
#include "actors/session_requests.h"
#include "base/buffer.h"
#include "transport/request.h"

enum {
    OUTSTANDING_MAX = 4096, /* requests: their answers take half of the mailbox at most */
    ROOM_MS = 20,           /* until there may be room, or memory */
    RETRY_MS = 200,         /* after an answer that may be another one next time */
    SWEEP_MIN_MS = 1000,    /* between looks for what may come to be there; doubled each time, */
    SWEEP_MAX_MS = 32000,
    MS_PER_S = 1000
};

static bool may_pass(enum rollcall_status status)
{
    return rollcall_status_class(status) == ROLLCALL_RETRY;
}

/* request: moved; NULL: out of memory.  Returns its id; 0: it was not sent. */
static uint64_t ask(struct rollcall_context *cx, struct lease_keeper *lk,
                    struct transport_request *request)
{
    if (request == NULL) {
        return 0;
    }
    const struct transport_call call = {
        .id = lk->asked + 1,
        .answer = LEASE_KEEPER_ANSWER,
        .wait_for_ready = request->kind != TRANSPORT_LEASE_GRANT}; /* its asker wants the cause */
    if (lk->outstanding >= OUTSTANDING_MAX) {
        rollcall_object_drop(&request->object);
        return 0;
    }
    if (rollcall_send_object(cx, lk->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return 0;
    }
    lk->outstanding++;
    return lk->asked = call.id;
}

static void ask_about_lease(struct rollcall_context *cx, struct lease_keeper *lk,
                            struct kept_lease *lease, struct transport_request *request)
{
    lease->asked = ask(cx, lk, request);
    lease->due_ms = lease->asked != 0 ? INT64_MAX : rollcall_now_ms(cx) + ROOM_MS;
    lease_keeper_schedule(cx, lk, lease->due_ms);
}

/* ---- a lease ---- */

void lease_keeper_grant(struct rollcall_context *cx, struct lease_keeper *lk,
                        struct kept_lease *lease)
{
    if (lease->asked != 0) {
        return;
    }
    lease->grant_sent_ms = rollcall_now_ms(cx);
    if (!lease->tried) {
        lease->granted_sent_ms = lease->grant_sent_ms;
        lease->granted_ttl_s = lease->ttl_s;
    }
    ask_about_lease(cx, lk, lease,
                    transport_request_lease(TRANSPORT_LEASE_GRANT, lease->lease_id, lease->ttl_s));
    lease->tried |= lease->asked != 0;
}

/* It is etcd's no more, or not ours to end. */
static void forget_lease(struct rollcall_context *cx, struct lease_keeper *lk,
                         struct kept_lease *lease, enum rollcall_status status)
{
    const int64_t lease_id = lease->lease_id;
    lease_keeper_stop_keepalive(cx, lease);
    lease_book_remove(lk->book, lease_id);
    for (size_t i = lk->book->user_count; i-- > 0;) {
        if (lk->book->users[i].lease_id == lease_id) {
            lease_keeper_left(cx, lk, &lk->book->users[i], status);
        }
    }
}

void lease_keeper_end_lease(struct rollcall_context *cx, struct lease_keeper *lk,
                            struct kept_lease *lease)
{
    if (lease->ending_ms == 0) {
        lease->ending_ms = rollcall_now_ms(cx) + 1; /* never 0 */
    }
    if (lease->asked != 0) {
        return; /* a grant, which must not come after the revoke; or it is being revoked */
    }
    if (!lease->tried) {
        forget_lease(cx, lk, lease, ROLLCALL_OK);
        return;
    }
    ask_about_lease(cx, lk, lease,
                    transport_request_lease(TRANSPORT_LEASE_REVOKE, lease->lease_id, 0));
}

static void on_granted(struct rollcall_context *cx, struct lease_keeper *lk,
                       struct kept_lease *lease, const struct transport_result *result)
{
    if (lease->ending_ms != 0) {
        lease_keeper_end_lease(cx, lk, lease);
        return;
    }
    if (result->error.status != ROLLCALL_OK) {
        lease_keeper_refused(cx, lk, lease, &result->error);
        return;
    }
    if (result->ttl_s > 0) {
        lease->granted_ttl_s = result->ttl_s;          /* etcd raises small ones */
        lease->granted_sent_ms = lease->grant_sent_ms; /* no earlier try had worked */
    }
    lease->granted = true;
    lease_keeper_granted(cx, lk, lease);
}

/* Tells whoever did not want to wait for more than a try; whether anybody still waits. */
static bool tell_failed_try(struct rollcall_context *cx, struct lease_keeper *lk, int64_t lease_id,
                            enum rollcall_status status)
{
    bool waits = false;
    for (size_t i = 0; i < lk->book->user_count; i++) {
        struct lease_user *user = &lk->book->users[i];
        if (user->lease_id != lease_id || rollcall_ref_is_nobody(user->caller.ref)) {
            continue;
        }
        if (user->once && lease_keeper_reply_left(cx, user, status)) {
            user->caller = (struct rollcall_caller){.epoch = 0};
        } else {
            waits = true;
        }
    }
    return waits;
}

static void on_revoked(struct rollcall_context *cx, struct lease_keeper *lk,
                       struct kept_lease *lease, enum rollcall_status status)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    if (!may_pass(status)) {
        forget_lease(cx, lk, lease, status);
        return;
    }
    const bool waits = tell_failed_try(cx, lk, lease->lease_id, status);
    if (!waits && now_ms - lease->ending_ms > lease->granted_ttl_s * MS_PER_S) {
        forget_lease(cx, lk, lease, status); /* it is left to its TTL */
        return;
    }
    lease->due_ms = now_ms + RETRY_MS;
    lease_keeper_schedule(cx, lk, lease->due_ms);
}

/* ---- a key ---- */

/* The answer may be lost with whoever it is for, who asks again then. */
static void note_refusal(struct lease_user *user, enum rollcall_status status)
{
    user->refusal = status;
    user->caller = (struct rollcall_caller){.epoch = 0};
    user->due_ms = INT64_MAX;
}

void lease_keeper_left(struct rollcall_context *cx, struct lease_keeper *lk,
                       struct lease_user *user, enum rollcall_status status)
{
    const bool refused = status != ROLLCALL_OK && !may_pass(status) &&
                         user->use == LEASE_USE_LEAVING && !rollcall_ref_is_nobody(user->user);
    if (!lease_keeper_reply_left(cx, user, status)) {
        user->due_ms = rollcall_now_ms(cx) + ROOM_MS;
        lease_keeper_schedule(cx, lk, user->due_ms);
    } else if (refused) {
        note_refusal(user, status);
        user->lease_id = 0;
    } else {
        lease_book_leave(lk->book, user);
    }
}

/* It has left, as far as it knows, but its key is not to be had by another user of the lease. */
static void release(struct lease_user *user)
{
    user->user = (struct rollcall_ref){0};
    user->caller = (struct rollcall_caller){.epoch = 0};
}

/* Answers; the key is looked after from now on: it may come to be there, or, as its deletion was
 * refused, is. */
static void look_after(struct rollcall_context *cx, struct lease_keeper *lk,
                       struct lease_user *user, enum rollcall_status status)
{
    int64_t wait_ms = ROOM_MS;
    if (lease_keeper_reply_left(cx, user, status)) {
        if (status == ROLLCALL_OK) {
            release(user);
        } else {
            note_refusal(user, status);
        }
        user->pace_ms = user->pace_ms == 0 ? SWEEP_MIN_MS : 2 * user->pace_ms;
        user->pace_ms = user->pace_ms < SWEEP_MAX_MS ? user->pace_ms : SWEEP_MAX_MS;
        wait_ms = user->pace_ms;
    }
    user->due_ms = rollcall_now_ms(cx) + wait_ms;
    lease_keeper_schedule(cx, lk, user->due_ms);
}

/* The stranger's record stays; whoever comes with that key gets another lease. */
static void stay_away(struct rollcall_context *cx, struct lease_keeper *lk, struct lease_user *user)
{
    user->due_ms = INT64_MAX;
    if (lease_keeper_reply_left(cx, user, ROLLCALL_OK)) {
        release(user);
    } else {
        user->due_ms = rollcall_now_ms(cx) + ROOM_MS;
        lease_keeper_schedule(cx, lk, user->due_ms);
    }
}

/* A stranger's record is under the lease, and that is all that is left of it. */
static bool is_left_to_stranger(const struct lease_book *book, const struct lease_user *user)
{
    size_t count = 0;
    for (size_t i = 0; i < book->user_count; i++) {
        count += book->users[i].lease_id == user->lease_id;
    }
    return user->spare && count == 1;
}

void lease_keeper_depart(struct rollcall_context *cx, struct lease_keeper *lk,
                         struct lease_user *user)
{
    struct kept_lease *lease = lease_book_find(lk->book, user->lease_id);
    const bool nothing_there = user->create_revision == 0 && !user->unsure;
    if (user->lease_id == 0 && user->refusal != ROLLCALL_OK &&
        !rollcall_ref_is_nobody(user->user)) {
        return; /* nothing is tried any more, but it may ask again what became of it */
    }
    if (lease != NULL && !lease_book_is_used(lk->book, user->lease_id)) {
        if (is_left_to_stranger(lk->book, user)) {
            forget_lease(cx, lk, lease, ROLLCALL_OK);
        } else {
            lease_keeper_end_lease(cx, lk, lease);
        }
        return;
    }
    if (lease == NULL || nothing_there) {
        lease_keeper_left(cx, lk, user, ROLLCALL_OK);
    } else if (user->spare) {
        stay_away(cx, lk, user);
    } else if (user->asked == 0) {
        user->asked =
            ask(cx, lk, session_request_withdraw(user->key, user->create_revision, user->lease_id));
        user->due_ms = user->asked != 0 ? INT64_MAX : rollcall_now_ms(cx) + ROOM_MS;
        lease_keeper_schedule(cx, lk, user->due_ms);
    }
}

static void on_withdrawn(struct rollcall_context *cx, struct lease_keeper *lk,
                         struct lease_user *user, enum rollcall_status status)
{
    const bool known = user->create_revision != 0;
    if (may_pass(status)) {
        user->due_ms = rollcall_now_ms(cx) + RETRY_MS;
        lease_keeper_schedule(cx, lk, user->due_ms);
        if (user->once && lease_keeper_reply_left(cx, user, status)) {
            user->caller = (struct rollcall_caller){.epoch = 0};
        }
        return;
    }
    if (status == ROLLCALL_OK) {
        user->create_revision = 0;
    }
    if (status == ROLLCALL_OK && (known || !user->unsure)) {
        lease_keeper_depart(cx, lk, user);
    } else {
        look_after(cx, lk, user, status);
    }
}

/* ---- answers ---- */

int lease_keeper_on_answer(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    struct kept_lease *lease = lease_book_find_asked(lk->book, answer->id);
    struct lease_user *user = lease_book_user_asked(lk->book, answer->id);
    lk->outstanding--;
    if (lease != NULL) {
        lease->asked = 0;
        if (result->kind == TRANSPORT_LEASE_GRANT) {
            on_granted(cx, lk, lease, result);
        } else {
            on_revoked(cx, lk, lease, answer->status);
        }
    } else if (user != NULL) {
        user->asked = 0;
        on_withdrawn(cx, lk, user, answer->status);
    } /* else it, or its lease, was forgotten */
    return ROLLCALL_STAY;
}

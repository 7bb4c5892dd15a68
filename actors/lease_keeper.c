/*
 * lease_keeper - keeps the leases that sessions of one connection share.
 *
 * A lease:  wanted --ANSWER(granted)--> suspect <--SAFE, SUSPECT--> safe
 *           any --nobody uses it--> ending --ANSWER(revoked)--> forgotten
 *           any --LOST, ASK(etcd says it is gone)-------------> forgotten, and all are told
 * A user:   ASK --> waiting --granted--> holding --JOIN--> holding, and told of every change
 *           any --LEAVE, or its share is DOWN(ended)--> leaving --its key is deleted--> forgotten
 *                                                       leaving --the lease is ending--> forgotten
 *
 * Those of one TTL share a lease, which one keepalive renews for all of them; who is the last to
 * leave takes it along, and before that each takes its key alone.  A lease that is ending is given
 * to nobody: whoever comes then gets another, and so after a loss.  A user that ends without a word
 * is as one that leaves, and nobody waits for its answer.
 * To revoke a lease is also to make sure that no put under it, however late, comes to be.  A lease
 * that others use cannot be revoked, so a put that was not answered is looked for, again and again,
 * for as long as the lease lives; and no two users that have the same key are ever given the same
 * lease, so that what is there is never taken for another's.
 * What there is to do is written in the book, which survives a restart: then everything is asked
 * again, and each lease is suspect until it has been renewed.
 * Invariants: a lease has at most one request outstanding, the one with id `asked`, and so has a
 * user; a lease with a user that is not leaving is not ending; what is not done has a due_ms, and
 * the timer DUE is set for the earliest.
 */
#include "actors/lease_keeper.h"

#include "actors/keepalive.h"
#include "actors/lease_keeper_internal.h"
#include "actors/lease_share.h"
#include "actors/supervisor.h"

enum { KEEPALIVE_MAILBOX = 16, ROOM_MS = 20 };
enum state { KEEPING, STATE_COUNT };

static rollcall_handler_fn on_ask, on_join, on_leave, on_safe, on_suspect, on_lost, on_renewed,
    on_due, on_down, on_bounced;

/* What a lease or a user is to, is in the book: there are many of both. */
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][LEASE_KEEPER_COUNT] = {
    [KEEPING][LEASE_KEEPER_ASK]     = {on_ask,                 0},
    [KEEPING][LEASE_KEEPER_JOIN]    = {on_join,                0},
    [KEEPING][LEASE_KEEPER_LEAVE]   = {on_leave,               0},
    [KEEPING][LEASE_KEEPER_ANSWER]  = {lease_keeper_on_answer, 0},
    [KEEPING][LEASE_KEEPER_SAFE]    = {on_safe,                0},
    [KEEPING][LEASE_KEEPER_SUSPECT] = {on_suspect,             0},
    [KEEPING][LEASE_KEEPER_LOST]    = {on_lost,                0},
    [KEEPING][LEASE_KEEPER_RENEWED] = {on_renewed,             0},
    [KEEPING][LEASE_KEEPER_DUE]     = {on_due,                 0},
    [KEEPING][ROLLCALL_DOWN]        = {on_down,                0},
    [KEEPING][ROLLCALL_BOUNCED]     = {on_bounced,             0},
};
/* clang-format on */

void lease_keeper_schedule(struct rollcall_context *cx, struct lease_keeper *lk, int64_t at_ms)
{
    if (at_ms < lk->due_ms) {
        lk->due_ms = at_ms;
        rollcall_timer_set(cx, LEASE_KEEPER_DUE, at_ms);
    }
}

/* ---- telling ---- */

static enum lease_word word_for(struct lease_book *book, const struct lease_user *user)
{
    const struct kept_lease *lease = lease_book_find(book, user->lease_id);
    if (user->use == LEASE_USE_LOST || lease == NULL) {
        return LEASE_WORD_LOST;
    }
    return lease->safe ? LEASE_WORD_SAFE : LEASE_WORD_SUSPECT;
}

static void publish(struct lease_book *book, const struct lease_user *user)
{
    const struct kept_lease *lease = lease_book_find(book, user->lease_id);
    if (lease != NULL && user->joined) {
        session_set_safe(&user->config->safety, lease->lease_id, lease->safe_until_ms);
    }
}

static void tell(struct rollcall_context *cx, struct lease_keeper *lk, struct lease_user *user)
{
    static const uint16_t MESSAGES[] = {[LEASE_WORD_SAFE] = LEASE_SHARE_SAFE,
                                        [LEASE_WORD_SUSPECT] = LEASE_SHARE_SUSPECT,
                                        [LEASE_WORD_LOST] = LEASE_SHARE_LOST};
    const enum lease_word word = word_for(lk->book, user);
    if (!user->joined || word == user->told) {
        return;
    }
    publish(lk->book, user);
    if (rollcall_send(cx, user->user, MESSAGES[word], NULL, 0) == ROLLCALL_OK) {
        user->told = word;
        return;
    }
    user->due_ms = rollcall_now_ms(cx) + ROOM_MS;
    lease_keeper_schedule(cx, lk, user->due_ms);
}

static void tell_all(struct rollcall_context *cx, struct lease_keeper *lk, int64_t lease_id)
{
    for (size_t i = 0; i < lk->book->user_count; i++) {
        struct lease_user *user = &lk->book->users[i];
        if (user->lease_id == lease_id && user->use == LEASE_USE_HOLDING) {
            tell(cx, lk, user);
        }
    }
}

/* An ASK; without room the asker asks again. */
static void answer(struct rollcall_context *cx, struct lease_user *user,
                   const struct kept_lease *lease)
{
    const struct lease_keeper_answer payload = {.lease_id = lease->lease_id,
                                                .ttl_s = lease->granted_ttl_s,
                                                .sent_ms = lease->granted_sent_ms};
    user->use = LEASE_USE_HOLDING;
    user->unsure = true; /* until it has joined, or says otherwise as it leaves */
    ROLLCALL_DROP(rollcall_reply(cx, user->caller, user->answer, &payload, sizeof payload, NULL),
                  "it asks again");
}

static void refuse(struct rollcall_context *cx, struct rollcall_caller caller, uint16_t number,
                   const struct rollcall_error *error)
{
    const struct lease_keeper_answer payload = {.status = error->status};
    struct rollcall_reason *reason = rollcall_reason_create(error);
    ROLLCALL_DROP(rollcall_reply(cx, caller, number, &payload, sizeof payload,
                                 reason == NULL ? NULL : &reason->object),
                  "it asks again");
}

bool lease_keeper_reply_left(struct rollcall_context *cx, const struct lease_user *user,
                             enum rollcall_status status)
{
    const struct session_left left = {.status = status};
    return user->use != LEASE_USE_LEAVING || rollcall_ref_is_nobody(user->caller.ref) ||
           rollcall_reply(cx, user->caller, user->answer, &left, sizeof left, NULL) == ROLLCALL_OK;
}

/* ---- a lease and its keepalive ---- */

/* Under a supervisor of its own, as a session's: to stop that is to stop both. */
static bool spawn_keepalive(struct rollcall_context *cx, const struct lease_keeper *lk,
                            struct kept_lease *lease)
{
    const struct supervisor_options supervisor = {.strategy = SUPERVISOR_ONE_FOR_ONE};
    const struct keepalive_options options = {
        .session = rollcall_self(cx), .transport = lk->transport, .first_word = LEASE_KEEPER_SAFE};
    struct rollcall_ref under;
    if (!rollcall_ref_is_nobody(lease->keepalive)) {
        return true;
    }
    if (rollcall_spawn(cx, ROLLCALL_SPAWN_OPTIONS(.type = &supervisor_type, .options = &supervisor),
                       &under) != ROLLCALL_OK) {
        return false;
    }
    if (rollcall_spawn(cx,
                       ROLLCALL_SPAWN_OPTIONS(.type = &keepalive_type, .options = &options,
                                              .supervisor = under,
                                              .mailbox_messages = KEEPALIVE_MAILBOX),
                       &lease->keepalive) != ROLLCALL_OK) {
        lease->keepalive = (struct rollcall_ref){0};
        rollcall_stop(cx, under);
        return false;
    }
    lease->supervisor = under;
    rollcall_monitor(cx, lease->keepalive);
    return true;
}

void lease_keeper_stop_keepalive(struct rollcall_context *cx, const struct kept_lease *lease)
{
    if (!rollcall_ref_is_nobody(lease->keepalive)) {
        rollcall_stop(cx, lease->supervisor);
    }
}

static bool start_keepalive(struct rollcall_context *cx, struct kept_lease *lease)
{
    const struct keepalive_start start = {.lease_id = lease->lease_id,
                                          .ttl_s = lease->granted_ttl_s,
                                          .sent_ms = lease->granted_sent_ms};
    lease->started = lease->started || rollcall_send(cx, lease->keepalive, KEEPALIVE_START, &start,
                                                     sizeof start) == ROLLCALL_OK;
    return lease->started;
}

static void keep(struct rollcall_context *cx, struct lease_keeper *lk, struct kept_lease *lease)
{
    if (!spawn_keepalive(cx, lk, lease) || !start_keepalive(cx, lease)) {
        lease->due_ms = rollcall_now_ms(cx) + ROOM_MS;
        lease_keeper_schedule(cx, lk, lease->due_ms);
    }
}

void lease_keeper_granted(struct rollcall_context *cx, struct lease_keeper *lk,
                          struct kept_lease *lease)
{
    keep(cx, lk, lease);
    for (size_t i = 0; i < lk->book->user_count; i++) {
        struct lease_user *user = &lk->book->users[i];
        if (user->lease_id == lease->lease_id && user->use == LEASE_USE_WAITING) {
            answer(cx, user, lease);
        }
    }
}

void lease_keeper_refused(struct rollcall_context *cx, struct lease_keeper *lk,
                          const struct kept_lease *lease, const struct rollcall_error *error)
{
    for (size_t i = 0; i < lk->book->user_count; i++) {
        struct lease_user *user = &lk->book->users[i];
        if (user->lease_id == lease->lease_id && user->use == LEASE_USE_WAITING) {
            user->use = LEASE_USE_NONE; /* a retried grant has the same ID */
            refuse(cx, user->caller, user->answer, error);
        }
    }
}

static struct kept_lease *from_keepalive(const struct lease_keeper *lk,
                                         const struct rollcall_message *message)
{
    struct kept_lease *lease = lease_book_find_keepalive(lk->book, message->from.ref);
    return lease == NULL || message->from.epoch == lease->failed_epoch ? NULL : lease;
}

static int set_safe(struct rollcall_context *cx, struct lease_keeper *lk, struct kept_lease *lease,
                    bool safe)
{
    if (lease != NULL) {
        lease->safe = safe;
        tell_all(cx, lk, lease->lease_id);
    }
    return ROLLCALL_STAY;
}

static int on_safe(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    return set_safe(cx, self, from_keepalive(self, message), true);
}

static int on_suspect(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    return set_safe(cx, self, from_keepalive(self, message), false);
}

static int on_renewed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct session_renewed *renewed = message->payload;
    struct kept_lease *lease = from_keepalive(lk, message);
    (void)cx;
    if (lease == NULL) {
        return ROLLCALL_STAY;
    }
    lease->safe_until_ms = renewed->safe_until_ms;
    for (size_t i = 0; i < lk->book->user_count; i++) {
        const struct lease_user *user = &lk->book->users[i];
        if (user->lease_id == lease->lease_id && user->use == LEASE_USE_HOLDING) {
            publish(lk->book, user);
        }
    }
    return ROLLCALL_STAY;
}

/* ---- users ---- */

/* Gives it the lease that it has, or one that it may have, or a new one. */
static void place(struct rollcall_context *cx, struct lease_keeper *lk, struct lease_user *user)
{
    struct rollcall_error error;
    struct kept_lease *lease = lease_book_find(lk->book, user->lease_id);
    if (lease == NULL || lease->ending_ms != 0) {
        lease = lease_book_choose(lk->book, user);
    }
    if (lease == NULL) {
        lease = lease_book_add(lk->book, (int64_t)(rollcall_random(cx) >> 1 | 1),
                               user->config->ttl_s); /* 63 bits, never 0 */
    }
    if (lease == NULL) {
        rollcall_error_set(&error, ROLLCALL_E_FULL, /* it may pass, whatever it is for want of */
                           "this connection keeps %zu shared leases already, or there is no memory "
                           "for one more: share fewer TTLs",
                           lk->book->lease_count);
        user->use = LEASE_USE_NONE;
        user->lease_id = 0;
        refuse(cx, user->caller, user->answer, &error);
        return;
    }
    user->lease_id = lease->lease_id;
    user->use = LEASE_USE_WAITING;
    if (lease->granted) {
        answer(cx, user, lease);
    } else {
        lease_keeper_grant(cx, lk, lease);
    }
}

/* etcd has it no more, and whoever holds it is told.  Nobody waits for it: it was granted. */
static void lose(struct rollcall_context *cx, struct lease_keeper *lk, int64_t lease_id)
{
    struct lease_book *book = lk->book;
    const struct kept_lease *lease = lease_book_find(book, lease_id);
    if (lease == NULL) {
        return;
    }
    lease_keeper_stop_keepalive(cx, lease);
    lease_book_remove(book, lease_id);
    for (size_t i = book->user_count; i-- > 0;) {
        struct lease_user *user = &book->users[i];
        if (user->lease_id != lease_id) {
            continue;
        }
        if (user->use == LEASE_USE_LEAVING) {
            lease_keeper_left(cx, lk, user, ROLLCALL_OK);
            continue;
        }
        user->lease_id = 0;
        if (user->use == LEASE_USE_HOLDING) {
            user->use = LEASE_USE_LOST;
            tell(cx, lk, user);
        }
    }
}

static int on_lost(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct kept_lease *lease = from_keepalive(self, message);
    if (lease != NULL) {
        lose(cx, self, lease->lease_id);
    }
    return ROLLCALL_STAY;
}

/* The key that it asked for before is left behind, with a put that may be done yet. */
static void leave_behind(struct rollcall_context *cx, struct lease_keeper *lk,
                         struct lease_user *user)
{
    user->user = (struct rollcall_ref){0};
    user->caller = (struct rollcall_caller){.epoch = 0};
    user->use = LEASE_USE_LEAVING;
    user->due_ms = rollcall_now_ms(cx);
    lease_keeper_schedule(cx, lk, user->due_ms);
}

/* The asker's entry, under the key that it asks for; NULL: there is no place for it. */
static struct lease_user *enter(struct rollcall_context *cx, struct lease_keeper *lk,
                                const struct rollcall_message *message)
{
    const struct lease_keeper_ask *ask = message->payload;
    struct session_config *config = (struct session_config *)message->object;
    struct lease_user *user = lease_book_user(lk->book, ask->user);
    if (user == NULL) {
        user = lease_book_enter(lk->book, config, ask);
        if (user != NULL) {
            rollcall_monitor(cx, ask->user);
        }
        return user;
    }
    if (user->server_id == ask->server_id || !ask->unsure) {
        return lease_book_rename(user, ask) ? user : NULL;
    }
    if (lease_book_enter(lk->book, config, ask) == NULL) {
        return NULL;
    }
    leave_behind(cx, lk, lease_book_user(lk->book, ask->user)); /* the older comes first */
    return lease_book_user(lk->book, ask->user);
}

static int on_ask(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct lease_keeper_ask *ask = message->payload;
    struct rollcall_error error;
    if (ask->dead_lease_id != 0) {
        lose(cx, lk, ask->dead_lease_id);
    }
    struct lease_user *user = enter(cx, lk, message);
    if (user == NULL) {
        rollcall_error_set(&error, ROLLCALL_E_FULL,
                           "%zu sessions share leases already, or there is no memory for one more: "
                           "try again later",
                           lk->book->user_count);
        refuse(cx, message->from, ask->answer, &error);
    } else if (user->use != LEASE_USE_LEAVING) { /* else it crossed */
        user->caller = message->from;
        user->answer = ask->answer;
        user->joined = false;
        user->told = LEASE_WORD_SUSPECT;
        place(cx, lk, user);
    }
    return ROLLCALL_STAY;
}

static int on_join(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct lease_keeper_join *join = message->payload;
    struct lease_user *user = lease_book_user(lk->book, message->from.ref);
    if (user == NULL || user->use == LEASE_USE_LEAVING) {
        return ROLLCALL_STAY; /* it has left, or is about to */
    }
    if (user->lease_id == join->lease_id && user->use == LEASE_USE_HOLDING) {
        user->create_revision = join->create_revision;
        user->unsure = join->unsure;
    }
    user->joined = true;
    user->told = LEASE_WORD_SUSPECT; /* as it begins, and begins again */
    tell(cx, lk, user);
    return ROLLCALL_STAY;
}

static int on_leave(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct lease_keeper_leave *leave = message->payload;
    struct lease_user *user = lease_book_user(lk->book, leave->user);
    const struct session_left left = {.status = user == NULL ? ROLLCALL_OK : user->refusal};
    if (user == NULL || user->refusal != ROLLCALL_OK) {
        ROLLCALL_DROP(rollcall_reply(cx, message->from, leave->answer, &left, sizeof left, NULL),
                      "it asks again");
        return ROLLCALL_STAY;
    }
    const bool again = user->use == LEASE_USE_LEAVING;
    user->caller = message->from;
    user->answer = leave->answer;
    user->once = leave->once;
    if (!again) {
        user->use = LEASE_USE_LEAVING;
        user->create_revision = leave->spare ? 0 : leave->create_revision;
        user->unsure = leave->unsure || leave->spare;
        user->spare = leave->spare;
        lease_keeper_depart(cx, lk, user);
    }
    return ROLLCALL_STAY;
}

/* Its share has ended.  Who has not said that it leaves does so now. */
static void end_user(struct rollcall_context *cx, struct lease_keeper *lk, struct lease_user *user)
{
    user->user = (struct rollcall_ref){0};
    user->caller = (struct rollcall_caller){.epoch = 0};
    const bool on_its_way = user->use == LEASE_USE_LEAVING && user->lease_id != 0;
    if (!on_its_way) {
        user->unsure = user->unsure && user->use == LEASE_USE_HOLDING;
        user->use = LEASE_USE_LEAVING;
        lease_keeper_depart(cx, lk, user);
    }
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct lease_keeper *lk = self;
    const struct rollcall_down *down = message->payload;
    const bool failed = down->reason == ROLLCALL_DOWN_FAILED;
    struct kept_lease *lease = lease_book_find_keepalive(lk->book, down->who);
    struct lease_user *user = lease_book_user(lk->book, down->who);
    if (failed && lease_book_is_supervisor(lk->book, down->who)) {
        return rollcall_fail(cx, ROLLCALL_E_ACTOR,
                             "what renews a shared lease fails again and again");
    }
    if (lease != NULL && failed) { /* until it is back nobody looks at the time */
        lease->failed_epoch = down->epoch;
        lease->started = false;
        set_safe(cx, lk, lease, false);
        keep(cx, lk, lease);
    } else if (user != NULL && !failed) {
        end_user(cx, lk, user);
    }
    return ROLLCALL_STAY;
}

/* ---- what is tried again ---- */

static void try_lease(struct rollcall_context *cx, struct lease_keeper *lk,
                      struct kept_lease *lease)
{
    lease->due_ms = INT64_MAX;
    if (lease->ending_ms != 0) {
        lease_keeper_end_lease(cx, lk, lease);
    } else if (lease->granted) {
        keep(cx, lk, lease);
    } else {
        lease_keeper_grant(cx, lk, lease);
    }
}

static void try_user(struct rollcall_context *cx, struct lease_keeper *lk, struct lease_user *user)
{
    user->due_ms = INT64_MAX;
    if (user->use == LEASE_USE_LEAVING) {
        lease_keeper_depart(cx, lk, user);
    } else {
        tell(cx, lk, user);
    }
}

/* Each may forget some: what is seen twice, or not at all, is due no more. */
static void try_all(struct rollcall_context *cx, struct lease_keeper *lk)
{
    struct lease_book *book = lk->book;
    const int64_t now_ms = rollcall_now_ms(cx);
    lk->due_ms = INT64_MAX;
    for (size_t i = book->lease_count; i-- > 0;) {
        if (i < book->lease_count && book->leases[i].due_ms <= now_ms) {
            try_lease(cx, lk, &book->leases[i]);
        }
    }
    for (size_t i = book->user_count; i-- > 0;) {
        if (i < book->user_count && book->users[i].due_ms <= now_ms) {
            try_user(cx, lk, &book->users[i]);
        }
    }
    for (size_t i = 0; i < book->lease_count; i++) {
        lease_keeper_schedule(cx, lk, book->leases[i].due_ms);
    }
    for (size_t i = 0; i < book->user_count; i++) {
        lease_keeper_schedule(cx, lk, book->users[i].due_ms);
    }
}

static int on_due(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    try_all(cx, self);
    return ROLLCALL_STAY;
}

/* The request, when the transport is on another worker and had no room: it will not be answered. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_bounced *bounced = message->payload;
    return rollcall_ref_equal(bounced->to, ((struct lease_keeper *)self)->transport)
               ? rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full")
               : ROLLCALL_STAY;
}

/* ---- life ---- */

/* The keepalives of before have ended, and what etcd answers is not for us. */
static void resume(struct rollcall_context *cx, struct lease_book *book)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    for (size_t i = 0; i < book->lease_count; i++) {
        struct kept_lease *lease = &book->leases[i];
        lease->asked = 0;
        lease->due_ms = now_ms;
        lease->keepalive = (struct rollcall_ref){0};
        lease->failed_epoch = 0;
        lease->started = lease->safe = false;
    }
    for (size_t i = 0; i < book->user_count; i++) {
        struct lease_user *user = &book->users[i];
        user->asked = 0;
        user->due_ms = now_ms;
        user->told = LEASE_WORD_SUSPECT; /* which it is: it has heard of our failure */
        if (!rollcall_ref_is_nobody(user->user)) {
            rollcall_monitor(cx, user->user); /* it may be its DOWN that we failed on */
        }
    }
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct lease_keeper *lk = self;
    lk->transport = ((const struct lease_keeper_options *)options)->transport;
    lk->book = rollcall_handover(cx);
    lk->due_ms = INT64_MAX;
    resume(cx, lk->book);
    try_all(cx, lk);
    return KEEPING;
}

static void handover_fini(void *handover)
{
    lease_book_fini(handover);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"KEEPING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(LEASE_KEEPER_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(LEASE_KEEPER_LIST);

const struct rollcall_actor_type lease_keeper_type = {
    .name = "lease_keeper",
    .self_size_bytes = sizeof(struct lease_keeper),
    .options_size_bytes = sizeof(struct lease_keeper_options),
    .handover_size_bytes = sizeof(struct lease_book),
    .init = init,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = LEASE_KEEPER_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

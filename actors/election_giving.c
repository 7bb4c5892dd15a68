/* actors/election_giving.c - how the active key is given up, and to whom; a part of election.c.
 *
 * Whoever is next is named in the same revision, by putting its record again as it is.  Its key is
 * read before, while we still hold ours; then the session is told that it does not act any more;
 * and when it has said that it knows, the key is given. */
#include "actors/election_internal.h"
#include "actors/election_requests.h"
#include "session/keys.h"
#include "transport/request.h"

static bool is_refused(const struct election *el)
{
    return el->held->refused != 0 && el->held->refused == el->held->token;
}

bool election_must_give(const struct election *el)
{
    const struct session_elect *order = &el->held->order;
    return election_is_ours(el) &&
           (is_refused(el) || (order->request != 0 && order->kind != SESSION_ELECT_FORCE));
}

int election_answer_order(struct rollcall_context *cx, struct election *el,
                          enum rollcall_status status, const char *text)
{
    struct election_handover *held = el->held;
    const struct session_elected elected = {.request = held->order.request};
    struct rollcall_reason *reason = NULL;
    struct rollcall_error error;
    if (held->order.request == 0) {
        return ROLLCALL_STAY;
    }
    rollcall_error_set(&error, status, "%s", text);
    if (status != ROLLCALL_OK && (reason = rollcall_reason_create(&error)) == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a reason");
    }
    if (rollcall_send_object(cx, el->options->session, SESSION_ELECTED, &elected, sizeof elected,
                             reason == NULL ? NULL : &reason->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the session's mailbox is full");
    }
    held->answered = held->order.request;
    held->order.request = 0;
    return ROLLCALL_STAY;
}

/* ---- who is next ---- */

static bool is_hand_over(const struct election *el)
{
    return el->held->order.request != 0 && el->held->order.kind == SESSION_ELECT_HAND_OVER &&
           !is_refused(el);
}

/* Of a hand-over the one that is meant, who may stand since a moment ago; else who has waited
 * longest since its last turn.  0: nobody. */
static int64_t choose(const struct election *el)
{
    const struct election_candidate *next = election_next(el);
    if (is_hand_over(el)) {
        return el->held->order.server_id == el->held->mine->server_id ? 0
                                                                      : el->held->order.server_id;
    }
    return next == NULL ? 0 : next->server_id;
}

/* Nothing is given: it is held as before, or confirmed. */
static int keep_it(struct rollcall_context *cx, struct election *el)
{
    const int answered =
        election_answer_order(cx, el, ROLLCALL_E_INVALID,
                              "no process with that server ID stands for the role: name one that "
                              "is registered as a standby, and is not marked Stopping");
    if (answered != ROLLCALL_STAY) {
        return answered;
    }
    return el->told && el->doubts == el->lease.doubts ? election_be(el, HOLDING)
                                                      : election_go_on(cx, el);
}

static int tell_first(struct rollcall_context *cx, struct election *el)
{
    el->sent = false;
    if (!el->told || el->doubts != el->lease.doubts) {
        return election_give(cx, el); /* it knows */
    }
    const int told = election_tell_dropped(cx, el, "the active key is being given up");
    return told == ROLLCALL_STAY ? election_be(el, GIVING) : told;
}

int election_begin_giving(struct rollcall_context *cx, struct election *el)
{
    struct rollcall__buffer key = {0};
    rollcall_object_drop((struct rollcall_object *)el->named);
    el->named = NULL;
    el->next_id = choose(el);
    if (el->next_id == 0) {
        return is_hand_over(el) ? keep_it(cx, el) : tell_first(cx, el);
    }
    rollcall__key_session(&key, el->options->config->root, el->options->config->role, el->next_id,
                          false);
    struct transport_request *request =
        key.failed ? NULL
                   : transport_request_range(rollcall__buffer_bytes(&key),
                                             (struct rollcall_bytes){NULL, 0});
    rollcall__buffer_free(&key);
    return election_ask(cx, el, ELECTION_NAMED, request, NAMING);
}

int election_on_named(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct election *el = self;
    const struct transport_answer *answer = message->payload;
    struct transport_result *result = (struct transport_result *)message->object;
    if (answer->id != el->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK) {
        return rollcall_fail(cx, answer->status, "cannot look at who is next: %s",
                             result->error.text);
    }
    bool stands = false;
    if (result->kv_count != 0 && election_read(&result->kvs[0], &stands) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a candidate's record");
    }
    if (!stands && is_hand_over(el)) {
        return keep_it(cx, el);
    }
    if (stands) {
        el->named = (struct transport_result *)rollcall_object_keep(&result->object);
    }
    return tell_first(cx, el);
}

/* ---- giving ---- */

/* Before it is known whether it was given: the answer may be lost. */
static void stand_back(struct rollcall_context *cx, struct election *el)
{
    el->held->claim_from_ms = rollcall_now_ms(cx) + ELECTION_STAND_BACK_MS;
    el->held->given_up_own = el->view.own.mod_revision;
}

int election_give(struct rollcall_context *cx, struct election *el)
{
    el->sent = true;
    stand_back(cx, el);
    return election_ask(cx, el, ELECTION_ANSWER,
                        election_request_give(el->held->mine,
                                              rollcall__buffer_bytes(&el->active_key),
                                              el->held->active.create_revision,
                                              el->named == NULL ? NULL : &el->named->kvs[0]),
                        GIVING);
}

/* What was asked while a key that was refused is on its way had no say in to whom it goes, nor
 * whether it is kept. */
static bool is_done_by_giving(const struct election *el)
{
    const struct session_elect *order = &el->held->order;
    return order->kind == SESSION_ELECT_RESIGN ||
           (order->kind == SESSION_ELECT_HAND_OVER && el->named != NULL &&
            el->next_id == order->server_id);
}

static int gave(struct rollcall_context *cx, struct election *el, int64_t revision)
{
    el->held->create_revision = el->held->token = 0;
    election_note_active(cx, el, NULL, revision);
    if (el->held->active.as_of == revision) { /* else more has been seen by now */
        el->view.named = el->named == NULL ? 0 : el->next_id;
    }
    const int answered =
        is_done_by_giving(el) ? election_answer_order(cx, el, ROLLCALL_OK, "") : ROLLCALL_STAY;
    return answered == ROLLCALL_STAY ? election_go_on(cx, el) : answered;
}

int election_on_given(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct election *el = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != el->asked || !el->sent) {
        return ROLLCALL_STAY;
    }
    el->sent = false;
    if (answer->status == ROLLCALL_E_LEASE_LOST && el->named != NULL) { /* that of who was named */
        election_forget(el, el->next_id);
        return election_go_on(cx, el);
    }
    if (answer->status != ROLLCALL_OK) {
        return rollcall_fail(cx, answer->status, "cannot give up the active key: %s",
                             result->error.text);
    }
    if (result->succeeded) {
        return gave(cx, el, result->revision);
    }
    election_learn(cx, el, result); /* who was named has changed, or it was not ours any more */
    return election_go_on(cx, el);
}

int election_on_order(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct election *el = self;
    const struct session_elect *order = message->payload;
    if (order->request <= el->held->answered || order->request == el->held->order.request) {
        return ROLLCALL_STAY; /* asked again: it had come */
    }
    el->held->order = *order;
    if (el->state == STANDING) {
        return election_go_on(cx, el);
    }
    if (el->state != HOLDING) {
        return ROLLCALL_STAY; /* when the write, or the look, is answered */
    }
    if (order->kind == SESSION_ELECT_FORCE) {
        return election_answer_order(cx, el, ROLLCALL_OK, ""); /* it holds it */
    }
    return election_begin_giving(cx, el);
}

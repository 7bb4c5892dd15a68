/* actors/election_view.c - who stands and who holds the active key; a part of election.c.
 *
 * All keys of the role are read once, and watched from there on.  A look that fails, or a watch
 * that ends, for whatever reason, is begun again after a pause, and the role is as it was
 * meanwhile: who holds the key does not lose it because a connection was cut.  Nothing that is seen
 * here makes anybody active: that is for a write. */
#include "actors/election_internal.h"

#include "base/arena.h"
#include "session/keys.h"
#include "session/record.h"
#include "transport/request.h"

#include <string.h>

enum { PAUSE_MIN_MS = 50, PAUSE_MAX_MS = 1000, RANK_MAX = ELECTION_CANDIDATES_MAX };

/* ---- the two keys that matter ---- */

static void note(struct election_key *key, const struct transport_kv *kv, int64_t revision)
{
    *key = (struct election_key){.is_there = kv != NULL, .as_of = revision};
    if (kv != NULL) {
        key->create_revision = kv->create_revision;
        key->mod_revision = kv->mod_revision;
        key->lease_id = kv->lease_id;
    }
}

void election_note_active(struct rollcall_context *cx, struct election *el,
                          const struct transport_kv *kv, int64_t revision)
{
    const bool was_there = el->held->active.is_there;
    if (revision < el->held->active.as_of) {
        return;
    }
    note(&el->held->active, kv, revision);
    if (was_there && kv == NULL) {
        el->view.absent_ms = rollcall_now_ms(cx);
    }
    if (kv != NULL) {
        el->view.named = 0;
    }
    if (kv != NULL && kv->lease_id != el->held->mine->lease_id) {
        el->held->claim_from_ms = 0; /* others have gone first */
    }
}

enum rollcall_status election_read(const struct transport_kv *kv, bool *stands)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const enum rollcall_status status = rollcall__record_decode(kv->value, &arena, &record, NULL);
    *stands = status == ROLLCALL_OK && record.exclusive && !record.stopping;
    rollcall__arena_free(&arena);
    return status == ROLLCALL_E_NO_MEMORY ? status : ROLLCALL_OK;
}

enum rollcall_status election_note_own(struct election *el, const struct transport_kv *kv,
                                       int64_t revision)
{
    bool stands = false;
    if (revision < el->view.own.as_of) {
        return ROLLCALL_OK;
    }
    if (kv != NULL && election_read(kv, &stands) != ROLLCALL_OK) {
        return ROLLCALL_E_NO_MEMORY;
    }
    note(&el->view.own, kv, revision);
    el->view.stopping = !stands;
    if (kv != NULL && kv->mod_revision > el->held->given_up_own) {
        el->held->claim_from_ms = 0; /* we are named, even if the view has missed that */
    }
    return ROLLCALL_OK;
}

/* ---- the candidates ---- */

/* NULL: nobody of that server ID stands. */
static const struct election_candidate *find(const struct election *el, int64_t server_id)
{
    for (size_t i = 0; i < el->view.count; i++) {
        if (el->view.candidates[i].server_id == server_id) {
            return &el->view.candidates[i];
        }
    }
    return NULL;
}

const struct election_candidate *election_next(const struct election *el)
{
    const struct election_candidate *next = NULL;
    for (size_t i = 0; i < el->view.count; i++) {
        const struct election_candidate *one = &el->view.candidates[i];
        next = next == NULL || one->turn_revision < next->turn_revision ? one : next;
    }
    return next;
}

/* Whoever has this lease holds the active key.  Whoever is named has its key put again, which a
 * look shows too; this is for one that claimed by itself. */
static void note_turn(struct election_view *view, const struct transport_kv *active)
{
    for (size_t i = 0; i < view->count; i++) {
        struct election_candidate *one = &view->candidates[i];
        if (one->lease_id == active->lease_id && one->turn_revision < active->mod_revision) {
            one->turn_revision = active->mod_revision;
        }
    }
}

int64_t election_rank(const struct election *el)
{
    const struct election_view *view = &el->view;
    const struct election_candidate *named =
        view->named == el->held->mine->server_id ? NULL : find(el, view->named);
    int64_t rank = named == NULL ? 0 : 1;
    if (view->named == el->held->mine->server_id) {
        return 0;
    }
    for (size_t i = 0; i < view->count; i++) {
        rank += &view->candidates[i] != named &&
                view->candidates[i].create_revision < el->held->mine->create_revision;
    }
    return rank;
}

static void forget(struct election_view *view, int64_t server_id)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->candidates[i].server_id == server_id) {
            view->candidates[i] = view->candidates[--view->count];
            return;
        }
    }
}

void election_forget(struct election *el, int64_t server_id)
{
    forget(&el->view, server_id);
}

static enum rollcall_status note_candidate(struct election_view *view, int64_t server_id,
                                           const struct transport_kv *kv)
{
    const struct election_candidate one = {.server_id = server_id,
                                           .create_revision = kv->create_revision,
                                           .lease_id = kv->lease_id,
                                           .turn_revision = kv->mod_revision};
    bool stands;
    if (election_read(kv, &stands) != ROLLCALL_OK) {
        return ROLLCALL_E_NO_MEMORY;
    }
    forget(view, server_id);
    if (stands && view->count < ELECTION_CANDIDATES_MAX) {
        view->candidates[view->count++] = one;
    }
    return ROLLCALL_OK;
}

/* ---- what is told of one key ---- */

/* The number at the end of a candidate's key; a role's keys end in nothing else. */
static int64_t server_id_of(const struct election *el, struct rollcall_bytes key)
{
    int64_t number = 0;
    for (size_t i = el->active_key.size_bytes + 1; i < key.size_bytes; i++) {
        const int64_t digit = key.data[i] - '0';
        number = number > (INT64_MAX - digit) / 10 ? INT64_MAX : number * 10 + digit;
    }
    return number;
}

/* put: NULL: it was deleted.  Of both keys that matter an answer may have told more already. */
static enum rollcall_status take(struct rollcall_context *cx, struct election *el,
                                 struct rollcall_bytes key, const struct transport_kv *put,
                                 int64_t revision)
{
    struct election_view *view = &el->view;
    const char *role = el->options->config->role;
    if (!rollcall__key_is_of_role(key, rollcall__buffer_bytes(&el->folder),
                                  rollcall__bytes(role))) {
        return ROLLCALL_OK; /* of a role whose name begins like ours */
    }
    if (rollcall__bytes_equal(key, rollcall__buffer_bytes(&el->active_key))) {
        if (revision > el->held->active.as_of) {
            election_note_active(cx, el, put, revision);
            view->named = put == NULL && view->touched_revision == revision ? view->touched : 0;
        }
        if (put != NULL) {
            note_turn(view, put);
        }
        return ROLLCALL_OK;
    }
    const int64_t server_id = server_id_of(el, key);
    if (put != NULL && put->mod_revision != put->create_revision) {
        view->touched = server_id;
        view->touched_revision = revision;
    }
    if (rollcall__bytes_equal(key, rollcall__bytes(el->held->mine->key))) {
        return revision > view->own.as_of ? election_note_own(el, put, revision) : ROLLCALL_OK;
    }
    if (put == NULL) {
        forget(view, server_id);
        return ROLLCALL_OK;
    }
    return note_candidate(view, server_id, put);
}

/* ---- looking ---- */

int election_look(struct rollcall_context *cx, struct election *el)
{
    const struct transport_call call = {
        .id = ++el->view.asked, .answer = ELECTION_LISTED, .wait_for_ready = true};
    struct rollcall__buffer end = {0};
    rollcall__prefix_end(rollcall__buffer_bytes(&el->active_key), &end);
    struct transport_request *request =
        end.failed ? NULL
                   : transport_request_range(rollcall__buffer_bytes(&el->active_key),
                                             rollcall__buffer_bytes(&end));
    rollcall__buffer_free(&end);
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, el->options->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    el->view.phase = VIEW_LISTING;
    return ROLLCALL_STAY;
}

int election_on_look(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)message;
    return election_look(cx, self);
}

static int look_later(struct rollcall_context *cx, struct election *el)
{
    struct election_view *view = &el->view;
    view->phase = VIEW_NONE;
    view->pause_ms = view->pause_ms == 0                 ? PAUSE_MIN_MS
                     : view->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS
                                                         : view->pause_ms * 2;
    rollcall_timer_set(cx, ELECTION_LOOK, rollcall_now_ms(cx) + view->pause_ms);
    return ROLLCALL_STAY;
}

static int watch(struct rollcall_context *cx, struct election *el, int64_t revision)
{
    const struct transport_watch watch = {.watch_id = el->view.asked, .answer = ELECTION_RESPONSE};
    struct rollcall__buffer end = {0};
    rollcall__prefix_end(rollcall__buffer_bytes(&el->active_key), &end);
    struct transport_range *range =
        end.failed ? NULL
                   : transport_range_create(rollcall__buffer_bytes(&el->active_key),
                                            rollcall__buffer_bytes(&end));
    rollcall__buffer_free(&end);
    if (range == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
    }
    range->revision = revision; /* not the next: see liveness */
    if (rollcall_send_object(cx, el->options->transport, TRANSPORT_WATCH, &watch, sizeof watch,
                             &range->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    el->view.phase = VIEW_LIVE;
    el->view.next_revision = revision + 1;
    return ROLLCALL_STAY;
}

static bool is_key(const struct transport_kv *kv, struct rollcall_bytes key)
{
    return rollcall__bytes_equal(kv->key, key);
}

/* All there is; it may be of before what an answer to a write has told of the keys that matter. */
static enum rollcall_status take_list(struct rollcall_context *cx, struct election *el,
                                      const struct transport_result *result)
{
    const struct transport_kv *active = NULL, *own = NULL;
    el->view.count = 0;
    el->view.named = el->view.touched_revision = 0;
    for (size_t i = 0; i < result->kv_count; i++) {
        const struct transport_kv *kv = &result->kvs[i];
        if (is_key(kv, rollcall__buffer_bytes(&el->active_key))) {
            active = kv;
        } else if (is_key(kv, rollcall__bytes(el->held->mine->key))) {
            own = kv;
        } else if (take(cx, el, kv->key, kv, kv->mod_revision) != ROLLCALL_OK) {
            return ROLLCALL_E_NO_MEMORY;
        }
    }
    el->view.touched_revision = 0;
    if (active != NULL) {
        note_turn(&el->view, active);
    }
    if (active == NULL && !el->held->active.is_there && el->view.absent_ms == 0) {
        el->view.absent_ms = rollcall_now_ms(cx);
    }
    election_note_active(cx, el, active, result->revision);
    return election_note_own(el, own, result->revision);
}

static int no_memory(struct rollcall_context *cx)
{
    return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a candidate's record");
}

int election_on_listed(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct election *el = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (answer->id != el->view.asked || el->view.phase != VIEW_LISTING) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK) {
        return rollcall_status_class(answer->status) == ROLLCALL_RETRY
                   ? look_later(cx, el)
                   : rollcall_fail(cx, answer->status, "cannot look at the candidates: %s",
                                   result->error.text);
    }
    if (take_list(cx, el, result) != ROLLCALL_OK) {
        return no_memory(cx);
    }
    const int next = watch(cx, el, result->revision);
    return next == ROLLCALL_STAY ? election_seen(cx, el) : next;
}

/* ---- watching ---- */

static enum rollcall_status take_events(struct rollcall_context *cx, struct election *el,
                                        const struct transport_watch_response *response)
{
    struct election_view *view = &el->view;
    int64_t next_revision = view->next_revision;
    for (size_t i = 0; i < response->event_count; i++) {
        const struct transport_event *event = &response->events[i];
        const struct transport_kv *put = event->kind == TRANSPORT_PUT ? &event->kv : NULL;
        if (event->kv.mod_revision < view->next_revision) {
            continue; /* told before, or in the list */
        }
        if (take(cx, el, event->kv.key, put, event->kv.mod_revision) != ROLLCALL_OK) {
            return ROLLCALL_E_NO_MEMORY;
        }
        next_revision = event->kv.mod_revision + 1;
    }
    view->next_revision = next_revision;
    return ROLLCALL_OK;
}

int election_on_response(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    struct election *el = self;
    const struct transport_watch_answer *answer = message->payload;
    const struct transport_watch_response *response =
        (const struct transport_watch_response *)message->object;
    const struct transport_watch_id id = {.watch_id = answer->watch_id};
    if (answer->watch_id != el->view.asked || el->view.phase != VIEW_LIVE) {
        return ROLLCALL_STAY; /* of one that has ended */
    }
    if (response->error.status != ROLLCALL_OK || response->canceled) {
        return look_later(cx, el);
    }
    el->view.pause_ms = 0;
    if (take_events(cx, el, response) != ROLLCALL_OK) {
        return no_memory(cx);
    }
    if (rollcall_send(cx, el->options->transport, TRANSPORT_WATCH_ACK, &id, sizeof id) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return election_seen(cx, el);
}

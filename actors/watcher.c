/*
 * watcher - tells the application of the sessions of one role: a snapshot, then every change.
 *
 *    LISTING --last PAGE--> TELLING --all told--> FOLLOWING, or OVER (of a list)
 *    LISTING, FOLLOWING --NO_CONTACT, an error that will not pass--> OVER (told FAILED)
 *
 * It keeps a view of what is and what was told.  TELLING tells the difference: the first time as a
 * snapshot, later, when changes may have been missed, between RESYNC marks.  FOLLOWING applies the
 * responses of one watch stream in order.  An error that may pass fails the actor: the supervisor
 * restarts it, and the handover says where: at the revision after the last one told, or, after a
 * compaction, at a new list.
 * Flow control: at most WATCHER_EVENTS_MAX events are on their way to the application.  When it is
 * slow, responses wait here, and then in etcd; nothing is dropped.
 * Invariant: everything below next_revision has been told.
 */
#include "actors/watcher.h"

#include "actors/application.h"
#include "session/names.h"
#include "session/view.h"

#include <stdio.h>

enum { WATCH_ID = 1 };
static const char *const COMPACTED = "etcd has compacted revisions that were not told yet";
enum state { LISTING, TELLING, FOLLOWING, OVER, STATE_COUNT };

/* Survives a restart. */
struct watcher_handover {
    struct rollcall__view view;
    int64_t next_revision; /* 0: list first */
    int64_t contact_by_ms; /* when etcd must have answered once */
    bool contact;
    bool snapshot_told;       /* or not wanted */
    bool telling;             /* BEGIN has been told, END has not */
    uint64_t told;            /* events since BEGIN */
    int64_t applied_revision; /* the first `applied` events of this revision have been told */
    size_t applied;
    uint64_t skipped; /* keys whose value is no session record, in the last list */
    char resync_reason[ROLLCALL_ERROR_TEXT_BYTES];
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* what was in the way last; "": nothing */
    struct rollcall_error end;               /* why it is OVER; status OK: it is not */
};

struct watcher {
    const struct watcher_config *config;
    struct rollcall_ref application, transport;
    struct watcher_handover *held;
    uint64_t asked;        /* id of the page that is awaited */
    int64_t list_revision; /* all pages are read at the revision of the first; 0: none yet */
    size_t cursor;         /* TELLING: the next entry */
    uint32_t credits;
    struct watcher_waiting waiting;
    size_t event; /* the next one of the first waiting */
    size_t seen;  /* events of applied_revision that this stream has brought */
};

static rollcall_handler_fn on_page, on_credit_telling, on_credit_following, on_credit, on_response,
    on_no_contact;

#define TO_ALL                                                                                     \
    (ROLLCALL_TO(LISTING) | ROLLCALL_TO(TELLING) | ROLLCALL_TO(FOLLOWING) | ROLLCALL_TO(OVER))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][WATCHER_COUNT] = {
    [LISTING]  [WATCHER_PAGE]       = {on_page,             TO_ALL},
    [LISTING]  [WATCHER_CREDIT]     = {on_credit,           0},
    [LISTING]  [WATCHER_NO_CONTACT] = {on_no_contact,       ROLLCALL_TO(OVER)},

    [TELLING]  [WATCHER_CREDIT]     = {on_credit_telling,   TO_ALL & ~ROLLCALL_TO(LISTING)},

    [FOLLOWING][WATCHER_RESPONSE]   = {on_response,         ROLLCALL_TO(OVER)},
    [FOLLOWING][WATCHER_CREDIT]     = {on_credit_following, 0},
    [FOLLOWING][WATCHER_NO_CONTACT] = {on_no_contact,       ROLLCALL_TO(OVER)},

    [OVER]     [WATCHER_PAGE]       = {rollcall_ignore,     0}, /* was on its way */
    [OVER]     [WATCHER_RESPONSE]   = {rollcall_ignore,     0},
    [OVER]     [WATCHER_CREDIT]     = {rollcall_ignore,     0},
};
/* clang-format on */

/* ---- telling ---- */

/* Sends a copy of `draft`, for one credit.  Not OK: it could not, and the actor must fail. */
static enum rollcall_status tell(struct rollcall_context *cx, struct watcher *wa,
                                 const struct watcher_event *draft)
{
    const struct application_event payload = {.credit = WATCHER_CREDIT};
    struct watcher_event *event = watcher_event_create(draft, rollcall_wall_ms(cx));
    wa->credits -= wa->credits > 0;
    return event == NULL ? ROLLCALL_E_NO_MEMORY
                         : rollcall_send_object(cx, wa->application, APPLICATION_EVENT, &payload,
                                                sizeof payload, &event->object);
}

static int cannot_tell(struct rollcall_context *cx, enum rollcall_status status)
{
    return rollcall_fail(cx, status, "%s",
                         status == ROLLCALL_E_NO_MEMORY ? "out of memory for what is to be told"
                                                        : "the application's mailbox is full");
}

/* Tells why it ends.  This event is outside the credits: the mailbox has room for it. */
static int over(struct rollcall_context *cx, struct watcher *wa, enum rollcall_status status,
                const char *reason)
{
    struct watcher_event event = {.type = ROLLCALL_WATCH_FAILED, .status = status};
    snprintf(event.reason, sizeof event.reason, "%s", reason);
    const enum rollcall_status told = tell(cx, wa, &event);
    if (told != ROLLCALL_OK) {
        return cannot_tell(cx, told); /* the next incarnation meets the same end */
    }
    rollcall_error_set(&wa->held->end, status, "%s", reason);
    rollcall_timer_cancel(cx, WATCHER_NO_CONTACT);
    return OVER;
}

/* Tells what `entry` has become since it was last told, if anything. */
static enum rollcall_status tell_entry(struct rollcall_context *cx, struct watcher *wa,
                                       struct rollcall__view_entry *entry, int64_t mod_revision,
                                       bool snapshot)
{
    struct watcher_event event = {.mod_revision = mod_revision};
    if (entry->now == entry->told) {
        return ROLLCALL_OK;
    }
    event.item = (struct watcher_item *)(entry->now != NULL ? entry->now : entry->told);
    if (entry->now == NULL) {
        event.type = ROLLCALL_WATCH_DELETE;
    } else if (entry->told != NULL) { /* in a snapshot, too, that a failure has cut in two */
        event.type = ROLLCALL_WATCH_UPDATE;
    } else {
        event.type = snapshot ? ROLLCALL_WATCH_SESSION : ROLLCALL_WATCH_ADD;
    }
    const enum rollcall_status status = tell(cx, wa, &event);
    if (status == ROLLCALL_OK) {
        rollcall__view_set_told(entry);
        wa->held->told++;
    }
    return status;
}

/* ---- following ---- */

static int follow(struct rollcall_context *cx, struct watcher *wa)
{
    const struct transport_watch watch = {.watch_id = WATCH_ID, .answer = WATCHER_RESPONSE};
    struct transport_range *range = watcher_request_watch(wa->config, wa->held->next_revision);
    if (range == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
    }
    if (rollcall_send_object(cx, wa->transport, TRANSPORT_WATCH, &watch, sizeof watch,
                             &range->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return FOLLOWING;
}

/* *read: the item of a key-value pair, or NULL when it does not count; what is no record is noted.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_NO_MEMORY, and it is not known. */
static enum rollcall_status read_item(struct rollcall_context *cx, struct watcher *wa,
                                      const struct transport_kv *kv, struct watcher_item **read)
{
    struct rollcall_error error;
    const enum rollcall_status status = watcher_item_create(wa->config, kv, read, &error);
    if (status == ROLLCALL_E_CORRUPT) {
        wa->held->skipped++;
        rollcall_log(cx, ROLLCALL_WARN, "skipped %.*s: %s", (int)kv->key.size_bytes, kv->key.data,
                     error.text);
        return ROLLCALL_OK;
    }
    return status;
}

/* A DELETE of what this watch never told, for it began later: etcd's previous value serves. */
static enum rollcall_status tell_unknown_delete(struct rollcall_context *cx, struct watcher *wa,
                                                const struct transport_event *change)
{
    struct watcher_event event = {.type = ROLLCALL_WATCH_DELETE,
                                  .mod_revision = change->kv.mod_revision};
    enum rollcall_status status =
        change->has_prev_kv ? read_item(cx, wa, &change->prev_kv, &event.item) : ROLLCALL_OK;
    if (event.item != NULL) {
        status = tell(cx, wa, &event);
        rollcall_object_drop(&event.item->object);
    }
    return status;
}

/* etcd repeats itself after some restarts, and brings a revision from its start after ours. */
static bool is_new(struct watcher *wa, int64_t mod_revision)
{
    struct watcher_handover *held = wa->held;
    if (mod_revision < held->next_revision) {
        return false;
    }
    if (mod_revision != held->applied_revision) {
        held->next_revision = mod_revision;
        held->applied_revision = mod_revision;
        held->applied = 0;
        wa->seen = 0;
    }
    return ++wa->seen > held->applied;
}

static enum rollcall_status apply(struct rollcall_context *cx, struct watcher *wa,
                                  const struct transport_event *change)
{
    const struct transport_kv *kv = &change->kv;
    struct rollcall__view *view = &wa->held->view;
    struct rollcall__view_entry *entry = rollcall__view_find(view, kv->key);
    struct watcher_item *item = NULL;
    enum rollcall_status status = ROLLCALL_OK;
    if (!watcher_wants_key(wa->config, kv->key)) {
        return ROLLCALL_OK;
    }
    if (change->kind == TRANSPORT_PUT && (status = read_item(cx, wa, kv, &item)) != ROLLCALL_OK) {
        return status;
    }
    if (entry == NULL && item == NULL) {
        return change->kind == TRANSPORT_PUT ? ROLLCALL_OK : tell_unknown_delete(cx, wa, change);
    }
    if (entry == NULL && (entry = rollcall__view_put(view, kv->key)) == NULL) {
        rollcall_object_drop(&item->object);
        return ROLLCALL_E_NO_MEMORY;
    }
    rollcall__view_set_now(entry, item == NULL ? NULL : &item->object);
    status = tell_entry(cx, wa, entry, kv->mod_revision, false);
    if (status == ROLLCALL_OK && entry->now == NULL) {
        rollcall__view_sweep(view);
    }
    return status;
}

/* Takes the first waiting response off, and lets the transport send another. */
static bool finish_response(struct rollcall_context *cx, struct watcher *wa)
{
    const struct transport_watch_id ack = {.watch_id = WATCH_ID};
    const struct transport_watch_response *done = watcher_waiting_first(&wa->waiting);
    if (done->event_count != 0 &&
        done->events[done->event_count - 1].kv.mod_revision >= wa->held->next_revision) {
        wa->held->next_revision = done->events[done->event_count - 1].kv.mod_revision + 1;
    }
    watcher_waiting_pop(&wa->waiting);
    wa->event = 0;
    return rollcall_send(cx, wa->transport, TRANSPORT_WATCH_ACK, &ack, sizeof ack) == ROLLCALL_OK;
}

/* Tells what is waiting, as far as the credits go. */
static int pump(struct rollcall_context *cx, struct watcher *wa)
{
    const struct transport_watch_response *response;
    enum rollcall_status status;
    while ((response = watcher_waiting_first(&wa->waiting)) != NULL) {
        while (wa->event < response->event_count) {
            const struct transport_event *change = &response->events[wa->event];
            if (wa->credits == 0) {
                return ROLLCALL_STAY;
            }
            if (is_new(wa, change->kv.mod_revision)) {
                if ((status = apply(cx, wa, change)) != ROLLCALL_OK) {
                    return cannot_tell(cx, status);
                }
                wa->held->applied++;
            }
            wa->event++;
        }
        if (!finish_response(cx, wa)) { /* the window would shrink for good */
            return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
        }
    }
    return ROLLCALL_STAY;
}

/* The next incarnation begins with a list, and tells the difference. */
static int relist(struct rollcall_context *cx, struct watcher *wa, enum rollcall_status status,
                  const char *reason)
{
    wa->held->next_revision = 0;
    snprintf(wa->held->resync_reason, sizeof wa->held->resync_reason, "%s", reason);
    return rollcall_fail(cx, status, "%s", reason);
}

static void contact(struct rollcall_context *cx, struct watcher *wa)
{
    if (wa->held->contact && wa->held->trouble[0] != '\0') {
        rollcall_log(cx, ROLLCALL_WARN, "etcd answers again: the watch goes on");
    }
    wa->held->contact = true;
    wa->held->trouble[0] = '\0';
    rollcall_timer_cancel(cx, WATCHER_NO_CONTACT);
}

static int on_no_contact(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    const struct transport_watch_id cancel = {.watch_id = WATCH_ID};
    struct watcher *wa = self;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    (void)message;
    ROLLCALL_DROP(rollcall_send(cx, wa->transport, TRANSPORT_WATCH_CANCEL, &cancel, sizeof cancel),
                  "it ends with this actor");
    session_no_contact_text(reason, sizeof reason, wa->config->endpoints,
                            wa->config->connect_timeout_ms, wa->held->trouble);
    return over(cx, wa, ROLLCALL_E_UNAVAILABLE, reason);
}

/* What may pass is for the supervisor.  A refused connection is faster than a restarted timer. */
static int in_trouble(struct rollcall_context *cx, struct watcher *wa,
                      const struct rollcall_error *error)
{
    if (rollcall_status_class(error->status) != ROLLCALL_RETRY) {
        return over(cx, wa, error->status, error->text);
    }
    snprintf(wa->held->trouble, sizeof wa->held->trouble, "%s", error->text);
    if (!wa->held->contact && rollcall_now_ms(cx) >= wa->held->contact_by_ms) {
        return on_no_contact(cx, wa, NULL);
    }
    return rollcall_fail(cx, error->status, "%s", error->text);
}

/* What ends the stream; true: it does, and *next says how. */
static bool stream_ended(struct rollcall_context *cx, struct watcher *wa,
                         const struct transport_watch_response *response, int *next)
{
    const enum rollcall_status status = response->error.status;
    if (response->compact_revision != 0 || status == ROLLCALL_E_COMPACTED) {
        *next = relist(cx, wa, ROLLCALL_E_COMPACTED, COMPACTED);
    } else if (status != ROLLCALL_OK) {
        *next = in_trouble(cx, wa, &response->error); /* cancellations among them */
    } else if (response->canceled) {
        *next = rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "etcd ended the watch");
    } else if (response->created && response->revision != 0 &&
               response->revision + 1 < wa->held->next_revision) {
        *next = relist(cx, wa, ROLLCALL_E_UNAVAILABLE,
                       "etcd's revision is below the one to go on from: it was restored, or the "
                       "revision asked for is of the future");
    } else {
        return false;
    }
    return true;
}

static int on_response(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct watcher *wa = self;
    struct transport_watch_response *response = (struct transport_watch_response *)message->object;
    int next;
    if (stream_ended(cx, wa, response, &next)) {
        return next;
    }
    contact(cx, wa);
    /* Progress, a response without events, is a sign of life and no bookmark: etcd before 3.4.25
     * may send it ahead of events still to come. */
    if (!watcher_waiting_push(&wa->waiting, response)) {
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the transport broke the watch window");
    }
    return pump(cx, wa);
}

static int on_credit_following(struct rollcall_context *cx, void *self,
                               const struct rollcall_message *message)
{
    (void)message;
    ((struct watcher *)self)->credits++;
    return pump(cx, self);
}

/* ---- listing ---- */

static int ask_page(struct rollcall_context *cx, struct watcher *wa, struct rollcall_bytes after)
{
    const struct transport_call call = {
        .id = ++wa->asked,
        .answer = WATCHER_PAGE}; /* not wait_for_ready: the cause is wanted at once */
    struct transport_request *request = watcher_request_page(wa->config, after, wa->list_revision);
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, wa->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return LISTING;
}

static int list(struct rollcall_context *cx, struct watcher *wa)
{
    rollcall__view_clear_now(&wa->held->view); /* until a page says it is there */
    wa->held->skipped = 0;
    wa->held->applied_revision = 0;
    wa->list_revision = 0;
    return ask_page(cx, wa, (struct rollcall_bytes){NULL, 0});
}

/* false: out of memory. */
static bool take_kv(struct rollcall_context *cx, struct watcher *wa, const struct transport_kv *kv)
{
    struct rollcall__view *view = &wa->held->view;
    struct rollcall__view_entry *entry = rollcall__view_find(view, kv->key);
    struct watcher_item *item;
    if (!watcher_wants_key(wa->config, kv->key)) {
        return true;
    }
    if (entry != NULL && entry->told != NULL &&
        watcher_item_is((struct watcher_item *)entry->told, kv)) {
        rollcall__view_set_now(entry, rollcall_object_keep(entry->told)); /* nothing new */
        return true;
    }
    if (read_item(cx, wa, kv, &item) != ROLLCALL_OK) {
        return false;
    }
    if (item == NULL) {
        return true;
    }
    if (entry == NULL && (entry = rollcall__view_put(view, kv->key)) == NULL) {
        rollcall_object_drop(&item->object);
        return false;
    }
    rollcall__view_set_now(entry, &item->object);
    return true;
}

/* ---- telling the difference ---- */

static int end_telling(struct rollcall_context *cx, struct watcher *wa)
{
    struct watcher_handover *held = wa->held;
    rollcall__view_sweep(&held->view); /* of what was deleted, and that is told */
    const struct watcher_event event = {
        .type = held->snapshot_told ? ROLLCALL_WATCH_RESYNC_END : ROLLCALL_WATCH_SNAPSHOT_END,
        .revision = wa->list_revision,
        .count = held->snapshot_told ? held->told : held->view.count,
        .skipped = held->skipped};
    const enum rollcall_status status = tell(cx, wa, &event);
    if (status != ROLLCALL_OK) {
        return cannot_tell(cx, status);
    }
    held->telling = false;
    held->snapshot_told = true;
    held->resync_reason[0] = '\0';
    held->next_revision = wa->list_revision + 1;
    if (wa->config->list_only) {
        held->end.status = ROLLCALL_E_STOPPED;
        return OVER;
    }
    return follow(cx, wa);
}

static int go_on_telling(struct rollcall_context *cx, struct watcher *wa)
{
    struct rollcall__view *view = &wa->held->view;
    while (wa->credits > 0) {
        if (wa->cursor == view->count) {
            return end_telling(cx, wa);
        }
        struct rollcall__view_entry *entry = &view->entries[wa->cursor++];
        const struct watcher_item *now = (const struct watcher_item *)entry->now;
        const enum rollcall_status status =
            tell_entry(cx, wa, entry, now != NULL ? now->mod_revision : wa->list_revision,
                       !wa->held->snapshot_told);
        if (status != ROLLCALL_OK) {
            return cannot_tell(cx, status);
        }
    }
    return TELLING;
}

static int begin_telling(struct rollcall_context *cx, struct watcher *wa)
{
    struct watcher_handover *held = wa->held;
    struct watcher_event event = {
        .type = held->snapshot_told ? ROLLCALL_WATCH_RESYNC_BEGIN : ROLLCALL_WATCH_SNAPSHOT_BEGIN,
        .revision = wa->list_revision,
        .status = held->snapshot_told ? ROLLCALL_E_COMPACTED : ROLLCALL_OK};
    if (held->snapshot_told && !held->telling && !rollcall__view_differs(&held->view) &&
        held->resync_reason[0] == '\0') {
        held->next_revision = wa->list_revision + 1;
        return follow(cx, wa);
    }
    snprintf(event.reason, sizeof event.reason, "%s", held->resync_reason);
    const enum rollcall_status status = held->telling ? ROLLCALL_OK : tell(cx, wa, &event);
    if (status != ROLLCALL_OK) {
        return cannot_tell(cx, status);
    }
    held->told = held->telling ? held->told : 0;
    held->telling = true;
    wa->cursor = 0;
    return go_on_telling(cx, wa);
}

static int on_page(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct watcher *wa = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *page = (const struct transport_result *)message->object;
    if (answer->id != wa->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK) {
        return in_trouble(cx, wa, &page->error);
    }
    contact(cx, wa);
    if (wa->list_revision == 0) {
        wa->list_revision = page->revision;
    }
    for (size_t i = 0; i < page->kv_count; i++) {
        if (!take_kv(cx, wa, &page->kvs[i])) {
            return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a list");
        }
    }
    return page->more && page->kv_count != 0 ? ask_page(cx, wa, page->kvs[page->kv_count - 1].key)
                                             : begin_telling(cx, wa);
}

static int on_credit_telling(struct rollcall_context *cx, void *self,
                             const struct rollcall_message *message)
{
    (void)message;
    ((struct watcher *)self)->credits++;
    return go_on_telling(cx, self);
}

static int on_credit(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)cx, (void)message;
    ((struct watcher *)self)->credits++;
    return ROLLCALL_STAY;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct watcher_options *o = options;
    struct watcher *wa = self;
    struct watcher_handover *held = rollcall_handover(cx);
    wa->config = o->config;
    wa->application = o->application;
    wa->transport = o->transport;
    wa->held = held;
    wa->credits = WATCHER_EVENTS_MAX;
    if (held->end.status != ROLLCALL_OK) {
        return OVER;
    }
    if (rollcall_epoch(cx) == 1) {
        held->contact_by_ms = rollcall_now_ms(cx) + wa->config->connect_timeout_ms;
        held->next_revision = wa->config->from_revision;
        held->snapshot_told = wa->config->from_revision != 0;
    }
    if (!held->contact) {
        rollcall_timer_set(cx, WATCHER_NO_CONTACT, held->contact_by_ms);
    }
    return held->next_revision == 0 ? list(cx, wa) : follow(cx, wa);
}

static void fini(void *self)
{
    struct watcher_waiting *waiting = &((struct watcher *)self)->waiting;
    while (watcher_waiting_first(waiting) != NULL) {
        watcher_waiting_pop(waiting);
    }
}

static void handover_fini(void *handover)
{
    rollcall__view_free(&((struct watcher_handover *)handover)->view);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct watcher_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"LISTING", "TELLING", "FOLLOWING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(WATCHER_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(WATCHER_LIST);

const struct rollcall_actor_type watcher_type = {
    .name = "watcher",
    .self_size_bytes = sizeof(struct watcher),
    .options_size_bytes = sizeof(struct watcher_options),
    .handover_size_bytes = sizeof(struct watcher_handover),
    .init = init,
    .fini = fini,
    .options_fini = options_fini,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = WATCHER_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

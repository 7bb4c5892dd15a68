/*
 * reflector - reads a range of etcd, and passes on every change of it: the hub's one source.
 *
 *    LISTING --last PAGE--> FOLLOWING, or OVER (of a list)
 *    LISTING, FOLLOWING --NO_CONTACT, an error that will not pass--> OVER
 *
 * It passes on a list of the range at one revision, and after that the responses of one watch
 * stream, in order, decoded, each whole.  An error that may pass fails the actor: the supervisor
 * restarts it, and the handover says where: at the revision after the last one passed on, or, after
 * a compaction, at a new list, which says why.
 * Flow control: what the hub has no room for waits here, and then in etcd; nothing is dropped.
 * A hub that is restarted may have lost what it was about to take in: it is asked where it is, and
 * what it lacks is read again.
 * Invariant: everything below next_revision has been passed on.
 */
#include "actors/reflector.h"

#include "actors/reflector_internal.h"

#include "session/names.h"

#include <stdio.h>

enum { AGAIN_MS = 5 };

static rollcall_handler_fn on_hub_down, on_page, on_response, on_again, on_no_contact, on_down,
    on_taken, on_resume;

#define FOLLOWING_OR_OVER (ROLLCALL_TO(FOLLOWING) | ROLLCALL_TO(OVER))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][REFLECTOR_COUNT] = {
    [LISTING]  [ROLLCALL_DOWN]        = {rollcall_ignore, 0}, /* the list is to come */
    [LISTING]  [REFLECTOR_TAKEN]      = {rollcall_ignore, 0},
    [LISTING]  [REFLECTOR_RESUME]     = {rollcall_ignore, 0},
    [LISTING]  [REFLECTOR_PAGE]       = {on_page,         ROLLCALL_TO(LISTING) | FOLLOWING_OR_OVER},
    [LISTING]  [REFLECTOR_UNTOLD]     = {rollcall_ignore, 0}, /* the list is to come */
    [LISTING]  [REFLECTOR_LOST]       = {rollcall_ignore, 0},
    [LISTING]  [REFLECTOR_NO_CONTACT] = {on_no_contact,   ROLLCALL_TO(OVER)},

    [FOLLOWING][ROLLCALL_DOWN]        = {on_hub_down,     0},
    [FOLLOWING][REFLECTOR_TAKEN]      = {on_taken,        0},
    [FOLLOWING][REFLECTOR_RESUME]     = {on_resume,       0},
    [FOLLOWING][REFLECTOR_RESPONSE]   = {on_response,     ROLLCALL_TO(OVER)},
    [FOLLOWING][REFLECTOR_AGAIN]      = {on_again,        0},
    [FOLLOWING][REFLECTOR_UNTOLD]     = {reflector_on_untold, 0},
    [FOLLOWING][REFLECTOR_LOST]       = {reflector_on_lost, 0},
    [FOLLOWING][REFLECTOR_BEHIND]     = {reflector_on_behind, 0},
    [FOLLOWING][REFLECTOR_LEAVE]      = {reflector_on_leave, 0},
    [FOLLOWING][REFLECTOR_REVISION]   = {reflector_on_revision, ROLLCALL_TO(OVER)},
    [FOLLOWING][REFLECTOR_NO_CONTACT] = {on_no_contact,   ROLLCALL_TO(OVER)},

    [OVER]     [ROLLCALL_DOWN]        = {on_down,         0},
    [OVER]     [REFLECTOR_TAKEN]      = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_RESUME]     = {on_resume,       0},
    [OVER]     [REFLECTOR_PAGE]       = {rollcall_ignore, 0}, /* was on its way */
    [OVER]     [REFLECTOR_RESPONSE]   = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_AGAIN]      = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_UNTOLD]     = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_LOST]       = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_BEHIND]     = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_LEAVE]      = {rollcall_ignore, 0},
    [OVER]     [REFLECTOR_REVISION]   = {rollcall_ignore, 0},
};
/* clang-format on */

/* ---- the hub ---- */

/* It may have lost what it was about to take in: asks it, or tells it again why this is over. */
static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct reflector *re = self;
    struct rollcall_reason *failure = re->held->failure;
    const struct hub_where where = {.next_revision = re->held->next_revision,
                                    .lists = re->held->lists};
    (void)message;
    const enum rollcall_status status =
        failure == NULL ? rollcall_send(cx, re->hub, HUB_WHERE, &where, sizeof where)
                        : rollcall_send_object(cx, re->hub, HUB_FAILED, NULL, 0,
                                               rollcall_object_keep(&failure->object));
    return status == ROLLCALL_OK ? ROLLCALL_STAY
                                 : rollcall_fail(cx, ROLLCALL_E_FULL, "the hub's mailbox is full");
}

/* What it lacks is read again, by the next incarnation. */
static int on_resume(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    const struct reflector_resume *resume = message->payload;
    struct reflector *re = self;
    re->held->next_revision = resume->next_revision;
    re->held->over = false; /* of a list, which is made again */
    return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the hub was restarted");
}

/* Tells the hub why it ends. */
static int over(struct rollcall_context *cx, struct reflector *re, enum rollcall_status status,
                const char *words)
{
    struct rollcall_error error;
    rollcall_error_set(&error, status, "%s", words);
    re->held->failure = rollcall_reason_create(&error);
    if (re->held->failure == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for why a watch ends");
    }
    re->held->over = true;
    rollcall_timer_cancel(cx, REFLECTOR_NO_CONTACT);
    return on_down(cx, re, NULL) == ROLLCALL_FAIL ? ROLLCALL_FAIL : OVER;
}

/* ---- following ---- */

static int follow(struct rollcall_context *cx, struct reflector *re)
{
    const struct transport_watch watch = {
        .watch_id = REFLECTOR_WATCH_ID, .window = REFLECTOR_WINDOW, .answer = REFLECTOR_RESPONSE};
    const int64_t next = re->held->next_revision;
    struct transport_range *range = reflector_request_watch(
        re->config, next, next == re->held->exact_revision, re->held->listed_revision != 0);
    if (range == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
    }
    if (rollcall_send_object(cx, re->transport, TRANSPORT_WATCH, &watch, sizeof watch,
                             &range->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return FOLLOWING;
}

/* *read: the item of a key-value pair, or NULL when it is no record, which is noted.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_NO_MEMORY, and it is not known. */
static enum rollcall_status read_item(struct rollcall_context *cx, const struct transport_kv *kv,
                                      struct reflector_item **read)
{
    struct rollcall_error error;
    const enum rollcall_status status = reflector_item_create(kv, read, &error);
    if (status == ROLLCALL_E_CORRUPT) {
        rollcall_log(cx, ROLLCALL_WARN, "skipped %.*s: %s", (int)kv->key.size_bytes, kv->key.data,
                     error.text);
        return ROLLCALL_OK;
    }
    return status;
}

/* What of a response is news: etcd repeats itself after some restarts, and a watch begins with what
 * came just before.  NULL: out of memory. */
static struct reflector_changes *read_changes(struct rollcall_context *cx, struct reflector *re,
                                              struct transport_watch_response *response)
{
    struct reflector_changes *changes = reflector_changes_create(response);
    for (size_t i = 0; changes != NULL && i < response->event_count; i++) {
        const struct transport_event *event = &response->events[i];
        struct reflector_change change = {.event = event};
        if (event->kv.mod_revision < re->held->next_revision ||
            !reflector_wants_key(re->config, event->kv.key)) {
            continue;
        }
        if (event->kind == TRANSPORT_PUT &&
            read_item(cx, &event->kv, &change.item) != ROLLCALL_OK) {
            rollcall_object_drop(&changes->object);
            return NULL;
        }
        changes->changes[changes->count++] = change;
    }
    return changes;
}

/* Below it all is passed on, once the response is. */
static int64_t next_after(const struct reflector *re,
                          const struct transport_watch_response *response)
{
    const int64_t next = response->event_count == 0
                             ? 0
                             : response->events[response->event_count - 1].kv.mod_revision + 1;
    return next > re->held->next_revision ? next : re->held->next_revision;
}

/* Lets the transport send so many more. */
static bool give_back(struct rollcall_context *cx, const struct reflector *re, uint32_t count)
{
    const struct transport_watch_id ack = {.watch_id = REFLECTOR_WATCH_ID};
    bool sent = true;
    for (uint32_t i = 0; i < count && sent; i++) {
        sent =
            rollcall_send(cx, re->transport, TRANSPORT_WATCH_ACK, &ack, sizeof ack) == ROLLCALL_OK;
    }
    return sent;
}

static int window_lost(struct rollcall_context *cx)
{
    return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
}

/* What comes from etcd waits there until the hub has taken in what came before: else credits of
 * watchers would wait behind it, and who is quick would seem to lag. */
static int on_taken(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct reflector *re = self;
    (void)message;
    if (re->passed == 0) {
        return ROLLCALL_STAY; /* by the hub before it crashed, and given back then */
    }
    re->passed--;
    return give_back(cx, re, 1) ? ROLLCALL_STAY : window_lost(cx);
}

/* What it has taken in without saying so is given back as well. */
static int on_hub_down(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct reflector *re = self;
    const uint32_t passed = re->passed;
    re->passed = 0;
    return give_back(cx, re, passed) ? on_down(cx, re, message) : window_lost(cx);
}

/* Forgets the first that waits. */
static void finish_response(struct reflector *re)
{
    re->held->next_revision = next_after(re, reflector_waiting_first(&re->waiting));
    reflector_waiting_pop(&re->waiting);
}

/* False: the hub has no room for it, now. */
static bool pass_on(struct rollcall_context *cx, struct reflector *re)
{
    struct reflector_changes *changes = re->changes;
    const struct hub_change change = {.from_revision = re->held->next_revision,
                                      .next_revision = next_after(re, changes->response)};
    if (change.next_revision != change.from_revision) {
        rollcall_object_keep(&changes->object);
        if (rollcall_send_object(cx, re->hub, HUB_CHANGED, &change, sizeof change,
                                 &changes->object) != ROLLCALL_OK) {
            rollcall_timer_set(cx, REFLECTOR_AGAIN, rollcall_now_ms(cx) + AGAIN_MS);
            return false;
        }
        re->passed++;
    } else {
        re->unused++;
    }
    rollcall_object_drop(&changes->object);
    re->changes = NULL;
    return true;
}

/* Passes on what is waiting, as far as the hub has room. */
static int pump(struct rollcall_context *cx, struct reflector *re)
{
    struct transport_watch_response *response;
    while ((response = reflector_waiting_first(&re->waiting)) != NULL) {
        if (re->changes == NULL && (re->changes = read_changes(cx, re, response)) == NULL) {
            return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a change");
        }
        if (!pass_on(cx, re)) {
            break;
        }
        finish_response(re);
    }
    const uint32_t unused = re->unused;
    re->unused = 0;
    return give_back(cx, re, unused) ? ROLLCALL_STAY : window_lost(cx);
}

static int on_again(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return pump(cx, self);
}

int reflector_relist(struct rollcall_context *cx, struct reflector *re, enum hub_list_cause cause)
{
    re->held->next_revision = 0;
    re->held->behind = false;
    re->held->cause = cause;
    return rollcall_fail(cx, hub_list_status(cause), "%s", hub_list_words(cause));
}

static void contact(struct rollcall_context *cx, struct reflector *re)
{
    if (re->held->contact && re->held->trouble[0] != '\0') {
        rollcall_log(cx, ROLLCALL_WARN, "etcd answers again: the watch goes on");
    }
    re->held->contact = true;
    re->held->trouble[0] = '\0';
    rollcall_timer_cancel(cx, REFLECTOR_NO_CONTACT);
}

static int on_no_contact(struct rollcall_context *cx, void *self,
                         const struct rollcall_message *message)
{
    const struct transport_watch_id cancel = {.watch_id = REFLECTOR_WATCH_ID};
    struct reflector *re = self;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
    (void)message;
    ROLLCALL_DROP(rollcall_send(cx, re->transport, TRANSPORT_WATCH_CANCEL, &cancel, sizeof cancel),
                  "it ends with this actor");
    session_no_contact_text(reason, sizeof reason, re->config->endpoints,
                            re->config->connect_timeout_ms, re->held->trouble);
    return over(cx, re, ROLLCALL_E_UNAVAILABLE, reason);
}

/* A refused connection is faster than a restarted timer. */
int reflector_in_trouble(struct rollcall_context *cx, struct reflector *re,
                         const struct rollcall_error *error)
{
    if (rollcall_status_class(error->status) != ROLLCALL_RETRY) {
        return over(cx, re, error->status, error->text);
    }
    snprintf(re->held->trouble, sizeof re->held->trouble, "%s", error->text);
    if (!re->held->contact && rollcall_now_ms(cx) >= re->held->contact_by_ms) {
        return on_no_contact(cx, re, NULL);
    }
    return rollcall_fail(cx, error->status, "%s", error->text);
}

/* What ends the stream; true: it does, and *next says how. */
static bool stream_ended(struct rollcall_context *cx, struct reflector *re,
                         const struct transport_watch_response *response, int *next)
{
    const enum rollcall_status status = response->error.status;
    if (response->compact_revision != 0 || status == ROLLCALL_E_COMPACTED) {
        *next = reflector_relist(cx, re, HUB_LIST_COMPACTED);
    } else if (response->too_large) {
        *next = reflector_relist(cx, re, HUB_LIST_TOO_LARGE);
    } else if (status != ROLLCALL_OK) {
        *next = reflector_in_trouble(cx, re, &response->error); /* cancellations among them */
    } else if (response->canceled) {
        *next = rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "etcd ended the watch");
    } else {
        return false;
    }
    return true;
}

static int on_response(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct reflector *re = self;
    struct transport_watch_response *response = (struct transport_watch_response *)message->object;
    int next;
    if (stream_ended(cx, re, response, &next)) {
        return next;
    }
    contact(cx, re);
    reflector_look_at(cx, re, response);
    /* Progress, a response without events, is a sign of life and no bookmark: etcd before 3.4.25
     * may send it ahead of events still to come. */
    if (!reflector_waiting_push(&re->waiting, response)) {
        return rollcall_fail(cx, ROLLCALL_E_UNAVAILABLE, "the transport broke the watch window");
    }
    return pump(cx, re);
}

/* ---- listing ---- */

static int ask_page(struct rollcall_context *cx, struct reflector *re, struct rollcall_bytes after)
{
    const struct transport_call call = {
        .id = ++re->asked,
        .answer = REFLECTOR_PAGE}; /* not wait_for_ready: the cause is wanted at once */
    struct transport_request *request =
        reflector_request_page(re->config, after, re->roster->revision);
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, re->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return LISTING;
}

static int list(struct rollcall_context *cx, struct reflector *re)
{
    re->roster = rollcall__roster_create();
    return re->roster == NULL ? rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a list")
                              : ask_page(cx, re, (struct rollcall_bytes){NULL, 0});
}

/* False: out of memory. */
static bool take_page(struct rollcall_context *cx, struct reflector *re,
                      const struct transport_result *page)
{
    if (!rollcall__roster_reserve(&re->roster, page->kv_count)) {
        return false;
    }
    for (size_t i = 0; i < page->kv_count; i++) {
        struct reflector_item *item;
        if (!reflector_wants_key(re->config, page->kvs[i].key)) {
            continue;
        }
        if (read_item(cx, &page->kvs[i], &item) != ROLLCALL_OK) {
            return false;
        }
        if (item == NULL) {
            re->roster->skipped++;
        } else {
            rollcall__roster_append(re->roster, item->key, &item->object);
        }
    }
    return true;
}

/* The list is whole. */
static int pass_on_list(struct rollcall_context *cx, struct reflector *re)
{
    const struct hub_list listed = {.cause = re->held->cause, .number = re->held->lists + 1};
    const int64_t revision = re->roster->revision;
    struct rollcall_object *roster = &re->roster->object;
    re->roster = NULL;
    if (rollcall_send_object(cx, re->hub, HUB_LISTED, &listed, sizeof listed, roster) !=
        ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the hub's mailbox is full");
    }
    re->held->lists = listed.number;
    re->held->next_revision = revision + 1;
    re->held->listed_revision = revision;
    re->held->exact_revision = listed.cause == HUB_LIST_TOO_LARGE ? revision + 1 : 0;
    if (re->config->list_only) {
        re->held->over = true;
        return OVER;
    }
    return follow(cx, re);
}

static int on_page(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct reflector *re = self;
    const struct transport_answer *answer = message->payload;
    const struct transport_result *page = (const struct transport_result *)message->object;
    if (answer->id != re->asked) {
        return ROLLCALL_STAY;
    }
    if (answer->status != ROLLCALL_OK) {
        return reflector_in_trouble(cx, re, &page->error);
    }
    contact(cx, re);
    if (re->roster->revision == 0) {
        re->roster->revision = page->revision;
        re->held->cluster_id = page->cluster_id;
    }
    if (!take_page(cx, re, page)) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a list");
    }
    return page->more && page->kv_count != 0 ? ask_page(cx, re, page->kvs[page->kv_count - 1].key)
                                             : pass_on_list(cx, re);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct reflector_options *o = options;
    struct reflector *re = self;
    struct reflector_handover *held = rollcall_handover(cx);
    re->config = o->config;
    re->hub = o->hub;
    re->transport = o->transport;
    re->held = held;
    if (rollcall_epoch(cx) > 1 && on_down(cx, re, NULL) == ROLLCALL_FAIL) {
        return ROLLCALL_FAIL; /* the one before may have lost the news that the hub crashed */
    }
    if (held->over) {
        return OVER;
    }
    if (rollcall_epoch(cx) == 1) {
        rollcall_monitor(cx, re->hub);
        held->contact_by_ms = rollcall_now_ms(cx) + re->config->connect_timeout_ms;
        held->next_revision = re->config->from_revision;
    }
    if (!held->contact) {
        rollcall_timer_set(cx, REFLECTOR_NO_CONTACT, held->contact_by_ms);
    }
    return held->next_revision == 0 ? list(cx, re) : follow(cx, re);
}

static void fini(void *self)
{
    struct reflector *re = self;
    while (reflector_waiting_first(&re->waiting) != NULL) {
        reflector_waiting_pop(&re->waiting);
    }
    if (re->changes != NULL) {
        rollcall_object_drop(&re->changes->object);
    }
    if (re->roster != NULL) {
        rollcall_object_drop(&re->roster->object);
    }
}

static void handover_fini(void *handover)
{
    struct reflector_handover *held = handover;
    rollcall_object_drop(held->failure == NULL ? NULL : &held->failure->object);
}

static void options_fini(void *options)
{
    rollcall_object_drop(&((struct reflector_options *)options)->config->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"LISTING", "FOLLOWING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(REFLECTOR_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(REFLECTOR_LIST);

const struct rollcall_actor_type reflector_type = {
    .name = "reflector",
    .self_size_bytes = sizeof(struct reflector),
    .options_size_bytes = sizeof(struct reflector_options),
    .handover_size_bytes = sizeof(struct reflector_handover),
    .init = init,
    .fini = fini,
    .handover_fini = handover_fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = REFLECTOR_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

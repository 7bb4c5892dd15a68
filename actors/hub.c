/*
 * hub - what is there in one range, for all who watch it: one source, one decoding, one event.
 *
 *    GATHERING --LISTED--> SERVING --FAILED--> OVER
 *    GATHERING --FAILED--> OVER
 *
 * It keeps the roster of the range, says of each change what it is (ADD, UPDATE, DELETE), and sends
 * every watcher the same batch.  What has come before its FLUSH is handled goes out together; that
 * is no more than the responses of a window, for the reflector asks for others when these are taken
 * in. A watcher has room for HUB_WINDOW deliveries.  One that has none left lags: nothing is sent
 * to it, the roster that it knows is kept, and when it has room again it gets the one difference to
 * the roster of then.  So it delays nobody, and costs no more however long it takes.  After a new
 * list (history was compacted, or rewritten) every watcher is brought to it in the same way.
 * What was sent is kept until it is told, and sent again to a watcher that crashed; what the hub
 * itself lost in a crash, the reflector and the watchers say again when they are asked.
 * Invariant: a watcher that FOLLOWS has been sent the roster as it was before `batch`; a watcher
 * joins, and catches up, between two revisions.
 */
#include "actors/hub.h"

#include "actors/auditor.h"
#include "actors/hub_internal.h"

#include <stdlib.h>

enum state { GATHERING, SERVING, OVER, STATE_COUNT };

struct hub {
    struct hub_handover *held;
    bool flushing; /* FLUSH is on its way */
};

static rollcall_handler_fn on_listed, on_changed, on_failed, on_where, on_join, on_join_over,
    on_credit, on_repeat, on_audit, on_view, on_flush, on_down;

#define IGNORE rollcall_ignore
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][HUB_COUNT] = {
    [GATHERING][ROLLCALL_DOWN] = {on_down,      0},
    [GATHERING][HUB_LISTED]    = {on_listed,    ROLLCALL_TO(SERVING)},
    [GATHERING][HUB_CHANGED]   = {IGNORE,       0}, /* the list before it was lost in a crash */
    [GATHERING][HUB_FAILED]    = {on_failed,    ROLLCALL_TO(OVER)},
    [GATHERING][HUB_WHERE]     = {on_where,     0},
    [GATHERING][HUB_JOIN]      = {on_join,      0},
    [GATHERING][HUB_CREDIT]    = {IGNORE,       0}, /* nothing was sent yet */
    [GATHERING][HUB_REPEAT]    = {IGNORE,       0},
    [GATHERING][HUB_AUDIT]     = {IGNORE,       0}, /* there is nothing to compare */
    [GATHERING][HUB_VIEW]      = {on_view,      0},

    [SERVING]  [ROLLCALL_DOWN] = {on_down,      0},
    [SERVING]  [HUB_LISTED]    = {on_listed,    ROLLCALL_TO(SERVING)},
    [SERVING]  [HUB_CHANGED]   = {on_changed,   0},
    [SERVING]  [HUB_FAILED]    = {on_failed,    ROLLCALL_TO(OVER)},
    [SERVING]  [HUB_WHERE]     = {on_where,     0},
    [SERVING]  [HUB_JOIN]      = {on_join,      0},
    [SERVING]  [HUB_CREDIT]    = {on_credit,    0},
    [SERVING]  [HUB_REPEAT]    = {on_repeat,    0},
    [SERVING]  [HUB_AUDIT]     = {on_audit,     0},
    [SERVING]  [HUB_VIEW]      = {on_view,      0},
    [SERVING]  [HUB_FLUSH]     = {on_flush,     0},

    [OVER]     [ROLLCALL_DOWN] = {on_down,      0},
    [OVER]     [HUB_LISTED]    = {IGNORE,       0},
    [OVER]     [HUB_CHANGED]   = {IGNORE,       0},
    [OVER]     [HUB_FAILED]    = {IGNORE,       0}, /* told again: a crash might have lost it */
    [OVER]     [HUB_WHERE]     = {IGNORE,       0},
    [OVER]     [HUB_JOIN]      = {on_join_over, 0},
    [OVER]     [HUB_CREDIT]    = {IGNORE,       0},
    [OVER]     [HUB_REPEAT]    = {on_join_over, 0},
    [OVER]     [HUB_AUDIT]     = {IGNORE,       0},
    [OVER]     [HUB_VIEW]      = {on_view,      0},
    [OVER]     [HUB_FLUSH]     = {IGNORE,       0}, /* all was sent before the failure */
};
/* clang-format on */

static int cannot(struct rollcall_context *cx, enum rollcall_status status)
{
    return rollcall_fail(cx, status, "%s",
                         status == ROLLCALL_E_NO_MEMORY ? "out of memory for what is to be told"
                                                        : "a watcher's mailbox is full");
}

static int answer(struct rollcall_context *cx, enum rollcall_status status)
{
    return status == ROLLCALL_OK ? ROLLCALL_STAY : cannot(cx, status);
}

/* ---- from the reflector ---- */

/* Takes in what is at hand; then those that wait are served, and the rest goes out soon. */
static int work(struct rollcall_context *cx, struct hub *hub, int next)
{
    struct hub_handover *held = hub->held;
    enum rollcall_status status = ROLLCALL_OK;
    if (held->work != NULL) {
        status = held->work_is_list ? hub_take_list(cx, held) : hub_take_changes(cx, held);
        if (status != ROLLCALL_OK) {
            return cannot(cx, status);
        }
        rollcall_object_drop(held->work);
        held->work = NULL;
    }
    if ((status = hub_serve(cx, held)) != ROLLCALL_OK) {
        return cannot(cx, status);
    }
    if (held->batch == NULL || hub->flushing) {
        return next;
    }
    hub->flushing = rollcall_send(cx, rollcall_self(cx), HUB_FLUSH, NULL, 0) == ROLLCALL_OK;
    if (!hub->flushing && (status = hub_flush(cx, held)) != ROLLCALL_OK) {
        return cannot(cx, status);
    }
    return next;
}

static int on_listed(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct hub *hub = self;
    struct hub_handover *held = hub->held;
    held->list = *(const struct hub_list *)message->payload;
    held->work = rollcall_object_keep(message->object);
    held->work_is_list = true;
    held->listed_revision = ((const struct rollcall__roster *)message->object)->revision;
    held->next_revision = held->listed_revision + 1;
    return work(cx, hub, SERVING);
}

static int on_changed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct hub *hub = self;
    struct hub_handover *held = hub->held;
    const struct hub_change *change = message->payload;
    int next = ROLLCALL_STAY;
    /* Else what is between was lost in a crash, and is read again; or it is known. */
    if (change->from_revision <= held->next_revision &&
        change->next_revision > held->next_revision) {
        held->work = rollcall_object_keep(message->object);
        held->work_is_list = false;
        held->work_at = 0;
        held->work_from_revision = held->next_revision;
        held->next_revision = change->next_revision;
        next = work(cx, hub, ROLLCALL_STAY);
    }
    if (next == ROLLCALL_STAY &&
        rollcall_reply(cx, message->from, REFLECTOR_TAKEN, NULL, 0, NULL) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the reflector's mailbox is full");
    }
    return next;
}

static int on_where(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct hub *hub = self;
    const struct hub_where *where = message->payload;
    const bool has_list = where->lists == hub->held->list.number;
    const struct reflector_resume resume = {.next_revision =
                                                has_list ? hub->held->next_revision : 0};
    if (where->next_revision <= resume.next_revision) {
        return ROLLCALL_STAY;
    }
    const enum rollcall_status status =
        rollcall_reply(cx, message->from, REFLECTOR_RESUME, &resume, sizeof resume, NULL);
    return status == ROLLCALL_OK ? ROLLCALL_STAY : cannot(cx, status);
}

static int on_flush(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct hub *hub = self;
    (void)message;
    hub->flushing = false;
    return answer(cx, hub_flush(cx, hub->held));
}

/* ---- the end ---- */

static enum rollcall_status tell_failure(struct rollcall_context *cx,
                                         const struct hub_handover *held,
                                         struct rollcall_ref watcher)
{
    return rollcall_send_object(cx, watcher, WATCHER_FAILED, NULL, 0,
                                rollcall_object_keep(&held->failed->object));
}

/* Tells everybody, also who lags; again from the beginning, if it must: a watcher ends once. */
static int fail_all(struct rollcall_context *cx, struct hub *hub)
{
    struct hub_handover *held = hub->held;
    enum rollcall_status status = hub_flush(cx, held);
    for (size_t i = 0; i < held->count && status == ROLLCALL_OK; i++) {
        status = tell_failure(cx, held, held->subscribers[i].watcher);
    }
    return status == ROLLCALL_OK ? OVER : cannot(cx, status);
}

static int on_failed(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct hub *hub = self;
    hub->held->failed = (struct rollcall_reason *)rollcall_object_keep(message->object);
    return fail_all(cx, hub);
}

/* ---- from the watchers ---- */

static int on_join(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct hub *hub = self;
    const struct hub_subscriber *known = hub_find(hub->held, message->from.ref);
    if (known != NULL) { /* asked again: it had come */
        return answer(cx, hub_repeat(cx, hub->held, known, 0));
    }
    return hub_add(cx, hub->held, message->from.ref, (struct hub_watcher_meter *)message->object,
                   false)
               ? work(cx, hub, ROLLCALL_STAY)
               : rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watcher");
}

static int on_repeat(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    const struct hub *hub = self;
    const struct hub_subscriber *subscriber = hub_find(hub->held, message->from.ref);
    const struct hub_repeat *wanted = message->payload;
    return subscriber == NULL ? ROLLCALL_STAY
                              : answer(cx, hub_repeat(cx, hub->held, subscriber, wanted->next));
}

/* Again, to one that joins late, or has crashed: what it had not told before, and the end. */
static int on_join_over(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    const struct hub *hub = self;
    const struct hub_subscriber *known = hub_find(hub->held, message->from.ref);
    enum rollcall_status status = known == NULL ? ROLLCALL_OK : hub_repeat(cx, hub->held, known, 0);
    if (status == ROLLCALL_OK) {
        status = tell_failure(cx, hub->held, message->from.ref);
    }
    return answer(cx, status);
}

static int on_credit(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct hub *hub = self;
    const struct hub_credit *credit = message->payload;
    struct hub_handover *held = hub->held;
    struct hub_subscriber *subscriber =
        credit->place < held->count ? &held->subscribers[credit->place] : NULL;
    if (subscriber == NULL || !rollcall_ref_equal(subscriber->watcher, message->from.ref)) {
        subscriber = hub_find(held, message->from.ref); /* another has left, and it was moved */
    }
    if (subscriber == NULL || credit->told <= subscriber->told) {
        return ROLLCALL_STAY;
    }
    held->starved -= subscriber->phase == HUB_FOLLOWING && !hub_has_room(subscriber);
    hub_forget_told(subscriber, credit->told);
    return subscriber->phase == HUB_FOLLOWING ? ROLLCALL_STAY : work(cx, hub, ROLLCALL_STAY);
}

/* One that failed comes back, and may have lost what it was about to take in: it is asked. */
static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct rollcall_down *down = message->payload;
    struct hub_handover *held = ((struct hub *)self)->held;
    struct hub_subscriber *gone = hub_find(held, down->who);
    if (gone == NULL) {
        return ROLLCALL_STAY;
    }
    if (down->reason != ROLLCALL_DOWN_ENDED) {
        return answer(cx, rollcall_send(cx, down->who, WATCHER_WHERE, NULL, 0));
    }
    hub_remove(held, gone);
    return ROLLCALL_STAY;
}

static int on_audit(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct hub_handover *held = ((struct hub *)self)->held;
    const struct auditor_roster roster = {.next_revision = held->next_revision,
                                          .listed_revision = held->listed_revision};
    ROLLCALL_DROP(rollcall_reply(cx, message->from, AUDITOR_ROSTER, &roster, sizeof roster,
                                 rollcall_object_keep(&held->roster->object)),
                  "it asks again at its next audit");
    return ROLLCALL_STAY;
}

static int on_view(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct hub_view_request *request = (struct hub_view_request *)message->object;
    (void)cx;
    request->answer(request, ((struct hub *)self)->held->roster);
    return ROLLCALL_STAY;
}

/* ---- life ---- */

static int begin(struct rollcall_context *cx, struct hub_handover *held,
                 const struct hub_options *options)
{
    held->meter = options->meter;
    if (held->roster == NULL && options->from_revision != 0) {
        held->next_revision = options->from_revision;
        held->partial = true;
        if ((held->roster = rollcall__roster_create()) == NULL) {
            return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watch");
        }
    }
    if (!held->first_added && !rollcall_ref_is_nobody(options->first)) {
        held->first_added =
            hub_add(cx, held, options->first, options->first_meter, options->from_revision != 0);
        if (!held->first_added) {
            return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a watcher");
        }
    }
    return ROLLCALL_STAY;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct hub *hub = self;
    hub->held = rollcall_handover(cx);
    struct hub_handover *held = hub->held;
    if (begin(cx, held, options) == ROLLCALL_FAIL) {
        return ROLLCALL_FAIL;
    }
    if (held->failed != NULL) {
        return fail_all(cx, hub);
    }
    enum rollcall_status status = hub_flush(cx, held); /* some may have had the batch already */
    if (status == ROLLCALL_OK && rollcall_epoch(cx) > 1) {
        status = hub_ask_all(cx, held);
    }
    return status != ROLLCALL_OK
               ? cannot(cx, status)
               : work(cx, hub, held->roster == NULL && held->work == NULL ? GATHERING : SERVING);
}

static void handover_fini(void *handover)
{
    struct hub_handover *held = handover;
    for (size_t i = 0; i < held->count; i++) {
        hub_release(&held->subscribers[i]);
    }
    free(held->subscribers);
    rollcall_object_drop(held->work);
    rollcall_object_drop(held->batch == NULL ? NULL : &held->batch->object);
    rollcall_object_drop(held->roster == NULL ? NULL : &held->roster->object);
    rollcall_object_drop(held->failed == NULL ? NULL : &held->failed->object);
}

static void options_fini(void *options)
{
    const struct hub_options *o = options;
    rollcall_object_drop(o->first_meter == NULL ? NULL : &o->first_meter->object);
    rollcall_object_drop(o->meter == NULL ? NULL : &o->meter->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"GATHERING", "SERVING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(HUB_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(HUB_LIST);

const struct rollcall_actor_type hub_type = {
    .name = "hub",
    .self_size_bytes = sizeof(struct hub),
    .options_size_bytes = sizeof(struct hub_options),
    .handover_size_bytes = sizeof(struct hub_handover),
    .init = init,
    .handover_fini = handover_fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = HUB_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

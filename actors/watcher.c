/*
 * watcher - tells one application what a hub knows: a snapshot, then every change.
 *
 *    TELLING --the snapshot of a list, FAILED--> OVER
 *
 * It joins its hub, which sends it batches of events, and differences between what it knows and
 * what is.  Each is told in turn, by slices of events that the application sees as they are: what
 * its filter leaves out is skipped, and only where that turns a change into another (a version that
 * enters or leaves the range) a slice is made for it alone.  A difference is told as a snapshot the
 * first time, and between RESYNC marks after that, a part at a time; or, to an application that
 * wants it so, as all there is then.
 * Flow control: the hub sends HUB_WINDOW deliveries at most that were not told.  An application
 * without room is asked again.
 * Invariant: what was told is what the hub has sent, in order, up to `at` of the first that waits.
 */
#include "actors/watcher.h"

enum {
    AGAIN_MS = 10,
    AGAIN_MAX_MS = 160, /* as long as nothing can be told, at twice the pause each time */
    JOIN_MS = 1000,     /* after that it asks again: its wish may have been lost */
    PART_EVENTS = 64,   /* of a difference, at a time */
    CREDIT_LUMP = HUB_WINDOW / 2
};
enum state { TELLING, OVER, STATE_COUNT };

/* Survives a restart: between two messages it is whole. */
struct watcher_handover {
    /* A ring: deliveries of the hub that were not told, oldest first, with one reference each. */
    struct rollcall_object *waiting[HUB_WINDOW];
    uint32_t head, count;
    size_t at;                         /* the event of the first that is next, of a batch */
    struct hub_batch *part;            /* of a difference: what is being told; NULL: none */
    size_t part_at;                    /* the event of it that is next */
    struct rollcall__roster_walk walk; /* and what comes after it */
    bool begun, ended;                 /* it has its marks */
    uint64_t told;                     /* sessions of a snapshot, or changes of a resync */
    uint64_t next;                     /* number of the delivery that comes next */
    uint64_t credited;                 /* the hub knows that all below are told */
    struct rollcall_ref hub;           /* who sends; nobody: it has not begun */
    uint32_t place;
    bool snapshot_told, over;
    struct rollcall_reason *failure; /* told last; NULL: none */
    bool refused;                    /* by the application: nothing else is told before that */
};

struct watcher {
    const struct watcher_options *options;
    struct watcher_handover *held;
    bool going_on;    /* GO_ON is on its way */
    int64_t again_ms; /* the last pause without room; 0: there was some since */
    bool asking;      /* the hub's mailbox was full when it was asked again */
};

static rollcall_handler_fn on_delivery, on_failed, on_where, on_go_on, on_again;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][WATCHER_COUNT] = {
    [TELLING][WATCHER_BATCH]      = {on_delivery,     ROLLCALL_TO(OVER)},
    [TELLING][WATCHER_DIFFERENCE] = {on_delivery,     ROLLCALL_TO(OVER)},
    [TELLING][WATCHER_FAILED]     = {on_failed,       ROLLCALL_TO(OVER)},
    [TELLING][WATCHER_WHERE]      = {on_where,        0},
    [TELLING][WATCHER_GO_ON]      = {on_go_on,        ROLLCALL_TO(OVER)},
    [TELLING][WATCHER_AGAIN]      = {on_again,        ROLLCALL_TO(OVER)},

    [OVER]   [WATCHER_BATCH]      = {rollcall_ignore, 0},
    [OVER]   [WATCHER_DIFFERENCE] = {rollcall_ignore, 0},
    [OVER]   [WATCHER_FAILED]     = {rollcall_ignore, 0},
    [OVER]   [WATCHER_WHERE]      = {rollcall_ignore, 0},
    [OVER]   [WATCHER_GO_ON]      = {rollcall_ignore, 0},
    [OVER]   [WATCHER_AGAIN]      = {rollcall_ignore, 0},
};
/* clang-format on */

/* What telling came to. */
enum outcome { DONE, NO_ROOM, REFUSED };

/* ---- what counts ---- */

/* What the change from the one to the other is for this watcher; false: nothing. */
static bool kind_of(const struct watcher_filter *filter, const struct reflector_item *before,
                    const struct reflector_item *item, enum rollcall_watch_event_type *type)
{
    const bool was = watcher_counts(filter, before), is = watcher_counts(filter, item);
    *type = was && is ? ROLLCALL_WATCH_UPDATE : is ? ROLLCALL_WATCH_ADD : ROLLCALL_WATCH_DELETE;
    return was || is;
}

/* ---- batches ---- */

static bool offer(const struct watcher *wa, struct hub_batch *batch, size_t first, size_t count)
{
    return wa->options->tell(wa->options->handle, batch, first, count);
}

/* How many events from `first` on are told as they are. */
static size_t run_length(const struct watcher_filter *filter, const struct hub_batch *batch,
                         size_t first)
{
    enum rollcall_watch_event_type type;
    size_t at = first;
    while (at < batch->count &&
           kind_of(filter, batch->held[at].before, batch->held[at].item, &type) &&
           type == batch->events[at].type) {
        at++;
    }
    return at - first;
}

/* One event that the filter makes another one of, or none; DELETE is told with the last that
 * counted. */
static enum outcome tell_changed(const struct watcher *wa, const struct hub_batch *batch, size_t at)
{
    struct reflector_item *before = batch->held[at].before, *item = batch->held[at].item;
    enum rollcall_watch_event_type type;
    if (!kind_of(wa->options->filter, before, item, &type)) {
        return DONE;
    }
    struct hub_batch *single = hub_batch_create();
    bool told = false;
    if (single != NULL && hub_batch_reserve(single, 1)) {
        hub_batch_add(single, type, batch->events[at].at_ms, batch->events[at].mod_revision,
                      reflector_item_keep(before),
                      reflector_item_keep(type == ROLLCALL_WATCH_DELETE ? NULL : item));
        told = offer(wa, single, 0, 1);
    }
    if (single != NULL) {
        rollcall_object_drop(&single->object);
    }
    return told ? DONE : NO_ROOM;
}

static enum outcome tell_batch(const struct watcher *wa, struct hub_batch *batch)
{
    const struct watcher_filter *filter = wa->options->filter;
    size_t *at = &wa->held->at;
    while (*at < batch->count) {
        const size_t run = filter == NULL ? batch->count - *at : run_length(filter, batch, *at);
        if (run > 0 ? !offer(wa, batch, *at, run) : tell_changed(wa, batch, *at) == NO_ROOM) {
            return NO_ROOM;
        }
        *at += run > 0 ? run : 1;
    }
    *at = 0;
    return DONE;
}

/* ---- differences ---- */

/* False: out of memory. */
static bool add_begin(struct rollcall_context *cx, const struct watcher_handover *held,
                      const struct hub_difference *difference, struct hub_batch *part)
{
    struct rollcall_reason *reason = NULL;
    struct rollcall_error error;
    struct rollcall_watch_event mark = {.type = ROLLCALL_WATCH_SNAPSHOT_BEGIN,
                                        .at_ms = rollcall_wall_ms(cx),
                                        .revision = difference->after->revision};
    if (held->snapshot_told) {
        mark.type = ROLLCALL_WATCH_RESYNC_BEGIN;
        mark.status = difference->status;
        rollcall_error_set(&error, difference->status, "%s", difference->words);
        if ((reason = rollcall_reason_create(&error)) == NULL) {
            return false;
        }
    }
    hub_batch_mark(part, &mark, reason);
    return true;
}

static void add_end(struct rollcall_context *cx, const struct watcher_handover *held,
                    const struct hub_difference *difference, struct hub_batch *part)
{
    const struct rollcall_watch_event mark = {
        .type = held->snapshot_told ? ROLLCALL_WATCH_RESYNC_END : ROLLCALL_WATCH_SNAPSHOT_END,
        .at_ms = rollcall_wall_ms(cx),
        .revision = difference->after->revision,
        .count = held->told,
        .skipped = difference->after->skipped};
    hub_batch_mark(part, &mark, NULL);
}

/* The next of it that counts; false: there is none. */
static bool add_next(struct rollcall_context *cx, const struct watcher *wa,
                     const struct hub_difference *difference, struct hub_batch *part)
{
    struct rollcall__roster_walk *walk = &wa->held->walk;
    enum rollcall_watch_event_type type;
    while (rollcall__roster_differs(difference->before, difference->after, walk)) {
        struct reflector_item *before = (struct reflector_item *)walk->before;
        struct reflector_item *item = (struct reflector_item *)walk->after;
        if (!kind_of(wa->options->filter, before, item, &type)) {
            continue;
        }
        if (type == ROLLCALL_WATCH_DELETE) {
            item = NULL;
        } else if (!wa->held->snapshot_told) {
            type = ROLLCALL_WATCH_SESSION;
        }
        hub_batch_add(part, type, rollcall_wall_ms(cx),
                      item != NULL ? item->mod_revision : difference->after->revision,
                      reflector_item_keep(before), reflector_item_keep(item));
        wa->held->told++;
        return true;
    }
    return false;
}

/* NULL: out of memory, and nothing has changed. */
static struct hub_batch *make_part(struct rollcall_context *cx, const struct watcher *wa,
                                   const struct hub_difference *difference)
{
    struct watcher_handover *held = wa->held;
    struct hub_batch *part = hub_batch_create();
    if (part == NULL || !hub_batch_reserve(part, PART_EVENTS + 2) ||
        (!held->begun && !add_begin(cx, held, difference, part))) {
        if (part != NULL) {
            rollcall_object_drop(&part->object);
        }
        return NULL;
    }
    held->begun = true;
    for (int i = 0; i < PART_EVENTS && !held->ended; i++) {
        held->ended = !add_next(cx, wa, difference, part);
    }
    if (held->ended) {
        add_end(cx, held, difference, part);
    }
    return part;
}

/* The application did not take it in. */
static enum outcome refused(struct rollcall_context *cx, const struct watcher *wa,
                            const struct rollcall_error *error)
{
    if (rollcall_status_class(error->status) == ROLLCALL_RETRY) {
        if (wa->again_ms == 0) { /* said once, however often it is told again */
            rollcall_log(cx, ROLLCALL_WARN, "sessions were not taken in, and are told again: %s",
                         error->text);
        }
        return NO_ROOM;
    }
    struct rollcall_reason *reason = rollcall_reason_create(error);
    if (reason == NULL) {
        return NO_ROOM;
    }
    rollcall_object_drop(wa->held->failure == NULL ? NULL : &wa->held->failure->object);
    wa->held->failure = reason;
    wa->held->refused = true;
    return REFUSED;
}

/* All there is after it, at once. */
static enum outcome tell_all(struct rollcall_context *cx, const struct watcher *wa,
                             const struct hub_difference *difference)
{
    const struct rollcall_watch_event why = {.type = ROLLCALL_WATCH_RESYNC_BEGIN,
                                             .at_ms = rollcall_wall_ms(cx),
                                             .revision = difference->after->revision,
                                             .skipped = difference->after->skipped,
                                             .status = difference->status,
                                             .reason = difference->words};
    struct rollcall_error error = {0};
    struct hub_batch *sessions = watcher_sessions(wa->options->filter, difference->after);
    if (sessions == NULL) {
        return NO_ROOM;
    }
    const enum rollcall_status status =
        wa->options->tell_all(wa->options->handle, &why, sessions, &error);
    rollcall_object_drop(&sessions->object);
    return status == ROLLCALL_OK ? DONE : refused(cx, wa, &error);
}

/* One part of it, or all there is; *more: it goes on. */
static enum outcome tell_part(struct rollcall_context *cx, const struct watcher *wa,
                              const struct hub_difference *difference, bool *more)
{
    struct watcher_handover *held = wa->held;
    if (wa->options->tell_all != NULL && held->snapshot_told && difference->whole) {
        return tell_all(cx, wa, difference);
    }
    if (held->part == NULL && (held->part = make_part(cx, wa, difference)) == NULL) {
        return NO_ROOM;
    }
    if (!offer(wa, held->part, 0, held->part->count)) {
        return NO_ROOM;
    }
    rollcall_object_drop(&held->part->object);
    held->part = NULL;
    *more = !held->ended;
    if (held->ended) {
        held->walk = (struct rollcall__roster_walk){0};
        held->begun = held->ended = false;
        held->told = 0;
        held->snapshot_told = true;
    }
    return DONE;
}

/* ---- in turn ---- */

/* Tells the hub what was told, by the lump; what it cannot be told now it is the next time. */
static void settle(struct rollcall_context *cx, struct watcher_handover *held, uint64_t lump)
{
    const struct hub_credit credit = {.told = held->next - held->count, .place = held->place};
    if (credit.told < held->credited + lump) {
        return;
    }
    if (rollcall_send(cx, held->hub, HUB_CREDIT, &credit, sizeof credit) == ROLLCALL_OK) {
        held->credited = credit.told;
    } else {
        rollcall_timer_set(cx, WATCHER_AGAIN, rollcall_now_ms(cx) + AGAIN_MS);
    }
}

/* The first that waits is told. */
static void pop(struct rollcall_context *cx, const struct watcher *wa)
{
    struct watcher_handover *held = wa->held;
    struct rollcall_object *first = held->waiting[held->head];
    if (wa->options->meter != NULL) {
        rollcall__gauge_set(&wa->options->meter->through, hub_through(first));
    }
    rollcall_object_drop(first);
    held->head = (held->head + 1) % HUB_WINDOW;
    held->count--;
    settle(cx, held, CREDIT_LUMP);
}

/* This watcher, or the hub, was restarted, and may have lost what it was about to take in. */
static void ask_again(struct rollcall_context *cx, struct watcher *wa)
{
    const struct hub_repeat repeat = {.next = wa->held->next};
    wa->asking =
        !rollcall_ref_is_nobody(wa->held->hub) &&
        rollcall_send(cx, wa->held->hub, HUB_REPEAT, &repeat, sizeof repeat) != ROLLCALL_OK;
    if (wa->asking) {
        rollcall_timer_set(cx, WATCHER_AGAIN, rollcall_now_ms(cx) + AGAIN_MS);
    }
}

/* The last that is told.  Out of memory, or no room: later. */
static enum outcome tell_failure(struct rollcall_context *cx, const struct watcher *wa)
{
    struct rollcall_reason *reason = wa->held->failure;
    const struct rollcall_watch_event event = {.type = ROLLCALL_WATCH_FAILED,
                                               .at_ms = rollcall_wall_ms(cx),
                                               .status = reason->error.status};
    struct hub_batch *batch = hub_batch_create();
    bool told = false;
    if (batch != NULL && hub_batch_reserve(batch, 1)) {
        rollcall_object_keep(&reason->object);
        hub_batch_mark(batch, &event, reason);
        told = offer(wa, batch, 0, 1);
    }
    if (batch != NULL) {
        rollcall_object_drop(&batch->object);
    }
    return told ? DONE : NO_ROOM;
}

/* The rest of a long difference gives way to others. */
static void go_on_later(struct rollcall_context *cx, struct watcher *wa)
{
    if (!wa->going_on) {
        wa->going_on = rollcall_send(cx, rollcall_self(cx), WATCHER_GO_ON, NULL, 0) == ROLLCALL_OK;
    }
    if (!wa->going_on) {
        rollcall_timer_set(cx, WATCHER_AGAIN, rollcall_now_ms(cx) + AGAIN_MS);
    }
}

/* Thousands may wait, for one who reads seldom. */
static void wait_for_room(struct rollcall_context *cx, struct watcher *wa)
{
    const int64_t twice_ms = wa->again_ms == 0 ? AGAIN_MS : 2 * wa->again_ms;
    wa->again_ms = twice_ms < AGAIN_MAX_MS ? twice_ms : AGAIN_MAX_MS;
    rollcall_timer_set(cx, WATCHER_AGAIN, rollcall_now_ms(cx) + wa->again_ms);
}

/* Tells what waits, as far as there is room. */
static int pump(struct rollcall_context *cx, struct watcher *wa)
{
    struct watcher_handover *held = wa->held;
    enum outcome outcome = DONE;
    bool more = false;
    while (held->count > 0 && outcome == DONE && !more && !held->refused) {
        struct rollcall_object *first = held->waiting[held->head];
        outcome = hub_is_difference(first)
                      ? tell_part(cx, wa, (const struct hub_difference *)first, &more)
                      : tell_batch(wa, (struct hub_batch *)first);
        wa->again_ms = outcome == DONE ? 0 : wa->again_ms;
        if (outcome == DONE && !more) {
            pop(cx, wa);
            held->over = wa->options->once && held->snapshot_told;
        }
        if (held->over) {
            return OVER;
        }
    }
    if (outcome != NO_ROOM && !more && held->failure != NULL &&
        (outcome = tell_failure(cx, wa)) == DONE) {
        held->over = true;
        if (held->refused) { /* the hub goes on, without this one */
            rollcall_stop(cx, rollcall_self(cx));
        }
        return OVER;
    }
    if (outcome == NO_ROOM) {
        wait_for_room(cx, wa);
        return ROLLCALL_STAY;
    }
    if (more) {
        go_on_later(cx, wa);
    }
    return ROLLCALL_STAY;
}

static int on_delivery(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct watcher *wa = self;
    struct watcher_handover *held = wa->held;
    const struct watcher_delivery *delivery = message->payload;
    held->hub = message->from.ref;
    held->place = delivery->place;
    if (delivery->number != held->next) {
        if (delivery->number > held->next) { /* one was lost: it comes again, and this too */
            ask_again(cx, wa);
        }
        return ROLLCALL_STAY;
    }
    if (held->count == HUB_WINDOW) {
        return rollcall_fail(cx, ROLLCALL_E_ACTOR, "the hub broke the window");
    }
    held->next++;
    held->waiting[(held->head + held->count++) % HUB_WINDOW] =
        rollcall_object_keep(message->object);
    return pump(cx, wa);
}

static int on_failed(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct watcher *wa = self;
    if (wa->held->failure == NULL) { /* a hub that was restarted says so again */
        wa->held->failure = (struct rollcall_reason *)rollcall_object_keep(message->object);
    }
    return pump(cx, wa);
}

static int on_where(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct watcher *wa = self;
    wa->held->hub = message->from.ref;
    settle(cx, wa->held, 0);
    ask_again(cx, wa);
    return ROLLCALL_STAY;
}

static int on_go_on(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct watcher *wa = self;
    (void)message;
    wa->going_on = false;
    return pump(cx, wa);
}

static void join(struct rollcall_context *cx, const struct watcher *wa)
{
    if (!rollcall_ref_is_nobody(wa->options->hub)) {
        struct hub_watcher_meter *meter = wa->options->meter;
        const bool sent =
            rollcall_send_object(cx, wa->options->hub, HUB_JOIN, NULL, 0,
                                 meter == NULL ? NULL : rollcall_object_keep(&meter->object)) ==
            ROLLCALL_OK;
        rollcall_timer_set(cx, WATCHER_AGAIN, rollcall_now_ms(cx) + (sent ? JOIN_MS : AGAIN_MS));
    }
}

static int on_again(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct watcher *wa = self;
    (void)message;
    if (wa->held->next == 0) {
        join(cx, wa);
    }
    if (wa->asking) {
        ask_again(cx, wa);
    }
    settle(cx, wa->held, CREDIT_LUMP);
    return pump(cx, wa);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct watcher *wa = self;
    wa->options = options;
    wa->held = rollcall_handover(cx);
    if (rollcall_epoch(cx) == 1) {
        wa->held->snapshot_told = wa->options->from_now;
    }
    if (rollcall_epoch(cx) > 1 && wa->options->is_closed(wa->options->handle)) {
        rollcall_stop(cx, rollcall_self(cx));
    }
    if (wa->held->over) {
        return OVER;
    }
    if (wa->held->next == 0) {
        join(cx, wa);
    }
    settle(cx, wa->held, CREDIT_LUMP);
    const int next = pump(cx, wa);
    return next == ROLLCALL_STAY ? TELLING : next;
}

static void handover_fini(void *handover)
{
    struct watcher_handover *held = handover;
    for (uint32_t i = 0; i < held->count; i++) {
        rollcall_object_drop(held->waiting[(held->head + i) % HUB_WINDOW]);
    }
    if (held->part != NULL) {
        rollcall_object_drop(&held->part->object);
    }
    if (held->failure != NULL) {
        rollcall_object_drop(&held->failure->object);
    }
}

static void options_fini(void *options)
{
    struct watcher_options *o = options;
    o->gone(o->handle);
    rollcall_object_drop(o->handle);
    rollcall_object_drop(o->filter == NULL ? NULL : &o->filter->object);
    rollcall_object_drop(o->meter == NULL ? NULL : &o->meter->object);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"TELLING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(WATCHER_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(WATCHER_LIST);

const struct rollcall_actor_type watcher_type = {
    .name = "watcher",
    .self_size_bytes = sizeof(struct watcher),
    .options_size_bytes = sizeof(struct watcher_options),
    .handover_size_bytes = sizeof(struct watcher_handover),
    .init = init,
    .handover_fini = handover_fini,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = WATCHER_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

/* tests/support/fake_etcd.c - the actor: calls, renewals, watches; see fake_etcd.h. */
#include "support/fake_etcd.h"

#include "base/memory.h"

#include "base/buffer.h"

#include <stdlib.h>

enum { PUMP = TRANSPORT_COUNT, MESSAGE_COUNT };

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

/* ---- the actor: calls and renewals ---- */

/* What a write has changed is told to those who watch, before or after the writer's answer. */
static void pump_soon(struct rollcall_context *cx, struct fake_etcd *etcd)
{
    if (!etcd->pumping && rollcall_send(cx, etcd->ref, PUMP, NULL, 0) != ROLLCALL_OK) {
        fake_etcd__give_up("its own mailbox is full");
    }
    etcd->pumping = true;
}

static int answer_call(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    const struct transport_call *call = message->payload;
    const struct transport_request *request = (const struct transport_request *)message->object;
    const int64_t revision = etcd->revision;
    etcd->asker = message->from.ref;
    const enum fake_etcd_fate fate = etcd->away             ? FAKE_ETCD_REFUSE
                                     : etcd->decide == NULL ? FAKE_ETCD_ANSWER
                                                            : etcd->decide(etcd, request);
    struct transport_result *result = NULL;
    etcd->calls++;
    switch (fate) {
    case FAKE_ETCD_ANSWER:
        result = fake_etcd__perform(etcd, request);
        break;
    case FAKE_ETCD_LOSE_ANSWER:
        rollcall_object_drop(&fake_etcd__perform(etcd, request)->object);
        result = fake_etcd__fail(request, ROLLCALL_E_TIMEOUT);
        result->error.maybe_applied = true;
        break;
    case FAKE_ETCD_REFUSE:
        result = fake_etcd__fail(request, etcd->away || etcd->refusal == ROLLCALL_OK
                                              ? ROLLCALL_E_UNAVAILABLE
                                              : etcd->refusal);
        break;
    case FAKE_ETCD_SILENT:
        break;
    }
    if (etcd->revision != revision) {
        pump_soon(cx, etcd);
    }
    if (result == NULL) {
        return ROLLCALL_STAY;
    }
    const struct transport_answer answer = {.id = call->id, .status = result->error.status};
    if (rollcall_reply(cx, message->from, call->answer, &answer, sizeof answer, &result->object) !=
        ROLLCALL_OK) {
        fake_etcd__give_up("an asker holds more requests than its mailbox");
    }
    return ROLLCALL_STAY;
}

/* Where the memory of actors fails on purpose, its own does not. */
static int on_call(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct rollcall__memory_hook hook =
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    const int next = answer_call(cx, self, message);
    rollcall__memory_hook(hook);
    return next;
}

static int on_keepalive(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    const struct transport_keepalive *asked = message->payload;
    const struct transport_keepalive_answer answer = {
        .lease_id = asked->lease_id,
        .ttl_s = fake_etcd__lease_ttl_s(etcd, asked->lease_id),
        .sent_ms = rollcall_now_ms(cx),
        .status = etcd->away || etcd->renews_nothing ? ROLLCALL_E_UNAVAILABLE : ROLLCALL_OK};
    etcd->renewals++;
    etcd->renewer = message->from.ref;
    if (rollcall_reply(cx, message->from, asked->answer, &answer, sizeof answer, NULL) !=
        ROLLCALL_OK) {
        fake_etcd__give_up("an asker does not read its renewals");
    }
    return ROLLCALL_STAY;
}

/* ---- the actor: watches ---- */

struct response {
    struct transport_watch_response response; /* must be first */
    struct transport_event events[];
};

static void send_response(struct rollcall_context *cx, struct fake_etcd *etcd,
                          struct fake_etcd_watch *watch, struct response *response)
{
    struct transport_watch_response *what = &response->response;
    const struct transport_watch_answer answer = {.watch_id = watch->watch_id,
                                                  .status = what->error.status};
    what->revision = etcd->revision;
    what->events = response->events;
    watch->unacknowledged++;
    if (watch->unacknowledged > etcd->unacknowledged_max) {
        etcd->unacknowledged_max = watch->unacknowledged;
    }
    if (what->canceled || what->error.status != ROLLCALL_OK) {
        watch->open = false;
    }
    if (rollcall_reply(cx, watch->asker, watch->answer, &answer, sizeof answer, &what->object) !=
        ROLLCALL_OK) {
        fake_etcd__give_up("a watcher's mailbox does not hold the window");
    }
}

static struct response *create_response(size_t events)
{
    struct response *response =
        fake_etcd__need(calloc(1, sizeof *response + events * sizeof response->events[0]));
    rollcall_object_init(&response->response.object, destroy_block);
    return response;
}

static void open_or_cancel(struct rollcall_context *cx, struct fake_etcd *etcd,
                           struct fake_etcd_watch *watch)
{
    struct response *response = create_response(0);
    response->response.created = true;
    if (watch->next_revision < etcd->compacted) {
        response->response.canceled = true;
        response->response.compact_revision = etcd->compacted;
    }
    watch->created = true;
    send_response(cx, etcd, watch, response);
}

static void add_event(const struct fake_etcd *etcd, const struct fake_etcd_watch *watch,
                      struct response *response, const struct transport_event *event)
{
    struct transport_event *copy = &response->events[response->response.event_count++];
    const struct transport_kv *before =
        fake_etcd_find_at(etcd, event->kv.key, event->kv.mod_revision - 1);
    *copy = *event;
    copy->has_prev_kv = before != NULL && watch->range->prev_kv && !etcd->forgets_previous;
    if (copy->has_prev_kv) {
        copy->prev_kv = *before;
    }
}

/* The changes from `first` on, whole revisions, `revisions_max` of them at most; *last: the last
 * one, 0 if there is none. */
static struct response *collect(const struct fake_etcd *etcd, const struct fake_etcd_watch *watch,
                                int64_t first, size_t revisions_max, int64_t *last)
{
    struct response *response = create_response(etcd->history_count);
    size_t revisions = 0;
    *last = 0;
    for (size_t i = 0; i < etcd->history_count; i++) {
        const struct transport_event *event = &etcd->history[i];
        if (event->kv.mod_revision < first || event->kv.mod_revision == etcd->hidden_revision ||
            !fake_etcd__in_range(watch->range, event->kv.key)) {
            continue;
        }
        if (event->kv.mod_revision != *last && revisions++ == revisions_max) {
            break;
        }
        *last = event->kv.mod_revision;
        add_event(etcd, watch, response, event);
    }
    return response;
}

/* What it has not told yet; when it repeats itself, then the first revision of that again.  NULL:
 * nothing. */
static struct response *next_response(const struct fake_etcd *etcd, struct fake_etcd_watch *watch)
{
    const size_t revisions_max =
        etcd->revisions_per_response == 0 ? 1 : etcd->revisions_per_response;
    const bool again = etcd->repeats && watch->repeat_revision != 0;
    int64_t last;
    struct response *response =
        collect(etcd, watch, again ? watch->repeat_revision : watch->next_revision,
                again ? 1 : revisions_max, &last);
    watch->repeat_revision = again || last == 0 ? 0 : response->events[0].kv.mod_revision;
    if (last == 0) {
        rollcall_object_drop(&response->response.object);
        return NULL;
    }
    watch->next_revision = last + 1 > watch->next_revision ? last + 1 : watch->next_revision;
    return response;
}

static void pump_watch(struct rollcall_context *cx, struct fake_etcd *etcd,
                       struct fake_etcd_watch *watch)
{
    struct response *response;
    if (watch->open && (etcd->break_with != ROLLCALL_OK || etcd->away)) {
        response = create_response(0);
        rollcall_error_set(&response->response.error,
                           etcd->away ? ROLLCALL_E_UNAVAILABLE : etcd->break_with,
                           "the fake etcd ends the watch");
        send_response(cx, etcd, watch, response);
    }
    if (watch->open && !watch->created) {
        open_or_cancel(cx, etcd, watch);
    }
    while (watch->open && watch->unacknowledged < watch->window &&
           (response = next_response(etcd, watch)) != NULL) {
        send_response(cx, etcd, watch, response);
    }
}

static int on_pump(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    (void)message;
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        pump_watch(cx, etcd, &etcd->watches[i]);
    }
    etcd->break_with = ROLLCALL_OK;
    etcd->pumping = false;
    return ROLLCALL_STAY;
}

/* The watch of an asker, or a free place for one. */
static struct fake_etcd_watch *find_watch(struct fake_etcd *etcd, struct rollcall_ref asker,
                                          uint64_t watch_id)
{
    struct fake_etcd_watch *place = NULL;
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        struct fake_etcd_watch *watch = &etcd->watches[i];
        if (watch->open && rollcall_ref_equal(watch->asker.ref, asker) &&
            watch->watch_id == watch_id) {
            return watch;
        }
        place = watch->open ? place : watch;
    }
    return place;
}

static int on_watch(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    const struct transport_watch *asked = message->payload;
    struct fake_etcd_watch *watch = find_watch(etcd, message->from.ref, asked->watch_id);
    if (watch == NULL) {
        fake_etcd__give_up("too many watches");
    }
    if (watch->range != NULL) {
        rollcall_object_drop(&watch->range->object);
    }
    *watch = (struct fake_etcd_watch){
        .open = true,
        .asker = message->from,
        .watch_id = asked->watch_id,
        .window = asked->window != 0 ? asked->window : TRANSPORT_WATCH_WINDOW,
        .answer = asked->answer,
        .range = (struct transport_range *)rollcall_object_keep(message->object)};
    watch->next_revision = watch->range->revision;
    etcd->watch_revision = watch->range->revision;
    etcd->watches_opened++;
    rollcall_monitor(cx, message->from.ref);
    pump_watch(cx, etcd, watch);
    return ROLLCALL_STAY;
}

static int on_watch_ack(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    const struct transport_watch_id *ack = message->payload;
    struct fake_etcd_watch *watch = find_watch(etcd, message->from.ref, ack->watch_id);
    if (watch != NULL && watch->open && watch->asker.epoch == message->from.epoch) {
        if (watch->unacknowledged-- == 0) {
            fake_etcd__give_up("a response was acknowledged twice");
        }
        pump_watch(cx, etcd, watch);
    }
    return ROLLCALL_STAY;
}

static int on_watch_cancel(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    const struct transport_watch_id *cancel = message->payload;
    struct fake_etcd_watch *watch =
        find_watch(*(struct fake_etcd **)self, message->from.ref, cancel->watch_id);
    (void)cx;
    if (watch != NULL) {
        watch->open = false;
    }
    return ROLLCALL_STAY;
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct fake_etcd *etcd = *(struct fake_etcd **)self;
    const struct rollcall_down *down = message->payload;
    (void)cx;
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        struct fake_etcd_watch *watch = &etcd->watches[i];
        if (watch->range != NULL && rollcall_ref_equal(watch->asker.ref, down->who) &&
            watch->asker.epoch == down->epoch) {
            rollcall_object_drop(&watch->range->object);
            *watch = (struct fake_etcd_watch){.open = false};
        }
    }
    return ROLLCALL_STAY;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    *(struct fake_etcd **)self = *(struct fake_etcd *const *)options;
    return 0;
}

#define ALL(X) TRANSPORT_LIST(X) X(FAKE_ETCD_PUMP, 0)
static const struct rollcall_cell TABLE[MESSAGE_COUNT] = {
    [ROLLCALL_DOWN] = {on_down, 0},
    [TRANSPORT_CALL] = {on_call, 0},
    [TRANSPORT_KEEPALIVE] = {on_keepalive, 0},
    [TRANSPORT_WATCH] = {on_watch, 0},
    [TRANSPORT_WATCH_ACK] = {on_watch_ack, 0},
    [TRANSPORT_WATCH_CANCEL] = {on_watch_cancel, 0},
    [PUMP] = {on_pump, 0},
};
static const char *const STATES[] = {"HERE"};
static const char *const NAMES[] = ROLLCALL_MESSAGE_NAMES(ALL);
static const uint16_t SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALL);
static const struct rollcall_actor_type FAKE_ETCD = {
    .name = "fake_etcd",
    .self_size_bytes = sizeof(struct fake_etcd *),
    .options_size_bytes = sizeof(struct fake_etcd *),
    .init = init,
    .state_count = 1,
    .message_count = MESSAGE_COUNT,
    .state_names = STATES,
    .message_names = NAMES,
    .payload_sizes = SIZES,
    .table = TABLE,
};

struct fake_etcd *fake_etcd_create(void)
{
    struct fake_etcd *etcd = fake_etcd__need(calloc(1, sizeof *etcd));
    etcd->revision = 1; /* as an etcd that holds nothing */
    return etcd;
}

void fake_etcd_destroy(struct fake_etcd *etcd)
{
    if (etcd == NULL) {
        return;
    }
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        if (etcd->watches[i].range != NULL) {
            rollcall_object_drop(&etcd->watches[i].range->object);
        }
    }
    rollcall__arena_free(&etcd->arena);
    free(etcd->history);
    free(etcd->keys);
    free(etcd);
}

struct rollcall_ref fake_etcd_spawn(struct fake_etcd *etcd, struct rollcall_runtime *rt,
                                    uint32_t worker)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (rollcall_runtime_spawn(
            rt, worker, ROLLCALL_SPAWN_OPTIONS(.type = &FAKE_ETCD, .options = (const void *)&etcd),
            &etcd->ref, &error) != ROLLCALL_OK) {
        fake_etcd__give_up(error.text);
    }
    return etcd->ref;
}

void fake_etcd_pump(struct fake_etcd *etcd, struct rollcall_runtime *rt)
{
    if (rollcall_runtime_send(rt, etcd->ref, PUMP, NULL, 0, NULL) != ROLLCALL_OK) {
        fake_etcd__give_up("the application's lane is full: settle between pumps");
    }
}

void fake_etcd_lose(struct fake_etcd *etcd)
{
    for (size_t i = 0; i < FAKE_ETCD_WATCHES_MAX; i++) {
        etcd->watches[i].next_revision = etcd->revision + 1;
    }
}

void fake_etcd_break(struct fake_etcd *etcd, struct rollcall_runtime *rt,
                     enum rollcall_status status)
{
    etcd->break_with = status;
    fake_etcd_pump(etcd, rt);
}

/*
 * transport - one link of a process to the simulated etcd; what src/etcd's channel is to gRPC.
 *
 * It remembers who asked what, and answers each once: with what the network brings, or with
 * E_TIMEOUT at the deadline, or with E_UNAVAILABLE when the connection is lost.  It has one state.
 * Invariant: what is not in its tables has been answered, or its asker has ended.
 */
#include "sim/transport.h"

#include "base/assert.h"
#include "transport/request.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 5000, SILENCE_MS = 2000 };

struct asked {
    uint64_t token;
    struct rollcall_caller from;
    struct transport_call call;
    enum transport_kind kind;
    int64_t deadline_ms;
};

struct renewal {
    uint64_t token;
    struct rollcall_caller from;
    struct transport_keepalive asked;
    int64_t sent_ms;
};

struct watch {
    uint64_t token;
    struct rollcall_caller from;
    struct transport_watch asked;
    struct transport_watch_response *partial; /* fragments so far; NULL: none */
    uint32_t unacknowledged;
};

/* A table of one of them, in the order they were asked. */
struct table {
    void *rows;
    size_t row_bytes, count, capacity;
};

struct transport_options {
    struct rollcall__net *net;
    uint32_t link;
};

struct transport {
    struct rollcall__net *net;
    uint32_t link;
    uint64_t token;
    struct table calls, renewals, watches;
};

static rollcall_handler_fn on_call, on_answered, on_keepalive, on_renewed, on_watch, on_responded,
    on_watch_ack, on_watch_cancel, on_broken, on_due, on_down;

static const struct rollcall_cell TABLE[SIM_COUNT] = {
    [ROLLCALL_DOWN] = {on_down, 0},
    [TRANSPORT_CALL] = {on_call, 0},
    [TRANSPORT_KEEPALIVE] = {on_keepalive, 0},
    [TRANSPORT_WATCH] = {on_watch, 0},
    [TRANSPORT_WATCH_ACK] = {on_watch_ack, 0},
    [TRANSPORT_WATCH_CANCEL] = {on_watch_cancel, 0},
    [SIM_ANSWERED] = {on_answered, 0},
    [SIM_RENEWED] = {on_renewed, 0},
    [SIM_RESPONDED] = {on_responded, 0},
    [SIM_BROKEN] = {on_broken, 0},
    [SIM_DUE] = {on_due, 0},
};

/* ---- tables ---- */

/* Every row begins with its token. */
static void *add(struct table *table, size_t row_bytes, const void *row)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 8 : 2 * table->capacity;
        table->rows = realloc(table->rows, table->capacity * row_bytes);
        ROLLCALL_ASSERT(table->rows != NULL);
    }
    table->row_bytes = row_bytes;
    return memcpy((char *)table->rows + table->count++ * row_bytes, row, row_bytes);
}

static void *row_at(const struct table *table, size_t index)
{
    return (char *)table->rows + index * table->row_bytes;
}

static void *find(const struct table *table, uint64_t token)
{
    for (size_t i = 0; i < table->count; i++) {
        if (memcmp(row_at(table, i), &token, sizeof token) == 0) {
            return row_at(table, i);
        }
    }
    return NULL;
}

static void take_off(struct table *table, void *row)
{
    char *after = (char *)row + table->row_bytes;
    table->count--;
    memmove(row, after, (size_t)((char *)row_at(table, table->count) + table->row_bytes - after));
}

/* ---- calls ---- */

static void set_due(struct rollcall_context *cx, const struct transport *tr)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < tr->calls.count; i++) {
        const struct asked *asked = row_at(&tr->calls, i);
        due_ms = asked->deadline_ms < due_ms ? asked->deadline_ms : due_ms;
    }
    if (tr->renewals.count > 0) {
        const struct renewal *first = row_at(&tr->renewals, 0);
        const int64_t silence_ms = first->sent_ms + SILENCE_MS;
        due_ms = silence_ms < due_ms ? silence_ms : due_ms;
    }
    if (due_ms == INT64_MAX) {
        rollcall_timer_cancel(cx, SIM_DUE);
    } else {
        rollcall_timer_set(cx, SIM_DUE, due_ms);
    }
}

static int on_call(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct transport *tr = self;
    const struct transport_call *call = message->payload;
    struct transport_request *request = (struct transport_request *)message->object;
    const int64_t timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : CALL_TIMEOUT_MS;
    const struct asked asked = {.token = ++tr->token,
                                .from = message->from,
                                .call = *call,
                                .kind = request->kind,
                                .deadline_ms = rollcall_now_ms(cx) + timeout_ms};
    add(&tr->calls, sizeof asked, &asked);
    rollcall__net_ask(tr->net, tr->link, asked.token, request);
    set_due(cx, tr);
    return ROLLCALL_STAY;
}

/* result: moved. */
static void answer(struct rollcall_context *cx, struct transport *tr, struct asked *asked,
                   struct transport_result *result)
{
    const struct transport_answer payload = {.id = asked->call.id, .status = result->error.status};
    const struct asked was = *asked;
    take_off(&tr->calls, asked);
    const enum rollcall_status status =
        rollcall_reply(cx, was.from, was.call.answer, &payload, sizeof payload, &result->object);
    ROLLCALL_ASSERT(status == ROLLCALL_OK); /* else it asks for more than its mailbox holds */
}

static struct transport_result *failed(const struct asked *asked, enum rollcall_status status,
                                       const char *text)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, status, "%s", text);
    error.maybe_applied = true;
    struct transport_result *result = transport_result_error(asked->kind, &error);
    ROLLCALL_ASSERT(result != NULL);
    return result;
}

static int on_answered(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct transport *tr = self;
    struct asked *asked = find(&tr->calls, ((const struct sim_answered *)message->payload)->token);
    if (asked != NULL) { /* else its deadline was earlier */
        answer(cx, tr, asked, (struct transport_result *)rollcall_object_keep(message->object));
        set_due(cx, tr);
    }
    return ROLLCALL_STAY;
}

/* ---- renewals ---- */

static struct renewal *find_renewal(const struct transport *tr, int64_t lease_id,
                                    struct rollcall_ref from)
{
    for (size_t i = 0; i < tr->renewals.count; i++) {
        struct renewal *renewal = row_at(&tr->renewals, i);
        if (renewal->asked.lease_id == lease_id && rollcall_ref_equal(renewal->from.ref, from)) {
            return renewal;
        }
    }
    return NULL;
}

static int on_keepalive(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct transport *tr = self;
    const struct transport_keepalive *asked = message->payload;
    struct renewal *outstanding = find_renewal(tr, asked->lease_id, message->from.ref);
    if (outstanding != NULL) { /* one answer serves both */
        outstanding->from = message->from;
        outstanding->asked = *asked;
        return ROLLCALL_STAY;
    }
    const struct renewal renewal = {.token = ++tr->token,
                                    .from = message->from,
                                    .asked = *asked,
                                    .sent_ms = rollcall_now_ms(cx)};
    add(&tr->renewals, sizeof renewal, &renewal);
    rollcall__net_renew(tr->net, tr->link, renewal.token, asked->lease_id);
    set_due(cx, tr);
    return ROLLCALL_STAY;
}

static void answer_renewal(struct rollcall_context *cx, struct transport *tr,
                           struct renewal *renewal, int64_t ttl_s, enum rollcall_status status)
{
    const struct transport_keepalive_answer payload = {.lease_id = renewal->asked.lease_id,
                                                       .ttl_s = ttl_s,
                                                       .sent_ms = renewal->sent_ms,
                                                       .status = status};
    const struct renewal was = *renewal;
    take_off(&tr->renewals, renewal);
    const enum rollcall_status sent =
        rollcall_reply(cx, was.from, was.asked.answer, &payload, sizeof payload, NULL);
    ROLLCALL_ASSERT(sent == ROLLCALL_OK);
}

static int on_renewed(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct transport *tr = self;
    const struct sim_renewed *renewed = message->payload;
    struct renewal *renewal = find(&tr->renewals, renewed->token);
    if (renewal != NULL) { /* else etcd has answered twice, or too late */
        answer_renewal(cx, tr, renewal, renewed->ttl_s, renewed->status);
        set_due(cx, tr);
    }
    return ROLLCALL_STAY;
}

static void fail_renewals(struct rollcall_context *cx, struct transport *tr)
{
    while (tr->renewals.count > 0) {
        answer_renewal(cx, tr, row_at(&tr->renewals, 0), 0, ROLLCALL_E_UNAVAILABLE);
    }
}

/* ---- watches ---- */

struct block {
    struct transport_watch_response response; /* must be first */
    struct transport_event events[];
};

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

static struct block *create_block(size_t events)
{
    struct block *block = calloc(1, sizeof *block + events * sizeof block->events[0]);
    if (block != NULL) {
        rollcall_object_init(&block->response.object, destroy_block);
    }
    return block;
}

struct transport_watch_response *rollcall__sim_watch_failed(enum rollcall_status status,
                                                            const char *text)
{
    struct block *block = create_block(0);
    if (block == NULL) {
        return NULL;
    }
    rollcall_error_set(&block->response.error, status, "%s", text);
    return &block->response;
}

/* The fragments so far and one more, as one; both: moved.  Keys and values stay etcd's. */
static struct transport_watch_response *join(struct transport_watch_response *before,
                                             struct transport_watch_response *more)
{
    struct block *block = create_block(before->event_count + more->event_count);
    ROLLCALL_ASSERT(block != NULL);
    struct transport_watch_response *joined = &block->response;
    if (before->event_count > 0) {
        memcpy(block->events, before->events, before->event_count * sizeof block->events[0]);
    }
    if (more->event_count > 0) {
        memcpy(block->events + before->event_count, more->events,
               more->event_count * sizeof block->events[0]);
    }
    joined->events = block->events;
    joined->event_count = before->event_count + more->event_count;
    joined->revision = more->revision;
    joined->created = before->created;
    rollcall_object_drop(&before->object);
    rollcall_object_drop(&more->object);
    return joined;
}

static struct watch *find_watch(const struct transport *tr, struct rollcall_ref from, uint64_t id)
{
    for (size_t i = 0; i < tr->watches.count; i++) {
        struct watch *watch = row_at(&tr->watches, i);
        if (rollcall_ref_equal(watch->from.ref, from) && watch->asked.watch_id == id) {
            return watch;
        }
    }
    return NULL;
}

/* Without a word to the asker. */
static void forget(struct transport *tr, struct watch *watch)
{
    rollcall__net_watch_cancel(tr->net, tr->link, watch->token);
    if (watch->partial != NULL) {
        rollcall_object_drop(&watch->partial->object);
    }
    take_off(&tr->watches, watch);
}

static int on_watch(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct transport *tr = self;
    const struct transport_watch *asked = message->payload;
    struct watch *old = find_watch(tr, message->from.ref, asked->watch_id);
    if (old != NULL) {
        ROLLCALL_ASSERT(old->from.epoch != message->from.epoch); /* opened twice */
        forget(tr, old); /* of an incarnation whose end is not told yet */
    }
    const struct watch watch = {.token = ++tr->token, .from = message->from, .asked = *asked};
    add(&tr->watches, sizeof watch, &watch);
    rollcall_monitor(cx, message->from.ref);
    rollcall__net_watch(tr->net, tr->link, watch.token, (struct transport_range *)message->object);
    return ROLLCALL_STAY;
}

/* response: moved. */
static void respond(struct rollcall_context *cx, struct transport *tr, struct watch *watch,
                    struct transport_watch_response *response)
{
    const struct transport_watch_answer payload = {.watch_id = watch->asked.watch_id,
                                                   .status = response->error.status};
    const struct rollcall_caller from = watch->from;
    const uint16_t type = watch->asked.answer;
    if (response->canceled || response->error.status != ROLLCALL_OK) {
        forget(tr, watch);
    } else {
        watch->unacknowledged++;
        ROLLCALL_ASSERT(watch->unacknowledged <= TRANSPORT_WATCH_WINDOW);
    }
    const enum rollcall_status sent =
        rollcall_reply(cx, from, type, &payload, sizeof payload, &response->object);
    ROLLCALL_ASSERT(sent == ROLLCALL_OK); /* else its mailbox does not hold the window */
}

static int on_responded(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct transport *tr = self;
    struct watch *watch =
        find(&tr->watches, ((const struct sim_answered *)message->payload)->token);
    if (watch == NULL) {
        return ROLLCALL_STAY; /* cancelled meanwhile */
    }
    struct transport_watch_response *response =
        (struct transport_watch_response *)rollcall_object_keep(message->object);
    const bool more = response->fragment;
    if (watch->partial != NULL) {
        response = join(watch->partial, response);
    }
    watch->partial = more ? response : NULL;
    if (!more) {
        respond(cx, tr, watch, response);
    }
    return ROLLCALL_STAY;
}

/* The watch that the message is about; NULL: it is another incarnation's, or no more. */
static struct watch *watch_of(const struct transport *tr, const struct rollcall_message *message)
{
    const struct transport_watch_id *id = message->payload;
    struct watch *watch = find_watch(tr, message->from.ref, id->watch_id);
    return watch != NULL && watch->from.epoch == message->from.epoch ? watch : NULL;
}

static int on_watch_ack(struct rollcall_context *cx, void *self,
                        const struct rollcall_message *message)
{
    struct transport *tr = self;
    struct watch *watch = watch_of(tr, message);
    (void)cx;
    if (watch != NULL) {
        ROLLCALL_ASSERT(watch->unacknowledged > 0); /* acknowledged twice */
        watch->unacknowledged--;
        rollcall__net_watch_ack(tr->net, tr->link, watch->token);
    }
    return ROLLCALL_STAY;
}

static int on_watch_cancel(struct rollcall_context *cx, void *self,
                           const struct rollcall_message *message)
{
    struct transport *tr = self;
    struct watch *watch = watch_of(tr, message);
    (void)cx;
    if (watch != NULL) {
        forget(tr, watch);
    }
    return ROLLCALL_STAY;
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct transport *tr = self;
    const struct rollcall_down *down = message->payload;
    (void)cx;
    for (size_t i = tr->watches.count; i-- > 0;) {
        struct watch *watch = row_at(&tr->watches, i);
        if (rollcall_ref_equal(watch->from.ref, down->who) && watch->from.epoch == down->epoch) {
            forget(tr, watch);
        }
    }
    return ROLLCALL_STAY;
}

/* ---- trouble ---- */

static void fail_calls(struct rollcall_context *cx, struct transport *tr)
{
    while (tr->calls.count > 0) {
        struct asked *asked = row_at(&tr->calls, 0);
        answer(cx, tr, asked,
               failed(asked, ROLLCALL_E_UNAVAILABLE, "the simulated connection broke"));
    }
}

static void fail_watches(struct rollcall_context *cx, struct transport *tr)
{
    while (tr->watches.count > 0) {
        struct transport_watch_response *response =
            rollcall__sim_watch_failed(ROLLCALL_E_UNAVAILABLE, "the simulated stream broke");
        ROLLCALL_ASSERT(response != NULL);
        respond(cx, tr, row_at(&tr->watches, 0), response);
    }
}

static int on_broken(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    struct transport *tr = self;
    if (!((const struct sim_broken *)message->payload)->streams_only) {
        fail_calls(cx, tr);
    }
    fail_renewals(cx, tr);
    fail_watches(cx, tr);
    set_due(cx, tr);
    return ROLLCALL_STAY;
}

static int on_due(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct transport *tr = self;
    const int64_t now_ms = rollcall_now_ms(cx);
    (void)message;
    for (size_t i = 0; i < tr->calls.count;) {
        struct asked *asked = row_at(&tr->calls, i);
        if (asked->deadline_ms <= now_ms) {
            rollcall__net_blame(tr->net, tr->link);
            answer(cx, tr, asked,
                   failed(asked, ROLLCALL_E_TIMEOUT, "the simulated etcd did not answer in time"));
        } else {
            i++;
        }
    }
    if (tr->renewals.count > 0 &&
        ((struct renewal *)row_at(&tr->renewals, 0))->sent_ms + SILENCE_MS <= now_ms) {
        rollcall__net_blame(tr->net, tr->link);
        fail_renewals(cx, tr);
    }
    set_due(cx, tr);
    return ROLLCALL_STAY;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    const struct transport_options *o = options;
    struct transport *tr = self;
    (void)cx;
    tr->net = o->net;
    tr->link = o->link;
    return 0;
}

static void fini(void *self)
{
    struct transport *tr = self;
    while (tr->watches.count > 0) {
        forget(tr, row_at(&tr->watches, 0));
    }
    free(tr->calls.rows);
    free(tr->renewals.rows);
    free(tr->watches.rows);
}

static const char *const STATE_NAMES[] = {"HERE"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(SIM_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SIM_LIST);

const struct rollcall_actor_type rollcall__sim_transport_type = {
    .name = "transport",
    .self_size_bytes = sizeof(struct transport),
    .options_size_bytes = sizeof(struct transport_options),
    .init = init,
    .fini = fini,
    .state_count = 1,
    .message_count = SIM_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = TABLE,
};

enum rollcall_status rollcall__sim_transport_spawn(struct rollcall_runtime *rt, uint32_t worker,
                                                   struct rollcall__net *net, uint32_t link,
                                                   struct rollcall_ref *transport,
                                                   struct rollcall_error *error)
{
    const struct transport_options options = {.net = net, .link = link};
    return rollcall_runtime_spawn(
        rt, worker,
        ROLLCALL_SPAWN_OPTIONS(.type = &rollcall__sim_transport_type, .options = &options),
        transport, error);
}

/*
 * channel/call.c - unary requests: started at once, or kept until there is a token, or, for
 * one that said wait_for_ready, a live connection; where there are several endpoints, every one
 * waits a moment for the first of them that is connected.  No more than IN_FLIGHT_MAX are sent
 * before one is answered; etcd refuses all proposals once it has accepted 5,000 that it has not
 * applied, and what it has accepted is ahead of every renewal.  What waits has certainly not been
 * sent, so it can go to any endpoint, and when its time runs out there is no doubt about its
 * outcome.
 */
#include "channel/channel.h"

#include "base/assert.h"
#include "base/memory.h"
#include "channel/error.h"
#include "transport/request.h"

#include <stdlib.h>

enum {
    REQUESTS_MAX = 16384,
    IN_FLIGHT_MAX = 512,
    WAITING_PAUSE_MS = 10,
    CHOICE_MS = 500, /* how long endpoints have for their first connection, where there are more */
    TOKENS_MAX = 3   /* for one request */
};

/* Moves `asked` and the result. */
static void finish(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__asked *asked, struct transport_result *result)
{
    struct rollcall__answer *answer = asked->answer;
    struct transport_answer *payload = (struct transport_answer *)answer->payload;
    *payload = (struct transport_answer){.id = asked->call.id, .status = result->error.status};
    answer->size_bytes = sizeof *payload;
    answer->object = &result->object;
    rollcall_object_drop(&asked->request->object);
    rollcall__channel_answer_at(cx, channel, answer, rollcall_now_ms(cx) + asked->delay_ms);
}

static void refuse(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__asked *asked, const struct rollcall_error *error)
{
    finish(cx, channel, asked, transport_result_failed(asked->request->kind, error));
}

/* ---- calls in flight ---- */

struct rollcall__call *rollcall__channel_start_call(struct rollcall_context *cx,
                                                    struct rollcall__channel *channel,
                                                    const struct rollcall__start *start,
                                                    struct rollcall_error *error)
{
    struct rollcall__driver *driver = channel->driver;
    const char *token = start->purpose == ROLLCALL__CALL_AUTHENTICATES ? NULL : channel->token;
    struct rollcall__call *call =
        driver->ops->call(driver, start->endpoint, start->request, token, start->timeout_ms, error);
    if (call == NULL) {
        return NULL;
    }
    call->purpose = start->purpose;
    call->generation = channel->generation;
    call->started_ms = rollcall_now_ms(cx);
    LIST_INSERT_HEAD(&channel->calls, call, link);
    channel->call_count++;
    channel->request_count++;
    return call;
}

static void remove_call(struct rollcall__channel *channel, struct rollcall__call *call)
{
    LIST_REMOVE(call, link);
    channel->call_count--;
    channel->request_count--;
}

static void start(struct rollcall_context *cx, struct rollcall__channel *channel,
                  struct rollcall__asked *asked)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const int64_t left_ms = asked->deadline_ms - rollcall_now_ms(cx);
    const struct rollcall__start begin = {
        .endpoint = rollcall__channel_pick(cx, channel, ROLLCALL__FOR_CALLS),
        .request = asked->request,
        .timeout_ms = left_ms > 0 ? left_ms : 1};
    struct rollcall__call *call = rollcall__channel_start_call(cx, channel, &begin, &error);
    if (call == NULL) {
        refuse(cx, channel, asked, &error);
        return;
    }
    call->asked = *asked;
}

/* ---- requests that wait ---- */

void rollcall__channel_wait(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    if (!channel->waiting_timer) {
        channel->waiting_timer = true;
        rollcall_timer_set(cx, CHANNEL_WAITING_DUE, rollcall_now_ms(cx) + WAITING_PAUSE_MS);
    }
}

static void append(struct rollcall__channel *channel, struct rollcall__waiting *waiting)
{
    waiting->next = NULL;
    if (channel->waiting_first == NULL) {
        channel->waiting_first = waiting;
    } else {
        channel->waiting_last->next = waiting;
    }
    channel->waiting_last = waiting;
    channel->request_count++;
}

static struct rollcall__waiting *take_first(struct rollcall__channel *channel)
{
    struct rollcall__waiting *first = channel->waiting_first;
    channel->waiting_first = first->next;
    channel->request_count--;
    return first;
}

static size_t waiting_count(const struct rollcall__channel *channel)
{
    return channel->request_count - channel->call_count;
}

/* Moves `asked`. */
static void put_off(struct rollcall_context *cx, struct rollcall__channel *channel,
                    struct rollcall__asked *asked)
{
    struct rollcall__waiting *waiting = rollcall__allocate_zeroed(1, sizeof *waiting);
    if (waiting == NULL) {
        struct rollcall_error error = {.status = ROLLCALL_OK};
        rollcall_error_set(&error, ROLLCALL_E_NO_MEMORY, "out of memory for a request to etcd");
        refuse(cx, channel, asked, &error);
        return;
    }
    waiting->asked = *asked;
    append(channel, waiting);
    rollcall__channel_wait(cx, channel);
}

struct outlook {
    bool connected, connecting; /* some endpoint is */
};

static struct outlook look(const struct rollcall__channel *channel)
{
    const bool connected = rollcall__channel_connected(channel);
    return (struct outlook){
        .connected = connected,
        .connecting = !connected && rollcall__channel_connecting(channel),
    };
}

static bool is_full(const struct rollcall__channel *channel)
{
    return channel->call_count >= IN_FLIGHT_MAX;
}

/* Patient, without a connection; or there is none so far, and the one that is preferred may be the
 * one that stays silent. */
static bool must_wait(struct rollcall_context *cx, const struct rollcall__channel *channel,
                      const struct rollcall__asked *asked, const struct outlook *outlook)
{
    if (outlook->connected || asked->call.wait_for_ready) {
        return !outlook->connected;
    }
    return outlook->connecting && channel->pool.count > 1 && rollcall_now_ms(cx) < asked->choice_ms;
}

/* Moves `asked`: starts it, or keeps it. */
static void submit(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__asked *asked)
{
    const struct outlook outlook = look(channel);
    if (channel->locked) {
        put_off(cx, channel, asked);
        rollcall__channel_authenticate(cx, channel);
    } else if (is_full(channel) || must_wait(cx, channel, asked, &outlook)) {
        put_off(cx, channel, asked);
    } else {
        start(cx, channel, asked);
    }
}

void rollcall__channel_release(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const struct outlook outlook = look(channel);
    for (size_t left = waiting_count(channel); left > 0 && !is_full(channel); left--) {
        struct rollcall__waiting *waiting = take_first(channel);
        if (channel->locked || must_wait(cx, channel, &waiting->asked, &outlook)) {
            append(channel, waiting);
        } else {
            start(cx, channel, &waiting->asked);
            free(waiting);
        }
    }
}

void rollcall__channel_refuse(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall_error *error, bool patient)
{
    for (size_t left = waiting_count(channel); left > 0; left--) {
        struct rollcall__waiting *waiting = take_first(channel);
        if (waiting->asked.call.wait_for_ready && !patient) {
            append(channel, waiting);
        } else {
            refuse(cx, channel, &waiting->asked, error);
            free(waiting);
        }
    }
}

static void refuse_late(struct rollcall_context *cx, struct rollcall__channel *channel,
                        struct rollcall__asked *asked)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const char *endpoint = channel->driver->endpoints[channel->pool.current];
    if (channel->locked) {
        rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                           "etcd at %s did not accept our user in time: check that it runs there",
                           endpoint);
    } else if (is_full(channel)) {
        rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                           "etcd at %s has not answered the %d requests before it in time: ask for "
                           "less at a time, or allow more time",
                           endpoint, IN_FLIGHT_MAX);
    } else {
        rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE,
                           "no etcd could be reached in time, the last one tried is %s: check that "
                           "it runs there, and whether it wants TLS",
                           endpoint);
    }
    refuse(cx, channel, asked, &error);
}

static void expire(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    for (size_t left = waiting_count(channel); left > 0; left--) {
        struct rollcall__waiting *waiting = take_first(channel);
        if (waiting->asked.deadline_ms > now_ms) {
            append(channel, waiting);
        } else {
            refuse_late(cx, channel, &waiting->asked);
            free(waiting);
        }
    }
}

int rollcall__channel_on_waiting_due(struct rollcall_context *cx, void *self,
                                     const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    (void)message;
    channel->waiting_timer = false;
    expire(cx, channel);
    const bool wanted = channel->waiting_first != NULL || channel->watches_waiting != NULL;
    if (wanted && channel->locked) {
        rollcall__channel_authenticate(cx, channel);
    } else if (wanted) {
        rollcall__channel_release(cx, channel);
    }
    if (channel->waiting_first != NULL || channel->watches_waiting != NULL) {
        rollcall__channel_wait(cx, channel);
    }
    return ROLLCALL_STAY;
}

/* ---- messages ---- */

/* Nothing is kept of a request that cannot be accepted, so this answer is not sent again. */
static void refuse_at_once(struct rollcall_context *cx, const struct rollcall_message *message,
                           enum rollcall_status status, const char *why)
{
    const struct transport_call *call = message->payload;
    const struct transport_request *request = (const struct transport_request *)message->object;
    const struct transport_answer answer = {.id = call->id, .status = status};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, status, "%s", why);
    struct transport_result *result = transport_result_failed(request->kind, &error);
    ROLLCALL_DROP(
        rollcall_reply(cx, message->from, call->answer, &answer, sizeof answer, &result->object),
        "the asker holds more requests than its mailbox, or memory is exhausted");
}

/* Never sent: answered at once, or at its deadline with what a lost answer would leave open. */
static void fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                 struct rollcall__asked *asked, const struct rollcall__failure *failure)
{
    const bool drop = failure->action == ROLLCALL__FAIL_DROP;
    struct rollcall_error error;
    rollcall__channel_fail_text(&error, drop ? ROLLCALL_E_TIMEOUT : failure->status, "call");
    error.maybe_applied = drop && transport_is_write(asked->request->kind);
    asked->delay_ms = drop ? asked->deadline_ms - rollcall_now_ms(cx) : 0;
    refuse(cx, channel, asked, &error);
}

int rollcall__channel_on_call(struct rollcall_context *cx, void *self,
                              const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct transport_call *call = message->payload;
    const int64_t timeout_ms =
        call->timeout_ms > 0 ? call->timeout_ms : channel->driver->call_timeout_ms;
    ROLLCALL_ASSERT(message->object != NULL);
    if (channel->stopping) {
        refuse_at_once(cx, message, ROLLCALL_E_STOPPED, "the connection to etcd has been closed");
        return ROLLCALL_STAY;
    }
    if (channel->request_count >= REQUESTS_MAX) {
        refuse_at_once(cx, message, ROLLCALL_E_FULL,
                       "too many requests to etcd are outstanding: try again later");
        return ROLLCALL_STAY;
    }
    struct rollcall__asked asked = {
        .from = message->from,
        .call = *call,
        .answer = rollcall__channel_answer_create(message->from, call->answer),
        .deadline_ms = rollcall_now_ms(cx) + timeout_ms,
        .choice_ms = rollcall_now_ms(cx) + CHOICE_MS,
    };
    if (asked.answer == NULL) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY, "out of memory for a request to etcd");
        return ROLLCALL_STAY;
    }
    asked.request = (struct transport_request *)rollcall_object_keep(message->object);
    const struct rollcall__failure failure = rollcall__failpoint_at(cx, "call");
    asked.delay_ms = failure.delay_ms;
    if (failure.action == ROLLCALL__FAIL_ERROR || failure.action == ROLLCALL__FAIL_DROP) {
        fail(cx, channel, &asked, &failure);
    } else {
        submit(cx, channel, &asked);
    }
    return ROLLCALL_STAY;
}

/* True: the token was the trouble, and the request, not executed, is on its way again. */
static bool try_again(struct rollcall_context *cx, struct rollcall__channel *channel,
                      struct rollcall__call *call, struct rollcall_error *error)
{
    if (!rollcall__etcd_token_refused(error) || !channel->driver->authenticates ||
        channel->stopping) {
        return false;
    }
    rollcall__channel_token_refused(cx, channel, call->generation);
    if (call->asked.refusals++ == TOKENS_MAX) {
        error->status = ROLLCALL_E_UNAVAILABLE; /* no token lasts: it may later */
        return false;
    }
    submit(cx, channel, &call->asked);
    return true;
}

/* The end of a call that somebody waits for. */
static void hear(struct rollcall_context *cx, struct rollcall__channel *channel,
                 struct rollcall__call *call, struct transport_result *result)
{
    if (result->error.status == ROLLCALL_OK) {
        const int64_t now_ms = rollcall_now_ms(cx);
        rollcall__pool_succeeded(&channel->pool, call->endpoint, now_ms - call->started_ms, now_ms);
    } else {
        rollcall__channel_blame(cx, channel, call->endpoint, &result->error);
    }
    if (call->purpose == ROLLCALL__CALL_AUTHENTICATES) {
        rollcall__channel_authenticated(cx, channel, call, result);
    } else if (!try_again(cx, channel, call, &result->error)) {
        rollcall_object_keep(&result->object);
        finish(cx, channel, &call->asked, result);
    }
}

int rollcall__channel_on_call_done(struct rollcall_context *cx, void *self,
                                   const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_call_done *done = message->payload;
    struct rollcall__call *call = done->call;
    struct transport_result *result = (struct transport_result *)message->object;
    const bool was_full = is_full(channel);
    remove_call(channel, call);
    if (call->purpose == ROLLCALL__CALL_PROBES) {
        rollcall__channel_probed(cx, channel, call, result);
    } else if (call->purpose == ROLLCALL__CALL_LISTS) {
        rollcall__channel_listed(cx, channel, call, result);
    } else {
        hear(cx, channel, call, result);
    }
    channel->driver->ops->call_destroy(channel->driver, call);
    if (was_full && !channel->locked) {
        rollcall__channel_release(cx, channel);
    }
    return rollcall__channel_next(channel);
}

/* ---- life ---- */

static void release(struct rollcall__asked *asked)
{
    if (asked->request != NULL) {
        rollcall_object_drop(&asked->request->object);
        free(asked->answer);
    }
}

void rollcall__channel_calls_fini(struct rollcall__channel *channel)
{
    struct rollcall__call *call;
    LIST_FOREACH (call, &channel->calls, link) {
        release(&call->asked); /* the call itself is the driver's */
    }
    while (channel->waiting_first != NULL) {
        struct rollcall__waiting *waiting = take_first(channel);
        release(&waiting->asked);
        free(waiting);
    }
}

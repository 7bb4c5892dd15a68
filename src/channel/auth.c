/*
 * channel/auth.c - the token.  etcd spends some 70 ms of bcrypt on each Authenticate, so one is in
 * flight, and everything that needs a token waits for that; only when its endpoint is silent is
 * another asked, and the first token counts.  However it fails, it is not asked for again at once.
 */
#include "channel/channel.h"

#include "channel/error.h"
#include "transport/request.h"

#include <stdlib.h>
#include <string.h>

enum {
    FAILED_PAUSE_MS = 100,
    DENIED_PAUSE_MS = 1000, /* a wrong password stays wrong until somebody changes it */
    YOUNG_MS = 250,         /* a token refused so soon is no better the next time */
    SILENCE_MS = 500
};

void rollcall__channel_drop_token(struct rollcall__channel *channel)
{
    if (channel->token != NULL) {
        explicit_bzero(channel->token, strlen(channel->token));
        free(channel->token);
        channel->token = NULL;
    }
}

/* Everything that waits goes on: with the token, or with the reason why there is none. */
static void unlock(struct rollcall_context *cx, struct rollcall__channel *channel, char *token)
{
    rollcall__channel_drop_token(channel);
    channel->token = token;
    channel->token_at_ms = rollcall_now_ms(cx);
    channel->generation++;
    channel->locked = false;
    rollcall__channel_release(cx, channel);
    rollcall__channel_watches_release(cx, channel, NULL);
    rollcall__channel_pump(cx, channel);
}

static void fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                 const struct rollcall_error *error)
{
    rollcall_log(cx, ROLLCALL_WARN, "etcd gave no token: %s", error->text);
    /* A wrong password stays wrong; an endpoint that is down may come back before a patient
     * request's deadline. */
    rollcall__channel_refuse(cx, channel, error, !rollcall__etcd_blames_endpoint(error));
    rollcall__channel_watches_release(cx, channel, error);
    rollcall__channel_renewals_fail(cx, channel, ROLLCALL_E_UNAVAILABLE);
}

/* One is on its way: another is sent to another endpoint once that one has been silent. */
static bool must_wait(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    const struct rollcall__call *newest = channel->authentication;
    if (newest == NULL) {
        return now_ms < channel->authenticate_at_ms;
    }
    if (channel->authentications >= channel->pool.count ||
        now_ms < newest->started_ms + SILENCE_MS) {
        return true;
    }
    rollcall__pool_silent(&channel->pool, newest->endpoint, rollcall_random(cx), now_ms);
    return false;
}

static void pause_until(struct rollcall__channel *channel, int64_t at_ms)
{
    if (channel->authenticate_at_ms < at_ms) {
        channel->authenticate_at_ms = at_ms;
    }
}

static bool is_asked(const struct rollcall__channel *channel, size_t endpoint)
{
    const struct rollcall__call *call = LIST_FIRST(&channel->calls);
    while (call != NULL &&
           (call->purpose != ROLLCALL__CALL_AUTHENTICATES || call->endpoint != endpoint)) {
        call = LIST_NEXT(call, link);
    }
    return call != NULL;
}

/* Where the pool leads, or the next that has not been asked already: one that is silent is well
 * again, for the pool, before two others have been. */
static size_t pick(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall__driver *driver = channel->driver;
    const size_t count = channel->pool.count;
    const size_t first = rollcall__channel_pick(cx, channel, ROLLCALL__FOR_CALLS);
    for (size_t i = 0; i < count; i++) {
        const size_t at = (first + i) % count;
        if (!is_asked(channel, at) && rollcall__pool_is_fit(&channel->pool.endpoints[at]) &&
            driver->ops->connectivity(driver, ROLLCALL__FOR_CALLS, at) != ROLLCALL__DISCONNECTED) {
            return at;
        }
    }
    return first;
}

void rollcall__channel_authenticate(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (channel->stopping || must_wait(cx, channel)) {
        return;
    }
    const struct rollcall__start start = {.endpoint = pick(cx, channel),
                                          .purpose = ROLLCALL__CALL_AUTHENTICATES,
                                          .timeout_ms = channel->driver->call_timeout_ms};
    struct rollcall__call *call = rollcall__channel_start_call(cx, channel, &start, &error);
    if (call != NULL) {
        channel->authentication = call;
        channel->authentications++;
    } else if (channel->authentication == NULL) {
        pause_until(channel, rollcall_now_ms(cx) + FAILED_PAUSE_MS);
        fail(cx, channel, &error);
    }
}

/* The one that failed is away for a while, so the next is another; once all have failed there is
 * none.  Without this whoever renews would ask again when that while is over, and of the same. */
static bool another_is_well(struct rollcall_context *cx, struct rollcall__channel *channel,
                            size_t failed)
{
    const size_t next = rollcall__channel_pick(cx, channel, ROLLCALL__FOR_CALLS);
    return next != failed && rollcall__pool_is_well(&channel->pool, next, rollcall_now_ms(cx));
}

void rollcall__channel_authenticated(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     struct rollcall__call *call,
                                     const struct transport_result *result)
{
    const bool given = result->error.status == ROLLCALL_OK || call->needs_no_token;
    channel->authentications--;
    channel->authentication = channel->authentication == call ? NULL : channel->authentication;
    if (channel->stopping || !channel->locked) {
        return; /* another was faster */
    }
    if (given) {
        char *token = call->token;
        call->token = NULL;
        unlock(cx, channel, token);
        return;
    }
    const bool passing = rollcall__etcd_blames_endpoint(&result->error);
    if (passing && another_is_well(cx, channel, call->endpoint)) {
        rollcall__channel_authenticate(cx, channel);
        return;
    }
    pause_until(channel, rollcall_now_ms(cx) + (passing ? FAILED_PAUSE_MS : DENIED_PAUSE_MS));
    if (channel->authentications == 0 || !passing) {
        fail(cx, channel, &result->error);
    }
}

void rollcall__channel_token_refused(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     uint64_t generation)
{
    if (!channel->driver->authenticates || channel->locked || generation != channel->generation) {
        return;
    }
    rollcall__channel_drop_token(channel);
    channel->locked = true;
    pause_until(channel, channel->token_at_ms + YOUNG_MS);
    rollcall__channel_authenticate(cx, channel);
}

/*
 * channel/auth.c - the token.  etcd spends some 70 ms of bcrypt on each Authenticate, so only
 * one is in flight, and everything that needs a token waits for that one.
 */
#include "channel/channel.h"

#include "transport/request.h"

#include <stdlib.h>
#include <string.h>

enum { FAILED_PAUSE_MS = 100 };

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
    channel->authenticate_at_ms = rollcall_now_ms(cx) + FAILED_PAUSE_MS;
    /* A wrong password stays wrong; an endpoint that is down may come back before a patient
     * request's deadline. */
    rollcall__channel_refuse(cx, channel, error, !transport_blames_endpoint(error));
    rollcall__channel_watches_release(cx, channel, error);
    rollcall__channel_renewals_fail(cx, channel, ROLLCALL_E_UNAVAILABLE);
}

void rollcall__channel_authenticate(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (channel->authentication != NULL || channel->stopping ||
        rollcall_now_ms(cx) < channel->authenticate_at_ms) {
        return;
    }
    channel->authentication = rollcall__channel_start_call(
        cx, channel, NULL, NULL, channel->driver->call_timeout_ms, &error);
    if (channel->authentication == NULL) {
        fail(cx, channel, &error);
    }
}

void rollcall__channel_authenticated(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     struct rollcall__call *call,
                                     const struct transport_result *result)
{
    channel->authentication = NULL;
    if (channel->stopping) {
        return;
    }
    if (result->error.status == ROLLCALL_OK || call->needs_no_token) {
        char *token = call->token;
        call->token = NULL;
        unlock(cx, channel, token);
    } else {
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
    rollcall__channel_authenticate(cx, channel);
}

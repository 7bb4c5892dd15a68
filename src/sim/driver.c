/* sim/driver.c - see driver.h. */
#include "sim/driver.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "channel/channel.h"
#include "sim/auth.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct call {
    struct rollcall__call base; /* first: the actor's */
    struct call *next;
    uint64_t token;
    enum transport_kind kind;
    bool done; /* CHANNEL_CALL_DONE has been posted */
};

struct stream {
    struct rollcall__stream base; /* first: the actor's */
    struct stream *next;
    uint64_t token;
    bool over;                                /* CHANNEL_STREAM_STATUS has been posted */
    struct transport_watch_response *partial; /* fragments so far; NULL: none */
};

struct rollcall__sim_driver {
    struct rollcall__driver base; /* first: what the actor sees */
    struct rollcall__net *net;
    uint32_t link;
    uint32_t members[ROLLCALL__ENDPOINTS_MAX]; /* of each endpoint */
    struct rollcall_caller actor;
    uint64_t token;
    struct call *calls;
    struct stream *streams;
};

static struct rollcall__sim_driver *of_base(struct rollcall__driver *driver)
{
    return (struct rollcall__sim_driver *)driver;
}

static uint32_t member_of(const struct rollcall__sim_driver *driver, size_t endpoint)
{
    return driver->members[endpoint];
}

/* A simulation without memory proves nothing. */
static void *need(void *memory)
{
    ROLLCALL_ASSERT(memory != NULL);
    return memory;
}

static void post(struct rollcall__sim_driver *driver, uint16_t type, const void *payload,
                 size_t size_bytes, struct rollcall_object *object)
{
    rollcall__net_post(driver->net, driver->actor, type, payload, size_bytes, object);
}

/* ---- calls ---- */

static struct call *find_call(struct rollcall__sim_driver *driver, uint64_t token)
{
    struct call *call = driver->calls;
    while (call != NULL && (call->token != token || call->done)) {
        call = call->next;
    }
    return call;
}

/* result: moved. */
static void finish(struct rollcall__sim_driver *driver, struct call *call,
                   struct transport_result *result)
{
    const struct channel_call_done done = {.call = &call->base};
    call->done = true;
    post(driver, CHANNEL_CALL_DONE, &done, sizeof done, &result->object);
}

static void fail(struct rollcall__sim_driver *driver, struct call *call,
                 enum rollcall_status status, const char *why)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, status, "%s", why);
    error.maybe_applied = transport_is_write(call->kind);
    finish(driver, call, transport_result_failed(call->kind, &error));
}

/* The number that a token's text is. */
static uint64_t pass_of(const char *token)
{
    return token == NULL ? 0 : strtoull(token, NULL, 10);
}

static struct rollcall__call *start_call(struct rollcall__driver *base, size_t endpoint,
                                         const struct transport_request *request, const char *token,
                                         int64_t timeout_ms, struct rollcall_error *error)
{
    struct rollcall__sim_driver *driver = of_base(base);
    struct call *call = need(calloc(1, sizeof *call));
    (void)error;
    call->base.endpoint = endpoint;
    call->token = ++driver->token;
    call->kind = request == NULL ? TRANSPORT_RANGE : request->kind;
    call->next = driver->calls;
    driver->calls = call;
    rollcall__net_ask(driver->net, driver->link, member_of(driver, endpoint), call->token, request,
                      pass_of(token), timeout_ms);
    return &call->base;
}

static void cancel_call(struct rollcall__driver *base, struct rollcall__call *call)
{
    struct call *cancelled = (struct call *)call;
    if (!cancelled->done) {
        fail(of_base(base), cancelled, ROLLCALL_E_UNAVAILABLE, "the call was cancelled");
    }
}

static void destroy_call(struct rollcall__driver *base, struct rollcall__call *call)
{
    struct call **at = &of_base(base)->calls;
    while (&(*at)->base != call) {
        at = &(*at)->next;
    }
    *at = (*at)->next;
    free(call->token);
    free(call); /* the first member of its block */
}

void rollcall__sim_driver_answered(struct rollcall__sim_driver *driver, uint64_t token,
                                   struct transport_result *result)
{
    struct call *call = find_call(driver, token);
    if (call == NULL) {
        rollcall_object_drop(&result->object);
    } else {
        finish(driver, call, result);
    }
}

void rollcall__sim_driver_expired(struct rollcall__sim_driver *driver, uint64_t token)
{
    struct call *call = find_call(driver, token);
    if (call != NULL) {
        fail(driver, call, ROLLCALL_E_TIMEOUT, "the simulated etcd did not answer in time");
    }
}

void rollcall__sim_driver_admitted(struct rollcall__sim_driver *driver, uint64_t token,
                                   uint64_t pass, enum rollcall_status status)
{
    enum { TOKEN_BYTES = 24 };
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct call *call = find_call(driver, token);
    if (call == NULL) {
        return;
    }
    if (status == ROLLCALL_E_DENIED) {
        rollcall__sim_auth_deny(&error);
        finish(driver, call, transport_result_failed(call->kind, &error));
        return;
    }
    if (pass == 0) {
        fail(driver, call, ROLLCALL_E_UNAVAILABLE, "the simulated etcd gives no token now");
        return;
    }
    call->base.token = need(malloc(TOKEN_BYTES));
    snprintf(call->base.token, TOKEN_BYTES, "%" PRIu64, pass);
    finish(driver, call, transport_result_failed(call->kind, &error)); /* which is OK */
}

/* ---- streams ---- */

static struct stream *find_stream(struct rollcall__sim_driver *driver, uint64_t token)
{
    struct stream *stream = driver->streams;
    while (stream != NULL && (stream->token != token || stream->over)) {
        stream = stream->next;
    }
    return stream;
}

/* error: copied. */
static void end_stream(struct rollcall__sim_driver *driver, struct stream *stream,
                       const struct rollcall_error *error)
{
    const struct channel_stream ended = {.stream = &stream->base};
    rollcall__net_stream_close(driver->net, driver->link, stream->token);
    stream->base.error = *error;
    stream->over = true;
    post(driver, CHANNEL_STREAM_STATUS, &ended, sizeof ended, NULL);
}

static void break_stream(struct rollcall__sim_driver *driver, struct stream *stream,
                         const char *why)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    rollcall_error_set(&error, ROLLCALL_E_UNAVAILABLE, "%s", why);
    end_stream(driver, stream, &error);
}

static struct rollcall__stream *open_stream(struct rollcall__driver *base,
                                            enum rollcall__stream_kind kind, size_t endpoint,
                                            const char *token, uint32_t window,
                                            struct rollcall_error *error)
{
    struct rollcall__sim_driver *driver = of_base(base);
    struct stream *stream = need(calloc(1, sizeof *stream));
    (void)error;
    stream->base.kind = kind;
    stream->base.endpoint = endpoint;
    stream->base.pending = 1; /* its end */
    stream->token = ++driver->token;
    stream->next = driver->streams;
    driver->streams = stream;
    rollcall__net_stream_open(driver->net, driver->link, member_of(driver, endpoint), stream->token,
                              pass_of(token), window);
    return &stream->base;
}

static bool send_renewal(struct rollcall__driver *base, struct rollcall__stream *stream,
                         int64_t lease_id, bool more)
{
    struct rollcall__sim_driver *driver = of_base(base);
    (void)more;
    rollcall__net_renew(driver->net, driver->link, ((struct stream *)stream)->token, lease_id);
    return true;
}

static bool send_watch(struct rollcall__driver *base, struct rollcall__stream *stream,
                       const struct transport_range *range)
{
    struct rollcall__sim_driver *driver = of_base(base);
    rollcall__net_watch(driver->net, driver->link, ((struct stream *)stream)->token, range);
    return true;
}

static void credit(struct rollcall__driver *base, struct rollcall__stream *stream)
{
    struct rollcall__sim_driver *driver = of_base(base);
    rollcall__net_credit(driver->net, driver->link, ((struct stream *)stream)->token);
}

static void cancel_stream(struct rollcall__driver *base, struct rollcall__stream *stream)
{
    struct stream *cancelled = (struct stream *)stream;
    if (!cancelled->over) {
        break_stream(of_base(base), cancelled, "the stream was cancelled");
    }
}

static void free_stream(struct stream *stream)
{
    if (stream->partial != NULL) {
        rollcall_object_drop(&stream->partial->object);
    }
    free(stream);
}

static void destroy_stream(struct rollcall__driver *base, struct rollcall__stream *stream)
{
    struct stream **at = &of_base(base)->streams;
    while (&(*at)->base != stream) {
        at = &(*at)->next;
    }
    *at = (*at)->next;
    free_stream((struct stream *)stream);
}

void rollcall__sim_driver_renewed(struct rollcall__sim_driver *driver, uint64_t token,
                                  int64_t lease_id, int64_t ttl_s)
{
    struct stream *stream = find_stream(driver, token);
    if (stream != NULL) {
        const struct channel_renewed renewed = {
            .stream = &stream->base, .lease_id = lease_id, .ttl_s = ttl_s, .armed = true};
        post(driver, CHANNEL_RENEWED, &renewed, sizeof renewed, NULL);
    }
}

struct block {
    struct transport_watch_response response; /* first: the object */
    struct transport_event events[];
};

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the first member of its block */
}

/* The fragments so far and one more, as one; both: moved.  Keys and values stay etcd's. */
static struct transport_watch_response *join(struct transport_watch_response *before,
                                             struct transport_watch_response *more)
{
    const size_t count = before->event_count + more->event_count;
    struct block *block = need(calloc(1, sizeof *block + count * sizeof block->events[0]));
    struct transport_watch_response *joined = &block->response;
    rollcall_object_init(&joined->object, destroy_block);
    if (before->event_count > 0) {
        memcpy(block->events, before->events, before->event_count * sizeof block->events[0]);
    }
    if (more->event_count > 0) {
        memcpy(block->events + before->event_count, more->events,
               more->event_count * sizeof block->events[0]);
    }
    joined->events = block->events;
    joined->event_count = count;
    joined->revision = more->revision;
    joined->created = before->created;
    rollcall_object_drop(&before->object);
    rollcall_object_drop(&more->object);
    return joined;
}

void rollcall__sim_driver_responded(struct rollcall__sim_driver *driver, uint64_t token,
                                    struct transport_watch_response *response)
{
    struct stream *stream = find_stream(driver, token);
    if (stream == NULL) {
        rollcall_object_drop(&response->object);
        return;
    }
    if (response->error.status != ROLLCALL_OK && !response->canceled) { /* no word of the watch's */
        end_stream(driver, stream, &response->error);
        rollcall_object_drop(&response->object);
        return;
    }
    const bool more = response->fragment;
    if (stream->partial != NULL) {
        response = join(stream->partial, response);
    }
    stream->partial = more ? response : NULL;
    if (!more) {
        const struct channel_received received = {.stream = &stream->base, .armed = true};
        post(driver, CHANNEL_STREAM_RECEIVED, &received, sizeof received, &response->object);
    }
}

void rollcall__sim_driver_ended(struct rollcall__sim_driver *driver, uint64_t token,
                                enum rollcall_status status)
{
    struct stream *stream = find_stream(driver, token);
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (stream != NULL && status == ROLLCALL_E_DENIED) {
        rollcall__sim_auth_refuse(&error);
        end_stream(driver, stream, &error);
    } else if (stream != NULL && status == ROLLCALL_E_REJECTED) {
        rollcall__sim_auth_forbid(&error);
        end_stream(driver, stream, &error);
    } else if (stream != NULL) {
        break_stream(driver, stream, "the simulated etcd ended the stream");
    }
}

/* ---- connections ---- */

void rollcall__sim_driver_cut(struct rollcall__sim_driver *driver, uint32_t member)
{
    for (struct call *call = driver->calls; call != NULL; call = call->next) {
        if (!call->done && member_of(driver, call->base.endpoint) == member) {
            fail(driver, call, ROLLCALL_E_UNAVAILABLE, "the simulated connection broke");
        }
    }
    for (struct stream *stream = driver->streams; stream != NULL; stream = stream->next) {
        if (!stream->over && member_of(driver, stream->base.endpoint) == member) {
            break_stream(driver, stream, "the simulated connection broke");
        }
    }
}

static enum rollcall__connectivity connectivity(struct rollcall__driver *base,
                                                enum rollcall__purpose purpose, size_t endpoint)
{
    const struct rollcall__sim_driver *driver = of_base(base);
    (void)purpose;
    return rollcall__net_member_refuses(driver->net, member_of(driver, endpoint))
               ? ROLLCALL__DISCONNECTED
               : ROLLCALL__CONNECTED;
}

static void add_member(struct rollcall__sim_driver *driver, uint32_t member)
{
    const size_t at = driver->base.endpoint_count++;
    driver->members[at] = member;
    driver->base.endpoints[at] = rollcall__model_url(member);
}

static bool add(struct rollcall__driver *base, struct rollcall_bytes url)
{
    struct rollcall__sim_driver *driver = of_base(base);
    for (size_t i = 0; i < base->endpoint_count; i++) {
        if (rollcall__bytes_equal(url, rollcall__bytes(base->endpoints[i]))) {
            return false;
        }
    }
    for (uint32_t member = 0; member < rollcall__net_members(driver->net); member++) {
        if (rollcall__bytes_equal(url, rollcall__bytes(rollcall__model_url(member)))) {
            add_member(driver, member);
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

static void begin(struct rollcall__driver *base, struct rollcall_caller actor)
{
    of_base(base)->actor = actor;
}

static void end(struct rollcall__driver *base)
{
    (void)base; /* the network destroys it */
}

static const struct rollcall__driver_ops OPS = {
    .begin = begin,
    .end = end,
    .connectivity = connectivity,
    .call = start_call,
    .call_cancel = cancel_call,
    .call_destroy = destroy_call,
    .open = open_stream,
    .send_renewal = send_renewal,
    .send_watch = send_watch,
    .credit = credit,
    .cancel = cancel_stream,
    .destroy = destroy_stream,
    .add = add,
};

struct rollcall__sim_driver *rollcall__sim_driver_create(struct rollcall__net *net, uint32_t link,
                                                         uint32_t first_member)
{
    enum { CALL_TIMEOUT_MS = 5000 };
    struct rollcall__sim_driver *driver = calloc(1, sizeof *driver);
    const uint32_t members = rollcall__net_members(net);
    if (driver == NULL) {
        return NULL;
    }
    driver->base.ops = &OPS;
    driver->base.call_timeout_ms = CALL_TIMEOUT_MS;
    driver->base.authenticates = rollcall__net_authenticates(net);
    driver->base.syncs_members = rollcall__net_syncs(net);
    driver->net = net;
    driver->link = link;
    for (uint32_t i = 0; i < (driver->base.syncs_members ? 1 : members); i++) {
        add_member(driver, (first_member + i) % members);
    }
    return driver;
}

void rollcall__sim_driver_destroy(struct rollcall__sim_driver *driver)
{
    if (driver == NULL) {
        return;
    }
    while (driver->calls != NULL) {
        destroy_call(&driver->base, &driver->calls->base);
    }
    while (driver->streams != NULL) {
        destroy_stream(&driver->base, &driver->streams->base);
    }
    free(driver);
}

struct rollcall__driver *rollcall__sim_driver_base(struct rollcall__sim_driver *driver)
{
    return &driver->base;
}

bool rollcall__sim_driver_knows(const struct rollcall__sim_driver *driver, uint32_t member)
{
    bool known = false;
    for (size_t i = 0; i < driver->base.endpoint_count; i++) {
        known |= driver->members[i] == member;
    }
    return known;
}

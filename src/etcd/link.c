/* etcd/link.c - opened in the order channels, queue, actor; closed in the reverse. */
#include "etcd/link.h"

#include "channel/channel.h"
#include "etcd/call.h"
#include "etcd/stream.h"

#include <string.h>

enum {
    MAILBOX_MESSAGES = 8192, /* what thousands of sessions ask in one quantum */
    KEEPALIVE_MS = 7000,     /* etcd ends connections that ping more often than every 5 s */
    KEEPALIVE_TIMEOUT_MS = 3000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 1000,
    RECEIVE_BYTES_MAX = 64 << 20,
    SEND_BYTES_MAX = 2 << 20 /* etcd's own limit */
};

static grpc_arg integer(const char *key, int64_t value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = (int)value};
}

static grpc_channel *create_channel(const struct rollcall__link *link, const char *name)
{
    grpc_arg args[] = {
        integer("grpc.keepalive_time_ms", KEEPALIVE_MS),
        integer("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        integer("grpc.keepalive_permit_without_calls", 0), /* etcd forbids it */
        /* The default of 2 stops pings on an idle watch: a dead etcd would never be noticed. */
        integer("grpc.http2.max_pings_without_data", 0),
        integer("grpc.initial_reconnect_backoff_ms", BACKOFF_MIN_MS),
        integer("grpc.max_reconnect_backoff_ms", BACKOFF_MAX_MS),
        /* In spite of its name this is how long one connection attempt may take. */
        integer("grpc.min_reconnect_backoff_ms", link->dial_timeout_ms),
        integer("grpc.max_receive_message_length", RECEIVE_BYTES_MAX),
        integer("grpc.max_send_message_length", SEND_BYTES_MAX),
        integer("grpc.enable_http_proxy", 0),
        integer("grpc.enable_retries", 0), /* whether a write was sent must stay knowable */
        /* Without it the links would share one TCP connection per endpoint. */
        integer("grpc.use_local_subchannel_pool", 1),
    };
    const grpc_channel_args all = {.num_args = sizeof args / sizeof args[0], .args = args};
    char target[ROLLCALL__ENDPOINT_BYTES + 8];
    rollcall__endpoint_target(name, target, sizeof target);
    return grpc_channel_create(target, link->credentials, &all);
}

grpc_channel *rollcall__link_channel(struct rollcall__link *link, enum rollcall__purpose purpose,
                                     size_t endpoint)
{
    grpc_channel **channel = &link->channels[purpose][endpoint];
    if (*channel == NULL) {
        *channel = create_channel(link, link->endpoints.names[endpoint]);
    }
    return *channel;
}

static void destroy_channels(struct rollcall__link *link)
{
    for (size_t purpose = 0; purpose < ROLLCALL__PURPOSE_COUNT; purpose++) {
        for (size_t i = 0; i < link->endpoints.count; i++) {
            if (link->channels[purpose][i] != NULL) {
                grpc_channel_destroy(link->channels[purpose][i]);
                link->channels[purpose][i] = NULL;
            }
        }
    }
}

/* ---- the driver ---- */

struct rollcall__link *rollcall__link_of(struct rollcall__driver *driver)
{
    return (struct rollcall__link *)driver; /* its first member */
}

static void begin(struct rollcall__driver *driver, struct rollcall_caller actor)
{
    rollcall__link_of(driver)->queue.actor = actor;
}

/* Tells rollcall__link_wait. */
static void end(struct rollcall__driver *driver)
{
    struct rollcall__link *link = rollcall__link_of(driver);
    rollcall__monitor_lock(&link->ended);
    link->gone = true;
    rollcall__monitor_notify(&link->ended);
    rollcall__monitor_unlock(&link->ended);
}

static enum rollcall__connectivity connectivity(struct rollcall__driver *driver,
                                                enum rollcall__purpose purpose, size_t endpoint)
{
    const int connect_if_idle = 1;
    const grpc_connectivity_state state = grpc_channel_check_connectivity_state(
        rollcall__link_channel(rollcall__link_of(driver), purpose, endpoint), connect_if_idle);
    return state == GRPC_CHANNEL_READY               ? ROLLCALL__CONNECTED
           : state == GRPC_CHANNEL_TRANSIENT_FAILURE ? ROLLCALL__DISCONNECTED
                                                     : ROLLCALL__CONNECTING;
}

static bool add(struct rollcall__driver *driver, struct rollcall_bytes url)
{
    struct rollcall__link *link = rollcall__link_of(driver);
    if (!rollcall__endpoints_add(&link->endpoints, url)) {
        return false;
    }
    driver->endpoints[driver->endpoint_count] = link->endpoints.names[driver->endpoint_count];
    driver->endpoint_count = link->endpoints.count;
    return true;
}

static const struct rollcall__driver_ops OPS = {
    .begin = begin,
    .end = end,
    .connectivity = connectivity,
    .call = rollcall__grpc_call_start,
    .call_cancel = rollcall__grpc_call_cancel,
    .call_destroy = rollcall__grpc_call_destroy,
    .open = rollcall__grpc_stream_open,
    .send_renewal = rollcall__grpc_stream_renew,
    .send_watch = rollcall__grpc_stream_watch,
    .credit = rollcall__grpc_stream_credit,
    .cancel = rollcall__grpc_stream_cancel,
    .destroy = rollcall__grpc_stream_destroy,
    .add = add,
};

/* ---- life ---- */

static enum rollcall_status spawn(struct rollcall__link *link, uint32_t worker,
                                  struct rollcall_error *error)
{
    const struct channel_options options = {.driver = &link->driver};
    return rollcall_runtime_spawn(
        link->runtime, worker,
        ROLLCALL_SPAWN_OPTIONS(.type = &rollcall__channel_type, .options = &options,
                               .restart = ROLLCALL_TEMPORARY, .mailbox_messages = MAILBOX_MESSAGES),
        &link->actor, error);
}

enum rollcall_status rollcall__link_open(struct rollcall__link *link,
                                         struct rollcall_runtime *runtime,
                                         const struct rollcall__link_options *options,
                                         struct rollcall_error *error)
{
    memset(link, 0, sizeof *link);
    link->runtime = runtime;
    link->endpoints = *options->endpoints;
    link->user = options->user;
    link->password = options->password;
    link->driver.ops = &OPS;
    link->driver.endpoint_count = link->endpoints.count;
    link->driver.authenticates = options->user != NULL;
    link->driver.call_timeout_ms = options->call_timeout_ms;
    link->driver.syncs_members = options->sync_members;
    link->dial_timeout_ms = options->dial_timeout_ms;
    link->credentials = options->credentials;
    for (size_t i = 0; i < link->endpoints.count; i++) {
        link->driver.endpoints[i] = link->endpoints.names[i];
    }
    enum rollcall_status status =
        rollcall__event_queue_open(&link->queue, runtime, options->name, error);
    if (status != ROLLCALL_OK) {
        destroy_channels(link);
        return status;
    }
    rollcall__monitor_init(&link->ended);
    status = spawn(link, options->worker, error);
    if (status != ROLLCALL_OK) {
        rollcall__link_close(link);
    }
    return status;
}

void rollcall__link_stop(struct rollcall__link *link)
{
    rollcall_runtime_stop(link->runtime, link->actor);
}

bool rollcall__link_wait(struct rollcall__link *link, int64_t deadline_ns)
{
    bool in_time = true;
    rollcall__monitor_lock(&link->ended);
    while (!link->gone && in_time) {
        in_time = rollcall__monitor_wait(&link->ended, deadline_ns);
    }
    const bool gone = link->gone;
    rollcall__monitor_unlock(&link->ended);
    return gone;
}

void rollcall__link_close(struct rollcall__link *link)
{
    destroy_channels(link);
    rollcall__event_queue_close(&link->queue);
    rollcall__monitor_fini(&link->ended);
}

/*
 * channel/probe.c - asks each endpoint how it is: who leads, and whether it belongs here at all.
 *
 * A renewal is cheapest at the leader, for every other member passes it on.  An endpoint that only
 * learns, that has no leader, whose term is older than another's, or that belongs to another
 * cluster, is not asked for anything else.  With `sync_members` the cluster's other members become
 * endpoints, once they have said that they belong to it; none is ever taken away.  A channel with
 * one endpoint and no such wish has nothing to choose, and asks nothing.
 */
#include "channel/channel.h"

#include "channel/error.h"
#include "transport/request.h"

#include <inttypes.h>
#include <string.h>

enum {
    PROBE_MS = 15000,
    PROBE_AGAIN_MS = 1000, /* an endpoint that did not answer */
    PROBE_SOON_MS = 300,   /* all of them, when the leader may be another, and */
    SETTLING_MS = 3000,    /* every PROBE_AGAIN_MS until an election must be over */
    TIMEOUT_MS = 1000,
    MEMBERS_MS = 5000,
    MEMBERS_SOON_MS = 2000 /* but at least: when some endpoint is in trouble, it may have left */
};

/* Half of it to one and a half: clients do not ask in step. */
static int64_t about(struct rollcall_context *cx, int64_t ms)
{
    return ms / 2 + (int64_t)(rollcall_random(cx) % (uint64_t)(ms + 1));
}

static bool probes(const struct rollcall__channel *channel)
{
    return channel->pool.count > 1 || channel->driver->syncs_members;
}

static void schedule(struct rollcall_context *cx, const struct rollcall__channel *channel)
{
    int64_t next_ms = INT64_MAX;
    for (size_t i = 0; i < channel->pool.count; i++) {
        const struct rollcall__endpoint *endpoint = &channel->pool.endpoints[i];
        if (!endpoint->probing && endpoint->probe_at_ms < next_ms) {
            next_ms = endpoint->probe_at_ms;
        }
    }
    if (next_ms != INT64_MAX) {
        rollcall_timer_set(cx, CHANNEL_PROBE_DUE, next_ms);
    }
}

void rollcall__channel_probe_begin(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    if (!probes(channel)) {
        return;
    }
    for (size_t i = 0; i < channel->pool.count; i++) {
        channel->pool.endpoints[i].probe_at_ms = now_ms;
    }
    schedule(cx, channel);
}

void rollcall__channel_probe_soon(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t soon_ms = rollcall_now_ms(cx) + PROBE_SOON_MS;
    bool earlier = false;
    const int64_t list_ms = channel->members_asked_ms + MEMBERS_SOON_MS;
    channel->settled_at_ms = rollcall_now_ms(cx) + SETTLING_MS;
    channel->members_at_ms = channel->members_at_ms < list_ms ? channel->members_at_ms : list_ms;
    for (size_t i = 0; probes(channel) && i < channel->pool.count; i++) {
        struct rollcall__endpoint *endpoint = &channel->pool.endpoints[i];
        if (!endpoint->probing && endpoint->probe_at_ms > soon_ms) {
            endpoint->probe_at_ms = soon_ms;
            earlier = true;
        }
    }
    if (earlier && !channel->stopping) {
        schedule(cx, channel);
    }
}

/* False: out of memory; it is asked again later. */
static bool ask(struct rollcall_context *cx, struct rollcall__channel *channel, size_t endpoint,
                enum transport_kind kind, enum rollcall__call_purpose purpose)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct transport_request *request = transport_request_bare(kind);
    if (request == NULL) {
        return false;
    }
    const struct rollcall__start start = {
        .endpoint = endpoint, .purpose = purpose, .request = request, .timeout_ms = TIMEOUT_MS};
    const struct rollcall__call *call = rollcall__channel_start_call(cx, channel, &start, &error);
    rollcall_object_drop(&request->object);
    return call != NULL;
}

int rollcall__channel_on_probe_due(struct rollcall_context *cx, void *self,
                                   const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const int64_t now_ms = rollcall_now_ms(cx);
    (void)message;
    for (size_t i = 0; i < channel->pool.count; i++) {
        struct rollcall__endpoint *endpoint = &channel->pool.endpoints[i];
        if (!endpoint->probing && endpoint->probe_at_ms <= now_ms) {
            endpoint->probe_at_ms = now_ms + about(cx, PROBE_AGAIN_MS);
            endpoint->probing = ask(cx, channel, i, TRANSPORT_STATUS, ROLLCALL__CALL_PROBES);
        }
    }
    schedule(cx, channel);
    return ROLLCALL_STAY;
}

/* ---- what came ---- */

static void learn(struct rollcall_context *cx, struct rollcall__channel *channel, size_t at,
                  const struct transport_result *result)
{
    struct rollcall__pool *pool = &channel->pool;
    const bool known = pool->endpoints[at].foreign;
    const uint64_t was = pool->cluster_id;
    rollcall__pool_learn(pool, at,
                         &(const struct rollcall__identity){
                             .cluster_id = result->cluster_id,
                             .member_id = result->member_id,
                             .leader_id = result->status.leader_id,
                             .term = result->status.raft_term,
                             .learner = result->status.is_learner,
                         });
    if (pool->endpoints[at].foreign && !known) {
        rollcall_log(cx, ROLLCALL_ERROR,
                     "etcd at %s belongs to another cluster, %" PRIx64
                     ", and is not used: correct the endpoints",
                     channel->driver->endpoints[at], result->cluster_id);
    }
    if (was != 0 && was != pool->cluster_id) {
        rollcall_log(cx, ROLLCALL_WARN,
                     "most endpoints belong to the cluster %" PRIx64 " now, and not to %" PRIx64
                     ": that one is used from here on",
                     pool->cluster_id, was);
    }
}

static bool wants_list(const struct rollcall__channel *channel, int64_t now_ms)
{
    return channel->driver->syncs_members && !channel->stopping && now_ms >= channel->members_at_ms;
}

/* The list may want a token. */
static void list_members(struct rollcall_context *cx, struct rollcall__channel *channel,
                         size_t endpoint)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    if (!wants_list(channel, now_ms) || !rollcall__pool_is_well(&channel->pool, endpoint, now_ms)) {
        return;
    }
    if (channel->locked) {
        rollcall__channel_authenticate(cx, channel);
    } else if (ask(cx, channel, endpoint, TRANSPORT_MEMBERS, ROLLCALL__CALL_LISTS)) {
        channel->members_asked_ms = now_ms;
        channel->members_at_ms = now_ms + about(cx, MEMBERS_MS);
    }
}

/* How long an endpoint that is well is left alone. */
static int64_t rest_ms(struct rollcall_context *cx, const struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    const bool soon = now_ms < channel->settled_at_ms || wants_list(channel, now_ms);
    return about(cx, soon ? PROBE_AGAIN_MS : PROBE_MS);
}

void rollcall__channel_probed(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall__call *call,
                              const struct transport_result *result)
{
    struct rollcall__endpoint *endpoint = &channel->pool.endpoints[call->endpoint];
    const int64_t now_ms = rollcall_now_ms(cx);
    endpoint->probing = false;
    if (result->error.status != ROLLCALL_OK) {
        rollcall__channel_blame(cx, channel, call->endpoint, &result->error);
    } else {
        learn(cx, channel, call->endpoint, result);
        if (result->status.leader_id == 0 || result->status.raft_term < channel->pool.term) {
            rollcall__pool_failed(&channel->pool, call->endpoint, rollcall_random(cx), now_ms);
            endpoint->probe_at_ms = now_ms + about(cx, PROBE_AGAIN_MS);
        } else {
            rollcall__pool_succeeded(&channel->pool, call->endpoint, now_ms - call->started_ms,
                                     now_ms);
            list_members(cx, channel, call->endpoint);
            endpoint->probe_at_ms = now_ms + rest_ms(cx, channel);
        }
    }
    if (!channel->stopping) {
        schedule(cx, channel);
    }
}

static bool is_known(const struct rollcall__pool *pool, uint64_t member_id)
{
    for (size_t i = 0; i < pool->count; i++) {
        if (pool->endpoints[i].member_id == member_id) {
            return true;
        }
    }
    return false;
}

static void add(struct rollcall_context *cx, struct rollcall__channel *channel,
                const struct transport_member *member)
{
    struct rollcall__driver *driver = channel->driver;
    for (size_t i = 0; i < member->client_url_count; i++) {
        const size_t count = driver->endpoint_count;
        if (count < ROLLCALL__ENDPOINTS_MAX && driver->ops->add(driver, member->client_urls[i])) {
            rollcall__pool_add(&channel->pool);
            channel->pool.endpoints[count].probe_at_ms = rollcall_now_ms(cx);
            rollcall_log(cx, ROLLCALL_INFO, "the cluster has another member, at %s",
                         driver->endpoints[count]);
            return; /* one way to each */
        }
    }
}

void rollcall__channel_listed(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall__call *call,
                              const struct transport_result *result)
{
    if (channel->stopping) {
        return;
    }
    const bool refused = rollcall__etcd_token_refused(&result->error);
    if (refused) {
        rollcall__channel_token_refused(cx, channel, call->generation);
    }
    if (refused || rollcall__etcd_blames_endpoint(&result->error)) { /* it may be told soon */
        channel->members_at_ms = rollcall_now_ms(cx) + about(cx, PROBE_AGAIN_MS);
        channel->pool.endpoints[call->endpoint].probe_at_ms = channel->members_at_ms;
    }
    for (size_t i = 0; i < result->member_count; i++) {
        const struct transport_member *member = &result->members[i];
        if (!member->is_learner && !is_known(&channel->pool, member->member_id)) {
            add(cx, channel, member);
        }
    }
    schedule(cx, channel);
}

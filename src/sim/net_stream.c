/* sim/net_stream.c - the streams of the simulated network, as far as it and the members know of
 * them. */
#include "sim/net_internal.h"

#include "base/assert.h"

enum { DEAF_MAX_MS = 12000 };
enum { STUCK_MS = 7000 /* 5 s and two election timeouts: as long as etcd waits for its leader */ };

struct rollcall__net_stream *rollcall__net_stream_find(struct rollcall__net *net, uint32_t link,
                                                       uint64_t token)
{
    for (uint32_t i = 0; i < net->stream_count; i++) {
        if (net->streams[i].link == link && net->streams[i].token == token) {
            return &net->streams[i];
        }
    }
    return NULL;
}

static void forget_stream(struct rollcall__net *net, struct rollcall__net_stream *stream)
{
    if (stream->watch != NULL) {
        rollcall__model_watch_close(stream->watch);
    }
    *stream = net->streams[--net->stream_count];
}

void rollcall__net_stream_open(struct rollcall__net *net, uint32_t link, uint32_t member,
                               uint64_t token, uint64_t pass, uint32_t window)
{
    ROLLCALL_ASSERT(net->stream_count < ROLLCALL__NET_STREAMS_MAX);
    net->streams[net->stream_count++] = (struct rollcall__net_stream){.link = link,
                                                                      .member = member,
                                                                      .token = token,
                                                                      .pass = pass,
                                                                      .window = window,
                                                                      .stuck_until_ms = INT64_MAX,
                                                                      .mute_until_ms = INT64_MAX};
}

void rollcall__net_stream_close(struct rollcall__net *net, uint32_t link, uint64_t token)
{
    struct rollcall__net_stream *stream = rollcall__net_stream_find(net, link, token);
    if (stream != NULL) {
        forget_stream(net, stream);
    }
}

static int64_t in_order(int64_t *last_ms, int64_t at_ms)
{
    *last_ms = at_ms > *last_ms ? at_ms : *last_ms;
    return *last_ms;
}

/* To the stream's member; object: moved. */
static void send_to(struct rollcall__net *net, struct rollcall__net_stream *stream,
                    struct rollcall__flight event)
{
    event.link = stream->link;
    event.member = stream->member;
    event.token = stream->token;
    rollcall__net_send(
        net, event, in_order(&stream->asked_ms, net->sim->now_ms + rollcall__net_latency_ms(net)));
}

/* Back to the process; object: moved. */
static void send_back(struct rollcall__net *net, struct rollcall__net_stream *stream,
                      struct rollcall__flight event)
{
    const int64_t ms = !rollcall__net_member_refuses(net, stream->member)
                           ? rollcall__net_latency_ms(net)
                           : ROLLCALL__NET_REFUSED_MS;
    event.link = stream->link;
    event.member = stream->member;
    event.token = stream->token;
    rollcall__net_send(net, event, in_order(&stream->answered_ms, net->sim->now_ms + ms));
}

uint32_t rollcall__net_streams(const struct rollcall__net *net)
{
    return net->stream_count;
}

uint32_t rollcall__net_streams_to(const struct rollcall__net *net, uint32_t member)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < net->stream_count; i++) {
        count += net->streams[i].member == member;
    }
    return count;
}

/* ---- renewals ---- */

uint64_t rollcall__net_renewals_to(const struct rollcall__net *net, uint32_t member)
{
    return net->renewals_to[member];
}

uint64_t rollcall__net_renewals(const struct rollcall__net *net)
{
    return net->renewals;
}

void rollcall__net_deny_lease(struct rollcall__net *net, int64_t lease_id)
{
    net->denied_lease = lease_id;
}

void rollcall__net_renew(struct rollcall__net *net, uint32_t link, uint64_t token, int64_t lease_id)
{
    struct rollcall__net_stream *stream = rollcall__net_stream_find(net, link, token);
    if (stream != NULL) {
        stream->renews = true;
        net->renewals++;
        net->renewals_to[stream->member]++;
        send_to(net, stream,
                (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_RENEW, .lease_id = lease_id});
    }
}

/* A follower asks its leader, and when that one is frozen waits for it, even when there is a new
 * one meanwhile; and all that comes on the stream waits behind it. */
static bool is_stuck(struct rollcall__net *net, struct rollcall__net_stream *stream)
{
    const int leader = rollcall__model_leader(net->model);
    if (stream->stuck_until_ms != INT64_MAX) {
        const bool frozen = net->states[stream->stuck_leader] == ROLLCALL__MEMBER_FROZEN;
        return frozen && net->sim->now_ms < stream->stuck_until_ms;
    }
    if (leader < 0 || (uint32_t)leader == stream->member ||
        net->states[leader] != ROLLCALL__MEMBER_FROZEN) {
        return false;
    }
    stream->stuck_leader = (uint32_t)leader;
    stream->stuck_until_ms = net->sim->now_ms + STUCK_MS;
    return true;
}

static bool admits(struct rollcall__net *net, const struct rollcall__net_stream *stream)
{
    return rollcall__sim_auth_admits(&net->auth, stream->member, stream->pass, net->sim->now_ms);
}

/* OK, or as what etcd ends the stream. */
static enum rollcall_status renew(struct rollcall__net *net,
                                  const struct rollcall__net_stream *stream, int64_t lease_id,
                                  int64_t *ttl_s)
{
    const bool waited_in_vain = stream->stuck_until_ms <= net->sim->now_ms;
    if (rollcall__net_member_refuses(net, stream->member) || waited_in_vain) {
        return ROLLCALL_E_UNAVAILABLE;
    }
    if (!net->old && !admits(net, stream)) {
        return ROLLCALL_E_DENIED;
    }
    if (lease_id == net->denied_lease) {
        return ROLLCALL_E_REJECTED;
    }
    return rollcall__model_renew(net->model, stream->member, lease_id, net->sim->now_ms, ttl_s);
}

static void answer_renew(struct rollcall__net *net, struct rollcall__net_stream *stream,
                         int64_t lease_id)
{
    struct rollcall__flight answer = {.kind = ROLLCALL__FLIGHT_RENEWED, .lease_id = lease_id};
    answer.status = renew(net, stream, lease_id, &answer.ttl_s);
    stream->stuck_until_ms = INT64_MAX;
    if (answer.status != ROLLCALL_OK) {
        answer.kind = ROLLCALL__FLIGHT_ENDED;
    }
    send_back(net, stream, answer);
    if (answer.status == ROLLCALL_OK &&
        rollcall__fault(net->faults, ROLLCALL_FAULT_REPEAT_ANSWER)) {
        send_back(net, stream, answer);
    }
}

/* ---- mute streams ---- */

void rollcall__net_mute(struct rollcall__net *net, uint32_t link, int64_t until_ms)
{
    for (uint32_t i = 0; i < net->stream_count; i++) {
        struct rollcall__net_stream *stream = &net->streams[i];
        if (stream->link == link && stream->renews) {
            stream->mute_until_ms = until_ms;
            net->links[link].mutes[stream->member]++;
        }
    }
}

bool rollcall__net_unmute(struct rollcall__net *net, int64_t now_ms)
{
    bool any = false;
    for (uint32_t i = 0; i < net->stream_count; i++) {
        struct rollcall__net_stream *stream = &net->streams[i];
        if (stream->mute_until_ms != INT64_MAX && stream->mute_until_ms <= now_ms) {
            stream->mute_until_ms = INT64_MAX;
            any = true;
        }
    }
    return any;
}

/* ---- watches ---- */

void rollcall__net_watch(struct rollcall__net *net, uint32_t link, uint64_t token,
                         const struct transport_range *range)
{
    struct rollcall__net_stream *stream = rollcall__net_stream_find(net, link, token);
    if (stream != NULL) {
        struct rollcall_object *object = (struct rollcall_object *)(uintptr_t)&range->object;
        send_to(net, stream,
                (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_OPEN,
                                          .object = rollcall_object_keep(object)});
    }
}

static void open_watch(struct rollcall__net *net, struct rollcall__net_stream *stream,
                       struct rollcall_object *range)
{
    struct rollcall__flight ended = {.kind = ROLLCALL__FLIGHT_ENDED,
                                     .status = ROLLCALL_E_UNAVAILABLE};
    if (rollcall__net_member_refuses(net, stream->member)) {
        send_back(net, stream, ended);
    } else if (!admits(net, stream)) {
        ended.status = ROLLCALL_E_DENIED;
        send_back(net, stream, ended);
    } else {
        stream->wide = ((const struct transport_range *)range)->end.size_bytes != 0;
        stream->watch =
            rollcall__model_watch_open(net->model, stream->member, (struct transport_range *)range);
        ROLLCALL_ASSERT(stream->watch != NULL);
    }
}

void rollcall__net_credit(struct rollcall__net *net, uint32_t link, uint64_t token)
{
    struct rollcall__net_stream *stream = rollcall__net_stream_find(net, link, token);
    if (stream != NULL && stream->watch != NULL) {
        ROLLCALL_ASSERT(stream->outstanding > 0); /* credited twice */
        stream->outstanding--;
        net->pump = true;
    }
}

/* A response that is never sent: etcd has forgotten the watch, often for this one alone. */
static bool is_lost(struct rollcall__net *net, struct rollcall__net_stream *stream,
                    const struct transport_watch_response *response)
{
    const bool whole = !response->fragment && !stream->in_fragments;
    stream->in_fragments = response->fragment;
    if (!whole || !stream->wide || response->event_count == 0) {
        return false;
    }
    if (!net->faults->off && stream->deaf_until_ms > net->sim->now_ms) {
        return true;
    }
    if (!rollcall__fault(net->faults, ROLLCALL_FAULT_LOSE_EVENT)) {
        return false;
    }
    if (rollcall__fault_draw(net->faults, ROLLCALL_FAULT_LOSE_EVENT, 2) == 0) {
        stream->deaf_until_ms =
            net->sim->now_ms +
            (int64_t)rollcall__fault_draw(net->faults, ROLLCALL_FAULT_LOSE_EVENT, DEAF_MAX_MS);
    }
    return true;
}

/* Sends what the watch has to tell, as far as its window goes. */
static void pump_watch(struct rollcall__net *net, struct rollcall__net_stream *stream)
{
    struct transport_watch_response *response;
    const int64_t now_ms = net->sim->now_ms;
    while (stream->watch != NULL && stream->outstanding < stream->window &&
           (response = rollcall__model_watch_next(stream->watch, now_ms)) != NULL) {
        const bool last = response->canceled || response->error.status != ROLLCALL_OK;
        if (is_lost(net, stream, response)) {
            rollcall_object_drop(&response->object);
            continue;
        }
        stream->outstanding += response->fragment ? 0 : 1;
        send_back(net, stream,
                  (struct rollcall__flight){.kind = ROLLCALL__FLIGHT_RESPONSE,
                                            .object = &response->object});
        if (last) {
            rollcall__model_watch_close(stream->watch);
            stream->watch = NULL;
        }
    }
}

void rollcall__net_pump_watches(struct rollcall__net *net)
{
    net->pump = false;
    for (uint32_t i = 0; i < net->stream_count; i++) {
        pump_watch(net, &net->streams[i]);
    }
}

bool rollcall__net_stream_arrive(struct rollcall__net *net, struct rollcall__net_stream *stream,
                                 const struct rollcall__flight *event)
{
    if (event->kind == ROLLCALL__FLIGHT_OPEN) {
        open_watch(net, stream, event->object);
    } else if (stream->mute_until_ms != INT64_MAX ||
               (!rollcall__net_member_refuses(net, stream->member) && is_stuck(net, stream))) {
        return false;
    } else {
        answer_renew(net, stream, event->lease_id);
    }
    return true;
}

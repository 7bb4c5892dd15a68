/*
 * channel/renewal.c - renewals: each is tried at one endpoint, and after a silence at another.
 *
 * A renewal is idempotent, so it may be asked of several members at once: the first answer is
 * passed on, with the time at which that try was sent.  The silence after which the next one is
 * tried is a twelfth of the TTL, between 0.1 and 0.4 s; once each endpoint has been tried it goes
 * on at one try a second and endpoint; and the first answer of an endpoint that was silent calls
 * all that still wait.  An endpoint that is not connected is not tried, and one that has failed
 * only when its pause has passed: so an outage costs little, however long it lasts, and its end is
 * seen within a tick.  (etcd keeps a follower's stream silent for 7 s when its leader froze: a
 * client that waits for that stream has lost a lease of 5 s that etcd would have kept.)
 */
#include "channel/channel.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    RENEWALS_MAX = 65536,
    TICK_MS = 25, /* how often what is outstanding is looked at */
    HEDGE_DIVISOR = 12,
    HEDGE_MIN_MS = 100,
    HEDGE_MAX_MS = 400,
    REFUSED_MS = 250,   /* once every endpoint has refused a renewal */
    SILENT_MS = 3000,   /* after that one that was silent is as good as others, to be found out */
    AGAIN_MS = 1000,    /* between two tries of a renewal at one endpoint, after the first */
    ABANDONED_MS = 2000 /* its asker asks again sooner, if it still lives */
};

static struct rollcall__renewal *of_entry(struct rollcall__map_entry *entry)
{
    return (struct rollcall__renewal *)(void *)((char *)entry -
                                                offsetof(struct rollcall__renewal, entry));
}

/* ---- answering ---- */

void rollcall__channel_renewal_last(struct rollcall__channel *channel,
                                    struct rollcall__renewal *renewal)
{
    TAILQ_REMOVE(&channel->renewals.waiting, renewal, link);
    TAILQ_INSERT_TAIL(&channel->renewals.waiting, renewal, link);
}

/* What is still to come of its tries is for nobody. */
static void take_out(struct rollcall__channel *channel, struct rollcall__renewal *renewal)
{
    for (struct rollcall__try *tried = renewal->tries; tried != NULL; tried = tried->sibling) {
        tried->renewal = NULL;
    }
    TAILQ_REMOVE(&channel->renewals.waiting, renewal, link);
    rollcall__map_remove(&channel->renewals.map, &renewal->entry);
}

/* Fills in the payload. */
static void write_answer(struct rollcall__answer *answer,
                         const struct transport_keepalive_answer *payload)
{
    memcpy(answer->payload, payload, sizeof *payload);
    answer->size_bytes = sizeof *payload;
}

/* Moves the renewal. */
static void finish(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__renewal *renewal, int64_t ttl_s, int64_t sent_ms,
                   enum rollcall_status status)
{
    const struct transport_keepalive_answer payload = {.lease_id = (int64_t)renewal->entry.a,
                                                       .ttl_s = ttl_s,
                                                       .sent_ms = sent_ms,
                                                       .status = status};
    take_out(channel, renewal);
    write_answer(&renewal->answer, &payload);
    rollcall__channel_answer_at(cx, channel, &renewal->answer,
                                rollcall_now_ms(cx) + renewal->delay_ms);
}

void rollcall__channel_renewals_broke(struct rollcall_context *cx,
                                      struct rollcall__channel *channel, const char *why)
{
    rollcall_log(cx, channel->renewals.broken_told ? ROLLCALL_DEBUG : ROLLCALL_WARN,
                 "a keepalive stream broke: %s", why);
    channel->renewals.broken_told = true;
}

void rollcall__channel_renewals_fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     enum rollcall_status status)
{
    while (!TAILQ_EMPTY(&channel->renewals.waiting)) {
        finish(cx, channel, TAILQ_FIRST(&channel->renewals.waiting), 0, 0, status);
    }
}

/* ---- trying ---- */

/* A token that was refused says nothing of the endpoint, and there is a new one soon: its newest
 * try does not count, and is made again.  Refused twice, it is an endpoint that takes none: false.
 */
static bool forgive(struct rollcall__renewal *renewal, const struct rollcall__try *tried)
{
    if (!tried->shard->token_refused || renewal->token_refused || tried != renewal->tries) {
        return false;
    }
    renewal->token_refused = true;
    renewal->tried--;
    return true;
}

void rollcall__channel_try_failed(struct rollcall_context *cx,
                                  const struct rollcall__channel *channel,
                                  struct rollcall__try *tried)
{
    struct rollcall__renewal *renewal = tried->renewal;
    if (renewal != NULL) {
        struct rollcall__try **at = &renewal->tries;
        renewal->stays |= forgive(renewal, tried);
        while (*at != tried) {
            at = &(*at)->sibling;
        }
        *at = tried->sibling;
        if (renewal->stays) {
            renewal->try_at_ms = rollcall_now_ms(cx);
        } else if (renewal->tries == NULL) { /* at once, but not for ever at once */
            const bool first_round = renewal->tried <= channel->pool.count;
            renewal->try_at_ms = rollcall_now_ms(cx) + (first_round ? 0 : REFUSED_MS);
        }
    }
    free(tried);
}

/* Whom to ask first. */
enum preference { WELL, SILENT, LEFT_FOR_SILENCE, PREFERENCE_COUNT };

/* It can be asked now: connected or about to be, and at least as good as that.  One that is silent
 * is asked for one renewal a tick, until it answers: whatever it is asked meanwhile it will have to
 * work off before anything else.  (With 3,000 leases, of one etcd that was out of reach for 5 s,
 * those were 15,000 requests, and half a second to one.) */
static bool may_ask(struct rollcall_context *cx, const struct rollcall__channel *channel,
                    size_t endpoint, enum preference preference)
{
    const struct rollcall__endpoint *of = &channel->pool.endpoints[endpoint];
    const int64_t now_ms = rollcall_now_ms(cx);
    const bool well = rollcall__pool_is_well(&channel->pool, endpoint, now_ms);
    const bool enough = of->silent && now_ms < of->tried_ms + TICK_MS;
    const bool good[PREFERENCE_COUNT] = {
        [WELL] = well && !(of->silent && now_ms < of->silent_ms + SILENT_MS),
        [SILENT] = well,
        [LEFT_FOR_SILENCE] = of->failures == 0 && rollcall__pool_is_fit(of),
    };
    return good[preference] && !enough &&
           channel->driver->ops->connectivity(channel->driver, ROLLCALL__FOR_RENEWALS, endpoint) !=
               ROLLCALL__DISCONNECTED;
}

/* Where to try next: at first the leader, for all others ask it anyway, or where the pool leads;
 * then each in turn, unless it stays.  `count`: nowhere now. */
static size_t next_endpoint(struct rollcall_context *cx, struct rollcall__channel *channel,
                            const struct rollcall__renewal *renewal)
{
    struct rollcall__pool *pool = &channel->pool;
    size_t from = renewal->endpoint + (renewal->stays ? 0 : 1);
    if (renewal->tried == 0) {
        from = rollcall__pool_leader(pool, rollcall_now_ms(cx));
        from =
            from < pool->count ? from : rollcall__channel_pick(cx, channel, ROLLCALL__FOR_RENEWALS);
    }
    for (int preference = WELL; preference < PREFERENCE_COUNT; preference++) {
        for (size_t i = 0; i < pool->count; i++) {
            const size_t endpoint = (from + i) % pool->count;
            if (may_ask(cx, channel, endpoint, (enum preference)preference)) {
                return endpoint;
            }
        }
    }
    return pool->count;
}

static int64_t pause_ms(const struct rollcall__channel *channel,
                        const struct rollcall__renewal *renewal)
{
    const size_t count = channel->pool.count;
    const bool first_round = renewal->tried == 1 || renewal->tried < count;
    return first_round ? renewal->hedge_ms : AGAIN_MS / (int64_t)count;
}

static bool may_be_over(struct rollcall_context *cx, const struct rollcall__renewal *renewal)
{
    return renewal->safe_until_ms != 0 && rollcall_now_ms(cx) >= renewal->safe_until_ms;
}

/* The endpoint of its newest try has not answered: others are preferred for a while.  That says
 * nothing if its lease may be over: etcd answers for such a one when it has revoked it. */
static void note_silence(struct rollcall_context *cx, struct rollcall__channel *channel,
                         const struct rollcall__renewal *renewal)
{
    if (renewal->tries == NULL || renewal->lapsed || renewal->stays) {
        return;
    }
    channel->pool.endpoints[renewal->endpoint].silent = true;
    channel->pool.endpoints[renewal->endpoint].silent_ms = rollcall_now_ms(cx);
    if (channel->pool.count > 1) {
        rollcall__pool_silent(&channel->pool, renewal->endpoint, rollcall_random(cx),
                              rollcall_now_ms(cx));
        rollcall__channel_probe_soon(cx, channel);
    }
}

/* False: out of memory, or no stream could be opened. */
static bool send_to(struct rollcall_context *cx, struct rollcall__channel *channel, size_t endpoint,
                    struct rollcall__renewal *renewal)
{
    struct rollcall_error error;
    rollcall_error_set(&error, ROLLCALL_E_NO_MEMORY, "out of memory for a renewal");
    struct rollcall__try *tried = rollcall__allocate_zeroed(1, sizeof *tried);
    struct rollcall__shard *shard =
        tried == NULL ? NULL : rollcall__shard_for(cx, channel, endpoint, renewal, &error);
    if (shard == NULL) {
        rollcall__channel_renewals_broke(cx, channel, error.text);
        free(tried);
        return false;
    }
    tried->renewal = renewal;
    tried->lease_id = (int64_t)renewal->entry.a;
    tried->sibling = renewal->tries;
    renewal->tries = tried;
    renewal->tried++;
    renewal->stays = false;
    renewal->endpoint = endpoint;
    renewal->tried_ms = rollcall_now_ms(cx);
    renewal->try_at_ms = rollcall_now_ms(cx) + pause_ms(channel, renewal);
    channel->pool.endpoints[endpoint].tried_ms = rollcall_now_ms(cx);
    rollcall__shard_send(cx, channel, shard, tried);
    return true;
}

/* Tries it at the next endpoint.  False: no renewal can be tried now; this one is again a tick
 * later. */
static bool try_it(struct rollcall_context *cx, struct rollcall__channel *channel,
                   struct rollcall__renewal *renewal)
{
    note_silence(cx, channel, renewal);
    renewal->try_at_ms = rollcall_now_ms(cx) + TICK_MS;
    const size_t endpoint = next_endpoint(cx, channel, renewal);
    return endpoint != channel->pool.count && send_to(cx, channel, endpoint, renewal);
}

static void set_timer(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    if (!channel->renewals.timer) {
        channel->renewals.timer = true;
        rollcall_timer_set(cx, CHANNEL_RENEWALS_DUE, rollcall_now_ms(cx) + TICK_MS);
    }
}

void rollcall__channel_pump(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    if (TAILQ_EMPTY(&channel->renewals.waiting)) {
        return;
    }
    set_timer(cx, channel);
    if (channel->locked) {
        rollcall__channel_authenticate(cx, channel);
        return;
    }
    for (struct rollcall__renewal *renewal = TAILQ_FIRST(&channel->renewals.waiting), *next;
         renewal != NULL; renewal = next) {
        next = TAILQ_NEXT(renewal, link);
        if (!renewal->lapsed && may_be_over(cx, renewal)) { /* after those that can be saved */
            renewal->lapsed = true;
            rollcall__channel_renewal_last(channel, renewal);
            next = next == NULL ? renewal : next;
        } else if (renewal->try_at_ms <= now_ms && !try_it(cx, channel, renewal)) {
            return;
        }
    }
}

/* ---- messages ---- */

static void refuse_at_once(struct rollcall_context *cx, const struct rollcall_message *message,
                           enum rollcall_status status)
{
    const struct transport_keepalive *ask = message->payload;
    const struct transport_keepalive_answer answer = {.lease_id = ask->lease_id, .status = status};
    ROLLCALL_DROP(rollcall_reply(cx, message->from, ask->answer, &answer, sizeof answer, NULL),
                  "the asker holds more requests than its mailbox, or memory is exhausted");
}

/* Never sent: answered at once, or as what a silent stream leaves unanswered is. */
static void fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                 const struct rollcall_message *message, const struct rollcall__failure *failure)
{
    const struct transport_keepalive *ask = message->payload;
    if (failure->action == ROLLCALL__FAIL_ERROR) {
        const bool unknown = failure->status == ROLLCALL_E_LEASE_LOST; /* a TTL of 0 says so */
        refuse_at_once(cx, message, unknown ? ROLLCALL_OK : failure->status);
        return;
    }
    struct rollcall__answer *answer = rollcall__channel_answer_create(message->from, ask->answer);
    if (answer == NULL) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY);
        return;
    }
    const struct transport_keepalive_answer payload = {.lease_id = ask->lease_id,
                                                       .status = ROLLCALL_E_UNAVAILABLE};
    write_answer(answer, &payload);
    rollcall__channel_answer_at(cx, channel, answer, rollcall_now_ms(cx) + ABANDONED_MS);
}

static int64_t hedge_ms(int64_t ttl_ms)
{
    const int64_t wanted_ms = ttl_ms == 0 ? HEDGE_MAX_MS : ttl_ms / HEDGE_DIVISOR;
    return wanted_ms < HEDGE_MIN_MS   ? HEDGE_MIN_MS
           : wanted_ms > HEDGE_MAX_MS ? HEDGE_MAX_MS
                                      : wanted_ms;
}

/* NULL: out of memory. */
static struct rollcall__renewal *accept(struct rollcall_context *cx,
                                        struct rollcall__channel *channel,
                                        const struct rollcall_message *message)
{
    const struct transport_keepalive *ask = message->payload;
    struct rollcall__renewals *renewals = &channel->renewals;
    struct rollcall__renewal *renewal = rollcall__allocate_zeroed(1, sizeof *renewal);
    if (renewal == NULL) {
        return NULL;
    }
    renewal->answer.to = message->from;
    renewal->answer.type = ask->answer;
    renewal->entry.a = (uint64_t)ask->lease_id;
    renewal->entry.b = message->from.ref.bits;
    renewal->asked_ms = rollcall_now_ms(cx);
    renewal->hedge_ms = hedge_ms(ask->ttl_ms);
    renewal->safe_until_ms = ask->safe_until_ms;
    renewal->lapsed = may_be_over(cx, renewal);
    if (!rollcall__map_insert(&renewals->map, &renewal->entry)) {
        free(renewal);
        return NULL;
    }
    TAILQ_INSERT_HEAD(&renewals->waiting, renewal, link);
    return renewal;
}

static void begin(struct rollcall_context *cx, struct rollcall__channel *channel,
                  const struct rollcall_message *message, int64_t delay_ms)
{
    struct rollcall__renewal *renewal = accept(cx, channel, message);
    if (renewal == NULL) {
        refuse_at_once(cx, message, ROLLCALL_E_NO_MEMORY);
        return;
    }
    renewal->delay_ms = delay_ms;
    set_timer(cx, channel);
    if (channel->locked) {
        rollcall__channel_authenticate(cx, channel);
    } else {
        (void)try_it(cx, channel, renewal);
    }
}

/* One answer serves both; the asker may have been restarted. */
static void ask_again(struct rollcall_context *cx, struct rollcall__renewal *renewal,
                      const struct rollcall_message *message)
{
    const struct transport_keepalive *ask = message->payload;
    renewal->answer.to = message->from;
    renewal->answer.type = ask->answer;
    renewal->asked_ms = rollcall_now_ms(cx);
    renewal->safe_until_ms = ask->safe_until_ms;
    renewal->lapsed = may_be_over(cx, renewal);
}

int rollcall__channel_on_keepalive(struct rollcall_context *cx, void *self,
                                   const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct transport_keepalive *ask = message->payload;
    struct rollcall__map_entry *entry =
        rollcall__map_find(&channel->renewals.map, (uint64_t)ask->lease_id, message->from.ref.bits);
    if (channel->stopping) {
        refuse_at_once(cx, message, ROLLCALL_E_STOPPED);
        return ROLLCALL_STAY;
    }
    const struct rollcall__failure failure = rollcall__failpoint_at(cx, "renewal");
    if (failure.action == ROLLCALL__FAIL_ERROR || failure.action == ROLLCALL__FAIL_DROP) {
        fail(cx, channel, message, &failure);
    } else if (entry != NULL) {
        ask_again(cx, of_entry(entry), message);
    } else if (channel->renewals.map.count >= RENEWALS_MAX) {
        refuse_at_once(cx, message, ROLLCALL_E_FULL);
    } else {
        begin(cx, channel, message, failure.delay_ms);
    }
    return ROLLCALL_STAY;
}

/* The endpoint answers again: what has waited for long enough is tried now, and not when its turn
 * comes; on new streams, for on the old ones are renewals of leases that have ended since. */
static void call_all(struct rollcall_context *cx, struct rollcall__channel *channel,
                     size_t endpoint)
{
    struct rollcall__renewal *renewal;
    rollcall__shards_retire(channel, endpoint);
    TAILQ_FOREACH (renewal, &channel->renewals.waiting, link) {
        const bool here = renewal->endpoint == endpoint; /* then its answer is likely to come */
        const int64_t at_ms = here ? renewal->tried_ms + renewal->hedge_ms : rollcall_now_ms(cx);
        if (renewal->tries != NULL && renewal->try_at_ms > at_ms) {
            renewal->try_at_ms = at_ms;
        }
    }
    rollcall__channel_pump(cx, channel);
}

/* The answer to `tried`; moves it. */
static void answered(struct rollcall_context *cx, struct rollcall__channel *channel,
                     struct rollcall__try *tried, int64_t ttl_s)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    const size_t at = tried->shard->stream->endpoint;
    const bool was_silent = channel->pool.endpoints[at].silent;
    rollcall__pool_succeeded(&channel->pool, at, now_ms - tried->sent_ms, now_ms);
    channel->pool.endpoints[at].silent = false;
    channel->renewals.broken_told = false;
    if (tried->renewal != NULL) {
        finish(cx, channel, tried->renewal, ttl_s, tried->sent_ms, ROLLCALL_OK);
    }
    free(tried);
    if (was_silent) {
        call_all(cx, channel, at);
    }
}

int rollcall__channel_on_renewed(struct rollcall_context *cx, void *self,
                                 const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const struct channel_renewed *renewed = message->payload;
    struct rollcall__stream *stream = renewed->stream;
    stream->pending -= renewed->armed ? 0 : 1;
    if (stream->shard != NULL) {
        struct rollcall__try *tried =
            rollcall__shard_answered(channel, stream->shard, renewed->lease_id);
        if (tried != NULL) {
            answered(cx, channel, tried, renewed->ttl_s);
        } else {
            rollcall__channel_renewals_broke(cx, channel,
                                             "it answered for a lease it was not asked about");
            rollcall__shard_end(cx, channel, stream->shard);
            rollcall__channel_pump(cx, channel);
        }
    }
    rollcall__channel_heard(cx, channel, stream);
    return rollcall__channel_next(channel);
}

int rollcall__channel_on_renewals_due(struct rollcall_context *cx, void *self,
                                      const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    const int64_t abandoned_ms = rollcall_now_ms(cx) - ABANDONED_MS;
    (void)message;
    channel->renewals.timer = false;
    for (struct rollcall__renewal *renewal = TAILQ_FIRST(&channel->renewals.waiting), *next;
         renewal != NULL; renewal = next) {
        next = TAILQ_NEXT(renewal, link);
        if (renewal->asked_ms <= abandoned_ms) {
            finish(cx, channel, renewal, 0, 0, ROLLCALL_E_UNAVAILABLE);
        }
    }
    if (rollcall__shards_check(cx, channel)) {
        set_timer(cx, channel);
    }
    rollcall__channel_pump(cx, channel);
    return ROLLCALL_STAY;
}

void rollcall__channel_renewals_fini(struct rollcall__channel *channel)
{
    while (!TAILQ_EMPTY(&channel->renewals.waiting)) {
        struct rollcall__renewal *renewal = TAILQ_FIRST(&channel->renewals.waiting);
        take_out(channel, renewal);
        free(renewal);
    }
    rollcall__shards_fini(channel);
    rollcall__map_fini(&channel->renewals.map);
}

/*
 * actors/registration_rival.c - the key is somebody else's: yielding to it, and waiting for its
 * end.
 *
 * Whoever waits holds nothing: its lease was revoked, or is shared with others.  It watches the key
 * from the revision at which it saw the rival's, so no end of it falls in between, and tries again
 * the moment the key is gone.  A watch may break, and what is gone may be somebody's again at once:
 * it also tries again after a while, as upstream does.  Every try is one of `retries`.
 */
#include "actors/registration_internal.h"
#include "actors/session_requests.h"
#include "transport/request.h"

enum {
    RIVAL_WAIT_MIN_MS = 200,  /* doubled for each attempt, */
    RIVAL_WAIT_MAX_MS = 3000, /* as upstream waits */
    RIVAL_DOUBLINGS_MAX = 5,
    UNWATCHED_MAX_MS = 1000, /* how long a key is waited for that nobody looks at */
    SKIPPED_IDS_MAX = 1000   /* before a taken key is waited for, as a given ID's is */
};

static void retry_in(struct rollcall_context *cx, struct registration *re, int64_t wait_ms)
{
    re->retry_at_ms = rollcall_now_ms(cx) + wait_ms;
    rollcall_timer_set(cx, REGISTRATION_RETRY, re->retry_at_ms);
}

/* Nobody tells us of the key's end any more. */
static void go_blind(struct rollcall_context *cx, struct registration *re)
{
    re->watch_id = 0;
    if (re->retry_at_ms > rollcall_now_ms(cx) + UNWATCHED_MAX_MS) {
        retry_in(cx, re, UNWATCHED_MAX_MS);
    }
}

/* That the transport has no room, or we no memory, is no reason to give up waiting. */
static void watch_rival(struct rollcall_context *cx, struct registration *re)
{
    const struct transport_watch watch = {.watch_id = ++re->watches, .answer = REGISTRATION_RIVAL};
    struct transport_range *range =
        transport_range_create(rollcall__buffer_bytes(&re->key), (struct rollcall_bytes){NULL, 0});
    if (range == NULL) {
        go_blind(cx, re);
        return;
    }
    range->revision = re->rival_revision; /* not the next: see liveness */
    re->watch_id = watch.watch_id;
    if (rollcall_send_object(cx, re->transport, TRANSPORT_WATCH, &watch, sizeof watch,
                             &range->object) != ROLLCALL_OK) {
        go_blind(cx, re);
    }
}

/* What we held for the key is given up. */
static int wait_for_rival(struct rollcall_context *cx, struct registration *re)
{
    const uint32_t doublings =
        re->held->attempts < RIVAL_DOUBLINGS_MAX ? re->held->attempts : RIVAL_DOUBLINGS_MAX;
    const int64_t wait_ms = (int64_t)RIVAL_WAIT_MIN_MS << (doublings - 1);
    if (!re->config->share_lease) {
        re->held->lease_id = 0;
        re->held->granted = false;
        re->held->yielding = false;
    }
    if (re->rival_revision == 0) {
        return registration_ask_grant(cx, re); /* it looks again */
    }
    if (re->skip_id) { /* the id key was set back: the next ID may be free */
        re->held->skipped_ids++;
        re->held->server_id = 0;
        return registration_ask_allocate(cx, re);
    }
    retry_in(cx, re, wait_ms < RIVAL_WAIT_MAX_MS ? wait_ms : RIVAL_WAIT_MAX_MS);
    watch_rival(cx, re);
    return WAITING;
}

int registration_yield_to(struct rollcall_context *cx, struct registration *re,
                          const struct transport_kv *rival, int64_t revision)
{
    struct rollcall_error error;
    session_rival_error(re->config, re->key.data, rival, &error);
    re->skip_id = re->options->server_id == 0 && re->config->server_id == 0 &&
                  !re->config->reuse_server_id && !re->config->exclusive &&
                  re->held->skipped_ids < SKIPPED_IDS_MAX;
    if (!re->skip_id && re->held->attempts >= re->config->retries) {
        return registration_give_up(cx, re, &error);
    }
    rollcall_log(cx, ROLLCALL_WARN, "attempt %u of %u: %s", re->held->attempts, re->config->retries,
                 error.text);
    re->rival_revision = revision;
    if (re->config->share_lease) {
        return wait_for_rival(cx, re); /* others use it: it is not ours to revoke */
    }
    return registration_ask_yield(cx, re);
}

/* From here on the lease is nothing to claim with: however long the answer is away, etcd may revoke
 * it then. */
int registration_ask_yield(struct rollcall_context *cx, struct registration *re)
{
    re->held->yielding = true;
    return registration_ask(
        cx, re, transport_request_lease(TRANSPORT_LEASE_REVOKE, re->held->lease_id, 0), YIELDING);
}

int registration_on_yielded(struct rollcall_context *cx, void *self,
                            const struct rollcall_message *message)
{
    int next;
    return registration_accept(cx, self, message, &next) ? wait_for_rival(cx, self) : next;
}

static void stop_watching(struct rollcall_context *cx, struct registration *re)
{
    const struct transport_watch_id id = {.watch_id = re->watch_id};
    if (re->watch_id != 0) {
        ROLLCALL_DROP(rollcall_send(cx, re->transport, TRANSPORT_WATCH_CANCEL, &id, sizeof id),
                      "a watch of one key costs little, and ends with us");
    }
    re->watch_id = 0;
}

void registration_stop_waiting(struct rollcall_context *cx, struct registration *re)
{
    rollcall_timer_cancel(cx, REGISTRATION_RETRY);
    stop_watching(cx, re);
}

int registration_on_retry(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    struct registration *re = self;
    (void)message;
    registration_stop_waiting(cx, re);
    re->held->attempts++;
    return registration_ask_grant(cx, re);
}

static bool is_freed(const struct transport_watch_response *response)
{
    for (size_t i = 0; i < response->event_count; i++) {
        if (response->events[i].kind == TRANSPORT_DELETE) {
            return true;
        }
    }
    return false;
}

int registration_on_rival(struct rollcall_context *cx, void *self,
                          const struct rollcall_message *message)
{
    struct registration *re = self;
    const struct transport_watch_answer *answer = message->payload;
    const struct transport_watch_response *response =
        (const struct transport_watch_response *)message->object;
    const struct transport_watch_id id = {.watch_id = answer->watch_id};
    if (answer->watch_id != re->watch_id) {
        return ROLLCALL_STAY; /* of one that has ended */
    }
    if (response->error.status != ROLLCALL_OK || response->canceled) {
        go_blind(cx, re);
        return ROLLCALL_STAY;
    }
    if (is_freed(response)) {
        return registration_on_retry(cx, re, NULL);
    }
    if (rollcall_send(cx, re->transport, TRANSPORT_WATCH_ACK, &id, sizeof id) != ROLLCALL_OK) {
        stop_watching(cx, re); /* it would be told no more */
        go_blind(cx, re);
    }
    return ROLLCALL_STAY;
}

bool registration_is_of_watch(const struct registration *re, const struct rollcall_message *bounced)
{
    const struct rollcall_bounced *of = bounced->payload;
    return rollcall_ref_equal(of->to, re->transport) &&
           (of->type == TRANSPORT_WATCH || of->type == TRANSPORT_WATCH_ACK ||
            of->type == TRANSPORT_WATCH_CANCEL);
}

/* WAITING: what we asked of the watch had no room where it went, and it may be mute; or it was to
 * end the one before, which then tells nobody anything. */
int registration_on_unheard(struct rollcall_context *cx, void *self,
                            const struct rollcall_message *message)
{
    const struct rollcall_bounced *bounced = message->payload;
    if (bounced->type != TRANSPORT_WATCH_CANCEL) {
        stop_watching(cx, self);
        go_blind(cx, self);
    }
    return ROLLCALL_STAY;
}

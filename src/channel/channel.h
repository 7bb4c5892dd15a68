/*
 * channel/channel.h - the transport actor's own messages and state.
 *
 * One actor per driver owns everything that changes: calls in flight, requests that wait for a
 * token or a connection, the keepalive streams, the watches.  Its code is in channel.c (table,
 * streams, life), call.c, auth.c, probe.c, renewal.c, shard.c, watch.c and answer.c; what is below
 * it is a driver: gRPC, or the simulator's network.
 *
 * Threads: the actor's; the driver only posts the messages.
 */
#ifndef CHANNEL_CHANNEL_H
#define CHANNEL_CHANNEL_H

#include "channel/driver.h"
#include "channel/map.h"
#include "channel/pool.h"
#include "runtime/failpoint.h"

/* Numbered after the port's, whose numbers askers know. */
#define CHANNEL_OWN_LIST(X)                                                                        \
    X(CHANNEL_CALL_DONE, sizeof(struct channel_call_done)) /* object: transport_result */          \
    X(CHANNEL_STREAM_SENT, sizeof(struct channel_stream))                                          \
    X(CHANNEL_STREAM_RECEIVED, sizeof(struct channel_received)) /* object: a watch response, or    \
                                                                   NULL at the end */              \
    X(CHANNEL_RENEWED, sizeof(struct channel_renewed))                                             \
    X(CHANNEL_STREAM_STATUS, sizeof(struct channel_stream)) /* why is in stream->error */          \
    X(CHANNEL_OUTBOX_DUE, 0)                                                                       \
    X(CHANNEL_WAITING_DUE, 0)                                                                      \
    X(CHANNEL_RENEWALS_DUE, 0)                                                                     \
    X(CHANNEL_DELAYED_DUE, 0)                                                                      \
    X(CHANNEL_PROBE_DUE, 0)                                                                        \
    X(CHANNEL_WATCHES_DUE, 0)
#define CHANNEL_LIST(X) TRANSPORT_LIST(X) CHANNEL_OWN_LIST(X)
enum channel_message {
    channel_message_before_first = TRANSPORT_COUNT - 1,
    CHANNEL_OWN_LIST(ROLLCALL_ENUM) CHANNEL_COUNT
};

struct channel_call_done {
    struct rollcall__call *call;
};
struct channel_stream {
    struct rollcall__stream *stream;
};
struct channel_received {
    struct rollcall__stream *stream;
    bool armed; /* the next message has been asked for: the batch goes on */
};
struct channel_renewed {
    struct rollcall__stream *stream;
    int64_t lease_id, ttl_s;
    bool armed;
};

/* A request that waits for a token or a connection. */
struct rollcall__waiting {
    struct rollcall__waiting *next;
    struct rollcall__asked asked;
};

/* One sending of a renewal. */
struct rollcall__try {
    struct rollcall__try *next;        /* of its shard, in the order sent */
    struct rollcall__try *sibling;     /* of its renewal */
    struct rollcall__renewal *renewal; /* NULL: answered by another; an answer comes all the same */
    struct rollcall__shard *shard;
    int64_t lease_id, sent_ms;
};

/* A keepalive stream. */
struct rollcall__shard {
    struct rollcall__shard *next;
    struct rollcall__stream *stream;
    uint32_t number;
    bool retired;       /* nothing more is sent on it; it ends when it has answered, or too late */
    bool token_refused; /* that is why it ends */
    struct rollcall__try *first, *last; /* not answered yet, oldest first */
    struct rollcall__try *unsent;       /* the first that has not been sent, and all after */
};

/* What an asker waits for. */
struct rollcall__renewal {
    struct rollcall__answer answer;   /* first: the outbox frees it */
    struct rollcall__map_entry entry; /* lease id, asker */
    TAILQ_ENTRY(rollcall__renewal) link;
    struct rollcall__try *tries; /* newest first */
    uint32_t tried;              /* how often so far */
    size_t endpoint;             /* of the last try */
    int64_t asked_ms;            /* for the last time */
    int64_t tried_ms;            /* for the last time */
    int64_t try_at_ms;           /* again, if there is no answer by then */
    int64_t hedge_ms;            /* the silence after which another endpoint is tried */
    int64_t delay_ms;            /* by a fail point: how much later it is answered */
    int64_t safe_until_ms;       /* see transport_keepalive */
    bool lapsed;                 /* that has passed: the lease may be over */
    bool token_refused;          /* once already */
    bool stays;                  /* the next try is again as this one was: see next_endpoint */
};

struct rollcall__renewals {
    struct rollcall__map map;
    TAILQ_HEAD(, rollcall__renewal) waiting; /* in the order in which they are tried */
    struct rollcall__shard *shards;
    bool timer;       /* CHANNEL_RENEWALS_DUE is set */
    bool broken_told; /* in the log, once until etcd renews again */
};

struct rollcall__watch {
    struct rollcall__map_entry entry; /* asker, the asker's id */
    struct rollcall__stream *stream;  /* NULL: waits for a token */
    struct rollcall__answer *last;    /* the place for its last answer */
    struct transport_range *range;    /* one reference, until the stream is open */
    struct rollcall__watch *next_waiting;
    TAILQ_ENTRY(rollcall__watch) link; /* of those that are opening */
    bool opening;                      /* etcd has not said that it watches */
    int64_t opened_ms;
    uint32_t window, unacknowledged; /* responses */
    int64_t late_until_ms;           /* by a fail point: nothing is answered before */
};

struct rollcall__delayed; /* answer.c */

struct rollcall__channel {
    struct rollcall__driver *driver; /* borrowed */
    struct rollcall__pool pool;
    int64_t members_at_ms;    /* the list of members is not asked for before */
    int64_t members_asked_ms; /* when it was, the last time */
    int64_t settled_at_ms;    /* until then the leader may be another soon: see probe.c */
    bool stopping;
    bool waiting_timer; /* CHANNEL_WAITING_DUE is set */
    LIST_HEAD(, rollcall__call) calls;
    LIST_HEAD(, rollcall__stream) streams;
    size_t request_count; /* calls and waiting */
    size_t call_count;    /* of these, calls in flight */
    struct rollcall__waiting *waiting_first, *waiting_last;
    struct rollcall__outbox outbox;
    struct rollcall__delayed *delayed; /* by fail points, on their way to the outbox */
    struct rollcall__renewals renewals;
    struct rollcall__map watches;
    struct rollcall__watch *watches_waiting;       /* for a token */
    TAILQ_HEAD(, rollcall__watch) watches_opening; /* etcd has not said that it watches */
    /* Authentication: */
    bool locked; /* requests wait for a token */
    char *token; /* NULL: none */
    uint64_t generation;
    struct rollcall__call *authentication; /* the newest in flight, in `calls` too; NULL: none,
                                              or only older ones */
    uint32_t authentications;              /* in flight */
    int64_t authenticate_at_ms;            /* not before */
    int64_t token_at_ms;                   /* when the newest token came */
};

struct channel_options {
    struct rollcall__driver *driver; /* borrowed; stays until its `end` has been called */
};
extern const struct rollcall_actor_type rollcall__channel_type;

/* ---- channel.c ---- */

/* What a handler returns: END when stopping and every batch has completed, else STAY. */
int rollcall__channel_next(const struct rollcall__channel *channel);

/* The endpoint for a call or stream. */
size_t rollcall__channel_pick(struct rollcall_context *cx, struct rollcall__channel *channel,
                              enum rollcall__purpose purpose);
/* There is an endpoint with a live connection for calls; or one that may have it soon. */
bool rollcall__channel_connected(const struct rollcall__channel *channel);
bool rollcall__channel_connecting(const struct rollcall__channel *channel);
/* What failed on `endpoint` is held against it, if the error says that it is its fault. */
void rollcall__channel_blame(struct rollcall_context *cx, struct rollcall__channel *channel,
                             size_t endpoint, const struct rollcall_error *error);
/* In the list until it is destroyed.  NULL: *error says why. */
struct rollcall__stream *rollcall__channel_open_stream(struct rollcall__channel *channel,
                                                       enum rollcall__stream_kind kind,
                                                       size_t endpoint, uint32_t window,
                                                       struct rollcall_error *error);
/* Nobody is told of its end. */
void rollcall__channel_cancel_stream(struct rollcall__channel *channel,
                                     struct rollcall__stream *stream);
/* A message about the stream has been accounted for: destroys it when that was the last. */
void rollcall__channel_heard(struct rollcall_context *cx, struct rollcall__channel *channel,
                             struct rollcall__stream *stream);

/* ---- call.c ---- */

rollcall_handler_fn rollcall__channel_on_call, rollcall__channel_on_call_done,
    rollcall__channel_on_waiting_due;
/* Looks at what waits again soon. */
void rollcall__channel_wait(struct rollcall_context *cx, struct rollcall__channel *channel);
/* Starts what waits and can be started now. */
void rollcall__channel_release(struct rollcall_context *cx, struct rollcall__channel *channel);
/* Answers what waits.  patient: also what said wait_for_ready. */
void rollcall__channel_refuse(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall_error *error, bool patient);
struct rollcall__start {
    size_t endpoint;
    enum rollcall__call_purpose purpose;
    const struct transport_request *request; /* borrowed; NULL: Authenticate */
    int64_t timeout_ms;
};
/* As the driver's `call`; in the list until CHANNEL_CALL_DONE. */
struct rollcall__call *rollcall__channel_start_call(struct rollcall_context *cx,
                                                    struct rollcall__channel *channel,
                                                    const struct rollcall__start *start,
                                                    struct rollcall_error *error);
/* Frees, and tells nobody. */
void rollcall__channel_calls_fini(struct rollcall__channel *channel);

/* ---- auth.c ---- */

void rollcall__channel_drop_token(struct rollcall__channel *channel);
/* Starts Authenticate, unless it is in flight or its pause has not passed. */
void rollcall__channel_authenticate(struct rollcall_context *cx, struct rollcall__channel *channel);
void rollcall__channel_authenticated(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     struct rollcall__call *call,
                                     const struct transport_result *result);
/* The token of `generation` was refused: gets a new one, unless that has happened already. */
void rollcall__channel_token_refused(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     uint64_t generation);

/* ---- probe.c ---- */

rollcall_handler_fn rollcall__channel_on_probe_due;
void rollcall__channel_probe_begin(struct rollcall_context *cx, struct rollcall__channel *channel);
/* The leader may be another by now. */
void rollcall__channel_probe_soon(struct rollcall_context *cx, struct rollcall__channel *channel);
void rollcall__channel_probed(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall__call *call,
                              const struct transport_result *result);
void rollcall__channel_listed(struct rollcall_context *cx, struct rollcall__channel *channel,
                              const struct rollcall__call *call,
                              const struct transport_result *result);

/* ---- renewal.c ---- */

rollcall_handler_fn rollcall__channel_on_keepalive, rollcall__channel_on_renewed,
    rollcall__channel_on_renewals_due;
/* Tries what is due to be tried. */
void rollcall__channel_pump(struct rollcall_context *cx, struct rollcall__channel *channel);
/* `tried` will not be answered: if its renewal has no other, it is due to be tried again.  Moves
 * it. */
void rollcall__channel_try_failed(struct rollcall_context *cx,
                                  const struct rollcall__channel *channel,
                                  struct rollcall__try *tried);
/* From here on the others are tried before it. */
void rollcall__channel_renewal_last(struct rollcall__channel *channel,
                                    struct rollcall__renewal *renewal);
/* Logs what broke a keepalive stream: loud the first time of an outage, quiet after that. */
void rollcall__channel_renewals_broke(struct rollcall_context *cx,
                                      struct rollcall__channel *channel, const char *why);
/* Answers every renewal. */
void rollcall__channel_renewals_fail(struct rollcall_context *cx, struct rollcall__channel *channel,
                                     enum rollcall_status status);
/* Frees, and tells nobody. */
void rollcall__channel_renewals_fini(struct rollcall__channel *channel);

/* ---- shard.c ---- */

/* The shard for a renewal at an endpoint, opened if need be: one that is not silent, and has the
 * newest token.  NULL: *error says why there is none. */
struct rollcall__shard *rollcall__shard_for(struct rollcall_context *cx,
                                            struct rollcall__channel *channel, size_t endpoint,
                                            const struct rollcall__renewal *renewal,
                                            struct rollcall_error *error);
/* Sends `tried`, now or when the stream can take it; moves it. */
void rollcall__shard_send(struct rollcall_context *cx, struct rollcall__channel *channel,
                          struct rollcall__shard *shard, struct rollcall__try *tried);
/* The stream can take another one. */
void rollcall__shard_sent(struct rollcall_context *cx, struct rollcall__channel *channel,
                          struct rollcall__shard *shard);
/* The try that an answer for this lease is for, taken off the shard; NULL: it was not asked. */
struct rollcall__try *rollcall__shard_answered(struct rollcall__channel *channel,
                                               struct rollcall__shard *shard, int64_t lease_id);
/* Ends the shard, its stream too unless that has ended; its tries have failed. */
void rollcall__shard_end(struct rollcall_context *cx, struct rollcall__channel *channel,
                         struct rollcall__shard *shard);
/* Nothing more is sent on those of the endpoint that have something to answer. */
void rollcall__shards_retire(struct rollcall__channel *channel, size_t endpoint);
void rollcall__shards_stop(struct rollcall_context *cx, struct rollcall__channel *channel);
/* Ends those that have been silent for too long; true: there is one that has not answered. */
bool rollcall__shards_check(struct rollcall_context *cx, struct rollcall__channel *channel);
void rollcall__shards_fini(struct rollcall__channel *channel); /* frees them and their tries */

/* ---- watch.c ---- */

rollcall_handler_fn rollcall__channel_on_watch, rollcall__channel_on_watch_ack,
    rollcall__channel_on_watch_cancel, rollcall__channel_on_down, rollcall__channel_on_watches_due;
/* One response of a stream that is still wanted. */
void rollcall__channel_watched(struct rollcall_context *cx, struct rollcall__channel *channel,
                               struct rollcall__watch *watch, struct rollcall_object *response);
/* Gives the last answer and forgets the watch. */
void rollcall__channel_watch_end(struct rollcall_context *cx, struct rollcall__channel *channel,
                                 struct rollcall__watch *watch, const struct rollcall_error *error);
/* Opens those that waited for a token, or ends them with *error. */
void rollcall__channel_watches_release(struct rollcall_context *cx,
                                       struct rollcall__channel *channel,
                                       const struct rollcall_error *error);
void rollcall__channel_watches_stop(struct rollcall_context *cx, struct rollcall__channel *channel);
/* Frees, and tells nobody. */
void rollcall__channel_watches_fini(struct rollcall__channel *channel);

/* ---- answer.c ---- */

rollcall_handler_fn rollcall__channel_on_outbox_due, rollcall__channel_on_delayed_due;
/* A place for an answer; NULL: out of memory. */
struct rollcall__answer *rollcall__channel_answer_create(struct rollcall_caller to, uint16_t type);
/* Moves the answer to its asker, now or when there is room. */
void rollcall__channel_answer(struct rollcall_context *cx, struct rollcall__channel *channel,
                              struct rollcall__answer *answer);
/* As rollcall__channel_answer, but not before at_ms; in time already: at once. */
void rollcall__channel_answer_at(struct rollcall_context *cx, struct rollcall__channel *channel,
                                 struct rollcall__answer *answer, int64_t at_ms);
/* Answers what is late; from here on nothing is. */
void rollcall__channel_delayed_stop(struct rollcall_context *cx, struct rollcall__channel *channel);
/* Frees what is late, unsent. */
void rollcall__channel_delayed_fini(struct rollcall__channel *channel);
/* The sentence of a failure at etcd/point. */
void rollcall__channel_fail_text(struct rollcall_error *error, enum rollcall_status status,
                                 const char *point);

#endif /* CHANNEL_CHANNEL_H */

/*
 * channel/driver.h - what a channel stands on: calls and streams to single endpoints.  gRPC is one
 * (src/etcd), the simulator's network the other (src/sim).
 *
 * A driver starts what it is told to start, and posts to the actor what becomes of it, as the
 * messages of channel.h.  It decides nothing: which endpoint, when again, what to do about an
 * error, is the channel's.
 *
 * Invariant: a call or stream lives until the actor has handled the last message about it, and has
 * destroyed it; so a pointer in a message is never stale.
 * Threads: everything here is called by the actor, on its worker; posting is the driver's matter.
 */
#ifndef CHANNEL_DRIVER_H
#define CHANNEL_DRIVER_H

#include "channel/outbox.h"
#include "transport/messages.h"

#include <sys/queue.h>

enum { ROLLCALL__ENDPOINTS_MAX = 16 };

/* Each has connections of its own, so that none delays another. */
enum rollcall__purpose {
    ROLLCALL__FOR_CALLS,
    ROLLCALL__FOR_WATCHES,
    ROLLCALL__FOR_RENEWALS,
    ROLLCALL__PURPOSE_COUNT
};

/* Of an endpoint's connection; asking for it starts one. */
enum rollcall__connectivity {
    ROLLCALL__CONNECTING, /* not known yet */
    ROLLCALL__CONNECTED,
    ROLLCALL__DISCONNECTED /* the last attempt has failed; the next is on its way */
};

/* A request accepted and not answered yet. */
struct rollcall__asked {
    struct rollcall_caller from;
    struct transport_call call;
    struct transport_request *request; /* one reference */
    struct rollcall__answer *answer;   /* owned: the place for its answer */
    int64_t deadline_ms;
    int64_t choice_ms; /* until then it waits for a choice of connections */
    int64_t delay_ms;  /* by a fail point: how much later it is answered */
    uint32_t refusals; /* of the tokens it went with */
};

/* Whose call it is. */
enum rollcall__call_purpose {
    ROLLCALL__CALL_ASKED, /* somebody's: see `asked` */
    ROLLCALL__CALL_AUTHENTICATES,
    ROLLCALL__CALL_PROBES, /* STATUS, of the channel's own */
    ROLLCALL__CALL_LISTS   /* MEMBERS, likewise */
};

/* One unary request to one endpoint.  The driver's own part lies around it. */
struct rollcall__call {
    LIST_ENTRY(rollcall__call) link; /* in the actor's list */
    struct rollcall__asked asked;    /* all zero: the channel's own */
    size_t endpoint;                 /* by the driver, before anything is posted */
    uint64_t generation;             /* of the token it went with */
    int64_t started_ms;
    enum rollcall__call_purpose purpose;
    /* By the driver, of an Authenticate that is done: */
    char *token;         /* from malloc; owned; NULL: none */
    bool needs_no_token; /* etcd has authentication off */
};

enum rollcall__stream_kind { ROLLCALL__STREAM_KEEPALIVE, ROLLCALL__STREAM_WATCH };

struct rollcall__shard;
struct rollcall__watch;

/* One bidirectional stream: renewals, or one watch.  The driver's own part lies around it. */
struct rollcall__stream {
    LIST_ENTRY(rollcall__stream) link; /* in the actor's list */
    struct rollcall__watch *watch;     /* whose it is, borrowed; or the next; both NULL: */
    struct rollcall__shard *shard;     /* nobody wants it any more */
    enum rollcall__stream_kind kind;   /* and the next: by the driver, before anything is posted */
    size_t endpoint;
    uint64_t generation;         /* of the token it was opened with */
    uint32_t pending;            /* messages still to come about it; 0: it may be destroyed */
    bool sending;                /* CHANNEL_STREAM_SENT is to come: nothing may be sent before */
    bool ended;                  /* CHANNEL_STREAM_STATUS has come */
    bool canceled;               /* by us: its end is nobody's fault */
    struct rollcall_error error; /* why it ended; once `ended` */
};

struct rollcall__driver;
struct rollcall__driver_ops {
    /* Who is to be told; before anything else. */
    void (*begin)(struct rollcall__driver *driver, struct rollcall_caller actor);
    /* The actor has ended, and with it every call and stream: the last that is called. */
    void (*end)(struct rollcall__driver *driver);
    enum rollcall__connectivity (*connectivity)(struct rollcall__driver *driver,
                                                enum rollcall__purpose purpose, size_t endpoint);
    /*
     * Starts a call.  Its end posts CHANNEL_CALL_DONE with a transport_result, at most timeout_ms
     * from now.  request: borrowed; NULL: Authenticate.  token: copied; NULL: none.
     * Returns: NULL when it could not be started; then nothing is posted and *error says why.
     */
    struct rollcall__call *(*call)(struct rollcall__driver *driver, size_t endpoint,
                                   const struct transport_request *request, const char *token,
                                   int64_t timeout_ms, struct rollcall_error *error);
    void (*call_cancel)(struct rollcall__driver *driver, struct rollcall__call *call);
    void (*call_destroy)(struct rollcall__driver *driver, struct rollcall__call *call);
    /*
     * Opens a stream that takes in `window` messages before it waits for a credit.  Its end posts
     * CHANNEL_STREAM_STATUS, once.  Returns as `call`.
     */
    struct rollcall__stream *(*open)(struct rollcall__driver *driver,
                                     enum rollcall__stream_kind kind, size_t endpoint,
                                     const char *token, uint32_t window,
                                     struct rollcall_error *error);
    /* Sends; not while `sending`.  more: another follows at once.  False: out of memory. */
    bool (*send_renewal)(struct rollcall__driver *driver, struct rollcall__stream *stream,
                         int64_t lease_id, bool more);
    /* range: borrowed.  False: out of memory. */
    bool (*send_watch)(struct rollcall__driver *driver, struct rollcall__stream *stream,
                       const struct transport_range *range);
    /* A message that was posted has been consumed. */
    void (*credit)(struct rollcall__driver *driver, struct rollcall__stream *stream);
    void (*cancel)(struct rollcall__driver *driver, struct rollcall__stream *stream);
    void (*destroy)(struct rollcall__driver *driver, struct rollcall__stream *stream);
    /* One more endpoint, behind the others; url: as etcd tells it.  False: it is there already, is
     * none that can be used, or out of memory. */
    bool (*add)(struct rollcall__driver *driver, struct rollcall_bytes url);
};

/* The first member of what a driver is. */
struct rollcall__driver {
    const struct rollcall__driver_ops *ops;
    const char *endpoints[ROLLCALL__ENDPOINTS_MAX]; /* HOST:PORT, for people */
    size_t endpoint_count;
    bool authenticates; /* requests want a token */
    bool syncs_members; /* what the cluster says of its members is to be followed */
    int64_t call_timeout_ms;
};

#endif /* CHANNEL_DRIVER_H */

/*
 * etcd/call.h - one unary request to one endpoint.
 *
 * Threads: start, cancel, destroy and all fields: the actor's; between start and CHANNEL_CALL_DONE
 *          the fields under "gRPC and the poller" are theirs.
 */
#ifndef ETCD_CALL_H
#define ETCD_CALL_H

#include "etcd/link.h"
#include "etcd/outbox.h"
#include "etcd/wire.h"

/* A request accepted and not answered yet. */
struct rollcall__asked {
    struct rollcall_caller from;
    struct transport_call call;
    struct transport_request *request; /* one reference */
    struct rollcall__answer *answer;   /* owned: the place for its answer */
    int64_t deadline_ms;
    int64_t delay_ms; /* by a fail point: how much later it is answered */
    bool retried;     /* once already, after its token was refused */
};

struct rollcall__call {
    struct rollcall__tag tag;
    struct rollcall__call *previous, *next; /* in the actor's list */
    struct rollcall__asked asked;           /* all zero: Authenticate */
    size_t endpoint;
    uint64_t generation; /* of the token it went with */
    const struct rollcall__link *link;
    int64_t timeout_ms;
    grpc_call *call;
    struct rollcall__metadata metadata;
    grpc_byte_buffer *sent;
    /* gRPC and the poller: */
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *received;
    grpc_status_code code;
    grpc_slice details;
    /* Authenticate: */
    char *token;
    bool needs_no_token; /* etcd has authentication off */
};

/*
 * Starts a call.  Its completion posts CHANNEL_CALL_DONE with a transport_result.
 * asked: moved when it succeeds; NULL: Authenticate with the link's user.
 * token: copied; NULL: none.
 * Returns: NULL when it could not be started; then no message will come and *error says why.
 */
struct rollcall__call *rollcall__call_start(struct rollcall__link *link, size_t endpoint,
                                            const struct rollcall__asked *asked, const char *token,
                                            int64_t timeout_ms, struct rollcall_error *error);
/* It completes soon, as any call does.  Threads: any. */
void rollcall__call_cancel(struct rollcall__call *call);
/* After its completion.  `asked` is left to the caller. */
void rollcall__call_destroy(struct rollcall__call *call);

#endif /* ETCD_CALL_H */

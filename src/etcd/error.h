/*
 * etcd/error.h - what gRPC's code and etcd's words mean to us, as a status and a sentence.
 * Threads: any; pure.
 */
#ifndef ETCD_ERROR_H
#define ETCD_ERROR_H

#include "transport/messages.h"

/* How a call or stream ended. */
struct rollcall__etcd_failure {
    int grpc_code;
    struct rollcall_bytes message; /* etcd's or gRPC's */
    const char *endpoint;          /* HOST:PORT, for the sentence */
    int64_t timeout_ms;            /* the call's; 0: a stream */
    bool write;                    /* the request could have changed something */
};

/* Fills *error and returns its status; never OK. */
enum rollcall_status rollcall__etcd_error(struct rollcall_error *error,
                                          const struct rollcall__etcd_failure *failure);
/* Why etcd cancelled a watch, by its cancel_reason; never OK. */
void rollcall__etcd_canceled(struct rollcall_error *error, const char *reason);

/* The failure is what was asked for: our earlier try has succeeded, GRANT of an id that exists,
 * REVOKE of a lease that is gone; or STATUS of a member that refuses because it has no leader. */
bool rollcall__etcd_already_done(enum transport_kind kind,
                                 const struct rollcall__etcd_failure *failure);
/* The token is the trouble: authenticate again and retry once; nothing was done. */
bool rollcall__etcd_token_refused(const struct rollcall_error *error);
/* Authenticate on a cluster that has authentication off: go on without a token. */
bool rollcall__etcd_needs_no_token(const struct rollcall__etcd_failure *failure);
/* The endpoint is the trouble: try the next one. */
bool rollcall__etcd_blames_endpoint(const struct rollcall_error *error);

#endif /* ETCD_ERROR_H */

/*
 * channel/error.h - what gRPC's code and etcd's words mean to us: a class, a status and a sentence.
 *
 * All that is known of them is one table, in error.c: etcd's messages, which have been stable since
 * 3.4, and after them gRPC's codes, for what has no message of its own.  Of the messages in a text
 * the longest counts, so "request timed out" does not hide what is said after it; it is looked for
 * inside the text, because a watch's cancel_reason wraps it.  That a message had another code in an
 * older version does not matter.
 *
 * Threads: any; pure.
 */
#ifndef CHANNEL_ERROR_H
#define CHANNEL_ERROR_H

#include "transport/messages.h"

/* gRPC's codes, which are a part of its protocol. */
enum rollcall__code {
    ROLLCALL__CODE_OK,
    ROLLCALL__CODE_CANCELLED,
    ROLLCALL__CODE_UNKNOWN,
    ROLLCALL__CODE_INVALID_ARGUMENT,
    ROLLCALL__CODE_DEADLINE_EXCEEDED,
    ROLLCALL__CODE_NOT_FOUND,
    ROLLCALL__CODE_ALREADY_EXISTS,
    ROLLCALL__CODE_PERMISSION_DENIED,
    ROLLCALL__CODE_RESOURCE_EXHAUSTED,
    ROLLCALL__CODE_FAILED_PRECONDITION,
    ROLLCALL__CODE_ABORTED,
    ROLLCALL__CODE_OUT_OF_RANGE,
    ROLLCALL__CODE_UNIMPLEMENTED,
    ROLLCALL__CODE_INTERNAL,
    ROLLCALL__CODE_UNAVAILABLE,
    ROLLCALL__CODE_DATA_LOSS,
    ROLLCALL__CODE_UNAUTHENTICATED
};

/*
 * What a failure asks for.  What the supervisor then does follows from the status: see "Class,
 * action, supervisor" in src/README.md.  That another holds a key is no failure to etcd: it is the
 * answer of a transaction, and the actors' own.
 *
 *             done?             what the transport does             status
 *   RETRY     no, or a read     again at once, elsewhere            E_UNAVAILABLE, E_TIMEOUT
 *   UNKNOWN   perhaps           the same, only what may be done     the same, and maybe_applied
 *                               twice; else the asker finds out
 *   BACKOFF   no                nothing: the asker tries later      E_UNAVAILABLE
 *   ENDPOINT  no                again elsewhere: this one cannot    E_UNAVAILABLE
 *   AUTH      no                a new token, once, then again       E_DENIED
 *   NO_AUTH   no                goes on without a token             E_DENIED
 *   RESYNC    no                nothing: the asker lists again      E_COMPACTED, E_UNAVAILABLE
 *   LEASE     no                nothing: the asker knows its lease  E_LEASE_LOST, E_REJECTED
 *   HALT      see maybe_applied nothing: told to the application    E_DENIED, E_REJECTED,
 *                                                                   E_NO_SPACE, E_CORRUPT
 */
enum rollcall__etcd_class {
    ROLLCALL__ETCD_RETRY,
    ROLLCALL__ETCD_UNKNOWN,
    ROLLCALL__ETCD_BACKOFF,
    ROLLCALL__ETCD_ENDPOINT,
    ROLLCALL__ETCD_AUTH,
    ROLLCALL__ETCD_NO_AUTH,
    ROLLCALL__ETCD_RESYNC,
    ROLLCALL__ETCD_LEASE,
    ROLLCALL__ETCD_HALT
};

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

/* The class of an error that one of these two has filled, or of one of the transport's own, such as
 * that no answer came.  UNKNOWN only for a write: nothing of a read is unknown. */
enum rollcall__etcd_class rollcall__etcd_class(const struct rollcall_error *error);

/* The failure says that our earlier try has succeeded: GRANT of an id that exists, REVOKE of a
 * lease that is gone. */
bool rollcall__etcd_already_done(enum transport_kind kind,
                                 const struct rollcall__etcd_failure *failure);
/* AUTH: the token is the trouble. */
bool rollcall__etcd_token_refused(const struct rollcall_error *error);
/* NO_AUTH: Authenticate on a cluster that has authentication off. */
bool rollcall__etcd_needs_no_token(const struct rollcall__etcd_failure *failure);
/* The endpoint is the trouble: try the next one.  RETRY, UNKNOWN and ENDPOINT; and RESYNC of a
 * revision that only this endpoint does not have yet. */
bool rollcall__etcd_blames_endpoint(const struct rollcall_error *error);

#endif /* CHANNEL_ERROR_H */

/*
 * rollcall/error.h - what a rollcall call answers: a status, its class, and a sentence for a
 * person.
 *
 * A status says what happened, its class says what to do about it, and the optional struct
 * rollcall_error carries a sentence that names the thing at fault and the next step.
 *
 * Threads: everything here may be called from any thread; nothing is thread-local.
 * Memory:  struct rollcall_error is a plain value; it owns nothing.
 */
#ifndef ROLLCALL_ERROR_H
#define ROLLCALL_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ROLLCALL_API __attribute__((visibility("default")))
#define ROLLCALL_MUST_USE __attribute__((warn_unused_result))
#define ROLLCALL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define ROLLCALL_API
#define ROLLCALL_MUST_USE
#define ROLLCALL_PRINTF(text, first)
#endif

/* X(name, class, text).  Adding a status is one line here and nothing else. */
#define ROLLCALL_ERRORS(X)                                                                         \
    X(OK, FINE, "ok")                                                                              \
    X(E_INVALID, CALLER, "invalid argument")                                                       \
    X(E_TOO_SMALL, CALLER, "there is not enough room for the result")                              \
    X(E_FULL, RETRY, "mailbox is full")                                                            \
    X(E_UNAVAILABLE, RETRY, "etcd is unreachable")                                                 \
    X(E_TIMEOUT, RETRY, "not done within the time allowed")                                        \
    X(E_NO_SPACE, RETRY, "etcd is out of space")                                                   \
    X(E_COMPACTED, RETRY, "the revision asked for has been compacted")                             \
    X(E_LEASE_LOST, FATAL, "the lease is gone")                                                    \
    X(E_KEY_LOST, FATAL, "the key is gone, or no longer the session's")                            \
    X(E_RIVAL, FATAL, "another process holds the key")                                             \
    X(E_CORRUPT, FATAL, "what is stored cannot be understood")                                     \
    X(E_DENIED, FATAL, "etcd refused the credentials")                                             \
    X(E_REJECTED, FATAL, "etcd rejected the request")                                              \
    X(E_NO_MEMORY, FATAL, "out of memory")                                                         \
    X(E_SYSTEM, FATAL, "the operating system refused")                                             \
    X(E_STOPPED, CALLER, "already stopped")                                                        \
    X(E_BUSY, CALLER, "still in use")                                                              \
    X(E_FORKED, CALLER, "used in a child process after fork")                                      \
    X(E_ACTOR, FATAL, "an actor failed")

enum rollcall_status {
#define X(name, class, text) ROLLCALL_##name,
    ROLLCALL_ERRORS(X)
#undef X
        ROLLCALL_STATUS_COUNT
};

enum rollcall_error_class {
    ROLLCALL_FINE,   /* not an error */
    ROLLCALL_RETRY,  /* the world may change its mind: the same call may succeed later */
    ROLLCALL_CALLER, /* the call was wrong: the same call will fail again */
    ROLLCALL_FATAL   /* this object cannot go on; a new one may */
};

enum { ROLLCALL_ERROR_TEXT_BYTES = 344 };

/* Why something failed.  A plain value: no heap, no thread-local. */
struct rollcall_error {
    enum rollcall_status status;
    int grpc_code;      /* 0 unless the failure came from gRPC */
    bool maybe_applied; /* a write whose outcome is unknown: it may have taken effect */
    char text[ROLLCALL_ERROR_TEXT_BYTES]; /* one sentence, always terminated; may be cut */
};

/* Stable names: "E_INVALID".  Returns "E_UNKNOWN" for a number that is no status. */
ROLLCALL_API const char *rollcall_status_name(enum rollcall_status status);
/* The general sentence of a status, as in ROLLCALL_ERRORS. */
ROLLCALL_API const char *rollcall_status_text(enum rollcall_status status);
ROLLCALL_API enum rollcall_error_class rollcall_status_class(enum rollcall_status status);

/*
 * Fills *error (NULL is fine) and returns status, so that a failure is one line:
 *     return rollcall_error_set(error, ROLLCALL_E_INVALID, "ttl_ms is %d: give 2000 or more", ttl);
 */
ROLLCALL_API enum rollcall_status rollcall_error_set(struct rollcall_error *error,
                                                     enum rollcall_status status,
                                                     const char *format, ...) ROLLCALL_PRINTF(3, 4);

/* Discards a status on purpose; `why` is for the reader.  (gcc warns through a (void) cast.) */
#define ROLLCALL_DROP(call, why) ((void)((call) == ROLLCALL_OK ? 0 : sizeof(why)))

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_ERROR_H */

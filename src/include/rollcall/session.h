/*
 * rollcall/session.h - be a member: get a server ID, register under a lease, stay alive, leave.
 *
 *    REGISTERING --> ACTIVE <--> SUSPECT          ACTIVE, SUSPECT --> STOPPING --> STOPPED
 *         |             \___________\--> LOST     any state --close--> STOPPED
 *         \--> FAILED
 *
 * SUSPECT: etcd may have given the key away by now, or will soon; stop acting as its owner.  It is
 * reported before etcd can have expired the lease, and renewals go on.  LOST: proof that the lease
 * is gone.  FAILED: it never became a member.
 *
 * Threads: any thread may call any function.  Callbacks run on a runtime thread, one at a time per
 *          session, in order; a call that waits answers E_BUSY there.
 * Time:    durations are milliseconds, but a TTL is whole seconds, as in etcd.
 * Memory:  options are copied; events are borrowed during the callback.
 */
#ifndef ROLLCALL_SESSION_H
#define ROLLCALL_SESSION_H

#include <rollcall/etcd.h>
#include <rollcall/record.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_session;

enum rollcall_session_state {
    ROLLCALL_SESSION_REGISTERING,
    ROLLCALL_SESSION_ACTIVE,
    ROLLCALL_SESSION_SUSPECT,
    ROLLCALL_SESSION_LOST,
    ROLLCALL_SESSION_STOPPING,
    ROLLCALL_SESSION_STOPPED,
    ROLLCALL_SESSION_FAILED
};
/* "ACTIVE" and so on. */
ROLLCALL_API const char *rollcall_session_state_name(enum rollcall_session_state state);

/* What is known of a session now.  Identity fields are 0 / "" until it has registered once. */
struct rollcall_session_info {
    enum rollcall_session_state state;
    int64_t server_id;
    int64_t lease_id;
    int64_t ttl_s;           /* as etcd granted it: it raises small ones */
    int64_t revision;        /* of the transaction that registered it */
    int64_t create_revision; /* of its key: its fencing token */
    const char *key;         /* lives as long as the session handle, or the callback */
};

struct rollcall_session_event {
    enum rollcall_session_state state; /* the new one */
    int64_t at_ms;                     /* since 1970 */
    struct rollcall_session_info info;
    enum rollcall_status status; /* why: OK when it was asked for */
    const char *reason;          /* the same in words, "" when there is nothing to say */
};
typedef void rollcall_session_event_fn(void *user, const struct rollcall_session_event *event);

struct rollcall_session_options {
    size_t size_bytes;   /* set by ROLLCALL_SESSION_OPTIONS */
    const char *root;    /* NULL: "by-dev/meta"; the key lives under ROOT/session/ */
    const char *role;    /* required: letters, digits, '_', '.', '-'; no trailing "-<digits>" */
    const char *address; /* required: where others reach this process */
    bool exclusive;      /* the key is ROLE, not ROLE-<id>: one process at a time */
    int64_t ttl_s;       /* 0: 30; 2 .. 9'000'000'000 */
    int64_t server_id;   /* 0: allocated from ROOT/session/id */
    const char *version; /* NULL: "2.4.2"; semver */
    int32_t index_version_min, index_version_current;
    bool enable_disk, trigger_kill;
    const char *host_name;               /* NULL: this machine's */
    const struct rollcall_label *labels; /* borrowed until open returns */
    size_t label_count;
    uint32_t retries;           /* 0: 30; attempts at registering before it is FAILED */
    int64_t connect_timeout_ms; /* 0: 5'000; FAILED when etcd has not answered once by then */
    rollcall_session_event_fn *on_event; /* NULL: none */
    void *user;                          /* borrowed until close returns */
};
#define ROLLCALL_SESSION_OPTIONS(...)                                                              \
    (&(const struct rollcall_session_options){                                                     \
        .size_bytes = sizeof(struct rollcall_session_options), __VA_ARGS__})

/*
 * Starts a session and returns at once; the rest is told by events, and by rollcall_session_wait.
 * Returns: ROLLCALL_OK and *session, or ROLLCALL_E_INVALID with the option at fault; then nothing
 *          was started.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_start(struct rollcall_etcd *etcd, const struct rollcall_session_options *options,
                       struct rollcall_session **session, struct rollcall_error *error);

/*
 * Waits until the session is ACTIVE.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT after timeout_ms; why it FAILED; ROLLCALL_E_LEASE_LOST;
 *          ROLLCALL_E_STOPPED.  The session goes on as before in every case.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_wait(struct rollcall_session *session, int64_t timeout_ms,
                      struct rollcall_error *error);

/* Both: starts, waits until it is ACTIVE or has FAILED, and on failure closes it again. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_open(struct rollcall_etcd *etcd, const struct rollcall_session_options *options,
                      struct rollcall_session **session, struct rollcall_error *error);

/* What was told last: while a callback of this runtime runs, the state waits behind it. */
ROLLCALL_API void rollcall_session_get_info(struct rollcall_session *session,
                                            struct rollcall_session_info *info);

/* Asks it to leave, without waiting: marks the record Stopping, then revokes the lease.
 * The events STOPPING and STOPPED follow. */
ROLLCALL_API void rollcall_session_stop(struct rollcall_session *session);

/*
 * Leaves and frees: going-stop, revoke, within timeout_ms (0: without either, at once; the lease
 * then lives out its TTL).  No callback runs after it returns.  NULL: nothing.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT if etcd did not confirm the revoke in time, or if a
 *          callback did not return within 10 s more: closed all the same, but `user` is borrowed
 *          until that callback returns; ROLLCALL_E_BUSY in a callback, or ROLLCALL_E_FORKED in a
 *          child process: nothing happened.
 */
ROLLCALL_API enum rollcall_status rollcall_session_close(struct rollcall_session *session,
                                                         int64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_SESSION_H */

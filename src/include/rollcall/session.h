/*
 * rollcall/session.h - be a member: get a server ID, register under a lease, stay alive, leave.
 *
 *    REGISTERING --> ACTIVE <--> SUSPECT          any that is not over --stop--> STOPPING
 *      ^   \            \________/--> LOST         STOPPING --> STOPPED
 *      |    \--> FAILED              |            any --close--> STOPPED
 *      +-------- on_lost ------------+            LOST, STOPPED, FAILED --restart--> REGISTERING
 *
 * SUSPECT: etcd may have given the key away by now, or will soon; stop acting as its owner.  It is
 * reported before etcd can have expired the lease, and renewals go on.  The reason says which: no
 * renewal was answered in time; or what renews the lease failed inside the library, and after its
 * restart no renewal has been answered yet.  The next one that is makes it ACTIVE.
 * LOST: proof that the lease is gone, or that the key is no longer ours; told once per loss, with
 * the reason, and never after STOPPING; a key that is gone at once is LOST without ever being
 * ACTIVE.
 * FAILED: it never became a member.  Nothing of it goes on then: a lease that was asked for and not
 * answered may come to be in etcd all the same, lives out its TTL, and has no key.
 *
 * A shared lease (option share_lease) is safe, suspect and lost for all who share it at once: each
 * is told so, and who registers again gets the new one, which is shared likewise.  One that leaves
 * takes its own key away, by compare, and the last one the lease; so where "revoke" is said below,
 * of a shared lease it is that.  One whose key is deleted or taken over is LOST alone.  One that
 * ends without leaving (closed at once, or by a fault of ours) has its key taken away soon after,
 * while the connection is open.  To revoke a shared lease, as rollcall_revoke or etcdctl does, ends
 * all who share it; to delete a key ends one.  Two sessions that want the same key, and what may
 * still be under way of one that is over, are kept apart under two leases.
 *
 * Threads: any thread may call any function.  Callbacks run on a runtime thread, one at a time per
 *          session, in order; the first ones may run before start or open has stored the handle.  A
 *          call that waits answers E_BUSY there, and each has a form that returns at once and tells
 *          a callback: start for open, stop and revoke for close, NAME_async for NAME.
 *          While callbacks of the runtime are slow, or there is no memory for an event, it waits:
 *          states that have passed may then be left out, but a LOST never is: it is told before
 *          what came after it.  Of several in a row that waited so the last one is told, and
 *          info.losses counts them all.
 *
 * Time:    durations are milliseconds, but a TTL is whole seconds, as in etcd.
 *
 * Memory:  options are copied; events are borrowed during the callback.  Where there is none, a
 *          call answers E_NO_MEMORY; a session tries again by itself, but one that fails so more
 *          than five times in half a minute, or finds none to begin to register with, is LOST, of
 *          ROLLCALL_LOSS_FAULT, or, while it is no member, FAILED, though it was to register again.
 */
#ifndef ROLLCALL_SESSION_H
#define ROLLCALL_SESSION_H

#include <rollcall/etcd.h>
#include <rollcall/record.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_session;
struct rollcall_election_options; /* of rollcall/election.h */

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

/* What was lost: the reason of a LOST.  Of a key that is gone etcd is asked whether its lease is
 * too; LEASE and DELETED are told apart as far as it answers within a second. */
enum rollcall_loss {
    ROLLCALL_LOSS_NONE,        /* nothing, so far */
    ROLLCALL_LOSS_LEASE,       /* etcd says that the lease is gone: revoked or expired */
    ROLLCALL_LOSS_DELETED,     /* somebody deleted the key, and may have put it there again */
    ROLLCALL_LOSS_OVERWRITTEN, /* something is there that is not this session's record */
    ROLLCALL_LOSS_MOVED,       /* our record is there, but under another lease or none */
    ROLLCALL_LOSS_MISSING,     /* the same, before we first looked */
    ROLLCALL_LOSS_FAULT        /* our own actors failed; a lease of its own lives out its TTL */
};

/* What is known of a session now.  Identity fields are 0 / "" until it has registered once.  After
 * safe_until_ms it says SUSPECT instead of ACTIVE, even if the event is still to come: a process
 * that was stopped must not act on what was true before. */
struct rollcall_session_info {
    enum rollcall_session_state state;
    bool registered;         /* it has its key, as far as is known: ACTIVE, SUSPECT or STOPPING */
    bool disconnected;       /* it had one and lost it, and has not registered again */
    bool stopping;           /* its record is marked Stopping, by whomever; alone it is no event */
    enum rollcall_loss loss; /* of the last LOST */
    uint64_t losses;         /* so far; they may be more than the LOST told: see above */
    int64_t server_id;
    int64_t lease_id;        /* that of others too, when it is shared */
    int64_t ttl_s;           /* as etcd granted it: it raises small ones */
    int64_t safe_until_ms;   /* of CLOCK_BOOTTIME: nobody else can have the key before, whatever
                                becomes of us; each renewal moves it on.  0: not known, as when
                                there is another lease by now, whose event is still to come */
    int64_t revision;        /* of the transaction that registered it */
    int64_t create_revision; /* of its key: its fencing token, higher each time it registers */
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

/* What follows LOST. */
enum rollcall_on_lost {
    ROLLCALL_ON_LOST_STOP,      /* nothing: it is over, unless it is restarted */
    ROLLCALL_ON_LOST_REREGISTER /* REGISTERING again, under a new lease, with the same server ID;
                                   marked Stopping from the first if it was */
};

struct rollcall_session_options {
    size_t size_bytes;     /* set by ROLLCALL_SESSION_OPTIONS */
    const char *root;      /* NULL: "by-dev/meta"; the key lives under ROOT/session/ */
    const char *role;      /* required: letters, digits, '_', '.', '-'; no trailing "-<digits>" */
    const char *address;   /* required: where others reach this process */
    bool exclusive;        /* the key is ROLE, not ROLE-<id>: one process at a time; while another
                              has it, it is waited for, and taken the moment it is free */
    int64_t ttl_s;         /* 0: 30; 2 .. 9'000'000'000 */
    int64_t server_id;     /* 0: allocated from ROOT/session/id */
    bool reuse_server_id;  /* with server_id 0: the one ID that this connection has for ROOT, as
                              rollcall_server_id gives it, so that all roles of a process share it */
    bool keep_predecessor; /* an exclusive key that a process of the same role, host and address
                              left behind, with a lower server ID, is waited for like any rival's;
                              else it is deleted, by compare */
    enum rollcall_on_lost on_lost;
    const char *version;                         /* NULL: "2.4.2"; semver */
    struct rollcall_index_version index_version; /* zero: printed as {} */
    const struct rollcall_index_version
        *scalar_index_version;           /* NULL: not stored; newer upstream */
    bool index_non_encoding;             /* newer upstream */
    bool enable_disk, trigger_kill;      /* older upstream */
    bool omit_trigger_kill;              /* newer upstream: do not print it */
    const char *host_name;               /* NULL: this machine's */
    const struct rollcall_label *labels; /* borrowed until the call returns */
    size_t label_count;
    const char *const *environment; /* NULL: none; else such as environ: what it holds for this role
                                       as MILVUS_SERVER_LABEL_... are labels too; `labels` win */
    uint32_t retries; /* 0: 30; attempts at registering before it is FAILED; with a rival, 30 last
                         80 s, and each time that its key becomes free is one too */
    int64_t connect_timeout_ms; /* 0: 5'000; FAILED when etcd has not answered once by then */
    rollcall_session_event_fn *on_event; /* NULL: none */
    void *user;                          /* borrowed until close returns */
    bool share_lease; /* all sessions of this connection that say so, with the same ttl_s, are under
                         one lease, renewed once for all: see "A shared lease" */
    const struct rollcall_election_options
        *election; /* NULL: none; else it is exclusive, but one of several that stand for the role,
                      with a key each: see rollcall/election.h; copied.  Not with share_lease */
};
#define ROLLCALL_SESSION_OPTIONS(...)                                                              \
    (&(const struct rollcall_session_options){                                                     \
        .size_bytes = sizeof(struct rollcall_session_options), __VA_ARGS__})

/*
 * Starts a session and returns at once; the rest is told by events, and by rollcall_session_wait.
 * Returns: ROLLCALL_OK and *session; or ROLLCALL_E_INVALID with the option at fault, or
 *          ROLLCALL_E_BUSY in a callback (where restart is possible), ROLLCALL_E_FORKED in a child
 *          process, ROLLCALL_E_TIMEOUT while a callback holds the thread it would run on, or
 *          ROLLCALL_E_NO_MEMORY; then nothing was started.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_start(struct rollcall_etcd *etcd, const struct rollcall_session_options *options,
                       struct rollcall_session **session, struct rollcall_error *error);

/*
 * Waits until the session is ACTIVE.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT after timeout_ms; why it FAILED; ROLLCALL_E_LEASE_LOST
 *          or E_KEY_LOST, unless it registers again; ROLLCALL_E_STOPPED.  The session goes on as
 *          before in every case.
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

/*
 * The record as it is stored, or would be: without server ID and lease until it has registered.
 * *record: the caller's, to rollcall_record_free.
 * Returns: ROLLCALL_OK or ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_get_record(struct rollcall_session *session, struct rollcall_record **record,
                            struct rollcall_error *error);
/* The record that a session of these options would store, but for server ID (unless given) and
 * lease.  Asks no etcd.  Errors: as rollcall_session_start. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_plan_record(const struct rollcall_session_options *options,
                             struct rollcall_record **record, struct rollcall_error *error);

/* How a call that was not waited for ended.  error: borrowed; its status is ROLLCALL_OK when it was
 * done. */
typedef void rollcall_done_fn(void *user, const struct rollcall_error *error);

/*
 * Going-stop: marks the stored record Stopping, so that others send no new work here, and stays a
 * member.  Once marked, whoever did it, ROLLCALL_OK at once.  The mark outlasts a loss by on_lost,
 * but not restart.
 * Returns: ROLLCALL_OK when it is stored; ROLLCALL_E_BUSY while it is not registered yet, or in a
 *          callback; ROLLCALL_E_LEASE_LOST, E_KEY_LOST or why else it was LOST, and nothing was
 *          written; ROLLCALL_E_STOPPED once it leaves or is over; ROLLCALL_E_FULL when
 *          too many ask at once: ask again; ROLLCALL_E_TIMEOUT: it may be stored later.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_mark_stopping(struct rollcall_session *session, int64_t timeout_ms,
                               struct rollcall_error *error);
/* done: called once, on a runtime thread like an event, in order with them; not called when this
 * answers anything but ROLLCALL_OK, nor after close.
 * Returns: ROLLCALL_OK; ROLLCALL_E_FULL, likewise; ROLLCALL_E_INVALID without done;
 *          ROLLCALL_E_NO_MEMORY. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_mark_stopping_async(struct rollcall_session *session, rollcall_done_fn *done,
                                     void *user, struct rollcall_error *error);

/* Asks it to leave, without waiting: marks the record Stopping, then revokes the lease.
 * The events STOPPING and STOPPED follow. */
ROLLCALL_API void rollcall_session_stop(struct rollcall_session *session);
/* The same without the mark; after stop: without waiting for it. */
ROLLCALL_API void rollcall_session_revoke(struct rollcall_session *session);

/*
 * Waits until it is over: STOPPED, FAILED, or LOST for good.
 * Returns: ROLLCALL_OK when it has left as asked; ROLLCALL_E_TIMEOUT after timeout_ms; why it was
 *          LOST, FAILED, or could not revoke.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_wait_over(struct rollcall_session *session, int64_t timeout_ms,
                           struct rollcall_error *error);

/*
 * Registers again, not marked, with the same options and, if it had one, the same server ID; then
 * as after start.  A stop or close that is called after it, by whatever thread, ends it again, and
 * one that was called before does not.
 * Returns: ROLLCALL_OK; ROLLCALL_E_BUSY while it is not over, or is being closed: nothing happened.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_session_restart(struct rollcall_session *session, struct rollcall_error *error);

/*
 * Leaves and frees: going-stop, revoke, within timeout_ms (0: without either, at once; the lease
 * then lives out its TTL).  No callback runs after it returns.  NULL: nothing.  One that is over
 * has nothing to leave and is freed at once: after LOST, that may cut short the revoke of a lease
 * that has lost its key, which then lives out its TTL too.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT if etcd did not confirm the revoke in time, or if a
 *          callback did not return within 10 s more: closed all the same, but `user` is borrowed
 *          until that callback returns; why it could not leave: etcd's refusal to revoke, as
 *          ROLLCALL_E_DENIED or E_REJECTED, or E_ACTOR or E_NO_MEMORY when what was to revoke
 *          failed again and again: closed all the same, and the lease lives out its TTL;
 *          ROLLCALL_E_BUSY in a callback, or E_FORKED in a child process: nothing happened.
 */
ROLLCALL_API enum rollcall_status rollcall_session_close(struct rollcall_session *session,
                                                         int64_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_SESSION_H */

/*
 * rollcall/admin.h - act on sessions from outside, by key, and take server IDs by hand.
 *
 * A session is looked at first.  A record is marked, and a key without a lease is deleted, by
 * compare: what happens, happens to the session that was looked at, or not at all.  A lease cannot
 * be revoked by compare; see rollcall_revoke.
 *
 * Threads: any thread may call any function; the form that waits answers E_BUSY in a callback.
 * Time:    timeout_ms bounds the call as a whole; 0: 5'000.
 * Errors:  *error has the sentence.  E_UNAVAILABLE or E_TIMEOUT: etcd did not answer in time; a
 *          change may have been made all the same (error->maybe_applied).
 * Async:   the _async form returns at once; `done` is then called once, on a runtime thread, within
 *          the timeout, or after the callback that runs there then.  It answers E_INVALID,
 *          E_NO_MEMORY or E_FORKED, or E_TIMEOUT when a callback does not let the thread begin, and
 *          done is not called, when nothing was begun.  Until done has returned, and a moment
 *          longer, rollcall_etcd_close answers E_BUSY.
 */
#ifndef ROLLCALL_ADMIN_H
#define ROLLCALL_ADMIN_H

#include <rollcall/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The session meant.  Take lease and create revision from rollcall_list or a server-info file, so
 * that a successor under the same key is left alone. */
struct rollcall_target {
    const char *key;         /* in full, such as "by-dev/meta/session/querynode-7" */
    int64_t lease_id;        /* 0: whatever it is */
    int64_t create_revision; /* 0: whatever it is */
};

/*
 * Going-stop for another process: sets Stopping in its stored record and keeps all else, its lease
 * too.  Marked already: ROLLCALL_OK, and nothing is written.
 * Returns: ROLLCALL_OK; ROLLCALL_E_KEY_LOST when there is no such session (any more);
 *          ROLLCALL_E_CORRUPT when the key holds no session record, whichever session is meant:
 *          nothing is changed then.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_mark_stopping(struct rollcall_etcd *etcd, const struct rollcall_target *target,
                       int64_t timeout_ms, struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_mark_stopping_async(struct rollcall_etcd *etcd, const struct rollcall_target *target,
                             int64_t timeout_ms, rollcall_done_fn *done, void *user,
                             struct rollcall_error *error);

/*
 * Revokes the lease of a session, which deletes every key under that lease; a key without a lease
 * is deleted.  Returns: as rollcall_mark_stopping; ROLLCALL_OK: the session meant is gone.
 *
 * The lease is the one that the session has when it is looked at.  etcd does not compare as it
 * revokes, so the key may have changed hands just before:
 *   - a successor took it: the successor has a lease of its own, and is left alone
 *   - somebody moved it, the same session, to another lease: with target->lease_id 0 it is looked
 *     for again, and revoked there too; else it is left there, for it is not the session meant
 * The lease that was looked at is revoked in every case, with all that is under it still: of a
 * shared one (share_lease) that is every session that shares it.  To end one of those alone, delete
 * its key: it is LOST then, and the others stay.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_revoke(struct rollcall_etcd *etcd, const struct rollcall_target *target,
                int64_t timeout_ms, struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_revoke_async(struct rollcall_etcd *etcd, const struct rollcall_target *target,
                      int64_t timeout_ms, rollcall_done_fn *done, void *user,
                      struct rollcall_error *error);

/*
 * Takes the next server ID from ROOT/session/id, above every ID that a session has.
 * root:  NULL: "by-dev/meta".
 * reuse: true: the ID that this connection has for ROOT; the first such call takes it.  All
 *        sessions with reuse_server_id, and all such calls, get the same one.  For 256 roots at
 *        most; then ROLLCALL_E_INVALID.
 * Returns: ROLLCALL_OK and *server_id; ROLLCALL_E_CORRUPT when the id key holds no number.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_id(struct rollcall_etcd *etcd, const char *root, bool reuse, int64_t timeout_ms,
                   int64_t *server_id, struct rollcall_error *error);
/* server_id: 0 unless error->status is ROLLCALL_OK. */
typedef void rollcall_server_id_fn(void *user, int64_t server_id,
                                   const struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_id_async(struct rollcall_etcd *etcd, const char *root, bool reuse,
                         int64_t timeout_ms, rollcall_server_id_fn *done, void *user,
                         struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_ADMIN_H */

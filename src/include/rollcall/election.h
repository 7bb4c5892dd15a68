/*
 * rollcall/election.h - be the one of several processes that acts for a role.
 *
 *     struct rollcall_session_options: .election = ROLLCALL_ELECTION_OPTIONS(.on_role = ...)
 *
 *    STANDBY --the active key is ours--> ACTIVE(token)
 *    ACTIVE  --it is not any more, or that is in doubt--> STANDBY
 *
 * A session with this option registers as ROOT/session/ROLE-<id>, like upstream's standbys, its
 * record marked Exclusive, and stands for ROLE as long as it is a member.  Whoever holds the active
 * key, ROOT/session/ROLE, acts.  When that key goes, who has waited longest takes it at once, with
 * one write; who does not within 40 ms is passed over.  A record that is marked Stopping does not
 * stand, but one that acts goes on until it leaves; its mark is put into both records at once.
 *
 * ACTIVE comes with a token, a number higher than every one before, whoever had it: the revision
 * of the transaction that gave us the key, and, unless that was a force, the key's create revision.
 * It is a fencing token: pass it on with what you ask of others, and let them refuse a lower one.
 * rollcall_election_write does so for etcd.
 *
 * STANDBY is told as soon as the session is SUSPECT: before etcd can have given the key to another.
 * If the lease proves alive after all, and the key is still ours, ACTIVE follows, with the same
 * token.  A session that is LOST, or leaves, is STANDBY first, and stands again when it is a member
 * again.
 *
 * Upstream's Go nodes may stand for the same role: each side sees the other's keys, and they
 * exclude each other.  What they do not know is hand-over: they claim as soon as the key is gone.
 *
 * Threads: as in session.h: any thread may call any function; callbacks come one at a time, in the
 *          order of the session's own.
 */
#ifndef ROLLCALL_ELECTION_H
#define ROLLCALL_ELECTION_H

#include <rollcall/session.h>

#ifdef __cplusplus
extern "C" {
#endif

enum rollcall_role { ROLLCALL_ROLE_STANDBY, ROLLCALL_ROLE_ACTIVE };
/* "STANDBY" and so on. */
ROLLCALL_API const char *rollcall_role_name(enum rollcall_role role);

struct rollcall_role_event {
    enum rollcall_role role;     /* the new one */
    int64_t token;               /* ACTIVE; else 0 */
    const char *key;             /* the active key; borrowed during the callback */
    int64_t at_ms;               /* since 1970 */
    enum rollcall_status status; /* why: OK when nothing went wrong */
    const char *reason;          /* the same in words */
};
typedef void rollcall_role_fn(void *user, const struct rollcall_role_event *event);

/* Begins to act.  Anything but ROLLCALL_OK: it cannot; the key is given up, to whoever has waited
 * longest, and STANDBY is told with this status; it is not claimed again before 5 s have passed,
 * even if it is handed over to this session, unless by force.
 * That ends with the membership: a session that is LOST, or has left and is restarted, and is
 * registered again within the 5 s, stands like a new one and may claim at once, also after it has
 * resigned.
 * What takes long is better begun here, in a thread of its own, and given up by
 * rollcall_election_resign if it fails: no other callback of this runtime's runs meanwhile. */
typedef enum rollcall_status rollcall_activate_fn(void *user, int64_t token);

struct rollcall_election_options {
    size_t size_bytes;              /* set by ROLLCALL_ELECTION_OPTIONS */
    rollcall_activate_fn *activate; /* NULL: nothing is to be begun; called before ACTIVE is told */
    rollcall_role_fn *on_role;      /* NULL: none.  STANDBY is told first when it begins to stand */
    void *user;                     /* borrowed until the session is closed */
};
#define ROLLCALL_ELECTION_OPTIONS(...)                                                             \
    (&(const struct rollcall_election_options){                                                    \
        .size_bytes = sizeof(struct rollcall_election_options), __VA_ARGS__})

/*
 * The token while the session is ACTIVE, from just before `activate` is called; else 0: so also
 * once the lease is past its time, even if STANDBY is still to come.  No lock is taken, and nobody
 * is waited for: ask as often as you act.  A session without election: 0.
 */
ROLLCALL_API int64_t rollcall_election_token(struct rollcall_session *session);

struct rollcall_election_info {
    enum rollcall_role role; /* ACTIVE: as rollcall_election_token says */
    int64_t token;           /* ACTIVE; else 0, as are the next two */
    int64_t create_revision; /* of the active key: that it has this and our lease, together, is what
                                a transaction of your own has to compare */
    int64_t lease_id;
    const char *key; /* the active key; lives as long as the session handle; "" without
                        election */
};
ROLLCALL_API void rollcall_election_get_info(struct rollcall_session *session,
                                             struct rollcall_election_info *info);

/*
 * Waits until the session is ACTIVE in its role.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT after timeout_ms; why the session is over, if it is;
 *          ROLLCALL_E_INVALID without election; ROLLCALL_E_BUSY in a callback.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_wait(struct rollcall_session *session, int64_t timeout_ms,
                       struct rollcall_error *error);

/*
 * Gives the role up, in favour of who has waited longest since it was named or seen to act, and
 * stays a standby: one that claims only when it is named, somebody has acted since (itself, if it
 * forced the key back), or nobody has for 5 s.  STANDBY is told before the key goes.  Of a standby:
 * ROLLCALL_OK, and nothing happens.
 * Returns: ROLLCALL_OK when the key is given up; ROLLCALL_E_TIMEOUT: it may still be;
 * ROLLCALL_E_BUSY while another of these three is under way, the session is not registered yet, or
 * in a callback; ROLLCALL_E_STOPPED or why it was LOST when it is over; ROLLCALL_E_INVALID without
 * election.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_resign(struct rollcall_session *session, int64_t timeout_ms,
                         struct rollcall_error *error);

/*
 * The same in favour of the standby with this server ID, which claims first; if it has not within
 * 40 ms the others do.
 * Returns: as above; ROLLCALL_E_INVALID when no such standby stands (any more), and the role is
 *          kept; ROLLCALL_E_KEY_LOST when the session is not ACTIVE.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_hand_over(struct rollcall_session *session, int64_t server_id, int64_t timeout_ms,
                            struct rollcall_error *error);

/*
 * Takes the active key, from its holder if there is one, in one transaction and so without a gap.
 * The holder is not asked: it is told STANDBY when it sees that, and may act until then; its token
 * is void at once, for whoever looks at tokens.
 * Returns: ROLLCALL_OK when the key is ours, also if it was already; else as resign.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_force(struct rollcall_session *session, int64_t timeout_ms,
                        struct rollcall_error *error);

/* The same without waiting.  done: called once, on a runtime thread like an event, in order with
 * them; not called when this answers anything but ROLLCALL_OK, nor after close. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_resign_async(struct rollcall_session *session, rollcall_done_fn *done, void *user,
                               struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_hand_over_async(struct rollcall_session *session, int64_t server_id,
                                  rollcall_done_fn *done, void *user, struct rollcall_error *error);
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_force_async(struct rollcall_session *session, rollcall_done_fn *done, void *user,
                              struct rollcall_error *error);

/* ---- what is written only while a token is valid ---- */

enum rollcall_write_kind { ROLLCALL_WRITE_PUT, ROLLCALL_WRITE_DELETE };
struct rollcall_write {
    enum rollcall_write_kind kind;
    struct rollcall_bytes key;   /* in full; any key but the active one */
    struct rollcall_bytes value; /* PUT */
    bool with_lease;             /* PUT: under the session's lease, and so gone with it */
};
enum { ROLLCALL_WRITES_MAX = 8 };

/*
 * Writes all of it in one transaction, if the token is still valid when etcd does it; else nothing.
 * So what a process has written that does not know yet that it has lost its role is not there.
 * token:      as told with ACTIVE.
 * writes:     1 .. ROLLCALL_WRITES_MAX, of different keys; borrowed until the call returns.
 * timeout_ms: 0: 5'000.
 * Returns: ROLLCALL_OK when it is written; ROLLCALL_E_KEY_LOST when the token is not valid, and
 *          nothing is written; ROLLCALL_E_UNAVAILABLE or E_TIMEOUT when etcd did not answer: with
 *          error->maybe_applied it may be written all the same, and is not tried again;
 *          ROLLCALL_E_REJECTED what etcd makes of keys that overlap, or too much;
 *          ROLLCALL_E_INVALID without election, or for the argument at fault; ROLLCALL_E_BUSY in a
 *          callback; ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_write(struct rollcall_session *session, int64_t token,
                        const struct rollcall_write *writes, size_t write_count, int64_t timeout_ms,
                        struct rollcall_error *error);
/* The same without waiting.  done: as in admin.h: called once, also after the session is closed;
 * not called when this answers anything but ROLLCALL_OK. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_election_write_async(struct rollcall_session *session, int64_t token,
                              const struct rollcall_write *writes, size_t write_count,
                              int64_t timeout_ms, rollcall_done_fn *done, void *user,
                              struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_ELECTION_H */

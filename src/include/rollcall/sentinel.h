/*
 * rollcall/sentinel.h - a crash shows at once, not after a TTL.
 *
 * A connection with the option `sentinel` starts a small process beside this one.  It knows which
 * leases the sessions of the connection are under, and revokes them when this process is dead,
 * however it died: SIGKILL, a fault, exit without close.  So their keys go, and a standby takes
 * over, some milliseconds later.
 *
 * It never revokes while this process lives: one that is stopped, traced or writing its core lives,
 * and so does one that became another program by exec, whose leases end with their TTL.  It goes
 * when the connection is closed, and when this process ends.  What a session that was closed still
 * holds (closed at once, or without an answer of etcd) is left to its TTL.  If it cannot reach etcd
 * it tries for as long as the leases can live, two TTLs if etcd gets a new leader, and ends.
 *
 * When it dies itself, nothing else changes: a crash then shows after the TTL until another has
 * been started, a tenth of a second later at first, and later each time.  The log says so (WARN).
 *
 * Of this process it has the environment and the user, and that it is started here: no terminal, no
 * file, no signal, the folder /.  It is not our child: no SIGCHLD comes of it, no wait finds it,
 * and a file of its own that a child of ours inherits (all are closed by exec) does not delay it.
 *
 * The password, if there is one, is in memory that both share, never on a command line.  It has no
 * connection to etcd before it needs one; but with a user it logs in as it starts, and again if
 * etcd has forgotten that by then, for which etcd takes its time (its bcrypt cost).  It needs the
 * TLS files, and /proc for them, as this process does.  It sleeps, takes some 10 MB of memory, and
 * looks after 16,384 sessions of the connection.
 *
 * What ends both at once ends its use: a container whose first process this one is (put an init
 * before it), a control group that is killed as a whole, a machine.
 *
 * Threads: any.
 */
#ifndef ROLLCALL_SENTINEL_H
#define ROLLCALL_SENTINEL_H

#include <rollcall/etcd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_sentinel_info {
    bool ready;      /* it runs, and has said that it looks out; one that has not yet will, for a
                        crash in between is not forgotten */
    int64_t pid;     /* of it, when ready; else 0 */
    uint64_t starts; /* so far; more than 1: some have died.  0: the connection has no sentinel */
};
ROLLCALL_API void rollcall_etcd_sentinel(struct rollcall_etcd *etcd,
                                         struct rollcall_sentinel_info *info);

/* Instead of a file; see below. */
enum { ROLLCALL_COMPANION_NONE = -1, ROLLCALL_COMPANION_COMING = -2 };

/*
 * Names a companion: another process that acts for the sessions of the connection, such as a child
 * that works while they are held, and may live a moment longer than this one.  When this process is
 * dead, the sentinel then waits until that one is dead too, and revokes nothing before; nor after,
 * if the TTL was over earlier.  There is one at a time; without a sentinel this does nothing.
 * pid_fd: a pidfd of it (pidfd_open), which stays the caller's; or _COMING, before it is started:
 *         if this process dies before that one is named, nothing is revoked; or _NONE, when it has
 *         ended or could not be started.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_SYSTEM when it could not be handed over: until there is
 *          another sentinel, which gets it too, nothing is revoked.
 */
ROLLCALL_API enum rollcall_status rollcall_etcd_companion(struct rollcall_etcd *etcd, int pid_fd);

/*
 * To be a sentinel: what `rollcall sentinel` does, and any program may that is to stand in for it.
 * Called first in main, before there is a thread; it is over when this returns, and main should
 * return too.  All signals but a process's own faults are blocked from here on.
 * Returns: ROLLCALL_OK: nothing is held any more that it had to revoke; ROLLCALL_E_INVALID: the
 *          process was not started to be one; or why not all could be revoked.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_sentinel_run(struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_SENTINEL_H */

/*
 * tests/support/etcd_fixture.h - a private one-node etcd that a test may kill, freeze and restart.
 *
 * It listens on two loopback ports below the kernel's ephemeral range, so no outgoing connection
 * can take them while it is down, and keeps its data in a temporary directory.  That the process
 * that answers is the one we started is checked in /proc.  It is only ever ended by its pid, and
 * dies with the test.
 *
 * Threads: one at a time; create it on the main thread (see process.h).
 * Errors:  false or NULL, after one sentence and the end of etcd's log on stderr.
 */
#ifndef TESTS_SUPPORT_ETCD_FIXTURE_H
#define TESTS_SUPPORT_ETCD_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

struct etcd_fixture;

/* Starts etcd and waits until it answers with a leader.
 * more_arguments: NULL-terminated, for etcd's command line; borrowed for life; NULL: none. */
struct etcd_fixture *etcd_fixture_create(const char *const *more_arguments);
/* Ends it, whatever state it is in, and removes its data.  NULL: nothing. */
void etcd_fixture_destroy(struct etcd_fixture *etcd);

/* "127.0.0.1:PORT"; stays the same for life. */
const char *etcd_fixture_endpoint(const struct etcd_fixture *etcd);
pid_t etcd_fixture_pid(const struct etcd_fixture *etcd); /* 0 while it is down */

void etcd_fixture_kill(struct etcd_fixture *etcd);   /* SIGKILL; returns when it is gone */
void etcd_fixture_freeze(struct etcd_fixture *etcd); /* SIGSTOP: connected, silent */
void etcd_fixture_thaw(struct etcd_fixture *etcd);   /* SIGCONT */
/* After a kill: the same data and ports; waits until it answers. */
bool etcd_fixture_restart(struct etcd_fixture *etcd);
/* After a kill: waits not at all; follow with etcd_fixture_await. */
bool etcd_fixture_start(struct etcd_fixture *etcd);
bool etcd_fixture_await(struct etcd_fixture *etcd);

/*
 * The etcd shared by all tests of a run: HOST:PORT from ROLLCALL_TEST_ETCD, set by tests/run.sh.
 * Use keys nobody else uses, and never stop it.  Unset: ends the test with a sentence.
 */
const char *etcd_fixture_shared(void);

#endif /* TESTS_SUPPORT_ETCD_FIXTURE_H */

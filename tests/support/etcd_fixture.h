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

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
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

/* While it is down: keeps a copy of its data; puts the copy in their place; takes them away, so
 * that it starts as one that is new. */
bool etcd_fixture_save(struct etcd_fixture *etcd);
bool etcd_fixture_restore(struct etcd_fixture *etcd);
bool etcd_fixture_wipe(struct etcd_fixture *etcd);

/* ---- the steps of create, and what else etcd_cluster.c shares ---- */

/* Draws the ports and makes the folder, and starts nothing: follow with start and await.  What
 * more_arguments points to may be written until then. */
struct etcd_fixture *etcd_fixture_prepare(const char *const *more_arguments);
uint16_t etcd_fixture_peer_port(const struct etcd_fixture *etcd);
/* Before start: clients reach it by https alone, for which more_arguments bring what etcd needs
 * (--cert-file and so on).  That it answers is then asked at a port of its own. */
bool etcd_fixture_use_tls(struct etcd_fixture *etcd);
/* Where etcd writes what it has to say, of all its lives. */
const char *etcd_fixture_log_path(const struct etcd_fixture *etcd);

/* A port that is free now, and not `taken`; 0 when there seems to be none. */
uint16_t etcd_fixture_draw_port(uint16_t taken);
/* A new TCP socket, and the loopback address of a port.  flags: SOCK_NONBLOCK or 0; -1: failed. */
int etcd_fixture_socket(uint16_t port, int flags, struct sockaddr_in *address);
/* Whether a process has a connection between these loopback ports.  Any thread. */
bool etcd_fixture_connects(pid_t pid, uint16_t from_port, uint16_t to_port);

/*
 * The etcd shared by all tests of a run: HOST:PORT from ROLLCALL_TEST_ETCD, set by tests/run.sh.
 * Use keys nobody else uses, and never stop it.  Unset: ends the test with a sentence.
 */
const char *etcd_fixture_shared(void);

#endif /* TESTS_SUPPORT_ETCD_FIXTURE_H */

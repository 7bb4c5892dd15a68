/*
 * tests/support/etcd_cluster.h - three private etcds that are one cluster, of which a test may
 * kill, freeze, restart and cut off members.
 *
 * Each member is an etcd_fixture.  Members reach each other only through a forwarder of ours, in a
 * thread of the test, so that one can be cut off from the others while its clients still reach it.
 *
 * Threads: one at a time; create it on the main thread (see process.h).
 * Errors:  false or NULL, after one sentence on stderr.
 */
#ifndef TESTS_SUPPORT_ETCD_CLUSTER_H
#define TESTS_SUPPORT_ETCD_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

enum { ETCD_CLUSTER_MEMBERS = 3 };
enum { ETCD_CLUSTER_NO_LEADER = -1, ETCD_CLUSTER_NO_ANSWER = -2 };

struct etcd_cluster;

/* Starts all members and waits until each answers with a leader. */
struct etcd_cluster *etcd_cluster_create(void);
/* The same, each with one more argument; borrowed for life. */
struct etcd_cluster *etcd_cluster_create_with(const char *argument);
/* Ends them, whatever state they are in, and removes their data.  NULL: nothing. */
void etcd_cluster_destroy(struct etcd_cluster *cluster);

/* Where a member writes what it has to say. */
const char *etcd_cluster_log_path(const struct etcd_cluster *cluster, int member);

/* "127.0.0.1:PORT" of a member, and "A,B,C" of all; the same for life. */
const char *etcd_cluster_endpoint(const struct etcd_cluster *cluster, int member);
const char *etcd_cluster_endpoints(const struct etcd_cluster *cluster);

void etcd_cluster_kill(struct etcd_cluster *cluster, int member);   /* SIGKILL, and collected */
void etcd_cluster_freeze(struct etcd_cluster *cluster, int member); /* SIGSTOP: silent */
void etcd_cluster_thaw(struct etcd_cluster *cluster, int member);   /* SIGCONT */
/* After a kill: the same data and ports; waits until it answers, for which it takes two. */
bool etcd_cluster_restart(struct etcd_cluster *cluster, int member);

/* After a kill: waits not at all, for it may be the first of several. */
bool etcd_cluster_start(struct etcd_cluster *cluster, int member);

/* Hands the leadership on. */
bool etcd_cluster_move_leader(const struct etcd_cluster *cluster, int from, int to);
/* Takes a member out of the cluster, by asking another, and kills it. */
bool etcd_cluster_remove(struct etcd_cluster *cluster, int member, int asked);
/* Adds a fourth, with ports of its own, and waits until it answers; a learner has no vote, and
 * refuses most requests.  Once.  Returns its number, for the calls here; -1: it does not start. */
int etcd_cluster_add(struct etcd_cluster *cluster, int asked, bool learner);

/* No byte passes between the member and the others from when this returns until it is let in. */
void etcd_cluster_cut_off(struct etcd_cluster *cluster, int member);
void etcd_cluster_let_in(struct etcd_cluster *cluster, int member);

/* Which member `asked` takes for the leader; or one of the two above. */
int etcd_cluster_leader(const struct etcd_cluster *cluster, int asked);
/* Each asks until it is so; false when it was not within timeout_ms. */
bool etcd_cluster_await_no_leader(const struct etcd_cluster *cluster, int asked,
                                  int64_t timeout_ms);
/* Until all other members name the same leader, and that is not `without`. */
bool etcd_cluster_await_leader(const struct etcd_cluster *cluster, int without, int64_t timeout_ms);
/* Until all members that were not removed name the same leader; one that was added is not asked. */
bool etcd_cluster_await_whole(const struct etcd_cluster *cluster, int64_t timeout_ms);

#endif /* TESTS_SUPPORT_ETCD_CLUSTER_H */

/*
 * tests/support/outage.h - sessions on one etcd, or on a cluster of three, that reach every member
 * through a proxy which notes their renewals: the world of the tests of outages.
 *
 *     struct outage outage;
 *     outage_open_cluster(&outage, 3);
 *     outage_join(&outage, 27, 5);
 *     ... a fault ...
 *     CHECK_INT(outage_lost(&outage), 0);
 *     outage_close(&outage);
 *
 * A long scenario is played shortened, with the same claim: outage_full says when it shall be
 * played to its end, by night.
 *
 * Bounds are the specification's own.  What is held against one is what outage_took_ms says: the
 * time that passed, without what the machine was measured to have lost in it (lag.h).  So on a
 * machine that has nothing else to do nothing is added to a bound, and on a busy one no more than
 * is known to be its own.  What cannot be measured so is put into terms of what the test observes:
 * how long an election took, how long etcd was really down.
 *
 * Threads: main (see process.h).
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_OUTAGE_H
#define TESTS_SUPPORT_OUTAGE_H

#include "support/api_stored.h"
#include "support/etcd_cluster.h"
#include "support/etcd_fixture.h"
#include "support/lag.h"
#include "support/proxy.h"
#include "support/renewals.h"

enum { OUTAGE_PROXIES_MAX = 4, OUTAGE_SCENES_MAX = 3, OUTAGE_SESSIONS_MAX = 32 };
enum {
    OUTAGE_ELECTION_MS = 2000
}; /* what a cluster takes at most, undisturbed, for a new leader */

struct outage_session {
    struct rollcall_session *session;
    struct api_session_log log;
    struct rollcall_session_info info; /* when it joined */
};

struct outage {
    struct etcd_fixture *etcd;    /* the one, or NULL */
    struct etcd_cluster *cluster; /* the three, or NULL */
    struct lag *lag;
    struct renewals *renewals; /* via: the proxy's index */
    struct proxy *proxy[OUTAGE_PROXIES_MAX];
    int proxies;
    struct api_scene scene[OUTAGE_SCENES_MAX]; /* of one root */
    int scenes;
    char endpoints[OUTAGE_SCENES_MAX][128];
    struct outage_session *sessions; /* OUTAGE_SESSIONS_MAX */
    int count;
};

/* True when ROLLCALL_OUTAGE_FULL is set: the nightly runs. */
bool outage_full(void);
/* The one or the other. */
int64_t outage_choose(int64_t shortened, int64_t full);

/* One etcd, a proxy, and a connection through it.  more_arguments: as etcd_fixture_create. */
void outage_open_node(struct outage *outage, const char *const *more_arguments);
/* Three, a proxy before each, and so many connections, each with another member first. */
void outage_open_cluster(struct outage *outage, int scenes);
/* The same; argument: one more for each etcd, as etcd_cluster_create_with. */
void outage_open_cluster_with(struct outage *outage, int scenes, const char *argument);
/* One more connection, to the proxies named, by their index, then -1. */
void outage_connect(struct outage *outage, const int *proxies);
/* A proxy before one more endpoint; returns its index. */
int outage_add_proxy(struct outage *outage, const char *endpoint);
/* Closes the sessions that are left, lets every proxy forward, and ends all. */
void outage_close(struct outage *outage);

/* Opens so many sessions, spread over the connections; the next has the role "querynode". */
void outage_join(struct outage *outage, int sessions, int64_t ttl_s);
/* The same, one after another over a third of the TTL: whenever a fault begins, some renew. */
void outage_join_spread(struct outage *outage, int sessions, int64_t ttl_s);
/* One, on the connection at `scene`; options as for api_open. */
struct outage_session *outage_join_one(struct outage *outage, int scene, int64_t ttl_s);
void outage_leave(struct outage_session *member);

/* The same root for etcdctl, straight to a member. */
struct api_scene outage_beside(const struct outage *outage, int member);

/* How often LOST, or SUSPECT, was told so far, by all. */
size_t outage_lost(struct outage *outage);
size_t outage_suspected(struct outage *outage);
/* The longest time that any was SUSPECT; one that still is, until now. */
int64_t outage_longest_suspect_ms(struct outage *outage);
/* Waits until a renewal of each was answered at from_ms or later. */
bool outage_await_renewed(struct outage *outage, int64_t from_ms, int64_t timeout_ms);
/* Waits for a renewal that is yet to be sent, and for its answer, which no grant's can be taken
 * for.  Returns when it was sent. */
int64_t outage_await_next(struct outage *outage, int64_t lease_id);
/* Each is ACTIVE, with the lease and the key that it joined with. */
void outage_check_kept(struct outage *outage, int member);
/* Says the reason of the first LOST that was told, if any was. */
void outage_say_lost(struct outage *outage);
/* What was measured, on stderr, for whoever reads the log. */
void outage_say(const char *what, int64_t value_ms);

/* ---- times ---- */

/* Lets a fault last until then, of process_now_ms; not at all when that has passed. */
void outage_sleep_until(int64_t at_ms);
/* From one time of process_now_ms to another, without what the machine lost meanwhile; never less
 * than 0. */
int64_t outage_took_ms(const struct outage *outage, int64_t from_ms, int64_t to_ms);
/* Says how long it took until now, and fails the test if that was longer, as outage_took_ms has
 * it. */
void outage_check_took(const struct outage *outage, const char *what, int64_t from_ms,
                       int64_t bound_ms);
/* Fails the test if more than bound_ms, as outage_took_ms has it, lay between when a renewal was
 * sent that was answered and the next answer, since from_ms; if the session was LOST; and if it was
 * SUSPECT, but for a gap that a TTL could not outlive: one that the machine, or an election that is
 * in the bound, made longer.  A pause of the machine that cost the renewal another try is given
 * that too, which is the one exception to the above.  member: NULL: each of them. */
void outage_check_gap(struct outage *outage, struct outage_session *member, const char *what,
                      int64_t from_ms, int64_t bound_ms);
/* The second that it was told was SUSPECT, and no later than a TTL after the last answer, which was
 * asked for a moment earlier: before anybody else could have its key. */
void outage_check_suspect_in_time(struct outage *outage, struct outage_session *member);
/* Waits until there is a new leader, and returns how long that is after from_ms, when there was no
 * other any more; but at least OUTAGE_ELECTION_MS.  A vote that was split, which no client can
 * prevent, makes it longer. */
int64_t outage_await_election(struct outage *outage, int old_leader, int64_t from_ms);

/* The leader, as a member that is no leader says. */
int outage_leader(const struct outage *outage);
/* Through which proxy a renewal of this session was answered last. */
int outage_carrier(struct outage *outage, const struct outage_session *member);

/* Through which proxy a watch is told what a writer puts all the time. */
int outage_watch_carrier(struct outage *outage);

/* ---- many: nothing is noted of each ---- */

struct outage_crowd {
    struct rollcall__monitor monitor; /* guards what is told */
    size_t active, suspect, lost;     /* told so far */
    struct rollcall_session **sessions;
    size_t count;
};
/* Starts them on one connection, evenly over spread_ms, and waits until all are ACTIVE. */
void outage_crowd_open(struct outage_crowd *crowd, const struct api_scene *scene, size_t count,
                       int64_t ttl_s, int64_t spread_ms);
size_t outage_crowd_lost(struct outage_crowd *crowd);
size_t outage_crowd_suspect(struct outage_crowd *crowd);
/* Closes them without going: their leases live out their TTL. */
void outage_crowd_close(struct outage_crowd *crowd);

#endif /* TESTS_SUPPORT_OUTAGE_H */

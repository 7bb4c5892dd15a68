/*
 * Five processes stand for one role, round after round, while the one that acts is stopped, killed,
 * frozen, or robbed, or etcd is: what each process believed, and when, is held against the others,
 * and against etcd's own history of the active key.  With ROLLCALL_OUTAGE_FULL=1 each has 200
 * rounds.
 */
#include "support/api_stored.h"
#include "support/belief.h"
#include "support/etcd_cluster.h"
#include "support/etcd_fixture.h"
#include "support/gateway.h"
#include "support/lag.h"
#include "support/outage.h"
#include "support/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    CANDIDATES = 5,
    TTL_S = 2,
    TTL_MS = 2000,
    SCAN_MS = 600, /* etcd looks for leases that have ended every half second */
    NOTICE_MS = 50,
    RECENT_MS = 300,
    ETCDCTL_MS = 5000, /* two processes have to begin and end */
    SYNC_MS = 150,
    WAIT_MS = 60000,
    NS_PER_MS = 1000000
};

struct match {
    const char *endpoints, *one_endpoint;
    struct api_scene scene;
    struct lag *lag;
    char path[64], active[128];
    struct belief_book *book;
    struct process processes[CANDIDATES];
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

static void start_candidate(struct match *match, int i)
{
    char id[16], ttl[16];
    snprintf(id, sizeof id, "%d", i + 1);
    snprintf(ttl, sizeof ttl, "%d", (int)TTL_S);
    const char *const arguments[] = {
        ROLLCALL_TEST_CANDIDATE, match->endpoints, match->scene.root, id, ttl, match->path, NULL};
    CHECK(process_start(&match->processes[i],
                        &(const struct process_options){.arguments = arguments}));
    CHECK(process_wait_for(&match->processes[i], "stands", WAIT_MS));
}

static void open_match(struct match *match, const char *endpoints, const char *one)
{
    *match = (struct match){.endpoints = endpoints, .one_endpoint = one};
    api_scene_open(&match->scene, one);
    match->lag = lag_create();
    snprintf(match->path, sizeof match->path, "/tmp/rollcall-beliefs-XXXXXX");
    snprintf(match->active, sizeof match->active, "%s/session/rootcoord", match->scene.root);
    const int fd = mkstemp(match->path);
    CHECK(fd >= 0);
    CHECK_INT(ftruncate(fd, sizeof(struct belief_book)), 0);
    match->book = mmap(NULL, sizeof *match->book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(match->book != MAP_FAILED);
    close(fd);
    for (int i = 0; i < CANDIDATES; i++) {
        start_candidate(match, i);
    }
}

static const struct belief *newest(const struct match *match)
{
    const struct belief *newest = NULL;
    const uint32_t count = match->book->count;
    CHECK(count <= BELIEFS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct belief *one = &match->book->beliefs[i];
        newest = one->token != 0 && (newest == NULL || one->token >= newest->token) ? one : newest;
    }
    return newest;
}

/* Waits until somebody acts with a token above this, who still does. */
static const struct belief *await_acting(const struct match *match, int64_t above)
{
    const int64_t until_ms = process_now_ms() + WAIT_MS;
    const struct belief *acting;
    do {
        CHECK(process_now_ms() < until_ms);
        process_sleep_ms(1);
        acting = newest(match);
    } while (acting == NULL || acting->token <= above ||
             acting->last_ns < now_ns() - (int64_t)RECENT_MS * NS_PER_MS);
    return acting;
}

/* ---- what is checked ---- */

struct puts {
    const struct match *match;
    int64_t seen[BELIEFS_MAX]; /* the revision of each put of the active key */
    size_t count;
};

static void note_put(void *user, const struct gateway_event *event)
{
    struct puts *puts = user;
    if (!event->deleted && strcmp(event->key, puts->match->active) == 0 &&
        puts->count < BELIEFS_MAX) {
        puts->seen[puts->count++] = event->revision;
    }
}

/* etcd itself gave the key at each of the revisions that were believed to be tokens. */
static void check_history(const struct match *match)
{
    struct puts *puts = calloc(1, sizeof *puts);
    int64_t last = 0;
    char key[160];
    CHECK(puts != NULL);
    puts->match = match;
    snprintf(key, sizeof key, "%s/end", match->scene.root);
    CHECK(gateway_put(match->one_endpoint, key, "x", &last));
    CHECK(gateway_history(match->one_endpoint, match->scene.root, 1, last, note_put, puts));
    for (uint32_t i = 0; i < match->book->count; i++) {
        bool found = false;
        for (size_t k = 0; k < puts->count; k++) {
            found |= puts->seen[k] == match->book->beliefs[i].token;
        }
        CHECK(found);
    }
    free(puts);
}

/* By how much the machine was late from one instant of a belief to another. */
static int64_t late_between_ms(const struct match *match, int64_t from_ns, int64_t to_ns)
{
    const int64_t offset_ms = process_now_ms() - now_ns() / NS_PER_MS;
    return lag_ms(match->lag, from_ns / NS_PER_MS + offset_ms, to_ns / NS_PER_MS + offset_ms);
}

/* No two believed at one instant, but for `allowed_ms` where somebody took the key from one. */
static void check_beliefs(const struct match *match, int64_t allowed_ms)
{
    int64_t worst_ms = -1000000;
    for (uint32_t i = 0; i < match->book->count; i++) {
        for (uint32_t k = 0; k < match->book->count; k++) {
            const struct belief *before = &match->book->beliefs[i];
            const struct belief *after = &match->book->beliefs[k];
            if (before->token == after->token) {
                CHECK_INT(before->pid, after->pid);
            } else if (before->token < after->token && before->pid != after->pid) {
                const int64_t over_ns = before->last_ns - after->first_ns;
                worst_ms = over_ns / NS_PER_MS > worst_ms ? over_ns / NS_PER_MS : worst_ms;
                CHECK(over_ns <= 0 || allowed_ms != 0);
                CHECK(over_ns <= 0 ||
                      over_ns / NS_PER_MS <
                          allowed_ms + late_between_ms(match, after->first_ns, before->last_ns));
            }
        }
    }
    outage_say("the closest that two beliefs came (negative: apart)", worst_ms);
}

static void close_match(struct match *match, int64_t allowed_ms)
{
    (void)await_acting(match, 0);
    check_history(match);
    check_beliefs(match, allowed_ms);
    for (int i = 0; i < CANDIDATES; i++) {
        process_signal(&match->processes[i], SIGTERM);
    }
    for (int i = 0; i < CANDIDATES; i++) {
        CHECK(process_wait(&match->processes[i], WAIT_MS));
        CHECK_INT(match->processes[i].exit_code, 0);
        process_destroy(&match->processes[i]);
    }
    CHECK(!api_stored(&match->scene, match->active).there);
    munmap(match->book, sizeof *match->book);
    unlink(match->path);
    lag_destroy(match->lag);
    api_scene_close(&match->scene);
}

/* ---- a round ---- */

typedef void round_fn(struct match *match, const struct belief *acting);

/* Plays the rounds; each is over when another token is believed in.  bound_ms: for how long nobody
 * may act. */
static void play(struct match *match, round_fn *round, int64_t bound_ms)
{
    int64_t slowest_ms = 0;
    for (int64_t i = outage_choose(3, 200); i > 0; i--) {
        process_sleep_ms(SYNC_MS); /* so that all who stand are told at once */
        const struct belief *acting = await_acting(match, 0);
        const int64_t token = acting->token, began_ms = process_now_ms();
        round(match, acting);
        const struct belief *next = await_acting(match, token);
        const int64_t took_ms = (next->first_ns - acting->last_ns) / NS_PER_MS;
        const int64_t late_ms = lag_ms(match->lag, began_ms, process_now_ms());
        slowest_ms = took_ms > slowest_ms ? took_ms : slowest_ms;
        if (took_ms > bound_ms + late_ms) {
            outage_say("too slow a takeover, and how late the machine was", took_ms);
            outage_say("", late_ms);
        }
        CHECK(took_ms <= bound_ms + late_ms);
        for (int k = 0; k < CANDIDATES; k++) { /* whoever was ended stands again */
            if (match->processes[k].pid == 0 || !process_running(&match->processes[k])) {
                process_destroy(&match->processes[k]);
                start_candidate(match, k);
            }
            process_signal(&match->processes[k], SIGCONT);
        }
    }
    outage_say("the slowest takeover", slowest_ms);
}

static void end_acting(struct match *match, const struct belief *acting, int signal_number)
{
    struct process *process = &match->processes[acting->server_id - 1];
    CHECK_INT(process->pid, acting->pid);
    process_signal(process, signal_number);
}

static void stop_it(struct match *match, const struct belief *acting)
{
    end_acting(match, acting, SIGTERM);
    CHECK(process_wait(&match->processes[acting->server_id - 1], WAIT_MS));
}

static void kill_it(struct match *match, const struct belief *acting)
{
    end_acting(match, acting, SIGKILL);
    CHECK(process_wait(&match->processes[acting->server_id - 1], WAIT_MS));
}

static void freeze_it(struct match *match, const struct belief *acting)
{
    end_acting(match, acting, SIGSTOP);
}

static void revoke_lease(struct match *match, const struct belief *acting)
{
    const struct api_stored active = api_stored(&match->scene, match->active);
    (void)acting;
    if (active.there) {
        api_lease_revoke(&match->scene, active.lease_id);
    }
}

static void delete_key(struct match *match, const struct belief *acting)
{
    (void)acting;
    CHECK(gateway_delete(match->one_endpoint, match->active));
}

static void play_at_one(round_fn *round, int64_t bound_ms, int64_t allowed_ms)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct match match;
    CHECK(etcd != NULL);
    open_match(&match, etcd_fixture_endpoint(etcd), etcd_fixture_endpoint(etcd));
    play(&match, round, bound_ms);
    close_match(&match, allowed_ms);
    etcd_fixture_destroy(etcd);
}

TEST(election_rounds, who_is_stopped_is_followed_and_no_two_believe_at_once)
{
    play_at_one(stop_it, 3000, 0); /* how fast it is otherwise: election_test.c */
}

TEST(election_rounds, who_is_killed_is_followed_when_its_lease_is_over)
{
    play_at_one(kill_it, TTL_MS + SCAN_MS, 0);
}

TEST(election_rounds, who_is_frozen_is_followed_and_believes_nothing_when_it_is_thawed)
{
    play_at_one(freeze_it, TTL_MS + SCAN_MS, 0);
}

TEST(election_rounds, whose_lease_is_revoked_knows_that_as_soon_as_anybody)
{
    play_at_one(revoke_lease, ETCDCTL_MS, NOTICE_MS);
}

TEST(election_rounds, whose_key_is_deleted_knows_that_as_soon_as_anybody)
{
    play_at_one(delete_key, ETCDCTL_MS, NOTICE_MS);
}

/* Who has waited longest, of those that do not act. */
static int first_in_line(const struct match *match, int64_t acting_id)
{
    int64_t longest = INT64_MAX;
    int first = -1;
    for (int i = 0; i < CANDIDATES; i++) {
        char key[160];
        snprintf(key, sizeof key, "%s-%d", match->active, i + 1);
        const struct api_stored own = api_stored(&match->scene, key);
        if (i + 1 != acting_id && own.there && own.create_revision < longest) {
            longest = own.create_revision;
            first = i;
        }
    }
    CHECK(first >= 0);
    return first;
}

static void stop_with_the_first_frozen(struct match *match, const struct belief *acting)
{
    process_signal(&match->processes[first_in_line(match, acting->server_id)], SIGSTOP);
    end_acting(match, acting, SIGTERM); /* how long it takes to end is not counted */
}

TEST(election_rounds, a_first_in_line_that_is_frozen_costs_less_than_200_ms)
{
    play_at_one(stop_with_the_first_frozen, 200, 0);
}

/* Nobody has to follow: the leases are as they were. */
TEST(election_rounds, a_restart_of_etcd_makes_no_two_believe_at_once)
{
    struct etcd_fixture *etcd = etcd_fixture_create(NULL);
    struct match match;
    CHECK(etcd != NULL);
    open_match(&match, etcd_fixture_endpoint(etcd), etcd_fixture_endpoint(etcd));
    for (int64_t i = outage_choose(3, 200); i > 0; i--) {
        (void)await_acting(&match, 0);
        etcd_fixture_kill(etcd);
        process_sleep_ms(i % 3 == 0 ? 2 * TTL_MS : 0);
        CHECK(etcd_fixture_restart(etcd));
    }
    close_match(&match, 0);
    etcd_fixture_destroy(etcd);
}

TEST(election_rounds, a_change_of_leader_makes_no_two_believe_at_once_and_stops_takes_over)
{
    struct etcd_cluster *cluster = etcd_cluster_create();
    struct match match;
    CHECK(cluster != NULL);
    open_match(&match, etcd_cluster_endpoints(cluster), etcd_cluster_endpoint(cluster, 0));
    for (int64_t i = outage_choose(3, 200); i > 0; i--) {
        const struct belief *acting = await_acting(&match, 0);
        const int64_t token = acting->token, server_id = acting->server_id;
        CHECK(etcd_cluster_await_whole(cluster, WAIT_MS));
        const int leader = etcd_cluster_leader(cluster, 0);
        process_signal(&match.processes[server_id - 1], SIGTERM);
        CHECK(etcd_cluster_move_leader(cluster, leader, (leader + 1) % ETCD_CLUSTER_MEMBERS));
        CHECK(process_wait(&match.processes[server_id - 1], WAIT_MS));
        (void)await_acting(&match, token);
        process_destroy(&match.processes[server_id - 1]);
        start_candidate(&match, (int)server_id - 1);
    }
    close_match(&match, 0);
    etcd_cluster_destroy(cluster);
}

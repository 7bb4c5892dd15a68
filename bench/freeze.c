/*
 * bench/freeze.c - sessions while the leader of a cluster is frozen, and Go's client beside them:
 *     freeze [PEER [SEED]]       (a built bench/peers/clientv3, or "-" for none; SEED: drawn)
 * Opens 27 sessions with a TTL of 5 s over three connections, each with another member first, and
 * as many of the peer's; freezes the leader for 9 s, at a moment that SEED says, and thaws it.
 * Prints one JSON line: for both, how many were lost, when etcd deleted their keys, and the longest
 * time from a renewal that was answered to the next answer, as proxies before the members saw it.
 * Exit 1 if one of ours was lost while the leader was frozen, or SUSPECT for longer than a second,
 * or LOST though its key was still there.
 */
#include "base/random.h"
#include "base/thread.h"
#include "support/etcd_cluster.h"
#include "support/measure.h"
#include "support/process.h"
#include "support/proxy.h"
#include "support/renewals.h"

#include <rollcall/session.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, SESSIONS = 27, TTL_S = 5, TTL_MS = TTL_S * 1000 };
enum { FROZEN_MS = 9000, SPREAD_MS = TTL_MS / 3, SETTLE_MS = 2 * TTL_MS, SUSPECT_MAX_MS = 1000 };
enum { START_MS = 60000, LOOK_MS = 5, NOTES = 1 << 18, ENDPOINTS_BYTES = 96 };

/* Ours or the peer's. */
struct side {
    int64_t lease_id[SESSIONS];
    int lost, lost_frozen; /* in all, and while the leader was frozen */
    int64_t first_lost_ms, last_lost_ms;
    int deleted; /* keys, by etcd */
    int64_t first_deleted_ms, last_deleted_ms;
    int64_t worst_gap_ms, worst_gap_after_ms; /* while it was frozen, and after the thaw */
    char version[32];
};

/* One of our sessions, as its callback tells. */
struct member {
    struct bench *bench;
    struct rollcall_session *session;
    int64_t suspect_at_ms; /* 0: it is not */
};

struct bench {
    struct etcd_cluster *cluster;
    struct renewals *renewals;
    struct proxy *proxy[MEMBERS];
    char endpoints[MEMBERS][ENDPOINTS_BYTES]; /* each with another member first */
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd[MEMBERS];
    struct member member[SESSIONS];
    struct process peer, watcher; /* the peer, if there is one; etcdctl, straight to a follower */
    bool has_peer;
    int64_t frozen_at_ms;
    struct rollcall__monitor monitor; /* guards what callbacks change: */
    struct side ours;
    int suspect;
    int64_t longest_suspect_ms;
    struct side theirs;
};

static bool fail(const char *what)
{
    fprintf(stderr, "freeze: %s\n", what);
    return false;
}

/* ---- what happened, and when: all counted from the freeze ---- */

static void note_count(int now, int *before, int64_t *first_ms, int64_t *last_ms, int64_t at_ms)
{
    if (now > *before) {
        *first_ms = *before == 0 ? at_ms : *first_ms;
        *last_ms = at_ms;
        *before = now;
    }
}

static void end_suspect(struct bench *bench, struct member *member, int64_t now_ms)
{
    const int64_t lasted_ms = member->suspect_at_ms == 0 ? 0 : now_ms - member->suspect_at_ms;
    if (lasted_ms > bench->longest_suspect_ms) {
        bench->longest_suspect_ms = lasted_ms;
    }
    member->suspect_at_ms = 0;
}

static void on_event(void *user, const struct rollcall_session_event *event)
{
    struct member *member = user;
    struct bench *bench = member->bench;
    const int64_t now_ms = process_now_ms();
    rollcall__monitor_lock(&bench->monitor);
    end_suspect(bench, member, now_ms);
    if (event->state == ROLLCALL_SESSION_SUSPECT) {
        bench->suspect++;
        member->suspect_at_ms = now_ms;
    } else if (event->state == ROLLCALL_SESSION_LOST) {
        note_count(bench->ours.lost + 1, &bench->ours.lost, &bench->ours.first_lost_ms,
                   &bench->ours.last_lost_ms, now_ms - bench->frozen_at_ms);
    }
    rollcall__monitor_unlock(&bench->monitor);
}

static int count_parts(const char *text, const char *part)
{
    int count = 0;
    while ((text = strstr(text, part)) != NULL) {
        text += strlen(part);
        count++;
    }
    return count;
}

static void note_deleted(struct side *side, const char *told, const char *key, int64_t at_ms)
{
    note_count(count_parts(told, key), &side->deleted, &side->first_deleted_ms,
               &side->last_deleted_ms, at_ms);
}

/* Looks at what etcd and the peer say, for so long. */
static bool look(struct bench *bench, int64_t lasts_ms)
{
    const int64_t until_ms = process_now_ms() + lasts_ms;
    while (process_now_ms() < until_ms) {
        if (!process_running(&bench->watcher) ||
            (bench->has_peer && !process_running(&bench->peer))) {
            return fail("the peer, or etcdctl watch, has ended");
        }
        const int64_t at_ms = process_now_ms() - bench->frozen_at_ms;
        note_deleted(&bench->ours, bench->watcher.out.data, "DELETE\nfreeze/session/", at_ms);
        note_deleted(&bench->theirs, bench->watcher.out.data, "DELETE\nfreeze/clientv3/", at_ms);
        if (bench->has_peer) {
            note_count(count_parts(bench->peer.out.data, "\ndone "), &bench->theirs.lost,
                       &bench->theirs.first_lost_ms, &bench->theirs.last_lost_ms, at_ms);
        }
        process_sleep_ms(LOOK_MS);
    }
    return true;
}

/* ---- both sides, each begun evenly over a third of the TTL ---- */

static bool open_proxies(struct bench *bench)
{
    bench->renewals = renewals_create(NOTES);
    for (int i = 0; i < MEMBERS; i++) {
        bench->proxy[i] = proxy_create(etcd_cluster_endpoint(bench->cluster, i), renewals_tap,
                                       renewals_user(bench->renewals, i));
        if (bench->proxy[i] == NULL) {
            return false;
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(bench->endpoints[i], ENDPOINTS_BYTES, "%s,%s,%s", proxy_endpoint(bench->proxy[i]),
                 proxy_endpoint(bench->proxy[(i + 1) % MEMBERS]),
                 proxy_endpoint(bench->proxy[(i + 2) % MEMBERS]));
    }
    return true;
}

static bool open_ours(struct bench *bench)
{
    struct rollcall_error error;
    if (rollcall_runtime_create(ROLLCALL_RUNTIME_OPTIONS(.log_level = ROLLCALL_ERROR),
                                &bench->runtime, &error) != ROLLCALL_OK) {
        return fail(error.text);
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (rollcall_etcd_connect(bench->runtime,
                                  ROLLCALL_ETCD_OPTIONS(.endpoints = bench->endpoints[i]),
                                  &bench->etcd[i], &error) != ROLLCALL_OK) {
            return fail(error.text);
        }
    }
    const int64_t began_ms = process_now_ms();
    for (int i = 0; i < SESSIONS; i++) {
        struct rollcall_session_info info;
        const int64_t early_ms = began_ms + i * SPREAD_MS / SESSIONS - process_now_ms();
        process_sleep_ms(early_ms > 0 ? early_ms : 0);
        bench->member[i].bench = bench;
        if (rollcall_session_open(
                bench->etcd[i % MEMBERS],
                ROLLCALL_SESSION_OPTIONS(.root = "freeze", .role = "node", .server_id = i + 1,
                                         .address = "127.0.0.1:1", .ttl_s = TTL_S,
                                         .on_event = on_event, .user = &bench->member[i]),
                &bench->member[i].session, &error) != ROLLCALL_OK) {
            return fail(error.text);
        }
        rollcall_session_get_info(bench->member[i].session, &info);
        bench->ours.lease_id[i] = info.lease_id;
    }
    return true;
}

/* It prints "lease N" for each, and "ready VERSION". */
static bool open_theirs(struct bench *bench, const char *program)
{
    char sessions[16], ttl_s[16], spread_ms[16];
    const char *const arguments[] = {program,
                                     sessions,
                                     ttl_s,
                                     spread_ms,
                                     "freeze/clientv3/",
                                     bench->endpoints[0],
                                     bench->endpoints[1],
                                     bench->endpoints[2],
                                     NULL};
    snprintf(sessions, sizeof sessions, "%d", SESSIONS);
    snprintf(ttl_s, sizeof ttl_s, "%d", TTL_S);
    snprintf(spread_ms, sizeof spread_ms, "%d", SPREAD_MS);
    if (!process_start(&bench->peer, &(struct process_options){.arguments = arguments}) ||
        !process_wait_for(&bench->peer, "\nready ", START_MS)) {
        return fail(bench->peer.err.data == NULL ? "no peer" : bench->peer.err.data);
    }
    bench->has_peer = true;
    const char *at = bench->peer.out.data;
    for (int i = 0; i < SESSIONS; i++) {
        at = strstr(at, "lease ");
        if (at == NULL) {
            return fail("the peer does not name its leases");
        }
        at += strlen("lease ");
        bench->theirs.lease_id[i] = strtoll(at, NULL, 10);
    }
    return sscanf(strstr(at, "\nready "), " ready %31s", bench->theirs.version) == 1;
}

static bool start_watcher(struct bench *bench, int member)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s",
             etcd_cluster_endpoint(bench->cluster, member));
    const char *const environment[] = {endpoint, "ETCDCTL_API=3", NULL};
    const char *const arguments[] = {"etcdctl", "watch", "--prefix", "freeze/", "--rev=1", NULL};
    /* From the first revision: once it told a key that is there, it watches. */
    return process_start(&bench->watcher,
                         &(struct process_options){.arguments = arguments,
                                                   .environment = environment,
                                                   .without_prefix = "ETCDCTL_"}) &&
           process_wait_for(&bench->watcher, "PUT\nfreeze/session/node-27\n", START_MS);
}

/* ---- the run ---- */

static bool await_renewed(struct bench *bench, const struct side *side)
{
    const int64_t from_ms = process_now_ms();
    for (int i = 0; i < SESSIONS; i++) {
        if (!renewals_await(bench->renewals, RENEWALS_ANSWERED, RENEWALS_ANY, side->lease_id[i],
                            from_ms, TTL_MS)) {
            return fail("a lease was not renewed before the freeze");
        }
    }
    return true;
}

static int64_t worst_gap_ms(struct bench *bench, const struct side *side, int64_t from_ms,
                            int64_t to_ms)
{
    int64_t worst_ms = 0;
    for (int i = 0; i < SESSIONS; i++) {
        const int64_t its_ms =
            renewals_worst_gap_ms(bench->renewals, side->lease_id[i], from_ms, to_ms);
        worst_ms = its_ms > worst_ms ? its_ms : worst_ms;
    }
    return worst_ms;
}

/* After the thaw as long as etcd deletes nothing: whose keys it then deletes, though this was less
 * than the TTL, has done all that can be done. */
static void measure_gaps(struct bench *bench, struct side *side, int64_t thawed_at_ms)
{
    const int64_t deleted_at_ms = bench->frozen_at_ms + side->first_deleted_ms;
    side->worst_gap_ms = worst_gap_ms(bench, side, bench->frozen_at_ms, thawed_at_ms);
    side->worst_gap_after_ms = worst_gap_ms(bench, side, thawed_at_ms,
                                            side->deleted > 0 ? deleted_at_ms : process_now_ms());
}

/* Freezes, thaws, and looks until what the thawed leader may do has been done. */
static bool play(struct bench *bench, int leader)
{
    bench->frozen_at_ms = process_now_ms();
    etcd_cluster_freeze(bench->cluster, leader);
    const bool looked = look(bench, FROZEN_MS);
    const int64_t thawed_at_ms = process_now_ms();
    rollcall__monitor_lock(&bench->monitor);
    bench->ours.lost_frozen = bench->ours.lost;
    bench->theirs.lost_frozen = bench->theirs.lost;
    rollcall__monitor_unlock(&bench->monitor);
    etcd_cluster_thaw(bench->cluster, leader);
    if (!looked || !look(bench, SETTLE_MS)) {
        return false;
    }
    measure_gaps(bench, &bench->ours, thawed_at_ms);
    bench->theirs.worst_gap_ms =
        worst_gap_ms(bench, &bench->theirs, bench->frozen_at_ms, thawed_at_ms);
    rollcall__monitor_lock(&bench->monitor);
    for (int i = 0; i < SESSIONS; i++) {
        end_suspect(bench, &bench->member[i], process_now_ms());
    }
    rollcall__monitor_unlock(&bench->monitor);
    return true;
}

static void print_side(const struct side *side)
{
    printf("\"sessions\":%d,\"lost_while_frozen\":%d,\"lost_after_thaw\":%d", SESSIONS,
           side->lost_frozen, side->lost - side->lost_frozen);
    if (side->lost > 0) {
        printf(",\"first_lost_ms\":%" PRId64 ",\"last_lost_ms\":%" PRId64, side->first_lost_ms,
               side->last_lost_ms);
    }
    printf(",\"keys_deleted_by_etcd\":%d", side->deleted);
    if (side->deleted > 0) {
        printf(",\"first_key_deleted_ms\":%" PRId64 ",\"last_key_deleted_ms\":%" PRId64,
               side->first_deleted_ms, side->last_deleted_ms);
    }
    printf(",\"worst_renewal_gap_ms\":%" PRId64, side->worst_gap_ms);
}

static void print(const struct bench *bench, uint64_t seed)
{
    printf("{\"event\":\"bench\",\"name\":\"freeze\",\"seed\":\"0x%" PRIx64 "\",\"ttl_s\":%d,"
           "\"frozen_ms\":%d,\"rollcall\":{",
           seed, TTL_S, FROZEN_MS);
    print_side(&bench->ours);
    printf(",\"worst_renewal_gap_after_thaw_ms\":%" PRId64, bench->ours.worst_gap_after_ms);
    printf(",\"suspect\":%d,\"longest_suspect_ms\":%" PRId64 "},\"clientv3\":", bench->suspect,
           bench->longest_suspect_ms);
    if (bench->has_peer) {
        printf("{\"version\":\"%s\",", bench->theirs.version);
        print_side(&bench->theirs);
        printf("},");
    } else {
        printf("null,");
    }
    measure_print_etcd();
    printf(",");
    measure_print_host();
    printf("}\n");
}

static int run(struct bench *bench, const char *peer, uint64_t seed)
{
    if (!etcd_cluster_await_whole(bench->cluster, START_MS) || !open_proxies(bench) ||
        (peer != NULL && !open_theirs(bench, peer)) || !open_ours(bench)) {
        return 1;
    }
    const int leader = etcd_cluster_leader(bench->cluster, 0);
    if (leader < 0 || !start_watcher(bench, (leader + 1) % MEMBERS) ||
        !await_renewed(bench, &bench->ours) ||
        (bench->has_peer && !await_renewed(bench, &bench->theirs))) {
        return 1;
    }
    process_sleep_ms((int64_t)(seed % SPREAD_MS)); /* when, within an interval between renewals */
    if (!play(bench, leader)) {
        return 1;
    }
    print(bench, seed);
    const bool told_truly = bench->ours.lost <= bench->ours.deleted;
    return bench->ours.lost_frozen == 0 && bench->longest_suspect_ms <= SUSPECT_MAX_MS && told_truly
               ? 0
               : 1;
}

static void close_all(struct bench *bench)
{
    for (int i = 0; i < SESSIONS; i++) {
        rollcall_session_close(bench->member[i].session, 0);
    }
    for (int i = 0; i < MEMBERS; i++) {
        rollcall_etcd_close(bench->etcd[i]);
    }
    rollcall_runtime_destroy(bench->runtime);
    process_destroy(&bench->peer);
    process_destroy(&bench->watcher);
    for (int i = 0; i < MEMBERS; i++) {
        proxy_destroy(bench->proxy[i]);
    }
    etcd_cluster_destroy(bench->cluster);
    renewals_destroy(bench->renewals);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    const char *peer = argc > 1 && strcmp(argv[1], "-") != 0 ? argv[1] : NULL;
    char *end = NULL;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], &end, 0) : rollcall__random_entropy();
    if (argc > 3 || (end != NULL && *end != '\0')) {
        fprintf(stderr, "usage: freeze [PEER [SEED]]\n");
        return 2;
    }
    rollcall__monitor_init(&bench.monitor);
    bench.cluster = etcd_cluster_create();
    const int status = bench.cluster == NULL ? 1 : run(&bench, peer, seed);
    close_all(&bench);
    rollcall__monitor_fini(&bench.monitor);
    return status;
}

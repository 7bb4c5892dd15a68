/* tests/support/etcd_cluster.c - see etcd_cluster.h. */
#include "support/etcd_cluster.h"

#include "support/etcd_fixture.h"
#include "support/etcd_forwarder.h"
#include "support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, SLOTS = ETCD_FORWARDER_SLOTS, NOBODY = SLOTS };
enum {
    TRIES = 10,
    PAUSE_MS = 50,
    ASK_MS = 10000,
    CHANGE_MS = 30000,
    URL_BYTES = 40,
    NAME_BYTES = 16
};

struct etcd_cluster {
    struct etcd_fixture *member[SLOTS]; /* the last: one that was added, or NULL */
    uint64_t id[SLOTS];                 /* as etcd names them */
    bool removed[SLOTS];
    char name[SLOTS][NAME_BYTES], url[SLOTS][URL_BYTES];
    char initial[SLOTS * (NAME_BYTES + URL_BYTES)], endpoints[MEMBERS * 32];
    const char *arguments[SLOTS][10];
    const char *more; /* the last of the arguments; NULL: none */
    struct etcd_forwarder forwarder;
};

/* ---- who is the leader ---- */

/* The number that etcdctl prints behind a name; 0: it does not. */
static uint64_t field(const char *text, const char *name)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\" : ", name);
    const char *found = strstr(text, quoted);
    return found == NULL ? 0 : strtoull(found + strlen(quoted), NULL, 10);
}

/* Runs etcdctl at a member.  process: the caller's to destroy, whatever this returns. */
static bool etcdctl(const struct etcd_cluster *cluster, int asked, const char *const *arguments,
                    struct process *process)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s",
             etcd_cluster_endpoint(cluster, asked));
    const char *const environment[] = {endpoint, "ETCDCTL_API=3", NULL};
    return process_run(process,
                       &(struct process_options){.arguments = arguments,
                                                 .environment = environment,
                                                 .without_prefix = "ETCDCTL_"},
                       ASK_MS) &&
           process->exit_code == 0;
}

/* False: it does not answer.  id: of the one asked; leader: 0: it knows none. */
static bool ask_status(const struct etcd_cluster *cluster, int asked, uint64_t *id,
                       uint64_t *leader)
{
    const char *const arguments[] = {
        "etcdctl", "--command-timeout=2s", "endpoint", "status", "-w", "fields", NULL};
    struct process process;
    const bool answers = etcdctl(cluster, asked, arguments, &process);
    if (answers) {
        *id = field(process.out.data, "MemberID");
        *leader = field(process.out.data, "Leader");
    }
    process_destroy(&process);
    return answers;
}

int etcd_cluster_leader(const struct etcd_cluster *cluster, int asked)
{
    uint64_t id = 0, leader = 0;
    if (!ask_status(cluster, asked, &id, &leader)) {
        return ETCD_CLUSTER_NO_ANSWER;
    }
    for (int i = 0; i < SLOTS; i++) {
        if (leader != 0 && leader == cluster->id[i]) {
            return i;
        }
    }
    return ETCD_CLUSTER_NO_LEADER;
}

/* Whether all members but `without` name the same leader, and not that one. */
static bool agree(const struct etcd_cluster *cluster, int without)
{
    int leader = NOBODY;
    for (int i = 0; i < MEMBERS; i++) {
        if (i != without && !cluster->removed[i]) {
            const int named = etcd_cluster_leader(cluster, i);
            if (named < 0 || named == without || (leader != NOBODY && named != leader)) {
                return false;
            }
            leader = named;
        }
    }
    return true;
}

bool etcd_cluster_await_leader(const struct etcd_cluster *cluster, int without, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (!agree(cluster, without)) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(PAUSE_MS);
    }
    return true;
}

bool etcd_cluster_await_whole(const struct etcd_cluster *cluster, int64_t timeout_ms)
{
    return etcd_cluster_await_leader(cluster, NOBODY, timeout_ms);
}

bool etcd_cluster_await_no_leader(const struct etcd_cluster *cluster, int asked, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    while (etcd_cluster_leader(cluster, asked) != ETCD_CLUSTER_NO_LEADER) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(PAUSE_MS);
    }
    return true;
}

/* ---- members ---- */

const char *etcd_cluster_endpoint(const struct etcd_cluster *cluster, int member)
{
    return etcd_fixture_endpoint(cluster->member[member]);
}

const char *etcd_cluster_log_path(const struct etcd_cluster *cluster, int member)
{
    return etcd_fixture_log_path(cluster->member[member]);
}

const char *etcd_cluster_endpoints(const struct etcd_cluster *cluster)
{
    return cluster->endpoints;
}

void etcd_cluster_kill(struct etcd_cluster *cluster, int member)
{
    etcd_forwarder_know(&cluster->forwarder, member, 0);
    etcd_fixture_kill(cluster->member[member]);
}

void etcd_cluster_freeze(struct etcd_cluster *cluster, int member)
{
    etcd_fixture_freeze(cluster->member[member]);
}

void etcd_cluster_thaw(struct etcd_cluster *cluster, int member)
{
    etcd_fixture_thaw(cluster->member[member]);
}

static bool start(struct etcd_cluster *cluster, int member)
{
    const bool started = etcd_fixture_start(cluster->member[member]);
    etcd_forwarder_know(&cluster->forwarder, member, etcd_fixture_pid(cluster->member[member]));
    return started;
}

bool etcd_cluster_start(struct etcd_cluster *cluster, int member)
{
    return start(cluster, member);
}

bool etcd_cluster_restart(struct etcd_cluster *cluster, int member)
{
    return start(cluster, member) && etcd_fixture_await(cluster->member[member]);
}

void etcd_cluster_cut_off(struct etcd_cluster *cluster, int member)
{
    etcd_forwarder_cut_off(&cluster->forwarder, member);
}

void etcd_cluster_let_in(struct etcd_cluster *cluster, int member)
{
    etcd_forwarder_let_in(&cluster->forwarder, member);
}

/* ---- starting ---- */

/* A place to listen, a name and an URL, and with them what tells of the whole cluster. */
static bool prepare_place(struct etcd_cluster *cluster, int member)
{
    struct etcd_forwarder *forwarder = &cluster->forwarder;
    cluster->member[member] = etcd_fixture_prepare(cluster->arguments[member]);
    if (cluster->member[member] == NULL) {
        return false;
    }
    const bool listens =
        etcd_forwarder_listen(forwarder, member, etcd_fixture_peer_port(cluster->member[member]));
    snprintf(cluster->name[member], sizeof cluster->name[member], "m%d", member);
    snprintf(cluster->url[member], sizeof cluster->url[member], "http://127.0.0.1:%u",
             forwarder->port[member]);
    size_t used = 0;
    for (int i = 0; i <= member; i++) {
        if (!cluster->removed[i]) {
            used +=
                (size_t)snprintf(cluster->initial + used, sizeof cluster->initial - used, "%s%s=%s",
                                 used == 0 ? "" : ",", cluster->name[i], cluster->url[i]);
        }
    }
    return listens;
}

/* Of a flag that is given twice, etcd takes the later. */
static void prepare_arguments(struct etcd_cluster *cluster, int member, const char *state)
{
    const char *const arguments[] = {"--name",
                                     cluster->name[member],
                                     "--initial-advertise-peer-urls",
                                     cluster->url[member],
                                     "--initial-cluster",
                                     cluster->initial,
                                     "--initial-cluster-state",
                                     state,
                                     cluster->more};
    memcpy(cluster->arguments[member], arguments, sizeof arguments);
}

static bool prepare_member(struct etcd_cluster *cluster, int member)
{
    if (!prepare_place(cluster, member)) {
        return false;
    }
    const size_t listed = strlen(cluster->endpoints);
    snprintf(cluster->endpoints + listed, sizeof cluster->endpoints - listed, "%s%s",
             listed == 0 ? "" : ",", etcd_cluster_endpoint(cluster, member));
    prepare_arguments(cluster, member, "new");
    return true;
}

static bool start_all(struct etcd_cluster *cluster)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (!prepare_member(cluster, i)) {
            return false;
        }
    }
    if (!etcd_forwarder_start(&cluster->forwarder)) {
        return false;
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (!start(cluster, i)) {
            return false;
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        uint64_t leader = 0;
        if (!etcd_fixture_await(cluster->member[i]) ||
            !ask_status(cluster, i, &cluster->id[i], &leader)) {
            return false;
        }
    }
    return true;
}

/* ---- who is a member ---- */

/* By the try before, whose answer did not come. */
static bool says_done_already(const char *text)
{
    return strstr(text, "Peer URLs already exists") != NULL ||
           strstr(text, "member not found") != NULL;
}

static bool may_pass(const char *text)
{
    static const char *const TEXTS[] = {"unhealthy cluster", "deadline exceeded",
                                        "request timed out", "leader changed", "no leader"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        if (strstr(text, TEXTS[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Says why on stderr when it is refused.  Members are not changed until all have been connected for
 * 5 s; so it is asked again for a while. */
static bool tell(const struct etcd_cluster *cluster, int asked, const char *const *arguments)
{
    const int64_t until_ms = process_now_ms() + CHANGE_MS;
    bool done = false;
    for (bool again = true, before = false; again; before = true) {
        struct process process;
        done = etcdctl(cluster, asked, arguments, &process) ||
               (before && says_done_already(process.err.data));
        again = !done && process_now_ms() < until_ms && may_pass(process.err.data);
        if (!done && !again) {
            fprintf(stderr, "etcd cluster: %s: %s\n", arguments[1], process.err.data);
        }
        process_destroy(&process);
    }
    return done;
}

bool etcd_cluster_move_leader(const struct etcd_cluster *cluster, int from, int to)
{
    char id[24];
    snprintf(id, sizeof id, "%llx", (unsigned long long)cluster->id[to]);
    return tell(cluster, from, (const char *const[]){"etcdctl", "move-leader", id, NULL});
}

bool etcd_cluster_remove(struct etcd_cluster *cluster, int member, int asked)
{
    char id[24];
    snprintf(id, sizeof id, "%llx", (unsigned long long)cluster->id[member]);
    cluster->removed[member] =
        tell(cluster, asked, (const char *const[]){"etcdctl", "member", "remove", id, NULL});
    if (cluster->removed[member]) {
        etcd_cluster_kill(cluster, member);
    }
    return cluster->removed[member];
}

int etcd_cluster_add(struct etcd_cluster *cluster, int asked, bool learner)
{
    char urls[URL_BYTES + 16];
    uint64_t leader = 0;
    if (cluster->member[MEMBERS] != NULL || !prepare_place(cluster, MEMBERS)) {
        return -1;
    }
    prepare_arguments(cluster, MEMBERS, "existing");
    snprintf(urls, sizeof urls, "--peer-urls=%s", cluster->url[MEMBERS]);
    const char *const arguments[] = {
        "etcdctl", "member", "add", cluster->name[MEMBERS], urls, learner ? "--learner" : NULL,
        NULL};
    return tell(cluster, asked, arguments) && etcd_cluster_restart(cluster, MEMBERS) &&
                   ask_status(cluster, MEMBERS, &cluster->id[MEMBERS], &leader)
               ? MEMBERS
               : -1;
}

/* ---- all of it ---- */

struct etcd_cluster *etcd_cluster_create(void)
{
    return etcd_cluster_create_with(NULL);
}

/* New ports for every try: somebody may take one before etcd does. */
struct etcd_cluster *etcd_cluster_create_with(const char *argument)
{
    for (int i = 0; i < TRIES; i++) {
        struct etcd_cluster *cluster = calloc(1, sizeof *cluster);
        if (cluster == NULL) {
            return NULL;
        }
        cluster->more = argument;
        etcd_forwarder_init(&cluster->forwarder);
        if (start_all(cluster)) {
            return cluster;
        }
        etcd_cluster_destroy(cluster);
    }
    fprintf(stderr, "etcd cluster: does not start, tried %d times\n", TRIES);
    return NULL;
}

void etcd_cluster_destroy(struct etcd_cluster *cluster)
{
    if (cluster != NULL) {
        etcd_forwarder_fini(&cluster->forwarder);
        for (int i = 0; i < SLOTS; i++) {
            etcd_fixture_destroy(cluster->member[i]);
        }
        free(cluster);
    }
}

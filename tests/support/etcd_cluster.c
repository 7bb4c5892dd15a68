/*
 * tests/support/etcd_cluster.c - see etcd_cluster.h.
 *
 * The peer URL that a member advertises is a port of the forwarder, which passes on to the port
 * where the member listens.  A connection is of two members: the one whose port it came to, and the
 * one that made it, which /proc tells by the port it comes from.
 *
 * One thread runs the forwarder, and it alone opens and closes sockets.  To cut a member off, the
 * test's thread shuts its connections down; the forwarder then sees them end.
 */
#include "support/etcd_cluster.h"

#include "base/thread.h"
#include "support/etcd_fixture.h"
#include "support/process.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMBERS = ETCD_CLUSTER_MEMBERS, NOBODY = MEMBERS };
enum { TRIES = 10, LINES_MAX = 128, FLOW_BYTES = 16384, PAUSE_MS = 50, ASK_MS = 10000 };
enum { FD_COUNT = MEMBERS + 2 * LINES_MAX, URL_BYTES = 40, NAME_BYTES = 16 };

/* Read from one side of a line, and not yet written to the other. */
struct flow {
    char data[FLOW_BYTES];
    size_t begin, end;
    bool over; /* no more will be read */
};

/* Side 0 is the member that connected, side 1 the one it connected to. */
struct line {
    bool open;
    int fd[2], member[2];
    struct flow flow[2]; /* [i]: from fd[i] to the other */
};

struct forwarder {
    pthread_t thread;
    bool running; /* the creator's */
    int listener[MEMBERS];
    uint16_t port[MEMBERS], to_port[MEMBERS];
    _Atomic pid_t pid[MEMBERS];
    struct rollcall__monitor monitor; /* guards the rest */
    bool stopping, cut[MEMBERS];
    struct line lines[LINES_MAX];
};

struct etcd_cluster {
    struct etcd_fixture *member[MEMBERS];
    uint64_t id[MEMBERS]; /* as etcd names them */
    char name[MEMBERS][NAME_BYTES], url[MEMBERS][URL_BYTES];
    char initial[MEMBERS * (NAME_BYTES + URL_BYTES)], endpoints[MEMBERS * 32];
    const char *arguments[MEMBERS][8];
    struct forwarder forwarder;
};

/* ---- the forwarder: all on its thread, and locked ---- */

static void close_line(struct line *line)
{
    close(line->fd[0]);
    close(line->fd[1]);
    line->open = false;
}

static int member_at(const struct forwarder *forwarder, uint16_t from_port, int target)
{
    int member = 0;
    while (member < MEMBERS &&
           (member == target || !etcd_fixture_connects(atomic_load(&forwarder->pid[member]),
                                                       from_port, forwarder->port[target]))) {
        member++;
    }
    return member;
}

/* A connection that cannot be made, or may not, is closed: etcd will try again. */
static void accept_line(struct forwarder *forwarder, int target)
{
    struct sockaddr_in from = {.sin_port = 0}, to;
    socklen_t from_bytes = sizeof from;
    const int fd = accept4(forwarder->listener[target], (struct sockaddr *)&from, &from_bytes,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct line *line = forwarder->lines;
    while (line < &forwarder->lines[LINES_MAX] && line->open) {
        line++;
    }
    const int source = member_at(forwarder, ntohs(from.sin_port), target);
    if (line == &forwarder->lines[LINES_MAX] || source == NOBODY || forwarder->cut[source] ||
        forwarder->cut[target]) {
        close(fd);
        return;
    }
    const int out = etcd_fixture_socket(forwarder->to_port[target], SOCK_NONBLOCK, &to);
    if (out < 0 ||
        (connect(out, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        if (out >= 0) {
            close(out);
        }
        close(fd);
        return;
    }
    *line = (struct line){.open = true, .fd = {fd, out}, .member = {source, target}};
}

/* False: the line has failed. */
static bool read_side(struct line *line, int side)
{
    struct flow *flow = &line->flow[side];
    const ssize_t size = recv(line->fd[side], flow->data, sizeof flow->data, 0);
    flow->over = size == 0;
    flow->begin = 0;
    flow->end = size > 0 ? (size_t)size : 0;
    return size >= 0 || errno == EAGAIN;
}

static bool write_side(struct line *line, int side)
{
    struct flow *flow = &line->flow[1 - side];
    const ssize_t size =
        send(line->fd[side], flow->data + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
    flow->begin += size > 0 ? (size_t)size : 0;
    return size >= 0 || errno == EAGAIN;
}

static bool has_rest(const struct flow *flow)
{
    return flow->begin < flow->end;
}

static short wanted(const struct line *line, int side)
{
    const struct flow *from = &line->flow[side];
    const bool may_read = !has_rest(from) && !from->over;
    return (short)((may_read ? POLLIN : 0) | (has_rest(&line->flow[1 - side]) ? POLLOUT : 0));
}

static void serve_line(struct line *line, const struct pollfd *polled)
{
    bool well = true;
    for (int side = 0; side < 2 && well; side++) {
        const short events = polled[side].revents;
        if ((events & POLLOUT) != 0) {
            well = write_side(line, side);
        }
        if (well && (events & POLLIN) != 0) {
            well = read_side(line, side);
        } else if ((events & (POLLHUP | POLLERR)) != 0) {
            well = false;
        }
    }
    for (int side = 0; side < 2; side++) {
        well = well && !(line->flow[side].over && !has_rest(&line->flow[side]));
    }
    if (!well) {
        close_line(line);
    }
}

static void fill(const struct forwarder *forwarder, struct pollfd *polled)
{
    for (int i = 0; i < MEMBERS; i++) {
        polled[i] = (struct pollfd){.fd = forwarder->listener[i], .events = POLLIN};
    }
    for (int i = 0; i < LINES_MAX; i++) {
        const struct line *line = &forwarder->lines[i];
        for (int side = 0; side < 2; side++) {
            polled[MEMBERS + 2 * i + side] = (struct pollfd){.fd = line->open ? line->fd[side] : -1,
                                                             .events = wanted(line, side)};
        }
    }
}

/* Lines first: one that is accepted was not polled. */
static void serve(struct forwarder *forwarder, const struct pollfd *polled)
{
    for (int i = 0; i < LINES_MAX; i++) {
        if (forwarder->lines[i].open) {
            serve_line(&forwarder->lines[i], &polled[MEMBERS + 2 * i]);
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        if ((polled[i].revents & POLLIN) != 0) {
            accept_line(forwarder, i);
        }
    }
}

static void *run(void *argument)
{
    struct forwarder *forwarder = argument;
    struct pollfd polled[FD_COUNT];
    rollcall__monitor_lock(&forwarder->monitor);
    while (!forwarder->stopping) {
        fill(forwarder, polled);
        rollcall__monitor_unlock(&forwarder->monitor);
        const int ready = poll(polled, FD_COUNT, -1);
        rollcall__monitor_lock(&forwarder->monitor);
        if (ready > 0) {
            serve(forwarder, polled);
        }
    }
    rollcall__monitor_unlock(&forwarder->monitor);
    return NULL;
}

/* ---- the forwarder: from the test's thread ---- */

static bool forwarder_listen(struct forwarder *forwarder, int member)
{
    struct sockaddr_in address;
    const uint16_t port = etcd_fixture_draw_port(0);
    const int fd = etcd_fixture_socket(port, SOCK_NONBLOCK, &address);
    forwarder->listener[member] = fd;
    forwarder->port[member] = port;
    return port != 0 && fd >= 0 &&
           bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
           listen(fd, LINES_MAX) == 0;
}

static void forwarder_init(struct forwarder *forwarder)
{
    rollcall__monitor_init(&forwarder->monitor);
    for (int i = 0; i < MEMBERS; i++) {
        forwarder->listener[i] = -1;
        atomic_init(&forwarder->pid[i], 0);
    }
}

static bool forwarder_start(struct forwarder *forwarder)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    forwarder->running = rollcall__thread_start(&forwarder->thread, "forwarder", run, forwarder,
                                                &error) == ROLLCALL_OK;
    return forwarder->running;
}

static void forwarder_fini(struct forwarder *forwarder)
{
    if (forwarder->running) {
        rollcall__monitor_lock(&forwarder->monitor);
        forwarder->stopping = true;
        shutdown(forwarder->listener[0], SHUT_RDWR); /* wakes its poll, now or when it begins */
        rollcall__monitor_unlock(&forwarder->monitor);
        pthread_join(forwarder->thread, NULL);
    }
    for (int i = 0; i < LINES_MAX; i++) {
        if (forwarder->lines[i].open) {
            close_line(&forwarder->lines[i]);
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        if (forwarder->listener[i] >= 0) {
            close(forwarder->listener[i]);
        }
    }
    rollcall__monitor_fini(&forwarder->monitor);
}

void etcd_cluster_cut_off(struct etcd_cluster *cluster, int member)
{
    struct forwarder *forwarder = &cluster->forwarder;
    rollcall__monitor_lock(&forwarder->monitor);
    forwarder->cut[member] = true;
    for (int i = 0; i < LINES_MAX; i++) {
        const struct line *line = &forwarder->lines[i];
        if (line->open && (line->member[0] == member || line->member[1] == member)) {
            shutdown(line->fd[0], SHUT_RDWR);
            shutdown(line->fd[1], SHUT_RDWR);
        }
    }
    rollcall__monitor_unlock(&forwarder->monitor);
}

void etcd_cluster_let_in(struct etcd_cluster *cluster, int member)
{
    rollcall__monitor_lock(&cluster->forwarder.monitor);
    cluster->forwarder.cut[member] = false;
    rollcall__monitor_unlock(&cluster->forwarder.monitor);
}

/* ---- who is the leader ---- */

/* The number that etcdctl prints behind a name; 0: it does not. */
static uint64_t field(const char *text, const char *name)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\" : ", name);
    const char *found = strstr(text, quoted);
    return found == NULL ? 0 : strtoull(found + strlen(quoted), NULL, 10);
}

/* False: it does not answer.  id: of the one asked; leader: 0: it knows none. */
static bool ask_status(const struct etcd_cluster *cluster, int asked, uint64_t *id,
                       uint64_t *leader)
{
    char endpoint[64];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s",
             etcd_cluster_endpoint(cluster, asked));
    const char *const environment[] = {endpoint, "ETCDCTL_API=3", NULL};
    const char *const arguments[] = {
        "etcdctl", "--command-timeout=2s", "endpoint", "status", "-w", "fields", NULL};
    struct process process;
    const bool answers = process_run(&process,
                                     &(struct process_options){.arguments = arguments,
                                                               .environment = environment,
                                                               .without_prefix = "ETCDCTL_"},
                                     ASK_MS) &&
                         process.exit_code == 0;
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
    for (int i = 0; i < MEMBERS; i++) {
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
        if (i != without) {
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

const char *etcd_cluster_endpoints(const struct etcd_cluster *cluster)
{
    return cluster->endpoints;
}

void etcd_cluster_kill(struct etcd_cluster *cluster, int member)
{
    atomic_store(&cluster->forwarder.pid[member], 0);
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
    atomic_store(&cluster->forwarder.pid[member], etcd_fixture_pid(cluster->member[member]));
    return started;
}

bool etcd_cluster_restart(struct etcd_cluster *cluster, int member)
{
    return start(cluster, member) && etcd_fixture_await(cluster->member[member]);
}

/* ---- life ---- */

static bool prepare_member(struct etcd_cluster *cluster, int member)
{
    struct forwarder *forwarder = &cluster->forwarder;
    cluster->member[member] = etcd_fixture_prepare(cluster->arguments[member]);
    if (cluster->member[member] == NULL || !forwarder_listen(forwarder, member)) {
        return false;
    }
    forwarder->to_port[member] = etcd_fixture_peer_port(cluster->member[member]);
    snprintf(cluster->name[member], sizeof cluster->name[member], "m%d", member);
    snprintf(cluster->url[member], sizeof cluster->url[member], "http://127.0.0.1:%u",
             forwarder->port[member]);
    const size_t used = strlen(cluster->initial);
    snprintf(cluster->initial + used, sizeof cluster->initial - used, "%s%s=%s",
             used == 0 ? "" : ",", cluster->name[member], cluster->url[member]);
    const size_t listed = strlen(cluster->endpoints);
    snprintf(cluster->endpoints + listed, sizeof cluster->endpoints - listed, "%s%s",
             listed == 0 ? "" : ",", etcd_cluster_endpoint(cluster, member));
    /* Of a flag that is given twice, etcd takes the later. */
    const char *const arguments[] = {"--name",
                                     cluster->name[member],
                                     "--initial-advertise-peer-urls",
                                     cluster->url[member],
                                     "--initial-cluster",
                                     cluster->initial};
    memcpy(cluster->arguments[member], arguments, sizeof arguments);
    return true;
}

static bool start_all(struct etcd_cluster *cluster)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (!prepare_member(cluster, i)) {
            return false;
        }
    }
    if (!forwarder_start(&cluster->forwarder)) {
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

/* New ports for every try: somebody may take one before etcd does. */
struct etcd_cluster *etcd_cluster_create(void)
{
    for (int i = 0; i < TRIES; i++) {
        struct etcd_cluster *cluster = calloc(1, sizeof *cluster);
        if (cluster == NULL) {
            return NULL;
        }
        forwarder_init(&cluster->forwarder);
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
        forwarder_fini(&cluster->forwarder);
        for (int i = 0; i < MEMBERS; i++) {
            etcd_fixture_destroy(cluster->member[i]);
        }
        free(cluster);
    }
}

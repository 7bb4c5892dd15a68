/*
 * tests/support/etcd_forwarder.c - see etcd_forwarder.h.
 *
 * One thread runs the forwarder, and it alone opens and closes sockets.  To cut a member off, the
 * test's thread shuts its connections down; the forwarder then sees them end.
 */
#include "support/etcd_forwarder.h"

#include "support/etcd_fixture.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOTS = ETCD_FORWARDER_SLOTS, NOBODY = SLOTS, LINES_MAX = ETCD_FORWARDER_LINES };
enum { FD_COUNT = SLOTS + 2 * LINES_MAX };

/* ---- all on its thread, and locked ---- */

static void close_line(struct etcd_forwarder_line *line)
{
    close(line->fd[0]);
    close(line->fd[1]);
    line->open = false;
}

/* As etcd's own sockets do: small messages would else wait for an acknowledgement, 40 ms. */
static void send_at_once(int fd)
{
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static int member_at(const struct etcd_forwarder *forwarder, uint16_t from_port, int target)
{
    int member = 0;
    while (member < SLOTS &&
           (member == target || !etcd_fixture_connects(atomic_load(&forwarder->pid[member]),
                                                       from_port, forwarder->port[target]))) {
        member++;
    }
    return member;
}

/* A connection that cannot be made, or may not, is closed: etcd will try again. */
static void accept_line(struct etcd_forwarder *forwarder, int target)
{
    struct sockaddr_in from = {.sin_port = 0}, to;
    socklen_t from_bytes = sizeof from;
    const int fd = accept4(forwarder->listener[target], (struct sockaddr *)&from, &from_bytes,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct etcd_forwarder_line *line = forwarder->lines;
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
    send_at_once(fd);
    send_at_once(out);
    *line = (struct etcd_forwarder_line){.open = true, .fd = {fd, out}, .member = {source, target}};
}

/* False: the line has failed. */
static bool read_side(struct etcd_forwarder_line *line, int side)
{
    struct etcd_forwarder_flow *flow = &line->flow[side];
    const ssize_t size = recv(line->fd[side], flow->data, sizeof flow->data, 0);
    flow->over = size == 0;
    flow->begin = 0;
    flow->end = size > 0 ? (size_t)size : 0;
    return size >= 0 || errno == EAGAIN;
}

static bool write_side(struct etcd_forwarder_line *line, int side)
{
    struct etcd_forwarder_flow *flow = &line->flow[1 - side];
    const ssize_t size =
        send(line->fd[side], flow->data + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
    flow->begin += size > 0 ? (size_t)size : 0;
    return size >= 0 || errno == EAGAIN;
}

static bool has_rest(const struct etcd_forwarder_flow *flow)
{
    return flow->begin < flow->end;
}

static short wanted(const struct etcd_forwarder_line *line, int side)
{
    const struct etcd_forwarder_flow *from = &line->flow[side];
    const bool may_read = !has_rest(from) && !from->over;
    return (short)((may_read ? POLLIN : 0) | (has_rest(&line->flow[1 - side]) ? POLLOUT : 0));
}

static void serve_line(struct etcd_forwarder_line *line, const struct pollfd *polled)
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

static void fill(const struct etcd_forwarder *forwarder, struct pollfd *polled)
{
    for (int i = 0; i < SLOTS; i++) {
        polled[i] = (struct pollfd){.fd = forwarder->listener[i], .events = POLLIN};
    }
    for (int i = 0; i < LINES_MAX; i++) {
        const struct etcd_forwarder_line *line = &forwarder->lines[i];
        for (int side = 0; side < 2; side++) {
            polled[SLOTS + 2 * i + side] = (struct pollfd){.fd = line->open ? line->fd[side] : -1,
                                                           .events = wanted(line, side)};
        }
    }
}

/* Lines first: one that is accepted was not polled. */
static void serve(struct etcd_forwarder *forwarder, const struct pollfd *polled)
{
    for (int i = 0; i < LINES_MAX; i++) {
        if (forwarder->lines[i].open) {
            serve_line(&forwarder->lines[i], &polled[SLOTS + 2 * i]);
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        if ((polled[i].revents & POLLIN) != 0) {
            accept_line(forwarder, i);
        }
    }
}

static void *run(void *argument)
{
    struct etcd_forwarder *forwarder = argument;
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

/* ---- from the test's thread ---- */

bool etcd_forwarder_listen(struct etcd_forwarder *forwarder, int member, uint16_t to_port)
{
    struct sockaddr_in address;
    const uint16_t port = etcd_fixture_draw_port(0);
    const int fd = etcd_fixture_socket(port, SOCK_NONBLOCK, &address);
    const bool listens = port != 0 && fd >= 0 &&
                         bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
                         listen(fd, LINES_MAX) == 0;
    rollcall__monitor_lock(&forwarder->monitor);
    forwarder->listener[member] = fd; /* polled as soon as any byte passes, which is all the time */
    forwarder->port[member] = port;
    forwarder->to_port[member] = to_port;
    rollcall__monitor_unlock(&forwarder->monitor);
    return listens;
}

void etcd_forwarder_init(struct etcd_forwarder *forwarder)
{
    rollcall__monitor_init(&forwarder->monitor);
    for (int i = 0; i < SLOTS; i++) {
        forwarder->listener[i] = -1;
        atomic_init(&forwarder->pid[i], 0);
    }
}

bool etcd_forwarder_start(struct etcd_forwarder *forwarder)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    forwarder->running = rollcall__thread_start(&forwarder->thread, "forwarder", run, forwarder,
                                                &error) == ROLLCALL_OK;
    return forwarder->running;
}

void etcd_forwarder_fini(struct etcd_forwarder *forwarder)
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
    for (int i = 0; i < SLOTS; i++) {
        if (forwarder->listener[i] >= 0) {
            close(forwarder->listener[i]);
        }
    }
    rollcall__monitor_fini(&forwarder->monitor);
}

void etcd_forwarder_cut_off(struct etcd_forwarder *forwarder, int member)
{
    rollcall__monitor_lock(&forwarder->monitor);
    forwarder->cut[member] = true;
    for (int i = 0; i < LINES_MAX; i++) {
        const struct etcd_forwarder_line *line = &forwarder->lines[i];
        if (line->open && (line->member[0] == member || line->member[1] == member)) {
            shutdown(line->fd[0], SHUT_RDWR);
            shutdown(line->fd[1], SHUT_RDWR);
        }
    }
    rollcall__monitor_unlock(&forwarder->monitor);
}

void etcd_forwarder_let_in(struct etcd_forwarder *forwarder, int member)
{
    rollcall__monitor_lock(&forwarder->monitor);
    forwarder->cut[member] = false;
    rollcall__monitor_unlock(&forwarder->monitor);
}

void etcd_forwarder_know(struct etcd_forwarder *forwarder, int member, pid_t pid)
{
    atomic_store(&forwarder->pid[member], pid);
}

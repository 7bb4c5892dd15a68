/*
 * tests/support/proxy.c - see proxy.h.
 *
 * One thread polls, and it alone opens and closes sockets; a call from the test changes what it
 * shall do, and wakes it through a pipe.  A flow holds one chunk, read and not yet written, behind
 * the end of the last one.
 */
#include "support/proxy.h"

#include "base/thread.h"
#include "support/etcd_fixture.h"
#include "support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINES_MAX = 64, CHUNK_BYTES = 32768, TRIES = 10, BACKLOG = 128, OBEY_MS = 30000 };
enum { FD_WAKE, FD_LISTENER, FD_LINES, FD_COUNT = FD_LINES + 2 * LINES_MAX };

struct flow {
    char data[PROXY_TAIL + CHUNK_BYTES];
    size_t tail;       /* bytes of before, from the front of data */
    size_t begin, end; /* not yet written */
    int64_t due_ms;    /* not written before */
    bool over;         /* no more will be read */
    bool forgets;      /* what is read is not written */
};

struct line {
    bool open;
    int fd[2]; /* by enum proxy_side; the server's is -1 when nobody was asked */
    struct flow flow[2];
};

struct proxy {
    char endpoint[32];
    uint16_t port, to_port;
    proxy_tap_fn *tap;
    void *user;
    pthread_t thread;
    bool running; /* the creator's */
    int wake[2];
    struct rollcall__monitor monitor; /* guards the rest */
    bool stopping, cutting;
    enum proxy_mode mode;
    int listener; /* -1: none */
    int64_t delay_ms;
    const char *drop_after;
    uint64_t connections, dropped, bytes_from[2];
    struct line *lines;
};

/* ---- lines: all on the proxy's thread, and locked ---- */

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
}

static void close_line(struct line *line, bool hard)
{
    for (int side = 0; side < 2; side++) {
        if (hard) {
            reset(line->fd[side]);
        } else if (line->fd[side] >= 0) {
            close(line->fd[side]);
        }
    }
    line->open = false;
}

static void cut_lines(struct proxy *proxy)
{
    for (int i = 0; i < LINES_MAX; i++) {
        if (proxy->lines[i].open) {
            close_line(&proxy->lines[i], true);
        }
    }
    proxy->cutting = false;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address;
    const int fd = etcd_fixture_socket(port, SOCK_NONBLOCK, &address);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

/* As gRPC's own sockets do: small messages would else wait for an acknowledgement, 40 ms. */
static void send_at_once(int fd)
{
    const int yes = 1;
    if (fd >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
}

static void accept_line(struct proxy *proxy)
{
    const int fd = accept4(proxy->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct line *line = proxy->lines;
    if (fd < 0) {
        return;
    }
    proxy->connections++;
    while (line < &proxy->lines[LINES_MAX] && line->open) {
        line++;
    }
    const bool alone = proxy->mode == PROXY_BLACKHOLE;
    const int out = alone ? -1 : connect_to(proxy->to_port);
    if (line == &proxy->lines[LINES_MAX] || (out < 0 && !alone)) {
        reset(out);
        reset(fd);
        return;
    }
    *line = (struct line){.open = true, .fd = {fd, out}};
    send_at_once(fd);
    send_at_once(out);
    line->flow[PROXY_CLIENT].forgets = line->flow[PROXY_SERVER].forgets = alone;
}

static bool holds(const struct flow *flow, const char *text)
{
    const size_t size = strlen(text);
    const size_t before = flow->tail < size - 1 ? flow->tail : size - 1;
    return memmem(flow->data + flow->tail - before, before + flow->end - flow->begin, text, size) !=
           NULL;
}

/* What is new has been read behind the tail. */
static void look(struct proxy *proxy, struct line *line, enum proxy_side from)
{
    struct flow *flow = &line->flow[from];
    const int64_t now_ms = process_now_ms();
    if (proxy->tap != NULL) {
        proxy->tap(proxy->user, &(const struct proxy_bytes){.from = from,
                                                            .data = flow->data,
                                                            .begin = flow->begin,
                                                            .end = flow->end,
                                                            .at_ms = now_ms});
    }
    if (from == PROXY_CLIENT && proxy->drop_after != NULL && !line->flow[PROXY_SERVER].forgets &&
        holds(flow, proxy->drop_after)) {
        line->flow[PROXY_SERVER].forgets = true;
        line->flow[PROXY_SERVER].begin = line->flow[PROXY_SERVER].end; /* not what was read, too */
        proxy->dropped++;
    }
    flow->due_ms = now_ms + proxy->delay_ms;
    if (proxy->mode == PROXY_BLACKHOLE) {
        flow->forgets = true;
    }
    if (flow->forgets) {
        flow->begin = flow->end;
    }
}

/* Keeps the end of what has passed in front of what comes. */
static void keep_tail(struct flow *flow)
{
    const size_t kept = flow->end < PROXY_TAIL ? flow->end : PROXY_TAIL;
    memmove(flow->data, flow->data + flow->end - kept, kept);
    flow->tail = flow->begin = flow->end = kept;
}

/* False: the line has failed. */
static bool read_side(struct proxy *proxy, struct line *line, enum proxy_side side)
{
    struct flow *flow = &line->flow[side];
    keep_tail(flow);
    const ssize_t size = recv(line->fd[side], flow->data + flow->end, CHUNK_BYTES, 0);
    if (size > 0) {
        flow->end += (size_t)size;
        proxy->bytes_from[side] += (uint64_t)size;
        look(proxy, line, side);
    }
    flow->over = size == 0;
    return size >= 0 || errno == EAGAIN;
}

static bool write_side(struct line *line, enum proxy_side side)
{
    struct flow *flow = &line->flow[1 - side];
    const ssize_t size =
        send(line->fd[side], flow->data + flow->begin, flow->end - flow->begin, MSG_NOSIGNAL);
    flow->begin += size > 0 ? (size_t)size : 0;
    return size >= 0 || errno == EAGAIN;
}

static bool may_read(const struct proxy *proxy, const struct flow *flow, enum proxy_side side)
{
    const bool held = proxy->mode == PROXY_HOLD ||
                      (proxy->mode == PROXY_QUESTIONS && side == PROXY_SERVER) ||
                      (proxy->mode == PROXY_ANSWERS && side == PROXY_CLIENT);
    return flow->begin == flow->end && !flow->over && !held;
}

/* After a blackhole both sides may end without the other's knowing; else the end is passed on. */
static void serve_line(struct proxy *proxy, struct line *line, const struct pollfd *polled)
{
    bool well = true;
    for (int side = 0; side < 2 && well; side++) {
        const short events = polled[side].revents;
        if ((events & POLLERR) != 0) {
            close_line(line, true); /* nobody listens there, say */
            return;
        }
        if ((events & POLLOUT) != 0) {
            well = write_side(line, side);
        }
        /* Asked again: the mode may have changed while we polled. */
        if (well && (events & POLLIN) != 0 && may_read(proxy, &line->flow[side], side)) {
            well = read_side(proxy, line, side);
        } else if ((events & POLLHUP) != 0 && (polled[side].events & POLLIN) != 0) {
            well = false;
        }
    }
    for (int side = 0; side < 2; side++) {
        const struct flow *flow = &line->flow[side];
        const bool ended = flow->over && flow->begin == flow->end;
        well = well && !(ended && (side == PROXY_CLIENT || !flow->forgets));
    }
    if (!well) {
        close_line(line, false);
    }
}

/* ---- the thread ---- */

static bool listen_again(struct proxy *proxy)
{
    struct sockaddr_in address;
    const int yes = 1;
    const int fd = etcd_fixture_socket(proxy->port, SOCK_NONBLOCK, &address);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0) {
        reset(fd);
        return false;
    }
    proxy->listener = fd;
    return true;
}

/* Returns how long to poll: until the next chunk is due. */
static int fill(const struct proxy *proxy, struct pollfd *polled)
{
    const int64_t now_ms = process_now_ms();
    int64_t wait_ms = -1;
    polled[FD_WAKE] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
    polled[FD_LISTENER] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    for (int i = 0; i < 2 * LINES_MAX; i++) {
        const struct line *line = &proxy->lines[i / 2];
        const struct flow *in = &line->flow[i % 2], *out = &line->flow[1 - i % 2];
        const bool has_rest = line->open && out->begin < out->end;
        const bool is_due = has_rest && out->due_ms <= now_ms;
        if (has_rest && !is_due && (wait_ms < 0 || out->due_ms - now_ms < wait_ms)) {
            wait_ms = out->due_ms - now_ms;
        }
        const int events = (may_read(proxy, in, i % 2) ? POLLIN : 0) | (is_due ? POLLOUT : 0);
        /* One that waits for nothing is left out, or its hang-up would be told without end. */
        polled[FD_LINES + i] = (struct pollfd){
            .fd = line->open && events != 0 ? line->fd[i % 2] : -1, .events = (short)events};
    }
    return wait_ms > OBEY_MS ? OBEY_MS : (int)wait_ms;
}

static void obey(struct proxy *proxy)
{
    char drained[64];
    while (read(proxy->wake[0], drained, sizeof drained) > 0) {
    }
    if (proxy->cutting || proxy->mode == PROXY_REFUSE) {
        cut_lines(proxy);
    }
    if (proxy->mode == PROXY_REFUSE && proxy->listener >= 0) {
        reset(proxy->listener);
        proxy->listener = -1;
    }
    if (proxy->mode != PROXY_REFUSE && proxy->listener < 0 && !listen_again(proxy)) {
        fprintf(stderr, "proxy: %s cannot listen again: %s\n", proxy->endpoint, strerror(errno));
        abort(); /* on a thread where no test can be failed */
    }
    rollcall__monitor_notify(&proxy->monitor);
}

static void serve(struct proxy *proxy, const struct pollfd *polled)
{
    for (int i = 0; i < LINES_MAX; i++) {
        if (proxy->lines[i].open) {
            serve_line(proxy, &proxy->lines[i], &polled[FD_LINES + 2 * i]);
        }
    }
    if (proxy->listener >= 0 && (polled[FD_LISTENER].revents & POLLIN) != 0) {
        accept_line(proxy);
    }
    if ((polled[FD_WAKE].revents & POLLIN) != 0) {
        obey(proxy);
    }
}

static void *run(void *argument)
{
    struct proxy *proxy = argument;
    struct pollfd polled[FD_COUNT];
    rollcall__monitor_lock(&proxy->monitor);
    while (!proxy->stopping) {
        const int wait_ms = fill(proxy, polled);
        rollcall__monitor_unlock(&proxy->monitor);
        const int ready = poll(polled, FD_COUNT, wait_ms);
        rollcall__monitor_lock(&proxy->monitor);
        if (ready > 0) {
            serve(proxy, polled);
        }
    }
    rollcall__monitor_unlock(&proxy->monitor);
    return NULL;
}

/* ---- from the test's thread ---- */

/* Called locked: what was changed is done once this returns and the lock was let go. */
static void wake(struct proxy *proxy)
{
    const ssize_t written = write(proxy->wake[1], "", 1);
    (void)written; /* full: it is awake already */
}

/* Called locked: waits until the thread has done something, which takes it no time. */
static void await(struct proxy *proxy, int64_t until_ns)
{
    if (!rollcall__monitor_wait(&proxy->monitor, until_ns)) {
        fprintf(stderr, "proxy: the thread of %s does not answer\n", proxy->endpoint);
        abort();
    }
}

void proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
    const int64_t until_ns = (process_now_ms() + OBEY_MS) * 1000000;
    rollcall__monitor_lock(&proxy->monitor);
    proxy->mode = mode;
    wake(proxy);
    while ((mode == PROXY_REFUSE) == (proxy->listener >= 0)) {
        await(proxy, until_ns);
    }
    rollcall__monitor_unlock(&proxy->monitor);
}

void proxy_cut(struct proxy *proxy)
{
    const int64_t until_ns = (process_now_ms() + OBEY_MS) * 1000000;
    rollcall__monitor_lock(&proxy->monitor);
    proxy->cutting = true;
    wake(proxy);
    while (proxy->cutting) {
        await(proxy, until_ns);
    }
    rollcall__monitor_unlock(&proxy->monitor);
}

void proxy_delay(struct proxy *proxy, int64_t delay_ms)
{
    rollcall__monitor_lock(&proxy->monitor);
    proxy->delay_ms = delay_ms;
    rollcall__monitor_unlock(&proxy->monitor);
}

void proxy_drop_answers_after(struct proxy *proxy, const char *text)
{
    rollcall__monitor_lock(&proxy->monitor);
    proxy->drop_after = text;
    rollcall__monitor_unlock(&proxy->monitor);
}

uint64_t proxy_dropped(struct proxy *proxy)
{
    rollcall__monitor_lock(&proxy->monitor);
    const uint64_t dropped = proxy->dropped;
    rollcall__monitor_unlock(&proxy->monitor);
    return dropped;
}

uint64_t proxy_connections(struct proxy *proxy)
{
    rollcall__monitor_lock(&proxy->monitor);
    const uint64_t connections = proxy->connections;
    rollcall__monitor_unlock(&proxy->monitor);
    return connections;
}

size_t proxy_open(struct proxy *proxy)
{
    size_t open = 0;
    rollcall__monitor_lock(&proxy->monitor);
    for (int i = 0; i < LINES_MAX; i++) {
        open += proxy->lines[i].open;
    }
    rollcall__monitor_unlock(&proxy->monitor);
    return open;
}

uint64_t proxy_bytes_from(struct proxy *proxy, enum proxy_side side)
{
    rollcall__monitor_lock(&proxy->monitor);
    const uint64_t bytes = proxy->bytes_from[side];
    rollcall__monitor_unlock(&proxy->monitor);
    return bytes;
}

const char *proxy_endpoint(const struct proxy *proxy)
{
    return proxy->endpoint;
}

/* ---- life ---- */

/* Somebody may take a port between its being drawn and our listening there. */
static bool listen_somewhere(struct proxy *proxy)
{
    for (int i = 0; i < TRIES; i++) {
        proxy->port = etcd_fixture_draw_port(0);
        if (proxy->port != 0 && listen_again(proxy)) {
            snprintf(proxy->endpoint, sizeof proxy->endpoint, "127.0.0.1:%u", proxy->port);
            return true;
        }
    }
    return false;
}

struct proxy *proxy_create(const char *server, proxy_tap_fn *tap, void *user)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return NULL;
    }
    rollcall__monitor_init(&proxy->monitor);
    proxy->to_port = (uint16_t)strtoul(strrchr(server, ':') + 1, NULL, 10);
    proxy->tap = tap;
    proxy->user = user;
    proxy->listener = proxy->wake[0] = proxy->wake[1] = -1;
    proxy->lines = calloc(LINES_MAX, sizeof *proxy->lines);
    proxy->running =
        proxy->lines != NULL && listen_somewhere(proxy) &&
        pipe2(proxy->wake, O_NONBLOCK | O_CLOEXEC) == 0 &&
        rollcall__thread_start(&proxy->thread, "proxy", run, proxy, &error) == ROLLCALL_OK;
    if (!proxy->running) {
        fprintf(stderr, "proxy: does not start: %s\n", strerror(errno));
        proxy_destroy(proxy);
        return NULL;
    }
    return proxy;
}

void proxy_destroy(struct proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    if (proxy->running) {
        rollcall__monitor_lock(&proxy->monitor);
        proxy->stopping = true;
        wake(proxy);
        rollcall__monitor_unlock(&proxy->monitor);
        pthread_join(proxy->thread, NULL);
        cut_lines(proxy);
    }
    reset(proxy->listener);
    reset(proxy->wake[0]);
    reset(proxy->wake[1]);
    rollcall__monitor_fini(&proxy->monitor);
    free(proxy->lines);
    free(proxy);
}

#include "sentinel/keeper.h"

#include "base/clock.h"
#include "base/memory.h"
#include "sentinel/birth.h"
#include "sentinel/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PAUSE_MIN_MS = 100, /* before another is started; doubled each time, */
    PAUSE_MAX_MS = 30000,
    GOOD_MS = 60000, /* but for one that lived so long */
    GONE_MS = 1000   /* how long its end is waited for */
};

struct rollcall__keeper {
    char *path;
    struct rollcall__ledger *ledger;
    struct rollcall__log *log;
    int owner_fd; /* our own pidfd: a number of a process can be another's by the time it is used */
    int stop_fd;  /* readable: it is to stop */
    pthread_t thread;
    int64_t started_ms, due_ms, pause_ms; /* the thread's, once it runs */
    struct rollcall__monitor monitor;     /* guards the rest; the thread alone writes the next */
    int socket;                           /* to the sentinel; -1: there is none */
    struct rollcall_sentinel_info info;
    struct rollcall__companion companion; /* pid_fd -1: none, or it is coming */
    int64_t companions;                   /* so far */
};

/* ---- starting ---- */

/* Called locked.  The companion waits in the socket before there is somebody to read it: so there
 * is no moment at which a sentinel knows less than the one before it. */
static enum rollcall_status bear_with(struct rollcall__keeper *keeper, const int pair[2],
                                      struct rollcall_error *error)
{
    const struct rollcall__sentinel_files files = {.ledger = rollcall__ledger_fd(keeper->ledger),
                                                   .socket = pair[1],
                                                   .owner = keeper->owner_fd};
    if (keeper->companion.pid_fd >= 0 && !rollcall__handover_send(pair[0], &keeper->companion)) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "a sentinel cannot be told of the companion: %s",
                                  strerror(errno));
    }
    return rollcall__sentinel_birth(keeper->path, &files, error);
}

static enum rollcall_status start_sentinel(struct rollcall__keeper *keeper,
                                           struct rollcall_error *error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "no socket for a sentinel: %s",
                                  strerror(errno));
    }
    rollcall__monitor_lock(&keeper->monitor);
    const enum rollcall_status status = bear_with(keeper, pair, error);
    close(pair[1]);
    if (status == ROLLCALL_OK) {
        keeper->started_ms = rollcall__clock_boot_ms();
        keeper->socket = pair[0];
        keeper->info.starts++;
    } else {
        close(pair[0]);
    }
    rollcall__monitor_unlock(&keeper->monitor);
    return status;
}

/* ---- its end, and the next ---- */

static void set_ready(struct rollcall__keeper *keeper, int64_t pid)
{
    rollcall__monitor_lock(&keeper->monitor);
    keeper->info.ready = pid != 0;
    keeper->info.pid = pid;
    rollcall__monitor_unlock(&keeper->monitor);
}

static void drop_socket(struct rollcall__keeper *keeper)
{
    rollcall__monitor_lock(&keeper->monitor);
    close(keeper->socket);
    keeper->socket = -1;
    rollcall__monitor_unlock(&keeper->monitor);
}

static void lose_sentinel(struct rollcall__keeper *keeper)
{
    const int64_t now_ms = rollcall__clock_boot_ms();
    drop_socket(keeper);
    set_ready(keeper, 0);
    if (now_ms - keeper->started_ms >= GOOD_MS) {
        keeper->pause_ms = PAUSE_MIN_MS;
    }
    keeper->due_ms = now_ms + keeper->pause_ms;
    rollcall__log_write(keeper->log, ROLLCALL_WARN, "sentinel",
                        "the sentinel has ended: until there is another, a crash of this process "
                        "shows after its TTL; one is started in %lld ms",
                        (long long)keeper->pause_ms);
    keeper->pause_ms = keeper->pause_ms * 2 < PAUSE_MAX_MS ? keeper->pause_ms * 2 : PAUSE_MAX_MS;
}

static void try_again(struct rollcall__keeper *keeper)
{
    struct rollcall_error error;
    if (start_sentinel(keeper, &error) == ROLLCALL_OK) {
        return;
    }
    keeper->due_ms = rollcall__clock_boot_ms() + keeper->pause_ms;
    rollcall__log_write(keeper->log, ROLLCALL_WARN, "sentinel", "%s; it is tried again in %lld ms",
                        error.text, (long long)keeper->pause_ms);
    keeper->pause_ms = keeper->pause_ms * 2 < PAUSE_MAX_MS ? keeper->pause_ms * 2 : PAUSE_MAX_MS;
}

/* Returns whether it is there still. */
static bool listen_to(struct rollcall__keeper *keeper)
{
    struct rollcall__sentinel_hello hello;
    ssize_t size;
    do {
        size = recv(keeper->socket, &hello, sizeof hello, MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size == (ssize_t)sizeof hello) {
        set_ready(keeper, hello.pid);
        rollcall__log_write(keeper->log, ROLLCALL_INFO, "sentinel", "ready, pid=%lld",
                            (long long)hello.pid);
    }
    return size == (ssize_t)sizeof hello || (size < 0 && errno == EAGAIN);
}

/* ---- the thread ---- */

/* Sleeps until there is something to do; false: it is to stop. */
static bool sleep_on(const struct rollcall__keeper *keeper)
{
    struct pollfd files[] = {{.fd = keeper->stop_fd, .events = POLLIN},
                             {.fd = keeper->socket, .events = POLLIN}}; /* -1 is passed over */
    const int64_t left_ms = keeper->due_ms - rollcall__clock_boot_ms();
    const int timeout_ms = keeper->socket >= 0 ? -1 : left_ms > 0 ? (int)left_ms : 0;
    poll(files, sizeof files / sizeof files[0], timeout_ms);
    return (files[0].revents & POLLIN) == 0;
}

/* It ends when it reads the end of the socket, and so we read the end of ours. */
static void end_sentinel(struct rollcall__keeper *keeper)
{
    const int64_t until_ms = rollcall__clock_boot_ms() + GONE_MS;
    if (keeper->socket < 0) {
        return;
    }
    shutdown(keeper->socket, SHUT_WR);
    int64_t left_ms = GONE_MS;
    while (left_ms > 0 && listen_to(keeper)) {
        struct pollfd file = {.fd = keeper->socket, .events = POLLIN};
        poll(&file, 1, (int)left_ms);
        left_ms = until_ms - rollcall__clock_boot_ms();
    }
    drop_socket(keeper);
}

static void *keep(void *argument)
{
    struct rollcall__keeper *keeper = argument;
    while (sleep_on(keeper)) {
        if (keeper->socket >= 0 && !listen_to(keeper)) {
            lose_sentinel(keeper);
        }
        if (keeper->socket < 0 && rollcall__clock_boot_ms() >= keeper->due_ms) {
            try_again(keeper);
        }
    }
    end_sentinel(keeper);
    return NULL;
}

/* ---- life ---- */

static void destroy(struct rollcall__keeper *keeper)
{
    const int files[] = {keeper->owner_fd, keeper->stop_fd, keeper->socket,
                         keeper->companion.pid_fd};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i] >= 0) {
            close(files[i]);
        }
    }
    rollcall__monitor_fini(&keeper->monitor);
    rollcall__ledger_drop(keeper->ledger);
    free(keeper->path);
    free(keeper);
}

static struct rollcall__keeper *create(const char *path, struct rollcall__ledger *ledger,
                                       struct rollcall__log *log)
{
    struct rollcall__keeper *keeper = rollcall__allocate_zeroed(1, sizeof *keeper);
    if (keeper == NULL) {
        return NULL;
    }
    rollcall__monitor_init(&keeper->monitor);
    rollcall_object_keep((struct rollcall_object *)ledger); /* its first member */
    keeper->ledger = ledger;
    keeper->log = log;
    keeper->pause_ms = PAUSE_MIN_MS;
    keeper->socket = keeper->owner_fd = keeper->stop_fd = keeper->companion.pid_fd = -1;
    keeper->path = rollcall__absolute_path(path);
    return keeper;
}

static enum rollcall_status open_files(struct rollcall__keeper *keeper,
                                       struct rollcall_error *error)
{
    if (keeper->path == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a sentinel");
    }
    keeper->owner_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (keeper->owner_fd < 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "a sentinel cannot see the end of this process: %s; Linux 5.3 or "
                                  "later is needed",
                                  strerror(errno));
    }
    keeper->stop_fd = eventfd(0, EFD_CLOEXEC);
    return keeper->stop_fd >= 0 ? ROLLCALL_OK
                                : rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                                     "no file for a sentinel: %s", strerror(errno));
}

enum rollcall_status rollcall__keeper_start(const char *path, struct rollcall__ledger *ledger,
                                            struct rollcall__log *log,
                                            struct rollcall__keeper **started,
                                            struct rollcall_error *error)
{
    struct rollcall__keeper *keeper = create(path, ledger, log);
    if (keeper == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a sentinel");
    }
    enum rollcall_status status = open_files(keeper, error);
    if (status == ROLLCALL_OK) {
        status = start_sentinel(keeper, error);
    }
    if (status == ROLLCALL_OK) {
        status = rollcall__thread_start(&keeper->thread, "rc-sentinel", keep, keeper, error);
    }
    if (status != ROLLCALL_OK) {
        destroy(keeper); /* which closes the socket: one that was started ends */
        return status;
    }
    *started = keeper;
    return ROLLCALL_OK;
}

void rollcall__keeper_stop(struct rollcall__keeper *keeper)
{
    const uint64_t one = 1;
    const ssize_t written = write(keeper->stop_fd, &one, sizeof one);
    (void)written; /* to a counter that is 0 it always succeeds */
    pthread_join(keeper->thread, NULL);
    destroy(keeper);
}

void rollcall__keeper_info(struct rollcall__keeper *keeper, struct rollcall_sentinel_info *info)
{
    rollcall__monitor_lock(&keeper->monitor);
    *info = keeper->info;
    rollcall__monitor_unlock(&keeper->monitor);
}

/* ---- companions ---- */

/* Called locked.  The number comes before the companion: a sentinel that reads it, and was not
 * handed the file that goes with it, revokes nothing. */
static void announce(struct rollcall__keeper *keeper)
{
    keeper->companion.number = ++keeper->companions;
    rollcall__gauge_set(rollcall__ledger_companion(keeper->ledger), keeper->companion.number);
}

/* Called locked. */
static void forget(struct rollcall__keeper *keeper)
{
    if (keeper->companion.pid_fd >= 0) {
        close(keeper->companion.pid_fd);
    }
    keeper->companion.pid_fd = -1;
}

/* Called locked. */
static bool name(struct rollcall__keeper *keeper, int pid_fd)
{
    const bool coming = keeper->companion.pid_fd < 0 &&
                        rollcall__gauge_get(rollcall__ledger_companion(keeper->ledger)) != 0;
    forget(keeper);
    if (!coming) {
        announce(keeper);
    }
    keeper->companion.pid_fd = fcntl(pid_fd, F_DUPFD_CLOEXEC, 0);
    return keeper->companion.pid_fd >= 0 && keeper->socket >= 0 &&
           rollcall__handover_send(keeper->socket, &keeper->companion);
}

enum rollcall_status rollcall__keeper_companion(struct rollcall__keeper *keeper, int pid_fd)
{
    bool good = true;
    rollcall__monitor_lock(&keeper->monitor);
    if (pid_fd >= 0) {
        good = name(keeper, pid_fd);
    } else {
        forget(keeper);
        rollcall__gauge_set(rollcall__ledger_companion(keeper->ledger), 0);
        if (pid_fd == ROLLCALL_COMPANION_COMING) {
            announce(keeper);
        }
    }
    rollcall__monitor_unlock(&keeper->monitor);
    if (pid_fd >= 0) {
        rollcall__log_write(keeper->log, good ? ROLLCALL_INFO : ROLLCALL_WARN, "sentinel", "%s",
                            good ? "waits for a companion too"
                                 : "cannot be told of a companion: a crash shows after the TTL");
    }
    return good ? ROLLCALL_OK : ROLLCALL_E_SYSTEM;
}

#include "sentinel/vigil.h"

#include "base/clock.h"
#include "base/thread.h"
#include "sentinel/birth.h"
#include "sentinel/handover.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINGER_MAX_MS = 24 * 3600 * 1000 };

enum rollcall_status rollcall__vigil_begin(struct rollcall_error *error)
{
    struct stat file;
    struct pollfd owner = {.fd = ROLLCALL__SENTINEL_OWNER_FD, .events = POLLIN};
    sigset_t before;
    if (fstat(ROLLCALL__SENTINEL_SOCKET_FD, &file) != 0 || !S_ISSOCK(file.st_mode) ||
        poll(&owner, 1, 0) < 0 || (owner.revents & POLLNVAL) != 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "a sentinel is started by the process that it looks after");
    }
    rollcall__thread_block_signals(&before);
    return ROLLCALL_OK;
}

/* An owner that has died, or will not hear us any more, is noticed by what comes next. */
static void say_ready(void)
{
    const struct rollcall__sentinel_hello hello = {.pid = getpid()};
    ssize_t sent;
    do {
        sent = send(ROLLCALL__SENTINEL_SOCKET_FD, &hello, sizeof hello, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
}

static int timeout_of(const struct rollcall__ledger_view *view)
{
    const int64_t ttl_s = rollcall__ledger_longest_ttl_s(view);
    return ttl_s >= LINGER_MAX_MS / 1000 ? LINGER_MAX_MS : (int)(ttl_s * 1000);
}

/* Waits for the end of a process; false: it lives still after timeout_ms, but for the time that our
 * own being stopped took. */
static bool await_end(int pid_fd, int timeout_ms)
{
    const int64_t until_ms = rollcall__clock_boot_ms() + timeout_ms;
    struct pollfd file = {.fd = pid_fd, .events = POLLIN};
    int64_t left_ms = timeout_ms;
    while (poll(&file, 1, (int)left_ms) < 0) {
        left_ms = until_ms - rollcall__clock_boot_ms();
        left_ms = left_ms > 0 ? left_ms : 0;
    }
    return (file.revents & POLLIN) != 0;
}

/* Takes what the owner has handed over, the last of which counts; false: nothing more will come. */
static bool take_companions(struct rollcall__companion *last)
{
    struct rollcall__companion next;
    enum rollcall__handover came;
    while ((came = rollcall__handover_receive(ROLLCALL__SENTINEL_SOCKET_FD, &next)) ==
           ROLLCALL__HANDOVER_ONE) {
        if (last->pid_fd >= 0) {
            close(last->pid_fd);
        }
        *last = next;
    }
    return came != ROLLCALL__HANDOVER_END;
}

/* Until the owner is dead, true; or lets go of us, false. */
static bool await_owner(struct rollcall__companion *last)
{
    struct pollfd files[] = {{.fd = ROLLCALL__SENTINEL_OWNER_FD, .events = POLLIN},
                             {.fd = ROLLCALL__SENTINEL_SOCKET_FD, .events = POLLIN}};
    bool attached = true;
    while (attached && (files[0].revents & POLLIN) == 0) {
        if (poll(files, sizeof files / sizeof files[0], -1) > 0 && files[1].revents != 0) {
            attached = take_companions(last);
        }
    }
    return (files[0].revents & POLLIN) != 0;
}

/* The owner has let go of us and lives.  If it has closed the connection in good order, nothing is
 * held.  If it has closed its files and goes on, a crash is looked out for until it can have
 * noticed and started another of us; if it has become another program, nobody renews its leases. */
static bool linger(const struct rollcall__ledger_view *view)
{
    return await_end(ROLLCALL__SENTINEL_OWNER_FD, timeout_of(view));
}

/* Nobody else acts for the sessions, or not any more. */
static bool is_alone(const struct rollcall__ledger_view *view, struct rollcall__companion *last)
{
    const int64_t number = rollcall__ledger_companion_now(view);
    (void)take_companions(last); /* what it did before it died */
    return number == 0 || (last->pid_fd >= 0 && last->number == number &&
                           await_end(last->pid_fd, timeout_of(view)));
}

enum rollcall__vigil rollcall__vigil_keep(const struct rollcall__ledger_view *view)
{
    struct rollcall__companion last = {.pid_fd = -1};
    say_ready();
    const bool dead = await_owner(&last) || linger(view);
    const bool to_revoke = dead && is_alone(view, &last);
    if (last.pid_fd >= 0) {
        close(last.pid_fd);
    }
    return to_revoke ? ROLLCALL__VIGIL_DEAD : ROLLCALL__VIGIL_DISMISSED;
}

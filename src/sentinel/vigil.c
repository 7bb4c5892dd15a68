#include "sentinel/vigil.h"

#include "base/clock.h"
#include "base/thread.h"
#include "sentinel/birth.h"
#include "sentinel/keeper.h"

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

/* Waits for the owner's end, and while `fd` is not -1 for that of the socket; true: it is dead. */
static bool await_owner(int fd, int timeout_ms)
{
    struct pollfd files[] = {{.fd = ROLLCALL__SENTINEL_OWNER_FD, .events = POLLIN},
                             {.fd = fd, .events = POLLIN}};
    int count;
    do {
        count = poll(files, sizeof files / sizeof files[0], timeout_ms);
    } while (count < 0);
    return (files[0].revents & POLLIN) != 0;
}

/* The owner has let go of us and lives.  If it has closed the connection in good order, nothing is
 * held.  If it has closed its files and goes on, a crash is looked out for until it can have
 * noticed and started another of us; if it has become another program, nobody renews its leases. */
static enum rollcall__vigil linger(const struct rollcall__ledger_view *view)
{
    const int64_t ttl_s = rollcall__ledger_longest_ttl_s(view);
    const int timeout_ms = ttl_s >= LINGER_MAX_MS / 1000 ? LINGER_MAX_MS : (int)(ttl_s * 1000);
    return await_owner(-1, timeout_ms) ? ROLLCALL__VIGIL_DEAD : ROLLCALL__VIGIL_DISMISSED;
}

enum rollcall__vigil rollcall__vigil_keep(const struct rollcall__ledger_view *view)
{
    say_ready();
    return await_owner(ROLLCALL__SENTINEL_SOCKET_FD, -1) ? ROLLCALL__VIGIL_DEAD : linger(view);
}

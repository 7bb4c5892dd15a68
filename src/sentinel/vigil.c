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

/* What is looked at; a file that has nothing more to say is -1. */
struct lookout {
    struct pollfd owner, socket, companion;
    struct rollcall__companion last; /* handed over; pid_fd -1: none was */
};

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

/* Waits until there is something new, or until_ms, and notes it; what was noted stays.  False: it
 * was interrupted, and nothing is known. */
static bool look(struct lookout *out, struct rollcall__sight *sight, int64_t until_ms)
{
    const int64_t left_ms = until_ms - rollcall__clock_boot_ms();
    const int timeout_ms = until_ms == INT64_MAX ? -1 : left_ms > 0 ? (int)left_ms : 0;
    struct pollfd files[] = {out->owner, out->socket, out->companion};
    if (poll(files, sizeof files / sizeof files[0], timeout_ms) < 0) {
        return false;
    }
    if ((files[0].revents & POLLIN) != 0) {
        sight->owner_dead = true;
        out->owner.fd = -1;
    }
    if (files[1].revents != 0 || (sight->owner_dead && out->socket.fd >= 0)) {
        sight->let_go = !take_companions(&out->last); /* and what it did before it died */
        sight->companion = out->last.pid_fd < 0 ? 0 : out->last.number;
        sight->companion_dead = false;
        out->companion.fd = out->last.pid_fd;
        out->socket.fd = sight->let_go || sight->owner_dead ? -1 : out->socket.fd;
    } else if ((files[2].revents & POLLIN) != 0) {
        sight->companion_dead = true;
        out->companion.fd = -1;
    }
    return true;
}

enum rollcall__verdict rollcall__vigil_keep(const struct rollcall__ledger_view *view)
{
    struct lookout out = {.owner = {.fd = ROLLCALL__SENTINEL_OWNER_FD, .events = POLLIN},
                          .socket = {.fd = ROLLCALL__SENTINEL_SOCKET_FD, .events = POLLIN},
                          .companion = {.fd = -1, .events = POLLIN},
                          .last = {.pid_fd = -1}};
    struct rollcall__judgement judgement = {.until_ms = INT64_MAX};
    struct rollcall__sight sight = {.owner_dead = false};
    enum rollcall__verdict verdict = ROLLCALL__VERDICT_WAIT;
    say_ready();
    while (verdict == ROLLCALL__VERDICT_WAIT) {
        if (look(&out, &sight, judgement.until_ms)) {
            verdict = rollcall__judge(&judgement, &sight, view, rollcall__clock_boot_ms());
        }
    }
    if (out.last.pid_fd >= 0) {
        close(out.last.pid_fd);
    }
    return verdict;
}

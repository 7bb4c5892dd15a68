/*
 * Two pipes, one byte each, never read: poll() sees the first signal in the one and the second in
 * the other, from any thread, as often as it asks.
 */
#include "cli/interrupt.h"

#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static int first[2] = {-1, -1}, second[2] = {-1, -1};
static atomic_flag was_signalled = ATOMIC_FLAG_INIT;
static volatile sig_atomic_t exits, again_exits;

/* Runs on any thread, perhaps on two at once. */
static void on_signal(int number)
{
    (void)number;
    if (exits) {
        _exit(CLI_EXIT_INTERRUPTED);
    }
    const int saved = errno;
    const bool again = atomic_flag_test_and_set(&was_signalled);
    if (again && again_exits) {
        _exit(CLI_EXIT_INTERRUPTED);
    }
    const int fd = again ? second[1] : first[1];
    const ssize_t written = write(fd, "", 1);
    (void)written; /* a pipe full of signals is readable, which is all we want */
    errno = saved;
}

static bool catch_signal(int number)
{
    struct sigaction old, action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    if (sigaction(number, NULL, &old) != 0) {
        return false;
    }
    return (number == SIGHUP && old.sa_handler == SIG_IGN) || sigaction(number, &action, NULL) == 0;
}

bool cli_interrupt_init(void)
{
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    return pipe2(first, O_CLOEXEC | O_NONBLOCK) == 0 &&
           pipe2(second, O_CLOEXEC | O_NONBLOCK) == 0 && sigaction(SIGPIPE, &ignored, NULL) == 0 &&
           catch_signal(SIGINT) && catch_signal(SIGTERM) && catch_signal(SIGHUP);
}

void cli_interrupt_exits(void)
{
    exits = 1;
    if (cli_interrupted()) {
        _exit(CLI_EXIT_INTERRUPTED);
    }
}

void cli_interrupt_again_exits(void)
{
    again_exits = 1;
}

int cli_interrupt_fd(void)
{
    return first[0];
}

int cli_interrupt_again_fd(void)
{
    return second[0];
}

bool cli_interrupted(void)
{
    struct pollfd fd = {.fd = first[0], .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

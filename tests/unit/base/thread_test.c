#include "base/thread.h"

#include "base/clock.h"
#include "support/test.h"

#include <signal.h>
#include <unistd.h>

static void *report_mask(void *mask)
{
    pthread_sigmask(SIG_SETMASK, NULL, mask);
    return NULL;
}

TEST(thread, our_threads_take_no_signal_that_is_the_applications)
{
    sigset_t ours, before, after;
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    CHECK_INT(rollcall__thread_start(&thread, "rollcall-test", report_mask, &ours, NULL),
              ROLLCALL_OK);
    pthread_join(thread, NULL);
    CHECK(sigismember(&ours, SIGTERM) == 1 && sigismember(&ours, SIGINT) == 1);
    CHECK(sigismember(&ours, SIGCHLD) == 1 && sigismember(&ours, SIGALRM) == 1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK_INT(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

/* Blocked, these kill the process without calling the application's crash handler. */
TEST(thread, a_fault_in_one_of_our_threads_reaches_the_applications_crash_handler)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t ours;
    pthread_t thread;
    CHECK_INT(rollcall__thread_start(&thread, "rollcall-test", report_mask, &ours, NULL),
              ROLLCALL_OK);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        CHECK_INT(sigismember(&ours, faults[i]), 0);
    }
}

TEST(thread, a_wait_ends_at_its_deadline_and_not_before)
{
    struct rollcall__monitor monitor;
    rollcall__monitor_init(&monitor);
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + 10000000;
    rollcall__monitor_lock(&monitor);
    while (rollcall__monitor_wait(&monitor, deadline_ns)) {
    }
    rollcall__monitor_unlock(&monitor);
    CHECK(rollcall__clock_monotonic_ns() >= deadline_ns);
    rollcall__monitor_fini(&monitor);
}

struct handshake {
    struct rollcall__monitor monitor;
    bool ready;
};

static void *make_ready(void *argument)
{
    struct handshake *handshake = argument;
    rollcall__monitor_lock(&handshake->monitor);
    handshake->ready = true;
    rollcall__monitor_unlock(&handshake->monitor);
    rollcall__monitor_notify(&handshake->monitor);
    return NULL;
}

TEST(thread, a_notify_ends_a_wait)
{
    struct handshake handshake = {.ready = false};
    pthread_t thread;
    rollcall__monitor_init(&handshake.monitor);
    CHECK_INT(rollcall__thread_start(&thread, "rollcall-test", make_ready, &handshake, NULL),
              ROLLCALL_OK);
    const int64_t deadline_ns = rollcall__clock_monotonic_ns() + INT64_C(60000000000);
    rollcall__monitor_lock(&handshake.monitor);
    while (!handshake.ready && rollcall__monitor_wait(&handshake.monitor, deadline_ns)) {
    }
    CHECK(handshake.ready);
    rollcall__monitor_unlock(&handshake.monitor);
    pthread_join(thread, NULL);
    rollcall__monitor_fini(&handshake.monitor);
}

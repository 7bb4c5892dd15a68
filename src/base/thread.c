#include "base/thread.h"

#include "base/assert.h"
#include "base/clock.h"

#include <string.h>
#include <time.h>

void rollcall__thread_block_signals(sigset_t *before)
{
    /* A fault in the thread itself is the exception: blocked, it would kill the process without
     * the application's crash handler, or a sanitizer's, being called. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(&mask, faults[i]);
    }
    pthread_sigmask(SIG_SETMASK, &mask, before);
}

void rollcall__thread_take_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

enum rollcall_status rollcall__thread_start(pthread_t *thread, const char *name,
                                            void *(*run)(void *), void *argument,
                                            struct rollcall_error *error)
{
    sigset_t before;
    rollcall__thread_block_signals(&before);
    const int failure = pthread_create(thread, NULL, run, argument);
    rollcall__thread_take_signals(&before);
    if (failure != 0) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "cannot start the thread %s: %s: raise the limit on threads",
                                  name, strerror(failure));
    }
    pthread_setname_np(*thread, name);
    return ROLLCALL_OK;
}

void rollcall__monitor_init(struct rollcall__monitor *monitor)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&monitor->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void rollcall__monitor_fini(struct rollcall__monitor *monitor)
{
    pthread_cond_destroy(&monitor->changed);
    pthread_mutex_destroy(&monitor->mutex);
}

void rollcall__monitor_lock(struct rollcall__monitor *monitor)
{
    const int failure = pthread_mutex_lock(&monitor->mutex);
    ROLLCALL_ASSERT(failure == 0);
}

void rollcall__monitor_unlock(struct rollcall__monitor *monitor)
{
    const int failure = pthread_mutex_unlock(&monitor->mutex);
    ROLLCALL_ASSERT(failure == 0);
}

void rollcall__monitor_notify(struct rollcall__monitor *monitor)
{
    pthread_cond_broadcast(&monitor->changed);
}

bool rollcall__monitor_wait(struct rollcall__monitor *monitor, int64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = deadline_ns / 1000000000,
                                      .tv_nsec = deadline_ns % 1000000000};
    if (rollcall__clock_monotonic_ns() >= deadline_ns) {
        return false;
    }
    pthread_cond_timedwait(&monitor->changed, &monitor->mutex, &deadline);
    return true; /* the caller looks at its condition again, and then at the time */
}

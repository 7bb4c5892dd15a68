/*
 * base/thread.h - threads, and the one way an application thread waits.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <rollcall/error.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

/* Blocks on the calling thread, and so on every thread that it starts from here on, all signals but
 * a thread's own faults; *before is what rollcall__thread_take_signals() restores. */
void rollcall__thread_block_signals(sigset_t *before);
void rollcall__thread_take_signals(const sigset_t *before);

/* Starts a joinable thread called `name` (at most 15 characters) with all signals but its own
 * faults blocked: signals are the application's, on the application's threads. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__thread_start(pthread_t *thread, const char *name,
                                                              void *(*run)(void *), void *argument,
                                                              struct rollcall_error *error);

/* A mutex and a condition with a deadline on the monotonic clock. */
struct rollcall__monitor {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};
void rollcall__monitor_init(struct rollcall__monitor *monitor);
void rollcall__monitor_fini(struct rollcall__monitor *monitor);
void rollcall__monitor_lock(struct rollcall__monitor *monitor);
void rollcall__monitor_unlock(struct rollcall__monitor *monitor);
void rollcall__monitor_notify(struct rollcall__monitor *monitor); /* all; locked or not */
/* Called locked, returns locked; false once deadline_ns (of the monotonic clock) has passed. */
bool rollcall__monitor_wait(struct rollcall__monitor *monitor, int64_t deadline_ns);

#endif /* BASE_THREAD_H */

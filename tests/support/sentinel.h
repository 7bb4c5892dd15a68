/*
 * tests/support/sentinel.h - crash sentinels seen from outside, in /proc.
 *
 * Threads: any.
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_SENTINEL_H
#define TESTS_SUPPORT_SENTINEL_H

#include "support/process.h"

/* The sentinel of a process, whether that lives or has died; 0: there is none. */
pid_t sentinel_of(pid_t owner);
/* Waits until it is not there any more; false when it is after timeout_ms. */
bool sentinel_await_end(pid_t sentinel, int64_t timeout_ms);
/* Waits until a command that logs at level info has said that its sentinel is ready; returns its
 * PID. */
pid_t sentinel_await_ready(struct process *owner);

/* Of a process's lines in /proc/PID/status, the one that begins so, without that; "": there is
 * none.
 */
void sentinel_status(pid_t pid, const char *name, char *text, size_t text_bytes);

#endif /* TESTS_SUPPORT_SENTINEL_H */

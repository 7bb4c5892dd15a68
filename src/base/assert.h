/*
 * base/assert.h - checks for our own bugs, always on.  Anything a network, etcd, a user or memory
 * pressure can cause is an error value instead.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <rollcall/error.h>

/* Runs the hook of this thread with the place and the sentence (the runtime's prints the message
 * trace; an explorer's does not return), prints them to stderr, and aborts. */
_Noreturn void rollcall__abort(const char *file, int line, const char *format, ...)
    ROLLCALL_PRINTF(3, 4);
/* Threads: sets the calling thread's hook; NULL: none. */
void rollcall__abort_hook(void (*hook)(void *user, const char *sentence), void *user);

#define ROLLCALL_ASSERT(condition)                                                                 \
    ((condition) ? (void)0 : rollcall__abort(__FILE__, __LINE__, "broken: %s", #condition))

#endif /* BASE_ASSERT_H */

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* The only thread-local of the project: an abort has no context to be handed one. */
static _Thread_local struct {
    void (*run)(void *user);
    void *user;
} hook;

void rollcall__abort_hook(void (*run)(void *user), void *user)
{
    hook.run = run;
    hook.user = user;
}

_Noreturn void rollcall__abort(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    void (*run)(void *) = hook.run;
    fprintf(stderr, "rollcall: bug at %s:%d: ", file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    hook.run = NULL; /* a hook that aborts must not run again */
    if (run != NULL) {
        run(hook.user);
    }
    abort();
}

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Of the two thread-locals of the project, the other is base/memory.c's: an abort has no context to
 * be handed one. */
static _Thread_local struct {
    void (*run)(void *user, const char *sentence);
    void *user;
} hook;

void rollcall__abort_hook(void (*run)(void *user, const char *sentence), void *user)
{
    hook.run = run;
    hook.user = user;
}

_Noreturn void rollcall__abort(const char *file, int line, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    void (*run)(void *, const char *) = hook.run;
    const int used = snprintf(sentence, sizeof sentence, "bug at %s:%d: ", file, line);
    va_start(arguments, format);
    vsnprintf(sentence + used, sizeof sentence - (size_t)used, format, arguments);
    va_end(arguments);
    hook.run = NULL; /* a hook that aborts must not run again */
    if (run != NULL) {
        run(hook.user, sentence);
    }
    fprintf(stderr, "rollcall: %s\n", sentence);
    abort();
}

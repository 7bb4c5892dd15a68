/* bench/support/orphans.c - see orphans.h. */
#include "support/orphans.h"

#include "support/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 1, LIST_BYTES = 4096 };

void orphans_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* 0: there is none.  Adopted ones are children of the main thread. */
static pid_t find_child(pid_t spared)
{
    char path[64], list[LIST_BYTES], *at = list, *end = NULL;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "r");
    const size_t size = file == NULL ? 0 : fread(list, 1, sizeof list - 1, file);
    list[size] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    for (long pid = strtol(at, &end, 10); end != at; pid = strtol(at, &end, 10)) {
        if (pid != spared) {
            return (pid_t)pid;
        }
        at = end;
    }
    return 0;
}

int orphans_await(pid_t spared, int64_t patience_ms)
{
    const int64_t deadline_ms = process_now_ms() + patience_ms;
    pid_t child;
    int killed = 0;
    while ((child = find_child(spared)) > 0) {
        if (waitpid(child, NULL, WNOHANG) == child) {
            continue;
        }
        if (process_now_ms() > deadline_ms) {
            kill(child, SIGKILL);
            killed += waitpid(child, NULL, 0) == child;
        }
        process_sleep_ms(LOOK_MS);
    }
    return killed;
}

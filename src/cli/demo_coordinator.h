/*
 * cli/demo_coordinator.h - one of the demo's coordinators: `rollcall register --standby`, in a
 * process of its own, so that it can be killed.
 *
 * What it prints comes through a pipe, and is summed up here.
 *
 * Threads: main.
 */
#ifndef CLI_DEMO_COORDINATOR_H
#define CLI_DEMO_COORDINATOR_H

#include <rollcall/election.h>

#include <sys/types.h>

enum { CLI_DEMO_LINE_BYTES = 4096 };

struct cli_demo_coordinator {
    const char *name; /* "coord-a" */
    pid_t pid;        /* 0: not started, or gone */
    int out;          /* what it prints; -1: nothing more */
    bool stands;      /* it has told a role */
    bool suspect;     /* its session is */
    enum rollcall_role role;
    int64_t token; /* of the last time that it was ACTIVE */
    size_t size_bytes;
    char text[CLI_DEMO_LINE_BYTES]; /* printed, and not taken yet */
};

/* Starts it at this endpoint; a zeroed struct with a name. */
ROLLCALL_MUST_USE enum rollcall_status
cli_demo_coordinator_start(struct cli_demo_coordinator *coordinator, const char *endpoint,
                           const char *address, int ttl_s, struct rollcall_error *error);

/* Takes one thing that it has told, and sums it up; what: in words, "" when it is of no interest.
 * Returns false when there is none yet, or nothing more: then `out` is -1. */
bool cli_demo_coordinator_take(struct cli_demo_coordinator *coordinator, char what[],
                               size_t what_size);

/* SIGTERM: it leaves. */
void cli_demo_coordinator_stop(const struct cli_demo_coordinator *coordinator);
/* SIGKILL, and collected.  Nothing when it is gone. */
void cli_demo_coordinator_kill(struct cli_demo_coordinator *coordinator);

#endif /* CLI_DEMO_COORDINATOR_H */

/*
 * cli/demo_stage.h - what the demo's nodes, its watcher and its coordinators have told, and waiting
 * for it.
 *
 * Callbacks put what they are told into one pipe; the main thread prints it in that order, keeps
 * the sum of it here, and waits for the sum to be what a step needs.  Each coordinator has a pipe
 * of its own.
 *
 * Threads: main; the callbacks inside run on runtime threads.
 */
#ifndef CLI_DEMO_STAGE_H
#define CLI_DEMO_STAGE_H

#include "cli/connection.h"
#include "cli/demo_coordinator.h"
#include "cli/output.h"

#include <rollcall/session.h>

enum {
    CLI_DEMO_NODES = 3,
    CLI_DEMO_COORDINATORS = 2,
    CLI_DEMO_KEY_BYTES = 256,
    CLI_DEMO_TTL_S = 5
};

struct cli_demo_stage;

struct cli_demo_node {
    struct cli_demo_stage *stage;
    struct rollcall_session *session; /* NULL: not started */
    const char *name;                 /* "node-a" */
    char key[CLI_DEMO_KEY_BYTES];     /* "" until it was ACTIVE once */
    enum rollcall_session_state state;
    bool watched;       /* the watcher was told of it, */
    bool seen_stopping; /* that it is leaving, */
    bool seen_gone;     /* and that it is gone */
};

struct cli_demo_stage {
    struct cli_output *output;
    struct cli_connection connection;
    struct rollcall_watch *watch; /* NULL: not open */
    struct cli_demo_node nodes[CLI_DEMO_NODES];
    struct cli_demo_coordinator coordinators[CLI_DEMO_COORDINATORS];
    bool coordinators_may_end; /* else one that does has failed */
    /* Keys the watcher was told of before their node knew it is ACTIVE. */
    char early_keys[CLI_DEMO_NODES][CLI_DEMO_KEY_BYTES];
    int early_count;
    bool watching; /* the watcher's snapshot is complete */
    bool failed;   /* something happened that must not; error says what */
    int told[2];   /* a pipe of what the callbacks were told */
    int timer;     /* a timerfd, for deadlines and pauses */
    struct rollcall_error error;
};

/* After a failure too, cli_demo_stage_close cleans up. */
ROLLCALL_MUST_USE enum rollcall_status cli_demo_stage_open(struct cli_demo_stage *stage,
                                                           struct cli_output *output,
                                                           const struct cli_options *options,
                                                           struct rollcall_error *error);
ROLLCALL_MUST_USE enum rollcall_status
cli_demo_stage_register(struct cli_demo_stage *stage, int node, struct rollcall_error *error);
ROLLCALL_MUST_USE enum rollcall_status cli_demo_stage_watch(struct cli_demo_stage *stage,
                                                            struct rollcall_error *error);

ROLLCALL_MUST_USE enum rollcall_status cli_demo_stage_coordinate(struct cli_demo_stage *stage,
                                                                 int coordinator,
                                                                 const char *endpoint,
                                                                 struct rollcall_error *error);

/*
 * Prints what is told until `is_met`; `wanted` names that for people.
 * Returns: ROLLCALL_OK; ROLLCALL_E_TIMEOUT; ROLLCALL_E_STOPPED when interrupted; or why something
 *          that must not happen did.
 */
typedef bool cli_demo_condition_fn(const struct cli_demo_stage *stage);
ROLLCALL_MUST_USE enum rollcall_status cli_demo_stage_await(struct cli_demo_stage *stage,
                                                            cli_demo_condition_fn *is_met,
                                                            const char *wanted,
                                                            struct rollcall_error *error);
/* Time for a person to read.  Returns as cli_demo_stage_await. */
ROLLCALL_MUST_USE enum rollcall_status
cli_demo_stage_pause(struct cli_demo_stage *stage, int64_t pause_ms, struct rollcall_error *error);

/* Ends the coordinators, the watch and the sessions, without asking etcd: all it holds is thrown
 * away with it. */
void cli_demo_stage_close(struct cli_demo_stage *stage);

#endif /* CLI_DEMO_STAGE_H */

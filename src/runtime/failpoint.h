/*
 * runtime/failpoint.h - failing on purpose: <rollcall/testing.h> says how a fail point is written.
 *
 * Each worker has a table of its own, NULL while nothing is armed there, so the cost of not failing
 * is one branch for each run of an actor, and one for each send.  Points are armed and cleared by
 * control calls, which run on the worker between messages: there is no atomic here.
 *
 * Threads: the worker's, but for parse (any) and init (before the workers run).
 */
#ifndef RUNTIME_FAILPOINT_H
#define RUNTIME_FAILPOINT_H

#include "runtime/worker.h"

enum {
    ROLLCALL__FAILPOINTS_MAX = 64,
    ROLLCALL__FAILPOINT_TEXT_BYTES = 160,
    ROLLCALL__FAILPOINT_NAME_BYTES = 64,
    ROLLCALL__CHANCE_ONE = 1000000000 /* certain */
};

enum rollcall__failpoint_action {
    ROLLCALL__FAIL_NOT, /* of a point that does not fire */
    ROLLCALL__FAIL_CRASH,
    ROLLCALL__FAIL_DELAY,
    ROLLCALL__FAIL_DROP,
    ROLLCALL__FAIL_ERROR
};

struct rollcall__failpoint {
    uint64_t id;                               /* the same on every worker */
    char text[ROLLCALL__FAILPOINT_TEXT_BYTES]; /* as it was armed */
    char actor[ROLLCALL__FAILPOINT_NAME_BYTES],
        message[ROLLCALL__FAILPOINT_NAME_BYTES]; /* or "*" */
    enum rollcall__failpoint_action action;
    enum rollcall_status status; /* CRASH, ERROR */
    int64_t delay_ms;            /* DELAY */
    uint64_t nth;                /* the hit that fires; 0: each */
    bool onwards;                /* and all after it */
    uint64_t times_max;          /* 0: no limit */
    uint64_t chance;             /* of CHANCE_ONE */
    uint64_t hits, fired;
};

/* A worker's.  Lives while a point is armed or a message is held. */
struct rollcall__failpoints {
    uint32_t count, holds;
    struct rollcall__failpoint points[ROLLCALL__FAILPOINTS_MAX];
};

/* ---- failpoint_text.c ---- */

/* Fills at most FAILPOINTS_MAX points, none of which has an id yet.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_INVALID and a sentence with the place, and what it allows. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__failpoints_parse(const char *text, struct rollcall__failpoint *points, uint32_t *count,
                           struct rollcall_error *error);

/* ---- failpoint.c ---- */

/* Arms what a runtime's options say, before its workers run.  text: NULL or "": nothing. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__failpoints_init(struct rollcall_runtime *rt,
                                                                 const char *text,
                                                                 struct rollcall_error *error);

/* Frees the worker's fail points once no point is armed and no message held.  They must be there.
 * Threads: the worker's. */
void rollcall__failpoints_settle(struct rollcall__worker *worker);

/* Takes the next message of an actor through the fail points; false: there is none to deliver now.
 * system_only: leave the user mailbox alone.  cell: moved out. */
bool rollcall__failpoints_next(struct rollcall__actor *actor, bool system_only,
                               struct rollcall__cell *cell);
/* Whether a message for the actor must find its mailbox full. */
bool rollcall__failpoints_refuse(struct rollcall__actor *actor, const struct rollcall__cell *cell);

/* What is to fail at "etcd/POINT", a place in an adapter's code. */
struct rollcall__failure {
    enum rollcall__failpoint_action action;
    enum rollcall_status status;
    int64_t delay_ms;
};
struct rollcall__failure rollcall__failpoint_at(struct rollcall_context *cx, const char *point);
/* The running actor's messages are no fail points: they carry what would be lost with them. */
void rollcall__failpoint_exempt(struct rollcall_context *cx);

#endif /* RUNTIME_FAILPOINT_H */

/*
 * tests/support/recorder.h - what watches told, held against etcd's own history, change by change.
 *
 *     struct recorder recorder;
 *     struct recorder_watch watch;
 *     recorder_init(&recorder, endpoint, scene.root, KEYS, 0);
 *     recorder_watch_open(&watch, &recorder, &scene, 0);
 *     ... numbered_write, faults ...
 *     CHECK(recorder_await(&watch, recorder_mark(&recorder), API_SOON_MS));
 *     recorder_check(&watch);
 *     recorder_watch_fini(&watch);
 *     recorder_fini(&recorder);
 *
 * Each change that a watch tells has to be the next of the history: none is left out, told twice,
 * or out of order.  Between the marks of a snapshot or resync it tells a difference, which has to
 * lead to the state that the history has at that revision.  The history is asked of etcd itself, so
 * before it is compacted: mark first.
 *
 * Keys are ROOT/session/NAME-NUMBER; those of "datanode", numbered.h's, have the number plus
 * `offset` as their index, all others their number.  The last index is for marks.
 *
 * Threads: callbacks on any; all else on the test's own.
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_RECORDER_H
#define TESTS_SUPPORT_RECORDER_H

#include "support/api_events.h"

/* A change of a key; number: of its value, 0: none.  Of a BEGIN or END key is 0. */
struct recorder_change {
    int64_t revision, number;
    int key;
    enum rollcall_watch_event_type type; /* in the history: ADD, UPDATE or DELETE */
};

struct recorder_changes {
    struct recorder_change *list;
    size_t count, capacity;
};

struct recorder {
    const char *endpoint, *root; /* borrowed */
    int keys, offset;            /* indices are 1 to keys - 1 */
    struct recorder_changes history;
    bool *there; /* at the end of the history, by index */
    int64_t marks;
};

struct recorder_watch {
    /* Set by the test before it is opened; called for each change, on a runtime thread: */
    void (*on_told)(void *user, const struct recorder_change *change);
    void *user;
    /* Its own: */
    struct recorder *recorder;
    struct rollcall_watch *watch; /* NULL: closed */
    int64_t from_revision;
    struct rollcall__monitor monitor; /* guards the rest */
    struct recorder_changes told;
    bool inside; /* BEGIN was told, END was not */
};

/* endpoint: of a member that is up whenever a mark is made. */
void recorder_init(struct recorder *recorder, const char *endpoint, const char *root, int keys,
                   int offset);
void recorder_fini(struct recorder *recorder);
/* Puts a record of its own, and takes down all that happened until then.  Returns its revision. */
int64_t recorder_mark(struct recorder *recorder);

/* Watches every role.  from_revision: 0: a snapshot first. */
void recorder_watch_open(struct recorder_watch *watch, struct recorder *recorder,
                         const struct api_scene *scene, int64_t from_revision);
void recorder_watch_close(struct recorder_watch *watch); /* what it told stays */
void recorder_watch_fini(struct recorder_watch *watch);
/* Waits until a change at this revision or later was told, outside of a resync, or the END of one.
 */
bool recorder_await(struct recorder_watch *watch, int64_t revision, int64_t timeout_ms);
/* Until so many changes, BEGIN and END among them, were told. */
bool recorder_await_count(struct recorder_watch *watch, size_t count, int64_t timeout_ms);
size_t recorder_count(struct recorder_watch *watch, enum rollcall_watch_event_type type);

struct recorder_verdict {
    size_t changes, resyncs; /* told outside of resyncs, each the next; and how many of these */
    char fault[256];         /* the first; "": none */
};
/* Holds all that one watch told against the history; adds to the verdict.  name: for its fault. */
void recorder_judge(struct recorder_watch *watch, int name, struct recorder_verdict *verdict);
/* The same of one: fails the test at a fault.  Returns how many resyncs it told. */
size_t recorder_check(struct recorder_watch *watch);

#endif /* TESTS_SUPPORT_RECORDER_H */

/*
 * tests/support/api_events.h - what a test of the public calls stands on: a connection with a root
 * of its own, etcdctl to reach into etcd from outside, and recorders of what callbacks were told.
 *
 * A recorder keeps every event, and notes the first one that broke a promise of the headers, such
 * as an ADD of a session that was told already, as its fault.  Every wait has a deadline and ends
 * as soon as what is waited for is there.
 *
 * Threads: the callbacks run on any thread; the rest on the test's own, scenes and etcdctl on the
 *          main one (see process.h).
 * Errors:  what must not happen in any test fails the test here.
 */
#ifndef TESTS_SUPPORT_API_EVENTS_H
#define TESTS_SUPPORT_API_EVENTS_H

#include "base/thread.h"
#include "support/process.h"

#include <rollcall/session.h>
#include <rollcall/watch.h>

enum { API_SOON_MS = 20000, API_ROOT_BYTES = 64, API_NOTES_MAX = 64 };

/* ---- a connection ---- */

struct api_scene {
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
    const char *endpoint;
    char root[API_ROOT_BYTES];
};

/* endpoint: borrowed for the scene's life. */
void api_scene_open(struct api_scene *scene, const char *endpoint);
/* A second runtime and connection, to the same root. */
void api_scene_open_beside(struct api_scene *scene, const struct api_scene *first);
/* Fails the test when something is still open, or will not end. */
void api_scene_close(struct api_scene *scene);

/* Runs `script` with sh -ec; etcdctl in it talks to this etcd, and $ROOT is the scene's.  Fails the
 * test unless it succeeds.  out: what it printed, cut to fit; NULL: not wanted. */
void api_etcdctl(const struct api_scene *scene, const char *script, char *out, size_t out_bytes);
/* The same, at the same time as the test goes on: end it with process_wait and process_destroy. */
void api_etcdctl_start(const struct api_scene *scene, const char *script, struct process *process);

/* Opens a session of `role` with a TTL in seconds; log: may be NULL. */
struct api_session_log;
struct rollcall_session *api_open(const struct api_scene *scene, const char *role,
                                  int64_t server_id, int64_t ttl_s, struct api_session_log *log);
struct rollcall_session_info api_info(struct rollcall_session *session);
/* Fails the test unless `text` holds `part`. */
void api_check_contains(const char *text, const char *part);

/* ---- what a session told ---- */

struct api_session_note {
    enum rollcall_session_state state;
    enum rollcall_status status;
    int64_t at_ms;                     /* of process_now_ms */
    struct rollcall_session_info info; /* without the key */
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
};

struct api_session_log {
    struct rollcall__monitor monitor; /* guards the rest */
    size_t count;
    struct api_session_note notes[API_NOTES_MAX];
};

void api_session_log_init(struct api_session_log *log);
void api_session_log_fini(struct api_session_log *log);
/* on_event; user: the log. */
void api_session_note(void *user, const struct rollcall_session_event *event);
/* The note at `index`, counted from 0; fails the test when there are not so many. */
struct api_session_note api_session_at(struct api_session_log *log, size_t index);
/* How often `state` was told. */
size_t api_session_count(struct api_session_log *log, enum rollcall_session_state state);
/* Waits until `state` has been told `times` times; false when it was not within timeout_ms. */
bool api_session_await(struct api_session_log *log, enum rollcall_session_state state, size_t times,
                       int64_t timeout_ms);
/* All that was told: "ACTIVE SUSPECT ACTIVE".  Returns text. */
const char *api_session_story(struct api_session_log *log, char *text, size_t text_bytes);
/* Fails the test unless that is the story. */
void api_session_check_story(struct api_session_log *log, const char *expected);

/* ---- what a watch told ---- */

struct api_watch_note {
    enum rollcall_watch_event_type type;
    enum rollcall_status status;
    char *key, *value; /* terminated; NULL for the BEGIN, END and FAILED events */
    int64_t server_id;
    bool stopping;
    int64_t revision, mod_revision, create_revision, lease_id;
    uint64_t count, skipped;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
};

enum api_watch_phase { API_NOTHING, API_SNAPSHOT, API_LIVE, API_RESYNC, API_OVER };

struct api_watch_log {
    struct rollcall__monitor monitor; /* guards the rest */
    struct api_watch_note *notes;
    size_t count, capacity;
    size_t *told; /* the last note of each session that is there, as far as it was told */
    size_t told_count, told_capacity;
    enum api_watch_phase phase;
    uint64_t in_phase;    /* sessions told since the last BEGIN */
    int64_t mod_revision; /* the highest of the changes told */
    bool partial;         /* set it for a watch from a revision: it may tell unknown DELETEs */
    bool busy, held, blocked, closed;
    char fault[256]; /* the first broken promise; "": none */
};

void api_watch_log_init(struct api_watch_log *log);
void api_watch_log_fini(struct api_watch_log *log);
/* on_event; user: the log. */
void api_watch_note(void *user, const struct rollcall_watch_event *event);

struct rollcall_watch *api_watch(const struct api_scene *scene, const char *role,
                                 int64_t from_revision, struct api_watch_log *log);
/* Closes it; from then on a callback is a fault. */
void api_watch_close(struct rollcall_watch *watch, struct api_watch_log *log);
/* Lists the sessions of a role into an empty log, and fails the test unless that succeeds. */
void api_list(const struct api_scene *scene, const char *role, struct api_watch_log *log);

/* How many events were told; how many sessions are there, as far as was told. */
size_t api_watch_total(struct api_watch_log *log);
size_t api_watch_told(struct api_watch_log *log);
/* The note at `index`, counted from 0, or the last; fails the test when there are not so many.  Its
 * strings live as long as the log. */
struct api_watch_note api_watch_at(struct api_watch_log *log, size_t index);
struct api_watch_note api_watch_last(struct api_watch_log *log);
size_t api_watch_count(struct api_watch_log *log, enum rollcall_watch_event_type type);
/* Each waits until it is so; false when it was not within timeout_ms. */
bool api_watch_await(struct api_watch_log *log, enum rollcall_watch_event_type type, size_t times,
                     int64_t timeout_ms);
bool api_watch_await_told(struct api_watch_log *log, size_t sessions, int64_t timeout_ms);
bool api_watch_await_revision(struct api_watch_log *log, int64_t mod_revision, int64_t timeout_ms);
/* The next callback waits inside until it is let go; await_blocked: until one is inside. */
void api_watch_hold(struct api_watch_log *log);
void api_watch_let_go(struct api_watch_log *log);
bool api_watch_await_blocked(struct api_watch_log *log, int64_t timeout_ms);
/* Fails the test when a promise was broken. */
void api_watch_check(struct api_watch_log *log);
/* Fails the test unless both have been told the same sessions in the same versions. */
void api_watch_check_same(struct api_watch_log *log, struct api_watch_log *other);

#endif /* TESTS_SUPPORT_API_EVENTS_H */

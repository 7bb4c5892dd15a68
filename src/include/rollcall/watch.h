/*
 * rollcall/watch.h - see the others: the sessions of a role now, and every change after.
 *
 * A watch tells a snapshot (SNAPSHOT_BEGIN, one SESSION each, SNAPSHOT_END), then every ADD, UPDATE
 * and DELETE in revision order.  When it cannot tell every step it tells the difference instead,
 * between RESYNC_BEGIN and RESYNC_END: after RESYNC_END what was told is again exactly what etcd
 * holds.  Nothing is lost silently.  RESYNC_BEGIN has the cause, and in words the reason:
 *   E_COMPACTED  etcd has compacted the steps, or was restored or set up anew: see the reason
 *   E_FULL       the changes were faster than the watch was told of them
 *   E_NO_MEMORY  etcd told more than 256 MB at once
 *   E_CORRUPT    etcd holds a change that it has never told: etcds before 3.4.36 and 3.5.18 lose
 * some at a compaction, without a word.  An audit finds that: it reads keys and revisions, not
 * records, every few minutes.  What may be on its way is no such change; a watch that etcd has
 * forgotten, on a member that is well else, is begun again, and tells what it missed, without a
 * RESYNC
 *
 * Watches of one range on one connection share one watch of etcd, and every event: ten thousand
 * cost etcd as much as one, and a record is decoded once.  A snapshot is what the connection knows
 * at that moment; rollcall_list asks etcd.
 *
 * What it tells comes in one of three ways: each event by itself (on_event), several at once
 * (on_events), or in a queue for a loop of your own (rollcall/queue.h).  Beside any of these
 * rollcall_watch_view gives the state, when you ask, in no callback.
 *
 * Threads: any thread may call.  Callbacks of all watches of a runtime run on one thread of it, one
 *          at a time: one that takes long delays the others, and a queue does not.
 * Memory:  options are copied; events are borrowed during the callback.
 */
#ifndef ROLLCALL_WATCH_H
#define ROLLCALL_WATCH_H

#include <rollcall/etcd.h>
#include <rollcall/record.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rollcall_watch;

enum rollcall_watch_event_type {
    ROLLCALL_WATCH_SNAPSHOT_BEGIN,
    ROLLCALL_WATCH_SESSION, /* in a snapshot; after a failure that cut it in two, also UPDATE and
                               DELETE of what it has told: END makes it whole */
    ROLLCALL_WATCH_SNAPSHOT_END,
    ROLLCALL_WATCH_ADD,
    ROLLCALL_WATCH_UPDATE,
    ROLLCALL_WATCH_DELETE,       /* record and value are the last ones known */
    ROLLCALL_WATCH_RESYNC_BEGIN, /* then ADD, UPDATE and DELETE in the order of their keys */
    ROLLCALL_WATCH_RESYNC_END,
    ROLLCALL_WATCH_FAILED /* the last event: status and reason say why */
};

struct rollcall_watch_event {
    enum rollcall_watch_event_type type;
    int64_t at_ms;    /* when this process learned of it, since 1970; 0 in a view */
    int64_t revision; /* of the store, for the BEGIN and END events */
    /* For SESSION, ADD, UPDATE, DELETE: */
    struct rollcall_bytes key;   /* this and value are followed by a NUL that is not counted */
    struct rollcall_bytes value; /* the record as stored */
    const struct rollcall_record *record;
    int64_t mod_revision; /* of a DELETE: the deletion's; in a resync: of the list that lacks it */
    int64_t create_revision, lease_id;
    /* For SNAPSHOT_END and RESYNC_END: */
    uint64_t count;   /* sessions in the snapshot; or changes told in the resync */
    uint64_t skipped; /* keys whose value is no session record */
    /* For RESYNC_BEGIN and FAILED: */
    enum rollcall_status status;
    const char *reason;
};
typedef void rollcall_watch_event_fn(void *user, const struct rollcall_watch_event *event);
/* Several at once, in order: an array that all watches of the range share. */
typedef void rollcall_watch_events_fn(void *user, const struct rollcall_watch_event *events,
                                      size_t count);
struct rollcall_queue; /* rollcall/queue.h */
struct rollcall_view;  /* the sessions at one revision: below */

/*
 * All sessions there are now, instead of RESYNC_BEGIN .. RESYNC_END: what upstream calls Rewatch.
 * A map of sessions is replaced by the view, and not merged.  A watch with from_revision needs this
 * to learn that sessions of its list have gone in a gap; what it was too slow for before it was
 * given all there is once, it is told as a difference, for it does not know the others.
 * why:   the RESYNC_BEGIN that is left out: status, reason, revision; `skipped` as in its END.
 * view:  borrowed for the call; what was told before and is not in it has gone.
 * error: for the application's own sentence; it is empty at first.
 * Returns: ROLLCALL_OK: it is taken in, and changes after it follow.  A status of class RETRY: the
 *          same is given again soon, and nothing else before that.  Any other: FAILED is told, with
 *          that status and sentence, and this watch is over.
 */
typedef enum rollcall_status rollcall_rewatch_fn(void *user, const struct rollcall_watch_event *why,
                                                 const struct rollcall_view *view,
                                                 struct rollcall_error *error);

struct rollcall_watch_options {
    size_t size_bytes;          /* set by ROLLCALL_WATCH_OPTIONS */
    const char *root;           /* NULL: "by-dev/meta" */
    const char *role;           /* NULL: every session under ROOT/session/ */
    bool raw_prefix;            /* role is a prefix of keys, as upstream matches; else exactly ROLE
                                   and ROLE-<digits> */
    const char *version_range;  /* NULL: all; semver range such as ">=2.2.3 <3.0.0": who enters it
                                   is an ADD, who leaves it a DELETE */
    int64_t from_revision;      /* 0: snapshot first; else events from this revision, no snapshot:
                                   after a list, the revision of its SNAPSHOT_END + 1 */
    bool once;                  /* only the snapshot: SNAPSHOT_END or FAILED is the last event */
    int64_t connect_timeout_ms; /* 0: 5'000; FAILED when etcd has not answered once by then */
    rollcall_watch_event_fn *on_event;   /* required, or one of the two at the end */
    void *user;                          /* borrowed until close returns */
    rollcall_watch_events_fn *on_events; /* instead of on_event */
    struct rollcall_queue *queue; /* instead of both: borrowed until close returns; not in a list */
    int64_t audit_ms; /* 0: 300'000; 1'000 or more; or ROLLCALL_WATCH_NO_AUDIT.  How often, a
                         quarter more or less, what is known is compared with what etcd holds: see
                         above.  An audit takes seconds, so less than 10'000 is for tests.  Nothing
                         in a list, and of a watch with once or from_revision */
    rollcall_rewatch_fn *on_rewatch; /* NULL: differences; else besides on_event or on_events, on
                                        the same thread; not with a queue, which it would overtake:
                                        take a view there, at RESYNC_END */
};
enum { ROLLCALL_WATCH_NO_AUDIT = -1 };
#define ROLLCALL_WATCH_OPTIONS(...)                                                                \
    (&(const struct rollcall_watch_options){.size_bytes = sizeof(struct rollcall_watch_options),   \
                                            __VA_ARGS__})

/* Starts watching and returns at once.
 * Returns: ROLLCALL_OK; or ROLLCALL_E_INVALID with the option at fault, ROLLCALL_E_BUSY in a
 *          callback, ROLLCALL_E_FORKED in a child process, ROLLCALL_E_TIMEOUT while a callback
 *          holds the thread it would run on, or ROLLCALL_E_NO_MEMORY; then nothing was started.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_watch_open(struct rollcall_etcd *etcd, const struct rollcall_watch_options *options,
                    struct rollcall_watch **watch, struct rollcall_error *error);

/*
 * Ends it and frees; no callback runs after it returns.  NULL: nothing.
 * Returns: ROLLCALL_OK; ROLLCALL_E_BUSY in a callback, or ROLLCALL_E_FORKED in a child process:
 *          nothing happened; ROLLCALL_E_TIMEOUT when a callback did not return within 10 s: it is
 *          closed all the same, but `user` and `queue` are borrowed until that callback returns.
 */
ROLLCALL_API enum rollcall_status rollcall_watch_close(struct rollcall_watch *watch);

/* What a watch has been told so far, and what it has not. */
struct rollcall_watch_stats {
    uint64_t events;  /* told, or put into its queue; marks, and sessions of a view, too */
    uint64_t lags;    /* how often it was too slow, and was told the difference */
    uint64_t resyncs; /* differences, or whole sets, for any reason; the lags and repairs among
                         them */
    uint64_t repairs; /* how often an audit found a change that etcd had not told, and the
                         difference was told; 0 of a sound etcd */
    uint64_t refused; /* on_rewatch answered an error */
    uint64_t merged;  /* changes of the range that came while it lagged: told as differences */
    uint64_t waiting; /* changes of the range that it has not been told yet */
    int64_t lagging_since_ms; /* since 1970; 0: it does not lag, though some may wait */
};
/* Threads: any, in a callback too.  Never waits; the numbers may be of different moments. */
ROLLCALL_API struct rollcall_watch_stats rollcall_watch_stats(const struct rollcall_watch *watch);

/* What the watches of one range on one connection share: one watch of etcd. */
struct rollcall_feed_stats {
    uint64_t watches;  /* now */
    uint64_t lagging;  /* of these, now */
    uint64_t sessions; /* that it knows, at `revision` */
    int64_t revision;  /* of the last change or list */
    uint64_t changes;  /* read from etcd, decoded, and told or to be told */
    uint64_t lists;    /* of the range, the first ones: 1, or 0 before and with from_revision */
    uint64_t relists_compacted; /* etcd had compacted what was not read yet */
    uint64_t relists_went_back; /* etcd's revision went back: it was restored */
    uint64_t relists_too_large; /* what etcd told at once was more than may be held */
    uint64_t relists_lost;      /* an audit found a change that etcd had not told */
};
/* As rollcall_watch_stats, of the feed of that watch: the same for all that share it. */
ROLLCALL_API struct rollcall_feed_stats
rollcall_watch_feed_stats(const struct rollcall_watch *watch);

/*
 * What the connection knows now, without asking etcd: all that the watch has been told, or will be
 * next.  Of a watch with from_revision: what has changed since.  After FAILED: what was known last.
 * timeout_ms: 0: 5'000.  *view: the caller's, to be freed; it outlives the watch.
 * Returns: ROLLCALL_OK; ROLLCALL_E_UNAVAILABLE before the first list has come; or ROLLCALL_E_BUSY
 * in a callback, ROLLCALL_E_TIMEOUT, ROLLCALL_E_FULL, ROLLCALL_E_FORKED, ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_watch_view(struct rollcall_watch *watch, int64_t timeout_ms, struct rollcall_view **view,
                    struct rollcall_error *error);
ROLLCALL_API int64_t rollcall_view_revision(const struct rollcall_view *view);
/* An array of `*count` SESSION events in the order of their keys; lives as long as the view. */
ROLLCALL_API const struct rollcall_watch_event *
rollcall_view_sessions(const struct rollcall_view *view, size_t *count);
ROLLCALL_API void rollcall_view_free(struct rollcall_view *view); /* NULL: nothing */

/*
 * The sessions now: calls on_event on this thread with a whole snapshot, then returns.  The form
 * that does not wait is a watch with `once`.
 * options->from_revision must be 0.  timeout_ms: 0: 5'000.
 * Returns: ROLLCALL_OK after SNAPSHOT_END; else why not, and on_event was not called.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_list(struct rollcall_etcd *etcd, const struct rollcall_watch_options *options,
              int64_t timeout_ms, struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_WATCH_H */

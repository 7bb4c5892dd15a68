/*
 * actors/watcher.h - the messages, options and shared objects of the watcher actor.
 * Diagram: watcher.c.
 */
#ifndef ACTORS_WATCHER_H
#define ACTORS_WATCHER_H

#include "base/arena.h"
#include "session/semver.h"
#include "transport/messages.h"

#include <rollcall/actor.h>
#include <rollcall/watch.h>

#define WATCHER_LIST(X)                                                                            \
    X(WATCHER_PAGE, sizeof(struct transport_answer))           /* from transport; _result */       \
    X(WATCHER_RESPONSE, sizeof(struct transport_watch_answer)) /* from transport; _response */     \
    X(WATCHER_CREDIT, 0)     /* from application: one was told */                                  \
    X(WATCHER_NO_CONTACT, 0) /* timer: etcd has not answered */
ROLLCALL_MESSAGES(watcher_message, WATCHER_LIST, WATCHER_COUNT);

/* Its mailbox must hold the credits, the watch responses and one page; the application's the
 * events. */
enum { WATCHER_EVENTS_MAX = 256, WATCHER_MAILBOX = 512 };

/* What a watch was opened with.  Immutable; shared. */
struct watcher_config {
    struct rollcall_object object;
    struct rollcall__arena arena; /* holds the strings */
    const char *role;             /* "": all */
    const char *endpoints;
    struct rollcall_bytes range_start, range_end;
    struct rollcall_bytes session_prefix; /* ROOT/session/ */
    bool raw_prefix;
    bool list_only; /* ends after the snapshot */
    bool has_version_range;
    struct rollcall__semver_range version_range;
    int64_t from_revision; /* 0: a snapshot first */
    int64_t connect_timeout_ms;
};

/* One session as stored at one revision.  Immutable; shared by the view and the events. */
struct watcher_item {
    struct rollcall_object object;
    struct rollcall__arena arena; /* holds the key, the value and the record's strings */
    struct rollcall_bytes key, value;
    struct rollcall_record record;
    int64_t create_revision, mod_revision, lease_id;
};

/* kv: borrowed, copied.
 * Returns: ROLLCALL_OK and *made with one reference, NULL when it is not in the version range; or
 *          *made NULL, and ROLLCALL_E_CORRUPT when the value is no session record, or
 *          ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status watcher_item_create(const struct watcher_config *config,
                                                           const struct transport_kv *kv,
                                                           struct watcher_item **made,
                                                           struct rollcall_error *error);
/* Whether kv is what the item was made of; a restored etcd may hold something else at the same
 * revision. */
bool watcher_item_is(const struct watcher_item *item, const struct transport_kv *kv);
/* Whether a key of the range belongs to the role. */
bool watcher_wants_key(const struct watcher_config *config, struct rollcall_bytes key);

/* Responses that are not told yet, oldest first; it keeps a reference to each.  Zero is empty. */
struct watcher_waiting {
    struct transport_watch_response *responses[TRANSPORT_WATCH_WINDOW]; /* a ring */
    uint32_t head, count;
};
/* false when the window is full: nothing happened. */
ROLLCALL_MUST_USE bool watcher_waiting_push(struct watcher_waiting *waiting,
                                            struct transport_watch_response *response);
/* NULL when there is none. */
const struct transport_watch_response *watcher_waiting_first(const struct watcher_waiting *waiting);
void watcher_waiting_pop(struct watcher_waiting *waiting); /* there must be one */

/* What the application is told.  Immutable. */
struct watcher_event {
    struct rollcall_object object;
    enum rollcall_watch_event_type type;
    int64_t at_ms, revision;
    int64_t mod_revision;      /* of the change: for a DELETE later than the item's */
    struct watcher_item *item; /* shared; NULL for the BEGIN, END and FAILED events */
    uint64_t count, skipped;
    enum rollcall_status status;
    char reason[ROLLCALL_ERROR_TEXT_BYTES];
};

/* A copy of the draft, with one reference; keeps the draft's item.  NULL: out of memory. */
struct watcher_event *watcher_event_create(const struct watcher_event *draft, int64_t at_ms);

struct watcher_options {
    struct watcher_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref application, transport;
};

extern const struct rollcall_actor_type watcher_type;

/* ---- what it asks of etcd (watcher_requests.c); pure.  NULL: out of memory ---- */

/* The next keys of the list at `revision`; after: the last key of the page before; empty: none. */
struct transport_request *watcher_request_page(const struct watcher_config *config,
                                               struct rollcall_bytes after, int64_t revision);
/* Everything from next_revision on, and what came just before.  For etcd before 3.4.34 and 3.5.16
 * lets a watch begin at the revision it has compacted at, and then drops a DELETE of exactly that
 * one without a word; of a watch from one revision earlier it says that it is compacted. */
struct transport_range *watcher_request_watch(const struct watcher_config *config,
                                              int64_t next_revision);

#endif /* ACTORS_WATCHER_H */

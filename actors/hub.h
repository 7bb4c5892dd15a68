/*
 * actors/hub.h - the messages, options and shared objects of the hub actor.  Diagram: hub.c.
 */
#ifndef ACTORS_HUB_H
#define ACTORS_HUB_H

#include "actors/reflector.h"
#include "base/gauge.h"

#include <rollcall/watch.h>

#define HUB_LIST(X)                                                                                \
    X(HUB_LISTED, sizeof(struct hub_list))    /* from reflector; a roster: all there is */         \
    X(HUB_CHANGED, sizeof(struct hub_change)) /* from reflector; a reflector_changes */            \
    X(HUB_FAILED, 0)                          /* from reflector; a reason: nothing more comes */   \
    X(HUB_WHERE, sizeof(struct hub_where))    /* from reflector: is all of that known? */          \
    X(HUB_JOIN, 0)                            /* from a watcher; its hub_watcher_meter, or none */ \
    X(HUB_CREDIT, sizeof(struct hub_credit))  /* from a watcher: it has told what came so far */   \
    X(HUB_REPEAT, sizeof(struct hub_repeat))  /* from a watcher: it may have missed something */   \
    X(HUB_AUDIT, 0)                           /* from auditor: it wants the roster */              \
    X(HUB_VIEW, 0)                            /* from anybody; a hub_view_request */               \
    X(HUB_FLUSH, 0)                           /* from itself: what came meanwhile goes together */
ROLLCALL_MESSAGES(hub_message, HUB_LIST, HUB_COUNT);

enum {
    HUB_MAILBOX = 16384, /* a credit of each of so many watchers; what finds no room comes again */
    HUB_WINDOW = 8       /* deliveries a watcher has room for; after that it lags */
};

/* Why the reflector lists. */
enum hub_list_cause {
    HUB_LIST_FIRST,
    HUB_LIST_COMPACTED,
    HUB_LIST_WENT_BACK,
    HUB_LIST_TOO_LARGE, /* what came at once was more than may be held */
    HUB_LIST_LOST,      /* an audit found that etcd did not tell a change */
    HUB_LIST_CAUSES
};
/* As what the reflector fails: of class RETRY. */
enum rollcall_status hub_list_status(enum hub_list_cause cause);
/* What watchers are told, and in words. */
enum rollcall_status hub_list_told(enum hub_list_cause cause);
const char *hub_list_words(enum hub_list_cause cause);

struct hub_list {
    enum hub_list_cause cause;
    uint64_t number; /* 1, 2, ... of the reflector's lists */
};
struct hub_change {
    int64_t from_revision; /* all below has been passed on before; */
    int64_t next_revision; /* with this, all below that */
};
struct hub_where {
    int64_t next_revision; /* all below was passed on before this was asked, */
    uint64_t lists;        /* and so many lists: of a restored etcd, one may be of an earlier
                              revision than what was known */
};
/* Deliveries to one watcher are numbered, from 0. */
struct hub_credit {
    uint64_t told;  /* all below */
    uint32_t place; /* of the last delivery: see watcher.h */
};
struct hub_repeat {
    uint64_t next; /* the first that has not come */
};

/*
 * Events, in the form in which applications see them, made once for all watchers of the range.
 * Immutable once it is sent.
 */
struct hub_batch {
    struct rollcall_object object;
    size_t count, capacity;
    int64_t through;                     /* as in hub_watcher_meter: once all of it is told */
    struct rollcall_watch_event *events; /* view what is held beside them */
    struct hub_held {
        struct reflector_item *before, *item; /* of the change; one reference each, or NULL */
        struct rollcall_reason *reason;       /* likewise, of BEGIN and FAILED */
    } * held;
};
/* Empty, with one reference.  NULL: out of memory. */
struct hub_batch *hub_batch_create(void);
/* Room for so many more; false: out of memory. */
ROLLCALL_MUST_USE bool hub_batch_reserve(struct hub_batch *batch, size_t more);
/* Adds a change; after a reserve.  before, item: moved, or NULL; of the item is told what there is,
 * and of `before` when there is none any more. */
void hub_batch_add(struct hub_batch *batch, enum rollcall_watch_event_type type, int64_t at_ms,
                   int64_t mod_revision, struct reflector_item *before,
                   struct reflector_item *item);
/* Adds a mark; after a reserve.  draft: its numbers; reason: moved; NULL: none. */
void hub_batch_mark(struct hub_batch *batch, const struct rollcall_watch_event *draft,
                    struct rollcall_reason *reason);

/* What a watcher that was told of `before` has to be told to know `after`.  Immutable. */
struct hub_difference {
    struct rollcall_object object;
    struct rollcall__roster *before, *after; /* one reference each; before: NULL: nothing */
    bool whole;      /* `after` is all there is, and not only what has changed since a revision */
    int64_t through; /* as of a batch */
    enum rollcall_status status; /* why it has to be told so, if it knew something */
    const char *words;           /* static */
};
/* Keeps both.  NULL: out of memory. */
struct hub_difference *hub_difference_create(struct rollcall__roster *before,
                                             struct rollcall__roster *after);

/* Of a delivery, which is a batch or a difference. */
bool hub_is_difference(const struct rollcall_object *delivery);
int64_t hub_through(const struct rollcall_object *delivery);

/* Asks for the roster as it is; answered once, on the hub's worker. */
struct hub_view_request {
    struct rollcall_object object;
    /* roster: borrowed; NULL: there is none yet. */
    void (*answer)(struct hub_view_request *request, struct rollcall__roster *roster);
};

/* What a hub publishes, for any thread to read; counted since the feed began.  Shared. */
struct hub_meter {
    struct rollcall_object object;
    struct rollcall__gauge changes; /* that it has taken in, and tells */
    struct rollcall__gauge lists[HUB_LIST_CAUSES];
    struct rollcall__gauge watchers, lagging;
    struct rollcall__gauge sessions, revision; /* of the roster */
};
/* NULL: out of memory. */
struct hub_meter *hub_meter_create(void);

enum { HUB_THROUGH_NOTHING = -1 };
/* The same of one watcher.  Shared by it and its hub. */
struct hub_watcher_meter {
    struct rollcall_object object;
    struct rollcall__gauge through; /* the changes of the hub's meter that it has told; by itself */
    struct rollcall__gauge lagging_since_ms; /* since 1970; 0: it does not lag; by the hub */
    struct rollcall__gauge merged; /* changes that came while it lagged: told as differences */
};
/* from_now: it is told no snapshot.  NULL: out of memory. */
struct hub_watcher_meter *hub_watcher_meter_create(bool from_now);

struct hub_options {
    int64_t from_revision;     /* not 0: the range is not listed, and only what changes is known */
    struct rollcall_ref first; /* a watcher that need not join; nobody: none */
    struct hub_watcher_meter *first_meter; /* moved; NULL: none */
    struct hub_meter *meter;               /* moved; NULL: none */
};

extern const struct rollcall_actor_type hub_type;

#endif /* ACTORS_HUB_H */

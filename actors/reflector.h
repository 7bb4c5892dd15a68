/*
 * actors/reflector.h - the messages, options and shared objects of the reflector actor.
 * Diagram: reflector.c.
 */
#ifndef ACTORS_REFLECTOR_H
#define ACTORS_REFLECTOR_H

#include "base/arena.h"
#include "session/roster.h"
#include "transport/messages.h"

#include <rollcall/actor.h>

#define REFLECTOR_LIST(X)                                                                          \
    X(REFLECTOR_PAGE, sizeof(struct transport_answer))           /* from transport; _result */     \
    X(REFLECTOR_RESPONSE, sizeof(struct transport_watch_answer)) /* from transport; _response */   \
    X(REFLECTOR_TAKEN, 0)                                        /* from hub: one CHANGED */       \
    X(REFLECTOR_RESUME, sizeof(struct reflector_resume))         /* from hub: some is lost */      \
    X(REFLECTOR_REVISION, sizeof(struct transport_answer))       /* from transport; _result */     \
    X(REFLECTOR_UNTOLD,                                                                            \
      sizeof(struct reflector_audit))                 /* from auditor: etcd keeps it to itself */  \
    X(REFLECTOR_LOST, sizeof(struct reflector_audit)) /* from auditor: etcd never told it */       \
    X(REFLECTOR_AGAIN, 0)                             /* timer: the hub's mailbox was full */      \
    X(REFLECTOR_BEHIND, 0)     /* timer: the member should have got as far */                      \
    X(REFLECTOR_LEAVE, 0)      /* timer: the watch was given up */                                 \
    X(REFLECTOR_NO_CONTACT, 0) /* timer: etcd has not answered */
ROLLCALL_MESSAGES(reflector_message, REFLECTOR_LIST, REFLECTOR_COUNT);

/* The window: so that the poller goes on reading while the worker has something to do, and neither
 * waits for the other: with 8 the poller had to stop for want of credit after every third response,
 * and what one watch takes in was a tenth less. */
enum { REFLECTOR_WINDOW = 24, REFLECTOR_MAILBOX = 64 /* that, one page, and to spare */ };

struct reflector_resume {
    int64_t next_revision; /* all below is known; 0: nothing is */
};

/* What was compared with etcd: the hub's roster, */
struct reflector_audit {
    int64_t next_revision;   /* when it knew all below */
    int64_t listed_revision; /* of the last list in it */
};

/* What it reflects.  Immutable; shared. */
struct reflector_config {
    struct rollcall_object object;
    struct rollcall__arena arena; /* holds the strings */
    const char *role;             /* "": all */
    const char *endpoints;
    struct rollcall_bytes range_start, range_end;
    struct rollcall_bytes session_prefix; /* ROOT/session/ */
    bool raw_prefix;
    bool list_only;        /* ends after the list */
    int64_t from_revision; /* 0: a list first; else only what comes from there on */
    int64_t connect_timeout_ms;
    int64_t audit_ms; /* how often it is compared with etcd; 0: never */
};

/* One session as stored at one revision.  Immutable; shared by all who tell of it. */
struct reflector_item {
    struct rollcall_object object;
    struct rollcall_bytes key, value;
    struct rollcall_record record;
    int64_t create_revision, mod_revision, lease_id;
    struct rollcall_label
        memory[]; /* the record's labels and strings, then the key and the value */
};

/* kv: borrowed, copied.
 * Returns: ROLLCALL_OK and *made with one reference; or *made NULL, and ROLLCALL_E_CORRUPT when the
 *          value is no session record, or ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status reflector_item_create(const struct transport_kv *kv,
                                                             struct reflector_item **made,
                                                             struct rollcall_error *error);
struct reflector_item *reflector_item_keep(struct reflector_item *item); /* NULL is none */
/* They tell the same; a restored etcd may hold something else at the same revision. */
bool reflector_item_equal(const struct reflector_item *a, const struct reflector_item *b);
/* Whether a key of the range belongs to the role. */
bool reflector_wants_key(const struct reflector_config *config, struct rollcall_bytes key);

struct reflector_change {
    const struct transport_event *event; /* in the response */
    struct reflector_item *item;         /* what is there now; NULL: deleted, or no record */
};

/* What one response changes, in its order: whole revisions, nothing twice.  Immutable. */
struct reflector_changes {
    struct rollcall_object object;
    struct transport_watch_response *response; /* one reference */
    size_t count;
    struct reflector_change changes[];
};
/* Room for all of them, and none yet; keeps the response.  NULL: out of memory. */
struct reflector_changes *reflector_changes_create(struct transport_watch_response *response);

/* Responses that are not passed on yet, oldest first; it keeps a reference to each.  Zero is empty.
 */
struct reflector_waiting {
    struct transport_watch_response *responses[REFLECTOR_WINDOW]; /* a ring */
    uint32_t head, count;
};
/* false when the window is full: nothing happened. */
ROLLCALL_MUST_USE bool reflector_waiting_push(struct reflector_waiting *waiting,
                                              struct transport_watch_response *response);
/* NULL when there is none. */
struct transport_watch_response *reflector_waiting_first(const struct reflector_waiting *waiting);
void reflector_waiting_pop(struct reflector_waiting *waiting); /* there must be one */

struct reflector_options {
    struct reflector_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref hub, transport;
};

extern const struct rollcall_actor_type reflector_type;

/* ---- what it asks of etcd (reflector_requests.c); pure.  NULL: out of memory ---- */

/* The next keys of the list at `revision`; after: the last key of the page before; empty: none. */
struct transport_request *reflector_request_page(const struct reflector_config *config,
                                                 struct rollcall_bytes after, int64_t revision);
/* Everything from next_revision on, and what came just before.  For etcd before 3.4.34 and 3.5.16
 * lets a watch begin at the revision it has compacted at, and then drops a DELETE of exactly that
 * one without a word; of a watch from one revision earlier it says that it is compacted.
 * exact: without that, for what came just before is known to be too large.
 * listed: what was there before is known, and need not be told with each change: that would double
 *         what has to be read, and etcd would have to look it up. */
struct transport_range *reflector_request_watch(const struct reflector_config *config,
                                                int64_t next_revision, bool exact, bool listed);

#endif /* ACTORS_REFLECTOR_H */

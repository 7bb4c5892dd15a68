/*
 * actors/hub_internal.h - what the files of the hub share: what it keeps, its subscribers, and how
 * changes are taken in.
 */
#ifndef ACTORS_HUB_INTERNAL_H
#define ACTORS_HUB_INTERNAL_H

#include "actors/watcher.h"

enum hub_phase {
    HUB_JOINING, /* it knows nothing yet */
    HUB_FOLLOWING,
    HUB_LAGGING /* it knows `since` */
};

struct hub_subscriber {
    struct rollcall_ref watcher;
    enum hub_phase phase;
    uint64_t next, told; /* numbers of deliveries: the next, and the first not told */
    /* Deliveries by number, modulo, one reference each, until it has told them: a crash loses what
     * was about to be taken in. */
    struct rollcall_object *sent[HUB_WINDOW];
    enum rollcall_status status; /* HUB_LAGGING: why; and in words: */
    const char *words;
    struct rollcall__roster *since;  /* HUB_LAGGING: one reference */
    int64_t since_changes;           /* HUB_LAGGING: how many it had been sent by then */
    struct hub_watcher_meter *meter; /* one reference; NULL: none */
};

/* Survives a restart: between two messages it is whole. */
struct hub_handover {
    struct rollcall__roster *roster; /* NULL: nothing is known yet */
    struct hub_batch *batch;         /* changes that are in the roster, and not sent; NULL: none */
    size_t flushed;                  /* the batch has gone to so many subscribers */
    struct rollcall_object *work;    /* a roster or changes that are being taken in */
    bool work_is_list;
    struct hub_list list;       /* of that */
    size_t work_at;             /* the change that is next */
    int64_t work_from_revision; /* of what is older it knows already */
    int64_t next_revision;      /* all below is known; 0: nothing is */
    int64_t listed_revision;    /* of the last list; 0: there was none */
    struct hub_subscriber *subscribers;
    size_t count, capacity;
    size_t starved;          /* of those that follow: without room */
    size_t waiting;          /* that join or lag */
    int64_t changes;         /* taken in, since the beginning */
    bool partial;            /* the roster is what has changed since a revision, and no more */
    struct hub_meter *meter; /* the options'; NULL: none */
    bool first_added;
    struct rollcall_reason *failed; /* why it is OVER */
};

/* ---- subscribers (hub_subscribers.c) ---- */

/* NULL: there is none. */
struct hub_subscriber *hub_find(struct hub_handover *held, struct rollcall_ref watcher);
/* meter: kept, or NULL.  knows_all: it follows from here on; else it joins.  False: out of memory.
 */
ROLLCALL_MUST_USE bool hub_add(struct rollcall_context *cx, struct hub_handover *held,
                               struct rollcall_ref watcher, struct hub_watcher_meter *meter,
                               bool knows_all);
/* It has ended. */
void hub_remove(struct hub_handover *held, struct hub_subscriber *gone);
/* Drops what it holds. */
void hub_release(struct hub_subscriber *subscriber);
bool hub_has_room(const struct hub_subscriber *subscriber);
/* It has told all deliveries below that number. */
void hub_forget_told(struct hub_subscriber *subscriber, uint64_t told);

/* From here on it is sent nothing, until it is brought from the roster of now to that of then. */
void hub_lag(struct rollcall_context *cx, struct hub_handover *held,
             struct hub_subscriber *subscriber, enum rollcall_status status, const char *words);
/* A batch begins: who has no room for it lags from here on. */
void hub_leave_behind(struct rollcall_context *cx, struct hub_handover *held);

/* Each of these sends: not OK: E_FULL or E_NO_MEMORY, and the next incarnation goes on. */

/* Sends the batch to all that follow. */
enum rollcall_status hub_flush(struct rollcall_context *cx, struct hub_handover *held);
/* Brings those that join or lag, and have room, to the roster of now. */
enum rollcall_status hub_serve(struct rollcall_context *cx, struct hub_handover *held);
/* Sends again, from that number on, what it has not told. */
enum rollcall_status hub_repeat(struct rollcall_context *cx, const struct hub_handover *held,
                                const struct hub_subscriber *subscriber, uint64_t from);
/* Asks each where it is. */
enum rollcall_status hub_ask_all(struct rollcall_context *cx, const struct hub_handover *held);

/* ---- what the reflector brings (hub_changes.c) ---- */

/* Take in held->work.  Not OK: the next incarnation goes on with the same change. */
enum rollcall_status hub_take_changes(struct rollcall_context *cx, struct hub_handover *held);
enum rollcall_status hub_take_list(struct rollcall_context *cx, struct hub_handover *held);

#endif /* ACTORS_HUB_INTERNAL_H */

/*
 * actors/reflector_internal.h - what the files of the reflector share: what it keeps, how it fails,
 * and what it makes of a member that is behind.
 */
#ifndef ACTORS_REFLECTOR_INTERNAL_H
#define ACTORS_REFLECTOR_INTERNAL_H

#include "actors/hub.h"

enum { REFLECTOR_WATCH_ID = 1 };
enum reflector_state { LISTING, FOLLOWING, OVER, STATE_COUNT };

/* Survives a restart. */
struct reflector_handover {
    int64_t next_revision;     /* 0: list first */
    enum hub_list_cause cause; /* why it lists */
    uint64_t lists;            /* passed on */
    int64_t contact_by_ms;     /* when etcd must have answered once */
    bool contact;
    bool behind;             /* the member that began the last watch has not got so far: */
    int64_t behind_since_ms; /* since when */
    uint64_t cluster_id;     /* of the last list; 0: not known */
    int64_t listed_revision; /* of the last list */
    int64_t untold_revision; /* audits found the watch to tell nothing from there on, */
    uint32_t untold;         /* so many in a row */
    int64_t exact_revision; /* a watch that begins there begins not one before: that is too large */
    char trouble[ROLLCALL_ERROR_TEXT_BYTES]; /* what was in the way last; "": nothing */
    bool over;
    struct rollcall_reason *failure; /* why, if it failed */
};

struct reflector {
    const struct reflector_config *config;
    struct rollcall_ref hub, transport;
    struct reflector_handover *held;
    uint64_t asked;                  /* id of the page, or of the revision, that is awaited */
    struct rollcall__roster *roster; /* the pages so far, all at the revision of the first */
    struct reflector_waiting waiting;
    struct reflector_changes *changes; /* of the first that waits: the hub had no room */
    uint32_t passed;                   /* on to the hub, which has not taken them in yet */
    uint32_t unused;                   /* without news: to be given back */
    bool begun;                        /* etcd has said that it watches */
};

/* ---- reflector.c; each as a handler returns ---- */

/* The next incarnation begins with a list. */
int reflector_relist(struct rollcall_context *cx, struct reflector *re, enum hub_list_cause cause);
/* What may pass is for the supervisor; what will not is the end. */
int reflector_in_trouble(struct rollcall_context *cx, struct reflector *re,
                         const struct rollcall_error *error);

/* ---- a member that is behind, or tells too little (reflector_behind.c) ---- */

rollcall_handler_fn reflector_on_behind, reflector_on_revision, reflector_on_leave,
    reflector_on_untold, reflector_on_lost;
/* A response that ends nothing: does who tells it know all that was told? */
void reflector_look_at(struct rollcall_context *cx, struct reflector *re,
                       const struct transport_watch_response *response);

#endif /* ACTORS_REFLECTOR_INTERNAL_H */

/*
 * actors/auditor.h - the messages and options of the auditor actor.  Diagram: auditor.c.
 */
#ifndef ACTORS_AUDITOR_H
#define ACTORS_AUDITOR_H

#include "actors/reflector.h"

#define AUDITOR_LIST(X)                                                                            \
    X(AUDITOR_ROSTER, sizeof(struct auditor_roster)) /* from hub; a roster */                      \
    X(AUDITOR_PAGE, sizeof(struct transport_answer)) /* from transport; _result */                 \
    X(AUDITOR_DUE, 0) /* timer: the next audit; or this one has taken too long */
ROLLCALL_MESSAGES(auditor_message, AUDITOR_LIST, AUDITOR_COUNT);

enum { AUDITOR_MAILBOX = 8 }; /* a roster and a page */

struct auditor_roster {
    int64_t next_revision;   /* the roster is what was stored at the one before */
    int64_t listed_revision; /* of the last list that is in it */
};

struct auditor_options {
    struct reflector_config *config; /* moved: dropped when the actor is gone */
    struct rollcall_ref hub, reflector, transport;
};

extern const struct rollcall_actor_type auditor_type;

#endif /* ACTORS_AUDITOR_H */

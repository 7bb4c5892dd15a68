/*
 * actors/application.h - the messages and options of the application actor.  See application.c.
 */
#ifndef ACTORS_APPLICATION_H
#define ACTORS_APPLICATION_H

#include <rollcall/actor.h>

#define APPLICATION_LIST(X)                                                                        \
    X(APPLICATION_EVENT, sizeof(struct application_event)) /* object: what is told; never NULL */
ROLLCALL_MESSAGES(application_message, APPLICATION_LIST, APPLICATION_COUNT);

struct application_event {
    uint16_t credit; /* the sender's message number to answer with once told; 0: none */
};

struct application_options {
    struct rollcall_object *handle; /* moved: dropped when the actor is gone, after the last call */
    /* Tells one event.  handle, event: borrowed. */
    void (*tell)(struct rollcall_object *handle, struct rollcall_object *event);
    /* Tells that an actor spawned under this one has failed for good; NULL: nothing is. */
    void (*tell_failed)(struct rollcall_object *handle, const struct rollcall_error *error);
    void (*gone)(struct rollcall_object *handle); /* called just before handle is dropped */
};

extern const struct rollcall_actor_type application_type;

#endif /* ACTORS_APPLICATION_H */

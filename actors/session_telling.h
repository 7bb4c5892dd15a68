/*
 * actors/session_telling.h - what a session's application is told, and how; a part of session.c.
 *
 * Every event says all there is to know, so while a callback is stuck and the application's mailbox
 * is full, or there is no memory, it is enough to send the last one again later: after pauses that
 * double up to a bound, for thousands of sessions may wait for the same callback.  A loss that was
 * overtaken so is in the events after it.
 */
#ifndef ACTORS_SESSION_TELLING_H
#define ACTORS_SESSION_TELLING_H

#include "actors/session.h"

struct session_telling {
    struct rollcall_ref application;
    struct session_membership *membership; /* shared; NULL until it has registered */
    bool registered, disconnected, marked; /* as the next event says */
    enum rollcall_loss loss;
    uint64_t losses;
    /* What was told last, and the last that told a loss: values, so that neither is lost when there
     * is no memory for the copy that is sent.  Their headers and `lost` are not used. */
    struct session_event last, last_loss;
    struct session_event *lost; /* shared; a copy of last_loss; NULL: not needed yet */
    int64_t pause_ms;           /* before it is tried again; 0: there is no need to */
    bool refused;               /* since the last try */
};

/* What the next event says of who it is. */
void session_won(struct session_telling *telling, struct session_membership *won);
/* Tells a change of state. */
void session_tell(struct rollcall_context *cx, struct session_telling *telling,
                  enum rollcall_session_state state, enum rollcall_status status,
                  const char *reason);
void session_tell_active(struct rollcall_context *cx, struct session_telling *telling);
void session_tell_suspect(struct rollcall_context *cx, struct session_telling *telling);
void session_tell_lost(struct rollcall_context *cx, struct session_telling *telling,
                       enum rollcall_loss loss, enum rollcall_status status, const char *reason);
void session_tell_over(struct rollcall_context *cx, struct session_telling *telling,
                       enum rollcall_session_state state, enum rollcall_status status,
                       const char *reason);
/* Tells what `marked` says now; the state is as before. */
void session_tell_marked(struct rollcall_context *cx, struct session_telling *telling);
/* A loss of the key in words. */
const char *session_loss_text(enum rollcall_loss loss);
/* Answers every SESSION_MARK up to `request` that has not been answered. */
void session_answer_marks(struct rollcall_context *cx, struct session_telling *telling,
                          uint64_t request, enum rollcall_status status, const char *text);
/* The same, with whatever else the error says. */
void session_answer_marks_with(struct rollcall_context *cx, struct session_telling *telling,
                               uint64_t request, const struct rollcall_error *error);
/* The state told last. */
enum rollcall_session_state session_told(const struct session_telling *telling);
/* The last SESSION_MARK that was answered. */
uint64_t session_answered(const struct session_telling *telling);
/* The handler of SESSION_RETELL: sends the last event again if it was refused. */
void session_retell(struct rollcall_context *cx, struct session_telling *telling);
/* The handler of BOUNCED. */
void session_refused(struct rollcall_context *cx, struct session_telling *telling);
void session_telling_fini(struct session_telling *telling);

#endif /* ACTORS_SESSION_TELLING_H */

/* actors/session_marks.h - going-stop: what is asked to be marked, and how that is answered; a part
 * of session.c. */
#ifndef ACTORS_SESSION_MARKS_H
#define ACTORS_SESSION_MARKS_H

#include "actors/session_children.h"
#include "actors/session_telling.h"

struct session_marks {
    uint64_t asked, sent; /* the last SESSION_MARK, and the last departure works on */
};

/* A member is asked: at once if it is marked, else by departure, one try at a time. */
void session_marks_ask(struct rollcall_context *cx, struct session_marks *marks,
                       struct session_telling *telling, struct session_children *children,
                       const struct session_mark *mark);
/* Departure has tried.  why: NULL: it is marked. */
void session_marks_tried(struct rollcall_context *cx, struct session_marks *marks,
                         struct session_telling *telling, struct session_children *children,
                         const struct rollcall_reason *why);
/* The record came to be marked, or not, by whoever put it there. */
void session_marks_seen(struct rollcall_context *cx, const struct session_marks *marks,
                        struct session_telling *telling, const struct session_mark_seen *seen);
/* One that is no member is asked: answers why it cannot be marked. */
void session_marks_refuse(struct rollcall_context *cx, struct session_marks *marks,
                          struct session_telling *telling, const struct session_mark *mark);
/* Answers all that is not answered yet. */
void session_marks_answer(struct rollcall_context *cx, const struct session_marks *marks,
                          struct session_telling *telling, enum rollcall_status status,
                          const char *text);

#endif /* ACTORS_SESSION_MARKS_H */

#include "actors/session_marks.h"

static void send_mark(struct rollcall_context *cx, struct session_marks *marks,
                      struct session_children *children)
{
    marks->sent = marks->asked;
    session_children_mark(cx, children);
}

void session_marks_ask(struct rollcall_context *cx, struct session_marks *marks,
                       struct session_telling *telling, struct session_children *children,
                       const struct session_mark *mark)
{
    const bool outstanding = marks->sent > session_answered(telling);
    marks->asked = mark->request;
    if (telling->marked) {
        session_marks_answer(cx, marks, telling, ROLLCALL_OK, "");
    } else if (!outstanding) {
        send_mark(cx, marks, children);
    }
}

void session_marks_tried(struct rollcall_context *cx, struct session_marks *marks,
                         struct session_telling *telling, struct session_children *children,
                         const struct rollcall_reason *why)
{
    session_children_marked(children);
    if (why != NULL) {
        session_answer_marks_with(cx, telling, marks->sent, &why->error);
    } else {
        telling->marked = true;
        session_marks_answer(cx, marks, telling, ROLLCALL_OK, "");
    }
    if (marks->asked > session_answered(telling) &&
        session_told(telling) != ROLLCALL_SESSION_STOPPING) {
        send_mark(cx, marks, children); /* whoever asked since is answered by a try of his own, or
                                           by the end */
    }
}

void session_marks_seen(struct rollcall_context *cx, const struct session_marks *marks,
                        struct session_telling *telling, const struct session_mark_seen *seen)
{
    if (seen->stopping == telling->marked) {
        return;
    }
    telling->marked = seen->stopping;
    if (seen->stopping && marks->asked > session_answered(telling)) {
        session_marks_answer(cx, marks, telling, ROLLCALL_OK, "");
    } else {
        session_tell_marked(cx, telling);
    }
}

void session_marks_refuse(struct rollcall_context *cx, struct session_marks *marks,
                          struct session_telling *telling, const struct session_mark *mark)
{
    enum rollcall_status status = ROLLCALL_E_STOPPED;
    const char *text = "the session has left, or is leaving";
    if (session_told(telling) == ROLLCALL_SESSION_LOST) {
        status = telling->last.status;
        text = telling->last.reason;
    } else if (session_told(telling) == ROLLCALL_SESSION_REGISTERING) {
        status = ROLLCALL_E_BUSY;
        text = "the session is not registered yet: wait until it is ACTIVE";
    }
    marks->asked = mark->request;
    session_marks_answer(cx, marks, telling, status, text);
}

void session_marks_answer(struct rollcall_context *cx, const struct session_marks *marks,
                          struct session_telling *telling, enum rollcall_status status,
                          const char *text)
{
    session_answer_marks(cx, telling, marks->asked, status, text);
}

#include "actors/session_telling.h"

#include "actors/application.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_MIN_MS = 20, PAUSE_MAX_MS = 320 };

/* The object is the first member of both. */
static void destroy_event(struct rollcall_object *object)
{
    struct session_event *event = (struct session_event *)object;
    rollcall_object_drop((struct rollcall_object *)event->membership);
    rollcall_object_drop((struct rollcall_object *)event->lost);
    free(event);
}

static struct session_membership *keep(struct session_membership *membership)
{
    return membership == NULL
               ? NULL
               : (struct session_membership *)rollcall_object_keep(&membership->object);
}

static void set(struct session_event *said, const struct session_event *from)
{
    struct session_membership *before = said->membership;
    *said = *from;
    said->membership = keep(from->membership);
    rollcall_object_drop((struct rollcall_object *)before);
}

/* NULL: out of memory. */
static struct session_event *create_event(const struct session_event *said)
{
    struct session_event *event = rollcall__allocate_zeroed(1, sizeof *event);
    if (event != NULL) {
        set(event, said);
        rollcall_object_init(&event->object, destroy_event);
    }
    return event;
}

/* The last event, with the loss for who missed it; NULL: out of memory. */
static struct session_event *create_last(struct session_telling *telling)
{
    const bool is_after_loss = telling->last.sequence > telling->last_loss.sequence;
    const bool carries = telling->losses > 0 && is_after_loss;
    if (carries && telling->lost == NULL) {
        telling->lost = create_event(&telling->last_loss);
    }
    if (carries && telling->lost == NULL) {
        return NULL;
    }
    struct session_event *event = create_event(&telling->last);
    if (event != NULL && carries) {
        event->lost = (struct session_event *)rollcall_object_keep(&telling->lost->object);
    }
    return event;
}

static void pause(struct rollcall_context *cx, struct session_telling *telling, int64_t pause_ms)
{
    telling->pause_ms = pause_ms;
    rollcall_timer_set(cx, SESSION_RETELL, rollcall_now_ms(cx) + pause_ms);
}

void session_refused(struct rollcall_context *cx, struct session_telling *telling)
{
    telling->refused = true;
    if (telling->pause_ms == 0) {
        pause(cx, telling, PAUSE_MIN_MS);
    }
}

/* What finds no memory is as what finds no room. */
static void send_last(struct rollcall_context *cx, struct session_telling *telling)
{
    const struct application_event payload = {.credit = 0};
    struct session_event *event = create_last(telling);
    if (event == NULL || rollcall_send_object(cx, telling->application, APPLICATION_EVENT, &payload,
                                              sizeof payload, &event->object) != ROLLCALL_OK) {
        session_refused(cx, telling);
    }
}

/* What was not refused for a whole pause has got through. */
void session_retell(struct rollcall_context *cx, struct session_telling *telling)
{
    const int64_t doubled_ms = telling->pause_ms * 2;
    if (!telling->refused) {
        telling->pause_ms = 0;
        return;
    }
    telling->refused = false;
    pause(cx, telling, doubled_ms < PAUSE_MAX_MS ? doubled_ms : PAUSE_MAX_MS);
    send_last(cx, telling);
}

/* The last event, to be changed and sent. */
static struct session_event *next_event(struct session_telling *telling)
{
    struct session_event next = telling->last;
    next.sequence++;
    next.loss = telling->loss;
    next.losses = telling->losses;
    next.registered = telling->registered;
    next.disconnected = telling->disconnected;
    next.stopping = telling->marked;
    next.membership = telling->membership;
    set(&telling->last, &next);
    return &telling->last;
}

void session_won(struct session_telling *telling, struct session_membership *won)
{
    rollcall_object_drop((struct rollcall_object *)telling->membership);
    telling->membership = (struct session_membership *)rollcall_object_keep(&won->object);
    telling->marked = won->stopping;
}

static void change(struct rollcall_context *cx, struct session_telling *telling,
                   enum rollcall_session_state state, enum rollcall_status status,
                   const char *reason)
{
    struct session_event *event = next_event(telling);
    event->change++;
    event->state = state;
    event->at_ms = rollcall_wall_ms(cx);
    event->status = status;
    snprintf(event->reason, sizeof event->reason, "%s", reason);
}

void session_tell(struct rollcall_context *cx, struct session_telling *telling,
                  enum rollcall_session_state state, enum rollcall_status status,
                  const char *reason)
{
    change(cx, telling, state, status, reason);
    send_last(cx, telling);
}

void session_tell_active(struct rollcall_context *cx, struct session_telling *telling)
{
    const char *reason = telling->registered ? "etcd has renewed the lease" : "registered";
    telling->registered = true;
    telling->disconnected = false;
    session_tell(cx, telling, ROLLCALL_SESSION_ACTIVE, ROLLCALL_OK, reason);
}

void session_tell_suspect(struct rollcall_context *cx, struct session_telling *telling)
{
    session_tell(cx, telling, ROLLCALL_SESSION_SUSPECT, ROLLCALL_E_UNAVAILABLE,
                 "etcd has not renewed the lease in time and may give the key away");
}

void session_tell_over(struct rollcall_context *cx, struct session_telling *telling,
                       enum rollcall_session_state state, enum rollcall_status status,
                       const char *reason)
{
    telling->registered = false;
    telling->marked = false;
    session_tell(cx, telling, state, status, reason);
}

void session_tell_lost(struct rollcall_context *cx, struct session_telling *telling,
                       enum rollcall_loss loss, enum rollcall_status status, const char *reason)
{
    telling->loss = loss;
    telling->losses++;
    telling->registered = false;
    telling->marked = false;
    telling->disconnected = true;
    rollcall_object_drop((struct rollcall_object *)telling->lost);
    telling->lost = NULL;
    change(cx, telling, ROLLCALL_SESSION_LOST, status, reason);
    set(&telling->last_loss, &telling->last);
    send_last(cx, telling);
}

void session_tell_marked(struct rollcall_context *cx, struct session_telling *telling)
{
    next_event(telling);
    send_last(cx, telling);
}

const char *session_loss_text(enum rollcall_loss loss)
{
    switch (loss) {
    case ROLLCALL_LOSS_OVERWRITTEN:
        return "something that is not this session's record was put under the key";
    case ROLLCALL_LOSS_MOVED:
        return "the key was moved away from our lease";
    case ROLLCALL_LOSS_MISSING:
        return "the key was gone as soon as it was put";
    case ROLLCALL_LOSS_DELETED:
    case ROLLCALL_LOSS_NONE:
    case ROLLCALL_LOSS_LEASE:
    case ROLLCALL_LOSS_FAULT:
        break;
    }
    return "the key was deleted";
}

enum rollcall_session_state session_told(const struct session_telling *telling)
{
    return telling->last.state; /* REGISTERING before anything was told */
}

uint64_t session_answered(const struct session_telling *telling)
{
    return telling->last.answered;
}

void session_answer_marks_with(struct rollcall_context *cx, struct session_telling *telling,
                               uint64_t request, const struct rollcall_error *error)
{
    if (request <= session_answered(telling)) {
        return;
    }
    struct session_event *event = next_event(telling);
    event->answered = request;
    event->answer = *error;
    send_last(cx, telling);
}

void session_answer_marks(struct rollcall_context *cx, struct session_telling *telling,
                          uint64_t request, enum rollcall_status status, const char *text)
{
    struct rollcall_error error;
    rollcall_error_set(&error, status, "%s", text);
    session_answer_marks_with(cx, telling, request, &error);
}

void session_telling_fini(struct session_telling *telling)
{
    rollcall_object_drop((struct rollcall_object *)telling->membership);
    rollcall_object_drop((struct rollcall_object *)telling->last.membership);
    rollcall_object_drop((struct rollcall_object *)telling->last_loss.membership);
    rollcall_object_drop((struct rollcall_object *)telling->lost);
}

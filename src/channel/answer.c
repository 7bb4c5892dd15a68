/*
 * channel/answer.c - answers on their way to their askers: now, when there is room, or, by a
 * fail point, late.
 *
 * What finds no room waits in the outbox.  What is late waits in `delayed` before that; all that is
 * due there is answered before anything newer is, so an asker's answers that wait for the same time
 * or longer keep their order.
 */
#include "channel/channel.h"

#include "base/memory.h"

#include <stdlib.h>

enum { OUTBOX_PAUSE_MS = 1 };

/* A late answer. */
struct rollcall__delayed {
    struct rollcall__delayed *next;
    struct rollcall__answer *answer;
    int64_t at_ms;
};

struct rollcall__answer *rollcall__channel_answer_create(struct rollcall_caller to, uint16_t type)
{
    struct rollcall__answer *answer = rollcall__allocate_zeroed(1, sizeof *answer);
    if (answer != NULL) {
        answer->to = to;
        answer->type = type;
    }
    return answer;
}

void rollcall__channel_answer(struct rollcall_context *cx, struct rollcall__channel *channel,
                              struct rollcall__answer *answer)
{
    if (rollcall__outbox_send(&channel->outbox, cx, answer)) {
        rollcall_timer_set(cx, CHANNEL_OUTBOX_DUE, rollcall_now_ms(cx) + OUTBOX_PAUSE_MS);
    }
}

int rollcall__channel_on_outbox_due(struct rollcall_context *cx, void *self,
                                    const struct rollcall_message *message)
{
    struct rollcall__channel *channel = self;
    (void)message;
    if (rollcall__outbox_retry(&channel->outbox, cx)) {
        rollcall_timer_set(cx, CHANNEL_OUTBOX_DUE, rollcall_now_ms(cx) + OUTBOX_PAUSE_MS);
    }
    return ROLLCALL_STAY;
}

/* ---- late ones ---- */

static void release(struct rollcall_context *cx, struct rollcall__channel *channel, int64_t now_ms)
{
    struct rollcall__delayed **at = &channel->delayed;
    int64_t next_ms = INT64_MAX;
    while (*at != NULL) {
        struct rollcall__delayed *delayed = *at;
        if (delayed->at_ms > now_ms) {
            next_ms = delayed->at_ms < next_ms ? delayed->at_ms : next_ms;
            at = &delayed->next;
            continue;
        }
        *at = delayed->next;
        rollcall__channel_answer(cx, channel, delayed->answer);
        free(delayed);
    }
    if (next_ms != INT64_MAX) {
        rollcall_timer_set(cx, CHANNEL_DELAYED_DUE, next_ms);
    }
}

void rollcall__channel_answer_at(struct rollcall_context *cx, struct rollcall__channel *channel,
                                 struct rollcall__answer *answer, int64_t at_ms)
{
    if (channel->delayed != NULL) {
        release(cx, channel, rollcall_now_ms(cx));
    }
    struct rollcall__delayed *delayed = at_ms > rollcall_now_ms(cx) && !channel->stopping
                                            ? rollcall__allocate_zeroed(1, sizeof *delayed)
                                            : NULL;
    if (delayed == NULL) { /* it is time, or there is no memory to be late with */
        rollcall__channel_answer(cx, channel, answer);
        return;
    }
    struct rollcall__delayed **last = &channel->delayed;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *delayed = (struct rollcall__delayed){.answer = answer, .at_ms = at_ms};
    *last = delayed;
    release(cx, channel, rollcall_now_ms(cx)); /* sets the timer */
}

int rollcall__channel_on_delayed_due(struct rollcall_context *cx, void *self,
                                     const struct rollcall_message *message)
{
    (void)message;
    release(cx, self, rollcall_now_ms(cx));
    return ROLLCALL_STAY;
}

void rollcall__channel_delayed_stop(struct rollcall_context *cx, struct rollcall__channel *channel)
{
    release(cx, channel, INT64_MAX);
}

void rollcall__channel_delayed_fini(struct rollcall__channel *channel)
{
    struct rollcall__delayed *delayed;
    while ((delayed = channel->delayed) != NULL) {
        channel->delayed = delayed->next;
        rollcall_object_drop(delayed->answer->object);
        free(delayed->answer);
        free(delayed);
    }
}

/* ---- what a fail point says ---- */

void rollcall__channel_fail_text(struct rollcall_error *error, enum rollcall_status status,
                                 const char *point)
{
    rollcall_error_set(error, status, "injected at etcd/%s: %s", point,
                       rollcall_status_text(status));
}

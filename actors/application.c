/*
 * application - where the application's callbacks run: one event at a time, in order.
 *
 *    TELLING --DOWN(failed)--> OVER
 *
 * It lives on the worker for data, so a callback that takes its time delays neither a renewal nor
 * an election.  Senders of floods give the number of a message that hands back one credit per event
 * told, and keep fewer events outstanding than this mailbox holds.  A watch's supervisor lives
 * under it, so that stopping this one actor stops the watch.
 */
#include "actors/application.h"

enum state { TELLING, OVER, STATE_COUNT };

struct application {
    const struct application_options *options;
};

static rollcall_handler_fn on_event, on_down;

/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][APPLICATION_COUNT] = {
    [TELLING][ROLLCALL_DOWN]     = {on_down,         ROLLCALL_TO(OVER)},
    [TELLING][APPLICATION_EVENT] = {on_event,        0},

    [OVER]   [ROLLCALL_DOWN]     = {rollcall_ignore, 0},
    [OVER]   [APPLICATION_EVENT] = {rollcall_ignore, 0}, /* the failure was told as the last */
};
/* clang-format on */

static int on_event(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct application *ap = self;
    const struct application_event *event = message->payload;
    ap->options->tell(ap->options->handle, message->object);
    if (event->credit != 0) {
        ROLLCALL_DROP(rollcall_reply(cx, message->from, event->credit, NULL, 0, NULL),
                      "the sender reserved the place when it sent the event");
    }
    return ROLLCALL_STAY;
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    const struct application *ap = self;
    const struct rollcall_down *down = message->payload;
    const struct rollcall_reason *why = (const struct rollcall_reason *)message->object;
    struct rollcall_error error;
    if (down->reason != ROLLCALL_DOWN_FAILED) {
        return ROLLCALL_STAY;
    }
    rollcall_error_set(&error, down->status, "%s",
                       why != NULL ? why->error.text : rollcall_status_text(down->status));
    rollcall_stop(cx, down->who);
    if (ap->options->tell_failed != NULL) {
        ap->options->tell_failed(ap->options->handle, &error);
    }
    return OVER;
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    (void)cx;
    ((struct application *)self)->options = options; /* they outlive self */
    return TELLING;
}

static void options_fini(void *options)
{
    struct application_options *o = options;
    o->gone(o->handle);
    rollcall_object_drop(o->handle);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"TELLING", "OVER"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(APPLICATION_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(APPLICATION_LIST);

const struct rollcall_actor_type application_type = {
    .name = "application",
    .self_size_bytes = sizeof(struct application),
    .options_size_bytes = sizeof(struct application_options),
    .init = init,
    .options_fini = options_fini,
    .state_count = STATE_COUNT,
    .message_count = APPLICATION_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

/* channel/outbox.c - see outbox.h. */
#include "channel/outbox.h"

#include <stdlib.h>

/* Askers found full in one pass: what follows for them must not overtake.  More than these: the
 * lane to a whole worker is full, and the pass ends. */
enum { BLOCKED_MAX = 8 };

struct blocked {
    struct rollcall_ref refs[BLOCKED_MAX];
    size_t count;
};

static bool is_blocked(const struct blocked *blocked, struct rollcall_ref ref)
{
    for (size_t i = 0; i < blocked->count; i++) {
        if (rollcall_ref_equal(blocked->refs[i], ref)) {
            return true;
        }
    }
    return blocked->count == BLOCKED_MAX;
}

static void append(struct rollcall__outbox *outbox, struct rollcall__answer *answer)
{
    answer->next = NULL;
    if (outbox->first == NULL) {
        outbox->first = answer;
    } else {
        outbox->last->next = answer;
    }
    outbox->last = answer;
}

/* True: sent and freed. */
static bool try_send(struct rollcall_context *cx, struct rollcall__answer *answer)
{
    if (answer->object != NULL) {
        rollcall_object_keep(answer->object); /* the reply takes one reference even when it fails */
    }
    if (rollcall_reply(cx, answer->to, answer->type, answer->payload, answer->size_bytes,
                       answer->object) == ROLLCALL_E_FULL) {
        return false;
    }
    rollcall_object_drop(answer->object);
    free(answer);
    return true;
}

bool rollcall__outbox_send(struct rollcall__outbox *outbox, struct rollcall_context *cx,
                           struct rollcall__answer *answer)
{
    if (outbox->first == NULL && try_send(cx, answer)) {
        return false;
    }
    append(outbox, answer);
    return true;
}

bool rollcall__outbox_retry(struct rollcall__outbox *outbox, struct rollcall_context *cx)
{
    struct blocked blocked = {.count = 0};
    struct rollcall__answer *answer = outbox->first;
    *outbox = (struct rollcall__outbox){0};
    while (answer != NULL) {
        struct rollcall__answer *next = answer->next;
        const struct rollcall_ref to = answer->to.ref;
        if (is_blocked(&blocked, to)) {
            append(outbox, answer);
        } else if (!try_send(cx, answer)) {
            blocked.refs[blocked.count++] = to;
            append(outbox, answer);
        }
        answer = next;
    }
    return outbox->first != NULL;
}

void rollcall__outbox_fini(struct rollcall__outbox *outbox)
{
    while (outbox->first != NULL) {
        struct rollcall__answer *answer = outbox->first;
        outbox->first = answer->next;
        rollcall_object_drop(answer->object);
        free(answer);
    }
}

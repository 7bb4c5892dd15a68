#include "runtime/hold.h"

#include "base/assert.h"
#include "runtime/failpoint.h"

#include <stdlib.h>

enum { BEHIND = 16 };

struct rollcall__hold {
    struct rollcall__timer timer;
    struct rollcall__cell *first; /* what is delayed; NULL: it has gone, `behind` goes now */
    struct rollcall__mailbox behind;
};

static bool waits(const struct rollcall__hold *hold)
{
    return hold->first != NULL && hold->timer.place != ROLLCALL__TIMER_IDLE;
}

static struct rollcall__hold *create(struct rollcall__actor *actor, enum rollcall__lane_kind kind)
{
    struct rollcall__hold *hold = calloc(1, sizeof *hold);
    if (hold == NULL || !rollcall__mailbox_init(&hold->behind, BEHIND)) {
        free(hold);
        return NULL;
    }
    hold->timer.type = (uint16_t)(ROLLCALL__TIMER_HOLD + kind);
    hold->timer.actor = actor;
    hold->timer.place = ROLLCALL__TIMER_IDLE;
    actor->holds[kind] = hold;
    actor->worker->failpoints->holds++;
    return hold;
}

static void destroy(struct rollcall__actor *actor, enum rollcall__lane_kind kind)
{
    struct rollcall__hold *hold = actor->holds[kind];
    struct rollcall__worker *worker = actor->worker;
    actor->holds[kind] = NULL;
    rollcall__timers_cancel(&worker->timers, &hold->timer);
    rollcall__mailbox_fini(&hold->behind);
    free(hold);
    worker->failpoints->holds--;
    rollcall__failpoints_settle(worker);
}

bool rollcall__hold_begin(struct rollcall__actor *actor, enum rollcall__lane_kind kind,
                          const struct rollcall__cell *cell, int64_t delay_ms)
{
    struct rollcall__worker *worker = actor->worker;
    struct rollcall__cell *first = rollcall__cell_take(worker);
    struct rollcall__hold *hold = actor->holds[kind];
    if (first != NULL && hold == NULL) {
        hold = create(actor, kind);
    }
    if (first == NULL || hold == NULL ||
        !rollcall__timers_set(&worker->timers, &hold->timer, worker->now_ms + delay_ms)) {
        if (first != NULL) {
            rollcall__cell_give(worker, first);
        }
        return false;
    }
    ROLLCALL_ASSERT(hold->first == NULL);
    *first = *cell;
    hold->first = first;
    return true;
}

/* The next signal of the system mailbox; what else is found there goes behind what is held. */
static struct rollcall__cell *pop_signal(struct rollcall__actor *actor, struct rollcall__hold *hold)
{
    struct rollcall__cell *cell;
    while ((cell = rollcall__mailbox_pop(&actor->mailboxes[ROLLCALL__SYSTEM])) != NULL &&
           cell->type >= ROLLCALL_SIGNAL_COUNT) {
        const bool kept = rollcall__mailbox_push_growing(&hold->behind, cell);
        ROLLCALL_ASSERT(kept); /* as in worker.c: what is lost here would be waited for */
    }
    return cell;
}

struct rollcall__cell *rollcall__hold_pop(struct rollcall__actor *actor,
                                          enum rollcall__lane_kind kind, bool *held)
{
    struct rollcall__hold *hold = actor->holds[kind];
    struct rollcall__cell *cell;
    *held = false;
    if (hold == NULL) {
        return rollcall__mailbox_pop(&actor->mailboxes[kind]);
    }
    if (waits(hold)) {
        return kind == ROLLCALL__SYSTEM ? pop_signal(actor, hold) : NULL;
    }
    if (hold->first != NULL) {
        cell = hold->first;
        hold->first = NULL;
        *held = true;
        return cell;
    }
    if ((cell = rollcall__mailbox_pop(&hold->behind)) != NULL) {
        return cell;
    }
    destroy(actor, kind);
    return rollcall__mailbox_pop(&actor->mailboxes[kind]);
}

bool rollcall__hold_ready(const struct rollcall__actor *actor, enum rollcall__lane_kind kind)
{
    const struct rollcall__hold *hold = actor->holds[kind];
    const bool mail = !rollcall__mailbox_empty(&actor->mailboxes[kind]);
    if (hold == NULL) {
        return mail;
    }
    /* What is not waiting goes on, if only to find that the hold is over. */
    return waits(hold) ? mail && kind == ROLLCALL__SYSTEM : true;
}

void rollcall__hold_drop(struct rollcall__actor *actor, enum rollcall__lane_kind kind)
{
    struct rollcall__hold *hold = actor->holds[kind];
    struct rollcall__cell *cell;
    if (hold == NULL) {
        return;
    }
    while ((cell = hold->first) != NULL || (cell = rollcall__mailbox_pop(&hold->behind)) != NULL) {
        hold->first = NULL;
        rollcall_object_drop(cell->object);
        rollcall__cell_give(actor->worker, cell);
        actor->worker->stats.dead_letters++;
    }
    destroy(actor, kind);
}

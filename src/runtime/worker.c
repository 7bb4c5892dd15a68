#include "runtime/worker.h"

#include "base/assert.h"
#include "base/memory.h"
#include "runtime/failpoint.h"
#include "runtime/hold.h"
#include "runtime/runtime_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUANTUM_MESSAGES = 64,   /* an actor gives way after that many */
    URGENT_RUNS_MAX = 16,    /* in a row, while actors with user messages wait */
    OUTSIDE_CELLS_MAX = 16,  /* from the application, who has no credits: less than a mailbox */
    SYSTEM_CELLS_MAX = 1024, /* taken from a system lane before actors run */
    CELLS_PER_BLOCK = 256,
    FIRST_SLOTS = 64,
    NO_SLOT = -1
};

struct rollcall__cell_block {
    alignas(64) struct rollcall__cell cells[CELLS_PER_BLOCK];
    struct rollcall__cell_block *next;
};

/* ---- cells and slots ---- */

struct rollcall__cell *rollcall__cell_take(struct rollcall__worker *worker)
{
    if (worker->free_cells == NULL) {
        struct rollcall__cell_block *block = aligned_alloc(64, sizeof *block);
        if (block == NULL) {
            return NULL;
        }
        block->next = worker->cell_blocks;
        worker->cell_blocks = block;
        for (int i = 0; i < CELLS_PER_BLOCK; i++) {
            rollcall__cell_give(worker, &block->cells[i]);
        }
    }
    struct rollcall__cell *cell = worker->free_cells;
    worker->free_cells = cell->next_free;
    return cell;
}

void rollcall__cell_give(struct rollcall__worker *worker, struct rollcall__cell *cell)
{
    cell->next_free = worker->free_cells;
    worker->free_cells = cell;
}

static bool reserve_slots(struct rollcall__worker *worker)
{
    if (worker->slot_count < worker->slot_capacity) {
        return true;
    }
    const uint32_t capacity = worker->slot_capacity == 0 ? FIRST_SLOTS : 2 * worker->slot_capacity;
    struct rollcall__slot *slots = rollcall__reallocate(worker->slots, capacity * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    worker->slots = slots;
    worker->slot_capacity = capacity;
    return true;
}

bool rollcall__slot_take(struct rollcall__worker *worker, struct rollcall__actor *actor)
{
    uint32_t slot = worker->free_head;
    if (slot != (uint32_t)NO_SLOT) {
        worker->free_head = worker->slots[slot].next_free;
    } else if (reserve_slots(worker)) {
        slot = worker->slot_count++;
        worker->slots[slot].generation = 1;
    } else {
        return false;
    }
    worker->slots[slot].actor = actor;
    actor->ref = rollcall__ref(worker->slots[slot].generation, worker->index, slot);
    worker->stats.actors++;
    return true;
}

/* Slots are reused oldest first, which stretches the time until a 24-bit generation comes round. */
void rollcall__slot_give(struct rollcall__worker *worker, struct rollcall_ref ref)
{
    const uint32_t index = rollcall__ref_slot(ref);
    struct rollcall__slot *slot = &worker->slots[index];
    slot->actor = NULL;
    slot->generation = slot->generation == ROLLCALL__GENERATION_MAX ? 1 : slot->generation + 1;
    slot->next_free = (uint32_t)NO_SLOT;
    if (worker->free_head == (uint32_t)NO_SLOT) {
        worker->free_head = index;
    } else {
        worker->slots[worker->free_tail].next_free = index;
    }
    worker->free_tail = index;
    worker->stats.actors--;
}

struct rollcall__actor *rollcall__worker_find(struct rollcall__worker *worker,
                                              struct rollcall_ref ref)
{
    const uint32_t slot = rollcall__ref_slot(ref);
    if (rollcall__ref_worker(ref) != worker->index || slot >= worker->slot_count ||
        worker->slots[slot].generation != rollcall__ref_generation(ref)) {
        return NULL;
    }
    return worker->slots[slot].actor;
}

/* ---- run queues ---- */

void rollcall__worker_queue(struct rollcall__worker *worker, struct rollcall__actor *actor,
                            enum rollcall__lane_kind kind)
{
    const bool system = kind == ROLLCALL__SYSTEM;
    bool *queued = system ? &actor->urgent_queued : &actor->ready_queued;
    struct rollcall__queue *queue = system ? &worker->urgent : &worker->ready;
    struct rollcall__actor *tail = queue->tail;
    if (*queued) {
        return;
    }
    *queued = true;
    *(system ? &actor->urgent_next : &actor->ready_next) = NULL;
    if (tail == NULL) {
        queue->head = actor;
    } else {
        *(system ? &tail->urgent_next : &tail->ready_next) = actor;
    }
    queue->tail = actor;
}

static struct rollcall__actor *pop(struct rollcall__worker *worker, enum rollcall__lane_kind kind)
{
    const bool system = kind == ROLLCALL__SYSTEM;
    struct rollcall__queue *queue = system ? &worker->urgent : &worker->ready;
    struct rollcall__actor *actor = queue->head;
    if (actor == NULL) {
        return NULL;
    }
    queue->head = system ? actor->urgent_next : actor->ready_next;
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    *(system ? &actor->urgent_queued : &actor->ready_queued) = false;
    return actor;
}

/* ---- into mailboxes ---- */

/* Puts a copy of the cell into its receiver's mailbox; owns the object unless E_FULL. */
static enum rollcall_status enqueue(struct rollcall__worker *worker,
                                    const struct rollcall__cell *cell,
                                    enum rollcall__lane_kind kind)
{
    struct rollcall__actor *actor = rollcall__worker_find(worker, cell->to);
    if (actor == NULL || (cell->to_epoch != 0 && cell->to_epoch != actor->epoch)) {
        *(actor == NULL ? &worker->stats.dead_letters : &worker->stats.stale) += 1;
        rollcall_object_drop(cell->object);
        return ROLLCALL_OK;
    }
    if (actor->phase == ROLLCALL__ACTOR_FAILED && kind == ROLLCALL__SYSTEM &&
        cell->type == ROLLCALL_STOP) {
        rollcall_object_drop(cell->object);
        worker->stats.delivered++; /* nobody is there to answer a STOP */
        rollcall__actor_end(actor);
        return ROLLCALL_OK;
    }
    if (worker->failpoints != NULL && kind == ROLLCALL__USER &&
        rollcall__failpoints_refuse(actor, cell)) {
        return ROLLCALL_E_FULL;
    }
    struct rollcall__cell *kept = rollcall__cell_take(worker);
    struct rollcall__mailbox *mailbox = &actor->mailboxes[kind];
    if (kept != NULL) {
        *kept = *cell;
        if (kind == ROLLCALL__SYSTEM ? rollcall__mailbox_push_growing(mailbox, kept)
                                     : rollcall__mailbox_push(mailbox, kept)) {
            rollcall__worker_queue(worker, actor, kind);
            return ROLLCALL_OK;
        }
        rollcall__cell_give(worker, kept);
    }
    /* Losing a signal would break what supervisors rely on; like gRPC, we end when memory does. */
    ROLLCALL_ASSERT(kind == ROLLCALL__USER);
    return ROLLCALL_E_FULL;
}

enum rollcall_status rollcall__worker_send(struct rollcall__worker *worker,
                                           const struct rollcall__cell *cell)
{
    const uint32_t to = rollcall__ref_worker(cell->to);
    enum rollcall_status status = ROLLCALL_OK;
    if (rollcall_ref_is_nobody(cell->to) || to >= worker->rt->worker_count) {
        worker->stats.sent++;
        worker->stats.dead_letters++;
        rollcall_object_drop(cell->object);
        return ROLLCALL_OK;
    }
    if (worker->rt->executor->refuse != NULL && worker->rt->executor->refuse(worker->rt, cell)) {
        status = ROLLCALL_E_FULL;
    } else if (to == worker->index) {
        status = enqueue(worker, cell, ROLLCALL__USER);
    } else if (rollcall__lane_push(worker->out[to][ROLLCALL__USER], cell)) {
        worker->dirty |= UINT32_C(1) << to;
    } else {
        status = ROLLCALL_E_FULL;
    }
    if (status != ROLLCALL_OK) {
        worker->stats.full++;
        rollcall_object_drop(cell->object);
    } else {
        worker->stats.sent++;
    }
    return status;
}

/* What is for a receiver's table, not for the runtime or the worker. */
static bool is_message(const struct rollcall__cell *cell)
{
    return cell->kind == ROLLCALL__CELL_MESSAGE || cell->kind == ROLLCALL__CELL_TIMER;
}

static void add_pending(struct rollcall__worker *worker, uint32_t to,
                        const struct rollcall__cell *cell)
{
    struct rollcall__pending *pending = malloc(sizeof *pending);
    ROLLCALL_ASSERT(pending != NULL); /* as in enqueue */
    *pending = (struct rollcall__pending){.cell = *cell};
    if (worker->pending[to].tail == NULL) {
        worker->pending[to].head = pending;
    } else {
        worker->pending[to].tail->next = pending;
    }
    worker->pending[to].tail = pending;
    worker->unsent |= UINT32_C(1) << to;
}

void rollcall__worker_send_system(struct rollcall__worker *worker,
                                  const struct rollcall__cell *cell)
{
    const uint32_t to = rollcall__ref_worker(cell->to);
    if (rollcall_ref_is_nobody(cell->to) || to >= worker->rt->worker_count) {
        rollcall_object_drop(cell->object);
        return;
    }
    worker->stats.sent += is_message(cell);
    if (to == worker->index) {
        ROLLCALL_DROP(enqueue(worker, cell, ROLLCALL__SYSTEM), "the system lane is never full");
        return;
    }
    if (worker->pending[to].head != NULL ||
        !rollcall__lane_push(worker->out[to][ROLLCALL__SYSTEM], cell)) {
        add_pending(worker, to, cell);
    }
    worker->dirty |= UINT32_C(1) << to;
}

/* ---- from lanes ---- */

static void bounce(struct rollcall__worker *worker, const struct rollcall__cell *cell)
{
    const struct rollcall_bounced bounced = {.to = cell->to, .type = cell->type};
    struct rollcall__cell signal = {.to = cell->from,
                                    .to_epoch = cell->from_epoch,
                                    .type = ROLLCALL_BOUNCED,
                                    .size_bytes = sizeof bounced};
    memcpy(signal.payload, &bounced, sizeof bounced);
    worker->stats.bounced++;
    rollcall_object_drop(cell->object);
    rollcall__worker_send_system(worker, &signal);
}

static void take_monitor(struct rollcall__worker *worker, const struct rollcall__cell *cell)
{
    struct rollcall__actor *actor = rollcall__worker_find(worker, cell->to);
    if (actor != NULL) {
        rollcall__actor_monitor(actor, cell->from);
        return;
    }
    const struct rollcall_down down = {.who = cell->to, .reason = ROLLCALL_DOWN_ENDED};
    struct rollcall__cell signal = {
        .to = cell->from, .from = cell->to, .type = ROLLCALL_DOWN, .size_bytes = sizeof down};
    memcpy(signal.payload, &down, sizeof down);
    rollcall__worker_send_system(worker, &signal);
}

/* The application is told that a mailbox is full by its lane, which fills behind the cell that
 * waits; an actor is told by BOUNCED, and so is anybody when the receiver has failed and may stay
 * so. */
static bool may_wait_for(struct rollcall__worker *worker, const struct rollcall__cell *cell)
{
    const struct rollcall__actor *actor = rollcall__worker_find(worker, cell->to);
    return rollcall_ref_is_nobody(cell->from) && actor != NULL &&
           actor->phase != ROLLCALL__ACTOR_FAILED;
}

/* What an actor on another worker sent may be refused only here, where its mailbox would be. */
static bool is_refused(struct rollcall__worker *worker, const struct rollcall__cell *cell,
                       enum rollcall__lane_kind kind)
{
    return kind == ROLLCALL__USER && !rollcall_ref_is_nobody(cell->from) &&
           worker->rt->executor->refuse != NULL && worker->rt->executor->refuse(worker->rt, cell);
}

/* Does what a cell is for; false when it must wait for room in its receiver's mailbox. */
static bool take(struct rollcall__worker *worker, const struct rollcall__cell *cell,
                 enum rollcall__lane_kind kind)
{
    struct rollcall__control *control = (struct rollcall__control *)cell->object;
    switch ((enum rollcall__cell_kind)cell->kind) {
    case ROLLCALL__CELL_CONTROL:
        rollcall__control_run(worker, control);
        rollcall_object_drop(&control->object);
        return true;
    case ROLLCALL__CELL_MONITOR:
        take_monitor(worker, cell);
        return true;
    case ROLLCALL__CELL_MESSAGE:
    case ROLLCALL__CELL_TIMER:
        break;
    }
    if (is_refused(worker, cell, kind) || enqueue(worker, cell, kind) == ROLLCALL_E_FULL) {
        if (may_wait_for(worker, cell)) {
            return false;
        }
        bounce(worker, cell);
    }
    return true;
}

/* Delivers the application's cell that waits, if there is one; false when it must go on waiting. */
static bool take_waiting(struct rollcall__worker *worker)
{
    if (worker->waits && take(worker, &worker->waiting, ROLLCALL__USER)) {
        worker->waits = false;
    }
    return !worker->waits;
}

uint32_t rollcall__worker_drain(struct rollcall__worker *worker, uint32_t source,
                                enum rollcall__lane_kind kind, uint32_t cells_max)
{
    const bool waiting =
        source == ROLLCALL__SOURCE_APPLICATION && kind == ROLLCALL__USER && worker->waits;
    struct rollcall__lane *lane = worker->in[source][kind];
    struct rollcall__cell cell;
    uint32_t count = waiting ? 1 : 0;
    if (waiting && !take_waiting(worker)) {
        return 0;
    }
    while (lane != NULL && count < cells_max && rollcall__lane_pop(lane, &cell)) {
        worker->stats.sent += source >= ROLLCALL__SOURCE_APPLICATION && is_message(&cell);
        if (!take(worker, &cell, kind)) {
            worker->waiting = cell;
            worker->waits = true;
            return count;
        }
        count++;
        lane = worker->in[source][kind]; /* a control call may have detached it */
    }
    return count;
}

uint32_t rollcall__worker_drain_all(struct rollcall__worker *worker, uint32_t cells_max)
{
    uint32_t count = 0;
    for (uint32_t source = 0; source < ROLLCALL__SOURCES_MAX; source++) {
        count += rollcall__worker_drain(worker, source, ROLLCALL__SYSTEM, SYSTEM_CELLS_MAX);
    }
    for (uint32_t source = 0; cells_max > 0 && source < ROLLCALL__SOURCES_MAX; source++) {
        const bool outside = source == ROLLCALL__SOURCE_APPLICATION;
        count += rollcall__worker_drain(worker, source, ROLLCALL__USER,
                                        outside ? OUTSIDE_CELLS_MAX : cells_max);
    }
    return count;
}

/* ---- running ---- */

static bool next(struct rollcall__actor *actor, bool system_only, struct rollcall__cell *copy)
{
    struct rollcall__cell *cell = rollcall__mailbox_pop(&actor->mailboxes[ROLLCALL__SYSTEM]);
    if (cell == NULL && !system_only) {
        cell = rollcall__mailbox_pop(&actor->mailboxes[ROLLCALL__USER]);
    }
    if (cell == NULL) {
        return false;
    }
    *copy = *cell;
    rollcall__cell_give(actor->worker, cell);
    return true;
}

/* Serves what the actor has, system mailbox first, for one quantum. */
static void serve(struct rollcall__worker *worker, struct rollcall__actor *actor, bool system_only)
{
    /* Armed and cleared between runs only. */
    const bool failing = worker->failpoints != NULL;
    for (int n = 0; n < QUANTUM_MESSAGES && actor->phase == ROLLCALL__ACTOR_RUNNING; n++) {
        struct rollcall__cell cell;
        const bool found = failing ? rollcall__failpoints_next(actor, system_only, &cell)
                                   : next(actor, system_only, &cell);
        if (!found || !rollcall__actor_deliver(actor, &cell)) {
            return;
        }
    }
}

static void requeue(struct rollcall__worker *worker, struct rollcall__actor *actor)
{
    const bool failing = worker->failpoints != NULL;
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        if (failing ? rollcall__hold_ready(actor, (enum rollcall__lane_kind)kind)
                    : !rollcall__mailbox_empty(&actor->mailboxes[kind])) {
            rollcall__worker_queue(worker, actor, (enum rollcall__lane_kind)kind);
        }
    }
}

/* Signals go first, but not for ever: a flood of completions must not starve those who asked. */
static bool ready_goes_first(const struct rollcall__worker *worker)
{
    return worker->urgent_runs >= URGENT_RUNS_MAX && worker->ready.head != NULL;
}

struct rollcall__actor *rollcall__worker_peek(const struct rollcall__worker *worker)
{
    return ready_goes_first(worker) || worker->urgent.head == NULL ? worker->ready.head
                                                                   : worker->urgent.head;
}

static struct rollcall__actor *pop_next(struct rollcall__worker *worker, bool *system_only)
{
    struct rollcall__actor *actor = ready_goes_first(worker) ? NULL : pop(worker, ROLLCALL__SYSTEM);
    *system_only = actor != NULL;
    worker->urgent_runs = *system_only ? worker->urgent_runs + 1 : 0;
    return actor != NULL ? actor : pop(worker, ROLLCALL__USER);
}

bool rollcall__worker_run_one(struct rollcall__worker *worker)
{
    bool system_only;
    struct rollcall__actor *actor = pop_next(worker, &system_only);
    if (actor == NULL) {
        return false;
    }
    rollcall__worker_refresh(worker);
    worker->running = actor;
    if (actor->phase != ROLLCALL__ACTOR_NEW || rollcall__actor_init(actor)) {
        serve(worker, actor, system_only);
    }
    worker->running = NULL;
    if (actor->phase == ROLLCALL__ACTOR_RUNNING) {
        requeue(worker, actor);
    }
    rollcall__actor_free(actor);
    return true;
}

void rollcall__worker_rotate(struct rollcall__worker *worker, uint32_t urgent, uint32_t ready)
{
    const uint32_t turns[ROLLCALL__LANE_KINDS] = {
        [ROLLCALL__SYSTEM] = urgent, [ROLLCALL__USER] = ready};
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        for (uint32_t i = 0; i < turns[kind]; i++) {
            struct rollcall__actor *actor = pop(worker, (enum rollcall__lane_kind)kind);
            if (actor != NULL) {
                rollcall__worker_queue(worker, actor, (enum rollcall__lane_kind)kind);
            }
        }
    }
}

uint32_t rollcall__worker_fire(struct rollcall__worker *worker)
{
    struct rollcall__timer *timer;
    uint32_t count = 0;
    rollcall__worker_refresh(worker);
    while ((timer = rollcall__timers_due(&worker->timers, worker->now_ms)) != NULL) {
        count++;
        if (timer->type >= ROLLCALL__TIMER_HOLD) {
            rollcall__worker_queue(worker, timer->actor,
                                   (enum rollcall__lane_kind)(timer->type - ROLLCALL__TIMER_HOLD));
            continue;
        }
        const struct rollcall__cell cell = {.to = timer->actor->ref,
                                            .type = timer->type,
                                            .kind = ROLLCALL__CELL_TIMER,
                                            .timer_generation = timer->sequence};
        rollcall__worker_send_system(worker, &cell);
        worker->stats.timers_fired++;
    }
    return count;
}

bool rollcall__worker_flush(struct rollcall__worker *worker)
{
    for (uint32_t left = worker->dirty | worker->unsent; left != 0; left &= left - 1) {
        const uint32_t to = (uint32_t)__builtin_ctz(left);
        struct rollcall__pending *pending;
        while ((pending = worker->pending[to].head) != NULL &&
               rollcall__lane_push(worker->out[to][ROLLCALL__SYSTEM], &pending->cell)) {
            worker->pending[to].head = pending->next;
            worker->dirty |= UINT32_C(1) << to;
            free(pending);
        }
        if (worker->pending[to].head == NULL) {
            worker->pending[to].tail = NULL;
            worker->unsent &= ~(UINT32_C(1) << to);
        }
        if ((worker->dirty & UINT32_C(1) << to) != 0) {
            worker->rt->executor->wake(worker->rt, to, worker->index);
        }
    }
    worker->dirty = 0;
    return worker->unsent == 0;
}

void rollcall__worker_refresh(struct rollcall__worker *worker)
{
    worker->now_ms = worker->rt->executor->now_ms(worker->rt);
}

void rollcall__worker_stop_roots(struct rollcall__worker *worker)
{
    for (uint32_t i = worker->slot_count; i-- > 0;) {
        struct rollcall__actor *actor = worker->slots[i].actor;
        if (actor != NULL && actor->parent == NULL) {
            const struct rollcall__cell stop = {.to = actor->ref, .type = ROLLCALL_STOP};
            rollcall__worker_send_system(worker, &stop);
        }
    }
}

/* ---- begin and end ---- */

bool rollcall__worker_init(struct rollcall__worker *worker, struct rollcall_runtime *rt,
                           uint32_t index, uint64_t seed, uint32_t trace_messages)
{
    *worker = (struct rollcall__worker){
        .rt = rt, .index = index, .free_head = (uint32_t)NO_SLOT, .free_tail = (uint32_t)NO_SLOT};
    rollcall__random_init(&worker->random, seed);
    return rollcall__trace_init(&worker->trace, trace_messages);
}

static void free_pending(struct rollcall__worker *worker)
{
    for (uint32_t to = 0; to < ROLLCALL__WORKERS_MAX; to++) {
        struct rollcall__pending *pending;
        while ((pending = worker->pending[to].head) != NULL) {
            worker->pending[to].head = pending->next;
            rollcall_object_drop(pending->cell.object);
            free(pending);
        }
    }
}

void rollcall__worker_fini(struct rollcall__worker *worker)
{
    for (uint32_t i = worker->slot_count; i-- > 0;) {
        if (worker->slots[i].actor != NULL) {
            rollcall__actor_end(worker->slots[i].actor);
        }
    }
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        struct rollcall__actor *actor;
        while ((actor = pop(worker, (enum rollcall__lane_kind)kind)) != NULL) {
            rollcall__actor_free(actor);
        }
    }
    free_pending(worker);
    rollcall_object_drop(worker->waits ? worker->waiting.object : NULL);
    while (worker->cell_blocks != NULL) {
        struct rollcall__cell_block *block = worker->cell_blocks;
        worker->cell_blocks = block->next;
        free(block);
    }
    free(worker->slots);
    free(worker->failpoints);
    rollcall__timers_fini(&worker->timers);
    rollcall__trace_fini(&worker->trace);
}

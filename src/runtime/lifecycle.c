/*
 * An actor's life: spawned NEW, init, RUNNING; a FAIL makes it FAILED until its supervisor restarts
 * it (NEW again, next epoch) or stops it; an END, or a STOP it does not handle, ends it.
 *
 * What survives a restart: ref, options, handover, mailboxes.  What does not: self, timers,
 * children, and answers on their way to the old epoch.
 */
#include "base/assert.h"
#include "base/memory.h"
#include "base/options.h"
#include "runtime/hold.h"
#include "runtime/runtime_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYSTEM_MAILBOX = 16, USER_MAILBOX = 64, USER_MAILBOX_MIN = 8, USER_MAILBOX_MAX = 65536 };

void rollcall__actor_name(const struct rollcall__actor *actor, char *text, size_t size_bytes)
{
    snprintf(text, size_bytes, "%s/%u", actor->type->name, rollcall__ref_slot(actor->ref));
}

/* ---- signals about an end ---- */

static void send_signal(struct rollcall__worker *worker, struct rollcall_ref from,
                        struct rollcall_ref to, uint16_t type, const void *payload,
                        size_t size_bytes, struct rollcall_object *object)
{
    struct rollcall__cell cell = {.to = to,
                                  .from = from,
                                  .type = type,
                                  .size_bytes = (uint8_t)size_bytes,
                                  .object = object == NULL ? NULL : rollcall_object_keep(object)};
    if (size_bytes != 0) {
        memcpy(cell.payload, payload, size_bytes);
    }
    rollcall__worker_send_system(worker, &cell);
}

static void tell_down(struct rollcall__actor *actor, enum rollcall_down_reason reason,
                      enum rollcall_status status, uint16_t epoch, bool tell_parent)
{
    const struct rollcall_down down = {
        .who = actor->ref, .reason = reason, .status = status, .epoch = epoch};
    struct rollcall_object *object = actor->reason == NULL ? NULL : &actor->reason->object;
    if (tell_parent && actor->parent != NULL) {
        send_signal(actor->worker, actor->ref, actor->parent->ref, ROLLCALL_DOWN, &down,
                    sizeof down, object);
    }
    for (uint32_t i = 0; i < actor->monitor_count; i++) {
        send_signal(actor->worker, actor->ref, actor->monitors[i], ROLLCALL_DOWN, &down,
                    sizeof down, object);
    }
}

/* Forgets watchers on this worker that have ended; those on others cost a dead letter each. */
static void prune_monitors(struct rollcall__actor *actor)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < actor->monitor_count; i++) {
        const struct rollcall_ref watcher = actor->monitors[i];
        if (rollcall__ref_worker(watcher) != actor->worker->index ||
            rollcall__worker_find(actor->worker, watcher) != NULL) {
            actor->monitors[kept++] = watcher;
        }
    }
    actor->monitor_count = kept;
}

void rollcall__actor_monitor(struct rollcall__actor *actor, struct rollcall_ref watcher)
{
    prune_monitors(actor);
    for (uint32_t i = 0; i < actor->monitor_count; i++) {
        if (rollcall_ref_equal(actor->monitors[i], watcher)) {
            return;
        }
    }
    struct rollcall_ref *monitors =
        realloc(actor->monitors, (actor->monitor_count + 1) * sizeof *monitors);
    ROLLCALL_ASSERT(monitors != NULL); /* a signal would be lost: see enqueue in worker.c */
    monitors[actor->monitor_count++] = watcher;
    actor->monitors = monitors;
}

/* ---- family ---- */

void rollcall__actor_adopt(struct rollcall__actor *parent, struct rollcall__actor *child)
{
    child->parent = parent;
    child->next_sibling = parent->first_child;
    parent->first_child = child;
}

static void leave_parent(struct rollcall__actor *actor)
{
    struct rollcall__actor **link;
    if (actor->parent == NULL) {
        return;
    }
    for (link = &actor->parent->first_child; *link != actor; link = &(*link)->next_sibling) {
        ROLLCALL_ASSERT(*link != NULL);
    }
    *link = actor->next_sibling;
    actor->parent = NULL;
}

/* Youngest first, as they are listed.  They are orphans from here: nobody is told of their end.
 * A failed child ends while it is stopped, so the list is taken one by one from its head. */
static void stop_children(struct rollcall__actor *actor)
{
    struct rollcall__actor *child;
    while ((child = actor->first_child) != NULL) {
        leave_parent(child);
        send_signal(actor->worker, actor->ref, child->ref, ROLLCALL_STOP, NULL, 0, NULL);
    }
}

/* ---- the end of an incarnation ---- */

static void cancel_timers(struct rollcall__actor *actor)
{
    for (struct rollcall__timer *timer = actor->timers; timer != NULL; timer = timer->next) {
        rollcall__timers_cancel(&actor->worker->timers, timer);
    }
}

static void end_incarnation(struct rollcall__actor *actor)
{
    if (actor->phase == ROLLCALL__ACTOR_RUNNING && actor->type->fini != NULL) {
        actor->type->fini(actor->self);
    }
    cancel_timers(actor);
    stop_children(actor);
    actor->epoch = actor->epoch == UINT16_MAX ? 1 : (uint16_t)(actor->epoch + 1);
}

static void drop_reason(struct rollcall__actor *actor)
{
    if (actor->reason != NULL) {
        rollcall_object_drop(&actor->reason->object);
        actor->reason = NULL;
    }
    actor->failure = ROLLCALL_OK;
}

static void log_failure(const struct rollcall__actor *actor, enum rollcall_status status)
{
    char name[64];
    rollcall__actor_name(actor, name, sizeof name);
    rollcall__log_write(&actor->worker->rt->log,
                        actor->parent == NULL ? ROLLCALL_ERROR : ROLLCALL_DEBUG, name, "failed: %s",
                        actor->reason != NULL ? actor->reason->error.text
                                              : rollcall_status_text(status));
}

/* Whether a STOP came that it has not read. */
static bool stop_waits(struct rollcall__actor *actor)
{
    struct rollcall__mailbox *mailbox = &actor->mailboxes[ROLLCALL__SYSTEM];
    bool found = false;
    for (unsigned int count = ck_ring_size(&mailbox->ring); count > 0; count--) {
        struct rollcall__cell *cell = rollcall__mailbox_pop(mailbox);
        found |= cell->kind == ROLLCALL__CELL_MESSAGE && cell->type == ROLLCALL_STOP;
        const bool fits = rollcall__mailbox_push(mailbox, cell);
        ROLLCALL_ASSERT(fits);
    }
    return found;
}

void rollcall__actor_fail(struct rollcall__actor *actor, enum rollcall_status status)
{
    const uint16_t epoch = actor->epoch;
    actor->worker->stats.failures++;
    log_failure(actor, status);
    end_incarnation(actor);
    actor->phase = ROLLCALL__ACTOR_FAILED;
    tell_down(actor, ROLLCALL_DOWN_FAILED, status, epoch, true);
    drop_reason(actor);
    if (actor->parent == NULL || stop_waits(actor)) {
        rollcall__actor_end(actor); /* nobody could restart it, or it was to stop anyway */
    }
}

void rollcall__actor_restart(struct rollcall__actor *actor)
{
    const uint16_t epoch = actor->epoch;
    if (actor->phase == ROLLCALL__ACTOR_RUNNING) {
        end_incarnation(actor);
        tell_down(actor, ROLLCALL_DOWN_ENDED, ROLLCALL_OK, epoch, false);
    }
    if (actor->type->self_size_bytes != 0) {
        memset(actor->self, 0, actor->type->self_size_bytes);
    }
    actor->phase = ROLLCALL__ACTOR_NEW;
    actor->worker->stats.restarts++;
    rollcall__worker_queue(actor->worker, actor, ROLLCALL__SYSTEM);
}

static void drain_mailboxes(struct rollcall__actor *actor)
{
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        struct rollcall__cell *cell;
        while ((cell = rollcall__mailbox_pop(&actor->mailboxes[kind])) != NULL) {
            rollcall_object_drop(cell->object);
            rollcall__cell_give(actor->worker, cell);
            actor->worker->stats.dead_letters++;
        }
        rollcall__hold_drop(actor, (enum rollcall__lane_kind)kind);
    }
}

void rollcall__actor_end(struct rollcall__actor *actor)
{
    const uint16_t epoch = actor->epoch;
    ROLLCALL_ASSERT(actor->phase != ROLLCALL__ACTOR_ENDED);
    end_incarnation(actor);
    actor->phase = ROLLCALL__ACTOR_ENDED;
    tell_down(actor, ROLLCALL_DOWN_ENDED, ROLLCALL_OK, epoch, true);
    leave_parent(actor);
    drain_mailboxes(actor);
    rollcall__slot_give(actor->worker, actor->ref);
    if (actor != actor->worker->running) {
        rollcall__actor_free(actor); /* the running one is freed when its run is over */
    }
}

/* ---- birth ---- */

static void free_memory(struct rollcall__actor *actor)
{
    while (actor->timers != NULL) {
        struct rollcall__timer *next = actor->timers->next;
        free(actor->timers);
        actor->timers = next;
    }
    for (int kind = 0; kind < ROLLCALL__LANE_KINDS; kind++) {
        if (actor->mailboxes[kind].slots != NULL) {
            rollcall__mailbox_fini(&actor->mailboxes[kind]);
        }
    }
    free(actor->monitors);
    free(actor->self);
    free(actor->options);
    free(actor->handover);
    free(actor);
}

void rollcall__actor_free(struct rollcall__actor *actor)
{
    if (actor->phase != ROLLCALL__ACTOR_ENDED || actor->urgent_queued || actor->ready_queued) {
        return;
    }
    if (actor->type->handover_fini != NULL) {
        actor->type->handover_fini(actor->handover);
    }
    if (actor->type->options_fini != NULL) {
        actor->type->options_fini(actor->options);
    }
    drop_reason(actor);
    free_memory(actor);
}

static bool allocate(void **memory, size_t size_bytes)
{
    *memory = size_bytes == 0 ? NULL : rollcall__allocate_zeroed(1, size_bytes);
    return size_bytes == 0 || *memory != NULL;
}

static struct rollcall__actor *create(struct rollcall__worker *worker,
                                      const struct rollcall_spawn_options *options)
{
    const struct rollcall_actor_type *type = options->type;
    const uint32_t capacity =
        options->mailbox_messages == 0 ? USER_MAILBOX : options->mailbox_messages;
    struct rollcall__actor *actor = rollcall__allocate_zeroed(1, sizeof *actor);
    if (actor == NULL) {
        return NULL;
    }
    actor->type = type;
    actor->worker = worker;
    actor->epoch = 1;
    if (!allocate(&actor->self, type->self_size_bytes) ||
        !allocate(&actor->options, type->options_size_bytes) ||
        !allocate(&actor->handover, type->handover_size_bytes) ||
        !rollcall__mailbox_init(&actor->mailboxes[ROLLCALL__SYSTEM], SYSTEM_MAILBOX) ||
        !rollcall__mailbox_init(&actor->mailboxes[ROLLCALL__USER], capacity) ||
        !rollcall__slot_take(worker, actor)) {
        free_memory(actor);
        return NULL;
    }
    if (type->options_size_bytes != 0) {
        memcpy(actor->options, options->options, type->options_size_bytes);
    }
    return actor;
}

/* More than 32 states do not fit in a cell's `to`. */
static bool is_complete(const struct rollcall_actor_type *type)
{
    return type->init != NULL && type->table != NULL && type->name != NULL &&
           type->state_names != NULL && type->message_names != NULL &&
           type->payload_sizes != NULL && type->message_count >= ROLLCALL_SIGNAL_COUNT &&
           type->state_count >= 1 && type->state_count <= 32;
}

static enum rollcall_status check(const struct rollcall_spawn_options *options,
                                  struct rollcall_error *error)
{
    const uint32_t capacity = options->mailbox_messages;
    if (options->type == NULL || !is_complete(options->type)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "spawn: the actor type is incomplete");
    }
    if (capacity != 0 && (capacity < USER_MAILBOX_MIN || capacity > USER_MAILBOX_MAX ||
                          (capacity & (capacity - 1)) != 0)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "spawn %s: mailbox_messages is %u: give a power of two from %d "
                                  "to %d, or 0",
                                  options->type->name, capacity, USER_MAILBOX_MIN,
                                  USER_MAILBOX_MAX);
    }
    if (options->type->options_size_bytes != 0 && options->options == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID, "spawn %s: options are missing",
                                  options->type->name);
    }
    return ROLLCALL_OK;
}

void rollcall__spawn_drop(const struct rollcall_spawn_options *options)
{
    if (options->type == NULL || options->type->options_fini == NULL || options->options == NULL) {
        return;
    }
    void *copy = malloc(options->type->options_size_bytes);
    ROLLCALL_ASSERT(copy != NULL);
    memcpy(copy, options->options, options->type->options_size_bytes);
    options->type->options_fini(copy); /* which may write to it; the caller's is borrowed */
    free(copy);
}

static enum rollcall_status refuse(const struct rollcall_spawn_options *options,
                                   enum rollcall_status status, struct rollcall_error *error)
{
    rollcall__spawn_drop(options);
    return status == ROLLCALL_E_INVALID
               ? status
               : rollcall_error_set(error, status, "spawn %s: %s", options->type->name,
                                    rollcall_status_text(status));
}

enum rollcall_status rollcall__worker_spawn(struct rollcall__worker *worker,
                                            struct rollcall__actor *spawner,
                                            const struct rollcall_spawn_options *given,
                                            struct rollcall_ref *ref, struct rollcall_error *error)
{
    struct rollcall_spawn_options options;
    struct rollcall__actor *parent = spawner;
    enum rollcall_status status =
        rollcall__options_copy(&options, sizeof options, given, "rollcall_spawn_options", error);
    if (status != ROLLCALL_OK || (status = check(&options, error)) != ROLLCALL_OK) {
        return refuse(&options, ROLLCALL_E_INVALID, error);
    }
    if (!rollcall_ref_is_nobody(options.supervisor) &&
        (parent = rollcall__worker_find(worker, options.supervisor)) == NULL) {
        return refuse(&options, ROLLCALL_E_STOPPED, error);
    }
    struct rollcall__actor *actor = create(worker, &options);
    if (actor == NULL) {
        return refuse(&options, ROLLCALL_E_NO_MEMORY, error);
    }
    if (parent != NULL) {
        rollcall__actor_adopt(parent, actor);
    }
    if (parent != NULL && parent != spawner) {
        const struct rollcall_adopt adopt = {.child = actor->ref, .restart = options.restart};
        send_signal(worker, actor->ref, parent->ref, ROLLCALL_ADOPT, &adopt, sizeof adopt, NULL);
    }
    rollcall__worker_queue(worker, actor, ROLLCALL__SYSTEM);
    *ref = actor->ref;
    return ROLLCALL_OK;
}

/* ---- one step ---- */

static void trace(struct rollcall__actor *actor, struct rollcall_ref from, uint16_t message,
                  int before, int after)
{
    struct rollcall__worker *worker = actor->worker;
    const struct rollcall__actor *sender = rollcall__worker_find(worker, from);
    rollcall__trace_add(&worker->trace, (struct rollcall__trace_entry){
                                            .at_ms = worker->now_ms,
                                            .from = from,
                                            .to = actor->ref,
                                            .from_type = sender == NULL ? NULL : sender->type,
                                            .to_type = actor->type,
                                            .message = message,
                                            .before = (int16_t)before,
                                            .after = (int16_t)after,
                                        });
}

/* Does what a handler's result asks for; false when the actor no longer runs. */
static bool apply(struct rollcall__actor *actor, int result)
{
    switch (result) {
    case ROLLCALL_STAY:
        return true;
    case ROLLCALL_END:
        rollcall__actor_end(actor);
        return false;
    case ROLLCALL_FAIL:
        rollcall__actor_fail(actor,
                             actor->failure == ROLLCALL_OK ? ROLLCALL_E_ACTOR : actor->failure);
        return false;
    default:
        actor->state = (int16_t)result;
        return true;
    }
}

bool rollcall__actor_init(struct rollcall__actor *actor)
{
    struct rollcall_context cx = {actor};
    const int result = actor->type->init(&cx, actor->self, actor->options);
    if (result != ROLLCALL_FAIL && (result < 0 || result >= actor->type->state_count)) {
        rollcall__abort(__FILE__, __LINE__, "%s: init returned %d, which is no state",
                        actor->type->name, result);
    }
    actor->phase = ROLLCALL__ACTOR_RUNNING;
    actor->state = 0;
    trace(actor, (struct rollcall_ref){0}, 0, -1, result);
    return apply(actor, result);
}

static bool timer_is_current(const struct rollcall__actor *actor, const struct rollcall__cell *cell)
{
    const struct rollcall__timer *timer = actor->timers;
    while (timer != NULL && timer->type != cell->type) {
        timer = timer->next;
    }
    return timer != NULL && timer->sequence == cell->timer_generation;
}

bool rollcall__actor_is_stale(const struct rollcall__actor *actor,
                              const struct rollcall__cell *cell)
{
    return (cell->kind == ROLLCALL__CELL_TIMER && !timer_is_current(actor, cell)) ||
           (cell->to_epoch != 0 && cell->to_epoch != actor->epoch);
}

/* What an absent cell means; see ROLLCALL_SIGNALS. */
static int take_default(struct rollcall__actor *actor, const struct rollcall__cell *cell)
{
    char name[64];
    if (cell->type == ROLLCALL_STOP) {
        return ROLLCALL_END;
    }
    if (cell->type == ROLLCALL_DOWN) {
        struct rollcall_down down;
        memcpy(&down, cell->payload, sizeof down);
        const struct rollcall__actor *who = rollcall__worker_find(actor->worker, down.who);
        if (down.reason != ROLLCALL_DOWN_FAILED || who == NULL || who->parent != actor) {
            return ROLLCALL_STAY;
        }
        struct rollcall_context cx = {actor};
        const struct rollcall_reason *reason = (const struct rollcall_reason *)cell->object;
        return rollcall_fail(&cx, down.status, "%s",
                             reason != NULL ? reason->error.text
                                            : rollcall_status_text(down.status));
    }
    if (cell->type < ROLLCALL_SIGNAL_COUNT) {
        return ROLLCALL_STAY;
    }
    rollcall__actor_name(actor, name, sizeof name);
    actor->worker->stats.impossible++;
    if (actor->worker->rt->executor->strict) {
        rollcall__abort(__FILE__, __LINE__, "%s: %s in %s has no cell", name,
                        actor->type->message_names[cell->type],
                        actor->type->state_names[actor->state]);
    }
    rollcall__log_write(&actor->worker->rt->log, ROLLCALL_ERROR, name, "%s in %s has no cell",
                        actor->type->message_names[cell->type],
                        actor->type->state_names[actor->state]);
    return ROLLCALL_STAY;
}

static int call(struct rollcall__actor *actor, const struct rollcall__cell *cell,
                const struct rollcall_cell *entry)
{
    struct rollcall_context cx = {actor};
    const struct rollcall_message message = {
        .from = {.ref = cell->from, .epoch = cell->from_epoch},
        .type = cell->type,
        .size_bytes = cell->size_bytes,
        .payload = cell->payload,
        .object = cell->object,
    };
    const int result = entry->handle(&cx, actor->self, &message);
    const bool allowed =
        result >= 0 ? result < actor->type->state_count && (entry->to & ROLLCALL_TO(result)) != 0
                    : result >= ROLLCALL_FAIL;
    if (!allowed) {
        rollcall__abort(__FILE__, __LINE__, "%s: %s in %s returned %s (%d), not in the table",
                        actor->type->name, actor->type->message_names[cell->type],
                        actor->type->state_names[actor->state],
                        result >= 0 && result < actor->type->state_count
                            ? actor->type->state_names[result]
                            : "no state",
                        result);
    }
    return result;
}

/* A message whose number or size is not in the receiver's list is a bug of the sender. */
static void check_contract(const struct rollcall__actor *actor, const struct rollcall__cell *cell)
{
    const struct rollcall_actor_type *type = actor->type;
    if (cell->type >= type->message_count) {
        rollcall__abort(__FILE__, __LINE__, "%s was sent message number %u, and has %u", type->name,
                        cell->type, type->message_count);
    }
    if (cell->kind == ROLLCALL__CELL_MESSAGE &&
        cell->size_bytes != type->payload_sizes[cell->type]) {
        rollcall__abort(__FILE__, __LINE__, "%s: %s came with %u bytes instead of %u", type->name,
                        type->message_names[cell->type], cell->size_bytes,
                        type->payload_sizes[cell->type]);
    }
}

bool rollcall__actor_deliver(struct rollcall__actor *actor, const struct rollcall__cell *cell)
{
    const int before = actor->state;
    int result;
    check_contract(actor, cell);
    if (rollcall__actor_is_stale(actor, cell)) {
        actor->worker->stats.stale++; /* it went stale in the mailbox */
        rollcall_object_drop(cell->object);
        return true;
    }
    const struct rollcall_cell *entry =
        &actor->type->table[(size_t)before * actor->type->message_count + cell->type];
    if (actor->crash != ROLLCALL_OK) {
        struct rollcall_context cx = {actor};
        result =
            rollcall_fail(&cx, actor->crash, "injected: %s", rollcall_status_text(actor->crash));
        actor->crash = ROLLCALL_OK;
    } else {
        result = entry->handle == NULL ? take_default(actor, cell) : call(actor, cell, entry);
    }
    actor->worker->stats.delivered++;
    trace(actor, cell->from, cell->type, before, result);
    rollcall_object_drop(cell->object);
    return apply(actor, result);
}

/* What a running handler may call: rollcall/actor.h. */
#include "base/assert.h"
#include "runtime/runtime_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rollcall_ignore(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)cx, (void)self, (void)message;
    return ROLLCALL_STAY;
}

static enum rollcall_status send(struct rollcall_context *cx, struct rollcall_caller to,
                                 uint16_t type, const void *payload, size_t size_bytes,
                                 struct rollcall_object *object)
{
    struct rollcall__cell cell = {
        .to = to.ref,
        .to_epoch = to.epoch,
        .from = cx->actor->ref,
        .from_epoch = cx->actor->epoch,
        .type = type,
        .size_bytes = (uint8_t)size_bytes,
        .object = object,
    };
    ROLLCALL_ASSERT(size_bytes <= ROLLCALL_PAYLOAD_MAX_BYTES);
    if (size_bytes != 0) {
        memcpy(cell.payload, payload, size_bytes);
    }
    return rollcall__worker_send(cx->actor->worker, &cell);
}

enum rollcall_status rollcall_send(struct rollcall_context *cx, struct rollcall_ref to,
                                   uint16_t type, const void *payload, size_t size_bytes)
{
    return send(cx, (struct rollcall_caller){.ref = to}, type, payload, size_bytes, NULL);
}

enum rollcall_status rollcall_send_object(struct rollcall_context *cx, struct rollcall_ref to,
                                          uint16_t type, const void *payload, size_t size_bytes,
                                          struct rollcall_object *object)
{
    return send(cx, (struct rollcall_caller){.ref = to}, type, payload, size_bytes, object);
}

enum rollcall_status rollcall_reply(struct rollcall_context *cx, struct rollcall_caller to,
                                    uint16_t type, const void *payload, size_t size_bytes,
                                    struct rollcall_object *object)
{
    return send(cx, to, type, payload, size_bytes, object);
}

/* An actor has a handful of timers, one per message type: a list is the fastest look-up. */
static struct rollcall__timer *find_timer(struct rollcall__actor *actor, uint16_t type)
{
    struct rollcall__timer *timer = actor->timers;
    while (timer != NULL && timer->type != type) {
        timer = timer->next;
    }
    return timer;
}

void rollcall_timer_set(struct rollcall_context *cx, uint16_t type, int64_t at_ms)
{
    struct rollcall__actor *actor = cx->actor;
    struct rollcall__timer *timer = find_timer(actor, type);
    ROLLCALL_ASSERT(type < actor->type->message_count && actor->type->payload_sizes[type] == 0);
    if (timer == NULL) {
        timer = calloc(1, sizeof *timer);
        ROLLCALL_ASSERT(timer != NULL); /* an actor without its timer would wait for ever */
        timer->type = type;
        timer->actor = actor;
        timer->place = ROLLCALL__TIMER_IDLE;
        timer->next = actor->timers;
        actor->timers = timer;
    }
    const bool set = rollcall__timers_set(&actor->worker->timers, timer, at_ms);
    ROLLCALL_ASSERT(set);
}

void rollcall_timer_cancel(struct rollcall_context *cx, uint16_t type)
{
    struct rollcall__timer *timer = find_timer(cx->actor, type);
    if (timer != NULL) {
        rollcall__timers_cancel(&cx->actor->worker->timers, timer);
    }
}

int64_t rollcall_now_ms(const struct rollcall_context *cx)
{
    return cx->actor->worker->now_ms;
}

int64_t rollcall_wall_ms(const struct rollcall_context *cx)
{
    struct rollcall_runtime *rt = cx->actor->worker->rt;
    return rt->executor->wall_ms(rt);
}

uint64_t rollcall_random(struct rollcall_context *cx)
{
    return rollcall__random_next(&cx->actor->worker->random);
}

struct rollcall_ref rollcall_self(const struct rollcall_context *cx)
{
    return cx->actor->ref;
}

uint16_t rollcall_epoch(const struct rollcall_context *cx)
{
    return cx->actor->epoch;
}

void *rollcall_handover(struct rollcall_context *cx)
{
    return cx->actor->handover;
}

int rollcall_fail(struct rollcall_context *cx, enum rollcall_status status, const char *format, ...)
{
    struct rollcall_error error = {.status = status};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    if (cx->actor->reason != NULL) {
        rollcall_object_drop(&cx->actor->reason->object);
    }
    cx->actor->reason = rollcall_reason_create(&error); /* NULL: it fails without words */
    cx->actor->failure = status;
    return ROLLCALL_FAIL;
}

enum rollcall_status rollcall_spawn(struct rollcall_context *cx,
                                    const struct rollcall_spawn_options *options,
                                    struct rollcall_ref *ref)
{
    return rollcall__worker_spawn(cx->actor->worker, cx->actor, options, ref, NULL);
}

void rollcall_stop(struct rollcall_context *cx, struct rollcall_ref who)
{
    const struct rollcall__cell stop = {.to = who, .from = cx->actor->ref, .type = ROLLCALL_STOP};
    rollcall__worker_send_system(cx->actor->worker, &stop);
}

void rollcall_restart_child(struct rollcall_context *cx, struct rollcall_ref child)
{
    struct rollcall__worker *worker = cx->actor->worker;
    struct rollcall__actor *actor = rollcall__worker_find(worker, child);
    if (actor == NULL || actor->parent != cx->actor) {
        worker->stats.sent++; /* as a message would be */
        worker->stats.dead_letters++;
        return;
    }
    rollcall__actor_restart(actor);
}

void rollcall_monitor(struct rollcall_context *cx, struct rollcall_ref who)
{
    struct rollcall__worker *worker = cx->actor->worker;
    struct rollcall__actor *local = rollcall__worker_find(worker, who);
    if (local != NULL) {
        rollcall__actor_monitor(local, cx->actor->ref);
        return;
    }
    if (rollcall__ref_worker(who) != worker->index && !rollcall_ref_is_nobody(who)) {
        const struct rollcall__cell ask = {
            .to = who, .from = cx->actor->ref, .kind = ROLLCALL__CELL_MONITOR};
        rollcall__worker_send_system(worker, &ask);
        return;
    }
    const struct rollcall_down down = {.who = who, .reason = ROLLCALL_DOWN_ENDED};
    struct rollcall__cell signal = {
        .to = cx->actor->ref, .from = who, .type = ROLLCALL_DOWN, .size_bytes = sizeof down};
    memcpy(signal.payload, &down, sizeof down);
    rollcall__worker_send_system(worker, &signal);
}

void rollcall_log(struct rollcall_context *cx, enum rollcall_log_level level, const char *format,
                  ...)
{
    struct rollcall__log *log = &cx->actor->worker->rt->log;
    char name[64];
    va_list arguments;
    if (level > log->level) {
        return;
    }
    rollcall__actor_name(cx->actor, name, sizeof name);
    va_start(arguments, format);
    rollcall__log_writev(log, level, name, format, arguments);
    va_end(arguments);
}

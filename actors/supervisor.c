/*
 * supervisor - restarts failed children, with backoff, and fails itself when that does not help.
 *
 *    WATCHING --DOWN(failed)--> BACKING_OFF --RESTART, DOWN(ended), nobody is due--> WATCHING
 *    either --DOWN(failed), too often--> FAIL
 *
 * What counts against the intensity is a child's own failure.  A failure of class RETRY (etcd is
 * away) is the world's: it is retried for ever, at most every backoff_max_ms, and never escalates;
 * whether to give up is for the child, which knows what it is for.
 * Invariant: in BACKING_OFF, and only there, a RESTART timer is set, for the earliest child due.
 */
#include "actors/supervisor.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    INTENSITY = 5,
    INTENSITY_MAX = 64,
    PERIOD_MS = 30000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 1000,
    RESET_AFTER_MS = 10000,
    BACKOFF_DOUBLINGS_MAX = 20,
    FEW_CHILDREN = 8
};
enum state { WATCHING, BACKING_OFF, STATE_COUNT };

struct child {
    struct rollcall_ref ref;
    enum rollcall_restart restart;
    int64_t started_ms;
    int64_t due_ms;    /* of its restart; INT64_MAX: it runs */
    uint32_t failures; /* since it last ran for reset_after_ms */
};

struct supervisor {
    struct supervisor_options options; /* defaults filled in */
    struct child *children;            /* in the order they were adopted */
    size_t count, capacity;
    struct child few[FEW_CHILDREN]; /* where they are until there are more: these need no memory */
    int64_t failed_ms[INTENSITY_MAX]; /* a ring of the last `intensity` failures that counted */
    uint32_t failed_count;
};

static rollcall_handler_fn on_adopt, on_down, on_restart;

#define EITHER (ROLLCALL_TO(WATCHING) | ROLLCALL_TO(BACKING_OFF))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][SUPERVISOR_COUNT] = {
    [WATCHING]   [ROLLCALL_ADOPT]     = {on_adopt,   0},
    [WATCHING]   [ROLLCALL_DOWN]      = {on_down,    EITHER},

    [BACKING_OFF][ROLLCALL_ADOPT]     = {on_adopt,   0},
    [BACKING_OFF][ROLLCALL_DOWN]      = {on_down,    EITHER},
    [BACKING_OFF][SUPERVISOR_RESTART] = {on_restart, EITHER},
};
/* clang-format on */

static struct child *find(struct supervisor *su, struct rollcall_ref ref)
{
    for (size_t i = 0; i < su->count; i++) {
        if (rollcall_ref_equal(su->children[i].ref, ref)) {
            return &su->children[i];
        }
    }
    return NULL;
}

/* Sets the timer for the earliest restart; returns the state that follows. */
static int settle(struct rollcall_context *cx, const struct supervisor *su)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < su->count; i++) {
        due_ms = su->children[i].due_ms < due_ms ? su->children[i].due_ms : due_ms;
    }
    if (due_ms == INT64_MAX) {
        rollcall_timer_cancel(cx, SUPERVISOR_RESTART);
        return WATCHING;
    }
    rollcall_timer_set(cx, SUPERVISOR_RESTART, due_ms);
    return BACKING_OFF;
}

/* false: out of memory. */
static bool grow(struct supervisor *su)
{
    struct child *before = su->children == su->few ? NULL : su->children;
    struct child *children = rollcall__reallocate(before, 2 * su->capacity * sizeof *children);
    if (children == NULL) {
        return false;
    }
    if (before == NULL) {
        memcpy(children, su->few, sizeof su->few);
    }
    su->children = children;
    su->capacity *= 2;
    return true;
}

static int on_adopt(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct supervisor *su = self;
    const struct rollcall_adopt *adopt = message->payload;
    if (su->count == su->capacity && !grow(su)) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a child");
    }
    su->children[su->count++] = (struct child){.ref = adopt->child,
                                               .restart = adopt->restart,
                                               .started_ms = rollcall_now_ms(cx),
                                               .due_ms = INT64_MAX};
    return ROLLCALL_STAY;
}

static void forget(struct supervisor *su, struct child *child)
{
    const size_t index = (size_t)(child - su->children);
    memmove(child, child + 1, (su->count - index - 1) * sizeof *child);
    su->count--;
}

/* Notes one failure that counts; false when there have been too many within the period. */
static bool within_intensity(struct supervisor *su, int64_t now_ms)
{
    int64_t *oldest_ms = &su->failed_ms[su->failed_count % su->options.intensity];
    const bool full = su->failed_count >= su->options.intensity;
    const bool within = !full || now_ms - *oldest_ms > su->options.period_ms;
    *oldest_ms = now_ms;
    su->failed_count++;
    return within;
}

/* min * 2^failures, at most max, times 0.5 .. 1.0, so that what failed together does not return
 * together. */
static int64_t backoff_ms(struct rollcall_context *cx, const struct supervisor *su,
                          uint32_t failures)
{
    const uint32_t doublings = failures < BACKOFF_DOUBLINGS_MAX ? failures : BACKOFF_DOUBLINGS_MAX;
    int64_t delay_ms = su->options.backoff_min_ms << doublings;
    if (delay_ms > su->options.backoff_max_ms) {
        delay_ms = su->options.backoff_max_ms;
    }
    return delay_ms / 2 + (int64_t)(rollcall_random(cx) % (uint64_t)(delay_ms / 2 + 1));
}

static const char *words(const struct rollcall_message *message)
{
    const struct rollcall_down *down = message->payload;
    const struct rollcall_reason *reason = (const struct rollcall_reason *)message->object;
    return reason == NULL ? rollcall_status_text(down->status) : reason->error.text;
}

static void plan_restart(struct rollcall_context *cx, struct supervisor *su, struct child *child)
{
    const int64_t now_ms = rollcall_now_ms(cx);
    if (now_ms - child->started_ms >= su->options.reset_after_ms) {
        child->failures = 0;
    }
    child->due_ms = now_ms + backoff_ms(cx, su, child->failures);
    child->failures++;
}

static int on_down(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct supervisor *su = self;
    const struct rollcall_down *down = message->payload;
    struct child *child = find(su, down->who);
    if (child == NULL) {
        return ROLLCALL_STAY;
    }
    if (down->reason == ROLLCALL_DOWN_ENDED) {
        forget(su, child);
        return settle(cx, su);
    }
    if (child->restart == ROLLCALL_TEMPORARY) {
        rollcall_stop(cx, child->ref); /* its end is told as ENDED */
        return ROLLCALL_STAY;
    }
    if (rollcall_status_class(down->status) != ROLLCALL_RETRY &&
        !within_intensity(su, rollcall_now_ms(cx))) {
        return rollcall_fail(cx, down->status, "%s (%u failures within %lld ms)", words(message),
                             su->options.intensity + 1, (long long)su->options.period_ms);
    }
    plan_restart(cx, su, child);
    rollcall_log(cx, child->failures == 1 ? ROLLCALL_WARN : ROLLCALL_DEBUG,
                 "a child failed (%s); restart %u in %lld ms", words(message), child->failures,
                 (long long)(child->due_ms - rollcall_now_ms(cx)));
    return settle(cx, su);
}

static void restart(struct rollcall_context *cx, struct child *child, int64_t now_ms)
{
    child->due_ms = INT64_MAX;
    child->started_ms = now_ms;
    rollcall_restart_child(cx, child->ref);
}

static int on_restart(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    struct supervisor *su = self;
    const int64_t now_ms = rollcall_now_ms(cx);
    bool rest = false; /* an earlier one is being restarted, and this one builds on it */
    (void)message;
    for (size_t i = 0; i < su->count; i++) {
        struct child *child = &su->children[i];
        if (rest || child->due_ms <= now_ms) {
            restart(cx, child, now_ms);
            rest = su->options.strategy == SUPERVISOR_REST_FOR_ONE;
        }
    }
    return settle(cx, su);
}

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct supervisor *su = self;
    struct supervisor_options *o = &su->options;
    (void)cx;
    su->children = su->few;
    su->capacity = FEW_CHILDREN;
    *o = *(const struct supervisor_options *)options;
    o->intensity = o->intensity == 0 ? INTENSITY : o->intensity;
    o->intensity = o->intensity > INTENSITY_MAX ? INTENSITY_MAX : o->intensity;
    o->period_ms = o->period_ms == 0 ? PERIOD_MS : o->period_ms;
    o->backoff_min_ms = o->backoff_min_ms == 0 ? BACKOFF_MIN_MS : o->backoff_min_ms;
    o->backoff_max_ms = o->backoff_max_ms == 0 ? BACKOFF_MAX_MS : o->backoff_max_ms;
    o->reset_after_ms = o->reset_after_ms == 0 ? RESET_AFTER_MS : o->reset_after_ms;
    return WATCHING;
}

static void fini(void *self)
{
    struct supervisor *su = self;
    if (su->children != su->few) {
        free(su->children);
    }
}

static const char *const STATE_NAMES[STATE_COUNT] = {"WATCHING", "BACKING_OFF"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(SUPERVISOR_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(SUPERVISOR_LIST);

const struct rollcall_actor_type supervisor_type = {
    .name = "supervisor",
    .self_size_bytes = sizeof(struct supervisor),
    .options_size_bytes = sizeof(struct supervisor_options),
    .init = init,
    .fini = fini,
    .state_count = STATE_COUNT,
    .message_count = SUPERVISOR_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

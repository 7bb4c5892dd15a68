/* Fail points: which fire, what happens then, and the public calls that arm them. */
#include "runtime/failpoint.h"

#include "runtime/hold.h"
#include "runtime/port.h"
#include "runtime/runtime_internal.h"

#include <rollcall/testing.h>

#include <stdlib.h>
#include <string.h>

/* ---- which fire ---- */

static bool matches(const char *pattern, const char *name)
{
    return strcmp(pattern, "*") == 0 || strcmp(pattern, name) == 0;
}

/* Counts a hit; true when the point fires. */
static bool hit(struct rollcall__worker *worker, struct rollcall__failpoint *point)
{
    point->hits++;
    if ((point->nth != 0 &&
         (point->onwards ? point->hits < point->nth : point->hits != point->nth)) ||
        (point->times_max != 0 && point->fired >= point->times_max) ||
        (point->chance < ROLLCALL__CHANCE_ONE &&
         rollcall__random_below(&worker->random, ROLLCALL__CHANCE_ONE) >= point->chance)) {
        return false;
    }
    point->fired++;
    return true;
}

/* The first that fires, in the order they were armed; NULL: none.  sending: those that refuse a
 * message are hit when it is sent, all others when it is delivered. */
static const struct rollcall__failpoint *fire(struct rollcall__actor *actor,
                                              const struct rollcall__cell *cell, bool sending)
{
    struct rollcall__worker *worker = actor->worker;
    const struct rollcall_actor_type *type = actor->type;
    if (worker->failpoints == NULL || actor->exempt || cell->type >= type->message_count) {
        return NULL;
    }
    for (uint32_t i = 0; i < worker->failpoints->count; i++) {
        struct rollcall__failpoint *point = &worker->failpoints->points[i];
        const bool any_signal =
            cell->type < ROLLCALL_SIGNAL_COUNT && strcmp(point->message, "*") == 0;
        if ((point->action == ROLLCALL__FAIL_ERROR) == sending && !any_signal &&
            matches(point->actor, type->name) &&
            matches(point->message, type->message_names[cell->type]) && hit(worker, point)) {
            return point;
        }
    }
    return NULL;
}

/* ---- at delivery and at send ---- */

/* Whether the message is to be delivered now; if not, it has been taken care of. */
static bool passes(struct rollcall__actor *actor, enum rollcall__lane_kind kind,
                   const struct rollcall__cell *cell)
{
    if (rollcall__actor_is_stale(actor, cell)) {
        return true; /* where it is counted as such */
    }
    const struct rollcall__failpoint *point = fire(actor, cell, false);
    if (point == NULL) {
        return true;
    }
    switch (point->action) {
    case ROLLCALL__FAIL_CRASH:
        actor->crash = point->status;
        return true;
    case ROLLCALL__FAIL_DELAY:
        return !rollcall__hold_begin(actor, kind, cell, point->delay_ms);
    case ROLLCALL__FAIL_DROP:
        actor->worker->stats.dropped++;
        rollcall_object_drop(cell->object);
        return false;
    case ROLLCALL__FAIL_ERROR:
    case ROLLCALL__FAIL_NOT:
        break;
    }
    return true;
}

static bool next_of(struct rollcall__actor *actor, enum rollcall__lane_kind kind,
                    struct rollcall__cell *copy)
{
    struct rollcall__cell *cell;
    bool held;
    while ((cell = rollcall__hold_pop(actor, kind, &held)) != NULL) {
        *copy = *cell;
        rollcall__cell_give(actor->worker, cell);
        if (held || passes(actor, kind, copy)) {
            return true;
        }
    }
    return false;
}

bool rollcall__failpoints_next(struct rollcall__actor *actor, bool system_only,
                               struct rollcall__cell *cell)
{
    return next_of(actor, ROLLCALL__SYSTEM, cell) ||
           (!system_only && next_of(actor, ROLLCALL__USER, cell));
}

bool rollcall__failpoints_refuse(struct rollcall__actor *actor, const struct rollcall__cell *cell)
{
    return !rollcall_ref_is_nobody(cell->from) && fire(actor, cell, true) != NULL;
}

/* ---- in an adapter ---- */

struct rollcall__failure rollcall__failpoint_at(struct rollcall_context *cx, const char *name)
{
    struct rollcall__worker *worker = cx->actor->worker;
    const struct rollcall__failure none = {.action = ROLLCALL__FAIL_NOT};
    if (worker->failpoints == NULL) {
        return none;
    }
    for (uint32_t i = 0; i < worker->failpoints->count; i++) {
        struct rollcall__failpoint *point = &worker->failpoints->points[i];
        if (strcmp(point->actor, "etcd") == 0 && matches(point->message, name) &&
            hit(worker, point)) {
            return (struct rollcall__failure){
                .action = point->action, .status = point->status, .delay_ms = point->delay_ms};
        }
    }
    return none;
}

void rollcall__failpoint_exempt(struct rollcall_context *cx)
{
    cx->actor->exempt = true;
}

/* ---- arming, on the worker ---- */

/* An arming on its way: the table is for a worker that has none. */
struct arming {
    struct rollcall__control control;
    struct rollcall__failpoints *table;
    const struct rollcall__failpoint *points; /* at the caller's, who waits */
    uint32_t count;
};

static void add(struct rollcall__worker *worker, struct arming *arming)
{
    if (worker->failpoints == NULL) {
        worker->failpoints = arming->table;
        arming->table = NULL;
    }
    struct rollcall__failpoints *table = worker->failpoints;
    for (uint32_t i = 0; i < arming->count && table->count < ROLLCALL__FAILPOINTS_MAX; i++) {
        table->points[table->count++] = arming->points[i];
    }
}

void rollcall__failpoints_settle(struct rollcall__worker *worker)
{
    if (worker->failpoints->count == 0 && worker->failpoints->holds == 0) {
        free(worker->failpoints);
        worker->failpoints = NULL;
    }
}

static void run_arm(struct rollcall__worker *worker, struct rollcall__control *control)
{
    add(worker, (struct arming *)control);
}

static void run_clear(struct rollcall__worker *worker, struct rollcall__control *control)
{
    (void)control;
    if (worker->failpoints == NULL) {
        return;
    }
    worker->failpoints->count = 0;
    rollcall__failpoints_settle(worker);
}

/* ---- arming, from outside ---- */

/* Parses, and numbers the points; the caller holds `arming`. */
static enum rollcall_status prepare(struct rollcall_runtime *rt, const char *text,
                                    struct rollcall__failpoint *points, uint32_t *count,
                                    struct rollcall_error *error)
{
    const enum rollcall_status status = rollcall__failpoints_parse(text, points, count, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (rt->failpoint_count + *count > ROLLCALL__FAILPOINTS_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "fail points: %u are armed and at most %d can be: clear them "
                                  "first, or give fewer",
                                  rt->failpoint_count, ROLLCALL__FAILPOINTS_MAX);
    }
    for (uint32_t i = 0; i < *count; i++) {
        points[i].id = ++rt->failpoint_id;
    }
    rt->failpoint_count += *count;
    if (*count != 0) {
        rollcall__log_write(&rt->log, ROLLCALL_WARN, "runtime",
                            "fail points are armed, what they name fails on purpose: %s", text);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status arm_worker(struct rollcall_runtime *rt, uint32_t worker,
                                       const struct rollcall__failpoint *points, uint32_t count)
{
    struct arming *arming = rollcall__control_create(sizeof *arming, run_arm);
    enum rollcall_status status = ROLLCALL_E_NO_MEMORY;
    if (arming == NULL) {
        return status;
    }
    arming->points = points;
    arming->count = count;
    arming->table = calloc(1, sizeof *arming->table);
    if (arming->table != NULL) {
        status = rt->executor->call(rt, worker, &arming->control);
    }
    free(arming->table);
    rollcall_object_drop(&arming->control.object);
    return status;
}

static enum rollcall_status clear_all(struct rollcall_runtime *rt)
{
    enum rollcall_status result = ROLLCALL_OK;
    for (uint32_t i = 0; i < rt->worker_count; i++) {
        struct rollcall__control *control = rollcall__control_create(sizeof *control, run_clear);
        enum rollcall_status status = ROLLCALL_E_NO_MEMORY;
        if (control != NULL) {
            status = rt->executor->call(rt, i, control);
            rollcall_object_drop(&control->object);
        }
        result = status != ROLLCALL_OK ? status : result;
    }
    rt->failpoint_count = result == ROLLCALL_OK ? 0 : rt->failpoint_count;
    return result;
}

enum rollcall_status rollcall__failpoints_init(struct rollcall_runtime *rt, const char *text,
                                               struct rollcall_error *error)
{
    struct rollcall__failpoint points[ROLLCALL__FAILPOINTS_MAX];
    struct arming arming = {.points = points};
    enum rollcall_status status =
        text == NULL ? ROLLCALL_OK : prepare(rt, text, points, &arming.count, error);
    for (uint32_t i = 0; status == ROLLCALL_OK && arming.count != 0 && i < rt->worker_count; i++) {
        arming.table = calloc(1, sizeof *arming.table);
        if (arming.table == NULL) {
            return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "fail points: out of memory");
        }
        add(&rt->workers[i], &arming);
    }
    return status;
}

enum rollcall_status rollcall_failpoints_arm(struct rollcall_runtime *rt, const char *text,
                                             struct rollcall_error *error)
{
    struct rollcall__failpoint points[ROLLCALL__FAILPOINTS_MAX];
    uint32_t count = 0;
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    if (status != ROLLCALL_OK) {
        return rollcall_error_set(error, status, "fail points: %s", rollcall_status_text(status));
    }
    rollcall__monitor_lock(&rt->arming);
    status = prepare(rt, text, points, &count, error);
    const bool prepared = status == ROLLCALL_OK;
    for (uint32_t i = 0; status == ROLLCALL_OK && count != 0 && i < rt->worker_count; i++) {
        status = arm_worker(rt, i, points, count);
    }
    rollcall__monitor_unlock(&rt->arming);
    if (prepared && status != ROLLCALL_OK) {
        rollcall_error_set(error, status, "fail points: not armed on every worker (%s): clear them",
                           rollcall_status_text(status));
    }
    return status;
}

enum rollcall_status rollcall_failpoints_clear(struct rollcall_runtime *rt)
{
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    if (status == ROLLCALL_OK) {
        rollcall__monitor_lock(&rt->arming);
        status = clear_all(rt);
        rollcall__monitor_unlock(&rt->arming);
    }
    return status;
}

/* ---- looking ---- */

struct listing {
    struct rollcall__control control;
    struct rollcall__failpoints table; /* a copy */
};

static void run_list(struct rollcall__worker *worker, struct rollcall__control *control)
{
    if (worker->failpoints != NULL) {
        ((struct listing *)control)->table = *worker->failpoints;
    }
}

static void sum(struct rollcall__failpoints *total, const struct rollcall__failpoints *one)
{
    for (uint32_t i = 0; i < one->count; i++) {
        uint32_t at = 0;
        while (at < total->count && total->points[at].id != one->points[i].id) {
            at++;
        }
        if (at < total->count) {
            total->points[at].hits += one->points[i].hits;
            total->points[at].fired += one->points[i].fired;
        } else if (at < ROLLCALL__FAILPOINTS_MAX) {
            total->points[total->count++] = one->points[i];
        }
    }
}

static enum rollcall_status add_worker(struct rollcall_runtime *rt, uint32_t worker,
                                       struct rollcall__failpoints *total)
{
    struct listing *one = rollcall__control_create(sizeof *one, run_list);
    if (one == NULL) {
        return ROLLCALL_E_NO_MEMORY;
    }
    const enum rollcall_status status = rt->executor->call(rt, worker, &one->control);
    if (status == ROLLCALL_OK) {
        sum(total, &one->table);
    }
    rollcall_object_drop(&one->control.object);
    return status;
}

enum rollcall_status rollcall_failpoints_list(struct rollcall_runtime *rt,
                                              void (*print)(void *user,
                                                            const struct rollcall_failpoint *point),
                                              void *user)
{
    struct rollcall__failpoints total = {.count = 0};
    enum rollcall_status status = rollcall__runtime_may_wait(rt);
    for (uint32_t i = 0; status == ROLLCALL_OK && i < rt->worker_count; i++) {
        status = add_worker(rt, i, &total);
    }
    for (uint32_t i = 0; status == ROLLCALL_OK && i < total.count; i++) {
        const struct rollcall__failpoint *point = &total.points[i];
        print(user, &(const struct rollcall_failpoint){
                        .text = point->text, .hits = point->hits, .fired = point->fired});
    }
    return status;
}

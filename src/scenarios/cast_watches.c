/* The cast's watches: told by callback, every other one of these all there is after a gap, or by a
 * queue that is read now and then. */
#include "scenarios/cast_internal.h"

#include "sim/sim.h"

enum { PAUSES_MAX_S = 60, READ_MS = 400 };
/* Of ten minutes: none in a run, but the auditor is there. */
enum { AUDIT_MS = 2500, AUDIT_OFF_MS = 600000 };

static void on_watch(void *user, const struct rollcall_watch_event *event)
{
    rollcall__check_watch_event(user, event);
}

/* Every other time it cannot take it in now. */
static enum rollcall_status on_rewatch(void *user, const struct rollcall_watch_event *why,
                                       const struct rollcall_view *view,
                                       struct rollcall_error *error)
{
    struct rollcall__watch_check *check = user;
    (void)why;
    if (check->given++ % 2 == 0) {
        return rollcall_error_set(error, ROLLCALL_E_TIMEOUT, "not now");
    }
    rollcall__check_watch_all(check, view);
    return ROLLCALL_OK;
}

/* Takes what there is, so many slices at most. */
static void read_watch(const struct cast_watch *watch, size_t max)
{
    struct rollcall_queue_slice slice;
    while (max-- > 0 && rollcall_queue_next(watch->queue, &slice, 1) == 1) {
        for (size_t i = 0; i < slice.count; i++) {
            rollcall__check_watch_event(slice.user, &slice.events[i]);
        }
    }
}

void cast_open_watch(struct cast *cast, struct cast_watch *watch)
{
    const uint32_t process = (uint32_t)(watch - cast->watches + 1) %
                             cast->play.processes; /* not the first one's alone */
    struct rollcall_watch_options options = {.size_bytes = sizeof options,
                                             .root = CAST_ROOT,
                                             .role = CAST_ROLE,
                                             .connect_timeout_ms = 20000,
                                             .audit_ms = cast->play.audit ? AUDIT_MS : AUDIT_OFF_MS,
                                             .user = &watch->check};
    watch->check = (struct rollcall__watch_check){
        .world = cast->world, .root = CAST_ROOT, .role = CAST_ROLE, .audited = cast->play.audit};
    watch->queue = NULL;
    if (cast->play.slow && cast_draw(cast, 4) != 0) {
        const enum rollcall_status made =
            rollcall_queue_create(rollcall_sim_runtime(rollcall_world_sim(cast->world)),
                                  1 + (uint32_t)cast_draw(cast, 2), &watch->queue, NULL);
        if (!cast_allowed(cast, made, "rollcall_queue_create")) {
            return;
        }
    }
    options.queue = watch->queue;
    options.on_event = watch->queue == NULL ? on_watch : NULL;
    options.on_rewatch =
        watch->queue == NULL && (watch - cast->watches) % 2 != 0 ? on_rewatch : NULL;
    const enum rollcall_status status =
        rollcall_watch_open(cast->etcds[process], &options, &watch->watch, NULL);
    if (!cast_allowed(cast, status, "rollcall_watch_open")) {
        watch->watch = NULL;
        ROLLCALL_DROP(rollcall_queue_destroy(watch->queue), "no watch has it");
    }
}

/* Of a process that is paused the watch is closed, and its actor ends later. */
static void destroy_queue(struct cast *cast, struct rollcall_queue *queue)
{
    struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    for (int i = 0; rollcall_queue_destroy(queue) != ROLLCALL_OK; i++) {
        if (i == PAUSES_MAX_S) {
            rollcall_world_violate(cast->world, "calls-are-answered",
                                   "a queue could not be destroyed after its last watch");
            return;
        }
        rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + 1000);
    }
}

void cast_close_watch(struct cast *cast, struct cast_watch *watch)
{
    const enum rollcall_status status = rollcall_watch_close(watch->watch);
    if (status != ROLLCALL_E_TIMEOUT) { /* a process that is paused for 10 s takes longer */
        (void)cast_allowed(cast, status, "rollcall_watch_close");
    }
    watch->watch = NULL;
    watch->check.closed = true;
    if (watch->queue != NULL) {
        read_watch(watch, SIZE_MAX); /* nothing is told any more */
        destroy_queue(cast, watch->queue);
    }
}

/* One that is open reads, or looks. */
void cast_use_watch(struct cast *cast, struct cast_watch *watch)
{
    struct rollcall_view *view;
    if (watch->queue != NULL) {
        read_watch(watch, 1 + cast_draw(cast, 3));
    }
    if (cast_draw(cast, 8) == 0 &&
        rollcall_watch_view(watch->watch, CAST_CALL_MS, &view, NULL) == ROLLCALL_OK) {
        rollcall__check_watch_view(&watch->check, view);
        rollcall_view_free(view);
    }
}

/* All that is still to come is read as it comes, until a moment passes without. */
void cast_read_all(struct cast *cast, const struct cast_watch *watch)
{
    struct rollcall_sim *sim = rollcall_world_sim(cast->world);
    const uint64_t *events = &watch->check.events;
    uint64_t before = *events + 1;
    while (*events != before) {
        before = *events;
        read_watch(watch, SIZE_MAX);
        rollcall_sim_run_until(sim, rollcall_sim_now_ms(sim) + READ_MS);
        read_watch(watch, SIZE_MAX);
    }
}

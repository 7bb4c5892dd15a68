#include "sim/check.h"

#include "base/memory.h"
#include "session/keys.h"
#include "session/record.h"
#include "sim/sim.h"

#include <inttypes.h>
#include <string.h>

static struct rollcall__model *model_of(const struct rollcall__watch_check *check)
{
    return rollcall__net_model(rollcall_world_sim(check->world)->net);
}

/* ---- what counts ---- */

static bool is_record(struct rollcall_bytes value)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    const bool good = rollcall__record_decode(value, &arena, &record, NULL) == ROLLCALL_OK;
    rollcall__arena_free(&arena);
    return good;
}

static bool is_ours(const struct rollcall__watch_check *check, struct rollcall_bytes key)
{
    struct rollcall__buffer prefix = {0};
    rollcall__key_prefix(&prefix, check->root, NULL);
    const bool ours = rollcall__key_is_of_role(key, rollcall__buffer_bytes(&prefix),
                                               rollcall__bytes(check->role));
    rollcall__buffer_free(&prefix);
    return ours;
}

static size_t find(const struct rollcall__watch_check *check, struct rollcall_bytes key)
{
    size_t i = 0;
    while (i < check->count && !rollcall__bytes_equal(check->view[i].key, key)) {
        i++;
    }
    return i;
}

/* ---- changing the view ---- */

static void remove_at(struct rollcall__watch_check *check, size_t at)
{
    check->view[at] = check->view[--check->count];
}

static void put(struct rollcall__watch_check *check, size_t at, struct rollcall_bytes key,
                int64_t mod_revision)
{
    if (at == ROLLCALL__VIEW_MAX) {
        rollcall_world_violate(check->world, "bounded-scenario", "more than %d sessions",
                               ROLLCALL__VIEW_MAX);
        return;
    }
    check->view[at].key = key;
    check->view[at].mod_revision = mod_revision;
    check->count += at == check->count;
}

/* The change as the event tells it; the key: the model's own copy of it. */
static void apply(struct rollcall__watch_check *check, const struct rollcall_watch_event *event,
                  struct rollcall_bytes key)
{
    const size_t at = find(check, key);
    const bool there = at < check->count;
    const bool adds = event->type == ROLLCALL_WATCH_ADD || event->type == ROLLCALL_WATCH_SESSION;
    if (there == adds) {
        rollcall_world_violate(check->world, "kinds-agree", "%.*s: told as %s", (int)key.size_bytes,
                               key.data,
                               adds ? "new, and was there" : "changed or gone, and was not there");
        return;
    }
    if (event->type == ROLLCALL_WATCH_DELETE) {
        remove_at(check, at);
    } else {
        put(check, at, key, event->mod_revision);
    }
}

/* ---- one change at a time ---- */

/* What an observer is to be told of this change, if anything. */
static bool is_to_be_told(const struct rollcall__watch_check *check,
                          const struct transport_event *change, bool *gone)
{
    const bool there = find(check, change->kv.key) < check->count;
    *gone = change->kind == TRANSPORT_DELETE || !is_record(change->kv.value);
    return is_ours(check, change->kv.key) && (there || !*gone);
}

/* The next change of the history that is to be told; NULL: none is left. */
static const struct transport_event *next_change(struct rollcall__watch_check *check, bool *gone)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(check), &count);
    while (check->cursor < count) {
        const struct transport_event *change = &history[check->cursor++];
        if (is_to_be_told(check, change, gone)) {
            return change;
        }
    }
    return NULL;
}

/* Changes may be missing until an audit: etcd has lost some, or, of old, a DELETE that was
 * compacted while a watch had not been told it yet. */
static bool is_lossy(const struct rollcall__watch_check *check)
{
    const struct rollcall_sim *sim = rollcall_world_sim(check->world);
    const uint64_t *taken = sim->faults.taken;
    const bool drops = (sim->quirks & ROLLCALL__QUIRK_DROPS_TOMBSTONE) != 0;
    return taken[ROLLCALL_FAULT_LOSE_EVENT] != 0 ||
           (check->audited && drops && taken[ROLLCALL_FAULT_COMPACT] != 0);
}

static bool is_told_by(const struct transport_event *change, bool gone,
                       const struct rollcall_watch_event *event)
{
    return rollcall__bytes_equal(change->kv.key, event->key) &&
           change->kv.mod_revision == event->mod_revision &&
           gone == (event->type == ROLLCALL_WATCH_DELETE);
}

/* What etcd has lost is left out, until an audit finds it: the next that is told. */
static const struct transport_event *next_told(struct rollcall__watch_check *check, bool *gone,
                                               const struct rollcall_watch_event *event)
{
    const struct transport_event *change = next_change(check, gone);
    while (is_lossy(check) && change != NULL && !is_told_by(change, *gone, event)) {
        change = next_change(check, gone);
    }
    return change;
}

static void check_live(struct rollcall__watch_check *check,
                       const struct rollcall_watch_event *event)
{
    bool gone = false;
    const struct transport_event *change = next_told(check, &gone, event);
    if (change == NULL) {
        rollcall_world_violate(check->world, "every-change-once",
                               "%.*s at revision %" PRId64 " was told, and there is no such change",
                               (int)event->key.size_bytes, event->key.data, event->mod_revision);
        return;
    }
    if (!is_told_by(change, gone, event)) {
        rollcall_world_violate(
            check->world, "every-change-once",
            "%.*s at revision %" PRId64 " was told, and the next change is %.*s at "
            "%" PRId64,
            (int)event->key.size_bytes, event->key.data, event->mod_revision,
            (int)change->kv.key.size_bytes, change->kv.key.data, change->kv.mod_revision);
        return;
    }
    apply(check, event, change->kv.key);
}

/* ---- all at once ---- */

/* The model's own copy of a key, which it has had if it was ever told. */
static struct rollcall_bytes own_key(const struct rollcall__watch_check *check,
                                     struct rollcall_bytes key)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(check), &count);
    for (size_t i = count; i-- > 0;) {
        if (rollcall__bytes_equal(history[i].kv.key, key)) {
            return history[i].kv.key;
        }
    }
    return (struct rollcall_bytes){NULL, 0};
}

static void check_told(struct rollcall__watch_check *check,
                       const struct rollcall_watch_event *event)
{
    const struct rollcall_bytes key = own_key(check, event->key);
    if (key.data == NULL) {
        rollcall_world_violate(check->world, "view-is-history", "%.*s was told, and never was",
                               (int)event->key.size_bytes, event->key.data);
        return;
    }
    apply(check, event, key);
}

/* Exactly what the store held at that revision is in the view. */
static void compare(struct rollcall__watch_check *check, int64_t revision, const char *invariant)
{
    size_t count, there = 0;
    const struct transport_event *history = rollcall__model_history(model_of(check), &count);
    for (size_t i = 0; i < count && history[i].kv.mod_revision <= revision; i++) {
        const struct transport_kv *kv =
            rollcall__model_find(model_of(check), history[i].kv.key, revision);
        if (kv == NULL || kv->mod_revision != history[i].kv.mod_revision ||
            !is_ours(check, kv->key) || !is_record(kv->value)) {
            continue; /* not the last change of its key, or none that counts */
        }
        there++;
        const size_t at = find(check, kv->key);
        if (at == check->count || check->view[at].mod_revision != kv->mod_revision) {
            rollcall_world_violate(check->world, invariant,
                                   "%.*s is of %" PRId64 " at revision %" PRId64
                                   ", and was told as of %" PRId64,
                                   (int)kv->key.size_bytes, kv->key.data, kv->mod_revision,
                                   revision, at == check->count ? 0 : check->view[at].mod_revision);
        }
    }
    if (there != check->count) {
        rollcall_world_violate(check->world, invariant,
                               "%zu sessions were there at revision %" PRId64 ", and %zu were told",
                               there, revision, check->count);
    }
}

static void move_cursor(struct rollcall__watch_check *check, int64_t revision)
{
    size_t count;
    const struct transport_event *history = rollcall__model_history(model_of(check), &count);
    check->cursor = 0;
    while (check->cursor < count && history[check->cursor].kv.mod_revision <= revision) {
        check->cursor++;
    }
}

/* ---- events ---- */

/* A difference has a cause: the model's revision never goes back, so nothing was restored, and what
 * the audit finds was lost. */
static void check_cause(struct rollcall__watch_check *check,
                        const struct rollcall_watch_event *event)
{
    if (event->type == ROLLCALL_WATCH_RESYNC_BEGIN &&
        (strstr(event->reason, "restored") != NULL ||
         (event->status == ROLLCALL_E_CORRUPT && !is_lossy(check)))) {
        rollcall_world_violate(check->world, "no-false-alarm", "a resync was told: %s",
                               event->reason);
    }
}

static void begin_telling(struct rollcall__watch_check *check,
                          const struct rollcall_watch_event *event)
{
    check_cause(check, event);
    const bool snapshot = event->type == ROLLCALL_WATCH_SNAPSHOT_BEGIN;
    if (check->phase != (snapshot ? ROLLCALL__VIEW_NONE : ROLLCALL__VIEW_LIVE)) {
        rollcall_world_violate(check->world, "view-is-history", "a %s begins out of turn",
                               snapshot ? "snapshot" : "resync");
    }
    check->phase = ROLLCALL__VIEW_TELLING;
}

static void end_telling(struct rollcall__watch_check *check,
                        const struct rollcall_watch_event *event)
{
    if (check->phase != ROLLCALL__VIEW_TELLING) {
        rollcall_world_violate(check->world, "view-is-history", "an end that had no beginning");
    }
    if (!is_lossy(check)) { /* else it may be what the hub knows, who was not told all either */
        compare(check, event->revision, "view-is-history");
    }
    move_cursor(check, event->revision);
    check->phase = ROLLCALL__VIEW_LIVE;
}

static void note_failure(struct rollcall__watch_check *check,
                         const struct rollcall_watch_event *event)
{
    check->failed = true;
    if (check->events > 0 && rollcall_status_class(event->status) == ROLLCALL_RETRY) {
        rollcall_world_violate(check->world, "watch-goes-on", "it failed with %s: %s",
                               rollcall_status_name(event->status), event->reason);
    }
}

static void check_event(struct rollcall__watch_check *check,
                        const struct rollcall_watch_event *event)
{
    if (check->closed || check->failed) {
        rollcall_world_violate(check->world, "nothing-after-close",
                               "an event of type %d came after the last", (int)event->type);
        return;
    }
    switch (event->type) {
    case ROLLCALL_WATCH_SNAPSHOT_BEGIN:
    case ROLLCALL_WATCH_RESYNC_BEGIN:
        begin_telling(check, event);
        break;
    case ROLLCALL_WATCH_SESSION:
        check_told(check, event);
        break;
    case ROLLCALL_WATCH_SNAPSHOT_END:
    case ROLLCALL_WATCH_RESYNC_END:
        end_telling(check, event);
        break;
    case ROLLCALL_WATCH_ADD:
    case ROLLCALL_WATCH_UPDATE:
    case ROLLCALL_WATCH_DELETE:
        if (check->phase == ROLLCALL__VIEW_LIVE) {
            check_live(check, event);
        } else {
            check_told(check, event);
        }
        break;
    case ROLLCALL_WATCH_FAILED:
        note_failure(check, event);
        return;
    }
    check->events++;
}

/* It is told in a handler, whose memory fails on purpose, and the check's own must not. */
void rollcall__check_watch_event(struct rollcall__watch_check *check,
                                 const struct rollcall_watch_event *event)
{
    const struct rollcall__memory_hook hook =
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    check_event(check, event);
    rollcall__memory_hook(hook);
}

static void check_all(struct rollcall__watch_check *check, const struct rollcall_view *view)
{
    size_t count;
    const struct rollcall_watch_event *sessions = rollcall_view_sessions(view, &count);
    if (check->closed || check->failed || check->phase != ROLLCALL__VIEW_LIVE) {
        rollcall_world_violate(check->world, "view-is-history",
                               "all there is is given out of turn");
        return;
    }
    check->count = 0;
    for (size_t i = 0; i < count; i++) {
        check_told(check, &sessions[i]);
    }
    compare(check, rollcall_view_revision(view), "view-is-history");
    move_cursor(check, rollcall_view_revision(view));
    check->events++;
}

void rollcall__check_watch_all(struct rollcall__watch_check *check,
                               const struct rollcall_view *view)
{
    const struct rollcall__memory_hook hook =
        rollcall__memory_hook((struct rollcall__memory_hook){.fails = NULL});
    check_all(check, view);
    rollcall__memory_hook(hook);
}

void rollcall__check_watch_view(const struct rollcall__watch_check *check,
                                const struct rollcall_view *view)
{
    size_t count;
    const struct rollcall_watch_event *sessions = rollcall_view_sessions(view, &count);
    struct rollcall__watch_check seen = {
        .world = check->world, .root = check->root, .role = check->role};
    for (size_t i = 0; i < count; i++) {
        put(&seen, i, sessions[i].key, sessions[i].mod_revision);
    }
    if (!is_lossy(check)) {
        compare(&seen, rollcall_view_revision(view), "view-is-history");
    }
}

void rollcall__check_watch_converged(struct rollcall__watch_check *check)
{
    bool gone;
    if (check->failed || check->closed) {
        return;
    }
    if (check->phase != ROLLCALL__VIEW_LIVE) {
        rollcall_world_violate(check->world, "view-converges", "it has told no whole view");
        return;
    }
    const struct transport_event *change = next_change(check, &gone);
    if (change != NULL && !is_lossy(check)) {
        rollcall_world_violate(
            check->world, "view-converges", "%.*s at revision %" PRId64 " has not been told",
            (int)change->kv.key.size_bytes, change->kv.key.data, change->kv.mod_revision);
        return;
    }
    compare(check, rollcall__model_revision(model_of(check)), "view-converges");
}

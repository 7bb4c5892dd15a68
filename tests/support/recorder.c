/* tests/support/recorder.c - see recorder.h. */
#include "support/recorder.h"

#include "support/gateway.h"
#include "support/numbered.h"
#include "support/test.h"

#include <stdlib.h>

static void append(struct recorder_changes *changes, const struct recorder_change *change)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity == 0 ? 1024 : 2 * changes->capacity;
        changes->list = realloc(changes->list, changes->capacity * sizeof *changes->list);
        if (changes->list == NULL) {
            abort(); /* on a thread where no test can be failed */
        }
    }
    changes->list[changes->count++] = *change;
}

static int index_of(const struct recorder *recorder, const char *key)
{
    const char *dash = strrchr(key, '-');
    const int number = dash == NULL ? 0 : (int)strtol(dash + 1, NULL, 10);
    const int index = strstr(key, "/datanode-") != NULL ? recorder->offset + number : number;
    if (index <= 0 || index >= recorder->keys) {
        fprintf(stderr, "recorder: %s has no place among %d\n", key, recorder->keys);
        abort(); /* likewise */
    }
    return index;
}

/* ---- what happened ---- */

void recorder_init(struct recorder *recorder, const char *endpoint, const char *root, int keys,
                   int offset)
{
    *recorder =
        (struct recorder){.endpoint = endpoint, .root = root, .keys = keys, .offset = offset};
    recorder->there = calloc((size_t)keys, sizeof *recorder->there);
    CHECK(recorder->there != NULL);
}

void recorder_fini(struct recorder *recorder)
{
    free(recorder->history.list);
    free(recorder->there);
}

static void note_history(void *user, const struct gateway_event *event)
{
    struct recorder *recorder = user;
    const int key = index_of(recorder, event->key);
    const struct recorder_change change = {
        .revision = event->revision,
        .number = numbered_read(event->value),
        .key = key,
        .type = event->deleted         ? ROLLCALL_WATCH_DELETE
                : recorder->there[key] ? ROLLCALL_WATCH_UPDATE
                                       : ROLLCALL_WATCH_ADD,
    };
    recorder->there[key] = !event->deleted;
    append(&recorder->history, &change);
}

/* What is not answered in time, as when there is an election, is put again: twice is twice. */
static int64_t put_mark(struct recorder *recorder, int64_t until_ms)
{
    const int id = recorder->keys - 1 - recorder->offset;
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    int64_t revision = 0;
    numbered_key(recorder->root, id, key);
    numbered_value(id, ++recorder->marks, value);
    while (!gateway_put(recorder->endpoint, key, value, &revision)) {
        CHECK(process_now_ms() < until_ms);
    }
    return revision;
}

static int64_t known_revision(const struct recorder *recorder)
{
    const struct recorder_changes *history = &recorder->history;
    return history->count == 0 ? 0 : history->list[history->count - 1].revision;
}

int64_t recorder_mark(struct recorder *recorder)
{
    const int64_t until_ms = process_now_ms() + NUMBERED_TRIES_MS;
    const int64_t revision = put_mark(recorder, until_ms);
    char prefix[GATEWAY_TEXT_BYTES];
    snprintf(prefix, sizeof prefix, "%s/session/", recorder->root);
    while (known_revision(recorder) < revision &&
           !gateway_history(recorder->endpoint, prefix, known_revision(recorder) + 1, revision,
                            note_history, recorder)) {
        CHECK(process_now_ms() < until_ms);
    }
    return revision;
}

/* ---- what was told ---- */

static bool begins(enum rollcall_watch_event_type type)
{
    return type == ROLLCALL_WATCH_SNAPSHOT_BEGIN || type == ROLLCALL_WATCH_RESYNC_BEGIN;
}

static bool ends(enum rollcall_watch_event_type type)
{
    return type == ROLLCALL_WATCH_SNAPSHOT_END || type == ROLLCALL_WATCH_RESYNC_END;
}

static void note_told(void *user, const struct rollcall_watch_event *event)
{
    struct recorder_watch *watch = user;
    struct recorder_change change = {.type = event->type, .revision = event->revision};
    if (event->type == ROLLCALL_WATCH_FAILED) {
        fprintf(stderr, "recorder: a watch has failed: %s\n", event->reason);
    }
    if (event->record != NULL) {
        change.revision = event->mod_revision;
        change.key = index_of(watch->recorder, event->key.data);
        change.number = event->type == ROLLCALL_WATCH_DELETE ? 0 : numbered_read(event->value.data);
    }
    rollcall__monitor_lock(&watch->monitor);
    append(&watch->told, &change);
    watch->inside = begins(change.type) || (watch->inside && !ends(change.type));
    rollcall__monitor_notify(&watch->monitor);
    rollcall__monitor_unlock(&watch->monitor);
    if (watch->on_told != NULL) {
        watch->on_told(watch->user, &change);
    }
}

void recorder_watch_open(struct recorder_watch *watch, struct recorder *recorder,
                         const struct api_scene *scene, int64_t from_revision)
{
    *watch = (struct recorder_watch){.on_told = watch->on_told,
                                     .user = watch->user,
                                     .recorder = recorder,
                                     .from_revision = from_revision};
    rollcall__monitor_init(&watch->monitor);
    const enum rollcall_status status = rollcall_watch_open(
        scene->etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene->root, .on_event = note_told,
                               .from_revision = from_revision, .connect_timeout_ms = API_SOON_MS,
                               .user = watch),
        &watch->watch, NULL);
    CHECK_INT(status, ROLLCALL_OK);
}

void recorder_watch_close(struct recorder_watch *watch)
{
    CHECK_INT(rollcall_watch_close(watch->watch), ROLLCALL_OK);
    watch->watch = NULL;
}

void recorder_watch_fini(struct recorder_watch *watch)
{
    recorder_watch_close(watch);
    rollcall__monitor_fini(&watch->monitor);
    free(watch->told.list);
}

/* Called locked. */
static bool has_told(const struct recorder_watch *watch, int64_t revision)
{
    const struct recorder_changes *told = &watch->told;
    const struct recorder_change *last = told->count == 0 ? NULL : &told->list[told->count - 1];
    return last != NULL && last->revision >= revision && !watch->inside;
}

bool recorder_await(struct recorder_watch *watch, int64_t revision, int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&watch->monitor);
    while (!has_told(watch, revision) && waiting) {
        waiting = rollcall__monitor_wait(&watch->monitor, until_ns);
    }
    const bool reached = has_told(watch, revision);
    rollcall__monitor_unlock(&watch->monitor);
    return reached;
}

bool recorder_await_count(struct recorder_watch *watch, size_t count, int64_t timeout_ms)
{
    const int64_t until_ns = (process_now_ms() + timeout_ms) * 1000000;
    bool waiting = true;
    rollcall__monitor_lock(&watch->monitor);
    while (watch->told.count < count && waiting) {
        waiting = rollcall__monitor_wait(&watch->monitor, until_ns);
    }
    const bool reached = watch->told.count >= count;
    rollcall__monitor_unlock(&watch->monitor);
    return reached;
}

size_t recorder_count(struct recorder_watch *watch, enum rollcall_watch_event_type type)
{
    size_t count = 0;
    rollcall__monitor_lock(&watch->monitor);
    for (size_t i = 0; i < watch->told.count; i++) {
        count += watch->told.list[i].type == type;
    }
    rollcall__monitor_unlock(&watch->monitor);
    return count;
}

/* ---- the one against the other ---- */

/* Follows the history, or what a watch told. */
struct state {
    int64_t *revision; /* of a key's last change, by index; 0: it is not there */
    size_t next;       /* in the history */
};

static void apply(struct state *state, const struct recorder_change *change)
{
    state->revision[change->key] = change->type == ROLLCALL_WATCH_DELETE ? 0 : change->revision;
}

/* What was told is this change; a watch that began later does not know what it updates. */
static bool is_told(const struct recorder_change *told, const struct recorder_change *change,
                    const struct state *mine)
{
    const enum rollcall_watch_event_type put =
        mine->revision[change->key] != 0 ? ROLLCALL_WATCH_UPDATE : ROLLCALL_WATCH_ADD;
    const bool deleted = change->type == ROLLCALL_WATCH_DELETE;
    return told->type == (deleted ? ROLLCALL_WATCH_DELETE : put) && told->key == change->key &&
           told->revision == change->revision && told->number == change->number;
}

static void follow(const struct recorder_changes *history, struct state *truth, int64_t revision)
{
    while (truth->next < history->count && history->list[truth->next].revision <= revision) {
        apply(truth, &history->list[truth->next++]);
    }
}

/* Keeps the first. */
static void describe(struct recorder_verdict *verdict, int name, const struct recorder_change *is,
                     const struct recorder_change *should)
{
    if (verdict->fault[0] != '\0') {
        return;
    }
    snprintf(verdict->fault, sizeof verdict->fault,
             "watch %d: event %d of key %d, number %" PRId64 ", revision %" PRId64
             "; the history has %d of key %d, number %" PRId64 ", revision %" PRId64,
             name, (int)is->type, is->key, is->number, is->revision, (int)should->type, should->key,
             should->number, should->revision);
}

/* One thing that was told; false: it is none that should have been. */
static bool judge_one(struct recorder_watch *watch, const struct recorder_change *change,
                      struct state *truth, struct state *mine, bool *live,
                      struct recorder_verdict *verdict)
{
    const struct recorder_changes *history = &watch->recorder->history;
    if (begins(change->type)) {
        verdict->resyncs += change->type == ROLLCALL_WATCH_RESYNC_BEGIN;
        *live = false;
        return true;
    }
    if (ends(change->type)) { /* what was told until here is the state of that revision */
        *live = true;
        follow(history, truth, change->revision);
        return memcmp(truth->revision, mine->revision,
                      (size_t)watch->recorder->keys * sizeof *mine->revision) == 0;
    }
    if (change->type == ROLLCALL_WATCH_FAILED) {
        return false;
    }
    const bool right = !*live || (truth->next < history->count &&
                                  is_told(change, &history->list[truth->next], mine));
    apply(mine, change);
    if (*live && right) {
        apply(truth, &history->list[truth->next++]);
        verdict->changes++;
    }
    return right;
}

void recorder_judge(struct recorder_watch *watch, int name, struct recorder_verdict *verdict)
{
    static const struct recorder_change none = {.key = 0};
    const struct recorder_changes *history = &watch->recorder->history;
    const size_t keys = (size_t)watch->recorder->keys;
    struct state truth = {.revision = calloc(keys, sizeof(int64_t))};
    struct state mine = {.revision = calloc(keys, sizeof(int64_t))};
    bool live = watch->from_revision != 0, right = true;
    CHECK(truth.revision != NULL && mine.revision != NULL);
    follow(history, &truth, watch->from_revision - 1);
    rollcall__monitor_lock(&watch->monitor);
    for (size_t i = 0; i < watch->told.count && right; i++) {
        const struct recorder_change *next =
            truth.next < history->count ? &history->list[truth.next] : &none;
        right = judge_one(watch, &watch->told.list[i], &truth, &mine, &live, verdict);
        if (!right) {
            describe(verdict, name, &watch->told.list[i], next);
        }
    }
    rollcall__monitor_unlock(&watch->monitor);
    if (right && truth.next != history->count) {
        describe(verdict, name, &none, &history->list[truth.next]);
    }
    free(truth.revision);
    free(mine.revision);
}

size_t recorder_check(struct recorder_watch *watch)
{
    struct recorder_verdict verdict = {.changes = 0};
    recorder_judge(watch, 0, &verdict);
    CHECK_STR(verdict.fault, "");
    return verdict.resyncs;
}

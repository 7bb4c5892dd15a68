/* tests/support/api_events.c - see api_events.h. */
#include "support/api_events.h"

#include "base/clock.h"
#include "base/random.h"
#include "support/test.h"

#include <stdarg.h>
#include <stdlib.h>

/* ---- a connection ---- */

static void connect_scene(struct api_scene *scene)
{
    struct rollcall_error error = {0};
    CHECK(rollcall_runtime_create(NULL, &scene->runtime, &error) == ROLLCALL_OK);
    CHECK_STR(error.text, "");
    CHECK(rollcall_etcd_connect(scene->runtime, ROLLCALL_ETCD_OPTIONS(.endpoints = scene->endpoint),
                                &scene->etcd, &error) == ROLLCALL_OK);
}

void api_scene_open(struct api_scene *scene, const char *endpoint)
{
    *scene = (struct api_scene){.endpoint = endpoint};
    snprintf(scene->root, sizeof scene->root, "api-test/%016" PRIx64, rollcall__random_entropy());
    connect_scene(scene);
}

void api_scene_open_beside(struct api_scene *scene, const struct api_scene *first)
{
    *scene = *first;
    connect_scene(scene);
}

void api_scene_close(struct api_scene *scene)
{
    CHECK_INT(rollcall_etcd_close(scene->etcd), ROLLCALL_OK);
    CHECK_INT(rollcall_runtime_destroy(scene->runtime), ROLLCALL_OK);
}

void api_etcdctl_start(const struct api_scene *scene, const char *script, struct process *process)
{
    char endpoint[512], root[API_ROOT_BYTES + 8];
    snprintf(endpoint, sizeof endpoint, "ETCDCTL_ENDPOINTS=%s", scene->endpoint);
    snprintf(root, sizeof root, "ROOT=%s", scene->root);
    const char *const environment[] = {endpoint, root, "ETCDCTL_API=3", NULL};
    const char *const arguments[] = {"sh", "-ec", script, NULL};
    const struct process_options options = {
        .arguments = arguments, .environment = environment, .without_prefix = "ETCDCTL_"};
    CHECK(process_start(process, &options));
}

void api_etcdctl(const struct api_scene *scene, const char *script, char *out, size_t out_bytes)
{
    struct process process;
    api_etcdctl_start(scene, script, &process);
    CHECK(process_wait(&process, API_SOON_MS));
    if (process.exit_code != 0) {
        fprintf(stderr, "%s\n%s%s\n", script, process.out.data, process.err.data);
    }
    CHECK_INT(process.exit_code, 0);
    if (out != NULL) {
        snprintf(out, out_bytes, "%s", process.out.data);
    }
    process_destroy(&process);
}

struct rollcall_session *api_open(const struct api_scene *scene, const char *role,
                                  int64_t server_id, int64_t ttl_s, struct api_session_log *log)
{
    struct rollcall_session *session = NULL;
    struct rollcall_error error = {0};
    const enum rollcall_status status = rollcall_session_open(
        scene->etcd,
        ROLLCALL_SESSION_OPTIONS(.root = scene->root, .role = role, .address = "10.0.0.7:21123",
                                 .server_id = server_id, .ttl_s = ttl_s,
                                 .on_event = log == NULL ? NULL : api_session_note, .user = log),
        &session, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    return session;
}

struct rollcall_session_info api_info(struct rollcall_session *session)
{
    struct rollcall_session_info info;
    rollcall_session_get_info(session, &info);
    return info;
}

void api_check_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        CHECK_STR(text, part);
    }
}

/* ---- what a session told ---- */

void api_session_log_init(struct api_session_log *log)
{
    *log = (struct api_session_log){.count = 0};
    rollcall__monitor_init(&log->monitor);
}

void api_session_log_fini(struct api_session_log *log)
{
    rollcall__monitor_fini(&log->monitor);
}

void api_session_note(void *user, const struct rollcall_session_event *event)
{
    struct api_session_log *log = user;
    rollcall__monitor_lock(&log->monitor);
    if (log->count == API_NOTES_MAX) {
        fprintf(stderr, "a session told more than %d events\n", API_NOTES_MAX);
        abort(); /* on the runtime's thread, where no test can be failed */
    }
    struct api_session_note *note = &log->notes[log->count++];
    *note = (struct api_session_note){.state = event->state,
                                      .status = event->status,
                                      .at_ms = process_now_ms(),
                                      .info = event->info};
    note->info.key = NULL;
    snprintf(note->reason, sizeof note->reason, "%s", event->reason);
    rollcall__monitor_notify(&log->monitor);
    rollcall__monitor_unlock(&log->monitor);
}

struct api_session_note api_session_at(struct api_session_log *log, size_t index)
{
    struct api_session_note note = {.at_ms = 0};
    rollcall__monitor_lock(&log->monitor);
    const bool there = index < log->count;
    if (there) {
        note = log->notes[index];
    }
    rollcall__monitor_unlock(&log->monitor);
    CHECK(there);
    return note;
}

/* Called locked. */
static size_t count_states(const struct api_session_log *log, enum rollcall_session_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++) {
        count += log->notes[i].state == state;
    }
    return count;
}

size_t api_session_count(struct api_session_log *log, enum rollcall_session_state state)
{
    rollcall__monitor_lock(&log->monitor);
    const size_t count = count_states(log, state);
    rollcall__monitor_unlock(&log->monitor);
    return count;
}

static int64_t deadline_ns(int64_t timeout_ms)
{
    return rollcall__clock_monotonic_ns() + timeout_ms * 1000000;
}

bool api_session_await(struct api_session_log *log, enum rollcall_session_state state, size_t times,
                       int64_t timeout_ms)
{
    const int64_t until_ns = deadline_ns(timeout_ms);
    rollcall__monitor_lock(&log->monitor);
    while (count_states(log, state) < times && rollcall__monitor_wait(&log->monitor, until_ns)) {
    }
    const bool told = count_states(log, state) >= times;
    rollcall__monitor_unlock(&log->monitor);
    return told;
}

const char *api_session_story(struct api_session_log *log, char *text, size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    rollcall__monitor_lock(&log->monitor);
    for (size_t i = 0; i < log->count && used < text_bytes; i++) {
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", i == 0 ? "" : " ",
                                 rollcall_session_state_name(log->notes[i].state));
    }
    rollcall__monitor_unlock(&log->monitor);
    return text;
}

void api_session_check_story(struct api_session_log *log, const char *expected)
{
    char text[API_NOTES_MAX * sizeof "REGISTERING"];
    CHECK_STR(api_session_story(log, text, sizeof text), expected);
}

/* ---- what a watch told: noting ---- */

void api_watch_log_init(struct api_watch_log *log)
{
    *log = (struct api_watch_log){.count = 0};
    rollcall__monitor_init(&log->monitor);
}

void api_watch_log_fini(struct api_watch_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->notes[i].key);
        free(log->notes[i].value);
    }
    free(log->notes);
    free(log->told);
    rollcall__monitor_fini(&log->monitor);
}

__attribute__((format(printf, 2, 3))) static void fault(struct api_watch_log *log,
                                                        const char *format, ...)
{
    va_list arguments;
    if (log->fault[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(log->fault, sizeof log->fault, format, arguments);
        va_end(arguments);
    }
}

static void *grow(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return items;
    }
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
    void *more = realloc(items, *capacity * item_bytes);
    if (more == NULL) {
        abort();
    }
    return more;
}

static char *copy(struct rollcall_bytes bytes)
{
    char *text = strndup(bytes.data == NULL ? "" : bytes.data, bytes.size_bytes);
    if (text == NULL) {
        abort();
    }
    return text;
}

/* Where the last note of a session that is there is kept; NULL: it is not there. */
static size_t *find(const struct api_watch_log *log, const char *key)
{
    for (size_t i = 0; i < log->told_count; i++) {
        if (strcmp(log->notes[log->told[i]].key, key) == 0) {
            return &log->told[i];
        }
    }
    return NULL;
}

/* Keeps what is told, and holds it against what was told before. */
static void note_session(struct api_watch_log *log, size_t index)
{
    const struct api_watch_note *note = &log->notes[index];
    size_t *before = find(log, note->key);
    const struct api_watch_note *last = before == NULL ? NULL : &log->notes[*before];
    const bool added = note->type == ROLLCALL_WATCH_SESSION || note->type == ROLLCALL_WATCH_ADD;
    if (added != (last == NULL) && !(log->partial && note->type == ROLLCALL_WATCH_DELETE)) {
        fault(log, "event %d of %s, which was %stold before", (int)note->type, note->key,
              last == NULL ? "not " : "");
    }
    if (last != NULL && note->mod_revision <= last->mod_revision) {
        fault(log, "%s is told at %" PRId64 " after %" PRId64, note->key, note->mod_revision,
              last->mod_revision);
    }
    if (log->phase == API_LIVE && note->mod_revision < log->mod_revision) {
        fault(log, "%s at %" PRId64 " comes after %" PRId64, note->key, note->mod_revision,
              log->mod_revision);
    }
    if (note->type == ROLLCALL_WATCH_DELETE && last != NULL &&
        strcmp(last->value, note->value) != 0) {
        fault(log, "the DELETE of %s does not tell its last record", note->key);
    }
    log->mod_revision =
        note->mod_revision > log->mod_revision ? note->mod_revision : log->mod_revision;
    log->in_phase++;
    if (note->type == ROLLCALL_WATCH_DELETE) {
        if (before != NULL) {
            *before = log->told[--log->told_count];
        }
    } else if (before != NULL) {
        *before = index;
    } else {
        log->told = grow(log->told, log->told_count, &log->told_capacity, sizeof *log->told);
        log->told[log->told_count++] = index;
    }
}

/* The phases a type is allowed in, as bits, and the one it leads to. */
static const struct {
    unsigned int from;
    enum api_watch_phase to;
} RULES[] = {
    [ROLLCALL_WATCH_SNAPSHOT_BEGIN] = {1 << API_NOTHING, API_SNAPSHOT},
    [ROLLCALL_WATCH_SESSION] = {1 << API_SNAPSHOT, API_SNAPSHOT},
    [ROLLCALL_WATCH_SNAPSHOT_END] = {1 << API_SNAPSHOT, API_LIVE},
    [ROLLCALL_WATCH_ADD] = {1 << API_LIVE | 1 << API_RESYNC, API_NOTHING},
    [ROLLCALL_WATCH_UPDATE] = {1 << API_LIVE | 1 << API_RESYNC, API_NOTHING},
    [ROLLCALL_WATCH_DELETE] = {1 << API_LIVE | 1 << API_RESYNC, API_NOTHING},
    [ROLLCALL_WATCH_RESYNC_BEGIN] = {1 << API_LIVE, API_RESYNC},
    [ROLLCALL_WATCH_RESYNC_END] = {1 << API_RESYNC, API_LIVE},
    [ROLLCALL_WATCH_FAILED] = {1 << API_NOTHING | 1 << API_SNAPSHOT | 1 << API_LIVE |
                                   1 << API_RESYNC,
                               API_OVER},
};

static void note_mark(struct api_watch_log *log, const struct api_watch_note *note)
{
    const bool ends =
        note->type == ROLLCALL_WATCH_SNAPSHOT_END || note->type == ROLLCALL_WATCH_RESYNC_END;
    if (ends && note->count != log->in_phase) {
        fault(log, "an END counts %" PRIu64 " of %" PRIu64 " sessions", note->count, log->in_phase);
    }
    log->in_phase = 0;
}

static void note_event(struct api_watch_log *log, const struct rollcall_watch_event *event)
{
    const bool is_session = event->type >= ROLLCALL_WATCH_SESSION &&
                            event->type <= ROLLCALL_WATCH_DELETE &&
                            event->type != ROLLCALL_WATCH_SNAPSHOT_END;
    log->notes = grow(log->notes, log->count, &log->capacity, sizeof *log->notes);
    struct api_watch_note *note = &log->notes[log->count];
    *note = (struct api_watch_note){.type = event->type,
                                    .status = event->status,
                                    .revision = event->revision,
                                    .mod_revision = event->mod_revision,
                                    .create_revision = event->create_revision,
                                    .lease_id = event->lease_id,
                                    .count = event->count,
                                    .skipped = event->skipped};
    snprintf(note->reason, sizeof note->reason, "%s", event->reason == NULL ? "" : event->reason);
    if ((RULES[event->type].from & 1u << log->phase) == 0) {
        fault(log, "event %d in phase %d", (int)event->type, (int)log->phase);
    }
    if (is_session) {
        note->key = copy(event->key);
        note->value = copy(event->value);
        note->server_id = event->record->server_id;
        note->stopping = event->record->stopping;
        note_session(log, log->count);
    } else {
        note_mark(log, note);
        log->phase = RULES[event->type].to;
    }
    log->count++;
}

void api_watch_note(void *user, const struct rollcall_watch_event *event)
{
    struct api_watch_log *log = user;
    rollcall__monitor_lock(&log->monitor);
    if (log->busy) {
        fault(log, "two callbacks of one watch at once");
    }
    if (log->closed) {
        fault(log, "a callback after close had returned");
    }
    log->busy = true;
    while (log->held) {
        log->blocked = true;
        rollcall__monitor_notify(&log->monitor);
        rollcall__monitor_wait(&log->monitor, INT64_MAX);
    }
    log->blocked = false;
    note_event(log, event);
    log->busy = false;
    rollcall__monitor_notify(&log->monitor);
    rollcall__monitor_unlock(&log->monitor);
}

/* ---- what a watch told: asking ---- */

struct rollcall_watch *api_watch(const struct api_scene *scene, const char *role,
                                 int64_t from_revision, struct api_watch_log *log)
{
    struct rollcall_watch *watch = NULL;
    struct rollcall_error error = {0};
    if (from_revision != 0) {
        log->phase = API_LIVE;
        log->partial = true;
    }
    const enum rollcall_status status = rollcall_watch_open(
        scene->etcd,
        ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = role, .from_revision = from_revision,
                               .on_event = api_watch_note, .user = log),
        &watch, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    return watch;
}

void api_watch_close(struct rollcall_watch *watch, struct api_watch_log *log)
{
    CHECK_INT(rollcall_watch_close(watch), ROLLCALL_OK);
    rollcall__monitor_lock(&log->monitor);
    log->closed = true;
    rollcall__monitor_unlock(&log->monitor);
}

void api_list(const struct api_scene *scene, const char *role, struct api_watch_log *log)
{
    struct rollcall_error error = {0};
    const enum rollcall_status status =
        rollcall_list(scene->etcd,
                      ROLLCALL_WATCH_OPTIONS(.root = scene->root, .role = role,
                                             .on_event = api_watch_note, .user = log),
                      API_SOON_MS, &error);
    CHECK_STR(error.text, "");
    CHECK_INT(status, ROLLCALL_OK);
    api_watch_check(log);
}

size_t api_watch_total(struct api_watch_log *log)
{
    rollcall__monitor_lock(&log->monitor);
    const size_t count = log->count;
    rollcall__monitor_unlock(&log->monitor);
    return count;
}

size_t api_watch_told(struct api_watch_log *log)
{
    rollcall__monitor_lock(&log->monitor);
    const size_t count = log->told_count;
    rollcall__monitor_unlock(&log->monitor);
    return count;
}

struct api_watch_note api_watch_at(struct api_watch_log *log, size_t index)
{
    struct api_watch_note note = {.revision = 0};
    rollcall__monitor_lock(&log->monitor);
    const bool there = index < log->count;
    if (there) {
        note = log->notes[index];
    }
    rollcall__monitor_unlock(&log->monitor);
    CHECK(there);
    return note;
}

struct api_watch_note api_watch_last(struct api_watch_log *log)
{
    return api_watch_at(log, api_watch_total(log) - 1);
}

/* Called locked. */
static size_t count_types(const struct api_watch_log *log, enum rollcall_watch_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < log->count; i++) {
        count += log->notes[i].type == type;
    }
    return count;
}

size_t api_watch_count(struct api_watch_log *log, enum rollcall_watch_event_type type)
{
    rollcall__monitor_lock(&log->monitor);
    const size_t count = count_types(log, type);
    rollcall__monitor_unlock(&log->monitor);
    return count;
}

bool api_watch_await(struct api_watch_log *log, enum rollcall_watch_event_type type, size_t times,
                     int64_t timeout_ms)
{
    const int64_t until_ns = deadline_ns(timeout_ms);
    rollcall__monitor_lock(&log->monitor);
    while (count_types(log, type) < times && rollcall__monitor_wait(&log->monitor, until_ns)) {
    }
    const bool told = count_types(log, type) >= times;
    rollcall__monitor_unlock(&log->monitor);
    return told;
}

bool api_watch_await_told(struct api_watch_log *log, size_t sessions, int64_t timeout_ms)
{
    const int64_t until_ns = deadline_ns(timeout_ms);
    rollcall__monitor_lock(&log->monitor);
    while ((log->told_count != sessions || log->phase != API_LIVE) &&
           rollcall__monitor_wait(&log->monitor, until_ns)) {
    }
    const bool told = log->told_count == sessions;
    rollcall__monitor_unlock(&log->monitor);
    return told;
}

bool api_watch_await_revision(struct api_watch_log *log, int64_t mod_revision, int64_t timeout_ms)
{
    const int64_t until_ns = deadline_ns(timeout_ms);
    rollcall__monitor_lock(&log->monitor);
    while (log->mod_revision < mod_revision && rollcall__monitor_wait(&log->monitor, until_ns)) {
    }
    const bool told = log->mod_revision >= mod_revision;
    rollcall__monitor_unlock(&log->monitor);
    return told;
}

void api_watch_hold(struct api_watch_log *log)
{
    rollcall__monitor_lock(&log->monitor);
    log->held = true;
    rollcall__monitor_unlock(&log->monitor);
}

void api_watch_let_go(struct api_watch_log *log)
{
    rollcall__monitor_lock(&log->monitor);
    log->held = false;
    rollcall__monitor_notify(&log->monitor);
    rollcall__monitor_unlock(&log->monitor);
}

bool api_watch_await_blocked(struct api_watch_log *log, int64_t timeout_ms)
{
    const int64_t until_ns = deadline_ns(timeout_ms);
    rollcall__monitor_lock(&log->monitor);
    while (!log->blocked && rollcall__monitor_wait(&log->monitor, until_ns)) {
    }
    const bool blocked = log->blocked;
    rollcall__monitor_unlock(&log->monitor);
    return blocked;
}

void api_watch_check(struct api_watch_log *log)
{
    char text[sizeof log->fault];
    rollcall__monitor_lock(&log->monitor);
    snprintf(text, sizeof text, "%s", log->fault);
    rollcall__monitor_unlock(&log->monitor);
    CHECK_STR(text, "");
}

void api_watch_check_same(struct api_watch_log *log, struct api_watch_log *other)
{
    char text[512] = "";
    rollcall__monitor_lock(&log->monitor);
    rollcall__monitor_lock(&other->monitor);
    if (log->told_count != other->told_count) {
        snprintf(text, sizeof text, "%zu sessions told, not %zu", log->told_count,
                 other->told_count);
    }
    for (size_t i = 0; i < log->told_count && text[0] == '\0'; i++) {
        const struct api_watch_note *mine = &log->notes[log->told[i]];
        const size_t *found = find(other, mine->key);
        const struct api_watch_note *theirs = found == NULL ? NULL : &other->notes[*found];
        if (theirs == NULL || theirs->mod_revision != mine->mod_revision ||
            strcmp(theirs->value, mine->value) != 0) {
            snprintf(text, sizeof text, "%s differs, told at %" PRId64, mine->key,
                     mine->mod_revision);
        }
    }
    rollcall__monitor_unlock(&other->monitor);
    rollcall__monitor_unlock(&log->monitor);
    CHECK_STR(text, "");
}

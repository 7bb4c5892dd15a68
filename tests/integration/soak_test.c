/*
 * Etcd is killed and restarted again and again under sessions and watches, and writers that put
 * numbered records all the time: no session is lost, and each watch tells exactly what happened.
 *
 * What happened is asked of etcd itself: its history, before it is compacted.  Each change that a
 * watch tells has to be the next of that history: none is left out, told twice, or out of order.
 * Now and then half of the watches are cut off until what they have missed is compacted: then,
 * between the marks of a resync, they tell the difference, which has to lead to the true state.
 */
#include "support/gateway.h"
#include "support/outage.h"
#include "support/seed.h"
#include "support/test.h"

#include <stdlib.h>

enum { SESSIONS = 100, TTL_S = 10, WATCHES = 20, NUMBERED = 20, CUT_OFF_EVERY = 5 };
enum { PACE_MS = 10, UP_MIN_MS = 100, UP_MS = 900, DOWN_MS = 300, TRIES_MS = 30000 };
/* Every so often a record is deleted, so that the next put of it is an ADD. */
enum { DELETE_EVERY = 10 };
/* Keys, by what tells them apart: the sessions', the writer's, and one of the test's own. */
enum { MARKED = NUMBERED + 1, KEYS = SESSIONS + MARKED + 1 };

/* A change of a key; number: of its value, 0: none. */
struct change {
    int64_t revision, number;
    int key;
    enum rollcall_watch_event_type type; /* in the history: ADD, UPDATE or DELETE */
};

struct changes {
    struct change *list;
    size_t count, capacity;
};

/* What one watch told; guarded by the monitor until it is closed. */
struct told {
    struct rollcall__monitor monitor;
    struct changes changes;
    struct rollcall_watch *watch;
};

struct writer {
    pthread_t thread;
    struct rollcall__monitor monitor; /* guards stop */
    bool stop;
    bool failed; /* a request was not answered for TRIES_MS */
    int64_t writes, doubted;
    const char *endpoint, *root;
};

struct soak {
    struct outage outage;
    struct outage_crowd crowd;
    struct writer writer;
    struct told told[WATCHES];
    struct changes history;
    bool there[KEYS]; /* at the end of the history */
    int64_t marks;
    uint64_t seed;
};

/* ---- keys and values ---- */

static void key_of(const char *root, int number, char *key)
{
    snprintf(key, GATEWAY_TEXT_BYTES, "%s/session/datanode-%d", root, number);
}

static void value_of(int id, int64_t number, char *value)
{
    snprintf(value, GATEWAY_TEXT_BYTES,
             "{\"ServerID\":%d,\"ServerName\":\"datanode\",\"Address\":\"h:%" PRId64 "\"}", id,
             number);
}

/* A session's: 1 .. SESSIONS; a numbered one's: those after. */
static int index_of(const char *key)
{
    const char *dash = strrchr(key, '-');
    const int number = dash == NULL ? 0 : (int)strtol(dash + 1, NULL, 10);
    return strstr(key, "/datanode-") != NULL ? SESSIONS + number : number;
}

static int64_t number_of(const char *value)
{
    static const char address[] = "\"Address\":\"h:";
    const char *found = strstr(value, address);
    return found == NULL ? 0 : strtoll(found + sizeof address - 1, NULL, 10);
}

static void append(struct changes *changes, const struct change *change)
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

/* ---- writing: each number once, whatever etcd does meanwhile ---- */

/* Waits until it is so: "" deleted, else the value is there.  What was killed before it answered
 * has come true, or never will: so it is asked, and done again only if it has not. */
static bool write_once(const char *endpoint, const char *key, const char *value, int64_t *doubted)
{
    const int64_t until_ms = process_now_ms() + TRIES_MS;
    char found[GATEWAY_TEXT_BYTES];
    while (process_now_ms() < until_ms) {
        if (value[0] == '\0' ? gateway_delete(endpoint, key)
                             : gateway_put(endpoint, key, value, NULL)) {
            return true;
        }
        (*doubted)++;
        while (!gateway_get(endpoint, key, found) && process_now_ms() < until_ms) {
            process_sleep_ms(PACE_MS);
        }
        if (strcmp(found, value) == 0) {
            return true;
        }
    }
    return false;
}

/* True: it shall stop. */
static bool pause_between(struct writer *writer)
{
    const int64_t until_ns = (process_now_ms() + PACE_MS) * 1000000;
    rollcall__monitor_lock(&writer->monitor);
    while (!writer->stop && rollcall__monitor_wait(&writer->monitor, until_ns)) {
    }
    const bool stop = writer->stop;
    rollcall__monitor_unlock(&writer->monitor);
    return stop;
}

static void *write_numbers(void *argument)
{
    struct writer *writer = argument;
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    for (int64_t i = 0; !writer->failed && !pause_between(writer); i++) {
        const int id = (int)(i % NUMBERED) + 1;
        const int64_t number = i / NUMBERED + 1;
        key_of(writer->root, id, key);
        value_of(id, number, value);
        writer->failed = !write_once(writer->endpoint, key, value, &writer->doubted);
        writer->writes++;
        if (number % DELETE_EVERY == 0 && !writer->failed) {
            writer->failed = !write_once(writer->endpoint, key, "", &writer->doubted);
            writer->writes++;
        }
    }
    return NULL;
}

/* ---- what happened ---- */

static void note_history(void *user, const struct gateway_event *event)
{
    struct soak *soak = user;
    const int key = index_of(event->key);
    const struct change change = {
        .revision = event->revision,
        .number = number_of(event->value),
        .key = key,
        .type = event->deleted     ? ROLLCALL_WATCH_DELETE
                : soak->there[key] ? ROLLCALL_WATCH_UPDATE
                                   : ROLLCALL_WATCH_ADD,
    };
    CHECK(key > 0 && key < KEYS);
    soak->there[key] = !event->deleted;
    append(&soak->history, &change);
}

/* Puts a record of the test's own, and takes down all that happened until then.  Returns its
 * revision. */
static int64_t mark(struct soak *soak)
{
    const char *endpoint = soak->writer.endpoint;
    const size_t known = soak->history.count;
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES];
    int64_t revision = 0;
    key_of(soak->writer.root, MARKED, key);
    value_of(MARKED, ++soak->marks, value);
    CHECK(gateway_put(endpoint, key, value, &revision)); /* etcd is up now */
    snprintf(key, sizeof key, "%s/session/", soak->writer.root);
    const int64_t from = known == 0 ? 1 : soak->history.list[known - 1].revision + 1;
    CHECK(gateway_history(endpoint, key, from, revision, note_history, soak));
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
    struct told *told = user;
    struct change change = {.type = event->type, .revision = event->revision};
    if (event->record != NULL) {
        change.revision = event->mod_revision;
        change.key = index_of(event->key.data);
        change.number = event->type == ROLLCALL_WATCH_DELETE ? 0 : number_of(event->value.data);
    }
    rollcall__monitor_lock(&told->monitor);
    append(&told->changes, &change);
    rollcall__monitor_notify(&told->monitor);
    rollcall__monitor_unlock(&told->monitor);
}

/* Waits until a change at this revision, or a later END, was told. */
static bool await_told(struct told *told, int64_t revision)
{
    const int64_t until_ns = (process_now_ms() + API_SOON_MS) * 1000000;
    bool waiting = true, reached = false;
    rollcall__monitor_lock(&told->monitor);
    for (;;) {
        const size_t count = told->changes.count;
        const struct change *last = count == 0 ? NULL : &told->changes.list[count - 1];
        reached = last != NULL && last->revision >= revision && !begins(last->type);
        if (reached || !waiting) {
            break;
        }
        waiting = rollcall__monitor_wait(&told->monitor, until_ns);
    }
    rollcall__monitor_unlock(&told->monitor);
    return reached;
}

/* ---- the one against the other ---- */

/* Follows the history, or what a watch told. */
struct state {
    int64_t revision[KEYS]; /* of a key's last change; 0: it is not there */
    size_t next;            /* in the history */
};

static void apply(struct state *state, const struct change *change)
{
    state->revision[change->key] = change->type == ROLLCALL_WATCH_DELETE ? 0 : change->revision;
}

static bool same(const struct change *a, const struct change *b)
{
    return a->type == b->type && a->key == b->key && a->revision == b->revision &&
           a->number == b->number;
}

/* What a watch told at an END is the state of that revision. */
static bool goes_on(const struct changes *history, struct state *truth, const struct state *mine,
                    int64_t revision)
{
    while (truth->next < history->count && history->list[truth->next].revision <= revision) {
        apply(truth, &history->list[truth->next++]);
    }
    return memcmp(truth->revision, mine->revision, sizeof mine->revision) == 0;
}

struct verdict {
    size_t changes, resyncs; /* told outside of resyncs, each the next; and how many of these */
    char fault[256];         /* the first; "": none */
};

/* Keeps the first. */
static void describe(struct verdict *verdict, int watch, const struct change *is,
                     const struct change *should)
{
    if (verdict->fault[0] != '\0') {
        return;
    }
    snprintf(verdict->fault, sizeof verdict->fault,
             "watch %d: event %d of key %d, number %" PRId64 ", revision %" PRId64
             "; the history has %d of key %d, number %" PRId64 ", revision %" PRId64,
             watch, (int)is->type, is->key, is->number, is->revision, (int)should->type,
             should->key, should->number, should->revision);
}

/* Holds all that one watch told against the history. */
static void judge(const struct changes *history, const struct changes *told, int watch,
                  struct verdict *verdict)
{
    static const struct change none = {.key = 0};
    struct state truth = {.next = 0}, mine = {.next = 0};
    bool live = false, right = true;
    for (size_t i = 0; i < told->count && right; i++) {
        const struct change *change = &told->list[i];
        const struct change *next =
            truth.next < history->count ? &history->list[truth.next] : &none;
        if (begins(change->type)) {
            verdict->resyncs += change->type == ROLLCALL_WATCH_RESYNC_BEGIN;
            live = false;
        } else if (ends(change->type)) {
            right = goes_on(history, &truth, &mine, change->revision);
            live = true;
        } else {
            apply(&mine, change);
            right = !live || same(change, next);
            if (live && right) {
                apply(&truth, &history->list[truth.next++]);
                verdict->changes++;
            }
        }
        if (!right) {
            describe(verdict, watch, change, next);
        }
    }
    if (right && truth.next != history->count) {
        describe(verdict, watch, &none, &history->list[truth.next]);
    }
}

/* The history itself: each number of each key once and in order, and every session put once. */
static void check_history(const struct changes *history)
{
    int64_t number[KEYS] = {0};
    for (size_t i = 0; i < history->count; i++) {
        const struct change *change = &history->list[i];
        CHECK(change->key > SESSIONS || change->type == ROLLCALL_WATCH_ADD);
        if (change->key > SESSIONS && change->type != ROLLCALL_WATCH_DELETE) {
            CHECK_INT(change->number, ++number[change->key]);
        }
    }
}

/* ---- the run ---- */

static void open_soak(struct soak *soak)
{
    struct writer *writer = &soak->writer;
    outage_open_node(&soak->outage, NULL); /* the first connection: through the proxy */
    api_scene_open(&soak->outage.scene[1], etcd_fixture_endpoint(soak->outage.etcd));
    soak->outage.scenes = 2; /* the second: straight to etcd */
    memcpy(soak->outage.scene[1].root, soak->outage.scene[0].root, API_ROOT_BYTES);
    outage_crowd_open(&soak->crowd, &soak->outage.scene[0], SESSIONS, TTL_S, 0);
    *writer = (struct writer){.endpoint = etcd_fixture_endpoint(soak->outage.etcd),
                              .root = soak->outage.scene[0].root};
    rollcall__monitor_init(&writer->monitor);
    CHECK_INT(pthread_create(&writer->thread, NULL, write_numbers, writer), 0);
    for (int i = 0; i < WATCHES; i++) {
        const struct api_scene *scene = &soak->outage.scene[i % 2];
        rollcall__monitor_init(&soak->told[i].monitor);
        CHECK_INT(
            rollcall_watch_open(scene->etcd,
                                ROLLCALL_WATCH_OPTIONS(.root = scene->root, .on_event = note_told,
                                                       .user = &soak->told[i]),
                                &soak->told[i].watch, NULL),
            ROLLCALL_OK);
    }
}

static int64_t draw_ms(struct soak *soak, int64_t below_ms)
{
    soak->seed = soak->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((soak->seed >> 33) % (uint64_t)below_ms);
}

static void await_all_told(struct soak *soak, int64_t revision)
{
    for (int i = 0; i < WATCHES; i++) {
        CHECK(await_told(&soak->told[i], revision));
    }
}

/* Kills etcd in the middle of everything, and starts it again.  cut_off: the proxied connection
 * stays away until what it has missed is compacted. */
static void play_cycle(struct soak *soak, bool cut_off)
{
    struct outage *outage = &soak->outage;
    process_sleep_ms(UP_MIN_MS + draw_ms(soak, UP_MS)); /* so much happens in between */
    if (cut_off) {
        proxy_set(outage->proxy[0], PROXY_REFUSE);
    }
    etcd_fixture_kill(outage->etcd);
    process_sleep_ms(draw_ms(soak, DOWN_MS)); /* the fault itself */
    CHECK(etcd_fixture_restart(outage->etcd));
    if (cut_off) {
        const int64_t revision = mark(soak);
        for (int i = 1; i < WATCHES; i += 2) { /* the others, lest they be compacted too */
            CHECK(await_told(&soak->told[i], revision));
        }
        CHECK(gateway_compact(soak->writer.endpoint, revision));
        proxy_set(outage->proxy[0], PROXY_FORWARD);
        await_all_told(soak, revision);
    }
}

static void stop_writer(struct writer *writer)
{
    rollcall__monitor_lock(&writer->monitor);
    writer->stop = true;
    rollcall__monitor_notify(&writer->monitor);
    rollcall__monitor_unlock(&writer->monitor);
    CHECK_INT(pthread_join(writer->thread, NULL), 0);
    rollcall__monitor_fini(&writer->monitor);
    CHECK(!writer->failed);
}

static void check_told(struct soak *soak)
{
    struct verdict verdict = {.changes = 0};
    check_history(&soak->history);
    for (int i = 0; i < WATCHES; i++) {
        CHECK_INT(rollcall_watch_close(soak->told[i].watch), ROLLCALL_OK);
        judge(&soak->history, &soak->told[i].changes, i, &verdict);
        rollcall__monitor_fini(&soak->told[i].monitor);
        free(soak->told[i].changes.list);
    }
    fprintf(stderr, "soak: changes %zu, told by %d watches %zu, resyncs %zu\n", soak->history.count,
            WATCHES, verdict.changes, verdict.resyncs);
    CHECK_STR(verdict.fault, "");
    CHECK(verdict.resyncs >= WATCHES / 2);
    free(soak->history.list);
}

TEST(soak, etcd_killed_again_and_again_loses_no_session_and_no_event_is_lost_repeated_or_late)
{
    static struct soak soak;
    const int64_t cycles = outage_choose(CUT_OFF_EVERY, 200);
    soak.seed = seed_of_test(1);
    open_soak(&soak);
    const int64_t began_ms = process_now_ms();
    for (int64_t i = 1; i <= cycles; i++) {
        play_cycle(&soak, i % CUT_OFF_EVERY == 0);
    }
    stop_writer(&soak.writer);
    await_all_told(&soak, mark(&soak));
    fprintf(stderr,
            "soak: cycles %" PRId64 " in %" PRId64 " ms, writes %" PRId64 ", doubted %" PRId64
            ", SUSPECT %zu, LOST %zu\n",
            cycles, process_now_ms() - began_ms, soak.writer.writes, soak.writer.doubted,
            outage_crowd_suspect(&soak.crowd), outage_crowd_lost(&soak.crowd));
    check_told(&soak);
    CHECK_INT(outage_crowd_lost(&soak.crowd), 0);
    outage_crowd_close(&soak.crowd);
    outage_close(&soak.outage);
}

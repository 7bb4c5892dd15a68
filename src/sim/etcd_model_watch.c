/*
 * sim/etcd_model_watch.c - what a watch tells.
 *
 * A watch stands at the first change it has still to tell, and is moved on when its member's place
 * moves; whether there is something to tell is then known without a search.
 */
#include "sim/etcd_model_internal.h"

#include "base/assert.h"
#include "base/buffer.h"

#include <stdlib.h>

static const struct rollcall__model_refusal EMPTY_RANGE = {
    ROLLCALL_E_REJECTED, 3, /* INVALID_ARGUMENT */
    "etcd cancelled the watch, saying \"mvcc: watcher range is empty\": give an end that sorts "
    "after the key"};
static const struct rollcall__model_refusal BROKEN = {
    ROLLCALL_E_UNAVAILABLE, 14, /* UNAVAILABLE */
    "the connection to this member of etcd broke: another may answer"};

static bool has_quirk(const struct rollcall__model *model, enum rollcall__model_quirk quirk)
{
    return (model->options.quirks & (uint32_t)quirk) != 0;
}

static const struct rollcall__model_member *member_of(const struct rollcall__model_watch *watch)
{
    return &watch->model->members[watch->member];
}

static int64_t revision_of(const struct rollcall__model *model, size_t change)
{
    return model->history[change].kv.mod_revision;
}

/* ---- its place ---- */

/* Index behind the last change its member has applied. */
static size_t applied(const struct rollcall__model_watch *watch)
{
    return member_of(watch)->change_count;
}

static bool tells(const struct rollcall__model_watch *watch, size_t place)
{
    const struct transport_event *change = &watch->model->history[place];
    const int64_t revision = change->kv.mod_revision;
    const bool dropped =
        change->kind == TRANSPORT_DELETE && revision == member_of(watch)->compacted &&
        revision > watch->safe_revision && has_quirk(watch->model, ROLLCALL__QUIRK_DROPS_TOMBSTONE);
    return revision >= watch->start && !dropped &&
           rollcall__model_in_range(watch->range, change->kv.key);
}

static bool has_events(const struct rollcall__model_watch *watch)
{
    return watch->next_change < applied(watch);
}

static void seek(struct rollcall__model_watch *watch)
{
    const size_t end = applied(watch);
    while (watch->next_change < end && !tells(watch, watch->next_change)) {
        watch->next_change++;
    }
    if (watch->next_change >= end) {
        watch->synced = true;
        return;
    }
    const int64_t revision = revision_of(watch->model, watch->next_change);
    watch->compacted = watch->compacted ||
                       (revision < member_of(watch)->compacted && revision > watch->safe_revision);
}

/* How far behind the member's place it is. */
static int64_t behind(const struct rollcall__model_watch *watch)
{
    return member_of(watch)->revision - revision_of(watch->model, watch->next_change);
}

void rollcall__model_watches_seek(struct rollcall__model *model, uint32_t member)
{
    for (struct rollcall__model_watch *at = model->watches; at != NULL; at = at->next) {
        if (at->member == member) {
            seek(at);
        }
    }
}

void rollcall__model_watches_secure(struct rollcall__model *model, uint32_t member)
{
    for (struct rollcall__model_watch *at = model->watches; at != NULL; at = at->next) {
        if (at->member != member || at->compacted) {
            continue;
        }
        if (!has_events(at) || behind(at) < MODEL_WATCH_QUEUE_MAX) {
            at->safe_revision = model->members[member].revision;
        } else if (at->fragments_end != 0) {
            at->safe_revision = revision_of(model, at->fragments_end - 1);
        }
    }
}

void rollcall__model_watches_break(struct rollcall__model *model, uint32_t member)
{
    for (struct rollcall__model_watch *at = model->watches; at != NULL; at = at->next) {
        at->broken = at->broken || at->member == member;
    }
}

/* ---- open and close ---- */

static bool is_empty(const struct transport_range *range)
{
    const bool open_end = range->end.size_bytes == 1 && range->end.data[0] == '\0';
    return range->end.size_bytes != 0 && !open_end &&
           rollcall__bytes_compare(range->key, range->end) >= 0;
}

/* The first revision to tell. */
static int64_t choose_start(struct rollcall__model *model, uint32_t member, int64_t asked)
{
    const struct rollcall__model_member *at = &model->members[member];
    if (asked == 0) {
        return at->revision + 1;
    }
    const bool lags = at->revision < model->revision && asked > at->revision;
    if (!lags || !has_quirk(model, ROLLCALL__QUIRK_WATCHES_BACK_IN_TIME)) {
        return asked;
    }
    const int64_t earlier = at->revision - (int64_t)rollcall__random_below(
                                               &model->random, MODEL_BACK_IN_TIME_REVISIONS);
    return earlier > at->compacted ? earlier : at->compacted;
}

/* A member that knows it has no leader opens no watch. */
static bool refuses(const struct rollcall__model *model, uint32_t member)
{
    const struct rollcall__model_member *at = &model->members[member];
    return !rollcall__model_has_leader(model, member) &&
           (at->watches_end_ms == INT64_MAX || model->now_ms >= at->cut_ms + MODEL_ELECTION_MS);
}

struct rollcall__model_watch *rollcall__model_watch_open(struct rollcall__model *model,
                                                         uint32_t member,
                                                         struct transport_range *range)
{
    ROLLCALL_ASSERT(member < model->options.members);
    struct rollcall__model_watch *watch = calloc(1, sizeof *watch);
    ROLLCALL_ASSERT(watch != NULL);
    rollcall_object_keep(&range->object);
    watch->model = model;
    watch->range = range;
    watch->member = member;
    watch->broken = refuses(model, member);
    watch->empty_range = is_empty(range);
    watch->start = choose_start(model, member, range->revision);
    watch->next_change = rollcall__model_change_place(model, watch->start);
    watch->compacted =
        model->members[member].compacted > 0 && watch->start < model->members[member].compacted;
    watch->next = model->watches;
    if (watch->next != NULL) {
        watch->next->previous = watch;
    }
    model->watches = watch;
    seek(watch);
    return watch;
}

void rollcall__model_watch_close(struct rollcall__model_watch *watch)
{
    if (watch->next != NULL) {
        watch->next->previous = watch->previous;
    }
    if (watch->previous != NULL) {
        watch->previous->next = watch->next;
    } else {
        watch->model->watches = watch->next;
    }
    rollcall_object_drop(&watch->range->object);
    free(watch);
}

void rollcall__model_watch_progress(struct rollcall__model_watch *watch)
{
    watch->progress_wanted = true;
}

/* ---- responses ---- */

static void destroy_block(struct rollcall_object *object)
{
    free(object); /* the object is the first member of its block */
}

static struct transport_watch_response *create(int64_t revision, size_t event_count)
{
    struct transport_watch_response *response =
        malloc(sizeof *response + event_count * sizeof(struct transport_event));
    ROLLCALL_ASSERT(response != NULL);
    *response = (struct transport_watch_response){.revision = revision};
    rollcall_object_init(&response->object, destroy_block);
    return response;
}

static struct transport_watch_response *end_with_error(struct rollcall__model_watch *watch)
{
    struct transport_watch_response *response = create(0, 0);
    const bool down = member_of(watch)->state == ROLLCALL__MEMBER_DOWN;
    const bool led = rollcall__model_has_leader(watch->model, watch->member);
    rollcall__model_refuse(&response->error, down || led ? &BROKEN : &rollcall__model_no_leader);
    watch->over = true;
    return response;
}

static struct transport_watch_response *tell_created(struct rollcall__model_watch *watch)
{
    struct transport_watch_response *response = create(member_of(watch)->revision, 0);
    response->created = true;
    watch->created_told = true;
    if (watch->empty_range) {
        response->canceled = true;
        rollcall__model_refuse(&response->error, &EMPTY_RANGE);
        watch->over = true;
    }
    return response;
}

static struct transport_watch_response *tell_compacted(struct rollcall__model_watch *watch)
{
    struct transport_watch_response *response = create(0, 0);
    response->canceled = true;
    response->compact_revision = member_of(watch)->compacted;
    watch->over = true;
    return response;
}

/* Decides where the next response ends, and what its header says: all fragments agree. */
static void begin_response(struct rollcall__model_watch *watch)
{
    const bool batch = !watch->synced || behind(watch) >= MODEL_WATCH_QUEUE_MAX;
    const size_t end = applied(watch);
    int64_t revisions_left = batch ? MODEL_WATCH_REVISIONS_MAX : 1;
    int64_t revision = 0;
    size_t place = watch->next_change, count = 0;
    for (; place < end; place++) {
        if (!tells(watch, place)) {
            continue;
        }
        if (revision_of(watch->model, place) != revision && revisions_left-- == 0) {
            break;
        }
        revision = revision_of(watch->model, place);
        count++;
    }
    watch->fragments_end = place;
    watch->fragments_left = count;
    watch->fragments_revision = batch ? member_of(watch)->revision : revision;
}

static void fill_event(const struct rollcall__model_watch *watch, struct transport_event *event,
                       const struct transport_event *change)
{
    const bool readable = change->kv.mod_revision - 1 >= member_of(watch)->compacted;
    *event = (struct transport_event){.kind = change->kind, .kv = change->kv};
    if (watch->range->prev_kv && change->has_prev_kv && readable) {
        event->has_prev_kv = true;
        event->prev_kv = change->prev_kv;
    }
}

static struct transport_watch_response *tell_events(struct rollcall__model_watch *watch)
{
    if (watch->fragments_end == 0) {
        begin_response(watch);
    }
    const size_t most = watch->model->options.events_per_response_max;
    const bool cut = most != 0 && watch->fragments_left > most;
    const size_t count = cut ? most : watch->fragments_left;
    struct transport_watch_response *response = create(watch->fragments_revision, count);
    struct transport_event *events = (struct transport_event *)(response + 1);
    for (; response->event_count < count; watch->next_change++) {
        ROLLCALL_ASSERT(watch->next_change < watch->fragments_end);
        if (tells(watch, watch->next_change)) {
            fill_event(watch, &events[response->event_count++],
                       &watch->model->history[watch->next_change]);
        }
    }
    response->events = events;
    response->fragment = cut;
    watch->fragments_left -= count;
    if (!cut) {
        watch->next_change = watch->fragments_end;
        watch->fragments_end = 0;
        seek(watch);
    }
    return response;
}

static struct transport_watch_response *tell_progress(struct rollcall__model_watch *watch)
{
    watch->progress_wanted = false;
    return create(member_of(watch)->revision, 0);
}

/* A progress notification that would not wait for what comes before it. */
static bool progress_overtakes(const struct rollcall__model_watch *watch)
{
    return watch->progress_wanted && has_quirk(watch->model, ROLLCALL__QUIRK_PROGRESS_AHEAD);
}

bool rollcall__model_watch_ready(const struct rollcall__model_watch *watch, int64_t now_ms)
{
    ROLLCALL_ASSERT(now_ms >= watch->model->now_ms);
    if (watch->over || member_of(watch)->state == ROLLCALL__MEMBER_FROZEN) {
        return false;
    }
    return watch->broken || !watch->created_told || watch->compacted || watch->progress_wanted ||
           has_events(watch);
}

struct transport_watch_response *rollcall__model_watch_next(struct rollcall__model_watch *watch,
                                                            int64_t now_ms)
{
    rollcall__model_advance(watch->model, now_ms);
    if (!rollcall__model_watch_ready(watch, now_ms)) {
        return NULL;
    }
    if (watch->broken) {
        return end_with_error(watch);
    }
    if (!watch->created_told) {
        return tell_created(watch);
    }
    if (watch->fragments_end != 0) {
        return tell_events(watch);
    }
    if (watch->compacted) {
        return tell_compacted(watch);
    }
    if (has_events(watch) && !progress_overtakes(watch)) {
        return tell_events(watch);
    }
    return tell_progress(watch);
}

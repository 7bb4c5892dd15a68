/* actors/allocator_asks.c - see allocator_asks.h. */
#include "actors/allocator_asks.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 16, RETELL_MS = 20 };

static bool is_same_root(const struct session_config *config, const char *root)
{
    return strcmp(config->root, root) == 0;
}

/* ---- IDs that are reused ---- */

/* NULL: nobody has asked to share one of this root. */
static struct allocator_shared *find_shared(struct allocator_asks *asks, const char *root)
{
    for (size_t i = 0; i < asks->shared_count; i++) {
        if (is_same_root(asks->shared[i].config, root)) {
            return &asks->shared[i];
        }
    }
    return NULL;
}

/* The place for the shared ID of the config's root; NULL: there are too many. */
static struct allocator_shared *share(struct allocator_asks *asks, struct session_config *config)
{
    struct allocator_shared *found = find_shared(asks, config->root);
    if (found == NULL && asks->shared_count < ALLOCATOR_SHARED_MAX) {
        found = &asks->shared[asks->shared_count++];
        found->config = (struct session_config *)rollcall_object_keep(&config->object);
        found->server_id = 0;
    }
    return found;
}

/* Gives up the place when there is no ID for it. */
static void unshare(struct allocator_asks *asks, const char *root)
{
    struct allocator_shared *found = find_shared(asks, root);
    if (found != NULL && found->server_id == 0) {
        struct session_config *config = found->config;
        *found = asks->shared[--asks->shared_count];
        rollcall_object_drop(&config->object);
    }
}

/* ---- answers ---- */

/* false: there was no room. */
static bool send_answer(struct rollcall_context *cx, const struct allocator_owed *owed)
{
    struct rollcall_object *reason =
        owed->reason == NULL ? NULL : rollcall_object_keep(&owed->reason->object);
    return rollcall_reply(cx, owed->caller, owed->answer, &owed->payload, sizeof owed->payload,
                          reason) == ROLLCALL_OK;
}

static void drop_reason(struct rollcall_reason *reason)
{
    rollcall_object_drop(reason == NULL ? NULL : &reason->object);
}

static void retell_later(struct rollcall_context *cx)
{
    rollcall_timer_set(cx, ALLOCATOR_RETELL, rollcall_now_ms(cx) + RETELL_MS);
}

/* reason: borrowed; NULL: none, for here is the ID, or there is no memory for one. */
static void reply(struct rollcall_context *cx, struct allocator_asks *asks,
                  const struct allocator_waiting *to, struct allocator_answer payload,
                  struct rollcall_reason *reason)
{
    const struct allocator_owed owed = {
        .caller = to->caller, .answer = to->answer, .payload = payload, .reason = reason};
    if (send_answer(cx, &owed) || asks->waiting_count + asks->owed_count >= asks->capacity) {
        return; /* without a place it is dropped: who asks from another worker has a deadline */
    }
    if (reason != NULL) {
        rollcall_object_keep(&reason->object);
    }
    asks->owed[asks->owed_count++] = owed;
    if (asks->owed_count == 1) { /* else the timer is set, and must not be put off */
        retell_later(cx);
    }
}

/* Each is tried: who has no room must not hold up the others. */
void allocator_asks_retell(struct rollcall_context *cx, struct allocator_asks *asks)
{
    const size_t count = asks->owed_count;
    asks->owed_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct allocator_owed owed = asks->owed[i];
        if (send_answer(cx, &owed)) {
            drop_reason(owed.reason);
        } else {
            asks->owed[asks->owed_count++] = owed;
        }
    }
    if (asks->owed_count > 0) {
        retell_later(cx);
    }
}

/* The next of the `left` IDs from *next on for this ask; 0: none is left for it. */
static int64_t draw(struct allocator_shared *shared, const struct allocator_waiting *ask,
                    int64_t *next, size_t *left)
{
    if (ask->reuse && shared != NULL && shared->server_id != 0) {
        return shared->server_id;
    }
    if (*left == 0) {
        return 0;
    }
    (*left)--;
    if (ask->reuse && shared != NULL) {
        shared->server_id = *next;
    }
    return (*next)++;
}

/* Answers the asks of the first one's root and takes them off, in one pass.  reason: all of them
 * are refused; NULL: they get the `count` IDs from `first` on. */
static void answer(struct rollcall_context *cx, struct allocator_asks *asks, int64_t first,
                   size_t count, struct rollcall_reason *reason)
{
    struct session_config *config = asks->waiting[0].config;
    struct allocator_shared *shared = find_shared(asks, config->root);
    const size_t asked = asks->waiting_count;
    rollcall_object_keep(&config->object); /* its root is compared with to the end */
    asks->waiting_count = 0;
    for (size_t i = 0; i < asked; i++) {
        const struct allocator_waiting ask = asks->waiting[i];
        const bool ours = is_same_root(ask.config, config->root);
        const int64_t id = ours && reason == NULL ? draw(shared, &ask, &first, &count) : 0;
        if (!ours || (reason == NULL && id == 0)) {
            asks->waiting[asks->waiting_count++] = ask;
            continue;
        }
        reply(cx, asks, &ask,
              (struct allocator_answer){
                  .server_id = id, .status = reason == NULL ? ROLLCALL_OK : reason->error.status},
              reason);
        rollcall_object_drop(&ask.config->object);
    }
    rollcall_object_drop(&config->object);
}

void allocator_asks_serve(struct rollcall_context *cx, struct allocator_asks *asks, int64_t first,
                          size_t count)
{
    answer(cx, asks, first, count, NULL);
}

void allocator_asks_refuse(struct rollcall_context *cx, struct allocator_asks *asks,
                           struct rollcall_reason *reason)
{
    unshare(asks, asks->waiting[0].config->root);
    answer(cx, asks, 0, 0, reason);
}

/* ---- asks ---- */

const char *allocator_asks_root(const struct allocator_asks *asks)
{
    return asks->waiting_count == 0 ? NULL : asks->waiting[0].config->root;
}

size_t allocator_asks_ids(const struct allocator_asks *asks)
{
    const char *root = allocator_asks_root(asks);
    size_t count = 0;
    bool reused = false;
    for (size_t i = 0; i < asks->waiting_count; i++) {
        const struct allocator_waiting *ask = &asks->waiting[i];
        if (is_same_root(ask->config, root)) {
            count += !ask->reuse || !reused;
            reused |= ask->reuse;
        }
    }
    return count;
}

static void refuse_one(struct rollcall_context *cx, struct allocator_asks *asks,
                       const struct allocator_waiting *ask, const struct rollcall_error *error)
{
    struct rollcall_reason *reason = rollcall_reason_create(error);
    reply(cx, asks, ask, (struct allocator_answer){.status = error->status}, reason);
    drop_reason(reason);
}

/* false: out of memory. */
static bool grow(struct allocator_asks *asks)
{
    const size_t capacity = asks->capacity == 0 ? CAPACITY_MIN : 2 * asks->capacity;
    struct allocator_waiting *waiting =
        rollcall__reallocate(asks->waiting, capacity * sizeof *waiting);
    asks->waiting = waiting == NULL ? asks->waiting : waiting;
    struct allocator_owed *owed = rollcall__reallocate(asks->owed, capacity * sizeof *owed);
    asks->owed = owed == NULL ? asks->owed : owed;
    const bool grown = waiting != NULL && owed != NULL;
    asks->capacity = grown ? capacity : asks->capacity;
    return grown;
}

/* A place for one ask more; false: there is none. */
static bool reserve(struct allocator_asks *asks)
{
    return asks->waiting_count + asks->owed_count < asks->capacity ||
           (asks->capacity < ALLOCATOR_ASKS_MAX && grow(asks));
}

void allocator_asks_add(struct rollcall_context *cx, struct allocator_asks *asks,
                        const struct rollcall_message *message)
{
    const struct allocator_ask *asked = message->payload;
    const struct allocator_waiting ask = {.caller = message->from,
                                          .answer = asked->answer,
                                          .reuse = asked->reuse,
                                          .config = (struct session_config *)message->object};
    struct rollcall_error error;
    if (!reserve(asks)) {
        rollcall_error_set(&error, ROLLCALL_E_FULL, /* it may pass, whatever it is for want of */
                           "%zu sessions ask for a server ID already%s: ask again later",
                           asks->waiting_count + asks->owed_count,
                           asks->capacity < ALLOCATOR_ASKS_MAX ? ", and there is no memory for more"
                                                               : "");
        refuse_one(cx, asks, &ask, &error);
        return;
    }
    const struct allocator_shared *shared = ask.reuse ? share(asks, ask.config) : NULL;
    if (shared != NULL && shared->server_id != 0) {
        reply(cx, asks, &ask, (struct allocator_answer){.server_id = shared->server_id}, NULL);
    } else if (ask.reuse && shared == NULL) {
        rollcall_error_set(&error, ROLLCALL_E_INVALID,
                           "this connection has a shared server ID for %d roots already, and can "
                           "have none for %.80s: give a server ID, or do not reuse one",
                           ALLOCATOR_SHARED_MAX, ask.config->root);
        refuse_one(cx, asks, &ask, &error);
    } else {
        asks->waiting[asks->waiting_count++] = ask;
        rollcall_object_keep(&ask.config->object);
    }
}

void allocator_asks_fini(struct allocator_asks *asks)
{
    for (size_t i = 0; i < asks->waiting_count; i++) {
        rollcall_object_drop(&asks->waiting[i].config->object);
    }
    for (size_t i = 0; i < asks->owed_count; i++) {
        drop_reason(asks->owed[i].reason);
    }
    for (size_t i = 0; i < asks->shared_count; i++) {
        rollcall_object_drop(&asks->shared[i].config->object);
    }
    free(asks->owed);
    free(asks->waiting);
}

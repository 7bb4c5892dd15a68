/*
 * allocator - hands out server IDs to all sessions of one connection, many with one transaction.
 *
 *    IDLE --ASK--> READING --ANSWER--> SURVEYING --ANSWER(last page)--> TAKING
 *                     ^ |                                               ^ |
 *                     | +--ANSWER(surveyed before the race was lost)----+ |
 *                     +--RETRY-- PAUSING <-----ANSWER(lost the race)------+
 *    TAKING --ANSWER(taken), any --ANSWER(error)--> IDLE, or READING for the next root
 *    READING --ANSWER(no key, no value)--> PAUSING       PAUSING --RETRY(nobody waits)--> IDLE
 *    any --RETELL--> the same: answers that found no room are sent again
 *
 * The id key holds the next ID.  To take n of them is to compare-and-put n higher; of many
 * processes that try at once one succeeds, so a process takes as many as it has askers, and after a
 * lost race waits a random while that grows.  A transaction whose answer is lost skips its IDs, no
 * more.
 * The survey is of what the sessions themselves have: an id key that was set back, by a restore or
 * by hand, must not hand out what is in use.  It is done once per batch, after the key was read:
 * whoever takes IDs later changes the key, and our compare fails.
 * Those who reuse get the one ID of their root, which counts once in the batch that takes it.
 * Invariants: asks get their IDs in order, and one answer each; while any waits for an ID it is not
 * IDLE; one request is outstanding in READING, SURVEYING and TAKING, the one with id `asked`; no
 * ask that reuses waits for a root whose shared ID is known.  An error answers all who ask now.
 */
#include "actors/allocator.h"

#include "actors/allocator_asks.h"
#include "base/buffer.h"
#include "session/keys.h"
#include "transport/request.h"

#include <inttypes.h>

enum {
    PAGE_KEYS = 500,
    PAUSE_MIN_MS = 2,       /* doubled for each race lost in a row, */
    PAUSE_DOUBLINGS_MAX = 7 /* at most so often */
};
enum state { IDLE, READING, SURVEYING, TAKING, PAUSING, STATE_COUNT };

struct allocator {
    struct rollcall_ref transport;
    struct allocator_asks *asks; /* the handover */
    uint64_t asked;
    uint32_t lost;                  /* races in a row */
    size_t batch;                   /* TAKING: IDs, for as many of the root's asks as they serve */
    int64_t first;                  /* the lowest of them; from READING on what the key says */
    int64_t highest;                /* that a session was found to have; */
    bool surveyed;                  /* all pages of this batch's survey are in it */
    int64_t survey_revision;        /* 0: its first page is not there yet */
    struct rollcall__buffer value;  /* what the id key holds */
    struct rollcall__buffer prefix; /* ROOT/session/ of the root that is served */
};

static rollcall_handler_fn on_ask_idle, on_ask, on_read, on_surveyed, on_taken, on_retry, on_retell,
    on_bounced;

#define AGAIN (ROLLCALL_TO(IDLE) | ROLLCALL_TO(READING))
#define READ (ROLLCALL_TO(SURVEYING) | ROLLCALL_TO(TAKING) | ROLLCALL_TO(PAUSING))
#define SURVEYED (ROLLCALL_TO(SURVEYING) | ROLLCALL_TO(TAKING))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][ALLOCATOR_COUNT] = {
    [IDLE]     [ALLOCATOR_ASK]    = {on_ask_idle,     AGAIN},
    [IDLE]     [ALLOCATOR_ANSWER] = {rollcall_ignore, 0}, /* of a request that was given up */
    [IDLE]     [ALLOCATOR_RETELL] = {on_retell,       0},

    [READING]  [ALLOCATOR_ASK]    = {on_ask,          0},
    [READING]  [ALLOCATOR_ANSWER] = {on_read,         AGAIN | READ},
    [READING]  [ALLOCATOR_RETELL] = {on_retell,       0},
    [READING]  [ROLLCALL_BOUNCED] = {on_bounced,      0},

    [SURVEYING][ALLOCATOR_ASK]    = {on_ask,          0},
    [SURVEYING][ALLOCATOR_ANSWER] = {on_surveyed,     AGAIN | SURVEYED},
    [SURVEYING][ALLOCATOR_RETELL] = {on_retell,       0},
    [SURVEYING][ROLLCALL_BOUNCED] = {on_bounced,      0},

    [TAKING]   [ALLOCATOR_ASK]    = {on_ask,          0},
    [TAKING]   [ALLOCATOR_ANSWER] = {on_taken,        AGAIN | ROLLCALL_TO(PAUSING)},
    [TAKING]   [ALLOCATOR_RETELL] = {on_retell,       0},
    [TAKING]   [ROLLCALL_BOUNCED] = {on_bounced,      0},

    [PAUSING]  [ALLOCATOR_ASK]    = {on_ask,          0},
    [PAUSING]  [ALLOCATOR_ANSWER] = {rollcall_ignore, 0},
    [PAUSING]  [ALLOCATOR_RETRY]  = {on_retry,        AGAIN},
    [PAUSING]  [ALLOCATOR_RETELL] = {on_retell,       0},
};
/* clang-format on */

static int begin(struct rollcall_context *cx, struct allocator *al);

/* The batch is over: the next one looks for itself. */
static int begin_next(struct rollcall_context *cx, struct allocator *al)
{
    al->surveyed = false;
    al->highest = 0;
    return begin(cx, al);
}

/* Answers everybody who asked for an ID of this root, and goes on with the next root. */
static int refuse(struct rollcall_context *cx, struct allocator *al,
                  const struct rollcall_error *error)
{
    struct rollcall_reason *reason = rollcall_reason_create(error);
    if (reason == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a refusal");
    }
    allocator_asks_refuse(cx, al->asks, reason);
    rollcall_object_drop(&reason->object);
    return begin_next(cx, al);
}

/* ---- one round ---- */

/* request: moved; NULL: out of memory. */
static int ask_etcd(struct rollcall_context *cx, struct allocator *al,
                    struct transport_request *request, int next_state)
{
    const struct transport_call call = {
        .id = ++al->asked,
        .answer = ALLOCATOR_ANSWER}; /* askers want the cause at once, and ask again */
    if (request == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a request");
    }
    if (rollcall_send_object(cx, al->transport, TRANSPORT_CALL, &call, sizeof call,
                             &request->object) != ROLLCALL_OK) {
        return rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full");
    }
    return next_state;
}

/* Reads the key for whoever asked first; IDLE when nobody asks. */
static int begin(struct rollcall_context *cx, struct allocator *al)
{
    const char *root = allocator_asks_root(al->asks);
    return root == NULL ? IDLE : ask_etcd(cx, al, allocator_create_id(root), READING);
}

static int on_ask(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    allocator_asks_add(cx, ((struct allocator *)self)->asks, message);
    return ROLLCALL_STAY;
}

static int on_ask_idle(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    on_ask(cx, self, message);
    return begin(cx, self);
}

/* The first ID is above what the key says and what any session has. */
static int take(struct rollcall_context *cx, struct allocator *al)
{
    const char *root = allocator_asks_root(al->asks);
    struct rollcall_error error;
    if (al->highest >= al->first) {
        if (al->highest >= ALLOCATOR_ID_MAX) {
            rollcall_error_set(&error, ROLLCALL_E_CORRUPT,
                               "a session under %.160s has the server ID %" PRId64
                               ", and no higher one can be given out: end that session",
                               al->prefix.data, al->highest);
            return refuse(cx, al, &error);
        }
        rollcall_log(cx, ROLLCALL_WARN,
                     "the next server ID is %" PRId64 " by the id key of %s, but a session has "
                     "%" PRId64 ": the key was set back, going on above",
                     al->first, root, al->highest);
        al->first = al->highest + 1;
    }
    al->batch = allocator_asks_ids(al->asks);
    return ask_etcd(
        cx, al, allocator_take_ids(root, rollcall__buffer_bytes(&al->value), al->first, al->batch),
        TAKING);
}

/* Asks for the sessions of the root from `start` on. */
static int ask_page(struct rollcall_context *cx, struct allocator *al, struct rollcall_bytes start)
{
    struct rollcall__buffer end = {0};
    struct transport_request *request = NULL;
    rollcall__prefix_end(rollcall__buffer_bytes(&al->prefix), &end);
    if (!end.failed && !al->prefix.failed) {
        request = transport_request_range(start, rollcall__buffer_bytes(&end));
    }
    rollcall__buffer_free(&end);
    if (request != NULL) {
        request->range.limit = PAGE_KEYS;
        request->range.revision = al->survey_revision;
    }
    return ask_etcd(cx, al, request, SURVEYING);
}

static int survey(struct rollcall_context *cx, struct allocator *al)
{
    al->survey_revision = 0;
    rollcall__buffer_clear(&al->prefix);
    rollcall__key_prefix(&al->prefix, allocator_asks_root(al->asks), NULL);
    return ask_page(cx, al, rollcall__buffer_bytes(&al->prefix));
}

static int ask_next_page(struct rollcall_context *cx, struct allocator *al,
                         struct rollcall_bytes last_key)
{
    struct rollcall__buffer start = {0};
    rollcall__buffer_append(&start, last_key.data, last_key.size_bytes);
    rollcall__buffer_append(&start, "", 1); /* the key right after: a NUL more */
    const int next = start.failed
                         ? rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a key")
                         : ask_page(cx, al, rollcall__buffer_bytes(&start));
    rollcall__buffer_free(&start);
    return next;
}

static int pause(struct rollcall_context *cx, struct allocator *al)
{
    const uint32_t doublings = al->lost < PAUSE_DOUBLINGS_MAX ? al->lost : PAUSE_DOUBLINGS_MAX;
    const uint64_t window_ms = (uint64_t)PAUSE_MIN_MS << doublings;
    al->lost++;
    rollcall_timer_set(cx, ALLOCATOR_RETRY,
                       rollcall_now_ms(cx) + (int64_t)(rollcall_random(cx) % (window_ms + 1)));
    return PAUSING;
}

static int on_read(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct allocator *al = self;
    const struct transport_answer *header = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    struct rollcall_bytes value = rollcall__bytes("1"); /* we have just created it */
    struct rollcall_error error;
    if (header->id != al->asked) {
        return ROLLCALL_STAY;
    }
    if (header->status != ROLLCALL_OK) {
        return refuse(cx, al, &result->error);
    }
    if (!result->succeeded) {
        if (result->op_count == 0 || result->ops[0].kv_count == 0) {
            return pause(cx, al); /* deleted within the transaction: cannot be, and is no loop */
        }
        value = result->ops[0].kvs[0].value;
    }
    al->first = allocator_parse_id(value);
    if (al->first == 0) {
        allocator_refuse_value(allocator_asks_root(al->asks), value, &error);
        return refuse(cx, al, &error);
    }
    rollcall__buffer_clear(&al->value);
    rollcall__buffer_append(&al->value, value.data, value.size_bytes);
    if (al->value.failed) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for the id key's value");
    }
    return al->surveyed ? take(cx, al) : survey(cx, al);
}

static int on_surveyed(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    struct allocator *al = self;
    const struct transport_answer *header = message->payload;
    const struct transport_result *page = (const struct transport_result *)message->object;
    if (header->id != al->asked) {
        return ROLLCALL_STAY;
    }
    if (header->status != ROLLCALL_OK) {
        return refuse(cx, al, &page->error);
    }
    if (al->survey_revision == 0) {
        al->survey_revision = page->revision;
    }
    for (size_t i = 0; i < page->kv_count; i++) {
        int64_t id;
        if (allocator_id_of(&page->kvs[i], rollcall__buffer_bytes(&al->prefix), &id) !=
            ROLLCALL_OK) {
            return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a session's record");
        }
        al->highest = id > al->highest ? id : al->highest;
    }
    if (page->more && page->kv_count != 0) {
        return ask_next_page(cx, al, page->kvs[page->kv_count - 1].key);
    }
    al->surveyed = true;
    return take(cx, al);
}

static int on_taken(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct allocator *al = self;
    const struct transport_answer *header = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    if (header->id != al->asked) {
        return ROLLCALL_STAY;
    }
    if (header->status != ROLLCALL_OK) {
        return refuse(cx, al, &result->error);
    }
    if (!result->succeeded) {
        return pause(cx, al);
    }
    al->lost = 0;
    allocator_asks_serve(cx, al->asks, al->first, al->batch);
    return begin_next(cx, al);
}

static int on_retry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return begin(cx, self);
}

static int on_retell(struct rollcall_context *cx, void *self,
                     const struct rollcall_message *message)
{
    (void)message;
    allocator_asks_retell(cx, ((struct allocator *)self)->asks);
    return ROLLCALL_STAY;
}

/* The request, when the transport is on another worker and had no room: it will not be answered.
 * What went to an asker is not asked about, for each keeps a place for its one answer. */
static int on_bounced(struct rollcall_context *cx, void *self,
                      const struct rollcall_message *message)
{
    const struct rollcall_bounced *bounced = message->payload;
    return rollcall_ref_equal(bounced->to, ((struct allocator *)self)->transport)
               ? rollcall_fail(cx, ROLLCALL_E_FULL, "the transport's mailbox is full")
               : ROLLCALL_STAY;
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct allocator *al = self;
    al->transport = ((const struct allocator_options *)options)->transport;
    al->asks = rollcall_handover(cx);
    allocator_asks_retell(cx, al->asks);
    return begin(cx, al);
}

static void fini(void *self)
{
    rollcall__buffer_free(&((struct allocator *)self)->value);
    rollcall__buffer_free(&((struct allocator *)self)->prefix);
}

static void handover_fini(void *handover)
{
    allocator_asks_fini(handover);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "READING", "SURVEYING", "TAKING",
                                                     "PAUSING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(ALLOCATOR_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALLOCATOR_LIST);

const struct rollcall_actor_type allocator_type = {
    .name = "allocator",
    .self_size_bytes = sizeof(struct allocator),
    .options_size_bytes = sizeof(struct allocator_options),
    .handover_size_bytes = sizeof(struct allocator_asks),
    .init = init,
    .fini = fini,
    .handover_fini = handover_fini,
    .state_count = STATE_COUNT,
    .message_count = ALLOCATOR_COUNT,
    .state_names = STATE_NAMES,
    .message_names = MESSAGE_NAMES,
    .payload_sizes = PAYLOAD_SIZES,
    .table = &TABLE[0][0],
};

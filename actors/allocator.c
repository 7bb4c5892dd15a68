/*
 * allocator - hands out server IDs to all sessions of one connection, many with one transaction.
 *
 *    IDLE --ASK--> READING --ANSWER--> TAKING --ANSWER(taken)--> IDLE, or READING for the next root
 *                     ^                   |
 *                     +--RETRY-- PAUSING <+--ANSWER(lost the race)
 *
 * The id key holds the next ID.  To take n of them is to compare-and-put n higher; of many
 * processes that try at once one succeeds, so a process takes as many as it has askers, and after a
 * lost race waits a random while that grows.  A transaction whose answer is lost skips its IDs, no
 * more. Invariants: asks are answered in order, each once; while there are any it is not IDLE; one
 * request is outstanding in READING and TAKING, the one with id `asked`.  An error answers all who
 * ask now.
 */
#include "actors/allocator.h"

#include "base/buffer.h"
#include "session/keys.h"
#include "transport/request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    ASKS_MAX = 65536,
    PAUSE_MIN_MS = 2,       /* doubled for each race lost in a row, */
    PAUSE_DOUBLINGS_MAX = 7 /* at most so often */
};
enum state { IDLE, READING, TAKING, PAUSING, STATE_COUNT };
static const int64_t ID_MAX = INT64_MAX / 2; /* nothing that is added to one overflows */

struct ask {
    struct rollcall_caller caller;
    uint16_t answer;
    struct session_config *config; /* shared: the root is its */
};

/* Survives a restart: nobody has to ask again. */
struct allocator_handover {
    struct ask *asks; /* in the order they came */
    size_t count, capacity;
};

struct allocator {
    struct rollcall_ref transport;
    struct allocator_handover *held;
    uint64_t asked;
    uint32_t lost;                 /* races in a row */
    size_t batch;                  /* TAKING: the first so many asks of the root are served */
    struct rollcall__buffer value; /* what the id key holds */
};

static rollcall_handler_fn on_ask_idle, on_ask, on_read, on_taken, on_retry;

#define AGAIN (ROLLCALL_TO(IDLE) | ROLLCALL_TO(READING))
/* clang-format off */
static const struct rollcall_cell TABLE[STATE_COUNT][ALLOCATOR_COUNT] = {
    [IDLE]   [ALLOCATOR_ASK]    = {on_ask_idle,     AGAIN},
    [IDLE]   [ALLOCATOR_ANSWER] = {rollcall_ignore, 0}, /* of a request that was given up */

    [READING][ALLOCATOR_ASK]    = {on_ask,          0},
    [READING][ALLOCATOR_ANSWER] = {on_read,         AGAIN | ROLLCALL_TO(TAKING)},

    [TAKING] [ALLOCATOR_ASK]    = {on_ask,          0},
    [TAKING] [ALLOCATOR_ANSWER] = {on_taken,        AGAIN | ROLLCALL_TO(PAUSING)},

    [PAUSING][ALLOCATOR_ASK]    = {on_ask,          0},
    [PAUSING][ALLOCATOR_ANSWER] = {rollcall_ignore, 0},
    [PAUSING][ALLOCATOR_RETRY]  = {on_retry,        AGAIN},
};
/* clang-format on */

/* ---- the id key ---- */

/* A positive decimal number with room for many after it; 0 for anything else. */
static int64_t parse_id(struct rollcall_bytes text)
{
    int64_t id = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char digit = text.data[i];
        if (digit < '0' || digit > '9' || id > ID_MAX / 10) {
            return 0;
        }
        id = id * 10 + (digit - '0');
    }
    return id;
}

static void refuse_value(const char *root, struct rollcall_bytes value,
                         struct rollcall_error *error)
{
    struct rollcall__buffer key = {0};
    rollcall__key_id(&key, root);
    rollcall_error_set(
        error, ROLLCALL_E_CORRUPT,
        "the key %.160s holds \"%.*s\" where the next server ID, a decimal number "
        "from 1 to %" PRId64 ", belongs: put one there that is above every ID in use",
        key.failed ? "session/id" : key.data, (int)(value.size_bytes < 24 ? value.size_bytes : 24),
        value.data == NULL ? "" : value.data, ID_MAX);
    rollcall__buffer_free(&key);
}

/* Creates the key at 1, else tells what it holds. */
static struct transport_request *create_id(const char *root)
{
    struct rollcall__buffer key = {0};
    rollcall__key_id(&key, root);
    const struct transport_compare absent = {.target = TRANSPORT_COMPARE_VERSION,
                                             .key = rollcall__buffer_bytes(&key)};
    struct transport_request *request =
        key.failed ? NULL : transport_request_put_if(&absent, rollcall__bytes("1"), 0);
    rollcall__buffer_free(&key);
    return request;
}

/* Puts id + count if the key still holds `value`, else tells what it holds. */
static struct transport_request *take_ids(const char *root, struct rollcall_bytes value, int64_t id,
                                          size_t count)
{
    struct rollcall__buffer key = {0}, next = {0};
    struct transport_request *request = NULL;
    rollcall__key_id(&key, root);
    rollcall__buffer_format(&next, "%" PRId64, id + (int64_t)count);
    const struct transport_compare same = {
        .target = TRANSPORT_COMPARE_VALUE, .key = rollcall__buffer_bytes(&key), .value = value};
    if (!key.failed && !next.failed) {
        request = transport_request_put_if(&same, rollcall__buffer_bytes(&next), 0);
    }
    rollcall__buffer_free(&next);
    rollcall__buffer_free(&key);
    return request;
}

/* ---- asks ---- */

static bool is_of_root(const struct ask *ask, const char *root)
{
    return strcmp(ask->config->root, root) == 0;
}

/* Answers the first `count` asks of the first one's root and takes them off, in one pass.
 * reason: shared; NULL: they get the IDs from `id` on. */
static void answer(struct rollcall_context *cx, struct allocator_handover *held, size_t count,
                   int64_t id, struct rollcall_reason *reason)
{
    struct session_config *first = held->asks[0].config;
    const size_t asked = held->count;
    rollcall_object_keep(&first->object); /* its root is compared with to the end */
    held->count = 0;
    for (size_t i = 0; i < asked; i++) {
        const struct ask ask = held->asks[i];
        if (count == 0 || !is_of_root(&ask, first->root)) {
            held->asks[held->count++] = ask;
            continue;
        }
        const struct allocator_answer payload = {.server_id = reason == NULL ? id++ : 0,
                                                 .status = reason == NULL ? ROLLCALL_OK
                                                                          : reason->error.status};
        ROLLCALL_DROP(rollcall_reply(cx, ask.caller, ask.answer, &payload, sizeof payload,
                                     reason == NULL ? NULL : rollcall_object_keep(&reason->object)),
                      "an asker keeps a place for its one answer");
        rollcall_object_drop(&ask.config->object);
        count--;
    }
    rollcall_object_drop(&first->object);
}

static int begin(struct rollcall_context *cx, struct allocator *al);

/* Answers everybody who asked for an ID of this root, and goes on with the next root. */
static int refuse(struct rollcall_context *cx, struct allocator *al,
                  const struct rollcall_error *error)
{
    struct rollcall_reason *reason = rollcall_reason_create(error);
    if (reason == NULL) {
        return rollcall_fail(cx, ROLLCALL_E_NO_MEMORY, "out of memory for a refusal");
    }
    answer(cx, al->held, SIZE_MAX, 0, reason);
    rollcall_object_drop(&reason->object);
    return begin(cx, al);
}

static int on_ask(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct allocator *al = self;
    struct allocator_handover *held = al->held;
    const struct allocator_ask *asked = message->payload;
    if (held->count == held->capacity) {
        const size_t capacity = held->capacity == 0 ? 16 : 2 * held->capacity;
        struct ask *asks =
            capacity > ASKS_MAX ? NULL : realloc(held->asks, capacity * sizeof *asks);
        if (asks == NULL) {
            const struct allocator_answer full = {.status = ROLLCALL_E_FULL};
            ROLLCALL_DROP(
                rollcall_reply(cx, message->from, asked->answer, &full, sizeof full, NULL),
                "an asker keeps a place for its one answer");
            return ROLLCALL_STAY;
        }
        held->asks = asks;
        held->capacity = capacity;
    }
    held->asks[held->count++] =
        (struct ask){.caller = message->from,
                     .answer = asked->answer,
                     .config = (struct session_config *)rollcall_object_keep(message->object)};
    return ROLLCALL_STAY;
}

/* ---- one round ---- */

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
    if (al->held->count == 0) {
        return IDLE;
    }
    return ask_etcd(cx, al, create_id(al->held->asks[0].config->root), READING);
}

static int on_ask_idle(struct rollcall_context *cx, void *self,
                       const struct rollcall_message *message)
{
    on_ask(cx, self, message);
    return begin(cx, self);
}

static int on_read(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    struct allocator *al = self;
    const struct transport_answer *header = message->payload;
    const struct transport_result *result = (const struct transport_result *)message->object;
    const char *root = al->held->asks[0].config->root;
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
            return begin(cx, al); /* deleted within the transaction: cannot be, but costs nothing */
        }
        value = result->ops[0].kvs[0].value;
    }
    const int64_t id = parse_id(value);
    if (id == 0) {
        refuse_value(root, value, &error);
        return refuse(cx, al, &error);
    }
    rollcall__buffer_clear(&al->value);
    rollcall__buffer_append(&al->value, value.data, value.size_bytes);
    al->batch = 0;
    for (size_t i = 0; i < al->held->count; i++) {
        al->batch += is_of_root(&al->held->asks[i], root);
    }
    return ask_etcd(
        cx, al,
        al->value.failed ? NULL : take_ids(root, rollcall__buffer_bytes(&al->value), id, al->batch),
        TAKING);
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
    answer(cx, al->held, al->batch, parse_id(rollcall__buffer_bytes(&al->value)), NULL);
    return begin(cx, al);
}

static int on_retry(struct rollcall_context *cx, void *self, const struct rollcall_message *message)
{
    (void)message;
    return begin(cx, self);
}

/* ---- life ---- */

static int init(struct rollcall_context *cx, void *self, const void *options)
{
    struct allocator *al = self;
    al->transport = ((const struct allocator_options *)options)->transport;
    al->held = rollcall_handover(cx);
    return begin(cx, al);
}

static void fini(void *self)
{
    rollcall__buffer_free(&((struct allocator *)self)->value);
}

static void handover_fini(void *handover)
{
    struct allocator_handover *held = handover;
    for (size_t i = 0; i < held->count; i++) {
        rollcall_object_drop(&held->asks[i].config->object);
    }
    free(held->asks);
}

static const char *const STATE_NAMES[STATE_COUNT] = {"IDLE", "READING", "TAKING", "PAUSING"};
static const char *const MESSAGE_NAMES[] = ROLLCALL_MESSAGE_NAMES(ALLOCATOR_LIST);
static const uint16_t PAYLOAD_SIZES[] = ROLLCALL_PAYLOAD_SIZES(ALLOCATOR_LIST);

const struct rollcall_actor_type allocator_type = {
    .name = "allocator",
    .self_size_bytes = sizeof(struct allocator),
    .options_size_bytes = sizeof(struct allocator_options),
    .handover_size_bytes = sizeof(struct allocator_handover),
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

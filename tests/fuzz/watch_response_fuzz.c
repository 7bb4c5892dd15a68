/* A stream of messages, each behind its length in two bytes, as what etcd sends on a watch: what
 * comes out is what protobuf-c itself finds in them, fragments joined. */
#include "base/buffer.h"
#include "etcd.pb-c.h"
#include "etcd/codec.h"
#include "fuzz/fuzz.h"

enum { MESSAGES_MAX = 16, RESPONSE_MAX_BYTES = 16 << 20 };

/* What protobuf-c made of the fragments of one response. */
struct expected {
    Etcd__WatchResponse *messages[MESSAGES_MAX];
    size_t count;
};

static void forget(struct expected *expected)
{
    for (size_t i = 0; i < expected->count; i++) {
        etcd__watch_response__free_unpacked(expected->messages[i], NULL);
    }
    expected->count = 0;
}

static void check_data(struct rollcall_bytes actual, ProtobufCBinaryData expected)
{
    FUZZ_CHECK(actual.size_bytes == expected.len);
    FUZZ_CHECK(expected.len == 0 || memcmp(actual.data, expected.data, expected.len) == 0);
}

static void check_kv(const struct transport_kv *actual, const Etcd__KeyValue *expected)
{
    static const Etcd__KeyValue NONE = ETCD__KEY_VALUE__INIT;
    const Etcd__KeyValue *kv = expected == NULL ? &NONE : expected;
    check_data(actual->key, kv->key);
    check_data(actual->value, kv->value);
    FUZZ_CHECK(actual->create_revision == kv->create_revision);
    FUZZ_CHECK(actual->mod_revision == kv->mod_revision);
    FUZZ_CHECK(actual->version == kv->version && actual->lease_id == kv->lease);
}

static void check_events(const struct transport_watch_response *response,
                         const struct expected *expected)
{
    size_t at = 0;
    for (size_t i = 0; i < expected->count; i++) {
        const Etcd__WatchResponse *message = expected->messages[i];
        for (size_t k = 0; k < message->n_events; k++, at++) {
            FUZZ_CHECK(at < response->event_count);
            const struct transport_event *event = &response->events[at];
            const Etcd__Event *from = message->events[k];
            FUZZ_CHECK((event->kind == TRANSPORT_DELETE) ==
                       (from->type == ETCD__EVENT__EVENT_TYPE__DELETE));
            FUZZ_CHECK(event->has_prev_kv == (from->prev_kv != NULL));
            check_kv(&event->kv, from->kv);
            check_kv(&event->prev_kv, from->prev_kv);
        }
    }
    FUZZ_CHECK(at == response->event_count);
}

/* Whether etcd ended the watch, but for a compaction, which is told apart. */
static bool is_refused(const Etcd__WatchResponse *message)
{
    return message->canceled && message->compact_revision == 0;
}

/* A response that is whole; the last of its messages says how it stands. */
static void check_response(const struct transport_watch_response *response,
                           const struct expected *expected)
{
    const Etcd__WatchResponse *last = expected->messages[expected->count - 1];
    const bool refused = is_refused(last);
    FUZZ_CHECK(response->revision == (last->header == NULL ? 0 : last->header->revision));
    FUZZ_CHECK(response->created == last->created && response->canceled == last->canceled);
    FUZZ_CHECK(response->compact_revision == last->compact_revision && !response->fragment);
    FUZZ_CHECK((response->error.status != ROLLCALL_OK) == refused);
    if (refused) {
        FUZZ_CHECK(response->event_count == 0 && response->error.text[0] != '\0');
    } else {
        check_events(response, expected);
    }
}

/* A stream has one watch; what is refused may have any id. */
static bool is_of_another(const Etcd__WatchResponse *message)
{
    return message->watch_id != ROLLCALL__WATCH_ID && message->watch_id != 0 && !message->canceled;
}

static void write_in(struct rollcall__watch_block **partial, struct rollcall_bytes body)
{
    char *room = rollcall__codec_watch_room(partial, body.size_bytes);
    FUZZ_CHECK(room != NULL);
    if (body.size_bytes != 0) {
        memcpy(room, body.data, body.size_bytes);
    }
}

/* It is taken even if more might join it. */
static struct transport_watch_response *take_in(struct rollcall__watch_block **partial,
                                                struct rollcall_bytes body)
{
    write_in(partial, body);
    FUZZ_CHECK(rollcall__codec_watch_read(partial, RESPONSE_MAX_BYTES) == NULL);
    return rollcall__codec_watch_take(partial);
}

static void check_message(struct rollcall__watch_block **partial, struct expected *expected,
                          struct rollcall_bytes body)
{
    Etcd__WatchResponse *message =
        etcd__watch_response__unpack(NULL, body.size_bytes, (const uint8_t *)body.data);
    const struct rollcall__watch_block *before = *partial;
    struct transport_watch_response *response = take_in(partial, body);
    const bool another = message != NULL && is_of_another(message);
    if (another || (message == NULL && response == NULL)) { /* as if it had not come */
        FUZZ_CHECK(response == NULL && *partial == before); /* its events may be anything */
        etcd__watch_response__free_unpacked(message, NULL);
        return;
    }
    FUZZ_CHECK((response == NULL) == (*partial != NULL));
    if (message == NULL) {
        FUZZ_CHECK(response != NULL && response->error.status == ROLLCALL_E_UNAVAILABLE);
        FUZZ_CHECK(response->event_count == 0 && !response->fragment);
        forget(expected);
    } else {
        expected->messages[expected->count++] = message;
        FUZZ_CHECK((response == NULL) == (message->fragment && !is_refused(message)));
    }
    if (message != NULL && response != NULL) {
        check_response(response, expected);
        forget(expected);
    }
    if (response != NULL) {
        rollcall_object_drop(&response->object);
    }
}

/* Whether what joins is the same as what comes one by one: the events of all responses in a row. */
struct row {
    struct transport_watch_response *responses[2 * MESSAGES_MAX];
    size_t count, at, event_at;
};

static void add_to(struct row *row, struct transport_watch_response *response)
{
    if (response != NULL) {
        row->responses[row->count++] = response;
    }
}

/* NULL after the last. */
static const struct transport_event *next_event(struct row *row)
{
    while (row->at < row->count && row->event_at == row->responses[row->at]->event_count) {
        row->at++;
        row->event_at = 0;
    }
    return row->at == row->count ? NULL : &row->responses[row->at]->events[row->event_at++];
}

static bool same(const struct transport_kv *a, const struct transport_kv *b)
{
    return rollcall__bytes_equal(a->key, b->key) && rollcall__bytes_equal(a->value, b->value) &&
           a->mod_revision == b->mod_revision && a->create_revision == b->create_revision;
}

static void check_rows(struct row *joined, struct row *single)
{
    const struct transport_event *a, *b;
    do {
        a = next_event(joined);
        b = next_event(single);
        FUZZ_CHECK((a == NULL) == (b == NULL));
        FUZZ_CHECK(a == NULL ||
                   (a->kind == b->kind && same(&a->kv, &b->kv) && same(&a->prev_kv, &b->prev_kv)));
    } while (a != NULL);
    FUZZ_CHECK(joined->count <= single->count);
}

static void drop_row(struct row *row)
{
    for (size_t i = 0; i < row->count; i++) {
        rollcall_object_drop(&row->responses[i]->object);
    }
}

/* The next message of the input; false: there is none. */
static bool next_body(const uint8_t **data, size_t *size_bytes, struct rollcall_bytes *body)
{
    if (*size_bytes < 2) {
        return false;
    }
    const size_t said = (size_t)(*data)[0] << 8 | (*data)[1], left = *size_bytes - 2;
    *body = (struct rollcall_bytes){(const char *)*data + 2, said < left ? said : left};
    *data += 2 + body->size_bytes;
    *size_bytes -= 2 + body->size_bytes;
    return true;
}

static void check_joining(const uint8_t *data, size_t size_bytes)
{
    struct rollcall__watch_block *joins = NULL, *single = NULL;
    struct row joined = {.count = 0}, row = {.count = 0};
    struct rollcall_bytes body;
    for (int i = 0; i < MESSAGES_MAX && next_body(&data, &size_bytes, &body); i++) {
        add_to(&row, take_in(&single, body));
        write_in(&joins, body);
        add_to(&joined, rollcall__codec_watch_read(&joins, RESPONSE_MAX_BYTES));
        if (!rollcall__codec_watch_joins(joins)) {
            add_to(&joined, rollcall__codec_watch_take(&joins));
        }
    }
    if (rollcall__codec_watch_joins(joins)) {
        add_to(&joined, rollcall__codec_watch_take(&joins));
    }
    check_rows(&joined, &row);
    drop_row(&joined);
    drop_row(&row);
    rollcall__watch_block_free(joins);
    rollcall__watch_block_free(single);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct rollcall__watch_block *partial = NULL;
    struct expected expected = {.count = 0};
    struct rollcall_bytes body;
    check_joining(data, size_bytes);
    for (int i = 0; i < MESSAGES_MAX && next_body(&data, &size_bytes, &body); i++) {
        check_message(&partial, &expected, body);
    }
    rollcall__watch_block_free(partial);
    forget(&expected);
    return 0;
}

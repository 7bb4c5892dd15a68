/*
 * bench/fanout_server.c - in place of etcd in bench/fanout, which starts it:
 *     fanout_server TALLY        (prints "ready HOST:PORT", and serves until it is killed)
 * Answers what clients ask at first and, once it is stopped, what there is then; tells every watch
 * the same changes, in bytes that are made
 * once for all of them: `rate_per_s` a second, or as fast as each stream takes them; each response
 * brings `events_per_response`, and with each the value before if the watch wants it, as etcd does.
 */
#include "etcd.pb-c.h"
#include "support/canned_server.h"
#include "support/session_record.h"
#include "support/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Revisions have five bytes on the wire, all of them: so one is written over another. */
enum { REVISION_BASE = 1 << 28, REVISION_BYTES = 5, BEFORE_START_NS = 1000000 };
enum { BODIES = 256, VARIANTS = 2, KEY_DIGITS = 4, HEAD_BYTES_MAX = 64 };
static const uint64_t CLUSTER_ID = 14841639068965178418u, MEMBER_ID = 10276657743932975437u;
static const int64_t LEASE_ID = 7587872012345678901;

/* Where in a body what is different in the next one stands, for one event. */
struct marks {
    size_t key_digits, revision, value, previous_value; /* 0: none */
};

/* The events of a response, with the value before (1) or without (0). */
struct variant {
    uint8_t *template;
    size_t size_bytes;
    struct marks *marks;
    struct {
        int64_t position; /* of the response that it holds, plus 1; 0: none */
        grpc_slice bytes;
    } bodies[BODIES];
};

struct watch {
    int64_t id, position; /* of the next response */
    bool told_created, prev_kv;
};

struct stream {
    struct stream *before, *after;
    struct canned_call *call;
    struct watch *watches;
    size_t count, capacity, turn;
};

struct feed {
    struct tally tally;
    struct variant variants[VARIANTS];
    struct stream *streams;
    int64_t per_response, started_ns, head; /* responses that there are by now */
    int64_t furthest;                       /* what some watch has been told */
    bool stopped;
};

static void *need(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "fanout_server: no memory\n");
        exit(1);
    }
    return memory;
}

/* ---- bodies ---- */

static void put_revision(uint8_t *at, int64_t revision)
{
    for (int i = 0; i < REVISION_BYTES; i++) {
        at[i] = (uint8_t)((revision >> 7 * i & 0x7f) | (i + 1 < REVISION_BYTES ? 0x80 : 0));
    }
}

static Etcd__KeyValue key_value(char *key, char *value, int64_t mod_revision)
{
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    kv.key = (ProtobufCBinaryData){SESSION_RECORD_KEY_BYTES, (uint8_t *)key};
    kv.value = (ProtobufCBinaryData){SESSION_RECORD_BYTES, (uint8_t *)value};
    kv.create_revision = REVISION_BASE;
    kv.mod_revision = mod_revision;
    kv.version = 2;
    kv.lease = LEASE_ID;
    return kv;
}

static size_t find(const struct variant *variant, size_t from, const void *what, size_t size_bytes)
{
    const uint8_t *found =
        memmem(variant->template + from, variant->size_bytes - from, what, size_bytes);
    if (found == NULL) {
        abort(); /* it was packed just before */
    }
    return (size_t)(found - variant->template);
}

static void find_marks(struct variant *variant, int64_t count, const char *key, const char *value,
                       int64_t mod_revision, bool prev_kv)
{
    uint8_t revision[REVISION_BYTES];
    size_t at = 0;
    put_revision(revision, mod_revision);
    for (int64_t i = 0; i < count; i++) {
        struct marks *marks = &variant->marks[i];
        at = find(variant, at, key, SESSION_RECORD_KEY_BYTES);
        marks->key_digits = at + SESSION_RECORD_KEY_BYTES - KEY_DIGITS;
        marks->revision = at = find(variant, at, revision, REVISION_BYTES);
        marks->value = at = find(variant, at, value, SESSION_RECORD_BYTES);
        at += SESSION_RECORD_BYTES;
        if (prev_kv) {
            at = find(variant, at, value, SESSION_RECORD_BYTES);
            marks->previous_value = at;
            at += SESSION_RECORD_BYTES;
        }
    }
}

static void make_template(struct variant *variant, int64_t count, bool prev_kv)
{
    char key[SESSION_RECORD_KEY_BYTES + 1], value[SESSION_RECORD_BYTES];
    session_record_key(key, 0);
    session_record_value(value, 0);
    Etcd__KeyValue now = key_value(key, value, REVISION_BASE + 1);
    Etcd__KeyValue before = key_value(key, value, REVISION_BASE);
    Etcd__Event event = ETCD__EVENT__INIT;
    Etcd__Event **events = need(calloc((size_t)count, sizeof(*events)));
    Etcd__WatchResponse response = ETCD__WATCH_RESPONSE__INIT;
    event.kv = &now;
    event.prev_kv = prev_kv ? &before : NULL;
    for (int64_t i = 0; i < count; i++) {
        events[i] = &event;
    }
    response.events = events;
    response.n_events = (size_t)count;
    variant->size_bytes = etcd__watch_response__get_packed_size(&response);
    variant->template = need(malloc(variant->size_bytes));
    variant->marks = need(calloc((size_t)count, sizeof *variant->marks));
    etcd__watch_response__pack(&response, variant->template);
    find_marks(variant, count, key, value, REVISION_BASE + 1, prev_kv);
    free(events);
}

static void fill_body(const struct feed *feed, const struct variant *variant, int64_t position,
                      uint8_t *bytes)
{
    memcpy(bytes, variant->template, variant->size_bytes);
    for (int64_t i = 0; i < feed->per_response; i++) {
        const struct marks *marks = &variant->marks[i];
        const int64_t number = position * feed->per_response + i; /* there is one lane */
        for (int digit = 0, rest = 1000 + (int)(number % SESSION_RECORD_KEYS); digit < KEY_DIGITS;
             digit++, rest /= 10) {
            bytes[marks->key_digits + (size_t)(KEY_DIGITS - 1 - digit)] =
                (uint8_t)('0' + rest % 10);
        }
        put_revision(bytes + marks->revision, REVISION_BASE + 1 + position);
        session_record_renumber((char *)bytes + marks->value, number);
        if (marks->previous_value != 0) {
            session_record_renumber((char *)bytes + marks->previous_value,
                                    number - SESSION_RECORD_KEYS);
        }
    }
}

/* The events of a response, with a reference for the caller. */
static grpc_slice body_at(struct feed *feed, bool prev_kv, int64_t position)
{
    struct variant *variant = &feed->variants[prev_kv];
    const size_t place = (size_t)position % BODIES;
    grpc_slice *bytes = &variant->bodies[place].bytes;
    if (variant->bodies[place].position != position + 1) {
        if (variant->bodies[place].position != 0) {
            grpc_slice_unref(*bytes);
        }
        *bytes = grpc_slice_malloc(variant->size_bytes);
        fill_body(feed, variant, position, GRPC_SLICE_START_PTR(*bytes));
        variant->bodies[place].position = position + 1;
    }
    return grpc_slice_ref(*bytes);
}

static Etcd__ResponseHeader header_at(int64_t revision)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.cluster_id = CLUSTER_ID;
    header.member_id = MEMBER_ID;
    header.raft_term = 2;
    header.revision = revision;
    return header;
}

/* ---- watches ---- */

static void send_packed(struct canned_call *call, const ProtobufCMessage *message)
{
    grpc_slice bytes = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(bytes));
    canned_call_send(call, &bytes, 1, false);
    grpc_slice_unref(bytes);
}

static void send_created(struct stream *stream, struct watch *watch)
{
    Etcd__ResponseHeader header = header_at(REVISION_BASE);
    Etcd__WatchResponse response = ETCD__WATCH_RESPONSE__INIT;
    response.header = &header;
    response.watch_id = watch->id;
    response.created = true;
    watch->told_created = true;
    send_packed(stream->call, &response.base);
}

/* The head of the message is this watch's, its events are everybody's. */
static void send_events(struct feed *feed, struct stream *stream, struct watch *watch)
{
    const bool more = feed->tally.head->rate_per_s == 0 && !feed->stopped;
    Etcd__ResponseHeader header = header_at(REVISION_BASE + 1 + watch->position);
    Etcd__WatchResponse response = ETCD__WATCH_RESPONSE__INIT;
    uint8_t head[HEAD_BYTES_MAX];
    response.header = &header;
    response.watch_id = watch->id;
    grpc_slice pieces[] = {
        grpc_slice_from_copied_buffer((char *)head, etcd__watch_response__pack(&response, head)),
        body_at(feed, watch->prev_kv, watch->position)};
    watch->position++;
    feed->furthest = watch->position > feed->furthest ? watch->position : feed->furthest;
    canned_call_send(stream->call, pieces, 2, more);
    grpc_slice_unref(pieces[0]);
    grpc_slice_unref(pieces[1]);
}

/* One message, for the first watch after the last one's turn that is behind. */
static void pump(struct feed *feed, struct stream *stream)
{
    if (!canned_call_is_free(stream->call)) {
        return;
    }
    for (size_t i = 0; i < stream->count; i++) {
        struct watch *watch = &stream->watches[stream->turn];
        stream->turn = stream->turn + 1 == stream->count ? 0 : stream->turn + 1;
        if (!watch->told_created) {
            send_created(stream, watch);
            return;
        }
        if (watch->position < feed->head) {
            send_events(feed, stream, watch);
            return;
        }
    }
}

static struct stream *stream_of(struct feed *feed, struct canned_call *call)
{
    struct stream *stream = canned_call_user(call);
    if (stream == NULL) {
        stream = need(calloc(1, sizeof *stream));
        stream->call = call;
        stream->after = feed->streams;
        if (stream->after != NULL) {
            stream->after->before = stream;
        }
        feed->streams = stream;
        canned_call_set_user(call, stream);
    }
    return stream;
}

static void add_watch(struct feed *feed, struct stream *stream,
                      const Etcd__WatchCreateRequest *asked)
{
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity == 0 ? 1 : 2 * stream->capacity;
        stream->watches =
            need(realloc(stream->watches, stream->capacity * sizeof *stream->watches));
    }
    const int64_t position = asked->start_revision - (REVISION_BASE + 1);
    stream->watches[stream->count] =
        (struct watch){.id = asked->watch_id != 0 ? asked->watch_id : (int64_t)stream->count,
                       .position = position > 0 ? position : 0,
                       .prev_kv = asked->prev_kv};
    stream->turn = stream->count++;
    pump(feed, stream);
}

/* ---- what clients say ---- */

static void on_watch(struct feed *feed, struct canned_call *call, struct rollcall_bytes message)
{
    Etcd__WatchRequest *request =
        etcd__watch_request__unpack(NULL, message.size_bytes, (const uint8_t *)message.data);
    if (request != NULL &&
        request->request_union_case == ETCD__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST) {
        add_watch(feed, stream_of(feed, call), request->create_request);
    }
    if (request != NULL) {
        etcd__watch_request__free_unpacked(request, NULL);
    }
}

static void answer(struct canned_call *call, const ProtobufCMessage *message)
{
    send_packed(call, message);
    canned_call_end(call, GRPC_STATUS_OK, "");
}

/* Of each key the last event; before the end nothing, for watches begin with the first. */
static void answer_range(struct feed *feed, struct canned_call *call, Etcd__ResponseHeader *header)
{
    static char keys[SESSION_RECORD_KEYS][SESSION_RECORD_KEY_BYTES + 1];
    static char values[SESSION_RECORD_KEYS][SESSION_RECORD_BYTES];
    static Etcd__KeyValue kvs[SESSION_RECORD_KEYS];
    Etcd__KeyValue *all[SESSION_RECORD_KEYS];
    Etcd__RangeResponse range = ETCD__RANGE_RESPONSE__INIT;
    const int64_t total = feed->stopped ? feed->head * feed->per_response : 0;
    range.header = header;
    for (int64_t key = 0; key < SESSION_RECORD_KEYS && key < total; key++) {
        const int64_t number = key + (total - 1 - key) / SESSION_RECORD_KEYS * SESSION_RECORD_KEYS;
        session_record_key(keys[key], key);
        session_record_value(values[key], number);
        kvs[key] =
            key_value(keys[key], values[key], REVISION_BASE + 1 + number / feed->per_response);
        all[range.n_kvs++] = &kvs[key];
    }
    range.kvs = all;
    range.count = (int64_t)range.n_kvs;
    answer(call, &range.base);
}

static void answer_status(struct canned_call *call, Etcd__ResponseHeader *header)
{
    Etcd__StatusResponse status = ETCD__STATUS_RESPONSE__INIT;
    char version[] = "3.4.23";
    status.header = header;
    status.version = version;
    status.leader = MEMBER_ID;
    status.raft_index = status.raft_applied_index = REVISION_BASE;
    status.raft_term = 2;
    answer(call, &status.base);
}

static void on_message(void *user, struct canned_call *call, struct rollcall_bytes message)
{
    struct feed *feed = user;
    const struct rollcall_bytes method = canned_call_method(call);
    const char *name = memrchr(method.data, '/', method.size_bytes);
    const size_t size_bytes = name == NULL ? 0 : method.size_bytes - (size_t)(name - method.data);
    Etcd__ResponseHeader header = header_at(REVISION_BASE + feed->furthest);
    Etcd__MemberListResponse members = ETCD__MEMBER_LIST_RESPONSE__INIT;
    members.header = &header;
    if (size_bytes == 6 && memcmp(name, "/Watch", 6) == 0) {
        on_watch(feed, call, message);
    } else if (size_bytes == 6 && memcmp(name, "/Range", 6) == 0) {
        answer_range(feed, call, &header);
    } else if (size_bytes == 7 && memcmp(name, "/Status", 7) == 0) {
        answer_status(call, &header);
    } else if (size_bytes == 11 && memcmp(name, "/MemberList", 11) == 0) {
        answer(call, &members.base);
    } else {
        canned_call_end(call, GRPC_STATUS_UNIMPLEMENTED, "the canned etcd does not know that");
    }
}

static void on_sent(void *user, struct canned_call *call)
{
    if (canned_call_user(call) != NULL) {
        pump(user, canned_call_user(call));
    }
}

static void on_ended(void *user, struct canned_call *call)
{
    struct feed *feed = user;
    struct stream *stream = canned_call_user(call);
    if (stream == NULL) {
        return;
    }
    *(stream->before == NULL ? &feed->streams : &stream->before->after) = stream->after;
    if (stream->after != NULL) {
        stream->after->before = stream->before;
    }
    free(stream->watches);
    free(stream);
}

/* ---- time ---- */

/* What there is by now; when there will be more. */
static int64_t advance(struct feed *feed, int64_t now_ns)
{
    const struct tally_head *head = feed->tally.head;
    if (head->rate_per_s == 0) {
        const int64_t ahead = tally_slowest(&feed->tally) + head->lead;
        feed->head = ahead < 0 ? INT64_MAX : ahead / feed->per_response; /* < 0: nobody reads */
        return now_ns + BEFORE_START_NS;
    }
    const int64_t due = (now_ns - feed->started_ns) * head->rate_per_s / 1000000000;
    for (; feed->head < due; feed->head++) {
        for (int64_t i = 0; i < feed->per_response; i++) {
            tally_begun(&feed->tally, feed->head * feed->per_response + i, now_ns);
        }
    }
    return feed->started_ns + (feed->head + 1) * 1000000000 / head->rate_per_s;
}

/* One response more than any watch has had, so that each gets another, without `more`. */
static void stop(struct feed *feed)
{
    if (feed->tally.head->rate_per_s == 0) {
        feed->head = feed->furthest + 1;
    }
    feed->stopped = true;
    atomic_store(&feed->tally.head->fed, feed->head * feed->per_response);
}

static int64_t on_due(void *user, int64_t now_ns)
{
    struct feed *feed = user;
    int64_t next_ns = now_ns + BEFORE_START_NS;
    if (feed->stopped || !atomic_load(&feed->tally.head->started)) {
        return next_ns;
    }
    feed->started_ns = feed->started_ns == 0 ? now_ns : feed->started_ns;
    if (atomic_load(&feed->tally.head->stopped)) {
        stop(feed);
    } else {
        next_ns = advance(feed, now_ns);
    }
    for (struct stream *stream = feed->streams; stream != NULL; stream = stream->after) {
        pump(feed, stream);
    }
    return next_ns;
}

int main(int argc, char **argv)
{
    static struct feed feed;
    static const atomic_bool never;
    const struct canned_script script = {
        .user = &feed, .message = on_message, .sent = on_sent, .ended = on_ended, .due = on_due};
    if (argc != 2) {
        fprintf(stderr, "usage: fanout_server TALLY\n");
        return 2;
    }
    if (!tally_open(&feed.tally, argv[1])) {
        return 1;
    }
    feed.per_response = feed.tally.head->events_per_response;
    make_template(&feed.variants[0], feed.per_response, false);
    make_template(&feed.variants[1], feed.per_response, true);
    struct canned_server *server = canned_server_create(&script);
    if (server == NULL) {
        return 1;
    }
    printf("ready %s\n", canned_server_endpoint(server));
    fflush(stdout);
    canned_server_run(server, &never);
}

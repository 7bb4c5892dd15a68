/*
 * etcd/decode_watch.c - watch responses in.
 *
 * Read by hand, for this is where a busy watch spent most: protobuf-c took a third of the poller's
 * time, in an allocation and a copy of each field.  Here a message's bytes lie in one piece, and
 * keys and values are views of it; one pass over the message counts its events, one reads them.
 * What is taken for right and wrong is what protobuf-c takes for it: tests/fuzz holds the two
 * together.  Source of the encoding: protobuf.dev, "Encoding".
 */
#include "etcd/codec.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "channel/error.h"

#include <stdlib.h>
#include <string.h>

/* What is joined into one response: enough that what a response costs is shared by many events,
 * and so little that nobody waits for it. */
enum { JOIN_BYTES = 64 << 10 };

struct rollcall__watch_block {
    struct transport_watch_response response; /* first: the object */
    struct rollcall__arena arena;
    struct transport_event *events;
    size_t capacity;
    struct rollcall_bytes message; /* in the arena: the one that came last */
    bool begun;                    /* a message has been added */
    bool joins;                    /* it is whole, and news that comes next may be added to it */
};

/* ---- the wire ---- */

enum wire_type { VARINT = 0, FIXED_64 = 1, BYTES = 2, FIXED_32 = 5 };
enum { VARINT_BYTES = 10, TAG_BYTES = 5 };

/* A cursor.  What is no protobuf sets `broken`, and ends the reading. */
struct reader {
    const uint8_t *at, *end;
    bool broken;
};

struct field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;              /* of a VARINT */
    struct rollcall_bytes bytes; /* of BYTES */
};

static uint64_t read_long_varint(struct reader *reader, int bytes_max)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes_max && reader->at < reader->end; i++) {
        const uint8_t byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) {
            return value;
        }
    }
    reader->broken = true;
    return 0;
}

/* Nearly all are of one byte, tags and sizes, or of two: so much is worth to be inline. */
static inline uint64_t read_varint(struct reader *reader, int bytes_max)
{
    const uint8_t *at = reader->at;
    if (at < reader->end && at[0] < 0x80) {
        reader->at = at + 1;
        return at[0];
    }
    if (reader->end - at >= 2 && at[1] < 0x80) {
        reader->at = at + 2;
        return (uint64_t)(at[0] & 0x7F) | (uint64_t)at[1] << 7;
    }
    return read_long_varint(reader, bytes_max);
}

static struct rollcall_bytes read_bytes(struct reader *reader, uint64_t size_bytes)
{
    const struct rollcall_bytes bytes = {(const char *)reader->at, (size_t)size_bytes};
    if (size_bytes > (size_t)(reader->end - reader->at)) {
        reader->broken = true;
        return (struct rollcall_bytes){"", 0};
    }
    reader->at += size_bytes;
    return bytes;
}

/* False at the end, and when it is broken.  Inlined, for then a field is in registers: as a struct
 * that is written in halves and read as one it cost twice as much. */
__attribute__((always_inline)) static inline bool read_field(struct reader *reader,
                                                             struct field *field)
{
    if (reader->broken || reader->at == reader->end) {
        return false;
    }
    reader->broken = *reader->at < 8; /* there is no field 0 */
    const uint64_t tag = read_varint(reader, TAG_BYTES);
    *field = (struct field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    switch (field->type) {
    case VARINT:
        field->value = read_varint(reader, VARINT_BYTES);
        break;
    case BYTES:
        field->bytes = read_bytes(reader, read_varint(reader, TAG_BYTES));
        break;
    case FIXED_64:
        field->bytes = read_bytes(reader, 8);
        break;
    case FIXED_32:
        field->bytes = read_bytes(reader, 4);
        break;
    default: /* a group: etcd has none */
        reader->broken = true;
    }
    return !reader->broken;
}

static struct reader reader_of(struct rollcall_bytes bytes)
{
    const uint8_t *data = (const uint8_t *)bytes.data;
    return (struct reader){.at = data, .end = data + bytes.size_bytes};
}

static void read_number(struct reader *reader, const struct field *field, int64_t *number)
{
    reader->broken = reader->broken || field->type != VARINT;
    *number = (int64_t)field->value;
}

/* As protobuf-c does: whatever type it comes in, it is true when a bit of it is. */
static void read_flag(const struct field *field, bool *flag)
{
    *flag = field->type == VARINT ? field->value != 0
                                  : field->type == BYTES && field->bytes.size_bytes > 0;
    for (size_t i = 0; field->type != VARINT && i < field->bytes.size_bytes; i++) {
        *flag = *flag || (field->bytes.data[i] & 0x7F) != 0;
    }
}

/* A reader of what is inside. */
static struct reader enter(struct reader *reader, const struct field *field)
{
    reader->broken = reader->broken || field->type != BYTES;
    return reader_of(reader->broken ? (struct rollcall_bytes){"", 0} : field->bytes);
}

/* ---- messages: the numbers of their fields are those of the .proto; of one that comes twice,
 * as etcd's never does, the last counts ---- */

enum { EVENTS = 11 };

static bool read_header(struct reader reader, int64_t *revision)
{
    struct field field;
    int64_t other;
    *revision = 0;
    while (read_field(&reader, &field)) {
        switch (field.number) {
        case 3:
            read_number(&reader, &field, revision);
            break;
        case 1: /* cluster, member, raft term */
        case 2:
        case 4:
            read_number(&reader, &field, &other);
            break;
        default:
            break;
        }
    }
    return !reader.broken;
}

static inline bool take_tag(struct reader *reader, uint32_t number, enum wire_type type)
{
    const uint32_t tag = number << 3 | (uint32_t)type;
    const bool is_next = reader->at < reader->end && *reader->at == tag;
    reader->at += is_next;
    return is_next;
}

static inline int64_t take_number(struct reader *reader, uint32_t number)
{
    return take_tag(reader, number, VARINT) ? (int64_t)read_varint(reader, VARINT_BYTES) : 0;
}

static inline struct rollcall_bytes take_bytes(struct reader *reader, uint32_t number)
{
    return take_tag(reader, number, BYTES) ? read_bytes(reader, read_varint(reader, TAG_BYTES))
                                           : (struct rollcall_bytes){NULL, 0};
}

/* As Go writes it: each field once at most, in the order of their numbers.  False: it is not so,
 * and the general reader begins anew. */
static bool read_kv_go(struct reader reader, struct transport_kv *kv)
{
    kv->key = take_bytes(&reader, 1);
    kv->create_revision = take_number(&reader, 2);
    kv->mod_revision = take_number(&reader, 3);
    kv->version = take_number(&reader, 4);
    kv->value = take_bytes(&reader, 5);
    kv->lease_id = take_number(&reader, 6);
    return !reader.broken && reader.at == reader.end;
}

static bool read_kv(struct reader reader, struct transport_kv *kv)
{
    struct field field;
    if (read_kv_go(reader, kv)) {
        return true;
    }
    *kv = (struct transport_kv){.version = 0};
    while (read_field(&reader, &field)) {
        switch (field.number) {
        case 1:
            reader.broken = field.type != BYTES;
            kv->key = field.bytes;
            break;
        case 2:
            read_number(&reader, &field, &kv->create_revision);
            break;
        case 3:
            read_number(&reader, &field, &kv->mod_revision);
            break;
        case 4:
            read_number(&reader, &field, &kv->version);
            break;
        case 5:
            reader.broken = field.type != BYTES;
            kv->value = field.bytes;
            break;
        case 6:
            read_number(&reader, &field, &kv->lease_id);
            break;
        default:
            break;
        }
    }
    return !reader.broken;
}

static bool read_event(struct reader reader, struct transport_event *event)
{
    struct field field;
    int64_t kind;
    while (read_field(&reader, &field)) {
        switch (field.number) {
        case 1:
            read_number(&reader, &field, &kind);
            event->kind = (uint32_t)kind == 1 ? TRANSPORT_DELETE : TRANSPORT_PUT;
            break;
        case 2:
            reader.broken = !read_kv(enter(&reader, &field), &event->kv) || reader.broken;
            break;
        case 3:
            event->has_prev_kv = true;
            reader.broken = !read_kv(enter(&reader, &field), &event->prev_kv) || reader.broken;
            break;
        default:
            break;
        }
    }
    return !reader.broken;
}

/* All of a WatchResponse but its events, which are counted. */
struct summary {
    int64_t revision, watch_id, compact_revision;
    bool created, canceled, fragment;
    struct rollcall_bytes cancel_reason;
    size_t event_count;
};

static bool read_summary(struct reader reader, struct summary *summary)
{
    struct field field;
    *summary = (struct summary){0};
    while (read_field(&reader, &field)) {
        switch (field.number) {
        case 1:
            reader.broken =
                !read_header(enter(&reader, &field), &summary->revision) || reader.broken;
            break;
        case 2:
            read_number(&reader, &field, &summary->watch_id);
            break;
        case 3:
            read_flag(&field, &summary->created);
            break;
        case 4:
            read_flag(&field, &summary->canceled);
            break;
        case 5:
            read_number(&reader, &field, &summary->compact_revision);
            break;
        case 6:
            reader.broken = field.type != BYTES;
            summary->cancel_reason = field.bytes;
            break;
        case 7:
            read_flag(&field, &summary->fragment);
            break;
        case EVENTS:
            reader.broken = field.type != BYTES;
            summary->event_count++;
            break;
        default:
            break;
        }
    }
    return !reader.broken;
}

/* ---- blocks ---- */

void rollcall__watch_block_free(struct rollcall__watch_block *block)
{
    if (block != NULL) {
        rollcall__arena_free(&block->arena);
        free(block->events);
        free(block);
    }
}

static void destroy_response(struct rollcall_object *object)
{
    rollcall__watch_block_free((struct rollcall__watch_block *)object);
}

static struct rollcall__watch_block *create_block(void)
{
    struct rollcall__watch_block *block = rollcall__allocate_zeroed(1, sizeof *block);
    if (block != NULL) {
        rollcall_object_init(&block->response.object, destroy_response);
    }
    return block;
}

char *rollcall__codec_watch_room(struct rollcall__watch_block **block, size_t size_bytes)
{
    struct rollcall__watch_block *of = *block != NULL ? *block : create_block();
    char *room = of == NULL ? NULL : rollcall__arena_alloc(&of->arena, size_bytes);
    if (room == NULL) {
        rollcall__watch_block_free(of);
        *block = NULL;
        return NULL;
    }
    of->message = (struct rollcall_bytes){room, size_bytes};
    *block = of;
    return room;
}

static void drop_events(struct rollcall__watch_block *block)
{
    block->response.fragment = false;
    block->response.events = NULL;
    block->response.event_count = 0;
}

static size_t bytes_of(const struct rollcall__watch_block *block)
{
    return block->arena.total_bytes + block->capacity * sizeof *block->events;
}

static void no_memory(struct rollcall__watch_block *block)
{
    rollcall_error_set(&block->response.error, ROLLCALL_E_NO_MEMORY,
                       "out of memory while decoding %zu bytes from etcd",
                       block->message.size_bytes);
}

static void unreadable(struct rollcall__watch_block *block)
{
    rollcall_error_set(&block->response.error, ROLLCALL_E_UNAVAILABLE,
                       "etcd's answer (%zu bytes) cannot be decoded: check that the endpoint is an "
                       "etcd of version 3.4 or later",
                       block->message.size_bytes);
}

/* Room for `more` events behind those of earlier messages. */
static bool reserve_events(struct rollcall__watch_block *block, size_t more)
{
    const size_t wanted = block->response.event_count + more;
    if (wanted <= block->capacity) {
        return true;
    }
    const size_t capacity = block->capacity * 2 > wanted ? block->capacity * 2 : wanted;
    struct transport_event *events = rollcall__reallocate(block->events, capacity * sizeof *events);
    if (events == NULL) {
        return false;
    }
    block->events = events;
    block->capacity = capacity;
    block->response.events = events;
    return true;
}

/* Its status says what is in the way. */
static enum rollcall_status add_events(struct rollcall__watch_block *block, size_t count)
{
    struct reader reader = reader_of(block->message);
    struct field field;
    if (!reserve_events(block, count)) {
        return ROLLCALL_E_NO_MEMORY;
    }
    while (read_field(&reader, &field)) {
        if (field.number == EVENTS) {
            struct transport_event *event = &block->events[block->response.event_count++];
            *event = (struct transport_event){.kind = TRANSPORT_PUT};
            if (!read_event(reader_of(field.bytes), event)) {
                return ROLLCALL_E_UNAVAILABLE;
            }
        }
    }
    return ROLLCALL_OK;
}

static void set_canceled(struct rollcall__watch_block *block, struct rollcall_bytes reason)
{
    struct rollcall_bytes text;
    if (rollcall__arena_copy(&block->arena, reason, &text)) {
        rollcall__etcd_canceled(&block->response.error, text.data);
    } else {
        no_memory(block);
    }
}

/* A stream has one watch.  What is refused has the id -1; an id of 0 is none. */
static bool is_ours(const struct summary *summary)
{
    return summary->watch_id == ROLLCALL__WATCH_ID || summary->watch_id == 0 || summary->canceled;
}

/* News and nothing else: it may be told together with the news before and after it. */
static bool is_plain(const struct summary *summary)
{
    return summary->event_count > 0 && !summary->created && !summary->canceled &&
           summary->compact_revision == 0 && !summary->fragment;
}

static void add_message(struct rollcall__watch_block *block, const struct summary *summary,
                        size_t bytes_max)
{
    struct transport_watch_response *response = &block->response;
    response->revision = summary->revision;
    response->created = summary->created;
    response->canceled = summary->canceled;
    response->compact_revision = summary->compact_revision;
    response->fragment = summary->fragment;
    const enum rollcall_status status = add_events(block, summary->event_count);
    if (status == ROLLCALL_E_NO_MEMORY) {
        no_memory(block);
    } else if (status != ROLLCALL_OK) {
        unreadable(block);
    } else if (summary->canceled && summary->compact_revision == 0) {
        set_canceled(block, summary->cancel_reason);
    } else if (bytes_of(block) > bytes_max) {
        rollcall_error_set(&response->error, ROLLCALL_E_NO_MEMORY,
                           "one watch response holds more than %zu bytes: change fewer keys in "
                           "one transaction",
                           bytes_max);
        response->too_large = true;
    }
    if (response->error.status != ROLLCALL_OK) {
        drop_events(block);
    }
}

/* Adds the message to what is whole; false: it cannot be, and nothing was added. */
static bool join(struct rollcall__watch_block *block, const struct summary *summary,
                 size_t bytes_max)
{
    const size_t count = block->response.event_count;
    if (bytes_of(block) > bytes_max || add_events(block, summary->event_count) != ROLLCALL_OK) {
        block->response.event_count = count;
        return false;
    }
    block->response.revision = summary->revision;
    block->joins = bytes_of(block) < JOIN_BYTES;
    return true;
}

/* Moves the message into a block of its own.  Out of memory: the whole block has failed. */
static struct transport_watch_response *split(struct rollcall__watch_block **block)
{
    struct rollcall__watch_block *before = *block, *own = NULL;
    char *room = rollcall__codec_watch_room(&own, before->message.size_bytes);
    if (room == NULL) {
        before->joins = false;
        no_memory(before);
        drop_events(before);
        return NULL;
    }
    memcpy(room, before->message.data, before->message.size_bytes);
    *block = own;
    return &before->response;
}

/* The first message of a block, or a further fragment. */
static void begin(struct rollcall__watch_block *block, const struct summary *summary,
                  size_t bytes_max)
{
    const bool first = !block->begun;
    block->begun = true;
    if (summary == NULL) {
        unreadable(block);
        drop_events(block);
        return;
    }
    add_message(block, summary, bytes_max);
    block->joins = first && is_plain(summary) && block->response.error.status == ROLLCALL_OK &&
                   bytes_of(block) < JOIN_BYTES;
}

struct transport_watch_response *rollcall__codec_watch_read(struct rollcall__watch_block **block,
                                                            size_t bytes_max)
{
    struct transport_watch_response *before = NULL;
    struct summary summary;
    const bool readable = read_summary(reader_of((*block)->message), &summary);
    if (readable && !is_ours(&summary)) { /* as if it had not come */
        if (!(*block)->begun) {
            rollcall__watch_block_free(*block);
            *block = NULL;
        }
        return NULL;
    }
    if ((*block)->joins) {
        if (readable && is_plain(&summary) && join(*block, &summary, bytes_max)) {
            return NULL;
        }
        if ((before = split(block)) == NULL) {
            return NULL;
        }
    }
    begin(*block, readable ? &summary : NULL, bytes_max);
    return before;
}

bool rollcall__codec_watch_joins(const struct rollcall__watch_block *block)
{
    return block != NULL && block->joins;
}

struct transport_watch_response *rollcall__codec_watch_take(struct rollcall__watch_block **block)
{
    if (*block == NULL || (*block)->response.fragment) {
        return NULL;
    }
    struct transport_watch_response *response = &(*block)->response;
    *block = NULL;
    return response;
}

/* Watch responses are made with protobuf-c's encoder, so that it cannot hide a mistake of ours. */
#include "base/buffer.h"
#include "etcd/codec.h"
#include "packed.h"
#include "support/test.h"

/* What is handed over once a message has come; it is taken even if more might join it. */
static struct transport_watch_response *take_in(struct rollcall__watch_block **block,
                                                struct rollcall_bytes message, size_t bytes_max)
{
    char *room = rollcall__codec_watch_room(block, message.size_bytes);
    CHECK(room != NULL);
    memcpy(room, message.data, message.size_bytes);
    CHECK(rollcall__codec_watch_read(block, bytes_max) == NULL);
    return rollcall__codec_watch_take(block);
}

static struct transport_watch_response *feed(struct rollcall__watch_block **partial,
                                             const char *first_key, size_t events, bool fragment,
                                             size_t bytes_max)
{
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    header.revision = 8;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    kv.key = packed_data(first_key);
    kv.mod_revision = 7;
    Etcd__Event event = ETCD__EVENT__INIT;
    event.kv = &kv;
    Etcd__Event *list[] = {&event, &event, &event};
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.header = &header;
    message.watch_id = 1;
    message.fragment = fragment;
    message.events = list;
    message.n_events = events;
    return take_in(partial, packed(&message.base), bytes_max);
}

TEST(decode_watch, fragments_are_joined_in_order)
{
    struct rollcall__watch_block *partial = NULL;
    CHECK(feed(&partial, "a", 2, true, 1 << 20) == NULL);
    CHECK(feed(&partial, "b", 3, true, 1 << 20) == NULL);
    struct transport_watch_response *response = feed(&partial, "c", 1, false, 1 << 20);
    CHECK(partial == NULL);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    CHECK(!response->fragment);
    CHECK_INT(response->event_count, 6);
    CHECK_BYTES(response->events[1].kv.key, "a");
    CHECK_BYTES(response->events[4].kv.key, "b");
    CHECK_BYTES(response->events[5].kv.key, "c");
    CHECK_INT(response->revision, 8);
    rollcall_object_drop(&response->object);
}

/* A stream has one watch, so etcd sends no such thing; progress that nobody asked for has the id
 * -1.
 */
TEST(decode_watch, what_is_of_another_watch_is_no_part_of_a_response)
{
    struct rollcall__watch_block *partial = NULL;
    Etcd__WatchResponse other = ETCD__WATCH_RESPONSE__INIT;
    other.watch_id = 2;
    CHECK(take_in(&partial, packed(&other.base), 1 << 20) == NULL);
    CHECK(partial == NULL);
    CHECK(feed(&partial, "a", 1, true, 1 << 20) == NULL);
    for (other.watch_id = -1; other.watch_id <= 3; other.watch_id += 2) {
        other.fragment = other.watch_id == 3;
        if (other.watch_id != 1) {
            CHECK(take_in(&partial, packed(&other.base), 1 << 20) == NULL);
        }
    }
    struct transport_watch_response *response = feed(&partial, "b", 1, false, 1 << 20);
    CHECK_INT(response->event_count, 2);
    CHECK_BYTES(response->events[0].kv.key, "a");
    CHECK_BYTES(response->events[1].kv.key, "b");
    rollcall_object_drop(&response->object);
}

TEST(decode_watch, fragments_are_bounded)
{
    struct rollcall__watch_block *partial = NULL;
    struct transport_watch_response *response = NULL;
    for (int i = 0; i < 10000 && response == NULL; i++) {
        response = feed(&partial, "a", 3, true, 64 << 10);
    }
    CHECK(response != NULL && partial == NULL);
    CHECK_INT(response->error.status, ROLLCALL_E_NO_MEMORY);
    CHECK(response->too_large);
    CHECK_INT(response->event_count, 0); /* half a response must not be taken for one */
    rollcall_object_drop(&response->object);
}

TEST(decode_watch, delete_carries_the_value_before)
{
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT, previous = ETCD__KEY_VALUE__INIT;
    kv.key = packed_data("k");
    kv.mod_revision = 9;
    previous.key = packed_data("k");
    previous.value = packed_data("old");
    previous.lease = 3;
    Etcd__Event event = ETCD__EVENT__INIT, bare = ETCD__EVENT__INIT;
    event.type = bare.type = ETCD__EVENT__EVENT_TYPE__DELETE;
    event.kv = bare.kv = &kv;
    event.prev_kv = &previous;
    Etcd__Event *list[] = {&event, &bare};
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.events = list;
    message.n_events = 2;
    struct rollcall__watch_block *partial = NULL;
    struct transport_watch_response *response = take_in(&partial, packed(&message.base), 1 << 20);
    CHECK_INT(response->events[0].kind, TRANSPORT_DELETE);
    CHECK_INT(response->events[0].kv.mod_revision, 9);
    CHECK(response->events[0].has_prev_kv);
    CHECK_BYTES(response->events[0].prev_kv.value, "old");
    CHECK_INT(response->events[0].prev_kv.lease_id, 3);
    CHECK(!response->events[1].has_prev_kv);
    rollcall_object_drop(&response->object);
}

/* Reads a message, and leaves it to be joined.  Returns: what was handed over before it. */
static struct transport_watch_response *join(struct rollcall__watch_block **block,
                                             struct rollcall_bytes message)
{
    char *room = rollcall__codec_watch_room(block, message.size_bytes);
    CHECK(room != NULL);
    memcpy(room, message.data, message.size_bytes);
    return rollcall__codec_watch_read(block, 1 << 20);
}

static struct rollcall_bytes pack_news(Etcd__WatchResponse *message, const char *key,
                                       int64_t revision, size_t value_bytes)
{
    static char value[1 << 15];
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;
    Etcd__KeyValue kv = ETCD__KEY_VALUE__INIT;
    Etcd__Event event = ETCD__EVENT__INIT;
    Etcd__Event *list[] = {&event};
    header.revision = kv.mod_revision = revision;
    kv.key = packed_data(key);
    kv.value.data = (uint8_t *)value;
    kv.value.len = value_bytes;
    event.kv = &kv;
    message->header = &header;
    message->watch_id = 1;
    message->events = list;
    message->n_events = 1;
    return packed(&message->base);
}

static struct rollcall_bytes pack_plain(const char *key, int64_t revision, size_t value_bytes)
{
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    return pack_news(&message, key, revision, value_bytes);
}

TEST(decode_watch, news_that_waits_is_joined_by_more)
{
    struct rollcall__watch_block *block = NULL;
    CHECK(!rollcall__codec_watch_joins(block));
    CHECK(join(&block, pack_plain("a", 5, 3)) == NULL);
    CHECK(rollcall__codec_watch_joins(block));
    CHECK(join(&block, pack_plain("b", 6, 0)) == NULL);
    struct transport_watch_response *response = rollcall__codec_watch_take(&block);
    CHECK(block == NULL && rollcall__codec_watch_take(&block) == NULL);
    CHECK_INT(response->event_count, 2);
    CHECK_BYTES(response->events[0].kv.key, "a");
    CHECK_BYTES(response->events[1].kv.key, "b");
    CHECK_INT(response->events[1].kv.mod_revision, 6);
    CHECK_INT(response->revision, 6);
    rollcall_object_drop(&response->object);
}

/* Else a reader would see created, canceled or half a revision behind the news it came after. */
TEST(decode_watch, what_is_not_only_news_is_handed_over_by_itself)
{
    for (int i = 0; i < 4; i++) {
        struct rollcall__watch_block *block = NULL;
        Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
        message.created = i == 0;
        message.canceled = i == 1;
        message.fragment = i == 2;
        message.compact_revision = i == 3 ? 4 : 0;
        CHECK(join(&block, pack_plain("a", 5, 3)) == NULL);
        struct transport_watch_response *before = join(&block, pack_news(&message, "b", 6, 3));
        CHECK(before != NULL && !rollcall__codec_watch_joins(block));
        CHECK_INT(before->event_count, 1);
        CHECK_INT(before->revision, 5);
        CHECK(!before->created && !before->canceled && before->compact_revision == 0);
        rollcall_object_drop(&before->object);
        struct transport_watch_response *own = rollcall__codec_watch_take(&block);
        CHECK((own == NULL) == message.fragment);
        if (own != NULL) {
            CHECK(own->created == message.created && own->canceled == message.canceled);
            CHECK_INT(own->compact_revision, message.compact_revision);
            rollcall_object_drop(&own->object);
        }
        rollcall__watch_block_free(block);
    }
}

TEST(decode_watch, what_cannot_be_decoded_takes_no_news_with_it)
{
    struct rollcall__watch_block *block = NULL;
    CHECK(join(&block, pack_plain("a", 5, 3)) == NULL);
    struct rollcall_bytes broken = pack_plain("b", 6, 3);
    broken.size_bytes--; /* within the event */
    struct transport_watch_response *before = join(&block, broken);
    CHECK_INT(before->event_count, 1);
    CHECK_INT(before->error.status, ROLLCALL_OK);
    rollcall_object_drop(&before->object);
    struct transport_watch_response *own = rollcall__codec_watch_take(&block);
    CHECK_INT(own->error.status, ROLLCALL_E_UNAVAILABLE);
    CHECK_INT(own->event_count, 0);
    rollcall_object_drop(&own->object);
}

TEST(decode_watch, what_joins_is_bounded)
{
    struct rollcall__watch_block *block = NULL;
    int joined = 0;
    do {
        CHECK(join(&block, pack_plain("a", 5 + joined, 1 << 14)) == NULL);
        joined++;
    } while (rollcall__codec_watch_joins(block) && joined < 100);
    CHECK(joined >= 2 && joined <= 5);
    struct transport_watch_response *response = rollcall__codec_watch_take(&block);
    CHECK_INT(response->event_count, joined);
    rollcall_object_drop(&response->object);
}

static struct transport_watch_response *canceled(int64_t compact_revision, const char *reason)
{
    Etcd__WatchResponse message = ETCD__WATCH_RESPONSE__INIT;
    message.created = true;
    message.canceled = true;
    message.watch_id = -1;
    message.compact_revision = compact_revision;
    message.cancel_reason = (char *)(uintptr_t)reason;
    struct rollcall__watch_block *partial = NULL;
    return take_in(&partial, packed(&message.base), 1 << 20);
}

TEST(decode_watch, compaction_is_a_cancellation_not_an_error)
{
    struct transport_watch_response *response =
        canceled(44, "etcdserver: mvcc: required revision has been compacted");
    CHECK(response->canceled);
    CHECK_INT(response->compact_revision, 44);
    CHECK_INT(response->error.status, ROLLCALL_OK);
    rollcall_object_drop(&response->object);
}

TEST(decode_watch, other_cancellations_say_why)
{
    struct transport_watch_response *response =
        canceled(0, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    CHECK(response->canceled);
    CHECK_INT(response->error.status, ROLLCALL_E_DENIED);
    CHECK(strstr(response->error.text, "permission denied") != NULL);
    rollcall_object_drop(&response->object);
}

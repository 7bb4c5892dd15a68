/* actors/allocator_ids.c - what the allocator reads and writes in etcd; pure.  See allocator.h. */
#include "actors/allocator.h"

#include "base/buffer.h"
#include "session/keys.h"
#include "session/record.h"
#include "transport/request.h"

#include <inttypes.h>

/* ---- the id key ---- */

int64_t allocator_parse_id(struct rollcall_bytes text)
{
    int64_t id = 0;
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char digit = text.data[i];
        if (digit < '0' || digit > '9' || id > ALLOCATOR_ID_MAX / 10) {
            return 0;
        }
        id = id * 10 + (digit - '0');
    }
    return id;
}

void allocator_refuse_value(const char *root, struct rollcall_bytes value,
                            struct rollcall_error *error)
{
    struct rollcall__buffer key = {0};
    rollcall__key_id(&key, root);
    rollcall_error_set(
        error, ROLLCALL_E_CORRUPT,
        "the key %.160s holds \"%.*s\" where the next server ID, a decimal number "
        "from 1 to %" PRId64 ", belongs: put one there that is above every ID in use",
        key.failed ? "session/id" : key.data, (int)(value.size_bytes < 24 ? value.size_bytes : 24),
        value.data == NULL ? "" : value.data, ALLOCATOR_ID_MAX);
    rollcall__buffer_free(&key);
}

struct transport_request *allocator_create_id(const char *root)
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

struct transport_request *allocator_take_ids(const char *root, struct rollcall_bytes value,
                                             int64_t first, size_t count)
{
    struct rollcall__buffer key = {0}, next = {0};
    struct transport_request *request = NULL;
    rollcall__key_id(&key, root);
    rollcall__buffer_format(&next, "%" PRId64, first + (int64_t)count);
    const struct transport_compare same = {
        .target = TRANSPORT_COMPARE_VALUE, .key = rollcall__buffer_bytes(&key), .value = value};
    if (!key.failed && !next.failed) {
        request = transport_request_put_if(&same, rollcall__buffer_bytes(&next), 0);
    }
    rollcall__buffer_free(&next);
    rollcall__buffer_free(&key);
    return request;
}

/* ---- what sessions have ---- */

/* The number after the last '-' of a key; 0: it ends otherwise, or with more than an ID can be. */
static int64_t id_of_key(struct rollcall_bytes key)
{
    int64_t id = 0, unit = 1;
    for (size_t i = key.size_bytes; i-- > 0;) {
        const char digit = key.data[i];
        if (digit == '-') {
            return id;
        }
        if (digit < '0' || digit > '9' ||
            (digit > '0' && (unit == 0 || digit - '0' > (INT64_MAX - id) / unit))) {
            return 0;
        }
        id += unit == 0 ? 0 : (digit - '0') * unit;
        unit = unit > INT64_MAX / 10 ? 0 : unit * 10;
    }
    return 0;
}

/* An exclusive session's key does not say its ID; the record does.  0: it holds none. */
static enum rollcall_status id_of_record(struct rollcall_bytes value, int64_t *id)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    struct rollcall_error error;
    const enum rollcall_status status = rollcall__record_decode(value, &arena, &record, &error);
    *id = status == ROLLCALL_OK ? record.server_id : 0;
    rollcall__arena_free(&arena);
    return status == ROLLCALL_E_NO_MEMORY ? status : ROLLCALL_OK;
}

enum rollcall_status allocator_id_of(const struct transport_kv *kv,
                                     struct rollcall_bytes session_prefix, int64_t *id)
{
    *id = 0;
    if (!rollcall__key_is_of_role(kv->key, session_prefix, rollcall__bytes(""))) {
        return ROLLCALL_OK;
    }
    *id = id_of_key(kv->key);
    return *id != 0 ? ROLLCALL_OK : id_of_record(kv->value, id);
}

/*
 * session/record_go.c - see record_go.h.
 *
 * Nearly all that a watch reads was written by Go, so each name is not read but compared, where it
 * has to be, with what Go writes there.  What is a surprise ends it: the general reader begins
 * anew.
 *
 * To make an item of 300 bytes that one took 530 ns: half of them to find where tokens begin and
 * end, an eighth to find which field a name is, a twelfth each for digits one by one and for a
 * version that was searched for what it seldom has.  Now it is 160 ns, no part above a sixth.
 * `inline` where it says so is a tenth of that: a field is a handful of instructions.
 */
#include "session/record_go.h"

#include "session/json.h"
#include "session/record_fields.h"

#include <string.h>

struct input {
    const char *at, *end;
};

static size_t left_bytes(const struct input *in)
{
    return (size_t)(in->end - in->at);
}

/* Takes the character, if it is next. */
static bool take(struct input *in, char c)
{
    if (in->at == in->end || *in->at != c) {
        return false;
    }
    in->at++;
    return true;
}

static bool equal_eight(const char *a, const char *b)
{
    return memcmp(a, b, 8) == 0; /* a size that the compiler knows: two loads */
}

/* Takes the name of a field with its colon, if that is next.  Every one has more than eight bytes:
 * the last eight may overlap those before. */
static inline bool take_name(struct input *in, const struct rollcall__field *field)
{
    const size_t size_bytes = field->quoted_bytes;
    if (left_bytes(in) < size_bytes) {
        return false;
    }
    for (size_t i = 0; i + 8 < size_bytes; i += 8) {
        if (!equal_eight(in->at + i, field->quoted + i)) {
            return false;
        }
    }
    if (!equal_eight(in->at + size_bytes - 8, field->quoted + size_bytes - 8)) {
        return false;
    }
    in->at += size_bytes;
    return true;
}

static inline bool take_text(struct input *in, struct rollcall_bytes *text)
{
    if (!take(in, '"')) {
        return false;
    }
    const size_t size_bytes = rollcall__json_plain_run(in->at, left_bytes(in));
    *text = size_bytes == 0 ? (struct rollcall_bytes){"", 0}
                            : (struct rollcall_bytes){in->at, size_bytes};
    in->at += size_bytes;
    return take(in, '"');
}

/* INT64_MIN alone is left to the general reader. */
static inline bool take_integer(struct input *in, int64_t *value)
{
    uint64_t sum;
    const bool negative = take(in, '-');
    const size_t digits = rollcall__json_digits(in->at, left_bytes(in), &sum);
    if (digits == 0 || (digits > 1 && *in->at == '0') || sum > INT64_MAX) {
        return false;
    }
    in->at += digits;
    *value = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

static bool take_flag(struct input *in, bool *value)
{
    *value = left_bytes(in) >= 4 && memcmp(in->at, "true", 4) == 0;
    if (*value) {
        in->at += 4;
        return true;
    }
    if (left_bytes(in) < 5 || memcmp(in->at, "false", 5) != 0) {
        return false;
    }
    in->at += 5;
    return true;
}

static bool take_index_member(struct input *in, const struct rollcall__field *field,
                              struct rollcall_index_version *version)
{
    int64_t value;
    if (!take_integer(in, &value) || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    *ROLLCALL__FIELD_AT(int32_t, version, field) = (int32_t)value;
    return true;
}

static bool take_index(struct input *in, struct rollcall_index_version *version)
{
    if (!take(in, '{')) {
        return false;
    }
    if (take(in, '}')) {
        return true;
    }
    for (size_t i = 0; i < ROLLCALL__INDEX_FIELDS; i++) {
        const struct rollcall__field *field = &rollcall__index_fields[i];
        if (!take_name(in, field)) {
            continue;
        }
        if (!take_index_member(in, field, version)) {
            return false;
        }
        if (!take(in, ',')) {
            return take(in, '}');
        }
    }
    return false;
}

static bool take_labels(struct input *in, struct rollcall_label *labels, size_t room, size_t *count)
{
    *count = 0;
    if (!take(in, '{')) {
        return false;
    }
    do {
        struct rollcall_label *label = &labels[*count];
        if (*count == room || !take_text(in, &label->name) || !take(in, ':') ||
            !take_text(in, &label->value) ||
            (*count > 0 && rollcall__bytes_compare(labels[*count - 1].name, label->name) >= 0)) {
            return false;
        }
        ++*count;
    } while (take(in, ','));
    return take(in, '}');
}

/* What a read has besides the place in the input. */
struct target {
    struct rollcall_record *record;
    struct rollcall_label *labels;
    size_t label_room;
};

static bool take_value(struct input *in, const struct rollcall__field *field,
                       const struct target *target)
{
    struct rollcall_record *record = target->record;
    switch (field->kind) {
    case ROLLCALL__FIELD_LEASE:
        record->has_lease_id = true;
        return take_integer(in, &record->lease_id);
    case ROLLCALL__FIELD_INTEGER:
        return take_integer(in, ROLLCALL__FIELD_AT(int64_t, record, field));
    case ROLLCALL__FIELD_FLAG:
    case ROLLCALL__FIELD_KILL:
        return take_flag(in, ROLLCALL__FIELD_AT(bool, record, field));
    case ROLLCALL__FIELD_TEXT:
    case ROLLCALL__FIELD_VERSION:
        return take_text(in, ROLLCALL__FIELD_AT(struct rollcall_bytes, record, field));
    case ROLLCALL__FIELD_SCALAR_INDEX:
        record->has_scalar_index_engine_version = true;
        return take_index(in, &record->scalar_index_engine_version);
    case ROLLCALL__FIELD_INDEX:
        return take_index(in, &record->index_engine_version);
    case ROLLCALL__FIELD_LABELS:
        record->labels = target->labels;
        return take_labels(in, target->labels, target->label_room, &record->label_count);
    case ROLLCALL__FIELD_INTEGER_32: /* only inside an index version */
        break;
    }
    return false;
}

bool rollcall__record_read_go(struct rollcall_bytes json, struct rollcall_label *labels,
                              size_t label_room, struct rollcall_record *record)
{
    const struct target target = {record, labels, label_room};
    struct input in = {json.data, json.data + json.size_bytes};
    rollcall__record_clear(record);
    if (!take(&in, '{')) {
        return false;
    }
    for (size_t i = 0; i < ROLLCALL__RECORD_FIELDS; i++) {
        const struct rollcall__field *field = &rollcall__record_fields[i];
        if (!take_name(&in, field)) {
            continue;
        }
        if (!take_value(&in, field, &target)) {
            return false;
        }
        if (!take(&in, ',')) {
            return take(&in, '}') && in.at == in.end;
        }
    }
    return false;
}

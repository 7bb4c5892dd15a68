/*
 * session/record_any.c - see record_any.h.
 *
 * A value of the wrong type does not stop the reading, as in Go: bad JSON anywhere is reported
 * before the first wrong type.  One pass; what even other writers than Go seldom have - other names
 * or order, escapes, unsorted labels - is left to slower functions.
 */
#include "session/record_any.h"

#include "session/json.h"
#include "session/labels.h"
#include "session/record_fields.h"

#include <string.h>

struct decoder {
    struct rollcall__json_reader *reader;
    struct rollcall__arena *arena;
    struct rollcall_record *record;
    struct rollcall_label *labels; /* of the scratch, or in its arena; as read */
    size_t label_count, label_capacity;
    bool labels_unsorted; /* one is not above the one before it */
    const struct rollcall__field
        *wrong; /* the first field whose value has the wrong type; NULL: none */
    bool no_memory;
};

/* Notes a value of the wrong type, of which `token` is the beginning, and passes over it. */
static void reject(struct decoder *decoder, const struct rollcall__field *field,
                   enum rollcall__json_token token)
{
    if (decoder->wrong == NULL) {
        decoder->wrong = field;
    }
    (void)rollcall__json_skip(decoder->reader, token); /* broken input shows at the next token */
}

/* The text just read, of a STRING or NAME: a view of the input, or resolved into the arena. */
static struct rollcall_bytes keep_text(struct decoder *decoder)
{
    const struct rollcall_bytes text = decoder->reader->text;
    const bool plain = decoder->reader->text_is_plain;
    const size_t size_bytes = plain ? text.size_bytes : rollcall__json_unescape(text, NULL);
    if (size_bytes == 0) {
        return (struct rollcall_bytes){"", 0};
    }
    if (plain) {
        return text;
    }
    char *data = rollcall__arena_alloc(decoder->arena, size_bytes);
    if (data == NULL) {
        decoder->no_memory = true;
        return (struct rollcall_bytes){"", 0};
    }
    rollcall__json_unescape(text, data);
    return (struct rollcall_bytes){data, size_bytes};
}

/* Takes a character off *key and folds it to lower-case ASCII; 0: it is not ASCII.  Two characters
 * beyond ASCII fold into it: U+017F to s, U+212A to k. */
static int fold(struct rollcall_bytes *key)
{
    static const struct {
        const char *data;
        size_t size_bytes;
        int folded;
    } FOLDS[] = {{"\xC5\xBF", 2, 's'}, {"\xE2\x84\xAA", 3, 'k'}};
    const int c = (unsigned char)*key->data;
    for (size_t i = 0; c >= 0x80 && i < sizeof FOLDS / sizeof FOLDS[0]; i++) {
        if (key->size_bytes >= FOLDS[i].size_bytes &&
            memcmp(key->data, FOLDS[i].data, FOLDS[i].size_bytes) == 0) {
            key->data += FOLDS[i].size_bytes;
            key->size_bytes -= FOLDS[i].size_bytes;
            return FOLDS[i].folded;
        }
    }
    key->data++;
    key->size_bytes--;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c < 0x80 ? c : 0;
}

static bool is_named(const struct rollcall__field *field, struct rollcall_bytes key)
{
    struct rollcall_bytes name = {field->name, field->name_bytes};
    while (name.size_bytes > 0 && key.size_bytes > 0) {
        if (fold(&name) != fold(&key)) {
            return false;
        }
    }
    return name.size_bytes == 0 && key.size_bytes == 0;
}

/* The field whose name, in any case, a NAME's text stands for; NULL: none of ours. */
static const struct rollcall__field *find_folded(const struct rollcall__field *fields, size_t count,
                                                 struct rollcall_bytes text)
{
    char key[80]; /* more than the longest name takes, all its letters folded from three bytes */
    const size_t size_bytes = rollcall__json_unescape(text, NULL);
    if (size_bytes > sizeof key) {
        return NULL;
    }
    rollcall__json_unescape(text, key);
    for (size_t i = 0; i < count; i++) {
        if (is_named(&fields[i], (struct rollcall_bytes){key, size_bytes})) {
            return &fields[i];
        }
    }
    return NULL;
}

/*
 * The field that the NAME just read stands for; NULL: none of ours.  Go writes the fields in the
 * table's order and case, so the name is looked for as it is, from *next on, which is then the
 * place behind it: folding every name was a third of the cost of reading a record.
 */
static const struct rollcall__field *find_field(const struct rollcall__field *fields, size_t count,
                                                size_t *next, struct rollcall_bytes text)
{
    for (size_t i = *next; i < count; i++) {
        if (fields[i].name_bytes == text.size_bytes &&
            memcmp(fields[i].name, text.data, text.size_bytes) == 0) {
            *next = i + 1;
            return &fields[i];
        }
    }
    return find_folded(fields, count, text);
}

static void read_integer(struct decoder *decoder, const struct rollcall__field *field,
                         enum rollcall__json_token token)
{
    int64_t value;
    if (token != ROLLCALL__JSON_NUMBER || !rollcall__json_int64(decoder->reader->text, &value)) {
        reject(decoder, field, token);
        return;
    }
    *ROLLCALL__FIELD_AT(int64_t, decoder->record, field) = value;
    if (field->kind == ROLLCALL__FIELD_LEASE) {
        decoder->record->has_lease_id = true;
    }
}

static void read_flag(struct decoder *decoder, const struct rollcall__field *field,
                      enum rollcall__json_token token)
{
    if (token != ROLLCALL__JSON_TRUE && token != ROLLCALL__JSON_FALSE) {
        reject(decoder, field, token);
        return;
    }
    *ROLLCALL__FIELD_AT(bool, decoder->record, field) = token == ROLLCALL__JSON_TRUE;
}

static void read_text(struct decoder *decoder, const struct rollcall__field *field,
                      enum rollcall__json_token token)
{
    if (token != ROLLCALL__JSON_STRING) {
        reject(decoder, field, token);
        return;
    }
    *ROLLCALL__FIELD_AT(struct rollcall_bytes, decoder->record, field) = keep_text(decoder);
}

static void read_index_member(struct decoder *decoder, struct rollcall_index_version *version,
                              const struct rollcall__field *field, enum rollcall__json_token token)
{
    int64_t value;
    if (token != ROLLCALL__JSON_NUMBER || !rollcall__json_int64(decoder->reader->text, &value) ||
        value < INT32_MIN || value > INT32_MAX) {
        reject(decoder, field, token);
        return;
    }
    *ROLLCALL__FIELD_AT(int32_t, version, field) = (int32_t)value;
}

/* Members that are absent keep their value, so a second object of the same name merges. */
static void read_index(struct decoder *decoder, const struct rollcall__field *field,
                       enum rollcall__json_token token)
{
    struct rollcall_index_version *version =
        ROLLCALL__FIELD_AT(struct rollcall_index_version, decoder->record, field);
    if (token != ROLLCALL__JSON_OBJECT) {
        reject(decoder, field, token);
        return;
    }
    if (field->kind == ROLLCALL__FIELD_SCALAR_INDEX) {
        decoder->record->has_scalar_index_engine_version = true;
    }
    size_t next = 0;
    while (rollcall__json_next(decoder->reader) == ROLLCALL__JSON_NAME) {
        const struct rollcall__field *member = find_field(
            rollcall__index_fields, ROLLCALL__INDEX_FIELDS, &next, decoder->reader->text);
        const enum rollcall__json_token value = rollcall__json_next(decoder->reader);
        if (member == NULL || value == ROLLCALL__JSON_NULL) {
            (void)rollcall__json_skip(decoder->reader, value);
        } else {
            read_index_member(decoder, version, member, value);
        }
    }
}

static void add_label(struct decoder *decoder, const struct rollcall_label *label)
{
    const size_t count = decoder->label_count;
    if (count == decoder->label_capacity) {
        const size_t capacity = 2 * count;
        struct rollcall_label *labels =
            rollcall__arena_alloc(decoder->arena, capacity * sizeof *labels);
        if (labels == NULL) {
            decoder->no_memory = true;
            return;
        }
        memcpy(labels, decoder->labels, count * sizeof *labels);
        decoder->labels = labels;
        decoder->label_capacity = capacity;
    }
    if (count > 0 && rollcall__bytes_compare(decoder->labels[count - 1].name, label->name) >= 0) {
        decoder->labels_unsorted = true;
    }
    decoder->labels[decoder->label_count++] = *label;
}

static void read_labels(struct decoder *decoder, const struct rollcall__field *field,
                        enum rollcall__json_token token)
{
    if (token != ROLLCALL__JSON_OBJECT) {
        reject(decoder, field, token);
        return;
    }
    while (!decoder->no_memory && rollcall__json_next(decoder->reader) == ROLLCALL__JSON_NAME) {
        struct rollcall_label label = {keep_text(decoder), {"", 0}};
        const enum rollcall__json_token value = rollcall__json_next(decoder->reader);
        if (value == ROLLCALL__JSON_STRING) {
            label.value = keep_text(decoder);
        } else if (value != ROLLCALL__JSON_NULL) { /* null is the empty string */
            reject(decoder, field, value);
        }
        add_label(decoder, &label);
    }
}

/* null leaves a field as it is, but takes back a lease and labels: those are pointers in Go. */
static void read_null(struct decoder *decoder, const struct rollcall__field *field)
{
    if (field->kind == ROLLCALL__FIELD_LEASE) {
        decoder->record->has_lease_id = false;
        decoder->record->lease_id = 0;
    } else if (field->kind == ROLLCALL__FIELD_LABELS) {
        decoder->label_count = 0;
        decoder->labels_unsorted = false;
    }
}

static void read_value(struct decoder *decoder, const struct rollcall__field *field,
                       enum rollcall__json_token token)
{
    switch (field->kind) {
    case ROLLCALL__FIELD_INTEGER:
    case ROLLCALL__FIELD_LEASE:
        read_integer(decoder, field, token);
        break;
    case ROLLCALL__FIELD_FLAG:
    case ROLLCALL__FIELD_KILL:
        read_flag(decoder, field, token);
        break;
    case ROLLCALL__FIELD_TEXT:
    case ROLLCALL__FIELD_VERSION:
        read_text(decoder, field, token);
        break;
    case ROLLCALL__FIELD_INDEX:
    case ROLLCALL__FIELD_SCALAR_INDEX:
        read_index(decoder, field, token);
        break;
    case ROLLCALL__FIELD_LABELS:
        read_labels(decoder, field, token);
        break;
    case ROLLCALL__FIELD_INTEGER_32: /* only inside an index version */
        break;
    }
}

static void read_members(struct decoder *decoder)
{
    size_t next = 0;
    while (!decoder->no_memory && rollcall__json_next(decoder->reader) == ROLLCALL__JSON_NAME) {
        const struct rollcall__field *field = find_field(
            rollcall__record_fields, ROLLCALL__RECORD_FIELDS, &next, decoder->reader->text);
        const enum rollcall__json_token token = rollcall__json_next(decoder->reader);
        if (field == NULL) {
            (void)rollcall__json_skip(decoder->reader, token);
        } else if (token == ROLLCALL__JSON_NULL) {
            read_null(decoder, field);
        } else {
            read_value(decoder, field, token);
        }
    }
}

/* Go writes labels sorted; the sort is for other writers, and for a name that comes twice. */
static void finish_labels(struct decoder *decoder)
{
    size_t count = decoder->label_count;
    if (decoder->labels_unsorted) {
        struct rollcall_label *spare = rollcall__arena_alloc(decoder->arena, count * sizeof *spare);
        if (spare == NULL) {
            decoder->no_memory = true;
            return;
        }
        count = rollcall__labels_sort(decoder->labels, spare, count);
    }
    decoder->record->labels = count > 0 ? decoder->labels : NULL;
    decoder->record->label_count = count;
}

static const char *expected(const struct rollcall__field *field)
{
    switch (field->kind) {
    case ROLLCALL__FIELD_INTEGER:
    case ROLLCALL__FIELD_LEASE:
        return "a whole number of 64 bits";
    case ROLLCALL__FIELD_INTEGER_32:
        return "a whole number of 32 bits";
    case ROLLCALL__FIELD_FLAG:
    case ROLLCALL__FIELD_KILL:
        return "true or false";
    case ROLLCALL__FIELD_INDEX:
    case ROLLCALL__FIELD_SCALAR_INDEX:
        return "an object";
    case ROLLCALL__FIELD_LABELS:
        return "an object of strings";
    case ROLLCALL__FIELD_TEXT:
    case ROLLCALL__FIELD_VERSION:
        break;
    }
    return "a string";
}

/* Everything that can be wrong once the input has been read, gravest first. */
static enum rollcall_status verdict(const struct decoder *decoder, enum rollcall__json_token first,
                                    struct rollcall_error *error)
{
    const struct rollcall__json_reader *reader = decoder->reader;
    if (decoder->no_memory) {
        return rollcall__record_no_memory(reader->size_bytes, error);
    }
    if (reader->problem != NULL) {
        return rollcall_error_set(
            error, ROLLCALL_E_CORRUPT,
            "the session record is not JSON: at byte %zu, %s" ROLLCALL__RECORD_REPAIR, reader->at,
            reader->problem);
    }
    if (first != ROLLCALL__JSON_OBJECT && first != ROLLCALL__JSON_NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the value is JSON but not an object, so no session record; "
                                  "look whether the key is one of a session");
    }
    if (decoder->wrong != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "%s of the session record is not %s" ROLLCALL__RECORD_REPAIR,
                                  decoder->wrong->name, expected(decoder->wrong));
    }
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__record_read_any(struct rollcall_bytes json,
                                               struct rollcall__record_scratch *scratch,
                                               struct rollcall_record *record,
                                               struct rollcall_error *error)
{
    struct rollcall__json_reader reader;
    struct decoder decoder = {.reader = &reader,
                              .arena = &scratch->arena,
                              .record = record,
                              .labels = scratch->labels,
                              .label_capacity = ROLLCALL__RECORD_USUAL_LABELS};
    rollcall__record_clear(record);
    rollcall__json_open(&reader, json);
    const enum rollcall__json_token first = rollcall__json_next(&reader);
    if (first == ROLLCALL__JSON_OBJECT) {
        read_members(&decoder);
    } else {
        (void)rollcall__json_skip(&reader, first);
    }
    if (!decoder.no_memory && rollcall__json_next(&reader) == ROLLCALL__JSON_DONE) {
        finish_labels(&decoder);
    }
    return verdict(&decoder, first, error);
}

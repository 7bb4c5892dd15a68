/*
 * session/record.c - see record.h.
 *
 * One table lists the fields in upstream's order; writing walks it, reading looks names up in it.
 * A value of the wrong type does not stop the reading, as in Go: bad JSON anywhere is reported
 * before the first wrong type, and that before a version that is no semver.
 *
 * Reading is the hot path of a watch: one pass, memory from the arena only.  What a record written
 * by Go never has - other names or order, escapes, unsorted labels - is left to slower functions.
 */
#include "session/record.h"

#include "session/json.h"
#include "session/labels.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

enum field_kind {
    INTEGER,
    INTEGER_32,
    TEXT,
    FLAG,
    KILL, /* a FLAG that is printed even when false, unless omitted */
    VERSION,
    INDEX,
    SCALAR_INDEX,
    LEASE,
    LABELS
};

struct field {
    const char *name;
    size_t name_bytes;
    enum field_kind kind;
    size_t offset;
};

#define FIELD(name, kind, member)                                                                  \
    {                                                                                              \
        name, sizeof(name) - 1, kind, offsetof(struct rollcall_record, member)                     \
    }
static const struct field FIELDS[] = {
    FIELD("ServerID", INTEGER, server_id),
    FIELD("ServerName", TEXT, server_name),
    FIELD("Address", TEXT, address),
    FIELD("Exclusive", FLAG, exclusive),
    FIELD("Stopping", FLAG, stopping),
    FIELD("TriggerKill", KILL, trigger_kill),
    FIELD("Version", VERSION, version),
    FIELD("IndexEngineVersion", INDEX, index_engine_version),
    FIELD("ScalarIndexEngineVersion", SCALAR_INDEX, scalar_index_engine_version),
    FIELD("IndexNonEncoding", FLAG, index_non_encoding),
    FIELD("LeaseID", LEASE, lease_id),
    FIELD("HostName", TEXT, host_name),
    FIELD("EnableDisk", FLAG, enable_disk),
    FIELD("ServerLabels", LABELS, labels),
};
#undef FIELD

#define FIELD(name, member)                                                                        \
    {                                                                                              \
        name, sizeof(name) - 1, INTEGER_32, offsetof(struct rollcall_index_version, member)        \
    }
static const struct field INDEX_FIELDS[] = {
    FIELD("MinimalIndexVersion", minimal),
    FIELD("CurrentIndexVersion", current),
    FIELD("MaximumIndexVersion", maximum),
};
#undef FIELD

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define AT(type, base, field) ((type *)(void *)((char *)(base) + (field)->offset))
#define CONST_AT(type, base, field)                                                                \
    ((const type *)(const void *)((const char *)(base) + (field)->offset))

/* ---- writing ---- */

static bool is_printed(const struct rollcall_record *record, const struct field *field)
{
    switch (field->kind) {
    case INTEGER:
        return *CONST_AT(int64_t, record, field) != 0;
    case INTEGER_32:
        return *CONST_AT(int32_t, record, field) != 0;
    case TEXT:
        return CONST_AT(struct rollcall_bytes, record, field)->size_bytes > 0;
    case FLAG:
        return *CONST_AT(bool, record, field);
    case KILL:
        return !record->omit_trigger_kill;
    case SCALAR_INDEX:
        return record->has_scalar_index_engine_version;
    case LEASE:
        return record->has_lease_id;
    case LABELS:
        return record->label_count > 0;
    case VERSION:
    case INDEX:
        break;
    }
    return true;
}

static void print_name(struct rollcall__buffer *out, const char *name, bool *first)
{
    rollcall__buffer_text(out, *first ? "\"" : ",\"");
    rollcall__buffer_text(out, name);
    rollcall__buffer_text(out, "\":");
    *first = false;
}

static void print_index(struct rollcall__buffer *out, const struct rollcall_index_version *version)
{
    bool first = true;
    rollcall__buffer_text(out, "{");
    for (size_t i = 0; i < COUNT(INDEX_FIELDS); i++) {
        const int32_t value = *CONST_AT(int32_t, version, &INDEX_FIELDS[i]);
        if (value != 0) {
            print_name(out, INDEX_FIELDS[i].name, &first);
            rollcall__buffer_format(out, "%" PRId32, value);
        }
    }
    rollcall__buffer_text(out, "}");
}

static void print_labels(struct rollcall__buffer *out, const struct rollcall_record *record)
{
    for (size_t i = 0; i < record->label_count; i++) {
        rollcall__buffer_text(out, i == 0 ? "{" : ",");
        rollcall__json_quote(out, record->labels[i].name);
        rollcall__buffer_text(out, ":");
        rollcall__json_quote(out, record->labels[i].value);
    }
    rollcall__buffer_text(out, "}");
}

static void print_value(struct rollcall__buffer *out, const struct rollcall_record *record,
                        const struct field *field)
{
    switch (field->kind) {
    case INTEGER:
    case LEASE:
        rollcall__buffer_format(out, "%" PRId64, *CONST_AT(int64_t, record, field));
        break;
    case INTEGER_32:
        rollcall__buffer_format(out, "%" PRId32, *CONST_AT(int32_t, record, field));
        break;
    case FLAG:
    case KILL:
        rollcall__buffer_text(out, *CONST_AT(bool, record, field) ? "true" : "false");
        break;
    case TEXT:
        rollcall__json_quote(out, *CONST_AT(struct rollcall_bytes, record, field));
        break;
    case VERSION:
        rollcall__json_quote(out, record->version.size_bytes > 0 ? record->version
                                                                 : rollcall__bytes("0.0.0"));
        break;
    case INDEX:
    case SCALAR_INDEX:
        print_index(out, CONST_AT(struct rollcall_index_version, record, field));
        break;
    case LABELS:
        print_labels(out, record);
        break;
    }
}

void rollcall__record_encode(const struct rollcall_record *record, struct rollcall__buffer *out)
{
    bool first = true;
    rollcall__buffer_text(out, "{");
    for (size_t i = 0; i < COUNT(FIELDS); i++) {
        if (is_printed(record, &FIELDS[i])) {
            print_name(out, FIELDS[i].name, &first);
            print_value(out, record, &FIELDS[i]);
        }
    }
    rollcall__buffer_text(out, "}");
}

/* ---- reading ---- */

struct decoder {
    struct rollcall__json_reader *reader;
    struct rollcall__arena *arena;
    struct rollcall_record *record;
    struct rollcall_label *labels; /* in the arena, as read */
    size_t label_count, label_capacity;
    bool labels_unsorted;      /* one is not above the one before it */
    const struct field *wrong; /* the first field whose value has the wrong type; NULL: none */
    bool no_memory;
};

/* Notes a value of the wrong type, of which `token` is the beginning, and passes over it. */
static void reject(struct decoder *decoder, const struct field *field,
                   enum rollcall__json_token token)
{
    if (decoder->wrong == NULL) {
        decoder->wrong = field;
    }
    (void)rollcall__json_skip(decoder->reader, token); /* broken input shows at the next token */
}

/* Copies the text just read, of a STRING or NAME, into the arena: resolved, a NUL behind it. */
static struct rollcall_bytes keep_text(struct decoder *decoder)
{
    const struct rollcall_bytes text = decoder->reader->text;
    const bool plain = decoder->reader->text_is_plain;
    const size_t size_bytes = plain ? text.size_bytes : rollcall__json_unescape(text, NULL);
    if (size_bytes == 0) {
        return (struct rollcall_bytes){"", 0};
    }
    char *data = rollcall__arena_alloc(decoder->arena, size_bytes + 1);
    if (data == NULL) {
        decoder->no_memory = true;
        return (struct rollcall_bytes){"", 0};
    }
    if (plain) {
        memcpy(data, text.data, size_bytes);
    } else {
        rollcall__json_unescape(text, data);
    }
    data[size_bytes] = '\0';
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
    for (size_t i = 0; c >= 0x80 && i < COUNT(FOLDS); i++) {
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

static bool is_named(const struct field *field, struct rollcall_bytes key)
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
static const struct field *find_folded(const struct field *fields, size_t count,
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
static const struct field *find_field(const struct field *fields, size_t count, size_t *next,
                                      struct rollcall_bytes text)
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

static void read_integer(struct decoder *decoder, const struct field *field,
                         enum rollcall__json_token token)
{
    int64_t value;
    if (token != ROLLCALL__JSON_NUMBER || !rollcall__json_int64(decoder->reader->text, &value)) {
        reject(decoder, field, token);
        return;
    }
    *AT(int64_t, decoder->record, field) = value;
    if (field->kind == LEASE) {
        decoder->record->has_lease_id = true;
    }
}

static void read_flag(struct decoder *decoder, const struct field *field,
                      enum rollcall__json_token token)
{
    if (token != ROLLCALL__JSON_TRUE && token != ROLLCALL__JSON_FALSE) {
        reject(decoder, field, token);
        return;
    }
    *AT(bool, decoder->record, field) = token == ROLLCALL__JSON_TRUE;
}

static void read_text(struct decoder *decoder, const struct field *field,
                      enum rollcall__json_token token)
{
    if (token != ROLLCALL__JSON_STRING) {
        reject(decoder, field, token);
        return;
    }
    *AT(struct rollcall_bytes, decoder->record, field) = keep_text(decoder);
}

static void read_index_member(struct decoder *decoder, struct rollcall_index_version *version,
                              const struct field *field, enum rollcall__json_token token)
{
    int64_t value;
    if (token != ROLLCALL__JSON_NUMBER || !rollcall__json_int64(decoder->reader->text, &value) ||
        value < INT32_MIN || value > INT32_MAX) {
        reject(decoder, field, token);
        return;
    }
    *AT(int32_t, version, field) = (int32_t)value;
}

/* Members that are absent keep their value, so a second object of the same name merges. */
static void read_index(struct decoder *decoder, const struct field *field,
                       enum rollcall__json_token token)
{
    struct rollcall_index_version *version =
        AT(struct rollcall_index_version, decoder->record, field);
    if (token != ROLLCALL__JSON_OBJECT) {
        reject(decoder, field, token);
        return;
    }
    if (field->kind == SCALAR_INDEX) {
        decoder->record->has_scalar_index_engine_version = true;
    }
    size_t next = 0;
    while (rollcall__json_next(decoder->reader) == ROLLCALL__JSON_NAME) {
        const struct field *member =
            find_field(INDEX_FIELDS, COUNT(INDEX_FIELDS), &next, decoder->reader->text);
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
        const size_t capacity = count == 0 ? 4 : 2 * count;
        struct rollcall_label *labels =
            rollcall__arena_alloc(decoder->arena, capacity * sizeof *labels);
        if (labels == NULL) {
            decoder->no_memory = true;
            return;
        }
        if (count > 0) {
            memcpy(labels, decoder->labels, count * sizeof *labels);
        }
        decoder->labels = labels;
        decoder->label_capacity = capacity;
    }
    if (count > 0 && rollcall__bytes_compare(decoder->labels[count - 1].name, label->name) >= 0) {
        decoder->labels_unsorted = true;
    }
    decoder->labels[decoder->label_count++] = *label;
}

static void read_labels(struct decoder *decoder, const struct field *field,
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
static void read_null(struct decoder *decoder, const struct field *field)
{
    if (field->kind == LEASE) {
        decoder->record->has_lease_id = false;
        decoder->record->lease_id = 0;
    } else if (field->kind == LABELS) {
        decoder->label_count = 0;
        decoder->labels_unsorted = false;
    }
}

static void read_value(struct decoder *decoder, const struct field *field,
                       enum rollcall__json_token token)
{
    switch (field->kind) {
    case INTEGER:
    case LEASE:
        read_integer(decoder, field, token);
        break;
    case FLAG:
    case KILL:
        read_flag(decoder, field, token);
        break;
    case TEXT:
    case VERSION:
        read_text(decoder, field, token);
        break;
    case INDEX:
    case SCALAR_INDEX:
        read_index(decoder, field, token);
        break;
    case LABELS:
        read_labels(decoder, field, token);
        break;
    case INTEGER_32: /* only inside an index version */
        break;
    }
}

static void read_members(struct decoder *decoder)
{
    size_t next = 0;
    while (!decoder->no_memory && rollcall__json_next(decoder->reader) == ROLLCALL__JSON_NAME) {
        const struct field *field = find_field(FIELDS, COUNT(FIELDS), &next, decoder->reader->text);
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

static const char *expected(const struct field *field)
{
    switch (field->kind) {
    case INTEGER:
    case LEASE:
        return "a whole number of 64 bits";
    case INTEGER_32:
        return "a whole number of 32 bits";
    case FLAG:
    case KILL:
        return "true or false";
    case INDEX:
    case SCALAR_INDEX:
        return "an object";
    case LABELS:
        return "an object of strings";
    case TEXT:
    case VERSION:
        break;
    }
    return "a string";
}

#define REPAIR "; have its owner register again, or delete the key"

/* Everything that can be wrong once the input has been read, gravest first. */
static enum rollcall_status verdict(const struct decoder *decoder, enum rollcall__json_token first,
                                    struct rollcall_error *error)
{
    const struct rollcall__json_reader *reader = decoder->reader;
    if (decoder->no_memory) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                                  "out of memory while reading a session record of %zu bytes",
                                  reader->size_bytes);
    }
    if (reader->problem != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the session record is not JSON: at byte %zu, %s" REPAIR,
                                  reader->at, reader->problem);
    }
    if (first != ROLLCALL__JSON_OBJECT && first != ROLLCALL__JSON_NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the value is JSON but not an object, so no session record; "
                                  "look whether the key is one of a session");
    }
    if (decoder->wrong != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "%s of the session record is not %s" REPAIR, decoder->wrong->name,
                                  expected(decoder->wrong));
    }
    return ROLLCALL_OK;
}

static void clear(struct rollcall_record *record)
{
    const struct rollcall_bytes empty = {"", 0};
    *record = (struct rollcall_record){
        .server_name = empty, .address = empty, .version = empty, .host_name = empty};
}

static enum rollcall_status check_version(const struct rollcall_record *record,
                                          struct rollcall_error *error)
{
    struct rollcall__semver version;
    struct rollcall_error reason;
    if (record->version.size_bytes == 0 ||
        rollcall__semver_parse(record->version, &version, &reason) == ROLLCALL_OK) {
        return ROLLCALL_OK;
    }
    return rollcall_error_set(error, ROLLCALL_E_CORRUPT, "Version of the session record: %s",
                              reason.text);
}

enum rollcall_status rollcall__record_decode(struct rollcall_bytes json,
                                             struct rollcall__arena *arena,
                                             struct rollcall_record *record,
                                             struct rollcall_error *error)
{
    struct rollcall__json_reader reader;
    struct decoder decoder = {.reader = &reader, .arena = arena, .record = record};
    clear(record);
    if (json.size_bytes > ROLLCALL__RECORD_SIZE_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the value has %zu bytes, more than the %d of a session "
                                  "record" REPAIR,
                                  json.size_bytes, ROLLCALL__RECORD_SIZE_MAX_BYTES);
    }
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
    const enum rollcall_status status = verdict(&decoder, first, error);
    return status == ROLLCALL_OK ? check_version(record, error) : status;
}

struct rollcall__semver rollcall__record_semver(const struct rollcall_record *record)
{
    struct rollcall__semver version;
    if (rollcall__semver_parse(record->version, &version, NULL) != ROLLCALL_OK) {
        version = (struct rollcall__semver){0};
    }
    return version;
}

/*
 * session/record.c - see record.h.
 *
 * Reading is the hot path of a watch: a record as Go writes it is read by record_go.c, any other by
 * record_any.c.  Bad JSON and a value of the wrong type are reported before a version that is no
 * semver.
 */
#include "session/record.h"

#include "session/json.h"
#include "session/record_any.h"
#include "session/record_fields.h"
#include "session/record_go.h"

#include <inttypes.h>
#include <string.h>

/* ---- writing ---- */

static bool is_printed(const struct rollcall_record *record, const struct rollcall__field *field)
{
    switch (field->kind) {
    case ROLLCALL__FIELD_INTEGER:
        return *ROLLCALL__FIELD_CONST_AT(int64_t, record, field) != 0;
    case ROLLCALL__FIELD_INTEGER_32:
        return *ROLLCALL__FIELD_CONST_AT(int32_t, record, field) != 0;
    case ROLLCALL__FIELD_TEXT:
        return ROLLCALL__FIELD_CONST_AT(struct rollcall_bytes, record, field)->size_bytes > 0;
    case ROLLCALL__FIELD_FLAG:
        return *ROLLCALL__FIELD_CONST_AT(bool, record, field);
    case ROLLCALL__FIELD_KILL:
        return !record->omit_trigger_kill;
    case ROLLCALL__FIELD_SCALAR_INDEX:
        return record->has_scalar_index_engine_version;
    case ROLLCALL__FIELD_LEASE:
        return record->has_lease_id;
    case ROLLCALL__FIELD_LABELS:
        return record->label_count > 0;
    case ROLLCALL__FIELD_VERSION:
    case ROLLCALL__FIELD_INDEX:
        break;
    }
    return true;
}

static void print_name(struct rollcall__buffer *out, const struct rollcall__field *field,
                       bool *first)
{
    rollcall__buffer_text(out, *first ? "" : ",");
    rollcall__buffer_append(out, field->quoted, field->quoted_bytes);
    *first = false;
}

static void print_index(struct rollcall__buffer *out, const struct rollcall_index_version *version)
{
    bool first = true;
    rollcall__buffer_text(out, "{");
    for (size_t i = 0; i < ROLLCALL__INDEX_FIELDS; i++) {
        const int32_t value =
            *ROLLCALL__FIELD_CONST_AT(int32_t, version, &rollcall__index_fields[i]);
        if (value != 0) {
            print_name(out, &rollcall__index_fields[i], &first);
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
                        const struct rollcall__field *field)
{
    switch (field->kind) {
    case ROLLCALL__FIELD_INTEGER:
    case ROLLCALL__FIELD_LEASE:
        rollcall__buffer_format(out, "%" PRId64, *ROLLCALL__FIELD_CONST_AT(int64_t, record, field));
        break;
    case ROLLCALL__FIELD_INTEGER_32:
        rollcall__buffer_format(out, "%" PRId32, *ROLLCALL__FIELD_CONST_AT(int32_t, record, field));
        break;
    case ROLLCALL__FIELD_FLAG:
    case ROLLCALL__FIELD_KILL:
        rollcall__buffer_text(out,
                              *ROLLCALL__FIELD_CONST_AT(bool, record, field) ? "true" : "false");
        break;
    case ROLLCALL__FIELD_TEXT:
        rollcall__json_quote(out, *ROLLCALL__FIELD_CONST_AT(struct rollcall_bytes, record, field));
        break;
    case ROLLCALL__FIELD_VERSION:
        rollcall__json_quote(out, record->version.size_bytes > 0 ? record->version
                                                                 : rollcall__bytes("0.0.0"));
        break;
    case ROLLCALL__FIELD_INDEX:
    case ROLLCALL__FIELD_SCALAR_INDEX:
        print_index(out, ROLLCALL__FIELD_CONST_AT(struct rollcall_index_version, record, field));
        break;
    case ROLLCALL__FIELD_LABELS:
        print_labels(out, record);
        break;
    }
}

void rollcall__record_encode(const struct rollcall_record *record, struct rollcall__buffer *out)
{
    bool first = true;
    rollcall__buffer_text(out, "{");
    for (size_t i = 0; i < ROLLCALL__RECORD_FIELDS; i++) {
        if (is_printed(record, &rollcall__record_fields[i])) {
            print_name(out, &rollcall__record_fields[i], &first);
            print_value(out, record, &rollcall__record_fields[i]);
        }
    }
    rollcall__buffer_text(out, "}");
}

/* ---- reading ---- */

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

enum rollcall_status rollcall__record_read(struct rollcall_bytes json,
                                           struct rollcall__record_scratch *scratch,
                                           struct rollcall_record *record,
                                           struct rollcall_error *error)
{
    scratch->arena = (struct rollcall__arena){0};
    if (json.size_bytes > ROLLCALL__RECORD_SIZE_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the value has %zu bytes, more than the %d of a session "
                                  "record" ROLLCALL__RECORD_REPAIR,
                                  json.size_bytes, ROLLCALL__RECORD_SIZE_MAX_BYTES);
    }
    enum rollcall_status status = ROLLCALL_OK;
    if (!rollcall__record_read_go(json, scratch->labels, ROLLCALL__RECORD_USUAL_LABELS, record)) {
        status = rollcall__record_read_any(json, scratch, record, error);
    }
    return status == ROLLCALL_OK ? check_version(record, error) : status;
}

/* ---- moving ---- */

size_t rollcall__record_texts_bytes(const struct rollcall_record *record)
{
    size_t size_bytes = record->server_name.size_bytes + record->address.size_bytes +
                        record->version.size_bytes + record->host_name.size_bytes + 4;
    for (size_t i = 0; i < record->label_count; i++) {
        const struct rollcall_label *label = &record->labels[i];
        size_bytes += sizeof *label + label->name.size_bytes + label->value.size_bytes + 2;
    }
    return size_bytes;
}

static void move_text(struct rollcall_bytes *text, char **to)
{
    memcpy(*to, text->data, text->size_bytes);
    (*to)[text->size_bytes] = '\0';
    text->data = *to;
    *to += text->size_bytes + 1;
}

void rollcall__record_move_texts(struct rollcall_record *record, void *memory)
{
    struct rollcall_label *labels = memory;
    char *to = (char *)(labels + record->label_count);
    for (size_t i = 0; i < record->label_count; i++) {
        labels[i] = record->labels[i];
        move_text(&labels[i].name, &to);
        move_text(&labels[i].value, &to);
    }
    record->labels = record->label_count > 0 ? labels : NULL;
    move_text(&record->server_name, &to);
    move_text(&record->address, &to);
    move_text(&record->version, &to);
    move_text(&record->host_name, &to);
}

enum rollcall_status rollcall__record_decode(struct rollcall_bytes json,
                                             struct rollcall__arena *arena,
                                             struct rollcall_record *record,
                                             struct rollcall_error *error)
{
    struct rollcall__record_scratch scratch;
    enum rollcall_status status = rollcall__record_read(json, &scratch, record, error);
    if (status == ROLLCALL_OK) {
        void *memory = rollcall__arena_alloc(arena, rollcall__record_texts_bytes(record));
        if (memory != NULL) {
            rollcall__record_move_texts(record, memory);
        } else {
            status = rollcall__record_no_memory(json.size_bytes, error);
        }
    }
    rollcall__arena_free(&scratch.arena);
    return status;
}

struct rollcall__semver rollcall__record_semver(const struct rollcall_record *record)
{
    struct rollcall__semver version;
    if (rollcall__semver_parse(record->version, &version, NULL) != ROLLCALL_OK) {
        version = (struct rollcall__semver){0};
    }
    return version;
}

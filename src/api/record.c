/* The public calls of rollcall/record.h that are about records, labels and keys alone. */
#include <rollcall/record.h>

#include "base/memory.h"
#include "session/keys.h"
#include "session/labels.h"
#include "session/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is written into memory of the caller ---- */

/* Moves out to the caller's memory, with its NUL, and frees it.  what: for the sentence. */
static enum rollcall_status hand_over(struct rollcall__buffer *out, const char *what, char *to,
                                      size_t capacity_bytes, size_t *size_bytes,
                                      struct rollcall_error *error)
{
    enum rollcall_status status = ROLLCALL_OK;
    if (out->failed) {
        status =
            rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory while writing %s", what);
    } else {
        if (size_bytes != NULL) {
            *size_bytes = out->size_bytes;
        }
        if (out->size_bytes >= capacity_bytes) {
            status = rollcall_error_set(error, ROLLCALL_E_TOO_SMALL,
                                        "%s takes %zu bytes with its NUL: give room for them, not "
                                        "for %zu",
                                        what, out->size_bytes + 1, capacity_bytes);
        } else {
            memcpy(to, out->data, out->size_bytes + 1);
        }
    }
    rollcall__buffer_free(out);
    return status;
}

/* Text that is cut where the caller's memory ends, but counted whole. */
struct line {
    char *text;
    size_t capacity_bytes, size_bytes;
};

static void put(struct line *line, struct rollcall_bytes bytes)
{
    if (line->size_bytes < line->capacity_bytes) {
        const size_t room_bytes = line->capacity_bytes - line->size_bytes;
        const size_t taken = bytes.size_bytes < room_bytes ? bytes.size_bytes : room_bytes;
        if (taken > 0) {
            memcpy(line->text + line->size_bytes, bytes.data, taken);
        }
    }
    line->size_bytes += bytes.size_bytes;
}

static size_t end_line(const struct line *line)
{
    if (line->capacity_bytes > 0) {
        const size_t last = line->capacity_bytes - 1;
        line->text[line->size_bytes < last ? line->size_bytes : last] = '\0';
    }
    return line->size_bytes;
}

/* ---- a record as JSON ---- */

struct owned_record {
    struct rollcall_record record; /* must be first: the caller has its address */
    struct rollcall__arena arena;
};

enum rollcall_status rollcall_record_decode(struct rollcall_bytes json,
                                            struct rollcall_record **record,
                                            struct rollcall_error *error)
{
    struct owned_record *owned = rollcall__allocate_zeroed(1, sizeof *owned);
    *record = NULL;
    if (owned == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                                  "out of memory while reading a session record");
    }
    const enum rollcall_status status =
        rollcall__record_decode(json, &owned->arena, &owned->record, error);
    if (status != ROLLCALL_OK) {
        rollcall_record_free(&owned->record);
        return status;
    }
    *record = &owned->record;
    return ROLLCALL_OK;
}

void rollcall_record_free(struct rollcall_record *record)
{
    if (record != NULL) {
        struct owned_record *owned = (struct owned_record *)record;
        rollcall__arena_free(&owned->arena);
        free(owned);
    }
}

/* Whether what encoding would write is what decoding reads. */
static enum rollcall_status check(const struct rollcall_record *record,
                                  struct rollcall_error *error)
{
    size_t at;
    struct rollcall__semver version;
    if (record->labels == NULL && record->label_count > 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "labels is NULL, but label_count is %zu: give both, or neither",
                                  record->label_count);
    }
    if (!rollcall__labels_sorted(record->labels, record->label_count, &at)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the name of label %zu is not above that of label %zu: sort them "
                                  "by name in byte order, each name once",
                                  at, at - 1);
    }
    return record->version.size_bytes == 0
               ? ROLLCALL_OK
               : rollcall__semver_parse(record->version, &version, error);
}

enum rollcall_status rollcall_record_encode(const struct rollcall_record *record, char *json,
                                            size_t capacity_bytes, size_t *size_bytes,
                                            struct rollcall_error *error)
{
    struct rollcall__buffer out = {0};
    const enum rollcall_status status = check(record, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__record_encode(record, &out);
    return hand_over(&out, "the session record", json, capacity_bytes, size_bytes, error);
}

size_t rollcall_record_print(const struct rollcall_record *record, char *text,
                             size_t capacity_bytes)
{
    struct line line = {text, capacity_bytes, 0};
    char server_id[24];
    snprintf(server_id, sizeof server_id, "%" PRId64, record->server_id);
    put(&line, rollcall__bytes("Session:<ServerID: "));
    put(&line, rollcall__bytes(server_id));
    put(&line, rollcall__bytes(", ServerName: "));
    put(&line, record->server_name);
    put(&line, rollcall__bytes(", Version: "));
    put(&line, record->version.size_bytes > 0 ? record->version : rollcall__bytes("0.0.0"));
    put(&line, rollcall__bytes(">"));
    return end_line(&line);
}

/* ---- labels ---- */

const struct rollcall_bytes *rollcall_record_label(const struct rollcall_record *record,
                                                   const char *name)
{
    const struct rollcall_bytes wanted = rollcall__bytes(name);
    for (size_t i = 0; record != NULL && i < record->label_count; i++) {
        if (rollcall__bytes_equal(record->labels[i].name, wanted)) {
            return &record->labels[i].value;
        }
    }
    return NULL;
}

bool rollcall_record_label_is_set(const struct rollcall_record *record, const char *name)
{
    const struct rollcall_bytes *value = rollcall_record_label(record, name);
    return value != NULL && rollcall__bytes_equal(*value, rollcall__bytes("1"));
}

enum rollcall_status rollcall_labels_from_environment(const char *role,
                                                      const char *const *environment,
                                                      struct rollcall_label *labels,
                                                      size_t capacity, size_t *count,
                                                      struct rollcall_error *error)
{
    return rollcall__labels_from_environment(role, environment, labels, capacity, count, error);
}

static void put_upper(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        const char c = (char)(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
        put(line, (struct rollcall_bytes){&c, 1});
    }
}

size_t rollcall_label_variable(const char *role, const char *label, char *name,
                               size_t capacity_bytes)
{
    struct line line = {name, capacity_bytes, 0};
    put(&line, rollcall__bytes(ROLLCALL__LABEL_VARIABLE_PREFIX));
    if (role != NULL && role[0] != '\0') {
        put_upper(&line, role);
        put(&line, rollcall__bytes("_"));
    }
    put_upper(&line, label);
    return end_line(&line);
}

/* ---- keys and versions ---- */

enum rollcall_status rollcall_key_prefix(const char *root, const char *role, char *key,
                                         size_t capacity_bytes, size_t *size_bytes,
                                         struct rollcall_error *error)
{
    struct rollcall__buffer out = {0};
    root = root == NULL ? ROLLCALL__ROOT_DEFAULT : root;
    enum rollcall_status status = rollcall__role_check(role, error);
    if (status == ROLLCALL_OK) {
        status = rollcall__root_check(root, error);
    }
    if (status != ROLLCALL_OK) {
        return status;
    }
    rollcall__key_prefix(&out, root, role);
    return hand_over(&out, "the key", key, capacity_bytes, size_bytes, error);
}

enum rollcall_status rollcall_version_in_range(const char *version, const char *range,
                                               bool *in_range, struct rollcall_error *error)
{
    struct rollcall__semver parsed;
    struct rollcall__semver_range parsed_range;
    enum rollcall_status status = rollcall__semver_parse(rollcall__bytes(version), &parsed, error);
    if (status == ROLLCALL_OK) {
        status = rollcall__semver_range_parse(rollcall__bytes(range), ROLLCALL__SEMVER_OURS,
                                              &parsed_range, error);
    }
    if (status == ROLLCALL_OK) {
        *in_range = rollcall__semver_range_matches(&parsed_range, &parsed);
        rollcall__semver_range_free(&parsed_range);
    }
    return status;
}

#include "session/record_edit.h"

#include "session/record.h"

#include <string.h>

static const char MEMBER[] = "\"Stopping\":true";

static bool is_written_so(const struct rollcall_record *record, struct rollcall_bytes json,
                          struct rollcall__buffer *scratch)
{
    if (scratch->failed) { /* which clearing would forget */
        return false;
    }
    rollcall__buffer_clear(scratch);
    rollcall__record_encode(record, scratch);
    return rollcall__bytes_equal(rollcall__buffer_bytes(scratch), json);
}

/* Whether encoding the record gives the stored bytes, in older or newer upstream's shape: then we
 * know all that is in it.  Leaves the record in that shape. */
static bool is_canonical(struct rollcall_record *record, struct rollcall_bytes json,
                         struct rollcall__buffer *scratch)
{
    if (is_written_so(record, json, scratch)) {
        return true;
    }
    record->omit_trigger_kill = true;
    if (is_written_so(record, json, scratch)) {
        return true;
    }
    record->omit_trigger_kill = false;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The size of json without the white space at its end. */
static size_t trimmed(struct rollcall_bytes json)
{
    size_t size_bytes = json.size_bytes;
    while (size_bytes > 0 && is_space(json.data[size_bytes - 1])) {
        size_bytes--;
    }
    return size_bytes;
}

/* Appends json, which is an object, with the member as its last. */
static void splice(struct rollcall_bytes json, struct rollcall__buffer *out)
{
    const size_t brace = trimmed(json) - 1;
    const size_t before = trimmed((struct rollcall_bytes){json.data, brace});
    rollcall__buffer_append(out, json.data, before);
    if (json.data[before - 1] != '{') { /* where a value ends; only the outermost can begin here */
        rollcall__buffer_text(out, ",");
    }
    rollcall__buffer_text(out, MEMBER);
    rollcall__buffer_append(out, json.data + before, json.size_bytes - before);
}

static enum rollcall_status mark(struct rollcall_bytes json, struct rollcall_record *record,
                                 struct rollcall__buffer *out, struct rollcall_error *error)
{
    struct rollcall__buffer scratch = {0};
    if (record->stopping) {
        rollcall__buffer_append(out, json.data, json.size_bytes);
    } else if (json.size_bytes > ROLLCALL__RECORD_SIZE_MAX_BYTES - sizeof MEMBER) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the session record has %zu bytes, too many for one member "
                                  "more; have its owner register again, or delete the key",
                                  json.size_bytes);
    } else if (is_canonical(record, json, &scratch) || json.data[trimmed(json) - 1] != '}') {
        record->stopping = true; /* if no object it is null, which stands for an empty record */
        rollcall__record_encode(record, out);
    } else {
        splice(json, out);
    }
    const bool failed = scratch.failed || out->failed;
    rollcall__buffer_free(&scratch);
    return failed ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                                       "out of memory while marking a session record of %zu bytes",
                                       json.size_bytes)
                  : ROLLCALL_OK;
}

enum rollcall_status rollcall__record_mark_stopping(struct rollcall_bytes json,
                                                    struct rollcall__buffer *out,
                                                    struct rollcall_error *error)
{
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    enum rollcall_status status = rollcall__record_decode(json, &arena, &record, error);
    if (status == ROLLCALL_OK) {
        status = mark(json, &record, out, error);
    }
    rollcall__arena_free(&arena);
    return status;
}

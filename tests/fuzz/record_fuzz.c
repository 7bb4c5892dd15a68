/* Any bytes as a session record: read or refused; what is read is written, read and written again
 * without a change; and what is read at the first look is what the general reader reads. */
#include "fuzz/fuzz.h"
#include "session/record.h"
#include "session/record_any.h"
#include "session/record_go.h"

static void check_text(struct rollcall_bytes text)
{
    FUZZ_CHECK(text.data != NULL && text.data[text.size_bytes] == '\0');
}

static void check_labels(const struct rollcall_record *record)
{
    for (size_t i = 0; i < record->label_count; i++) {
        check_text(record->labels[i].name);
        check_text(record->labels[i].value);
        FUZZ_CHECK(i == 0 ||
                   rollcall__bytes_compare(record->labels[i - 1].name, record->labels[i].name) < 0);
    }
}

static void check_index(const struct rollcall_index_version *a,
                        const struct rollcall_index_version *b)
{
    FUZZ_CHECK(a->minimal == b->minimal && a->current == b->current && a->maximum == b->maximum);
}

static void check_same(const struct rollcall_record *a, const struct rollcall_record *b)
{
    FUZZ_CHECK(a->server_id == b->server_id && a->lease_id == b->lease_id);
    FUZZ_CHECK(rollcall__bytes_equal(a->server_name, b->server_name));
    FUZZ_CHECK(rollcall__bytes_equal(a->address, b->address));
    FUZZ_CHECK(rollcall__bytes_equal(a->host_name, b->host_name));
    FUZZ_CHECK(a->exclusive == b->exclusive && a->stopping == b->stopping);
    FUZZ_CHECK(a->trigger_kill == b->trigger_kill && a->enable_disk == b->enable_disk);
    FUZZ_CHECK(a->index_non_encoding == b->index_non_encoding);
    FUZZ_CHECK(a->has_lease_id == b->has_lease_id);
    FUZZ_CHECK(a->has_scalar_index_engine_version == b->has_scalar_index_engine_version);
    check_index(&a->index_engine_version, &b->index_engine_version);
    check_index(&a->scalar_index_engine_version, &b->scalar_index_engine_version);
    FUZZ_CHECK(a->label_count == b->label_count);
    for (size_t i = 0; i < a->label_count; i++) {
        FUZZ_CHECK(rollcall__bytes_equal(a->labels[i].name, b->labels[i].name));
        FUZZ_CHECK(rollcall__bytes_equal(a->labels[i].value, b->labels[i].value));
    }
}

static void check_written(const struct rollcall_record *record)
{
    struct rollcall__buffer first = {0}, second = {0};
    struct rollcall__arena arena = {0};
    struct rollcall_record again;
    rollcall__record_encode(record, &first);
    FUZZ_CHECK(rollcall__record_decode(rollcall__buffer_bytes(&first), &arena, &again, NULL) ==
               ROLLCALL_OK);
    check_same(record, &again);
    /* An empty version is written as what it reads as. */
    FUZZ_CHECK(rollcall__bytes_equal(record->version.size_bytes == 0 ? rollcall__bytes("0.0.0")
                                                                     : record->version,
                                     again.version));
    rollcall__record_encode(&again, &second);
    FUZZ_CHECK(
        rollcall__bytes_equal(rollcall__buffer_bytes(&first), rollcall__buffer_bytes(&second)));
    rollcall__arena_free(&arena);
    rollcall__buffer_free(&first);
    rollcall__buffer_free(&second);
}

static void check_readers_agree(struct rollcall_bytes json)
{
    enum { ROOM = 3 };
    struct rollcall_label labels[ROOM];
    struct rollcall__record_scratch scratch = {.arena = {0}};
    struct rollcall_record usual, any;
    if (rollcall__record_read_go(json, labels, ROOM, &usual)) {
        FUZZ_CHECK(rollcall__record_read_any(json, &scratch, &any, NULL) == ROLLCALL_OK);
        check_same(&usual, &any);
        FUZZ_CHECK(rollcall__bytes_equal(usual.version, any.version));
        FUZZ_CHECK(usual.omit_trigger_kill == any.omit_trigger_kill);
        rollcall__arena_free(&scratch.arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    const struct rollcall_bytes json = {(const char *)data, size_bytes};
    struct rollcall__arena arena = {0};
    struct rollcall_record record;
    struct rollcall_error error = {0};
    check_readers_agree(json);
    if (rollcall__record_decode(json, &arena, &record, &error) == ROLLCALL_OK) {
        check_text(record.server_name);
        check_text(record.address);
        check_text(record.version);
        check_text(record.host_name);
        check_labels(&record);
        check_written(&record);
    } else {
        FUZZ_CHECK(error.status == ROLLCALL_E_CORRUPT && error.text[0] != '\0');
    }
    rollcall__arena_free(&arena);
    return 0;
}

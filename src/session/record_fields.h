/*
 * session/record_fields.h - the fields of a session record, in the order in which upstream writes
 * them: writing walks the table, reading looks names up in it.  Of record*.c alone.
 */
#ifndef SESSION_RECORD_FIELDS_H
#define SESSION_RECORD_FIELDS_H

#include <rollcall/record.h>

enum rollcall__field_kind {
    ROLLCALL__FIELD_INTEGER,
    ROLLCALL__FIELD_INTEGER_32,
    ROLLCALL__FIELD_TEXT,
    ROLLCALL__FIELD_FLAG,
    ROLLCALL__FIELD_KILL, /* a FLAG that is printed even when false, unless omitted */
    ROLLCALL__FIELD_VERSION,
    ROLLCALL__FIELD_INDEX, /* struct rollcall_index_version */
    ROLLCALL__FIELD_SCALAR_INDEX,
    ROLLCALL__FIELD_LEASE,
    ROLLCALL__FIELD_LABELS
};

struct rollcall__field {
    const char *name;
    size_t name_bytes;
    const char *quoted; /* as Go writes it: in quotes, a colon behind it */
    size_t quoted_bytes;
    enum rollcall__field_kind kind;
    size_t offset; /* in struct rollcall_record, or in struct rollcall_index_version */
};

enum { ROLLCALL__RECORD_FIELDS = 14, ROLLCALL__INDEX_FIELDS = 3 };

extern const struct rollcall__field rollcall__record_fields[ROLLCALL__RECORD_FIELDS];
extern const struct rollcall__field rollcall__index_fields[ROLLCALL__INDEX_FIELDS];

/* Makes it a record of nothing: no string is NULL. */
void rollcall__record_clear(struct rollcall_record *record);

enum rollcall_status rollcall__record_no_memory(size_t size_bytes, struct rollcall_error *error);

#define ROLLCALL__RECORD_REPAIR "; have its owner register again, or delete the key"

/* The member of `base` that a field stands for. */
#define ROLLCALL__FIELD_AT(type, base, field) ((type *)(void *)((char *)(base) + (field)->offset))
#define ROLLCALL__FIELD_CONST_AT(type, base, field)                                                \
    ((const type *)(const void *)((const char *)(base) + (field)->offset))

#endif /* SESSION_RECORD_FIELDS_H */

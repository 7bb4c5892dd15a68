/*
 * session/record.h - a session record as JSON: written byte for byte as Go's sessionutil writes it,
 * read from the union of all shapes it ever wrote, by the rules of encoding/json.
 *
 * Threads: any; nothing is shared.
 */
#ifndef SESSION_RECORD_H
#define SESSION_RECORD_H

#include "base/arena.h"
#include "base/buffer.h"
#include "session/semver.h"

enum { ROLLCALL__RECORD_SIZE_MAX_BYTES = 2 * 1024 * 1024 }; /* etcd takes 1.5 MiB */

/*
 * Appends the record.  TriggerKill (unless omitted), Version and IndexEngineVersion are always
 * printed, the rest when it is not zero; an empty version is printed as 0.0.0.  Labels must be
 * sorted: rollcall__labels_sort, in session/labels.h.
 */
void rollcall__record_encode(const struct rollcall_record *record, struct rollcall__buffer *out);

/*
 * Fills *record from what etcd holds, in one pass.
 * Limits:  ROLLCALL__RECORD_SIZE_MAX_BYTES in all, ROLLCALL__JSON_DEPTH_MAX levels of nesting; the
 *          size alone bounds the strings and the number of labels.  The arena is all the memory
 *          that is taken: at worst, for two mebibytes of nothing but labels, 64 MiB.
 * record:  its strings and labels live in the arena, which the caller frees in every case; none of
 *          its strings is NULL.
 * Returns: ROLLCALL_OK; ROLLCALL_E_CORRUPT with what is wrong in the value; ROLLCALL_E_NO_MEMORY.
 *          After a failure *record is not to be used.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__record_decode(struct rollcall_bytes json,
                                                               struct rollcall__arena *arena,
                                                               struct rollcall_record *record,
                                                               struct rollcall_error *error);

/* The version of a decoded record, for comparing; views the record's version.  One that is empty or
 * no semver, which decoding never lets through, reads as 0.0.0. */
struct rollcall__semver rollcall__record_semver(const struct rollcall_record *record);

#endif /* SESSION_RECORD_H */

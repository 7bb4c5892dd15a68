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

enum { ROLLCALL__RECORD_USUAL_LABELS = 16 };

/* Holds what a record that was read has besides its JSON.  Not to be moved while that is used. */
struct rollcall__record_scratch {
    struct rollcall__arena arena; /* texts that had to be resolved; labels, if there are many */
    struct rollcall_label labels[ROLLCALL__RECORD_USUAL_LABELS];
};

/*
 * Fills *record from what etcd holds: in one pass if Go wrote it, else in a second.
 * Limits:  ROLLCALL__RECORD_SIZE_MAX_BYTES in all, ROLLCALL__JSON_DEPTH_MAX levels of nesting; the
 *          size alone bounds the strings and the number of labels.  The scratch's arena is all the
 *          memory that is taken, and usually none is: at worst, for two mebibytes of nothing but
 *          labels, 64 MiB.
 * scratch: need not be initialised; the caller frees its arena in every case.
 * record:  its strings and labels are views of `json` or of the scratch, without a NUL behind; none
 *          of its strings is NULL.
 * Returns: ROLLCALL_OK; ROLLCALL_E_CORRUPT with what is wrong in the value; ROLLCALL_E_NO_MEMORY.
 *          After a failure *record is not to be used.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__record_read(struct rollcall_bytes json, struct rollcall__record_scratch *scratch,
                      struct rollcall_record *record, struct rollcall_error *error);

/* How many bytes the strings and labels of a record take in one piece, a NUL behind each string. */
size_t rollcall__record_texts_bytes(const struct rollcall_record *record);
/* Moves them into `memory`, which is that large and aligned for a label: where they were before is
 * not used any more. */
void rollcall__record_move_texts(struct rollcall_record *record, void *memory);

/* Reads as rollcall__record_read does, and moves strings and labels into the arena, each string
 * with a NUL behind: at worst 16 MiB.  The caller frees the arena in every case. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__record_decode(struct rollcall_bytes json,
                                                               struct rollcall__arena *arena,
                                                               struct rollcall_record *record,
                                                               struct rollcall_error *error);

/* The version of a decoded record, for comparing; views the record's version.  One that is empty or
 * no semver, which decoding never lets through, reads as 0.0.0. */
struct rollcall__semver rollcall__record_semver(const struct rollcall_record *record);

#endif /* SESSION_RECORD_H */

/*
 * rollcall/record.h - a session record: what a process stores in etcd about itself.
 *
 * The bytes are those of Milvus's Go sessionutil.  A record read from etcd is decoded from the
 * union of all shapes upstream ever wrote; one we write has upstream's field order.
 *
 * Memory: a record and its strings are views; whoever hands one over says how long it lives.
 *         Strings are UTF-8, counted, followed by a NUL that is not counted, and may hold NULs.
 */
#ifndef ROLLCALL_RECORD_H
#define ROLLCALL_RECORD_H

#include <rollcall/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counted bytes: a view.  data may be NULL when size_bytes is 0. */
struct rollcall_bytes {
    const char *data;
    size_t size_bytes;
};

struct rollcall_index_version {
    int32_t minimal, current, maximum; /* 0: not stored */
};

struct rollcall_label {
    struct rollcall_bytes name, value;
};

struct rollcall_record {
    int64_t server_id;
    struct rollcall_bytes server_name; /* the role */
    struct rollcall_bytes address;
    bool exclusive, stopping;
    bool trigger_kill;             /* older upstream: printed, even false */
    bool omit_trigger_kill;        /* newer upstream: not printed; reading leaves it false */
    struct rollcall_bytes version; /* semver as stored; empty reads as 0.0.0 */
    struct rollcall_index_version index_engine_version;
    bool has_scalar_index_engine_version; /* newer upstream: printed only when set */
    struct rollcall_index_version scalar_index_engine_version;
    bool index_non_encoding; /* newer upstream */
    bool has_lease_id;
    int64_t lease_id;
    struct rollcall_bytes host_name;
    bool enable_disk;                    /* older upstream */
    const struct rollcall_label *labels; /* sorted by name, byte order */
    size_t label_count;
};

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_RECORD_H */

/*
 * rollcall/record.h - a session record: what a process stores in etcd about itself.
 *
 * The bytes are those of Milvus's Go sessionutil.  A record read from etcd is decoded from the
 * union of all shapes upstream ever wrote; one we write has upstream's field order.
 *
 * Memory:  a record and its strings are views; whoever hands one over says how long it lives.
 *          Strings are UTF-8, counted, followed by a NUL that is not counted, and may hold NULs.
 * Threads: any thread may call any function; nothing is shared, nothing waits, nothing is asked of
 *          etcd.
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

/* ---- a record as JSON ---- */

/*
 * Reads what etcd holds under a session's key, at most 2 MiB.
 * json:    borrowed during the call.
 * record:  one block that owns its strings and labels, for rollcall_record_free; none of its
 *          strings is NULL, the labels are sorted.  Members that are not known are dropped, and a
 *          byte that is not UTF-8 reads as U+FFFD: encoding it again may give other bytes.
 * Returns: ROLLCALL_OK; ROLLCALL_E_CORRUPT with what is wrong in the value; ROLLCALL_E_NO_MEMORY.
 *          After an error *record is NULL.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_record_decode(struct rollcall_bytes json, struct rollcall_record **record,
                       struct rollcall_error *error);

/* Frees what rollcall_record_decode gave, and nothing else: the record of an event is the event's.
 * NULL: nothing. */
ROLLCALL_API void rollcall_record_free(struct rollcall_record *record);

/*
 * Writes the record as upstream's Go does, byte for byte, and a NUL.  An empty version is written
 * as 0.0.0, each byte that is not UTF-8 as \ufffd.
 * json:       may be NULL when capacity_bytes, its size with the NUL, is 0.
 * size_bytes: how many bytes the JSON has without the NUL; NULL: not wanted.
 * Returns:    ROLLCALL_OK; ROLLCALL_E_TOO_SMALL when it does not fit: *size_bytes says what it
 * takes; ROLLCALL_E_INVALID when the labels are not sorted by name, each name once, or the version
 * is neither empty nor semver; ROLLCALL_E_NO_MEMORY.  After an error nothing was written.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_record_encode(const struct rollcall_record *record, char *json, size_t capacity_bytes,
                       size_t *size_bytes, struct rollcall_error *error);

/*
 * Writes the record in a line for a log, as upstream prints a session:
 *     Session:<ServerID: 7, ServerName: querynode, Version: 2.4.2>
 * A NUL in the name is written as it is.
 * Returns: as snprintf, how many bytes the whole line has without its NUL; when that is not below
 *          capacity_bytes, text was cut.  text may be NULL when capacity_bytes is 0.
 */
ROLLCALL_API size_t rollcall_record_print(const struct rollcall_record *record, char *text,
                                          size_t capacity_bytes);

/* ---- labels ---- */

/* Names that upstream gives a meaning: the group a node belongs to, by its value; and, when set, no
 * query service; a query node within a streaming node; all roles in one process. */
#define ROLLCALL_LABEL_RESOURCE_GROUP "RESOURCE_GROUP"
#define ROLLCALL_LABEL_STREAMING_NOQUERY "STREAMING_NOQUERY"
#define ROLLCALL_LABEL_STREAMING_EMBEDDED "STREAMING-EMBEDDED"
#define ROLLCALL_LABEL_STANDALONE "STANDALONE"

/* The value of a label, which lives as long as the record; NULL: the record has none of that name,
 * or is NULL. */
ROLLCALL_API const struct rollcall_bytes *
rollcall_record_label(const struct rollcall_record *record, const char *name);

/* Whether a label is there and has the value "1".  No other value counts: not "true", not "yes". */
ROLLCALL_API bool rollcall_record_label_is_set(const struct rollcall_record *record,
                                               const char *name);

/*
 * Finds the labels of a role in the environment, as upstream does:
 *     MILVUS_SERVER_LABEL_<LABEL>=value          for every role
 *     MILVUS_SERVER_LABEL_<GROUP>_<LABEL>=value  for one role; wins over the above
 * A group, in any case of letters, is mixcoord or coord, querynode or qn, datanode or dn,
 * streamingnode or sn, or proxy; the role it stands for has the longer name.  Any other first word
 * belongs to the label.  Of two variables that are equal in that, the later one wins.  What has no
 * '=' or no label is passed over.
 * role:        as in the options of a session; NULL or one without a group: what is for every role.
 * environment: "NAME=VALUE" each, then NULL, such as environ; NULL: empty.
 * labels:      sorted by name, each once, for the options of a session.  They are views of the
 *              environment: no NUL follows a name, and setenv may end them.  May be NULL when
 *              capacity, a number of labels, is 0.
 * count:       how many there are.
 * Returns:     ROLLCALL_OK; ROLLCALL_E_TOO_SMALL when there are more than capacity: nothing was
 * written, and *count says how many; ROLLCALL_E_NO_MEMORY: nothing was written.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_labels_from_environment(const char *role, const char *const *environment,
                                 struct rollcall_label *labels, size_t capacity, size_t *count,
                                 struct rollcall_error *error);

/*
 * Writes the name of the environment's variable for a label: all in capital letters (a to z; other
 * bytes stay), so the label that is read from it is in capitals too.
 * role:    NULL or "": for every role.  One that has no group becomes part of the label.
 * Returns: as snprintf, how many bytes the whole name has without its NUL; when that is not below
 *          capacity_bytes, name was cut.  name may be NULL when capacity_bytes is 0.
 */
ROLLCALL_API size_t rollcall_label_variable(const char *role, const char *label, char *name,
                                            size_t capacity_bytes);

/* ---- keys and versions ---- */

/*
 * Writes what the keys of a role's sessions begin with, ROOT/session/ROLE, and a NUL.  Keys of
 * another role may begin so too: querynode2-1 does with querynode.
 * root:       NULL: "by-dev/meta".
 * key:        may be NULL when capacity_bytes, its size with the NUL, is 0.
 * size_bytes: how many bytes the key has without the NUL; NULL: not wanted.
 * Returns:    ROLLCALL_OK; ROLLCALL_E_TOO_SMALL when it does not fit: *size_bytes says what it
 * takes; ROLLCALL_E_INVALID when the role or the root is none; ROLLCALL_E_NO_MEMORY.  After an
 *             error nothing was written.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_key_prefix(const char *root, const char *role, char *key, size_t capacity_bytes,
                    size_t *size_bytes, struct rollcall_error *error);

/*
 * Whether a version is in a range such as ">=2.2.3 <3.0.0 || 4.x", as a watch's version_range.
 * Prereleases are compared like any version; build metadata does not count.
 * version: strict semver, "2.4.2".  A record with an empty one has "0.0.0".
 * Returns: ROLLCALL_OK; ROLLCALL_E_INVALID with the word at fault; ROLLCALL_E_NO_MEMORY.  After an
 *          error *in_range is as it was.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_version_in_range(const char *version, const char *range, bool *in_range,
                          struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_RECORD_H */

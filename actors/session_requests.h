/*
 * actors/session_requests.h - what a session's actors ask of etcd about its key; pure.
 *
 * Every one is a write under a condition that tells, when the condition does not hold, what is
 * there instead: that is how an earlier effect of our own is recognised, and how nothing of
 * another's is ever overwritten.  Each returns NULL when out of memory.
 */
#ifndef ACTORS_SESSION_REQUESTS_H
#define ACTORS_SESSION_REQUESTS_H

#include "actors/session.h"
#include "base/buffer.h"
#include "transport/messages.h"

/* The record as it is stored; value: appended to, and failed when out of memory. */
void session_record_encode(const struct session_config *config, int64_t server_id, int64_t lease_id,
                           bool stopping, struct rollcall__buffer *value);

/* Puts the record if the key is free.  stopping: as one that is marked. */
struct transport_request *session_request_claim(const struct session_config *config,
                                                struct rollcall_bytes key, int64_t server_id,
                                                int64_t lease_id, bool stopping);
/* Deletes the key if it is still what `seen` is. */
struct transport_request *session_request_evict(const struct transport_kv *seen);
/* Deletes the key if it is under this lease and, unless that is 0, still the one of this create
 * revision. */
struct transport_request *session_request_withdraw(const char *key, int64_t create_revision,
                                                   int64_t lease_id);
/* Puts the record as Stopping if the key is still the one we created. */
struct transport_request *session_request_mark(const struct session_config *config,
                                               const struct session_membership *mine);

/* The same of one that stands for election, whose active key is, as far as is known, last put at
 * active_mod_revision (0: it is not there) and ours or not: if that is so; if it is ours both are
 * put.  Else ops[0] tells what is under the active key, ops[1] what is under its own. */
struct transport_request *session_request_mark_both(const struct session_config *config,
                                                    const struct session_membership *mine,
                                                    int64_t active_mod_revision, bool is_ours);

/* What a value is to the server with this ID. */
struct session_reading {
    bool is_ours; /* a record of it; else another's, or none at all */
    bool is_stopping;
};
/* Returns: ROLLCALL_OK; or ROLLCALL_E_NO_MEMORY, and it is not known. */
ROLLCALL_MUST_USE enum rollcall_status session_read(int64_t server_id, struct rollcall_bytes value,
                                                    struct session_reading *reading);

enum session_owner {
    SESSION_RIVAL,       /* every other */
    SESSION_OURSELVES,   /* it is what we held under lease_id, 0: never any: our server ID, under
                            that lease still; or put again by somebody, as ours in role, host and
                            address too, who left our lease's ID in it, or put it without a lease
                            and names none */
    SESSION_PREDECESSOR, /* an earlier process in our place left it behind: the same role, host and
                            address, and a lower server ID */
};
/* Whose kv is.  Returns: ROLLCALL_OK; or ROLLCALL_E_NO_MEMORY, and it is not known. */
ROLLCALL_MUST_USE enum rollcall_status session_whose(const struct session_config *config,
                                                     int64_t server_id, int64_t lease_id,
                                                     const struct transport_kv *kv,
                                                     enum session_owner *owner);

/* Whether an answer with this status is etcd's own word: it is there. */
bool session_is_from_etcd(enum rollcall_status status);

/* That `rival` holds `key`, and what to do about it. */
void session_rival_error(const struct session_config *config, const char *key,
                         const struct transport_kv *rival, struct rollcall_error *error);

#endif /* ACTORS_SESSION_REQUESTS_H */

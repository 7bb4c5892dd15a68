/*
 * actors/election_requests.h - what the election actor asks of etcd; pure.
 *
 * Each is a write under a condition, and so goes through etcd's log: a read may be answered from
 * before by a member that was frozen.  When the condition does not hold, ops[0] tells what is under
 * the active key, and ops[1] what is under our own.  Each returns NULL when out of memory.
 */
#ifndef ACTORS_ELECTION_REQUESTS_H
#define ACTORS_ELECTION_REQUESTS_H

#include "actors/session.h"
#include "transport/messages.h"

/* Puts our record under the active key if nobody has it, and our own key is still as we know it.
 * Upstream's compare, that its version is 0, holds in the same cases: they exclude each other. */
struct transport_request *election_request_claim(const struct session_config *config,
                                                 const struct session_membership *mine,
                                                 struct rollcall_bytes active_key,
                                                 int64_t own_mod_revision);
/* The same if the active key is still the one last put at `seen`: it moves to our lease, and keeps
 * its create revision. */
struct transport_request *election_request_force(const struct session_config *config,
                                                 const struct session_membership *mine,
                                                 struct rollcall_bytes active_key, int64_t seen,
                                                 int64_t own_mod_revision);
/* Deletes the active key if it is still the one last put at `seen`. */
struct transport_request *election_request_clear(const struct session_membership *mine,
                                                 struct rollcall_bytes active_key, int64_t seen);
/* Deletes the active key if it is the one we hold.  named: in the same revision, and before that,
 * this candidate's record is put again as it is: who sees that knows whose turn it is.  NULL:
 * nobody's. */
struct transport_request *election_request_give(const struct session_membership *mine,
                                                struct rollcall_bytes active_key,
                                                int64_t create_revision,
                                                const struct transport_kv *named);

#endif /* ACTORS_ELECTION_REQUESTS_H */

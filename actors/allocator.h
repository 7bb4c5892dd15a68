/* actors/allocator.h - the messages of the allocator actor.  Diagram: allocator.c. */
#ifndef ACTORS_ALLOCATOR_H
#define ACTORS_ALLOCATOR_H

#include "actors/session.h"
#include "transport/messages.h"

#define ALLOCATOR_LIST(X)                                                                          \
    X(ALLOCATOR_ASK, sizeof(struct allocator_ask)) /* object: session_config, for its root */      \
    X(ALLOCATOR_ANSWER, sizeof(struct transport_answer)) /* from transport; transport_result */    \
    X(ALLOCATOR_RETRY, 0)                                /* timer: a lost race is over */          \
    X(ALLOCATOR_RETELL, 0)                               /* timer: answers found no room */
ROLLCALL_MESSAGES(allocator_message, ALLOCATOR_LIST, ALLOCATOR_COUNT);

struct allocator_ask {
    uint16_t answer; /* the asker's message number */
    bool reuse;      /* the one ID that this allocator has for the root, not one of its own */
};

/* Payload of the answer to every ask; the object is a struct rollcall_reason unless it is OK. */
struct allocator_answer {
    int64_t server_id;
    enum rollcall_status status;
};

/* Roots whose ID is kept for those who reuse it; an ask for one more is answered E_INVALID, for it
 * would never pass. */
enum { ALLOCATOR_SHARED_MAX = 256 };

struct allocator_options {
    struct rollcall_ref transport;
};

extern const struct rollcall_actor_type allocator_type;

/* ---- what it reads and writes in etcd (allocator_ids.c); pure.  A request is NULL when out of
 * memory. ---- */

#define ALLOCATOR_ID_MAX (INT64_MAX / 2) /* nothing that is added to one overflows */

/* A positive decimal number up to ALLOCATOR_ID_MAX; 0 for anything else. */
int64_t allocator_parse_id(struct rollcall_bytes text);
/* What is wrong with the value of the root's id key. */
void allocator_refuse_value(const char *root, struct rollcall_bytes value,
                            struct rollcall_error *error);
/* Creates the id key at 1, else tells what it holds. */
struct transport_request *allocator_create_id(const char *root);
/* Puts first + count if the key still holds `value`, else tells what it holds. */
struct transport_request *allocator_take_ids(const char *root, struct rollcall_bytes value,
                                             int64_t first, size_t count);
/* *id: the server ID of the session that kv is; 0: it is none, or has none.
 * session_prefix: ROOT/session/
 * Returns: ROLLCALL_OK; or ROLLCALL_E_NO_MEMORY, and it is not known. */
ROLLCALL_MUST_USE enum rollcall_status
allocator_id_of(const struct transport_kv *kv, struct rollcall_bytes session_prefix, int64_t *id);

#endif /* ACTORS_ALLOCATOR_H */

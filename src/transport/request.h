/* transport/request.h - build the objects of transport/messages.h.  All bytes are copied. */
#ifndef TRANSPORT_REQUEST_H
#define TRANSPORT_REQUEST_H

#include "transport/messages.h"

/* Each returns a new object with one reference, or NULL when out of memory. */
struct transport_range *transport_range_create(struct rollcall_bytes key,
                                               struct rollcall_bytes end);
struct transport_request *transport_request_range(struct rollcall_bytes key,
                                                  struct rollcall_bytes end);
struct transport_request *transport_request_lease(enum transport_kind kind, int64_t lease_id,
                                                  int64_t ttl_s);
/* kind: STATUS, MEMBERS or ALARMS, which ask for all there is. */
struct transport_request *transport_request_bare(enum transport_kind kind);
/* txn: borrowed; its bytes are copied into the object. */
struct transport_request *transport_request_txn(const struct transport_txn *txn);

/* If `compare` holds then put its key, else tell what is there: a write that recognises itself.
 * lease_id: 0: none. */
struct transport_request *transport_request_put_if(const struct transport_compare *compare,
                                                   struct rollcall_bytes value, int64_t lease_id);

/* Does `compare` hold for what is under its key?  For those who play etcd.  kv: NULL: no such key;
 * then the numbers are 0, and no value is equal, not even the empty one, as etcd has it. */
bool transport_compare_holds(const struct transport_compare *compare,
                             const struct transport_kv *kv);

/* ---- what went wrong; error: copied.  None answers NULL: when there is no memory left even for
 * saying so, they answer one that was there all along and says E_NO_MEMORY. ---- */

struct transport_result *transport_result_failed(enum transport_kind kind,
                                                 const struct rollcall_error *error);
struct transport_result *transport_result_no_memory(enum transport_kind kind);
/* A watch's last response. */
struct transport_watch_response *transport_watch_failed(const struct rollcall_error *error);
struct transport_watch_response *transport_watch_no_memory(void);

/* The request could change something. */
bool transport_is_write(enum transport_kind kind);

#endif /* TRANSPORT_REQUEST_H */

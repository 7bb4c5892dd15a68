/* api/companion.h - the actors that serve everybody on one connection. */
#ifndef API_COMPANION_H
#define API_COMPANION_H

#include "api/connection.h"

/*
 * The allocator of server IDs, under a supervisor of its own: for rollcall__etcd_companion.  On the
 * worker for control; but when a callback is the first to need it, on that callback's worker, for a
 * callback cannot wait for another: then a slow callback delays server IDs, and nothing else.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__spawn_allocator(struct rollcall_etcd *etcd,
                                                                 struct rollcall_ref *root,
                                                                 struct rollcall_ref *allocator,
                                                                 struct rollcall_error *error);

#endif /* API_COMPANION_H */

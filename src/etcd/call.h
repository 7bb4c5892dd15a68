/*
 * etcd/call.h - the driver's calls: one unary request to one endpoint, as one gRPC batch.
 *
 * Threads: the actor's; between start and CHANNEL_CALL_DONE the fields under "gRPC and the poller"
 *          are theirs.
 */
#ifndef ETCD_CALL_H
#define ETCD_CALL_H

#include "etcd/link.h"

/* As the driver's call, call_cancel and call_destroy. */
struct rollcall__call *rollcall__grpc_call_start(struct rollcall__driver *driver, size_t endpoint,
                                                 const struct transport_request *request,
                                                 const char *token, int64_t timeout_ms,
                                                 struct rollcall_error *error);
void rollcall__grpc_call_cancel(struct rollcall__driver *driver, struct rollcall__call *call);
void rollcall__grpc_call_destroy(struct rollcall__driver *driver, struct rollcall__call *call);

#endif /* ETCD_CALL_H */

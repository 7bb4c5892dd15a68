/* etcd/credentials.h - channel credentials from the TLS options. */
#ifndef ETCD_CREDENTIALS_H
#define ETCD_CREDENTIALS_H

#include "etcd/endpoints.h"

#include <grpc/grpc_security.h>
#include <rollcall/etcd.h>

/* Checks that the TLS options fit each other and the endpoints' scheme; opens nothing. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__credentials_check(const struct rollcall_etcd_options *options,
                            enum rollcall__scheme scheme, struct rollcall_error *error);
/* Reads the files.  After grpc_init.  *credentials is released by the caller. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__credentials_create(const struct rollcall_etcd_options *options,
                             grpc_channel_credentials **credentials, struct rollcall_error *error);

#endif /* ETCD_CREDENTIALS_H */

/*
 * etcd/credentials.h - channel credentials from the TLS options, which follow their files.
 *
 * gRPC watches two files in memory, which only ever hold what fits together; a thread of ours looks
 * at the files on disk every second, and passes on what was replaced.  So a new connection, and one
 * that is made again, is made with what the files hold; and while they hold nothing of use, as
 * between the replacing of a certificate and of its key, with what they held before.
 *
 * Owner:   the cluster, from open to close.
 * Threads: open and close: the application's.
 */
#ifndef ETCD_CREDENTIALS_H
#define ETCD_CREDENTIALS_H

#include "base/log.h"
#include "etcd/endpoints.h"

#include <grpc/grpc_security.h>
#include <rollcall/etcd.h>

struct rollcall__credentials;

/* Checks that the TLS options fit each other and the endpoints' scheme; opens nothing. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__credentials_check(const struct rollcall_etcd_options *options,
                            enum rollcall__scheme scheme, struct rollcall_error *error);
/* Reads the files, and looks at them again from then on, unless one is no regular file.
 * After grpc_init.  log: borrowed for life. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__credentials_open(const struct rollcall_etcd_options *options, struct rollcall__log *log,
                           struct rollcall__credentials **credentials,
                           struct rollcall_error *error);
/* For channels, which take references of their own. */
grpc_channel_credentials *
rollcall__credentials_grpc(const struct rollcall__credentials *credentials);
/* After the channels were destroyed.  NULL: nothing. */
void rollcall__credentials_close(struct rollcall__credentials *credentials);

#endif /* ETCD_CREDENTIALS_H */

/*
 * cli/connection.h - a runtime and a connection to etcd, as the options ask for.
 *
 * Threads: main.
 */
#ifndef CLI_CONNECTION_H
#define CLI_CONNECTION_H

#include "cli/options.h"

#include <rollcall/watch.h>

struct cli_connection {
    struct rollcall_runtime *runtime;
    struct rollcall_etcd *etcd;
};

/* After a failure there is nothing to close. */
ROLLCALL_MUST_USE enum rollcall_status cli_connect(const struct cli_options *options,
                                                   struct cli_connection *connection,
                                                   struct rollcall_error *error);
/* Close sessions and watches first. */
void cli_disconnect(struct cli_connection *connection);

/* How long a session or a watch waits for a first answer: each endpoint gets its dial timeout. */
int64_t cli_connect_timeout_ms(const struct cli_options *options);

/* What to list or watch. */
struct rollcall_watch_options cli_watch_options(const struct cli_options *options,
                                                rollcall_watch_event_fn *on_event, void *user);

#endif /* CLI_CONNECTION_H */

/* bench/support/counts.c - see counts.h. */
#include "support/counts.h"

#include "support/metrics.h"

#include <stdlib.h>

struct counts counts_get(const char *endpoint, const struct witness *witness)
{
    static const char RECEIVED[] = "grpc_server_msg_received_total";
    const struct witness_count own = witness_count(witness);
    char *text = metrics_get(endpoint);
    const struct counts now = {
        .writes = metrics_value(text, "etcd_server_proposals_applied_total"),
        .txns = metrics_sum(text, RECEIVED, "\"Txn\"", NULL),
        .ranges = metrics_sum(text, RECEIVED, "\"Range\"", NULL),
        .revokes = metrics_sum(text, RECEIVED, "\"LeaseRevoke\"", NULL),
        .requests = metrics_sum(text, RECEIVED, NULL, "\"LeaseKeepAlive\""),
        .renewals = metrics_sum(text, RECEIVED, "\"LeaseKeepAlive\"", NULL),
        .behind = metrics_value(text, "etcd_debugging_mvcc_slow_watcher_total"),
        .events = metrics_value(text, "etcd_debugging_mvcc_events_total") - own.events,
        .responses =
            metrics_sum(text, "grpc_server_msg_sent_total", "\"Watch\"", NULL) - own.responses};
    free(text);
    return now;
}

struct counts counts_between(const struct counts *before, const struct counts *after)
{
    return (struct counts){.writes = after->writes - before->writes,
                           .txns = after->txns - before->txns,
                           .ranges = after->ranges - before->ranges,
                           .revokes = after->revokes - before->revokes,
                           .requests = after->requests - before->requests,
                           .renewals = after->renewals - before->renewals,
                           .events = after->events - before->events,
                           .responses = after->responses - before->responses,
                           .behind = after->behind};
}

/*
 * cli/demo_port.h - loopback ports for the demo's etcd, and whose they are.
 *
 * Threads: main.
 */
#ifndef CLI_DEMO_PORT_H
#define CLI_DEMO_PORT_H

#include <stdbool.h>

#include <sys/types.h>

/* Two neighbouring free ports below the ephemeral range, which is from 32'768 on; returns the
 * first, or 0.  `attempt`: another number, other ports.  Free now is no promise: see below. */
int cli_demo_port_pair(int attempt);

/* Whether `owner` itself listens on 127.0.0.1:port. */
bool cli_demo_port_is_owned(int port, pid_t owner);

#endif /* CLI_DEMO_PORT_H */

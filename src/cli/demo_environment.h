/*
 * cli/demo_environment.h - the environment of the processes that the demo starts.
 *
 * Threads: main.
 */
#ifndef CLI_DEMO_ENVIRONMENT_H
#define CLI_DEMO_ENVIRONMENT_H

/* Ours, but for what is meant for the user's etcd and clients: etcd takes ETCD_* as options, and
 * ROLLCALL_* and ETCDCTL_* say how to reach it.  ETCD_UNSUPPORTED_ARCH stays, without which etcd
 * does not start on some machines.  NULL: out of memory.  The array is the caller's to free, the
 * strings are not: they are good until ours is changed. */
char **cli_demo_environment(void);

#endif /* CLI_DEMO_ENVIRONMENT_H */

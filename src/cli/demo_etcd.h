/*
 * cli/demo_etcd.h - a private etcd: its own temporary directory, loopback ports and process.
 *
 * It never outlives us: the kernel kills it when the main thread ends, whatever ends it.
 *
 * Threads: main only (the kernel watches the thread that started it).
 */
#ifndef CLI_DEMO_ETCD_H
#define CLI_DEMO_ETCD_H

#include <rollcall/error.h>

#include <sys/types.h>

enum { CLI_DEMO_PATH_BYTES = 1024 };

struct cli_demo_etcd {
    char program[CLI_DEMO_PATH_BYTES];
    char directory[CLI_DEMO_PATH_BYTES]; /* "": none yet */
    char endpoint[32];                   /* "127.0.0.1:PORT" */
    int client_port, peer_port;
    pid_t pid; /* 0: not running */
};

/* Finds etcd on PATH, makes the directory, starts it on free ports and waits until it listens.
 * After a failure too, cli_demo_etcd_destroy cleans up.  E_STOPPED: interrupted. */
ROLLCALL_MUST_USE enum rollcall_status cli_demo_etcd_create(struct cli_demo_etcd *etcd,
                                                            struct rollcall_error *error);
/* SIGKILL, and gone when it returns. */
void cli_demo_etcd_kill(struct cli_demo_etcd *etcd);
/* Starts it again, on the same ports and data. */
ROLLCALL_MUST_USE enum rollcall_status cli_demo_etcd_restart(struct cli_demo_etcd *etcd,
                                                             struct rollcall_error *error);
/* Ends the process and removes the directory. */
void cli_demo_etcd_destroy(struct cli_demo_etcd *etcd);

#endif /* CLI_DEMO_ETCD_H */

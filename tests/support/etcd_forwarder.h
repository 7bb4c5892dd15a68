/*
 * tests/support/etcd_forwarder.h - what passes between the members of an etcd_cluster.
 *
 * The peer URL that a member advertises is a port of the forwarder, which passes on to the port
 * where the member listens.  A connection is of two members: the one whose port it came to, and the
 * one that made it, which /proc tells by the port it comes from.
 *
 * Threads: its own opens, serves and closes sockets; the calls here are the test's.
 */
#ifndef TESTS_SUPPORT_ETCD_FORWARDER_H
#define TESTS_SUPPORT_ETCD_FORWARDER_H

#include "base/thread.h"

#include <stdatomic.h>
#include <sys/types.h>

enum { ETCD_FORWARDER_SLOTS = 4, ETCD_FORWARDER_LINES = 128, ETCD_FORWARDER_BYTES = 16384 };

/* Read from one side of a line, and not yet written to the other. */
struct etcd_forwarder_flow {
    char data[ETCD_FORWARDER_BYTES];
    size_t begin, end;
    bool over; /* no more will be read */
};

/* Side 0 is the member that connected, side 1 the one it connected to. */
struct etcd_forwarder_line {
    bool open;
    int fd[2], member[2];
    struct etcd_forwarder_flow flow[2]; /* [i]: from fd[i] to the other */
};

struct etcd_forwarder {
    pthread_t thread;
    bool running;                       /* the creator's */
    int listener[ETCD_FORWARDER_SLOTS]; /* -1: not yet */
    uint16_t port[ETCD_FORWARDER_SLOTS], to_port[ETCD_FORWARDER_SLOTS];
    _Atomic pid_t pid[ETCD_FORWARDER_SLOTS];
    struct rollcall__monitor monitor; /* guards the rest */
    bool stopping, cut[ETCD_FORWARDER_SLOTS];
    struct etcd_forwarder_line lines[ETCD_FORWARDER_LINES];
};

void etcd_forwarder_init(struct etcd_forwarder *forwarder);
bool etcd_forwarder_start(struct etcd_forwarder *forwarder);
void etcd_forwarder_fini(struct etcd_forwarder *forwarder);

/* Takes a port for a member that listens at to_port.  Before or after the start; false: it cannot.
 * Returns it in port[member]. */
bool etcd_forwarder_listen(struct etcd_forwarder *forwarder, int member, uint16_t to_port);
/* Whose connections are this member's; 0: nobody's. */
void etcd_forwarder_know(struct etcd_forwarder *forwarder, int member, pid_t pid);

/* As etcd_cluster_cut_off and _let_in. */
void etcd_forwarder_cut_off(struct etcd_forwarder *forwarder, int member);
void etcd_forwarder_let_in(struct etcd_forwarder *forwarder, int member);

#endif /* TESTS_SUPPORT_ETCD_FORWARDER_H */

/*
 * sentinel/handover.h - what passes through the socket between an owner and its sentinel: from the
 * one, pidfds of companions; from the other, once, that it is ready.
 *
 * Threads: one at a time for each end and direction.
 */
#ifndef SENTINEL_HANDOVER_H
#define SENTINEL_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

/* What a sentinel says when it is ready. */
struct rollcall__sentinel_hello {
    int64_t pid;
};

/* A companion, as the ledger numbers it. */
struct rollcall__companion {
    int64_t number;
    int pid_fd;
};

/* Neither blocks.  Sending: false when there is no room, or nobody at the other end; no SIGPIPE. */
bool rollcall__handover_send(int socket, const struct rollcall__companion *companion);

enum rollcall__handover {
    ROLLCALL__HANDOVER_NOTHING,
    ROLLCALL__HANDOVER_ONE,
    ROLLCALL__HANDOVER_END
};
/* ONE: *companion is the receiver's, with its file.  END: nothing will ever come any more. */
enum rollcall__handover rollcall__handover_receive(int socket,
                                                   struct rollcall__companion *companion);

#endif /* SENTINEL_HANDOVER_H */

/*
 * sentinel/birth.h - starts the program that is to be a sentinel, from a process with threads.
 *
 * It is no child of ours, so its end sends us no SIGCHLD, is nothing that a wait of the
 * application's could find, and leaves no zombie: whoever collects orphans collects it.  It has a
 * session and a process group of its own, no terminal, the folder /, /dev/null for its standard
 * streams, all signals blocked but its own faults, our environment, and of our files the three that
 * are handed to it.
 */
#ifndef SENTINEL_BIRTH_H
#define SENTINEL_BIRTH_H

#include <rollcall/error.h>

/* The numbers of its files. */
enum {
    ROLLCALL__SENTINEL_LEDGER_FD = 3,
    ROLLCALL__SENTINEL_SOCKET_FD = 4, /* one end of a pair of stream sockets; we have the other */
    ROLLCALL__SENTINEL_OWNER_FD = 5,  /* a pidfd of the owner */
    ROLLCALL__SENTINEL_FILES = 6
};

/* What is handed to it; they stay ours. */
struct rollcall__sentinel_files {
    int ledger, socket, owner;
};

/*
 * Runs `path sentinel PID`, with our PID, for whoever looks at the list of processes.
 * Returns: ROLLCALL_OK once it is that program; ROLLCALL_E_INVALID when there is no such program or
 *          it may not be run; ROLLCALL_E_SYSTEM, E_NO_MEMORY.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__sentinel_birth(const char *path, const struct rollcall__sentinel_files *files,
                         struct rollcall_error *error);

#endif /* SENTINEL_BIRTH_H */

/*
 * bench/support/session_record.h - the keys and values that bench/fanout has written: session
 * records of 300 bytes, as upstream writes them, but for one thing: the server ID is the number of
 * the event (see tally.h), so that each record is another, and a watcher sees whether one is
 * missing.
 *
 * Threads: any.
 */
#ifndef BENCH_SUPPORT_SESSION_RECORD_H
#define BENCH_SUPPORT_SESSION_RECORD_H

#include <stdint.h>

#define SESSION_RECORD_ROOT "fanout"
#define SESSION_RECORD_ROLE "querynode"

enum {
    SESSION_RECORD_BYTES = 300,
    SESSION_RECORD_KEYS = 128, /* as many as one transaction of etcd may write */
    SESSION_RECORD_KEY_BYTES =
        sizeof SESSION_RECORD_ROOT "/session/" SESSION_RECORD_ROLE "-1000" - 1
};
/* The server ID of number 0: all have as many digits. */
#define SESSION_RECORD_ID_0 2000000000000

/* The key of the place-th event of a lane; a NUL follows. */
void session_record_key(char key[SESSION_RECORD_KEY_BYTES + 1], int64_t place);
/* No NUL follows. */
void session_record_value(char value[SESSION_RECORD_BYTES], int64_t number);
/* Writes another number into a value: the same bytes as session_record_value's. */
void session_record_renumber(char value[SESSION_RECORD_BYTES], int64_t number);

#endif /* BENCH_SUPPORT_SESSION_RECORD_H */

/*
 * bench/support/board.h - what the processes of bench/failover have in common: a file they all map,
 * with a slot for each candidate, in which it notes when it began to act and the driver what it is
 * to do.  bench/peers/clientv3/failover.go knows this layout, too.
 *
 * Times are of CLOCK_MONOTONIC, which is one clock for all processes of a machine.
 * Threads: any; of one slot one candidate at a time writes, and the driver its `order`.
 * Errors:  false, after one sentence on stderr.
 */
#ifndef BENCH_SUPPORT_BOARD_H
#define BENCH_SUPPORT_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum board_state { BOARD_AWAY, BOARD_STANDING, BOARD_ACTIVE };
enum board_order { BOARD_RESIGN = 1, BOARD_CLOSE, BOARD_JOIN };

enum {
    BOARD_SLOTS_MAX = 128,
    BOARD_KEY_BYTES = 192,
    BOARD_SKIPPED = 77 /* how a candidate ends that cannot do what it is asked for */
};

/* 256 bytes: words of 64 bits, then the key. */
struct board_slot {
    _Atomic int64_t state;
    _Atomic int64_t order;         /* what to do, when SIGUSR1 comes */
    _Atomic int64_t done;          /* orders, so far */
    _Atomic int64_t activations;   /* so far; counted when the next, and the key, are written */
    _Atomic int64_t activated_ns;  /* when it last was told that it acts */
    _Atomic int64_t left_ns;       /* when it last began to resign, or to close */
    _Atomic int64_t waiting_since; /* the create revision of what it stands with; of ours the token
                                      of its last turn, once it had one */
    _Atomic int64_t lost;          /* sessions that were lost, so far */
    char key[BOARD_KEY_BYTES];     /* by which others see that it acts */
};

struct board {
    struct board_slot *slot;
    size_t size_bytes;
};

bool board_create(struct board *board, const char *path); /* BOARD_SLOTS_MAX of them, all zero */
bool board_open(struct board *board, const char *path);
void board_close(struct board *board);

int64_t board_now_ns(void); /* CLOCK_MONOTONIC */

/* For a candidate: it acts, since it asked the clock first of all. */
void board_note_active(struct board_slot *slot, int64_t at_ns, const char *key);

#endif /* BENCH_SUPPORT_BOARD_H */

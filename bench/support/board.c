/* bench/support/board.c - see board.h. */
#include "support/board.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct board_slot) == 256, "failover.go knows this layout, too");

static bool map(struct board *board, const char *path, int flags)
{
    const size_t size_bytes = BOARD_SLOTS_MAX * sizeof *board->slot;
    const int file = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
    void *start = MAP_FAILED;
    if (file >= 0 && ((flags & O_CREAT) == 0 || ftruncate(file, (off_t)size_bytes) == 0)) {
        start = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (file >= 0) {
        close(file);
    }
    if (start == MAP_FAILED) {
        fprintf(stderr, "board: cannot map %s\n", path);
        return false;
    }
    *board = (struct board){.slot = start, .size_bytes = size_bytes};
    return true;
}

bool board_create(struct board *board, const char *path)
{
    return map(board, path, O_CREAT);
}

bool board_open(struct board *board, const char *path)
{
    return map(board, path, 0);
}

void board_close(struct board *board)
{
    if (board->slot != NULL) {
        munmap(board->slot, board->size_bytes);
        board->slot = NULL;
    }
}

int64_t board_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void board_note_active(struct board_slot *slot, int64_t at_ns, const char *key)
{
    snprintf(slot->key, sizeof slot->key, "%s", key);
    atomic_store(&slot->activated_ns, at_ns);
    atomic_store(&slot->state, BOARD_ACTIVE);
    atomic_fetch_add(&slot->activations, 1);
}

/* bench/support/tally.c - see tally.h. */
#include "support/tally.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { NEXT_BYTES = TALLY_LANES_MAX * sizeof(uint32_t), LOOKED_AT = 64 };

/* One after the other: counts, then times, so that those are aligned.  slots is even. */
static void lay_out(struct tally *tally, void *start)
{
    const struct tally_head *head = start;
    uint8_t *at = (uint8_t *)start + TALLY_HEAD_BYTES;
    tally->head = start;
    tally->next = (_Atomic uint32_t *)(void *)at;
    at += (size_t)head->watchers * NEXT_BYTES;
    tally->arrivals = (_Atomic uint32_t *)(void *)at;
    at += (size_t)head->slots * sizeof(uint32_t);
    tally->begun_ns = (_Atomic int64_t *)(void *)at;
    tally->last_ns = tally->begun_ns + head->slots;
}

static size_t size_of(const struct tally_head *head)
{
    return TALLY_HEAD_BYTES + (size_t)head->watchers * NEXT_BYTES +
           (size_t)head->slots * (sizeof(uint32_t) + 2 * sizeof(int64_t));
}

static bool map(struct tally *tally, const char *path, int file, size_t size_bytes)
{
    void *start = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (start == MAP_FAILED) {
        fprintf(stderr, "tally: cannot map %s\n", path);
        return false;
    }
    tally->size_bytes = size_bytes;
    tally->head = start;
    return true;
}

bool tally_create(struct tally *tally, const char *path, const struct tally_head *wanted)
{
    const size_t size_bytes = size_of(wanted);
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)size_bytes) != 0) {
        fprintf(stderr, "tally: cannot make %s\n", path);
        return false;
    }
    if (!map(tally, path, file, size_bytes)) {
        return false;
    }
    memcpy(tally->head, wanted, sizeof *wanted);
    lay_out(tally, tally->head);
    return true;
}

bool tally_open(struct tally *tally, const char *path)
{
    struct tally_head head;
    const int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || pread(file, &head, sizeof head, 0) != sizeof head) {
        fprintf(stderr, "tally: cannot read %s\n", path);
        return false;
    }
    if (!map(tally, path, file, size_of(&head))) {
        return false;
    }
    lay_out(tally, tally->head);
    return true;
}

void tally_close(struct tally *tally)
{
    if (tally->head != NULL) {
        munmap(tally->head, tally->size_bytes);
    }
    memset(tally, 0, sizeof *tally);
}

int64_t tally_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t tally_slot(const struct tally *tally, int64_t number)
{
    const struct tally_head *head = tally->head;
    const int64_t place = number >> head->lane_shift;
    const int64_t lane = number & ((1LL << head->lane_shift) - 1);
    if ((place & ((1LL << head->sample_shift) - 1)) != 0) {
        return -1;
    }
    const int64_t slot = ((place >> head->sample_shift) << head->lane_shift) + lane;
    return slot < head->slots ? slot : -1;
}

void tally_begun(struct tally *tally, int64_t number, int64_t at_ns)
{
    const int64_t slot = tally_slot(tally, number);
    if (slot >= 0) {
        atomic_store_explicit(&tally->begun_ns[slot], at_ns, memory_order_relaxed);
    }
}

void tally__note_fault(struct tally *tally, int64_t watcher, int64_t number, int64_t expected)
{
    struct tally_head *head = tally->head;
    if (atomic_fetch_add(&head->faults, 1) == 0) {
        atomic_store(&head->fault_watcher, watcher);
        atomic_store(&head->fault_got, number);
        atomic_store(&head->fault_expected, expected);
    }
}

/* The last one reads the clock. */
void tally__note_arrival(struct tally *tally, int64_t slot)
{
    const uint32_t before_last = (uint32_t)(tally->head->watchers - tally->head->stuck - 1);
    if (slot >= 0 &&
        atomic_fetch_add_explicit(&tally->arrivals[slot], 1, memory_order_relaxed) == before_last) {
        atomic_store_explicit(&tally->last_ns[slot], tally_now_ns(), memory_order_relaxed);
    }
}

int64_t tally_queues(const struct tally *tally)
{
    return (tally->head->watchers + TALLY_QUEUE_WATCHERS - 1) / TALLY_QUEUE_WATCHERS;
}

int64_t tally_slices(const struct tally_head *head)
{
    return head->stuck > 0 ? TALLY_QUEUE_SLICES_FEW : TALLY_QUEUE_SLICES;
}

int64_t tally_slices_each(const struct tally_head *head)
{
    return tally_slices(head) /
           (head->watchers < TALLY_QUEUE_WATCHERS ? head->watchers : TALLY_QUEUE_WATCHERS);
}

static uint32_t places_of(const struct tally *tally, int64_t watcher, int64_t lane)
{
    return atomic_load_explicit(&tally->next[watcher * TALLY_LANES_MAX + lane],
                                memory_order_relaxed);
}

static int64_t delivered_to(const struct tally *tally, int64_t watcher)
{
    int64_t sum = 0;
    for (int64_t lane = 0; lane < 1LL << tally->head->lane_shift; lane++) {
        sum += places_of(tally, watcher, lane);
    }
    return sum;
}

int64_t tally_delivered(const struct tally *tally)
{
    int64_t sum = 0;
    for (int64_t i = tally->head->stuck; i < tally->head->watchers; i++) {
        sum += delivered_to(tally, i);
    }
    return sum;
}

/* Looking at all of ten thousand, again and again, would slow the threads that write there. */
int64_t tally_slowest(const struct tally *tally)
{
    const int64_t count = tally->head->watchers - tally->head->stuck;
    const int64_t step = count > LOOKED_AT ? count / LOOKED_AT : 1;
    int64_t least = INT64_MAX;
    for (int64_t i = tally->head->stuck; i < tally->head->watchers; i += step) {
        const int64_t sum = delivered_to(tally, i);
        least = sum < least ? sum : least;
    }
    return least;
}

bool tally_complete(const struct tally *tally, const int64_t *places)
{
    for (int64_t i = tally->head->stuck; i < tally->head->watchers; i++) {
        for (int64_t lane = 0; lane < 1LL << tally->head->lane_shift; lane++) {
            if (places_of(tally, i, lane) < places[lane]) {
                return false;
            }
        }
    }
    return true;
}

void tally_print_fault(const struct tally *tally)
{
    struct tally_head *head = tally->head;
    if (atomic_load(&head->faults) != 0) {
        fprintf(stderr,
                "fanout: %" PRId64 " events lost, repeated or out of order: watcher %" PRId64
                " got number %" PRId64 ", and not %" PRId64 "\n",
                atomic_load(&head->faults), atomic_load(&head->fault_watcher),
                atomic_load(&head->fault_got), atomic_load(&head->fault_expected));
    }
}

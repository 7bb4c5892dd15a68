#include "session/labels.h"

#include "base/buffer.h"

#include <string.h>

/* Merges two sorted runs; of equal names the left one goes first, which keeps the sort stable. */
static void merge(struct rollcall_label *to, const struct rollcall_label *left, size_t left_count,
                  const struct rollcall_label *right, size_t right_count)
{
    while (left_count > 0 || right_count > 0) {
        if (right_count == 0 ||
            (left_count > 0 && rollcall__bytes_compare(left->name, right->name) <= 0)) {
            *to++ = *left++;
            left_count--;
        } else {
            *to++ = *right++;
            right_count--;
        }
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t rollcall__labels_sort(struct rollcall_label *labels, struct rollcall_label *spare,
                             size_t count)
{
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t i = 0; i < count; i += 2 * run) {
            const size_t middle = smaller(i + run, count), end = smaller(i + 2 * run, count);
            merge(spare + i, labels + i, middle - i, labels + middle, end - middle);
        }
        memcpy(labels, spare, count * sizeof *labels);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && rollcall__bytes_equal(labels[kept - 1].name, labels[i].name)) {
            kept--;
        }
        labels[kept++] = labels[i];
    }
    return kept;
}

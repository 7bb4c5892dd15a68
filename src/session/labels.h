/* session/labels.h - the labels of a record in the order they are stored.  Threads: any. */
#ifndef SESSION_LABELS_H
#define SESSION_LABELS_H

#include <rollcall/record.h>

/*
 * Sorts by name in byte order; of equal names the last one stays.
 * spare:   room for `count` labels, overwritten.
 * Returns: how many labels are left, at the front.
 */
size_t rollcall__labels_sort(struct rollcall_label *labels, struct rollcall_label *spare,
                             size_t count);

#endif /* SESSION_LABELS_H */

/* session/labels.h - the labels of a record: their order, and where a process gets its own from.
 * Threads: any; nothing is shared. */
#ifndef SESSION_LABELS_H
#define SESSION_LABELS_H

#include <rollcall/record.h>

/* What the environment's variables for labels begin with. */
#define ROLLCALL__LABEL_VARIABLE_PREFIX "MILVUS_SERVER_LABEL_"

/*
 * Sorts by name in byte order; of equal names the last one stays.
 * spare:   room for `count` labels, overwritten.
 * Returns: how many labels are left, at the front.
 */
size_t rollcall__labels_sort(struct rollcall_label *labels, struct rollcall_label *spare,
                             size_t count);

/* Whether they are in the order that rollcall__labels_sort leaves; if not, *at is the first label
 * that is not above the one before it. */
bool rollcall__labels_sorted(const struct rollcall_label *labels, size_t count, size_t *at);

/* rollcall_labels_from_environment, in <rollcall/record.h>. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__labels_from_environment(const char *role, const char *const *environment,
                                  struct rollcall_label *labels, size_t capacity, size_t *count,
                                  struct rollcall_error *error);

#endif /* SESSION_LABELS_H */

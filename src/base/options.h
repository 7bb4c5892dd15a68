/* base/options.h - how an options struct of an older or newer caller is read. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <rollcall/error.h>

#include <stddef.h>

/*
 * Copies *from, whose first field is its own size, into the `size_bytes` at `to`; what an older
 * caller does not have is zero.  from NULL: all zero.
 * Returns: ROLLCALL_E_INVALID if the size is nonsense, or a newer caller sets a field we do not
 *          know; `name` is the struct's, for the sentence.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__options_copy(void *to, size_t size_bytes,
                                                              const void *from, const char *name,
                                                              struct rollcall_error *error);

#endif /* BASE_OPTIONS_H */

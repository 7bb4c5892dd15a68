/*
 * api/watch_options.h - what a watch is asked for, checked and copied.
 * Threads: any.
 */
#ifndef API_WATCH_OPTIONS_H
#define API_WATCH_OPTIONS_H

#include "actors/watcher.h"

/* Returns: ROLLCALL_OK; or ROLLCALL_E_INVALID, and *error names the option at fault. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__watch_check(const struct rollcall_watch_options *options, struct rollcall_error *error);

/* *created: with one reference.  list_contact_ms: when etcd must have answered the list that this
 * is; 0: it is a watch.  Returns: ROLLCALL_OK or ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__watch_config(const char *endpoints, const struct rollcall_watch_options *options,
                       int64_t list_contact_ms, struct reflector_config **created,
                       struct rollcall_error *error);

/* *created: with one reference; NULL: all count.  Returns: ROLLCALL_OK, ROLLCALL_E_INVALID or
 * ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__watch_filter(const char *version_range,
                                                              struct watcher_filter **created,
                                                              struct rollcall_error *error);

#endif /* API_WATCH_OPTIONS_H */

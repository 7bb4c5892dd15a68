/* api/session_options.h - a session's options, checked and copied. */
#ifndef API_SESSION_OPTIONS_H
#define API_SESSION_OPTIONS_H

#include "actors/session.h"

/*
 * endpoints: for sentences; copied.
 * options:   what was given; what an older caller does not know is zero.
 * Returns: ROLLCALL_OK and *config with one reference; ROLLCALL_E_INVALID with the option at fault;
 *          ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__session_config_create(const struct rollcall_session_options *given, const char *endpoints,
                                struct rollcall_session_options *options,
                                struct session_config **config, struct rollcall_error *error);

/* If the connection has a sentinel: gives it a place there to note its lease in.  Without room it
 * is looked after as without a sentinel, and the log says so. */
void rollcall__session_guard(struct rollcall_etcd *etcd, struct session_config *config);
/* From here on its lease is left to its TTL. */
void rollcall__session_unguard(const struct session_config *config);
/* A copy through its bytes: then it owns what it views, and is what a reader would see. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__record_copy(const struct rollcall_record *from,
                                                             struct rollcall_record **record,
                                                             struct rollcall_error *error);

#endif /* API_SESSION_OPTIONS_H */

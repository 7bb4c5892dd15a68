/*
 * session/record_any.h - reads a session record of any shape that encoding/json would read.
 * Threads: any; nothing is shared.
 */
#ifndef SESSION_RECORD_ANY_H
#define SESSION_RECORD_ANY_H

#include "session/record.h"

/* As rollcall__record_read, but neither size nor version are checked, and the caller has
 * initialised the scratch's arena. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__record_read_any(struct rollcall_bytes json, struct rollcall__record_scratch *scratch,
                          struct rollcall_record *record, struct rollcall_error *error);

#endif /* SESSION_RECORD_ANY_H */

/*
 * session/record_edit.h - changes to a stored record that belongs to somebody else, who may have
 * written members that we do not know.
 *
 * Threads: any; nothing is shared.
 */
#ifndef SESSION_RECORD_EDIT_H
#define SESSION_RECORD_EDIT_H

#include "base/buffer.h"

/*
 * Appends the record with Stopping set and everything else as its owner wrote it: in upstream's
 * field order when it was stored in that, else its bytes with a member more at the end, which wins
 * over one of that name before it.  A record that is stopping already stays byte for byte.
 * json:    must not be a view of out.
 * Returns: ROLLCALL_OK; ROLLCALL_E_CORRUPT when json is no session record, or one so large that
 *          there is no room for the member: out is as it was; ROLLCALL_E_NO_MEMORY: out is not to
 *          be used.
 */
ROLLCALL_MUST_USE enum rollcall_status rollcall__record_mark_stopping(struct rollcall_bytes json,
                                                                      struct rollcall__buffer *out,
                                                                      struct rollcall_error *error);

#endif /* SESSION_RECORD_EDIT_H */

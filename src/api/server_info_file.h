/*
 * api/server_info_file.h - a file of lines that only this user can have written, in a directory
 * that only this user can look into: no link is followed, and every writer and reader takes a lock.
 *
 * Threads: any, of any process.
 * Errors:  E_INVALID: what stands in the place of the directory or the file is not ours;
 *          E_SYSTEM: the system refused.  The sentence names the path.
 */
#ifndef API_SERVER_INFO_FILE_H
#define API_SERVER_INFO_FILE_H

#include "base/buffer.h"

enum { ROLLCALL__INFO_LINE_BYTES_MAX = 4096, ROLLCALL__INFO_FILE_BYTES_MAX = 1024 * 1024 };

/*
 * Appends line.  A file that does not begin with header is emptied first, and header written before
 * the line.  Both end with a newline and have at most ROLLCALL__INFO_LINE_BYTES_MAX.  Makes the
 * directory and the file when they are missing.
 * Returns: also ROLLCALL_E_CORRUPT, ROLLCALL_E_NO_MEMORY.  On a failure nothing was appended.
 */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__info_append(const char *directory, const char *name, struct rollcall_bytes header,
                      struct rollcall_bytes line, struct rollcall_error *error);

/* Appends the file to out; nothing when it, or the directory, is missing.
 * Returns: also ROLLCALL_E_CORRUPT when it is too long, ROLLCALL_E_NO_MEMORY. */
ROLLCALL_MUST_USE enum rollcall_status rollcall__info_read(const char *directory, const char *name,
                                                           struct rollcall__buffer *out,
                                                           struct rollcall_error *error);

/* Removes the name, whatever it is a name of but a directory; missing: ROLLCALL_OK. */
ROLLCALL_MUST_USE enum rollcall_status
rollcall__info_remove(const char *directory, const char *name, struct rollcall_error *error);

#endif /* API_SERVER_INFO_FILE_H */

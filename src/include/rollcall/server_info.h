/*
 * rollcall/server_info.h - what a process leaves behind for its parent: the sessions it has.
 *
 * A child saves each session once it is ACTIVE, and again each time it is ACTIVE after it was LOST
 * (ROLLCALL_ON_LOST_REREGISTER, rollcall_session_restart): its lease and create revision are new
 * then, and a session is removed by those.  What was saved before does no harm: it is KEY_LOST.
 * When the child has died without leaving, its parent lists them, removes them from etcd
 * (rollcall_revoke, <rollcall/admin.h>) and then removes the file: one per process,
 * DIRECTORY/server_id_<pid>.
 *
 * directory: NULL: $XDG_RUNTIME_DIR/rollcall if that is set and absolute, else /tmp/rollcall-<uid>.
 *          Parent and child must mean the same one, be the same user, and see the same PIDs: do not
 *          share one between containers.  It is made (mode 0700) by the first save, but its parent
 *          is not.  One that is a symbolic link, another user's, or open to others is refused, so
 *          nobody else can plant or read a file.
 * Reuse:   save begins a new file when the one it finds is of an earlier process with our PID.
 *          Until then list tells the earlier one's sessions; it is dead too, so removing those is
 *          right, as long as lease and create revision are compared.
 * Crashes: the file outlives its process, but is not synced to the disk: it is for the death of a
 *          process, not of a machine, whose sessions run out by themselves.
 *
 * Threads: any thread of any process may call any function, at the same time; a call may wait while
 *          another process, or thread, writes its line.  Nothing else here waits.
 * Memory:  everything is copied; what a callback is told is borrowed until it returns.
 * Errors:  E_INVALID: an argument, or something in the place of our directory or file that must not
 *          be there, such as a link; E_SYSTEM: the system refused, for example a full disk.
 */
#ifndef ROLLCALL_SERVER_INFO_H
#define ROLLCALL_SERVER_INFO_H

#include <rollcall/error.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ROLLCALL_SERVER_INFO_PATH_BYTES = 4096 }; /* no path is longer, with its NUL */

/* One session, as rollcall_session_get_info gives it once it is ACTIVE; every number is above 0. */
struct rollcall_server_info {
    const char *role;
    const char *key; /* in full; no control characters */
    int64_t server_id;
    int64_t lease_id;
    int64_t create_revision; /* so that a successor under the same key is left alone */
};

/*
 * Appends a session to this process's own file; a line is there whole or not at all, and every
 * call adds one, even for the same session.
 * Returns: ROLLCALL_OK; ROLLCALL_E_INVALID also when the line would be longer than 4 KiB, or the
 *          file than 1 MiB; ROLLCALL_E_SYSTEM; ROLLCALL_E_CORRUPT; ROLLCALL_E_NO_MEMORY.
 *          On a failure no line was added.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_info_save(const char *directory, const struct rollcall_server_info *info,
                          struct rollcall_error *error);

/* May call anything here: the file is closed by then. */
typedef void rollcall_server_info_fn(void *user, const struct rollcall_server_info *info);

/*
 * Tells each session of the process, in the order they were saved.  No file: tells nothing.
 * The process may still run, or be dead: that is not looked at.  A line that it was writing as it
 * was killed is left out.
 * Returns: ROLLCALL_OK; ROLLCALL_E_CORRUPT with the file and the line that cannot be understood,
 * and then nothing was told; ROLLCALL_E_INVALID; ROLLCALL_E_SYSTEM; ROLLCALL_E_NO_MEMORY.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_info_list(const char *directory, int64_t pid, rollcall_server_info_fn *fn,
                          void *user, struct rollcall_error *error);

/* Removes the file; no file: ROLLCALL_OK.  Call it after the process has ended: what is saved
 * between list and remove is lost. */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_info_remove(const char *directory, int64_t pid, struct rollcall_error *error);

/*
 * Where the file of a process is, or would be; makes and looks at nothing.
 * path: at most ROLLCALL_SERVER_INFO_PATH_BYTES are ever needed.  Returns: ROLLCALL_OK, or
 *       ROLLCALL_E_INVALID, also when path_bytes are too few; then path is as it was.
 */
ROLLCALL_API ROLLCALL_MUST_USE enum rollcall_status
rollcall_server_info_path(const char *directory, int64_t pid, char *path, size_t path_bytes,
                          struct rollcall_error *error);

#ifdef __cplusplus
}
#endif

#endif /* ROLLCALL_SERVER_INFO_H */

/*
 * The lock is one of the open file description (F_OFD_SETLKW): it keeps threads apart too, and is
 * let go by name, because a child forked meanwhile has the same description and keeps it open.
 * O_NONBLOCK: a FIFO in the file's place is seen for what it is instead of being waited for.
 * Nothing is synced: see <rollcall/server_info.h>.
 */
#include "api/server_info_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_ATTEMPTS = 16 };

/* What a call works on. */
struct place {
    const char *directory, *name;
    int directory_fd, file_fd; /* -1: missing, or not open */
};

/* ---- sentences ---- */

static enum rollcall_status refuse_directory(const char *directory, const char *reason,
                                             struct rollcall_error *error)
{
    return rollcall_error_set(error, ROLLCALL_E_INVALID, "the directory \"%.150s\" %s", directory,
                              reason);
}

static enum rollcall_status refuse_file(const struct place *place, const char *reason,
                                        struct rollcall_error *error)
{
    return rollcall_error_set(error, ROLLCALL_E_INVALID, "the file \"%.150s/%s\" %s",
                              place->directory, place->name, reason);
}

static enum rollcall_status system_failed(const struct place *place, const char *verb, int failure,
                                          struct rollcall_error *error)
{
    return rollcall_error_set(error, ROLLCALL_E_SYSTEM, "cannot %s \"%.150s/%s\": %s", verb,
                              place->directory, place->name, strerror(failure));
}

/* ---- opening ---- */

static enum rollcall_status check_directory(const struct place *place, struct rollcall_error *error)
{
    struct stat found;
    if (fstat(place->directory_fd, &found) != 0) {
        return system_failed(place, "look at the directory of", errno, error);
    }
    if (found.st_uid != geteuid()) {
        return refuse_directory(place->directory,
                                "belongs to another user: remove it, or give another directory",
                                error);
    }
    if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return refuse_directory(place->directory,
                                "is open to other users: if all in it is yours, make its mode 0700",
                                error);
    }
    return ROLLCALL_OK;
}

/* OK with directory_fd -1 when it is missing and not to be made. */
static enum rollcall_status open_directory(struct place *place, bool make,
                                           struct rollcall_error *error)
{
    if (make && mkdir(place->directory, S_IRWXU) != 0 && errno != EEXIST) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "cannot make the directory \"%.150s\": %s: make the one above it "
                                  "and let this user write there, or give another directory",
                                  place->directory, strerror(errno));
    }
    place->directory_fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place->directory_fd >= 0) {
        return check_directory(place, error);
    }
    if (errno == ENOENT && !make) {
        return ROLLCALL_OK;
    }
    if (errno == ENOTDIR || errno == ELOOP) {
        return refuse_directory(place->directory,
                                "is a symbolic link, or no directory: remove it, or give another "
                                "directory",
                                error);
    }
    return system_failed(place, "open the directory of", errno, error);
}

static bool lock(int fd, int type)
{
    struct flock whole = {.l_type = (short)type, .l_whence = SEEK_SET};
    while (fcntl(fd, F_OFD_SETLKW, &whole) != 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static enum rollcall_status check_file(const struct place *place, const struct stat *found,
                                       struct rollcall_error *error)
{
    if (!S_ISREG(found->st_mode)) {
        return refuse_file(place, "is no regular file: remove it", error);
    }
    if (found->st_uid != geteuid()) {
        return refuse_file(place, "belongs to another user: remove it", error);
    }
    if (found->st_nlink > 1) {
        return refuse_file(place, "has a second name (a hard link): remove this one", error);
    }
    return ROLLCALL_OK;
}

/* Opens, locks and checks what has the name now. *removed: it has lost the name meanwhile. */
static enum rollcall_status open_once(struct place *place, int flags, int lock_type, bool *removed,
                                      struct rollcall_error *error)
{
    struct stat found;
    *removed = false;
    place->file_fd = openat(place->directory_fd, place->name,
                            flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (place->file_fd < 0 && errno == ENOENT && (flags & O_CREAT) == 0) {
        return ROLLCALL_OK;
    }
    if (place->file_fd < 0 && errno == ELOOP) {
        return refuse_file(place, "is a symbolic link: remove it", error);
    }
    if (place->file_fd < 0) {
        return system_failed(place, "open", errno, error);
    }
    if (!lock(place->file_fd, lock_type)) {
        return system_failed(place, "lock", errno, error);
    }
    if (fstat(place->file_fd, &found) != 0) {
        return system_failed(place, "look at", errno, error);
    }
    *removed = found.st_nlink == 0;
    return check_file(place, &found, error);
}

static void close_file(struct place *place)
{
    if (place->file_fd >= 0) {
        lock(place->file_fd, F_UNLCK);
        close(place->file_fd);
        place->file_fd = -1;
    }
}

static void close_place(struct place *place)
{
    close_file(place);
    if (place->directory_fd >= 0) {
        close(place->directory_fd);
    }
}

/* OK with file_fd -1 when there is no file and flags do not ask for one. */
static enum rollcall_status open_file(struct place *place, int flags, int lock_type,
                                      struct rollcall_error *error)
{
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        bool removed;
        const enum rollcall_status status = open_once(place, flags, lock_type, &removed, error);
        if (status != ROLLCALL_OK || !removed) {
            return status;
        }
        close_file(place);
    }
    return refuse_file(place, "is removed again and again: remove it once, after the process ended",
                       error);
}

/* ---- appending ---- */

/* How much of the file stays: its whole lines, if it begins with header; else nothing.  There is a
 * half line when another thread's exec killed one in the middle of its write. */
static enum rollcall_status measure(const struct place *place, size_t file_bytes,
                                    struct rollcall_bytes header, size_t *kept_bytes,
                                    struct rollcall_error *error)
{
    char text[ROLLCALL__INFO_LINE_BYTES_MAX];
    const size_t begin = file_bytes > sizeof text ? file_bytes - sizeof text : 0;
    *kept_bytes = 0;
    ssize_t got = pread(place->file_fd, text, header.size_bytes, 0);
    if (got < 0) {
        return system_failed(place, "read", errno, error);
    }
    if (!rollcall__bytes_equal((struct rollcall_bytes){text, (size_t)got}, header)) {
        return ROLLCALL_OK;
    }
    got = pread(place->file_fd, text, file_bytes - begin, (off_t)begin);
    if (got < 0) {
        return system_failed(place, "read", errno, error);
    }
    const char *end = memrchr(text, '\n', (size_t)got);
    if (end == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                  "the file \"%.150s/%s\" ends with a line longer than %d bytes: "
                                  "it was not written by this library, remove it",
                                  place->directory, place->name, ROLLCALL__INFO_LINE_BYTES_MAX);
    }
    *kept_bytes = begin + (size_t)(end - text) + 1;
    return ROLLCALL_OK;
}

static bool write_all(int fd, struct rollcall_bytes content)
{
    for (size_t written = 0; written < content.size_bytes;) {
        const ssize_t size = write(fd, content.data + written, content.size_bytes - written);
        if (size == 0) {
            errno = ENOSPC; /* no file system says so, but this loop ends */
        }
        if (size <= 0 && errno != EINTR) {
            return false;
        }
        written += size > 0 ? (size_t)size : 0;
    }
    return true;
}

/* Replaces what follows the first kept_bytes by content; if that fails, by nothing. */
static enum rollcall_status replace_end(const struct place *place, size_t kept_bytes,
                                        struct rollcall_bytes content, struct rollcall_error *error)
{
    if (kept_bytes + content.size_bytes > ROLLCALL__INFO_FILE_BYTES_MAX) {
        return refuse_file(place, "has 1 MiB already: save each session once", error);
    }
    if (ftruncate(place->file_fd, (off_t)kept_bytes) != 0) {
        return system_failed(place, "shorten", errno, error);
    }
    if (!write_all(place->file_fd, content)) {
        const int failure = errno;
        /* Were this to fail, the half line would not be listed, and be cut by the next save. */
        (void)!ftruncate(place->file_fd, (off_t)kept_bytes);
        return system_failed(place, "save the session to", failure, error);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status append(const struct place *place, struct rollcall_bytes header,
                                   struct rollcall_bytes line, struct rollcall_error *error)
{
    struct stat found;
    struct rollcall__buffer content = {0};
    size_t kept_bytes;
    if (fstat(place->file_fd, &found) != 0) {
        return system_failed(place, "look at", errno, error);
    }
    enum rollcall_status status = measure(place, (size_t)found.st_size, header, &kept_bytes, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    if (kept_bytes == 0) {
        rollcall__buffer_append(&content, header.data, header.size_bytes);
    }
    rollcall__buffer_append(&content, line.data, line.size_bytes);
    status = content.failed
                 ? rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a line")
                 : replace_end(place, kept_bytes, rollcall__buffer_bytes(&content), error);
    rollcall__buffer_free(&content);
    return status;
}

enum rollcall_status rollcall__info_append(const char *directory, const char *name,
                                           struct rollcall_bytes header, struct rollcall_bytes line,
                                           struct rollcall_error *error)
{
    struct place place = {directory, name, -1, -1};
    enum rollcall_status status = open_directory(&place, true, error);
    if (status == ROLLCALL_OK) {
        status = open_file(&place, O_RDWR | O_CREAT | O_APPEND, F_WRLCK, error);
    }
    if (status == ROLLCALL_OK) {
        status = append(&place, header, line, error);
    }
    close_place(&place);
    return status;
}

/* ---- reading, removing ---- */

static enum rollcall_status read_all(const struct place *place, struct rollcall__buffer *out,
                                     struct rollcall_error *error)
{
    char text[4096];
    for (;;) {
        const ssize_t size = read(place->file_fd, text, sizeof text);
        if (size < 0 && errno != EINTR) {
            return system_failed(place, "read", errno, error);
        }
        if (size == 0) {
            return ROLLCALL_OK;
        }
        rollcall__buffer_append(out, text, size > 0 ? (size_t)size : 0);
        if (out->failed) {
            return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a file");
        }
        if (out->size_bytes > ROLLCALL__INFO_FILE_BYTES_MAX) {
            return rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                      "the file \"%.150s/%s\" is longer than 1 MiB: it was not "
                                      "written by this library, remove it",
                                      place->directory, place->name);
        }
    }
}

enum rollcall_status rollcall__info_read(const char *directory, const char *name,
                                         struct rollcall__buffer *out, struct rollcall_error *error)
{
    struct place place = {directory, name, -1, -1};
    enum rollcall_status status = open_directory(&place, false, error);
    if (status == ROLLCALL_OK && place.directory_fd >= 0) {
        status = open_file(&place, O_RDONLY, F_RDLCK, error);
    }
    if (status == ROLLCALL_OK && place.file_fd >= 0) {
        status = read_all(&place, out, error);
    }
    close_place(&place);
    return status;
}

enum rollcall_status rollcall__info_remove(const char *directory, const char *name,
                                           struct rollcall_error *error)
{
    struct place place = {directory, name, -1, -1};
    enum rollcall_status status = open_directory(&place, false, error);
    if (status == ROLLCALL_OK && place.directory_fd >= 0 &&
        unlinkat(place.directory_fd, name, 0) != 0 && errno != ENOENT) {
        status = system_failed(&place, "remove", errno, error);
    }
    close_place(&place);
    return status;
}

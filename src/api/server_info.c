/*
 * The public calls of rollcall/server_info.h.  A file is
 *
 *    rollcall-server-info 1 <start>
 *    <role> <server ID> <lease ID> <create revision> <key>      one line for each session
 *
 * with the key last, as it alone may hold spaces.  <start> is when the process started, in ticks
 * since the machine did: a PID comes again, the two together do not.  (After a reboot they might;
 * the lines kept by mistake would name leases and revisions that are no more.)
 */
#include <rollcall/server_info.h>

#include "api/server_info_file.h"
#include "session/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER "rollcall-server-info 1 "

enum { NAME_BYTES = 32, START_BYTES = 32, START_FIELD = 22, STATE_FIELD = 3 };

/* Where a file is: its directory, without a slash at the end, and its name in there. */
struct location {
    char directory[ROLLCALL_SERVER_INFO_PATH_BYTES];
    char name[NAME_BYTES];
};

/* ---- where ---- */

/* A slash at the end would make the system follow a link of that name, and so would a dot. */
static enum rollcall_status check_directory(char *directory, struct rollcall_error *error)
{
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') {
        directory[--size] = '\0';
    }
    const char *slash = strrchr(directory, '/');
    const char *last = slash == NULL ? directory : slash + 1;
    if (size == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the directory \"%.150s\" does not end with a name: write the "
                                  "path it means",
                                  directory);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status locate(const char *directory, int64_t pid, struct location *location,
                                   struct rollcall_error *error)
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    int size;
    if (pid < 1) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the pid is %" PRId64 ": give that of a process", pid);
    }
    const int name_bytes =
        snprintf(location->name, sizeof location->name, "server_id_%" PRId64, pid);
    if (directory != NULL) {
        size = snprintf(location->directory, sizeof location->directory, "%s", directory);
    } else if (runtime != NULL && runtime[0] == '/') {
        size = snprintf(location->directory, sizeof location->directory, "%s/rollcall", runtime);
    } else {
        size = snprintf(location->directory, sizeof location->directory, "/tmp/rollcall-%ju",
                        (uintmax_t)geteuid());
    }
    if (size < 0 || size + name_bytes + 2 > ROLLCALL_SERVER_INFO_PATH_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the directory for server-info files has %d bytes: no path may "
                                  "have more than %d",
                                  size, ROLLCALL_SERVER_INFO_PATH_BYTES);
    }
    return check_directory(location->directory, error);
}

enum rollcall_status rollcall_server_info_path(const char *directory, int64_t pid, char *path,
                                               size_t path_bytes, struct rollcall_error *error)
{
    struct location location;
    const enum rollcall_status status = locate(directory, pid, &location, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    const size_t need = strlen(location.directory) + 1 + strlen(location.name) + 1;
    if (path_bytes < need) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "path_bytes is %zu: the path needs %zu", path_bytes, need);
    }
    snprintf(path, path_bytes, "%s/%s", location.directory, location.name);
    return ROLLCALL_OK;
}

/* ---- who we are ---- */

/* Field START_FIELD of /proc/self/stat.  The second field is the program's name in parentheses and
 * may hold anything, so the fields are counted from its last parenthesis. */
static bool parse_start(char *stat, char *start)
{
    char *at = strrchr(stat, ')');
    for (int field = STATE_FIELD - 1; at != NULL && field < START_FIELD; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL) {
        return false;
    }
    const size_t digits = strspn(at + 1, "0123456789");
    if (digits == 0 || digits >= START_BYTES || at[1 + digits] != ' ') {
        return false;
    }
    at[1 + digits] = '\0';
    memcpy(start, at + 1, digits + 1);
    return true;
}

/* start: START_BYTES. */
static enum rollcall_status read_start(char *start, struct rollcall_error *error)
{
    char stat[1024];
    ssize_t size = -1;
    const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        size = read(fd, stat, sizeof stat - 1);
        close(fd);
    }
    stat[size > 0 ? size : 0] = '\0';
    if (!parse_start(stat, start)) {
        return rollcall_error_set(error, ROLLCALL_E_SYSTEM,
                                  "cannot read from /proc/self/stat when this process started: "
                                  "mount /proc");
    }
    return ROLLCALL_OK;
}

/* ---- one line ---- */

static enum rollcall_status check_key(const char *key, struct rollcall_error *error)
{
    const struct rollcall_bytes bytes = rollcall__bytes(key);
    if (bytes.size_bytes == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the key is empty: save a session once it is ACTIVE");
    }
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7F) {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "the key has the control character 0x%02x at byte %zu: no "
                                      "session's key has one",
                                      (unsigned char)key[i], i);
        }
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_number(int64_t number, const char *name,
                                         struct rollcall_error *error)
{
    if (number < 1) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "%s is %" PRId64 ": save a session once it is ACTIVE", name,
                                  number);
    }
    return ROLLCALL_OK;
}

static enum rollcall_status check_info(const struct rollcall_server_info *info,
                                       struct rollcall_error *error)
{
    enum rollcall_status status = rollcall__role_check(info->role, error);
    if (status == ROLLCALL_OK) {
        status = check_key(info->key, error);
    }
    if (status == ROLLCALL_OK) {
        status = check_number(info->server_id, "server_id", error);
    }
    if (status == ROLLCALL_OK) {
        status = check_number(info->lease_id, "lease_id", error);
    }
    if (status == ROLLCALL_OK) {
        status = check_number(info->create_revision, "create_revision", error);
    }
    return status;
}

/* ---- save ---- */

static enum rollcall_status format_line(struct rollcall__buffer *line,
                                        const struct rollcall_server_info *info,
                                        struct rollcall_error *error)
{
    rollcall__buffer_format(line, "%s %" PRId64 " %" PRId64 " %" PRId64 " %s\n", info->role,
                            info->server_id, info->lease_id, info->create_revision, info->key);
    if (line->failed) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for a line");
    }
    if (line->size_bytes > ROLLCALL__INFO_LINE_BYTES_MAX) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the key has %zu bytes, too many for a line of %d",
                                  strlen(info->key), ROLLCALL__INFO_LINE_BYTES_MAX);
    }
    return ROLLCALL_OK;
}

enum rollcall_status rollcall_server_info_save(const char *directory,
                                               const struct rollcall_server_info *info,
                                               struct rollcall_error *error)
{
    struct location location;
    struct rollcall__buffer line = {0};
    char start[START_BYTES], header[sizeof HEADER + START_BYTES];
    enum rollcall_status status = check_info(info, error);
    if (status == ROLLCALL_OK) {
        status = locate(directory, getpid(), &location, error);
    }
    if (status == ROLLCALL_OK) {
        status = read_start(start, error);
    }
    if (status == ROLLCALL_OK) {
        status = format_line(&line, info, error);
    }
    if (status == ROLLCALL_OK) {
        snprintf(header, sizeof header, HEADER "%s\n", start);
        status = rollcall__info_append(location.directory, location.name, rollcall__bytes(header),
                                       rollcall__buffer_bytes(&line), error);
    }
    rollcall__buffer_free(&line);
    return status;
}

/* ---- list ---- */

/* Whether text is a decimal number above 0. */
static bool parse_number(const char *text, int64_t *number)
{
    char *end;
    if (text[0] < '1' || text[0] > '9') {
        return false;
    }
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    *number = value;
    return errno == 0 && *end == '\0';
}

/* The text up to the next space, which becomes its end; *rest goes behind that.  NULL: no space. */
static char *next_word(char **rest)
{
    char *word = *rest, *space = strchr(word, ' ');
    if (space == NULL) {
        return NULL;
    }
    *space = '\0';
    *rest = space + 1;
    return word;
}

static bool parse_line(char *line, struct rollcall_server_info *info, struct rollcall_error *error)
{
    int64_t *const numbers[] = {&info->server_id, &info->lease_id, &info->create_revision};
    char *rest = line;
    info->role = next_word(&rest);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const char *word = info->role == NULL ? NULL : next_word(&rest);
        if (word == NULL || !parse_number(word, numbers[i])) {
            rollcall_error_set(error, ROLLCALL_E_INVALID,
                               "it is not \"ROLE ID LEASE REVISION KEY\"");
            return false;
        }
    }
    info->key = rest;
    return check_info(info, error) == ROLLCALL_OK;
}

static bool is_header(const char *line)
{
    const size_t size = strlen(HEADER);
    return strncmp(line, HEADER, size) == 0 && line[size] != '\0' &&
           line[size + strspn(line + size, "0123456789")] == '\0';
}

/* Takes the whole lines in text apart, in place, and appends to infos, whose strings are in text.
 * Returns: 0, or the number of a line that cannot be understood, with the reason. */
static size_t parse(struct rollcall_bytes text, char *at, struct rollcall__buffer *infos,
                    struct rollcall_error *reason)
{
    char *const text_end = at + text.size_bytes;
    for (size_t number = 1; at < text_end; number++) {
        struct rollcall_server_info info;
        char *end = memchr(at, '\n', (size_t)(text_end - at));
        if (end == NULL) {
            break; /* the process was killed as it wrote this line, so the save has not returned */
        }
        *end = '\0';
        rollcall_error_set(reason, ROLLCALL_E_INVALID, "it is no line of this library");
        if (strlen(at) != (size_t)(end - at) || end - at >= ROLLCALL__INFO_LINE_BYTES_MAX) {
            return number;
        }
        if (number == 1 ? !is_header(at) : !parse_line(at, &info, reason)) {
            return number;
        }
        if (number > 1) {
            rollcall__buffer_append(infos, &info, sizeof info);
        }
        at = end + 1;
    }
    return 0;
}

enum rollcall_status rollcall_server_info_list(const char *directory, int64_t pid,
                                               rollcall_server_info_fn *fn, void *user,
                                               struct rollcall_error *error)
{
    struct location location;
    struct rollcall_error reason;
    struct rollcall__buffer text = {0}, infos = {0};
    enum rollcall_status status = locate(directory, pid, &location, error);
    if (status == ROLLCALL_OK) {
        status = rollcall__info_read(location.directory, location.name, &text, error);
    }
    if (status == ROLLCALL_OK) {
        const size_t wrong = parse(rollcall__buffer_bytes(&text), text.data, &infos, &reason);
        if (wrong != 0) {
            status = rollcall_error_set(error, ROLLCALL_E_CORRUPT,
                                        "the file \"%.120s/%s\", line %zu: %.100s: remove it",
                                        location.directory, location.name, wrong, reason.text);
        } else if (infos.failed) {
            status = rollcall_error_set(error, ROLLCALL_E_NO_MEMORY, "out of memory for sessions");
        }
    }
    if (status == ROLLCALL_OK) {
        const struct rollcall_server_info *all = (const void *)infos.data;
        for (size_t i = 0; i < infos.size_bytes / sizeof *all; i++) {
            fn(user, &all[i]);
        }
    }
    rollcall__buffer_free(&infos);
    rollcall__buffer_free(&text);
    return status;
}

/* ---- remove ---- */

enum rollcall_status rollcall_server_info_remove(const char *directory, int64_t pid,
                                                 struct rollcall_error *error)
{
    struct location location;
    const enum rollcall_status status = locate(directory, pid, &location, error);
    if (status != ROLLCALL_OK) {
        return status;
    }
    return rollcall__info_remove(location.directory, location.name, error);
}

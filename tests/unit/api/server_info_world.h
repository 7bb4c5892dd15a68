/* A folder for the tests of server-info files, and each call with what it should answer. */
#ifndef TESTS_UNIT_API_SERVER_INFO_WORLD_H
#define TESTS_UNIT_API_SERVER_INFO_WORLD_H

#include <rollcall/server_info.h>

#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINES_MAX = 16 };

/* A folder of each test's own; the directory in it is for the library to make. */
static char folder[64], directory[80], own_file[128], victim[80];

static inline void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/rollcall-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(directory, sizeof directory, "%s/info", folder);
    snprintf(victim, sizeof victim, "%s/victim", folder);
    snprintf(own_file, sizeof own_file, "%s/server_id_%d", directory, (int)getpid());
}

static inline void empty_folder(const char *path)
{
    DIR *files = opendir(path);
    for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
        ROLLCALL_DROP(unlinkat(dirfd(files), file->d_name, 0) == 0 ? ROLLCALL_OK
                                                                   : ROLLCALL_E_SYSTEM,
                      "a directory in it is told by rmdir");
    }
    if (files != NULL) {
        closedir(files);
    }
}

static inline void finish(void)
{
    struct stat found;
    if (lstat(directory, &found) == 0 && S_ISDIR(found.st_mode)) {
        empty_folder(directory);
        CHECK_INT(rmdir(directory), 0);
    }
    empty_folder(folder);
    CHECK_INT(rmdir(folder), 0);
}

/* ---- files made by hand ---- */

static inline void write_file(const char *path, const char *text, size_t size_bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_INT(write(fd, text, size_bytes), size_bytes);
    CHECK_INT(close(fd), 0);
}

static inline const char *read_file(const char *path)
{
    static char text[4096];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    const ssize_t size = read(fd, text, sizeof text - 1);
    CHECK(size >= 0);
    text[size] = '\0';
    close(fd);
    return text;
}

static inline bool exists(const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0;
}

static inline int64_t size_of(const char *path)
{
    struct stat found;
    CHECK_INT(stat(path, &found), 0);
    return found.st_size;
}

/* ---- calls ---- */

static inline enum rollcall_status try_save(const char *role, int64_t server_id,
                                            struct rollcall_error *error)
{
    char key[128];
    snprintf(key, sizeof key, "by-dev/meta/session/%s-%" PRId64, role, server_id);
    const struct rollcall_server_info info = {.role = role,
                                              .key = key,
                                              .server_id = server_id,
                                              .lease_id = server_id + 1,
                                              .create_revision = server_id + 2};
    return rollcall_server_info_save(directory, &info, error);
}

static inline void save(const char *role, int64_t server_id)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (try_save(role, server_id, &error) != ROLLCALL_OK) {
        CHECK_STR(error.text, "");
    }
}

struct told {
    size_t count;
    char lines[LINES_MAX][256];
};

static inline void tell(void *user, const struct rollcall_server_info *info)
{
    struct told *told = user;
    if (told->count < LINES_MAX) {
        snprintf(told->lines[told->count], sizeof told->lines[0],
                 "%s %" PRId64 " %" PRId64 " %" PRId64 " %s", info->role, info->server_id,
                 info->lease_id, info->create_revision, info->key);
    }
    told->count++;
}

static inline struct told list(int64_t pid)
{
    struct told told = {0};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (rollcall_server_info_list(directory, pid, tell, &told, &error) != ROLLCALL_OK) {
        CHECK_STR(error.text, "");
    }
    return told;
}

static inline void check_error(const struct rollcall_error *error, enum rollcall_status status,
                               const char *part)
{
    CHECK_STR(rollcall_status_name(error->status), rollcall_status_name(status));
    if (strstr(error->text, part) == NULL) {
        CHECK_STR(error->text, part);
    }
}

static inline void refuse_save(enum rollcall_status status, const char *part)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(try_save("proxy", 7, &error), status);
    check_error(&error, status, part);
}

static inline void refuse_list(enum rollcall_status status, const char *part)
{
    struct told told = {0};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_server_info_list(directory, getpid(), tell, &told, &error), status);
    check_error(&error, status, part);
    CHECK_INT(told.count, 0);
}

static inline void refuse_remove(enum rollcall_status status, const char *part)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), &error), status);
    check_error(&error, status, part);
}

static inline void refuse_all(enum rollcall_status status, const char *part)
{
    refuse_save(status, part);
    refuse_list(status, part);
    refuse_remove(status, part);
}

/* Runs body in a child, which answers whether all went well; returns its pid once it has ended. */
static inline pid_t run_child(bool (*body)(void))
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        _exit(body() ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return child;
}

#endif /* TESTS_UNIT_API_SERVER_INFO_WORLD_H */

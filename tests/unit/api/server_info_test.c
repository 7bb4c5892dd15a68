/* The server-info file: what a process saves is what its parent lists, and nobody gets in between.
 */
#include "unit/api/server_info_world.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHER_USER = 1234, CHILDREN_MAX = 1000 };

/* ---- saved, listed, removed ---- */

TEST(server_info, sessions_are_listed_as_they_were_saved_until_they_are_removed)
{
    begin();
    save("querycoord", 999);
    save("datacoord", 999);
    save("proxy", 999);
    const struct told told = list(getpid());
    CHECK_INT(told.count, 3);
    CHECK_STR(told.lines[0], "querycoord 999 1000 1001 by-dev/meta/session/querycoord-999");
    CHECK_STR(told.lines[1], "datacoord 999 1000 1001 by-dev/meta/session/datacoord-999");
    CHECK_STR(told.lines[2], "proxy 999 1000 1001 by-dev/meta/session/proxy-999");
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), NULL), ROLLCALL_OK);
    CHECK_INT(list(getpid()).count, 0);
    save("querycoord", 9999);
    CHECK_INT(list(getpid()).count, 1);
    finish();
}

TEST(server_info, a_line_keeps_every_byte_of_its_key_and_every_digit)
{
    const struct rollcall_server_info info = {.role = "a.b_c-D",
                                              .key = " my root/\xC3\xA4 \x80/session/ role ",
                                              .server_id = INT64_MAX,
                                              .lease_id = INT64_MAX - 1,
                                              .create_revision = 1};
    begin();
    CHECK_INT(rollcall_server_info_save(directory, &info, NULL), ROLLCALL_OK);
    CHECK_STR(list(getpid()).lines[0], "a.b_c-D 9223372036854775807 9223372036854775806 1 "
                                       " my root/\xC3\xA4 \x80/session/ role ");
    finish();
}

TEST(server_info, nothing_saved_is_nothing_listed_and_nothing_made)
{
    begin();
    CHECK_INT(list(getpid()).count, 0);
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), NULL), ROLLCALL_OK);
    CHECK(!exists(directory));
    save("proxy", 1);
    CHECK_INT(list(9999999).count, 0);
    CHECK_INT(rollcall_server_info_remove(directory, 9999999, NULL), ROLLCALL_OK);
    CHECK_INT(list(getpid()).count, 1);
    finish();
}

static bool save_two_and_die(void)
{
    save("querynode", 1);
    save("querynode", 2);
    return raise(SIGKILL) == 0;
}

TEST(server_info, a_parent_lists_what_its_killed_child_had)
{
    begin();
    const pid_t child = run_child(save_two_and_die);
    CHECK_INT(list(child).count, 2);
    CHECK_STR(list(child).lines[1], "querynode 2 3 4 by-dev/meta/session/querynode-2");
    CHECK_INT(list(getpid()).count, 0);
    CHECK_INT(rollcall_server_info_remove(directory, child, NULL), ROLLCALL_OK);
    CHECK_INT(list(child).count, 0);
    finish();
}

/* Which process wrote the file: its first line. */
static void read_header(int64_t pid, char header[64])
{
    char path[128];
    snprintf(path, sizeof path, "%s/server_id_%" PRId64, directory, pid);
    snprintf(header, 64, "%.*s", (int)strcspn(read_file(path), "\n"), read_file(path));
}

/* A child that has saved two sessions and died, and that started at least a tick (10 ms) after us,
 * as whoever gets a PID again does. */
static pid_t run_later_child(void)
{
    char ours[64], theirs[64];
    save("proxy", 1);
    read_header(getpid(), ours);
    for (int i = 0; i < CHILDREN_MAX; i++) {
        const pid_t child = run_child(save_two_and_die);
        read_header(child, theirs);
        if (strcmp(ours, theirs) != 0) {
            return child;
        }
    }
    CHECK_STR(theirs, "another start");
    return 0;
}

TEST(server_info, a_reused_pid_does_not_inherit_lines)
{
    char child_file[128];
    begin();
    const pid_t child = run_later_child();
    snprintf(child_file, sizeof child_file, "%s/server_id_%d", directory, (int)child);
    CHECK_INT(rename(child_file, own_file), 0); /* as if it had had our PID */
    CHECK_INT(list(getpid()).count, 2);
    save("proxy", 5);
    save("proxy", 6);
    CHECK_INT(list(getpid()).count, 2);
    CHECK_STR(list(getpid()).lines[0], "proxy 5 6 7 by-dev/meta/session/proxy-5");
    finish();
}

static bool save_under_two_names(void)
{
    save("proxy", 1);
    if (prctl(PR_SET_NAME, "a) R 1 2 3 (b") != 0) {
        return false;
    }
    save("proxy", 2);
    return true;
}

TEST(server_info, a_process_that_renames_itself_keeps_its_lines)
{
    begin();
    CHECK_INT(list(run_child(save_under_two_names)).count, 2);
    finish();
}

/* ---- where ---- */

static void check_path(const char *given, const char *expected)
{
    char path[256] = "";
    CHECK_INT(rollcall_server_info_path(given, 42, path, sizeof path, NULL), ROLLCALL_OK);
    CHECK_STR(path, expected);
}

TEST(server_info, the_default_directory_is_in_the_users_runtime_directory_or_names_the_user)
{
    char expected[64], before[512] = "";
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    snprintf(before, sizeof before, "%s", runtime == NULL ? "" : runtime);
    snprintf(expected, sizeof expected, "/tmp/rollcall-%d/server_id_42", (int)geteuid());
    setenv("XDG_RUNTIME_DIR", "/run/user/7/", 1);
    check_path(NULL, "/run/user/7//rollcall/server_id_42");
    setenv("XDG_RUNTIME_DIR", "run/user/7", 1);
    check_path(NULL, expected);
    unsetenv("XDG_RUNTIME_DIR");
    check_path(NULL, expected);
    if (runtime != NULL) {
        setenv("XDG_RUNTIME_DIR", before, 1);
    }
}

TEST(server_info, a_path_is_refused_rather_than_cut)
{
    char path[] = "untouched", long_one[ROLLCALL_SERVER_INFO_PATH_BYTES + 1];
    struct rollcall_error error;
    check_path("/a/b///", "/a/b/server_id_42");
    check_path("b", "b/server_id_42");
    CHECK_INT(rollcall_server_info_path("/a", 42, path, sizeof path, &error), ROLLCALL_E_INVALID);
    check_error(&error, ROLLCALL_E_INVALID, "path_bytes is 10: the path needs 16");
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    CHECK_INT(rollcall_server_info_path(long_one, 42, path, sizeof path, &error),
              ROLLCALL_E_INVALID);
    check_error(&error, ROLLCALL_E_INVALID, "has 4096 bytes");
    CHECK_INT(rollcall_server_info_path("/a", 0, path, sizeof path, &error), ROLLCALL_E_INVALID);
    check_error(&error, ROLLCALL_E_INVALID, "the pid is 0");
    static const char *const nameless[] = {"", "/a/.", "/a/..", ".", "../", "/a/./"};
    for (size_t i = 0; i < sizeof nameless / sizeof *nameless; i++) {
        CHECK_INT(rollcall_server_info_path(nameless[i], 42, path, sizeof path, &error),
                  ROLLCALL_E_INVALID);
        check_error(&error, ROLLCALL_E_INVALID, "does not end with a name");
    }
    CHECK_STR(path, "untouched");
}

/* ---- who may get in between ---- */

TEST(server_info, the_directory_and_the_file_are_private_whatever_the_umask)
{
    struct stat found;
    begin();
    const mode_t before = umask(0);
    save("proxy", 1);
    umask(before);
    CHECK_INT(stat(directory, &found), 0);
    CHECK_INT(found.st_mode & 07777, 0700);
    CHECK_INT(stat(own_file, &found), 0);
    CHECK_INT(found.st_mode & 07777, 0600);
    finish();
}

TEST(server_info, a_link_in_the_files_place_is_not_followed)
{
    begin();
    save("proxy", 1);
    CHECK_INT(unlink(own_file), 0);
    write_file(victim, "precious\n", 9);
    CHECK_INT(symlink(victim, own_file), 0);
    refuse_save(ROLLCALL_E_INVALID, "is a symbolic link");
    refuse_list(ROLLCALL_E_INVALID, "is a symbolic link");
    CHECK_STR(read_file(victim), "precious\n");
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), NULL), ROLLCALL_OK);
    CHECK(!exists(own_file) && exists(victim));

    CHECK_INT(link(victim, own_file), 0);
    refuse_save(ROLLCALL_E_INVALID, "has a second name");
    refuse_list(ROLLCALL_E_INVALID, "has a second name");
    CHECK_STR(read_file(victim), "precious\n");
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), NULL), ROLLCALL_OK);
    CHECK(!exists(own_file) && exists(victim));
    save("proxy", 2);
    finish();
}

TEST(server_info, a_dangling_link_in_the_files_place_makes_no_file)
{
    begin();
    save("proxy", 1);
    CHECK_INT(unlink(own_file), 0);
    CHECK_INT(symlink(victim, own_file), 0);
    refuse_save(ROLLCALL_E_INVALID, "is a symbolic link");
    CHECK(!exists(victim));
    finish();
}

TEST(server_info, a_fifo_in_the_files_place_is_refused_and_not_waited_for)
{
    begin();
    save("proxy", 1);
    CHECK_INT(unlink(own_file), 0);
    CHECK_INT(mkfifo(own_file, 0600), 0);
    alarm(20); /* a wait ends the test */
    refuse_save(ROLLCALL_E_INVALID, "is no regular file");
    refuse_list(ROLLCALL_E_INVALID, "is no regular file");
    alarm(0);
    finish();
}

TEST(server_info, a_link_in_the_directorys_place_is_not_followed)
{
    begin();
    CHECK_INT(mkdir(victim, 0700), 0);
    CHECK_INT(symlink(victim, directory), 0);
    refuse_all(ROLLCALL_E_INVALID, "is a symbolic link, or no directory");
    strcat(directory, "/"); /* which, to the system, asks for what the link leads to */
    refuse_all(ROLLCALL_E_INVALID, "is a symbolic link, or no directory");
    CHECK_INT(rmdir(victim), 0); /* it is empty */
    directory[strlen(directory) - 1] = '\0';
    CHECK_INT(unlink(directory), 0);

    write_file(directory, "", 0);
    refuse_all(ROLLCALL_E_INVALID, "is a symbolic link, or no directory");
    finish();
}

TEST(server_info, a_directory_that_is_open_to_others_is_not_used)
{
    static const mode_t modes[] = {0777, 01777, 0750, 0701};
    begin();
    save("proxy", 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        CHECK_INT(chmod(directory, modes[i]), 0);
        refuse_all(ROLLCALL_E_INVALID, "is open to other users");
    }
    CHECK_INT(chmod(directory, 0700), 0);
    CHECK_INT(list(getpid()).count, 1);
    finish();
}

TEST(server_info, what_belongs_to_another_user_is_not_used)
{
    if (geteuid() != 0) {
        return; /* only root can give files away */
    }
    begin();
    save("proxy", 1);
    CHECK_INT(chown(own_file, OTHER_USER, OTHER_USER), 0);
    refuse_save(ROLLCALL_E_INVALID, "belongs to another user");
    refuse_list(ROLLCALL_E_INVALID, "belongs to another user");
    CHECK_INT(chown(directory, OTHER_USER, OTHER_USER), 0);
    refuse_all(ROLLCALL_E_INVALID, "belongs to another user");
    finish();
}

/* ---- what the system refuses ---- */

static bool save_without_permission(void)
{
    struct rollcall_error error = {.status = ROLLCALL_OK};
    const bool stranger = geteuid() != 0 || setuid(OTHER_USER) == 0;
    return stranger && try_save("proxy", 7, &error) == ROLLCALL_E_SYSTEM &&
           strstr(error.text, "cannot make the directory") != NULL &&
           strstr(error.text, "Permission denied") != NULL;
}

TEST(server_info, a_directory_that_cannot_be_made_is_told_with_the_reason)
{
    begin();
    CHECK_INT(chmod(folder, 0500), 0);
    run_child(save_without_permission);
    CHECK_INT(chmod(folder, 0700), 0);
    snprintf(directory, sizeof directory, "%s/no/info", folder);
    refuse_save(ROLLCALL_E_SYSTEM, "No such file or directory");
    finish();
}

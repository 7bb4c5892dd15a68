/* Lines of a server-info file: whole or not there, never lost, and understood or told to be wrong.
 */
#include "unit/api/server_info_world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

enum { THREADS = 8, SAVES = 100, CHILDREN = 40, LINE_BYTES = 4096, FILE_BYTES = 1024 * 1024 };

/* ---- nothing is lost ---- */

static void *save_many(void *first_id)
{
    for (int64_t i = 0; i < SAVES; i++) {
        save("proxy", *(const int64_t *)first_id + i);
    }
    return NULL;
}

/* How often each ID was told. */
struct tally {
    unsigned char count[THREADS * SAVES + 1];
    int64_t wrong;
};

static void count(void *user, const struct rollcall_server_info *info)
{
    struct tally *tally = user;
    char key[64];
    snprintf(key, sizeof key, "by-dev/meta/session/proxy-%" PRId64, info->server_id);
    if (info->server_id < 1 || info->server_id > THREADS * SAVES || strcmp(info->key, key) != 0) {
        tally->wrong++;
        return;
    }
    tally->count[info->server_id]++;
}

static void check_tally(int64_t pid, int64_t first_id, int64_t last_id)
{
    struct tally tally = {0};
    struct rollcall_error error = {.status = ROLLCALL_OK};
    if (rollcall_server_info_list(directory, pid, count, &tally, &error) != ROLLCALL_OK) {
        CHECK_STR(error.text, "");
    }
    CHECK_INT(tally.wrong, 0);
    for (int64_t id = 1; id <= THREADS * SAVES; id++) {
        CHECK_INT(tally.count[id], id >= first_id && id <= last_id);
    }
}

TEST(server_info, threads_that_save_at_the_same_time_lose_nothing)
{
    pthread_t threads[THREADS];
    int64_t first_ids[THREADS];
    begin();
    for (int i = 0; i < THREADS; i++) {
        first_ids[i] = 1 + (int64_t)i * SAVES;
        CHECK_INT(pthread_create(&threads[i], NULL, save_many, &first_ids[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    }
    check_tally(getpid(), 1, (int64_t)THREADS * SAVES);
    finish();
}

TEST(server_info, processes_that_begin_at_the_same_time_have_a_file_each)
{
    pid_t children[2];
    int go[2];
    char byte;
    begin();
    CHECK_INT(pipe(go), 0);
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            int64_t first_id = 1 + (int64_t)i * SAVES;
            close(go[1]);
            _exit(read(go[0], &byte, 1) == 0 && save_many(&first_id) == NULL ? 0 : 1);
        }
    }
    close(go[0]);
    close(go[1]); /* both make the directory */
    for (int i = 0; i < 2; i++) {
        int status = 0;
        CHECK(waitpid(children[i], &status, 0) == children[i]);
        CHECK_INT(status, 0);
        check_tally(children[i], 1 + (int64_t)i * SAVES, (int64_t)(i + 1) * SAVES);
    }
    finish();
}

static void *list_until_told(void *told)
{
    while (!atomic_load((atomic_bool *)told)) {
        check_tally(getpid(), 1, 1);
    }
    return NULL;
}

TEST(server_info, a_child_forked_while_a_file_is_locked_does_not_keep_the_lock)
{
    atomic_bool told = false;
    pthread_t thread;
    pid_t children[CHILDREN];
    int gone[2];
    char byte;
    begin();
    save("proxy", 1);
    CHECK_INT(pipe(gone), 0);
    CHECK_INT(pthread_create(&thread, NULL, list_until_told, &told), 0);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] == 0) {
            close(gone[1]);
            while (read(gone[0], &byte, 1) > 0) {
            }
            raise(SIGKILL); /* an exit would be told to miss the thread, which was not forked */
        }
    }
    atomic_store(&told, true);
    CHECK_INT(pthread_join(thread, NULL), 0);
    alarm(20); /* a lock that is kept ends the test, and that the children */
    save("proxy", 2);
    alarm(0);
    check_tally(getpid(), 1, 2);
    close(gone[0]);
    close(gone[1]);
    for (int i = 0; i < CHILDREN; i++) {
        CHECK(waitpid(children[i], NULL, 0) == children[i]);
    }
    finish();
}

/* How many open files of ours have the path. */
static int open_count(const char *path)
{
    int found = 0;
    DIR *fds = opendir("/proc/self/fd");
    CHECK(fds != NULL);
    for (struct dirent *fd; (fd = readdir(fds)) != NULL;) {
        char target[256];
        const ssize_t size = readlinkat(dirfd(fds), fd->d_name, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        found += strcmp(target, path) == 0;
    }
    closedir(fds);
    return found;
}

TEST(server_info, a_save_that_waited_while_the_file_was_removed_makes_a_new_one)
{
    int64_t first_id = 1;
    pthread_t thread;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    begin();
    save("proxy", 800);
    const int fd = open(own_file, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_INT(fcntl(fd, F_OFD_SETLKW, &whole), 0);
    CHECK_INT(pthread_create(&thread, NULL, save_many, &first_id), 0);
    while (open_count(own_file) < 2) {
        sched_yield();
    }
    CHECK_INT(rollcall_server_info_remove(directory, getpid(), NULL), ROLLCALL_OK);
    close(fd);
    CHECK_INT(pthread_join(thread, NULL), 0);
    check_tally(getpid(), 1, SAVES);
    finish();
}

/* ---- lines that are not whole ---- */

TEST(server_info, a_save_that_finds_no_room_leaves_no_half_line)
{
    struct rlimit before;
    begin();
    save("proxy", 1);
    const int64_t size = size_of(own_file);
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {.rlim_cur = (rlim_t)size + 10, .rlim_max = before.rlim_max};
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct rollcall_error error = {.status = ROLLCALL_OK};
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &tight), 0);
    const enum rollcall_status status = try_save("proxy", 2, &error);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    CHECK_INT(status, ROLLCALL_E_SYSTEM);
    check_error(&error, ROLLCALL_E_SYSTEM, strerror(EFBIG));
    check_error(&error, ROLLCALL_E_SYSTEM, own_file);
    CHECK_INT(size_of(own_file), size);
    save("proxy", 3);
    CHECK_INT(list(getpid()).count, 2);
    CHECK_STR(list(getpid()).lines[1], "proxy 3 4 5 by-dev/meta/session/proxy-3");
    finish();
}

TEST(server_info, a_line_cut_by_its_process_dying_is_not_listed_and_not_continued)
{
    begin();
    save("proxy", 1);
    save("proxy", 2);
    CHECK_INT(truncate(own_file, size_of(own_file) - 1), 0); /* all but its end */
    CHECK_INT(list(getpid()).count, 1);
    save("proxy", 3);
    CHECK_INT(list(getpid()).count, 2);
    CHECK_STR(list(getpid()).lines[1], "proxy 3 4 5 by-dev/meta/session/proxy-3");
    CHECK_INT(truncate(own_file, 5), 0); /* in the header */
    CHECK_INT(list(getpid()).count, 0);
    save("proxy", 4);
    CHECK_INT(list(getpid()).count, 1);
    CHECK_INT(truncate(own_file, 0), 0);
    CHECK_INT(list(getpid()).count, 0);
    save("proxy", 5);
    CHECK_INT(list(getpid()).count, 1);
    finish();
}

/* ---- lines that cannot be understood ---- */

#define HEADER "rollcall-server-info 1 77\n"
#define GOOD "proxy 1 2 3 by-dev/meta/session/proxy-1\n"

struct wrong {
    const char *text, *part;
};

TEST(server_info, a_file_with_one_wrong_line_is_told_by_its_number_and_nothing_else_is)
{
    static const struct wrong wrongs[] = {
        {"querycoord-999\n", ", line 1: it is no line of this library"},
        {"rollcall-server-info 2 77\n" GOOD, ", line 1: "},
        {"rollcall-server-info 1 \n" GOOD, ", line 1: "},
        {"rollcall-server-info 1 7x\n" GOOD, ", line 1: "},
        {"\n" HEADER GOOD, ", line 1: "},
        {HEADER GOOD "\n", ", line 3: it is not \"ROLE ID LEASE REVISION KEY\""},
        {HEADER GOOD HEADER, ", line 3: it is not"},
        {HEADER "proxy\n" GOOD, ", line 2: it is not"},
        {HEADER GOOD "proxy 1 2 3\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 2 3 \n" GOOD, ", line 3: the key is empty"},
        {HEADER GOOD "proxy 0 2 3 k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 -2 3 k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 +2 3 k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 2 03 k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 2 3x k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 2  3 k\n", ", line 3: it is not"},
        {HEADER GOOD "proxy 1 9223372036854775808 3 k\n", ", line 3: it is not"},
        {HEADER GOOD "pro/xy 1 2 3 k\n", ", line 3: the role has a slash"},
        {HEADER GOOD " 1 2 3 k\n", ", line 3: the role is empty"},
        {HEADER GOOD "proxy 1 2 3 k\r\n", ", line 3: the key has the control character 0x0d"},
    };
    begin();
    save("proxy", 1); /* makes the directory */
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        write_file(own_file, wrongs[i].text, strlen(wrongs[i].text));
        refuse_list(ROLLCALL_E_CORRUPT, wrongs[i].part);
        refuse_list(ROLLCALL_E_CORRUPT, own_file);
    }
    write_file(own_file, HEADER GOOD "proxy 1 2 3 k\0k\n", sizeof HEADER GOOD + 15);
    refuse_list(ROLLCALL_E_CORRUPT, ", line 3: it is no line");
    write_file(own_file, HEADER GOOD, sizeof HEADER GOOD - 1);
    CHECK_INT(list(getpid()).count, 1);
    finish();
}

TEST(server_info, a_session_that_no_line_can_hold_is_refused_and_nothing_is_made)
{
    static const struct rollcall_server_info infos[] = {
        {"pro xy", "k", 1, 1, 1}, {NULL, "k", 1, 1, 1},       {"proxy", NULL, 1, 1, 1},
        {"proxy", "", 1, 1, 1},   {"proxy", "a\nb", 1, 1, 1}, {"proxy", "a\x7F", 1, 1, 1},
        {"proxy", "k", 0, 1, 1},  {"proxy", "k", 1, 0, 1},    {"proxy", "k", 1, 1, 0},
        {"proxy", "k", -1, 1, 1},
    };
    static const char *const parts[] = {
        "the role has the byte 0x20",
        "the role is empty",
        "the key is empty",
        "the key is empty",
        "the key has the control character 0x0a at byte 1",
        "the key has the control character 0x7f at byte 1",
        "server_id is 0",
        "lease_id is 0",
        "create_revision is 0",
        "server_id is -1",
    };
    begin();
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++) {
        struct rollcall_error error;
        CHECK_INT(rollcall_server_info_save(directory, &infos[i], &error), ROLLCALL_E_INVALID);
        check_error(&error, ROLLCALL_E_INVALID, parts[i]);
    }
    CHECK(!exists(directory));
    finish();
}

/* ---- limits ---- */

static enum rollcall_status save_line(size_t line_bytes, struct rollcall_error *error)
{
    static char key[LINE_BYTES + 1];
    const size_t key_bytes = line_bytes - strlen("proxy 1 2 3 \n");
    memset(key, 'k', key_bytes);
    key[key_bytes] = '\0';
    return rollcall_server_info_save(
        directory, &(const struct rollcall_server_info){"proxy", key, 1, 2, 3}, error);
}

static void append_blanks(int count, const char *end)
{
    FILE *file = fopen(own_file, "ae");
    CHECK(file != NULL);
    CHECK_INT(fprintf(file, "%*s%s", count, "", end), count + (int)strlen(end));
    CHECK_INT(fclose(file), 0);
}

TEST(server_info, a_line_of_4_KiB_is_the_longest)
{
    struct rollcall_error error;
    begin();
    CHECK_INT(save_line(LINE_BYTES, NULL), ROLLCALL_OK);
    CHECK_INT(list(getpid()).count, 1);
    CHECK_INT(save_line(LINE_BYTES + 1, &error), ROLLCALL_E_INVALID);
    check_error(&error, ROLLCALL_E_INVALID, "the key has 4084 bytes, too many for a line of 4096");
    CHECK_INT(list(getpid()).count, 1);
    CHECK_INT(save_line(LINE_BYTES, NULL), ROLLCALL_OK); /* the end of the first is found */
    CHECK_INT(list(getpid()).count, 2);
    append_blanks(LINE_BYTES, "\n");
    refuse_list(ROLLCALL_E_CORRUPT, ", line 4: it is no line of this library");
    finish();
}

TEST(server_info, a_file_of_1_MiB_is_the_longest)
{
    begin();
    save("proxy", 1);
    int64_t left = FILE_BYTES - size_of(own_file);
    for (; left >= 2 * LINE_BYTES; left -= LINE_BYTES) {
        CHECK_INT(save_line(LINE_BYTES, NULL), ROLLCALL_OK);
    }
    CHECK_INT(save_line(LINE_BYTES, NULL), ROLLCALL_OK);
    CHECK_INT(save_line((size_t)left - LINE_BYTES, NULL), ROLLCALL_OK);
    CHECK_INT(size_of(own_file), FILE_BYTES);
    CHECK_INT(list(getpid()).count, 1 + FILE_BYTES / LINE_BYTES);
    refuse_save(ROLLCALL_E_INVALID, "has 1 MiB already");
    CHECK_INT(size_of(own_file), FILE_BYTES);

    CHECK_INT(truncate(own_file, FILE_BYTES + 1), 0);
    refuse_list(ROLLCALL_E_CORRUPT, "is longer than 1 MiB");
    append_blanks(LINE_BYTES, "");
    refuse_save(ROLLCALL_E_CORRUPT, "ends with a line longer than 4096 bytes");
    finish();
}

/* tests/support/sentinel.c - see sentinel.h. */
#include "support/sentinel.h"

#include "support/test.h"

#include <dirent.h>
#include <stdlib.h>

enum { POLL_MS = 5, SOON_MS = 30000, LINE_BYTES = 512 };

/* How many bytes of /proc/PID/name were read; it is terminated. */
static size_t read_file(pid_t pid, const char *name, char *text, size_t text_bytes)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    const size_t size = file == NULL ? 0 : fread(text, 1, text_bytes - 1, file);
    text[size] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    return size;
}

void sentinel_status(pid_t pid, const char *name, char *text, size_t text_bytes)
{
    char all[8 * LINE_BYTES];
    read_file(pid, "status", all, sizeof all);
    const char *line = strstr(all, name);
    text[0] = '\0';
    if (line != NULL) {
        line += strlen(name) + strspn(line + strlen(name), " \t");
        snprintf(text, text_bytes, "%.*s", (int)strcspn(line, "\n"), line);
    }
}

/* A zombie has no command line. */
static bool is_sentinel(pid_t pid, pid_t owner)
{
    char line[LINE_BYTES], end[32];
    const int end_bytes = snprintf(end, sizeof end, "%csentinel%c%d", 0, 0, (int)owner);
    const size_t size = read_file(pid, "cmdline", line, sizeof line);
    const size_t whole = (size_t)end_bytes + 1;
    return size > whole && memcmp(line + size - whole, end, whole) == 0;
}

pid_t sentinel_of(pid_t owner)
{
    pid_t found = 0;
    DIR *folder = opendir("/proc");
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && found == 0;) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        found = pid > 0 && is_sentinel(pid, owner) ? pid : 0;
    }
    closedir(folder);
    return found;
}

bool sentinel_await_end(pid_t sentinel, int64_t timeout_ms)
{
    const int64_t until_ms = process_now_ms() + timeout_ms;
    static const char word[] = "\0sentinel"; /* not in that of another with its PID */
    char line[LINE_BYTES];
    size_t size;
    while ((size = read_file(sentinel, "cmdline", line, sizeof line)) > 0 &&
           memmem(line, size, word, sizeof word) != NULL) {
        if (process_now_ms() > until_ms) {
            return false;
        }
        process_sleep_ms(POLL_MS);
    }
    return true;
}

pid_t sentinel_await_ready(struct process *owner)
{
    static const char says[] = "msg=\"ready, pid=";
    CHECK(process_wait_for_error(owner, says, SOON_MS));
    const char *pid = strstr(owner->err.data, says) + sizeof says - 1;
    CHECK(process_wait_for_error(owner, "\n", SOON_MS));
    return (pid_t)strtol(pid, NULL, 10);
}

/*
 * tests/fuzz/replay_main.c - gives a fuzz target every file of some folders, or some files:
 *     fuzz.NAME FOLDER_OR_FILE...
 * Each in a block of exactly its size, so that a sanitizer sees one byte too many.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>

static void fail(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(EXIT_FAILURE);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        fail(path);
    }
    const long size_bytes = ftell(file);
    if (size_bytes < 0 || fseek(file, 0, SEEK_SET) != 0) {
        fail(path);
    }
    uint8_t *data = malloc((size_t)size_bytes);
    if ((data == NULL && size_bytes > 0) ||
        fread(data, 1, (size_t)size_bytes, file) != (size_t)size_bytes) {
        fail(path);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size_bytes);
    free(data);
}

/* Returns how many files it was. */
static int replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        replay_file(path);
        return 1;
    }
    int count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            char name[4096];
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            replay_file(name);
            count++;
        }
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        count += replay(argv[i]);
    }
    printf("replayed %d inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * tests/unit/session/vectors.h - reads tests/vectors: tab-separated lines, '#' begins a comment.
 * ROLLCALL_TEST_VECTORS, a compile definition, is the folder.
 */
#ifndef TESTS_UNIT_SESSION_VECTORS_H
#define TESTS_UNIT_SESSION_VECTORS_H

#include "support/test.h"

#include <rollcall/record.h>

#include <stdlib.h>

enum { VECTOR_COLUMNS_MAX = 12 };

struct vector {
    char *column[VECTOR_COLUMNS_MAX]; /* "" for those the line does not have */
};

/* Cuts the line into columns, in place. */
static inline struct vector vector_split(char *line)
{
    struct vector vector;
    line[strcspn(line, "\n")] = '\0';
    for (size_t i = 0; i < VECTOR_COLUMNS_MAX; i++) {
        vector.column[i] = line;
        line += strcspn(line, "\t");
        if (*line == '\t') {
            *line++ = '\0';
        }
    }
    return vector;
}

/* Calls `check` with each line whose first column is `kind`; returns how many there were. */
static inline int vectors_each(const char *file_name, const char *kind,
                               void (*check)(const struct vector *vector))
{
    char path[512], line[4096];
    int count = 0;
    snprintf(path, sizeof path, "%s/%s", ROLLCALL_TEST_VECTORS, file_name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        CHECK_FAIL("the vectors cannot be opened: look at ROLLCALL_TEST_VECTORS");
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        const struct vector vector = vector_split(line);
        if (strcmp(vector.column[0], kind) == 0) {
            check(&vector);
            count++;
        }
    }
    fclose(file);
    return count;
}

/* The text between the quotes of a column, in place. */
static inline struct rollcall_bytes vector_unquote(const char *quoted)
{
    const size_t size_bytes = strlen(quoted);
    CHECK(size_bytes >= 2 && quoted[0] == '"' && strchr(quoted, '\\') == NULL);
    return (struct rollcall_bytes){quoted + 1, size_bytes - 2};
}

/* The bytes a hexadecimal column stands for; written over it. */
static inline struct rollcall_bytes vector_unhex(char *hex)
{
    const size_t size_bytes = strlen(hex) / 2;
    for (size_t i = 0; i < size_bytes; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        hex[i] = (char)strtoul(digits, NULL, 16);
    }
    return (struct rollcall_bytes){hex, size_bytes};
}

#endif /* TESTS_UNIT_SESSION_VECTORS_H */

#include "session/labels.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* ---- order ---- */

/* Merges two sorted runs; of equal names the left one goes first, which keeps the sort stable. */
static void merge(struct rollcall_label *to, const struct rollcall_label *left, size_t left_count,
                  const struct rollcall_label *right, size_t right_count)
{
    while (left_count > 0 || right_count > 0) {
        if (right_count == 0 ||
            (left_count > 0 && rollcall__bytes_compare(left->name, right->name) <= 0)) {
            *to++ = *left++;
            left_count--;
        } else {
            *to++ = *right++;
            right_count--;
        }
    }
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t rollcall__labels_sort(struct rollcall_label *labels, struct rollcall_label *spare,
                             size_t count)
{
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t i = 0; i < count; i += 2 * run) {
            const size_t middle = smaller(i + run, count), end = smaller(i + 2 * run, count);
            merge(spare + i, labels + i, middle - i, labels + middle, end - middle);
        }
        memcpy(labels, spare, count * sizeof *labels);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && rollcall__bytes_equal(labels[kept - 1].name, labels[i].name)) {
            kept--;
        }
        labels[kept++] = labels[i];
    }
    return kept;
}

bool rollcall__labels_sorted(const struct rollcall_label *labels, size_t count, size_t *at)
{
    for (size_t i = 1; i < count; i++) {
        if (rollcall__bytes_compare(labels[i - 1].name, labels[i].name) >= 0) {
            *at = i;
            return false;
        }
    }
    return true;
}

/* ---- the environment ---- */

/* The words that make a label one of a role alone. */
static const struct {
    const char *word, *role;
} GROUPS[] = {
    {"mixcoord", "mixcoord"},
    {"coord", "mixcoord"},
    {"querynode", "querynode"},
    {"qn", "querynode"},
    {"datanode", "datanode"},
    {"dn", "datanode"},
    {"streamingnode", "streamingnode"},
    {"sn", "streamingnode"},
    {"proxy", "proxy"},
};

/* In any case of letters. */
static bool is_word(struct rollcall_bytes text, const char *word)
{
    for (size_t i = 0; i < text.size_bytes; i++) {
        const char c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != word[i]) {
            return false; /* a word that ends here has its NUL, which is never in text */
        }
    }
    return word[text.size_bytes] == '\0';
}

/* The role that the word stands for; NULL: none. */
static const char *role_of(struct rollcall_bytes word)
{
    for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++) {
        if (is_word(word, GROUPS[i].word)) {
            return GROUPS[i].role;
        }
    }
    return NULL;
}

/* Reads one variable; false: it is no label.  *role is whose label it is, NULL: everybody's. */
static bool read_variable(const char *variable, struct rollcall_label *label, const char **role)
{
    const size_t prefix_bytes = sizeof ROLLCALL__LABEL_VARIABLE_PREFIX - 1;
    const char *equals = strchr(variable, '=');
    if (equals == NULL || strncmp(variable, ROLLCALL__LABEL_VARIABLE_PREFIX, prefix_bytes) != 0) {
        return false;
    }
    struct rollcall_bytes name = {variable + prefix_bytes,
                                  (size_t)(equals - variable) - prefix_bytes};
    const char *end = memchr(name.data, '_', name.size_bytes);
    const size_t word_bytes = end == NULL ? name.size_bytes : (size_t)(end - name.data);
    *role = role_of((struct rollcall_bytes){name.data, word_bytes});
    if (*role != NULL) {
        const size_t taken = end == NULL ? word_bytes : word_bytes + 1;
        name = (struct rollcall_bytes){name.data + taken, name.size_bytes - taken};
    }
    *label = (struct rollcall_label){name, rollcall__bytes(equals + 1)};
    return name.size_bytes > 0;
}

/* Collects everybody's labels (role NULL) or those of one role alone; labels NULL: only counts. */
static size_t collect(const char *const *environment, const char *role,
                      struct rollcall_label *labels)
{
    size_t count = 0;
    for (; *environment != NULL; environment++) {
        struct rollcall_label label;
        const char *whose;
        if (read_variable(*environment, &label, &whose) &&
            (whose == NULL || role == NULL ? whose == role : strcmp(whose, role) == 0)) {
            if (labels != NULL) {
                labels[count] = label;
            }
            count++;
        }
    }
    return count;
}

enum rollcall_status rollcall__labels_from_environment(const char *role,
                                                       const char *const *environment,
                                                       struct rollcall_label *labels,
                                                       size_t capacity, size_t *count,
                                                       struct rollcall_error *error)
{
    static const char *const NOTHING[] = {NULL};
    environment = environment == NULL ? NOTHING : environment;
    const size_t general = collect(environment, NULL, NULL);
    const size_t all = general + (role == NULL ? 0 : collect(environment, role, NULL));
    *count = 0;
    if (all == 0) {
        return ROLLCALL_OK;
    }
    struct rollcall_label *found = rollcall__allocate(2 * all * sizeof *found);
    if (found == NULL) {
        return rollcall_error_set(error, ROLLCALL_E_NO_MEMORY,
                                  "out of memory while sorting %zu labels", all);
    }
    collect(environment, NULL, found);
    if (role != NULL) {
        collect(environment, role, found + general); /* behind the others, so they win */
    }
    enum rollcall_status status = ROLLCALL_OK;
    *count = rollcall__labels_sort(found, found + all, all);
    if (*count > capacity) {
        status = rollcall_error_set(error, ROLLCALL_E_TOO_SMALL,
                                    "the environment has %zu labels: give room for them, not for "
                                    "%zu",
                                    *count, capacity);
    } else {
        memcpy(labels, found, *count * sizeof *labels);
    }
    free(found);
    return status;
}

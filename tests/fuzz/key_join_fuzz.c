/* Up to four lines: joined they are a clean path, and the one that a plain implementation of Go's
 * path.Join gives; a root and a role that pass their checks make keys that are of that role, and of
 * no other. */
#include "fuzz/fuzz.h"
#include "session/keys.h"

enum { PARTS_MAX = 4, ELEMENTS_MAX = 4096 };

/* ---- paths ---- */

static bool is_element(struct rollcall_bytes element, const char *text)
{
    return rollcall__bytes_equal(element, rollcall__bytes(text));
}

/* The elements of a path on a stack, "" and "." left out, ".." resolved; returns their number. */
static size_t resolve(struct rollcall_bytes path, bool rooted, struct rollcall_bytes *elements)
{
    size_t count = 0, begin = 0;
    for (size_t i = 0; i <= path.size_bytes; i++) {
        if (i < path.size_bytes && path.data[i] != '/') {
            continue;
        }
        const struct rollcall_bytes element = {path.data + begin, i - begin};
        begin = i + 1;
        if (element.size_bytes == 0 || is_element(element, ".")) {
            continue;
        }
        if (is_element(element, "..") && count > 0 && !is_element(elements[count - 1], "..")) {
            count--;
        } else if (!is_element(element, "..") || !rooted) {
            FUZZ_CHECK(count < ELEMENTS_MAX);
            elements[count++] = element;
        }
    }
    return count;
}

static void plain_join(struct rollcall__buffer *out, const struct rollcall_bytes *parts,
                       size_t count)
{
    static struct rollcall_bytes elements[ELEMENTS_MAX];
    struct rollcall__buffer path = {0};
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size_bytes > 0) {
            rollcall__buffer_text(&path, path.size_bytes > 0 ? "/" : "");
            rollcall__buffer_append(&path, parts[i].data, parts[i].size_bytes);
        }
    }
    if (path.size_bytes > 0) {
        const bool rooted = path.data[0] == '/';
        const size_t kept = resolve(rollcall__buffer_bytes(&path), rooted, elements);
        rollcall__buffer_text(out, rooted ? "/" : kept == 0 ? "." : "");
        for (size_t i = 0; i < kept; i++) {
            rollcall__buffer_text(out, i > 0 ? "/" : "");
            rollcall__buffer_append(out, elements[i].data, elements[i].size_bytes);
        }
    }
    rollcall__buffer_free(&path);
}

static void check_join(const struct rollcall_bytes *parts, size_t count)
{
    struct rollcall__buffer joined = {0}, plain = {0}, again = {0};
    rollcall__path_join(&joined, parts, count);
    plain_join(&plain, parts, count);
    const struct rollcall_bytes path = rollcall__buffer_bytes(&joined);
    FUZZ_CHECK(rollcall__bytes_equal(path, rollcall__buffer_bytes(&plain)));
    rollcall__path_join(&again, &path, 1);
    FUZZ_CHECK(rollcall__bytes_equal(path, rollcall__buffer_bytes(&again)));
    FUZZ_CHECK(path.size_bytes < 2 || path.data[path.size_bytes - 1] != '/');
    rollcall__buffer_free(&joined);
    rollcall__buffer_free(&plain);
    rollcall__buffer_free(&again);
}

/* ---- roles ---- */

/* Every key of `role` is one of a session and of that role; of `other` only if that is the same. */
static void check_keys(const char *root, const char *role, const char *other, int64_t server_id)
{
    struct rollcall__buffer prefix = {0};
    rollcall__key_prefix(&prefix, root, NULL);
    const struct rollcall_bytes session_prefix = rollcall__buffer_bytes(&prefix);
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        struct rollcall__buffer key = {0};
        rollcall__key_session(&key, root, role, server_id, exclusive);
        const struct rollcall_bytes bytes = rollcall__buffer_bytes(&key);
        FUZZ_CHECK(rollcall__key_is_of_role(bytes, session_prefix, rollcall__bytes(role)));
        FUZZ_CHECK(rollcall__key_is_of_role(bytes, session_prefix, rollcall__bytes("")));
        FUZZ_CHECK(other == NULL || strcmp(role, other) == 0 ||
                   !rollcall__key_is_of_role(bytes, session_prefix, rollcall__bytes(other)));
        rollcall__buffer_free(&key);
    }
    rollcall__buffer_free(&prefix);
}

/* A C string of part, which the caller frees; NULL if it holds a NUL. */
static char *text_of(struct rollcall_bytes part)
{
    if (memchr(part.data, '\0', part.size_bytes) != NULL) {
        return NULL;
    }
    char *text = malloc(part.size_bytes + 1);
    FUZZ_CHECK(text != NULL);
    memcpy(text, part.data, part.size_bytes);
    text[part.size_bytes] = '\0';
    return text;
}

static bool is_role(const char *role)
{
    return role != NULL && rollcall__role_check(role, NULL) == ROLLCALL_OK;
}

/* The first part is a root, then a role, another, and digits. */
static void check_role(const struct rollcall_bytes *parts)
{
    char *texts[PARTS_MAX];
    for (size_t i = 0; i < PARTS_MAX; i++) {
        texts[i] = text_of(parts[i]);
    }
    if (texts[0] != NULL && rollcall__root_check(texts[0], NULL) == ROLLCALL_OK &&
        is_role(texts[1])) {
        const int64_t server_id = texts[3] == NULL ? 0 : strtoll(texts[3], NULL, 10);
        check_keys(texts[0], texts[1], is_role(texts[2]) ? texts[2] : NULL,
                   server_id < 0 ? 0 : server_id); /* IDs are never negative */
    }
    for (size_t i = 0; i < PARTS_MAX; i++) {
        free(texts[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size_bytes)
{
    struct rollcall_bytes parts[PARTS_MAX] = {{"", 0}, {"", 0}, {"", 0}, {"", 0}};
    size_t count = 0;
    if (size_bytes == 0 || size_bytes > ELEMENTS_MAX) {
        return 0;
    }
    for (size_t begin = 0; count < PARTS_MAX && begin < size_bytes; count++) {
        const uint8_t *end = memchr(data + begin, '\n', size_bytes - begin);
        const size_t part_bytes = (end == NULL ? size_bytes : (size_t)(end - data)) - begin;
        parts[count] = (struct rollcall_bytes){(const char *)data + begin, part_bytes};
        begin += part_bytes + 1;
    }
    check_join(parts, count);
    check_role(parts);
    return 0;
}

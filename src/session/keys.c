#include "session/keys.h"

#include <inttypes.h>
#include <string.h>

static const char FOLDER[] = "session/";

/* ---- paths ---- */

/* Drops the last element of the path of `size_bytes` at `path`; returns the new size. */
static size_t drop_element(const char *path, size_t size_bytes, size_t kept_bytes)
{
    do {
        size_bytes--;
    } while (size_bytes > kept_bytes && path[size_bytes] != '/');
    return size_bytes;
}

/* Cleans the path in place, as Go's path.Clean, and returns its new size.  What is written never
 * overtakes what is read: every element written was read with a slash before it. */
static size_t clean(char *path, size_t size_bytes)
{
    const bool rooted = path[0] == '/';
    size_t kept_bytes = rooted ? 1 : 0; /* what ".." cannot take back: the root, or leading ".." */
    size_t written = kept_bytes;
    for (size_t i = kept_bytes; i < size_bytes;) {
        size_t end = i;
        while (end < size_bytes && path[end] != '/') {
            end++;
        }
        const size_t element_bytes = end - i;
        const bool up = element_bytes == 2 && path[i] == '.' && path[i + 1] == '.';
        const bool here = element_bytes == 0 || (element_bytes == 1 && path[i] == '.');
        if (up && written > kept_bytes) {
            written = drop_element(path, written, kept_bytes);
        } else if (!here && !(up && rooted)) {
            if (written > (rooted ? 1u : 0u)) {
                path[written++] = '/';
            }
            memmove(path + written, path + i, element_bytes);
            written += element_bytes;
            kept_bytes = up ? written : kept_bytes;
        }
        i = end + 1;
    }
    if (written == 0) {
        path[written++] = '.';
    }
    return written;
}

void rollcall__path_join(struct rollcall__buffer *out, const struct rollcall_bytes *parts,
                         size_t count)
{
    const size_t begin = out->size_bytes;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].size_bytes > 0) {
            if (out->size_bytes > begin) {
                rollcall__buffer_append(out, "/", 1);
            }
            rollcall__buffer_append(out, parts[i].data, parts[i].size_bytes);
        }
    }
    if (!out->failed && out->size_bytes > begin) {
        out->size_bytes = begin + clean(out->data + begin, out->size_bytes - begin);
        out->data[out->size_bytes] = '\0';
    }
}

/* ---- keys ---- */

static void join(struct rollcall__buffer *out, const char *root, const char *name)
{
    const struct rollcall_bytes parts[] = {rollcall__bytes(root), rollcall__bytes(FOLDER),
                                           rollcall__bytes(name)};
    rollcall__path_join(out, parts, sizeof parts / sizeof parts[0]);
}

void rollcall__key_session(struct rollcall__buffer *out, const char *root, const char *role,
                           int64_t server_id, bool exclusive)
{
    join(out, root, role);
    if (!exclusive) {
        rollcall__buffer_format(out, "-%" PRId64, server_id);
    }
}

void rollcall__key_id(struct rollcall__buffer *out, const char *root)
{
    join(out, root, "id");
}

void rollcall__key_prefix(struct rollcall__buffer *out, const char *root, const char *role)
{
    join(out, root, role);
    if (role == NULL || role[0] == '\0') {
        rollcall__buffer_append(out, "/", 1);
    }
}

void rollcall__prefix_end(struct rollcall_bytes prefix, struct rollcall__buffer *out)
{
    size_t size_bytes = prefix.size_bytes;
    while (size_bytes > 0 && (unsigned char)prefix.data[size_bytes - 1] == 0xFF) {
        size_bytes--;
    }
    if (size_bytes == 0) {
        rollcall__buffer_append(out, "", 1);
        return;
    }
    const char last = (char)((unsigned char)prefix.data[size_bytes - 1] + 1);
    rollcall__buffer_append(out, prefix.data, size_bytes - 1);
    rollcall__buffer_append(out, &last, 1);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool begins_with(struct rollcall_bytes text, struct rollcall_bytes prefix)
{
    return text.size_bytes >= prefix.size_bytes &&
           (prefix.size_bytes == 0 || memcmp(text.data, prefix.data, prefix.size_bytes) == 0);
}

static struct rollcall_bytes after(struct rollcall_bytes text, size_t size_bytes)
{
    return (struct rollcall_bytes){text.data + size_bytes, text.size_bytes - size_bytes};
}

static bool is_reserved(struct rollcall_bytes name)
{
    return rollcall__bytes_equal(name, rollcall__bytes("id")) ||
           rollcall__bytes_equal(name, rollcall__bytes("version"));
}

/* Whether name ends with '-' and at least one digit, at *dash. */
static bool ends_with_number(struct rollcall_bytes name, size_t *dash)
{
    size_t i = name.size_bytes;
    while (i > 0 && is_digit(name.data[i - 1])) {
        i--;
    }
    if (i == 0 || i == name.size_bytes || name.data[i - 1] != '-') {
        return false;
    }
    *dash = i - 1;
    return true;
}

bool rollcall__key_is_of_role(struct rollcall_bytes key, struct rollcall_bytes session_prefix,
                              struct rollcall_bytes role)
{
    if (!begins_with(key, session_prefix)) {
        return false;
    }
    const struct rollcall_bytes name = after(key, session_prefix.size_bytes);
    if (role.size_bytes == 0) {
        return name.size_bytes > 0 && !is_reserved(name) &&
               memchr(name.data, '/', name.size_bytes) == NULL;
    }
    size_t dash;
    return rollcall__bytes_equal(name, role) ||
           (begins_with(name, role) && ends_with_number(name, &dash) && dash == role.size_bytes);
}

/* ---- checks ---- */

static bool is_role_character(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.' || c == '-';
}

static enum rollcall_status check_characters(struct rollcall_bytes role,
                                             struct rollcall_error *error)
{
    for (size_t i = 0; i < role.size_bytes; i++) {
        const char c = role.data[i];
        if (c == '/') {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "the role has a slash at byte %zu: a role is one name, put "
                                      "folders into the root",
                                      i);
        }
        if (!is_role_character(c)) {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "the role has the byte 0x%02x at %zu: use letters, digits, "
                                      "'_', '.' and '-'",
                                      (unsigned char)c, i);
        }
    }
    return ROLLCALL_OK;
}

enum rollcall_status rollcall__role_check(const char *role, struct rollcall_error *error)
{
    size_t dash;
    const struct rollcall_bytes name = rollcall__bytes(role);
    if (name.size_bytes == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role is empty: name it, such as \"querynode\"");
    }
    if (name.size_bytes > ROLLCALL__ROLE_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role has %zu bytes: give at most %d", name.size_bytes,
                                  ROLLCALL__ROLE_MAX_BYTES);
    }
    if (check_characters(name, error) != ROLLCALL_OK) {
        return ROLLCALL_E_INVALID;
    }
    if (strcmp(role, ".") == 0) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role \".\" would vanish from its key: give it a name");
    }
    if (strstr(role, "..") != NULL) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role \"%.80s\" has \"..\", which leads out of a folder: "
                                  "leave it away",
                                  role);
    }
    if (is_reserved(name)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role \"%s\" is the name of another key under session/: "
                                  "take another name",
                                  role);
    }
    if (ends_with_number(name, &dash)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the role \"%.80s\" ends like a server ID: leave \"%.20s\" away",
                                  role, role + dash);
    }
    return ROLLCALL_OK;
}

/* Whether one of the elements of path is "..". */
static bool goes_up(struct rollcall_bytes path)
{
    size_t element_bytes = 0;
    for (size_t i = 0; i <= path.size_bytes; i++) {
        if (i < path.size_bytes && path.data[i] != '/') {
            element_bytes++;
            continue;
        }
        if (element_bytes == 2 && path.data[i - 1] == '.' && path.data[i - 2] == '.') {
            return true;
        }
        element_bytes = 0;
    }
    return false;
}

enum rollcall_status rollcall__root_check(const char *root, struct rollcall_error *error)
{
    const struct rollcall_bytes path = rollcall__bytes(root);
    if (path.size_bytes > ROLLCALL__ROOT_MAX_BYTES) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the root has %zu bytes: give at most %d", path.size_bytes,
                                  ROLLCALL__ROOT_MAX_BYTES);
    }
    for (size_t i = 0; i < path.size_bytes; i++) {
        if ((unsigned char)path.data[i] < 0x20 || path.data[i] == 0x7F) {
            return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                      "the root has the control character 0x%02x at byte %zu: "
                                      "leave it away",
                                      (unsigned char)path.data[i], i);
        }
    }
    if (goes_up(path)) {
        return rollcall_error_set(error, ROLLCALL_E_INVALID,
                                  "the root \"%.80s\" has \"..\" in it: write the path it leads to",
                                  root);
    }
    return ROLLCALL_OK;
}

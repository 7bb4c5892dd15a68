/* actors/lease_keeper_book.c - see lease_keeper_book.h. */
#include "actors/lease_keeper_book.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "session/keys.h"

#include <stdlib.h>
#include <string.h>

enum { LEASES_MIN = 4, USERS_MIN = 16 };

/* ---- leases ---- */

struct kept_lease *lease_book_find(struct lease_book *book, int64_t lease_id)
{
    for (size_t i = 0; i < book->lease_count; i++) {
        if (book->leases[i].lease_id == lease_id) {
            return &book->leases[i];
        }
    }
    return NULL;
}

struct kept_lease *lease_book_find_asked(struct lease_book *book, uint64_t asked)
{
    for (size_t i = 0; i < book->lease_count; i++) {
        if (book->leases[i].asked == asked) {
            return &book->leases[i];
        }
    }
    return NULL;
}

struct kept_lease *lease_book_find_keepalive(struct lease_book *book, struct rollcall_ref who)
{
    for (size_t i = 0; i < book->lease_count; i++) {
        if (rollcall_ref_equal(book->leases[i].keepalive, who)) {
            return &book->leases[i];
        }
    }
    return NULL;
}

bool lease_book_is_supervisor(const struct lease_book *book, struct rollcall_ref who)
{
    bool found = false;
    for (size_t i = 0; i < book->lease_count; i++) {
        found |= rollcall_ref_equal(book->leases[i].supervisor, who);
    }
    return found;
}

/* Until it is withdrawn the key of one who leaves may be there: whoever wants the same key, under
 * the same lease, would take it for its own. */
static bool may_have_key(const struct lease_user *user)
{
    return user->use != LEASE_USE_LEAVING || user->unsure || user->create_revision != 0;
}

static bool is_taken(const struct lease_book *book, int64_t lease_id, const struct lease_user *by)
{
    for (size_t i = 0; i < book->user_count; i++) {
        const struct lease_user *other = &book->users[i];
        if (other != by && other->lease_id == lease_id && may_have_key(other) &&
            (other->server_id == by->server_id || by->config->exclusive) &&
            strcmp(other->key, by->key) == 0) {
            return true;
        }
    }
    return false;
}

struct kept_lease *lease_book_choose(struct lease_book *book, const struct lease_user *user)
{
    for (size_t i = 0; i < book->lease_count; i++) {
        struct kept_lease *lease = &book->leases[i];
        if (lease->ttl_s == user->config->ttl_s && lease->ending_ms == 0 &&
            !is_taken(book, lease->lease_id, user)) {
            return lease;
        }
    }
    return NULL;
}

struct kept_lease *lease_book_add(struct lease_book *book, int64_t lease_id, int64_t ttl_s)
{
    if (book->lease_count == KEPT_LEASES_MAX) {
        return NULL;
    }
    if (book->lease_count == book->lease_capacity) {
        const size_t capacity = book->lease_capacity == 0 ? LEASES_MIN : 2 * book->lease_capacity;
        struct kept_lease *leases = rollcall__reallocate(book->leases, capacity * sizeof *leases);
        if (leases == NULL) {
            return NULL;
        }
        book->leases = leases;
        book->lease_capacity = capacity;
    }
    struct kept_lease *lease = &book->leases[book->lease_count++];
    *lease = (struct kept_lease){.lease_id = lease_id, .ttl_s = ttl_s, .due_ms = INT64_MAX};
    return lease;
}

void lease_book_remove(struct lease_book *book, int64_t lease_id)
{
    struct kept_lease *lease = lease_book_find(book, lease_id);
    const struct kept_lease *end = &book->leases[book->lease_count];
    if (lease != NULL) { /* the older come first: they are the ones to share */
        memmove(lease, lease + 1, (size_t)(end - (lease + 1)) * sizeof *lease);
        book->lease_count--;
    }
}

bool lease_book_is_used(const struct lease_book *book, int64_t lease_id)
{
    for (size_t i = 0; i < book->user_count; i++) {
        if (book->users[i].lease_id == lease_id && book->users[i].use != LEASE_USE_LEAVING) {
            return true;
        }
    }
    return false;
}

/* ---- users ---- */

struct lease_user *lease_book_user(struct lease_book *book, struct rollcall_ref user)
{
    for (size_t i = 0; i < book->user_count; i++) {
        if (rollcall_ref_equal(book->users[i].user, user)) {
            return &book->users[i];
        }
    }
    return NULL;
}

struct lease_user *lease_book_user_asked(struct lease_book *book, uint64_t asked)
{
    for (size_t i = 0; i < book->user_count; i++) {
        if (book->users[i].asked == asked) {
            return &book->users[i];
        }
    }
    return NULL;
}

/* NULL: out of memory. */
static char *key_of(const struct session_config *config, int64_t server_id)
{
    struct rollcall__buffer key = {0};
    rollcall__key_session(&key, config->root, config->role, server_id, config->exclusive);
    char *copy = key.failed ? NULL : rollcall__allocate(key.size_bytes + 1);
    if (copy != NULL) {
        memcpy(copy, key.data, key.size_bytes);
        copy[key.size_bytes] = '\0';
    }
    rollcall__buffer_free(&key);
    return copy;
}

/* A place for one more; false: there is none. */
static bool reserve(struct lease_book *book)
{
    if (book->user_count < book->user_capacity) {
        return true;
    }
    if (book->user_count == LEASE_USERS_MAX) {
        return false;
    }
    const size_t capacity = book->user_capacity == 0 ? USERS_MIN : 2 * book->user_capacity;
    struct lease_user *users = rollcall__reallocate(book->users, capacity * sizeof *users);
    if (users != NULL) {
        book->users = users;
        book->user_capacity = capacity;
    }
    return users != NULL;
}

struct lease_user *lease_book_enter(struct lease_book *book, struct session_config *config,
                                    const struct lease_keeper_ask *ask)
{
    char *key = reserve(book) ? key_of(config, ask->server_id) : NULL;
    if (key == NULL) {
        return NULL;
    }
    struct lease_user *user = &book->users[book->user_count++];
    *user = (struct lease_user){.user = ask->user,
                                .config =
                                    (struct session_config *)rollcall_object_keep(&config->object),
                                .server_id = ask->server_id,
                                .key = key,
                                .due_ms = INT64_MAX};
    return user;
}

bool lease_book_rename(struct lease_user *user, const struct lease_keeper_ask *ask)
{
    if (user->server_id == ask->server_id) {
        return true;
    }
    char *key = key_of(user->config, ask->server_id);
    if (key == NULL) {
        return false;
    }
    free(user->key);
    user->key = key;
    user->server_id = ask->server_id;
    return true;
}

static void drop(struct lease_user *user)
{
    rollcall_object_drop(&user->config->object);
    free(user->key);
}

void lease_book_leave(struct lease_book *book, struct lease_user *user)
{
    drop(user);
    *user = book->users[--book->user_count];
}

void lease_book_fini(struct lease_book *book)
{
    for (size_t i = 0; i < book->user_count; i++) {
        drop(&book->users[i]);
    }
    free(book->users);
    free(book->leases);
}

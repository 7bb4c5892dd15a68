/*
 * tests/support/gateway.h - etcd's JSON gateway: what a test writes and reads thousands of times,
 * without the library, and without a process each.
 *
 * Threads: any.
 * Errors:  false: not answered with what was asked for, within two seconds; a write may have come
 *          true all the same.
 */
#ifndef TESTS_SUPPORT_GATEWAY_H
#define TESTS_SUPPORT_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GATEWAY_TEXT_BYTES = 512 }; /* keys and values are shorter */

/* endpoint: "127.0.0.1:PORT".  revision: of the store then; NULL: not wanted. */
bool gateway_put(const char *endpoint, const char *key, const char *value, int64_t *revision);
bool gateway_delete(const char *endpoint, const char *key);
/* value: of GATEWAY_TEXT_BYTES; "": the key is not there. */
bool gateway_get(const char *endpoint, const char *key, char *value);
bool gateway_compact(const char *endpoint, int64_t revision);

/* A number among what it measures of itself, such as etcd_debugging_mvcc_watcher_total; -1: not
 * answered. */
int64_t gateway_metric(const char *endpoint, const char *name);

struct gateway_event {
    bool deleted;
    int64_t revision;
    char key[GATEWAY_TEXT_BYTES], value[GATEWAY_TEXT_BYTES]; /* value: "" when it was deleted */
};
typedef void gateway_event_fn(void *user, const struct gateway_event *event);

/* Everything that happened to keys with this prefix from one revision on, in order, as etcd itself
 * keeps it, until one at `to` or later has come, which there must be; some that are later may too.
 */
bool gateway_history(const char *endpoint, const char *prefix, int64_t from, int64_t to,
                     gateway_event_fn *tell, void *user);

#endif /* TESTS_SUPPORT_GATEWAY_H */
